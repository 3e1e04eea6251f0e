"""Conventions of optimizers that look at a whole parameter, or at a few of its rows."""

import functools
import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn.sparse import SparseGradient
from scratch.optim import LAMB, LARS, LBFGS, Adafactor, Adam, Lion, Muon, SparseAdam
from scratch.optim import lbfgs as lbfgs_file
from scratch.optim import muon as muon_file
from scratch.optim.lars import norm
from scratch.optim.optimizer import Group, State


def signed(gradient: Array, group: Group) -> Array:
    return -gradient if group["maximize"] else gradient


# Adafactor


class PlainAdafactor(Adafactor):
    """Adafactor as one reads it, in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g, lr, (eps1, eps2) = signed(gradient, group), group["lr"], group["eps"]
        eps1 = float(np.finfo(values.dtype).eps) if eps1 is None else eps1
        if not state:
            state["step"] = np.zeros((), np.float32)
            for name in ("row_var", "col_var") if g.ndim > 1 else ("variance",):
                state[name] = np.zeros(self._state_shape(name, g.shape), g.dtype)
        state["step"] += 1
        t = float(state["step"])
        b = t ** group["beta2_decay"]
        start = values.copy()
        values *= 1 - lr * group["weight_decay"]
        rms = norm(self.measured(start, values)) / math.sqrt(g.size)
        size = self.bound(lr, t) * max(eps2, rms)
        squares = self.squares(g, eps1)
        if g.ndim > 1:
            r, c = state["row_var"], state["col_var"]
            r[...] = (1 - b) * r + b * squares.mean(-1, keepdims=True)
            c[...] = (1 - b) * c + b * squares.mean(-2, keepdims=True)
            v = r * c / self.floor(r.mean(-2, keepdims=True), eps1)
        else:
            state["variance"][...] = (1 - b) * state["variance"] + b * squares
            v = state["variance"]
        u = g / self.floor(np.sqrt(v), eps1)
        values -= size * self.clipped(u, group["d"])

    def measured(self, before: Array, decayed: Array) -> Array:
        return before

    def bound(self, lr: float, t: float) -> float:
        return float(min(lr, 1 / math.sqrt(t)))

    def squares(self, g: Array, eps1: float) -> Array:
        return g**2

    def floor(self, x: Array, eps1: float) -> Array:
        return np.maximum(x, eps1)

    def clipped(self, u: Array, d: float) -> Array:
        return u / max(1.0, norm(u) / (math.sqrt(u.size) * d))


class EpsAddedToSquares(PlainAdafactor):
    """eps1 is added to g^2, and nothing is bounded."""

    def squares(self, g: Array, eps1: float) -> Array:
        return g**2 + eps1

    def floor(self, x: Array, eps1: float) -> Array:
        return x


class RelativeStepOfThePaper(PlainAdafactor):
    """The relative step is at most 0.01, whatever lr is."""

    def bound(self, lr: float, t: float) -> float:
        return min(0.01, 1 / math.sqrt(t))


class SizeAfterDecay(PlainAdafactor):
    """The size of p is taken after its decay."""

    def measured(self, before: Array, decayed: Array) -> Array:
        return decayed


class ClippedByEntry(PlainAdafactor):
    """Entries of u above d are cut, instead of u being scaled down."""

    def clipped(self, u: Array, d: float) -> Array:
        return np.clip(u, -d, d)


# Muon


class MomentumAsSum(Muon):
    """m <- momentum m + g: the same direction, in another state."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        share = 1 - group["momentum"]
        if state:
            state["momentum_buffer"] *= share
        super()._update(values, gradient, state, group)
        state["momentum_buffer"] /= share


class LookAheadOfTheOldMean(Muon):
    """Nesterov's step with m from before this gradient."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        if not group["nesterov"]:
            super()._update(values, gradient, state, group)
            return
        momentum = group["momentum"]
        m = np.array(state.get("momentum_buffer", np.zeros_like(values)))
        ahead: State = {"momentum_buffer": m.copy()}
        super()._update(values, gradient, ahead, {**group, "nesterov": False})
        state["momentum_buffer"] = (1 - momentum) * gradient + momentum * m


class DecayAfterMuon(Muon):
    """p shrinks once the step is done."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        super()._update(values, gradient, state, {**group, "weight_decay": 0.0})
        values *= 1 - group["lr"] * group["weight_decay"]


