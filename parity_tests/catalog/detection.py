"""Detection: boxes and their overlaps, suppression, losses, RoIAlign."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, Routine, const
from scratch import detection
from scratch.nn import functional as F
from torch_ref import detection as torch_detection
from torch_ref.nn import box_loss, focal_loss, grid_loss
from torch_ref.nn.roi_align import roi_align

VOC = "Everingham et al. 2010, IJCV 88, section 4.2"
GIOU = "Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1"
RCNN = "Girshick et al. 2014, arXiv:1311.2524, appendix C"
FAST = "Girshick 2015, arXiv:1504.08083"
DPM = "Felzenszwalb et al. 2010, TPAMI 32(9), section 7.2"
LIN = "Lin et al. 2017, arXiv:1708.02002, equation 5"
MASK = "He, Gkioxari, Dollar & Girshick 2017, arXiv:1703.06870, section 3"

# Beside, within and across each other, touching, equal, without area; whole numbers tie.
CORNERS = np.array(
    [
        [0, 0, 4, 4],
        [2, 1, 6, 3],
        [4, 0, 7, 4],
        [1, 1, 3, 3],
        [0, 0, 4, 4],
        [-3, -2, 1, 9],
        [20, 30, 21, 30.5],
        [5, 5, 5, 8],
    ]
)


def drawn(d: Draw, n: int, spread: float = 8.0) -> Array:
    """Boxes (n, 4) with an area."""
    low, size = d.rng.uniform(0, spread, (n, 2)), d.rng.uniform(1, spread, (n, 2))
    return d.array(np.concatenate([low, low + size], 1))


def overlaps(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Each against each; one, and none."""
    a, b, given = drawn(d, 5), drawn(d, 7), d.array(CORNERS)
    pairs = {"drawn": (a, b), "given": (given, given), "mixed": (a, given), "one": (a[:1], b)}
    pairs["none"] = (a[:0], b)
    return {name: make(*map(side.array, pair)) for name, pair in pairs.items()}


