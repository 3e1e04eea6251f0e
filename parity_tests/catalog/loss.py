"""Losses and distances: every reduction and option, exact kinks, what is ignored or clamped."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, const
from scratch import nn
from scratch.nn import functional as F

T = torch.nn.functional
REDUCTIONS = ("none", "mean", "sum")
CLAMPED = "by torch's convention the gradient does not see the clamp"
CORNERS = "where several kinks meet torch's gradient need not lie between one-sided slopes"
NORM_KINKS = "the gradient of a norm at 0, and at ties of the largest, is a convention"
UNDEFINED = "the loss is NaN or infinite, its gradient a convention"


def each(
    name: str,
    make: Callable[[Draw], Call],
    reductions: tuple[str, ...] = REDUCTIONS,
    **options: Any,
) -> tuple[Case, ...]:
    """One case for each reduction of a function."""

    def case(reduction: str) -> Case:
        def call(d: Draw) -> Call:
            made = make(d)
            return Call(*made.args, **made.kwargs, reduction=reduction)

        return Case(f"{name}, {reduction}", call, **options)

    return tuple(case(reduction) for reduction in reductions)


def older(make: Callable[[Draw], Call]) -> tuple[Case, ...]:
    """The two older arguments, which override the reduction."""

    def case(arguments: dict[str, Any]) -> Case:
        def call(d: Draw) -> Call:
            made = make(d)
            return Call(*made.args, **{**made.kwargs, **arguments})

        return Case(", ".join(f"{k}={v}" for k, v in arguments.items()), call)

    return (
        case({"size_average": False, "reduction": "none"}),
        case({"reduce": False}),
        case({"size_average": True, "reduction": "sum"}),
        case({"size_average": False, "reduce": False}),
        case({"size_average": None, "reduce": True, "reduction": "none"}),
    )


def layer(
    name: str, source: str, make: Callable[[Draw], Call], *inits: Call, **options: Any
) -> Layer:
    """A loss module under every reduction (as first configured), then configured otherwise."""
    first = inits[0] if inits else Call()
    configurations = [
        (r, Call(*first.args, **{**first.kwargs, "reduction": r})) for r in REDUCTIONS
    ]
    configurations += [(f"configuration {i + 1}", init) for i, init in enumerate(inits[1:])]
    cases = tuple(Case(label, make, init=init, **options) for label, init in configurations)
    return Layer(name, getattr(nn, name), getattr(torch.nn, name), source=source, cases=cases)


# Arguments


def pair(d: Draw) -> Call:
    """Two matrices."""
    return Call(d.normal(4, 3), d.normal(4, 3))


def off_zero(*points: float) -> Callable[[Draw], Call]:
    """Differences at exact kinks and far away."""

    def make(d: Draw) -> Call:
        x = d.kinks(*points)
        return Call(x, np.zeros_like(x))

    return make


def whole(d: Draw, *shape: int) -> Array:
    """Small whole numbers, whose sums and differences tie exactly."""
    return d.array(d.integers(-2, 3, *shape))


def divergence(**older: bool) -> Callable[[Draw], Call]:
    """Older arguments beside the reduction that only this loss has."""
    return lambda d: Call(d.normal(4, 3), d.probabilities(4, 3), reduction="batchmean", **older)


def signs(d: Draw, *shape: int) -> Array:
    """Integer labels -1 and 1."""
    return np.asarray(2 * d.integers(0, 2, *shape) - 1)


def distributions(d: Draw, *shape: int) -> Array:
    """Probabilities over axis 1."""
    n, c, *rest = shape
    return d.array(np.moveaxis(d.probabilities(n, *rest, c), -1, 1))


def with_value(array: Array, value: float, *indices: int) -> Array:
    """A copy with a value planted at flat indices."""
    planted = array.copy()
    planted.flat[list(indices)] = value
    return planted


def ignoring(classes: Array, value: int = -100) -> Array:
    """Every third target is the ignored one."""
    return np.where(np.arange(classes.size).reshape(classes.shape) % 3 == 1, value, classes)


REGRESSION: list[Entry] = [
    Op(
        "l1_loss",
        F.l1_loss,
        T.l1_loss,
        source="Boscovich 1757 (least absolute deviations)",
        cases=(
            *each("kinks", off_zero(0.0)),
            *each("weight", lambda d: Call(*pair(d).args, weight=d.uniform(0.1, 2, 4, 3))),
            *each("broadcast", lambda d: Call(d.normal(4, 1, 3), d.normal(2, 1))),
            *each(
                "broadcast, weight",
                lambda d: Call(d.normal(4, 1), d.normal(4, 3), weight=d.uniform(0.1, 2, 4, 1)),
            ),
            *each("0-d", lambda d: Call(d.normal(), d.normal())),
            *each("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3))),
            *older(pair),
            Case(
                "NaN",
                lambda d: Call(with_value(d.normal(4, 3), np.nan, 5), d.normal(4, 3), reduce=False),
                surrogate=UNDEFINED,
            ),
        ),
    ),
    Op(
        "mse_loss",
        F.mse_loss,
        T.mse_loss,
        source="Legendre 1805 (least squares)",
        cases=(
            *each("matrices", pair),
            *each("tiny", lambda d: Call(d.normal(4, 3, scale=1e-7), d.normal(4, 3, scale=1e-7))),
            *each("huge", lambda d: Call(d.normal(4, 3, scale=1e12), d.normal(4, 3))),
            *each("weight", lambda d: Call(*pair(d).args, weight=d.uniform(0.1, 2, 4, 3))),
            *each("broadcast", lambda d: Call(d.normal(4, 1), d.normal(3))),
            *each(
                "broadcast, weight",
                lambda d: Call(d.normal(1, 3), d.normal(4, 3), weight=d.uniform(0.1, 2, 1, 3)),
            ),
            *each("0-d", lambda d: Call(d.normal(), d.normal())),
            *each("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3))),
            *older(pair),
        ),
    ),
    Op(
        "smooth_l1_loss",
        F.smooth_l1_loss,
        T.smooth_l1_loss,
        source="Girshick 2015, arXiv:1504.08083, eq. 3",
        cases=(
            *each("kinks", off_zero(0.0, 1.0, -1.0)),
            *each("beta 0.3", lambda d: Call(*off_zero(0.3, -0.3)(d).args, beta=0.3)),
            *each("beta 5", lambda d: Call(*off_zero(5.0, -5.0)(d).args, beta=5)),
            Case("beta 0", lambda d: Call(*off_zero(0.0)(d).args, beta=0, reduction="none")),
            Case("tiny", lambda d: Call(d.normal(4, 3, scale=1e-7), d.normal(4, 3, scale=1e-7))),
            Case("broadcast", lambda d: Call(d.normal(4, 1), d.normal(3))),
            Case("0-d", lambda d: Call(d.normal(), d.normal())),
            *older(pair),
        ),
    ),
    Op(
        "huber_loss",
        F.huber_loss,
        T.huber_loss,
        source="Huber 1964, Annals of Mathematical Statistics 35(1)",
        cases=(
            *each("kinks", off_zero(0.0, 1.0, -1.0)),
            *each("delta 0.3", lambda d: Call(*off_zero(0.3, -0.3)(d).args, delta=0.3)),
            *each("delta 5", lambda d: Call(*off_zero(5.0, -5.0)(d).args, delta=5)),
            *each("weight", lambda d: Call(*pair(d).args, weight=d.uniform(0.1, 2, 4, 3))),
            *each(
                "broadcast, weight",
                lambda d: Call(d.normal(1, 3), d.normal(4, 3), weight=d.uniform(0.1, 2, 1, 3)),
            ),
            Case("broadcast", lambda d: Call(d.normal(4, 1), d.normal(3))),
            Case("0-d", lambda d: Call(d.normal(), d.normal())),
        ),
    ),
    Op(
        "poisson_nll_loss",
        F.poisson_nll_loss,
        T.poisson_nll_loss,
        source="Nelder & Wedderburn 1972, Generalized linear models",
        cases=(
            *each("logarithms", lambda d: Call(d.normal(4, 3), d.uniform(0, 5, 4, 3))),
            *each(
                "full",
                lambda d: Call(
                    d.normal(2, 4),
                    d.array([[0.3, 0.999, 1.0, 1.001], [1.5, 2.0, 7.5, 40.0]]),
                    full=True,
                ),
            ),
            *each(
                "rates",
                lambda d: Call(d.uniform(0.1, 3, 4, 3), d.uniform(0, 5, 4, 3), log_input=False),
            ),
            Case(
                "rates, eps 0.5",
                lambda d: Call(
                    with_value(d.uniform(0.1, 3, 4, 3), 0.0, 2, 7),
                    d.uniform(2, 5, 4, 3),
                    log_input=False,
                    full=True,
                    eps=0.5,
                    reduction="none",
                ),
            ),
            Case(
                "rate 0",
                lambda d: Call(d.array([0.0, 1.0]), d.array([2.0, 0.0]), False, reduction="none"),
                surrogate="the domain ends there",
            ),
            Case(
                "integer counts",
                lambda d: Call(d.normal(4, 3), d.integers(0, 6, 4, 3), reduction="none"),
            ),
            Case(
                "full, target 0",
                lambda d: Call(
                    d.normal(4), d.array([0.0, 0.5, 2.0, -1.0]), True, True, reduce=False
                ),
                surrogate="torch's gradient of the target is NaN there",
            ),
            Case("broadcast", lambda d: Call(d.normal(4, 1), d.uniform(0, 5, 3))),
            Case(
                "broadcast, rates", lambda d: Call(d.uniform(1, 2, 3), d.uniform(0, 5, 4, 1), False)
            ),
            Case("0-d", lambda d: Call(d.normal(), d.uniform(0, 5))),
            *older(lambda d: Call(d.normal(4, 3), d.uniform(0, 5, 4, 3))),
        ),
    ),
    Op(
        "gaussian_nll_loss",
        F.gaussian_nll_loss,
        T.gaussian_nll_loss,
        source="Nix & Weigend 1994, IEEE ICNN",
        cases=(
            *each("each its variance", lambda d: Call(*pair(d).args, d.uniform(0.1, 2, 4, 3))),
            *each(
                "full, eps",
                lambda d: Call(*pair(d).args, d.uniform(0.5, 2, 4, 3), full=True, eps=0.01),
            ),
            *each("a variance a row", lambda d: Call(*pair(d).args, d.uniform(0.1, 2, 4))),
            Case("kept axis", lambda d: Call(*pair(d).args, d.uniform(0.1, 2, 4, 1))),
            Case(
                "first axis",
                lambda d: Call(d.normal(2, 4, 3), d.normal(2, 4, 3), d.uniform(0.1, 2, 2, 1, 3)),
            ),
            *each("a number", lambda d: Call(*pair(d).args, 0.7)),
            Case(
                "target broadcast", lambda d: Call(d.normal(4, 3), d.normal(3), d.uniform(1, 2, 4))
            ),
            Case("vector, one variance", lambda d: Call(d.normal(3), d.normal(3), d.uniform(8, 9))),
            *each(
                "clamped",
                lambda d: Call(*pair(d).args, with_value(d.uniform(0, 1, 4, 3), 0.0, 1), eps=0.4),
                surrogate=CLAMPED,
            ),
            Case(
                "variance 0",
                lambda d: Call(*pair(d).args, with_value(d.uniform(1, 2, 4, 3), 0.0, 1)),
                surrogate=CLAMPED,
            ),
            Case("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3), d.uniform(1, 2, 0, 3))),
        ),
    ),
    Op(
        "kl_div",
        F.kl_div,
        T.kl_div,
        source="Kullback & Leibler 1951, Annals of Mathematical Statistics 22(1)",
        cases=(
            *each(
                "probabilities",
                lambda d: Call(np.log(d.probabilities(4, 3)), d.probabilities(4, 3)),
                (*REDUCTIONS, "batchmean"),
            ),
            *each(
                "logarithms",
                lambda d: Call(
                    np.log(d.probabilities(4, 3)), np.log(d.probabilities(4, 3)), log_target=True
                ),
                (*REDUCTIONS, "batchmean"),
            ),
            Case(
                "target 0",
                lambda d: Call(d.normal(4), d.array([0.0, 0.3, 0.0, 0.7]), reduction="none"),
            ),
            Case(
                "one-hot target",
                lambda d: Call(d.normal(3, 4), d.array(np.eye(3, 4)), reduction="batchmean"),
            ),
            *each("broadcast input", lambda d: Call(d.normal(3), d.uniform(0.1, 1, 4, 3))),
            *each("broadcast target", lambda d: Call(d.normal(4, 3), d.uniform(0.1, 1, 3))),
            Case("broadcast both", lambda d: Call(d.normal(4, 1), d.normal(3), log_target=True)),
            Case("0-d", lambda d: Call(d.normal(), d.uniform(0.1, 1), reduction="batchmean")),
            Case("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3), reduction="batchmean")),
            *older(lambda d: Call(d.normal(4, 3), d.probabilities(4, 3))),
            *(
                Case(f"batchmean beside {older}", divergence(**{older: False}))
                for older in ("size_average", "reduce")
            ),
        ),
    ),
    layer("L1Loss", "Boscovich 1757 (least absolute deviations)", pair),
    layer("MSELoss", "Legendre 1805 (least squares)", pair, Call(), Call(False), Call(None, False)),
    layer("SmoothL1Loss", "Girshick 2015, arXiv:1504.08083", pair, Call(), Call(beta=0.3)),
    layer("HuberLoss", "Huber 1964", pair, Call(), Call("sum", 0.3)),
    layer(
        "PoissonNLLLoss",
        "Nelder & Wedderburn 1972",
        lambda d: Call(d.uniform(0.1, 1, 4, 3), d.uniform(0, 5, 4, 3)),
        Call(),
        Call(False, True, eps=0.1),
    ),
    layer(
        "GaussianNLLLoss",
        "Nix & Weigend 1994",
        lambda d: Call(d.normal(4, 3), d.normal(4, 3), d.uniform(0.5, 2, 4, 3)),
        Call(),
        Call(full=True, eps=0.1),
    ),
    layer(
        "KLDivLoss",
        "Kullback & Leibler 1951",
        lambda d: Call(d.normal(4, 3), d.uniform(0.1, 1, 4, 3)),
        Call(),
        Call(reduction="batchmean", log_target=True),
    ),
]


def classes(d: Draw) -> Call:
    """Logits and class indices."""
    return Call(d.normal(6, 4), d.integers(0, 4, 6))


def images(d: Draw) -> Call:
    """Logits (N, C, H, W) and a class for each pixel."""
    return Call(d.normal(2, 4, 3, 5), d.integers(0, 4, 2, 3, 5))


def weights(d: Draw) -> Any:
    """Class weights, one of them 0."""
    return const(with_value(d.uniform(0.2, 2, 4), 0.0, 2))


def soft(d: Draw) -> Call:
    """Logits and distributions over the classes."""
    return Call(d.normal(6, 4), distributions(d, 6, 4))


def binary(d: Draw) -> Call:
    """Probabilities and soft targets."""
    return Call(d.uniform(0.05, 0.95, 4, 3), d.uniform(0, 1, 4, 3))


def logits(d: Draw) -> Call:
    """Logits at and far from 0, and soft targets."""
    x = d.kinks(0.0)
    return Call(x, d.uniform(0, 1, *x.shape))


LOGARITHMIC_SCORE = "Good 1952, Rational decisions (the logarithmic score)"
BRIDLE = "Bridle 1990, Training stochastic model recognition algorithms as networks"
SMOOTHING = "Szegedy et al. 2016, arXiv:1512.00567, section 7"
COX = "Cox 1958, The regression analysis of binary sequences"
LOGIT_BOOST = "Friedman, Hastie & Tibshirani 2000, Additive logistic regression"

CLASSIFICATION: list[Entry] = [
    Op(
        "nll_loss",
        F.nll_loss,
        T.nll_loss,
        source=LOGARITHMIC_SCORE,
        cases=(
            *each("vectors", classes),
            *each("weight", lambda d: Call(*classes(d).args, weights(d))),
            *each("images, weight", lambda d: Call(*images(d).args, weights(d))),
            *each("sequences", lambda d: Call(d.normal(3, 4, 5), d.integers(0, 4, 3, 5))),
            *each("unbatched", lambda d: Call(d.normal(4), d.integers(0, 4))),
            *each(
                "ignored, weight",
                lambda d: Call(d.normal(6, 4), ignoring(d.integers(0, 4, 6)), weights(d)),
            ),
            *each(
                "ignored class 1",
                lambda d: Call(d.normal(6, 4), ignoring(d.integers(0, 4, 6), 1), ignore_index=1),
            ),
            *each(
                "ignored over infinity",
                lambda d: Call(with_value(d.normal(6, 4), -np.inf, 4), ignoring(np.arange(6) % 3)),
            ),
            *each(
                "all ignored",
                lambda d: Call(d.normal(3, 4), np.full(3, -100)),
                zero=("input",),
                surrogate=UNDEFINED,
            ),
            Case(
                "all weights 0",
                lambda d: Call(d.normal(2, 4), np.array([2, 2]), const(d.array([1.0, 1, 0, 1]))),
                surrogate=UNDEFINED,
            ),
            Case("bytes", lambda d: Call(d.normal(6, 4), d.integers(0, 4, 6).astype(np.uint8))),
            Case("empty", lambda d: Call(d.normal(0, 4), d.integers(0, 4, 0))),
            *older(classes),
        ),
    ),
    Op(
        "cross_entropy",
        F.cross_entropy,
        T.cross_entropy,
        source=f"{BRIDLE}; {SMOOTHING}",
        cases=(
            *each("vectors", classes),
            *each("weight", lambda d: Call(*classes(d).args, weights(d))),
            *each("images", images),
            *each("unbatched", lambda d: Call(d.normal(4), d.integers(0, 4))),
            Case(
                "unbatched, smoothed, weight",
                lambda d: Call(d.normal(4), np.array(1), weights(d), label_smoothing=0.2),
            ),
            *each(
                "ignored, weight",
                lambda d: Call(d.normal(6, 4), ignoring(d.integers(0, 4, 6)), weights(d)),
            ),
            *each(
                "ignored class 1",
                lambda d: Call(d.normal(6, 4), ignoring(d.integers(0, 4, 6), 1), ignore_index=1),
            ),
            *each(
                "ignored over infinity",
                lambda d: Call(with_value(d.normal(6, 4), -np.inf, 4), ignoring(np.arange(6) % 3)),
            ),
            Case(
                "ignored over NaN",
                lambda d: Call(with_value(d.normal(6, 4), np.nan, 6), ignoring(np.arange(6) % 3)),
                surrogate=UNDEFINED,
            ),
            *each("smoothed", lambda d: Call(*classes(d).args, label_smoothing=0.3)),
            *each(
                "smoothed, ignored, weight",
                lambda d: Call(
                    d.normal(6, 4),
                    ignoring(d.integers(0, 4, 6)),
                    weights(d),
                    label_smoothing=0.1,
                ),
            ),
            *each(
                "smoothed, images, weight",
                lambda d: Call(*images(d).args, weights(d), label_smoothing=0.1),
            ),
            Case("smoothed away", lambda d: Call(*classes(d).args, label_smoothing=1.0)),
            *each(
                "all ignored",
                lambda d: Call(d.normal(3, 4), np.full(3, -100)),
                zero=("input",),
                surrogate=UNDEFINED,
            ),
            Case(
                "all ignored, smoothed, weight",
                lambda d: Call(d.normal(3, 4), np.full(3, -100), weights(d), label_smoothing=0.1),
                zero=("input",),
                surrogate=UNDEFINED,
            ),
            Case(
                "all weights 0",
                lambda d: Call(d.normal(2, 4), np.array([2, 2]), const(d.array([1.0, 1, 0, 1]))),
                surrogate=UNDEFINED,
            ),
            Case(
                "all weights 0, smoothed",
                lambda d: Call(
                    d.normal(2, 4),
                    np.array([2, 2]),
                    const(d.array([1.0, 1, 0, 1])),
                    label_smoothing=0.1,
                ),
                surrogate=UNDEFINED,
            ),
            *each(
                "far apart",
                lambda d: Call(d.array([[1e4, 0, -1e4], [0, 30, 0], [5, -1e4, 5]]), np.arange(3)),
            ),
            *each("huge", lambda d: Call(d.normal(6, 4, scale=1e6), d.integers(0, 4, 6))),
            *each("tiny", lambda d: Call(d.normal(6, 4, scale=1e-7), d.integers(0, 4, 6))),
            Case(
                "masked logits",
                lambda d: Call(with_value(d.normal(6, 4), -np.inf, 3, 7), np.arange(6) % 3),
            ),
            Case(
                "masked logits, smoothed",
                lambda d: Call(
                    with_value(d.normal(6, 4), -np.inf, 3),
                    np.arange(6) % 3,
                    label_smoothing=0.1,
                    reduction="none",
                ),
                surrogate=UNDEFINED,
            ),
            Case("one class", lambda d: Call(d.normal(3, 1), np.zeros(3, int)), zero=("input",)),
            Case("empty", lambda d: Call(d.normal(0, 4), d.integers(0, 4, 0))),
            *older(classes),
            *each("distributions", soft),
            *each(
                "distributions, weight",
                lambda d: Call(*soft(d).args, d.uniform(0.2, 2, 4)),
            ),
            *each(
                "distributions, smoothed, weight",
                lambda d: Call(*soft(d).args, d.uniform(0.2, 2, 4), label_smoothing=0.2),
            ),
            *each(
                "distributions, images, weight",
                lambda d: Call(d.normal(2, 4, 3), distributions(d, 2, 4, 3), d.uniform(0.2, 2, 4)),
            ),
            *each("distribution, unbatched", lambda d: Call(d.normal(4), d.probabilities(4))),
            Case("not normalised", lambda d: Call(d.normal(6, 4), d.normal(6, 4))),
            Case("no distributions", lambda d: Call(d.normal(0, 4), d.normal(0, 4))),
        ),
    ),
    Op(
        "binary_cross_entropy",
        F.binary_cross_entropy,
        T.binary_cross_entropy,
        source=COX,
        cases=(
            *each("probabilities", binary),
            *each("weight", lambda d: Call(*binary(d).args, weight=const(d.uniform(0.2, 2, 4, 3)))),
            *each(
                "weight of columns", lambda d: Call(*binary(d).args, const(d.uniform(0.2, 2, 3)))
            ),
            *each(
                "certain",
                lambda d: Call(d.array([0.0, 0, 0, 1, 1, 1]), d.array([0.0, 1, 0.3, 0, 1, 0.3])),
                surrogate=CLAMPED,
            ),
            *each(
                "nearly certain",
                lambda d: Call(d.array([1e-13, 1e-30, 1e-7, 1 - 1e-7]), d.array([1.0, 1, 1, 0])),
                surrogate=CLAMPED,
            ),
            Case("0-d", lambda d: Call(d.uniform(0.1, 0.9), d.uniform(0.1, 0.9))),
            Case("empty", lambda d: Call(d.uniform(0, 1, 0, 3), d.uniform(0, 1, 0, 3))),
            *older(binary),
        ),
    ),
    Op(
        "binary_cross_entropy_with_logits",
        F.binary_cross_entropy_with_logits,
        T.binary_cross_entropy_with_logits,
        source=COX,
        cases=(
            *each("far and near", logits),
            *each("near", lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 4, 3))),
            *each(
                "weight, pos_weight",
                lambda d: Call(
                    *logits(d).args,
                    weight=const(d.uniform(0.2, 2, 7)),
                    pos_weight=const(d.uniform(0.2, 3, 7)),
                ),
            ),
            *each(
                "pos_weight",
                lambda d: Call(
                    d.normal(4, 3), d.uniform(0, 1, 4, 3), pos_weight=const(d.uniform(0.2, 3, 3))
                ),
            ),
            Case("0-d", lambda d: Call(d.normal(), d.uniform(0.1, 0.9))),
            Case("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3))),
            *older(lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 4, 3))),
        ),
    ),
    Op(
        "multilabel_soft_margin_loss",
        F.multilabel_soft_margin_loss,
        T.multilabel_soft_margin_loss,
        source=COX,
        cases=(
            *each("labels", lambda d: Call(d.normal(4, 3), d.integers(0, 2, 4, 3))),
            *each("far and near", logits),
            *each(
                "weight",
                lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 4, 3), d.uniform(0.2, 2, 3)),
            ),
            *each("vector", lambda d: Call(d.normal(3), d.uniform(0, 1, 3))),
            Case("three axes", lambda d: Call(d.normal(2, 4, 3), d.uniform(0, 1, 2, 4, 3))),
            Case("target broadcast", lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 3))),
            *older(lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 4, 3))),
        ),
    ),
    Op(
        "soft_margin_loss",
        F.soft_margin_loss,
        T.soft_margin_loss,
        source=LOGIT_BOOST,
        cases=(
            *each("labels", lambda d: Call(d.normal(4, 3, scale=5), signs(d, 4, 3))),
            *each("floating labels", lambda d: Call(d.normal(4, 3), const(d.signs(4, 3)))),
            *each("any target", lambda d: Call(d.normal(4, 3), const(d.normal(4, 3)))),
            Case("0-d", lambda d: Call(d.normal(), const(d.signs()))),
            *older(lambda d: Call(d.normal(4, 3), signs(d, 4, 3))),
        ),
    ),
    Op(
        "soft_margin_loss where torch overflows",
        F.soft_margin_loss,
        lambda input, target, reduction: T.binary_cross_entropy_with_logits(
            input, (target.to(input) + 1) / 2, reduction=reduction
        ),
        source=LOGIT_BOOST,
        cases=each(
            "far",
            lambda d: Call(
                d.array([1e4, -1e4, 800, -800, 90, -90, 0]), np.array([1, 1, -1] * 2 + [1])
            ),
        ),
    ),
    layer(
        "NLLLoss",
        LOGARITHMIC_SCORE,
        lambda d: Call(d.normal(6, 4), ignoring(d.integers(0, 4, 6), 3)),
        Call(),
        Call(np.array([0.5, 2.0, 0.3, 1.0], np.float32), ignore_index=3),
        Call(size_average=False),
    ),
    layer("NLLLoss2d", LOGARITHMIC_SCORE, images, Call()),
    layer(
        "CrossEntropyLoss",
        f"{BRIDLE}; {SMOOTHING}",
        lambda d: Call(d.normal(6, 4), ignoring(d.integers(0, 4, 6), 3)),
        Call(),
        Call(np.array([0.5, 2.0, 0.3, 1.0], np.float32), None, 3, label_smoothing=0.1),
        Call(label_smoothing=0.1, size_average=False),
    ),
    Layer(
        "CrossEntropyLoss of distributions",
        nn.CrossEntropyLoss,
        torch.nn.CrossEntropyLoss,
        source=f"{BRIDLE}; {SMOOTHING}",
        cases=(
            Case("plain", soft),
            Case("weight", soft, init=Call(np.array([0.5, 2.0, 0.3, 1.0], np.float32))),
        ),
    ),
    layer(
        "BCELoss", COX, binary, Call(), Call(np.array([0.5, 2.0, 0.3], np.float32), reduce=False)
    ),
    layer(
        "BCEWithLogitsLoss",
        COX,
        lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 4, 3)),
        Call(),
        Call(np.array([0.5, 2.0, 0.3], np.float32)),
        Call(np.array([0.5, 2.0, 0.3], np.float32), pos_weight=np.array([3.0, 0.2, 1], np.float32)),
    ),
    layer(
        "MultiLabelSoftMarginLoss",
        COX,
        lambda d: Call(d.normal(4, 3), d.uniform(0, 1, 4, 3)),
        Call(),
        Call(np.array([0.5, 2.0, 0.3], np.float32)),
    ),
    layer("SoftMarginLoss", LOGIT_BOOST, lambda d: Call(d.normal(4, 3), signs(d, 4, 3))),
]


SIAMESE = "Bromley et al. 1993, Signature verification using a siamese time delay neural network"
CONTRASTIVE = "Hadsell, Chopra & LeCun 2006, Dimensionality reduction by learning an invariant map"
RANKING = "Herbrich, Graepel & Obermayer 2000, Large margin rank boundaries for ordinal regression"
MULTICLASS = "Crammer & Singer 2001, JMLR 2"
MULTILABEL = "Elisseeff & Weston 2001, A kernel method for multi-labelled classification"
TRIPLET = "Schroff et al. 2015, arXiv:1503.03832; Balntas et al. 2016 (swap)"


def hinges(d: Draw) -> Call:
    """Distances at and around the margin 1, every label beside each."""
    x = d.kinks(0.0, 1.0)
    labels = np.repeat([-1, 0, 1], len(x))[:, None] * np.ones(x.shape[1])
    return Call(np.tile(x, (3, 1)), const(d.array(labels)))


def embeddings(d: Draw) -> Call:
    """Pairs of vectors and labels 1, -1 and (which neither side counts) 0."""
    return Call(d.normal(6, 3), d.normal(6, 3), np.array([1, -1, 0, 1, -1, -1]))


def ranks(d: Draw) -> Call:
    """Pairs of scores, some of which differ by the margin 1 exactly."""
    return Call(whole(d, 5, 4), whole(d, 5, 4), d.signs(5, 4))


def labelled(d: Draw) -> Call:
    """Scores that tie exactly; rows with three, two (one of them twice), one and no right class."""
    rows = [[2, 0, 4, -1, 1], [3, 3, 1, -1, -1], [4, -1, 0, 0, 0], [-1, 2, 2, 2, 2]]
    return Call(d.array(d.integers(-1, 2, 4, 5)), np.array(rows))


def triplets(d: Draw) -> Call:
    """Three matrices."""
    return Call(d.normal(5, 3), d.normal(5, 3), d.normal(5, 3))


def whole_triplets(d: Draw) -> Call:
    """Small whole numbers, so that distances tie and hinges stand at zero."""
    return Call(whole(d, 30, 2), whole(d, 30, 2), whole(d, 30, 2))


def with_distance(*args: Any, distance_function: Any = None, **kwargs: Any) -> torch.Tensor:
    """torch's loss under the torch twin of a scratch distance."""
    twins = {
        None: None,
        F.pairwise_distance: T.pairwise_distance,
        F.cosine_similarity: T.cosine_similarity,
        manhattan: lambda a, b: T.pairwise_distance(a, b, p=1.0, eps=0.0),
        last_difference: lambda a, b: (a - b)[..., -1] ** 2,
    }
    loss: torch.Tensor = T.triplet_margin_with_distance_loss(
        *args, distance_function=twins[distance_function], **kwargs
    )
    return loss


