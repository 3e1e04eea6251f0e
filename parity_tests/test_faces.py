"""Faces: margins against the angles, triplets against a search, metrics, drawn people."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch

import torch_ref.training
from datasets.faces import class_batches, pairs, synthetic_faces
from parity_tests.harness.check import strict_warnings
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.models import EmbeddingNet
from scratch.nn import functional as F
from scratch.nn import triplet_mining
from scratch.optim import SGD
from scratch.random import Generator
from scratch.training import metrics

# Margins


@pytest.mark.parametrize("margin", [0.0, 0.3, 0.5, 1.2])
def test_the_margin_is_added_to_the_angle(margin: float) -> None:
    """And takes the logit down all the way to a half turn, beyond pi - m too."""
    theta = np.linspace(0, math.pi, 201)
    c = np.stack([np.cos(theta), np.full(201, 0.2)], axis=1)
    y, _ = F.arc_face(c, np.zeros(201, int), margin, 3.0)
    within = theta + margin < math.pi
    np.testing.assert_allclose(y[within, 0], 3 * np.cos(theta + margin)[within], atol=1e-13)
    assert (np.diff(y[:, 0]) < 0).all()
    np.testing.assert_array_equal(y[:, 1], 3.0 * c[:, 1])


def test_easy_margin_ends_at_a_right_angle() -> None:
    c = np.array([[0.1, 0.0], [0.0, 0.5], [-0.3, 0.2]])
    y, _ = F.arc_face(c, np.zeros(3, int), 0.4, 1.0, easy_margin=True)
    assert y[0, 0] == pytest.approx(math.cos(math.acos(0.1) + 0.4))
    np.testing.assert_array_equal(y[1:], c[1:])


@strict_warnings()
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_finite_wherever_the_embedding_points(dtype: Any) -> None:
    """Along its class's direction the cosine's slope is infinite, the embedding's is not."""
    head = nn.ArcFace(3, 2, dtype=dtype, generator=Generator(0))
    w = head.weight.data[0]
    across = np.array([-w[1], w[0], 0], dtype)
    x = np.stack([w, -w, 7 * w, *(w + dtype(10.0**-k) * across for k in range(1, 9))])
    y, backward = head(x, np.zeros(len(x), int))
    dx = backward(np.ones_like(y))
    gradient: Any = head.weight.grad
    assert np.isfinite(y).all() and np.isfinite(dx).all() and np.isfinite(gradient).all()
    assert dx.dtype == y.dtype == dtype
    lengths = np.sqrt((x * x).sum(1))
    bound = 64 * (1 + 1)  # s sin(theta + m) of the one class, s sin(theta) of the other
    assert (np.sqrt((dx * dx).sum(1)) * lengths < 1.01 * bound).all()


def test_lengths_do_not_matter() -> None:
    """Neither the embedding's nor the weight's: so their gradients point across."""
    head = nn.CosFace(4, 3, dtype=np.float64, generator=Generator(1))
    x = np.random.default_rng(0).normal(size=(5, 4))
    y, backward = head(x, np.arange(5) % 3)
    dx = backward(np.random.default_rng(1).normal(size=y.shape))
    np.testing.assert_allclose((dx * x).sum(1), 0, atol=1e-12)
    gradient: Any = head.weight.grad
    np.testing.assert_allclose((gradient * head.weight.data).sum(1), 0, atol=1e-12)
    head.weight.data[:] *= 9
    np.testing.assert_allclose(head(0.01 * x, np.arange(5) % 3)[0], y, rtol=1e-13)


def test_without_a_target_there_is_no_margin() -> None:
    head = nn.ArcFace(3, 4, margin=0.7, scale=2.0, dtype=np.float64, generator=Generator(2))
    x = np.random.default_rng(2).normal(size=(6, 3))
    plain, _ = head(x)
    moved, _ = head(x, np.zeros(6, int))
    assert np.abs(plain).max() <= 2
    assert (moved[:, 0] < plain[:, 0]).all()
    np.testing.assert_array_equal(moved[:, 1:], plain[:, 1:])


# Triplets


