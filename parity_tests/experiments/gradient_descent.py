"""Gradient descent on (w - 3)^2, and on real data with all rows, one row, or a few rows a step.

Guide: four settings of the learning rate and the start, then the three regimes in words [841-935].
It calls the rate 0.5 too fast; on this parabola 0.5 is the best there is: w - 3 is multiplied by
1 - 2 lr at every step, so 0.5 lands at once, up to 1 it still comes down, and only beyond that it
runs away.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.split import batch_stream
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import apart, mlps
from parity_tests.harness.draw import Array
from scratch import optim
from scratch.nn import Parameter
from scratch.nn import functional as F
from scratch.training import train
from torch_ref.training import train as torch_train

STEPS = 50
SETTINGS = ((0.0, 0.1), (0.0, 0.5), (0.0, 0.01), (7.0, 0.1), (0.0, 0.9), (0.0, 1.1))
EPS = float(np.finfo(np.float64).eps)


def descend(start: float, lr: float, steps: int = STEPS) -> tuple[Array, Array]:
    """The w of every step under SGD, in NumPy and in torch.

    Args:
        start: w before the first step.
        lr: learning rate.
        steps: how many.

    Returns:
        Both paths, (steps + 1,) each.
    """
    target = np.array([3.0])
    w = Parameter(np.array([start]))
    optimizer = optim.SGD([w], lr=lr)
    v = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    torch_optimizer = torch.optim.SGD([v], lr=lr)
    ours, theirs = [start], [start]
    for _ in range(steps):
        _, loss_back = F.mse_loss(w.data, target)
        optimizer.zero_grad()
        w.accumulate(loss_back()[0])
        optimizer.step()
        ours.append(float(w.data[0]))

        loss = torch.nn.functional.mse_loss(v, torch.from_numpy(target))
        torch_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        torch_optimizer.step()
        theirs.append(v.item())
    return np.array(ours), np.array(theirs)


def parabola(outcome: Outcome, out: Path) -> None:
    """The settings on (w - 3)^2, and a sweep of the learning rate."""
    paths = {setting: descend(*setting) for setting in SETTINGS}
    same = max(apart(ours, theirs) for ours, theirs in paths.values())
    steps = np.arange(STEPS + 1)
    formula = max(
        apart(ours - 3, (start - 3) * (1 - 2 * lr) ** steps)
        for (start, lr), (ours, _) in paths.items()
    )
    ends = {f"start {s:g}, lr {lr:g}": float(paths[s, lr][0][-1]) for s, lr in SETTINGS}
    outcome.numbers["parabola"] = {"w after 50 steps": ends, "twins apart": same}
    outcome.claim(
        "(w - 3)^2: both twins take the same steps in all settings",
        f"largest relative difference {same:.1e}",
        same < 16 * EPS,
    )
    outcome.claim(
        "(w - 3)^2: w - 3 is (start - 3) (1 - 2 lr)^t",
        f"largest difference {formula:.1e} of the largest value",
        formula < 1000 * EPS,
    )
    half = paths[0.0, 0.5][0]
    outcome.claim(
        "lr 0.5 lands on 3 in one step and stays: it is not too fast",
        f"w = {half[0]:g}, {half[1]:g}, {half[2]:g}, ...",
        bool(np.all(half[1:] == 3)),
    )
    good, slow, other = (paths[key][0] for key in ((0.0, 0.1), (0.0, 0.01), (7.0, 0.1)))
    outcome.claim(
        "lr 0.1 arrives within 50 steps from 0 and from 7; lr 0.01 has not arrived by then",
        f"distance {abs(good[-1] - 3):.1e}, {abs(other[-1] - 3):.1e}; {abs(slow[-1] - 3):.2f}",
        abs(good[-1] - 3) < 1e-4 and abs(other[-1] - 3) < 1e-4 and abs(slow[-1] - 3) > 1,
    )
    far = np.abs(paths[0.0, 1.1][0] - 3)
    growth = far[1:] / far[:-1]
    outcome.claim(
        "lr 1.1 diverges: each step ends 1.2 times as far away",
        f"factors {growth.min():.6f} to {growth.max():.6f}, {far[-1]:,.0f} away at the end",
        bool(np.allclose(growth, 1.2, rtol=1e-9)),
    )
    rates = np.linspace(0.02, 1.2, 60)
    distance = np.array([abs(descend(0.0, lr, 8)[0][-1] - 3) for lr in rates])
    nearer = rates[distance < 3]
    outcome.claim(
        "of 60 rates from 0.02 to 1.2 exactly those below 1 come nearer, and 0.5 comes nearest",
        f"nearer for {nearer.min():.2f} to {nearer.max():.2f}, nearest for "
        f"{rates[distance.argmin()]:.2f}",
        bool(np.all((distance < 3) == (rates < 1 - 1e-9))) and distance.argmin() == 24,
    )

    path = out / "gradient_descent_parabola.png"
    titles = {
        (0.0, 0.1): "lr 0.1: arrives smoothly",
        (0.0, 0.5): "lr 0.5: lands in one step",
        (0.0, 0.01): f"lr 0.01: {abs(slow[-1] - 3):.2f} short after {STEPS} steps",
        (7.0, 0.1): "lr 0.1 from the other side",
        (0.0, 0.9): "lr 0.9: from side to side, arrives",
        (0.0, 1.1): "lr 1.1: diverges (12 steps shown)",
    }
    with figure(path, 2, 4, (16, 7)) as (_, axes):
        panels = [axes[0, 0], axes[0, 1], axes[0, 2], axes[1, 0], axes[1, 1], axes[1, 2]]
        for ax, setting in zip(panels, SETTINGS, strict=True):
            ours, theirs = paths[setting]
            shown = 13 if setting[1] > 1 else STEPS + 1
            wide = max(5.0, float(np.max(np.abs(ours[:shown] - 3))) * 1.1)
            grid = np.linspace(3 - wide, 3 + wide, 300)
            ax.plot(grid, (grid - 3) ** 2, color="0.7", lw=1.5)
            ax.plot(ours[:shown], (ours[:shown] - 3) ** 2, "-o", color=SCRATCH, ms=5, lw=1)
            ax.plot(theirs[:shown], (theirs[:shown] - 3) ** 2, "x", color=TORCH, ms=4, mew=1)
            ax.plot(ours[0], (ours[0] - 3) ** 2, "*", color=CLASSES[2], ms=15, zorder=5)
            ax.set(xlabel="w", ylabel="$(w - 3)^2$", title=titles[setting])
        panels[0].plot([], [], "-o", color=SCRATCH, ms=5, label="scratch")
        panels[0].plot([], [], "x", color=TORCH, label="torch_ref")
        panels[0].plot([], [], "*", color=CLASSES[2], ms=12, ls="", label="start")
        panels[0].legend(loc="upper center")
        ax = axes[0, 3]
        for (start, lr), (ours, _) in paths.items():
            left = np.abs(ours - 3)
            style = "--" if lr == 0.9 else "-"  # the same factor as 0.1, but for its sign
            ax.semilogy(np.where(left > 0, left, np.nan), style, label=f"lr {lr:g}, from {start:g}")
        ax.plot([0, 1], [3, 1e-6], color=ax.lines[1].get_color(), lw=1)
        ax.text(1.6, 1.6e-6, "0.5 is there", fontsize=8, color=ax.lines[1].get_color())
        ax.set(ylim=(1e-6, 1e6), xlabel="step", ylabel="|w - 3|", title="Distance by step")
        ax.legend(fontsize=7.5, ncols=2, loc="upper left")
        ax = axes[1, 3]
        ax.semilogy(rates, np.maximum(distance, 1e-16), ".-", color=SCRATCH)
        ax.axvline(0.5, color="0.5", lw=0.8, ls=":")
        ax.axvline(1, color="0.5", lw=0.8, ls=":")
        ax.axhline(3, color="0.5", lw=0.8, ls=":")
        ax.text(0.03, 5, "distance at the start", fontsize=8, color="0.4", va="bottom")
        ax.set(
            xlabel="learning rate",
            ylabel="|w - 3| after 8 steps",
            title="Best at 0.5, too fast from 1",
        )
    outcome.figures.append(path)


@dataclass
class Regime:
    """One way to choose the rows of a step, and what it led to.

    Attributes:
        name: what it is called.
        rows: in a step.
        lr: learning rate.
        loss: over all training rows, by epoch, the start first; scratch.
        reference_loss: the same, torch.
        seconds: spent in steps up to each epoch; scratch.
        reference_seconds: the same, torch.
    """

    name: str
    rows: int
    lr: float
    loss: list[float] = field(default_factory=list)
    reference_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=lambda: [0.0])
    reference_seconds: list[float] = field(default_factory=lambda: [0.0])


SIZES = (64, 32, 10)
GRID = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0)
STEADY = GRID[
    :5
]  # in small batches larger rates amplify a rounding until it shows: see `roundings`


def epochs_of(records: Iterator[Any], steps: int) -> Iterator[float]:
    """Take an epoch's steps at a time, and say how long they took."""
    while True:
        started = time.perf_counter()
        if sum(1 for _ in zip(range(steps), records, strict=False)) < steps:
            return
        yield time.perf_counter() - started


