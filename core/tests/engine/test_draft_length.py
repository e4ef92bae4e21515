"""Which draft is chosen follows from what steps took and from which proposals came true; no clock is read here."""

import pytest

from ollamax.engine.draft_length import LENGTHS, HitRates, StepCosts, choose_length

LINE = {0: 1.0, 3: 1.2, 7: 1.5, 15: 2.0}
STEEP = {0: 1.0, 3: 5.0, 7: 10.0, 15: 20.0}


def measured(seconds, times=3):
    costs = StepCosts()
    for length, cost in seconds.items():
        for _ in range(times):
            costs.add(length, cost)
    return costs


def rates(hits, match=4, count=40):
    found = HitRates()
    for at in range(count):
        found.add(match, at % 10 < hits * 10)
    return found


def simulate(seconds, hits, steps=4000, most=15):
    """Seconds per token of an endless match beside those of plain steps, and how often each length was used."""
    costs, found, used = StepCosts(), HitRates(), dict.fromkeys(LENGTHS, 0)
    clock, tokens = 0.0, 0
    pattern = [at % 10 < hits * 10 for at in range(10)]
    for _ in range(steps):
        length = choose_length(costs, found, 4, most)
        used[length] += 1
        costs.add(length, seconds[length])
        clock += seconds[length]
        for at in range(length + 1):
            hit = pattern[(tokens * 7) % 10]  # spread out
            found.add(4, hit)
            tokens += 1
            if not hit or at == length:
                break
    return clock / tokens / seconds[0], used


def test_a_cost_is_the_least_of_recent_steps_and_the_first_does_not_count():
    costs = StepCosts()
    for seconds in (0.1, 5, 4, 6):
        costs.add(0, seconds)
    assert costs.known(0) == {0: 4}
    for _ in range(5):
        costs.add(0, 7)
    assert costs.known(0) == {0: 7}
    assert costs.elapsed == pytest.approx(50.1)


def test_nothing_is_drafted_before_a_plain_step_was_measured():
    costs = StepCosts()
    assert choose_length(costs, rates(1), 4, 15) == 0
    costs.add(0, 1.0)
    assert choose_length(costs, rates(1), 4, 15) == 0
    costs.add(0, 1.0)
    assert choose_length(costs, rates(1), 4, 15) == 3


def test_one_unmeasured_length_is_guessed_in_a_line():
    assert measured({0: 1.0}).known(15) == {0: 1.0, 3: 2.0}
    assert measured({0: 1.0, 3: 1.6}).known(15) == {0: 1.0, 3: 1.6, 7: pytest.approx(2.4)}
    assert measured({0: 1.0, 3: 0.9}).known(15) == {0: 1.0, 3: 0.9, 7: 0.9}
    assert measured(LINE).known(10) == {0: 1.0, 3: 1.2, 7: 1.5}


def test_the_expected_tokens_are_those_of_a_geometric_series():
    found = rates(0.5)
    rate = found.expected(4, 1) - 1
    assert 0.3 < rate < 0.7
    assert found.expected(9, 7) == pytest.approx((1 - rate**8) / (1 - rate))
    assert found.expected(4, 0) == 1


@pytest.mark.parametrize(("hits", "seconds", "best"), [(1, LINE, 15), (0, LINE, 0), (1, STEEP, 0), (0.5, LINE, 3)])
def test_the_length_with_the_best_pace_is_chosen(hits, seconds, best):
    assert choose_length(measured(seconds), rates(hits), 4, 15) == best


def test_no_more_than_there_is_room_for():
    costs, found = measured(LINE), rates(1)
    assert [choose_length(costs, found, 4, most) for most in (0, 2, 3, 6, 7, 14)] == [0, 0, 3, 3, 7, 7]


@pytest.mark.parametrize(("hits", "seconds"), [(0, LINE), (0, STEEP), (0.1, STEEP), (0.5, STEEP), (1, STEEP)])
def test_where_drafting_does_not_pay_it_costs_less_than_a_fiftieth(hits, seconds):
    ratio, used = simulate(seconds, hits)
    assert ratio < 1.02
    assert used[0] > 0.9 * sum(used.values())


def test_where_drafting_pays_the_longest_draft_is_found():
    ratio, used = simulate(LINE, 1)
    assert ratio < 1.05 * 2 / 16
    assert used[15] > 0.9 * sum(used.values())


def test_a_length_that_was_slow_once_is_measured_again():
    costs, found = measured(LINE | {15: 4.0}), rates(1)
    chosen = []
    for _ in range(2000):
        chosen.append(choose_length(costs, found, 4, 15))
        costs.add(chosen[-1], LINE[chosen[-1]])
    assert chosen[0] == 7
    assert chosen[-1] == 15
