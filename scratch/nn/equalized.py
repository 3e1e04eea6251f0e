"""Layers whose weights start from N(0, 1) and are scaled when they are used.

forward    y = g a(x * (W c) + b m)      c = m / sqrt(fan_in)   m a multiplier of the learning rate
backward   dW = c d(W c)     db = m d(b m)
start      W from N(0, 1 / m^2): what is used has the variance 1 / fan_in whatever m is
why        Adam's steps are as large whatever the gradient: W c moves by c, and thus by its own
           scale in every layer, and by m times that where m is not 1
shapes     EqualizedLinear x (N, in)   W (out, in);  EqualizedConv2d x (N, C, H, W)   W (O, C, K, K)
second     tangent: y = g a(z), z = x * (W c) + b m, jz = v * (W c), jv = g a'(z) jz; a'' is 0
torch      has none; a parametrization of Linear and Conv2d would be alike
Sources    Karras et al. 2018, arXiv:1710.10196, section 4.1; the multiplier: Karras et al. 2019,
           arXiv:1812.04948, appendix C
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.bias_act import GAINS, bias_act
from scratch.nn.conv2d_resample import conv2d_resample
from scratch.nn.linear import linear
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.upfirdn2d import TAPS, setup_filter
from scratch.random import Generator


class EqualizedLinear(Module):
    """Affine map and activation.

    Args:
        in_features: size of the input's last axis.
        out_features: of the output's.
        bias: whether to add b.
        activation: 'linear' or 'lrelu'.
        lr_multiplier: m > 0.
        bias_init: where b starts, all of it.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features) to (N, out_features).

    Raises:
        TypeError, ValueError: if an argument is none of these.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "EqualizedLinear"
        size = tuple(
            check.size(name, what, n, low=1)
            for what, n in (("out_features", out_features), ("in_features", in_features))
        )
        check.option(name, "activation", activation, tuple(GAINS))
        m = check.number(name, "lr_multiplier", lr_multiplier, 0, open_low=True)
        start = check.number(name, "bias_init", bias_init)
        self.activation, self.lr_multiplier = activation, m
        self.weight = Parameter(np.empty(size, dtype))
        init.normal_(self.weight, std=1 / m, generator=generator)
        self.bias = Parameter(np.full(out_features, start, dtype)) if bias else None
        self.weight_gain = m / math.sqrt(in_features)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = g a(x (W c)^T + b m)."""
        z, linear_back = linear(input, self.weight.data * self.weight_gain)
        y, act_back = self._act(z)

        def backward(dy: Array) -> Array:
            dx: Array
            dz, *dbias = act_back(dy)
            dx, dweight = linear_back(dz)
            self._accumulate(dweight, *dbias)
            return dx

        return y, backward

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """y and its derivative along v.

        Args:
            x: (N, in_features).
            v: directions, of x's shape.

        Returns:
            Both (N, out_features), and their backward: dy, djv -> dx, dv.
        """
        weight = self.weight.data * self.weight_gain
        z, z_back = linear(x, weight)
        jz, jz_back = linear(v, weight)
        y, act_back = self._act(z)

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            dz, *dbias = act_back(dy)
            dx, dweight = z_back(dz)
            dv, again = jz_back(act_back(djv)[0])
            self._accumulate(dweight + again, *dbias)
            return dx, dv

        return (y, act_back(jz)[0]), backward

    def _act(self, z: Array) -> tuple[Array, Backward]:
        bias = None if self.bias is None else self.bias.data * self.lr_multiplier
        y, back = bias_act(z, bias, self.activation)
        return y, back if bias is not None else lambda dy: (back(dy),)

    def _accumulate(self, dweight: Array, *dbias: Array) -> None:
        self.weight.accumulate(dweight * self.weight_gain)
        if self.bias is not None:
            self.bias.accumulate(dbias[0] * self.lr_multiplier)

    def extra_repr(self) -> str:
        """The arguments."""
        out, of = self.weight.shape
        return f"{of}, {out}, activation={self.activation}, lr_multiplier={self.lr_multiplier}"


class EqualizedConv2d(Module):
    """Convolution, to a larger or smaller image where asked for, and activation.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K, odd.
        bias: whether to add b.
        activation: 'linear' or 'lrelu'.
        up: factor of the size.
        down: divisor of the size; one of the two is 1.
        resample_filter: taps of the filter against aliases.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, C, H, W) to (N, O, H up / down, W up / down).

    Raises:
        TypeError, ValueError: if an argument is none of these.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.1; Karras et al. 2020, arXiv:1912.04958.
    """

    resample_filter: Array

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_filter: Sequence[float] = TAPS,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "EqualizedConv2d"
        of = check.size(name, "in_channels", in_channels, low=1)
        out = check.size(name, "out_channels", out_channels, low=1)
        k = check.size(name, "kernel_size", kernel_size, low=1)
        if k % 2 == 0:
            check.refuse(name, "kernel_size to be odd", k)
        check.option(name, "activation", activation, tuple(GAINS))
        self.activation = activation
        self.up, self.down = (check.size(name, *n, low=1) for n in (("up", up), ("down", down)))
        if up > 1 and down > 1:
            check.refuse(name, "up or down to be 1", (up, down))
        self.padding = k // 2
        self.weight = Parameter(np.empty((out, of, k, k), dtype))
        init.normal_(self.weight, generator=generator)
        self.bias = Parameter(np.zeros(out, dtype)) if bias else None
        self.register_buffer("resample_filter", setup_filter(resample_filter, dtype=dtype))
        self.weight_gain = 1 / math.sqrt(of * k**2)

    def forward(self, input: Array, gain: float = 1.0) -> tuple[Array, Backward]:
        """y = gain g a(x * (W c) + b).

        Args:
            input: x (N, C, H, W).
            gain: a factor of the activation's own.
        """
        z, conv_back = self._conv(input)
        y, act_back = self._act(z, gain)

        def backward(dy: Array) -> Array:
            dx: Array
            dz, *dbias = act_back(dy)
            dx, dweight = conv_back(dz)
            self._accumulate(dweight, *dbias)
            return dx

        return y, backward

    def tangent(
        self, x: Array, v: Array, gain: float = 1.0
    ) -> tuple[tuple[Array, Array], Backward]:
        """y and its derivative along v.

        Args:
            x: (N, C, H, W).
            v: directions, of x's shape.
            gain: a factor of the activation's own.

        Returns:
            Both of the output's shape, and their backward: dy, djv -> dx, dv.
        """
        z, z_back = self._conv(x)
        jz, jz_back = self._conv(v)
        y, act_back = self._act(z, gain)

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            dz, *dbias = act_back(dy)
            dx, dweight = z_back(dz)
            dv, again = jz_back(act_back(djv)[0])
            self._accumulate(dweight + again, *dbias)
            return dx, dv

        return (y, act_back(jz)[0]), backward

    def _conv(self, x: Array) -> tuple[Array, Backward]:
        how = self.resample_filter, self.up, self.down, self.padding
        return conv2d_resample(x, self.weight.data * self.weight_gain, *how)

    def _act(self, z: Array, gain: float) -> tuple[Array, Backward]:
        bias = None if self.bias is None else self.bias.data
        gain = check.number("EqualizedConv2d", "gain", gain) * GAINS[self.activation]
        y, back = bias_act(z, bias, self.activation, gain)
        return y, back if bias is not None else lambda dy: (back(dy),)

    def _accumulate(self, dweight: Array, *dbias: Array) -> None:
        self.weight.accumulate(dweight * self.weight_gain)
        if self.bias is not None:
            self.bias.accumulate(*dbias)

    def extra_repr(self) -> str:
        """The arguments."""
        out, of, kernel, _ = self.weight.shape
        size = f"kernel_size={kernel}, up={self.up}, down={self.down}"
        return f"{of}, {out}, {size}, activation={self.activation}"
