"""Files that are written come back as they were, and failures leave nothing behind."""

from __future__ import annotations

import io
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamax.errors import GGUFError
from ollamax.gguf import open_gguf, write_gguf, write_gguf_to
from ollamax.types import DType, TensorInfo

TENSORS = [
    TensorInfo("token_embd.weight", DType.F32, (3, 5)),
    TensorInfo("blk.0.attn_q.weight", DType.Q8_0, (2, 64)),
    TensorInfo("none", DType.F16, (0, 4)),
    TensorInfo("output_norm.weight", DType.F16, (7,)),
]


def data(name: str) -> np.ndarray:
    size = next(info.nbytes for info in TENSORS if info.name == name)
    return np.random.default_rng(size).integers(0, 256, size, np.uint8)


def same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def test_round_trip(tmp_path):
    metadata = {
        "general.architecture": "llama",
        "general.alignment": 64,
        "empty": "",
        "text": "zwölf\n猫",
        "list": ["a", ""],
        "array": np.arange(3, dtype=np.uint16),
        "nested": [["x"], [np.array([1.5], np.float32)]],
    }
    path = tmp_path / "model.gguf"
    write_gguf(path, metadata, TENSORS, data)
    with open_gguf(path) as file:
        assert list(file.metadata) == list(metadata)
        assert all(same(file.metadata[key], value) for key, value in metadata.items())
        assert list(file.tensors.values()) == TENSORS
        assert file.alignment == 64
        assert all(file.offset(info.name) % 64 == 0 for info in TENSORS)
        for info in TENSORS:
            np.testing.assert_array_equal(file.tensor_bytes(info.name), data(info.name))
        again = tmp_path / "again.gguf"
        write_gguf(again, file.typed_metadata, file.tensors.values(), file.tensor_bytes)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["again.gguf", "model.gguf"]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (5, np.uint32),
        ((1 << 32) - 1, np.uint32),
        (-1, np.int32),
        (1 << 32, np.int64),
        (-(1 << 40), np.int64),
        (1 << 63, np.uint64),
        (0.5, np.float32),
        (float("inf"), np.float32),
        (True, np.bool),
        (np.uint8(5), np.uint8),
        (np.int16(-5), np.int16),
        (np.uint64(5), np.uint64),
        (np.float64(0.1), np.float64),
        (np.bool(False), np.bool),
        (DType.Q8_0, np.uint32),
    ],
)
def test_types_of_scalars(tmp_path, value, stored):
    write_gguf(tmp_path / "f", {"key": value}, [], data)
    with open_gguf(tmp_path / "f") as file:
        assert type(file.typed_metadata["key"]) is stored
        assert file.metadata["key"] == value


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ([1, -2], np.int32),
        ([1 << 31], np.int64),
        ([1 << 63], np.uint64),
        ([0.5, 1], np.float32),
        ([True, False], np.bool),
        ((1, 2), np.int32),
        ([np.uint8(1), np.uint8(2)], np.uint8),
        (np.zeros(0, np.float64), np.float64),
        (np.array([1, 2], ">u4"), np.uint32),
    ],
)
def test_types_of_arrays(tmp_path, value, stored):
    write_gguf(tmp_path / "f", {"key": value}, [], data)
    with open_gguf(tmp_path / "f") as file:
        assert file.metadata["key"].dtype == stored
        assert file.metadata["key"].tolist() == list(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": 1},
        b"bytes",
        1 << 64,
        -(1 << 63) - 1,
        [1 << 64],
        1e300,
        [1.0, 1e300],
        ["a", 1],
        [True, 1],
        "\ud800",
        ["\ud800"],
        np.float16(1),
        np.zeros(2, np.complex64),
        np.zeros((2, 2), np.float32),
        [[[[[1]]]]],
    ],
)
def test_values_that_gguf_cannot_hold(tmp_path, value):
    with pytest.raises(GGUFError) as caught:
        write_gguf(tmp_path / "f", {"the.key": value}, [], data)
    assert caught.value.where == "key 'the.key'"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["", "k" * 65536, "\udc00"])
def test_keys_that_gguf_cannot_hold(tmp_path, key):
    with pytest.raises(GGUFError):
        write_gguf(tmp_path / "f", {key: 1}, [], data)


