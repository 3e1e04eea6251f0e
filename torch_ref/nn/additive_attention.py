"""Additive attention, Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, differentiated by autograd.

e_ts = v . tanh(W q_t + U k_s), p = softmax of e over the keys that are no padding, c = p m.
"""

import math

import torch
from torch import Tensor, nn


def attend(scores: Tensor, value: Tensor, key_padding_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean of the values (B, S, M) by the softmax of the scores (B, T, S), and that."""
    if key_padding_mask is not None:
        scores = scores.masked_fill(key_padding_mask[:, None], -math.inf)
    weights = scores.softmax(-1)
    return weights @ value, weights


def additive_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weight: Tensor,
    key_padding_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The mean of the values, weighed by the softmax of v . tanh(query + key).

    Args:
        query: W q (B, T, A), projected already.
        key: U k (B, S, A), projected already.
        value: (B, S, M).
        weight: v (A,).
        key_padding_mask: bool (B, S), True where a key is padding; None for nowhere.

    Returns:
        c (B, T, M) and the weights (B, T, S).
    """
    scores = torch.tanh(query[:, :, None] + key[:, None]) @ weight
    return attend(scores, value, key_padding_mask)


class AdditiveAttention(nn.Module):
    """`additive_attention` with learned W, U and v, over a memory that is both key and value.

    Args:
        query_size: features of a query.
        key_size: M, features of the memory.
        hidden_size: A.
        dtype: of the parameters.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        hidden_size: int,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, hidden_size, bias=False, dtype=dtype)
        self.key = nn.Linear(key_size, hidden_size, bias=False, dtype=dtype)
        self.weight = nn.Parameter(torch.empty(hidden_size, dtype=dtype))
        bound = 1 / math.sqrt(hidden_size)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(
        self, query: Tensor, memory: Tensor, key_padding_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the memory holds for each query, and where."""
        return self.ask(query, self.keys(memory), memory, key_padding_mask)

    def keys(self, memory: Tensor) -> Tensor:
        """U k, once for all queries: (B, S, M) to (B, S, A)."""
        keys: Tensor = self.key(memory)
        return keys

    def ask(
        self, query: Tensor, keys: Tensor, memory: Tensor, key_padding_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, with the keys at hand."""
        return additive_attention(self.query(query), keys, memory, self.weight, key_padding_mask)