def best_rate(
    rows: int, rates: Sequence[float], x: Array, t: Array, epochs: int, seed: int
) -> float:
    """The rate with the lowest loss after so many epochs (found with torch alone)."""
    found = {}
    xs, ts = torch.from_numpy(x), torch.from_numpy(t)
    for lr in rates:
        model = mlps(SIZES, "Tanh", seed).theirs
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        stream = batch_stream(len(x), rows, epochs * math.ceil(len(x) / rows), seed)
        for _ in torch_train(model, optimizer, "cross_entropy", xs, ts, stream):
            pass
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(model(xs), ts).item()
        found[lr] = loss if math.isfinite(loss) else math.inf
    return min(found, key=lambda lr: found[lr])


def follow(regime: Regime, x: Array, t: Array, epochs: int, seed: int) -> None:
    """Train both twins in one regime and fill in what it led to."""
    twins = mlps(SIZES, "Tanh", seed)
    steps = math.ceil(len(x) / regime.rows)
    xs, ts = torch.from_numpy(x), torch.from_numpy(t)
    ours = train(
        twins.ours,
        optim.SGD(twins.ours.parameters(), lr=regime.lr),
        "cross_entropy",
        x,
        t,
        batch_stream(len(x), regime.rows, epochs * steps, seed),
    )
    theirs = torch_train(
        twins.theirs,
        torch.optim.SGD(twins.theirs.parameters(), lr=regime.lr),
        "cross_entropy",
        xs,
        ts,
        batch_stream(len(x), regime.rows, epochs * steps, seed),
    )

    def measure() -> None:
        y, reference = twins(x)
        regime.loss.append(float(F.cross_entropy(y, t)[0]))
        loss = torch.nn.functional.cross_entropy(torch.from_numpy(reference), ts)
        regime.reference_loss.append(loss.item())

    measure()
    for mine, yours in zip(epochs_of(ours, steps), epochs_of(theirs, steps), strict=True):
        regime.seconds.append(regime.seconds[-1] + mine)
        regime.reference_seconds.append(regime.reference_seconds[-1] + yours)
        measure()


