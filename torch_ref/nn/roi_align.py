"""RoIAlign: a box's part of a feature map, averaged into a few bins.     He et al. 2017, section 3

Each bin is the mean of bilinear interpolations at the points of a grid; what lies more than a pixel
outside of the map is 0. arXiv:1703.06870; conventions are torchvision's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def roi_align(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """The mean of the features in each of P x Q bins of each box.

    Args:
        input: x (N, C, H, W).
        boxes: (K, 5) of picture, x1, y1, x2, y2, or for each picture its (L, 4); in the input's
            dtype; not differentiated.
        output_size: (P, Q), or one number for both.
        spatial_scale: pixels of the map for a unit of the boxes.
        sampling_ratio: points along each side of a bin; 0 or less for one a pixel, at least.
        aligned: whether coordinates are shifted by half a pixel, so that bins and pixels align.

    Returns:
        y (K, C, P, Q).
    """
    if isinstance(boxes, Tensor):
        picture, corners = boxes[:, 0].long(), boxes[:, 1:]
    else:
        lengths = torch.tensor([len(b) for b in boxes], device=input.device)
        picture = torch.arange(len(boxes), device=input.device).repeat_interleave(lengths)
        corners = torch.cat(list(boxes))
    bins = (output_size, output_size) if isinstance(output_size, int) else output_size
    x1, y1, x2, y2 = (corners.detach() * spatial_scale - (0.5 if aligned else 0)).unbind(1)
    least = -torch.inf if aligned else 1.0
    y, y_on = _samples(y1, (y2 - y1).clamp(min=least), bins[0], sampling_ratio)
    x, x_on = _samples(x1, (x2 - x1).clamp(min=least), bins[1], sampling_ratio)
    y_taps, x_taps = _taps(y, y_on, input.shape[2]), _taps(x, x_on, input.shape[3])

    pixels = input.permute(0, 2, 3, 1)
    total = input.new_zeros(len(picture), *bins, input.shape[1])
    for i, y_weight in y_taps:
        for j, x_weight in x_taps:
            weight = y_weight[:, :, :, None, None] * x_weight[:, None, None]  # (K, P, S, Q, T)
            at = pixels[picture[:, None, None, None, None], i[..., None, None], j[:, None, None]]
            total = total + (weight[..., None] * at).sum((2, 4))
    number = (y_on.sum(-1) * x_on.sum(-1)).clamp(min=1)
    return (total / number[:, None, None, None]).permute(0, 3, 1, 2)


def _samples(start: Tensor, length: Tensor, bins: int, ratio: int) -> tuple[Tensor, Tensor]:
    """Where the samples of each bin lie (K, bins, S), and which are taken (K, S)."""
    side = length[:, None] / bins
    number = torch.full_like(side, ratio) if ratio > 0 else side.ceil()
    most = int(number.max().clamp(min=0)) if len(number) else 0
    sample = torch.arange(most, device=start.device)
    within = (sample + 0.5) * side / number.clamp(min=1)
    bin_start = start[:, None] + torch.arange(bins, device=start.device) * side
    return bin_start[..., None] + within[:, None], sample < number


def _taps(at: Tensor, on: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """The two pixels between which each sample lies, with their weights."""
    weight = ((at >= -1) & (at <= size) & on[:, None]).to(at.dtype)
    at = at.clamp(0, size - 1)
    low = at.floor()
    part = at - low
    high = (low + 1).clamp(max=size - 1)
    return [(low.long(), weight * (1 - part)), (high.long(), weight * part)]
