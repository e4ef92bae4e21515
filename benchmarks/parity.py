"""Writes docs/parity.md: how far logits are from transformers', and what each quantisation loses.

    python benchmarks/parity.py            # needs requirements-reference.txt

Random models show that the arithmetic is the same; what rounding costs can only be told of a trained model, which is
the bundled demo on stories that it tells itself.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import ollamax
from ollamax.convert.file_type import WRITABLE
from ollamax.convert.quantize import Quantized
from ollamax.engine.model import Model
from ollamax.gguf import open_gguf, write_gguf
from ollamax.types import DType

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conftest import save_random, save_random_mllama  # noqa: E402 (lies in tests)
from random_mllama import png, reference_model  # noqa: E402
from random_mllama import reference_logits as picture_logits  # noqa: E402
from small_tokenizer import LLAMA3_SPLIT, QWEN2_SPLIT  # noqa: E402
from transformers_reference import IDS, reference_logits  # noqa: E402

TYPES = (DType.F16, DType.BF16, DType.Q8_0, DType.Q5_1, DType.Q5_0, DType.Q4_1, DType.Q4_0)
SPLITS = {"Llama": LLAMA3_SPLIT, "Qwen2": QWEN2_SPLIT}
Logits = np.ndarray
HEAD = """# Parity

Made by `python benchmarks/parity.py`; do not edit.

## With transformers

Random models of each architecture on the cpu backend; the reference is transformers in float32 arithmetic with the
same checkpoint. The difference is the largest one of any logit, as a share of the largest logit; KL is the mean
divergence of the next-token distributions in nats; agreement counts the positions whose likeliest token is the same.

| architecture | checkpoint | largest difference | KL | agreement |
|---|---|---|---|---|
"""
SECOND = """
## What quantisation loses

The bundled demo model, whose weights are Q8_0, against itself in float32, on {count} tokens of stories that it tells
with seeds 0 to 7. Loss is nats per token of these stories; the first row is float32.

| type | largest difference | KL | agreement | loss | more loss |
|---|---|---|---|---|---|
"""


def log_softmax(logits: Logits) -> Logits:
    """In float64, over the last axis."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1, keepdims=True)
    return np.asarray(wide - top - np.log(np.exp(wide - top).sum(axis=-1, keepdims=True)))


def compare(found: Logits, expected: Logits) -> tuple[float, float, str]:
    """Largest difference as a share of the largest logit, mean KL(expected, found), and agreement."""
    a, b = log_softmax(expected), log_softmax(found)
    kl = float((np.exp(a) * (a - b)).sum(axis=-1).mean())
    same = int((found.argmax(axis=-1) == expected.argmax(axis=-1)).sum())
    return float(np.abs(found - expected).max() / np.abs(expected).max()), kl, f"{same} of {len(found)}"


def text_rows(folder: Path) -> Iterator[tuple[str, str, tuple[float, float, str]]]:
    """Llama and qwen2 in every type of checkpoint."""
    for family, split in SPLITS.items():
        for dtype in ("float32", "float16", "bfloat16"):
            directory = save_random(family, folder / f"{family}-{dtype}", split, dtype=dtype)
            with ollamax.load(directory, backend="cpu") as model:
                yield family.lower(), dtype, compare(model.logits(IDS), reference_logits(directory, IDS))


def picture_rows(folder: Path) -> Iterator[tuple[str, str, tuple[float, float, str]]]:
    """Mllama without a picture and with one."""
    for dtype in ("float32", "bfloat16"):
        directory = folder / f"mllama-{dtype}"
        directory.mkdir()
        save_random_mllama(directory, dtype)
        reference_model.cache_clear()
        with ollamax.load(directory, backend="cpu", num_images=1) as model:
            (token,) = model.tokenizer.encode("<|image|>", add_bos=False)
            for pictures in ([], [png(70, 30)]):
                ids = model.tokenizer.encode("the cat sat" + "<|image|> on the mat" * len(pictures) + " and ran")
                expected = picture_logits(directory, ids, pictures, token)
                found = model.logits(ids, images=pictures or None)[:, : expected.shape[-1]]
                yield f"mllama, {len(pictures)} pictures", dtype, compare(found, expected)


def stories(model: Model) -> list[list[int]]:
    """Token ids of stories that the model tells, with the request before each."""
    told = []
    for seed, hero in enumerate(("fox", "owl", "robot", "girl", "bear", "dragon", "cat", "king")):
        request = [{"role": "user", "content": f"Tell me a story about a {hero}"}]
        reply = model.chat(request, seed=seed, num_predict=250)
        text = model.template.render([ollamax.types.Message("user", request[0]["content"])]) + reply.text
        told.append(model.tokenizer.encode(text, add_bos=False))
    return told


def loss(logits: list[Logits], told: list[list[int]]) -> float:
    """Nats per token."""
    lost = [-log_softmax(part)[np.arange(len(ids) - 1), ids[1:]] for part, ids in zip(logits, told, strict=True)]
    return float(np.concatenate(lost).mean())


def quantisation_rows(folder: Path) -> Iterator[str]:
    """The demo model in every type that can be written."""
    with ollamax.load("demo", backend="cpu") as model:
        told = stories(model)
        expected = [model.logits(ids)[:-1] for ids in told]
        source_path = model.modelfile.from_
    base = loss(expected, told)
    yield SECOND.format(count=sum(map(len, told)))
    yield f"| F32 | 0 | 0 | | {base:.4f} | |\n"
    for dtype in TYPES:
        path = folder / f"{dtype.name}.gguf"
        with open_gguf(source_path) as source:
            changed = Quantized(source, WRITABLE[dtype.name], metadata=source.typed_metadata)
            write_gguf(path, changed.metadata, changed.tensors.values(), changed.tensor_bytes)
        with ollamax.load(path, backend="cpu") as model:
            found = [model.logits(ids)[:-1] for ids in told]
        share, kl, same = compare(np.concatenate(found), np.concatenate(expected))
        more = loss(found, told)
        yield f"| {dtype.name} | {share:.1e} | {kl:.1e} | {same} | {more:.4f} | {more - base:+.4f} |\n"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [HEAD]
        for architecture, dtype, (share, kl, same) in (*text_rows(folder), *picture_rows(folder)):
            lines.append(f"| {architecture} | {dtype} | {share:.1e} | {kl:.1e} | {same} |\n")
        lines += quantisation_rows(folder)
    (ROOT / "docs" / "parity.md").write_text("".join(lines), encoding="utf-8")
    print("".join(lines))


if __name__ == "__main__":
    main()
