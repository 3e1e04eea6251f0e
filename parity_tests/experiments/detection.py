"""Object detection: where the circles and the squares are, three in a picture, some hidden.

    grid          GridDetector, trained in both packages from one start on the same batches
    components    pixels above a threshold that touch are one object; the box around them is a
                  square if it is full, a circle if the corners are missing, and the surer the
                  more it is like the mean box of the training pictures
    prior         the mean box, at every cell, as sure everywhere

The guide [6570-6577] names YOLO, Faster R-CNN and RetinaNet and computes none of them. Shapes that
overlap are what tells a detector from connected components; a shape that is hidden by a later one
cannot be found by anything, so that the best is below 1.

Sources: Redmon et al. 2016, arXiv:1506.02640; Redmon & Farhadi 2017, arXiv:1612.08242; average
precision: Everingham et al. 2010, Lin et al. 2014, arXiv:1405.0312.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.shapes import CLASSES as KINDS
from datasets.shapes import Scenes, shape_scenes
from datasets.split import batch_stream
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import numpy
from scratch import detection
from scratch.training import metrics
from torch_ref.training import metrics as torch_metrics

Boxes = list[dict[str, Array]]
THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))
LEAST = 0.01  # of a score that is counted


@dataclass(frozen=True)
class Plan:
    """Side of the pictures, shapes in each, how many, channels, steps and Adam's highest rate."""

    size: int
    objects: int
    train: int
    test: int
    widths: tuple[int, ...]
    steps: int
    batch: int
    rate: float


FULL = Plan(32, 3, 1500, 400, (8, 16, 32), 400, 32, 0.02)
SMALL = Plan(24, 2, 300, 60, (6, 12, 16), 70, 16, 0.03)


@dataclass(frozen=True, eq=False)
class Found:
    """What both trained twins say of the test pictures; pairs are scratch's and torch's.

    Attributes:
        losses: of each step.
        said: raw predictions.
        output: detections.
        all: scratch's detections without suppression.
    """

    losses: list[tuple[Array, Array]]
    said: tuple[Array, Array]
    output: tuple[Boxes, list[dict[str, torch.Tensor]]]
    all: Boxes


def truth(scenes: Scenes) -> Boxes:
    """The true boxes and classes of each picture."""
    rows = zip(scenes.boxes.astype(np.float64), scenes.classes, strict=True)
    return [{"boxes": boxes, "labels": labels} for boxes, labels in rows]


def tensors(pictures: Boxes) -> list[dict[str, torch.Tensor]]:
    """The same for torch."""
    return [{k: torch.from_numpy(v) for k, v in picture.items()} for picture in pictures]


