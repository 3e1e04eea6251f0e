"""Losses that rank the item which came next above sampled ones.

    r = x_t the target's score, x_j those of the n negatives, s the logistic function

sampled cross entropy  l = log(e^r + sum_j e^x_j) - r           x less log_q first, if given
BPR                    l = 1/n sum_j -log s(r - x_j)
TOP1                   l = 1/n sum_j s(x_j - r) + s(x_j^2)
TOP1-max               l = sum_j w_j (s(x_j - r) + s(x_j^2))                  w = softmax of x_j
BPR-max                l = -log sum_j w_j s(r - x_j) + a sum_j w_j x_j^2      over the negatives

backward   sampled CE  dx_j = dl p_j        dr = dl (p_t - 1)      p softmax over target, negatives
           BPR         dx_j = dl s(x_j - r) / n
           TOP1        dx_j = dl f'_j / n   f'_j = s'(x_j - r) + 2 x_j s'(x_j^2)      s' = s (1 - s)
           TOP1-max    dx_j = dl w_j (f_j - l + f'_j)              f_j what w_j weighs
           BPR-max     dx_j = dl (w_j - v_j s(r - x_j) + a w_j (x_j^2 + 2 x_j - sum_k w_k x_k^2))
                       v_j = w_j s(r - x_j) / sum_k w_k s(r - x_k) = s(x_j - r) / sum_k s(x_k - r)
           dr = - the sum of that part of dx_j which comes through x_j - r: through s(x_j - r), and
           in BPR-max dr = -dl sum_j v_j s(x_j - r)
shapes     x (N, C)   t, l (N,)   negatives (N, C), all columns but t where it is left out
stability  -log s is a softplus; of w and v logarithms are formed, so that neither over- nor
           underflow makes a NaN or an infinite loss
torch      has none. The authors' code adds 1e-24 inside the logarithms, whose loss ends at 55 and
           whose gradient then is 0; it counts the target among BPR's and TOP1's negatives, and
           an item twice that is also another row's target. Here n counts the negatives alone, and
           a row without any has loss 0.
Sources    Hidasi et al. 2016, arXiv:1511.06939, section 3.2.1 (BPR: Rendle et al. 2009); Hidasi &
           Karatzoglou 2018, arXiv:1706.03847, sections 3 and 4; log_q: Bengio & Senecal 2008,
           "Adaptive importance sampling to accelerate training of a neural language model"
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet, reduced, resolve
from scratch.nn.sigmoid import logistic


@op
@quiet
def sampled_cross_entropy(
    input: Array,
    target: Array,
    negatives: Array | None = None,
    log_q: Array | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Cross entropy over the target and its negatives.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next, integers in [0, C).
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        log_q: (C,) or (N, C), log of how often each candidate is sampled, taken off the scores,
            so that these learn log p(item), not log p(item) / q(item), if there are many and the
            target's own item is left in where it was sampled; not differentiated.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a target or an option does not exist.

    Source: Hidasi & Karatzoglou 2018, section 3.1; log_q: Bengio & Senecal 2008.
    """
    name = "sampled_cross_entropy"
    x, rows, t, on = _scores(name, input, target, negatives)
    reduction = resolve(name, reduction)
    if log_q is not None:
        shift = check.floating(name, "log_q", log_q, like=x)
        if shift.shape not in (x.shape, x.shape[1:]):
            check.refuse(name, f"log_q of shape {x.shape[1:]} or {x.shape}", shift.shape)
        x = x - shift
    on[rows, t] = True
    log_p = _log_softmax(x, on)
    y, reduced_back = reduced(-log_p[rows, t], reduction)

    @quiet
    def backward(dy: Array) -> Array:
        dx = np.exp(log_p)
        dx[rows, t] -= 1
        dx *= reduced_back(dy)[:, None]
        return dx

    return y, backward


@op
@quiet
def bpr_loss(
    input: Array, target: Array, negatives: Array | None = None, reduction: str = "mean"
) -> tuple[Array, Backward]:
    """Bayesian personalised ranking: the odds of each pair in the wrong order.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next, integers in [0, C).
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a target or an option does not exist.

    Source: Rendle et al. 2009; Hidasi et al. 2016, section 3.2.1.
    """
    x, rows, t, on = _scores("bpr_loss", input, target, negatives)
    reduction = resolve("bpr_loss", reduction)
    w = _mean_weights(on, x)
    z = x - x[rows, t][:, None]
    y, reduced_back = reduced(_sum(w, _softplus(z), on), reduction)

    @quiet
    def backward(dy: Array) -> Array:
        dx = np.where(on, w * logistic(z), 0.0)
        dx[rows, t] = -dx.sum(1)
        dx *= reduced_back(dy)[:, None]
        return dx

    return y, backward


@op
@quiet
def top1_loss(
    input: Array, target: Array, negatives: Array | None = None, reduction: str = "mean"
) -> tuple[Array, Backward]:
    """TOP1: the share of negatives above the target, smoothed, and scores that stay near 0.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next, integers in [0, C).
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a target or an option does not exist.

    Source: Hidasi et al. 2016, section 3.2.1.
    """
    x, rows, t, on = _scores("top1_loss", input, target, negatives)
    reduction = resolve("top1_loss", reduction)
    w = _mean_weights(on, x)
    z = x - x[rows, t][:, None]
    y, reduced_back = reduced(_sum(w, logistic(z) + logistic(x * x), on), reduction)

    @quiet
    def backward(dy: Array) -> Array:
        dpair = np.where(on, w * _slope(z), 0.0)
        dx = dpair + np.where(on, w * _square_slope(x), 0.0)
        dx[rows, t] = -dpair.sum(1)
        dx *= reduced_back(dy)[:, None]
        return dx

    return y, backward


