"""ASGD, Rprop, Adagrad, Adadelta, RMSprop, Adamax, NAdam, RAdam: beside torch and by themselves."""

import copy
import math
import tracemalloc
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from parity_tests.harness.check import check
from parity_tests.harness.compare import close
from parity_tests.harness.database import ENGINE, optimizer_options
from parity_tests.harness.entry import Optim
from parity_tests.pitfalls import optim_elementwise as plain_optimizers
from parity_tests.test_optim import (
    SHAPES,
    Array,
    assert_close,
    give,
    gradients,
    label,
    plain,
    starts,
    tensors,
    twins,
)
from scratch.nn import Parameter
from scratch.optim.optimizer import BLOCK

NAMES = ("ASGD", "Rprop", "Adagrad", "Adadelta", "RMSprop", "Adamax", "NAdam", "RAdam")
EPS = float(np.finfo(np.float64).eps)
# All that an update can do at once.
FULL: dict[str, dict[str, Any]] = {
    "ASGD": {"lambd": 0.1, "t0": 5, "weight_decay": 0.1, "maximize": True},
    "Rprop": {"lr": 0.1, "maximize": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "maximize": True},
    "Adadelta": {"lr": 10.0, "weight_decay": 0.1, "maximize": True},
    "RMSprop": {"centered": True, "momentum": 0.9, "weight_decay": 0.1, "maximize": True},
    "Adamax": {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
    "NAdam": {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
    "RAdam": {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
}


# Beside torch


CONFIGURATIONS = [(name, options) for name in NAMES for options in optimizer_options(name)]


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS, ids=label)
def test_thousand_steps_of_torchs_configurations(name: str, options: dict[str, Any]) -> None:
    """float64, against torch's loop, the learning rate cut half way."""
    ours, optimizer, theirs, reference = twins(name, options, "float64", foreach=False)
    for step, drawn in enumerate(gradients(1000, "float64")):
        if step == 500:
            for group in (optimizer.param_groups[0], reference.param_groups[0]):
                group["lr"] = 0.1 * float(group["lr"])
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
        if step + 1 in (1, 10, 100, 1000):
            assert_close(ours, theirs, c=16)


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS, ids=label)
def test_torchs_configurations_in_float32(name: str, options: dict[str, Any]) -> None:
    """200 steps; the truth is torch's loop in float64."""
    ours, optimizer, theirs, reference = twins(name, options, "float32", foreach=False)
    *_, truth, exact = twins(name, options, "float64", foreach=False)
    for step, drawn in enumerate(gradients(200, "float32")):
        if step == 100:
            for other in (optimizer, reference, exact):
                other.param_groups[0]["lr"] = 0.1 * float(other.param_groups[0]["lr"])
        give(ours, theirs, drawn)
        give(ours, truth, drawn)
        for other in (optimizer, reference, exact):
            other.step()
    assert all(p.data.dtype == np.float32 for p in ours)
    assert_close(ours, theirs, truth=truth)


def bowl(p: Array) -> Array:
    """Gradient of a quadratic whose curvatures lie between 1 and 100; minimum 1."""
    gradient: Array = (p - 1) * np.geomspace(1, 100, p.size).reshape(p.shape)
    return gradient


def rosenbrock(p: Array) -> Array:
    """Gradient of (1 - x)^2 + 100 (y - x^2)^2 for each row (x, y)."""
    x, y = p[..., 0], p[..., 1]
    return np.stack([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)], axis=-1)


TASKS: dict[str, tuple[Callable[[Array], Array], Array]] = {
    "bowl": (bowl, np.random.default_rng(0).standard_normal((3, 4))),
    "rosenbrock": (rosenbrock, np.array([[-1.2, 1.0], [0.3, -0.7]])),
}
DESCENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ASGD", {"lr": 1e-3, "t0": 100, "weight_decay": 0.01}),
    ("Rprop", {}),
    ("Adagrad", {"lr": 0.5, "weight_decay": 0.01}),
    ("Adadelta", {"lr": 0.1, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 1e-3}),
    ("RMSprop", {"lr": 1e-3, "centered": True, "momentum": 0.9, "weight_decay": 0.01}),
    ("Adamax", {"lr": 0.02, "weight_decay": 0.01}),
    ("NAdam", {"lr": 0.02, "weight_decay": 0.01, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 1e-3, "weight_decay": 0.01}),
)


