"""Optimizers that update each entry by itself, beside SGD and Adam."""

from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.harness.entry import Optim, Refusal
from scratch.nn import Parameter

BOTH: tuple[dict[str, Any], ...] = (
    {"weight_decay": 0.1},
    {"maximize": True},
    {"weight_decay": 0.1, "maximize": True},
)

ENTRIES = [
    Optim(
        "ASGD",
        scratch.optim.ASGD,
        torch.optim.ASGD,
        source="Polyak & Juditsky 1992; Xu 2011, arXiv:1107.2490",
        options=(
            {},
            {"lr": 1.0, "lambd": 0.1},
            {"lr": 0.1, "lambd": 0.5, "alpha": 0.5, "t0": 0},
            {"lambd": 1.0, "alpha": 1.0, "t0": 7.5},
            {"lambd": 0.0, "t0": 20, "weight_decay": 0.1},
            {"alpha": 0.0, "lambd": 0.1, "t0": -3},
            *BOTH,
        ),
    ),
    Optim(
        "Rprop",
        scratch.optim.Rprop,
        torch.optim.Rprop,
        source="Riedmiller & Braun 1993; Igel & Huesken 2000",
        options=(
            {},
            {"lr": 1.0},
            {"lr": 0.0},
            {"etas": (0.3, 2.0)},
            {"etas": [0.9, 1.01], "lr": 0.1},
            {"step_sizes": (1e-3, 0.02)},
            {"lr": 100.0, "step_sizes": (0.5, 3.0)},
            {"maximize": True},
        ),
    ),
    Optim(
        "Adagrad",
        scratch.optim.Adagrad,
        torch.optim.Adagrad,
        source="Duchi, Hazan & Singer 2011, JMLR 12",
        options=(
            {},
            {"lr": 1.0},
            {"lr_decay": 0.5, "lr": 0.1},
            {"initial_accumulator_value": 0.1},
            {"eps": 1e-3, "lr": 0.1},
            *BOTH,
        ),
    ),
    Optim(
        "Adadelta",
        scratch.optim.Adadelta,
        torch.optim.Adadelta,
        source="Zeiler 2012, arXiv:1212.5701",
        options=(
            {},
            {"lr": 100.0},
            {"rho": 0.5, "lr": 10.0},
            {"rho": 0.0},
            {"rho": 1.0, "lr": 1e-3},
            {"eps": 1e-2},
            *BOTH,
        ),
    ),
    Optim(
        "RMSprop",
        scratch.optim.RMSprop,
        torch.optim.RMSprop,
        source="Hinton 2012, lecture 6e; Graves 2013, arXiv:1308.0850",
        options=(
            {},
            {"lr": 0.1},
            {"alpha": 0.9},
            {"alpha": 0.0},
            {"eps": 1e-3},
            {"momentum": 0.9},
            {"centered": True},
            {"centered": True, "momentum": 0.9, "alpha": 0.9},
            {"momentum": 0.5, "weight_decay": 0.1, "maximize": True},
            {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True},
            *BOTH,
        ),
    ),
    Optim(
        "Adamax",
        scratch.optim.Adamax,
        torch.optim.Adamax,
        source="Kingma & Ba 2015, arXiv:1412.6980, algorithm 2",
        options=(
            {},
            {"lr": 0.1},
            {"betas": (0.5, 0.9)},
            {"betas": (0.0, 0.0)},
            {"eps": 1e-3},
            *BOTH,
        ),
    ),
    Optim(
        "NAdam",
        scratch.optim.NAdam,
        torch.optim.NAdam,
        source="Dozat 2016, ICLR workshop; Loshchilov & Hutter 2019, arXiv:1711.05101",
        options=(
            {},
            {"lr": 0.1},
            {"betas": (0.5, 0.9), "lr": 0.01},
            {"betas": (0.0, 0.0)},
            {"eps": 1e-3},
            {"momentum_decay": 0.0},
            {"momentum_decay": 1.0, "lr": 0.01},
            {"weight_decay": 0.1, "decoupled_weight_decay": True},
            {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
            {"decoupled_weight_decay": True},
            *BOTH,
        ),
    ),
    Optim(
        "RAdam",
        scratch.optim.RAdam,
        torch.optim.RAdam,
        source="Liu et al. 2020, arXiv:1908.03265; Loshchilov & Hutter 2019, arXiv:1711.05101",
        options=(
            {},
            {"lr": 0.1},
            {"betas": (0.5, 0.9), "lr": 0.01},
            {"betas": (0.0, 0.7)},
            {"betas": (0.9, 0.6)},
            {"betas": (0.9, 0.0)},
            {"eps": 1e-3},
            {"weight_decay": 0.1, "decoupled_weight_decay": True},
            {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
            {"decoupled_weight_decay": True},
            *BOTH,
        ),
    ),
]


# What each refuses, an option at a time: torch's ranges, and what torch only trips over later (a
# lambd below 0 ends in a power of a negative number).
REFUSED: dict[str, tuple[dict[str, Any], ...]] = {
    "ASGD": (
        {"lr": -0.1},
        {"lr": "fast"},
        {"weight_decay": -0.5},
        {"alpha": None},
        {"t0": np.nan},
        {"maximize": "no"},
        {"lambd": -0.1},
    ),
    "Rprop": (
        {"lr": -0.1},
        {"etas": (1.0, 0.5)},
        {"etas": (0.0, 1.2)},
        {"etas": (0.5, 1.0)},
        {"etas": 0.5},
        {"etas": (0.5, 1.2, 2.0)},
        {"step_sizes": 1e-6},
        {"step_sizes": (1e-6, None)},
        {"step_sizes": (np.nan, 50)},
        {"maximize": 2},
    ),
    "Adagrad": (
        {"lr": -0.1},
        {"lr_decay": -0.5},
        {"weight_decay": -0.5},
        {"initial_accumulator_value": -0.1},
        {"eps": -1e-10},
        {"maximize": None},
    ),
    "Adadelta": (
        {"lr": -0.1},
        {"rho": 1.1},
        {"rho": -0.1},
        {"eps": -1e-6},
        {"weight_decay": -0.5},
        {"maximize": None},
    ),
    "RMSprop": (
        {"lr": -0.1},
        {"alpha": -0.5},
        {"eps": -1e-8},
        {"weight_decay": -0.5},
        {"momentum": -1.0},
        {"centered": "yes"},
        {"maximize": None},
    ),
    "Adamax": (
        {"lr": -0.1},
        {"betas": (1.0, 0.9)},
        {"betas": (0.0, 1.0)},
        {"betas": 0.9},
        {"eps": -1e-8},
        {"weight_decay": -0.5},
        {"maximize": None},
    ),
    "NAdam": (
        {"lr": -0.1},
        {"betas": (1.0, 0.0)},
        {"betas": (0.9, -0.1)},
        {"betas": (0.9,)},
        {"eps": -1e-8},
        {"weight_decay": -0.5},
        {"momentum_decay": -0.2},
        {"decoupled_weight_decay": 0.1},
        {"maximize": None},
    ),
    "RAdam": (
        {"lr": -0.1},
        {"betas": (1.0, 0.0)},
        {"betas": (0.9, 1.0)},
        {"betas": np.array([0.9, 0.9])},
        {"eps": -1e-8},
        {"weight_decay": -1},
        {"decoupled_weight_decay": 0.1},
        {"maximize": None},
    ),
}


def _make(name: str, options: dict[str, Any]) -> None:
    getattr(scratch.optim, name)([Parameter(np.ones((2, 3)))], **options)


def _mid_run(name: str, option: str, value: object) -> None:
    """A group whose option is changed between two steps."""
    parameter = Parameter(np.ones((2, 3)))
    optimizer = getattr(scratch.optim, name)([parameter])
    parameter.grad = np.ones((2, 3))
    optimizer.step()
    optimizer.param_groups[0][option] = value
    optimizer.step()


def _load(name: str, **changes: object) -> None:
    """A state in which something is not what it should be."""
    parameter = Parameter(np.ones((2, 3)))
    parameter.grad = np.ones((2, 3))
    optimizer = getattr(scratch.optim, name)([parameter])
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0].update(changes)
    optimizer.load_state_dict(saved)


REFUSALS = [
    *(
        Refusal(
            f"{name}: {', '.join(f'{k}={v}' for k, v in options.items())}",
            lambda name=name, options=options: _make(name, options),  # type: ignore[misc]
            name,
        )
        for name, refused in REFUSED.items()
        for options in refused
    ),
    Refusal("Rprop: etas mid-run", lambda: _mid_run("Rprop", "etas", (0.5, 0.9)), "Rprop.step"),
    Refusal("ASGD: lr mid-run", lambda: _mid_run("ASGD", "lr", None), "ASGD.step"),
    Refusal("NAdam: betas mid-run", lambda: _mid_run("NAdam", "betas", 0.9), "NAdam.step"),
    Refusal(
        "NAdam: a vector mu_product",
        lambda: _load("NAdam", mu_product=np.ones((2, 3))),
        "NAdam.load_state_dict",
    ),
    Refusal("ASGD: a vector eta", lambda: _load("ASGD", eta=np.ones(1)), "ASGD.load_state_dict"),
    Refusal("ASGD: a scalar ax", lambda: _load("ASGD", ax=np.ones(())), "ASGD.load_state_dict"),
    Refusal(
        "RMSprop: foreign state",
        lambda: _load("RMSprop", exp_avg=np.ones((2, 3))),
        "RMSprop.load_state_dict",
    ),
    Refusal(
        "Adagrad: shape of the sum",
        lambda: _load("Adagrad", sum=np.ones(6)),
        "Adagrad.load_state_dict",
    ),
]
