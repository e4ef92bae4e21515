"""Pages of the site that lie outside of docs/: the READMEs of the packages, and CONTRIBUTING.md."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
_HOME = re.compile(r"\]\((?:\.\./)+README\.md\)")
_CONTRIBUTING = "contributing.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every package into the navigation; a new one needs no line in mkdocs.yml."""
    assert config.nav is not None
    config.nav += [{"Packages": [f"packages/{name}.md" for name in _readmes()]}, {"Contributing": _CONTRIBUTING}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; links to the repository's README lead to the start page."""
    for name, path in _readmes().items():
        text = path.read_text(encoding="utf-8")
        files.append(File.generated(config, f"packages/{name}.md", content=_HOME.sub("](../index.md)", text)))
    files.append(File.generated(config, _CONTRIBUTING, content=(ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    return files


def _readmes() -> dict[str, Path]:
    return {path.parent.name: path for path in [ROOT / "core/README.md", *sorted(ROOT.glob("plugins/*/README.md"))]}
