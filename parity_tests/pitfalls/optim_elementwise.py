"""Conventions of the optimizers that update each entry by itself.

Each `Plain...` is an optimizer as one reads it, on whole arrays, with the places where others
differ as methods; without a mistake in one of those it is torch's (test_optim_elementwise.py).
"""

import functools
import math
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.optim import ASGD, Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop, Rprop
from scratch.optim.optimizer import Group, State


def prepared(values: Array, gradient: Array, group: Group) -> Array:
    """The gradient with its sign and weight decay; a decoupled decay changes `values`."""
    g: Array = -gradient if group["maximize"] else gradient
    decay = group.get("weight_decay", 0)
    if group.get("decoupled_weight_decay", False):
        values *= 1 - group["lr"] * decay
        return g
    g = g + decay * values
    return g


def begin(state: State, values: Array, *names: str, **numbers: float) -> float:
    """Zeros and scalars before the first step; counts the step."""
    if not state:
        state["step"] = np.zeros((), np.float32)
        state.update({name: np.array(number, np.float32) for name, number in numbers.items()})
        state.update({name: np.zeros_like(values) for name in names})
    state["step"] += 1
    return float(state["step"])


class PlainASGD(ASGD):
    """ASGD in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        t = begin(state, values, "ax", eta=group["lr"], mu=1)
        eta, mu = self.rate(state, t, group), self.share(state, t, group)
        values *= self.kept(eta, group)
        values -= eta * g
        state["ax"] += mu * (values - state["ax"])
        state["eta"] = np.array(self.rounded(self.decayed(t, group)))
        state["mu"] = np.array(1 / max(1, t - group["t0"]), np.float32)

    def decayed(self, t: float, group: Group) -> float:
        rate: float = group["lr"] / (1 + group["lambd"] * group["lr"] * t) ** group["alpha"]
        return rate

    def rate(self, state: State, t: float, group: Group) -> float:
        return float(state["eta"])

    def share(self, state: State, t: float, group: Group) -> float:
        return float(state["mu"])

    def kept(self, eta: float, group: Group) -> float:
        kept: float = 1 - group["lambd"] * eta
        return kept

    def rounded(self, eta: float) -> Any:
        return np.float32(eta)


class RateAtOnce(PlainASGD):
    """eta is computed in the step that uses it."""

    def rate(self, state: State, t: float, group: Group) -> float:
        return float(np.float32(self.decayed(t - 1, group)))


class RateOfFullPrecision(PlainASGD):
    """eta is not rounded to float32."""

    def rounded(self, eta: float) -> Any:
        return eta


class MeanFromT0(PlainASGD):
    """The mean holds step t0 + 1 too."""

    def share(self, state: State, t: float, group: Group) -> float:
        share: float = 1 / max(1, t - group["t0"])
        return share


class RateAlone(PlainASGD):
    """lambd decreases the rate but is no decay of p."""

    def kept(self, eta: float, group: Group) -> float:
        return 1.0


class PlainRprop(Rprop):
    """Rprop in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        first = not state
        begin(state, values, "prev", "step_size")
        if first:
            state["step_size"] += group["lr"]
        sign = np.sign(g * state["prev"])
        (minus, plus), (low, high) = group["etas"], group["step_sizes"]
        before = state["step_size"].copy()
        s = before * np.where(sign > 0, plus, np.where(sign < 0, minus, 1.0))
        s = self.clipped(s, low, high, first)
        moves, kept = self.turned(g, sign < 0, s, before * np.sign(state["prev"]))
        values -= moves
        state["step_size"][...], state["prev"][...] = s, kept

    def clipped(self, s: Array, low: float, high: float, first: bool) -> Array:
        return np.clip(s, low, high)

    def turned(self, g: Array, turned: Any, s: Array, last: Array) -> tuple[Array, Array]:
        """What is taken off p, and what the next sign is compared with."""
        g = np.where(turned, 0.0, g)
        return s * np.sign(g), g


class BackTracking(PlainRprop):
    """Where the sign changes the last step is taken back."""

    def turned(self, g: Array, turned: Any, s: Array, last: Array) -> tuple[Array, Array]:
        return np.where(turned, -last, s * np.sign(g)), np.where(turned, 0.0, g)


