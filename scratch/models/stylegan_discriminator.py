"""StyleGAN2's discriminator and its penalty R1.              Karras et al. 2020, arXiv:1912.04958

discriminator   for each size S, ..., 8: x = (skip(x) + conv(conv(x))) / sqrt(2), half the size
                at 4 x 4: minibatch standard deviation, convolution, two dense layers
penalty         R1 = mean_i |g_i|^2      g = d sum_j D_j / dx, of real data; gamma / 2 R1 joins the
                discriminator's loss                   (Mescheder et al. 2018, arXiv:1801.04406)

backward of R1, for a parameter w and likewise for x: with u = 2 g / N held fixed

    dR1/dw = sum_i u_i . dg_i/dw = d/dw sum_j (the derivative of D_j along u)

which is a backward through `tangent(discriminator, x, u)`, as of WGAN's penalty (see wgan.py).
Minibatch standard deviation lets D_j depend on the other rows too, so g is of the sum.

shapes     x (N, channels, S, S)   D (N, 1)   min(channel_base / R, channel_max) channels at R x R
names      of parameters and numbers are those of the authors' code, stylegan2-ada-pytorch, for
           images without classes; augmentation is left out
Sources    Karras et al. 2020, arXiv:1912.04958, section 4 and appendix B; the last block: Karras
           et al. 2018, arXiv:1710.10196, table 2
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, random
from scratch.check import Array
from scratch.models.stylegan import channels_of, resolutions
from scratch.nn import functional as F
from scratch.nn.equalized import EqualizedConv2d, EqualizedLinear
from scratch.nn.minibatch_std import MinibatchStd
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.tangent import input_gradient, tangent
from scratch.nn.upfirdn2d import setup_filter

HALF = math.sqrt(0.5)  # of the variance, for each of two branches


class DiscriminatorBlock(Module):
    """Two convolutions to half the size, and a shorter way beside them.

    Args:
        in_channels: C, 0 for the first block, which takes the image.
        tmp_channels: between the convolutions; equals C but in the first block.
        out_channels: O.
        img_channels: of the image.
        dtype: float32 or float64.
        generator: where the start comes from.

    Source: Karras et al. 2020, arXiv:1912.04958, figure 7c.
    """

    resample_filter: Array

    def __init__(
        self,
        in_channels: int,
        tmp_channels: int,
        out_channels: int,
        img_channels: int,
        *,
        dtype: DTypeLike,
        generator: random.Generator,
    ) -> None:
        n = tmp_channels
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.register_buffer("resample_filter", setup_filter(dtype=dtype))
        self.fromrgb = None
        if not in_channels:
            self.fromrgb = EqualizedConv2d(img_channels, n, 1, activation="lrelu", **options)
        self.conv0 = EqualizedConv2d(n, n, 3, activation="lrelu", **options)
        self.conv1 = EqualizedConv2d(n, out_channels, 3, activation="lrelu", down=2, **options)
        self.skip = EqualizedConv2d(n, out_channels, 1, bias=False, down=2, **options)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Features of half the size."""
        x, rgb_back = input, None
        if self.fromrgb is not None:
            x, rgb_back = self.fromrgb(input)
        shorter, skip_back = self.skip(x, HALF)
        h, conv0_back = self.conv0(x)
        h, conv1_back = self.conv1(h, HALF)

        def backward(dy: Array) -> Array:
            dx: Array = skip_back(dy) + conv0_back(conv1_back(dy))
            return dx if rgb_back is None else rgb_back(dx)

        return shorter + h, backward

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """Features and their derivative along v.

        Args:
            x: as `forward` takes it.
            v: directions, of x's shape.

        Returns:
            Both of half the size, and their backward: dy, djv -> dx, dv.
        """
        rgb_back = None
        if self.fromrgb is not None:
            (x, v), rgb_back = tangent(self.fromrgb, x, v)
        (shorter, jshorter), skip_back = self.skip.tangent(x, v, HALF)
        pair, conv0_back = self.conv0.tangent(x, v)
        (h, jh), conv1_back = self.conv1.tangent(*pair, HALF)

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            dx, dv = conv0_back(*conv1_back(dy, djv))
            dshort, dvshort = skip_back(dy, djv)
            dx, dv = dx + dshort, dv + dvshort
            return (dx, dv) if rgb_back is None else rgb_back(dx, dv)

        return (shorter + h, jshorter + jh), backward


