"""Bias, activation and the gain that keeps the scale of what passes through it.

forward    y = g a(x + b)      a the identity, g = 1;  or a leaky ReLU of slope 0.2, g = sqrt(2)
backward   dx = g a'(x + b) dy                         db = sum dx, over all axes but the channels
shapes     x, y (N, C, ...)    b (C,)
gain       of the authors' code; He et al.'s for a slope of 0.2 is sqrt(2 / 1.04)
Sources    Karras et al. 2020, arXiv:1912.04958; gains: He et al. 2015, arXiv:1502.01852, section
           2.2
"""

import math

from scratch import check
from scratch.check import Array
from scratch.nn.conv import channel_sums
from scratch.nn.op import Backward, op
from scratch.nn.rectifier import leaky_relu

SLOPE = 0.2
GAINS = {"linear": 1.0, "lrelu": math.sqrt(2)}


@op
def bias_act(
    input: Array, bias: Array | None = None, act: str = "linear", gain: float | None = None
) -> tuple[Array, Backward]:
    """y = g a(x + b).

    Args:
        input: x (N, C, ...).
        bias: b (C,).
        act: 'linear' or 'lrelu'.
        gain: g; None for the activation's own.

    Returns:
        y of x's shape, and its backward: dy -> dx[, db].

    Raises:
        TypeError: if an array is not floating, the dtypes differ or `gain` is not a number.
        ValueError: if a shape does not fit or there is no such activation.

    Source: Karras et al. 2020, arXiv:1912.04958.
    """
    x = check.floating("bias_act", "input", input)
    check.option("bias_act", "act", act, tuple(GAINS))
    g = GAINS[act] if gain is None else check.number("bias_act", "gain", gain)
    if x.ndim < 2:
        check.refuse("bias_act", "input of shape (N, C, ...)", x.shape)
    if bias is not None:
        bias = check.floating("bias_act", "bias", bias, like=x)
        check.shape("bias_act", "bias", bias, x.shape[1:2])
        x = x + bias.reshape(-1, *(1,) * (x.ndim - 2))
    a, act_back = leaky_relu(x, SLOPE) if act == "lrelu" else (x, None)

    def backward(dy: Array) -> Array | tuple[Array, Array]:
        dx: Array = g * dy
        dx = dx if act_back is None else act_back(dx)
        return dx if bias is None else (dx, channel_sums(dx))

    return g * a, backward
