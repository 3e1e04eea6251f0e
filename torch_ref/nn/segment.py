"""Reductions over segments: rows that share an index, such as the messages that reach one node.

Sum, mean, maximum and softmax over i with index_i = k; a segment without rows is 0.
"""

import torch
from torch import Tensor


def segment_sum(input: Tensor, index: Tensor, num_segments: int | None = None) -> Tensor:
    """y_k = sum of x_i over i with index_i = k.

    Args:
        input: x (E, ...).
        index: (E,), in [0, num_segments).
        num_segments: N; None for the largest index and one.

    Returns:
        y (N, ...).
    """
    n = count(index, num_segments)
    return input.new_zeros(n, *input.shape[1:]).index_add(0, index, input)


def segment_mean(input: Tensor, index: Tensor, num_segments: int | None = None) -> Tensor:
    """y_k = mean of x_i over i with index_i = k.

    Args:
        input: x (E, ...).
        index: (E,), in [0, num_segments).
        num_segments: N; None for the largest index and one.

    Returns:
        y (N, ...).
    """
    n = count(index, num_segments)
    sizes = torch.bincount(index, minlength=n).clamp(min=1)
    return segment_sum(input, index, n) / sizes.view(-1, *[1] * (input.ndim - 1))


def segment_max(input: Tensor, index: Tensor, num_segments: int | None = None) -> Tensor:
    """y_k = maximum of x_i over i with index_i = k, each column by itself.

    Args:
        input: x (E, ...).
        index: (E,), in [0, num_segments).
        num_segments: N; None for the largest index and one.

    Returns:
        y (N, ...).
    """
    y = input.new_zeros(count(index, num_segments), *input.shape[1:])
    places = index.long().view(-1, *[1] * (input.ndim - 1)).expand_as(input)
    return y.scatter_reduce(0, places, input, "amax", include_self=False)


def segment_softmax(input: Tensor, index: Tensor, num_segments: int | None = None) -> Tensor:
    """The softmax over the rows that share an index, each column by itself.

    Args:
        input: x (E, ...).
        index: (E,), in [0, num_segments).
        num_segments: N; None for the largest index and one.

    Returns:
        p (E, ...).
    """
    n = count(index, num_segments)
    top = segment_max(input.detach(), index, n)  # a shift that changes nothing needs no gradient
    e = (input - top[index]).exp()
    return e / segment_sum(e, index, n)[index]


def count(index: Tensor, num_segments: int | None) -> int:
    """N, if need be from the largest index."""
    if num_segments is not None:
        return num_segments
    return int(index.max()) + 1 if index.numel() else 0
