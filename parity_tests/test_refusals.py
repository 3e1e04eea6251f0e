"""Bad input is refused, by every public function, in one form, before anything changes."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import scratch
import scratch.training
from parity_tests.catalog import ENTRIES, REFUSALS
from parity_tests.harness import twin
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Layer, Op, Refusal
from parity_tests.test_structure import MACHINERY, public
from scratch.gradcheck import gradcheck
from scratch.nn import functional

OPS = [entry for entry in ENTRIES if isinstance(entry, Op) and hasattr(functional, entry.name)]
LAYERS = [
    entry for entry in ENTRIES if isinstance(entry, Layer) and hasattr(scratch.nn, entry.name)
]


REQUIRED: dict[str, dict[str, Any]] = {"constant_": {"val": 1.0}, "sparse_": {"sparsity": 0.5}}


def initialise(name: str) -> Refusal:
    """An initialisation of a list, which is no Parameter; test_random_and_init has the ranges."""
    function = partial(getattr(scratch.nn.init, name), [[1.0]], **REQUIRED.get(name, {}))
    return Refusal(f"{name}: list", function, name)


ELSEWHERE = [
    *(initialise(name) for name in sorted(public(scratch.nn.init)) if name.endswith("_")),
    Refusal("a gain", lambda: scratch.nn.init.calculate_gain("gelu"), "calculate_gain"),
    Refusal(
        "a vector", lambda: scratch.nn.init.fan_in_and_fan_out(np.ones(3)), "fan_in_and_fan_out"
    ),
    Refusal("a seed", lambda: scratch.random.Generator(2**64), "Generator"),
    Refusal("a loss", lambda: train("mse"), "train"),
    Refusal("float32", lambda: gradcheck(functional.relu, np.ones(2, np.float32)), "gradcheck"),
]


def train(loss: str) -> Any:
    """A run by a loss that does not exist."""
    model = scratch.nn.Linear(2, 1)
    optimizer = scratch.optim.SGD(model.parameters())
    x = np.ones((3, 2), np.float32)
    return scratch.training.train(model, optimizer, loss, x, x[:, :1], [np.arange(3)])


def name_of(entry: Op | Layer) -> str:
    return entry.name


def refused(call: Callable[[], Any]) -> str:
    """The message of a refusal, which is one line in the one form."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert ": expected " in message and ", got " in message and "\n" not in message, message
    return message


@pytest.mark.parametrize("refusal", [*REFUSALS, *ELSEWHERE], ids=lambda r: r.what)
def test_bad_input_is_refused(refusal: Refusal) -> None:
    message = refused(refusal.call)
    assert message.startswith(refusal.name), message


def takes_nothing(item: object) -> bool:
    """A class without arguments of its own, whose calls are its op's to refuse."""
    return inspect.isclass(item) and not [
        p
        for p in inspect.signature(item).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in ("inplace", "dtype")
    ]


@pytest.mark.parametrize("where", ["nn.functional", "nn", "nn.init", "optim", "models"])
def test_every_public_name_refuses_something(where: str) -> None:
    module: Any = scratch
    for part in where.split("."):
        module = getattr(module, part)
    tested = {refusal.name.split()[0].split(".")[0] for refusal in [*REFUSALS, *ELSEWHERE]}
    names = {
        name for name in public(module) - MACHINERY if not takes_nothing(getattr(module, name))
    }
    assert names
    assert not names - tested


def floating_arguments(call: Call) -> Iterator[tuple[Any, Any]]:
    """Where a call holds floating arrays, and the arrays."""
    for place, value in [*enumerate(call.args), *call.kwargs.items()]:
        if twin.is_floating(value):
            yield place, value


def replaced(call: Call, place: Any, value: Any) -> Call:
    if isinstance(place, int):
        return Call(*call.args[:place], value, *call.args[place + 1 :], **call.kwargs)
    return Call(*call.args, **{**call.kwargs, place: value})


@pytest.mark.parametrize("entry", OPS, ids=name_of)
def test_no_op_computes_on_what_is_not_a_floating_array(entry: Op) -> None:
    """A list, float16 and complex numbers in the place of each floating argument in turn."""
    call = twin.plain(entry.cases[0].make(Draw(entry.name, np.float64)))
    places = list(floating_arguments(call))
    assert places
    for place, array in places:
        for wrong in (array.tolist(), array.astype(np.float16), array.astype(complex)):
            if isinstance(wrong, float):  # a number is an argument of its own kind
                continue
            bad = replaced(call, place, wrong)
            refused(partial(entry.scratch, *bad.args, **bad.kwargs))


@pytest.mark.parametrize("entry", OPS, ids=name_of)
def test_no_op_mixes_dtypes(entry: Op) -> None:
    call = twin.plain(entry.cases[0].make(Draw(entry.name, np.float64)))
    places = list(floating_arguments(call))
    for place, array in places[1:]:
        bad = replaced(call, place, array.astype(np.float32))
        refused(partial(entry.scratch, *bad.args, **bad.kwargs))


@pytest.mark.parametrize("entry", OPS, ids=name_of)
def test_no_backward_takes_a_wrong_gradient(entry: Op) -> None:
    call = twin.plain(entry.cases[0].make(Draw(entry.name, np.float64)))
    output, backward = entry.scratch(*call.args, **call.kwargs)
    if isinstance(output, tuple):
        output, *others = output
    else:
        others = []
    rest = [np.zeros_like(o) if np.asarray(o).dtype.kind == "f" else None for o in others]
    good = np.ones_like(output)
    for wrong in (np.ones((*good.shape, 2)), good.astype(np.float32), good.tolist(), "gradient"):
        if not isinstance(wrong, float):
            refused(partial(backward, wrong, *rest))
    refused(partial(backward, good, *rest, good))


@pytest.mark.parametrize("entry", LAYERS, ids=name_of)
def test_no_module_computes_on_what_is_not_a_floating_array(entry: Layer) -> None:
    case = entry.cases[0]
    init = twin.plain(case.init)
    module = entry.scratch(*init.args, **init.kwargs).to(np.float64)
    call = twin.plain(case.make(Draw(entry.name, np.float64)))
    for place, array in floating_arguments(call):
        for wrong in (array.tolist(), array.astype(complex)):
            bad = replaced(call, place, wrong)
            if not isinstance(wrong, float) and entry.name != "Identity":
                refused(partial(module, *bad.args, **bad.kwargs))
