"""A compiled program: a graph of the library for each set of sizes and slots, kept for the next step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.backend import Program
from ollamax.errors import BackendError
from ollamax.ml import Op
from ollamax.ml.shape import concrete
from ollamax_backend_ggml.bucket import Bucket, Scratch
from ollamax_backend_ggml.builder import Parts
from ollamax_backend_ggml.host import Values
from ollamax_backend_ggml.processor import Processor

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

MOST_BUCKETS = 32
"""Built graphs that a program keeps; each takes about a megabyte, and the least recently used goes first."""


class GGMLProgram(Program):
    """Runs a graph with ggml. Which slots a step reads is part of a built graph, as its sizes are."""

    def __init__(self, parts: Parts, processor: Processor, scratch: Scratch) -> None:
        super().__init__(parts.graph)
        self._parts, self._processor, self._scratch = parts, processor, scratch
        self._buckets: OrderedDict[Any, Bucket] = OrderedDict()
        self._dims = sorted(parts.graph.dims)
        reads = [node for node in parts.graph.nodes if node.op is Op.STATE_READ]
        self._slots = list(dict.fromkeys(node.srcs[1] for node in reads))
        for node in self._slots:
            if node not in parts.host.nodes:
                raise BackendError(f"backend ggml cannot run {parts.graph.name}: slots are computed of weights")

    def reserve(self, dims: Mapping[str, int]) -> None:
        """Plan a run of these sizes, so that the memory of all that are smaller need not move."""
        slots: Values = {node: np.zeros(concrete(node.shape, dims), np.int64) for node in self._slots}
        Bucket(self._parts, self._processor, self._scratch, dims, slots).close()

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Find or build the graph for these sizes, and run it."""
        self._parts.states.check_open()
        values = self._parts.host.run(inputs, dims)
        key = (*[dims[name] for name in self._dims], *[values[node].tobytes() for node in self._slots])
        bucket = self._buckets.get(key)
        if bucket is None or bucket.generation != self._scratch.generation:
            bucket = self._build(key, dims, values)
        self._buckets.move_to_end(key)
        return bucket.run(values)

    def close(self) -> None:
        """Free the built graphs; the program cannot be run afterwards."""
        for bucket in self._buckets.values():
            bucket.close()
        self._buckets.clear()

    def _build(self, key: Any, dims: Mapping[str, int], values: Values) -> Bucket:
        stale = self._buckets.pop(key, None)
        if stale:
            stale.close()
        bucket = Bucket(self._parts, self._processor, self._scratch, dims, values)
        self._buckets[key] = bucket
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)[1].close()
        return bucket
