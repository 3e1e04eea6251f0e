"""Conventions of schedules, of clipping and of averages."""

import bisect
import math
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.nn import Module, Parameter, utils
from scratch.optim import lr_scheduler as lr
from scratch.optim import swa_utils

# From the start each time, or from the current rate


class ClosedCosine(lr.CosineAnnealingLR):
    """The paper's formula at every epoch: an edited rate is forgotten."""

    def _get_lr(self) -> list[float]:
        return self._get_closed_form_lr()


class ClosedStep(lr.StepLR):
    """gamma^(e // step_size) base_lr: what a second schedule does is forgotten."""

    def _get_lr(self) -> list[float]:
        return self._get_closed_form_lr()


class ClosedExponential(lr.ExponentialLR):
    """gamma^e base_lr."""

    def _get_lr(self) -> list[float]:
        return self._get_closed_form_lr()


class ClosedLinear(lr.LinearLR):
    """The line from base_lr, and held at its end."""

    def _get_lr(self) -> list[float]:
        return self._get_closed_form_lr() if self.total_iters else self._lrs()


class ClosedPolynomial(lr.PolynomialLR):
    """(1 - e / T)^power base_lr."""

    def _get_lr(self) -> list[float]:
        return self._get_closed_form_lr() if self.total_iters else self._lrs()


class RecursiveLambda(lr.LambdaLR):
    """The function times the current rate."""

    def _get_lr(self) -> list[float]:
        return [
            rate * f(self.last_epoch) for rate, f in zip(self._lrs(), self.lr_lambdas, strict=True)
        ]


class MultiplicativeFromTheStart(lr.MultiplicativeLR):
    """The function is asked at epoch 0 too."""

    def _get_lr(self) -> list[float]:
        return [
            rate * f(self.last_epoch) for rate, f in zip(self._lrs(), self.lr_lambdas, strict=True)
        ]


# Where a schedule starts, turns and ends


class CosineStaysDown(lr.CosineAnnealingLR):
    """After T_max the rate is eta_min for good."""

    def _get_lr(self) -> list[float]:
        if self.last_epoch > self.T_max:
            return [self.eta_min for _ in self.base_lrs]
        return super()._get_lr()


class CosineReachesBottom(lr.CosineAnnealingWarmRestarts):
    """A descent takes T_i + 1 epochs, so that the last one is at eta_min."""

    def step(self, epoch: float | None = None) -> None:
        if epoch is None and self.last_epoch >= 0:
            due = self.T_cur + 1 > self.T_i
            self.T_cur, self.T_i = (-1, self.T_i * self.T_mult) if due else (self.T_cur, self.T_i)
        super().step(epoch)


class RestartsOfOneLength(lr.CosineAnnealingWarmRestarts):
    """Every descent takes T_0 epochs."""

    def _get_lr(self) -> list[float]:
        self.T_i = self.T_0
        return super()._get_lr()


class StepOneEarly(lr.StepLR):
    """The rate falls in the last epoch of each span."""

    def _get_lr(self) -> list[float]:
        now = (self.last_epoch + 1) % self.step_size == 0 and not self._is_initial
        return [rate * self.gamma for rate in self._lrs()] if now else self._lrs()


class MilestonesAreASet(lr.MultiStepLR):
    """One that comes twice counts once."""

    def __init__(self, optimizer: Any, milestones: Any, gamma: float = 0.1) -> None:
        super().__init__(optimizer, sorted(set(milestones)), gamma)


class MilestoneAfter(lr.MultiStepLR):
    """The rate falls after the milestone's epoch."""

    def _get_lr(self) -> list[float]:
        times = self.milestones.get(self.last_epoch - 1, 0)
        return [rate * self.gamma**times for rate in self._lrs()]


class WarmupFromZero(lr.LinearLR):
    """From 0 to the rate: e / T."""

    def _get_lr(self) -> list[float]:
        share = min(self.last_epoch, self.total_iters) / max(self.total_iters, 1)
        return [base_lr * share for base_lr in self.base_lrs]


