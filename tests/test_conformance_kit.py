"""The conformance suites find what is wrong, and say what they need."""

import subprocess
import sys
from pathlib import Path

import pytest

FAULTY = """
from ollamax.testing.backend_suite import BackendSuite
from ollamax_backend_cpu import kernels, states, weights
from ollamax_backend_cpu.backend import CPU

{fault}

class TestFaulty(BackendSuite):
    backend = CPU
"""
FAULTS = {
    "an op": (
        "plain = kernels.Builder.kernel\n"
        "def kernel(self, node):\n"
        "    found = plain(self, node)\n"
        "    return (lambda *given: found(*given) + 1e-3) if node.op is kernels.Op.TANH else found\n"
        "kernels.Builder.kernel = kernel",
        "test_an_op_equals_the_reference",
    ),
    "a copy": ("states.CPUState.copy_rows = lambda *_: None", "test_rows_are_copied_read_and_replaced"),
    "a slot": (
        "plain = states.CPUState.write\n"
        "states.CPUState.write = lambda self, slots, *more: plain(self, slots * 0, *more)",
        "test_a_state_outlives_a_run_and_is_shared_by_programs",
    ),
    "weights": (
        "plain = weights.Weights._values\nweights.Weights._values = lambda self, stored: plain(self, stored) * 1.001",
        "test_rows_and_products",
    ),
}


def failures(folder: Path, text: str) -> str:
    """What pytest says of a test file that has failing tests."""
    path = folder / "test_faulty.py"
    path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)
    assert done.returncode == 1, done.stdout[-2000:]
    return done.stdout


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_the_test_that_is_about_it(name: str, tmp_path: Path) -> None:
    fault, test = FAULTS[name]
    assert f"FAILED test_faulty.py::TestFaulty::{test}" in failures(tmp_path, FAULTY.format(fault=fault))


MODEL = """
from ollamax.testing.architecture_suite import ArchitectureSuite
from ollamax.testing.random_checkpoint import RandomCheckpoint
from ollamax.arch import base
from ollamax.convert import decoder
from ollamax.ml import nn
from ollamax.ml.tensor import Tensor
from ollamax_llama import convert, model
from pathlib import Path

{fault}

class TestFaulty(ArchitectureSuite):
    checkpoint = RandomCheckpoint.read(Path({checkpoint!r}))
    golden = Path({golden!r})
"""
MODEL_FAULTS = {
    "a position that a step begins anew": (
        "model.Llama.forward = (lambda plain: lambda self, batch, cache: plain(self, base.Batch(batch.tokens,\n"
        "    batch.positions * 0, batch.outputs), cache))(model.Llama.forward)",
        "test_every_tensor_is_that_of_the_golden_trace",
    ),
    "positions that shift does not turn": (
        "model.Llama.shift = lambda self, layer, key, delta: key",
        "test_shift_turns_a_key_as_another_position_does",
    ),
    "a mask that hides nothing": (
        "nn.attention = (lambda plain: lambda q, k, v, mask: plain(q, k, v))(nn.attention)",
        "test_a_token_sees_no_later_one",
    ),
    "a tensor that the converter forgets": (
        "convert.LlamaConverter.ignore = ('.*up_proj',)",
        "test_every_tensor_has_a_place_or_is_left_out_on_purpose",
    ),
    "a shape that the model does not tell": (
        "plain = model.Llama.tensor_shapes\n"
        "model.Llama.tensor_shapes = lambda self: {k: v for k, v in plain(self).items() if 'ffn_up' not in k}",
        "test_a_wrong_shape_is_named",
    ),
    "a block whose weights no computation reads": (
        "def forward(self, batch, cache):\n"
        "    x, mask = self.token_embd(batch.tokens), cache.mask(batch.positions)\n"
        "    for layer in range(len(self.blk)):\n"
        "        x = self.blk[0](x, layer, batch, cache, mask, None)\n"
        "    return self.output(self.output_norm(batch.select(x)))\n"
        "model.Llama.forward = forward",
        "test_every_parameter_gets_a_tensor_and_every_tensor_is_used",
    ),
    "rows that the converter does not reorder": (
        "convert.LlamaConverter.transforms = lambda self, name: False",
        "test_every_tensor_is_that_of_the_golden_trace",
    ),
}
LLAMA = Path(__file__).parents[1] / "plugins" / "llama" / "tests"


@pytest.mark.parametrize("name", MODEL_FAULTS)
def test_a_fault_of_a_model_fails_the_test_that_is_about_it(name: str, tmp_path: Path) -> None:
    fault, test = MODEL_FAULTS[name]
    text = MODEL.format(fault=fault, checkpoint=str(LLAMA / "checkpoint.json"), golden=str(LLAMA / "golden"))
    assert f"FAILED test_faulty.py::TestFaulty::{test}" in failures(tmp_path, text)


PACKAGE = """
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.tokenizer_suite import TokenizerSuite
from ollamax.tokenizer import bpe

{fault}

class TestFaulty(PluginSuite):
    package = "ollamax-plugin-llama"

class TestTokens(TokenizerSuite):
    pre = "qwen2"
    pieces = {{"12 lines": ["1", "2", " lines"]}}
"""
PACKAGE_FAULTS = {
    "an import": (
        "PluginSuite.modules = property(lambda self: ['ollamax_llama.model', 'numpy'])",
        "TestFaulty::test_its_plugin_modules_import_nothing_heavy",
    ),
    "a package of another core": (
        "import ollamax.testing.plugin_suite as suite\nsuite.__version__ = '9.0'",
        "TestFaulty::test_it_names_the_range_of_cores_that_it_was_tested_with",
    ),
    "bytes that are lost": (
        "plain = bpe.BPE.token_bytes\n"
        "bpe.BPE.token_bytes = lambda self, token, special=False: plain(self, token, special).replace(b'w', b'v')",
        "TestTokens::test_text_comes_back",
    ),
    "digits in threes": (
        "from ollamax.tokenizer.pretokenizers import Llama3, Qwen2\nQwen2.patterns = Llama3.patterns",
        "TestTokens::test_pieces_are_cut_as_told",
    ),
}


@pytest.mark.parametrize("name", PACKAGE_FAULTS)
def test_a_fault_of_a_package_fails_the_test_that_is_about_it(name: str, tmp_path: Path) -> None:
    fault, test = PACKAGE_FAULTS[name]
    assert f"FAILED test_faulty.py::{test}" in failures(tmp_path, PACKAGE.format(fault=fault))


def test_without_pytest_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None; import ollamax.testing.backend_suite"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "conformance suites need pytest; try: pip install 'ollamax-core[testing]'" in done.stderr.splitlines()[-1]
