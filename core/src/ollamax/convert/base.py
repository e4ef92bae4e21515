"""The converter contract: from a Hugging Face checkpoint to GGUF keys and tensor names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ollamax.convert.config import Config

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Extra:
    """A tensor that the checkpoint does not hold but GGUF wants, such as ``rope_freqs.weight``."""

    name: str
    value: Array


class Converter:
    """Maps one family of checkpoints to GGUF; a package returns it from the hook ``ollamax_converters``.

    ::

        class LlamaConverter(Converter):
            checkpoints = ("LlamaForCausalLM",)        # config.json: architectures[0]
            architecture = "llama"                     # general.architecture
            rename = (
                (r"model\\.embed_tokens\\.", "token_embd."),
                (r"model\\.layers\\.(\\d+)\\.self_attn\\.q_proj\\.", r"blk.\\1.attn_q."),
            )

    ``rename`` is tried in order; the first pattern that matches from the start of a name is substituted once.
    ``ignore`` lists patterns of tensors that are left out on purpose (buffers).
    """

    checkpoints: ClassVar[tuple[str, ...]] = ()
    """The names in ``architectures`` of config.json that it converts."""

    architecture: ClassVar[str] = ""
    """The ``general.architecture`` that it makes."""

    rename: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Regular expressions and replacements, from the checkpoint's names of tensors to GGUF's."""

    ignore: ClassVar[tuple[str, ...]] = ()
    """Regular expressions of tensors that are left out."""

    files: ClassVar[tuple[str, ...]] = ()
    """JSON files beside config.json that it reads; their objects are in ``config`` under the files' names."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """``config`` is the parsed config.json; raise ConversionError for a variant that is not supported."""
        self.config = Config(config)

    def hyper_parameters(self) -> dict[str, Any]:
        """GGUF keys and values below ``general.architecture``, such as ``llama.block_count``."""
        raise NotImplementedError

    def embedding_rows(self) -> int:
        """How many tokens the embedding has rows for."""
        return self.config.size("vocab_size")

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The row-major shape, by GGUF name, of every tensor that config.json calls for.

        Tensors of the checkpoint that are missing, not listed or shaped otherwise are reported together, before
        anything is converted. An empty mapping, the default, checks nothing.
        """
        return {}

    def skips(self, name: str) -> bool:
        """Whether the checkpoint's tensor ``name`` is left out; the default follows ``ignore``."""
        return any(re.match(pattern, name) for pattern in self.ignore)

    def transform(self, name: str, value: Array) -> Array:  # noqa: ARG002
        """Change the values of the tensor that is called ``name`` in GGUF; the default keeps them."""
        return value

    def transforms(self, name: str) -> bool:  # noqa: ARG002
        """Whether ``transform`` changes this tensor; others are passed on byte for byte."""
        return False

    def permutes(self, name: str) -> bool:  # noqa: ARG002
        """Whether ``transform`` only moves the values of this tensor.

        It is then given them as they are stored, F16 and BF16 as unsigned integers: that takes a fraction of the
        memory that float32 values would.
        """
        return False

    def splits(self) -> Mapping[str, Mapping[str, int]]:
        """Tensors that the checkpoint holds fused: the name that ``rename`` gives one, to its parts in their order.

        Each part is a GGUF name with its number of rows. The parts go on as if the checkpoint held them.
        """
        return {}

    def copies(self) -> Mapping[str, str]:
        """Tensors to make of one that has another name in GGUF too: new name to that name.

        ``transform`` is called for each of the two with its own name.
        """
        return {}

    def extras(self) -> Iterable[Extra]:
        """Tensors to add."""
        return ()
