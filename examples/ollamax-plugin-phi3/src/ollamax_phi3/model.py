"""The phi3 model (Abdin et al. 2024): grouped-query attention and SwiGLU, longrope, windows on all layers."""

from __future__ import annotations

from dataclasses import replace

from ollamax.arch import Architecture, Batch
from ollamax.errors import ArchitectureError
from ollamax.gguf import Metadata
from ollamax.kvcache import Cache, CacheSize, HybridCache
from ollamax.ml import Tensor, nn

_MOST_BLOCKS = 4096  # bounds the work that a hostile file asks for


class Config:
    """Hyper-parameters, by their GGUF keys; sizes are counts of elements."""

    def __init__(self, metadata: Metadata) -> None:
        self.blocks = metadata.integer("phi3.block_count", minimum=1, maximum=_MOST_BLOCKS)
        self.dim = metadata.integer("phi3.embedding_length", minimum=1)
        self.ffn = metadata.integer("phi3.feed_forward_length", minimum=1)
        self.heads = metadata.integer("phi3.attention.head_count", minimum=1)
        self.kv_heads = metadata.integer("phi3.attention.head_count_kv", self.heads, minimum=1)
        self.head_dim = metadata.integer("phi3.attention.key_length", self.dim // self.heads, minimum=2)
        self.eps = metadata.number("phi3.attention.layer_norm_rms_epsilon", minimum=0.0)
        rotated = metadata.integer("phi3.rope.dimension_count", self.head_dim)
        if self.heads % self.kv_heads or self.head_dim % 2 or rotated != self.head_dim:
            raise ArchitectureError(
                f"{metadata.origin}: {self.heads} query heads, {self.kv_heads} key heads, {rotated} of {self.head_dim} "
                "elements rotated; expected head_count a multiple of head_count_kv, and all of an even head rotated"
            )
        # llama.cpp's converter writes attn_factor wherever it writes factors, and then a file must have both.
        self.longrope = "phi3.rope.scaling.attn_factor" in metadata
        magnitude = metadata.number("phi3.rope.scaling.attn_factor", 1.0, minimum=1e-6)
        base = metadata.number("phi3.rope.freq_base", 10000.0, minimum=1.0)
        self.rope = nn.Rope(base, self.head_dim, pairing="halves", magnitude=magnitude)
        trained = metadata.integer("phi3.context_length", minimum=1)
        self.original = metadata.integer("phi3.rope.scaling.original_context_length", trained, minimum=1)
        self.window = metadata.integer("phi3.attention.sliding_window", 0, minimum=0) or None


class Block(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + swiglu(norm(x))``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.attn_norm, self.ffn_norm = nn.RMSNorm(config.eps), nn.RMSNorm(config.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear() for _ in range(4))
        self.ffn_gate, self.ffn_up, self.ffn_down = (nn.Linear() for _ in range(3))

    def __call__(self, x: Tensor, layer: int, batch: Batch, cache: Cache, factors: Tensor | None) -> Tensor:
        """``(N, T, dim)`` to the same; ``factors`` are those of the rotary frequencies."""
        x = x + self._attend(self.attn_norm(x), layer, batch, cache, factors)
        hidden = self.ffn_norm(x)
        return x + self.ffn_down(nn.silu_mul(self.ffn_gate(hidden), self.ffn_up(hidden)))

    def _attend(self, x: Tensor, layer: int, batch: Batch, cache: Cache, factors: Tensor | None) -> Tensor:
        c = self.config
        q = c.rope(self.attn_q(x).split_heads(c.heads, c.head_dim), batch.positions, factors)
        k = c.rope(self.attn_k(x).split_heads(c.kv_heads, c.head_dim), batch.positions, factors)
        v = self.attn_v(x).split_heads(c.kv_heads, c.head_dim)
        keys, values = cache.put(layer, k, v)
        mask = cache.mask(batch.positions, c.window)
        return self.attn_output(nn.attention(q, keys, values, mask).merge_heads())


class Phi3(Architecture):
    """Phi3ForCausalLM."""

    name = "phi3"

    def __init__(self, config: Metadata) -> None:
        self.config = Config(config)
        self.token_embd = nn.Embedding()
        self.blk = [Block(self.config) for _ in range(self.config.blocks)]
        self.output_norm = nn.RMSNorm(self.config.eps)
        self.output = nn.Linear(alt="token_embd")
        optional = not self.config.longrope
        self.rope_factors_long, self.rope_factors_short = nn.Weight(optional), nn.Weight(optional)
        self.long = False

    def cache(self, size: CacheSize) -> Cache:
        """Keys and values of every layer, of no more tokens than a window needs.

        Its size decides between the factors, as in llama.cpp: a key is cached turned, so they cannot change later.
        """
        c = self.config
        self.long = size.cells > c.original
        return HybridCache([c.window] * c.blocks, c.kv_heads, c.head_dim, c.head_dim, size)

    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        """Logits ``(N, R, vocabulary)``."""
        x = self.token_embd(batch.tokens)
        for layer, block in enumerate(self.blk):
            x = block(x, layer, batch, cache, self._factors())
        return self.output(self.output_norm(batch.select(x)))

    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Turn cached keys on by ``delta`` positions; they hold the magnitude already."""
        del layer  # every layer turns alike
        return replace(self.config.rope, magnitude=1.0)(key, delta, self._factors())

    def _factors(self) -> Tensor | None:
        return (self.rope_factors_long if self.long else self.rope_factors_short).tensor

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors."""
        c = self.config
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        return {
            "token_embd.weight": (None, c.dim),
            "output.weight": (None, c.dim),
            "*_norm.weight": (c.dim,),
            "rope_factors_*.weight": (c.head_dim // 2,),
            "blk.*.attn_q.weight": (q, c.dim),
            "blk.*.attn_[kv].weight": (kv, c.dim),
            "blk.*.attn_output.weight": (c.dim, q),
            "blk.*.ffn_[gu]*.weight": (c.ffn, c.dim),
            "blk.*.ffn_down.weight": (c.dim, c.ffn),
        }
