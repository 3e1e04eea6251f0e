"""Mask loss of Mask R-CNN.                                        He et al. 2017, arXiv:1703.06870

z_r = x[r, c_r]        l = -t log s(z) - (1 - t) log s(-z)       s the logistic function
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def mask_loss(input: Tensor, labels: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Binary cross entropy of each box's mask, of that of its own class only.

    Args:
        input: logits x (R, K, H, W), a mask of each class for each box.
        labels: c (R,), the classes of the boxes, integers in [0, K).
        target: t (R, H, W), the true masks: 0 or 1, or between where they were resized.
        reduction: 'none', 'mean' (over boxes and pixels; 0 for no boxes) or 'sum'.

    Returns:
        The loss, () or (R, H, W).
    """
    own = input[torch.arange(len(labels), device=labels.device), labels]
    if not own.numel() and reduction == "mean":
        return input.sum() * 0
    return F.binary_cross_entropy_with_logits(own, target.to(own.dtype), reduction=reduction)
