"""Lion: steps of one size, by sign.                      Chen et al. 2023, arXiv:2302.06675, alg. 2

    c = beta1 m + (1 - beta1) g                 (first g <- -g if maximize)
    p <- p - lr (sign(c) + weight_decay p)      sign(0) = 0, and of NaN too, as torch.sign has it
    m <- beta2 m + (1 - beta2) g

shapes     p, g, m, c alike
state      m exp_avg, from zero and without correction
torch      has none; its twin is torch_ref.optim.Lion. The direction looks past m by a share of g
           other than the one that m then keeps, and the decay is beside it, as in AdamW.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Lion(Optimizer):
    """Steps of size lr by the sign of a mean of the gradient.

    Args:
        params: parameters, pairs with names, or groups.
        lr: the size of a step, >= 0; 3 to 10 times less than Adam's.
        betas: shares of the mean in the direction and in the next mean, each in [0, 1).
        weight_decay: each step also takes the share lr weight_decay off p, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Chen et al. 2023, arXiv:2302.06675.
    """

    _state_names: ClassVar = {"exp_avg": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        for i, beta in enumerate(check.pair(function, "betas", group["betas"])):
            check.number(function, f"betas[{i}]", beta, 0, 1, open_high=True)
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, weight_decay = float(group["lr"]), float(group["weight_decay"])
        beta1, beta2 = map(float, group["betas"])
        if not state:
            state["exp_avg"] = np.zeros_like(values)
        sign = -1.0 if group["maximize"] else 1.0

        for p, g, m, a, b in self._blocks(values, gradient, state["exp_avg"]):
            if weight_decay:
                p *= 1 - lr * weight_decay
            np.multiply(m, beta1, out=a)
            a += np.multiply(g, sign * (1 - beta1), out=b)
            np.sign(a, out=a)
            np.copyto(a, 0, where=np.isnan(a))
            p -= np.multiply(a, lr, out=a)
            m *= beta2
            m += np.multiply(g, sign * (1 - beta2), out=b)
