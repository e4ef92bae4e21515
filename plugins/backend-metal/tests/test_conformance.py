"""The metal backend does what every backend must do."""

from ollamax.testing.backend_suite import BackendSuite
from ollamax_backend_metal.backend import Metal


class TestMetal(BackendSuite):
    backend = Metal