class StepsOnAtTurns(PlainRprop):
    """Where the sign changes a smaller step is taken at once."""

    def turned(self, g: Array, turned: Any, s: Array, last: Array) -> tuple[Array, Array]:
        return s * np.sign(g), g


class RemembersTurns(PlainRprop):
    """Where the sign changes p rests, but the next sign is compared with the new one."""

    def turned(self, g: Array, turned: Any, s: Array, last: Array) -> tuple[Array, Array]:
        return np.where(turned, 0.0, s * np.sign(g)), g


class FirstStepUnclipped(PlainRprop):
    """The first step is lr, however large or small."""

    def clipped(self, s: Array, low: float, high: float, first: bool) -> Array:
        return s if first else np.clip(s, low, high)


class RateScalesSteps(Rprop):
    """A change of lr changes the step sizes."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        first = group.setdefault("first_lr", group["lr"])
        start = values.copy()
        super()._update(values, gradient, state, group)
        values[...] = start + (values - start) * (group["lr"] / first if first else 1.0)


class PlainAdagrad(Adagrad):
    """Adagrad in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        t = begin(state, values)
        state["sum"] += g * g
        lr = group["lr"] / (1 + self.passed(t) * group["lr_decay"])
        values -= lr * g / self.root(state["sum"], group["eps"])

    def passed(self, t: float) -> float:
        return t - 1

    def root(self, v: Array, eps: float) -> Array:
        root: Array = np.sqrt(v) + eps
        return root


class AdagradEpsInRoot(PlainAdagrad):
    """eps is added under the root."""

    def root(self, v: Array, eps: float) -> Array:
        root: Array = np.sqrt(v + eps)
        return root


class DecaysFromTheStart(PlainAdagrad):
    """The first step has a smaller lr too."""

    def passed(self, t: float) -> float:
        return t


class PlainAdadelta(Adadelta):
    """Adadelta in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        begin(state, values, "square_avg", "acc_delta")
        rho, eps, lr = group["rho"], group["eps"], group["lr"]
        v, u = state["square_avg"], state["acc_delta"]
        v[...] = rho * v + (1 - rho) * g**2
        d = self.root(u, eps) / self.root(v, eps) * g
        u[...] = rho * u + (1 - rho) * self.gathered(d, lr) ** 2
        values -= lr * d

    def root(self, x: Array, eps: float) -> Array:
        root: Array = np.sqrt(x + eps)
        return root

    def gathered(self, d: Array, lr: float) -> Array:
        return d


class AdadeltaEpsOutside(PlainAdadelta):
    """eps is added to the roots."""

    def root(self, x: Array, eps: float) -> Array:
        root: Array = np.sqrt(x) + eps
        return root


class GathersSteps(PlainAdadelta):
    """The mean square is that of the steps, lr included."""

    def gathered(self, d: Array, lr: float) -> Array:
        return lr * d


class PlainRMSprop(RMSprop):
    """RMSprop in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        alpha, lr, momentum = group["alpha"], group["lr"], group["momentum"]
        first = not state
        names = [
            n for n, on in (("momentum_buffer", momentum), ("grad_avg", group["centered"])) if on
        ]
        t = begin(state, values, "square_avg", *names)
        v = state["square_avg"]
        v += self.start() if first else 0.0
        v[...] = alpha * v + (1 - alpha) * g**2
        v = self.corrected(v, alpha, t)
        if group["centered"]:
            m = state["grad_avg"]
            m[...] = alpha * m + (1 - alpha) * g
            v = v - m**2
        d = g / self.root(v, group["eps"])
        if momentum:
            inside, outside = self.rates(lr)
            state["momentum_buffer"][...] = momentum * state["momentum_buffer"] + inside * d
            values -= outside * state["momentum_buffer"]
        else:
            values -= lr * d

    def start(self) -> float:
        return 0.0

    def corrected(self, v: Array, alpha: float, t: float) -> Array:
        return v

    def root(self, v: Array, eps: float) -> Array:
        root: Array = np.sqrt(v) + eps
        return root

    def rates(self, lr: float) -> tuple[float, float]:
        """lr inside the momentum buffer, and outside."""
        return 1.0, lr


