"""Learning-rate schedules."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.harness.entry import Part, Refusal, Run, Schedule
from scratch.nn import Parameter
from scratch.optim import lr_scheduler, swa_utils

SGDR = "Loshchilov & Hutter 2017, arXiv:1608.03983"
SWA = "Izmailov et al. 2018, arXiv:1803.05407"
DOCUMENTED = "torch.optim.lr_scheduler's documentation"
EDITS = {3: 0.5, 21: 2.0, 40: 0.0}
JUMPS = {5: 13, 20: 2, 33: 40, 50: 0}

# Ties, steps below and above the threshold, NaN, infinity, zero and below.
METRICS = (
    *(1.0, 1.0, 0.99995, 0.9998, math.nan, 0.5, 0.5, 0.5, math.inf, 0.49996, 0.49994),
    *(0.0, 0.0, -1e-9, -0.5, -0.49999, -0.500049, -0.50006, -math.inf, 0.3, 2.0, 3.0),
)


def halved(epoch: int) -> float:
    """Half after eight epochs."""
    return float(0.5 ** (epoch / 8))


def harmonic(epoch: int) -> float:
    """1 / (1 + epoch)."""
    return 1 / (1 + epoch)


def staircase(epoch: int) -> int:
    """An integer, zero at first."""
    return epoch // 10


def wave(x: float) -> float:
    """Between 0 and 1."""
    return 0.5 * (1 + math.sin(x))


def schedule(name: str, *runs: Run, source: str = DOCUMENTED) -> Schedule:
    ours, theirs = getattr(lr_scheduler, name), getattr(torch.optim.lr_scheduler, name)
    return Schedule(name, ours, theirs, runs, source)


ENTRIES = [
    schedule(
        "LambdaLR",
        Run({"lr_lambda": halved}, edits=EDITS),
        Run({"lr_lambda": [halved, harmonic, staircase]}, epochs=JUMPS),
        Run({"lr_lambda": harmonic}, before=(Part("StepLR", {"step_size": 5}),)),
    ),
    schedule(
        "MultiplicativeLR",
        Run({"lr_lambda": halved}, edits=EDITS),
        Run({"lr_lambda": [halved, harmonic, staircase]}, epochs=JUMPS),
        Run({"lr_lambda": halved}, before=(Part("ExponentialLR", {"gamma": 1.1}),)),
    ),
    schedule(
        "StepLR",
        Run({"step_size": 7}),
        Run({"step_size": 1, "gamma": 0.9}, edits=EDITS),
        Run({"step_size": 10, "gamma": 2.0}, epochs=JUMPS),
        Run({"step_size": 9}, before=(Part("CosineAnnealingLR", {"T_max": 20}),)),
    ),
    schedule(
        "MultiStepLR",
        Run({"milestones": [5, 12, 30]}),
        Run({"milestones": [12, 5, 5, 30], "gamma": 0.5}, edits=EDITS),
        Run({"milestones": [0, 3, 12], "gamma": 0.7}, epochs=JUMPS),
        Run({"milestones": []}),
    ),
    schedule(
        "ConstantLR",
        Run(),
        Run({"factor": 0.7, "total_iters": 30}, edits=EDITS),
        Run({"factor": 0.2, "total_iters": 30}, epochs=JUMPS),
        Run({"factor": 0.5, "total_iters": 0}),
        Run({"factor": 0.0, "total_iters": 100}),
    ),
    schedule(
        "LinearLR",
        Run(),
        Run({"start_factor": 0.01, "end_factor": 0.5, "total_iters": 31}, edits=EDITS),
        Run({"start_factor": 1.0, "end_factor": 0.0, "total_iters": 20}, epochs=JUMPS),
        Run({"total_iters": 0}),
    ),
    schedule(
        "ExponentialLR",
        Run({"gamma": 0.9}, edits=EDITS),
        Run({"gamma": 1.05}, epochs=JUMPS),
        Run({"gamma": 0.99}, before=(Part("StepLR", {"step_size": 5}), Part("LinearLR"))),
    ),
    schedule(
        "PolynomialLR",
        Run(),
        Run({"total_iters": 50, "power": 0.9}, edits=EDITS),
        Run({"total_iters": 45, "power": 2}, epochs=JUMPS),
        Run({"total_iters": 0}),
    ),
    schedule(
        "CosineAnnealingLR",
        Run({"T_max": 20}),
        Run({"T_max": 7, "eta_min": 0.05}),
        Run({"T_max": 10}, edits=EDITS),
        Run({"T_max": 25, "eta_min": 0.01}, epochs=JUMPS),
        Run({"T_max": 12}, before=(Part("StepLR", {"step_size": 5, "gamma": 0.5}),)),
        Run({"T_max": 1}),
        source=SGDR,
    ),
    schedule(
        "CosineAnnealingWarmRestarts",
        Run({"T_0": 10}),
        Run({"T_0": 4, "T_mult": 2, "eta_min": 0.05}, edits=EDITS),
        Run({"T_0": 5, "T_mult": 3}, epochs={4: 2.5, 9: 20, 22: 19.999, 31: 0.25, 44: 65}),
        Run({"T_0": 6}, epochs={**JUMPS, 11: 6, 40: 8.5}),
        source=SGDR,
    ),
    schedule(
        "CyclicLR",
        Run({"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 8}),
        Run(
            {
                "base_lr": [0.01, 0.02, 0.0],
                "max_lr": [0.3, 0.2, 1.0],
                "step_size_up": 5,
                "step_size_down": 11,
                "mode": "triangular2",
                "base_momentum": [0.7, 0.8, 0.0],
                "max_momentum": 0.95,
            },
            edits=EDITS,
        ),
        Run(
            {
                "base_lr": 0.01,
                "max_lr": 0.3,
                "step_size_up": 4,
                "mode": "exp_range",
                "gamma": 0.97,
            },
            optimizer="Adam",
        ),
        Run(
            {
                "base_lr": 0.01,
                "max_lr": 0.3,
                "step_size_up": 7,
                "scale_fn": wave,
                "scale_mode": "iterations",
                "cycle_momentum": False,
            },
            epochs=JUMPS,
        ),
        Run({"base_lr": 0.1, "max_lr": 0.3, "step_size_up": 9, "scale_fn": wave}),
        Run({"base_lr": 0.1, "max_lr": 0.3, "step_size_up": 9, "step_size_down": 0}),
        Run(
            {"base_lr": 0.1, "max_lr": 0.3, "step_size_up": 1, "step_size_down": 3},
            before=(Part("CosineAnnealingLR", {"T_max": 20}),),
        ),
        source="Smith 2017, arXiv:1506.01186",
    ),
    schedule(
        "OneCycleLR",
        Run({"max_lr": 0.3, "total_steps": 61}),
        Run(
            {
                "max_lr": [0.3, 1.0, 0.1],
                "epochs": 4,
                "steps_per_epoch": 15,
                "pct_start": 0.25,
                "anneal_strategy": "linear",
                "base_momentum": [0.8, 0.7, 0.6],
                "max_momentum": 0.9,
                "div_factor": 10.0,
                "final_div_factor": 3,
            },
            edits=EDITS,
        ),
        Run({"max_lr": 0.3, "total_steps": 61, "three_phase": True}, optimizer="Adam"),
        Run({"max_lr": 0.3, "total_steps": 70, "cycle_momentum": False}, epochs=JUMPS),
        Run({"max_lr": 0.3, "total_steps": 61, "pct_start": 0.0}),
        Run({"max_lr": 0.3, "total_steps": 61, "pct_start": 1.0, "three_phase": True}),
        Run({"max_lr": 0.3, "total_steps": 1}, steps=1),
        source="Smith & Topin 2018, arXiv:1708.07120",
    ),
    schedule(
        "SequentialLR",
        Run(
            {
                "schedulers": [
                    Part("LinearLR", {"start_factor": 0.1, "total_iters": 8}),
                    Part("CosineAnnealingLR", {"T_max": 30}),
                ],
                "milestones": [8],
            },
        ),
        Run(
            {
                "schedulers": [
                    Part("ConstantLR", {"factor": 0.1}),
                    Part("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}),
                    Part("LambdaLR", {"lr_lambda": halved}),
                    Part("MultiplicativeLR", {"lr_lambda": halved}),
                ],
                "milestones": [3, 12, 30],
            },
            edits=EDITS,
        ),
        Run(
            {
                "schedulers": [
                    Part("CyclicLR", {"base_lr": 0.1, "max_lr": 0.4, "step_size_up": 3}),
                    Part("MultiStepLR", {"milestones": [0, 2]}),
                    Part("OneCycleLR", {"max_lr": 0.5, "total_steps": 50}),
                ],
                "milestones": [4, 12],
            },
        ),
        Run(
            {
                "schedulers": [Part("StepLR", {"step_size": 2}), Part("LinearLR")],
                "milestones": [0],
            },
        ),
        Run(
            {
                "schedulers": [
                    Part(
                        "ChainedScheduler",
                        {"schedulers": [Part("LinearLR"), Part("StepLR", {"step_size": 3})]},
                    ),
                    Part("PolynomialLR", {"total_iters": 20}),
                ],
                "milestones": [9],
            },
        ),
        Run(
            {
                "schedulers": [
                    Part(
                        "SequentialLR",
                        {
                            "schedulers": [Part("LinearLR"), Part("ExponentialLR", {"gamma": 0.9})],
                            "milestones": [4],
                        },
                    ),
                    Part("PolynomialLR", {"total_iters": 20}),
                ],
                "milestones": [9],
            },
        ),
    ),
    schedule(
        "ChainedScheduler",
        Run(
            {
                "schedulers": [
                    Part("LinearLR", {"start_factor": 0.1, "total_iters": 8}),
                    Part("CosineAnnealingLR", {"T_max": 20}),
                    Part("StepLR", {"step_size": 7, "gamma": 0.5}),
                ],
            },
            edits=EDITS,
        ),
        Run(
            {
                "schedulers": [
                    Part(
                        "SequentialLR",
                        {
                            "schedulers": [Part("LinearLR"), Part("ExponentialLR", {"gamma": 0.9})],
                            "milestones": [4],
                        },
                    ),
                    Part("ConstantLR", {"factor": 0.5, "total_iters": 30}),
                ],
            },
        ),
        Run({"schedulers": [Part("ExponentialLR", {"gamma": 0.9})]}),
    ),
    schedule(
        "ReduceLROnPlateau",
        Run({"patience": 2}, metrics=METRICS),
        Run({"patience": 0, "factor": 0.7, "cooldown": 3, "threshold": 0.1}, metrics=METRICS),
        Run(
            {"mode": "max", "patience": 1, "factor": 0.5, "min_lr": [0.01, 0.2, 0.0]},
            metrics=METRICS,
            edits=EDITS,
        ),
        Run(
            {"mode": "max", "patience": 1, "threshold_mode": "abs", "threshold": 5e-5},
            metrics=METRICS,
        ),
        Run(
            {"patience": 1, "threshold_mode": "abs", "threshold": 5e-5, "eps": 0.01, "factor": 0.9},
            metrics=METRICS,
            epochs=JUMPS,
        ),
        Run({"patience": 3}, metrics=(1.0,)),
        Run({"patience": 3, "min_lr": 0.05}, metrics=(math.nan,)),
        Run(
            {"patience": 2},
            metrics=METRICS,
            before=(Part("StepLR", {"step_size": 11, "gamma": 3.0}),),
        ),
    ),
    Schedule(
        "SWALR",
        swa_utils.SWALR,
        torch.optim.swa_utils.SWALR,
        (
            Run({"swa_lr": 0.05}, edits={3: 0.5, 40: 0.0}),
            Run({"swa_lr": [0.05, 0.5, 3.0], "anneal_epochs": 30, "anneal_strategy": "linear"}),
            Run({"swa_lr": 0.05, "anneal_epochs": 0}),
            Run(
                {"swa_lr": 0.05, "anneal_epochs": 20},
                before=(Part("MultiplicativeLR", {"lr_lambda": halved}),),
            ),
        ),
        SWA,
    ),
]


# Refusals


def optimizer(groups: int = 2, **options: Any) -> Any:
    """SGD with momentum over this many groups."""
    parameters = [{"params": [Parameter(np.ones(2))]} for _ in range(groups)]
    return scratch.optim.SGD(parameters, **{"lr": 0.1, "momentum": 0.9, **options})


def made(name: str, *args: Any, **options: Any) -> Any:
    """A schedule of an optimizer with two groups."""
    return getattr(lr_scheduler, name)(optimizer(), *args, **options)


def refused(name: str, what: str, *args: Any, **options: Any) -> Refusal:
    """Of a constructor."""
    return Refusal(f"{name}: {what}", lambda: made(name, *args, **options), name)


def sequential(*parts: Any, milestones: Any = (3,), of: Any = None) -> Any:
    """SequentialLR of parts that are functions of the optimizer, or what they are."""
    held = optimizer()
    schedulers = [part(held) if callable(part) else part for part in parts]
    return lr_scheduler.SequentialLR(of or held, schedulers, milestones)


def chained(*parts: Any, of: Any = None) -> Any:
    """ChainedScheduler likewise."""
    held = optimizer()
    return lr_scheduler.ChainedScheduler([part(held) for part in parts], of)


def stepped(name: str, *args: Any, steps: tuple[Any, ...] = ((),), **options: Any) -> Any:
    """A schedule after steps that are given these arguments."""
    schedule = made(name, *args, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an epoch is deprecated
        for given in steps:
            schedule.optimizer.step()
            schedule.step(*given)
    return schedule


def with_a_group_more(name: str, *args: Any, **options: Any) -> Any:
    """A schedule that steps after a group has been added."""
    schedule = made(name, *args, **options)
    schedule.optimizer.add_param_group({"params": Parameter(np.ones(1))})
    schedule.optimizer.step()
    if name != "ReduceLROnPlateau":
        return schedule.step()
    schedule.step(1.0)
    schedule.step(2.0)


def loaded(
    name: str, changes: Mapping[str, Any], *args: Any, without: str = "", **options: Any
) -> Any:
    """Load a state that was changed; `without` names what is missing."""
    schedule = made(name, *args, **options)
    state = {k: v for k, v in schedule.state_dict().items() if k != without}
    return schedule.load_state_dict({**state, **changes})


def resumed(name: str, *args: Any, **options: Any) -> Any:
    """Go on with an optimizer that no schedule has been in."""
    return made(name, *args, last_epoch=3, **options)


def edited(value: Any) -> Any:
    """A step from a rate that is none."""
    schedule = made("ExponentialLR", 0.9)
    schedule.optimizer.step()
    schedule.optimizer.param_groups[0]["lr"] = value
    schedule.step()


# Without their annotations, which the refused calls do not keep to.
S: Any = swa_utils
L: Any = lr_scheduler

REFUSALS = [
    Refusal("LRScheduler: alone", lambda: L.LRScheduler(optimizer()), "LRScheduler"),
    Refusal("StepLR: no optimizer", lambda: L.StepLR(None, 3), "StepLR"),
    Refusal("LambdaLR: no optimizer", lambda: L.LambdaLR("SGD", halved), "LambdaLR"),
    Refusal("CyclicLR: no optimizer", lambda: L.CyclicLR(3, 0.1, 0.2), "CyclicLR"),
    Refusal("OneCycleLR: no optimizer", lambda: L.OneCycleLR(3, 0.1, 9), "OneCycleLR"),
    Refusal("Plateau: no optimizer", lambda: L.ReduceLROnPlateau(3), "ReduceLROnPlateau"),
    Refusal("resumed without initial_lr", lambda: resumed("StepLR", 3), "StepLR"),
    refused("StepLR", "last_epoch", 3, last_epoch=-2),
    refused("StepLR", "last_epoch of a half", 3, last_epoch=0.5),
    refused("StepLR", "step_size 0", 0),
    refused("StepLR", "step_size below 0", -3),
    refused("StepLR", "step_size of a half", 2.5),
    refused("StepLR", "gamma", 3, gamma="0.1"),
    refused("StepLR", "gamma NaN", 3, gamma=math.nan),
    refused("LambdaLR", "no function", 0.95),
    refused("LambdaLR", "as many functions as groups", [halved]),
    refused("MultiplicativeLR", "no function", 0.95),
    refused("MultiplicativeLR", "no functions", [halved, 0.95]),
    refused("MultiplicativeLR", "as many functions as groups", [halved] * 3),
    refused("MultiStepLR", "milestones of one", 3),
    refused("MultiStepLR", "milestones of text", "ab"),
    refused("MultiStepLR", "a milestone below 0", [3, -1]),
    refused("MultiStepLR", "gamma", [3], gamma=None),
    refused("ConstantLR", "factor above 1", factor=1.1),
    refused("ConstantLR", "factor below 0", factor=-0.1),
    refused("ConstantLR", "total_iters", total_iters=-1),
    refused("LinearLR", "start_factor 0", start_factor=0),
    refused("LinearLR", "start_factor above 1", start_factor=1.1),
    refused("LinearLR", "end_factor above 1", end_factor=1.1),
    refused("LinearLR", "end_factor below 0", end_factor=-0.1),
    refused("LinearLR", "total_iters", total_iters=2.5),
    refused("ExponentialLR", "gamma", "0.9"),
    refused("PolynomialLR", "total_iters", total_iters=-5),
    refused("PolynomialLR", "power", power=None),
    refused("CosineAnnealingLR", "T_max 0", 0),
    refused("CosineAnnealingLR", "T_max below 0", -10),
    refused("CosineAnnealingLR", "eta_min", 10, eta_min="0"),
    refused("CosineAnnealingWarmRestarts", "T_0 0", 0),
    refused("CosineAnnealingWarmRestarts", "T_0 of a half", 1.5),
    refused("CosineAnnealingWarmRestarts", "T_mult 0", 10, T_mult=0),
    refused("CosineAnnealingWarmRestarts", "T_mult of a half", 10, T_mult=1.5),
    refused("CosineAnnealingWarmRestarts", "eta_min", 10, eta_min="0"),
    Refusal(
        "CosineAnnealingWarmRestarts: an epoch below 0",
        lambda: stepped("CosineAnnealingWarmRestarts", 10, steps=((-1,),)),
        "CosineAnnealingWarmRestarts.step",
    ),
    refused("CyclicLR", "mode", 0.1, 0.2, mode="CATS"),
    refused("CyclicLR", "scale_mode", 0.1, 0.2, scale_fn=wave, scale_mode="batches"),
    refused("CyclicLR", "scale_fn", 0.1, 0.2, scale_fn=0.5),
    refused("CyclicLR", "base_lr of another number", [0.1] * 3, 0.2),
    refused("CyclicLR", "max_lr of another number", 0.1, [0.2]),
    refused("CyclicLR", "momentum of another number", 0.1, 0.2, base_momentum=[0.2]),
    refused("CyclicLR", "step_size_up", 0.1, 0.2, step_size_up=0),
    refused("CyclicLR", "step_size_down", 0.1, 0.2, step_size_down=-1),
    Refusal(
        "CyclicLR: no momentum",
        lambda: L.CyclicLR(scratch.optim.Adagrad([Parameter(np.ones(1))]), 0.1, 0.2),
        "CyclicLR",
    ),
    refused("OneCycleLR", "no total", 0.1),
    refused("OneCycleLR", "half a total", 0.1, epochs=3),
    refused("OneCycleLR", "total_steps 0", 0.1, total_steps=0),
    refused("OneCycleLR", "total_steps of a half", 0.1, total_steps=1.5),
    refused("OneCycleLR", "epochs", 0.1, epochs=-3, steps_per_epoch=2),
    refused("OneCycleLR", "steps_per_epoch", 0.1, epochs=3, steps_per_epoch=2.0),
    refused("OneCycleLR", "pct_start above 1", 0.1, total_steps=9, pct_start=1.1),
    refused("OneCycleLR", "pct_start no float", 0.1, total_steps=9, pct_start=1),
    refused("OneCycleLR", "anneal_strategy", 0.1, total_steps=9, anneal_strategy="CATS"),
    refused("OneCycleLR", "max_lr of another number", [0.1], total_steps=9),
    refused("OneCycleLR", "div_factor", 0.1, total_steps=9, div_factor=0),
    refused("OneCycleLR", "final_div_factor", 0.1, total_steps=9, final_div_factor=0),
    refused("OneCycleLR", "momentum of another number", 0.1, total_steps=9, max_momentum=[1]),
    refused("OneCycleLR", "a climb of no time", 0.1, total_steps=10, pct_start=0.1),
    Refusal(
        "OneCycleLR: no momentum",
        lambda: L.OneCycleLR(scratch.optim.Adagrad([Parameter(np.ones(1))]), 0.1, 9),
        "OneCycleLR",
    ),
    Refusal(
        "OneCycleLR: a step too many",
        lambda: stepped("OneCycleLR", 0.1, 3, steps=((),) * 4),
        "OneCycleLR.step",
    ),
    refused("ReduceLROnPlateau", "factor", factor=1.0),
    refused("ReduceLROnPlateau", "mode", mode="least"),
    refused("ReduceLROnPlateau", "threshold_mode", threshold_mode="relative"),
    refused("ReduceLROnPlateau", "threshold", threshold=None),
    refused("ReduceLROnPlateau", "patience", patience=-1),
    refused("ReduceLROnPlateau", "cooldown", cooldown=-1),
    refused("ReduceLROnPlateau", "eps", eps=-1e-8),
    refused("ReduceLROnPlateau", "min_lr of another number", min_lr=[0.1] * 3),
    Refusal(
        "ReduceLROnPlateau: no metric",
        lambda: stepped("ReduceLROnPlateau", steps=((None,),)),
        "ReduceLROnPlateau.step",
    ),
    Refusal(
        "ReduceLROnPlateau: metrics",
        lambda: stepped("ReduceLROnPlateau", steps=((np.ones(2),),)),
        "ReduceLROnPlateau.step",
    ),
    Refusal(
        "ReduceLROnPlateau: a group without bound",
        lambda: with_a_group_more("ReduceLROnPlateau", patience=0, min_lr=[0.1, 0.2]),
        "ReduceLROnPlateau.step",
    ),
    Refusal("SequentialLR: nothing", lambda: sequential(milestones=[]), "SequentialLR"),
    Refusal("SequentialLR: no schedule", lambda: sequential(3, L.ConstantLR), "SequentialLR"),
    Refusal(
        "SequentialLR: no optimizer",
        lambda: sequential(L.ConstantLR, L.ConstantLR, of=3),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: None for an optimizer",
        lambda: L.SequentialLR(None, [made("ConstantLR")], []),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: of another optimizer",
        lambda: sequential(L.ConstantLR, made("ConstantLR")),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: one that wants a metric",
        lambda: sequential(L.ConstantLR, L.ReduceLROnPlateau),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: a chain at a milestone",
        lambda: sequential(L.ConstantLR, lambda o: L.ChainedScheduler([L.ConstantLR(o)])),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: two milestones",
        lambda: sequential(L.ConstantLR, L.ConstantLR, milestones=[3, 5]),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: milestones that fall",
        lambda: sequential(L.ConstantLR, L.ConstantLR, L.ConstantLR, milestones=[5, 3]),
        "SequentialLR",
    ),
    Refusal(
        "SequentialLR: a milestone of text",
        lambda: sequential(L.ConstantLR, L.ConstantLR, milestones=["3"]),
        "SequentialLR",
    ),
    Refusal("ChainedScheduler: nothing", lambda: chained(), "ChainedScheduler"),
    Refusal("ChainedScheduler: no schedule", lambda: chained(str), "ChainedScheduler"),
    Refusal(
        "ChainedScheduler: of another optimizer",
        lambda: chained(L.ConstantLR, of=optimizer()),
        "ChainedScheduler",
    ),
    Refusal(
        "ChainedScheduler: one that wants a metric",
        lambda: chained(L.ConstantLR, L.ReduceLROnPlateau),
        "ChainedScheduler",
    ),
    Refusal("step: a group more", lambda: with_a_group_more("LambdaLR", halved), "LambdaLR.step"),
    Refusal(
        "step: a group more, functions",
        lambda: with_a_group_more("MultiplicativeLR", halved),
        "MultiplicativeLR.step",
    ),
    Refusal(
        "step: a group more, bounds",
        lambda: with_a_group_more("OneCycleLR", 0.1, total_steps=9),
        "OneCycleLR.step",
    ),
    Refusal("step: lr of text", lambda: edited("0.1"), "ExponentialLR.step"),
    Refusal("step: lr NaN", lambda: edited(math.nan), "ExponentialLR.step"),
    Refusal("step: an epoch of text", lambda: stepped("StepLR", 3, steps=(("1",),)), "StepLR.step"),
    Refusal(
        "step: a factor that is none",
        lambda: stepped("MultiplicativeLR", lambda epoch: math.nan),
        "MultiplicativeLR.step",
    ),
    Refusal(
        "step: back from factor 0",
        lambda: stepped("ConstantLR", factor=0, total_iters=1),
        "ConstantLR.step",
    ),
    Refusal(
        "step: an epoch of no line",
        lambda: stepped("LinearLR", total_iters=0, steps=((3,),)),
        "LinearLR.step",
    ),
    Refusal(
        "step: an epoch of no power",
        lambda: stepped("PolynomialLR", total_iters=0, steps=((3,),)),
        "PolynomialLR.step",
    ),
    Refusal(
        "load_state_dict: a list",
        lambda: made("StepLR", 3).load_state_dict([1]),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: of another class",
        lambda: made("StepLR", 3).load_state_dict(made("LinearLR").state_dict()),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: of a class with more",
        lambda: made("ExponentialLR", 3).load_state_dict(made("StepLR", 3).state_dict()),
        "ExponentialLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: of an optimizer",
        lambda: made("StepLR", 3).load_state_dict(optimizer().state_dict()),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: of other groups",
        lambda: made("StepLR", 3).load_state_dict(L.StepLR(optimizer(3), 3).state_dict()),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: without gamma",
        lambda: loaded("StepLR", {}, 3, without="gamma"),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: step_size",
        lambda: loaded("StepLR", {"step_size": 0}, 3),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: last_epoch",
        lambda: loaded("StepLR", {"last_epoch": "3"}, 3),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: _last_lr",
        lambda: loaded("StepLR", {"_last_lr": [None]}, 3),
        "StepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: milestones",
        lambda: loaded("MultiStepLR", {"milestones": [3]}, [3]),
        "MultiStepLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: lr_lambdas",
        lambda: loaded("LambdaLR", {"lr_lambdas": [None]}, halved),
        "LambdaLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: mode",
        lambda: loaded("ReduceLROnPlateau", {"mode": "least"}),
        "ReduceLROnPlateau.load_state_dict",
    ),
    Refusal(
        "load_state_dict: min_lrs",
        lambda: loaded("ReduceLROnPlateau", {"min_lrs": [0.1] * 3, "default_min_lr": None}),
        "ReduceLROnPlateau.load_state_dict",
    ),
    Refusal(
        "load_state_dict: momentum for betas",
        lambda: loaded("CyclicLR", {"use_beta1": True}, 0.1, 0.2),
        "CyclicLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: no momentum",
        lambda: loaded("CyclicLR", {"cycle_momentum": True}, 0.1, 0.2, cycle_momentum=False),
        "CyclicLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: scale_fn",
        lambda: loaded("CyclicLR", {"_scale_fn_custom": {"a": 1}}, 0.1, 0.2),
        "CyclicLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: phases",
        lambda: loaded("OneCycleLR", {"_schedule_phases": [{}]}, 0.1, 9),
        "OneCycleLR.load_state_dict",
    ),
    Refusal(
        "load_state_dict: parts",
        lambda: chained(L.ConstantLR).load_state_dict(
            chained(L.ConstantLR, L.ConstantLR).state_dict()
        ),
        "ChainedScheduler.load_state_dict",
    ),
    Refusal(
        "load_state_dict: a part of another class",
        lambda: chained(L.ConstantLR).load_state_dict(chained(L.LinearLR).state_dict()),
        "ChainedScheduler.load_state_dict",
    ),
    Refusal(
        "load_state_dict: milestones of a sequence",
        lambda: sequential(L.ConstantLR, L.LinearLR).load_state_dict(
            {**sequential(L.ConstantLR, L.LinearLR).state_dict(), "_milestones": [1, 2]}
        ),
        "SequentialLR.load_state_dict",
    ),
    Refusal("SWALR: no optimizer", lambda: S.SWALR(3, 0.1), "SWALR"),
    Refusal("SWALR: strategy", lambda: S.SWALR(optimizer(), 0.1, 9, "exponential"), "SWALR"),
    Refusal("SWALR: epochs below 0", lambda: S.SWALR(optimizer(), 0.1, -1), "SWALR"),
    Refusal("SWALR: epochs of a half", lambda: S.SWALR(optimizer(), 0.1, 1.7), "SWALR"),
    Refusal("SWALR: rates", lambda: S.SWALR(optimizer(), [1.0, 0.1, 0.01]), "SWALR"),
]
