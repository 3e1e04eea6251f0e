"""LARS: a learning rate for each layer.                   You et al. 2017, arXiv:1708.03888, alg. 1

    r = trust_coefficient |p| / (|g| + weight_decay |p|)      r = 1 if |p| = 0 or |g| = 0
    v <- momentum v + lr r (g + weight_decay p)               (first g <- -g if maximize)
    p <- p - v

shapes     p, g, v alike; |.| over a whole parameter: each is what the paper calls a layer
state      v velocity, only with momentum
torch      has none; its twin is torch_ref.optim.LARS. As in the paper lr stands inside v, so steps
           taken at an old lr go on. Others (torchlars, timm) put it outside, divide by the norm of
           the sum g + weight_decay p (optax), or add an eps to the divisor.
"""

import math
from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import BLOCK, Group, Optimizer, Params, State


class LARS(Optimizer):
    """SGD with momentum whose step is in proportion to the norm of the parameter.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate of all layers, >= 0.
        momentum: share of v that is kept, >= 0.
        weight_decay: adds weight_decay p to the gradient, >= 0.
        trust_coefficient: size of a step over the size of the parameter where lr is 1, > 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        You, Gitman & Ginsburg 2017, arXiv:1708.03888.
    """

    _state_names: ClassVar = {"velocity": False}

    def __init__(
        self,
        params: Params,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0,
        trust_coefficient: float = 1e-3,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        check.number(function, "momentum", group["momentum"], low=0)
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        trust = group["trust_coefficient"]
        check.number(function, "trust_coefficient", trust, low=0, open_low=True)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        options = ("lr", "momentum", "weight_decay", "trust_coefficient")
        lr, momentum, weight_decay, trust = (float(group[name]) for name in options)
        size, slope = norm(values), norm(gradient)
        ratio = trust * size / (slope + weight_decay * size) if size > 0 and slope > 0 else 1.0
        if momentum and not state:
            state["velocity"] = np.zeros_like(values)

        for p, g, *vs, a, b in self._blocks(values, gradient, *state.values()):
            if group["maximize"]:
                g = np.negative(g, out=b)
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=a), out=b)
            g = np.multiply(g, lr * ratio, out=b)
            for v in vs:  # one with momentum, none without
                v *= momentum
                v += g
                g = v
            p -= g


def norm(x: Array) -> float:
    """|x|, summed in float64, where the squares of float32 neither overflow nor vanish."""
    blocks = np.nditer(
        x,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[np.dtype(np.float64)],
        buffersize=BLOCK,
    )
    with blocks:
        return math.sqrt(sum(float(np.dot(block, block)) for block in blocks))
