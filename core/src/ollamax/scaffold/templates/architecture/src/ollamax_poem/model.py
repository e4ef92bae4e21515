"""The poem model: pre-norm blocks of grouped-query attention and SwiGLU."""

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
        def key(name: str) -> str:
            return f"poem.{name}"

        self.blocks = metadata.integer(key("block_count"), minimum=1, maximum=_MOST_BLOCKS)
        self.dim = metadata.integer(key("embedding_length"), minimum=1)
        self.ffn = metadata.integer(key("feed_forward_length"), minimum=1)
        self.heads = metadata.integer(key("attention.head_count"), minimum=1)
        self.kv_heads = metadata.integer(key("attention.head_count_kv"), self.heads, minimum=1)
        self.head_dim = metadata.integer(key("attention.key_length"), self.dim // self.heads, minimum=2)
        self.eps = metadata.number(key("attention.layer_norm_rms_epsilon"), minimum=0.0)
        self.rope = nn.Rope(metadata.number(key("rope.freq_base"), 10000.0, minimum=1.0), self.head_dim, "halves")
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ArchitectureError(
                f"{metadata.origin}: {self.heads} query heads of {self.head_dim} elements with {self.kv_heads} key "
                f"heads; expected {key('attention.head_count')} to be a multiple of head_count_kv, and an even size"
            )


class Block(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + swiglu(norm(x))``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.attn_norm, self.ffn_norm = nn.RMSNorm(config.eps), nn.RMSNorm(config.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear() for _ in range(4))
        self.ffn_gate, self.ffn_up, self.ffn_down = (nn.Linear() for _ in range(3))

    def __call__(self, x: Tensor, layer: int, batch: Batch, cache: Cache, mask: Tensor) -> Tensor:
        """``(N, T, dim)`` to the same."""
        x = x + self._attend(self.attn_norm(x), layer, batch, cache, mask)
        hidden = self.ffn_norm(x)
        return x + self.ffn_down(nn.silu_mul(self.ffn_gate(hidden), self.ffn_up(hidden)))

    def _attend(self, x: Tensor, layer: int, batch: Batch, cache: Cache, mask: Tensor) -> Tensor:
        c = self.config
        q = c.rope(self.attn_q(x).split_heads(c.heads, c.head_dim), batch.positions)
        k = c.rope(self.attn_k(x).split_heads(c.kv_heads, c.head_dim), batch.positions)
        v = self.attn_v(x).split_heads(c.kv_heads, c.head_dim)
        keys, values = cache.put(layer, k, v)
        return self.attn_output(nn.attention(q, keys, values, mask).merge_heads())


class Poem(Architecture):
    """PoemForCausalLM."""

    name = "poem"

    def __init__(self, config: Metadata) -> None:
        self.config = Config(config)
        self.token_embd = nn.Embedding()
        self.blk = [Block(self.config) for _ in range(self.config.blocks)]
        self.output_norm = nn.RMSNorm(self.config.eps)
        self.output = nn.Linear(alt="token_embd")

    def cache(self, size: CacheSize) -> Cache:
        """Keys and values of every layer."""
        c = self.config
        return CausalCache(c.blocks, c.kv_heads, c.head_dim, c.head_dim, size)

    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        """Logits ``(N, R, vocabulary)``."""
        mask = cache.mask(batch.positions)
        x = self.token_embd(batch.tokens)
        for layer, block in enumerate(self.blk):
            x = block(x, layer, batch, cache, mask)
        return self.output(self.output_norm(batch.select(x)))

    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Turn cached keys on by ``delta`` positions."""
        del layer  # every layer turns alike
        return self.config.rope(key, delta)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors."""
        c = self.config
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        return {
            "token_embd.weight": (None, c.dim),
            "output.weight": (None, c.dim),
            "*_norm.weight": (c.dim,),
            "blk.*.attn_q.weight": (q, c.dim),
            "blk.*.attn_[kv].weight": (kv, c.dim),
            "blk.*.attn_output.weight": (c.dim, q),
            "blk.*.ffn_gate.weight": (c.ffn, c.dim),
            "blk.*.ffn_up.weight": (c.ffn, c.dim),
            "blk.*.ffn_down.weight": (c.dim, c.ffn),
        }
