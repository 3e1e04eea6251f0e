"""Smooth activations: tanh and its kin, exponential linear units, mish.

tanh         y = tanh x                               dx = dy (1 - y^2)
tanhshrink   y = x - tanh x                           dx = dy tanh(x)^2
softsign     y = x / (1 + |x|)                        dx = dy / (1 + |x|)^2
elu          y = max(x, 0) + alpha (e^min(x, 0) - 1)  dx = dy (1 if x > 0 else alpha e^x)
selu         y = scale elu(x)                         alpha and scale fixed
celu         y = max(x, 0) + alpha (e^(min(x, 0) / alpha) - 1)
                                                      dx = dy (1 if x > 0 else e^(x / alpha))
mish         y = x tanh(log(1 + e^x))                 dx = dy (t + x 4 w (1 + w) / (n + 2)^2)
               = x t,  t = n / (n + 2)                n = w (w + 2)   w = e^x
shapes       x, y any
torch        at 0 the slope is that of the left side: alpha for elu, scale alpha = 1.7581 for selu,
             1 for celu. softsign(+-inf), mish(-inf) and their slopes are NaN, and mish'(inf) too.
             The backward of celu rounds its alpha in e^(x / alpha) / alpha to float32, also in
             float64: at 0.7 that is 2e-8 off, at 1 or 2 nothing.
Sources      elu: Clevert et al. 2016, arXiv:1511.07289; selu: Klambauer et al. 2017,
             arXiv:1706.02515; celu: Barron 2017, arXiv:1704.07483; mish: Misra 2019,
             arXiv:1908.08681
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.select import keep, pick

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
# From here on mish is x to the last bit, and w^2 still fits float32.
MISH_LIMIT = 40.0


@op
def tanh(input: Array) -> tuple[Array, Backward]:
    """y = tanh x.

    Args:
        input: x of any shape.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
    """
    y = np.tanh(check.floating("tanh", "input", input))

    def backward(dy: Array) -> Array:
        dx = np.square(y, out=np.empty_like(y))
        np.subtract(1, dx, out=dx)
        dx *= dy
        return dx

    return y, backward


@op
def tanhshrink(input: Array) -> tuple[Array, Backward]:
    """y = x - tanh x.

    Args:
        input: x of any shape.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
    """
    x = check.floating("tanhshrink", "input", input)
    t = np.tanh(x)

    def backward(dy: Array) -> Array:
        dx = t * t
        dx *= dy
        return dx

    return x - t, backward


@op
def softsign(input: Array) -> tuple[Array, Backward]:
    """y = x / (1 + |x|).

    Args:
        input: x of any shape.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
    """
    x = check.floating("softsign", "input", input)
    with np.errstate(invalid="ignore"):  # inf / inf is NaN, as in torch
        y = x / (1 + np.abs(x))

    def backward(dy: Array) -> Array:
        slope = np.abs(x, out=np.empty_like(x))
        slope += 1
        np.divide(1, slope, out=slope)  # before the square, which would overflow
        slope *= slope
        np.copyto(slope, np.nan, where=np.isinf(x))  # torch's quotient rule meets inf / inf
        slope *= dy
        return slope

    return y, backward


@op
def elu(input: Array, alpha: float = 1.0, inplace: bool = False) -> tuple[Array, Backward]:
    """y = x where x > 0, else alpha (e^x - 1).

    Args:
        input: x of any shape.
        alpha: minus the limit at -infinity.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `alpha` not a number.

    Source: Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289, equation 16.
    """
    x = check.floating("elu", "input", input)
    return _exponential_linear(x, 1.0, check.number("elu", "alpha", alpha))


@op
def selu(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = scale x where x > 0, else scale alpha (e^x - 1), which keeps mean 0 and variance 1.

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Klambauer et al. 2017, arXiv:1706.02515, equation 2.
    """
    x = check.floating("selu", "input", input)
    return _exponential_linear(x, SELU_SCALE, SELU_SCALE * SELU_ALPHA)


