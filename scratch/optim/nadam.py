"""NAdam: Adam with Nesterov's look ahead.           Dozat 2016, ICLR workshop, algorithm 2

    g <- g + weight_decay p                     (first g <- -g if maximize)
    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)                  M_t = mu_1 mu_2 ... mu_t
    m <- beta1 m + (1 - beta1) g                v <- beta2 v + (1 - beta2) g^2
    n = (1 - mu_t) / (1 - M_t) g + mu_{t+1} / (1 - M_{t+1}) m
    p <- p - lr n / (sqrt(v / (1 - beta2^t)) + eps)
    decoupled_weight_decay                      first p <- (1 - lr weight_decay) p; g is left alone

shapes     p, g, m, v, n alike; t, mu, M are scalars
state      m exp_avg    v exp_avg_sq    t step    M mu_product (float32, both)
torch      m keeps the share beta1, in the paper mu_t. M is rounded to float32 at every step, and
           after a state dict was loaded to the parameter's dtype.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.adam import lerp
from scratch.optim.optimizer import Group, Optimizer, Params, State


class NAdam(Optimizer):
    """Adam whose mean counts the newest gradient once more, by a momentum that rises slowly.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        betas: shares of the two means that are kept, each in [0, 1).
        eps: added to the root, >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        momentum_decay: how fast the momentum rises from beta1 / 2 to beta1, >= 0.
        decoupled_weight_decay: shrink p by lr weight_decay p instead, as AdamW does.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Dozat 2016, "Incorporating Nesterov momentum into Adam"; Loshchilov & Hutter 2019,
        arXiv:1711.05101 (decoupled weight decay).
    """

    _state_names: ClassVar = {
        "step": True,
        "mu_product": True,
        "exp_avg": True,
        "exp_avg_sq": True,
    }
    _scalar_names: ClassVar = ("step", "mu_product")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for i, beta in enumerate(check.pair(function, "betas", group["betas"])):
            check.number(function, f"betas[{i}]", beta, 0, 1, open_high=True)
        for name in ("eps", "weight_decay", "momentum_decay"):
            check.number(function, name, group[name], low=0)
        for name in ("decoupled_weight_decay", "maximize"):
            check.option(function, name, group[name], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "eps", "weight_decay", "momentum_decay")
        lr, eps, weight_decay, momentum_decay = (float(group[name]) for name in options)
        beta1, beta2 = map(float, group["betas"])
        if not state:
            state["step"], state["mu_product"] = np.zeros((), np.float32), np.ones((), np.float32)
            state["exp_avg"], state["exp_avg_sq"] = np.zeros_like(values), np.zeros_like(values)
        state["step"] += 1
        t = float(state["step"])
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (s * momentum_decay)) for s in (t, t + 1))
        state["mu_product"] *= mu
        product = float(state["mu_product"])
        g_size, m_size = lr * (1 - mu) / (1 - product), lr * next_mu / (1 - product * next_mu)

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
            np.sqrt(np.divide(v, 1 - beta2**t, out=a), out=a)
            a += eps
            p -= np.divide(np.multiply(g, g_size, out=b), a, out=b)
            p -= np.divide(np.multiply(m, m_size, out=b), a, out=b)
