"""Adam.                                  Kingma & Ba 2015, arXiv:1412.6980, algorithm 1

    g <- g + weight_decay p                     (first g <- -g if maximize)
    m <- beta1 m + (1 - beta1) g                v <- beta2 v + (1 - beta2) g^2
    p <- p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
    amsgrad                                     u <- max(u, v) in the place of v in that line
    decoupled_weight_decay                      first p <- (1 - lr weight_decay) p; g is left alone

shapes     p, g, m, v, u alike; t is a scalar
state      m exp_avg    v exp_avg_sq    u max_exp_avg_sq    t step (float32)
torch      eps is added to the root of the corrected v, as in the paper's algorithm, not as in its
           "eps-hat". AMSGrad (Reddi et al. 2018) takes the maximum of v before the correction.
"""

import math
from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Adam(Optimizer):
    """Steps along the mean of the gradient over the root of the mean of its square.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0; about the size of a step.
        betas: shares of the two means that are kept, each in [0, 1).
        eps: added to the root, >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        amsgrad: divide by the largest mean square so far.
        maximize: climb instead.
        decoupled_weight_decay: shrink p by lr weight_decay p instead, as AdamW does.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Kingma & Ba 2015, arXiv:1412.6980; Reddi, Kale & Kumar 2018, arXiv:1904.09237 (AMSGrad).
    """

    _state_names: ClassVar = {
        "step": True,
        "exp_avg": True,
        "exp_avg_sq": True,
        "max_exp_avg_sq": False,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for i, beta in enumerate(check.pair(function, "betas", group["betas"])):
            check.number(function, f"betas[{i}]", beta, 0, 1, open_high=True)
        check.number(function, "eps", group["eps"], low=0)
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        for name in ("amsgrad", "maximize", "decoupled_weight_decay"):
            check.option(function, name, group[name], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, eps, weight_decay = (float(group[name]) for name in ("lr", "eps", "weight_decay"))
        beta1, beta2 = map(float, group["betas"])
        if not state:
            state["step"] = np.zeros((), np.float32)
            state["exp_avg"], state["exp_avg_sq"] = np.zeros_like(values), np.zeros_like(values)
        if group["amsgrad"] and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = np.zeros_like(values)
        state["step"] += 1
        t = float(state["step"])
        root = math.sqrt(1 - beta2**t)
        size = lr / (1 - beta1**t) * root

        largest = [state["max_exp_avg_sq"]] if group["amsgrad"] else []
        means = state["exp_avg"], state["exp_avg_sq"]
        for p, g, m, v, *us, a, b in self._blocks(values, gradient, *means, *largest):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay and group["decoupled_weight_decay"]:
                p *= 1 - lr * weight_decay
            elif weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            lerp(m, g, 1 - beta1, a)
            v *= beta2
            v += np.multiply(np.multiply(g, 1 - beta2, out=a), g, out=a)
            for u in us:  # one with amsgrad, none without
                v = np.maximum(u, v, out=u)
            # lr / (1 - beta1^t) m / (sqrt(v) / root + eps), multiplied through by root
            np.sqrt(v, out=a)
            a += eps * root
            np.divide(m, a, out=a)
            a *= size
            p -= a


def lerp(m: Array, g: Array, weight: float, a: Array) -> None:
    """m <- m + weight (g - m), from the nearer end: weight 1 gives g, however large m is."""
    np.subtract(g, m, out=a)
    if weight < 0.5:
        a *= weight
        m += a
    else:
        a *= 1 - weight
        np.subtract(g, a, out=m)
