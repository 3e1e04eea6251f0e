"""Adagrad.                                  Duchi, Hazan & Singer 2011, JMLR 12, figure 1

    g <- g + weight_decay p                     (first g <- -g if maximize)
    v <- v + g^2                                v = initial_accumulator_value before the first step
    p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps)

shapes     p, g, v alike; t is a scalar
state      v sum    t step (float32); both are there before the first step
torch      eps is added to the root, not under it. The step count is the parameter's own, so a
           parameter without gradient keeps its lr. initial_accumulator_value is that of the
           constructor, for every group.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Adagrad(Optimizer):
    """Steps along the gradient over the root of the sum of its squares so far.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        lr_decay: the rate of step t is lr / (1 + (t - 1) lr_decay), >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        initial_accumulator_value: where the sum starts, >= 0.
        eps: added to the root, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic
        optimization", JMLR 12.
    """

    _state_names: ClassVar = {"step": True, "sum": True}
    _sparse: ClassVar = None

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = self._start(parameter.data)

    def _check_options(self, function: str, group: Group) -> None:
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            check.number(function, name, group[name], low=0)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _check_sparse(self, function: str, group: Group) -> None:
        if group["weight_decay"] != 0:
            expected = "no weight_decay with a sparse gradient"
            check.refuse(function, expected, group["weight_decay"])

    def _start(self, values: Array) -> State:
        start = float(self.defaults["initial_accumulator_value"])
        return {"step": np.zeros((), np.float32), "sum": np.full_like(values, start)}

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "lr_decay", "weight_decay", "eps")
        lr, lr_decay, weight_decay, eps = (float(group[name]) for name in options)
        if not state:  # of a group that came later
            state.update(self._start(values))
        state["step"] += 1
        lr /= 1 + (float(state["step"]) - 1) * lr_decay

        for p, g, v, a, b in self._blocks(values, gradient, state["sum"]):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            v += np.multiply(g, g, out=a)
            np.sqrt(v, out=a)
            a += eps
            p -= np.divide(np.multiply(g, lr, out=b), a, out=b)
