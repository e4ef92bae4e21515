"""Hyper-parameters of mllama, by their GGUF keys."""

from __future__ import annotations

from ollamax.errors import ArchitectureError
from ollamax.gguf import Metadata
from ollamax.ml import nn
from ollamax_mllama.images import DEVIATION, MEAN, Floats
from ollamax_mllama.vision import VisionConfig

IMAGE_TOKEN = "ollamax.mllama.image_token_id"
IMAGE_TOKEN_TEXT = "<|image|>"
_MOST_LAYERS = 4096


class Config:
    """Sizes are counts of elements; ``cross_layers`` are the numbers of the layers that look at pictures."""

    def __init__(self, metadata: Metadata) -> None:
        def size(key: str, default: int | None = None) -> int:
            name = f"mllama.{key}"
            return metadata.integer(name, minimum=1) if default is None else metadata.integer(name, default, minimum=1)

        self.blocks = metadata.integer("mllama.block_count", minimum=1, maximum=_MOST_LAYERS)
        self.dim, self.ffn = size("embedding_length"), size("feed_forward_length")
        self.heads = size("attention.head_count")
        self.kv_heads = size("attention.head_count_kv", self.heads)
        self.head_dim = self.dim // self.heads
        self.eps = metadata.number("mllama.attention.layer_norm_rms_epsilon", minimum=0.0)
        self.cross_layers = frozenset(metadata.integers("mllama.attention.cross_attention_layers").tolist())
        self.rope = nn.Rope(
            base=metadata.number("mllama.rope.freq_base", 500000.0, minimum=1.0),
            dims=size("rope.dimension_count", self.head_dim),
            pairing="interleaved",
            scale=_rope_scale(metadata),
        )
        self._check(metadata)
        self.vision = VisionConfig.read(metadata)
        self.image_mean, self.image_std = (
            _colours(metadata, "image_mean", MEAN),
            _colours(metadata, "image_std", DEVIATION),
        )
        self.image_token = _image_token(metadata)

    def _check(self, metadata: Metadata) -> None:
        wrong = None
        if self.heads % self.kv_heads:
            wrong = f"{self.heads} query heads do not divide into {self.kv_heads} key heads"
        elif self.dim % (2 * self.heads):
            wrong = f"embedding_length {self.dim} does not divide into {self.heads} heads of even size"
        elif self.rope.dims % 2 or self.rope.dims > self.head_dim:
            wrong = f"rope.dimension_count is {self.rope.dims}, expected an even number up to {self.head_dim}"
        elif not self.cross_layers or not all(0 <= layer < self.blocks for layer in self.cross_layers):
            wrong = f"cross_attention_layers must be some of the {self.blocks} layers"
        if wrong is not None:
            raise ArchitectureError(f"{metadata.origin}: mllama: {wrong}")


def _rope_scale(metadata: Metadata) -> float:
    kind = metadata.string("mllama.rope.scaling.type", "none")
    if kind == "none":
        return 1.0
    if kind == "linear":
        return 1.0 / metadata.number("mllama.rope.scaling.factor", minimum=1e-6)
    raise ArchitectureError(
        f"{metadata.origin}: mllama.rope.scaling.type is {kind!r:.40}, expected none or linear; "
        "llama3 scaling comes as the tensor rope_freqs.weight"
    )


def _colours(metadata: Metadata, key: str, default: Floats) -> Floats:
    """A number for each channel; a file of Ollama has none, and CLIP's are meant."""
    name = f"mllama.vision.{key}"
    if name not in metadata:
        return default
    red, green, blue = metadata.numbers(name, length=3).tolist()
    if key == "image_std" and min(red, green, blue) <= 0:
        raise ArchitectureError(f"{metadata.origin}: {name} must be above 0")
    return red, green, blue


def _image_token(metadata: Metadata) -> int:
    """The token that stands for a picture; a file of Ollama does not name it."""
    tokens = metadata.strings("tokenizer.ggml.tokens", [])
    if IMAGE_TOKEN in metadata:
        return metadata.integer(IMAGE_TOKEN, minimum=0, maximum=max(0, len(tokens) - 1))
    if IMAGE_TOKEN_TEXT not in tokens:
        raise ArchitectureError(
            f"{metadata.origin}: the vocabulary has no token {IMAGE_TOKEN_TEXT}, which stands for a picture, "
            f"and there is no key {IMAGE_TOKEN}"
        )
    return tokens.index(IMAGE_TOKEN_TEXT)
