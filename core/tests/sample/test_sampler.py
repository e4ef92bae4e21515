"""The sampler: every option changes what it should, seeds repeat, and bad logits are refused."""

import numpy as np
import pytest

from ollamax.engine.options import Options
from ollamax.errors import SampleError
from ollamax.sample.distribution import draw, softmax
from ollamax.sample.sampler import Sampler

# Plain: no filter, no penalty, every token possible.
PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 7}


def sampler(n_vocab, **options):
    return Sampler(Options.from_mapping({**PLAIN, **options}), n_vocab)


def tokens(logits, count=400, accepted=(), **options):
    """The tokens that ``count`` draws give for the same logits."""
    logits = np.asarray(logits, np.float32)
    chosen = sampler(logits.size, **options)
    for token in accepted:
        chosen.accept(token)
    return [chosen.sample(logits) for _ in range(count)]


FLAT = [0.0] * 8
SLOPE = np.log([0.5, 0.2, 0.15, 0.1, 0.05])


def test_plain_sampling_follows_the_softmax():
    drawn = np.bincount(tokens(SLOPE, count=20_000), minlength=5) / 20_000
    # Four standard deviations of a count of 20,000 draws.
    expected = np.exp(SLOPE)
    assert np.all(np.abs(drawn - expected) < 4 * np.sqrt(expected * (1 - expected) / 20_000))


def test_temperature_spreads_or_sharpens():
    share = {t: tokens(SLOPE, count=2000, temperature=t).count(0) / 2000 for t in (0.3, 1.0, 3.0)}
    assert share[0.3] > 0.85
    assert 0.45 < share[1.0] < 0.55
    assert share[3.0] < 0.35


def test_temperature_zero_takes_the_largest_and_the_lowest_id_among_equals():
    assert set(tokens([1, 3, 3, 2], temperature=0)) == {1}


def test_temperature_zero_looks_at_penalised_logits():
    assert set(tokens([3, 2.9], temperature=0, accepted=[0], repeat_penalty=1.5)) == {1}


def test_a_tiny_temperature_is_the_largest_logit():
    assert set(tokens([1, 3, 2], temperature=1e-300)) == {1}


def test_top_k_limits_the_candidates():
    assert set(tokens(SLOPE, top_k=2)) == {0, 1}
    assert set(tokens(SLOPE, count=2000, top_k=-1)) == {0, 1, 2, 3, 4}


def test_top_p_limits_the_candidates():
    assert set(tokens(SLOPE, top_p=0.6)) == {0, 1}


def test_min_p_limits_the_candidates():
    assert set(tokens(SLOPE, min_p=0.25)) == {0, 1, 2}


def test_typical_p_limits_the_candidates():
    # The entropy is 1.33; the surprise of the second token (1.61) is nearest, then of the third (1.90).
    assert set(tokens(SLOPE, typical_p=0.15)) == {1}
    assert set(tokens(SLOPE, typical_p=0.3)) == {1, 2}


def test_filters_apply_one_after_another_on_what_is_left():
    # top_k leaves 0.5, 0.2, 0.15 = 0.59, 0.24, 0.18 of their sum; top_p 0.8 of that keeps two.
    assert set(tokens(SLOPE, top_k=3, top_p=0.8)) == {0, 1}
    assert set(tokens(SLOPE, top_p=0.8)) == {0, 1, 2}


def test_repeat_penalty_avoids_accepted_tokens():
    assert set(tokens(FLAT, accepted=range(1, 8), top_k=1)) == {0}
    assert set(tokens([1.0] * 8, accepted=[0, 1, 2], repeat_penalty=1.1, top_k=5)) == {3, 4, 5, 6, 7}


def test_presence_penalty_avoids_accepted_tokens():
    assert set(tokens(FLAT, accepted=[0, 1, 2], presence_penalty=1.0, top_k=5)) == {3, 4, 5, 6, 7}


