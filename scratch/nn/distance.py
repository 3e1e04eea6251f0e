"""Distances and similarities between vectors.

norm        n = (sum |v|^p)^(1/p)       dv = dn sgn(v) (|v| / n)^(p - 1)
            p = 0 counts the entries that are not zero, so dv = 0
            p = inf is the largest |v|; ties share dn evenly
pairwise    y = norm(x1 - x2 + eps)     dx1 = dv, dx2 = -dv
pdist       y_ij = norm(x_i - x_j)      dx_i = sum_j dv_ij - sum_j dv_ji           for i < j
cosine      y = sum u1 u2               u = x / n, n = max(norm(x), eps)
            du1 = dy u2                 dx1 = du1 / n1 - (sum du1 u1 / n1) x1 / norm(x1)
                                        and likewise for x2
shapes      x (..., D)   y (...,)       broadcast; pdist takes (N, D) to N (N - 1) / 2 numbers
torch       pairwise adds eps to the difference: two equal vectors are not at distance 0.
            norm'(0) = 0.  cosine clamps each norm by itself, and its gradient does not see the
            clamp.  In pdist at p = inf each of several ties gets all of dn.
"""

from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op, unbroadcast
from scratch.nn.reduction import quiet


def sign(x: Array) -> Array:
    """-1, 0 or 1 in the dtype of x; 0 where x is NaN (torch's choice, np.sign passes NaN on)."""
    return (x > 0).astype(x.dtype) - (x < 0)


def _norm(v: Array, p: float, ties_share: bool = True) -> tuple[Array, Backward]:
    """The p-norm along the last axis, which it removes."""
    n: Array
    size = np.abs(v)
    if p == 0:
        n = (v != 0).sum(-1, dtype=v.dtype)
    elif np.isinf(p):
        n = size.max(-1) if p > 0 else size.min(-1)
    elif p == 1:
        n = size.sum(-1)
    elif p == 2:
        n = np.sqrt((v * v).sum(-1))
    else:
        # The root in float64: float32 would round its exponent, too.
        n = np.power((size**p).sum(-1), 1 / p, dtype=np.float64).astype(v.dtype)

    def backward(dn: Array) -> Any:
        size = np.abs(v)
        dn, length = np.expand_dims(dn, -1), np.expand_dims(n, -1)
        if p == 0:
            return np.zeros_like(v)
        if p == 1:
            return dn * sign(v)
        if np.isinf(p):
            chosen = ((size == length) | np.isnan(v)).astype(v.dtype)
            share = chosen / chosen.sum(-1, keepdims=True) if ties_share else chosen
            return dn * sign(v) * share
        # A factor 0 / 0 or an infinite power of zero stands for no slope: norm'(0) = 0.
        if p == 2:
            return dn * np.where(length == 0, 0.0, v / length)
        if p < 1:
            power = np.where(v == 0, 0.0, size ** (p - 1))
            return dn * sign(v) * power * length ** (1 - p)
        return np.where(length == 0, 0.0, dn / length ** (p - 1)) * sign(v) * size ** (p - 1)

    return n, backward


