"""Models of real shapes with random weights and a real vocabulary, for benchmarks.

    python benchmarks/random_models.py llama-1b Q4_0 FILE.gguf --vocabulary ../shared/vocab

The weights of a type are one pool of random numbers, quantised once and repeated: speed does not depend on values. No
two matrices begin at the same place of it, for ONNX Runtime keeps weights with equal bytes once; only models that count
have equal ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.convert.file_type import QUANTIZATION_VERSION, FileType, parse_file_type
from ollamax.convert.mix import choose_types
from ollamax.gguf import open_gguf, write_gguf
from ollamax.plugins import get_registry
from ollamax.types import DType, TensorInfo

VOCABULARIES = Path(__file__).parents[2] / "shared" / "vocab"
POOL = 1 << 20
"""Random values of a model; the embeddings of its first tokens differ and then come again."""


@dataclass(frozen=True)
class Shape:
    """What a model's weights measure; ``vocabulary`` is the GGUF file with its tokens.

    With ``counts`` the likeliest token after ``t`` is ``t + 1``, for the first ``POOL / width`` tokens, and the
    first again after the last: the blocks add nothing and the output is the embedding, one row further on. All is
    computed as with other values.
    """

    family: str
    vocabulary: str
    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    biases: bool = False
    context: int = 8192
    counts: bool = False

    def matrices(self, tokens: int) -> dict[str, tuple[int, ...]]:
        """Name and row-major shape of every tensor; the output is tied to the embedding unless the model counts."""
        keys = self.width // self.heads * self.kv_heads
        found: dict[str, tuple[int, ...]] = {
            "token_embd.weight": (tokens, self.width),
            "output_norm.weight": (self.width,),
        }
        if self.counts:
            found["output.weight"] = (tokens, self.width)
        for layer in range(self.layers):
            block = {
                "attn_norm.weight": (self.width,),
                "attn_q.weight": (self.width, self.width),
                "attn_k.weight": (keys, self.width),
                "attn_v.weight": (keys, self.width),
                "attn_output.weight": (self.width, self.width),
                "ffn_norm.weight": (self.width,),
                "ffn_gate.weight": (self.hidden, self.width),
                "ffn_up.weight": (self.hidden, self.width),
                "ffn_down.weight": (self.width, self.hidden),
            }
            if self.biases:
                block |= {"attn_q.bias": (self.width,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
            found |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
        return found


SHAPES = {
    "llama-1b": Shape("llama", "llama-bpe.gguf", 16, 2048, 8192, 32, 8),
    "qwen2-0.5b": Shape("qwen2", "qwen2.gguf", 24, 896, 4864, 14, 2, biases=True),
}


def metadata(shape: Shape, vocabulary: Path) -> dict[str, Any]:
    """Hyper-parameters, and the tokenizer's keys of the vocabulary."""
    with open_gguf(vocabulary) as file:
        tokenizer = {key: value for key, value in file.typed_metadata.items() if key.startswith("tokenizer.")}
    family = shape.family
    return {
        "general.architecture": family,
        "general.name": f"random {family}",
        f"{family}.block_count": shape.layers,
        f"{family}.context_length": shape.context,
        f"{family}.embedding_length": shape.width,
        f"{family}.feed_forward_length": shape.hidden,
        f"{family}.attention.head_count": shape.heads,
        f"{family}.attention.head_count_kv": shape.kv_heads,
        f"{family}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{family}.rope.freq_base": 500000.0,
        f"{family}.rope.dimension_count": shape.width // shape.heads,
        "general.quantization_version": QUANTIZATION_VERSION,
        **tokenizer,
    }


def write_random_model(path: Path, shape: Shape, kind: FileType, vocabularies: Path = VOCABULARIES) -> Path:
    """Write ``path`` as a file of ``kind``, unless it exists. Raises ConversionError for a type nobody writes."""
    if path.exists():
        return path
    keys = metadata(shape, vocabularies / shape.vocabulary) | {"general.file_type": kind.number}
    tokens = len(keys["tokenizer.ggml.tokens"])
    writers = get_registry().writers()
    plain = {name: TensorInfo(name, DType.F32, size) for name, size in shape.matrices(tokens).items()}
    infos = choose_types(kind, plain, keys, writers.dtypes)
    writers.require({info.dtype for info in infos.values()}, kind.name)
    values = np.random.default_rng(0).standard_normal(POOL, np.float32) * np.float32(shape.width**-0.5)
    pools = {dtype: writers.quantize(values.reshape(-1, 256), dtype) for dtype in {i.dtype for i in infos.values()}}
    write_gguf(path, keys, infos.values(), lambda name: _data(infos, pools, name, shape))
    return path


def _data(
    infos: Mapping[str, TensorInfo], pools: Mapping[DType, npt.NDArray[np.uint8]], name: str, shape: Shape
) -> npt.NDArray[np.uint8]:
    info = infos[name]
    if name.endswith("_norm.weight"):
        return np.ones(info.shape, "<f4").view(np.uint8)
    moved = list(infos).index(name) * info.dtype.block_bytes
    if shape.counts:
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            return np.zeros(info.nbytes, np.uint8)  # zero in every type that has a scale
        if name in ("token_embd.weight", "output.weight"):
            moved = 0 if name == "token_embd.weight" else info.nbytes // info.shape[0]
    return np.resize(np.roll(pools[info.dtype], moved), info.nbytes)


def main() -> None:
    """Write one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type", help="a file type, such as Q4_K_M")
    parser.add_argument("path", type=Path)
    parser.add_argument("--vocabulary", type=Path, default=VOCABULARIES, help="the folder of vocabulary files")
    given = parser.parse_args()
    write_random_model(given.path, SHAPES[given.shape], parse_file_type(given.type), given.vocabulary)


if __name__ == "__main__":
    main()
