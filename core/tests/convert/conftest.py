"""Small checkpoints, right and wrong, written byte by byte."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "F8_E4M3": 1}


def pack(header, data=b"", length=None):
    """A safetensors file: ``header`` a dict or raw bytes, ``length`` what the prefix claims instead of the truth."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(dtype, shape, start, end):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def write_safetensors(path: Path, tensors):
    """``tensors``: name to (dtype, shape, bytes), or to a float32 or float16 array."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        if isinstance(tensor, np.ndarray):
            dtype, shape, raw = {"f4": "F32", "f2": "F16"}[tensor.dtype.str[1:]], tensor.shape, tensor.tobytes()
        else:
            dtype, shape, raw = tensor
        assert len(raw) == SIZES[dtype] * int(np.prod(shape))
        header[name] = entry(dtype, shape, len(data), len(data) + len(raw))
        data += raw
    path.write_bytes(pack(header, data))


def bf16(values):
    """The BF16 bytes of ``values``, which must be exact in BF16."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype("<u2").tobytes()


@pytest.fixture
def checkpoint_dir(tmp_path):
    """Makes a Hugging Face directory of the given config and files of tensors."""

    def make(config, **files):
        directory = tmp_path / "toy-model"
        directory.mkdir(exist_ok=True)
        if config is not None:
            (directory / "config.json").write_text(json.dumps(config))
        for name, tensors in files.items():
            write_safetensors(directory / f"{name}.safetensors", tensors)
        return directory

    return make
