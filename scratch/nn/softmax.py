"""Softmax: positive numbers that sum to 1 along one axis.

softmax       y_i = e^x_i / sum_j e^x_j              dx = y (dy - sum dy y)
log_softmax   y_i = x_i - log sum_j e^x_j            dx = dy - e^y sum dy
softmin       softmax of -x                          dx = -y (dy - sum dy y)
shapes        x, y any   sums over the axis dim
stability     the largest x is subtracted first, which keeps e^x from overflowing; log_softmax is
              not log(softmax), which is -inf where softmax rounds to 0
torch         without dim: 0 where x has 0, 1 or 3 axes, else 1; torch warns, here it is silent.
              dtype casts x before anything else. A row of -inf alone, or with +inf, is NaN.
Source        Bridle 1990, "Training stochastic model recognition algorithms as networks can lead
              to maximum mutual information estimation of parameters"
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.blocks import each_rows
from scratch.nn.module import Module
from scratch.nn.op import Backward, op


@op
def softmax(
    input: Array, dim: int | None = None, *, dtype: DTypeLike | None = None
) -> tuple[Array, Backward]:
    """y = e^x / sum e^x.

    Args:
        input: x of any shape.
        dim: axis that sums to 1; None takes 0 where x has 0, 1 or 3 axes, else 1.
        dtype: float32 or float64 to which x is cast first; None leaves it.

    Returns:
        y of x's shape, and its backward: dy -> dx, in the dtype that `input` has.

    Raises:
        TypeError: if `input` is not floating or `dtype` is another one.
        ValueError: if the axis does not exist.

    Source: Bridle 1990.
    """
    x = check.floating("softmax", "input", input)
    axis = _axis("softmax", dim, x.ndim)
    y = _softmax(_cast(x, _dtype("softmax", dtype, x)), axis)
    return y, lambda dy: _softmax_back(y, dy, axis, x.dtype)


@op
def softmin(
    input: Array, dim: int | None = None, *, dtype: DTypeLike | None = None
) -> tuple[Array, Backward]:
    """y = e^-x / sum e^-x.

    Args:
        input: x of any shape.
        dim: axis that sums to 1; None takes 0 where x has 0, 1 or 3 axes, else 1.
        dtype: float32 or float64 to which x is cast first; None leaves it.

    Returns:
        y of x's shape, and its backward: dy -> dx, in the dtype that `input` has.

    Raises:
        TypeError: if `input` is not floating or `dtype` is another one.
        ValueError: if the axis does not exist.
    """
    x = check.floating("softmin", "input", input)
    axis = _axis("softmin", dim, x.ndim)
    y = _softmax(-_cast(x, _dtype("softmin", dtype, x)), axis)
    return y, lambda dy: -_softmax_back(y, dy, axis, x.dtype)


@op
def log_softmax(
    input: Array, dim: int | None = None, *, dtype: DTypeLike | None = None
) -> tuple[Array, Backward]:
    """y = x - log sum e^x.

    Args:
        input: x of any shape.
        dim: axis whose exponentials sum to 1; None takes 0 where x has 0, 1 or 3 axes, else 1.
        dtype: float32 or float64 to which x is cast first; None leaves it.

    Returns:
        y of x's shape, and its backward: dy -> dx, in the dtype that `input` has.

    Raises:
        TypeError: if `input` is not floating or `dtype` is another one.
        ValueError: if the axis does not exist.
    """
    x = check.floating("log_softmax", "input", input)
    axis = _axis("log_softmax", dim, x.ndim)
    x = _cast(x, _dtype("log_softmax", dtype, x))
    y = np.empty(x.shape, x.dtype)

    def forward(x: Array, y: Array) -> None:
        _shift(x, y)
        with np.errstate(divide="ignore"):  # the sum over an axis of size 0
            y -= np.log(np.exp(y).sum(axis=1, keepdims=True))

    def input_gradient(y: Array, dy: Array, dx: Array) -> None:
        np.exp(y, out=dx)
        dx *= -dy.sum(axis=1, keepdims=True)
        dx += dy

    def backward(dy: Array) -> Array:
        dx = np.empty(y.shape, y.dtype)
        each_rows(input_gradient, *_along(axis, y, dy, dx))
        return _cast(dx, input.dtype)

    each_rows(forward, *_along(axis, x, y))
    return y, backward


def _along(axis: int, *arrays: Array) -> list[Array]:
    """Arrays of one shape as (before, n, after), where n is the size of the axis."""
    shape = arrays[0].shape or (1,)
    before, n, after = (math.prod(s) for s in (shape[:axis], shape[axis:][:1], shape[axis:][1:]))
    return [array.reshape(before, n, after) for array in arrays]


def _shift(x: Array, y: Array) -> None:
    """y = x minus its maximum."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as in torch
        np.subtract(x, x.max(axis=1, keepdims=True, initial=-np.inf), out=y)


