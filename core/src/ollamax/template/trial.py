"""Whether a template renders anything at all."""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.errors import TemplateError
from ollamax.template.base import Template
from ollamax.types import Message

_SYSTEM, _USER, _ANSWER = Message("system", "a"), Message("user", "b"), Message("assistant", "c")
_SHOWN = Message("user", "d", (b"",))
# Some templates insist on a system message, on a chat that goes on, or on a picture.
_CHATS = (
    (_USER,),
    (_SYSTEM, _USER),
    (_USER, _ANSWER, _USER),
    (_SYSTEM, _USER, _ANSWER, _USER),
    (_SHOWN,),
    (_SYSTEM, _SHOWN),
)


def try_template(template: Template, *, system: str | None = None, before: Sequence[Message] = ()) -> None:
    """Raise TemplateError unless ``template`` renders at least one of a few small chats.

    ``system`` is the default system message and ``before`` are the messages that every chat begins with.
    """
    errors: list[TemplateError] = []
    for chat in _CHATS:
        try:
            template.render([*before, *chat], system=system)
        except TemplateError as error:
            errors.append(error)
        else:
            return
    raise TemplateError(
        f"the template renders no chat, be it of one message or of several: {errors[0]}; "
        "write a TEMPLATE in a Modelfile"
    ) from errors[0]
