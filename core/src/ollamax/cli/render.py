"""``ollamax render``: the prompt that a chat becomes, with its token ids."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from ollamax.cli.console import print_json
from ollamax.cli.messages_file import read_messages_file
from ollamax.cli.printer import Printer


@click.command()
@click.argument("model")
@click.option("--messages", "file", metavar="FILE", required=True, help="JSON list of messages; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def render(model: str, file: str, as_json: bool) -> None:
    """Show the prompt that the template of MODEL makes of a chat, and the token ids that the model would read.

    A message is an object with role (system, user, assistant or tool), content, and perhaps images (paths). The
    model's own system message and messages are there as in a real chat. No weights are loaded.
    """
    from ollamax.engine.render import render as render_chat

    made = render_chat(model, read_messages_file(file))
    if as_json:
        print_json(asdict(made))
        return
    printer = Printer(sys.stdout, wrap=False)
    printer.write(made.text)
    printer.finish()
    printer.write(f"\n{len(made.ids)} tokens\n{' '.join(map(str, made.ids))}\n")
    printer.finish()
