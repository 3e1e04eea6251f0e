"""The gradient of a table of which few rows were read.

    dense[indices[k]] = values[k], zero elsewhere            indices rise, each stands once
    sparse + sparse = sparse        sparse + dense = dense        (rows that both have add up)

shapes     indices (n,)   values (n, ...)   dense (V, ...)
torch      has sparse tensors; this is its coalesced COO gradient of an embedding with sparse=True.
"""

from typing import Any, Self, overload

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array


class SparseGradient:
    """Rows of a gradient that is zero elsewhere.

    Args:
        indices: (n,), integers in [0, V), in any order; the values of equal ones are added.
        values: (n, ...).
        shape: (V, ...), the shape of the parameter.

    Raises:
        TypeError: if `indices` is not integer or `values` not floating.
        ValueError: if an index is out of range or the shapes do not fit.
    """

    __array_ufunc__ = None  # array + sparse is left to __radd__

    def __init__(self, indices: Array, values: Array, shape: tuple[int, ...]) -> None:
        name = "SparseGradient"
        if not shape:
            check.refuse(name, "a shape of at least one dimension", shape)
        values = check.floating(name, "values", values)
        indices = check.integer(name, "indices", indices, 0, shape[0])
        check.shape(name, "indices", indices, ("n",))
        check.shape(name, "values", values, (indices.size, *shape[1:]))
        self.shape = tuple(shape)
        self.indices, self.values = coalesced(indices.astype(np.int64), values)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self.values.dtype

    def dense(self) -> Array:
        """The same gradient with its zeros."""
        out = np.zeros(self.shape, self.dtype)
        out[self.indices] = self.values
        return out

    def astype(self, dtype: DTypeLike) -> Self:
        """The same gradient in another dtype."""
        return type(self)(self.indices, self.values.astype(dtype), self.shape)

    def zero(self) -> Self:
        """A gradient of the same shape with no rows."""
        return type(self)(self.indices[:0], self.values[:0], self.shape)

    @overload
    def __add__(self, other: "SparseGradient") -> "SparseGradient": ...
    @overload
    def __add__(self, other: Array) -> Array: ...
    def __add__(self, other: "SparseGradient | Array") -> "SparseGradient | Array":
        if other.shape != self.shape or other.dtype != self.dtype:
            expected = f"a {self.dtype} gradient of shape {self.shape} to add"
            check.refuse("SparseGradient", expected, check.describe(other))
        if isinstance(other, SparseGradient):
            indices = np.concatenate([self.indices, other.indices])
            return SparseGradient(indices, np.concatenate([self.values, other.values]), self.shape)
        total: Array = other.copy()
        total[self.indices] += self.values
        return total

    __radd__ = __add__

    def __repr__(self) -> str:
        return f"{len(self.indices)} rows of a sparse {self.dtype} gradient of shape {self.shape}"


def coalesced(indices: Array, values: Array) -> tuple[Array, Array]:
    """Each index once, in order, with the sum of its values."""
    order = np.argsort(indices, kind="stable")
    indices, values = indices[order], values[order]
    place = np.arange(len(indices)) - np.searchsorted(indices, indices)  # among equal indices
    # Neighbours of one index are added in pairs: their number halves until one of each is left.
    while place.any():
        second = np.flatnonzero(place % 2)
        values[second - 1] += values[second]
        first = np.flatnonzero(place % 2 == 0)
        indices, values, place = indices[first], values[first], place[first] // 2
    return indices, values
