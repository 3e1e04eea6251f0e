"""Conventions of detection: a pixel's width, an overlap at the threshold, what is weighed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import detection
from scratch.check import Array
from scratch.detection import box_iou
from scratch.detection import boxes as geometry
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.nn.reduction import quiet, reduced

Parts = tuple[Any, Backward]


@quiet
def with_last_pixel(boxes1: Array, boxes2: Array) -> Array:
    """A side is x2 - x1 + 1."""
    stretch = np.array([0, 0, 1, 1], boxes1.dtype)
    return box_iou(boxes1 + stretch, boxes2 + stretch)


def over_smaller(boxes1: Array, boxes2: Array) -> Array:
    """The share of the smaller box that is covered."""
    with np.errstate(all="ignore"):
        left = np.maximum(boxes1[:, None, :2], boxes2[:, :2])
        right = np.minimum(boxes1[:, None, 2:], boxes2[:, 2:])
        area = [detection.box_area(b) for b in (boxes1, boxes2)]
        covered: Array = np.maximum(right - left, 0).prod(-1)
        return covered / np.minimum(area[0][:, None], area[1])


def height_first(boxes: Array, size: tuple[int, int]) -> Array:
    """x held in [0, height]."""
    return detection.clip_boxes_to_image(boxes, (size[1], size[0]))


def from_corners(
    reference_boxes: Array, proposals: Array, weights: geometry.Weights = (1.0, 1.0, 1.0, 1.0)
) -> Array:
    """dx, dy from corner to corner."""
    deltas = detection.encode_boxes(reference_boxes, proposals, weights)
    size = proposals[:, 2:] - proposals[:, :2]
    shift = np.array(weights[:2]) * (reference_boxes[:, :2] - proposals[:, :2]) / size
    return np.concatenate([shift, deltas[:, 2:]], axis=1)


def unclipped(
    rel_codes: Array, boxes: Array, weights: Any = (1.0, 1.0, 1.0, 1.0), bbox_xform_clip: Any = 0.0
) -> Array:
    """A size grows as the network says."""
    return detection.decode_boxes(rel_codes, boxes, weights, np.inf)


def unweighted(
    rel_codes: Array,
    boxes: Array,
    weights: Any = (1.0, 1.0, 1.0, 1.0),
    bbox_xform_clip: float = geometry.LARGEST,
) -> Array:
    """The deltas are taken as they come."""
    return detection.decode_boxes(rel_codes, boxes, (1.0, 1.0, 1.0, 1.0), bbox_xform_clip)


def at_threshold_too(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    """An overlap that equals the threshold suppresses."""
    return detection.nms(boxes, scores, max(float(np.nextafter(iou_threshold, -1)), 0.0))


def last_of_equals(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    kept: Array = len(scores) - 1 - detection.nms(boxes[::-1], scores[::-1], iou_threshold)
    return kept


def by_index(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    """Those kept in the order in which they came."""
    return np.sort(detection.nms(boxes, scores, iou_threshold))


def suppressed_ones_suppress(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    """Any better box suppresses, whether it is kept itself or not."""
    order = np.argsort(-scores, kind="stable")
    with np.errstate(all="ignore"):
        rivals = np.tril(box_iou(boxes[order], boxes[order]) > iou_threshold, -1)
    found: Array = order[~rivals.any(1)]
    return found


def across_classes(boxes: Array, scores: Array, idxs: Array, iou_threshold: float) -> Array:
    return detection.nms(boxes, scores, iou_threshold)


def class_by_class(boxes: Array, scores: Array, idxs: Array, iou_threshold: float) -> Array:
    """Sorted within each class alone."""
    found = [np.zeros(0, np.int64)]
    for k in np.unique(idxs):
        of_class = np.flatnonzero(idxs == k)
        found.append(of_class[detection.nms(boxes[of_class], scores[of_class], iou_threshold)])
    return np.concatenate(found)


@mutant(F.sigmoid_focal_loss)
def alpha_on_negatives(**a: Any) -> Parts:
    """a weighs no, and 1 - a yes."""
    return F.sigmoid_focal_loss(**{**a, "alpha": -1 if a["alpha"] < 0 else 1 - a["alpha"]})


@mutant(F.sigmoid_focal_loss)
def alpha_on_yes_alone(**a: Any) -> Parts:
    """No has weight 1."""
    losses, loss_back = F.sigmoid_focal_loss(**{**a, "alpha": -1, "reduction": "none"})
    weight = 1 - a["targets"] * (1 - a["alpha"] if a["alpha"] >= 0 else 0)
    y, reduced_back = reduced(weight * losses, a["reduction"], max(losses.size, 1))
    return y, lambda dy: loss_back(weight * reduced_back(dy))


@mutant(F.sigmoid_focal_loss)
def easiness_is_a_constant(**a: Any) -> Parts:
    """No gradient through m^g."""
    x, t = a["inputs"], a["targets"]
    p = F.sigmoid(x)[0]
    weight = (p + t - 2 * p * t) ** a["gamma"]
    weight = weight * (1 if a["alpha"] < 0 else a["alpha"] * t + (1 - a["alpha"]) * (1 - t))
    loss = F.sigmoid_focal_loss(**a)[0]

    def backward(dy: Array) -> Array:
        share = 1 / max(x.size, 1) if a["reduction"] == "mean" else 1.0
        dx: Array = dy * share * weight * (p - t)
        return dx

    return loss, backward


@mutant(F.sigmoid_focal_loss)
def mean_over_positives(**a: Any) -> Parts:
    """'mean' as RetinaNet divides: by the number of yes."""
    if a["reduction"] != "mean":
        return F.sigmoid_focal_loss(**a)
    loss, loss_back = F.sigmoid_focal_loss(**{**a, "reduction": "sum"})
    number = max(float(a["targets"].sum()), 1.0)
    return loss / number, lambda dy: loss_back(dy / number)


@mutant(F.generalized_box_iou_loss)
def no_epsilon(**a: Any) -> Parts:
    """Divided by the areas as they are."""
    return F.generalized_box_iou_loss(**{**a, "eps": 0.0})


@mutant(F.generalized_box_iou_loss)
def equal_edges_to_the_first(**a: Any) -> Parts:
    """The gradient of an edge that both share goes to the first box alone."""
    loss, _ = F.generalized_box_iou_loss(**a)
    nudge = 1e-9 * np.array([-1, -1, 1, 1.0])
    return loss, F.generalized_box_iou_loss(**{**a, "boxes1": a["boxes1"] + nudge})[1]


@mutant(F.roi_align)
def half_a_pixel_off(**a: Any) -> Parts:
    """`aligned` the other way round."""
    return F.roi_align(**{**a, "aligned": not a["aligned"]})


def shifted(boxes: Array | Sequence[Array], by: float, scale: float) -> Any:
    """The boxes moved by so many pixels of the map."""
    if not isinstance(boxes, np.ndarray):
        return [b + by / scale for b in boxes]
    return boxes + np.array([0, 1, 1, 1, 1]) * (by / scale)


@mutant(F.roi_align)
def not_shifted(**a: Any) -> Parts:
    """Aligned boxes without the half pixel."""
    by = 0.5 if a["aligned"] else 0.0
    return F.roi_align(**{**a, "boxes": shifted(a["boxes"], by, a["spatial_scale"])})


@mutant(F.roi_align)
def no_least_side(**a: Any) -> Parts:
    """A box narrower than a pixel stays so."""
    moved = shifted(a["boxes"], 0.0 if a["aligned"] else 0.5, a["spatial_scale"])
    return F.roi_align(**{**a, "boxes": moved, "aligned": True})


@mutant(F.roi_align)
def outside_as_the_border(**a: Any) -> Parts:
    """What lies outside of the map has the border's values, or is 0 just as before where inside."""
    x, pad = a["input"], 40
    wide = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="edge")
    moved = shifted(a["boxes"], float(pad), a["spatial_scale"])
    y, back = F.roi_align(**{**a, "input": wide, "boxes": moved})

    def backward(dy: Array) -> Array:
        dwide = back(dy)
        return np.ascontiguousarray(dwide[:, :, pad:-pad, pad:-pad])

    return y, backward


