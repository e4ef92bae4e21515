"""Metadata by key and type."""

from __future__ import annotations

import numpy as np
import pytest

from ollamax.errors import GGUFError
from ollamax.gguf import Metadata

VALUES = {
    "name": "llama",
    "count": 3,
    "typed": np.uint32(7),
    "scale": 0.5,
    "typed scale": np.float32(0.25),
    "on": True,
    "typed on": np.bool(False),
    "tokens": ["a", "b"],
    "mixed": ["a", 1],
    "ids": np.array([1, 2, 3], np.int32),
    "list": [4, 5],
    "scores": np.array([0.5, 1.5], np.float64),
    "flags": np.array([True]),
    "flag list": [False, True],
    "flags and numbers": [True, 1],
    "huge ids": np.array([1 << 63], np.uint64),
    "huge": 10**400,
    "nan": float("nan"),
    "infinite": float("-inf"),
    "nans": np.array([np.nan], np.float32),
    "too large": np.array([1e300]),
    "nested": [[1]],
    "empty": [],
}


@pytest.fixture
def metadata() -> Metadata:
    return Metadata(VALUES, "some/model.gguf")


def test_values_of_the_right_type(metadata):
    assert metadata.string("name") == "llama"
    assert metadata.integer("count") == 3
    assert type(metadata.integer("typed")) is int
    assert metadata.number("scale") == 0.5
    assert type(metadata.number("count")) is float
    assert type(metadata.number("typed scale")) is float
    assert metadata.flag("on") is True
    assert metadata.flag("typed on") is False
    assert metadata.strings("tokens") == ["a", "b"]
    assert metadata.strings("empty") == []
    assert metadata.integers("ids").tolist() == [1, 2, 3]
    assert metadata.integers("ids").dtype == np.int64
    assert metadata.integers("list", length=2).tolist() == [4, 5]
    assert metadata.integers("empty").size == 0
    assert metadata.flags("flags", length=1) == [True]
    assert metadata.flags("flag list") == [False, True]
    assert type(metadata.flags("flags")[0]) is bool
    assert metadata.flags("empty") == []
    assert metadata.numbers("scores").tolist() == [0.5, 1.5]
    assert metadata.numbers("ids").dtype == np.float32
    assert "name" in metadata
    assert "other" not in metadata


@pytest.mark.parametrize("method", ["string", "integer", "number", "flag", "strings", "flags", "integers", "numbers"])
def test_absent_keys(metadata, method):
    assert getattr(metadata, method)("absent", None) is None
    with pytest.raises(GGUFError, match=r"some/model\.gguf, key 'absent': the key is missing"):
        getattr(metadata, method)("absent")


def test_a_default_never_hides_a_wrong_type(metadata):
    with pytest.raises(GGUFError, match="an integer was expected"):
        metadata.integer("name", 4)


@pytest.mark.parametrize(
    ("method", "key", "problem"),
    [
        ("string", "count", r"a string was expected, not '3' \(int\)"),
        ("integer", "scale", r"an integer was expected, not '0.5' \(float\)"),
        ("integer", "on", "an integer was expected"),
        ("integer", "typed on", "an integer was expected"),
        ("integer", "ids", "an integer was expected, not an array of int32"),
        ("number", "on", "a number was expected"),
        ("number", "name", "a number was expected"),
        ("number", "nan", "a finite number"),
        ("number", "infinite", "a finite number"),
        ("number", "huge", "a finite number"),
        ("flag", "count", "a bool was expected"),
        ("strings", "name", "an array of strings was expected"),
        ("strings", "mixed", "an array of strings was expected"),
        ("strings", "ids", "an array of strings was expected"),
        ("flags", "on", "an array of bools was expected"),
        ("flags", "ids", "an array of bools was expected, not an array of int32"),
        ("flags", "flags and numbers", "an array of bools was expected"),
        ("integers", "flag list", "an array of integers was expected"),
        ("integers", "count", "an array of integers was expected"),
        ("integers", "scores", "an array of integers was expected, not an array of float64"),
        ("integers", "flags", "an array of integers was expected"),
        ("integers", "huge ids", "an array of integers was expected"),
        ("integers", "tokens", "an array of integers was expected, not an array of str"),
        ("integers", "nested", "an array of integers was expected, not an array of list"),
        ("numbers", "flags", "an array of numbers was expected"),
        ("numbers", "nans", "finite float32"),
        ("numbers", "too large", "finite float32"),
    ],
)
def test_wrong_types(metadata, method, key, problem):
    with pytest.raises(GGUFError, match=problem) as caught:
        getattr(metadata, method)(key)
    assert caught.value.where == f"key {key!r}"


def test_ranges(metadata):
    assert metadata.integer("count", minimum=3, maximum=3) == 3
    with pytest.raises(GGUFError, match="3 is too small; at least 4"):
        metadata.integer("count", minimum=4)
    with pytest.raises(GGUFError, match="3 is too large; at most 2"):
        metadata.integer("count", maximum=2)
    assert metadata.number("scale", minimum=0.5, maximum=0.5) == 0.5
    with pytest.raises(GGUFError, match="too small"):
        metadata.number("scale", minimum=1)
    with pytest.raises(GGUFError, match="too large"):
        metadata.number("scale", maximum=0.25)
    with pytest.raises(GGUFError, match="4 elements were expected, not 3"):
        metadata.integers("ids", length=4)
    with pytest.raises(GGUFError, match="1 elements were expected, not 2"):
        metadata.numbers("scores", length=1)
