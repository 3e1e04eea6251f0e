"""Averages of the weights along a run, and the rate that goes with them.

    n models averaged so far, a their average, p the next one
    first    a <- p
    SWA      a <- a + (p - a) / (n + 1)                       Izmailov et al. 2018, arXiv:1803.05407
    EMA      a <- decay a + (1 - decay) p                     Polyak & Juditsky 1992
    SWALR    lr = (1 - s) lr_0 + s swa_lr                     s from 0 to 1 over anneal_epochs
             lr_0 is found anew at each step from lr and the last s, so what others do to lr stays

torch     EMA starts at the first model, not at zero, and is not corrected. A `multi_avg_fn` works
          on whole lists, in place. `get_swa_multi_avg_fn` takes its share 1 / (n + 1) in float32,
          though not if n is a plain number; the default and `get_swa_avg_fn` are exact.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.batch_norm import BatchNorm
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.optim.adam import lerp
from scratch.optim.lr_scheduler.scheduler import (
    LRScheduler,
    all_or_nothing,
    by_group,
    check_optimizer,
)
from scratch.optim.optimizer import Optimizer

Average = Callable[[Array, Array, Any], Array]
MultiAverage = Callable[[list[Array], list[Array], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average of one parameter, for `AveragedModel(avg_fn=...)`.

    Args:
        decay: share of the old average that is kept, in [0, 1].

    Returns:
        (average, current, n) -> new average.

    Raises:
        TypeError, ValueError: if `decay` is no such number.
    """
    decay = check.number("get_ema_avg_fn", "decay", decay, 0, 1)

    def ema(average: Array, current: Array, n: Any) -> Array:
        return decay * average + (1 - decay) * current

    return ema


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The exponential moving average of a list of parameters, in place.

    Args:
        decay: share of the old average that is kept, in [0, 1].

    Returns:
        (averages, currents, n) -> None.

    Raises:
        TypeError, ValueError: if `decay` is no such number.
    """
    decay = check.number("get_ema_multi_avg_fn", "decay", decay, 0, 1)

    def ema(averages: list[Array], currents: list[Array], n: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            if average.dtype.kind == "f":
                lerp(average, current, 1 - decay, np.empty_like(average))
            else:
                average[...] = average * decay + current * (1 - decay)

    return ema


def get_swa_avg_fn() -> Average:
    """The mean of all models so far of one parameter.

    Returns:
        (average, current, n) -> new average.
    """

    def swa(average: Array, current: Array, n: Any) -> Array:
        return average + (current - average) / (int(n) + 1)

    return swa


def get_swa_multi_avg_fn() -> MultiAverage:
    """The mean of all models so far of a list of floating parameters, in place.

    Returns:
        (averages, currents, n) -> None.
    """

    def swa(averages: list[Array], currents: list[Array], n: Any) -> None:
        exact = 1 / (int(n) + 1)
        share = float(np.float32(exact)) if isinstance(n, np.ndarray | np.generic) else exact
        for average, current in zip(averages, currents, strict=True):
            check.floating("get_swa_multi_avg_fn", "every parameter and buffer", average)
            lerp(average, current, share, np.empty_like(average))

    return swa


class AveragedModel(Module):
    """A copy of a model that becomes the average of those shown to it.

    Args:
        model: any module; it is copied.
        avg_fn: (average, current, n) -> new average, for one parameter at a time; the mean if
            neither is given.
        multi_avg_fn: (averages, currents, n) -> None, for all at once of a dtype, in place.
        use_buffers: average the buffers too, instead of copying them.

    Raises:
        TypeError: if `model` is no module, or a function is none.
        ValueError: if both functions are given.

    Source:
        Izmailov et al. 2018, arXiv:1803.05407.
    """

    n_averaged: Array

    def __init__(
        self,
        model: Module,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if not isinstance(model, Module):
            check.refuse("AveragedModel", "a Module", check.describe(model), TypeError)
        for given in (avg_fn, multi_avg_fn):
            if given is not None and not callable(given):
                check.refuse("AveragedModel", "a function", check.describe(given), TypeError)
        if avg_fn is not None and multi_avg_fn is not None:
            check.refuse("AveragedModel", "one of avg_fn and multi_avg_fn", "both")
        check.option("AveragedModel", "use_buffers", use_buffers, (False, True))
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", np.zeros((), np.int64))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Backward]:
        """That of the averaged model."""
        output, backward = self.module(*args, **kwargs)
        return output, backward

    def update_parameters(self, model: Module) -> None:
        """Average one more model in.

        Args:
            model: with the parameters and buffers of the first.

        Raises:
            TypeError: if it is no module.
            ValueError: if their number or a shape or dtype differs. Nothing has changed then.
        """
        function = "AveragedModel.update_parameters"
        if not isinstance(model, Module):
            check.refuse(function, "a Module", check.describe(model), TypeError)
        own, other = _arrays(self.module), _arrays(model)
        (averages, own_buffers), (currents, buffers) = own, other
        for kind, ours, theirs in zip(("parameters", "buffers"), own, other, strict=True):
            expected = [(a.shape, a.dtype) for a in ours]
            if expected != [(a.shape, a.dtype) for a in theirs]:
                check.refuse(function, f"{kind} of the shapes and dtypes held", "others")
        if self.use_buffers:
            averages, currents = averages + own_buffers, currents + buffers
        else:
            _copy(own_buffers, buffers)
        if self.n_averaged == 0:
            _copy(averages, currents)
        elif self.multi_avg_fn is not None:
            # Integers first: a function that refuses them has changed nothing then.
            for dtype in sorted({a.dtype for a in averages}, key=lambda d: (d.kind == "f", str(d))):
                pairs = zip(averages, currents, strict=True)
                alike = [(a, c) for a, c in pairs if a.dtype == dtype]
                self.multi_avg_fn([a for a, _ in alike], [c for _, c in alike], self.n_averaged)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for a, c in zip(averages, currents, strict=True):
                a[...] = average(a, c, self.n_averaged)
        for parameter in self.module.parameters():
            parameter.version += 1
        self.n_averaged = self.n_averaged + 1


def _arrays(module: Module) -> tuple[list[Array], list[Array]]:
    return [p.data for p in module.parameters()], list(module.buffers())


def _copy(to: list[Array], from_: list[Array]) -> None:
    for target, source in zip(to, from_, strict=True):
        target[...] = source


def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Running statistics of all batch normalisations anew: the mean over the batches of a loader.

    Averaged weights have activations that no model had whose statistics were recorded.

    Args:
        loader: batches, each an input of the model, or a tuple or list that starts with one.
        model: run in training mode; it has its own mode again afterwards.

    Raises:
        TypeError: if `model` is no module.

    Source:
        Izmailov et al. 2018, arXiv:1803.05407.
    """
    if not isinstance(model, Module):
        check.refuse("update_bn", "a Module", check.describe(model), TypeError)
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    training, momenta = model.training, [norm.momentum for norm in norms]
    try:
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean
        for batch in loader:
            model(batch[0] if isinstance(batch, tuple | list) else batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """From the current rate to `swa_lr`, where it stays while models are averaged.

    Args:
        optimizer: whose groups it sets.
        swa_lr: last rate, or one for each group.
        anneal_epochs: steps on the way, >= 0.
        anneal_strategy: "cos" or "linear".
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`.

    Source:
        Izmailov et al. 2018, arXiv:1803.05407.
    """

    anneal_epochs: int
    _anneal_strategy: str

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        groups = check_optimizer("SWALR", optimizer)
        rates = by_group("SWALR", "swa_lr", swa_lr, groups)
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        with all_or_nothing(*groups):
            for group, lr in zip(groups, rates, strict=True):
                group["swa_lr"] = lr
            super().__init__(optimizer, last_epoch)

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        check.size(function, "anneal_epochs", options["anneal_epochs"])
        check.option(function, "anneal_strategy", options["_anneal_strategy"], ("cos", "linear"))

    def _share(self, step: int) -> float:
        """s at a step, counted from the constructor's."""
        x = max(0, min(1, step / max(1, self.anneal_epochs)))
        return x if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * x)) / 2

    def _get_lr(self) -> list[float]:
        step = self._step_count - 1
        step = max(1, step) if self.anneal_epochs == 0 else step
        before, s = self._share(step - 1), self._share(step)
        rates = []
        for group, lr in zip(self.optimizer.param_groups, self._lrs(), strict=True):
            if "swa_lr" not in group:
                check.refuse(self._step_name, "swa_lr in each group", "none in one that was added")
            swa_lr = group["swa_lr"]
            start = swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before)
            rates.append(swa_lr * s + start * (1 - s))
        return rates
