"""Inputs on which mistakes show: the same draws in float32 and float64, seeded by the case."""

import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from scratch.random import Generator

Array = NDArray[Any]


class Draw:
    """A seeded source of arrays in the dtype of the run, equal in both up to rounding."""

    def __init__(self, seed: str, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.rng = np.random.default_rng(zlib.crc32(seed.encode()))

    def array(self, values: Any) -> Array:
        """Given values in the run's dtype."""
        return np.asarray(values, self.dtype)

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal values of the given standard deviation."""
        return self.array(scale * self.rng.standard_normal(shape))

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        """Uniform values in [low, high)."""
        return self.array(self.rng.uniform(low, high, shape))

    def probabilities(self, *shape: int) -> Array:
        """Positive values whose sum over the last axis is one."""
        p = np.exp(self.rng.standard_normal(shape))
        return self.array(p / p.sum(-1, keepdims=True))

    def signs(self, *shape: int) -> Array:
        """-1 or 1."""
        return self.array(2.0 * self.rng.integers(0, 2, shape) - 1)

    def mask(self, p: float, *shape: int) -> NDArray[np.bool_]:
        """True with probability `p`."""
        return self.rng.random(shape) < p

    def integers(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers in [low, high)."""
        return self.rng.integers(low, high, shape)

    def kinks(self, *points: float) -> Array:
        """Shape (rows, 7): every point, its float neighbours, values around it and far away."""
        special = [0.0, -0.0, 1e-30, -1e-30, 1e-3, -1e-3, 3.0, -3.0, 30.0, -30.0, 1e4, -1e4]
        values = [self.array(special)]
        for point in points:
            p = self.array(point)
            near = [np.nextafter(p, self.array(-np.inf)), p, np.nextafter(p, self.array(np.inf))]
            values.append(self.array([*near, p - 0.5, p + 0.5]))
        flat = np.concatenate(values)
        fill = self.normal(7 + -flat.size % 7, scale=2.0)
        return self.rng.permutation(np.concatenate([flat, fill])).reshape(-1, 7)


def same_draws() -> bool:
    """Whether this torch draws dropout masks from the stream that scratch follows.

    Builds with MKL on Intel processors do not, and CUDA has another generator altogether.
    """
    torch.manual_seed(0)
    theirs = torch.nn.functional.dropout(torch.ones(64))
    return bool(np.array_equal(theirs, 2 * Generator(0).bernoulli(0.5, 64)))
