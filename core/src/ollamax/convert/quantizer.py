"""The quantizer contract: what writes the blocks of a storage type, and the choice between several."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, ClassVar

from ollamax.errors import ConversionError
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]


class Quantizer(ABC):
    """Writes some storage types; a package returns its class from the hook ``ollamax_quantizers``.

    ::

        class Mine(Quantizer):
            name = "mine"
            dtypes = frozenset({DType.Q4_K, DType.Q6_K})

            def quantize(self, values, dtype): return my_library.encode(values, int(dtype))

    Core itself writes the types of ``ollamax.ml.dtype.can_quantize``; a quantizer adds others, or is faster.
    """

    name: ClassVar[str] = ""
    """What messages call it."""

    dtypes: ClassVar[frozenset[DType]] = frozenset()
    """The storage types that it writes."""

    @classmethod
    def unavailable(cls) -> str | None:
        """Why it cannot work here, such as a library that does not load; None if it can."""
        return None

    @abstractmethod
    def quantize(self, values: Values, dtype: DType) -> Bytes:
        """The blocks (uint8) of float32 ``values`` of shape ``(rows, width)``, one row after the other.

        ``dtype`` is one of ``dtypes`` and its blocks divide ``width``. No value is infinite, but some may be NaN.
        """


class Quantizers:
    """Writes every type that core or one of ``quantizers`` can; the first that has a type writes it, core last.

    ``way_out`` ends the message on a type that nobody writes.
    """

    def __init__(self, quantizers: Iterable[type[Quantizer]] = (), way_out: str = "") -> None:
        from ollamax.ml.dtype import can_quantize

        self._writers: dict[DType, Quantizer] = {}
        self._reasons: list[str] = []
        self._way_out = way_out
        for kind in quantizers:
            writer = _made(kind)
            if not isinstance(writer, Quantizer):
                self._reasons.append(f"{kind.name}: {writer}")
                continue
            for dtype in kind.dtypes:
                self._writers.setdefault(dtype, writer)
        self.dtypes: frozenset[DType] = can_quantize | self._writers.keys()
        """The types that can be written."""

    def require(self, dtypes: Iterable[DType], target: str) -> None:
        """Raise ConversionError where one of ``dtypes``, which ``target`` is made of, cannot be written."""
        if lacking := sorted(set(dtypes) - self.dtypes):
            names = " and ".join(dtype.name for dtype in lacking)
            hints = "; ".join(filter(None, [*self._reasons, self._way_out]))
            raise ConversionError(f"{target} needs {names}, which nothing installed here can write; {hints}")

    def quantize(self, values: Values, dtype: DType) -> Bytes:
        """The stored bytes (uint8, flat) of ``values (rows, width)``; raises ConversionError as plugins fail."""
        from ollamax.ml.dtype import quantize

        writer = self._writers.get(dtype)
        if writer is None:
            return quantize(values, dtype)
        try:
            result: object = writer.quantize(values, dtype)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit would end the process without a word
            problem = f"{type(error).__name__}: {error}"
            raise ConversionError(f"quantizer {writer.name} failed to write {dtype.name}: {problem}") from error
        return _checked(result, writer.name, dtype, len(values) * dtype.row_bytes(values.shape[-1]))


def _made(kind: type[Quantizer]) -> Quantizer | str:
    """The quantizer, or why it cannot work here; a plugin's fault must not keep the others from working."""
    step = "unavailable()"
    try:
        with redirect_stdout(sys.stderr):  # standard output is for the plan as JSON
            if reason := kind.unavailable():
                return reason
            step = "its constructor"
            return kind()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{step} raised {type(error).__name__}: {error}"


def _checked(result: object, writer: str, dtype: DType, size: int) -> Bytes:
    import numpy as np

    if not (isinstance(result, np.ndarray) and result.dtype == np.uint8 and result.size == size):
        raise ConversionError(
            f"quantizer {writer} returned something else than the {size} bytes of uint8 that {dtype.name} takes here"
        )
    return result.reshape(-1)
