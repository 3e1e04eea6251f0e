"""SGD whose velocity may hold steps instead of gradients.     Sutskever et al. 2013, ICML, eqs. 1-4

    g <- g + weight_decay p                     (first g <- -g if maximize)
    torch.optim.SGD      v <- momentum v + (1 - dampening) g         p <- p - lr v
    lr_in_velocity       v <- momentum v - (1 - dampening) lr g      p <- p + v

At the first step v is the gradient (or -lr times it), undamped. While lr is constant the two are
equal; after a change of lr the second still moves by what it gathered at the old one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT


class SGD(torch.optim.Optimizer):
    """torch.optim.SGD with one more argument.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: share of v that is kept.
        dampening: share of the gradient that does not enter v.
        weight_decay: adds weight_decay p to the gradient.
        nesterov: look ahead along v.
        maximize: climb instead.
        lr_in_velocity: the second form above; the state "velocity" is -v.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        lr_in_velocity: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "lr_in_velocity": lr_in_velocity,
        }
        if min(lr, momentum, weight_decay) < 0:
            raise ValueError("SGD: expected lr, momentum and weight_decay not below zero")
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError("SGD: expected nesterov with momentum and without dampening")
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
                    self._update(p, p.grad, group)
        return loss

    def _update(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        lr, momentum, lr_in_velocity = group["lr"], group["momentum"], group["lr_in_velocity"]
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g.add(p, alpha=group["weight_decay"])
        if lr_in_velocity:
            g = g.mul(lr)
        if momentum:
            name = "velocity" if lr_in_velocity else "momentum_buffer"
            if name in self.state[p]:
                self.state[p][name].mul_(momentum).add_(g, alpha=1 - group["dampening"])
            else:
                self.state[p][name] = g.clone()
            v = self.state[p][name]
            g = g.add(v, alpha=momentum) if group["nesterov"] else v
        p.add_(g, alpha=-1 if lr_in_velocity else -lr)
