"""Batch normalisation: each channel to mean 0 and variance 1 over the batch.

forward    mu = mean x     v = mean (x - mu)^2     n = (x - mu) / sqrt(v + eps)     y = g n + b
backward   db = sum dy     dg = sum dy n
           dx = g (dy - mean dy - n mean(dy n)) / sqrt(v + eps)     of the batch's own statistics
           dx = g dy / sqrt(v + eps)                                of running ones
running    r <- (1 - momentum) r + momentum s     s = mu and v m / (m - 1), of m values a channel
shapes     x, y (N, C, ...)   g, b, mu, v (C,)    means and sums over all axes but C
torch      y has the biased v, running_var the unbiased one; momentum is the share of the new value
           and None the mean of all batches so far. A batch with one value a channel is refused;
           an empty one leaves the running statistics as they are. torch's backward of an
           evaluation reads the running statistics of its own time, here it is the forward's.
Keras      momentum is the share that is kept (`momentum_keeps`), and running_var gathers the biased
           v (`biased_running_var`); so do tutorials. y in training is the same, in evaluation not
Source     Ioffe & Szegedy 2015, arXiv:1502.03167
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward, op


@op
def batch_norm(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    biased_running_var: bool = False,
) -> tuple[Array, Backward]:
    """y = g (x - mu) / sqrt(v + eps) + b.

    Args:
        input: x (N, C, ...).
        running_mean: (C,); with `training` it is updated in place, otherwise it is mu. It may be
            None with `training`.
        running_var: v (C,), in the same way.
        weight: g (C,), or None for 1.
        bias: b (C,), or None for 0.
        training: normalise with the statistics of the batch.
        momentum: share of the new value in the running statistics.
        eps: added to the variance.
        biased_running_var: running_var gathers v and not v m / (m - 1).

    Returns:
        y of x's shape, and its backward: dy -> dx, dg, db.

    Raises:
        TypeError: if an array is not of the input's floating dtype.
        ValueError: if a shape does not match, running statistics are missing, or each channel has
            a single value to train on.

    Source: Ioffe & Szegedy 2015.
    """
    x = check.floating("batch_norm", "input", input)
    shape = x.shape if x.ndim != 1 or x.size else (0, 0)  # torch takes an empty vector
    if len(shape) < 2:
        check.refuse("batch_norm", "input of shape (N, C, ...)", x.shape)
    given = (running_mean, running_var, weight, bias)
    names = ("running_mean", "running_var", "weight", "bias")
    old_mean, old_var, g, b = (
        per_channel("batch_norm", name, array, x, shape[1])
        for name, array in zip(names, given, strict=True)
    )
    check_pair("batch_norm", old_mean, old_var, needed=not training)
    momentum = check.number("batch_norm", "momentum", momentum)
    eps = check.number("batch_norm", "eps", eps, 0, open_low=training)
    check.option("batch_norm", "biased_running_var", biased_running_var, (True, False))

    rows = x.reshape(*shape[:2], math.prod(shape[2:]))  # (N, C, L)
    m = rows.shape[0] * rows.shape[2]
    if training and m == 1:
        check.refuse("batch_norm", "more than one value per channel in training", x.shape)
    biased = biased_running_var
    y, norm_back = normalise(rows, old_mean, old_var, g, b, training, momentum, eps, biased)

    def backward(dy: Array) -> Any:
        dx, *dlearned = norm_back(dy.reshape(rows.shape))
        return (dx.reshape(x.shape), *dlearned) if dlearned else dx.reshape(x.shape)

    return y.reshape(x.shape), backward


def normalise(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    g: Array | None,
    b: Array | None,
    training: bool,
    momentum: float,
    eps: float,
    biased: bool = False,
) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
    """`batch_norm` of x (N, C, L) with arguments that were checked.

    Statistics are float64; whatever has x's size is in its dtype.
    """
    m = x.shape[0] * x.shape[2]
    ours = training and m > 0
    y = np.empty_like(x, order="C")
    if ours:
        # The mean of what float32 leaves of x - mu makes mu exact even where it is large.
        first = (_sum(x) / m).astype(x.dtype)
        np.subtract(x, first[:, None], out=y)
        rest = _sum(y) / m
        var = np.maximum(_sum(y, y) / m - rest**2, 0)
        if running_mean is not None and running_var is not None:
            _update(running_mean, first + rest, momentum)
            _update(running_var, var if biased else var * (m / (m - 1)), momentum)
        root = np.sqrt(var + eps)
        inverse = np.divide(1, root, out=np.zeros_like(root), where=root != 0)
    else:
        rest = np.zeros(x.shape[1])
        first = rest.astype(x.dtype) if running_mean is None else running_mean.copy()
        var = rest if running_var is None else running_var.astype(np.float64)
        np.subtract(x, first[:, None], out=y)
        inverse = 1 / np.sqrt(var + eps)
    scale = inverse if g is None else g * inverse
    shift = -rest * scale if b is None else b - rest * scale
    y *= scale.astype(x.dtype)[:, None]
    y += shift.astype(x.dtype)[:, None]

    def backward(dy: Array) -> tuple[Array, ...]:
        centred = x - first[:, None]
        db = _sum(dy)
        dg = (_sum(dy, centred) - rest * db) * inverse
        dx = dy * scale.astype(x.dtype)[:, None]
        if ours:  # dx -= scale (mean dy + n mean(dy n))
            slope = scale * dg * inverse / m
            centred *= slope.astype(x.dtype)[:, None]
            dx -= centred
            dx -= (scale * db / m - rest * slope).astype(x.dtype)[:, None]
        dlearned = [d for d, parameter in ((dg, g), (db, b)) if parameter is not None]
        return dx, *(d.astype(x.dtype) for d in dlearned)

    return y, backward


def per_channel(
    function: str, name: str, array: Array | None, like: Array, channels: int
) -> Array | None:
    """An optional argument with one entry a channel, checked."""
    if array is not None:
        array = check.floating(function, name, array, like=like)
        check.shape(function, name, array, (channels,))
    return array


def check_pair(function: str, mean: Array | None, var: Array | None, needed: bool) -> None:
    """Refuse one running statistic without the other, and none where they are what is used."""
    if (mean is None) != (var is None) or (needed and mean is None):
        got = "None" if mean is None and var is None else "only one"
        expected = "both running_mean and running_var" + ("" if needed else " or neither")
        check.refuse(function, expected, got)


def _update(running: Array, new: Array, momentum: float) -> None:
    """r <- (1 - momentum) r + momentum s, in place."""
    running[...] = (1 - momentum) * running + momentum * new


def _sum(*factors: Array) -> Array:
    """The sum over N and L of the product of one or two arrays (N, C, L), in float64 beyond L."""
    n, c, length = factors[0].shape
    if length < 8:  # too short for a product of vectors: whole rows at once, twice as fast
        product = factors[0] if len(factors) == 1 else factors[0] * factors[1]
        rows = product.reshape(n, c * length).sum(axis=0, dtype=np.float64)
        short: Array = rows.reshape(c, length).sum(axis=1)
        return short
    if len(factors) == 1:
        ones = np.ones(length, factors[0].dtype)
        parts = (factors[0].reshape(-1, length) @ ones).reshape(n, c)
    else:
        parts = np.einsum("ncl,ncl->nc", *factors)
    total: Array = parts.sum(axis=0, dtype=np.float64)
    return total


class RunningNorm(Module):
    """What batch and instance normalisation share: parameters and running statistics.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: share of the new value in the running statistics; None for a mean of all.
        affine: learn g and b.
        track_running_stats: keep running statistics and use them in evaluation.
        bias: learn b.
        dtype: float32 or float64.
    """

    _ndims: ClassVar[tuple[int, ...]]
    _layout: ClassVar[str]
    # b is not in its own derivative nor in any other.
    _unread = frozenset({"bias"})
    running_mean: Array | None
    running_var: Array | None
    num_batches_tracked: Array | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        self.num_features = check.size(name, "num_features", num_features)
        self.eps = eps
        check.number(name, "eps", eps, 0)
        self.momentum = momentum
        if momentum is not None:
            check.number(name, "momentum", momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        size = self.num_features
        self.weight = Parameter(np.ones(size, dtype)) if affine else None
        self.bias = Parameter(np.zeros(size, dtype)) if affine and bias else None
        tracks = track_running_stats
        self.register_buffer("running_mean", np.zeros(size, dtype) if tracks else None)
        self.register_buffer("running_var", np.ones(size, dtype) if tracks else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracks else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        for buffer, start in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if buffer is not None:
                buffer[...] = start

    def reset_parameters(self) -> None:
        """Back to the start: g = 1, b = 0, running mean 0 and variance 1."""
        self.reset_running_stats()
        if self.weight is not None:
            self.weight.data = np.ones_like(self.weight.data)
        if self.bias is not None:
            self.bias.data = np.zeros_like(self.bias.data)

    def _check(self, input: Array) -> Array:
        x = check.floating(type(self).__name__, "input", input)
        if x.ndim not in self._ndims:
            check.refuse(type(self).__name__, f"input of shape {self._layout}", x.shape)
        return x

    def _accumulate(self, gradients: Any) -> Array:
        """Add the gradients of g and b to the parameters; returns that of x."""
        learned = [p for p in (self.weight, self.bias) if p is not None]
        dx: Array
        dx, *dlearned = gradients if learned else (gradients,)
        for parameter, gradient in zip(learned, dlearned, strict=True):
            parameter.accumulate(gradient)
        return dx

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm(RunningNorm):
    """What the batch normalisations of all dimensions share.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: share of the new value in the running statistics; None for a mean of all.
        affine: learn g and b.
        track_running_stats: keep running statistics and use them in evaluation.
        bias: learn b.
        momentum_keeps: momentum is the share of the old value instead, as in Keras.
        biased_running_var: running_var gathers v and not v m / (m - 1), as in Keras.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        momentum_keeps: bool = False,
        biased_running_var: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        check.option(name, "momentum_keeps", momentum_keeps, (True, False))
        check.option(name, "biased_running_var", biased_running_var, (True, False))
        self.momentum_keeps, self.biased_running_var = momentum_keeps, biased_running_var
        arguments = num_features, eps, momentum, affine, track_running_stats
        super().__init__(*arguments, bias=bias, dtype=dtype)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = g (x - mu) / sqrt(v + eps) + b."""
        x = self._check(input)
        check.shape(type(self).__name__, "input", x, ("N", self.num_features, *x.shape[2:]))
        batches = self.num_batches_tracked if self.training and self.track_running_stats else None
        if self.momentum is not None:
            momentum = 1 - self.momentum if self.momentum_keeps else self.momentum
        else:
            momentum = 0.0 if batches is None else 1 / (int(batches) + 1)
        tracks = self.track_running_stats or not self.training
        mean, var = (self.running_mean, self.running_var) if tracks else (None, None)
        y, norm_back = batch_norm(
            x,
            mean,
            var,
            value(self.weight),
            value(self.bias),
            self.training or (mean is None and var is None),
            momentum,
            self.eps,
            biased_running_var=self.biased_running_var,
        )
        if batches is not None:
            batches += 1
        return y, lambda *dy: self._accumulate(norm_back(*dy))

    def extra_repr(self) -> str:
        text = super().extra_repr()
        for name in ("momentum_keeps", "biased_running_var"):
            text += f", {name}=True" if getattr(self, name) else ""
        return text


class BatchNorm1d(BatchNorm):
    """`batch_norm` of features or sequences.

    Shape:
        (N, C) or (N, C, L) to the same.
    """

    _ndims, _layout = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(BatchNorm):
    """`batch_norm` of images.

    Shape:
        (N, C, H, W) to the same.
    """

    _ndims, _layout = (4,), "(N, C, H, W)"


class BatchNorm3d(BatchNorm):
    """`batch_norm` of volumes.

    Shape:
        (N, C, D, H, W) to the same.
    """

    _ndims, _layout = (5,), "(N, C, D, H, W)"
