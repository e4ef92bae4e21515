"""Damaged files raise GGUFError or are read within bounds, and never take memory out of proportion."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamax.errors import GGUFError
from ollamax.gguf import open_gguf


def survive(raw, content: bytes) -> str:
    """Open ``content`` and touch all of it; the error's message if there is one."""
    path = raw.write(content)
    try:
        with open_gguf(path) as file:
            for name, info in file.tensors.items():
                data = file.tensor_bytes(name)
                assert data.size == info.nbytes
                assert file.offset(name) + data.size <= len(content)
                assert data.tobytes() == content[file.offset(name) : file.offset(name) + data.size]
    except GGUFError as error:
        return str(error)
    return ""


def check(raw, content: bytes) -> None:
    assert "\n" not in survive(raw, content)


def test_truncation_at_every_offset(raw, sample):
    for size in range(len(sample)):
        message = survive(raw, sample[:size])
        assert message, size
        assert "\n" not in message


@pytest.mark.parametrize(
    "number", [0, 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1]
)
def test_any_eight_bytes_replaced(raw, sample, number):
    for place in range(len(sample) - 8):
        check(raw, sample[:place] + struct.pack("<Q", number) + sample[place + 8 :])


@pytest.mark.parametrize("number", [0, 5, 9, 13, 1 << 31, (1 << 32) - 1])
def test_any_four_bytes_replaced(raw, sample, number):
    for place in range(len(sample) - 4):
        check(raw, sample[:place] + struct.pack("<I", number) + sample[place + 4 :])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8))
def test_random_bytes_replaced(raw_session, sample, changes):
    content = bytearray(sample)
    for place, byte in changes:
        content[place % len(content)] = byte
    check(raw_session, bytes(content))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(2, 3), st.integers(0, 3), st.integers(0, 3))
def test_random_content_after_the_header(raw_session, content, version, n_tensors, n_entries):
    check(raw_session, b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_entries) + content)


def peak_while_failing(raw, content: bytes) -> int:
    path = raw.write(content)
    tracemalloc.start()
    try:
        with pytest.raises(GGUFError):
            open_gguf(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [0, 4, 7, 8, 9, 12])
def test_a_huge_array_length_allocates_nothing(raw, kind):
    for count in (1 << 28, 1 << 34, (1 << 64) - 1):
        content = raw.content((raw.entry("key", 9, raw.array(kind, count, bytes(256))),))
        assert peak_while_failing(raw, content) < 1 << 18


def test_a_sparse_file_cannot_be_all_header(raw):
    """Half a gigabyte of zeros on paper: 64 million empty strings if the reader believed it."""
    size = 1 << 29
    for kind, count in ((8, size // 8), (0, size), (9, size // 12)):
        path = raw.write(raw.content((raw.entry("key", 9, raw.array(kind, count, b"")),)))
        with path.open("r+b") as stream:
            stream.truncate(size + 4096)
        with pytest.raises(GGUFError, match=str(count)):
            open_gguf(path)
    path = raw.write(raw.content((raw.entry("key", 8, struct.pack("<Q", size)),)))
    with path.open("r+b") as stream:
        stream.truncate(size + 4096)
    with pytest.raises(GGUFError, match="header's limit"):
        open_gguf(path)
