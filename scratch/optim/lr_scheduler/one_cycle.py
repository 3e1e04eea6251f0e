"""One climb of the rate and one long descent.             Smith & Topin 2018, arXiv:1708.07120

    initial_lr = max_lr / div_factor        min_lr = initial_lr / final_div_factor
    T = total_steps    p = pct_start

    two phases     to epoch p T - 1    initial_lr -> max_lr     max_momentum -> base_momentum
                   to epoch T - 1      max_lr -> min_lr         base_momentum -> max_momentum
    three phases   to epoch p T - 1    initial_lr -> max_lr     max_momentum -> base_momentum
                   to epoch 2 p T - 2  max_lr -> initial_lr     base_momentum -> max_momentum
                   to epoch T - 1      initial_lr -> min_lr     max_momentum
    cos            from a to b at share x of a phase: b + (a - b) (1 + cos(pi x)) / 2
    linear         a + (b - a) x

torch     two phases and the cosine, unlike the paper, which has three and straight lines. Bounds
          stand in the groups. It overwrites initial_lr there, and runs to epoch T, then refuses.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from scratch import check
from scratch.optim.lr_scheduler.cycle import check_momentum, has_betas, set_bounds, set_momentum
from scratch.optim.lr_scheduler.scheduler import (
    OPTIONAL,
    LRScheduler,
    all_or_nothing,
    by_group,
    check_optimizer,
)
from scratch.optim.optimizer import Group, Optimizer

UP = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
DOWN = ("max_lr", "min_lr", "base_momentum", "max_momentum")
BACK = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
OUT = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
PHASE = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")


class OneCycleLR(LRScheduler):
    """Up to `max_lr`, then down to nearly nothing; momentum the other way round.

    Args:
        optimizer: whose groups it sets.
        max_lr: highest rate, or one for each group.
        total_steps: epochs of the cycle, >= 1; here an epoch is usually a batch.
        epochs: with `steps_per_epoch` in the place of `total_steps`, their product.
        steps_per_epoch: see `epochs`.
        pct_start: share of the cycle that climbs, a float in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move momentum too.
        base_momentum: its lower bound, reached with `max_lr`, or one for each group.
        max_momentum: its upper bound, or one for each group.
        div_factor: the first rate is max_lr / div_factor.
        final_div_factor: the last is the first / final_div_factor.
        three_phase: come down as fast as up, then lower.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`, and if there is no momentum to cycle.

    Source:
        Smith & Topin 2018, arXiv:1708.07120.
    """

    total_steps: int
    _schedule_phases: list[dict[str, Any]]
    _anneal_func_type: str
    cycle_momentum: bool
    use_beta1: bool
    _optional: ClassVar = OPTIONAL | {"use_beta1"}

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = type(self).__name__
        groups = check_optimizer(name, optimizer)
        if total_steps is not None:
            total = check.size(name, "total_steps", total_steps, low=1)
        elif epochs is not None and steps_per_epoch is not None:
            total = check.size(name, "epochs", epochs, low=1)
            total *= check.size(name, "steps_per_epoch", steps_per_epoch, low=1)
        else:
            check.refuse(name, "total_steps, or epochs and steps_per_epoch", "neither")
        if not isinstance(pct_start, float):
            check.refuse(name, "pct_start to be a float in [0, 1]", check.describe(pct_start))
        share = check.number(name, "pct_start", pct_start, 0, 1)
        self.total_steps = total
        phases: list[tuple[float, str, str, str, str]] = [(share * total - 1, *UP)]
        if three_phase:
            phases += [(2 * share * total - 2, *BACK), (total - 1, *OUT)]
        else:
            phases += [(total - 1, *DOWN)]
        self._schedule_phases = [dict(zip(PHASE, phase, strict=True)) for phase in phases]
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        max_lrs = by_group(name, "max_lr", max_lr, groups)
        div_factor = check.nonzero(name, "div_factor", div_factor)
        final_div_factor = check.nonzero(name, "final_div_factor", final_div_factor)
        if cycle_momentum:
            self.use_beta1 = has_betas(name, optimizer)
            base_momentums = by_group(name, "base_momentum", base_momentum, groups)
            max_momentums = by_group(name, "max_momentum", max_momentum, groups)
        with all_or_nothing(*groups):
            if last_epoch == -1:
                for group, highest in zip(groups, max_lrs, strict=True):
                    group["initial_lr"] = highest / div_factor
                    group["max_lr"] = highest
                    group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    set_bounds(groups, base_momentums, max_momentums, self.use_beta1)
            super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.size(function, "total_steps", options["total_steps"], low=1)
        check.option(function, "anneal_strategy", options["_anneal_func_type"], ("cos", "linear"))
        check_momentum(function, self.optimizer, options, ("use_beta1",))
        phases = options["_schedule_phases"]
        if not isinstance(phases, list) or not all(_is_phase(phase) for phase in phases):
            expected = f"_schedule_phases to be a list of dicts with {', '.join(PHASE)}"
            check.refuse(function, expected, check.describe(phases))

    def _phase(self) -> tuple[dict[str, Any], float]:
        """The phase at `last_epoch`, and the share of it that is over."""
        e, start = self.last_epoch, 0.0
        if e > self.total_steps:
            check.refuse(self._step_name, f"at most {self.total_steps} steps", e)
        phase, *later = self._schedule_phases
        while e > phase["end_step"] and later:
            start = phase["end_step"]
            phase, *later = later
        if phase["end_step"] == start:
            expected = "phases that take longer than no time"
            check.refuse(self._step_name, expected, f"one from {start} to {start}")
        return phase, (e - start) / (phase["end_step"] - start)

    def _annealed(self, group: Group, start: str, end: str, x: float) -> float:
        missing = [name for name in (start, end) if name not in group]
        if missing:
            expected = "the bounds of the cycle in each group"
            check.refuse(self._step_name, expected, f"one without {', '.join(missing)}")
        a, b = group[start], group[end]
        if self._anneal_func_type == "linear":
            return float((b - a) * x + a)
        return float(b + (a - b) / 2.0 * (math.cos(math.pi * x) + 1))

    def _get_lr(self) -> list[float]:
        phase, x = self._phase()
        ends = phase["start_lr"], phase["end_lr"]
        return [self._annealed(group, *ends, x) for group in self.optimizer.param_groups]

    def _update_lr(self, epoch: int | None = None) -> None:
        super()._update_lr(epoch)
        if self.cycle_momentum:
            phase, x = self._phase()
            ends = phase["start_momentum"], phase["end_momentum"]
            for group in self.optimizer.param_groups:
                set_momentum(group, self._annealed(group, *ends, x), self.use_beta1)


def _is_phase(phase: object) -> bool:
    if not isinstance(phase, dict) or phase.keys() != set(PHASE):
        return False
    return isinstance(phase["end_step"], int | float) and all(
        isinstance(phase[name], str) for name in PHASE[1:]
    )
