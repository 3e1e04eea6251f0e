"""StyleGAN2's generator: layers told their style.     Karras et al. 2019, 2020, arXiv:1912.04958

mapping         w = m(z / sqrt(mean z^2 + eps))      dense layers that learn 100 times more slowly
                w_avg <- w_avg + (1 - beta) (mean w - w_avg)    in training;  beta is what is kept
truncation      w' = w_avg + psi (w - w_avg)         nearer to the mean: less varied, more typical
mixing          layers from a crossover on have the w of another z
synthesis       x a learned constant of 4 x 4; for each size 4, 8, ..., S
                    x = a(conv(x; s(w)) + n + b)     s affine, conv (de)modulated, n noise
                    image = up(image) + rgb(x; s(w)) modulated only
                two convolutions a size, the first of which doubles it; one at 4 x 4
backward   the layers' own, last to first;  a style has the gradients of all layers that take it,
           w those of all styles, psi times where they are truncated;  w_avg is a constant
shapes     z (N, Z)   w (N, W)   ws (N, L, W), L = 2 log2(S) - 2, a style for each layer, of which
           the image's takes that of the next size's first convolution
           noise n (N, 1, R, R) for each convolution of R x R   image (N, channels, S, S)
channels   min(channel_base / R, channel_max) at R x R
noise      'random' draws anew, 'const' is a buffer, 'none' leaves it out; or it is given
average    `AveragedModel(G, multi_avg_fn=get_ema_multi_avg_fn(decay))` of `scratch.optim.swa_utils`
           is the generator that the papers show
names      of parameters and numbers are those of the authors' code, stylegan2-ada-pytorch, for
           images without classes; of it path length regularisation and augmentation are left out
Sources    Karras, Laine & Aila 2019, arXiv:1812.04948; Karras et al. 2020, arXiv:1912.04958
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, random
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.equalized import EqualizedLinear
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.upfirdn2d import setup_filter

NOISE_MODES = ("random", "const", "none")


class MappingNetwork(Module):
    """Noise to a style for each layer of the synthesis, all the same.

    Args:
        z_dim: Z, size of z.
        w_dim: W, of w and of the layers before it.
        num_ws: L, how many layers are styled.
        num_layers: dense layers.
        lr_multiplier: of their learning rate.
        w_avg_beta: share of the mean of w that a batch in training leaves as it was.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, z_dim) to (N, num_ws, w_dim).

    Raises:
        TypeError, ValueError: if an argument is none of these.

    Source: Karras, Laine & Aila 2019, arXiv:1812.04948, section 2.
    """

    w_avg: Array

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        num_ws: int,
        num_layers: int = 8,
        lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.995,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        name = "MappingNetwork"
        generator = generator or random.Generator()
        self.z_dim = check.size(name, "z_dim", z_dim, low=1)
        check.size(name, "w_dim", w_dim, low=1)
        self.num_ws = check.size(name, "num_ws", num_ws, low=1)
        self.num_layers = check.size(name, "num_layers", num_layers, low=1)
        self.w_avg_beta = check.number(name, "w_avg_beta", w_avg_beta, 0, 1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        for k in range(num_layers):
            size = w_dim if k else z_dim
            layer = EqualizedLinear(size, w_dim, True, "lrelu", lr_multiplier, **options)
            setattr(self, f"fc{k}", layer)
        self.register_buffer("w_avg", np.zeros(w_dim, dtype))

    def forward(
        self,
        input: Array,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        skip_w_avg_update: bool = False,
    ) -> tuple[Array, Backward]:
        """Styles.

        Args:
            input: z (N, z_dim).
            truncation_psi: 1 for w as it is, 0 for its mean.
            truncation_cutoff: how many of the layers are truncated; None for all.
            skip_w_avg_update: whether to leave the mean of w alone in training, too.

        Returns:
            ws (N, num_ws, w_dim), and its backward: dws -> dz. The mean of w is a constant of it.
        """
        z, psi, cut = self.checked("MappingNetwork", input, truncation_psi, truncation_cutoff)
        w, norm_back = F.rms_norm(z, z.shape[1:], eps=1e-8)
        backs = []
        for k in range(self.num_layers):
            w, back = getattr(self, f"fc{k}")(w)
            backs.append(back)
        if self.training and not skip_w_avg_update:
            mean = w.mean(0)
            self.w_avg = mean + self.w_avg_beta * (self.w_avg - mean)
        ws = np.repeat(w[:, None], self.num_ws, axis=1)
        if psi != 1:
            ws[:, :cut] = self.w_avg + psi * (ws[:, :cut] - self.w_avg)

        ws_shape = ws.shape

        def backward(dws: Array) -> Array:
            dws = check.floating("MappingNetwork backward", "the gradient", dws, like=z)
            check.shape("MappingNetwork backward", "the gradient", dws, ws_shape)
            dw = psi * dws[:, :cut].sum(1) + dws[:, cut:].sum(1)
            for back in reversed(backs):
                dw = back(dw)
            dz: Array = norm_back(dw)
            return dz

        return ws, backward

    def checked(
        self, function: str, input: Array, psi: float, cutoff: int | None
    ) -> tuple[Array, float, int]:
        """z, psi and how many layers are truncated, if they fit; before anything changes."""
        z = check.floating(function, "input", input, like=self.w_avg)
        check.shape(function, "input", z, ("N", self.z_dim))
        if not len(z):
            check.refuse(function, "at least one row of input", z.shape)
        psi = check.number(function, "truncation_psi", psi)
        if cutoff is None:
            return z, psi, self.num_ws
        return z, psi, min(check.size(function, "truncation_cutoff", cutoff), self.num_ws)

    def extra_repr(self) -> str:
        """The arguments that the layers do not show."""
        return f"num_ws={self.num_ws}, w_avg_beta={self.w_avg_beta}"


class SynthesisLayer(Module):
    """A modulated convolution, noise, bias and leaky ReLU.

    Args:
        in_channels: C.
        out_channels: O.
        w_dim: W, size of w.
        resolution: R, of the output.
        up: factor of the size, 1 or 2.
        dtype: float32 or float64.
        generator: where the start and the noise come from; None draws a fresh one.

    Shape:
        (N, C, R / up, R / up) and (N, w_dim) to (N, O, R, R).

    Raises:
        TypeError, ValueError: if an argument is none of these.

    Source: Karras et al. 2020, arXiv:1912.04958, figure 2c.
    """

    resample_filter: Array
    noise_const: Array

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        up: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        name = "SynthesisLayer"
        self.generator = generator or random.Generator()
        for what, n in (("in_channels", in_channels), ("out_channels", out_channels)):
            check.size(name, what, n, low=1)
        check.size(name, "w_dim", w_dim, low=1)
        check.option(name, "up", up, (1, 2))
        self.resolution = check.size(name, "resolution", resolution, low=up)
        if resolution % up:
            check.refuse(name, f"resolution divisible by up={up}", resolution)
        self.up = up
        options: dict[str, Any] = {"dtype": dtype, "generator": self.generator}
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1, **options)
        self.weight = Parameter(np.empty((out_channels, in_channels, 3, 3), dtype))
        init.normal_(self.weight, generator=self.generator)
        self.noise_strength = Parameter(np.zeros((), dtype))
        self.bias = Parameter(np.zeros(out_channels, dtype))
        self.register_buffer("resample_filter", setup_filter(dtype=dtype))
        noise = self.generator.randn(resolution, resolution, dtype=dtype)
        self.register_buffer("noise_const", noise)

    def forward(
        self, input: Array, w: Array, noise: Array | None = None, noise_mode: str = "random"
    ) -> tuple[Array, Backward]:
        """Features.

        Args:
            input: x (N, C, R / up, R / up).
            w: (N, w_dim).
            noise: n (N, 1, R, R) in place of a draw; it has no gradient here.
            noise_mode: 'random', 'const' for the same in each call, or 'none'.

        Returns:
            y (N, O, R, R), and its backward: dy -> dx, dw.
        """
        name, size = "SynthesisLayer", self.resolution // self.up
        x = check.floating(name, "input", input)
        check.shape(name, "input", x, ("N", self.weight.shape[1], size, size))
        check_noise(name, noise_mode, noise, (len(x), 1, *(self.resolution,) * 2), x)
        s, affine_back = self.affine(w)
        how = self.resample_filter, self.up, 1, 1
        z, conv_back = F.modulated_conv2d(x, self.weight.data, s, *how)
        if noise_mode == "const":
            noise = self.noise_const
        elif noise_mode == "random" and noise is None:
            noise = self.generator.randn(len(x), 1, *z.shape[2:], dtype=x.dtype)
        if noise_mode != "none" and noise is not None:
            z, noise_back = F.inject_noise(z, noise, self.noise_strength.data)
        y, act_back = F.bias_act(z, self.bias.data, "lrelu")

        def backward(dy: Array) -> tuple[Array, Array]:
            dz, dbias = act_back(dy)
            self.bias.accumulate(dbias)
            if noise_mode != "none":
                dz, _, dstrength = noise_back(dz)
                self.noise_strength.accumulate(dstrength)
            dx, dweight, ds = conv_back(dz)
            self.weight.accumulate(dweight)
            return dx, affine_back(ds)

        return y, backward

    def extra_repr(self) -> str:
        """The arguments."""
        out, of = self.weight.shape[:2]
        return f"{of}, {out}, resolution={self.resolution}, up={self.up}"


class ToRGBLayer(Module):
    """Features to an image, by a modulated 1 x 1 convolution that is not demodulated.

    Args:
        in_channels: C.
        out_channels: of the image.
        w_dim: W, size of w.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, C, H, W) and (N, w_dim) to (N, out_channels, H, W).

    Raises:
        TypeError, ValueError: if a size is not a positive integer.

    Source: Karras et al. 2020, arXiv:1912.04958, figure 7b.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        generator = generator or random.Generator()
        for what, n in (
            ("in_channels", in_channels),
            ("out_channels", out_channels),
            ("w_dim", w_dim),
        ):
            check.size("ToRGBLayer", what, n, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1, **options)
        self.weight = Parameter(np.empty((out_channels, in_channels, 1, 1), dtype))
        init.normal_(self.weight, generator=generator)
        self.bias = Parameter(np.zeros(out_channels, dtype))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, input: Array, w: Array) -> tuple[Array, Backward]:
        """The image.

        Args:
            input: x (N, C, H, W).
            w: (N, w_dim).

        Returns:
            (N, out_channels, H, W), and its backward: dy -> dx, dw.
        """
        a, affine_back = self.affine(w)
        styles = a * self.weight_gain
        z, conv_back = F.modulated_conv2d(input, self.weight.data, styles, demodulate=False)
        y, act_back = F.bias_act(z, self.bias.data)

        def backward(dy: Array) -> tuple[Array, Array]:
            dz, dbias = act_back(dy)
            self.bias.accumulate(dbias)
            dx, dweight, dstyles = conv_back(dz)
            self.weight.accumulate(dweight)
            return dx, affine_back(dstyles * self.weight_gain)

        return y, backward

    def extra_repr(self) -> str:
        """The arguments."""
        out, of = self.weight.shape[:2]
        return f"{of}, {out}"