def twins(priors: list[tuple[float, float]], widths: tuple[int, ...], seed: int) -> Twins:
    """Two detectors from one start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.GridDetector(priors=priors, widths=widths)
    return alike(scratch.models.GridDetector(priors=priors, widths=widths), theirs)


def trained(plan: Plan, seen: Scenes, held: Scenes, seed: int) -> tuple[Found, Twins]:
    """Train both by Adam with one cycle of the rate, and let them look at the test pictures."""
    side = float(np.mean(seen.boxes[..., 2:] - seen.boxes[..., :2]))
    pair = twins([(side, side)], plan.widths, seed)
    models: tuple[Any, Any] = (pair.ours, pair.theirs)
    x, size = seen.images.astype(np.float64), (plan.size, plan.size)
    targets = models[0].targets(truth(seen), size)
    batches = batch_stream(plan.train, plan.batch, plan.steps, seed)
    steps = pair.descend(
        "Adam",
        {"lr": plan.rate},
        ((x[rows], *(part[rows] for part in targets)) for rows in batches),
        cycle=plan.steps,
    )
    losses = list(steps)
    pictures = held.images.astype(np.float64)
    said = pair(pictures)  # which sets evaluation mode
    output = models[0].detect(pictures, LEAST), models[1].detect(torch.from_numpy(pictures), LEAST)
    return Found(losses, said, output, models[0].detect(pictures, LEAST, 1.0)), pair


def components(scenes: Scenes, side: float, threshold: float = 0.3) -> Boxes:
    """Pixels above the threshold that touch along a side, and the box around them.

    Args:
        scenes: the pictures.
        side: of a square that a box is surest to be like.
        threshold: between paper and the lightest shape.
    """
    on = scenes.images[:, 0] > threshold
    size = on.shape[1]
    names = np.where(on, 1 + np.arange(size * size).reshape(size, size), 0)
    before = np.zeros_like(names)
    while not np.array_equal(names, before):  # the highest name of a component spreads
        before = names
        around = np.pad(names, ((0, 0), (1, 1), (1, 1)))
        names = np.maximum.reduce(
            [
                names,
                around[:, 2:, 1:-1],
                around[:, :-2, 1:-1],
                around[:, 1:-1, 2:],
                around[:, 1:-1, :-2],
            ]
        )
        names = np.where(on, names, 0)
    found = []
    for picture in names:
        rows, columns = np.nonzero(picture)
        _, which, areas = np.unique(picture[rows, columns], return_inverse=True, return_counts=True)
        boxes = np.zeros((len(areas), 4))
        boxes[:, :2] = size
        for axis, at in enumerate((columns, rows)):
            np.minimum.at(boxes[:, axis], which, at)
            np.maximum.at(boxes[:, axis + 2], which, at + 1)
        share = areas / np.maximum(detection.box_area(boxes), 1)
        large = areas >= 8  # less is noise
        label = (share > (1 + np.pi / 4) / 2).astype(np.int64)
        sides = boxes[:, 2:] - boxes[:, :2]
        common = np.minimum(sides, side).prod(1)
        scores = common / (sides.prod(1) + side**2 - common)
        found.append({"boxes": boxes[large], "scores": scores[large], "labels": label[large]})
    return found


def at_every_cell(pictures: int, model: Any, size: int) -> Boxes:
    """The prior at each cell, in turn a circle and a square."""
    cells = size // model.stride
    nothing = np.zeros((1, 1, 7, cells, cells))
    boxes = detection.decode_grid(nothing, model.priors, model.stride)[0][0]
    boxes = detection.clip_boxes_to_image(boxes, (size, size))
    labels = np.arange(len(boxes)) % len(KINDS)
    return [{"boxes": boxes, "scores": np.ones(len(boxes)), "labels": labels}] * pictures


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train, look at pictures that neither twin has seen, and compare with what needs no learning.

    Args:
        out: folder for the figures.
        small: smaller pictures with fewer shapes, fewer steps.
        seed: of the pictures, the start and the batches.

    Returns:
        Average precisions, with the claims about them.
    """
    outcome = Outcome("detection")
    plan = SMALL if small else FULL
    seen = shape_scenes(plan.train, plan.size, plan.objects, seed=2 * seed)
    held = shape_scenes(plan.test, plan.size, plan.objects, seed=2 * seed + 1)
    found, pair = trained(plan, seen, held, seed)
    model: Any = pair.ours
    target = truth(held)
    others = {
        "components": components(held, model.priors[0][0]),
        "prior": at_every_cell(plan.test, model, plan.size),
    }
    reached = {
        "grid": [metrics.mean_average_precision(found.output[0], target, t) for t in THRESHOLDS]
    }
    for name, boxes in others.items():
        reached[name] = [metrics.mean_average_precision(boxes, target, t) for t in THRESHOLDS]
    _claims(outcome, plan, found, reached, held, model)
    outcome.figures = [
        _draw_scenes(out / "detection_scenes.png", held, found.output[0], others["components"]),
        _draw_curves(out / "detection_curves.png", found, reached, target, others["components"]),
    ]
    return outcome


def _claims(
    outcome: Outcome,
    plan: Plan,
    found: Found,
    reached: dict[str, list[float]],
    held: Scenes,
    model: Any,
) -> None:
    target = truth(held)
    theirs = torch_metrics.mean_average_precision(found.output[1], tensors(target))
    voc = metrics.mean_average_precision(found.output[0], target, 0.5, "voc")
    doubled = metrics.mean_average_precision(found.all, target)
    ours = reached["grid"][0]
    objects, _, _ = model.targets(target, (plan.size, plan.size))
    share = float(objects.sum()) / held.classes.size
    gap = max(apart(*zip(*found.losses, strict=True)), apart(*found.said))
    boxes = [np.concatenate([p["boxes"] for p in found.output[0]])]
    boxes.append(np.concatenate([numpy(p["boxes"]) for p in found.output[1]]))
    same = boxes[0].shape == boxes[1].shape
    outcome.claim(
        "losses, predictions and detections of both twins agree",
        f"{plan.steps} steps: {gap:.0e} apart; {len(boxes[0])} and {len(boxes[1])} boxes; mAP@0.5 "
        f"{ours:.4f} and {theirs:.4f}",
        gap < 1e-8 and same and apart(*boxes) < 1e-8 and abs(ours - theirs) < 1e-9,
    )
    least = 0.3 if plan is SMALL else 0.9
    outcome.claim(
        f"the grid detector reaches mAP@0.5 above {least} on pictures it has not seen, far above "
        "its prior at every cell",
        f"{min(ours, theirs):.3f} (VOC's area {voc:.3f}); the prior {reached['prior'][0]:.3f}",
        min(ours, theirs) > max(least, reached["prior"][0] + 0.25),
    )
    means = {name: float(np.mean(values)) for name, values in reached.items()}
    if plan is not SMALL:
        best = reached["components"][0]
        outcome.claim(
            "connected components, to which shapes that meet are one, are more than 0.3 behind, "
            "and behind on the mean over thresholds 0.5 to 0.95",
            f"mAP@0.5 {best:.3f}; means {means['components']:.3f} and {means['grid']:.3f}",
            min(ours, theirs) > best + 0.3 and means["grid"] > means["components"],
        )
    outcome.claim(
        "as one predictor answers for an object, there is little to suppress",
        f"mAP@0.5 {doubled:.3f} without suppression; {share:.1%} of the objects have a predictor "
        "of their own, the others share one",
        abs(doubled - ours) < 0.05,
    )
    outcome.numbers = {
        "mAP by threshold": {
            name: dict(zip(map(str, THRESHOLDS), v, strict=True)) for name, v in reached.items()
        },
        "mAP@0.5 of torch": theirs,
        "mAP@0.5 by VOC's area": voc,
        "mAP@0.5 without suppression": doubled,
        "mean over thresholds": means,
        "objects with a predictor of their own": share,
        "apart": gap,
    }
    lines = [f"{'':12}{'mAP@0.5':>10}{'mAP@0.75':>10}{'0.5-0.95':>10}"]
    lines += [f"{k:12}{v[0]:10.3f}{v[5]:10.3f}{means[k]:10.3f}" for k, v in reached.items()]
    outcome.text = "\n".join(lines)