def descend(
    name: str, options: dict[str, Any], task: str, steps: Sequence[int], nudge: bool = False
) -> list[float]:
    """How far scratch and torch are apart, relatively, after so many steps down a task.

    With `nudge` two runs of torch are compared, one of which starts a float higher.
    """
    gradient, start = TASKS[task]
    p = Parameter(start.copy())
    q = torch.nn.Parameter(torch.from_numpy(start.copy()))
    r = torch.nn.Parameter(torch.from_numpy(np.nextafter(start, np.inf)))
    optimizers = [getattr(scratch.optim, name)([p], **options)]
    optimizers += [getattr(torch.optim, name)([x], **options, foreach=False) for x in (q, r)]
    apart = []
    for step in range(steps[-1]):
        p.grad = gradient(p.data)
        for x in (q, r):
            x.grad = torch.from_numpy(gradient(plain(x)))
        for optimizer in optimizers:
            if step == 500:
                optimizer.param_groups[0]["lr"] *= 0.1
            optimizer.step()
        if step + 1 in steps:
            there = plain(q)
            other = plain(r) if nudge else p.data
            apart.append(float(np.max(np.abs(other - there)) / np.max(np.abs(there))))
    return apart


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("name", "options"), DESCENTS)
def test_thousand_steps_down(name: str, options: dict[str, Any], task: str) -> None:
    """The gradient follows the parameters; rounding stays rounding."""
    assert max(descend(name, options, task, (1, 10, 100, 1000))) < 16 * EPS


@pytest.mark.parametrize(
    ("name", "options"), [("Adadelta", {"eps": 1e-4}), ("RMSprop", {"lr": 0.01, "momentum": 0.5})]
)
def test_where_paths_part_torch_parts_from_itself(name: str, options: dict[str, Any]) -> None:
    """Steps too large for Rosenbrock's valley jump from wall to wall: that is no path to compare.

    There a difference of one float in the start grows to 1e-5 and more; the first steps agree.
    """
    assert max(descend(name, options, "rosenbrock", (1, 10, 50))) < 64 * EPS
    assert descend(name, options, "rosenbrock", (1000,), nudge=True)[0] > 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_torchs_foreach_engine(name: str) -> None:
    """The same numbers, but of ASGD: there eta is computed in float32, in the loop only rounded."""
    ours, optimizer, theirs, reference = twins(name, FULL[name], "float64", foreach=True)
    for drawn in gradients(100, "float64"):
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
    if name != "ASGD":
        assert_close(ours, theirs, c=16)
    else:
        p, q = ours[0].data, plain(theirs[0])
        assert 1e-9 < np.max(np.abs(p - q)) / np.max(np.abs(q)) < 1e-6


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_state_moves_across_mid_run(name: str, dtype: str) -> None:
    """torch, scratch, torch, beside a torch run that is saved and loaded at the same steps.

    Early enough that a mistake in a counter or product shows. In float64 even torch does not go on
    from a saved NAdam as if nothing were: loading casts mu_product from float32, and so do we.
    """
    options = FULL[name]
    ours, optimizer, theirs, reference = twins(name, options, dtype, foreach=False)
    stay, _, other, undisturbed = twins(name, options, dtype, foreach=False)
    for step, drawn in enumerate(gradients(40, dtype)):
        if step in (3, 16):
            saved = undisturbed.state_dict()
            undisturbed = getattr(torch.optim, name)(other, lr=0.5, foreach=False)
            undisturbed.load_state_dict(saved)
        if step == 3:  # torch to scratch: other options, which the state dict replaces
            for p, q in zip(ours, theirs, strict=True):
                p.data = plain(q)
            optimizer = getattr(scratch.optim, name)(ours, lr=0.5)
            optimizer.load_state_dict(plain(reference.state_dict()))
        if step == 16:  # and back
            for p, q in zip(ours, theirs, strict=True):
                q.data.copy_(torch.from_numpy(p.data))
            reference = getattr(torch.optim, name)(theirs, lr=0.5, foreach=False)
            reference.load_state_dict(tensors(optimizer.state_dict()))
        give(ours, theirs, drawn)
        give(stay, other, drawn)
        undisturbed.step()
        (optimizer if 3 <= step < 16 else reference).step()
    limit = 16 if dtype == "float64" else 4 * 40
    for q, expected in zip(theirs, other, strict=True):
        comparison = close("parameter", plain(q), plain(expected), c=limit)
        assert comparison.passed, str(comparison)
    state, expected_state = (plain(o.state_dict()["state"]) for o in (reference, undisturbed))
    assert_same_state(state, expected_state, limit)


