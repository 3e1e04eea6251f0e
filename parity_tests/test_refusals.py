"""Bad input is refused, by every public function, in one form, before anything changes."""

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import scratch
import scratch.training
from datasets.settings import resolve
from parity_tests.catalog import ENTRIES, REFUSALS
from parity_tests.harness import twin
from parity_tests.harness.check import strict_warnings
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Layer, Op, Refusal, unchecked
from parity_tests.test_structure import MACHINERY, public
from scratch.check import describe, option
from scratch.gradcheck import gradcheck
from scratch.nn import functional
from scratch.random import Generator
from scratch.training import EarlyStopping, load_weights, read_weights, save_weights

OPS = [entry for entry in ENTRIES if isinstance(entry, Op) and hasattr(functional, entry.name)]
# Identity stands in for any module: it hands on whatever it is given.
LAYERS = [entry for entry in ENTRIES if isinstance(entry, Layer) and entry.name != "Identity"]


# One by one

REQUIRED: dict[str, dict[str, Any]] = {"constant_": {"val": 1.0}, "sparse_": {"sparsity": 0.5}}
DRAWS: dict[str, tuple[Any, ...]] = {
    "manual_seed": (0.5,),
    "set_state": ({},),
    "rand": (-1,),
    "randn": (2.5,),
    "uniform": (1.0, 0.0, 3),
    "normal": (0.0, -1.0, 3),
    "bernoulli": (1.5, 3),
    "exponential": (-2,),
    "randint": (3, 3, 2),
    "randperm": (-1,),
}
X, Y = np.ones((3, 2)), np.ones((3, 1))


def initialise(name: str) -> Refusal:
    """An initialisation of a list, which is no Parameter; test_random_and_init has the ranges."""
    function = partial(getattr(scratch.nn.init, name), [[1.0]], **REQUIRED.get(name, {}))
    return Refusal(f"{name}: list", function, name)


def draw(name: str) -> Refusal:
    """A draw that cannot be; test_random_and_init has many more."""
    call = partial(getattr(Generator(0), name), *DRAWS[name])
    return Refusal(f"Generator.{name}", call, f"Generator.{name}")


def train(loss: str) -> Any:
    """A run by a loss that does not exist."""
    model = scratch.nn.Linear(2, 1, dtype=np.float64)
    optimizer = scratch.optim.SGD(model.parameters())
    return scratch.training.train(model, optimizer, loss, X, Y, [np.arange(3)])


def evaluate() -> Any:
    """Inputs of the wrong width, which the first layer refuses."""
    model = scratch.nn.Linear(4, 1, dtype=np.float64)
    return scratch.training.evaluate(model, X, Y, {"mse": scratch.training.metrics.mse})


def measured(name: str) -> Refusal:
    """A metric of integers."""
    metric = getattr(scratch.training.metrics, name)
    return Refusal(f"{name}: integers", partial(metric, np.arange(3), np.arange(3)), name)


# Of what is no module; test_craft_training has more.
DIAGNOSES: dict[str, tuple[Any, ...]] = {
    "activation_statistics": ([1.0], X),
    "gradient_statistics": ([1.0], "mse_loss", X, Y),
    "dead_units": ([1.0], X),
    "gradient_norms": ([1.0],),
    "update_ratios": ([1.0], {}),
    "nan_origin": ([1.0], "mse_loss", X, Y),
    "overfit_one_batch": ([1.0], None, "mse_loss", X, Y),
    "lr_range_test": ([1.0], None, "mse_loss", X, Y, []),
    "diagnose_curves": ("losses", "losses"),
    "diagnose_gradients": ([1.0, 2.0],),
}

