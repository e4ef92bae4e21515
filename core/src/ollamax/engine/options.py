"""The options of a model and of a generation: one table for Modelfile, library and command line.

The fields of ``Options`` are the table: name, type, default, range, meaning. ``PARAMETER num_predict 100``
in a Modelfile, ``num_predict=100`` in the library and ``--num-predict 100`` on the command line are all
read from it. Names and defaults are Ollama's (``docs/modelfile.mdx`` and ``api/types.go``, release of
August 2026) unless a comment says otherwise.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ollamax.engine.option import Kind, Option, Scope
from ollamax.errors import OptionError

# Whole numbers must fit the integers of backends and files.
_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


def _option(default: Any, doc: str, **limits: Any) -> Any:
    if isinstance(default, int):
        limits.setdefault("maximum", _INT32_MAX)
    return dataclasses.field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values of all options; ``Options()`` holds the defaults.

    Layers are merged upwards: ``Options().merge(parameters(modelfile.parameters)).merge(call)``.
    """

    num_ctx: int = _option(
        0,
        "Tokens of context; 0 takes the model's own length, 4096 at most.",
        minimum=0,
        aliases=("context_length",),
        scope="load",
    )
    # Ollama takes 512; steps above 256 were no faster in our trials and need more memory.
    num_batch: int = _option(256, "Most prompt tokens computed in one step.", minimum=1, scope="load")
    num_thread: int = _option(
        0, "Threads of the backend; 0 lets it choose.", minimum=0, maximum=4096, aliases=("threads",), scope="load"
    )

    num_gpu: int = _option(
        -1,
        "Layers that a graphics processor computes, the last ones; -1 is as many as fit, 0 none.",
        minimum=-1,
        maximum=100_000,
        aliases=("gpu_layers",),
        scope="load",
    )

    # Not an option of Ollama, which keeps only the last pictures' encoding.
    num_images: int = _option(
        4, "Most pictures of a prompt, for a model that sees; each takes memory.", minimum=1, maximum=64, scope="load"
    )

    num_predict: int = _option(
        -1,
        "Most tokens to generate; -1 is no limit, -2 until the context is full, 0 only reads the prompt.",
        minimum=-2,
        aliases=("max_tokens",),
    )
    num_keep: int = _option(
        4, "Tokens at the start that stay when the context slides; -1 keeps the whole prompt.", minimum=-1
    )
    # Ollama's is about a model that drafts, and off by default.
    draft_num_predict: int = _option(
        -1,
        "Most tokens drafted from text that repeats and checked in one step; -1 is as many as pay, 0 is off.",
        minimum=-1,
    )
    stop: tuple[str, ...] = _option((), "Text that ends the answer and is not printed; may be repeated.")

    seed: int = _option(
        -1,
        "Start of the random numbers (NumPy PCG64): same seed, same text; -1 is a new one each time.",
        minimum=-1,
        maximum=_INT64_MAX,
    )
    temperature: float = _option(
        0.8, "Spread of the choice: higher is more varied, 0 always takes the likeliest token.", minimum=0
    )
    top_k: int = _option(40, "Choose among the k likeliest tokens; 0 or -1 is off.", minimum=-1)
    top_p: float = _option(
        0.9,
        "Choose among the likeliest tokens that together reach this probability; 1 is off.",
        above=0,
        maximum=1,
    )
    min_p: float = _option(
        0.0,
        "Drop tokens below this share of the likeliest token's probability; 0 is off.",
        minimum=0,
        maximum=1,
    )
    typical_p: float = _option(
        1.0,
        "Choose among tokens of typical surprise that reach this probability; 1 is off.",
        above=0,
        maximum=1,
    )
    repeat_last_n: int = _option(
        64,
        "How many of the last tokens the penalties look at; -1 is the whole context, 0 is off.",
        minimum=-1,
    )
    repeat_penalty: float = _option(1.0, "Divides the score of repeated tokens; 1 is off.", above=0)
    presence_penalty: float = _option(
        0.0, "Taken from the score of a token that has occurred; 0 is off.", minimum=-2, maximum=2
    )
    frequency_penalty: float = _option(
        0.0, "Taken from a token's score once per occurrence; 0 is off.", minimum=-2, maximum=2
    )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], scope: Scope | None = None) -> Options:
        """The defaults with ``values`` laid over them; raises OptionError as ``merge`` does."""
        return cls().merge(values, scope)

    def merge(self, values: Mapping[str, Any], scope: Scope | None = None) -> Options:
        """These options with ``values`` laid over them.

        Keys are option names or aliases. Values are Python numbers and strings, or text to be parsed (as
        from a Modelfile). None keeps what is there; a list of stops replaces the one below it. Raises
        OptionError for a name that does not exist or is not supported, a value of the wrong type or out of
        range, an option given twice, and, if ``scope`` is given, an option that belongs to the other scope.
        """
        return dataclasses.replace(self, **parse(values, scope))


