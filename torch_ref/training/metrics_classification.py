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

import math

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


def confusion_matrix(output: Tensor, target: Tensor) -> Tensor:
    """How many rows of each class were named what.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.

    Returns:
        C (K, K) int64, the target's classes down, the output's across.
    """
    single = output.shape == target.shape
    k = 2 if single else output.shape[1]
    named = (output > 0).flatten().long() if single else output.argmax(1)
    return (target.flatten().long() * k + named).bincount(minlength=k * k).view(k, k)


def precision(output: Tensor, target: Tensor, average: str = "macro") -> float:
    """Of the rows that were named a class, the share that are of it.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.
        average: "binary" (class 1 of two), "macro", "micro" or "weighted".

    Returns:
        A number in [0, 1]; NaN for no rows.
    """
    counts = confusion_matrix(output, target).double()
    return _average(average, counts, counts.sum(0))


def recall(output: Tensor, target: Tensor, average: str = "macro") -> float:
    """Of the rows of a class, the share that was named so.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.
        average: "binary" (class 1 of two), "macro", "micro" or "weighted".

    Returns:
        A number in [0, 1]; NaN for no rows.
    """
    counts = confusion_matrix(output, target).double()
    return _average(average, counts, counts.sum(1))


def f1(output: Tensor, target: Tensor, average: str = "macro") -> float:
    """Harmonic mean of precision and recall, of each class before it is averaged.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output.
        average: "binary" (class 1 of two), "macro", "micro" or "weighted".

    Returns:
        A number in [0, 1]; NaN for no rows.
    """
    counts = confusion_matrix(output, target).double()
    return _average(average, counts, (counts.sum(0) + counts.sum(1)) / 2)


def roc_auc(output: Tensor, target: Tensor, average: str = "macro") -> float:
    """Area under the ROC curve: how often a row of the class has the higher score.

    Args:
        output: logits (n, K), or (n, 1) or (n,) with one logit for "yes".
        target: classes (n,), or 0 and 1 in the shape of a single logit's output; each class in
            some row.
        average: of the K classes: "macro" or "weighted" by their rows.

    Returns:
        A number in [0, 1]: 0.5 is chance, equal scores count one half; NaN if a class is absent.

    Source: Hanley & McNeil 1982, Radiology 143(1).
    """
    if average not in ("macro", "weighted"):
        raise ValueError(f"roc_auc: expected average 'macro' or 'weighted', got {average!r}")
    if output.shape == target.shape:
        return _area(output.flatten(), target.flatten() > 0.5).item()
    if output.shape[1] == 2:
        return _area(output.double().diff(dim=1).flatten(), target == 1).item()
    scores, classes = output.double().softmax(1), output.shape[1]
    areas = torch.stack([_area(scores[:, k], target == k) for k in range(classes)])
    rows = target.bincount(minlength=classes).double()
    weights = rows / rows.sum() if average == "weighted" else torch.full_like(rows, 1 / classes)
    return (areas * weights).sum().item()


def perplexity(output: Tensor, target: Tensor, ignore_index: int = -100) -> float:
    """How many equally likely choices would leave one as unsure.

    Args:
        output: logits (n, K), or (n, K, ...) as `cross_entropy` takes them.
        target: classes (n,) or (n, ...).
        ignore_index: a class that does not count.

    Returns:
        exp of the mean cross entropy in nats: 1 for a sure and right model, K for a guess; NaN
        where nothing counts.
    """
    return F.cross_entropy(output.double(), target, ignore_index=ignore_index).exp().item()


def _area(score: Tensor, positive: Tensor) -> Tensor:
    """For each row of the class, the share of the others below it, half of those equal to it."""
    others = score[~positive].sort().values
    below, up_to = (torch.searchsorted(others, score[positive], right=r) for r in (False, True))
    return (below + up_to).double().mean() / 2 / len(others)


def _average(average: str, counts: Tensor, rows: Tensor) -> float:
    """Hits over rows, of each class or of all."""
    hits, of_class = counts.diagonal(), counts.sum(1)
    shares = hits / rows.clamp(min=0.5)  # a half where there is one, of the mean in f1
    if not counts.any():
        return math.nan
    if average == "binary" and len(counts) == 2:
        return shares[1].item()
    if average == "micro":
        return (hits.sum() / rows.sum()).item()
    if average == "macro":
        return shares[(counts.sum(0) + of_class) > 0].mean().item()
    if average == "weighted":
        return (shares * of_class / of_class.sum()).sum().item()
    raise ValueError(
        "expected average 'macro', 'micro', 'weighted', or 'binary' of two classes, "
        f"got {average!r} of {len(counts)}"
    )
