"""Weights that are computed: how they start, what a call changes, and the way back."""

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from parity_tests.harness import twin
from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array, Draw
from scratch import nn
from scratch.nn import utils
from scratch.nn.op import Backward
from scratch.optim import SGD
from scratch.optim.swa_utils import AveragedModel
from scratch.random import Generator

FORMS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "weight_norm": (utils.weight_norm, torch.nn.utils.weight_norm),
    "spectral_norm": (utils.spectral_norm, torch.nn.utils.spectral_norm),
    "parametrizations.weight_norm": (
        utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.weight_norm,
    ),
    "parametrizations.spectral_norm": (
        utils.parametrizations.spectral_norm,
        torch.nn.utils.parametrizations.spectral_norm,
    ),
}
EACH = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(autouse=True)
def torchs_advice() -> Iterator[None]:
    """torch would rather have its newer form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def pair(form: str, layer: str = "Linear", arguments: Any = (4, 3)) -> tuple[Any, Any]:
    """Both sides with the same values, in float64."""
    ours, theirs = FORMS[form]
    reference = theirs(getattr(torch.nn, layer)(*arguments)).double()
    module = ours(getattr(nn, layer)(*arguments)).to(np.float64)
    module.load_state_dict(twin.arrays(reference.state_dict()))
    return module, reference


def agree(what: str, mine: Any, theirs: Any) -> None:
    found = close(what, mine, twin.numpy(theirs), c=64)
    assert found.passed, str(found)


def same_state(module: Any, reference: Any) -> None:
    """Keys, order and values."""
    assert list(module.state_dict()) == list(reference.state_dict())
    for key, value in reference.state_dict().items():
        agree(key, module.state_dict()[key], value)


@EACH
def test_start_is_torchs(form: str) -> None:
    """The weight as it was, and u and v from the same draws."""
    ours, theirs = FORMS[form]
    torch.manual_seed(3)
    reference = torch.nn.ConvTranspose2d(3, 2, (3, 2))
    layer = nn.ConvTranspose2d(3, 2, (3, 2))
    layer.load_state_dict(twin.arrays(reference.state_dict()))
    torch.manual_seed(5)
    theirs(reference)
    options = {"generator": Generator(5)} if "spectral" in form else {}
    ours(layer, **options)
    assert list(layer.state_dict()) == list(reference.state_dict())
    for key, value in reference.state_dict().items():  # randn is equal to a few roundings
        np.testing.assert_allclose(layer.state_dict()[key], twin.numpy(value), atol=2e-6)
    assert repr(layer) == repr(reference)
    assert isinstance(layer, nn.ConvTranspose2d)


@EACH
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_backwards_in_any_order(form: str, order: tuple[int, ...]) -> None:
    """Each with the weight of its forward, in training, evaluation and training."""
    d = Draw(form, np.float64)
    module, reference = pair(form)
    calls = []
    # torch's older form does not copy u and v in evaluation, so that nothing may come after it.
    modes = (True, True, False) if form == "spectral_norm" else (True, False, True)
    for training in modes:
        x, dy = d.normal(5, 4), d.normal(5, 3)
        y, back = module.train(training)(x)
        tensor = torch.from_numpy(x.copy()).requires_grad_()
        z = reference.train(training)(tensor)
        agree("output", y, z)
        same_state(module, reference)
        calls.append((back, dy, z, tensor))
    for i in order:
        back, dy, z, tensor = calls[i]
        dx = back(dy)
        z.backward(torch.from_numpy(dy))
        agree("dx", dx, tensor.grad)
    for key, parameter in module.named_parameters():
        agree(key, parameter.grad, reference.get_parameter(key).grad)


def test_only_training_moves_u_and_v() -> None:
    for form in ("spectral_norm", "parametrizations.spectral_norm"):
        module, _ = pair(form)
        x = Draw(form, np.float64).normal(5, 4)
        before = module.state_dict()
        first, _ = module.eval()(x)
        again, _ = module(x)
        np.testing.assert_array_equal(first, again)
        for key, value in module.state_dict().items():
            np.testing.assert_array_equal(value, before[key])
        module.train()(x)
        moved = [key for key, value in module.state_dict().items() if (value != before[key]).any()]
        assert [key[-1] for key in moved] == ["u", "v"]


def test_spectral_norm_is_one_in_the_end() -> None:
    module, _ = pair("parametrizations.spectral_norm", "Conv2d", (3, 4, 3))
    for _ in range(300):
        module(np.ones((1, 3, 4, 4)))
    values = np.linalg.svd(module.eval().weight.data.reshape(4, -1), compute_uv=False)
    assert abs(values[0] - 1) < 1e-12 and values[1] < 1


REMOVES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "weight_norm": (utils.remove_weight_norm, torch.nn.utils.remove_weight_norm),
    "spectral_norm": (utils.remove_spectral_norm, torch.nn.utils.remove_spectral_norm),
}


@EACH
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_way_back(form: str, training: bool) -> None:
    """The weight as it is becomes a parameter, the class what it was."""
    module, reference = pair(form)
    d = Draw(form, np.float64)
    x = d.normal(5, 4)
    for side, value in ((module, x), (reference, torch.from_numpy(x))):
        side.train()(value)
        side.train(training)
    if form.startswith("parametrizations"):
        utils.parametrize.remove_parametrizations(module, "weight")
        torch.nn.utils.parametrize.remove_parametrizations(reference, "weight")
    else:
        ours, theirs = REMOVES[form]
        ours(module)
        theirs(reference)
    same_state(module, reference)
    assert type(module) is nn.Linear and repr(module) == repr(reference)
    y, back = module(x)
    back(np.ones_like(y))
    assert module.weight.grad is not None and isinstance(module.weight, nn.Parameter)
    FORMS[form][0](module)  # and there again


def test_original_instead_of_the_value() -> None:
    module, _ = pair("parametrizations.spectral_norm")
    original = module.parametrizations["weight"].original
    before = original.data.copy()
    utils.parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    assert module.weight is original
    np.testing.assert_array_equal(original.data, before)


class Symmetric(nn.Module):
    """w = upper triangle of the original and its mirror image: torch's own example."""

    def forward(self, w: Array) -> tuple[Array, Backward]:
        """The upper triangle, mirrored."""

        def backward(dy: Array) -> Array:
            return np.triu(dy + np.triu(dy.T, 1))

        return np.triu(w) + np.triu(w, 1).T, backward


