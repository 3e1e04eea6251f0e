"""Convolution whose weights each sample scales by a style, and then to unit variance.

what       w'[n, o, i, k] = W[o, i, k] s[n, i]        y = x * w' d, for each n and o
           d[n, o] = 1 / sqrt(q)     q = sum_{i, k} w'^2 + eps = sum_i s[n, i]^2 E[o, i] + eps
           E[o, i] = sum_k W[o, i, k]^2
how        a convolution is linear in its weights: s scales the input, d the output, and between
           them is one convolution of all samples by W
forward    z = (x s) * W            y = z d
backward   dz = dy d                dd = sum_p dy z
           dq = -d^3 dd / 2         ds = 2 s (dq E)        dE = dq^T s^2      dW = 2 W dE
           d(x s), dW += of z's     dx = d(x s) s          ds += sum_p d(x s) x
shapes     x (N, I, H, W)   W (O, I, K, K)   s (N, I)   d, q (N, O)   y (N, O, H', W')
demodulate is off in a layer to RGB: d = 1
torch      has none; the twin's is a grouped convolution by w' d, one group a sample
Source     Karras et al. 2020, arXiv:1912.04958, equations 1 to 3
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.conv2d_resample import conv2d_resample
from scratch.nn.op import Backward, op

EPS = 1e-8


@op
def modulated_conv2d(
    input: Array,
    weight: Array,
    styles: Array,
    filter: Array | None = None,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    demodulate: bool = True,
) -> tuple[Array, Backward]:
    """Convolution with weights of each sample's own.

    Args:
        input: x (N, I, H, W).
        weight: W (O, I, K, K).
        styles: s (N, I).
        filter: f (KH, KW), against aliases, not differentiated; None for none.
        up: factor of the size.
        down: divisor of the size; one of the two is 1.
        padding: zeros on either side, at the larger of the two sizes.
        demodulate: whether the scaled weights are brought back to unit variance.

    Returns:
        y (N, O, H', W'), and its backward: dy -> dx, dW, ds.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.

    Source: Karras et al. 2020, arXiv:1912.04958, equations 1 to 3.
    """
    name = "modulated_conv2d"
    x = check.floating(name, "input", input)
    w = check.floating(name, "weight", weight, like=x)
    s = check.floating(name, "styles", styles, like=x)
    check.shape(name, "weight", w, ("O", "I", "K", "K"))
    check.shape(name, "input", x, ("N", w.shape[1], "H", "W"))
    check.shape(name, "styles", s, x.shape[:2])
    check.option(name, "demodulate", demodulate, (True, False))
    if filter is not None:
        check.floating(name, "filter", filter, like=x)
    scale = s[:, :, None, None]
    z, conv_back = conv2d_resample(x * scale, w, filter, up, down, padding)
    if demodulate:
        e = np.square(w).sum((2, 3))
        d = 1 / np.sqrt(np.square(s) @ e.T + EPS)  # (N, O)
        y = z * d[:, :, None, None]
    else:
        y = z

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dz = dy * d[:, :, None, None] if demodulate else dy
        dscaled, dw = conv_back(dz)
        ds = np.einsum("nihw,nihw->ni", dscaled, x)
        if demodulate:
            dd = np.einsum("nohw,nohw->no", dy, z)
            dq = -0.5 * d**3 * dd
            ds += 2 * s * (dq @ e)
            dw = dw + 2 * w * (dq.T @ np.square(s))[:, :, None, None]
        return dscaled * scale, dw, ds

    return y, backward
