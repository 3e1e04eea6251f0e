"""Benchmarks of the convolutional networks' ops, float32, forward and backward."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity_tests.benchmarks.timing import Timing, normal, op
from scratch.nn import functional as F

T = torch.nn.functional


def conv2d(
    target: float,
    x: tuple[int, int, int, int],
    outputs: int,
    kernel: int,
    needs_input_grad: bool = True,
    **options: Any,
) -> Timing:
    """A convolution with a bias; the weight's shape follows from the groups."""
    inner = x[1] // options.get("groups", 1)
    text = "".join(f", {name} {value}" for name, value in options.items())
    return op(
        f"conv2d {' x '.join(map(str, x))}, {kernel} x {kernel} to {outputs}{text}"
        + ("" if needs_input_grad else ", input is data"),
        partial(F.conv2d, **options),
        partial(T.conv2d, **options),
        (normal(*x), normal(outputs, inner, kernel, kernel), normal(outputs)),
        target,
        needs_input_grad,
    )


def conv_transpose2d(target: float, **options: Any) -> Timing:
    """The usual layer of a decoder: twice as many pixels, half as many channels."""
    return op(
        "conv_transpose2d 16 x 64 x 14 x 14, 4 x 4 to 32, stride 2",
        partial(F.conv_transpose2d, **options),
        partial(T.conv_transpose2d, **options),
        (normal(16, 64, 14, 14), normal(64, 32, 4, 4), normal(32)),
        target,
    )


def max_pool2d(target: float) -> Timing:
    """Without overlap."""
    name = "max_pool2d 32 x 32 x 28 x 28, 2 x 2"
    ours = partial(F.max_pool2d, kernel_size=2)
    theirs = partial(T.max_pool2d, kernel_size=2)
    return op(name, ours, theirs, (normal(32, 32, 28, 28),), target)


def interpolate(target: float) -> Timing:
    """Bilinear, to twice the size."""

    def ours(x: Any) -> Any:
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    def theirs(x: Any) -> Any:
        return T.interpolate(x, scale_factor=2, mode="bilinear")

    name = "interpolate 8 x 32 x 28 x 28, bilinear, x 2"
    return op(name, ours, theirs, (normal(8, 32, 28, 28),), target)


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "conv_3x3": partial(conv2d, 1.5, (32, 16, 28, 28), 32, 3, padding=1),
    "conv_3x3_deep": partial(conv2d, 1.5, (32, 64, 14, 14), 64, 3, padding=1),
    "conv_5x5": partial(conv2d, 1.3, (32, 3, 32, 32), 32, 5, padding=2),
    "conv_5x5_first": partial(conv2d, 1.3, (32, 3, 32, 32), 32, 5, False, padding=2),
    "conv_1x1": partial(conv2d, 1.0, (32, 64, 14, 14), 128, 1),
    "conv_stride": partial(conv2d, 1.4, (32, 32, 28, 28), 64, 3, padding=1, stride=2),
    "conv_depthwise": partial(conv2d, 3.0, (32, 96, 14, 14), 96, 3, padding=1, groups=96),
    "conv_transpose": partial(conv_transpose2d, 1.5, stride=2, padding=1),
    "max_pool": partial(max_pool2d, 0.7),
    "interpolate": partial(interpolate, 2.0),
}
