"""Conventions of activations: slopes at kinks and bounds, constants, axes, overflow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward

Result = tuple[Array, Backward]


def sloped(function: Callable[..., Result], at: Callable[..., Any], slope: float) -> Any:
    """`function` with another slope where `at(x, *args, **kwargs)` holds."""

    def mutant(input: Array, *args: Any, **kwargs: Any) -> Result:
        y, back = function(input, *args, **kwargs)
        there = at(input, *args, **kwargs)
        return y, lambda dy: np.where(there, slope * dy, back(dy))

    return mutant


def at_zero(x: Array, *args: Any, **kwargs: Any) -> Any:
    return x == 0


def at_bounds(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    return (x == min_val) | (x == max_val)


def at_lambd(x: Array, lambd: float = 0.5) -> Any:
    return np.abs(x) == lambd


def relu_without_nan(input: Array) -> Result:
    y = np.where(input > 0, input, 0.0)
    return y, lambda dy: dy * (input > 0)


def prelu_slope_one_at_zero(input: Array, weight: Array) -> Result:
    y, back = F.prelu(input, weight)

    def backward(dy: Array) -> tuple[Array, Array]:
        dx, dweight = back(dy)
        return np.where(input == 0, dy, dx), dweight

    return y, backward


def prelu_over_the_last_axis(input: Array, weight: Array) -> Result:
    if input.ndim < 2 or weight.size != input.shape[-1]:
        return F.prelu(input, weight)
    y, back = F.prelu(np.moveaxis(input, -1, 1), weight)

    def backward(dy: Array) -> tuple[Array, Array]:
        dx, dweight = back(np.moveaxis(dy, -1, 1))
        return np.moveaxis(dx, 1, -1), dweight

    return np.moveaxis(y, 1, -1), backward


def rrelu_mean_of_divisors(
    input: Array,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    *,
    noise: Array | None = None,
) -> Result:
    if training or not lower * upper > 0:
        return F.rrelu(input, lower, upper, training, noise=noise)
    return F.leaky_relu(input, 2 / (1 / lower + 1 / upper))


def threshold_by_value(input: Array, threshold: float, value: float) -> Result:
    y, _ = F.threshold(input, threshold, value)
    return y, lambda dy: dy * (y > threshold)


def threshold_included(input: Array, threshold: float, value: float) -> Result:
    kept = input >= threshold
    return np.where(kept, input, value), lambda dy: dy * kept


def step_one_at_zero(input: Array, at_zero: float = 1.0) -> Result:
    return F.step(input, at_zero)


def hardsigmoid_of_keras(input: Array) -> Result:
    y = np.clip(0.2 * input + 0.5, 0, 1)
    return y, lambda dy: 0.2 * dy * (np.abs(input) < 2.5)


def hardsigmoid_exact_sixth(input: Array) -> Result:
    y, _ = F.hardsigmoid(input)
    return y, lambda dy: dy * (np.abs(input) < 3) / 6


def hardswish_inner_slope_at_bounds(input: Array) -> Result:
    y, back = F.hardswish(input)
    return y, lambda dy: np.where(np.abs(input) == 3, dy * (input / 3 + 0.5), back(dy))


def hardshrink_keeps_lambd(input: Array, lambd: float = 0.5) -> Result:
    kept = np.abs(input) >= lambd
    return input * kept, lambda dy: dy * kept


def elu_as_celu(input: Array, alpha: float = 1.0) -> Result:
    return F.celu(input, alpha) if alpha else F.elu(input, alpha)


def celu_as_elu(input: Array, alpha: float = 1.0) -> Result:
    return F.elu(input, alpha)


def celu_exact_alpha(input: Array, alpha: float = 1.0) -> Result:
    y, _ = F.celu(input, alpha)
    return y, lambda dy: dy * np.where(input > 0, 1.0, np.exp(np.minimum(input, 0) / alpha))


def selu_short_constants(input: Array) -> Result:
    y, back = F.elu(input, 1.6733)
    return 1.0507 * y, lambda dy: 1.0507 * back(dy)


def logsigmoid_of_sigmoid(input: Array) -> Result:
    s, _ = F.sigmoid(input)
    with np.errstate(divide="ignore"):
        return np.log(s), lambda dy: dy * (1 - s)


def softplus_without_threshold(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Result:
    return F.softplus(input, beta, 1e9)


def softplus_threshold_of_x(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Result:
    return F.softplus(input, beta, threshold * beta)


def gelu_tanh_by_default(input: Array, approximate: str = "tanh") -> Result:
    return F.gelu(input, approximate)


def gelu_by_sigmoid(input: Array, approximate: str = "none") -> Result:
    if approximate != "none":
        return F.gelu(input, approximate)
    y, back = F.silu(1.702 * input)
    return y / 1.702, back


def glu_gate_first(input: Array, dim: int = -1) -> Result:
    a, g = np.split(input, 2, dim)
    y, back = F.glu(np.concatenate([g, a], dim), dim)

    def backward(dy: Array) -> Array:
        dg, da = np.split(back(dy), 2, dim)
        return np.concatenate([da, dg], dim)

    return y, backward


def softmax_elementwise_slope(input: Array, *args: Any, **kwargs: Any) -> Result:
    y, _ = F.softmax(input, *args, **kwargs)
    return y, lambda dy: (dy * y * (1 - y)).astype(input.dtype)


def softmax_without_shift(input: Array, dim: int | None = None, **kwargs: Any) -> Result:
    _, back = F.softmax(input, dim, **kwargs)
    axis = dim if dim is not None else 0 if input.ndim in (0, 1, 3) else 1
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        e = np.exp(input.astype(kwargs.get("dtype", input.dtype)))
        return e / e.sum(axis if input.ndim else None, keepdims=True), back


def softmax_last_axis(input: Array, dim: int | None = -1, **kwargs: Any) -> Result:
    return F.softmax(input, dim, **kwargs)


def softmax_casts_after(
    input: Array, dim: int | None = None, *, dtype: Any | None = None
) -> Result:
    y, back = F.softmax(input, dim)
    return y.astype(dtype or y.dtype), lambda dy: back(dy.astype(y.dtype))


def log_of_softmax(input: Array, *args: Any, **kwargs: Any) -> Result:
    y, back = F.softmax(input, *args, **kwargs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(y), lambda dy: back(dy / y)


def softmax_of_nothing_is_zero(input: Array, *args: Any, **kwargs: Any) -> Result:
    y, back = F.softmax(input, *args, **kwargs)
    nothing = np.isneginf(input).all(axis=-1, keepdims=True) if input.ndim else False
    return np.where(nothing, 0, y).astype(y.dtype), lambda dy: np.where(nothing, 0, back(dy))


def softmin_with_softmax_gradient(input: Array, *args: Any, **kwargs: Any) -> Result:
    y, back = F.softmin(input, *args, **kwargs)
    return y, lambda dy: -back(dy)


class Softmax2dOverWidth(nn.Softmax2d):
    """Over the last axis."""

    def forward(self, input: Array) -> Result:
        """Softmax of each row of pixels."""
        return F.softmax(input, -1)


Softmax2dOverWidth.__name__ = "Softmax2d"


def normalize_adds_eps(input: Array, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Result:
    axes = dim if isinstance(dim, tuple) else (dim,)
    norm = np.linalg.vector_norm(input, ord=p, axis=axes, keepdims=True)
    _, back = F.normalize(input, p, dim, eps)
    return input / (norm + eps), back


PITFALLS = [
    Pitfall(
        "relu_derivative_at_zero",
        entry="relu",
        difference="relu'(0): torch 0; NumPy tutorials that use x >= 0 take 1",
        mutant=sloped(F.relu, at_zero, 1.0),
    ),
    Pitfall(
        "relu_as_maximum",
        entry="relu",
        difference="relu'(0): torch 0; the gradient of a maximum with ties shared is 1/2",
        mutant=sloped(F.relu, at_zero, 0.5),
    ),
    Pitfall(
        "relu_of_nan",
        entry="relu",
        difference="relu(NaN): torch NaN; where(x > 0, x, 0) hides it as 0",
        mutant=relu_without_nan,
    ),
    Pitfall(
        "leaky_relu_derivative_at_zero",
        entry="leaky_relu",
        difference="leaky_relu'(0): torch the slope of the left side; x >= 0 takes 1",
        mutant=sloped(F.leaky_relu, at_zero, 1.0),
    ),
    Pitfall(
        "prelu_derivative_at_zero",
        entry="prelu",
        difference="prelu'(0): torch the learned slope; x >= 0 takes 1",
        mutant=prelu_slope_one_at_zero,
    ),
    Pitfall(
        "prelu_channel_axis",
        entry="prelu",
        difference="prelu's slopes: torch along axis 1; NumPy broadcasts along the last",
        mutant=prelu_over_the_last_axis,
    ),
    Pitfall(
        "rrelu_in_evaluation",
        entry="rrelu",
        difference="rrelu in evaluation: torch x (l + u) / 2; the paper x / the mean divisor",
        mutant=rrelu_mean_of_divisors,
    ),
    Pitfall(
        "threshold_included",
        entry="threshold",
        difference="threshold at t: torch replaces it (x > t stays); x >= t keeps it",
        mutant=threshold_included,
    ),
    Pitfall(
        "threshold_gradient_from_output",
        entry="threshold",
        difference="threshold's gradient: torch by x > t; y > t lets it through where v > t",
        mutant=threshold_by_value,
    ),
    Pitfall(
        "step_at_zero",
        entry="step",
        difference="step(0): here 0 by default (z > 0 fires); others 1 or 1/2",
        mutant=step_one_at_zero,
    ),
    Pitfall(
        "relu6_at_bounds",
        entry="relu6",
        difference="relu6' at 0 and 6: torch 0; torch.clamp has 1",
        mutant=sloped(F.relu6, lambda x: at_bounds(x, 0.0, 6.0), 1.0),
    ),
    Pitfall(
        "hardtanh_at_bounds",
        entry="hardtanh",
        difference="hardtanh' at the bounds: torch 0; torch.clamp has 1",
        mutant=sloped(F.hardtanh, at_bounds, 1.0),
    ),
    Pitfall(
        "hardsigmoid_of_keras",
        entry="hardsigmoid",
        difference="hardsigmoid: torch relu6(x + 3) / 6; Keras 2 clips 0.2 x + 0.5",
        mutant=hardsigmoid_of_keras,
    ),
    Pitfall(
        "hardsigmoid_at_bounds",
        entry="hardsigmoid",
        difference="hardsigmoid' at -3 and 3: torch 0; the inside has 1/6",
        mutant=sloped(F.hardsigmoid, lambda x: at_bounds(x, -3.0, 3.0), 1 / 6),
    ),
    Pitfall(
        "hardsigmoid_sixth",
        entry="hardsigmoid",
        difference="hardsigmoid's slope in float64: torch 1/6 rounded to float32, 3e-8 off",
        mutant=hardsigmoid_exact_sixth,
    ),
    Pitfall(
        "hardswish_at_bounds",
        entry="hardswish",
        difference="hardswish' at -3 and 3: torch 0 and 1; the inside has -1/2 and 3/2",
        mutant=hardswish_inner_slope_at_bounds,
    ),
    Pitfall(
        "hardshrink_at_lambd",
        entry="hardshrink",
        difference="hardshrink at +-lambd: torch 0; others keep |x| >= lambd",
        mutant=hardshrink_keeps_lambd,
    ),
    Pitfall(
        "softshrink_derivative_at_lambd",
        entry="softshrink",
        difference="softshrink' at +-lambd: torch 0; the outside has 1",
        mutant=sloped(F.softshrink, at_lambd, 1.0),
    ),
    Pitfall(
        "elu_derivative_at_zero",
        entry="elu",
        difference="elu'(0): torch alpha; x >= 0 takes 1",
        mutant=sloped(F.elu, at_zero, 1.0),
    ),
    Pitfall(
        "elu_as_celu",
        entry="elu",
        difference="elu: alpha (e^x - 1); celu: alpha (e^(x / alpha) - 1)",
        mutant=elu_as_celu,
    ),
    Pitfall(
        "selu_derivative_at_zero",
        entry="selu",
        difference="selu'(0): torch scale alpha = 1.758; x >= 0 takes scale = 1.051",
        mutant=sloped(F.selu, at_zero, nn.smooth.SELU_SCALE),
    ),
    Pitfall(
        "selu_constants",
        entry="selu",
        difference="selu: torch has alpha and scale in full; many copies 1.6733 and 1.0507",
        mutant=selu_short_constants,
    ),
    Pitfall(
        "celu_as_elu",
        entry="celu",
        difference="celu: alpha (e^(x / alpha) - 1); elu: alpha (e^x - 1)",
        mutant=celu_as_elu,
    ),
    Pitfall(
        "celu_alpha_of_the_backward",
        entry="celu",
        difference="celu's slope in float64: torch has alpha rounded to float32, 2e-8 off at 0.7",
        mutant=celu_exact_alpha,
    ),
    Pitfall(
        "logsigmoid_overflow",
        entry="logsigmoid",
        difference="logsigmoid(-1e4): torch -1e4; log(sigmoid(x)) is -inf",
        mutant=logsigmoid_of_sigmoid,
    ),
    Pitfall(
        "softplus_threshold",
        entry="softplus",
        difference="softplus: torch is the identity where beta x > 20; the formula is not quite",
        mutant=softplus_without_threshold,
    ),
    Pitfall(
        "softplus_threshold_of_beta_x",
        entry="softplus",
        difference="softplus's threshold: torch compares beta x; others x",
        mutant=softplus_threshold_of_x,
    ),
    Pitfall(
        "gelu_default",
        entry="gelu",
        difference="gelu: torch exact by default; GPT-2 and JAX the tanh form, up to 4.7e-4 off",
        mutant=gelu_tanh_by_default,
    ),
    Pitfall(
        "gelu_by_sigmoid",
        entry="gelu",
        difference="gelu: torch x P(x); CLIP x sigmoid(1.702 x), up to 0.02 off",
        mutant=gelu_by_sigmoid,
    ),
    Pitfall(
        "glu_halves",
        entry="glu",
        difference="glu: torch gates the first half with the second; others the reverse",
        mutant=glu_gate_first,
    ),
    Pitfall(
        "softmax_diagonal",
        entry="softmax",
        difference="softmax's gradient: y (dy - sum dy y); y (1 - y) dy is its diagonal only",
        mutant=softmax_elementwise_slope,
    ),
    Pitfall(
        "softmax_overflow",
        entry="softmax",
        difference="softmax(1e4): torch subtracts the maximum; e^x overflows to NaN",
        mutant=softmax_without_shift,
    ),
    Pitfall(
        "softmax_default_axis",
        entry="softmax",
        difference="softmax without dim: torch 0 for 0, 1 or 3 axes, else 1; others the last",
        mutant=softmax_last_axis,
    ),
    Pitfall(
        "softmax_dtype",
        entry="softmax",
        difference="softmax(dtype=): torch casts the input; others the result",
        mutant=softmax_casts_after,
    ),
    Pitfall(
        "softmax_of_a_masked_row",
        entry="softmax",
        difference="softmax of -inf alone: torch NaN; attention kernels take 0",
        mutant=softmax_of_nothing_is_zero,
    ),
    Pitfall(
        "log_of_softmax",
        entry="log_softmax",
        difference="log_softmax of (0, -1000): torch (0, -1000); log(softmax) is (0, -inf)",
        mutant=log_of_softmax,
    ),
    Pitfall(
        "softmin_sign",
        entry="softmin",
        difference="softmin's gradient has the sign of -x; softmax's has not",
        mutant=softmin_with_softmax_gradient,
    ),
    Pitfall(
        "softmax2d_axis",
        entry="Softmax2d",
        difference="Softmax2d: torch over channels; the name suggests pixels",
        mutant=Softmax2dOverWidth,
    ),
    Pitfall(
        "normalize_eps",
        entry="normalize",
        difference="normalize: torch divides by max(norm, eps); others by norm + eps",
        mutant=normalize_adds_eps,
    ),
]
