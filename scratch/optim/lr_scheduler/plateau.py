"""The rate falls when a metric no longer improves.

    better   min, rel   m < best (1 - threshold)          min, abs   m < best - threshold
             max, rel   m > best (1 + threshold)          max, abs   m > best + threshold
    step(m)  if better:    best <- m, bad <- 0            else bad <- bad + 1
             if cooling:   cooldown_counter <- cooldown_counter - 1, bad <- 0
             if bad > patience:
                 lr <- max(factor lr, min_lr), unless that changes it by eps or less
                 cooldown_counter <- cooldown, bad <- 0

torch     an equal metric is not better, nor is NaN, so runs that diverge are slowed down too. The
          bar is relative: a metric that goes below zero needs "abs".
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, SupportsFloat

import numpy as np

from scratch import check
from scratch.optim.lr_scheduler.scheduler import (
    EPOCH_WARNING,
    LRScheduler,
    all_or_nothing,
    by_group,
    check_numbers,
    check_optimizer,
    plain,
)
from scratch.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` after more than `patience` epochs without a better metric.

    Args:
        optimizer: whose groups it sets.
        mode: "min" if the metric is to fall, "max" if it is to rise.
        factor: in [0, 1).
        patience: epochs without improvement that pass unpunished, >= 0.
        threshold: by how much better counts.
        threshold_mode: "rel" (of the best) or "abs".
        cooldown: epochs after a change in which nothing counts as bad, >= 0.
        min_lr: lower bound, or one for each group.
        eps: changes not above this are left out, >= 0.

    Raises:
        TypeError, ValueError: as `LRScheduler`.
    """

    mode: str
    factor: float
    patience: float
    threshold: float
    threshold_mode: str
    cooldown: float
    default_min_lr: float | None
    min_lrs: list[float]
    eps: float
    best: float
    mode_worse: float
    cooldown_counter: float
    num_bad_epochs: int
    _by_group: ClassVar = ()

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        groups = check_optimizer(name, optimizer)
        self.min_lrs = by_group(name, "min_lr", min_lr, groups)
        self.default_min_lr = None if isinstance(min_lr, tuple | list) else self.min_lrs[0]
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.best = self.mode_worse = -math.inf if mode == "max" else math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self.last_epoch = 0
        self._attach(optimizer)
        self._last_lr = self._lrs()

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.option(function, "mode", options["mode"], ("min", "max"))
        check.option(function, "threshold_mode", options["threshold_mode"], ("rel", "abs"))
        check.number(function, "factor", options["factor"], 0, 1, open_high=True)
        check.number(function, "threshold", options["threshold"])
        for name in ("patience", "cooldown", "eps"):
            check.number(function, name, options[name], low=0)
        for name in ("best", "mode_worse", "cooldown_counter", "num_bad_epochs"):
            check.number(function, name, options[name])
        default, n = options["default_min_lr"], len(self.optimizer.param_groups)
        if default is not None:
            check.number(function, "default_min_lr", default)
        check_numbers(function, "min_lrs", options["min_lrs"], n if default is None else None)

    @property
    def in_cooldown(self) -> bool:
        """Whether bad epochs do not count yet."""
        return self.cooldown_counter > 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]  # as torch has it
        """Take note of a metric, and lower the rates if it has been bad for too long.

        Args:
            metrics: a number, or an array that holds one.
            epoch: deprecated, as in torch: its number.

        Raises:
            TypeError: if `metrics` is no number.
            ValueError: if groups have been added for which `min_lrs`, given as a list, has none.
        """
        single = not isinstance(metrics, np.ndarray) or metrics.size == 1
        if not isinstance(metrics, SupportsFloat) or not single:
            got = check.describe(metrics)
            check.refuse(self._step_name, "metrics to be a number", got, TypeError)
        current = float(metrics.item() if isinstance(metrics, np.ndarray) else metrics)
        with all_or_nothing(*self._held()):
            if epoch is not None:
                check.number(self._step_name, "epoch", epoch)
                warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
            self.last_epoch = self.last_epoch + 1 if epoch is None else plain(epoch)
            if self._is_better(current):
                self.best = current
                self.num_bad_epochs = 0
            else:
                self.num_bad_epochs += 1
            if self.in_cooldown:
                self.cooldown_counter -= 1
                self.num_bad_epochs = 0
            if self.num_bad_epochs > self.patience:
                self._reduce_lr()
                self.cooldown_counter = self.cooldown
                self.num_bad_epochs = 0
            self._last_lr = self._lrs()

    def _is_better(self, current: float) -> bool:
        best, threshold = self.best, self.threshold
        if self.mode == "min":
            bar = best * (1.0 - threshold) if self.threshold_mode == "rel" else best - threshold
            return current < bar
        bar = best * (threshold + 1.0) if self.threshold_mode == "rel" else best + threshold
        return current > bar

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(self.min_lrs) != len(groups):
            if self.default_min_lr is None:
                expected = f"min_lrs to hold a bound for each of {len(groups)} groups"
                check.refuse(self._step_name, expected, f"{len(self.min_lrs)}, as at the start")
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lr, low in zip(groups, self._lrs(), self.min_lrs, strict=True):
            new = max(lr * self.factor, low)
            if lr - new > self.eps:
                group["lr"] = new
