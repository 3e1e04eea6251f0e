"""RAdam: Adam whose step waits for its variance.     Liu et al. 2020, arXiv:1908.03265, algorithm 2

    g <- g + weight_decay p                     (first g <- -g if maximize)
    m <- beta1 m + (1 - beta1) g                v <- beta2 v + (1 - beta2) g^2
    n = 2 / (1 - beta2) - 1                     rho = n - 2 t beta2^t / (1 - beta2^t)
    p <- p - lr m / (1 - beta1^t)               while rho <= 5, and from then on
    p <- p - lr m / (1 - beta1^t) r sqrt(1 - beta2^t) / (sqrt(v) + eps)
                                                r^2 = (rho - 4) (rho - 2) n / ((n - 4) (n - 2) rho)
    decoupled_weight_decay                      first p <- (1 - lr weight_decay) p; g is left alone

shapes     p, g, m, v alike; t, n, rho, r are scalars
state      m exp_avg    v exp_avg_sq    t step (float32)
torch      rho <= 5 as in the authors' code, where the paper has 4; eps is added to the root of the
           uncorrected v. With beta2 <= 2/3 rho never exceeds 5 and v is never used.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.adam import lerp
from scratch.optim.optimizer import Group, Optimizer, Params, State


class RAdam(Optimizer):
    """Adam, but momentum alone for the first steps and a share of Adam's step that rises to 1.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        betas: shares of the two means that are kept, each in [0, 1).
        eps: added to the root, >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        decoupled_weight_decay: shrink p by lr weight_decay p instead, as AdamW does.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Liu et al. 2020, arXiv:1908.03265; Loshchilov & Hutter 2019, arXiv:1711.05101 (decoupled
        weight decay).
    """

    _state_names: ClassVar = {"step": True, "exp_avg": True, "exp_avg_sq": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for i, beta in enumerate(check.pair(function, "betas", group["betas"])):
            check.number(function, f"betas[{i}]", beta, 0, 1, open_high=True)
        for name in ("eps", "weight_decay"):
            check.number(function, name, group[name], low=0)
        for name in ("decoupled_weight_decay", "maximize"):
            check.option(function, name, group[name], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, eps, weight_decay = (float(group[name]) for name in ("lr", "eps", "weight_decay"))
        beta1, beta2 = map(float, group["betas"])
        if not state:
            state["step"] = np.zeros((), np.float32)
            state["exp_avg"], state["exp_avg_sq"] = np.zeros_like(values), np.zeros_like(values)
        state["step"] += 1
        t = float(state["step"])
        c1, c2 = 1 - beta1**t, 1 - beta2**t
        n = 2 / (1 - beta2) - 1
        rho = n - 2 * t * beta2**t / c2

        means = state["exp_avg"], state["exp_avg_sq"]
        for p, g, m, v, a, b in self._blocks(values, gradient, *means):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay and group["decoupled_weight_decay"]:
                p *= 1 - lr * weight_decay
            elif weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            lerp(m, g, 1 - beta1, a)
            v *= beta2
            v += np.multiply(np.multiply(g, 1 - beta2, out=a), g, out=a)
            np.divide(m, c1, out=a)
            a *= lr
            if rho > 5:
                np.sqrt(v, out=b)
                b += eps
                a *= np.divide(c2**0.5, b, out=b)
                a *= ((rho - 4) * (rho - 2) * n / ((n - 4) * (n - 2) * rho)) ** 0.5
            p -= a
