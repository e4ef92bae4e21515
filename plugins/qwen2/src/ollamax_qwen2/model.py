"""The qwen2 model (Yang et al. 2024): llama's blocks with biases on q, k and v, and windows on chosen layers."""

from __future__ import annotations

from ollamax.arch import Architecture, Batch
from ollamax.errors import ArchitectureError
from ollamax.gguf import Metadata
from ollamax.kvcache import Cache, CacheSize, HybridCache
from ollamax.ml import Tensor, nn
from ollamax_qwen2.rope import read_rotation

_MOST_BLOCKS = 4096  # bounds the work that a hostile file asks for


class Config:
    """Hyper-parameters, by their GGUF keys; sizes are counts of elements."""

    def __init__(self, metadata: Metadata) -> None:
        def size(key: str, default: int | None = None) -> int:
            name = f"qwen2.{key}"
            return metadata.integer(name, minimum=1) if default is None else metadata.integer(name, default, minimum=1)

        self.blocks = metadata.integer("qwen2.block_count", minimum=1, maximum=_MOST_BLOCKS)
        self.dim = size("embedding_length")
        self.ffn = size("feed_forward_length")
        self.heads = size("attention.head_count")
        self.kv_heads = size("attention.head_count_kv", self.heads)
        self.head_dim = size("attention.key_length", self.dim // self.heads)
        self.value_dim = size("attention.value_length", self.head_dim)
        self.eps = metadata.number("qwen2.attention.layer_norm_rms_epsilon", minimum=0.0)
        if self.heads % self.kv_heads:
            raise ArchitectureError(
                f"{metadata.origin}: {self.heads} query heads do not divide into {self.kv_heads} key heads; "
                "qwen2.attention.head_count must be a multiple of qwen2.attention.head_count_kv"
            )
        self.rotation = read_rotation(metadata, self.head_dim)
        self.windows = _windows(metadata, self.blocks)


def _windows(metadata: Metadata, blocks: int) -> list[int | None]:
    """How many tokens each layer sees, the query's own among them; None for all."""
    key = "qwen2.attention.sliding_window"
    if key not in metadata:
        return [None] * blocks
    if f"{key}_pattern" not in metadata:
        raise ArchitectureError(f"{metadata.origin}: {key} without {key}_pattern does not say which layers it is for")
    window = metadata.integer(key, minimum=1)
    return [window if slides else None for slides in metadata.flags(f"{key}_pattern", length=blocks)]


class Block(nn.Module):
    """One layer: ``x + attention(norm(x))``, then ``x + swiglu(norm(x))``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.attn_norm, self.ffn_norm = nn.RMSNorm(config.eps), nn.RMSNorm(config.eps)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear() for _ in range(4))
        self.ffn_gate, self.ffn_up, self.ffn_down = (nn.Linear() for _ in range(3))
        for projection in (self.attn_q, self.attn_k, self.attn_v):
            projection.bias.optional = False  # a file that lost them must not pass

    def __call__(self, x: Tensor, layer: int, batch: Batch, cache: Cache) -> Tensor:
        """``(N, T, dim)`` to the same."""
        x = x + self._attend(self.attn_norm(x), layer, batch, cache)
        hidden = self.ffn_norm(x)
        return x + self.ffn_down(nn.silu_mul(self.ffn_gate(hidden), self.ffn_up(hidden)))

    def _attend(self, x: Tensor, layer: int, batch: Batch, cache: Cache) -> Tensor:
        c = self.config
        q = c.rotation(self.attn_q(x).split_heads(c.heads, c.head_dim), batch.positions)
        k = c.rotation(self.attn_k(x).split_heads(c.kv_heads, c.head_dim), batch.positions)
        v = self.attn_v(x).split_heads(c.kv_heads, c.value_dim)
        keys, values = cache.put(layer, k, v)
        mask = cache.mask(batch.positions, c.windows[layer])
        return self.attn_output(nn.attention(q, keys, values, mask).merge_heads())


class Qwen2(Architecture):
    """Qwen2ForCausalLM and its GGUF dialect."""

    name = "qwen2"

    def __init__(self, config: Metadata) -> None:
        self.config = Config(config)
        self.token_embd = nn.Embedding()
        self.blk = [Block(self.config) for _ in range(self.config.blocks)]
        self.output_norm = nn.RMSNorm(self.config.eps)
        self.output = nn.Linear(alt="token_embd")

    def cache(self, size: CacheSize) -> Cache:
        """Keys and values of every layer; those with a window keep no more than it needs."""
        c = self.config
        return HybridCache(c.windows, c.kv_heads, c.head_dim, c.value_dim, size)

    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        """Logits ``(N, R, vocabulary)``."""
        x = self.token_embd(batch.tokens)
        for layer, block in enumerate(self.blk):
            x = block(x, layer, batch, cache)
        return self.output(self.output_norm(batch.select(x)))

    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        """Turn cached keys on by ``delta`` positions."""
        del layer  # every layer turns alike
        return self.config.rotation.shift(key, delta)

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What the hyper-parameters say of the tensors."""
        c = self.config
        q, k, v = c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.value_dim
        return {
            "token_embd.weight": (None, c.dim),
            "output.weight": (None, c.dim),
            "output_norm.weight": (c.dim,),
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
