"""Ratings, and what predicts them.

The ratings are synthetic: what their source says of itself (noise, floors, probabilities) is held
against what it draws. The models are held against their equations, written as loops.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import torch_ref.models
from datasets.ratings import Ratings, RatingSource
from parity_tests.experiments import recommenders
from parity_tests.harness.entry import unchecked
from scratch.check import Array
from scratch.models import AutoRec, HybridMatrixFactorization, MatrixFactorization, NeuMF
from scratch.optim import SGD
from scratch.random import Generator

SHOP = RatingSource(users=60, items=40, rank=3, features=5, content=0.6, seed=1)
WIDE = RatingSource(users=400, items=300, rank=3, features=5, content=0.6, seed=2)

# The source


def test_structure_is_of_the_rank_that_it_says() -> None:
    left = SHOP.means() - SHOP.mean - SHOP.user_bias[:, None] - SHOP.item_bias
    values = np.linalg.svd(left, compute_uv=False)
    assert values[2] > 0.1 and values[3] < 1e-12 * values[0]


def test_noise_is_the_floor() -> None:
    """RMSE of the best prediction within five standard deviations of `noise`."""
    drawn = WIDE.draw(100_000, 3)
    error = drawn.rating - WIDE.means()[drawn.user, drawn.item]
    found = np.sqrt(np.mean(error**2))
    assert abs(found / WIDE.noise - 1) < 5 / np.sqrt(2 * len(drawn))
    assert abs(error.mean()) < 5 * WIDE.noise / np.sqrt(len(drawn))


def test_variances_are_as_announced() -> None:
    """Over many sources: of the biases, of p . q, and of what an item has of its own."""
    found = []
    for seed in range(40):
        s = RatingSource(100, 100, 2, 3, content=0.7, bias=0.3, spread=0.9, seed=seed)
        product = s.user_factors @ s.item_factors.T
        own = s.item_factors - s.told[:, 1:]
        found.append([s.user_bias.var(), s.item_bias.var(), product.var(), own.var()])
    expected = [0.09, 0.09, 0.81, 0.3]
    np.testing.assert_allclose(np.mean(found, 0), expected, rtol=0.1)


def test_what_features_tell_is_linear_in_them() -> None:
    left, *_ = np.linalg.lstsq(SHOP.item_features, SHOP.told, rcond=None)
    np.testing.assert_allclose(SHOP.item_features @ left, SHOP.told, atol=1e-12)
    whole = RatingSource(20, 30, content=1.0)
    np.testing.assert_array_equal(whole.cold_means(), whole.means())
    assert whole.cold_floor() == whole.noise


def test_cold_floor_is_the_error_of_what_features_tell() -> None:
    """Over many items: the floor of one source holds in expectation over what is drawn of them."""
    squares = []
    for seed in range(40):
        s = RatingSource(50, 200, 3, 5, content=0.5, seed=seed)
        own = np.mean((s.cold_means() - s.means()) ** 2) + s.noise**2
        squares.append(own / s.cold_floor() ** 2)
    assert abs(np.mean(squares) - 1) < 0.02


def test_pairs_differ_and_seeds_count() -> None:
    a, b, c = SHOP.draw(2000, 1), SHOP.draw(2000, 1), SHOP.draw(2000, 2)
    np.testing.assert_array_equal(a.rating, b.rating)
    assert not np.array_equal(a.item, c.item)
    assert len(np.unique(a.user * SHOP.items + a.item)) == 2000
    assert len(SHOP.draw(SHOP.users * SHOP.items)) == 2400
    assert not np.array_equal(SHOP.means(), RatingSource(60, 40, 3, 5, 0.6, seed=3).means())


def test_clicks_are_draws_without_replacement() -> None:
    """Frequencies of the third of three clicks within five standard deviations."""
    shop = RatingSource(users=20_000, items=5, rank=1, spread=0.0, bias=1.0)  # all of one taste
    clicks = shop.clicks(3, 1.5, 1)
    assert all(len(set(row)) == 3 for row in clicks[:500].tolist())

    def following(*items: int) -> Any:
        return shop.next_click(np.tile(np.array(items, int), (shop.users, 1)), 1.5)[0]

    p0 = following()
    n = len(clicks)
    assert np.all(np.abs(np.bincount(clicks[:, 0]) / n - p0) < 5 * np.sqrt(p0 * (1 - p0) / n))
    first = int(np.argmax(p0))
    second = int(np.argmax(following(first)))
    after = clicks[(clicks[:, 0] == first) & (clicks[:, 1] == second), 2]
    p = following(first, second)
    assert p[first] == p[second] == 0 and abs(p.sum() - 1) < 1e-14
    found = np.bincount(after, minlength=5) / len(after)
    assert np.all(np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / len(after)))


def test_parts_are_all_there() -> None:
    drawn = SHOP.draw(1000, 1)
    train, held = drawn.held_out(0.3, 5)
    assert len(train) == 700 and len(held) == 300
    together = np.sort(np.concatenate([train.rating, held.rating]))
    np.testing.assert_array_equal(together, np.sort(drawn.rating))
    np.testing.assert_array_equal(drawn.held_out(0.3, 5)[1].rating, held.rating)
    known, new = drawn.cold(np.array([3, 17]))
    assert set(new.item.tolist()) == {3, 17}
    assert not np.isin(known.item, [3, 17]).any() and len(known) + len(new) == 1000


def test_table_has_gaps() -> None:
    given = Ratings(np.array([0, 2]), np.array([1, 0]), np.array([4.0, 2.5]))
    values, observed = given.table(3, 2)
    assert values.tolist() == [[0, 4], [0, 0], [2.5, 0]]
    assert observed.tolist() == [[False, True], [False, False], [True, False]]
    assert given[1:].rating.tolist() == [2.5]


WRONG: dict[str, Callable[[], Any]] = {
    "RatingSource": lambda: RatingSource(users=0),
    "RatingSource:": lambda: RatingSource(rank=unchecked(2.5)),
    "RatingSource: ": lambda: RatingSource(content=1.5),
    "RatingSource:  ": lambda: RatingSource(noise=-0.1),
    "RatingSource:   ": lambda: RatingSource(mean=np.inf),
    "RatingSource:    ": lambda: RatingSource(seed=-1),
    "RatingSource.draw": lambda: SHOP.draw(2401),
    "RatingSource.clicks": lambda: SHOP.clicks(41),
    "RatingSource.clicks:": lambda: SHOP.clicks(3, -1.0),
    "RatingSource.next_click": lambda: SHOP.next_click(np.zeros((60, 40), int)),
    "RatingSource.next_click:": lambda: SHOP.next_click(np.zeros((59, 3), int)),
    "RatingSource.next_click: ": lambda: SHOP.next_click(np.full((60, 3), 40)),
    "RatingSource.next_click:  ": lambda: SHOP.next_click(np.zeros(60, int)),
    "Ratings.held_out": lambda: SHOP.draw(10).held_out(1.5),
    "Ratings.cold": lambda: SHOP.draw(10).cold(np.array([0.5])),
    "Ratings.table": lambda: SHOP.draw(500).table(3, 40),
}


@pytest.mark.parametrize("name", WRONG)
def test_data_refuse(name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name.strip(': ')}: expected .*, got "):
        WRONG[name]()


# Matrix factorisation

USER, ITEM = np.array([0, 3, 0, 2]), np.array([1, 4, 4, 1])
T = np.array([3.0, 1.5, 4.0, 2.5])


def moved(model: Any) -> Any:
    """Every parameter off its start, but for the mean."""
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.data = rng.normal(size=p.shape)
    return model


def test_loss_is_equation_5() -> None:
    model = moved(MatrixFactorization(5, 6, 3, 3.4, dtype=np.float64))
    p, q = model.user_factors.weight.data, model.item_factors.weight.data
    b, c = model.user_bias.weight.data[:, 0], model.item_bias.weight.data[:, 0]
    total = 0.0
    for u, i, t in zip(USER, ITEM, T, strict=True):
        r = 3.4 + b[u] + c[i] + p[u] @ q[i]
        total += (t - r) ** 2 + 0.3 * (p[u] @ p[u] + q[i] @ q[i] + b[u] ** 2 + c[i] ** 2)
    loss, _ = model.loss(USER, ITEM, T, 0.3)
    assert loss == pytest.approx(total / 4, rel=1e-14)


def test_mean_is_counted_once_and_not_learned() -> None:
    model = MatrixFactorization(5, 6, 3, 3.4, dtype=np.float64)
    for p in model.parameters():
        p.data = np.zeros(p.shape)
    r, _ = model(USER, ITEM)
    np.testing.assert_array_equal(r, np.full(4, 3.4))
    assert "mean" in model.state_dict()
    assert "mean" not in dict(model.named_parameters())


def test_rows_that_were_not_read_have_no_gradient() -> None:
    """Nor do they cost anything."""
    model = moved(MatrixFactorization(5, 6, 3, dtype=np.float64))
    _, backward = model.loss(USER, ITEM, T, 0.5)
    backward()
    for table, ids in ((model.user_factors, USER), (model.item_bias, ITEM)):
        gradient: Any = table.weight.grad
        unread = np.setdiff1d(np.arange(len(gradient)), ids)
        assert gradient[np.unique(ids)].any(1).all() and not gradient[unread].any()


def test_starts() -> None:
    """Factors small, biases 0; an item of the hybrid is at first what its features say."""
    model = MatrixFactorization(400, 300, 20, generator=Generator(0))
    for table in (model.user_factors, model.item_factors):
        assert table.weight.data.std() == pytest.approx(0.1, rel=0.05)
    assert not model.user_bias.weight.data.any() and not model.item_bias.weight.data.any()
    hybrid = HybridMatrixFactorization(5, 6, 2, 3, generator=Generator(0))
    x = np.ones((2, 2), np.float32)
    r, _ = hybrid(np.array([1, 1]), np.array([0, 5]), x)
    assert r[0] == r[1] != 0
    twin = torch_ref.models.HybridMatrixFactorization(5, 6, 2, 3)
    assert not twin.item_factors.weight.any() and not twin.item_bias.weight.any()


def test_hybrid_without_features_is_matrix_factorisation() -> None:
    hybrid = moved(HybridMatrixFactorization(5, 6, 2, 3, 3.4, dtype=np.float64))
    plain = MatrixFactorization(5, 6, 3, 3.4, dtype=np.float64)
    state = hybrid.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    r, _ = hybrid(USER, ITEM, np.zeros((4, 2)))
    np.testing.assert_allclose(r, plain(USER, ITEM)[0], rtol=1e-14)


def test_canonical_correlations_see_a_space() -> None:
    """Not its basis, nor a shift; and none where there is none."""
    rng = np.random.default_rng(0)
    q, other = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    same = q @ rng.normal(size=(3, 3)) + rng.normal(size=3)
    np.testing.assert_allclose(recommenders.correlations(same, q), 1, rtol=1e-12)
    assert recommenders.correlations(other, q).max() < 0.4


# NeuMF


def test_gmf_with_ones_is_matrix_factorisation() -> None:
    """He et al., section 3.2."""
    model = moved(NeuMF(5, 6, 3, None, dtype=np.float64))
    assert model.mf_user is not None and model.mf_item is not None
    model.out.weight.data = np.ones((1, 3))
    x, _ = model(USER, ITEM)
    p, q = model.mf_user.weight.data[USER], model.mf_item.weight.data[ITEM]
    np.testing.assert_allclose(x, (p * q).sum(1) + model.out.bias.data, rtol=1e-13)


def test_branches_have_parameters_of_their_own() -> None:
    names = [name for name, _ in NeuMF(5, 6, 3, (8, 4)).named_parameters()]
    assert [name.split(".")[0] for name in names[:4]] == [
        "mf_user",
        "mf_item",
        "mlp_user",
        "mlp_item",
    ]
    gmf = [name for name, _ in NeuMF(5, 6, 3, None).named_parameters()]
    assert gmf == ["mf_user.weight", "mf_item.weight", "out.weight", "out.bias"]


def test_neumf_starts_as_the_authors() -> None:
    model = NeuMF(300, 300, 20, (64, 32), generator=Generator(0))
    assert model.mf_user is not None and model.mlp is not None
    assert model.mf_user.weight.data.std() == pytest.approx(0.01, rel=0.05)
    hidden: Any = model.mlp[0]
    assert np.abs(hidden.weight.data).max() <= np.sqrt(6 / 96)
    assert 0.9 * np.sqrt(3 / 52) < np.abs(model.out.weight.data).max() <= np.sqrt(3 / 52)
    assert not hidden.bias.data.any()


# AutoRec


def rows() -> tuple[Array, Array]:
    """Three rows with gaps, one of them empty."""
    rng = np.random.default_rng(1)
    on = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 1]], bool)
    return np.where(on, rng.normal(size=(3, 4)), 0), on


def test_autorec_counts_what_is_observed() -> None:
    model = moved(AutoRec(4, 3, dtype=np.float64))
    x, on = rows()
    y, _ = model(x, on)
    total = sum((y[i, j] - x[i, j]) ** 2 for i, j in zip(*np.nonzero(on), strict=True))
    v, w = model.encoder.weight.data, model.decoder.weight.data
    loss, _ = model.loss(x, on, 0.2)
    assert loss == pytest.approx(total / 4 + 0.1 * (np.sum(v**2) + np.sum(w**2)), rel=1e-14)


@pytest.mark.parametrize("gap", [0.0, 1e6, np.nan, np.inf])
def test_gaps_may_hold_anything(gap: float) -> None:
    """In both packages: the same loss, the same gradients, none for the gaps."""
    model = moved(AutoRec(4, 3, dtype=np.float64))
    twin: Any = torch_ref.models.AutoRec(4, 3).double()
    twin.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    x, on = rows()
    expected, expected_back = model.loss(x, on)
    expected_back()
    gradients: list[Any] = [p.grad for p in model.parameters()]
    model.zero_grad()
    filled = np.where(on, x, gap)
    loss, backward = model.loss(filled, on)
    dx: Any = backward()
    assert loss == expected and not dx[~on].any() and dx[on].all()
    input: Any = torch.from_numpy(filled).requires_grad_()
    torch_loss = twin.loss(input, torch.from_numpy(on))
    torch_loss.backward()
    assert torch_loss.item() == pytest.approx(float(loss), rel=1e-14)
    np.testing.assert_allclose(dx, input.grad, rtol=1e-12, atol=1e-14)
    for mine, theirs, want in zip(model.parameters(), twin.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(mine.grad, want)
        np.testing.assert_allclose(want, theirs.grad, rtol=1e-12, atol=1e-14)


def test_a_column_nobody_observed_is_not_learned() -> None:
    model = moved(AutoRec(4, 3, dtype=np.float64))
    x, on = rows()
    _, backward = model.loss(x, on)
    backward()
    parameters = model.decoder.weight, model.encoder.weight, model.decoder.bias
    w, v, b = (p.grad for p in parameters)
    unseen = ~on.any(0)
    assert unseen.tolist() == [False, True, False, False]
    assert not w[1].any() and not v[:, 1].any() and b[1] == 0
    assert w[~unseen].any(1).all()


def test_autorec_refuses_weights_that_changed() -> None:
    model = moved(AutoRec(4, 3, dtype=np.float64))
    _, backward = model.loss(*rows(), 0.1)
    backward()
    SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"weight"):
        backward()
