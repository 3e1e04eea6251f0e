"""Detection beyond what the catalog compares: against loops over single boxes, and as geometry."""

import inspect
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from parity_tests.catalog.detection import CORNERS, ENTRIES, REFUSALS, REGIONS, drawn
from parity_tests.harness.draw import Array, Draw
from parity_tests.test_structure import public
from scratch import detection
from scratch.nn import functional as F
from scratch.training import metrics
from torch_ref import detection as torch_detection
from torch_ref.nn import box_loss, focal_loss, grid_loss
from torch_ref.nn.roi_align import roi_align as torch_roi_align
from torch_ref.training import metrics as torch_metrics

METRICS = ("mean_average_precision", "precision_recall_curve")

NAMES = sorted(public(detection))
TWINS: list[tuple[Any, Any]] = [
    *((getattr(detection, name), getattr(torch_detection, name)) for name in NAMES),
    *((getattr(metrics, name), getattr(torch_metrics, name)) for name in METRICS),
    (F.sigmoid_focal_loss, focal_loss.sigmoid_focal_loss),
    (F.generalized_box_iou_loss, box_loss.generalized_box_iou_loss),
    (F.grid_detection_loss, grid_loss.grid_detection_loss),
    (F.roi_align, torch_roi_align),
]


def test_every_name_has_an_entry_and_a_refusal() -> None:
    assert NAMES
    assert not set(NAMES) - {entry.name for entry in ENTRIES}
    assert not set(NAMES) - {refusal.name for refusal in REFUSALS}


@pytest.mark.parametrize(("ours", "theirs"), TWINS, ids=lambda f: f.__name__)
def test_twins_take_the_same_arguments(ours: Any, theirs: Any) -> None:
    mine, yours = (
        [(p.name, p.default, p.kind) for p in inspect.signature(f).parameters.values()]
        for f in (ours, theirs)
    )
    assert mine == yours


# Boxes


def overlap(a: Array, b: Array) -> float:
    """IoU of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def test_overlaps_by_counting_pixels() -> None:
    """Of boxes with whole corners: pixels in both over pixels in either."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 10, (12, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 10, (12, 2))], 1)
    grid = np.arange(20)
    within = [(grid >= boxes[:, k, None]) & (grid < boxes[:, k + 2, None]) for k in (0, 1)]
    masks = within[1][:, :, None] & within[0][:, None]
    both = np.einsum("iyx,jyx->ij", masks.astype(int), masks.astype(int))
    union = masks.sum((1, 2))[:, None] + masks.sum((1, 2)) - both
    found = detection.box_iou(boxes.astype(float), boxes.astype(float))
    np.testing.assert_allclose(found, both / union, rtol=1e-14)


def test_boxes_apart_are_told_apart_by_giou() -> None:
    at = np.array([[0, 0, 2, 2.0]])
    others = np.array([[3, 0, 5, 2], [10, 0, 12, 2], [100, 0, 102, 2.0]])
    assert not detection.box_iou(at, others).any()
    found = detection.generalized_box_iou(at, others)[0]
    np.testing.assert_allclose(found, [-0.2, -2 / 3, -49 / 51])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_deltas_there_and_back(dtype: Any) -> None:
    d = Draw("deltas", dtype)
    boxes, seen, weights = drawn(d, 30), drawn(d, 30), (10.0, 10.0, 5.0, 5.0)
    back = detection.decode_boxes(detection.encode_boxes(boxes, seen, weights), seen, weights)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, boxes, atol=200 * np.finfo(dtype).eps)
    grown = detection.decode_boxes(np.full((30, 4), 99, dtype), seen)
    limit = (seen[:, 2:] - seen[:, :2]) * dtype(62.5)
    np.testing.assert_allclose(grown[:, 2:] - grown[:, :2], limit, rtol=1e-4)


