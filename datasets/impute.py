"""Missing values, NaN in the rows, replaced by what the training rows suggest.

    SimpleImputer      the column's mean, median or most frequent value
    KNNImputer         mean of the column over the k nearest training rows that have it
                       d(a, b)^2 = F / m * sum over the m columns that both have (a_j - b_j)^2
    missing_indicator  1 where a value is missing, 0 where it is there, as columns of their own
    forward_fill       of a series, the last value before; backward_fill the next one after
    shapes             x (n, features), NaN where a value is missing

Scikit-learn's imputers of the same names give the same numbers.

Source: Troyanskaya et al. 2001, Bioinformatics 17(6), Missing value estimation methods for DNA
microarrays (k nearest neighbours).
"""

from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array

STRATEGIES = ("mean", "median", "most_frequent")


@dataclass(frozen=True, eq=False)
class SimpleImputer:
    """Each missing value becomes one number of its column.

    Args:
        fill: (features,), what stands in for a value of each column.
    """

    fill: Array

    @classmethod
    def fit(cls, x: Array, strategy: str = "mean") -> "SimpleImputer":
        """The imputer of the rows of x: give it the training rows, and only those.

        Args:
            x: (n, features), NaN where a value is missing.
            strategy: "mean", "median" (of two in the middle their mean, where torch.median takes
                the lower) or "most_frequent", of equally frequent ones the smallest.

        Returns:
            The imputer.

        Raises:
            ValueError: if x has another shape, infinities, or a column without any value, or there
                is no such strategy.
            TypeError: if x is not a floating array.
        """
        x = _with_gaps("SimpleImputer.fit", x)
        if strategy not in STRATEGIES:
            expected = f"strategy to be one of {', '.join(map(repr, STRATEGIES))}"
            check.refuse("SimpleImputer.fit", expected, repr(strategy))
        _no_empty_column("SimpleImputer.fit", x)
        if strategy == "mean":
            fill = np.nanmean(x, axis=0, dtype=np.float64)
        elif strategy == "median":
            fill = np.nanmedian(x, axis=0)
        else:
            fill = np.array([_most_frequent(column[~np.isnan(column)]) for column in x.T])
        return cls(fill.astype(x.dtype))

    def __call__(self, x: Array) -> Array:
        """x with its gaps filled, in its own dtype."""
        x = _with_gaps("SimpleImputer", x, len(self.fill))
        return np.where(np.isnan(x), self.fill, x).astype(x.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class KNNImputer:
    """Each missing value becomes the mean of its column over the nearest training rows.

    A row that shares no column with any training row gets the columns' means.

    Args:
        rows: training rows (m, features), NaN where a value is missing.
        k: how many neighbours; fewer where fewer have the column.
    """

    rows: Array
    k: int

    @classmethod
    def fit(cls, x: Array, k: int = 5) -> "KNNImputer":
        """The imputer of the rows of x: give it the training rows, on one scale, and only those.

        Args:
            x: (n, features), NaN where a value is missing.
            k: how many neighbours, 1 or more.

        Returns:
            The imputer, which keeps a copy of the rows.

        Raises:
            ValueError: if x has another shape, infinities, or a column without any value, or
                k < 1.
            TypeError: if x is not a floating array or k no integer.
        """
        x = _with_gaps("KNNImputer.fit", x)
        k = check.size("KNNImputer.fit", "k", k, 1)
        _no_empty_column("KNNImputer.fit", x)
        return cls(x.copy(), k)

    def __call__(self, x: Array) -> Array:
        """x with its gaps filled, in its own dtype."""
        x = _with_gaps("KNNImputer", x, self.rows.shape[1])
        filled = x.copy()
        gaps = np.isnan(x)
        incomplete = np.flatnonzero(gaps.any(1))
        distance = _nan_distance(x[incomplete].astype(np.float64), self.rows.astype(np.float64))
        for column in np.flatnonzero(gaps.any(0)):
            donors = self.rows[:, column]
            have = ~np.isnan(donors)
            wanting = gaps[incomplete, column]
            near = distance[np.ix_(wanting, have)]
            order = np.argsort(near, axis=1, kind="stable")[:, : self.k]
            known = np.isfinite(np.take_along_axis(near, order, axis=1))
            values = np.where(known, donors[have].astype(np.float64)[order], 0)
            count = known.sum(1)
            mean = np.where(
                count > 0, values.sum(1) / np.maximum(count, 1), np.mean(donors[have], dtype=float)
            )
            filled[incomplete[wanting], column] = mean
        return filled


def missing_indicator(x: Array, columns: Array | None = None) -> Array:
    """Which values are missing, as further columns for a network to learn from.

    Args:
        x: (n, features), NaN where a value is missing.
        columns: indices of the columns to tell of, such as those with a gap in the training rows;
            None: all.

    Returns:
        1 where a value is missing and 0 elsewhere, (n, columns), in x's dtype.

    Raises:
        ValueError: if x has another shape or infinities, or there is no such column.
        TypeError: if x is not a floating array or the columns are no integers.
    """
    x = _with_gaps("missing_indicator", x)
    if columns is not None:
        x = x[:, check.ids("missing_indicator", "columns", columns, x.shape[1])]
    return np.isnan(x).astype(x.dtype)


def forward_fill(x: Array) -> Array:
    """Each missing value of a series becomes the last one before it.

    Args:
        x: (time, features), NaN where a value is missing.

    Returns:
        The same, filled; a gap at the start stays NaN, for nothing comes before it.

    Raises:
        ValueError: if x has another shape or infinities.
        TypeError: if x is not a floating array.
    """
    return _filled(_with_gaps("forward_fill", x))


def backward_fill(x: Array) -> Array:
    """Each missing value of a series becomes the next one after it: of the past, not to forecast.

    Args:
        x: (time, features), NaN where a value is missing.

    Returns:
        The same, filled; a gap at the end stays NaN, for nothing comes after it.

    Raises:
        ValueError: if x has another shape or infinities.
        TypeError: if x is not a floating array.
    """
    return _filled(_with_gaps("backward_fill", x)[::-1])[::-1].copy()


def _filled(x: Array) -> Array:
    time = np.where(np.isnan(x), 0, np.arange(len(x))[:, None])
    return np.take_along_axis(x, np.maximum.accumulate(time, axis=0), axis=0)


def _most_frequent(values: Array) -> float:
    kinds, counts = np.unique(values, return_counts=True)
    return float(kinds[counts.argmax()])


def _nan_distance(a: Array, b: Array) -> Array:
    """Squared, over the columns that both rows have, as if it were all; infinite if there is none.

    sum (a - b)^2 over common columns, by products with the masks: a^2 . B + A . b^2 - 2 a . b would
    cancel where rows are close, so it is summed directly, a row of `a` at a time.
    """
    distance = np.empty((len(a), len(b)))
    for i, row in enumerate(a):
        difference = row - b
        common = (~np.isnan(difference)).sum(1)
        total = np.nansum(difference**2, axis=1)
        distance[i] = np.where(common > 0, total * a.shape[1] / np.maximum(common, 1), np.inf)
    return distance


def _with_gaps(function: str, x: object, features: int | None = None) -> Array:
    x = check.floating(function, "x", x, (2,), "(rows >= 1, features >= 1)")
    if not len(x) or (features is not None and x.shape[1] != features):
        wanted = "(rows >= 1, features >= 1)" if features is None else f"(rows >= 1, {features})"
        check.refuse(function, f"x of shape {wanted}", x.shape)
    if np.isinf(x).any():
        check.refuse(function, "finite values, and NaN where one is missing", "infinity")
    return x


def _no_empty_column(function: str, x: Array) -> None:
    empty = np.flatnonzero(np.isnan(x).all(0))
    if empty.size:
        check.refuse(function, "a value in every column", f"none in column {empty[0]}")
