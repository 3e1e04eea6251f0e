"""Conventions of normalisation: which variance, where eps stands, what momentum weighs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.batch_norm import BatchNorm
from scratch.nn.module import value
from scratch.nn.op import Backward


def _values(x: Array) -> int:
    """How many values a channel has in a batch."""
    return x.size // max(int(x.shape[1]), 1)


# Batch normalisation


def unbiased_variance(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Normalises with the unbiased variance: n is smaller by sqrt((m - 1) / m), and so is eps."""
    m = _values(input)
    ratio = (m - 1) / m if training else 1.0
    ones = np.ones(input.shape[1], input.dtype)
    g = math.sqrt(ratio) * (ones if weight is None else weight)
    y, back = F.batch_norm(
        input, running_mean, running_var, g, bias, training, momentum, eps * ratio
    )

    def backward(dy: Array) -> Any:
        dx, dg, *db = back(dy)
        grads = (dx, *(() if weight is None else (math.sqrt(ratio) * dg,)), *db)
        return grads if len(grads) > 1 else dx

    return y, backward


def detached_statistics(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Backward as if the statistics of the batch were constants: one term of three."""
    y, back = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if training:
        axes = (0, *range(2, input.ndim))
        mean, var = input.mean(axis=axes), input.var(axis=axes)
        back = F.batch_norm(input, mean, var, weight, bias, False, momentum, eps)[1]
    return y, back


class _Tracks(nn.BatchNorm1d):
    """BatchNorm1d whose running statistics are the subclass's."""

    def _moved(self, x: Array, old: tuple[Array, Array]) -> None:
        raise RuntimeError("expected a subclass, got the base class")

    def forward(self, input: Array) -> tuple[Array, Backward]:
        mean, var = self.running_mean, self.running_var
        old = None if mean is None or var is None else (mean.copy(), var.copy())
        output = super().forward(input)
        if self.training and old is not None and input.size:
            self._moved(input, old)
        return output

    def _move(self, old: tuple[Array, Array], new: tuple[Array, Array], share: float) -> None:
        for running, before, now in zip(
            (self.running_mean, self.running_var), old, new, strict=True
        ):
            assert running is not None
            running[...] = (1 - share) * before + share * now

    def _share(self) -> float:
        return 1.0 if self.momentum is None else self.momentum


class BiasedRunningVariance(_Tracks):
    def _moved(self, x: Array, old: tuple[Array, Array]) -> None:
        axes = (0, *range(2, x.ndim))
        self._move(old, (x.mean(axis=axes), x.var(axis=axes)), self._share())


class MomentumKeeps(_Tracks):
    """momentum is the share of the old value."""

    def _moved(self, x: Array, old: tuple[Array, Array]) -> None:
        axes, m = (0, *range(2, x.ndim)), _values(x)
        new = x.mean(axis=axes), x.var(axis=axes) * (m / (m - 1))
        self._move(old, new, 1 - self._share())


class KeepingIsIgnored(nn.BatchNorm1d):
    """momentum is the share of the new value whatever was asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.momentum_keeps = False


class BiasedIsIgnored(nn.BatchNorm2d):
    """running_var gathers the unbiased variance whatever was asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.biased_running_var = False


class NoneIsDefaultMomentum(_Tracks):
    """momentum None taken for 0.1."""

    def _moved(self, x: Array, old: tuple[Array, Array]) -> None:
        axes, m = (0, *range(2, x.ndim)), _values(x)
        new = x.mean(axis=axes), x.var(axis=axes) * (m / (m - 1))
        self._move(old, new, 0.1 if self.momentum is None else self.momentum)


class EpsKeras(nn.BatchNorm2d):
    """eps 1e-3 where it is not given."""

    def __init__(self, num_features: int, eps: float = 1e-5, *args: Any, **kwargs: Any) -> None:
        super().__init__(num_features, eps, *args, **kwargs)
        if eps == 1e-5:
            self._eps = 1e-3

    def forward(self, input: Array) -> tuple[Array, Backward]:
        eps, self.eps = self.eps, vars(self).get("_eps", self.eps)
        output = super().forward(input)
        self.eps = eps
        return output


def _batch(layer: BatchNorm, x: Array, training: bool) -> tuple[Array, Backward]:
    """The layer's op in a mode of the mutant's choice, running statistics left alone."""
    y, back = F.batch_norm(
        x,
        None if training else layer.running_mean,
        None if training else layer.running_var,
        value(layer.weight),
        value(layer.bias),
        training,
        0.0,
        layer.eps,
    )
    return y, lambda dy: layer._accumulate(back(dy))


class BatchStatisticsInEvaluation(nn.BatchNorm2d):
    def forward(self, input: Array) -> tuple[Array, Backward]:
        if not self.training and input.size:
            return _batch(self, input, True)
        return super().forward(input)


class ThreeTermsInEvaluation(nn.BatchNorm2d):
    """The backward of training where the statistics were constants."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        y, back = super().forward(input)
        if not self.training and input.size:
            return y, _batch(self, input, True)[1]
        return y, back


class CountsTheStart(nn.BatchNorm2d):
    """The mean of all batches has the start among them."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        batches = self.num_batches_tracked
        if self.training and self.momentum is None and batches is not None:
            batches += 1
            output = super().forward(input)
            batches -= 1
            return output
        return super().forward(input)


class EvaluationMovesStatistics(nn.BatchNorm3d):
    def forward(self, input: Array) -> tuple[Array, Backward]:
        output = super().forward(input)
        if not self.training and self.running_mean is not None and input.size:
            self.running_mean += 0.1 * (input.mean(axis=(0, 2, 3, 4)) - self.running_mean)
        return output


class InputHasOneMomentum(nn.InstanceNorm2d):
    """Running statistics of the whole batch, as BatchNorm takes them, not the mean over samples."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        var = None if self.running_var is None else self.running_var.copy()
        output = super().forward(input)
        if self.training and var is not None and input.ndim == 4:
            assert self.running_var is not None
            share = 0.0 if self.momentum is None else self.momentum
            whole = input.var(axis=(0, 2, 3), ddof=1)
            self.running_var[...] = (1 - share) * var + share * whole
        return output


class StatisticsOfTheBatch(nn.InstanceNorm1d):
    """Batch normalisation: mean and variance of a channel over all samples."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        if input.ndim == 3 and (self.training or not self.track_running_stats):
            g, b = value(self.weight), value(self.bias)
            y, back = F.batch_norm(input, None, None, g, b, training=True, eps=self.eps)
            return y, lambda dy: self._accumulate(back(dy))
        return super().forward(input)


class TracksAlways(nn.InstanceNorm3d):
    """Evaluation with running statistics, at their start here, even if none are asked for."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        if self.training or self.track_running_stats or input.ndim != 5:
            return super().forward(input)
        channels = input.shape[1]
        stats = np.zeros(channels, input.dtype), np.ones(channels, input.dtype)
        g, b = value(self.weight), value(self.bias)
        y, back = F.batch_norm(input, *stats, g, b, eps=self.eps)
        return y, lambda dy: self._accumulate(back(dy))


# Layer, group and root mean square


def _with_eps(function: Callable[..., Any], wrong: Callable[[float], float]) -> Callable[..., Any]:
    """The function with another eps for the one that it is given."""

    def mutant(
        input: Array,
        normalized_shape: Sequence[int],
        weight: Array | None = None,
        bias: Array | None = None,
        eps: float = 1e-5,
    ) -> tuple[Array, Backward]:
        y, back = function(input, normalized_shape, weight, bias, wrong(eps))
        return y, back

    return mutant


def layer_eps_outside(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """(x - mu) / (sqrt(v) + eps)."""
    return _layer_by(input, normalized_shape, weight, bias, lambda c, d: _outside(c, d, eps))


def layer_unbiased(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """(x - mu) / sqrt(v d / (d - 1) + eps)."""
    return _layer_by(input, normalized_shape, weight, bias, lambda c, d: _unbiased(c, d, eps))


def _outside(squares: Array, d: int, eps: float) -> Array:
    found: Array = np.sqrt(squares / max(d, 1)) + eps
    return found


def _unbiased(squares: Array, d: int, eps: float) -> Array:
    found: Array = np.sqrt(squares / max(d - 1, 1) + eps)
    return found


def _layer_by(
    input: Array,
    shape: Sequence[int],
    weight: Array | None,
    bias: Array | None,
    divisor: Callable[[Array, int], Array],
) -> tuple[Array, Backward]:
    """A layer normalisation with its own divisor; the backward is torch's, near enough."""
    y, back = F.layer_norm(input, shape, weight, bias)
    rows = input.reshape(-1, max(math.prod(shape), 1))
    if not input.size:
        return y, back
    centred = rows - rows.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        n = (centred / divisor(squares, rows.shape[1])).reshape(input.shape)
    y = n if weight is None else n * weight
    return y if bias is None else y + bias, back


def rms_eps_fixed(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> tuple[Array, Backward]:
    """eps 1e-6 where it is not given, as in T5."""
    return F.rms_norm(input, normalized_shape, weight, 1e-6 if eps is None else eps)


def rms_eps_of_float32(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> tuple[Array, Backward]:
    """eps of float32 whatever the input's dtype."""
    single = float(np.finfo(np.float32).eps)
    return F.rms_norm(input, normalized_shape, weight, single if eps is None else eps)


def rms_centred(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> tuple[Array, Backward]:
    """Takes the mean off first."""
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    return F.layer_norm(input, normalized_shape, weight, None, eps)


def group_interleaved(
    input: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Groups of every num_groups-th channel instead of neighbours."""
    order = np.arange(input.shape[1]).reshape(-1, num_groups).T.reshape(-1)
    back_order = np.argsort(order)
    g, b = (None if p is None else p[order] for p in (weight, bias))
    y, back = F.group_norm(np.ascontiguousarray(input[:, order]), num_groups, g, b, eps)

    def backward(dy: Array) -> Any:
        found = back(np.ascontiguousarray(dy[:, order]))
        dx, *learned = found if isinstance(found, tuple) else (found,)
        grads = (dx[:, back_order], *(d[back_order] for d in learned))
        return grads if len(grads) > 1 else grads[0]

    return y[:, back_order], backward


def response_not_divided(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array, Backward]:
    """alpha times the sum over the window, as the paper has it."""
    return F.local_response_norm(input, size, alpha * size, beta, k)


def response_of_alexnet(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> tuple[Array, Backward]:
    """k = 2 where it is not given, as in AlexNet."""
    return F.local_response_norm(input, size, alpha, beta, k)


def response_window_above(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array, Backward]:
    """Windows of even size have the additional channel above."""
    flipped = np.ascontiguousarray(input[:, ::-1])
    y, back = F.local_response_norm(flipped, size, alpha, beta, k)
    return y[:, ::-1], lambda dy: back(np.ascontiguousarray(dy[:, ::-1]))[:, ::-1]


class CrossMapWithoutQuirks(nn.CrossMapLRN2d):
    """Windows that channel 0 leaves, and the gradient that belongs to them."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        size = self.size + 1 - self.size % 2  # of odd size both have the same windows
        scale = self.alpha * size / self.size
        return F.local_response_norm(input, size, scale, self.beta, self.k)


PITFALLS = [
    Pitfall(
        "batch_norm_unbiased_variance",
        "batch_norm",
        "variance of y: torch biased; others unbiased",
        unbiased_variance,
    ),
    Pitfall(
        "batch_norm_detached_statistics",
        "batch_norm",
        "backward in training: torch has the terms of mean and variance; others forget them",
        detached_statistics,
    ),
    Pitfall(
        "batch_norm_running_variance",
        "BatchNorm1d",
        "running_var: torch unbiased; NumPy, Keras and d2l biased",
        BiasedRunningVariance,
    ),
    Pitfall(
        "batch_norm_momentum",
        "BatchNorm1d",
        "momentum: torch the share of the new value; Keras and tutorials of the old",
        MomentumKeeps,
    ),
    Pitfall(
        "batch_norm_momentum_keeps",
        "BatchNorm1d with Keras' running statistics",
        "momentum_keeps: the share of the old value; torch's is that of the new one",
        KeepingIsIgnored,
    ),
    Pitfall(
        "batch_norm_biased_running_variance",
        "BatchNorm2d with Keras' running statistics",
        "biased_running_var: v itself; torch's is v m / (m - 1)",
        BiasedIsIgnored,
    ),
    Pitfall(
        "batch_norm_momentum_none",
        "BatchNorm1d",
        "momentum None: torch the mean of all batches; others 0.1",
        NoneIsDefaultMomentum,
    ),
    Pitfall("batch_norm_eps", "BatchNorm2d", "eps: torch 1e-5; Keras 1e-3", EpsKeras),
    Pitfall(
        "batch_norm_evaluation",
        "BatchNorm2d",
        "evaluation: torch uses running statistics; others those of the batch",
        BatchStatisticsInEvaluation,
    ),
    Pitfall(
        "batch_norm_evaluation_backward",
        "BatchNorm2d",
        "backward of evaluation: torch g dy / sqrt(v + eps); others keep the terms of training",
        ThreeTermsInEvaluation,
    ),
    Pitfall(
        "batch_norm_counts",
        "BatchNorm2d",
        "momentum None: torch forgets the start at the first batch; others count it as one",
        CountsTheStart,
    ),
    Pitfall(
        "batch_norm_evaluation_moves",
        "BatchNorm3d",
        "running statistics in evaluation: torch leaves them; others move them",
        EvaluationMovesStatistics,
    ),
    Pitfall(
        "instance_norm_running_variance",
        "InstanceNorm2d",
        "running_var: torch the mean of each sample's; others the variance of the batch",
        InputHasOneMomentum,
    ),
    Pitfall(
        "instance_norm_batch",
        "InstanceNorm1d",
        "statistics: of each sample; batch normalisation takes those of the batch",
        StatisticsOfTheBatch,
    ),
    Pitfall(
        "instance_norm_tracks",
        "InstanceNorm3d",
        "evaluation by default: torch as in training, nothing is tracked; others by running ones",
        TracksAlways,
    ),
    Pitfall(
        "layer_norm_unbiased_variance",
        "layer_norm",
        "variance: torch biased; the annotated transformer unbiased",
        layer_unbiased,
    ),
    Pitfall(
        "layer_norm_eps_outside",
        "layer_norm",
        "eps: torch under the root; the annotated transformer beside it",
        layer_eps_outside,
    ),
    Pitfall(
        "layer_norm_eps_1e-6",
        "layer_norm",
        "eps: torch 1e-5; ViT, T5 and LLaMA 1e-6",
        _with_eps(F.layer_norm, lambda eps: 1e-6 if eps == 1e-5 else eps),
    ),
    Pitfall(
        "layer_norm_eps_1e-12",
        "layer_norm",
        "eps: torch 1e-5; BERT 1e-12",
        _with_eps(F.layer_norm, lambda eps: 1e-12 if eps == 1e-5 else eps),
    ),
    Pitfall(
        "rms_norm_eps",
        "rms_norm",
        "eps: torch the machine epsilon of the dtype; T5 1e-6",
        rms_eps_fixed,
    ),
    Pitfall(
        "rms_norm_eps_of_float32",
        "rms_norm",
        "eps: torch that of the input's dtype; others float32's always",
        rms_eps_of_float32,
    ),
    Pitfall(
        "rms_norm_centred",
        "rms_norm",
        "mean: RMS normalisation leaves it; layer normalisation takes it off",
        rms_centred,
    ),
    Pitfall(
        "group_norm_neighbours",
        "group_norm",
        "a group: torch takes neighbouring channels; others every n-th",
        group_interleaved,
    ),
    Pitfall(
        "local_response_norm_size",
        "local_response_norm",
        "alpha: torch divides it by size; the paper does not",
        response_not_divided,
    ),
    Pitfall(
        "local_response_norm_k",
        "local_response_norm",
        "k: torch 1; AlexNet 2",
        response_of_alexnet,
    ),
    Pitfall(
        "local_response_norm_even",
        "local_response_norm",
        "even windows: torch has one channel more below; others above",
        response_window_above,
    ),
    Pitfall(
        "cross_map_lrn_windows",
        "CrossMapLRN2d",
        "windows and gradient: torch keeps those of its Lua code; others those of the paper",
        CrossMapWithoutQuirks,
    ),
]
