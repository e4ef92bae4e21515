"""Penalties against their formula, and the window of recent tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.sample.penalties import RecentTokens, penalize


def recent(tokens, size=-1):
    window = RecentTokens(size)
    for token in tokens:
        window.add(token)
    return window


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(-1, 12))
def test_the_window_counts_the_last_tokens(tokens, size):
    last = tokens if size < 0 else tokens[len(tokens) - min(size, len(tokens)) :]
    ids, counts = recent(tokens, size).counts()
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == {t: last.count(t) for t in set(last)}


def test_clear_forgets():
    window = recent([1, 2], size=4)
    window.clear()
    assert window.counts()[0].size == 0


def test_repeat_penalty_lowers_positive_and_negative_logits():
    logits = np.array([2, -2, 2, -2], np.float32)
    assert penalize(logits, recent([0, 1, 1]), repeat=2.0).tolist() == [1, -4, 2, -2]


def test_presence_counts_once_and_frequency_every_time():
    logits = np.zeros(3, np.float32)
    assert penalize(logits, recent([0, 1, 1]), presence=0.5).tolist() == [-0.5, -0.5, 0]
    assert penalize(logits, recent([0, 1, 1]), frequency=0.5).tolist() == [-0.5, -1.0, 0]


def test_repeat_comes_before_presence_and_frequency():
    logits = np.array([4, 4], np.float32)
    assert penalize(logits, recent([0, 0]), repeat=2.0, presence=1.0, frequency=0.25).tolist() == [0.5, 4]


def test_the_given_logits_are_left_alone_and_returned_when_nothing_changes():
    logits = np.array([1, 2], np.float32)
    penalize(logits, recent([0]), repeat=1.5)
    assert logits.tolist() == [1, 2]
    assert penalize(logits, recent([0])) is logits
    assert penalize(logits, recent([]), repeat=1.5) is logits


@pytest.mark.parametrize("repeat", [1e-300, 1e300])
def test_an_extreme_penalty_keeps_finite_logits_finite(repeat):
    result = penalize(np.array([5, -5, -np.inf], np.float32), recent([0, 1, 2]), repeat=repeat)
    assert np.isfinite(result[:2]).all()
    assert result[2] == -np.inf
