"""Gaussian error linear unit.                           Hendrycks & Gimpel 2016, arXiv:1606.08415

exact       y = x P(x)                         dx = dy (P + x p)
            P = (1 + erf(x / sqrt 2)) / 2      p = e^(-x^2 / 2) / sqrt(2 pi)
tanh        y = x (1 + t) / 2                  dx = dy (1 + t + (1 + t) (1 - t) u' x) / 2
            t = tanh u                         u = k (x + c x^3)   u' = k (1 + 3 c x^2)
                                               k = sqrt(2 / pi)    c = 0.044715
shapes      x, y any
torch       the exact form by default; GPT-2 uses the tanh form, which differs by up to 4.7e-4, CLIP
            x s(1.702 x), by up to 0.02. The value at -inf is NaN, and the slope at +-inf.
"""

import math

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.blocks import each_block, filled
from scratch.nn.erf import erf
from scratch.nn.module import Module
from scratch.nn.op import Backward, op

K = math.sqrt(2 / math.pi)
C = 0.044715


@op
def gelu(input: Array, approximate: str = "none") -> tuple[Array, Backward]:
    """y = x P(x), where P is the distribution function of the standard normal.

    Args:
        input: x of any shape.
        approximate: 'none', or 'tanh' for a tanh in place of erf.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
        ValueError: if `approximate` is neither.

    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2.
    """
    x = check.floating("gelu", "input", input)
    check.option("gelu", "approximate", approximate, ("none", "tanh"))
    # Infinite x times 0 is NaN, as in torch; x^2 of a huge x overflows to the limit that is meant.
    with np.errstate(over="ignore", invalid="ignore"):
        y, backward = _exact(x) if approximate == "none" else _tanh(x)

    def quiet_backward(dy: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            dx: Array = backward(dy)
        return dx

    return y, quiet_backward


def _exact(x: Array) -> tuple[Array, Backward]:
    y, distribution = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)

    def forward(x: Array, p: Array, y: Array) -> None:
        p[...] = erf(x * math.sqrt(0.5))
        p += 1
        p *= 0.5
        np.multiply(x, p, out=y)

    def input_gradient(x: Array, p: Array, dy: Array, dx: Array) -> None:
        slope = np.square(x, out=dx)
        slope *= -0.5
        np.exp(slope, out=slope)
        slope *= 1 / math.sqrt(2 * math.pi)
        slope *= x
        slope += p
        slope *= dy

    each_block(forward, x, distribution, y)
    return y, lambda dy: filled(input_gradient, x, distribution, dy)


def _tanh(x: Array) -> tuple[Array, Backward]:
    def forward(x: Array, y: Array) -> None:
        _tanh_u(x, out=y)
        y += 1
        y *= 0.5  # first, as 2 x may overflow
        y *= x

    def input_gradient(x: Array, dy: Array, dx: Array) -> None:
        t = _tanh_u(x, out=np.empty_like(x))
        slope = np.square(x, out=dx)
        slope *= 3 * K * C
        slope += K  # u'
        slope *= 1 - t
        t += 1
        slope *= t
        slope *= x  # last: where 1 + t or 1 - t is 0, u' x may overflow
        slope += t
        slope *= dy
        slope *= 0.5

    return filled(forward, x), lambda dy: filled(input_gradient, x, dy)


def _tanh_u(x: Array, out: Array) -> Array:
    u = np.square(x, out=out)
    u *= K * C
    u += K
    u *= x
    return np.tanh(u, out=u)


class GELU(Module):
    """`gelu`.

    Args:
        approximate: 'none' or 'tanh'.

    Shape:
        any to the same.
    """

    def __init__(self, approximate: str = "none") -> None:
        check.option("GELU", "approximate", approximate, ("none", "tanh"))
        self.approximate = approximate

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x P(x)."""
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"
