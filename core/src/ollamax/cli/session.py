"""A conversation: the model, what was said, and the settings that the user may change on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from ollamax.cli.image_paths import take_image_paths
from ollamax.cli.printer import Printer
from ollamax.cli.progress import progress
from ollamax.engine.options import TABLE
from ollamax.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Generator

    from ollamax.engine.chunk import Chunk, Stats
    from ollamax.engine.model import Model


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the text that was printed, whether Ctrl-C cut it short, and times if it ended by
    itself.
    """

    text: str
    interrupted: bool
    stats: Stats | None


@dataclass(slots=True)
class Session:
    """Owns the model that ``open_model`` loads with the options that are fixed at loading.

    ``options`` are those of each generation. Use it as a context manager.
    """

    open_model: Callable[[Mapping[str, Any]], Model]
    load_options: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    system: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    model: Model = field(init=False)

    def __enter__(self) -> Session:
        self.model = self.open_model(self.load_options)
        return self

    def __exit__(self, *_: object) -> None:
        self.model.close()

    def ask(self, text: str, printer: Printer, images: Sequence[str] = ()) -> Answer:
        """Add the user's message, print the answer as it comes, and remember both.

        After Ctrl-C the part that was printed is remembered; if there was none, or the model fails, the
        user's message is forgotten too.
        """
        message = self._message(text, images)
        asked = [*self.messages, message]
        # An empty system message is one too: it takes the place of the model's own.
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        answer = print_answer(self.model.chat([*system, *asked], stream=True, **self.options), printer)
        if answer.text or not answer.interrupted:
            self.messages = [*asked, {"role": "assistant", "content": answer.text}]
        return answer

    def _message(self, text: str, images: Sequence[str]) -> dict[str, Any]:
        """The user's message; pictures are read now, for their files may be gone at a later turn."""
        from ollamax.engine.picture import read_image

        if self.model.sees_pictures:
            text, written = take_image_paths(text)
            for path in written:
                click.echo(f"Added image '{one_line(path)}'", err=True)
            images = [*images, *written]
        message: dict[str, Any] = {"role": "user", "content": text}
        if images:
            message["images"] = [read_image("the prompt", path) for path in images]
        return message

    def set_option(self, name: str, value: Any) -> None:
        """Change an option from its own type's ``value``; the model is loaded again where that is needed.

        If the model cannot be loaded with the new value, or Ctrl-C stops that, it is loaded as before and the error
        raised.
        """
        if TABLE[name].scope == "generate":
            self.options[name] = value
            return
        self.model.close()
        try:
            self.model = self.open_model({**self.load_options, name: value})
        except BaseException:
            self.model = self.open_model(self.load_options)
            raise
        self.load_options[name] = value


def print_answer(chunks: Generator[Chunk], printer: Printer) -> Answer:
    """Print ``chunks`` as they come, until the end or Ctrl-C."""
    parts: list[str] = []
    stats, interrupted = None, False
    try:
        with closing(chunks):
            # A long prompt takes a while before the first word.
            with progress("reading the prompt"):
                first = list(islice(chunks, 1))
            for chunk in chain(first, chunks):
                if chunk.notice is not None:
                    click.echo(f"Warning: {one_line(chunk.notice)}", err=True)
                parts.append(chunk.text)
                printer.write(chunk.text)
                stats = chunk.stats
    except KeyboardInterrupt:
        interrupted = True
    finally:
        printer.finish()
    return Answer("".join(parts), interrupted, stats)
