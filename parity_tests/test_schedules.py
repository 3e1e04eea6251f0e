"""Schedules beside torch's: composed, interleaved, edited, moved across, resumed, refused."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scratch
from parity_tests.catalog import ENTRIES, schedules
from parity_tests.harness.check import check
from parity_tests.harness.entry import Part, Schedule
from parity_tests.harness.schedule import Driver, built, run_label
from scratch.nn import Parameter
from scratch.optim import lr_scheduler

# Needs batch normalisation.
OURS = SimpleNamespace(**vars(lr_scheduler), SWALR=scratch.optim.swa_utils.SWALR)
THEIRS = SimpleNamespace(**vars(torch.optim.lr_scheduler), SWALR=torch.optim.swa_utils.SWALR)
SIDES = pytest.mark.parametrize("mine", [True, False], ids=["scratch", "torch"])
SCHEDULES = [entry for entry in schedules.ENTRIES if isinstance(entry, Schedule)]
RUNS = [(entry, run) for entry in SCHEDULES for run in entry.runs]
RATES = (0.1, 0.37, 2.0)


def ident(value: Any) -> str:
    return value.name if isinstance(value, Schedule) else run_label(value)


def optimizer(mine: bool, name: str = "SGD", rates: tuple[float, ...] = RATES) -> Any:
    """One over as many groups as there are rates, with momentum."""
    options = {"momentum": 0.9} if name == "SGD" else {}
    if mine:
        groups = [{"params": [Parameter(np.ones(2))], "lr": lr} for lr in rates]
        return getattr(scratch.optim, name)(groups, lr=0.1, **options)
    tensors = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": lr} for lr in rates]
    return getattr(torch.optim, name)(tensors, lr=0.1, **options)


def schedule(mine: bool, part: Part, held: Any = None) -> Any:
    return built(part, held or optimizer(mine), OURS if mine else THEIRS)


def groups(held: Any) -> list[tuple[Any, ...]]:
    """What schedules set."""
    return [(g["lr"], g.get("momentum"), tuple(g.get("betas", ()))) for g in held.param_groups]


@contextmanager
def quiet() -> Iterator[None]:
    """Both sides advise; what they say is tested in one place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_name_of_torchs_is_here_and_has_an_entry() -> None:
    names = {entry.name for entry in ENTRIES}
    clipping = {"clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"}
    for ours, wanted in (
        (lr_scheduler, set(torch.optim.lr_scheduler.__all__)),
        (scratch.optim.swa_utils, set(torch.optim.swa_utils.__all__)),
        (scratch.nn.utils, clipping),
    ):
        assert wanted <= vars(ours).keys()
        assert wanted - {"LRScheduler"} <= names


@pytest.mark.parametrize("entry", SCHEDULES, ids=ident)
def test_rates_are_equal_to_the_last_bit(entry: Schedule) -> None:
    """The catalog allows rounding; the same operations in the same order need none."""
    found = check(entry)
    rates = [c for c in found if "of group" in c.what or "get_last_lr" in c.what]
    assert rates and all(c.passed for c in found) and all(c.error == 0 for c in rates)


# Against what is no code of torch's


def trajectory(part: Part, steps: int, rate: float = 1.0) -> list[float]:
    held = optimizer(True, rates=(rate,))
    made = schedule(True, part, held)
    found: list[float] = made.get_last_lr()
    for _ in range(steps):
        held.step()
        made.step()
        found += made.get_last_lr()
    return found


