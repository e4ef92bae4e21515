"""Which files of a directory hold the weights: one file, or the shards that an index names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from ollamax.convert.safetensors import SafetensorsFile
from ollamax.convert.torch_file import TorchFile
from ollamax.convert.weight_file import WeightFile
from ollamax.errors import CheckpointError
from ollamax.json_file import MiB, read_object

_PICKLED = ("*.bin", "*.pt", "*.pth")


@dataclass(frozen=True, slots=True)
class _Format:
    """A format of weights: the names that its files have, and what opens one.

    ``others`` is a pattern of files that hold weights though neither ``single`` nor ``index`` names them.
    """

    title: str
    single: str
    index: str
    suffix: str
    others: str
    open: Callable[[Path], WeightFile]

    def numbered(self, name: str) -> tuple[str, str, str] | None:
        """Stem, number and count of ``model-00001-of-00003.safetensors``."""
        match = re.fullmatch(r"(.*)-([0-9]{5})-of-([0-9]{5})" + re.escape(self.suffix), name, re.ASCII)
        return (match[1], match[2], match[3]) if match else None


SAFETENSORS = _Format(
    "safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    ".safetensors",
    "*.safetensors",
    SafetensorsFile,
)
# Not every .bin: trainers leave their own state beside the weights.
PYTORCH = _Format(
    "PyTorch", "pytorch_model.bin", "pytorch_model.bin.index.json", ".bin", "pytorch_model-*.bin", TorchFile
)
# A state dict under a name of the author's choice.
STATE_DICT = _Format("PyTorch", "consolidated.pth", "consolidated.pth.index.json", ".pth", "*.pth", TorchFile)
_FORMATS = (SAFETENSORS, PYTORCH, STATE_DICT)


def open_shards(directory: Path) -> list[WeightFile]:
    """All weight files of ``directory``, open and checked against its index where it has one.

    ``model.safetensors`` comes first, as in transformers, then its index, then safetensors files that are alone
    or numbered without a gap; then the same for ``pytorch_model.bin``, and last a ``.pth`` file. Raises
    CheckpointError, also when a tensor lies in two shards.
    """
    for kind in _FORMATS:
        weight_map: dict[str, str] = {}
        if (directory / kind.single).exists():
            names = [kind.single]
        elif (directory / kind.index).exists():
            weight_map = _read_index(directory / kind.index, kind)
            names = sorted(set(weight_map.values()))
        else:
            names = _unindexed(directory, kind)
        if names:
            shards = [kind.open(plain_file(directory, name)) for name in names]
            _check(shards, weight_map, directory / kind.index)
            return shards
    raise CheckpointError(directory, _absence(directory))


def plain_file(directory: Path, name: str) -> Path:
    """``directory/name`` if ``name`` is a plain name of an existing file inside ``directory``.

    A link may not leave the directory, except from a Hugging Face cache's snapshot to that cache's own blobs.
    """
    plain = {PurePosixPath(name).name, PureWindowsPath(name).name} == {name}
    if not plain or name in ("", "..") or not name.isprintable():
        raise CheckpointError(directory, "a shard must be a plain file name in the directory", f"{name!a:.100}")
    path, root = directory / name, directory.resolve()
    if not path.is_file():
        raise CheckpointError(directory, "is missing; download the whole model", f"{name!a:.100}")
    homes = [root]
    if root.parent.name == "snapshots":
        homes.append(root.parent.parent / "blobs")
    if not any(path.resolve().is_relative_to(home) for home in homes):
        raise CheckpointError(directory, "a link that leaves the directory", f"{name!a:.100}")
    return path


def _read_index(path: Path, kind: _Format) -> dict[str, str]:
    weight_map = read_object(path, 64 * MiB).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(path, "has no weight_map; expected an object of tensor names to file names")
    for tensor, file in weight_map.items():
        if not isinstance(file, str) or not file.endswith(kind.suffix):
            raise CheckpointError(path, f"{file!a:.60} is no {kind.suffix[1:]} file name", f"tensor {tensor!a:.100}")
    return weight_map


def _unindexed(directory: Path, kind: _Format) -> list[str]:
    names = sorted(path.name for path in directory.glob(kind.others))
    parts = [kind.numbered(name) for name in names]
    if not parts or parts == [None]:
        return names
    total = parts[0][2] if parts[0] else "0"
    expected = [(parts[0][0], f"{i:05}", total) for i in range(1, int(total) + 1)] if parts[0] else []
    if parts != expected:
        shown = f"only {names[0]!a:.100}" if len(names) == 1 else f"{len(names)} {kind.suffix[1:]} files"
        problem = f"{shown}, but neither {kind.index} nor a full count; download the whole model"
        raise CheckpointError(directory, problem)
    return names


def _absence(directory: Path) -> str:
    looked = f"looked for {SAFETENSORS.single}, {SAFETENSORS.index}, *.safetensors, {PYTORCH.single} and *.pth"
    others = sorted(path.name for pattern in _PICKLED for path in directory.glob(pattern))
    if others:
        return f"holds no weights by a known name, but {others[0]!a:.60}; {looked}"
    return f"holds no weights; {looked}"


def _check(shards: list[WeightFile], weight_map: dict[str, str], index: Path) -> None:
    home: dict[str, Path] = {}
    for shard in shards:
        for tensor in shard.tensors:
            if tensor in home:
                raise CheckpointError(shard.path, f"also lies in {home[tensor].name}", f"tensor {tensor}")
            home[tensor] = shard.path
    for tensor, file in weight_map.items():
        if tensor not in home or home[tensor].name != file:
            where = f"tensor {tensor!a:.100}"
            raise CheckpointError(index, f"is not in {file}, where the index places it", where)
