"""Convolution of an image that is filtered and made larger before it, or smaller.

up         y = filter(conv_transpose(x, W, stride up))        one product for both, then the filter
down       y = conv(filter(x), W, stride down)
backward   the two's own, last to first
shapes     x (N, C, H, W)   W (O, C, K, K)   f (KH, KW), its sum 1   y (N, O, H up / down, ...) if
           the padding is K // 2 and K odd
kernel     up: W takes the place of a transposed convolution's, so that it is a convolution of the
           larger image, W flipped; else a correlation, as everywhere in torch
1 x 1      does not mix pixels: only those that are kept are filtered, and then mixed
Source     Karras et al. 2020, arXiv:1912.04958, appendix B
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.conv import conv2d
from scratch.nn.conv_transpose import conv_transpose2d
from scratch.nn.op import Backward, op
from scratch.nn.upfirdn2d import sides, upfirdn2d


@op
def conv2d_resample(
    input: Array,
    weight: Array,
    filter: Array | None = None,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
) -> tuple[Array, Backward]:
    """Convolution to an image `up` times as large, or a `down`-th.

    Args:
        input: x (N, C, H, W).
        weight: W (O, C, K, K).
        filter: f (KH, KW), against aliases, not differentiated; None for none.
        up: factor.
        down: divisor; one of the two is 1.
        padding: zeros on either side, at the larger of the two sizes.

    Returns:
        y (N, O, H', W'), and its backward: dy -> dx, dW; with needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit, an option is out of its range or both sizes change.

    Source: Karras et al. 2020, arXiv:1912.04958, appendix B.
    """
    name = "conv2d_resample"
    x = check.floating(name, "input", input)
    w = check.floating(name, "weight", weight, like=x)
    check.shape(name, "weight", w, ("O", "C", "K", "K"))
    check.shape(name, "input", x, ("N", w.shape[1], "H", "W"))
    up, down = check.size(name, "up", up, low=1), check.size(name, "down", down, low=1)
    if up > 1 and down > 1:
        check.refuse(name, "up or down to be 1", (up, down))
    pad = check.size(name, "padding", padding)
    f = np.ones((1, 1), x.dtype) if filter is None else filter
    f = check.floating(name, "filter", f, like=x)
    around = sides(name, f, up, down)
    if up == down == 1:
        return conv2d(x, w, None, 1, pad)
    if up > 1:
        kh, kw = w.shape[2:]
        large, conv_back = conv_transpose2d(x, w.swapaxes(0, 1), None, up)
        left, right, top, bottom = (n + pad for n in around)
        pads = [left - kw + 1, right - kw + up, top - kh + 1, bottom - kh + up]
        y, filter_back = upfirdn2d(large, f, 1, 1, pads, up * up)

        def up_back(dy: Array, needs_input_grad: bool = True) -> tuple[Array | None, Array]:
            dx, dw = conv_back(filter_back(dy), needs_input_grad=needs_input_grad)
            return dx, dw.swapaxes(0, 1)

        return y, up_back

    step = down if w.shape[2:] == (1, 1) else 1
    smooth, filter_back = upfirdn2d(x, f, 1, step, [n + pad for n in around])
    y, conv_back = conv2d(smooth, w, None, down // step)

    def down_back(dy: Array, needs_input_grad: bool = True) -> tuple[Array | None, Array]:
        dsmooth, dw = conv_back(dy, needs_input_grad=needs_input_grad)
        return filter_back(dsmooth) if needs_input_grad else None, dw

    return y, down_back
