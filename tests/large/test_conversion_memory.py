"""Converting 2 GB takes no more memory than twice the largest tensor and 200 MB."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from large_checkpoint import LARGEST, write_large_checkpoint
from peak_memory import peak_of_create

from ollamax.convert.file_type import file_type_name
from ollamax.gguf import open_gguf

pytestmark = pytest.mark.large

SIZE = 2e9
LIMIT = 2 * LARGEST + 200 * 10**6


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that goes at once: pytest keeps its own for three runs."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def checkpoint() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        assert write_large_checkpoint(Path(name) / "large", SIZE) > SIZE * 0.95
        yield Path(name) / "large"


def check(peak: int, made: Path, target: str, per_weight: float) -> None:
    with open_gguf(made) as file:
        assert file_type_name(file.metadata["general.file_type"]) == target
        assert made.stat().st_size > 0.95 * per_weight * SIZE / 2
    assert peak <= LIMIT, f"{peak / 1e6:.0f} MB"


@pytest.mark.parametrize(("target", "per_weight"), [(None, 2), ("F32", 4), ("Q4_0", 0.5625)])
def test_safetensors(target: str | None, per_weight: float, checkpoint: Path, folder: Path) -> None:
    check(*peak_of_create(checkpoint, target, folder / "made"), target or "BF16", per_weight)


def test_pytorch_weights_and_then_the_gguf_file(folder: Path) -> None:
    write_large_checkpoint(folder / "large", SIZE, pickled=True)
    peak, made = peak_of_create(folder / "large", "Q8_0", folder / "made")
    check(peak, made, "Q8_0", 1.0625)
    check(*peak_of_create(made, "Q4_0", folder / "again"), "Q4_0", 0.5625)
