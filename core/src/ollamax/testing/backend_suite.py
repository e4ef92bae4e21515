"""The conformance suite of backends, for pytest (``pip install 'ollamax-core[testing]'``).

A package's test file::

    from ollamax.testing.backend_suite import BackendSuite
    from mine.backend import Mine

    class TestMine(BackendSuite):
        backend = Mine
"""

from __future__ import annotations

from ollamax.testing.op_suite import OpSuite
from ollamax.testing.state_suite import StateSuite
from ollamax.testing.weight_suite import WeightSuite


class BackendSuite(OpSuite, StateSuite, WeightSuite):
    """Every op, states, weights of every type, wrong inputs and options; see the suites for what a subclass may say."""
