"""Muon: momentum, made orthogonal.            Jordan et al. 2024, kellerjordan.github.io/posts/muon

    m <- momentum m + (1 - momentum) g
    x = m                                       nesterov: x = momentum m + (1 - momentum) g
    o = x with all singular values near 1       Newton-Schulz, see `orthogonal`
    p <- p - lr weight_decay p - lr s o         original: s = sqrt(max(1, n / k))
                                                match_rms_adamw: s = 0.2 sqrt(max(n, k))

shapes     p, g, m, o (n, k): matrices only
state      m momentum_buffer
torch      m is a mean; Jordan's is a sum, m <- momentum m + g, which has the same direction. o is
           computed in bfloat16 whatever the dtype of p, and here too: matrix products in float32,
           each result rounded to 8 bits. Up to 8 by 8 these are torch's bits. In larger matrices
           a sum that is added in another order rounds to a neighbour now and then, and what
           follows differs by up to 2^-6, as it does between torch on two kinds of processor.
           match_rms_adamw is from Liu et al. 2025, arXiv:2502.16982.
"""

import math
from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.optim.adam import lerp
from scratch.optim.lars import norm
from scratch.optim.optimizer import BLOCK, Group, Optimizer, Params, State


class Muon(Optimizer):
    """Steps along the nearest orthogonal matrix to the mean of the gradient.

    Args:
        params: matrices, pairs with names, or groups.
        lr: learning rate, >= 0.
        weight_decay: each step also takes the share lr weight_decay off p, >= 0.
        momentum: share of m that is kept, >= 0.
        nesterov: look ahead along m.
        ns_coefficients: a, b, c of an iteration.
        eps: least norm that x is divided by.
        ns_steps: number of iterations, in [0, 100).
        adjust_lr_fn: 'original', 'match_rms_adamw', or None for 'original'.

    Raises:
        TypeError, ValueError: as `Optimizer`, for a parameter that is no matrix, and for options
            outside these ranges.

    Source:
        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
    """

    _state_names: ClassVar = {"momentum_buffer": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def _check_parameter(self, function: str, parameter: Parameter) -> None:
        check.shape(function, "each parameter", parameter.data, ("n", "k"))

    def _check_options(self, function: str, group: Group) -> None:
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        check.number(function, "momentum", group["momentum"], low=0)
        check.option(function, "nesterov", group["nesterov"], (False, True))
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
            expected = "ns_coefficients to be three numbers"
            check.refuse(function, expected, check.describe(coefficients))
        for i, coefficient in enumerate(coefficients):
            check.number(function, f"ns_coefficients[{i}]", coefficient)
        check.number(function, "eps", group["eps"])
        if check.size(function, "ns_steps", group["ns_steps"]) >= 100:
            check.refuse(function, "ns_steps below 100", group["ns_steps"])
        check.option(
            function, "adjust_lr_fn", group["adjust_lr_fn"], (None, "original", "match_rms_adamw")
        )

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, weight_decay, momentum = (
            float(group[name]) for name in ("lr", "weight_decay", "momentum")
        )
        if not state:
            state["momentum_buffer"] = np.zeros_like(values)
        if not values.size:
            return
        m = state["momentum_buffer"]
        x = np.empty_like(values)
        lerp(m, gradient, 1 - momentum, x)
        if group["nesterov"]:
            x[...] = gradient
            lerp(x, m, momentum, np.empty_like(x))
        else:
            x[...] = m
        n, k = values.shape
        matched = group["adjust_lr_fn"] == "match_rms_adamw"
        s = 0.2 * math.sqrt(max(n, k)) if matched else math.sqrt(max(1, n / k))

        a, b, c = map(float, group["ns_coefficients"])
        o = orthogonal(x, (a, b, c), int(group["ns_steps"]), float(group["eps"]))
        values *= 1 - lr * weight_decay
        values -= np.multiply(o, lr * s, out=x, dtype=values.dtype)


def orthogonal(
    x: Array,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    ns_steps: int = 5,
    eps: float = 1e-7,
) -> Array:
    """U V^T where x = U S V^T, roughly: S is near 1 and not 1. Newton-Schulz in bfloat16.

        x <- x / max(|x|, eps)      then ns_steps times      x <- a x + (b A + c A^2) x,   A = x x^T

    A singular value s becomes a s + b s^3 + c s^5, which lifts the small ones fast.

    Args:
        x: (n, k).
        ns_coefficients: a, b, c.
        ns_steps: number of iterations.
        eps: least norm that x is divided by.

    Returns:
        (n, k), float32 numbers that bfloat16 has too.
    """
    a, b, c = ns_coefficients
    tall = x.shape[0] > x.shape[1]
    o = bfloat16(x.T if tall else x)  # the smaller A of the two
    size = bfloat16(np.asarray(norm(o)))
    o = bfloat16(o / np.maximum(size, bfloat16(np.asarray(eps))))
    for _ in range(ns_steps):
        A = bfloat16(o @ o.T)
        B = bfloat16(multiply_add(A, b, (A @ A) * np.float32(c)))
        o = bfloat16(multiply_add(o, a, B @ o))
    return o.T if tall else o


def multiply_add(x: Array, scale: float, y: Array) -> Array:
    """y <- scale x + y in float32 with one rounding, as the processor's fused multiply-add."""
    blocks = np.nditer(
        [x, y],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["readwrite"]],
        op_dtypes=[np.dtype(np.float64)] * 2,
        casting="same_kind",
        buffersize=BLOCK,
    )
    with blocks:
        for x_block, y_block in blocks:
            y_block += float(np.float32(scale)) * x_block
    return y


def bfloat16(x: Array) -> Array:
    """The nearest numbers with the 8 bits of bfloat16, ties to even, as float32."""
    y = np.array(x, np.float32)
    bits = y.view(np.uint32)
    odd = bits >> 16
    odd &= 1
    odd += 0x7FFF
    bits += odd  # carries into the upper half where the lower rounds up
    bits &= 0xFFFF0000
    y[np.isnan(x)] = np.nan
    return y