def noise(x: Array, t: Array, draws: int, seed: int) -> tuple[list[int], Array, Array]:
    """How far the gradient of a batch is from that of all rows, at the start of training.

    Args:
        x: inputs (n, 64).
        t: classes (n,).
        draws: batches drawn for each size.
        seed: of the start and the batches.

    Returns:
        Batch sizes; root mean square distance over the length of the whole gradient, measured; and
        what drawing without replacement predicts from the deviation of single rows, times
        sqrt((n - B) / (B (n - 1))).
    """
    model = mlps(SIZES, "Tanh", seed).ours

    def gradient(rows: Array) -> Array:
        y, model_back = model(x[rows])
        _, loss_back = F.cross_entropy(y, t[rows])
        model.zero_grad()
        model_back(loss_back())
        return np.concatenate([p.grad.ravel() for p in model.parameters() if p.grad is not None])

    n = len(x)
    whole = gradient(np.arange(n))
    length = float(np.linalg.norm(whole))
    single = np.array([np.linalg.norm(gradient(np.array([i])) - whole) for i in range(n)])
    deviation = float(np.sqrt(np.mean(single**2)))
    rng = np.random.default_rng(seed)
    sizes = [size for size in (1, 4, 16, 64, 256) if size < n]
    measured, predicted = [], []
    for size in sizes:
        squares = [
            np.sum((gradient(rng.choice(n, size, replace=False)) - whole) ** 2)
            for _ in range(draws)
        ]
        measured.append(math.sqrt(float(np.mean(squares))) / length)
        predicted.append(deviation * math.sqrt((n - size) / (size * (n - 1))) / length)
    return sizes, np.array(measured), np.array(predicted)