CLOSED: dict[str, tuple[Part, Callable[[int], float]]] = {
    "step": (Part("StepLR", {"step_size": 7}), lambda e: 0.1 ** (e // 7)),
    "milestones": (
        Part("MultiStepLR", {"milestones": [3, 3, 20], "gamma": 0.5}),
        lambda e: 0.5 ** (2 * (e >= 3) + (e >= 20)),
    ),
    "constant": (Part("ConstantLR"), lambda e: 1.0 if e >= 5 else 1 / 3),
    "linear": (Part("LinearLR"), lambda e: 1 / 3 + 2 / 3 * min(e, 5) / 5),
    "linear down": (
        Part("LinearLR", {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 30}),
        lambda e: 1 - 0.8 * min(e, 30) / 30,
    ),
    "exponential": (Part("ExponentialLR", {"gamma": 0.95}), lambda e: 0.95**e),
    "polynomial": (
        Part("PolynomialLR", {"total_iters": 30, "power": 1.5}),
        lambda e: (1 - min(e, 30) / 30) ** 1.5,
    ),
    "cosine": (
        Part("CosineAnnealingLR", {"T_max": 15, "eta_min": 0.1}),
        lambda e: 0.1 + 0.9 * (1 + math.cos(math.pi * e / 15)) / 2,
    ),
    "warm restarts": (
        Part("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 3, "eta_min": 0.1}),
        # Descents of 5, 15, 45 epochs.
        lambda e: (
            0.1
            + 0.9
            * (
                1
                + math.cos(
                    math.pi * (e / 5 if e < 5 else (e - 5) / 15 if e < 20 else (e - 20) / 45)
                )
            )
            / 2
        ),
    ),
    "triangular2": (
        Part(
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 10, "mode": "triangular2"},
        ),
        lambda e: 0.1 + 0.9 * (1 - abs(e % 20 - 10) / 10) / 2 ** (e // 20),
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form(name: str) -> None:
    """The recursion against the formula, over four times its natural length."""
    part, form = CLOSED[name]
    expected = np.array([form(e) for e in range(61)])
    assert np.max(np.abs(trajectory(part, 60) - expected)) <= 64 * np.finfo(float).eps


def test_one_cycle_starts_turns_and_ends_where_the_documentation_says() -> None:
    rates = trajectory(Part("OneCycleLR", {"max_lr": 1.0, "total_steps": 50}), 49)
    assert rates[0] == pytest.approx(1 / 25) and rates[14] == 1.0 == max(rates)
    assert rates[49] == pytest.approx(1 / 25 / 1e4)


def test_cosine_follows_an_edited_rate() -> None:
    """Halved at epoch 3, all that follows is half of what it would have been."""
    held = optimizer(True, rates=(1.0,))
    made = schedule(True, Part("CosineAnnealingLR", {"T_max": 10}), held)
    for epoch in range(4):
        if epoch == 3:
            held.param_groups[0]["lr"] *= 0.5
        held.step()
        made.step()
    exact = (1 + math.cos(math.pi * 0.4)) / 2
    assert made.get_last_lr()[0] == pytest.approx(exact / 2, rel=1e-14)


# Sequences of events


def options(**choices: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in choices.items()}
    )


def parts(name: str, **choices: list[Any]) -> st.SearchStrategy[Part]:
    return options(**choices).map(lambda drawn: Part(name, drawn))


SIMPLE = st.one_of(
    parts("LambdaLR", lr_lambda=[schedules.halved, schedules.harmonic, schedules.staircase]),
    parts("MultiplicativeLR", lr_lambda=[schedules.halved, schedules.harmonic]),
    parts("StepLR", step_size=[1, 3, 7], gamma=[0.1, 0.5, 1.3]),
    parts("MultiStepLR", milestones=[[], [2, 5, 5, 20], [0, 3]], gamma=[0.1, 0.5]),
    parts("ConstantLR", factor=[1 / 3, 0.7, 1], total_iters=[0, 1, 5]),
    parts("LinearLR", start_factor=[1 / 3, 1, 0.01], end_factor=[1, 0, 0.5], total_iters=[0, 1, 7]),
    parts("ExponentialLR", gamma=[0.9, 1.01, 0.5]),
    parts("PolynomialLR", total_iters=[0, 1, 5, 20], power=[1.0, 0.9, 2, 0]),
    parts("CosineAnnealingLR", T_max=[1, 2, 7, 30], eta_min=[0, 0.01, 0.5]),
    parts("CosineAnnealingWarmRestarts", T_0=[1, 3, 10], T_mult=[1, 2, 3], eta_min=[0, 0.01]),
)
CYCLES = st.one_of(
    parts(
        "CyclicLR",
        base_lr=[0.01, [0.1, 0.2, 0.3]],
        max_lr=[0.5, [1.0, 2.0, 3.0]],
        step_size_up=[1, 4, 5],
        step_size_down=[None, 3, 0],
        mode=["triangular", "triangular2", "exp_range"],
        gamma=[0.97],
        cycle_momentum=[True, False],
    ),
    parts(
        "OneCycleLR",
        max_lr=[0.5, [1.0, 2.0, 3.0]],
        total_steps=[60],
        pct_start=[0.3, 0.5, 0.0],
        anneal_strategy=["cos", "linear"],
        three_phase=[True, False],
        base_momentum=[0.85, [0.1, 0.2, 0.3]],
    ),
    parts("SWALR", swa_lr=[0.05, [0.1, 0.2, 0.3]], anneal_epochs=[0, 1, 9]),
)
PLATEAU = parts(
    "ReduceLROnPlateau",
    mode=["min", "max"],
    factor=[0.1, 0.5],
    patience=[0, 2],
    threshold=[1e-4, 0.1],
    threshold_mode=["rel", "abs"],
    cooldown=[0, 2],
    min_lr=[0, [0.01, 0.02, 0.03]],
    eps=[1e-8, 0.01],
)
SEQUENCE = st.lists(st.one_of(SIMPLE, CYCLES), min_size=2, max_size=3).flatmap(
    lambda drawn: st.lists(
        st.integers(0, 12), min_size=len(drawn) - 1, max_size=len(drawn) - 1
    ).map(lambda at: Part("SequentialLR", {"schedulers": drawn, "milestones": sorted(at)}))
)
CHAIN = st.lists(st.one_of(SIMPLE, SEQUENCE), min_size=1, max_size=3).map(
    lambda drawn: Part("ChainedScheduler", {"schedulers": drawn})
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 9)),
        st.tuples(st.just("step"), st.integers(0, 9)),
        st.tuples(st.just("jump"), st.integers(0, 30)),
        st.tuples(st.just("edit"), st.sampled_from([0.5, 3.0, 0.0])),
        st.tuples(st.just("cross"), st.booleans()),
    ),
    min_size=5,
    max_size=40,
)


class Pair:
    """The same optimizer with the same schedules on both sides."""

    def __init__(self, drawn: list[Part], name: str) -> None:
        self.parts, self.name = drawn, name
        self.sides = [self.new(True), self.new(False)]

    def new(self, mine: bool) -> tuple[Any, list[Any]]:
        held = optimizer(mine, self.name)
        return held, [schedule(mine, part, held) for part in self.parts]

    def cross(self) -> None:
        """Each side goes on from the state of the other."""
        saved = [
            (held.state_dict(), [schedule.state_dict() for schedule in made])
            for held, made in self.sides
        ]
        self.sides = [self.new(True), self.new(False)]
        for (held, made), (state, states) in zip(self.sides, reversed(saved), strict=True):
            held.load_state_dict(state)
            for schedule, each in zip(made, states, strict=True):
                schedule.load_state_dict(each)

    def step(self, i: int, *arguments: Any) -> bool:
        """Step schedule `i`; both refuse or neither does. Whether they did step."""
        outcomes = []
        for held, made in self.sides:
            held.step()
            try:
                made[i].step(*arguments)
                outcomes.append("")
            except (ValueError, ZeroDivisionError) as error:
                outcomes.append(str(error))
        assert bool(outcomes[0]) == bool(outcomes[1]), outcomes
        return not outcomes[0]

    def agree(self) -> None:
        (held, made), (other_held, others) = self.sides
        assert groups(held) == groups(other_held)
        for a, b in zip(made, others, strict=True):
            assert a.get_last_lr() == b.get_last_lr()
            # As text: NaN is not equal to itself.
            assert repr(plain(a.state_dict())) == repr(plain(b.state_dict()))


def plain(value: Any) -> Any:
    """Numbers as floats, in the order of their names."""
    if isinstance(value, Mapping):
        return sorted((str(k), plain(v)) for k, v in value.items())
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=300, deadline=None)
@given(
    drawn=st.lists(st.one_of(SIMPLE, CYCLES, PLATEAU, SEQUENCE, CHAIN), min_size=1, max_size=3),
    name=st.sampled_from(["SGD", "Adam"]),
    events=EVENTS,
)
def test_any_schedules_and_events(drawn: list[Part], name: str, events: Any) -> None:
    """Steps in any order, jumps, edits, states that change sides: equal to the last bit."""
    with quiet():
        pair = Pair(drawn, name)
        pair.agree()
        for i, (kind, value) in enumerate(events):
            if kind == "edit":
                for held, _ in pair.sides:
                    held.param_groups[i % 3]["lr"] *= value
            elif kind == "cross":
                pair.cross()
            else:
                which = value % len(drawn)
                composed = drawn[which].name in ("SequentialLR", "ChainedScheduler")
                plateau = drawn[which].name == "ReduceLROnPlateau"
                arguments = [schedules.METRICS[i % len(schedules.METRICS)]] if plateau else []
                if kind == "jump" and not composed:
                    arguments.append(value)
                if not pair.step(which, *arguments):
                    return  # torch's side may be half way through a step
            pair.agree()


