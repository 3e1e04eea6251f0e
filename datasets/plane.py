"""Distributions in the plane for a generator to learn, of which everything is known.

ring     x = r (cos a, sin a)        a ~ U(0, 2 pi)    r ~ N(radius, noise^2)
modes    x = c_k + spread n          k uniform, c_k on a circle, 2 pi / K apart, n ~ N(0, I)
"""

import numpy as np

from datasets import check
from datasets.check import Array


def ring(n: int = 1000, radius: float = 2.0, noise: float = 0.1, seed: int = 0) -> Array:
    """Points about a circle.

    Args:
        n: how many.
        radius: mean distance from 0.
        noise: standard deviation of that distance.
        seed: of the draws.

    Returns:
        x (n, 2) float64.
    """
    n = check.size("ring", "n", n)
    rng = np.random.default_rng(seed)
    a, r = rng.uniform(0, 2 * np.pi, n), rng.normal(radius, noise, n)
    return np.stack([r * np.cos(a), r * np.sin(a)], 1)


def centres(k: int = 8, radius: float = 2.0) -> Array:
    """The means of `modes`.

    Args:
        k: how many.
        radius: of the circle.

    Returns:
        c (k, 2) float64; the first on the axis.
    """
    k = check.size("centres", "k", k, low=1)
    a = 2 * np.pi * np.arange(k) / k
    return radius * np.stack([np.cos(a), np.sin(a)], 1)


def modes(
    n: int = 1000, k: int = 8, radius: float = 2.0, spread: float = 0.1, seed: int = 0
) -> Array:
    """Gaussians with their means on a circle.

    Args:
        n: how many points.
        k: how many Gaussians, equally likely.
        radius: of the circle.
        spread: standard deviation in either direction.
        seed: of the draws.

    Returns:
        x (n, 2) float64.
    """
    n = check.size("modes", "n", n)
    rng = np.random.default_rng(seed)
    middle = centres(k, radius)[rng.integers(0, k, n)]
    drawn: Array = middle + spread * rng.normal(size=(n, 2))
    return drawn
