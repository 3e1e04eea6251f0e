"""Columns on one scale or not, and values that are missing: what a network makes of them.

    scaling      as measured; z = (x - min) / (max - min); (x - median) / IQR; (x - mean) / std
    imputation   the mean, median or most frequent value of the column; that of the nearest rows;
                 the mean and an indicator, a column for each that tells where a value was missing
    missing      a share of all values, drawn at random; or among the upper half of each column only

Guide: preprocessing [6121-6210]. It scales random numbers and draws them before and after; no
network is trained on either, and of missing values there is a list of words. Here real tables are
learned as they were measured and scaled in three ways, and with values taken out of training and
test rows alike, filled in six ways. All statistics are those of the training rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets import tabular
from datasets.impute import KNNImputer, SimpleImputer, missing_indicator
from datasets.scale import MinMaxScaler, RobustScaler
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import apart, mlps
from parity_tests.harness.draw import Array
from scratch.nn import functional as F

SETS: dict[str, Callable[[], tabular.Dataset]] = {
    "wine": tabular.wine,
    "breast_cancer": tabular.breast_cancer,
}
SCALERS: dict[str, Any] = {
    "as measured": lambda x: lambda rows: rows,
    "min-max": MinMaxScaler.fit,
    "robust": RobustScaler.fit,
    "standard": Standardizer.fit,
}
OPTIMIZERS = {"SGD": {"lr": 0.05, "momentum": 0.9}, "Adam": {"lr": 0.01}}
MECHANISMS = ("at random", "upper half")
SHARES = (0.1, 0.3, 0.5)
BATCH, HIDDEN = 16, 16


@dataclass(frozen=True)
class Result:
    """One run; each pair is scratch's and torch's.

    Attributes:
        loss: over the training rows at the end.
        accuracy: on the test rows.
        drift: how far the twins' losses are apart over the run.
    """

    loss: tuple[float, float]
    accuracy: tuple[float, float]
    drift: float


def parts(name: str, seed: int) -> tuple[Array, Array, Array, Array]:
    """Training and test rows as measured, and their classes: x, x, y, y."""
    whole = SETS[name]()
    return train_test_split(whole.x, whole.y, 0.3, seed)


def learn(
    x: Array, t: Array, test_x: Array, test_t: Array, optimizer: str, steps: int, seed: int
) -> Result:
    """Train both twins, and judge them."""
    pair = mlps((x.shape[1], HIDDEN, int(t.max()) + 1), "Tanh", seed)
    stream = batch_stream(len(x), BATCH, steps, seed)
    losses = np.array(
        list(pair.train(optimizer, OPTIMIZERS[optimizer], "cross_entropy", x, t, stream))
    )
    ours, theirs = pair(x)
    target = torch.from_numpy(t)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(theirs), target).item()
    right = [float(np.mean(z.argmax(1) == test_t)) for z in pair(test_x)]
    return Result(
        (float(F.cross_entropy(ours, t)[0]), loss),
        (right[0], right[1]),
        apart(losses[:, 0], losses[:, 1]),
    )


def scaled(name: str, way: str, optimizer: str, steps: int, seed: int) -> Result:
    """Learn a table on one scale."""
    x, test_x, t, test_t = parts(name, seed)
    scale = SCALERS[way](x)
    return learn(scale(x), t, scale(test_x), test_t, optimizer, steps, seed)


def holed(x: Array, middle: Array, share: float, mechanism: str, rng: np.random.Generator) -> Array:
    """x with a share of its values taken out.

    Args:
        x: rows.
        middle: the columns' medians in the training rows.
        share: of all values.
        mechanism: "at random", or "upper half": only those above the median, twice as likely.
        rng: what is drawn from.
    """
    likely = np.full(x.shape, share)
    if mechanism == "upper half":
        likely = np.where(x > middle, 2 * share, 0.0)
    return np.where(rng.random(x.shape) < likely, np.nan, x)


def filled(way: str, x: Array, test_x: Array) -> tuple[Array, Array]:
    """Both parts without gaps, by what the training rows suggest."""
    if way == "nearest rows":
        impute: Any = KNNImputer.fit(x, 5)
        return impute(x), impute(test_x)
    kind = {"mean and indicator": "mean", "indicator": "mean"}.get(way, way).replace(" ", "_")
    impute = SimpleImputer.fit(x, kind)
    if way != "mean and indicator":
        return impute(x), impute(test_x)
    gaps = np.flatnonzero(np.isnan(x).any(0))
    both = [np.hstack([impute(rows), missing_indicator(rows, gaps)]) for rows in (x, test_x)]
    return both[0], both[1]


WAYS = ("complete", "mean", "median", "most frequent", "nearest rows", "mean and indicator")


@dataclass(frozen=True)
class Imputed:
    """One share and mechanism, filled in one way.

    Attributes:
        result: of a run on it.
        error: root mean square error of what was filled in, in standard deviations of the columns.
    """

    result: Result
    error: float


def imputed(name: str, way: str, share: float, mechanism: str, steps: int, seed: int) -> Imputed:
    """Take values out of a standardised table, fill them in, and learn it."""
    x, test_x, t, test_t = parts(name, seed)
    scale = Standardizer.fit(x)
    x, test_x = scale(x), scale(test_x)
    rng = np.random.default_rng((seed, 7))
    middle = np.median(x, axis=0)
    gappy, test_gappy = (holed(rows, middle, share, mechanism, rng) for rows in (x, test_x))
    if way == "complete":
        return Imputed(learn(x, t, test_x, test_t, "Adam", steps, seed), 0.0)
    # On the scale of what is there, as whoever has only that would.
    known = Standardizer(np.nanmean(gappy, axis=0), np.nanstd(gappy, axis=0))
    gappy, test_gappy = ((rows - known.mean) / known.std for rows in (gappy, test_gappy))
    full, test_full = filled(way, gappy, test_gappy)
    hidden = np.isnan(test_gappy)
    difference = (test_full[:, : x.shape[1]] - known(test_x))[hidden]
    error = float(np.sqrt(np.mean(difference**2)))
    return Imputed(learn(full, t, test_full, test_t, "Adam", steps, seed), error)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn tables on several scales, and with values missing.

    Args:
        out: folder for the figures.
        small: one table, fewer steps and ways, two starts.
        seed: of the first start.

    Returns:
        Losses and accuracies, with the claims about them.
    """
    outcome = Outcome("preprocessing")
    sets = ("wine",) if small else tuple(SETS)
    steps, starts, shares = (60, 1, SHARES[1:2]) if small else (150, 4, SHARES)
    seeds = range(seed, seed + starts)
    by_scale = {
        (name, optimizer, way): [scaled(name, way, optimizer, steps, s) for s in seeds]
        for name in sets
        for optimizer in OPTIMIZERS
        for way in SCALERS
    }
    by_fill = {
        (name, mechanism, share, way): [
            imputed(name, way, share, mechanism, steps, s) for s in seeds
        ]
        for name in sets
        for mechanism in MECHANISMS
        for share in shares
        for way in WAYS
    }
    runs = [r for key, done in by_scale.items() if key[2] != "as measured" for r in done]
    runs += [r.result for gaps in by_fill.values() for r in gaps]
    outcome.claim(
        f"losses of both twins agree in all {len(runs)} runs on rows that were scaled",
        f"{max(r.drift for r in runs):.0e} apart at most",
        max(r.drift for r in runs) < 1e-9,
    )
    outcome.numbers["twins apart on columns as they were measured"] = {
        optimizer: max(
            r.drift
            for key, done in by_scale.items()
            if key[1:] == (optimizer, "as measured")
            for r in done
        )
        for optimizer in OPTIMIZERS
    }
    _claim_scales(outcome, by_scale)
    _claim_fills(outcome, by_fill)
    paths = [out / f"preprocessing_{name}.png" for name in ("scales", "missing")]
    _draw_fills(paths[1], by_fill, sets, shares)
    outcome.figures.append(paths[1])
    if not small:
        _draw_scales(paths[0], by_scale, sets)
        outcome.figures.append(paths[0])
    return outcome