@pytest.mark.parametrize(("entry", "run"), RUNS, ids=ident)
def test_state_moves_across_mid_run(entry: Schedule, run: Any) -> None:
    """torch, then scratch, then torch, beside torch alone."""

    def driver(mine: bool) -> Driver:
        packages = (scratch.optim, scratch.nn) if mine else (torch.optim, torch.nn)
        optim, nn = packages
        values = [np.ones(3)] * len(RATES)
        data = [nn.Parameter(v.copy() if mine else torch.from_numpy(v.copy())) for v in values]
        kind = entry.scratch if mine else entry.torch
        return Driver(run, kind, getattr(optim, run.optimizer), optim.lr_scheduler, data)

    def moved(old: Driver, mine: bool) -> Driver:
        new = driver(mine)
        new.optimizer.load_state_dict(old.optimizer.state_dict())
        for a, b in zip([new.schedule, *new.before], [old.schedule, *old.before], strict=True):
            a.load_state_dict(b.state_dict())
        return new

    if run.steps < 45:
        return
    with quiet():
        alone, changing = driver(False), driver(False)
        for step in range(45):
            if step in (15, 30):
                changing = moved(changing, mine=step == 15)
            alone.step(step)
            changing.step(step)
            assert groups(alone.optimizer) == groups(changing.optimizer)
            assert alone.last().tolist() == changing.last().tolist()


