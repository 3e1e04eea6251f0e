"""Additive attention.                  Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, section 3

forward    e_ts = v . tanh(W q_t + U k_s)        p_ts = e^e_ts / sum_s e^e_ts, 0 for padding
           c_t = sum_s p_ts m_s                              m: what is attended to, k as a rule
backward   dm_s = sum_t p_ts dc_t                dp_ts = dp_ts + dc_t . m_s
           de_ts = p_ts (dp_ts - sum_s dp_ts p_ts)
           dv = sum de_ts u_ts                   u_ts = tanh(W q_t + U k_s)
           da_ts = de_ts v (1 - u_ts^2)          d(W q_t) = sum_s da_ts    d(U k_s) = sum_t da_ts
shapes     W q (B, T, A)   U k (B, S, A)   m (B, S, M)   v (A,)   e, p (B, T, S)   c (B, T, M)
cost       u is (B, T, S, A): a decoder, which asks one query at a time, computes U k only once
torch      has none. The mask is that of nn.MultiheadAttention, True where a key is padding. Starts
           are those of Linear, U(-1/sqrt(in), 1/sqrt(in)); the paper's are near 0. No biases.
"""

import math

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.linear import Linear
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.nn.softmax import softmax
from scratch.random import Generator


def checked(
    name: str, query: object, key: object, value: object, key_padding_mask: object
) -> tuple[Array, Array, Array, Array | None]:
    """The arguments that every attention shares, in shapes that fit."""
    q = check.floating(name, "query", query)
    k = check.floating(name, "key", key, like=q)
    m = check.floating(name, "value", value, like=q)
    if q.ndim != 3:
        check.refuse(name, "query of shape (B, T, A)", q.shape)
    batch, _, size = q.shape
    check.shape(name, "key", k, (batch, "S", size))
    check.shape(name, "value", m, (*k.shape[:2], "M"))
    if not k.shape[1]:
        check.refuse(name, "at least one key", k.shape)
    if key_padding_mask is None:
        return q, k, m, None
    if not isinstance(key_padding_mask, np.ndarray) or key_padding_mask.dtype != np.bool_:
        got = check.describe(key_padding_mask)
        check.refuse(name, "key_padding_mask to be a bool array", got, TypeError)
    check.shape(name, "key_padding_mask", key_padding_mask, k.shape[:2])
    return q, k, m, key_padding_mask


def attend(
    scores: Array, value: Array, key_padding_mask: Array | None
) -> tuple[tuple[Array, Array], Backward]:
    """The mean of the values, weighed by the softmax of the scores over the keys.

    Args:
        scores: e (B, T, S).
        value: m (B, S, M).
        key_padding_mask: bool (B, S), True where a key is padding; None for nowhere.

    Returns:
        c (B, T, M) and p (B, T, S), and their backward: dc, dp -> de, dm.
    """
    if key_padding_mask is not None:
        scores = np.where(key_padding_mask[:, None], -np.inf, scores)
    p, softmax_back = softmax(scores, -1)
    c = p @ value

    def backward(dc: Array | None, dp: Array | None) -> tuple[Array, Array]:
        dp = np.zeros_like(p) if dp is None else dp
        if dc is None:
            return softmax_back(dp), np.zeros_like(value)
        dp = dp + dc @ value.swapaxes(1, 2)
        return softmax_back(dp), p.swapaxes(1, 2) @ dc

    return (c, p), backward


@op
def additive_attention(
    query: Array,
    key: Array,
    value: Array,
    weight: Array,
    key_padding_mask: Array | None = None,
) -> tuple[tuple[Array, Array], Backward]:
    """The mean of the values, weighed by the softmax of v . tanh(query + key).

    Args:
        query: W q (B, T, A), projected already.
        key: U k (B, S, A), projected already.
        value: m (B, S, M).
        weight: v (A,).
        key_padding_mask: bool (B, S), True where a key is padding; None for nowhere. Where all
            keys are, the result is NaN.

    Returns:
        c (B, T, M) and the weights p (B, T, S), and their backward: dc, dp -> dquery, dkey, dvalue,
        dweight.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit.

    Source: Bahdanau, Cho & Bengio 2015, section A.1.2.
    """
    name = "additive_attention"
    q, k, m, mask = checked(name, query, key, value, key_padding_mask)
    v = check.floating(name, "weight", weight, like=q)
    check.shape(name, "weight", v, (q.shape[2],))
    u = q[:, :, None] + k[:, None]  # (B, T, S, A)
    np.tanh(u, out=u)
    (c, p), attend_back = attend(u @ v, m, mask)

    def backward(dc: Array | None, dp: Array | None) -> tuple[Array, ...]:
        de, dm = attend_back(dc, dp)
        dv = de.reshape(-1) @ u.reshape(-1, len(v))
        da = 1 - u  # 1 - u^2 in two factors, which are exact near 1
        da *= 1 + u
        da *= v
        da *= de[..., None]
        return da.sum(2), da.sum(1), dm, dv

    return (c, p), backward


class AdditiveAttention(Module):
    """`additive_attention` with learned W, U and v, over a memory that is both key and value.

    Args:
        query_size: features of a query.
        key_size: M, features of the memory.
        hidden_size: A.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        query (B, T, query_size) and memory (B, S, M) to c (B, T, M) and p (B, T, S).

    Source: Bahdanau, Cho & Bengio 2015.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        hidden_size: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "AdditiveAttention"
        check.size(name, "query_size", query_size, low=1)
        check.size(name, "key_size", key_size, low=1)
        size = check.size(name, "hidden_size", hidden_size, low=1)
        generator = generator or Generator()
        self.query = Linear(query_size, size, bias=False, dtype=dtype, generator=generator)
        self.key = Linear(key_size, size, bias=False, dtype=dtype, generator=generator)
        self.weight = Parameter(np.empty(size, dtype))
        bound = 1 / math.sqrt(size)
        init.uniform_(self.weight, -bound, bound, generator=generator)

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
        """U k, once for all queries: (B, S, M) to (B, S, A)."""
        return self.key(memory)

    def ask(
        self, query: Array, keys: Array, memory: Array, key_padding_mask: Array | None = None
    ) -> tuple[tuple[Array, Array], Backward]:
        """As `forward`, with the keys at hand; backward: dc, dp -> dquery, dkeys, dmemory."""
        projected, query_back = self.query(query)
        outputs, attention_back = additive_attention(
            projected, keys, memory, self.weight.data, key_padding_mask
        )

        def backward(dc: Array | None, dp: Array | None) -> tuple[Array, Array, Array]:
            dprojected, dkeys, dmemory, dweight = attention_back(dc, dp)
            self.weight.accumulate(dweight)
            return query_back(dprojected), dkeys, dmemory

        return outputs, backward
