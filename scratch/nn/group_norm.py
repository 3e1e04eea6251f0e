"""Group normalisation: each group of channels of each sample to mean 0 and variance 1.

forward    mu = mean x     v = mean (x - mu)^2     n = (x - mu) / sqrt(v + eps)     y = g n + b
backward   dn = dy g       db = sum dy             dg = sum dy n
           dx = (dn - mean dn - n mean(dn n)) / sqrt(v + eps)
shapes     x, y (N, C, ...)   g, b (C,)    means over the C / num_groups channels of a group and
           their pixels, sums over all axes but C
torch      v is the biased one; one sample whose groups have a single value is refused, though
           several such samples are not
Source     Wu & He 2018, arXiv:1803.08494
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.layer_norm import accumulate, of_shape, restart, standardize
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet


@op
@quiet
def group_norm(
    input: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """y = g (x - mu) / sqrt(v + eps) + b, with mu and v of each sample and group of channels.

    Args:
        input: x (N, C, ...).
        num_groups: how many groups of C / num_groups channels.
        weight: g (C,), or None for 1.
        bias: b (C,), or None for 0.
        eps: added to the variance.

    Returns:
        y of x's shape, and its backward: dy -> dx, dg, db.

    Raises:
        TypeError: if an array is not of the input's floating dtype.
        ValueError: if a shape does not match, the groups do not divide the channels, or there is
            nothing to take a variance of.

    Source: Wu & He 2018.
    """
    x = check.floating("group_norm", "input", input)
    if x.ndim < 2:
        check.refuse("group_norm", "input of shape (N, C, ...)", x.shape)
    batch, channels = x.shape[:2]
    groups = check.size("group_norm", "num_groups", num_groups, 1)
    if channels % groups:
        check.refuse("group_norm", f"channels that {groups} groups divide", channels)
    g = of_shape("group_norm", "weight", weight, x, (channels,))
    b = of_shape("group_norm", "bias", bias, x, (channels,))
    eps = check.number("group_norm", "eps", eps)
    length = math.prod(x.shape[2:])
    if batch * channels // groups * length == 1:
        check.refuse("group_norm", "more than one value per group", x.shape)

    size = channels // groups * length
    normal, standardize_back = standardize(x.reshape(batch * groups, size), eps)
    n = normal.reshape(batch, channels, length)
    y = n if g is None else n * g[:, None]
    if b is not None:
        y = y + b[:, None] if g is None else np.add(y, b[:, None], out=y)

    @quiet
    def backward(dy: Array) -> Any:
        rows = dy.reshape(n.shape)
        dn = rows if g is None else rows * g[:, None]
        grads = [standardize_back(dn.reshape(normal.shape)).reshape(x.shape)]
        if g is not None:
            grads.append(np.einsum("ncl,ncl->c", rows, n))
        if b is not None:
            grads.append(rows.sum(axis=(0, 2)))
        return tuple(grads) if len(grads) > 1 else grads[0]

    return y.reshape(x.shape), backward


class GroupNorm(Module):
    """`group_norm`.

    Args:
        num_groups: how many groups; it divides the number of channels.
        num_channels: C.
        eps: added to the variance.
        affine: learn g and b.
        bias: learn b, if `affine`.
        dtype: float32 or float64.

    Shape:
        (N, C, ...) to the same.
    """

    # b is not in its own derivative nor in any other.
    _unread = frozenset({"bias"})

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.num_groups = check.size("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = check.size("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            check.refuse("GroupNorm", f"num_channels that {num_groups} divides", num_channels)
        self.eps, self.affine = eps, affine
        check.number("GroupNorm", "eps", eps)
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine and bias else None

    def reset_parameters(self) -> None:
        """Back to the start: g = 1, b = 0."""
        restart(self.weight, self.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = g (x - mu) / sqrt(v + eps) + b."""
        y, norm_back = group_norm(
            input, self.num_groups, value(self.weight), value(self.bias), self.eps
        )
        return y, lambda dy: accumulate(norm_back(dy), self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
