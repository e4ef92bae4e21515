"""A model split between two devices. Where the library offers no graphics processor, a second processor plays it."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import ollamax
from ollamax.backend import BackendOptions, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.tensor import apply, graph_input, optional, state, state_read, state_write, weight
from ollamax.types import DType
from ollamax_backend_ggml import features, graphics, placement
from ollamax_backend_ggml import library as module
from ollamax_backend_ggml.backend import GGML

BLOCKS = 3


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The processor once more, as if its memory could not be reached."""
    module.library.cache_clear()
    library = module.library()
    if graphics.find_device(library) is None:
        processor = library.backend_dev_by_type(0)
        monkeypatch.setattr(graphics, "find_device", lambda _: processor)
        monkeypatch.setattr(features, "find_device", lambda _: processor)
        monkeypatch.setattr(library, "backend_buffer_is_host", lambda _: False, raising=False)
    yield
    module.library.cache_clear()


def model() -> tuple[Graph, dict[str, Weight]]:
    """Blocks that keep what they see, and give part of it to the next; the embedding is the output matrix, too."""
    slots, rows = graph_input("slots", ("N",), bound=2), graph_input("rows", ("N", "T"), bound="S")
    table = weight("token_embd.weight", (7, 32))
    x = apply(Op.EMBEDDING, table, graph_input("tokens", ("N", "T"), bound=7))
    for block in range(BLOCKS):
        x = optional(Op.LINEAR, x, weight(f"blk.{block}.ffn.weight", (32, 32)), extra={}) * 0.1
        kept = state_write(state(f"cache.{block}.key", (2, 9, 2, 16)), slots, rows, x.reshape("N", "T", 2, 16))
        x = x + state_read(kept, slots).reshape("N", "S", 32).sum(1)
    x = optional(Op.RMS_NORM, x, extra={"weight": weight("output_norm.weight", (32,))}, eps=1e-5)
    graph = Graph({"out": optional(Op.LINEAR, x, table, extra={})})
    random, weights = np.random.default_rng(0), {}
    for name, node in graph.weights.items():
        shape = tuple(map(int, node.shape))
        data = random.standard_normal(shape, np.float32).view(np.uint8).reshape(-1)
        weights[name] = Weight(name, DType.F32, shape, data)
    return graph, weights


def opened(**options: object) -> tuple[GGML, Callable[[list[int], list[int]], np.ndarray]]:
    backend = GGML(BackendOptions(**options))
    graph, weights = model()
    backend.load(weights)
    program = backend.compile(graph)

    def run(tokens: list[int], rows: list[int]) -> np.ndarray:
        given = {"tokens": np.array([tokens]), "rows": np.array([rows]), "slots": np.array([1])}
        return program.run(given, {"N": 1, "T": len(tokens), "S": 8})["out"]

    return backend, run


@pytest.mark.parametrize("layers", range(BLOCKS + 2))
def test_every_split_computes_the_same(layers: int) -> None:
    whole, one = opened(gpu_layers=0)
    split, other = opened(gpu_layers=layers)
    for tokens, rows in (([3, 1, 6], [0, 1, 2]), ([2], [3]), ([5, 5], [4, 5]), ([2], [6])):
        np.testing.assert_allclose(other(tokens, rows), one(tokens, rows), rtol=2e-3, atol=2e-3)
    for block in range(BLOCKS):
        name = f"cache.{block}.key"
        np.testing.assert_allclose(split.read_state(name, 1), whole.read_state(name, 1), rtol=2e-3, atol=2e-3)
    whole.close()
    split.close()


def test_the_last_blocks_go_first_and_then_what_follows_them() -> None:
    graph, _ = model()
    held = [placement.Placement(graph, layers) for layers in range(BLOCKS + 3)]
    assert [sorted(one.states) for one in held[:3]] == [[], ["cache.2.key"], ["cache.1.key", "cache.2.key"]]
    assert held[1].weights == {"blk.2.ffn.weight"}
    assert held[BLOCKS].weights == {f"blk.{block}.ffn.weight" for block in range(BLOCKS)}
    assert held[BLOCKS + 1].weights == set(graph.weights)
    assert held[BLOCKS + 2].layers == BLOCKS + 1


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.Q8_0])
def test_cells_are_copied_read_and_replaced_on_the_device(dtype: DType) -> None:
    shape = (2, 9, 1, 32)
    slots, rows = graph_input("slots", ("N",), bound=2), graph_input("rows", ("N", "T"), bound="S")
    x = optional(Op.LINEAR, graph_input("x", ("N", "T", 32), Kind.FLOAT), weight("blk.0.w", (32, 32)), extra={})
    kept = state_write(state("cache.0", shape), slots, rows, x.reshape("N", "T", 1, 32))
    backend = GGML(BackendOptions(gpu_layers=1, cache_type=dtype))
    identity = np.eye(32, dtype=np.float32).view(np.uint8).reshape(-1)
    backend.load({"blk.0.w": Weight("blk.0.w", DType.F32, (32, 32), identity)})
    program = backend.compile(Graph({}, [kept]))
    program.run(
        {"x": np.full((1, 2, 32), 0.5), "rows": np.array([[8, 2]]), "slots": np.array([0])}, {"N": 1, "T": 2, "S": 9}
    )
    near = functools.partial(pytest.approx, abs=1e-4)  # Q8_0 rounds its scale to float16
    assert backend.read_state("cache.0", 0)[:, 0, 0].tolist() == near([0, 0, 0.5, 0, 0, 0, 0, 0, 0.5])
    assert not backend.read_state("cache.0", 1).any()
    backend.copy_rows(0, 1, np.array([2]))
    assert backend.read_state("cache.0", 1)[:, 0, 0].tolist() == near([0, 0, 0.5, 0, 0, 0, 0, 0, 0])
    backend.write_state("cache.0", 0, np.full(shape[1:], -0.5, np.float32))
    assert backend.read_state("cache.0", 0).ravel().tolist() == near([-0.5] * 9 * 32)
    assert backend.read_state("cache.0", 1)[:, 0, 0].tolist() == near([0, 0, 0.5, 0, 0, 0, 0, 0, 0])
    backend.close()


