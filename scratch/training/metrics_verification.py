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
Sources             Schroff et al. 2015, arXiv:1503.03832, section 4; Huang et al. 2007, "Labeled
                    faces in the wild", whose threshold is chosen on the other folds
"""

import numpy as np

from scratch import check
from scratch.check import Array


def roc_curve(output: Array, target: Array) -> tuple[Array, Array, Array]:
    """False and true accept rates at every threshold that makes a difference.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.

    Returns:
        FAR, TAR and thresholds, each (k + 1,) float64 of k different scores: accepted is what is
        not below the threshold; the first is infinite.

    Raises:
        TypeError, ValueError: if the arrays do not fit, a score is NaN or a kind of pair absent.
    """
    return _curve("roc_curve", output, target)


def best_threshold(output: Array, target: Array) -> float:
    """The threshold above which most pairs are accepted or rejected rightly.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.

    Returns:
        A number half-way between two scores, or infinite; of equally good ones the highest.

    Raises:
        TypeError, ValueError: if the arrays do not fit, a score is NaN or a kind of pair absent.
    """
    far, tar, scores = _curve("best_threshold", output, target)
    same = int(np.sum(np.asarray(target) == 1))
    right = np.rint(tar * same - far * (len(output) - same))  # less all of N
    best = int(right.argmax())
    return _between(scores, best)


def tar_at_far(output: Array, target: Array, far: float = 0.01) -> float:
    """The true accept rate at a threshold so high that few others are accepted.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.
        far: the largest false accept rate.

    Returns:
        A number in [0, 1].

    Raises:
        TypeError, ValueError: if the arrays do not fit, a score is NaN, a kind of pair absent, or
            `far` is no share.
    """
    limit = check.number("tar_at_far", "far", far, 0, 1)
    rates, tar, _ = _curve("tar_at_far", output, target)
    return float(tar[rates <= limit][-1])


def equal_error_rate(output: Array, target: Array) -> float:
    """The error rate where as large a share of the same is rejected as of others is accepted.

    Args:
        output: scores (n,).
        target: 1 for a pair of the same, 0 for others (n,); both in some row.

    Returns:
        A number in [0, 1]: 0.5 is chance.

    Raises:
        TypeError, ValueError: if the arrays do not fit, a score is NaN or a kind of pair absent.
    """
    far, tar, _ = _curve("equal_error_rate", output, target)
    above = far + tar - 1  # rises from -1 to 1
    k = int((above >= 0).argmax())
    share = above[k] / (above[k] - above[k - 1])
    return float(far[k] - share * (far[k] - far[k - 1]))


def _between(scores: Array, k: int) -> float:
    """A threshold that accepts the k highest different scores; the first is infinite."""
    if k in (0, len(scores) - 1):
        return float("inf" if k == 0 else "-inf")
    return float((scores[k] + scores[k + 1]) / 2)


def _curve(function: str, output: Array, target: Array) -> tuple[Array, Array, Array]:
    y = check.floating(function, "output", output)
    check.shape(function, "output", y, ("n",))
    t = np.asarray(target)
    check.shape(function, "target", t, y.shape)
    if t.dtype.kind not in "fiub" or not np.isin(t, (0, 1)).all():
        check.refuse(function, "targets 0 and 1", check.describe(target))
    if np.isnan(y).any():
        check.refuse(function, "scores in order", "NaN")
    same = t == 1
    if not same.any() or same.all():
        got = "none of the same" if len(same) and not same.any() else "none of others"
        check.refuse(function, "pairs of the same and of others", got)
    scores, place = np.unique(y, return_inverse=True)
    counts = np.stack([np.bincount(place[kind], minlength=len(scores)) for kind in (~same, same)])
    accepted = np.cumsum(counts[:, ::-1], axis=1)
    far, tar = np.pad(accepted / accepted[:, -1:], ((0, 0), (1, 0)))
    return far, tar, np.concatenate([[np.inf], scores[::-1].astype(np.float64)])
