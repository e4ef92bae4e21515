"""What is wrong with the PARAMETER lines of a Modelfile, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollamax.engine.options import lookup, parse
from ollamax.errors import OptionError
from ollamax.modelfile import Modelfile


def line_errors(modelfile: Modelfile) -> Iterator[OptionError]:
    """An error for each option whose name or value is no good, with the line if the Modelfile was read from text.

    All values of a list are looked at, and the last, which is the one that counts, of anything else.
    """
    accepted: dict[str, Any] = {}
    for name, values in modelfile.parameters.items():
        number = 0
        try:
            last = len(values) - 1
            for number in range(last + 1) if lookup(name).kind == "texts" else [last]:
                parse({**accepted, name: values[number]})
        except OptionError as error:
            place = modelfile.places.get(name)
            yield OptionError(f"{place[number]}: {error}") if place else error
        else:
            accepted[name] = values[last]
