"""Noise with a learned strength.

forward    y = x + a n
backward   dx = dy      dn = a sum_c dy, and over the samples that share n      da = sum dy n
shapes     x, y (N, C, H, W)   n (N, 1, H, W), or (H, W) for all samples   a ()
papers     2019: a strength for each channel; 2020 and its code: one for the layer, as here
Source     Karras et al. 2019, arXiv:1812.04948, section 2; Karras et al. 2020, arXiv:1912.04958
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op, unbroadcast


@op
def inject_noise(input: Array, noise: Array, strength: Array) -> tuple[Array, Backward]:
    """y = x + a n.

    Args:
        input: x (N, C, H, W).
        noise: n (N, 1, H, W), or (H, W) for all samples the same.
        strength: a ().

    Returns:
        y of x's shape, and its backward: dy -> dx, dn, da.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a shape does not fit.

    Source: Karras et al. 2019, arXiv:1812.04948, section 2.
    """
    name = "inject_noise"
    x = check.floating(name, "input", input)
    n = check.floating(name, "noise", noise, like=x)
    a = check.floating(name, "strength", strength, like=x)
    check.shape(name, "input", x, ("N", "C", "H", "W"))
    check.shape(name, "strength", a, ())
    size = x.shape[2:] if n.ndim == 2 else (len(x), 1, *x.shape[2:])
    check.shape(name, "noise", n, size)

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dlayer = dy.sum(1, keepdims=True)  # (N, 1, H, W)
        return dy, unbroadcast(a * dlayer, n.shape), np.asarray(np.sum(dlayer * n))

    return x + a * n, backward
