"""Writes docs/parity.md: how far logits are from transformers', and what each quantisation loses.

    python benchmarks/parity.py                      # needs requirements-reference.txt
    python benchmarks/parity.py --part backends      # one part of the page; the others stay

Random models show that the arithmetic is the same; what rounding costs can only be told of a trained model, which is
the bundled demo on stories that it tells itself. The quantisations are those that the installed packages can write.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import ollamax
from ollamax.convert.file_type import WRITABLE
from ollamax.convert.quantize import Quantized
from ollamax.engine.create import create
from ollamax.engine.model import Model
from ollamax.engine.source import open_source
from ollamax.errors import ConversionError
from ollamax.modelfile import Modelfile
from ollamax.plugins import get_registry

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conftest import save_random, save_random_mllama  # noqa: E402 (lies in tests)
from random_mllama import png  # noqa: E402
from random_mllama import reference_logits as picture_logits  # noqa: E402
from transformers_reference import IDS, reference_logits  # noqa: E402

from ollamax.testing.byte_level import LLAMA3_SPLIT, QWEN2_SPLIT  # noqa: E402

CHECKPOINTS = {"F32": "float32", "BF16": "bfloat16"}
# Rows of 256 and more weights, so that they divide into the blocks of every type.
SIZES = {"hidden_size": 256, "intermediate_size": 512}
SPREAD = 0.075
Logits = np.ndarray
HEAD = """# Parity

Made by `python benchmarks/parity.py`; do not edit.
"""
FIRST = """
## With transformers

Random models of each architecture as checkpoints of F32 and of BF16, left as they are or quantised by `ollamax
create`, on the cpu backend. The reference is transformers in float32 arithmetic with the same checkpoint, on {count}
tokens, and one that stands for the picture. The difference is the largest one of any logit, as a share of the largest
logit; KL is the mean divergence of the next-token distributions in nats; agreement counts the positions whose
likeliest token is the same. Random weights are harder to round than trained ones, and their likeliest tokens lie
closer together.
"""
EVERYWHERE = """
## On every backend

The same random models and figures (difference, KL, agreement), on each backend with float32 caches. F32 is beside
transformers, as above. Quantised weights are beside the cpu backend with the same file, so that only what the backend
adds is counted: ggml and ONNX Runtime round what such weights are multiplied with to 8 bits. Metal is MLX on a
processor.

| architecture | weights | cpu | ggml | onnx | metal |
|---|---|---|---|---|---|
"""
BACKENDS = ("cpu", "ggml", "onnx", "metal")
ROUNDED = ("Q8_0", "Q4_0", "Q4_K_M")
TABLE = """
### {title}

| weights | F32 checkpoint: difference | KL | agreement | BF16 checkpoint: difference | KL | agreement |
|---|---|---|---|---|---|---|
"""
SECOND = """
## What quantisation loses

The bundled demo model, whose weights are Q8_0, against itself, on {count} tokens of stories that it tells with seeds
0 to 7. Loss is nats per token of these stories, {base:.4f} for the model as it is. TQ1_0 and TQ2_0 are made for
models that were trained with weights of -1, 0 and 1.

| type | largest difference | KL | agreement | loss | more loss |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """A checkpoint, token ids with pictures, and transformers' logits of them."""

    directory: Path
    ids: list[int]
    pictures: Sequence[bytes]
    expected: Logits


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


def text_case(family: str, split: str) -> Callable[[Path, str], Case]:
    """Makes the case of llama or qwen2, given a folder and the type of the checkpoint."""

    def make(directory: Path, dtype: str) -> Case:
        save_random(family, directory, split, dtype=dtype, initializer_range=SPREAD, **SIZES)
        return Case(directory, IDS, (), reference_logits(directory, IDS))

    return make


def picture_case(pictures: Sequence[bytes]) -> Callable[[Path, str], Case]:
    """The same of mllama."""

    def make(directory: Path, dtype: str) -> Case:
        directory.mkdir()
        save_random_mllama(directory, dtype, text=SIZES)
        with ollamax.load(directory, backend="cpu") as model:
            (token,) = model.tokenizer.encode("<|image|>", add_bos=False)
        ids = [*IDS[:8], *[token] * len(pictures), *IDS[8:]]
        return Case(directory, ids, pictures, picture_logits(directory, ids, pictures, token))

    return make


ARCHITECTURES = {
    "llama": text_case("Llama", LLAMA3_SPLIT),
    "qwen2": text_case("Qwen2", QWEN2_SPLIT),
    "mllama without a picture": picture_case(()),
    "mllama with a picture": picture_case([png(70, 30)]),
}


