"""Every fault of a file is a GGUFError which says where it is."""

from __future__ import annotations

import os
import struct

import pytest

from ollamax.errors import GGUFError
from ollamax.gguf import open_gguf

HUGE = (1 << 64) - 1


def fault(raw, content: bytes) -> GGUFError:
    with pytest.raises(GGUFError) as caught:
        open_gguf(raw.write(content))
    assert str(raw.directory) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def entry_fault(raw, *entries: bytes) -> GGUFError:
    return fault(raw, raw.content(entries))


def tensor_fault(raw, *tensors: bytes, data: bytes = bytes(4096)) -> GGUFError:
    return fault(raw, raw.content((), tensors, data))


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        (0, "version 0 is not supported"),
        (1, "version 1 is obsolete"),
        (4, "version 4 is not supported"),
        (3 << 24, "big-endian"),
        (2 << 24, "big-endian"),
    ],
)
def test_versions(raw, version, problem):
    error = fault(raw, raw.content(version=version))
    assert error.offset == 4
    assert problem in error.problem


def test_counts_larger_than_the_file(raw):
    error = fault(raw, raw.content(n_tensors=HUGE))
    assert (error.offset, error.where) == (8, "header")
    assert "number of tensors" in error.problem
    error = fault(raw, raw.content(n_entries=1 << 40))
    assert error.offset == 16
    assert "metadata entries" in error.problem


def test_a_file_that_ends_in_its_header(raw):
    assert "version" in fault(raw, b"GGUF").problem
    assert "tensors" in fault(raw, b"GGUF\3\0\0\0").problem


def test_key_longer_than_the_file(raw):
    error = entry_fault(raw, struct.pack("<Q", 1 << 50) + bytes(20))
    assert error.where == "metadata entry 0 of 1"
    assert str(1 << 50) in error.problem


@pytest.mark.parametrize("key", ["", "k" * 65536])
def test_key_of_a_forbidden_length(raw, key):
    assert "65535" in entry_fault(raw, raw.entry(key, 10, bytes(8))).problem


def test_key_that_is_not_utf8(raw):
    error = entry_fault(raw, raw.entry(b"\xff\xfe", 0, b"\0"))
    assert "not UTF-8" in error.problem
    assert error.offset == 24


def test_control_characters_in_a_key_stay_on_one_line(raw):
    error = entry_fault(raw, raw.entry("a\nb\x1b", 99, b"\0"))
    assert error.where == r"key 'a\nb\x1b'"


def test_duplicate_key(raw):
    entry = raw.entry("twice", 0, b"\0")
    error = entry_fault(raw, entry, entry)
    assert error.where == "key 'twice'"
    assert "twice" in error.problem
    assert error.offset == 24 + len(entry)


@pytest.mark.parametrize("kind", [13, 255, (1 << 32) - 1])
def test_unknown_value_type(raw, kind):
    error = entry_fault(raw, raw.entry("key", kind, bytes(64)))
    assert error.where == "key 'key'"
    assert error.offset == 24 + 11
    assert str(kind) in error.problem
    assert str(kind) in entry_fault(raw, raw.entry("key", 9, raw.array(kind, 1, bytes(64)))).problem


@pytest.mark.parametrize("value", [2, 255])
def test_bool_that_is_neither(raw, value):
    assert "0 or 1" in entry_fault(raw, raw.entry("flag", 7, bytes([value]))).problem
    error = entry_fault(raw, raw.entry("flags", 9, raw.array(7, 3, bytes([1, value, 0]))))
    assert error.offset == 24 + 13 + 4 + 12 + 1


def test_string_value_longer_than_the_file(raw):
    error = entry_fault(raw, raw.entry("key", 8, struct.pack("<Q", HUGE) + b"abc"))
    assert error.where == "key 'key'"


def test_string_value_that_is_not_utf8(raw):
    assert "not UTF-8" in entry_fault(raw, raw.entry("key", 8, raw.string(b"\xed\xa0\x80"))).problem


@pytest.mark.parametrize("kind", [0, 6, 7, 8, 9, 12])
def test_array_longer_than_the_file(raw, kind):
    for count in (HUGE, 1 << 32, 100):
        error = entry_fault(raw, raw.entry("key", 9, raw.array(kind, count, bytes(50))))
        assert str(count) in error.problem
        assert error.where == "key 'key'"


def test_string_in_an_array_that_runs_past_the_end(raw):
    strings = raw.string("one") + struct.pack("<Q", 1 << 60) + bytes(30)
    error = entry_fault(raw, raw.entry("key", 9, raw.array(8, 3, strings)))
    assert "element 1 of 3" in error.problem
    assert error.offset == 24 + 11 + 4 + 12 + 11


def test_string_array_that_ends_within_a_length(raw):
    error = entry_fault(raw, raw.entry("key", 9, raw.array(8, 2, raw.string("abcde") + bytes(5))))
    assert "element 1 of 2" in error.problem


def test_string_in_an_array_that_is_not_utf8(raw):
    error = entry_fault(raw, raw.entry("key", 9, raw.array(8, 2, raw.string("fine") + raw.string(b"\x80"))))
    assert "element 1 is not UTF-8" in error.problem


