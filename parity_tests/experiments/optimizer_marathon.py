"""A thousand steps of every optimizer, under every schedule, down three tasks: how far apart?

Guide: it shows SGD with momentum, RMSprop and Adam for a hundred steps on one function and never
compares them with another implementation [1071-1225]. Here both twins go a thousand steps
in float64 with everything on the way that makes conventions show (`harness.marathon` says what),
and the drift is recorded. Beside it stand optimizers of scratch's that follow another convention in
one line: rounding grows smoothly, a convention jumps.
"""

from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np

import scratch.optim
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.harness.marathon import (
    EPS,
    LIMIT,
    SCHEDULES,
    STEPS,
    Marathon,
    pairs,
)
from parity_tests.harness.marathon import (
    run as run_pair,
)
from parity_tests.pitfalls import PITFALLS

# Pitfalls of optimizers that the figure shows, and what their mutants do.
MUTANTS = {
    "adam_eps_hat": "Adam, eps beside the uncorrected root",
    "adamw_decay_after_step": "AdamW, decay after the step",
    "momentum_lr_in_velocity": "SGD, rate inside the velocity",
    "gradient_none_coasts": "no gradient, yet it coasts",
}
SMALL = ("Adam", "Lion")


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Run the pairs; the full size is every optimizer, schedule and task (some four minutes)."""
    outcome = Outcome("optimizer_marathon")
    chosen = pairs(every=not small)
    if small:
        chosen = [pair for pair in chosen if pair[0] in SMALL]
    results = [run_pair(*pair) for pair in chosen]
    failed = [str(c) for result in results for c in result.comparisons() if not c.passed]
    worst = max(results, key=lambda result: result.worst)
    outcome.claim(
        f"all {len(results)} runs stay at the rounding level, and no drift jumps",
        f"at most {worst.worst * EPS:.1e} ({worst.optimizer}, {worst.schedule}, {worst.task}); "
        f"failed: {'; '.join(failed) or 'none'}",
        not failed,
    )
    strays = {name: _stray(name) for name in (list(MUTANTS)[:2] if small else MUTANTS)}
    nearest = min(stray.worst for stray in strays.values())
    outcome.claim(
        "another convention in one line leaves it at once",
        f"the nearest of {len(strays)} is {nearest * EPS:.1e} off",
        nearest > 1000 * LIMIT,
    )
    outcome.text = table(results)
    outcome.numbers = {
        "steps": STEPS,
        "runs": [
            {
                "optimizer": r.optimizer,
                "schedule": r.schedule,
                "task": r.task,
                "largest relative difference of a parameter": r.worst * EPS,
                "of the optimizer's state": r.state * EPS,
                "drift": dict(zip(r.watched, (d * EPS for d in r.drift), strict=True)),
                "steps after which scratch went on from torch's state": len(r.partings),
            }
            for r in results
        ],
        "mutants": {name: stray.worst * EPS for name, stray in strays.items()},
    }
    outcome.figures.append(_draw(results, strays, out / "optimizer_marathon.png"))
    return outcome


def _stray(name: str) -> Marathon:
    """The run of a mutant in scratch's place."""
    pitfall = next(p for p in PITFALLS if p.name == name)
    with mock.patch.object(scratch.optim, pitfall.entry, pitfall.mutant):
        return run_pair(pitfall.entry, "StepLR", "quadratic")


def table(results: Sequence[Marathon]) -> str:
    """The largest relative difference of each optimizer under each schedule, over the tasks.

    Where scratch went on from torch's state at times (Muon, L-BFGS) the numbers are those between
    such steps, and their share is beside.
    """
    found: dict[tuple[str, str], float] = {}
    parted: dict[str, list[int]] = {}
    for result in results:
        where = result.optimizer, result.schedule
        found[where] = max(found.get(where, 0.0), result.worst * EPS)
        parted.setdefault(result.optimizer, []).append(len(result.partings))
    short = {"CosineAnnealingLR": "Cosine", "ReduceLROnPlateau": "OnPlateau"}
    lines = [f"{'':22}" + "".join(f"{short.get(s, s):>12}" for s in SCHEDULES) + "   set anew"]
    for name, counts in parted.items():
        cells = (found.get((name, schedule)) for schedule in SCHEDULES)
        line = f"{name:22}" + "".join(f"{'' if c is None else f'{c:.1e}':>12}" for c in cells)
        share = sum(counts) / len(counts) / STEPS
        lines.append(line + (f"{share:11.1%}" if share else ""))
    title = f"largest relative difference of a parameter over {STEPS:,} steps, float64"
    return "\n".join([title, *lines])


def _draw(results: Sequence[Marathon], strays: dict[str, Marathon], path: Path) -> Path:
    tasks = list(dict.fromkeys(result.task for result in results))
    with figure(path, 1, 1, (9, 4.6)) as (_, axes):
        for task, colour in zip(tasks, CLASSES, strict=False):
            for i, result in enumerate(r for r in results if r.task == task):
                drift = np.maximum(np.array(result.drift) * EPS, EPS / 8)
                label = f"{task}: every optimizer and schedule" if i == 0 else None
                axes.plot(result.watched, drift, color=colour, lw=0.7, alpha=0.55, label=label)
        for name, stray in strays.items():
            (line,) = axes.plot(
                stray.watched, np.maximum(np.array(stray.drift) * EPS, EPS / 8), color="black", lw=1
            )
            line.set_linestyle(("-", "--", ":", "-.")[list(strays).index(name)])
            line.set_label(f"mutant: {MUTANTS[name]}")
        axes.axhline(LIMIT * EPS, color="grey", lw=0.8)
        axes.text(STEPS, LIMIT * EPS * 1.5, "allowed", ha="right", color="grey", fontsize=8)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="step",
            ylabel="largest relative difference\nof a parameter, scratch and torch",
            title="Rounding grows smoothly, another convention jumps",
        )
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return path
