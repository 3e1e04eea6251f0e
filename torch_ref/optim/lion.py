"""Lion.                                                  Chen et al. 2023, arXiv:2302.06675, alg. 2

c = beta1 m + (1 - beta1) g                 (first g <- -g if maximize)
p <- p - lr (sign(c) + weight_decay p)
m <- beta2 m + (1 - beta2) g
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT


class Lion(torch.optim.Optimizer):
    """Steps of size lr by the sign of a mean of the gradient.

    Args:
        params: parameters or groups.
        lr: the size of a step.
        betas: shares of the mean in the direction and in the next mean.
        weight_decay: each step also takes the share lr weight_decay off p.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        if min(lr, weight_decay) < 0:
            raise ValueError("Lion: expected lr and weight_decay not below zero")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("Lion: expected betas in [0, 1)")
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure`, if given, computes the loss and the gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, -p.grad if group["maximize"] else p.grad, group)
        return loss

    def _update(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        state = self.state[p]
        if not state:
            state["exp_avg"] = torch.zeros_like(p)
        m = state["exp_avg"]
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(m.mul(beta1).add_(g, alpha=1 - beta1).sign_(), alpha=-lr)
        m.mul_(beta2).add_(g, alpha=1 - beta2)
