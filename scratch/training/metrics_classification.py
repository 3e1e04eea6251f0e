"""Numbers that say how good a classification is; targets come as the losses take them.

The class that is named is the largest of K logits, or of a single logit its sign. With C[t, y] the
number of rows of class t that were named y, and for each class the hits TP = C[k, k]:

accuracy           sum TP / n
precision          TP / sum_t C[t, k]       of those named k, the share that are
recall             TP / sum_y C[k, y]       of those that are k, the share that was named so
f1                 2 TP / (sum_t C[t, k] + sum_y C[k, y])
average            "binary" of class 1; "macro" mean over classes; "weighted" mean by their rows;
                   "micro" all TP over all the rest, which is the accuracy
roc_auc            P(s+ > s-) + P(s+ = s-) / 2, the score of a row of the class against one that is
                   not; of K classes one against the rest, by softmax of the logits, of two
                   by their difference, which keeps apart what softmax rounds to 1
perplexity         exp(mean -log p(target))
shapes             output (n, K) and target (n,) of classes, or both (n, 1) or both (n,)

A class without hits has 0 even where 0 / 0 stands; one that is neither named nor there does not
count. Scikit-learn's functions give the same numbers.
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.softmax import log_softmax

AVERAGES = ("binary", "macro", "micro", "weighted")


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


def confusion_matrix(output: Array, target: Array) -> Array:
    """How many rows of each class were named what.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.

    Returns:
        C (K, K) int64, the target's classes down, the output's across.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    return _counts("confusion_matrix", output, target)


def precision(output: Array, target: Array, average: str = "macro") -> float:
    """Of the rows that were named a class, the share that are of it.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.
        average: "binary" (class 1 of two), "macro", "micro" or "weighted".

    Returns:
        A number in [0, 1]; NaN for no rows.

    Raises:
        TypeError, ValueError: if the arrays do not fit or there is no such average.
    """
    counts = _counts("precision", output, target)
    return _average("precision", average, counts, counts.sum(0))


def recall(output: Array, target: Array, average: str = "macro") -> float:
    """Of the rows of a class, the share that was named so.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.
        average: "binary" (class 1 of two), "macro", "micro" or "weighted".

    Returns:
        A number in [0, 1]; NaN for no rows.

    Raises:
        TypeError, ValueError: if the arrays do not fit or there is no such average.
    """
    counts = _counts("recall", output, target)
    return _average("recall", average, counts, counts.sum(1))


def f1(output: Array, target: Array, average: str = "macro") -> float:
    """Harmonic mean of precision and recall, of each class before it is averaged.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.
        average: "binary" (class 1 of two), "macro", "micro" or "weighted".

    Returns:
        A number in [0, 1]; NaN for no rows.

    Raises:
        TypeError, ValueError: if the arrays do not fit or there is no such average.
    """
    counts = _counts("f1", output, target)
    return _average("f1", average, counts, (counts.sum(0) + counts.sum(1)) / 2)


def roc_auc(output: Array, target: Array, average: str = "macro") -> float:
    """Area under the ROC curve: how often a row of the class has the higher score.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output; each class in
            some row.
        average: of the K classes: "macro" or "weighted" by their rows.

    Returns:
        A number in [0, 1]: 0.5 is chance, equal scores count one half.

    Raises:
        TypeError, ValueError: if the arrays do not fit, a class is absent, or there is no such
            average.

    Source: Hanley & McNeil 1982, Radiology 143(1).
    """
    check.option("roc_auc", "average", average, ("macro", "weighted"))
    y, t, classes = _classes("roc_auc", output, target)
    if np.isnan(y).any():
        check.refuse("roc_auc", "scores in order", "NaN")
    rows = np.bincount(t, minlength=classes)
    if not rows.all():
        absent = ", ".join(map(str, np.flatnonzero(rows == 0)))
        check.refuse("roc_auc", f"rows of each of {classes} classes", f"none of {absent}")
    if y.ndim == 1:
        return _area(y, t == 1)
    z = y.astype(np.float64)
    if classes == 2:
        return _area(z[:, 1] - z[:, 0], t == 1)
    scores = np.exp(log_softmax(z, 1)[0])
    areas = [_area(scores[:, k], t == k) for k in range(classes)]
    return float(np.average(areas, weights=rows if average == "weighted" else None))


