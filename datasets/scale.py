"""Columns brought to one scale by numbers from the training rows alone.

    MinMaxScaler   z = (x - min) / (max - min)       the training rows fill [0, 1]
    RobustScaler   z = (x - median) / (q75 - q25)    which few far-off rows cannot move
    Standardizer   z = (x - mean) / std              in `datasets.split`
    shapes         x, z (n, features), or (n, channels, height, width) with a scale for each channel

A column that does not vary is divided by 1. Scikit-learn's scalers of the same names give the same
numbers.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from datasets import check
from datasets.check import Array


@dataclass(frozen=True, eq=False)
class Scaler:
    """z = (x - center) / scale, a column at a time, or a channel where x holds pictures.

    Args:
        center: (features,), or (channels, 1, 1).
        scale: as center; nowhere 0.
    """

    center: Array
    scale: Array

    def __call__(self, x: Array) -> Array:
        """x on the new scale, of the shape that was fitted, in its own dtype."""
        x = check.columns(type(self).__name__, "x", x, self.center)
        return ((x - self.center) / self.scale).astype(x.dtype, copy=False)

    def inverse(self, z: Array) -> Array:
        """The x of which `z` is the scaled form, in z's dtype."""
        z = check.columns(f"{type(self).__name__}.inverse", "z", z, self.center)
        return (z * self.scale + self.center).astype(z.dtype, copy=False)


class MinMaxScaler(Scaler):
    """z = (x - min) / (max - min), so that the rows that were fitted fill [0, 1]."""

    @classmethod
    def fit(cls, x: Array) -> Self:
        """The scaler of the rows of x: give it the training rows, and only those.

        Args:
            x: (n, features), or (n, channels, height, width).

        Returns:
            The scaler, with min as its center and max - min as its scale.

        Raises:
            ValueError: if x has no rows, another shape, or is not finite.
            TypeError: if x is not a floating array.
        """
        x = check.matrix("MinMaxScaler.fit", "x", x)
        low, high = (f(x, axis=_rows(x), keepdims=True)[0] for f in (np.min, np.max))
        return cls(low, np.where(high > low, high - low, 1).astype(x.dtype))


class RobustScaler(Scaler):
    """z = (x - median) / (upper - lower quantile), which few far-off rows cannot move."""

    @classmethod
    def fit(cls, x: Array, quantiles: tuple[float, float] = (0.25, 0.75)) -> Self:
        """The scaler of the rows of x: give it the training rows, and only those.

        Args:
            x: (n, features), or (n, channels, height, width).
            quantiles: whose distance is the scale, as shares; interpolated between rows.

        Returns:
            The scaler, with the median as its center: of two middle values their mean, where
            torch.median takes the lower.

        Raises:
            ValueError: if x has no rows, another shape, or is not finite, or the quantiles are
                not in order.
            TypeError: if x is not a floating array.
        """
        x = check.matrix("RobustScaler.fit", "x", x)
        if not isinstance(quantiles, tuple | list) or len(quantiles) != 2:
            check.refuse("RobustScaler.fit", "a pair of quantiles", check.describe(quantiles))
        low = check.number("RobustScaler.fit", "the lower quantile", quantiles[0], 0, 1)
        high = check.number(
            "RobustScaler.fit", "the upper quantile", quantiles[1], low, 1, open_low=True
        )
        lower, middle, upper = np.quantile(x, (low, 0.5, high), axis=_rows(x), keepdims=True)
        scale = np.where(upper > lower, upper - lower, 1)
        return cls(middle[0].astype(x.dtype), scale[0].astype(x.dtype))


def _rows(x: Array) -> tuple[int, ...]:
    return (0,) if x.ndim == 2 else (0, 2, 3)
