"""Connectionist temporal classification.                                      Graves et al. 2006

A label sequence z is read off a path over frames by merging repeats and then dropping blanks; the
loss is -log of the probability of all paths that read z. The states are z with a blank before,
between and after its labels: s = 0 .. 2S, the even ones blank, q_s the class of s.

forward    a_t(s) = x_t(q_s) + log(e^a_t-1(s) + e^a_t-1(s-1) [+ e^a_t-1(s-2)])
           l = -log(e^a_T(2S) + e^a_T(2S-1))        a_0: in front of the first state
           with the skip from s-2 where q_s is a label other than q_s-2: a repeated label needs the
           blank between
backward   b_t(s) = the same sum over the states after s, without frame t itself
           g_t(s) = e^(a_t(s) + b_t(s) + l)         probability to be in s at t, given z
           dx_t(c) = dl (e^x_t(c) - sum_{q_s = c} g_t(s))
shapes     x (T, N, C), log probabilities    z (N, S)    a, b, g (T, N, 2S + 1)
rounding   a grows with the frames, its differences within a frame do not: the largest of each
           frame is taken off and added up apart, and the sum of g is made 1. So the gradient is
           as exact after 1000 frames as after one; torch's loses as many digits as l has.
torch      dx is not the derivative by x, which has no e^x: it is that by the logits, if x is their
           log_softmax. Behind log_softmax both are the same: its backward takes e^x times the
           sum over classes off, which is -1 for -g and 0 for e^x - g.
           'mean' divides each loss by the number of its labels (at least 1) before it averages.
           A sequence that no path reads costs infinity, with NaN for a gradient; zero_infinity
           makes both 0. At log probability -inf the gradient is NaN, as torch divides by 0 there.
           A label that is the blank, or no class, is accepted by torch and refused here.
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import Loss, quiet, reduced, resolve

Lengths = Array | tuple[int, ...] | list[int]


@op
@quiet
def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> tuple[Array, Backward]:
    """-log of the probability of all paths over the frames that read the labels.

    Args:
        log_probs: x (T, N, C) or (T, C), log probabilities (of log_softmax) by frame.
        targets: labels z (N, S), of which what is behind a length is not read, or all of them one
            after the other (sum of target_lengths,).
        input_lengths: frames of each sequence, (N,) or () integers in [0, T], a tuple or list too.
        target_lengths: labels of each sequence, likewise.
        blank: class that stands for no label.
        reduction: 'none', 'mean' (over the batch, of the losses by label) or 'sum'.
        zero_infinity: whether sequences that no path reads cost 0 instead of infinity.

    Returns:
        The loss, () or (N,), and its backward: dy -> dlog_probs; see above what that is.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a length or label is out of range or an option does
            not exist.

    Source: Graves et al. 2006, "Connectionist temporal classification: labelling unsegmented
    sequence data with recurrent neural networks".
    """
    x = check.floating("ctc_loss", "log_probs", log_probs)
    if x.ndim not in (2, 3) or x.size == 0:
        check.refuse("ctc_loss", "log_probs of shape (T, N, C) or (T, C), not empty", x.shape)
    batched = x.ndim == 3
    x = x if batched else x[:, None]
    frames, batch, classes = x.shape
    blank = check.size("ctc_loss", "blank", blank)
    if blank >= classes:
        check.refuse("ctc_loss", f"blank in [0, {classes})", blank)
    reduction = resolve("ctc_loss", reduction)
    check.option("ctc_loss", "zero_infinity", zero_infinity, (True, False))
    lengths = _lengths("input_lengths", input_lengths, batch, frames)
    counts = _lengths("target_lengths", target_lengths, batch)
    states = np.full((batch, 2 * counts.max() + 1), blank)
    states[:, 1::2] = _padded(targets, counts, classes, blank)  # (N, S)

    jump = np.full((batch, states.shape[1] + 2), -np.inf, x.dtype)  # log of 1 where s-2 leads to s
    jump[:, 2:-2][states[:, 2:] != states[:, :-2]] = 0.0  # false where both are blanks
    jump[:, 1:2] = 0.0
    emitted = np.take_along_axis(x, states[None], axis=2)  # (T, N, 2S + 1)
    # Two more columns in front: the path starts in state -1 and may skip to the first label.
    a = np.full((frames + 1, batch, states.shape[1] + 2), -np.inf, x.dtype)
    a[0, :, 1] = 0.0
    tops = np.empty((frames, batch), x.dtype)
    for t in range(frames):
        before = a[t]
        now = _log_sum(before[:, 2:], before[:, 1:-1], before[:, :-2] + jump[:, :-2])
        a[t + 1, :, 2:], tops[t] = _lowered(now + emitted[t])
    counted = np.arange(frames)[:, None] < lengths  # (T, N)
    ends = 2 * counts[:, None] + [2, 1]  # of the last blank and the last label
    last = np.take_along_axis(a[lengths, np.arange(batch)], ends, axis=1)
    total = np.where(counted, tops, 0.0).sum(0, dtype=np.float64)
    loss = -(total + np.logaddexp(last[:, 0], last[:, 1])).astype(x.dtype)
    impossible = loss == np.inf
    if zero_infinity:
        loss = np.where(impossible, 0.0, loss)
    share = np.maximum(counts, 1).astype(x.dtype) if reduction == "mean" else 1.0
    y, reduced_back = reduced(loss / share, reduction)
    del emitted

    @quiet
    def backward(dy: Array) -> Array:
        width = states.shape[1]
        emitted = np.take_along_axis(x, states[None], axis=2)
        end = np.full((batch, width + 2), -np.inf, x.dtype)
        np.put_along_axis(end, ends, x.dtype.type(0), axis=1)
        b = np.full((batch, width), -np.inf, x.dtype)
        g = np.empty((frames, batch, width), x.dtype)
        after = np.full((batch, width + 2), -np.inf, x.dtype)  # two more columns behind
        for t in reversed(range(frames)):
            b = np.where((lengths == t + 1)[:, None], end[:, 2:], b)
            g[t] = np.exp(_lowered(a[t + 1, :, 2:] + b)[0])
            after[:, :-2] = b + emitted[t]
            b, _ = _lowered(_log_sum(after[:, :-2], after[:, 1:-1], after[:, 2:] + jump[:, 2:]))
        g /= g.sum(2, keepdims=True)
        cells = np.arange(frames * batch).reshape(frames, batch, 1) * classes + states
        read = np.bincount(cells.ravel(), g.ravel(), minlength=x.size).reshape(x.shape)
        difference = np.exp(x) - read.astype(x.dtype)
        difference[np.isneginf(x)] = np.nan
        dloss = reduced_back(dy) / share
        dloss = np.where(np.isfinite(loss), dloss, np.nan)
        moves = counted & ~impossible if zero_infinity else counted
        dx = np.where(moves[:, :, None], dloss[:, None] * difference, 0.0)
        return dx if batched else dx[:, 0]

    return (y if batched else y.reshape(())), backward


def _log_sum(stay: Array, step: Array, skip: Array) -> Array:
    """log(e^stay + e^step + e^skip), -inf where all three are."""
    top = np.maximum(np.maximum(stay, step), skip)
    np.maximum(top, _lowest(top), out=top)
    total = np.exp(stay - top)
    total += np.exp(step - top)
    total += np.exp(skip - top)
    top += np.log(total)
    return top


def _lowered(a: Array) -> tuple[Array, Array]:
    """`a` (N, S) less the largest of each row, and those."""
    top = np.maximum(a.max(1), _lowest(a))
    return a - top[:, None], top


def _lowest(a: Array) -> float:
    """What stands in for a largest number of -inf, as -inf - -inf would be NaN."""
    return float(np.finfo(a.dtype).min)


def _lengths(name: str, value: object, batch: int, high: int | None = None) -> Array:
    """One length for each sequence as int64."""
    if isinstance(value, tuple | list):
        value = np.array([check.size("ctc_loss", f"every entry of {name}", n) for n in value], int)
    limit = np.iinfo(np.int64).max if high is None else high + 1
    lengths = check.integer("ctc_loss", name, value, 0, limit).astype(np.int64)
    if lengths.shape != (batch,) and not (batch == 1 and lengths.shape == ()):
        check.refuse("ctc_loss", f"{name} of shape ({batch},)", lengths.shape)
    return lengths.reshape(batch)


def _padded(targets: object, counts: Array, classes: int, blank: int) -> Array:
    """The labels (N, S), blank behind each sequence's own; only those are looked at."""
    if not isinstance(targets, np.ndarray) or targets.dtype.kind not in "iu":
        expected = "targets to be an integer array"
        check.refuse("ctc_loss", expected, check.describe(targets), TypeError)
    own = np.arange(counts.max()) < counts[:, None]
    if targets.ndim == 1:
        check.shape("ctc_loss", "targets", targets, (int(counts.sum()),))
        given = targets
    elif targets.ndim != 2 or len(targets) != len(own) or targets.shape[1] < own.shape[1]:
        expected = f"targets of shape ({len(own)}, S) with S >= {own.shape[1]}, or 1-d"
        check.refuse("ctc_loss", expected, targets.shape)
    else:
        given = targets[:, : own.shape[1]][own]
    check.integer("ctc_loss", "targets", given, 0, classes)
    if np.any(given == blank):
        check.refuse("ctc_loss", "targets without the blank", blank)
    labels = np.full(own.shape, blank)
    labels[own] = given
    return labels


class CTCLoss(Loss):
    """`ctc_loss` as a module.

    Args:
        blank: class that stands for no label.
        reduction: 'none', 'mean' or 'sum'.
        zero_infinity: whether sequences that no path reads cost 0 instead of infinity.

    Shape:
        (T, N, C) or (T, C), labels (N, S) or 1-d, lengths (N,) to () or (N,).
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = check.size("CTCLoss", "blank", blank)
        check.option("CTCLoss", "zero_infinity", zero_infinity, (True, False))
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Array,
        targets: Array,
        input_lengths: Lengths,
        target_lengths: Lengths,
    ) -> tuple[Array, Backward]:
        """The loss of the labels."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
