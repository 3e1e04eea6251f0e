"""Long chains of elementwise operations, piece by piece: what lies in between stays in cache."""

import math
from collections.abc import Callable

import numpy as np

from scratch.check import Array
from scratch.threads import for_each

BLOCK = 2**17  # entries: half a megabyte in float32


def each_block(function: Callable[..., object], *arrays: Array) -> None:
    """Call a function with the same piece of several arrays, for piece after piece.

    Args:
        function: takes a 1-d array of at most `BLOCK` entries for each of the arrays.
        arrays: of one shape. One to be written to comes from `np.empty(shape, dtype)`: the pieces
            are views only of a C-contiguous array.
    """
    flat = [array.reshape(-1) for array in arrays]
    for_each(
        lambda start: function(*(array[start : start + BLOCK] for array in flat)),
        range(0, flat[0].size, BLOCK),
    )


def filled(function: Callable[..., object], *arrays: Array) -> Array:
    """A new array like the first, which the function fills piece by piece.

    Args:
        function: takes a piece of each of the arrays and, last, of the new one.
        arrays: as for `each_block`.

    Returns:
        C-contiguous array of the first one's shape and dtype.
    """
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    each_block(function, *arrays, out)
    return out


def each_rows(function: Callable[..., object], *arrays: Array) -> None:
    """The same along the first axis alone: each piece has whole rows, so that they can be summed.

    Args:
        function: takes a few rows of each of the arrays, about `BLOCK` entries of the first.
        arrays: with the same number of rows.
    """
    rows = max(1, BLOCK // max(1, math.prod(arrays[0].shape[1:])))
    for_each(
        lambda start: function(*(array[start : start + rows] for array in arrays)),
        range(0, len(arrays[0]), rows),
    )


def outer(a: Array, b: Array, out: Array | None = None) -> Array:
    """The outer product, entry by entry a_i b_j, as a factor or summand of a whole block.

    Where rows are short, arithmetic with it is faster than broadcasting a or b: BLAS makes it in a
    third of the time that a ufunc needs to start anew for each row. A column and a row of zeros
    make it a matrix product that goes to BLAS, as one of inner size 1 does not.

    Args:
        a: (n,)
        b: (m,)
        out: (n, m), or None for a new array.

    Returns:
        (n, m)
    """
    left, right = np.zeros((len(a), 2), a.dtype), np.zeros((2, len(b)), b.dtype)
    left[:, 0], right[0] = a, b
    return np.matmul(left, right, out=out)
