"""Stochastic gradient descent with momentum.              Polyak 1964; Nesterov 1983; Sutskever et al. 2013, ICML

    g <- g + weight_decay p                    (-g if maximize)
    v <- momentum v + (1 - dampening) g        v = g at the first step, undamped
    p <- p - lr v                              nesterov: p <- p - lr (g + momentum v)

shapes     p, g, v alike
torch      lr stays outside v (state "momentum_buffer"), so a new lr acts on the whole past at once. Sutskever et al. have
           v <- momentum v - lr g, p <- p + v: `lr_in_velocity` (state "velocity"). Equal while lr is constant.
"""

from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.nn.module import Parameter
from scratch.optim.optimizer import Group, Optimizer, Params


class SGD(Optimizer):
    """p <- p - lr v, where v is the gradient, or its running sum with momentum.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        momentum: share of v that is kept, >= 0.
        dampening: share of the gradient that does not enter v.
        weight_decay: adds weight_decay p to the gradient (the gradient of weight_decay / 2 |p|^2), >= 0.
        nesterov: look ahead along v; needs momentum and no dampening.
        maximize: climb instead.
        lr_in_velocity: v <- momentum v - lr g, p <- p + v.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Sutskever, Martens, Dahl & Hinton 2013, eqs. 1-4.
    """

    _state_names: ClassVar = {"momentum_buffer": False, "velocity": False}

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

    def _update(self, parameter: Parameter, group: Group) -> None:
        p, g = parameter.data, parameter.grad
        lr, momentum, undamped = group["lr"], group["momentum"], 1 - group["dampening"]
        weight_decay, lr_in_velocity = group["weight_decay"], group["lr_in_velocity"]
        velocity, first = [], False
        if momentum:
            state, name = self.state[parameter], "velocity" if lr_in_velocity else "momentum_buffer"
            first = name not in state
            velocity = [state.setdefault(name, np.empty_like(p)) if first else state[name]]
        for p, g, *v, a, b in self._blocks(p, g, *velocity):
            ...
