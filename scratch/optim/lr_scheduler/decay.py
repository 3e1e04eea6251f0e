"""Schedules that shrink the rate step by step.

    StepLR         lr <- gamma lr at each multiple of step_size       gamma^floor(e / step_size)
    MultiStepLR    lr <- gamma lr at each milestone                   gamma^(milestones <= e)
    ExponentialLR  lr <- gamma lr at every epoch                      gamma^e
    PolynomialLR   lr <- ((1 - e/T) / (1 - (e - 1)/T))^power lr       (1 - min(e, T)/T)^power

On the left the recursion, on the right the closed form, in units of base_lr; T = total_iters.

torch     a milestone that comes twice counts twice, and one at 0 acts at the start.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from scratch import check
from scratch.optim.lr_scheduler.scheduler import LRScheduler, plain, whole
from scratch.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """Times gamma every `step_size` epochs.

    Args:
        optimizer: whose groups it sets.
        step_size: epochs between two changes, >= 1.
        gamma: factor.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    step_size: int
    gamma: float

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        whole(function, "step_size", options["step_size"], low=1)
        check.number(function, "gamma", options["gamma"])

    def _get_lr(self) -> list[float]:
        now = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma for lr in self._lrs()] if now else self._lrs()

    def _get_closed_form_lr(self) -> list[float]:
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [base_lr * factor for base_lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Times gamma at each milestone.

    Args:
        optimizer: whose groups it sets.
        milestones: epochs, in any order.
        gamma: factor.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    milestones: Counter[int]
    gamma: float

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        name = type(self).__name__
        if not isinstance(milestones, Iterable):
            check.refuse(name, "a list of milestones", check.describe(milestones), TypeError)
        self.milestones = Counter(map(plain, milestones))
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        milestones = options["milestones"]
        if not isinstance(milestones, Counter):
            expected, got = "milestones to be a Counter", check.describe(milestones)
            check.refuse(function, expected, got, TypeError)
        for milestone, count in milestones.items():
            whole(function, "each milestone", milestone)
            whole(function, f"the count of milestone {milestone}", count)
        check.number(function, "gamma", options["gamma"])

    def _get_lr(self) -> list[float]:
        if self.last_epoch not in self.milestones:
            return self._lrs()
        times = self.milestones[int(self.last_epoch)]
        return [lr * self.gamma**times for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        times = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base_lr * self.gamma**times for base_lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Times gamma at every epoch.

    Args:
        optimizer: whose groups it sets.
        gamma: factor.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    gamma: float

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.number(function, "gamma", options["gamma"])

    def _get_lr(self) -> list[float]:
        return self._lrs() if self._is_initial else [lr * self.gamma for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base_lr * self.gamma**self.last_epoch for base_lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """Down to zero at epoch `total_iters` along a power of the share of epochs that is left.

    Args:
        optimizer: whose groups it sets.
        total_iters: epochs until zero, >= 0.
        power: 1 is a straight line.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    total_iters: int
    power: float

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        whole(function, "total_iters", options["total_iters"])
        check.number(function, "power", options["power"])

    def _get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._lrs()
        left = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        factor = (left / before) ** self.power
        return [lr * factor for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        total = self.total_iters
        if total == 0:
            check.refuse(self._step_name, "total_iters > 0 where an epoch is given", total)
        left = 1.0 - min(total, self.last_epoch) / total
        return [base_lr * left**self.power for base_lr in self.base_lrs]
