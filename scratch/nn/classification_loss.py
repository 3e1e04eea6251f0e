"""Losses of classifiers.

forward    nll            l = -w_t x_t                              x are log-probabilities
           cross_entropy  l = -sum_c q_c w_c log p_c                p = softmax x
                          q = (1 - a) onehot(t) + a / C             a = label_smoothing
           bce            l = -w (t log p + (1 - t) log(1 - p))     each logarithm >= -100
           with_logits    l = w ((1 - t) x - L log s(x))            s the logistic function
                          L = 1 + (pos_weight - 1) t
           multilabel     l = mean over c of -w (t log s(x) + (1 - t) log s(-x))
           soft_margin    l = log(1 + exp(-t x)) = -log s(t x)
backward   nll            dx_t = -dl w_t
           cross_entropy  dx = dl (p sum(q w) - q w)                keeps e^x and its sum only
           bce            dp = dl w (p - t) / max(p (1 - p), 1e-12)
           with_logits    dx = dl w ((1 - t) s(x) - pos_weight t s(-x))
           multilabel     dx = dl w ((1 - t) s(x) - t s(-x)) / C
           soft_margin    dx = -dl t s(-t x)
shapes     nll, cross_entropy: x (C,), (N, C) or (N, C, d1, ...), classes t and l (), (N,) or
           (N, d1, ...); a distribution t has x's shape.  The others: x and t of one shape.
torch      The mean over classes is sum l / sum w_t, where ignored entries count in neither;
           with nothing left it is NaN.  The mean over distributions divides by their number,
           weights or not.  Smoothing gives every class a / C, the right one too, and
           multiplies by its weight.  bce's 1e-12 is a float32.  torch's soft_margin overflows
           where -t x > 88 (float32) or 709 (float64), this one does not.
"""

import math

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op, unbroadcast
from scratch.nn.reduction import Loss, labels, quiet, reduced, resolve

LEAST_LOG = -100.0
LEAST_VARIANCE = float(np.float32(1e-12))


def _layout(function: str, x: Array) -> tuple[int, int, int]:
    """The sizes (N, C, D) as which an input is seen, D being all the axes behind the classes."""
    if x.ndim == 0:
        check.refuse(function, "input of shape (C,), (N, C) or (N, C, d1, ...)", x.shape)
    n, c, *rest = x.shape if x.ndim > 1 else (1, *x.shape)
    if c == 0:
        check.refuse(function, "at least one class", x.shape)
    return n, c, math.prod(rest)


def _class_weight(function: str, weight: Array | None, x: Array, classes: int) -> Array | None:
    if weight is None:
        return None
    weight = check.floating(function, "weight", weight, like=x)
    check.shape(function, "weight", weight, (classes,))
    return weight


def _classes(
    function: str, target: Array, x: Array, weight: Array | None, ignore_index: int
) -> tuple[Array, Array | None, Array | float, float]:
    """Classes t (N, D), which of them count (None: all), their weights, and the sum of those.

    An ignored entry is given class 0, so that it can be looked up like the others. A sum of 0 is
    given as NaN: the mean is then NaN, even where label smoothing leaves something to divide.
    """
    n, c, d = _layout(function, x)
    if not isinstance(target, np.ndarray | np.generic) or target.dtype.kind not in "iu":
        check.refuse(function, "target to be an integer array", check.describe(target), TypeError)
    t = np.asarray(target)
    check.shape(function, "target", t, x.shape[:1] + x.shape[2:] if x.ndim > 1 else ())
    t = t.reshape(n, d)
    valid = t != check.size(function, "ignore_index", ignore_index, low=-(2**63))
    count = np.count_nonzero(valid)
    every = count == t.size
    t = check.integer(function, "target", t if every else np.where(valid, t, 0), 0, c)
    if weight is None:
        return t, None if every else valid, 1.0, float(count) or math.nan
    w = weight[t]
    return t, None if every else valid, w, float(w.sum(where=valid, dtype=np.float64)) or math.nan