@pytest.mark.parametrize("value", [0, 48, -32, True, "32", np.uint64(32), 1 << 32])
def test_alignment_that_is_no_uint32_power_of_two(tmp_path, value):
    with pytest.raises(GGUFError, match=r"general\.alignment.*power of two"):
        write_gguf(tmp_path / "f", {"general.alignment": value}, [], data)


@pytest.mark.parametrize(
    "info",
    [
        TensorInfo("", DType.F32, (1,)),
        TensorInfo("n" * 64, DType.F32, (1,)),
        TensorInfo("\ud800", DType.F32, (1,)),
        TensorInfo("w", DType.F32, ()),
        TensorInfo("w", DType.F32, (1, 1, 1, 1, 1)),
        TensorInfo("w", DType.Q4_0, (32, 16)),
    ],
)
def test_tensors_that_gguf_cannot_hold(tmp_path, info):
    with pytest.raises(GGUFError, match="tensor"):
        write_gguf(tmp_path / "f", {}, [info], lambda name: np.zeros(4, np.uint8))
    assert not list(tmp_path.iterdir())


def test_duplicate_tensors_and_data_of_another_size(tmp_path):
    info = TensorInfo("w", DType.F32, (4,))
    with pytest.raises(GGUFError, match="tensor 'w': the name occurs twice"):
        write_gguf(tmp_path / "f", {}, [info, info], lambda name: np.zeros(16, np.uint8))
    for wrong in (np.zeros(15, np.uint8), np.zeros(4, np.float32)):
        with pytest.raises(GGUFError, match="tensor 'w': its data is"):
            write_gguf(tmp_path / "f", {}, [info], lambda name, wrong=wrong: wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"old")

    def stop(name: str) -> np.ndarray:
        if name == "output_norm.weight":
            raise error
        return data(name)

    with pytest.raises(error):
        write_gguf(path, {}, TENSORS, stop)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_refuses(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GGUFError, match="cannot be written: No space left on device"):
        write_gguf(tmp_path / "model.gguf", {}, TENSORS, data)
    assert not list(tmp_path.iterdir())
    with pytest.raises(GGUFError, match="cannot be written: No such file"):
        write_gguf(tmp_path / "absent" / "model.gguf", {}, [], data)


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write_gguf(tmp_path / "model.gguf", {}, [], data)
    assert (tmp_path / "model.gguf").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_progress_counts_tensor_bytes():
    calls: list[tuple[int, int]] = []
    write_gguf_to(io.BytesIO(), {}, TENSORS, data, progress=lambda done, total: calls.append((done, total)))
    sizes = np.cumsum([info.nbytes for info in TENSORS]).tolist()
    assert calls == [(size, sizes[-1]) for size in sizes]


def test_a_sink_needs_only_write_and_gets_the_same_bytes(tmp_path):
    class Sink:
        def __init__(self) -> None:
            self.content = bytearray()

        def write(self, part: memoryview) -> None:
            self.content += part

    sink = Sink()
    written = write_gguf_to(sink, {"a": 1}, TENSORS, data)
    write_gguf(tmp_path / "f", {"a": 1}, TENSORS, data)
    assert bytes(sink.content) == (tmp_path / "f").read_bytes()
    assert written == len(sink.content)
    assert sink.content.startswith(b"GGUF" + struct.pack("<IQQ", 3, 4, 1))


def test_one_tensor_in_memory_at_a_time():
    alive = most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= self.base is None

    def counted(name: str) -> np.ndarray:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return Counted((1 << 16,), np.uint8)

    infos = [TensorInfo(f"w{index}", DType.I8, (1 << 16,)) for index in range(5)]
    write_gguf_to(io.BytesIO(), {}, infos, counted)
    assert most == 1


SCALARS = st.one_of(
    st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(width=32, allow_nan=False), st.text(max_size=20)
)
ARRAYS = st.one_of(
    st.lists(st.text(max_size=8), max_size=5),
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=30), SCALARS | ARRAYS, max_size=6))
def test_any_metadata_comes_back(raw_session, metadata):
    metadata.pop("general.alignment", None)
    path = raw_session.directory / "any.gguf"
    write_gguf(path, metadata, [], data)
    with open_gguf(path) as file:
        found = dict(file.metadata)
    found.update((key, value.tolist()) for key, value in found.items() if isinstance(value, np.ndarray))
    assert found == metadata
    assert all(isinstance(found[key], bool) == isinstance(value, bool) for key, value in metadata.items())