class LongWarmup(lr.LinearLR):
    """Ten epochs by default."""

    def __init__(
        self,
        optimizer: Any,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 10,
    ) -> None:
        super().__init__(optimizer, start_factor, end_factor, total_iters)


class ConstantForGood(lr.ConstantLR):
    """The factor is not taken back."""

    def _get_lr(self) -> list[float]:
        return [rate * self.factor for rate in self._lrs()] if self._is_initial else self._lrs()


class PolynomialToTheLast(lr.PolynomialLR):
    """Zero is reached one epoch earlier, as if T were the index of the last one."""

    def __init__(self, optimizer: Any, total_iters: int = 5, power: float = 1.0) -> None:
        super().__init__(optimizer, max(total_iters - 1, 0), power)


# Cycles


class CyclicMomentumWithRate(lr.CyclicLR):
    """Momentum rises with the rate."""

    def _update_lr(self, epoch: int | None = None) -> None:
        super()._update_lr(epoch)
        height, s = self._way_up()
        if self.cycle_momentum and not self.use_beta1:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, bounds, strict=True):
                group["momentum"] = low + (high - low) * height * s


class CyclicAlone(lr.CyclicLR):
    """Momentum is left alone unless one asks."""

    def __init__(self, optimizer: Any, **options: Any) -> None:
        super().__init__(optimizer, **{"cycle_momentum": False, **options})


class HalvesFromTheStart(lr.CyclicLR):
    """triangular2 halves the first cycle already."""

    def scale_fn(self, x: float) -> float:
        return 2.0**-x if self.mode == "triangular2" else super().scale_fn(x)


class GammaByCycle(lr.CyclicLR):
    """exp_range takes gamma to the number of the cycle."""

    def _way_up(self) -> tuple[float, float]:
        self.scale_mode = "cycle"
        return super()._way_up()


class OneCycleEndsHigher(lr.OneCycleLR):
    """The last rate is max_lr / final_div_factor."""

    def __init__(self, optimizer: Any, **options: Any) -> None:
        super().__init__(optimizer, **options)
        for group in optimizer.param_groups:
            group["min_lr"] *= options.get("div_factor", 25.0)


class OneCycleOfThePaper(lr.OneCycleLR):
    """Three phases and straight lines by default."""

    def __init__(self, optimizer: Any, **options: Any) -> None:
        super().__init__(optimizer, **{"three_phase": True, "anneal_strategy": "linear", **options})


class OneCycleTopsLater(lr.OneCycleLR):
    """The climb ends at epoch p T, not one before."""

    def _phase(self) -> tuple[dict[str, Any], float]:
        phases = self._schedule_phases
        later = [{**phase, "end_step": phase["end_step"] + 1} for phase in phases[:-1]]
        self._schedule_phases = [*later, phases[-1]]
        try:
            return super()._phase()
        finally:
            self._schedule_phases = phases


# Plateaus


class PlateauAbsolute(lr.ReduceLROnPlateau):
    """Better is better than the best by the threshold."""

    def _is_better(self, current: float) -> bool:
        if self.mode == "min":
            return current < self.best - self.threshold
        return current > self.best + self.threshold


class PlateauTiesAreBetter(lr.ReduceLROnPlateau):
    """An equal metric is good enough."""

    def _is_better(self, current: float) -> bool:
        return current == self.best or super()._is_better(current)


class PlateauIgnoresNaN(lr.ReduceLROnPlateau):
    """A metric that is NaN is passed over."""

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # as there
        if not math.isnan(metrics):
            super().step(metrics, epoch)


class PlateauAtPatience(lr.ReduceLROnPlateau):
    """The rate falls when the bad epochs are as many as patience, not more."""

    def __init__(self, optimizer: Any, **options: Any) -> None:
        super().__init__(optimizer, **{**options, "patience": max(options["patience"] - 1, 0)})


