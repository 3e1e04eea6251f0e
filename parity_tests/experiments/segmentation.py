"""Segmentation: U-Net and DeepLabV3 say of every pixel what it is part of, and where they err.

    cross entropy           mean over pixels of -log p(class)
    cross entropy + Dice    and the mean over images and classes of 1 - overlap of probabilities

The guide [6575] names U-Net, DeepLab and Mask R-CNN, trains none of them, and promises "pixel-level
accuracy for surgical planning". Here the pictures are made up (`datasets.shapes.shape_scenes`):
circles and squares of any grey that hide one another, labelled 1 and 2. Telling shapes from
background takes one pixel and a threshold; telling circles from squares takes all of a shape,
corners and what is hidden of it. So pixelwise classifiers, which see a pixel or its neighbourhood,
are the baseline, and whoever knows every shape but not its kind.

Both networks are small, U-Net with batch norm, DeepLabV3 on a narrow ResNet of one block a stage,
without dropout, which would draw apart in the two packages. It sees three channels, all the grey
one, at an eighth of the size, and has no way back to the details: its borders are interpolated.

Sources: Ronneberger et al. 2015, arXiv:1505.04597; Chen et al. 2017, arXiv:1706.05587; Milletari
et al. 2016, arXiv:1606.04797.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_rgb
from sklearn.linear_model import LogisticRegression

import scratch.models
import torch_ref.models
from datasets.shapes import CLASSES as KINDS
from datasets.shapes import shape_scenes
from datasets.split import batch_stream
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.training import metrics
from torch_ref.nn.dice_loss import dice_loss
from torch_ref.training import metrics as torch_metrics

NAMES = ("background", *KINDS)
UNET, DEEPLAB = "U-Net", "DeepLabV3"
CE, BOTH = "cross entropy", "cross entropy + Dice"
RADII = (0, 1, 2, 3)  # of the neighbourhoods that pixelwise classifiers see
FARTHEST = 5


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    Attributes:
        size: height and width of a scene.
        objects: shapes in each.
        train: scenes to learn from.
        test: scenes to be judged on.
        batch: scenes in a step.
        every: steps between two looks at the test scenes.
        ways: (network, loss), steps of Adam, and the top of the rate's one cycle.
        unet: depth and width of U-Net.
        deeplab: width of DeepLabV3.
        seed: of scenes, start and order.
    """

    size: int
    objects: int
    train: int
    test: int
    batch: int
    every: int
    ways: dict[tuple[str, str], tuple[int, float]]
    unet: tuple[int, int]
    deeplab: int
    seed: int


@dataclass(frozen=True, eq=False)
class Data:
    """Scenes in float64, less the mean grey; their labels."""

    x: Array
    t: Array
    test_x: Array
    test_t: Array


@dataclass
class Trained:
    """One network by one loss; each pair is scratch's and torch's.

    Attributes:
        losses: of each batch.
        at: steps after which the test scenes were looked at.
        iou: mean IoU after those.
        logits: of the test scenes at the end, (test, 3, size, size).
    """

    losses: list[tuple[float, float]] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    iou: list[tuple[float, float]] = field(default_factory=list)
    logits: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))

    @property
    def drift(self) -> float:
        """How far losses and logits are apart, relative to the largest."""
        return max(apart(*zip(*self.losses, strict=True)), apart(*self.logits))


def load(plan: Plan) -> Data:
    """Draw the scenes; those to be judged on have a seed of their own."""
    train = shape_scenes(plan.train, plan.size, plan.objects, seed=2 * plan.seed)
    test = shape_scenes(plan.test, plan.size, plan.objects, seed=2 * plan.seed + 1)
    mean = train.images.mean(dtype=np.float64)
    return Data(train.images - mean, train.labels, test.images - mean, test.labels)


def network(models: Any, name: str, plan: Plan) -> Any:
    """One of the two, of either package."""
    if name == UNET:
        depth, width = plan.unet
        return models.UNet(1, 3, depth, 1, batch_norm=True, width=width)
    model = models.DeepLabV3(3, False, (1, 1, 1, 1), (1, 2, 3), width=plan.deeplab)
    for module in model.modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    return model