class RMSpropEpsInRoot(PlainRMSprop):
    """eps is added under the root."""

    def root(self, v: Array, eps: float) -> Array:
        root: Array = np.sqrt(v + eps)
        return root


class RateInBuffer(PlainRMSprop):
    """The momentum buffer holds steps, lr included."""

    def rates(self, lr: float) -> tuple[float, float]:
        return lr, 1.0


class CorrectedRMSprop(PlainRMSprop):
    """The mean square is corrected for its start at zero, as Adam's is."""

    def corrected(self, v: Array, alpha: float, t: float) -> Array:
        corrected: Array = v / (1 - alpha**t)
        return corrected


class StartsAtOne(PlainRMSprop):
    """The mean square starts at one."""

    def start(self) -> float:
        return 1.0


class PlainAdamax(Adamax):
    """Adamax in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        t = begin(state, values, "exp_avg", "exp_inf")
        (beta1, beta2), (inside, outside) = group["betas"], self.places(group["eps"])
        m, u = state["exp_avg"], state["exp_inf"]
        m[...] = beta1 * m + (1 - beta1) * g
        u[...] = np.maximum(beta2 * u, np.abs(g) + inside)
        largest = u / self.correction(beta2, t) + outside
        values -= group["lr"] / (1 - beta1**t) * m / largest

    def places(self, eps: float) -> tuple[float, float]:
        """eps inside the maximum, and outside."""
        return eps, 0.0

    def correction(self, beta2: float, t: float) -> float:
        return 1.0


class AdamaxEpsOutside(PlainAdamax):
    """eps is added to the maximum."""

    def places(self, eps: float) -> tuple[float, float]:
        return 0.0, eps


class CorrectedMaximum(PlainAdamax):
    """The maximum is corrected as Adam's mean square is."""

    def correction(self, beta2: float, t: float) -> float:
        return float(1 - beta2**t)


