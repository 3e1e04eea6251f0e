"""Learning rates on digits: too slow, good, as fast as it goes, and beyond.

Guide: four panels for 0.001, 0.01, 0.1 and 1 [6016-6105]. Their curves are made up: each is a
formula with noise, chosen by the rate. Yet no number is too large by itself: here 1 leads SGD to
the lowest loss of all rates, and Adam nowhere. Both are really trained at every rate of a grid, and
then with a rate that rises at each step, which finds the limit in one run (Smith 2017,
arXiv:1506.01186).

A run counts as run away when the loss of a batch exceeds 1e6; it is stopped there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
import torch_ref.training
from datasets.split import batch_stream
from datasets.tasks import Split, get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, mlps
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.training import train

SIZES, ROWS, FAR = (64, 32, 10), 32, 1e6
TINY = float(np.finfo(np.float64).tiny)
GRIDS = {
    "SGD": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    "Adam": (1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
}
# Four of each, and what they are.
SHOWN = {
    "SGD": {0.003: "too slow", 0.1: "good", 1.0: "as fast as it goes", 3.0: "runs away"},
    "Adam": {1e-4: "too slow", 0.01: "good", 0.1: "too fast", 1.0: "far too fast, yet it stays"},
}
COLOURS = {"SGD": CLASSES[2], "Adam": CLASSES[4]}
RANGES = {"SGD": (1e-3, 30.0), "Adam": (1e-5, 10.0)}


@dataclass
class Run:
    """One rate from one start; each pair is scratch's and torch's.

    Attributes:
        losses: of each batch, up to the end or to where one ran away.
        whole: over all training rows, at the start and after each epoch.
        accuracy: on the test rows, at the end.
        away: whether each ran away.
    """

    losses: list[tuple[float, float]] = field(default_factory=list)
    whole: list[tuple[float, float]] = field(default_factory=list)
    accuracy: tuple[float, float] = (math.nan, math.nan)
    away: tuple[bool, bool] = (False, False)

    @property
    def end(self) -> tuple[float, float]:
        """The loss over all training rows at the end; infinity for one that ran away."""
        ours, theirs = (
            math.inf if gone else value
            for gone, value in zip(self.away, self.whole[-1], strict=True)
        )
        return ours, theirs

    @property
    def drift(self) -> float:
        """How far the twins' losses were apart relative to themselves, the farthest."""
        a, b = np.array(self.losses).T
        return float(np.max(np.abs(a - b) / np.maximum(np.maximum(a, b), TINY)))


def loss_of(twins: Twins, x: Array, t: Array) -> tuple[float, float]:
    """Cross-entropy of both."""
    ours, theirs = twins(x)
    value = torch.nn.functional.cross_entropy(torch.from_numpy(theirs), torch.from_numpy(t))
    return float(F.cross_entropy(ours, t)[0]), value.item()


def gone(loss: float) -> bool:
    """Whether it is out of sight."""
    return not loss <= FAR


def learn(optimizer: str, lr: float, split: Split, epochs: int, seed: int) -> Run:
    """Train both twins at one rate."""
    x, t = split.train_x, split.train_y
    twins = mlps(SIZES, "ReLU", seed)
    per_epoch = math.ceil(len(x) / ROWS)
    stream = batch_stream(len(x), ROWS, epochs * per_epoch, seed)
    pairs = twins.train(optimizer, {"lr": lr}, "cross_entropy", x, t, stream)
    result = Run(whole=[loss_of(twins, x, t)])
    for _ in range(epochs):
        for pair in islice(pairs, per_epoch):
            result.losses.append(pair)
            if any(map(gone, pair)):
                break
        result.whole.append(loss_of(twins, x, t))
        if any(map(gone, result.losses[-1])):
            break
    last = [max(values) for values in zip(result.losses[-1], result.whole[-1], strict=True)]
    result.away = (gone(last[0]), gone(last[1]))
    hits = [float(np.mean(z.argmax(1) == split.test_y)) for z in twins(split.test_x)]
    result.accuracy = (hits[0], hits[1])
    return result


