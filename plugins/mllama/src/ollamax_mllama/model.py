"""The mllama model: llama, with gated cross-attention to pictures between its layers (Grattafiori et al. 2024).

It follows transformers' ``MllamaForConditionalGeneration``. Rows of ``attn_q``, ``attn_k``, ``cross_attn_q_proj`` and
``cross_attn_k_proj`` lie in the file as Ollama's converter orders them: neighbours are a pair.
"""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.arch import Batch, Picture, VisionArchitecture
from ollamax.errors import ArchitectureError, GraphError
from ollamax.gguf import Metadata
from ollamax.kvcache import Cache, CacheSize, CausalCache, EncoderCache
from ollamax.ml import Op, Tensor, nn
from ollamax.ml.tensor import apply, const, optional, where
from ollamax_mllama.config import Config
from ollamax_mllama.images import ImageProcessor
from ollamax_mllama.visibility import spans
from ollamax_mllama.vision import VisionEncoder


class Block(nn.Module):
    """What both kinds of layers share: the norms, and the MLP behind the second."""

    def __init__(self, config: Config) -> None:
        self.attn_norm, self.ffn_norm = nn.RMSNorm(config.eps), nn.RMSNorm(config.eps)
        self.ffn_gate, self.ffn_up, self.ffn_down = (nn.Linear() for _ in range(3))

    def mlp(self, x: Tensor) -> Tensor:
        """SwiGLU of the normed ``x``."""
        hidden = self.ffn_norm(x)
        return self.ffn_down(nn.silu_mul(self.ffn_gate(hidden), self.ffn_up(hidden)))


class SelfBlock(Block):
    """A layer of llama; ``index`` counts the layers of its kind."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__(config)
        self.config, self.index = config, index
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear() for _ in range(4))

    def __call__(self, x: Tensor, batch: Batch, cache: Cache, mask: Tensor, factors: Tensor | None) -> Tensor:
        """``(N, T, dim)`` to the same; ``factors`` are those of the rotary frequencies."""
        c, normed = self.config, self.attn_norm(x)
        q = c.rope(self.attn_q(normed).split_heads(c.heads, c.head_dim), batch.positions, factors)
        k = c.rope(self.attn_k(normed).split_heads(c.kv_heads, c.head_dim), batch.positions, factors)
        keys, values = cache.put(self.index, k, self.attn_v(normed).split_heads(c.kv_heads, c.head_dim))
        x = x + self.attn_output(nn.attention(q, keys, values, mask).merge_heads())
        return x + self.mlp(x)


class CrossBlock(Block):
    """A layer that looks at pictures; ``index`` counts the layers of its kind."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__(config)
        self.index = index
        self.cross_attn_q_proj, self.cross_attn_k_proj = nn.Linear(), nn.Linear()
        self.cross_attn_v_proj, self.cross_attn_o_proj = nn.Linear(), nn.Linear()
        self.cross_attn_q_norm, self.cross_attn_k_norm = nn.RMSNorm(config.eps), nn.RMSNorm(config.eps)
        self.cross_attn_attn_gate, self.cross_attn_mlp_gate = nn.Parameter(), nn.Parameter()


