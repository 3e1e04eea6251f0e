"""Real series and their windows: the values, what is known when, and the networks that forecast."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from torch.nn.utils import rnn as torch_rnn

import datasets
import scratch.models
import scratch.optim
import scratch.training.metrics
import torch_ref.models
import torch_ref.training.metrics
from datasets import Series, airline, baselines, co2, forecasting, sunspots, windows
from datasets.forecast import TRANSFORMS
from parity_tests.catalog.models_forecast import ENTRIES
from parity_tests.harness import twin
from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import unchecked
from scratch.nn import functional as F
from scratch.nn.utils import rnn
from scratch.random import Generator

SERIES: dict[str, Callable[[], Series]] = {"sunspots": sunspots, "co2": co2, "airline": airline}
each = pytest.mark.parametrize("series", [make() for make in SERIES.values()], ids=SERIES)


# The values


@pytest.mark.parametrize(
    ("name", "n", "total", "ends", "years", "some"),
    [
        ("sunspots", 309, 15373.4, (5.0, 2.9), (1700, 2008), {1712: 0.0, 1816: 45.8, 1957: 190.2}),
        ("co2", 802, 288470.38, (315.71, 425.40), (1958, 2024), {1958: 315.71, 2000: 369.45}),
        ("airline", 144, 40363.0, (112.0, 432.0), (1949, 1960), {1949: 112.0, 1960: 417.0}),
    ],
)
def test_values_are_the_published_ones(
    name: str,
    n: int,
    total: float,
    ends: tuple[float, float],
    years: tuple[int, int],
    some: dict[int, float],
) -> None:
    """Some of them, and the sum of all; `some` is the first value of a year."""
    series = SERIES[name]()
    assert len(series) == len(series.year) == n
    assert series.values.dtype == series.year.dtype == np.float64
    assert series.values.sum() == pytest.approx(total, abs=1e-6)
    assert (series.values[0], series.values[-1]) == ends
    whole = np.floor(series.year + 1e-9).astype(int)
    assert (whole[0], whole[-1]) == years
    for year, value in some.items():
        assert series.values[np.argmax(whole == year)] == value
    assert series.source and series.unit


def test_extremes_are_where_they_were() -> None:
    spots, gas, flights = sunspots(), co2(), airline()
    assert (spots.values.max(), spots.year[spots.values.argmax()]) == (190.2, 1957)
    assert sorted(spots.year[spots.values == 0]) == [1711, 1712, 1810]
    assert (gas.values.min(), gas.values.max()) == (312.42, 426.91)
    assert gas.year[gas.values.argmax()] == pytest.approx(2024 + 5 / 12)  # June
    assert flights.year[flights.values.argmax()] == pytest.approx(1960 + 6 / 12)  # July


@each
def test_steps_are_equally_long(series: Series) -> None:
    np.testing.assert_allclose(np.diff(series.year), 1 / series.per_year, atol=1e-9)


def test_the_season_is_the_month() -> None:
    season = co2().season
    assert season.shape == (802, 2)
    np.testing.assert_allclose(np.square(season).sum(1), 1)
    np.testing.assert_allclose(season[0], [np.sin(2 * np.pi * 2 / 12), 0.5], atol=1e-12)  # March
    np.testing.assert_array_equal(season[12:], season[:-12])
    assert len(np.unique(season.round(9), axis=0)) == 12
    np.testing.assert_allclose(airline().season[0], [0, 1])  # January
    assert sunspots().season.shape == (309, 0)


def test_the_files_are_shipped() -> None:
    folder = Path(datasets.__file__).parent
    assert {path.stem for path in (folder / "csv").glob("*.csv")} >= set(SERIES)
    project = folder.parent / "pyproject.toml"
    if project.exists():  # a checkout
        held = tomllib.loads(project.read_text())["tool"]["setuptools"]["package-data"]
        assert "csv/*.csv" in held["datasets"]


# Windows


@pytest.mark.parametrize(("context", "horizon"), [(1, 1), (3, 2), (2, 5), (4, 5)])
def test_windows_slide(context: int, horizon: int) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 2))
    x, t = windows(rows, context, horizon)
    assert len(x) == len(t) == 9 - context - horizon + 1
    for k in range(len(x)):
        np.testing.assert_array_equal(x[k], rows[k : k + context])
        np.testing.assert_array_equal(t[k], rows[k + context : k + context + horizon])


SETTINGS: list[tuple[str, int, int, int, str, tuple[int, ...]]] = [
    ("sunspots", 33, 11, 80, "sqrt", ()),
    ("sunspots", 5, 3, 20, "none", (1,)),
    ("co2", 24, 12, 240, "none", (12, 1)),
    ("co2", 7, 14, 30, "log", (12,)),
    ("airline", 24, 12, 36, "log", (12, 1)),
    ("airline", 2, 1, 1, "sqrt", (1, 1)),
]
settings = pytest.mark.parametrize(
    ("name", "context", "horizon", "test", "transform", "lags"), SETTINGS
)


@settings
def test_parts_lie_one_after_the_other(
    name: str, context: int, horizon: int, test: int, transform: str, lags: tuple[int, ...]
) -> None:
    series = SERIES[name]()
    task = forecasting(series, context, horizon, test, transform, lags)
    cut, features = len(series) - test, 1 + series.season.shape[1]
    assert task.x.shape == (cut - sum(lags) - context - horizon + 1, context, features)
    assert task.t.shape == (len(task.x), horizon, 1)
    np.testing.assert_array_equal(task.origins, np.arange(cut, len(series) - horizon + 1))
    assert task.test_x.shape == (len(task.origins), context, features)
    for k, o in enumerate(task.origins):
        np.testing.assert_array_equal(task.truth[k], series.values[o : o + horizon])
        np.testing.assert_array_equal(task.test_x[k, :, 1:], series.season[o - context : o])
    np.testing.assert_array_equal(task.test_x[:-1, 1:], task.test_x[1:, :-1])


@settings
def test_scaled_by_the_training_part(
    name: str, context: int, horizon: int, test: int, transform: str, lags: tuple[int, ...]
) -> None:
    """Differences one by one, their mean and deviation, and back to the series' own unit."""
    series = SERIES[name]()
    task = forecasting(series, context, horizon, test, transform, lags)
    forth, back = TRANSFORMS[transform]
    u = w = forth(series.values)
    np.testing.assert_allclose(back(u), series.values, rtol=1e-12, atol=1e-12)
    for lag in lags:
        w = w[lag:] - w[:-lag]
    known = w[:-test]
    z = (w - known.mean()) / known.std()
    np.testing.assert_allclose(
        task.x[:, :, 0], windows(z[:-test, None], context, horizon)[0][..., 0]
    )
    np.testing.assert_allclose(
        task.test_x[-1, :, 0], z[-horizon - context : -horizon], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(task.t.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(task.t.std(0), 1)
    right = (forth(task.truth) - task.base - task.mean) / task.std
    np.testing.assert_allclose(task.values(right[..., None]), task.truth, rtol=1e-9, atol=1e-9)


@settings
def test_nothing_leaks_from_the_future(
    name: str, context: int, horizon: int, test: int, transform: str, lags: tuple[int, ...]
) -> None:
    series = SERIES[name]()
    args = context, horizon, test, transform, lags
    task = forecasting(series, *args)
    rng = np.random.default_rng(0)
    for k in (0, len(task.origins) // 2, len(task.origins) - 1):
        o = int(task.origins[k])
        values = series.values.copy()
        values[o:] = rng.uniform(1, 1000, len(values) - o)
        changed = replace(series, values=values)
        other = forecasting(changed, *args)
        for part in ("x", "t", "mean", "std"):
            np.testing.assert_array_equal(getattr(task, part), getattr(other, part))
        for part in ("test_x", "base"):
            np.testing.assert_array_equal(
                getattr(task, part)[: k + 1], getattr(other, part)[: k + 1]
            )
        assert not np.array_equal(task.truth[k], other.truth[k])
        before = baselines(series, task.origins[: k + 1], horizon)
        after = baselines(changed, task.origins[: k + 1], horizon)
        for kind, forecast in before.items():
            np.testing.assert_array_equal(forecast, after[kind])


@each
def test_baselines_one_by_one(series: Series) -> None:
    y, season, horizon = series.values, series.period, 2 * series.period + 3
    origins = np.array([season + 1, season + 20, len(y)])
    found = baselines(series, origins, horizon)
    for k, o in enumerate(origins.tolist()):
        slope = (y[o - 1] - y[0]) / (o - 1)
        growth = y[o - 1] - y[o - 1 - season]
        for i in range(horizon):
            ago, years = o + i, 0
            while ago >= o:
                ago, years = ago - season, years + 1
            expected = {
                "naive": y[o - 1],
                "drift": y[o - 1] + (i + 1) * slope,
                "seasonal naive": y[ago],
                "seasonal drift": y[ago] + years * growth,
            }
            for kind, value in expected.items():
                assert found[kind][k, i] == pytest.approx(value, rel=1e-12), (kind, k, i)


@pytest.mark.parametrize(
    ("lags", "kind"),
    [((1,), "naive"), ((12,), "seasonal naive"), ((12, 1), "seasonal drift")],
)
def test_differences_improve_on_a_baseline(lags: tuple[int, ...], kind: str) -> None:
    task = forecasting(co2(), 4, 30, 60, "none", lags)
    np.testing.assert_allclose(task.base, baselines(co2(), task.origins, 30)[kind], rtol=1e-12)


y9 = np.arange(1.0, 10.0)
short = Series(y9, y9, 1, 2, "m", "here")
refusals: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("Series", lambda: Series(y9.astype(int), y9, 1, 2, "", ""), TypeError, "a float64 array"),
    ("Series", lambda: Series(unchecked([1.0]), y9, 1, 2, "", ""), TypeError, "a float64 array"),
    ("Series", lambda: Series(y9[None], y9, 1, 2, "", ""), ValueError, "shape (n,)"),
    ("Series", lambda: Series(y9 * np.nan, y9, 1, 2, "", ""), ValueError, "finite values"),
    ("Series", lambda: Series(y9, y9[1:], 1, 2, "", ""), ValueError, "year of shape (9,)"),
    ("Series", lambda: Series(y9, y9, 0, 2, "", ""), ValueError, "per_year >= 1, got 0"),
    ("Series", lambda: Series(y9, y9, 1, 0, "", ""), ValueError, "period >= 1, got 0"),
    ("windows", lambda: windows(unchecked([1.0]), 1, 1), TypeError, "rows to be an array"),
    ("windows", lambda: windows(y9, 1, 1), ValueError, "(n >= 1 + 1, features), got (9,)"),
    ("windows", lambda: windows(y9[:, None], 7, 3), ValueError, "(n >= 7 + 3, features)"),
    ("windows", lambda: windows(y9[:, None], 0, 3), ValueError, "context >= 1, got 0"),
    ("windows", lambda: windows(y9[:, None], 1, 0), ValueError, "horizon >= 1, got 0"),
    ("forecasting", lambda: forecasting(short, 0, 1, 2), ValueError, "context >= 1, got 0"),
    ("forecasting", lambda: forecasting(short, 1, 0, 2), ValueError, "horizon >= 1, got 0"),
    ("forecasting", lambda: forecasting(short, 1, 3, 2), ValueError, "test >= 3, got 2"),
    ("forecasting", lambda: forecasting(short, 4, 1, 5), ValueError, "5 steps or more before"),
    ("forecasting", lambda: forecasting(short, 1, 1, 2, "exp"), ValueError, "none, log, sqrt"),
    ("forecasting", lambda: forecasting(sunspots(), 1, 1, 2, "log"), ValueError, "log is defined"),
    (
        "forecasting",
        lambda: forecasting(replace(short, values=-y9), 1, 1, 2, "sqrt"),
        ValueError,
        "sqrt is defined for, got -9.0",
    ),
    ("forecasting", lambda: forecasting(short, 1, 1, 2, lags=(0,)), ValueError, "every lag >= 1"),
    ("forecasting", lambda: forecasting(short, 1, 1, 2, lags=(6,)), ValueError, "8 steps or more"),
    ("baselines", lambda: baselines(short, y9, 1), TypeError, "an integer array"),
    ("baselines", lambda: baselines(short, np.array([2]), 1), ValueError, "in [3, 9], got 2 to 2"),
    ("baselines", lambda: baselines(short, np.array([3, 10]), 1), ValueError, "got 3 to 10"),
    ("baselines", lambda: baselines(short, np.array([3]), 0), ValueError, "horizon >= 1, got 0"),
    (
        "Forecasting.values",
        lambda: forecasting(short, 1, 2, 3).values(np.zeros((2, 2))),
        ValueError,
        "(2, 2, 1)",
    ),
]


@pytest.mark.parametrize(
    ("function", "call", "error", "text"), refusals, ids=[f"{r[0]}-{r[3][:30]}" for r in refusals]
)
def test_refuses(function: str, call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=rf"^{re.escape(function)}: expected .*{re.escape(text)}"):
        call()


# Metrics

rng = np.random.default_rng(3)
TRUE, SAID = (scale * rng.normal(size=(40, 3)) for scale in (3.0, 2.0))


@pytest.mark.parametrize("shape", [(120,), (40, 3), (5, 8, 3)])
@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("mae", sklearn.metrics.mean_absolute_error),
        ("rmse", sklearn.metrics.root_mean_squared_error),
        ("mape", sklearn.metrics.mean_absolute_percentage_error),
    ],
)
def test_metric_is_scikit_learns(name: str, of: Any, shape: tuple[int, ...]) -> None:
    y, t = SAID.reshape(shape), TRUE.reshape(shape)
    ours = getattr(scratch.training.metrics, name)(y, t)
    theirs = getattr(torch_ref.training.metrics, name)(torch.from_numpy(y), torch.from_numpy(t))
    assert type(ours) is float and type(theirs) is float
    np.testing.assert_allclose([ours, theirs], of(t.ravel(), y.ravel()), rtol=1e-13)
    single = getattr(scratch.training.metrics, name)(y.astype(np.float32), t.astype(np.float32))
    assert single == pytest.approx(ours, rel=1e-5)


