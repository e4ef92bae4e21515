"""Binding a file's tensors to a model, and tracing it."""

import pytest

from ollamax.arch import Architecture, Batch
from ollamax.arch.binding import bind
from ollamax.arch.trace import trace
from ollamax.errors import BindingError, GraphError
from ollamax.gguf import Metadata
from ollamax.kvcache import Cache, CacheSize, CausalCache
from ollamax.ml import Op, Tensor, nn
from ollamax.types import DType, TensorInfo


class Block(nn.Module):
    def __init__(self) -> None:
        self.norm, self.up = nn.RMSNorm(), nn.Linear()


class Tiny(Architecture):
    name = "tiny"
    ignored_tensors = ("blk.*.unused",)

    def __init__(self, config: Metadata) -> None:
        self.blocks = config.integer("tiny.block_count")
        self.token_embd, self.output = nn.Embedding(), nn.Linear(alt="token_embd")
        self.blk = [Block() for _ in range(self.blocks)]

    def cache(self, size: CacheSize) -> Cache:
        return CausalCache(self.blocks, 1, 4, 4, size)

    def forward(self, batch: Batch, cache: Cache) -> Tensor:
        x = self.token_embd(batch.tokens)
        for layer, block in enumerate(self.blk):
            heads = block.up(block.norm(x)).split_heads(1, 4)
            keys, values = cache.put(layer, heads, heads)
            x = x + nn.attention(heads, keys, values, cache.mask(batch.positions)).merge_heads()
        return self.output(batch.select(x))

    def shift(self, layer: int, key: Tensor, delta: Tensor) -> Tensor:
        return key

    def tensor_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"token_embd.weight": (None, 4), "blk.*.norm.weight": (4,)}


def infos(**changes: tuple[int, ...] | None) -> dict[str, TensorInfo]:
    shapes: dict[str, tuple[int, ...] | None] = {
        "token_embd.weight": (9, 4),
        "blk.0.norm.weight": (4,),
        "blk.0.up.weight": (4, 4),
        **{name.replace("__", "."): shape for name, shape in changes.items()},
    }
    return {name: TensorInfo(name, DType.F32, shape) for name, shape in shapes.items() if shape is not None}


def tiny() -> Tiny:
    return Tiny(Metadata({"tiny.block_count": 1}, "x.gguf"))


def test_paths_are_tensor_names() -> None:
    paths = [path for path, _ in tiny().parameters()]
    assert paths == [
        "token_embd.weight",
        "output.weight",
        "output.bias",
        "blk.0.norm.weight",
        "blk.0.up.weight",
        "blk.0.up.bias",
    ]


def test_a_tied_output_takes_the_embedding() -> None:
    model = tiny()
    bind(model, infos(), "x.gguf")
    assert model.output.weight.tensor is model.token_embd.weight.tensor
    bind(model, infos(output__weight=(9, 4)), "x.gguf")
    assert model.output.weight.tensor is not model.token_embd.weight.tensor


def test_every_problem_is_reported_at_once() -> None:
    changes = {"blk__0__norm__weight": (5,), "blk__0__up__weight": None, "extra": (1,), "blk__0__unused": (1,)}
    with pytest.raises(BindingError) as caught:
        bind(tiny(), infos(**changes), "x.gguf")
    assert str(caught.value) == (
        "x.gguf does not fit architecture tiny: missing: blk.0.up.weight; unused: extra; "
        "misshapen: blk.0.norm.weight (5), expected (4)"
    )


def test_long_lists_are_shortened() -> None:
    extra = {f"extra{number}": (1,) for number in range(50)}
    with pytest.raises(BindingError, match=r"extra19 and 30 more$"):
        bind(tiny(), infos(**extra), "x.gguf")


def test_traced_once_with_symbols() -> None:
    model = tiny()
    bind(model, infos(), "x.gguf")
    traced = trace(model, 9, CacheSize(2, 16, step=16), "x.gguf")
    assert traced.step.outputs["logits"].shape == ("N", "R", 9)
    assert traced.step.dims == {"N", "T", "S", "R"}
    assert set(traced.step.states) == {"cache.0.key", "cache.0.value"} == set(traced.step.writes)
    assert sum(node.op is Op.MASK for node in traced.step.nodes) == 1
    assert set(traced.shift.writes) == {"cache.0.key"}


def test_tensors_that_contradict_each_other_are_an_error_of_the_file() -> None:
    model = tiny()
    bind(model, infos(blk__0__up__weight=(6, 4)), "x.gguf")
    with pytest.raises(BindingError, match=r"tensors of x.gguf do not fit architecture tiny: reshape"):
        trace(model, 9, CacheSize(1, 16, step=16), "x.gguf")


def test_an_unbound_parameter_is_an_error() -> None:
    with pytest.raises(GraphError, match="before it was bound"):
        tiny().token_embd(Batch.traced(9).tokens)
