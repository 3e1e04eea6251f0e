"""Numbers that say how well scores tell pairs of the same from pairs of different.

A pair is accepted as the same where its score lies above a threshold. Of P pairs of the same and N
of different ones, at each threshold

TAR                 accepted of P / P           true accept rate; FaceNet's validation rate
FAR                 accepted of N / N           false accept rate
roc_curve           FAR, TAR, threshold, from where nothing is accepted to where all is
best_threshold      where (accepted of P + rejected of N) / (P + N) is largest
tar_at_far          the largest TAR whose FAR is not above a limit
equal_error_rate    FAR = 1 - TAR, on straight lines between the thresholds
shapes              output, target (n,): the higher the score the more alike, the target 1 for a
                    pair of the same and 0 for others; of distances give the negative

`accuracy(output - threshold, target)` is the accuracy at a threshold, which belongs to other pairs
than those it is chosen on; `roc_auc(output, target)` the area under the curve.
"""

import math

import torch
from torch import Tensor


def roc_curve(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """False and true accept rates at every threshold that makes a difference.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.

    Returns:
        FAR, TAR and thresholds, each (k + 1,) float64 of k different scores: accepted is what is
        not below the threshold; the first is infinite.
    """
    same = target == 1
    if not same.any() or same.all():
        raise ValueError("expected pairs of the same and of others, got only one kind")
    scores, place = torch.unique(output.double(), return_inverse=True)
    rates = []
    for kind in (~same, same):
        accepted = place[kind].bincount(minlength=len(scores)).flip(0).cumsum(0)
        rates.append(torch.cat([accepted.new_zeros(1), accepted]).double() / accepted[-1])
    return rates[0], rates[1], torch.cat([scores.new_tensor([math.inf]), scores.flip(0)])


def best_threshold(output: Tensor, target: Tensor) -> float:
    """The threshold above which most pairs are accepted or rejected rightly.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.

    Returns:
        A number half-way between two scores, or infinite; of equally good ones the highest.
    """
    far, tar, scores = roc_curve(output, target)
    same = int((target == 1).sum())
    k = int((tar * same - far * (len(output) - same)).round().argmax())
    if k in (0, len(scores) - 1):
        return math.inf if k == 0 else -math.inf
    return ((scores[k] + scores[k + 1]) / 2).item()


def tar_at_far(output: Tensor, target: Tensor, far: float = 0.01) -> float:
    """The true accept rate at a threshold so high that few others are accepted.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.
        far: the largest false accept rate.

    Returns:
        A number in [0, 1].
    """
    rates, tar, _ = roc_curve(output, target)
    return tar[rates <= far][-1].item()


def equal_error_rate(output: Tensor, target: Tensor) -> float:
    """The error rate where as large a share of the same is rejected as of others is accepted.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.

    Returns:
        A number in [0, 1]: 0.5 is chance.
    """
    far, tar, _ = roc_curve(output, target)
    above = far + tar - 1  # rises from -1 to 1
    k = int((above >= 0).int().argmax())
    share = above[k] / (above[k] - above[k - 1])
    return (far[k] - share * (far[k] - far[k - 1])).item()
