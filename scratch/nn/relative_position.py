"""Relative position bias: a learned number for each head and each range of distances.

forward    y[h, i, j] = W[b(j - offset - i), h]                query i, key j
backward   dW[k, h] = sum of dy[h, i, j] over i, j in bucket k
buckets    n = distance to a key before the query, or at it: max(-(j - i), 0) where attention is
           causal. If it is bidirectional, n = |j - i|, and the second half of the buckets is for
           keys behind the query (j > i); B is then half their number.
           n < E: b = n      else b = min(B - 1, E + floor(log(n / E) / log(M / E) (B - E)))
           E = B / 2         so one distance each up to E, then ranges that widen up to M
shapes     W (num_buckets, H)   y (H, Q, K)
rounding   the logarithm in float64, which finds the bucket of every exact power. Hugging Face's is
           float32: of 64 buckets or fewer and M up to 512 it differs in one place (B = 48, M = 81,
           n = 54), in none that a published model has.
torch      has none. Hugging Face's T5Attention.relative_attention_bias holds W; only the first
           layer of a stack has it, and all layers add its y.
Source     Raffel et al. 2020, arXiv:1910.10683, section 2.1
"""

import math

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.random import Generator


def relative_position_bucket(
    relative_position: Array,
    bidirectional: bool = True,
    num_buckets: int = 32,
    max_distance: int = 128,
) -> Array:
    """b(j - i), the bucket of a key's position less the query's.

    Args:
        relative_position: j - i, integers of any shape.
        bidirectional: whether keys behind the query have buckets of their own.
        num_buckets: a multiple of 4 if `bidirectional`, else of 2.
        max_distance: M, from which on all distances share a bucket; above E.

    Returns:
        Integers in [0, num_buckets), of the same shape.

    Raises:
        TypeError: if `relative_position` is not integer, or an argument has the wrong type.
        ValueError: if the buckets cannot be halved so or `max_distance` leaves none to widen.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.
    """
    name = "relative_position_bucket"
    relative = check.integer(name, "relative_position", relative_position, -(2**31), 2**31)
    check_buckets(name, bidirectional, num_buckets, max_distance)
    n = np.maximum(-relative, 0)
    first = np.zeros_like(n)
    if bidirectional:
        num_buckets //= 2
        n = np.abs(relative)
        first = np.where(relative > 0, num_buckets, 0)
    exact = num_buckets // 2
    # Logarithms are divided first: a product with a rounded quotient misses exact powers.
    share = np.log(np.maximum(n, exact) / exact) / math.log(max_distance / exact)
    far = exact + np.floor(share * (num_buckets - exact)).astype(n.dtype)
    bucket: Array = first + np.where(n < exact, n, np.minimum(far, num_buckets - 1))
    return bucket


def check_buckets(
    function: str, bidirectional: object, num_buckets: object, max_distance: object
) -> None:
    """Refuse numbers of buckets that cannot be halved, and a distance that leaves none to widen."""
    check.option(function, "bidirectional", bidirectional, (True, False))
    multiple = 4 if bidirectional else 2
    buckets = check.size(function, "num_buckets", num_buckets, low=multiple)
    if buckets % multiple:
        check.refuse(function, f"num_buckets to be a multiple of {multiple}", buckets)
    check.size(function, "max_distance", max_distance, low=buckets // multiple + 1)


@op
def relative_position_bias(
    weight: Array,
    query_length: int,
    key_length: int,
    bidirectional: bool = True,
    max_distance: int = 128,
    offset: int = 0,
) -> tuple[Array, Backward]:
    """y[h, i, j] = W[b(j - offset - i), h].

    Args:
        weight: W (num_buckets, H).
        query_length: Q.
        key_length: K.
        bidirectional: whether keys behind the query have buckets of their own.
        max_distance: from which on all distances share a bucket.
        offset: position of the first query, that of the first key being 0.

    Returns:
        y (H, Q, K), to be added to scores, and its backward: dy -> dW.

    Raises:
        TypeError: if `weight` is not floating, or an argument has the wrong type.
        ValueError: if `weight` is not 2-d, or an argument is out of range.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.
    """
    name = "relative_position_bias"
    weight = check.floating(name, "weight", weight)
    check.shape(name, "weight", weight, ("num_buckets", "H"))
    num_buckets, heads = weight.shape
    check_buckets(name, bidirectional, num_buckets, max_distance)
    i = np.arange(check.size(name, "query_length", query_length))
    j = np.arange(check.size(name, "key_length", key_length))
    first = check.size(name, "offset", offset)
    relative = j - first - i[:, None]
    bucket = relative_position_bucket(relative, bidirectional, num_buckets, max_distance)

    def backward(dy: Array) -> Array:
        rows = dy.reshape(heads, i.size * j.size)
        flat = bucket.ravel()
        columns = [np.bincount(flat, row, num_buckets) for row in rows]  # summed in float64
        return np.array(columns, dy.dtype).reshape(heads, num_buckets).T.copy()

    return np.ascontiguousarray(weight.T[:, bucket]), backward


class RelativePositionBias(Module):
    """`relative_position_bias` with a learned number for each bucket and head.

    Args:
        num_heads: H.
        num_buckets: a multiple of 4 if `bidirectional`, else of 2.
        max_distance: from which on all distances share a bucket.
        bidirectional: whether keys behind the query have buckets of their own: of an encoder.
        dtype: float32 or float64.
        generator: where the start, N(0, 1), comes from; None draws a fresh one.

    Shape:
        Lengths Q and K, integers, to (H, Q, K).

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "RelativePositionBias"
        self.num_heads = check.size(name, "num_heads", num_heads, low=1)
        check_buckets(name, bidirectional, num_buckets, max_distance)
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.weight = Parameter(np.empty((num_buckets, num_heads), dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start from N(0, 1), as of an Embedding."""
        init.normal_(self.weight, generator=generator)

    def forward(
        self, query_length: int, key_length: int, offset: int = 0
    ) -> tuple[Array, Backward]:
        """y[h, i, j] = W[b(j - offset - i), h]; its backward returns None."""
        options = self.bidirectional, self.max_distance, offset
        y, bias_back = relative_position_bias(self.weight.data, query_length, key_length, *options)

        def backward(dy: Array) -> None:
            self.weight.accumulate(bias_back(dy))

        return y, backward

    def extra_repr(self) -> str:
        return (
            f"num_heads={self.num_heads}, num_buckets={self.num_buckets}, "
            f"max_distance={self.max_distance}, bidirectional={self.bidirectional}"
        )