class PlateauWithoutEps(lr.ReduceLROnPlateau):
    """However small a change, it is made."""

    def _reduce_lr(self) -> None:
        self.eps = 0.0
        super()._reduce_lr()


class PlateauCountsWhileCooling(lr.ReduceLROnPlateau):
    """Bad epochs count during the cooldown too."""

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # as there
        self.cooldown_counter = 0
        super().step(metrics, epoch)


class PlateauReducesTheBest(lr.ReduceLROnPlateau):
    """The best is that of the last rate only."""

    def _reduce_lr(self) -> None:
        super()._reduce_lr()
        self.best = self.mode_worse


# Compositions


class SequentialGoesOn(lr.SequentialLR):
    """The next schedule goes on from the rate and counts the epochs of the whole run."""

    def step(self) -> None:  # type: ignore[override]  # as there
        self.last_epoch += 1
        for scheduler in self._schedulers:
            scheduler.last_epoch = self.last_epoch - 1
        i = bisect.bisect_right(self._milestones, self.last_epoch)
        self._schedulers[i].step()
        self._last_lr = self._schedulers[i].get_last_lr()


class SequentialKeepsConstructors(lr.SequentialLR):
    """What the constructors of the parts did to the rate stays."""

    def __init__(self, optimizer: Any, schedulers: Any, milestones: Any) -> None:
        rates = [group["lr"] for group in optimizer.param_groups]
        super().__init__(optimizer, schedulers, milestones)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


class ChainTakesTheLast(lr.ChainedScheduler):
    """Every part starts from the same rate, and the last one's stays."""

    def step(self) -> None:  # type: ignore[override]  # as there
        rates = self._lrs()
        for scheduler in self._schedulers:
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            scheduler.step()
        self._last_lr = self._lrs()


class StartsOneLater(lr.ExponentialLR):
    """The first step leaves the rate alone, as if the constructor had taken none."""

    def _get_lr(self) -> list[float]:
        return self._lrs() if self.last_epoch <= 1 else super()._get_lr()


class SwaFromTheStart(swa_utils.SWALR):
    """Between the initial rate and swa_lr, whatever stands in the group."""

    def _get_lr(self) -> list[float]:
        s = self._share(max(self._step_count - 1, 0 if self.anneal_epochs else 1))
        groups = self.optimizer.param_groups
        pairs = zip(groups, self.base_lrs, strict=True)
        return [group["swa_lr"] * s + base_lr * (1 - s) for group, base_lr in pairs]


# Clipping


def clip_exactly(
    parameters: Any, max_norm: float, norm_type: Any = 2.0, error_if_nonfinite: bool = False
) -> Any:
    """To a norm of max_norm, without 1e-6 beside it."""
    held = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    gradients = [p.grad for p in held if p.grad is not None]
    norm = utils.get_total_norm(gradients, norm_type, error_if_nonfinite)
    for p in held:
        if p.grad is not None and norm > max_norm:
            p.grad = p.grad * float(max_norm / norm)
    return norm


