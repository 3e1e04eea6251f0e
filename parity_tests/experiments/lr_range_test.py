"""A learning rate from one short run, and what it is worth beside rates that were all tried.

Guide: hyperparameter tuning [6016-6105], which draws made-up curves for four rates, and advises
0.001 for Adam. Here the rate of a run of a hundred steps rises from far too low
to far too high, on three sets of real rows, by SGD with momentum and by Adam; where the smoothed
loss falls fastest is the suggestion. Then a run is made with it, and with every rate of a grid.
`learning_rates` shows such a run beside the panels of the guide.

Source: Smith 2017, arXiv:1506.01186, section 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
import scratch.training
import torch_ref.training
from datasets.split import batch_stream
from datasets.tasks import Split, get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, apart, mlps
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.training import train

BATCH = 32
TASKS = ("digits", "breast_cancer", "diabetes")
OPTIONS: dict[str, dict[str, float]] = {"SGD": {"momentum": 0.9}, "Adam": {}}
SPAN = {"SGD": (1e-4, 10.0), "Adam": (1e-5, 10.0)}
GRIDS = {
    "SGD": (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0),
    "Adam": (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3),
}
ADVICE = 0.001  # the guide's, for Adam


@dataclass
class Found:
    """One task, optimizer and start.

    Attributes:
        ours: scratch's range test.
        theirs: torch's.
        kept: whether models and optimizers were as they had been.
        reached: loss over the training rows after a run at each rate of the grid.
        suggested: the same at the suggestion.
        drift: how far the twins are apart in a run at the suggestion.
    """

    ours: Any
    theirs: Any
    kept: bool
    reached: dict[float, float] = field(default_factory=dict)
    suggested: float = np.nan
    drift: float = 0.0


Runs = Mapping[tuple[str, str], list[Found]]


def start(task: str, seed: int) -> tuple[Twins, Split]:
    """The recipe's network in both, and its rows."""
    recipe = get(task)
    sizes = (recipe.input_size, *recipe.hidden, recipe.output_size)
    return mlps(sizes, recipe.activation, seed), recipe.load(seed)


def reached(pair: Twins, task: str, split: Split) -> float:
    """Scratch's loss over the training rows."""
    with np.errstate(all="ignore"):
        output = pair.ours.eval()(split.train_x)[0]
        value = float(getattr(F, get(task).loss)(output, split.train_y)[0])
    return value if np.isfinite(value) else np.inf


