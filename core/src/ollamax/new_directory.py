"""Writing a directory so that it is whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ollamax.errors import OutputError, UsageError


def check_new(directory: Path) -> None:
    """Raise UsageError unless ``directory`` can be made: it does not exist or is empty, and the one above it exists."""
    if not directory.parent.is_dir():
        raise UsageError(f"{directory}: the folder above it does not exist; make it first")
    if os.path.lexists(directory) and not (directory.is_dir() and not any(directory.iterdir())):
        raise UsageError(f"{directory} exists and is not an empty directory; name a new one")


@contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """An empty folder to write to, which becomes ``directory`` at the end of the block; a block that fails leaves none.

    Raises UsageError as ``check_new`` does, and OutputError for what the disk says within the block.
    """
    check_new(directory)
    unfinished = directory.parent / f".{secrets.token_hex(8)}.partial"
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.replace(directory)
    except OSError as error:
        raise OutputError(f"{directory} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