def greedy(boxes: Array, scores: Array, category: Array, threshold: float) -> list[int]:
    """Box by box."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        rivals = [j for j in kept if category[i] == category[j]]
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(8))
def test_suppression_is_greedy(seed: int) -> None:
    d = Draw(f"nms {seed}", np.float64)
    boxes, scores = drawn(d, 60, 5.0), d.array(d.integers(0, 20, 60))  # which has ties
    category = d.integers(0, 3, 60)
    for threshold in (0.0, 0.2, 0.5, 0.8):
        found = detection.batched_nms(boxes, scores, category, threshold)
        assert found.tolist() == greedy(boxes, scores, category, threshold)
        found = detection.nms(boxes, scores, threshold)
        assert found.tolist() == greedy(boxes, scores, category * 0, threshold)


def test_suppression_of_a_long_chain() -> None:
    """Each box overlaps its neighbours: every other one stays, however many rounds that takes."""
    boxes = np.array([[i, 0, i + 2, 1.0] for i in range(101)])
    assert detection.nms(boxes, -np.arange(101.0), 0.3).tolist() == list(range(0, 101, 2))


# Losses


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    d = Draw("focal", np.float64)
    x, t = d.normal(6, 4, scale=3), d.array(d.mask(0.5, 6, 4))
    plain, plain_back = F.binary_cross_entropy_with_logits(x, t)
    loss, loss_back = F.sigmoid_focal_loss(x, t, -1, 0, "mean")
    np.testing.assert_allclose(loss, plain, rtol=1e-14)
    np.testing.assert_allclose(loss_back(), plain_back()[0], atol=1e-16)


def test_focal_loss_keeps_the_tail() -> None:
    """A label that is all but certain: 1 - p_t would be 0, and the loss with it."""
    loss, _ = F.sigmoid_focal_loss(np.array([40.0]), np.ones(1), -1, 1)
    np.testing.assert_allclose(loss, math.exp(-80), rtol=1e-12)


def test_giou_loss_draws_boxes_together() -> None:
    """From afar, where IoU has no gradient: each step down makes the hull smaller."""
    boxes, target = np.array([[30, 40, 34, 43.0]]), np.array([[2, 3, 8, 9.0]])
    assert not detection.box_iou(boxes, target).any()
    losses = []
    for _ in range(20):
        loss, loss_back = F.generalized_box_iou_loss(boxes, target, "sum")
        losses.append(float(loss))
        boxes = boxes - 2.0 * loss_back()[0]
    assert all(b < a for a, b in pairwise(losses))


# RoIAlign


def region(
    x: Array, box: Array, bins: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> Array:
    """(C, P, Q), sample by sample."""
    picture, offset = x[int(box[0])], 0.5 if aligned else 0.0
    x1, y1, x2, y2 = box[1:] * scale - offset
    width, height = x2 - x1, y2 - y1
    if not aligned:
        width, height = max(width, 1.0), max(height, 1.0)
    side = height / bins[0], width / bins[1]
    grid = [ratio if ratio > 0 else math.ceil(s) for s in side]
    y = np.zeros((len(picture), *bins))
    for p, q, i, j in np.ndindex(*bins, *grid):
        v = y1 + (p + (i + 0.5) / grid[0]) * side[0]
        u = x1 + (q + (j + 0.5) / grid[1]) * side[1]
        y[:, p, q] += sample(picture, v, u) / (grid[0] * grid[1])
    return y


def sample(picture: Array, v: float, u: float) -> Array:
    """Between the four pixels around; 0 where more than a pixel outside."""
    rows, columns = picture.shape[1:]
    if not (-1 <= v <= rows and -1 <= u <= columns):
        return np.zeros(len(picture))
    v, u = min(max(v, 0), rows - 1), min(max(u, 0), columns - 1)
    top, left = min(int(v), max(rows - 2, 0)), min(int(u), max(columns - 2, 0))
    below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    a, b = v - top, u - left
    upper = (1 - b) * picture[:, top, left] + b * picture[:, top, right]
    lower = (1 - b) * picture[:, below, left] + b * picture[:, below, right]
    value: Array = (1 - a) * upper + a * lower
    return value


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("scale", "ratio"), [(1.0, -1), (0.5, 2), (0.25, 1)])
def test_regions_sample_by_sample(scale: float, ratio: int, aligned: bool) -> None:
    x = Draw("regions", np.float64).normal(3, 2, 12, 14)
    y, _ = F.roi_align(x, REGIONS, (3, 2), scale, ratio, aligned)
    expected = [region(x, box, (3, 2), scale, ratio, aligned) for box in REGIONS]
    np.testing.assert_allclose(y, expected, atol=1e-13)


def test_aligned_bins_of_whole_pixels_are_the_pixels() -> None:
    """A box of 3 x 2 pixels in 3 x 2 bins, or in 1: pixels are at their centres."""
    x = Draw("pixels", np.float64).normal(1, 2, 6, 7)
    box = np.array([[0, 2, 1, 4, 4.0]])
    np.testing.assert_allclose(F.roi_align(x, box, (3, 2), aligned=True)[0][0], x[0, :, 1:4, 2:4])
    mean = F.roi_align(x, box, 1, aligned=True)[0][0, :, 0, 0]
    np.testing.assert_allclose(mean, x[0, :, 1:4, 2:4].mean((1, 2)))


def test_regions_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of maps are made a few boxes at a time."""
    x, dy = Draw("parts", np.float64).normal(3, 2, 12, 14), np.ones((len(REGIONS), 2, 2, 2))
    y, back = F.roi_align(x, REGIONS, 2)
    monkeypatch.setattr("scratch.nn.roi_align.BLOCK", 3 * 2 * 12 * 14)
    parts, parts_back = F.roi_align(x, REGIONS, 2)
    np.testing.assert_array_equal(parts, y)
    np.testing.assert_allclose(parts_back(dy), back(dy), rtol=1e-14)


