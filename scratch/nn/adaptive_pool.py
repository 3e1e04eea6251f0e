"""Adaptive pooling: the size of the output is given, the windows follow from it.

bins       output i of o looks at inputs floor(i n / o) ... ceil((i + 1) n / o) - 1 of n, on each
           axis; where o does not divide n the bins differ in size and overlap
average    y = mean over the bin         dx[a] = sum of dy / size over the bins that a is in
maximum    y = maximum over the bin      dx[a] = sum of dy over the bins whose maximum is at a
           both are done one axis after the other
shapes     x (N, C, L), (N, C, H, W), (N, C, D, H, W), or one sample without N   y (N, C, o...)
torch      a size None keeps the input's. Ties and NaN as in max_pool.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.max_pool import largest_in
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.window import maps, scatter

OutputSize = int | Sequence[int | None] | None


@op
def adaptive_avg_pool1d(input: Array, output_size: OutputSize) -> tuple[Array, Backward]:
    """Means over o bins of (L).

    Args:
        input: x (N, C, L) or (C, L).
        output_size: o.

    Returns:
        y (N, C, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.
    """
    return _average("adaptive_avg_pool1d", 1, input, output_size)


@op
def adaptive_avg_pool2d(input: Array, output_size: OutputSize) -> tuple[Array, Backward]:
    """Means over o x o bins of (H, W).

    Args:
        input: x (N, C, H, W) or (C, H, W).
        output_size: o, one or two; None keeps the input's size.

    Returns:
        y (N, C, o, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.
    """
    return _average("adaptive_avg_pool2d", 2, input, output_size)


@op
def adaptive_avg_pool3d(input: Array, output_size: OutputSize) -> tuple[Array, Backward]:
    """Means over o x o x o bins of (D, H, W).

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        output_size: o, one or three; None keeps the input's size.

    Returns:
        y (N, C, o, o, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.
    """
    return _average("adaptive_avg_pool3d", 3, input, output_size)


@op
def adaptive_max_pool1d(
    input: Array, output_size: OutputSize, return_indices: bool = False
) -> tuple[Any, Backward]:
    """Maxima over o bins of (L).

    Args:
        input: x (N, C, L) or (C, L).
        output_size: o.
        return_indices: whether the positions of the maxima come too.

    Returns:
        y (N, C, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.
    """
    return _maximum("adaptive_max_pool1d", 1, input, output_size, return_indices)


@op
def adaptive_max_pool2d(
    input: Array, output_size: OutputSize, return_indices: bool = False
) -> tuple[Any, Backward]:
    """Maxima over o x o bins of (H, W).

    Args:
        input: x (N, C, H, W) or (C, H, W).
        output_size: o, one or two; None keeps the input's size.
        return_indices: whether the flat positions of the maxima come too.

    Returns:
        y (N, C, o, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.
    """
    return _maximum("adaptive_max_pool2d", 2, input, output_size, return_indices)


@op
def adaptive_max_pool3d(
    input: Array, output_size: OutputSize, return_indices: bool = False
) -> tuple[Any, Backward]:
    """Maxima over o x o x o bins of (D, H, W).

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        output_size: o, one or three; None keeps the input's size.
        return_indices: whether the flat positions of the maxima come too.

    Returns:
        y (N, C, o, o, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.
    """
    return _maximum("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _check_output_size(function: str, output_size: Any, dims: int) -> list[int | None]:
    """The output's size on each axis, None where it is the input's."""
    if not isinstance(output_size, tuple | list):
        output_size = (output_size,) * dims
    if len(output_size) != dims:
        check.refuse(function, f"output_size to be one or {dims}", output_size)
    return [None if o is None else check.size(function, "output_size", o) for o in output_size]


def _prepare(
    function: str, dims: int, input: Array, output_size: OutputSize
) -> tuple[Array, list[int]]:
    """The input and the output's size on each axis."""
    x = maps(function, input, dims)
    given = _check_output_size(function, output_size, dims)
    return x, [n if o is None else o for n, o in zip(x.shape[-dims:], given, strict=True)]


def _bins(n: int, o: int) -> tuple[Array, Array]:
    """Where the bins start and how many inputs each has."""
    i = np.arange(o)
    start = i * n // o
    return start, -(-(i + 1) * n // o) - start


def _average(
    function: str, dims: int, input: Array, output_size: OutputSize
) -> tuple[Array, Backward]:
    x, outputs = _prepare(function, dims, input, output_size)
    lead, size = x.shape[:-dims], x.shape[-dims:]
    # To one value each: one long axis, one product with ones.
    flat = all(o == 1 for o in outputs)
    axes = [(math.prod(size), 1)] if flat else list(zip(size, outputs, strict=True))
    y = x.reshape(*lead, *(n for n, _ in axes))
    for axis, (_, o) in enumerate(axes, len(lead)):
        y = _sums(y, axis, o)
    shares = ((1 / _bins(n, o)[1]).astype(x.dtype) for n, o in axes)
    share = functools.reduce(np.multiply.outer, shares)

    def backward(dy: Array) -> Array:
        dx = dy.reshape(*lead, *(o for _, o in axes)) * share
        for axis, (n, _) in enumerate(axes, len(lead)):
            dx = _sums(dx, axis, n)  # the bins of the way back: input a is in those that sum it
        whole: Array = dx.reshape(*lead, *size)
        return whole

    return (y * share).reshape(*lead, *outputs), backward


def _sums(x: Array, axis: int, o: int) -> Array:
    """Sums over o bins along one axis.

    Input a is in bin i exactly where i is in bin a of the o outputs' n bins, so the same function
    with the sizes exchanged is its own backward.
    """
    n = x.shape[axis]
    if o == 1:
        # An infinity may raise BLAS's flag of an invalid operation beside a sum that is right.
        with np.errstate(invalid="ignore"):
            return np.expand_dims(np.moveaxis(x, axis, -1) @ np.ones(n, x.dtype), axis)
    if n and o % n == 0:
        return np.repeat(x, o // n, axis)
    start, width = _bins(n, o)
    y = np.zeros((*x.shape[:axis], o, *x.shape[axis + 1 :]), x.dtype)
    along: tuple[Any, ...] = (slice(None),) * axis
    for j in range(width.max(initial=0)):
        wide = np.flatnonzero(width > j)
        y[(*along, wide)] += x[(*along, start[wide] + j)]
    return y


def _maximum(
    function: str, dims: int, input: Array, output_size: OutputSize, return_indices: bool
) -> tuple[Any, Backward]:
    x, outputs = _prepare(function, dims, input, output_size)
    check.option(function, "return_indices", return_indices, (True, False))
    places = []
    for n, o in zip(x.shape[-dims:], outputs, strict=True):
        start, width = _bins(n, o)
        taps = np.arange(width.max(initial=1))[:, None]
        places.append(start + np.minimum(taps, width - 1))  # a narrow bin's last input again
    y, indices = largest_in(x, places)
    shape, dtype = x.shape, x.dtype

    def backward(dy: Array | None, dindices: None = None) -> Array:
        return np.zeros(shape, dtype) if dy is None else scatter(dy, indices, shape, dims)

    return ((y, indices) if return_indices else y), backward


class _AdaptiveAvgPool(Module):
    """What the three modules share."""

    _function: ClassVar[Callable[..., tuple[Array, Backward]]]
    _dims: ClassVar[int]

    def __init__(self, output_size: OutputSize) -> None:
        _check_output_size(type(self).__name__, output_size, self._dims)
        self.output_size = output_size

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The means."""
        return type(self)._function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(Module):
    """What the three modules share."""

    _function: ClassVar[Callable[..., tuple[Any, Backward]]]
    _dims: ClassVar[int]

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        name = type(self).__name__
        _check_output_size(name, output_size, self._dims)
        check.option(name, "return_indices", return_indices, (True, False))
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Array) -> tuple[Any, Backward]:
        """The maxima, and their positions with `return_indices`."""
        return type(self)._function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """`adaptive_avg_pool1d`.

    Args:
        output_size: o.

    Shape:
        (N, C, L) to (N, C, o), or both without N.
    """

    _function = staticmethod(adaptive_avg_pool1d)
    _dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """`adaptive_avg_pool2d`.

    Args:
        output_size: o, one or two; None keeps the input's size.

    Shape:
        (N, C, H, W) to (N, C, o, o), or both without N.
    """

    _function = staticmethod(adaptive_avg_pool2d)
    _dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """`adaptive_avg_pool3d`.

    Args:
        output_size: o, one or three; None keeps the input's size.

    Shape:
        (N, C, D, H, W) to (N, C, o, o, o), or both without N.
    """

    _function = staticmethod(adaptive_avg_pool3d)
    _dims = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """`adaptive_max_pool1d`.

    Args:
        output_size: o.
        return_indices: whether the positions of the maxima come too.

    Shape:
        (N, C, L) to (N, C, o), or both without N.
    """

    _function = staticmethod(adaptive_max_pool1d)
    _dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """`adaptive_max_pool2d`.

    Args:
        output_size: o, one or two; None keeps the input's size.
        return_indices: whether the flat positions of the maxima come too.

    Shape:
        (N, C, H, W) to (N, C, o, o), or both without N.
    """

    _function = staticmethod(adaptive_max_pool2d)
    _dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """`adaptive_max_pool3d`.

    Args:
        output_size: o, one or three; None keeps the input's size.
        return_indices: whether the flat positions of the maxima come too.

    Shape:
        (N, C, D, H, W) to (N, C, o, o, o), or both without N.
    """

    _function = staticmethod(adaptive_max_pool3d)
    _dims = 3
