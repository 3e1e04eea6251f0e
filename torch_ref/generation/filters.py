"""What sampling does to the logits first: temperature, the top k, the top p.

Ackley et al. 1985; Fan et al. 2018, arXiv:1805.04833; Holtzman et al. 2020, arXiv:1904.09751.
"""

import torch
from torch import Tensor


def temper(logits: Tensor, temperature: float) -> Tensor:
    """z / temperature."""
    return logits / temperature


def top_k(logits: Tensor, k: int, min_tokens_to_keep: int = 1) -> Tensor:
    """The k largest, and -inf for the others.

    Args:
        logits: (..., V).
        k: how many stay; more do where others equal the k-th.
        min_tokens_to_keep: how many stay at least.

    Returns:
        Tensor (..., V).
    """
    k = min(max(k, min_tokens_to_keep), logits.shape[-1])
    edge = logits.topk(k, -1).values[..., -1:]
    return logits.masked_fill(logits < edge, -torch.inf)


def top_p(logits: Tensor, p: float, min_tokens_to_keep: int = 1) -> Tensor:
    """The most probable whose probabilities add up to p, and -inf for the others.

    Args:
        logits: (..., V).
        p: in [0, 1].
        min_tokens_to_keep: how many stay at least.

    Returns:
        Tensor (..., V).
    """
    ascending, order = logits.sort(dim=-1, stable=True)
    dropped = ascending.softmax(-1).cumsum(-1) <= 1 - p
    dropped[..., -min_tokens_to_keep:] = False
    out = torch.empty_like(dropped).scatter_(-1, order, dropped)
    return logits.masked_fill(out, -torch.inf)