class SynthesisBlock(Module):
    """What one size adds: features twice as large as before, and their image.

    Args:
        in_channels: C, 0 for the first block, which has a learned constant in place of an input.
        out_channels: O.
        w_dim: W, size of w.
        resolution: R.
        img_channels: of the image.
        dtype: float32 or float64.
        generator: where the start and the noise come from.

    Source: Karras et al. 2020, arXiv:1912.04958, figure 7b.
    """

    resample_filter: Array

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        *,
        dtype: DTypeLike,
        generator: random.Generator,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.num_conv = 2 if in_channels else 1
        self.register_buffer("resample_filter", setup_filter(dtype=dtype))
        if in_channels:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, 2, **options)
        else:
            start = generator.randn(out_channels, resolution, resolution, dtype=dtype)
            self.const = Parameter(start)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, **options)
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, **options)

    def forward(
        self,
        x: Array | None,
        img: Array | None,
        ws: Array,
        noises: Iterator[Array | None],
        noise_mode: str,
    ) -> tuple[tuple[Array, Array], Backward]:
        """Features and image.

        Args:
            x: (N, C, R / 2, R / 2), None in the first block.
            img: (N, img_channels, R / 2, R / 2), None there too.
            ws: (N, num_conv + 1, w_dim), the last one for the image.
            noises: of the layers to come.
            noise_mode: of a `SynthesisLayer`.

        Returns:
            (N, O, R, R) and (N, img_channels, R, R), and their backward: dx', dimg' -> dx, dimg,
            dws; None for what was None.
        """
        h = x
        if h is None:
            h = np.broadcast_to(self.const.data, (len(ws), *self.const.shape))
        else:
            h, conv0_back = self.conv0(h, ws[:, 0], next(noises), noise_mode)
        h, conv1_back = self.conv1(h, ws[:, -2], next(noises), noise_mode)
        y, torgb_back = self.torgb(h, ws[:, -1])
        if img is not None:
            large, up_back = F.upsample2d(img, self.resample_filter)
            y = large + y

        def backward(
            dfeatures: Array | None, dy: Array
        ) -> tuple[Array | None, Array | None, Array]:
            dws = np.zeros_like(ws)
            dimg = None if img is None else up_back(dy)
            dh, dws[:, -1] = torgb_back(dy)
            dh = dh if dfeatures is None else dfeatures + dh
            dh, dws[:, -2] = conv1_back(dh)
            if x is None:
                self.const.accumulate(dh.sum(0))
                return None, dimg, dws
            dx, dws[:, 0] = conv0_back(dh)
            return dx, dimg, dws

        return (h, y), backward


