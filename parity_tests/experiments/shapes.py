"""Circles and squares: the guide's SimpleCNN, trained through every layer and as the guide does.

    whole       Adam moves W, b of the convolution and V, c of the dense layer
    last only   it moves V, c alone; the filters stay the noise that they start from

Guide: SimpleCNN on circles and squares [2540-2800]. Its backward stops at the dense layer, so the
filters that it draws as "learned" are its random start; what it reaches, it reaches with those.
Here both ways start from the same weights and see the same batches, and are judged on pictures
that were drawn apart. Random filters go a long way, and little further in five times the steps.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

import scratch.models
import scratch.optim
import torch_ref.models
import torch_ref.training
from datasets import shapes
from datasets.split import Standardizer, batch_stream
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import numpy
from scratch.nn import functional as F
from scratch.training import train

TASK = get("shapes")
TRAIN, TEST, STEPS, EVERY = 2000, 2000, 600, 50
LONGER = 5  # times as many steps for the dense layer alone
LABELS = {False: "whole network", True: "last layer only"}


@dataclass(frozen=True, eq=False)
class Data:
    """Pictures to learn from, and others.

    Attributes:
        x: (TRAIN, 1, 16, 16) float64, standardised.
        t: (TRAIN, 1): 0 a circle, 1 a square.
        test_x: (TEST, 1, 16, 16), likewise.
        test_t: (TEST, 1).
        pictures: the test pictures before they were standardised.
    """

    x: Array
    t: Array
    test_x: Array
    test_t: Array
    pictures: Array


@dataclass
class Run:
    """One way of training from one start; each pair is scratch's and torch's.

    Attributes:
        twins: both models, trained.
        start: filters (F, 1, k, k) before.
        losses: of each batch.
        at: steps after which both were judged.
        hits: accuracy on the test pictures after those.
        logits: of the test pictures at the end, scratch's and torch's, (TEST,) each.
        fit: accuracy on the training pictures at the end.
    """

    twins: Twins
    start: Array
    losses: list[tuple[float, float]] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    hits: list[tuple[float, float]] = field(default_factory=list)
    logits: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    fit: tuple[float, float] = (math.nan, math.nan)

    @property
    def apart(self) -> Array:
        """Relative difference of the twins' losses at each step."""
        a, b = np.array(self.losses).T
        gap: Array = np.abs(a - b) / np.maximum(a, b)
        return gap

    @property
    def filters(self) -> tuple[Array, Array]:
        """Of both, at the end."""
        models: tuple[Any, Any] = (self.twins.ours, self.twins.theirs)
        return models[0].conv.weight.data, numpy(models[1].conv.weight)


def load(seed: int) -> Data:
    """Draw the pictures; those to be judged on have a seed of their own."""
    x, y = shapes.shapes(TRAIN, seed=2 * seed)
    test_x, test_y = shapes.shapes(TEST, seed=2 * seed + 1)
    standardizer = Standardizer.fit(x)
    inputs = [standardizer(part).astype(np.float64) for part in (x, test_x)]
    targets = [part.reshape(-1, 1).astype(np.float64) for part in (y, test_y)]
    return Data(inputs[0], targets[0], inputs[1], targets[1], test_x)


def accuracy(logits: Array, t: Array) -> float:
    """Share of the pictures whose logit has the right sign."""
    return float(np.mean((logits > 0) == (t > 0.5)))