@op
def celu(input: Array, alpha: float = 1.0, inplace: bool = False) -> tuple[Array, Backward]:
    """y = x where x > 0, else alpha (e^(x / alpha) - 1), whose slope at 0 is 1 for every alpha.

    Args:
        input: x of any shape.
        alpha: minus the limit at -infinity, not 0.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `alpha` not a number.
        ValueError: if `alpha` is 0.

    Source: Barron 2017, arXiv:1704.07483, equation 2.
    """
    x = check.floating("celu", "input", input)
    alpha = check.nonzero("celu", "alpha", alpha)
    rounded = check.nonzero("celu", "alpha", float(np.float32(alpha)))  # as in torch's backward
    return _exponential_linear(x, 1.0, alpha, 1 / alpha, 1 / rounded)


@op
def mish(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = x tanh(log(1 + e^x)).

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Misra 2019, arXiv:1908.08681, equation 1.
    """
    x = check.floating("mish", "input", input)
    _, n = _mish_terms(x)
    y = n / (n + 2)
    with np.errstate(invalid="ignore"):  # -inf times 0 is NaN, as in torch
        y *= x

    def backward(dy: Array) -> Array:
        w, n = _mish_terms(x)
        q = 2 / (n + 2)
        slope = keep(x < MISH_LIMIT, w * q * (1 + w) * q)
        with np.errstate(invalid="ignore"):
            slope *= x
        n *= q
        n /= 2
        slope += n
        slope *= dy
        return slope

    return y, backward


def _mish_terms(x: Array) -> tuple[Array, Array]:
    """w = e^x, held where it no longer matters, and n = w (w + 2)."""
    w = np.exp(np.clip(x, -np.inf, MISH_LIMIT))
    n = w + 2
    n *= w
    return w, n


def _exponential_linear(
    x: Array, scale: float, alpha: float, rate: float = 1.0, slope_rate: float = 1.0
) -> tuple[Array, Backward]:
    """y = scale x where x > 0, else alpha (e^(rate x) - 1); the slope has its own rate."""
    right = np.clip(x, 0.0, np.inf)
    # A negative alpha of celu makes it grow without bound; selu's scale exceeds 1.
    with np.errstate(over="ignore"):
        y: Array = np.expm1(np.clip(x, -np.inf, 0.0) * rate)
        y *= alpha
        right *= scale
    y += right

    def backward(dy: Array) -> Array:
        with np.errstate(over="ignore"):
            slope: Array = np.exp(np.clip(x, -np.inf, 0.0) * slope_rate)
        slope *= alpha * slope_rate
        slope = pick(x > 0, x.dtype.type(scale), slope)
        slope *= dy
        return slope

    return y, backward


class Tanh(Module):
    """`tanh`.

    Shape:
        any to the same.
    """

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = tanh x."""
        return tanh(input)


class Tanhshrink(Module):
    """`tanhshrink`.

    Shape:
        any to the same.
    """

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x - tanh x."""
        return tanhshrink(input)


class Softsign(Module):
    """`softsign`.

    Shape:
        any to the same.
    """

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x / (1 + |x|)."""
        return softsign(input)


class ELU(Module):
    """`elu`.

    Args:
        alpha: minus the limit at -infinity.
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        check.number("ELU", "alpha", alpha)
        check.option("ELU", "inplace", inplace, (True, False))
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x where x > 0, else alpha (e^x - 1)."""
        return elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class SELU(Module):
    """`selu`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("SELU", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = scale elu(x)."""
        return selu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class CELU(Module):
    """`celu`.

    Args:
        alpha: minus the limit at -infinity, not 0.
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        check.nonzero("CELU", "alpha", alpha)
        check.option("CELU", "inplace", inplace, (True, False))
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x where x > 0, else alpha (e^(x / alpha) - 1)."""
        return celu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class Mish(Module):
    """`mish`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("Mish", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x tanh(log(1 + e^x))."""
        return mish(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""
