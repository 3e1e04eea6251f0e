"""The check of a schedule: both twins drive an optimizer of three groups, and every rate agrees.

Rates are Python floats on both sides, whatever the dtype of the parameters, so they are compared in
float64: after each step, the learning rate and the momentum (or first beta) of every group.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.harness import twin
from parity_tests.harness.compare import Comparison, close, same
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Part, Run, Schedule

RATES = (0.1, 0.37, 2.0)
MOMENTA = (0.9, 0.5, 0.0)
BETAS = ((0.9, 0.999), (0.5, 0.9), (0.0, 0.99))


def run_label(run: Run) -> str:
    """What distinguishes a run."""
    parts = [f"{name}={_text(value)}" for name, value in run.options.items()]
    parts += [run.optimizer] if run.optimizer != "SGD" else []
    parts += [f"beside {part.name}" for part in run.before]
    parts += ["edited"] if run.edits else []
    parts += ["jumping"] if run.epochs else []
    return ", ".join(parts) or "defaults"


def _text(value: Any) -> str:
    if isinstance(value, Part):
        return value.name
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return getattr(value, "__name__", None) or str(value)


def check_schedule(
    entry: Schedule, run: Run, dtype: np.dtype[Any], device: str
) -> list[Comparison]:
    """Rates and momenta along the run, what the schedule says and keeps, the parameters."""
    draw = Draw(f"{entry.name}/{run_label(run)}", dtype)
    start = [draw.normal(3) for _ in RATES]
    ours = [scratch.nn.Parameter(values.copy()) for values in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(values.copy()).to(device)) for values in start]
    mine, reference = scratch.optim, torch.optim
    pair = (
        Driver(run, entry.scratch, getattr(mine, run.optimizer), mine.lr_scheduler, ours),
        Driver(run, entry.torch, getattr(reference, run.optimizer), reference.lr_scheduler, theirs),
    )
    for step in range(run.steps):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = draw.normal(3)
            q.grad = torch.from_numpy(p.grad.copy()).to(device)
        for driver in pair:
            driver.step(step)
    a, b = pair
    results = [
        same("state_dict keys", sorted(a.schedule.state_dict()), sorted(b.schedule.state_dict())),
        close("get_last_lr", a.last(), b.last(), c=entry.c),
    ]
    for what in b.found:
        for i in range(len(RATES)):
            found, expected = (np.array(driver.found[what])[:, i] for driver in pair)
            results.append(close(f"{what} of group {i}", found, expected, c=entry.c))
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        limit = entry.c if dtype == np.float64 else 4 * run.steps
        results.append(close(f"parameter {i}", p.data, twin.numpy(q), c=limit))
    return results


def built(value: Any, optimizer: Any, schedules: Any) -> Any:
    """A `Part` as a schedule of that module; also those in lists and among options."""
    if isinstance(value, Part):
        options = built(dict(value.options), optimizer, schedules)
        return getattr(schedules, value.name)(optimizer=optimizer, **options)
    if isinstance(value, dict):
        return {name: built(option, optimizer, schedules) for name, option in value.items()}
    return (
        [built(part, optimizer, schedules) for part in value] if isinstance(value, list) else value
    )


class Driver:
    """An optimizer with schedules on one side, and what its groups held after each step."""

    def __init__(
        self,
        run: Run,
        schedule: Callable[..., Any],
        optimizer: Callable[..., Any],
        schedules: Any,
        parameters: list[Any],
    ) -> None:
        groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters, RATES, strict=True)]
        self.optimizer = optimizer(groups, lr=0.1)
        self.name = "betas" if "betas" in self.optimizer.defaults else "momentum"
        for group, value in zip(
            self.optimizer.param_groups, BETAS if self.name == "betas" else MOMENTA, strict=True
        ):
            group[self.name] = value

        self.run = run
        self.before = [built(part, self.optimizer, schedules) for part in run.before]
        options = built(dict(run.options), self.optimizer, schedules)
        self.schedule = schedule(optimizer=self.optimizer, **options)
        self.found: dict[str, list[list[float]]] = {"lr": [], self.name: []}
        self.note()

    def note(self) -> None:
        groups = self.optimizer.param_groups
        self.found["lr"].append([float(group["lr"]) for group in groups])
        momenta = [group[self.name] for group in groups]
        first = [m[0] if self.name == "betas" else m for m in momenta]
        self.found[self.name].append([float(m) for m in first])

    def last(self) -> Array:
        return np.array([float(lr) for lr in self.schedule.get_last_lr()])

    def step(self, step: int) -> None:
        run = self.run
        self.optimizer.step()
        self.optimizer.param_groups[0]["lr"] *= run.edits.get(step, 1.0)
        given = [run.metrics[step % len(run.metrics)]] if run.metrics else []
        if step in run.epochs:
            given.append(run.epochs[step])
        self.schedule.step(*given)
        for other in self.before:
            other.step()
        self.note()
