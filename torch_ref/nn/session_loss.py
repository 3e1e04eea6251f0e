"""Losses that rank the item which came next above sampled ones, differentiated by autograd.

    r = x_t the target's score, x_j those of the negatives, s the logistic function

sampled cross entropy  log(e^r + sum_j e^x_j) - r               x less log_q first, if given
BPR                    mean_j -log s(r - x_j)
TOP1                   mean_j s(x_j - r) + s(x_j^2)
TOP1-max               sum_j w_j (s(x_j - r) + s(x_j^2))                  w = softmax of x_j
BPR-max                -log sum_j w_j s(r - x_j) + a sum_j w_j x_j^2      over the negatives

Hidasi et al. 2016, arXiv:1511.06939; Hidasi & Karatzoglou 2018, arXiv:1706.03847.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def sampled_cross_entropy(
    input: Tensor,
    target: Tensor,
    negatives: Tensor | None = None,
    log_q: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy over the target and its negatives.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next.
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        log_q: (C,) or (N, C), log of how often each candidate is sampled, taken off the scores.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,).
    """
    on = _negatives(input, target, negatives)
    x = input if log_q is None else input - log_q
    counted = on.scatter(1, target[:, None], True)
    logits = x.masked_fill(~counted, -torch.inf)
    return F.cross_entropy(logits, target, reduction=reduction)


def bpr_loss(
    input: Tensor, target: Tensor, negatives: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Bayesian personalised ranking: the odds of each pair in the wrong order.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next.
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,).
    """
    on = _negatives(input, target, negatives)
    r = input.gather(1, target[:, None])
    return _reduced(_mean(-F.logsigmoid(r - input), on), reduction)


def top1_loss(
    input: Tensor, target: Tensor, negatives: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """TOP1: the share of negatives above the target, smoothed, and scores that stay near 0.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next.
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,).
    """
    on = _negatives(input, target, negatives)
    r = input.gather(1, target[:, None])
    return _reduced(_mean((input - r).sigmoid() + input.square().sigmoid(), on), reduction)


def top1_max_loss(
    input: Tensor, target: Tensor, negatives: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """TOP1 with each negative weighed by the softmax of their scores.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next.
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,).
    """
    on = _negatives(input, target, negatives)
    r = input.gather(1, target[:, None])
    w = input.masked_fill(~on, LOW).softmax(1)
    f = (input - r).sigmoid() + input.square().sigmoid()
    return _reduced((w * f).where(on, 0).sum(1), reduction)


def bpr_max_loss(
    input: Tensor,
    target: Tensor,
    negatives: Tensor | None = None,
    regularization: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """The odds that the target is below the largest negative, of which the softmax is a draw.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next.
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        regularization: a, how much the negatives' squared scores count.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,).
    """
    on = _negatives(input, target, negatives)
    r = input.gather(1, target[:, None])
    log_w = input.masked_fill(~on, LOW).log_softmax(1)
    log_odds = (log_w + F.logsigmoid(r - input)).masked_fill(~on, LOW).logsumexp(1)
    penalty = (log_w.exp() * input.square()).where(on, 0).sum(1)
    loss = (regularization * penalty - log_odds).where(on.any(1), 0)
    return _reduced(loss, reduction)


LOW = -1e30  # in place of -inf, of which a row without negatives would make NaN


def _negatives(input: Tensor, target: Tensor, negatives: Tensor | None) -> Tensor:
    on = torch.ones_like(input, dtype=torch.bool) if negatives is None else negatives
    return on.scatter(1, target[:, None], False)


def _mean(values: Tensor, on: Tensor) -> Tensor:
    """Over the negatives of each row, 0 where there are none."""
    return values.where(on, 0).sum(1) / on.sum(1).clamp(min=1)


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()
