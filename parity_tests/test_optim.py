"""Optimizers against torch's over long runs, state that moves across, memory, refusals."""

import copy
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import scratch
import torch_ref.optim
from parity_tests.harness.check import check
from parity_tests.harness.compare import close
from parity_tests.harness.database import ENGINE, optimizer_options
from parity_tests.harness.entry import Optim
from parity_tests.pitfalls.optim import PlainAdam
from scratch.nn import Parameter
from scratch.optim import Optimizer
from scratch.optim.optimizer import BLOCK

Array = np.ndarray[Any, np.dtype[Any]]
NAMES = ("SGD", "Adam", "AdamW")
SHAPES = ((3, 4), (5,), (), (0, 2), (1,))
SCALES = (1.0, 1e-7, 1e6, 0.0, 1e-3)
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def plain(value: Any) -> Any:
    """Tensors as arrays (0-d ones as scalars), inside options and state dicts."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(plain(v) for v in value)
    return value


def tensors(value: Any) -> Any:
    """The way back."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {k: tensors(v) for k, v in value.items()}
    return [tensors(v) for v in value] if isinstance(value, list) else value


def scalars(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the scratch side takes them: a number where torch was given a 0-d tensor."""
    found: dict[str, Any] = plain(options)
    return {k: v[()] if isinstance(v, np.ndarray) and v.ndim == 0 else v for k, v in found.items()}


def starts(dtype: str, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def twins(
    name: str, options: Mapping[str, Any], dtype: str, **engine: Any
) -> tuple[list[Parameter], Any, list[torch.nn.Parameter], Any]:
    ours = [Parameter(p.copy()) for p in starts(dtype)]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in starts(dtype)]
    optimizer = getattr(scratch.optim, name)(ours, **scalars(options))
    return ours, optimizer, theirs, getattr(torch.optim, name)(theirs, **options, **engine)


def gradients(steps: int, dtype: str, seed: int = 1) -> Iterator[list[Array | None]]:
    """Of changing scale; the second parameter has none for a while."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        scale = SCALES[(step // 7) % 5]
        found: list[Array | None] = [
            np.asarray(scale * rng.standard_normal(shape), dtype) for shape in SHAPES
        ]
        yield [None if i == 1 and 10 <= step < 30 else g for i, g in enumerate(found)]


def give(
    ours: list[Parameter], theirs: list[torch.nn.Parameter], given: list[Array | None]
) -> None:
    for p, q, g in zip(ours, theirs, given, strict=True):
        p.grad = g
        q.grad = None if g is None else torch.from_numpy(g.copy()).to(q.dtype)


def assert_close(
    ours: list[Parameter],
    theirs: list[torch.nn.Parameter],
    c: float = 64,
    truth: list[torch.nn.Parameter] | None = None,
) -> float:
    """By the rules of the dtype; returns the largest error in eps."""
    worst = 0.0
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        exact = None if truth is None else plain(truth[i])
        comparison = close(f"parameter {i}", p.data, plain(q), c=c, truth=exact)
        assert comparison.passed, str(comparison)
        worst = max(worst, comparison.error)
    return worst


def label(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()) or "defaults"
    return str(value)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name in NAMES for options in optimizer_options(name)],
    ids=label,
)
def test_two_hundred_steps_of_torchs_configurations(
    name: str, options: dict[str, Any], dtype: str
) -> None:
    """The learning rate cut half way; in float32 against torch's loop in float64."""
    ours, optimizer, theirs, reference = twins(name, options, dtype)
    *_, truth, exact = twins(name, options, "float64")
    for step, drawn in enumerate(gradients(200, dtype)):
        give(ours, theirs, drawn)
        give(ours, truth, drawn)
        for each in (optimizer, reference, exact):
            if step == 100:
                each.param_groups[0]["lr"] = 0.1 * float(each.param_groups[0]["lr"])
            each.step()
    assert_close(ours, theirs, truth=truth if dtype == "float32" else None)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
        ("SGD", {"lr": 0.01}),
        ("Adam", {"lr": 0.01, "amsgrad": True, "maximize": True}),
        ("Adam", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}),
        ("AdamW", {"lr": 0.01, "betas": (0.8, 0.9)}),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_state_moves_across_mid_run(name: str, options: dict[str, Any], dtype: str) -> None:
    """torch, then scratch, then torch: a run that changes sides, beside one that does not."""
    ours, optimizer, theirs, reference = twins(name, options, dtype)
    stay, _, other, _ = twins(name, options, dtype)
    undisturbed = getattr(torch.optim, name)(other, **options)
    for step, drawn in enumerate(gradients(60, dtype)):
        if step == 20:  # torch to scratch: other options, which the state dict replaces
            for p, q in zip(ours, theirs, strict=True):
                p.data = plain(q)
            optimizer = getattr(scratch.optim, name)(ours, lr=0.5)
            optimizer.load_state_dict(plain(reference.state_dict()))
            assert optimizer.state_dict()["state"].keys() == reference.state_dict()["state"].keys()
        if step == 40:  # and back
            for p, q in zip(ours, theirs, strict=True):
                q.data.copy_(torch.from_numpy(p.data))
            reference = getattr(torch.optim, name)(theirs, lr=0.5)
            reference.load_state_dict(tensors(optimizer.state_dict()))
        give(ours, theirs, drawn)
        give(stay, other, drawn)
        undisturbed.step()
        (optimizer if 20 <= step < 40 else reference).step()
    for q, expected in zip(theirs, other, strict=True):
        limit = 64 if dtype == "float64" else 4 * 60
        comparison = close("parameter", plain(q), plain(expected), c=limit)
        assert comparison.passed, str(comparison)
    if dtype == "float64":
        for index, values in undisturbed.state_dict()["state"].items():
            for key, value in values.items():
                found = plain(reference.state_dict()["state"][index][key])
                assert found.dtype == plain(value).dtype
                assert close(key, found, plain(value), c=64).passed


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_has_torchs_layout(name: str) -> None:
    options = {"lr": 0.01, **({"momentum": 0.9} if name == "SGD" else {"amsgrad": True})}
    ours, optimizer, theirs, reference = twins(name, options, "float32")
    for drawn in gradients(3, "float32"):
        give(ours, theirs, drawn)
        optimizer.step()
        reference.step()
    saved, expected = optimizer.state_dict(), plain(reference.state_dict())
    assert saved["state"].keys() == expected["state"].keys()
    for index, values in expected["state"].items():
        found = saved["state"][index]
        assert {k: (v.dtype, v.shape) for k, v in found.items()} == {
            k: (v.dtype, v.shape) for k, v in values.items()
        }
    for group, other in zip(saved["param_groups"], expected["param_groups"], strict=True):
        kept = {k: v for k, v in other.items() if k not in ENGINE}
        assert {k: group[k] for k in kept} == kept


