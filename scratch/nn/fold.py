"""Blocks of an image as columns, and their sum back.       Chellapilla, Puri & Simard 2006 (im2col)

unfold     y_(c i j),(p q) = x_c,(s p + d i - a),(s q + d j - a)       x is 0 outside
fold       x_c,u,v = sum of y_(c i j),(p q) over the blocks in which (u, v) lies
backward   each is the other's: unfold copies an entry into every block that it lies in, fold adds
shapes     x (N, C, H, W) or (C, H, W)   y (N, C k_h k_w, L) or (C k_h k_w, L)   L = p_max q_max
           p_max = (H + 2 a - d (k - 1) - 1) // s + 1
           rows of y: the channel varies slowest, then i, then j; columns: p, then q
torch      Overlaps are summed and not averaged, so that fold does not undo unfold: it multiplies
           each entry by the number of blocks in which it lies, which is fold(unfold(1)).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op

Pair = tuple[int, int]
Size = int | Sequence[int]


class _Grid(NamedTuple):
    """Where the blocks of an image lie; heights come before widths."""

    size: Pair
    kernel: Pair
    dilation: Pair
    padding: Pair
    stride: Pair
    blocks: Pair

    def frame(self, *lead: int) -> tuple[int, ...]:
        """Shape of the image with its padding."""
        return *lead, *(n + 2 * a for n, a in zip(self.size, self.padding, strict=True))

    def inside(self) -> tuple[slice, slice]:
        """Where the image lies in its frame."""
        top, left = self.padding
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    def taps(self) -> Iterator[tuple[Pair, tuple[slice, slice]]]:
        """(i, j), and where in the frame the entries (i, j) of all the blocks lie."""
        for i, j in itertools.product(*map(range, self.kernel)):
            rows, columns = (
                slice(d * t, d * t + s * (m - 1) + 1, s)
                for t, d, s, m in zip((i, j), self.dilation, self.stride, self.blocks, strict=True)
            )
            yield (i, j), (rows, columns)


def _sizes(function: str, name: str, value: Size, low: int) -> Pair:
    """A number for height and width, or one for each."""
    if not isinstance(value, tuple | list):
        n = check.size(function, name, value, low)
        return n, n
    if len(value) != 2:
        check.refuse(function, f"{name} to be an integer or two", value)
    return check.size(function, name, value[0], low), check.size(function, name, value[1], low)


def _grid(
    function: str, size: Size, kernel_size: Size, dilation: Size, padding: Size, stride: Size
) -> _Grid:
    """The grid, of which there is at least one block."""
    size = _sizes(function, "output_size", size, 1)
    kernel = _sizes(function, "kernel_size", kernel_size, 1)
    dilation = _sizes(function, "dilation", dilation, 1)
    padding = _sizes(function, "padding", padding, 0)
    stride = _sizes(function, "stride", stride, 1)
    axes = zip(size, kernel, dilation, padding, stride, strict=True)
    p, q = ((n + 2 * a - d * (k - 1) - 1) // s + 1 for n, k, d, a, s in axes)
    if min(p, q) < 1:
        expected = f"blocks that fit an image of size {size} and padding {padding}"
        check.refuse(function, expected, f"kernel_size {kernel} and dilation {dilation}")
    return _Grid(size, kernel, dilation, padding, stride, (p, q))


def _unfold(x: Array, grid: _Grid) -> Array:
    n, c = x.shape[:2]
    frame = np.zeros(grid.frame(n, c), x.dtype)
    frame[(..., *grid.inside())] = x
    y = np.empty((n, c, *grid.kernel, *grid.blocks), x.dtype)
    for (i, j), entries in grid.taps():
        y[:, :, i, j] = frame[(..., *entries)]
    return y.reshape(n, c * math.prod(grid.kernel), math.prod(grid.blocks))


def _fold(y: Array, grid: _Grid) -> Array:
    n, c = len(y), y.shape[1] // math.prod(grid.kernel)
    y = y.reshape(n, c, *grid.kernel, *grid.blocks)
    frame = np.zeros(grid.frame(n, c), y.dtype)
    for (i, j), entries in grid.taps():
        frame[(..., *entries)] += y[:, :, i, j]
    return frame[(..., *grid.inside())]


@op
def unfold(
    input: Array, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> tuple[Array, Backward]:
    """The blocks that a sliding window sees, one a column.

    Args:
        input: x (N, C, H, W) or (C, H, W).
        kernel_size: k, height and width of a block, or one integer for both; the same below.
        dilation: d, distance between the entries of a block.
        padding: a, zeros around the image.
        stride: s, distance between blocks.

    Returns:
        y (N, C k_h k_w, L) or (C k_h k_w, L), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if the shape or a size does not fit.

    Source: Chellapilla, Puri & Simard 2006, section 3.1.
    """
    x = check.floating("unfold", "input", input)
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        check.refuse("unfold", "input of shape (N, C, H, W) or (C, H, W), C, H, W > 0", x.shape)
    grid = _grid("unfold", x.shape[-2:], kernel_size, dilation, padding, stride)
    if x.ndim == 4:
        return _unfold(x, grid), lambda dy: _fold(dy, grid)
    return _unfold(x[None], grid)[0], lambda dy: _fold(dy[None], grid)[0]


@op
def fold(
    input: Array,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> tuple[Array, Backward]:
    """The image in which each entry is the sum of the blocks' entries that lie on it.

    Args:
        input: y (N, C k_h k_w, L) or (C k_h k_w, L), blocks as `unfold` gives them.
        output_size: H and W, or one integer for both; the same below.
        kernel_size: k, height and width of a block.
        dilation: d, distance between the entries of a block.
        padding: a, rows and columns around the image, which are dropped.
        stride: s, distance between blocks.

    Returns:
        x (N, C, H, W) or (C, H, W), and its backward: dx -> dy.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if the shape or a size does not fit.
    """
    y = check.floating("fold", "input", input)
    grid = _grid("fold", output_size, kernel_size, dilation, padding, stride)
    taps, blocks = math.prod(grid.kernel), math.prod(grid.blocks)
    if y.ndim not in (2, 3) or y.shape[-1] != blocks or y.shape[-2] % taps or y.shape[-2] == 0:
        check.refuse("fold", f"input of shape (N, {taps} C, {blocks}), N optional, C > 0", y.shape)
    if y.ndim == 3:
        return _fold(y, grid), lambda dx: _unfold(dx, grid)
    return _fold(y[None], grid)[0], lambda dx: _unfold(dx[None], grid)[0]


class Unfold(Module):
    """`unfold` as a module.

    Args:
        kernel_size: height and width of a block, or one integer for both; the same below.
        dilation: distance between the entries of a block.
        padding: zeros around the image.
        stride: distance between blocks.
    """

    def __init__(
        self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        _sizes("Unfold", "kernel_size", kernel_size, 1)
        _sizes("Unfold", "dilation", dilation, 1)
        _sizes("Unfold", "padding", padding, 0)
        _sizes("Unfold", "stride", stride, 1)
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The blocks of the image as columns."""
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Fold(Module):
    """`fold` as a module.

    Args:
        output_size: height and width of the image, or one integer for both; the same below.
        kernel_size: height and width of a block.
        dilation: distance between the entries of a block.
        padding: rows and columns around the image, which are dropped.
        stride: distance between blocks.
    """

    def __init__(
        self,
        output_size: Size,
        kernel_size: Size,
        dilation: Size = 1,
        padding: Size = 0,
        stride: Size = 1,
    ) -> None:
        _grid("Fold", output_size, kernel_size, dilation, padding, stride)
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The image that is the sum of the blocks."""
        sizes = self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        return fold(input, *sizes)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
