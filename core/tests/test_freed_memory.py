"""Freed memory goes back to the system."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from ollamax.freed_memory import give_back


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc gives back when asked"
)
def test_what_was_freed_below_something_in_use_is_given_back() -> None:
    blocks = [np.ones(100_000, np.uint8) for _ in range(1000)]
    pins = blocks[::100]
    del blocks
    before = resident()
    give_back()
    assert resident() < before - 50e6
    assert all(pin.all() for pin in pins)


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    give_back()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    give_back()