@pytest.mark.parametrize("name", ["mae", "rmse", "mape"])
def test_metric_refuses_what_does_not_fit(name: str) -> None:
    metric = getattr(scratch.training.metrics, name)
    for y, t in ((SAID, TRUE[:, :2]), (SAID[:0], TRUE[:0]), (SAID, TRUE.astype(np.float32))):
        with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected "):
            metric(y, t)


def test_mape_of_nothing_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"^mape: expected targets other than 0, got 2 that are 0"):
        scratch.training.metrics.mape(np.ones(3), np.array([0.0, 1.0, -0.0]))


# Networks


def changes(output: Callable[[Array], Array], x: Array, t: int) -> Array:
    """Whether each step (L,) of the output moves when step t of the input does."""
    moved = x.copy()
    moved[..., t] += 1.0
    differs: Array = (output(x) != output(moved)).any(axis=(0, 1))
    return differs


@pytest.mark.parametrize(("levels", "taps"), [(1, 2), (2, 3), (3, 2), (2, 4)])
def test_a_tcn_sees_its_receptive_field_and_no_further(levels: int, taps: int) -> None:
    """An output step depends on itself and the R - 1 steps before, on each of them, on no other."""
    torch.manual_seed(0)
    theirs = torch_ref.models.TemporalConvNet(2, (24,) * levels, taps, 0.0).double().eval()
    ours = scratch.models.TemporalConvNet(2, (24,) * levels, taps, 0.0, dtype=np.float64).eval()
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    reach = 1 + sum(2 * (taps - 1) * 2**k for k in range(levels))
    assert ours.receptive_field == theirs.receptive_field == reach
    length = 2 * reach
    x = np.random.default_rng(0).normal(size=(64, 2, length))

    def on_torch(z: Array) -> Array:
        with torch.no_grad():
            return twin.numpy(theirs(torch.from_numpy(z)))

    for output in (lambda z: ours(z)[0], on_torch):
        for t in (0, reach // 2, length - 1):
            expected = (np.arange(length) >= t) & (np.arange(length) < t + reach)
            np.testing.assert_array_equal(changes(output, x, t), expected)
    y, back = ours(x)
    dy = np.zeros_like(y)
    dy[..., reach] = 1.0  # and the gradient of one output reaches exactly the steps it saw
    seen = (back(dy) != 0).any(axis=(0, 1))
    np.testing.assert_array_equal(seen, (np.arange(length) > 0) & (np.arange(length) <= reach))


def test_the_tcn_of_the_adding_problem_sees_all_of_it() -> None:
    ours, theirs = scratch.models.TCN(2), torch_ref.models.TCN(2)
    assert ours.receptive_field == theirs.receptive_field == 1 + 2 * 6 * 255 == 3061
    # 7 taps, 30 channels: weights, lengths and biases of 16 convolutions, the way around, the end
    assert sum(p.size for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    count = 7 * 30 * (2 + 15 * 30) + 16 * 2 * 30 + (2 * 30 + 30) + 31
    assert sum(p.size for p in ours.parameters()) == count


NETWORKS: dict[str, tuple[str, tuple[Any, ...], tuple[int, ...]]] = {
    "TCN": ("TCN", (3, 4, (6, 5), 3), (5, 3, 9)),
    "TCN, every step": ("TCN", (2, 4, (5, 5), 2, 0.0, True), (5, 2, 9)),
    "TemporalConvNet": ("TemporalConvNet", (3, (6, 6, 5), 2, 0.0), (5, 3, 9)),
    "LSTM": ("LSTMForecaster", (3, 5, 2, 4, 0.0, 2), (5, 6, 3)),
    "GRU": ("LSTMForecaster", (3, 5, 1, 4, 0.0, 1, "GRU"), (5, 6, 3)),
}
every_network = pytest.mark.parametrize("network", NETWORKS)


@every_network
def test_the_same_seed_gives_the_same_start(network: str) -> None:
    name, args, _ = NETWORKS[network]
    torch.manual_seed(5)
    theirs = getattr(torch_ref.models, name)(*args)
    ours = getattr(scratch.models, name)(*args, generator=Generator(5))
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(state[key], twin.numpy(value), rtol=1e-6, atol=1e-6, err_msg=key)


@every_network
@pytest.mark.parametrize("method", ["SGD", "Adam", "AdamW"])
def test_ten_steps(network: str, method: str) -> None:
    """From torch's start down a squared error."""
    name, args, shape = NETWORKS[network]
    torch.manual_seed(0)
    theirs = getattr(torch_ref.models, name)(*args).double()
    ours = getattr(scratch.models, name)(*args).to(np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    options: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.01}
    if method == "SGD":
        options["momentum"] = 0.9
    optimizer = getattr(scratch.optim, method)(ours.parameters(), **options)
    reference = getattr(torch.optim, method)(theirs.parameters(), **options)
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    t = rng.normal(size=ours(x)[0].shape)
    losses = []
    for _ in range(10):
        y, back = ours(x)
        loss, loss_back = F.mse_loss(y, t)
        optimizer.zero_grad()
        back(loss_back()[0], needs_input_grad=False)
        optimizer.step()
        other = torch.nn.functional.mse_loss(theirs(torch.from_numpy(x)), torch.from_numpy(t))
        reference.zero_grad()
        other.backward()  # type: ignore[no-untyped-call]
        reference.step()
        assert close("loss", np.asarray(loss), twin.numpy(other), c=1000).passed
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    for key, p in theirs.named_parameters():
        compared = close(key, dict(ours.named_parameters())[key].data, twin.numpy(p), c=10_000)
        assert compared.passed, str(compared)


@every_network
def test_without_the_gradient_of_the_input(network: str) -> None:
    name, args, shape = NETWORKS[network]
    ours = getattr(scratch.models, name)(*args, dtype=np.float64, generator=Generator(0))
    x = np.random.default_rng(0).normal(size=shape)
    y, back = ours(x)
    dy = np.random.default_rng(1).normal(size=y.shape)
    assert back(dy).shape == x.shape
    full = {key: p.grad for key, p in ours.named_parameters()}
    ours.zero_grad()
    assert back(dy, needs_input_grad=False) is None
    for key, p in ours.named_parameters():
        np.testing.assert_array_equal(p.grad, full[key], err_msg=key)


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_contexts_of_different_lengths(cell: str) -> None:
    """Packed, each gives what it gives alone, in both twins, and its gradient."""
    torch.manual_seed(0)
    theirs = torch_ref.models.LSTMForecaster(2, 4, 2, 3, cell=cell).double()
    ours = scratch.models.LSTMForecaster(2, 4, 2, 3, cell=cell, dtype=np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    rng = np.random.default_rng(0)
    contexts = [rng.normal(size=(n, 2)) for n in (3, 6, 1)]
    sequence, pack_back = rnn.pack_sequence(contexts, enforce_sorted=False)
    y, back = ours(sequence)
    dy = rng.normal(size=y.shape)
    dxs = pack_back(back(dy))
    leaves = [torch.from_numpy(c.copy()).requires_grad_() for c in contexts]
    packed = torch_rnn.pack_sequence(leaves, enforce_sorted=False)
    other = theirs(packed)
    other.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, twin.numpy(other), rtol=1e-12, atol=1e-12)
    alone = np.stack([ours(c)[0] for c in contexts])
    np.testing.assert_allclose(y, alone, rtol=1e-12, atol=1e-12)
    for dx, leaf in zip(dxs, leaves, strict=True):
        assert leaf.grad is not None
        np.testing.assert_allclose(dx, twin.numpy(leaf.grad), rtol=1e-12, atol=1e-12)


def test_every_network_is_in_the_catalog() -> None:
    assert {entry.name for entry in ENTRIES} >= {name for name, *_ in NETWORKS.values()}
