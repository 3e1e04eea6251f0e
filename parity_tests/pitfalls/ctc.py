"""Conventions of CTC: which class is the blank, what a repeat needs, what the mean divides by."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.nn.reduction import reduced

Parts = tuple[Any, Backward]


def swapped(x: Array, i: int, j: int) -> Array:
    """Two classes exchanged."""
    order = np.arange(x.shape[-1])
    order[[i, j]] = order[[j, i]]
    exchanged: Array = x[..., order]
    return exchanged


@mutant(F.ctc_loss)
def blank_is_the_last_class(**a: Any) -> Parts:
    x, blank = a["log_probs"], a["blank"]
    if blank == x.shape[-1] - 1:
        return F.ctc_loss(**a)
    last = x.shape[-1] - 1
    loss, loss_back = F.ctc_loss(**{**a, "log_probs": swapped(x, blank, last)})
    return loss, lambda dy: swapped(loss_back(dy), blank, last)


def averaged(divisor: Any) -> Any:
    """'mean' as the mean of the losses, each divided by what `divisor` says."""

    @mutant(F.ctc_loss)
    def other(**a: Any) -> Parts:
        if a["reduction"] != "mean":
            return F.ctc_loss(**a)
        losses, losses_back = F.ctc_loss(**{**a, "reduction": "none"})
        share = np.asarray(divisor(a), losses.dtype)
        y, reduced_back = reduced(losses / share, "mean")
        return y, lambda dy: losses_back(np.asarray(reduced_back(dy) / share, losses.dtype))

    return other


@mutant(F.ctc_loss)
def repeats_need_no_blank(**a: Any) -> Parts:
    """Labels in a row that are equal become classes of their own with the same probabilities."""
    x, z = a["log_probs"], a["targets"]
    if z.ndim != 2 or z.shape[1] < 2 or x.ndim != 3:
        return F.ctc_loss(**a)
    classes = x.shape[-1]
    repeated = np.zeros(z.shape, int)
    for s in range(1, z.shape[1]):
        repeated[:, s] = np.where(z[:, s] == z[:, s - 1], 1 - repeated[:, s - 1], 0)
    doubled = np.concatenate([x, x], axis=-1)
    loss, loss_back = F.ctc_loss(**{**a, "log_probs": doubled, "targets": z + classes * repeated})

    def backward(dy: Array) -> Array:
        dx = loss_back(dy)
        added: Array = dx[..., :classes] + dx[..., classes:]
        return added

    return loss, backward


@mutant(F.ctc_loss)
def impossible_costs_infinity(**a: Any) -> Parts:
    return F.ctc_loss(**{**a, "zero_infinity": False})


@mutant(F.ctc_loss)
def impossible_costs_nothing(**a: Any) -> Parts:
    return F.ctc_loss(**{**a, "zero_infinity": True})


@mutant(F.ctc_loss)
def derivative_by_log_probs(**a: Any) -> Parts:
    x, reduction = a["log_probs"], a["reduction"]
    loss, loss_back = F.ctc_loss(**a)
    if reduction == "mean" or x.ndim == 2 or not np.all(np.isfinite(loss)):
        return loss, loss_back
    counted = np.arange(len(x))[:, None] < np.asarray(a["input_lengths"])  # (T, N)
    # torch: dl (e^x - g); the derivative: -dl g
    return loss, lambda dy: loss_back(dy) - (dy * counted)[:, :, None] * np.exp(x)


@mutant(F.ctc_loss)
def padding_frames_count(**a: Any) -> Parts:
    x = a["log_probs"]
    whole = (len(x),) * (x.shape[1] if x.ndim == 3 else 1)
    return F.ctc_loss(**{**a, "input_lengths": whole})


PITFALLS = [
    Pitfall(
        "ctc: blank is the last class",
        entry="ctc_loss",
        difference="torch: blank=0 by default; TensorFlow's older ctc_loss and Keras: the last",
        mutant=blank_is_the_last_class,
    ),
    Pitfall(
        "ctc: mean over the batch alone",
        entry="ctc_loss",
        difference="torch: 'mean' divides each loss by the number of its labels first; others "
        "average the losses as they are",
        mutant=averaged(lambda a: 1.0),
    ),
    Pitfall(
        "ctc: mean over frames",
        entry="ctc_loss",
        difference="torch: 'mean' divides by labels; others by frames (normalisation by length)",
        mutant=averaged(lambda a: np.maximum(np.atleast_1d(np.asarray(a["input_lengths"])), 1)),
    ),
    Pitfall(
        "ctc: repeats need no blank",
        entry="ctc_loss",
        difference="Graves, torch: two equal labels in a row are read only with a blank between "
        "them, so the skip over it is closed; mutant: every blank may be skipped",
        mutant=repeats_need_no_blank,
    ),
    Pitfall(
        "ctc: zero_infinity is ignored",
        entry="ctc_loss",
        difference="torch: zero_infinity=True makes loss and gradient of an impossible sequence 0",
        mutant=impossible_costs_infinity,
    ),
    Pitfall(
        "ctc: zero_infinity always",
        entry="ctc_loss",
        difference="torch: an impossible sequence costs infinity by default; others 0",
        mutant=impossible_costs_nothing,
    ),
    Pitfall(
        "ctc: derivative by log_probs",
        entry="ctc_loss",
        difference="torch: e^x - g, the derivative by the logits; the derivative by x is -g",
        mutant=derivative_by_log_probs,
    ),
    Pitfall(
        "ctc: padding frames count",
        entry="ctc_loss",
        difference="torch: frames from input_lengths on are no part of the path, gradient 0",
        mutant=padding_frames_count,
    ),
]
