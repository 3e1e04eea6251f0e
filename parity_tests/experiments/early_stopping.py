"""Early stopping on real rows: what it saves, and what the best weights are worth at the end.

    stops at  the first look at which `patience` looks have passed without a lower validation loss
    restores  the weights of the look with the lowest

Guide: early stopping [5906-6015]. Its curves are made up: a formula falls, and rises from epoch 80
on, to which the stop is applied; nothing is trained and nothing restored. Here two networks that
are too large for their rows learn on to the end, which shows what the stop forgoes: the diabetes
patients (how far the disease went) and a hundred digits. The rows that are stopped by are neither
trained on nor tested with.

Source: Prechelt 1998, Early Stopping - But When?
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch

import scratch.training
import torch_ref.training
from datasets import tabular
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, apart, mlps
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.training import EarlyStopping, diagnose_curves, metrics

PATIENCE = 10
PATIENCES = (1, 2, 3, 5, 10, 20, 40)


@dataclass(frozen=True)
class Setting:
    """What is learned, and how.

    Attributes:
        loss: name in both functional modules.
        metric: name in both metrics.
        sizes: of the network.
        lr: of Adam.
        batch: rows.
        epochs: to the end; every one is looked at.
        rows: to train on, at most.
    """

    loss: str
    metric: str
    sizes: tuple[int, ...]
    lr: float
    batch: int
    epochs: int
    rows: int


SETTINGS = {
    "diabetes": Setting("mse_loss", "r2", (10, 64, 64, 1), 0.003, 32, 120, 200),
    "digits": Setting("cross_entropy", "accuracy", (64, 128, 128, 10), 0.01, 25, 60, 100),
}


@dataclass(frozen=True, eq=False)
class Data:
    """Three parts, standardised by the first.

    Attributes:
        train: inputs and targets.
        validation: those to stop by.
        test: those to judge by.
    """

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def load(name: str, seed: int) -> Data:
    """30% of the rows to test with, a fifth of the others to stop by, the rest to train on."""
    whole = {"diabetes": tabular.diabetes, "digits": tabular.digits}[name]()
    x, test_x, y, test_y = train_test_split(whole.x, whole.y, 0.3, seed)
    x, validation_x, y, validation_y = train_test_split(x, y, 0.2, seed + 1)
    x, y = x[: SETTINGS[name].rows], y[: SETTINGS[name].rows]
    scale = Standardizer.fit(x)
    parts = [(x, y), (validation_x, validation_y), (test_x, test_y)]
    if y.ndim == 2:
        of_values = Standardizer.fit(y)
        parts = [(a, of_values(b)) for a, b in parts]
    train, validation, test = ((scale(a), b) for a, b in parts)
    return Data(train, validation, test)


@dataclass
class Run:
    """One start; each pair is scratch's and torch's.

    Attributes:
        train: loss over the training rows, at the start and after each epoch.
        validation: the same over those to stop by.
        test: the same over those to judge by.
        score: the metric of those to stop by, likewise.
        metric: that of the test rows.
        stopped: the epoch at which each stopped; None if none.
        best: the epoch whose weights each restored.
        restored: test loss with those weights.
        metric_restored: the metric with them.
    """

    train: list[tuple[float, float]] = field(default_factory=list)
    validation: list[tuple[float, float]] = field(default_factory=list)
    test: list[tuple[float, float]] = field(default_factory=list)
    score: list[tuple[float, float]] = field(default_factory=list)
    metric: list[tuple[float, float]] = field(default_factory=list)
    stopped: tuple[int | None, int | None] = (None, None)
    best: tuple[int | None, int | None] = (None, None)
    restored: tuple[float, float] = (0.0, 0.0)
    metric_restored: tuple[float, float] = (0.0, 0.0)

    @property
    def drift(self) -> float:
        """How far the twins' losses are apart, relative to the largest."""
        return max(apart(*zip(*some, strict=True)) for some in (self.train, self.validation))

    def ours(self, name: str) -> list[float]:
        """Scratch's curve of that name."""
        return [a for a, _ in getattr(self, name)]


Runs = Mapping[str, list[Run]]