@mutant(F.roi_align)
def two_samples(**a: Any) -> Parts:
    """Always 2 x 2 samples in a bin, as in the paper."""
    return F.roi_align(**{**a, "sampling_ratio": 2})


@mutant(F.roi_align)
def whole_pixels(**a: Any) -> Parts:
    """RoIPool's quantised corners."""
    boxes = a["boxes"]
    s = a["spatial_scale"]
    snapped: Any = [np.round(b * s) / s for b in boxes]
    if isinstance(boxes, np.ndarray):
        snapped = boxes.copy()
        snapped[:, 1:] = np.round(boxes[:, 1:] * s) / s
    return F.roi_align(**{**a, "boxes": snapped})


Targets = tuple[Array, Array, Array]


def transposed(targets: Any, size: tuple[int, int], priors: Any, stride: int) -> Targets:
    """The cell of (x, y) is at [x, y]; what lies outside of the other side is held in."""
    height, width = size
    side = max(height, width)
    objects, boxes, labels = detection.grid_targets(targets, (side, side), priors, stride)

    def turned(values: Array) -> Array:
        return np.ascontiguousarray(values.swapaxes(-1, -2)[..., :height, :width])

    return turned(objects), turned(boxes), turned(labels)


def first_stays(targets: Any, size: tuple[int, int], priors: Any, stride: int) -> Targets:
    """Of two objects for one predictor the first has it."""
    back = [{k: v[::-1] for k, v in t.items()} for t in targets]
    return detection.grid_targets(back, size, priors, stride)


