"""Schedules that the user writes as a function of the epoch.

    LambdaLR          lr <- f(e) base_lr      from the start each time: what others did is lost
    MultiplicativeLR  lr <- f(e) lr           composes; f is first asked at epoch 1

torch     a function is not saved; of an object that is called, its attributes are.
"""

from collections.abc import Callable, Mapping
from typing import Any

from scratch import check
from scratch.optim.lr_scheduler.scheduler import LRScheduler, attributes, check_optimizer
from scratch.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class _FactorLR(LRScheduler):
    lr_lambdas: list[Factor]

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1
    ) -> None:
        name, groups = type(self).__name__, check_optimizer(type(self).__name__, optimizer)
        functions = lr_lambda if isinstance(lr_lambda, tuple | list) else [lr_lambda] * len(groups)
        if len(functions) != len(groups):
            expected = f"lr_lambda to be a function or a list of {len(groups)}, one for each group"
            check.refuse(name, expected, f"{len(functions)} of them")
        for function in functions:
            if not callable(function):
                check.refuse(name, "a function of the epoch", check.describe(function), TypeError)
        self.lr_lambdas = list(functions)
        super().__init__(optimizer, last_epoch)

    def _saved(self) -> dict[str, Any]:
        return {**super()._saved(), "lr_lambdas": [attributes(f) for f in self.lr_lambdas]}

    def _loaded(
        self, function: str, state_dict: Mapping[str, Any]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        (held, new), *_ = super()._loaded(function, state_dict)
        saved = new.pop("lr_lambdas")
        n = len(self.lr_lambdas)
        if (
            not isinstance(saved, tuple | list)
            or len(saved) != n
            or not all(isinstance(items, Mapping | None) for items in saved)
        ):
            expected = f"lr_lambdas to be a list of {n}, each None or a dict"
            check.refuse(function, expected, check.describe(saved))
        pairs = zip(self.lr_lambdas, saved, strict=True)
        objects = [(vars(f), dict(items)) for f, items in pairs if items is not None]
        return [(held, new), *objects]


class LambdaLR(_FactorLR):
    """The initial rate times a function of the epoch.

    Args:
        optimizer: whose groups it sets.
        lr_lambda: function of the epoch, or a list with one for each group.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`, and if `lr_lambda` is not what is said above.
    """

    def _get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * f(self.last_epoch) for base_lr, f in pairs]


class MultiplicativeLR(_FactorLR):
    """The current rate times a function of the epoch.

    Args:
        optimizer: whose groups it sets.
        lr_lambda: function of the epoch, or a list with one for each group.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`, and if `lr_lambda` is not what is said above.
    """

    def _get_lr(self) -> list[float]:
        if self._is_initial:
            return self._lrs()
        # Not strict: groups for which there is no function are refused where the rates are set.
        pairs = zip(self._lrs(), self.lr_lambdas, strict=False)
        return [lr * f(self.last_epoch) for lr, f in pairs]
