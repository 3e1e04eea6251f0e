"""Conventions of session recommendation: what is a negative, what is reset, what is cut."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.models import GRU4Rec
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.nn.reduction import quiet, reduced

Parts = tuple[Any, Backward]
Loss = Callable[..., Parts]


def marked(a: dict[str, Any]) -> Array:
    """The negatives of a call (N, C), as they are meant."""
    x, t = a["input"], a["target"]
    on = np.ones(x.shape, bool) if a["negatives"] is None else a["negatives"].copy()
    on[np.arange(len(x)), t] = False
    return on


def with_target(pairs: Loss, at_target: float) -> Loss:
    """A mean over negatives and the target, which adds a constant to the sum."""

    @mutant(pairs)
    def other(**a: Any) -> Parts:
        n = marked(a).sum(1)
        share = (n / (n + 1)).astype(a["input"].dtype)
        losses, loss_back = pairs(**{**a, "reduction": "none"})
        loss, reduced_back = reduced(share * losses + at_target * (1 - share), a["reduction"])
        return loss, lambda dy: loss_back(share * reduced_back(dy))

    return other


def over_all_columns(loss: Loss) -> Loss:
    """An item that stands in the batch twice is its own negative."""

    @mutant(loss)
    def other(**a: Any) -> Parts:
        return loss(**{**a, "negatives": None})

    return other


@mutant(F.top1_max_loss)
def weights_are_constants(**a: Any) -> Parts:
    """No gradient through the softmax."""
    x, t, on = a["input"], a["target"], marked(a)
    losses, _ = F.top1_max_loss(**{**a, "reduction": "none"})
    loss, reduced_back = reduced(losses, a["reduction"])
    rows = np.arange(len(x))
    top = np.where(on, x, -np.inf).max(1, keepdims=True, initial=-1e30)
    w = np.where(on, np.exp(x - top), 0.0)
    w = w / np.maximum(w.sum(1, keepdims=True), 1e-30)

    @quiet
    def backward(dy: Array) -> Array:
        s, q = (1 / (1 + np.exp(-z)) for z in (x - x[rows, t][:, None], x * x))
        dpair = w * s * (1 - s)
        dx: Array = dpair + w * 2 * x * q * (1 - q)
        dx[rows, t] = -dpair.sum(1)
        dx *= reduced_back(dy)[:, None]
        return dx

    return loss, backward


@mutant(F.bpr_max_loss)
def ends_at_55(**a: Any) -> Parts:
    """-log(p + 1e-24): a loss that ends, and a gradient that is lost with p."""
    losses, loss_back = F.bpr_max_loss(**{**a, "reduction": "none", "regularization": 0.0})
    full, full_back = F.bpr_max_loss(**{**a, "reduction": "none"})
    p = np.exp(-losses.astype(np.float64))
    kept = (p / (p + 1e-24)).astype(losses.dtype)
    clipped = -np.log(p + 1e-24).astype(losses.dtype)
    loss, reduced_back = reduced(full - losses + clipped, a["reduction"])

    def backward(dy: Array) -> Array:
        d = np.array(reduced_back(dy))
        dx: Array = full_back(d) - loss_back(d) + loss_back(kept * d)
        return dx

    return loss, backward


@mutant(F.bpr_max_loss)
def plain_mean_of_squares(**a: Any) -> Parts:
    """Scores are held near 0 by the mean of their squares, not by the softmax's."""
    x, on = np.asarray(a["input"]), marked(a)
    losses, loss_back = F.bpr_max_loss(**{**a, "reduction": "none", "regularization": 0.0})
    w = on * a["regularization"] / np.maximum(on.sum(1, keepdims=True), 1)
    w = w.astype(x.dtype)
    loss, reduced_back = reduced(losses + (w * x * x).sum(1), a["reduction"])

    def backward(dy: Array) -> Array:
        d = np.array(reduced_back(dy))
        dx: Array = loss_back(d) + d[:, None] * 2 * w * x
        return dx

    return loss, backward


@mutant(F.sampled_cross_entropy)
def corrects_negatives_only(**a: Any) -> Parts:
    """The target's own score stays as it is."""
    if a["log_q"] is None:
        return F.sampled_cross_entropy(**a)
    shift = np.broadcast_to(a["log_q"], a["input"].shape) * marked(a)
    return F.sampled_cross_entropy(**{**a, "log_q": shift.astype(a["input"].dtype)})


