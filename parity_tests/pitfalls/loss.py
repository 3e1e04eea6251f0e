"""Conventions of losses and distances."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward, unbroadcast
from scratch.nn.reduction import REDUCTIONS, quiet, resolve

Op = Callable[..., tuple[Any, Backward]]
OLDER = ("size_average", "reduce")


def mutant(function: Op) -> Callable[[Op], Op]:
    """Let a mutant stand in for `function`: it gets every argument by name, defaults included."""
    signature = inspect.signature(function)

    def stand_in(other: Op) -> Op:
        @functools.wraps(function)
        def named(*args: Any, **kwargs: Any) -> tuple[Any, Backward]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return quiet(other)(**bound.arguments)

        return named

    return stand_in


def reduction_of(arguments: dict[str, Any]) -> str:
    """The reduction that a call ends up with."""
    older = {name: arguments.get(name) for name in OLDER}
    return resolve("mutant", arguments["reduction"], **older, choices=(*REDUCTIONS, "batchmean"))


def reduced_as(arguments: dict[str, Any], reduction: str) -> dict[str, Any]:
    """The arguments with another reduction."""
    older = {name: None for name in OLDER if name in arguments}
    return {**arguments, **older, "reduction": reduction}


def scaled(function: Op, factor: Callable[..., float], *reductions: str) -> Op:
    """`function` times a factor of its arguments, under the given reductions."""

    @mutant(function)
    def other(**a: Any) -> tuple[Any, Backward]:
        loss, loss_back = function(**a)
        if reduction_of(a) not in reductions:
            return loss, loss_back
        c = loss.dtype.type(factor(a))
        return loss * c, lambda dy: loss_back(dy * c)

    return other


def instead(function: Op, **fixed: Any) -> Op:
    """`function` with some options as someone else has them."""

    @mutant(function)
    def other(**a: Any) -> tuple[Any, Backward]:
        return function(**{**a, **fixed})

    return other


def nudged(function: Op, shift: Callable[..., dict[str, Any]]) -> Op:
    """`function` with the gradients of slightly moved arguments: those beyond the kink."""

    @mutant(function)
    def other(**a: Any) -> tuple[Any, Backward]:
        return function(**a)[0], function(**{**a, **shift(a)})[1]

    return other


def plain_mean(function: Op) -> Op:
    """`function` whose mean is over every entry, whatever their weights."""

    @mutant(function)
    def other(**a: Any) -> tuple[Any, Backward]:
        if reduction_of(a) != "mean":
            return function(**a)
        losses, losses_back = function(**reduced_as(a, "none"))
        n = losses.size
        return losses.mean(), lambda dy: losses_back(np.full_like(losses, dy / n))

    return other


def rows(a: dict[str, Any]) -> float:
    """Entries a row of what an elementwise loss makes of input and target."""
    shape = np.broadcast(a["input"], a["target"]).shape
    return float(np.prod(shape[1:]))


def classes(a: dict[str, Any]) -> float:
    """Number of classes."""
    return float(np.shape(a["input"])[-1]) if np.ndim(a["input"]) else 1.0


# Regression


@mutant(F.l1_loss)
def l1_slope_one_at_zero(**a: Any) -> tuple[Any, Backward]:
    if a["input"].shape != a["target"].shape:
        return F.l1_loss(**a)
    tied = np.where(a["input"] == a["target"], np.finfo(a["input"].dtype).tiny, 0.0)
    moved = {**a, "input": a["input"] + tied.astype(a["input"].dtype)}
    return F.l1_loss(**a)[0], F.l1_loss(**moved)[1]


@mutant(F.smooth_l1_loss)
def smooth_l1_as_huber(beta: float, **a: Any) -> tuple[Any, Backward]:
    if not beta:
        return F.smooth_l1_loss(beta=beta, **a)
    return F.huber_loss(a["input"], a["target"], reduction_of(a), beta)


@mutant(F.huber_loss)
def huber_as_smooth_l1(delta: float, weight: Any, **a: Any) -> tuple[Any, Backward]:
    if weight is not None:
        return F.huber_loss(delta=delta, weight=weight, **a)
    return F.smooth_l1_loss(beta=delta, **a)


@mutant(F.huber_loss)
def huber_over_sum_of_weights(**a: Any) -> tuple[Any, Backward]:
    w = a["weight"]
    if w is None or a["reduction"] != "mean":
        return F.huber_loss(**a)
    total, total_back = F.huber_loss(**reduced_as(a, "sum"))

    def backward(dy: Array) -> Any:
        dx, dt, dw = total_back(dy / w.sum())
        return dx, dt, dw - dy * total / w.sum() ** 2

    return total / w.sum(), backward


@mutant(F.gaussian_nll_loss)
def gaussian_derivative_of_clamp(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.gaussian_nll_loss(**a)

    def backward(dy: Array) -> Any:
        dx, dt, *dvar = loss_back(dy)
        return (dx, dt, *(d * (a["var"] >= a["eps"]) for d in dvar))

    return loss, backward


@mutant(F.gaussian_nll_loss)
def gaussian_eps_added(**a: Any) -> tuple[Any, Backward]:
    return F.gaussian_nll_loss(**{**a, "var": a["var"] + a["eps"], "eps": 0.0})


@mutant(F.poisson_nll_loss)
def poisson_stirling_everywhere(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.poisson_nll_loss(**a)
    t = a["target"]
    if not a["full"] or t.dtype.kind != "f":
        return loss, loss_back
    stirling = t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t)
    missing = np.where(t <= 1, stirling, 0.0)
    of = {"none": missing, "sum": missing.sum(), "mean": missing.mean()}
    return loss + of[reduction_of(a)], loss_back


@mutant(F.kl_div)
def kl_of_probabilities(**a: Any) -> tuple[Any, Backward]:
    if a["log_target"]:
        return F.kl_div(**a)
    q = a["input"]
    loss, loss_back = F.kl_div(**{**a, "input": np.log(np.abs(q))})

    def backward(dy: Array) -> Any:
        dx, dt = loss_back(dy)
        return dx / q, dt

    return loss, backward


@mutant(F.kl_div)
def kl_zero_gradient_at_target_zero(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.kl_div(**a)

    def backward(dy: Array) -> Any:
        dx, dt = loss_back(dy)
        return dx, np.where(np.isnan(dt), 0.0, dt)

    return loss, backward


# Classification


def soft(a: dict[str, Any]) -> bool:
    """Whether the target is a distribution."""
    return bool(a["target"].dtype.kind == "f")


@mutant(F.cross_entropy)
def smoothing_over_the_others(label_smoothing: float, **a: Any) -> tuple[Any, Backward]:
    k = a["input"].shape[1 if a["input"].ndim > 1 else 0]
    share = min(label_smoothing * k / max(k - 1, 1), 1.0)  # each other class gets a / (K - 1)
    return F.cross_entropy(label_smoothing=share, **a)


@mutant(F.cross_entropy)
def smoothing_without_weights(label_smoothing: float, **a: Any) -> tuple[Any, Backward]:
    if not label_smoothing or a["weight"] is None or soft(a) or reduction_of(a) == "mean":
        return F.cross_entropy(label_smoothing=label_smoothing, **a)
    hard, hard_back = F.cross_entropy(**a)
    even, even_back = F.cross_entropy(**{**a, "weight": None}, label_smoothing=1.0)
    e = hard.dtype.type(label_smoothing)
    return (1 - e) * hard + e * even, lambda dy: hard_back((1 - e) * dy) + even_back(e * dy)


@mutant(F.cross_entropy)
def distributions_over_sum_of_weights(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.cross_entropy(**a)
    if a["weight"] is None or not soft(a) or reduction_of(a) != "mean":
        return loss, loss_back
    c = 1 / a["weight"].mean()
    return loss * c, lambda dy: loss_back(dy * c)


@mutant(F.cross_entropy)
def ignored_in_the_denominator(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.cross_entropy(**a)
    if a["weight"] is not None or soft(a) or reduction_of(a) != "mean":
        return loss, loss_back
    c = loss.dtype.type(np.mean(a["target"] != a["ignore_index"]))
    return loss * c, lambda dy: loss_back(dy * c)


@mutant(F.cross_entropy)
def nothing_left_is_zero(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.cross_entropy(**a)
    return np.nan_to_num(loss, nan=0.0, posinf=np.inf), loss_back


@mutant(F.cross_entropy)
def log_of_softmax(**a: Any) -> tuple[Any, Backward]:
    axis = 1 if a["input"].ndim > 1 else 0
    e = np.exp(a["input"])
    logits = np.log(e / e.sum(axis, keepdims=True))
    return F.cross_entropy(**{**a, "input": logits})[0], F.cross_entropy(**a)[1]


@mutant(F.binary_cross_entropy)
def bce_clipped_probabilities(**a: Any) -> tuple[Any, Backward]:
    return F.binary_cross_entropy(**{**a, "input": np.clip(a["input"], 1e-7, 1 - 1e-7)})


@mutant(F.binary_cross_entropy)
def bce_derivative_of_clamp(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.binary_cross_entropy(**a)

    def backward(dy: Array) -> Any:
        dp, dt = loss_back(dy)
        return np.where((a["input"] == 0) | (a["input"] == 1), 0.0, dp), dt

    return loss, backward


@mutant(F.binary_cross_entropy)
def bce_double_epsilon(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.binary_cross_entropy(**a)
    variance = a["input"] * (1 - a["input"])
    change = np.maximum(variance, float(np.float32(1e-12))) / np.maximum(variance, 1e-12)

    def backward(dy: Array) -> Any:
        dp, dt = loss_back(dy)
        return dp * change, dt

    return loss, backward


@mutant(F.binary_cross_entropy)
def bce_clamped_gradient_of_target(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.binary_cross_entropy(**a)

    def backward(dy: Array) -> Any:
        dp, dt = loss_back(dy)
        return dp, np.nan_to_num(dt, posinf=100.0, neginf=-100.0)

    return loss, backward


@mutant(F.binary_cross_entropy_with_logits)
def sigmoid_then_bce(pos_weight: Any, **a: Any) -> tuple[Any, Backward]:
    if pos_weight is not None or a["target"].size == 0:
        return F.binary_cross_entropy_with_logits(pos_weight=pos_weight, **a)
    p = 1 / (1 + np.exp(-a["input"]))
    loss, loss_back = F.binary_cross_entropy(**{**a, "input": p})

    def backward(dy: Array) -> Any:
        dp, dt = loss_back(dy)
        return dp * p * (1 - p), dt

    return loss, backward


@mutant(F.binary_cross_entropy_with_logits)
def pos_weight_on_everything(weight: Any, pos_weight: Any, **a: Any) -> tuple[Any, Backward]:
    given = [w for w in (weight, pos_weight) if w is not None]
    both = functools.reduce(np.multiply, given) if given else None
    return F.binary_cross_entropy_with_logits(weight=both, **a)


@mutant(F.soft_margin_loss)
def soft_margin_overflows(**a: Any) -> tuple[Any, Backward]:
    losses = np.log1p(np.exp(-a["target"].astype(a["input"].dtype) * a["input"]))
    of = {"none": losses, "mean": losses.mean(), "sum": losses.sum()}
    return of[a["reduction"]], F.soft_margin_loss(**a)[1]


# Margins


def beyond_the_margin(a: dict[str, Any]) -> dict[str, Any]:
    """Inputs a little larger."""
    return {"input": np.nextafter(a["input"], np.inf)}


def a_little_less(a: dict[str, Any]) -> dict[str, Any]:
    """A margin a little smaller, so that hinges at zero are off."""
    return {"margin": a["margin"] - 1e-9}


def a_little_more(a: dict[str, Any]) -> dict[str, Any]:
    """A margin a little larger, so that hinges at zero are on."""
    return {"margin": a["margin"] + 1e-9}


@mutant(F.multilabel_margin_loss)
def multilabel_active_at_zero(**a: Any) -> tuple[Any, Backward]:
    x, right = a["input"], a["target"]
    listed = np.zeros(np.shape(np.atleast_2d(x)), bool)
    for i, row in enumerate(np.atleast_2d(right)):
        listed[i, row[: np.argmin(np.append(row, -1))]] = True
    lower = {**a, "input": x - 1e-9 * listed.reshape(x.shape)}
    return F.multilabel_margin_loss(**a)[0], F.multilabel_margin_loss(**lower)[1]


@mutant(F.multilabel_margin_loss)
def multilabel_reads_past_the_end(**a: Any) -> tuple[Any, Backward]:
    listed = a["target"] if a["target"].ndim == 0 else -np.sort(-a["target"], axis=-1)
    return F.multilabel_margin_loss(**{**a, "target": listed})


@mutant(F.cosine_embedding_loss)
def cosine_embedding_by_similarity(margin: float, target: Array, **a: Any) -> tuple[Any, Backward]:
    c, cosine_back = F.cosine_similarity(a["input1"], a["input2"], dim=-1)
    losses = np.where(target == 1, 1 - c, 0) + np.where(target == -1, np.maximum(c - margin, 0), 0)
    reduction = reduction_of(a)
    n = losses.size if reduction == "mean" else 1

    def backward(dy: Array) -> Any:
        slope = ((target == -1) & (c >= margin)).astype(c.dtype) - (target == 1)
        return cosine_back(unbroadcast(np.asarray(dy / n * slope), np.shape(c)))

    return (losses if reduction == "none" else losses.sum() / n), backward


@mutant(F.triplet_margin_loss)
def triplet_squared(p: float, eps: float, **a: Any) -> tuple[Any, Backward]:
    def squared(x1: Array, x2: Array) -> tuple[Array, Backward]:
        d, distance_back = F.pairwise_distance(x1, x2, p, eps)
        return d * d, lambda dy: distance_back(2 * d * dy)

    plain = {k: v for k, v in reduced_as(a, reduction_of(a)).items() if k not in OLDER}
    return F.triplet_margin_with_distance_loss(distance_function=squared, **plain)


@mutant(F.triplet_margin_with_distance_loss)
def swap_picks_one(**a: Any) -> tuple[Any, Backward]:
    loss, loss_back = F.triplet_margin_with_distance_loss(**a)
    distance = a["distance_function"]
    if not a["swap"] or distance is None:
        return loss, loss_back
    far, _ = distance(a["anchor"], a["negative"])
    near, _ = distance(a["positive"], a["negative"])
    _, unswapped_back = F.triplet_margin_with_distance_loss(**{**a, "swap": False})

    def backward(dy: Array) -> Any:
        pairs = zip(loss_back(dy), unswapped_back(dy), strict=True)
        return tuple(np.where((far == near)[:, None], one, shared) for shared, one in pairs)

    return loss, backward


# Distances


@mutant(F.cosine_similarity)
def cosine_clamps_the_product(x1: Array, x2: Array, dim: int, eps: float) -> tuple[Any, Backward]:
    y, y_back = F.cosine_similarity(x1, x2, dim, 0.0)
    size1, size2 = (np.sqrt((x * x).sum(dim)) for x in np.broadcast_arrays(x1, x2))
    c = np.minimum(size1 * size2 / eps, 1.0)
    return np.nan_to_num(y) * c, lambda dy: y_back(dy * c)


@mutant(F.cosine_similarity)
def cosine_derivative_of_clamp(x1: Array, x2: Array, dim: int, eps: float) -> tuple[Any, Backward]:
    y, y_back = F.cosine_similarity(x1, x2, dim, eps)
    wide1, wide2 = np.broadcast_arrays(x1, x2)
    size1, size2 = (np.sqrt((x * x).sum(dim, keepdims=True)) for x in (wide1, wide2))

    def backward(dy: Array) -> Any:
        dx1, dx2 = y_back(dy)
        if x1.shape != x2.shape:
            return dx1, dx2
        flat = np.expand_dims(dy, dim) * wide2 / np.maximum(size2, eps) / eps
        return np.where(size1 < eps, flat, dx1), dx2

    return y, backward


@mutant(F.pdist)
def pdist_shares_ties(input: Array, p: float) -> tuple[Any, Backward]:
    i, j = np.triu_indices(len(input), 1)
    y, y_back = F.pairwise_distance(input[i], input[j], p, 0.0)

    def backward(dy: Array) -> Array:
        d1, d2 = y_back(dy)
        dx = np.zeros_like(input)
        np.add.at(dx, i, d1)
        np.add.at(dx, j, d2)
        return dx

    return y, backward


@mutant(F.pairwise_distance)
def infinity_norm_picks_one(**a: Any) -> tuple[Any, Backward]:
    y, y_back = F.pairwise_distance(**a)
    x1, x2 = a["x1"], a["x2"]
    if not np.isinf(a["p"]) or x1.shape != x2.shape:
        return y, y_back
    d = x1 - x2 + a["eps"]
    first = np.arange(d.shape[-1]) == np.argmax(np.abs(d), axis=-1)[..., None]

    def backward(dy: Array) -> Any:
        dx = np.where(first, np.sign(d), 0) * (dy if a["keepdim"] else dy[..., None])
        return dx, -dx

    return y, backward


@mutant(F.pairwise_distance)
def norm_slope_undefined_at_zero(**a: Any) -> tuple[Any, Backward]:
    y, y_back = F.pairwise_distance(**a)
    if a["p"] != 2 or a["keepdim"] or a["x1"].shape != a["x2"].shape or np.ndim(y) == 0:
        return y, y_back
    return y, lambda dy: tuple(np.where((y == 0)[..., None], np.nan, dx) for dx in y_back(dy))


PITFALLS = [
    Pitfall(
        "l1_derivative_at_zero",
        "l1_loss",
        "|d|'(0): torch 0; a comparison d >= 0 gives 1",
        l1_slope_one_at_zero,
    ),
    Pitfall(
        "mse_has_no_half",
        "mse_loss",
        "torch d^2; textbooks d^2 / 2",
        scaled(F.mse_loss, lambda a: 0.5, "none", "mean", "sum"),
    ),
    Pitfall(
        "mse_mean_over_every_entry",
        "mse_loss",
        "mean: torch over every entry; others sum over features and average over the batch",
        scaled(F.mse_loss, rows, "mean"),
    ),
    Pitfall(
        "mse_weighted_mean",
        "mse_loss",
        "weighted mean: torch over the sum of the weights; others over the number of entries",
        plain_mean(F.mse_loss),
    ),
    Pitfall(
        "smooth_l1_is_not_huber",
        "smooth_l1_loss",
        "torch d^2 / (2 beta); Huber's loss is beta times that",
        smooth_l1_as_huber,
    ),
    Pitfall(
        "huber_is_not_smooth_l1",
        "huber_loss",
        "torch d^2 / 2 and slope delta; Smooth L1 is that over delta",
        huber_as_smooth_l1,
    ),
    Pitfall(
        "huber_weighted_mean",
        "huber_loss",
        "weighted mean: torch over the number of entries, unlike in l1_loss and mse_loss",
        huber_over_sum_of_weights,
    ),
    Pitfall(
        "gaussian_nll_clamp_is_invisible",
        "gaussian_nll_loss",
        "d max(var, eps) / d var: torch 1 everywhere; its derivative is 0 below eps",
        gaussian_derivative_of_clamp,
    ),
    Pitfall(
        "gaussian_nll_eps_is_a_bound",
        "gaussian_nll_loss",
        "torch max(var, eps); others var + eps",
        gaussian_eps_added,
    ),
    Pitfall(
        "poisson_nll_stirling_above_one",
        "poisson_nll_loss",
        "log t!: torch's Stirling term only where t > 1; others for every t",
        poisson_stirling_everywhere,
    ),
    Pitfall(
        "poisson_nll_takes_logarithms",
        "poisson_nll_loss",
        "torch's input is by default the logarithm of the rate; elsewhere the rate",
        instead(F.poisson_nll_loss, log_input=False),
    ),
    Pitfall(
        "kl_div_takes_log_q",
        "kl_div",
        "torch (log q, p); others (p, q) or probabilities on both sides",
        kl_of_probabilities,
    ),
    Pitfall(
        "kl_div_mean_over_every_entry",
        "kl_div",
        "'mean': torch over every entry; the divergence averages over the batch ('batchmean')",
        scaled(F.kl_div, rows, "mean"),
    ),
    Pitfall(
        "kl_div_target_zero",
        "kl_div",
        "d/dt at t = 0: torch NaN (from t / t); others leave it out",
        kl_zero_gradient_at_target_zero,
    ),
    Pitfall(
        "nll_weighted_mean",
        "nll_loss",
        "mean: torch over the sum of the targets' weights; others over N",
        plain_mean(F.nll_loss),
    ),
    Pitfall(
        "cross_entropy_weighted_mean",
        "cross_entropy",
        "mean: torch over the sum of the targets' weights; others over N",
        plain_mean(F.cross_entropy),
    ),
    Pitfall(
        "cross_entropy_ignored_do_not_count",
        "cross_entropy",
        "ignored targets: torch leaves them out of the denominator too; others divide by N",
        ignored_in_the_denominator,
    ),
    Pitfall(
        "cross_entropy_nothing_left",
        "cross_entropy",
        "everything ignored: torch NaN; others 0",
        nothing_left_is_zero,
    ),
    Pitfall(
        "cross_entropy_distributions_mean",
        "cross_entropy",
        "distributions with weights: torch's mean is over N; others over the weights",
        distributions_over_sum_of_weights,
    ),
    Pitfall(
        "cross_entropy_smoothing_share",
        "cross_entropy",
        "label smoothing: torch a / K to every class; others a / (K - 1) to the wrong ones",
        smoothing_over_the_others,
    ),
    Pitfall(
        "cross_entropy_smoothing_weighs",
        "cross_entropy",
        "label smoothing with weights: torch weighs each class's share; others weigh the loss",
        smoothing_without_weights,
    ),
    Pitfall(
        "cross_entropy_is_stable",
        "cross_entropy",
        "torch log_softmax; log(softmax) is -inf or NaN for logits that are far apart",
        log_of_softmax,
    ),
    Pitfall(
        "bce_clamps_the_logarithm",
        "binary_cross_entropy",
        "torch clamps log p at -100; Keras clips p to [1e-7, 1 - 1e-7]",
        bce_clipped_probabilities,
    ),
    Pitfall(
        "bce_clamp_is_invisible",
        "binary_cross_entropy",
        "d/dp at p = 0 and 1: torch (p - t) / 1e-12; the clamped logarithm has slope 0",
        bce_derivative_of_clamp,
    ),
    Pitfall(
        "bce_epsilon_is_float32",
        "binary_cross_entropy",
        "torch's 1e-12 is a float32, in float64 too: -1.000000004e12 at p = 0, t = 1",
        bce_double_epsilon,
    ),
    Pitfall(
        "bce_target_sees_no_clamp",
        "binary_cross_entropy",
        "d/dt at p = 0: torch log(1 - p) - log p, infinite; others with clamped logarithms",
        bce_clamped_gradient_of_target,
    ),
    Pitfall(
        "bce_with_logits_is_exact",
        "binary_cross_entropy_with_logits",
        "torch from the logit, 200 at -200; sigmoid and then BCE saturates at 100",
        sigmoid_then_bce,
    ),
    Pitfall(
        "bce_pos_weight_weighs_yes",
        "binary_cross_entropy_with_logits",
        "pos_weight: torch weighs the share of yes only; others the whole entry",
        pos_weight_on_everything,
    ),
    Pitfall(
        "multilabel_soft_margin_mean_over_classes",
        "multilabel_soft_margin_loss",
        "each row: torch averages over the classes; others sum",
        scaled(F.multilabel_soft_margin_loss, classes, "none", "mean", "sum"),
    ),
    Pitfall(
        "soft_margin_overflow",
        "soft_margin_loss where torch overflows",
        "log(1 + exp(-t x)) as it stands (torch too) is infinite far from the margin",
        soft_margin_overflows,
    ),
    Pitfall(
        "hinge_embedding_at_the_margin",
        "hinge_embedding_loss",
        "at x = margin: torch's clamp passes the gradient; others 0",
        nudged(F.hinge_embedding_loss, beyond_the_margin),
    ),
    Pitfall(
        "margin_ranking_at_the_margin",
        "margin_ranking_loss",
        "at the margin: torch's clamp passes the gradient; others 0",
        nudged(F.margin_ranking_loss, a_little_less),
    ),
    Pitfall(
        "multi_margin_at_the_margin",
        "multi_margin_loss",
        "at the margin: torch 0, unlike in margin_ranking_loss; others pass the gradient",
        nudged(F.multi_margin_loss, a_little_more),
    ),
    Pitfall(
        "multilabel_margin_at_the_margin",
        "multilabel_margin_loss",
        "at the margin: torch 0; others pass the gradient",
        multilabel_active_at_zero,
    ),
    Pitfall(
        "multilabel_margin_ends_at_minus_one",
        "multilabel_margin_loss",
        "target: torch reads up to the first -1; others every class that is listed",
        multilabel_reads_past_the_end,
    ),
    Pitfall(
        "multi_margin_over_classes",
        "multi_margin_loss",
        "torch divides by the number of classes; others do not",
        scaled(F.multi_margin_loss, classes, "none", "mean", "sum"),
    ),
    Pitfall(
        "cosine_embedding_epsilons",
        "cosine_embedding_loss",
        "torch adds 1e-12 to each square under the root; cosine_similarity clamps at 1e-8",
        cosine_embedding_by_similarity,
    ),
    Pitfall(
        "cosine_embedding_at_the_margin",
        "cosine_embedding_loss",
        "at cos = margin: torch's clamp passes the gradient; others 0",
        nudged(F.cosine_embedding_loss, a_little_more),
    ),
    Pitfall(
        "triplet_distance_is_not_squared",
        "triplet_margin_loss",
        "torch the norm; FaceNet its square",
        triplet_squared,
    ),
    Pitfall(
        "triplet_adds_epsilon",
        "triplet_margin_loss",
        "torch adds 1e-6 to each difference: equal vectors are 1e-6 sqrt(D) apart; others 0",
        instead(F.triplet_margin_loss, eps=0.0),
    ),
    Pitfall(
        "triplet_hinge_at_zero",
        "triplet_margin_loss",
        "at 0: torch's clamp passes the gradient; others 0",
        nudged(F.triplet_margin_loss, a_little_less),
    ),
    Pitfall(
        "triplet_swap_shares_ties",
        "triplet_margin_with_distance_loss",
        "equal distances of the swap: torch gives each half of the gradient; others pick one",
        swap_picks_one,
    ),
    Pitfall(
        "pairwise_distance_adds_epsilon",
        "pairwise_distance",
        "torch adds 1e-6 to each difference, so that equal vectors are not at distance 0",
        instead(F.pairwise_distance, eps=0.0),
    ),
    Pitfall(
        "norm_derivative_at_zero",
        "pairwise_distance",
        "norm'(0): torch 0; sqrt(sum d^2) gives NaN",
        norm_slope_undefined_at_zero,
    ),
    Pitfall(
        "infinity_norm_shares_ties",
        "pairwise_distance",
        "p = inf, several largest: torch shares the gradient evenly; an argmax picks one",
        infinity_norm_picks_one,
    ),
    Pitfall(
        "pdist_infinity_does_not_share",
        "pdist",
        "p = inf, several largest: torch's pdist gives each the whole gradient, its norm a share",
        pdist_shares_ties,
    ),
    Pitfall(
        "cosine_similarity_clamps_each_norm",
        "cosine_similarity",
        "torch clamps each norm at eps; older versions the product of the norms",
        cosine_clamps_the_product,
    ),
    Pitfall(
        "cosine_similarity_clamp_is_invisible",
        "cosine_similarity",
        "below eps: torch differentiates the norm as if there were no clamp; its derivative is 0",
        cosine_derivative_of_clamp,
    ),
]