def right(done: list[Result]) -> Array:
    """Scratch's accuracies."""
    return np.array([r.accuracy[0] for r in done])


def _claim_scales(outcome: Outcome, runs: dict[Any, list[Result]]) -> None:
    starts = len(next(iter(runs.values())))
    lines = [f"scaling: training loss and test accuracy, means of {starts} starts"]
    for name, optimizer in dict.fromkeys((name, optimizer) for name, optimizer, _ in runs):
        cells = []
        for way in SCALERS:
            done = runs[name, optimizer, way]
            loss = float(np.mean([r.loss[0] for r in done]))
            cells.append(f"{way} {loss:.3f} {right(done).mean():.1%}")
            outcome.numbers[f"{name}, {optimizer}, {way}"] = {
                "training loss": [r.loss[0] for r in done],
                "test accuracy": right(done).tolist(),
            }
        lines.append(f"{name + ', ' + optimizer:24}" + "   ".join(cells))
    outcome.text = "\n".join(lines)
    raw = {key: right(done) for key, done in runs.items() if key[2] == "as measured"}
    others = {key: right(done) for key, done in runs.items() if key[2] != "as measured"}
    outcome.claim(
        "on columns as they were measured a network is worse than on any scale, in every start",
        f"{min(v.min() for v in raw.values()):.0%} to {max(v.max() for v in raw.values()):.0%} of "
        f"the test rows right, scaled {min(v.min() for v in others.values()):.0%} or more",
        all(np.all(raw[(*key[:2], "as measured")] < v) for key, v in others.items()),
    )
    means = {key: float(v.mean()) for key, v in others.items()}
    spread = max(
        max(m for k, m in means.items() if k[:2] == key[:2])
        - min(m for k, m in means.items() if k[:2] == key[:2])
        for key in means
    )
    outcome.claim(
        "which scale it is matters little",
        f"mean accuracies within {100 * spread:.1f} points of each other",
        spread < 0.05,
    )


