"""Positions added to a sequence of vectors.      Vaswani et al. 2017, arXiv:1706.03762, section 3.5

sinusoidal  P[t, 2 i] = sin(t w_i)    P[t, 2 i + 1] = cos(t w_i)    w_i = base^(-2 i / D)
learned     y = x + W[t]                                            Gehring et al. 2017
"""

import torch
from torch import Tensor, nn


def angles(positions: Tensor, dim: int, base: float) -> Tensor:
    """t base^(-2 i / dim) for each pair i of features, in float64."""
    exponents = -torch.arange(0, dim, 2, dtype=torch.float64, device=positions.device) / dim
    return positions[..., None] * torch.pow(base, exponents)


def sinusoidal_table(
    length: int,
    dim: int,
    base: float = 10000.0,
    offset: int = 0,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """P[t, 2 i] = sin(t w_i), P[t, 2 i + 1] = cos(t w_i), w_i = base^(-2 i / dim).

    Args:
        length: T, number of positions.
        dim: D, number of features, odd or even.
        base: > 0.
        offset: the first position.
        dtype: of the result.
        device: of the result.

    Returns:
        P (T, D).
    """
    turns = angles(torch.arange(offset, offset + length, device=device), dim, base)
    table = torch.stack([turns.sin(), turns.cos()], -1).flatten(-2)[:, :dim]
    return table.to(dtype or torch.get_default_dtype())


def sinusoidal_encoding(input: Tensor, base: float = 10000.0, offset: int = 0) -> Tensor:
    """y = x + P.

    Args:
        input: x (..., T, D).
        base: of the wavelengths.
        offset: the first position.

    Returns:
        y (..., T, D).
    """
    length, dim = input.shape[-2:]
    return input + sinusoidal_table(length, dim, base, offset, input.dtype, input.device)


def learned_encoding(input: Tensor, weight: Tensor, offset: int = 0) -> Tensor:
    """y = x + W[t].

    Args:
        input: x (..., T, D).
        weight: W (P, D).
        offset: the first position.

    Returns:
        y (..., T, D).
    """
    return input + weight[offset : offset + input.shape[-2]]


class SinusoidalPositionalEncoding(nn.Module):
    """`sinusoidal_encoding`, then dropout.

    Args:
        d_model: D, odd or even.
        dropout: probability of dropping a value of the sum.
        base: of the wavelengths.

    Shape:
        (..., T, d_model) to the same; T has no limit.
    """

    def __init__(self, d_model: int, dropout: float = 0.0, base: float = 10000.0) -> None:
        super().__init__()
        self.d_model = d_model
        self.base = base
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        """y = dropout(x + P)."""
        y: Tensor = self.dropout(sinusoidal_encoding(input, self.base, offset))
        return y

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, base={self.base}"


class LearnedPositionalEncoding(nn.Module):
    """`learned_encoding` with a learned row for each position, then dropout.

    Args:
        num_positions: P, the longest sequence.
        d_model: D.
        dropout: probability of dropping a value of the sum.
        dtype: of the parameter.

    Shape:
        (..., T, d_model) to the same, offset + T <= num_positions.
    """

    def __init__(
        self,
        num_positions: int,
        d_model: int,
        dropout: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_positions = num_positions
        self.d_model = d_model
        self.weight = nn.Parameter(torch.empty(num_positions, d_model, dtype=dtype))
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the start from N(0, 0.02^2)."""
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        """y = dropout(x + W[t])."""
        y: Tensor = self.dropout(learned_encoding(input, self.weight, offset))
        return y

    def extra_repr(self) -> str:
        return f"num_positions={self.num_positions}, d_model={self.d_model}"
