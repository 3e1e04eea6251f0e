"""Layers whose weight is computed: weight and spectral normalisation, in both of torch's forms."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn import utils
from scratch.nn.op import Backward

WEIGHT = "Salimans & Kingma 2016, arXiv:1602.07868, eq. 2 and 3"
SPECTRAL = "Miyato et al. 2018, arXiv:1802.05957, algorithm 1"
CONSTANT = "u and v are taken for constants, and each forward in training changes them"


def applied(function: Callable[..., Any], modules: Any) -> Callable[..., Any]:
    """(name of a layer, its arguments, options of the function) -> the layer, changed by it."""

    def make(layer: str, arguments: tuple[Any, ...], /, **options: Any) -> Any:
        return function(getattr(modules, layer)(*arguments), **options)

    return make


def twin_entry(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any], source: str, cases: Any
) -> Layer:
    """An entry of a function that changes a layer."""
    return Layer(name, applied(ours, nn), applied(theirs, torch.nn), cases, source)


INPUTS: Mapping[str, tuple[str, tuple[Any, ...], Callable[[Any], Call]]] = {
    "linear": ("Linear", (4, 3), lambda d: Call(d.normal(2, 5, 4))),
    "linear without bias": ("Linear", (4, 3, False), lambda d: Call(d.normal(5, 4))),
    "conv1d": ("Conv1d", (2, 3, 4), lambda d: Call(d.normal(5, 2, 7))),
    "conv2d": ("Conv2d", (4, 6, (3, 2), 2, 1, 1, 2), lambda d: Call(d.normal(2, 4, 7, 5))),
    "conv_transpose2d": (
        "ConvTranspose2d",
        (3, 2, (3, 2), 2),
        lambda d: Call(d.normal(2, 3, 4, 5)),
    ),
    "bilinear": ("Bilinear", (2, 3, 4), lambda d: Call(d.normal(5, 2), d.normal(5, 3))),
    "embedding": ("Embedding", (7, 3, 2), lambda d: Call(np.array([[0, 3, 2], [3, 6, 3]]))),
}


def cases(modes: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]) -> tuple[Case, ...]:
    """Each layer in each mode; then `options`, for a Linear, by name of the case."""
    found = []
    for what, (name, arguments, make) in INPUTS.items():
        for mode, surrogate in modes.items():
            surrogate = "a row of padding has no gradient" if name == "Embedding" else surrogate
            init = Call(name, arguments)
            found.append(Case(f"{what}, {mode}", make, init, modes=(mode,), surrogate=surrogate))
    _, arguments, make = INPUTS["linear"]
    for what, given in options.items():
        for mode, surrogate in modes.items():
            init = Call("Linear", arguments, **given)
            found.append(Case(f"{what}, {mode}", make, init, modes=(mode,), surrogate=surrogate))
    return tuple(found)


WEIGHT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "dim 1": {"dim": 1},
    "dim None": {"dim": None},
}
WEIGHT_CASES = (
    *cases({"train": "", "eval": ""}, WEIGHT_OPTIONS),
    Case(
        "bias",
        lambda d: Call(d.normal(5, 4)),
        Call("Linear", (4, 3), name="bias", dim=None),
        cancels=1.0,
    ),
    Case(
        "dim 2",
        lambda d: Call(d.normal(2, 4, 7, 5)),
        Call("Conv2d", (4, 6, (3, 2)), dim=2),
    ),
)
SPECTRAL_MODES = {"train": CONSTANT, "eval": ""}
SPECTRAL_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "three updates": {"n_power_iterations": 3},
    "dim 1": {"dim": 1},
    "eps": {"eps": 0.5},
}


def twice(functions: Any) -> Callable[..., Any]:
    """Spectral normalisation of weight and bias, and of the weight once more."""

    def change(layer: Any) -> Any:
        for name, options in (("weight", {"dim": 1}), ("bias", {}), ("weight", {})):
            functions.spectral_norm(layer, name, **options)
        return layer

    return change


ENTRIES: list[Entry] = [
    twin_entry("weight_norm", utils.weight_norm, torch.nn.utils.weight_norm, WEIGHT, WEIGHT_CASES),
    twin_entry(
        "spectral_norm",
        utils.spectral_norm,
        torch.nn.utils.spectral_norm,
        SPECTRAL,
        cases(SPECTRAL_MODES, SPECTRAL_OPTIONS),
    ),
    twin_entry(
        "parametrizations.weight_norm",
        utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.weight_norm,
        WEIGHT,
        WEIGHT_CASES,
    ),
    twin_entry(
        "parametrizations.spectral_norm",
        utils.parametrizations.spectral_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        SPECTRAL,
        (
            *cases(SPECTRAL_MODES, SPECTRAL_OPTIONS),
            Case(
                "bias",
                lambda d: Call(d.normal(5, 4)),
                Call("Linear", (4, 3), name="bias", dim=None),
                cancels=1.0,
            ),
        ),
    ),
    twin_entry(
        "parametrizations, two of one weight",
        twice(utils.parametrizations),
        twice(torch.nn.utils.parametrizations),
        SPECTRAL,
        (
            Case("linear, eval", INPUTS["linear"][2], Call("Linear", (4, 3)), modes=("eval",)),
            Case(
                "linear, train",
                INPUTS["linear"][2],
                Call("Linear", (4, 3)),
                modes=("train",),
                surrogate=CONSTANT,
            ),
        ),
    ),
]


class Doubled(nn.Module):
    """A parametrisation that changes the shape, which is refused."""

    def forward(self, w: Array) -> tuple[Array, Backward]:
        """w twice."""
        return np.concatenate([w, w]), lambda dw: dw[: len(w)] + dw[len(w) :]


def _linear() -> nn.Linear:
    return nn.Linear(2, 3)


def _on(function: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: function(_linear(), *arguments, **options)


P, R = utils.parametrizations, utils.parametrize
REFUSALS = [
    Refusal("weight_norm: no such parameter", _on(utils.weight_norm, "gain"), "weight_norm"),
    Refusal("weight_norm: no module", lambda: utils.weight_norm(unchecked(3)), "weight_norm"),
    Refusal("weight_norm: axis", _on(utils.weight_norm, dim=2), "weight_norm"),
    Refusal(
        "weight_norm: twice", lambda: utils.weight_norm(utils.weight_norm(_linear())), "weight_norm"
    ),
    Refusal("remove_weight_norm: none", _on(utils.remove_weight_norm), "remove_weight_norm"),
    Refusal("spectral_norm: parameter", _on(utils.spectral_norm, "gain"), "spectral_norm"),
    Refusal("spectral_norm: updates", _on(utils.spectral_norm, "weight", 0), "spectral_norm"),
    Refusal("spectral_norm: axis", _on(utils.spectral_norm, dim=-3), "spectral_norm"),
    Refusal("spectral_norm: eps", _on(utils.spectral_norm, eps=-1.0), "spectral_norm"),
    Refusal("remove_spectral_norm: none", _on(utils.remove_spectral_norm), "remove_spectral_norm"),
    Refusal("parametrizations.weight_norm: name", _on(P.weight_norm, "gain"), "weight_norm"),
    Refusal("parametrizations.weight_norm: axis", _on(P.weight_norm, dim=5), "weight_norm"),
    Refusal("parametrizations.spectral_norm: name", _on(P.spectral_norm, "gain"), "spectral_norm"),
    Refusal("parametrizations.spectral_norm: updates", _on(P.spectral_norm, "weight", 0), "spectr"),
    Refusal(
        "register_parametrization: no module",
        _on(R.register_parametrization, "weight", np.ones(3)),
        "register_parametrization",
    ),
    Refusal(
        "register_parametrization: name",
        _on(R.register_parametrization, "gain", nn.Identity()),
        "register_parametrization",
    ),
    Refusal(
        "register_parametrization: another shape",
        _on(R.register_parametrization, "weight", Doubled()),
        "ParametrizationList",
    ),
    Refusal("remove_parametrizations: none", _on(R.remove_parametrizations, "weight"), "remove_pa"),
    Refusal(
        "remove_parametrizations: several originals",
        lambda: R.remove_parametrizations(P.weight_norm(_linear()), "weight", False),
        "remove_parametrizations",
    ),
]
