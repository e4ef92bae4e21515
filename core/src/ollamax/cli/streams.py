"""Standard streams that are there whatever the caller did to them, and that take any text."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Stand the null device in for closed standard streams, and let standard output take any character.

    Python leaves None where a stream is closed. What an encoding other than UTF-8 lacks is written as a question mark.
    """
    # In this order each gets the descriptor that its stream had, so that none falls to a file of ours.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
