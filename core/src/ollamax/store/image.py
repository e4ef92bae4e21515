"""The config blob of a model: what a list shows without opening the GGUF file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ollamax.store.manifest import Layer


def image_config(family: str, parameters: int, file_type: str, layers: Sequence[Layer]) -> bytes:
    """The JSON of the config blob, with Ollama's keys.

    ``family`` is the architecture, ``parameters`` the number of weights, ``file_type`` the quantisation, such as
    "Q8_0". Architecture, os and rootfs are what the format of container images demands; Ollama writes the same.
    """
    document = {
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family],
        "model_type": short_count(parameters),
        "file_type": file_type,
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def short_count(count: int) -> str:
    """A number of parameters as Ollama shows it: 1.2B, 3.25M, 70K, 12."""
    for unit, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            return f"{count // unit}{letter}" if count % unit == 0 else f"{count / unit:.{digits}f}{letter}"
    return str(count)
