"""The benchmarks' models load, and workers do what they are told; how fast is for the benchmarks to say."""

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.bench.measure import Measured
from ollamax.bench.plan import KINDS, Sizes, plan
from ollamax.bench.worker import own_contender
from ollamax.convert.file_type import WRITABLE
from ollamax.gguf import open_gguf

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = Sizes(prompts=(20,), steps=3, depths=(0, 17), sequences=(3,), history=11)


@pytest.fixture
def random_models(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import random_models

    return random_models


@pytest.fixture
def rival(monkeypatch):
    """The benchmark beside llama.cpp."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import vs_llama_cpp

    return vs_llama_cpp


@pytest.fixture
def make(random_models, tmp_path):
    """A model of a few thousand weights with the vocabulary of another."""
    write_random_llama(tmp_path / "vocabulary.gguf")

    def written(kind, family="llama", counts=False):
        more = {"biases": family == "qwen2", "context": 256, "counts": counts}
        shape = random_models.Shape(family, "vocabulary.gguf", 2, 256, 512, 4, 2, **more)
        return random_models.write_random_model(tmp_path / f"{kind}.gguf", shape, WRITABLE[kind], tmp_path)

    return written


@pytest.mark.parametrize(
    ("kind", "family"), [("Q4_0", "llama"), ("Q4_K_M", "qwen2"), ("F16", "llama"), ("F16", "qwen2"), ("Q8_0", "qwen2")]
)
def test_random_models_load(make, kind, family):
    with ollamax.load(make(kind, family)) as model:
        assert model.logits([1, 2, 3]).shape == (3, model.tokenizer.n_vocab)
        assert model.metadata["general.file_type"] == WRITABLE[kind].number


@pytest.mark.parametrize("kind", ["Q4_0", "F16"])
def test_no_two_matrices_of_a_random_model_are_the_same(make, kind):
    with open_gguf(make(kind)) as file:
        matrices = [file.tensor_bytes(name).tobytes() for name in file.tensors if not name.endswith("_norm.weight")]
    assert len(set(matrices)) == len(matrices) > 10


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_a_counting_model_counts(make, kind):
    with ollamax.load(make(kind, counts=True)) as model:
        found = [chunk.token for chunk in model.generate([0], temperature=0, num_predict=20)]
    assert [token for token in found if token is not None] == list(range(1, 21))


def work(contender, jobs):
    """Do every job twice in one worker, and once more in the order of a benchmark."""
    with contender.start(max(job.context for job in jobs), max(job.sequences for job in jobs)) as worker:
        cannot = worker.run("about").get("cannot", {})
        for job in [job for job in jobs for _ in range(2)] + jobs:
            if job.rows[0].kind not in cannot:
                seconds = worker.run(job.work, *job.numbers)
                assert all(number > 0 for number in seconds)
        assert worker.run("peak") > 10e6


def one_thread(backend):
    return {} if backend == "metal" else {"num_thread": 1}  # MLX does not let one choose


def test_a_worker_does_all_kinds_of_work(make, backend):
    jobs, _ = plan(SMALL, KINDS, trained=256)
    work(own_contender(str(make("Q8_0")), backend, **one_thread(backend)), jobs)


@pytest.mark.parametrize("windows", [[8, 8], [None, 8]])
def test_a_worker_does_all_kinds_of_work_with_windows(tmp_path, backend, windows):
    path = write_random_qwen2(tmp_path / "model.gguf", windows)
    jobs, _ = plan(SMALL, KINDS, trained=128)
    work(own_contender(str(path), backend, num_batch=4, **one_thread(backend)), jobs)


@pytest.mark.llama_cpp
def test_llama_cpp_does_all_kinds_of_work_but_python_s(make, rival):
    given = argparse.Namespace(threads=1, backend="ggml", rival=sys.executable)
    jobs, _ = plan(SMALL, KINDS, trained=256)
    for contender in rival.contenders(make("Q8_0"), given):
        work(contender, jobs)


def test_models_rows_and_pairs_are_chosen(rival):
    given = rival.options().parse_args(
        ["--models", "F16,llama-1b Q8_0", "--rows", "chat,prompt", "--pairs", "5,chat=2"]
    )
    assert given.models == ["llama-1b Q8_0", "llama-1b F16", "qwen2-0.5b F16"]
    assert given.rows == ["chat", "prompt"]
    assert [given.pairs(kind) for kind in given.rows] == [2, 5]


@pytest.mark.parametrize(
    "wrong",
    [("--models", "F16,llama-7b"), ("--models", ""), ("--rows", "chats"), ("--pairs", "chats=2"), ("--pairs", "0")],
)
def test_what_cannot_be_chosen_is_refused(rival, capsys, wrong):
    with pytest.raises(SystemExit):
        rival.options().parse_args(list(wrong))
    assert f"argument {wrong[0]}" in capsys.readouterr().err


def test_the_page_says_what_was_measured_in_all_runs(rival, tmp_path, monkeypatch):
    from engines import report
    from engines.report import Run, write_report

    monkeypatch.setattr(report, "_plot", lambda runs, path: None)  # takes matplotlib

    (job, chat, overhead), _ = plan(Sizes(prompts=(512,)), ["prompt", "chat", "overhead"], trained=8192)
    rows = [
        Measured(job.rows[0], {"ollamax": [30.0], "with its ggml": [25.0], "llama.cpp": [20.0]}, {}),
        Measured(chat.rows[0], {"ollamax": [0.1, 0.2, 0.3], "llama.cpp": [0.1]}, {}),
        Measured(overhead.rows[0], {"ollamax": [2.5]}, {"llama.cpp": "no Python"}),
    ]
    processor, graphics = {"name": "cpu", "kind": "CPU by ggml"}, {"name": "CUDA0", "kind": "a GPU"}
    own = {"backend": "ggml", "versions": {"ollamax-core": "0.1.0"}, "devices": [processor]}
    abouts = {"ollamax": own, "llama.cpp": {"versions": {"llama-cpp-python": "0.3.36"}}}
    run = Run("tiny", rows, abouts, Sizes(), 40e9, 2, "7, chat 3")
    write_report(replace(run, model="small", rows=rows[:1], threads=9), tmp_path)
    write_report(replace(run, rows=[]), tmp_path)
    write_report(run, tmp_path)
    text = (tmp_path / "performance.md").read_text("utf-8")
    assert "| small | prompt 512 | 30.0 | 25.0 | 20.0 | tokens/s | 1.50 | 1.25 |" in text
    assert "- small: x86_64, 9 threads" in text.replace(platform.machine(), "x86_64")
    assert text.count("\n- tiny: ") == 1
    assert "| tiny | prompt 512 | 30.0 | 25.0 | 20.0 | tokens/s | 1.50 | 1.25 |" in text
    assert "| tiny | second turn of a chat | 0.200 | - | 0.100 | of the first | 0.50 | - |" in text
    assert "| tiny | Python's share of a step | 2.5 | - | - | % | - | - |" in text
    assert "2 threads, 40 GB/s" in text
    assert "The backend found CPU by ggml. No GPU was among that" in text
    own["devices"] = [processor, graphics]
    write_report(run, tmp_path)
    assert "The backend found CPU by ggml and a GPU.\n" in (tmp_path / "performance.md").read_text("utf-8")


@pytest.fixture
def backends(monkeypatch):
    """The benchmark of backends beside llama.cpp."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import backends

    return backends


@pytest.mark.llama_cpp
def test_backends_are_measured_beside_llama_cpp(make, backends):
    asked = ["--backend", "onnx,ggml,cpu,metal", "--pairs", "1", "--threads", "1", "--rows", "prompt,decode"]
    given = backends.options().parse_args(asked)
    versions, rows = backends.measure(make("Q8_0"), given, Sizes(prompts=(20,), steps=3, depths=(0, 17)))
    found = list(rows)
    assert {"ollamax-core", "ollamax-backend-onnx", "onnxruntime", "mlx", "llama-cpp-python"} <= versions.keys()
    assert [row.row.title for row in found] == ["prompt 20", "decode 3 behind 0", "decode 3 behind 17"]
    for row in found:
        lines = backends.lines_of("tiny", row, backends.TARGETS)
        assert [line.backend for line in lines] == ["onnx", "ggml", "cpu", "metal"]
        assert all(float(line.ratio) > 0 for line in lines)


def test_a_stored_model_is_measured_with_what_is_kept_of_it(make, backends, tmp_path):
    given = backends.options().parse_args(["--folder", str(tmp_path), "--threads", "1"])
    contender = backends.kept_contender(make("Q8_0"), given)
    assert contender.label == backends.KEPT
    assert contender.only_fresh
    with contender.start(64) as worker:
        assert worker.run("prompt", 4)[0] > 0
    assert [path for path in (tmp_path / "store" / "compiled").rglob("onnx-*/*") if path.stat().st_size]


def measured(backends, prompt, near, far):
    jobs, _ = plan(Sizes(prompts=(512,), depths=(0, 256, 2048)), ["prompt", "decode"], trained=8192)
    rates = [prompt, near, near, far]
    return [
        Measured(job.rows[0], {"onnx": [rate], "llama.cpp": [100.0]}, {"ggml": "no compiler"})
        for job, rate in zip(jobs, rates, strict=True)
    ]


def test_backends_have_ratios_aims_and_what_is_left_of_their_rates(backends):
    found = {"llama-1b Q4_0": measured(backends, 98.0, 60.0, 51.0), "llama-1b Q4_K_M": measured(backends, 49.0, 30, 15)}
    lines = [
        line for row in found["llama-1b Q4_0"] for line in backends.lines_of("llama-1b Q4_0", row, backends.TARGETS)
    ]
    shown = [(line.title, line.backend, line.own, line.ratio, line.target) for line in lines]
    assert shown[0] == ("prompt 512", "onnx", "98.0 tokens/s", "0.98", "1.00")
    assert shown[1] == ("prompt 512", "ggml", "-", "-", "")
    kept = {name: backends.kept_rates(name, found, backends.TARGETS) for name in found}
    assert [(line.title, line.ratio, line.target) for line in kept["llama-1b Q4_0"]] == [
        ("decode behind 2048, of that behind 256", "0.85", "0.85")
    ]
    assert [(line.title, line.ratio, line.target) for line in kept["llama-1b Q4_K_M"]] == [
        ("decode behind 2048, of that behind 256", "0.50", "0.85"),
        ("prompt 512, of that with Q4_0", "0.50", "0.90"),
        ("decode 128 behind 0, of that with Q4_0", "0.50", "0.90"),
        ("decode 128 behind 256, of that with Q4_0", "0.50", ""),
        ("decode 128 behind 2048, of that with Q4_0", "0.29", ""),
    ]


def test_onnxruntime_genai_has_lines_of_its_own(backends):
    (row,) = measured(backends, 90.0, 1, 1)[:1]
    row = replace(row, samples={**row.samples, "onnxruntime-genai": [60.0]})
    first, _, second, _ = backends.lines_of("llama-1b Q4_0", row, backends.TARGETS)
    assert (first.title, first.backend, first.rival, first.ratio) == ("prompt 512", "onnx", "100.0 tokens/s", "0.90")
    assert (second.title, second.backend) == ("prompt 512, beside onnxruntime-genai", "onnx")
    assert (second.own, second.rival, second.ratio, second.target) == ("90.0 tokens/s", "60.0 tokens/s", "1.50", "1.00")
    assert not backends.kept_rates("tiny", {"tiny": [replace(row, samples={"onnxruntime-genai": [1.0]})]}, ())


def test_onnxruntime_genai_takes_part_with_q4_0_only(backends, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["backends.py", "--genai", "python", "--models", "llama-1b Q4_K_M"])
    with pytest.raises(SystemExit, match="--genai takes models of Q4_0 only, and none is among --models"):
        backends.main()


@pytest.mark.reference
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_checkpoint_for_onnxruntime_genai_is_the_model(make, backends, tmp_path, family):
    import torch
    import transformers
    from engines.genai_model import write_checkpoint

    path = make("Q4_0", family)
    write_checkpoint(path, tmp_path / "checkpoint")
    with ollamax.load(path, backend="cpu") as model:
        expected = model.logits([1, 2, 3])
    there = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype=torch.float32)
    with torch.no_grad():
        found = there(torch.tensor([[1, 2, 3]])).logits[0].numpy()
    assert abs(found - expected).max() < 0.02 * abs(expected).max()


