"""Rotary position embedding.                                       Su et al. 2021, arXiv:2104.09864

y_a = x_a cos(t w_i) - x_b sin(t w_i)    y_b = x_b cos(t w_i) + x_a sin(t w_i)
w_i = base^(-2 i / d) / s                (a, b) = (2 i, 2 i + 1), or (i, i + d/2) if not interleaved
"""

import torch
from torch import Tensor, nn

from torch_ref.nn.positional_encoding import angles


def rotary_embedding(
    input: Tensor,
    base: float = 10000.0,
    offset: int = 0,
    dim: int | None = None,
    interleaved: bool = True,
    scaling_factor: float = 1.0,
    positions: Tensor | None = None,
) -> Tensor:
    """Each pair of features, turned by its position's angle.

    Args:
        input: x (..., T, D), queries or keys.
        base: of the frequencies.
        offset: the first position: how many keys a cache holds already.
        dim: d, how many of the features are turned; None for all.
        interleaved: whether (2 i, 2 i + 1) are pairs; if not, (i, i + d/2) are.
        scaling_factor: s, by which positions are divided.
        positions: t, integers that broadcast to (..., T), in place of offset + 0 ... T - 1.

    Returns:
        y (..., T, D).
    """
    d = input.shape[-1] if dim is None else dim
    if positions is None:
        positions = torch.arange(offset, offset + input.shape[-2], device=input.device)
    turns = angles(positions.double() / scaling_factor, d, base)
    cos, sin = turns.cos().to(input.dtype), turns.sin().to(input.dtype)
    x, rest = input[..., :d], input[..., d:]
    axis = -1 if interleaved else -2
    pairs = (d // 2, 2) if interleaved else (2, d // 2)
    x_a, x_b = x.reshape(*x.shape[:-1], *pairs).unbind(axis)
    y = torch.stack([x_a * cos - x_b * sin, x_b * cos + x_a * sin], axis).flatten(-2)
    return torch.cat([y, rest], -1)


class RotaryEmbedding(nn.Module):
    """`rotary_embedding`.

    Args:
        dim: d, how many of the features are turned; None for all.
        base: of the frequencies.
        interleaved: whether (2 i, 2 i + 1) are pairs; if not, (i, i + d/2) are.
        scaling_factor: by which positions are divided.

    Shape:
        (..., T, D) to the same.
    """

    def __init__(
        self,
        dim: int | None = None,
        base: float = 10000.0,
        interleaved: bool = True,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.base = base
        self.interleaved = interleaved
        self.scaling_factor = scaling_factor

    def forward(self, input: Tensor, offset: int = 0, positions: Tensor | None = None) -> Tensor:
        """Each pair of features, turned by its position's angle."""
        options = self.dim, self.interleaved, self.scaling_factor
        return rotary_embedding(input, self.base, offset, *options, positions)

    def extra_repr(self) -> str:
        text = f"dim={self.dim}, base={self.base}, interleaved={self.interleaved}"
        return text if self.scaling_factor == 1 else f"{text}, scaling_factor={self.scaling_factor}"
