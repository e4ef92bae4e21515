"""What the reader makes of sound files."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest

from ollamax.errors import GGUFError
from ollamax.gguf import GGUFFile, open_gguf, write_gguf
from ollamax.types import DType, TensorInfo

VOCAB = Path(__file__).resolve().parents[4] / "shared" / "vocab"


def test_all_parts_of_a_file(raw, sample):
    with open_gguf(raw.write(sample)) as file:
        assert file.version == 3
        assert file.alignment == 16
        assert file.nbytes == len(sample)
        assert file.metadata["general.architecture"] == "llama"
        assert file.metadata["flag"] is True
        assert file.metadata["tokens"] == ["a", "ä", ""]
        np.testing.assert_array_equal(file.metadata["scores"], np.float32([1, 2]))
        assert file.metadata["nested"][0].tolist() == [False, True]
        assert file.tensors == {
            "one.weight": TensorInfo("one.weight", DType.F32, (2, 4)),
            "two.weight": TensorInfo("two.weight", DType.Q8_0, (32,)),
        }
        assert file.offset("one.weight") % 16 == 0
        assert file.tensor_bytes("one.weight").tobytes() == bytes(range(32))
        assert file.tensor_bytes("two.weight").tobytes() == bytes(range(32, 66))


@pytest.mark.parametrize(
    ("kind", "payload", "value", "dtype"),
    [
        (0, struct.pack("<B", 200), 200, np.uint8),
        (1, struct.pack("<b", -2), -2, np.int8),
        (2, struct.pack("<H", 60000), 60000, np.uint16),
        (3, struct.pack("<h", -300), -300, np.int16),
        (4, struct.pack("<I", 1 << 31), 1 << 31, np.uint32),
        (5, struct.pack("<i", -70000), -70000, np.int32),
        (6, struct.pack("<f", 0.5), 0.5, np.float32),
        (7, b"\0", False, np.bool),
        (10, struct.pack("<Q", 1 << 63), 1 << 63, np.uint64),
        (11, struct.pack("<q", -(1 << 40)), -(1 << 40), np.int64),
        (12, struct.pack("<d", 0.1), 0.1, np.float64),
    ],
)
def test_scalars_and_their_arrays(raw, kind, payload, value, dtype):
    content = raw.content((raw.entry("one", kind, payload), raw.entry("two", 9, raw.array(kind, 2, payload * 2))))
    with open_gguf(raw.write(content)) as file:
        assert file.metadata["one"] == value
        assert type(file.metadata["one"]) is type(value)
        assert type(file.typed_metadata["one"]) is dtype
        assert file.metadata["two"].dtype == dtype
        assert file.metadata["two"].tolist() == [value, value]


def test_version_two(raw):
    with open_gguf(raw.write(raw.content(version=2))) as file:
        assert file.version == 2
        assert not file.tensors
        assert not file.metadata
        assert file.alignment == 32


def test_metadata_cannot_be_changed(raw, sample):
    with open_gguf(raw.write(sample)) as file:
        with pytest.raises(TypeError):
            file.metadata["flag"] = False
        with pytest.raises(ValueError, match="read-only"):
            file.metadata["scores"][0] = 3
        with pytest.raises(ValueError, match="read-only"):
            file.tensor_bytes("one.weight")[0] = 3


def test_a_view_outlives_the_file_but_no_new_one_is_given(raw, sample):
    file = open_gguf(raw.write(sample))
    view = file.tensor_bytes("one.weight")
    file.close()
    file.close()
    assert view.tobytes() == bytes(range(32))
    with pytest.raises(GGUFError, match="closed"):
        file.tensor_bytes("one.weight")


def test_tensor_bytes_is_a_view_of_the_map(raw, sample):
    with open_gguf(raw.write(sample)) as file:
        first, second = file.tensor_bytes("one.weight"), file.tensor_bytes("one.weight")
        assert np.shares_memory(first, second)


def test_gaps_missing_final_padding_and_any_order_are_fine(raw):
    tensors = (raw.tensor("late", (3,), 24, 128), raw.tensor("early", (2,), 24, 0))
    with open_gguf(raw.write(raw.content((), tensors, b"ab" + bytes(126) + b"xyz"))) as file:
        assert file.tensor_bytes("late").tobytes() == b"xyz"
        assert file.tensor_bytes("early").tobytes() == b"ab"


def test_empty_tensors_may_share_a_place(raw):
    tensors = (raw.tensor("none", (0, 5), 0, 0), raw.tensor("some", (2,), 24, 0))
    with open_gguf(raw.write(raw.content((), tensors, b"ab"))) as file:
        assert file.tensor_bytes("none").size == 0
        assert file.tensors["none"].shape == (5, 0)


def test_names_longer_than_the_specification_allows(raw):
    name = "vision." * 30
    with open_gguf(raw.write(raw.content((), (raw.tensor(name, (1,), 24, 0),), b"x"))) as file:
        assert list(file.tensors) == [name]


def test_a_block_type_at_its_row_length(raw):
    content = raw.content((), (raw.tensor("w", (256, 3), 14, 0),), bytes(210 * 3))
    with open_gguf(raw.write(content)) as file:
        assert file.tensors["w"] == TensorInfo("w", DType.Q6_K, (3, 256))
        assert file.tensor_bytes("w").size == 630


def test_path_as_a_string(raw, sample):
    path = raw.write(sample)
    with GGUFFile(str(path)) as file:
        assert file.path == path


def test_tensor_data_beyond_the_header_limit(raw):
    head = raw.content((), (raw.tensor("w", (1 << 29,), 24, 0),))
    path = raw.write(head)
    with path.open("r+b") as stream:
        stream.truncate((1 << 29) + 4096)  # sparse
    with open_gguf(path) as file:
        assert file.tensor_bytes("w").size == 1 << 29


def test_a_vocabulary_of_150000_tokens_opens_within_half_a_second_of_cpu_time(tmp_path):
    tokens = [f"tok{index}" for index in range(150_000)]
    merges = [f"a{index} b{index}" for index in range(150_000)]
    path = tmp_path / "vocab.gguf"
    metadata = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": np.ones(150_000, np.int32),
    }
    write_gguf(path, metadata, [], {}.__getitem__)
    start = time.process_time()
    with open_gguf(path) as file:
        elapsed = time.process_time() - start
        assert file.metadata["tokenizer.ggml.tokens"] == tokens
        assert file.metadata["tokenizer.ggml.merges"] == merges
    assert elapsed < 0.5


@pytest.mark.skipif(not VOCAB.is_dir(), reason="../shared/vocab is not here")
@pytest.mark.parametrize(
    ("name", "tokens", "merges", "model"),
    [("qwen2", 151936, 151387, "gpt2"), ("llama-bpe", 128256, 280147, "gpt2"), ("llama-spm", 32000, 0, "llama")],
)
def test_real_vocabularies(name, tokens, merges, model):
    with open_gguf(VOCAB / f"{name}.gguf") as file:
        metadata = file.metadata
        assert metadata["tokenizer.ggml.model"] == model
        assert len(metadata["tokenizer.ggml.tokens"]) == tokens
        assert len(metadata["tokenizer.ggml.token_type"]) == tokens
        assert len(metadata.get("tokenizer.ggml.merges", [])) == merges
        assert not file.tensors
