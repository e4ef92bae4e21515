"""What the suites of an architecture share: its checkpoint, the GGUF file that it becomes, and models of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ollamax.engine.load import load
from ollamax.engine.model import Model
from ollamax.engine.source import open_source
from ollamax.gguf import write_gguf
from ollamax.plugins import get_registry
from ollamax.testing.framework import pytest

if TYPE_CHECKING:
    import numpy.typing as npt

Load = Callable[..., Model]

TOKENS = [5, 17, 200, 33, 91, 64, 12, 250, 8, 77, 131, 140, 3, 99, 21, 45, 260, 7, 17, 33]
"""A prompt of the small vocabulary of random checkpoints."""
SAME = 1e-4
"""How far apart float32 sums in another order may be, absolutely and relatively."""


def assert_same(found: npt.ArrayLike, expected: npt.ArrayLike) -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=SAME, atol=SAME)


class Checkpoint(Protocol):
    """What is converted, such as a RandomCheckpoint."""

    def save(self, directory: Path) -> Path:
        """Write the new ``directory``, the same at every call; returns it."""


class CheckpointFixtures:
    """``checkpoint`` is a small one of the architecture, whose vocabulary has at least 280 tokens."""

    checkpoint: ClassVar[Checkpoint]
    backend: ClassVar[str] = "cpu"
    """What the models run on, but where backends are compared."""

    @pytest.fixture(scope="class")
    @classmethod
    def directory(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The checkpoint."""
        return cls.checkpoint.save(tmp_path_factory.mktemp("checkpoint") / "model")

    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, directory: Path) -> Path:
        """The GGUF file that it becomes."""
        path = directory.with_suffix(".gguf")
        with closing(open_source(directory, get_registry())) as source:
            write_gguf(path, source.metadata, source.tensors.values(), source.tensor_bytes)
        return path

    @pytest.fixture
    def load(self, file: Path) -> Iterator[Load]:
        """``load(**options)`` opens the model; all are closed at the end."""
        opened: list[Model] = []

        def make(**options: Any) -> Model:
            opened.append(load(file, **{"backend": self.backend, **options}))
            return opened[-1]

        yield make
        for model in opened:
            model.close()
