"""The alignment of tensor data in a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ALIGNMENT_KEY = "general.alignment"
DEFAULT_ALIGNMENT = 32


def alignment_of(typed_metadata: Mapping[str, Any]) -> int:
    """``general.alignment``, or the default of 32 bytes; raises ValueError unless it is a uint32 power of two."""
    value = typed_metadata.get(ALIGNMENT_KEY, np.uint32(DEFAULT_ALIGNMENT))
    if not isinstance(value, np.uint32) or int(value).bit_count() != 1:
        found = f"{value} ({value.dtype})" if isinstance(value, np.generic) else type(value).__name__
        raise ValueError(f"a uint32 power of two was expected, not {found}")
    return int(value)
