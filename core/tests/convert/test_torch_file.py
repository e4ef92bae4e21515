"""PyTorch weights: equal to what torch saved, and every way in which such a file can lie or attack."""

import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch_pickle import ORDERED_DICT, archive, legacy, number, state_dict, storage, tensor, text

from ollamax.convert.torch_file import TorchFile
from ollamax.errors import CheckpointError

VALUES = np.arange(6, dtype="<f4")
FLOATS = storage("0", b"FloatStorage", 6)
GOOD = state_dict(a=tensor(FLOATS, (2, 3), (3, 1)))


STORED = (("0", VALUES.tobytes()),)


def write(tmp_path, pickled, storages=STORED, **options):
    return archive(tmp_path / "model.bin", pickled, storages, **options)


def failure(path):
    with pytest.raises(CheckpointError) as caught:
        TorchFile(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 600
    return message


# What torch writes ----------------------------------------------------------------------------------------------------

SPELLED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "bool": "BOOL"}


@pytest.mark.reference
@pytest.mark.parametrize("dtype", SPELLED)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_what_torch_saves_is_read_bit_for_bit(tmp_path, dtype, zipped):
    import torch

    torch.manual_seed(0)
    base = (torch.randn(6, 4) * 3).to(getattr(torch, dtype))
    tensors = OrderedDict(
        plain=base,
        transposed=base.t(),
        rows=base[2:5],
        columns=base[:, 1:3],
        every_other=base[::2],
        scalar=base[0, 0],
        empty=base[:0],
        parameter=torch.nn.Parameter(base.clone(), requires_grad=False),
        cube=base.reshape(2, 3, 4).permute(2, 0, 1),
    )
    path = tmp_path / "model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    file = TorchFile(path)
    assert list(file.tensors) == list(tensors)
    for name, expected in tensors.items():
        assert (file.tensors[name].dtype, file.tensors[name].shape) == (SPELLED[dtype], tuple(expected.shape))
        if expected.numel():
            whole = expected.contiguous().reshape(-1).view(torch.uint8).numpy()
            np.testing.assert_array_equal(file.tensor_bytes(name), whole, err_msg=name)
        else:
            assert file.tensor_bytes(name).size == 0


@pytest.mark.reference
def test_a_modules_state_dict_with_its_attributes(tmp_path):
    import torch

    module = torch.nn.Linear(3, 2)
    torch.save(module.state_dict(), tmp_path / "model.pth")
    file = TorchFile(tmp_path / "model.pth")
    assert file.tensor_bytes("bias").view("<f4").tolist() == module.bias.tolist()


@pytest.mark.reference
def test_a_newer_pickle_protocol(tmp_path):
    import torch

    torch.save({"a": torch.arange(3.0)}, tmp_path / "model.pth", pickle_protocol=4)
    assert TorchFile(tmp_path / "model.pth").tensor_bytes("a").view("<f4").tolist() == [0, 1, 2]


# Views and copies -----------------------------------------------------------------------------------------------------


def test_tensors_in_order_are_views_and_tied_ones_share(tmp_path):
    tied = tensor(FLOATS, (2, 3), (3, 1))
    file = TorchFile(write(tmp_path, state_dict(a=tied, b=tied, t=tensor(FLOATS, (3, 2), (1, 3)))))
    first, second = file.tensor_bytes("a"), file.tensor_bytes("b")
    assert np.shares_memory(first, second)
    assert not first.flags.writeable
    assert not np.shares_memory(first, file.tensor_bytes("t"))
    assert file.tensor_bytes("t").view("<f4").tolist() == [0, 3, 1, 4, 2, 5]


def test_the_pages_of_a_copied_tensor_are_let_go(tmp_path, monkeypatch):
    dropped = []
    monkeypatch.setattr("ollamax.convert.torch_file.drop_pages", dropped.append)
    file = TorchFile(write(tmp_path, state_dict(plain=tensor(FLOATS, (6,), (1,)), t=tensor(FLOATS, (3, 2), (1, 3)))))
    file.tensor_bytes("plain")
    assert not dropped
    file.tensor_bytes("t")
    assert [part.tobytes() for part in dropped] == [VALUES.tobytes()]


def test_closed(tmp_path):
    file = TorchFile(write(tmp_path, GOOD))
    file.close()
    with pytest.raises(CheckpointError, match="already closed"):
        file.tensor_bytes("a")


def test_the_stride_of_one_element_means_nothing(tmp_path):
    file = TorchFile(write(tmp_path, state_dict(a=tensor(FLOATS, (1, 6), (2**62, 1)))))
    assert file.tensor_bytes("a").view("<f4").tolist() == VALUES.tolist()


