"""Weights of convolutions from Keras, whose channels come last.

pictures    torch (N, C, H, W)                          Keras (N, H, W, C)
Conv        torch (out, in / groups, kH, kW)            Keras (kH, kW, in / groups, out)
transposed  torch (in, out, kH, kW)                     Keras (kH, kW, out, in)
depthwise   torch (in m, 1, kH, kW), groups = in        Keras (kH, kW, in, m)
Linear      torch (out, in)                             Keras (in, out)
the same    neither flips the kernel
flattened   a picture's numbers lie in the order C H W or H W C, so that the layer that follows has
            its columns in another order: no shape tells, only the numbers come out wrong
not here    padding='same' with a stride: Keras pads by the picture's size, torch refuses it
"""

from collections.abc import Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.conv import ConvNd
from scratch.nn.conv_transpose import ConvTransposeNd
from scratch.nn.linear import Linear


def keras_conv_weights(
    layer: ConvNd, kernel: Array, bias: Array | None = None, *, depthwise: bool = False
) -> dict[str, Array]:
    """A convolution of Keras, transposed or not, under torch's names.

    Args:
        layer: what is to be loaded: Conv1d to 3d or ConvTranspose1d to 3d.
        kernel: (*k, in / groups, out); (*k, out, in) of a transposed one.
        bias: (out,); None for none.
        depthwise: of DepthwiseConv: the kernel is (*k, in, m), and the layer has `in` groups.

    Returns:
        Arrays by name, for `load_state_dict`.

    Raises:
        TypeError: if the layer or an array is of another kind.
        ValueError: if a shape does not fit.
    """
    name = "keras_conv_weights"
    if not isinstance(layer, ConvNd):
        check.refuse(name, "layer to be a convolution", check.describe(layer), TypeError)
    kernel = check.floating(name, "kernel", kernel)
    size, c_in, c_out, groups = (
        layer.kernel_size,
        layer.in_channels,
        layer.out_channels,
        layer.groups,
    )
    axes = range(len(size))
    transposed = isinstance(layer, ConvTransposeNd)
    if transposed and groups != 1:
        check.refuse(name, "a transposed convolution of one group, as Keras' are", layer)
    if depthwise:
        if transposed or groups != c_in:
            check.refuse(name, f"a Conv with groups={c_in} for a depthwise kernel", layer)
        check.shape(name, "kernel", kernel, (*size, c_in, c_out // c_in))
        weight = np.moveaxis(kernel, axes, range(2, 2 + len(size)))  # (in, m, *k)
        weight = weight.reshape(c_out, 1, *size)
    else:
        last = (c_out, c_in) if transposed else (c_in // groups, c_out)
        check.shape(name, "kernel", kernel, (*size, *last))
        weight = kernel.transpose(len(size) + 1, len(size), *axes)
    return {"weight": np.ascontiguousarray(weight)} | _bias(name, layer, bias, c_out, kernel)


def keras_dense_weights(
    layer: Linear,
    kernel: Array,
    bias: Array | None = None,
    *,
    flattened: Sequence[int] | None = None,
) -> dict[str, Array]:
    """A Dense layer of Keras under torch's names.

    Args:
        layer: what is to be loaded.
        kernel: (in, out).
        bias: (out,); None for none.
        flattened: (C, ...), torch's shape of the pictures that `Flatten` hands to the layer, a
            sample at a time; None if none does.

    Returns:
        Arrays by name, for `load_state_dict`.

    Raises:
        TypeError: if the layer or an array is of another kind.
        ValueError: if a shape does not fit.
    """
    name = "keras_dense_weights"
    if not isinstance(layer, Linear):
        check.refuse(name, "layer to be a Linear", check.describe(layer), TypeError)
    kernel = check.floating(name, "kernel", kernel)
    check.shape(name, "kernel", kernel, (layer.in_features, layer.out_features))
    weight = kernel.T
    if flattened is not None:
        channels, *pixels = (check.size(name, "every size of flattened", n) for n in flattened)
        if channels * int(np.prod(pixels)) != layer.in_features:
            expected = f"flattened to have a product of {layer.in_features}"
            check.refuse(name, expected, tuple(flattened))
        weight = np.moveaxis(weight.reshape(-1, *pixels, channels), -1, 1).reshape(weight.shape)
    found = {"weight": np.ascontiguousarray(weight)}
    return found | _bias(name, layer, bias, layer.out_features, kernel)


def _bias(
    name: str, layer: ConvNd | Linear, bias: Array | None, size: int, kernel: Array
) -> dict[str, Array]:
    has = layer.bias is not None
    if (bias is not None) != has:
        check.refuse(name, f"a bias only if the layer has one ({has})", bias is not None)
    if bias is None:
        return {}
    bias = check.floating(name, "bias", bias, like=kernel)
    check.shape(name, "bias", bias, (size,))
    return {"bias": bias}
