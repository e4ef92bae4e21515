"""The safetensors reader: exact bytes from good files, CheckpointError from every bad one."""

import contextlib
import math
import os

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollamax.convert.safetensors import SafetensorsFile
from ollamax.errors import CheckpointError

from .conftest import bf16, entry, pack, write_safetensors

F32 = entry("F32", [2], 0, 8)


def test_reads_what_the_library_writes(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {
        "one": np.arange(6, dtype=np.float32).reshape(2, 3),
        "two": np.arange(5, dtype=np.float16),
        "none": np.zeros((0, 4), np.float32),
    }
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    file = SafetensorsFile(path)
    assert set(file.tensors) == set(arrays)
    for name, array in arrays.items():
        assert file.tensors[name].shape == array.shape
        assert file.tensor_bytes(name).tobytes() == array.tobytes()


def test_bf16_is_a_read_only_view_of_the_mapped_file(tmp_path):
    path = tmp_path / "a.safetensors"
    raw = bf16([1.0, -2.5, 0.0])
    write_safetensors(path, {"b": ("BF16", (3,), raw)})
    file = SafetensorsFile(path)
    view = file.tensor_bytes("b")
    assert view.tobytes() == raw
    assert np.shares_memory(view, file.tensor_bytes("b"))
    assert not view.flags.writeable
    file.close()
    assert view.tobytes() == raw
    with pytest.raises(CheckpointError, match="closed"):
        file.tensor_bytes("b")


BAD = {
    "too few bytes": (pack({"a": F32}, bytes(7)), "truncated"),
    "bytes that belong to nothing": (pack({"a": F32}, bytes(9)), "covered"),
    "header length of 2**63": (pack({"a": F32}, bytes(8), length=2**63), "header too large"),
    "header longer than the file": (pack({"a": F32}, bytes(8), length=5000), "header length"),
    "header length zero": (pack({"a": F32}, bytes(8), length=0), "damaged"),
    "overlap": (pack({"a": F32, "b": entry("F32", [2], 4, 12)}, bytes(12)), "`b`"),
    "same bytes twice": (pack({"a": F32, "b": F32}, bytes(8)), "invalid offset"),
    "hole": (pack({"a": F32, "b": entry("F32", [2], 12, 20)}, bytes(20)), "`b`"),
    "negative offset": (pack({"a": entry("F32", [2], -8, 0)}, bytes(8)), "-8"),
    "end before start": (pack({"a": entry("F32", [2], 8, 0)}, bytes(8)), "invalid"),
    "beyond the end": (pack({"a": entry("F32", [2], 2**40, 2**40 + 8)}, bytes(8)), "invalid"),
    "shape does not give the size": (pack({"a": entry("F32", [3], 0, 8)}, bytes(8)), "shape"),
    "shape overflows": (pack({"a": entry("F32", [2**40, 2**40], 0, 8)}, bytes(8)), "overflow"),
    "negative dimension": (pack({"a": entry("F32", [-2], 0, 8)}, bytes(8)), "-2"),
    "unknown type": (pack({"a": entry("F99", [2], 0, 8)}, bytes(8)), "F99"),
    "no JSON": (pack(b"hello", bytes(8)), "JSON"),
    "no UTF-8": (pack(b"\xff\xfe{}", bytes(8)), "UTF-8"),
    "a list": (pack(b"[]"), "JSON"),
    "nested deeply": (pack(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "recursion"),
    "tensor that is no object": (pack({"a": 3}, bytes(8)), "JSON"),
    "missing offsets": (pack({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)), "data_offsets"),
    "one name twice": (
        pack(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
             b'"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}', bytes(8)),
        "key 'a': occurs twice",
    ),
    "line break in a name": (pack({"a\nb": F32}, bytes(8)), r"'a\\nb'"),
    "name of 300 characters": (pack({"a" * 300: F32}, bytes(8)), "too long"),
    "empty file": (b"", "the file is empty"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "three bytes": (b"abc", "header too small"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "problem"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_that_names_it(tmp_path, data, problem):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=problem) as caught:
        SafetensorsFile(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    whole = pack({"a": F32, "b": entry("F16", [3], 8, 14)}, bytes(14))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            SafetensorsFile(path)


WIDTHS = {"F32": 4, "I32": 4, "U32": 4, "F64": 8, "I64": 8, "U64": 8, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
WIDTHS |= {"C64": 8, "I8": 1, "U8": 1, "BOOL": 1}
WHOLE = pack({"a": F32, "__metadata__": {"x": "y"}, "b": entry("BF16", [3, 2], 8, 20)}, bytes(range(20)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), min_size=1, max_size=4))
def test_changed_bytes_give_an_error_or_tensors_inside_the_file(tmp_path, changes):
    data = bytearray(WHOLE)
    for place, value in changes.items():
        data[place] = value
    path = tmp_path / "changed.safetensors"
    path.write_bytes(data)
    with contextlib.suppress(CheckpointError):
        file = SafetensorsFile(path)
        for name, tensor in file.tensors.items():
            assert file.tensor_bytes(name).size == WIDTHS[tensor.dtype] * math.prod(tensor.shape)


def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "absent"):
        with pytest.raises(CheckpointError, match="not a regular file"):
            SafetensorsFile(path)
