"""Conventions of optimizers."""

import functools
import math
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.optim import SGD, Adam, AdamW
from scratch.optim.optimizer import Group, State


class MomentumAsMean(SGD):
    """v <- momentum v + (1 - momentum) g, from zero."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        if group["momentum"]:
            state.setdefault("momentum_buffer", np.zeros_like(values))
            group = {**group, "dampening": group["momentum"]}
        super()._update(values, gradient, state, group)


class DampedFromTheStart(SGD):
    """v starts at zero, so that the first gradient is damped too."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        if group["momentum"]:
            state.setdefault("momentum_buffer", np.zeros_like(values))
        super()._update(values, gradient, state, group)


class NesterovBefore(SGD):
    """p <- p - lr (g + momentum v) with v from before this step's gradient."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        old = np.array(state.get("momentum_buffer", 0.0))
        start = values.copy()
        super()._update(values, gradient, state, group)
        if group["nesterov"]:
            v, momentum, lr = state["momentum_buffer"], group["momentum"], group["lr"]
            g = v - momentum * old
            values[...] = start - lr * (g + momentum * old)


class DoubleDecay(SGD):
    """The penalty is weight_decay |p|^2, whose gradient is twice as large."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        group = {**group, "weight_decay": 2 * group["weight_decay"]}
        super()._update(values, gradient, state, group)


class NoneCoasts(SGD):
    """A missing gradient counts as zero: decay and momentum go on."""

    def step(self, closure: Any = None) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"]]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = np.zeros_like(parameter.data)
        return super().step(closure)


class ZeroIsSkipped(SGD):
    """A gradient of zeros counts as missing."""

    def step(self, closure: Any = None) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"]]
        for parameter in parameters:
            if parameter.grad is not None and not np.any(parameter.grad):
                parameter.grad = None
        return super().step(closure)


class PlainAdam(Adam):
    """Adam as one reads it, on whole arrays, in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        g = -gradient if group["maximize"] else gradient
        if group["decoupled_weight_decay"]:
            values *= 1 - lr * decay
        else:
            g = g + decay * values
        if not state:
            state.update(step=np.zeros((), np.float32), exp_avg=np.zeros_like(values))
            state.update(exp_avg_sq=np.zeros_like(values), max_exp_avg_sq=np.zeros_like(values))
        state["step"] += 1
        m, v, u = state["exp_avg"], state["exp_avg_sq"], state["max_exp_avg_sq"]
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        t = float(state["step"])
        c1, c2 = self.corrections(beta1, beta2, t)
        u[...] = np.maximum(u, self.compared(v, c2)) if group["amsgrad"] else v
        values -= lr / c1 * m / self.root(u, c2, group)

    def corrections(self, beta1: float, beta2: float, t: float) -> tuple[float, float]:
        return 1 - beta1**t, 1 - beta2**t

    def compared(self, v: Array, c2: float) -> Array:
        return v

    def root(self, u: Array, c2: float, group: Group) -> Array:
        root: Array = np.sqrt(u) / math.sqrt(c2) + group["eps"]
        return root


class NoPower(PlainAdam):
    """The corrections are 1 - beta at every step."""

    def corrections(self, beta1: float, beta2: float, t: float) -> tuple[float, float]:
        return 1 - beta1, 1 - beta2


class EpsHat(PlainAdam):
    """eps is added to the root of the uncorrected v."""

    def root(self, u: Array, c2: float, group: Group) -> Array:
        root: Array = (np.sqrt(u) + group["eps"]) / math.sqrt(c2)
        return root


class EpsInRoot(PlainAdam):
    """eps is added under the root."""

    def root(self, u: Array, c2: float, group: Group) -> Array:
        root: Array = np.sqrt(u / c2 + group["eps"])
        return root


class MaximumOfCorrected(PlainAdam):
    """AMSGrad keeps the maximum of the corrected v."""

    def compared(self, v: Array, c2: float) -> Array:
        return v / c2

    def root(self, u: Array, c2: float, group: Group) -> Array:
        root: Array = np.sqrt(u if group["amsgrad"] else u / c2) + group["eps"]
        return root


class DecayAfter(AdamW):
    """The weight decay follows the step."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        super()._update(values, gradient, state, {**group, "weight_decay": 0.0})
        values *= 1 - group["lr"] * group["weight_decay"]


