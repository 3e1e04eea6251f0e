"""Triplets found in the batch, and the loss of each.

semi-hard    of each pair (a, p) of one class: the nearest n of another with d(a, n) > d(a, p), or
             the farthest n where none is farther than p
batch-hard   of each a: its farthest p and its nearest n

Schroff et al. 2015, FaceNet, arXiv:1503.03832; Hermans et al. 2017, arXiv:1703.07737.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

Triplets = tuple[Tensor, Tensor, Tensor]


def squared_distance(x1: Tensor, x2: Tensor) -> Tensor:
    """|x1 - x2|^2 along the last axis.

    Args:
        x1: (..., D).
        x2: (..., D), broadcasts against x1.

    Returns:
        The squared distance (...,).
    """
    return (x1 - x2).square().sum(-1)


def semi_hard_triplets(input: Tensor, target: Tensor) -> Triplets:
    """Of each pair of a class, the nearest negative that is farther from the anchor.

    Args:
        input: x (N, D), embeddings.
        target: t (N,), the rows' classes.

    Returns:
        Rows of x: anchors, positives and negatives, each (T,), one triplet a pair.
    """
    d, same, positive = _pairs(input, target)
    a, p = (positive & ~same.all(1, keepdim=True)).nonzero(as_tuple=True)
    if not len(a):  # of no rows there is no nearest
        return a, p, a
    farther = d[a].masked_fill(same[a] | (d[a] <= d[a, p][:, None]), torch.inf)
    nearest, farthest = farther.argmin(1), d[a].masked_fill(same[a], -torch.inf).argmax(1)
    return a, p, nearest.where(farther.isfinite().any(1), farthest)


def batch_hard_triplets(input: Tensor, target: Tensor) -> Triplets:
    """Of each row, its farthest positive and its nearest negative.

    Args:
        input: x (N, D), embeddings.
        target: t (N,), the rows' classes.

    Returns:
        Rows of x: anchors, positives and negatives, each (T,), one triplet an anchor.
    """
    d, same, positive = _pairs(input, target)
    (a,) = (positive.any(1) & ~same.all(1)).nonzero(as_tuple=True)
    if not len(a):
        return a, a, a
    p = d.masked_fill(~positive, -torch.inf)[a].argmax(1)
    n = d.masked_fill(same, torch.inf)[a].argmin(1)
    return a, p, n


def semi_hard_triplet_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 0.2,
    squared: bool = True,
    reduction: str = "mean",
) -> Tensor:
    """FaceNet's loss over all pairs of a class, each with a negative that is farther.

    Args:
        input: x (N, D), embeddings, usually of length 1.
        target: t (N,), the rows' classes.
        margin: the difference of distances that is enough.
        squared: whether distances are squared, as in FaceNet.
        reduction: 'none' (T,), 'mean' over the triplets or 'sum'.

    Returns:
        The loss, () or (T,).
    """
    return _loss(input, semi_hard_triplets(input, target), margin, squared, reduction)


def batch_hard_triplet_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 0.2,
    squared: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The loss of each row's hardest triplet in the batch.

    Args:
        input: x (N, D), embeddings.
        target: t (N,), the rows' classes.
        margin: the difference of distances that is enough.
        squared: whether distances are squared; the paper's are not.
        reduction: 'none' (T,), 'mean' over the anchors or 'sum'.

    Returns:
        The loss, () or (T,).
    """
    return _loss(input, batch_hard_triplets(input, target), margin, squared, reduction)


def _loss(x: Tensor, triplets: Triplets, margin: float, squared: bool, reduction: str) -> Tensor:
    a, p, n = (x[rows] for rows in triplets)
    if squared:
        losses = F.triplet_margin_with_distance_loss(
            a, p, n, distance_function=squared_distance, margin=margin, reduction="none"
        )
    else:
        losses = F.triplet_margin_loss(a, p, n, margin=margin, reduction="none")
    if reduction == "none":
        return losses
    return losses.sum() / (max(len(losses), 1) if reduction == "mean" else 1)


@torch.no_grad()
def _pairs(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """d, which pairs are of one class, and which of those are not a row with itself.

    In float64, so that a rounding of float32 chooses nothing.
    """
    x = x.double()
    products = x @ x.T
    squares = products.diagonal()
    d = (squares[:, None] + squares - 2 * products).clamp(min=0)
    same = t[:, None] == t
    return d, same, same & ~torch.eye(len(t), dtype=torch.bool, device=t.device)
