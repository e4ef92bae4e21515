"""Files go back and forth between this reader and writer and those of the pip package ``gguf``."""

from __future__ import annotations

import gguf
import numpy as np

from ollamax.gguf import open_gguf, write_gguf
from ollamax.gguf.value import STORAGE, ValueType
from ollamax.types import DType, TensorInfo


def test_their_writer_our_reader(tmp_path):
    path = tmp_path / "theirs.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bool("flag", True)
    writer.add_int64("long", -(1 << 40))
    writer.add_float64("double", 0.1)
    writer.add_token_list(["a", "ö", "猫"])
    writer.add_token_types([1, 3, 6])
    writer.add_token_scores([0.5, -1.0, 0.0])
    writer.add_array("nested", [[1, 2], [3]])
    values = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_0)
    writer.add_tensor("plain", values)
    writer.add_tensor("half", values[0].astype(np.float16))
    writer.add_tensor("packed", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with open_gguf(path) as file:
        metadata = file.metadata
        assert metadata["general.architecture"] == "llama"
        assert metadata["llama.block_count"] == 3
        assert metadata["llama.attention.layer_norm_rms_epsilon"] == np.float32(1e-5)
        assert metadata["flag"] is True
        assert metadata["long"] == -(1 << 40)
        assert metadata["double"] == 0.1
        assert metadata["tokenizer.ggml.tokens"] == ["a", "ö", "猫"]
        assert metadata["tokenizer.ggml.token_type"].tolist() == [1, 3, 6]
        assert metadata["tokenizer.ggml.scores"].tolist() == [0.5, -1.0, 0.0]
        assert [part.tolist() for part in metadata["nested"]] == [[1, 2], [3]]
        assert file.tensors["plain"] == TensorInfo("plain", DType.F32, (4, 64))
        assert file.tensors["packed"] == TensorInfo("packed", DType.Q4_0, (4, 64))
        np.testing.assert_array_equal(file.tensor_bytes("plain").view(np.float32).reshape(4, 64), values)
        np.testing.assert_array_equal(file.tensor_bytes("half").view(np.float16), values[0].astype(np.float16))
        np.testing.assert_array_equal(file.tensor_bytes("packed"), packed.reshape(-1))


def test_metadata_that_we_write_they_read(tmp_path):
    metadata = {
        "general.architecture": "llama",
        "count": 3,
        "negative": -3,
        "long": 1 << 40,
        "scale": 0.5,
        "flag": True,
        "byte": np.uint8(7),
        "double": np.float64(0.1),
        "tokens": ["a", "ö"],
        "types": [1, 2],
        "scores": np.array([0.5, 1.5], np.float32),
    }
    kinds = {
        "count": gguf.GGUFValueType.UINT32,
        "negative": gguf.GGUFValueType.INT32,
        "long": gguf.GGUFValueType.INT64,
        "scale": gguf.GGUFValueType.FLOAT32,
        "flag": gguf.GGUFValueType.BOOL,
        "byte": gguf.GGUFValueType.UINT8,
        "double": gguf.GGUFValueType.FLOAT64,
    }
    write_gguf(tmp_path / "ours.gguf", metadata, [], {}.__getitem__)
    reader = gguf.GGUFReader(tmp_path / "ours.gguf")
    for key, value in metadata.items():
        found = reader.get_field(key).contents()
        assert found == (value.tolist() if isinstance(value, np.ndarray) else value), key
    assert {key: reader.get_field(key).types[0] for key in kinds} == kinds
    assert reader.get_field("tokens").types == [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING]
    assert reader.get_field("types").types == [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT32]


def test_tensors_that_we_write_they_read(tmp_path):
    values = np.random.default_rng(1).normal(size=(6, 32)).astype(np.float32)
    stored = {
        "plain": values.reshape(-1).view(np.uint8),
        "packed": gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0).reshape(-1),
    }
    infos = [TensorInfo("plain", DType.F32, (6, 32)), TensorInfo("packed", DType.Q8_0, (6, 32))]
    metadata = {"general.architecture": "llama", "general.alignment": 64}
    write_gguf(tmp_path / "ours.gguf", metadata, infos, stored.__getitem__)
    reader = gguf.GGUFReader(tmp_path / "ours.gguf")
    assert reader.alignment == 64
    for tensor, info in zip(reader.tensors, infos, strict=True):
        assert tensor.name == info.name
        assert tuple(reversed(tensor.shape.tolist())) == info.shape
        assert int(tensor.tensor_type) == info.dtype
        np.testing.assert_array_equal(tensor.data.reshape(-1).view(np.uint8), stored[info.name])


def test_value_types_are_theirs():
    assert {kind.name: kind.value for kind in ValueType} == {kind.name: kind.value for kind in gguf.GGUFValueType}
    packing = gguf.GGUFWriter._simple_value_packing
    sizes = {ValueType[kind.name]: np.dtype(code).itemsize for kind, code in packing.items()}
    assert {kind: dtype.itemsize for kind, dtype in STORAGE.items()} == sizes
