"""What the quantizer writes: the library's own rows, whatever the number of threads, and NaN where there was NaN."""

import numpy as np
import pytest

from ollamax.convert.file_type import WRITABLE
from ollamax.convert.quantizer import Quantizers
from ollamax.ml.dtype import can_quantize, dequantize, quantize
from ollamax_backend_ggml import quantizer
from ollamax_backend_ggml.library import library
from ollamax_backend_ggml.quantizer import GGMLQuantizer

DTYPES = sorted(GGMLQuantizer.dtypes)
VALUES = np.random.default_rng(0).standard_normal((6, 512), np.float32)

each_type = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)


@each_type
def test_rows_are_those_of_the_library(dtype):
    whole = np.empty(len(VALUES) * dtype.row_bytes(512), np.uint8)
    library().quantize_chunk(int(dtype), VALUES.ctypes.data, whole.ctypes.data, 0, *VALUES.shape, None)
    assert GGMLQuantizer().quantize(VALUES, dtype).tobytes() == whole.tobytes()


@each_type
def test_threads_do_not_show(dtype, monkeypatch):
    alone = GGMLQuantizer().quantize(VALUES, dtype)
    monkeypatch.setattr(quantizer, "_LEAST", 512)
    monkeypatch.setattr(quantizer, "physical_cores", lambda: 3)
    assert GGMLQuantizer().quantize(VALUES, dtype).tobytes() == alone.tobytes()


@pytest.mark.parametrize("dtype", sorted(GGMLQuantizer.dtypes & can_quantize), ids=lambda dtype: dtype.name)
def test_core_writes_the_same_bytes(dtype):
    assert GGMLQuantizer().quantize(VALUES, dtype).tobytes() == quantize(VALUES, dtype).tobytes()


@each_type
def test_nan_stays_in_its_block(dtype):
    values = VALUES.copy()
    values[2, 300] = np.nan
    clean = dequantize(GGMLQuantizer().quantize(VALUES, dtype).reshape(-1), dtype, VALUES.shape)
    found = dequantize(GGMLQuantizer().quantize(values, dtype).reshape(-1), dtype, VALUES.shape)
    start = 300 - 300 % dtype.block_size
    block = (2, slice(start, start + dtype.block_size))
    assert np.isnan(found[block]).all()
    found[block] = clean[block]
    np.testing.assert_array_equal(found, clean)


@each_type
@pytest.mark.parametrize("values", [np.zeros((2, 256)), np.full((2, 256), 6e4), np.full((1, 256), -1e-38)])
def test_extreme_values_end_nothing(dtype, values):
    data = GGMLQuantizer().quantize(values.astype(np.float32), dtype)
    assert np.isfinite(dequantize(data.reshape(-1), dtype, values.shape)).all()


def test_every_file_type_can_be_written():
    Quantizers([GGMLQuantizer]).require({kind.base for kind in WRITABLE.values()}, "all")
