"""Weights of Keras' convolutions: its own equations, channels last, against layers they load."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from parity_tests.harness.entry import unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn.utils.channels_last import keras_conv_weights, keras_dense_weights

RNG = np.random.default_rng(0)
F64: Any = {"dtype": np.float64}


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def keras_conv(x: Array, kernel: Array, groups: int = 1) -> Array:
    """Conv2D, padding 'valid', of x (N, H, W, C)."""
    windows = sliding_window_view(x, kernel.shape[:2], (1, 2))  # (N, H', W', C, kH, kW)
    parts = zip(np.split(windows, groups, 3), np.split(kernel, groups, 3), strict=True)
    return np.concatenate([np.einsum("nijcuv,uvco->nijo", w, k) for w, k in parts], 3)


def keras_conv_transpose(x: Array, kernel: Array, stride: int) -> Array:
    """Conv2DTranspose, padding 'valid': each pixel lays down the kernel."""
    (n, h, w, _), (kh, kw, out, _) = x.shape, kernel.shape
    y = np.zeros((n, (h - 1) * stride + kh, (w - 1) * stride + kw, out))
    for i in range(h):
        for j in range(w):
            laid = np.einsum("nc,uvoc->nuvo", x[:, i, j], kernel)
            y[:, i * stride : i * stride + kh, j * stride : j * stride + kw] += laid
    return y


def last(x: Array) -> Array:
    """(N, C, H, W) to (N, H, W, C)."""
    return np.moveaxis(x, 1, -1)


def test_a_network_of_keras() -> None:
    """Convolution, ReLU, Flatten, Dense. Without the new order of the columns it runs as well."""
    x = normal(2, 3, 6, 5)
    kernel, bias, dense, dense_bias = normal(2, 3, 3, 4), normal(4), normal(60, 7), normal(7)
    conv, linear = nn.Conv2d(3, 4, (2, 3), **F64), nn.Linear(60, 7, **F64)
    model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
    conv.load_state_dict(keras_conv_weights(conv, kernel, bias))
    linear.load_state_dict(keras_dense_weights(linear, dense, dense_bias, flattened=(4, 5, 3)))
    h = np.maximum(keras_conv(last(x), kernel) + bias, 0)
    expected = h.reshape(2, -1) @ dense + dense_bias
    np.testing.assert_allclose(model(x)[0], expected, rtol=1e-12, atol=1e-12)
    linear.load_state_dict(keras_dense_weights(linear, dense, dense_bias))
    assert np.abs(model(x)[0] - expected).max() > 1


def test_groups_depthwise_and_transposed() -> None:
    x = normal(2, 4, 5, 6)
    grouped = nn.Conv2d(4, 6, 3, groups=2, bias=False, **F64)
    kernel = normal(3, 3, 2, 6)
    grouped.load_state_dict(keras_conv_weights(grouped, kernel))
    np.testing.assert_allclose(last(grouped(x)[0]), keras_conv(last(x), kernel, 2), rtol=1e-10)

    deep = nn.Conv2d(4, 8, 3, groups=4, bias=False, **F64)
    kernel = normal(3, 3, 4, 2)
    deep.load_state_dict(keras_conv_weights(deep, kernel, depthwise=True))
    windows = sliding_window_view(last(x), (3, 3), (1, 2))
    y = np.einsum("nijcuv,uvcm->nijcm", windows, kernel).reshape(2, 3, 4, 8)  # c m + q
    np.testing.assert_allclose(last(deep(x)[0]), y, rtol=1e-10)

    up = nn.ConvTranspose2d(4, 3, (2, 3), stride=2, **F64)
    kernel, bias = normal(2, 3, 3, 4), normal(3)
    up.load_state_dict(keras_conv_weights(up, kernel, bias))
    expected = keras_conv_transpose(last(x), kernel, 2) + bias
    np.testing.assert_allclose(last(up(x)[0]), expected, rtol=1e-10)

    line = nn.Conv1d(4, 2, 3, bias=False, **F64)
    kernel = normal(3, 4, 2)
    line.load_state_dict(keras_conv_weights(line, kernel))
    windows = sliding_window_view(x[:, :, 0].swapaxes(1, 2), 3, 1)
    expected = np.einsum("ntcu,uco->nto", windows, kernel)
    np.testing.assert_allclose(line(x[:, :, 0])[0].swapaxes(1, 2), expected, rtol=1e-10)


CONV, LINEAR = nn.Conv2d(4, 6, 3, bias=False), nn.Linear(60, 7, bias=False)


@pytest.mark.parametrize(
    "call",
    [
        lambda: keras_conv_weights(unchecked(LINEAR), normal(3, 3, 4, 6)),
        lambda: keras_conv_weights(CONV, normal(6, 4, 3, 3)),
        lambda: keras_conv_weights(CONV, np.ones((3, 3, 4, 6), int)),
        lambda: keras_conv_weights(CONV, normal(3, 3, 4, 6), normal(6)),
        lambda: keras_conv_weights(nn.Conv2d(4, 6, 3), normal(3, 3, 4, 6), normal(4)),
        lambda: keras_conv_weights(CONV, normal(3, 3, 4, 6), depthwise=True),
        lambda: keras_conv_weights(nn.ConvTranspose2d(4, 6, 3, groups=2), normal(3, 3, 6, 2)),
        lambda: keras_dense_weights(unchecked(CONV), normal(60, 7)),
        lambda: keras_dense_weights(LINEAR, normal(7, 60)),
        lambda: keras_dense_weights(LINEAR, normal(60, 7), normal(7)),
        lambda: keras_dense_weights(LINEAR, normal(60, 7), flattened=(4, 4, 4)),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"_weights: expected .*, got "):
        call()