RESUMED = [
    Part("LambdaLR", {"lr_lambda": schedules.halved}),
    Part("MultiplicativeLR", {"lr_lambda": schedules.halved}),
    Part("StepLR", {"step_size": 6}),
    Part("MultiStepLR", {"milestones": [5, 6, 9]}),
    Part("ConstantLR", {"total_iters": 6}),
    Part("ConstantLR", {"total_iters": 9}),
    Part("LinearLR", {"total_iters": 9}),
    Part("ExponentialLR", {"gamma": 0.9}),
    Part("PolynomialLR", {"total_iters": 20}),
    Part("CosineAnnealingLR", {"T_max": 9}),
    Part("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2}),
    Part("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4}),
    Part("OneCycleLR", {"max_lr": 0.3, "total_steps": 40}),
    Part("SWALR", {"swa_lr": 0.05}),
]


@pytest.mark.parametrize("part", RESUMED, ids=lambda p: p.name)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_run_goes_on_after_last_epoch(part: Part, name: str) -> None:
    """The groups come from the optimizer's state, the epoch from the argument: as in torch."""
    with quiet():
        found = []
        for mine in (True, False):
            held = optimizer(mine, name)
            made = schedule(mine, part, held)
            for _ in range(5):
                held.step()
                made.step()
            other = optimizer(mine, name)
            other.load_state_dict(held.state_dict())
            resumed = Part(part.name, {**part.options, "last_epoch": 4})
            again = schedule(mine, resumed, other)
            rows = [groups(other)]
            for _ in range(20):
                other.step()
                again.step()
                rows.append(groups(other))
            found.append(rows)
    assert found[0] == found[1]


# What each side refuses

BOTH_REFUSE: dict[str, Callable[[Any, Any], Any]] = {
    "no optimizer": lambda s, o: s.StepLR(None, 3),
    "no optimizer for a cycle": lambda s, o: s.CyclicLR(None, 0.1, 0.2),
    "no optimizer for one cycle": lambda s, o: s.OneCycleLR(None, 0.1, 9),
    "no optimizer for a plateau": lambda s, o: s.ReduceLROnPlateau(None),
    "resumed without initial_lr": lambda s, o: s.StepLR(o, 3, last_epoch=0),
    "lambdas": lambda s, o: s.LambdaLR(o, [schedules.halved]),
    "multiplicative lambdas": lambda s, o: s.MultiplicativeLR(o, [schedules.halved]),
    "no lambda": lambda s, o: s.MultiplicativeLR(o, 0.95),
    "constant above 1": lambda s, o: s.ConstantLR(o, 1.1),
    "constant below 0": lambda s, o: s.ConstantLR(o, -0.1),
    "start 0": lambda s, o: s.LinearLR(o, 0.0),
    "start above 1": lambda s, o: s.LinearLR(o, 1.1),
    "end above 1": lambda s, o: s.LinearLR(o, 0.5, 1.1),
    "end below 0": lambda s, o: s.LinearLR(o, 0.5, -0.1),
    "T_0 0": lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    "T_0 float": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2.0),
    "T_mult 0": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 0),
    "T_mult float": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 2.0),
    "eta_min text": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 2, "0"),
    "epoch below 0": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2).step(-1),
    "cyclic mode": lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="CATS"),
    "cyclic base_lr": lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    "cyclic max_lr": lambda s, o: s.CyclicLR(o, 0.1, [0.2]),
    "cyclic momentum": lambda s, o: s.CyclicLR(o, 0.1, 0.2, base_momentum=[0.2]),
    "cyclic of no time": lambda s, o: s.CyclicLR(o, 0.1, 0.2, 0),
    "no total": lambda s, o: s.OneCycleLR(o, 0.1),
    "half a total": lambda s, o: s.OneCycleLR(o, 0.1, epochs=3),
    "total 0": lambda s, o: s.OneCycleLR(o, 0.1, 0),
    "total float": lambda s, o: s.OneCycleLR(o, 0.1, 9.0),
    "epochs": lambda s, o: s.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=3),
    "epochs float": lambda s, o: s.OneCycleLR(o, 0.1, epochs=1.0, steps_per_epoch=3),
    "steps_per_epoch": lambda s, o: s.OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=0),
    "pct_start above 1": lambda s, o: s.OneCycleLR(o, 0.1, 9, pct_start=1.1),
    "pct_start below 0": lambda s, o: s.OneCycleLR(o, 0.1, 9, pct_start=-0.1),
    "pct_start integer": lambda s, o: s.OneCycleLR(o, 0.1, 9, pct_start=1),
    "one cycle strategy": lambda s, o: s.OneCycleLR(o, 0.1, 9, anneal_strategy="CATS"),
    "one cycle max_lr": lambda s, o: s.OneCycleLR(o, [0.1], 9),
    "one cycle momentum": lambda s, o: s.OneCycleLR(o, 0.1, 9, max_momentum=[0.1]),
    "climb of no time": lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=0.1),
    "factor 1": lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda s, o: s.ReduceLROnPlateau(o, mode="least"),
    "threshold_mode": lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="relative"),
    "min_lr": lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
    "metric none": lambda s, o: s.ReduceLROnPlateau(o).step(None),
    "no schedulers": lambda s, o: s.SequentialLR(o, [], []),
    "no chain": lambda s, o: s.ChainedScheduler([]),
    "no scheduler": lambda s, o: s.SequentialLR(o, [3, s.ConstantLR(o)], [3]),
    "no chained scheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o), 3]),
    "plateau in a sequence": lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "plateau in a chain": lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
    "milestones": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o)], [3]),
    "strategy": lambda s, o: s.SWALR(o, 0.1, anneal_strategy="exponential"),
    "epochs below 0": lambda s, o: s.SWALR(o, 0.1, -1),
    "epochs of a half": lambda s, o: s.SWALR(o, 0.1, 1.7),
    "swa rates": lambda s, o: s.SWALR(o, [0.1]),
}


