"""The ggml backend does what every backend and every package must do."""

from ollamax.testing.backend_suite import BackendSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.types import DType
from ollamax_backend_ggml.backend import GGML
from ollamax_backend_ggml.library import UNUSABLE

# Activations are rounded to the type of a float weight, and to 8-bit blocks of 32 (or 256, for K-quants and their like)
# for a quantised one.
FLOATS = {DType.F32: 1e-6, DType.F16: 1e-3, DType.BF16: 8e-3}


class TestGGML(BackendSuite):
    backend = GGML
    takes_computed_indices = False
    cancels = True
    refused = UNUSABLE
    rounding = {dtype: FLOATS.get(dtype, 1.5e-2) for dtype in DType}


class TestPackage(PluginSuite):
    package = "ollamax-backend-ggml"