def one(task: str, optimizer: str, steps: int, seed: int) -> Found:
    """The range test of both, a run of both at the suggestion, runs of scratch over the grid."""
    pair, split = start(task, seed)
    loss, options = get(task).loss, OPTIONS[optimizer]
    low, high = SPAN[optimizer]
    x, t = split.train_x, split.train_y
    state = pair.ours.state_dict()
    steppers = (
        getattr(scratch.optim, optimizer)(pair.ours.parameters(), lr=low, **options),
        getattr(torch.optim, optimizer)(pair.theirs.parameters(), lr=low, **options),
    )
    tests = [
        package.training.lr_range_test(
            model, stepper, loss, x, t, batch_stream(len(x), BATCH, 100, seed), low=low, high=high
        )
        for package, model, stepper in zip(
            (scratch, torch_ref), (pair.ours, pair.theirs), steppers, strict=True
        )
    ]
    same = all(np.array_equal(state[k], v) for k, v in pair.ours.state_dict().items())
    same &= all(np.array_equal(state[k], v.numpy()) for k, v in pair.theirs.state_dict().items())
    same &= all(not s.state and s.param_groups[0]["lr"] == low for s in steppers)
    found = Found(tests[0], tests[1], same)
    with np.errstate(all="ignore"):  # some rates of the grid are too high
        pairs = pair.train(
            optimizer,
            {"lr": tests[0].suggestion, **options},
            loss,
            x,
            t,
            batch_stream(len(x), BATCH, steps, seed),
        )
        losses = np.array(list(pairs))
        found.drift = apart(losses[:, 0], losses[:, 1])
        found.suggested = reached(pair, task, split)
        for rate in GRIDS[optimizer]:
            again, _ = start(task, seed)
            stepper = getattr(scratch.optim, optimizer)(again.ours.parameters(), lr=rate, **options)
            for record in train(
                again.ours, stepper, loss, x, t, batch_stream(len(x), BATCH, steps, seed)
            ):
                if not np.isfinite(record.loss):
                    break
            found.reached[rate] = reached(again, task, split)
    return found


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Let the rate rise, take the suggestion, and compare it with all the others.

    Args:
        out: folder for the figures.
        small: one set of rows, fewer steps, one start.
        seed: of the first start.

    Returns:
        Suggestions and what they reach, with the claims about them.
    """
    outcome = Outcome("lr_range_test")
    tasks = TASKS[1:2] if small else TASKS
    steps, starts = (60, 1) if small else (200, 5)
    runs = {
        (task, optimizer): [one(task, optimizer, steps, s) for s in range(seed, seed + starts)]
        for task in tasks
        for optimizer in OPTIONS
    }
    _claims(outcome, runs, steps)
    path = out / "lr_range_test.png"
    _draw(path, runs, steps)
    outcome.figures.append(path)
    return outcome


def _claims(outcome: Outcome, runs: Runs, steps: int) -> None:
    every = [f for done in runs.values() for f in done]
    outcome.claim(
        "model and optimizer of both packages are afterwards as they were, to the last bit",
        f"{len(every)} range tests",
        all(f.kept for f in every),
    )
    calm = [
        apart(f.ours.losses[: len(f.ours.losses) // 2], f.theirs.losses[: len(f.ours.losses) // 2])
        for f in every
    ]
    outcome.claim(
        "both packages go through the same rates and losses and suggest the same",
        f"{max(calm):.0e} apart in the calm half; suggestions equal in "
        f"{sum(f.ours.suggestion == f.theirs.suggestion for f in every)} of {len(every)}",
        max(calm) < 1e-9
        and all(
            f.ours.rates == f.theirs.rates and f.ours.suggestion == f.theirs.suggestion
            for f in every
        ),
    )
    outcome.claim(
        "runs at the suggestion agree, too",
        f"{max(f.drift for f in every):.0e} apart at most",
        max(f.drift for f in every) < 1e-8,
    )
    lines = [
        f"training loss after {steps} steps, mean of {len(next(iter(runs.values())))} start(s)",
        f"{'':24}{'suggested':>18}{'reaches':>9}{'best of grid':>14}{'reaches':>9}{'worst':>9}",
    ]
    for (task, optimizer), done in runs.items():
        means = {rate: float(np.mean([f.reached[rate] for f in done])) for rate in GRIDS[optimizer]}
        best = min(means, key=means.__getitem__)
        rates = np.array([f.ours.suggestion for f in done])
        lines.append(
            f"{task + ', ' + optimizer:24}{f'{rates.min():.2g} to {rates.max():.2g}':>18}"
            f"{np.mean([f.suggested for f in done]):9.4f}{best:14g}{means[best]:9.4f}"
            f"{max(means.values()):9.3g}"
        )
        outcome.numbers[f"{task}, {optimizer}"] = {
            "suggestions": rates.tolist(),
            "loss at the suggestion": [f.suggested for f in done],
            "loss at each rate": {f"{rate:g}": [f.reached[rate] for f in done] for rate in means},
        }
    outcome.text = "\n".join(lines)
    _claim_worth(outcome, runs)


def _claim_worth(outcome: Outcome, runs: Runs) -> None:
    beaten = {
        key: [sum(v > f.suggested for v in f.reached.values()) / len(f.reached) for f in done]
        for key, done in runs.items()
    }
    shares = [share for of in beaten.values() for share in of]
    outcome.numbers["share of the grid that is worse"] = {
        f"{task}, {optimizer}": of for (task, optimizer), of in beaten.items()
    }
    outcome.claim(
        "the suggestion beats more than half of the grid in the mean",
        ", ".join(f"{k[0]} {k[1]} {np.mean(v):.0%}" for k, v in beaten.items()),
        bool(np.mean(shares) > 0.5),
    )
    far = {
        key: [f.ours.suggestion / min(f.reached, key=f.reached.__getitem__) for f in done]
        for key, done in runs.items()
    }
    ratios = [ratio for of in far.values() for ratio in of]
    outcome.numbers["suggestion by the best rate of the grid"] = {
        f"{task}, {optimizer}": of for (task, optimizer), of in far.items()
    }
    outcome.claim(
        "it errs on the safe side: below the best rate of the grid, or close to it, in every run",
        ", ".join(f"{k[0]} {k[1]} {min(v):.2g} to {max(v):.2g} of it" for k, v in far.items()),
        max(ratios) < 4,
    )


def _draw(path: Path, runs: Runs, steps: int) -> None:
    tasks = list(dict.fromkeys(task for task, _ in runs))
    with figure(path, len(tasks), 4, (16, 3.6 * len(tasks)), squeeze=False) as (fig, axes):
        for row, task in zip(axes, tasks, strict=True):
            for k, optimizer in enumerate(OPTIONS):
                done = runs[task, optimizer]
                _draw_test(row[2 * k], done, f"{task}, {optimizer}: the rate rises")
                _draw_grid(row[2 * k + 1], done, optimizer, f"training loss after {steps} steps")
        fig.suptitle("Learning rates: suggested by one run, and tried one by one", fontsize=13)


def _draw_test(ax: Any, done: list[Found], title: str) -> None:
    for i, f in enumerate(done):
        top = 2 * f.ours.losses[0]
        shown = np.minimum(f.ours.smoothed, top)
        ax.semilogx(f.ours.rates, shown, color=CLASSES[0], lw=1, label=None if i else "scratch")
        every = slice(None, None, 8)
        theirs = np.minimum(f.theirs.smoothed, top)[every]
        ax.plot(
            f.theirs.rates[every],
            theirs,
            "o",
            mfc="none",
            mec=CLASSES[0],
            ms=4,
            label=None if i else "torch",
        )
        ax.axvline(f.ours.suggestion, color=CLASSES[1], lw=0.9, label=None if i else "suggested")
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("learning rate")
    ax.set_ylabel("smoothed loss")
    ax.legend(fontsize=8)


def _draw_grid(ax: Any, done: list[Found], optimizer: str, label: str) -> None:
    def shown(values: list[float]) -> Array:
        return np.clip(values, 1e-5, 1e2)

    for i, f in enumerate(done):
        rates = list(f.reached)
        ax.loglog(rates, shown(list(f.reached.values())), color="0.5", lw=0.8, marker=".")
        ax.plot(
            [f.ours.suggestion],
            shown([f.suggested]),
            "D",
            color=CLASSES[1],
            ms=6,
            label=None if i else "suggested",
        )
    if optimizer == "Adam":
        ax.axvline(ADVICE, color=CLASSES[2], ls="--", lw=1, label="0.001, as advised")
    ax.set_xlabel("learning rate")
    ax.set_ylabel(label)
    ax.set_title("tried one by one", fontsize=10)
    ax.legend(fontsize=8)
