"""Sessions, their batches, losses of few digits and of many, and a network that must not mix them.

The shop is synthetic: what it says of itself (probabilities, the best there is) is held against
what it draws. Batches are held against the paper's procedure, step by step, and GRU4Rec over slots
against every session run by itself.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import scratch.training.metrics
import torch_ref.training.metrics
from datasets.sessions import Sessions, SessionSource, session_parallel
from scratch.check import Array
from scratch.models import GRU4Rec
from scratch.nn import functional as F
from scratch.optim import SGD
from scratch.random import Generator

SHOP = SessionSource(categories=4, items=5, kinds=3, noise=0.2, mean_length=4.0, seed=1)


def given(*rows: list[int]) -> Sessions:
    """Sessions of these items."""
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], np.int64)
    return Sessions(items, np.concatenate([[0], np.cumsum(lengths)]))


# The source


def test_routes_part_at_every_category() -> None:
    """So that the current category alone never says where the session goes."""
    for c in range(SHOP.categories):
        assert len(set(SHOP.routes[:, c])) == SHOP.kinds
        assert c not in SHOP.routes[:, c]


def test_probabilities_are_those_of_the_draws() -> None:
    """Frequencies of 200,000 sessions within five standard deviations, both orders."""
    first, now, after = SHOP.draw(200_000, 3).transitions()
    v = SHOP.num_items
    for states, count, p in (
        (SHOP.kind[first] * SHOP.categories + SHOP.category[now], 12, None),
        (now, v, SHOP.order_one()),
    ):
        found = np.zeros((count, v))
        np.add.at(found, (states, after), 1)
        n = found.sum(1, keepdims=True)
        if p is None:
            some = [np.flatnonzero(states == s)[0] for s in range(count)]
            p = SHOP.probabilities(first[some], now[some])
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-13)
        assert np.max(np.abs(found / n - p) / np.sqrt(p * (1 - p) / n)) < 5


def test_lengths_and_entrance_are_as_announced() -> None:
    sessions = SHOP.draw(100_000, 4)
    lengths = np.diff(sessions.offsets)
    assert lengths.min() == 2
    assert abs(lengths.mean() - 4.0) < 0.02
    first = sessions.items[sessions.offsets[:-1]]
    p = SHOP.entrance[SHOP.category] * SHOP.popularity
    assert abs(p.sum() - 1) < 1e-13
    n = len(sessions)
    assert np.max(np.abs(np.bincount(first) / n - p) / np.sqrt(p * (1 - p) / n)) < 5


def test_nothing_of_order_one_comes_near_the_best() -> None:
    first, now, after = SessionSource().draw(2000, 5).transitions()
    shop = SessionSource()
    best = scratch.training.metrics.recall_at_k(shop.probabilities(first, now), after)
    order_one = scratch.training.metrics.recall_at_k(shop.order_one()[now], after)
    assert best > order_one + 0.2


def test_seeds() -> None:
    """The same twice, other ones for another seed; the rules do not depend on the draw's."""
    a, b, c = SHOP.draw(50, 1), SHOP.draw(50, 1), SHOP.draw(50, 2)
    np.testing.assert_array_equal(a.items, b.items)
    assert not np.array_equal(a.items[:100], c.items[:100])
    assert not np.array_equal(SessionSource(seed=0).routes, SessionSource(seed=1).routes)
    assert len(SHOP.draw(0)) == 0
    np.testing.assert_array_equal(a[-1], a.items[a.offsets[49] :])


# Batches


def procedure(sessions: Sessions, size: int, order: Array) -> list[list[tuple[int, int, bool]]]:
    """The paper's: each slot steps through its session; one that is over is replaced."""
    queue = [sessions[s].tolist() for s in order]
    slots: list[list[int]] = [queue.pop(0) for _ in range(size)]
    fresh = [True] * size
    steps: list[list[tuple[int, int, bool]]] = []
    while True:
        for i, left in enumerate(slots):
            if len(left) < 2:
                if not queue:
                    return steps
                slots[i], fresh[i] = queue.pop(0), True
        steps.append([(s[0], s[1], f) for s, f in zip(slots, fresh, strict=True)])
        slots, fresh = [s[1:] for s in slots], [False] * size


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batches_are_the_papers(size: int) -> None:
    sessions = SHOP.draw(40, 6)
    order = np.random.default_rng(0).permutation(40)
    ids, target, start = session_parallel(sessions, size, order)
    found = np.stack([ids, target, start], 2)
    np.testing.assert_array_equal(found, np.array(procedure(sessions, size, order)))