def _counted(values: Array, valid: Array | None) -> Array:
    """`values`, 0 where ignored: not by a product, for the entry may stand on an infinity."""
    return values if valid is None else np.where(valid, values, 0.0)


@op
@quiet
def nll_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Negative log likelihood of classes, given log-probabilities.

    Args:
        input: x (C,), (N, C) or (N, C, d1, ...), log-probabilities.
        target: classes, integers of shape (), (N,) or (N, d1, ...).
        weight: (C,), one factor for each class; not differentiated.
        size_average: older spelling of `reduction`; overrides it where given.
        ignore_index: the class that does not count.
        reduce: likewise older.
        reduction: 'none', 'mean' (over the sum of the weights of the targets) or 'sum'.

    Returns:
        The loss, for 'none' of the target's shape, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or a class or an option does not exist.
    """
    x = check.floating("nll_loss", "input", input)
    reduction = resolve("nll_loss", reduction, size_average, reduce)
    rows = x.reshape(_layout("nll_loss", x))  # (N, C, D)
    weight = _class_weight("nll_loss", weight, x, rows.shape[1])
    t, valid, w, total = _classes("nll_loss", target, x, weight, ignore_index)
    n, d = np.arange(rows.shape[0])[:, None], np.arange(rows.shape[2])
    loss = _counted(-w * rows[n, t, d], valid)
    y, reduced_back = reduced(loss.reshape(target.shape), reduction, total)
    shape, layout = x.shape, rows.shape

    @quiet
    def backward(dy: Array) -> Array:
        dl = reduced_back(dy).reshape(t.shape)
        drows = np.zeros(layout, dy.dtype)
        drows[n, t, d] = _counted(-dl * w, valid)
        return drows.reshape(shape)

    return y, backward


@op
@quiet
def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Array, Backward]:
    """Cross entropy of classes, or of distributions over classes, given logits.

    Args:
        input: logits x (C,), (N, C) or (N, C, d1, ...).
        target: classes, integers of shape (), (N,) or (N, d1, ...); or probabilities, floating, of
            the input's shape.
        weight: (C,), one factor for each class.
        size_average: older spelling of `reduction`; overrides it where given.
        ignore_index: the class that does not count; negative beside probabilities.
        reduce: likewise older.
        reduction: 'none', 'mean' (over the sum of the weights of the classes, or over the number of
            distributions) or 'sum'.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].

    Returns:
        The loss, and its backward: dy -> dinput for classes; dinput, dtarget[, dweight] for
        probabilities (there, and only there, torch differentiates the weight).

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or a class or an option does not exist.

    Source:
        Szegedy et al. 2016, Rethinking the Inception architecture, arXiv:1512.00567, section 7
        (label smoothing).
    """
    x = check.floating("cross_entropy", "input", input)
    reduction = resolve("cross_entropy", reduction, size_average, reduce)
    smoothing = check.number("cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    logits = x.reshape(_layout("cross_entropy", x))  # (N, C, D)
    weight = _class_weight("cross_entropy", weight, x, logits.shape[1])
    if isinstance(target, np.ndarray | np.generic) and target.dtype.kind == "f":
        t = check.floating("cross_entropy", "target", target, like=x)
        check.shape("cross_entropy", "target", t, x.shape)
        if check.size("cross_entropy", "ignore_index", ignore_index, low=-(2**63)) >= 0:
            expected = "a negative ignore_index beside probabilities"
            check.refuse("cross_entropy", expected, ignore_index)
        return _cross_entropy_of_distributions(x, logits, t, weight, reduction, smoothing)
    t, valid, w, total = _classes("cross_entropy", target, x, weight, ignore_index)

    n, d = np.arange(logits.shape[0])[:, None], np.arange(logits.shape[2])
    share = smoothing / logits.shape[1]
    z = logits - logits.max(1, keepdims=True)
    z_target = z[n, t, d]
    if smoothing:  # sum_c w_c log p_c = sum_c w_c z_c - log sum e^z sum_c w_c
        w_sum = float(logits.shape[1]) if weight is None else weight.sum()
        z_sum = z.sum(1) if weight is None else weight @ z
    e = np.exp(z, out=z)
    e_sum = e.sum(1)
    log_sum = np.log(e_sum)
    loss = w * (log_sum - z_target)
    if smoothing:
        loss = (1 - smoothing) * loss + share * (w_sum * log_sum - z_sum)
    loss = _counted(loss, valid)
    y, reduced_back = reduced(loss.reshape(target.shape), reduction, total)
    shape = x.shape  # all that backward needs of the logits

    @quiet
    def backward(dy: Array) -> Array:
        dl = reduced_back(dy).reshape(t.shape)
        # What -log p receives of the right class, and beside it of each class over its weight.
        dtarget = _counted(dl * w * (1 - smoothing), valid)
        deach = _counted(dl * share, valid) if smoothing else None
        dsum = dtarget if deach is None else dtarget + deach * w_sum
        dlogits: Array = e * (dsum / e_sum)[:, None]
        if deach is not None:
            dlogits -= deach[:, None] if weight is None else deach[:, None] * weight[:, None]
        dlogits[n, t, d] -= dtarget
        return dlogits.reshape(shape)

    return y, backward


def _cross_entropy_of_distributions(
    x: Array, logits: Array, t: Array, weight: Array | None, reduction: str, smoothing: float
) -> tuple[Array, Backward]:
    """The same where the target is itself a distribution, and differentiated."""
    t3 = t.reshape(logits.shape)
    q = t3 if not smoothing else t3 * (1 - smoothing) + smoothing / logits.shape[1]
    w = 1.0 if weight is None else weight[:, None]
    z = logits - logits.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    loss = -(log_p * q * w).sum(1)  # (N, D)
    y_shape, x_shape = x.shape[:1] + x.shape[2:] if x.ndim > 1 else (), x.shape
    y, reduced_back = reduced(loss.reshape(y_shape), reduction)

    @quiet
    def backward(dy: Array) -> tuple[Array, ...]:
        dl = reduced_back(dy).reshape(loss.shape)[:, None]
        dlog_p = -dl * q * w
        dlogits = dlog_p - np.exp(log_p) * dlog_p.sum(1, keepdims=True)
        dt = -dl * w * log_p * (1 - smoothing)
        dinputs = dlogits.reshape(x_shape), dt.reshape(x_shape)
        return dinputs if weight is None else (*dinputs, (-dl * q * log_p).sum((0, 2)))

    return y, backward


def _entries(function: str, input: object, target: object) -> tuple[Array, Array]:
    """Input and target of one dtype and one shape."""
    x = check.floating(function, "input", input)
    t = check.floating(function, "target", target, like=x)
    if t.shape != x.shape:
        check.refuse(function, f"target of the input's shape {x.shape}", t.shape)
    return x, t


def _factor(function: str, name: str, weight: Array | None, x: Array) -> Array | float:
    """An optional factor that broadcasts to the input's shape; 1 if there is none."""
    if weight is None:
        return 1.0
    weight = check.floating(function, name, weight, like=x)
    _broadcasts_to(function, name, weight, x)
    return weight