def manhattan(x1: Array, x2: Array) -> Any:
    """A distance that ties exactly on whole numbers."""
    return F.pairwise_distance(x1, x2, p=1.0, eps=0.0)


def last_difference(x1: Array, x2: Array) -> Any:
    """A distance that someone else wrote."""
    d = (x1 - x2)[..., -1]

    def backward(dy: Array) -> tuple[Array, Array]:
        dx = np.zeros_like(x1)
        dx[..., -1] = 2 * dy * d
        return dx, -dx

    return d * d, backward


MARGIN: list[Entry] = [
    Op(
        "hinge_embedding_loss",
        F.hinge_embedding_loss,
        T.hinge_embedding_loss,
        source=CONTRASTIVE,
        cases=(
            *each("at the margin", hinges),
            *each("margin 0.3", lambda d: Call(d.normal(4, 3), signs(d, 4, 3), 0.3)),
            Case("broadcast", lambda d: Call(d.normal(4, 1), signs(d, 3))),
            Case("0-d", lambda d: Call(d.normal(), signs(d))),
            *older(lambda d: Call(d.normal(4, 3), signs(d, 4, 3))),
        ),
    ),
    Op(
        "cosine_embedding_loss",
        F.cosine_embedding_loss,
        T.cosine_embedding_loss,
        source=SIAMESE,
        cases=(
            *each("pairs", embeddings),
            *each("margin -0.5", lambda d: Call(*embeddings(d).args, margin=-0.5)),
            *each("margin 0.5", lambda d: Call(*embeddings(d).args, margin=0.5)),
            *each(
                "orthogonal: at the margin",
                lambda d: Call(
                    d.array([[1, 0], [2, -1], [3, 4]]),
                    d.array([[0, 2], [1, 2], [-4, 3]]),
                    const(d.array([-1, -1, 1])),
                ),
            ),
            *each("vectors", lambda d: Call(d.normal(3), d.normal(3), np.array(1))),
            *each("tiny", lambda d: Call(d.normal(6, 3, scale=1e-6), *embeddings(d).args[1:])),
            Case(
                "zero vector",
                lambda d: Call(d.array([[0, 0]]), d.normal(1, 2), np.array([1])),
                zero=("input2",),
            ),
            Case("broadcast", lambda d: Call(d.normal(1, 3), d.normal(5, 3), np.array([1]))),
            *older(embeddings),
        ),
    ),
    Op(
        "margin_ranking_loss",
        F.margin_ranking_loss,
        T.margin_ranking_loss,
        source=RANKING,
        cases=(
            *each("ties", ranks),
            *each("at the margin", lambda d: Call(*ranks(d).args, margin=1.0)),
            *each(
                "integer labels",
                lambda d: Call(d.normal(5, 4), d.normal(5, 4), signs(d, 5, 4), 0.5),
            ),
            Case("broadcast", lambda d: Call(d.normal(5, 1), d.normal(1, 4), d.signs(5, 4), 2)),
            Case("0-d", lambda d: Call(d.normal(), d.normal(), d.signs(), 5.0)),
            *older(ranks),
        ),
    ),
    Op(
        "multilabel_margin_loss",
        F.multilabel_margin_loss,
        T.multilabel_margin_loss,
        source=MULTILABEL,
        cases=(
            *each("ties", labelled),
            *each("scores", lambda d: Call(d.normal(4, 5), labelled(d).args[1])),
            *each("vector", lambda d: Call(d.normal(4), np.array([3, 0, -1, 1]))),
            Case("0-d", lambda d: Call(d.normal(), np.array(0)), zero=("input",)),
            Case("nothing right", lambda d: Call(d.normal(4), np.full(4, -1)), zero=("input",)),
            *older(labelled),
        ),
    ),
    Op(
        "multi_margin_loss",
        F.multi_margin_loss,
        T.multi_margin_loss,
        source=MULTICLASS,
        cases=(
            *each("ties", lambda d: Call(whole(d, 6, 4), d.integers(0, 4, 6))),
            *each("square", lambda d: Call(d.normal(6, 4), d.integers(0, 4, 6), p=2)),
            *each(
                "weight, margin",
                lambda d: Call(
                    d.normal(6, 4),
                    d.integers(0, 4, 6),
                    margin=0.3,
                    weight=const(d.uniform(0.2, 2, 4)),
                ),
            ),
            *each(
                "square, weight",
                lambda d: Call(d.normal(6, 4), d.integers(0, 4, 6), 2, 0.5, weights(d)),
            ),
            *each("vector", lambda d: Call(d.normal(4), np.array(2))),
            *each("vector, target (1,)", lambda d: Call(d.normal(4), np.array([2]))),
            Case("one class", lambda d: Call(d.normal(3, 1), np.zeros(3, int)), zero=("input",)),
            *older(classes),
        ),
    ),
    Op(
        "triplet_margin_loss",
        F.triplet_margin_loss,
        T.triplet_margin_loss,
        source=TRIPLET,
        cases=(
            *each("matrices", triplets),
            *each("swap", lambda d: Call(*triplets(d).args, swap=True, margin=0.2)),
            *each("p 3, eps", lambda d: Call(*triplets(d).args, margin=0.5, p=3, eps=1e-2)),
            *each("equal vectors", lambda d: Call(*[d.normal(5, 3)] * 2, d.normal(5, 3), 5.0)),
            *each(
                "ties and hinges at 0",
                lambda d: Call(*whole_triplets(d).args, p=1, eps=0, swap=True),
                surrogate=CORNERS,
            ),
            *each(
                "p inf",
                lambda d: Call(*whole_triplets(d).args, p=np.inf, eps=0, swap=True),
                surrogate=CORNERS,
            ),
            *each("vectors", lambda d: Call(d.normal(3), d.normal(3), d.normal(3), 5.0)),
            Case("broadcast", lambda d: Call(d.normal(5, 3), d.normal(1, 3), d.normal(5, 3), 5.0)),
            Case(
                "broadcast, swap",
                lambda d: Call(d.normal(5, 3), d.normal(1, 3), d.normal(1, 3), 9.0, swap=True),
            ),
            *older(triplets),
        ),
    ),
    Op(
        "triplet_margin_with_distance_loss",
        F.triplet_margin_with_distance_loss,
        with_distance,
        source=TRIPLET,
        cases=(
            *each("default", triplets),
            *each(
                "ties and hinges at 0",
                lambda d: Call(*whole_triplets(d).args, distance_function=manhattan, swap=True),
                surrogate=CORNERS,
            ),
            *each(
                "cosine",
                lambda d: Call(
                    *triplets(d).args, distance_function=F.cosine_similarity, margin=0.3, swap=True
                ),
            ),
            Case("by hand", lambda d: Call(*triplets(d).args, distance_function=last_difference)),
        ),
    ),
    layer(
        "HingeEmbeddingLoss",
        CONTRASTIVE,
        lambda d: Call(d.normal(4, 3), signs(d, 4, 3)),
        Call(),
        Call(0.3),
    ),
    layer("CosineEmbeddingLoss", SIAMESE, embeddings, Call(), Call(0.3), Call(0.1, False)),
    layer("MarginRankingLoss", RANKING, ranks, Call(), Call(1.0)),
    layer("MultiLabelMarginLoss", MULTILABEL, labelled),
    layer(
        "MultiMarginLoss",
        MULTICLASS,
        lambda d: Call(d.normal(6, 4), d.integers(0, 4, 6)),
        Call(),
        Call(2, 0.5, np.array([0.5, 2.0, 0.3, 1.0], np.float32)),
    ),
    layer(
        "TripletMarginLoss", TRIPLET, triplets, Call(), Call(2.0, 3, 0.01, swap=True), Call(0.5, 1)
    ),
    layer("TripletMarginWithDistanceLoss", TRIPLET, triplets, Call(), Call(margin=2, swap=True)),
]