def test_each_transition_once() -> None:
    """All but those of the sessions that are running when a slot stays empty."""
    sessions = given([0, 1, 2], [3, 4], [5, 6, 7, 8], [9, 10], [11, 12, 13])
    ids, target, start = session_parallel(sessions, 2, np.arange(5))
    assert ids.T.tolist() == [[0, 1, 9, 11], [3, 5, 6, 7]]  # (12, 13) has nothing beside it
    assert target.T.tolist() == [[1, 2, 10, 12], [4, 6, 7, 8]]
    assert start.T.astype(int).tolist() == [[1, 0, 1, 1], [1, 1, 0, 0]]


# Losses

LOSSES = ("sampled_cross_entropy", "bpr_loss", "top1_loss", "top1_max_loss", "bpr_max_loss")


def in_more_digits(name: str, x: Array, on: Array, t: int) -> Any:
    """The loss of one row in long double, as the papers write it."""
    x = x.astype(np.longdouble)
    r, negatives = x[t], x[on]
    if name == "sampled_cross_entropy":
        return np.logaddexp.reduce(np.append(negatives, r)) - r
    z = negatives - r
    if name == "bpr_loss":
        return np.mean(np.logaddexp(0, z))
    f = 1 / (1 + np.exp(-z)) + 1 / (1 + np.exp(-(negatives**2)))
    if name == "top1_loss":
        return np.mean(f)
    log_w = negatives - np.logaddexp.reduce(negatives)
    w = np.exp(log_w)
    if name == "top1_max_loss":
        return np.sum(w * f)
    return -np.logaddexp.reduce(log_w - np.logaddexp(0, z)) + np.sum(w * negatives**2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_against_more_digits(name: str, scale: float, dtype: Any) -> None:
    """Row by row, also where every exponential over- or underflows."""
    rng = np.random.default_rng(0)
    x = (scale * rng.normal(size=(20, 9))).astype(dtype)
    t, on = rng.integers(0, 9, 20), rng.random((20, 9)) < 0.7
    on[np.arange(20), t] = False
    on[:, 0] |= t != 0
    loss, backward = getattr(F, name)(x, t, on, reduction="none")
    assert loss.dtype == dtype
    assert np.isfinite(backward(np.ones(20, dtype))).all()
    for i in range(20):
        if on[i].any():
            truth = in_more_digits(name, x[i], on[i], t[i])
            size = max(abs(float(truth)), float(np.abs(x[i]).max()), 1.0)
            assert abs(float(loss[i]) - float(truth)) < 8 * np.finfo(dtype).eps * size


@pytest.mark.parametrize("name", ["sampled_cross_entropy", "bpr_loss"])
def test_a_shift_of_all_scores_changes_nothing(name: str) -> None:
    """So the gradients of a row sum to 0."""
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(4, 6)), np.array([0, 5, 2, 2])
    loss, backward = getattr(F, name)(x, t)
    np.testing.assert_allclose(getattr(F, name)(x + 3.0, t)[0], loss, rtol=1e-14)
    np.testing.assert_allclose(backward().sum(1), 0, atol=1e-16)


@pytest.mark.parametrize("name", LOSSES)
def test_marks_are_columns_left_out(name: str) -> None:
    """What is not marked might as well not be there; int32 targets do as well."""
    rng = np.random.default_rng(2)
    x, keep = rng.normal(size=(5, 7)), np.array([0, 2, 3, 6])
    t = np.array([1, 0, 3, 2, 1], np.int32)
    on = np.isin(np.arange(7), keep) & np.ones((5, 1), bool)
    loss, backward = getattr(F, name)(x, keep[t], on)
    alone, alone_back = getattr(F, name)(np.ascontiguousarray(x[:, keep]), t)
    np.testing.assert_allclose(loss, alone, rtol=1e-14)
    dx = backward()
    np.testing.assert_allclose(dx[:, keep], alone_back(), atol=1e-15)
    dx[:, keep] = 0
    assert not dx.any()


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_to_rank(name: str) -> None:
    loss, backward = getattr(F, name)(np.ones((2, 1)), np.zeros(2, int))
    assert loss == 0
    assert not backward().any()
    loss, backward = getattr(F, name)(np.ones((0, 3)), np.zeros(0, int), reduction="sum")
    assert loss == 0
    assert backward().shape == (0, 3)


@pytest.mark.parametrize("name", ["sampled_cross_entropy", "bpr_max_loss"])
def test_a_hopeless_target_still_learns(name: str) -> None:
    """The authors' log(p + 1e-24) is flat here, and its gradient 0."""
    options = {"regularization": 0.0} if name == "bpr_max_loss" else {}
    x = np.array([[-400.0, 400.0, 399.0]])
    loss, backward = getattr(F, name)(x, np.array([0]), **options)
    assert 799 < loss < 802
    assert backward()[0, 0] == pytest.approx(-1)


