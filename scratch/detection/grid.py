"""Boxes in the cells of a grid: which predictor answers for an object, and what it says.

targets    An object belongs to the cell that its centre lies in, and there to the prior of the most
           similar shape (IoU of both at one corner; the first of equals):
           x, y = centre / stride - cell     w, h = log(size / prior)
           Of two objects for one predictor the later one has it.
decoding   centre = (s(tx) + column, s(ty) + row) stride     size = prior e^(tw, th)
           score_k = s(to) softmax(classes)_k                   e^t at 1000 / 16 or less
shapes     predictions (N, A, 5 + K, H, W) of tx, ty, tw, th, to and K logits for each of A priors
Sources    cells: Redmon et al. 2016, arXiv:1506.02640, section 2; priors, x and w:
           Redmon & Farhadi 2017, arXiv:1612.08242, section 2, figure 3
"""

from collections.abc import Mapping, Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.detection.boxes import LARGEST, boxes_of
from scratch.nn.sigmoid import logistic
from scratch.nn.softmax import softmax

Priors = Sequence[tuple[float, float]]


def grid_targets(
    targets: Sequence[Mapping[str, Array]],
    size: tuple[int, int],
    priors: Priors,
    stride: int,
) -> tuple[Array, Array, Array]:
    """What the predictors should say of true boxes.

    Args:
        targets: for each picture its boxes (G, 4) of x1, y1, x2, y2, with an area and their centres
            in the picture, all of one dtype, and labels (G,), integers from 0.
        size: rows and columns of the grid.
        priors: widths and heights of A shapes.
        stride: side of a cell, in the unit of the boxes.

    Returns:
        objects bool (N, A, H, W); boxes (N, A, 4, H, W), x, y, w, h, 0 where there is no object;
        labels (N, A, H, W) int64, likewise.

    Raises:
        TypeError, ValueError: if the targets do not fit, or a number is out of range.

    Source: Redmon et al. 2016, section 2; Redmon & Farhadi 2017, section 2.
    """
    name = "grid_targets"
    shapes = priors_of(name, priors)
    height, width = (check.size(name, "size", n, low=1) for n in check.pair(name, "size", size))
    stride = check.size(name, "stride", stride, low=1)
    picture, boxes, labels = _rows(name, targets)
    sides = boxes[:, 2:] - boxes[:, :2]
    if not np.all(sides > 0):
        check.refuse(name, "boxes with x1 < x2 and y1 < y2", "one without area")
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride
    limit = np.array([width, height], boxes.dtype)
    if not np.all((centre >= 0) & (centre <= limit)):
        check.refuse(name, f"centres of boxes in {height} x {width} cells", "one outside")
    cell = np.minimum(np.floor(centre), limit - 1)  # (G, 2) of column, row
    shapes = shapes.astype(boxes.dtype)
    common = np.minimum(sides[:, None], shapes).prod(-1)
    union = sides.prod(-1)[:, None] + shapes.prod(-1) - common
    prior = (common / union).argmax(1)
    column, row = cell.astype(np.intp).T

    objects = np.zeros((len(targets), len(shapes), height, width), bool)
    found = np.zeros((*objects.shape, 4), boxes.dtype)
    kinds = np.zeros(objects.shape, np.int64)
    at = picture, prior, row, column
    objects[at] = True
    found[at] = np.concatenate([centre - cell, np.log(sides / shapes[prior])], axis=1)
    kinds[at] = labels  # NumPy keeps the last of those that meet
    return objects, np.ascontiguousarray(np.moveaxis(found, -1, 2)), kinds


def decode_grid(predictions: Array, priors: Priors, stride: int) -> tuple[Array, Array]:
    """The boxes that predictors mean, and how sure they are of each class.

    Args:
        predictions: (N, A, 5 + K, H, W): tx, ty, tw, th, to, K logits.
        priors: widths and heights of the A shapes.
        stride: side of a cell.

    Returns:
        Boxes (N, A H W, 4) of x1, y1, x2, y2, and scores (N, A H W, K).

    Raises:
        TypeError, ValueError: if the arrays do not fit, or a number is out of range.

    Source: Redmon & Farhadi 2017, section 2; scores: Redmon et al. 2016, equation 1.
    """
    name = "decode_grid"
    t = check.floating(name, "predictions", predictions)
    shapes = priors_of(name, priors).astype(t.dtype)
    stride = check.size(name, "stride", stride, low=1)
    check.shape(name, "predictions", t, ("N", len(shapes), "5 + K", "H", "W"))
    n, _, channels, height, width = t.shape
    if channels < 6:
        check.refuse(name, "predictions (N, A, 5 + K, H, W) with K >= 1", t.shape)
    each = np.moveaxis(t, 2, -1)  # (N, A, H, W, 5 + K)
    cell = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(t.dtype)
    centre = (logistic(each[..., :2]) + cell) * stride
    half = np.exp(np.minimum(each[..., 2:4], LARGEST)) * shapes[:, None, None] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=-1)
    scores = logistic(each[..., 4:5]) * softmax(each[..., 5:], -1)[0]
    predictors = len(shapes) * height * width
    return boxes.reshape(n, predictors, 4), scores.reshape(n, predictors, channels - 5)


def priors_of(function: str, priors: object) -> Array:
    """Pairs of positive numbers, (A, 2) float64."""
    if not isinstance(priors, tuple | list) or not priors:
        expected = "priors to be pairs of width and height"
        check.refuse(function, expected, check.describe(priors), TypeError)
    pairs = [check.pair(function, "priors", p) for p in priors]
    return np.array(
        [[check.number(function, "priors", v, 0, open_low=True) for v in p] for p in pairs]
    )


def _rows(name: str, targets: Sequence[Mapping[str, Array]]) -> tuple[Array, Array, Array]:
    """Picture (R,), box (R, 4) and label (R,) of every object."""
    if not isinstance(targets, list | tuple) or not targets:
        check.refuse(name, "targets of at least one picture", check.describe(targets), TypeError)
    boxes: list[Array] = []
    labels = []
    for target in targets:
        if not isinstance(target, Mapping) or {"boxes", "labels"} - set(target):
            expected = "targets to be mappings with boxes and labels"
            check.refuse(name, expected, check.describe(target), TypeError)
        box = boxes_of(name, "boxes", target["boxes"], boxes[0] if boxes else None)
        label = check.integer(name, "labels", target["labels"], 0, 2**62)
        check.shape(name, "labels", label, (len(box),))
        boxes.append(box)
        labels.append(label.astype(np.int64))
    picture = np.repeat(np.arange(len(targets)), [len(b) for b in boxes])
    return picture, np.concatenate(boxes), np.concatenate(labels)
