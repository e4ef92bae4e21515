"""The pages of nn and of caches."""

from __future__ import annotations

import inspect
from typing import get_args

from docstring import markdown
from entry import class_entry, function_entry
from ollamax import kvcache
from ollamax.ml import nn
from ollamax.ml import tensor as tensors


def building_blocks() -> str:
    """What a model's ``forward`` is written with: modules, functions, and the tensor itself."""
    public = [getattr(nn, name) for name in nn.__all__]
    pairings = ", ".join(f"`{name}`" for name in get_args(nn.Pairing))
    functions = [
        function_entry(name, member, 3)
        for name, member in vars(tensors).items()
        if inspect.isfunction(member) and member.__module__ == tensors.__name__
    ]
    return "\n\n".join(
        [
            "# Building blocks (nn)",
            markdown(nn.__doc__),
            "Modules take no sizes: the file has them. Each attribute of a module that is a module, a list of modules "
            "or a parameter gives part of a tensor's name: `self.blk[3].attn_q.weight` is `blk.3.attn_q.weight`.",
            f"A `Pairing` is one of {pairings}.",
            "## Modules",
            *(class_entry(member, 3) for member in public if inspect.isclass(member)),
            "## Functions",
            *(function_entry(member.__name__, member, 3) for member in public if inspect.isfunction(member)),
            "## Tensors",
            "From `ollamax.ml` and `ollamax.ml.tensor`; every [op](ops.md) can be written as `apply(Op.NAME, ...)`.",
            class_entry(tensors.Tensor, 3),
            *functions,
        ]
    )


def caches() -> str:
    """What a model keeps of earlier tokens and pictures."""
    return "\n\n".join(
        [
            "# Caches",
            "What `Architecture.cache` returns, and what `forward` asks of it while it is traced. How the host keeps "
            "the book of them is told in [Architecture](../architecture.md#the-cache).",
            *(class_entry(getattr(kvcache, name)) for name in kvcache.__all__),
        ]
    )