def test_groups_names_and_added_groups() -> None:
    """Options by group, parameters by name, a group that comes later."""
    start = starts("float64")
    ours = [Parameter(p.copy()) for p in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in start]
    pairs: list[tuple[Any, Any]] = []
    for package, p in ((scratch.optim, ours), (torch.optim, theirs)):
        groups = [
            {"params": [("weight", p[0])], "weight_decay": 0.1, "betas": (0.5, 0.6)},
            {"params": [("bias", p[1]), ("scale", p[2])], "lr": 0.1},
        ]
        optimizer = package.Adam(groups, lr=0.01)
        pairs.append((optimizer, p))
    for step, drawn in enumerate(gradients(40, "float64")):
        give(ours, theirs, drawn)
        for optimizer, p in pairs:
            if step == 10:
                optimizer.add_param_group({"params": [("empty", p[3]), ("one", p[4])], "eps": 1e-3})
            optimizer.step()
    assert_close(ours, theirs)
    (optimizer, _), (reference, _) = pairs
    for group, other in zip(optimizer.param_groups, reference.param_groups, strict=True):
        assert group["param_names"] == other["param_names"]
        assert group["lr"] == other["lr"] and group["betas"] == other["betas"]
    assert optimizer.state_dict()["param_groups"][2]["params"] == [3, 4]


