"""Numbers that say how good an output is; targets come as the losses take them.

accuracy   share of rows that are right: of logits the largest, of a single logit its sign
mse        mean (y - t)^2
rmse       sqrt(mse), in the unit of t
mae        mean |y - t|, in the unit of t
mape       mean |y - t| / |t|, a share: 0.05 is 5%
r2         1 - sum (y - t)^2 / sum (t - mean t)^2      for each column, then their mean
recall     share of rows whose target is among the k largest scores
mrr        mean of 1 / rank of the target, 0 beyond rank k; the largest score has rank 1
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


def rmse(output: Array, target: Array) -> float:
    """Root of the mean squared error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        sqrt(mean (y - t)^2), in the unit of t.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    y, t = _pair("rmse", output, target)
    return float(np.sqrt(np.mean((y - t) ** 2)))


def mae(output: Array, target: Array) -> float:
    """Mean absolute error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        mean |y - t|, in the unit of t.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    y, t = _pair("mae", output, target)
    return float(np.mean(np.abs(y - t)))


def mape(output: Array, target: Array) -> float:
    """Mean absolute percentage error over every element, as a share.

    Args:
        output: y of any shape.
        target: t of the same shape, nowhere 0.

    Returns:
        mean |y - t| / |t|: 0.05 is 5%. (The share of a target of 0 does not exist; scikit-learn
        puts in 2^-52 for it, and gets a number beyond all bounds.)

    Raises:
        TypeError, ValueError: if the arrays do not fit, or a target is 0.
    """
    y, t = _pair("mape", output, target)
    if not t.all():
        check.refuse("mape", "targets other than 0", f"{int(np.sum(t == 0))} that are 0")
    return float(np.mean(np.abs(y - t) / np.abs(t)))


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


def recall(output: Array, target: Array, k: int = 20) -> float:
    """Share of rows whose target is among the k largest scores; equal scores go before it.

    Args:
        output: scores (n, K).
        target: columns (n,).
        k: how many are looked at.

    Returns:
        A number in [0, 1]; NaN for no rows.

    Raises:
        TypeError, ValueError: if the arrays do not fit or k < 1.
    """
    k = check.size("recall", "k", k, low=1)
    rank = _rank("recall", output, target)
    return float((rank <= k).mean()) if rank.size else float("nan")


def mrr(output: Array, target: Array, k: int = 20) -> float:
    """Mean reciprocal rank of the target, 0 where it is beyond k; equal scores go before it.

    Args:
        output: scores (n, K).
        target: columns (n,).
        k: the last rank that counts.

    Returns:
        A number in [0, 1]; NaN for no rows.

    Raises:
        TypeError, ValueError: if the arrays do not fit or k < 1.
    """
    k = check.size("mrr", "k", k, low=1)
    rank = _rank("mrr", output, target)
    return float(np.where(rank <= k, 1 / rank, 0.0).mean()) if rank.size else float("nan")


def _rank(function: str, output: Array, target: Array) -> Array:
    """How many scores are not below the target's, which counts; a NaN is below nothing."""
    y = check.floating(function, "output", output)
    check.shape(function, "output", y, ("n", "K"))
    t = check.integer(function, "target", target, 0, y.shape[1])
    check.shape(function, "target", t, y.shape[:1])
    score = y[np.arange(len(y)), t][:, None]
    rank: Array = np.sum(~(y < score), axis=1)
    return rank


def _pair(function: str, output: Array, target: Array) -> tuple[Array, Array]:
    """Both in float64, in which sums over many rows are exact enough."""
    y = check.floating(function, "output", output)
    t = check.floating(function, "target", target, like=y)
    check.shape(function, "target", t, y.shape)
    if not y.size:
        check.refuse(function, "at least one element", y.shape)
    return y.astype(np.float64), t.astype(np.float64)