@pytest.mark.parametrize("name", BOTH_REFUSE)
def test_what_torch_refuses_is_refused(name: str) -> None:
    torchs = (ValueError, TypeError, KeyError, ZeroDivisionError)
    with pytest.raises(torchs), quiet():
        BOTH_REFUSE[name](THEIRS, optimizer(False))
    held = optimizer(True)
    before = copy.deepcopy([{**g, "params": None} for g in held.param_groups])
    with pytest.raises((ValueError, TypeError), match=r": expected .*, got "), quiet():
        BOTH_REFUSE[name](OURS, held)
    if not any(word in name for word in ("sequence", "scheduler", "milestones", "epoch below")):
        assert [{**g, "params": None} for g in held.param_groups] == before


@SIDES
def test_composition_cannot_start_at_a_milestone(mine: bool) -> None:
    """torch finds out there, we at once."""
    side, held = (OURS, optimizer(True)) if mine else (THEIRS, optimizer(False))
    chain = side.ChainedScheduler([side.ConstantLR(held)])
    with pytest.raises((ValueError, NotImplementedError)), quiet():
        made = side.SequentialLR(held, [side.ConstantLR(held), chain], [1])
        made.step()


def test_composition_may_stand_second_if_it_starts_the_run() -> None:
    """Its parts take their step 0 again there, as no initial one."""
    found = []
    for side, held in ((OURS, optimizer(True)), (THEIRS, optimizer(False))):
        with quiet():
            chain = side.ChainedScheduler([side.ExponentialLR(held, 0.5)])
            made = side.SequentialLR(held, [side.ConstantLR(held), chain], [0])
            rows = [made.get_last_lr()]
            made.step()
        found.append([*rows, made.get_last_lr()])
    assert found[0] == found[1] and found[0][0] == [0.05, 0.185, 1.0]


