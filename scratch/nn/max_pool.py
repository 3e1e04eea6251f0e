"""Max pooling over sliding windows.

forward    y[o] = max_j x[o s - p + j d]                 j runs over the k^n taps of the window
backward   dx[a] = sum_o dy[o]                           over the windows whose maximum is at a
shapes     x (N, C, L), (N, C, H, W), (N, C, D, H, W), or one sample without N
           y (N, C, o...)     indices likewise: flat positions in the L, H W or D H W of the input
torch      pads with -inf. Of equal maxima the first in row-major order takes the gradient; a NaN
           is larger than any number, and of several the last takes it. With ceil_mode a last
           window that would start in the right padding is left out. Dilated taps may all miss the
           input: y is -inf, and its gradient, which torch writes beside the window, goes nowhere.
Source     Ranzato, Huang, Boureau & LeCun 2007, CVPR
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.window import Sizes, Window, check_sizes, crop, maps, pad, taps, windows


@op
def max_pool1d(
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Backward]:
    """Maxima of sliding windows over (L).

    Args:
        input: x (N, C, L) or (C, L).
        kernel_size: k.
        stride: s; None takes k.
        padding: p on either side, at most half the kernel.
        dilation: d, the distance of the taps.
        ceil_mode: whether a last window may reach beyond the padding.
        return_indices: whether the positions of the maxima come too.

    Returns:
        y (N, C, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.

    Source: Ranzato et al. 2007.
    """
    args = kernel_size, stride, padding, dilation, ceil_mode
    return maxima("max_pool1d", 1, input, *args, return_indices)


@op
def max_pool2d(
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Backward]:
    """Maxima of sliding windows over (H, W).

    Args:
        input: x (N, C, H, W) or (C, H, W).
        kernel_size: k, one or two.
        stride: s, one or two; None takes k.
        padding: p on either side, at most half the kernel.
        dilation: d, the distance of the taps.
        ceil_mode: whether a last window may reach beyond the padding.
        return_indices: whether the flat positions of the maxima come too.

    Returns:
        y (N, C, o, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.

    Source: Ranzato et al. 2007.
    """
    args = kernel_size, stride, padding, dilation, ceil_mode
    return maxima("max_pool2d", 2, input, *args, return_indices)


@op
def max_pool3d(
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Backward]:
    """Maxima of sliding windows over (D, H, W).

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        kernel_size: k, one or three.
        stride: s, one or three; None takes k.
        padding: p on either side, at most half the kernel.
        dilation: d, the distance of the taps.
        ceil_mode: whether a last window may reach beyond the padding.
        return_indices: whether the flat positions of the maxima come too.

    Returns:
        y (N, C, o, o, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit.

    Source: Ranzato et al. 2007.
    """
    args = kernel_size, stride, padding, dilation, ceil_mode
    return maxima("max_pool3d", 3, input, *args, return_indices)


def maxima(
    function: str,
    dims: int,
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> tuple[Any, Backward]:
    """Max pooling over the last `dims` axes, for errors under the name `function`."""
    x = maps(function, input, dims)
    axes = windows(function, x.shape[-dims:], kernel_size, stride, padding, dilation, ceil_mode)
    check.option(function, "return_indices", return_indices, (True, False))
    padded = pad(x, axes, -np.inf)
    places = taps(axes)
    y, best = largest([padded[place] for place in places], _first_inside(axes))
    shape, dtype = padded.shape, x.dtype
    apart = all(w.stride > (w.kernel - 1) * w.dilation for w in axes)

    def backward(dy: Array | None, dindices: None = None) -> Array:
        dpadded = np.zeros(shape, dtype)
        if dy is not None:
            bits = dy.view(f"i{dy.itemsize}")  # products of integers keep a NaN to its own tap
            for tap, place in enumerate(places):
                if apart:
                    np.multiply(bits, best == tap, out=dpadded.view(bits.dtype)[place])
                else:
                    dpadded[place] += (bits * (best == tap)).view(dtype)
        return np.ascontiguousarray(crop(dpadded, axes))

    return ((y, _flat(best, axes)) if return_indices else y), backward


def largest(views: Sequence[Array], start: Array) -> tuple[Array, Array]:
    """The largest of arrays of one shape, entry by entry.

    Args:
        views: the arrays.
        start: number of the one that wins where all are -inf; small integers that broadcast.

    Returns:
        y, and the number of the array that it is from: of ties the first, of NaN the last.
    """
    y = views[0].copy()
    best = np.broadcast_to(start, y.shape).copy()
    number = best.dtype.type
    for i, view in enumerate(views[1:], start=1):
        # A later array has the higher number, so where it wins that is the larger one.
        np.maximum(best, (view > y) * number(i), out=best)
        np.maximum(y, view, out=y)
    if np.isnan(y).any():  # no comparison finds them
        for i, view in enumerate(views):
            np.maximum(best, np.isnan(view) * number(i), out=best)
    return y, best


def largest_in(x: Array, places: Sequence[Array]) -> tuple[Array, Array]:
    """The largest entry of each bin, one axis after the other, the innermost first.

    Args:
        x: (..., n...), maps over as many axes as there are `places`.
        places: for each axis the inputs at which its bins look, (k, o), or (k, ..., o) where they
            differ from map to map; a bin may list its last input several times.

    Returns:
        y (..., o...), and its flat positions in the maps; ties and NaN as in `largest`.
    """
    size = x.shape[x.ndim - len(places) :]
    y, position = x, np.zeros((1,) * x.ndim, np.int64)
    for i, place in reversed(list(enumerate(places))):
        axis = x.ndim - len(places) + i
        between, inner = (1,) * (axis + 2 - place.ndim), (1,) * (x.ndim - 1 - axis)
        index = place.reshape(*place.shape[:-1], *between, place.shape[-1], *inner)
        if place.ndim == 2:
            views = [np.take(y, at, axis) for at in place]
        else:
            views = [np.take_along_axis(y, at, axis) for at in index]
        y, best = largest(views, np.zeros((), counter(len(place))))
        everywhere = np.broadcast_to(index, (len(place), *y.shape))
        at = np.take_along_axis(everywhere, best[None], 0)[0]
        before = np.broadcast_to(position, (*y.shape[:axis], size[i], *y.shape[axis + 1 :]))
        position = at * math.prod(size[i + 1 :]) + np.take_along_axis(before, at, axis)
    return y, position


def _first_inside(axes: list[Window]) -> Array:
    """Number of the first tap of each window that is not in the left padding."""
    number: Any = 0
    for w in axes:
        number = np.add.outer(number * w.kernel, -(np.minimum(w.starts, 0) // w.dilation))
    return np.asarray(number).astype(counter(math.prod(w.kernel for w in axes)))


def counter(n: int) -> np.dtype[Any]:
    """The smallest dtype for numbers below n."""
    return np.min_scalar_type(n - 1)


def _flat(best: Array, axes: list[Window]) -> Array:
    """Flat position in the input of each window's best tap."""
    corner: Any = 0
    offset: Any = 0
    for w in axes:
        corner = np.add.outer(corner * w.size, w.starts)
        offset = np.add.outer(offset * w.size, np.arange(w.kernel) * w.dilation)
    position: Array = offset.ravel()[best] + corner
    return position


class _MaxPool(Module):
    """What the three modules share."""

    _function: ClassVar[Callable[..., tuple[Any, Backward]]]
    _dims: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        name = type(self).__name__
        check_sizes(name, self._dims, kernel_size, stride, padding, dilation)
        check.option(name, "return_indices", return_indices, (True, False))
        check.option(name, "ceil_mode", ceil_mode, (True, False))
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Array) -> tuple[Any, Backward]:
        """The maxima, and their positions with `return_indices`."""
        sizes = self.kernel_size, self.stride, self.padding, self.dilation
        return type(self)._function(input, *sizes, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """`max_pool1d`.

    Args:
        kernel_size: k.
        stride: s; None takes k.
        padding: p on either side, at most half the kernel.
        dilation: d, the distance of the taps.
        return_indices: whether the positions of the maxima come too.
        ceil_mode: whether a last window may reach beyond the padding.

    Shape:
        (N, C, L) to (N, C, o), or both without N.
    """

    _function = staticmethod(max_pool1d)
    _dims = 1


class MaxPool2d(_MaxPool):
    """`max_pool2d`.

    Args:
        kernel_size: k, one or two.
        stride: s; None takes k.
        padding: p on either side, at most half the kernel.
        dilation: d, the distance of the taps.
        return_indices: whether the positions of the maxima come too.
        ceil_mode: whether a last window may reach beyond the padding.

    Shape:
        (N, C, H, W) to (N, C, o, o), or both without N.
    """

    _function = staticmethod(max_pool2d)
    _dims = 2


class MaxPool3d(_MaxPool):
    """`max_pool3d`.

    Args:
        kernel_size: k, one or three.
        stride: s; None takes k.
        padding: p on either side, at most half the kernel.
        dilation: d, the distance of the taps.
        return_indices: whether the positions of the maxima come too.
        ceil_mode: whether a last window may reach beyond the padding.

    Shape:
        (N, C, D, H, W) to (N, C, o, o, o), or both without N.
    """

    _function = staticmethod(max_pool3d)
    _dims = 3