def twins(name: str, plan: Plan) -> Twins:
    """Two models from one start; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        theirs = network(torch_ref.models, name, plan)
    return alike(network(scratch.models, name, plan), theirs)


def losses(loss: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(model, x, t) -> the loss and, in scratch, its backward."""

    def ours(model: Any, x: Array, t: Array) -> tuple[Array, Backward]:
        logits, model_back = model(x)
        value, cross_entropy_back = F.cross_entropy(logits, t)
        if loss == CE:
            return value, lambda **options: model_back(cross_entropy_back(), **options)
        overlap, dice_back = F.dice_loss(logits, t)
        return value + overlap, lambda **options: model_back(
            cross_entropy_back() + dice_back(), **options
        )

    def theirs(model: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        logits = model(x)
        value = torch.nn.functional.cross_entropy(logits, t)
        return value if loss == CE else value + dice_loss(logits, t)

    return ours, theirs


def trained(data: Data, name: str, loss: str, plan: Plan) -> Trained:
    """Train both packages on the same batches, looking at the test scenes now and then."""
    steps, rate = plan.ways[name, loss]
    pair, result = twins(name, plan), Trained()
    channels = 1 if name == UNET else 3
    x, test_x = (np.repeat(a, channels, axis=1) for a in (data.x, data.test_x))

    def batches() -> Iterator[tuple[Array, Array]]:
        for rows in batch_stream(len(x), plan.batch, steps, plan.seed):
            yield x[rows], data.t[rows]

    def cycle(package: Any, stepper: Any) -> Any:
        return package.OneCycleLR(stepper, rate, steps)

    run = pair.steps("Adam", {"lr": rate}, losses(loss), batches(), schedule=cycle)
    for step, (a, b) in enumerate(run, 1):
        result.losses.append((float(a[0]), float(b[0])))
        if step % plan.every == 0 or step == steps:
            result.logits = pair(test_x)
            result.at.append(step)
            result.iou.append(ious(result.logits, data.test_t))
    return result


def ious(logits: tuple[Array, Array], t: Array) -> tuple[float, float]:
    """Mean IoU of both packages, each by its own metric."""
    theirs = torch_metrics.mean_iou(torch.from_numpy(logits[1]), torch.from_numpy(t))
    return metrics.mean_iou(logits[0], t), theirs


def neighbourhoods(x: Array, radius: int) -> Array:
    """The square around every pixel, edges repeated: (pixels, (2 radius + 1)^2)."""
    border, side = ((0, 0), (radius, radius), (radius, radius)), 2 * radius + 1
    padded = np.pad(x[:, 0], border, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))
    return windows.reshape(-1, side * side)


def one_hot(labels: Array) -> Array:
    """Logits (N, 3, H, W) that name these classes."""
    return np.ascontiguousarray(np.moveaxis(np.eye(3)[labels], -1, 1))


def baselines(data: Data, pixels: int, seed: int) -> dict[str, float]:
    """Mean IoU of what sees a pixel and its neighbourhood, and of guesses.

    Args:
        data: the scenes.
        pixels: how many of the training pixels are learned from.
        seed: of their draw.
    """
    t, shape = data.test_t, data.test_t.shape
    rows = np.random.default_rng(seed).choice(data.t.size, min(pixels, data.t.size), replace=False)
    found = {"background everywhere": metrics.mean_iou(one_hot(0 * t), t)}
    for radius in RADII:
        model = LogisticRegression(max_iter=500)
        model.fit(neighbourhoods(data.x, radius)[rows], data.t.ravel()[rows])
        named = model.predict(neighbourhoods(data.test_x, radius)).reshape(shape)
        side = 2 * radius + 1
        found[f"logistic regression, {side} x {side} pixels"] = metrics.mean_iou(one_hot(named), t)
    kinds = [metrics.mean_iou(one_hot(np.where(t > 0, k, 0)), t) for k in (1, 2)]
    found["every shape right, all of one kind"] = max(kinds)
    return found


def to_border(labels: Array) -> Array:
    """Steps, diagonal ones too, to the nearest pixel of another class; at most `FARTHEST`."""
    distance = np.full(labels.shape, FARTHEST)
    for d in range(FARTHEST - 1, 0, -1):
        around = neighbourhoods(labels[:, None], d).reshape(*labels.shape, -1)
        distance[(around != labels[..., None]).any(-1)] = d
    return distance


