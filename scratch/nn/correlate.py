"""The three maps that convolution and its transpose are made of, over any number of spatial axes.

correlate        y[n, o, p] = sum_{c, k} w[o, c, k] x[n, c, s p + d k - a]           x is 0 outside
weight_gradient  dw[o, c, k] = sum_{n, p} dy[n, o, p] x[n, c, s p + d k - a]
spread           z[n, c, q] = sum_{o, k, p: s p + d k - a = q} w[o, c, k] y[n, o, p]
                 the adjoint of correlate: <correlate(x), y> = <x, spread(y)>
shapes           x, z (N, C, *size)   w (O, C / groups, *kernel)   y (N, O, *out)

At stride 1 the columns that are multiplied hold the taps along all axes but the first only. What a
tap along the first axis sees is the same columns some rows further on, a view, so that an image
of 3 x 3 windows is copied three times and not nine, for three products whose sum is y:

    columns[c, j, h, p] = x[c, h - a, p + d j - a]         y = sum_i w[:, :, i] columns[:, :, d i:]

Kernels of a single channel (depthwise) leave nothing to multiply matrices for: see depthwise.py.
Small images are multiplied all at once: see images_last.py.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from scratch.check import Array
from scratch.nn import depthwise, images_last
from scratch.nn.images_last import ALONE, SMALL, Windows
from scratch.threads import for_each

BLOCK = 3 * 2**19  # bytes of columns at a time, which stay in the cache
PARTS = 4  # shares of the images, at most: what threads take, whose weight gradients are added
NARROW = 8  # channels below which BLAS is so slow at z's columns that w's, k times as many, win

Room = dict[int, Array]  # what one call's threads work in, each in its own


class Window(NamedTuple):
    """How a kernel moves over its input: one number for each spatial axis.

    Attributes:
        stride: s.
        dilation: d.
        before: zeros in front of the input, a; negative where the window starts inside.
        groups: into how many the channels are divided, each with kernels of its own.
    """

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    groups: int


def correlate(x: Array, w: Array, window: Window, out: tuple[int, ...]) -> Array:
    """The products of `w` with the windows of `x` at `out` positions: y (N, O, *out)."""
    if _depthwise(w, window):
        return depthwise.correlate(x, w, *window[:3], out)
    if images_last.fits(len(x), out):
        return images_last.correlate(x, Windows(w, window, x.shape[2:], out))
    n, g, p = len(x), window.groups, math.prod(out)
    first, *others = _matrices(w, window)
    y = np.empty((n, g, len(w) // g, p), x.dtype)
    columns_of, step = _columns(x, w, window, out)
    products: Room = {}

    def multiply(images: slice) -> None:
        columns, total = columns_of(images), y[images]
        np.matmul(first, columns[..., :p], out=total)
        for i, matrix in enumerate(others, 1):
            seen = columns[..., i * step : i * step + p]
            total += np.matmul(matrix, seen, out=_own(products, total.shape, x.dtype))

    for_each(multiply, _blocks(x, w, window, out))
    return y.reshape(n, len(w), *out)


def weight_gradient(x: Array, dy: Array, w: Array, window: Window) -> Array:
    """dw (O, C / groups, *kernel) from the gradient of what `correlate` returned."""
    out = dy.shape[2:]
    if _depthwise(w, window):
        return depthwise.weight_gradient(x, dy, w, *window[:3])
    if images_last.fits(len(x), out):
        return images_last.weight_gradient(x, dy, Windows(w, window, x.shape[2:], out))
    g, p = window.groups, math.prod(out)
    taps, k = _along_first(w, window), w.shape[2]
    blocks = list(_blocks(x, w, window, out))
    shares = min(PARTS, len(blocks), max(1, SMALL // w.nbytes))
    parts = np.zeros((shares, taps, g, w[0].size // taps, len(w) // g), x.dtype)
    columns_of, step = _columns(x, w, window, out)
    rows: Room = {}

    def multiply(part: int) -> None:
        for images in blocks[part::shares]:
            columns = columns_of(images)
            turned = dy[images].reshape(-1, g, len(w) // g, p).swapaxes(2, 3)
            drows = _own(rows, turned.shape, x.dtype)
            np.copyto(drows, turned)
            for i, dmatrix in enumerate(parts[part]):
                dmatrix += (columns[..., i * step : i * step + p] @ drows).sum(0)

    for_each(multiply, range(shares))
    split: Array = parts.sum(0).reshape(taps, g, k // taps, -1, w.shape[1], len(w) // g)
    return split.transpose(1, 5, 4, 0, 2, 3).reshape(w.shape)


def spread(y: Array, w: Array, window: Window, size: tuple[int, ...]) -> Array:
    """What the outputs give back to the inputs that their windows saw: z (N, C, *size).

    The inputs at one phase of the stride all meet the same taps, so each phase is a correlation of
    `y` at stride 1 with these taps, the last one first.
    """
    out = y.shape[2:]
    if images_last.fits(len(y), out) and not _depthwise(w, window):
        return images_last.spread(y, Windows(w, window, size, out))
    if 1 < w.shape[1] < NARROW or (w.shape[1] == 1 and window.groups == 1):
        return _scatter(y, w, window, size)
    g = window.groups
    swapped = w.reshape(g, len(w) // g, *w.shape[1:]).swapaxes(1, 2)
    swapped = swapped.reshape(-1, len(w) // g, *w.shape[2:])  # (C, O / groups, *kernel)
    axes = zip(size, w.shape[2:], *window[:3], strict=True)
    phases = list(itertools.product(*(_phases(*axis) for axis in axes)))
    z = np.zeros((len(y), len(swapped), *size), y.dtype)
    for phase in phases:
        inputs, taps, dilation, before, out = zip(*phase, strict=True)
        flipped = Window((1,) * len(size), dilation, before, g)
        part = correlate(y, swapped[(..., *taps)], flipped, out)
        if out == size:
            return part
        z[(..., *inputs)] = part
    return z


def _phases(
    size: int, kernel: int, s: int, d: int, a: int
) -> Iterator[tuple[slice, slice, int, int, int]]:
    """Along one axis, for each phase: its inputs, their taps, and the window of its correlation.

    Tap k reaches input q from position p = (q + a - d k) / s, if that is an integer.
    """
    apart = s // math.gcd(s, d)  # two taps that reach the same inputs
    for q in range(min(s, size)):
        for k in range(min(apart, kernel)):
            if (q + a - d * k) % s == 0:
                last = k + (kernel - 1 - k) // apart * apart
                taps = slice(last, k - 1 if k else None, -apart)
                before = -(q + a - d * last) // s
                yield slice(q, None, s), taps, d * apart // s, before, len(range(q, size, s))


def _scatter(y: Array, w: Array, window: Window, size: tuple[int, ...]) -> Array:
    """`spread` by one product for all taps, each then added where it belongs."""
    n, g, out = len(y), window.groups, y.shape[2:]
    matrix = w.reshape(g, len(w) // g, -1).swapaxes(1, 2)
    z = np.zeros((n, w.shape[1] * g, *size), y.dtype)
    taps = itertools.product(*map(range, w.shape[2:]))
    met = [(tap, *_meet(size, out, window, tap)) for tap in taps]

    def add(images: slice) -> None:
        columns: Any = matrix @ y[images].reshape(-1, g, len(w) // g, math.prod(out))
        columns = columns.reshape(-1, z.shape[1], *w.shape[2:], *out)
        for tap, inputs, positions in met:
            z[images][(..., *inputs)] += columns[:, :, *tap][(..., *positions)]

    for_each(add, _blocks(y, w, window, out))
    return z


def _depthwise(w: Array, window: Window) -> bool:
    return w.shape[1] == 1 and window.groups > 1


def _along_first(w: Array, window: Window) -> int:
    """How many taps are views of the columns: all along the first axis if its stride is 1."""
    return w.shape[2] if window.stride[0] == 1 else 1


def _matrices(w: Array, window: Window) -> Array:
    """`w` as (taps along the first axis, groups, O / groups, other taps C / groups)."""
    g, taps = window.groups, _along_first(w, window)
    split = w.reshape(g, len(w) // g, w.shape[1], taps, -1).transpose(3, 0, 1, 4, 2)
    return split.reshape(taps, g, len(w) // g, -1)


def _columns(
    x: Array, w: Array, window: Window, out: tuple[int, ...]
) -> tuple[Callable[[slice], Array], int]:
    """What makes the columns (images, groups, taps C / groups, rows P) of some images.

    Also how far one tap of the first axis is. Columns are their thread's, until it makes others.
    """
    g, kernel = window.groups, w.shape[2:]
    if _along_first(w, window) > 1:
        out = (out[0] + window.dilation[0] * (kernel[0] - 1), *out[1:])
        kernel = (1, *kernel[1:])
    step = window.dilation[0] * math.prod(out[1:])
    taps, c = math.prod(kernel), w.shape[1]
    split = x.reshape(len(x), g, c, *x.shape[2:])
    if taps == 1 and out == x.shape[2:] and not any(window.before):
        return lambda images: split[images].reshape(-1, g, c, math.prod(out)), step
    each = itertools.product(*map(range, kernel))
    met = [_meet(x.shape[2:], out, window, tap) for tap in each]
    room: Room = {}

    def columns_of(images: slice) -> Array:
        seen = split[images]
        columns = _own(room, (len(seen), g, taps, c, *out), x.dtype)
        for i, (inputs, positions) in enumerate(met):
            columns[:, :, i][(..., *positions)] = seen[(..., *inputs)]
        return columns.reshape(len(seen), g, taps * c, -1)

    return columns_of, step


def _own(room: Room, shape: tuple[int, ...], dtype: Any) -> Array:
    """This thread's array, kept for its next block: zeros at first."""
    thread = get_ident()
    if thread not in room or len(room[thread]) < shape[0]:
        room[thread] = np.zeros(shape, dtype)
    return room[thread][: shape[0]]


def _meet(
    size: tuple[int, ...], out: tuple[int, ...], window: Window, tap: tuple[int, ...]
) -> tuple[Any, Any]:
    """The inputs that a tap meets, and from which positions: the rest of them see padding."""
    inputs, positions = [], []
    for n, m, s, d, a, k in zip(size, out, *window[:3], tap, strict=True):
        start = d * k - a
        first = max(0, -(start // s))
        last = min(m, (n - 1 - start) // s + 1)
        met = last > first
        positions.append(slice(first, last) if met else slice(0))
        inputs.append(slice(first * s + start, last * s + start, s) if met else slice(0))
    return inputs, positions


def _blocks(x: Array, w: Array, window: Window, out: tuple[int, ...]) -> Iterator[slice]:
    """Slices of images whose columns fit into BLOCK; PARTS, unless each would be very small."""
    columns = w[0].size // _along_first(w, window) * window.groups * math.prod(out) * x.itemsize
    most = BLOCK // max(1, columns)
    parts = PARTS if w.size * math.prod(out) * len(x) > ALONE else 1
    step = max(1, min(most, max(most // 8, -(-len(x) // parts))))
    return (slice(i, i + step) for i in range(0, len(x), step))
