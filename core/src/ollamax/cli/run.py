"""``ollamax run``: answer one prompt, or open an interactive session."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

import ollamax
from ollamax.cli.console import print_warning
from ollamax.cli.line_editor import Terminal
from ollamax.cli.option_flags import given_options, option_flags
from ollamax.cli.printer import Printer
from ollamax.cli.progress import progress
from ollamax.cli.repl import converse
from ollamax.cli.session import Answer, Session, print_answer
from ollamax.cli.slash import Settings
from ollamax.cli.timings import timing_lines
from ollamax.engine.options import split
from ollamax.errors import UsageError

if TYPE_CHECKING:
    from ollamax.engine.model import Model

# A prompt is text for a context of some thousand tokens; a larger input is a mistake, such as a model file.
_LARGEST_INPUT = 64 << 20


@click.command()
@click.argument("model")
@click.argument("prompt", nargs=-1)
@click.option("--verbose", is_flag=True, help="Show timings after each answer.")
@click.option("--nowordwrap", is_flag=True, help="Do not wrap lines at words.")
@click.option("--system", metavar="TEXT", help="System message, instead of the model's own.")
@click.option("--template", metavar="TEXT", help="Prompt template (Go syntax), instead of the model's own.")
@click.option("--raw", is_flag=True, help="Continue the prompt as it stands, without a template.")
@click.option("--backend", metavar="NAME", default="auto", show_default=True, help="Backend that computes.")
@click.option(
    "--image",
    "images",
    metavar="PATH",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Picture that belongs to the prompt; may be repeated.",
)
@option_flags
def run(
    model: str,
    prompt: tuple[str, ...],
    verbose: bool,
    nowordwrap: bool,
    system: str | None,
    template: str | None,
    raw: bool,
    backend: str,
    images: tuple[str, ...],
    **flags: Any,
) -> None:
    """Run MODEL: print its answer to PROMPT as it comes, or open a session if there is none.

    MODEL is a model in the store, a .gguf file or a Hugging Face directory. Text on standard input is put
    before PROMPT, on lines of its own.
    """
    load_options, options = split(given_options(flags))
    text = _prompt(prompt)
    if raw and (text is None or images or system is not None or template is not None):
        raise UsageError("--raw takes a prompt, and neither --system, --template nor --image")
    if images and text is None:
        raise UsageError("--image belongs to a prompt; give one")

    def open_model(load_options: Mapping[str, Any]) -> Model:
        with progress(f"loading {model}") as shown:
            return ollamax.load(
                model, backend=backend, template=template, progress=shown.reach, warn=print_warning, **load_options
            )

    settings = Settings(verbose=verbose, wrap=not nowordwrap)
    with Session(open_model, load_options, options, system) as session:
        if text is None:
            converse(session, settings, Terminal())
        elif _answer(session, settings, text, images, raw).interrupted:
            click.get_current_context().exit(130)


def _answer(session: Session, settings: Settings, text: str, images: tuple[str, ...], raw: bool) -> Answer:
    printer = Printer(sys.stdout, settings.wrap)
    if raw:
        answer = print_answer(session.model.generate(text, **session.options), printer)
    else:
        answer = session.ask(text, printer, images)
    if settings.verbose and answer.stats:
        click.echo("\n".join(["", *timing_lines(answer.stats, session.model)]), err=True)
    return answer


def _prompt(words: tuple[str, ...]) -> str | None:
    """What to ask: standard input, if something is piped in, and PROMPT; None opens a session."""
    parts = [" ".join(words)] if words else []
    if not sys.stdin.isatty():
        parts.insert(0, _piped().rstrip("\r\n"))
    elif not words and sys.stdout.isatty():
        return None
    text = "\n".join(part for part in parts if part)
    if not text.strip():
        raise UsageError("the prompt is empty; give one after the model's name or on standard input")
    return text


def _piped() -> str:
    data = sys.stdin.buffer.read(_LARGEST_INPUT + 1)
    if len(data) > _LARGEST_INPUT:
        raise UsageError(f"standard input is larger than {_LARGEST_INPUT >> 20} MiB, too large for a prompt")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not UTF-8 text (byte {error.start}); pipe text") from None
