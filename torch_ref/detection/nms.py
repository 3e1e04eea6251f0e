"""Non-maximum suppression: of boxes that overlap, the one with the highest score.

The best box is kept, those that overlap it by more than the threshold go, and so on with the rest.
Of equal scores the first comes first. torchvision.ops.nms and batched_nms do the same.
"""

import torch
from torch import Tensor

from torch_ref.detection.boxes import box_iou


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Which boxes are kept.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.
        scores: (N,), of the same dtype.
        iou_threshold: overlap above which the lesser of two goes, in [0, 1].

    Returns:
        Indices of those kept, int64, in falling order of score.
    """
    return batched_nms(boxes, scores, torch.zeros_like(scores, dtype=torch.long), iou_threshold)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Which boxes are kept where only those of one category (or picture) compete.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.
        scores: (N,), of the same dtype.
        idxs: category of each, integers (N,).
        iou_threshold: overlap above which the lesser of two goes, in [0, 1].

    Returns:
        Indices of those kept, int64, in falling order of score over all categories.
    """
    overlap = box_iou(boxes, boxes).double() > iou_threshold
    rivals = overlap & (idxs[:, None] == idxs)
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while left.numel():
        best, rest = left[0], left[1:]
        kept.append(best)
        left = rest[~rivals[best, rest]]
    return torch.stack(kept) if kept else left
