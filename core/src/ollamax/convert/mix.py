"""Which storage type each tensor of a quantised model gets: the per-tensor choices of llama.cpp."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ollamax.convert.file_type import FileType
from ollamax.gguf import Metadata
from ollamax.types import DType, TensorInfo

_VISION = ("v.", "mm.")
# Small, or used otherwise than in a product: kept as they are.
_KEPT = (
    *("_norm.weight", "ffn_gate_inp.weight", "ssm_conv1d", "shortconv.conv.weight", "attn_rel_b.weight"),
    *("position_embd", "token_types.weight", "altup", "laurel", "per_layer_model_proj", "time_mix_"),
)
_ROLES = ("attn_qkv", "attn_kv_b", "attn_v", "attn_k", "attn_q", "attn_output", "ffn_up", "ffn_gate", "ffn_down")
_VALUES = ("attn_qkv", "attn_kv_b", "attn_v")
# What stands in for a type whose blocks do not divide the rows.
_NARROWER = {
    DType.Q2_K: DType.Q4_0,
    DType.Q3_K: DType.Q4_0,
    DType.Q4_K: DType.Q5_0,
    DType.Q5_K: DType.Q5_1,
    DType.Q6_K: DType.Q8_0,
    DType.IQ3_S: DType.IQ4_NL,
    DType.IQ4_XS: DType.IQ4_NL,
    DType.TQ1_0: DType.Q4_0,
    DType.TQ2_0: DType.Q4_0,
}
_BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class _Model:
    """What the choices depend on: layers, query heads that share one key and value head, and experts."""

    blocks: int
    shared: int
    experts: int
    untied: bool
    large: bool  # one of llama.cpp's "70B" models, which have few and precious value weights

    @classmethod
    def of(cls, metadata: Mapping[str, Any], tensors: Collection[str]) -> _Model:
        values = Metadata(metadata, "the model")
        family = values.string("general.architecture", "")

        def first(key: str, default: int) -> int:
            found = metadata.get(f"{family}.{key}", default)
            if isinstance(found, int):
                return found
            return int(values.integers(f"{family}.{key}")[0])  # one for each layer

        blocks, heads = first("block_count", 0), first("attention.head_count", 1)
        shared = heads // max(1, first("attention.head_count_kv", heads))
        large = blocks == 80 and (family == "qwen2" or (family == "llama" and shared > 1))
        return cls(blocks, shared, first("expert_count", 0), "output.weight" in tensors, large)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor stands: ``index`` among the ``count`` tensors of its role."""

    role: str
    index: int
    count: int

    @property
    def first_eighth(self) -> bool:
        return self.index < self.count // 8

    @property
    def precious(self) -> bool:
        """Whether it is in the first or last eighth of the layers, or in every third one between."""
        first, last = self.count // 8, 7 * self.count // 8
        return self.index < first or self.index >= last or (self.index - first) % 3 == 2


def choose_types(
    kind: FileType, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, Any], writable: Collection[DType]
) -> dict[str, TensorInfo]:
    """Every tensor, in its order, with the type that it has in a file of ``kind``.

    The choices are those of llama.cpp (src/llama-quant.cpp, as of llama-cpp-python 0.3.36) without an importance
    matrix, for all architectures but Falcon. Two things are not: tensors of vision encoders and projectors stay as
    they are, as Ollama leaves them; and where Q6_K, which llama.cpp takes for the output matrix, is not ``writable``,
    a file of another base type has Q8_0 there.
    """
    model = _Model.of(metadata, tensors)
    places = _places(tensors, model)
    return {
        name: TensorInfo(name, _choose(kind, info, places[name], model, writable), info.shape)
        for name, info in tensors.items()
    }


def _places(tensors: Mapping[str, TensorInfo], model: _Model) -> dict[str, _Place]:
    roles = {name: next((role for role in _ROLES if _has_role(name, role)), "") for name in tensors}
    values = sum(role in _VALUES for role in roles.values())
    seen, places = Counter[str](), {}
    for name in sorted(tensors, key=_file_order):
        role = roles[name]
        counter = "values" if role in _VALUES else role
        index = seen[counter]
        seen[counter] += 1
        block = _BLOCK.match(name)
        if model.experts > 1 and block and role.startswith("ffn_"):
            index = int(block[1])  # the experts of a layer are several tensors
        places[name] = _Place(role, index, values if role in _VALUES else model.blocks)
    return places