class WideIsTall(Muon):
    """The scale is sqrt(max(1, columns / rows)), of matrices that hold W^T."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        n, k = values.shape
        if group["adjust_lr_fn"] != "match_rms_adamw" and values.size:
            factor = math.sqrt(max(1, k / n) / max(1, n / k))
            decay = group["weight_decay"] / factor
            group = {**group, "lr": group["lr"] * factor, "weight_decay": decay}
        super()._update(values, gradient, state, group)


class AnotherOrthogonal(Muon):
    """Another way to an orthogonal matrix."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        with mock.patch.object(muon_file, "orthogonal", self.orthogonal):
            super()._update(values, gradient, state, group)

    def orthogonal(self, x: Array, coefficients: Any, steps: int, eps: float) -> Array:
        u, _, vt = np.linalg.svd(x, full_matrices=False)
        product: Array = u @ vt
        return product


class InFloat64(AnotherOrthogonal):
    """Newton-Schulz in float64."""

    def orthogonal(self, x: Array, coefficients: Any, steps: int, eps: float) -> Array:
        a, b, c = coefficients
        o = np.asarray(x, np.float64)
        o = o / max(float(np.linalg.norm(o)), eps)
        for _ in range(steps):
            A = o @ o.T
            o = a * o + (b * A + c * A @ A) @ o
        return o


# L-BFGS


class FirstStepOfLr(LBFGS):
    """The very first step is lr long too."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        if closure is None or state:
            return super().step(closure)
        closure()
        factor = min(1.0, 1.0 / float(np.sum(np.abs(self._gradient("LBFGS")))))
        lr, group["lr"] = group["lr"], group["lr"] / factor
        try:
            return super().step(closure)
        finally:
            group["lr"] = lr


class PatchedDirection(LBFGS):
    """L-BFGS with another direction."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        other = functools.partial(self.direction, lbfgs_file._direction)
        with mock.patch.object(lbfgs_file, "_direction", other):
            return super().step(closure)

    def direction(self, held: Any, g: Array, state: State, size: int) -> Array:
        found: Array = held(g, state, size)
        return found


class UnscaledHessian(PatchedDirection):
    """H begins as the identity."""

    def direction(self, held: Any, g: Array, state: State, size: int) -> Array:
        held(g, state, size)  # takes the last step into the history
        q, al = -g, []
        ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
        for y, s, r in reversed(list(zip(ys, ss, ro, strict=True))):
            al.append(s @ q * r)
            q = q - al[-1] * y
        for y, s, r in zip(ys, ss, ro, strict=True):
            q = q + s * (al.pop() - y @ q * r)
        return q


class OneMorePair(PatchedDirection):
    """The history holds history_size pairs beside the newest."""

    def direction(self, held: Any, g: Array, state: State, size: int) -> Array:
        return super().direction(held, g, state, size + 1)


class ReturnsTheLastLoss(LBFGS):
    """`step` returns the loss that it arrived at."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        losses: list[Any] = []

        def remembering() -> Any:
            losses.append(closure() if closure else None)
            return losses[-1]

        super().step(remembering)
        return losses[-1]


# SparseAdam


class MovesAllRows(SparseAdam):
    """Adam, for which the rows that are missing have gradient zero."""

    def _update_rows(
        self, values: Array, gradient: SparseGradient, state: State, group: Group
    ) -> None:
        if not state:
            state.update(self._start(values))
        super()._update(values, gradient.dense(), state, group)


class EpsAsInAdam(SparseAdam):
    """eps is added to the root of the corrected v."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = {**group, "amsgrad": False, "weight_decay": 0, "decoupled_weight_decay": False}
        state["step"] = np.asarray(float(state["step"]), np.float32)
        Adam._update(self, values, gradient, state, options)  # type: ignore[arg-type]
        state["step"] = int(state["step"])


class StepsCountedByRow(SparseAdam):
    """Each row is corrected by the number of its own steps."""

    def _update_rows(
        self, values: Array, gradient: SparseGradient, state: State, group: Group
    ) -> None:
        if not hasattr(self, "counts"):
            self.counts: dict[int, Array] = {}
        counts = self.counts.setdefault(id(values), np.zeros(len(values), int))
        if not state:
            state.update(self._start(values))
        step = state["step"]
        for k, row in enumerate(gradient.indices):
            state["step"] = counts[row]
            part = SparseGradient(
                gradient.indices[k : k + 1], gradient.values[k : k + 1], gradient.shape
            )
            super()._update_rows(values, part, state, group)
        counts[gradient.indices] += 1
        state["step"] = step + 1


# Lion


class SignOfTheNewMean(Lion):
    """One beta: the direction is the sign of the new mean."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        beta2 = group["betas"][1]
        super()._update(values, gradient, state, {**group, "betas": (beta2, beta2)})


class LionDecayInGradient(Lion):
    """The weight decay enters the gradient, and so the sign."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g = signed(gradient, group) + group["weight_decay"] * values
        super()._update(values, g, state, {**group, "weight_decay": 0.0, "maximize": False})


