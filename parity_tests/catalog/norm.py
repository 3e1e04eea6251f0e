"""Normalisation: by batch, instance, group, layer and root mean square, and local response."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, const, unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from torch_ref.nn.batch_norm import BatchNorm1d as KerasBatchNorm1d
from torch_ref.nn.batch_norm import BatchNorm2d as KerasBatchNorm2d
from torch_ref.nn.batch_norm import BatchNorm3d as KerasBatchNorm3d

BATCH = "Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1"
KERAS = f"{BATCH}; Keras' BatchNormalization"
INSTANCE = "Ulyanov et al. 2016, arXiv:1607.08022"
LAYER = "Ba et al. 2016, arXiv:1607.06450, eq. 4"
GROUP = "Wu & He 2018, arXiv:1803.08494"
RMS = "Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4"
RESPONSE = "Krizhevsky et al. 2012, section 3.3"

# The float64 bound where x is 1e3 away from 0: torch's x alpha + beta rounds at 1e3 and y is 1.
FAR = 64e3
FAR_REASON = "torch rounds x / sqrt(v + eps) before it takes the mean off, and that is 1e3"


def zeros(*shape: int) -> Array:
    """What a refused call is given."""
    return np.zeros(shape)


def batch_norm_tracked(
    input: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    momentum: float = 0.1,
) -> tuple[Array, Backward]:
    """In training, with running statistics, which are the harness's and stay as they are."""
    stats = running_mean.copy(), running_var.copy()
    return F.batch_norm(input, *stats, weight, bias, True, momentum)


def torch_batch_norm_tracked(
    input: torch.Tensor,
    running_mean: torch.Tensor,
    running_var: torch.Tensor,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    momentum: float = 0.1,
) -> torch.Tensor:
    """The same in torch."""
    stats = running_mean.clone(), running_var.clone()
    return torch.nn.functional.batch_norm(input, *stats, weight, bias, True, momentum)


def batch_cases(*shape: int) -> tuple[Case, ...]:
    """Cases of a batch normalisation of inputs (4, 3, *shape)."""

    def x(scale: float = 1.0, shift: float = 0.0) -> Callable[[Any], Call]:
        return lambda d: Call(d.normal(4, 3, *shape, scale=scale) + d.array(shift))

    return (
        Case("defaults", x(2.0, 0.5), init=Call(3)),
        Case("momentum", x(), init=Call(3, momentum=0.7)),
        Case("cumulative mean", x(), init=Call(3, momentum=None)),
        Case("momentum 0", x(), init=Call(3, momentum=0.0)),
        Case("momentum 1", x(), init=Call(3, momentum=1.0)),
        Case("no bias", x(), init=Call(3, bias=False)),
        Case("not affine", x(), init=Call(3, affine=False)),
        Case("no running statistics", x(), init=Call(3, track_running_stats=False)),
        Case("bare", x(), init=Call(3, 1e-5, 0.1, False, False)),
        Case("eps", x(0.1), init=Call(3, eps=0.3)),
        Case("near eps", x(1e-3), init=Call(3)),
        Case("far below eps", x(1e-7), init=Call(3)),
        Case("far off", x(1.0, 300.0), init=Call(3), c=FAR, reason=FAR_REASON),
        Case("huge", x(1e6), init=Call(3)),
        Case("one channel", lambda d: Call(d.normal(5, 1, *shape)), init=Call(1)),
        Case(
            "empty",
            lambda d: Call(d.normal(0, 3, *shape)),
            init=Call(3),
            zero=("weight", "bias"),
        ),
    )


def keeping_cases(*shape: int) -> tuple[Case, ...]:
    """Cases of both options, of inputs (3, 4, *shape): few values, where the variances differ."""

    def case(name: str, **options: Any) -> Case:
        return Case(name, lambda d: Call(d.normal(3, 4, *shape)), init=Call(4, **options))

    both = {"momentum_keeps": True, "biased_running_var": True}
    return (
        case("the share that is kept", momentum=0.9, momentum_keeps=True),
        case("biased", momentum=0.3, biased_running_var=True),
        case("both", eps=1e-3, momentum=0.99, **both),
        case("cumulative mean", momentum=None, **both),
        case("no running statistics", track_running_stats=False, **both),
        case("not affine", momentum=0.7, affine=False, **both),
        case("no bias", momentum=0.0, bias=False, **both),
        case("neither", momentum=0.7, bias=False),
    )


