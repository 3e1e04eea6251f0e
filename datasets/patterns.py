"""Stripes, checkerboards and ramps: pictures with so few kinds that noise on them can be undone.

    vertical, horizontal    stripes 2 to 4 pixels wide
    checkerboard            blocks of 2 to 4 pixels
    gradient                from 0 at one of the four edges to 1 at the other

Stripes and blocks begin anywhere, which makes some hundred pictures of 16 x 16. (Where all begin at
the corner, blocks have one size and gradients one direction, there are eight, and a test set holds
nothing but what was trained on.)
"""

import numpy as np

from datasets import check
from datasets.check import Array

KINDS = ("vertical", "horizontal", "checkerboard", "gradient")


def patterns(n: int = 200, size: int = 16, seed: int = 0) -> tuple[Array, Array]:
    """One pattern in each picture, its kind drawn evenly.

    Args:
        n: pictures.
        size: height and width in pixels, at least 8.
        seed: of all draws.

    Returns:
        images (n, 1, size, size) float64 in [0, 1], 0 or 1 but for the gradients; y (n,) int64, an
        index into `KINDS`.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not an integer.
    """
    n = check.size("patterns", "n", n, 1)
    size = check.size("patterns", "size", size, 8)
    rng = np.random.default_rng(check.seed("patterns", seed))
    y = rng.integers(0, len(KINDS), n)
    x = np.empty((n, 1, size, size))
    for picture, kind in zip(x[:, 0], y, strict=True):
        width = rng.integers(2, 5)
        rows, columns = (((np.arange(size) + rng.integers(2 * width)) // width) % 2 for _ in "hw")
        ramp = np.linspace(0, 1, size)[:, None]
        picture[...] = (
            columns,
            rows[:, None],
            rows[:, None] ^ columns,
            np.rot90(np.broadcast_to(ramp, (size, size)), int(rng.integers(4))),
        )[kind]
    return x, y
