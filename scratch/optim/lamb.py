"""LAMB: Adam with a trust ratio for each layer.           You et al. 2020, arXiv:1904.00962, alg. 2

    m <- beta1 m + (1 - beta1) g                v <- beta2 v + (1 - beta2) g^2
    u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay p
    r = |p| / |u|                               r = 1 if |p| = 0 or |u| = 0
    p <- p - lr r u                             (first g <- -g if maximize)

shapes     p, g, m, v, u alike; |.| over a whole parameter: each is what the paper calls a layer
state      m exp_avg    v exp_avg_sq    t step (float32)
torch      has none; its twin is torch_ref.optim.LAMB. The paper allows a function phi(|p|) in r:
           here it is |p| itself, as in optax. Others bound |p| by 10, leave the corrections of m
           and v out, or first scale all gradients to a common norm.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.adam import lerp
from scratch.optim.lars import norm
from scratch.optim.optimizer import Group, Optimizer, Params, State


class LAMB(Optimizer):
    """Adam's direction, decay included, at a length in proportion to that of the parameter.

    Args:
        params: parameters, pairs with names, or groups.
        lr: size of a step over the size of the parameter, >= 0.
        betas: shares of the two means that are kept, each in [0, 1).
        eps: added to the root, >= 0.
        weight_decay: adds weight_decay p to the direction, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        You et al. 2020, arXiv:1904.00962.
    """

    _state_names: ClassVar = {"step": True, "exp_avg": True, "exp_avg_sq": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
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
            state["exp_avg"], state["exp_avg_sq"] = np.zeros_like(values), np.zeros_like(values)
        state["step"] += 1
        t = float(state["step"])
        direction = np.empty_like(values)

        means = state["exp_avg"], state["exp_avg_sq"]
        for p, g, m, v, u, a, b in self._blocks(values, gradient, *means, direction):
            if group["maximize"]:
                g = np.negative(g, out=b)
            lerp(m, g, 1 - beta1, a)
            v *= beta2
            v += np.multiply(np.multiply(g, 1 - beta2, out=a), g, out=a)
            np.sqrt(np.divide(v, 1 - beta2**t, out=a), out=a)
            a += eps
            np.divide(np.divide(m, 1 - beta1**t, out=b), a, out=u)
            if weight_decay:
                u += np.multiply(p, weight_decay, out=a)
        size, length = norm(values), norm(direction)
        ratio = size / length if size > 0 and length > 0 else 1.0
        direction *= lr * ratio
        values -= direction
