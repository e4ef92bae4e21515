"""Writing files so that they are either whole or not there, also after a crash."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ollamax.errors import StoreError

TEMPORARY = ".partial-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Turn what the disk says about the store at ``root`` into a StoreError."""
    try:
        yield
    except OSError as error:
        place = error.filename or root
        if error.errno in _FULL:
            raise StoreError(
                f"{place}: the disk is full; free some space, or set OLLAMAX_MODELS to a directory on another disk"
            ) from error
        raise StoreError(
            f"{place}: the model store cannot be used: {error.strerror or error}; "
            "mend that, or set OLLAMAX_MODELS to another directory"
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``; until then it keeps what it held, and nothing else remains of a failure."""
    partial = path.with_name(TEMPORARY + secrets.token_hex(8))
    try:
        with partial.open("xb") as file:
            file.write(data)
            flush_to_disk(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush_directory(path.parent)


def flush_to_disk(file: IO[bytes]) -> None:
    """Return when what was written to ``file`` will survive a loss of power."""
    file.flush()
    os.fsync(file.fileno())


def flush_directory(path: Path) -> None:
    """The same for the names in a directory. Windows has no such call and does not need it."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
