"""The backend class: MLX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakSet

from ollamax.backend import Backend, BackendOptions, Probe, Program, Weight
from ollamax.errors import BackendError
from ollamax.ml import LEAVES, Graph, Op
from ollamax.types import DType

if TYPE_CHECKING:
    from ollamax.backend.base import Progress
    from ollamax.types import TensorInfo
    from ollamax_backend_metal.program import MLXProgram


class Metal(Backend):
    """Runs every op with MLX in float32; weights of the types in ``ollamax.ml.blocks`` stay in blocks.

    Caches are kept as float32, float16 or Q8_0. The constructor raises BackendError for another type, for a number of
    threads, which MLX does not let one choose, and where MLX cannot be loaded.
    """

    name = "metal"
    ops = frozenset(Op) - LEAVES - {Op.GELU, Op.MASK, Op.RELU, Op.SILU, Op.SILU_MUL}
    cache_types = (DType.F32, DType.F16, DType.Q8_0)
    dim_steps: ClassVar[Mapping[str, int]] = {"S": 256, "W": 256}

    def __init__(self, options: BackendOptions | None = None) -> None:
        from ollamax_backend_metal.runtime import compiles, devices

        found = devices()
        super().__init__(options)
        from ollamax_backend_metal.device import MLXDevice
        from ollamax_backend_metal.weights import Weights

        if self.options.threads is not None:
            raise BackendError("backend metal: MLX chooses its number of threads itself; leave num_thread out")
        own, device = found[self.options.device or next(iter(found))]
        self._device = MLXDevice(own, device.name, compiles(device))
        self._weights = Weights({}, self._device)
        self._loaded: list[Weights] = []
        self._programs: WeakSet[MLXProgram] = WeakSet()

    @classmethod
    def probe(cls) -> Probe:
        """The devices that MLX has here, a graphics processor first; or why MLX cannot be used."""
        from ollamax_backend_metal.runtime import devices

        try:
            return Probe(tuple(device for _, device in devices().values()))
        except BackendError as error:
            return Probe(reason=str(error))

    @property
    def compute_seconds(self) -> float:
        """Seconds in MLX's evaluation of graphs."""
        return self._device.seconds

    def load(self, weights: Mapping[str, Weight], progress: Progress | None = None) -> None:
        """Take the weights as they are stored; they are converted when a program is built."""
        from ollamax_backend_metal.weights import Weights

        self.states.check_open()
        self._weights = Weights(weights, self._device, progress)
        self._loaded.append(self._weights)

    def read_bytes(self, matrix: TensorInfo) -> int:
        """Numbers, scales and offsets of blocks, numbers twice for two products; other matrices are float32."""
        from ollamax_backend_metal.blocks import read_bytes

        return read_bytes(matrix)

    def build(self, graph: Graph) -> Program:
        """A walk over the graph at every run, or what MLX compiled of one; MLX computes what it collected."""
        from ollamax_backend_metal.program import MLXProgram
        from ollamax_backend_metal.states import MLXState

        self.states.check_open()
        self.states.open(graph, lambda name, shape: MLXState(name, shape, self.options.cache_type, self._device))
        program = MLXProgram(graph, self._weights, self.states, self._device)
        self._programs.add(program)
        return program

    def close(self) -> None:
        """Release weights and states; a second call does nothing."""
        for program in self._programs:
            program.release()
        self._programs.clear()
        for weights in self._loaded:
            weights.close()
        self.states.close()
        self._device.close()
