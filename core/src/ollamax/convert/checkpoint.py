"""A Hugging Face directory: config.json and the weights, opened safely."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.convert.shards import open_shards
from ollamax.convert.weight_file import StoredTensor, WeightFile
from ollamax.errors import CheckpointError
from ollamax.json_file import MiB, read_object

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONFIG = "config.json"


class Checkpoint:
    """An open Hugging Face directory.

    ``config`` is the parsed config.json, ``architecture`` its first ``architectures`` entry
    (``LlamaForCausalLM``), and ``tensors`` holds the tensors of all shards by the checkpoint's own names.
    Raises CheckpointError.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config: dict[str, Any] = _read_config(directory)
        self.architecture = _architecture(directory / CONFIG, self.config)
        self._files: dict[str, WeightFile] = {}
        self.tensors: dict[str, StoredTensor] = {}
        for shard in open_shards(directory):
            self.tensors.update(shard.tensors)
            self._files.update(dict.fromkeys(shard.tensors, shard))

    def tensor_bytes(self, name: str) -> npt.NDArray[np.uint8]:
        """The stored bytes of one tensor (uint8, flat, read-only): a view of the mapped file."""
        return self._files[name].tensor_bytes(name)

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files.values():
            file.close()


def _read_config(directory: Path) -> dict[str, Any]:
    if not directory.is_dir():
        raise CheckpointError(directory, "not a directory")
    if not (directory / CONFIG).exists():
        raise CheckpointError(directory, f"no model; looked for a Hugging Face {CONFIG} and weights")
    config = read_object(directory / CONFIG, 8 * MiB)
    quantization = config.get("quantization_config")
    if quantization is not None:
        method = _method(quantization)
        raise CheckpointError(
            directory / CONFIG,
            f"weights quantised with {method!r:.60} are not supported; use the model in F32, F16 or BF16",
            where="quantization_config",
        )
    return config


def _method(quantization: object) -> object:
    """How the weights were quantised; configs of bitsandbytes from before transformers 4.30 do not name it."""
    if not isinstance(quantization, dict):
        return quantization
    unnamed = "bitsandbytes" if {"load_in_8bit", "load_in_4bit"} & quantization.keys() else "an unnamed method"
    return quantization.get("quant_method") or unnamed


def _architecture(path: Path, config: dict[str, Any]) -> str:
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise CheckpointError(path, 'expected a list with a name such as ["LlamaForCausalLM"]', where="architectures")
    return architectures[0]
