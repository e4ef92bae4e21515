"""Random Hugging Face checkpoints, described in JSON: ``python -m ollamax.testing.random_checkpoint JSON DIRECTORY``.

::

    {
        "config": {"architectures": ["PoemForCausalLM"], "num_hidden_layers": 2, "hidden_size": 64, ...},
        "shapes": {
            "model.embed_tokens.weight": ["vocab_size", 64],
            "model.layers.*.self_attn.q_proj.weight": [64, 64],
            ...
        }
    }

``config`` is config.json, to which ``vocab_size`` is added. ``shapes`` are row-major, by the checkpoint's own names; a
star stands for the number of every layer, up to ``num_hidden_layers``.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.errors import OllamaxError, UsageError
from ollamax.json_file import read_object
from ollamax.new_directory import new_directory
from ollamax.testing.byte_level import save_byte_level

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

_VOCABULARY = "vocab_size"


@dataclass(frozen=True)
class RandomCheckpoint:
    """A checkpoint of float32, see the module; ``tokenizer`` writes one to a directory and returns its size."""

    config: Mapping[str, Any]
    shapes: Mapping[str, Sequence[int | str]]
    tokenizer: Callable[[Path], int] = save_byte_level

    @classmethod
    def read(cls, path: Path) -> RandomCheckpoint:
        """What the file describes; raises an OllamaxError for one that is no such file."""
        found = read_object(path)
        if found.keys() != {"config", "shapes"} or not all(isinstance(part, dict) for part in found.values()):
            raise UsageError(f"{path}: expected an object of config and shapes, each an object")
        return cls(found["config"], found["shapes"])

    def save(self, directory: Path) -> Path:
        """Write the new ``directory``: config.json, model.safetensors and a tokenizer, the same at every call.

        Raises UsageError for one that exists, and for shapes that are none.
        """
        from safetensors.numpy import save_file

        with new_directory(directory) as folder:
            vocabulary = self.tokenizer(folder)
            tensors = {name: _values(name, shape) for name, shape in self._expanded(vocabulary)}
            values = {**self.config, _VOCABULARY: vocabulary}
            (folder / "config.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
            save_file(tensors, folder / "model.safetensors")
        return directory

    def _expanded(self, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        layers = self.config.get("num_hidden_layers")
        for pattern, given in self.shapes.items():
            if not isinstance(given, list | tuple):
                raise UsageError(f"{pattern}: shape {given!r:.60}; expected a list")
            shape = tuple(vocabulary if size == _VOCABULARY else size for size in given)
            if not all(isinstance(size, int) and size > 0 for size in shape):
                raise UsageError(f"{pattern}: shape {list(given)}; expected whole numbers from 1 on, or 'vocab_size'")
            if "*" not in pattern:
                yield pattern, shape
            elif isinstance(layers, int):
                yield from ((pattern.replace("*", str(layer)), shape) for layer in range(layers))
            else:
                raise UsageError(f"{pattern}: config has no num_hidden_layers, which the star counts up to")


def _values(name: str, shape: tuple[int, ...]) -> Array:
    """Norms around one, biases of some size, matrices that keep the size of what they multiply."""
    import numpy as np

    random = np.random.default_rng(zlib.crc32(name.encode()))  # whatever other tensors there are
    if "norm" in name:
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = 0.2 if name.endswith("bias") else 1.2 / shape[-1] ** 0.5
    return (random.normal(size=shape) * scale).astype(np.float32)


def main(arguments: Sequence[str]) -> int:
    """Write the checkpoint that a file describes; the exit status."""
    try:
        if len(arguments) != 2:
            raise UsageError("usage: python -m ollamax.testing.random_checkpoint JSON DIRECTORY")
        RandomCheckpoint.read(Path(arguments[0])).save(Path(arguments[1]))
    except OllamaxError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