class TorchSymmetric(torch.nn.Module):
    """The same in torch."""

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The upper triangle, mirrored."""
        return w.triu() + w.triu(1).T


def test_a_parametrisation_of_ones_own() -> None:
    """Then a second one on top, on both sides."""
    reference, module = torch.nn.Linear(3, 3).double(), nn.Linear(3, 3, dtype=np.float64)
    module.load_state_dict(twin.arrays(reference.state_dict()))
    utils.parametrize.register_parametrization(module, "weight", Symmetric())
    torch.nn.utils.parametrize.register_parametrization(reference, "weight", TorchSymmetric())
    utils.parametrizations.spectral_norm(module)
    torch.nn.utils.parametrizations.spectral_norm(reference)
    module.load_state_dict(twin.arrays(reference.state_dict()))
    d = Draw("symmetric", np.float64)
    x, dy = d.normal(4, 3), d.normal(4, 3)
    y, back = module(x)
    z = reference(torch.from_numpy(x))
    dx = back(dy)
    z.backward(torch.from_numpy(dy))
    agree("output", y, z)
    assert dx.shape == x.shape
    for key, parameter in module.named_parameters():
        agree(key, parameter.grad, reference.get_parameter(key).grad)
    assert utils.parametrize.is_parametrized(module)
    assert utils.parametrize.is_parametrized(module, "weight")
    assert not utils.parametrize.is_parametrized(module, "bias")
    np.testing.assert_allclose(module.eval().weight.data, module.weight.data.T)


@EACH
def test_copies_and_averages_are_apart(form: str) -> None:
    module, _ = pair(form)
    other = copy.deepcopy(module)
    average = AveragedModel(module)
    x = Draw(form, np.float64).normal(5, 4)
    y, _ = module.eval()(x)
    for parameter in other.parameters():
        parameter.data = 2 * parameter.data
    np.testing.assert_array_equal(module(x)[0], y)
    assert (other.eval()(x)[0] != y).any()
    average.update_parameters(module)
    np.testing.assert_allclose(average.eval()(x)[0], y, rtol=1e-12)


@EACH
def test_first_layer_leaves_its_input_gradient_out(form: str) -> None:
    module, _ = pair(form)
    model = nn.Sequential(module, nn.ReLU())
    x = Draw(form, np.float64).normal(5, 4)
    y, back = model(x)
    assert back(np.ones_like(y), needs_input_grad=False) is None
    assert all(parameter.grad is not None for parameter in model.parameters())


@EACH
def test_a_step_in_between_is_refused(form: str) -> None:
    """As with any parameter that the backward reads."""
    module, _ = pair(form)
    y, back = module(Draw(form, np.float64).normal(5, 4))
    back(np.ones_like(y))
    SGD(module.parameters(), 0.1).step()
    with pytest.raises(RuntimeError, match="run the forward again"):
        back(np.ones_like(y))


@EACH
def test_refused_input_leaves_buffers_and_parameters(form: str) -> None:
    module, _ = pair(form)
    before = module.state_dict()
    with pytest.raises(ValueError, match="expected"):
        module(np.ones((5, 7)))
    for key, value in module.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_refused_options_leave_the_layer() -> None:
    layer = nn.Linear(4, 3)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: utils.weight_norm(layer, dim=3),
        lambda: utils.spectral_norm(layer, n_power_iterations=0),
        lambda: utils.parametrizations.spectral_norm(layer, dim=2),
        lambda: utils.parametrize.register_parametrization(layer, "weight", nn.Flatten(0)),
    )
    for call in calls:
        with pytest.raises(ValueError, match="expected"):
            call()
        assert type(layer) is nn.Linear and list(layer.state_dict()) == ["weight", "bias"]


def test_sparse_gradients_of_an_embedding() -> None:
    layer = utils.weight_norm(nn.Embedding(5, 3, sparse=True))
    y, back = layer(np.array([1, 1, 4]))
    back(np.ones_like(y))
    gradients = [parameter.grad for parameter in layer.parameters()]
    assert [g.shape for g in gradients if g is not None] == [(5, 1), (5, 3)]