COLOURS = (CLASSES[0], CLASSES[1])


def _box(ax: Any, box: Array, colour: str, style: str, width: float) -> None:
    """Pixel i reaches from i - 1/2 to i + 1/2 in the figure."""
    x1, y1, x2, y2 = box - 0.5
    corners = [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1]
    ax.plot(*corners, style, color=colour, lw=width, clip_on=False)


def _draw_scenes(path: Path, held: Scenes, output: Boxes, plain: Boxes) -> Path:
    """Pictures with what is true, what the detector says and what components say."""
    columns, least = 6, 0.3
    names = ("true", "grid", "components")
    with figure(path, len(names), columns, (13, 7.4)) as (fig, axes):
        for i in range(columns):
            for row, name in enumerate(names):
                ax = axes[row, i]
                ax.imshow(held.images[i, 0], cmap="gray_r", vmin=-0.2, vmax=2.0)
                ax.set(xticks=[], yticks=[])
                ax.grid(False)
                if i == 0:
                    ax.set_ylabel(name, fontsize=11)
            for box, label in zip(held.boxes[i], held.classes[i], strict=True):
                _box(axes[0, i], box, COLOURS[label], "--", 1.6)
            for row, picture in ((1, output[i]), (2, plain[i])):
                scores = picture["scores"]
                shown = scores > (least if row == 1 else 0)
                for box, score, label in zip(
                    picture["boxes"][shown], scores[shown], picture["labels"][shown], strict=True
                ):
                    _box(axes[row, i], box, COLOURS[label], "-", 1.6)
                    if row == 1:
                        place = box[0], box[1] - 0.8
                        axes[row, i].text(*place, f"{score:.2f}", color=COLOURS[label], fontsize=7)
        fig.suptitle(
            f"Boxes of circles (blue) and squares (red) in test pictures; of the grid detector's "
            f"those surer than {least}"
        )
    return path


def _draw_curves(
    path: Path, found: Found, reached: dict[str, list[float]], target: Boxes, plain: Boxes
) -> Path:
    with figure(path, 1, 3, (13, 4)) as (_, (left, middle, right)):
        for k, kind in enumerate(KINDS):
            for name, boxes, style in (("grid", found.output[0], "-"), ("components", plain, ":")):
                precision, recall = metrics.precision_recall_curve(boxes, target, k)
                left.plot(recall, precision, style, color=COLOURS[k], label=f"{name}, {kind}s")
        left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
        left.legend(fontsize=8, loc="lower right", bbox_to_anchor=(0.92, 0.0))
        left.set_title("precision and recall at IoU 0.5")
        styles = {"grid": SCRATCH, "components": TORCH, "prior": "0.5"}
        for name, values in reached.items():
            middle.plot(THRESHOLDS, values, color=styles[name], marker="o", ms=3, label=name)
        middle.set(xlabel="IoU from which a box counts as found", ylabel="mAP", ylim=(-0.02, 1.02))
        middle.legend(fontsize=8)
        middle.set_title("the closer a box must be, the fewer are found")
        ours, theirs = (np.ravel(side) for side in zip(*found.losses, strict=True))
        right.plot(ours, color=SCRATCH, label="scratch")
        right.plot(theirs, "--", color=TORCH, label="torch", lw=1)
        right.set(xlabel="step", ylabel="loss of a batch", yscale="log")
        right.legend(fontsize=8)
        right.set_title("both twins, one line")
    return path
