"""Storage types: sizes, decoding and encoding."""

from __future__ import annotations

import tracemalloc

import gguf
import numpy as np
import pytest

from ollamax.errors import ConversionError
from ollamax.ml.dtype import DType, can_quantize, dequantize, quantize

# What the cpu backend must run.
ISSUE_TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
PLAIN = {"F64": np.float64, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64}
BLOCKS = [kind for kind in DType if kind.is_quantized and kind.name not in ("Q8_1", "Q8_K")]
KNOWN_TO_GGUF = [kind for kind in BLOCKS if kind is not DType.Q1_0]


def gguf_type(kind: DType) -> gguf.GGMLQuantizationType:
    return gguf.GGMLQuantizationType(kind)


def random_blocks(kind: DType, rows: int, columns: int) -> np.ndarray:
    """Random bytes, every one of which is a valid block; scales may come out as NaN or infinite."""
    return np.random.default_rng(kind).integers(0, 256, rows * kind.row_bytes(columns), np.uint8)


@pytest.mark.parametrize("kind", list(DType), ids=lambda kind: kind.name)
def test_numbers_and_block_sizes_are_those_of_gguf(kind):
    assert gguf_type(kind).name == kind.name
    assert gguf.GGML_QUANT_SIZES[gguf_type(kind)] == (kind.block_size, kind.block_bytes)


@pytest.mark.parametrize("kind", KNOWN_TO_GGUF, ids=lambda kind: kind.name)
def test_blocks_decode_as_in_gguf(kind):
    """Rows that end within a chunk, and more elements than one chunk holds."""
    shape = (33, 7 * 256 * 9)
    data = random_blocks(kind, *shape)
    found = dequantize(data, kind, shape)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(data.reshape(shape[0], -1), gguf_type(kind))
    assert found.dtype == np.float32
    assert found.shape == shape
    np.testing.assert_array_equal(found, expected)


def test_one_bit_is_a_sign():
    """A scale, and bits from the lowest of the first byte on; the ggml backend's tests compare ggml's own decoding."""
    block = np.zeros(18, np.uint8)
    block[:2] = np.float16(0.5).reshape(1).view(np.uint8)
    block[2], block[17] = 0b101, 0b10000000
    expected = np.full(128, -0.5, np.float32)
    expected[[0, 2, 127]] = 0.5
    np.testing.assert_array_equal(dequantize(np.tile(block, 2), DType.Q1_0, (2, 128)), [expected, expected])


@pytest.mark.parametrize("kind", [kind for kind in can_quantize if kind.is_quantized], ids=lambda kind: kind.name)
def test_blocks_encode_as_in_gguf(kind):
    values = np.random.default_rng(0).normal(size=(5, 256 * 70)).astype(np.float32)
    expected = gguf.quants.quantize(values, gguf_type(kind))
    stored = quantize(values, kind)
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, expected.reshape(-1))


@pytest.mark.parametrize(
    ("name", "bound"),
    # The largest error in a block over its largest magnitude: half a step (a whole one at the short end of Q4_0
    # and Q5_0, whose levels are not symmetric), plus the rounding of the F16 scale.
    [
        ("F32", 0),
        ("F16", 2**-11),
        ("BF16", 2**-8),
        ("Q8_0", 0.5 / 127 + 2**-10),
        ("Q5_0", 1 / 16 + 2**-10),
        ("Q4_0", 1 / 8 + 2**-10),
        ("Q5_1", 1 / 31 + 2**-9),
        ("Q4_1", 1 / 15 + 2**-9),
    ],
)
def test_error_of_a_round_trip(name, bound):
    values = np.random.default_rng(1).normal(size=(64, 96)).astype(np.float32)
    kind = DType[name]
    error = np.abs(dequantize(quantize(values, kind), kind, values.shape) - values).reshape(-1, 32)
    assert (error <= bound * np.abs(values).reshape(-1, 32).max(axis=1, keepdims=True)).all()


@pytest.mark.parametrize("name", ISSUE_TYPES)
def test_types_that_the_cpu_backend_runs(name):
    kind = DType[name]
    values = dequantize(np.zeros(kind.row_bytes(512), np.uint8), kind, (512,))
    np.testing.assert_array_equal(values, np.zeros(512, np.float32))


def test_known_blocks():
    """Worked by hand from ggml-common.h: scale 2 as F16, then quants."""
    two, half = np.float16(2).tobytes(), np.float16(0.5).tobytes()
    q8_0 = two + np.arange(-16, 16, dtype=np.int8).tobytes()
    np.testing.assert_array_equal(
        dequantize(np.frombuffer(q8_0, np.uint8), DType.Q8_0, (1, 32))[0], 2.0 * np.arange(-16, 16)
    )
    # A byte holds element i in its low and element i + 16 in its high nibble, both with 8 added.
    q4_0 = two + bytes([0x10 * (15 - i) + i for i in range(16)])
    expected = [2.0 * (i - 8) for i in range(16)] + [2.0 * (7 - i) for i in range(16)]
    np.testing.assert_array_equal(dequantize(np.frombuffer(q4_0, np.uint8), DType.Q4_0, (32,)), expected)
    q4_1 = two + half + bytes([0x10 * (15 - i) + i for i in range(16)])
    expected = [2.0 * i + 0.5 for i in range(16)] + [2.0 * (15 - i) + 0.5 for i in range(16)]
    np.testing.assert_array_equal(dequantize(np.frombuffer(q4_1, np.uint8), DType.Q4_1, (32,)), expected)


