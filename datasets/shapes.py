"""Circles and squares: pictures where a shape's size and place say nothing of its kind.

    filled     1 where d <= r                          outline    1 where r - thickness < d <= r
    circle     d = sqrt(u^2 + v^2)                     square     d = max(|u|, |v|) 2 / sqrt(pi)
    shapes     images (n, 1, size, size)   u, v: a pixel's offset from the centre, in pixels

Either kind of radius r covers pi r^2, r and the centre are drawn alike for both, and a shape stays
within the picture: neither brightness nor position gives the answer away.
"""

import math
from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array

CLASSES = ("circle", "square")
STYLES = ("filled", "outline", "both")


@dataclass(frozen=True, eq=False)
class Scenes:
    """Pictures with several shapes, and where each of them is.

    Args:
        images: (n, 1, size, size) float32.
        labels: (n, size, size) int64: 0 the background, 1 a circle, 2 a square; where two meet the
            later one is in front.
        boxes: (n, objects, 4) int64: left, top, right, bottom of each whole shape, in pixels; right
            and bottom are the first beyond it.
        classes: (n, objects) int64: 0 a circle, 1 a square.
    """

    images: Array
    labels: Array
    boxes: Array
    classes: Array

    @property
    def masks(self) -> Array:
        """What is seen of each class: (n, 2, size, size) bool, circles first."""
        kinds = np.arange(1, 1 + len(CLASSES)).reshape(-1, 1, 1)
        mask: Array = self.labels[:, None] == kinds
        return mask


def shapes(
    n: int = 200, size: int = 16, noise: float = 0.1, style: str = "filled", seed: int = 0
) -> tuple[Array, Array]:
    """One shape in each picture, as many circles as squares, in mixed order.

    Args:
        n: pictures in all.
        size: height and width in pixels.
        noise: standard deviation of the Gaussian noise on every pixel.
        style: "filled", "outline", or "both", half of the pictures each.
        seed: of all draws.

    Returns:
        x (n, 1, size, size) float32, 0 the paper and 1 the shape, with the noise on top;
        y (n,) int64: 0 a circle, 1 a square.

    Raises:
        ValueError: if an argument is out of range or there is no such style.
        TypeError: if an argument is not a number.
    """
    n = check.size("shapes", "n", n, 2)
    size = check.size("shapes", "size", size, 12)
    noise = check.number("shapes", "noise", noise)
    if style not in STYLES:
        check.refuse("shapes", f"style to be one of {', '.join(STYLES)}", check.describe(style))
    rng = np.random.default_rng(check.seed("shapes", seed))
    y = rng.permutation(np.arange(n) % 2)
    distance, radius = _distance(rng, y, size, (size / 5, size / 3))
    drawn = distance <= radius
    if style != "filled":
        hollow = drawn & (distance > radius - max(1.5, size / 16))
        chosen = rng.permutation(np.arange(n) % 2 == 1) if style == "both" else np.ones(n, bool)
        drawn = np.where(chosen[:, None, None], hollow, drawn)
    x = drawn + noise * rng.standard_normal(drawn.shape)
    return x[:, None].astype(np.float32), y.astype(np.int64)


def shape_scenes(
    n: int = 100, size: int = 32, objects: int = 3, noise: float = 0.1, seed: int = 0
) -> Scenes:
    """Several shapes in each picture, of a grey of their own, the later ones in front.

    Args:
        n: pictures in all.
        size: height and width in pixels.
        objects: shapes in each picture; every one is a circle or a square with equal chance.
        noise: standard deviation of the Gaussian noise on every pixel.
        seed: of all draws.

    Returns:
        Images, a label for each pixel, and a box and a class for each shape.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    n = check.size("shape_scenes", "n", n, 1)
    size = check.size("shape_scenes", "size", size, 12)
    objects = check.size("shape_scenes", "objects", objects, 1)
    noise = check.number("shape_scenes", "noise", noise)
    rng = np.random.default_rng(check.seed("shape_scenes", seed))
    classes = rng.integers(0, len(CLASSES), (n, objects))
    image, labels = np.zeros((n, size, size)), np.zeros((n, size, size), np.int64)
    boxes = np.empty((n, objects, 4), np.int64)
    for k in range(objects):
        distance, radius = _distance(rng, classes[:, k], size, (size / 8, size / 5))
        drawn: Array = distance <= radius
        grey = rng.uniform(0.5, 1.0, (n, 1, 1))
        image = np.where(drawn, grey, image)
        labels = np.where(drawn, 1 + classes[:, k, None, None], labels)
        columns: Array = np.any(drawn, 1)
        rows: Array = np.any(drawn, 2)
        boxes[:, k, 0], boxes[:, k, 2] = columns.argmax(1), size - columns[:, ::-1].argmax(1)
        boxes[:, k, 1], boxes[:, k, 3] = rows.argmax(1), size - rows[:, ::-1].argmax(1)
    image = image + noise * rng.standard_normal(image.shape)
    return Scenes(image[:, None].astype(np.float32), labels, boxes, classes.astype(np.int64))


def _distance(
    rng: np.random.Generator, y: Array, size: int, radii: tuple[float, float]
) -> tuple[Array, Array]:
    """d of every pixel (n, size, size) and r of every shape (n, 1, 1)."""
    radius = rng.uniform(*radii, (len(y), 1, 1))
    reach = radius + 0.5  # a circle's, and a square's is shorter: one rule for both
    centre = reach + rng.uniform(size=(2, len(y), 1, 1)) * (size - 1 - 2 * reach)
    u = np.arange(size)[None, None, :] - centre[0]
    v = np.arange(size)[None, :, None] - centre[1]
    square = np.maximum(np.abs(u), np.abs(v)) * (2 / math.sqrt(math.pi))
    return np.where(y[:, None, None] == 0, np.hypot(u, v), square), radius
