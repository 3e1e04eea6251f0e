"""Conventions of convolution that differ, each as a mutant that the suite must notice."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.op import Backward
from scratch.random import Generator


def flipped_conv2d(
    input: Array, weight: Array, bias: Array | None = None, *args: Any, **options: Any
) -> tuple[Array, Backward]:
    """The mathematical convolution: the kernel reversed along every spatial axis."""
    y, back = F.conv2d(input, np.ascontiguousarray(weight[..., ::-1, ::-1]), bias, *args, **options)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dweight, *dbias = back(dy)
        return dx, dweight[..., ::-1, ::-1], *dbias

    return y, backward


def transposed_kernel_conv2d(
    input: Array, weight: Array, bias: Array | None = None, *args: Any, **options: Any
) -> tuple[Array, Backward]:
    """Rows and columns of a square kernel exchanged, as where W comes before H."""
    if weight.shape[2] != weight.shape[3]:
        return F.conv2d(input, weight, bias, *args, **options)
    swapped = np.ascontiguousarray(weight.swapaxes(2, 3))
    y, back = F.conv2d(input, swapped, bias, *args, **options)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dweight, *dbias = back(dy)
        return dx, dweight.swapaxes(2, 3), *dbias

    return y, backward


def odd_one_first(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """'same' with the odd zero in front of the image."""
    if padding != "same":
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    apart = dilation if isinstance(dilation, Sequence) else (dilation, dilation)
    total = [d * (k - 1) for d, k in zip(apart, weight.shape[2:], strict=True)]
    sides = [n for t in reversed(total) for n in (t - t // 2, t // 2)]
    padded, pad_back = F.pad(input, sides)
    y, conv_back = F.conv2d(padded, weight, bias, stride, 0, dilation, groups)

    def backward(dy: Array) -> tuple[Array, ...]:
        dpadded, *dparameters = conv_back(dy)
        return pad_back(dpadded), *dparameters

    return y, backward


def interleaved_groups(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Input channel c belongs to group c mod groups, instead of each group to a run of channels."""
    axis = input.ndim - 3
    order = np.arange(input.shape[axis]).reshape(-1, groups).T.ravel()
    x = np.ascontiguousarray(input.take(order, axis))
    y, back = F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, *dparameters = back(dy)
        return dx.take(np.argsort(order), axis), *dparameters

    return y, backward


