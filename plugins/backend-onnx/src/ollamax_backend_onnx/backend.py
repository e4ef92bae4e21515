"""The backend class: ONNX Runtime."""

from __future__ import annotations

import platform
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

from ollamax.backend import Backend, BackendOptions, Device, Probe, Program, Weight
from ollamax.backend.hardware import physical_cores, total_memory
from ollamax.errors import BackendError
from ollamax.ml import LEAVES, Graph, Op
from ollamax.ml.lower import lower
from ollamax.types import DType

if TYPE_CHECKING:
    from pathlib import Path

    from ollamax.backend.base import Progress
    from ollamax.types import TensorInfo
    from ollamax_backend_onnx.builder import Builder
    from ollamax_backend_onnx.program import ONNXProgram
    from ollamax_backend_onnx.states import ONNXState


class ONNX(Backend):
    """Runs a graph as one ONNX model, or a few, at any size; weights in blocks stay so where the runtime has a form.

    Caches are kept as float32, float16 or Q8_0; the constructor raises BackendError for another type, where the runtime
    cannot be loaded, and for a provider that fails its trial. ``accuracy_level`` is that of MatMulNBits: 4 rounds what
    a weight in blocks is multiplied with to 8 bits, 0 computes in float32 (and is slow for weights of 8 bits).
    """

    name = "onnx"
    ops = frozenset(Op) - LEAVES
    composed = frozenset({Op.ATTENTION, Op.MASK, Op.SILU_MUL})
    cache_types = (DType.F32, DType.F16, DType.Q8_0)
    dim_steps: ClassVar[Mapping[str, int]] = {"S": 32, "W": 32}
    accuracy_level: ClassVar[int] = 4

    def __init__(self, options: BackendOptions | None = None) -> None:
        from ollamax_backend_onnx.runtime import PROCESSOR, providers

        available = providers()
        self.check_installation()
        super().__init__(options)
        from ollamax_backend_onnx.cancellation import Runs
        from ollamax_backend_onnx.stages import Stages
        from ollamax_backend_onnx.weights import Weights

        threads = self.options.threads
        if threads is not None and not 1 <= threads <= _MOST_THREADS:
            raise BackendError(f"backend onnx: num_thread is {threads}, expected 1 to {_MOST_THREADS}")
        self._threads, self._provider = threads or physical_cores(), available[self.options.device or "cpu"]
        self._weights, self._runs = Weights({}), Runs()
        self._programs: list[ONNXProgram] = []
        self._stages = Stages()
        self._made: dict[Hashable, ONNXProgram] = {}
        if self._provider != PROCESSOR:
            from ollamax_backend_onnx.trial import attempt

            attempt(self._provider, self._threads, self.accuracy_level)

    @classmethod
    def probe(cls) -> Probe:
        """The runtime's providers, the processor first; or why the runtime cannot be used."""
        from ollamax_backend_onnx.rates import RATES
        from ollamax_backend_onnx.runtime import providers

        try:
            found = providers()
        except BackendError as error:
            return Probe(reason=str(error))
        processor = platform.processor() or platform.machine() or "CPU"
        kinds = {name: f"{processor} ({kind})" if name == "cpu" else kind for name, kind in found.items()}
        ranks = {name: _RANK if name == "cpu" else 0.0 for name in found}  # the others were not measured
        memory = {"cpu": total_memory()}
        rates = {"cpu": RATES}
        devices = [Device(name, kind, memory.get(name), ranks[name], rates.get(name)) for name, kind in kinds.items()]
        return Probe(tuple(sorted(devices, key=lambda device: -device.rank)))

    @classmethod
    def check_installation(cls) -> None:
        """Raise BackendError where ``onnx`` cannot be loaded."""
        from ollamax_backend_onnx.runtime import check_onnx

        check_onnx()

    def load(self, weights: Mapping[str, Weight], progress: Progress | None = None) -> None:
        """Take the weights as they are stored; they are packed when a program is built."""
        from ollamax_backend_onnx.weights import Weights

        self.states.check_open()
        self._weights = Weights(weights, self._threads, progress, self.options.keep)
        self._made.clear()  # its programs hold the weights before

    def read_bytes(self, matrix: TensorInfo) -> int:
        """Numbers, scales and offsets of blocks; other matrices are kept as float32."""
        from ollamax_backend_onnx.blocks import packed_bytes

        return packed_bytes(matrix)

    def prepare(self, graphs: Sequence[Graph]) -> None:
        """Find the parts that several of ``graphs`` have, which become one session each."""
        from ollamax_backend_onnx.stages import Stages

        self.states.check_open()
        self._stages = Stages([lower(graph, self.ops, "backend onnx") for graph in graphs])

    def build(self, graph: Graph) -> Program:
        """One model and one session for all sizes, or one for each stage; the last, with the logits, is made first."""
        from ollamax_backend_onnx.chain import Chain

        self.states.check_open()
        self.states.open(graph, self._new_state)
        stages = self._stages.of(graph)
        self._make({stage.key: stage.graph for stage in reversed(stages) if stage.key not in self._made})
        programs = [self._made[stage.key] for stage in stages]
        return programs[0] if len(programs) == 1 else Chain(graph, programs)

    def _make(self, parts: Mapping[Hashable, Graph]) -> None:
        """Sessions of all parts, or of none."""
        from ollamax_backend_onnx.emission import emit
        from ollamax_backend_onnx.pieces import multiplied
        from ollamax_backend_onnx.program import ONNXProgram

        used = {key: [node.attrs["name"] for node in multiplied(part.nodes)] for key, part in parts.items()}
        making = dict[Hashable, Future[ONNXProgram]]()

        def make(key: Hashable, builder: Builder) -> ONNXProgram:
            program = ONNXProgram(parts[key], builder, self._runs, self._provider, self._threads)
            self._weights.taken(used[key])
            return program

        makers = ThreadPoolExecutor(self._threads)  # the runtime packs a session in one thread
        try:
            self._weights.expect(chain.from_iterable(used.values()))
            for key, part in parts.items():
                making[key] = makers.submit(make, key, emit(part, self._weights, self.states, self.accuracy_level))
            made = {key: future.result() for key, future in making.items()}
        finally:
            makers.shutdown(cancel_futures=True)
            self._weights.release()
        self._programs += made.values()
        self._made |= made

    def cancel(self) -> None:
        """End the computation that runs in another thread, within an operation: it raises BackendError there."""
        self._runs.cancel()

    def export(self, graphs: Mapping[str, Graph], directory: Path) -> None:
        """One ``.onnx`` file for each graph, and one of weights, which ONNX Runtime runs without this package."""
        from ollamax_backend_onnx.export import write

        self.states.check_open()
        for graph in graphs.values():
            self.states.open(graph, self._new_state)
        lowered = {name: lower(graph, self.ops, "backend onnx") for name, graph in graphs.items()}
        try:
            write(lowered, self._weights, self.states, self.accuracy_level, directory)
        finally:
            self._weights.release()

    def close(self) -> None:
        """Release sessions, weights and states; a second call does nothing."""
        from ollamax_backend_onnx.weights import Weights

        for program in self._programs:
            program.close()
        self._programs.clear()
        self._made.clear()
        self._runs.close()
        self.states.close()
        self._weights.release()
        self._weights = Weights({})

    def _new_state(self, name: str, shape: tuple[int, ...]) -> ONNXState:
        from ollamax_backend_onnx.states import ONNXState

        return ONNXState(name, shape, self.options.cache_type)


_MOST_THREADS = 512
_RANK = 2.0
"""Above the cpu backend, below ggml, which starts faster."""