def file_types(path: Path) -> list[str]:
    """The file types that the model at ``path`` can be written in here."""
    registry = get_registry()
    names = []
    with closing(open_source(path, registry)) as source:
        for name, kind in WRITABLE.items():
            try:
                Quantized(source, kind, registry.writers(), requantize=True)
            except ConversionError:
                continue
            names.append(name)
    return names


def quantised(path: Path, name: str | None, backend: str = "cpu") -> Model:
    """The model at ``path`` as ``create`` writes it."""
    made = create(f"made-{name or 'same'}", Modelfile(from_=str(path)), path.parent, name)
    return ollamax.load(str(made), backend=backend, num_images=1)


def logits_of(case: Case, name: str | None, backend: str = "cpu") -> Logits:
    """What a backend computes with the case's model in the file type ``name``."""
    with quantised(case.directory, name, backend) as model:
        found: Logits = model.logits(case.ids, images=list(case.pictures) or None)
    return found[:, : case.expected.shape[-1]]


def transformers_rows(folder: Path) -> Iterator[str]:
    """The tables of all architectures."""
    yield FIRST.format(count=len(IDS))
    for title in ARCHITECTURES:
        yield from architecture_rows(title, folder)


def architecture_rows(title: str, folder: Path) -> Iterator[str]:
    """The table of one architecture."""
    yield TABLE.format(title=title)
    cases = [
        ARCHITECTURES[title](folder / f"{title}-{name}".replace(" ", "-"), CHECKPOINTS[name]) for name in CHECKPOINTS
    ]
    for name in (None, *file_types(cases[0].directory)):
        cells = []
        for case in cases:
            share, kl, same = compare(logits_of(case, name), case.expected)
            cells.append(f"{share:.1e} | {kl:.1e} | {same}")
        yield f"| {name or 'as in the checkpoint'} | {' | '.join(cells)} |\n"


def backend_rows(folder: Path) -> Iterator[str]:
    """The table of architectures and backends."""
    yield EVERYWHERE
    for title, make in ARCHITECTURES.items():
        case = make(folder / f"{title}-backends".replace(" ", "-"), CHECKPOINTS["F32"])
        for name in ("F32", *ROUNDED):
            expected = case.expected if name == "F32" else logits_of(case, name)
            cells = ["-"]  # of cpu beside itself
            for backend in BACKENDS if name == "F32" else BACKENDS[1:]:
                share, kl, same = compare(logits_of(case, name, backend), expected)
                cells.append(f"{share:.1e}, {kl:.1e}, {same}")
            yield f"| {title} | {name} | {' | '.join(cells[-len(BACKENDS) :])} |\n"


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


def loss_rows() -> Iterator[str]:
    """The demo model in every type that can be written."""
    with ollamax.load("demo", backend="cpu") as model:
        told = stories(model)
        expected = [model.logits(ids)[:-1] for ids in told]
        path = Path(str(model.modelfile.from_))
    base = loss(expected, told)
    yield SECOND.format(count=sum(map(len, told)), base=base)
    for name in file_types(path):
        with quantised(path, name) as model:
            found = [model.logits(ids)[:-1] for ids in told]
        share, kl, same = compare(np.concatenate(found), np.concatenate(expected))
        more = loss(found, told)
        yield f"| {name} | {share:.1e} | {kl:.1e} | {same} | {more:.4f} | {more - base:+.4f} |\n"


PARTS: dict[str, Callable[[Path], Iterator[str]]] = {
    "transformers": transformers_rows,
    "backends": backend_rows,
    "quantisation": lambda _folder: loss_rows(),
}


def kept(page: str, part: str) -> str:
    """What a page holds of a part; empty where it does not."""
    texts = {"transformers": FIRST, "backends": EVERYWHERE, "quantisation": SECOND}
    _, heading, rest = page.partition(texts[part].split("\n\n")[0] + "\n")
    return heading + rest.split("\n## ")[0].rstrip("\n") + "\n" if heading else ""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="make only this one anew")
    given = parser.parse_args()
    page = ROOT / "docs" / "parity.md"
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    with tempfile.TemporaryDirectory() as name:
        os.environ["OLLAMAX_MODELS"] = str(Path(name) / "store")
        parts = [
            "".join(make(Path(name))) if given.part in (None, part) else kept(old, part) for part, make in PARTS.items()
        ]
    page.write_text(HEAD + "".join(parts), encoding="utf-8")
    print("".join(parts))


if __name__ == "__main__":
    main()