def assert_same_state(
    found: dict[int, Any],
    expected: dict[int, Any],
    c: float,
    largest: dict[tuple[int, str], float] | None = None,
) -> None:
    """`largest` is kept over calls: a mean in which large gradients cancelled has their error."""
    largest = {} if largest is None else largest
    assert found.keys() == expected.keys()
    for index, values in expected.items():
        assert list(found[index]) == list(values)
        for key, value in values.items():
            where = index, key
            largest[where] = max(largest.get(where, 0.0), float(np.max(np.abs(value), initial=0)))
            mine = found[index][key]
            comparison = close(f"{key} of {index}", mine, value, c=c, at_least=largest[where])
            assert comparison.passed, str(comparison)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_state_dict_is_torchs(name: str, dtype: str) -> None:
    """Names in order, shapes, dtypes, values and groups; Adagrad's state from the beginning."""
    ours, optimizer, theirs, reference = twins(name, FULL[name], dtype, foreach=False)
    c = 16 if dtype == "float64" else 4 * 40
    largest: dict[tuple[int, str], float] = {}
    assert_same_state(optimizer.state_dict()["state"], plain(reference.state_dict()["state"]), c)
    for drawn in gradients(40, dtype):
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
        saved, expected = optimizer.state_dict(), plain(reference.state_dict())
        assert_same_state(saved["state"], expected["state"], c, largest)
    for group, other in zip(saved["param_groups"], expected["param_groups"], strict=True):
        kept = {k: v for k, v in other.items() if k not in ENGINE}
        assert {k: group[k] for k in kept} == kept


def test_rmsprop_keeps_what_it_uses() -> None:
    """Momentum and the mean gradient are in the state only where they are switched on."""
    for options in ({}, {"momentum": 0.9}, {"centered": True}):
        ours, optimizer, theirs, reference = twins("RMSprop", options, "float64")
        for drawn in gradients(2, "float64"):
            give(ours, theirs, drawn)
            optimizer.step()
            reference.step()
        assert_same_state(
            optimizer.state_dict()["state"], plain(reference.state_dict()["state"]), 64
        )


@pytest.mark.parametrize("name", NAMES)
def test_groups_and_added_groups(name: str) -> None:
    """Options by group, and a group that comes after ten steps (with the defaults for the rest)."""
    pairs: list[tuple[Any, Any]] = []
    ours = [Parameter(p.copy()) for p in starts("float64")]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in starts("float64")]
    for package, p, engine in (
        (scratch.optim, ours, {}),
        (torch.optim, theirs, {"foreach": False}),
    ):
        groups = [{"params": [p[0]], "lr": 0.03}, {"params": p[1:3], "maximize": True}]
        pairs.append((getattr(package, name)(groups, lr=0.01, **engine), p))
    extra = {"initial_accumulator_value": 2.0} if name == "Adagrad" else {}
    for step, drawn in enumerate(gradients(40, "float64")):
        give(ours, theirs, drawn)
        for optimizer, p in pairs:
            if step == 10:
                optimizer.add_param_group({"params": p[3:], "lr": 0.1, **extra})
            optimizer.step()
    assert_close(ours, theirs, c=16)
    (optimizer, _), (reference, _) = pairs
    assert_same_state(optimizer.state_dict()["state"], plain(reference.state_dict()["state"]), 64)


