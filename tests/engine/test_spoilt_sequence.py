"""A sequence whose logits were no numbers leaves nothing that spoils the next, on any backend."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_llama import metadata, weights
from random_mllama import PICTURES

import ollamax
from ollamax.engine.model import Model
from ollamax.errors import SampleError
from ollamax.gguf import write_gguf
from ollamax.ml.dtype import quantize
from ollamax.types import DType, TensorInfo

POISON = 7
SOUND, LONG = [1, 2, 3], [1, 2, 3, 4, 5, 6, 8, 9]


@pytest.fixture(params=[np.nan, np.inf], ids=str)
def poisoned(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file whose token ``POISON`` has an embedding that is no number; its output has weights of its own."""
    values = weights(metadata({}), seed=0)
    values["output.weight"] = values["token_embd.weight"].copy()
    values["token_embd.weight"][POISON] = request.param
    infos = [TensorInfo(name, DType.F32, value.shape) for name, value in values.items()]
    path = tmp_path / "poisoned.gguf"
    write_gguf(path, metadata({}), infos, lambda name: quantize(values[name], DType.F32))
    return path


@pytest.fixture(params=["f32", "f16"])
def model(poisoned: Path, backend: str, request: pytest.FixtureRequest) -> Iterator[Model]:
    with ollamax.load(poisoned, backend=backend, cache_type=request.param, parallel=3, num_ctx=64) as opened:
        yield opened


def states(model: Model, slot: int) -> dict[str, Any]:
    return {name: model.backend.read_state(name, slot) for name in model.backend.states.names}


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_nothing_of_it_is_left(model: Model) -> None:
    runner = model.runner
    expected = runner.prefill(0, SOUND)
    runner.truncate(0)
    assert not np.isfinite(runner.prefill(0, [*LONG, POISON])).any()
    assert runner.truncate(0, len(SOUND)) == 0
    assert not any(value.any() for value in states(model, 0).values())
    np.testing.assert_array_equal(runner.prefill(0, SOUND), expected)
    assert runner.truncate(0, 2) == 2


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_others_in_the_same_step_are_as_alone(model: Model) -> None:
    runner = model.runner
    for slot in (0, 1, 2):
        runner.prefill(slot, SOUND)
    expected = runner.decode([1], [4])
    runner.truncate(1, len(SOUND))
    found = runner.decode([0, 1], [POISON, 4])
    assert not np.isfinite(found[0]).any()
    np.testing.assert_allclose(found[1:], expected, rtol=1e-4, atol=1e-4)
    assert runner.copy(0, 2, len(SOUND)) == 0
    assert runner.copy(1, 0, len(SOUND)) == len(SOUND)
    np.testing.assert_allclose(runner.decode([0], [4]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_an_answer_that_fails_is_followed_by_one_that_does_not(model: Model) -> None:
    expected = list(model.generate(LONG, max_tokens=8, temperature=0))
    with pytest.raises(SampleError, match="cannot choose a token"):
        list(model.generate([*LONG, POISON], max_tokens=8, temperature=0))
    found = list(model.generate(LONG, max_tokens=8, temperature=0))
    assert "".join(chunk.text for chunk in found) == "".join(chunk.text for chunk in expected)


@pytest.mark.reference
@pytest.mark.parametrize("spoilt", ["cache.", "encoder."])
def test_pictures_are_encoded_again_where_their_cells_are_no_numbers(
    mllama_checkpoint: Path, backend: str, spoilt: str
) -> None:
    """Others are still seen by the tokens that are computed again."""
    with ollamax.load(mllama_checkpoint, backend=backend, num_ctx=64) as model:
        assert model._pictures is not None
        runner, ids = model.runner, [5, 9, model._pictures.token, 11, 12]
        shown = model._pictures.find(ids, [PICTURES["wide"]])
        runner.show(0, shown)
        expected = runner.prefill(0, ids)
        for name, value in states(model, 0).items():
            if name.startswith(spoilt):
                model.backend.write_state(name, 0, np.full_like(value, np.nan))
        assert not np.isfinite(runner.prefill(0, [13])).any()
        assert runner.truncate(0, len(ids)) == 0
        if spoilt == "encoder.":
            runner.show(0, shown)
        assert runner.encoded == 1 + (spoilt == "encoder.")
        np.testing.assert_array_equal(runner.prefill(0, ids), expected)
