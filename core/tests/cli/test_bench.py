"""``ollamax bench`` on the bundled model, with few tokens; how fast that is, is not looked at."""

import json

import pytest
from click.testing import CliRunner

from ollamax.bench.plan import KINDS
from ollamax.cli.bench import bench
from ollamax.cli.main import main

SMALL = ("-m", "demo", "-p", "5", "-n", "3", "-d", "0,6", "--sequences", "1,2", "--history", "9", "-r", "2")


@pytest.fixture(autouse=True)
def small_array(monkeypatch):
    monkeypatch.setattr("ollamax.bench.bandwidth._BYTES", 1 << 20)


def measured(*arguments):
    result = CliRunner().invoke(bench, [*SMALL, *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_json_has_every_row_with_samples_and_what_was_measured():
    document = json.loads(measured("--backend", "cpu", "-t", "1", "-b", "4", "--cache-type", "f16", "--json"))
    rows = {row["row"]: row for row in document["rows"]}
    assert {row["kind"] for row in rows.values()} == set(KINDS)
    assert {"prompt 5", "decode 3 behind 0", "decode 3 behind 6", "1 sequences", "2 sequences"} <= rows.keys()
    for row in rows.values():
        if row["kind"] != "overhead":
            assert len(row["samples"]["cpu"]) == 2
            assert min(row["samples"]["cpu"]) <= row["medians"]["cpu"] <= max(row["samples"]["cpu"])
    assert rows["Python's share of a step"]["samples"] == {}
    assert "does not count" in rows["Python's share of a step"]["left_out"]["cpu"]
    assert rows["peak memory"]["medians"]["cpu"] > 10
    assert document["backends"]["cpu"]["versions"]["ollamax-backend-cpu"]
    assert document["machine"]["bandwidth"] > 0
    options = document["options"]
    assert (options["num_thread"], options["num_batch"], options["cache_type"]) == (1, 4, "f16")
    assert (options["prompts"], options["depths"], options["repetitions"]) == ([5], [0, 6], 2)


def test_backends_stand_side_by_side_with_a_ratio():
    lines = measured("--backend", "cpu,ggml", "--rows", "prompt,overhead").splitlines()
    assert lines[0].split() == ["ROW", "cpu", "ggml", "UNIT", "ggml", "/", "cpu"]
    assert [line.split("  ")[0] for line in lines[1:3]] == ["prompt 5", "Python's share of a step"]
    cells = lines[1].removeprefix("prompt 5").split()
    assert cells[2] == "tokens/s"
    assert float(cells[3]) == pytest.approx(float(cells[1]) / float(cells[0]), abs=0.01)
    assert lines[2].split()[-1] == "-"
    assert lines[3].startswith("Python's share of a step: left out for cpu: backend cpu does not count")


def test_rows_that_do_not_fit_the_model_are_named():
    lines = measured("--rows", "decode", "-d", "0,2046", "--backend", "cpu").splitlines()
    assert lines[1].startswith("decode 3 behind 0 ")
    assert lines[2] == (
        "decode 3 behind 2046: left out: it needs 2049 tokens of context, and the model was trained for 2048"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("-m", "demoo"), 1, "'demoo' not found"),
        ((), 2, "--model"),
        (("-m", "demo", "--backend", "cpu,abacus"), 1, "'abacus' is not installed"),
        (("-m", "demo", "--backend", "cpu,,"), 2, "'' is not a name"),
        (("-m", "demo", "--backend", "auto,cpu,ggml"), 2, "stands for ggml twice"),
        (("-m", "demo", "--rows", "prompts"), 2, "'prompts' is not one of start, memory"),
        (("-m", "demo", "-p", "0"), 2, "'0' is not a whole number from 1 to 999,999,999"),
        (("-m", "demo", "-d", "2000000000"), 2, "'2000000000' is not a whole number from 0 to 999,999,999"),
        (("-m", "demo", "-b", "1" + "0" * 20), 2, "is not in the range 1<=x<=2147483647"),
        (("-m", "demo", "--rows", "decode", "-n", "100000"), 2, "no row can be measured: decode 100000 behind 0: left"),
        (("-m", "demo", "--backend", "cpu", "--num-gpu", "3"), 1, "set num_gpu to 0"),
        (("-m", "demo", "-d", "1,x"), 2, "'x' is not a whole number"),
        (("-m", "demo", "-n", "0"), 2, "0 is not in the range"),
        (("-m", "demo", "-t", "5000"), 2, "5000 is not in the range"),
        (("-m", "demo", "--gpu-layers", "-2"), 2, "-2 is not in the range"),
        (("-m", "demo", "--rows", "prompt", "--backend", "ggml", "-t", "4000"), 1, "num_thread is 4000"),
    ],
)
def test_what_is_wrong_is_one_line(capfd, arguments, status, message):
    assert main(["bench", *arguments]) == status
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("Error: ")
    assert message in line
