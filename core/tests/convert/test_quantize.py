"""Quantising a tensor source."""

import tracemalloc

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamax.convert.file_type import WRITABLE, file_type, file_type_name, parse_file_type
from ollamax.convert.nan_watch import NaNWatch
from ollamax.convert.quantize import Quantized
from ollamax.errors import ConversionError, UsageError
from ollamax.ml.dtype import can_quantize, dequantize, quantize
from ollamax.types import DType, TensorInfo

# TQ1_0 and TQ2_0 hold three values only: they are for models trained so, and keep nothing of random ones.
OWN = [kind for kind in WRITABLE.values() if kind.base in can_quantize and not kind.name.startswith("TQ")]


def file_types(values):
    return pytest.mark.parametrize("kind", values, ids=lambda kind: kind.name)


def quantized(source, dtype, **options):
    return Quantized(source, WRITABLE[dtype.name], **options)


class Arrays:
    """A tensor source of arrays, stored in ``dtype``."""

    def __init__(self, arrays, dtype=DType.F32):
        self.arrays = arrays
        self.metadata = {"general.architecture": "toy", "general.file_type": 0}
        self.tensors = {name: TensorInfo(name, dtype, array.shape) for name, array in arrays.items()}
        self.closed = False

    def tensor_bytes(self, name):
        return quantize(self.arrays[name], self.tensors[name].dtype)

    def close(self):
        self.closed = True


def model(*names, shape=(4, 64)):
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name in names}


def types(source):
    return {name: info.dtype for name, info in source.tensors.items()}


@file_types(OWN)
@pytest.mark.parametrize("stored", [DType.F32, DType.F16, DType.BF16])
def test_values_survive_within_the_error_of_the_type(kind, stored):
    dtype = kind.base
    source = Arrays(model("blk.0.ffn_up.weight"), stored)
    result = quantized(source, dtype)
    name, shape = "blk.0.ffn_up.weight", (4, 64)
    before = dequantize(source.tensor_bytes(name), stored, shape)
    after = dequantize(result.tensor_bytes(name), dtype, shape)
    assert result.tensors[name] == TensorInfo(name, dtype, shape)
    # Half a step of a block's scale; the step is the largest value over the largest code.
    steps = {
        DType.Q4_0: 8,
        DType.Q4_1: 7,
        DType.Q5_0: 16,
        DType.Q5_1: 15,
        DType.Q8_0: 127,
        DType.F16: 2048,
        DType.BF16: 256,
    }
    bound = np.abs(before).max() / steps.get(dtype, np.inf) + (0 if dtype == stored or dtype == DType.F32 else 1e-7)
    assert np.abs(after - before).max() <= bound


def test_the_choice_of_types_when_the_output_has_a_matrix_of_its_own():
    arrays = model("token_embd.weight", "output.weight", "blk.0.attn_q.weight", "blk.0.attn_norm.weight", "blk.0.pos")
    arrays["blk.0.attn_q.bias"] = np.zeros(64, np.float32)
    assert types(quantized(Arrays(arrays), DType.Q4_0)) == {
        "token_embd.weight": DType.Q4_0,
        "output.weight": DType.Q8_0,
        "blk.0.attn_q.weight": DType.Q4_0,
        "blk.0.attn_norm.weight": DType.F32,
        "blk.0.attn_q.bias": DType.F32,
        "blk.0.pos": DType.F32,
    }


@pytest.mark.parametrize(
    ("dtype", "embedding"), [(DType.Q5_1, DType.Q8_0), (DType.Q8_0, DType.Q8_0), (DType.F16, DType.F16)]
)
def test_a_tied_embedding_serves_as_output(dtype, embedding):
    arrays = model("token_embd.weight", "blk.0.attn_q.weight")
    assert types(quantized(Arrays(arrays), dtype)) == {"token_embd.weight": embedding, "blk.0.attn_q.weight": dtype}


def test_rows_that_do_not_divide_become_f16():
    arrays = model("token_embd.weight", "blk.0.attn_q.weight", shape=(4, 48))
    assert set(types(quantized(Arrays(arrays), DType.Q4_0)).values()) == {DType.F16}


