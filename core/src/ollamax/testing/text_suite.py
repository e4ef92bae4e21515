"""What a model says: text that ends, repeats itself, and is the same on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ollamax.backend import Backend
from ollamax.backend.ranking import safe_probe
from ollamax.engine.assemble import bound_model
from ollamax.engine.model import Model
from ollamax.engine.resolve import resolve
from ollamax.gguf import open_gguf
from ollamax.inspect.compare import compare_model
from ollamax.inspect.tracing import trace_model
from ollamax.kvcache import CacheSize
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import dequantize
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import graph_input
from ollamax.plugins import get_registry
from ollamax.testing.checkpoint_fixtures import TOKENS, CheckpointFixtures, Load, assert_same
from ollamax.testing.framework import pytest

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_CLOSE = 5e-4
"""Of the largest logit, between backends with float32 weights."""
_CONTEXT = 24


class TextSuite(CheckpointFixtures):
    """Generation, shifting, other backends, and a golden trace where there is one."""

    golden: ClassVar[Path | None] = None
    """A directory that ``ollamax trace CHECKPOINT --reference --save`` wrote; without one its test is skipped."""

    def test_every_tensor_is_that_of_the_golden_trace(self, directory: Path) -> None:
        """Every named tensor, of the same weights; nothing else tells a wrong formula from a right one."""
        if self.golden is None:
            pytest.skip("no golden trace; make one: ollamax trace CHECKPOINT --reference --tokens 5,17 --save DIR")
        (found,) = compare_model(resolve(str(directory)), None, get_registry(), [self.backend], self.golden)
        assert found.first is None, f"{found.first} is beyond {found.tolerance:g}"
        assert found.same_weights, "the golden trace is of other weights; write it again from this checkpoint"
        assert found.uncompared == []

    def test_greedy_text_is_the_likeliest_and_repeats(self, load: Load) -> None:
        """Every token is the likeliest behind those before it."""
        model = load()
        chunks = list(model.generate(TOKENS, num_predict=12, temperature=0, draft_num_predict=0))
        tokens = [chunk.token for chunk in chunks if chunk.token is not None]
        assert 1 <= len(tokens) <= 12
        assert chunks[-1].done
        assert chunks[-1].done_reason == ("length" if len(tokens) == 12 else "stop")
        logits = model.logits([*TOKENS, *tokens[:-1]])[len(TOKENS) - 1 :]
        assert_same(logits[np.arange(len(tokens)), tokens], logits.max(axis=1))
        assert text(model, 12) == "".join(chunk.text for chunk in chunks)

    def test_the_number_of_tokens_is_honoured(self, load: Load) -> None:
        """Of a random model that rarely ends by itself."""
        model = load()
        for count in (1, 3):
            tokens = [chunk.token for chunk in model.generate(TOKENS, num_predict=count, temperature=0)]
            assert len([token for token in tokens if token is not None]) <= count

    def test_text_goes_on_beyond_the_context(self, load: Load) -> None:
        """The cache makes room, and the answer is the same the second time."""
        model = load(num_ctx=_CONTEXT)
        options: dict[str, Any] = {"num_predict": 3 * _CONTEXT, "temperature": 1.0, "seed": 7, "num_keep": 2}
        found = [[chunk.token for chunk in model.generate(TOKENS, **options)] for _ in range(2)]
        assert found[0] == found[1]
        assert len(TOKENS) + len(found[0]) > _CONTEXT

    def test_shift_turns_a_key_as_another_position_does(self, file: Path) -> None:
        """A key of the first layer depends on token and position alone: moved by d it is the one d further on."""
        registry = get_registry()
        tensors = trace_model(resolve(str(file)), [TOKENS[0]] * 12, registry, self.backend).tensors
        keys = tensors["blk.0.key"]
        assert np.abs(keys[0] - keys[-1]).max() > 1e-3, "keys do not depend on the position"
        for delta in (3, -4):
            start, count = max(0, -delta), len(keys) - abs(delta)
            moved = shifted(file, keys[start : start + count], delta, CacheSize(1, len(keys), step=len(keys)))
            np.testing.assert_allclose(moved, keys[start + delta : start + delta + count], rtol=1e-3, atol=1e-4)

    def test_every_backend_that_can_run_here_agrees(self, load: Load) -> None:
        """In logits for a prompt, and in steps."""
        expected = load().logits(TOKENS)
        for name, backend in get_registry().backends.items():
            if safe_probe(backend).devices:
                check_backend(load, name, backend, expected)


def text(model: Model, count: int) -> str:
    """What the model says, always the likeliest."""
    return "".join(chunk.text for chunk in model.generate(TOKENS, num_predict=count, temperature=0))


def shifted(file: Path, keys: Array, delta: int, size: CacheSize) -> Array:
    """Keys ``(S, heads, width)`` of the first layer of the model in ``file``, moved by ``delta`` positions.

    ``size`` is that of the cache that they are from.
    """
    with open_gguf(file) as source:
        _, model = bound_model(file, source, get_registry())
        model.cache(size)  # first, as for the engine: a model may turn keys by it
        given = graph_input("keys", (1, "S", *keys.shape[1:]), Kind.FLOAT)
        graph = Graph({"out": model.shift(0, given, graph_input("delta", (1, "S")))})
        held = [source.tensors[node.attrs["name"]] for node in graph.nodes if node.op is Op.WEIGHT]
        weights = {one.name: dequantize(source.tensor_bytes(one.name), one.dtype, one.shape) for one in held}
    inputs = {"keys": keys[None], "delta": np.full((1, len(keys)), delta)}
    return np.asarray(evaluate(graph, inputs, {"S": len(keys)}, weights)["out"][0])


def check_backend(load: Load, name: str, backend: type[Backend], expected: Array) -> None:
    """The backend computes the same logits, for a prompt and token by token."""
    most = _CLOSE * np.abs(expected[np.isfinite(expected)]).max()
    model = load(backend=name)
    np.testing.assert_allclose(model.logits(TOKENS), expected, rtol=0, atol=most, err_msg=f"backend {name}")
    runner = model.runner
    runner.truncate(0)
    runner.prefill(0, TOKENS[:-4])
    stepped = [runner.decode([0], [token])[0] for token in TOKENS[-4:]]
    np.testing.assert_allclose(np.stack(stepped), expected[-4:], rtol=0, atol=most, err_msg=f"backend {backend.name}")
