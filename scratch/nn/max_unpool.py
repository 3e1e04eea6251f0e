"""Max unpooling: put each value back where its maximum was, zeros elsewhere.

forward    y[i[o]] = x[o]      of several values for one place the last stays
backward   dx[o] = dy[i[o]]    for all of them, as torch has it
shapes     x, i (N, C, o...) or without N     y (N, C, n...)     n = (o - 1) s - 2 p + k
torch      output_size chooses among the inputs that max pooling takes to o: n - s < size < n + s
Source     Zeiler, Taylor & Fergus 2011, ICCV
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.window import Sizes, check_sizes, maps


@op
def max_unpool1d(
    input: Array,
    indices: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> tuple[Array, Backward]:
    """The partial inverse of `max_pool1d`.

    Args:
        input: x (N, C, o) or (C, o).
        indices: i, of the same shape: flat positions in (L) of the output.
        kernel_size: k.
        stride: s; None takes k.
        padding: p of the pooling, at most half the kernel.
        output_size: (L) of the output, or its whole shape (N, C, L).

    Returns:
        y (N, C, n), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating, or `indices` or a size not integer.
        ValueError: if a shape, size or position does not fit.

    Source: Zeiler et al. 2011.
    """
    args = kernel_size, stride, padding, output_size
    return _unpool("max_unpool1d", 1, input, indices, *args)


@op
def max_unpool2d(
    input: Array,
    indices: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> tuple[Array, Backward]:
    """The partial inverse of `max_pool2d`.

    Args:
        input: x (N, C, o, o) or (C, o, o).
        indices: i, of the same shape: flat positions in (H, W) of the output.
        kernel_size: k, one or two.
        stride: s, one or two; None takes k.
        padding: p of the pooling, at most half the kernel.
        output_size: (H, W) of the output, or its whole shape (N, C, H, W).

    Returns:
        y (N, C, n, n), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating, or `indices` or a size not integer.
        ValueError: if a shape, size or position does not fit.

    Source: Zeiler et al. 2011.
    """
    args = kernel_size, stride, padding, output_size
    return _unpool("max_unpool2d", 2, input, indices, *args)


@op
def max_unpool3d(
    input: Array,
    indices: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> tuple[Array, Backward]:
    """The partial inverse of `max_pool3d`.

    Args:
        input: x (N, C, o, o, o) or (C, o, o, o).
        indices: i, of the same shape: flat positions in (D, H, W) of the output.
        kernel_size: k, one or three.
        stride: s, one or three; None takes k.
        padding: p of the pooling, at most half the kernel.
        output_size: (D, H, W) of the output, or its whole shape (N, C, D, H, W).

    Returns:
        y (N, C, n, n, n), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating, or `indices` or a size not integer.
        ValueError: if a shape, size or position does not fit.

    Source: Zeiler et al. 2011.
    """
    args = kernel_size, stride, padding, output_size
    return _unpool("max_unpool3d", 3, input, indices, *args)


def _unpool(
    function: str,
    dims: int,
    input: Array,
    indices: Array,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    output_size: Sequence[int] | None,
) -> tuple[Array, Backward]:
    x = maps(function, input, dims)
    given = check_sizes(function, dims, kernel_size, stride, padding)
    size = _output_size(function, x.shape[-dims:], given, output_size)
    index = check.integer(function, "indices", indices, 0, math.prod(size))
    check.shape(function, "indices", index, x.shape)
    lead = x.shape[:-dims]
    rows = np.arange(math.prod(lead))[:, None]
    columns = index.reshape(len(rows), math.prod(x.shape[-dims:]))
    y = np.zeros((len(rows), math.prod(size)), x.dtype)
    y[rows, columns] = x.reshape(columns.shape)

    def backward(dy: Array) -> Array:
        dx: Array = dy.reshape(len(rows), math.prod(size))[rows, columns].reshape(index.shape)
        return dx

    return y.reshape(*lead, *size), backward


def _output_size(
    function: str, shape: Sequence[int], given: Sequence[Sequence[int]], output_size: Any
) -> tuple[int, ...]:
    """The sizes of the output's maps."""
    dims = len(shape)
    kernels, strides, paddings, _ = given
    fits = zip(shape, kernels, strides, paddings, strict=True)
    default = tuple((n - 1) * s - 2 * p + k for n, k, s, p in fits)
    size = default
    if output_size is not None:
        if not isinstance(output_size, tuple | list) or len(output_size) not in (dims, dims + 2):
            expected = f"output_size of {dims} or {dims + 2} integers"
            check.refuse(function, expected, check.describe(output_size))
        size = tuple(check.size(function, "output_size", n) for n in output_size[-dims:])
        if any(abs(n - m) >= s for n, m, s in zip(size, default, strides, strict=True)):
            near = tuple(f"{m - s} < size < {m + s}" for m, s in zip(default, strides, strict=True))
            check.refuse(function, f"output_size with {', '.join(near)}", size)
    if min(size) < 0:
        check.refuse(function, "an output of sizes >= 0", size)
    return size


class _MaxUnpool(Module):
    """What the three modules share."""

    _function: ClassVar[Callable[..., tuple[Array, Backward]]]
    _dims: ClassVar[int]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        given = check_sizes(type(self).__name__, self._dims, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding, _ = given

    def forward(
        self, input: Array, indices: Array, output_size: Sequence[int] | None = None
    ) -> tuple[Array, Backward]:
        """The values at their places."""
        sizes = self.kernel_size, self.stride, self.padding
        return type(self)._function(input, indices, *sizes, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """`max_unpool1d`.

    Args:
        kernel_size: k.
        stride: s; None takes k.
        padding: p of the pooling, at most half the kernel.

    Shape:
        (N, C, o) and indices of the same to (N, C, n), or all without N.
    """

    _function = staticmethod(max_unpool1d)
    _dims = 1


class MaxUnpool2d(_MaxUnpool):
    """`max_unpool2d`.

    Args:
        kernel_size: k, one or two.
        stride: s, one or two; None takes k.
        padding: p of the pooling, at most half the kernel.

    Shape:
        (N, C, o, o) and indices of the same to (N, C, n, n), or all without N.
    """

    _function = staticmethod(max_unpool2d)
    _dims = 2


class MaxUnpool3d(_MaxUnpool):
    """`max_unpool3d`.

    Args:
        kernel_size: k, one or three.
        stride: s, one or three; None takes k.
        padding: p of the pooling, at most half the kernel.

    Shape:
        (N, C, o, o, o) and indices of the same to (N, C, n, n, n), or all without N.
    """

    _function = staticmethod(max_unpool3d)
    _dims = 3
