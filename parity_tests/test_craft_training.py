"""Early stopping, the LR range test and diagnostics: both packages the same on the same weights."""

import copy
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import scratch
import scratch.training
import torch_ref.training
from datasets.split import batch_stream
from datasets.tasks import get
from parity_tests.experiments.twins import Twins, built, mlps
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import unchecked
from scratch import nn
from scratch.random import Generator

RNG = np.random.default_rng(2)
X, T = RNG.standard_normal((40, 6)), RNG.integers(0, 3, 40)
PICTURES = RNG.standard_normal((10, 2, 8, 8))


def same(ours: Any, theirs: Any) -> None:
    """The same names in the same order, the same numbers."""
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-11, atol=1e-13, err_msg=name)


def untouched(model: Any) -> Callable[[], None]:
    """What checks later that parameters, gradients, buffers, modes and hooks are as they were."""

    def look() -> tuple[Any, ...]:
        state = {k: np.asarray(v).copy() for k, v in model.state_dict().items()}
        grads = [None if p.grad is None else np.asarray(p.grad).copy() for p in model.parameters()]
        return state, grads, [m.training for m in model.modules()]

    state, grads, modes = look()

    def compare() -> None:
        now = look()
        same(now[0], state)
        assert all(np.array_equal(a, b) for a, b in zip(now[1], grads, strict=True))
        assert now[2] == modes
        hooks = [
            len(getattr(m, name))
            for m in model.modules()
            for name in ("_forward_hooks", "_backward_hooks")
        ]
        assert not any(hooks)

    return compare


def network(lib: Any) -> Any:
    """Convolution, batch norm, in-place ReLU, dropout: what a copy must not let out."""
    drop = [lib.Dropout(0.5, generator=Generator(1))] if lib is nn else [Drop()]
    conv = [lib.Conv2d(2, 4, 3), lib.BatchNorm2d(4), lib.ReLU(inplace=True), lib.MaxPool2d(2)]
    return lib.Sequential(*conv, lib.Flatten(), *drop, lib.Linear(36, 5), lib.Tanh())


class Drop(torch.nn.Module):
    """torch's dropout by a generator of its own, which draws as scratch's does."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = x m / (1 - p)."""
        if not self.training:
            return x
        return x * torch.bernoulli(torch.full_like(x, 0.5), generator=self.generator) / 0.5


# Early stopping


class Held(nn.Module):
    """One weight."""

    def __init__(self) -> None:
        self.w = nn.Parameter(np.zeros(1))


def both_stops(**options: Any) -> Iterator[tuple[Any, Any, Callable[[float], None]]]:
    """A stop and its module, and what sets the weight in place, in each package."""
    ours = Held()
    yield scratch.training.EarlyStopping(**options), ours, ours.w.data.fill
    theirs = torch.nn.Module()
    theirs.w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    fill: Any = theirs.w.data.fill_
    yield torch_ref.training.EarlyStopping(**options), theirs, fill


@pytest.mark.parametrize(
    ("options", "values", "stops", "best"),
    [
        ({"patience": 2}, [3.0, 2.0, 2.5, 1.9, 1.9, 1.9], 6, 4),
        ({"patience": 2}, [3.0, 2.0, 2.5, 2.0], 4, 2),
        ({"patience": 1}, [3.0, 3.0], 2, 1),
        ({"patience": 2, "min_delta": 0.5}, [3.0, 2.6, 2.5, 2.4, 2.0, 1.9], 3, 1),
        ({"patience": 2, "min_delta": 0.5}, [3.0, 2.6, 2.4, 2.0, 1.8, 1.7], None, 5),
        ({"patience": 2, "mode": "max"}, [0.5, 0.6, 0.6, 0.55], 4, 2),
        ({"patience": 2, "mode": "max", "min_delta": 0.1}, [0.5, 0.6, 0.65, 0.5, 0.4], 5, 3),
        ({"patience": 3}, [math.nan, 2.0, math.nan, 2.5, math.nan], 5, 2),
        ({"patience": 2}, [math.inf, math.nan, math.inf], 3, 1),
    ],
)
def test_early_stopping(
    options: dict[str, Any], values: list[float], stops: int | None, best: int
) -> None:
    for stop, module, put in both_stops(**options):
        end = None
        for step, value in enumerate(values, 1):
            put(step)
            if stop(step, value, module) and end is None:
                end = step
                break
        assert end == stops and stop.best_step == best and stop.stopped == (stops is not None)
        assert stop.best == values[best - 1]
        put(-1.0)  # what is kept is a copy
        stop.restore(module)
        assert float(np.asarray(stop.weights["w"])[0]) == best
        assert float(next(iter(module.state_dict().values()))[0]) == best


