"""A thousand steps of every optimizer, and where the two sides part, why."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from parity_tests.harness import marathon
from parity_tests.harness.marathon import LIMIT, PARTED, RUNNERS, SCHEDULES, pairs, run
from parity_tests.pitfalls import PITFALLS
from scratch.optim.muon import bfloat16, multiply_add, orthogonal

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.mark.parametrize(("optimizer", "schedule", "task"), pairs(every=False))
def test_a_thousand_steps(optimizer: str, schedule: str, task: str) -> None:
    failed = [str(c) for c in run(optimizer, schedule, task).comparisons() if not c.passed]
    assert not failed, "\n".join(failed)


def test_all_are_there() -> None:
    classes = {
        name
        for name, item in vars(scratch.optim).items()
        if inspect.isclass(item) and issubclass(item, scratch.optim.Optimizer)
    }
    assert set(RUNNERS) == classes - {"Optimizer"}
    assert {schedule for _, schedule, _ in pairs(every=False)} == set(SCHEDULES)


# What a rounding error is not: a convention, planted into a run.
SEEN = {
    "adam_eps_hat": 1e6,
    "adamw_decay_after_step": 1e6,
    "momentum_lr_in_velocity": 1e6,  # the halved rate and the schedule
    "gradient_none_coasts": 1e6,  # the parameter without gradient
    "gradient_zero_is_skipped": 1e6,  # the loss times 0
    "nadam_product_in_float64": 1e4,
    "asgd_lr_acts_at_once": 1e6,
    "rprop_lr_scales_steps": 1e6,
}


@pytest.mark.parametrize("name", SEEN)
def test_a_mutant_is_far_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pitfall = next(p for p in PITFALLS if p.name == name)
    monkeypatch.setattr(scratch.optim, pitfall.entry, pitfall.mutant)
    assert run(pitfall.entry, "StepLR", "quadratic").worst > SEEN[name]


@pytest.mark.parametrize(("optimizer", "task"), [("LARS", "quadratic"), ("Adadelta", "rosenbrock")])
def test_without_noise_torch_parts_from_torch(optimizer: str, task: str) -> None:
    """At the bottom the gradient is what is left of terms that cancelled, and the way is chaotic.

    Scratch stays with torch as long as a torch run does that starts one float higher.
    """
    ours = run(optimizer, "constant", task, noise=0.0)
    other = run(optimizer, "constant", task, noise=0.0, nudge=True)
    assert other.worst > 1e6
    together = [a for a, b in zip(ours.drift, other.drift, strict=True) if b < PARTED]
    assert len(together) > 5 and max(together) < LIMIT


# Muon and bfloat16


def newton_schulz(x: Array) -> tuple[Array, Array, Array] | None:
    """The first result of the iteration that torch rounds to another number, if there is one.

    Each result is computed by both from the same numbers, on which they agree so far.

    Returns:
        Ours, torch's, and how far the exact one may be from what either rounds: its sum in float32.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[0] > x.shape[1]
    o = bfloat16(x.T if tall else x)
    o = bfloat16(
        o / np.maximum(bfloat16(np.asarray(np.linalg.norm(o))), bfloat16(np.asarray(1e-7)))
    )

    def torchs(function: Any, *operands: Array, **scales: float) -> Array:
        given = [torch.from_numpy(operand.copy()).bfloat16() for operand in operands]
        result: Array = function(*given, **scales).float().numpy()
        return result

    for _ in range(5):
        A = bfloat16(o @ o.T)
        B = bfloat16(multiply_add(A, b, (A @ A) * np.float32(c)))
        new = bfloat16(multiply_add(o, a, B @ o))
        exact = [np.asarray(m, np.float64) for m in (o, A, B)]
        o64, A64, B64 = exact
        for ours, theirs, value, terms in (
            (A, torchs(torch.matmul, o, o.T), o64 @ o64.T, abs(o64) @ abs(o64).T),
            (
                B,
                torchs(torch.addmm, A, A, A, beta=b, alpha=c),
                b * A64 + c * (A64 @ A64),
                abs(b * A64) + c * (abs(A64) @ abs(A64)),
            ),
            (
                new,
                torchs(torch.addmm, o, B, o, beta=a, alpha=1.0),
                a * o64 + B64 @ o64,
                abs(a * o64) + abs(B64) @ abs(o64),
            ),
        ):
            if not np.array_equal(ours, theirs):
                return ours, theirs, np.stack([value, terms])
        o = new
    return None


def test_muon_parts_at_ties_of_bfloat16() -> None:
    """Each step in which the two part: the same sum, added in another order, beside a tie.

    The first number on which they do not agree lies between two neighbours of 8 bits, and so near
    the middle that the rounding errors of its sum in float32 reach across.
    """
    found = []

    def watch(step: int, one: Any, two: Any) -> None:
        for q in two.parameters:
            if q.ndim == 2 and q.numel() and q.grad is not None:
                buffer = two.optimizer.state[q]["momentum_buffer"]
                found.append(newton_schulz(q.grad.lerp(buffer, 0.95).numpy()))

    result = run("Muon", "StepLR", "digits", watch=watch)
    assert all(p.explained("ties") for p in result.partings)
    first = [differ for differ in found if differ is not None]
    assert len(first) >= len(result.partings)
    for ours, theirs, (value, terms) in first:
        at = ours != theirs
        low, high = np.minimum(ours, theirs)[at], np.maximum(ours, theirs)[at]
        assert np.array_equal(bfloat16(np.nextafter((low + high) / 2, -np.inf)), low)
        assert np.array_equal(bfloat16(np.nextafter((low + high) / 2, np.inf)), high)
        reach = ours.shape[1] * 2.0**-24 * terms[at]
        assert np.all(np.abs(value[at] - (low.astype(np.float64) + high) / 2) <= reach)


def test_the_iteration_above_is_muons() -> None:
    """Where torch agrees throughout, so does `orthogonal`, bit for bit."""
    rng = np.random.default_rng(0)
    for shape in ((3, 4), (8, 8), (7, 2)):
        for x in rng.standard_normal((20, *shape)):
            assert newton_schulz(x) is None
            theirs = torch.optim._muon._zeropower_via_newtonschulz(
                torch.from_numpy(x), (3.4445, -4.7750, 2.0315), 5, 1e-7
            )
            assert np.array_equal(orthogonal(x), theirs.float().numpy())


# L-BFGS


def test_lbfgs_magnifies_rounding_as_torch_does() -> None:
    """Two torch runs whose starts differ in one float part within a hundred steps.

    Scratch goes on from torch's state where it leaves the rounding level, at most every tenth step,
    and every such step torch takes as wide of itself once its sums are off by some roundings.
    """
    torchs = run("LBFGS", "constant", "quadratic", nudge=True)
    assert torchs.drift[torchs.watched.index(100)] > 1e4
    ours = run("LBFGS", "constant", "quadratic")
    assert 0 < len(ours.partings) < 100
    assert all(p.explained("magnifies") for p in ours.partings)
    assert ours.evaluations > 2500
    assert marathon.STEPS == 1000
