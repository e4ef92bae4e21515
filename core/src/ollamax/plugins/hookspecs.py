"""The whole extension surface of ollamax: seven hooks, each with a plugin.py to copy.

A plugin is a package with an entry point in the group ``ollamax`` that names a module of hook implementations::

    [project.entry-points.ollamax]
    poem = "ollamax_poem.plugin"

A hook returns classes; it imports them inside its body, so that the module itself loads in milliseconds.
A package implements the hooks that it needs and leaves out the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from ollamax.arch.base import Architecture
    from ollamax.backend.base import Backend
    from ollamax.convert.base import Converter
    from ollamax.convert.quantizer import Quantizer
    from ollamax.plugins.bundled import BundledModel
    from ollamax.tokenizer.base import PreTokenizer, Tokenizer

hookspec = pluggy.HookspecMarker("ollamax")


@hookspec
def ollamax_architectures() -> list[type[Architecture]]:  # type: ignore[empty-body]
    """Model classes, found by ``general.architecture`` of a GGUF file.

    Each class has a ``name`` that no other plugin uses, and may have ``aliases`` for other spellings.
    Example::

        from ollamax.plugins import hookimpl

        @hookimpl
        def ollamax_architectures():
            from ollamax_poem.model import Poem

            return [Poem]
    """


@hookspec
def ollamax_converters() -> list[type[Converter]]:  # type: ignore[empty-body]
    """Converters from Hugging Face checkpoints, found by ``architectures[0]`` of config.json.

    Each class names its ``checkpoints`` and the ``architecture`` that it makes. Example::

        from ollamax.plugins import hookimpl

        @hookimpl
        def ollamax_converters():
            from ollamax_poem.convert import PoemConverter

            return [PoemConverter]
    """


@hookspec
def ollamax_tokenizers() -> list[type[Tokenizer] | type[PreTokenizer]]:  # type: ignore[empty-body]
    """Tokenizers, found by ``tokenizer.ggml.model``, and pre-tokenizers, found by ``tokenizer.ggml.pre``.

    A Tokenizer subclass names its ``models``, a PreTokenizer subclass its ``names``. Example::

        from ollamax.plugins import hookimpl

        @hookimpl
        def ollamax_tokenizers():
            from ollamax_poem.tokenizer import PoemPreTokenizer

            return [PoemPreTokenizer]
    """


@hookspec
def ollamax_backends() -> list[type[Backend]]:  # type: ignore[empty-body]
    """Backends, found by ``name`` (``ollamax run --backend NAME``); ``auto`` is not a backend's name.

    The module of the class must import without its runtime library; ``probe()`` says whether that can run.
    Example::

        from ollamax.plugins import hookimpl

        @hookimpl
        def ollamax_backends():
            from ollamax_backend_abacus.backend import Abacus

            return [Abacus]
    """


@hookspec
def ollamax_quantizers() -> list[type[Quantizer]]:  # type: ignore[empty-body]
    """Quantizers for ``ollamax create --quantize``; each names the storage types that it writes.

    Core writes the older types itself. A type that several plugins write is written by the first of them; core gives
    way to all. The class must import without its library; ``unavailable()`` says why that does not load. Example::

        from ollamax.plugins import hookimpl

        @hookimpl
        def ollamax_quantizers():
            from ollamax_backend_abacus.quantizer import AbacusQuantizer

            return [AbacusQuantizer]
    """


@hookspec
def ollamax_models() -> list[BundledModel]:  # type: ignore[empty-body]
    """Models that lie inside the package, found by name (``ollamax run poem``).

    Unlike the other hooks this one returns instances. Example::

        from importlib.resources import files
        from pathlib import Path

        from ollamax.plugins import BundledModel, hookimpl

        @hookimpl
        def ollamax_models():
            path = Path(str(files("ollamax_poem") / "poem.gguf"))
            return [BundledModel(name="poem", path=path, description="Writes four lines at a time")]
    """


@hookspec
def ollamax_commands(cli: click.Group) -> None:
    """Commands of ``ollamax``, added to the group ``cli``; a command of core cannot be replaced.

    Heavy imports belong into the command's body, for this hook runs at every ``ollamax --help``. Example::

        import click

        from ollamax.plugins import hookimpl

        @hookimpl
        def ollamax_commands(cli):
            @cli.command("rhyme")
            @click.argument("word")
            def rhyme(word):
                \"\"\"Print a word that rhymes with WORD.\"\"\"
                click.echo(word)
    """
