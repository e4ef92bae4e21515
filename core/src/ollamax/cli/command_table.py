"""The commands of core: where each lives, and what ``--help`` says of it without importing it."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """``location`` is "module:attribute" of a click command."""

    location: str
    help: str


COMMANDS = {
    "run": Entry("ollamax.cli.run:run", "Run a model: answer a prompt, or open a session."),
    "create": Entry("ollamax.cli.create:create", "Create a model from a Modelfile."),
    "export": Entry("ollamax.cli.export:export", "Write a model for another program."),
    "list": Entry("ollamax.cli.list:list_models", "List the models in the store (alias: ls)."),
    "show": Entry("ollamax.cli.show:show", "Show what is known about a model."),
    "inspect": Entry("ollamax.cli.inspect:inspect", "Show what a file or checkpoint holds, and who would run it."),
    "render": Entry("ollamax.cli.render:render", "Show the prompt that a chat becomes, with its token ids."),
    "trace": Entry("ollamax.cli.trace:trace", "Show every intermediate tensor of a model for a prompt."),
    "compare": Entry("ollamax.cli.compare:compare", "Compare a model with transformers, layer by layer."),
    "cp": Entry("ollamax.cli.cp:cp", "Copy a model under another name."),
    "rm": Entry("ollamax.cli.rm:rm", "Remove models from the store."),
    "bench": Entry("ollamax.cli.bench:bench", "Measure how fast a model runs."),
    "new-plugin": Entry("ollamax.cli.new_plugin:new_plugin", "Write the package of a new plugin, with tests."),
    "list-plugins": Entry("ollamax.cli.list_plugins:list_plugins", "List installed plugins and how they stand."),
}
ALIASES = {"ls": "list"}
CORE_NAMES = frozenset(COMMANDS) | frozenset(ALIASES)
"""Names that no plugin may take."""