@file_types(OWN)
def test_metadata_says_the_type(kind):
    dtype = kind.base
    source = Arrays(model("blk.0.ffn_up.weight"))
    metadata = quantized(source, dtype).metadata
    name = "ALL_F32" if dtype == DType.F32 else f"MOSTLY_{dtype.name}"
    assert metadata["general.file_type"] == gguf.LlamaFileType[name]
    assert metadata["general.quantization_version"] == gguf.GGML_QUANT_VERSION
    assert metadata["general.architecture"] == "toy"
    assert quantized(source, dtype, metadata={"mine": 1}).metadata["mine"] == 1
    assert source.metadata["general.file_type"] == 0


def test_weights_of_few_bits_are_quantised_again_only_on_request():
    name = "blk.0.ffn_up.weight"
    source = Arrays(model(name, "blk.1.ffn_up.weight"), DType.Q4_0)
    with pytest.raises(ConversionError) as caught:
        quantized(source, DType.Q8_0)
    assert "2 weights are Q4_0 already, such as blk.0.ffn_up.weight" in str(caught.value)
    assert "--allow-requantize" in str(caught.value)
    again = quantized(source, DType.Q8_0, requantize=True)
    before = dequantize(source.tensor_bytes(name), DType.Q4_0, (4, 64))
    np.testing.assert_array_equal(again.tensor_bytes(name), quantize(before, DType.Q8_0))


@file_types(OWN)
def test_weights_of_eight_bits_become_any_type(kind):
    dtype = kind.base
    name = "blk.0.ffn_up.weight"
    source = Arrays(model(name), DType.Q8_0)
    before = dequantize(source.tensor_bytes(name), DType.Q8_0, (4, 64))
    np.testing.assert_array_equal(quantized(source, dtype).tensor_bytes(name), quantize(before, dtype))


def test_what_has_the_type_already_is_passed_on():
    source = Arrays(model("blk.0.ffn_up.weight"), DType.Q4_0)
    result = quantized(source, DType.Q4_0).tensor_bytes("blk.0.ffn_up.weight")
    np.testing.assert_array_equal(result, source.tensor_bytes("blk.0.ffn_up.weight"))


@pytest.mark.parametrize("dtype", [DType.Q8_1, DType.Q8_K, DType.I32])
def test_types_that_hold_no_weights(dtype):
    source = Arrays(model("blk.0.ffn_up.weight", shape=(4, 256)))
    source.tensors["blk.0.ffn_up.weight"] = TensorInfo("blk.0.ffn_up.weight", dtype, (4, 256))
    with pytest.raises(ConversionError, match=f"blk.0.ffn_up.weight is {dtype.name}, which cannot be quantized"):
        quantized(source, DType.Q8_0, requantize=True)


@pytest.mark.parametrize(
    ("value", "dtype", "problem"),
    [
        (-np.inf, DType.Q8_0, "infinity"),
        (np.inf, DType.BF16, "infinity"),
        (70000.0, DType.F16, "too large for F16; try BF16"),
        (-1e9, DType.Q4_1, "too large for Q4_1; try BF16"),
    ],
)
def test_values_that_do_not_fit_are_an_error(value, dtype, problem):
    arrays = model("blk.0.ffn_up.weight")
    arrays["blk.0.ffn_up.weight"][1, 3] = value
    with pytest.raises(ConversionError, match=f"blk.0.ffn_up.weight .*{problem}"):
        quantized(Arrays(arrays), dtype).tensor_bytes("blk.0.ffn_up.weight")


@file_types(OWN)
def test_nan_stays_in_its_block_and_the_rest_is_what_it_would_be(kind):
    dtype = kind.base
    name = "blk.0.ffn_up.weight"
    arrays = model(name)
    clean = dequantize(quantized(Arrays(arrays), dtype).tensor_bytes(name), dtype, (4, 64))
    arrays[name][1, 3] = np.nan
    got = dequantize(quantized(Arrays(arrays), dtype).tensor_bytes(name), dtype, (4, 64))
    block = slice(0, 32) if dtype.is_quantized else slice(3, 4)
    assert np.isnan(got[1, 3])
    got[1, block] = clean[1, block]
    np.testing.assert_array_equal(got, clean)


