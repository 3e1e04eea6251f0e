"""Numbers that say how good an output is; targets come as the losses take them.

accuracy   share of rows that are right: of logits the largest, of a single logit its sign
mse        mean (y - t)^2
r2         1 - sum (y - t)^2 / sum (t - mean t)^2      for each column, then their mean
shapes     output (n, K) and target (n,) of classes, or both (n,) or (n, K)
"""

import numpy as np

from scratch import check
from scratch.check import Array


def accuracy(output: Array, target: Array) -> float:
    """Share of correct classifications.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.

    Returns:
        A number in [0, 1]; NaN for no rows.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    y = check.floating("accuracy", "output", output)
    t = np.asarray(target)
    if t.shape == y.shape and (y.ndim == 1 or y.shape[-1:] == (1,)):
        right = (y > 0) == (t > 0.5)
    elif y.ndim == 2 and t.shape == y.shape[:1] and y.shape[1] > 1 and t.dtype.kind in "iu":
        right = y.argmax(1) == t
    else:
        expected = "logits (n, K) with classes (n,), or single logits with 0 and 1 of their shape"
        check.refuse("accuracy", expected, f"{check.describe(y)} and {check.describe(t)}")
    return float(right.mean()) if right.size else float("nan")


def mse(output: Array, target: Array) -> float:
    """Mean squared error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        mean (y - t)^2.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    y, t = _pair("mse", output, target)
    return float(np.mean((y - t) ** 2))


def r2(output: Array, target: Array) -> float:
    """Coefficient of determination: 1 is perfect, 0 is as good as the mean.

    Args:
        output: y (n,) or (n, K).
        target: t of the same shape.

    Returns:
        The mean over columns; a column that is constant in t counts 1 if y equals it, else 0.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    y, t = _pair("r2", output, target)
    if y.ndim not in (1, 2):
        check.refuse("r2", "arrays of shape (n,) or (n, K)", y.shape)
    residual = np.sum((y - t) ** 2, axis=0)
    total = np.sum((t - t.mean(0)) ** 2, axis=0)
    safe = np.where(total > 0, total, 1.0)
    scores = np.where(total > 0, 1 - residual / safe, np.where(residual > 0, 0.0, 1.0))
    return float(scores.mean())


def _pair(function: str, output: Array, target: Array) -> tuple[Array, Array]:
    """Both in float64, in which sums over many rows are exact enough."""
    y = check.floating(function, "output", output)
    t = check.floating(function, "target", target, like=y)
    check.shape(function, "target", t, y.shape)
    if not y.size:
        check.refuse(function, "at least one element", y.shape)
    return y.astype(np.float64), t.astype(np.float64)
