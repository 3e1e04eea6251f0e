"""Pictures turned, lit otherwise, made noisy, partly hidden, a whole batch at a time.

    random_rotation             about the middle, by an angle of its own; bilinear
    random_brightness_contrast  y = c (x - m) + m + b       m the picture's mean
    random_noise                y = x + s e                 e ~ N(0, 1), of each value
    random_erasing              a rectangle becomes `fill`
    shapes                      x, y (n, C, H, W), in x's dtype; a new array, x stays as it is

`datasets.augment` has those that move whole pixels, `datasets.mix` those that mix two pictures.
Each draws from the generator that it is given, a fixed number of values for each picture.

Sources: Zhong et al. 2017, arXiv:1708.04896 (random erasing); DeVries & Taylor 2017,
arXiv:1708.04552 (cutout).
"""

import numpy as np

from datasets import check
from datasets.augment import Fill, fill_of
from datasets.check import Array

FORM = "(n, channels, height, width)"


def random_rotation(
    x: Array, degrees: float, rng: np.random.Generator, *, fill: Fill = 0.0
) -> Array:
    """Turn each picture about its middle.

    Args:
        x: pictures (n, C, H, W), floating.
        degrees: the largest angle, either way; every angle up to it is as likely. A positive one
            turns counter-clockwise, the first row being the top.
        rng: what the angles are drawn from.
        fill: value of what lies outside; (C,) for one of each channel.

    Returns:
        The pictures (n, C, H, W), each value interpolated between the four pixels around it.

    Raises:
        ValueError: if x has another shape or `degrees` is not in [0, 180].
        TypeError: if an argument is of another type.
    """
    name = "random_rotation"
    x = check.floating(name, "x", x, (4,), FORM)
    rng = check.generator(name, rng)
    degrees = check.number(name, "degrees", degrees, 0, 180)
    border = fill_of(name, fill, x.shape[1])
    return rotated(x, rng.uniform(-degrees, degrees, len(x)), border)


def rotated(x: Array, degrees: Array, border: Array) -> Array:
    """Each picture turned by its own angle, `border` outside."""
    n, channels, height, width = x.shape
    padded = np.empty((n, channels, height + 2, width + 2), x.dtype)
    padded[...] = border
    padded[:, :, 1:-1, 1:-1] = x
    cos, sin = (f(np.deg2rad(degrees))[:, None, None] for f in (np.cos, np.sin))
    v, u = np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    # Where the value of each pixel comes from; all that lies beyond the border is border.
    row = np.clip(cos * v + sin * u + (height - 1) / 2 + 1, 0, height + 1)
    column = np.clip(cos * u - sin * v + (width - 1) / 2 + 1, 0, width + 1)
    top, left = (np.minimum(a.astype(int), b) for a, b in ((row, height), (column, width)))
    down, right = ((a - b)[..., None].astype(x.dtype) for a, b in ((row, top), (column, left)))
    i = np.arange(n)[:, None, None]

    def corner(r: Array, c: Array) -> Array:
        return padded[i, :, r, c]  # (n, H, W, C)

    upper = (1 - right) * corner(top, left) + right * corner(top, left + 1)
    lower = (1 - right) * corner(top + 1, left) + right * corner(top + 1, left + 1)
    y = (1 - down) * upper + down * lower
    return np.ascontiguousarray(y.transpose(0, 3, 1, 2))


def random_brightness_contrast(
    x: Array, rng: np.random.Generator, *, brightness: float = 0.2, contrast: float = 0.2
) -> Array:
    """Light each picture otherwise: y = c (x - m) + m + b, m the mean of the picture.

    Args:
        x: pictures (n, C, H, W), floating.
        rng: what b and c are drawn from.
        brightness: b is uniform within this of 0, in the unit of x.
        contrast: c is uniform within this of 1, at most 1.

    Returns:
        The pictures (n, C, H, W); not clipped to a range.

    Raises:
        ValueError: if x has another shape or a bound is out of range.
        TypeError: if an argument is of another type.
    """
    name = "random_brightness_contrast"
    x = check.floating(name, "x", x, (4,), FORM)
    rng = check.generator(name, rng)
    brightness = check.number(name, "brightness", brightness)
    contrast = check.number(name, "contrast", contrast, 0, 1)
    b, c = rng.uniform(-1, 1, (2, len(x), 1, 1, 1)).astype(x.dtype)
    mean = x.mean((1, 2, 3), keepdims=True)
    y: Array = (1 + contrast * c) * (x - mean) + mean + brightness * b
    return y