def test_the_old_format_by_hand(tmp_path):
    values = [("0", 6, VALUES.tobytes())]
    pickled = state_dict(a=tensor(storage("0", b"FloatStorage", 6, b"N"), (6,), (1,)))
    assert TorchFile(legacy(tmp_path / "x", pickled, values)).tensor_bytes("a").view("<f4").tolist() == VALUES.tolist()


@settings(max_examples=100, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    strides=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    offset=st.integers(0, 8),
)
def test_any_view_is_right_or_refused(tmp_path_factory, shape, strides, offset):
    strides = strides[: len(shape)]
    path = tmp_path_factory.mktemp("views")
    indices = np.full(shape, offset)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        indices += (np.arange(size) * stride).reshape([-1 if axis == at else 1 for at in range(len(shape))])
    pickled = state_dict(a=tensor(FLOATS, shape, strides, offset))
    if indices.size and (indices.max() > 5 or indices.size > 6):
        assert "element" in failure(write(path, pickled))
    else:
        got = TorchFile(write(path, pickled)).tensor_bytes("a").view("<f4")
        assert got.tolist() == VALUES[indices].reshape(-1).tolist()


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (tensor(FLOATS, (7,), (1,)), "reaches to element 6 of a storage of 6"),
        (tensor(FLOATS, (2, 3), (3, 1), offset=1), "reaches to element 6"),
        (tensor(FLOATS, (2, 2), (2**61, 1)), "reaches to element 2305843009213693953"),
        (tensor(FLOATS, (1 << 40,), (0,)), "repeats those of a storage of 6"),
        (tensor(FLOATS, (2, 3), (3,)), "_rebuild_tensor_v2 called with unexpected arguments"),
        (tensor(FLOATS, (1,) * 9, (1,) * 9), "unexpected arguments"),
        (tensor(FLOATS, (-1, 6), (6, 1)), "unexpected arguments"),
        (tensor(FLOATS, (2**200,), (1,)), "unexpected arguments"),
        (tensor(FLOATS, (6,), (1,), tail=b"}" + text("neg") + b"\x88s"), "unexpected arguments"),
        (tensor(number(3), (6,), (1,)), "unexpected arguments"),
        (tensor(storage("0", b"FloatStorage", 7), (6,), (1,)), "its storage has another size than it says"),
        (tensor(storage("0", b"HalfStorage", 6), (6,), (1,)), "its storage has another size"),
        (tensor(storage("1", b"FloatStorage", 6), (6,), (1,)), "record 'data/1': is missing"),
        (tensor(storage("../../x", b"FloatStorage", 6), (6,), (1,)), "'data/../../x': is missing"),
        (tensor(storage("0", b"FloatStorage", 2**70), (6,), (1,)), "persistent id that is no storage"),
        (tensor(storage("0", b"FloatStorage", 6, b"(t"), (6,), (1,)), "persistent id that is no storage"),
        (tensor(text("storage") + b"Q", (6,), (1,)), "persistent id that is no storage"),
        (tensor(b"(" + text("module") + text("x") + b"tQ", (6,), (1,)), "persistent id that is no storage"),
        (b"K\x03", "entry a: a int, not a tensor"),
        (b"}", "entry a: a dict, not a tensor"),
    ],
)
def test_tensors_that_do_not_fit_their_storage(tmp_path, broken, problem):
    assert problem in failure(write(tmp_path, state_dict(a=broken)))


# Attacks --------------------------------------------------------------------------------------------------------------

FORBIDDEN = [
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("__builtin__", "eval"),
    ("subprocess", "Popen"),
    ("torch", "load"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch", "FloatStorage.__reduce__"),
    ("collections", "OrderedDict.__init__.__globals__"),
    ("collections", "OrderedDict\x85"),
    ("collections", "deque"),
    ("copyreg", "_reconstructor"),
    ("torch", "_utils._rebuild_tensor_v2"),
    ("torch.storage", "_load_from_bytes"),
]


@pytest.fixture
def trap(monkeypatch):
    """Fails the test if anything forbidden is called."""
    calls = []
    monkeypatch.setattr(os, "system", lambda *arguments: calls.append(arguments))
    yield
    assert not calls


@pytest.mark.parametrize(("module", "name"), FORBIDDEN)
@pytest.mark.parametrize("form", ["GLOBAL", "STACK_GLOBAL", "INST"])
def test_a_global_outside_the_list_is_named_and_nothing_runs(tmp_path, trap, module, name, form):
    argument = text("touch " + str(tmp_path / "owned"))
    title = module.encode() + b"\n" + name.encode("latin-1") + b"\n"
    program = {
        "GLOBAL": b"c" + title + b"(" + argument + b"tR",
        "STACK_GLOBAL": text(module) + text(name) + b"\x93(" + argument + b"tR",
        "INST": b"(" + argument + b"i" + title,
    }[form]
    message = failure(write(tmp_path, state_dict(a=program)))
    if "\x85" not in name:
        assert f"it asks for {module}.{name}, which is not among the 13 names" in message
    assert not (tmp_path / "owned").exists()


class Reduces:
    def __reduce__(self):
        return os.mkdir, ("owned",)


class Sets:
    def __init__(self):
        self.x = 1

    def __setstate__(self, state):
        raise AssertionError("ran")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [Reduces(), Sets(), {"a": Reduces()}, [Sets()], bytearray(b"x"), {1}, frozenset({1})])
