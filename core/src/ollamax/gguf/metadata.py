"""Typed access to GGUF metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ollamax.errors import GGUFError
from ollamax.gguf.quote import shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Default = TypeVar("Default")


class _Required:
    """Marks a key without a default."""


_REQUIRED = _Required()


def _is_number(value: object, kind: type) -> bool:
    # NumPy registers its scalar types with ``numbers``; to Python a bool is an Integral too.
    return isinstance(value, kind) and not isinstance(value, bool)


class Metadata:
    """Reads metadata by key and type.

    ``values`` is the ``metadata`` of any TensorSource, ``origin`` the file's name for messages. Each method
    returns the key's value, or ``default`` where the key is absent. It raises GGUFError, naming file and key,
    when the key is absent and has no default, or when the value has another type or lies outside ``minimum`` to
    ``maximum`` (both inclusive). A truth value is no number, and a float is no integer.
    """

    def __init__(self, values: Mapping[str, Any], origin: object) -> None:
        self.values, self.origin = values, origin

    def __contains__(self, key: str) -> bool:
        return key in self.values

    @overload
    def string(self, key: str) -> str: ...
    @overload
    def string(self, key: str, default: Default) -> str | Default: ...
    def string(self, key: str, default: object = _REQUIRED) -> object:
        """A string."""
        if self._absent(key, default, "a string"):
            return default
        value = self.values[key]
        if not isinstance(value, str):
            raise self._mismatch(key, "a string")
        return value

    @overload
    def flag(self, key: str) -> bool: ...
    @overload
    def flag(self, key: str, default: Default) -> bool | Default: ...
    def flag(self, key: str, default: object = _REQUIRED) -> object:
        """A truth value."""
        if self._absent(key, default, "a bool"):
            return default
        import numpy as np

        value = self.values[key]
        if not isinstance(value, bool | np.bool):
            raise self._mismatch(key, "a bool")
        return bool(value)

    @overload
    def integer(self, key: str, *, minimum: int | None = ..., maximum: int | None = ...) -> int: ...
    @overload
    def integer(
        self, key: str, default: Default, *, minimum: int | None = ..., maximum: int | None = ...
    ) -> int | Default: ...
    def integer(
        self,
        key: str,
        default: object = _REQUIRED,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> object:
        """An integer."""
        if self._absent(key, default, "an integer"):
            return default
        value = self.values[key]
        if not _is_number(value, Integral):
            raise self._mismatch(key, "an integer")
        self._check_range(key, int(value), minimum, maximum)
        return int(value)

    @overload
    def number(self, key: str, *, minimum: float | None = ..., maximum: float | None = ...) -> float: ...
    @overload
    def number(
        self, key: str, default: Default, *, minimum: float | None = ..., maximum: float | None = ...
    ) -> float | Default: ...
    def number(
        self,
        key: str,
        default: object = _REQUIRED,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> object:
        """A finite number, integer or not, as a float."""
        if self._absent(key, default, "a number"):
            return default
        value = self.values[key]
        if not _is_number(value, Real):
            raise self._mismatch(key, "a number")
        try:
            result = float(value)
        except OverflowError:  # an integer beyond every float
            result = math.inf
        if not math.isfinite(result):
            raise self._error(key, f"a finite number was expected, not {shown(str(value))}")
        self._check_range(key, result, minimum, maximum)
        return result

    @overload
    def strings(self, key: str) -> list[str]: ...
    @overload
    def strings(self, key: str, default: Default) -> list[str] | Default: ...
    def strings(self, key: str, default: object = _REQUIRED) -> object:
        """An array of strings."""
        if self._absent(key, default, "an array of strings"):
            return default
        value = self.values[key]
        if not isinstance(value, list) or not set(map(type, value)) <= {str}:  # in C: vocabularies are long
            raise self._mismatch(key, "an array of strings")
        return value

    @overload
    def flags(self, key: str, *, length: int | None = ...) -> list[bool]: ...
    @overload
    def flags(self, key: str, default: Default, *, length: int | None = ...) -> list[bool] | Default: ...
    def flags(self, key: str, default: object = _REQUIRED, *, length: int | None = None) -> object:
        """An array of truth values; of ``length`` elements if that is given."""
        if self._absent(key, default, "an array of bools"):
            return default
        array = self._array(key, "an array of bools", length)
        if array.size and array.dtype.kind != "b":
            raise self._mismatch(key, "an array of bools")
        return [bool(value) for value in array]

    @overload
    def integers(self, key: str, *, length: int | None = ...) -> npt.NDArray[np.int64]: ...
    @overload
    def integers(self, key: str, default: Default, *, length: int | None = ...) -> npt.NDArray[np.int64] | Default: ...
    def integers(self, key: str, default: object = _REQUIRED, *, length: int | None = None) -> object:
        """An array of integers as int64; of ``length`` elements if that is given."""
        import numpy as np

        if self._absent(key, default, "an array of integers"):
            return default
        array = self._array(key, "an array of integers", length)
        if array.dtype.kind not in "iu" or (array.dtype == np.uint64 and (array >> np.uint64(63)).any()):
            raise self._mismatch(key, "an array of integers")
        return array.astype(np.int64)

    @overload
    def numbers(self, key: str, *, length: int | None = ...) -> npt.NDArray[np.float32]: ...
    @overload
    def numbers(self, key: str, default: Default, *, length: int | None = ...) -> npt.NDArray[np.float32] | Default: ...
    def numbers(self, key: str, default: object = _REQUIRED, *, length: int | None = None) -> object:
        """An array of finite numbers as float32; of ``length`` elements if that is given."""
        import numpy as np

        if self._absent(key, default, "an array of numbers"):
            return default
        array = self._array(key, "an array of numbers", length)
        if array.dtype.kind not in "iuf":
            raise self._mismatch(key, "an array of numbers")
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is refused below
            floats = array.astype(np.float32)
        if not np.isfinite(floats).all():
            raise self._error(key, "finite float32 numbers were expected")
        return floats

    def _absent(self, key: str, default: object, expected: str) -> bool:
        """Whether to return the default; raises if there is none."""
        if key in self.values:
            return False
        if default is _REQUIRED:
            raise self._error(key, f"the key is missing; {expected} was expected")
        return True

    def _array(self, key: str, expected: str, length: int | None) -> npt.NDArray[Any]:
        import numpy as np

        value = self.values[key]
        if isinstance(value, list) and value and all(isinstance(item, bool) for item in value):
            value = np.array(value)
        elif isinstance(value, list) and all(_is_number(item, Real) for item in value):
            value = np.array(value) if value else np.empty(0, np.int64)
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            raise self._mismatch(key, expected)
        if length is not None and len(value) != length:
            raise self._error(key, f"{length} elements were expected, not {len(value)}")
        return value

    def _check_range(self, key: str, value: float, minimum: float | None, maximum: float | None) -> None:
        if minimum is not None and value < minimum:
            raise self._error(key, f"{value} is too small; at least {minimum} was expected")
        if maximum is not None and value > maximum:
            raise self._error(key, f"{value} is too large; at most {maximum} was expected")

    def _mismatch(self, key: str, expected: str) -> GGUFError:
        import numpy as np

        value = self.values[key]
        if isinstance(value, np.ndarray):
            found = f"an array of {value.dtype}"
        elif isinstance(value, list):
            found = f"an array of {type(value[0]).__name__ if value else 'nothing'}"
        else:
            found = f"{shown(str(value))} ({type(value).__name__})"
        return self._error(key, f"{expected} was expected, not {found}")

    def _error(self, key: str, problem: str) -> GGUFError:
        return GGUFError(self.origin, problem, f"key {shown(key)}")
