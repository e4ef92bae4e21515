"""The backend class: NumPy on any platform."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollamax.backend import Backend, BackendOptions, Device, Probe, Program, Weight
from ollamax.backend.hardware import total_memory
from ollamax.ml import COMPOUNDS, LEAVES, Graph, Op
from ollamax.types import DType, TensorInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    from ollamax.backend.base import Progress

    Array = npt.NDArray[Any]


class CPU(Backend):
    """Runs every op with NumPy. Weights become float32 when a program first needs them whole.

    Caches are kept as float32, float16 or Q8_0; the constructor raises BackendError for another type.
    """

    name = "cpu"
    ops = frozenset(Op) - LEAVES
    composed = COMPOUNDS
    cache_types = (DType.F32, DType.F16, DType.Q8_0)

    def __init__(self, options: BackendOptions | None = None) -> None:
        from ollamax_backend_cpu.weights import Weights

        super().__init__(options)
        self._weights = Weights({})
        self._threads = self.options.threads
        self._joined = False

    @classmethod
    def probe(cls) -> Probe:
        """One device, always: the processor."""
        from ollamax_backend_cpu.rates import RATES

        name = platform.processor() or platform.machine() or "CPU"
        return Probe((Device("cpu", name, total_memory(), rank=1.0, rates=RATES),))

    def load(self, weights: Mapping[str, Weight], progress: Progress | None = None) -> None:
        """Take the weights as they are stored; they are converted when a program is built."""
        from ollamax_backend_cpu.threads import BLAS
        from ollamax_backend_cpu.weights import Weights

        self.states.check_open()
        largest = max((math.prod(weight.shape) for weight in weights.values()), default=0)
        self._threads = self.options.threads or (1 if largest < _WORTH_THREADS else None)
        if not self._joined:
            BLAS.join()
            self._joined = True
        BLAS.use(self._threads)
        self._weights = Weights(weights, progress)

    def read_bytes(self, matrix: TensorInfo) -> int:
        """Four bytes for each element: matrices are kept as float32."""
        return 4 * matrix.elements

    def build(self, graph: Graph) -> Program:
        """A list of kernels."""
        from ollamax_backend_cpu.program import CPUProgram
        from ollamax_backend_cpu.states import CPUState

        self.states.open(graph, lambda _name, shape: CPUState(shape, self.options.cache_type))
        return CPUProgram(graph, self._weights, self.states, self._threads)

    def close(self) -> None:
        """Release weights and states, and the thread limit with the last model."""
        from ollamax_backend_cpu.threads import BLAS
        from ollamax_backend_cpu.weights import Weights

        self._weights = Weights({})
        self.states.close()
        if self._joined:
            self._joined = False
            BLAS.leave()


_WORTH_THREADS = 4 * 2**20
"""Elements of the largest weight below which handing over to a second thread costs more than it saves."""