def test_step_changes_all_or_nothing() -> None:
    """The second part fails: the first has not stepped, nor has any count moved."""

    def falls(epoch: int) -> float:
        return 0.5 if epoch < 3 else math.nan

    held = optimizer(True)
    chain = Part(
        "ChainedScheduler",
        {
            "schedulers": [
                Part("OneCycleLR", {"max_lr": 0.1, "total_steps": 9}),
                Part("CosineAnnealingWarmRestarts", {"T_0": 2}),
                Part("LambdaLR", {"lr_lambda": falls}),
            ]
        },
    )
    for part in (chain, Part("SequentialLR", {**chain.options, "milestones": [0, 0]})):
        made = schedule(True, part, held)
        for _ in range(2):
            held.step()
            made.step()
        before = copy.deepcopy((groups(held), made.state_dict()))
        with pytest.raises(ValueError, match=r"^LambdaLR\.step"):
            made.step()
        assert (groups(held), made.state_dict()) == before


def test_load_state_dict_changes_all_or_nothing() -> None:
    part = Part("ChainedScheduler", {"schedulers": [Part("LinearLR"), Part("ConstantLR")]})
    made = schedule(True, part)
    saved = made.state_dict()
    saved["_schedulers"][0]["last_epoch"] = 7
    saved["_schedulers"][1]["factor"] = 7.0
    before = made.state_dict()
    with pytest.raises(ValueError, match=r"^ChainedScheduler\.load_state_dict"):
        made.load_state_dict(saved)
    assert made.state_dict() == before


