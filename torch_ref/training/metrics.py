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

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from torch_ref.training.metrics_classification import accuracy as accuracy
from torch_ref.training.metrics_classification import confusion_matrix as confusion_matrix
from torch_ref.training.metrics_classification import f1 as f1
from torch_ref.training.metrics_classification import perplexity as perplexity
from torch_ref.training.metrics_classification import precision as precision
from torch_ref.training.metrics_classification import recall as recall
from torch_ref.training.metrics_classification import roc_auc as roc_auc
from torch_ref.training.metrics_detection import mean_average_precision as mean_average_precision
from torch_ref.training.metrics_detection import precision_recall_curve as precision_recall_curve
from torch_ref.training.metrics_segmentation import class_dice as class_dice
from torch_ref.training.metrics_segmentation import class_iou as class_iou
from torch_ref.training.metrics_segmentation import mean_iou as mean_iou
from torch_ref.training.metrics_segmentation import pixel_accuracy as pixel_accuracy
from torch_ref.training.metrics_verification import best_threshold as best_threshold
from torch_ref.training.metrics_verification import equal_error_rate as equal_error_rate
from torch_ref.training.metrics_verification import roc_curve as roc_curve
from torch_ref.training.metrics_verification import tar_at_far as tar_at_far


def mse(output: Tensor, target: Tensor) -> float:
    """Mean squared error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        mean (y - t)^2.
    """
    return F.mse_loss(output.double(), target.double()).item()


def rmse(output: Tensor, target: Tensor) -> float:
    """Root of the mean squared error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        sqrt(mean (y - t)^2), in the unit of t.
    """
    return F.mse_loss(output.double(), target.double()).sqrt().item()


def mae(output: Tensor, target: Tensor) -> float:
    """Mean absolute error over every element.

    Args:
        output: y of any shape.
        target: t of the same shape.

    Returns:
        mean |y - t|, in the unit of t.
    """
    return F.l1_loss(output.double(), target.double()).item()


def mape(output: Tensor, target: Tensor) -> float:
    """Mean absolute percentage error over every element, as a share.

    Args:
        output: y of any shape.
        target: t of the same shape, nowhere 0.

    Returns:
        mean |y - t| / |t|: 0.05 is 5%; infinite or NaN where a target is 0.
    """
    y, t = output.double(), target.double()
    return ((y - t) / t).abs().mean().item()


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


def recall_at_k(output: Tensor, target: Tensor, k: int = 20) -> float:
    """Share of rows whose target is among the k largest scores; equal scores go before it.

    Args:
        output: scores (n, K).
        target: columns (n,).
        k: how many are looked at.

    Returns:
        A number in [0, 1]; NaN for no rows.
    """
    return (_rank(output, target) <= k).double().mean().item()


def mrr(output: Tensor, target: Tensor, k: int = 20) -> float:
    """Mean reciprocal rank of the target, 0 where it is beyond k; equal scores go before it.

    Args:
        output: scores (n, K).
        target: columns (n,).
        k: the last rank that counts.

    Returns:
        A number in [0, 1]; NaN for no rows.
    """
    rank = _rank(output, target).double()
    return (1 / rank).where(rank <= k, 0).mean().item()


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

    Source: Tjong Kim Sang & De Meulder 2003, "Introduction to the CoNLL-2003 shared task".
    """
    found, wanted = set(_entities(output)), set(_entities(target))
    right = len(found & wanted)
    return (
        right / max(len(found), 1),
        right / max(len(wanted), 1),
        2 * right / max(len(found) + len(wanted), 1),
    )


def _entities(rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, int, int, str]]:
    """Sequence, first word, the word behind the last, and type."""
    for row, tags in enumerate(rows):
        kinds = [tag[2:] for tag in tags]
        begins = [
            t
            for t, tag in enumerate(tags)
            if tag[0] == "B" or (tag[0] == "I" and (t == 0 or kinds[t - 1] != kinds[t]))
        ]
        for start in begins:
            end = start + 1
            while end < len(tags) and tags[end] == f"I-{kinds[start]}":
                end += 1
            yield row, start, end, kinds[start]


def _rank(output: Tensor, target: Tensor) -> Tensor:
    """How many scores are not below the target's, which counts; a NaN is below nothing."""
    return (~(output < output.gather(1, target[:, None]))).sum(1)