def test_extremes_go_where_torchs_go() -> None:
    """NaN and infinity are not refused; squares overflow and vanish at the same gradients."""
    values = np.array([np.nan, np.inf, 1e20, 3e-23, 1e-30, 0.0, 1.0], np.float32)
    for name, options in (("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {"amsgrad": True})):
        p, q = Parameter(np.ones(7, np.float32)), torch.nn.Parameter(torch.ones(7))
        optimizer = getattr(scratch.optim, name)([p], **options)
        reference = getattr(torch.optim, name)([q], **options)
        for sign in (1, -1, 1):
            p.grad, q.grad = sign * values, torch.from_numpy(sign * values)
            with np.errstate(all="ignore"):
                optimizer.step()
            reference.step()
        assert close(name, p.data, plain(q), c=64).passed, (name, p.data, q)


def test_written_out_mutant_base_is_adam() -> None:
    """The Adam that the pitfalls plant their mistakes in is right without them."""
    options = ({"weight_decay": 0.1}, {"amsgrad": True, "maximize": True}, {"lr": 0.1})
    entry = Optim("Adam", PlainAdam, torch.optim.Adam, options, "")
    assert all(c.passed for c in check(entry))


def test_written_out_sgd_is_torchs() -> None:
    """torch_ref's SGD without its extra argument."""
    options: tuple[dict[str, Any], ...] = (
        {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1},
        {"maximize": True},
        {},
    )
    for option in options:
        start = starts("float64")
        a, b = ([torch.nn.Parameter(torch.from_numpy(p.copy())) for p in start] for _ in range(2))
        mine, reference = torch_ref.optim.SGD(a, **option), torch.optim.SGD(b, **option)
        for drawn in gradients(40, "float64"):
            for p, q, g in zip(a, b, drawn, strict=True):
                p.grad = q.grad = None if g is None else torch.from_numpy(g)
            mine.step()
            reference.step()
        assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def test_lr_in_velocity_is_equal_until_lr_changes() -> None:
    def run(cut: bool, **options: Any) -> Array:
        (p,) = [Parameter(np.ones(3))]
        optimizer = scratch.optim.SGD([p], lr=0.1, momentum=0.9, **options)
        for step in range(10):
            if cut and step == 5:
                optimizer.param_groups[0]["lr"] *= 0.1
            p.grad = p.data * [1.0, 2.0, 3.0]
            optimizer.step()
        return p.data

    for cut, apart in ((False, 0.0), (True, 0.05)):
        a, b = run(cut), run(cut, lr_in_velocity=True)
        difference = np.max(np.abs(a - b))
        assert difference > apart if cut else difference < 1e-15


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
    q = torch.nn.Parameter(torch.from_numpy(start.copy()))
    ours = {name: Parameter(values) for name, values in layouts.items()}
    # No L2: where it cancels a gradient, Adam divides one rounding by another.
    both = {"amsgrad": True, "maximize": True}
    for name, options in (("Adam", both), ("SGD", {"momentum": 0.9})):
        optimizer = getattr(scratch.optim, name)(ours.values(), **options)
        reference = getattr(torch.optim, name)([q], **options)
        for _ in range(3):
            g = rng.standard_normal(shape)
            for layout, p in ours.items():
                p.grad = np.asfortranarray(g) if layout == "C" else g
            q.grad = torch.from_numpy(g)
            optimizer.step()
            reference.step()
    for p in ours.values():
        assert close("values", p.data, plain(q), c=64).passed


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
        ("Adam", {"amsgrad": True, "weight_decay": 0.1, "maximize": True}),
        ("AdamW", {}),
    ],
)
def test_step_allocates_no_more_than_a_block(name: str, options: Any, order: Any) -> None:
    p = Parameter(np.ones((1000, 999), np.float32))
    optimizer = getattr(scratch.optim, name)([p], **options)
    p.grad = np.ones(p.shape, np.float32, order=order)
    optimizer.step()
    address = p.data.ctypes.data
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * BLOCK + 16_384  # float32; what is left over is Python's
    assert p.data.ctypes.data == address and p.version == 2


def test_step_changes_all_or_nothing() -> None:
    """The second parameter's gradient does not fit: neither parameter nor any state has changed."""
    good, bad = Parameter(np.ones(2)), Parameter(np.ones(3))
    optimizer = scratch.optim.Adam([{"params": good}, {"params": bad}])
    good.grad, bad.grad = np.ones(2), np.ones(4)
    with pytest.raises(ValueError, match=r"^Adam\.step"):
        optimizer.step()
    assert np.array_equal(good.data, np.ones(2)) and good.version == 0 and not optimizer.state
    bad.grad = np.ones(3)
    optimizer.step()
    before = copy.deepcopy(optimizer.state_dict())
    foreign = optimizer.state_dict()
    foreign["state"][1]["exp_avg"] = np.ones(5)
    foreign["state"][0]["exp_avg"] += 1
    foreign["param_groups"][0]["lr"] = 7.0
    with pytest.raises(ValueError, match=r"^Adam\.load_state_dict"):
        optimizer.load_state_dict(foreign)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_state_dicts_are_copies() -> None:
    p = Parameter(np.ones(2))
    optimizer = scratch.optim.Adam([p])
    p.grad = np.ones(2)
    optimizer.step()
    saved = optimizer.state_dict()
    other = scratch.optim.Adam([Parameter(np.ones(2))])
    other.load_state_dict(saved)
    saved["state"][0]["exp_avg"] += 1
    saved["param_groups"][0]["lr"] = 9.0
    for held in (optimizer, other):
        (state,) = held.state.values()
        assert state["exp_avg"][0] < 0.2 and held.param_groups[0]["lr"] == 1e-3


