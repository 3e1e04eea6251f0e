"""Multiplicative attention.                Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 7, 8

forward    e_ts = q_t . k_s                      'dot': the key is the memory
           e_ts = q_t . W k_s                    'general': so is W k, which is computed only once
           p_ts = e^e_ts / sum_s e^e_ts, 0 where s is padding           c_t = sum_s p_ts m_s
backward   dm_s = sum_t p_ts dc_t                dp_ts = dp_ts + dc_t . m_s
           de_ts = p_ts (dp_ts - sum_s dp_ts p_ts)
           dq_t = sum_s de_ts k_s                dk_s = sum_t de_ts q_t
shapes     q (B, T, A)   k (B, S, A)   m (B, S, M)   W (A, M)   e, p (B, T, S)   c (B, T, M)
torch      F.scaled_dot_product_attention divides e by sqrt(A), this does not, and does not return
           p. The mask is that of nn.MultiheadAttention, True where a key is padding.
"""

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.additive_attention import attend, checked
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.random import Generator

SCORES = ("dot", "general")


@op
def multiplicative_attention(
    query: Array, key: Array, value: Array, key_padding_mask: Array | None = None
) -> tuple[tuple[Array, Array], Backward]:
    """The mean of the values, weighed by the softmax of query . key, which is not scaled.

    Args:
        query: q (B, T, A).
        key: k (B, S, A).
        value: m (B, S, M).
        key_padding_mask: bool (B, S), True where a key is padding; None for nowhere. Where all
            keys are, the result is NaN.

    Returns:
        c (B, T, M) and the weights p (B, T, S), and their backward: dc, dp -> dquery, dkey, dvalue.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit.

    Source: Luong, Pham & Manning 2015, equations 7 and 8.
    """
    q, k, m, mask = checked("multiplicative_attention", query, key, value, key_padding_mask)
    (c, p), attend_back = attend(q @ k.swapaxes(1, 2), m, mask)

    def backward(dc: Array | None, dp: Array | None) -> tuple[Array, Array, Array]:
        de, dm = attend_back(dc, dp)
        return de @ k, de.swapaxes(1, 2) @ q, dm

    return (c, p), backward


class MultiplicativeAttention(Module):
    """`multiplicative_attention` over a memory that is both key and value.

    Args:
        query_size: A, features of a query.
        key_size: M, features of the memory; for 'dot' the same.
        score: 'general' with a learned W, or 'dot' without.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        query (B, T, A) and memory (B, S, M) to c (B, T, M) and p (B, T, S).

    Source: Luong, Pham & Manning 2015.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        score: str = "general",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "MultiplicativeAttention"
        check.size(name, "query_size", query_size, low=1)
        check.size(name, "key_size", key_size, low=1)
        check.option(name, "score", score, SCORES)
        if score == "dot" and query_size != key_size:
            check.refuse(name, f"key_size = query_size = {query_size} for 'dot'", key_size)
        self.score = score
        self.key = None
        if score == "general":
            self.key = Linear(key_size, query_size, bias=False, dtype=dtype, generator=generator)

    def forward(
        self, query: Array, memory: Array, key_padding_mask: Array | None = None
    ) -> tuple[tuple[Array, Array], Backward]:
        """What the memory holds for each query, and where."""
        keys, keys_back = self.keys(memory)
        (c, p), ask_back = self.ask(query, keys, memory, key_padding_mask)

        def backward(dc: Array | None, dp: Array | None) -> tuple[Array, Array]:
            dquery, dkeys, dmemory = ask_back(dc, dp)
            return dquery, dmemory + keys_back(dkeys)

        return (c, p), backward

    def keys(self, memory: Array) -> tuple[Array, Backward]:
        """W k, once for all queries: (B, S, M) to (B, S, A)."""
        return (memory, lambda dkeys: dkeys) if self.key is None else self.key(memory)

    def ask(
        self, query: Array, keys: Array, memory: Array, key_padding_mask: Array | None = None
    ) -> tuple[tuple[Array, Array], Backward]:
        """As `forward`, with the keys at hand; backward: dc, dp -> dquery, dkeys, dmemory."""
        return multiplicative_attention(query, keys, memory, key_padding_mask)

    def extra_repr(self) -> str:
        return f"score={self.score!r}"
