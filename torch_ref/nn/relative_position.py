"""Relative position bias of T5.                  Raffel et al. 2020, arXiv:1910.10683, section 2.1

y[h, i, j] = W[b(j - offset - i), h]; b: one bucket a distance up to E, then ranges that widen up to
max_distance.
"""

import math

import torch
from torch import Tensor, nn


def relative_position_bucket(
    relative_position: Tensor,
    bidirectional: bool = True,
    num_buckets: int = 32,
    max_distance: int = 128,
) -> Tensor:
    """b(j - i), the bucket of a key's position less the query's.

    Args:
        relative_position: j - i, integers of any shape.
        bidirectional: whether keys behind the query have buckets of their own.
        num_buckets: number of buckets.
        max_distance: from which on all distances share a bucket.

    Returns:
        Integers in [0, num_buckets), of the same shape.
    """
    n = (-relative_position).clamp(min=0)
    first = torch.zeros_like(n)
    if bidirectional:
        num_buckets //= 2
        n = relative_position.abs()
        first = torch.where(relative_position > 0, num_buckets, 0)
    exact = num_buckets // 2
    share = (n.clamp(min=exact).double() / exact).log() / math.log(max_distance / exact)
    far = exact + (share * (num_buckets - exact)).floor().to(n.dtype)
    return first + torch.where(n < exact, n, far.clamp(max=num_buckets - 1))


def relative_position_bias(
    weight: Tensor,
    query_length: int,
    key_length: int,
    bidirectional: bool = True,
    max_distance: int = 128,
    offset: int = 0,
) -> Tensor:
    """y[h, i, j] = W[b(j - offset - i), h].

    Args:
        weight: W (num_buckets, H).
        query_length: Q.
        key_length: K.
        bidirectional: whether keys behind the query have buckets of their own.
        max_distance: from which on all distances share a bucket.
        offset: position of the first query, that of the first key being 0.

    Returns:
        y (H, Q, K), to be added to scores.
    """
    i = torch.arange(offset, offset + query_length, device=weight.device)
    j = torch.arange(key_length, device=weight.device)
    bucket = relative_position_bucket(j - i[:, None], bidirectional, len(weight), max_distance)
    return weight[bucket].permute(2, 0, 1)


class RelativePositionBias(nn.Module):
    """`relative_position_bias` with a learned number for each bucket and head.

    Args:
        num_heads: H.
        num_buckets: number of buckets.
        max_distance: from which on all distances share a bucket.
        bidirectional: whether keys behind the query have buckets of their own: of an encoder.
        dtype: of the parameter.

    Shape:
        Lengths Q and K, integers, to (H, Q, K).
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.weight = nn.Parameter(torch.empty(num_buckets, num_heads, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the start from N(0, 1)."""
        nn.init.normal_(self.weight)

    def forward(self, query_length: int, key_length: int, offset: int = 0) -> Tensor:
        """y[h, i, j] = W[b(j - offset - i), h]."""
        options = self.bidirectional, self.max_distance, offset
        return relative_position_bias(self.weight, query_length, key_length, *options)

    def extra_repr(self) -> str:
        return (
            f"num_heads={self.num_heads}, num_buckets={self.num_buckets}, "
            f"max_distance={self.max_distance}, bidirectional={self.bidirectional}"
        )
