"""Every schedule of the learning rate as a curve, and what seven of them do to a real run.

Guide: reduce on plateau in its recipe [1200-1215]; step, exponential and cosine decay named
[6098-6105]. It calls cosine annealing a smooth oscillation: up to T_max it only falls, and rises
again only for those who go on. What a schedule is worth is left open there. Here digits are learned
with each, at a rate that suits the network and at four times that, and judged on held-out rows:
at the good rate none of them gains a point, and those that fall early learn less; at the high one a
constant rate ruins the network and each schedule saves it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
import torch_ref.training
from datasets.split import batch_stream
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, apart, mlps
from parity_tests.harness.draw import Array
from scratch.nn import Parameter
from scratch.nn import functional as F
from scratch.training import train

EPS = float(np.finfo(np.float64).eps)
STEPS = 100
# What a schedule is made by: the package's schedulers and an optimizer.
Make = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Curve:
    """A schedule to look at.

    Attributes:
        label: title of its panel.
        make: from lr_scheduler of either package and an optimizer with lr 1.
        optimizer: class in both optim packages.
        metric: what ReduceLROnPlateau is told at each step.
    """

    label: str
    make: Make
    optimizer: str = "SGD"
    metric: Callable[[int], float] | None = None


def sequential(s: Any, o: Any) -> Any:
    """Up along a line, then down along a cosine."""
    parts = [s.LinearLR(o, 0.05, total_iters=20), s.CosineAnnealingLR(o, 80)]
    return s.SequentialLR(o, parts, [20])


def chained(s: Any, o: Any) -> Any:
    """Two at once."""
    return s.ChainedScheduler([s.ConstantLR(o, 0.3, 20), s.ExponentialLR(o, 0.98)])


CURVES = (
    Curve("LambdaLR, 1 / (1 + e / 20)", lambda s, o: s.LambdaLR(o, lambda e: 1 / (1 + e / 20))),
    Curve("MultiplicativeLR, 0.95", lambda s, o: s.MultiplicativeLR(o, lambda e: 0.95)),
    Curve("StepLR, a tenth every 30", lambda s, o: s.StepLR(o, 30, 0.1)),
    Curve("MultiStepLR, half at 20, 50, 80", lambda s, o: s.MultiStepLR(o, [20, 50, 80], 0.5)),
    Curve("ConstantLR, 0.3 for 40", lambda s, o: s.ConstantLR(o, 0.3, 40)),
    Curve("LinearLR, 0.1 to 1 in 40", lambda s, o: s.LinearLR(o, 0.1, 1.0, 40)),
    Curve("ExponentialLR, 0.96", lambda s, o: s.ExponentialLR(o, 0.96)),
    Curve("PolynomialLR, power 2", lambda s, o: s.PolynomialLR(o, 80, 2.0)),
    Curve("CosineAnnealingLR, T_max 100", lambda s, o: s.CosineAnnealingLR(o, 100)),
    Curve("CosineAnnealingLR, gone past T_max 25", lambda s, o: s.CosineAnnealingLR(o, 25, 0.1)),
    Curve(
        "CosineAnnealingWarmRestarts, 14 28 56",
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 14, 2),
    ),
    Curve("CyclicLR, triangular", lambda s, o: s.CyclicLR(o, 0.1, 1.0, 20)),
    Curve(
        "CyclicLR, triangular2", lambda s, o: s.CyclicLR(o, 0.1, 1.0, 10, 20, mode="triangular2")
    ),
    Curve(
        "CyclicLR, exp_range",
        lambda s, o: s.CyclicLR(o, 0.1, 1.0, 12, mode="exp_range", gamma=0.98),
    ),
    Curve("OneCycleLR", lambda s, o: s.OneCycleLR(o, 1.0, total_steps=STEPS + 1)),
    Curve(
        "OneCycleLR, three phases, Adam",
        lambda s, o: s.OneCycleLR(
            o, 1.0, total_steps=STEPS + 1, anneal_strategy="linear", three_phase=True
        ),
        "Adam",
    ),
    Curve("SequentialLR, linear then cosine", sequential),
    Curve("ChainedScheduler, constant and exponential", chained),
    Curve(
        "ReduceLROnPlateau, flat from step 24 on",
        lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=9, cooldown=5),
        metric=lambda e: math.exp(-min(e, 24) / 15),
    ),
    Curve("SWALR, to 0.2 in 40", lambda s, o: s.SWALR(o, 0.2, 40)),
)


class Namespaces:
    """Schedulers of both packages, SWALR among them."""

    def __init__(self, *modules: Any) -> None:
        self.modules = modules

    def __getattr__(self, name: str) -> Any:
        return next(getattr(m, name) for m in self.modules if hasattr(m, name))


OURS = Namespaces(scratch.optim.lr_scheduler, scratch.optim.swa_utils)
THEIRS = Namespaces(torch.optim.lr_scheduler, torch.optim.swa_utils)


def settings(optimizer: Any) -> tuple[float, float]:
    """Rate and momentum that the next step will use."""
    group = optimizer.param_groups[0]
    return group["lr"], group["betas"][0] if "betas" in group else group["momentum"]


def curve(shown: Curve, theirs: bool, edit: int | None = None) -> Array:
    """Rate and momentum from step 0 on.

    Args:
        shown: the schedule.
        theirs: torch's, or scratch's.
        edit: before this step the user halves the rate.

    Returns:
        (STEPS + 1, 2).
    """
    package: Any = torch.optim if theirs else scratch.optim
    p: Any = torch.nn.Parameter(torch.zeros(1)) if theirs else Parameter(np.zeros(1))
    options = {"momentum": 0.9} if shown.optimizer == "SGD" else {}
    optimizer = getattr(package, shown.optimizer)([p], lr=1.0, **options)
    scheduler = shown.make(THEIRS if theirs else OURS, optimizer)
    values = [settings(optimizer)]
    for step in range(STEPS):
        optimizer.step()
        if step == edit:
            optimizer.param_groups[0]["lr"] /= 2
        scheduler.step(*([] if shown.metric is None else [shown.metric(step)]))
        values.append(settings(optimizer))
    return np.array(values)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Draw all schedules and learn digits with seven.

    Args:
        out: folder for the figures.
        small: one start in place of five, fewer epochs.
        seed: of the first start.

    Returns:
        Differences, losses and accuracies, with the claims about them.
    """
    outcome = Outcome("schedule_gallery")
    _curves(outcome, out)
    _runs(outcome, out, small, seed)
    return outcome