@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_types_decode(name):
    values = np.array([[-3, 0, 7], [100, -100, 1]], PLAIN[name])
    found = dequantize(values.reshape(-1).view(np.uint8), DType[name], (2, 3))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def test_f64_beyond_float32_is_infinite():
    values = np.array([1e300, -1e300, np.nan])
    np.testing.assert_array_equal(dequantize(values.view(np.uint8), DType.F64, (3,)), [np.inf, -np.inf, np.nan])


def test_bf16_rounds_to_nearest_even():
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0x80000001], np.uint32)
    stored = quantize(bits.view(np.float32), DType.BF16).view(np.uint16)
    assert [hex(value) for value in stored] == ["0x3f80", "0x3f82", "0x3f81", "0x3f80", "0x7f80", "0x8000"]


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_floats_keep_nan_and_infinity(name):
    values = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    found = dequantize(quantize(values, DType[name]), DType[name], (4,))
    np.testing.assert_array_equal(found, values)
    assert np.signbit(found[3])


@pytest.mark.parametrize("name", ["Q4_0", "Q5_0", "Q8_0"])
def test_nan_spoils_its_own_block_only(name):
    values = np.ones((1, 96), np.float32)
    values[0, 40] = np.nan
    found = dequantize(quantize(values, DType[name]), DType[name], values.shape)
    assert np.isnan(found[0, 32:64]).all()
    assert np.isfinite(found[0, :32]).all()
    assert np.isfinite(found[0, 64:]).all()


def test_f16_beyond_its_range_is_infinite():
    np.testing.assert_array_equal(
        dequantize(quantize(np.array([70000, -70000], np.float32), DType.F16), DType.F16, (2,)), [np.inf, -np.inf]
    )


@pytest.mark.parametrize("name", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "Q8_1", "I8", "F64"])
def test_types_that_cannot_be_written(name):
    with pytest.raises(ConversionError, match=f"as {name}; choose one of F32, F16, Q4_0, .*Q8_0"):
        quantize(np.zeros((1, 256), np.float32), DType[name])


@pytest.mark.parametrize("name", ["Q8_1", "Q8_K"])
def test_types_that_cannot_be_decoded(name):
    kind = DType[name]
    with pytest.raises(ConversionError, match=f"of type {name} cannot be decoded"):
        dequantize(np.zeros(kind.row_bytes(256), np.uint8), kind, (256,))


def test_wrong_sizes():
    with pytest.raises(ValueError, match="takes 16 bytes, not 15"):
        dequantize(np.zeros(15, np.uint8), DType.F32, (2, 2))
    with pytest.raises(ValueError, match="of float32"):
        dequantize(np.zeros(4, np.float32), DType.F32, (2, 2))
    with pytest.raises(ValueError, match="does not divide"):
        dequantize(np.zeros(18, np.uint8), DType.Q4_0, (2, 16))
    with pytest.raises(ValueError, match="does not divide"):
        quantize(np.zeros((2, 16), np.float32), DType.Q4_0)


@pytest.mark.parametrize("shape", [(0,), (0, 32), (3, 0), (2, 0, 32)])
def test_empty_tensors(shape):
    for kind in (DType.F32, DType.BF16, DType.Q8_0):
        stored = quantize(np.zeros(shape, np.float32), kind)
        assert stored.size == 0
        assert dequantize(stored, kind, shape).shape == shape


def test_strided_and_unaligned_input():
    values = np.random.default_rng(2).normal(size=(64, 4)).astype(np.float32)
    np.testing.assert_array_equal(quantize(values.T, DType.Q8_0), quantize(values.T.copy(), DType.Q8_0))
    buffer = np.zeros(4 * 64 * 4 + 1, np.uint8)
    buffer[1:] = values.reshape(-1).view(np.uint8)
    np.testing.assert_array_equal(dequantize(buffer[1:], DType.F32, (64, 4)), values)


@pytest.mark.parametrize("name", ["Q4_0", "Q8_0", "Q6_K", "BF16"])
def test_temporary_memory_does_not_grow_with_the_tensor(name):
    kind, shape = DType[name], (1 << 12, 1 << 12)
    data = np.zeros(kind.row_bytes(shape[1]) * shape[0], np.uint8)
    dequantize(data[: kind.row_bytes(256)], kind, (256,))  # what gguf keeps from its first use
    tracemalloc.start()
    try:
        dequantize(data, kind, shape)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - 4 * shape[0] * shape[1] < 4 << 20
