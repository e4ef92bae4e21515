"""``ollamax new-plugin``: write a complete package that works, for its author to change."""

from __future__ import annotations

from pathlib import Path

import click

_KINDS = ("architecture", "backend", "tokenizer")


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="What the plugin adds.")
@click.option("--like", metavar="ARCH", help="Begin as a copy of this installed architecture.")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The package's new folder (default: in plugins/ of a checkout of ollamax, else here).",
)
def new_plugin(name: str, kind: str, like: str | None, directory: Path | None) -> None:
    """Write the package of a new plugin called NAME, with tests that pass.

    An architecture begins as a small decoder and its converter, a backend as one that computes what core defines, a
    tokenizer as a pre-tokenizer; the tests are ollamax's conformance suites. NAME is an identifier such as phi3.
    """
    from ollamax.plugins import get_manager
    from ollamax.scaffold.example import example_texts
    from ollamax.scaffold.like import texts_like
    from ollamax.scaffold.package import default_directory, write_package
    from ollamax.scaffold.plugin_name import PluginKind, PluginName

    plugin = PluginName(name, PluginKind(kind))
    folder = directory or default_directory(plugin, Path.cwd())
    texts = example_texts(plugin) if like is None else texts_like(plugin, like, get_manager())
    write_package(plugin, folder, texts)
    for path in sorted(texts):
        click.echo(f"wrote {folder / path}")
    needs = "'ollamax-core[testing]'" + ("" if plugin.kind is PluginKind.BACKEND else " ollamax-backend-cpu")
    click.echo(f"next: pip install -e {folder} {needs} && pytest {folder}")
