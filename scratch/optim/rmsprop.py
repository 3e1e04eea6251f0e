"""RMSprop.                Hinton 2012, Coursera lecture 6e; centered: Graves 2013, arXiv:1308.0850

    g <- g + weight_decay p                     (first g <- -g if maximize)
    v <- alpha v + (1 - alpha) g^2
    centered            m <- alpha m + (1 - alpha) g, and v - m^2 in the place of v below
    p <- p - lr g / (sqrt(v) + eps)
    with momentum       b <- momentum b + g / (sqrt(v) + eps)    p <- p - lr b

shapes     p, g, v, m, b alike
state      v square_avg    b momentum_buffer    m grad_avg    step (float32)
torch      eps is added to the root; TensorFlow and Graves, eq. 40, have it under the root. alpha is
           0.99, in the lecture 0.9. v starts at 0 and is not corrected, so that the first step is
           lr / sqrt(1 - alpha). lr stands outside b: a new lr acts at once on all that b holds.
           v - m^2 cancels while g is constant, and may round to below 0: then p is NaN, there too.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.adam import lerp
from scratch.optim.optimizer import Group, Optimizer, Params, State


class RMSprop(Optimizer):
    """Steps along the gradient over the root of the mean of its square.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        alpha: share of the means that is kept, >= 0.
        eps: added to the root, >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        momentum: share of the steps' decaying sum that is kept, >= 0; 0 keeps none.
        centered: divide by the root of the variance instead of the mean square.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Hinton, Srivastava & Swersky 2012, "Neural networks for machine learning", lecture 6e;
        Graves 2013, arXiv:1308.0850, eqs. 38-41 (centered, with momentum).
    """

    _state_names: ClassVar = {
        "step": True,
        "square_avg": True,
        "momentum_buffer": False,
        "grad_avg": False,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for name in ("alpha", "eps", "weight_decay", "momentum"):
            check.number(function, name, group[name], low=0)
        for name in ("centered", "maximize"):
            check.option(function, name, group[name], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "alpha", "eps", "weight_decay", "momentum")
        lr, alpha, eps, weight_decay, momentum = (float(group[name]) for name in options)
        if not state:
            state["step"] = np.zeros((), np.float32)
        state["step"] += 1
        used = {"square_avg": True, "momentum_buffer": momentum, "grad_avg": group["centered"]}
        names = [name for name, needed in used.items() if needed]
        for name in names:
            if name not in state:
                state[name] = np.zeros_like(values)

        arrays = [state[name] for name in names]
        for p, g, v, *extra, a, b in self._blocks(values, gradient, *arrays):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            v *= alpha
            v += np.multiply(np.multiply(g, 1 - alpha, out=a), g, out=a)
            if group["centered"]:
                m = extra[-1]
                lerp(m, g, 1 - alpha, a)
                v = np.subtract(v, np.multiply(m, m, out=a), out=a)
            np.sqrt(v, out=a)
            a += eps
            if momentum:
                buffer = extra[0]
                buffer *= momentum
                buffer += np.divide(g, a, out=a)
                p -= np.multiply(buffer, lr, out=a)
            else:
                p -= np.divide(np.multiply(g, lr, out=b), a, out=b)
