"""How two traces are lined up and measured."""

from dataclasses import replace

import numpy as np
import pytest

from ollamax.errors import ComparisonError
from ollamax.inspect.comparison import Status, check_comparable, compare, default_tolerance
from ollamax.inspect.trace import Trace


def trace(**tensors):
    values = {name.replace("__", "."): np.asarray(value, np.float32) for name, value in tensors.items()}
    tokens = tuple(range(len(next(iter(values.values())))))
    return Trace("m", "", "toy", "cpu", "F32", 9, 2, tokens, values, frozenset({"norm", "q"}))


ONES = np.ones((2, 4))


def only(reference, model, tolerance=None):
    (row,) = compare(trace(q=reference), trace(q=model), tolerance).rows
    return row


def test_figures_are_of_the_token_where_they_are_worst():
    # The first token is huge and right; the second differs by a quarter of its norm.
    reference = np.array([[1e4, 1e4, 0, 0], [4, 0, 0, 0]])
    row = only(reference, reference + np.array([[0, 0, 0, 0], [0, 1, 0, 0]]))
    assert (row.status, row.difference, row.relative) == (Status.DEPARTS, 1.0, 0.25)
    assert row.cosine == pytest.approx(4 / np.sqrt(17))


def test_tolerance_is_a_limit_that_may_be_reached():
    assert only(ONES, ONES * 1.25, 0.25).status is Status.SAME
    assert only(ONES, ONES * 1.25, 0.24).status is Status.DEPARTS
    assert only(ONES, ONES, 0.0).status is Status.SAME
    assert only(ONES, ONES * (1 + 2e-4)).status is Status.DEPARTS
    assert only(ONES, ONES * (1 + 5e-5)).status is Status.SAME


def test_default_tolerances_follow_the_weights():
    assert [default_tolerance(name) for name in ("F32", "F16", "BF16", "Q8_0", "Q4_K")] == [1e-4, 1e-2, 0.1, 0.25, 0.5]


def test_zeros_and_what_is_not_finite():
    zeros, inf = np.zeros((2, 4)), np.where([[1, 0, 0, 0]] * 2, -np.inf, 1.0)
    assert (only(zeros, zeros).relative, only(zeros, zeros).cosine) == (0.0, 1.0)
    assert (only(zeros, ONES).relative, only(zeros, ONES).cosine) == (np.inf, 0.0)
    assert only(inf, inf).status is Status.SAME
    assert (only(inf, ONES).status, only(inf, ONES).relative) == (Status.DEPARTS, None)
    assert only(ONES, np.full((2, 4), np.nan)).status is Status.DEPARTS
    assert only(np.full((2, 4), np.nan), np.full((2, 4), np.nan)).status is Status.DEPARTS


def test_heads_may_be_split_or_not_but_sizes_are_equal():
    heads = np.arange(16.0).reshape(2, 2, 4)
    assert only(heads, heads.reshape(2, 8)).status is Status.SAME
    assert only(heads, heads[:, :1]).status is Status.MISSHAPEN


def test_tokens_that_are_never_given_have_no_logit():
    padded = np.pad(ONES, ((0, 0), (0, 2)), constant_values=-np.inf)
    (row,) = compare(trace(logits=ONES), trace(logits=padded)).rows
    assert row.status is Status.SAME
    (row,) = compare(trace(logits=ONES), trace(logits=np.pad(ONES, ((0, 0), (0, 2))))).rows
    assert row.status is Status.MISSHAPEN
    assert only(ONES, padded).status is Status.MISSHAPEN


def test_the_first_in_the_order_of_the_reference():
    reference = trace(q=ONES, norm=ONES, logits=ONES)
    found = compare(reference, trace(logits=ONES * 2, norm=ONES * 2, q=ONES))
    assert found.first
    assert found.first.name == "norm"
    assert compare(reference, reference).first is None


def test_a_module_that_is_not_called_departs_and_another_name_does_not():
    found = compare(trace(q=ONES, norm=ONES, extra__input=ONES), trace(q=ONES, other=ONES))
    assert [(row.name, row.status) for row in found.rows] == [("q", Status.SAME), ("norm", Status.ABSENT)]
    assert found.uncompared == ["extra.input", "other"]
    assert found.first is found.rows[1]


def test_weights_are_compared_by_their_digest():
    known = replace(trace(q=ONES), digest="sha256:a")
    assert compare(known, known).same_weights is True
    assert compare(known, replace(known, digest="sha256:b")).same_weights is False
    assert compare(known, trace(q=ONES)).same_weights is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"architecture": "other"}, "ref has another architecture than m: other and toy"),
        ({"vocabulary": 10}, "ref has another vocabulary than m: 10 and 9"),
        ({"layers": 3}, "ref has another layer count than m: 3 and 2"),
        ({"tokens": (0, 5)}, "ref is a trace of another prompt: its tokens are 0 5, those given 0 1"),
    ],
)
def test_what_cannot_be_compared(change, problem):
    model = trace(q=ONES)
    with pytest.raises(ComparisonError, match=problem):
        compare(replace(model, model="ref", **change), model)


def test_facts_are_checked_before_anything_runs():
    check_comparable("toy", 9, 2, "ref", trace(q=ONES))
    with pytest.raises(ComparisonError, match="another layer count"):
        check_comparable("toy", 9, 4, "ref", trace(q=ONES))


def test_nothing_in_common():
    with pytest.raises(ComparisonError, match="have no tensor name in common"):
        compare(trace(a=ONES), trace(b=ONES))