def _curves(outcome: Outcome, out: Path) -> None:
    pairs = {shown.label: (curve(shown, False), curve(shown, True)) for shown in CURVES}
    every = set(torch.optim.lr_scheduler.__all__) - {"LRScheduler"} | {"SWALR"}
    drawn = {shown.label.split(",")[0] for shown in CURVES}
    outcome.claim(
        "every schedule of torch.optim.lr_scheduler is drawn, and SWALR",
        f"{len(drawn)} of {len(every)}",
        drawn == every,
    )
    differences = {
        label: max(apart(ours[:, i], theirs[:, i]) / EPS for i in (0, 1))
        for label, (ours, theirs) in pairs.items()
    }
    outcome.numbers["largest difference of the curves in eps"] = differences
    worst = max(differences, key=lambda label: differences[label])
    outcome.claim(
        f"rate and momentum are torch's at each of {STEPS} steps",
        f"{differences[worst]:.1f} eps of the largest, {worst}; in "
        f"{sum(d == 0 for d in differences.values())} of {len(differences)} every bit",
        differences[worst] <= 64,
    )
    decay = 0.04
    exponential = Curve("", lambda s, o: s.ExponentialLR(o, math.exp(-decay)))
    formula = np.exp(-decay * np.arange(STEPS + 1))
    off = max(apart(curve(exponential, theirs)[:, 0], formula) for theirs in (False, True))
    outcome.claim(
        "exponential decay is lr e^(-k t), with e^-k for gamma",
        f"{off / EPS:.1f} eps",
        off <= 64 * EPS,
    )
    labels = [shown.label for shown in CURVES if shown.label.startswith("CosineAnnealingLR")]
    falling, past = (pairs[label][0][:, 0] for label in labels)
    outcome.claim(
        "cosine annealing only falls up to T_max; whoever goes on is back on top after 2 T_max",
        f"largest step up {np.diff(falling).max():.4f}; {past[0]:g} at 0, {past[25]:.4f} at "
        f"T_max, {past[50]:.4f} at 2 T_max",
        bool(np.all(np.diff(falling) < 0)) and abs(past[50] - 1) < 1e-9,
    )
    cosine = next(shown for shown in CURVES if shown.label == labels[0])
    halved = [curve(cosine, theirs, edit=25)[:, 0] for theirs in (False, True)]
    after = np.max(np.abs(halved[0][26:-1] / falling[26:-1] - 0.5))
    outcome.claim(
        "a rate that is halved by hand at step 25 stays halved under cosine annealing, in both: "
        "it follows from the last rate, not from the step alone",
        f"{apart(*halved) / EPS:.1f} eps apart, within {after:.0e} of half of the rest",
        apart(*halved) <= 64 * EPS and after < 1e-9,
    )

    path = out / "schedule_gallery_curves.png"
    with figure(path, 4, 5, (18, 11.5), sharex=True) as (fig, axes):
        for ax, shown in zip(axes.flat, CURVES, strict=True):
            ours, theirs = pairs[shown.label]
            ax.plot(ours[:, 0], color=SCRATCH, lw=1.6)
            ax.plot(range(0, STEPS + 1, 4), theirs[::4, 0], "o", mfc="none", mec=TORCH, ms=4.5)
            ax.set_title(shown.label, fontsize=9.5)
            ax.set_ylim(-0.06, 1.1)
            if np.ptp(ours[:, 1]) > 0:
                momentum = ax.twinx()
                momentum.plot(ours[:, 1], color=THIRD, lw=1.2, ls="--")
                momentum.plot(
                    range(0, STEPS + 1, 4), theirs[::4, 1], "s", mfc="none", mec=THIRD, ms=3.5
                )
                momentum.set_ylim(0.7, 1.0)
                momentum.set_ylabel("momentum" if shown.optimizer == "SGD" else "beta1")
                momentum.yaxis.label.set_color(THIRD)
                momentum.grid(visible=False)
        for ax in axes[-1]:
            ax.set_xlabel("step")
        for ax in axes[:, 0]:
            ax.set_ylabel("learning rate")
        marks = [
            axes[0, 0].plot([], [], color=SCRATCH, label="rate, scratch")[0],
            axes[0, 0].plot([], [], "o", mfc="none", mec=TORCH, label="rate, torch")[0],
            axes[0, 0].plot([], [], "--", color=THIRD, label="momentum, scratch")[0],
            axes[0, 0].plot([], [], "s", mfc="none", mec=THIRD, label="momentum, torch")[0],
        ]
        fig.legend(handles=marks, loc="outside lower center", ncols=4)
        fig.suptitle("Every schedule of torch.optim.lr_scheduler, from both packages", fontsize=14)
    outcome.figures.append(path)


