"""The ONNX Runtime backend does what every backend and every package must do, with float32 activations too."""

from ollamax.ml.blocks import BLOCKS
from ollamax.testing.backend_suite import BackendSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.weight_suite import WeightSuite
from ollamax_backend_onnx.backend import ONNX


class TestONNX(BackendSuite):
    backend = ONNX
    cancels = True
    rounding = dict.fromkeys(BLOCKS, 1.5e-2)  # at level 4 activations are rounded to 8 bits in blocks


class Exact(ONNX):
    """Computes with float32 activations."""

    accuracy_level = 0


class TestExactWeights(WeightSuite):
    backend = Exact


class TestPackage(PluginSuite):
    package = "ollamax-backend-onnx"
