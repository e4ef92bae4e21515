"""What ``--help`` and ``list-plugins`` may cost, with every plugin of this environment installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CPU_SECONDS = 0.4
HEAVY = {"numpy", "onnxruntime", "mlx", "ggml", "gguf", "tokenizers", "sentencepiece", "jinja2", "gotpl"}
HEAVY |= {"safetensors", "rich", "torch", "transformers"}
# ONNX Runtime imports NumPy itself, and has to be loaded to tell whether it can run: a tenth of a second or two.
OTHERS = {"OLLAMAX_PLUGINS": "llama,qwen2,mllama,cpu,ggml,demo"}
COMMAND = "import sys; from ollamax.cli.main import main; status = main(); "


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this platform does not tell a child's CPU time")
@pytest.mark.parametrize("arguments", [["--help"], ["list-plugins"], ["list-plugins", "--json"]], ids=" ".join)
def test_cpu_time(arguments: list[str]) -> None:
    costs = []
    for _ in range(15):  # the least of some: a busy machine inflates CPU time too, for a second or two at a time
        command = [sys.executable, "-c", COMMAND + "sys.exit(status)", *arguments]
        chosen = OTHERS if "list-plugins" in arguments else {}
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **chosen}) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        costs.append(usage.ru_utime + usage.ru_stime)
        if costs[-1] <= CPU_SECONDS:
            break
    assert min(costs) <= CPU_SECONDS, costs


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = COMMAND + "import json; print(json.dumps([status, *sys.modules]), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    status, *modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert ("ollamax.plugins.loader" in modules) == (arguments == ["--help"])


def test_list_plugins_does_without_numpy() -> None:
    code = COMMAND + "sys.exit('numpy' in sys.modules or status)"
    command = [sys.executable, "-c", code, "list-plugins", "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **OTHERS})


def test_every_plugin_module_of_the_checkout_is_light() -> None:
    code = (
        "import sys, json; from ollamax.plugins import get_manager; from ollamax import config;"
        "get_manager(); print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, encoding="utf-8")
    modules = json.loads(done.stdout)
    assert {"ollamax.tokenizer.plugin"} <= set(modules)
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
