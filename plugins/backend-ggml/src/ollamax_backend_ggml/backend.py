"""The backend class: ggml on the processor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ollamax.backend import Backend, BackendOptions, Probe, Program, Weight
from ollamax.errors import BackendError
from ollamax.ml import LEAVES, Graph, Op
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    from ollamax.backend.base import Progress
    from ollamax_backend_ggml.graphics import Graphics
    from ollamax_backend_ggml.placement import Placement
    from ollamax_backend_ggml.program import GGMLProgram
    from ollamax_backend_ggml.states import GGMLState
    from ollamax_backend_ggml.weights import Weights

    Array = npt.NDArray[Any]


class GGML(Backend):
    """Runs every op with ggml, and weights as they are stored.

    Caches are kept as float32, float16 or Q8_0; the constructor raises BackendError for another type, and where the
    library is missing or does not fit.
    """

    name = "ggml"
    ops = frozenset(Op) - LEAVES
    composed = frozenset({Op.CONV2D, Op.MASK, Op.ROPE})
    dim_steps: ClassVar[Mapping[str, int]] = {"S": 256, "W": 256}
    takes_gpu_layers = True
    cache_types = (DType.F32, DType.F16, DType.Q8_0)

    def __init__(self, options: BackendOptions | None = None) -> None:
        from ollamax_backend_ggml.bucket import Scratch
        from ollamax_backend_ggml.library import library
        from ollamax_backend_ggml.memory import Budget, Residents
        from ollamax_backend_ggml.processor import Processor

        super().__init__(options)
        self._library = loaded = library()
        self._processor = Processor(loaded, self.options.threads)
        self._processor.graphics = self._graphics = self._start_graphics()
        self._residents = Residents(loaded)
        self._placement: Placement | None = None
        self._budget = Budget()
        self._scratch = Scratch(loaded, self._processor, self._budget)
        self._weights = self._stored({}, None)
        self._programs: list[GGMLProgram] = []
        self._constants: dict[Any, int] = {}

    @classmethod
    def probe(cls) -> Probe:
        """The processor and a graphics processor, with what the library makes of them, or why it cannot be used."""
        from ollamax_backend_ggml.builds import BuildError
        from ollamax_backend_ggml.features import describe

        try:
            return Probe(describe())
        except BuildError as error:
            return Probe(reason=str(error), wrong_setting=True)
        except BackendError as error:
            return Probe(reason=str(error))

    def load(self, weights: Mapping[str, Weight], progress: Progress | None = None) -> None:
        """Take the weights as they are stored; they are packed when a program is built."""
        self.states.check_open()
        largest = max((math.prod(weight.shape) for weight in weights.values()), default=0)
        small = self.options.threads is None and largest < _WORTH_THREADS
        self._processor.use(1 if small else self._processor.threads)
        self._weights = self._stored(weights, progress)

    def build(self, graph: Graph) -> Program:
        """Place weights and states; graphs of the library are built when their sizes are known.

        Raises BackendError with the figures when weights and states do not fit the free memory.
        """
        from ollamax_backend_ggml.builder import Parts
        from ollamax_backend_ggml.host import Host
        from ollamax_backend_ggml.program import GGMLProgram
        from ollamax_backend_ggml.states import state_size

        self.states.check_open()
        host = Host(graph)
        cache = {name: state_size(shape, self.options.cache_type) for name, shape in self.states.new(graph).items()}
        away = self._place(graph, cache)
        packing = self._weights.plan(graph)
        self._budget.take({"weights": packing.memory, "cache": sum(cache[name] for name in cache if name not in away)})
        self.states.open(graph, lambda name, shape: self._new_state(shape, away.get(name)))
        self._weights.take(graph, packing)
        parts = Parts(self._library, graph, host, self._weights, self.states, self._residents, self._constants, {})
        program = GGMLProgram(parts, self._processor, self._scratch)
        self._programs.append(program)
        return program

    def cancel(self) -> None:
        """End the computation that runs in another thread, within a token: it raises BackendError there."""
        self._processor.cancel()

    @property
    def compute_seconds(self) -> float:
        """Seconds that the library has computed so far."""
        return self._processor.seconds

    def close(self) -> None:
        """Release weights, states, programs and threads; a second call does nothing."""
        self.states.close()
        for program in self._programs:
            program.close()
        self._programs.clear()
        self._constants.clear()
        self._scratch.close()
        self._residents.close()
        if self._graphics:
            self._graphics.close()
        self._processor.close()
        self._weights = self._stored({}, None)

    def _start_graphics(self) -> Graphics | None:
        """The graphics processor, unless there is none or nobody wants it; raises BackendError for a missing one."""
        from ollamax_backend_ggml.features import PROCESSOR
        from ollamax_backend_ggml.graphics import Graphics, find_device

        layers, device = self.options.gpu_layers, self.options.device
        if device == PROCESSOR and layers:
            raise BackendError(f"backend ggml: device {PROCESSOR} computes no gpu_layers; leave one of the two out")
        wanted = find_device(self._library) is not None and device != PROCESSOR if layers is None else layers > 0
        return Graphics(self._library, self._processor.handle) if wanted else None

    def _place(self, graph: Graph, cache: Mapping[str, int]) -> dict[str, int]:
        """Decide what the graphics processor holds, once; the memory of each state that it does."""
        from ollamax_backend_ggml.placement import Room, place

        if not self._graphics:
            return {}
        if self._placement is None:
            sizes = {name: self._weights.find(name).data.nbytes for name in graph.weights}
            # A decode step of several sequences with pictures, split between both, ends the process (Vulkan).
            room = Room(self._graphics.free, sizes, cache, undivided=self._weights.sees)
            self._placement = place(graph, self.options.gpu_layers, room)
            self._weights.place_on(self._graphics.buffer_type, self._placement.weights)
        return {name: self._graphics.buffer_type for name in cache if name in self._placement.states}

    def _new_state(self, shape: tuple[int, ...], memory: int | None) -> GGMLState:
        """A state in plain memory, or in that of the buffer type ``memory``."""
        from ollamax_backend_ggml.states import DeviceState, GGMLState

        dtype = self.options.cache_type
        if memory is None:
            return GGMLState(shape, dtype, self._residents)
        return DeviceState(shape, dtype, self._residents, memory)

    def _stored(self, weights: Mapping[str, Weight], progress: Progress | None) -> Weights:
        from ollamax_backend_ggml.weights import Weights

        return Weights(self._library, self._processor, self._residents, weights, progress)


_WORTH_THREADS = 4 * 2**20
"""Elements of the largest weight below which meeting after each op costs more than a second thread saves."""
