"""Grid, random and Bayesian search at an equal budget, on a real task, from several seeds.

    grid       4 rates x 3 momenta x 2 widths x 1 weight decay      scikit-learn's ParameterGrid
    random     24 draws                                             ParameterSampler
    Bayesian   24 draws, the first 8 at random                      Optuna's TPE

Guide: tuning strategies [6016-6050] names the three, calls random search often better than the grid
and Bayesian search smart, and tries none. Here each may train 24 networks on 300 digits, judged by
the loss on rows of their own; the best of each is then judged by rows that no search has seen.
Every objective is one function of the parameters, which a run of either package computes.

Sources: Bergstra & Bengio 2012, JMLR 13; Bergstra et al. 2011, NeurIPS 24.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
import scratch.training
import torch_ref.training
from datasets import Range, Search, bayesian_search, grid_search, random_search, tabular
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import apart, mlps
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.training import metrics, train

BUDGET, STARTUP = 24, 8
SPACE: dict[str, Any] = {
    "lr": Range(1e-4, 3.0, log=True),
    "momentum": Range(0.0, 0.98),
    "width": Range(4, 64, log=True, integer=True),
    "weight_decay": Range(1e-6, 0.1, log=True),
}


def grid(n: int) -> dict[str, Any]:
    """n combinations, 12 or 24."""
    widths = [16, 64][: n // 12]
    momenta = [0.0, 0.5, 0.9]
    return {
        "lr": SPACE["lr"].grid(4),
        "momentum": momenta,
        "width": widths,
        "weight_decay": [1e-4],
    }


Objective = Callable[[dict[str, Any]], float]
SEARCHES: Mapping[str, Callable[[Objective, int, int], Search]] = {
    "grid": lambda objective, n, seed: grid_search(objective, grid(n)),
    "random": lambda objective, n, seed: random_search(objective, SPACE, n, seed=seed),
    "Bayesian": lambda objective, n, seed: bayesian_search(
        objective, SPACE, n, seed=seed, startup=STARTUP
    ),
}
COLOURS = dict(zip(SEARCHES, (CLASSES[0], CLASSES[2], CLASSES[1]), strict=True))


@dataclass(frozen=True, eq=False)
class Data:
    """Digits in three parts, standardised by the first.

    Attributes:
        x: to train on.
        t: their classes.
        held: inputs and classes to search by.
        test: those to judge by.
    """

    x: Array
    t: Array
    held: tuple[Array, Array]
    test: tuple[Array, Array]


def load(seed: int) -> Data:
    """300 rows to train on, 300 to search by, all others to judge by."""
    whole = tabular.digits()
    x, test_x, y, test_y = train_test_split(whole.x, whole.y, 1 - 600 / len(whole.x), seed)
    x, held_x, y, held_y = train_test_split(x, y, 0.5, seed)
    scale = Standardizer.fit(x)
    return Data(scale(x), y, (scale(held_x), held_y), (scale(test_x), test_y))


def trained(parameters: dict[str, Any], data: Data, steps: int, seed: int) -> Any:
    """Scratch's network, trained with them; the loss may have run away."""
    pair = mlps((64, parameters["width"], 10), "ReLU", seed)
    optimizer = scratch.optim.SGD(pair.ours.parameters(), **options(parameters))  # type: ignore[arg-type]
    stream = batch_stream(len(data.x), 32, steps, seed)
    with np.errstate(all="ignore"):
        for record in train(pair.ours, optimizer, "cross_entropy", data.x, data.t, stream):
            if not math.isfinite(record.loss):
                break
    return pair.ours.eval()


def options(parameters: dict[str, Any]) -> dict[str, float]:
    """Those of SGD."""
    return {name: parameters[name] for name in ("lr", "momentum", "weight_decay")}


def by_scratch(data: Data, steps: int, seed: int) -> Objective:
    """Loss on the rows to search by, after training in NumPy."""

    def objective(parameters: dict[str, Any]) -> float:
        model = trained(parameters, data, steps, seed)
        with np.errstate(all="ignore"):
            return float(F.cross_entropy(model(data.held[0])[0], data.held[1])[0])

    return objective


