"""Attention with linear biases: a score falls with the distance, in each head at its own slope.

forward    y[h, i, j] = x[h, i, j] - m_h |offset + i - j|              query i, key j
backward   dx = dy
slopes     m_h = 2^(-8 (h + 1) / H), h = 0 ... H - 1, if H is a power of 2;
           else those of the largest power of 2 below H, and then every other one of twice as many,
           first, third, fifth ..., as in the authors' code: so they do not fall all the way
shapes     x, y (..., H, Q, K) scores   m (H,)
torch      has none. The paper masks keys behind the query; without a mask |i - j| makes the bias
           symmetric. Hugging Face's Bloom adds m_h j, which is the same to a softmax over the keys
           up to i: rows may be raised by a constant.
Source     Press, Smith & Lewis 2022, arXiv:2108.12409, section 3
"""

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op


def alibi_slopes(num_heads: int, dtype: DTypeLike = np.float32) -> Array:
    """m_h = 2^(-8 (h + 1) / H), and what takes their place where H is no power of 2.

    Args:
        num_heads: H, >= 1.
        dtype: float32 or float64.

    Returns:
        m (H,).

    Raises:
        TypeError: if `num_heads` is no integer.
        ValueError: if it is below 1, or the dtype is another one.

    Source: Press, Smith & Lewis 2022, arXiv:2108.12409.
    """
    heads = check.size("alibi_slopes", "num_heads", num_heads, low=1)
    floating = (np.dtype(np.float32), np.dtype(np.float64))
    check.option("alibi_slopes", "dtype", np.dtype(dtype), floating)
    power = 2 ** (heads.bit_length() - 1)  # the largest that is not above H
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    slopes += [2 ** (-4 * (h + 1) / power) for h in range(0, 2 * (heads - power), 2)]
    return np.array(slopes, dtype)


def alibi_bias(
    num_heads: int,
    query_length: int,
    key_length: int,
    offset: int = 0,
    dtype: DTypeLike = np.float32,
) -> Array:
    """-m_h |offset + i - j|, to be added to scores of queries i and keys j.

    Args:
        num_heads: H, >= 1.
        query_length: Q.
        key_length: K.
        offset: position of the first query, that of the first key being 0.
        dtype: float32 or float64.

    Returns:
        Array (H, Q, K).

    Raises:
        TypeError: if a size is no integer.
        ValueError: if one is out of range, or the dtype is another one.

    Source: Press, Smith & Lewis 2022, arXiv:2108.12409.
    """
    i = np.arange(check.size("alibi_bias", "query_length", query_length))
    j = np.arange(check.size("alibi_bias", "key_length", key_length))
    first = check.size("alibi_bias", "offset", offset)
    distances = np.abs(first + i[:, None] - j).astype(dtype)
    bias: Array = -alibi_slopes(num_heads, dtype)[:, None, None] * distances
    return bias


@op
def alibi(input: Array, offset: int = 0) -> tuple[Array, Backward]:
    """y[h, i, j] = x[h, i, j] - m_h |offset + i - j|.

    Args:
        input: x (..., H, Q, K), scores before the softmax.
        offset: position of the first query, that of the first key being 0.

    Returns:
        y (..., H, Q, K), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `offset` no integer.
        ValueError: if there are fewer than three axes or no heads, or `offset` is negative.

    Source: Press, Smith & Lewis 2022, arXiv:2108.12409.
    """
    x = check.floating("alibi", "input", input)
    if x.ndim < 3 or not x.shape[-3]:
        check.refuse("alibi", "input of shape (..., H, Q, K) with at least one head", x.shape)
    first = check.size("alibi", "offset", offset)
    heads, queries, keys = x.shape[-3:]
    return x + alibi_bias(heads, queries, keys, first, x.dtype), lambda dy: dy.copy()


class ALiBi(Module):
    """`alibi`.

    Shape:
        scores (..., H, Q, K) to the same.

    Source: Press, Smith & Lewis 2022, arXiv:2108.12409.
    """

    def forward(self, input: Array, offset: int = 0) -> tuple[Array, Backward]:
        """y[h, i, j] = x[h, i, j] - m_h |offset + i - j|."""
        return alibi(input, offset)
