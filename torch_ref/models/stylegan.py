"""StyleGAN2's generator: layers told their style.     Karras et al. 2019, 2020, arXiv:1912.04958

mapping         w = m(z / |z|_rms), dense layers;  truncation w' = w_avg + psi (w - w_avg)
synthesis       a learned 4 x 4, then for each size two convolutions whose weights w modulates, each
                with noise and a leaky ReLU; the image is the sum of what each size says of it

Names and numbers are those of the authors' code, stylegan2-ada-pytorch, without its classes.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.nn.bias_act import bias_act
from torch_ref.nn.equalized import EqualizedLinear
from torch_ref.nn.modulated_conv2d import modulated_conv2d
from torch_ref.nn.noise_injection import inject_noise
from torch_ref.nn.upfirdn2d import setup_filter, upsample2d


class MappingNetwork(nn.Module):
    """Noise to a style for each layer of the synthesis, all the same.

    Args:
        z_dim: size of z.
        w_dim: of w, and of the layers before it.
        num_ws: L, how many layers are styled.
        num_layers: dense layers.
        lr_multiplier: of their learning rate.
        w_avg_beta: share of the mean of w that a batch in training leaves as it was.
        dtype: of the parameters.

    Shape:
        (N, z_dim) to (N, num_ws, w_dim).
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        num_ws: int,
        num_layers: int = 8,
        lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.995,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_ws, self.num_layers, self.w_avg_beta = num_ws, num_layers, w_avg_beta
        for k in range(num_layers):
            size = w_dim if k else z_dim
            layer = EqualizedLinear(size, w_dim, True, "lrelu", lr_multiplier, dtype=dtype)
            setattr(self, f"fc{k}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim, dtype=dtype))

    def forward(
        self,
        input: Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        skip_w_avg_update: bool = False,
    ) -> Tensor:
        """Styles.

        Args:
            input: z (N, z_dim).
            truncation_psi: 1 for w as it is, 0 for its mean.
            truncation_cutoff: how many of the layers are truncated; None for all.
            skip_w_avg_update: whether to leave the mean of w alone in training, too.

        Returns:
            (N, num_ws, w_dim).
        """
        w = F.rms_norm(input, input.shape[1:], eps=1e-8)
        for k in range(self.num_layers):
            w = getattr(self, f"fc{k}")(w)
        if self.training and not skip_w_avg_update:
            with torch.no_grad():
                self.w_avg.copy_(w.mean(0).lerp(self.w_avg, self.w_avg_beta))
        ws = w[:, None].expand(-1, self.num_ws, -1)
        if truncation_psi == 1:
            return ws
        cut = self.num_ws if truncation_cutoff is None else truncation_cutoff
        return torch.cat([self.w_avg.lerp(ws[:, :cut], truncation_psi), ws[:, cut:]], dim=1)

    def extra_repr(self) -> str:
        """The arguments that the layers do not show."""
        return f"num_ws={self.num_ws}, w_avg_beta={self.w_avg_beta}"


class SynthesisLayer(nn.Module):
    """A modulated convolution, noise, bias and leaky ReLU.

    Args:
        in_channels: C.
        out_channels: O.
        w_dim: size of w.
        resolution: R, of the output.
        up: factor of the size, 1 or 2.
        dtype: of the parameters.

    Shape:
        (N, C, R / up, R / up) and (N, w_dim) to (N, O, R, R).
    """

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        up: int = 1,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.resolution, self.up = resolution, up
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1, dtype=dtype)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3, dtype=dtype))
        self.noise_strength = nn.Parameter(torch.zeros((), dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=dtype))
        self.register_buffer("resample_filter", setup_filter(dtype=dtype))
        self.register_buffer("noise_const", torch.randn(resolution, resolution, dtype=dtype))

    def forward(
        self,
        input: Tensor,
        w: Tensor,
        noise: Tensor | None = None,
        noise_mode: str = "random",
    ) -> Tensor:
        """Features.

        Args:
            input: x (N, C, R / up, R / up).
            w: (N, w_dim).
            noise: (N, 1, R, R) in place of a draw.
            noise_mode: 'random', 'const' for the same in each call, or 'none'.

        Returns:
            (N, O, R, R).
        """
        styles = self.affine(w)
        y = modulated_conv2d(input, self.weight, styles, self.resample_filter, self.up, padding=1)
        if noise_mode == "const":
            noise = self.noise_const
        elif noise_mode == "random" and noise is None:
            noise = torch.randn_like(y[:, :1])
        if noise_mode != "none":
            assert noise is not None
            y = inject_noise(y, noise, self.noise_strength)
        return bias_act(y, self.bias, "lrelu")

    def extra_repr(self) -> str:
        """The arguments."""
        out, of = self.weight.shape[:2]
        return f"{of}, {out}, resolution={self.resolution}, up={self.up}"


class ToRGBLayer(nn.Module):
    """Features to an image, by a modulated 1 x 1 convolution that is not demodulated.

    Args:
        in_channels: C.
        out_channels: of the image.
        w_dim: size of w.
        dtype: of the parameters.

    Shape:
        (N, C, H, W) and (N, w_dim) to (N, out_channels, H, W).
    """

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1, dtype=dtype)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=dtype))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, input: Tensor, w: Tensor) -> Tensor:
        """The image."""
        styles = self.affine(w) * self.weight_gain
        return bias_act(modulated_conv2d(input, self.weight, styles, demodulate=False), self.bias)

    def extra_repr(self) -> str:
        """The arguments."""
        out, of = self.weight.shape[:2]
        return f"{of}, {out}"


