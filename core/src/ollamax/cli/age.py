"""How long ago something was, as Ollama prints it."""

from __future__ import annotations

import datetime

_UNITS = (
    # below so many hours, hours in the unit, its name
    (24 * 7 * 2, 24, "days"),
    (24 * 30 * 2, 24 * 7, "weeks"),
    (24 * 365 * 2, 24 * 30, "months"),
)


def format_age(then: datetime.datetime, now: datetime.datetime) -> str:
    """The time from ``then`` to ``now`` in the largest unit that fits: "3 hours ago", "About a minute ago"."""
    seconds = (now - then).total_seconds()
    return f"{_amount(abs(seconds))} {'ago' if seconds >= 0 else 'from now'}"


def _amount(seconds: float) -> str:
    if seconds < 60:
        return _few(int(seconds), "second", "Less than a second")
    if seconds < 3600:
        return _few(int(seconds / 60), "minute", "")
    hours = round(seconds / 3600)
    if hours < 48:
        return _few(hours, "hour", "")
    for limit, size, name in _UNITS:
        if hours < limit:
            return f"{hours // size} {name}"
    return f"{int(seconds / 3600) // (24 * 365)} years"


def _few(count: int, unit: str, none: str) -> str:
    if count == 0:
        return none
    if count == 1:
        return {"second": "1 second", "minute": "About a minute", "hour": "About an hour"}[unit]
    return f"{count} {unit}s"