def test_as_many_layers_as_fit_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, weights = model()
    bytes_of = {name: stored.data.nbytes for name, stored in weights.items()}
    cells = dict.fromkeys(graph.states, 1000)
    block = bytes_of["blk.0.ffn.weight"] + 1000
    for room, layers in ((0, 0), (block - 1, 0), (block, 1), (3 * block - 1, 2), (1 << 30, 4)):
        monkeypatch.setattr(placement, "_RESERVE", 0)
        assert placement.place(graph, None, placement.Room(room, bytes_of, cells)).layers == layers
        whole = placement.place(graph, None, placement.Room(room, bytes_of, cells, undivided=True))
        assert whole.layers == (layers if layers == BLOCKS + 1 else 0)


def test_more_layers_than_fit_are_refused_with_the_figures() -> None:
    graph, weights = model()
    bytes_of = {name: stored.data.nbytes for name, stored in weights.items()}
    with pytest.raises(BackendError, match=r"2 layers need 2,000 MB .* and 0 MB are free; take a smaller num_gpu"):
        placement.place(graph, 2, placement.Room(1 << 20, bytes_of, dict.fromkeys(graph.states, 10**9)))


def test_a_model_that_sees_is_not_split() -> None:
    graph, weights = model()
    room = placement.Room(1 << 40, dict.fromkeys(weights, 1), dict.fromkeys(graph.states, 1), undivided=True)
    for layers in (0, BLOCKS + 1, 99):
        assert placement.place(graph, layers, room).layers == min(layers, BLOCKS + 1)
    for layers in (1, BLOCKS):
        with pytest.raises(
            BackendError, match="sees pictures is not split between processors; give num_gpu 0, or 4 for"
        ):
            placement.place(graph, layers, room)
    blind, seeing = GGML(), GGML()
    blind.load(weights)
    seeing.load(weights | {"v.patch_embd.weight": weights["blk.0.ffn.weight"]})
    assert (blind._weights.sees, seeing._weights.sees) == (False, True)
    blind.close()
    seeing.close()


def test_the_demo_model_answers_alike_however_it_is_split() -> None:
    answers = set()
    for layers in (0, 2, 99):
        with ollamax.load("demo", backend="ggml", num_gpu=layers) as loaded:
            chunks = loaded.generate("Once upon a time", max_tokens=30, temperature=0)
            answers.add("".join(chunk.text for chunk in chunks))
    assert len(answers) == 1


def test_probe_names_the_graphics_processor_and_ranks_it_first() -> None:
    processor, device = GGML.probe().devices
    assert processor.name == "cpu"
    assert device.rank > processor.rank
    assert "by ggml" in device.kind


def test_without_a_graphics_processor_layers_for_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "find_device", lambda _: None)
    with pytest.raises(
        BackendError, match="no graphics processor; set num_gpu to 0, or build the library for one: pip install --force"
    ):
        GGML(BackendOptions(gpu_layers=1))
    GGML(BackendOptions(gpu_layers=0)).close()


def test_the_processor_as_a_device_computes_alone() -> None:
    backend, _ = opened(device="cpu")
    assert backend._placement is None
    with pytest.raises(BackendError, match="device cpu computes no gpu_layers; leave one of the two out"):
        GGML(BackendOptions(device="cpu", gpu_layers=1))
    backend.close()
    other, _ = opened(device=GGML.probe().devices[1].name)
    assert other._placement is not None
    other.close()


def test_a_backend_that_does_not_split_models_says_so() -> None:
    with pytest.raises(BackendError, match="backend cpu does not split a model between processors; set num_gpu to 0"):
        ollamax.load("demo", backend="cpu", num_gpu=1)
    ollamax.load("demo", backend="cpu", num_gpu=0).close()
