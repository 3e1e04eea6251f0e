"""What all losses share: the reduction, and labels that may be integers.

none   L = l             dl = dL
sum    L = sum l         dl = dL
mean   L = sum l / n     dl = dL / n       n = number of entries, unless the loss says otherwise
torch  the older arguments size_average and reduce override reduction where one is given; torch
       warns, here they are silent.  The mean of nothing is NaN, its sum 0.
"""

from collections.abc import Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward

REDUCTIONS = ("none", "mean", "sum")

quiet = np.errstate(all="ignore")  # a decorator: infinity and NaN arise silently, as in torch


def resolve(
    function: str,
    reduction: object,
    size_average: object = None,
    reduce: object = None,
    choices: Sequence[str] = REDUCTIONS,
) -> str:
    """The reduction that the arguments ask for: the older two, where given, decide.

    Args:
        function: name for the message.
        reduction: one of `choices`.
        size_average: None or whether to average rather than sum.
        reduce: None or whether to reduce at all.
        choices: what `reduction` may be.

    Returns:
        One of `choices`.

    Raises:
        ValueError: if an argument is none of its options.
    """
    check.option(function, "reduction", reduction, choices)
    check.option(function, "size_average", size_average, (None, True, False))
    check.option(function, "reduce", reduce, (None, True, False))
    if size_average is None and reduce is None:
        return str(reduction)
    if reduce is not None and not reduce:
        return "none"
    return "mean" if size_average is None or size_average else "sum"


def reduced(loss: Array, reduction: str, n: float | None = None) -> tuple[Array, Backward]:
    """The reduced loss, and the map from its gradient to that of each entry.

    Args:
        loss: l, any shape.
        reduction: 'none', 'mean' or 'sum'.
        n: what 'mean' divides by; None stands for the number of entries.

    Returns:
        L, and dL -> dl, of l's shape.
    """
    if reduction == "none":
        return loss, lambda dy: dy
    total = loss.sum(dtype=np.float64)  # in float32 terms that cancel would leave their roundings
    count = 1.0 if reduction == "sum" else loss.size if n is None else n
    y = (total / count).astype(loss.dtype)
    shape = loss.shape

    def backward(dy: Array) -> Array:
        return np.broadcast_to(dy / count, shape)

    return y, backward


def labels(function: str, name: str, value: object, like: Array) -> tuple[Array, bool]:
    """`value` in the dtype of `like`, and whether it was floating; integers and bools will do."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "iub":
        return np.asarray(value, like.dtype), False
    if not isinstance(value, np.ndarray | np.generic) or value.dtype != like.dtype:
        expected = f"{name} to be an integer, bool or {like.dtype} array"
        check.refuse(function, expected, check.describe(value), TypeError)
    return np.asarray(value), True


class Loss(Module):
    """Base of the losses: holds the reduction, which is checked at construction.

    Args:
        size_average: None, or whether to average rather than sum; overrides `reduction`.
        reduce: None, or whether to reduce at all; overrides `reduction`.
        reduction: 'none', 'mean' or 'sum'.
    """

    _reductions: Sequence[str] = REDUCTIONS

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        name = type(self).__name__
        self.reduction = resolve(name, reduction, size_average, reduce, self._reductions)

    def hold(self, name: str, weight: Array | None) -> None:
        """Register an optional floating buffer."""
        if weight is not None:
            weight = check.floating(type(self).__name__, name, weight)
        self.register_buffer(name, weight)
