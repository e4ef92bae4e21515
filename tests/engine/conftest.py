"""Random models on every backend."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.engine.model import Model
from ollamax.gguf import open_gguf, write_gguf
from ollamax.ml.dtype import dequantize, quantize
from ollamax.types import DType, TensorInfo
from ollamax_demo.plugin import ollamax_models

Load = Callable[..., Model]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with all of its weights in float32."""
    (bundled,) = ollamax_models()
    path = tmp_path_factory.mktemp("demo") / "demo-f32.gguf"
    with open_gguf(bundled.path) as file:
        infos = [TensorInfo(info.name, DType.F32, info.shape) for info in file.tensors.values()]

        def values(name: str) -> Any:
            info = file.tensors[name]
            return quantize(dequantize(file.tensor_bytes(name), info.dtype, info.shape), DType.F32)

        write_gguf(path, file.metadata, infos, values)
    return path


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
