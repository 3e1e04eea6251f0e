"""Averaged stochastic gradient descent.    Polyak & Juditsky 1992; Xu 2011, arXiv:1107.2490

    g <- g + weight_decay p                     (first g <- -g if maximize)
    p <- (1 - lambd eta) p - eta g              eta = lr / (1 + lambd lr (t - 1))^alpha
    a <- a + mu (p - a)                         mu = 1 / max(1, t - 1 - t0)

shapes     p, g, a alike; t, eta, mu are scalars
state      a ax    t step    eta, mu (float32, all three)
torch      a is p while t <= t0 + 2, then the mean of p over the steps from t0 + 2 on. No step reads
           it: it is there to take the place of p in the end. The step before makes eta and mu, as
           numbers of float32, so a new lr acts one step late. (torch's foreach engine computes eta
           in float32 altogether, and parts from torch's loop by 1e-7; this is the loop.)
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class ASGD(Optimizer):
    """SGD at a decreasing rate, with the mean of the late parameters kept beside them.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate of the first step, >= 0.
        lambd: decay of p, and with lr that of the rate, >= 0.
        alpha: power with which the rate decreases.
        t0: step after which the mean begins.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the rate:
        Xu 2011, arXiv:1107.2490.
    """

    _state_names: ClassVar = {"step": True, "eta": True, "mu": True, "ax": True}
    _scalar_names: ClassVar = ("step", "eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for name in ("lambd", "weight_decay"):
            check.number(function, name, group[name], low=0)
        for name in ("alpha", "t0"):
            check.number(function, name, group[name])
        check.option(function, "maximize", group["maximize"], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "lambd", "alpha", "t0", "weight_decay")
        lr, lambd, alpha, t0, weight_decay = (float(group[name]) for name in options)
        if not state:
            state["step"] = np.zeros((), np.float32)
            state["eta"], state["mu"] = np.full((), lr, np.float32), np.ones((), np.float32)
            state["ax"] = np.zeros_like(values)
        state["step"] += 1
        t, eta, mu = (float(state[name]) for name in ("step", "eta", "mu"))

        for p, g, ax, a, b in self._blocks(values, gradient, state["ax"]):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            p *= 1 - lambd * eta
            p -= np.multiply(g, eta, out=a)
            if mu == 1:
                ax[...] = p
            else:
                np.subtract(p, ax, out=a)
                ax += np.multiply(a, mu, out=a)

        # For the next step. A loaded state may be wider, yet they stay numbers of float32.
        state["eta"][...] = np.float32(lr / (1 + lambd * lr * t) ** alpha)
        state["mu"][...] = np.float32(1 / max(1, t - t0))
