"""The caches as graphs see them: names, sizes, and which layer goes where."""

import pytest

from ollamax.errors import GraphError
from ollamax.kvcache import Cache, CacheSize, CausalCache, HybridCache, WindowCache
from ollamax.ml import Graph, Tensor, nn
from ollamax.ml.tensor import Kind, cast, graph_input

SIZE = CacheSize(slots=2, cells=64, step=8)


def step(cache: Cache, windows: list[int | None]) -> Graph:
    """A graph in which each layer attends through ``cache``."""
    positions = graph_input("positions", ("N", "T"))
    x = graph_input("x", ("N", "T", 1, 4), Kind.FLOAT)
    for layer, window in enumerate(windows):
        x = nn.attention(x, *cache.put(layer, x, x), cache.mask(positions, window))
    return Graph({"x": x})


def test_each_layer_is_put_into_the_cache_of_its_kind() -> None:
    windows = [None, 5, 5, None]
    cache = HybridCache(windows, 1, 4, 4, SIZE)
    graph = step(cache, windows)
    shapes = {name: node.shape for name, node in graph.states.items() if name.endswith("key")}
    full, limited = (2, 64, 1, 4), (2, 13, 1, 4)
    assert shapes == {"cache.0.key": full, "cache.1.key": full, "window.0.key": limited, "window.1.key": limited}
    assert graph.dims == {"N", "T", "S", "W"}
    inputs = {"slots", "rows", "key_positions", "window_rows", "window_key_positions"}
    assert set(graph.inputs) == {"x", "positions", *inputs}
    assert graph.inputs["window_rows"].attrs["bound"] == "W"
    assert [(layout.name, layout.cells, layout.window) for layout in cache.layouts] == [
        ("cache", 64, None),
        ("window", 13, 5),
    ]


def test_the_shift_is_asked_with_the_layers_of_the_model() -> None:
    cache, asked = HybridCache([5, None, 5], 1, 4, 4, SIZE), []

    def record(layer: int, key: Tensor, delta: Tensor) -> Tensor:
        asked.append((layer, key.shape[1]))
        return key * cast(delta, Kind.FLOAT).reshape(*delta.shape, 1, 1)

    graph = cache.shift_graph(record)
    assert sorted(asked) == [(0, "W"), (1, "S"), (2, "W")]
    assert set(graph.inputs) == {"slots", "rows", "delta", "window_rows", "window_delta"}


def test_without_windows_it_is_the_plain_cache() -> None:
    plain, wrapped = CausalCache(2, 1, 4, 4, SIZE), HybridCache([None, None], 1, 4, 4, SIZE)
    graphs = [step(cache, [None, None]) for cache in (plain, wrapped)]
    assert graphs[0].inputs.keys() == graphs[1].inputs.keys()
    assert graphs[0].dims == graphs[1].dims == {"N", "T", "S"}
    assert list(plain.layouts) == list(wrapped.layouts)


def test_where_every_layer_has_a_window_nothing_follows_the_context() -> None:
    windows: list[int | None] = [3, 9]
    graph = step(HybridCache(windows, 1, 4, 4, SIZE), windows)
    assert {node.shape[1] for node in graph.states.values()} == {9 + 8}
    assert graph.dims == {"N", "T", "W"}


def test_a_window_never_keeps_more_than_the_context() -> None:
    assert WindowCache(1, 1, 4, 4, SIZE, 60).layout.cells == 64


def test_a_mask_that_looks_further_than_the_cache_is_refused() -> None:
    positions = graph_input("positions", ("N", "T"))
    for window, problem in ((None, "no window"), (6, "a window of 6")):
        with pytest.raises(GraphError, match=f"{problem} looks at a cache that keeps the last 5 tokens"):
            WindowCache(1, 1, 4, 4, SIZE, 5).mask(positions, window)
    with pytest.raises(GraphError, match="no layer has the window None"):
        HybridCache([5], 1, 4, 4, SIZE).mask(positions)