def test_a_python_without_onnxruntime_genai_is_named(make, backends):
    from engines.genai_model import built_model

    path = make("Q4_0")
    with pytest.raises(SystemExit, match=r"--genai .*it has no onnxruntime-genai; install it there with pip"):
        built_model(path, sys.executable)
    assert not path.with_suffix(".genai").exists()


BUILDER = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
-c*) cat "$here/version" ;;
*-o*) test -s "$here/version" || { echo "no way"; exit 1; }
      while [ "$1" != -o ]; do shift; done; mkdir "$2"; echo built >> "$here/log" ;;
esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the builder of the test is a shell script")
def test_a_model_for_onnxruntime_genai_is_built_again_when_what_it_is_made_of_changed(make, backends, tmp_path):
    from engines.genai_model import ORIGIN, built_model

    program, version, path = tmp_path / "python", tmp_path / "version", make("Q4_0")
    program.write_text(BUILDER)
    program.chmod(0o755)
    for number, (text, changed, built) in enumerate([("1", 5, 1), ("1", 5, 1), ("2", 5, 2), ("2", 6, 3)]):
        version.write_text(text)
        os.utime(path, (changed, changed))
        made = built_model(path, str(program))
        assert (tmp_path / "log").read_text().count("built") == built, number
        assert json.loads((made / ORIGIN).read_text())["version"] == text
    version.write_text("")
    with pytest.raises(SystemExit, match=f"its model builder made nothing of {path.name}: no way"):
        built_model(path, str(program))
    assert (made / ORIGIN).exists()


