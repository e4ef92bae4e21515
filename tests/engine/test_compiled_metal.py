"""Steps that MLX compiled: the same logits and the same text as on the cpu backend."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_llama import write_random_llama
from random_mllama import PICTURES

import ollamax
from ollamax.engine.model import Model

IDS = [5, 17, 200, 33, 91, 64, 12, 250, 8, 77, 131, 140, 3, 99, 21, 45, 7]
OTHER = [9, 80, 4, 33, 150, 201, 66, 31, 118, 2, 54, 10, 97]
SAME = {"rtol": 5e-4, "atol": 5e-4}

Both = Callable[..., tuple[Model, Model]]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """``both(path, **options)`` opens a model on metal, all of whose steps are compiled, and on cpu."""
    monkeypatch.setenv("OLLAMAX_METAL_COMPILE", "1")
    monkeypatch.setattr("ollamax_backend_metal.forms.WALKS", 0)
    opened: list[Model] = []

    def make(path: Path, **options: Any) -> tuple[Model, Model]:
        metal, cpu = (ollamax.load(path, backend=name, **options) for name in ("metal", "cpu"))
        opened.extend([metal, cpu])
        return metal, cpu

    yield make
    for model in opened:
        model.close()


def test_a_story_is_the_same(both: Both, demo: Path) -> None:
    told = [
        [chunk.token for chunk in model.generate("Once upon a time", max_tokens=200, temperature=0)]
        for model in both(demo)
    ]
    assert len(told[0]) == 200
    assert told[0] == told[1]


def test_sequences_side_by_side_equal_each_alone(both: Both, tmp_path: Path) -> None:
    metal, cpu = both(write_random_llama(tmp_path / "model.gguf"), parallel=3)
    runner = metal.runner
    runner.prefill(2, IDS[:9])
    runner.prefill(0, OTHER[:3])
    found = [runner.decode([2, 0], [IDS[9 + step], OTHER[3 + step]]) for step in range(8)]
    for at, (ids, start) in enumerate(((IDS, 9), (OTHER, 3))):
        expected = cpu.logits(ids)[start : start + 8]
        np.testing.assert_allclose(np.stack([step[at] for step in found]), expected, **SAME)


def test_a_context_that_slides_gives_the_same_text(both: Both, tmp_path: Path) -> None:
    told = []
    for model in both(write_random_llama(tmp_path / "model.gguf"), num_ctx=32):
        told.append([chunk.token for chunk in model.generate("ab" * 8, max_tokens=60, temperature=0)])
    assert len(told[0]) == 60
    assert told[0] == told[1]


@pytest.mark.reference
def test_pictures_are_seen_alike(both: Both, mllama_checkpoint: Path) -> None:
    metal, cpu = both(mllama_checkpoint, num_images=2)
    assert metal._pictures is not None
    ids = [metal._pictures.token, *IDS, metal._pictures.token, 9]
    images = [PICTURES[name] for name in ("wide", "small")]
    # Tokens that the model only reads have no logit.
    found, expected = (model.logits(ids, images)[:, :280] for model in (metal, cpu))
    np.testing.assert_allclose(found, expected, **SAME)