def test_frequency_penalty_avoids_frequent_tokens_more():
    assert set(tokens(FLAT, accepted=[0, 0, 0, 1], frequency_penalty=0.5, top_k=6)) == {2, 3, 4, 5, 6, 7}
    assert set(tokens(FLAT, accepted=[0, 0, 0, 1], frequency_penalty=0.5, top_k=7)) == {1, 2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("repeat_last_n", "free"), [(2, {0, 1}), (3, {0}), (0, {0, 1, 2, 3}), (-1, set()), (64, set())]
)
def test_repeat_last_n_is_how_far_penalties_look_back(repeat_last_n, free):
    """With all tokens equal, those that no penalty reaches are the likeliest."""
    allowed = free or {0, 1, 2, 3}
    options = {"presence_penalty": 2.0, "repeat_last_n": repeat_last_n, "top_k": len(allowed)}
    assert set(tokens([1.0] * 4, accepted=[0, 1, 2, 3], **options)) == allowed


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others():
    first = tokens(FLAT, seed=1)
    assert tokens(FLAT, seed=1) == first
    assert tokens(FLAT, seed=2) != first
    assert tokens(FLAT, seed=2**63 - 1) != first


def test_seeds_are_numpys_pcg64():
    """The definition in the documentation: u = Generator(PCG64(seed)).random(), by inverse transform."""
    random = np.random.Generator(np.random.PCG64(5))
    expected = [int(random.random() * 8) for _ in range(50)]
    assert tokens(FLAT, count=50, seed=5) == expected


def test_without_a_seed_every_run_differs():
    assert tokens(FLAT, seed=-1) != tokens(FLAT, seed=-1)
    assert tokens(FLAT, seed=None) != tokens(FLAT, seed=None)


def test_reset_forgets_tokens_and_starts_the_seed_again():
    logits = np.zeros(8, np.float32)
    chosen = sampler(8, presence_penalty=2.0, seed=3)
    fresh = [chosen.sample(logits) for _ in range(30)]
    for token in range(4):
        chosen.accept(token)
    assert [chosen.sample(logits) for _ in range(30)] != fresh
    chosen.reset()
    assert [chosen.sample(logits) for _ in range(30)] == fresh


def test_logits_are_left_as_they_are():
    logits = np.array([1, 2, 3], np.float32)
    logits.setflags(write=False)
    chosen = sampler(3, repeat_penalty=1.5, top_k=2, top_p=0.9)
    chosen.accept(2)
    chosen.sample(logits)
    assert logits.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("logits", "problem"),
    [
        ([np.nan] * 4, "a logit is nan"),
        ([1, np.nan, 2, 3], "a logit is nan"),
        ([-np.inf] * 4, "every logit is -inf"),
        ([1, np.inf, 2, 3], "a logit is inf"),
        ([1, 2, 3], r"shape \(3,\), but the vocabulary has 4 tokens"),
        ([[1, 2, 3, 4]], r"shape \(1, 4\)"),
    ],
)
@pytest.mark.parametrize("temperature", [0, 1])
def test_bad_logits_are_refused(logits, problem, temperature):
    with pytest.raises(SampleError, match=problem) as error:
        sampler(4, temperature=temperature).sample(np.array(logits, np.float32))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("token", [-1, 4])
def test_a_token_outside_the_vocabulary_is_refused(token):
    with pytest.raises(SampleError, match="outside the vocabulary of 4"):
        sampler(4).accept(token)


def test_impossible_tokens_are_never_drawn():
    assert set(tokens([-np.inf, 0, -np.inf, 0, -np.inf], count=2000)) == {1, 3}
    assert set(tokens([-np.inf, 0, -1e30], count=100, top_k=3)) == {1}


class FixedRandom:
    """A generator that returns one number."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_largest_random_number_still_draws_a_possible_position(size):
    probabilities = np.append(softmax(np.zeros(size, np.float32)), 0.0)
    assert draw(probabilities, FixedRandom(1 - 2**-53)) == size - 1
    assert draw(probabilities, FixedRandom(0.0)) == 0
