"""RMS normalisation: the features of each sample divided by their root mean square.

forward    n = x / sqrt(mean x^2 + eps)     y = g n
backward   dn = dy g     dg = sum dy n     dx = (dn - n mean(dn n)) / sqrt(mean x^2 + eps)
shapes     x, y (..., *normalized_shape)   g normalized_shape    means over the last axes
torch      without eps it is the machine epsilon of x's dtype
Source     Zhang & Sennrich 2019, arXiv:1910.07467
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.layer_norm import (
    accumulate,
    as_rows,
    last_axes,
    of_shape,
    restart,
    sizes,
    with_learned,
)
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet


@op
@quiet
def rms_norm(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> tuple[Array, Backward]:
    """y = g x / sqrt(mean x^2 + eps) over the last axes.

    Args:
        input: x (..., *normalized_shape).
        normalized_shape: sizes of the axes that are normalised.
        weight: g of that shape, or None for 1.
        eps: added to the mean square; None for the machine epsilon of x's dtype.

    Returns:
        y of x's shape, and its backward: dy -> dx, dg.

    Raises:
        TypeError: if an array is not of the input's floating dtype.
        ValueError: if a shape does not match.

    Source: Zhang & Sennrich 2019.
    """
    x, shape = last_axes("rms_norm", input, normalized_shape)
    g = of_shape("rms_norm", "weight", weight, x, shape)
    eps = float(np.finfo(x.dtype).eps) if eps is None else check.number("rms_norm", "eps", eps)

    rows = as_rows(x, shape)
    d = max(rows.shape[1], 1)
    inverse = 1 / np.sqrt(np.vecdot(rows, rows)[:, None] / d + eps)
    n = rows * inverse
    y = n.reshape(x.shape) if g is None else n.reshape(x.shape) * g

    @quiet
    def backward(dy: Array) -> Any:
        dn = (dy if g is None else dy * g).reshape(n.shape)
        dx = n * (np.vecdot(dn, n)[:, None] / -d)
        dx += dn
        dx *= inverse
        return with_learned(dx.reshape(x.shape), dy.reshape(n.shape), n, g, None)

    return y, backward


class RMSNorm(Module):
    """`rms_norm`.

    Args:
        normalized_shape: sizes of the last axes, or the size of the last one.
        eps: added to the mean square; None for the machine epsilon of the input's dtype.
        elementwise_affine: learn g.
        dtype: float32 or float64.

    Shape:
        (..., *normalized_shape) to the same.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = sizes("RMSNorm", normalized_shape)
        self.eps = eps
        if eps is not None:
            check.number("RMSNorm", "eps", eps)
        self.elementwise_affine = elementwise_affine
        ones = np.ones(self.normalized_shape, dtype)
        self.weight = Parameter(ones) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """Back to the start: g = 1."""
        restart(self.weight)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = g x / sqrt(mean x^2 + eps)."""
        y, norm_back = rms_norm(input, self.normalized_shape, value(self.weight), self.eps)
        return y, lambda *dy: accumulate(norm_back(*dy), self.weight)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
