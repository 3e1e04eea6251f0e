"""Losses between numbers.

forward    d = x - t, then for each entry
           l1         |d|
           mse        d^2
           smooth_l1  d^2 / (2 beta)  where |d| < beta,   else |d| - beta / 2
                                                            Girshick 2015, arXiv:1504.08083
           huber      d^2 / 2         where |d| < delta,  else delta (|d| - delta / 2)
                                                            Huber 1964
           poisson    e^x - t x  or  x - t log(x + eps);    full adds log t! where t > 1
           gaussian   (log v + d^2 / v) / 2,  v = max(var, eps);  full adds log(2 pi) / 2
                                                            Nix & Weigend 1994
           kl_div     t (log t - x)  or  e^t (t - x)        for a target that is a logarithm
backward   the first four: dx = dl l'(d), dt = -dx;  l' = sgn d, 2 d, d / beta and d clipped
           poisson    dx = dl (e^x - t)  or  dl (1 - t / (x + eps)),   dt = -dl log(rate)
           gaussian   dx = dl d / v,  dt = -dx,  dvar = dl (1 - d^2 / v) / (2 v)
           kl_div     dx = -dl t,  dt = dl (log t + 1 - x)  or  e^t times as much
shapes     x, t, l    any, broadcast against one another
torch      |d|'(0) = 0.  mse has no 1/2 and its mean is over every entry.
           huber(delta) = delta smooth_l1(beta=delta).
           The weighted mean of l1 and mse divides by the sum of the weights, that of huber by
           their number.
           gaussian's gradient does not see the clamp of var.
           kl_div takes log q first; 'mean' divides by every entry, 'batchmean' is the
           divergence (torch warns of that, here it is silent); beside the older arguments it
           divides by the number of rows what they ask for.
           The target's gradient at t = 0 is NaN in kl_div and in full poisson.
"""

import math
import warnings

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.distance import sign
from scratch.nn.op import Backward, op, unbroadcast
from scratch.nn.reduction import REDUCTIONS, Loss, labels, quiet, reduced, resolve


def _pair(function: str, input: object, target: object) -> tuple[Array, Array]:
    """Input and target of one dtype; different shapes (often a mistake) broadcast, warned of."""
    x = check.floating(function, "input", input)
    t = check.floating(function, "target", target, like=x)
    check.broadcastable(function, input=x, target=t)
    if x.shape != t.shape:
        warnings.warn(
            f"{function}: input {x.shape} and target {t.shape} differ in shape and are broadcast; "
            "give both the same shape unless you mean that",
            stacklevel=5,  # past this function, the loss and its two decorators
        )
    return x, t


def _weight(function: str, weight: Array | None, x: Array) -> Array | None:
    if weight is None:
        return None
    weight = check.floating(function, "weight", weight, like=x)
    if weight.shape != x.shape:
        check.refuse(function, f"weight of the input's shape {x.shape}", weight.shape)
    return weight


def _total(w: Array | None) -> float | None:
    return None if w is None else float(w.sum(dtype=np.float64))


def _difference_loss(
    x: Array,
    t: Array,
    loss: Array,
    slope: Array,
    reduction: str,
    w: Array | None = None,
    n: float | None = None,
) -> tuple[Array, Backward]:
    """A loss of x - t with derivative `slope`, times w, reduced; the mean divides by `n`."""
    y, reduced_back = reduced(loss if w is None else w * loss, reduction, n)
    x_shape, t_shape = x.shape, t.shape
    kept = None if w is None else loss  # only the gradient of the weights needs it

    @quiet
    def backward(dy: Array) -> tuple[Array, ...]:
        dl = reduced_back(dy)
        dd = dl * slope if w is None else dl * w * slope
        dx, dt = unbroadcast(dd, x_shape), unbroadcast(-dd, t_shape)
        if w is None:
            return dx, dt
        dw = unbroadcast(dl * kept, w.shape)
        if reduction == "mean" and n is not None:
            dw = dw - dy * y / n  # y = sum(w loss) / n and n = sum(w)
        return dx, dt, dw

    return y, backward