SIZES, ROWS, GOOD, HIGH = (64, 32, 10), 32, 0.05, 0.2
# Schedules of a run of so many steps from a rate.
RECIPES: dict[str, Callable[[Any, Any, float, int], Any]] = {
    "constant": lambda s, o, lr, steps: s.ConstantLR(o, 1.0, 0),
    "step": lambda s, o, lr, steps: s.StepLR(o, math.ceil(steps / 3), 0.1),
    "exponential": lambda s, o, lr, steps: s.ExponentialLR(o, 0.01 ** (1 / steps)),
    "cosine": lambda s, o, lr, steps: s.CosineAnnealingLR(o, steps),
    "warm restarts": lambda s, o, lr, steps: s.CosineAnnealingWarmRestarts(o, steps // 7, 2),
    "one-cycle": lambda s, o, lr, steps: s.OneCycleLR(o, lr, total_steps=steps),
    "on plateau": lambda s, o, lr, steps: s.ReduceLROnPlateau(o, factor=0.1, patience=1),
}


@dataclass(frozen=True)
class Data:
    """Rows to learn from, to watch, and to be judged on.

    Attributes:
        x: inputs (n, 64).
        t: classes (n,).
        watched: rows that only reduce-on-plateau sees, inputs and classes.
        judged: the test set, likewise.
    """

    x: Array
    t: Array
    watched: tuple[Array, Array]
    judged: tuple[Array, Array]


def load(seed: int) -> Data:
    """Digits, a fifth of the training rows held out."""
    split = get("digits").load(seed)
    n = len(split.train_x) // 5
    return Data(
        split.train_x[n:],
        split.train_y[n:],
        (split.train_x[:n], split.train_y[:n]),
        (split.test_x, split.test_y),
    )


@dataclass
class Run:
    """One schedule from one rate and start; each pair is scratch's and torch's.

    Attributes:
        rates: before each step.
        losses: of each batch.
        train: loss over the training rows at the end.
        test: loss over the test rows at the end.
        accuracy: on the test rows at the end.
        outputs: for the test rows at the end.
    """

    rates: list[tuple[float, float]] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)
    train: tuple[float, float] = (math.nan, math.nan)
    test: tuple[float, float] = (math.nan, math.nan)
    accuracy: tuple[float, float] = (math.nan, math.nan)
    outputs: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))

    @property
    def drift(self) -> float:
        """How far the twins' losses, rates and last outputs are apart, the farthest of them."""
        losses, rates = (zip(*pairs, strict=True) for pairs in (self.losses, self.rates))
        return max(apart(*losses), apart(*rates), apart(*self.outputs))