@pytest.mark.parametrize("name", NAMES)
def test_none_is_skipped_and_zero_is_not(name: str) -> None:
    """Without a gradient nothing changes, not even the count; a gradient of zeros is a step."""
    ours, optimizer, theirs, reference = twins(name, FULL[name], "float64", foreach=False)
    for drawn in gradients(8, "float64"):
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
    for value in (None, 0.0):
        before = [p.data.copy() for p in ours], copy.deepcopy(optimizer.state_dict()["state"])
        drawn = [None if value is None else np.zeros(shape) for shape in SHAPES]
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
        after = [p.data for p in ours], optimizer.state_dict()["state"]
        if value is None:
            np.testing.assert_equal(after, before)
        else:
            assert all(after[1][i]["step"] == before[1][i]["step"] + 1 for i in range(len(ours)))
            moved = not np.array_equal(after[0][0], before[0][0])
            assert moved == (name != "Rprop")  # which rests where the gradient is 0
        assert_close(ours, theirs, c=16)


def test_extremes_go_where_torchs_go() -> None:
    """NaN and infinity are not refused; squares vanish and overflow at the same gradients."""
    values = np.array([np.nan, np.inf, -1e20, 3e-23, 1e-30, 0.0, 1.0], np.float32)
    for name in NAMES:
        for options in ({}, {k: v for k, v in FULL[name].items() if k != "maximize"}):
            p, q = Parameter(np.ones(7, np.float32)), torch.nn.Parameter(torch.ones(7))
            optimizer = getattr(scratch.optim, name)([p], **options)
            reference = getattr(torch.optim, name)([q], **options)
            for sign in (1, 1, -1):
                p.grad, q.grad = sign * values, torch.from_numpy(sign * values)
                with np.errstate(all="ignore"):
                    optimizer.step()
                reference.step()
                assert close(name, p.data, plain(q), c=64).passed, (name, p.data, q)


def test_rprop_of_vanishing_and_overflowing_products() -> None:
    """g h is 0 in floating point: s stays, and p moves on; where it is infinite it has its sign."""
    tiny, huge = 1e-200, 1e200
    p, q = Parameter(np.zeros(2)), torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer, reference = scratch.optim.Rprop([p], lr=0.1), torch.optim.Rprop([q], lr=0.1)
    found = []
    for sign in (1, 1, -1, -1):
        g = np.array([sign * tiny, sign * huge])
        p.grad, q.grad = g, torch.from_numpy(g)
        optimizer.step()
        reference.step()
        found.append(p.data.copy())
    assert np.allclose(
        found, [[-0.1, -0.1], [-0.2, -0.22], [-0.1, -0.22], [0.0, -0.16]], atol=1e-15
    )
    assert np.array_equal(p.data, plain(q))


# By themselves: what the equations say where they can be solved


def path(name: str, gradient: Callable[[Array, int], Array], steps: int, **options: Any) -> Array:
    """The parameter before step 1, where it is 2.0, and after every step under gradient(p, t)."""
    p = Parameter(np.array([2.0]))
    optimizer = getattr(scratch.optim, name)([p], **options)
    found = [p.data.copy()]
    for t in range(1, steps + 1):
        p.grad = gradient(p.data, t)
        optimizer.step()
        found.append(p.data.copy())
    return np.concatenate(found)


def constant(c: float) -> Callable[[Array, int], Array]:
    return lambda p, t: np.array([c])


T = np.arange(1, 1001, dtype=np.float64)  # step numbers
GRADIENTS = pytest.mark.parametrize("c", [3.0, -0.02, 1e-7])


def assert_steps(found: Array, steps: Array, limit: float = 1e-12) -> None:
    """The path is 2 minus the sum of these steps; `limit` is relative to the longest way."""
    expected = 2 - np.cumsum(steps)
    way = 2 + np.sum(np.abs(steps))
    assert np.max(np.abs(found[1:] - expected)) <= limit * way


