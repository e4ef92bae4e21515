"""Letting go of a mapped file's pages that have been read, so that a process does not seem to hold the whole file."""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


def drop_pages(array: npt.NDArray[Any]) -> None:
    """Give the pages under ``array`` back to the system if it is a view of a file mapped for reading; else nothing.

    They are read again from the file when they are touched again. A contiguous array is expected; pages that it
    shares with its neighbours go too. Linux only: elsewhere the system is left to decide.
    """
    import numpy as np

    owner = _mapping(array)
    # On memory that is written to, this advice would lose data.
    if sys.platform != "linux" or owner is None or array.flags.writeable or not array.size:
        return
    begin = array.__array_interface__["data"][0] - np.frombuffer(owner, np.uint8).__array_interface__["data"][0]
    start = begin - begin % mmap.PAGESIZE
    owner.madvise(mmap.MADV_DONTNEED, start, begin + array.nbytes - start)


def in_mapped_file(array: npt.NDArray[Any]) -> bool:
    """Whether ``array`` is a view of a mapped file, whose pages take memory only once they are read."""
    return _mapping(array) is not None


def _mapping(array: npt.NDArray[Any]) -> mmap.mmap | None:
    import numpy as np

    owner: object = array
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return owner if isinstance(owner, mmap.mmap) else None
