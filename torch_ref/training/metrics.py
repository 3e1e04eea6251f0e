"""Numbers that say how good an output is; targets come as the losses take them.

accuracy   share of rows that are right: of logits the largest, of a single logit its sign
mse        mean (y - t)^2
r2         1 - sum (y - t)^2 / sum (t - mean t)^2      for each column, then their mean
shapes     output (n, K) and target (n,) of classes, or both (n,) or (n, K)
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def accuracy(output: Tensor, target: Tensor) -> float:
    """Share of correct classifications.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.

    Returns:
        A number in [0, 1]; NaN for no rows.
    """
    single = output.shape == target.shape
    right = (output > 0) == (target > 0.5) if single else output.argmax(1) == target
    return right.double().mean().item()


def mse(output: Tensor, target: Tensor) -> float:
    """Mean squared error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        mean (y - t)^2.
    """
    return F.mse_loss(output.double(), target.double()).item()


def r2(output: Tensor, target: Tensor) -> float:
    """Coefficient of determination: 1 is perfect, 0 is as good as the mean.

    Args:
        output: y (n,) or (n, K).
        target: t of the same shape.

    Returns:
        The mean over columns; a column that is constant in t counts 1 if y equals it, else 0.
    """
    y, t = output.double(), target.double()
    residual = (y - t).square().sum(0)
    total = (t - t.mean(0)).square().sum(0)
    scores = torch.where(total > 0, 1 - residual / total, (residual == 0).double())
    return scores.mean().item()
