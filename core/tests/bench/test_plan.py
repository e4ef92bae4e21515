"""Which rows a benchmark has, and what becomes of those that do not fit the model."""

import pytest

from ollamax.bench.plan import KINDS, Sizes, plan
from ollamax.bench.row import Facts, Row

FACTS = Facts(bandwidth=1e9, step_bytes=10_000_000)


def rows(jobs):
    return [row for job in jobs for row in job.rows]


def test_every_kind_has_a_row_and_every_row_is_of_a_kind():
    jobs, left = plan(Sizes(), KINDS, trained=8192)
    assert {row.kind for row in rows(jobs)} == set(KINDS)
    assert left == []


def test_the_rows_are_those_that_were_asked_for():
    jobs, left = plan(Sizes(prompts=(7, 9), sequences=(3,)), ["prompt", "sequences"], trained=8192)
    assert [row.title for row in rows(jobs)] == ["prompt 7", "prompt 9", "3 sequences"]
    assert [(job.work, job.numbers[0]) for job in jobs] == [("prompt", 7), ("prompt", 9), ("parallel", 3)]
    assert left == []


def test_rows_beyond_the_trained_context_are_left_out_by_name():
    jobs, left = plan(Sizes(prompts=(100, 101), steps=20, depths=(80, 81)), ["prompt", "decode"], trained=100)
    assert [row.title for row in rows(jobs)] == ["prompt 100", "decode 20 behind 80"]
    assert [item.row.title for item in left] == ["prompt 101", "decode 20 behind 81"]
    assert left[1].reason == "it needs 101 tokens of context, and the model was trained for 100"


def test_a_cold_start_has_a_common_context_or_what_the_model_was_trained_for():
    for trained, context in ((8192, 1024), (300, 300)):
        (job,), _ = plan(Sizes(), ["start"], trained)
        assert job.fresh
        assert job.context == context
        assert [row.kind for row in job.rows] == ["start"]


def test_the_bandwidth_goes_with_the_shallowest_decode():
    (job,), _ = plan(Sizes(depths=(64, 0)), ["bandwidth"], trained=8192)
    assert job.numbers == (128, 0)


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        ("start", [0.5, 3e6], 0.5),
        ("memory", [0.5, 3e6], 3.0),
        ("prompt", [2.0], 256.0),
        ("decode", [4.0], 32.0),
        ("bandwidth", [4.0], 32.0),  # 128 steps of 10 MB in 4 s, of 1 GB/s
        ("chat", [4.0, 1.0], 0.25),
        ("overhead", [3.0, 4.0], 25.0),
        ("sequences", [2.0], 128.0),
    ],
)
def test_a_sample_is_made_of_what_a_worker_answers(kind, answer, value):
    jobs, _ = plan(Sizes(), [kind], trained=8192)
    assert rows(jobs)[0].value(answer, FACTS) == pytest.approx(value)


def test_a_ratio_above_one_is_better():
    rate = Row("prompt", "", "tokens/s", lambda found, _: found[0], more_is_better=True)
    time = Row("start", "", "s", lambda found, _: found[0])
    assert rate.ratio(20.0, 10.0) == time.ratio(10.0, 20.0) == 2.0