def test_asgd_on_a_parabola() -> None:
    """p_t = 2 prod (1 - (k + lambd) eta_s); a is the mean of p over the steps from t0 + 2 on."""
    k, lr, t0 = 0.5, 2.0**-6, 400
    found = path("ASGD", lambda p, t: k * p, 1000, lr=lr, lambd=0.0, t0=t0)
    assert np.allclose(found, 2 * (1 - k * lr) ** np.arange(1001), rtol=1e-12, atol=0)

    lambd, alpha = 0.1, 0.75
    eta = lr / (1 + lambd * lr * (T - 1)) ** alpha
    shrink = (k + lambd) * eta
    found = path("ASGD", lambda p, t: k * p, 1000, lr=lr, lambd=lambd, alpha=alpha)
    # Each eta is rounded to float32, by at most 2^-24 of it.
    limit = 2.0**-24 * np.sum(shrink / (1 - shrink))
    assert np.max(np.abs(found[1:] / (2 * np.cumprod(1 - shrink)) - 1)) < limit

    p = Parameter(np.array([2.0]))
    optimizer = scratch.optim.ASGD([p], lr=lr, lambd=0.0, t0=t0)
    seen = [2.0]
    for t in range(1, 1001):
        p.grad = k * p.data
        optimizer.step()
        seen.append(float(p.data[0]))
        mean = np.mean(seen[min(t, t0 + 2) :])
        # The share 1 / (t - 1 - t0) is rounded to float32.
        assert abs(optimizer.state[p]["ax"][0] - mean) <= (1e-15 if t <= t0 + 3 else 1e-7) * mean


def test_rprop_grows_and_turns() -> None:
    """A constant gradient: lr, 1.2 lr, 1.2^2 lr, ... up to 50; then a change of sign by hand."""
    sizes = np.minimum(0.01 * 1.2 ** (T[:80] - 1), 50)
    for c in (1e-9, -1e9):
        assert_steps(path("Rprop", constant(c), 80), math.copysign(1, c) * sizes)
    assert sizes[46] < 50 == sizes[47]

    signs = [1, 1, -1, -1, 1, 0, 1]
    found = path("Rprop", lambda p, t: np.array([float(signs[t - 1])]), 7, lr=0.1)
    #         s:    0.1   0.12  0.06  0.06  0.03  0.03  0.03
    assert_steps(found, np.array([0.1, 0.12, 0.0, -0.06, 0.0, 0.0, 0.03]))


@GRADIENTS
def test_adagrad_of_a_constant_gradient(c: float) -> None:
    """Step t is lr sign(c) / sqrt(t): together lr times 61.8 in a thousand steps."""
    found = path("Adagrad", constant(c), 1000, lr=0.1, eps=0.0)
    assert_steps(found, 0.1 * np.sign(c) / np.sqrt(T))
    # Euler-Maclaurin: zeta(1/2) + 2 sqrt(n) + n^(-1/2) / 2 - n^(-3/2) / 24
    total = -1.4603545088095868 + 2 * math.sqrt(1000) + 0.5 / math.sqrt(1000) - 1000**-1.5 / 24
    assert abs(2 - found[-1] - 0.1 * math.copysign(total, c)) < 1e-12

    options = {"lr_decay": 0.2, "initial_accumulator_value": 0.3, "eps": 1e-3}
    steps = 0.1 / (1 + 0.2 * (T - 1)) * c / (np.sqrt(0.3 + T * c**2) + 1e-3)
    assert_steps(path("Adagrad", constant(c), 1000, lr=0.1, **options), steps)


@GRADIENTS
def test_adadelta_where_it_can_be_solved(c: float) -> None:
    """rho = 0: d_t = c sqrt(1 - k^t) with k = c^2 / (c^2 + eps). rho = 1: gradient descent."""
    eps = 1e-2
    k = c**2 / (c**2 + eps)
    steps = 0.1 * c * np.sqrt(-np.expm1(T * math.log(k)))
    assert_steps(path("Adadelta", constant(c), 1000, lr=0.1, rho=0.0, eps=eps), steps)
    assert_steps(path("Adadelta", constant(c), 1000, lr=0.1, rho=1.0), 0.1 * c * np.ones(1000))
    (_, first) = path("Adadelta", constant(c), 1)  # sqrt(eps) / sqrt(0.1 c^2 + eps) c
    assert abs(2 - first - 1e-3 * c / math.sqrt(0.1 * c**2 + 1e-6)) < 1e-15


