"""The names in GGUF of transformers' modules, as a converter's rename table implies them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.convert.base import Converter
from ollamax.convert.mapping import gguf_name

_LEAVES = ("weight", "bias")


class ModuleNames:
    """``weighted`` maps paths of modules that have a weight to names, ``results`` those and the blocks around them.

    A block is the outermost module all of whose weights lie below one name, such as ``blk.0``. ``parts`` are those of a
    name whose weight the converter splits, with the number of rows of each.
    """

    def __init__(self, model: Any, converter: Converter) -> None:
        self.weighted: dict[str, str] = {}
        self.parts: dict[str, dict[str, int]] = {}
        prefix = model.base_model_prefix
        for path, _ in model.named_parameters(remove_duplicate=False):
            # A model that is a part of a larger one leaves out the name of that part.
            name = gguf_name(converter, path) or gguf_name(converter, f"{prefix}.{path}")
            module, _, leaf = path.rpartition(".")
            if name and leaf in _LEAVES and name.endswith(f".{leaf}"):
                self.weighted[module] = name.removesuffix(f".{leaf}")
        for fused, rows in converter.splits().items():
            if fused.endswith(".weight"):
                parts = {part.removesuffix(".weight"): count for part, count in rows.items()}
                self.parts[fused.removesuffix(".weight")] = parts
        self.results = dict(self.weighted)
        lists = {path for path, module in model.named_modules() if type(module).__name__ == "ModuleList"}
        for path, _ in model.named_modules():
            block = self.block(path)
            if block and path not in lists and block not in self.results.values():
                self.results[path] = block

    @property
    def modules(self) -> frozenset[str]:
        """What our modules with weights are called, those that transformers fuses one by one."""
        return frozenset(part for name in self.weighted.values() for part in self.parts.get(name, (name,)))

    def block(self, path: str) -> str:
        """The name below which all weights of the module at ``path`` lie; empty if there is none."""
        below = [name for module, name in self.weighted.items() if path and module.startswith(f"{path}.")]
        return _shared_path(below)


def row_order(converter: Converter, name: str, rows: int) -> npt.NDArray[np.int64] | None:
    """How the converter reorders the ``rows`` of the tensor ``name``; None if it leaves them in their order.

    What a projection gives is reordered as its rows are.
    """
    if not converter.permutes(name):
        return None
    numbers = np.arange(rows, dtype=np.uint32)
    try:
        order = np.asarray(converter.transform(name, numbers[:, None]), np.int64).reshape(-1)  # type: ignore[arg-type]
    except ValueError:  # it moves something else than rows
        return None
    return order if np.array_equal(np.sort(order), numbers) else None


def _shared_path(names: Iterable[str]) -> str:
    shared = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
