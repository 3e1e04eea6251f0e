"""Instance normalisation: each channel of each sample to mean 0 and variance 1 over its pixels.

forward, backward   those of batch normalisation, of a batch of one with N C channels
running    the new value is the mean over the samples of their mu, and of their v m / (m - 1)
shapes     x, y (N, C, ...)   g, b (C,)    means and sums over all axes but N and C
torch      learns no g and b and keeps no running statistics unless told to
Source     Ulyanov et al. 2016, arXiv:1607.08022
"""

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.batch_norm import RunningNorm, check_pair, normalise, per_channel
from scratch.nn.module import value
from scratch.nn.op import Backward, op


@op
def instance_norm(
    input: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """y = g (x - mu) / sqrt(v + eps) + b, with mu and v of each sample and channel.

    Args:
        input: x (N, C, ...).
        running_mean: (C,); with `use_input_stats` it is updated in place, otherwise it is mu.
        running_var: v (C,), in the same way.
        weight: g (C,), or None for 1.
        bias: b (C,), or None for 0.
        use_input_stats: normalise with the statistics of the input, not with running ones.
        momentum: share of the new value in the running statistics.
        eps: added to the variance.

    Returns:
        y of x's shape, and its backward: dy -> dx, dg, db.

    Raises:
        TypeError: if an array is not of the input's floating dtype.
        ValueError: if a shape does not match, running statistics are missing, or each channel of a
            sample has a single value.

    Source: Ulyanov et al. 2016.
    """
    x = check.floating("instance_norm", "input", input)
    if x.ndim < 2:
        check.refuse("instance_norm", "input of shape (N, C, ...)", x.shape)
    n, c = x.shape[:2]
    given = (running_mean, running_var, weight, bias)
    names = ("running_mean", "running_var", "weight", "bias")
    arrays = [
        per_channel("instance_norm", name, array, x, c)
        for name, array in zip(names, given, strict=True)
    ]
    check_pair("instance_norm", arrays[0], arrays[1], needed=not use_input_stats)
    momentum = check.number("instance_norm", "momentum", momentum)
    eps = check.number("instance_norm", "eps", eps, 0)
    length = math.prod(x.shape[2:])
    if use_input_stats and length == 1:
        check.refuse("instance_norm", "more than one value per sample and channel", x.shape)

    mean, var, g, b = (None if array is None else np.tile(array, n) for array in arrays)
    rows = x.reshape(1, n * c, length)
    y, norm_back = normalise(rows, mean, var, g, b, use_input_stats, momentum, eps)
    if use_input_stats and n:
        for running, updated in zip(arrays[:2], (mean, var), strict=True):
            if running is not None and updated is not None:
                running[...] = updated.reshape(n, c).mean(axis=0)

    def backward(dy: Array) -> Any:
        dx, *dlearned = norm_back(dy.reshape(rows.shape))
        grads = (dx.reshape(x.shape), *(d.reshape(n, c).sum(axis=0) for d in dlearned))
        return grads if len(grads) > 1 else grads[0]

    return y.reshape(x.shape), backward


@op
def _of_one_sample(input: Array, *arguments: Any) -> tuple[Array, Backward]:
    """`instance_norm` of x (C, ...)."""
    y, norm_back = instance_norm(input[None], *arguments)

    def backward(dy: Array) -> Any:
        found = norm_back(dy[None])
        return (found[0][0], *found[1:]) if isinstance(found, tuple) else found[0]

    return y[0], backward


class InstanceNorm(RunningNorm):
    """What the instance normalisations of all dimensions share.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: share of the new value in the running statistics; None for 0.
        affine: learn g and b.
        track_running_stats: keep running statistics and use them in evaluation.
        bias: learn b, if `affine`.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = g (x - mu) / sqrt(v + eps) + b."""
        x = self._check(input)
        unbatched = x.ndim == self._ndims[0]
        channels = x.shape[0 if unbatched else 1]
        if channels != self.num_features:
            name = type(self).__name__
            if self.affine or self.track_running_stats:
                check.refuse(name, f"input with {self.num_features} channels", channels)
            warnings.warn(
                f"{name}: input has {channels} channels and not num_features, "
                f"{self.num_features}, which without affine nobody uses",
                stacklevel=3,
            )
        normalises = _of_one_sample if unbatched else instance_norm
        y, norm_back = normalises(
            x,
            self.running_mean,
            self.running_var,
            value(self.weight),
            value(self.bias),
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y, lambda *dy: self._accumulate(norm_back(*dy))


class InstanceNorm1d(InstanceNorm):
    """`instance_norm` of sequences.

    Shape:
        (N, C, L) or (C, L) to the same.
    """

    _ndims, _layout = (2, 3), "(N, C, L) or (C, L)"


class InstanceNorm2d(InstanceNorm):
    """`instance_norm` of images.

    Shape:
        (N, C, H, W) or (C, H, W) to the same.
    """

    _ndims, _layout = (3, 4), "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(InstanceNorm):
    """`instance_norm` of volumes.

    Shape:
        (N, C, D, H, W) or (C, D, H, W) to the same.
    """

    _ndims, _layout = (4, 5), "(N, C, D, H, W) or (C, D, H, W)"