class NeverResets(GRU4Rec):
    """The state of a session that is over goes on into the next."""

    def forward(
        self,
        input: Array,
        hx: Array | None = None,
        start: Array | None = None,
        candidates: Array | None = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """As GRU4Rec's, without `start`."""
        return super().forward(input, hx, None, candidates)


class ResetsLate(GRU4Rec):
    """The state is reset after the first item of a session, not before it."""

    def forward(
        self,
        input: Array,
        hx: Array | None = None,
        start: Array | None = None,
        candidates: Array | None = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """As GRU4Rec's, with `start` a step later."""
        late = None if start is None else np.roll(start, 1, axis=0)
        return super().forward(input, hx, late, candidates)


class ResetsAllSlots(GRU4Rec):
    """One session's end resets the whole batch."""

    def forward(
        self,
        input: Array,
        hx: Array | None = None,
        start: Array | None = None,
        candidates: Array | None = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """As GRU4Rec's, with `start` in all slots where it is in one."""
        if start is not None:
            start = np.repeat(start.any(1, keepdims=True), start.shape[1], axis=1)
        return super().forward(input, hx, start, candidates)


class CutsEachStep(GRU4Rec):
    """No gradient goes back in time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gru.__class__ = Stepwise


class Stepwise(nn.GRU):
    """A GRU that is run step by step, each from a state that is given."""

    def forward(self, input: Array, hx: Any = None) -> tuple[Any, Backward]:
        """As GRU's; what a step's state hands back to the step before is dropped."""
        outputs, backs = [], []
        for x in input:
            (y, hx), back = super().forward(x[None], hx)
            outputs.append(y)
            backs.append(back)

        def backward(dy: Array, dh: Any = None) -> Any:
            dx: list[Array] = []
            for t in reversed(range(len(backs))):
                dx_t, dhx = backs[t](dy[t : t + 1], dh if t == len(backs) - 1 else None)
                dx.insert(0, dx_t)
            return np.concatenate(dx), dhx

        return (np.concatenate(outputs), hx), backward


class ResetsBefore(GRU4Rec):
    """The authors' own cell: the reset gate before the product."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gru.reset_after = False

    __repr__ = GRU4Rec.__repr__


PITFALLS = [
    Pitfall(
        "bpr counts the target",
        entry="bpr_loss",
        difference="here: a mean over the negatives; the authors' code: over the target too, which "
        "adds log 2 and makes the others count less",
        mutant=with_target(F.bpr_loss, float(np.log(2))),
    ),
    Pitfall(
        "top1 counts the target",
        entry="top1_loss",
        difference="here: a mean over the negatives; the authors' code: over the target too, less "
        "its square's term",
        mutant=with_target(F.top1_loss, 0.5),
    ),
    *(
        Pitfall(
            f"{name}: an item twice in the batch",
            entry=name,
            difference="here: `negatives` leaves out columns with the target's item; the authors' "
            "code: every other row is a negative, the target's own item too",
            mutant=over_all_columns(getattr(F, name)),
        )
        for name in ("sampled_cross_entropy", "bpr_loss", "bpr_max_loss")
    ),
    Pitfall(
        "top1-max: weights without gradient",
        entry="top1_max_loss",
        difference="the authors' code: the softmax is differentiated; others: it is a constant",
        mutant=weights_are_constants,
    ),
    Pitfall(
        "bpr-max: epsilon in the logarithm",
        entry="bpr_max_loss",
        difference="here: log-sum-exp; the authors' code: log(p + 1e-24), flat beyond 55",
        mutant=ends_at_55,
    ),
    Pitfall(
        "bpr-max: what is regularised",
        entry="bpr_max_loss",
        difference="the paper: squares weighed by the softmax; others: their mean",
        mutant=plain_mean_of_squares,
    ),
    Pitfall(
        "log_q of the target",
        entry="sampled_cross_entropy",
        difference="here: off every candidate's score; others: off the negatives' only",
        mutant=corrects_negatives_only,
    ),
    Pitfall(
        "gru4rec: no reset",
        entry="GRU4Rec",
        difference="the paper: the state is reset when a slot's session ends; others: it goes on",
        mutant=NeverResets,
    ),
    Pitfall(
        "gru4rec: reset a step late",
        entry="GRU4Rec",
        difference="here: before the first item of the next session; late: after it",
        mutant=ResetsLate,
    ),
    Pitfall(
        "gru4rec: reset of all slots",
        entry="GRU4Rec",
        difference="the paper: of the slot whose session ended; others: of the batch",
        mutant=ResetsAllSlots,
    ),
    Pitfall(
        "gru4rec: cut at each step",
        entry="GRU4Rec",
        difference="here: back through all steps of a call; the authors' code: none",
        mutant=CutsEachStep,
    ),
    Pitfall(
        "gru4rec: reset gate",
        entry="GRU4Rec",
        difference="torch: after the product; the authors' code: before it",
        mutant=ResetsBefore,
    ),
]