class PlainNAdam(NAdam):
    """NAdam in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        t = begin(state, values, "exp_avg", "exp_avg_sq", mu_product=1)
        beta1, beta2 = group["betas"]
        mu, after = (self.momentum(beta1, s * group["momentum_decay"]) for s in (t, t + 1))
        state["mu_product"] = np.array(self.rounded(float(state["mu_product"]), mu))
        m, v, product = state["exp_avg"], state["exp_avg_sq"], float(state["mu_product"])
        kept = self.kept(beta1, mu)
        m[...] = kept * m + (1 - kept) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        ahead = after * m / (1 - self.product_ahead(product, after))
        ahead = ahead + (1 - mu) * g / (1 - product)
        values -= group["lr"] * ahead / (np.sqrt(v / (1 - beta2**t)) + group["eps"])

    def momentum(self, beta1: float, time: float) -> float:
        return float(beta1 * (1 - 0.96**time / 2))

    def rounded(self, product: float, mu: float) -> Any:
        return np.float32(product) * np.float32(mu)

    def kept(self, beta1: float, mu: float) -> float:
        return beta1

    def product_ahead(self, product: float, after: float) -> float:
        return product * after


class MeanByMomentum(PlainNAdam):
    """The mean of the gradient keeps the share mu_t."""

    def kept(self, beta1: float, mu: float) -> float:
        return mu


class ConstantMomentum(PlainNAdam):
    """The momentum is beta1 from the first step on."""

    def momentum(self, beta1: float, time: float) -> float:
        return beta1


class ProductOfFullPrecision(PlainNAdam):
    """The product of the momenta is not rounded to float32."""

    def rounded(self, product: float, mu: float) -> Any:
        return product * mu


class SameProduct(PlainNAdam):
    """The mean is corrected by the product up to this step, as the gradient is."""

    def product_ahead(self, product: float, after: float) -> float:
        return product


class PlainRAdam(RAdam):
    """RAdam in the parts that others do in another way."""

    threshold = 5.0

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = prepared(values, gradient, group)
        t = begin(state, values, "exp_avg", "exp_avg_sq")
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        n, c2 = 2 / (1 - beta2) - 1, 1 - beta2**t
        rho = n - 2 * t * beta2**t / c2
        step = group["lr"] * m / (1 - beta1**t)
        if rho > self.threshold:
            r = math.sqrt((rho - 4) * (rho - 2) * n / ((n - 4) * (n - 2) * rho))
            values -= step * r / self.root(v, c2, group["eps"])
        else:
            values -= self.early(step)

    def root(self, v: Array, c2: float, eps: float) -> Array:
        root: Array = (np.sqrt(v) + eps) / math.sqrt(c2)
        return root

    def early(self, step: Array) -> Array:
        return step


class ThresholdOfThePaper(PlainRAdam):
    """The step is rectified as soon as rho > 4."""

    threshold = 4.0


class RAdamEpsCorrected(PlainRAdam):
    """eps is added to the root of the corrected mean square."""

    def root(self, v: Array, c2: float, eps: float) -> Array:
        root: Array = np.sqrt(v / c2) + eps
        return root


class WaitsAtFirst(PlainRAdam):
    """No step at all while rho is small."""

    def early(self, step: Array) -> Array:
        return 0 * step


PITFALLS = [
    Pitfall(
        "asgd_lr_acts_at_once",
        entry="ASGD",
        difference="torch: eta is made one step ahead, so a new lr waits; others: it acts at once",
        mutant=RateAtOnce,
    ),
    Pitfall(
        "asgd_eta_in_float64",
        entry="ASGD",
        difference="torch's loop: eta is rounded to float32, 3e-8; others: as precise as p",
        mutant=RateOfFullPrecision,
    ),
    Pitfall(
        "asgd_mean_from_t0",
        entry="ASGD",
        difference="torch: the mean begins with step t0 + 2; others: with t0 + 1",
        mutant=MeanFromT0,
    ),
    Pitfall(
        "asgd_lambd_in_rate_only",
        entry="ASGD",
        difference="torch: lambd decays p too; others: it decreases the rate alone",
        mutant=RateAlone,
    ),
    Pitfall(
        "rprop_backtracking",
        entry="Rprop",
        difference="torch: p rests where the sign changes; Riedmiller & Braun: it goes back",
        mutant=BackTracking,
    ),
    Pitfall(
        "rprop_steps_at_turns",
        entry="Rprop",
        difference="torch: p rests where the sign changes; Rprop-: it takes the smaller step",
        mutant=StepsOnAtTurns,
    ),
    Pitfall(
        "rprop_remembers_turns",
        entry="Rprop",
        difference="torch: after a change of sign s stays for a step; others: it is adapted again",
        mutant=RemembersTurns,
    ),
    Pitfall(
        "rprop_first_step_unclipped",
        entry="Rprop",
        difference="torch: the first step is lr, clipped to step_sizes; others: lr",
        mutant=FirstStepUnclipped,
    ),
    Pitfall(
        "rprop_lr_scales_steps",
        entry="Rprop",
        difference="torch: lr is where step sizes start, nothing more; others: it scales them",
        mutant=RateScalesSteps,
    ),
    Pitfall(
        "adagrad_eps_in_root",
        entry="Adagrad",
        difference="torch: sqrt(v) + eps; Keras, d2l: sqrt(v + eps)",
        mutant=AdagradEpsInRoot,
    ),
    Pitfall(
        "adagrad_decay_from_the_start",
        entry="Adagrad",
        difference="torch: lr / (1 + (t - 1) lr_decay); others: lr / (1 + t lr_decay)",
        mutant=DecaysFromTheStart,
    ),
    Pitfall(
        "adagrad_initial_accumulator",
        entry="Adagrad",
        difference="torch: the sum starts at 0; Keras, optax: at 0.1",
        mutant=functools.partial(Adagrad, initial_accumulator_value=0.1),
    ),
    Pitfall(
        "adadelta_eps_outside",
        entry="Adadelta",
        difference="torch, Zeiler: sqrt(v + eps); others: sqrt(v) + eps, as torch's Adagrad",
        mutant=AdadeltaEpsOutside,
    ),
    Pitfall(
        "adadelta_gathers_steps",
        entry="Adadelta",
        difference="torch: u gathers d, without lr; others: the step itself",
        mutant=GathersSteps,
    ),
    Pitfall(
        "adadelta_default_lr",
        entry="Adadelta",
        difference="torch: lr is 1; Keras: 0.001",
        mutant=functools.partial(Adadelta, lr=1e-3),
    ),
    Pitfall(
        "rmsprop_eps_in_root",
        entry="RMSprop",
        difference="torch: sqrt(v) + eps, centered sqrt(v - m^2) + eps; TensorFlow, Graves: inside",
        mutant=RMSpropEpsInRoot,
    ),
    Pitfall(
        "rmsprop_default_alpha",
        entry="RMSprop",
        difference="torch: alpha is 0.99; Hinton, Keras: 0.9",
        mutant=functools.partial(RMSprop, alpha=0.9),
    ),
    Pitfall(
        "rmsprop_lr_in_buffer",
        entry="RMSprop",
        difference="torch: b = mu b + d, p -= lr b; TensorFlow: b = mu b + lr d, p -= b",
        mutant=RateInBuffer,
    ),
    Pitfall(
        "rmsprop_corrected",
        entry="RMSprop",
        difference="torch: v as it is, biased to its start at 0; others: v / (1 - alpha^t)",
        mutant=CorrectedRMSprop,
    ),
    Pitfall(
        "rmsprop_starts_at_one",
        entry="RMSprop",
        difference="torch: v starts at 0; TensorFlow 1: at 1",
        mutant=StartsAtOne,
    ),
    Pitfall(
        "adamax_eps_outside",
        entry="Adamax",
        difference="torch: max(beta2 u, |g| + eps); Keras: max(beta2 u, |g|) + eps",
        mutant=AdamaxEpsOutside,
    ),
    Pitfall(
        "adamax_corrected_maximum",
        entry="Adamax",
        difference="torch: u needs no correction; others: u / (1 - beta2^t), as Adam's v",
        mutant=CorrectedMaximum,
    ),
    Pitfall(
        "nadam_mean_by_momentum",
        entry="NAdam",
        difference="torch, Keras: m keeps beta1; Dozat 2016: mu_t",
        mutant=MeanByMomentum,
    ),
    Pitfall(
        "nadam_constant_momentum",
        entry="NAdam",
        difference="torch: the momentum rises from beta1 / 2; optax: it is beta1",
        mutant=ConstantMomentum,
    ),
    Pitfall(
        "nadam_product_in_float64",
        entry="NAdam",
        difference="torch: mu_product is a float32 tensor; others: a Python float",
        mutant=ProductOfFullPrecision,
    ),
    Pitfall(
        "nadam_same_product",
        entry="NAdam",
        difference="torch: m by 1 - M_{t+1}, g by 1 - M_t; others: both by 1 - M_t",
        mutant=SameProduct,
    ),
    Pitfall(
        "nadam_weight_decay_decoupled",
        entry="NAdam",
        difference="torch: weight decay enters the gradient; others: it is beside it",
        mutant=functools.partial(NAdam, decoupled_weight_decay=True),
    ),
    Pitfall(
        "radam_threshold",
        entry="RAdam",
        difference="torch, the authors' code: rectified where rho > 5; the paper: rho > 4",
        mutant=ThresholdOfThePaper,
    ),
    Pitfall(
        "radam_eps_corrected",
        entry="RAdam",
        difference="torch: sqrt(v) + eps, then corrected; others: sqrt(v / (1 - beta2^t)) + eps",
        mutant=RAdamEpsCorrected,
    ),
    Pitfall(
        "radam_waits",
        entry="RAdam",
        difference="torch: steps by momentum while rho <= 5; others: no step",
        mutant=WaitsAtFirst,
    ),
    Pitfall(
        "radam_weight_decay_decoupled",
        entry="RAdam",
        difference="torch: weight decay enters the gradient; the authors' code: it is beside it",
        mutant=functools.partial(RAdam, decoupled_weight_decay=True),
    ),
]