class SynthesisBlock(nn.Module):
    """What one size adds: features twice as large as before, and their image.

    Args:
        in_channels: C, 0 for the first block, which has a learned constant in place of an input.
        out_channels: O.
        w_dim: size of w.
        resolution: R.
        img_channels: of the image.
        dtype: of the parameters.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_conv = 2 if in_channels else 1
        self.register_buffer("resample_filter", setup_filter(dtype=dtype))
        if in_channels:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim, resolution, up=2, dtype=dtype
            )
        else:
            start = torch.randn(out_channels, resolution, resolution, dtype=dtype)
            self.const = nn.Parameter(start)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, dtype=dtype)
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, dtype=dtype)

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Tensor,
        noises: Iterator[Tensor | None],
        noise_mode: str,
    ) -> tuple[Tensor, Tensor]:
        """Features and image.

        Args:
            x: (N, C, R / 2, R / 2), None in the first block.
            img: (N, img_channels, R / 2, R / 2), None there too.
            ws: (N, num_conv + 1, w_dim), the last one for the image.
            noises: of the layers to come.
            noise_mode: of a `SynthesisLayer`.

        Returns:
            (N, O, R, R) and (N, img_channels, R, R).
        """
        if x is None:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            x = self.conv0(x, ws[:, 0], next(noises), noise_mode)
        x = self.conv1(x, ws[:, -2], next(noises), noise_mode)
        y: Tensor = self.torgb(x, ws[:, -1])
        return x, y if img is None else upsample2d(img, self.resample_filter) + y


class SynthesisNetwork(nn.Module):
    """Styles to images.

    Args:
        w_dim: size of w.
        img_resolution: S, a power of two, at least 4.
        img_channels: of an image.
        channel_base: a layer of R x R has channel_base / R channels,
        channel_max: but no more than these.
        dtype: of the parameters.

    Shape:
        (N, num_ws, w_dim) to (N, img_channels, img_resolution, img_resolution).
    """

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int = 32768,
        channel_max: int = 512,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = [4 << k for k in range(img_resolution.bit_length() - 2)]
        inputs = 0
        for size in self.resolutions:
            n = min(channel_base // size, channel_max)
            block = SynthesisBlock(inputs, n, w_dim, size, img_channels, dtype=dtype)
            setattr(self, f"b{size}", block)
            inputs = n
        self.num_ws = 2 * len(self.resolutions)

    def forward(
        self, ws: Tensor, noise: Sequence[Tensor] | None = None, noise_mode: str = "random"
    ) -> Tensor:
        """Images.

        Args:
            ws: a style for each layer (N, num_ws, w_dim).
            noise: one image (N, 1, R, R) for each layer of R x R, in place of draws.
            noise_mode: 'random', 'const' or 'none'.

        Returns:
            (N, img_channels, S, S).
        """
        noises = iter([None] * (self.num_ws - 1) if noise is None else noise)
        x, img, k = None, None, 0
        for size in self.resolutions:
            block = getattr(self, f"b{size}")
            x, img = block(x, img, ws[:, k : k + block.num_conv + 1], noises, noise_mode)
            k += block.num_conv
        assert isinstance(img, Tensor)
        return img


class StyleGANGenerator(nn.Module):
    """Noise to images, by way of styles.

    Args:
        z_dim: size of z.
        w_dim: of w.
        img_resolution: S, a power of two, at least 4.
        img_channels: of an image.
        channel_base: a layer of R x R has channel_base / R channels,
        channel_max: but no more than these.
        num_layers: of the mapping.
        lr_multiplier: of its learning rate.
        w_avg_beta: share of the mean of w that a batch in training leaves as it was.
        dtype: of the parameters.

    Shape:
        (N, z_dim) to (N, img_channels, img_resolution, img_resolution).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        channels = img_channels, channel_base, channel_max
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, *channels, dtype=dtype)
        options = num_layers, lr_multiplier, w_avg_beta
        self.mapping = MappingNetwork(z_dim, w_dim, self.synthesis.num_ws, *options, dtype=dtype)

    def forward(
        self,
        input: Tensor,
        mixing: Tensor | None = None,
        crossover: int | None = None,
        noise: Sequence[Tensor] | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "random",
    ) -> Tensor:
        """G(z).

        Args:
            input: z (N, z_dim).
            mixing: another z (N, z_dim), whose styles take over
            crossover: from this layer on.
            noise: one image (N, 1, R, R) for each layer of R x R, in place of draws.
            truncation_psi: 1 for w as it is, 0 for its mean.
            truncation_cutoff: how many of the layers are truncated; None for all.
            noise_mode: 'random', 'const' or 'none'.

        Returns:
            (N, img_channels, S, S).
        """
        how = truncation_psi, truncation_cutoff
        ws = self.mapping(input, *how)
        if mixing is not None:
            others = self.mapping(mixing, *how, skip_w_avg_update=True)
            ws = torch.cat([ws[:, :crossover], others[:, crossover:]], dim=1)
        y: Tensor = self.synthesis(ws, noise, noise_mode)
        return y
