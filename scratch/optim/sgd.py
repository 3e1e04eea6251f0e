"""Stochastic gradient descent with momentum.   Polyak 1964; Sutskever et al. 2013, ICML, eqs. 1-4

    g <- g + weight_decay p                     (first g <- -g if maximize)
    v <- momentum v + (1 - dampening) g         v = g at the first step, undamped
    p <- p - lr v                               nesterov: p <- p - lr (g + momentum v)

shapes     p, g, v alike
torch      lr stands outside v ("momentum_buffer" in the state), so a change of lr acts at once on
           all that v holds. Sutskever et al. have it inside, v <- momentum v - lr g and p <- p + v:
           `lr_in_velocity` (then "velocity" holds -v). While lr is constant the two are equal.
           A sparse gradient moves its rows; torch takes momentum beside it, which is refused here.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class SGD(Optimizer):
    """p <- p - lr v, where v is the gradient, or with momentum its decaying sum.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        momentum: share of v that is kept, >= 0.
        dampening: share of the gradient that does not enter v.
        weight_decay: adds weight_decay p to the gradient, that of weight_decay / 2 |p|^2; >= 0.
        nesterov: look ahead along v; needs momentum and no dampening.
        maximize: climb instead.
        lr_in_velocity: let v hold steps, lr included, instead of gradients.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Sutskever, Martens, Dahl & Hinton 2013, "On the importance of initialization and momentum".
    """

    _state_names: ClassVar = {"momentum_buffer": False, "velocity": False}
    _sparse: ClassVar = None

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        lr_in_velocity: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "lr_in_velocity": lr_in_velocity,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        momentum = check.number(function, "momentum", group["momentum"], low=0)
        dampening = check.number(function, "dampening", group["dampening"])
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        for name in ("nesterov", "maximize", "lr_in_velocity"):
            check.option(function, name, group[name], (False, True))
        if group["nesterov"] and (momentum == 0 or dampening != 0):
            expected = "nesterov with momentum > 0 and dampening 0"
            check.refuse(function, expected, f"momentum {momentum} and dampening {dampening}")

    def _check_sparse(self, function: str, group: Group) -> None:
        for name in ("momentum", "weight_decay"):
            if group[name] != 0:
                check.refuse(function, f"no {name} with a sparse gradient", group[name])

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "momentum", "dampening", "weight_decay")
        lr, momentum, dampening, weight_decay = (float(group[name]) for name in options)
        lr_in_velocity = group["lr_in_velocity"]
        name = "velocity" if lr_in_velocity else "momentum_buffer"
        first = name not in state
        if momentum and first:
            state[name] = np.empty_like(values)

        velocity = [state[name]] if momentum else []
        for p, g, *vs, a, b in self._blocks(values, gradient, *velocity):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            if lr_in_velocity:
                g = np.multiply(g, lr, out=b)
            for v in vs:  # one with momentum, none without
                if first:
                    v[...] = g
                else:
                    v *= momentum
                    v += np.multiply(g, 1 - dampening, out=a) if dampening else g
                g = np.add(g, np.multiply(v, momentum, out=a), out=b) if group["nesterov"] else v
            p -= g if lr_in_velocity else np.multiply(g, lr, out=a)
