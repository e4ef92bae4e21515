"""The table of options: reading, ranges, layers, names that do not exist."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.engine.options import TABLE, UNSUPPORTED, Options, lookup, parameters, parse, split
from ollamax.errors import OptionError

# A valid value other than the default for each option, as Python value and as text.
EXAMPLES = {
    "num_ctx": (2048, "2048"),
    "num_batch": (32, "32"),
    "num_images": (2, "2"),
    "num_thread": (2, "2"),
    "num_gpu": (3, "3"),
    "num_predict": (100, "100"),
    "num_keep": (-1, "-1"),
    "draft_num_predict": (7, "7"),
    "stop": (("###",), "###"),
    "seed": (42, "42"),
    "temperature": (0.0, "0"),
    "top_k": (5, "5"),
    "top_p": (0.5, "5e-1"),
    "min_p": (0.05, ".05"),
    "typical_p": (0.7, "0.7"),
    "repeat_last_n": (128, "+128"),
    "repeat_penalty": (1.1, "1.1"),
    "presence_penalty": (-0.5, "-0.5"),
    "frequency_penalty": (0.25, "0.25"),
}

BAD = [
    *((name, value) for name in ("temperature", "top_p", "repeat_penalty") for value in ("abc", "", "nan", "inf")),
    *((name, value) for name in ("num_ctx", "seed") for value in ("1.5", "1_000", "0x10", "٣", " 1", "", "9" * 50)),
    *((name, value) for name in TABLE for value in (True, object(), b"1", {"a": 1}, float("nan"), -(10**400))),
    *((name, value) for name in TABLE if name != "stop" for value in ([], ["1"], float("inf"))),
    ("num_ctx", -1),
    ("num_batch", 0),
    ("num_images", 0),
    ("num_thread", -1),
    ("num_thread", 10**9),
    ("num_gpu", -2),
    ("num_predict", -3),
    ("num_keep", -2),
    ("draft_num_predict", -2),
    ("seed", -2),
    ("seed", 2**63),
    ("temperature", -0.1),
    ("temperature", 10**400),
    ("top_k", -2),
    ("top_k", 2.5),
    ("top_p", 0),
    ("top_p", 1.01),
    ("min_p", -0.01),
    ("min_p", 1.01),
    ("typical_p", 0),
    ("typical_p", 2),
    ("repeat_last_n", -2),
    ("repeat_penalty", 0),
    ("presence_penalty", 2.5),
    ("frequency_penalty", -2.5),
    ("stop", ""),
    ("stop", ["a", ""]),
    ("stop", ["a", 1]),
    ("stop", 5),
    ("stop", "caf\udce9"),
    ("stop", ["a", "\ud800"]),
]


def test_every_option_has_an_example_here():
    assert set(EXAMPLES) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_option_is_read_from_a_value_and_from_text(name):
    value, text = EXAMPLES[name]
    default = getattr(Options(), name)
    assert value != default
    for given_value in (value, text):
        result = getattr(Options.from_mapping({name: given_value}), name)
        assert result == value
        assert type(result) is type(default)


@pytest.mark.parametrize("name", TABLE)
def test_the_default_is_within_its_own_range(name):
    option = TABLE[name]
    assert option.parse(option.default) == option.default
    assert option.doc.endswith(".")


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda part: repr(part)[:20])
def test_a_bad_value_is_refused_with_name_value_and_expectation(name, value):
    with pytest.raises(OptionError) as error:
        Options.from_mapping({name: value})
    message = str(error.value)
    assert message.startswith(f"option {name}: {value!r}"[:40])
    assert TABLE[name].expected in message
    assert "\n" not in message
    assert len(message) < 200
    assert error.value.exit_code == 2


@given(st.sampled_from(sorted(TABLE)), st.text(max_size=30) | st.floats() | st.integers() | st.none() | st.binary())
def test_any_value_is_either_valid_or_an_option_error(name, value):
    try:
        options = Options.from_mapping({name: value})
    except OptionError:
        return
    assert type(getattr(options, name)) is type(getattr(Options(), name))


def test_numpy_numbers_are_numbers():
    options = Options.from_mapping({"top_k": np.int64(3), "top_p": np.float32(0.5)})
    assert (options.top_k, options.top_p) == (3, 0.5)
    assert type(options.top_k) is int
    assert type(options.top_p) is float


def test_aliases():
    options = Options.from_mapping({"max_tokens": 5, "context_length": 128})
    assert (options.num_predict, options.num_ctx) == (5, 128)


def test_an_option_given_twice_is_refused():
    with pytest.raises(OptionError, match="num_predict is given twice, also as max_tokens"):
        Options.from_mapping({"num_predict": 5, "max_tokens": 5})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", "did you mean temperature?"),
        ("max_token", "did you mean max_tokens?"),
        ("topk", "did you mean top_k?"),
        ("colour", "options are num_ctx"),
        ("x" * 100_000, "options are num_ctx"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_name(name, hint):
    with pytest.raises(OptionError, match="unknown option") as error:
        Options.from_mapping({name: 1})
    assert hint in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_options_of_ollama_that_we_lack_are_refused_with_the_reason(name):
    assert name not in TABLE
    with pytest.raises(OptionError, match=f"^option {name} is not supported: .+"):
        Options.from_mapping({name: 1})


def test_layers_are_merged_upwards():
    modelfile = {"temperature": "0.5", "stop": ["a", "b"], "seed": "1"}
    call = {"stop": "c", "seed": 2, "top_k": None}
    options = Options().merge(modelfile).merge(call)
    assert options == dataclasses.replace(Options(), temperature=0.5, stop=("c",), seed=2)


def test_parameter_lines_of_a_modelfile():
    values = parameters({"stop": ["a", "b"], "top_k": ["5", "6"], "max_tokens": ["7"]})
    assert Options().merge(values) == dataclasses.replace(Options(), stop=("a", "b"), top_k=6, num_predict=7)
    with pytest.raises(OptionError, match="unknown option 'topk'"):
        parameters({"topk": ["5"]})


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().seed = 3


def test_scopes_keep_load_and_generation_apart():
    with pytest.raises(OptionError, match="num_ctx is fixed when the model is loaded"):
        parse({"num_ctx": 5}, "generate")
    with pytest.raises(OptionError, match="seed belongs to a generation"):
        parse({"seed": 5}, "load")
    assert split({"context_length": "5", "seed": "6"}) == ({"num_ctx": 5}, {"seed": 6})


def test_flags_are_the_names_with_dashes():
    assert lookup("max_tokens").flags == ("--num-predict", "--max-tokens")
