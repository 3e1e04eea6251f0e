"""Correlation where every kernel reads one channel: a multiply-add of whole channels for each tap.

correlate        y[n, c, m, p] = sum_k w[c, m, k] x[n, c, s p + d k - a]         x is 0 outside
weight_gradient  dw[c, m, k] = sum_{n, p} dy[n, c, m, p] x[n, c, s p + d k - a]
shapes           x (N, C, *size)   w (C M, 1, *kernel)   y (N, C M, *out)

The padded images of a channel are laid out as (H, N, W), once for each phase of the stride. What a
tap sees is then one contiguous piece of this, as y is if its rows are as long: the products run
over thousands of values at a time, and the surplus at the end of each row is cut off.
"""

import itertools
import math
from typing import Any

import numpy as np

from scratch.check import Array

BLOCK = 2**15  # values at a time, so that the sum and the product to add stay in the cache

Sizes = tuple[int, ...]


def correlate(
    x: Array, w: Array, stride: Sizes, dilation: Sizes, before: Sizes, out: Sizes
) -> Array:
    """The products of `w` with the windows of `x` at `out` positions: y (N, C M, *out)."""
    (n, c), kernel = x.shape[:2], w.shape[2:]
    pieces, grid = _pieces(x, kernel, stride, dilation, before, out)
    taps = w.reshape(c, len(w) // c, math.prod(kernel), 1)
    rows = np.empty((c, len(w) // c, math.prod(grid)), x.dtype)
    length = pieces[0].shape[1]
    wide = max(1, BLOCK // max(1, length))
    for block in itertools.product(range(0, c, wide), range(0, length, BLOCK)):
        channels, part = slice(block[0], block[0] + wide), slice(block[1], block[1] + BLOCK)
        total = rows[channels, :, :length][..., part]
        np.multiply(pieces[0][channels, None, part], taps[channels, :, 0], out=total)
        product = np.empty_like(total)
        for k, piece in enumerate(pieces[1:], 1):
            total += np.multiply(piece[channels, None, part], taps[channels, :, k], out=product)
    y = np.empty((n, len(w), *out), x.dtype)
    _rows_first(y, c)[...] = _cut(rows.reshape(c, len(w) // c, *grid), out)
    return y


def weight_gradient(
    x: Array, dy: Array, w: Array, stride: Sizes, dilation: Sizes, before: Sizes
) -> Array:
    """dw (C M, 1, *kernel) from the gradient of what `correlate` returned."""
    c, out = x.shape[1], dy.shape[2:]
    pieces, grid = _pieces(x, w.shape[2:], stride, dilation, before, out)
    rows = np.zeros((c, len(w) // c, *grid), dy.dtype)
    _cut(rows, out)[...] = _rows_first(dy, c)
    flat = rows.reshape(c, len(w) // c, math.prod(grid))[..., : pieces[0].shape[1]]
    return np.stack([np.vecdot(flat, p[:, None]) for p in pieces], axis=-1).reshape(w.shape)


def _rows_first(y: Array, c: int) -> Array:
    """View (N, C M, H, *others) as (C, M, H, N, *others)."""
    split = y.reshape(len(y), c, y.shape[1] // c, *y.shape[2:])
    return split.transpose(1, 2, 3, 0, *range(4, split.ndim))


def _cut(rows: Array, out: Sizes) -> Array:
    """View of (C, M, H, N, *others) without the surplus of the other axes."""
    index: Any = (..., *map(slice, out[1:]))
    view: Array = rows[index]
    return view


def _pieces(
    x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, before: Sizes, out: Sizes
) -> tuple[list[Array], Sizes]:
    """What each tap sees, flat (C, length), and the grid whose first `length` values that is."""
    (n, c), nd = x.shape[:2], len(out)
    axes = list(zip(kernel, stride, dilation, before, out, strict=True))
    # The padded image starts at a multiple of the stride, so that its phases are those of x.
    start = [-a // s for _, s, _, a, _ in axes]
    tall = [
        m + (d * (k - 1) - a) // s - first
        for (k, s, d, a, m), first in zip(axes, start, strict=True)
    ]
    here: list[Any] = []
    there: list[Any] = []
    for size, s, first, f in zip(x.shape[2:], stride, start, tall, strict=True):
        low = max(0, first * s)
        high = max(low, min(size, (first + f) * s))
        there.append(slice(low, high))
        here.append(slice(low - first * s, high - first * s))
    tall[1:1] = [n]  # (H, N, *others)
    apart = (stride[0], 1, *stride[1:])
    padded = np.zeros((c, *(f * s for f, s in zip(tall, apart, strict=True))), x.dtype)
    padded[:, here[0], :, *here[1:]] = x[:, :, *there].transpose(1, 2, 0, *range(3, x.ndim))
    split = padded.reshape(c, *(v for pair in zip(tall, apart, strict=True) for v in pair))
    phases = split.transpose(*range(2, split.ndim, 2), 0, *range(1, split.ndim, 2))
    phases = phases.reshape(*stride, c, math.prod(tall))

    grid = (out[0], *tall[1:])
    steps = [math.prod(tall[i + 1 :]) for i in range(nd + 1)]
    last = zip((out[0], n, *out[1:]), steps, strict=True)
    length = sum((m - 1) * step for m, step in last) + 1 if n else 0
    steps.pop(1)
    pieces = []
    for tap in itertools.product(*map(range, kernel)):
        offsets = [
            d * k - a - first * s
            for (_, s, d, a, _), k, first in zip(axes, tap, start, strict=True)
        ]
        phase = tuple(o % s for o, s in zip(offsets, stride, strict=True))
        flat = sum(o // s * step for o, s, step in zip(offsets, stride, steps, strict=True))
        pieces.append(phases[phase][:, flat : flat + length])
    return pieces, grid