def random_noise(x: Array, std: float, rng: np.random.Generator) -> Array:
    """Add Gaussian noise to each value: y = x + std e.

    Args:
        x: pictures (n, C, H, W), floating.
        std: of the noise, in the unit of x.
        rng: what e is drawn from.

    Returns:
        The pictures (n, C, H, W); not clipped to a range.

    Raises:
        ValueError: if x has another shape or `std` is negative.
        TypeError: if an argument is of another type.
    """
    x = check.floating("random_noise", "x", x, (4,), FORM)
    rng = check.generator("random_noise", rng)
    std = check.number("random_noise", "std", std)
    y: Array = x + std * rng.standard_normal(x.shape).astype(x.dtype)
    return y


def random_erasing(
    x: Array,
    rng: np.random.Generator,
    *,
    p: float = 0.5,
    area: tuple[float, float] = (0.02, 0.33),
    ratio: float = 3.3,
    fill: Fill = 0.0,
) -> Array:
    """Hide a rectangle of each picture with probability p, wholly within it.

    Args:
        x: pictures (n, C, H, W), floating.
        rng: what the choices are drawn from.
        p: probability that a picture is changed.
        area: least and largest share of the picture that is hidden, before its sides are rounded
            to whole pixels and cut to the picture's.
        ratio: largest height / width and largest width / height; 1 for squares, as cutout has.
        fill: value of the rectangle; (C,) for one of each channel.

    Returns:
        The pictures (n, C, H, W).

    Raises:
        ValueError: if x has another shape or a bound is out of range.
        TypeError: if an argument is of another type.

    Source: Zhong et al. 2017, arXiv:1708.04896, algorithm 1, but a rectangle that is too long is
        cut where the paper draws again; DeVries & Taylor 2017, arXiv:1708.04552.
    """
    name = "random_erasing"
    x = check.floating(name, "x", x, (4,), FORM)
    rng = check.generator(name, rng)
    p = check.number(name, "p", p, 0, 1)
    if not isinstance(area, tuple | list) or len(area) != 2:
        check.refuse(name, "area to be a pair of shares", check.describe(area))
    least = check.number(name, "the least area", area[0], 0, 1)
    most = check.number(name, "the largest area", area[1], least, 1)
    ratio = check.number(name, "ratio", ratio, 1)
    border = fill_of(name, fill, x.shape[1])
    n, _, height, width = x.shape
    chosen: Array = np.less(rng.random(n), p)
    pixels = rng.uniform(least, most, n) * height * width
    shape = np.exp(rng.uniform(-np.log(ratio), np.log(ratio), n))
    h = np.clip(np.rint(np.sqrt(pixels * shape)), 0, height)
    w = np.clip(np.rint(np.sqrt(pixels / shape)), 0, width)
    top, left = (np.floor(rng.random(n) * (full - a + 1)) for full, a in ((height, h), (width, w)))
    hidden = rectangles(top, left, h, w, height, width)
    hidden &= chosen[:, None, None]
    return np.where(hidden[:, None], border.astype(x.dtype), x)


def rectangles(top: Array, left: Array, h: Array, w: Array, height: int, width: int) -> Array:
    """True within each rectangle, (n, height, width)."""
    rows, columns = np.arange(height)[:, None], np.arange(width)
    top, left, h, w = (a[:, None, None] for a in (top, left, h, w))
    inside: Array = (rows >= top) & (rows < top + h) & (columns >= left) & (columns < left + w)
    return inside
