"""Networks that tell the noise in x_t, given t.      Ho, Jain & Abbeel 2020, arXiv:2006.11239, B

time       w_i = 10000^(-i / (D / 2 - 1))     p = [sin t w_0, ..., cos t w_0, ...] (D)
           c = W_2 silu(W_1 p + b_1) + b_2
MLP        h = silu(U x + c)        h = silu(V_k h + c), k = 1 ... depth        y = W h
block      h = conv(silu(norm x)) + V silu(c)      y = conv(silu(norm h)) + x, or + conv1x1(x)
attention  y = x + conv1x1(attention of all pixels of norm x)
U-Net      down: blocks, and a convolution of stride 2 between two levels; in the middle block,
           attention if wanted, block; up: blocks, each with the output of its mirror image on the
           way down concatenated, and nearest upsampling and a convolution between two levels
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6


class TimeEmbedding(nn.Module):
    """Sines and cosines of t, and two layers.

    Args:
        dim: D, even, at least 4.
        out_features: E, of both layers.
        dtype: of the parameters.

    Shape:
        integers (N,) to (N, out_features).
    """

    def __init__(self, dim: int, out_features: int, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.linear1 = nn.Linear(dim, out_features, dtype=dtype)
        self.act = nn.SiLU()
        self.linear2 = nn.Linear(out_features, out_features, dtype=dtype)

    def forward(self, t: Tensor) -> Tensor:
        """c."""
        half = self.dim // 2
        exponents = -torch.arange(half, dtype=torch.float64, device=t.device) / (half - 1)
        turns = t[:, None] * torch.pow(10000.0, exponents)
        p = torch.cat([turns.sin(), turns.cos()], 1).to(self.linear1.weight.dtype)
        c: Tensor = self.linear2(self.act(self.linear1(p)))
        return c


class DenoisingMLP(nn.Module):
    """Linear layers that each are told the time: for points of the plane, and small vectors.

    Args:
        features: D, of x.
        width: of the hidden layers.
        depth: how many follow the first.
        time_dim: sines and cosines of t.
        dtype: of the parameters.

    Shape:
        (N, features) and integers (N,) to (N, features).
    """

    def __init__(
        self,
        features: int,
        width: int = 128,
        depth: int = 2,
        time_dim: int = 32,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.time = TimeEmbedding(time_dim, width, dtype=dtype)
        sizes = [features, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(n, width, dtype=dtype) for n in sizes)
        self.act = nn.SiLU()
        self.head = nn.Linear(width, features, dtype=dtype)

    def forward(self, input: Tensor, t: Tensor) -> Tensor:
        """e^."""
        h, c = input, self.time(t)
        for layer in self.layers:
            h = self.act(layer(h) + c)
        y: Tensor = self.head(h)
        return y


class ResidualBlock(nn.Module):
    """Two convolutions, and the time between them.

    Args:
        in_channels: of x.
        out_channels: of y.
        time_features: E, of c.
        groups: of the norms, a divisor of both numbers of channels.
        dtype: of the parameters.

    Shape:
        (N, in_channels, H, W) and (N, time_features) to (N, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_features: int,
        groups: int,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.norm1 = nn.GroupNorm(groups, in_channels, EPS, dtype=dtype)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, dtype=dtype)
        self.time = nn.Linear(time_features, out_channels, dtype=dtype)
        self.norm2 = nn.GroupNorm(groups, out_channels, EPS, dtype=dtype)
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1, dtype=dtype))
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, dtype=dtype)

    def forward(self, input: Tensor, time: Tensor) -> Tensor:
        """y."""
        h = self.conv1(self.act(self.norm1(input)))
        h = h + self.time(self.act(time))[:, :, None, None]
        y: Tensor = self.conv2(self.act(self.norm2(h))) + self.shortcut(input)
        return y


class PixelAttention(nn.Module):
    """Each pixel sees all the others.

    Args:
        channels: of x, a multiple of `heads`.
        heads: of the attention.
        groups: of the norm.
        dtype: of the parameters.

    Shape:
        (N, channels, H, W) to the same.
    """

    def __init__(
        self, channels: int, heads: int, groups: int, *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels, EPS, dtype=dtype)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, dtype=dtype)
        self.out = zeroed(nn.Conv2d(channels, channels, 1, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """y."""
        z = self.qkv(self.norm(input)).flatten(2).unflatten(1, (3, self.heads, -1))
        q, k, v = z.transpose(3, 4).unbind(1)  # each (N, heads, H W, E)
        a = F.scaled_dot_product_attention(q, k, v)
        y: Tensor = input + self.out(a.transpose(2, 3).reshape(input.shape))
        return y


class DenoisingUNet(nn.Module):
    """Residual blocks down to fewer pixels and up again, all told the time.

    Args:
        channels: of an image.
        width: channels of the first level.
        multipliers: of `width`, one a level; the size is halved between two levels.
        blocks: of each level, on either way.
        groups: of the norms, a divisor of the channels of each level.
        heads: of the attention in the middle; 0 for none.
        dtype: of the parameters.

    Shape:
        (N, channels, H, W) and integers (N,) to (N, channels, H, W); H and W multiples of
        2^(levels - 1).
    """

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        groups: int = 8,
        heads: int = 0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        widths = [width * m for m in multipliers]
        each: Any = (4 * width, groups)
        self.time = TimeEmbedding(width, 4 * width, dtype=dtype)
        self.first = nn.Conv2d(channels, width, 3, padding=1, dtype=dtype)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        n = width
        for m in widths:
            if len(self.down):
                self.shrink.append(nn.Conv2d(n, n, 3, stride=2, padding=1, dtype=dtype))
            sizes = [n, *[m] * (blocks - 1)]
            self.down.append(nn.ModuleList(ResidualBlock(k, m, *each, dtype=dtype) for k in sizes))
            n = m
        self.middle1 = ResidualBlock(n, n, *each, dtype=dtype)
        self.attention: nn.Module = nn.Identity()
        if heads:
            self.attention = PixelAttention(n, heads, groups, dtype=dtype)
        self.middle2 = ResidualBlock(n, n, *each, dtype=dtype)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for m in reversed(widths):
            if len(self.up):
                self.grow.append(
                    nn.Sequential(
                        nn.Upsample(scale_factor=2), nn.Conv2d(n, n, 3, padding=1, dtype=dtype)
                    )
                )
            sizes = [n + m, *[2 * m] * (blocks - 1)]
            self.up.append(nn.ModuleList(ResidualBlock(k, m, *each, dtype=dtype) for k in sizes))
            n = m
        self.head = nn.Sequential(
            nn.GroupNorm(groups, n, EPS, dtype=dtype),
            nn.SiLU(),
            zeroed(nn.Conv2d(n, channels, 3, padding=1, dtype=dtype)),
        )

    def forward(self, input: Tensor, t: Tensor) -> Tensor:
        """e^."""
        blocks: Any  # a ModuleList
        c, h, skips = self.time(t), self.first(input), []
        for k, blocks in enumerate(self.down):
            h = self.shrink[k - 1](h) if k > 0 else h
            for block in blocks:
                h = block(h, c)
                skips.append(h)
        h = self.middle2(self.attention(self.middle1(h, c)), c)
        for k, blocks in enumerate(self.up):
            h = self.grow[k - 1](h) if k > 0 else h
            for block in blocks:
                h = block(torch.cat([h, skips.pop()], 1), c)
        y: Tensor = self.head(h)
        return y


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution, starting at 0.

    Args:
        conv: with a bias.
    """
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
