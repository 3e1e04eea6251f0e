"""Minibatch standard deviation: how much the samples of a group differ, as further channels.

Karras et al. 2018, arXiv:1710.10196, section 3; in groups: Karras et al. 2020, arXiv:1912.04958.
"""

import torch
from torch import Tensor, nn

EPS = 1e-8


def minibatch_std(input: Tensor, group_size: int | None = 4, num_channels: int = 1) -> Tensor:
    """Append the mean standard deviation over a group.

    Args:
        input: x (N, C, H, W).
        group_size: G, at most N, which it divides; None for N.
        num_channels: F, which divides C.

    Returns:
        y (N, C + F, H, W).
    """
    n, c, h, w = input.shape
    g = n if group_size is None else min(group_size, n)
    x = input.reshape(g, n // g, num_channels, c // num_channels, h, w)  # (G, N / G, F, C / F, ...)
    spread = (x.var(0, correction=0) + EPS).sqrt().mean((2, 3, 4))  # (N / G, F)
    return torch.cat([input, spread.repeat(g, 1)[:, :, None, None].expand(-1, -1, h, w)], dim=1)


class MinibatchStd(nn.Module):
    """`minibatch_std` as a layer.

    Args:
        group_size: G; None for the whole batch.
        num_channels: F.

    Shape:
        (N, C, H, W) to (N, C + F, H, W).
    """

    def __init__(self, group_size: int | None = 4, num_channels: int = 1) -> None:
        super().__init__()
        self.group_size, self.num_channels = group_size, num_channels

    def forward(self, input: Tensor) -> Tensor:
        """y = (x, s)."""
        return minibatch_std(input, self.group_size, self.num_channels)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"group_size={self.group_size}, num_channels={self.num_channels}"
