"""Average pooling over sliding windows.

forward    y[o] = sum_j x[o s - p + j] / m[o]            j runs over the k^n taps of the window
backward   dx[a] = sum_o dy[o] / m[o]                    over the windows that a is in
           both are done one axis after the other: k additions for each axis, not k^n
shapes     x (N, C, L), (N, C, H, W), (N, C, D, H, W), or one sample without N   y (N, C, o...)
torch      m counts the padding too unless count_include_pad=False, but never what a window of
           ceil_mode has beyond it; divisor_override replaces m. avg_pool3d alone refuses an input
           that is smaller than the kernel even if padding makes up for it.
Source     LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11)
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.window import Sizes, Window, check_sizes, crop, maps, pad, windows


@op
def avg_pool1d(
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Backward]:
    """Means of sliding windows over (L).

    Args:
        input: x (N, C, L) or (C, L).
        kernel_size: k.
        stride: s; None takes k.
        padding: p zeros on either side, at most half the kernel.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether the padding counts in the divisor.

    Returns:
        y (N, C, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.

    Source: LeCun et al. 1998.
    """
    args = kernel_size, stride, padding, ceil_mode, count_include_pad
    return averages("avg_pool1d", 1, input, *args, None)


@op
def avg_pool2d(
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[Array, Backward]:
    """Means of sliding windows over (H, W).

    Args:
        input: x (N, C, H, W) or (C, H, W).
        kernel_size: k, one or two.
        stride: s, one or two; None takes k.
        padding: p zeros on either side, at most half the kernel.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether the padding counts in the divisor.
        divisor_override: divisor in place of the count; an integer other than 0.

    Returns:
        y (N, C, o, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.

    Source: LeCun et al. 1998.
    """
    args = kernel_size, stride, padding, ceil_mode, count_include_pad
    return averages("avg_pool2d", 2, input, *args, divisor_override)


@op
def avg_pool3d(
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[Array, Backward]:
    """Means of sliding windows over (D, H, W).

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        kernel_size: k, one or three.
        stride: s, one or three; None takes k.
        padding: p zeros on either side, at most half the kernel.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether the padding counts in the divisor.
        divisor_override: divisor in place of the count; an integer other than 0.

    Returns:
        y (N, C, o, o, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.

    Source: LeCun et al. 1998.
    """
    args = kernel_size, stride, padding, ceil_mode, count_include_pad
    return averages("avg_pool3d", 3, input, *args, divisor_override)


def averages(
    function: str,
    dims: int,
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> tuple[Array, Backward]:
    """Average pooling over the last `dims` axes, for errors under the name `function`."""
    x = maps(function, input, dims)
    axes = windows(function, x.shape[-dims:], kernel_size, stride, padding, 1, ceil_mode)
    if dims == 3 and any(w.size < w.kernel for w in axes):
        kernels = tuple(w.kernel for w in axes)
        check.refuse(function, f"input sizes of at least the kernel's {kernels}", x.shape[-dims:])
    check.option(function, "count_include_pad", count_include_pad, (True, False))
    divisor = _divisor(function, divisor_override)
    if divisor is None:
        counts = (_count(window, count_include_pad) for window in axes)
        divisor = functools.reduce(np.multiply.outer, counts).astype(x.dtype)
    padded = pad(x, axes, 0.0)
    shape = padded.shape
    y = _sums(padded, axes)
    y /= divisor

    def backward(dy: Array) -> Array:
        dpadded = _sums_back(dy / divisor, axes, shape)
        return np.ascontiguousarray(crop(dpadded, axes))

    return y, backward


def _divisor(function: str, divisor_override: int | None) -> Any:
    """The divisor that is given, as a float, or None."""
    if divisor_override is None:
        return None
    divisor = check.size(function, "divisor_override", divisor_override, -(2**63))
    return check.nonzero(function, "divisor_override", divisor)


def _count(window: Window, count_include_pad: bool) -> Array:
    """How many taps of each window lie in the input, or also in its padding."""
    margin = window.padding if count_include_pad else 0
    ends = np.minimum(window.starts + window.kernel, window.size + margin)
    count: Array = ends - np.maximum(window.starts, -margin)
    return count


def _sums(padded: Array, axes: list[Window]) -> Array:
    """Sums over the windows of a padded input, one axis after the other."""
    y = padded
    for axis, window in enumerate(axes, padded.ndim - len(axes)):
        along = (slice(None),) * axis
        total = y[*along, window.tap(0)].copy()
        for j in range(1, window.kernel):
            total += y[*along, window.tap(j)]
        y = total
    return y


def _sums_back(dy: Array, axes: list[Window], shape: tuple[int, ...]) -> Array:
    """The backward of `_sums`, onto a padded input of `shape`."""
    dx = dy
    for axis, window in reversed(list(enumerate(axes, dy.ndim - len(axes)))):
        along = (slice(None),) * axis
        spread = np.zeros((*dx.shape[:axis], shape[axis], *dx.shape[axis + 1 :]), dy.dtype)
        for j in range(window.kernel):
            spread[*along, window.tap(j)] += dx
        dx = spread
    return dx


class _AvgPool(Module):
    """What the modules of two and three axes share."""

    _function: ClassVar[Callable[..., tuple[Array, Backward]]]
    _dims: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        name = type(self).__name__
        check_sizes(name, self._dims, kernel_size, stride, padding)
        check.option(name, "ceil_mode", ceil_mode, (True, False))
        check.option(name, "count_include_pad", count_include_pad, (True, False))
        _divisor(name, divisor_override)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The means."""
        sizes = self.kernel_size, self.stride, self.padding
        options = self.ceil_mode, self.count_include_pad, self.divisor_override
        return type(self)._function(input, *sizes, *options)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(Module):
    """`avg_pool1d`.

    Args:
        kernel_size: k.
        stride: s; None takes k.
        padding: p zeros on either side, at most half the kernel.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether the padding counts in the divisor.

    Shape:
        (N, C, L) to (N, C, o), or both without N.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        given = check_sizes("AvgPool1d", 1, kernel_size, stride, padding)
        check.option("AvgPool1d", "ceil_mode", ceil_mode, (True, False))
        check.option("AvgPool1d", "count_include_pad", count_include_pad, (True, False))
        self.kernel_size, self.stride, self.padding, _ = given
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The means."""
        sizes = self.kernel_size, self.stride, self.padding
        return avg_pool1d(input, *sizes, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """`avg_pool2d`.

    Args:
        kernel_size: k, one or two.
        stride: s; None takes k.
        padding: p zeros on either side, at most half the kernel.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether the padding counts in the divisor.
        divisor_override: divisor in place of the count; an integer other than 0.

    Shape:
        (N, C, H, W) to (N, C, o, o), or both without N.
    """

    _function = staticmethod(avg_pool2d)
    _dims = 2


class AvgPool3d(_AvgPool):
    """`avg_pool3d`.

    Args:
        kernel_size: k, one or three.
        stride: s; None takes k.
        padding: p zeros on either side, at most half the kernel.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether the padding counts in the divisor.
        divisor_override: divisor in place of the count; an integer other than 0.

    Shape:
        (N, C, D, H, W) to (N, C, o, o, o), or both without N.
    """

    _function = staticmethod(avg_pool3d)
    _dims = 3