def _broadcasts_to(function: str, name: str, array: Array, x: Array) -> None:
    if check.broadcastable(function, **{"input": x, name: array}) != x.shape:
        check.refuse(function, f"{name} to broadcast to the input's shape {x.shape}", array.shape)


@op
@quiet
def binary_cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Cross entropy of yes and no, given the probability of yes.

    Args:
        input: p, any shape, in [0, 1].
        target: t, of the same shape, in [0, 1].
        weight: a factor for each entry, broadcasts to the input's shape; not differentiated.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' (over every entry, weights or not) or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a value lies outside [0, 1], a shape does not fit or an option is unknown.
    """
    p, t = _entries("binary_cross_entropy", input, target)
    w = _factor("binary_cross_entropy", "weight", weight, p)
    reduction = resolve("binary_cross_entropy", reduction, size_average, reduce)
    for name, values in (("input", p), ("target", t)):
        inside = (values >= 0) & (values <= 1)
        if not np.all(inside):
            expected = f"every entry of {name} in [0, 1]"
            check.refuse("binary_cross_entropy", expected, np.asarray(values)[~inside].flat[0])
    log_p = np.maximum(np.log(p), LEAST_LOG)
    log_not_p = np.maximum(np.log1p(-p), LEAST_LOG)
    y, reduced_back = reduced(-w * (t * log_p + (1 - t) * log_not_p), reduction)

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dl = reduced_back(dy) * w
        dp = dl * (p - t) / np.maximum(p * (1 - p), LEAST_VARIANCE)
        dt = dl * (np.log1p(-p) - np.log(p))  # the target's gradient does not see the clamp
        return dp, dt

    return y, backward


@op
@quiet
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> tuple[Array, Backward]:
    """Cross entropy of yes and no, given the logit of yes; exact where a sigmoid would saturate.

    Args:
        input: logits x, any shape.
        target: t, of the same shape, meant to lie in [0, 1].
        weight: a factor for each entry, broadcasts to the input's shape; not differentiated.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' (over every entry, weights or not) or 'sum'.
        pos_weight: a factor for the share of yes, broadcasts to the input's shape; not
            differentiated.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a shape does not fit or an option does not exist.
    """
    function = "binary_cross_entropy_with_logits"
    x, t = _entries(function, input, target)
    w = _factor(function, "weight", weight, x)
    pw = _factor(function, "pos_weight", pos_weight, x)
    reduction = resolve(function, reduction, size_average, reduce)
    loss = (1 - t) * x - (1 + (pw - 1) * t) * _log_sigmoid(x)
    y, reduced_back = reduced(w * loss, reduction)

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dl = reduced_back(dy) * w
        yes, no = _sigmoids(x)
        return dl * ((1 - t) * yes - pw * t * no), dl * (-x - (pw - 1) * _log_sigmoid(x))

    return y, backward


def _log_sigmoid(x: Array) -> Array:
    """log s(x), without overflow on either side."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def _sigmoids(x: Array) -> tuple[Array, Array]:
    """s(x) and s(-x), each with full relative precision."""
    e = np.exp(-np.abs(x))
    larger, smaller = 1 / (1 + e), e / (1 + e)
    return np.where(x < 0, smaller, larger), np.where(x < 0, larger, smaller)