@op
@quiet
def l1_loss(
    input: Array,
    target: Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Array | None = None,
) -> tuple[Array, Backward]:
    """Absolute error |x - t|.

    Args:
        input: x, any shape.
        target: t, of the same shape; others broadcast with a warning.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' (with weights: over their sum) or 'sum'.
        weight: one factor for each entry of the input.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget[, dweight].

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not fit or an option does not exist.
    """
    x, t = _pair("l1_loss", input, target)
    w = _weight("l1_loss", weight, x)
    reduction = resolve("l1_loss", reduction, size_average, reduce)
    d = x - t
    return _difference_loss(x, t, np.abs(d), sign(d), reduction, w, _total(w))


@op
@quiet
def mse_loss(
    input: Array,
    target: Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Array | None = None,
) -> tuple[Array, Backward]:
    """Squared error (x - t)^2.

    Args:
        input: x, any shape.
        target: t, of the same shape; others broadcast with a warning.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' (with weights: over their sum) or 'sum'.
        weight: one factor for each entry of the input.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget[, dweight].

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not fit or an option does not exist.
    """
    x, t = _pair("mse_loss", input, target)
    w = _weight("mse_loss", weight, x)
    reduction = resolve("mse_loss", reduction, size_average, reduce)
    d = x - t
    return _difference_loss(x, t, d * d, 2 * d, reduction, w, _total(w))