class SynthesisNetwork(Module):
    """Styles to images.

    Args:
        w_dim: W, size of w.
        img_resolution: S, a power of two, at least 4.
        img_channels: of an image.
        channel_base: a layer of R x R has channel_base / R channels,
        channel_max: but no more than these.
        dtype: float32 or float64.
        generator: where the start and the noise come from; None draws a fresh one.

    Shape:
        (N, num_ws, w_dim) to (N, img_channels, img_resolution, img_resolution).

    Raises:
        TypeError, ValueError: if a size is no positive integer or `img_resolution` no such power.

    Source: Karras et al. 2020, arXiv:1912.04958, figures 2 and 7.
    """

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int = 32768,
        channel_max: int = 512,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        name = "SynthesisNetwork"
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        self.w_dim = check.size(name, "w_dim", w_dim, low=1)
        sizes = resolutions(name, img_resolution, 4)
        self.resolutions = sizes
        inputs = 0
        for size in sizes:
            n = channels_of(name, size, img_channels, channel_base, channel_max)
            block = SynthesisBlock(inputs, n, w_dim, size, img_channels, **options)
            setattr(self, f"b{size}", block)
            inputs = n
        self.num_ws = 2 * len(sizes)

    def forward(
        self, ws: Array, noise: Sequence[Array] | None = None, noise_mode: str = "random"
    ) -> tuple[Array, Backward]:
        """Images.

        Args:
            ws: a style for each layer (N, num_ws, w_dim).
            noise: n (N, 1, R, R) for each layer of R x R, in place of draws.
            noise_mode: 'random', 'const' or 'none'.

        Returns:
            (N, img_channels, S, S), and its backward: dimg -> dws.
        """
        ws = check.floating("SynthesisNetwork", "ws", ws)
        check.shape("SynthesisNetwork", "ws", ws, ("N", self.num_ws, self.w_dim))
        self.check_noise("SynthesisNetwork", noise, noise_mode, ws)
        noises = iter([None] * (self.num_ws - 1) if noise is None else noise)
        x, img, k = None, None, 0
        backs = []
        for size in self.resolutions:
            block = getattr(self, f"b{size}")
            part = slice(k, k + block.num_conv + 1)
            (x, img), back = block(x, img, ws[:, part], noises, noise_mode)
            backs.append((part, back))
            k += block.num_conv
        assert img is not None

        def backward(dy: Array) -> Array:
            dws = np.zeros_like(ws)
            dx, dimg = None, dy
            for part, back in reversed(backs):
                dx, dimg, dpart = back(dx, dimg)
                dws[:, part] += dpart  # the next block's first layer shares the image's style
            return dws

        return img, backward

    def check_noise(
        self, function: str, noise: Sequence[Array] | None, noise_mode: str, like: Array
    ) -> None:
        """Refuse noise that does not fit a batch like that array.

        Args:
            function: name for messages.
            noise: as `forward` takes it.
            noise_mode: the same.
            like: an array (N, ...) of the batch.
        """
        sizes = [r for r in self.resolutions for _ in range(1 if r == 4 else 2)]
        if noise is None:
            check_noise(function, noise_mode, None, (), like)
        elif not isinstance(noise, Sequence) or len(noise) != len(sizes):
            got = check.describe(noise) if not isinstance(noise, Sequence) else len(noise)
            check.refuse(function, f"a sequence of {len(sizes)} noise images", got)
        else:
            for n, size in zip(noise, sizes, strict=True):
                check_noise(function, noise_mode, n, (len(like), 1, size, size), like)

    def extra_repr(self) -> str:
        """Nothing that the blocks do not show."""
        return ""


