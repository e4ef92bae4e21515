"""Times as Go and Ollama print them."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """``seconds`` to three decimals of the unit that fits: 812.5µs, 35.1ms, 1.203s, 2m3.5s, 1h0m5s."""
    if seconds < 1e-3:
        return f"{_short(seconds * 1e6)}µs"
    if seconds < 1:
        return f"{_short(seconds * 1e3)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    prefix = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{prefix}{_short(rest)}s"


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
