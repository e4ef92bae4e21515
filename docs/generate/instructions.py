"""The page of the Modelfile and of options."""

from __future__ import annotations

from docstring import markdown
from ollamax.engine.option import Option
from ollamax.engine.options import TABLE
from ollamax.engine.options import UNSUPPORTED as OPTIONS_UNSUPPORTED
from ollamax.modelfile import quote
from ollamax.modelfile.parser import INSTRUCTIONS, UNSUPPORTED
from table import code, table

_EXAMPLE = '''```
FROM ./my-llama-directory
PARAMETER temperature 0.7
PARAMETER stop "<|end|>"
SYSTEM """You are brief.
You are polite."""
MESSAGE user Hello
MESSAGE assistant Hello.
```'''


def instructions() -> str:
    """Instructions, values, and every option with type, range and default."""
    refused = ", ".join(map(code, UNSUPPORTED))
    return "\n\n".join(
        [
            "# Modelfile and options",
            "A Modelfile is the recipe from which `ollamax create` makes a model: one instruction a line, in any order "
            "and case. Empty lines and lines that start with `#` are skipped.",
            _EXAMPLE,
            "## Instructions",
            table(
                ["line", "meaning"], [[code(entry.usage), _literals(entry.meaning)] for entry in INSTRUCTIONS.values()]
            ),
            "Where FROM is a model that has a Modelfile of its own, its instructions are taken over, and those given "
            f"here are laid over them. Other instructions of Ollama ({refused}) are refused by name.",
            "## Values",
            markdown((quote.__doc__ or "").partition("\n")[2]),
            "## Options",
            "The same names everywhere: `PARAMETER num_predict 100`, in Python `num_predict=100`, on the command line "
            "`--num-predict 100`. An option of *load* is fixed when a model is loaded, one of *generate* may change "
            "with every answer. A value of another type or beyond the range is an error that names the option.",
            table(["option", "on the command line", "value", "default", "of", "meaning"], map(_option, TABLE.values())),
            "Options of Ollama that are refused by name, with what to do instead:",
            table(["option", "instead"], [[code(name), reason] for name, reason in OPTIONS_UNSUPPORTED.items()]),
        ]
    )


def _option(option: Option) -> list[str]:
    names = " or ".join(map(code, (option.name, *option.aliases)))
    default = "none" if option.default == () else code(option.default)
    return [names, ", ".join(map(code, option.flags)), option.expected, default, option.scope, option.doc]


def _literals(text: str) -> str:
    return text.replace("``", "`")