def instance_cases(*shape: int) -> tuple[Case, ...]:
    """Cases of an instance normalisation of inputs (4, 3, *shape)."""

    def x(scale: float = 1.0, shift: float = 0.0) -> Callable[[Any], Call]:
        return lambda d: Call(d.normal(4, 3, *shape, scale=scale) + d.array(shift))

    tracking = {"affine": True, "track_running_stats": True}
    return (
        Case("defaults", x(2.0, 0.5), init=Call(3)),
        Case("unbatched", lambda d: Call(d.normal(3, *shape)), init=Call(3, affine=True)),
        Case("affine", x(), init=Call(3, affine=True)),
        Case("no bias", x(), init=Call(3, affine=True, bias=False)),
        Case("running statistics", x(), init=Call(3, **tracking)),
        Case("momentum", x(), init=Call(3, momentum=0.7, **tracking)),
        Case("momentum None", x(), init=Call(3, momentum=None, **tracking)),
        Case("statistics only", x(), init=Call(3, track_running_stats=True)),
        Case("eps", x(0.1), init=Call(3, eps=0.3)),
        Case("near eps", x(1e-3), init=Call(3)),
        Case("far off", x(1.0, 300.0), init=Call(3), c=FAR, reason=FAR_REASON),
        Case("one sample", lambda d: Call(d.normal(1, 3, *shape)), init=Call(3, **tracking)),
    )


