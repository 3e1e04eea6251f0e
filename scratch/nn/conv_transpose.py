"""Transposed convolution over one to three spatial axes.   Zeiler et al. 2010, Deconvolutional Nets

forward    y[n, o, s p + d k - a] += W[c, o, k] x[n, c, p] for every c, k, p        y += b
backward   dx[n, c, p] = sum_{o, k} W[c, o, k] dy[n, o, s p + d k - a]
           dW[c, o, k] = sum_{n, p} x[n, c, p] dy[n, o, s p + d k - a]              db[o] = sum dy
shapes     x (N, C, *size)   W (C, O / groups, *kernel)   b (O,)   y (N, O, *out)
           out = (size - 1) s - 2 a + d (kernel - 1) + 1 + output_padding
torch      the adjoint of a convolution with the same weight, which maps y's shape to x's: so W has
           the input's channels first, padding crops the output, and output_padding, which tells
           apart the sizes that a strided convolution rounds down, extends it at the end only
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.conv import ConvNd, Sizes, arrays, channel_sums
from scratch.nn.correlate import Window, correlate, spread, weight_gradient
from scratch.nn.module import value
from scratch.nn.op import Backward, op
from scratch.random import Generator


@op
def conv_transpose1d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> tuple[Array, Backward]:
    """Transposed convolution over a sequence.

    Args:
        input: x (N, C, L) or (C, L).
        weight: W (C, O / groups, K).
        bias: b (O,).
        stride: how far apart two neighbours of x write.
        padding: how much is cropped on either side.
        output_padding: by how much the end is extended; less than stride or dilation.
        groups: how many groups of channels are convolved each by its own.
        dilation: distance of the kernel's taps.

    Returns:
        y (N, O, out) or (O, out), and its backward: dy -> dx, dW[, db]; with
        needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.
    """
    options = stride, padding, output_padding, groups, dilation
    return _conv_transpose("conv_transpose1d", 1, input, weight, bias, *options)


@op
def conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> tuple[Array, Backward]:
    """Transposed convolution over an image.

    Args:
        input: x (N, C, H, W) or (C, H, W).
        weight: W (C, O / groups, KH, KW).
        bias: b (O,).
        stride: how far apart two neighbours of x write; one number, or one for each axis.
        padding: how much is cropped on either side.
        output_padding: by how much the end is extended; less than stride or dilation.
        groups: how many groups of channels are convolved each by its own.
        dilation: distance of the kernel's taps.

    Returns:
        y (N, O, *out) or (O, *out), and its backward: dy -> dx, dW[, db]; with
        needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.
    """
    options = stride, padding, output_padding, groups, dilation
    return _conv_transpose("conv_transpose2d", 2, input, weight, bias, *options)


@op
def conv_transpose3d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> tuple[Array, Backward]:
    """Transposed convolution over a volume.

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        weight: W (C, O / groups, KD, KH, KW).
        bias: b (O,).
        stride: how far apart two neighbours of x write; one number, or one for each axis.
        padding: how much is cropped on either side.
        output_padding: by how much the end is extended; less than stride or dilation.
        groups: how many groups of channels are convolved each by its own.
        dilation: distance of the kernel's taps.

    Returns:
        y (N, O, *out) or (O, *out), and its backward: dy -> dx, dW[, db]; with
        needs_input_grad=False dx is None.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not an integer.
        ValueError: if a shape does not fit or an option is out of its range.
    """
    options = stride, padding, output_padding, groups, dilation
    return _conv_transpose("conv_transpose3d", 3, input, weight, bias, *options)


def _conv_transpose(
    name: str,
    nd: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> tuple[Array, Backward]:
    x, weight, bias = arrays(name, nd, input, weight, bias)
    groups = check.size(name, "groups", groups, low=1)
    stride = check.sizes(name, "stride", stride, nd, low=1)
    padding = check.sizes(name, "padding", padding, nd)
    dilation = check.sizes(name, "dilation", dilation, nd, low=1)
    extra = check.sizes(name, "output_padding", output_padding, nd)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        check.refuse(name, "output_padding less than stride or dilation", extra)
    batch = x if x.ndim == nd + 2 else x[None]
    if batch.shape[1] != len(weight):
        check.refuse(name, f"{len(weight)} channels (len(weight)) in input", batch.shape[1])
    if len(weight) % groups:
        check.refuse(name, f"len(weight) divisible by {groups} groups", len(weight))
    kernel = weight.shape[2:]
    size = output_size(batch.shape[2:], kernel, stride, padding, dilation, extra)
    if min(size) < 1:
        check.refuse(name, "an output of at least 1 along each spatial axis", size)
    if bias is not None:
        check.shape(name, "bias", bias, (weight.shape[1] * groups,))

    window = Window(stride, dilation, padding, groups)
    y = spread(batch, weight, window, size)
    if bias is not None:
        y += bias.reshape(-1, *[1] * nd)

    def backward(dy: Array, needs_input_grad: bool = True) -> tuple[Array | None, ...]:
        dy = dy.reshape(len(batch), weight.shape[1] * groups, *size)
        dx = None
        if needs_input_grad:
            dx = correlate(dy, weight, window, batch.shape[2:]).reshape(x.shape)
        grads = dx, weight_gradient(dy, batch, weight, window)
        return grads if bias is None else (*grads, channel_sums(dy))

    return y if x.ndim == nd + 2 else y[0], backward


def output_size(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    extra: Sequence[int],
) -> tuple[int, ...]:
    """Spatial sizes of a transposed convolution's output."""
    axes = zip(size, kernel, stride, padding, dilation, extra, strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in axes)