def areas(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    return {"drawn": make(side.array(drawn(d, 6))), "given": make(side.array(d.array(CORNERS)))}


def formats(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """From each to each."""
    boxes, names = drawn(d, 5), ("xyxy", "xywh", "cxcywh")
    return {f"{a} to {b}": make(side.array(boxes), a, b) for a in names for b in names}


def clipped(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Higher than wide; boxes across each border, and beyond."""
    return {str(size): make(side.array(d.array(CORNERS)), size) for size in ((3, 5), (40, 2))}


WEIGHTS = (10.0, 8.0, 5.0, 4.0)


def encoded(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    a, b = side.array(drawn(d, 6)), side.array(drawn(d, 6))
    return {"plain": make(a, b), "weights": make(a, b, WEIGHTS), "itself": make(a, a, WEIGHTS)}


def decoded(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Growth beyond the clip, three classes, another clip, no boxes."""
    boxes, deltas = side.array(drawn(d, 4)), d.normal(4, 12, scale=2.0)
    deltas[0, 2:4], deltas[1, 3] = 4.5, 60.0
    deltas = side.array(deltas)
    return {
        "one": make(deltas[:, :4], boxes),
        "classes": make(deltas, boxes, WEIGHTS),
        "clip": make(deltas, boxes, WEIGHTS, 0.1),
        "none": make(deltas[:0], boxes[:0]),
    }


# 3 of 4 is exactly 3/4, and 3/4 in float32; 9 of 10 is in no dtype.
EDGE = np.array([[0, 0, 4, 1], [0, 0, 3, 1], [0, 9, 10, 10], [0, 9, 9, 10], [0, 0, 10, 1.0]])


def suppressed(batched: bool) -> Callable[..., dict[str, Any]]:
    """By several thresholds: equal scores, overlaps at the threshold, chains."""

    def script(make: Any, side: Any, d: Draw) -> dict[str, Any]:
        found = {}
        groups = {"drawn": drawn(d, 40, 6.0), "given": d.array(CORNERS), "edge": d.array(EDGE)}
        groups["chain"] = d.array([[i, 0, i + 3, 1] for i in range(12)])
        groups["none"] = d.array(CORNERS[:0])
        for name, boxes in groups.items():
            n = len(boxes)
            falling, few = d.array(np.arange(n)[::-1]), d.array(d.integers(0, 3, n))
            scores = {"drawn": d.normal(n), "falling": falling, "ties": few}
            category = side.array(d.integers(0, 2, n))
            for order, s in scores.items():
                for threshold in (0.0, 0.1, 0.3, 0.5, 0.75, 0.9, 1.0):
                    more = (category, threshold) if batched else (threshold,)
                    label = f"{name}, {order}, {threshold}"
                    found[label] = make(side.array(boxes), side.array(s), *more)
        return found

    return script


def routine(name: str, source: str, script: Callable[..., dict[str, Any]]) -> Routine:
    ours, theirs = getattr(detection, name), getattr(torch_detection, name)
    return Routine(name, ours, theirs, {"cases": script}, source=source)


def logits(*shape: int, scale: float = 2.0, **options: Any) -> Callable[[Draw], Call]:
    """Logits and labels 0 and 1."""

    def call(d: Draw) -> Call:
        return Call(d.normal(*shape, scale=scale), const(d.array(d.mask(0.4, *shape))), **options)

    return call


def far(d: Draw) -> Call:
    """Logits that saturate, either label."""
    x = d.array([0, 1, -1, 20, -20, 40, -40, 90, -90, 800, -800])
    return Call(np.stack([x, x]), const(d.array([[0] * 11, [1] * 11])))


def soft(d: Draw) -> Call:
    return Call(d.normal(3, 5), const(d.uniform(0, 1, 3, 5)), reduction="sum")


def boxes(n: int, **options: Any) -> Callable[[Draw], Call]:
    """Pairs of boxes near each other."""
    return lambda d: Call(drawn(d, n), drawn(d, n), **options)


def ties(d: Draw) -> Call:
    """Given boxes against each other: equal edges, touching, without area."""
    a = d.array(CORNERS[:7])
    return Call(a, np.roll(a, 1, axis=0))


def equal(d: Draw) -> Call:
    return Call(d.array(CORNERS[:6]), d.array(CORNERS[:6]), "sum", 0.1)


REGIONS = np.array(
    [
        [0, 1.0, 2.0, 9.5, 7.25],
        [2, 0, 0, 4, 4],
        [1, -6, -5, 3, 20],  # across the border
        [0, 30, 40, 37, 45],  # outside
        [2, 3.3, 2.2, 3.9, 2.7],  # within a pixel
        [0, 5, 5, 5, 8],  # without width
        [1, 7, 1, 11, 19],
        [1, 12, 11, 12.5, 14],
    ]
)


def regions(*size: int, **options: Any) -> Callable[[Draw], Call]:
    """Features of three pictures and the boxes above."""

    def call(d: Draw) -> Call:
        return Call(d.normal(3, *size), const(d.array(REGIONS)), **options)

    return call


def by_picture(d: Draw) -> Call:
    """Two boxes, none, one."""
    each = tuple(const(drawn(d, n, 4.0)) for n in (2, 0, 1))
    return Call(d.normal(3, 2, 6, 5), each, (2, 3), sampling_ratio=2)


YOLO = "Redmon et al. 2016, arXiv:1506.02640; Redmon & Farhadi 2017, arXiv:1612.08242"
PRIORS = ((6.0, 6.0), (9.0, 4.0))


def said(d: Draw, *shape: int, **options: Any) -> Call:
    """Predictions (N, A, 5 + K, H, W); some predictors have an object."""
    n, a, channels, *cells = shape
    objects = d.mask(0.3, n, a, *cells)
    place = d.uniform(0, 1, n, a, 4, *cells)
    kinds = d.integers(0, channels - 5, n, a, *cells)
    return Call(d.normal(*shape), objects, const(place), kinds, **options)


def empty(d: Draw) -> Call:
    """No object; labels that are not read."""
    call = said(d, 2, 1, 7, 2, 3)
    x, objects, place, kinds = call.args
    return Call(x, objects & False, place, kinds + 99)


def saturated(d: Draw) -> Call:
    """Logits whose exponentials overflow."""
    x, *rest = said(d, 1, 2, 8, 2, 2).args
    return Call(900 * x, *rest)


def things(side: Any, d: Draw, *numbers: int) -> list[dict[str, Any]]:
    """Boxes in a picture of 24 x 32 pixels, so many in each."""
    found = []
    for n in numbers:
        centre = d.rng.uniform(0, 1, (n, 2)) * [32, 24]
        half = d.rng.uniform(1, 8, (n, 2)) / 2
        boxes = d.array(np.concatenate([centre - half, centre + half], 1))
        found.append({"boxes": side.array(boxes), "labels": side.array(d.integers(0, 3, n))})
    return found


CORNER = np.array([[28, 20, 36, 28], [28, 0, 36, 4], [0, 0, 8, 4], [4, 4, 8, 8.0]])


def assigned(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Few, none, so many that predictors are shared; centres on the edges, in the last corner."""
    edges = {"boxes": side.array(d.array(CORNER)), "labels": side.array(np.array([0, 1, 2, 3]))}
    given = {"drawn": things(side, d, 3, 0, 90), "edges": [edges]}
    return {
        f"{name}, {what}": value
        for name, targets in given.items()
        for what, value in zip(
            ("objects", "boxes", "labels"), make(targets, (6, 8), PRIORS, 4), strict=True
        )
    }


def read(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Sizes beyond the clip too."""
    y = d.normal(2, 2, 8, 3, 4, scale=2.0)
    y[0, 0, 2, 0, 0] = 70.0
    boxes, scores = make(side.array(y), PRIORS, 4)
    return {"boxes": boxes, "scores": scores}


def detected(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """What a model with drawn weights finds, in pictures that are wider than high."""
    dtype = {"dtype": {"float32": torch.float32, "float64": torch.float64}[d.dtype.name]}
    model = make(1, 3, PRIORS, (3, 4), **(dtype if side.is_torch else {"dtype": d.dtype}))
    values = {
        k: d.uniform(0.5, 1.5, *v.shape) if "var" in k else d.normal(*v.shape, scale=0.5)
        for k, v in model.state_dict().items()
        if "num_batches" not in k
    }
    model = side.set(model, {**values, **{k: np.array(1) for k in STEPS if k not in values}})
    found = model.eval().detect(side.array(d.normal(3, 1, 12, 16)), 0.2, 0.3)
    return {f"{i}, {k}": v for i, picture in enumerate(found) for k, v in picture.items()}


STEPS = [f"{layer}.num_batches_tracked" for layer in ("features.1", "features.5", "head.1")]

ENTRIES: list[Entry] = [
    routine("box_area", VOC, areas),
    routine("box_iou", VOC, overlaps),
    routine("generalized_box_iou", GIOU, overlaps),
    routine("box_convert", VOC, formats),
    routine("clip_boxes_to_image", FAST, clipped),
    routine("encode_boxes", RCNN, encoded),
    routine("decode_boxes", RCNN, decoded),
    routine("nms", DPM, suppressed(batched=False)),
    routine("batched_nms", RCNN, suppressed(batched=True)),
    Op(
        "sigmoid_focal_loss",
        F.sigmoid_focal_loss,
        focal_loss.sigmoid_focal_loss,
        source=LIN,
        cases=(
            Case("none", logits(4, 6)),
            Case("mean", logits(3, 2, 4, reduction="mean")),
            Case("sum", logits(7, alpha=0.6, gamma=1.5, reduction="sum")),
            Case("no alpha", logits(4, 3, alpha=-1)),
            Case("alpha of 0 and of 1", logits(4, 3, alpha=0.0, gamma=1.0)),
            Case("cross entropy", logits(4, 3, alpha=-1, gamma=0)),
            Case("soft labels", soft),
            Case("saturated", far),
            Case("root", logits(4, 5, gamma=0.5)),
            Case("empty", logits(0, 4, reduction="mean")),
        ),
    ),
    Op(
        "generalized_box_iou_loss",
        F.generalized_box_iou_loss,
        box_loss.generalized_box_iou_loss,
        source=GIOU,
        cases=(
            Case("none", boxes(6)),
            Case("mean", boxes(5, reduction="mean")),
            Case("sum", boxes(4, reduction="sum", eps=0.1)),
            Case("three axes", lambda d: Call(*(drawn(d, 6).reshape(2, 3, 4) for _ in "ab"))),
            Case("ties", ties, surrogate="edges that are equal are kinks"),
            Case("equal", equal, surrogate="all edges are equal", cancels=1.0),
            Case("no boxes", boxes(0, reduction="mean")),
        ),
    ),
    Op(
        "roi_align",
        F.roi_align,
        roi_align,
        source=MASK,
        cases=(
            Case("adaptive", regions(2, 12, 14, output_size=3)),
            Case("aligned", regions(2, 12, 14, output_size=(2, 3), aligned=True)),
            Case(
                "scaled, two samples",
                regions(3, 7, 6, output_size=(3, 2), spatial_scale=0.5, sampling_ratio=2),
            ),
            Case(
                "aligned, scaled, one sample",
                regions(1, 5, 8, output_size=2, spatial_scale=0.4, sampling_ratio=1, aligned=True),
            ),
            Case("by picture", by_picture),
            Case("one pixel", regions(2, 1, 1, output_size=2)),
            Case(
                "no boxes",
                lambda d: Call(d.normal(2, 3, 4, 4), const(d.array(np.zeros((0, 5)))), 2),
                zero=("input",),
            ),
        ),
    ),
    routine("grid_targets", YOLO, assigned),
    routine("decode_grid", YOLO, read),
    Op(
        "grid_detection_loss",
        F.grid_detection_loss,
        grid_loss.grid_detection_loss,
        source=YOLO,
        cases=(
            Case("one prior", lambda d: said(d, 3, 1, 7, 2, 4)),
            Case("three priors", lambda d: said(d, 2, 3, 9, 3, 2, coord=1.0, noobj=2.0)),
            Case("one class", lambda d: said(d, 2, 2, 6, 3, 2, noobj=0.1)),
            Case("no objects", empty),
            Case("saturated", saturated),
        ),
    ),
    Layer(
        "GridDetector",
        scratch.models.GridDetector,
        torch_ref.models.GridDetector,
        source=YOLO,
        c=1000,
        cases=(
            Case(
                "two priors",
                lambda d: Call(d.normal(2, 2, 4, 6)),
                init=Call(2, 3, PRIORS, (3, 4)),
            ),
            Case("three stages", lambda d: Call(d.normal(3, 1, 8, 4)), init=Call(widths=(2, 3, 2))),
        ),
    ),
    Routine(
        "GridDetector.detect",
        scratch.models.GridDetector,
        torch_ref.models.GridDetector,
        {"found": detected},
        source=YOLO,
        c=1000,
    ),
]


# Refusals

B, S = CORNERS[:3], np.array([0.5, 0.75, 0.25])
X, R = np.ones((2, 3, 5, 5)), np.array([[0, 1.0, 1, 3, 3], [1, 0, 0, 2, 2]])
INSIDE_OUT = B[:, [2, 3, 0, 1]]
L, B32 = np.array([0, 1, 2]), B.astype(np.float32)
T: dict[str, Any] = {"boxes": B, "labels": L}
Y = np.zeros((3, 2, 8, 2, 4))
RIGHT = np.ones((3, 2, 2, 4), bool), np.zeros((3, 2, 4, 2, 4)), np.zeros((3, 2, 2, 4), int)
MODEL = scratch.models.GridDetector()


def refused(function: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Refusal:
    name = function.__name__
    return Refusal(f"{name}: {what}", functools.partial(function, *args, **kwargs), name)


REFUSALS = [
    refused(detection.box_area, "integers", B.astype(int)),
    refused(detection.box_area, "five columns", R),
    refused(detection.box_iou, "list", B, B.tolist()),
    refused(detection.box_iou, "one box", B, B[0]),
    refused(detection.box_iou, "dtypes", B, B.astype(np.float32)),
    refused(detection.generalized_box_iou, "columns", B[:, :2], B),
    refused(detection.generalized_box_iou, "dtypes", B.astype(np.float32), B),
    refused(detection.box_convert, "unknown format", B, "xyxy", "yxyx"),
    refused(detection.box_convert, "unknown source", B, "xxyy", "xyxy"),
    refused(detection.box_convert, "columns", R, "xyxy", "xywh"),
    refused(detection.clip_boxes_to_image, "one size", B, 5),
    refused(detection.clip_boxes_to_image, "half a pixel", B, (5, 2.5)),
    refused(detection.clip_boxes_to_image, "negative", B, (-1, 5)),
    refused(detection.clip_boxes_to_image, "columns", R, (5, 5)),
    refused(detection.encode_boxes, "numbers of boxes", B, B[:2]),
    refused(detection.encode_boxes, "no area", CORNERS, CORNERS),
    refused(detection.encode_boxes, "inside out", B, INSIDE_OUT),
    refused(detection.encode_boxes, "three weights", B, B, (1.0, 1.0, 1.0)),
    refused(detection.encode_boxes, "weight of 0", B, B, (1.0, 1.0, 0.0, 1.0)),
    refused(detection.decode_boxes, "columns", np.zeros((3, 6)), B),
    refused(detection.decode_boxes, "numbers of boxes", np.zeros((2, 4)), B),
    refused(detection.decode_boxes, "weights", np.zeros((3, 4)), B, 1.0),
    refused(detection.decode_boxes, "clip", np.zeros((3, 4)), B, bbox_xform_clip=np.nan),
    refused(detection.nms, "numbers of scores", B, S[:2], 0.5),
    refused(detection.nms, "integer scores", B, np.arange(3), 0.5),
    refused(detection.nms, "dtypes", B, S.astype(np.float32), 0.5),
    refused(detection.nms, "threshold", B, S, 1.5),
    refused(detection.nms, "a word", B, S, "half"),
    refused(detection.batched_nms, "floating categories", B, S, S, 0.5),
    refused(detection.batched_nms, "numbers of categories", B, S, np.arange(2), 0.5),
    refused(detection.batched_nms, "threshold", B, S, np.arange(3), -0.5),
    refused(F.sigmoid_focal_loss, "shapes", S, S[:2]),
    refused(F.sigmoid_focal_loss, "integer labels", S, np.arange(3)),
    refused(F.sigmoid_focal_loss, "alpha", S, S, alpha=1.5),
    refused(F.sigmoid_focal_loss, "alpha below 0", S, S, alpha=-0.5),
    refused(F.sigmoid_focal_loss, "gamma", S, S, gamma=-1.0),
    refused(F.sigmoid_focal_loss, "reduction", S, S, reduction="max"),
    refused(F.generalized_box_iou_loss, "shapes", B, B[:2]),
    refused(F.generalized_box_iou_loss, "columns", R, R),
    refused(F.generalized_box_iou_loss, "inside out", INSIDE_OUT, B),
    refused(F.generalized_box_iou_loss, "the other inside out", B, INSIDE_OUT),
    refused(F.generalized_box_iou_loss, "eps", B, B, eps=-1.0),
    refused(F.generalized_box_iou_loss, "reduction", B, B, "batchmean"),
    refused(F.roi_align, "three axes", X[0], R, 2),
    refused(F.roi_align, "four columns", X, R[:, 1:], 2),
    refused(F.roi_align, "dtypes", X, R.astype(np.float32), 2),
    refused(F.roi_align, "no such picture", X, R + 1, 2),
    refused(F.roi_align, "half a picture", X, R + 0.5, 2),
    refused(F.roi_align, "pictures", X, [R[:, 1:]], 2),
    refused(F.roi_align, "columns", X, [R, R], 2),
    refused(F.roi_align, "NaN", X, R * [1, np.nan, 1, 1, 1], 2),
    refused(F.roi_align, "no bins", X, R, 0),
    refused(F.roi_align, "three sizes", X, R, (2, 2, 2)),
    refused(F.roi_align, "scale", X, R, 2, 0.0),
    refused(F.roi_align, "half a sample", X, R, 2, 1.0, 0.5),
    refused(F.roi_align, "aligned a word", X, R, 2, aligned="yes"),
    refused(detection.grid_targets, "no pictures", [], (2, 2), PRIORS, 4),
    refused(detection.grid_targets, "boxes alone", [{"boxes": B}], (2, 2), PRIORS, 4),
    refused(
        detection.grid_targets, "floating labels", [{"boxes": B, "labels": S}], (2, 2), PRIORS, 4
    ),
    refused(detection.grid_targets, "labels", [{**T, "labels": L[:2]}], (2, 2), PRIORS, 4),
    refused(detection.grid_targets, "dtypes", [T, {**T, "boxes": B32}], (2, 2), PRIORS, 4),
    refused(detection.grid_targets, "no area", [{**T, "boxes": B * 0}], (2, 2), PRIORS, 4),
    refused(detection.grid_targets, "outside", [{**T, "boxes": B + 9}], (2, 2), PRIORS, 4),
    refused(detection.grid_targets, "no cells", [T], (0, 2), PRIORS, 4),
    refused(detection.grid_targets, "priors", [T], (2, 2), ((1.0, 0.0),), 4),
    refused(detection.grid_targets, "no priors", [T], (2, 2), (), 4),
    refused(detection.grid_targets, "stride", [T], (2, 2), PRIORS, 2.5),
    refused(detection.decode_grid, "other priors", Y, PRIORS[:1], 4),
    refused(detection.decode_grid, "no classes", Y[:, :, :5], PRIORS, 4),
    refused(detection.decode_grid, "stride", Y, PRIORS, 0),
    refused(F.grid_detection_loss, "no classes", Y[:, :, :5], *RIGHT),
    refused(F.grid_detection_loss, "integer objects", Y, RIGHT[0].astype(int), *RIGHT[1:]),
    refused(F.grid_detection_loss, "shape of objects", Y, RIGHT[0][:, :1], *RIGHT[1:]),
    refused(F.grid_detection_loss, "shape of boxes", Y, RIGHT[0], RIGHT[1][:, :, :3], RIGHT[2]),
    refused(F.grid_detection_loss, "shape of labels", Y, *RIGHT[:2], RIGHT[2][:1]),
    refused(F.grid_detection_loss, "class too high", Y, *RIGHT[:2], RIGHT[2] + 3),
    refused(F.grid_detection_loss, "coord", Y, *RIGHT, coord=-1.0),
    refused(F.grid_detection_loss, "noobj", Y, *RIGHT, noobj=np.nan),
    refused(scratch.models.GridDetector, "no channels", 0),
    refused(scratch.models.GridDetector, "no classes", 1, 0),
    refused(scratch.models.GridDetector, "prior", priors=((1.0, -1.0),)),
    refused(scratch.models.GridDetector, "three sides", priors=((1.0, 1.0, 1.0),)),
    refused(scratch.models.GridDetector, "one width", widths=8),
    refused(scratch.models.GridDetector, "width", widths=(8, 0)),
    Refusal("GridDetector: odd", lambda: MODEL(np.ones((1, 1, 8, 6), np.float32)), "GridDetector"),
    Refusal(
        "GridDetector.detect: threshold",
        lambda: MODEL.detect(np.ones((1, 1, 8, 8), np.float32), 1.5),
        "GridDetector.detect",
    ),
]
