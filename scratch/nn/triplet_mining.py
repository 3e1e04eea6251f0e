"""Triplets found in the batch, and the loss of each.

forward    d(i, j) = |x_i - x_j|^2
           semi-hard    of each pair (a, p) of one class: the nearest n of another with
                        d(a, n) > d(a, p), or the farthest n where none is farther than p
           batch-hard   of each a: its farthest p and its nearest n
           L = mean over the triplets of max(0, margin + d(a, p) - d(a, n)), or of the roots of d
backward   the choice is not differentiated: dx collects what the three rows of each triplet get
           squared distance  dx_a = 2 dd (x_a - x_b)     dx_b = -dx_a
shapes     x (N, D)   t (N,)   a, p, n (T,)
counts     a pair is two triplets, each of the two being the anchor once; a row that has no other of
           its class, or none of another, is no anchor. Triplets beyond the margin count in the mean
           with 0. A batch without triplets has loss 0.
choice     by distances in float64 from x x^T, so that a rounding of float32 chooses nothing; of
           equal ones the first
torch      has none. FaceNet leaves open which of the semi-hard negatives is taken and what is done
           where there is none: here as in TensorFlow Addons. Without `squared` the distance is
           that of triplet_margin_loss, which adds 1e-6 to each difference.
Sources    Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv:1503.03832, section 3.2; Hermans,
           Beyer & Leibe 2017, arXiv:1703.07737, equation 5
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.embedding import embedding
from scratch.nn.margin_loss import triplet_margin_loss, triplet_margin_with_distance_loss
from scratch.nn.op import Backward, op, unbroadcast
from scratch.nn.reduction import quiet, reduced, resolve

Triplets = tuple[Array, Array, Array]


@op
@quiet
def squared_distance(x1: Array, x2: Array) -> tuple[Array, Backward]:
    """|x1 - x2|^2 along the last axis.

    Args:
        x1: (..., D).
        x2: (..., D), broadcasts against x1.

    Returns:
        The squared distance (...,), and its backward: dy -> dx1, dx2.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not broadcast or are ().

    Source: Schroff et al. 2015, equation 1.
    """
    x1 = check.floating("squared_distance", "x1", x1)
    x2 = check.floating("squared_distance", "x2", x2, like=x1)
    if not check.broadcastable("squared_distance", x1=x1, x2=x2):
        check.refuse("squared_distance", "x1 and x2 of shape (..., D)", "()")
    v = x1 - x2
    shape1, shape2 = x1.shape, x2.shape

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dv = 2 * dy[..., None] * v
        return unbroadcast(dv, shape1), unbroadcast(-dv, shape2)

    return np.asarray((v * v).sum(-1)), backward


def semi_hard_triplets(input: Array, target: Array) -> Triplets:
    """Of each pair of a class, the nearest negative that is farther from the anchor.

    Args:
        input: x (N, D), embeddings.
        target: t (N,), integers, the rows' classes.

    Returns:
        Rows of x: anchors, positives and negatives, each (T,) int64, one triplet a pair.

    Raises:
        TypeError, ValueError: if the arrays do not fit.

    Source: Schroff et al. 2015, section 3.2.
    """
    x, t = _batch("semi_hard_triplets", input, target)
    return _semi_hard(x, t)


def batch_hard_triplets(input: Array, target: Array) -> Triplets:
    """Of each row, its farthest positive and its nearest negative.

    Args:
        input: x (N, D), embeddings.
        target: t (N,), integers, the rows' classes.

    Returns:
        Rows of x: anchors, positives and negatives, each (T,) int64, one triplet an anchor.

    Raises:
        TypeError, ValueError: if the arrays do not fit.

    Source: Hermans et al. 2017, equation 5.
    """
    x, t = _batch("batch_hard_triplets", input, target)
    return _batch_hard(x, t)


@op
@quiet
def semi_hard_triplet_loss(
    input: Array,
    target: Array,
    margin: float = 0.2,
    squared: bool = True,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """FaceNet's loss over all pairs of a class, each with a negative that is farther.

    Args:
        input: x (N, D), embeddings, usually of length 1.
        target: t (N,), integers, the rows' classes.
        margin: the difference of distances that is enough, positive.
        squared: whether distances are squared, as in FaceNet.
        reduction: 'none' (T,), 'mean' over the triplets or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, the margin is not positive or an option is unknown.

    Source: Schroff et al. 2015, section 3.2.
    """
    name = "semi_hard_triplet_loss"
    x, t = _batch(name, input, target)
    _check_options(name, margin, squared)
    reduction = resolve(name, reduction)
    return _loss(x, _semi_hard(x, t), float(margin), squared, reduction)


@op
@quiet
def batch_hard_triplet_loss(
    input: Array,
    target: Array,
    margin: float = 0.2,
    squared: bool = False,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """The loss of each row's hardest triplet in the batch.

    Args:
        input: x (N, D), embeddings.
        target: t (N,), integers, the rows' classes.
        margin: the difference of distances that is enough, positive.
        squared: whether distances are squared; the paper's are not.
        reduction: 'none' (T,), 'mean' over the anchors or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, the margin is not positive or an option is unknown.

    Source: Hermans et al. 2017, equation 5.
    """
    name = "batch_hard_triplet_loss"
    x, t = _batch(name, input, target)
    _check_options(name, margin, squared)
    reduction = resolve(name, reduction)
    return _loss(x, _batch_hard(x, t), float(margin), squared, reduction)


def _loss(
    x: Array, triplets: Triplets, margin: float, squared: bool, reduction: str
) -> tuple[Array, Backward]:
    (a, p, n), rows_back = embedding(np.stack(triplets), x)  # each (T, D)
    if squared:
        losses, triplet_back = triplet_margin_with_distance_loss(
            a, p, n, distance_function=squared_distance, margin=margin, reduction="none"
        )
    else:
        losses, triplet_back = triplet_margin_loss(a, p, n, margin=margin, reduction="none")
    y, reduced_back = reduced(losses, reduction, max(len(losses), 1))

    def backward(dy: Array) -> Array:
        drows = triplet_back(np.asarray(reduced_back(dy)))
        dx: Array = rows_back(np.stack(drows))
        return dx

    return y, backward


def _semi_hard(x: Array, t: Array) -> Triplets:
    d, same, positive = _pairs(x, t)
    a, p = np.nonzero(positive & ~same.all(1, keepdims=True))
    if not len(a):  # of no rows there is no nearest
        return a, p, a
    own = same[a]
    farther = np.where(own | (d[a] <= d[a, p][:, None]), np.inf, d[a])  # (T, N)
    nearest, farthest = farther.argmin(1), np.where(own, -np.inf, d[a]).argmax(1)
    some = np.isfinite(farther).any(1)
    return a, p, np.where(some, nearest, farthest)


def _batch_hard(x: Array, t: Array) -> Triplets:
    d, same, positive = _pairs(x, t)
    a = np.flatnonzero(positive.any(1) & ~same.all(1))
    if not len(a):
        return a, a, a
    p = np.where(positive, d, -np.inf)[a].argmax(1)
    n = np.where(same, np.inf, d)[a].argmin(1)
    return a, p, n


@quiet
def _pairs(x: Array, t: Array) -> tuple[Array, Array, Array]:
    """d, which pairs are of one class, and which of those are not a row with itself."""
    x = x.astype(np.float64, copy=False)
    products = x @ x.T
    squares = products.diagonal()
    d = np.maximum(squares[:, None] + squares - 2 * products, 0)
    same = t[:, None] == t
    return d, same, same & ~np.eye(len(t), dtype=bool)


def _batch(function: str, input: Array, target: Array) -> tuple[Array, Array]:
    x = check.floating(function, "input", input)
    check.shape(function, "input", x, ("N", "D"))
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
        expected = "target to be an integer array"
        check.refuse(function, expected, check.describe(target), TypeError)
    check.shape(function, "target", target, x.shape[:1])
    return x, target


def _check_options(function: str, margin: float, squared: bool) -> None:
    check.number(function, "margin", margin, 0, open_low=True)
    check.option(function, "squared", squared, (True, False))
