"""Rotary positions, masks, attention, and the states that it looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from ollamax.ml import Kind, Op, Tensor
from ollamax.ml.decompose import MASKED
from ollamax.ml.graph import state_name
from ollamax.ml.reference import rope_frequencies
from ollamax.ml.tensor import extra_sources
from ollamax.types import DType
from ollamax_backend_onnx.builder import CONTRIB, Builder, elements
from ollamax_backend_onnx.elementwise import Emit
from ollamax_backend_onnx.states import BLOCK


def rope(b: Builder, node: Tensor) -> str:
    """One fused operation for each use, on angles that all with the same settings share."""
    x = node.srcs[0]
    _, _, heads, width = x.shape
    attributes: dict[str, Any] = {"interleaved": int(node.attrs["pairing"] == "interleaved"), "num_heads": heads}
    if node.attrs["dims"] != width:
        attributes["rotary_embedding_dim"] = node.attrs["dims"]
    turned = b.emit("RotaryEmbedding", _flat(b, x), *_angles(b, node), **attributes)
    return b.reshape(turned, 0, 0, *x.shape[2:])


def _flat(b: Builder, x: Tensor) -> str:
    """``(N, T, heads, width)`` as ``(N, T, heads * width)``, which it often was just before."""
    flat = (*x.shape[:2], elements(x.shape[2:]))
    if x.op is Op.RESHAPE and x.srcs[0].shape == flat:
        return b.value(x.srcs[0])
    return b.reshape(b.value(x), 0, 0, flat[-1])


def _angles(b: Builder, node: Tensor) -> list[str]:
    """Cosines and sines ``(N, T, dims / 2)``."""
    positions, frequencies = node.srcs[1], rope_frequencies(node)
    factors, magnitude = extra_sources(node).get("factors"), node.attrs["magnitude"]

    def make() -> list[str]:
        step = b.constant(frequencies, np.float32)
        if factors is not None:
            step = b.emit("Div", step, b.value(factors))
        places = b.emit("Unsqueeze", b.as_kind(positions, Kind.FLOAT), b.integers(-1))
        angles = b.emit("Mul", places, step)
        found = [b.emit(name, angles) for name in ("Cos", "Sin")]
        return found if magnitude == 1 else [b.emit("Mul", one, b.constant(magnitude, np.float32)) for one in found]

    return list(b.once((positions, frequencies.tobytes(), factors, magnitude), make))


def attention(b: Builder, node: Tensor) -> str:
    """Products, softmax, products; the query heads of a key head are rows of one matrix.

    Keys and values are multiplied as a state keeps them, with their cells first. Of the runtime's own operations
    GroupQueryAttention expects tokens in order and no hole between them, Attention wants heads before cells.
    """
    q, k, v = node.srcs[:3]
    heads, groups, width = q.shape[2], k.shape[2], q.shape[3]
    assert isinstance(heads, int)
    assert isinstance(groups, int)
    spread, given = heads // groups, extra_sources(node)
    grouped = b.emit("Transpose", b.reshape(b.value(q), 0, 0, groups, spread, width), perm=[0, 2, 1, 3, 4])
    rows = b.reshape(grouped, 0, groups, -1, width)
    scale = float(node.attrs["scale"])
    scores = b.emit("FusedMatMul", rows, b.cells_first(k), domain=CONTRIB, alpha=scale, transB=1, transBatchB=1)
    if node.attrs["softcap"] is not None:
        cap = b.constant(node.attrs["softcap"], np.float32)
        scores = b.emit("Mul", b.emit("Tanh", b.emit("Div", scores, cap)), cap)
    if "mask" in given:
        scores = b.emit("Add", scores, _bias(b, given["mask"], spread))
    shares = _shares(b, node, scores, spread)
    products = b.emit("FusedMatMul", shares, b.cells_first(v), domain=CONTRIB, transBatchB=1)
    ungrouped = b.reshape(products, 0, groups, -1, spread, v.shape[3])
    result = b.emit("Transpose", ungrouped, perm=[0, 2, 1, 3, 4])
    if "mask" in given:
        result = b.emit("Mul", result, _sees(b, given["mask"]))
    return b.reshape(result, 0, 0, heads, v.shape[3])


def _shares(b: Builder, node: Tensor, scores: str, spread: int) -> str:
    """The softmax of ``(N, groups, T * spread, S)``; a sink takes part in it and gets no share."""
    sinks = extra_sources(node).get("sinks")
    if sinks is None:
        return b.emit("Softmax", scores, axis=-1)
    n, t, heads, _ = node.srcs[0].shape
    assert isinstance(heads, int)
    groups = heads // spread
    column = b.emit("Expand", b.reshape(b.value(sinks), 1, groups, 1, spread), b.shape(n, groups, t, spread))
    wide = b.emit("Concat", scores, b.reshape(column, 0, groups, -1, 1), axis=-1)
    shares = b.emit("Softmax", wide, axis=-1)
    return b.emit("Slice", shares, b.integers(0), b.integers(-1), b.integers(-1))


def _bias(b: Builder, mask: Tensor, spread: int) -> str:
    """What is added to scores: 0 where a query sees a cell; ``(N, 1, T * spread, S)``."""

    def make() -> str:
        plain = b.once((mask, "bias"), lambda: _plain_bias(b, mask))
        n, t, s = mask.shape
        wide = b.emit("Unsqueeze", plain, b.integers(1, 3))
        if spread > 1:
            wide = b.emit("Expand", wide, b.shape(n, 1, t, spread, s))
        return b.emit("Reshape", wide, b.emit("Concat", b.shape(n, 1), b.integers(-1), b.size(s), axis=0))

    return str(b.once((mask, "bias", spread), make))


def _plain_bias(b: Builder, mask: Tensor) -> str:
    return b.emit("Where", b.value(mask), b.constant(0, np.float32), b.constant(MASKED, np.float32))


def _sees(b: Builder, mask: Tensor) -> str:
    """1 for a query that sees something, else 0: ``(N, T, 1, 1, 1)``."""

    def make() -> str:
        most = b.emit("ReduceMax", b.once((mask, "bias"), lambda: _plain_bias(b, mask)), b.integers(-1), keepdims=0)
        some = b.emit("Less", b.constant(MASKED, np.float32), most)
        return b.emit("Unsqueeze", b.emit("Cast", some, to=TensorProto.FLOAT), b.integers(2, 3, 4))

    return str(b.once((mask, "sees"), make))


def mask(b: Builder, node: Tensor) -> str:
    """``(N, T, S)``: the cell is in use, not in the future, and inside the window."""
    query, key = node.srcs
    queries = b.emit("Unsqueeze", b.value(query), b.integers(2))
    keys = b.emit("Unsqueeze", b.value(key), b.integers(1))
    used = b.emit("LessOrEqual", b.constant(0, np.int64), keys)
    visible = b.emit("And", used, b.emit("LessOrEqual", keys, queries))
    window = node.attrs["window"]
    if window is None:
        return visible
    near = b.emit("Less", b.emit("Sub", queries, keys), b.constant(window, np.int64))
    return b.emit("And", visible, near)


def state_read(b: Builder, node: Tensor) -> None:
    """The cells of some slots; a state with one slot is not copied."""
    held, slots = node.srcs
    port = b.ports[state_name(held)]
    cells = node.attrs["cells"]
    parts = b.version(held)
    if port.extent is None and cells != port.state.cells:
        parts = [b.emit("Slice", part, b.integers(0), b.size(cells), b.integers(0)) for part in parts]
    if port.state.slots > 1:
        parts = [b.emit("Gather", part, b.value(slots), axis=1) for part in parts]
    value, *scales = parts
    if port.state.dtype is not DType.F32:
        value = b.emit("Cast", value, to=TensorProto.FLOAT)
    if scales:
        factors = b.emit("Cast", scales[0], to=TensorProto.FLOAT)
        value = _unblocked(b, b.emit("Mul", _blocks(b, value), b.emit("Unsqueeze", factors, b.integers(-1))))
    b.put_cells(node, value)


def state_write(b: Builder, node: Tensor) -> None:
    """New rows, written where the state lies."""
    held, slots, rows, values = node.srcs
    port = b.ports[state_name(node)]
    places = b.once((slots, rows, "places"), lambda: _places(b, slots, rows))
    parts = port.state.parts(port.extent)
    names = [b.declare(f"{name}.next", kind, shape) for name, kind, shape in parts]
    kept = _kept(b, b.value(values), port.state.dtype)
    for name, old, new in zip(names, b.version(held), kept, strict=True):
        b.fetch(name, "ScatterND", old, places, new)
    b.put_version(node, names)


def _places(b: Builder, slots: Tensor, rows: Tensor) -> str:
    """Cell and slot of each row ``(N, T, 2)``."""
    cells = b.emit("Unsqueeze", b.value(rows), b.integers(2))
    column = b.emit("Unsqueeze", b.value(slots), b.integers(1, 2))
    return b.emit("Concat", cells, b.emit("Expand", column, b.emit("Shape", cells)), axis=2)


def _kept(b: Builder, values: str, dtype: DType) -> list[str]:
    """Values as they are kept; Q8_0 as ggml rounds it, with the largest magnitude divided by 127 as scale.

    What float16 cannot hold becomes its largest number: a share of 0 times infinity would be no number, and a cell that
    no query sees would spoil a step.
    """
    if dtype is DType.F32:
        return [values]
    most = b.constant(np.finfo(np.float16).max, np.float32)
    if dtype is DType.F16:
        least = b.constant(np.finfo(np.float16).min, np.float32)
        return [b.emit("Cast", b.emit("Clip", values, least, most), to=TensorProto.FLOAT16)]
    blocks = _blocks(b, values)
    largest = b.emit("ReduceMax", b.emit("Abs", blocks), b.integers(-1), keepdims=1)
    scales = b.emit("Div", largest, b.constant(127, np.float32))
    tiny = b.constant(np.finfo(np.float32).tiny, np.float32)
    numbers = b.emit("Round", b.emit("Div", blocks, b.emit("Max", scales, tiny)))
    narrow = b.emit("Cast", b.emit("Min", b.emit("Squeeze", scales, b.integers(-1)), most), to=TensorProto.FLOAT16)
    return [b.emit("Cast", _unblocked(b, numbers), to=TensorProto.INT8), narrow]


def _blocks(b: Builder, value: str) -> str:
    """``(..., width)`` to ``(..., width / 32, 32)``."""
    shape = b.emit("Concat", b.emit("Shape", value, end=-1), b.integers(-1, BLOCK), axis=0)
    return b.emit("Reshape", value, shape)


def _unblocked(b: Builder, value: str) -> str:
    shape = b.emit("Concat", b.emit("Shape", value, end=-2), b.integers(-1), axis=0)
    return b.emit("Reshape", value, shape)


EMITTERS: dict[Op, Emit] = {Op.ROPE: rope, Op.MASK: mask, Op.ATTENTION: attention}
"""How each becomes operations; states are no values, see :func:`state_read` and :func:`state_write`."""