def judged(
    pair: Twins, setting: Setting, part: tuple[Array, Array]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Loss and metric of both, in evaluation mode."""
    x, t = part
    ours, theirs = pair(x)
    y, target = torch.from_numpy(theirs), torch.from_numpy(t)
    loss = getattr(torch.nn.functional, setting.loss)(y, target).item()
    measure = getattr(torch_ref.training.metrics, setting.metric)(y, target)
    return (float(getattr(F, setting.loss)(ours, t)[0]), loss), (
        getattr(metrics, setting.metric)(ours, t),
        measure,
    )


def learn(setting: Setting, data: Data, epochs: int, seed: int) -> Run:
    """Train both twins to the end, with a stop on each that keeps its best weights."""
    pair = mlps(setting.sizes, "ReLU", seed)
    x, t = data.train
    steps = -(-len(x) // setting.batch)
    stream = batch_stream(len(x), setting.batch, epochs * steps, seed)
    pairs = pair.train("Adam", {"lr": setting.lr}, setting.loss, x, t, stream)
    ours, theirs = EarlyStopping(PATIENCE), torch_ref.training.EarlyStopping(PATIENCE)
    stopped: list[int | None] = [None, None]
    run = Run()
    for epoch in range(epochs + 1):
        if epoch:
            for _ in islice(pairs, steps):
                pass
        run.train.append(judged(pair, setting, data.train)[0])
        loss, metric = judged(pair, setting, data.validation)
        run.validation.append(loss)
        run.score.append(metric)
        loss, metric = judged(pair, setting, data.test)
        run.test.append(loss)
        run.metric.append(metric)
        if stopped[0] is None and ours(epoch, run.validation[-1][0], pair.ours):
            stopped[0] = epoch
        if stopped[1] is None and theirs(epoch, run.validation[-1][1], pair.theirs):
            stopped[1] = epoch
    ours.restore(pair.ours)
    theirs.restore(pair.theirs)
    run.stopped, run.best = (stopped[0], stopped[1]), (ours.best_step, theirs.best_step)
    run.restored, run.metric_restored = judged(pair, setting, data.test)
    return run


def replayed(run: Run, patience: int, by: str = "validation") -> tuple[int, int]:
    """Where another stop would have ended, and which epoch it would have restored.

    Args:
        run: scratch's curves.
        patience: of the stop.
        by: "validation", the loss, or "score", the metric.
    """
    stop = EarlyStopping(patience, mode="min" if by == "validation" else "max")
    end, best = 0, 0
    for end, value in enumerate(run.ours(by)):
        done = stop(end, value, scratch.nn.Identity())
        best = end if stop.bad == 0 else best
        if done:
            break
    return end, best


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn too long, stop in time, and compare.

    Args:
        out: folder for the figures.
        small: fewer epochs, from one start.
        seed: of the first start.

    Returns:
        Curves, where they stopped, and what that was worth, with the claims about them.
    """
    outcome = Outcome("early_stopping")
    starts = range(seed, seed + (1 if small else 8))
    runs: dict[str, list[Run]] = {}
    for name, setting in SETTINGS.items():
        epochs = setting.epochs // 4 if small else setting.epochs
        runs[name] = [learn(setting, load(name, s), epochs, s) for s in starts]
    _claims(outcome, runs)
    paths = [out / f"early_stopping_{name}.png" for name in ("curves", "patience")]
    _draw_curves(paths[0], runs)
    outcome.figures.append(paths[0])
    if not small:
        _draw_patience(paths[1], runs)
        outcome.figures.append(paths[1])
    return outcome


def _claims(outcome: Outcome, runs: Runs) -> None:
    every = [run for done in runs.values() for run in done]
    outcome.claim(
        f"losses of both twins agree in all {len(every)} runs, and both stop at the same epoch "
        "and restore the same",
        f"{max(run.drift for run in every):.0e} apart at most; epochs "
        + ", ".join(f"{run.best[0]} of {run.stopped[0]}" for run in every),
        max(run.drift for run in every) < 1e-9
        and all(r.stopped[0] == r.stopped[1] and r.best[0] == r.best[1] for r in every),
    )
    outcome.claim(
        "what is restored is the network of the best epoch, to the last bit",
        "its test loss, compared in both",
        all(r.best[0] is not None and r.restored == r.test[r.best[0]] for r in every),
    )
    lines = [
        f"patience {PATIENCE}, {len(runs['diabetes'])} start(s): medians of epochs, else means",
        f"{'':10}{'best':>6}{'stops':>7}{'of':>5}{'test loss: best':>17}{'end':>7}"
        f"{'metric: best':>14}{'end':>7}{'by metric':>12}",
    ]
    for name, done in runs.items():
        setting, last = SETTINGS[name], len(done[0].train) - 1
        restored = np.array([r.restored for r in done])
        end = np.array([r.test[-1] for r in done])
        kept = np.array([r.metric_restored for r in done])
        final = np.array([r.metric[-1] for r in done])
        stops = [r.stopped[0] for r in done]
        calls = [diagnose_curves(r.ours("train"), r.ours("validation")).call for r in done]
        by_score = np.array([r.metric[replayed(r, PATIENCE, "score")[1]][0] for r in done])
        outcome.numbers[name] = {
            "epochs": last,
            "best epoch": [r.best[0] for r in done],
            "stopped at": stops,
            "test loss restored": restored[:, 0].tolist(),
            "test loss at the end": end[:, 0].tolist(),
            f"{setting.metric} restored": kept[:, 0].tolist(),
            f"{setting.metric} at the end": final[:, 0].tolist(),
            f"{setting.metric} if stopped by it": by_score.tolist(),
        }
        lines.append(
            f"{name:10}{np.median([r.best[0] or 0 for r in done]):6.0f}"
            f"{np.median([last if s is None else s for s in stops]):7.0f}{last:5}"
            f"{restored[:, 0].mean():17.3f}{end[:, 0].mean():7.3f}"
            f"{kept[:, 0].mean():14.3f}{final[:, 0].mean():7.3f}{by_score.mean():12.3f}"
        )
        outcome.claim(
            f"{name}: every run over-fits, is called so, and is stopped early",
            "validation loss at the end by its lowest: "
            + ", ".join(f"{r.validation[-1][0] / min(r.ours('validation')):.2f}" for r in done)
            + f"; stopped at {', '.join(map(str, stops))} of {last}",
            all(c == "overfitting" for c in calls)
            and all(s is not None and s < last for s in stops),
        )
        outcome.claim(
            f"{name}: the restored network has the lower test loss in every start",
            ", ".join(f"{r.restored[0]:.2f} for {r.test[-1][0]:.2f}" for r in done),
            bool(np.all(restored < end)),
        )
        gains = ", ".join(f"{g:+.3f}" for g in (kept - final)[:, 0])
        if setting.metric == "r2":
            outcome.claim(f"{name}: and the higher R2", gains, bool(np.all(kept > final)))
        else:
            outcome.claim(
                f"{name}: but not the higher accuracy in the mean: while the loss rises the "
                "network grows sure, also where it is wrong, and names as many rightly",
                f"{gains}; mean {(kept - final).mean():+.3f}",
                bool((kept - final).mean() < 0.01),
            )
    outcome.text = "\n".join(lines)


def _draw_curves(path: Path, runs: Runs) -> None:
    with figure(path, 1, len(runs), (12, 4.6)) as (fig, axes):
        for ax, (name, done) in zip(axes, runs.items(), strict=True):
            run, setting = done[0], SETTINGS[name]
            for label, color in (
                ("train", "0.4"),
                ("validation", CLASSES[0]),
                ("test", CLASSES[1]),
            ):
                ours, theirs = np.array(getattr(run, label)).T
                ax.plot(ours, color=color, lw=1.4, label=label)
                ax.plot(range(0, len(theirs), 10), theirs[::10], "o", mfc="none", mec=color, ms=4)
            best, stop = run.best[0], run.stopped[0]
            assert best is not None and stop is not None
            ax.axvline(best, color=CLASSES[3], lw=1.2, label=f"restored: epoch {best}")
            ax.axvline(stop, color=CLASSES[2], lw=1.2, ls="--", label=f"stopped: epoch {stop}")
            ax.plot([], [], "o", mfc="none", mec="0.2", ms=4, label="the same in torch")
            ax.axvspan(stop, len(run.train) - 1, color="0.5", alpha=0.08)
            what = {"r2": "R2", "accuracy": "accuracy"}[setting.metric]
            ax.set_title(
                f"{name}: test {what} {run.metric_restored[0]:.2f} restored, "
                f"{run.metric[-1][0]:.2f} at the end"
            )
            ax.set_xlabel("epoch")
            ax.set_ylabel("loss")
            ax.set_ylim(0, 1.1 * max(run.ours("validation")))
            ax.legend(fontsize=8)
        fig.suptitle("Stopped in time; the shaded epochs are what it saves", fontsize=13)


def _draw_patience(path: Path, runs: Runs) -> None:
    with figure(path, 1, len(runs), (12, 4.2)) as (fig, axes):
        for ax, (name, done) in zip(axes, runs.items(), strict=True):
            losses, epochs = [], []
            for patience in PATIENCES:
                ends = [(r, *replayed(r, patience)) for r in done]
                losses.append([r.test[best][0] for r, _, best in ends])
                epochs.append(np.mean([end for _, end, _ in ends]))
            ax.plot(PATIENCES, np.array(losses), color=CLASSES[1], lw=0.7, alpha=0.6)
            ax.plot(
                PATIENCES, np.mean(losses, axis=1), "o-", color=CLASSES[1], label="test loss, mean"
            )
            ax.axhline(
                float(np.mean([r.test[-1][0] for r in done])), color="0.3", ls=":", label="never"
            )
            ax.set_xscale("log")
            ax.set_xticks(PATIENCES, [str(p) for p in PATIENCES])
            ax.set_xticks([], minor=True)
            ax.set_xlabel("patience, epochs")
            ax.set_ylabel("test loss of what is restored")
            twin = ax.twinx()
            twin.plot(PATIENCES, epochs, "s--", color=CLASSES[0], ms=4, label="epochs run")
            twin.set_ylabel("epochs run, mean", color=CLASSES[0])
            twin.set_ylim(bottom=0)
            twin.grid(False)
            ax.set_title(name)
            ax.legend(fontsize=8, loc="center left")
        fig.suptitle("How long to wait: replayed on the same runs", fontsize=13)
