"""The choice of a type for every tensor; tests/llama_cpp compares it with llama.cpp's own, file type by file type."""

import pytest

from ollamax.convert.file_type import WRITABLE
from ollamax.convert.mix import choose_types
from ollamax.errors import GGUFError
from ollamax.ml.dtype import can_quantize
from ollamax.types import DType, TensorInfo

EVERY = frozenset(DType)
LETTERS = {DType.Q3_K: "3", DType.Q4_K: "4", DType.Q5_K: "5", DType.Q6_K: "6", DType.Q8_0: "8", DType.Q4_0: "0"}
PARTS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down")


def model(blocks=16, *, heads=8, kv_heads=2, width=256, untied=True, family="llama", experts=0):
    names = ["token_embd.weight", *(["output.weight"] if untied else [])]
    names += [f"blk.{block}.{part}.weight" for block in range(blocks) for part in PARTS]
    metadata = {
        "general.architecture": family,
        f"{family}.block_count": blocks,
        f"{family}.attention.head_count": heads,
        f"{family}.attention.head_count_kv": kv_heads,
        f"{family}.expert_count": experts,
    }
    return {name: TensorInfo(name, DType.F32, (8, width)) for name in names}, metadata


def choose(kind, tensors, metadata, writable=EVERY):
    return {name: info.dtype for name, info in choose_types(WRITABLE[kind], tensors, metadata, writable).items()}


def layers(chosen, part):
    """A digit for each layer."""
    return "".join(LETTERS[dtype] for name, dtype in chosen.items() if f".{part}." in name)


@pytest.mark.parametrize(
    ("kind", "value", "down", "output", "other"),
    [
        ("Q3_K_S", "3333333333333333", "3333333333333333", "3333333333333333", "3333333333333333"),
        ("Q3_K_M", "5544444444444444", "5444444444444444", "4444444444444444", "3333333333333333"),
        ("Q3_K_L", "5555555555555555", "5555555555555555", "5555555555555555", "3333333333333333"),
        ("Q4_K_S", "5555444444444444", "5544444444444444", "4444444444444444", "4444444444444444"),
        ("Q4_K_M", "6644644644644666", "6644644644644666", "4444444444444444", "4444444444444444"),
        ("Q5_K_S", "5555555555555555", "5555555555555555", "5555555555555555", "5555555555555555"),
        ("Q5_K_M", "6655655655655666", "6655655655655666", "5555555555555555", "5555555555555555"),
        ("Q6_K", "6666666666666666", "6666666666666666", "6666666666666666", "6666666666666666"),
        ("Q4_0", "0000000000000000", "0000000000000000", "0000000000000000", "0000000000000000"),
    ],
)
def test_layers_that_matter_more_get_more_bits(kind, value, down, output, other):
    chosen = choose(kind, *model())
    assert layers(chosen, "attn_v") == value
    assert layers(chosen, "ffn_down") == down
    assert layers(chosen, "attn_output") == output
    assert {layers(chosen, part) for part in ("attn_q", "attn_k", "ffn_up", "ffn_gate")} == {other}
    assert (chosen["output.weight"], chosen["token_embd.weight"]) == (DType.Q6_K, WRITABLE[kind].base)


def test_a_tied_embedding_is_the_output():
    assert choose("Q4_K_M", *model(untied=False))["token_embd.weight"] is DType.Q6_K
    assert choose("Q8_0", *model(untied=False))["token_embd.weight"] is DType.Q8_0


@pytest.mark.parametrize(("kind", "dtype"), [("Q4_0", DType.Q8_0), ("Q5_1", DType.Q8_0), ("Q4_K_M", DType.Q6_K)])
def test_the_output_where_q6_k_cannot_be_written(kind, dtype):
    """Old types do without; a mix of K types asks for what it is made of, and fails."""
    assert choose(kind, *model(), writable=can_quantize)["output.weight"] is dtype


@pytest.mark.parametrize(
    ("kind", "width", "dtype"),
    [
        ("Q4_K_S", 96, DType.Q5_0),
        ("Q5_K_S", 96, DType.Q5_1),
        ("Q6_K", 96, DType.Q8_0),
        ("Q3_K_S", 96, DType.Q4_0),
        ("IQ4_XS", 96, DType.IQ4_NL),
        ("Q6_K", 80, DType.F16),
        ("Q4_0", 80, DType.F16),
    ],
)
def test_rows_that_blocks_do_not_divide(kind, width, dtype):
    chosen = choose(kind, *model(width=width))
    assert chosen["blk.9.ffn_up.weight"] is dtype
    assert chosen["output.weight"] is (DType.F16 if width % 32 else DType.Q8_0)


@pytest.mark.parametrize(("family", "kv_heads"), [("llama", 1), ("qwen2", 8)])
def test_large_models_keep_their_few_values(family, kv_heads):
    assert set(layers(choose("Q3_K_S", *model(80, kv_heads=kv_heads, family=family)), "attn_v")) == {"5"}
    assert set(layers(choose("Q3_K_S", *model(79, kv_heads=kv_heads, family=family)), "attn_v")) == {"3"}


def test_eight_experts():
    chosen = choose("Q4_K_M", *model(experts=8))
    assert set(layers(chosen, "attn_v")) == set(layers(chosen, "attn_k")) == {"8"}
    assert set(layers(chosen, "attn_output")) == {"5"}


def test_what_keeps_its_type():
    names = ("v.blk.0.attn_q.weight", "mm.0.weight", "blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.0.pos")
    tensors = {name: TensorInfo(name, DType.BF16, (256, 256)) for name in names}
    assert set(choose("Q4_K_M", tensors, {"general.architecture": "toy"}).values()) == {DType.BF16}


def test_heads_that_differ_between_layers():
    tensors, metadata = model()
    metadata["llama.attention.head_count"] = [8] * 16
    metadata["llama.attention.head_count_kv"] = [2] * 16
    assert choose("Q2_K", tensors, metadata)["blk.3.attn_v.weight"] is DType.Q4_K
    metadata["llama.attention.head_count"] = "eight"
    with pytest.raises(GGUFError, match=r"llama\.attention\.head_count"):
        choose("Q2_K", tensors, metadata)