MINKOWSKI = "Minkowski 1896, Geometrie der Zahlen"
SALTON = "Salton, Wong & Yang 1975, A vector space model for automatic indexing"


def each_norm(
    name: str, make: Callable[[Draw], Call], zero: tuple[str, ...], **options: Any
) -> tuple[Case, ...]:
    """One case for each exponent; p = 0 counts, so that its gradients are zero."""

    def case(p: float) -> Case:
        def call(d: Draw) -> Call:
            made = make(d)
            return Call(*made.args, **made.kwargs, p=p)

        return Case(f"{name} {p}", call, zero=() if p else zero, **options)

    return tuple(case(p) for p in (0, 0.5, 1, 1.5, 2, 3, np.inf))


DISTANCE: list[Entry] = [
    Op(
        "pairwise_distance",
        F.pairwise_distance,
        T.pairwise_distance,
        source=MINKOWSKI,
        cases=(
            *each_norm("p", pair, ("x1", "x2")),
            *each_norm(
                "equal entries and ties, p",
                lambda d: Call(whole(d, 20, 3), whole(d, 20, 3), eps=0.0),
                ("x1", "x2"),
                surrogate=NORM_KINKS,
            ),
            Case("p -1", lambda d: Call(d.normal(5, 3), d.normal(5, 3), -1.0)),
            Case("equal vectors", lambda d: Call(*[d.normal(5, 8)] * 2)),
            Case(
                "some equal vectors, eps 0",
                lambda d: Call(d.array(np.eye(5)), d.array(np.diag([1, 0, 1, 2, 1])), eps=0),
            ),
            Case("kept axis", lambda d: Call(d.normal(2, 5, 3), d.normal(2, 5, 3), keepdim=True)),
            Case("broadcast", lambda d: Call(d.normal(5, 1, 3), d.normal(4, 1), eps=0.1)),
            Case("vectors", lambda d: Call(d.normal(3), d.normal(3))),
            Case("0-d", lambda d: Call(d.normal(), d.normal())),
            Case("tiny", lambda d: Call(d.normal(5, 3, scale=1e-7), d.normal(5, 3, scale=1e-7))),
            Case("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3))),
        ),
    ),
    Op(
        "pdist",
        F.pdist,
        T.pdist,
        source=MINKOWSKI,
        cases=(
            *each_norm("p", lambda d: Call(d.normal(6, 3)), ("input",)),
            *each_norm(
                "equal rows and ties, p",
                lambda d: Call(whole(d, 8, 2)),
                ("input",),
                surrogate=NORM_KINKS,
            ),
            Case("two rows", lambda d: Call(d.normal(2, 1))),
            Case("tiny, p 3", lambda d: Call(d.normal(4, 1, scale=1e-7), 3.0)),
        ),
    ),
    Op(
        "cosine_similarity",
        F.cosine_similarity,
        T.cosine_similarity,
        source=SALTON,
        cases=(
            Case("rows", lambda d: Call(d.normal(4, 3), d.normal(4, 3))),
            Case("columns", lambda d: Call(d.normal(4, 3), d.normal(4, 3), dim=0)),
            Case("last axis", lambda d: Call(d.normal(2, 4, 3), d.normal(2, 4, 3), -1)),
            Case("vectors", lambda d: Call(d.normal(3), d.normal(3), 0)),
            Case("broadcast", lambda d: Call(d.normal(4, 1, 3), d.normal(2, 3), dim=2)),
            Case(
                "one norm below eps",
                lambda d: Call(
                    d.array([[0.1, -0.2], [3, 4], [0, 0]]), d.normal(3, 2, scale=3), eps=0.5
                ),
                surrogate=CLAMPED,
            ),
            Case(
                "tiny",
                lambda d: Call(d.normal(4, 3, scale=1e-9), d.normal(4, 3)),
                surrogate=CLAMPED,
            ),
            Case("huge", lambda d: Call(d.normal(4, 3, scale=1e12), d.normal(4, 3))),
            Case("empty", lambda d: Call(d.normal(0, 3), d.normal(0, 3))),
        ),
    ),
    Layer(
        "PairwiseDistance",
        nn.PairwiseDistance,
        torch.nn.PairwiseDistance,
        source=MINKOWSKI,
        cases=(
            Case("default", pair),
            Case("configured", pair, init=Call(1, 0.1, keepdim=True)),
        ),
    ),
    Layer(
        "CosineSimilarity",
        nn.CosineSimilarity,
        torch.nn.CosineSimilarity,
        source=SALTON,
        cases=(Case("default", pair), Case("configured", pair, init=Call(0, 1e-3))),
    ),
]

ENTRIES = [*REGRESSION, *CLASSIFICATION, *MARGIN, *DISTANCE]


# What must be refused: a call that is right but for the named argument.

MATRIX, SINGLE, WHOLE = np.full((4, 3), 0.5), np.full((4, 3), 0.5, np.float32), np.ones((4, 3), int)
INDICES = np.array([0, 2, 1, 0])
ARRAYS = {"input": MATRIX, "target": MATRIX}
CLASSES = {"input": MATRIX, "target": INDICES}
PAIRS = {"input1": MATRIX, "input2": MATRIX}
ROWS = {"x1": MATRIX, "x2": MATRIX}
TRIPLETS = {"anchor": MATRIX, "positive": MATRIX, "negative": MATRIX}

WRONG_INPUT: dict[str, dict[str, Any]] = {
    "integer input": {"input": WHOLE},
    "list for an input": {"input": [0.5]},
    "target in another dtype": {"target": SINGLE},
    "unknown reduction": {"reduction": "average"},
}
WRONG_OLDER: dict[str, dict[str, Any]] = {
    "size_average": {"size_average": "no"},
    "reduce": {"reduce": 2},
}
WRONG_SHAPE: dict[str, dict[str, Any]] = {"shapes": {"target": np.zeros((4, 2))}}
WRONG_CLASSES: dict[str, dict[str, Any]] = {
    "integer input": {"input": WHOLE},
    "floating classes": {"target": np.zeros(4)},
    "0-d input": {"input": np.zeros(()), "target": np.array(0)},
    "no classes": {"input": np.zeros((4, 0))},
    "number of targets": {"target": np.zeros(3, int)},
    "class too high": {"target": np.array([0, 3, 1, 0])},
    "negative class": {"target": np.array([0, -1, 1, 0])},
    "length of weight": {"weight": np.ones(4)},
    "weight in another dtype": {"weight": np.ones(3, np.float32)},
    "ignore_index": {"ignore_index": 0.5},
    "unknown reduction": {"reduction": "average"},
    **WRONG_OLDER,
}
WRONG_TRIPLETS: dict[str, dict[str, Any]] = {
    "integer anchor": {"anchor": WHOLE},
    "positive in another dtype": {"positive": SINGLE},
    "negative of fewer axes": {"negative": MATRIX[0]},
    "margin 0": {"margin": 0},
    "swap": {"swap": "no"},
    "unknown reduction": {"reduction": "average"},
}

WRONG: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "l1_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "shape of weight": {"weight": np.ones(3)},
            "integer weight": {"weight": WHOLE},
        },
    ),
    "mse_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "shape of weight": {"weight": np.ones(3)},
            "integer target": {"target": WHOLE},
        },
    ),
    "smooth_l1_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "negative beta": {"beta": -1},
            "beta a text": {"beta": "1"},
        },
    ),
    "huber_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_SHAPE,
            "delta 0": {"delta": 0},
            "NaN delta": {"delta": np.nan},
            "shape of weight": {"weight": np.ones(3)},
        },
    ),
    "poisson_nll_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "negative eps": {"eps": -1e-8},
            "log_input": {"log_input": "yes"},
            "full": {"full": None},
        },
    ),
    "gaussian_nll_loss": (
        {**ARRAYS, "var": MATRIX},
        {
            **WRONG_INPUT,
            **WRONG_SHAPE,
            "negative variance": {"var": -MATRIX},
            "negative number": {"var": -1.0},
            "shape of var": {"var": np.ones(3)},
            "two axes of 1": {"var": np.ones((1, 1))},
            "integer var": {"var": WHOLE},
            "negative eps": {"eps": -1.0},
            "full": {"full": None},
        },
    ),
    "kl_div": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "integer target": {"target": WHOLE},
            "log_target": {"log_target": "yes"},
        },
    ),
    "nll_loss": (CLASSES, WRONG_CLASSES),
    "cross_entropy": (
        CLASSES,
        {
            **WRONG_CLASSES,
            "label_smoothing 1.1": {"label_smoothing": 1.1},
            "negative label_smoothing": {"label_smoothing": -0.1},
            "integers for probabilities": {"target": WHOLE},
            "probabilities in another dtype": {"target": SINGLE},
            "ignored class beside probabilities": {"target": MATRIX, "ignore_index": 0},
        },
    ),
    "binary_cross_entropy": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "target that would broadcast": {"target": np.zeros((1, 3))},
            "integer target": {"target": WHOLE},
            "input above 1": {"input": 3 * MATRIX},
            "NaN input": {"input": np.full((4, 3), np.nan)},
            "target below 0": {"target": -MATRIX},
            "weight that widens": {"weight": np.ones((2, 4, 3))},
            "weight that does not broadcast": {"weight": np.ones(4)},
        },
    ),
    "binary_cross_entropy_with_logits": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "target that would broadcast": {"target": np.zeros((1, 3))},
            "integer target": {"target": WHOLE},
            "weight that widens": {"weight": np.ones((2, 4, 3))},
            "pos_weight that does not broadcast": {"pos_weight": np.ones(4)},
            "integer pos_weight": {"pos_weight": WHOLE},
        },
    ),
    "multilabel_soft_margin_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "0-d input": {"input": np.zeros(()), "target": np.zeros(())},
            "target that widens": {"target": np.zeros((2, 4, 3))},
            "length of weight": {"weight": np.ones(4)},
        },
    ),
    "soft_margin_loss": (
        ARRAYS,
        {
            **WRONG_INPUT,
            **WRONG_OLDER,
            **WRONG_SHAPE,
            "target that would broadcast": {"target": np.zeros((1, 3))},
        },
    ),
    "hinge_embedding_loss": (
        ARRAYS,
        {**WRONG_INPUT, **WRONG_OLDER, **WRONG_SHAPE, "margin": {"margin": "1"}},
    ),
    "cosine_embedding_loss": (
        {**PAIRS, "target": INDICES},
        {
            "integer input1": {"input1": WHOLE},
            "input2 in another dtype": {"input2": SINGLE},
            "width of input2": {"input2": np.zeros((4, 2))},
            "one input of one axis": {"input2": np.zeros(3)},
            "one label for a batch": {"target": np.array(1)},
            "number of labels": {"target": np.ones(3)},
            "labels of two axes": {"target": WHOLE},
            "margin": {"margin": None},
            "unknown reduction": {"reduction": "average"},
            **WRONG_OLDER,
        },
    ),
    "margin_ranking_loss": (
        {**PAIRS, "target": WHOLE},
        {
            "integer input1": {"input1": WHOLE},
            "input2 in another dtype": {"input2": SINGLE},
            "shapes": {"input2": np.zeros((4, 2))},
            "labels of one axis": {"target": INDICES},
            "margin": {"margin": "1"},
            "unknown reduction": {"reduction": "average"},
            **WRONG_OLDER,
        },
    ),
    "multilabel_margin_loss": (
        {"input": MATRIX, "target": WHOLE},
        {
            "integer input": {"input": WHOLE},
            "three axes": {"input": np.zeros((2, 4, 3)), "target": np.zeros((2, 4, 3), int)},
            "no classes": {"input": np.zeros((4, 0)), "target": np.zeros((4, 0), int)},
            "floating classes": {"target": MATRIX},
            "shapes": {"target": INDICES},
            "class too high": {"target": 3 * WHOLE},
            "class below -1": {"target": -2 * WHOLE},
            "unknown reduction": {"reduction": "average"},
            **WRONG_OLDER,
        },
    ),
    "multi_margin_loss": (
        CLASSES,
        {
            "integer input": {"input": WHOLE},
            "three axes": {"input": np.zeros((2, 4, 3))},
            "no classes": {"input": np.zeros((4, 0))},
            "floating classes": {"target": np.zeros(4)},
            "number of targets": {"target": INDICES[:3]},
            "class too high": {"target": np.array([0, 3, 1, 0])},
            "negative class": {"target": np.array([0, -1, 1, 0])},
            "p 3": {"p": 3},
            "margin": {"margin": "1"},
            "length of weight": {"weight": np.ones(4)},
            "unknown reduction": {"reduction": "average"},
            **WRONG_OLDER,
        },
    ),
    "triplet_margin_loss": (
        TRIPLETS,
        {
            **WRONG_TRIPLETS,
            **WRONG_OLDER,
            "shapes": {"positive": np.zeros((4, 2))},
            "p": {"p": "2"},
            "eps": {"eps": None},
        },
    ),
    "triplet_margin_with_distance_loss": (
        TRIPLETS,
        {**WRONG_TRIPLETS, "distance": {"distance_function": 2}},
    ),
    "pairwise_distance": (
        ROWS,
        {
            "integer x1": {"x1": WHOLE},
            "x2 in another dtype": {"x2": SINGLE},
            "shapes": {"x2": np.zeros((4, 2))},
            "NaN p": {"p": np.nan},
            "eps": {"eps": "0"},
            "keepdim": {"keepdim": "no"},
            "nothing has no largest entry": {
                "x1": np.zeros((4, 0)),
                "x2": np.zeros(0),
                "p": np.inf,
            },
        },
    ),
    "pdist": (
        {"input": MATRIX},
        {
            "integer input": {"input": WHOLE},
            "three axes": {"input": np.zeros((2, 4, 3))},
            "negative p": {"p": -1},
            "nothing has no largest entry": {"input": np.zeros((4, 0)), "p": np.inf},
        },
    ),
    "cosine_similarity": (
        ROWS,
        {
            "integer x1": {"x1": WHOLE},
            "x2 in another dtype": {"x2": SINGLE},
            "shapes": {"x2": np.zeros((4, 2))},
            "axis": {"dim": 2},
            "negative eps": {"eps": -1e-8},
        },
    ),
}