def test_states_and_rates_are_copies() -> None:
    made = schedule(True, Part("MultiStepLR", {"milestones": [3]}))
    saved, rates = made.state_dict(), made.get_last_lr()
    saved["milestones"][5] = 1
    saved["base_lrs"][0] = rates[0] = 9.0
    assert made.base_lrs == list(RATES) == made.get_last_lr() and 5 not in made.milestones


class Falling:
    """A function with something to remember."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, epoch: float) -> float:
        return float(self.by**epoch)


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR", "CyclicLR"])
def test_attributes_of_callable_objects_are_saved(name: str) -> None:
    def part(by: float) -> Part:
        if name == "CyclicLR":
            return Part(name, {"base_lr": 0.1, "max_lr": 0.2, "scale_fn": Falling(by)})
        return Part(name, {"lr_lambda": [Falling(by), schedules.halved, Falling(by + 1)]})

    for mine in (True, False):
        saved = schedule(not mine, part(0.5)).state_dict()
        made = schedule(mine, part(0.9))
        made.load_state_dict(dict(saved))  # torch's takes from the dict
        if name == "CyclicLR":
            assert made.scale_fn(2) == 0.25 == saved["_scale_fn_custom"]["by"] ** 2
        else:
            assert saved["lr_lambdas"] == [{"by": 0.5}, None, {"by": 1.5}]
            assert [f(2) for f in made.lr_lambdas][::2] == [0.25, 2.25]


def test_schedule_of_the_users() -> None:
    """Written once, with `get_lr` alone, for either package."""
    found = []
    for mine in (True, False):
        base: Any = OURS.LRScheduler if mine else THEIRS.LRScheduler

        class Noam(base):  # type: ignore[misc]  # of two bases
            def __init__(self, optimizer: Any, warmup: int) -> None:
                self.warmup = warmup
                super().__init__(optimizer)

            def get_lr(self) -> list[float]:
                e = self.last_epoch + 1
                return [lr * min(e**-0.5, e * self.warmup**-1.5) for lr in self.base_lrs]

        held = optimizer(mine)
        made = Noam(held, 4)
        rows = [made.get_last_lr()]
        for _ in range(10):
            held.step()
            made.step()
            rows.append(made.get_last_lr())
        found.append((rows, sorted(made.state_dict())))
    assert found[0] == found[1]


# Groups that come later


@pytest.mark.parametrize(
    ("part", "works"),
    [
        (Part("StepLR", {"step_size": 2}), True),
        (Part("ExponentialLR", {"gamma": 0.9}), True),
        (Part("CosineAnnealingLR", {"T_max": 3}), False),  # where it turns, base_lr is needed
        (Part("LambdaLR", {"lr_lambda": schedules.halved}), False),
        (Part("CyclicLR", {"base_lr": 0.1, "max_lr": 0.2}), False),
        (Part("OneCycleLR", {"max_lr": 0.2, "total_steps": 20}), False),
        (Part("SWALR", {"swa_lr": 0.2}), False),
        (Part("ReduceLROnPlateau", {"patience": 0}), True),
        (Part("ReduceLROnPlateau", {"patience": 0, "min_lr": [0.1] * 3}), False),
    ],
    ids=lambda value: value.name if isinstance(value, Part) else None,
)
def test_group_that_is_added(part: Part, works: bool) -> None:
    found = []
    for mine in (True, False):
        held = optimizer(mine)
        made = schedule(mine, part, held)
        new = Parameter(np.ones(1)) if mine else torch.nn.Parameter(torch.ones(1))
        held.add_param_group({"params": [new], "lr": 0.5})
        rows = []
        try:
            with quiet():
                for step in range(8):
                    held.step()
                    made.step(*([float(step)] if part.name == "ReduceLROnPlateau" else []))
                    rows.append(groups(held))
        except (ValueError, RuntimeError, KeyError) as error:
            rows.append([(type(error), None, ())])
            assert not mine or ": expected " in str(error)
        found.append(rows)
    assert len(found[0]) == len(found[1]) and (len(found[0]) == 8) == works
    assert found[0][:-1] == found[1][:-1]


# Advice


def advice(mine: bool, script: Callable[[Any, Any], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        held = optimizer(mine)
        made = schedule(mine, Part("StepLR", {"step_size": 3}), held)
        assert not caught
        script(held, made)
    assert all(w.category is UserWarning for w in caught)
    assert not mine or all(w.filename == __file__ for w in caught)
    words = ("before `optimizer.step()`", "deprecated", "get_last_lr()")
    return [next(word for word in words if word in str(w.message)) for w in caught]


ADVICE: dict[str, tuple[Callable[[Any, Any], object], list[str]]] = {
    "right order": (lambda o, s: [(o.step(), s.step()) for _ in range(3)], []),
    "wrong order": (
        lambda o, s: [(s.step(), o.step()) for _ in range(3)],
        ["before `optimizer.step()`"],
    ),
    "no step at all": (
        lambda o, s: [s.step() for _ in range(3)],
        ["before `optimizer.step()`"],
    ),
    "an epoch": (lambda o, s: (o.step(), s.step(3), s.step(4)), ["deprecated"] * 2),
    "get_lr": (lambda o, s: s.get_lr(), ["get_last_lr()"]),
    "get_last_lr": (lambda o, s: s.get_last_lr(), []),
}


@SIDES
@pytest.mark.parametrize("name", ADVICE)
def test_advice_is_torchs(name: str, mine: bool) -> None:
    script, expected = ADVICE[name]
    assert advice(mine, script) == expected


@SIDES
def test_second_schedule_of_an_optimizer_that_stepped(mine: bool) -> None:
    """Only the first schedule's first step is watched."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = optimizer(mine)
        first = schedule(mine, Part("StepLR", {"step_size": 3}), held)
        held.step()
        first.step()
        schedule(mine, Part("ExponentialLR", {"gamma": 0.9}), held).step()
        both = [Part("LinearLR"), Part("ExponentialLR", {"gamma": 0.9})]
        sequence = schedule(mine, Part("SequentialLR", {"schedulers": both, "milestones": [3]}))
        for _ in range(6):
            sequence.optimizer.step()
            sequence.step()


