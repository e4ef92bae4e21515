"""What a model computes must not depend on how its tokens are cut into steps."""

from __future__ import annotations

import numpy as np

from ollamax.testing.checkpoint_fixtures import TOKENS, CheckpointFixtures, Load, assert_same
from ollamax.testing.framework import pytest

OTHER = [token + 1 for token in reversed(TOKENS)]


class StepSuite(CheckpointFixtures):
    """Token by token, in batches, side by side, cut back and copied."""

    def test_decode_equals_prefill(self, load: Load) -> None:
        """One token a step behind a prompt, and all in one step."""
        model = load()
        at_once, runner = model.logits(TOKENS), model.runner
        runner.truncate(0)
        # A prompt first: if all tokens came alone, positions that are wrong in steps of one would be so for all alike.
        one_by_one = [runner.prefill(0, TOKENS[:5])[0], *(runner.decode([0], [token])[0] for token in TOKENS[5:])]
        assert_same(np.stack(one_by_one), at_once[4:])

    @pytest.mark.parametrize("batch", [1, 3, 19])
    def test_a_prompt_in_batches_equals_the_prompt_at_once(self, load: Load, batch: int) -> None:
        """Whatever num_batch is."""
        assert_same(load(num_batch=batch).logits(TOKENS), load().logits(TOKENS))

    def test_sequences_side_by_side_equal_each_alone(self, load: Load) -> None:
        """In slots of another order, behind prompts of different lengths."""
        alone = [load().logits(ids) for ids in (TOKENS, OTHER)]
        runner = load(parallel=3).runner
        runner.prefill(2, TOKENS[:9])
        runner.prefill(0, OTHER[:3])
        for step in range(8):
            logits = runner.decode([2, 0], [TOKENS[9 + step], OTHER[3 + step]])
            assert_same(logits[0], alone[0][9 + step])
            assert_same(logits[1], alone[1][3 + step])

    def test_a_token_sees_no_later_one(self, load: Load) -> None:
        """Logits before a changed token stay."""
        changed = [*TOKENS[:-1], TOKENS[-1] + 1]
        model = load()
        first, second = model.logits(TOKENS), model.logits(changed)
        assert_same(first[:-1], second[:-1])
        given = np.isfinite(first[-1])  # tokens that a model only reads have no logit
        assert np.abs(first[-1][given] - second[-1][given]).max() > 1e-3

    def test_a_copied_prefix_is_not_computed_again(self, load: Load) -> None:
        """And serves both sequences."""
        model = load(parallel=2)
        expected, runner = model.logits(TOKENS), model.runner
        runner.truncate(0)
        runner.prefill(0, TOKENS[:12])
        before = runner.computed
        runner.copy(0, 1, 10)
        assert_same(runner.prefill(1, TOKENS[10:], every=True), expected[10:])
        assert runner.computed - before == len(TOKENS) - 10
        assert_same(runner.prefill(0, TOKENS[12:], every=True), expected[12:])

    def test_a_sequence_that_is_cut_back_goes_on_from_there(self, load: Load) -> None:
        """With what a window has forgotten computed again."""
        model = load()
        expected, runner = model.logits(TOKENS), model.runner
        runner.truncate(0)
        runner.prefill(0, [*TOKENS[:7], *OTHER[:5]])
        left = runner.truncate(0, 7)
        assert_same(runner.prefill(0, TOKENS[left:], every=True)[-13:], expected[7:])
