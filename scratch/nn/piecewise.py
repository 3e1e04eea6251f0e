"""Piecewise linear squashing and shrinking, which imitate smooth functions without an exponential.

relu6          y = min(max(x, 0), 6)                  dx = dy [0 < x < 6]
hardtanh       y = min(max(x, lo), hi)                dx = dy [lo < x < hi]
hardsigmoid    y = min(max(x + 3, 0), 6) / 6          dx = dy [-3 < x < 3] / 6
hardswish      y = x hardsigmoid(x)                   dx = dy (hardsigmoid(x) + [-3 < x < 3] x / 6)
hardshrink     y = x if |x| > l, else 0               dx = dy [|x| > l]
softshrink     y = x - min(max(x, -l), l)             dx = dy [|x| > l]
shapes         x, y any
torch          at each bound the slope is that of the outside: 0, for hardswish at 3 it is 1. NaN
               stays NaN with slope 0 (NaN for hardswish), as in torch's vector code; its scalar
               code has 1. hardswish(-inf) is NaN. The slope of hardsigmoid is a float32 1/6 also
               in float64, 3e-8 off.
Sources        hardtanh: Collobert 2004; relu6: Krizhevsky 2010; hardsigmoid, hardswish: Howard et
               al. 2019, arXiv:1905.02244; hardshrink, softshrink: Donoho & Johnstone 1994,
               Biometrika 81(3)
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.select import keep

SIXTH = float(np.float32(1 / 6))  # the slope of torch's hardsigmoid in every dtype


@op
def relu6(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = min(max(x, 0), 6).

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10".
    """
    return _clipped(check.floating("relu6", "input", input), 0.0, 6.0)


@op
def hardtanh(
    input: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> tuple[Array, Backward]:
    """y = min(max(x, lo), hi).

    Args:
        input: x of any shape.
        min_val: lo.
        max_val: hi, not below lo.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a bound not a number.
        ValueError: if min_val > max_val.

    Source: Collobert 2004, "Large scale machine learning".
    """
    x = check.floating("hardtanh", "input", input)
    low = check.number("hardtanh", "min_val", min_val)
    return _clipped(x, low, check.number("hardtanh", "max_val", max_val, low))


@op
def hardsigmoid(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = min(max(x + 3, 0), 6) / 6.

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """
    x = check.floating("hardsigmoid", "input", input)
    return _ramp(x), lambda dy: keep(np.abs(x) < 3, dy * SIXTH)


@op
def hardswish(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = x min(max(x + 3, 0), 6) / 6.

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """
    x = check.floating("hardswish", "input", input)
    y = _ramp(x)
    with np.errstate(invalid="ignore"):  # -inf times 0 is NaN, as in torch
        y *= x

    def backward(dy: Array) -> Array:
        slope = _ramp(x)
        slope += keep(np.abs(x) < 3, x / 6)
        slope *= dy
        return slope

    return y, backward


@op
def hardshrink(input: Array, lambd: float = 0.5) -> tuple[Array, Backward]:
    """y = x where |x| > l, else 0.

    Args:
        input: x of any shape.
        lambd: l; a negative one shrinks nothing.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `lambd` not a number.

    Source: Donoho & Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage", equation 8.
    """
    x = check.floating("hardshrink", "input", input)
    lambd = check.number("hardshrink", "lambd", lambd)
    return keep(~(np.abs(x) <= lambd), x), lambda dy: keep(np.abs(x) > lambd, dy)


@op
def softshrink(input: Array, lambd: float = 0.5) -> tuple[Array, Backward]:
    """y = x - min(max(x, -l), l).

    Args:
        input: x of any shape.
        lambd: l, not negative.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `lambd` not a number.
        ValueError: if `lambd` is negative or infinite.

    Source: Donoho & Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage", equation 9.
    """
    x = check.floating("softshrink", "input", input)
    lambd = check.number("softshrink", "lambd", lambd, 0, open_high=True)
    return x - np.clip(x, -lambd, lambd), lambda dy: keep(np.abs(x) > lambd, dy)


def _clipped(x: Array, low: float, high: float) -> tuple[Array, Backward]:
    """min(max(x, low), high) with gradient 0 at both bounds."""
    y = np.clip(x, low, high)
    return y, lambda dy: keep((y > low) & (y < high), dy)


def _ramp(x: Array) -> Array:
    """min(max(x + 3, 0), 6) / 6."""
    y: Array = np.clip(x + 3, 0.0, 6.0)
    y /= 6
    return y


class ReLU6(Module):
    """`relu6`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("ReLU6", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = min(max(x, 0), 6)."""
        return relu6(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """`hardtanh`.

    Args:
        min_val: lower bound.
        max_val: upper bound, above `min_val`.
        inplace: kept from torch's signature; the result is a new array.
        min_value: older name of `min_val`; decides where it is given.
        max_value: older name of `max_val`; decides where it is given.

    Shape:
        any to the same.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        min_val = min_val if min_value is None else min_value
        max_val = max_val if max_value is None else max_value
        low = check.number("Hardtanh", "min_val", min_val)
        check.number("Hardtanh", "max_val", max_val, low, open_low=True)
        check.option("Hardtanh", "inplace", inplace, (True, False))
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = min(max(x, min_val), max_val)."""
        return hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"min_val={self.min_val}, max_val={self.max_val}{inplace}"


class Hardsigmoid(Module):
    """`hardsigmoid`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("Hardsigmoid", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = min(max(x + 3, 0), 6) / 6."""
        return hardsigmoid(input)


class Hardswish(Module):
    """`hardswish`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("Hardswish", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x min(max(x + 3, 0), 6) / 6."""
        return hardswish(input)


class Hardshrink(Module):
    """`hardshrink`.

    Args:
        lambd: the largest magnitude that becomes 0.

    Shape:
        any to the same.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        check.number("Hardshrink", "lambd", lambd)
        self.lambd = lambd

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x where |x| > lambd, else 0."""
        return hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """`softshrink`.

    Args:
        lambd: how far every entry moves towards 0, not negative.

    Shape:
        any to the same.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        check.number("Softshrink", "lambd", lambd, 0, open_high=True)
        self.lambd = lambd

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x - min(max(x, -lambd), lambd)."""
        return softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"
