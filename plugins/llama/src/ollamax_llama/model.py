"""The llama model (Touvron et al. 2023): pre-norm blocks of grouped-query attention and SwiGLU."""

from __future__ import annotations

from ollamax.arch import Architecture, Batch
from ollamax.errors import ArchitectureError
from ollamax.gguf import Metadata
from ollamax.kvcache import Cache, CacheSize, CausalCache
from ollamax.ml import Tensor, nn

_MOST_BLOCKS = 4096  # bounds the work that a hostile file asks for


class Config:
    """Hyper-parameters, by their GGUF keys; sizes are counts of elements."""

    def __init__(self, metadata: Metadata) -> None:
        def size(key: str, default: int | None = None) -> int:
            name = f"llama.{key}"
            return metadata.integer(name, minimum=1) if default is None else metadata.integer(name, default, minimum=1)

        self.blocks = metadata.integer("llama.block_count", minimum=1, maximum=_MOST_BLOCKS)
        self.dim = size("embedding_length")
        self.ffn = size("feed_forward_length")
        self.heads = size("attention.head_count")
        self.kv_heads = size("attention.head_count_kv", self.heads)
        self.head_dim = size("attention.key_length", self.dim // self.heads)
        self.value_dim = size("attention.value_length", self.head_dim)
        self.eps = metadata.number("llama.attention.layer_norm_rms_epsilon", minimum=0.0)
        if experts := metadata.integer("llama.expert_count", 0, minimum=0):
            raise ArchitectureError(
                f"{metadata.origin}: llama.expert_count is {experts}; mixtures of experts are not supported, expected 0"
            )
        if self.heads % self.kv_heads:
            raise ArchitectureError(
                f"{metadata.origin}: {self.heads} query heads do not divide into {self.kv_heads} key heads; "
                "llama.attention.head_count must be a multiple of llama.attention.head_count_kv"
            )
        self.rope = nn.Rope(
            base=metadata.number("llama.rope.freq_base", 10000.0, minimum=1.0),
            dims=size("rope.dimension_count", self.head_dim),
            pairing="interleaved",
            scale=_rope_scale(metadata),
        )
        if self.rope.dims % 2 or self.rope.dims > self.head_dim:
            raise ArchitectureError(
                f"{metadata.origin}: llama.rope.dimension_count is {self.rope.dims}, "
                f"expected an even number up to the head size {self.head_dim}"
            )


def _rope_scale(metadata: Metadata) -> float:
    # Older files give a factor without a type, and mean linear, as llama.cpp reads them.
    kind = metadata.string("llama.rope.scaling.type", "linear" if "llama.rope.scaling.factor" in metadata else "none")
    if kind == "none":
        return 1.0
    if kind == "linear":
        return 1.0 / metadata.number("llama.rope.scaling.factor", minimum=1e-6)
    raise ArchitectureError(
        f"{metadata.origin}: llama.rope.scaling.type is {kind!r}, expected none or linear; "
        "llama3 scaling comes as the tensor rope_freqs.weight"
    )


class Block(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + swiglu(norm(x))``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.attn_norm, self.ffn_norm = nn.RMSNorm(config.eps), nn.RMSNorm(config.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear() for _ in range(4))
        self.ffn_gate, self.ffn_up, self.ffn_down = (nn.Linear() for _ in range(3))

    def __call__(
        self, x: Tensor, layer: int, batch: Batch, cache: Cache, mask: Tensor, factors: Tensor | None
    ) -> Tensor:
        """``(N, T, dim)`` to the same; ``factors`` are those of the rotary frequencies."""
        x = x + self._attend(self.attn_norm(x), layer, batch, cache, mask, factors)
        hidden = self.ffn_norm(x)
        return x + self.ffn_down(nn.silu_mul(self.ffn_gate(hidden), self.ffn_up(hidden)))

    def _attend(
        self, x: Tensor, layer: int, batch: Batch, cache: Cache, mask: Tensor, factors: Tensor | None
    ) -> Tensor:
        c = self.config
        q = c.rope(self.attn_q(x).split_heads(c.heads, c.head_dim), batch.positions, factors)
        k = c.rope(self.attn_k(x).split_heads(c.kv_heads, c.head_dim), batch.positions, factors)
        v = self.attn_v(x).split_heads(c.kv_heads, c.value_dim)
        keys, values = cache.put(layer, k, v)
        return self.attn_output(nn.attention(q, keys, values, mask).merge_heads())


class Llama(Architecture):
    """LlamaForCausalLM and its GGUF dialect, in which the rows of q and k are ordered for interleaved pairs."""

    name = "llama"

    def __init__(self, config: Metadata) -> None:
        self.config = Config(config)
        self.token_embd = nn.Embedding()
        self.blk = [Block(self.config) for _ in range(self.config.blocks)]
        self.output_norm = nn.RMSNorm(self.config.eps)
        self.output = nn.Linear(alt="token_embd")
        self.rope_freqs = nn.Weight(optional=True)

    def cache(self, size: CacheSize) -> Cache:
        """Keys and values of every layer."""
        c = self.config
        return CausalCache(c.blocks, c.kv_heads, c.head_dim, c.value_dim, size)

    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        """Logits ``(N, R, vocabulary)``."""
        mask = cache.mask(batch.positions)
        x = self.token_embd(batch.tokens)
        for layer, block in enumerate(self.blk):
            x = block(x, layer, batch, cache, mask, self.rope_freqs.tensor)
        return self.output(self.output_norm(batch.select(x)))

    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Turn cached keys on by ``delta`` positions."""
        del layer  # every layer turns alike
        return self.config.rope(key, delta, self.rope_freqs.tensor)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors."""
        c = self.config
        q, k, v = c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.value_dim
        return {
            "token_embd.weight": (None, c.dim),
            "output.weight": (None, c.dim),
            "output_norm.weight": (c.dim,),
            "rope_freqs.weight": (c.rope.dims // 2,),
            "blk.*.attn_norm.weight": (c.dim,),
            "blk.*.ffn_norm.weight": (c.dim,),
            "blk.*.attn_q.weight": (q, c.dim),
            "blk.*.attn_k.weight": (k, c.dim),
            "blk.*.attn_v.weight": (v, c.dim),
            "blk.*.attn_output.weight": (c.dim, c.heads * c.value_dim),
            "blk.*.ffn_gate.weight": (c.ffn, c.dim),
            "blk.*.ffn_up.weight": (c.ffn, c.dim),
            "blk.*.ffn_down.weight": (c.dim, c.ffn),
            "blk.*.attn_q.bias": (q,),
            "blk.*.attn_k.bias": (k,),
            "blk.*.attn_v.bias": (v,),
            "blk.*.attn_output.bias": (c.dim,),
            "blk.*.ffn_gate.bias": (c.ffn,),
            "blk.*.ffn_up.bias": (c.ffn,),
            "blk.*.ffn_down.bias": (c.dim,),
        }