def _softmax(x: Array, axis: int) -> Array:
    def forward(x: Array, y: Array) -> None:
        _shift(x, y)
        np.exp(y, out=y)
        y /= y.sum(axis=1, keepdims=True)

    y = np.empty(x.shape, x.dtype)
    each_rows(forward, *_along(axis, x, y))
    return y


def _softmax_back(y: Array, dy: Array, axis: int, dtype: np.dtype[Any]) -> Array:
    def input_gradient(y: Array, dy: Array, dx: Array) -> None:
        np.subtract(dy, np.einsum("ijk,ijk->ik", dy, y)[:, None], out=dx)
        dx *= y

    dx = np.empty(y.shape, y.dtype)
    each_rows(input_gradient, *_along(axis, y, dy, dx))
    return _cast(dx, dtype)


def _cast(x: Array, dtype: np.dtype[Any]) -> Array:
    cast: Array = x.astype(dtype, copy=False)
    return cast


def _axis(function: str, dim: int | None, ndim: int) -> int:
    if dim is None:
        return 0 if ndim in (0, 1, 3) else 1
    return check.axis(function, "dim", dim, ndim)


def _dtype(function: str, dtype: DTypeLike | None, x: Array) -> np.dtype[Any]:
    try:
        kind = x.dtype if dtype is None else np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.float32, np.float64):
        check.refuse(function, "dtype float32 or float64", check.describe(dtype), TypeError)
    return kind


def _check_dim(function: str, dim: object) -> None:
    """None or an integer; which axes exist is known at the call."""
    if dim is not None:
        check.size(function, "dim", dim, low=-64)


class Softmax(Module):
    """`softmax`.

    Args:
        dim: axis that sums to 1; None takes 0 where x has 0, 1 or 3 axes, else 1.

    Shape:
        any to the same.
    """

    def __init__(self, dim: int | None = None) -> None:
        _check_dim("Softmax", dim)
        self.dim = dim

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = e^x / sum e^x."""
        return softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """`softmax` over the channels at each pixel.

    Shape:
        (N, C, H, W) or (C, H, W) to the same.
    """

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = e^x / sum e^x over C."""
        x = check.floating("Softmax2d", "input", input)
        if x.ndim not in (3, 4):
            check.refuse("Softmax2d", "input of shape (N, C, H, W) or (C, H, W)", x.shape)
        return softmax(x, -3)


class Softmin(Module):
    """`softmin`.

    Args:
        dim: axis that sums to 1; None takes 0 where x has 0, 1 or 3 axes, else 1.

    Shape:
        any to the same.
    """

    def __init__(self, dim: int | None = None) -> None:
        _check_dim("Softmin", dim)
        self.dim = dim

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = e^-x / sum e^-x."""
        return softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """`log_softmax`.

    Args:
        dim: axis whose exponentials sum to 1; None takes 0 where x has 0, 1 or 3 axes, else 1.

    Shape:
        any to the same.
    """

    def __init__(self, dim: int | None = None) -> None:
        _check_dim("LogSoftmax", dim)
        self.dim = dim

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x - log sum e^x."""
        return log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
