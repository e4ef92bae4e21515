"""The vision part of a MllamaForConditionalGeneration checkpoint: its names, keys, shapes and gates in GGUF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollamax.convert.config import Config
from ollamax.errors import ConversionError
from ollamax_mllama.canvas import arrangements

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

# The settings of the image processor; transformers 5 saves them inside those of the whole processor.
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
_MOST_LAYERS, _MOST_TILES, _CHANNELS = 4096, 64, 3
_BILINEAR = 2  # PIL's number
_VISION = r"(?:model\.)?vision_model\."
_POSITION = _VISION + r"gated_positional_embedding\."
_POSITION_GATE, _TILE_GATE = "v.position_embd.gate", "v.tile_position_embd.gate"


def _layer_rules(source: str, target: str) -> list[tuple[str, str]]:
    layer = _VISION + source + r"\.layers\.([0-9]+)\."
    return [
        (layer + pattern, rf"{target}.blk.\1.{name}")
        for pattern, name in (
            (r"input_layernorm\.", "attn_norm."),
            (r"self_attn\.([qkv])_proj\.", r"attn_\2."),
            (r"self_attn\.o_proj\.", "attn_output."),
            (r"post_attention_layernorm\.", "ffn_norm."),
            (r"mlp\.fc1\.", "ffn_up."),
            (r"mlp\.fc2\.", "ffn_down."),
            (r"gate_(attn|ffn)$", r"\2_gate"),
        )
    ]


class VisionPart:
    """Reads ``vision_config`` and, where there are any, the settings of the image processor."""

    rename = (
        (_VISION + r"class_embedding$", "v.class_embd"),
        (_VISION + r"patch_embedding\.", "v.patch_embd."),
        (_POSITION + r"embedding$", "v.position_embd.weight"),
        (_POSITION + r"gate$", _POSITION_GATE),
        (_POSITION + r"tile_embedding\.", "v.tile_position_embd."),
        (_VISION + r"(pre|post)_tile_positional_embedding\.(?:embedding\.)?", r"v.\1_tile_position_embd."),
        (_VISION + r"layernorm_(pre|post)\.", r"v.\1_ln."),
        *_layer_rules("transformer", "v"),
        *_layer_rules("global_transformer", "v.global"),
        (r"(?:model\.)?multi_modal_projector\.", "mm.0."),
    )

    def __init__(self, config: Config) -> None:
        read = config.section("vision_config")
        self.dim, self.ffn = read.size("hidden_size"), read.size("intermediate_size")
        self.layers = read.size("num_hidden_layers", most=_MOST_LAYERS)
        self.global_layers = read.size("num_global_layers", most=_MOST_LAYERS)
        self.heads = read.size("attention_heads", default=read.get("num_attention_heads"))
        self.image_size, self.patch_size = read.size("image_size"), read.size("patch_size")
        self.tiles = read.size("max_num_tiles", default=4, most=_MOST_TILES)
        self.eps = read.number("norm_eps", default=1e-5)
        self.intermediate: list[int] = read.get("intermediate_layers_indices", [])
        self._check(read)
        settings = config.section(PREPROCESSOR) or config.section(PROCESSOR).section("image_processor")
        self.mean, self.deviation = self._colours(settings)

    def _check(self, read: Config) -> None:
        kept, ratios = self.intermediate, [list(ratio) for ratio in arrangements(self.tiles)]
        checks = {
            "hidden_act": read.get("hidden_act") in ("gelu", None),
            "num_channels": read.size("num_channels", default=_CHANNELS) == _CHANNELS,
            "attention_heads": self.dim % self.heads == 0,
            "patch_size": self.patch_size <= self.image_size,
            "intermediate_layers_indices": isinstance(kept, list)
            and bool(kept)
            and all(type(layer) is int and 0 <= layer < self.layers for layer in kept),
            "supported_aspect_ratios": read.get("supported_aspect_ratios") in (ratios, None),
        }
        for key, fine in checks.items():
            if not fine:
                raise ConversionError(f"config.json: vision_config: {key} {read.get(key)!r:.80} is not supported")
        features = self.dim * (1 + len(self.intermediate))
        if read.size("vision_output_dim", default=features) != features:
            raise ConversionError(f"config.json: vision_config: vision_output_dim must be {features}")

    def _colours(self, read: Config) -> tuple[list[float] | None, list[float] | None]:
        """Mean and deviation of the channels; the model's pictures must be prepared as ours are."""
        size = read.section("size")
        checks = {
            "size": all(value == self.image_size for value in size.values()),
            "max_image_tiles": read.get("max_image_tiles") in (self.tiles, None),
            "resample": read.get("resample") in (_BILINEAR, None),
            "rescale_factor": abs(read.number("rescale_factor", default=1 / 255) - 1 / 255) < 1e-9,
            **{key: read.get(key) in (True, None) for key in ("do_resize", "do_rescale", "do_normalize", "do_pad")},
        }
        for key, fine in checks.items():
            if not fine:
                raise ConversionError(f"{PREPROCESSOR}: {key} {read.get(key)!r:.80} is not supported")
        return _three(read, "image_mean"), _three(read, "image_std")

    def hyper_parameters(self) -> dict[str, Any]:
        """The keys ``mllama.vision.*``."""
        keys: dict[str, Any] = {
            "block_count": self.layers,
            "global.block_count": self.global_layers,
            "intermediate_layers_indices": list(self.intermediate),
            "embedding_length": self.dim,
            "feed_forward_length": self.ffn,
            "attention.head_count": self.heads,
            "attention.layer_norm_epsilon": self.eps,
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "max_num_tiles": self.tiles,
            "num_channels": _CHANNELS,
        }
        if self.mean is not None:
            keys["image_mean"] = self.mean
        if self.deviation is not None:
            keys["image_std"] = self.deviation
        return {f"mllama.vision.{key}": value for key, value in keys.items()}

    def shapes(self, text_dim: int) -> dict[str, tuple[int, ...]]:
        """Every tensor below ``v.`` and ``mm.``; the projector leads to ``text_dim`` features."""
        dim, patches = self.dim, (self.image_size // self.patch_size) ** 2 + 1
        rows = len(arrangements(self.tiles)) + 1
        shapes: dict[str, tuple[int, ...]] = {
            "v.class_embd": (dim,),
            "v.patch_embd.weight": (dim, _CHANNELS, self.patch_size, self.patch_size),
            "v.position_embd.weight": (patches, dim),
            "v.tile_position_embd.weight": (rows, self.tiles * patches * dim),
            _POSITION_GATE: (1,),
            _TILE_GATE: (1,),
            "mm.0.weight": (text_dim, dim * (1 + len(self.intermediate))),
            "mm.0.bias": (text_dim,),
        }
        for side in ("pre", "post"):
            shapes[f"v.{side}_tile_position_embd.weight"] = (rows, self.tiles * dim)
            shapes[f"v.{side}_tile_position_embd.gate"] = (1,)
            shapes[f"v.{side}_ln.weight"] = shapes[f"v.{side}_ln.bias"] = (dim,)
        for layer in range(self.layers):
            shapes |= self._layer_shapes(f"v.blk.{layer}.")
        for layer in range(self.global_layers):
            block = f"v.global.blk.{layer}."
            shapes |= self._layer_shapes(block) | {block + "attn_gate": (1,), block + "ffn_gate": (1,)}
        return shapes

    def _layer_shapes(self, block: str) -> dict[str, tuple[int, ...]]:
        dim, ffn = self.dim, self.ffn
        shapes: dict[str, tuple[int, ...]] = {
            f"{block}attn_{name}.weight": (dim, dim) for name in ("q", "k", "v", "output")
        }
        for norm in ("attn_norm", "ffn_norm"):
            shapes[f"{block}{norm}.weight"] = shapes[f"{block}{norm}.bias"] = (dim,)
        shapes[block + "ffn_up.weight"], shapes[block + "ffn_up.bias"] = (ffn, dim), (ffn,)
        shapes[block + "ffn_down.weight"], shapes[block + "ffn_down.bias"] = (dim, ffn), (dim,)
        return shapes

    def copies(self) -> dict[str, str]:
        """The gate of the position embedding serves the tiles as well."""
        return {_TILE_GATE: _POSITION_GATE}

    def transforms(self, name: str) -> bool:
        """The gates."""
        return name.startswith("v.") and name.endswith(("_gate", ".gate"))

    def transform(self, name: str, value: Array) -> Array:
        """What is multiplied with: the hyperbolic tangent, and what it leaves of 1 for the position embedding."""
        import numpy as np

        opened = np.tanh(value)
        return np.asarray(1 - opened if name == _POSITION_GATE else opened, np.float32)


def _three(read: Config, key: str) -> list[float] | None:
    value = read.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != _CHANNELS or not all(type(item) in (int, float) for item in value):
        raise ConversionError(f"{PREPROCESSOR}: {key} is {value!r:.60}; expected 3 numbers")
    if key == "image_std" and min(value) <= 0:
        raise ConversionError(f"{PREPROCESSOR}: {key} is {value!r:.60}; expected numbers above 0")
    return [float(item) for item in value]