def regimes(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    """Batch, stochastic and mini-batch descent on digits."""
    split = get("digits").load(seed)
    n = 160 if small else len(split.train_x)
    x, t = split.train_x[:n], split.train_y[:n]
    epochs, search = (8, 2) if small else (20, 4)
    tried = (("batch", n, GRID), ("mini-batch", 32, STEADY), ("stochastic", 1, STEADY))
    runs = []
    for name, rows, rates in tried:
        regime = Regime(name, rows, best_rate(rows, rates, x, t, search, seed))
        follow(regime, x, t, epochs, seed)
        runs.append(regime)
    batch, mini, stochastic = runs
    drift = max(
        float(np.max(np.abs(np.array(r.loss) / np.array(r.reference_loss) - 1))) for r in runs
    )
    outcome.numbers["regimes"] = {"rows": n, "twins apart": drift, "runs": [vars(r) for r in runs]}
    outcome.claim(
        f"digits, {n:,} rows, {epochs} epochs: both twins' losses agree in all three regimes",
        f"largest relative difference {drift:.1e}",
        drift < 1e-9,
    )
    outcome.claim(
        "after the same number of gradients of single rows, one or 32 rows a step are far below "
        f"one step with all rows (each at the best rate of {STEADY[0]:g} to {STEADY[-1]:g}, with "
        f"all rows to {GRID[-1]:g})",
        ", ".join(
            f"{r.name} {r.loss[-1]:.4f} (lr {r.lr:g}, {epochs * math.ceil(n / r.rows):,} steps)"
            for r in runs
        ),
        max(mini.loss[-1], stochastic.loss[-1]) < batch.loss[-1] / 2,
    )
    per_row = [1e6 * float(np.median(np.diff(r.seconds))) / n for r in runs]
    outcome.claim(
        "the gradient of a row costs most where a step has one row",
        ", ".join(f"{r.name} {us:.1f} us" for r, us in zip(runs, per_row, strict=True))
        + " (scratch, median epoch)",
        max(per_row[:2]) < per_row[2],
    )
    sizes, measured, predicted = noise(x, t, 50 if small else 200, seed)
    off = float(np.max(np.abs(measured / predicted - 1)))
    outcome.numbers["noise"] = {
        "batch sizes": sizes,
        "measured": measured.tolist(),
        "predicted": predicted.tolist(),
    }
    outcome.claim(
        "the noise of a batch's gradient falls as 1 / sqrt(rows)",
        f"relative to the whole gradient: {measured[0]:.2f} with 1 row, {measured[-1]:.2f} with "
        f"{sizes[-1]}; within {100 * off:.0f}% of the prediction",
        off < 0.25,
    )

    path = out / "gradient_descent_regimes.png"
    with figure(path, 1, 4, (17, 4.2)) as (fig, (by_epoch, by_step, by_time, by_rows)):
        for regime, colour in zip(runs, (TORCH, THIRD, SCRATCH), strict=True):
            steps = math.ceil(n / regime.rows) * np.arange(epochs + 1)
            many = "all" if regime.rows == n else str(regime.rows)
            label = f"{regime.name} ({many} a step, lr {regime.lr:g})"
            shared = {"color": colour, "lw": 3.0 if regime is mini else 1.4}
            by_epoch.semilogy(regime.loss, label=label, **shared)
            by_epoch.semilogy(regime.reference_loss, "x", color=colour, ms=5)
            by_step.loglog(steps[1:], regime.loss[1:], ".-", **shared)
            by_time.loglog(regime.seconds[1:], regime.loss[1:], ".-", **shared)
            by_time.loglog(
                regime.reference_seconds[1:], regime.reference_loss[1:], ls=":", **shared
            )
        by_epoch.plot([], [], "x", color="0.3", label="torch_ref")
        by_epoch.legend(fontsize=8)
        by_time.plot([], [], color="0.3", label="scratch")
        by_time.plot([], [], color="0.3", ls=":", label="torch_ref")
        by_time.legend(fontsize=8)
        title = f"By epoch ({n:,} gradients of a row each)"
        by_epoch.set(xlabel="epoch", ylabel="loss over all training rows", title=title)
        by_step.set(xlabel="step", title="By step, from the first epoch on")
        by_time.set(xlabel="seconds spent in steps", title="By time")
        by_rows.loglog(
            sizes, predicted, "-", color="0.6", label="from the deviation of single rows"
        )
        by_rows.loglog(sizes, measured, "o", color=SCRATCH, label="measured")
        by_rows.legend(fontsize=8)
        by_rows.set_xticks(sizes, [str(size) for size in sizes])
        ticks = [tick for tick in (0.2, 0.5, 1, 2, 5) if tick > 0.9 * measured[-1]]
        by_rows.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        by_rows.minorticks_off()
        by_rows.set(
            xlabel="rows in a batch",
            ylabel="distance / length of the whole gradient",
            title="Noise of a batch's gradient",
        )
        fig.suptitle("Digits, 64-32-10: many rough steps beat few exact ones", fontsize=12)
    outcome.figures.append(path)


def roundings(outcome: Outcome, out: Path, small: bool, seed: int) -> None:
    """How a learning rate decides what becomes of the last bit, in which the twins differ."""
    split = get("digits").load(seed)
    x, t = split.train_x, split.train_y
    rates = (0.3, 1.0, 2.0, 3.0, 5.0)
    steps = 300 if small else 900
    runs = {}
    for lr in rates:
        twins = mlps(SIZES, "Tanh", seed)
        stream = batch_stream(len(x), 32, steps, seed)
        pairs = twins.train("SGD", {"lr": lr}, "cross_entropy", x, t, stream)
        runs[lr] = np.array(list(pairs))
    drift = {lr: np.abs(a[:, 0] / a[:, 1] - 1) for lr, a in runs.items()}
    worst = {lr: float(d.max()) for lr, d in drift.items()}
    outcome.numbers["roundings"] = {
        f"lr {lr:g}": {
            "largest relative difference": worst[lr],
            "last losses": runs[lr][-1].tolist(),
        }
        for lr in rates
    }
    outcome.claim(
        f"digits in batches of 32, {steps} steps: to lr 1 the twins differ by roundings; beyond, "
        "descent itself amplifies them, and at lr 5 two correct runs part ways",
        ", ".join(f"lr {lr:g}: {worst[lr]:.0e}" for lr in rates),
        max(worst[0.3], worst[1.0]) < 1e-10 and worst[1.0] < worst[3.0] and worst[5.0] > 1e-3,
    )
    path = out / "gradient_descent_roundings.png"
    with figure(path, 1, 2, (12, 4.4)) as (fig, (losses, differences)):
        for lr, colour in zip(rates, CLASSES, strict=True):
            smooth = np.convolve(runs[lr][:, 0], np.ones(45) / 45, mode="valid")  # an epoch
            losses.semilogy(np.arange(45, steps + 1), smooth, color=colour, label=f"lr {lr:g}")
            shown = np.maximum.accumulate(np.maximum(drift[lr], EPS / 10))
            differences.semilogy(np.arange(1, steps + 1), shown, color=colour)
            differences.text(
                1.01 * steps, shown[-1], f"lr {lr:g}", color=colour, va="center", fontsize=8
            )
        differences.axhline(EPS, color="0.5", lw=0.8, ls=":")
        differences.text(1.01 * steps, EPS * 1.3, "eps", color="0.4", fontsize=8)
        differences.set_xlim(0, 1.16 * steps)
        losses.legend(fontsize=8)
        losses.set(
            xlabel="step", ylabel="training loss, mean of 45 steps", title="The loss (scratch)"
        )
        differences.set(
            xlabel="step",
            ylabel="relative difference of the losses, largest so far",
            title="Scratch against torch, from identical weights",
        )
        fig.suptitle(
            "Too large a rate amplifies the last bit, until two correct programs part ways",
            fontsize=12,
        )
    outcome.figures.append(path)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Walk down the parabola in six settings, then train on digits in three regimes."""
    outcome = Outcome("gradient_descent")
    parabola(outcome, out)
    regimes(outcome, out, small, seed)
    roundings(outcome, out, small, seed)
    return outcome
