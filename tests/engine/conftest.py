"""Random models on every backend."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.engine.model import Model

Load = Callable[..., Model]


@pytest.fixture
def load(tmp_path: Path, backend: str) -> Iterator[Load]:
    """``load(**options)`` opens the same random llama; ``file={...}`` another one, or a qwen2 with ``windows``."""
    opened: list[Model] = []

    def make(file: dict[str, Any] | None = None, **options: Any) -> Model:
        write = write_random_qwen2 if file and "windows" in file else write_random_llama
        path = write(tmp_path / f"model-{len(opened)}.gguf", **(file or {}))
        opened.append(ollamax.load(path, backend=backend, **options))
        return opened[-1]

    yield make
    for model in opened:
        model.close()
