"""Conventions of categories: where the temperature stands, what is straight, which cluster."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward

Parts = tuple[Any, Backward]


@mutant(F.gumbel_softmax)
def noise_at_any_temperature(**a: Any) -> Parts:
    if a["noise"] is None:
        return F.gumbel_softmax(**a)
    return F.gumbel_softmax(**a | {"noise": a["tau"] * a["noise"]})


@mutant(F.gumbel_softmax)
def hard_stops_the_gradient(**a: Any) -> Parts:
    y, back = F.gumbel_softmax(**a)
    return y, (lambda dy: 0 * back(dy)) if a["hard"] else back


@mutant(F.gumbel_softmax)
def last_of_a_tie(**a: Any) -> Parts:
    turned = {name: np.flip(a[name], a["dim"]) for name in ("logits", "noise") if name in a}
    y, back = F.gumbel_softmax(**a | turned)
    return np.flip(y, a["dim"]), lambda dy: np.flip(back(np.flip(dy, a["dim"])), a["dim"])


def present_classes(tensor: Array, num_classes: int = -1) -> Parts:
    """Without num_classes as many as there are different ones."""
    if num_classes == -1:
        found, tensor = np.unique(tensor, return_inverse=True)
        num_classes = len(found)
    return F.one_hot(tensor, num_classes)


class _Renumbered(nn.AdaptiveLogSoftmaxWithLoss):
    """What forward reads of the classes is the subclass's."""

    def _to(self, target: Array) -> Array:
        raise RuntimeError("expected a subclass, got the base class")

    def forward(self, input_: Array, target_: Array) -> Parts:
        return super().forward(input_, self._to(target_))


class CutoffIsInTheClusterBefore(_Renumbered):
    """A cutoff is the last class of what it ends; here by moving every class down by one."""

    def _to(self, target: Array) -> Array:
        return np.asarray((target - 1) % self.n_classes)


class RarestFirst(_Renumbered):
    """Class 0 is the rarest."""

    def _to(self, target: Array) -> Array:
        return np.asarray(self.n_classes - 1 - target)


def summed(make: Callable[..., Any]) -> Callable[..., Any]:
    """The loss is the sum over rows."""

    class Summed(make):  # type: ignore[misc,valid-type]
        def forward(self, input_: Array, target_: Array) -> Parts:
            (output, loss), back = super().forward(input_, target_)
            n = max(1, target_.size)
            return (output, n * loss), lambda doutput, dloss: back(doutput, n * dloss)

    return Summed


ADAPTIVE = "AdaptiveLogSoftmaxWithLoss"
PITFALLS = [
    Pitfall(
        "gumbel_softmax_temperature",
        "gumbel_softmax",
        "torch softmax((x + g) / tau); others x / tau + g, which at low tau is no sample of x",
        noise_at_any_temperature,
    ),
    Pitfall(
        "gumbel_softmax_straight_through",
        "gumbel_softmax",
        "hard: torch passes the gradient of the soft sample; an argmax has none",
        hard_stops_the_gradient,
    ),
    Pitfall(
        "gumbel_softmax_tie",
        "gumbel_softmax",
        "hard, of entries that tie: torch the first; others the last",
        last_of_a_tie,
    ),
    Pitfall(
        "one_hot_counts",
        "one_hot",
        "num_classes -1: torch the largest class and one; others the number of different ones",
        present_classes,
    ),
    Pitfall(
        "adaptive_softmax_cutoffs",
        ADAPTIVE,
        "cutoffs: in torch the first class of each cluster; others the last of what is before",
        CutoffIsInTheClusterBefore,
    ),
    Pitfall(
        "adaptive_softmax_order",
        ADAPTIVE,
        "class 0: the most frequent one; others number from the rarest",
        RarestFirst,
    ),
    Pitfall(
        "adaptive_softmax_loss",
        ADAPTIVE,
        "loss: torch the mean over rows; the authors' Lua code the sum",
        summed(nn.AdaptiveLogSoftmaxWithLoss),
    ),
]
