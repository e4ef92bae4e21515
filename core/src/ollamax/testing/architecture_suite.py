"""The conformance suite of architectures, for pytest (``pip install 'ollamax-core[testing]'``).

A package's test file::

    from pathlib import Path

    from ollamax.testing.architecture_suite import ArchitectureSuite
    from ollamax.testing.random_checkpoint import RandomCheckpoint

    class TestPoem(ArchitectureSuite):
        checkpoint = RandomCheckpoint.read(Path(__file__).with_name("checkpoint.json"))
        golden = Path(__file__).with_name("golden")      # once there is one
"""

from __future__ import annotations

from ollamax.testing.conversion_suite import ConversionSuite
from ollamax.testing.step_suite import StepSuite
from ollamax.testing.text_suite import TextSuite


class ArchitectureSuite(ConversionSuite, StepSuite, TextSuite):
    """Conversion, steps, text, backends and a golden trace; see the suites for what a subclass may say."""