def test_a_program_that_is_not_there_is_named_before_any_work(make, backends):
    from engines.genai_model import built_model

    with pytest.raises(SystemExit, match="--genai /nowhere/python: no such program"):
        built_model(make("Q4_0"), "/nowhere/python")


def test_the_two_benchmarks_write_one_page(backends, rival, tmp_path, monkeypatch):
    from engines import report
    from engines.backend_report import write_section

    monkeypatch.setattr(report, "_plot", lambda runs, path: None)  # takes matplotlib
    (row,) = measured(backends, 98.0, 1, 1)[:1]
    abouts = {label: {"versions": {label: "1"}, "devices": [], "backend": "ggml"} for label in ("ollamax", "llama.cpp")}
    run = report.Run("tiny", [row], abouts, Sizes(), 40e9, 2, "7")
    page = tmp_path / "performance.md"
    lines = backends.lines_of("llama-1b Q4_0", row, backends.TARGETS)
    write_section("llama-1b Q4_0", "2 threads", {"onnxruntime": "1.31"}, lines, tmp_path)
    report.write_report(run, tmp_path)
    first, second = report.section(page.read_text("utf-8"))
    assert "| tiny | prompt 512 |" in first
    assert "| llama-1b Q4_0 | prompt 512 | onnx | 98.0 tokens/s | 100.0 tokens/s | 0.98 | 1.00 |" in second
    assert "2 threads; onnxruntime 1.31." in second
    write_section("qwen2-0.5b Q8_0", "2 threads", {}, lines, tmp_path)
    again, both = report.section(page.read_text("utf-8"))
    assert again == first
    assert both.count("| prompt 512 | onnx |") == 2


@pytest.mark.parametrize("wrong", [("--backend", "onnx,tpu"), ("--models", "llama-7b"), ("--rows", "chat")])
def test_what_the_benchmark_of_backends_lacks_is_refused(backends, capsys, wrong):
    with pytest.raises(SystemExit):
        backends.options().parse_args(list(wrong))
    assert f"argument {wrong[0]}" in capsys.readouterr().err