def normal(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Callable[[Any], Call]:
    """A single normal input."""
    return lambda d: Call(d.normal(*shape, scale=scale) + d.array(shift))


ENTRIES: list[Entry] = [
    Op(
        "batch_norm",
        F.batch_norm,
        torch.nn.functional.batch_norm,
        source=BATCH,
        cases=(
            Case(
                "batch statistics",
                lambda d: Call(
                    d.normal(3, 2, 5, scale=2.0),
                    None,
                    None,
                    d.normal(2),
                    d.normal(2),
                    training=True,
                    eps=0.2,
                ),
            ),
            Case(
                "three values",
                lambda d: Call(d.normal(3, 4), None, None, d.normal(4), training=True),
            ),
            Case(
                "only a bias",
                lambda d: Call(d.normal(3, 4), None, None, bias=d.normal(4), training=True),
            ),
            Case(
                "running statistics",
                lambda d: Call(
                    d.normal(4, 2, 3),
                    const(d.normal(2)),
                    const(d.uniform(0.5, 2.0, 2)),
                    d.normal(2),
                    d.normal(2),
                ),
            ),
            Case(
                "running statistics alone",
                lambda d: Call(
                    d.normal(2, 3, 4, 5), const(d.normal(3)), const(d.uniform(0, 1e-5, 3))
                ),
            ),
            Case(
                "eps 0",
                lambda d: Call(
                    d.normal(2, 3), const(d.normal(3)), const(d.uniform(1, 2, 3)), eps=0.0
                ),
            ),
            Case(
                "a constant channel",
                lambda d: Call(
                    d.normal(4, 3, 5) * d.array([1.0, 0.0, 1.0])[:, None],
                    None,
                    None,
                    d.normal(3),
                    training=True,
                ),
            ),
            Case(
                "NaN and infinity",
                lambda d: Call(
                    d.array([[1.0, np.nan, np.inf], [2.0, 0.5, 1.0], [4.0, 0.1, 2.0]]),
                    const(d.normal(3)),
                    const(d.uniform(1, 2, 3)),
                    d.normal(3),
                ),
                surrogate="NaN has no derivative",
            ),
            Case(
                "far off",
                lambda d: Call(d.normal(5, 2, 9) + d.array(1e3), None, None, training=True),
                c=FAR,
                reason=FAR_REASON,
            ),
            Case(
                "many values",
                lambda d: Call(d.normal(3000, 2) + d.array(3.0), None, None, training=True),
                c=640,
                reason="torch sums 3000 values one after the other",
            ),
        ),
    ),
    Op(
        "batch_norm (tracked)",
        batch_norm_tracked,
        torch_batch_norm_tracked,
        source=BATCH,
        cases=(
            Case(
                "images",
                lambda d: Call(
                    d.normal(2, 3, 4, 5),
                    const(d.normal(3)),
                    const(d.uniform(0.5, 2.0, 3)),
                    d.normal(3),
                    d.normal(3),
                    momentum=0.3,
                ),
            ),
        ),
    ),
    Layer(
        "BatchNorm1d",
        nn.BatchNorm1d,
        torch.nn.BatchNorm1d,
        source=BATCH,
        cases=(
            *batch_cases(5),
            Case("features", lambda d: Call(d.normal(3, 4)), init=Call(4)),
            Case("features, a mean", lambda d: Call(d.normal(3, 4)), init=Call(4, momentum=None)),
            Case("one sample", lambda d: Call(d.normal(1, 3, 4)), init=Call(3)),
        ),
    ),
    Layer(
        "BatchNorm2d",
        nn.BatchNorm2d,
        torch.nn.BatchNorm2d,
        source=BATCH,
        cases=(
            *batch_cases(5, 2),
            Case("wide", lambda d: Call(d.normal(2, 3, 7, 9)), init=Call(3)),
            Case("one pixel", lambda d: Call(d.normal(3, 2, 1, 1)), init=Call(2)),
        ),
    ),
    Layer(
        "BatchNorm3d",
        nn.BatchNorm3d,
        torch.nn.BatchNorm3d,
        source=BATCH,
        cases=batch_cases(5, 2, 3),
    ),
    *(
        # Buffers after a forward tell; gradients are those of the entries above.
        Layer(
            f"{ours.__name__} with Keras' running statistics",
            ours,
            theirs,
            cases,
            source=KERAS,
            steps=False,
            differences=False,
        )
        for ours, theirs, cases in (
            (
                nn.BatchNorm1d,
                KerasBatchNorm1d,
                (
                    *keeping_cases(),
                    Case(
                        "empty",
                        lambda d: Call(d.normal(0, 4)),
                        init=Call(4, momentum_keeps=True),
                        zero=("weight", "bias"),
                    ),
                ),
            ),
            (nn.BatchNorm2d, KerasBatchNorm2d, keeping_cases(2, 1)),
            (nn.BatchNorm3d, KerasBatchNorm3d, keeping_cases(1, 1, 2)),
        )
    ),
    Op(
        "instance_norm",
        F.instance_norm,
        torch.nn.functional.instance_norm,
        source=INSTANCE,
        cases=(
            Case("plain", normal(3, 2, 5, scale=2.0)),
            Case("eps", lambda d: Call(d.normal(3, 2, 5), eps=0.4)),
            Case(
                "affine",
                lambda d: Call(d.normal(3, 2, 4, 5), weight=d.normal(2), bias=d.normal(2)),
            ),
            Case(
                "running statistics",
                lambda d: Call(
                    d.normal(3, 2, 5),
                    const(d.normal(2)),
                    const(d.uniform(0.5, 2.0, 2)),
                    d.normal(2),
                    d.normal(2),
                    use_input_stats=False,
                ),
            ),
            Case(
                "one value, running statistics",
                lambda d: Call(
                    d.normal(3, 2),
                    const(d.normal(2)),
                    const(d.uniform(0.5, 2.0, 2)),
                    use_input_stats=False,
                ),
            ),
        ),
    ),
    Layer(
        "InstanceNorm1d",
        nn.InstanceNorm1d,
        torch.nn.InstanceNorm1d,
        source=INSTANCE,
        cases=instance_cases(7),
    ),
    Layer(
        "InstanceNorm2d",
        nn.InstanceNorm2d,
        torch.nn.InstanceNorm2d,
        source=INSTANCE,
        cases=instance_cases(5, 2),
    ),
    Layer(
        "InstanceNorm3d",
        nn.InstanceNorm3d,
        torch.nn.InstanceNorm3d,
        source=INSTANCE,
        cases=instance_cases(5, 2, 3),
    ),
    Op(
        "layer_norm",
        F.layer_norm,
        torch.nn.functional.layer_norm,
        source=LAYER,
        cases=(
            Case("plain", lambda d: Call(d.normal(4, 5, scale=2.0) + d.array(0.7), (5,))),
            Case(
                "affine",
                lambda d: Call(d.normal(2, 3, 5), (5,), d.normal(5), d.normal(5)),
            ),
            Case(
                "several axes",
                lambda d: Call(d.normal(4, 3, 5), (3, 5), d.normal(3, 5), d.normal(3, 5)),
            ),
            Case("all axes", lambda d: Call(d.normal(3, 5), (3, 5), d.normal(3, 5))),
            Case("a list", lambda d: Call(d.normal(3, 5), [5], bias=d.normal(5))),
            Case("eps", lambda d: Call(d.normal(3, 5), (5,), eps=0.3)),
            Case("near eps", lambda d: Call(d.normal(3, 5, scale=1e-3), (5,), d.normal(5))),
            Case("far below eps", lambda d: Call(d.normal(3, 5, scale=1e-7), (5,), d.normal(5))),
            Case(
                "far off",
                lambda d: Call(d.normal(3, 64) + d.array(1e3), (64,), d.normal(64)),
                c=FAR,
                reason=FAR_REASON,
            ),
            Case("huge", lambda d: Call(d.normal(3, 5, scale=1e6), (5,), d.normal(5))),
            Case("many", lambda d: Call(d.normal(300, 40), (40,), d.normal(40), d.normal(40))),
            Case(
                "no rows",
                lambda d: Call(d.normal(0, 5), (5,), d.normal(5), d.normal(5)),
                zero=("weight", "bias"),
            ),
            Case("no features", lambda d: Call(d.normal(3, 0), (0,), d.normal(0))),
            Case(
                "a negative eps",
                lambda d: Call(d.array([[0.1, 0.2], [-3.0, 4.0]]), (2,), eps=-0.5),
                surrogate="NaN has no derivative",
            ),
            Case(
                "NaN and infinity",
                lambda d: Call(d.array([[1.0, np.nan], [np.inf, 1.0], [2.0, 5.0]]), (2,)),
                surrogate="NaN has no derivative",
                cancels=1.0,
            ),
        ),
    ),
    Layer(
        "LayerNorm",
        nn.LayerNorm,
        torch.nn.LayerNorm,
        source=LAYER,
        cases=(
            Case("defaults", normal(4, 3, 5, scale=2.0, shift=0.5), init=Call(5)),
            Case("several axes", normal(4, 3, 5), init=Call((3, 5))),
            Case("a list", normal(4, 3, 5), init=Call([3, 5], 1e-12)),
            Case("a vector", normal(5), init=Call(5)),
            Case("eps", normal(4, 5, scale=0.1), init=Call(5, eps=0.3)),
            Case("eps 1e-6, near it", normal(4, 5, scale=1e-3), init=Call(5, eps=1e-6)),
            Case("no bias", normal(4, 5), init=Call(5, bias=False)),
            Case("not affine", normal(4, 5), init=Call(5, elementwise_affine=False)),
        ),
    ),
    Op(
        "rms_norm",
        F.rms_norm,
        torch.nn.functional.rms_norm,
        source=RMS,
        cases=(
            Case("plain", lambda d: Call(d.normal(4, 5, scale=2.0) + d.array(0.7), (5,))),
            Case("weight", lambda d: Call(d.normal(2, 3, 5), (5,), d.normal(5))),
            Case("several axes", lambda d: Call(d.normal(4, 3, 5), [3, 5], d.normal(3, 5))),
            Case("eps", lambda d: Call(d.normal(3, 5), (5,), eps=0.3)),
            Case("near eps", lambda d: Call(d.normal(3, 5, scale=1e-4), (5,), d.normal(5))),
            Case("zeros", lambda d: Call(d.normal(3, 5) * d.array([[1.0], [0], [1]]), (5,))),
            Case("huge", lambda d: Call(d.normal(3, 5, scale=1e6), (5,), d.normal(5))),
            Case(
                "far off",
                lambda d: Call(d.normal(3, 5) + d.array(1e3), (5,), d.normal(5)),
                c=FAR,
                reason="n is 1 but for a thousandth, so that its gradient cancels",
            ),
            Case("no rows", lambda d: Call(d.normal(0, 5), (5,), d.normal(5)), zero=("weight",)),
            Case(
                "a negative eps",
                lambda d: Call(d.array([[0.1, 0.2], [-3.0, 4.0]]), (2,), eps=-0.5),
                surrogate="NaN has no derivative",
            ),
        ),
    ),
    Layer(
        "RMSNorm",
        nn.RMSNorm,
        torch.nn.RMSNorm,
        source=RMS,
        cases=(
            Case("defaults", normal(4, 3, 5, scale=2.0, shift=0.5), init=Call(5)),
            Case("several axes", normal(4, 3, 5), init=Call([3, 5])),
            Case("eps", normal(4, 5, scale=0.1), init=Call(5, eps=0.3)),
            Case("near eps", normal(4, 5, scale=1e-4), init=Call(5)),
            Case("not affine", normal(4, 5), init=Call(5, elementwise_affine=False)),
        ),
    ),
    Op(
        "group_norm",
        F.group_norm,
        torch.nn.functional.group_norm,
        source=GROUP,
        cases=(
            Case("plain", lambda d: Call(d.normal(2, 6, 4, scale=2.0) + d.array(0.7), 3)),
            Case(
                "affine",
                lambda d: Call(d.normal(2, 6, 4, 3), 2, d.normal(6), d.normal(6)),
            ),
            Case("one group", lambda d: Call(d.normal(2, 3, 4), 1, d.normal(3), d.normal(3))),
            Case("groups of one", lambda d: Call(d.normal(2, 3, 5), 3, d.normal(3))),
            Case("features", lambda d: Call(d.normal(3, 8), 2, d.normal(8), d.normal(8))),
            Case("eps", lambda d: Call(d.normal(2, 4, 3), 2, eps=0.3)),
            Case("near eps", lambda d: Call(d.normal(2, 4, 3, scale=1e-3), 2, d.normal(4))),
            Case(
                "far off",
                lambda d: Call(d.normal(2, 4, 9) + d.array(1e3), 2, d.normal(4)),
                c=FAR,
                reason=FAR_REASON,
            ),
            Case(
                "empty",
                lambda d: Call(d.normal(0, 4, 3), 2, d.normal(4), d.normal(4)),
                zero=("weight", "bias"),
            ),
        ),
    ),
    Layer(
        "GroupNorm",
        nn.GroupNorm,
        torch.nn.GroupNorm,
        source=GROUP,
        cases=(
            Case("defaults", normal(2, 6, 4, 3, scale=2.0, shift=0.5), init=Call(3, 6)),
            Case("one group", normal(2, 6, 5), init=Call(1, 6)),
            Case("eps", normal(2, 6, 5, scale=0.1), init=Call(2, 6, 0.3)),
            Case("no bias", normal(2, 6, 5), init=Call(2, 6, bias=False)),
            Case("not affine", normal(2, 6, 5), init=Call(2, 6, affine=False)),
        ),
    ),
    Op(
        "local_response_norm",
        F.local_response_norm,
        torch.nn.functional.local_response_norm,
        source=RESPONSE,
        cases=(
            Case("defaults", lambda d: Call(d.normal(2, 7, 3, 4, scale=9.0), 5)),
            Case("options", lambda d: Call(d.normal(2, 7, 3), 3, 0.7, 0.6, 1.3)),
            Case("even", lambda d: Call(d.normal(2, 7, 3), 4, alpha=0.9)),
            Case("two", lambda d: Call(d.normal(2, 3, 4), 2, alpha=0.9)),
            Case("one", lambda d: Call(d.normal(2, 3, 4), 1, alpha=0.9)),
            Case("wider than the channels", lambda d: Call(d.normal(2, 3, 4), 9, alpha=0.9)),
            Case("volumes", lambda d: Call(d.normal(2, 5, 2, 3, 4), 3, alpha=0.9)),
            Case(
                "negative k",
                lambda d: Call(d.normal(1, 3, 2), 3, k=-1.0),
                surrogate="NaN has no derivative",
            ),
            Case("no samples", lambda d: Call(d.normal(0, 3, 2), 3)),
        ),
    ),
    Layer(
        "LocalResponseNorm",
        nn.LocalResponseNorm,
        torch.nn.LocalResponseNorm,
        source=RESPONSE,
        cases=(
            Case("defaults", normal(2, 7, 3, 4, scale=9.0), init=Call(5)),
            Case("options", normal(2, 7, 3), init=Call(4, 0.7, 0.6, 1.3)),
        ),
    ),
    Layer(
        "CrossMapLRN2d",
        nn.CrossMapLRN2d,
        torch.nn.CrossMapLRN2d,
        source=RESPONSE,
        cases=tuple(
            Case(
                f"size {size}",
                normal(2, 9, 3, 4),
                init=Call(size, 0.7, 0.6, 1.3),
                surrogate="torch sums over other channels than the derivative does",
            )
            for size in (2, 3, 4, 5)
        ),
    ),
]


def _norm_backward(dy: Any) -> Any:
    return F.batch_norm(zeros(2, 3), None, None, training=True)[1](dy)


def _statistics(**running: Any) -> Callable[[], Any]:
    arguments = {"running_mean": zeros(3), "running_var": zeros(3), **running}
    return lambda: F.batch_norm(zeros(2, 3), **arguments)


REFUSALS = [
    Refusal(
        "batch_norm: integer input",
        lambda: F.batch_norm(np.ones((2, 3), int), None, None, training=True),
        "batch_norm",
    ),
    Refusal("batch_norm: a vector", lambda: F.batch_norm(zeros(3), None, None), "batch_norm"),
    Refusal("batch_norm: no statistics", lambda: F.batch_norm(zeros(2, 3), None, None), "batch_no"),
    Refusal("batch_norm: a mean only", _statistics(running_var=None), "batch_norm"),
    Refusal("batch_norm: a variance only", _statistics(running_mean=None), "batch_norm"),
    Refusal("batch_norm: length of mean", _statistics(running_mean=zeros(2)), "batch_norm"),
    Refusal("batch_norm: shape of variance", _statistics(running_var=zeros(1, 3)), "batch_norm"),
    Refusal("batch_norm: dtype of mean", _statistics(running_mean=np.zeros(3, "f")), "batch_norm"),
    Refusal("batch_norm: length of weight", _statistics(weight=zeros(1)), "batch_norm"),
    Refusal("batch_norm: dtype of bias", _statistics(bias=np.zeros(3, "f")), "batch_norm"),
    Refusal("batch_norm: momentum", _statistics(momentum=None), "batch_norm"),
    Refusal("batch_norm: negative eps", _statistics(eps=-1.0), "batch_norm"),
    Refusal("batch_norm: eps 0 in training", _statistics(eps=0.0, training=True), "batch_norm"),
    Refusal("batch_norm: biased", _statistics(biased_running_var=None), "batch_norm"),
    Refusal(
        "batch_norm: one value",
        lambda: F.batch_norm(zeros(1, 3), None, None, training=True),
        "batch_norm",
    ),
    Refusal(
        "batch_norm: one pixel",
        lambda: F.batch_norm(zeros(1, 3, 1, 1), None, None, training=True),
        "batch_norm",
    ),
    Refusal("batch_norm: shape of dy", lambda: _norm_backward(zeros(3)), "batch_norm backward"),
    Refusal("BatchNorm1d: images", lambda: nn.BatchNorm1d(3)(zeros(2, 3, 4, 5)), "BatchNorm1d"),
    Refusal("BatchNorm1d: one sample", lambda: nn.BatchNorm1d(3)(_f(1, 3)), "batch_norm"),
    Refusal("BatchNorm2d: unbatched", lambda: nn.BatchNorm2d(3)(zeros(3, 4, 5)), "BatchNorm2d"),
    Refusal("BatchNorm2d: channels", lambda: nn.BatchNorm2d(3)(_f(2, 4, 5, 6)), "BatchNorm2d"),
    Refusal("BatchNorm3d: images", lambda: nn.BatchNorm3d(3)(zeros(2, 3, 4, 5)), "BatchNorm3d"),
    Refusal("BatchNorm3d: dtype", lambda: nn.BatchNorm3d(3)(zeros(2, 3, 4, 5, 6)), "batch_norm"),
    Refusal("BatchNorm2d: num_features", lambda: nn.BatchNorm2d(-1), "BatchNorm2d"),
    Refusal("BatchNorm2d: momentum", lambda: nn.BatchNorm2d(3, momentum=unchecked("a")), "BatchN"),
    Refusal("BatchNorm1d: keeps", lambda: nn.BatchNorm1d(3, momentum_keeps=unchecked(2)), "BatchN"),
    Refusal(
        "BatchNorm2d: biased",
        lambda: nn.BatchNorm2d(3, biased_running_var=unchecked("no")),
        "BatchNorm2d",
    ),
    Refusal("BatchNorm2d: eps", lambda: nn.BatchNorm2d(3, eps=-1e-5), "BatchNorm2d"),
    Refusal("instance_norm: a vector", lambda: F.instance_norm(zeros(3)), "instance_norm"),
    Refusal("instance_norm: integers", lambda: F.instance_norm(np.ones((2, 3, 4), int)), "instanc"),
    Refusal("instance_norm: one value", lambda: F.instance_norm(zeros(2, 3, 1)), "instance_norm"),
    Refusal("instance_norm: no pixels", lambda: F.instance_norm(zeros(2, 3)), "instance_norm"),
    Refusal(
        "instance_norm: no statistics",
        lambda: F.instance_norm(zeros(2, 3, 4), use_input_stats=False),
        "instance_norm",
    ),
    Refusal(
        "instance_norm: a mean only", lambda: F.instance_norm(zeros(2, 3, 4), zeros(3)), "instance_"
    ),
    Refusal(
        "instance_norm: length of weight",
        lambda: F.instance_norm(zeros(2, 3, 4), weight=zeros(2)),
        "instance_norm",
    ),
    Refusal(
        "instance_norm: eps", lambda: F.instance_norm(zeros(2, 3, 4), eps=-1.0), "instance_norm"
    ),
    Refusal("InstanceNorm1d: images", lambda: nn.InstanceNorm1d(3)(zeros(1, 3, 4, 5)), "InstanceN"),
    Refusal("InstanceNorm2d: features", lambda: nn.InstanceNorm2d(3)(zeros(3, 4)), "InstanceNorm2"),
    Refusal("InstanceNorm3d: images", lambda: nn.InstanceNorm3d(3)(zeros(3, 4, 5)), "InstanceNorm"),
    Refusal(
        "InstanceNorm2d: channels",
        lambda: nn.InstanceNorm2d(3, affine=True)(_f(2, 4, 5, 6)),
        "InstanceNorm2d",
    ),
    Refusal("layer_norm: an int", lambda: F.layer_norm(zeros(3), unchecked(3)), "layer_norm"),
    Refusal("layer_norm: no axes", lambda: F.layer_norm(zeros(3), ()), "layer_norm"),
    Refusal("layer_norm: width", lambda: F.layer_norm(zeros(2, 3), (4,)), "layer_norm"),
    Refusal("layer_norm: too few axes", lambda: F.layer_norm(zeros(3), (2, 3)), "layer_norm"),
    Refusal(
        "layer_norm: half a size", lambda: F.layer_norm(zeros(3), unchecked((3.5,))), "layer_n"
    ),
    Refusal("layer_norm: weight", lambda: F.layer_norm(zeros(2, 3), (3,), zeros(2)), "layer_norm"),
    Refusal(
        "layer_norm: dtype of bias",
        lambda: F.layer_norm(zeros(2, 3), (3,), bias=np.zeros(3, "f")),
        "layer_norm",
    ),
    Refusal("layer_norm: integers", lambda: F.layer_norm(np.arange(3), (3,)), "layer_norm"),
    Refusal(
        "layer_norm: eps", lambda: F.layer_norm(zeros(3), (3,), eps=unchecked("a")), "layer_no"
    ),
    Refusal("LayerNorm: no axes", lambda: nn.LayerNorm(()), "LayerNorm"),
    Refusal("LayerNorm: negative", lambda: nn.LayerNorm(-1), "LayerNorm"),
    Refusal("LayerNorm: eps", lambda: nn.LayerNorm(3, eps=unchecked(None)), "LayerNorm"),
    Refusal("rms_norm: width", lambda: F.rms_norm(zeros(2, 3), (4,)), "rms_norm"),
    Refusal("rms_norm: weight", lambda: F.rms_norm(zeros(2, 3), (3,), zeros(1, 3)), "rms_norm"),
    Refusal("rms_norm: integers", lambda: F.rms_norm(np.arange(3), (3,)), "rms_norm"),
    Refusal("rms_norm: eps", lambda: F.rms_norm(zeros(3), (3,), eps=unchecked("a")), "rms_norm"),
    Refusal("RMSNorm: a size", lambda: nn.RMSNorm(unchecked(2.5)), "RMSNorm"),
    Refusal("RMSNorm: eps", lambda: nn.RMSNorm(2, eps=unchecked("a")), "RMSNorm"),
    Refusal("group_norm: a vector", lambda: F.group_norm(zeros(4), 2), "group_norm"),
    Refusal("group_norm: integers", lambda: F.group_norm(np.ones((2, 4), int), 2), "group_norm"),
    Refusal("group_norm: groups", lambda: F.group_norm(zeros(2, 4, 5), 3), "group_norm"),
    Refusal("group_norm: no groups", lambda: F.group_norm(zeros(2, 4, 5), 0), "group_norm"),
    Refusal("group_norm: one value", lambda: F.group_norm(zeros(1, 2), 2), "group_norm"),
    Refusal("group_norm: weight", lambda: F.group_norm(zeros(2, 4, 5), 2, zeros(2)), "group_norm"),
    Refusal("GroupNorm: groups", lambda: nn.GroupNorm(3, 4), "GroupNorm"),
    Refusal("GroupNorm: no groups", lambda: nn.GroupNorm(0, 4), "GroupNorm"),
    Refusal("GroupNorm: eps", lambda: nn.GroupNorm(2, 4, unchecked("a")), "GroupNorm"),
    Refusal(
        "local_response_norm: features", lambda: F.local_response_norm(zeros(2, 4), 2), "local_resp"
    ),
    Refusal(
        "local_response_norm: size", lambda: F.local_response_norm(zeros(2, 4, 3), 0), "local_resp"
    ),
    Refusal(
        "local_response_norm: integers",
        lambda: F.local_response_norm(np.ones((2, 4, 3), int), 2),
        "local_response_norm",
    ),
    Refusal(
        "local_response_norm: alpha",
        lambda: F.local_response_norm(zeros(2, 4, 3), 2, unchecked("a")),
        "local_response_norm",
    ),
    Refusal("LocalResponseNorm: size", lambda: nn.LocalResponseNorm(0), "LocalResponseNorm"),
    Refusal(
        "LocalResponseNorm: beta", lambda: nn.LocalResponseNorm(2, 1, unchecked("a")), "LocalR"
    ),
    Refusal("CrossMapLRN2d: size", lambda: nn.CrossMapLRN2d(0), "CrossMapLRN2d"),
    Refusal(
        "CrossMapLRN2d: features", lambda: nn.CrossMapLRN2d(2)(zeros(2, 4, 3)), "CrossMapLRN2d"
    ),
]


def _f(*shape: int) -> Array:
    return np.zeros(shape, np.float32)
