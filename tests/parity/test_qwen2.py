"""Qwen2 against transformers: logits, greedy tokens, windows, batches, sliding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers_reference import IDS, assert_close, greedy_tokens, reference_logits

import ollamax
from ollamax.engine.source import open_source
from ollamax.gguf import write_gguf
from ollamax.plugins import get_registry

pytestmark = pytest.mark.reference

Checkpoint = Callable[..., Path]

YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
WINDOW = {"use_sliding_window": True, "sliding_window": 7}
CONFIGS: dict[str, dict[str, Any]] = {
    "grouped-heads": {},
    "one-key-head": {"num_key_value_heads": 1},
    "every-head": {"num_key_value_heads": 4},
    "tied": {"tie_word_embeddings": True},
    "wide-heads": {"head_dim": 32},
    "narrow-heads": {"head_dim": 8},
    "other-theta-and-eps": {
        "rope_parameters": {"rope_type": "default", "rope_theta": 1234.0},
        "rms_norm_eps": 1e-3,
    },
    "linear-rope": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    "yarn": {"rope_parameters": YARN},
    "yarn-given-magnitude": {"rope_parameters": {**YARN, "attention_factor": 1.5, "beta_fast": 8.0, "beta_slow": 2.0}},
    "yarn-mscale": {"rope_parameters": {**YARN, "mscale": 0.7, "mscale_all_dim": 1.2}, "head_dim": 32},
    "window-everywhere": {**WINDOW, "max_window_layers": 0},
    "window-from-a-layer-on": {**WINDOW, "max_window_layers": 2},
    "window-by-layer-types": {
        **WINDOW,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "window-of-one": {**WINDOW, "sliding_window": 1, "max_window_layers": 1},
    "window-turned-off": {"use_sliding_window": False, "sliding_window": 7, "max_window_layers": 0},
    "window-and-yarn": {**WINDOW, "max_window_layers": 1, "rope_parameters": YARN},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name])
    with ollamax.load(directory, backend=backend) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shard", [None, "100KB"])
def test_checkpoint_types_and_shards(dtype: str, shard: str | None, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(dtype=dtype, shard=shard)
    assert len(list(directory.glob("*.safetensors"))) > 1 or shard is None
    # Other backends round what float16 weights are multiplied with to float16, too.
    with ollamax.load(directory, backend="cpu") as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("name", ["grouped-heads", "linear-rope", "window-and-yarn"])
def test_logits_equal_far_into_the_context(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    # Deep layers of large random weights show every rounding of an angle; trained models are far milder.
    directory = qwen2_checkpoint(
        **CONFIGS[name], hidden_size=128, num_hidden_layers=4, max_position_embeddings=2048, initializer_range=0.25
    )
    ids = np.random.default_rng(0).integers(2, 280, 2048).tolist()
    with ollamax.load(directory, backend=backend) as model:
        assert_close(model.logits(ids), reference_logits(directory, ids))


@pytest.mark.parametrize("name", ["tied", "window-and-yarn", "yarn-given-magnitude"])
def test_a_file_gives_the_logits_of_its_checkpoint(
    backend: str, name: str, qwen2_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name])
    source = open_source(directory, get_registry())
    write_gguf(tmp_path / "model.gguf", source.metadata, source.tensors.values(), source.tensor_bytes)
    source.close()
    with ollamax.load(tmp_path / "model.gguf", backend=backend) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("name", ["grouped-heads", "tied", "yarn", "window-from-a-layer-on"])
def test_same_greedy_tokens(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(seed=3, **CONFIGS[name])
    expected = greedy_tokens(directory, IDS[:12])
    with ollamax.load(directory, backend=backend) as model:
        chunks = list(model.generate(IDS[:12], max_tokens=32, temperature=0))
    assert [chunk.token for chunk in chunks if chunk.token is not None] == expected
    assert len(expected) > 4


@pytest.mark.parametrize("window", [1, 2, 5])
def test_a_window_is_the_query_and_the_tokens_just_before_it(
    backend: str, window: int, qwen2_checkpoint: Checkpoint
) -> None:
    one_layer = {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0, "num_hidden_layers": 1}
    directory = qwen2_checkpoint(**one_layer)
    ids = IDS[:10]
    changed = [[*ids[:at], ids[at] + 1, *ids[at + 1 :]] for at in range(len(ids))]
    seen = [at >= len(ids) - window for at in range(len(ids))]
    theirs = [reference_logits(directory, other)[-1] for other in [ids, *changed]]
    assert [not np.array_equal(theirs[0], other) for other in theirs[1:]] == seen
    with ollamax.load(directory, backend=backend) as model:
        ours = [model.logits(other)[-1] for other in [ids, *changed]]
    assert [not np.allclose(ours[0], other, rtol=0, atol=1e-5) for other in ours[1:]] == seen


@pytest.mark.parametrize("name", ["grouped-heads", "window-from-a-layer-on"])
@pytest.mark.parametrize("batch", [1, 5, 32, 256])
def test_prompt_in_batches_equals_prompt_at_once(
    backend: str, name: str, batch: int, qwen2_checkpoint: Checkpoint
) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name])
    with ollamax.load(directory, num_batch=batch, backend=backend) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("window")])
def test_steps_of_any_size_far_behind_a_window(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name])
    ids = [0, *np.random.default_rng(1).integers(2, 280, 239).tolist()]
    with ollamax.load(directory, num_batch=8, backend=backend) as model:
        runner, parts, at = model.runner, [], 0
        for size in (3, 1, 50, 8, 7, 1, 9, 61, 2, 30):
            parts.append(runner.prefill(0, ids[at : at + size], every=True))
            at += size
        parts += [runner.decode([0], [token]) for token in ids[at:]]
    assert_close(np.concatenate(parts), reference_logits(directory, ids))


@pytest.mark.parametrize("name", ["window-everywhere", "window-and-yarn"])
def test_a_window_keeps_no_more_than_it_needs(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name])
    with ollamax.load(directory, num_batch=8, backend=backend) as model:
        assert model.backend.read_state("window.0.key", 0).shape == (7 + 8, 2, 16)


@pytest.mark.parametrize("name", ["yarn", "window-by-layer-types"])
def test_decode_equals_prefill(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name])
    with ollamax.load(directory, backend=backend) as model:
        runner = model.runner
        rows = [runner.prefill(0, IDS[:1])[0], *(runner.decode([0], [token])[0] for token in IDS[1:])]
    assert_close(np.stack(rows), reference_logits(directory, IDS))


def test_sequences_side_by_side_equal_each_alone(backend: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(**CONFIGS["window-and-yarn"])
    other = IDS[::-1]
    expected = [reference_logits(directory, ids) for ids in (IDS, other)]
    with ollamax.load(directory, parallel=3, backend=backend) as model:
        runner = model.runner
        runner.prefill(2, IDS[:30])
        runner.prefill(0, other[:4])
        steps = [runner.decode([2, 0], [IDS[30 + step], other[4 + step]]) for step in range(20)]
    logits = np.stack(steps, axis=1)
    assert_close(logits[0], expected[0][30:50])
    assert_close(logits[1], expected[1][4:24])


@pytest.mark.parametrize("name", ["linear-rope", "yarn", "window-everywhere", "window-and-yarn"])
def test_a_slide_equals_a_fresh_prompt(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    # With one layer, keys and values depend on token and position alone.
    config = {**CONFIGS[name], "num_hidden_layers": 1}
    directory = qwen2_checkpoint(**(config | ({"max_window_layers": 0} if "max_window_layers" in config else {})))
    with ollamax.load(directory, backend=backend) as model:
        runner = model.runner
        runner.prefill(0, IDS[:40])
        runner.slide(0, keep=4, discard=11)
        moved = runner.prefill(0, IDS[40:60], every=True)
    assert_close(moved, reference_logits(directory, [*IDS[:4], *IDS[15:60]])[-20:])


@pytest.mark.parametrize("name", ["window-from-a-layer-on", "window-everywhere"])
def test_a_second_prompt_computes_only_what_it_appends(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    directory = qwen2_checkpoint(**CONFIGS[name], seed=5)
    with ollamax.load(directory, num_batch=8, backend=backend) as model:
        first = list(model.generate(IDS[:60], temperature=0, repeat_penalty=1.5, num_predict=9, draft_num_predict=0))
        ids = [*IDS[:60], *(chunk.token for chunk in first if chunk.token is not None), *IDS[60:70]]
        before = model.runner.computed
        second = list(model.generate(ids, temperature=0, num_predict=1))
        assert model.runner.computed - before == len(ids) - 60 - 8  # the ninth token drawn was not yet read
        assert second[0].token == int(reference_logits(directory, ids)[-1].argmax())


@pytest.mark.parametrize("name", ["grouped-heads", "window-from-a-layer-on"])
def test_generation_goes_on_past_the_context(backend: str, name: str, qwen2_checkpoint: Checkpoint) -> None:
    with ollamax.load(qwen2_checkpoint(**CONFIGS[name], seed=5), num_ctx=32, backend=backend) as model:
        chunks = list(model.generate(IDS[:12], temperature=0, repeat_penalty=1.5, num_predict=80))
        assert sum(chunk.token is not None for chunk in chunks) > 32
        assert model.runner.book.length(0) <= 32


def test_tokenizer_is_qwen2s(backend: str, qwen2_checkpoint: Checkpoint) -> None:
    import transformers

    directory = qwen2_checkpoint()
    reference = transformers.AutoTokenizer.from_pretrained(directory)
    text = "The cat isn't 12345 days\n\n old;  the\tmat"
    with ollamax.load(directory, backend=backend) as model:
        assert model.metadata["tokenizer.ggml.pre"] == "qwen2"
        assert model.tokenizer.encode(text, add_bos=False) == reference.encode(text, add_special_tokens=False)