def test_boxes_without_area_have_no_overlap_with_others() -> None:
    with np.errstate(all="raise"):  # 0 / 0 arises silently
        iou = detection.box_iou(CORNERS, CORNERS)
    assert np.isnan(iou[-1, -1])
    assert not iou[-1, :-1].any()


# Metrics


def scene(rng: np.random.Generator, classes: int = 3) -> tuple[dict[str, Array], dict[str, Array]]:
    """Some true boxes; detections near some of them, twice some of them, and elsewhere."""
    d = Draw(f"scene {rng.integers(1000)}", np.float64)
    true, labels = drawn(d, int(rng.integers(0, 5)), 9.0), rng.integers(0, classes, 4)
    labels = labels[: len(true)]
    copies = rng.permutation(np.repeat(np.arange(len(true)), 2))[: int(rng.integers(0, 8))]
    moved = true[copies] + rng.uniform(-1, 1, (len(copies), 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 0.1)
    other = drawn(d, int(rng.integers(0, 4)), 9.0)
    boxes = np.concatenate([moved, other])
    kinds = np.concatenate([labels[copies], rng.integers(0, classes, len(other))])
    scores = rng.integers(0, 9, len(boxes)) / 8  # which tie
    detections = {"boxes": boxes, "scores": scores, "labels": kinds}
    return detections, {"boxes": true, "labels": labels}


def average_precision(
    output: list[Any], target: list[Any], k: int, least: float, points: bool
) -> float:
    """One class, detection by detection."""
    found = [
        (-s, i, j)
        for i, picture in enumerate(output)
        for j, s in enumerate(picture["scores"])
        if picture["labels"][j] == k
    ]
    used: set[tuple[int, int]] = set()
    right = []
    for _, i, j in sorted(found):
        free = [
            (overlap(output[i]["boxes"][j], box), g)
            for g, box in enumerate(target[i]["boxes"])
            if target[i]["labels"][g] == k and (i, g) not in used
        ]
        best = max(free, default=(-1.0, 0))
        right.append(best[0] >= least)
        if right[-1]:
            used.add((i, best[1]))
    number = sum(int(np.sum(picture["labels"] == k)) for picture in target)
    hits = [sum(right[: n + 1]) for n in range(len(right))]
    curve = [(h / number, h / (n + 1)) for n, h in enumerate(hits)]
    if points:
        highest = [max((p for r, p in curve if r >= i / 100), default=0.0) for i in range(101)]
        return sum(highest) / 101
    steps = [(h - b) / number for h, b in zip(hits, [0, *hits[:-1]], strict=True)]
    return sum(step * max(p for _, p in curve[n:]) for n, step in enumerate(steps))


def tensors(pictures: list[Any]) -> list[dict[str, torch.Tensor]]:
    return [{k: torch.from_numpy(v) for k, v in picture.items()} for picture in pictures]


@pytest.mark.parametrize("interpolation", ["coco", "voc"])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_detection_by_detection(seed: int, interpolation: str) -> None:
    """Both packages, at one threshold and at several."""
    rng = np.random.default_rng(seed)
    output, target = map(list, zip(*(scene(rng) for _ in range(12)), strict=True))
    classes = sorted({int(k) for picture in target for k in picture["labels"]})
    for thresholds in (0.5, (0.3, 0.5, 0.75, 1.0)):
        each = thresholds if isinstance(thresholds, tuple) else (thresholds,)
        expected = np.mean(
            [
                average_precision(output, target, k, t, interpolation == "coco")
                for k in classes
                for t in each
            ]
        )
        ours = metrics.mean_average_precision(output, target, thresholds, interpolation)
        theirs = torch_metrics.mean_average_precision(
            tensors(output), tensors(target), thresholds, interpolation
        )
        assert 0.1 < expected < 0.9
        assert ours == pytest.approx(expected, rel=1e-12)
        assert theirs == pytest.approx(expected, rel=1e-12)
    for k in classes:
        curves = metrics.precision_recall_curve(output, target, k)
        others = torch_metrics.precision_recall_curve(tensors(output), tensors(target), k)
        for curve, other in zip(curves, others, strict=True):
            np.testing.assert_allclose(curve, other.numpy(), rtol=1e-14)


TRUE = {"boxes": np.array([[0, 0, 4, 4], [5, 5, 9, 9.0]]), "labels": np.array([0, 1])}
FOUND = {**TRUE, "scores": np.array([0.9, 0.8])}
EMPTY = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}


