"""Each filter against a slow definition written straight from its formula, and at its edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ollamax.sample.filters import min_p, top_k, top_p, typical_p

FILTERS = {"top_k": (top_k, 3), "top_p": (top_p, 0.5), "min_p": (min_p, 0.5), "typical_p": (typical_p, 0.5)}
NEUTRAL = [(top_k, 0), (top_k, -1), (top_k, 100), (top_p, 1.0), (min_p, 0.0), (typical_p, 1.0)]

logit_vectors = arrays(
    np.float32, st.integers(1, 40), elements=st.floats(-20, 20, width=32) | st.sampled_from([0.0, 1.0])
)


def probabilities(logits):
    weights = [np.exp(float(x) - float(max(logits))) for x in logits]
    return [w / sum(weights) for w in weights]


def prefix_reaching(ranked, weights, mass):
    """The shortest beginning of ``ranked`` whose weights reach ``mass``, and how close the decision was."""
    total = 0.0
    for count, position in enumerate(ranked, start=1):
        total += weights[position]
        if total >= mass:
            return ranked[:count]
    return ranked


def decided_clearly(ranked, weights, mass):
    """Whether no partial sum is so near to ``mass`` that rounding decides."""
    return bool(np.all(np.abs(np.cumsum([weights[i] for i in ranked]) - mass) > 1e-9))


@given(logit_vectors, st.integers(1, 50))
def test_top_k_keeps_the_largest_with_the_lowest_ids_among_equals(logits, k):
    ranked = sorted(range(logits.size), key=lambda i: (-logits[i], i))
    expected = ranked[:k] if k < logits.size else list(range(logits.size))
    assert top_k(logits, k).tolist() == expected


@given(logit_vectors, st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_likeliest_that_reach_p(logits, p):
    weights = probabilities(logits)
    ranked = sorted(range(logits.size), key=lambda i: (-logits[i], i))
    if decided_clearly(ranked, weights, p):
        assert top_p(logits, p).tolist() == prefix_reaching(ranked, weights, p)


@given(logit_vectors, st.floats(0.01, 1.0))
def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(logits, p):
    weights = probabilities(logits)
    ratios = [w / max(weights) for w in weights]
    kept = set(min_p(logits, p).tolist())
    assert {i for i, r in enumerate(ratios) if r > p * (1 + 1e-5)} <= kept
    assert not {i for i, r in enumerate(ratios) if r < p * (1 - 1e-5)} & kept
    assert int(np.argmax(logits)) in kept


@given(logit_vectors, st.floats(0.01, 0.99))
def test_typical_p_keeps_the_tokens_of_nearly_average_surprise(logits, p):
    weights = probabilities(logits)
    entropy = -sum(q * np.log(q) for q in weights)
    distance = [abs(-np.log(q) - entropy) for q in weights]
    ranked = sorted(range(logits.size), key=lambda i: (distance[i], i))
    gaps = np.diff(np.sort(distance))
    if decided_clearly(ranked, weights, p) and not np.any((gaps > 0) & (gaps < 1e-9)):
        kept = typical_p(logits, p).tolist()
        assert len(kept) == len(prefix_reaching(ranked, weights, p))
        assert sum(weights[i] for i in kept) >= p - 1e-9
        assert max(distance[i] for i in kept) <= distance[ranked[len(kept) - 1]] + 1e-6


def test_typical_p_may_drop_the_likeliest_token():
    # H = 1.36 nats; surprise of the first is 0.51, of each other one 2.30: at small p the first is nearer (0.85
    # against 0.94); with q = (0.4, 0.15 x 4): H = 1.50, 0.92 is 0.59 away, 1.90 only 0.39.
    logits = np.log(np.array([0.4, 0.15, 0.15, 0.15, 0.15], np.float32))
    assert 0 not in typical_p(logits, 0.1)


@pytest.mark.parametrize(("keep", "setting"), NEUTRAL)
def test_neutral_settings_keep_everything(keep, setting):
    logits = np.array([1, 3, 2, -np.inf], np.float32)
    assert sorted(keep(logits, setting).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(("keep", "tiny"), [(top_k, 1), (top_p, 1e-30), (min_p, 1.0), (typical_p, 1e-30)])
def test_the_strictest_setting_keeps_one(keep, tiny):
    logits = np.array([1, 5, 2, -3], np.float32)
    kept = keep(logits, tiny)
    assert kept.size == 1


@pytest.mark.parametrize("name", FILTERS)
def test_one_possible_token_is_kept_whatever_else_is_forbidden(name):
    keep, setting = FILTERS[name]
    logits = np.full(600, -np.inf, np.float32)
    logits[77] = -3
    assert 77 in keep(logits, setting)


@pytest.mark.parametrize("name", FILTERS)
def test_extreme_logits_neither_overflow_nor_warn(name):
    keep, setting = FILTERS[name]
    logits = np.array([3e38, -3e38, 0, -np.inf], np.float32)
    assert 0 in keep(logits, setting)


def test_equal_logits_are_cut_at_the_lowest_ids():
    logits = np.zeros(1000, np.float32)
    assert top_k(logits, 3).tolist() == [0, 1, 2]
    assert top_p(logits, 0.5).tolist() == list(range(500))
    assert min_p(logits, 1.0).size == 1000


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.9, 0.999]))
def test_large_vocabularies_give_the_same_as_a_full_sort(seed, p):
    """Past 256 candidates the selection grows in steps; a flat distribution needs all of them."""
    logits = np.random.default_rng(seed).normal(size=20_000).astype(np.float32)
    weights = np.exp(logits.astype(np.float64))
    weights /= weights.sum()
    order = np.argsort(-logits, kind="stable")
    count = int(np.searchsorted(np.cumsum(weights[order]), p)) + 1
    kept = top_p(logits, p)
    assert abs(kept.size - count) <= 1
    assert kept.tolist() == order[: kept.size].tolist()