def test_objects_of_every_protocol_are_refused(tmp_path, monkeypatch, protocol, value):
    monkeypatch.chdir(tmp_path)
    failure(write(tmp_path, pickle.dumps(value, protocol)))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"ccollections\nOrderedDict\n((" + text("a") + b"K\x01tltR",  # OrderedDict of a list of pairs
        b"ccollections\nOrderedDict\nN\x85R",
        b"ccollections\nOrderedDict\nR",
        b"ctorch\nFloatStorage\n)R",  # storages are types; calling one would allocate
        b"ctorch\nFloatStorage\nJ\xff\xff\xff\x7f\x85R",
        b"ctorch._utils\n_rebuild_parameter\n)R",
        b"ctorch._utils\n_rebuild_parameter\nK\x01\x88" + ORDERED_DICT + b"\x87R",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\nK\x01R",
        b"ctorch\nFloatStorage\n)\x81",  # NEWOBJ
        b"(ctorch\nFloatStorage\no",  # OBJ
        b"ctorch\nFloatStorage\n}" + text("dtype") + b"K\x01sb",  # BUILD would set attributes
        b"K\x01}b",
        ORDERED_DICT + b"K\x01b",
        b"\x82\x01",  # EXT1
        b"Pstorage\n",  # PERSID with a line of text
        b"\x96" + struct.pack("<Q", 3) + b"abc",  # BYTEARRAY8
    ],
)
def test_what_may_not_be_done_with_the_names_on_the_list(tmp_path, program):
    failure(write(tmp_path, state_dict(a=program)))


@pytest.mark.parametrize(
    "program",
    [
        b"N" + b"r\xff\xff\xff\x7f",  # a memo of two thousand million places
        b"(" * 100_000,
        b"X\xff\xff\xff\x7fabc",
        b"\x8d" + struct.pack("<Q", 2**62) + b"abc",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8a\xff" + b"\x7f" * 255,
        b"I" + b"9" * 100_000 + b"\n",
        b"L" + b"9" * 100_000 + b"L\n",
        b"h\x07",
        b"j\xff\xff\xff\xff",
        b"u",
        b"(K\x01u",
        b"0",
        b"",
        b".",
        b"\xff",
        b"t",
        b"a",
        b"\x95" + b"\xff" * 8,
    ],
)
def test_malformed_and_greedy_programs(tmp_path, program):
    failure(write(tmp_path, b"\x80\x02" + program + b"."))
    failure(write(tmp_path, b"\x80\x02" + program))


def test_deep_and_wide_values_are_never_walked(tmp_path):
    deep = b")" + b"\x85" * 50_000
    wide = b")" + b"q\x00h\x00\x86" * 200  # two to the power of two hundred, if anybody looked
    for value in (deep, wide):
        assert "entry a: a tuple, not a tensor" in failure(write(tmp_path, state_dict(a=value)))
        assert "a key of type tuple" in failure(write(tmp_path, b"\x80\x02}" + value + b"K\x01s."))
        assert "unexpected arguments" in failure(write(tmp_path, state_dict(a=tensor(FLOATS, (6,), (1,), tail=value))))
    assert "holds a tuple; a state dict" in failure(write(tmp_path, b"\x80\x02" + wide + b"."))


def test_a_dict_that_holds_itself(tmp_path):
    assert "entry a: a dict" in failure(write(tmp_path, b"\x80\x02}q\x00" + text("a") + b"h\x00s."))


def test_too_many_instructions(tmp_path, monkeypatch):
    monkeypatch.setattr("ollamax.convert.state_dict_pickle._MOST_INSTRUCTIONS", 100)
    assert "more than 100 instructions" in failure(write(tmp_path, b"\x80\x02" + b"N" * 200 + b"."))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=3), st.sampled_from([GOOD[2:-1], ORDERED_DICT, FLOATS])), max_size=8))
