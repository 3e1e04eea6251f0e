"""Optimizers."""

from typing import Any

import numpy as np
import torch

import scratch
import torch_ref.optim
from parity_tests.harness.entry import Optim, Refusal
from scratch.nn import Parameter

MOMENTA: tuple[dict[str, Any], ...] = (
    {"momentum": 0.9},
    {"lr": 0.01, "momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
)
ADAM: tuple[dict[str, Any], ...] = (
    {},
    {"lr": 0.1},
    {"lr": 0.01, "betas": (0.5, 0.9)},
    {"betas": (0.0, 0.0)},
    {"lr": 0.01, "eps": 1e-3},
    {"weight_decay": 0.1},
    {"lr": 0.01, "amsgrad": True},
    {"weight_decay": 0.1, "amsgrad": True, "maximize": True},
)

ENTRIES = [
    Optim(
        "SGD",
        scratch.optim.SGD,
        torch.optim.SGD,
        source="Robbins & Monro 1951; Sutskever et al. 2013, ICML",
        options=(
            {},
            {"lr": 0.1},
            {"weight_decay": 0.5},
            {"weight_decay": 0.1, "maximize": True},
            *MOMENTA,
        ),
    ),
    Optim(
        "SGD with lr in the velocity",
        scratch.optim.SGD,
        torch_ref.optim.SGD,
        source="Sutskever et al. 2013, ICML, eqs. 1-4",
        options=(
            {"lr": 0.1, "weight_decay": 0.1, "lr_in_velocity": True},
            *({**options, "lr_in_velocity": True} for options in MOMENTA),
            *MOMENTA,
        ),
    ),
    Optim(
        "Adam",
        scratch.optim.Adam,
        torch.optim.Adam,
        source="Kingma & Ba 2015, arXiv:1412.6980; Reddi et al. 2018, arXiv:1904.09237",
        options=(*ADAM, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ),
    Optim(
        "AdamW",
        scratch.optim.AdamW,
        torch.optim.AdamW,
        source="Loshchilov & Hutter 2019, arXiv:1711.05101",
        options=ADAM,
    ),
]


# Without their annotations, which the refused calls do not keep to.
SGD: Any = scratch.optim.SGD
Adam: Any = scratch.optim.Adam
AdamW: Any = scratch.optim.AdamW


def _parameter() -> Parameter:
    return Parameter(np.ones((2, 3)))


def _step(gradient: Any, data: Any = None) -> None:
    """One step with a gradient that does not fit."""
    parameter = _parameter() if data is None else Parameter(np.asarray(data))
    parameter.grad = gradient
    SGD([parameter]).step()


def _read_only() -> None:
    parameter = _parameter()
    parameter.data.flags.writeable = False
    parameter.grad = np.ones((2, 3))
    SGD([parameter]).step()


def _option_mid_run(name: str, value: object) -> None:
    optimizer = Adam([_parameter()])
    optimizer.param_groups[0][name] = value
    optimizer.step()


def _twice() -> None:
    parameter = _parameter()
    SGD([parameter, parameter])


def _twice_in_groups() -> None:
    parameter = _parameter()
    SGD([{"params": [parameter]}, {"params": [parameter]}])


def _added_twice() -> None:
    parameter = _parameter()
    SGD([parameter]).add_param_group({"params": parameter})


def _adam_state() -> dict[str, Any]:
    parameter = _parameter()
    parameter.grad = np.ones((2, 3))
    optimizer = Adam([parameter])
    optimizer.step()
    saved: dict[str, Any] = optimizer.state_dict()
    return saved


def _load_state(**changes: object) -> None:
    saved = _adam_state()
    saved["state"][0].update(changes)
    Adam([_parameter()]).load_state_dict(saved)


def _load_partial_state() -> None:
    saved = _adam_state()
    del saved["state"][0]["exp_avg"]
    Adam([_parameter()]).load_state_dict(saved)


def _load_unknown_index() -> None:
    saved = _adam_state()
    Adam([_parameter()]).load_state_dict({**saved, "state": {7: {}}})


REFUSALS = [
    Refusal("SGD: no parameters", lambda: SGD([]), "SGD"),
    Refusal("SGD: only empty groups", lambda: SGD([{"params": []}]), "SGD"),
    Refusal("SGD: a bare parameter", lambda: SGD(_parameter()), "SGD"),
    Refusal("SGD: a set", lambda: SGD({_parameter()}), "SGD"),
    Refusal("SGD: a set in a group", lambda: SGD([{"params": {_parameter()}}]), "SGD"),
    Refusal("SGD: arrays", lambda: SGD([np.ones(3)]), "SGD"),
    Refusal("SGD: a parameter twice", _twice, "SGD"),
    Refusal("SGD: a parameter in two groups", _twice_in_groups, "SGD"),
    Refusal(
        "SGD: some parameters named",
        lambda: SGD([("a", _parameter()), _parameter()]),
        "SGD",
    ),
    Refusal(
        "SGD: some groups named",
        lambda: SGD([{"params": [_parameter()]}, {"params": [("b", _parameter())]}]),
        "SGD",
    ),
    Refusal("SGD: lr below 0", lambda: SGD([_parameter()], lr=-0.1), "SGD"),
    Refusal("SGD: lr no number", lambda: SGD([_parameter()], lr="0.1"), "SGD"),
    Refusal("SGD: lr NaN", lambda: SGD([_parameter()], lr=np.nan), "SGD"),
    Refusal("SGD: lr of a group", lambda: SGD([{"params": _parameter(), "lr": -1.0}]), "SGD"),
    Refusal("SGD: momentum", lambda: SGD([_parameter()], momentum=-0.5), "SGD"),
    Refusal("SGD: dampening", lambda: SGD([_parameter()], dampening=None), "SGD"),
    Refusal("SGD: weight_decay", lambda: SGD([_parameter()], weight_decay=-1), "SGD"),
    Refusal("SGD: maximize", lambda: SGD([_parameter()], maximize="no"), "SGD"),
    Refusal("SGD: nesterov alone", lambda: SGD([_parameter()], nesterov=True), "SGD"),
    Refusal(
        "SGD: nesterov, damped",
        lambda: SGD([_parameter()], momentum=0.9, dampening=0.1, nesterov=True),
        "SGD",
    ),
    Refusal("Adam: lr", lambda: Adam([_parameter()], lr=-1), "Adam"),
    Refusal("Adam: beta1", lambda: Adam([_parameter()], betas=(1.0, 0.0)), "Adam"),
    Refusal("Adam: beta2", lambda: Adam([_parameter()], betas=(0.9, -0.1)), "Adam"),
    Refusal("Adam: three betas", lambda: Adam([_parameter()], betas=(0.9, 0.9, 0.9)), "Adam"),
    Refusal("Adam: eps", lambda: Adam([_parameter()], eps=-1e-8), "Adam"),
    Refusal("Adam: weight_decay", lambda: Adam([_parameter()], weight_decay=-1), "Adam"),
    Refusal("Adam: amsgrad", lambda: Adam([_parameter()], amsgrad=3), "Adam"),
    Refusal("AdamW: lr", lambda: AdamW([_parameter()], lr=-1), "AdamW"),
    Refusal("AdamW: eps", lambda: AdamW([_parameter()], eps=-1), "AdamW"),
    Refusal("step: shape of a gradient", lambda: _step(np.ones((3, 2))), "SGD.step"),
    Refusal("step: dtype of a gradient", lambda: _step(np.ones((2, 3), np.float32)), "SGD.step"),
    Refusal("step: a gradient of numbers", lambda: _step(1.0, 2.0), "SGD.step"),
    Refusal("step: a read-only parameter", _read_only, "SGD.step"),
    Refusal("step: lr NaN", lambda: _option_mid_run("lr", np.nan), "Adam.step"),
    Refusal("step: betas", lambda: _option_mid_run("betas", (0.9, 1.0)), "Adam.step"),
    Refusal(
        "add_param_group: a list",
        lambda: SGD([_parameter()]).add_param_group([_parameter()]),
        "SGD.add_param_group",
    ),
    Refusal("add_param_group: a parameter again", _added_twice, "SGD.add_param_group"),
    Refusal(
        "add_param_group: momentum",
        lambda: SGD([_parameter()]).add_param_group({"params": _parameter(), "momentum": -1}),
        "SGD.add_param_group",
    ),
    Refusal(
        "load_state_dict: of a module",
        lambda: SGD([_parameter()]).load_state_dict(scratch.nn.Linear(2, 3).state_dict()),
        "SGD.load_state_dict",
    ),
    Refusal(
        "load_state_dict: of Adam into SGD",
        lambda: SGD([_parameter()]).load_state_dict(_adam_state()),
        "SGD.load_state_dict",
    ),
    Refusal(
        "load_state_dict: of SGD into Adam",
        lambda: Adam([_parameter()]).load_state_dict(SGD([_parameter()]).state_dict()),
        "Adam.load_state_dict",
    ),
    Refusal(
        "load_state_dict: fewer parameters",
        lambda: Adam([_parameter(), _parameter()]).load_state_dict(_adam_state()),
        "Adam.load_state_dict",
    ),
    Refusal(
        "load_state_dict: fewer groups",
        lambda: Adam([{"params": _parameter()}, {"params": _parameter()}]).load_state_dict(
            _adam_state()
        ),
        "Adam.load_state_dict",
    ),
    Refusal(
        "load_state_dict: shape of a mean",
        lambda: _load_state(exp_avg=np.ones((3, 2))),
        "Adam.load_state_dict",
    ),
    Refusal(
        "load_state_dict: a mean of text",
        lambda: _load_state(exp_avg="ones"),
        "Adam.load_state_dict",
    ),
    Refusal(
        "load_state_dict: foreign state",
        lambda: _load_state(square_avg=np.ones((2, 3))),
        "Adam.load_state_dict",
    ),
    Refusal("load_state_dict: half a state", _load_partial_state, "Adam.load_state_dict"),
    Refusal("load_state_dict: unknown index", _load_unknown_index, "Adam.load_state_dict"),
]