def _has_role(name: str, role: str) -> bool:
    return (role if role.startswith("ffn_") else f"{role}.weight") in name


def _file_order(name: str) -> tuple[int, str]:
    """llama.cpp walks through tensors by layer, then by name; those outside of the layers come first."""
    block = _BLOCK.match(name)
    return (int(block[1]) if block else -1, name)


def _choose(kind: FileType, info: TensorInfo, place: _Place, model: _Model, writable: Collection[DType]) -> DType:
    name = info.name
    kept = len(info.shape) < 2 or not name.endswith(".weight") or any(part in name for part in _KEPT)
    if kept or name.startswith(_VISION):
        return info.dtype
    if not kind.base.is_quantized:
        return kind.base
    if name == "output.weight" or (name == "token_embd.weight" and not model.untied):
        chosen = _output(kind, info, writable)
    elif name == "token_embd.weight":
        chosen = DType.Q4_K if kind.name in ("TQ1_0", "TQ2_0") else kind.base
    else:
        chosen = _by_role(kind, place, model)
    if info.shape[-1] % chosen.block_size:
        chosen = _NARROWER.get(chosen, chosen)
    return DType.F16 if info.shape[-1] % chosen.block_size else chosen


def _output(kind: FileType, info: TensorInfo, writable: Collection[DType]) -> DType:
    if kind.base is DType.Q8_0 or info.shape[-1] % kind.base.block_size:
        return DType.Q8_0
    return DType.Q6_K if DType.Q6_K in writable or kind.base not in writable else DType.Q8_0


def _by_role(kind: FileType, place: _Place, model: _Model) -> DType:
    if place.role in _VALUES:
        return _value(kind, place, model)
    if place.role == "attn_k" and model.experts == 8:
        return DType.Q8_0
    if place.role == "attn_output":
        return _attention_output(kind, model)
    if place.role == "ffn_down":
        return _down(kind, place, model)
    return kind.base


def _value(kind: FileType, place: _Place, model: _Model) -> DType:
    chosen, shared = kind.base, model.shared >= 4
    match kind.name:
        case "Q2_K":
            chosen = DType.Q4_K if shared else DType.Q3_K
        case "Q3_K_M":
            chosen = DType.Q5_K if place.index < 2 else DType.Q4_K
        case "Q3_K_L":
            chosen = DType.Q5_K
        case "Q4_K_S" if place.index < 4:
            chosen = DType.Q5_K
        case "Q4_K_M" | "Q5_K_M" if place.precious:
            chosen = DType.Q6_K
        case "IQ3_S" if shared:
            chosen = DType.Q4_K
        case "IQ3_M":
            chosen = DType.Q4_K
        case "IQ4_NL" | "IQ4_XS" if shared:
            chosen = DType.Q5_K
    if model.large and chosen in (DType.Q3_K, DType.Q4_K):
        chosen = DType.Q5_K
    return DType.Q8_0 if model.experts == 8 else chosen


def _attention_output(kind: FileType, model: _Model) -> DType:
    if model.experts == 8:
        fine = ("Q2_K", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS")
        return DType.Q5_K if kind.name in fine else kind.base
    chosen = {"Q2_K": DType.Q3_K, "Q3_K_M": DType.Q4_K, "Q3_K_L": DType.Q5_K, "IQ3_M": DType.Q4_K}
    return chosen.get(kind.name, kind.base)


def _down(kind: FileType, place: _Place, model: _Model) -> DType:
    match kind.name:
        case "Q2_K":
            return DType.Q3_K
        case "Q3_K_M":
            return DType.Q5_K if place.index < place.count // 16 else DType.Q4_K
        case "Q3_K_L":
            return DType.Q5_K
        case "Q4_K_M" | "Q5_K_M" if place.precious:
            return DType.Q6_K
        case "Q4_K_S" | "IQ4_NL" | "IQ4_XS" if place.first_eighth:
            return DType.Q5_K
        case "IQ3_M" if place.first_eighth or (model.experts == 8 and place.precious):
            return DType.Q4_K
    return kind.base