def searched(x: Array, t: Array, kind: str) -> list[tuple[int, int, int]]:
    """The triplets as the papers define them, row by row."""
    d = ((x[:, None] - x) ** 2).sum(-1)
    found, n = [], len(x)
    for a in range(n):
        others = [k for k in range(n) if t[k] != t[a]]
        own = [k for k in range(n) if t[k] == t[a] and k != a]
        if not others or not own:
            continue
        if kind == "hard":
            found.append((a, max(own, key=d[a].item), min(others, key=d[a].item)))
            continue
        for p in own:
            farther = [k for k in others if d[a, k] > d[a, p]]
            if farther:
                found.append((a, p, min(farther, key=d[a].item)))
            else:
                found.append((a, p, max(others, key=d[a].item)))
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["hard", "semi"])
def test_triplets_are_those_of_a_search(kind: str, dtype: Any) -> None:
    mine = {"hard": "batch_hard_triplets", "semi": "semi_hard_triplets"}[kind]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, t = rng.normal(size=(20, 2)).astype(dtype), rng.integers(0, 6, 20)
        rows = getattr(triplet_mining, mine)(x, t)
        assert list(zip(*(r.tolist() for r in rows), strict=True)) == searched(x, t, kind)
        a, p, n = rows
        assert (a != p).all() and (t[a] == t[p]).all() and (t[a] != t[n]).all()


def test_losses_are_those_of_the_triplets() -> None:
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(12, 3)), np.arange(12) % 4
    for name, squared in (("semi_hard", True), ("batch_hard", False)):
        a, p, n = getattr(triplet_mining, f"{name}_triplets")(x, t)
        loss, _ = getattr(F, f"{name}_triplet_loss")(x, t, margin=0.5)
        near, far = (((x[a] - x[b]) ** 2).sum(1) for b in (p, n))
        if not squared:
            near, far = np.sqrt(near), np.sqrt(far)
        assert loss == pytest.approx(np.maximum(0.5 + near - far, 0).mean(), rel=1e-5)


def test_a_batch_without_triplets_teaches_nothing() -> None:
    for loss in (F.semi_hard_triplet_loss, F.batch_hard_triplet_loss):
        for t in (np.zeros(3, int), np.arange(3)):
            value, backward = loss(np.ones((3, 2)), t)
            assert value == 0
            assert not backward().any()
        value, backward = loss(np.ones((0, 2)), np.zeros(0, int))
        assert value == 0
        assert backward().shape == (0, 2)


# The network


def test_embeddings_have_length_1() -> None:
    model = EmbeddingNet(1, 8, 5, 3, dtype=np.float64, generator=Generator(0))
    x = np.random.default_rng(0).random((6, 1, 8, 8))
    f, backward = model(x)
    np.testing.assert_allclose((f * f).sum(1), 1, rtol=1e-14)
    assert backward(np.ones_like(f), needs_input_grad=False) is None
    SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="weight"):
        backward(np.ones_like(f))


# Metrics

RNG = np.random.default_rng(8)
SAME = RNG.integers(0, 2, 300)
SCORES: dict[str, Array] = {
    "drawn": RNG.normal(size=300) + SAME,
    "ties": np.round(RNG.normal(size=300) + SAME, 1),
    "float32": (RNG.normal(size=300) + SAME).astype(np.float32),
    "perfect": 2.0 * SAME + RNG.random(300),
    "reversed": -2.0 * SAME + RNG.random(300),
    "all equal": np.zeros(300),
}


def both(name: str, output: Array, target: Array, *args: Any) -> Any:
    """Scratch's, once torch's has been found equal within rounding."""
    ours = getattr(metrics, name)(output, target, *args)
    tensors = torch.from_numpy(output), torch.from_numpy(target)
    theirs = getattr(torch_ref.training.metrics, name)(*tensors, *args)
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-14, atol=1e-15)
    return ours


@strict_warnings()
@pytest.mark.parametrize("scores", SCORES)
def test_verification_metrics(scores: str) -> None:
    """Both packages, against scikit-learn's curve."""
    y = SCORES[scores]
    fpr, tpr, thresholds = sklearn.metrics.roc_curve(SAME, y, drop_intermediate=False)
    for found, expected in zip(both_curves(y), (fpr, tpr, thresholds), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    for far in (0.0, 0.01, 0.1, 1.0):
        assert both("tar_at_far", y, SAME, far) == tpr[fpr <= far].max()
    eer = both("equal_error_rate", y, SAME)
    assert eer == pytest.approx(np.interp(0, fpr + tpr - 1, fpr), rel=1e-13, abs=1e-15)
    accuracy = metrics.accuracy(np.asarray(y - both("best_threshold", y, SAME)), SAME)
    candidates = [*y, y.max() + 1, y.min() - 1]
    assert accuracy == max(((y > c) == SAME).mean() for c in candidates)


def both_curves(y: Array) -> tuple[Array, Array, Array]:
    """FAR, TAR and thresholds of scratch, once torch's have been found equal."""
    ours = metrics.roc_curve(y, SAME)
    theirs = torch_ref.training.metrics.roc_curve(torch.from_numpy(y), torch.from_numpy(SAME))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-14)
    return ours


