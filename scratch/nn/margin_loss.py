"""Losses that ask for a margin.

forward    hinge_embedding   l = x where t = 1,  max(0, margin - x) where t = -1
                             and the sum of both where t is neither
           cosine_embedding  l = 1 - c where t = 1,  max(0, c - margin) where t = -1,  else 0
                             c = x1.x2 / sqrt((x1.x1 + 1e-12) (x2.x2 + 1e-12))
           margin_ranking    l = max(0, margin - t (x1 - x2))
           multi_margin      l = sum_{i != t} w_t max(0, margin - x_t + x_i)^p / C
                                                            Crammer & Singer 2001 (p = 1)
           multilabel        l = sum_{j right, i wrong} max(0, 1 - x_j + x_i) / C
           triplet           l = max(0, margin + d(a, p) - d(a, n))
                                                            Schroff et al. 2015, arXiv:1503.03832
                             swap: min(d(a, n), d(p, n)) for d(a, n)
                                                            Balntas et al. 2016
backward   each max(0, z) hands its gradient to z where it is active, and from there
           cosine            dx1 = dc (x2 / root - c x1 / (x1.x1 + 1e-12)),  root as in c
           multi_margin      dx_i = p z^(p - 1) w_t dl / C,  dx_t = -sum_i dx_i
shapes     see each function
torch      At z = 0 exactly the hinges that torch composes (hinge_embedding, cosine_embedding,
           margin_ranking, triplet) pass the gradient, as clamp does at its bound; multi_margin
           and multilabel_margin do not.  Ties of the swap share the gradient evenly.  The
           cosine's epsilons, float32 numbers, stand under the root.  The distance adds 1e-6 to
           the difference.
"""

from collections.abc import Callable

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.distance import PairwiseDistance, pairwise_distance
from scratch.nn.op import Backward, op, unbroadcast
from scratch.nn.reduction import Loss, labels, quiet, reduced, resolve

EPSILON = float(np.float32(1e-12))

Distance = Callable[[Array, Array], tuple[Array, Backward]]


