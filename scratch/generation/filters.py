"""What sampling does to the logits first.

temper     z / temperature                       below 1 sharper, above 1 flatter; 1 changes nothing
top_k      -inf for all below the k-th largest: of equals at the edge all stay
top_p      -inf for the least probable whose probabilities add up to 1 - p or less: the smallest
           set stays whose sum is at least p, and a token at the edge with it. Of equals at the edge
           the first go.
shapes     z (..., V) to the same
torch      has none. Edges and ties are those of Hugging Face's warpers, which come in this order.
Sources    top_k: Fan, Lewis & Dauphin 2018, arXiv:1805.04833, section 5.1
           top_p: Holtzman et al. 2020, arXiv:1904.09751, section 3.1
           temperature: Ackley, Hinton & Sejnowski 1985, Cognitive Science 9
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.softmax import softmax


def temper(logits: Array, temperature: float) -> Array:
    """z / temperature.

    Args:
        logits: z (..., V).
        temperature: > 0.

    Returns:
        Array (..., V).

    Raises:
        TypeError: if `logits` is not floating or `temperature` no number.
        ValueError: if it is not above 0 and finite, or there are no logits.

    Source: Ackley, Hinton & Sejnowski 1985.
    """
    z = scores("temper", logits)
    top = float(np.finfo(np.float64).max)
    tempered: Array = z / check.number("temper", "temperature", temperature, 0, top, open_low=True)
    return tempered


def top_k(logits: Array, k: int, min_tokens_to_keep: int = 1) -> Array:
    """The k largest, and -inf for the others.

    Args:
        logits: z (..., V).
        k: how many stay, >= 1; more do where others equal the k-th.
        min_tokens_to_keep: how many stay at least.

    Returns:
        Array (..., V).

    Raises:
        TypeError: if `logits` is not floating or a number no integer.
        ValueError: if a number is below 1, or there are no logits.

    Source: Fan, Lewis & Dauphin 2018, arXiv:1805.04833.
    """
    z = scores("top_k", logits)
    k = check.size("top_k", "k", k, low=1)
    k = max(k, check.size("top_k", "min_tokens_to_keep", min_tokens_to_keep, low=1))
    at = max(z.shape[-1] - k, 0)
    edge = np.partition(z, at, -1)[..., at, None]
    return np.where(z < edge, -np.inf, z)


def top_p(logits: Array, p: float, min_tokens_to_keep: int = 1) -> Array:
    """The most probable whose probabilities add up to p, and -inf for the others.

    Args:
        logits: z (..., V).
        p: in [0, 1].
        min_tokens_to_keep: how many stay at least.

    Returns:
        Array (..., V).

    Raises:
        TypeError: if `logits` is not floating or an argument no number.
        ValueError: if p is out of range, a number is below 1, or there are no logits.

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    z = scores("top_p", logits)
    p = check.number("top_p", "p", p, 0, 1)
    keep = check.size("top_p", "min_tokens_to_keep", min_tokens_to_keep, low=1)
    order = np.argsort(z, -1, kind="stable")  # the least probable first
    probabilities, _ = softmax(np.take_along_axis(z, order, -1), -1)
    tail = np.cumsum(probabilities, -1, dtype=np.float64).astype(z.dtype)  # summed as by torch
    dropped = tail <= 1 - p
    dropped[..., -keep:] = False
    out = np.empty_like(dropped)
    np.put_along_axis(out, order, dropped, -1)
    return np.where(out, -np.inf, z)


def scores(function: str, logits: object) -> Array:
    """A floating array (..., V) with V > 0."""
    z = check.floating(function, "logits", logits)
    if not z.ndim or not z.shape[-1]:
        check.refuse(function, "logits of shape (..., V), V > 0", z.shape)
    return z
