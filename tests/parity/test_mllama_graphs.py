"""Mllama's traced graphs on the cpu backend against transformers: from pictures and token ids to logits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_mllama import PICTURES, png, reference_logits, write_random_mllama

from ollamax.arch.binding import bind
from ollamax.arch.trace import trace
from ollamax.backend import Weight
from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.conversion import Conversion
from ollamax.gguf import Metadata
from ollamax.json_file import read_optional
from ollamax.kvcache import CacheSize
from ollamax.kvcache.cells import Cells
from ollamax.kvcache.pictures import FOREVER, PictureBook, View
from ollamax_backend_cpu.backend import CPU
from ollamax_mllama.convert import MllamaConverter
from ollamax_mllama.model import Mllama

pytestmark = pytest.mark.reference

VOCAB, IMAGE = 300, 300
TOKENS = [*(f"<{token}>" for token in range(VOCAB)), "<|image|>", *(f"<row {row}>" for row in range(7))]


class Harness:
    """Steps of one sequence, as the engine makes them, without the engine."""

    def __init__(self, directory: Path) -> None:
        checkpoint = Checkpoint(directory)
        beside = {name: read_optional(directory / name) for name in MllamaConverter.files}
        source = Conversion(
            checkpoint, MllamaConverter({**checkpoint.config, **beside}), {"tokenizer.ggml.tokens": TOKENS}
        )
        self.model = Mllama(Metadata(source.metadata, directory))
        bind(self.model, source.tensors, str(directory))
        traced = trace(self.model, len(TOKENS), CacheSize(1, 128, step=128), str(directory), pictures=3)
        assert traced.vision is not None
        self.backend = CPU()
        self.backend.load({n: Weight(n, i.dtype, i.shape, source.tensor_bytes(n)) for n, i in source.tensors.items()})
        self.text = self.backend.compile(traced.step)
        self.encode, self.mixed = self.backend.compile(traced.vision.encode), self.backend.compile(traced.vision.step)
        self.cells, self.book = Cells(1, 128), PictureBook(1, self.model.picture_cells)

    def reset(self) -> None:
        """Forget tokens and pictures."""
        self.cells.remove(0)
        self.book.show(0, [])

    def show(self, ids: Sequence[int], pictures: Sequence[bytes]) -> None:
        """Encode pictures, which stand in ``ids``."""
        views = []
        places = [place for place, token in enumerate(ids) if token == IMAGE]
        for number, (data, (begin, end)) in enumerate(zip(pictures, self.model.spans(places), strict=True)):
            picture = self.model.prepare(data)
            rows = number * self.model.picture_cells + np.arange(self.model.picture_cells)
            self.encode.run({**picture.inputs, "encoder_slot": np.array([0]), "encoder_rows": rows[None]}, {})
            views.append(View(begin, FOREVER if end is None else end, picture.visible))
        self.book.show(0, views)

    def step(self, ids: Sequence[int]) -> np.ndarray:
        """Logits of all of the next tokens."""
        tokens = np.asarray(ids)[None]
        positions = self.cells.next_position(0) + np.arange(len(ids))[None]
        inputs: dict[str, Any] = {
            "tokens": tokens,
            "positions": positions,
            "outputs": np.arange(len(ids))[None],
            "slots": np.array([0]),
            "rows": self.cells.place(0, positions[0])[None],
        }
        extent = self.cells.extent(np.array([0]))
        inputs["key_positions"] = self.cells.positions[:, :extent]
        dims = {"N": 1, "T": len(ids), "R": len(ids), "S": extent}
        if self.book.count(0):
            dims["E"] = self.book.extent([0])
            inputs |= self.book.inputs([0], positions, dims["E"])
            return self.mixed.run(inputs, dims)["logits"][0]
        return self.text.run(inputs, dims)["logits"][0]


def prompt(places: Sequence[int], length: int = 24) -> list[int]:
    ids = np.random.default_rng(1).integers(3, VOCAB, length)
    ids[list(places)] = IMAGE
    return ids.tolist()


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    assert np.isneginf(actual[:, VOCAB:]).all()
    assert np.abs(actual[:, :VOCAB] - expected).max() <= 5e-4 * np.abs(expected).max()
    assert np.isfinite(actual[:, :VOCAB]).all()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_mllama(tmp_path_factory.mktemp("mllama"), VOCAB)


@pytest.fixture(scope="module")
def compiled(directory: Path) -> Harness:
    return Harness(directory)


@pytest.fixture
def harness(compiled: Harness) -> Harness:
    compiled.reset()
    return compiled


@pytest.mark.parametrize("kind", PICTURES)
def test_one_picture(kind: str, directory: Path, harness: Harness) -> None:
    ids = prompt([5])
    harness.show(ids, [PICTURES[kind]])
    assert_close(harness.step(ids), reference_logits(directory, ids, [PICTURES[kind]], IMAGE))


@pytest.mark.parametrize("places", [[0], [23], [3, 4], [2, 9], [2, 9, 10], [0, 1, 2], [5, 6, 20], [21, 22, 23]])
def test_places_and_several_pictures(places: list[int], directory: Path, harness: Harness) -> None:
    pictures = [PICTURES["wide"], PICTURES["small"], png(70, 60, 3)][: len(places)]
    ids = prompt(places)
    harness.show(ids, pictures)
    assert_close(harness.step(ids), reference_logits(directory, ids, pictures, IMAGE))


def test_no_picture(directory: Path, harness: Harness) -> None:
    ids = prompt([])
    assert_close(harness.step(ids), reference_logits(directory, ids, [], IMAGE))


@pytest.mark.parametrize("places", [[], [4], [2, 11]])
def test_token_by_token_after_the_prompt(places: list[int], directory: Path, harness: Harness) -> None:
    pictures = [PICTURES["tall"], PICTURES["exactly-tiled"]][: len(places)]
    ids = prompt(places)
    harness.show(ids, pictures)
    parts = [harness.step(ids[:8]), harness.step(ids[8:14]), *(harness.step([token]) for token in ids[14:])]
    assert_close(np.concatenate(parts), reference_logits(directory, ids, pictures, IMAGE))


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
RATIOS_OF_THREE = [[1, 1], [1, 2], [1, 3], [2, 1], [3, 1]]
VARIANTS: dict[str, dict[str, Any]] = {
    "llama3-rope": {"text": {"rope_parameters": LLAMA3_ROPE}},
    "linear-rope": {"text": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}},
    "one-key-head": {"text": {"num_key_value_heads": 1}},
    "cross-attention-first-and-last": {"text": {"cross_attention_layers": [0, 3, 4]}},
    "other-epsilons": {"text": {"rms_norm_eps": 1e-2}, "vision": {"norm_eps": 1e-2}},
    "intermediate-layers-in-another-order": {
        "vision": {"intermediate_layers_indices": [3, 0, 1], "vision_output_dim": 128}
    },
    "three-tiles": {"vision": {"max_num_tiles": 3, "supported_aspect_ratios": RATIOS_OF_THREE}},
    "patches-that-leave-a-rest": {"vision": {"image_size": 32, "patch_size": 7}},
    "nine-patches": {"vision": {"image_size": 27, "patch_size": 9}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, tmp_path: Path) -> None:
    directory, ids = write_random_mllama(tmp_path, VOCAB, **VARIANTS[name]), prompt([3, 12])
    pictures, harness = [PICTURES["wide"], PICTURES["tall"]], Harness(directory)
    harness.show(ids, pictures)
    assert_close(harness.step(ids), reference_logits(directory, ids, pictures, IMAGE))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_checkpoint_types(dtype: str, tmp_path: Path) -> None:
    directory, ids = write_random_mllama(tmp_path, VOCAB, dtype=dtype), prompt([3])
    harness = Harness(directory)
    harness.show(ids, [PICTURES["wide"]])
    assert_close(harness.step(ids), reference_logits(directory, ids, [PICTURES["wide"]], IMAGE))