ELSEWHERE = [
    *(initialise(name) for name in sorted(public(scratch.nn.init)) if name.endswith("_")),
    Refusal("a gain", lambda: scratch.nn.init.calculate_gain("gelu"), "calculate_gain"),
    Refusal(
        "a vector", lambda: scratch.nn.init.fan_in_and_fan_out(np.ones(3)), "fan_in_and_fan_out"
    ),
    Refusal("a seed", lambda: Generator(2**64), "Generator"),
    *map(draw, DRAWS),
    Refusal("a loss", lambda: train("mse"), "train"),
    Refusal("evaluate: width", evaluate, "linear"),
    *map(measured, sorted(public(scratch.training.metrics))),
    Refusal(
        "save_weights", lambda: save_weights(unchecked([1.0]), "w.safetensors"), "save_weights"
    ),
    Refusal(
        "load_weights", lambda: load_weights(unchecked([1.0]), "w.safetensors"), "load_weights"
    ),
    Refusal("read_weights", lambda: read_weights(__file__), "read_weights"),
    Refusal(
        "autocast",
        lambda: scratch.training.Trainer(resolve("xor", {"precision": "bf16"}), "run"),
        "Trainer",
    ),
    Refusal("EarlyStopping", lambda: EarlyStopping(patience=0), "EarlyStopping"),
    *(
        Refusal(f"{name}: no module", partial(getattr(scratch.training, name), *arguments), name)
        for name, arguments in DIAGNOSES.items()
    ),
    Refusal("float32", lambda: gradcheck(functional.relu, np.ones(2, np.float32)), "gradcheck"),
]


def refused(call: Callable[[], Any], name: str) -> None:
    """It is, by that name, in one line of the one form."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    form = rf"{re.escape(name)}[^\n]*: expected [^\n]+, got [^\n]+"
    assert re.fullmatch(form, message), message


def arrays_of(call: Callable[[], Any]) -> list[Array]:
    """The arrays that a call is made with, as far as they can be seen from here."""
    if isinstance(call, partial):
        held = [*call.args, *call.keywords.values()]
    else:
        seen = inspect.getclosurevars(call)
        held = [*seen.nonlocals.values(), *seen.globals.values()]
    return [value for value in held if isinstance(value, np.ndarray)]


@pytest.mark.parametrize("refusal", [*REFUSALS, *ELSEWHERE], ids=lambda r: r.what)
def test_bad_input_is_refused(refusal: Refusal) -> None:
    arrays = arrays_of(refusal.call)
    before = [array.copy() for array in arrays]
    refused(refusal.call, refusal.name)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def takes_nothing(item: object) -> bool:
    """A class without arguments of its own, whose calls are its op's to refuse."""
    return inspect.isclass(item) and not [
        p
        for p in inspect.signature(item).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in ("inplace", "dtype")
    ]


def refusing() -> set[str]:
    """The names that refusals carry, in their messages or their descriptions."""
    names = {refusal.name.split()[0] for refusal in [*REFUSALS, *ELSEWHERE]}
    names |= {refusal.what.split(":")[0] for refusal in [*REFUSALS, *ELSEWHERE]}
    return names | {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "where", ["nn.functional", "nn", "nn.init", "optim", "models", "training", "training.metrics"]
)
def test_every_public_name_refuses_something(where: str) -> None:
    module: Any = scratch
    for part in where.split("."):
        module = getattr(module, part)
    machinery = {*MACHINERY, "Generator", "Record", "Round"}
    names = {
        name for name in public(module) - machinery if not takes_nothing(getattr(module, name))
    }
    assert names
    assert not names - refusing()


def test_every_draw_refuses_something() -> None:
    methods = {name for name, item in vars(Generator).items() if inspect.isfunction(item)}
    methods = {name for name in methods if not name.startswith("_")}
    assert methods == {*DRAWS, "get_state"}  # which takes nothing


def test_a_message_is_one_line_whatever_it_is_given() -> None:
    class Verbose:
        def __repr__(self) -> str:
            return "two\nlines,\n" + "long " * 50

    for value in (Verbose(), "a\nb", [np.eye(3)], scratch.nn.Parameter(np.ones((2, 2)))):
        assert "\n" not in describe(value)
        refused(partial(option, "f", "x", value, ("a", True)), "f")


@pytest.mark.parametrize(
    "value", [np.ones(3), np.array(["mean", "sum"]), np.array(True), np.zeros(0), [1, 2], {}, 3]
)
def test_an_array_is_no_option(value: Any) -> None:
    """NumPy compares it entry by entry, of which there is no one answer."""
    refused(lambda: functional.mse_loss(X, X, reduction=unchecked(value)), "mse_loss")
    refused(lambda: functional.dropout(X, training=unchecked(value)), "dropout")


