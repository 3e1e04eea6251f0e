"""Long chains of elementwise operations, piece by piece: what lies in between stays in cache."""

from collections.abc import Iterator

from scratch.check import Array

BLOCK = 2**15  # entries: 128 kB in float32


def blocks(*arrays: Array) -> Iterator[list[Array]]:
    """The same pieces of several arrays, in index order.

    Args:
        arrays: of one shape. One to be written to comes from `np.empty(shape, dtype)`: the pieces
            are views only of a C-contiguous array.

    Yields:
        For each piece a list of 1-d arrays of at most `BLOCK` entries.
    """
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield [array[start : start + BLOCK] for array in flat]
