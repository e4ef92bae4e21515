"""What every package of plugins must be, for pytest.

A package's test file::

    from ollamax.testing.plugin_suite import PluginSuite

    class TestPackage(PluginSuite):
        package = "ollamax-plugin-poem"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import Distribution, distribution, entry_points
from typing import ClassVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ollamax import __version__
from ollamax.plugins import get_manager

GROUP = "ollamax"
HEAVY = {"gguf", "jinja2", "ggml", "mlx", "numpy", "onnx", "onnxruntime", "PIL", "rich", "safetensors", "scipy"}
HEAVY |= {"sentencepiece", "tokenizers", "torch", "transformers"}
"""Libraries that take long to import, and would be imported by every ``ollamax --help``."""

_IMPORT = """
import sys
from importlib import import_module
import ollamax.plugins
before = set(sys.modules)
for module in sys.argv[1:]:
    import_module(module)
import json
print(json.dumps(sorted(set(sys.modules) - before)))
"""


class PluginSuite:
    """``package`` is what pip calls it; it must be installed."""

    package: ClassVar[str]

    @property
    def installed(self) -> Distribution:
        """The package's metadata."""
        return distribution(self.package)

    @property
    def modules(self) -> list[str]:
        """Those of its entry points."""
        name = canonicalize_name(self.package)
        found = [
            point for point in entry_points(group=GROUP) if point.dist and canonicalize_name(point.dist.name) == name
        ]
        return [point.module for point in found]

    def test_it_has_an_entry_point(self) -> None:
        """In the group ollamax."""
        assert self.modules, f"{self.package} has no entry point; add [project.entry-points.{GROUP}] to pyproject.toml"

    def test_its_plugin_modules_import_nothing_heavy(self) -> None:
        """Hooks import within their bodies."""
        command = [sys.executable, "-c", _IMPORT, *self.modules]
        done = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
        assert loaded & HEAVY == set()

    def test_it_loads_and_provides_something(self) -> None:
        """As ``ollamax list-plugins`` shows it: a part that cannot run on this machine is shown with the reason."""
        rows = {canonicalize_name(row.distribution): row for row in get_manager().report(())}
        row = rows[canonicalize_name(self.package)]
        assert row.status != "failed", row.reason
        assert row.provides, "no hook returned anything"

    def test_no_other_plugin_is_broken_by_it(self) -> None:
        """In a process that takes a broken plugin for an error."""
        code = "from ollamax.plugins import get_manager; get_manager().report(())"
        environment = {**os.environ, "OLLAMAX_STRICT_PLUGINS": "1"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8", env=environment)
        assert done.returncode == 0, done.stderr.splitlines()[-1:]
        assert done.stdout == "", "a plugin prints while it is loaded"

    def test_it_names_the_range_of_cores_that_it_was_tested_with(self) -> None:
        """From a least version to one that it excludes, with this core between them."""
        requirements = [Requirement(text) for text in self.installed.requires or ()]
        (core,) = [one for one in requirements if canonicalize_name(one.name) == "ollamax-core" and not one.marker]
        operators = {one.operator for one in core.specifier}
        assert operators & {">=", "==", "~="}, f"{core} names no least version"
        assert operators & {"<", "<=", "==", "~="}, f"{core} names no version from which on it was not tested"
        assert core.specifier.contains(__version__, prereleases=True)

    def test_its_metadata_says_what_it_is(self) -> None:
        """A summary, a licence, a description and the least Python."""
        found = self.installed.metadata
        assert found["Summary"]
        assert found["License-Expression"] or found["License"] or found["License-File"]
        assert found["Requires-Python"]
        assert found.json.get("description"), "no readme"
