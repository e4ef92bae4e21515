"""Weights: used where they lie in the file, or packed for fast products, by the ops that need them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ollamax.backend import StoredWeights, Weight
from ollamax.errors import BackendError
from ollamax.mapped_pages import drop_pages, in_mapped_file
from ollamax.ml import Graph, Op
from ollamax.types import DType
from ollamax_backend_ggml.library import UNUSABLE, Library, tensor
from ollamax_backend_ggml.memory import Residents, aligned, fits_in_place
from ollamax_backend_ggml.processor import Processor

if TYPE_CHECKING:
    from ollamax.backend.base import Progress

_MOST_AXES = 4

_FOR_WEIGHTS = 1
"""GGML_BACKEND_BUFFER_USAGE_WEIGHTS: ops are computed where these lie."""

_LOOK_UPS = (Op.EMBEDDING, Op.TAKE)


class Weights(StoredWeights):
    """Makes tensors of stored weights when a graph first needs them.

    A matrix that ``linear`` multiplies with is packed if the library has a packed form of its type; it is then copied,
    and the pages of its file are given back. Everything else is used in place. A matrix that rows are looked up in as
    well (a tied embedding) stays in place for them, too. Weights that ``place_on`` names are copied to a device.
    """

    def __init__(
        self,
        library: Library,
        processor: Processor,
        residents: Residents,
        stored: Mapping[str, Weight],
        progress: Progress | None,
    ) -> None:
        super().__init__("ggml", stored, progress)
        self._library, self._processor, self._residents = library, processor, residents
        self._plain: dict[str, int] = {}
        self._matrices: dict[str, int] = {}
        self._device, self._elsewhere = 0, frozenset[str]()

    def place_on(self, memory: int, names: frozenset[str]) -> None:
        """Copy these weights to memory of buffer type ``memory`` when a program needs them."""
        self._device, self._elsewhere = memory, names

    @property
    def sees(self) -> bool:
        """Whether they are of a model with a vision part, by GGUF's names of tensors."""
        return any(name.startswith("v.") for name in self._stored)

    def plain(self, name: str) -> int:
        """The tensor as it is stored."""
        if name not in self._plain:
            stored = self.find(name)
            self._plain[name] = self._residents.add(aligned(stored.data), stored.dtype, _sizes(stored))
        return self._plain[name]

    def matrix(self, name: str) -> int:
        """The tensor that ``linear`` multiplies with."""
        return self._matrices.get(name) or self.plain(name)

    def is_packed(self, name: str) -> bool:
        """Whether ``linear`` multiplies with a packed form."""
        return name in self._matrices and name not in self._elsewhere

    def plan(self, graph: Graph) -> Packing:
        """Check the weights of ``graph`` and say what they take; raises BackendError for a type without ops."""
        sizes: dict[str, int] = {}
        kinds: dict[str, int] = {}
        plain = 0
        for name, node in graph.weights.items():
            stored = self.find(name, node.shape)
            _check(stored)
            users = graph.users[node]
            multiplied = [user for user in users if user.op is Op.LINEAR and user.srcs[1] is node]
            looked_up = any(user.op in _LOOK_UPS for user in users)
            kind = self._kind(stored, bool(multiplied))
            if kind:
                kinds[name] = kind
                sizes[name] = self._packed_size(stored, kind)
            own = (
                name in self._plain
                or (kind and len(multiplied) == len(users))
                or (kind == self._device and not looked_up)
            )
            # What lies in memory already takes none, but pages of a file have to come there.
            if not own and (in_mapped_file(stored.data) or not fits_in_place(stored.data)):
                plain += stored.data.nbytes
        return Packing(kinds, sizes, plain, self._device)

    def take(self, graph: Graph, packing: Packing) -> None:
        """Make the tensors of ``graph``; packs on all threads."""
        for kind in dict.fromkeys(packing.kinds.values()):
            self._pack(kind, {name: packing.sizes[name] for name, of in packing.kinds.items() if of == kind})
        for name, node in graph.weights.items():
            if packing.kinds.get(name) == self._device and not any(user.op in _LOOK_UPS for user in graph.users[node]):
                self._plain.setdefault(name, self._matrices[name])
            elif name not in packing.kinds:
                self.plain(name)
                self.count(self._stored[name])

    def _pack(self, kind: int, sizes: Mapping[str, int]) -> None:
        """Copy weights into one buffer of type ``kind``."""
        library = self._library
        step = library.backend_buft_get_alignment(kind)
        places, total = {}, 0
        for name, size in sizes.items():
            places[name] = total
            total += -(-size // step) * step
        buffer = library.backend_buft_alloc_buffer(kind, total)
        if not buffer:
            raise BackendError(f"backend ggml: {total:,} bytes for weights cannot be allocated: {library.drain_log()}")
        self._residents.own(buffer)
        library.backend_buffer_set_usage(buffer, _FOR_WEIGHTS)
        base = library.backend_buffer_get_base(buffer)
        made = {}
        for name, place in places.items():
            stored = self._stored[name]
            made[name] = self._residents.blank(stored.dtype, _sizes(stored))
            library.backend_tensor_alloc(buffer, made[name], base + place)
        with ThreadPoolExecutor(1 if kind == self._device else self._processor.threads) as pool:
            for name in pool.map(self._fill, made, made.values()):
                self._matrices[name] = made[name]
                self.count(self._stored[name])

    def _fill(self, name: str, made: int) -> str:
        data = self._stored[name].data
        self._library.backend_tensor_set(made, data.ctypes.data, 0, data.nbytes)
        drop_pages(data)
        return name

    def _kind(self, stored: Weight, multiplied: bool) -> int | None:
        """The buffer type that a weight is copied to, unless it was before."""
        if stored.name in self._matrices:
            return None
        if stored.name in self._elsewhere:
            return self._device
        return self._packed_type(stored) if multiplied else None

    def _packed_type(self, stored: Weight) -> int | None:
        """The buffer type that packs this matrix, found by asking about a product: a wrong guess is a crash."""
        if len(stored.shape) != 2:
            return None
        library, residents = self._library, Residents(self._library)
        try:
            for kind in self._processor.packed_types:
                empty = library.backend_buft_alloc_buffer(kind, 0)
                if not empty:
                    continue
                residents.own(empty)
                matrix = residents.blank(stored.dtype, _sizes(stored))
                tensor(library, matrix).buffer = empty
                rows = residents.blank(DType.F32, (stored.shape[1], 512))
                if library.backend_dev_supports_op(self._processor.device, residents.product(matrix, rows)):
                    return kind
        finally:
            residents.close()
        return None

    def _packed_size(self, stored: Weight, kind: int) -> int:
        residents = Residents(self._library)
        try:
            blank = residents.blank(stored.dtype, _sizes(stored))
            return int(self._library.backend_buft_get_alloc_size(kind, blank))
        finally:
            residents.close()


class Packing:
    """Which weights are packed by which buffer type, the bytes that each takes then, and those of ``plain`` others.

    ``memory`` is what all of them but those on a ``device`` take.
    """

    def __init__(self, kinds: Mapping[str, int], sizes: Mapping[str, int], plain: int, device: int) -> None:
        self.kinds, self.sizes = kinds, sizes
        self.memory = sum(size for name, size in sizes.items() if kinds[name] != device) + plain


def _sizes(stored: Weight) -> tuple[int, ...]:
    return stored.shape[::-1] or (1,)


def _check(stored: Weight) -> None:
    """Raise BackendError for what the library does not compute with."""
    problem = None
    if stored.dtype in UNUSABLE:
        problem = f"is {stored.dtype.name}, which ggml does not compute with; convert it to F32 or F16"
    elif len(stored.shape) > _MOST_AXES:
        problem = f"has shape {stored.shape}, expected 1 to {_MOST_AXES} axes"
    if problem:
        raise BackendError(f"backend ggml: weight {stored.name!r} {problem}")
