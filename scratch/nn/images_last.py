"""The maps of correlate.py for small images: the windows of all images in one product.

columns  b[c, k, p, n] = x[n, c, s p + d k - a]                                  x is 0 outside
maps     y = w b        dw = dy b^T        z[n, c, s p + d k - a] += (w^T y)[c, k, p, n]

What a tap sees of an image of 8 x 8 are rows of 4 or 8 values, slow to copy, and a product too
small for BLAS. With the images along the last axis rows are as long as there are images, and
positions and images are one axis of one product.
"""

import itertools
import math
from typing import Any

import numpy as np

from scratch.check import Array
from scratch.threads import for_each, get_num_threads

IMAGES = 8  # fewer are no row
POSITIONS = 49  # more are rows themselves
BLOCK = 2**22  # bytes of columns at a time
ALONE = 2**24  # multiply-adds below which threads take as long to wake as to work
SMALL = 2**22  # bytes of weight gradients above which shares are fewer: BLAS has enough in one

Sizes = tuple[int, ...]


def fits(n: int, out: Sizes) -> bool:
    """Whether these maps are the faster ones for `n` images of so many positions."""
    return n >= IMAGES and math.prod(out) <= POSITIONS


def correlate(x: Array, windows: "Windows") -> Array:
    """The products of the kernels with the windows of x (N, C, *size): y (N, O, *out)."""
    y = np.empty((len(x), len(windows.w), *windows.out), x.dtype)

    def multiply(images: slice) -> None:
        product = windows.matrix @ windows.columns(x[images])
        y[images] = np.moveaxis(product.reshape(*y.shape[1:], -1), -1, 0)

    for_each(multiply, windows.blocks(len(x)))
    return y


def weight_gradient(x: Array, dy: Array, windows: "Windows") -> Array:
    """dw, as w is, from the gradient of what `correlate` returned."""
    blocks = windows.blocks(len(x))
    shares = min(get_num_threads(), len(blocks), max(1, SMALL // windows.w.nbytes))
    parts = np.zeros((shares, *windows.matrix.shape), x.dtype)

    def multiply(part: int) -> None:
        for images in blocks[part::shares]:
            columns = windows.columns(x[images])
            parts[part] += windows.rows(dy[images]) @ columns.swapaxes(1, 2)

    for_each(multiply, range(shares))
    total: Array = parts.sum(0).reshape(windows.w.shape)
    return total


def spread(y: Array, windows: "Windows") -> Array:
    """What the outputs give back to the inputs that their windows saw: z (N, C, *size)."""
    g, out = windows.groups, windows.out
    z = np.zeros((len(y), g * windows.w.shape[1], *windows.size), y.dtype)

    def multiply(images: slice) -> None:
        columns = windows.matrix.swapaxes(1, 2) @ windows.rows(y[images])
        columns = columns.reshape(z.shape[1], len(windows.taps), *out, -1)
        frame = np.zeros((z.shape[1], *windows.frame, columns.shape[-1]), y.dtype)
        for i, tap in enumerate(windows.taps):
            frame[:, *tap] += columns[:, i]
        z[images][:, :, *windows.inputs] = np.moveaxis(frame[:, *windows.inside], -1, 0)

    for_each(multiply, windows.blocks(len(y)))
    return z


class Windows:
    """How a kernel moves over its input.

    Args:
        w: kernels (O, C / groups, *kernel).
        window: stride, dilation and zeros before, a number for each axis; groups.
        size: of the input.
        out: how often the kernel fits.

    Attributes:
        matrix: w as (groups, O / groups, C / groups taps).
        frame: the size of what all windows see together, padding included.
        inputs: of the input, the part that is seen.
        inside: where that is in the frame.
        taps: what each tap sees of the frame.
    """

    def __init__(self, w: Array, window: Any, size: Sizes, out: Sizes) -> None:
        stride, dilation, before, self.groups = window
        self.w, self.size, self.out = w, size, out
        self.matrix = w.reshape(self.groups, len(w) // self.groups, -1)
        moves = list(zip(out, w.shape[2:], stride, dilation, strict=True))
        self.frame = tuple(s * (m - 1) + d * (k - 1) + 1 for m, k, s, d in moves)
        seen = [
            (max(0, -a), max(0, -a, min(n, high - a)))
            for n, high, a in zip(size, self.frame, before, strict=True)
        ]
        self.inputs = [slice(*part) for part in seen]
        self.inside = [slice(a + i, a + j) for a, (i, j) in zip(before, seen, strict=True)]
        along = [
            [slice(d * i, d * i + s * (m - 1) + 1, s) for i in range(k)] for m, k, s, d in moves
        ]
        self.taps = list(itertools.product(*along))

    def blocks(self, n: int) -> list[slice]:
        """Slices of n images: enough for the threads if there is work for them."""
        columns = self.groups * self.w[0].size * math.prod(self.out) * self.w.itemsize
        parts = -(-n // max(IMAGES, BLOCK // max(1, columns)))
        if n * self.w.size * math.prod(self.out) > ALONE:
            parts = -(-parts // get_num_threads()) * get_num_threads()
        step = max(IMAGES, -(-n // parts))
        return [slice(i, i + step) for i in range(0, n, step)]

    def columns(self, x: Array) -> Array:
        """What the taps see of images (N, C, *size): (groups, C / groups taps, P N)."""
        n, c = x.shape[:2]
        frame = np.zeros((c, *self.frame, n), x.dtype)
        frame[:, *self.inside] = np.moveaxis(x[:, :, *self.inputs], 0, -1)
        columns = np.empty((c, len(self.taps), *self.out, n), x.dtype)
        for i, tap in enumerate(self.taps):
            columns[:, i] = frame[:, *tap]
        return columns.reshape(*self.matrix.shape[::2], -1)

    def rows(self, y: Array) -> Array:
        """Outputs (N, O, *out) as (groups, O / groups, P N)."""
        return np.moveaxis(y, 0, -1).reshape(*self.matrix.shape[:2], -1)
