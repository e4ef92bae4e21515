"""What onnxruntime-genai runs of a GGUF file: its own model builder makes it, from the file's values.

The values go to a Hugging Face directory in float16, and the builder rounds them to symmetric blocks of 32 elements in
4 bits (RTN), with products in int8 (accuracy level 4). Rounding a Q4_0 block again finds the same scale, for the
largest value of a block is -8 times the scale in both formats. What differs is the matrix of the logits: 8 bits in
blocks of 32, where Q4_0 files have Q6_K or Q8_0. (By the builder's defaults it has 4 bits.)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.convert.base import Converter
from ollamax.convert.mapping import gguf_name
from ollamax.gguf import open_gguf
from ollamax.gguf.reader import GGUFFile
from ollamax.inspect.module_names import row_order
from ollamax.ml.dtype import dequantize
from ollamax.plugins import get_registry
from ollamax.testing.byte_level import save_byte_level

CHECKPOINTS = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
LAYER = (
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
    *("input_layernorm", "post_attention_layernorm"),
)
OPTIONS = (
    *("block_size=32", "is_symmetric=true", "accuracy_level=4", "algo_config=default"),
    "matmul_mixed_precision=last_matmul:int8",
)
ORIGIN = "made-from.json"
"""The file in a built model that says what it was made of."""


def built_model(path: Path, python: str) -> Path:
    """The directory of the model that the builder of ``python`` makes of ``path``, beside it.

    One that is there is taken if it was made of the same file, by the same version and with the same options.
    Raises SystemExit where that Python has no onnxruntime-genai, or its builder fails.
    """
    made, origin = path.with_suffix(".genai"), describe(path, python)
    if (made / ORIGIN).is_file() and (made / ORIGIN).read_text("utf-8") == origin:
        return made
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        checkpoint, new, log = Path(name, "checkpoint"), Path(name, "new"), Path(name, "log")
        write_checkpoint(path, checkpoint)
        command = [python, "-m", "onnxruntime_genai.models.builder", "-i", str(checkpoint), "-o", str(new)]
        command += ["-p", "int4", "-e", "cpu", "-c", name, "--extra_options", *OPTIONS]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
        with log.open("wb") as out:
            status = subprocess.run(command, env=offline, stdout=out, stderr=out, check=False).returncode
        if status:
            last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
            raise SystemExit(f"--genai {python}: its model builder made nothing of {path.name}: {last}")
        (new / ORIGIN).write_text(origin, "utf-8")
        if made.exists():
            shutil.rmtree(made)
        new.rename(made)
    return made


def describe(path: Path, python: str) -> str:
    """What a built model depends on, as JSON; raises SystemExit where that Python has no onnxruntime-genai."""
    if shutil.which(python) is None:
        raise SystemExit(f"--genai {python}: no such program; give the Python that has onnxruntime-genai")
    ask = "from importlib.metadata import version; print(version('onnxruntime-genai'))"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"--genai {python}: it has no onnxruntime-genai; install it there with pip")
    state = path.stat()
    parts = {"version": found.stdout.strip(), "options": OPTIONS, "bytes": state.st_size, "changed": state.st_mtime_ns}
    return json.dumps(parts)


def write_checkpoint(path: Path, directory: Path) -> None:
    """A GGUF file's values as a Hugging Face checkpoint in float16, with a small tokenizer that only the builder wants.

    Raises KeyError for an architecture that is not in ``CHECKPOINTS``.
    """
    from safetensors.numpy import save_file

    directory.mkdir()
    save_byte_level(directory)
    with open_gguf(path) as file:
        config = checkpoint_config(file)
        converter = get_registry().converters[config["architectures"][0]](config)
        save_file(dict(values(file, converter)), directory / "model.safetensors", {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config), "utf-8")


def checkpoint_config(file: GGUFFile) -> dict[str, Any]:
    """config.json of a file of benchmarks/random_models.py."""
    keys = file.metadata
    family = keys["general.architecture"]
    return {
        "architectures": [CHECKPOINTS[family]],
        "model_type": family,
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "hidden_size": keys[f"{family}.embedding_length"],
        "intermediate_size": keys[f"{family}.feed_forward_length"],
        "num_hidden_layers": keys[f"{family}.block_count"],
        "num_attention_heads": keys[f"{family}.attention.head_count"],
        "num_key_value_heads": keys[f"{family}.attention.head_count_kv"],
        "rms_norm_eps": keys[f"{family}.attention.layer_norm_rms_epsilon"],
        "rope_theta": keys[f"{family}.rope.freq_base"],
        "max_position_embeddings": keys[f"{family}.context_length"],
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def values(file: GGUFFile, converter: Converter) -> Iterator[tuple[str, npt.NDArray[np.float16]]]:
    """The tensors of a checkpoint by its names, rows in its order.

    A tied embedding comes twice: of one that the logits share, in 8 bits, the builder makes a model that has no such
    weight.
    """
    layers = range(int(converter.config["num_hidden_layers"]))
    modules = ["model.embed_tokens", "model.norm", "lm_head"]
    modules += [f"model.layers.{layer}.{module}" for layer in layers for module in LAYER]
    for source in (f"{module}.{leaf}" for module in modules for leaf in ("weight", "bias")):
        name = gguf_name(converter, source) or ""
        if name == "output.weight" and name not in file.tensors:
            name = "token_embd.weight"
        info = file.tensors.get(name)
        if info is None:
            continue
        value = dequantize(file.tensor_bytes(info.name), info.dtype, info.shape)
        order = row_order(converter, info.name, info.shape[0])
        yield source, (value if order is None else value[np.argsort(order)]).astype(np.float16)
