"""Settings that come from the environment, each read when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from ollamax.errors import StoreError

_FALSE = {"", "0", "false", "no", "off"}


def flag(name: str) -> bool:
    """Whether the environment variable ``name`` is set to something other than 0, false, no or off."""
    return os.environ.get(name, "").strip().lower() not in _FALSE


def debug() -> bool:
    """``OLLAMAX_DEBUG``: show tracebacks."""
    return flag("OLLAMAX_DEBUG")


def home_dir() -> Path | None:
    """``~/.ollamax``, where models and history lie; None for a user without a home directory, as in some containers."""
    try:
        return Path.home() / ".ollamax"
    except RuntimeError:
        return None


def models_dir() -> Path:
    """``OLLAMAX_MODELS``: the root of the model store; ``~/.ollamax/models`` by default.

    Raises StoreError for a user without a home directory who does not set it.
    """
    chosen = os.environ.get("OLLAMAX_MODELS")
    if chosen:
        return Path(os.path.expanduser(chosen))  # noqa: PTH111 - pathlib's raises for a user that does not exist
    home = home_dir()
    if home is None:
        raise StoreError("there is no home directory to keep models in; set OLLAMAX_MODELS to a directory")
    return home / "models"


def cache_type() -> str:
    """``OLLAMAX_KV_CACHE_TYPE``: how keys and values are stored: f32 (the default), f16 or q8_0."""
    return os.environ.get("OLLAMAX_KV_CACHE_TYPE") or "f32"


def device() -> str | None:
    """``OLLAMAX_DEVICE``: the device that computes, which ``auto`` goes by too; by default the backend chooses."""
    return os.environ.get("OLLAMAX_DEVICE") or None


def keep_compiled() -> bool:
    """``OLLAMAX_KEEP_COMPILED``: onnx keeps what it makes of the weights of a model in the store, for the next time."""
    return flag("OLLAMAX_KEEP_COMPILED")


def strict_plugins() -> bool:
    """``OLLAMAX_STRICT_PLUGINS``: a broken plugin is fatal."""
    return flag("OLLAMAX_STRICT_PLUGINS")


def selected_plugins() -> frozenset[str] | None:
    """``OLLAMAX_PLUGINS``: the comma-separated entry points or distributions to load; by default (None) all."""
    chosen = os.environ.get("OLLAMAX_PLUGINS")
    if chosen is None:
        return None
    return frozenset(part.strip() for part in chosen.split(",") if part.strip())
