"""Dropping the pages of mapped files."""

import mmap
import sys

import numpy as np
import pytest

from ollamax.gguf import open_gguf
from ollamax.gguf.writer import write_gguf
from ollamax.mapped_pages import drop_pages, in_mapped_file
from ollamax.testing.page_case import resident
from ollamax.types import DType, TensorInfo

SIZE = 8 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are left to decide")
def test_pages_of_a_mapped_file_go_and_come_back(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    whole = np.memmap(path, np.uint8, "r")
    part = whole[1000 : SIZE - 1000].view(np.uint32)
    total = int(part.sum())
    assert resident(path) > SIZE // 2
    drop_pages(part)
    assert resident(path) == 0
    assert int(part.sum()) == total


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are left to decide")
def test_the_view_of_a_gguf_file_is_one(tmp_path):
    path = tmp_path / "sha256-0123"  # as in a store
    info = TensorInfo("a", DType.F32, (SIZE // 4,))
    write_gguf(path, {"general.architecture": "toy"}, [info], lambda _name: np.ones(SIZE, np.uint8))
    with open_gguf(path) as file:
        data = file.tensor_bytes("a")
        assert int(data.sum()) == SIZE
        assert in_mapped_file(data)
        drop_pages(data)
        assert resident(path) < SIZE // 8


def test_memory_that_is_no_files_stays():
    array = np.ones(SIZE, np.uint8)
    drop_pages(array)
    array.flags.writeable = False
    drop_pages(array)
    anonymous = mmap.mmap(-1, SIZE)
    anonymous.write(b"\1" * SIZE)
    view = np.frombuffer(anonymous, np.uint8)
    drop_pages(view)
    drop_pages(view[:0])
    assert not in_mapped_file(array)
    assert array.all()
    assert view.all()
