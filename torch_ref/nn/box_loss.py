"""The loss of boxes that do not overlap as they should.             Rezatofighi et al. 2019

1 - I / (U + e) + (C - U) / (C + e)       I intersection, U union, C the smallest box around both

arXiv:1902.09630, algorithm 1; as torchvision's generalized_box_iou_loss.
"""

import torch
from torch import Tensor


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - GIoU of each box with its counterpart: 0 where they are equal, near 2 where far apart.

    Args:
        boxes1: (..., 4) of x1, y1, x2, y2, with x1 <= x2 and y1 <= y2.
        boxes2: of the same shape.
        reduction: 'none', 'mean' (over boxes, 0 for none) or 'sum'.
        eps: added to what divides.

    Returns:
        The loss, () or (...).
    """
    (lo1, hi1), (lo2, hi2) = (torch.split(boxes, 2, -1) for boxes in (boxes1, boxes2))
    inner = torch.minimum(hi1, hi2) - torch.maximum(lo1, lo2)
    outer = torch.maximum(hi1, hi2) - torch.minimum(lo1, lo2)
    intersection = inner.prod(-1).where((inner > 0).all(-1), 0)
    union = (hi1 - lo1).prod(-1) + (hi2 - lo2).prod(-1) - intersection
    around = outer.prod(-1)
    loss = 1 - intersection / (union + eps) + (around - union) / (around + eps)
    return reduced(loss, reduction)


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The loss as it is, its sum, or its mean, which is 0 of nothing."""
    if reduction == "none":
        return loss
    return loss.sum() / max(loss.numel(), 1) if reduction == "mean" else loss.sum()
