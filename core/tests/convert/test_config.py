"""Checked access to config.json."""

import math

import pytest

from ollamax.convert.config import Config
from ollamax.errors import ConversionError

CONFIG = Config(
    {"size": 3, "eps": 1e-5, "whole": 4, "tied": True, "act": "silu", "rope": {"factor": 2.0}, "null": None}
)


def test_values_of_the_right_kind():
    assert CONFIG.size("size") == 3
    assert CONFIG.number("eps") == 1e-5
    assert isinstance(CONFIG.number("whole"), float)
    assert CONFIG.flag("tied") is True
    assert CONFIG.text("act") == "silu"
    assert CONFIG.section("rope").number("factor") == 2.0
    assert dict(CONFIG)["size"] == 3
    assert len(CONFIG) == 7


@pytest.mark.parametrize("key", ["null", "absent"])
def test_null_and_absent_are_the_same(key):
    assert CONFIG.size(key, default=7) == 7
    assert CONFIG.flag(key, default=False) is False
    assert len(CONFIG.section(key)) == 0
    for read in (CONFIG.size, CONFIG.number, CONFIG.flag, CONFIG.text):
        with pytest.raises(ConversionError, match=f"config.json: {key} is missing"):
            read(key)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "3", [3], 2**31, 10**4000])
def test_no_size(value):
    with pytest.raises(ConversionError, match=r"config.json: x is .*expected a whole number from 1 to 2147483647"):
        Config({"x": value}).size("x")


def test_a_size_that_may_be_zero():
    assert Config({"x": 0}).size("x", least=0) == 0
    with pytest.raises(ConversionError, match="x is -1; expected a whole number from 0 to 9"):
        Config({"x": -1}).size("x", least=0, most=9)


@pytest.mark.parametrize("value", [0, -1e-5, True, "1", math.nan, math.inf, 1e39, 1e-300, {}])
def test_no_number(value):
    with pytest.raises(ConversionError, match="expected a finite number above 0"):
        Config({"x": value}).number("x")


def test_other_kinds():
    with pytest.raises(ConversionError, match="x is 1; expected true or false"):
        Config({"x": 1}).flag("x")
    with pytest.raises(ConversionError, match="x is 1; expected a string"):
        Config({"x": 1}).text("x")
    with pytest.raises(ConversionError, match=r"x is \[\]; expected an object"):
        Config({"x": []}).section("x")


def test_a_section_names_itself():
    with pytest.raises(ConversionError, match=r"config\.json: rope: high is missing"):
        CONFIG.section("rope").number("high")


def test_size_has_a_bound():
    with pytest.raises(ConversionError, match=r"expected a whole number from 1 to 2$"):
        CONFIG.size("size", most=2)