def both(output: list[Any], target: list[Any], *args: Any) -> float:
    """mAP, the same in both packages."""
    ours = metrics.mean_average_precision(output, target, *args)
    theirs = torch_metrics.mean_average_precision(tensors(output), tensors(target), *args)
    assert ours == pytest.approx(theirs, nan_ok=True, rel=1e-14)
    return ours


@pytest.mark.parametrize("interpolation", ["coco", "voc"])
def test_average_precision_at_its_ends(interpolation: str) -> None:
    args = (0.5, interpolation)
    swapped = {**FOUND, "labels": np.array([1, 0])}
    twice = {k: np.concatenate([v, v]) for k, v in FOUND.items()}
    assert both([FOUND], [TRUE], *args) == 1
    assert both([FOUND], [TRUE], 1.0, interpolation) == 1
    assert both([swapped], [TRUE], *args) == 0
    assert both([EMPTY], [TRUE], *args) == 0
    assert both([twice], [TRUE], *args) == 1  # wrong ones after all were found cost nothing
    assert both([FOUND, FOUND], [TRUE, EMPTY], *args) == pytest.approx(1.0)
    assert math.isnan(both([FOUND], [EMPTY], *args))
    assert math.isnan(both([], [], *args))


@pytest.mark.parametrize("second", [0, 1])
def test_of_equal_overlaps_the_last_is_taken(second: int) -> None:
    """A box between two true ones takes the second, so that only the first can still be found."""
    sides = np.array([[0, 0, 4, 4], [4, 0, 8, 4.0]])
    boxes = np.stack([np.array([2, 0, 6, 4.0]), sides[second]])
    kinds, scores = np.zeros(2, int), np.array([0.9, 0.8])
    output = [{"boxes": boxes, "labels": kinds, "scores": scores}]
    found = both(output, [{"boxes": sides, "labels": kinds}], 0.3, "voc")
    assert found == (0.5 if second else 1.0)


WRONG: dict[str, tuple[Any, ...]] = {
    "one mapping": (FOUND, TRUE),
    "pictures": ([FOUND, FOUND], [TRUE]),
    "no scores": ([TRUE], [TRUE]),
    "floating labels": ([{**FOUND, "labels": FOUND["scores"]}], [TRUE]),
    "numbers of scores": ([{**FOUND, "scores": np.ones(3)}], [TRUE]),
    "integer boxes": ([FOUND], [{**TRUE, "boxes": TRUE["boxes"].astype(int)}]),
    "threshold": ([FOUND], [TRUE], 1.5),
    "no threshold": ([FOUND], [TRUE], []),
    "interpolation": ([FOUND], [TRUE], 0.5, "11 points"),
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_average_precision_refuses(arguments: tuple[Any, ...]) -> None:
    name = "mean_average_precision"
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
        metrics.mean_average_precision(*arguments)


def test_curve_refuses_a_class_that_is_not_there() -> None:
    name = "precision_recall_curve"
    for arguments in (([FOUND], [TRUE], 2), ([FOUND], [TRUE], 0.5), ([FOUND], [TRUE], 0, -1.0)):
        with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
            made: Any = metrics
            made.precision_recall_curve(*arguments)
