"""Memory that was freed and that the C library keeps for later."""

from __future__ import annotations

import sys


def give_back() -> None:
    """Give the system what was freed.

    glibc keeps what lies below anything still in use: more than a model's size once that was closed. Other C libraries
    have no such call, and nothing is done there.
    """
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
