"""The logistic function s(x) = 1 / (1 + e^-x), and what is made of it.

sigmoid      y = s(x)                             dx = dy y (1 - y)
logsigmoid   y = log s(x)                         dx = dy s(-x)
             = min(x, 0) - log(1 + e^-|x|)           = dy (1 - e^y)
softplus     y = log(1 + e^(b x)) / b             dx = dy s(b x)
             = (max(b x, 0) + log(1 + e^-|b x|)) / b    and the identity where b x > threshold
silu         y = x s(x)                           dx = dy s (1 + x (1 - s))
glu          y = a s(g)                           da = dy s    dg = dy a s (1 - s)    x = (a, g)
shapes       x, y any; glu halves one axis
stability    e^-|x| never overflows; where e^-x does, s is its limit 0
torch        softplus jumps to x at b x > threshold, without which torch would overflow; here any
             threshold is safe. silu(-inf) is NaN, and its slope at +-inf.
Sources      glu: Dauphin et al. 2017, arXiv:1612.08083; softplus: Dugas et al. 2001, NIPS 13;
             silu: Elfwing et al. 2018, arXiv:1702.03118
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.blocks import filled
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.select import pick


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x), in one new array.

    Args:
        x: float32 or float64, of any shape.

    Returns:
        Array of x's shape and dtype.
    """
    return filled(_logistic, x)


def _logistic(x: Array, s: Array) -> None:
    np.negative(x, out=s)
    with np.errstate(over="ignore"):  # 1 / inf is the limit, 0
        np.exp(s, out=s)
    s += 1
    np.divide(1, s, out=s)


@op
def sigmoid(input: Array) -> tuple[Array, Backward]:
    """y = 1 / (1 + e^-x).

    Args:
        input: x of any shape.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
    """
    y = logistic(check.floating("sigmoid", "input", input))

    def input_gradient(y: Array, dy: Array, dx: Array) -> None:
        np.subtract(1, y, out=dx)
        dx *= y
        dx *= dy

    return y, lambda dy: filled(input_gradient, y, dy)


@op
def logsigmoid(input: Array) -> tuple[Array, Backward]:
    """y = log(1 / (1 + e^-x)).

    Args:
        input: x of any shape.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
    """
    x = check.floating("logsigmoid", "input", input)
    y = np.clip(x, -np.inf, 0.0)
    y -= _log1p_exp(x)

    def backward(dy: Array) -> Array:
        dx: Array = -np.expm1(y)
        dx *= dy
        return dx

    return y, backward


@op
def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Backward]:
    """y = log(1 + e^(b x)) / b, and y = x where b x > threshold.

    Args:
        input: x of any shape.
        beta: b, not 0.
        threshold: from where on y = x.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument not a number.
        ValueError: if `beta` is 0.

    Source: Dugas et al. 2001, "Incorporating second-order functional knowledge".
    """
    x = check.floating("softplus", "input", input)
    beta = check.nonzero("softplus", "beta", beta)
    threshold = check.number("softplus", "threshold", threshold)
    with np.errstate(over="ignore"):  # there y = x, or y = 0
        z = x * beta
    y = np.clip(z, 0.0, np.inf)
    y += _log1p_exp(z)
    y /= beta

    def backward(dy: Array) -> Array:
        with np.errstate(over="ignore"):
            z = x * beta
        return pick(z > threshold, x.dtype.type(1), logistic(z)) * dy

    return pick(z > threshold, x, y), backward


@op
def silu(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = x / (1 + e^-x), also called swish.

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Elfwing, Uchibe & Doya 2018, arXiv:1702.03118, equation 5.
    """
    x = check.floating("silu", "input", input)

    def forward(x: Array, y: Array) -> None:
        _logistic(x, y)
        with np.errstate(invalid="ignore"):  # -inf times 0 is NaN, as in torch
            y *= x

    def input_gradient(x: Array, dy: Array, dx: Array) -> None:
        s = np.empty_like(x)
        _logistic(x, s)
        np.subtract(1, s, out=dx)
        with np.errstate(invalid="ignore"):
            dx *= x
            dx += 1
            dx *= s
        dx *= dy

    return filled(forward, x), lambda dy: filled(input_gradient, x, dy)


@op
def glu(input: Array, dim: int = -1) -> tuple[Array, Backward]:
    """y = a / (1 + e^-g), where a and g are the halves of the input.

    Args:
        input: x = (a, g) with an even size along `dim`.
        dim: axis that is halved.

    Returns:
        y of a's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
        ValueError: if the axis does not exist or its size is odd.

    Source: Dauphin et al. 2017, arXiv:1612.08083, equation 1.
    """
    x = check.floating("glu", "input", input)
    if x.ndim == 0:
        check.refuse("glu", "input of at least one axis", x.shape)
    axis = check.axis("glu", "dim", dim, x.ndim)
    if x.shape[axis] % 2:
        check.refuse("glu", f"an even size of axis {dim}", x.shape[axis])
    a, g = np.split(x, 2, axis)
    with np.errstate(invalid="ignore"):  # an infinite a behind a closed gate is NaN, as in torch
        y = logistic(g)
        y *= a

    def backward(dy: Array) -> Array:
        dx = np.empty_like(x)
        da, dg = np.split(dx, 2, axis)
        s = logistic(g)
        np.multiply(dy, s, out=da)
        np.subtract(1, s, out=dg)
        with np.errstate(invalid="ignore"):
            dg *= a
            dg *= da
        return dx

    return y, backward


def _log1p_exp(x: Array) -> Array:
    """log(1 + e^-|x|), in one new array."""
    y = np.abs(x, out=np.empty_like(x))
    np.negative(y, out=y)
    np.exp(y, out=y)
    return np.log1p(y, out=y)


class Sigmoid(Module):
    """`sigmoid`.

    Shape:
        any to the same.
    """

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = 1 / (1 + e^-x)."""
        return sigmoid(input)


class LogSigmoid(Module):
    """`logsigmoid`.

    Shape:
        any to the same.
    """

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = log(1 / (1 + e^-x))."""
        return logsigmoid(input)


class Softplus(Module):
    """`softplus`.

    Args:
        beta: b, not 0.
        threshold: from where on y = x, in units of b x.

    Shape:
        any to the same.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        check.nonzero("Softplus", "beta", beta)
        check.number("Softplus", "threshold", threshold)
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = log(1 + e^(b x)) / b."""
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class SiLU(Module):
    """`silu`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("SiLU", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x / (1 + e^-x)."""
        return silu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class GLU(Module):
    """`glu`.

    Args:
        dim: axis that is halved.

    Shape:
        (..., 2 n, ...) to (..., n, ...).
    """

    def __init__(self, dim: int = -1) -> None:
        check.size("GLU", "dim", dim, low=-64)
        self.dim = dim

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = a / (1 + e^-g), where a and g are the halves of the input."""
        return glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