class BetasSwapped(Lion):
    """The shares of direction and mean are exchanged."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        super()._update(values, gradient, state, {**group, "betas": group["betas"][::-1]})


# LAMB and LARS


class PlainLAMB(LAMB):
    """LAMB as one reads it, in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g, (beta1, beta2) = signed(gradient, group), group["betas"]
        if not state:
            state.update(step=np.zeros((), np.float32), exp_avg=np.zeros_like(values))
            state.update(exp_avg_sq=np.zeros_like(values))
        state["step"] += 1
        t, m, v = float(state["step"]), state["exp_avg"], state["exp_avg_sq"]
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        c1, c2 = self.corrections(beta1, beta2, t)
        adam = m / c1 / (np.sqrt(v / c2) + group["eps"])
        decay = group["weight_decay"] * values
        size, length = norm(values), norm(self.measured(adam, decay))
        ratio = size / length if size > 0 and length > 0 else 1.0
        values -= group["lr"] * self.scaled(ratio, adam, decay)

    def corrections(self, beta1: float, beta2: float, t: float) -> tuple[float, float]:
        return 1 - beta1**t, 1 - beta2**t

    def measured(self, adam: Array, decay: Array) -> Array:
        return adam + decay

    def scaled(self, ratio: float, adam: Array, decay: Array) -> Array:
        return ratio * (adam + decay)


class Uncorrected(PlainLAMB):
    """m and v are taken as they are."""

    def corrections(self, beta1: float, beta2: float, t: float) -> tuple[float, float]:
        return 1.0, 1.0


class RatioWithoutDecay(PlainLAMB):
    """The decay is beside the ratio, as in AdamW."""

    def measured(self, adam: Array, decay: Array) -> Array:
        return adam

    def scaled(self, ratio: float, adam: Array, decay: Array) -> Array:
        return ratio * adam + decay


class PlainLARS(LARS):
    """LARS as one reads it, in the parts that others do in another way."""

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        g, decay, lr = signed(gradient, group), group["weight_decay"], group["lr"]
        v = state.setdefault("velocity", np.zeros_like(values))
        size, slope = norm(values), norm(g)
        divisor = self.divisor(g, decay * values)
        ratio = group["trust_coefficient"] * size / divisor if size > 0 and slope > 0 else 1.0
        inside, outside = self.rates(lr)
        v[...] = group["momentum"] * v + inside * ratio * (g + decay * values)
        values -= outside * v

    def divisor(self, g: Array, decay: Array) -> float:
        return norm(g) + norm(decay)

    def rates(self, lr: float) -> tuple[float, float]:
        return lr, 1.0


class NormOfTheSum(PlainLARS):
    """The divisor is |g + weight_decay p|."""

    def divisor(self, g: Array, decay: Array) -> float:
        return norm(g + decay)


class LrOutside(PlainLARS):
    """lr stands outside v, as in torch's SGD."""

    def rates(self, lr: float) -> tuple[float, float]:
        return 1.0, lr


class OneRatio(LARS):
    """One ratio for all parameters together."""

    def step(self, closure: Any = None) -> Any:
        parameters = [p for p in self.param_groups[0]["params"] if p.grad is not None]
        self.size = math.sqrt(sum(norm(p.data) ** 2 for p in parameters))
        self.slope = math.sqrt(sum(norm(np.asarray(p.grad)) ** 2 for p in parameters))
        return super().step(closure)

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        decay, own, slope = group["weight_decay"], norm(values), norm(gradient)
        if own > 0 and slope > 0:
            ratio = self.size / (self.slope + decay * self.size)
            trust = group["trust_coefficient"] * ratio / (own / (slope + decay * own))
            group = {**group, "trust_coefficient": trust}
        super()._update(values, gradient, state, group)