def by_torch(data: Data, steps: int, seed: int) -> Objective:
    """The same in torch."""

    def objective(parameters: dict[str, Any]) -> float:
        model = mlps((64, parameters["width"], 10), "ReLU", seed).theirs
        optimizer = torch.optim.SGD(model.parameters(), **options(parameters))  # type: ignore[arg-type]
        stream = batch_stream(len(data.x), 32, steps, seed)
        run = torch_ref.training.train(model, optimizer, "cross_entropy", data.x, data.t, stream)
        for record in run:
            if not math.isfinite(record.loss):
                break
        x, t = map(torch.from_numpy, data.held)
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(model.eval()(x), t).item()

    return objective


@dataclass(frozen=True)
class Found:
    """One search.

    Attributes:
        search: all its trials.
        accuracy: of its best, on the rows that it has not seen.
    """

    search: Search
    accuracy: float


Runs = Mapping[str, list[Found]]


def searched(name: str, budget: int, steps: int, seed: int) -> Found:
    """Search by scratch, and judge the best."""
    data = load(seed)
    search = SEARCHES[name](by_scratch(data, steps, seed), budget, seed)
    output = trained(search.best.parameters, data, steps, seed)(data.test[0])[0]
    return Found(search, metrics.accuracy(output, data.test[1]))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Search three ways at the same budget.

    Args:
        out: folder for the figures.
        small: two seeds, fewer steps.
        seed: the first.

    Returns:
        What each found, with the claims about it.
    """
    outcome = Outcome("search")
    starts, steps, budget = (1, 25, BUDGET // 2) if small else (10, 100, BUDGET)
    seeds = range(seed, seed + starts)
    runs = {name: [searched(name, budget, steps, s) for s in seeds] for name in SEARCHES}
    _claim_twins(outcome, runs, budget, steps, seed)
    _claims(outcome, runs, budget, steps)
    path = out / "search.png"
    _draw(path, runs)
    outcome.figures.append(path)
    return outcome


def _claim_twins(outcome: Outcome, runs: Runs, budget: int, steps: int, seed: int) -> None:
    objective = by_torch(load(seed), steps, seed)
    measured = []
    for name, done in runs.items():
        ours, theirs = done[0].search, SEARCHES[name](objective, budget, seed)
        both = list(zip(ours.trials, theirs.trials, strict=True))
        values = np.array([(a.value, b.value) for a, b in both])
        calm = values[(values < math.log(10)).all(1)]  # others are thrown about
        same = all(
            math.isclose(a.parameters[key], b.parameters[key], rel_tol=1e-6)
            for a, b in both
            for key in SPACE
        )
        measured.append((name, same, apart(calm[:, 0], calm[:, 1]), len(calm)))
    outcome.claim(
        "by either package's training the searches draw the same, and find the same best",
        "; ".join(
            f"{name}: losses {drift:.0e} apart in the {n} that do better than a guess"
            for name, _, drift, n in measured
        ),
        all(same and n > 2 and drift < 1e-6 for _, same, drift, n in measured),
    )


def _claims(outcome: Outcome, runs: Runs, budget: int, steps: int) -> None:
    best = {name: np.array([f.search.best.value for f in done]) for name, done in runs.items()}
    right = {name: np.array([f.accuracy for f in done]) for name, done in runs.items()}
    lines = [
        f"{budget} trials of {steps} steps, {len(best['grid'])} seeds",
        f"{'':10}{'loss of the best: mean':>24}{'worst':>8}{'test accuracy':>15}"
        f"{'trials to beat the grid':>25}",
    ]
    needed = {name: _needed(done, runs["grid"]) for name, done in runs.items()}
    for name in runs:
        outcome.numbers[name] = {
            "loss of the best": best[name].tolist(),
            "test accuracy": right[name].tolist(),
            "best parameters": [f.search.best.parameters for f in runs[name]],
            "trials to beat the grid's best": needed[name],
        }
        beaten = [n for n in needed[name] if n is not None]
        text = f"{np.median(beaten):.0f} in {len(beaten)} seeds" if beaten else "never"
        lines.append(
            f"{name:10}{best[name].mean():24.4f}{best[name].max():8.4f}{right[name].mean():15.1%}"
            f"{text if name != 'grid' else '':>25}"
        )
    outcome.text = "\n".join(lines)
    outcome.claim(
        f"each has spent the same: {budget} trainings",
        ", ".join(f"{name} {len(done[0].search.trials)}" for name, done in runs.items()),
        all(len(f.search.trials) == budget for done in runs.values() for f in done),
    )
    if budget == BUDGET:
        _claim_order(outcome, runs, best, right)


def _claim_order(
    outcome: Outcome, runs: Runs, best: dict[str, Array], right: dict[str, Array]
) -> None:
    medians = {
        name: float(np.median([t.value for f in done for t in f.search.trials[STARTUP:]]))
        for name, done in runs.items()
        if name != "grid"
    }
    outcome.numbers["median loss after the first eight"] = medians
    outcome.claim(
        f"after its {STARTUP} draws at random Bayesian search tries better parameters than random "
        "search does",
        ", ".join(f"{name} median loss {m:.3f}" for name, m in medians.items()),
        medians["Bayesian"] < medians["random"],
    )
    wins = {
        (a, b): int(np.sum(best[a] < best[b]))
        for a, b in (("random", "grid"), ("Bayesian", "grid"), ("Bayesian", "random"))
    }
    outcome.numbers["seeds in which the first has the lower loss"] = {
        f"{a}, {b}": n for (a, b), n in wins.items()
    }
    outcome.claim(
        "Bayesian search ends with the lowest loss in the mean",
        ", ".join(f"{name} {v.mean():.4f}" for name, v in best.items())
        + "; "
        + ", ".join(f"{a} below {b} in {n} of {len(best[a])}" for (a, b), n in wins.items()),
        min(best, key=lambda name: best[name].mean()) == "Bayesian",
    )
    spread = max(v.mean() for v in right.values()) - min(v.mean() for v in right.values())
    outcome.claim(
        "on rows that no search has seen that makes little difference",
        ", ".join(f"{name} {v.mean():.1%}" for name, v in right.items()),
        bool(spread < 0.02),
    )


def _needed(done: list[Found], grid: list[Found]) -> list[int | None]:
    """After how many trials each was below the grid's best of the same seed."""
    found: list[int | None] = []
    for f, g in zip(done, grid, strict=True):
        below = np.flatnonzero(f.search.best_so_far < g.search.best.value)
        found.append(int(below[0]) + 1 if below.size else None)
    return found


