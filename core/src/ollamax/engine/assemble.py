"""Putting a model together: its architecture bound to a file, and the weights in a backend."""

from __future__ import annotations

from pathlib import Path

from ollamax.arch import Architecture
from ollamax.arch.binding import bind
from ollamax.backend import Backend, Weight
from ollamax.backend.base import Progress
from ollamax.gguf import Metadata
from ollamax.plugins import Registry
from ollamax.types import TensorSource


def bound_model(path: Path, source: TensorSource, registry: Registry) -> tuple[Metadata, Architecture]:
    """The model that ``source``, opened from ``path``, asks for; raises ArchitectureError, BindingError, GGUFError."""
    metadata = Metadata(source.metadata, path)
    model = registry.architecture(metadata.string("general.architecture"))(metadata)
    bind(model, source.tensors, str(path))
    return metadata, model


def load_weights(engine: Backend, path: Path, source: TensorSource, progress: Progress | None = None) -> None:
    """Give ``engine`` all tensors of ``source``, which stays open while the backend is loaded."""
    weights = {
        name: Weight(name, info.dtype, info.shape, source.tensor_bytes(name), mapped=path.suffix == ".gguf")
        for name, info in source.tensors.items()
    }
    engine.load(weights, progress)
