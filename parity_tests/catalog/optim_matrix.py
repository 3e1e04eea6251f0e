"""Optimizers that look at a whole parameter, or at a few of its rows: norms, factors, curvature."""

from typing import Any

import numpy as np
import torch

import scratch
import torch_ref.optim
from parity_tests.harness.entry import Optim, Refusal
from scratch.nn import Parameter
from scratch.nn.sparse import SparseGradient

WOLFE = {"line_search_fn": "strong_wolfe"}

ENTRIES = [
    Optim(
        "Adafactor",
        scratch.optim.Adafactor,
        torch.optim.Adafactor,
        source="Shazeer & Stern 2018, arXiv:1804.04235",
        # torch divides by the root of the number of elements: none of them must be empty
        shapes=((3, 4), (5,), (), (2, 3, 4), (1, 1)),
        options=(
            {},
            {"lr": 0.5},
            {"beta2_decay": -0.5, "weight_decay": 0.1},
            {"beta2_decay": 0.0, "eps": (1e-3, 1.0)},
            {"eps": (1.0, 0.0), "maximize": True},
            {"lr": 0.1, "d": 3.0, "weight_decay": 0.01, "maximize": True},
        ),
    ),
    Optim(
        "Muon",
        scratch.optim.Muon,
        torch.optim.Muon,
        source="Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/",
        shapes=((3, 4), (5, 3), (4, 4), (4, 1), (1, 1), (0, 2)),
        options=(
            {},
            {"lr": 0.1, "weight_decay": 0.0},
            {"lr": 0.1, "momentum": 0.0, "nesterov": False},
            {"lr": 0.1, "momentum": 0.5, "nesterov": False, "adjust_lr_fn": "original"},
            {"lr": 0.1, "momentum": 0.5, "adjust_lr_fn": "match_rms_adamw"},
            {"lr": 0.1, "ns_steps": 0, "eps": 1.0},
            {"lr": 0.1, "ns_steps": 10, "ns_coefficients": (2.0, -1.5, 0.5)},
        ),
    ),
    Optim(
        "LBFGS",
        scratch.optim.LBFGS,
        torch.optim.LBFGS,
        c=1000,  # steps are quotients of inner products, which each BLAS sums in its own order
        source="Liu & Nocedal 1989; Nocedal & Wright 2006, algorithms 3.5, 3.6, 7.4, 7.5",
        gradients="closure",
        options=(
            {},
            {"lr": 0.1, "max_iter": 3},
            {"lr": 0.5, "max_iter": 5, "history_size": 2, "tolerance_grad": 1e-3},
            {"max_iter": 6, "max_eval": 4, "tolerance_change": 1e-5},
            {**WOLFE, "max_iter": 4},
            {**WOLFE, "max_iter": 2, "history_size": 1},
            {**WOLFE, "lr": 0.3, "max_iter": 3, "max_eval": 30},
            {**WOLFE, "lr": 30.0, "max_iter": 3, "max_eval": 5},
        ),
    ),
    Optim(
        "SparseAdam",
        scratch.optim.SparseAdam,
        torch.optim.SparseAdam,
        source="Kingma & Ba 2015, arXiv:1412.6980",
        shapes=((6, 4), (5,), (3, 2, 2), (0, 2), (4, 0)),
        gradients="sparse",
        options=(
            {},
            {"lr": 0.1, "eps": 1e-3},
            {"lr": 0.1, "betas": (0.5, 0.7), "maximize": True},
            {"betas": (0.0, 0.0)},
        ),
    ),
    Optim(
        "Lion",
        scratch.optim.Lion,
        torch_ref.optim.Lion,
        source="Chen et al. 2023, arXiv:2302.06675",
        options=(
            {},
            {"lr": 0.01, "betas": (0.5, 0.8)},
            {"lr": 0.1, "weight_decay": 0.1},
            {"lr": 0.1, "betas": (0.0, 0.9), "maximize": True, "weight_decay": 0.5},
        ),
    ),
    Optim(
        "LAMB",
        scratch.optim.LAMB,
        torch_ref.optim.LAMB,
        source="You et al. 2020, arXiv:1904.00962",
        options=(
            {},
            {"lr": 0.1, "eps": 1e-3},
            {"lr": 0.01, "weight_decay": 0.1, "betas": (0.5, 0.9)},
            {"lr": 0.1, "betas": (0.0, 0.7), "maximize": True, "weight_decay": 0.5},
        ),
    ),
    Optim(
        "LARS",
        scratch.optim.LARS,
        torch_ref.optim.LARS,
        source="You et al. 2017, arXiv:1708.03888",
        options=(
            {},
            {"lr": 1.0, "momentum": 0.0, "trust_coefficient": 0.1},
            {"lr": 1.0, "momentum": 0.5, "trust_coefficient": 0.02, "weight_decay": 0.1},
            {"lr": 1.0, "weight_decay": 0.5, "maximize": True},
        ),
    ),
]
REFUSED: dict[str, tuple[dict[str, Any], ...]] = {
    "Adafactor": (
        {"lr": -1.0},
        {"beta2_decay": 0.8},
        {"eps": 1e-3},
        {"eps": (-1e-30, 1e-3)},
        {"eps": (None, -1e-3)},
        {"eps": (None, None)},
        {"d": 0.0},
        {"weight_decay": -0.1},
        {"maximize": "no"},
    ),
    "Muon": (
        {"lr": -1.0},
        {"weight_decay": -0.1},
        {"momentum": -0.5},
        {"nesterov": None},
        {"ns_coefficients": (1.0, 2.0)},
        {"ns_coefficients": (1.0, 2.0, "3")},
        {"eps": None},
        {"ns_steps": 100},
        {"ns_steps": -1},
        {"ns_steps": 1.5},
        {"adjust_lr_fn": "arbitrary"},
    ),
    "LBFGS": (
        {"lr": -1.0},
        {"lr": 0.0, **WOLFE},
        {"max_iter": 0},
        {"max_iter": 2.5},
        {"max_eval": 0},
        {"tolerance_grad": None},
        {"tolerance_change": "1e-9"},
        {"history_size": 0},
        {"line_search_fn": "armijo"},
    ),
    "SparseAdam": (
        {"lr": 0.0},
        {"lr": -1.0},
        {"betas": (1.0, 0.0)},
        {"betas": (0.9, -0.1)},
        {"betas": 0.9},
        {"eps": 0.0},
        {"maximize": 1.5},
    ),
    "Lion": (
        {"lr": -1.0},
        {"betas": (0.9, 1.0)},
        {"betas": (0.9, 0.9, 0.9)},
        {"weight_decay": -1},
        {"maximize": None},
    ),
    "LAMB": (
        {"lr": np.inf * 0},
        {"betas": (-0.1, 0.9)},
        {"eps": -1e-6},
        {"weight_decay": -1},
        {"maximize": "yes"},
    ),
    "LARS": (
        {"lr": "0.1"},
        {"momentum": -0.1},
        {"weight_decay": -1},
        {"trust_coefficient": 0.0},
        {"maximize": None},
    ),
}


