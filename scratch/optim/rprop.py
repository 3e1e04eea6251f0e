"""Resilient backpropagation.    Riedmiller & Braun 1993, IEEE ICNN; Igel & Huesken 2000 (iRprop-)

    s <- s eta_plus      where g h > 0          (first g <- -g if maximize)
    s <- s eta_minus     where g h < 0, and there g <- 0
    s <- clip(s, smallest, largest)             s = lr before the first step
    p <- p - s sign(g)
    h <- g

shapes     p, g, h, s alike
state      h prev    s step_size    step (float32)
torch      where the sign changes p rests for one step; the paper of 1993 takes the step before back
           there. The first step is lr too (h is 0), clipped; a later change of lr does nothing.
           g h is a product of floats: where it underflows to 0, s stays as it is. sign(NaN) is 0.
"""

from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Rprop(Optimizer):
    """Each entry has a step size of its own, which grows until its gradient changes sign.

    Args:
        params: parameters, pairs with names, or groups.
        lr: size of the first step, >= 0.
        etas: factors of a step size where the sign changes, in (0, 1), and where it does not, > 1.
        step_sizes: smallest and largest size of a step.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Riedmiller & Braun 1993, "A direct adaptive method for faster backpropagation learning";
        Igel & Huesken 2000, "Improving the Rprop learning algorithm".
    """

    _state_names: ClassVar = {"step": True, "prev": True, "step_size": True}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        minus, plus = check.pair(function, "etas", group["etas"])
        check.number(function, "etas[0]", minus, 0, 1, open_low=True, open_high=True)
        check.number(function, "etas[1]", plus, 1, open_low=True)
        for i, size in enumerate(check.pair(function, "step_sizes", group["step_sizes"])):
            check.number(function, f"step_sizes[{i}]", size)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        eta_minus, eta_plus = map(float, group["etas"])
        smallest, largest = map(float, group["step_sizes"])
        if not state:
            state["step"] = np.zeros((), np.float32)
            state["prev"] = np.zeros_like(values)
            state["step_size"] = np.full_like(values, float(group["lr"]))
        state["step"] += 1

        for p, g, h, s, a, b in self._blocks(values, gradient, state["prev"], state["step_size"]):
            if group["maximize"]:
                g = np.negative(g, out=b)
            with np.errstate(over="ignore", invalid="ignore"):  # the sign alone matters
                np.multiply(g, h, out=a)
            turned = a < 0
            np.multiply(s, eta_plus, out=s, where=a > 0)
            np.multiply(s, eta_minus, out=s, where=turned)
            np.clip(s, smallest, largest, out=s)
            h[...] = g
            h[turned] = 0
            np.subtract(p, s, out=p, where=h > 0)
            np.add(p, s, out=p, where=h < 0)
