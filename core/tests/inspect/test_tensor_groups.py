"""Which tensors are shown as one."""

from ollamax.convert.mapping import MappedTensor, Status
from ollamax.inspect.tensor_groups import group_tensors
from ollamax.types import DType, TensorInfo


def row(name, becomes=None, shape=(4, 4), dtype="F32"):
    info = TensorInfo(becomes, DType.F32, shape) if becomes else None
    return MappedTensor(Status.MAPPED, name, dtype, shape, info)


def patterns(*rows):
    return [(group.pattern, group.count, group.becomes) for group in group_tensors(rows)]


def test_layers_are_folded_in_the_order_of_the_file():
    rows = [row("output.weight"), *(row(f"blk.{at}.{name}.weight") for at in range(12) for name in ("q", "k"))]
    assert patterns(*rows) == [
        ("output.weight", 1, ""),
        ("blk.{0..11}.q.weight", 12, ""),
        ("blk.{0..11}.k.weight", 12, ""),
    ]


def test_another_shape_or_type_is_another_group():
    rows = [row(f"blk.{at}.v", dtype="Q6_K" if at in (0, 3) else "Q4_K") for at in range(6)] + [
        row("blk.6.v", None, (2,))
    ]
    assert [(group.pattern, group.dtype, group.shape) for group in group_tensors(rows)] == [
        ("blk.{0,3}.v", "Q6_K", (4, 4)),
        ("blk.{1..2,4..5}.v", "Q4_K", (4, 4)),
        ("blk.6.v", "F32", (2,)),
    ]


def test_new_names_are_folded_too():
    rows = [row(f"model.layers.{at}.q_proj.weight", f"blk.{at}.attn_q.weight") for at in (0, 1)]
    assert patterns(*rows) == [("model.layers.{0..1}.q_proj.weight", 2, "blk.{0..1}.attn_q.weight")]
    assert patterns(row("same", "same")) == [("same", 1, "")]


def test_several_numbers_fold_only_where_every_combination_occurs():
    full = [row(f"layers.{layer}.experts.{expert}.up") for layer in range(2) for expert in range(3)]
    assert patterns(*full) == [("layers.{0..1}.experts.{0..2}.up", 6, "")]
    assert patterns(*full[:-1]) == [("layers.0.experts.{0..2}.up", 3, ""), ("layers.1.experts.{0..1}.up", 2, "")]
    ragged = [row("a.0.0.0"), row("a.0.1.1"), row("a.0.1.0")]
    assert sum(group.count for group in group_tensors(ragged)) == 3


def test_numbers_inside_a_word_are_part_of_it():
    assert patterns(row("conv1.weight"), row("conv2.weight")) == [("conv1.weight", 1, ""), ("conv2.weight", 1, "")]


def test_a_missing_tensor_is_in_no_group():
    assert patterns(MappedTensor(Status.MISSING, "", "", (3,))) == []


def test_what_becomes_several_tensors_is_counted_once():
    rows = [
        row(f"layers.{at}.{fused}", f"blk.{at}.{part}")
        for at in (0, 1)
        for fused, part in (("qk", "attn_q"), ("qk", "attn_k"), ("v", "attn_v"))
    ]
    assert patterns(*rows) == [
        ("layers.{0..1}.qk", 2, "blk.{0..1}.attn_q, blk.{0..1}.attn_k"),
        ("layers.{0..1}.v", 2, "blk.{0..1}.attn_v"),
    ]