@op
@quiet
def top1_max_loss(
    input: Array, target: Array, negatives: Array | None = None, reduction: str = "mean"
) -> tuple[Array, Backward]:
    """TOP1 with each negative weighed by the softmax of their scores.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next, integers in [0, C).
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a target or an option does not exist.

    Source: Hidasi & Karatzoglou 2018, equation 6.
    """
    x, rows, t, on = _scores("top1_max_loss", input, target, negatives)
    reduction = resolve("top1_max_loss", reduction)
    w = np.exp(_log_softmax(x, on))
    z = x - x[rows, t][:, None]
    f = logistic(z) + logistic(x * x)
    loss = _sum(w, f, on)
    y, reduced_back = reduced(loss, reduction)

    @quiet
    def backward(dy: Array) -> Array:
        dpair = np.where(on, w * _slope(z), 0.0)
        dx = dpair + np.where(on, w * (f - loss[:, None] + _square_slope(x)), 0.0)
        dx[rows, t] = -dpair.sum(1)
        dx *= reduced_back(dy)[:, None]
        return dx

    return y, backward


@op
@quiet
def bpr_max_loss(
    input: Array,
    target: Array,
    negatives: Array | None = None,
    regularization: float = 1.0,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """The odds that the target is below the largest negative, of which the softmax is a draw.

    Args:
        input: x (N, C), the scores of the candidates.
        target: t (N,), the column of what came next, integers in [0, C).
        negatives: bool (N, C), the columns to count; the target's own is no negative in any case.
        regularization: a, how much the negatives' squared scores count, not negative.
        reduction: 'none', 'mean' (over rows) or 'sum'.

    Returns:
        The loss, () or (N,), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a target or an option does not exist.

    Source: Hidasi & Karatzoglou 2018, equations 8 and 10.
    """
    x, rows, t, on = _scores("bpr_max_loss", input, target, negatives)
    a = check.number("bpr_max_loss", "regularization", regularization, low=0)
    reduction = resolve("bpr_max_loss", reduction)
    log_w = _log_softmax(x, on)
    z = x - x[rows, t][:, None]
    top, summed = _log_sum(log_w - _softplus(z), on)
    log_odds = np.where(on.any(1), top[:, 0] + np.log(summed), 0.0)
    w, square = np.exp(log_w), x * x
    penalty = _sum(w, square, on)
    y, reduced_back = reduced(a * penalty - log_odds, reduction)

    @quiet
    def backward(dy: Array) -> Array:
        v = np.exp(_log_softmax(-_softplus(-z), on))
        # w - v s(-z) in the form that keeps a small s(z): of one negative, w = v = 1, it is s(z).
        dx = np.where(z < 0, w - v + v * logistic(z), w - v * logistic(-z))
        dx = np.where(on, dx, 0.0)
        dx += np.where(on, a * w * (square + 2 * x - penalty[:, None]), 0.0)
        dx[rows, t] = -_sum(v, logistic(z), on)
        dx *= reduced_back(dy)[:, None]
        return dx

    return y, backward


def _scores(
    function: str, input: Array, target: Array, negatives: Array | None
) -> tuple[Array, Array, Array, Array]:
    """x, the row numbers, t, and a new bool array (N, C) of the negatives."""
    x = check.floating(function, "input", input)
    check.shape(function, "input", x, ("N", "C"))
    n, candidates = x.shape
    t = check.integer(function, "target", target, 0, candidates)
    check.shape(function, "target", t, (n,))
    rows = np.arange(n)
    if negatives is None:
        on = np.ones(x.shape, bool)
    else:
        if not isinstance(negatives, np.ndarray) or negatives.dtype != bool:
            expected = "negatives to be a bool array"
            check.refuse(function, expected, check.describe(negatives), TypeError)
        check.shape(function, "negatives", negatives, x.shape)
        on = negatives.copy()
    on[rows, t] = False
    return x, rows, t, on


def _mean_weights(on: Array, like: Array) -> Array:
    """1 / n for each row (N, 1), 0 for a row without negatives."""
    n = on.sum(1, keepdims=True)
    return np.where(n > 0, 1 / np.maximum(n, 1), 0.0).astype(like.dtype)


def _sum(weights: Array, values: Array, on: Array) -> Array:
    """sum_j w_j f_j over the negatives (N,)."""
    total: Array = np.where(on, weights * values, 0.0).sum(1)
    return total


def _log_sum(z: Array, on: Array) -> tuple[Array, Array]:
    """The largest z_j of a row (N, 1), and sum_j e^(z_j - largest) (N,), over the marked ones."""
    top = np.where(on, z, -np.inf).max(1, keepdims=True, initial=np.finfo(z.dtype).min)
    return top, np.exp(np.where(on, z - top, -np.inf)).sum(1)


def _log_softmax(z: Array, on: Array) -> Array:
    """Of the marked ones, -inf elsewhere."""
    top, summed = _log_sum(z, on)
    return np.where(on, z - top - np.log(summed)[:, None], -np.inf)


def _softplus(z: Array) -> Array:
    """log(1 + e^z)."""
    y: Array = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return y


def _slope(z: Array) -> Array:
    """s'(z), from an exponential that does not overflow."""
    e = np.exp(-np.abs(z))
    slope: Array = e / (1 + e) ** 2
    return slope


def _square_slope(x: Array) -> Array:
    """The derivative of s(x^2)."""
    return 2 * x * _slope(x * x)
