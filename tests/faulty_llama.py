"""Llamas with one fault each, as somebody might make it who writes the model down for the first time."""

from __future__ import annotations

from dataclasses import replace

import ollamax_llama.model as right
from ollamax.ml import nn
from ollamax.ml.tensor import concat


class Plain(right.Block):
    """The block without a fault; every other one differs in one place."""

    def __call__(self, x, layer, batch, cache, mask, factors):
        x = x + self.attend(self.attn_norm(x), layer, batch, cache, mask, factors)
        return x + self.mlp(self.ffn_norm(x))

    def attend(self, x, layer, batch, cache, mask, factors):
        c = self.config
        q = self.rope(self.attn_q(x).split_heads(c.heads, c.head_dim), batch.positions, factors)
        k = self.rope(self.attn_k(x).split_heads(c.kv_heads, c.head_dim), batch.positions, factors)
        keys, values = cache.put(layer, k, self.attn_v(x).split_heads(c.kv_heads, c.value_dim))
        return self.attn_output(self.look(q, keys, values, mask).merge_heads())

    def rope(self, x, positions, factors):
        return self.config.rope(x, positions, factors)

    def look(self, q, keys, values, mask):
        return nn.attention(q, keys, values, mask)

    def mlp(self, x):
        return self.ffn_down(nn.silu_mul(self.ffn_gate(x), self.ffn_up(x)))


class WrongPairing(Plain):
    def rope(self, x, positions, factors):
        return replace(self.config.rope, pairing="halves")(x, positions, factors)


class SwappedGateAndUp(Plain):
    def mlp(self, x):
        return self.ffn_down(nn.silu_mul(self.ffn_up(x), self.ffn_gate(x)))


class MissingNorm(Plain):
    def __call__(self, x, layer, batch, cache, mask, factors):
        x = x + self.attend(self.attn_norm(x), layer, batch, cache, mask, factors)
        return x + self.mlp(x)


class NoBias(nn.Linear):
    def __call__(self, x):
        bias, self.bias.tensor = self.bias.tensor, None
        try:
            return super().__call__(x)
        finally:
            self.bias.tensor = bias


class MissingBias(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.attn_v = NoBias()


class Transposed(nn.Linear):
    def __call__(self, x):
        return x @ self.weight.value


class TransposedWeight(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.attn_output = Transposed()


class WrongEpsilon(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.ffn_norm = nn.RMSNorm(config.eps / 10)


class MissingScale(Plain):
    def look(self, q, keys, values, mask):
        return nn.attention(q, keys, values, mask, scale=1.0)


class WrongHeadCount(Plain):
    """Repeats all key heads one after another, where each should be repeated by itself."""

    def look(self, q, keys, values, mask):
        times = self.config.heads // self.config.kv_heads
        return super().look(q, concat([keys] * times, axis=2), concat([values] * times, axis=2), mask)


def with_fault(fault, layer):
    """Llama's class with the block ``fault`` in place of that of ``layer``."""

    class Faulty(right.Llama):
        def __init__(self, config):
            super().__init__(config)
            self.blk = [Plain(self.config) for _ in self.blk]
            self.blk[layer] = fault(self.config)

    return Faulty