def _make(name: str, options: dict[str, Any]) -> None:
    getattr(scratch.optim, name)([Parameter(np.ones((2, 3)))], **options)


def _stepped(name: str, shape: tuple[int, ...] = (2, 3)) -> Any:
    parameter = Parameter(np.ones(shape))
    gradient = np.ones(shape)
    sparse = SparseGradient(np.arange(shape[0]), gradient, shape)
    parameter.grad = sparse if name == "SparseAdam" else gradient
    optimizer = getattr(scratch.optim, name)([parameter])
    optimizer.step(lambda: 1.0)
    return optimizer


def _mid_run(name: str, option: str, value: object) -> None:
    optimizer = _stepped(name)
    optimizer.param_groups[0][option] = value
    optimizer.step(lambda: 1.0)


def _load(name: str, shape: tuple[int, ...] = (2, 3), **changes: object) -> None:
    """A state in which something is not what it should be."""
    optimizer = _stepped(name, shape)
    saved = optimizer.state_dict()
    saved["state"][0].update(changes)
    optimizer.load_state_dict(saved)


def _load_of_a_vector() -> None:
    saved = _stepped("Adafactor", (6,)).state_dict()
    _stepped("Adafactor").load_state_dict(saved)


def _step(name: str, gradient: Any, **options: Any) -> None:
    """One step with a gradient that does not fit."""
    parameter = Parameter(np.ones((2, 3)))
    parameter.grad = gradient
    getattr(scratch.optim, name)([parameter], **options).step(lambda: 1.0)


def _rows(**changes: Any) -> SparseGradient:
    given = {"indices": np.array([1]), "values": np.ones((1, 3)), "shape": (2, 3), **changes}
    return SparseGradient(**given)


def _add_group(name: str, *shape: int) -> None:
    _stepped(name).add_param_group({"params": Parameter(np.ones(shape))})