def range_test(
    optimizer: str, split: Split, low: float, high: float, steps: int, seed: int
) -> tuple[Array, Array]:
    """Train both twins while the rate rises by one factor at each step.

    Args:
        optimizer: class in both optim packages.
        split: the data.
        low: the first rate.
        high: the last.
        steps: how many, unless the loss gets out of hand before.
        seed: of the start and the batches.

    Returns:
        The rates (n,); the losses of the batches before each step, scratch's and torch's (n, 2).
    """
    twins = mlps(SIZES, "ReLU", seed)
    factor = (high / low) ** (1 / (steps - 1))
    x, t = split.train_x, split.train_y
    packages: tuple[Any, Any] = (scratch.optim, torch.optim)
    models: tuple[Any, Any] = (twins.ours, twins.theirs)
    optimizers = [
        getattr(package, optimizer)(model.parameters(), lr=low)
        for package, model in zip(packages, models, strict=True)
    ]
    schedulers = [
        package.lr_scheduler.ExponentialLR(one, factor)
        for package, one in zip(packages, optimizers, strict=True)
    ]
    batches = [batch_stream(len(x), ROWS, steps, seed) for _ in range(2)]
    runs: tuple[Iterator[Any], Iterator[Any]] = (
        train(twins.ours, optimizers[0], "cross_entropy", x, t, batches[0]),
        torch_ref.training.train(twins.theirs, optimizers[1], "cross_entropy", x, t, batches[1]),
    )
    rates, losses = [], []
    rate = low
    for ours, theirs in zip(*runs, strict=True):
        rates.append(rate)
        losses.append((ours.loss, theirs.loss))
        if not max(losses[-1]) < 10 * losses[0][0]:
            break
        for scheduler in schedulers:
            scheduler.step()
        rate = optimizers[0].param_groups[0]["lr"]
    return np.array(rates), np.array(losses)


def smooth(values: Array, share: float = 0.1) -> Array:
    """A running mean that weighs the newest by `share`, corrected for its start."""
    means, total = [], 0.0
    for step, value in enumerate(values, 1):
        total += share * (value - total)
        means.append(total / (1 - (1 - share) ** step))
    return np.array(means)


