"""Schedules made of schedules.

    SequentialLR       the i-th from milestone i - 1 on, started afresh there: its closed form at
                       epoch 0 if it has one, so from the initial rate; else its recursion
    ChainedScheduler   every one at every step: what each does to the rate adds up

torch     what the constructors of the parts did to the rates is taken back by SequentialLR and
          kept by ChainedScheduler. A SequentialLR inside another one is an epoch ahead of it.
          ReduceLROnPlateau, which wants a metric, is no part of either.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from scratch import check
from scratch.optim.lr_scheduler.plateau import ReduceLROnPlateau
from scratch.optim.lr_scheduler.scheduler import (
    LRScheduler,
    all_or_nothing,
    check_optimizer,
    whole,
)
from scratch.optim.optimizer import Optimizer


class _Composite(LRScheduler):
    _schedulers: list[LRScheduler]
    _by_group = ()

    def _hold(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        """Keep them, if they are schedulers of the optimizer; of the first one's if it is None."""
        name = type(self).__name__
        if not isinstance(schedulers, tuple | list) or not schedulers:
            expected, got = "schedulers to be a list of at least one", check.describe(schedulers)
            check.refuse(name, expected, got)
        for i, scheduler in enumerate(schedulers):
            what = f"{type(scheduler).__name__} at index {i}"
            if not isinstance(scheduler, LRScheduler):
                check.refuse(name, "schedulers", what, TypeError)
            if isinstance(scheduler, ReduceLROnPlateau):
                check.refuse(name, "schedulers that step without a metric", what)
        self.optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        check_optimizer(name, self.optimizer)
        for i, scheduler in enumerate(schedulers):
            if scheduler.optimizer is not self.optimizer:
                got = f"{type(scheduler).__name__} of another one at index {i}"
                check.refuse(name, "schedulers of this optimizer", got)
        self._schedulers = list(schedulers)

    def _held(self) -> list[dict[str, Any]]:
        return [*super()._held(), *(items for s in self._schedulers for items in s._held())]

    def _saved(self) -> dict[str, Any]:
        return {**super()._saved(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def _loaded(
        self, function: str, state_dict: Mapping[str, Any]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        (held, new), *_ = super()._loaded(function, state_dict)
        saved, n = new.pop("_schedulers"), len(self._schedulers)
        if not isinstance(saved, tuple | list) or len(saved) != n:
            expected = f"_schedulers to be a list of {n} states"
            check.refuse(function, expected, check.describe(saved))
        pairs = zip(self._schedulers, saved, strict=True)
        parts = [part for s, state in pairs for part in s._loaded(function, state)]
        return [(held, new), *parts]


class SequentialLR(_Composite):
    """One schedule after the other.

    Args:
        optimizer: whose groups they set.
        schedulers: of this optimizer.
        milestones: epochs at which the next one takes over, ascending; one fewer than schedulers.
        last_epoch: -1; anything else shifts the milestones.

    Raises:
        TypeError: if a part is no scheduler.
        ValueError: if there is none, one is of another optimizer, wants a metric, or is to begin
            at a milestone and cannot, being composed itself; or the milestones do not fit.
    """

    _milestones: list[int]

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self._hold(schedulers, optimizer)
        check.size(name, "last_epoch", last_epoch, low=-1)
        self._check_milestones(name, milestones)
        for i, (scheduler, milestone) in enumerate(zip(schedulers[1:], milestones, strict=True)):
            if isinstance(scheduler, _Composite) and milestone > 0:
                expected = "schedulers with rates of their own after the first"
                check.refuse(name, expected, f"{type(scheduler).__name__} at index {i + 1}")
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        with all_or_nothing(*self._held()):
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"]
            _undo(self)
            first = self._schedulers[bisect_right(self._milestones, 0)]
            first._initial_step()
            self._last_lr = first.get_last_lr()

    def _check_milestones(self, function: str, milestones: object) -> None:
        n = len(self._schedulers) - 1
        if not isinstance(milestones, tuple | list) or len(milestones) != n:
            expected = f"milestones to be a list of {n}, one fewer than schedulers"
            check.refuse(function, expected, check.describe(milestones))
        for milestone in milestones:
            whole(function, "each milestone", milestone)
        if list(milestones) != sorted(milestones):
            check.refuse(function, "milestones to ascend", milestones)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        self._check_milestones(function, options["_milestones"])

    def step(self) -> None:  # type: ignore[override]  # no epoch, as in torch
        """Step the schedule whose turn it is, or start it."""
        with all_or_nothing(*self._held()):
            self.last_epoch += 1
            i = bisect_right(self._milestones, self.last_epoch)
            scheduler = self._schedulers[i]
            if i > 0 and self._milestones[i - 1] == self.last_epoch:
                scheduler._update_lr(0)
            else:
                scheduler.step()
            self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    """Take back the count of the step that a constructor took, in the parts of compositions too."""
    if isinstance(scheduler, _Composite):
        for part in scheduler._schedulers:
            _undo(part)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Composite):
    """Several schedules at once, in their order.

    Args:
        schedulers: of one optimizer.
        optimizer: theirs, if it is to be checked.

    Raises:
        TypeError: if a part is no scheduler.
        ValueError: if there is none, one is of another optimizer, or wants a metric.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._hold(schedulers, optimizer)
        self._last_lr = self._lrs()

    def step(self) -> None:  # type: ignore[override]  # no epoch, as in torch
        """Step them all."""
        with all_or_nothing(*self._held()):
            for scheduler in self._schedulers:
                scheduler.step()
            self._last_lr = self._lrs()