def test_log_q_makes_sampled_scores_true() -> None:
    """Beside 2,000 negatives drawn by q, scores learn p(item) with it, and p / q without it."""
    p, q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.7, 0.1, 0.1, 0.1])
    drawn = np.repeat(np.arange(4), (2000 * q).astype(int))
    columns = np.concatenate([np.arange(4)[:, None], np.tile(drawn, (4, 1))], 1)
    for log_q, expected in ((np.log(q)[columns], p), (None, p / q)):
        x = np.zeros(4)
        for _ in range(300):
            z, t = x[columns], np.zeros(4, int)
            _, backward = F.sampled_cross_entropy(z, t, log_q=log_q, reduction="none")
            x -= 4 * np.bincount(columns.ravel(), backward(p).ravel(), 4)
        learned = np.exp(x) / np.exp(x).sum()
        np.testing.assert_allclose(learned, expected / expected.sum(), atol=2e-3)


# GRU4Rec


def network(seed: int = 0, **options: Any) -> GRU4Rec:
    """Twenty items, float64."""
    return GRU4Rec(20, 6, 6, dtype=np.float64, generator=Generator(seed), **options)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("chunk", [1, 4])
def test_slots_do_not_mix_sessions(layers: int, chunk: int) -> None:
    """Scores and gradients of slots, in chunks, are those of every session by itself."""
    sessions = SHOP.draw(30, 7)
    model = network(num_layers=layers)
    ids, _, start = session_parallel(sessions, 4, np.arange(30))
    h, found = None, []
    for t in range(0, len(ids), chunk):
        (x, h), _ = model(ids[t : t + chunk], h, start[t : t + chunk])
        found.append(x)
    scores = np.concatenate(found)
    (whole, _), whole_back = model(ids, None, start)
    np.testing.assert_allclose(scores, whole, rtol=1e-12, atol=1e-14)
    dx = np.random.default_rng(0).normal(size=whole.shape)
    whole_back(dx, None)
    together = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    events = 0
    for slot in range(4):
        cuts = [*np.flatnonzero(start[:, slot]).tolist(), len(start)]
        for a, b in pairwise(cuts):
            (alone, _), back = model(ids[a:b, slot][:, None])
            np.testing.assert_allclose(alone[:, 0], scores[a:b, slot], rtol=1e-12, atol=1e-14)
            back(dx[a:b, slot][:, None], None)
            events += b - a
    assert events == ids.size
    for name, p in model.named_parameters():
        expected: Any = together[name]
        gradient: Any = p.grad
        np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("tied", [False, True])
def test_candidates_are_columns_of_all(tied: bool) -> None:
    """Their scores, and gradients that are 0 elsewhere."""
    model = network(tied=tied)
    rng = np.random.default_rng(1)
    ids, candidates = rng.integers(0, 20, (3, 4)), rng.integers(0, 20, (3, 5))
    (x, _), x_back = model(ids, None, None, candidates)
    dx = rng.normal(size=x.shape)
    x_back(dx, None)
    sampled = [p.grad for p in model.parameters()]
    model.zero_grad()
    (whole, _), whole_back = model(ids)
    np.testing.assert_allclose(x, np.take_along_axis(whole, candidates[:, None], 2), rtol=1e-13)
    dwhole = np.zeros_like(whole)
    for t in range(3):
        np.add.at(dwhole[t].T, candidates[t], dx[t].T)
    whole_back(dwhole, None)
    for p, found in zip(model.parameters(), sampled, strict=True):
        expected: Any = p.grad
        gradient: Any = found
        np.testing.assert_allclose(gradient, expected, atol=1e-14)


def test_no_gradient_crosses_a_start() -> None:
    model = network()
    ids, start = np.array([[1], [2], [3], [4]]), np.array([[0], [0], [1], [0]], bool)
    h = np.random.default_rng(2).normal(size=(1, 1, 6))
    (x, _), backward = model(ids, h, start)
    dx = np.zeros_like(x)
    dx[2:] = 1.0
    dh = backward(dx, None)
    assert not dh.any()
    gradient: Any = model.embedding.weight.grad if model.embedding else None
    assert gradient[3].any() and gradient[4].any()
    assert not gradient[[1, 2]].any()


def test_tied_is_one_parameter() -> None:
    model = network(tied=True)
    assert model.embedding is not None
    assert model.out.weight is model.embedding.weight
    assert "embedding.weight" in model.state_dict() and "out.weight" in model.state_dict()
    assert len(list(model.parameters())) == 1 + 4 + 1