Runs = dict[tuple[str, float], list[Run]]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn digits at all rates, then with one that rises.

    Args:
        out: folder for the figures.
        small: fewer epochs, rates and starts.
        seed: of the first start.

    Returns:
        Losses, accuracies and differences, with the claims about them.
    """
    outcome = Outcome("learning_rates")
    epochs, starts = (7, 1) if small else (20, 3)
    runs: Runs = {}
    for name, grid in GRIDS.items():
        for lr in SHOWN[name] if small else grid:
            runs[name, lr] = [
                learn(name, lr, get("digits").load(start), epochs, start)
                for start in range(seed, seed + starts)
            ]
    _claims(outcome, runs, epochs)
    tests = _range_tests(outcome, seed)
    _draw_four(out / "learning_rates_four.png", runs, epochs)
    _draw_all(out / "learning_rates_all.png", runs, tests)
    outcome.figures += [out / "learning_rates_four.png", out / "learning_rates_all.png"]
    return outcome


def _claims(outcome: Outcome, runs: Runs, epochs: int) -> None:
    lines = [
        f"{'digits':8}{'rate':>8}{'training loss':>15}{'torch':>10}{'accuracy':>10}{'apart':>8}"
    ]
    drift = {key: max(r.drift for r in done) for key, done in runs.items()}
    for (name, lr), done in runs.items():
        ours, theirs = np.mean([r.end for r in done], axis=0)
        accuracy = np.mean([r.accuracy[0] for r in done])
        lines.append(
            f"{name:8}{lr:8g}{ours:15.3g}{theirs:10.3g}{accuracy:10.1%}{drift[name, lr]:8.0e}"
            + ("   ran away" if done[0].away[0] else "")
        )
    outcome.text = "\n".join(lines)
    outcome.numbers["epochs"] = epochs
    outcome.numbers["runs"] = {
        f"{name} {lr:g}": {
            "training loss": [None if any(r.away) else r.end for r in done],
            "test accuracy": [r.accuracy for r in done],
            "ran away at step": [len(r.losses) if any(r.away) else None for r in done],
            "twins apart": [r.drift for r in done],
        }
        for (name, lr), done in runs.items()
    }
    limits = {"SGD": 0.3, "Adam": 0.01}
    calm = [key for key in runs if key[1] <= limits[key[0]]]
    outcome.claim(
        "up to 0.3 for SGD and 0.01 for Adam the twins' losses agree at every step; larger rates "
        "amplify roundings",
        f"{max(drift[key] for key in calm):.0e} apart; "
        + ", ".join(
            f"{n} at {lr:g} {d:.0e}" for (n, lr), d in drift.items() if (n, lr) not in calm
        ),
        max(drift[key] for key in calm) < 1e-9,
    )
    away = [f"{name} at {lr:g}" for (name, lr), done in runs.items() if done[0].away[0]]
    outcome.claim(
        "both twins run away at the same rates and steps, or neither does",
        f"{', '.join(away)} run away",
        all(r.away[0] == r.away[1] for done in runs.values() for r in done),
    )

    def ends(name: str, *rates: float) -> str:
        return "; ".join(
            f"{lr:g}: " + ", ".join(f"{r.end[0]:.2g}" for r in runs[name, lr]) for lr in rates
        )

    def above(name: str, high: float, low: float, times: float) -> bool:
        """Whether every run at one rate ends so many times above that at another."""
        pairs = zip(runs[name, high], runs[name, low], strict=True)
        return all(a.end[i] > times * b.end[i] for a, b in pairs for i in (0, 1))

    outcome.claim(
        "SGD: 0.003 is too slow, 0.1 good, and 1, which the guide calls way too large, leads to "
        "the lowest loss of all",
        f"training loss after {epochs} epochs, {ends('SGD', 0.003, 0.1, 1.0)}",
        above("SGD", 0.003, 0.1, 10)
        and all(above("SGD", lr, 1.0, 1) for name, lr in runs if name == "SGD" and lr != 1),
    )
    outcome.claim(
        "SGD at 3 runs away",
        f"a batch's loss exceeds {FAR:g} at step "
        + ", ".join(str(len(r.losses)) for r in runs["SGD", 3.0]),
        all(r.away == (True, True) for r in runs["SGD", 3.0]),
    )
    outcome.claim(
        "Adam: 0.0001 is too slow, 0.01 good, 0.1 too fast, and 1 far too fast; yet it does not "
        "run away, since its steps cannot be much longer than the rate",
        f"training loss after {epochs} epochs, {ends('Adam', 1e-4, 0.01, 0.1, 1.0)}",
        above("Adam", 1e-4, 0.01, 10)
        and above("Adam", 0.1, 0.01, 5)
        and above("Adam", 1.0, 0.01, 1000)
        and not any(any(r.away) for r in runs["Adam", 1.0]),
    )


Tests = dict[str, tuple[Array, Array]]


def _range_tests(outcome: Outcome, seed: int) -> Tests:
    """The rate at which the loss is lowest while it rises, and the rates around that."""
    split = get("digits").load(seed)
    tests, found = {}, {}
    for name, (low, high) in RANGES.items():
        tests[name] = rates, losses = range_test(name, split, low, high, 180, seed)
        means = [smooth(values) for values in losses.T]
        lowest = int(means[0].argmin())
        found[name] = {
            "lowest": float(rates[lowest]),
            "lowest, torch": float(rates[means[1].argmin()]),
            "steps": lowest,
            "twins apart until there": float(
                np.max(np.abs(losses[: lowest + 1, 0] / losses[: lowest + 1, 1] - 1))
            ),
            "given up": float(rates[-1]),
        }
    outcome.numbers["range test"] = found
    bounds = {"SGD": (1.0, 3.0), "Adam": (0.01, 1.0)}
    outcome.claim(
        "a single run with a rising rate has its lowest loss above the good rates and below those "
        "that fail",
        "; ".join(
            f"{name} {f['lowest']:.2g}, after {f['steps']} steps" for name, f in found.items()
        ),
        all(low < found[name]["lowest"] < high for name, (low, high) in bounds.items()),
    )
    outcome.claim(
        "both twins find the same rate there",
        ", ".join(f"{n} {f['twins apart until there']:.0e} apart" for n, f in found.items()),
        all(
            f["twins apart until there"] < 1e-9 and f["lowest"] == f["lowest, torch"]
            for f in found.values()
        ),
    )
    return tests


def _draw_four(path: Path, runs: Runs, epochs: int) -> None:
    with figure(path, 2, 4, (17, 8), sharey="row") as (fig, axes):
        for row, (name, shown) in zip(axes, SHOWN.items(), strict=True):
            for ax, (lr, verdict) in zip(row, shown.items(), strict=True):
                r = runs[name, lr][0]
                batches = np.maximum(np.array(r.losses), 1e-9)  # some are exactly zero
                steps = np.arange(1, len(batches) + 1)
                ax.semilogy(steps, batches[:, 0], color=SCRATCH, lw=0.5, alpha=0.35)
                if any(r.away):
                    ax.semilogy(steps, batches[:, 0], "-", color=SCRATCH)
                    ax.semilogy(steps, batches[:, 1], "o", mfc="none", mec=TORCH, ms=5)
                    ax.axhline(FAR, color="0.5", lw=0.8, ls=":")
                    ax.text(1, FAR * 1.5, "stopped here", fontsize=8, color="0.4")
                    ended = f"stopped at step {len(steps)}"
                else:
                    whole = np.array(r.whole)
                    epoch = np.linspace(0, len(steps), len(whole))
                    ax.semilogy(epoch, whole[:, 0], "-", color=SCRATCH, lw=2)
                    ax.semilogy(epoch, whole[:, 1], "o", mfc="none", mec=TORCH, ms=5)
                    ended = f"{r.accuracy[0]:.1%} of the test rows right"
                ax.set_title(f"{name}, {lr:g}: {verdict}\n{ended}")
            row[0].set_ylabel("cross-entropy")
            row[0].set_ylim(bottom=1e-5)
        for ax in axes[-1]:
            ax.set_xlabel("step")
        axes[0, 3].set_xlabel("step")
        axes[0, 0].plot([], [], color=SCRATCH, lw=2, label="all training rows, scratch")
        axes[0, 0].plot([], [], "o", mfc="none", mec=TORCH, label="the same, torch")
        axes[0, 0].plot([], [], color=SCRATCH, lw=0.5, label="each batch, scratch")
        axes[0, 0].legend(fontsize=8, loc="upper right")
        fig.suptitle(
            f"Digits, 64-32-10, {epochs} epochs in batches of {ROWS}: what a rate does depends on "
            "the optimizer",
            fontsize=13,
        )


def _draw_all(path: Path, runs: Runs, tests: Tests) -> None:
    with figure(path, 1, 3, (17, 5)) as (fig, (loss, accuracy, rising)):
        finite = [r.end[0] for done in runs.values() for r in done if not any(r.away)]
        top = 30 * max(finite)
        for name, colour in COLOURS.items():
            rates = [lr for n, lr in runs if n == name]
            for i, (marker, size) in enumerate((("o", 6), ("x", 5))):
                for lr in rates:
                    ends = [min(r.end[i], top) for r in runs[name, lr]]
                    hits = [r.accuracy[i] for r in runs[name, lr]]
                    for ax, values in ((loss, ends), (accuracy, hits)):
                        ax.plot(
                            [lr] * len(values), values, marker, color=colour, ms=size, mfc="none"
                        )
            loss.plot(
                rates,
                [min(np.mean([r.end[0] for r in runs[name, lr]]), top) for lr in rates],
                color=colour,
                lw=1,
                label=name,
            )
            accuracy.plot(
                rates,
                [np.mean([r.accuracy[0] for r in runs[name, lr]]) for lr in rates],
                color=colour,
                lw=1,
            )
            grid, losses = tests[name]
            ours, theirs = (smooth(values) for values in losses.T)
            rising.semilogx(grid, ours, color=colour, lw=1.8, label=name)
            rising.semilogx(grid[::6], theirs[::6], "x", color=colour, ms=5)
            lowest = int(ours.argmin())
            rising.plot(grid[lowest], ours[lowest], "v", color=colour, ms=9)
            rising.annotate(
                f"{grid[lowest]:.2g}",
                (grid[lowest], ours[lowest]),
                (0, -15),
                textcoords="offset points",
                ha="center",
                color=colour,
            )
        loss.axhline(top, color="0.5", lw=0.8, ls=":")
        loss.text(1e-5, top * 1.2, "ran away", fontsize=8, color="0.4")
        loss.set(
            xscale="log",
            yscale="log",
            xlabel="learning rate",
            ylabel="loss over the training rows at the end",
            title="Where each rate leads",
        )
        accuracy.set(
            xscale="log",
            xlabel="learning rate",
            ylabel="test accuracy",
            title="Many rates serve, over two decades",
        )
        rising.set(
            ylim=(0, 4),
            xlabel="learning rate, rising at each step",
            ylabel="loss of the batches, running mean",
            title="One run with a rising rate finds the limit",
        )
        loss.plot([], [], "ko", mfc="none", label="scratch, each start")
        loss.plot([], [], "kx", label="torch, each start")
        loss.legend(fontsize=8, loc="lower left")
        rising.plot([], [], "v", color="0.3", label="lowest")
        rising.legend(fontsize=8, loc="lower left")
        fig.suptitle(
            "Digits, 64-32-10: the right rate is another one for each optimizer", fontsize=13
        )