# Numbers of other kinds


def test_numbers_of_numpys_do_not_round_the_rates() -> None:
    made = schedule(
        True,
        Part("ExponentialLR", {"gamma": np.float32(0.5)}),
        optimizer(True, rates=(np.float64(0.1), 0.3)),
    )
    made.optimizer.step()
    made.step()
    assert made.get_last_lr() == [0.05, 0.15]
    assert all(type(lr) is float for lr in made.get_last_lr())
    with quiet():
        made.step(np.int64(4))
    assert type(made.last_epoch) is int
    cycle = schedule(
        True,
        Part("CyclicLR", {"base_lr": np.array([0.1, 0.2, 0.3]).tolist(), "max_lr": np.float32(1)}),
    )
    assert cycle.max_lrs == [1.0] * 3


@pytest.mark.parametrize("kind", [float, np.float32, np.asarray, lambda m: np.array([m])])
def test_metric_may_be_an_array_of_one(kind: Callable[[float], Any]) -> None:
    made = schedule(True, Part("ReduceLROnPlateau", {"patience": 0}))
    made.step(kind(1.0))
    made.step(kind(2.0))
    assert made.get_last_lr() == [lr * 0.1 for lr in RATES] and made.best == 1.0


def test_rate_may_end_below_zero() -> None:
    """A rate may end below zero, by rounding too; the optimizer takes it, as torch's does."""
    held = optimizer(True, rates=(0.1,))
    made = schedule(True, Part("CosineAnnealingLR", {"T_max": 7, "eta_min": -1e-3}), held)
    for _ in range(7):
        held.step()
        made.step()
    assert made.get_last_lr() == [-1e-3]
    held.step()
