"""The sandbox in which Jinja chat templates run.

``jinja2``'s ImmutableSandboxedEnvironment keeps a template away from Python's internals, but lets it loop and double
strings without end. So a template is rewritten when it is compiled (``jinja_rewrite.py``) and whatever it makes is
charged to a ``Meter``; methods, filters and functions are those of ``jinja_offer.py``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2 import Template, Undefined
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.filters import do_indent, make_attrgetter
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ollamax.template.jinja_offer import METHODS, TEXT_FILTERS, VALUE_FILTERS, globals_table
from ollamax.template.jinja_rewrite import Generation, Metering
from ollamax.template.meter import Meter

# What compiled templates pass with every call inside a loop or block, for functions which want the context.
_INTERNAL_ARGUMENTS = ("_loop_vars", "_block_vars")
_MAX_INTEGER_BITS = 4096
_MAX_INDENT = 64
# A width or precision of four digits or more, or one taken from an argument, in str % and in str.format.
_WIDE = re.compile(r"%[^A-Za-z%]*([0-9]{4}|\*)|\{[^{}]*:[^{}]*([0-9]{4}|\{)")


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """An environment with the settings, filters and functions that chat templates are written for.

    They are those of ``transformers`` 5 (utils/chat_template_utils.py), less filters that no chat needs.
    ``meter`` is replaced for every rendering.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[Generation, loopcontrols],
            optimized=False,  # constants are folded when they are rendered, under the meter
        )
        self.meter = Meter()
        jinja2_filters = self.filters
        self.filters = {name: self._metered(jinja2_filters[name], is_text=False) for name in VALUE_FILTERS}
        self.filters |= {name: self._metered(jinja2_filters[name], is_text=True) for name in TEXT_FILTERS}
        self.filters |= {"indent": self._indent, "join": self._join, "list": self._list}
        self.filters |= {"replace": self._replace, "tojson": self._tojson}
        self._functions = globals_table()
        self.globals = dict(self._functions)

    def compile_chat(self, source: str) -> Template:
        """The template in ``source``, rewritten to be metered."""
        tree = Metering().visit(self.parse(source))
        tree.set_environment(self)
        return self.from_string(tree)

    def metered_turns(self, items: Any) -> Any:
        """The items of a loop."""
        return self.meter.turns(items)

    def metered_output(self, value: Any) -> Any:
        """A value that is about to be written."""
        self.meter.weigh(value)
        return value

    def metered_join(self, *parts: Any) -> str:
        """The operator ``~``."""
        return self._text(parts)

    def metered_copy(self, value: Any) -> Any:
        """A new list or a slice."""
        self.meter.charge(_cost(value))
        return value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator whose result may be large."""
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _MAX_INTEGER_BITS:
                raise SecurityError(f"integers of more than {_MAX_INTEGER_BITS} bits are not allowed")
        elif operator == "*":
            self.meter.charge(max(_cost(left) * _count(right), _cost(right) * _count(left)))
        elif operator == "%" and isinstance(left, str):
            _check_widths(left)
            self.meter.weigh((left, right))
        elif operator == "+":
            self.meter.charge(_cost(left) + _cost(right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A call of a macro, of one of our functions, or of a method that is offered."""
        self, target = __self, __obj  # the parameters' names must not meet those of the template's arguments
        self.meter.step()
        if isinstance(target, BuiltinMethodType | MethodType) and target.__self__ is not self:
            return self._call_method(target, args, kwargs)
        if isinstance(target, LoopContext):  # a recursive loop
            args = tuple(map(self.meter.turns, args))
        elif not isinstance(target, Macro | BlockReference | Undefined | _Format | MethodType) and not any(
            target is function for function in self._functions.values()
        ):
            raise SecurityError(f"a value of type {type(target).__name__} cannot be called")
        return super().call(__context, target, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``str.format`` as jinja2's sandbox gives it, with its widths and result bounded."""
        sandboxed = super().wrap_str_format(value)
        return None if sandboxed is None else _Format(self, value.__self__, sandboxed)

    def _call_method(self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        owner, name = method.__self__, method.__name__
        kwargs = {key: value for key, value in kwargs.items() if key not in _INTERNAL_ARGUMENTS}
        kind = next((kind for kind in METHODS if isinstance(owner, kind)), None)
        if kind is None or name not in METHODS[kind]:
            raise SecurityError(f"{type(owner).__name__}.{name} is not offered to chat templates")
        if kind is str and args and name in {"join", "replace"}:
            return (self._joined if name == "join" else self._replace)(owner, *args, **kwargs)
        result = method(*args, **kwargs)
        self.meter.charge(_cost(result))
        return result

    def _metered(self, function: Callable[..., Any], *, is_text: bool) -> Callable[..., Any]:
        # Filters marked by jinja2 take the environment, or a context, before the value.
        place = int(getattr(function, "jinja_pass_arg", None) is not None)

        @functools.wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Any:
            self.meter.step()
            if is_text and not isinstance(args[place], str):
                self.meter.weigh(args[place])
            result = function(*args, **kwargs)
            self.meter.charge(_cost(result))
            return result

        return metered

    def _text(self, parts: Iterable[Any], separator: str = "") -> str:
        texts = []
        for part in self.meter.turns(parts):
            self.meter.weigh(part)
            self.meter.charge(len(separator))
            texts.append(str(part))
        return separator.join(texts)

    def _joined(self, separator: str, parts: Iterable[Any]) -> str:
        """``str.join``: unlike the filter it takes strings only."""
        texts = list(self.meter.turns(parts))
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("join: strings were expected")
        return self._text(texts, separator)

    def _join(self, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
        items = value if attribute is None else map(make_attrgetter(self, attribute), value)
        return self._text(items, self._text([d]))

    def _list(self, value: Iterable[Any]) -> list[Any]:
        return list(self.metered_copy(list(self.meter.turns(value))))

    def _replace(self, value: Any, old: Any, new: Any, count: int | None = None) -> str:
        text, old, new = self._text([value]), self._text([old]), self._text([new])
        found = text.count(old) if old else len(text) + 1
        self.meter.charge(found * len(new))
        return text.replace(old, new, -1 if count is None else count)

    def _indent(self, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
        text = self._text([value])
        size = len(width) if isinstance(width, str) else width
        if size > _MAX_INDENT:
            raise SecurityError(f"an indent of more than {_MAX_INDENT} is not allowed")
        self.meter.charge((text.count("\n") + 1) * size)
        return str(do_indent(text, width, first, blank))

    def _tojson(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """JSON as transformers writes it: without HTML escapes, unlike jinja2's own filter."""
        spacing = (indent if isinstance(indent, str) else " " * min(indent or 0, _MAX_INDENT), *(separators or ()))
        if any(len(text) > _MAX_INDENT for text in spacing):
            raise SecurityError(f"tojson: indents and separators of more than {_MAX_INDENT} are not allowed")
        self.meter.weigh(value)
        text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        self.meter.charge(len(text))
        return text


class _Format:
    """A string's ``format``, metered."""

    def __init__(self, environment: ChatEnvironment, form: str, sandboxed: Callable[..., str]) -> None:
        self.environment, self.form, self.sandboxed = environment, form, sandboxed

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        _check_widths(self.form)
        self.environment.meter.weigh((args, kwargs))
        text = self.sandboxed(*args, **kwargs)
        self.environment.meter.charge(len(text))
        return text


def _check_widths(form: str) -> None:
    if _WIDE.search(form):
        raise SecurityError("widths from 1000 in formats are not allowed")


def _cost(value: Any) -> int:
    """How many characters a new value counts for: its own, or some for each element of a container."""
    if isinstance(value, str | bytes):
        return len(value)
    return 16 * len(value) if isinstance(value, list | tuple | dict) else 0


def _count(value: Any) -> int:
    return max(value, 0) if isinstance(value, int) else 0