@GRADIENTS
def test_rmsprop_of_a_constant_gradient(c: float) -> None:
    """v = (1 - alpha^t) c^2, centered alpha^t (1 - alpha^t) c^2; the buffer is a geometric sum."""
    alpha, eps = 0.99, 1e-8
    kept = alpha**T
    d = c / (np.abs(c) * np.sqrt(1 - kept) + eps)
    assert_steps(path("RMSprop", constant(c), 1000, lr=0.1), 0.1 * d)
    assert abs(path("RMSprop", constant(c), 1, eps=0.0)[1] - 2) == pytest.approx(0.1)  # 0.01 / 0.1

    buffer = np.array([np.sum(0.9 ** np.arange(t)[::-1] * d[:t]) for t in range(1, 1001)])
    assert_steps(path("RMSprop", constant(c), 1000, lr=0.1, momentum=0.9), 0.1 * buffer)

    # v - m^2 cancels, to a share alpha^t: half a thousandth after 750 steps.
    d = c / (np.abs(c) * np.sqrt(kept * (1 - kept)) + eps)[:750]
    assert_steps(path("RMSprop", constant(c), 750, lr=0.1, centered=True), 0.1 * d, 1e-10)


@GRADIENTS
def test_adamax_of_a_constant_gradient(c: float) -> None:
    """Every step is lr c / (|c| + eps); once the gradient is 0, mean and maximum fade."""
    eps = 1e-8
    level = c / (abs(c) + eps)
    assert_steps(path("Adamax", constant(c), 1000, lr=0.1), 0.1 * level * np.ones(1000))

    found = path("Adamax", lambda p, t: np.array([c if t <= 10 else 0.0]), 1000, betas=(0.9, 0.5))
    late = T[10:] - 10
    m = (1 - 0.9**10) * c * 0.9**late
    u = np.maximum(0.5**late * (abs(c) + eps), eps)
    steps = 2e-3 * np.concatenate([level * np.ones(10), m / u / (1 - 0.9 ** T[10:])])
    assert_steps(found, steps)


@GRADIENTS
@pytest.mark.parametrize(("momentum_decay", "mu"), [(0.0, 0.25), (1e6, 0.5)])
def test_nadam_of_a_constant_gradient(c: float, momentum_decay: float, mu: float) -> None:
    """m = (1 - beta1^t) c and sqrt(v / (1 - beta2^t)) = |c|.

    With beta1 = 0.5 and a momentum that is all there, or not there yet, the product of the momenta
    is a power of two, which float32 holds exactly.
    """
    found = path("NAdam", constant(c), 100, lr=0.1, betas=(0.5, 0.9), momentum_decay=momentum_decay)
    t = T[:100]
    ahead = mu * (1 - 0.5**t) / (1 - mu ** (t + 1)) + (1 - mu) / (1 - mu**t)
    assert_steps(found, 0.1 * ahead * c / (abs(c) + 1e-8))


def test_nadam_at_its_defaults() -> None:
    """Ten steps by exact fractions of the momenta; the product's float32 is what is left."""
    mu = [Fraction(0.9) * (1 - Fraction(0.96 ** (0.004 * t)) / 2) for t in range(1, 12)]
    steps, product = [], Fraction(1)
    for t in range(1, 11):
        product *= mu[t - 1]
        m = 1 - Fraction(0.9) ** t
        steps.append(mu[t] * m / (1 - product * mu[t]) + (1 - mu[t - 1]) / (1 - product))
    found = path("NAdam", constant(1.0), 10, lr=0.1, eps=0.0)
    assert_steps(found, 0.1 * np.array([float(step) for step in steps]), 2.0**-24)
    # By hand: mu_1 = 0.450073, mu_2 = 0.450147, so 0.0450147 / (1 - 0.202599) + 1.
    assert float(steps[0]) == pytest.approx(1.056452, abs=1e-6)


