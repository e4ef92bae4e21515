"""The architecture contract: a model whose attribute paths are tensor names; ``forward`` reads like the paper."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ollamax.kvcache import CausalCache
from ollamax.ml import nn
from ollamax.ml.tensor import Tensor, gather, graph_input

if TYPE_CHECKING:
    from ollamax.gguf import Metadata


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of a step on ``N`` sequences with ``T`` new tokens each.

    ``tokens (N, T)`` ids, ``positions (N, T)``, ``outputs (N, R)``: which tokens of each sequence want logits.
    """

    tokens: Tensor
    positions: Tensor
    outputs: Tensor

    @classmethod
    def traced(cls, vocabulary: int) -> Batch:
        """Input nodes; token ids are checked against ``vocabulary``."""
        return cls(
            graph_input("tokens", ("N", "T"), bound=vocabulary),
            graph_input("positions", ("N", "T")),
            graph_input("outputs", ("N", "R"), bound="T"),
        )

    def select(self, hidden: Tensor) -> Tensor:
        """Only the tokens that want logits: ``(N, T, dim)`` to ``(N, R, dim)``."""
        return gather(hidden, self.outputs)


class Architecture(nn.Module):
    """A model family; a package returns its class from the hook ``ollamax_architectures``.

    ::

        class Tiny(Architecture):
            name = "tiny"                                    # general.architecture

            def __init__(self, config):
                self.token_embd, self.output = nn.Embedding(), nn.Linear(alt="token_embd")

            def cache(self, slots, cells): return CausalCache(0, 1, 1, 1, slots, cells)
            def forward(self, batch, cache): return self.output(batch.select(self.token_embd(batch.tokens)))
            def shift(self, layer, key, delta): return key
    """

    name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    ignored_tensors: ClassVar[tuple[str, ...]] = ()
    """Patterns (fnmatch) of tensors that a file may hold and this model does not use."""

    @abstractmethod
    def __init__(self, config: Metadata) -> None:
        """Read hyper-parameters and lay out the modules; raise ArchitectureError for a variant not supported."""

    @abstractmethod
    def cache(self, slots: int, cells: int) -> CausalCache:
        """The cache that ``forward`` uses, for ``slots`` sequences of ``cells`` tokens."""

    @abstractmethod
    def forward(self, batch: Batch, cache: CausalCache) -> Tensor:
        """Logits ``(N, R, vocabulary)``. Runs once, when the model is loaded: it builds the graph."""

    @abstractmethod
    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Cached keys ``(N, S, heads, dim)`` moved by ``delta (N, S)`` positions."""

    def tensor_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors: pattern (fnmatch) to shape; None stands for any size."""
        return {}
