"""Multiplicative attention, Luong, Pham & Manning 2015, arXiv:1508.04025, by autograd.

e_ts = q_t . k_s or q_t . W k_s, p = softmax of e over the keys that are no padding, c = p m.
"""

import torch
from torch import Tensor, nn

from torch_ref.nn.additive_attention import attend


def multiplicative_attention(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The mean of the values, weighed by the softmax of query . key, which is not scaled.

    Args:
        query: (B, T, A).
        key: (B, S, A).
        value: (B, S, M).
        key_padding_mask: bool (B, S), True where a key is padding; None for nowhere.

    Returns:
        c (B, T, M) and the weights (B, T, S).
    """
    return attend(query @ key.mT, value, key_padding_mask)


class MultiplicativeAttention(nn.Module):
    """`multiplicative_attention` over a memory that is both key and value.

    Args:
        query_size: A, features of a query.
        key_size: M, features of the memory; for 'dot' the same.
        score: 'general' with a learned W, or 'dot' without.
        dtype: of the parameters.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        score: str = "general",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.score = score
        self.key = None
        if score == "general":
            self.key = nn.Linear(key_size, query_size, bias=False, dtype=dtype)

    def forward(
        self, query: Tensor, memory: Tensor, key_padding_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the memory holds for each query, and where."""
        return self.ask(query, self.keys(memory), memory, key_padding_mask)

    def keys(self, memory: Tensor) -> Tensor:
        """W k, once for all queries: (B, S, M) to (B, S, A)."""
        keys: Tensor = memory if self.key is None else self.key(memory)
        return keys

    def ask(
        self, query: Tensor, keys: Tensor, memory: Tensor, key_padding_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, with the keys at hand."""
        return multiplicative_attention(query, keys, memory, key_padding_mask)

    def extra_repr(self) -> str:
        return f"score={self.score!r}"