@pytest.mark.parametrize("cut", [0, 3])
def test_early_stopping_goes_on_from_its_state(cut: int) -> None:
    """By way of JSON, and from either package to the other."""
    values = [3.0, 2.0, 2.2, 2.1, 1.5, 1.6, 1.7, 1.8]
    states = []
    for stop, module, put in both_stops(patience=3):
        for step, value in enumerate(values[:cut], 1):
            put(step)
            stop(step, value, module)
        state = stop.state_dict()
        weights = state.pop("weights")
        arrays = None if weights is None else {k: np.asarray(v).copy() for k, v in weights.items()}
        states.append((json.loads(json.dumps(state)), arrays))
    assert states[0] == states[1]
    numbers, arrays = states[0]
    for stop, module, put in both_stops(patience=3):
        convert = torch.from_numpy if isinstance(module, torch.nn.Module) else np.copy
        held = None if arrays is None else {k: convert(v.copy()) for k, v in arrays.items()}
        stop.load_state_dict({**numbers, "weights": held})
        if held is not None:
            held["w"][...] = 77.0  # what was loaded is a copy
        ends = []
        for step, value in enumerate(values[cut:], cut + 1):
            put(step)
            ends.append(stop(step, value, module))
        assert ends == [False] * (7 - cut) + [True] and stop.best_step == 5
        stop.restore(module)
        assert float(np.asarray(stop.weights["w"])[0]) == 5


# LR range test


