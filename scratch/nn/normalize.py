"""Vectors of length one.

forward     y = x / d     d = max(n, eps)     n = (sum |x|^p)^(1/p)
backward    dx = (dy - [n >= eps] n' sum dy y) / d
            n' = sign(x) (|x| / n)^(p - 1)     and 0 where n = 0
shapes      x, y any   n (..., 1, ...), the sum over the axis or axes dim
torch       bounds n from below; it does not add eps. p = inf: n = max |x|, and entries that tie
            share the gradient; p = 0: n counts the entries other than 0.
"""

from collections.abc import Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.select import keep


@op
def normalize(
    input: Array,
    p: float = 2.0,
    dim: int | Sequence[int] = 1,
    eps: float = 1e-12,
    out: Array | None = None,
) -> tuple[Array, Backward]:
    """y = x / max(||x||_p, eps).

    Args:
        input: x of any shape.
        p: exponent of the norm.
        dim: axis or axes over which the norm is taken.
        eps: smallest divisor.
        out: array of x's shape and dtype to write y into; None makes a new one.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument has another type.
        ValueError: if an axis does not exist or `out` has another shape.
    """
    x = check.floating("normalize", "input", input)
    p = check.number("normalize", "p", p)
    eps = check.number("normalize", "eps", eps)
    dims = tuple(dim) if isinstance(dim, Sequence) else (dim,)
    axes = tuple(check.axis("normalize", "dim", d, x.ndim) for d in dims)
    if len(set(axes)) < len(axes):
        check.refuse("normalize", "axes that differ", dim)
    if out is not None:
        check.shape("normalize", "out", check.floating("normalize", "out", out, like=x), x.shape)
    over = axes if x.ndim else None

    size = np.abs(x)
    if p == np.inf:
        norm = size.max(axis=over, keepdims=True)
    elif p == -np.inf:
        norm = size.min(axis=over, keepdims=True)
    elif p == 0:
        norm = (size != 0).sum(axis=over, keepdims=True, dtype=x.dtype)
    elif p == 1:
        norm = size.sum(axis=over, keepdims=True)
    elif p == 2:
        norm = np.sqrt(np.square(x).sum(axis=over, keepdims=True))
    else:
        # The root in float64: float32 would round its exponent, too.
        total = (size**p).sum(axis=over, keepdims=True)
        norm = np.power(total, 1 / p, dtype=np.float64).astype(x.dtype)
    bound = np.maximum(norm, eps)
    y = np.divide(x, bound, out=out)

    def backward(dy: Array) -> Array:
        dbound = (dy * y).sum(axis=over, keepdims=True)
        dnorm = keep(norm >= eps, dbound)
        dx: Array = (dy - dnorm * _slope(x, norm, p, over)) / bound
        return dx

    return y, backward


def _slope(x: Array, norm: Array, p: float, axes: tuple[int, ...] | None) -> Array:
    """The derivative of the norm by x."""
    if p == 0:
        return np.zeros_like(x)
    if np.isinf(p):
        largest = np.abs(x) == norm
        shared: Array = largest / largest.sum(axis=axes, keepdims=True, dtype=x.dtype)
        return np.sign(x) * shared
    if p == 1:
        return np.sign(x)
    share = np.divide(np.abs(x), norm, out=np.zeros_like(x), where=(norm != 0) & (x != 0))
    if p == 2:
        return share * np.sign(x)
    return np.sign(x) * np.power(share, p - 1, out=np.zeros_like(x), where=share != 0)