def first_prior(targets: Any, size: tuple[int, int], priors: Any, stride: int) -> Targets:
    """The largest prior has all objects."""
    most = max(range(len(priors)), key=lambda i: priors[i][0] * priors[i][1])
    one = detection.grid_targets(targets, size, [priors[most]], stride)
    parts = []
    for part in one:
        wide = np.zeros((len(part), len(priors), *part.shape[2:]), part.dtype)
        wide[:, most] = part[:, 0]
        parts.append(wide)
    return parts[0], parts[1], parts[2]


def from_corner(targets: Any, size: tuple[int, int], priors: Any, stride: int) -> Targets:
    """x and y of the picture, not of the cell."""
    objects, boxes, labels = detection.grid_targets(targets, size, priors, stride)
    row, column = np.indices(size)
    boxes = boxes.copy()
    boxes[:, :, 0] += column * objects
    boxes[:, :, 1] += row * objects
    return objects, boxes, labels


def certainty_alone(predictions: Array, priors: Any, stride: int) -> tuple[Array, Array]:
    """The score is that something is there."""
    boxes, scores = detection.decode_grid(predictions, priors, stride)
    whole = np.broadcast_to(scores.sum(-1, keepdims=True), scores.shape)
    return boxes, whole.copy()


def cells_transposed(predictions: Array, priors: Any, stride: int) -> tuple[Array, Array]:
    """Predictors in the order of columns."""
    turned = np.ascontiguousarray(predictions.swapaxes(-1, -2))
    return detection.decode_grid(turned, priors, stride)


def linear_sizes(predictions: Array, priors: Any, stride: int) -> tuple[Array, Array]:
    """Sizes as YOLOv1 has them in its loss: the square of what is said."""
    t = predictions.copy()
    t[:, :, 2:4] = np.log(np.maximum(t[:, :, 2:4] ** 2, 1e-30))
    return detection.decode_grid(t, priors, stride)


@mutant(F.grid_detection_loss)
def empty_cells_count_fully(**a: Any) -> Parts:
    """Empty cells have the weight of others."""
    return F.grid_detection_loss(**{**a, "noobj": 1.0})


