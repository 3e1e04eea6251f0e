"""Windows of pooling: where each output looks, axis by axis.

places     input index of tap j of output i, on one axis: i s - p + j d     j = 0 ... k - 1
outputs    o = floor((n + 2 p - d (k - 1) - 1) / s) + 1, or ceil: then one less where the last
           window would start past n + p, that is, in the right padding
symbols    n size   k kernel   s stride   p padding   d dilation
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array

Sizes = int | Sequence[int]


class Window(NamedTuple):
    """The windows along one axis."""

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    outputs: int

    @property
    def starts(self) -> Array:
        """Input index of the first tap of each output, negative in the padding."""
        return np.arange(self.outputs) * self.stride - self.padding

    @property
    def margins(self) -> tuple[int, int]:
        """What the windows need beyond the input, before and behind it."""
        last = (self.outputs - 1) * self.stride + (self.kernel - 1) * self.dilation
        return self.padding, max(last + 1 - self.padding - self.size, 0)

    def tap(self, j: int) -> slice:
        """Tap j of all outputs, in the padded input."""
        start = j * self.dilation
        return slice(start, start + (self.outputs - 1) * self.stride + 1, self.stride)


def maps(function: str, input: object, dims: int) -> Array:
    """`input` as floating feature maps (N, C, ...) or (C, ...); only N may be 0."""
    x = check.floating(function, "input", input)
    axes = ", ".join("DHW"[-dims:] if dims > 1 else "L")
    if x.ndim not in (dims + 1, dims + 2):
        check.refuse(function, f"input of shape (N, C, {axes}) or (C, {axes})", x.shape)
    if 0 in x.shape[-dims - 1 :]:
        check.refuse(function, f"input of shape (N, C, {axes}) with sizes > 0", x.shape)
    return x


def check_sizes(
    function: str, dims: int, kernel_size: Any, stride: Any, padding: Any = 0, dilation: Any = 1
) -> tuple[tuple[int, ...], ...]:
    """Kernels, strides, paddings and dilations, one for each axis, or an error."""
    kernels = check.sizes(function, "kernel_size", kernel_size, dims, 1)
    # torch takes an empty tuple for None too.
    absent = stride is None or (isinstance(stride, tuple | list) and not stride)
    strides = kernels if absent else check.sizes(function, "stride", stride, dims, 1)
    paddings = check.sizes(function, "padding", padding, dims, 0)
    for k, p in zip(kernels, paddings, strict=True):
        if p > k // 2:
            check.refuse(function, f"padding of at most half the kernel, {k // 2}", p)
    return kernels, strides, paddings, check.sizes(function, "dilation", dilation, dims, 1)


def windows(
    function: str,
    shape: Sequence[int],
    kernel_size: Any,
    stride: Any,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> list[Window]:
    """The windows along each of the axes of `shape`, or an error."""
    given = check_sizes(function, len(shape), kernel_size, stride, padding, dilation)
    check.option(function, "ceil_mode", ceil_mode, (True, False))
    found = []
    for n, k, s, p, d in zip(shape, *given, strict=True):
        reach = (k - 1) * d + 1
        outputs = (n + 2 * p - reach + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (outputs - 1) * s >= n + p:
            outputs -= 1
        if outputs < 1:
            check.refuse(function, f"input sizes of at least {reach - 2 * p} here", tuple(shape))
        found.append(Window(n, k, s, p, d, outputs))
    return found


def pad(x: Array, axes: Sequence[Window], value: float) -> Array:
    """`x` with the margins that its windows need, filled with `value`; x itself without any."""
    margins = [window.margins for window in axes]
    if not any(map(sum, margins)):
        return x
    lead = x.ndim - len(axes)
    room = (
        n + before + behind for n, (before, behind) in zip(x.shape[lead:], margins, strict=True)
    )
    padded = np.full((*x.shape[:lead], *room), value, x.dtype)
    crop(padded, axes)[...] = x
    return padded


def crop(padded: Array, axes: Sequence[Window]) -> Array:
    """The view of the input inside its margins."""
    inside: tuple[Any, ...] = tuple(slice(w.padding, w.padding + w.size) for w in axes)
    return padded[(..., *inside)]


def taps(axes: Sequence[Window]) -> list[tuple[Any, ...]]:
    """Index of each tap's outputs in the padded input, in row-major order."""
    places = product(*(range(window.kernel) for window in axes))
    return [(..., *(w.tap(j) for w, j in zip(axes, place, strict=True))) for place in places]


def scatter(dy: Array, indices: Array, shape: tuple[int, ...], dims: int) -> Array:
    """Add each entry of `dy` at its flat position in the map it belongs to.

    Args:
        dy: (..., o...).
        indices: of dy's shape, positions in the last `dims` axes of `shape`.
        shape: of the result.
        dims: number of axes of a map.

    Returns:
        New array of that shape.
    """
    size = math.prod(shape[-dims:])
    maps = np.arange(math.prod(shape[:-dims])) * size
    flat = indices.reshape(len(maps), math.prod(indices.shape[-dims:])) + maps[:, None]
    total = np.bincount(flat.ravel(), dy.ravel(), len(maps) * size)  # in float64
    return total.astype(dy.dtype, copy=False).reshape(shape)
