"""Bias, activation and the gain that keeps the scale of what passes through it.

    y = g a(x + b)      a the identity, g = 1;  or a leaky ReLU of slope 0.2, g = sqrt(2)

Karras et al. 2020, arXiv:1912.04958; the gain: He et al. 2015, arXiv:1502.01852.
"""

import math

from torch import Tensor
from torch.nn import functional as F

SLOPE = 0.2
GAINS = {"linear": 1.0, "lrelu": math.sqrt(2)}


def bias_act(
    input: Tensor, bias: Tensor | None = None, act: str = "linear", gain: float | None = None
) -> Tensor:
    """y = g a(x + b).

    Args:
        input: x (N, C, ...).
        bias: b (C,).
        act: 'linear' or 'lrelu'.
        gain: g; None for the activation's own.

    Returns:
        y of x's shape.
    """
    x = input if bias is None else input + bias.reshape(-1, *(1,) * (input.ndim - 2))
    if act == "lrelu":
        x = F.leaky_relu(x, SLOPE)
    return x * (GAINS[act] if gain is None else gain)