def test_start_is_small_and_the_bias_is_0() -> None:
    """Glorot's bound, also of a tied table: N(0, 1) would begin with scores in the tens."""
    model = GRU4Rec(50, 30, 30, tied=True, generator=Generator(0))
    assert np.abs(model.out.weight.data).max() <= np.sqrt(6 / 80)
    assert model.out.bias is not None
    assert not model.out.bias.data.any()


def test_backward_refuses_weights_that_changed() -> None:
    model = network()
    (x, _), backward = model(np.array([[0, 1]]), None, None, np.array([[0, 1]]))
    backward(np.ones_like(x), None)
    optimizer = SGD(model.parameters(), lr=0.1)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"out\.weight"):
        backward(np.ones_like(x), None)


# Metrics


@pytest.mark.parametrize("k", [1, 3, 20])
def test_metrics_count_ranks(k: int) -> None:
    """Both packages, against a sort; equal scores go before the target."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, 6, (200, 8)).astype(np.float64)
    t = rng.integers(0, 8, 200)
    ranks = [sorted(row, reverse=True)[::-1].index(row[c]) for row, c in zip(y, t, strict=True)]
    rank = 8 - np.array(ranks)  # the last among equals
    hits, reciprocal = rank <= k, np.where(rank <= k, 1 / rank, 0)
    for module, convert in (
        (scratch.training.metrics, np.asarray),
        (torch_ref.training.metrics, torch.from_numpy),
    ):
        made: Any = module
        assert made.recall_at_k(convert(y), convert(t), k) == pytest.approx(hits.mean(), rel=1e-14)
        assert made.mrr(convert(y), convert(t), k) == pytest.approx(reciprocal.mean(), rel=1e-14)


def test_scores_that_say_nothing_earn_nothing() -> None:
    """All equal, or all NaN: the target is last and not first."""
    for value in (0.0, np.nan):
        y, t = np.full((5, 30), value), np.arange(5)
        for module, made in (
            (scratch.training.metrics, (y, t)),
            (torch_ref.training.metrics, (torch.from_numpy(y), torch.from_numpy(t))),
        ):
            metrics: Any = module
            assert metrics.recall_at_k(*made) == 0
            assert metrics.mrr(*made) == 0
            assert metrics.recall_at_k(*made, 30) == 1
    assert np.isnan(scratch.training.metrics.recall_at_k(np.zeros((0, 3)), np.zeros(0, int)))
    assert np.isnan(scratch.training.metrics.mrr(np.zeros((0, 3)), np.zeros(0, int)))


Y, T = np.zeros((3, 4)), np.array([0, 3, 1])


@pytest.mark.parametrize("name", ["recall_at_k", "mrr"])
@pytest.mark.parametrize(
    "arguments",
    [(Y, T, 0), (Y, T, 2.5), (Y, T + 1), (Y, T[:2]), (Y[0], T), (Y, T.astype(float)), (T, T)],
)
def test_metrics_refuse(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
        getattr(scratch.training.metrics, name)(*arguments)


# What the data refuse

WRONG: dict[str, dict[str, Any]] = {
    "one category": {"categories": 1},
    "no items": {"items": 0},
    "as many kinds as categories": {"kinds": 8},
    "noise": {"noise": 1.5},
    "negative exponent": {"zipf": -1.0},
    "too short": {"mean_length": 1.5},
    "seed": {"seed": -1},
    "half a category": {"categories": 2.5},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_source_refuses(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^SessionSource: expected .*, got "):
        SessionSource(**options)


def test_draws_and_batches_refuse() -> None:
    sessions = given([0, 1, 2], [3, 4], [5])
    ids: Any = np.array([0.5])
    calls: dict[str, Callable[[], Any]] = {
        "SessionSource.draw": lambda: SHOP.draw(-1),
        "SessionSource.probabilities": lambda: SHOP.probabilities(np.array([0]), np.array([20])),
        "SessionSource.probabilities:": lambda: SHOP.probabilities(ids, np.array([0])),
        "session_parallel": lambda: session_parallel(sessions, 3, np.arange(2)),
        "session_parallel:": lambda: session_parallel(sessions, 1, np.arange(3)),
        "session_parallel: ": lambda: session_parallel(sessions, 1, np.array([3])),
        "session_parallel:  ": lambda: session_parallel(sessions, 0, np.arange(2)),
        "session_parallel:   ": lambda: session_parallel(sessions, 1, ids),
    }
    for name, call in calls.items():
        with pytest.raises((ValueError, TypeError), match=rf"^{name.strip(': ')}: expected .*got "):
            call()
