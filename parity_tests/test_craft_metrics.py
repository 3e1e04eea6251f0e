"""Metrics of classes: both packages the same, and as scikit-learn has them."""

import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

import torch_ref.training
from parity_tests.harness.check import strict_warnings
from parity_tests.harness.draw import Array
from scratch.training import metrics

RNG = np.random.default_rng(8)
SIX = RNG.standard_normal((60, 6)), RNG.integers(0, 4, 60)  # class 4 is named, and never there
SIX[0][:, 3] = -9.0  # class 3 is there, and never named
SIX[0][:, 5] = -9.0  # class 5 is neither
TWO = RNG.standard_normal((40, 2)), RNG.integers(0, 2, 40)
ONE = RNG.standard_normal((40, 1)), RNG.integers(0, 2, (40, 1)).astype(float)
BARE = ONE[0][:, 0].astype(np.float32), ONE[1][:, 0].astype(np.float32)
SETS: dict[str, tuple[Array, Array]] = {"six": SIX, "two": TWO, "one": ONE, "bare": BARE}


def both(name: str, output: Array, target: Array, *args: Any) -> Any:
    """Scratch's number, once torch's has been found equal within rounding."""
    ours = getattr(metrics, name)(output, target, *args)
    given_torch = torch.from_numpy(output), torch.from_numpy(target)
    theirs = getattr(torch_ref.training.metrics, name)(*given_torch, *args)
    if name != "confusion_matrix":
        assert type(ours) is type(theirs) is float
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-14, atol=1e-15)
    return ours


def named(output: Array, target: Array) -> tuple[Array, Array]:
    """What scikit-learn takes: the target's classes and those that were named."""
    if output.shape == target.shape:
        return target.ravel().astype(int), (output > 0).ravel().astype(int)
    return target, output.argmax(1)


@strict_warnings()
@pytest.mark.parametrize("data", SETS)
@pytest.mark.parametrize("average", ["binary", "macro", "micro", "weighted"])
def test_precision_recall_f1(data: str, average: str) -> None:
    output, target = SETS[data]
    if average == "binary" and data == "six":
        tensors = torch.from_numpy(output), torch.from_numpy(target)
        with pytest.raises(ValueError, match=r"^f1: expected .*two classes"):
            metrics.f1(output, target, average)
        with pytest.raises(ValueError, match=r"^expected .*two classes, got 'binary' of 6"):
            torch_ref.training.metrics.f1(*tensors, average)
        return
    t, y = named(output, target)
    for name in ("precision", "recall", "f1"):
        judge = getattr(sklearn.metrics, f"{name}_score")
        expected = judge(t, y, average=average, zero_division=0)
        assert both(name, output, target, average) == pytest.approx(expected, rel=1e-14), name


@pytest.mark.parametrize("data", SETS)
def test_confusion_matrix(data: str) -> None:
    output, target = SETS[data]
    t, y = named(output, target)
    labels = range(6 if data == "six" else 2)
    expected = sklearn.metrics.confusion_matrix(t, y, labels=labels)
    np.testing.assert_array_equal(both("confusion_matrix", output, target), expected)
    assert both("accuracy", output, target) == np.trace(expected) / expected.sum()


@given(
    rows=st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=2, max_size=30),
    shift=st.floats(-3, 3),
)
def test_roc_auc_with_ties(rows: list[tuple[int, bool]], shift: float) -> None:
    score = np.array([float(s) for s, _ in rows]) + shift
    target = np.array([float(p) for _, p in rows])
    if len(set(target)) < 2:
        return
    expected = sklearn.metrics.roc_auc_score(target, score)
    assert both("roc_auc", score, target) == pytest.approx(expected, rel=1e-13, abs=1e-15)
    pairs = np.sign(score[target == 1][:, None] - score[target == 0])
    assert expected == pytest.approx((pairs.mean() + 1) / 2, rel=1e-13, abs=1e-15)
    logits = np.stack([0.3 - score, 0.3 + 0 * score], 1)
    assert both("roc_auc", logits, target.astype(int)) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_roc_auc_of_classes(average: str) -> None:
    """Without ties, which softmax's rounding would decide: rows with the same logits reordered."""
    output, target = RNG.standard_normal((80, 4)), RNG.integers(0, 4, 80)
    shares = np.exp(output) / np.exp(output).sum(1, keepdims=True)
    expected = sklearn.metrics.roc_auc_score(target, shares, multi_class="ovr", average=average)
    assert both("roc_auc", output, target, average) == pytest.approx(expected, rel=1e-12)


def test_roc_auc_of_sure_logits() -> None:
    """Softmax would round both to 1 and call it chance."""
    logits, target = np.array([[0.0, 50.0], [0.0, 60.0]]), np.array([0, 1])
    assert both("roc_auc", logits, target) == 1.0


def test_perplexity() -> None:
    output, target = RNG.standard_normal((7, 5, 3)), RNG.integers(0, 5, (7, 3))
    rows = output.transpose(0, 2, 1).reshape(-1, 5)
    shares = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    loss = sklearn.metrics.log_loss(target.ravel(), shares, labels=range(5))
    assert both("perplexity", output, target) == pytest.approx(math.exp(loss), rel=1e-13)
    assert both("perplexity", np.zeros((4, 9)), np.arange(4)) == pytest.approx(9, rel=1e-15)
    held = np.where(RNG.random(target.shape) < 0.4, -100, target)
    kept = (held != -100).ravel()
    again = both("perplexity", rows[kept], target.ravel()[kept])
    assert both("perplexity", output, held) == pytest.approx(again, rel=1e-13)
    assert math.isnan(both("perplexity", output, np.full_like(target, -100)))
    assert both("perplexity", np.array([[0.0, 5000.0]]), np.array([0])) == math.inf


def test_no_rows() -> None:
    empty = np.zeros((0, 3)), np.zeros(0, int)
    assert all(math.isnan(both(n, *empty)) for n in ("precision", "recall", "f1", "accuracy"))
    assert not both("confusion_matrix", *empty).any()


@pytest.mark.parametrize(
    ("name", "output", "target", "args"),
    [
        ("confusion_matrix", SIX[0], SIX[1] + 3, ()),
        ("confusion_matrix", ONE[0], ONE[1] + 1, ()),
        ("precision", SIX[0], SIX[1], ("mean",)),
        ("precision", SIX[0], SIX[1][:-1], ()),
        ("recall", SIX[0], SIX[1], ("binary",)),
        ("recall", SIX[0], SIX[1], (20,)),  # which was recall@20
        ("f1", SIX[0][:, 0], SIX[1], ()),
        ("roc_auc", *SIX, ()),
        ("roc_auc", *TWO, ("micro",)),
        ("roc_auc", TWO[0] * np.nan, TWO[1], ()),
        ("perplexity", SIX[0], SIX[1] + 3, ()),
        ("perplexity", SIX[0], SIX[1].astype(float), ()),
        ("perplexity", SIX[0][:, 0], SIX[1], ()),
    ],
)
def test_refuses(name: str, output: Array, target: Array, args: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
        getattr(metrics, name)(output, target, *args)
