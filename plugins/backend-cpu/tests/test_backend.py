"""The NumPy backend's states, options, bounds and errors."""

import numpy as np
import pytest
import threadpoolctl

from ollamax.backend import BackendOptions, Weight
from ollamax.testing.state_suite import cache_program, put
from ollamax.types import DType, TensorInfo
from ollamax_backend_cpu.backend import CPU


def test_a_product_reads_float32_and_seconds_are_not_counted() -> None:
    backend = CPU()
    assert backend.read_bytes(TensorInfo("w", DType.Q8_0, (3, 32))) == 3 * 32 * 4
    assert backend.compute_seconds is None


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_threads_option_limits_blas_until_close() -> None:
    before = blas_threads()
    backend = CPU(BackendOptions(threads=3))
    backend.load({})
    assert blas_threads() == {3}
    backend.close()
    assert blas_threads() == before


def test_a_small_model_runs_on_one_thread() -> None:
    before = blas_threads()
    backend = CPU()
    backend.load({"w": Weight("w", DType.F32, (2, 2), np.zeros(16, np.uint8))})
    assert blas_threads() == {1}
    backend.close()
    assert blas_threads() == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_models_keep_their_threads_and_leave_none_behind(order: tuple[int, int]) -> None:
    before = blas_threads()
    backends = [CPU(BackendOptions(threads=count)) for count in (1, 3)]
    programs = []
    for backend in backends:
        backend.load({})
        programs.append(cache_program(backend))
    for count, program in ((1, programs[0]), (3, programs[1]), (1, programs[0])):
        put(program, [0], [[0]], 4)
        assert blas_threads() == {count}
    first, second = order
    backends[first].close()
    backends[first].close()
    put(programs[second], [0], [[0]], 4)
    assert blas_threads() == {(1, 3)[second]}
    backends[second].close()
    assert blas_threads() == before


def test_probe_finds_the_processor() -> None:
    (device,) = CPU.probe().devices
    assert device.kind
    assert device.memory is None or device.memory > 2**20