@mutant(F.grid_detection_loss)
def place_counts_once(**a: Any) -> Parts:
    return F.grid_detection_loss(**{**a, "coord": 1.0})


@mutant(F.grid_detection_loss)
def mean_over_objects(**a: Any) -> Parts:
    """Divided by the number of objects, not of pictures."""
    loss, loss_back = F.grid_detection_loss(**a)
    share = loss.dtype.type(len(a["input"]) / max(1, int(a["objects"].sum())))
    return loss * share, lambda dy: loss_back(dy * share)


@mutant(F.grid_detection_loss)
def no_sigmoid(**a: Any) -> Parts:
    """tx and ty are the place itself, as in the first YOLO."""
    t = a["input"].copy()
    inside = np.clip(t[:, :, :2], 0.01, 0.99)
    t[:, :, :2] = np.log(inside / (1 - inside))
    return F.grid_detection_loss(**{**a, "input": t})


PITFALLS = [
    Pitfall(
        "grid: row and column",
        entry="grid_targets",
        difference="here: the cell of (x, y) is [row of y, column of x]; others: [x, y]",
        mutant=transposed,
    ),
    Pitfall(
        "grid: two objects, one predictor",
        entry="grid_targets",
        difference="here, as darknet: the later one has it; others: the first",
        mutant=first_stays,
    ),
    Pitfall(
        "grid: prior",
        entry="grid_targets",
        difference="YOLOv2: the prior of the most similar shape; others: the largest",
        mutant=first_prior,
    ),
    Pitfall(
        "grid: origin of x and y",
        entry="grid_targets",
        difference="here: from the cell's corner; others: from the picture's",
        mutant=from_corner,
    ),
    Pitfall(
        "grid: score",
        entry="decode_grid",
        difference="YOLO: certainty times the class's probability; others: certainty",
        mutant=certainty_alone,
    ),
    Pitfall(
        "grid: order of cells",
        entry="decode_grid",
        difference="here: row by row; others: column by column",
        mutant=cells_transposed,
    ),
    Pitfall(
        "grid: sizes",
        entry="decode_grid",
        difference="YOLOv2: prior times e^t; YOLOv1: the square of t",
        mutant=linear_sizes,
    ),
    Pitfall(
        "grid loss: empty cells",
        entry="grid_detection_loss",
        difference="YOLO: by noobj, a half; others: as the others",
        mutant=empty_cells_count_fully,
    ),
    Pitfall(
        "grid loss: place",
        entry="grid_detection_loss",
        difference="YOLO: five times; others: once",
        mutant=place_counts_once,
    ),
    Pitfall(
        "grid loss: mean",
        entry="grid_detection_loss",
        difference="here: over pictures; others: over objects",
        mutant=mean_over_objects,
    ),
    Pitfall(
        "grid loss: sigmoid",
        entry="grid_detection_loss",
        difference="YOLOv2: the logistic function of tx and ty is the place; YOLOv1: they are it",
        mutant=no_sigmoid,
    ),
    Pitfall(
        "iou: the last pixel",
        entry="box_iou",
        difference="torchvision: a side is x2 - x1; Pascal VOC's code: x2 - x1 + 1",
        mutant=with_last_pixel,
    ),
    Pitfall(
        "iou: over the smaller box",
        entry="box_iou",
        difference="here: over the union; others: over the smaller of the two",
        mutant=over_smaller,
    ),
    Pitfall(
        "giou is iou",
        entry="generalized_box_iou",
        difference="here: less the empty share of the box around both; IoU: 0 for all boxes apart",
        mutant=detection.box_iou,
    ),
    Pitfall(
        "clip: height first",
        entry="clip_boxes_to_image",
        difference="torchvision: size is (height, width), boxes are x before y; others: one order",
        mutant=height_first,
    ),
    Pitfall(
        "box deltas: from corners",
        entry="encode_boxes",
        difference="the paper: between centres; others: between corners",
        mutant=from_corners,
    ),
    Pitfall(
        "box deltas: not clipped",
        entry="decode_boxes",
        difference="torchvision: dw and dh at log(1000 / 16) or less; the paper: as they are",
        mutant=unclipped,
    ),
    Pitfall(
        "box deltas: weights forgotten",
        entry="decode_boxes",
        difference="torchvision: divided by the weights; others: weights in the encoding alone",
        mutant=unweighted,
    ),
    Pitfall(
        "nms: at the threshold",
        entry="nms",
        difference="torchvision: an overlap above the threshold suppresses; others: one at it too",
        mutant=at_threshold_too,
    ),
    Pitfall(
        "nms: last of equals",
        entry="nms",
        difference="torchvision: the first of equal scores; a reversed argsort: the last",
        mutant=last_of_equals,
    ),
    Pitfall(
        "nms: order of the result",
        entry="nms",
        difference="torchvision: falling scores; others: rising indices",
        mutant=by_index,
    ),
    Pitfall(
        "nms: what is suppressed suppresses",
        entry="nms",
        difference="greedy: a box that is gone takes none with it; fast NMS: it does",
        mutant=suppressed_ones_suppress,
    ),
    Pitfall(
        "batched nms: across classes",
        entry="batched_nms",
        difference="torchvision: boxes of one class compete; others: all",
        mutant=across_classes,
    ),
    Pitfall(
        "batched nms: order of the result",
        entry="batched_nms",
        difference="torchvision: falling scores over all classes; others: class after class",
        mutant=class_by_class,
    ),
    Pitfall(
        "focal loss: alpha swapped",
        entry="sigmoid_focal_loss",
        difference="the paper: alpha weighs yes, 1 - alpha no; others: the other way round",
        mutant=alpha_on_negatives,
    ),
    Pitfall(
        "focal loss: alpha on yes alone",
        entry="sigmoid_focal_loss",
        difference="the paper: 1 - alpha weighs no; others: 1 does",
        mutant=alpha_on_yes_alone,
    ),
    Pitfall(
        "focal loss: constant factor",
        entry="sigmoid_focal_loss",
        difference="torchvision: (1 - p)^gamma is differentiated; others: it is a weight",
        mutant=easiness_is_a_constant,
    ),
    Pitfall(
        "focal loss: mean",
        entry="sigmoid_focal_loss",
        difference="torchvision: over all entries; the paper: over anchors that have an object",
        mutant=mean_over_positives,
    ),
    Pitfall(
        "giou loss: epsilon",
        entry="generalized_box_iou_loss",
        difference="torchvision: 1e-7 added to union and hull; others: nothing",
        mutant=no_epsilon,
    ),
    Pitfall(
        "giou loss: equal edges",
        entry="generalized_box_iou_loss",
        difference="torch: half the gradient to each; others: all of it to the first",
        mutant=equal_edges_to_the_first,
    ),
    Pitfall(
        "roi_align: aligned",
        entry="roi_align",
        difference="torchvision: aligned=False unless said; Detectron2: True, half a pixel further",
        mutant=half_a_pixel_off,
    ),
    Pitfall(
        "roi_align: half a pixel",
        entry="roi_align",
        difference="aligned: pixel i has its centre at i + 1/2; others: at i",
        mutant=not_shifted,
    ),
    Pitfall(
        "roi_align: least side",
        entry="roi_align",
        difference="torchvision, not aligned: a side of 1 pixel at least; others: as it is",
        mutant=no_least_side,
    ),
    Pitfall(
        "roi_align: outside",
        entry="roi_align",
        difference="torchvision: 0 beyond a pixel outside of the map; others: the border's values",
        mutant=outside_as_the_border,
    ),
    Pitfall(
        "roi_align: samples",
        entry="roi_align",
        difference="torchvision: as many as a bin has pixels; the paper: 4",
        mutant=two_samples,
    ),
    Pitfall(
        "roi_align: whole pixels",
        entry="roi_align",
        difference="RoIAlign: coordinates as they are; RoIPool: rounded",
        mutant=whole_pixels,
    ),
]