def loss_of(twins: Twins, x: Array, t: Array) -> tuple[float, float]:
    """Cross-entropy of both."""
    ours, theirs = twins(x)
    value = torch.nn.functional.cross_entropy(torch.from_numpy(theirs), torch.from_numpy(t))
    return float(F.cross_entropy(ours, t)[0]), value.item()


def learn(recipe: str, lr: float, data: Data, epochs: int, seed: int) -> Run:
    """Train both twins, each with its own schedule."""
    twins = mlps(SIZES, "ReLU", seed)
    per_epoch = math.ceil(len(data.x) / ROWS)
    steps = epochs * per_epoch
    options: dict[str, Any] = {"lr": lr, "momentum": 0.9}
    optimizers = (
        scratch.optim.SGD(twins.ours.parameters(), **options),
        torch.optim.SGD(twins.theirs.parameters(), **options),
    )
    schedulers = [
        RECIPES[recipe](namespace, optimizer, lr, steps)
        for namespace, optimizer in zip((OURS, THEIRS), optimizers, strict=True)
    ]
    x, t = torch.from_numpy(data.x), torch.from_numpy(data.t)
    streams = [batch_stream(len(x), ROWS, steps, seed) for _ in range(2)]
    ours = train(twins.ours, optimizers[0], "cross_entropy", data.x, data.t, streams[0])
    theirs = torch_ref.training.train(
        twins.theirs, optimizers[1], "cross_entropy", x, t, streams[1]
    )
    result = Run()
    before = (lr, lr) if recipe != "one-cycle" else (settings(optimizers[0])[0],) * 2
    for a, b in zip(ours, theirs, strict=True):
        result.losses.append((a.loss, b.loss))
        result.rates.append(before)
        if recipe != "on plateau":
            told: list[tuple[float, ...]] = [(), ()] if a.step < steps else []
        elif a.step % per_epoch == 0:
            told = [(loss,) for loss in loss_of(twins, *data.watched)]
        else:
            told = []
        for scheduler, arguments in zip(schedulers, told, strict=False):
            scheduler.step(*arguments)
        before = (settings(optimizers[0])[0], settings(optimizers[1])[0])
    result.train, result.test = loss_of(twins, data.x, data.t), loss_of(twins, *data.judged)
    result.outputs = twins(data.judged[0])
    hits = [float(np.mean(z.argmax(1) == data.judged[1])) for z in result.outputs]
    result.accuracy = (hits[0], hits[1])
    return result


