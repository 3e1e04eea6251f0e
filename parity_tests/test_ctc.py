"""CTC against all of its alignments, numbers of more digits, and differences of the logits."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from scratch.check import Array
from scratch.gradcheck import gradcheck
from scratch.nn import functional as F
from scratch.nn.op import Backward


def read(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """Repeats merged, then blanks dropped."""
    merged = [c for c, _ in itertools.groupby(path)]
    return tuple(c for c in merged if c != blank)


def by_enumeration(x: Array, z: tuple[int, ...], blank: int) -> tuple[float, Array]:
    """-log of the summed probabilities of the paths that read z, and e^x less the occupancy."""
    frames, classes = x.shape
    total, occupancy = 0.0, np.zeros(x.shape)
    for path in itertools.product(range(classes), repeat=frames):
        if read(path, blank) == z:
            p = math.exp(x[np.arange(frames), list(path)].sum())
            total += p
            occupancy[np.arange(frames), list(path)] += p
    if total == 0:
        return math.inf, np.full(x.shape, np.nan)
    return -math.log(total), np.exp(x) - occupancy / total


def labellings(classes: int, most: int, blank: int) -> list[tuple[int, ...]]:
    """All label sequences up to a length."""
    letters = [c for c in range(classes) if c != blank]
    lengths = range(most + 1)
    return [z for n in lengths for z in itertools.product(letters, repeat=n)]


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
@pytest.mark.parametrize("blank", [0, 1, 2])
def test_every_labelling_against_every_path(frames: int, blank: int) -> None:
    """All labellings of up to 4 labels in one batch: 31 of them, some impossible."""
    classes = 3
    logits = np.random.default_rng(frames).normal(size=(frames, classes))
    x = F.log_softmax(logits, 1)[0]
    zs = labellings(classes, 4, blank)
    n = len(zs)
    joined = np.array([c for z in zs for c in z])
    counts = tuple(map(len, zs))
    batch = np.repeat(x[:, None], n, axis=1)
    losses, backward = F.ctc_loss(batch, joined, (frames,) * n, counts, blank, "none")
    dx = backward(np.ones(n))
    for i, z in enumerate(zs):
        loss, gradient = by_enumeration(x, z, blank)
        np.testing.assert_allclose(losses[i], loss, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(dx[:, i], gradient, rtol=0, atol=1e-14)
    assert np.isinf(losses).any()


def test_probabilities_of_all_labellings_sum_to_one() -> None:
    x, _ = F.log_softmax(np.random.default_rng(0).normal(size=(4, 3)), 1)
    zs = labellings(3, 4, 0)
    joined, counts = np.array([c for z in zs for c in z]), tuple(map(len, zs))
    batch = np.repeat(x[:, None], len(zs), axis=1)
    losses, _ = F.ctc_loss(batch, joined, (4,) * len(zs), counts, reduction="none")
    np.testing.assert_allclose(np.exp(-losses).sum(), 1, rtol=1e-14)


def of_logits(logits: Array, *args: Any, **kwargs: Any) -> tuple[Array, Backward]:
    """The loss behind log_softmax: there the gradient is the derivative."""
    x, softmax_back = F.log_softmax(logits, -1)
    loss, loss_back = F.ctc_loss(x, *args, **kwargs)
    return loss, lambda dy: softmax_back(loss_back(dy))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_differences_of_the_logits(reduction: str) -> None:
    logits = np.random.default_rng(0).normal(size=(7, 3, 4))
    z = np.array([[1, 2, 2], [3, 3, 0], [2, 0, 0]])
    frames, counts = np.array([7, 6, 4]), np.array([3, 2, 0])
    report = gradcheck(of_logits, logits, z, frames, counts, reduction=reduction, entries="all")
    assert report.passed, report


def in_more_digits(x: Array, z: Array) -> tuple[Any, Any]:
    """Loss and gradient state by state in long double, blank 0."""
    x = x.astype(np.longdouble)
    states = [0, *(q for label in z.tolist() for q in (label, 0))]
    n = len(states)
    a = np.full((len(x), n), -np.inf, np.longdouble)
    b = a.copy()
    a[0, :2] = x[0, states[:2]]
    b[-1, -2:] = 0
    skips = [s > 1 and states[s] not in (0, states[s - 2]) for s in range(n)]
    for t in range(1, len(x)):
        for s in range(n):
            ways = [
                a[t - 1, s],
                *a[t - 1, s - 1 : s][: s > 0],
                *a[t - 1, s - 2 : s - 1][: skips[s]],
            ]
            a[t, s] = np.logaddexp.reduce(ways) + x[t, states[s]]
    for t in reversed(range(len(x) - 1)):
        for s in range(n):
            ends = [
                s,
                *([s + 1] if s + 1 < n else []),
                *([s + 2] if s + 2 < n and skips[s + 2] else []),
            ]
            b[t, s] = np.logaddexp.reduce([b[t + 1, r] + x[t + 1, states[r]] for r in ends])
    loss = -np.logaddexp(a[-1, -1], a[-1, -2])
    gradient = np.exp(x)
    for s, q in enumerate(states):
        gradient[:, q] -= np.exp(a[:, s] + b[:, s] + loss)
    return loss, gradient


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_does_not_grow_with_the_loss(dtype: Any) -> None:
    """Ours stays within a few eps of the truth; torch loses as many as the loss is large."""
    rng = np.random.default_rng(0)
    x = F.log_softmax(rng.normal(size=(100, 4)), 1)[0].astype(dtype)
    z = rng.integers(1, 4, 30)
    ours, backward = F.ctc_loss(x, z, (100,), (30,), reduction="sum")
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    lengths = torch.tensor([100]), torch.tensor([30])
    theirs = torch.nn.functional.ctc_loss(leaf, torch.from_numpy(z), *lengths, reduction="sum")
    (torch_gradient,) = torch.autograd.grad(theirs, leaf)
    loss, gradient = in_more_digits(x, z)
    unit = float(np.finfo(dtype).eps * np.abs(gradient).max())
    error = float(np.abs(backward() - gradient).max()) / unit
    torch_error = float(np.abs(torch_gradient.numpy() - gradient).max()) / unit
    assert abs(float(ours - loss)) < 4 * np.finfo(dtype).eps * loss
    assert error < 8 < 64 < torch_error


def test_a_long_sequence_does_not_underflow() -> None:
    """2000 frames: the probability of the labels is e^-3000 or so."""
    rng = np.random.default_rng(0)
    x = F.log_softmax(rng.normal(size=(2000, 2, 6)), 2)[0].astype(np.float32)
    z = rng.integers(1, 6, (2, 50))
    loss, backward = F.ctc_loss(x, z, (2000, 1900), (50, 40), reduction="none")
    dx = backward(np.ones(2, np.float32))
    assert np.all(loss > 1000)
    assert np.isfinite(dx).all()
    np.testing.assert_allclose(dx.sum(2), 0, atol=1e-5)  # probabilities less probabilities
    assert not dx[1900:, 1].any()