def _claim_fills(outcome: Outcome, runs: dict[Any, list[Imputed]]) -> None:
    lines = ["missing values: test accuracy, and error of what is filled in"]
    mean: dict[Any, float] = {}
    error: dict[Any, float] = {}
    for name, mechanism, share in dict.fromkeys(key[:3] for key in runs):
        cells = []
        for way in WAYS:
            done, key = runs[name, mechanism, share, way], (name, mechanism, share, way)
            mean[key] = float(right([r.result for r in done]).mean())
            error[key] = float(np.mean([r.error for r in done]))
            cells.append(f"{way} {mean[key]:.1%} {error[key]:.2f}")
            outcome.numbers[f"{name}, {mechanism}, {share:g}, {way}"] = {
                "test accuracy": right([r.result for r in done]).tolist(),
                "error": [r.error for r in done],
            }
        lines.append(f"{name}, {share:.0%} {mechanism}: " + "   ".join(cells))
    outcome.text += "\n" + "\n".join(lines)
    groups = list(dict.fromkeys(key[:3] for key in runs))
    simple = ("mean", "median", "most frequent")
    some = [g for g in groups if g[1:] != (MECHANISMS[1], 0.5)]
    outcome.claim(
        "the nearest rows come nearer to what was taken out than any one number of the column, but "
        "where the whole upper half is gone",
        ", ".join(
            f"{g[0]} {g[2]:.0%} {g[1]}: {error[(*g, 'nearest rows')]:.2f} for "
            f"{min(error[(*g, way)] for way in simple):.2f}"
            for g in groups
        ),
        all(error[(*g, "nearest rows")] < min(error[(*g, w)] for w in simple) for g in some),
    )
    if len(some) < len(groups):
        _claim_indicator(outcome, groups, mean)
    losses = {
        way: float(np.mean([mean[(*g, "complete")] - mean[(*g, way)] for g in groups]))
        for way in WAYS
    }
    outcome.numbers["points lost to the complete table"] = {w: 100 * v for w, v in losses.items()}
    outcome.claim(
        "missing values cost accuracy, whatever fills them in",
        ", ".join(f"{way} {100 * v:.1f}" for way, v in losses.items() if way != "complete")
        + " points less than with the complete table, in the mean",
        all(v > 0 for way, v in losses.items() if way != "complete"),
    )