@op
@quiet
def hinge_embedding_loss(
    input: Array,
    target: Array,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """A distance where the label is 1, what it lacks of the margin where it is -1.

    Args:
        input: x, any shape, usually a distance.
        target: t, -1 or 1, integer or floating, broadcasts against x; not differentiated.
        margin: the distance that is enough.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if the shapes do not broadcast or an option does not exist.
    """
    x = check.floating("hinge_embedding_loss", "input", input)
    t, _ = labels("hinge_embedding_loss", "target", target, x)
    check.broadcastable("hinge_embedding_loss", input=x, target=t)
    margin = check.number("hinge_embedding_loss", "margin", margin)
    reduction = resolve("hinge_embedding_loss", reduction, size_average, reduce)
    z = margin - x
    loss = np.where(t != 1, np.maximum(z, 0), 0.0) + np.where(t != -1, x, 0.0)
    y, reduced_back = reduced(loss, reduction)
    shape = x.shape

    @quiet
    def backward(dy: Array) -> Array:
        slope = (t != -1).astype(z.dtype) - ((t != 1) & (z >= 0))
        return unbroadcast(reduced_back(dy) * slope, shape)

    return y, backward


@op
@quiet
def cosine_embedding_loss(
    input1: Array,
    input2: Array,
    target: Array,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """What the cosine lacks of 1 for the label 1, what it exceeds the margin by for the label -1.

    Args:
        input1: x1 (N, D) or (D,).
        input2: x2, broadcasts against x1.
        target: t (N,) or (), -1 or 1, integer or floating; not differentiated.
        margin: the cosine that is low enough.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput1, dinput2.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit or an option does not exist.
    """
    function = "cosine_embedding_loss"
    x1 = check.floating(function, "input1", input1)
    x2 = check.floating(function, "input2", input2, like=x1)
    t, _ = labels(function, "target", target, x1)
    if t.ndim > 1:
        check.refuse(function, "target of shape (N,) or ()", t.shape)
    for name, x in (("input1", x1), ("input2", x2)):
        check.shape(function, name, x, ("N", "D") if t.ndim else ("D",))
    check.broadcastable(function, input1=x1, input2=x2)
    margin = check.number(function, "margin", margin)
    reduction = resolve(function, reduction, size_average, reduce)
    square1, square2 = (x1 * x1).sum(-1) + EPSILON, (x2 * x2).sum(-1) + EPSILON
    root = np.sqrt(square1 * square2)
    c = (x1 * x2).sum(-1) / root
    if t.ndim:
        check.broadcastable(function, cosine=c, target=t)
    loss = np.where(t == 1, 1 - c, 0.0) + np.where(t == -1, np.maximum(c - margin, 0), 0.0)
    y, reduced_back = reduced(loss, reduction)

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        slope = ((t == -1) & (c >= margin)).astype(x1.dtype) - (t == 1)
        dc = unbroadcast(reduced_back(dy) * slope, c.shape)[..., None]
        dot = dc / root[..., None]
        dx1 = dot * x2 - (dc * c[..., None]) * x1 / square1[..., None]
        dx2 = dot * x1 - (dc * c[..., None]) * x2 / square2[..., None]
        return unbroadcast(dx1, x1.shape), unbroadcast(dx2, x2.shape)

    return y, backward


@op
@quiet
def margin_ranking_loss(
    input1: Array,
    input2: Array,
    target: Array,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """What the first input lacks of exceeding the second by the margin; label -1: the reverse.

    Args:
        input1: x1, any shape.
        input2: x2, of as many axes; broadcasts.
        target: t, -1 or 1, of as many axes, integer or floating; broadcasts.
        margin: the difference that is enough.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput1, dinput2[, dtarget if it is floating].

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if the shapes do not fit or an option does not exist.
    """
    function = "margin_ranking_loss"
    x1 = check.floating(function, "input1", input1)
    x2 = check.floating(function, "input2", input2, like=x1)
    t, floating = labels(function, "target", target, x1)
    if not x1.ndim == x2.ndim == t.ndim:
        got = f"{x1.shape}, {x2.shape} and {t.shape}"
        check.refuse(function, "input1, input2 and target of equally many axes", got)
    check.broadcastable(function, input1=x1, input2=x2, target=t)
    margin = check.number(function, "margin", margin)
    reduction = resolve(function, reduction, size_average, reduce)
    z = -t * (x1 - x2) + margin
    y, reduced_back = reduced(np.maximum(z, 0), reduction)

    @quiet
    def backward(dy: Array) -> tuple[Array, ...]:
        dz = reduced_back(dy) * (z >= 0)
        dx = -t * dz
        dinputs = unbroadcast(dx, x1.shape), unbroadcast(-dx, x2.shape)
        return (*dinputs, unbroadcast((x2 - x1) * dz, t.shape)) if floating else dinputs

    return y, backward


def _rows(function: str, input: Array) -> Array:
    """(C,) and () as one row: x (N, C)."""
    x = check.floating(function, "input", input)
    if x.ndim > 2 or x.shape[-1:] == (0,):
        check.refuse(function, "input of shape (N, C) or (C,) with C > 0", x.shape)
    return x.reshape(x.shape if x.ndim == 2 else (1, x.size))


@op
@quiet
def multilabel_margin_loss(
    input: Array,
    target: Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Every right class should score above every wrong one by 1.

    Args:
        input: scores x (N, C) or (C,).
        target: the right classes of each row, in any order, up to the first -1; integers of the
            input's shape.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none' (N,) or (), 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or a class or an option does not exist.
    """
    function = "multilabel_margin_loss"
    x = _rows(function, input)
    classes = x.shape[1]
    t = check.integer(function, "target", target, -1, classes)
    if t.shape != input.shape:
        check.refuse(function, f"target of the input's shape {input.shape}", t.shape)
    reduction = resolve(function, reduction, size_average, reduce)
    t = t.reshape(x.shape)
    # One line for each right class: its row and itself.
    row, column = np.nonzero(np.logical_and.accumulate(t >= 0, axis=1))
    right = t[row, column]
    wrong = np.ones(x.shape, bool)
    wrong[row, right] = False
    z = 1 - x[row, right][:, None] + x[row]  # (lines, C)
    active = (z > 0) & wrong[row]
    loss = np.zeros(len(x), x.dtype)
    np.add.at(loss, row, np.where(active, z, 0.0).sum(1) / classes)
    y, reduced_back = reduced(loss if input.ndim == 2 else loss[0], reduction)
    shape, layout = input.shape, x.shape

    @quiet
    def backward(dy: Array) -> Array:
        dl = reduced_back(dy).reshape(-1) / classes
        dz = active * dl[row, None]
        dx = np.zeros(layout, dy.dtype)
        np.add.at(dx, row, dz)
        np.subtract.at(dx, (row, right), dz.sum(1))
        return dx.reshape(shape)

    return y, backward


@op
@quiet
def multi_margin_loss(
    input: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """The right class should score above every other by the margin.

    Args:
        input: scores x (N, C) or (C,).
        target: the right class of each row, integers (N,), or () or (1,) for one row.
        p: 1 or 2, the power of what is lacking.
        margin: the difference that is enough.
        weight: (C,), one factor for each class; not differentiated.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none' (of the target's shape), 'mean' (over N) or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or a class or an option does not exist.

    Source:
        Crammer & Singer 2001, On the algorithmic implementation of multiclass kernel-based vector
        machines.
    """
    function = "multi_margin_loss"
    x = _rows(function, input)
    n, classes = x.shape
    target = check.integer(function, "target", target, 0, classes)
    if target.ndim > 1 or target.size != n or (input.ndim == 2 and target.ndim == 0):
        check.refuse(function, f"target of shape ({n},)", target.shape)
    check.option(function, "p", p, (1, 2))
    margin = check.number(function, "margin", margin)
    if weight is not None:
        weight = check.floating(function, "weight", weight, like=x)
        check.shape(function, "weight", weight, (classes,))
    reduction = resolve(function, reduction, size_average, reduce)
    row, t = np.arange(n), target.reshape(n)
    z = margin - x[row, t][:, None] + x
    z[row, t] = 0.0
    z = np.where(z > 0, z, 0.0)
    w = 1 / classes if weight is None else weight[t] / classes
    loss = w * (z if p == 1 else z * z).sum(1)
    y, reduced_back = reduced(loss.reshape(target.shape), reduction)
    shape = input.shape

    @quiet
    def backward(dy: Array) -> Array:
        dl = reduced_back(dy).reshape(n) * w
        dz = dl[:, None] * (z > 0 if p == 1 else 2 * z)
        dz[row, t] = -dz.sum(1)
        dx: Array = dz.reshape(shape)
        return dx

    return y, backward


def _triplet(
    triplet: tuple[Array, Array, Array],
    distance: Distance,
    margin: float,
    swap: bool,
    reduction: str,
) -> tuple[Array, Backward]:
    """max(0, margin + d(a, p) - d(a, n)) for any distance."""
    anchor, positive, negative = triplet
    near, near_back = distance(anchor, positive)
    far, far_back = distance(anchor, negative)
    least = far
    if swap:
        other, other_back = distance(positive, negative)
        least = np.minimum(far, other)
    z = margin + near - least
    y, reduced_back = reduced(np.maximum(z, 0), reduction)

    @quiet
    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dz = reduced_back(dy) * (z >= 0)
        da, dp = near_back(unbroadcast(dz, near.shape))
        if not swap:
            da_far, dn = far_back(unbroadcast(-dz, far.shape))
            return da + da_far, dp, dn
        share = np.where(far == other, 0.5, far < other).astype(near.dtype)
        da_far, dn = far_back(unbroadcast(-dz * share, far.shape))
        dp_other, dn_other = other_back(unbroadcast(-dz * (1 - share), other.shape))
        return da + da_far, dp + dp_other, dn + dn_other

    return y, backward


def _three(
    function: str, anchor: Array, positive: Array, negative: Array
) -> tuple[Array, Array, Array]:
    a = check.floating(function, "anchor", anchor)
    p = check.floating(function, "positive", positive, like=a)
    n = check.floating(function, "negative", negative, like=a)
    if not a.ndim == p.ndim == n.ndim:
        got = f"{a.shape}, {p.shape} and {n.shape}"
        check.refuse(function, "anchor, positive and negative of equally many axes", got)
    return a, p, n


def _check_distance(function: str, distance: object) -> None:
    if distance is not None and not callable(distance):
        expected = "distance_function to be callable"
        check.refuse(function, expected, check.describe(distance), TypeError)


@op
@quiet
def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """The anchor should be nearer to the positive than to the negative by the margin.

    Args:
        anchor: a (N, D) or (D,).
        positive: of as many axes; broadcasts.
        negative: likewise.
        margin: the difference of distances that is enough, positive.
        p: exponent of the norm.
        eps: added to each difference of vectors.
        swap: whether the distance from positive to negative counts where it is the smaller one.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> danchor, dpositive, dnegative.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not fit, the margin is not positive or an option is unknown.

    Source:
        Schroff et al. 2015, FaceNet, arXiv:1503.03832; swap: Balntas et al. 2016, Learning local
        feature descriptors with triplets and shallow convolutional neural networks.
    """
    function = "triplet_margin_loss"
    triplet = _three(function, anchor, positive, negative)
    check.broadcastable(function, anchor=anchor, positive=positive, negative=negative)
    margin = check.number(function, "margin", margin, low=0, open_low=True)
    check.number(function, "p", p)
    check.number(function, "eps", eps)
    check.option(function, "swap", swap, (True, False))
    reduction = resolve(function, reduction, size_average, reduce)

    def distance(x1: Array, x2: Array) -> tuple[Array, Backward]:
        return pairwise_distance(x1, x2, p, eps)

    return _triplet(triplet, distance, margin, swap, reduction)


@op
@quiet
def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: Distance | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """`triplet_margin_loss` under any distance.

    Args:
        anchor: a, any shape that the distance takes.
        positive: of as many axes.
        negative: likewise.
        distance_function: (a, b) -> (d, backward), an op or a module; None is `pairwise_distance`.
        margin: the difference of distances that is enough, positive.
        swap: whether the distance from positive to negative counts where it is the smaller one.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> danchor, dpositive, dnegative.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or the distance cannot be called.
        ValueError: if the shapes do not fit, the margin is not positive or an option is unknown.
    """
    function = "triplet_margin_with_distance_loss"
    triplet = _three(function, anchor, positive, negative)
    _check_distance(function, distance_function)
    margin = check.number(function, "margin", margin, low=0, open_low=True)
    check.option(function, "swap", swap, (True, False))
    reduction = resolve(function, reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(triplet, distance, margin, swap, reduction)


class HingeEmbeddingLoss(Loss):
    """`hinge_embedding_loss` as a module.

    Args:
        margin: the distance that is enough.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = check.number("HingeEmbeddingLoss", "margin", margin)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The hinge of a distance, reduced."""
        return hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(Loss):
    """`cosine_embedding_loss` as a module.

    Args:
        margin: the cosine that is low enough.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = check.number("CosineEmbeddingLoss", "margin", margin)

    def forward(self, input1: Array, input2: Array, target: Array) -> tuple[Array, Backward]:
        """The hinge of a cosine, reduced."""
        return cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class MarginRankingLoss(Loss):
    """`margin_ranking_loss` as a module.

    Args:
        margin: the difference that is enough.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = check.number("MarginRankingLoss", "margin", margin)

    def forward(self, input1: Array, input2: Array, target: Array) -> tuple[Array, Backward]:
        """The hinge of a difference, reduced."""
        return margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """`multilabel_margin_loss` as a module.

    Args:
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The hinges of right against wrong classes, reduced."""
        return multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(Loss):
    """`multi_margin_loss` as a module.

    Args:
        p: 1 or 2, the power of what is lacking.
        margin: the difference that is enough.
        weight: (C,), one factor for each class.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    weight: Array | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.hold("weight", weight)
        check.option("MultiMarginLoss", "p", p, (1, 2))
        if weight is not None:
            check.shape("MultiMarginLoss", "weight", weight, ("C",))
        self.p = p
        self.margin = check.number("MultiMarginLoss", "margin", margin)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The hinges of the right class against each other one, reduced."""
        return multi_margin_loss(
            input,
            target,
            p=self.p,
            margin=self.margin,
            weight=self.weight,
            reduction=self.reduction,
        )


class TripletMarginLoss(Loss):
    """`triplet_margin_loss` as a module.

    Args:
        margin: the difference of distances that is enough, positive.
        p: exponent of the norm.
        eps: added to each difference of vectors.
        swap: whether the distance from positive to negative counts where it is the smaller one.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        name = "TripletMarginLoss"
        self.margin = check.number(name, "margin", margin, low=0, open_low=True)
        self.p = check.number(name, "p", p)
        self.eps = check.number(name, "eps", eps)
        check.option(name, "swap", swap, (True, False))
        self.swap = swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> tuple[Array, Backward]:
        """The hinge of a difference of distances, reduced."""
        return triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(Loss):
    """`triplet_margin_with_distance_loss` as a module.

    Args:
        distance_function: (a, b) -> (d, backward), an op or a module; None is `PairwiseDistance()`.
        margin: the difference of distances that is enough, positive.
        swap: whether the distance from positive to negative counts where it is the smaller one.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(
        self,
        *,
        distance_function: Distance | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        name = "TripletMarginWithDistanceLoss"
        _check_distance(name, distance_function)
        self.distance_function: Distance = (
            PairwiseDistance() if distance_function is None else distance_function
        )
        self.margin = check.number(name, "margin", margin, low=0, open_low=True)
        check.option(name, "swap", swap, (True, False))
        self.swap = swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> tuple[Array, Backward]:
        """The hinge of a difference of distances, reduced."""
        return triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
