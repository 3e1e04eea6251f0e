"""Rectifiers: the identity for positive input, something smaller for the rest.

relu         y = max(x, 0)                     dx = dy [x > 0]
leaky_relu   y = max(x, 0) + a min(x, 0)       dx = dy (1 if x > 0 else a)
prelu        as leaky_relu, a learned          da = sum of dy min(x, 0) over all that share a
rrelu        as leaky_relu, a ~ U(lower, upper) for each entry in training, their mean in evaluation
threshold    y = x if x > t else v             dx = dy [x > t]
step         y = 1 if x > 0 else 0             dx = 0
shapes       x, y any   a of prelu (C,), along axis 1
torch        the slope at the kink is that of the left side: 0 for relu, a for the others.
             NaN stays NaN (only step turns it into 0); the slope there is 1, or a where there is a
             single one.
Sources      Nair & Hinton 2010, ICML; Maas et al. 2013, ICML; prelu: He et al. 2015,
             arXiv:1502.01852; rrelu: Xu et al. 2015, arXiv:1505.00853; step: McCulloch & Pitts 1943
"""

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.nn.select import keep, pick
from scratch.random import Generator, check_generator


@op
def relu(input: Array, inplace: bool = False) -> tuple[Array, Backward]:
    """y = max(x, 0).

    Args:
        input: x of any shape.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source: Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    x = check.floating("relu", "input", input)
    y = np.clip(x, 0.0, np.inf)  # np.maximum with a scalar is three times slower
    return y, lambda dy: keep(~(y <= 0), dy)


@op
def leaky_relu(
    input: Array, negative_slope: float = 0.01, inplace: bool = False
) -> tuple[Array, Backward]:
    """y = max(x, 0) + a min(x, 0).

    Args:
        input: x of any shape.
        negative_slope: a.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `negative_slope` not a number.

    Source: Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """
    x = check.floating("leaky_relu", "input", input)
    a = x.dtype.type(check.number("leaky_relu", "negative_slope", negative_slope))
    return _leaky(x, a), lambda dy: dy * _slope(x, a)


@op
def prelu(input: Array, weight: Array) -> tuple[Array, Backward]:
    """y = max(x, 0) + a min(x, 0) with a learned a.

    Args:
        input: x (N, C, ...), or any shape where there is one a.
        weight: a (C,), or (1,) or () for one that all share. An input of fewer than two axes has
            one channel.

    Returns:
        y of x's shape, and its backward: dy -> dx, da.

    Raises:
        TypeError: if the arrays are not floating or their dtypes differ.
        ValueError: if the shapes do not fit.

    Source: He et al. 2015, arXiv:1502.01852, equations 1 and 4.
    """
    x = check.floating("prelu", "input", input)
    weight = check.floating("prelu", "weight", weight, like=x)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        expected = f"weight of shape ({channels},), (1,) or () for an input of shape {x.shape}"
        check.refuse("prelu", expected, weight.shape)
    shared = weight.size == 1
    a = weight.reshape(() if shared else (channels, *(1,) * (x.ndim - 2)))

    def backward(dy: Array) -> tuple[Array, Array]:
        dx = dy * _slope(x, a)
        axes = None if shared else (0, *range(2, x.ndim))
        with np.errstate(invalid="ignore", over="ignore"):  # also of entries that do not count
            da = keep(~(x > 0), x * dy).sum(axis=axes)
        return dx, np.asarray(da).reshape(weight.shape)

    return _leaky(x, a), backward


@op
def rrelu(
    input: Array,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    noise: Array | None = None,
) -> tuple[Array, Backward]:
    """y = max(x, 0) + a min(x, 0), a random in training and the mean of its range in evaluation.

    Args:
        input: x of any shape.
        lower: smallest a.
        upper: largest a.
        training: whether to draw.
        inplace: kept from torch's signature; the result is a new array.
        generator: where a is drawn, for each x <= 0 in index order; None draws a fresh one.
        noise: a of x's shape in place of a draw; only its entries at x <= 0 count.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument has another type.
        ValueError: if lower > upper, a bound is not finite or the shape of the noise is not x's.

    Source: Xu et al. 2015, arXiv:1505.00853, section 2.4.
    """
    x = check.floating("rrelu", "input", input)
    lower, upper = _bounds("rrelu", lower, upper)
    check.option("rrelu", "training", training, (True, False))
    check_generator("rrelu", generator)
    if noise is not None:
        noise = check.floating("rrelu", "noise", noise, like=x)
        check.shape("rrelu", "noise", noise, x.shape)
    if not training:
        a = x.dtype.type((lower + upper) / 2)
        return _leaky(x, a), lambda dy: dy * _slope(x, a)
    left = x <= 0
    if noise is None:
        # As torch draws: in float64, between bounds of x's dtype, for the left side only.
        low, high = float(x.dtype.type(lower)), float(x.dtype.type(upper))
        u = (generator or Generator()).rand(int(np.count_nonzero(left)), dtype=np.float64)
        slope = np.ones_like(x)
        slope[left] = u * (high - low) + low
    else:
        slope = pick(left, noise, x.dtype.type(1))
    with np.errstate(invalid="ignore", over="ignore"):  # as in _leaky
        y = x * slope
    return y, lambda dy: dy * slope


@op
def threshold(
    input: Array, threshold: float, value: float, inplace: bool = False
) -> tuple[Array, Backward]:
    """y = x where x > t, else v.

    Args:
        input: x of any shape.
        threshold: t.
        value: v.
        inplace: kept from torch's signature; the result is a new array.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument not a number.
    """
    x = check.floating("threshold", "input", input)
    threshold = check.number("threshold", "threshold", threshold)
    value = check.number("threshold", "value", value)
    return pick(x <= threshold, value, x), lambda dy: keep(~(x <= threshold), dy)


@op
def step(input: Array, at_zero: float = 0.0) -> tuple[Array, Backward]:
    """y = 1 where x > 0, else 0: the Heaviside function, whose gradient is zero everywhere.

    Args:
        input: x of any shape.
        at_zero: y at x = 0.

    Returns:
        y of x's shape, and its backward: dy -> dx, which is zero.

    Raises:
        TypeError: if `input` is not floating or `at_zero` not a number.

    Source: McCulloch & Pitts 1943; torch.heaviside.
    """
    x = check.floating("step", "input", input)
    at_zero = check.number("step", "at_zero", at_zero)
    y = np.asarray(x > 0).astype(x.dtype)
    if at_zero != 0:
        y += np.equal(x, 0) * x.dtype.type(at_zero)
    return y, np.zeros_like


def _leaky(x: Array, a: Array) -> Array:
    """max(x, 0) + a min(x, 0)."""
    # -inf times a slope of 0 is NaN, as in torch, and a steep slope may overflow, silently.
    with np.errstate(invalid="ignore", over="ignore"):
        y = np.clip(x, -np.inf, 0.0) * a
    y += np.clip(x, 0.0, np.inf)
    return y


def _slope(x: Array, a: Array) -> Array:
    """1 where x > 0, else a."""
    return pick(x > 0, x.dtype.type(1), a)


def _bounds(function: str, lower: object, upper: object) -> tuple[float, float]:
    """Finite numbers with lower <= upper."""
    high = float(np.finfo(np.float64).max)
    bottom = check.number(function, "lower", lower, -high, high)
    return bottom, check.number(function, "upper", upper, bottom, high)


class ReLU(Module):
    """`relu`.

    Args:
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, inplace: bool = False) -> None:
        check.option("ReLU", "inplace", inplace, (True, False))
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = max(x, 0)."""
        return relu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """`leaky_relu`.

    Args:
        negative_slope: a.
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        check.number("LeakyReLU", "negative_slope", negative_slope)
        check.option("LeakyReLU", "inplace", inplace, (True, False))
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = max(x, 0) + a min(x, 0)."""
        return leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class PReLU(Module):
    """`prelu` with a learned slope. Weight decay would pull it to 0, that is to `relu`.

    Args:
        num_parameters: number of slopes: one for each channel, or one for all.
        init: their start.
        dtype: float32 or float64.

    Shape:
        (N, num_parameters, ...) to the same; any where there is one slope.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        self.num_parameters = check.size("PReLU", "num_parameters", num_parameters)
        self.init = check.number("PReLU", "init", init)
        self.weight = Parameter(np.empty(num_parameters, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to its start."""
        self.weight.data = np.full_like(self.weight.data, self.init)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = max(x, 0) + a min(x, 0)."""
        y, prelu_back = prelu(input, self.weight.data)

        def backward(dy: Array) -> Array:
            dx: Array
            dx, dweight = prelu_back(dy)
            self.weight.accumulate(dweight)
            return dx

        return y, backward

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """`rrelu`: random slopes in training mode, their mean in evaluation mode.

    Args:
        lower: smallest slope.
        upper: largest slope.
        inplace: kept from torch's signature; the result is a new array.
        generator: where the slopes come from, call after call; None takes a fresh one.

    Shape:
        any to the same.
    """

    def __init__(
        self,
        lower: float = 1.0 / 8,
        upper: float = 1.0 / 3,
        inplace: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        _bounds("RReLU", lower, upper)
        check.option("RReLU", "inplace", inplace, (True, False))
        check_generator("RReLU", generator)
        self.lower = lower
        self.upper = upper
        self.inplace = inplace
        self.generator = generator or Generator()

    def forward(self, input: Array, *, noise: Array | None = None) -> tuple[Array, Backward]:
        """Slopes are drawn in training mode; `noise` replaces the draw."""
        return rrelu(
            input, self.lower, self.upper, self.training, generator=self.generator, noise=noise
        )

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"lower={self.lower}, upper={self.upper}{inplace}"


class Threshold(Module):
    """`threshold`.

    Args:
        threshold: t.
        value: v.
        inplace: kept from torch's signature; the result is a new array.

    Shape:
        any to the same.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        check.number("Threshold", "threshold", threshold)
        check.number("Threshold", "value", value)
        check.option("Threshold", "inplace", inplace, (True, False))
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x where x > t, else v."""
        return threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"threshold={self.threshold}, value={self.value}{inplace}"


class Step(Module):
    """`step`.

    Args:
        at_zero: y at x = 0.

    Shape:
        any to the same.
    """

    def __init__(self, at_zero: float = 0.0) -> None:
        check.number("Step", "at_zero", at_zero)
        self.at_zero = at_zero

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = 1 where x > 0, else 0."""
        return step(input, self.at_zero)

    def extra_repr(self) -> str:
        return f"at_zero={self.at_zero}"
