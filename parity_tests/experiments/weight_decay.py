"""Weight decay as part of the gradient (L2) and beside it (decoupled), on digits from few rows.

    L2           g <- g + l w           the gradient of loss + l/2 |w|^2
    decoupled    w <- (1 - lr l) w      before the step                   Loshchilov & Hutter 2019

Guide: L2 regularisation [5746-5905]. It writes l/2 |w|^2 in one place and l |w|^2 with gradient
2 l w in another; weight_decay=l is the first in every optimizer, and the second is weight_decay=2l.
It lets weights decay under random gradients; here a network learns 100 rows by heart. Under SGD the
two kinds are one and the same. Under Adam they are not: there the decay is divided by the size of
the gradient too, so a weight without any other gradient shrinks at the learning rate, whatever l.
"""

import math
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
from datasets.split import batch_stream
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, apart, mlps
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import numpy
from scratch.nn import functional as F

SIZES, ROWS, BATCH = (64, 64, 10), 100, 25
FIRST = "layers.0.weight"


@dataclass(frozen=True)
class Kind:
    """An optimizer with a kind of decay.

    Attributes:
        label: how it is called here.
        optimizer: class in both optim packages.
        lr: learning rate.
        decays: values of weight_decay: none, and more and more; the last is too much.
    """

    label: str
    optimizer: str
    lr: float
    decays: tuple[float, ...]


KINDS = (
    Kind("SGD, either kind", "SGD", 0.1, (0.0, 0.003, 0.01, 0.03, 0.1)),
    Kind("Adam, L2", "Adam", 0.003, (0.0, 0.001, 0.003, 0.01, 0.1)),
    Kind("AdamW, decoupled", "AdamW", 0.003, (0.0, 0.1, 0.3, 1.0, 10.0)),
)


@dataclass(frozen=True, eq=False)
class Data:
    """A few rows of digits, and all of the test set.

    Attributes:
        x: inputs (ROWS, 64).
        t: classes (ROWS,).
        test_x: (m, 64).
        test_y: (m,).
        blank: pixels that are the same in all of x, and zero.
    """

    x: Array
    t: Array
    test_x: Array
    test_y: Array
    blank: Array


def load(seed: int) -> Data:
    """Digits, the first rows of the training set; pixels that do not vary there are zero."""
    split = get("digits").load(seed)
    x, test_x = split.train_x[:ROWS].copy(), split.test_x.copy()
    blank = np.flatnonzero(np.ptp(x, axis=0) == 0)
    x[:, blank] = test_x[:, blank] = 0
    return Data(x, split.train_y[:ROWS], test_x, split.test_y, blank)


@dataclass
class Run:
    """One decay from one start; each pair is scratch's and torch's.

    Attributes:
        norms: of all parameters together, at the start and every few steps.
        blanks: mean magnitude of the weights of blank pixels, likewise.
        losses: of each batch.
        train: loss over the training rows at the end.
        test: loss over the test rows at the end.
        accuracy: on the test rows at the end.
        first: weights of the first layer at the start and at the end, scratch.
    """

    norms: list[tuple[float, float]] = field(default_factory=list)
    blanks: list[tuple[float, float]] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)
    train: tuple[float, float] = (math.nan, math.nan)
    test: tuple[float, float] = (math.nan, math.nan)
    accuracy: tuple[float, float] = (math.nan, math.nan)
    first: tuple[Array, Array] = field(default_factory=lambda: (np.empty(0), np.empty(0)))

    @property
    def gaps(self) -> tuple[float, float]:
        """How much higher the loss is on the test rows."""
        return self.test[0] - self.train[0], self.test[1] - self.train[1]

    @property
    def drift(self) -> float:
        """How far the twins are apart in losses and norms, relative to the largest."""
        pairs = ([*self.losses, self.train, self.test], self.norms)
        return max(apart(*zip(*some, strict=True)) for some in pairs)


def parameters(twins: Twins) -> tuple[dict[str, Array], dict[str, Array]]:
    """Those of both, by name."""
    ours = {name: p.data for name, p in twins.ours.named_parameters()}
    return ours, {name: numpy(p) for name, p in twins.theirs.named_parameters()}


def loss_of(twins: Twins, x: Array, t: Array) -> tuple[float, float]:
    """Cross-entropy of both."""
    ours, theirs = twins(x)
    value = torch.nn.functional.cross_entropy(torch.from_numpy(theirs), torch.from_numpy(t))
    return float(F.cross_entropy(ours, t)[0]), value.item()