@op
@quiet
def multilabel_soft_margin_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Binary cross entropy with logits, averaged over the classes.

    Args:
        input: logits x (..., C).
        target: t, 0 or 1 for each class, integer or floating; broadcasts to the input's shape.
        weight: a factor for each class, broadcasts to the input's shape.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none' (...,), 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput[, dtarget if it is floating][, dweight].

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit or an option does not exist.
    """
    function = "multilabel_soft_margin_loss"
    x = check.floating(function, "input", input)
    t, floating = labels(function, "target", target, x)
    if x.ndim == 0 or x.shape[-1] == 0:
        check.refuse(function, "input of shape (..., C) with C > 0", x.shape)
    _broadcasts_to(function, "target", t, x)
    w = _factor(function, "weight", weight, x)
    reduction = resolve(function, reduction, size_average, reduce)
    classes = x.shape[-1]
    loss = -(t * _log_sigmoid(x) + (1 - t) * _log_sigmoid(-x))
    y, reduced_back = reduced((w * loss).sum(-1) / classes, reduction)

    @quiet
    def backward(dy: Array) -> Array | tuple[Array, ...]:
        dl = np.expand_dims(reduced_back(dy), -1) / classes
        yes, no = _sigmoids(x)
        grads = [dl * w * ((1 - t) * yes - t * no)]
        if floating:
            grads.append(unbroadcast(-dl * w * x, t.shape))
        if weight is not None:
            grads.append(unbroadcast(dl * loss, weight.shape))
        return tuple(grads) if len(grads) > 1 else grads[0]

    return y, backward


@op
@quiet
def soft_margin_loss(
    input: Array,
    target: Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Logistic loss of labels -1 and 1.

    Args:
        input: x, any shape.
        target: t, -1 or 1, of the same shape, integer or floating; not differentiated.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if the shapes differ or an option does not exist.
    """
    x = check.floating("soft_margin_loss", "input", input)
    t, _ = labels("soft_margin_loss", "target", target, x)
    if t.shape != x.shape:
        check.refuse("soft_margin_loss", f"target of the input's shape {x.shape}", t.shape)
    reduction = resolve("soft_margin_loss", reduction, size_average, reduce)
    y, reduced_back = reduced(-_log_sigmoid(t * x), reduction)

    @quiet
    def backward(dy: Array) -> Array:
        _, wrong = _sigmoids(t * x)
        dx: Array = -reduced_back(dy) * t * wrong
        return dx

    return y, backward


