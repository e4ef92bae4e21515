"""The vision encoder of Llama 3.2 (Grattafiori et al. 2024): a transformer over the patches of all tiles.

It follows transformers' ``MllamaVisionModel``, which returns the last hidden states beside the outputs of some
intermediate layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollamax.errors import ArchitectureError
from ollamax.gguf import Metadata
from ollamax.ml import Kind, Op, Tensor, nn
from ollamax.ml.tensor import apply, concat, const, graph_input
from ollamax_mllama.canvas import arrangements

_CHANNELS = 3
_MOST_LAYERS = 4096
_MOST_TILES = 64
_PATCH_MULTIPLE = 8
"""Patches of a tile are padded to a multiple of this; transformers and Meta's code do so."""


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Hyper-parameters below ``mllama.vision.``; ``patches`` of a tile count its class token."""

    blocks: int
    global_blocks: int
    intermediate: tuple[int, ...]
    dim: int
    ffn: int
    heads: int
    eps: float
    image_size: int
    patch_size: int
    tiles: int

    @classmethod
    def read(cls, metadata: Metadata) -> VisionConfig:
        """From a file's keys; raises GGUFError and ArchitectureError."""

        def size(key: str, most: int | None = None) -> int:
            return metadata.integer(f"mllama.vision.{key}", minimum=1, maximum=most)

        config = cls(
            blocks=size("block_count", _MOST_LAYERS),
            global_blocks=size("global.block_count", _MOST_LAYERS),
            intermediate=tuple(metadata.integers("mllama.vision.intermediate_layers_indices").tolist()),
            dim=size("embedding_length"),
            ffn=size("feed_forward_length"),
            heads=size("attention.head_count"),
            eps=metadata.number("mllama.vision.attention.layer_norm_epsilon", minimum=0.0),
            image_size=size("image_size"),
            patch_size=size("patch_size"),
            tiles=size("max_num_tiles", _MOST_TILES),
        )
        config.check(metadata)
        return config

    def check(self, metadata: Metadata) -> None:
        """Raise ArchitectureError for values that do not fit each other."""
        wrong = None
        channels = metadata.integer("mllama.vision.num_channels", _CHANNELS)
        if channels != _CHANNELS:
            wrong = f"num_channels is {channels}; pictures have {_CHANNELS}"
        elif self.dim % self.heads:
            wrong = f"embedding_length {self.dim} does not divide into {self.heads} heads"
        elif self.patch_size > self.image_size:
            wrong = f"patch_size {self.patch_size} exceeds image_size {self.image_size}"
        elif not self.intermediate or not all(0 <= layer < self.blocks for layer in self.intermediate):
            wrong = f"intermediate_layers_indices must be some of the {self.blocks} layers"
        if wrong is not None:
            raise ArchitectureError(f"{metadata.origin}: mllama.vision: {wrong}")

    @property
    def patches(self) -> int:
        """Positions of a tile: its patches and the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1

    @property
    def output_dim(self) -> int:
        """Features of a position that leave the encoder."""
        return self.dim * (1 + len(self.intermediate))


class GatedTable(nn.Module):
    """A row for each aspect ratio, times a gate; the file has the gate's hyperbolic tangent."""

    def __init__(self) -> None:
        self.weight, self.gate = nn.Parameter(), nn.Parameter()

    def __call__(self, ids: Tensor, *shape: int) -> Tensor:
        """The row of ``ids (1,)`` in ``shape``."""
        return apply(Op.EMBEDDING, self.weight.value, ids).reshape(*shape) * self.gate.value


class PositionTable(nn.Module):
    """A row for each patch, times a gate; the file has one minus the gate's hyperbolic tangent."""

    def __init__(self) -> None:
        self.weight, self.gate = nn.Parameter(), nn.Parameter()

    def __call__(self) -> Tensor:
        """All rows, ``(patches, dim)``."""
        return self.weight.value * self.gate.value