class Mllama(VisionArchitecture):
    """MllamaForConditionalGeneration, in the GGUF layout of Ollama."""

    name = "mllama"

    def __init__(self, config: Metadata) -> None:
        self.config = c = Config(config)
        self.image_token = c.image_token
        self.picture_cells = c.vision.tiles * c.vision.patches
        self.images = ImageProcessor(c.vision.image_size, c.vision.tiles, c.image_mean, c.image_std)
        self.token_embd = nn.Embedding()
        self.blk: list[SelfBlock | CrossBlock] = []
        for layer in range(c.blocks):
            crossing = layer in c.cross_layers
            index = sum(isinstance(block, CrossBlock) == crossing for block in self.blk)
            self.blk.append(CrossBlock(c, index) if crossing else SelfBlock(c, index))
        self.output_norm = nn.RMSNorm(c.eps)
        self.output = nn.Linear()
        self.rope_freqs = nn.Weight(optional=True)
        self.v = VisionEncoder(c.vision)
        self.mm = [nn.Linear()]

    def cache(self, size: CacheSize) -> Cache:
        """Keys and values of the layers that look at the text."""
        c = self.config
        return CausalCache(c.blocks - len(c.cross_layers), c.kv_heads, c.head_dim, c.head_dim, size)

    def encoder_cache(self, slots: int, pictures: int) -> EncoderCache:
        """Keys and values of the layers that look at pictures."""
        c, cells = self.config, pictures * self.picture_cells
        return EncoderCache(len(c.cross_layers), c.kv_heads, c.head_dim, c.head_dim, slots, cells, self.picture_cells)

    def prepare(self, data: bytes) -> Picture:
        """The tiles of a picture; cells of tiles that it does not need are padding."""
        import numpy as np

        c, tiles = self.config.vision, self.images.tiles(data)
        used = np.arange(c.tiles) < tiles.count
        inputs = {
            "pixel_values": tiles.pixel_values,
            "aspect_ratio_id": np.array([tiles.aspect_ratio_id]),
            "tile_used": used,
        }
        return Picture(inputs, np.repeat(used, c.patches))

    def encode(self, encoder: EncoderCache) -> Sequence[Tensor]:
        """Vision encoder, projector, and the keys and values of each layer that looks at pictures."""
        c = self.config
        states = self.mm[0](self.v()).reshape(1, self.picture_cells, c.dim)
        writes: list[Tensor] = []
        for block in self.blk:
            if isinstance(block, CrossBlock):
                key = block.cross_attn_k_proj(states).split_heads(c.kv_heads, c.head_dim)
                value = block.cross_attn_v_proj(states).split_heads(c.kv_heads, c.head_dim)
                writes += encoder.put(block.index, _head_norm(block.cross_attn_k_norm, key), value)
        return writes

    def spans(self, places: Sequence[int]) -> Sequence[tuple[int, int | None]]:
        """A picture is seen from its place to the next, or to the end."""
        return spans(places)

    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        """Logits where there are no pictures: the layers that would look at them are left out."""
        x, mask = self._embed(batch), cache.mask(batch.positions)
        for block in self.blk:
            if isinstance(block, SelfBlock):
                x = block(x, batch, cache, mask, self.rope_freqs.tensor)
        return self._logits(batch, x)

    def forward_seeing(self, batch: Batch, cache: Cache, encoder: EncoderCache) -> Tensor:
        """Logits where some sequences have pictures; the others skip the layers that look at them."""
        x, mask, seen = self._embed(batch), cache.mask(batch.positions), encoder.mask(batch.positions)
        for block in self.blk:
            if isinstance(block, SelfBlock):
                x = block(x, batch, cache, mask, self.rope_freqs.tensor)
            else:
                x = where(encoder.has_picture.reshape("N", 1, 1), self._look(block, x, encoder, seen), x)
        return self._logits(batch, x)

    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Turn cached keys on by ``delta`` positions."""
        del layer  # every layer turns alike
        return self.config.rope(key, delta, self.rope_freqs.tensor)

    def _embed(self, batch: Batch) -> Tensor:
        rows = self.token_embd.weight.value.shape[0]
        if not isinstance(rows, int) or rows < batch.vocabulary:
            raise GraphError(f"token_embd.weight has {rows} rows, the tokenizer {batch.vocabulary} tokens")
        return self.token_embd(batch.tokens)

    def _look(self, block: CrossBlock, x: Tensor, encoder: EncoderCache, seen: Tensor) -> Tensor:
        """A layer that looks at pictures: a blind token looks too, but does without the MLP, as in transformers."""
        c = self.config
        q = block.cross_attn_q_proj(block.attn_norm(x)).split_heads(c.heads, c.head_dim)
        keys, values = encoder.get(block.index)
        looked = nn.attention(_head_norm(block.cross_attn_q_norm, q), keys, values, seen).merge_heads()
        x = x + block.cross_attn_o_proj(looked) * nn.tanh(block.cross_attn_attn_gate.value)
        changed = where(encoder.blind.reshape("N", "T", 1), 0.0, block.mlp(x))
        return x + changed * nn.tanh(block.cross_attn_mlp_gate.value)

    def _logits(self, batch: Batch, x: Tensor) -> Tensor:
        """Tokens that the model only reads, such as that of a picture, have no row in the output: they get -inf."""
        import numpy as np

        logits = self.output(self.output_norm(batch.select(x)))
        written = logits.shape[-1]
        if not isinstance(written, int) or written >= batch.vocabulary:
            return logits
        never = np.where(np.arange(batch.vocabulary) < written, 0, -np.inf).astype(np.float32)
        return apply(Op.PAD, logits, axis=2, before=0, after=batch.vocabulary - written) + const(never)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors."""
        c = self.config
        q, k = c.heads * c.head_dim, c.kv_heads * c.head_dim
        shapes: dict[str, tuple[int | None, ...]] = {
            "token_embd.weight": (None, c.dim),
            "output.weight": (None, c.dim),
            "output_norm.weight": (c.dim,),
            "rope_freqs.weight": (c.rope.dims // 2,),
            "mm.0.weight": (c.dim, c.vision.output_dim),
            "mm.0.bias": (c.dim,),
            "blk.*.attn_norm.weight": (c.dim,),
            "blk.*.ffn_norm.weight": (c.dim,),
            "blk.*.attn_output.weight": (c.dim, q),
            "blk.*.cross_attn_o_proj.weight": (c.dim, q),
            "blk.*.attn_q.weight": (q, c.dim),
            "blk.*.cross_attn_q_proj.weight": (q, c.dim),
            "blk.*.cross_attn_?_norm.weight": (c.head_dim,),
            "blk.*.cross_attn_*_gate": (1,),
            "blk.*.ffn_gate.weight": (c.ffn, c.dim),
            "blk.*.ffn_up.weight": (c.ffn, c.dim),
            "blk.*.ffn_down.weight": (c.dim, c.ffn),
        }
        for name in ("attn_k", "attn_v", "cross_attn_k_proj", "cross_attn_v_proj"):
            shapes[f"blk.*.{name}.weight"] = (k, c.dim)
        return self.v.tensor_shapes() | shapes


def _head_norm(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    """The norm of heads whose elements are in the order of pairs, by a weight that the file has in halves."""
    weight = norm.weight.value
    (width,) = weight.shape
    if not isinstance(width, int) or width % 2:
        raise ArchitectureError(f"heads of {width} elements do not divide into pairs")
    paired = weight.reshape(2, width // 2).transpose().reshape(width)
    return optional(Op.RMS_NORM, x, extra={"weight": paired}, eps=norm.eps)