def perplexity(output: Array, target: Array, ignore_index: int = -100) -> float:
    """How many equally likely choices would leave one as unsure.

    Args:
        output: logits (n, K), or (n, K, ...) as `cross_entropy` takes them.
        target: classes (n,) or (n, ...).
        ignore_index: a class that does not count.

    Returns:
        exp of the mean cross entropy in nats: 1 for a sure and right model, K for a guess; NaN
        where nothing counts.

    Raises:
        TypeError, ValueError: if the arrays do not fit.
    """
    y = check.floating("perplexity", "output", output)
    if y.ndim < 2 or y.shape[1] == 0:
        check.refuse("perplexity", "output of shape (n, K, ...)", y.shape)
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
        expected = "target to be an integer array"
        check.refuse("perplexity", expected, check.describe(target), TypeError)
    check.shape("perplexity", "target", target, (len(y), *y.shape[2:]))
    counts = target != check.size("perplexity", "ignore_index", ignore_index, -(2**63))
    classes = check.integer("perplexity", "target", target[counts], 0, y.shape[1])
    if not classes.size:
        return float("nan")
    rows = np.moveaxis(y, 1, -1)[counts].astype(np.float64)
    log_p, _ = log_softmax(rows, 1)
    with np.errstate(over="ignore"):  # beyond all numbers is infinite
        return float(np.exp(-log_p[np.arange(len(classes)), classes].mean()))


def _area(score: Array, positive: Array) -> float:
    """(sum of the ranks of P - P (P + 1) / 2) / P N; equal scores share their mean rank."""
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]
    p = int(positive.sum())
    return float((rank[positive].sum() - p * (p + 1) / 2) / (p * (len(score) - p)))


def _average(function: str, average: str, counts: Array, rows: Array) -> float:
    """Hits over rows, of each class or of all."""
    check.option(function, "average", average, AVERAGES)
    hits, total = np.diag(counts), counts.sum()
    if average == "binary" and len(counts) != 2:
        check.refuse(function, "two classes for average 'binary'", len(counts))
    if not total:
        return float("nan")
    if average == "micro":
        return float(hits.sum() / rows.sum())
    shares = hits / np.where(rows > 0, rows, 1)
    if average == "binary":
        return float(shares[1])
    weights = counts.sum(1)
    if average == "macro":
        weights = ((counts.sum(0) + weights) > 0).astype(np.int64)
    return float(np.average(shares, weights=weights))


def _counts(function: str, output: Array, target: Array) -> Array:
    y, t, classes = _classes(function, output, target)
    named = (y > 0).astype(np.int64) if y.ndim == 1 else y.argmax(1)
    pairs = np.bincount(t * classes + named, minlength=classes**2)
    return pairs.reshape(classes, classes)


def _classes(function: str, output: Array, target: Array) -> tuple[Array, Array, int]:
    """Scores (n,) or (n, K), classes (n,) int64, and how many there are."""
    y = check.floating(function, "output", output)
    t = np.asarray(target)
    if t.shape == y.shape and (y.ndim == 1 or y.shape[-1:] == (1,)):
        if t.dtype.kind not in "fiub" or not np.isin(t, (0, 1)).all():
            check.refuse(function, "targets 0 and 1 of a single logit", check.describe(t))
        return y.reshape(-1), t.reshape(-1).astype(np.int64), 2
    if not (y.ndim == 2 and t.shape == y.shape[:1] and y.shape[1] > 1 and t.dtype.kind in "iu"):
        expected = "logits (n, K) with classes (n,), or single logits with 0 and 1 of their shape"
        check.refuse(function, expected, f"{check.describe(y)} and {check.describe(t)}")
    check.integer(function, "target", t, 0, y.shape[1])
    return y, t.astype(np.int64), y.shape[1]