def _table() -> Mapping[str, Option]:
    kinds: dict[type, Kind] = {int: "int", float: "float", tuple: "texts"}
    table = {}
    for field in dataclasses.fields(Options):
        default: Any = field.default
        table[field.name] = Option(field.name, kinds[type(default)], default, **field.metadata)
    return table


TABLE: Mapping[str, Option] = _table()
_ALIASES = {alias: option.name for option in TABLE.values() for alias in option.aliases}

_PLACEMENT = "weights are placed by the backend; choose one with --backend"
_MEMORY = "the backend decides how weights and cache are kept in memory"
UNSUPPORTED: Mapping[str, str] = {
    "mirostat": "use temperature, top_p or min_p",
    "mirostat_eta": "mirostat is not supported; use temperature, top_p or min_p",
    "mirostat_tau": "mirostat is not supported; use temperature, top_p or min_p",
    "tfs_z": "tail-free sampling was removed from Ollama too; use min_p",
    "penalize_newline": "newlines are penalised like any other token; use repeat_penalty",
    "main_gpu": _PLACEMENT,
    "low_vram": _PLACEMENT,
    "numa": _PLACEMENT,
    "f16_kv": _MEMORY,
    "use_mmap": _MEMORY,
    "use_mlock": _MEMORY,
    "vocab_only": "open the file with ollamax.load_tokenizer instead",
    "logits_all": "call model.logits of the library instead",
    "embedding_only": "embeddings are not supported",
    "num_gqa": "the model file says how its heads are grouped",
    "rope_frequency_base": "the model file says how positions are encoded",
    "rope_frequency_scale": "the model file says how positions are encoded",
}


def lookup(name: str) -> Option:
    """The option called ``name`` (or an alias of it); raises OptionError with the reason or the nearest
    name.
    """
    option = TABLE.get(_ALIASES.get(name, name))
    if option is not None:
        return option
    if name in UNSUPPORTED:
        raise OptionError(f"option {name} is not supported: {UNSUPPORTED[name]}")
    near = difflib.get_close_matches(name[:40], [*TABLE, *_ALIASES], n=1)
    hint = f"did you mean {near[0]}?" if near else f"options are {', '.join(TABLE)}"
    raise OptionError(f"unknown option {name[:40]!r}; {hint}")


def parse(values: Mapping[str, Any], scope: Scope | None = None) -> dict[str, Any]:
    """``values`` under the options' own names and types, without those that are None; raises OptionError."""
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        option = lookup(name)
        if value is None:
            continue
        if option.name in parsed:
            raise OptionError(f"option {option.name} is given twice, also as {name}; give it once")
        if scope is not None and option.scope != scope:
            raise OptionError(_wrong_scope(option))
        parsed[option.name] = option.parse(value)
    return parsed


def parameters(lines: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The values of a Modelfile's PARAMETER lines, for ``merge``: all of a list, the last of anything else.

    Raises OptionError for a name that does not exist or is not supported.
    """
    return {name: list(texts) if lookup(name).kind == "texts" else texts[-1] for name, texts in lines.items()}


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parsed options in two parts: those of loading a model and those of a generation; raises OptionError."""
    parsed = parse(values)

    def part(scope: Literal["load", "generate"]) -> dict[str, Any]:
        return {name: value for name, value in parsed.items() if TABLE[name].scope == scope}

    return part("load"), part("generate")


def _wrong_scope(option: Option) -> str:
    if option.scope == "load":
        return f"option {option.name} is fixed when the model is loaded; give it to ollamax.load"
    return f"option {option.name} belongs to a generation; give it to generate or chat"
