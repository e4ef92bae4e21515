"""``/show`` of an interactive session: what is known about the model that runs."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from ollamax.cli.printer import Printer
from ollamax.cli.session import Session

SHOW_HELP = """\
Available Commands:
  /show info         Show details for this model
  /show license      Show model license
  /show modelfile    Show Modelfile for this model
  /show parameters   Show parameters for this model
  /show system       Show system message
  /show template     Show prompt template
"""


def show(session: Session, topic: str) -> None:
    """Print what ``topic`` names; without one, the topics."""
    if not topic:
        click.echo(SHOW_HELP, nl=False)
    elif topic in _TOPICS:
        # What a file says may hold control characters, which a printer keeps from the terminal.
        printer = Printer(sys.stdout, wrap=False)
        printer.write(_TOPICS[topic](session))
        printer.finish()
    else:
        click.echo(f"Unknown command '/show {topic}'. Type /? show for help")


def _info(session: Session) -> str:
    metadata = session.model.metadata
    architecture = metadata["general.architecture"]
    rows = {
        "model": session.model.name,
        "architecture": architecture,
        "context length": metadata.get(f"{architecture}.context_length"),
        "num_ctx": session.model.context_length,
        "embedding length": metadata.get(f"{architecture}.embedding_length"),
        "backend": session.model.backend.name,
    }
    return "\n".join(f"  {label:<18}{value}" for label, value in rows.items() if value is not None)


def _license(session: Session) -> str:
    return "\n\n".join(session.model.modelfile.licenses) or "No license was specified for this model."


def _modelfile(session: Session) -> str:
    return str(session.model.modelfile).rstrip("\n")


def _parameters(session: Session) -> str:
    lines = ["Model defined parameters:"]
    lines += [
        f"  {name:<30} {value}" for name, values in session.model.modelfile.parameters.items() for value in values
    ]
    if len(lines) == 1:
        lines.append("  No additional parameters were specified for this model.")
    chosen = {**session.load_options, **session.options}
    if chosen:
        lines += ["", "User defined parameters:"]
        for name, value in chosen.items():
            lines += [f"  {name:<30} {one}" for one in (value if isinstance(value, tuple) else (value,))]
    return "\n".join(lines)


def _system(session: Session) -> str:
    chosen = session.model.modelfile.system if session.system is None else session.system
    return chosen or "No system message was specified for this model."


def _template(session: Session) -> str:
    return session.model.template.source or "No prompt template was specified for this model."


_TOPICS: dict[str, Callable[[Session], str]] = {
    "info": _info,
    "license": _license,
    "modelfile": _modelfile,
    "parameters": _parameters,
    "system": _system,
    "template": _template,
}