class NLLLoss(Loss):
    """`nll_loss` as a module.

    Args:
        weight: (C,), one factor for each class.
        size_average: older spelling of `reduction`; overrides it where given.
        ignore_index: the class that does not count.
        reduce: likewise older.
        reduction: 'none', 'mean' or 'sum'.
    """

    weight: Array | None

    def __init__(
        self,
        weight: Array | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.hold("weight", weight)
        name = type(self).__name__
        self.ignore_index = check.size(name, "ignore_index", ignore_index, low=-(2**63))

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """Negative log likelihood, reduced."""
        return nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class NLLLoss2d(NLLLoss):
    """`NLLLoss` under its older name, for images."""


class CrossEntropyLoss(Loss):
    """`cross_entropy` as a module.

    Args:
        weight: (C,), one factor for each class; a buffer, so it gets no gradient.
        size_average: older spelling of `reduction`; overrides it where given.
        ignore_index: the class that does not count.
        reduce: likewise older.
        reduction: 'none', 'mean' or 'sum'.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
    """

    weight: Array | None

    def __init__(
        self,
        weight: Array | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.hold("weight", weight)
        name = "CrossEntropyLoss"
        self.ignore_index = check.size(name, "ignore_index", ignore_index, low=-(2**63))
        self.label_smoothing = check.number(name, "label_smoothing", label_smoothing, 0, 1)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """Cross entropy, reduced."""
        loss, loss_back = cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

        def backward(*dy: Array) -> Array | tuple[Array, Array]:
            dinputs: Array | tuple[Array, ...] = loss_back(*dy)
            if not isinstance(dinputs, tuple):
                return dinputs
            dinput, dtarget, *_ = dinputs
            return dinput, dtarget

        return loss, backward


class BCELoss(Loss):
    """`binary_cross_entropy` as a module.

    Args:
        weight: a factor for each entry, broadcasts to the input's shape.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    weight: Array | None

    def __init__(
        self,
        weight: Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.hold("weight", weight)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """Binary cross entropy of probabilities, reduced."""
        return binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """`binary_cross_entropy_with_logits` as a module.

    Args:
        weight: a factor for each entry, broadcasts to the input's shape.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
        pos_weight: a factor for the share of yes, broadcasts to the input's shape.
    """

    weight: Array | None
    pos_weight: Array | None

    def __init__(
        self,
        weight: Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Array | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.hold("weight", weight)
        self.hold("pos_weight", pos_weight)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """Binary cross entropy of logits, reduced."""
        return binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            pos_weight=self.pos_weight,
            reduction=self.reduction,
        )


class MultiLabelSoftMarginLoss(Loss):
    """`multilabel_soft_margin_loss` as a module.

    Args:
        weight: a factor for each class; a buffer, so it gets no gradient.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    weight: Array | None

    def __init__(
        self,
        weight: Array | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.hold("weight", weight)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """Binary cross entropy averaged over the classes, reduced."""
        loss, loss_back = multilabel_soft_margin_loss(
            input, target, weight=self.weight, reduction=self.reduction
        )
        if self.weight is None:
            return loss, loss_back

        def backward(*dy: Array) -> Array | tuple[Array, Array]:
            *dinputs, _ = loss_back(*dy)
            return tuple(dinputs) if len(dinputs) > 1 else dinputs[0]

        return loss, backward


class SoftMarginLoss(Loss):
    """`soft_margin_loss` as a module.

    Args:
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The logistic loss, reduced."""
        return soft_margin_loss(input, target, reduction=self.reduction)