WRONG_MODULES: dict[str, dict[str, dict[str, Any]]] = {
    "L1Loss": {"reduction": {"reduction": "batchmean"}, "size_average": {"size_average": "no"}},
    "MSELoss": {"reduction": {"reduction": None}, "reduce": {"reduce": 2}},
    "SmoothL1Loss": {"negative beta": {"beta": -1.0}, "reduction": {"reduction": "max"}},
    "HuberLoss": {"delta 0": {"delta": 0.0}, "delta a text": {"delta": "1"}},
    "PoissonNLLLoss": {
        "log_input": {"log_input": "yes"},
        "full": {"full": None},
        "negative eps": {"eps": -1.0},
    },
    "GaussianNLLLoss": {"full": {"full": None}, "negative eps": {"eps": -1.0}},
    "KLDivLoss": {"reduction": {"reduction": "batchsum"}, "log_target": {"log_target": "yes"}},
    "NLLLoss": {"integer weight": {"weight": INDICES}, "ignore_index": {"ignore_index": 0.5}},
    "NLLLoss2d": {"integer weight": {"weight": INDICES}},
    "CrossEntropyLoss": {
        "integer weight": {"weight": INDICES},
        "ignore_index": {"ignore_index": "none"},
        "label_smoothing": {"label_smoothing": 1.1},
    },
    "BCELoss": {"list for a weight": {"weight": [1.0]}, "reduction": {"reduction": ""}},
    "BCEWithLogitsLoss": {
        "integer weight": {"weight": INDICES},
        "integer pos_weight": {"pos_weight": INDICES},
    },
    "MultiLabelSoftMarginLoss": {"integer weight": {"weight": INDICES}},
    "SoftMarginLoss": {"reduction": {"reduction": "all"}},
    "HingeEmbeddingLoss": {"margin": {"margin": "1"}},
    "CosineEmbeddingLoss": {"margin": {"margin": None}},
    "MarginRankingLoss": {"margin": {"margin": "1"}},
    "MultiLabelMarginLoss": {"reduction": {"reduction": "all"}},
    "MultiMarginLoss": {
        "p 3": {"p": 3},
        "matrix of weights": {"weight": MATRIX},
        "integer weight": {"weight": INDICES},
        "margin": {"margin": "1"},
    },
    "TripletMarginLoss": {
        "margin 0": {"margin": 0.0},
        "p": {"p": "2"},
        "eps": {"eps": None},
        "swap": {"swap": 2},
    },
    "TripletMarginWithDistanceLoss": {
        "margin below 0": {"margin": -1.0},
        "swap": {"swap": 2},
        "distance": {"distance_function": "cosine"},
    },
    "CosineSimilarity": {"half an axis": {"dim": 0.5}, "negative eps": {"eps": -1e-8}},
    "PairwiseDistance": {"p": {"p": "2"}, "eps": {"eps": None}, "keepdim": {"keepdim": 2}},
}

REFUSALS = [
    Refusal(f"{name}: {what}", functools.partial(getattr(F, name), **{**right, **wrong}), name)
    for name, (right, wrongs) in WRONG.items()
    for what, wrong in wrongs.items()
] + [
    Refusal(f"{name}: {what}", functools.partial(getattr(nn, name), **wrong), name)
    for name, wrongs in WRONG_MODULES.items()
    for what, wrong in wrongs.items()
]
REFUSALS += [
    Refusal(
        "mse_loss: shape of dy",
        lambda: F.mse_loss(MATRIX, MATRIX, reduction="none")[1](np.zeros(3)),
        "mse_loss backward",
    ),
    Refusal(
        "cross_entropy: no dy for several losses",
        lambda: F.cross_entropy(MATRIX, INDICES, reduction="none")[1](),
        "cross_entropy backward",
    ),
    Refusal(
        "CrossEntropyLoss: input", lambda: nn.CrossEntropyLoss()(WHOLE, INDICES), "cross_entropy"
    ),
]
