"""Schedules that begin below the rate and come up to it.

    ConstantLR   lr <- factor lr at epoch 0, lr <- lr / factor at epoch T
                 factor for e < T, then 1
    LinearLR     lr <- start lr at epoch 0, then lr <- (1 + d / (T start + (e - 1) d)) lr to epoch T
                 start + d min(e, T) / T           d = end - start

First the recursion, then the closed form, in units of base_lr; T = total_iters.

torch     LinearLR starts at a third of the rate and takes 5 epochs, unless told otherwise. With
          total_iters 0 both stay at the first factor for good.
"""

from collections.abc import Mapping
from typing import Any

from scratch import check
from scratch.optim.lr_scheduler.scheduler import LRScheduler, whole
from scratch.optim.optimizer import Optimizer


class ConstantLR(LRScheduler):
    """A share of the rate until epoch `total_iters`, then all of it.

    Args:
        optimizer: whose groups it sets.
        factor: share, in [0, 1]; there is no way back from 0.
        total_iters: epochs, >= 0.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    factor: float
    total_iters: int

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.number(function, "factor", options["factor"], 0, 1)
        whole(function, "total_iters", options["total_iters"])

    def _get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._lrs()]
        if self.last_epoch != self.total_iters:
            return self._lrs()
        check.nonzero(self._step_name, "factor, which is now to be taken back,", self.factor)
        return [lr * (1.0 / self.factor) for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        over = self.last_epoch >= self.total_iters
        return [base_lr * (self.factor + over * (1 - self.factor)) for base_lr in self.base_lrs]


class LinearLR(LRScheduler):
    """From one share of the rate to another along a straight line, until epoch `total_iters`.

    Args:
        optimizer: whose groups it sets.
        start_factor: share at epoch 0, in (0, 1].
        end_factor: share from epoch `total_iters` on, in [0, 1].
        total_iters: epochs, >= 0.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    start_factor: float
    end_factor: float
    total_iters: int

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.number(function, "start_factor", options["start_factor"], 0, 1, open_low=True)
        check.number(function, "end_factor", options["end_factor"], 0, 1)
        whole(function, "total_iters", options["total_iters"])

    def _get_lr(self) -> list[float]:
        start, total, e = self.start_factor, self.total_iters, self.last_epoch
        d = self.end_factor - start
        if e == 0:
            return [lr * start for lr in self._lrs()]
        if self._is_initial or e > total:
            return self._lrs()
        factor = 1.0 + d / (total * start + (e - 1) * d)
        return [lr * factor for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        start, total, e = self.start_factor, self.total_iters, self.last_epoch
        if total == 0:
            check.refuse(self._step_name, "total_iters > 0 where an epoch is given", total)
        factor = start + (self.end_factor - start) * min(total, e) / total
        return [base_lr * factor for base_lr in self.base_lrs]
