"""Which files of a directory hold the weights: one safetensors file, or the shards that an index names."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from ollamax.convert.safetensors import SafetensorsFile
from ollamax.errors import CheckpointError
from ollamax.json_file import MiB, read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_NUMBERED = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.safetensors", re.ASCII)
_PICKLED = ("*.bin", "*.pt", "*.pth")


def open_shards(directory: Path) -> list[SafetensorsFile]:
    """All weight files of ``directory``, open and checked against its index where it has one.

    ``model.safetensors`` comes first, as in transformers, then the index, then safetensors files that are alone
    or numbered without a gap. Raises CheckpointError, also when a tensor lies in two shards.
    """
    weight_map: dict[str, str] = {}
    if (directory / SINGLE).exists():
        names = [SINGLE]
    elif (directory / INDEX).exists():
        weight_map = _read_index(directory / INDEX)
        names = sorted(set(weight_map.values()))
    else:
        names = _unindexed(directory)
    shards = [SafetensorsFile(plain_file(directory, name)) for name in names]
    _check(shards, weight_map, directory / INDEX)
    return shards


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


def _read_index(path: Path) -> dict[str, str]:
    weight_map = read_object(path, 64 * MiB).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(path, "has no weight_map; expected an object of tensor names to file names")
    for tensor, file in weight_map.items():
        if not isinstance(file, str) or not file.endswith(".safetensors"):
            raise CheckpointError(path, f"{file!a:.60} is no safetensors file name", f"tensor {tensor!a:.100}")
    return weight_map


def _unindexed(directory: Path) -> list[str]:
    names = sorted(path.name for path in directory.glob("*.safetensors"))
    if len(names) <= 1:
        if not names:
            raise CheckpointError(directory, _absence(directory))
        return names
    parts = [match.groups() if (match := _NUMBERED.fullmatch(name)) else None for name in names]
    total = parts[0][2] if parts[0] else "0"
    expected = [(parts[0][0], f"{i:05}", total) for i in range(1, int(total) + 1)] if parts[0] else []
    if parts != expected:
        raise CheckpointError(directory, f"{len(names)} safetensors files, but neither {INDEX} nor a full count")
    return names


def _absence(directory: Path) -> str:
    if any(next(directory.glob(pattern), None) for pattern in _PICKLED):
        return "holds PyTorch weights only (.bin, .pt), not supported yet; save the model as safetensors"
    return f"holds no weights; looked for {SINGLE}, {INDEX} and *.safetensors"


def _check(shards: list[SafetensorsFile], weight_map: dict[str, str], index: Path) -> None:
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