def test_equal_error_rates_that_are_known() -> None:
    assert both("equal_error_rate", SCORES["perfect"], SAME) == 0
    assert both("equal_error_rate", SCORES["reversed"], SAME) == 1
    assert both("equal_error_rate", SCORES["all equal"], SAME) == 0.5
    scores, same = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0])
    assert both("equal_error_rate", scores, same) == 0.5


Y, T = np.array([0.5, 0.2, 0.9]), np.array([1, 0, 1])


@pytest.mark.parametrize("name", ["roc_curve", "best_threshold", "tar_at_far", "equal_error_rate"])
@pytest.mark.parametrize(
    "arguments",
    [(Y, T[:2]), (Y[:, None], T), (Y, T + 1), (Y, T * 0), (Y * np.nan, T), (T, T), (Y[:0], T[:0])],
)
def test_verification_metrics_refuse(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
        getattr(metrics, name)(*arguments)


def test_a_rate_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"^tar_at_far: expected .*, got "):
        metrics.tar_at_far(Y, T, 1.5)


# The data


def test_drawn_people() -> None:
    """The same twice, others for another seed; a person's views differ."""
    faces = synthetic_faces(4, 3, 12, seed=5)
    assert faces.x.shape == (12, 1, 12, 12)
    assert faces.x.dtype == np.float32
    assert faces.x.min() >= 0 and faces.x.max() <= 1
    assert faces.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(faces.x, synthetic_faces(4, 3, 12, seed=5).x)
    assert not np.array_equal(faces.x, synthetic_faces(4, 3, 12, seed=6).x)
    assert len(np.unique(faces.x.reshape(12, -1), axis=0)) == 12


def test_people_differ_but_views_differ_more() -> None:
    """Means over many views are apart, though by less than a single view is from its mean."""
    faces = synthetic_faces(2, 400, 12, seed=1)
    views = faces.x.reshape(2, 400, -1).astype(np.float64)
    apart = np.abs(views[0].mean(0) - views[1].mean(0))
    noise = np.sqrt(views.var(1).sum(0) / 400)
    assert (apart > 5 * noise).any()
    assert views.std(1).mean() > 2 * apart.mean()


def test_pairs_are_each_once() -> None:
    y = np.array([3, 5, 3, 3])
    first, second, same = pairs(y)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)
    ]  # fmt: skip
    assert same.tolist() == [False, True, True, False, False, True]
    assert len(pairs(y[:1])[0]) == 0


def test_class_batches() -> None:
    y = np.repeat([4, 7, 9], 5)
    drawn = list(class_batches(y, 2, 3, 6, seed=1))
    assert len(drawn) == 6
    for rows in drawn:
        assert len(set(rows.tolist())) == 6
        assert sorted(np.unique(y[rows], return_counts=True)[1].tolist()) == [3, 3]
    np.testing.assert_array_equal(drawn, list(class_batches(y, 2, 3, 6, seed=1)))
    assert not np.array_equal(drawn, list(class_batches(y, 2, 3, 6, seed=2)))


REFUSED: dict[str, Callable[[], Any]] = {
    "synthetic_faces": lambda: synthetic_faces(0, 2),
    "synthetic_faces ": lambda: synthetic_faces(2, 2, 4),
    "pairs": lambda: pairs(np.zeros(3)),
    "class_batches": lambda: class_batches(np.array([0, 0, 1]), 2, 2, 1),
    "class_batches ": lambda: class_batches(np.array([0, 0, 1]), 3, 1, 1),
    "class_batches  ": lambda: class_batches(np.array([0, 0, 1]), 1, 0, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_refuse(name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name.strip()}: expected .*, got "):
        REFUSED[name]()
