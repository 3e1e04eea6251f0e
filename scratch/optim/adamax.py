"""Adamax: Adam with the largest gradient.      Kingma & Ba 2015, arXiv:1412.6980, algorithm 2

    g <- g + weight_decay p                     (first g <- -g if maximize)
    m <- beta1 m + (1 - beta1) g
    u <- max(beta2 u, |g| + eps)
    p <- p - lr / (1 - beta1^t) m / u

shapes     p, g, m, u alike; t is a scalar
state      m exp_avg    u exp_inf    t step (float32)
torch      eps is added to |g|, inside the maximum; Keras adds it to u in the last line. The paper
           has none, and 0 / 0 until the first gradient other than 0.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.adam import lerp
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Adamax(Optimizer):
    """Steps along the mean of the gradient over the largest of its magnitudes, which decays.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0; the largest size of a step, about.
        betas: share of the mean that is kept, and of the maximum, each in [0, 1).
        eps: added to the magnitude of the gradient, >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Kingma & Ba 2015, arXiv:1412.6980, section 7.1.
    """

    _state_names: ClassVar = {"step": True, "exp_avg": True, "exp_inf": True}

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for i, beta in enumerate(check.pair(function, "betas", group["betas"])):
            check.number(function, f"betas[{i}]", beta, 0, 1, open_high=True)
        check.number(function, "eps", group["eps"], low=0)
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, eps, weight_decay = (float(group[name]) for name in ("lr", "eps", "weight_decay"))
        beta1, beta2 = map(float, group["betas"])
        if not state:
            state["step"] = np.zeros((), np.float32)
            state["exp_avg"], state["exp_inf"] = np.zeros_like(values), np.zeros_like(values)
        state["step"] += 1
        size = lr / (1 - beta1 ** float(state["step"]))

        for p, g, m, u, a, b in self._blocks(values, gradient, state["exp_avg"], state["exp_inf"]):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            lerp(m, g, 1 - beta1, a)
            u *= beta2
            np.maximum(u, np.add(np.abs(g, out=a), eps, out=a), out=u)
            p -= np.divide(np.multiply(m, size, out=a), u, out=a)
