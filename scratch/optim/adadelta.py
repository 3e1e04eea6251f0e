"""Adadelta.                             Zeiler 2012, arXiv:1212.5701, algorithm 1

    g <- g + weight_decay p                     (first g <- -g if maximize)
    v <- rho v + (1 - rho) g^2
    d <- sqrt(u + eps) / sqrt(v + eps) g
    u <- rho u + (1 - rho) d^2
    p <- p - lr d

shapes     p, g, v, u, d alike
state      v square_avg    u acc_delta    step (float32)
torch      lr is no part of the paper; 1, its default, leaves the algorithm as it was. u gathers d
           without lr. eps stands under both roots, unlike in torch's other optimizers.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Adadelta(Optimizer):
    """The gradient times the ratio of two roots: that of the mean square step over its own.

    Args:
        params: parameters, pairs with names, or groups.
        lr: factor of the step, >= 0.
        rho: share of the two means that is kept, in [0, 1].
        eps: added under both roots, >= 0; the first steps are about sqrt(eps).
        weight_decay: adds weight_decay p to the gradient, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Zeiler 2012, arXiv:1212.5701.
    """

    _state_names: ClassVar = {"step": True, "square_avg": True, "acc_delta": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        check.number(function, "rho", group["rho"], 0, 1)
        check.number(function, "eps", group["eps"], low=0)
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "rho", "eps", "weight_decay")
        lr, rho, eps, weight_decay = (float(group[name]) for name in options)
        if not state:
            state["step"] = np.zeros((), np.float32)
            state["square_avg"] = np.zeros_like(values)
            state["acc_delta"] = np.zeros_like(values)
        state["step"] += 1

        means = state["square_avg"], state["acc_delta"]
        for p, g, v, u, a, d in self._blocks(values, gradient, *means):
            if group["maximize"]:
                g = np.negative(g, out=d)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=d)
            v *= rho
            v += np.multiply(np.multiply(g, 1 - rho, out=a), g, out=a)
            np.divide(g, np.sqrt(np.add(v, eps, out=a), out=a), out=d)
            d *= np.sqrt(np.add(u, eps, out=a), out=a)
            u *= rho
            u += np.multiply(np.multiply(d, 1 - rho, out=a), d, out=a)
            p -= np.multiply(d, lr, out=a)