def test_nan_beside_infinity_does_not_hide_it():
    arrays = model("blk.0.ffn_up.weight")
    arrays["blk.0.ffn_up.weight"][1, 3:5] = np.nan, np.inf
    with pytest.raises(ConversionError, match="holds infinity"):
        quantized(Arrays(arrays), DType.Q8_0).tensor_bytes("blk.0.ffn_up.weight")


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.BF16])
@pytest.mark.parametrize("chunk", [4, 64, 1 << 24])
def test_a_tensor_with_nan_is_named_once(monkeypatch, dtype, chunk):
    monkeypatch.setattr("ollamax.convert.nan_watch._CHUNK_BYTES", chunk)
    arrays = model("a.weight", "b.weight", "c.weight")
    arrays["b.weight"][3, 63] = -np.nan
    arrays["c.weight"][0, :2] = np.inf, -np.inf
    told = []
    source = Arrays(arrays, dtype)
    watch = NaNWatch(source, told.append)
    for name in [*arrays, *arrays]:
        assert watch.tensor_bytes(name).tobytes() == source.tensor_bytes(name).tobytes()
    assert told == ["tensor b.weight holds NaN; what the model computes with it will be NaN too"]
    watch.close()
    assert source.closed


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(0, 7), blocks=st.integers(1, 3), chunk=st.integers(1, 300))
def test_chunks_do_not_show(rows, blocks, chunk):
    array = np.random.default_rng(1).standard_normal((rows, 32 * blocks)).astype(np.float32)
    result = quantized(Arrays({"up.weight": array}), DType.Q4_1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ollamax.convert.quantize._CHUNK_ELEMENTS", chunk)
        assert result.tensor_bytes("up.weight").tobytes() == quantize(array, DType.Q4_1).tobytes()


def test_memory_is_bounded_by_the_chunk_not_by_the_tensor():
    """32 MB of BF16 are 64 MB as F32: those must never exist together."""
    raw = np.zeros(32 << 20, np.uint8)

    class Big(Arrays):
        def __init__(self):
            info = TensorInfo("up.weight", DType.BF16, (4096, 4096))
            self.metadata, self.tensors = {}, {"up.weight": info}

        def tensor_bytes(self, name):
            return raw

    result = quantized(Big(), DType.Q8_0)
    result.tensor_bytes("up.weight")  # so that imports are not measured
    tracemalloc.start()
    result = result.tensor_bytes("up.weight")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.nbytes == (4096 * 4096 // 32) * 34
    assert peak < result.nbytes + (40 << 20)


def test_three_dimensions_and_close():
    array = np.random.default_rng(2).standard_normal((2, 3, 32)).astype(np.float32)
    source = Arrays({"exps.weight": array})
    result = quantized(source, DType.Q8_0)
    after = dequantize(result.tensor_bytes("exps.weight"), DType.Q8_0, array.shape)
    assert np.abs(after - array).max() < 0.02
    result.close()
    assert source.closed


def test_file_types_by_name():
    assert parse_file_type("q8_0") is parse_file_type("Q8_0") is WRITABLE["Q8_0"]
    assert parse_file_type("bf16").base is DType.BF16
    assert parse_file_type("q4_k") is WRITABLE["Q4_K_M"]
    with pytest.raises(UsageError, match=r"'Q9_0'; the types that can be written are F32, F16, .*Q8_0, .*Q4_K_M"):
        parse_file_type("Q9_0")
    with pytest.raises(UsageError, match="IQ2_XS needs an importance matrix"):
        parse_file_type("iq2_xs")


@file_types(WRITABLE.values())
def test_numbers_of_file_types(kind):
    assert kind.number == gguf.LlamaFileType["ALL_F32" if kind.name == "F32" else f"MOSTLY_{kind.name}"]


@pytest.mark.parametrize(
    ("value", "name"), [(0, "F32"), (7, "Q8_0"), (15, "Q4_K_M"), (999, "unknown"), (None, "unknown"), ("7", "unknown")]
)
def test_names_of_file_types(value, name):
    assert file_type_name(value) == name


def test_file_type_is_that_of_most_elements():
    small, large = TensorInfo("a", DType.F32, (10,)), TensorInfo("b", DType.BF16, (4, 4))
    assert file_type([small, large]) == gguf.LlamaFileType.MOSTLY_BF16
    assert file_type([small]) == gguf.LlamaFileType.ALL_F32
