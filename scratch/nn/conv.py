"""Convolution over one to three spatial axes.    LeCun, Bottou, Bengio & Haffner 1998, section II.A

forward    y[n, o, p] = sum_{c, k} W[o, c, k] x[n, c, s p + d k - a] + b[o]
backward   dx[n, c, q] = sum_{o, k, p : s p + d k - a = q} W[o, c, k] dy[n, o, p]
           dW[o, c, k] = sum_{n, p} dy[n, o, p] x[n, c, s p + d k - a]      db[o] = sum_{n, p} dy
shapes     x (N, C, *size)   W (O, C / groups, *kernel)   b (O,)   y (N, O, *out)
           out = (size + 2 a - d (kernel - 1) - 1) // s + 1    s stride, d dilation, a padding
torch      is a cross-correlation: the kernel is not flipped. 'same' pads d (kernel - 1) in all, the
           odd one at the end. W and b start from U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.correlate import Window, correlate, spread, weight_gradient
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward, op
from scratch.nn.padding import pad
from scratch.random import Generator

Sizes = int | Sequence[int]
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@op
def conv1d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Convolution over a sequence.

    Args:
        input: x (N, C, L) or (C, L).
        weight: W (O, C / groups, K).
        bias: b (O,).
        stride: step of the window.
        padding: zeros on either side, 'valid' for none, or 'same' for as many as keep the length.
        dilation: distance of the kernel's taps.
        groups: how many groups of channels are convolved each by its own.

    Returns:
        y (N, O, out) or (O, out), and its backward: dy -> dx, dW[, db]; with
        needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@op
def conv2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Convolution over an image.

    Args:
        input: x (N, C, H, W) or (C, H, W).
        weight: W (O, C / groups, KH, KW).
        bias: b (O,).
        stride: step of the window, one for both axes or one for each; so the next two.
        padding: zeros on either side, 'valid' for none, or 'same' for as many as keep the size.
        dilation: distance of the kernel's taps.
        groups: how many groups of channels are convolved each by its own.

    Returns:
        y (N, O, *out) or (O, *out), and its backward: dy -> dx, dW[, db]; with
        needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@op
def conv3d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Convolution over a volume.

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        weight: W (O, C / groups, KD, KH, KW).
        bias: b (O,).
        stride: step of the window, one for all axes or one for each; so the next two.
        padding: zeros on either side, 'valid' for none, or 'same' for as many as keep the size.
        dilation: distance of the kernel's taps.
        groups: how many groups of channels are convolved each by its own.

    Returns:
        y (N, O, *out) or (O, *out), and its backward: dy -> dx, dW[, db]; with
        needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _conv(
    name: str,
    nd: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes | str,
    dilation: Sizes,
    groups: int,
) -> tuple[Array, Backward]:
    x, weight, bias = arrays(name, nd, input, weight, bias)
    groups = check.size(name, "groups", groups, low=1)
    kernel = weight.shape[2:]
    stride = check.sizes(name, "stride", stride, nd, low=1)
    dilation = check.sizes(name, "dilation", dilation, nd, low=1)
    before, after = _padding(name, padding, kernel, stride, dilation)
    batch = x if x.ndim == nd + 2 else x[None]
    if batch.shape[1] != weight.shape[1] * groups:
        expected = f"{weight.shape[1] * groups} channels (groups x weight.shape[1]) in input"
        check.refuse(name, expected, batch.shape[1])
    if len(weight) % groups:
        check.refuse(name, f"len(weight) divisible by {groups} groups", len(weight))
    size = batch.shape[2:]
    axes = zip(size, kernel, stride, dilation, before, after, strict=True)
    out = tuple((n + a + b - d * (k - 1) - 1) // s + 1 for n, k, s, d, a, b in axes)
    if min(out) < 1:
        got = f"sizes {size} under a kernel {kernel} of dilation {dilation}"
        check.refuse(name, "a kernel that fits into the padded input", got)
    if bias is not None:
        check.shape(name, "bias", bias, (len(weight),))

    window = Window(stride, dilation, before, groups)
    y = correlate(batch, weight, window, out)
    if bias is not None:
        y += bias.reshape(-1, *[1] * nd)

    def backward(dy: Array, needs_input_grad: bool = True) -> tuple[Array | None, ...]:
        dy = dy.reshape(len(batch), len(weight), *out)
        dx = spread(dy, weight, window, size).reshape(x.shape) if needs_input_grad else None
        grads = dx, weight_gradient(batch, dy, weight, window)
        return grads if bias is None else (*grads, channel_sums(dy))

    return y if x.ndim == nd + 2 else y[0], backward


def arrays(
    name: str, nd: int, input: Array, weight: Array, bias: Array | None
) -> tuple[Array, Array, Array | None]:
    """The arrays of a convolution over `nd` axes, if their dtypes and numbers of axes fit."""
    x = check.floating(name, "input", input)
    weight = check.floating(name, "weight", weight, like=x)
    if weight.ndim != nd + 2:
        check.refuse(name, f"weight of {nd + 2} dimensions", weight.shape)
    if weight.size == 0:
        check.refuse(name, "weight with at least one entry along each axis", weight.shape)
    if x.ndim not in (nd + 1, nd + 2) or 0 in x.shape[-nd:]:
        expected = f"input of {nd + 1} (no batch) or {nd + 2} dimensions, spatial ones not empty"
        check.refuse(name, expected, x.shape)
    if bias is not None:
        bias = check.floating(name, "bias", bias, like=x)
    return x, weight, bias


def channel_sums(dy: Array) -> Array:
    """Sum over all axes but the channels: the gradient of a bias."""
    total: Array = dy.reshape(*dy.shape[:2], math.prod(dy.shape[2:])).sum(2).sum(0)
    return total


def _padding(
    name: str,
    padding: Sizes | str,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after, for each axis."""
    nd = len(kernel)
    if not isinstance(padding, str):
        both = check.sizes(name, "padding", padding, nd)
        return both, both
    check.option(name, "padding", padding, ("valid", "same"))
    if padding == "valid":
        return (0,) * nd, (0,) * nd
    if any(s != 1 for s in stride):
        check.refuse(name, "stride 1 with padding 'same'", stride)
    return same_padding(kernel, dilation)


