"""Schedules along half a cosine.                 Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5

    c(x) = (1 + cos(pi x)) / 2                        from 1 at x = 0 to 0 at x = 1
    CosineAnnealingLR            lr = eta_min + c(e / T_max) (base_lr - eta_min)
        recursion                lr <- eta_min + c(e / T_max) / c((e - 1) / T_max) (lr - eta_min)
        past an odd T_max        lr <- lr + c(1 - 1 / T_max) (base_lr - eta_min): c was 0 before
    CosineAnnealingWarmRestarts  lr = eta_min + c(T_cur / T_i) (base_lr - eta_min)
        T_cur <- T_cur + 1; when it reaches T_i, T_cur <- 0 and T_i <- T_mult T_i

torch     only the second has the paper's restarts: after T_max the first climbs again, and ends
          up anywhere if lr was edited meanwhile. `step(epoch)` of the second takes fractions.
"""

import math
from collections.abc import Mapping
from typing import Any

from scratch import check
from scratch.optim.lr_scheduler.scheduler import LRScheduler, all_or_nothing, plain, whole
from scratch.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Down to `eta_min` at epoch `T_max`, and up again.

    Args:
        optimizer: whose groups it sets.
        T_max: epochs down, >= 1.
        eta_min: lowest rate.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.

    Source:
        Loshchilov & Hutter 2017, arXiv:1608.03983, without the restarts.
    """

    T_max: int
    eta_min: float

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        whole(function, "T_max", options["T_max"], low=1)
        check.number(function, "eta_min", options["eta_min"])

    def _get_lr(self) -> list[float]:
        low, e, T = self.eta_min, self.last_epoch, self.T_max
        if self._is_initial:
            return self._lrs()
        if (e - 1 - T) % (2 * T) == 0:
            rise = 1 - math.cos(math.pi / T)
            # Not strict: groups that came later are refused where the rates are set.
            pairs = zip(self._lrs(), self.base_lrs, strict=False)
            return [lr + (base_lr - low) * rise / 2 for lr, base_lr in pairs]
        factor = (1 + math.cos(math.pi * e / T)) / (1 + math.cos(math.pi * (e - 1) / T))
        return [factor * (lr - low) + low for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        low = self.eta_min
        height = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [low + (base_lr - low) * height / 2 for base_lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down to `eta_min` in `T_0` epochs, back to the full rate, down again over a longer time.

    Args:
        optimizer: whose groups it sets.
        T_0: epochs of the first descent, >= 1.
        T_mult: how many times longer each is than the one before, >= 1.
        eta_min: lowest rate, which no epoch reaches.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.

    Source:
        Loshchilov & Hutter 2017, arXiv:1608.03983.
    """

    T_0: int
    T_i: float
    T_mult: int
    eta_min: float
    T_cur: float

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.size(function, "T_0", options["T_0"], low=1)
        check.size(function, "T_mult", options["T_mult"], low=1)
        check.number(function, "eta_min", options["eta_min"])
        check.number(function, "T_i", options["T_i"], low=0, open_low=True)
        check.number(function, "T_cur", options["T_cur"])

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch, or of the given one.

        Args:
            epoch: >= 0, fractions too; later steps go on from there.

        Raises:
            TypeError, ValueError: as `LRScheduler.step`, and if `epoch` is below 0.
        """
        with all_or_nothing(*self._held()):
            if epoch is None and self.last_epoch < 0:
                epoch = 0
            if epoch is None:
                epoch = self.last_epoch + 1
                self.T_cur += 1
                if self.T_cur >= self.T_i:
                    self.T_cur %= self.T_i
                    self.T_i *= self.T_mult
            else:
                check.number(self._step_name, "epoch", epoch, low=0)
                self._find(plain(epoch))
            self._update_lr(math.floor(epoch))

    def _find(self, epoch: float) -> None:
        """The descent in which `epoch` lies: the n-th, after T_0 (1 + ... + T_mult^(n-1))."""
        first, mult = self.T_0, self.T_mult
        if epoch < first:
            self.T_i, self.T_cur = first, epoch
        elif mult == 1:
            self.T_cur = epoch % first
        else:
            # Rounds as torch does: a restart's own epoch may count as the end of a descent.
            n = int(math.log(epoch / first * (mult - 1) + 1, mult))
            self.T_cur = epoch - first * (mult**n - 1) / (mult - 1)
            self.T_i = first * mult**n

    def _get_lr(self) -> list[float]:
        low = self.eta_min
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [low + (base_lr - low) * height / 2 for base_lr in self.base_lrs]
