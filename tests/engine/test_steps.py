"""Steps: token by token, in batches, side by side, moved and copied, give what a fresh prompt gives."""

from collections.abc import Callable

import numpy as np
import pytest

from ollamax.engine.model import Model
from ollamax.errors import ContextFullError, UsageError
from ollamax.ml import tensor

Load = Callable[..., Model]

TEXT = list(b"the quick brown fox jumps over the lazy dog")
OTHER = list(b"a stitch in time")
SAME = {"rtol": 1e-4, "atol": 1e-4}


def test_decode_equals_prefill(load: Load) -> None:
    model = load()
    at_once = model.logits(TEXT)
    runner = model.runner
    one_by_one = [runner.prefill(0, TEXT[:1])[0], *(runner.decode([0], [token])[0] for token in TEXT[1:])]
    np.testing.assert_allclose(np.stack(one_by_one), at_once, **SAME)


@pytest.mark.parametrize("batch", [1, 5, 43, 100])
def test_prompt_in_batches_equals_prompt_at_once(load: Load, batch: int) -> None:
    np.testing.assert_allclose(load(num_batch=batch).logits(TEXT), load().logits(TEXT), **SAME)


def test_sequences_side_by_side_equal_each_alone(load: Load) -> None:
    model = load(parallel=3)
    alone = [load().logits(ids) for ids in (TEXT, OTHER)]
    runner = model.runner
    runner.prefill(2, TEXT[:20])
    runner.prefill(0, OTHER[:3])
    for step in range(10):
        logits = runner.decode([2, 0], [TEXT[20 + step], OTHER[3 + step]])
        np.testing.assert_allclose(logits[0], alone[0][20 + step], **SAME)
        np.testing.assert_allclose(logits[1], alone[1][3 + step], **SAME)


def test_a_copied_prefix_is_not_computed_again(load: Load) -> None:
    model = load(parallel=2)
    expected = model.logits(TEXT)
    runner = model.runner
    runner.prefill(0, TEXT[:30])
    before = runner.computed
    runner.copy(0, 1, 25)
    np.testing.assert_allclose(runner.prefill(1, TEXT[25:], every=True), expected[25:], **SAME)
    assert runner.computed - before == len(TEXT) - 25
    np.testing.assert_allclose(runner.prefill(0, TEXT[30:], every=True), expected[30:], **SAME)


def test_a_sequence_copied_onto_itself_is_cut(load: Load) -> None:
    runner = load().runner
    runner.prefill(0, TEXT[:20])
    runner.copy(0, 0, 12)
    np.testing.assert_allclose(runner.prefill(0, TEXT[12:], every=True), load().logits(TEXT)[12:], **SAME)


def test_a_sequence_takes_one_token_in_a_step(load: Load) -> None:
    runner = load(parallel=2).runner
    with pytest.raises(UsageError, match=r"slots \[1, 1\] hold one twice"):
        runner.decode([1, 1], [3, 4])
    assert runner.computed == 0


def test_truncated_sequence_goes_on_from_there(load: Load) -> None:
    runner = load().runner
    runner.prefill(0, [*TEXT[:10], *OTHER])
    runner.truncate(0, 10)
    np.testing.assert_allclose(runner.prefill(0, TEXT[10:], every=True), load().logits(TEXT)[10:], **SAME)


def test_slide_moves_keys_to_their_new_positions(load: Load) -> None:
    # With one block, keys and values depend on token and position alone: a slide must equal a fresh prompt.
    runner = load({"llama__block_count": 1}).runner
    runner.prefill(0, TEXT[:40])
    runner.slide(0, keep=4, discard=11)
    moved = runner.prefill(0, TEXT[40:], every=True)
    fresh = load({"llama__block_count": 1}).logits([*TEXT[:4], *TEXT[15:]])
    np.testing.assert_allclose(moved, fresh[-len(moved) :], **SAME)


def test_slide_with_rope_factors_and_scaling(load: Load) -> None:
    file = {"llama__block_count": 1, "llama__rope__scaling__type": "linear", "llama__rope__scaling__factor": 4.0}
    runner = load(file).runner
    runner.prefill(0, TEXT[:40])
    runner.slide(0, keep=0, discard=30)
    moved = runner.prefill(0, TEXT[40:], every=True)
    fresh = load(file).logits(TEXT[30:])
    np.testing.assert_allclose(moved, fresh[-len(moved) :], **SAME)


def test_full_context_is_an_error_and_changes_nothing(load: Load) -> None:
    runner = load(num_ctx=50).runner
    runner.prefill(0, TEXT)
    with pytest.raises(ContextFullError, match="holds 50 tokens, 43 are in use and 8 more do not fit"):
        runner.prefill(0, TEXT[:8])
    assert runner.book.length(0) == len(TEXT)
    expected = load().logits([*TEXT, *OTHER[:7]])[-1]
    np.testing.assert_allclose(runner.prefill(0, OTHER[:7])[0], expected, **SAME)


def test_an_interrupted_step_leaves_no_token_behind(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = load().runner
    runner.prefill(0, TEXT[:10])
    with monkeypatch.context() as patch:
        patch.setattr(runner._step, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            runner.prefill(0, TEXT[10:])
    np.testing.assert_allclose(runner.prefill(0, TEXT[10:], every=True), load().logits(TEXT)[10:], **SAME)


def test_the_step_loop_builds_no_graph(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a graph node was made after loading")

    monkeypatch.setattr(tensor.Tensor, "__init__", refuse)
    assert len(list(model.generate("the fox", num_predict=8, temperature=0))) >= 1
    assert model.runner.computed > 8


def test_a_rope_factor_without_a_type_is_linear(load: Load) -> None:
    plain = load().logits(TEXT)
    named = load({"llama__rope__scaling__type": "linear", "llama__rope__scaling__factor": 4.0}).logits(TEXT)
    bare = load({"llama__rope__scaling__factor": 4.0}).logits(TEXT)
    np.testing.assert_array_equal(bare, named)
    assert not np.allclose(bare, plain, **SAME)


@pytest.mark.parametrize("slot", [-1, 2, 10**9])
def test_a_slot_that_does_not_exist(load: Load, slot: int) -> None:
    runner = load(parallel=2).runner
    runner.prefill(1, TEXT[:3])
    problem = rf"^slot {slot} does not exist, expected 0 to 1; raise parallel$"
    with pytest.raises(UsageError, match=problem):
        runner.decode([0, slot], [TEXT[0], TEXT[3]])
    with pytest.raises(UsageError, match=problem):
        runner.prefill(slot, TEXT[:3])
    for call in (
        lambda: runner.show(slot, ()),
        lambda: runner.truncate(slot),
        lambda: runner.slide(slot, keep=0, discard=1),
        lambda: runner.copy(1, slot, 3),
        lambda: runner.copy(slot, 0, 3),
    ):
        with pytest.raises(UsageError, match=problem):
            call()
    assert (runner.book.length(0), runner.book.length(1)) == (0, 3)


@pytest.mark.parametrize(("slots", "tokens"), [([], []), ([0, 1], TEXT[:1]), ([0], TEXT[:2])])
def test_a_step_takes_one_token_for_each_slot(load: Load, slots: list[int], tokens: list[int]) -> None:
    runner = load(parallel=2).runner
    with pytest.raises(UsageError, match=f"^{len(slots)} slots and {len(tokens)} tokens; a step takes one token"):
        runner.decode(slots, tokens)
    assert runner.computed == runner.book.length(0) == runner.book.length(1) == 0
