"""The backend contract: what runs graphs on some hardware.

A package returns its class from the hook ``ollamax_backends``. The smallest one::

    class Mine(Backend):
        name = "mine"
        ops = PRIMITIVES                       # core takes compounds apart

        @classmethod
        def probe(cls): return Probe((Device("cpu", "CPU", memory=None, rank=1.0),))
        def load(self, weights, progress=None): self.weights = StoredWeights(self.name, weights, progress)
        def build(self, graph):
            self.states.open(graph, MyState)   # states.py: rows that core copies, reads and replaces
            return MyProgram(graph, self.weights, self.states)
        ...

One thread uses a loaded backend at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ollamax.backend.bounds import GivenIndices
from ollamax.backend.check import check_inputs
from ollamax.backend.device import Probe
from ollamax.backend.ranking import safe_probe
from ollamax.backend.states import States
from ollamax.errors import BackendError
from ollamax.ml.graph import Graph
from ollamax.ml.lower import lower
from ollamax.ml.ops import Op
from ollamax.types import DType, TensorInfo

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What the caller asks of a backend; a backend rejects by name what it cannot honour.

    ``threads`` None leaves the choice to the backend. ``cache_type`` is how states are stored. ``gpu_layers`` is how
    many of a model's blocks, the last ones, a graphics processor computes, and one more is what follows them; None
    leaves that to the backend. ``device`` is one that the backend's probe named; None is the fastest of them. ``keep``
    is the directory of the model's weights in which a backend may keep what it made of them, for the next time; each
    uses a name of its own in it, and None keeps nothing.
    """

    threads: int | None = None
    cache_type: DType = DType.F32
    gpu_layers: int | None = None
    device: str | None = None
    keep: Path | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """A stored parameter: raw bytes (uint8, flat), which may lie in a mapped file, and row-major shape.

    The engine keeps the file open while the backend is loaded.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]


Progress = Callable[[int], None]


class Program(ABC):
    """A compiled graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._indices = graph, GivenIndices(graph)

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Outputs by name, as copies; ``dims`` gives every symbol a value.

        Raises BackendError when an input is missing, has the wrong shape, or holds an index out of bounds.
        """
        check_inputs(self.graph, inputs, dims)
        self._indices.check(inputs, dims)
        return self.execute(inputs, dims)

    def reserve(self, dims: Mapping[str, int]) -> None:  # noqa: B027 - most backends plan no memory
        """Make room for runs of up to these sizes; asked once, before the first run.

        A backend that plans its memory raises BackendError with the figures when there is too little.
        """

    @abstractmethod
    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Compute; the inputs have been checked."""


class Backend(ABC):
    """Runs graphs: loads weights, owns the states, compiles programs that share both."""

    name: ClassVar[str] = ""
    """What ``--backend`` calls it."""

    ops: ClassVar[frozenset[Op]] = frozenset()
    """The ops that it runs; core takes compounds that are not among them apart."""

    composed: ClassVar[frozenset[Op]] = frozenset()
    """Compounds among ``ops`` that it makes of several operations of its library, for the table of docs/backends.md."""

    dim_steps: ClassVar[Mapping[str, int]] = {}
    """Symbols (``S``, ``W``, ``E``) that are rounded up to a multiple before a run, so that programs can be reused."""

    takes_gpu_layers: ClassVar[bool] = False
    """Whether it can split a model between the processor and a graphics processor."""

    cache_types: ClassVar[tuple[DType, ...]] = (DType.F32,)
    """How it can store states."""

    states: States[Any]
    """Its states, which come into being when a program is built."""

    def __init__(self, options: BackendOptions | None = None) -> None:
        self.options = options or BackendOptions()
        self.states = States(self.name, self.options.cache_type)
        if self.options.cache_type not in self.cache_types:
            known = ", ".join(kind.name.lower() for kind in self.cache_types)
            raise BackendError(
                f"backend {self.name} keeps no {self.options.cache_type.name.lower()} cache; choose {known}"
            )
        if self.options.gpu_layers and not self.takes_gpu_layers:
            raise BackendError(
                f"backend {self.name} does not split a model between processors; set num_gpu to 0, or take another "
                "backend, such as ggml"
            )
        if self.options.device is not None:
            devices = safe_probe(type(self)).devices
            names = [device.name for device in devices if device.is_called(self.options.device)]
            if not names:
                known = ", ".join(device.name for device in devices) or "none"
                raise BackendError(f"backend {self.name} has no device {self.options.device!r:.40}; it has: {known}")
            if self.options.device not in names:
                self.options = replace(self.options, device=names[0])

    @property
    def compute_seconds(self) -> float | None:
        """Seconds that native code has spent on graphs so far; None for a backend that does not count them.

        What a step takes beyond them is Python's: inputs, outputs, sampling.
        """
        return None

    def read_bytes(self, matrix: TensorInfo) -> int:
        """Bytes of memory that a product with ``matrix`` reads: as stored, where a backend keeps it so."""
        return matrix.nbytes

    @classmethod
    @abstractmethod
    def probe(cls) -> Probe:
        """The devices here, or why there are none; must not raise, and loads heavy libraries only now."""

    @classmethod  # noqa: B027 - most probes look at everything
    def check_installation(cls) -> None:
        """Raise BackendError where something is missing that ``probe`` does not look at, since that takes long.

        ``auto`` asks it of the backend that it would take, and takes the next one instead.
        """

    def check(self, graph: Graph) -> None:
        """Raise GraphError unless this backend can run ``graph``; asked before any weight is loaded."""
        lower(graph, self.ops, f"backend {self.name}")

    @abstractmethod
    def load(self, weights: Mapping[str, Weight], progress: Progress | None = None) -> None:
        """Take the weights; ``progress`` is called with the number of bytes done so far, all weights together.

        A backend that converts weights when a program is built may call it until then.
        """

    def prepare(self, graphs: Sequence[Graph]) -> None:  # noqa: B027 - most backends compile each for itself
        """Told of all graphs that will be compiled, before the first: they may have something in common."""

    def compile(self, graph: Graph) -> Program:
        """Lower the graph to this backend's ops and build a program. Raises GraphError for an op it cannot run."""
        return self.build(lower(graph, self.ops, f"backend {self.name}"))

    @abstractmethod
    def build(self, graph: Graph) -> Program:
        """A program for a graph that holds only ``ops``; its states come into being here, as zeros."""

    def copy_rows(self, source: int, target: int, rows: npt.NDArray[np.int64], prefix: str = "") -> None:
        """Copy cells ``rows`` of slot ``source`` to the same cells of slot ``target``.

        In every state whose name begins with ``prefix``: those of a cache have one prefix and equally many cells.
        """
        self.states.copy_rows(source, target, rows, prefix)

    def read_state(self, name: str, slot: int) -> Array:
        """A copy of one slot of a state: ``(cells, ...)``, float32."""
        value: Array = self.states.find(name).slot(slot)
        return value

    def write_state(self, name: str, slot: int, value: Array) -> None:
        """Replace one slot of a state."""
        self.states.replace(name, slot, value)

    def export(self, graphs: Mapping[str, Graph], directory: Path) -> None:  # noqa: ARG002
        """Write ``graphs``, by the names of their files, and the loaded weights they need into an empty ``directory``.

        Optional: raises BackendError for a backend that has no files of its own.
        """
        raise BackendError(f"backend {self.name} has no file format to export to; take another one, such as onnx")

    @abstractmethod
    def close(self) -> None:
        """Release weights, states and device; the backend cannot be used afterwards."""
