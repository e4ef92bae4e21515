"""What is known about a model without running it."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ollamax.engine.resolve import ResolvedModel
from ollamax.engine.source import open_source
from ollamax.plugins import get_registry
from ollamax.template import choose_template


@dataclass(frozen=True, slots=True)
class Description:
    """``details`` are label and value of what a person is shown; ``info`` is the metadata without its arrays."""

    model: ResolvedModel
    details: dict[str, str]
    info: dict[str, Any]
    template: str
    template_kind: str

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Name and value of each PARAMETER line."""
        return [(name, value) for name, values in self.model.modelfile.parameters.items() for value in values]

    def document(self) -> dict[str, Any]:
        """For ``--json``, with the keys of Ollama's API where it has them."""
        modelfile = self.model.modelfile
        return {
            "name": self.model.name,
            "kind": str(self.model.kind),
            "path": str(self.model.path),
            "license": "\n\n".join(modelfile.licenses),
            "modelfile": str(modelfile),
            "parameters": modelfile.parameters,
            "template": self.template,
            "template_kind": self.template_kind,
            "system": modelfile.system or "",
            "messages": [{"role": turn.role, "content": turn.content} for turn in modelfile.messages],
            "details": {
                "format": "gguf" if self.model.path.is_file() else "safetensors",
                "family": self.details.get("architecture"),
                "families": [self.details.get("architecture")],
                "parameter_size": self.details["parameters"],
                "quantization_level": self.details["quantization"],
            },
            "model_info": self.info,
        }


def describe(model: ResolvedModel) -> Description:
    """Read the file or checkpoint; raises an OllamaxError where that is no model or its template no good."""
    from ollamax.convert.file_type import file_type_name
    from ollamax.store.image import short_count

    with closing(open_source(model.path, get_registry())) as source:
        metadata = source.metadata
        architecture = metadata.get("general.architecture")
        details = {
            "architecture": architecture,
            "parameters": short_count(sum(tensor.elements for tensor in source.tensors.values())),
            "context length": metadata.get(f"{architecture}.context_length"),
            "embedding length": metadata.get(f"{architecture}.embedding_length"),
            "quantization": file_type_name(metadata.get("general.file_type")),
        }
        template = choose_template(model.modelfile.template, metadata).source
        info = {key: value for key, value in metadata.items() if _is_plain(value)}
    kind = "Go, of the Modelfile" if model.modelfile.template is not None else "Jinja, of the model file"
    known = {label: str(value) for label, value in details.items() if value is not None}
    return Description(model, known, info, template, kind if template else "none, text is continued as it is")


def _is_plain(value: object) -> bool:
    """Whether JSON can hold ``value``, and a reader will want it."""
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