def learn(kind: Kind, decay: float, data: Data, steps: int, every: int, seed: int) -> Run:
    """Train both twins with one decay, and look at the weights every few steps."""
    twins = mlps(SIZES, "ReLU", seed)
    stream = batch_stream(ROWS, BATCH, steps, seed)
    options = {"lr": kind.lr, "weight_decay": decay}
    pairs = twins.train(kind.optimizer, options, "cross_entropy", data.x, data.t, stream)
    result = Run()

    def look() -> None:
        both = parameters(twins)
        norms = [math.sqrt(sum(float(np.sum(p**2)) for p in side.values())) for side in both]
        blanks = [float(np.abs(side[FIRST][:, data.blank]).mean()) for side in both]
        result.norms.append((norms[0], norms[1]))
        result.blanks.append((blanks[0], blanks[1]))

    start = parameters(twins)[0][FIRST].copy()
    look()
    for _ in range(steps // every):
        result.losses += islice(pairs, every)
        look()
    result.train = loss_of(twins, data.x, data.t)
    result.test = loss_of(twins, data.test_x, data.test_y)
    hits = [float(np.mean(z.argmax(1) == data.test_y)) for z in twins(data.test_x)]
    result.accuracy = (hits[0], hits[1])
    result.first = (start, parameters(twins)[0][FIRST].copy())
    return result


Runs = dict[tuple[Kind, float], list[Run]]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Compare the kinds of decay.

    Args:
        out: folder for the figures.
        small: fewer steps, from one start.
        seed: of the first start.

    Returns:
        Norms, losses and accuracies, with the claims about them.
    """
    outcome = Outcome("weight_decay")
    steps, starts, every = (160, 1, 20) if small else (400, 6, 20)
    data = {start: load(start) for start in range(seed, seed + starts)}
    runs: Runs = {
        (kind, decay): [learn(kind, decay, rows, steps, every, s) for s, rows in data.items()]
        for kind in KINDS
        for decay in kind.decays
    }
    _spellings(outcome, data[seed], seed)
    _twins(outcome, runs)
    _blank(outcome, runs, list(data.values()), steps, every)
    _effects(outcome, runs)
    _draw_effects(out / "weight_decay_effects.png", runs, every)
    _draw_blank(out / "weight_decay_blank.png", runs, every)
    outcome.figures += [out / "weight_decay_effects.png", out / "weight_decay_blank.png"]
    return outcome


def spelled(
    how: str, lr: float, decay: float, momentum: float, data: Data, steps: int, seed: int
) -> tuple[Array, Array]:
    """All parameters of both twins after some steps of SGD.

    Args:
        how: "option" is weight_decay, "half" adds decay / 2 |w|^2 to the loss, "whole" adds
            decay |w|^2, "shrink" multiplies by 1 - lr decay before each step.
        lr: learning rate.
        decay: how much.
        momentum: share of the velocity that is kept.
        data: what is learned.
        steps: how many.
        seed: of the start and of the batches.
    """
    twins = mlps(SIZES, "ReLU", seed)
    options: dict[str, Any] = {"lr": lr, "momentum": momentum}
    options["weight_decay"] = decay if how == "option" else 0.0
    ours = scratch.optim.SGD(twins.ours.parameters(), **options)
    theirs = torch.optim.SGD(twins.theirs.parameters(), **options)
    factor = {"half": decay / 2, "whole": decay}.get(how, 0.0)
    keep = 1 - lr * decay if how == "shrink" else 1.0
    x, t = torch.from_numpy(data.x), torch.from_numpy(data.t)
    for rows in batch_stream(ROWS, BATCH, steps, seed):
        y, model_back = twins.ours(data.x[rows])
        _, loss_back = F.cross_entropy(y, data.t[rows])
        ours.zero_grad()
        model_back(loss_back())
        for p in twins.ours.parameters():
            p.accumulate(2 * factor * p.data)  # of factor |w|^2
            p.data = keep * p.data
        ours.step()

        squares = torch.stack([q.square().sum() for q in twins.theirs.parameters()]).sum()
        loss = torch.nn.functional.cross_entropy(twins.theirs(x[rows]), t[rows]) + factor * squares
        theirs.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        with torch.no_grad():
            for q in twins.theirs.parameters():
                q.mul_(keep)
        theirs.step()
    flat = [np.concatenate([p.ravel() for p in side.values()]) for side in parameters(twins)]
    return flat[0], flat[1]


def _spellings(outcome: Outcome, data: Data, seed: int) -> None:
    """Which ways to write it come to the same under SGD."""
    lr, decay, steps = 0.1, 0.02, 60

    def after(how: str, amount: float, momentum: float = 0.0) -> tuple[Array, Array]:
        return spelled(how, lr, amount, momentum, data, steps, seed)

    def off(a: tuple[Array, Array], b: tuple[Array, Array]) -> float:
        return max(apart(a[i], b[i]) for i in (0, 1))

    option = after("option", decay)
    others = {
        "l/2 |w|^2": after("half", decay),
        "shrinking": after("shrink", decay),
        "l |w|^2 of half the l": after("whole", decay / 2),
        "l |w|^2": after("whole", decay),
    }
    gaps = {name: off(pair, option) for name, pair in others.items()}
    twins = max(apart(*pair) for pair in (option, *others.values()))
    outcome.numbers["SGD, parameters apart from those with weight_decay"] = gaps
    outcome.claim(
        "SGD: weight_decay=l, l/2 |w|^2 in the loss, and a shrinking by 1 - lr l before the step "
        "are the same, in both packages",
        f"l/2 |w|^2 {gaps['l/2 |w|^2']:.0e}, shrinking {gaps['shrinking']:.0e} apart after {steps} "
        f"steps; the packages {twins:.0e}",
        max(gaps["l/2 |w|^2"], gaps["shrinking"], twins) < 1e-12,
    )
    outcome.claim(
        "l |w|^2 is not weight_decay=l but weight_decay=2l",
        f"{gaps['l |w|^2']:.0e} apart; with half the l {gaps['l |w|^2 of half the l']:.0e}",
        gaps["l |w|^2"] > 1e-3 and gaps["l |w|^2 of half the l"] < 1e-12,
    )
    parted = off(after("shrink", decay, 0.9), after("option", decay, 0.9))
    outcome.claim(
        "with momentum the two kinds part under SGD too, for L2 enters the velocity",
        f"{parted:.2f} of the largest parameter apart at momentum 0.9",
        parted > 1e-3,
    )


def _twins(outcome: Outcome, runs: Runs) -> None:
    drift = {
        f"{kind.optimizer} {decay:g}": max(r.drift for r in done)
        for (kind, decay), done in runs.items()
    }
    outcome.numbers["twins apart"] = drift
    worst = max(drift, key=lambda name: drift[name])
    outcome.claim(
        f"losses and norms of both twins agree in all {sum(map(len, runs.values()))} runs",
        f"at most {drift[worst]:.0e} apart, {worst}",
        drift[worst] < 1e-9,
    )


def _blank(outcome: Outcome, runs: Runs, data: list[Data], steps: int, every: int) -> None:
    """Weights of pixels that are blank in every row: decay is all that moves them."""
    fewest, most = min(len(d.blank) for d in data), max(len(d.blank) for d in data)
    for kind in (KINDS[0], KINDS[2]):
        off = max(
            float(np.max(np.abs(end[:, d.blank] - factor * start[:, d.blank])))
            for decay in kind.decays
            for factor in [(1 - kind.lr * decay) ** steps]
            for r, d in zip(runs[kind, decay], data, strict=True)
            for start, end in [r.first]
        )
        outcome.claim(
            f"{kind.optimizer}: a weight of a blank pixel is w (1 - lr l)^t",
            f"{off:.0e} from that after {steps} steps, in {len(data)} starts with {fewest} to "
            f"{most} such pixels",
            off < 1e-13,
        )
    adam = KINDS[1]
    some = adam.decays[1:]
    measured = {d: np.array([[b for b, _ in r.blanks] for r in runs[adam, d]]) for d in some}
    spread = max(apart(measured[d], measured[some[0]]) for d in some)
    pace = (measured[some[0]][:, 0] - measured[some[0]][:, 1]) / (every * adam.lr)
    left = {decay: max(r.blanks[-1][0] for r in runs[adam, decay]) for decay in adam.decays}
    outcome.numbers["mean weight of blank pixels at the end, Adam with L2"] = left
    outcome.claim(
        "Adam with L2: it goes to zero at a pace set by lr, the same whatever l",
        f"decays {some[0]:g} to {some[-1]:g} differ by {spread:.0e} of the start; at first "
        f"{pace.mean():.2f} lr a step; {max(left[d] for d in some):.0e} is left at the end, "
        f"{left[0.0]:.3f} without decay",
        spread < 1e-3 and max(left[d] for d in some) < left[0.0] / 10,
    )


def _effects(outcome: Outcome, runs: Runs) -> None:
    """What decay does to norms, losses and accuracy."""
    lines = [
        f"{ROWS} rows of digits, mean of {len(next(iter(runs.values())))} starts",
        f"{'':18}{'decay':>7}{'norm':>8}{'training':>10}{'test loss':>11}{'gap':>8}"
        f"{'accuracy':>10}",
    ]
    means: dict[tuple[Kind, float], dict[str, float]] = {}
    for (kind, decay), done in runs.items():
        m = means[kind, decay] = {
            "norm": float(np.mean([r.norms[-1][0] for r in done])),
            "training loss": float(np.mean([r.train[0] for r in done])),
            "test loss": float(np.mean([r.test[0] for r in done])),
            "gap": float(np.mean([r.gaps[0] for r in done])),
            "test accuracy": float(np.mean([r.accuracy[0] for r in done])),
        }
        lines.append(
            f"{kind.label:18}{decay:7g}{m['norm']:8.2f}{m['training loss']:10.4f}"
            f"{m['test loss']:11.4f}{m['gap']:8.4f}{m['test accuracy']:10.1%}"
        )
    outcome.text = "\n".join(lines)
    outcome.numbers["means"] = {f"{k.label}, {d:g}": m for (k, d), m in means.items()}
    outcome.numbers["each start"] = {
        f"{kind.label}, {decay:g}": {
            "norm": [r.norms[-1] for r in done],
            "training loss": [r.train for r in done],
            "test loss": [r.test for r in done],
            "test accuracy": [r.accuracy for r in done],
        }
        for (kind, decay), done in runs.items()
    }
    starts = range(len(runs[KINDS[0], 0.0]))
    norms = [
        [[runs[kind, d][s].norms[-1][i] for d in kind.decays] for s in starts]
        for kind in KINDS
        for i in (0, 1)
    ]
    outcome.claim(
        "the more decay, the smaller the weights: for each optimizer, package and start",
        ", ".join(
            f"{kind.optimizer} {means[kind, 0.0]['norm']:.1f} to "
            f"{means[kind, kind.decays[-1]]['norm']:.1f}"
            for kind in KINDS
        ),
        all(bool(np.all(np.diff(np.array(some), axis=1) < 0)) for some in norms),
    )
    outcome.claim(
        "the gap between training and test loss narrows with decay",
        ", ".join(
            f"{kind.optimizer} {means[kind, 0.0]['gap']:.3f} to "
            f"{means[kind, kind.decays[-2]]['gap']:.3f}"
            for kind in KINDS
        ),
        all(means[kind, kind.decays[-2]]["gap"] < means[kind, 0.0]["gap"] for kind in KINDS),
    )

    def tests(kind: Kind, start: int, twin: int) -> list[float]:
        return [runs[kind, decay][start].test[twin] for decay in kind.decays]

    best = {kind: min(means[kind, d]["test loss"] for d in kind.decays) for kind in KINDS}
    outcome.claim(
        "a moderate decay lowers Adam's and AdamW's test loss in every start; too much raises "
        "everybody's above that without decay",
        ", ".join(
            f"{kind.optimizer} {means[kind, 0.0]['test loss']:.3f}, {best[kind]:.3f} at best, "
            f"{means[kind, kind.decays[-1]]['test loss']:.3f}"
            for kind in KINDS
        ),
        all(
            losses[-1] > losses[0] and (kind is KINDS[0] or min(losses) < losses[0])
            for kind in KINDS
            for start in starts
            for i in (0, 1)
            for losses in [tests(kind, start, i)]
        ),
    )
    outcome.claim(
        "decoupled decay is not the better one here: at the best of its values L2 brings Adam as "
        "low",
        f"test loss {best[KINDS[1]]:.3f} with L2, {best[KINDS[2]]:.3f} decoupled",
        best[KINDS[1]] < best[KINDS[2]] + 0.01,
    )
    right = {kind: [means[kind, d]["test accuracy"] for d in kind.decays] for kind in KINDS}
    outcome.claim(
        "the accuracy gains less than two points by decay, and too much costs it",
        ", ".join(
            f"{kind.optimizer} {some[0]:.1%}, {max(some):.1%} at best, {some[-1]:.1%}"
            for kind, some in right.items()
        ),
        all(max(some) < some[0] + 0.02 and some[-1] < some[0] for some in right.values()),
    )


COLOURS = ("#3d3d3d", *CLASSES[:4])


def _draw_effects(path: Path, runs: Runs, every: int) -> None:
    with figure(path, 3, 3, (15, 12), sharey="row") as (fig, axes):
        for column, kind in zip(axes.T, KINDS, strict=True):
            norm, loss, accuracy = column
            places = np.arange(len(kind.decays))
            for decay, colour in zip(kind.decays, COLOURS, strict=True):
                ours, theirs = np.array(runs[kind, decay][0].norms).T
                steps = every * np.arange(len(ours))
                norm.plot(steps, ours, color=colour, label=f"{decay:g}")
                norm.plot(steps[::2], theirs[::2], "o", mfc="none", mec=colour, ms=4)
            norm.set(title=f"{kind.label}, rate {kind.lr:g}", xlabel="step")
            norm.legend(title="decay", fontsize=8, ncols=2, loc="upper left")
            for what, colour in (("train", SCRATCH), ("test", TORCH)):
                values = np.array(
                    [[getattr(r, what) for r in runs[kind, d]] for d in kind.decays]
                )  # (decays, starts, 2)
                label = {"train": "training rows", "test": "test rows"}[what]
                loss.semilogy(places, values[..., 0].mean(1), color=colour, lw=2, label=label)
                loss.semilogy(places, values[..., 0], "o", color=colour, ms=4, alpha=0.4)
                loss.semilogy(places, values[..., 1], "x", color="0.2", ms=4, mew=0.8)
            hits = np.array([[r.accuracy for r in runs[kind, d]] for d in kind.decays])
            accuracy.plot(places, hits[..., 0].mean(1), color=TORCH, lw=2)
            accuracy.plot(places, hits[..., 0], "o", color=TORCH, ms=4, alpha=0.4)
            accuracy.plot(places, hits[..., 1], "x", color="0.2", ms=4, mew=0.8)
            for ax in (loss, accuracy):
                ax.set_xticks(places, [f"{d:g}" for d in kind.decays])
                ax.set_xlabel("weight_decay")
            loss.plot([], [], "o", color="0.5", ms=4, label="each start, scratch")
            loss.plot([], [], "x", color="0.2", ms=4, label="each start, torch")
        axes[0, 0].set_ylabel("norm of all parameters\n(lines scratch, rings torch)")
        axes[1, 0].set_ylabel("cross-entropy at the end")
        axes[2, 0].set_ylabel("test accuracy at the end")
        axes[1, 0].legend(fontsize=8, loc="lower right")
        fig.suptitle(
            f"Digits from {ROWS} rows: decay shrinks the weights and the gap, and helps a little "
            "until it is too much",
            fontsize=13,
        )


def _draw_blank(path: Path, runs: Runs, every: int) -> None:
    titles = (
        "SGD: $w (1 - lr\\, l)^t$",
        "Adam, L2: at the pace of the rate, whatever $l$",
        "AdamW: $w (1 - lr\\, l)^t$",
    )
    with figure(path, 1, 3, (15, 4.6), sharey=True) as (fig, axes):
        for ax, kind, title in zip(axes, KINDS, titles, strict=True):
            for i, (decay, colour) in enumerate(zip(kind.decays, COLOURS, strict=True)):
                ours, theirs = np.array(runs[kind, decay][0].blanks).T
                steps = every * np.arange(len(ours))
                width = 5 - i if kind is KINDS[1] else 1.5  # where they coincide, all are seen
                ax.semilogy(steps, ours, color=colour, lw=width, label=f"{decay:g}")
                ax.semilogy(steps[::2], theirs[::2], "o", mfc="none", mec=colour, ms=5)
                if kind is not KINDS[1]:
                    ax.semilogy(steps, ours[0] * (1 - kind.lr * decay) ** steps, "k:", lw=1)
            ax.set(title=title, xlabel="step")
            ax.legend(title="weight_decay", fontsize=8, loc="lower left")
        axes[0].set_ylabel("mean |w| of blank pixels\n(lines scratch, rings torch)")
        fig.suptitle(
            "Weights that only decay moves: pixels that are blank in every training row",
            fontsize=13,
        )