def _claim_indicator(outcome: Outcome, groups: list[Any], mean: dict[Any, float]) -> None:
    gone = [g for g in groups if g[1:] == (MECHANISMS[1], 0.5)]
    outcome.claim(
        "there an indicator is worth most, for that a value is missing says what it was, and the "
        "nearest rows mislead",
        ", ".join(
            f"{g[0]}: mean {mean[(*g, 'mean')]:.1%}, with indicator "
            f"{mean[(*g, 'mean and indicator')]:.1%}, nearest rows {mean[(*g, 'nearest rows')]:.1%}"
            for g in gone
        ),
        all(mean[(*g, "mean and indicator")] > mean[(*g, "mean")] for g in gone)
        and all(mean[(*g, "nearest rows")] < mean[(*g, "mean")] for g in gone),
    )
    drawn = [g for g in groups if g[1] == MECHANISMS[0]]
    cost = [mean[(*g, "mean")] - mean[(*g, "mean and indicator")] for g in drawn]
    outcome.claim(
        "where they are missing at random it tells nothing, and its columns cost accuracy",
        f"{100 * np.mean(cost):.1f} points in the mean",
        float(np.mean(cost)) > 0,
    )


def _draw_scales(path: Path, runs: dict[Any, list[Result]], sets: tuple[str, ...]) -> None:
    with figure(path, len(sets), 3, (14, 4.2 * len(sets)), squeeze=False) as (fig, axes):
        for row, name in zip(axes, sets, strict=True):
            x = parts(name, 0)[0]
            row[0].boxplot(
                [np.abs(column) + 1e-4 for column in x.T[:13]],
                flierprops={"ms": 2},
                medianprops={"color": CLASSES[1]},
            )
            row[0].set_yscale("log")
            row[0].set_xlabel("column")
            row[0].set_title(f"{name}: magnitudes as measured")
            for ax, measure, label in (
                (row[1], lambda r: r.loss, "training loss"),
                (row[2], lambda r: tuple(100 * a for a in r.accuracy), "test accuracy, %"),
            ):
                for k, (optimizer, color) in enumerate(zip(OPTIMIZERS, CLASSES, strict=False)):
                    for i, way in enumerate(SCALERS):
                        values = np.array([measure(r) for r in runs[name, optimizer, way]])
                        at = i + 0.3 * (k - 0.5) + np.linspace(-0.08, 0.08, len(values))
                        label_ours = f"{optimizer}, scratch" if i == 0 else None
                        ax.plot(at, values[:, 0], "x", color=color, ms=5, label=label_ours)
                        ax.plot(at, values[:, 1], "o", mfc="none", mec=color, ms=6)
                ax.set_xticks(range(len(SCALERS)), list(SCALERS))
                ax.set_ylabel(label)
            row[1].plot([], [], "o", mfc="none", mec="0.2", label="torch")
            row[1].legend(fontsize=8)
        fig.suptitle("The same rows on four scales", fontsize=13)


def _draw_fills(
    path: Path, runs: dict[Any, list[Imputed]], sets: tuple[str, ...], shares: tuple[float, ...]
) -> None:
    colours = ("0.3", *CLASSES)
    with figure(path, len(sets), 4, (17, 4 * len(sets)), squeeze=False) as (fig, axes):
        for row, name in zip(axes, sets, strict=True):
            for k, mechanism in enumerate(MECHANISMS):
                for way, color in zip(WAYS, colours, strict=True):
                    done = [runs[name, mechanism, share, way] for share in shares]
                    at = [100 * share for share in shares]
                    hits = [100 * right([r.result for r in d]).mean() for d in done]
                    row[2 * k].plot(at, hits, "o-", color=color, label=way, ms=4)
                    if way not in ("complete", "mean and indicator"):
                        errors = [np.mean([r.error for r in d]) for d in done]
                        row[2 * k + 1].plot(at, errors, "o-", color=color, label=way, ms=4)
                row[2 * k].set_ylabel("test accuracy, %")
                row[2 * k + 1].set_ylabel("error of what is filled in, std")
                row[2 * k + 1].set_ylim(bottom=0)
                for ax in row[2 * k : 2 * k + 2]:
                    ax.set_title(f"{name}, {mechanism}")
                    ax.set_xlabel("values missing, %")
            row[0].legend(fontsize=8)
        fig.suptitle("Values taken out of training and test rows, and filled in", fontsize=13)