@pytest.mark.parametrize("mode", ["exponential", "linear"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_lr_range_test_of_both(optimizer: str, mode: str) -> None:
    split = get("iris").load(0)
    pair = mlps([4, 8, 3], "Tanh", 0)
    options = {"lr": 0.01, **({"momentum": 0.9} if optimizer == "SGD" else {})}
    ours = getattr(scratch.optim, optimizer)(pair.ours.parameters(), **options)
    theirs = getattr(torch.optim, optimizer)(pair.theirs.parameters(), **options)
    data = split.train_x, split.train_y
    for _ in scratch.training.train(pair.ours, ours, "cross_entropy", *data, [np.arange(9)] * 3):
        pass
    for _ in torch_ref.training.train(
        pair.theirs, theirs, "cross_entropy", *data, [np.arange(9)] * 3
    ):
        pass
    checks = [untouched(pair.ours), untouched(pair.theirs)]
    states = copy.deepcopy((ours.state_dict(), theirs.state_dict()))
    found: list[Any] = [
        package.training.lr_range_test(
            model,
            stepper,
            "cross_entropy",
            *data,
            batch_stream(len(data[0]), 16, 60, 1),
            low=1e-4,
            high=1e4,
            steps=60,
            mode=mode,
        )
        for package, model, stepper in (
            (scratch, pair.ours, ours),
            (torch_ref, pair.theirs, theirs),
        )
    ]
    mine, yours = found
    assert mine.rates == yours.rates and mine.diverged and yours.diverged
    assert 2 <= len(mine.rates) <= 60
    expected = np.geomspace(1e-4, 1e4, 60) if mode == "exponential" else np.linspace(1e-4, 1e4, 60)
    np.testing.assert_allclose(mine.rates, expected[: len(mine.rates)], rtol=1e-12)
    calm = [
        i for i, s in enumerate(mine.smoothed) if s < 10
    ]  # beyond, rounding grows with the rest
    for name in ("losses", "smoothed"):
        a, b = (np.array(getattr(f, name))[calm] for f in found)
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert mine.suggestion == yours.suggestion and mine.lowest == yours.lowest
    if mode == "exponential":
        assert mine.suggestion < mine.lowest
    for check in checks:
        check()
    for before, stepper in zip(states, (ours, theirs), strict=True):
        now = stepper.state_dict()
        assert now["param_groups"] == before["param_groups"]
        for key, values in before["state"].items():
            same(now["state"][key], values)


def test_suggestion_by_hand() -> None:
    for package in (scratch, torch_ref):
        made = package.training.lr_range_test.__globals__["RangeTest"]
        rates = [1.0, 10.0, 100.0, 1000.0, 1e4]
        falls = [5.0, 4.0, 2.9, 2.8, 6.0]  # by 1, 1.1, 0.1 along log r; by 1/9, 1.1/90 along r
        found = made("exponential", rates, [], falls)
        assert found.suggestion == 10.0 and found.lowest == 1000.0
        assert made("linear", rates, [], falls).suggestion == 1.0
        wide = [9.0, 5.0, 4.8, 4.0, 3.9, 3.8, 3.1]  # over two steps each, but for the first
        rates = [10.0**i for i in range(7)]
        assert made("exponential", rates, [], wide, window=2).suggestion == 1e2
        assert made("exponential", rates[:3], [], wide[:3], window=2).suggestion is None
        assert made("linear", rates[:2], [], [1.0, 2.0]).suggestion is None
        assert made("linear").suggestion is None and made("linear").lowest is None


# Diagnostics


def looks(pair: Twins, x: Array, loss: str, t: Array) -> list[tuple[Any, Any]]:
    """Each diagnosis of both; torch's generators stay where they are."""
    torch_state = torch.get_rng_state()
    t_torch = torch.from_numpy(t)
    x_torch = torch.from_numpy(x)
    found = [
        (
            scratch.training.activation_statistics(pair.ours, x),
            torch_ref.training.activation_statistics(pair.theirs, x_torch),
        ),
        (
            scratch.training.gradient_statistics(pair.ours, loss, x, t),
            torch_ref.training.gradient_statistics(pair.theirs, loss, x_torch, t_torch),
        ),
        (
            scratch.training.dead_units(pair.ours, x, batch_size=3),
            torch_ref.training.dead_units(pair.theirs, x_torch, batch_size=4),
        ),
        (
            scratch.training.nan_origin(pair.ours, loss, x, t),
            torch_ref.training.nan_origin(pair.theirs, loss, x_torch, t_torch),
        ),
    ]
    assert torch.equal(torch.get_rng_state(), torch_state)
    return found


@pytest.mark.parametrize("training", [True, False])
def test_statistics_of_both(training: bool) -> None:
    pair = built(network, 3)
    pair.ours.train(training)
    pair.theirs.train(training)
    checks = untouched(pair.ours), untouched(pair.theirs)
    t = RNG.standard_normal((10, 5))
    activations, gradients, dead, origins = looks(pair, PICTURES, "mse_loss", t)
    for ours, theirs in (activations, gradients):
        same(ours, theirs)
        assert set(ours) == {"", *map(str, range(8))}
    same(*dead)
    assert origins == (None, None)
    for check in checks:
        check()
    y = pair.ours(PICTURES)[0]  # dropout's generator is where it was, too
    np.testing.assert_allclose(y, twin.numpy(pair.theirs(torch.from_numpy(PICTURES))), atol=1e-13)
    assert activations[0][""] == activations[0]["7"]
    if training:
        values = y.ravel()
        expected = [values.mean(), values.std(), 0.0, np.linalg.norm(values), np.abs(values).max()]
        np.testing.assert_allclose(activations[0][""], expected, rtol=1e-13)
        assert 0.4 < activations[0]["5"].zeros < 0.8 and gradients[0]["2"].zeros > 0.5


def test_torchs_generator_stays_where_it_is() -> None:
    """Though torch's own dropout draws from it."""
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters())
    x, t = torch.from_numpy(X).float(), torch.from_numpy(T)
    calls: list[Callable[[], Any]] = [
        lambda: torch_ref.training.activation_statistics(model, x),
        lambda: torch_ref.training.gradient_statistics(model, "cross_entropy", x, t),
        lambda: torch_ref.training.nan_origin(model, "cross_entropy", x, t),
        lambda: torch_ref.training.overfit_one_batch(
            model, optimizer, "cross_entropy", x, t, steps=2
        ),
        lambda: torch_ref.training.lr_range_test(
            model, optimizer, "cross_entropy", x, t, [torch.arange(9)] * 3, steps=3
        ),
    ]
    for call in calls:
        torch.manual_seed(7)
        call()
        after = torch.rand(3)
        torch.manual_seed(7)
        assert torch.equal(torch.rand(3), after)


def test_a_module_that_runs_twice_counts_as_one() -> None:
    def make(lib: Any) -> Any:
        layer = lib.Linear(6, 6)
        return lib.Sequential(layer, lib.ReLU(), layer)

    pair = built(make, 0)
    activations, gradients, *_ = looks(pair, X, "mse_loss", X)
    for ours, theirs in (activations, gradients):
        same(ours, theirs)
        assert set(ours) == {"", "0", "1"}


def test_dead_units_are_dead_for_every_row() -> None:
    pair = mlps([6, 5, 3], "ReLU", 0)
    w, b = (p.data for p in list(pair.ours.parameters())[:2])
    w[1], b[1] = 0.0, -1.0  # dead
    w[2], b[2] = [1, 0, 0, 0, 0, 0], -X[:, 0].max() + 1e-3  # alive for one row
    pair.theirs.load_state_dict({k: torch.from_numpy(v) for k, v in pair.ours.state_dict().items()})
    (ours, theirs) = looks(pair, X, "cross_entropy", T)[2]
    same(ours, theirs)
    hidden = next(name for name in ours if ours[name].any())
    assert ours[hidden].tolist()[1:3] == [True, False]
    assert not scratch.training.dead_units(pair.ours, X[X[:, 0].argmax()][None])[hidden][2]
    assert scratch.training.dead_units(pair.ours, X[X[:, 0].argmin()][None])[hidden][2]


def test_dropout_kills_no_unit() -> None:
    ours = scratch.training.dead_units(nn.Dropout(1.0), X + 9)[""]
    theirs = torch_ref.training.dead_units(torch.nn.Dropout(1.0), torch.from_numpy(X + 9))[""]
    assert not ours.any() and not theirs.any()


def test_dead_channels_and_units_of_sequences() -> None:
    x = np.ones((4, 3, 5))
    x[:, 1], x[:, :, 2] = 0, 0
    for axis, expected in ((1, [0, 1, 0]), (2, [0, 0, 1, 0, 0])):
        ours = scratch.training.dead_units(nn.ReLU(), x, axis=axis)[""]
        theirs = torch_ref.training.dead_units(torch.nn.ReLU(), torch.from_numpy(x), axis=axis)[""]
        assert ours.tolist() == theirs.tolist() == [bool(v) for v in expected]


def test_gradient_norms_and_update_ratios() -> None:
    pair = mlps([6, 5, 3], "ReLU", 0)
    before = pair.ours.state_dict()
    optimizers = (
        scratch.optim.SGD(pair.ours.parameters(), lr=0.1),
        torch.optim.SGD(pair.theirs.parameters(), lr=0.1),
    )
    torch_before = {k: v.clone() for k, v in pair.theirs.state_dict().items()}
    assert scratch.training.gradient_norms(pair.ours) == {}
    next(scratch.training.train(pair.ours, optimizers[0], "cross_entropy", X, T, [np.arange(40)]))
    next(
        torch_ref.training.train(pair.theirs, optimizers[1], "cross_entropy", X, T, [np.arange(40)])
    )
    norms = scratch.training.gradient_norms(pair.ours)
    same(norms, torch_ref.training.gradient_norms(pair.theirs))
    ratios = scratch.training.update_ratios(pair.ours, before)
    same(ratios, torch_ref.training.update_ratios(pair.theirs, torch_before))
    for name, ratio in ratios.items():  # a step of SGD is lr g
        assert ratio == pytest.approx(0.1 * norms[name] / np.linalg.norm(before[name]), rel=1e-12)
    zeros = {k: 0 * v for k, v in before.items()}
    assert set(scratch.training.update_ratios(pair.ours, zeros).values()) == {math.inf}
    assert set(scratch.training.update_ratios(pair.ours, pair.ours.state_dict()).values()) == {0.0}


def test_norms_of_sparse_gradients() -> None:
    ids = np.array([[1, 1, 3]])
    ours = nn.Embedding(5, 2, sparse=True, dtype=np.float64)
    theirs = torch.nn.Embedding(5, 2, sparse=True, dtype=torch.float64)
    _, back = ours(ids)
    back(np.ones((1, 3, 2)))
    theirs(torch.from_numpy(ids)).sum().backward()
    norms = scratch.training.gradient_norms(ours)
    assert norms["weight"] == pytest.approx(math.sqrt(10), rel=1e-15)
    same(norms, torch_ref.training.gradient_norms(theirs))


# Where NaN begins


class Log(nn.Module):
    """y = log x: -inf at 0, its gradient infinite there."""

    def forward(self, x: Array) -> Any:
        return np.log(x), lambda dy: dy / x


class TorchLog(torch.nn.Module):
    """The same in torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = log x."""
        return x.log()


class Root(nn.Module):
    """y = sqrt |x|: 0 at 0, where its gradient is 0 / 0."""

    def forward(self, x: Array) -> Any:
        y = np.sqrt(np.abs(x))
        return y, lambda dy: dy * np.sign(x) / (2 * y)


class TorchRoot(torch.nn.Module):
    """The same in torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = sqrt |x|."""
        return x.abs().sqrt()


class Residual(nn.Module):
    """y = x + f(x)."""

    def __init__(self, f: Any) -> None:
        self.f = f

    def forward(self, x: Array) -> Any:
        y, back = self.f(x)
        return x + y, lambda dy: dy + back(dy)


class TorchResidual(torch.nn.Module):
    """The same in torch."""

    def __init__(self, f: torch.nn.Module) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = x + f(x)."""
        y: torch.Tensor = x + self.f(x)
        return y


def stack(kind: str, lib: Any) -> Any:
    """Linear, a block with ReLU and what may break, Linear."""
    logs = {"log": (Log, TorchLog), "root": (Root, TorchRoot), "tanh": (nn.Tanh, torch.nn.Tanh)}
    broken = logs[kind][lib is not nn]()
    wrap = Residual if lib is nn else TorchResidual
    return lib.Sequential(
        lib.Linear(6, 4), wrap(lib.Sequential(lib.ReLU(), broken)), lib.Linear(4, 3)
    )


def spoil(name: str, value: float) -> Callable[[Twins], None]:
    def put(pair: Twins) -> None:
        dict(pair.ours.named_parameters())[name].data.flat[0] = value
        with torch.no_grad():
            dict(pair.theirs.named_parameters())[name].view(-1)[0] = value

    return put


BIG = X.copy()
BIG[3, 2] = np.inf


@pytest.mark.parametrize(
    ("kind", "change", "x", "loss", "expected"),
    [
        ("tanh", None, X, "cross_entropy", None),
        ("tanh", None, BIG, "cross_entropy", ("input", "")),
        ("tanh", spoil("2.weight", math.nan), X, "cross_entropy", ("parameter", "2.weight")),
        ("log", None, X, "cross_entropy", ("forward", "1.f.1")),
        ("tanh", spoil("0.weight", 1.7e308), X * 100, "cross_entropy", ("forward", "0")),
        ("root", None, X, "cross_entropy", ("backward", "1.f.1")),
        ("tanh", spoil("2.bias", -1e200), X, "mse", ("loss", "")),
        ("tanh", None, X, "root", ("backward", "")),
    ],
)
def test_origin_of_the_first_nan(
    kind: str, change: Any, x: Array, loss: str, expected: tuple[str, str] | None
) -> None:
    pair = built(partial(stack, kind), 0)
    if change:
        change(pair)
    t: Array = T
    losses: Any = (loss, loss)
    if loss == "mse":
        losses, t = ("mse_loss", "mse_loss"), np.zeros((40, 3))
    if loss == "root":  # sqrt(sum y^2 - sum y^2): 0 whose gradient is 0 / 0

        def ours_root(y: Array, t: Array) -> Any:
            return np.sqrt(np.abs(y.sum() - y.sum())), lambda: np.full_like(y, np.nan)

        def theirs_root(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return (y.sum() - y.sum()).abs().sqrt()

        losses = ours_root, theirs_root
    checks = untouched(pair.ours), untouched(pair.theirs)
    ours: Any = scratch.training.nan_origin(pair.ours, losses[0], x, t)
    theirs = torch_ref.training.nan_origin(pair.theirs, losses[1], x, torch.from_numpy(t))
    assert ours == theirs == expected
    for check in checks:
        check()


def test_origin_in_a_gradient_alone() -> None:
    """dW = x^T dy overflows; the gradient of x does not."""
    pair = built(lambda lib: lib.Sequential(lib.Linear(6, 3)), 0)
    spoil("0.weight", 0.0)(pair)
    x = np.full((40, 6), 1e300)
    for p in pair.ours.parameters():
        p.data = p.data * 1e-290
    pair.theirs.load_state_dict({k: torch.from_numpy(v) for k, v in pair.ours.state_dict().items()})
    losses: Any = (
        lambda y, t: (y.sum() * 1e9, lambda: np.full_like(y, 1e9)),
        lambda y, t: y.sum() * 1e9,
    )
    ours: Any = scratch.training.nan_origin(pair.ours, losses[0], x, T)
    theirs = torch_ref.training.nan_origin(pair.theirs, losses[1], x, T)
    assert ours == theirs == ("gradient", "0.weight")


def test_origin_with_integer_inputs() -> None:
    """Which have no gradient: torch's outer hooks then run first."""

    def make(lib: Any) -> Any:
        root = Root() if lib is nn else TorchRoot()
        return lib.Sequential(lib.Embedding(5, 4), lib.ReLU(), root, lib.Linear(4, 3))

    pair = built(make, 0)
    ids = RNG.integers(0, 5, 40)
    ours: Any = scratch.training.nan_origin(pair.ours, "cross_entropy", ids, T)
    theirs = torch_ref.training.nan_origin(pair.theirs, "cross_entropy", ids, T)
    assert ours == theirs == ("backward", "2")


class Within(nn.Module):
    """y = sqrt(0 f(x)), the root no module: 0, and its gradient 0 / 0."""

    def __init__(self, f: Any) -> None:
        self.f = f

    def forward(self, x: Array) -> Any:
        z, back = self.f(x)
        y = np.sqrt(0 * np.abs(z))
        return y, lambda dy: back(dy / (2 * y) * 0)


class TorchWithin(torch.nn.Module):
    """The same in torch."""

    def __init__(self, f: torch.nn.Module) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = sqrt(0 |f(x)|)."""
        y: torch.Tensor = (0 * self.f(x).abs()).sqrt()
        return y


def test_origin_in_what_is_no_module() -> None:
    """The module that computes it is named, and not the one whose output gradient it spoils."""

    def make(lib: Any) -> Any:
        wrap = Within if lib is nn else TorchWithin
        return lib.Sequential(wrap(lib.Linear(6, 4)), lib.Linear(4, 3))

    pair = built(make, 0)
    ours: Any = scratch.training.nan_origin(pair.ours, "cross_entropy", X, T)
    assert ours == torch_ref.training.nan_origin(pair.theirs, "cross_entropy", X, T)
    assert ours == ("backward", "0")


def test_running_statistics_are_no_origin() -> None:
    """Batch norm stores the NaN of the forward that is looked at."""

    def make(lib: Any) -> Any:
        log = Log() if lib is nn else TorchLog()
        return lib.Sequential(lib.ReLU(), log, lib.BatchNorm1d(6), lib.Linear(6, 3))

    pair = built(make, 0)
    ours: Any = scratch.training.nan_origin(pair.ours, "cross_entropy", X, T)
    assert ours == torch_ref.training.nan_origin(pair.theirs, "cross_entropy", X, T)
    assert ours == ("forward", "1")


# One batch


@pytest.mark.parametrize("bound", [0.05, 0.0])
def test_overfit_one_batch(bound: float) -> None:
    pair = mlps([6, 16, 3], "Tanh", 0)
    stepper = scratch.optim.Adam(pair.ours.parameters(), lr=0.02)
    torch_stepper = torch.optim.Adam(pair.theirs.parameters(), lr=0.02)
    checks = untouched(pair.ours), untouched(pair.theirs)
    x, t = X[:12], T[:12]
    ours = scratch.training.overfit_one_batch(
        pair.ours, stepper, "cross_entropy", x, t, steps=150, bound=bound
    )
    theirs = torch_ref.training.overfit_one_batch(
        pair.theirs, torch_stepper, "cross_entropy", x, t, steps=150, bound=bound
    )
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-10)
    assert ours.step == theirs.step
    if bound:
        assert ours.step is not None and len(ours.losses) == ours.step + 1 < 150
        assert ours.losses[-1] <= bound < ours.losses[-2]
    else:
        assert ours.step is None and len(ours.losses) == 151
    for check in checks:
        check()
    assert not stepper.state and not torch_stepper.state


def test_one_batch_that_runs_away() -> None:
    pair = mlps([6, 16, 3], "ReLU", 0)
    x, t = X[:12] * 1e3, np.zeros((12, 3))
    for package, model in ((scratch, pair.ours), (torch_ref, pair.theirs)):
        optim: Any = scratch.optim if package is scratch else torch.optim
        stepper = optim.SGD(model.parameters(), lr=10.0)
        found: Any = package.training.overfit_one_batch(model, stepper, "mse_loss", x, t)
        assert found.step is None and len(found.losses) < 100
        assert not math.isfinite(found.losses[-1]) and math.isfinite(found.losses[-2])


# Verdicts

FALLING = np.exp(-np.arange(50) / 10)


@pytest.mark.parametrize(
    ("train", "validation", "call"),
    [
        (FALLING, FALLING + 0.1, "good"),
        (FALLING, FALLING + 0.3 * (1 - FALLING) * np.linspace(0, 1, 50), "overfitting"),
        (np.maximum(FALLING, 0.6), np.maximum(FALLING, 0.7), "underfitting"),
        (np.full(50, 1.0), np.full(50, 1.0), "no learning"),
        (1 - 0.005 * np.linspace(0, 1, 50), np.full(50, 1.0), "no learning"),
        (np.linspace(1, 2, 50), FALLING, "diverging"),
        (np.where(np.arange(50) == 7, np.nan, FALLING), FALLING, "diverging"),
        (FALLING, np.where(np.arange(50) == 7, np.inf, FALLING), "diverging"),
        # validation rises, yet so does the training loss: not by heart
        (np.concatenate([FALLING[:25], np.full(25, 0.4)]), FALLING[::-1] * 0 + 0.5, "good"),
        ([1.0, 0.3, 0.2], [1.0, 0.5, 0.9], "overfitting"),
        (
            np.concatenate([FALLING[:25], np.full(25, 0.4)]),
            np.concatenate([FALLING[:25], np.full(25, 0.45)]),
            "good",
        ),
    ],
)
def test_curves(train: Any, validation: Any, call: str) -> None:
    ours: Any = scratch.training.diagnose_curves(train, validation)
    assert ours == torch_ref.training.diagnose_curves(train, validation)
    assert ours.call == call


@pytest.mark.parametrize(
    ("norms", "call"),
    [
        ([1.0, 0.5, 2.0], "good"),
        ([0.9e-3, 5.0, 1.0], "vanishing"),
        ([1.1e-3, 5.0, 1.0], "good"),
        ([1001.0, 5.0, 1.0], "exploding"),
        ([1.0, math.nan, 1.0], "exploding"),
        ([0.0, 0.0], "good"),
        ([0.0, 1.0], "vanishing"),
    ],
)
def test_gradients(norms: list[float], call: str) -> None:
    named = {str(i): n for i, n in enumerate(norms)}
    ours: Any = scratch.training.diagnose_gradients(named)
    assert ours == torch_ref.training.diagnose_gradients(named)
    assert ours.call == call


# Refusals that test_refusals leaves out


def test_refusals() -> None:
    training = scratch.training
    model = nn.Linear(6, 3, dtype=np.float64)
    stepper = scratch.optim.SGD(model.parameters())
    sweep = partial(training.lr_range_test, model, stepper, "cross_entropy", X, T)
    stop = training.EarlyStopping()
    batch = partial(training.overfit_one_batch, model, stepper, "cross_entropy", X, T)
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("EarlyStopping", lambda: training.EarlyStopping(patience=0)),
        ("EarlyStopping", lambda: training.EarlyStopping(min_delta=-1)),
        ("EarlyStopping", lambda: training.EarlyStopping(mode="best")),
        ("EarlyStopping", lambda: stop(1, unchecked("0.5"), model)),
        ("EarlyStopping", lambda: stop(unchecked(0.5), 0.5, model)),
        ("EarlyStopping", lambda: stop(1, 0.5, unchecked(None))),
        ("EarlyStopping.restore", lambda: stop.restore(model)),
        ("EarlyStopping.restore", lambda: stop.restore(unchecked(None))),
        ("EarlyStopping.load_state_dict", lambda: stop.load_state_dict(unchecked([]))),
        ("EarlyStopping.load_state_dict", lambda: stop.load_state_dict({"best": 1.0})),
        (
            "EarlyStopping.load_state_dict",
            lambda: stop.load_state_dict(
                {"best": 1.0, "best_step": None, "bad": 0, "weights": None}
            ),
        ),
        (
            "EarlyStopping.load_state_dict",
            lambda: stop.load_state_dict(
                {"best": 1.0, "best_step": 1, "bad": 0, "weights": {"w": [1.0]}}
            ),
        ),
        ("lr_range_test", lambda: sweep([], low=0.0)),
        ("lr_range_test", lambda: sweep([], low=1.0, high=0.5)),
        ("lr_range_test", lambda: sweep([], steps=1)),
        ("lr_range_test", lambda: sweep([], mode="cosine")),
        ("lr_range_test", lambda: sweep([], smoothing=1.0)),
        ("lr_range_test", lambda: sweep([], diverge=1.0)),
        ("lr_range_test", lambda: sweep([np.arange(3)] * 5, steps=6)),
        ("overfit_one_batch", lambda: batch(steps=0)),
        ("overfit_one_batch", lambda: batch(bound=-1.0)),
        ("activation_statistics", lambda: training.activation_statistics(unchecked(None), X)),
        ("gradient_statistics", lambda: training.gradient_statistics(model, "entropy", X, T)),
        ("nan_origin", lambda: training.nan_origin(model, "entropy", X, T)),
        ("dead_units", lambda: training.dead_units(model, X[:0])),
        ("dead_units", lambda: training.dead_units(model, X, axis=0)),
        ("dead_units", lambda: training.dead_units(model, X, batch_size=0)),
        ("gradient_norms", lambda: training.gradient_norms(unchecked(X))),
        ("update_ratios", lambda: training.update_ratios(model, {})),
        ("update_ratios", lambda: training.update_ratios(model, {"weight": X, "bias": X})),
        ("diagnose_curves", lambda: training.diagnose_curves([1.0, 2.0], [1.0, 2.0])),
        ("diagnose_curves", lambda: training.diagnose_curves([1.0] * 4, [1.0] * 3)),
        ("diagnose_curves", lambda: training.diagnose_curves(unchecked("abc"), [1.0] * 3)),
        ("diagnose_curves", lambda: training.diagnose_curves([1.0] * 3, [1.0] * 3, high=2)),
        ("diagnose_gradients", lambda: training.diagnose_gradients({"a": 1.0})),
        ("diagnose_gradients", lambda: training.diagnose_gradients({"a": 1.0, "b": 1}, ratio=1)),
    ]
    start = model.state_dict()
    for name, call in calls:
        with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .*, got "):
            call()
    same(model.state_dict(), start)
    assert stop.best is None and stop.bad == 0
    theirs = torch_ref.training
    other = torch.nn.Linear(6, 3)
    torch_stepper = torch.optim.SGD(other.parameters())
    torch_calls: list[Callable[[], Any]] = [
        lambda: theirs.EarlyStopping(patience=0),
        lambda: theirs.EarlyStopping(mode="best"),
        lambda: theirs.EarlyStopping().restore(other),
        lambda: theirs.lr_range_test(other, torch_stepper, "mse_loss", X, X, [], low=0.0),
        lambda: theirs.overfit_one_batch(other, torch_stepper, "mse_loss", X, X, steps=0),
        lambda: theirs.diagnose_curves([1.0], [1.0]),
        lambda: theirs.diagnose_gradients({}),
    ]
    for call in torch_calls:
        with pytest.raises(ValueError, match=r"^\w[\w.]*: expected .*, got "):
            call()
