"""SparseAdam: Adam on the rows that have a gradient.        after Kingma & Ba 2015, arXiv:1412.6980

    of the rows that are in the gradient       (first g <- -g if maximize)
    m <- m + (1 - beta1) (g - m)               v <- v + (1 - beta2) (g^2 - v)
    p <- p - lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps)

shapes     p, m, v (V, ...)   g n rows of them   t is a scalar
state      m exp_avg    v exp_avg_sq    t step (a Python int)
torch      all other rows of p, m and v stay: their means do not decay, where Adam's would. t counts
           the steps of the parameter, not of a row, so a row that comes late is corrected too
           little. eps is added before the correction of v ("eps-hat"), unlike Adam's.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.optim.optimizer import Group, Optimizer, Params, State


class SparseAdam(Optimizer):
    """Adam for parameters of which few rows have a gradient (`Embedding(sparse=True)`).

    Args:
        params: parameters, pairs with names, or groups; their gradients are SparseGradients.
        lr: learning rate, > 0.
        betas: shares of the two means that are kept, each in [0, 1).
        eps: added to the root, > 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Kingma & Ba 2015, arXiv:1412.6980; the variant is torch's.
    """

    _state_names: ClassVar = {"step": True, "exp_avg": True, "exp_avg_sq": True}
    _sparse: ClassVar = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check.number("SparseAdam", "lr", lr, low=0, open_low=True)  # a schedule may end at 0
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for i, beta in enumerate(check.pair(function, "betas", group["betas"])):
            check.number(function, f"betas[{i}]", beta, 0, 1, open_high=True)
        check.number(function, "eps", group["eps"], low=0, open_low=True)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _loaded_state(self, function: str, parameter: Parameter, saved: Mapping[str, Any]) -> State:
        state = super()._loaded_state(function, parameter, saved)
        return {**state, "step": int(state["step"])} if state else state

    def _start(self, values: Array) -> State:
        zeros = np.zeros_like(values)
        return {"step": 0, "exp_avg": zeros, "exp_avg_sq": zeros.copy()}

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, eps = float(group["lr"]), float(group["eps"])
        beta1, beta2 = map(float, group["betas"])
        state["step"] += 1
        t = state["step"]
        size = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)

        means = state["exp_avg"], state["exp_avg_sq"]
        for p, g, m, v, a, b in self._blocks(values, gradient, *means):
            if group["maximize"]:
                g = np.negative(g, out=b)
            np.subtract(g, m, out=a)
            a *= 1 - beta1
            m += a
            np.subtract(np.multiply(g, g, out=a), v, out=a)
            a *= 1 - beta2
            v += a
            np.add(np.sqrt(v, out=a), eps, out=a)
            p -= np.multiply(np.divide(m, a, out=b), size, out=b)