PITFALLS = [
    Pitfall(
        "adafactor_eps_added_to_squares",
        entry="Adafactor",
        difference="torch: eps1 bounds v and its root; the paper, others: it is added to g^2",
        mutant=EpsAddedToSquares,
    ),
    Pitfall(
        "adafactor_relative_step",
        entry="Adafactor",
        difference="torch: min(lr, 1/sqrt(t)); the paper: min(0.01, 1/sqrt(t))",
        mutant=RelativeStepOfThePaper,
    ),
    Pitfall(
        "adafactor_size_after_decay",
        entry="Adafactor",
        difference="torch: the size of p before its decay; others: after it",
        mutant=SizeAfterDecay,
    ),
    Pitfall(
        "adafactor_clipped_by_entry",
        entry="Adafactor",
        difference="torch: u / max(1, rms(u) / d); others: entries cut at d",
        mutant=ClippedByEntry,
    ),
    Pitfall(
        "muon_momentum_as_sum",
        entry="Muon",
        difference="torch: m is a mean; Jordan's: a sum. One direction, two states",
        mutant=MomentumAsSum,
    ),
    Pitfall(
        "muon_nesterov_of_old_mean",
        entry="Muon",
        difference="torch: momentum m + (1 - momentum) g with the new m; others: m without ahead",
        mutant=LookAheadOfTheOldMean,
    ),
    Pitfall(
        "muon_without_nesterov",
        entry="Muon",
        difference="torch: nesterov by default; the first Muon: not",
        mutant=functools.partial(Muon, nesterov=False),
    ),
    Pitfall(
        "muon_default_weight_decay",
        entry="Muon",
        difference="torch: 0.1 by default; Jordan's: 0",
        mutant=functools.partial(Muon, weight_decay=0.0),
    ),
    Pitfall(
        "muon_decay_after_step",
        entry="Muon",
        difference="torch: p shrinks before the step; others: after it",
        mutant=DecayAfterMuon,
    ),
    Pitfall(
        "muon_scale_of_transposed",
        entry="Muon",
        difference="torch: sqrt(max(1, rows / columns)); others, of W^T: columns / rows",
        mutant=WideIsTall,
    ),
    Pitfall(
        "muon_by_singular_values",
        entry="Muon",
        difference="torch: five Newton-Schulz iterations; exactly orthogonal: U V^T",
        mutant=AnotherOrthogonal,
    ),
    Pitfall(
        "muon_in_float64",
        entry="Muon",
        difference="torch: bfloat16; others: the dtype of p",
        mutant=InFloat64,
    ),
    Pitfall(
        "lbfgs_first_step",
        entry="LBFGS",
        difference="torch: min(1, 1 / sum |g|) lr in the very first iteration; others: lr",
        mutant=FirstStepOfLr,
    ),
    Pitfall(
        "lbfgs_unscaled_hessian",
        entry="LBFGS",
        difference="torch: H begins as y.s / y.y; others: as 1",
        mutant=UnscaledHessian,
    ),
    Pitfall(
        "lbfgs_history_size",
        entry="LBFGS",
        difference="torch: history_size pairs with the newest; others: beside it",
        mutant=OneMorePair,
    ),
    Pitfall(
        "lbfgs_returns_last_loss",
        entry="LBFGS",
        difference="torch: step returns the loss before it; others: the one after it",
        mutant=ReturnsTheLastLoss,
    ),
    Pitfall(
        "sparse_adam_moves_all_rows",
        entry="SparseAdam",
        difference="torch: only rows of the gradient move; Adam: all others coast",
        mutant=MovesAllRows,
    ),
    Pitfall(
        "sparse_adam_eps",
        entry="SparseAdam",
        difference="torch: (sqrt(v) + eps) / sqrt(c2) here; its Adam: sqrt(v) / sqrt(c2) + eps",
        mutant=EpsAsInAdam,
    ),
    Pitfall(
        "sparse_adam_steps_by_row",
        entry="SparseAdam",
        difference="torch: t counts the steps of the parameter; others: of each row",
        mutant=StepsCountedByRow,
    ),
    Pitfall(
        "lion_sign_of_new_mean",
        entry="Lion",
        difference="the paper: the sign of a mean with beta1, kept with beta2; signum: one mean",
        mutant=SignOfTheNewMean,
    ),
    Pitfall(
        "lion_decay_in_gradient",
        entry="Lion",
        difference="the paper: decay beside the sign; others: in the gradient",
        mutant=LionDecayInGradient,
    ),
    Pitfall(
        "lion_betas_swapped",
        entry="Lion",
        difference="the paper: beta1 for the direction, beta2 for the mean; others: exchanged",
        mutant=BetasSwapped,
    ),
    Pitfall(
        "lamb_uncorrected",
        entry="LAMB",
        difference="the paper: m and v corrected; pytorch-lamb: not",
        mutant=Uncorrected,
    ),
    Pitfall(
        "lamb_ratio_without_decay",
        entry="LAMB",
        difference="the paper: the ratio is of direction and decay; others: of the direction",
        mutant=RatioWithoutDecay,
    ),
    Pitfall(
        "lars_norm_of_sum",
        entry="LARS",
        difference="the paper: |g| + weight_decay |p|; optax: |g + weight_decay p|",
        mutant=NormOfTheSum,
    ),
    Pitfall(
        "lars_lr_outside",
        entry="LARS",
        difference="the paper: lr inside the velocity; torchlars, timm: outside",
        mutant=LrOutside,
    ),
    Pitfall(
        "lars_one_ratio",
        entry="LARS",
        difference="the paper: a ratio for each layer; others: one for all",
        mutant=OneRatio,
    ),
]
