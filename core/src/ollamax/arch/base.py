"""The architecture contract: a model whose attribute paths are tensor names; ``forward`` reads like the paper."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ollamax.kvcache import Cache, CacheSize, EncoderCache
from ollamax.ml import nn
from ollamax.ml.tensor import Tensor, gather, graph_input

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self.tokens.attrs["bound"])

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

            def cache(self, size): return CausalCache(0, 1, 1, 1, size)
            def forward(self, batch, cache): return self.output(batch.select(self.token_embd(batch.tokens)))
            def shift(self, layer, key, delta): return key
    """

    name: ClassVar[str] = ""
    """What ``general.architecture`` of a file says."""

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other spellings of the name in files."""

    ignored_tensors: ClassVar[tuple[str, ...]] = ()
    """Patterns (fnmatch) of tensors that a file may hold and this model does not use."""

    @abstractmethod
    def __init__(self, config: Metadata) -> None:
        """Read hyper-parameters and lay out the modules; raise ArchitectureError for a variant not supported."""

    @abstractmethod
    def cache(self, size: CacheSize) -> Cache:
        """The cache that ``forward`` uses: a ``CausalCache``, or a ``HybridCache`` where layers have windows.

        Called before ``forward`` and ``shift``, so a model may choose by the size how it turns keys.
        """

    @abstractmethod
    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        """Logits ``(N, R, vocabulary)``. Runs once, when the model is loaded: it builds the graph."""

    @abstractmethod
    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Cached keys ``(N, S, heads, dim)`` moved by ``delta (N, S)`` positions."""

    def tensor_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors: pattern (fnmatch) to shape; None stands for any size."""
        return {}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture ready to be encoded.

    ``inputs`` are those of the architecture's ``encode``. ``visible (picture_cells,)`` says which of the encoder cells
    that it fills a token may see that sees the picture; the others are padding.
    """

    inputs: Mapping[str, npt.NDArray[Any]]
    visible: npt.NDArray[np.bool_]


class VisionArchitecture(Architecture):
    """Optional: what a model adds that looks at pictures by cross-attention.

    Two traces share its states. ``forward`` serves steps in which no sequence has a picture, ``forward_seeing`` all
    others; ``encode`` fills the encoder cache, once for each picture of a chat. In a prompt a picture stands as the
    token ``image_token``.
    """

    image_token: int
    """The id of the token that stands for a picture."""

    picture_cells: int
    """Encoder cells that each picture takes."""

    @abstractmethod
    def prepare(self, data: bytes) -> Picture:
        """Read an encoded picture (PNG, JPEG, ...); raise ImageError for what is none, is damaged or too large."""

    @abstractmethod
    def encoder_cache(self, slots: int, pictures: int) -> EncoderCache:
        """The cache that ``encode`` fills, for up to ``pictures`` pictures of each of ``slots`` sequences."""

    @abstractmethod
    def encode(self, encoder: EncoderCache) -> Sequence[Tensor]:
        """The writes that put one picture into the encoder cache. Runs once, when the model is loaded."""

    @abstractmethod
    def forward_seeing(self, batch: Batch, cache: Cache, encoder: EncoderCache) -> Tensor:
        """Logits as ``forward`` gives them, where some sequences have pictures."""

    @abstractmethod
    def spans(self, places: Sequence[int]) -> Sequence[tuple[int, int | None]]:
        """From which to which position (exclusive; None is no end) each picture is seen.

        Picture ``i`` stands at position ``places[i]``.
        """