class DecayWithoutLr(AdamW):
    """The weight decay is not multiplied by the learning rate."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        decay = group["weight_decay"] / group["lr"]
        super()._update(values, gradient, state, {**group, "weight_decay": decay})


PITFALLS = [
    Pitfall(
        "momentum_lr_in_velocity",
        entry="SGD",
        difference="torch: v = mu v + g, p -= lr v; Sutskever, Keras: v = mu v - lr g, p += v",
        mutant=functools.partial(SGD, lr_in_velocity=True),
    ),
    Pitfall(
        "momentum_as_mean",
        entry="SGD",
        difference="torch: v = mu v + g; others: v = mu v + (1 - mu) g",
        mutant=MomentumAsMean,
    ),
    Pitfall(
        "momentum_dampened_first_step",
        entry="SGD",
        difference="torch: v = g at the first step; others: v = (1 - dampening) g, from v = 0",
        mutant=DampedFromTheStart,
    ),
    Pitfall(
        "nesterov_with_old_velocity",
        entry="SGD",
        difference="torch: p -= lr (g + mu v) with the new v; others: with the old one",
        mutant=NesterovBefore,
    ),
    Pitfall(
        "weight_decay_without_half",
        entry="SGD",
        difference="torch: g + l p, from l/2 |p|^2; others: g + 2 l p, from l |p|^2",
        mutant=DoubleDecay,
    ),
    Pitfall(
        "gradient_none_coasts",
        entry="SGD",
        difference="torch: a parameter without gradient stays; others: it decays and coasts",
        mutant=NoneCoasts,
    ),
    Pitfall(
        "gradient_zero_is_skipped",
        entry="SGD",
        difference="torch: with a zero gradient it decays and coasts; others: it stays",
        mutant=ZeroIsSkipped,
    ),
    Pitfall(
        "adam_weight_decay_decoupled",
        entry="Adam",
        difference="torch: Adam's weight decay enters the gradient; others: it is AdamW's",
        mutant=functools.partial(AdamW, weight_decay=0.0),
    ),
    Pitfall(
        "adamw_weight_decay_in_gradient",
        entry="AdamW",
        difference="torch: AdamW's weight decay is outside; others: it enters the gradient",
        mutant=functools.partial(Adam, weight_decay=1e-2),
    ),
    Pitfall(
        "adamw_default_weight_decay",
        entry="AdamW",
        difference="torch: 0.01 by default; others: 0, as Adam",
        mutant=functools.partial(Adam, decoupled_weight_decay=True),
    ),
    Pitfall(
        "adamw_decay_after_step",
        entry="AdamW",
        difference="torch: p shrinks before the step; others: after it",
        mutant=DecayAfter,
    ),
    Pitfall(
        "adamw_decay_without_lr",
        entry="AdamW",
        difference="torch: p -= lr l p; the paper with schedule multiplier 1: p -= l p",
        mutant=DecayWithoutLr,
    ),
    Pitfall(
        "adam_eps_hat",
        entry="Adam",
        difference="torch: sqrt(v)/sqrt(c2) + eps; Keras, TensorFlow: (sqrt(v) + eps)/sqrt(c2)",
        mutant=EpsHat,
    ),
    Pitfall(
        "adam_eps_in_root",
        entry="Adam",
        difference="torch: sqrt(v/c2) + eps; others: sqrt(v/c2 + eps)",
        mutant=EpsInRoot,
    ),
    Pitfall(
        "adam_correction_without_power",
        entry="Adam",
        difference="torch: 1 - beta^t; others: 1 - beta, which is the same at t = 1 only",
        mutant=NoPower,
    ),
    Pitfall(
        "amsgrad_of_corrected",
        entry="Adam",
        difference="torch: max of v, then corrected; Reddi et al. with correction: max of v/c2",
        mutant=MaximumOfCorrected,
    ),
]