def learn(data: Data, last_only: bool, steps: int, seed: int) -> Run:
    """Train both twins by the task's recipe, all of their layers or the last one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.SimpleCNN(**TASK.model_args)
    twins = alike(scratch.models.SimpleCNN(**TASK.model_args), theirs)
    models: tuple[Any, Any] = (twins.ours, twins.theirs)
    moved = [(model.fc if last_only else model).parameters() for model in models]
    ours = getattr(scratch.optim, TASK.optimizer)(moved[0], **TASK.optimizer_args)
    stepper = getattr(torch.optim, TASK.optimizer)(moved[1], **TASK.optimizer_args)
    streams = [batch_stream(TRAIN, TASK.batch_size, steps, seed) for _ in range(2)]
    pairs: Iterator[Any] = zip(
        train(twins.ours, ours, TASK.loss, data.x, data.t, streams[0]),
        torch_ref.training.train(theirs, stepper, TASK.loss, data.x, data.t, streams[1]),
        strict=True,
    )
    result = Run(twins, models[0].conv.weight.data.copy())

    def judge(step: int) -> None:
        a, b = twins(data.test_x)
        result.at.append(step)
        result.hits.append((accuracy(a, data.test_t), accuracy(b, data.test_t)))
        result.logits = (a[:, 0], b[:, 0])

    judge(0)
    for a, b in pairs:
        result.losses.append((a.loss, b.loss))
        if a.step % EVERY == 0 or a.step == steps:
            judge(a.step)
    a, b = twins(data.x)
    result.fit = (accuracy(a, data.t), accuracy(b, data.t))
    return result


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train both ways, and look at what was learned.

    Args:
        out: folder for the figures.
        small: one start, fewer steps, a shorter trial of whether the last layer needs more.
        seed: of the first start and its pictures.

    Returns:
        Accuracies and differences, with the claims about them.
    """
    outcome = Outcome("shapes")
    starts, longer, steps = (1, 2, 200) if small else (5, LONGER, STEPS)
    data = {s: load(s) for s in range(seed, seed + starts)}
    whole = [learn(d, False, steps, s) for s, d in data.items()]
    last = [learn(d, True, steps, s) for s, d in data.items()]
    patient = [learn(d, True, longer * steps, s) for s, d in data.items()]
    _claims(outcome, whole, last, patient, longer)
    first = data[seed]
    outcome.figures = [
        _draw_filters(out / "shapes_filters.png", whole[0]),
        _draw_maps(out / "shapes_maps.png", whole[0], first),
        _draw_predictions(out / "shapes_predictions.png", whole[0], first),
        _draw_curves(out / "shapes_curves.png", whole, last),
    ]
    return outcome


def _claims(
    outcome: Outcome, whole: list[Run], last: list[Run], patient: list[Run], longer: int
) -> None:
    runs = {"whole": whole, "last": last, "patient": patient}
    ends = {k: np.array([r.hits[-1] for r in done]) for k, done in runs.items()}
    names = ("all of it", "the last layer", f"the same, {longer} times as long")
    lines = [f"{'trained':26}{'steps':>6}{'scratch':>22}{'torch':>22}   test pictures right"]
    for name, values, done in zip(names, ends.values(), runs.values(), strict=True):
        cells = [f"{v.mean():.2%}, least {v.min():.2%}" for v in values.T]
        lines.append(f"{name:26}{len(done[0].losses):6}{cells[0]:>22}{cells[1]:>22}")
    outcome.text = "\n".join(lines)
    drift = {k: [float(r.apart.max()) for r in done] for k, done in runs.items()}
    outcome.numbers = {
        "pictures": {"training": TRAIN, "test": TEST},
        "steps": {k: len(done[0].losses) for k, done in runs.items()},
        "test accuracy": {k: v.tolist() for k, v in ends.items()},
        "training accuracy": {k: [r.fit for r in done] for k, done in runs.items()},
        "losses apart": drift,
    }
    n = len(whole)
    outcome.claim(
        f"trained through every layer, both twins know at least 99% of the test pictures from "
        f"every start ({n})",
        f"at least {ends['whole'][:, 0].min():.2%} and {ends['whole'][:, 1].min():.2%}",
        bool(np.all(ends["whole"] >= 0.99)),
    )
    times = (1 - ends["last"]) / np.maximum(1 - ends["whole"], 1 / TEST)
    outcome.claim(
        "the same run with only the last layer updated, as the guide does, stays below 98% and "
        "makes more than five times as many mistakes, from every start",
        f"{ends['last'][:, 0].min():.1%} to {ends['last'][:, 0].max():.1%} in scratch, the same in "
        f"torch; {times.min():.0f} to {times.max():.0f} times as many mistakes",
        bool(np.all(ends["last"] < 0.98) and np.all(times > 5)),
    )
    fits = np.array([r.fit for r in patient])
    outcome.claim(
        f"time does not make up for it: after {longer} times as many steps it is still below 98% "
        "from every start",
        f"{ends['patient'].min():.1%} to {ends['patient'].max():.1%} of the test pictures, "
        f"{fits.min():.1%} to {fits.max():.1%} of those that it was trained on",
        bool(np.all(ends["patient"] < 0.98)),
    )
    moved = [np.linalg.norm(r.filters[0] - r.start) / np.linalg.norm(r.start) for r in whole]
    still = [np.array_equal(f, r.start) for r in last for f in r.filters]
    outcome.numbers["filters moved by, in units of their start"] = [float(m) for m in moved]
    outcome.claim(
        "trained through, the filters leave their start behind; otherwise they are that start",
        f"moved by {min(moved):.1f} times its norm or more; by nothing",
        bool(min(moved) > 1) and all(still),
    )
    most = max(max(values) for values in drift.values())
    same = all(
        np.array_equal(a > 0, b > 0) for d in runs.values() for r in d for a, b in [r.logits]
    )
    outcome.claim(
        f"the twins' losses agree to rounding at every step of all {3 * n} runs, and they say the "
        "same of every test picture",
        f"at most {most:.0e} apart",
        most < 1e-8 and same,
    )