@op
@quiet
def smooth_l1_loss(
    input: Array,
    target: Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> tuple[Array, Backward]:
    """Absolute error, rounded off within beta of zero.

    Args:
        input: x, any shape.
        target: t, of the same shape; others broadcast with a warning.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
        beta: where the parabola meets the line, not negative; 0 is `l1_loss`.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not fit, an option does not exist or beta is negative.

    Source:
        Girshick 2015, Fast R-CNN, arXiv:1504.08083, equation 3.
    """
    x, t = _pair("smooth_l1_loss", input, target)
    reduction = resolve("smooth_l1_loss", reduction, size_average, reduce)
    beta = check.number("smooth_l1_loss", "beta", beta, low=0)
    d = x - t
    if beta == 0:
        return _difference_loss(x, t, np.abs(d), sign(d), reduction)
    size = np.abs(d)
    near = np.minimum(size, beta)
    loss = near * (size - 0.5 * near) / beta  # one formula for both pieces
    return _difference_loss(x, t, loss, np.clip(d, -beta, beta) / beta, reduction)


@op
@quiet
def huber_loss(
    input: Array,
    target: Array,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Array | None = None,
) -> tuple[Array, Backward]:
    """Squared error / 2 within delta of zero, a line of slope delta beyond.

    Args:
        input: x, any shape.
        target: t, of the same shape; others broadcast with a warning.
        reduction: 'none', 'mean' (with weights too: over the number of entries) or 'sum'.
        delta: where the parabola meets the line, positive.
        weight: one factor for each entry of the input.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget[, dweight].

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not fit, an option does not exist or delta is not positive.

    Source:
        Huber 1964, Robust estimation of a location parameter.
    """
    x, t = _pair("huber_loss", input, target)
    w = _weight("huber_loss", weight, x)
    reduction = resolve("huber_loss", reduction)
    delta = check.number("huber_loss", "delta", delta, low=0, open_low=True)
    d = x - t
    size = np.abs(d)
    near = np.minimum(size, delta)
    loss = near * (size - 0.5 * near)  # one formula for both pieces
    return _difference_loss(x, t, loss, np.clip(d, -delta, delta), reduction, w)


@op
@quiet
def poisson_nll_loss(
    input: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Negative log likelihood of counts t under a Poisson distribution of rate e^x or x.

    Args:
        input: x, any shape: the rate or its logarithm.
        target: t, the counts, integer or floating; broadcasts against x.
        log_input: whether x is the logarithm of the rate.
        full: whether to add log t! (Stirling's formula, where t > 1).
        size_average: older spelling of `reduction`; overrides it where given.
        eps: keeps log(x + eps) finite where `log_input` is False; not negative.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput[, dtarget if it is floating].

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if the shapes do not fit, an option does not exist or eps is negative.
    """
    x = check.floating("poisson_nll_loss", "input", input)
    t, floating = labels("poisson_nll_loss", "target", target, x)
    check.broadcastable("poisson_nll_loss", input=x, target=t)
    check.option("poisson_nll_loss", "log_input", log_input, (True, False))
    check.option("poisson_nll_loss", "full", full, (True, False))
    reduction = resolve("poisson_nll_loss", reduction, size_average, reduce)
    eps = check.number("poisson_nll_loss", "eps", eps, low=0)
    log_rate = x if log_input else np.log(x + eps)
    loss = (np.exp(x) if log_input else x) - t * log_rate
    if full:
        stirling = t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t)
        loss = loss + np.where(t > 1, stirling, 0.0)
    y, reduced_back = reduced(loss, reduction)

    @quiet
    def backward(dy: Array) -> Array | tuple[Array, Array]:
        dl = reduced_back(dy)
        dx = dl * (np.exp(x) - t if log_input else 1 - t / (x + eps))
        dx = unbroadcast(dx, x.shape)
        if not floating:
            return dx
        dlt = -log_rate
        if full:
            dlt = dlt + (t > 1) * (np.log(t) + 0.5 / t)  # a product: NaN where t <= 0, as torch's
        return dx, unbroadcast(dl * dlt, t.shape)

    return y, backward


@op
@quiet
def gaussian_nll_loss(
    input: Array,
    target: Array,
    var: Array | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> tuple[Array, Backward]:
    """Negative log likelihood of t under a normal distribution of mean x and given variance.

    Args:
        input: x (..., D), the means.
        target: t, broadcasts against x.
        var: the variances, not negative: a number, or an array of x's shape, of x's shape without
            the last axis, or of x's shape with one axis of size 1.
        full: whether to add log(2 pi) / 2.
        eps: least variance; the gradient passes through this clamp as if it were not there.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget[, dvar if it is an array].

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a variance is negative, the shapes do not fit or an option does not exist.

    Source:
        Nix & Weigend 1994, Estimating the mean and variance of the target probability distribution.
    """
    x = check.floating("gaussian_nll_loss", "input", input)
    t = check.floating("gaussian_nll_loss", "target", target, like=x)
    check.broadcastable("gaussian_nll_loss", input=x, target=t)
    check.option("gaussian_nll_loss", "full", full, (True, False))
    eps = check.number("gaussian_nll_loss", "eps", eps, low=0)
    reduction = resolve("gaussian_nll_loss", reduction)
    variance, shape = _variance(var, x)
    v = np.maximum(variance, eps)
    d = x - t
    loss = 0.5 * (np.log(v) + d * d / v)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    y, reduced_back = reduced(loss, reduction)
    x_shape, t_shape = x.shape, t.shape

    @quiet
    def backward(dy: Array) -> tuple[Array, ...]:
        dl = reduced_back(dy)
        dd = dl * d / v
        dinputs = unbroadcast(dd, x_shape), unbroadcast(-dd, t_shape)
        if shape is None:
            return dinputs
        dv = dl * (0.5 / v) * (1 - d * d / v)
        return *dinputs, unbroadcast(dv, variance.shape).reshape(shape)

    return y, backward


def _variance(var: Array | float, x: Array) -> tuple[Array, tuple[int, ...] | None]:
    """`var` so that it broadcasts against x as meant, and its own shape unless it is a number."""
    if isinstance(var, int | float) and not isinstance(var, np.generic):
        number = check.number("gaussian_nll_loss", "var", var, low=0)
        return np.asarray(number, x.dtype), None
    v = check.floating("gaussian_nll_loss", "var", var, like=x)
    if np.any(v < 0):
        check.refuse("gaussian_nll_loss", "no negative entry in var", v.min())
    if v.shape == x.shape:
        return v, v.shape
    if v.shape == x.shape[:-1]:  # one variance for each vector
        return v[..., None], v.shape
    if v.ndim == x.ndim and [m for n, m in zip(x.shape, v.shape, strict=True) if m != n] == [1]:
        return v, v.shape
    expected = f"var of shape {x.shape}, {x.shape[:-1]} or {x.shape} with one axis of size 1"
    check.refuse("gaussian_nll_loss", expected, v.shape)


@op
@quiet
def kl_div(
    input: Array,
    target: Array,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> tuple[Array, Backward]:
    """Kullback-Leibler divergence of q from p, entry by entry: p (log p - log q).

    Args:
        input: log q, any shape.
        target: p, or log p if `log_target`; broadcasts against the input.
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'sum', 'batchmean' (the divergence: the sum over the size of the first
            axis) or 'mean' (over every entry, which is not the divergence).
        log_target: whether the target is a logarithm.

    Returns:
        The loss, and its backward: dy -> dinput, dtarget.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if the shapes do not fit or an option does not exist.

    Source:
        Kullback & Leibler 1951, On information and sufficiency.
    """
    x = check.floating("kl_div", "input", input)
    t = check.floating("kl_div", "target", target, like=x)
    check.broadcastable("kl_div", input=x, target=t)
    resolved = resolve("kl_div", reduction, size_average, reduce, KL_REDUCTIONS)
    check.option("kl_div", "log_target", log_target, (True, False))
    rows = x.shape[0] if reduction == "batchmean" and x.ndim else 1
    loss = np.exp(t) * (t - x) if log_target else np.where(t == 0, 0.0, t * np.log(t)) - t * x
    y, reduced_back = reduced(loss, "sum" if resolved == "batchmean" else resolved)

    @quiet
    def backward(dy: Array) -> tuple[Array, Array]:
        dl = reduced_back(dy if rows == 1 else dy / rows)
        if log_target:
            p = np.exp(t)
            dx, dt = -dl * p, dl * (t - x) * p + dl * p
        else:  # the product rule on t log t; its t / t is NaN at 0, as torch's
            dx, dt = -dl * t, dl * np.log(t) + dl * t / t - dl * x
        return unbroadcast(dx, x.shape), unbroadcast(dt, t.shape)

    return (y if rows == 1 else np.asarray(y / rows)), backward


KL_REDUCTIONS = (*REDUCTIONS, "batchmean")


class L1Loss(Loss):
    """`l1_loss` as a module.

    Args:
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """|x - t|, reduced."""
        return l1_loss(input, target, reduction=self.reduction)


class MSELoss(Loss):
    """`mse_loss` as a module.

    Args:
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """(x - t)^2, reduced."""
        return mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """`smooth_l1_loss` as a module.

    Args:
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
        beta: where the parabola meets the line, not negative.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = check.number("SmoothL1Loss", "beta", beta, low=0)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The rounded absolute error, reduced."""
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """`huber_loss` as a module.

    Args:
        reduction: 'none', 'mean' or 'sum'.
        delta: where the parabola meets the line, positive.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = check.number("HuberLoss", "delta", delta, low=0, open_low=True)

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The Huber loss, reduced."""
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class PoissonNLLLoss(Loss):
    """`poisson_nll_loss` as a module.

    Args:
        log_input: whether the input is the logarithm of the rate.
        full: whether to add log t!.
        size_average: older spelling of `reduction`; overrides it where given.
        eps: keeps the logarithm finite where `log_input` is False; not negative.
        reduce: likewise.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        check.option("PoissonNLLLoss", "log_input", log_input, (True, False))
        check.option("PoissonNLLLoss", "full", full, (True, False))
        self.log_input = log_input
        self.full = full
        self.eps = check.number("PoissonNLLLoss", "eps", eps, low=0)

    def forward(self, log_input: Array, target: Array) -> tuple[Array, Backward]:
        """The negative log likelihood, reduced."""
        return poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(Loss):
    """`gaussian_nll_loss` as a module.

    Args:
        full: whether to add log(2 pi) / 2.
        eps: least variance.
        reduction: 'none', 'mean' or 'sum'.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        check.option("GaussianNLLLoss", "full", full, (True, False))
        self.full = full
        self.eps = check.number("GaussianNLLLoss", "eps", eps, low=0)

    def forward(self, input: Array, target: Array, var: Array | float) -> tuple[Array, Backward]:
        """The negative log likelihood, reduced."""
        return gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class KLDivLoss(Loss):
    """`kl_div` as a module.

    Args:
        size_average: older spelling of `reduction`; overrides it where given.
        reduce: likewise.
        reduction: 'none', 'mean', 'sum' or 'batchmean'.
        log_target: whether the target is a logarithm.
    """

    _reductions = KL_REDUCTIONS

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        check.option("KLDivLoss", "log_target", log_target, (True, False))
        self.log_target = log_target

    def forward(self, input: Array, target: Array) -> tuple[Array, Backward]:
        """The divergence, reduced."""
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
