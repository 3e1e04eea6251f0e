"""Points of many coordinates that have only a few: synthetic, so that what is there is known.

    latent   u (n, dims)       standard normal
    flat     x = u P + e                           P (dims, features) standard normal
    curved   x = sqrt(2) sin(0.7 u P + a) + e      a uniform in [0, 2 pi), e noise

In either case the rows lie, but for the noise, on a set of `dims` dimensions. A flat one is a plane
through the origin, which principal components find; a curved one turns away from every plane.
"""

import math

import numpy as np

from datasets import check
from datasets.check import Array


def manifold(
    n: int = 1000,
    features: int = 20,
    dims: int = 3,
    curved: bool = False,
    noise: float = 0.1,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Rows near a surface of few dimensions.

    Args:
        n: rows.
        features: coordinates of a row.
        dims: dimensions of the surface.
        curved: whether it is bent.
        noise: standard deviation of the Gaussian noise on every coordinate.
        seed: of the surface and of all draws.

    Returns:
        x (n, features) and u (n, dims), both float64.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    n = check.size("manifold", "n", n, 1)
    features = check.size("manifold", "features", features, 1)
    dims = check.size("manifold", "dims", dims, 1, features)
    noise = check.number("manifold", "noise", noise)
    rng = np.random.default_rng(check.seed("manifold", seed))
    p, a = rng.normal(size=(dims, features)), rng.uniform(0, 2 * math.pi, features)
    u = rng.normal(size=(n, dims))
    x = math.sqrt(2) * np.sin(0.7 * u @ p + a) if curved else u @ p
    return x + noise * rng.normal(size=x.shape), u
