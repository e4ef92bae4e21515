"""What the plugins provide, and errors that say how to get what they do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ollamax.errors import ArchitectureError, BackendError, ConversionError, ModelNotFoundError
from ollamax.plugins import index
from ollamax.plugins.candidate import normal_name

if TYPE_CHECKING:
    from ollamax.arch.base import Architecture
    from ollamax.backend.base import Backend
    from ollamax.convert.base import Converter
    from ollamax.convert.quantizer import Quantizer, Quantizers
    from ollamax.plugins.bundled import BundledModel
    from ollamax.plugins.validation import Provided
    from ollamax.tokenizer.base import PreTokenizer, Tokenizer
    from ollamax.types import DType, TensorSource


@dataclass
class Registry:
    """The classes and models of all plugins that loaded.

    ``architectures`` maps every name and alias, ``converters`` every checkpoint class (``architectures[0]`` of
    config.json); ``absent`` maps a normalised distribution that is installed and did not load to the reason.
    """

    architectures: dict[str, type[Architecture]] = field(default_factory=dict)
    converters: dict[str, type[Converter]] = field(default_factory=dict)
    tokenizers: list[type[Tokenizer] | type[PreTokenizer]] = field(default_factory=list)
    backends: dict[str, type[Backend]] = field(default_factory=dict)
    quantizers: list[type[Quantizer]] = field(default_factory=list)
    models: dict[str, BundledModel] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def architecture(self, name: str) -> type[Architecture]:
        """The class for a file's ``general.architecture``; raises ArchitectureError."""
        if name in self.architectures:
            return self.architectures[name]
        way_out = self._way_out(index.provider("architectures", name))
        raise ArchitectureError(f"architecture {name!r:.80} is not installed ({_have(self.architectures)}); {way_out}")

    def converter_for(self, checkpoint: str) -> type[Converter]:
        """The converter for a checkpoint class such as "LlamaForCausalLM"; raises ConversionError."""
        if checkpoint in self.converters:
            return self.converters[checkpoint]
        way_out = self._way_out(index.provider("checkpoints", checkpoint))
        raise ConversionError(
            f"no converter for checkpoints of {checkpoint!r:.80} is installed ({_have(self.converters)}); {way_out}"
        )

    def backend(
        self,
        name: str = "auto",
        source: TensorSource | None = None,
        *,
        splitting: bool = False,
        device: str | None = None,
    ) -> type[Backend]:
        """The backend called ``name``, or for ``auto`` the fastest here for the weights of ``source``.

        ``splitting`` asks ``auto`` for one that splits a model with a graphics processor, where any is installed, and
        ``device`` for one that has it. Raises BackendError.
        """
        from ollamax.backend.ranking import choose

        if not self.backends:
            raise BackendError(f"no backend is installed; {self._way_out(index.provider('backends', 'cpu'))}")
        if name != "auto" and name not in self.backends:
            way_out = self._way_out(index.provider("backends", name))
            raise BackendError(f"backend {name!r:.80} is not installed ({_have(self.backends)}); {way_out}")
        able = {key: kind for key, kind in self.backends.items() if kind.takes_gpu_layers} if splitting else {}
        candidates = able if able and name == "auto" else self.backends
        return choose(candidates, name, None if source is None else _stored(source), device)

    def model(self, name: str) -> BundledModel:
        """The bundled model called ``name``; raises ModelNotFoundError."""
        if name in self.models:
            return self.models[name]
        raise ModelNotFoundError(f"no plugin brings a model {name!r:.80} ({_have(self.models)})")

    def writers(self) -> Quantizers:
        """What writes storage types here: core, and the quantizers that plugins bring."""
        from ollamax.convert.quantizer import Quantizers

        return Quantizers(self.quantizers, self._way_out(index.provider("backends", "ggml")))

    def add(self, provided: Iterable[Provided]) -> None:
        """Take in what one plugin provides; its names have been claimed."""
        tables: Mapping[str, dict[str, Any]] = {
            "architecture": self.architectures,
            "checkpoint": self.converters,
            "backend": self.backends,
            "model": self.models,
        }
        for thing in provided:
            if thing.kind in tables:
                tables[thing.kind].update(dict.fromkeys(thing.names, thing.item))
            elif thing.kind == "quantizer":
                self.quantizers.append(thing.item)
            else:
                self.tokenizers.append(thing.item)

    def _way_out(self, distribution: str | None) -> str:
        if distribution is None:
            return "install a plugin that provides it; see ollamax list-plugins"
        if reason := self.absent.get(normal_name(distribution)):
            return f"{distribution} provides it but did not load: {reason}"
        return f"pip install {distribution}"


def _stored(source: TensorSource) -> dict[DType, int]:
    """Bytes by type."""
    found: dict[DType, int] = {}
    for info in source.tensors.values():
        found[info.dtype] = found.get(info.dtype, 0) + info.nbytes
    return found


def _have(names: Iterable[str]) -> str:
    return "installed: " + (", ".join(sorted(names)) or "none")
