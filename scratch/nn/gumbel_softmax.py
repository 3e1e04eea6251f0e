"""Gumbel-softmax: a sample of a categorical distribution that a gradient passes.

noise      g = -log e                e exponential, so that argmax (x + g) has the law softmax(x)
forward    s = softmax((x + g) / tau)
           y = s, or if hard the one-hot code of the largest s
backward   dx = s (dy - sum dy s) / tau        if hard too: straight through, as if y were s
shapes     x, g, s, y any    the softmax and the code are along dim
tau        small: s is nearly one-hot and dx large or 0; large: s is nearly uniform and biased
torch      its hard y is (one-hot - s) + s, which may be off by a rounding; here it is 0 or 1. The
           same seed gives the same g. eps does nothing there either.
Sources    Jang et al. 2017, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.softmax import softmax
from scratch.random import Generator, check_generator


@op
def gumbel_softmax(
    logits: Array,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
    noise: Array | None = None,
) -> tuple[Array, Backward]:
    """y = softmax((x + g) / tau), or the one-hot code of its largest entry.

    Args:
        logits: x of any shape.
        tau: temperature, > 0.
        hard: return one-hot codes; of entries that tie the first is the largest.
        eps: kept from torch's signature; it has no effect.
        dim: axis that sums to 1.
        generator: where the noise comes from; None draws a fresh one.
        noise: g of x's shape, in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `logits` is not floating or an argument has another type.
        ValueError: if tau is not positive, the axis does not exist or the noise's shape is not x's.

    Source: Jang et al. 2017, arXiv:1611.01144, equation 2; straight through: section 2.2.
    """
    name = "gumbel_softmax"
    x = check.floating(name, "logits", logits)
    tau = check.number(name, "tau", tau, 0, open_low=True)
    check.option(name, "hard", hard, (True, False))
    check.number(name, "eps", eps)
    axis = check.axis(name, "dim", dim, x.ndim)
    check_generator(name, generator)
    if noise is None:
        g = -np.log((generator or Generator()).exponential(*x.shape, dtype=x.dtype))
    else:
        g = check.floating(name, "noise", noise, like=x)
        check.shape(name, "noise", g, x.shape)
    s, softmax_back = softmax((x + g) / tau, axis)
    y = s
    if hard:
        y = np.zeros_like(s)
        np.put_along_axis(y, s.argmax(axis, keepdims=True), 1, axis)
    return y, lambda dy: softmax_back(dy) / tau
