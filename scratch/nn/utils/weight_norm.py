"""Weight normalisation: length and direction of each row of a weight are learned apart.

forward    w = g v / n     n = |v|, the norm over all axes but dim
backward   s = sum dw v / n     dg = s     dv = g (dw - v s / n) / n
shapes     w, v any   g, n, s (1, ..., size of dim, ..., 1); one number where dim is None
torch      `torch.nn.utils.weight_norm` keeps g and v as weight_g and weight_v of the layer,
           `parametrizations.weight_norm` as parametrizations.weight.original0 and original1; both
           start from g = n, so that w is as it was
Source     Salimans & Kingma 2016, arXiv:1602.07868, eq. 2 and 3
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet
from scratch.nn.utils.computed import Computed, compute, parameter_of, stop

M = TypeVar("M", bound=Module)


def norm_except(v: Array, dim: int) -> Array:
    """The norm over all axes but `dim`; over all where it is -1."""
    squares = np.square(v).sum(axis=_others(v, dim), keepdims=dim != -1)
    return np.asarray(np.sqrt(squares))


def _others(v: Array, dim: int) -> tuple[int, ...]:
    return tuple(axis for axis in range(v.ndim) if axis != dim)


@op
@quiet
def scaled_direction(g: Array, v: Array, dim: int) -> tuple[Array, Backward]:
    """w = g v / |v|."""
    n = norm_except(v, dim)
    w = v * (g / n)

    @quiet
    def backward(dw: Array) -> tuple[Array, Array]:
        s = (dw * v).sum(axis=_others(v, dim), keepdims=dim != -1) / n
        return np.asarray(s), (dw - v * (s / n)) * (g / n)

    return w, backward


def check_dim(function: str, dim: int | None, w: Array) -> int:
    """`dim`, or -1 for None, if the weight has it."""
    if dim is None or dim == -1:
        return -1
    return check.axis(function, "dim", dim, w.ndim)


class WeightNorm:
    """The rule that computes a layer's weight from its weight_g and weight_v."""

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, dim

    def __call__(self, module: Any) -> tuple[Array, Callable[[Array], None]]:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        w, scaled_back = scaled_direction(g.data, v.data, self.dim)

        def backward(dw: Array) -> None:
            dg, dv = scaled_back(dw)
            g.accumulate(dg)
            v.accumulate(dv)

        return w, backward


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn a layer's weight as lengths `name`_g and directions `name`_v.

    Args:
        module: any layer; it is changed in place.
        name: of the parameter.
        dim: axis along which each entry has a length of its own; None for one length.

    Returns:
        The module.

    Raises:
        ValueError: if it has no such parameter or the parameter no such axis.

    Source: Salimans & Kingma 2016.
    """
    w = parameter_of("weight_norm", module, name)
    axis = check_dim("weight_norm", dim, w.data)
    delattr(module, name)
    setattr(module, name + "_g", Parameter(norm_except(w.data, axis)))
    setattr(module, name + "_v", w)
    compute(module, name, WeightNorm(name, axis))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """The weight as it is now becomes a parameter again.

    Args:
        module: that `weight_norm` changed.
        name: of the parameter.

    Returns:
        The module.

    Raises:
        ValueError: if it is not weight-normalised.
    """
    rule = module._rules.get(name) if isinstance(module, Computed) else None
    if not isinstance(rule, WeightNorm):
        expected = f"a module whose {name!r} is weight-normalised"
        check.refuse("remove_weight_norm", expected, type(module).__name__)
    w, _ = rule(module)
    delattr(module, name + "_g")
    delattr(module, name + "_v")
    stop(module, name, Parameter(w))
    return module
