"""The reference against independent definitions, and every decomposition against the reference."""

import math

import numpy as np
import pytest

from ollamax.ml import COMPOUNDS, LEAVES, PRIMITIVES, Graph, Op, nn
from ollamax.ml.lower import lower
from ollamax.ml.ops import Op as AllOps
from ollamax.ml.reference import IMPLEMENTATIONS, evaluate
from ollamax.testing.op_cases import Maker, OpCase, op_cases

CASES = op_cases()


def run(case: OpCase, graph: Graph | None = None) -> np.ndarray:
    return evaluate(graph or case.graph, case.inputs, case.dims, case.weights)["out"]


def test_every_op_has_a_definition_and_a_case() -> None:
    assert set(IMPLEMENTATIONS) == set(AllOps) - LEAVES
    covered = {node.op for case in CASES for node in case.graph.nodes}
    assert covered == set(AllOps)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_result_has_the_inferred_shape(case: OpCase) -> None:
    expected = tuple(size if isinstance(size, int) else case.dims[size] for size in case.output.shape)
    assert run(case).shape == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.op in COMPOUNDS], ids=str)
def test_decomposition_equals_definition(case: OpCase) -> None:
    simple = lower(case.graph, PRIMITIVES)
    assert not {node.op for node in simple.nodes} & COMPOUNDS
    assert simple.outputs["out"].shape == case.output.shape
    np.testing.assert_allclose(run(case, simple), run(case), rtol=2e-5, atol=2e-5)


def find(name: str) -> OpCase:
    return next(case for case in CASES if str(case) == name)


def test_a_query_that_sees_nothing_yields_zero() -> None:
    assert not run(find("attention-sees-nothing")).any()
    assert not run(find("attention-blind-with-sinks")).any()
    partly = run(find("attention-some-rows-blind"))
    assert not np.isnan(partly).any()
    assert partly[0].any()
    assert not partly[1].any()


def test_blind_rows_leave_other_rows_alone() -> None:
    case = find("attention-causal")
    q, k, v = (case.inputs[src.attrs["name"]] for src in case.output.srcs[:3])
    alone = run(case)[1, 0]
    # Position 0 of the second sequence sees one cell, whose value it returns for every head of the group.
    np.testing.assert_allclose(alone, np.repeat(v[1, 2], 2, axis=0), rtol=1e-6)
    assert q.shape[2] == 2 * k.shape[2]


def test_rope_turns_by_the_stated_angle() -> None:
    case = find("rope-interleaved")
    x = case.inputs[case.output.srcs[0].attrs["name"]]
    angle = 31 * 10000.0 ** (-2 * 2 / 8)
    a, b = x[1, 2, 3, 4], x[1, 2, 3, 5]
    turned = run(case)[1, 2, 3, 4:6]
    expected = [a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)]
    np.testing.assert_allclose(turned, expected, rtol=1e-5)


def test_rope_halves_pairs_elements_half_a_head_apart() -> None:
    case = find("rope-halves")
    x = case.inputs[case.output.srcs[0].attrs["name"]]
    angle = 7.0
    expected = x[1, 1, 0, 0] * math.cos(angle) - x[1, 1, 0, 4] * math.sin(angle)
    assert run(case)[1, 1, 0, 0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["attention-open", "attention-causal", "attention-sinks", "attention-other-width"])
def test_attention_by_loops(name: str) -> None:
    case = find(name)
    values = evaluate(
        Graph({str(i): src for i, src in enumerate(case.output.srcs)}), case.inputs, case.dims, case.weights
    )
    q, k, v = (values[str(i)] for i in range(3))
    extra = dict(zip(case.output.attrs["optional"], [values[str(i)] for i in range(3, len(values))], strict=True))
    result = run(case)
    for n, t, h in np.ndindex(q.shape[:3]):
        group = h // (q.shape[2] // k.shape[2])
        seen = [s for s in range(k.shape[1]) if "mask" not in extra or extra["mask"][n, t, s]]
        powers = [math.exp(case.output.attrs["scale"] * float(q[n, t, h] @ k[n, s, group])) for s in seen]
        total = sum(powers) + (math.exp(extra["sinks"][h]) if "sinks" in extra else 0)
        expected = sum(p * v[n, s, group] for p, s in zip(powers, seen, strict=True)) / total
        np.testing.assert_allclose(result[n, t, h], expected, rtol=1e-4, atol=1e-6)


def test_norms_by_hand() -> None:
    rms, layer = find("rms_norm-bare"), find("layer_norm-both")
    x = rms.inputs[rms.output.srcs[0].attrs["name"]].astype(np.float64)
    np.testing.assert_allclose(run(rms), x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5), rtol=1e-6)
    y = layer.inputs[layer.output.srcs[0].attrs["name"]].astype(np.float64)
    w, b = (layer.weights[src.attrs["name"]] for src in layer.output.srcs[1:])
    expected = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(run(layer), expected, rtol=1e-4, atol=1e-5)


def test_state_keeps_what_was_written() -> None:
    case = find("state_read-heads")
    states: dict[str, np.ndarray] = {}
    evaluate(case.graph, case.inputs, case.dims, case.weights, states)
    (values,) = (value for value in case.inputs.values() if value.shape == (2, 2, 2, 4) and value.dtype == np.float32)
    np.testing.assert_array_equal(states["heads"][2, [3, 1]], values[0])
    np.testing.assert_array_equal(states["heads"][0, [0, 2]], values[1])
    assert not states["heads"][1].any()


def test_conv2d_by_loops() -> None:
    case = find("conv2d-stride")
    x = case.inputs[case.output.srcs[0].attrs["name"]]
    kernel = case.weights[case.output.srcs[1].attrs["name"]]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    result = run(case)
    for n, o, r, c in np.ndindex(result.shape):
        patch = padded[n, :, 2 * r : 2 * r + 3, 2 * c : 2 * c + 2]
        assert result[n, o, r, c] == pytest.approx(float((patch * kernel[o]).sum()), abs=1e-5)


def test_softmax_of_large_numbers_is_finite() -> None:
    result = run(find("softmax-large"))
    assert np.isfinite(result).all()
    assert result.sum() == pytest.approx(1, rel=1e-6)
    assert Op.SOFTMAX in COMPOUNDS


@pytest.mark.parametrize("pairing", ["interleaved", "halves"])
def test_rope_far_along_loses_only_what_float32_angles_lose(pairing: nn.Pairing) -> None:
    maker = Maker()
    maker.dims |= {"N": 1, "T": 1}
    far = 100_000
    case = maker.case("far", nn.Rope(10000.0, 8, pairing)(maker.floats(1, 1, 2, 8), maker.given(1, 1, values=[[far]])))
    x = case.inputs[case.output.srcs[0].attrs["name"]].astype(np.float64)
    pairs = x.reshape(1, 1, 2, 4, 2) if pairing == "interleaved" else x.reshape(1, 1, 2, 2, 4).swapaxes(-1, -2)
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * far * 10000.0 ** (-np.arange(4) / 4))
    parts = np.stack([turned.real, turned.imag], -1 if pairing == "interleaved" else -2)
    # An angle near 1e5 is rounded to float32: half a unit in the last place, times the length of the pair.
    bound = far * 2.0**-24 * 2 * math.sqrt(2) * 2
    for result in (run(case), run(case, lower(case.graph, PRIMITIVES))):
        np.testing.assert_allclose(result, parts.reshape(x.shape), atol=bound)
