"""Categories: one-hot codes, samples that gradients pass, and softmax over very many classes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_tests.catalog.generation import same_waits
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, Routine, const
from scratch import nn
from scratch.nn import functional as F
from scratch.random import Generator

GUMBEL = "Jang et al. 2017, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712"
ADAPTIVE = "Grave et al. 2017, arXiv:1609.04309, section 4"
STRAIGHT = "the gradient is that of the soft sample, on purpose"


def torch_gumbel_softmax(
    logits: torch.Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    noise: torch.Tensor | None = None,
) -> torch.Tensor:
    """torch's; with noise its formula, since torch has no such argument."""
    if noise is None:
        return torch.nn.functional.gumbel_softmax(logits, tau, hard, eps, dim)
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    first = soft.max(dim, keepdim=True)[1]
    return torch.zeros_like(soft).scatter_(dim, first, 1.0) - soft.detach() + soft


def noisy(*shape: int, **options: Any) -> Callable[[Draw], Call]:
    """Logits and Gumbel noise, of wide spread so that shares are unequal."""

    def make(d: Draw) -> Call:
        waits = d.uniform(0.01, 5.0, *shape)
        return Call(d.normal(*shape, scale=2.0), noise=const(-np.log(waits)), **options)

    return make


def from_a_seed(function: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Soft and hard samples in turn from one stream, in both dtypes."""
    if not same_waits():
        return {}
    seeded = {} if side.is_torch else {"generator": Generator(3)}
    torch.manual_seed(3)
    x = side.array(d.normal(6, 5))
    found = {}
    for hard, tau, dim in ((False, 1.0, -1), (True, 0.4, 0), (False, 2.0, 0)):
        y = function(x, tau, hard, dim=dim, **seeded)
        found[f"hard {hard}, tau {tau}"] = y if side.is_torch else y[0]
    return found


def one_hots(function: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Any shape, classes counted or given, none at all."""
    ids = d.integers(0, 6, 3, 4)
    made = {
        "counted": (ids,),
        "given": (ids, 9),
        "gaps": (np.array([4, 0, 2]),),
        "one id": (np.array(2), 4),
        "a vector": (np.arange(3),),
        "none": (np.zeros((0, 2), np.int64), 5),
        "one class": (np.zeros(3, np.int64),),
    }
    codes = {}
    for name, (i, *classes) in made.items():
        y = function(side.array(i), *classes)
        codes[name] = y if side.is_torch else y[0]
    return codes


def classes(*targets: int, features: int = 9, scale: float = 1.0) -> Callable[[Draw], Call]:
    """A row for each target."""
    return lambda d: Call(
        d.normal(len(targets), features, scale=scale), np.array(targets, np.int64)
    )


ALL = (0, 11, 2, 4, 5, 11, 6, 3, 1, 10)
ALONE = tuple(f"tail.{k}.{i}.weight" for k in (0, 1) for i in (0, 1))
# Every cluster has a target: what happens to one that has none is in test_categories.py.
# cancels: d - e^b d, of a class that its cluster is sure of.
ADAPTIVE_CASES = (
    Case("three clusters", classes(*ALL), init=Call(9, 12, [3, 5, 10], 2.0), cancels=1.0),
    Case("a bias", classes(*ALL), init=Call(9, 12, [3, 5, 10], 2.0, head_bias=True), cancels=1.0),
    *(
        dataclasses.replace(case, modes=("train",))
        for case in (
            Case("one cluster", classes(7, 0, 2, 11), init=Call(9, 12, (6,))),
            Case("classes alone", classes(0, 1, 2, 2), init=Call(9, 3, [1, 2], 3), zero=ALONE),
            Case("far apart", classes(7, 0, 11, scale=9.0), init=Call(9, 12, [4]), cancels=9.0),
            Case("no axis of rows", lambda d: Call(d.normal(9), np.array(10)), Call(9, 12, [4])),
        )
    ),
)


def probabilities(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """What follows from a module's weights: log p of all classes, and the likeliest."""
    found: dict[str, Any] = {}
    x = side.array(d.normal(20, 9, scale=3.0))
    for name, args in {
        "three clusters": (9, 12, [3, 5, 10], 2.0, True),
        "rarely in front": (9, 12, [1, 10], 2.0, False),
    }.items():
        module = make(*args)
        shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        module = side.set(module, {key: d.normal(*shape) for key, shape in shapes.items()})
        log_p, best = module.log_prob(x), module.predict(x)
        found |= {f"{name}, log p": log_p if side.is_torch else log_p[0], f"{name}, best": best}
    return found


ENTRIES: list[Entry] = [
    Op(
        "gumbel_softmax",
        F.gumbel_softmax,
        torch_gumbel_softmax,
        source=GUMBEL,
        cases=(
            Case("plain", noisy(3, 5)),
            Case("cold", noisy(3, 5, tau=0.3)),
            Case("warm", noisy(3, 4, 2, tau=5.0, dim=1)),
            Case("hard", noisy(4, 5, hard=True), surrogate=STRAIGHT),
            Case("hard and cold", noisy(4, 3, 5, tau=0.2, hard=True, dim=0), surrogate=STRAIGHT),
            Case("a vector", noisy(6, tau=2.0)),
            Case(
                "a tie, hard",
                lambda d: Call(
                    d.array([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]]),
                    hard=True,
                    noise=const(d.array(np.zeros((2, 3)))),
                ),
                surrogate=STRAIGHT,
            ),
        ),
    ),
    Routine(
        "gumbel_softmax from a seed",
        F.gumbel_softmax,
        torch.nn.functional.gumbel_softmax,
        scripts={"in turn": from_a_seed},
        source=GUMBEL,
    ),
    Routine(
        "one_hot",
        F.one_hot,
        torch.nn.functional.one_hot,
        scripts={"codes": one_hots},
        source="torch.nn.functional.one_hot",
    ),
    Layer(
        "AdaptiveLogSoftmaxWithLoss",
        nn.AdaptiveLogSoftmaxWithLoss,
        torch.nn.AdaptiveLogSoftmaxWithLoss,
        ADAPTIVE_CASES,
        source=ADAPTIVE,
    ),
    Routine(
        "AdaptiveLogSoftmaxWithLoss.log_prob, predict",
        nn.AdaptiveLogSoftmaxWithLoss,
        torch.nn.AdaptiveLogSoftmaxWithLoss,
        scripts={"all classes": probabilities},
        source=ADAPTIVE,
    ),
]


def _adaptive(*args: Any, **kwargs: Any) -> Callable[[], Any]:
    return lambda: nn.AdaptiveLogSoftmaxWithLoss(*args, **kwargs)


def _gumbel(*args: Any, **kwargs: Any) -> Callable[[], Any]:
    return lambda: F.gumbel_softmax(*args, **kwargs)


X, IDS = np.ones((2, 9), np.float32), np.array([0, 3])
MODULE = nn.AdaptiveLogSoftmaxWithLoss(9, 12, [4, 8], 2.0)
REFUSALS = [
    Refusal("gumbel_softmax: integers", _gumbel(IDS), "gumbel_softmax"),
    Refusal("gumbel_softmax: tau 0", _gumbel(X, 0), "gumbel_softmax"),
    Refusal("gumbel_softmax: hard", _gumbel(X, 1, "yes"), "gumbel_softmax"),
    Refusal("gumbel_softmax: dim", _gumbel(X, dim=2), "gumbel_softmax"),
    Refusal("gumbel_softmax: noise", _gumbel(X, noise=X[0]), "gumbel_softmax"),
    Refusal("gumbel_softmax: dtype of noise", _gumbel(X, noise=X.astype("d")), "gumbel_softmax"),
    Refusal("gumbel_softmax: generator", _gumbel(X, generator=3), "gumbel_softmax"),
    Refusal("one_hot: floating", lambda: F.one_hot(X), "one_hot"),
    Refusal("one_hot: negative", lambda: F.one_hot(-IDS, 4), "one_hot"),
    Refusal("one_hot: too few classes", lambda: F.one_hot(IDS, 3), "one_hot"),
    Refusal("one_hot: no ids to count", lambda: F.one_hot(IDS[:0]), "one_hot"),
    Refusal("one_hot: half a class", lambda: F.one_hot(IDS, 4.5), "one_hot"),  # type: ignore[arg-type]
    Refusal("Adaptive: no cutoffs", _adaptive(9, 12, []), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: order", _adaptive(9, 12, [8, 4]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: twice", _adaptive(9, 12, [4, 4]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: last class", _adaptive(9, 12, [4, 12]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: 0", _adaptive(9, 12, [0, 4]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: number", _adaptive(9, 12, 4), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: div_value", _adaptive(9, 12, [4], 0.0), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: bias", _adaptive(9, 12, [4], 4.0, 2), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: rows", lambda: MODULE(X, IDS[:1]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: features", lambda: MODULE(X[:, :8], IDS), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: a class too many", lambda: MODULE(X, IDS + 9), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: negative class", lambda: MODULE(X, IDS - 1), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: floating class", lambda: MODULE(X, X[:, 0]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: axes", lambda: MODULE(X[None], IDS[None]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: log_prob", lambda: MODULE.log_prob(X[0]), "AdaptiveLogSoftmaxWithLoss"),
    Refusal("Adaptive: predict", lambda: MODULE.predict(IDS), "AdaptiveLogSoftmaxWithLoss"),
]