class DiscriminatorEpilogue(Module):
    """Features of 4 x 4 to a logit.

    Args:
        in_channels: C.
        mbstd_group_size: of the minibatch standard deviation; None for the whole batch.
        mbstd_num_channels: how many channels it adds.
        dtype: float32 or float64.
        generator: where the start comes from.

    Source: Karras et al. 2018, arXiv:1710.10196, table 2.
    """

    def __init__(
        self,
        in_channels: int,
        mbstd_group_size: int | None,
        mbstd_num_channels: int,
        *,
        dtype: DTypeLike,
        generator: random.Generator,
    ) -> None:
        n = in_channels
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.mbstd = MinibatchStd(mbstd_group_size, mbstd_num_channels)
        self.conv = EqualizedConv2d(n + mbstd_num_channels, n, 3, activation="lrelu", **options)
        self.fc = EqualizedLinear(16 * n, n, activation="lrelu", **options)
        self.out = EqualizedLinear(n, 1, **options)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        s, mbstd_back = self.mbstd(input)
        c, conv_back = self.conv(s)
        f, fc_back = self.fc(c.reshape(len(c), -1))
        y, out_back = self.out(f)

        def backward(dy: Array) -> Array:
            dc = fc_back(out_back(dy)).reshape(c.shape)
            dx: Array = mbstd_back(conv_back(dc))
            return dx

        return y, backward

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """Logits and their derivative along v.

        Args:
            x: (N, C, 4, 4).
            v: directions, of x's shape.

        Returns:
            Both (N, 1), and their backward: dy, djv -> dx, dv.
        """
        pair, mbstd_back = self.mbstd.tangent(x, v)
        (c, jc), conv_back = self.conv.tangent(*pair)
        pair, fc_back = self.fc.tangent(*(a.reshape(len(a), -1) for a in (c, jc)))
        pair, out_back = self.out.tangent(*pair)

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            dflat = fc_back(*out_back(dy, djv))
            dx, dv = mbstd_back(*conv_back(*(d.reshape(c.shape) for d in dflat)))
            return dx, dv

        return pair, backward


class StyleGANDiscriminator(Module):
    """Images to logits.

    Args:
        img_resolution: S, a power of two, at least 8.
        img_channels: of an image.
        channel_base: a layer of R x R has channel_base / R channels,
        channel_max: but no more than these.
        mbstd_group_size: of the minibatch standard deviation; None for the whole batch.
        mbstd_num_channels: how many channels it adds.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, img_channels, img_resolution, img_resolution) to (N, 1).

    Raises:
        TypeError, ValueError: if a size is no positive integer or `img_resolution` no such power.

    Source: Karras et al. 2020, arXiv:1912.04958, figure 7c.
    """

    def __init__(
        self,
        img_resolution: int = 32,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        name = "StyleGANDiscriminator"
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        MinibatchStd(mbstd_group_size, mbstd_num_channels)  # refuses what is none
        self.resolutions = resolutions(name, img_resolution, 8)[:0:-1]
        self._image = img_channels, img_resolution, img_resolution
        inputs = 0
        for size in self.resolutions:
            n, out = (
                channels_of(name, r, img_channels, channel_base, channel_max)
                for r in (size, size // 2)
            )
            block = DiscriminatorBlock(inputs, n, out, img_channels, **options)
            setattr(self, f"b{size}", block)
            inputs = out
        self.b4 = DiscriminatorEpilogue(inputs, mbstd_group_size, mbstd_num_channels, **options)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """D(x)."""
        x = check.floating("StyleGANDiscriminator", "input", input)
        check.shape("StyleGANDiscriminator", "input", x, ("N", *self._image))
        backs = []
        for block in self._blocks():
            x, back = block(x)
            backs.append(back)

        def backward(dy: Array) -> Array:
            for back in reversed(backs):
                dy = back(dy)
            return dy

        return x, backward

    def tangent(self, x: Array, v: Array) -> tuple[tuple[Array, Array], Backward]:
        """D(x) and its derivative along v.

        Args:
            x: (N, img_channels, img_resolution, img_resolution).
            v: directions, of x's shape.

        Returns:
            Both (N, 1), and their backward: dy, djv -> dx, dv.
        """
        check.shape("StyleGANDiscriminator", "x", x, ("N", *self._image))
        backs = []
        for block in self._blocks():
            (x, v), back = tangent(block, x, v)
            backs.append(back)

        def backward(dy: Array, djv: Array) -> tuple[Array, Array]:
            for back in reversed(backs):
                dy, djv = back(dy, djv)
            return dy, djv

        return (x, v), backward

    def _blocks(self) -> list[Module]:
        return [*(getattr(self, f"b{size}") for size in self.resolutions), self.b4]


@op
def r1_penalty(discriminator: Module, input: Array) -> tuple[Array, Backward]:
    """R1 = mean |d sum(D) / dx|^2, over rows.

    Args:
        discriminator: maps rows of x to logits, and has a `tangent`.
        input: x (N, ...), real data.

    Returns:
        R1 (), and its backward: dR1 -> dx; it adds to the gradients of the discriminator's
        parameters.

    Raises:
        TypeError: if `input` is not floating or the discriminator has a layer without a tangent.

    Source: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, equation 9.
    """
    name = "r1_penalty"
    x = check.floating(name, "input", input)
    if not isinstance(discriminator, Module):
        check.refuse(name, "a Module", check.describe(discriminator), TypeError)
    g = input_gradient(discriminator, x)
    penalty, penalty_back = F.zero_gradient_loss(g)
    (_, slopes), tangent_back = tangent(discriminator, x, penalty_back())

    def backward(dpenalty: Array) -> Array:
        dx: Array
        dx, _ = tangent_back(None, np.broadcast_to(dpenalty, slopes.shape))
        return dx

    return penalty, backward