DENSE = ("Adam", "AdamW", "RMSprop", "Adafactor", "Muon", "Lion", "LAMB", "LARS")
LBFGS: Any = scratch.optim.LBFGS

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
    *(
        Refusal(
            f"{name}: a sparse gradient",
            lambda name=name: _step(name, _rows()),  # type: ignore[misc]
            f"{name}.step",
        )
        for name in DENSE
    ),
    Refusal("Adafactor: eps mid-run", lambda: _mid_run("Adafactor", "eps", 1), "Adafactor.step"),
    Refusal("Muon: momentum mid-run", lambda: _mid_run("Muon", "momentum", -1), "Muon.step"),
    Refusal("LBFGS: max_eval mid-run", lambda: _mid_run("LBFGS", "max_eval", 0), "LBFGS.step"),
    Refusal("LARS: lr mid-run", lambda: _mid_run("LARS", "lr", None), "LARS.step"),
    Refusal(
        "Adafactor: a whole row_var",
        lambda: _load("Adafactor", row_var=np.ones((2, 3))),
        "Adafactor.load_state_dict",
    ),
    Refusal("Adafactor: of a vector", _load_of_a_vector, "Adafactor.load_state_dict"),
    Refusal(
        "Lion: foreign state",
        lambda: _load("Lion", exp_avg_sq=np.ones((2, 3))),
        "Lion.load_state_dict",
    ),
    Refusal("LAMB: a vector step", lambda: _load("LAMB", step=np.ones(1)), "LAMB.load_state_dict"),
    Refusal(
        "LBFGS: a direction of fewer numbers",
        lambda: _load("LBFGS", d=np.ones(5)),
        "LBFGS.load_state_dict",
    ),
    Refusal(
        "LBFGS: foreign state",
        lambda: _load("LBFGS", exp_avg=np.ones(6)),
        "LBFGS.load_state_dict",
    ),
    Refusal("Muon: a vector", lambda: scratch.optim.Muon([Parameter(np.ones(3))]), "Muon"),
    Refusal("Muon: a vector later", lambda: _add_group("Muon", 3), "Muon.add_param_group"),
    Refusal(
        "LBFGS: two groups",
        lambda: LBFGS([{"params": Parameter(np.ones(2))}, {"params": Parameter(np.ones(2))}]),
        "LBFGS",
    ),
    Refusal("LBFGS: a group later", lambda: _add_group("LBFGS", 3), "LBFGS.add_param_group"),
    Refusal("LBFGS: no closure", lambda: LBFGS([Parameter(np.ones(2))]).step(), "LBFGS.step"),
    Refusal("LBFGS: shape", lambda: _step("LBFGS", np.ones((3, 2))), "LBFGS.step"),
    Refusal("SparseAdam: dense", lambda: _step("SparseAdam", np.ones((2, 3))), "SparseAdam.step"),
    Refusal(
        "SparseAdam: shape",
        lambda: _step("SparseAdam", _rows(shape=(5, 3))),
        "SparseAdam.step",
    ),
    Refusal(
        "SparseAdam: dtype",
        lambda: _step("SparseAdam", _rows(values=np.ones((1, 3), np.float32))),
        "SparseAdam.step",
    ),
    Refusal("SGD: sparse and momentum", lambda: _step("SGD", _rows(), momentum=0.9), "SGD.step"),
    Refusal(
        "Adagrad: sparse and decay",
        lambda: _step("Adagrad", _rows(), weight_decay=0.1),
        "Adagrad.step",
    ),
    Refusal("SparseGradient: a scalar", lambda: _rows(shape=()), "SparseGradient"),
    Refusal("SparseGradient: index", lambda: _rows(indices=np.array([2])), "SparseGradient"),
    Refusal("SparseGradient: index 0.5", lambda: _rows(indices=np.ones(1)), "SparseGradient"),
    Refusal(
        "SparseGradient: indices 2-d",
        lambda: _rows(indices=np.array([[1]])),
        "SparseGradient",
    ),
    Refusal(
        "SparseGradient: fewer values", lambda: _rows(values=np.ones((0, 3))), "SparseGradient"
    ),
    Refusal(
        "SparseGradient: integers", lambda: _rows(values=np.ones((1, 3), int)), "SparseGradient"
    ),
    Refusal(
        "SparseGradient: sum with another shape",
        lambda: _rows() + _rows(shape=(5, 3)),
        "SparseGradient",
    ),
]