def same_padding(
    kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after that keep the size: the odd one comes after."""
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


class ConvNd(Module):
    """What all convolutions share: their arguments, their start and how they print.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: one for all spatial axes or one for each; so the next three.
        stride: step of the window.
        padding: zeros on either side, 'valid' for none, or 'same' for as many as keep the size.
        dilation: distance of the kernel's taps.
        groups: how many groups of channels are convolved each by its own.
        bias: whether to add b.
        padding_mode: 'zeros', or what `pad` fills in: 'reflect', 'replicate' or 'circular'.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, C, *size) or (C, *size) to (N, O, *out) or (O, *out).
    """

    _skips_input_grad = True
    _nd: ClassVar[int]
    _op: ClassVar[Callable[..., tuple[Array, Backward]]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name, nd = type(self).__name__, self._nd
        self.groups = check.size(name, "groups", groups, low=1)
        self.in_channels = check.size(name, "in_channels", in_channels)
        self.out_channels = check.size(name, "out_channels", out_channels)
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                check.refuse(name, f"{what} divisible by groups={groups}", channels)
        check.option(name, "padding_mode", padding_mode, PADDING_MODES)
        self.kernel_size = check.sizes(name, "kernel_size", kernel_size, nd, low=1)
        self.stride = check.sizes(name, "stride", stride, nd, low=1)
        self.dilation = check.sizes(name, "dilation", dilation, nd, low=1)
        self._before, self._after = _padding(
            name, padding, self.kernel_size, self.stride, self.dilation
        )
        self.padding = padding if isinstance(padding, str) else self._before
        self.output_padding = (0,) * nd  # of the transposed ones
        self.padding_mode = padding_mode
        self.weight = Parameter(np.empty(self._weight_shape(), dtype))
        self.bias = Parameter(np.empty(out_channels, dtype)) if bias else None
        self.reset_parameters(generator)

    def _weight_shape(self) -> tuple[int, ...]:
        return self.out_channels, self.in_channels // self.groups, *self.kernel_size

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start: weight, then bias, as torch does."""
        generator = generator or Generator()
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = W * x + b."""
        if self.padding_mode == "zeros":
            return self._apply(input, self.padding)
        last_first = zip(self._before[::-1], self._after[::-1], strict=True)
        padded, pad_back = pad(input, [n for axis in last_first for n in axis], self.padding_mode)
        y, conv_back = self._apply(padded, 0)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dpadded = conv_back(dy, needs_input_grad=needs_input_grad)
            dx: Array | None = pad_back(dpadded) if needs_input_grad else None
            return dx

        return y, backward

    def _apply(self, input: Array, padding: Sizes | str) -> tuple[Array, Backward]:
        """The op on the parameters."""
        options = self.stride, padding, self.dilation, self.groups
        y, conv_back = type(self)._op(input, self.weight.data, value(self.bias), *options)
        return y, self._accumulating(conv_back)

    def _accumulating(self, conv_back: Backward) -> Backward:
        """An op's backward that keeps the parameters' gradients and returns the input's."""

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None
            dx, dweight, *dbias = conv_back(dy, needs_input_grad=needs_input_grad)
            self.weight.accumulate(dweight)
            if self.bias is not None:
                self.bias.accumulate(*dbias)
            return dx

        return backward

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        if self.padding != (0,) * self._nd:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self._nd:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * self._nd:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(ConvNd):
    """`conv1d` with a learned weight and bias; arguments as listed at `ConvNd`."""

    _nd, _op = 1, conv1d


class Conv2d(ConvNd):
    """`conv2d` with a learned weight and bias; arguments as listed at `ConvNd`."""

    _nd, _op = 2, conv2d


class Conv3d(ConvNd):
    """`conv3d` with a learned weight and bias; arguments as listed at `ConvNd`."""

    _nd, _op = 3, conv3d
