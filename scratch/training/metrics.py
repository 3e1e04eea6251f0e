"""Numbers that say how good an output is; targets come as the losses take them.

mse        mean (y - t)^2
rmse       sqrt(mse), in the unit of t
mae        mean |y - t|, in the unit of t
mape       mean |y - t| / |t|, a share: 0.05 is 5%
r2         1 - sum (y - t)^2 / sum (t - mean t)^2      for each column, then their mean
recall_at_k
           share of rows whose target is among the k largest scores
mrr        mean of 1 / rank of the target, 0 beyond rank k; the largest score has rank 1
entity_scores
           precision, recall, F1 of spans: an entity is right if both ends and its type are
shapes     output and target both (n,) or (n, K); scores (n, K) and target (n,); entities: lists of
           tags

Here too are those of `metrics_classification`: accuracy, precision, recall, f1, confusion_matrix,
roc_auc, perplexity; of `metrics_detection`: mean_average_precision, precision_recall_curve; of
`metrics_verification`: roc_curve, best_threshold, tar_at_far, equal_error_rate; and of
`metrics_segmentation`: pixel_accuracy, class_iou, class_dice, mean_iou. `recall` is of classes,
`recall_at_k` of rankings.
"""

import re
from collections.abc import Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.training.metrics_classification import accuracy as accuracy
from scratch.training.metrics_classification import confusion_matrix as confusion_matrix
from scratch.training.metrics_classification import f1 as f1
from scratch.training.metrics_classification import perplexity as perplexity
from scratch.training.metrics_classification import precision as precision
from scratch.training.metrics_classification import recall as recall
from scratch.training.metrics_classification import roc_auc as roc_auc
from scratch.training.metrics_detection import mean_average_precision as mean_average_precision
from scratch.training.metrics_detection import precision_recall_curve as precision_recall_curve
from scratch.training.metrics_segmentation import class_dice as class_dice
from scratch.training.metrics_segmentation import class_iou as class_iou
from scratch.training.metrics_segmentation import mean_iou as mean_iou
from scratch.training.metrics_segmentation import pixel_accuracy as pixel_accuracy
from scratch.training.metrics_verification import best_threshold as best_threshold
from scratch.training.metrics_verification import equal_error_rate as equal_error_rate
from scratch.training.metrics_verification import roc_curve as roc_curve
from scratch.training.metrics_verification import tar_at_far as tar_at_far


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


def recall_at_k(output: Array, target: Array, k: int = 20) -> float:
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
    k = check.size("recall_at_k", "k", k, low=1)
    rank = _rank("recall_at_k", output, target)
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


def entity_scores(
    output: Sequence[Sequence[str]], target: Sequence[Sequence[str]]
) -> tuple[float, float, float]:
    """Precision, recall and F1 of entities, as CoNLL counts them.

    An entity of type X begins at B-X, or at I-X where the tag before is not of type X, goes on
    through I-X and ends before any other tag. One is right if the target has the same, with both
    ends and the type.

    Args:
        output: tags of each sequence, 'O', 'B-X' or 'I-X'.
        target: as many and as long.

    Returns:
        Share of the output's entities that are right, share of the target's entities that were
        found, and 2 P R / (P + R); each 0 where it has nothing to count.

    Raises:
        TypeError, ValueError: if the sequences do not fit, or a tag has another form.

    Source: Tjong Kim Sang & De Meulder 2003, "Introduction to the CoNLL-2003 shared task".
    """
    rows, truth = (_tags(name, v) for name, v in (("output", output), ("target", target)))
    if list(map(len, rows)) != list(map(len, truth)):
        lengths = f"{list(map(len, rows))} and {list(map(len, truth))}"
        check.refuse("entity_scores", "output and target of the same lengths", lengths)
    found, wanted = _entities(rows), _entities(truth)
    right = len(found & wanted)
    return (
        right / len(found) if found else 0.0,
        right / len(wanted) if wanted else 0.0,
        2 * right / (len(found) + len(wanted)) if right else 0.0,
    )


def _entities(rows: Sequence[Sequence[str]]) -> set[tuple[int, int, int, str]]:
    """Sequence, first word, the word behind the last, and type."""
    found = set()
    for row, tags in enumerate(rows):
        start, open_type = 0, ""
        for t, tag in enumerate([*tags, "O"]):
            prefix, _, kind = tag.partition("-")
            if open_type and (prefix != "I" or kind != open_type):
                found.add((row, start, t, open_type))
                open_type = ""
            if kind and not open_type:
                start, open_type = t, kind
    return found


def _tags(name: str, value: object) -> Sequence[Sequence[str]]:
    """Lists of tags, checked."""
    rows = value if isinstance(value, list | tuple) else None
    if rows is None or not all(isinstance(row, list | tuple) for row in rows):
        expected = f"{name} to be a list of lists of tags"
        check.refuse("entity_scores", expected, check.describe(value), TypeError)
    for tag in (tag for row in rows for tag in row):
        if not isinstance(tag, str):
            check.refuse("entity_scores", f"tags in {name}", check.describe(tag), TypeError)
        if not re.fullmatch(r"O|[BI]-.+", tag):
            check.refuse("entity_scores", f"tags 'O', 'B-X' or 'I-X' in {name}", repr(tag))
    return rows


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
