"""Which quantizer writes a type, and what is said of one that nobody writes."""

import numpy as np
import pytest

from ollamax.convert.quantizer import Quantizer, Quantizers
from ollamax.errors import ConversionError
from ollamax.ml.dtype import quantize
from ollamax.plugins import Registry
from ollamax.types import DType

VALUES = np.linspace(-1, 1, 512, dtype=np.float32).reshape(2, 256)


def writer(name, *dtypes, fill=0, size=None, reason=None):
    class Made(Quantizer):
        def quantize(self, values, dtype):
            rows, width = values.shape
            return np.full((rows, dtype.row_bytes(width)) if size is None else size, fill, np.uint8)

        @classmethod
        def unavailable(cls):
            if isinstance(reason, Exception):
                raise reason
            return reason

    Made.name, Made.dtypes = name, frozenset(dtypes)
    return Made


def test_core_writes_what_no_plugin_does():
    quantizers = Quantizers([writer("a", DType.Q4_K)])
    assert quantizers.quantize(VALUES, DType.Q8_0).tobytes() == quantize(VALUES, DType.Q8_0).tobytes()
    assert quantizers.quantize(VALUES, DType.Q4_K).tobytes() == bytes(2 * 144)


def test_the_first_plugin_that_has_a_type_writes_it():
    quantizers = Quantizers([writer("a", DType.Q4_K, fill=1), writer("b", DType.Q4_K, DType.Q8_0, fill=2)])
    assert set(quantizers.quantize(VALUES, DType.Q4_K)) == {1}
    assert set(quantizers.quantize(VALUES, DType.Q8_0)) == {2}


@pytest.mark.parametrize(
    ("reason", "told"), [("no library", "a: no library"), (OSError("gone"), r"a: unavailable\(\) raised OSError: gone")]
)
def test_one_that_cannot_work_here_is_passed_over(reason, told):
    quantizers = Quantizers([writer("a", DType.Q4_K, reason=reason)], "pip install b")
    quantizers.require([DType.Q8_0], "Q8_0")
    with pytest.raises(ConversionError, match=rf"^Q4_K_M needs Q4_K and Q6_K, .* can write; {told}; pip install b$"):
        quantizers.require([DType.Q6_K, DType.Q8_0, DType.Q4_K], "Q4_K_M")


@pytest.mark.parametrize("size", [(2, 143), 0])
def test_a_result_of_the_wrong_size(size):
    with pytest.raises(ConversionError, match="quantizer a returned something else than the 288 bytes"):
        Quantizers([writer("a", DType.Q4_K, size=size)]).quantize(VALUES, DType.Q4_K)


@pytest.mark.parametrize("fault", [OSError("gone"), SystemExit(0)])
def test_one_that_fails_does_not_break_the_others(fault, capsys):
    class Failing(writer("a", DType.Q4_K, DType.Q6_K)):
        def __init__(self):
            print("about to fail")
            raise fault

    quantizers = Quantizers([Failing, writer("b", DType.Q6_K)])
    assert quantizers.quantize(VALUES, DType.Q8_0).tobytes() == quantize(VALUES, DType.Q8_0).tobytes()
    assert quantizers.quantize(VALUES, DType.Q6_K).tobytes() == bytes(2 * 210)
    with pytest.raises(ConversionError, match=rf"; a: its constructor raised {type(fault).__name__}: {fault}$"):
        quantizers.require([DType.Q4_K], "Q4_K_S")
    assert capsys.readouterr() == ("", "about to fail\n")


@pytest.mark.parametrize("fault", [ValueError("no room"), SystemExit(0)])
def test_one_that_fails_to_write_is_named(fault):
    class Failing(writer("a", DType.Q4_K)):
        def quantize(self, values, dtype):
            raise fault

    with pytest.raises(ConversionError, match=rf"^quantizer a failed to write Q4_K: {type(fault).__name__}: {fault}$"):
        Quantizers([Failing]).quantize(VALUES, DType.Q4_K)


def test_the_registry_says_what_to_install():
    with pytest.raises(ConversionError, match="pip install ollamax-backend-ggml"):
        Registry().writers().require([DType.Q4_K], "Q4_K_M")
    Registry(quantizers=[writer("a", DType.Q4_K)]).writers().require([DType.Q4_K], "Q4_K_M")
