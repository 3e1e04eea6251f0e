"""Numbers that say how good a segmentation is; targets come as the losses take them.

Every pixel of all images is a row of one confusion matrix, C[t, y] the pixels of class t that were
named y; with TP = C[k, k], FP and FN the others that were named k and that are k:

pixel_accuracy     sum TP / sum C
class_iou          TP / (TP + FP + FN)         of each class: intersection over union
class_dice         2 TP / (2 TP + FP + FN)     which is its F1, and 2 IoU / (1 + IoU)
mean_iou           the mean of class_iou over the classes that are named or there
shapes             output (N, K, ...) logits and target (N, ...) classes; or both of one shape,
                   single logits and 0 or 1, of which K = 2 classes are made: no and yes
ignore_index       pixels of this class do not count

A class that is neither named nor there has no IoU: NaN, and no part in the mean. Others count it 1
or 0, and others again take the quotient of each image and the mean of those.

Source: Everingham et al. 2010, IJCV 88(2), section 4.2 (IoU over all pixels of the test set).
"""

import numpy as np

from scratch import check
from scratch.check import Array


def pixel_accuracy(output: Array, target: Array, ignore_index: int = -100) -> float:
    """Share of the pixels that were named right.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        A number in [0, 1]; NaN for no pixels.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    counts = _counts("pixel_accuracy", output, target, ignore_index)
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")


def class_iou(output: Array, target: Array, ignore_index: int = -100) -> Array:
    """Intersection over union of each class, over the pixels of all images.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        (K,) float64 in [0, 1]; NaN for a class that is neither named nor there.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    return _ious(_counts("class_iou", output, target, ignore_index))


def class_dice(output: Array, target: Array, ignore_index: int = -100) -> Array:
    """Dice coefficient of each class, over the pixels of all images.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        (K,) float64 in [0, 1]; NaN for a class that is neither named nor there.

    Raises:
        TypeError, ValueError: if the arrays do not fit.

    Source: Dice 1945, Ecology 26(3).
    """
    counts = _counts("class_dice", output, target, ignore_index)
    return _shares(2 * np.diag(counts), counts.sum(0) + counts.sum(1))


def mean_iou(output: Array, target: Array, ignore_index: int = -100) -> float:
    """Mean over classes of the intersection over union.

    Args:
        output: logits (N, K, ...), or single ones of any shape.
        target: classes (N, ...), or 0 and 1 in the shape of single logits.
        ignore_index: a class that does not count.

    Returns:
        A number in [0, 1], the mean over the classes that are named or there; NaN for no pixels.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    ious = _ious(_counts("mean_iou", output, target, ignore_index))
    there = ious[~np.isnan(ious)]
    return float(there.mean()) if there.size else float("nan")


def _ious(counts: Array) -> Array:
    """Intersection over union of each class of C."""
    hits = np.diag(counts)
    return _shares(hits, counts.sum(0) + counts.sum(1) - hits)


def _shares(hits: Array, total: Array) -> Array:
    """hits / total, NaN where there is nothing."""
    return np.where(total > 0, hits / np.maximum(total, 1), np.nan)


def _counts(function: str, output: Array, target: Array, ignore_index: int) -> Array:
    """C (K, K) int64, the target's classes down, the output's across."""
    y = check.floating(function, "output", output)
    ignored = check.size(function, "ignore_index", ignore_index, low=-(2**63))
    t = np.asarray(target)
    if t.shape == y.shape:
        if t.dtype.kind not in "fiub" or not np.isin(t[t != ignored], (0, 1)).all():
            check.refuse(function, "targets 0 and 1 of single logits", check.describe(t))
        named, classes = y > 0, 2
    elif y.ndim > 1 and y.shape[1] and t.shape == (len(y), *y.shape[2:]) and t.dtype.kind in "iu":
        check.integer(function, "target", t[t != ignored], 0, y.shape[1])
        named, classes = y.argmax(1), y.shape[1]
    else:
        expected = "logits (N, K, ...) with classes (N, ...), or single logits with 0 and 1"
        check.refuse(function, expected, f"{check.describe(y)} and {check.describe(t)}")
    counts = t != ignored
    pairs = t[counts].astype(np.int64) * classes + named[counts]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
