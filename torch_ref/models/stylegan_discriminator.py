"""StyleGAN2's discriminator and its penalty R1.              Karras et al. 2020, arXiv:1912.04958

discriminator   residual blocks to 4 x 4; minibatch standard deviation, a convolution, dense layers
penalty         R1 = mean_i |dD/dx_i|^2, of real data      (Mescheder et al. 2018, arXiv:1801.04406)

Names and numbers are those of the authors' code, stylegan2-ada-pytorch, without its classes.
"""

import math

import torch
from torch import Tensor, nn

from torch_ref.nn.adversarial_loss import zero_gradient_loss
from torch_ref.nn.equalized import EqualizedConv2d, EqualizedLinear
from torch_ref.nn.minibatch_std import MinibatchStd
from torch_ref.nn.upfirdn2d import setup_filter

HALF = math.sqrt(0.5)  # of the variance, for each of two branches


class DiscriminatorBlock(nn.Module):
    """Two convolutions to half the size, and a shorter way beside them.

    Args:
        in_channels: C, 0 for the first block, which takes the image.
        tmp_channels: between the convolutions; equals C but in the first block.
        out_channels: O.
        img_channels: of the image.
        dtype: of the parameters.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        tmp_channels: int,
        out_channels: int,
        img_channels: int,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        n = tmp_channels
        self.register_buffer("resample_filter", setup_filter(dtype=dtype))
        self.fromrgb = None
        if not in_channels:
            self.fromrgb = EqualizedConv2d(img_channels, n, 1, activation="lrelu", dtype=dtype)
        self.conv0 = EqualizedConv2d(n, n, 3, activation="lrelu", dtype=dtype)
        self.conv1 = EqualizedConv2d(n, out_channels, 3, activation="lrelu", down=2, dtype=dtype)
        self.skip = EqualizedConv2d(n, out_channels, 1, bias=False, down=2, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Features of half the size."""
        x = input if self.fromrgb is None else self.fromrgb(input)
        y: Tensor = self.skip(x, HALF) + self.conv1(self.conv0(x), HALF)
        return y


class DiscriminatorEpilogue(nn.Module):
    """Features of 4 x 4 to a logit.

    Args:
        in_channels: C.
        mbstd_group_size: of the minibatch standard deviation; None for the whole batch.
        mbstd_num_channels: how many channels it adds.
        dtype: of the parameters.
    """

    def __init__(
        self,
        in_channels: int,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        n = in_channels
        self.mbstd = MinibatchStd(mbstd_group_size, mbstd_num_channels)
        self.conv = EqualizedConv2d(n + mbstd_num_channels, n, 3, activation="lrelu", dtype=dtype)
        self.fc = EqualizedLinear(16 * n, n, activation="lrelu", dtype=dtype)
        self.out = EqualizedLinear(n, 1, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Logits."""
        y: Tensor = self.out(self.fc(self.conv(self.mbstd(input)).flatten(1)))
        return y


class StyleGANDiscriminator(nn.Module):
    """Images to logits.

    Args:
        img_resolution: S, a power of two, at least 8.
        img_channels: of an image.
        channel_base: a layer of R x R has channel_base / R channels,
        channel_max: but no more than these.
        mbstd_group_size: of the minibatch standard deviation; None for the whole batch.
        mbstd_num_channels: how many channels it adds.
        dtype: of the parameters.

    Shape:
        (N, img_channels, img_resolution, img_resolution) to (N, 1).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = [4 << k for k in range(img_resolution.bit_length() - 3, 0, -1)]
        inputs = 0
        for size in self.resolutions:
            n, out = (min(channel_base // r, channel_max) for r in (size, size // 2))
            block = DiscriminatorBlock(inputs, n, out, img_channels, dtype=dtype)
            setattr(self, f"b{size}", block)
            inputs = out
        options = mbstd_group_size, mbstd_num_channels
        self.b4 = DiscriminatorEpilogue(inputs, *options, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """D(x)."""
        x = input
        for size in self.resolutions:
            x = getattr(self, f"b{size}")(x)
        y: Tensor = self.b4(x)
        return y


def r1_penalty(discriminator: nn.Module, input: Tensor) -> Tensor:
    """R1 = mean |d sum(D) / dx|^2, over rows.

    Args:
        discriminator: maps rows of x to logits.
        input: x (N, ...), real data.

    Returns:
        R1 (), to be differentiated by the discriminator's parameters.
    """
    x = input if input.requires_grad else input.detach().requires_grad_()
    (g,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return zero_gradient_loss(g)
