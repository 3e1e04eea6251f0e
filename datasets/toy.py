"""Small sets in the plane, where a decision boundary can be looked at.

All give x (n, 2) float64 and y (n,) int64.

    gate       the 16 boolean functions of two inputs; bit i of the index is the output of row i
    xor        gate 6, with XNOR the one that no line separates    Minsky & Papert 1969
    circles    two concentric rings, of radius 1 and `factor`
    moons      two interleaved half circles
    blobs      Gaussian clouds with their centres on the unit circle
    spirals    K interleaved arms, x = t (cos a, sin a), a = 2 pi (turns t + k / K), t in [0, 1]
"""

import numpy as np

from datasets import check
from datasets.check import Array

GATES = (
    "FALSE",
    "NOR",
    "NOT A AND B",
    "NOT A",
    "A AND NOT B",
    "NOT B",
    "XOR",
    "NAND",
    "AND",
    "XNOR",
    "B",
    "A IMPLIES B",
    "A",
    "B IMPLIES A",
    "OR",
    "TRUE",
)


def gate(index: int | str) -> tuple[Array, Array]:
    """The truth table of one two-input boolean gate.

    Args:
        index: 0 to 15, or its name in `GATES`.

    Returns:
        x (4, 2) float64, the inputs A and B in the order 00, 01, 10, 11; y (4,) int64, the output.

    Raises:
        ValueError: if there is no such gate.
        TypeError: if `index` is neither an integer nor a string.
    """
    if isinstance(index, str):
        if index not in GATES:
            check.refuse("gate", f"one of {', '.join(GATES)}", repr(index))
        index = GATES.index(index)
    index = check.size("gate", "index", index, 0, 15)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
    return x, (index >> np.arange(4)) & 1


def xor() -> tuple[Array, Array]:
    """The four points of exclusive or.

    Returns:
        x (4, 2) float64 in the order 00, 01, 10, 11; y (4,) int64: 0, 1, 1, 0.
    """
    return gate("XOR")


def circles(
    n: int = 1000, noise: float = 0.1, factor: float = 0.3, seed: int = 0
) -> tuple[Array, Array]:
    """Two concentric rings: 0 the outer one, of radius 1, 1 the inner one.

    Args:
        n: points in all.
        noise: standard deviation of the Gaussian noise on every coordinate.
        factor: radius of the inner ring, in [0, 1).
        seed: of the noise and of the order.

    Returns:
        x (n, 2) float64; y (n,) int64.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    n = check.size("circles", "n", n, 2)
    noise = check.number("circles", "noise", noise)
    factor = check.number("circles", "factor", factor, 0, 1, open_high=True)
    seed = check.seed("circles", seed)
    make = check.sklearn("circles", "datasets").make_circles
    return _plane(*make(n, noise=noise, factor=factor, random_state=seed))


def moons(n: int = 1000, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """Two half circles, each reaching into the other: 0 the upper one, 1 the lower one.

    Args:
        n: points in all.
        noise: standard deviation of the Gaussian noise on every coordinate.
        seed: of the noise and of the order.

    Returns:
        x (n, 2) float64; y (n,) int64.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    n = check.size("moons", "n", n, 2)
    noise = check.number("moons", "noise", noise)
    seed = check.seed("moons", seed)
    make = check.sklearn("moons", "datasets").make_moons
    return _plane(*make(n, noise=noise, random_state=seed))


def blobs(
    n: int = 1000, classes: int = 4, noise: float = 0.25, seed: int = 0
) -> tuple[Array, Array]:
    """Gaussian clouds around evenly spaced points of the unit circle.

    The centres are fixed, so that how far the classes overlap does not depend on the seed.

    Args:
        n: points in all.
        classes: number of clouds.
        noise: standard deviation of a cloud.
        seed: of the draws and of the order.

    Returns:
        x (n, 2) float64; y (n,) int64.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    classes = check.size("blobs", "classes", classes, 2)
    n = check.size("blobs", "n", n, classes)
    noise = check.number("blobs", "noise", noise)
    seed = check.seed("blobs", seed)
    make = check.sklearn("blobs", "datasets").make_blobs
    angle = 2 * np.pi * np.arange(classes) / classes
    centers = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane(*make(n, centers=centers, cluster_std=noise, random_state=seed))


def spirals(
    n: int = 1000, classes: int = 3, noise: float = 0.03, turns: float = 1.0, seed: int = 0
) -> tuple[Array, Array]:
    """Arms that wind around each other from the origin to the unit circle.

    Args:
        n: points in all.
        classes: number of arms.
        noise: standard deviation of the Gaussian noise on every coordinate.
        turns: how often an arm goes round.
        seed: of the draws and of the order.

    Returns:
        x (n, 2) float64; y (n,) int64.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    classes = check.size("spirals", "classes", classes, 2)
    n = check.size("spirals", "n", n, classes)
    noise = check.number("spirals", "noise", noise)
    turns = check.number("spirals", "turns", turns)
    rng = np.random.default_rng(check.seed("spirals", seed))
    y = rng.permutation(np.arange(n) % classes)
    t = np.sqrt(rng.uniform(size=n))  # the arm's length grows as t^2: this spreads points evenly
    angle = 2 * np.pi * (turns * t + y / classes)
    x = t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane(x + noise * rng.normal(size=(n, 2)), y)


def _plane(x: Array, y: Array) -> tuple[Array, Array]:
    return np.ascontiguousarray(x, np.float64), y.astype(np.int64)