def test_any_program_is_refused_or_read(tmp_path_factory, parts):
    path = write(tmp_path_factory.mktemp("fuzz"), b"\x80\x02" + b"".join(parts) + b".")
    try:
        file = TorchFile(path)
    except CheckpointError:
        return
    for name in file.tensors:
        file.tensor_bytes(name)


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 2000), byte=st.integers(0, 255), old=st.booleans())
@example(position=81, byte=ord("\\"), old=False)  # pickletools warns of it
def test_any_changed_byte_is_refused_or_read(tmp_path_factory, position, byte, old):
    path = tmp_path_factory.mktemp("flip") / "model.bin"
    legacy(path, GOOD, [("0", 6, VALUES.tobytes())]) if old else archive(path, GOOD, [("0", VALUES.tobytes())])
    data = bytearray(path.read_bytes())
    data[position % len(data)] = byte
    path.write_bytes(data)
    try:
        file = TorchFile(path)
    except CheckpointError:
        return
    for name, info in file.tensors.items():
        assert file.tensor_bytes(name).size % max(1, int(np.prod(info.shape))) == 0


# The archive ----------------------------------------------------------------------------------------------------------


def test_a_compressed_record(tmp_path):
    path = write(tmp_path, GOOD, [("0", bytes(10_000))], compression=zipfile.ZIP_DEFLATED)
    assert "is compressed, which torch.save never does" in failure(path)


@pytest.mark.parametrize(("folder", "problem"), [("model/deep", None), ("a b", None)])
def test_the_folder_may_have_any_name(tmp_path, folder, problem):
    assert TorchFile(write(tmp_path, GOOD, folder=folder)).tensors.keys() == {"a"}


def test_big_endian_values(tmp_path):
    assert "not little-endian" in failure(write(tmp_path, GOOD, byteorder=b"big"))


def test_other_archives(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme", "hello")
    assert "a zip archive without a data.pkl" in failure(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", GOOD)
        file.writestr("m/code/x.py", "")
    assert "a TorchScript archive" in failure(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_records_of_one_name(tmp_path):
    assert "two records of one name" in failure(write(tmp_path, GOOD, [("0", b"x"), ("0", b"y")]))


def central(data, name):
    """Where the central directory has the entry ``name``."""
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name:
        at = data.index(b"PK\x01\x02", at + 1)
    return at


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (20, struct.pack("<II", 1 << 30, 1 << 30), "lies outside the file"),  # both sizes
        (24, struct.pack("<I", 1 << 30), "is compressed"),  # a stored record that claims to unpack to more
        (42, struct.pack("<I", 1 << 30), ""),  # where it begins
        (42, struct.pack("<I", 0), "overlaps another"),
        (8, struct.pack("<H", 1), "is encrypted"),
    ],
)
def test_a_directory_that_lies(tmp_path, place, value, problem):
    path = write(tmp_path, GOOD)
    data = bytearray(path.read_bytes())
    at = central(data, b"model/data/0") + place
    data[at : at + len(value)] = value
    path.write_bytes(data)
    assert problem in failure(path)


@pytest.mark.parametrize("keep", [0, 3, 10, 100, -30, -1])
@pytest.mark.parametrize("old", [False, True])
def test_truncated_files(tmp_path, keep, old):
    path = tmp_path / "model.bin"
    legacy(path, GOOD, [("0", 6, VALUES.tobytes())]) if old else archive(path, GOOD, [("0", VALUES.tobytes())])
    path.write_bytes(path.read_bytes()[:keep])
    failure(path)


def test_what_is_no_file_of_torch(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "a Git LFS pointer; fetch the file itself with `git lfs pull`" in failure(path)
    for data in (b"<html>", b"\x80\x02K\x01."):
        path.write_bytes(data)
        assert "not a file that torch.save wrote" in failure(path)
    path.unlink()
    path.mkdir()
    assert "not a regular file" in failure(path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"version": 1000}, "not 1001"),
        ({"little": b"\x89"}, "not little-endian"),
        ({"storages": [("0", 2**60, b"")]}, "lies outside the file"),
        ({"storages": [("0", 5, VALUES.tobytes())]}, "another size than it says"),
        ({"storages": [("1", 6, VALUES.tobytes())]}, "names one that no tensor uses"),
        ({"storages": []}, "storage '0': is missing"),
    ],
)
def test_the_old_format_checks_its_storages(tmp_path, options, problem):
    options = {"storages": [("0", 6, VALUES.tobytes())], **options}
    assert problem in failure(legacy(tmp_path / "x.bin", GOOD, **options))