def _runs(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    epochs, starts = (7, 1) if small else (12, 5)
    runs: dict[tuple[str, float], list[Run]] = {
        (recipe, lr): [] for lr in (GOOD, HIGH) for recipe in RECIPES
    }
    for start in range(seed, seed + starts):
        data = load(start)
        for (recipe, lr), done in runs.items():
            with np.errstate(over="ignore"):
                done.append(learn(recipe, lr, data, epochs, start))

    def mean(recipe: str, lr: float, what: str, twin: int = 0) -> float:
        return float(np.mean([getattr(r, what)[twin] for r in runs[recipe, lr]]))

    lines = [
        f"digits, {epochs} epochs, mean of {starts} starts    rate {GOOD:g}{'':25}rate {HIGH:g}",
        f"{'':16}" + 2 * f"{'training':>12}{'test loss':>11}{'accuracy':>10}{'torch':>9}",
    ]
    for recipe in RECIPES:
        cells = [
            f"{mean(recipe, lr, 'train'):12.4f}{mean(recipe, lr, 'test'):11.4f}"
            f"{mean(recipe, lr, 'accuracy'):10.2%}{mean(recipe, lr, 'accuracy', 1):9.2%}"
            for lr in (GOOD, HIGH)
        ]
        lines.append(f"{recipe:16}" + "".join(cells))
    outcome.text = "\n".join(lines)
    outcome.numbers["runs"] = {
        f"{recipe}, rate {lr:g}": {
            "training loss": [r.train for r in done],
            "test loss": [r.test for r in done],
            "test accuracy": [r.accuracy for r in done],
            "twins apart": [r.drift for r in done],
        }
        for (recipe, lr), done in runs.items()
    }
    drift = {recipe: max(r.drift for r in runs[recipe, GOOD]) for recipe in RECIPES}
    worst = max(drift, key=lambda recipe: drift[recipe])
    outcome.claim(
        f"at rate {GOOD:g} both twins take the same run under every schedule",
        f"losses, rates and last outputs at most {drift[worst]:.0e} apart ({worst})",
        drift[worst] < 1e-9,
    )
    good = {recipe: mean(recipe, GOOD, "accuracy") for recipe in RECIPES}
    outcome.claim(
        f"at rate {GOOD:g} no schedule gains 1.5 points of test accuracy, none loses 2.5",
        ", ".join(f"{recipe} {value:.1%}" for recipe, value in good.items()),
        max(good.values()) < good["constant"] + 0.015
        and min(good.values()) > good["constant"] - 0.025,
    )
    wild = max(r.drift for recipe in RECIPES if recipe != "constant" for r in runs[recipe, HIGH])
    high = {recipe: [mean(recipe, HIGH, "accuracy", i) for i in (0, 1)] for recipe in RECIPES}
    outcome.claim(
        f"at rate {HIGH:g} a constant rate ruins the network and each schedule saves it, in both "
        "packages",
        ", ".join(f"{recipe} {a:.1%} and {b:.1%}" for recipe, (a, b) in high.items())
        + "; there the constant rate amplifies roundings until the twins part, a schedule's twins "
        f"are at most {wild:.0e} apart",
        all(
            high[recipe][i] > high["constant"][i]
            for recipe in RECIPES
            if recipe != "constant"
            for i in (0, 1)
        ),
    )
    _draw_runs(out / "schedule_gallery_runs.png", runs)
    outcome.figures.append(out / "schedule_gallery_runs.png")


def _draw_runs(path: Path, runs: dict[tuple[str, float], list[Run]]) -> None:
    colours = (*CLASSES, "#3d3d3d", "#4f9da6")
    smooth = 30
    with figure(path, 2, 3, (17, 8.5)) as (fig, axes):
        for (left, middle, right), lr in zip(axes, (GOOD, HIGH), strict=True):
            for i, (recipe, colour) in enumerate(zip(RECIPES, colours, strict=True)):
                done = runs[recipe, lr]
                first = done[0]
                rates, losses = np.array(first.rates), np.array(first.losses)
                width = 3 if recipe == "constant" else 1.5
                left.semilogy(np.maximum(rates[:, 0], 1e-6), color=colour, lw=width, label=recipe)
                steps = np.arange(smooth, len(losses) + 1)
                a, b = (np.convolve(v, np.ones(smooth) / smooth, "valid") for v in losses.T)
                middle.semilogy(steps, a, color=colour, lw=width)
                middle.semilogy(steps[::40], b[::40], "o", mfc="none", mec=colour, ms=5)
                accuracy = np.array([r.accuracy for r in done])
                right.plot(accuracy[:, 0], np.full(len(done), -i), "o", color=colour, alpha=0.5)
                right.plot(accuracy[:, 1], np.full(len(done), -i), "x", color="0.2", ms=5)
                right.plot(accuracy[:, 0].mean(), -i, "|", color=colour, ms=22, mew=2.5)
            left.set(
                xlabel="step", ylabel="learning rate", title=f"Schedules from or up to rate {lr:g}"
            )
            what = (
                "those that fall early learn less"
                if lr == GOOD
                else "too high for long is hard to mend"
            )
            middle.set(
                xlabel="step",
                ylabel=f"loss, mean of {smooth} batches",
                title=f"Rate {lr:g}: {what}",
            )
            right.set_yticks(-np.arange(len(RECIPES)), list(RECIPES))
            right.set(xlabel="test accuracy", title="Dots scratch, crosses torch, bar mean")
            left.legend(fontsize=8, loc="lower left")
        fig.suptitle(
            "Digits, 64-32-10: at a good rate a schedule changes little, at a high one it saves "
            "the run",
            fontsize=13,
        )