def nest(raw, depth: int) -> bytes:
    inner = raw.array(0, 1, b"\7")
    for _ in range(depth - 1):
        inner = raw.array(9, 1, inner)
    return raw.entry("deep", 9, inner)


def test_depth_of_arrays(raw):
    with open_gguf(raw.write(raw.content((nest(raw, 4),)))) as file:
        assert file.metadata["deep"][0][0][0].tolist() == [7]
    for depth in (5, 2000):
        assert "nested more than 4" in entry_fault(raw, nest(raw, depth)).problem


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (4, struct.pack("<I", 0)),
        (4, struct.pack("<I", 24)),
        (10, struct.pack("<Q", 32)),
        (5, struct.pack("<i", 32)),
        (8, struct.pack("<Q", 2) + b"32"),
        (7, b"\1"),
        (9, struct.pack("<IQI", 4, 1, 32)),
    ],
)
def test_alignment_is_a_uint32_power_of_two(raw, kind, payload):
    error = entry_fault(raw, raw.entry("general.alignment", kind, payload))
    assert error.where == "key 'general.alignment'"
    assert error.offset == 24
    assert "power of two" in error.problem


def test_alignment_that_moves_the_data_out_of_the_file(raw):
    entry = raw.entry("general.alignment", 4, struct.pack("<I", 1 << 31))
    error = fault(raw, raw.content((entry,), (raw.tensor("w", (4,), 0, 0),), bytes(64)))
    assert error.where == "tensor 'w'"


@pytest.mark.parametrize("count", [0, 5, (1 << 32) - 1])
def test_number_of_dimensions(raw, count):
    tensor = raw.string("w") + struct.pack("<I", count) + bytes(200)
    error = tensor_fault(raw, tensor)
    assert error.where == "tensor 'w'"
    assert f"{count} dimensions" in error.problem


@pytest.mark.parametrize("sizes", [(HUGE,), (1 << 32, 1 << 32), (0, 1 << 63), (1 << 31,) * 4])
def test_dimensions_whose_product_overflows(raw, sizes):
    assert "too large" in tensor_fault(raw, raw.tensor("w", sizes, 0, 0)).problem


@pytest.mark.parametrize("kind", [4, 5, 31, 33, 1000, (1 << 32) - 1])
def test_unknown_tensor_type(raw, kind):
    error = tensor_fault(raw, raw.tensor("w", (32,), kind, 0))
    assert error.where == "tensor 'w'"
    assert str(kind) in error.problem


@pytest.mark.parametrize(("size", "kind"), [(33, 8), (16, 2), (128, 12)])
def test_rows_that_blocks_do_not_divide(raw, size, kind):
    assert "blocks" in tensor_fault(raw, raw.tensor("w", (size, 32), kind, 0)).problem


def test_offset_that_is_not_aligned(raw):
    assert "alignment 32" in tensor_fault(raw, raw.tensor("w", (4,), 0, 16)).problem


@pytest.mark.parametrize("offset", [96, 4096, 1 << 40, (1 << 64) - 32])
def test_tensor_outside_the_file(raw, offset):
    error = tensor_fault(raw, raw.tensor("w", (32,), 0, offset), data=bytes(128))
    assert error.where == "tensor 'w'"
    assert "is it complete" in error.problem


def test_tensors_that_overlap(raw):
    error = tensor_fault(raw, raw.tensor("first", (16,), 0, 0), raw.tensor("second", (16,), 0, 32))
    assert error.where == "tensor 'second'"
    assert "overlap those of tensor 'first'" in error.problem


def test_duplicate_tensor(raw):
    error = tensor_fault(raw, raw.tensor("w", (4,), 0, 0), raw.tensor("w", (4,), 0, 32))
    assert "twice" in error.problem


def test_tensor_name_that_is_empty_or_not_utf8(raw):
    assert "65535" in tensor_fault(raw, raw.tensor("", (4,), 0, 0)).problem
    assert "not UTF-8" in tensor_fault(raw, raw.tensor(b"\xc3", (4,), 0, 0)).problem


def test_an_absurd_name_is_cut_in_messages(raw):
    assert len(str(tensor_fault(raw, raw.tensor("x" * 60000, (4,), 99, 0)))) < 600


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"GG", "not a GGUF file"),
        (b"PK\3\4" + bytes(60), "zip"),
        (b"\x80\2}q\0.", "pickle"),
        (struct.pack("<Q", 60) + b'{"__metadata__":{}}', "safetensors"),
        (b"\n <!DOCTYPE html><html>", "web page"),
        (b'{"model_type": "llama"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"tjgg\3\0\0\0", "before GGUF"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"hello\nworld", "begins with b'hell'"),
    ],
)
def test_what_another_file_looks_like(raw, content, words):
    assert words in fault(raw, content).problem


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(GGUFError, match="No such file"):
        open_gguf(tmp_path / "missing.gguf")
    with pytest.raises(GGUFError, match="no regular file"):
        open_gguf(tmp_path)
    with pytest.raises(GGUFError, match="cannot be opened"):
        open_gguf("nul\0.gguf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GGUFError, match="no regular file"):
        open_gguf(tmp_path / "pipe")