# All at once: each floating argument of each case of the catalog in turn

# Losses whose labels may be integers.
LABELS = {
    *("cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "soft_margin_loss"),
    *("multilabel_soft_margin_loss", "poisson_nll_loss", "mask_loss"),
    *("CosineEmbeddingLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "SoftMarginLoss"),
    *("MultiLabelSoftMarginLoss", "PoissonNLLLoss"),
}


def other(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """The other floating dtype."""
    return np.float32 if dtype == np.float64 else np.float64


def wrong_calls(name: str, function: Any, call: Call, mixes: bool) -> Iterator[Call]:
    """The call with a floating argument replaced by what is none, or by one of another dtype."""
    places: list[tuple[int | str, Any]] = [*enumerate(call.args), *call.kwargs.items()]
    floating = [(place, array) for place, array in places if twin.is_floating(array)]
    order = list(twin.named_arguments(function, call))
    for place, array in floating:
        wrong = [array.astype(complex), np.zeros(array.shape, np.float16)]
        if array.ndim:  # a number may be an argument of its own kind
            wrong.append(array.tolist())
        named = order[place] if isinstance(place, int) else place
        if named != "target" or name not in LABELS:
            wrong.append(np.zeros(array.shape, int))
        if mixes or len(floating) > 1:
            wrong.append(array.astype(other(array.dtype)))
        for value in wrong:
            arguments = {where: value if where == place else v for where, v in places}
            yield Call(
                *(v for where, v in arguments.items() if isinstance(where, int)),
                **{where: v for where, v in arguments.items() if isinstance(where, str)},
            )


def wrong_gradients(output: Any) -> Iterator[tuple[Any, ...]]:
    """What are no gradients of an output, or of several (maxima and where they are)."""
    y, *rest = twin.as_tuple(output)
    wrong = [
        np.ones((*y.shape, 2), y.dtype),
        np.ones((2, *y.shape), y.dtype),
        np.ones(y.shape, other(y.dtype)),
        np.ones(y.shape, int),
        "gradient",
        *([] if rest else [None]),  # of several it stands for zero
        *([np.ones(y.shape, y.dtype).tolist()] if y.ndim else []),
    ]
    for gradient in wrong:
        yield (gradient, *(None for _ in rest))
    right = [np.ones_like(part) for part in (y, *rest)]
    yield (*right, right[0])
    if rest:
        yield tuple(right[:-1])


@pytest.mark.parametrize("entry", OPS, ids=lambda entry: entry.name)
@strict_warnings()
def test_ops_refuse(entry: Op) -> None:
    """Arguments that are no floating arrays, or mix dtypes; wrong gradients."""
    name = entry.scratch.__name__
    for case in entry.cases:
        call = twin.plain(case.make(Draw(entry.name, np.float64)))  # read-only
        for bad in wrong_calls(name, entry.scratch, call, mixes=False):
            refused(partial(entry.scratch, *bad.args, **bad.kwargs), name)
        output, backward = entry.scratch(*call.args, **call.kwargs)
        for gradients in wrong_gradients(output):
            refused(partial(backward, *gradients), f"{name} backward")


@pytest.mark.parametrize("entry", LAYERS, ids=lambda entry: entry.name)
def test_modules_refuse(entry: Layer) -> None:
    """The same; parameters, buffers and gradients stay as they are."""

    def unchanged(module: scratch.nn.Module, state: dict[str, Array]) -> None:
        for key, value in module.state_dict().items():
            np.testing.assert_array_equal(value, state[key])
        assert all(parameter.grad is None for parameter in module.parameters())

    for case in entry.cases:
        init = twin.plain(case.init)
        module = entry.scratch(*init.args, **init.kwargs).to(np.float64)
        state = module.state_dict()
        call = twin.plain(case.make(Draw(entry.name, np.float64)))
        for bad in wrong_calls(entry.name, module.forward, call, mixes=any(module.parameters())):
            refused(partial(module, *bad.args, **bad.kwargs), "")
        unchanged(module, state)
        output, backward = module(*call.args, **call.kwargs)
        state = module.state_dict()
        for gradients in wrong_gradients(output):
            refused(partial(backward, *gradients), "")
        unchanged(module, state)