@op
@quiet
def pairwise_distance(
    x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> tuple[Array, Backward]:
    """The p-norm of x1 - x2 + eps along the last axis.

    Args:
        x1: (..., D).
        x2: (..., D), broadcasts against x1.
        p: exponent of the norm, any number or infinity.
        eps: added to each difference, which makes the distance smooth where the vectors are equal.
        keepdim: whether to keep the last axis, with size 1.

    Returns:
        The distance (...,), and its backward: dy -> dx1, dx2.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not broadcast, or are empty along D at p = +-inf.
    """
    x1 = check.floating("pairwise_distance", "x1", x1)
    x2 = check.floating("pairwise_distance", "x2", x2, like=x1)
    shape = check.broadcastable("pairwise_distance", x1=x1, x2=x2)
    p = check.number("pairwise_distance", "p", p)
    eps = check.number("pairwise_distance", "eps", eps)
    check.option("pairwise_distance", "keepdim", keepdim, (True, False))
    if np.isinf(p) and shape and shape[-1] == 0:
        check.refuse("pairwise_distance", "at least one entry along the last axis", shape)
    v = np.atleast_1d(x1 - x2 + eps)
    y, norm_back = _norm(v, p)
    shape1, shape2 = x1.shape, x2.shape

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dv = norm_back(dy.reshape(v.shape[:-1])).reshape(shape)
        return unbroadcast(dv, shape1), unbroadcast(-dv, shape2)

    return (np.expand_dims(y, -1) if keepdim and shape else y), backward


@op
@quiet
def pdist(input: Array, p: float = 2) -> tuple[Array, Backward]:
    """The p-norm distance of every pair of rows, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        input: x (N, D).
        p: exponent of the norm, not negative; may be infinite.

    Returns:
        The distances (N (N - 1) / 2,), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
        ValueError: if it is not a matrix or p is negative.
    """
    x = check.floating("pdist", "input", input)
    check.shape("pdist", "input", x, ("N", "D"))
    p = check.number("pdist", "p", p, low=0)
    if np.isinf(p) and x.shape[1] == 0:
        check.refuse("pdist", "at least one column at p = inf", x.shape)
    i, j = np.triu_indices(len(x), 1)
    y, norm_back = _norm(x[i] - x[j], p, ties_share=False)
    x_shape = x.shape

    @quiet
    def backward(dy: Array) -> Array:
        dv = norm_back(dy)
        dx = np.zeros(x_shape, dy.dtype)
        np.add.at(dx, i, dv)
        np.subtract.at(dx, j, dv)
        return dx

    return y, backward


@op
@quiet
def cosine_similarity(
    x1: Array, x2: Array, dim: int = 1, eps: float = 1e-8
) -> tuple[Array, Backward]:
    """The cosine of the angle between x1 and x2 along an axis.

    Args:
        x1: any shape.
        x2: broadcasts against x1.
        dim: the axis, of the common shape, along which the vectors lie; the result lacks it.
        eps: least value of each norm, not negative.

    Returns:
        The cosine, and its backward: dy -> dx1, dx2.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not broadcast, the axis does not exist or eps is negative.
    """
    x1 = check.floating("cosine_similarity", "x1", x1)
    x2 = check.floating("cosine_similarity", "x2", x2, like=x1)
    shape = check.broadcastable("cosine_similarity", x1=x1, x2=x2)
    axis = check.axis("cosine_similarity", "dim", dim, len(shape))
    eps = check.number("cosine_similarity", "eps", eps, low=0)
    wide1, wide2 = (np.atleast_1d(np.broadcast_to(x, shape)) for x in (x1, x2))
    u1, unit1_back = _unit(wide1, axis, eps)
    u2, unit2_back = _unit(wide2, axis, eps)
    shape1, shape2 = x1.shape, x2.shape

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dy = np.expand_dims(dy, axis)
        dx1, dx2 = unit1_back(dy * u2).reshape(shape), unit2_back(dy * u1).reshape(shape)
        return unbroadcast(dx1, shape1), unbroadcast(dx2, shape2)

    return (u1 * u2).sum(axis), backward


def _unit(x: Array, axis: int, eps: float) -> tuple[Array, Backward]:
    """x over max(norm(x), eps) along an axis; the gradient of the norm passes through the clamp."""
    length = np.sqrt((x * x).sum(axis, keepdims=True))
    n = np.maximum(length, eps)
    u = x / n

    def backward(du: Array) -> Array:
        dn = -(du * (u / n)).sum(axis, keepdims=True)
        dx: Array = du / n + dn * np.where(length == 0, 0.0, x / length)
        return dx

    return u, backward


class CosineSimilarity(Module):
    """`cosine_similarity` as a module.

    Args:
        dim: the axis along which the vectors lie.
        eps: least value of each norm, not negative.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = check.size("CosineSimilarity", "dim", dim, low=-64)
        self.eps = check.number("CosineSimilarity", "eps", eps, low=0)

    def forward(self, x1: Array, x2: Array) -> tuple[Array, Backward]:
        """The cosine of the angle between x1 and x2."""
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """`pairwise_distance` as a module.

    Args:
        p: exponent of the norm, any number or infinity.
        eps: added to each difference.
        keepdim: whether to keep the last axis, with size 1.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm = check.number("PairwiseDistance", "p", p)
        self.eps = check.number("PairwiseDistance", "eps", eps)
        check.option("PairwiseDistance", "keepdim", keepdim, (True, False))
        self.keepdim = keepdim

    def forward(self, x1: Array, x2: Array) -> tuple[Array, Backward]:
        """The norm of x1 - x2 + eps."""
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
