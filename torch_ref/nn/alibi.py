"""Attention with linear biases.                      Press, Smith & Lewis 2022, arXiv:2108.12409

y[h, i, j] = x[h, i, j] - m_h |offset + i - j|, m_h = 2^(-8 (h + 1) / H); if H is no power of 2,
those of the largest power below, then every other one of twice as many.
"""

import torch
from torch import Tensor, nn


def alibi_slopes(
    num_heads: int, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Tensor:
    """m (H,)."""
    power = 1 << (num_heads.bit_length() - 1)
    h = torch.arange(num_heads, dtype=torch.float64, device=device)
    exponents = torch.where(h < power, 8 * (h + 1), 4 * (2 * (h - power) + 1)) / power
    return torch.exp2(-exponents).to(dtype or torch.get_default_dtype())


def alibi_bias(
    num_heads: int,
    query_length: int,
    key_length: int,
    offset: int = 0,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """-m_h |offset + i - j| (H, Q, K), to be added to scores of queries i and keys j."""
    i = torch.arange(offset, offset + query_length, device=device)
    j = torch.arange(key_length, device=device)
    return -alibi_slopes(num_heads, dtype, device)[:, None, None] * (i[:, None] - j).abs()


def alibi(input: Tensor, offset: int = 0) -> Tensor:
    """y[h, i, j] = x[h, i, j] - m_h |offset + i - j|.

    Args:
        input: x (..., H, Q, K), scores before the softmax.
        offset: position of the first query, that of the first key being 0.

    Returns:
        y (..., H, Q, K).
    """
    heads, queries, keys = input.shape[-3:]
    return input + alibi_bias(heads, queries, keys, offset, input.dtype, input.device)


class ALiBi(nn.Module):
    """`alibi`.

    Shape:
        scores (..., H, Q, K) to the same.
    """

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        """y[h, i, j] = x[h, i, j] - m_h |offset + i - j|."""
        return alibi(input, offset)
