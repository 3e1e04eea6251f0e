"""Numbers that say how good detections are.

Detections of a picture take their turn in falling order of score, those of each class on their own.
One is right if its overlap with a true box of its class that is still free reaches the threshold;
it takes the one it overlaps most. What is found twice is wrong the second time.

precision            right so far / detections so far        over all pictures, in falling order
recall               right so far / true boxes               of score
envelope             P(r) = the highest precision at recall r or beyond
average precision    coco    the mean of P at recall 0, 0.01, ..., 1     0 where r is not reached
                     voc     the area under P, all its steps             as Pascal VOC since 2010
mAP                  the mean over classes that have a true box, and over thresholds
shapes               for each picture a mapping: boxes (D, 4) of x1, y1, x2, y2, scores (D,) and
                     labels (D,); of the truth boxes (G, 4) and labels (G,)

COCO's own evaluation looks at the best 100 of a picture, leaves out crowds, and averages over the
thresholds 0.5, 0.55, ..., 0.95; its recalls i * 0.01 are rounded, here they are i / 100.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.detection.boxes import boxes_of, overlap

Boxes = Sequence[Mapping[str, Array]]
INTERPOLATIONS = ("coco", "voc")


class Judged(NamedTuple):
    """All detections of all pictures, picture after picture, and whether they are right."""

    right: Array  # (T, D) bool, one row for each threshold
    scores: Array  # (D,)
    labels: Array  # (D,)
    truth: Array  # labels of the true boxes (G,)


def mean_average_precision(
    output: Boxes,
    target: Boxes,
    iou_threshold: float | Sequence[float] = 0.5,
    interpolation: str = "coco",
) -> float:
    """Mean average precision of detections.

    Args:
        output: for each picture its boxes (D, 4), scores (D,) and labels (D,).
        target: for each picture its true boxes (G, 4) and labels (G,).
        iou_threshold: overlap from which a box counts as found, in [0, 1]; of several the mean.
        interpolation: 'coco', 101 points, or 'voc', all points.

    Returns:
        A number in [0, 1]; NaN where there is no true box.

    Raises:
        TypeError, ValueError: if the detections do not fit or an option does not exist.

    Source: Lin et al. 2014, arXiv:1405.0312; Everingham et al. 2010, section 4.2.
    """
    name = "mean_average_precision"
    thresholds = iou_threshold if isinstance(iou_threshold, Sequence) else [iou_threshold]
    check.option(name, "interpolation", interpolation, INTERPOLATIONS)
    judged = _judged(name, output, target, thresholds)
    found = [_average(*_curve(judged, k), interpolation) for k in np.unique(judged.truth)]
    return float(np.mean(found)) if found else float("nan")


def precision_recall_curve(
    output: Boxes, target: Boxes, label: int = 0, iou_threshold: float = 0.5
) -> tuple[Array, Array]:
    """Precision and recall of one class after each of its detections, the surest first.

    Args:
        output: for each picture its boxes (D, 4), scores (D,) and labels (D,).
        target: for each picture its true boxes (G, 4) and labels (G,).
        label: the class, of which there is a true box.
        iou_threshold: overlap from which a box counts as found, in [0, 1].

    Returns:
        Precision and recall, (detections of the class,) float64 each.

    Raises:
        TypeError, ValueError: if the detections do not fit, or there is no true box of the class.

    Source: Everingham et al. 2010, section 4.2.
    """
    name = "precision_recall_curve"
    judged = _judged(name, output, target, [iou_threshold])
    k = check.size(name, "label", label)
    if not np.any(judged.truth == k):
        check.refuse(name, "a label of which there is a true box", k)
    precision, recall = _curve(judged, k)
    return precision[0], recall[0]


def _curve(judged: Judged, k: int) -> tuple[Array, Array]:
    """Precision and recall of class k, (T, D of the class)."""
    of_class = np.flatnonzero(judged.labels == k)
    order = of_class[np.argsort(-judged.scores[of_class], kind="stable")]
    right = np.cumsum(judged.right[:, order], axis=1)
    return right / np.arange(1, len(order) + 1), right / np.sum(judged.truth == k)


def _average(precision: Array, recall: Array, interpolation: str) -> Array:
    """Average precision at each threshold (T,)."""
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if interpolation == "voc":
        steps = np.diff(recall, axis=1, prepend=0.0)
        area: Array = np.sum(steps * envelope, axis=1)
        return area
    below = recall[:, None] < (np.arange(101) / 100)[:, None]  # (T, 101, D)
    padded = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    points: Array = np.take_along_axis(padded, below.sum(2), axis=1).mean(1)
    return points


def _judged(name: str, output: Boxes, target: Boxes, thresholds: Sequence[float]) -> Judged:
    """The right ones by turns: the best of all pictures, the second of all pictures, ..."""
    least = [check.number(name, "iou_threshold", t, 0, 1) for t in thresholds]
    if not least:
        check.refuse(name, "at least one iou_threshold", thresholds)
    pictures, found, scores, labels = _rows(name, "output", output, scored=True)
    true_pictures, true, _, true_labels = _rows(name, "target", target, scored=False)
    if len(output) != len(target):
        got = f"{len(output)} and {len(target)}"
        check.refuse(name, "output and target of the same pictures", got)
    order = np.lexsort((-scores, pictures))  # stable
    pictures, found, scores, labels = (a[order] for a in (pictures, found, scores, labels))
    at, boxes = _padded(pictures, found, len(output), 0.0)  # (n, D, 4)
    _, true_boxes = _padded(true_pictures, true, len(output), 0.0)
    _, kinds = _padded(pictures, labels, len(output), -1)
    _, true_kinds = _padded(true_pictures, true_labels, len(output), -2)
    intersection, union = overlap(boxes, true_boxes)
    iou = intersection / np.where(union > 0, union, 1.0)
    iou = np.where(kinds[:, :, None] == true_kinds[:, None], iou, -1.0)  # (n, D, G)
    # An overlap of 1 may be rounded below it, as COCO's evaluation allows for.
    limit = np.minimum(least, 1 - 1e-10)[:, None, None]
    free = np.ones((len(least), len(output), true_boxes.shape[1]), bool)
    right = np.zeros((len(least), *boxes.shape[:2]), bool)
    last = free.shape[2] - 1
    for turn in range(boxes.shape[1]):
        candidates = np.where(free & (iou[:, turn] >= limit), iou[:, turn], -1.0)
        best = last - candidates[..., ::-1].argmax(-1)[..., None]  # the last of equals, as COCO's
        right[:, :, turn] = candidates.max(-1) >= 0
        still = np.take_along_axis(free, best, -1) & ~right[:, :, turn, None]
        np.put_along_axis(free, best, still, -1)
    return Judged(right[:, pictures, at], scores, labels, true_labels)


def _rows(name: str, what: str, value: Boxes, scored: bool) -> tuple[Array, Array, Array, Array]:
    """Picture (R,), box (R, 4), score (R,) and label (R,) of everything, in float64."""
    if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
        expected = f"{what} to be a list of mappings of boxes and labels"
        check.refuse(name, expected, check.describe(value), TypeError)
    boxes, scores, labels = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0, np.int64)]
    for picture in value:
        missing = {"boxes", "labels", *(["scores"] if scored else [])} - set(picture)
        if missing:
            check.refuse(name, f"{what} with {' and '.join(sorted(missing))}", sorted(picture))
        box = boxes_of(name, f"{what} boxes", picture["boxes"])
        label = check.integer(name, f"{what} labels", picture["labels"], 0, 2**62)
        check.shape(name, f"{what} labels", label, (len(box),))
        boxes.append(box.astype(np.float64))
        labels.append(label.astype(np.int64))
        if scored:
            score = check.floating(name, f"{what} scores", picture["scores"])
            check.shape(name, f"{what} scores", score, (len(box),))
            scores.append(score.astype(np.float64))
    pictures = np.repeat(np.arange(len(value)), [len(b) for b in boxes[1:]])
    return pictures, np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels)


def _padded(pictures: Array, rows: Array, n: int, fill: float) -> tuple[Array, Array]:
    """Place of each row among its picture's (R,), and rows by picture (n, most, ...), filled up."""
    counts = np.bincount(pictures, minlength=n)
    place = np.arange(len(rows)) - (np.cumsum(counts) - counts)[pictures]
    out = np.full((n, max(1, int(counts.max(initial=0))), *rows.shape[1:]), fill, rows.dtype)
    out[pictures, place] = rows
    return place, out
