"""Connectionist temporal classification."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.nn import functional as F

GRAVES = "Graves et al. 2006, Connectionist temporal classification, ICML"
LOGITS = "the gradient is that by the logits; test_ctc has the differences through log_softmax"
# torch: e^(a + b + l) cancels numbers as large as the loss, here up to 300; test_ctc measures it.
CTC = (2000.0, "torch's own rounding, of numbers as large as the loss: up to 300")
REDUCTIONS = ("none", "mean", "sum")
LABELS = np.array([[1, 2, 2, 3], [3, 3, 3, 1], [2, 1, 2, 1]])  # repeats, which need blanks


def logs(d: Draw, *shape: int, scale: float = 1.0) -> Array:
    """Log probabilities, so that each row of probabilities sums to 1."""
    logits = scale * d.rng.standard_normal(shape)
    return d.array(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))


def padded(d: Draw, scale: float = 1.0, **kwargs: Any) -> Call:
    """Three sequences of different lengths; what stands behind their labels is no class."""
    labels = np.where(np.arange(4) < np.array([[4], [3], [1]]), LABELS, [-1, -100, 77, 99])
    lengths, counts = np.array([7, 6, 4]), np.array([4, 3, 1])
    return Call(logs(d, 7, 3, 5, scale=scale), labels, lengths, counts, **kwargs)


def joined(d: Draw, **kwargs: Any) -> Call:
    """The labels one after the other, lengths in tuples, int32."""
    labels = np.array([1, 2, 2, 3, 3, 1], np.int32)
    return Call(logs(d, 7, 3, 5), labels, (7, 5, 6), (3, 1, 2), **kwargs)


def blank_last(d: Draw, **kwargs: Any) -> Call:
    """Class 0 is a label and class 4 the blank."""
    return Call(logs(d, 8, 3, 5), LABELS - 1, np.full(3, 8), np.array([4, 2, 3]), blank=4, **kwargs)


def impossible(d: Draw, **kwargs: Any) -> Call:
    """Four frames for one sequence that fits, one whose repeats need five, and one without any."""
    return Call(logs(d, 4, 3, 4), LABELS[:, :3], np.array([4, 4, 0]), np.full(3, 3), **kwargs)


def without_labels(d: Draw, **kwargs: Any) -> Call:
    """No label, of no frame too: only blanks."""
    return Call(
        logs(d, 4, 3, 4), LABELS, np.array([4, 0, 3]), np.array([0, 0, 2], np.int32), **kwargs
    )


def ruled_out(d: Draw, **kwargs: Any) -> Call:
    """Classes at log probability -inf: one on the paths, one beside them, one on every path."""
    x = logs(d, 5, 3, 4)
    x[2, 0, 2] = x[1, 1, 1] = -np.inf
    x[:, 2, 2] = -np.inf
    return Call(x, LABELS[:, :2], np.array([5, 4, 5]), np.array([2, 1, 2]), **kwargs)


def unbatched(d: Draw, **kwargs: Any) -> Call:
    """One sequence without the axis of sequences."""
    return Call(logs(d, 6, 4), LABELS[0], np.array(6), np.array(4), **kwargs)


def each(name: str, make: Callable[..., Call], far: bool = False, **kwargs: Any) -> list[Case]:
    """A case for each reduction."""
    c, reason = CTC if far else (None, "")
    options: dict[str, Any] = {"surrogate": LOGITS, "c": c, "reason": reason}
    return [
        Case(f"{name}, {r}", functools.partial(make, reduction=r, **kwargs), **options)
        for r in REDUCTIONS
    ]


ENTRIES: list[Entry] = [
    Op(
        "ctc_loss",
        F.ctc_loss,
        torch.nn.functional.ctc_loss,
        source=GRAVES,
        cases=(
            *each("padded", padded),
            *each("joined", joined),
            *each("blank last", blank_last),
            *each("unbatched", unbatched),
            *each("impossible", impossible),
            *each("impossible, zero_infinity", impossible, zero_infinity=True),
            *each("without labels", without_labels),
            *each("ruled out", ruled_out),
            *each("ruled out, zero_infinity", ruled_out, zero_infinity=True),
            *each("far apart", padded, far=True, scale=30.0),
            *each("nearly uniform", padded, scale=1e-7),
            Case(
                "no more frames than the labels need",
                lambda d: Call(logs(d, 6, 2, 4), LABELS[:2], (5, 6), (4, 4), 0, "none"),
                surrogate=LOGITS,
            ),
            Case(
                "one frame, one label, one sequence",
                lambda d: Call(logs(d, 1, 1, 3), np.array([[2]]), [1], [1]),
                surrogate=LOGITS,
            ),
            Case(
                "labels of width 0",
                lambda d: Call(logs(d, 3, 2, 3), np.zeros((2, 0), int), (3, 2), (0, 0)),
                surrogate=LOGITS,
            ),
            Case(
                "no labels, joined",
                lambda d: Call(logs(d, 3, 2, 3), np.zeros(0, int), (3, 2), (0, 0)),
                surrogate=LOGITS,
            ),
            Case(
                "blank alone",
                lambda d: Call(-d.uniform(0.1, 2, 3, 2, 1), np.zeros(0, int), (3, 2), (0, 0)),
                surrogate=LOGITS,
            ),
            Case(
                "unbatched, labels (1, S), lengths (1,)",
                lambda d: Call(logs(d, 6, 4), LABELS[1:2], (6,), (2,)),
                surrogate=LOGITS,
            ),
            Case(
                "no log probabilities",  # they do not sum to 1
                lambda d: Call(d.normal(6, 3, 4), LABELS, np.full(3, 6), np.array([2, 1, 4])),
                surrogate=LOGITS,
            ),
        ),
    ),
    Layer(
        "CTCLoss",
        nn.CTCLoss,
        torch.nn.CTCLoss,
        source=GRAVES,
        cases=(
            Case("defaults", padded, surrogate=LOGITS),
            Case(
                "blank 4, none",
                lambda d: Call(logs(d, 8, 3, 5), LABELS - 1, np.full(3, 8), np.array([4, 2, 3])),
                init=Call(4, "none"),
                surrogate=LOGITS,
            ),
            Case(
                "zero_infinity, sum",
                impossible,
                init=Call(reduction="sum", zero_infinity=True),
                surrogate=LOGITS,
            ),
        ),
    ),
]

X = np.log(np.full((4, 2, 3), 1 / 3))
Z, FRAMES, COUNTS = np.array([[1, 2], [2, 2]]), np.array([4, 3]), np.array([2, 1])
RIGHT: dict[str, Any] = {
    "log_probs": X,
    "targets": Z,
    "input_lengths": FRAMES,
    "target_lengths": COUNTS,
}
WRONG: dict[str, dict[str, Any]] = {
    "integer log_probs": {"log_probs": np.ones((4, 2, 3), int)},
    "list of log_probs": {"log_probs": [[[0.0]]]},
    "one axis": {"log_probs": X[:, 0, 0]},
    "no frames": {"log_probs": X[:0]},
    "no classes": {"log_probs": X[:, :, :0]},
    "floating targets": {"targets": Z.astype(np.float64)},
    "list of targets": {"targets": [[1, 2], [2, 2]]},
    "three axes of targets": {"targets": Z[None]},
    "number of targets": {"targets": Z[:1]},
    "targets narrower than their lengths": {"targets": Z[:, :1]},
    "too many joined targets": {"targets": Z.ravel()},
    "too few joined targets": {"targets": Z[0]},
    "class too high": {"targets": Z + 1},
    "negative class": {"targets": Z - 2},
    "blank among the targets": {"targets": Z - 1},
    "sequence longer than the frames": {"input_lengths": FRAMES + 1},
    "negative input length": {"input_lengths": FRAMES - 4},
    "number of input lengths": {"input_lengths": FRAMES[:1]},
    "one input length for all": {"input_lengths": np.array(4)},
    "floating input lengths": {"input_lengths": FRAMES.astype(np.float64)},
    "half an input length": {"input_lengths": (4, 2.5)},
    "input length a number": {"input_lengths": 4},
    "negative target length": {"target_lengths": COUNTS - 2},
    "number of target lengths": {"target_lengths": (2,)},
    "floating target lengths": {"target_lengths": COUNTS.astype(np.float32)},
    "blank beyond the classes": {"blank": 3},
    "negative blank": {"blank": -1},
    "half a blank": {"blank": 0.5},
    "unknown reduction": {"reduction": "max"},
    "zero_infinity a word": {"zero_infinity": "yes"},
}
REFUSALS = [
    Refusal(f"ctc_loss: {what}", functools.partial(F.ctc_loss, **{**RIGHT, **wrong}), "ctc_loss")
    for what, wrong in WRONG.items()
]
REFUSALS += [
    Refusal(
        "ctc_loss: no dy for several losses",
        lambda: F.ctc_loss(X, Z, FRAMES, COUNTS, reduction="none")[1](),
        "ctc_loss backward",
    ),
    Refusal("CTCLoss: negative blank", lambda: nn.CTCLoss(-1), "CTCLoss"),
    Refusal("CTCLoss: reduction", lambda: nn.CTCLoss(reduction="max"), "CTCLoss"),
    Refusal("CTCLoss: zero_infinity", lambda: nn.CTCLoss(zero_infinity=unchecked("no")), "CTCLoss"),
    Refusal("CTCLoss: blank", lambda: nn.CTCLoss(3)(X, Z, FRAMES, COUNTS), "ctc_loss"),
]
