"""LAMB.                                                   You et al. 2020, arXiv:1904.00962, alg. 2

m <- beta1 m + (1 - beta1) g                v <- beta2 v + (1 - beta2) g^2
u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay p
r = |p| / |u|                               r = 1 if |p| = 0 or |u| = 0
p <- p - lr r u                             (first g <- -g if maximize)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from torch_ref.optim.lars import norm


class LAMB(torch.optim.Optimizer):
    """Adam's direction, decay included, at a length in proportion to that of the parameter.

    Args:
        params: parameters or groups.
        lr: size of a step over the size of the parameter.
        betas: shares of the two means that are kept.
        eps: added to the root.
        weight_decay: adds weight_decay p to the direction.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        if min(lr, eps, weight_decay) < 0:
            raise ValueError("LAMB: expected lr, eps and weight_decay not below zero")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("LAMB: expected betas in [0, 1)")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
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
        beta1, beta2 = group["betas"]
        state = self.state[p]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        state["step"] += 1
        t = state["step"].item()
        m = state["exp_avg"].lerp_(g, 1 - beta1)
        v = state["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        u = (m / (1 - beta1**t)).div_((v / (1 - beta2**t)).sqrt_().add_(group["eps"]))
        u.add_(p, alpha=group["weight_decay"])
        size, length = norm(p), norm(u)
        ratio = size / length if size > 0 and length > 0 else 1.0
        p.add_(u, alpha=-group["lr"] * ratio)
