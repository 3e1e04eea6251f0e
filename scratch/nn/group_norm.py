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
from scratch.nn.layer_norm import accumulate, of_shape, restart
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

    d = max(channels // groups * length, 1)
    rows = x.reshape(batch * groups, channels // groups * length)
    ones = np.ones((rows.shape[1], 1), x.dtype)
    first = rows @ ones / d
    centred = np.subtract(rows, first, order="C")
    rest = centred @ ones / d  # what float32 leaves of x - mu where mu is large
    var = np.maximum(np.vecdot(centred, centred)[:, None] / d - rest**2, 0)
    inverse = 1 / np.sqrt(var + eps)

    def per_channel(of_group: Array) -> Array:
        """(N G, 1) as (N, C)."""
        return np.repeat(of_group.reshape(batch, groups), channels // groups, axis=1)

    def per_group(of_channel: Array) -> Array:
        """The sums over the channels of each group, (N, C) as (N G, 1)."""
        parts = of_channel.reshape(batch * groups, channels // groups)
        sums: Array = parts.sum(axis=1, keepdims=True)
        return sums

    scale = per_channel(inverse) if g is None else per_channel(inverse) * g
    shift = -per_channel(rest) * scale
    y = centred.reshape(batch, channels, length)
    y *= scale[:, :, None]
    y += (shift if b is None else shift + b)[:, :, None]

    @quiet
    def backward(dy: Array) -> Any:
        drows = dy.reshape(y.shape)
        centred = rows - first
        total = (drows.reshape(-1, length) @ ones[:length]).reshape(batch, channels)
        dots = np.einsum("ncl,ncl->nc", drows, centred.reshape(y.shape))
        dots = (dots - per_channel(rest) * total) * per_channel(inverse)  # sum dy n
        mean_dn = per_group(total if g is None else total * g) / d
        slope = inverse**2 * (per_group(dots if g is None else dots * g) / d)

        dx: Array = drows * scale[:, :, None]
        dx = dx.reshape(rows.shape)
        centred *= slope
        dx -= centred
        dx -= inverse * mean_dn - rest * slope
        grads = [dx.reshape(x.shape)]
        if g is not None:
            grads.append(dots.sum(axis=0))
        if b is not None:
            grads.append(total.sum(axis=0))
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
        return y, lambda *dy: accumulate(norm_back(*dy), self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