def interleaved_outputs(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """A depthwise multiplier that varies slowest: outputs m C + c instead of c M + m."""
    y, back = F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    axis = y.ndim - 3
    order = np.arange(len(weight)).reshape(groups, -1).T.ravel()
    inverse = np.argsort(order)
    return y.take(order, axis), lambda dy: back(np.ascontiguousarray(dy.take(inverse, axis)))


def out_channels_first(
    input: Array, weight: Array, *args: Any, **options: Any
) -> tuple[Array, Backward]:
    """W read as (O, C, ...) where in and out are as many; the shapes do not tell."""
    square = weight.shape[0] == weight.shape[1]
    swapped = np.ascontiguousarray(weight.swapaxes(0, 1)) if square else weight
    y, back = F.conv_transpose2d(input, swapped, *args, **options)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dweight, *dbias = back(dy)
        return dx, dweight.swapaxes(0, 1) if square else dweight, *dbias

    return y, backward


def output_padding_in_front(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> tuple[Array, Backward]:
    """The output extended at the top and left instead of the bottom and right."""
    options = stride, padding, output_padding, groups, dilation
    y, back = F.conv_transpose2d(input, weight, bias, *options)
    extra = output_padding if isinstance(output_padding, Sequence) else (output_padding,) * 2
    turn = tuple(extra)
    return np.roll(y, turn, (-2, -1)), lambda dy: back(np.roll(dy, [-n for n in turn], (-2, -1)))


def output_padding_of_zeros(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> tuple[Array, Backward]:
    """output_padding appends zeros, instead of cropping less of what the kernel wrote."""
    y, back = F.conv_transpose2d(input, weight, bias, stride, padding, 0, groups, dilation)
    extra = output_padding if isinstance(output_padding, Sequence) else (output_padding,) * 2
    padded, pad_back = F.pad(y, (0, extra[1], 0, extra[0]))
    return padded, lambda dy: back(pad_back(dy))


def mean_bias_gradient(input: Array, *args: Any, **options: Any) -> tuple[Array, Backward]:
    """The bias's gradient averaged over positions, as where each image counts once."""
    y, back = F.conv2d(input, *args, **options)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dweight, *dbias = back(dy)
        return dx, dweight, *(db / math.prod(y.shape[-2:]) for db in dbias)

    return y, backward


class ZerosConv2d(nn.Conv2d):
    """padding_mode ignored: zeros around the image."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """With zeros."""
        return self._apply(input, self.padding)


def start(fan_in: Any, bias_fan: Any, input: Array) -> tuple[Array, Backward]:
    """A fresh Conv2d of uniform weight and bias, with these bounds."""
    layer = nn.Conv2d(4, 6, (3, 2), groups=2, dtype=input.dtype, generator=Generator(1))
    assert layer.bias is not None
    generator = Generator(0)
    init.uniform_(layer.weight, -fan_in, fan_in, generator=generator)
    init.uniform_(layer.bias, -bias_fan, bias_fan, generator=generator)
    return layer(input)


def fan_in_of_all_groups(input: Array) -> tuple[Array, Backward]:
    """The fan-in counts the channels of every group."""
    return start(1 / math.sqrt(4 * 6), 1 / math.sqrt(4 * 6), input)


def he_start(input: Array) -> tuple[Array, Backward]:
    """He et al.'s bound, and a bias of zero."""
    return start(math.sqrt(6 / (2 * 6)), 0.0, input)


def transpose_fan_in_of_input(input: Array) -> tuple[Array, Backward]:
    """The fan-in of a transposed convolution counts its input channels."""
    layer = nn.ConvTranspose2d(4, 6, (3, 2), groups=2, dtype=input.dtype, generator=Generator(1))
    assert layer.bias is not None
    generator, bound = Generator(0), 1 / math.sqrt(2 * 6)
    init.uniform_(layer.weight, -bound, bound, generator=generator)
    init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer(input)


PITFALLS = [
    Pitfall(
        "convolution flips its kernel",
        entry="conv2d",
        difference="torch: cross-correlation; mathematics and SciPy's convolve: kernel reversed",
        mutant=flipped_conv2d,
    ),
    Pitfall(
        "kernel with columns before rows",
        entry="conv2d",
        difference="torch: weight (O, C, KH, KW); others: (..., KW, KH), equal in shape if square",
        mutant=transposed_kernel_conv2d,
    ),
    Pitfall(
        "'same' with the odd zero in front",
        entry="conv2d",
        difference="torch: an even kernel's odd zero is at the bottom and right; others: in front",
        mutant=odd_one_first,
    ),
    Pitfall(
        "groups of interleaved channels",
        entry="conv2d",
        difference="torch: group g reads a run of channels; others: every groups-th channel",
        mutant=interleaved_groups,
    ),
    Pitfall(
        "depthwise outputs with the multiplier slowest",
        entry="conv2d",
        difference="torch: output c M + m; others: m C + c",
        mutant=interleaved_outputs,
    ),
    Pitfall(
        "convolution's bias gradient is a mean",
        entry="conv2d",
        difference="torch: the sum over images and positions; others: their mean",
        mutant=mean_bias_gradient,
    ),
    Pitfall(
        "transposed convolution with outputs first",
        entry="conv_transpose2d",
        difference="torch: weight (C, O / groups, KH, KW); others: (O, C / groups, KH, KW)",
        mutant=out_channels_first,
    ),
    Pitfall(
        "output_padding in front",
        entry="conv_transpose2d",
        difference="torch: extends the output at the bottom and right only; others: in front",
        mutant=output_padding_in_front,
    ),
    Pitfall(
        "output_padding appends zeros",
        entry="conv_transpose2d",
        difference="torch: crops less, so the kernel's values stand there; others: zeros",
        mutant=output_padding_of_zeros,
    ),
    Pitfall(
        "padding_mode ignored",
        entry="Conv2d",
        difference="torch: reflect, replicate and circular fill in values of the image; zeros",
        mutant=ZerosConv2d,
    ),
    Pitfall(
        "Conv2d starts as He's",
        entry="Conv2d from its start",
        difference="torch: U(+-1/sqrt(fan_in)) for weight and bias; He: sqrt(6/fan_in), bias 0",
        mutant=he_start,
    ),
    Pitfall(
        "Conv2d's fan-in counts all groups",
        entry="Conv2d from its start",
        difference="torch: fan_in = C / groups KH KW; others: C KH KW",
        mutant=fan_in_of_all_groups,
    ),
    Pitfall(
        "ConvTranspose2d's fan-in is of its input",
        entry="ConvTranspose2d from its start",
        difference="torch: fan_in = O / groups KH KW, from weight's second axis; others: C KH KW",
        mutant=transpose_fan_in_of_input,
    ),
]
