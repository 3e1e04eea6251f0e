"""Convolution of an image that is filtered and made larger before it, or smaller.

    up      y = filter(conv_transpose(x, W, stride up))       down      y = conv(filter(x), W, down)

Karras et al. 2020, arXiv:1912.04958, appendix B.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from torch_ref.nn.upfirdn2d import sides, upfirdn2d


def conv2d_resample(
    input: Tensor,
    weight: Tensor,
    filter: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """Convolution to an image `up` times as large, or a `down`-th.

    Args:
        input: x (N, C, H, W).
        weight: W (O, C / groups, K, K).
        filter: f (KH, KW), against aliases; None for none.
        up: factor.
        down: factor; one of the two is 1.
        padding: zeros on either side, at the larger of the two sizes.
        groups: of channels.

    Returns:
        y (N, O, H', W').
    """
    if up == down == 1:
        return F.conv2d(input, weight, padding=padding, groups=groups)
    f = torch.ones(1, 1).to(input) if filter is None else filter
    around = sides(f, up, down)
    if up > 1:
        kh, kw = weight.shape[2:]
        w = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
        y = F.conv_transpose2d(input, w, stride=up, groups=groups)
        left, right, top, bottom = (n + padding for n in around)
        pads = [left - kw + 1, right - kw + up, top - kh + 1, bottom - kh + up]
        return upfirdn2d(y, f, padding=pads, gain=up * up)
    x = upfirdn2d(input, f, padding=[n + padding for n in around])
    return F.conv2d(x, weight, stride=down, groups=groups)