class VisionBlock(nn.Module):
    """``x + gate attention(norm(x))``, then ``x + gate mlp(norm(x))``; local layers have no gates."""

    def __init__(self, config: VisionConfig, gated: bool) -> None:
        self._heads, self._head_dim = config.heads, config.dim // config.heads
        self._gated = gated
        self.attn_norm, self.ffn_norm = nn.LayerNorm(config.eps), nn.LayerNorm(config.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear() for _ in range(4))
        self.ffn_up, self.ffn_down = nn.Linear(), nn.Linear()
        if gated:
            self.attn_gate, self.ffn_gate = nn.Parameter(), nn.Parameter()

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x (1, L, dim)`` under ``mask (1, L, L)``."""
        normed = self.attn_norm(x)
        q, k, v = (
            project(normed).split_heads(self._heads, self._head_dim)
            for project in (self.attn_q, self.attn_k, self.attn_v)
        )
        attended = self.attn_output(nn.attention(q, k, v, mask).merge_heads())
        x = x + (attended * self.attn_gate.value if self._gated else attended)
        changed = self.ffn_down(nn.gelu(self.ffn_up(self.ffn_norm(x))))
        return x + (changed * self.ffn_gate.value if self._gated else changed)


class Stack(nn.Module):
    """The gated layers, ``v.global.blk`` in the file."""

    def __init__(self, config: VisionConfig) -> None:
        self.blk = [VisionBlock(config, gated=True) for _ in range(config.global_blocks)]


class VisionEncoder(nn.Module):
    """Tiles of pixels to features of their patches."""

    def __init__(self, config: VisionConfig) -> None:
        self._config = config
        self.patch_embd = nn.Conv2d(stride=config.patch_size)
        self.class_embd = nn.Parameter()
        self.position_embd, self.tile_position_embd = PositionTable(), GatedTable()
        self.pre_tile_position_embd, self.post_tile_position_embd = GatedTable(), GatedTable()
        # These two norms have torch's epsilon, whatever that of the layers.
        self.pre_ln, self.post_ln = nn.LayerNorm(1e-5), nn.LayerNorm(1e-5)
        self.blk = [VisionBlock(config, gated=False) for _ in range(config.blocks)]
        setattr(self, "global", Stack(config))  # a keyword of Python, but the file's name

    def __call__(self) -> Tensor:
        """Features ``(tiles, patches, output_dim)`` of one picture.

        Inputs are ``pixel_values (tiles, 3, size, size)``, ``aspect_ratio_id (1,)`` and ``tile_used (tiles,)``.
        """
        c = self._config
        pixels = graph_input("pixel_values", (c.tiles, _CHANNELS, c.image_size, c.image_size), Kind.FLOAT)
        ratio = graph_input("aspect_ratio_id", (1,), bound=len(arrangements(c.tiles)) + 1)
        used = graph_input("tile_used", (c.tiles,), Kind.BOOL)
        padding = -c.patches % _PATCH_MULTIPLE
        length = c.patches + padding
        mask = self._mask(used, padding)
        x = self._embed(pixels, ratio)
        x = apply(Op.PAD, x, axis=1, before=0, after=padding).reshape(1, c.tiles * length, c.dim)
        kept = {}
        for layer, block in enumerate(self.blk):
            x = block(x, mask)
            if layer in c.intermediate:
                kept[layer] = x.reshape(c.tiles, length, c.dim, 1)
        x = self.post_ln(x).reshape(c.tiles, length, c.dim) + self.post_tile_position_embd(ratio, c.tiles, 1, c.dim)
        x = x.reshape(1, c.tiles * length, c.dim)
        for block in vars(self)["global"].blk:
            x = block(x, mask)
        # Feature d of all kept layers, then feature d + 1.
        side = concat([kept[layer] for layer in c.intermediate]).reshape(c.tiles, length, c.output_dim - c.dim)
        return concat([x.reshape(c.tiles, length, c.dim), side]).slice(1, 0, c.patches)

    def _embed(self, pixels: Tensor, ratio: Tensor) -> Tensor:
        """Patches with all that tells their place: ``(tiles, patches, dim)``."""
        c = self._config
        x = self.patch_embd(pixels).reshape(c.tiles, c.dim, c.patches - 1).transpose()
        x = x + self.pre_tile_position_embd(ratio, c.tiles, 1, c.dim)
        first = self.class_embd.value.reshape(1, 1, c.dim).repeat(0, c.tiles)
        x = concat([first, x], axis=1) + self.position_embd()
        return self.pre_ln(x + self.tile_position_embd(ratio, c.tiles, c.patches, c.dim))

    def _mask(self, used: Tensor, padding: int) -> Tensor:
        """Padding does not see padding; everything else sees everything, as in transformers."""
        import numpy as np

        c = self._config
        real = const(np.arange(c.patches + padding) < c.patches)
        meant = apply(Op.AND, used.reshape(c.tiles, 1), real).reshape(1, c.tiles * (c.patches + padding))
        length = meant.shape[1]
        return apply(Op.OR, meant.reshape(1, length, 1), meant.reshape(1, 1, length))

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors below ``v.``."""
        c = self._config
        rows = len(arrangements(c.tiles)) + 1
        shapes: dict[str, tuple[int | None, ...]] = {
            "v.patch_embd.weight": (c.dim, _CHANNELS, c.patch_size, c.patch_size),
            "v.class_embd": (c.dim,),
            "v.position_embd.weight": (c.patches, c.dim),
            "v.tile_position_embd.weight": (rows, c.tiles * c.patches * c.dim),
            "v.pre_tile_position_embd.weight": (rows, c.tiles * c.dim),
            "v.post_tile_position_embd.weight": (rows, c.tiles * c.dim),
            "v.*position_embd.gate": (1,),
            "v.global.blk.*_gate": (1,),
            "v.p*_ln.*": (c.dim,),
            "v.*_norm.*": (c.dim,),
            "v.*.ffn_up.weight": (c.ffn, c.dim),
            "v.*.ffn_up.bias": (c.ffn,),
            "v.*.ffn_down.weight": (c.dim, c.ffn),
            "v.*.ffn_down.bias": (c.dim,),
        }
        return shapes | {f"v.*.attn_{name}.weight": (c.dim, c.dim) for name in ("q", "k", "v", "output")}