def wrong(logits: Array, t: Array, distance: Array) -> list[float]:
    """Share of the pixels that are named wrong, by distance to the border."""
    missed = logits.argmax(1) != t
    return [float(missed[distance == d].mean()) for d in range(1, FARTHEST + 1)]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train both networks by both losses, compare with pixelwise classifiers, look at borders.

    Args:
        out: folder for the figures.
        small: small scenes of one shape, fewer steps, U-Net alone.
        seed: of scenes, start and order.

    Returns:
        IoU of all, with the claims about it.
    """
    outcome = Outcome("segmentation")
    plan = Plan(
        48,
        3,
        400,
        100,
        8,
        50,
        {
            (UNET, CE): (300, 0.01),
            (UNET, BOTH): (300, 0.01),
            (DEEPLAB, CE): (400, 0.01),
            (DEEPLAB, BOTH): (400, 0.01),
        },
        (2, 6),
        4,
        seed,
    )
    if small:
        plan = Plan(20, 1, 200, 40, 8, 35, {(UNET, BOTH): (70, 0.03)}, (1, 8), 4, seed)
    data = load(plan)
    found = {way: trained(data, *way, plan) for way in plan.ways}
    simple = baselines(data, 1000 if small else 20000, seed)
    distance = to_border(data.test_t)
    _agree(outcome, found)
    _against(outcome, found, simple, 0.05 if small else 0.15)
    if not small:
        _borders(outcome, found, data.test_t, distance)
    _table(outcome, found, simple, data.test_t)
    path = out / "segmentation.png"
    _draw_scenes(path, found, data)
    outcome.figures.append(path)
    path = out / "segmentation_iou.png"
    _draw_iou(path, found, simple, data.test_t, distance)
    outcome.figures.append(path)
    return outcome


def _agree(outcome: Outcome, found: dict[tuple[str, str], Trained]) -> None:
    """Both packages."""
    drift = max(t.drift for t in found.values())
    outcome.claim(
        "losses of every step and held-out logits of both twins agree in all ways of training",
        f"{len(found)} ways, {sum(len(t.losses) for t in found.values())} steps: {drift:.0e} apart",
        drift < 1e-9,
    )


def _against(
    outcome: Outcome,
    found: dict[tuple[str, str], Trained],
    simple: dict[str, float],
    margin: float,
) -> None:
    """Networks and pixelwise classifiers."""
    reached = {way: min(t.iou[-1]) for way, t in found.items()}
    best = max(simple, key=lambda name: simple[name])
    outcome.claim(
        f"mean IoU on held-out scenes is above that of every pixelwise classifier by {margin}",
        ", ".join(f"{name} by {loss} {iou:.3f}" for (name, loss), iou in reached.items())
        + f"; {best} {simple[best]:.3f}",
        min(reached.values()) > simple[best] + margin,
    )


def _borders(
    outcome: Outcome, found: dict[tuple[str, str], Trained], t: Array, distance: Array
) -> None:
    """Where each network errs."""
    rates = {name: wrong(found[name, CE].logits[0], t, distance) for name in (UNET, DEEPLAB)}
    outcome.numbers["wrong by distance to the border"] = rates
    outcome.claim(
        "what DeepLabV3 has not at an eighth of the size are the borders: beside one it errs far "
        "more often than U-Net, away from them both hardly do",
        "; ".join(f"{name} {r[0]:.1%} beside, {r[-1]:.2%} away" for name, r in rates.items()),
        rates[DEEPLAB][0] > 3 * rates[UNET][0] and max(r[-1] for r in rates.values()) < 0.01,
    )
    reached = {way: min(result.iou[-1]) for way, result in found.items()}
    gains = {name: reached[name, BOTH] - reached[name, CE] for name in (UNET, DEEPLAB)}
    outcome.claim(
        "where both shapes cover as much, Dice beside cross entropy changes little in the end",
        ", ".join(f"{name} {gain:+.3f}" for name, gain in gains.items()) + " in mean IoU",
        max(map(abs, gains.values())) < 0.03,
    )


def _table(
    outcome: Outcome,
    found: dict[tuple[str, str], Trained],
    simple: dict[str, float],
    t: Array,
) -> None:
    """All numbers."""
    lines = [
        f"{'':40}{'mean IoU':>10}" + "".join(f"{name:>12}" for name in NAMES) + f"{'right':>9}"
    ]
    lines += [f"{name:40}{iou:10.3f}" for name, iou in simple.items()]
    for (name, loss), result in found.items():
        logits = result.logits[0]
        each = metrics.class_iou(logits, t)
        right = metrics.pixel_accuracy(logits, t)
        numbers = "".join(f"{iou:12.3f}" for iou in each)
        lines.append(f"{name + ', ' + loss:40}{result.iou[-1][0]:10.3f}{numbers}{right:9.4f}")
        outcome.numbers[f"{name}, {loss}"] = {
            "mean IoU": result.iou,
            "at": result.at,
            "IoU": each.tolist(),
            "Dice": metrics.class_dice(logits, t).tolist(),
            "pixel accuracy": right,
            "drift": result.drift,
        }
    outcome.text = "\n".join(lines)
    outcome.numbers["baselines"] = simple


def _draw_scenes(path: Path, found: dict[tuple[str, str], Trained], data: Data) -> None:
    """Scenes, the truth, and what both packages say."""
    shown = [way for way in found if way[1] == BOTH]
    rows = 4
    colours = np.array([to_rgb(c) for c in ("white", *CLASSES[:2])])
    columns = 2 + 2 * len(shown)
    with figure(path, rows, columns, size=(1.55 * columns, 1.55 * rows + 0.5)) as (_, axes):
        for i, row in enumerate(axes):
            row[0].imshow(data.test_x[i, 0], cmap="gray_r", interpolation="nearest")
            pictures = [("truth: blue circles,\nred squares", colours[data.test_t[i]])]
            for way in shown:
                for package, logits in zip(("NumPy", "PyTorch"), found[way].logits, strict=True):
                    pictures.append((f"{way[0]},\n{package}", colours[logits[i].argmax(0)]))
            for ax, (title, picture) in zip(row[1:], pictures, strict=True):
                ax.imshow(picture, interpolation="nearest")
                if i == 0:
                    ax.set_title(title, fontsize=9)
            if i == 0:
                row[0].set_title("scene", fontsize=9)
            for ax in row:
                ax.set_xticks([])
                ax.set_yticks([])
                ax.grid(False)
                for spine in ax.spines.values():
                    spine.set_visible(True)
                    spine.set_color("0.8")


def _draw_iou(
    path: Path,
    found: dict[tuple[str, str], Trained],
    simple: dict[str, float],
    t: Array,
    distance: Array,
) -> None:
    """Mean IoU over the steps, and errors by distance to the border."""
    best = max(simple, key=lambda name: simple[name])
    with figure(path, 1, 2, size=(11, 4.2)) as (_, (left, right)):
        for (name, loss), result in found.items():
            color, style = TORCH if name == UNET else SCRATCH, "-" if loss == BOTH else "--"
            ours, theirs = np.array(result.iou).T
            left.plot(result.at, ours, style, color=color, label=f"{name}, {loss}")
            left.plot(result.at, theirs, "o", color=color, ms=5, mfc="none")
        left.plot([], [], "o", color="0.4", mfc="none", label="PyTorch (lines: NumPy)")
        left.axhline(simple[best], color="0.5", ls=":", label=best)
        left.set_ylim(0, 1.02)
        left.set_xlabel("step")
        left.set_ylabel("mean IoU on held-out scenes")
        left.legend(fontsize=8, loc="lower right")
        left.set_title("both packages on one line, far above any pixelwise classifier")
        places = np.arange(1, FARTHEST + 1)
        for (name, loss), result in found.items():
            color, style = TORCH if name == UNET else SCRATCH, "-" if loss == BOTH else "--"
            rates = wrong(result.logits[0], t, distance)
            right.plot(places, rates, style, color=color, marker="o", ms=4, label=f"{name}, {loss}")
        right.set_xticks(places, [*map(str, places[:-1]), f"{FARTHEST} or more"])
        right.set_ylim(bottom=0)
        right.set_xlabel("pixels to the nearest one of another class")
        right.set_ylabel("share named wrong")
        right.legend(fontsize=8)
        right.set_title("where the borders are, and where they are not")
