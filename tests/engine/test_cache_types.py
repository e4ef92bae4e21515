"""Caches of float16 and Q8_0: smaller, and close to float32."""

from collections.abc import Callable

import numpy as np
import pytest

from ollamax.engine.model import Model
from ollamax.errors import BackendError, OptionError

Load = Callable[..., Model]

TEXT = list(b"the quick brown fox jumps over the lazy dog")
WIDE = {"llama__embedding_length": 128, "llama__rope__dimension_count": 32}


def share(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# What rounding allows: half a unit in the last place of float16 is 2^-11 of a value, a step of Q8_0 1/127 of the
# largest of 32 values; both go through two layers of softmax and sums.
@pytest.mark.parametrize(("kind", "least", "most"), [("f32", 0, 0), ("f16", 1e-6, 2e-3), ("q8_0", 1e-4, 4e-2)])
def test_logits_are_close_but_rounded(load: Load, backend: str, kind: str, least: float, most: float) -> None:
    if (backend, kind) == ("ggml", "f16"):
        most *= 2  # it adds float16 values up in float16
    expected = load(WIDE).logits(TEXT)
    found = share(load(WIDE, cache_type=kind).logits(TEXT), expected)
    assert least <= found <= most


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_decode_copies_and_slides_work_on_what_is_kept(load: Load, kind: str) -> None:
    file = {**WIDE, "llama__block_count": 1}
    runner = load(file, cache_type=kind, parallel=2).runner
    fresh = load(file).logits([*TEXT[:4], *TEXT[15:]])
    runner.prefill(0, TEXT[:40])
    runner.copy(0, 1, 40)
    for slot in (0, 1):
        runner.slide(slot, keep=4, discard=11)
    moved = [runner.decode([0, 1], [token, token]) for token in TEXT[40:]]
    for step, logits in enumerate(moved):
        np.testing.assert_array_equal(logits[0], logits[1])
        assert share(logits[0], fresh[29 + step]) < 5e-2


def test_memory_is_what_the_type_promises(load: Load) -> None:
    sizes = {}
    for kind in ("f32", "f16", "q8_0"):
        state = load(WIDE, cache_type=kind).backend.states.find("cache.0.key")  # type: ignore[attr-defined]
        sizes[kind] = sum(kept.nbytes for kept in state._kept)
    assert sizes["f16"] * 2 == sizes["f32"]
    assert sizes["q8_0"] * 32 * 4 == sizes["f32"] * 34


def test_the_environment_chooses_the_default(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAX_KV_CACHE_TYPE", "f16")
    assert load().backend.options.cache_type.name == "F16"
    assert load(cache_type="f32").backend.options.cache_type.name == "F32"


def test_types_are_honoured_or_rejected_by_name(load: Load) -> None:
    with pytest.raises(OptionError, match="cache type 'q9' is no type; choose f32, f16 or q8_0"):
        load(cache_type="q9")
    with pytest.raises(BackendError, match="keeps no q4_0 cache; choose f32, f16, q8_0"):
        load(cache_type="q4_0")
    with pytest.raises(BackendError, match="multiple of 32, not 8; use f16"):
        load(cache_type="q8_0")