def picture(ax: Axes, values: Array, low: float, high: float, colours: str = "gray_r") -> Any:
    """One picture without axes."""
    drawn = ax.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set(color="0.7", linewidth=0.6)
    return drawn


def _draw_filters(path: Path, r: Run) -> Path:
    before, after = r.start[:, 0], r.filters[0][:, 0]
    with figure(path, 2, len(before), (13, 4)) as (fig, axes):
        for row, values, name in zip(axes, (before, after), ("start", "trained"), strict=True):
            top = float(np.abs(values).max())
            for i, ax in enumerate(row):
                drawn = picture(ax, values[i], -top, top, "RdBu_r")
                ax.set_title(f"{i + 1}", fontsize=9)
            row[0].set_ylabel(name, fontsize=11)
            fig.colorbar(drawn, ax=row, label="weight", fraction=0.02)
        fig.suptitle(
            "The eight filters: noise at the start; once the gradient reaches them, edges and spots"
        )
    return path


def _draw_maps(path: Path, r: Run, data: Data) -> Path:
    """What each stage makes of a circle and of a square that are recognised."""
    models: tuple[Any, Any] = (r.twins.ours, r.twins.theirs)
    model = models[0].eval()
    right = (r.logits[0] > 0) == (data.test_t[:, 0] > 0.5)
    rows = [int(np.flatnonzero(right & (data.test_t[:, 0] == kind))[0]) for kind in (0, 1)]
    z, _ = model.conv(data.test_x[rows])
    a, _ = model.relu(z)
    p, _ = model.pool(a)
    share = p * model.fc.weight.data.reshape(p.shape[1:])
    stages = (
        ("convolution", z, "RdBu_r", True),
        ("ReLU", a, "gray_r", False),
        ("max-pooling", p, "gray_r", False),
        ("times the dense\nlayer's weights", share, "RdBu_r", True),
    )
    maps, side = z.shape[1:3]
    middles = (side + 1) * np.arange(maps) + side / 2 - 0.5
    with figure(path, size=(13, 13)) as (fig, unused):
        unused.remove()
        halves: Any = fig.subfigures(2, 1)
        for k, half in enumerate(halves):
            grid = half.subplots(len(stages), 2, width_ratios=(1, maps))
            for ax in grid[1:, 0]:
                ax.axis("off")
            picture(grid[0, 0], data.pictures[rows[k], 0], -0.2, 1.2)
            grid[0, 0].set_title("picture", fontsize=9)
            for ax, (name, values, colours, signed) in zip(grid[:, 1], stages, strict=True):
                top = float(np.abs(values).max())
                times = side // values.shape[2]
                large = values[k].repeat(times, 1).repeat(times, 2)
                gaps = np.pad(large, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
                row = np.concatenate(list(gaps), axis=1)[:, :-1]
                picture(ax, row, -top if signed else 0.0, top, colours)
                ax.set_facecolor("0.55")
                ax.set_ylabel(name, fontsize=9)
            grid[0, 1].set_title("one map for each filter, 1 to 8", fontsize=9)
            sums = [f"sum {share[k, i].sum():+.1f}" for i in range(maps)]
            grid[-1, 1].set_xticks(middles, sums, fontsize=9)
            grid[-1, 1].tick_params(axis="x", length=0)
            logit, bias = float(r.logits[0][rows[k]]), float(model.fc.bias.data[0])
            half.suptitle(
                f"A {shapes.CLASSES[k]}: the sums and the bias {bias:+.2f} make the logit "
                f"{logit:+.1f}; above 0 is a square"
            )
    return path


def _draw_predictions(path: Path, r: Run, data: Data) -> Path:
    """Some pictures, those that it is least sure of, and those that it gets wrong."""
    logits, truth = r.logits[0], data.test_t[:, 0].astype(int)
    said = (logits > 0).astype(int)
    area = data.pictures.sum((1, 2, 3), np.float64)  # the noise adds nothing on average
    sure = F.sigmoid(np.abs(logits))[0]
    wrong = np.flatnonzero(said != truth)
    unsure = np.argsort(sure, kind="stable")
    columns = 9
    shown = unsure[:columns]
    others = wrong[~np.isin(wrong, shown)]
    next_ones = unsure[~np.isin(unsure, [*shown, *others])]
    groups = (
        ("the first ones", np.arange(columns)),
        ("least confident", shown),
        ("other mistakes,\nthen less unsure", np.concatenate([others, next_ones])[:columns]),
    )
    with figure(path, len(groups), columns, (14, 6.4)) as (fig, axes):
        for row, (name, chosen) in zip(axes, groups, strict=True):
            for ax, i in zip(row, chosen, strict=True):
                picture(ax, data.pictures[i, 0], -0.2, 1.2)
                good = said[i] == truth[i]
                percent = math.floor(1000 * sure[i]) / 10  # 100% is for the certain
                ax.set_title(
                    f"{shapes.CLASSES[said[i]]} {percent:.1f}%"
                    + ("" if good else f"\nis a {shapes.CLASSES[truth[i]]}"),
                    fontsize=9,
                    color="0.15" if good else "#c00000",
                )
            row[0].set_ylabel(name, fontsize=10)
        fig.suptitle(
            f"{len(truth) - len(wrong):,} of {len(truth):,} test pictures are recognised; the "
            f"shapes of the {2 * columns} least confident cover "
            f"{area[unsure[: 2 * columns]].mean():.0f} pixels on average, all {area.mean():.0f}"
        )
    return path


def _draw_curves(path: Path, whole: list[Run], last: list[Run]) -> Path:
    colours = {False: SCRATCH, True: CLASSES[3]}
    with figure(path, 1, 3, (16, 4.8)) as (fig, (loss, hits, apart)):
        for flag, runs in ((False, whole), (True, last)):
            colour = colours[flag]
            batches = np.array(runs[0].losses)
            means = batches.reshape(-1, EVERY, 2).mean(1)
            at = EVERY * np.arange(1, len(means) + 1)
            loss.semilogy(at, means[:, 0], color=colour, label=f"{LABELS[flag]}, scratch")
            loss.semilogy(at, means[:, 1], "o", mfc="none", mec=TORCH, ms=5)
            for i, r in enumerate(runs):
                percent = 100 * np.array(r.hits)
                label = LABELS[flag] if i == 0 else None
                hits.plot(r.at, percent[:, 0], color=colour, lw=1, alpha=0.8, label=label)
                hits.plot(r.at, percent[:, 1], "o", mfc="none", mec=TORCH, ms=3, mew=0.6)
                most = r.apart.reshape(-1, EVERY).max(1)
                apart.semilogy(at, most, color=colour, lw=1, alpha=0.8, label=label)
        loss.plot([], [], "o", mfc="none", mec=TORCH, label="torch, either")
        loss.set(
            xlabel="step",
            ylabel=f"cross-entropy, mean of {EVERY} batches",
            title="The loss of both twins, first start",
        )
        hits.axhline(99, color="0.3", lw=0.8, ls=":", label="99%")
        hits.plot([], [], "o", mfc="none", mec=TORCH, ms=3, label="torch, either")
        starts = "1 start" if len(whole) == 1 else f"mean of {len(whole)} starts"
        ends = [np.mean([r.hits[-1][0] for r in runs]) for runs in (whole, last)]
        hits.set(
            xlabel="step",
            ylabel="test pictures right, %",
            ylim=(38, 101),
            title=f"{starts}: {ends[0]:.1%} against {ends[1]:.1%}",
        )
        top = max(r.apart.max() for r in [*whole, *last])
        apart.set(
            xlabel="step",
            ylabel=f"relative difference of the losses, most of {EVERY}",
            title=f"Scratch and torch are never more than {top:.0e} apart",
        )
        loss.legend(fontsize=8)
        hits.legend(fontsize=8, loc="lower right")
        apart.legend(fontsize=8, loc="upper left")
        fig.suptitle(
            "Circles and squares, same start and batches: every layer trained, or only the last"
        )
    return path
