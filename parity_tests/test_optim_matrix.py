"""Adafactor, Muon, LBFGS, SparseAdam, Lion, LAMB, LARS: beside torch and by themselves."""

import copy
import dataclasses
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim._muon import _zeropower_via_newtonschulz

import scratch
import torch_ref.optim
from parity_tests.catalog.optim_matrix import ENTRIES
from parity_tests.harness.check import check
from parity_tests.harness.compare import close
from parity_tests.harness.database import optimizer_options
from parity_tests.pitfalls import optim_matrix as plain_optimizers
from parity_tests.test_optim import (
    SCALES,
    Array,
    assert_close,
    label,
    plain,
    scalars,
    tensors,
)
from scratch.nn import Parameter, SparseGradient
from scratch.optim.lbfgs import _Point, _strong_wolfe
from scratch.optim.muon import bfloat16, orthogonal
from scratch.optim.optimizer import BLOCK

Shapes = tuple[tuple[int, ...], ...]
NAMES = ("Adafactor", "Muon", "LBFGS", "SparseAdam")  # torch's own
ANY: Shapes = ((3, 4), (5,), (), (0, 2), (1,))
SHAPES: dict[str, Shapes] = {
    "Adafactor": ((3, 4), (5,), (), (2, 3, 4), (1,)),
    "Muon": ((3, 4), (5, 3), (4, 4), (1, 1), (2, 6)),
    "SparseAdam": ((6, 4), (5,), (3, 2, 2), (0, 2), (2, 1)),
    "Lion": ANY,
    "LAMB": ANY,
    "LARS": ANY,
}
# All that an update can do at once.
FULL: dict[str, dict[str, Any]] = {
    "Adafactor": {"lr": 0.1, "weight_decay": 0.1, "d": 1.5, "maximize": True},
    "Muon": {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw"},
    "SparseAdam": {"lr": 0.01, "maximize": True},
    "Lion": {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
    "LAMB": {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
    "LARS": {"lr": 0.5, "weight_decay": 0.1, "maximize": True},
}
ENGINE = {"foreach", "capturable", "differentiable"}


def twin_class(name: str) -> Any:
    return getattr(torch.optim, name, None) or getattr(torch_ref.optim, name)


def twins(
    name: str, options: Mapping[str, Any], dtype: str
) -> tuple[list[Parameter], Any, list[torch.nn.Parameter], Any]:
    rng = np.random.default_rng(0)
    start = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES[name]]
    ours = [Parameter(p.copy()) for p in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in start]
    optimizer = getattr(scratch.optim, name)(ours, **scalars(options))
    return ours, optimizer, theirs, twin_class(name)(theirs, **options)


Drawn = tuple[Array, Array] | Array | None


def gradients(name: str, steps: int, dtype: str) -> Iterator[list[Drawn]]:
    """Of changing scale, for SparseAdam (indices, rows); the second parameter has none at times."""
    rng = np.random.default_rng(1)
    for step in range(steps):
        found: list[Drawn] = []
        for shape in SHAPES[name]:
            g = np.asarray(SCALES[(step // 7) % 5] * rng.standard_normal(shape), dtype)
            if name == "SparseAdam":
                ids = rng.integers(0, shape[0], rng.integers(0, 5) if shape[0] else 0)
                found.append((ids, g[ids]))
            else:
                found.append(g)
        if 10 <= step < 30:
            found[1] = None
        yield found


def give(ours: list[Parameter], theirs: list[torch.nn.Parameter], drawn: list[Drawn]) -> None:
    for p, q, g in zip(ours, theirs, drawn, strict=True):
        if g is None:
            p.grad = q.grad = None
        elif isinstance(g, tuple):
            p.grad = SparseGradient(g[0], g[1].astype(p.dtype), p.shape)
            q.grad = sparse_tensor(*g, q)
        else:
            p.grad, q.grad = g.astype(p.dtype), torch.from_numpy(g.copy()).to(q.dtype)


def sparse_tensor(ids: Array, rows: Array, like: torch.Tensor) -> torch.Tensor:
    values = torch.from_numpy(rows.copy()).to(like.dtype)
    index = torch.from_numpy(ids[None].copy())
    return torch.sparse_coo_tensor(index, values, like.shape, check_invariants=True)


# Long runs


RUNS = [(n, options) for n in NAMES if n != "LBFGS" for options in optimizer_options(n)]
RUNS += list(FULL.items())
RUNS += [
    (entry.name, dict(options))
    for entry in ENTRIES
    if entry.name in ("Lion", "LAMB", "LARS")
    for options in entry.options
]


@pytest.mark.parametrize(("name", "options"), RUNS, ids=label)
def test_thousand_steps(name: str, options: dict[str, Any]) -> None:
    """float64, the learning rate cut half way."""
    ours, optimizer, theirs, reference = twins(name, options, "float64")
    for step, drawn in enumerate(gradients(name, 1000, "float64")):
        if step == 500:
            for group in (optimizer.param_groups[0], reference.param_groups[0]):
                group["lr"] = 0.1 * float(group["lr"])
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
        if step + 1 in (1, 10, 100, 1000):
            assert_close(ours, theirs, c=16)


@pytest.mark.parametrize(("name", "options"), RUNS, ids=label)
def test_float32(name: str, options: dict[str, Any]) -> None:
    """200 steps; the truth is torch in float64."""
    ours, optimizer, theirs, reference = twins(name, options, "float32")
    *_, truth, exact = twins(name, options, "float64")
    with torch.no_grad():
        for p, q in zip(theirs, truth, strict=True):
            q.copy_(p)
    for step, drawn in enumerate(gradients(name, 200, "float32")):
        if step == 100:
            for other in (optimizer, reference, exact):
                other.param_groups[0]["lr"] = 0.1 * float(other.param_groups[0]["lr"])
        give(ours, theirs, drawn)
        give(ours, truth, drawn)
        for other in (optimizer, reference, exact):
            other.step()
    assert all(p.data.dtype == np.float32 for p in ours)
    eps = float(np.finfo(np.float32).eps)
    off: list[list[float]] = [[], []]  # of all parameters: torch's error in one number is chance
    for mine, its, exactly in zip(ours, theirs, map(plain, truth), strict=True):
        scale = eps * max(np.max(np.abs(exactly), initial=0), 1e-30)
        for found, side in zip(off, (mine.data, plain(its)), strict=True):
            found.append(float(np.max(np.abs(side - exactly), initial=0)) / scale)
    assert max(off[0]) <= 4 * max(off[1]) + 4, off


# State


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_state_moves_across_mid_run(name: str, dtype: str) -> None:
    """torch, then scratch, then torch: a run that changes sides, beside one that does not."""
    options = FULL[name]
    ours, optimizer, theirs, reference = twins(name, options, dtype)
    stay, _, other, undisturbed = twins(name, options, dtype)
    for step, drawn in enumerate(gradients(name, 60, dtype)):
        if step == 20:  # torch to scratch: other options, which the state dict replaces
            for p, q in zip(ours, theirs, strict=True):
                p.data = plain(q)
            optimizer = getattr(scratch.optim, name)(ours, lr=0.5)
            optimizer.load_state_dict(plain(reference.state_dict()))
        if step == 40:  # and back
            for p, q in zip(ours, theirs, strict=True):
                q.data.copy_(torch.from_numpy(p.data))
            reference = twin_class(name)(theirs, lr=0.5)
            reference.load_state_dict(tensors(optimizer.state_dict()))
        give(ours, theirs, drawn)
        give(stay, other, drawn)
        undisturbed.step()
        (optimizer if 20 <= step < 40 else reference).step()
    limit = 64 if dtype == "float64" else 4 * 60
    for q, expected in zip(theirs, other, strict=True):
        comparison = close("parameter", plain(q), plain(expected), c=limit)
        assert comparison.passed, str(comparison)
    if dtype == "float64":
        for index, values in undisturbed.state_dict()["state"].items():
            found = reference.state_dict()["state"][index]
            assert found.keys() == values.keys()
            for key, value in values.items():
                assert type(found[key]) is type(value)
                assert close(key, np.asarray(found[key]), np.asarray(value), c=64).passed


@pytest.mark.parametrize("name", FULL)
def test_state_dict_has_torchs_layout(name: str) -> None:
    ours, optimizer, theirs, reference = twins(name, FULL[name], "float32")
    for drawn in gradients(name, 3, "float32"):
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()

    def layout(value: Any) -> Any:
        return (value.dtype, value.shape) if isinstance(value, np.ndarray) else type(value)

    saved, expected = optimizer.state_dict(), plain(reference.state_dict())
    assert saved["state"].keys() == expected["state"].keys()
    for index, values in expected["state"].items():
        found = saved["state"][index]
        assert {k: layout(v) for k, v in found.items()} == {k: layout(v) for k, v in values.items()}
    for group, other in zip(saved["param_groups"], expected["param_groups"], strict=True):
        kept = {k: v for k, v in other.items() if k not in ENGINE}
        assert {k: group[k] for k in kept} == kept


# Descents


def bowl(x: Array) -> tuple[float, Array]:
    """A quadratic with curvatures between 1 and 100 and its minimum at 1."""
    k = np.geomspace(1, 100, x.size).reshape(x.shape).astype(x.dtype)
    v = x - np.ones((), x.dtype)
    return float(np.sum(k * v * v) / 2), k * v


def rosenbrock(x: Array) -> tuple[float, Array]:
    """(1 - a)^2 + 100 (b - a^2)^2 over all rows (a, b)."""
    a, b = x[..., 0], x[..., 1]
    slope = np.stack([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)], axis=-1)
    return float(np.sum((1 - a) ** 2 + 100 * (b - a * a) ** 2)), slope


Task = Callable[[Array], tuple[float, Array]]
TASKS: dict[str, tuple[Task, Array]] = {
    "bowl": (bowl, np.random.default_rng(0).standard_normal((3, 4))),
    "rosenbrock": (rosenbrock, np.array([[-1.2, 1.0], [0.3, -0.7]])),
}
DESCENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Adafactor", {"lr": 0.005, "weight_decay": 1e-3}),
    ("Muon", {"lr": 0.01, "weight_decay": 0.01}),
    ("SparseAdam", {"lr": 0.02}),
    ("Lion", {"lr": 1e-3, "weight_decay": 0.01}),
    ("LAMB", {"lr": 0.003, "weight_decay": 0.01}),
    ("LARS", {"lr": 0.3, "trust_coefficient": 0.001, "weight_decay": 0.01}),
)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("name", "options"), DESCENTS, ids=label)
def test_thousand_steps_down(name: str, options: dict[str, Any], task: str) -> None:
    """Each side follows its own gradients: a difference could grow.

    At rates at which the run does not bounce: there one rounding in torch's start grows to 1e-3.
    """
    f, start = TASKS[task]
    p, q = Parameter(start.copy()), torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer, reference = (
        getattr(scratch.optim, name)([p], **options),
        twin_class(name)([q], **options),
    )
    first = f(start)[0]
    rows = np.arange(len(start))
    for step in range(1000):
        if step == 500:
            for group in (optimizer.param_groups[0], reference.param_groups[0]):
                group["lr"] *= 0.1
        g, h = f(p.data)[1], f(plain(q))[1]
        p.grad, q.grad = g, torch.from_numpy(h)
        if name == "SparseAdam":  # every other row has a turn
            read = rows[step % 2 :: 2]
            p.grad = SparseGradient(read, g[read], g.shape)
            q.grad = sparse_tensor(read, h[read], q)
        optimizer.step()
        reference.step()
    assert f(p.data)[0] < first / 2
    comparison = close("parameter", p.data, plain(q), c=64)
    assert comparison.passed, str(comparison)


# LBFGS


def lbfgs_twins(
    start: Array, task: Task, options: Mapping[str, Any]
) -> tuple[Parameter, Any, torch.nn.Parameter, Any, list[int]]:
    """Both sides with a `descend()` that takes a step, and how often each evaluated the task."""
    p, q = Parameter(start.copy()), torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = scratch.optim.LBFGS([p], **scalars(options))
    reference = torch.optim.LBFGS([q], **options)
    calls = [0, 0]

    def closure() -> float:
        calls[0] += 1
        loss, p.grad = task(p.data)
        return loss

    def torch_closure() -> float:
        calls[1] += 1
        loss, g = task(plain(q))
        q.grad = torch.from_numpy(g)
        return loss

    return p, (optimizer, closure), q, (reference, torch_closure), calls


LBFGS_OPTIONS = optimizer_options("LBFGS")
LBFGS_OPTIONS += [
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "lr": 0.1, "max_eval": 7},
    {"line_search_fn": "strong_wolfe", "lr": 5.0, "max_iter": 10, "history_size": 5},
    {"lr": 0.5, "max_iter": 5, "history_size": 3},
]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("options", LBFGS_OPTIONS, ids=label)
def test_lbfgs_takes_torchs_steps(options: dict[str, Any], task: str) -> None:
    """Parameters, losses and numbers of evaluations, as near as torch is to itself.

    A difference grows from step to step, since curvature is a difference of gradients. How fast is
    told by torch from starts that are one rounding away; where their numbers of evaluations differ
    from torch's own (after 30 steps down Rosenbrock's valley with a short history), ours may too.
    """
    f, start = TASKS[task]
    p, (optimizer, closure), q, (reference, torch_closure), calls = lbfgs_twins(start, f, options)
    rng = np.random.default_rng(0)
    near = [start * (1 + 2.2e-16 * rng.choice([-1, 1], start.shape)) for _ in range(4)]
    others = [lbfgs_twins(other, f, options) for other in near]
    for step in range(40 if options.get("lr", 1) >= 0.1 else 8):
        loss, expected = optimizer.step(closure), reference.step(torch_closure)
        for _, _, _, (other, its_closure), _ in others:
            other.step(its_closure)
        apart = max(np.max(np.abs(plain(other[2]) - plain(q))) for other in others)
        allowed = 64 * 2.2e-16 * np.max(np.abs(plain(q))) + 10 * apart
        assert np.max(np.abs(p.data - plain(q))) <= allowed
        if all(other[4][1] == calls[1] for other in others):
            assert calls[0] == calls[1]
        else:
            assert step > 20
        assert step or loss == expected
        if np.max(np.abs(f(plain(q))[1])) < 1e-5:
            break
    state, other = optimizer.state_dict()["state"][0], reference.state_dict()["state"][0]
    assert state["func_evals"] == calls[0] and other["func_evals"] == calls[1]
    assert state.keys() == other.keys()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_arrives_in_one_step(task: str, search: str | None) -> None:
    """At the minimum, after as many evaluations as torch needs."""
    options = {"line_search_fn": search, "max_iter": 100}
    f, start = TASKS[task]
    p, (optimizer, closure), q, (reference, torch_closure), calls = lbfgs_twins(start, f, options)
    optimizer.step(closure)
    reference.step(torch_closure)
    assert calls[0] == calls[1] < 110
    assert np.max(np.abs(p.data - 1)) < 1e-5 and np.max(np.abs(plain(q) - 1)) < 1e-5


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_state_moves_across_mid_run(search: str | None) -> None:
    """torch, scratch, torch: as if torch had gone on alone."""
    f, start = TASKS["rosenbrock"]
    options = {"line_search_fn": search, "max_iter": 4, "history_size": 3, "lr": 0.5}
    p, (optimizer, closure), q, (reference, torch_closure), _ = lbfgs_twins(start, f, options)
    _, _, r, (alone, its_closure), _ = lbfgs_twins(start, f, options)
    for step in range(12):
        if step == 4:
            p.data = plain(q)
            optimizer.load_state_dict(plain(reference.state_dict()))
        if step == 8:
            q.data.copy_(torch.from_numpy(p.data))
            reference = torch.optim.LBFGS([q])
            reference.load_state_dict(tensors(optimizer.state_dict()))
        alone.step(its_closure)
        if 4 <= step < 8:
            optimizer.step(closure)
        else:
            reference.step(torch_closure)
    comparison = close("parameter", plain(q), plain(r), c=1e5)
    assert comparison.passed, str(comparison)
    found, expected = (other.state_dict()["state"][0] for other in (reference, alone))
    assert found.keys() == expected.keys()
    for key, value in plain(expected).items():
        parts = value if isinstance(value, list) else [value]
        others = plain(found)[key] if isinstance(value, list) else [plain(found)[key]]
        assert [np.shape(x) for x in parts] == [np.shape(x) for x in others]
        assert [type(x) for x in parts] == [type(x) for x in others]


def test_lbfgs_direction_is_that_of_the_bfgs_matrix() -> None:
    """Against Nocedal & Wright (6.17): the inverse Hessian written out, from the same pairs."""
    f, start = TASKS["rosenbrock"]
    _, (optimizer, closure), *_ = lbfgs_twins(start, f, {"line_search_fn": "strong_wolfe"})
    optimizer.param_groups[0]["max_iter"] = 6
    optimizer.step(closure)
    state = optimizer.state_dict()["state"][0]
    ys, ss = state["old_dirs"], state["old_stps"]
    assert len(ys) == 5  # the sixth step is not in it yet
    identity = np.eye(start.size)
    inverse = identity * (ys[-1] @ ss[-1]) / (ys[-1] @ ys[-1])
    for y, s in zip(ys, ss, strict=True):
        left = identity - np.outer(s, y) / (y @ s)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (y @ s)
    expected = -inverse @ state["prev_flat_grad"]
    assert np.max(np.abs(state["d"] - expected)) < 1e-12 * np.max(np.abs(expected))


@settings(max_examples=100, deadline=None)
@given(
    center=st.floats(0.05, 50),
    first=st.floats(1e-3, 1e3),
    wave=st.floats(0, 0.9),
    power=st.sampled_from([2, 4]),
)
def test_line_search_keeps_its_promise(
    center: float, first: float, wave: float, power: int
) -> None:
    """Both conditions hold where it stops of itself, and the evaluations are counted."""
    calls = []

    def at(t: float) -> _Point:
        calls.append(t)
        x = t - center
        f = x**power + wave * np.sin(3 * t)
        slope = np.float64(power * x ** (power - 1) + 3 * wave * np.cos(3 * t))
        return _Point(t, float(f), np.array([slope]), slope)

    start = at(0.0)
    if start.slope >= 0:
        return
    calls.clear()
    found, count = _strong_wolfe(at, start, first, 1.0, 100)
    assert count == len(calls)
    assert found.f <= start.f + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= -0.9 * start.slope


def test_lbfgs_counts_missing_gradients_as_zero_and_refuses_stale_backwards() -> None:
    p, q = Parameter(np.full(3, 2.0)), Parameter(np.full((), 5.0))
    optimizer = scratch.optim.LBFGS([p, q], line_search_fn="strong_wolfe")

    def closure() -> Any:
        p.grad = 2 * p.data
        return np.sum(p.data**2)

    address = p.data.ctypes.data
    assert optimizer.step(closure) == 12.0
    assert np.max(np.abs(p.data)) < 1e-8 and q.data == 5.0
    assert p.data.ctypes.data == address and p.version > 1
    assert optimizer.state_dict()["state"].keys() == {0}


def test_lbfgs_of_no_numbers_and_at_the_minimum() -> None:
    for start in (np.zeros((0, 2)), np.ones(3)):
        p = Parameter(start.copy())
        optimizer = scratch.optim.LBFGS([p])

        def closure(p: Parameter = p) -> float:
            loss, p.grad = bowl(p.data)
            return loss

        assert optimizer.step(closure) == 0.0
        assert np.array_equal(p.data, start)
        assert optimizer.state_dict()["state"][0] == {"func_evals": 1, "n_iter": 0}


# Muon


def test_bfloat16_is_torchs() -> None:
    """Ties, subnormal numbers, overflow, infinities, NaN."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 100_000, dtype=np.uint64).astype(np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    x = np.concatenate([bits, ties, ties + np.uint32(1), ties - np.uint32(1)]).view(np.float32)
    expected = torch.from_numpy(x).bfloat16().float().numpy()
    assert np.array_equal(bfloat16(x), expected, equal_nan=True)


COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def test_orthogonal_has_torchs_bits_in_small_matrices() -> None:
    """A processor that adds in another order may round a sum to the other side: hardly ever."""
    rng = np.random.default_rng(0)
    equal = []
    for _ in range(200):
        n, k = rng.integers(1, 9, 2)
        x = rng.standard_normal((n, k)) * 10.0 ** rng.integers(-9, 9)
        found = orthogonal(x, COEFFICIENTS, 5, 1e-7)
        other = _zeropower_via_newtonschulz(torch.from_numpy(x), COEFFICIENTS, 5, 1e-7)
        equal.append(np.array_equal(found, other.float().numpy()))
    assert np.mean(equal) > 0.98


@pytest.mark.parametrize("shape", [(64, 32), (64, 64), (100, 300)])
def test_orthogonal_is_as_near_to_the_exact_result_as_torchs(shape: tuple[int, int]) -> None:
    """Newton-Schulz in float64 is the truth; both sides are 1 to 2% away, and nearer together."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.standard_normal(shape)
        exact = plain_optimizers.InFloat64([Parameter(x)]).orthogonal(x, COEFFICIENTS, 5, 1e-7)
        found = orthogonal(x, COEFFICIENTS, 5, 1e-7)
        other = _zeropower_via_newtonschulz(torch.from_numpy(x), COEFFICIENTS, 5, 1e-7)
        theirs = other.float().numpy()
        size = np.linalg.norm(exact)
        ours_off, theirs_off = (np.linalg.norm(o - exact) / size for o in (found, theirs))
        assert ours_off < 1.1 * theirs_off < 0.03
        assert np.linalg.norm(found - theirs) / size < 0.01
        assert np.max(np.abs(found - theirs)) < 2**-6
        singular = np.linalg.svd(found, compute_uv=False)
        assert 0.68 < np.median(singular) < singular.max() < 1.21


# Sparse gradients


def test_sparse_gradient_adds_up_as_torchs() -> None:
    """sparse + sparse stays sparse, with a dense one it is dense, in either order."""
    rng = np.random.default_rng(0)
    parts: list[Any] = []
    for i in range(4):
        ids = rng.integers(0, 6, 5)
        parts.append((ids, rng.standard_normal((5, 3))) if i != 2 else rng.standard_normal((6, 3)))
    for order in ([0, 1, 3], [0, 2, 1], [2, 0, 3], [0, 1, 2, 3]):
        p, q = Parameter(np.zeros((6, 3))), torch.nn.Parameter(torch.zeros(6, 3).double())
        for i in order:
            part = parts[i]
            if isinstance(part, tuple):
                ids, rows = part
                p.accumulate(SparseGradient(ids, rows, (6, 3)))
                more = sparse_tensor(ids, rows, q)
            else:
                p.accumulate(part)
                more = torch.from_numpy(part)
            if q.grad is None:
                q.grad = more
            else:  # torch takes a sparse one as the second only
                q.grad = q.grad + more if more.is_sparse else more + q.grad
        assert q.grad is not None and isinstance(p.grad, SparseGradient) == q.grad.is_sparse
        dense = p.grad.dense() if isinstance(p.grad, SparseGradient) else p.grad
        expected = plain(q.grad.to_dense())
        assert close("gradient", dense, expected, c=4).passed


def test_sparse_gradient_is_coalesced_cast_and_zeroed() -> None:
    ids, rows = np.array([4, 1, 4], np.int32), np.arange(6.0).reshape(3, 2)
    g = SparseGradient(ids, rows, (5, 2))
    assert g.indices.tolist() == [1, 4] and g.values.tolist() == [[2.0, 3.0], [4.0, 6.0]]
    assert ids.tolist() == [4, 1, 4] and rows[0].tolist() == [0.0, 1.0]  # as they were
    assert g.astype(np.float32).dtype == np.float32
    assert repr(g) == "2 rows of a sparse float64 gradient of shape (5, 2)"
    module = scratch.nn.Embedding(5, 2, sparse=True)
    y, back = module(np.array([1, 1]))
    back(np.ones_like(y))
    module.to(np.float64)
    assert module.weight.grad is not None and module.weight.grad.dtype == np.float64
    module.zero_grad(set_to_none=False)
    held = module.weight.grad
    assert isinstance(held, SparseGradient) and held.indices.size == 0
    module.weight.accumulate(g)
    total = module.weight.grad
    assert isinstance(total, SparseGradient) and total.indices.tolist() == [1, 4]
    scratch.optim.SparseAdam([module.weight]).zero_grad()
    assert module.weight.grad is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Embedding", {}),
        ("Embedding", {"padding_idx": 1}),
        ("EmbeddingBag", {"mode": "sum"}),
        ("EmbeddingBag", {"mode": "mean", "padding_idx": 1}),
    ],
)
def test_sparse_embedding_has_torchs_rows(kind: str, options: dict[str, Any]) -> None:
    """Trained with SparseAdam: the rows that are in the gradient, and the table after the steps."""
    theirs = getattr(torch.nn, kind)(7, 3, sparse=True, dtype=torch.float64, **options)
    ours = getattr(scratch.nn, kind)(7, 3, sparse=True, dtype=np.float64, **options)
    ours.load_state_dict(plain(theirs.state_dict()))
    optimizer = scratch.optim.SparseAdam(ours.parameters(), lr=0.1)
    reference: Any = torch.optim.SparseAdam(theirs.parameters(), lr=0.1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        optimizer.zero_grad()
        reference.zero_grad()
        for _ in range(2):  # two batches add up
            ids = rng.integers(0, 5, (4, 2))
            y, back = ours(ids)
            dy = rng.standard_normal(y.shape)
            back(dy)
            theirs(torch.from_numpy(ids)).backward(torch.from_numpy(dy))
        found, expected = ours.weight.grad, theirs.weight.grad.coalesce()
        assert isinstance(found, SparseGradient)
        assert np.array_equal(found.indices, expected.indices()[0].numpy())
        assert close("rows", found.values, plain(expected.values()), c=4).passed
        optimizer.step()
        reference.step()
    assert close("table", ours.weight.data, plain(theirs.weight), c=64).passed
    seen = ours.weight.data[5:]
    assert np.array_equal(seen, plain(theirs.weight)[5:])


def test_dense_embedding_moves_where_a_sparse_one_rests() -> None:
    """Adam coasts along rows that were read once; SparseAdam leaves them."""
    ids = [np.array([0, 1])] + [np.array([2])] * 5
    moved = {}
    for sparse, name in ((False, "Adam"), (True, "SparseAdam")):
        module = scratch.nn.Embedding(4, 2, sparse=sparse, _weight=np.ones((4, 2)))
        optimizer = getattr(scratch.optim, name)(module.parameters(), lr=0.1)
        for step, read in enumerate(ids):
            optimizer.zero_grad()
            y, back = module(read)
            back(np.ones_like(y))
            optimizer.step()
            if step == 0:
                before = module.weight.data.copy()
        moved[name] = np.abs(module.weight.data - before)[0].max()
    assert moved["SparseAdam"] == 0 and moved["Adam"] > 0.1


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's Adagrad
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "maximize": True}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
        ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ],
)
def test_sgd_and_adagrad_take_sparse_gradients(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal((6, 3))
    p, q = Parameter(start.copy()), torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = getattr(scratch.optim, name)([p], **options)
    reference = getattr(torch.optim, name)([q], **options)
    for _ in range(30):
        ids, rows = rng.integers(0, 6, 4), rng.standard_normal((4, 3))
        p.grad, q.grad = SparseGradient(ids, rows, (6, 3)), sparse_tensor(ids, rows, q)
        optimizer.step()
        reference.step()
    assert close("parameter", p.data, plain(q), c=64).passed
    for key, value in plain(reference.state_dict()["state"].get(0, {})).items():
        assert close(key, optimizer.state_dict()["state"][0][key], value, c=64).passed


def test_sparse_gradient_of_a_group_that_came_later() -> None:
    p, q = Parameter(np.ones((2, 2))), Parameter(np.ones((3, 2)))
    optimizer = scratch.optim.Adagrad([p], lr=0.1)
    optimizer.add_param_group({"params": q})
    q.grad = SparseGradient(np.array([1]), np.ones((1, 2)), (3, 2))
    optimizer.step()
    state = optimizer.state_dict()["state"][1]
    assert state["sum"].tolist() == [[0, 0], [1, 1], [0, 0]] and state["step"] == 1
    assert q.data[1, 0] == pytest.approx(0.9) and q.data[0, 0] == 1


# Limits


@pytest.mark.parametrize("name", ["Adafactor", "Lion", "LAMB", "LARS"])
def test_extremes_go_where_torchs_go(name: str) -> None:
    """NaN, infinity, squares that overflow or vanish: each alone, as norms mix the entries."""
    for value in (np.nan, np.inf, 1e20, 3e-23, 1e-30, 0.0):
        p = Parameter(np.ones(3, np.float32))
        q = torch.nn.Parameter(torch.ones(3))
        optimizer, reference = getattr(scratch.optim, name)([p]), twin_class(name)([q])
        for sign in (1, -1, 1):
            g = np.array([sign * value, 1e-3, 0.0], np.float32)
            p.grad, q.grad = g, torch.from_numpy(g.copy())
            with np.errstate(all="ignore"):
                optimizer.step()
            reference.step()
        comparison = close(f"{name} of {value}", p.data, plain(q), c=64)
        assert comparison.passed, (str(comparison), p.data, q)


def test_zero_parameters_and_gradients_have_ratio_one() -> None:
    for name in ("LAMB", "LARS"):
        for start, slope in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
            p, q = (
                Parameter(np.full(3, start)),
                torch.nn.Parameter(torch.full((3,), start).double()),
            )
            optimizer = getattr(scratch.optim, name)([p], lr=0.1, weight_decay=0.5)
            reference = twin_class(name)([q], lr=0.1, weight_decay=0.5)
            p.grad, q.grad = np.full(3, slope), torch.full((3,), slope).double()
            optimizer.step()
            reference.step()
            assert close(name, p.data, plain(q), c=4).passed and np.all(np.isfinite(p.data))


def test_adafactor_holds_still_where_there_is_nothing() -> None:
    """torch divides by zero there."""
    p, q = Parameter(np.ones((0, 3))), Parameter(np.ones((2, 3)))
    optimizer = scratch.optim.Adafactor([p, q])
    p.grad, q.grad = np.ones((0, 3)), np.ones((2, 3))
    optimizer.step()
    state = optimizer.state_dict()["state"]
    assert state[0]["row_var"].shape == (0, 1) and state[0]["col_var"].shape == (1, 3)
    assert state[0]["step"] == state[1]["step"] == 1


@pytest.mark.parametrize(
    ("name", "parameters", "blocks"),
    [("Lion", 0, 1), ("LARS", 0, 2), ("LAMB", 1, 2), ("Adafactor", 1, 2), ("Muon", 7, 0)],
)
def test_memory_of_a_step(name: str, parameters: int, blocks: int) -> None:
    """At most so many arrays of a parameter's size at once, none larger, and so many blocks."""
    p = Parameter(np.ones((500, 999), np.float32))
    optimizer = getattr(scratch.optim, name)([p])
    p.grad = np.random.default_rng(0).standard_normal(p.shape).astype(np.float32)
    optimizer.step()
    address = p.data.ctypes.data
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < parameters * p.data.nbytes + blocks * 8 * BLOCK + 32_768
    assert p.data.ctypes.data == address and p.version == 2


def test_sparse_adam_allocates_rows_only() -> None:
    p = Parameter(np.ones((100_000, 10), np.float32))
    optimizer = scratch.optim.SparseAdam([p])
    p.grad = SparseGradient(np.arange(100), np.ones((100, 10), np.float32), p.shape)
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_blocks_do_not_show() -> None:
    """Parameters larger than a block, in any memory layout, beside torch."""
    rng = np.random.default_rng(0)
    shape = (3, BLOCK // 2 + 5)
    start = rng.standard_normal(shape)
    layouts = {
        "C": start.copy(),
        "Fortran": np.asfortranarray(start),
        "strided": np.repeat(start, 2, axis=1)[:, ::2],
    }
    for name in ("Adafactor", "Lion", "LAMB", "LARS"):
        q = torch.nn.Parameter(torch.from_numpy(start.copy()))
        ours = {layout: Parameter(values.copy(order="K")) for layout, values in layouts.items()}
        optimizer = getattr(scratch.optim, name)(ours.values(), **FULL[name])
        reference = twin_class(name)([q], **FULL[name])
        for _ in range(3):
            g = rng.standard_normal(shape)
            for layout, p in ours.items():
                p.grad = np.asfortranarray(g) if layout == "C" else g
            q.grad = torch.from_numpy(g)
            optimizer.step()
            reference.step()
        for p in ours.values():
            comparison = close(name, p.data, plain(q), c=64)
            assert comparison.passed, str(comparison)


def test_refused_steps_change_nothing() -> None:
    """A sparse gradient beside a dense one: neither parameter nor any state has changed."""
    good, bad = Parameter(np.ones((2, 2))), Parameter(np.ones((3, 2)))
    optimizer = scratch.optim.Adam([good, bad])
    good.grad = np.ones((2, 2))
    bad.grad = SparseGradient(np.array([1]), np.ones((1, 2)), (3, 2))
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(TypeError, match=r"^Adam\.step: expected a dense float64 gradient, got 1 "):
        optimizer.step()
    assert np.array_equal(good.data, np.ones((2, 2))) and good.version == 0
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_written_out_mutant_bases_are_right() -> None:
    """What the pitfalls plant their mistakes in passes without them."""
    for entry in ENTRIES:
        base = getattr(plain_optimizers, f"Plain{entry.name}", None)
        if base is not None:
            results = check(dataclasses.replace(entry, scratch=base))
            assert all(c.passed for c in results), entry.name