class StyleGANGenerator(Module):
    """Noise to images, by way of styles.

    Args:
        z_dim: Z, size of z.
        w_dim: W, of w.
        img_resolution: S, a power of two, at least 4.
        img_channels: of an image.
        channel_base: a layer of R x R has channel_base / R channels,
        channel_max: but no more than these.
        num_layers: of the mapping.
        lr_multiplier: of its learning rate.
        w_avg_beta: share of the mean of w that a batch in training leaves as it was.
        dtype: float32 or float64.
        generator: where the start and the noise come from; None draws a fresh one.

    Shape:
        (N, z_dim) to (N, img_channels, img_resolution, img_resolution).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, `img_resolution` no such power,
            or another argument out of its range.

    Source: Karras et al. 2020, arXiv:1912.04958.
    """

    def __init__(
        self,
        z_dim: int = 512,
        w_dim: int = 512,
        img_resolution: int = 32,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_layers: int = 8,
        lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.995,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        check.size("StyleGANGenerator", "z_dim", z_dim, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        channels = img_channels, channel_base, channel_max
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, *channels, **options)
        how = num_layers, lr_multiplier, w_avg_beta
        self.mapping = MappingNetwork(z_dim, w_dim, self.synthesis.num_ws, *how, **options)

    def forward(
        self,
        input: Array,
        mixing: Array | None = None,
        crossover: int | None = None,
        noise: Sequence[Array] | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "random",
    ) -> tuple[Array, Backward]:
        """G(z).

        Args:
            input: z (N, z_dim).
            mixing: another z (N, z_dim), whose styles take over
            crossover: from this layer on; with `mixing` only.
            noise: n (N, 1, R, R) for each layer of R x R, in place of draws; it has no gradient.
            truncation_psi: 1 for w as it is, 0 for its mean.
            truncation_cutoff: how many of the layers are truncated; None for all.
            noise_mode: 'random', 'const' or 'none'.

        Returns:
            (N, img_channels, S, S), and its backward: dy -> dz[, dmixing].
        """
        name, how = "StyleGANGenerator", (truncation_psi, truncation_cutoff)
        z, *_ = self.mapping.checked(name, input, *how)
        if (mixing is None) != (crossover is None):
            check.refuse(name, "mixing and crossover together", "one of them")
        self.synthesis.check_noise(name, noise, noise_mode, z)
        if mixing is None or crossover is None:
            ws, mapping_back = self.mapping(z, *how)
            y, synthesis_back = self.synthesis(ws, noise, noise_mode)
            return y, lambda dy: mapping_back(synthesis_back(dy))

        self.mapping.checked(name, mixing, *how)
        check.shape(name, "mixing", mixing, z.shape)
        check.size(name, "crossover", crossover)
        ws, mapping_back = self.mapping(z, *how)
        others, others_back = self.mapping(mixing, *how, skip_w_avg_update=True)
        mixed = np.concatenate([ws[:, :crossover], others[:, crossover:]], axis=1)
        y, synthesis_back = self.synthesis(mixed, noise, noise_mode)

        def backward(dy: Array) -> tuple[Array, Array]:
            dmixed: Array = synthesis_back(dy)
            dws, dothers = dmixed.copy(), dmixed.copy()
            dws[:, crossover:] = 0
            dothers[:, :crossover] = 0
            return mapping_back(dws), others_back(dothers)

        return y, backward


def resolutions(function: str, img_resolution: int, low: int) -> list[int]:
    """4, 8, ..., S.

    Args:
        function: name for messages.
        img_resolution: S, a power of two.
        low: the least S.
    """
    size = check.size(function, "img_resolution", img_resolution, low=low)
    if size & (size - 1):
        check.refuse(function, "img_resolution to be a power of two", size)
    return [4 << k for k in range(size.bit_length() - 2)]


def channels_of(function: str, size: int, img_channels: int, base: int, most: int) -> int:
    """Channels of a layer of size x size.

    Args:
        function: name for messages.
        size: R.
        img_channels: of an image, which is checked here too.
        base: channels times R,
        most: but no more than these.
    """
    check.size(function, "img_channels", img_channels, low=1)
    check.size(function, "channel_base", base, low=size)
    return min(base // size, check.size(function, "channel_max", most, low=1))


def check_noise(
    function: str, noise_mode: str, noise: Array | None, shape: tuple[int, ...], like: Array
) -> None:
    """Refuse a mode that is none, noise of another shape or dtype, or noise that is not used.

    Args:
        function: name for messages.
        noise_mode: 'random', 'const' or 'none'.
        noise: an array in place of a draw, or None.
        shape: the array's.
        like: has the dtype.
    """
    check.option(function, "noise_mode", noise_mode, NOISE_MODES)
    if noise is None:
        return
    check.shape(function, "noise", check.floating(function, "noise", noise, like=like), shape)
    if noise_mode != "random":
        check.refuse(function, f"no noise in mode {noise_mode!r}", check.describe(noise))
