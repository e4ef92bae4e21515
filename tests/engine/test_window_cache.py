"""Layers with a window keep only that: less memory, the same logits, and what cannot be reused is computed again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ollamax.engine.model import Model
from ollamax.errors import ContextFullError

Load = Callable[..., Model]

WINDOW, BATCH = 6, 5
MIXED: dict[str, Any] = {"windows": [None, WINDOW, None, WINDOW]}
EVERYWHERE: dict[str, Any] = {"windows": [WINDOW, WINDOW]}
ONE_LAYER: dict[str, Any] = {"windows": [WINDOW]}
FILES = pytest.mark.parametrize("file", [MIXED, EVERYWHERE], ids=["mixed", "everywhere"])
SAME = {"rtol": 2e-4, "atol": 2e-4}

IDS = np.random.default_rng(0).integers(0, 256, 110).tolist()


def tokens(chunks: Any) -> list[int]:
    return [chunk.token for chunk in chunks if chunk.token is not None]


def prompt_tokens(chunks: Any) -> int:
    return int(list(chunks)[-1].stats.prompt_tokens)


def kept_bytes(model: Model, name: str) -> int:
    state = model.backend.states.find(name)  # type: ignore[attr-defined]
    return sum(kept.nbytes for kept in state._kept)


@pytest.mark.parametrize("context", [16, 64, 128])
def test_memory_follows_the_window_and_the_step_not_the_context(load: Load, context: int) -> None:
    model = load(MIXED, num_ctx=context, num_batch=BATCH, parallel=2)
    cell = 2 * 8 * 4  # heads, their width, bytes
    assert kept_bytes(model, "window.0.key") == kept_bytes(model, "window.1.value") == 2 * (WINDOW + BATCH) * cell
    assert kept_bytes(model, "cache.0.key") == kept_bytes(model, "cache.1.value") == 2 * context * cell
    assert set(model.backend.states._held) == {  # type: ignore[attr-defined]
        f"{kind}.{layer}.{what}" for kind in ("cache", "window") for layer in (0, 1) for what in ("key", "value")
    }


@FILES
@pytest.mark.parametrize("batch", [1, 2, BATCH, 64])
def test_steps_of_any_size_give_the_same_logits(load: Load, file: dict[str, Any], batch: int) -> None:
    expected = load(file, num_batch=128).logits(IDS)  # a step of the whole context forgets nothing
    model = load(file, num_batch=batch)
    np.testing.assert_allclose(model.logits(IDS), expected, **SAME)
    runner = model.runner
    parts, at = [], 0
    for size in (1, 2, 3, 5, 8, 13, 21, 1, 1, 1, 34):
        parts.append(runner.prefill(0, IDS[at : at + size], every=True))
        at += size
    parts += [runner.decode([0], [token]) for token in IDS[at:]]
    np.testing.assert_allclose(np.concatenate(parts), expected, **SAME)


@FILES
def test_sequences_of_different_lengths_side_by_side(load: Load, file: dict[str, Any]) -> None:
    expected = load(file, num_batch=128).logits(IDS)
    runner = load(file, num_batch=BATCH, parallel=3).runner
    held = [90, 3, 40]
    for slot, length in enumerate(held):
        runner.prefill(slot, IDS[:length])
    for step in range(15):
        logits = runner.decode([2, 0, 1], [IDS[held[slot] + step] for slot in (2, 0, 1)])
        np.testing.assert_allclose(logits, expected[[held[slot] + step for slot in (2, 0, 1)]], **SAME)


@FILES
def test_a_step_can_be_taken_back_without_computing_again(load: Load, file: dict[str, Any]) -> None:
    runner = load(file, num_batch=BATCH).runner
    runner.prefill(0, IDS[:80])
    assert runner.truncate(0, 80 - BATCH) == 80 - BATCH
    expected = load(file).logits(IDS[:80])[-BATCH:]
    np.testing.assert_allclose(runner.prefill(0, IDS[80 - BATCH : 80], every=True), expected, **SAME)


@FILES
@pytest.mark.parametrize("length", [0, WINDOW, 30, 80 - BATCH - 1])
def test_a_cut_behind_what_is_held_leaves_nothing(load: Load, file: dict[str, Any], length: int) -> None:
    runner = load(file, num_batch=BATCH).runner
    runner.prefill(0, IDS[:80])
    assert runner.truncate(0, length) == 0
    np.testing.assert_allclose(runner.prefill(0, IDS[:40], every=True), load(file).logits(IDS[:40]), **SAME)


@FILES
def test_a_copied_prefix_is_as_long_as_its_window_is_held(load: Load, file: dict[str, Any]) -> None:
    runner = load(file, num_batch=BATCH, parallel=2).runner
    expected = load(file).logits(IDS[:60])
    runner.prefill(0, IDS[:50])
    runner.prefill(1, IDS[50:])
    before = runner.computed
    assert runner.copy(0, 1, 48) == 48
    np.testing.assert_allclose(runner.prefill(1, IDS[48:60], every=True), expected[48:], **SAME)
    assert runner.computed - before == 12
    assert runner.copy(0, 1, 20) == 0
    np.testing.assert_allclose(runner.prefill(1, IDS[:60], every=True), expected, **SAME)
    np.testing.assert_allclose(runner.prefill(0, IDS[50:60], every=True), expected[50:], **SAME)


@FILES
def test_a_turn_that_only_appends_computes_only_its_new_tokens(load: Load, file: dict[str, Any]) -> None:
    model, fresh = load(file, num_batch=BATCH, draft_num_predict=0), load(file)
    held, computed = IDS[:40], 40
    for turn in range(4):
        new = IDS[40 + 3 * turn : 43 + 3 * turn] if turn else []
        chunks = list(model.generate([*held, *new], temperature=0, num_predict=7))
        assert prompt_tokens(chunks) == (len(new) + 1 if turn else 40)  # the last token drawn was not yet read
        assert tokens(chunks) == tokens(fresh.generate([*held, *new], temperature=0, num_predict=7))
        held, computed = [*held, *new, *tokens(chunks)], computed + len(new) + 7 - (0 if turn else 1)
        assert model.runner.computed == computed


def test_a_chat_computes_only_its_new_tokens(load: Load) -> None:
    model = load(MIXED, num_batch=BATCH, num_predict=4, temperature=0, draft_num_predict=0)
    turns = [{"role": "user", "content": "the quick brown fox jumps over it"}]
    turns.append(model.chat(turns).message)
    turns.append({"role": "user", "content": "and then?"})
    before = model.runner.computed
    stats = model.chat(turns).stats
    assert stats is not None
    assert stats.prompt_tokens <= len("and then?") + 16  # and what the template writes around it
    assert model.runner.computed - before == stats.prompt_tokens + 3


@FILES
def test_a_prompt_that_parts_early_is_computed_from_the_start(load: Load, file: dict[str, Any]) -> None:
    model = load(file, num_batch=BATCH, temperature=0, num_predict=1)
    for prompt, computed in (
        (IDS[:50], 50),
        ([*IDS[:47], 1, 2], 2),  # within the step before
        ([*IDS[:20], 1, 2], 22),
        (IDS[:4], 4),
    ):
        chunks = list(model.generate(prompt))
        assert prompt_tokens(chunks) == computed
        assert tokens(chunks) == [int(load(file).logits(prompt)[-1].argmax())]


@pytest.mark.parametrize(("keep", "again"), [(0, False), (3, False), (20, True)])
def test_a_slide_equals_a_fresh_prompt(load: Load, keep: int, again: bool) -> None:
    # With one layer keys and values depend on token and position alone. Where four tokens remain behind those that
    # are kept, the window reaches back to forgotten ones.
    runner = load(ONE_LAYER, num_batch=BATCH).runner
    runner.prefill(0, IDS[:60])
    discard = 36 if again else 60 - keep - WINDOW
    slid = [*IDS[:keep], *IDS[keep + discard : 60]]
    left = runner.slide(0, keep, discard)
    assert left == (0 if again else len(slid))
    moved = runner.prefill(0, [*slid[left:], *IDS[60:80]], every=True)[-20:]
    np.testing.assert_allclose(moved, load(ONE_LAYER).logits([*slid, *IDS[60:80]])[-20:], **SAME)


@FILES
@pytest.mark.parametrize("keep", [0, 3])
def test_generation_slides_past_the_context(load: Load, file: dict[str, Any], keep: int) -> None:
    options: dict[str, Any] = {"temperature": 0, "num_predict": 60, "num_keep": keep, "repeat_penalty": 1.3}
    model, whole = load(file, num_ctx=32, num_batch=BATCH, draft_num_predict=0), load(file, num_ctx=32, num_batch=32)
    found = tokens(model.generate(IDS[:30], **options))
    assert len(found) == 60
    assert found == tokens(whole.generate(IDS[:30], **options))
    assert model.runner.computed == 30 + 59  # what was moved was not computed again


@FILES
def test_a_generation_computes_again_where_the_window_reaches_back_to_forgotten_tokens(
    load: Load, file: dict[str, Any]
) -> None:
    model, fresh = load(file, num_ctx=32, num_batch=2), load(file)
    found = tokens(model.generate(IDS[:30], temperature=0, num_predict=20, num_keep=24))
    assert len(found) > 10
    held = IDS[:30]
    for token in found:
        assert int(fresh.logits(held)[-1].argmax()) == token
        held = [*(held if len(held) < 32 else held[:24] + held[28:]), token]  # half of the others goes


@FILES
def test_the_context_is_full_when_it_holds_num_ctx_tokens(load: Load, file: dict[str, Any]) -> None:
    runner = load(file, num_ctx=40, num_batch=BATCH).runner
    runner.prefill(0, IDS[:38])
    for call in (lambda: runner.prefill(0, IDS[:3]), lambda: [runner.decode([0], [7]) for _ in range(3)]):
        with pytest.raises(ContextFullError, match="the context holds 40 tokens"):
            call()


@FILES
def test_an_interrupted_step_leaves_a_whole_window(
    load: Load, file: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = load(file, num_batch=BATCH).runner
    runner.prefill(0, IDS[:50])
    with monkeypatch.context() as patch:
        patch.setattr(runner._step, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            runner.prefill(0, IDS[50:])
    expected = load(file).logits(IDS)[50:]
    np.testing.assert_allclose(runner.prefill(0, IDS[50:], every=True), expected, **SAME)


def test_a_backend_may_round_the_cells_of_each_cache(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(MIXED)
    expected = whole.logits(IDS)
    monkeypatch.setattr(type(whole.backend), "dim_steps", {"S": 16, "W": 4})
    model = load(MIXED, num_batch=BATCH)
    seen = []
    run = model.runner._step.run
    monkeypatch.setattr(model.runner._step, "run", lambda inputs, dims: seen.append(dims) or run(inputs, dims))
    np.testing.assert_allclose(model.logits(IDS), expected, **SAME)
    assert {dims["S"] for dims in seen} == {16, 32, 48, 64, 80, 96, 112}
    assert {dims["W"] for dims in seen} == {8, WINDOW + BATCH}


@pytest.mark.parametrize(("kind", "most"), [("f16", 4e-3), ("q8_0", 8e-2)])
def test_smaller_types_hold_windows_too(load: Load, kind: str, most: float) -> None:
    file = {**MIXED, "embedding_length": 128, "rope__dimension_count": 32}
    expected = load(file).logits(IDS)
    model = load(file, cache_type=kind, num_batch=BATCH, parallel=2)
    assert kept_bytes(model, "window.0.key") * 4 <= kept_bytes(model, "cache.0.key")
    runner = model.runner
    runner.prefill(0, IDS[:60])
    assert runner.copy(0, 1, 58) == 58
    parts = [runner.prefill(1, IDS[58:80], every=True), *(runner.decode([1], [token]) for token in IDS[80:])]
    assert np.abs(np.concatenate(parts) - expected[58:]).max() <= most * np.abs(expected).max()