def test_radam_waits_five_steps_and_is_rectified() -> None:
    """rho and r by exact fractions: 5 < rho first at step 6, where r is 0.026."""
    beta2 = Fraction(0.999)
    n = 2 / (1 - beta2) - 1
    steps, rhos = [], []
    for t in range(1, 101):
        rho = n - 2 * t * beta2**t / (1 - beta2**t)
        r2 = (rho - 4) * (rho - 2) * n / ((n - 4) * (n - 2) * rho)
        rhos.append(float(rho))
        steps.append(math.sqrt(r2) if rho > 5 else 1.0)
    assert rhos[:6] == pytest.approx([t - (t**2 - 1) / 6000 for t in range(1, 7)], abs=1e-5)
    assert steps[:5] == [1.0] * 5 and steps[5] == pytest.approx(0.02582, abs=1e-5)
    assert_steps(path("RAdam", constant(1.0), 100, lr=0.1, eps=0.0), 0.1 * np.array(steps))
    # Momentum alone at first: a gradient twice as large, a step twice as large; not afterwards.
    twice = path("RAdam", constant(2.0), 100, lr=0.1, eps=0.0)
    assert_steps(twice, 0.1 * np.array(steps) * np.where(np.arange(100) < 5, 2.0, 1.0))
    # With beta2 <= 2/3 it never ends.
    assert_steps(path("RAdam", constant(2.0), 100, lr=0.1, betas=(0.9, 0.6)), 0.2 * np.ones(100))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Rprop", {}),
        ("Adagrad", {"eps": 0.0}),
        ("RMSprop", {"eps": 0.0, "centered": True, "momentum": 0.9}),
        ("Adamax", {"eps": 0.0}),
        ("NAdam", {"eps": 0.0}),
    ],
)
def test_scale_of_the_loss_is_no_matter(name: str, options: dict[str, Any]) -> None:
    """Without eps the path is the same, to the last bit, when all gradients are 2^-40 of theirs."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal(200)
    a, b = [
        path(name, lambda p, t, s=s: s * drawn[t - 1 : t], 200, **options)  # type: ignore[misc]
        for s in (1.0, 2.0**-40)
    ]
    assert np.array_equal(a, b)


# Memory


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", NAMES)
def test_step_allocates_no_more_than_blocks(name: str, order: Any) -> None:
    """Whatever the layout of the gradient: a twentieth of the parameter, and in place."""
    p = Parameter(np.ones((4000, 1999), np.float32))
    optimizer = getattr(scratch.optim, name)([p], **FULL[name])
    p.grad = np.ones(p.shape, np.float32, order=order)
    optimizer.step()
    address = p.data.ctypes.data
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * BLOCK + 16_384 < p.data.nbytes / 20
    assert p.data.ctypes.data == address and p.version == 2


@pytest.mark.parametrize("name", NAMES)
def test_blocks_do_not_show(name: str) -> None:
    """Parameters larger than a block, in any memory layout, beside torch."""
    rng = np.random.default_rng(0)
    shape = (3, BLOCK // 2 + 5)
    start = rng.standard_normal(shape)
    layouts = {
        "C": start.copy(),
        "Fortran": np.asfortranarray(start),
        "strided": np.repeat(start, 2, axis=1)[:, ::2],
    }
    q = torch.nn.Parameter(torch.from_numpy(start.copy()))
    ours = {layout: Parameter(values) for layout, values in layouts.items()}
    # No L2: where it cancels a gradient, an adaptive method divides one rounding by another.
    options = {**FULL[name], "weight_decay": 0.0} if "weight_decay" in FULL[name] else FULL[name]
    optimizer = getattr(scratch.optim, name)(ours.values(), **options)
    reference = getattr(torch.optim, name)([q], **options)
    for _ in range(8):
        g = rng.standard_normal(shape)
        for layout, p in ours.items():
            p.grad = np.asfortranarray(g) if layout == "C" else g
        q.grad = torch.from_numpy(g)
        optimizer.step()
        reference.step()
    for p in ours.values():
        assert close("values", p.data, plain(q), c=64).passed


# What the pitfalls stand on


@pytest.mark.parametrize("name", NAMES)
def test_written_out_mutant_base_is_torchs(name: str) -> None:
    """The optimizers that the pitfalls plant their mistakes in are right without them."""
    base = getattr(plain_optimizers, f"Plain{name}")
    options: tuple[dict[str, Any], ...] = ({}, FULL[name], {"lr": 0.1})
    found = check(Optim(name, base, getattr(torch.optim, name), options, ""))
    assert all(c.passed or "instead of" in c.note for c in found)