def _draw(path: Path, runs: Runs) -> None:
    with figure(path, 1, 3, (16, 4.6)) as (fig, axes):
        for name, done in runs.items():
            curves = np.array([f.search.best_so_far for f in done])
            at = np.arange(1, curves.shape[1] + 1)
            axes[0].semilogy(at, np.median(curves, axis=0), color=COLOURS[name], lw=2, label=name)
            axes[0].fill_between(
                at, curves.min(0), np.minimum(curves.max(0), 3), color=COLOURS[name], alpha=0.12
            )
            ends = [f.search.best.value for f in done]
            k = list(runs).index(name)
            axes[1].plot(
                k + np.linspace(-0.15, 0.15, len(ends)), ends, "o", mfc="none", mec=COLOURS[name]
            )
            axes[1].plot([k - 0.25, k + 0.25], [np.mean(ends)] * 2, color=COLOURS[name], lw=2)
            first = done[0].search.trials
            values = np.array([t.value for t in first])
            sizes = 90 * np.clip(1 - (values - values.min()) / 2, 0.08, 1)
            axes[2].scatter(
                [t.parameters["lr"] for t in first],
                [t.parameters["momentum"] for t in first],
                s=sizes,
                color=COLOURS[name],
                alpha=0.65,
                label=name,
            )
        axes[0].set_xlabel("trials")
        axes[0].set_ylabel("lowest loss so far, median and range")
        axes[0].set_title("as the search goes on")
        axes[0].legend(fontsize=8)
        axes[1].set_xticks(range(len(runs)), list(runs))
        axes[1].set_xlim(-0.5, len(runs) - 0.5)
        axes[1].set_ylabel("loss of the best")
        axes[1].set_title("at the end: each seed, and the mean")
        axes[2].set_xscale("log")
        axes[2].set_xlabel("learning rate")
        axes[2].set_ylabel("momentum")
        axes[2].set_title("where one seed tried; large: low loss")
        axes[2].legend(fontsize=8)
        fig.suptitle("The same number of trainings for each way of searching", fontsize=13)
