"""Adafactor.                          Shazeer & Stern 2018, arXiv:1804.04235, algorithms 4 and 5

    b = t^beta2_decay                           1 at the first step: the share of the new g^2
    matrices   r <- (1 - b) r + b mean_j g_ij^2         c <- (1 - b) c + b mean_i g_ij^2
               v = r c^T / max(mean r, eps1)
    others     v <- (1 - b) v + b g^2
    u = g / max(sqrt(v), eps1)                  (first g <- -g if maximize)
    a = min(lr, 1 / sqrt(t)) max(eps2, rms p)   before the decay of p
    p <- (1 - lr weight_decay) p                p <- p - a u / max(1, rms(u) / d)

shapes     p, g, u alike   p (..., n, m): r (..., n, 1), c (..., 1, m)   t is a scalar
state      r row_var    c col_var    v variance    t step (float32): n + m numbers for n m
torch      has lr where the paper has 0.01, and means for its sums. The paper adds eps1 = 1e-30 to
           g^2 and divides by sqrt(v); torch bounds v and its root by eps1, which is the dtype's eps
           where it is None (torch takes that of a group's first parameter for all of the group;
           here each has its own). torch fails on a parameter of no elements; here it stays.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.optim.adam import lerp
from scratch.optim.lars import norm
from scratch.optim.optimizer import Group, Optimizer, Params, State


class Adafactor(Optimizer):
    """Adam's scaling from the means of g^2 over rows and columns alone, in steps relative to p.

    Args:
        params: parameters, pairs with names, or groups.
        lr: largest size of a step over that of the parameter, >= 0.
        beta2_decay: power of t in the share of the new squares, <= 0.
        eps: eps1, below which neither v's divisor nor its root goes, >= 0 or None for the dtype's
            eps, and eps2, the least size that p counts with, >= 0.
        d: root mean square of u above which it is scaled down, >= 1.
        weight_decay: each step first takes the share lr weight_decay off p, >= 0.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Optimizer`, and for options outside these ranges.

    Source:
        Shazeer & Stern 2018, arXiv:1804.04235.
    """

    _state_names: ClassVar = {"step": True, "row_var": False, "col_var": False, "variance": False}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, function: str, group: Group) -> None:
        check.number(function, "beta2_decay", group["beta2_decay"], high=0)
        eps1, eps2 = check.pair(function, "eps", group["eps"])
        if eps1 is not None:
            check.number(function, "eps[0]", eps1, low=0)
        check.number(function, "eps[1]", eps2, low=0)
        check.number(function, "d", group["d"], low=1)
        check.number(function, "weight_decay", group["weight_decay"], low=0)
        check.option(function, "maximize", group["maximize"], (False, True))

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if name == "row_var":
            return (*shape[:-1], 1)
        if name == "col_var":
            return (*shape[:-2], 1, *shape[-1:])
        return super()._state_shape(name, shape)

    def _loaded_state(self, function: str, parameter: Parameter, saved: Mapping[str, Any]) -> State:
        state = super()._loaded_state(function, parameter, saved)
        factors = {"row_var", "col_var"} if len(parameter.shape) > 1 else {"variance"}
        if state and state.keys() != {"step", *factors}:
            expected = f"state named step, {', '.join(sorted(factors))}"
            check.refuse(function, expected, ", ".join(state))
        return state

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        lr, beta2_decay, d = (float(group[name]) for name in ("lr", "beta2_decay", "d"))
        eps1, eps2 = group["eps"]
        eps1 = float(np.finfo(values.dtype).eps if eps1 is None else eps1)
        matrix = values.ndim > 1
        if not state:
            state["step"] = np.zeros((), np.float32)
            for name in ("row_var", "col_var") if matrix else ("variance",):
                state[name] = np.zeros(self._state_shape(name, values.shape), values.dtype)
        state["step"] += 1
        if not values.size:
            return
        t, root = float(state["step"]), math.sqrt(values.size)
        share = t**beta2_decay
        size = min(lr, 1 / math.sqrt(t)) * max(eps2, norm(values) / root)
        if group["weight_decay"]:
            values *= 1 - lr * float(group["weight_decay"])

        if matrix:
            r, c = state["row_var"], state["col_var"]
            for mean, axis in ((r, -1), (c, -2)):
                squares = np.linalg.norm(gradient, axis=axis, keepdims=True) ** 2
                squares /= gradient.shape[axis]
                lerp(mean, squares, share, np.empty_like(mean))
            v = r * c
            v /= np.maximum(r.mean(axis=-2, keepdims=True), eps1)
        else:
            v = np.multiply(gradient, gradient, out=np.empty_like(values))
            lerp(state["variance"], v, share, np.empty_like(v))
            v[...] = state["variance"]
        np.sqrt(np.maximum(v, eps1 * eps1, out=v), out=v)
        u = np.divide(gradient, v, out=v)
        scale = size / max(1.0, norm(u) / (root * d))
        u *= -scale if group["maximize"] else scale
        values -= u
