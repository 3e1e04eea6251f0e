"""LARS.                                                   You et al. 2017, arXiv:1708.03888, alg. 1

r = trust_coefficient |p| / (|g| + weight_decay |p|)      r = 1 if |p| = 0 or |g| = 0
v <- momentum v + lr r (g + weight_decay p)               (first g <- -g if maximize)
p <- p - v
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step is in proportion to the norm of the parameter.

    Args:
        params: parameters or groups.
        lr: learning rate of all layers.
        momentum: share of v that is kept.
        weight_decay: adds weight_decay p to the gradient.
        trust_coefficient: size of a step over the size of the parameter where lr is 1.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0,
        trust_coefficient: float = 1e-3,
        *,
        maximize: bool = False,
    ) -> None:
        if min(lr, momentum, weight_decay) < 0 or trust_coefficient <= 0:
            raise ValueError(
                "LARS: expected trust_coefficient above zero and lr, momentum and weight_decay not "
                "below it"
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
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
        weight_decay, trust = group["weight_decay"], group["trust_coefficient"]
        size, slope = norm(p), norm(g)
        ratio = trust * size / (slope + weight_decay * size) if size > 0 and slope > 0 else 1.0
        v = g.add(p, alpha=weight_decay).mul_(group["lr"] * ratio)
        if group["momentum"]:
            state = self.state[p]
            if not state:
                state["velocity"] = torch.zeros_like(p)
            v = state["velocity"].mul_(group["momentum"]).add_(v)
        p.sub_(v)


def norm(x: torch.Tensor) -> float:
    """|x|, summed in float64: in float32 the squares overflow from 2e19 on."""
    return float(torch.linalg.vector_norm(x, dtype=torch.float64))
