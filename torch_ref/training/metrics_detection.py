"""Numbers that say how good detections are.

Detections of a picture take their turn in falling order of score, those of each class on their own.
One is right if its overlap with a true box of its class that is still free reaches the threshold;
it takes the one it overlaps most. What is found twice is wrong the second time.

average precision    the mean of P at recall 0, 0.01, ..., 1 ("coco"), or the area under P ("voc"),
                     P(r) the highest precision at recall r or beyond
mAP                  the mean over classes that have a true box, and over thresholds
shapes               for each picture a mapping: boxes (D, 4) of x1, y1, x2, y2, scores (D,) and
                     labels (D,); of the truth boxes (G, 4) and labels (G,)
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torch_ref.detection import box_iou

Boxes = Sequence[Mapping[str, Tensor]]


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
    """
    thresholds = iou_threshold if isinstance(iou_threshold, Sequence) else [iou_threshold]
    classes = sorted({k for picture in target for k in picture["labels"].tolist()})
    found = [
        _average(*precision_recall_curve(output, target, k, t), interpolation)
        for k in classes
        for t in thresholds
    ]
    return sum(found) / len(found) if found else float("nan")


def precision_recall_curve(
    output: Boxes, target: Boxes, label: int = 0, iou_threshold: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Precision and recall of one class after each of its detections, the surest first.

    Args:
        output: for each picture its boxes (D, 4), scores (D,) and labels (D,).
        target: for each picture its true boxes (G, 4) and labels (G,).
        label: the class, of which there is a true box.
        iou_threshold: overlap from which a box counts as found, in [0, 1].

    Returns:
        Precision and recall, (detections of the class,) float64 each.
    """
    scores, right, number = [], [], 0
    for picture, truth in zip(output, target, strict=True):
        mine, true = picture["labels"] == label, truth["labels"] == label
        number += int(true.sum())
        order = picture["scores"][mine].argsort(descending=True, stable=True)
        iou = box_iou(picture["boxes"][mine][order].double(), truth["boxes"][true].double())
        scores.append(picture["scores"][mine][order].double())
        right.append(_taken(iou, iou_threshold))
    order = torch.cat(scores).argsort(descending=True, stable=True)
    hits = torch.cat(right)[order].double().cumsum(0)
    return hits / torch.arange(1, len(hits) + 1, device=hits.device), hits / number


def _taken(iou: Tensor, threshold: float) -> Tensor:
    """Which detections, in rows and in order, get a true box, in columns."""
    right = torch.zeros(len(iou), dtype=torch.bool, device=iou.device)
    free = iou.flip(1).clone()  # of equal overlaps the last is taken
    if free.numel():
        for row in range(len(iou)):
            best, column = free[row].max(0)
            if best >= min(threshold, 1 - 1e-10):
                right[row] = True
                free[:, column] = -1
    return right


def _average(precision: Tensor, recall: Tensor, interpolation: str) -> float:
    envelope = precision.flip(0).cummax(0).values.flip(0) if len(precision) else precision
    if interpolation == "voc":
        steps = recall.diff(prepend=recall.new_zeros(1))
        return (steps * envelope).sum().item()
    points = torch.arange(101, dtype=recall.dtype, device=recall.device) / 100
    at = torch.searchsorted(recall.contiguous(), points)
    return torch.cat([envelope, envelope.new_zeros(1)])[at].mean().item()
