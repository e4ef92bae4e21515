"""The table against Python's own complementary error function."""

import math

import numpy as np

from ollamax_backend_cpu.gelu import gelu


def exact(x):
    return np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in x.astype(np.float64)])


def test_values_are_within_a_millionth_of_themselves():
    x = np.concatenate([np.linspace(-12, 20, 100_003), [0.0, -1e-30, 1e-30, 3e38]]).astype(np.float32)
    expected = exact(x)
    assert (np.abs(gelu(x) - expected) <= 1e-6 * np.abs(expected) + 1e-16).all()


def test_the_far_ends():
    np.testing.assert_array_equal(gelu(np.float32([-20, -1e30, 1e30])), np.float32([0, 0, 1e30]))


def test_shapes_and_numbers_that_are_none():
    x = np.random.default_rng(0).standard_normal((3, 1, 7)).astype(np.float32)
    assert gelu(x).shape == x.shape
    assert gelu(x[:, :, :0]).shape == (3, 1, 0)
    np.testing.assert_array_equal(gelu(np.float32([np.nan, np.inf])), np.float32([np.nan, np.inf]))


def test_a_value_does_not_depend_on_its_neighbours():
    x = np.random.default_rng(1).standard_normal(40_000).astype(np.float32)
    np.testing.assert_array_equal(gelu(x)[33_333:33_337], gelu(x[33_333:33_337]))
