"""The ggml library: its functions with pointers as plain integers, checked against its bindings, and its log."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NewType

from ollamax.errors import BackendError
from ollamax.types import DType
from ollamax_backend_ggml.builds import VARIABLE, VERSIONS, Build, BuildError, chosen_build

_AGAIN = "pip install --force-reinstall --no-deps --no-cache-dir ggml-python==0.0.45"
"""Without the options pip is content with what is installed, or takes the wheel that it kept of an earlier build."""

INSTALL = f"{_AGAIN} --config-settings=cmake.define.GGML_LLAMAFILE=ON"
"""Builds the library with fast products of float and Q8_0 weights, in place of one that is there."""

BUILD = f"{INSTALL} --config-settings=cmake.define.GGML_CUDA=ON"
"""The same for a graphics processor."""

_WARNING = 3
"""GGML_LOG_LEVEL_WARN."""


UNUSABLE = frozenset({DType.Q8_1, DType.Q8_K, DType.I8, DType.I16, DType.I32, DType.I64, DType.F64})
"""Types of weights that the library stores but does not multiply with or read rows of."""


class Library:
    """ggml's functions as attributes without their prefix: ``library.mul_mat(context, a, b)``.

    The bindings declare some results as a NewType, which ctypes takes for a 32-bit number and cuts in half, and others
    as objects that cost more than the call. Here every pointer is an int (or None). All calls release the GIL.
    """

    def __init__(self, bindings: Any, build: Build | None = None) -> None:
        self._bindings, self._build = bindings, build
        self._said: deque[str] = deque(maxlen=20)
        self._lock = threading.Lock()
        # Referenced for as long as the library may call it.
        self._listener = bindings.ggml_log_callback(self._listen)
        self.log_set(ctypes.cast(self._listener, ctypes.c_void_p), None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = self._function(f"ggml_{name}")
        setattr(self, name, function)
        return function

    def struct(self, name: str) -> Any:
        """A struct of the bindings, such as ``init_params``."""
        return getattr(self._bindings, f"ggml_{name}")

    def drain_log(self) -> str:
        """What the library complained of since the last call, on one line; empty if nothing."""
        with self._lock:
            text = " ".join("".join(self._said).split())
            self._said.clear()
        return text

    def _listen(self, level: int, text: bytes, _: Any) -> None:
        if level >= _WARNING:
            with self._lock:
                self._said.append(text.decode("utf-8", "replace"))

    def _function(self, name: str) -> Callable[..., Any]:
        declared: Any = getattr(self._bindings, name, None)
        if not issubclass(type(declared), _FUNCTION):
            raise BackendError(f"ggml-python has no function {name}; reinstall it: {INSTALL}")
        found = self._build.function(name) if self._build else declared
        address = ctypes.cast(found, ctypes.c_void_p).value or 0
        arguments = [_plain(kind) for kind in declared.argtypes or ()]
        return ctypes.CFUNCTYPE(_plain(declared.restype), *arguments)(address)


def _plain(kind: Any) -> Any:
    """The ctypes type with every kind of pointer (but text) as a number."""
    pointer = isinstance(kind, NewType) or (isinstance(kind, type) and issubclass(kind, _POINTERS))
    return ctypes.c_void_p if pointer else kind


_FUNCTION: type = ctypes.CFUNCTYPE(None).__mro__[1]
_POINTERS: tuple[type, ...] = (ctypes.POINTER(ctypes.c_int).__mro__[1], _FUNCTION)
"""What all functions and all pointers of ctypes are."""


@functools.cache
def library() -> Library:
    """The library of this process, loaded at the first call.

    Raises BackendError when ggml-python is not installed, does not load, or is not the one that this package knows.
    """
    try:
        from ggml import ggml as bindings
    except ImportError as error:
        raise BackendError(f"ggml-python cannot be imported ({error}); it needs a C++ compiler: {INSTALL}") from None
    except (OSError, RuntimeError, AttributeError) as error:
        raise BackendError(f"ggml-python is damaged ({error}); reinstall it: {INSTALL}") from None
    build = chosen_build()
    loaded = Library(bindings, build)
    problem = abi_problem(loaded)
    if problem and build:
        raise BuildError(f"{VARIABLE}: the library in {build.folder} does not fit this package: {problem}")
    if problem:
        raise BackendError(f"ggml-python does not fit this package: {problem}; reinstall it: {INSTALL}")
    return loaded


def abi_problem(loaded: Library) -> str | None:
    """Where the loaded library contradicts its bindings or core's types, or None."""
    version = loaded.version().decode("ascii", "replace")
    if not version.startswith(VERSIONS):
        return f"the library is ggml {version}, expected {' or '.join(f'{known}x' for known in VERSIONS)}"
    declared = ctypes.sizeof(loaded.struct("tensor")) + ctypes.sizeof(loaded.struct("object"))
    if declared != loaded.tensor_overhead():
        return f"a tensor takes {loaded.tensor_overhead()} bytes in the library, {declared} in its bindings"
    for dtype in set(DType) - UNUSABLE:
        found = (loaded.blck_size(dtype), loaded.type_size(dtype))
        if found != (dtype.block_size, dtype.block_bytes):
            return f"blocks of {dtype.name} are {found} (elements, bytes) in the library"
    return None


def tensor(loaded: Library, address: int) -> Any:
    """The struct of a tensor at ``address``."""
    return loaded.struct("tensor").from_address(address)
