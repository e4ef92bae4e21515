"""A random llama on the cpu backend."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_llama import write_random_llama

import ollamax
from ollamax.engine.model import Model

Load = Callable[..., Model]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """``load(**options)`` opens the same random model; ``load(file={...})`` another one."""
    opened: list[Model] = []

    def make(file: dict[str, Any] | None = None, **options: Any) -> Model:
        path = write_random_llama(tmp_path / f"model-{len(opened)}.gguf", **(file or {}))
        opened.append(ollamax.load(path, backend="cpu", **options))
        return opened[-1]

    yield make
    for model in opened:
        model.close()