def clip_and_measure(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    """Returns the norm that is left."""
    utils.clip_grad_norm_(parameters, *args, **kwargs)
    return utils.clip_grad_norm_(parameters, math.inf, kwargs.get("norm_type", 2.0))


def clip_each(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    """Every gradient by its own norm."""
    held = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    norms = [utils.clip_grad_norm_([p], *args, **kwargs) for p in held]
    return norms[0] if len(norms) == 1 else np.linalg.norm(norms)


def clip_in_place(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> Any:
    """Writes into the arrays, which may be those of others too."""
    held = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    given = [p.grad for p in held]
    norm = utils.clip_grad_norm_(held, max_norm, *args, **kwargs)
    factor = np.minimum(max_norm / (norm + 1e-6), 1.0)
    for p, gradient in zip(held, given, strict=True):
        if gradient is not None:
            gradient *= factor
            p.grad = gradient
    return norm


def clip_value_by_scale(parameters: Any, clip_value: float) -> None:
    """Scales each gradient until its largest entry fits: its direction stays."""
    held = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    for p in held:
        if p.grad is not None and p.grad.size:
            p.grad = p.grad * min(1.0, clip_value / float(np.max(np.abs(p.grad))))


# Averages


def ema_from_zero(decay: float = 0.999) -> Any:
    """The first model enters by its share, as if the average had begun at zero."""

    def average(old: Any, current: Any, n: Any) -> Any:
        old = (1 - decay) * old if n == 1 else old
        return decay * old + (1 - decay) * current

    return average


def ema_of_the_new(decay: float = 0.999) -> Any:
    """`decay` is the share of the new model."""
    return swa_utils.get_ema_multi_avg_fn(1 - decay)


def swa_exact() -> Any:
    """1 / (n + 1) without rounding it to float32."""
    single = swa_utils.get_swa_avg_fn()

    def average(averages: Any, currents: Any, n: Any) -> None:
        for old, current in zip(averages, currents, strict=True):
            old[...] = single(old, current, n)

    return average


def swa_by_n() -> Any:
    """Divides by the number before this model."""

    def average(old: Any, current: Any, n: Any) -> Any:
        return old + (current - old) / int(n)

    return average


class CountsTheStart(swa_utils.AveragedModel):
    """The model it was made of is in the average."""

    def __init__(self, model: Module, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.n_averaged = np.ones((), np.int64)


class KeepsFirstBuffers(swa_utils.AveragedModel):
    """Buffers that are not averaged stay those of the first model."""

    def update_parameters(self, model: Module) -> None:
        held = {name: buffer.copy() for name, buffer in self.module.named_buffers()}
        super().update_parameters(model)
        if not self.use_buffers:
            for name, buffer in self.module.named_buffers():
                buffer[...] = held[name]


PITFALLS = [
    Pitfall(
        "cosine_closed_form",
        entry="CosineAnnealingLR",
        difference="torch: from the current lr, so edits stay and schedules multiply; others: "
        "eta_min + c(e / T) (base_lr - eta_min)",
        mutant=ClosedCosine,
    ),
    Pitfall(
        "cosine_stays_down",
        entry="CosineAnnealingLR",
        difference="torch: climbs again after T_max; others: stays at eta_min",
        mutant=CosineStaysDown,
    ),
    Pitfall(
        "step_closed_form",
        entry="StepLR",
        difference="torch: lr <- gamma lr; others: gamma^(e // step_size) base_lr",
        mutant=ClosedStep,
    ),
    Pitfall(
        "step_one_early",
        entry="StepLR",
        difference="torch: the epoch step_size is the first at the lower rate; others: the last of "
        "the span is",
        mutant=StepOneEarly,
    ),
    Pitfall(
        "exponential_closed_form",
        entry="ExponentialLR",
        difference="torch: lr <- gamma lr; others: gamma^e base_lr",
        mutant=ClosedExponential,
    ),
    Pitfall(
        "constructor_takes_no_step",
        entry="ExponentialLR",
        difference="torch: the first step is to epoch 1, for the constructor took that to 0; "
        "others: it is to epoch 0",
        mutant=StartsOneLater,
    ),
    Pitfall(
        "linear_closed_form",
        entry="LinearLR",
        difference="torch: from the current lr; others: from base_lr",
        mutant=ClosedLinear,
    ),
    Pitfall(
        "linear_warmup_from_zero",
        entry="LinearLR",
        difference="torch: from a third; others: from 0, e / T",
        mutant=WarmupFromZero,
    ),
    Pitfall(
        "linear_default_length",
        entry="LinearLR",
        difference="torch: 5 epochs; others: 10 and more",
        mutant=LongWarmup,
    ),
    Pitfall(
        "constant_for_good",
        entry="ConstantLR",
        difference="torch: the factor is taken back at total_iters; others: it stays",
        mutant=ConstantForGood,
    ),
    Pitfall(
        "polynomial_closed_form",
        entry="PolynomialLR",
        difference="torch: from the current lr; others: (1 - e / T)^power base_lr",
        mutant=ClosedPolynomial,
    ),
    Pitfall(
        "polynomial_last_epoch",
        entry="PolynomialLR",
        difference="torch: zero at epoch T; others: at T - 1",
        mutant=PolynomialToTheLast,
    ),
    Pitfall(
        "multistep_set",
        entry="MultiStepLR",
        difference="torch: a milestone that comes twice counts twice; others: once",
        mutant=MilestonesAreASet,
    ),
    Pitfall(
        "multistep_after",
        entry="MultiStepLR",
        difference="torch: the milestone's epoch is the first at the lower rate; others: the last "
        "at the higher",
        mutant=MilestoneAfter,
    ),
    Pitfall(
        "lambda_recursion",
        entry="LambdaLR",
        difference="torch: f(e) base_lr; others: f(e) lr, which is MultiplicativeLR",
        mutant=RecursiveLambda,
    ),
    Pitfall(
        "multiplicative_at_start",
        entry="MultiplicativeLR",
        difference="torch: the factor first acts at epoch 1; others: at 0",
        mutant=MultiplicativeFromTheStart,
    ),
    Pitfall(
        "warm_restarts_reach_bottom",
        entry="CosineAnnealingWarmRestarts",
        difference="torch: restarts at T_i, so no epoch is at eta_min; others: one is",
        mutant=CosineReachesBottom,
    ),
    Pitfall(
        "warm_restarts_of_one_length",
        entry="CosineAnnealingWarmRestarts",
        difference="torch: T_i <- T_mult T_i; others: T_0 each time",
        mutant=RestartsOfOneLength,
    ),
    Pitfall(
        "cyclic_momentum_with_rate",
        entry="CyclicLR",
        difference="torch: momentum falls as the rate rises; others: rises with it",
        mutant=CyclicMomentumWithRate,
    ),
    Pitfall(
        "cyclic_momentum_alone",
        entry="CyclicLR",
        difference="torch: momentum is cycled unless told otherwise, even if it was set; others: "
        "only when asked",
        mutant=CyclicAlone,
    ),
    Pitfall(
        "triangular2_first_cycle",
        entry="CyclicLR",
        difference="torch: 2^(1 - cycle), so the first is whole; others: 2^-cycle",
        mutant=HalvesFromTheStart,
    ),
    Pitfall(
        "exp_range_by_cycle",
        entry="CyclicLR",
        difference="torch: gamma^e by iterations; others: gamma^cycle",
        mutant=GammaByCycle,
    ),
    Pitfall(
        "one_cycle_last_rate",
        entry="OneCycleLR",
        difference="torch: ends at max_lr / div_factor / final_div_factor; others: at max_lr / "
        "final_div_factor",
        mutant=OneCycleEndsHigher,
    ),
    Pitfall(
        "one_cycle_of_the_paper",
        entry="OneCycleLR",
        difference="torch: two phases along half cosines; paper: three along straight lines",
        mutant=OneCycleOfThePaper,
    ),
    Pitfall(
        "one_cycle_top",
        entry="OneCycleLR",
        difference="torch: the top is at epoch p T - 1; others: at p T",
        mutant=OneCycleTopsLater,
    ),
    Pitfall(
        "plateau_absolute",
        entry="ReduceLROnPlateau",
        difference="torch: m < best (1 - threshold); others: m < best - threshold",
        mutant=PlateauAbsolute,
    ),
    Pitfall(
        "plateau_ties",
        entry="ReduceLROnPlateau",
        difference="torch: an equal metric is bad; others: good",
        mutant=PlateauTiesAreBetter,
    ),
    Pitfall(
        "plateau_nan",
        entry="ReduceLROnPlateau",
        difference="torch: NaN is a bad metric; others: none",
        mutant=PlateauIgnoresNaN,
    ),
    Pitfall(
        "plateau_patience",
        entry="ReduceLROnPlateau",
        difference="torch: reduces after patience + 1 bad epochs; others: after patience",
        mutant=PlateauAtPatience,
    ),
    Pitfall(
        "plateau_eps",
        entry="ReduceLROnPlateau",
        difference="torch: a change of at most eps is left out; others: made",
        mutant=PlateauWithoutEps,
    ),
    Pitfall(
        "plateau_cooldown",
        entry="ReduceLROnPlateau",
        difference="torch: bad epochs do not count while it cools down; others: they do",
        mutant=PlateauCountsWhileCooling,
    ),
    Pitfall(
        "plateau_best_stays",
        entry="ReduceLROnPlateau",
        difference="torch: the best is that of the whole run; others: of the last rate",
        mutant=PlateauReducesTheBest,
    ),
    Pitfall(
        "sequential_goes_on",
        entry="SequentialLR",
        difference="torch: the next schedule starts at its epoch 0, from base_lr if it can; "
        "others: goes on in epoch and rate",
        mutant=SequentialGoesOn,
    ),
    Pitfall(
        "sequential_keeps_constructors",
        entry="SequentialLR",
        difference="torch: what the parts' constructors did is taken back; others: stays",
        mutant=SequentialKeepsConstructors,
    ),
    Pitfall(
        "chain_takes_the_last",
        entry="ChainedScheduler",
        difference="torch: every part works on what the one before left; others: each alone",
        mutant=ChainTakesTheLast,
    ),
    Pitfall(
        "swa_lr_from_the_start",
        entry="SWALR",
        difference="torch: from the current lr, so it may follow another schedule; others: from "
        "base_lr",
        mutant=SwaFromTheStart,
    ),
    Pitfall(
        "clip_norm_without_1e-6",
        entry="clip_grad_norm_",
        difference="torch: min(1, c / (n + 1e-6)), 1 % less at n = 1e-4; others: c / n",
        mutant=clip_exactly,
    ),
    Pitfall(
        "clip_norm_after",
        entry="clip_grad_norm_",
        difference="torch: returns the norm before clipping; others: after",
        mutant=clip_and_measure,
    ),
    Pitfall(
        "clip_norm_each",
        entry="clip_grad_norm_",
        difference="torch: one norm over all gradients; others: one for each",
        mutant=clip_each,
    ),
    Pitfall(
        "clip_norm_in_place",
        entry="clip_grad_norm_",
        difference="torch: each gradient is a tensor of its own; here two may share one array, "
        "which scaling in place would scale twice",
        mutant=clip_in_place,
    ),
    Pitfall(
        "clip_value_keeps_direction",
        entry="clip_grad_value_",
        difference="torch: entry by entry; others: scale until the largest fits",
        mutant=clip_value_by_scale,
    ),
    Pitfall(
        "ema_from_zero",
        entry="get_ema_avg_fn",
        difference="torch: starts at the first model; others: at zero",
        mutant=ema_from_zero,
    ),
    Pitfall(
        "ema_decay_of_the_new",
        entry="get_ema_multi_avg_fn",
        difference="torch: decay is the share that is kept; others: the share of the new",
        mutant=ema_of_the_new,
    ),
    Pitfall(
        "swa_share_in_float64",
        entry="get_swa_multi_avg_fn",
        difference="torch: 1 / (n + 1) is a float32 tensor, 3e-8 off in float64; others: exact",
        mutant=swa_exact,
    ),
    Pitfall(
        "swa_by_n",
        entry="get_swa_avg_fn",
        difference="torch: divides by n + 1, this model included; others: by n",
        mutant=swa_by_n,
    ),
    Pitfall(
        "averaged_model_counts_its_start",
        entry="AveragedModel",
        difference="torch: the first update replaces what the copy was made of; others: averages "
        "with it",
        mutant=CountsTheStart,
    ),
    Pitfall(
        "averaged_model_first_buffers",
        entry="AveragedModel",
        difference="torch: buffers that are not averaged are the last model's; others: the first's",
        mutant=KeepsFirstBuffers,
    ),
]