def test_state_of_another_dtype_is_cast_but_the_step_count() -> None:
    p, q = Parameter(np.ones(2)), Parameter(np.ones(2, np.float32))
    wide, narrow = scratch.optim.Adam([p]), scratch.optim.Adam([q])
    p.grad = np.ones(2)
    wide.step()
    narrow.load_state_dict(wide.state_dict())
    assert narrow.state[q]["exp_avg"].dtype == np.float32
    assert narrow.state[q]["step"].dtype == np.float32 and narrow.state[q]["step"] == 1


def test_closure_zero_grad_and_repr() -> None:
    p = Parameter(np.array([2.0]))
    optimizer = scratch.optim.SGD([p], lr=0.25)

    def closure() -> float:
        optimizer.zero_grad()
        p.grad = 2 * p.data
        return float(p.data[0] ** 2)

    assert optimizer.step(closure) == 4.0 and p.data[0] == 1.0
    found = []
    for set_to_none in (False, True):
        optimizer.zero_grad(set_to_none)
        found.append(p.grad)
    zero, none = found
    assert zero is not None and np.array_equal(zero, [0.0]) and none is None
    version = p.version
    assert optimizer.step() is None and p.version == version  # no gradient: untouched
    lines = repr(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.25)).split("\n")
    assert [line for line in repr(optimizer).split("\n") if "lr_in_velocity" not in line] == [
        line for line in lines if line.split(":")[0].strip() not in ENGINE
    ]


def test_backward_refuses_parameters_that_a_step_changed() -> None:
    model = scratch.nn.Linear(2, 1)
    y, back = model(np.ones((3, 2), np.float32))
    back(np.ones_like(y))
    scratch.optim.SGD(model.parameters()).step()
    with pytest.raises(RuntimeError, match="run the forward again"):
        back(np.ones_like(y))


def test_base_class_alone_cannot_step() -> None:
    p = Parameter(np.ones(1))
    p.grad = np.ones(1)
    with pytest.raises(TypeError, match="_update"):
        Optimizer([p], {"lr": 0.1}).step()


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_decay_takes_biases_and_gains_too(name: str) -> None:
    """All of a module's parameters shrink by 1 - lr weight_decay, unless a group excepts them.

    lambda / 2 |w|^2 is what weight_decay means; lambda / (2 m) over m rows is weight_decay
    lambda / m (test_derivations.py derives both).
    """
    ours = scratch.nn.Sequential(scratch.nn.Linear(3, 2), scratch.nn.BatchNorm1d(2)).to(np.float64)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()
    rng = np.random.default_rng(0)
    start = {n: rng.uniform(1, 2, p.shape) for n, p in ours.named_parameters()}

    def shrunk(model: Any, package: Any, spared: bool) -> list[float]:
        """The factor by which each parameter shrank: the same for all its entries."""
        for n, p in model.named_parameters():
            value = torch.from_numpy(start[n].copy()) if package is torch else start[n].copy()
            p.data, p.grad = value, 0 * value
        decayed = [p for p in model.parameters() if not spared or p.data.ndim > 1]
        rest = [p for p in model.parameters() if spared and p.data.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
        getattr(package.optim, name)(groups[: 1 + spared], lr=0.5).step()
        factors = {n: plain(p.data) / start[n] for n, p in model.named_parameters()}
        assert all(np.ptp(f) < 1e-15 for f in factors.values())
        return [float(f.flat[0]) for f in factors.values()]

    for model, package in ((ours, scratch), (theirs, torch)):
        assert shrunk(model, package, False) == pytest.approx([0.95] * 4, rel=1e-15)
        assert shrunk(model, package, True) == pytest.approx([0.95, 1, 1, 1], rel=1e-15)