class ConvTransposeNd(ConvNd):
    """What the transposed convolutions share.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: one for all spatial axes or one for each; so the next three and dilation.
        stride: how far apart two neighbours of x write.
        padding: how much is cropped on either side.
        output_padding: by how much the end is extended.
        groups: how many groups of channels are convolved each by its own.
        bias: whether to add b.
        dilation: distance of the kernel's taps.
        padding_mode: 'zeros'.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, C, *size) or (C, *size) to (N, O, *out) or (O, *out).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = type(self).__name__
        check.option(name, "padding_mode", padding_mode, ("zeros",))
        padding = check.sizes(name, "padding", padding, self._nd)
        extra = check.sizes(name, "output_padding", output_padding, self._nd)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            dtype=dtype,
            generator=generator,
        )
        self.output_padding = extra

    def _weight_shape(self) -> tuple[int, ...]:
        return self.in_channels, self.out_channels // self.groups, *self.kernel_size

    def forward(
        self, input: Array, output_size: Sequence[int] | None = None
    ) -> tuple[Array, Backward]:
        """y = W^T x + b.

        Args:
            input: x (N, C, *size) or (C, *size).
            output_size: wanted sizes of y, all or the spatial ones, instead of output_padding.
        """
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        options = self.stride, self._before, extra, self.groups, self.dilation
        y, conv_back = type(self)._op(input, self.weight.data, value(self.bias), *options)
        return y, self._accumulating(conv_back)

    def _extra(self, input: Array, wanted: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives the wanted output size."""
        name, nd = type(self).__name__, self._nd
        x = check.floating(name, "input", input)
        if not isinstance(wanted, Sequence) or len(wanted) not in (nd, x.ndim):
            expected = f"output_size of {nd} or {x.ndim} integers"
            check.refuse(name, expected, check.describe(wanted))
        spatial = tuple(check.size(name, "output_size", n) for n in wanted[-nd:])
        least = output_size(
            x.shape[-nd:], self.kernel_size, self.stride, self._before, self.dilation, (0,) * nd
        )
        extra = tuple(n - m for n, m in zip(spatial, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            check.refuse(name, f"output_size from {least} to {most}", spatial)
        return extra


class ConvTranspose1d(ConvTransposeNd):
    """`conv_transpose1d` with a learned weight and bias; arguments as at `ConvTransposeNd`."""

    _nd, _op = 1, conv_transpose1d


class ConvTranspose2d(ConvTransposeNd):
    """`conv_transpose2d` with a learned weight and bias; arguments as at `ConvTransposeNd`."""

    _nd, _op = 2, conv_transpose2d


class ConvTranspose3d(ConvTransposeNd):
    """`conv_transpose3d` with a learned weight and bias; arguments as at `ConvTransposeNd`."""

    _nd, _op = 3, conv_transpose3d
