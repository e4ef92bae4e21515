"""Which thread computes: OpenMP has a team for each, and two teams get in each other's way."""

import threading

import numpy as np

from ollamax.backend import BackendOptions
from ollamax.ml import Graph, Kind
from ollamax.ml.nn import silu
from ollamax.ml.tensor import graph_input
from ollamax_backend_ggml.backend import GGML
from ollamax_backend_ggml.library import library


def computing_threads(monkeypatch, threads):
    """The threads in which steps of many rows and of one are computed, after one another."""
    loaded, seen = library(), set()
    compute = loaded.backend_graph_compute

    def watched(*arguments):
        seen.add(threading.get_ident())
        return compute(*arguments)

    monkeypatch.setattr(loaded, "backend_graph_compute", watched)
    backend = GGML(BackendOptions(threads))
    backend.load({})
    program = backend.compile(Graph({"y": silu(graph_input("x", ("T", 8), kind=Kind.FLOAT))}))
    for rows in (1, 4000, 1):
        program.run({"x": np.ones((rows, 8), np.float32)}, {"T": rows})
    backend.close()
    return seen


def test_one_thread_computes_everything_where_it_has_a_team(monkeypatch):
    assert len(computing_threads(monkeypatch, 2)) == 1


def test_short_steps_on_one_thread_are_computed_at_once(monkeypatch):
    assert threading.get_ident() in computing_threads(monkeypatch, 1)
