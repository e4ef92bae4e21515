"""Weights: in blocks as the runtime multiplies with them, as float32, or row by row from where they are stored."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.backend import StoredWeights
from ollamax.mapped_pages import drop_pages
from ollamax.ml.dtype import dequantize
from ollamax.types import DType
from ollamax_backend_onnx.weight_files import WeightFiles

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ollamax.backend import Weight
    from ollamax.backend.base import Progress
    from ollamax_backend_onnx.packed import Packed

    Array = npt.NDArray[Any]


class Weights(StoredWeights):
    """A form is made when a program first needs it.

    Those of weights that are multiplied with stay until they were ``taken`` as often as ``expect`` was told, at the
    latest until ``release``; others as long as the weights.
    """

    def __init__(
        self,
        stored: Mapping[str, Weight],
        threads: int = 1,
        progress: Progress | None = None,
        keep: Path | None = None,
    ) -> None:
        super().__init__("onnx", stored, progress)
        self._threads, self._files = threads, WeightFiles(keep)
        self._whole: dict[str, Array] = {}
        self._matrices: dict[str, tuple[Array, Path | None]] = {}
        self._packed: dict[str, Packed | None] = {}
        self._uses, self._lock = Counter[str](), threading.Lock()

    @property
    def directory(self) -> Path | None:
        """Where files of weights lie, if there are any."""
        return self._files.directory

    def packed(self, name: str) -> Packed | None:
        """A matrix in blocks; None for one that is multiplied as float32."""
        if name not in self._packed:
            stored = self.find(name)
            packed = self._files.packed(stored, self._threads)
            if packed is not None:
                self._count(stored)
            self._packed[name] = packed
        return self._packed[name]

    def matrix(self, name: str) -> tuple[Array, Path | None]:
        """The float32 values of a weight that is multiplied with, and the file of theirs that it was mapped from."""
        stored = self.find(name)
        if stored.dtype is DType.F32:
            return self.whole(name), None
        if name not in self._matrices:
            self._matrices[name] = self._files.whole(stored, self._threads)
            self._count(stored)
        return self._matrices[name]

    def whole(self, name: str) -> Array:
        """The float32 values; where they are stored so, they are not copied."""
        if name not in self._whole:
            stored = self.find(name)
            if stored.dtype is DType.F32:
                values = np.require(stored.data.view(np.float32), requirements=["C", "A"]).reshape(stored.shape)
            else:
                values = dequantize(stored.data, stored.dtype, stored.shape)
            self._whole[name] = values
            self._count(stored)
        return self._whole[name]

    def expect(self, names: Iterable[str]) -> None:
        """From now on the forms of each of these weights are needed as often as it is named."""
        self._uses = Counter(names)

    def taken(self, names: Iterable[str]) -> None:
        """Forget forms that the runtime has taken over and nobody else needs; their pages serve the next file."""
        with self._lock:
            self._uses.subtract(names)
            for name in (name for name in names if not self._uses[name]):
                packed, (_, file) = self._packed.pop(name, None), self._matrices.pop(name, (None, None))
                self._files.remove(packed.file if packed else file)

    def release(self) -> None:
        """Forget all forms that the runtime has taken over, and temporary files; another program makes them again."""
        self._packed.clear()
        self._matrices.clear()
        self._files.release()

    def _count(self, stored: Weight) -> None:
        """Tell how far the conversion is, and let go of the file's pages that were read."""
        if stored.dtype is not DType.F32:
            drop_pages(stored.data)
        self.count(stored)
