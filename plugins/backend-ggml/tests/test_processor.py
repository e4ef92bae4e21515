"""Which thread computes, and what signals do meanwhile."""

import gc
import os
import signal
import socket
import threading

import numpy as np
import pytest

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


@pytest.mark.parametrize("threads", [1, 2])
def test_the_calling_thread_computes_everything(monkeypatch, threads):
    assert computing_threads(monkeypatch, threads) == {threading.get_ident()}


def graph_of_many_steps():
    x = graph_input("x", ("N", "T", 64), Kind.FLOAT)
    for _ in range(2000):
        x = x * x
    return Graph({"out": x})


@pytest.fixture
def told(monkeypatch):
    """Numbers of the signals whose handlers ran; one comes in the middle of the first computation."""
    loaded, seen = library(), []
    compute = loaded.backend_graph_compute
    begun = threading.Event()

    def announced(*arguments):
        if not begun.is_set():
            begun.set()
            threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        return compute(*arguments)

    monkeypatch.setattr(loaded, "backend_graph_compute", announced)
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGINT, before)


def test_a_handler_that_goes_on_lets_the_computation_begin_again(told):
    backend = GGML()
    program = backend.compile(graph_of_many_steps())
    out = program.run({"x": np.ones((32, 256, 64), np.float32)}, {"N": 32, "T": 256})["out"]
    assert (out == 1).all()
    assert told == [signal.SIGINT]
    backend.close()


def test_who_waited_for_signals_before_is_told_of_them_and_waits_again_afterwards(told):
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno())
    try:
        backend = GGML()
        program = backend.compile(graph_of_many_steps())
        program.run({"x": np.ones((32, 256, 64), np.float32)}, {"N": 32, "T": 256})
        backend.close()
        receiver.settimeout(10)
        assert receiver.recv(1) == bytes([signal.SIGINT])
        assert signal.set_wakeup_fd(sender.fileno()) == sender.fileno()
    finally:
        signal.set_wakeup_fd(before)
        receiver.close()
        sender.close()


@pytest.mark.parametrize("closed", [True, False])
def test_a_backend_leaves_no_thread_behind(closed):
    before = set(threading.enumerate())
    backend = GGML()
    program = backend.compile(graph_of_many_steps())
    program.run({"x": np.ones((1, 2, 64), np.float32)}, {"N": 1, "T": 2})
    (mine,) = set(threading.enumerate()) - before
    if closed:
        backend.close()
    del backend, program
    gc.collect()
    mine.join(10)
    assert not mine.is_alive()
