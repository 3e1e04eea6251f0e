"""Pictures changed in ways that leave their class alone, a whole batch at a time.

    random_crop    y[i] = x[i] with a border of `fill`, cut out at an offset of its own
    random_shift   y[i] = x[i] moved by whole pixels, `fill` moving in
    random_flip    y[i] = x[i] or its mirror image, left and right swapped
    shapes         x (n, C, H, W), y (n, C, h, w), in x's dtype; a new array, x stays as it is

Each draws from the generator that it is given, a fixed number of values for each picture: the same
generator in the same state gives the same pictures.
"""

import numpy as np

from datasets import check
from datasets.check import Array

Fill = float | Array


def random_crop(
    x: Array,
    size: int | tuple[int, int],
    rng: np.random.Generator,
    *,
    padding: int = 0,
    fill: Fill = 0.0,
) -> Array:
    """Cut a window out of each picture, where it starts drawn uniformly for each.

    Args:
        x: pictures (n, C, H, W).
        size: height and width of the window, or one number for both.
        rng: what the offsets are drawn from.
        padding: pixels of border to put around each picture first.
        fill: value of the border; (C,) for one of each channel. Standardised pictures want what
            black became.

    Returns:
        The windows (n, C, h, w).

    Raises:
        ValueError: if x has another shape, or the window is larger than the padded picture.
        TypeError: if an argument is of another type.
    """
    name = "random_crop"
    x = _pictures(name, x, rng)
    padding = check.size(name, "padding", padding)
    heights = size if isinstance(size, tuple) else (size, size)
    if len(heights) != 2:
        check.refuse(name, "size to be a number or a pair of them", check.describe(size))
    n, channels, *full = x.shape
    tall, wide = (side + 2 * padding for side in full)
    h = check.size(name, "height of the window", heights[0], 1, tall)
    w = check.size(name, "width of the window", heights[1], 1, wide)
    padded = np.empty((n, channels, tall, wide), x.dtype)
    padded[...] = fill_of(name, fill, channels)
    padded[:, :, padding : tall - padding, padding : wide - padding] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
    top, left = rng.integers(0, [[tall - h + 1], [wide - w + 1]], (2, n))
    return windows[np.arange(n), :, top, left]


def random_shift(x: Array, pixels: int, rng: np.random.Generator, *, fill: Fill = 0.0) -> Array:
    """Move each picture by whole pixels, up or down and left or right.

    Args:
        x: pictures (n, C, H, W).
        pixels: the most to move by, either way; every whole number up to it is as likely.
        rng: what the moves are drawn from.
        fill: value of what moves in; (C,) for one of each channel.

    Returns:
        The pictures (n, C, H, W).

    Raises:
        ValueError: if x has another shape or `pixels` is negative.
        TypeError: if an argument is of another type.
    """
    x = _pictures("random_shift", x, rng)
    pixels = check.size("random_shift", "pixels", pixels)
    fill = fill_of("random_shift", fill, x.shape[1])
    return random_crop(x, (x.shape[2], x.shape[3]), rng, padding=pixels, fill=fill)


def random_flip(x: Array, rng: np.random.Generator, *, p: float = 0.5) -> Array:
    """Swap left and right of each picture with probability p.

    Args:
        x: pictures (n, C, H, W).
        rng: what the choice is drawn from.
        p: probability of the mirror image.

    Returns:
        The pictures (n, C, H, W).

    Raises:
        ValueError: if x has another shape or p is no probability.
        TypeError: if an argument is of another type.
    """
    x = _pictures("random_flip", x, rng)
    p = check.number("random_flip", "p", p, 0, 1)
    mirrored = rng.random(len(x)) < p
    return np.where(mirrored[:, None, None, None], x[..., ::-1], x)


def _pictures(function: str, x: Array, rng: np.random.Generator) -> Array:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fu":
        expected = "x to be an array of floating or unsigned numbers"
        check.refuse(function, expected, check.describe(x), TypeError)
    if x.ndim != 4 or 0 in x.shape[1:]:
        check.refuse(function, "x of shape (n, channels, height, width)", x.shape)
    check.generator(function, rng)
    return x


def fill_of(function: str, fill: Fill, channels: int) -> Array:
    """As an array that fits (n, C, H, W)."""
    if not isinstance(fill, np.ndarray):
        return np.asarray(check.number(function, "fill", fill, -np.inf))
    if fill.dtype.kind not in "fu" or fill.size not in (1, channels):
        expected = f"fill to be a number or an array ({channels},)"
        check.refuse(function, expected, check.describe(fill))
    return fill.reshape(-1, 1, 1)
