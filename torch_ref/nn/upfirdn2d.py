"""Zeros between the pixels, a filter, every so many pixels kept: `upfirdn` in two dimensions.

    u    x with up - 1 zeros after each pixel, padded       y = gain (u * f), every down-th pixel

Karras et al. 2020, arXiv:1912.04958; Zhang 2019, arXiv:1904.11486.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = (1, 3, 3, 1)


def setup_filter(taps: Sequence[float] = TAPS, *, dtype: torch.dtype | None = None) -> Tensor:
    """The filter of these taps along both axes, its sum 1.

    Args:
        taps: along an axis (K,).
        dtype: of the filter.

    Returns:
        f (K, K).
    """
    t = torch.tensor(taps, dtype=dtype or torch.get_default_dtype())
    f = t.outer(t)
    return f / f.sum()


def upfirdn2d(
    input: Tensor,
    filter: Tensor,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = 1.0,
) -> Tensor:
    """Upsample by zeros, pad, convolve each channel, downsample.

    Args:
        input: x (N, C, H, W).
        filter: f (KH, KW).
        up: one pixel becomes up x up.
        down: of down x down pixels one is kept.
        padding: of the upsampled image: (left, right, top, bottom) or one for all; negative crops.
        gain: factor of the result.

    Returns:
        y (N, C, H', W').
    """
    n, c, h, w = input.shape
    sides = [padding] * 4 if isinstance(padding, int) else list(padding)
    x = F.pad(input[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1))
    x = F.pad(x.reshape(n, c, h * up, w * up), sides)
    kernel = (gain * filter.flip(0, 1)).expand(c, 1, *filter.shape)
    return F.conv2d(x, kernel, stride=down, groups=c)


def upsample2d(input: Tensor, filter: Tensor, up: int = 2) -> Tensor:
    """Twice as large, or `up` times, as bright as before.

    Args:
        input: x (N, C, H, W).
        filter: f (KH, KW), its sum 1.
        up: how many times.

    Returns:
        y (N, C, H up, W up).
    """
    return upfirdn2d(input, filter, up, padding=sides(filter, up, 1), gain=up * up)


def downsample2d(input: Tensor, filter: Tensor, down: int = 2) -> Tensor:
    """Half as large, or a `down`-th.

    Args:
        input: x (N, C, H, W).
        filter: f (KH, KW), its sum 1.
        down: by how much.

    Returns:
        y (N, C, H / down, W / down).
    """
    return upfirdn2d(input, filter, down=down, padding=sides(filter, 1, down))


def sides(filter: Tensor, up: int, down: int) -> list[int]:
    """Padding (left, right, top, bottom) with which an image of n becomes one of n up / down.

    Args:
        filter: f (KH, KW).
        up: factor.
        down: factor; one of the two is 1.
    """
    found = []
    for k in reversed(filter.shape):
        found += [(k + up - 1) // 2, (k - up) // 2] if up > 1 else [(k - down + 1) // 2]
        found += [] if up > 1 else [(k - down) // 2]
    return found
