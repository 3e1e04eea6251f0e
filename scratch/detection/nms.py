"""Non-maximum suppression: of boxes that overlap, the one with the highest score.

    kept_i = no j before i is kept with IoU(i, j) > threshold       boxes in falling order of score

Whether a box is kept depends on those before it alone, so the rule has one solution. It is found by
starting with all and applying the rule to all at once until nothing changes: after t rounds the
first t are right for good, and as suppression seldom chains, a few rounds do.

ties       Of equal scores the first comes first. An IoU equal to the threshold does not suppress,
           nor does one that is NaN.
torch      none; torchvision's nms and batched_nms do the same (on CUDA its order of ties is not
           defined). Its batched_nms moves the classes' boxes apart, in which coordinates round;
           here overlaps across classes are left out instead.
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.detection.boxes import box_iou, boxes_of


def nms(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    """Which boxes are kept.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.
        scores: (N,), of the same dtype.
        iou_threshold: overlap above which the lesser of two goes, in [0, 1].

    Returns:
        Indices of those kept, int64, in falling order of score.

    Raises:
        TypeError, ValueError: if the arrays do not fit or the threshold is out of range.

    Source: Felzenszwalb et al. 2010, "Object detection with discriminatively trained part-based
        models", section 7.2; torchvision.ops.nms.
    """
    return _kept("nms", boxes, scores, None, iou_threshold)


def batched_nms(boxes: Array, scores: Array, idxs: Array, iou_threshold: float) -> Array:
    """Which boxes are kept where only those of one category (or picture) compete.

    Args:
        boxes: (N, 4) of x1, y1, x2, y2.
        scores: (N,), of the same dtype.
        idxs: category of each, integers (N,).
        iou_threshold: overlap above which the lesser of two goes, in [0, 1].

    Returns:
        Indices of those kept, int64, in falling order of score over all categories.

    Raises:
        TypeError, ValueError: if the arrays do not fit or the threshold is out of range.

    Source: Girshick et al. 2014, arXiv:1311.2524, section 2.2; torchvision.ops.batched_nms.
    """
    lowest, highest = -(2**63), 2**63
    category = check.integer("batched_nms", "idxs", idxs, lowest, highest)
    return _kept("batched_nms", boxes, scores, category, iou_threshold)


def _kept(
    function: str, boxes: Array, scores: Array, category: Array | None, iou_threshold: float
) -> Array:
    b = boxes_of(function, "boxes", boxes)
    s = check.floating(function, "scores", scores)
    if s.dtype != b.dtype:
        expected = f"scores of dtype {b.dtype} as the boxes have"
        check.refuse(function, expected, check.describe(s), TypeError)
    check.shape(function, "scores", s, (len(b),))
    threshold = check.number(function, "iou_threshold", iou_threshold, 0, 1)
    if category is not None:
        check.shape(function, "idxs", category, (len(b),))
    order = np.argsort(-s, kind="stable")
    iou = box_iou(b[order], b[order]).astype(np.float64)  # compared with the threshold as given
    rivals = np.tril(iou > threshold, -1)  # row i: the boxes before it that overlap it
    if category is not None:
        rivals &= category[order][:, None] == category[order]
    kept, before = np.ones(len(b), bool), None
    while before is None or not np.array_equal(kept, before):
        kept, before = ~np.any(rivals & kept, axis=1), kept
    found: Array = order[kept]
    return found.astype(np.int64)
