"""Clipping and averaged models: what the catalog's comparisons do not reach."""

import copy
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scratch
from parity_tests.catalog.averaging import Counting, TorchCounting
from parity_tests.harness.compare import close
from scratch.nn import Parameter, utils
from scratch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
TORCH = {np.float64: torch.float64, np.float32: torch.float32}


def pair(*gradients: Any) -> tuple[list[Any], list[Any]]:
    """Parameters with these gradients on both sides; the scratch side has these very arrays."""
    ours = [Parameter(np.zeros(np.shape(g), g.dtype)) for g in gradients]
    theirs = [
        torch.nn.Parameter(torch.from_numpy(np.zeros(np.shape(g), g.dtype))) for g in gradients
    ]
    for p, q, g in zip(ours, theirs, gradients, strict=True):
        p.grad, q.grad = g, torch.from_numpy(np.array(g))
    return ours, theirs


@settings(max_examples=150, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=4),
    scale=st.sampled_from([1e-9, 1e-6, 1e-3, 1.0, 1e6]),
    share=st.sampled_from([0.0, 1e-3, 0.5, 1.0, 2.0]),
    order=st.sampled_from([1, 1.5, 2, 3, 0, math.inf, -math.inf, -1.5, "inf"]),
    seed=st.integers(0, 99),
)
def test_any_norm(shapes: Any, scale: float, share: float, order: Any, seed: int) -> None:
    """To a share of the norm that is there, of any order."""
    rng = np.random.default_rng(seed)
    gradients = [np.asarray(scale * rng.standard_normal(shape)) for shape in shapes]
    ours, theirs = pair(*gradients)
    bound = share * float(np.sqrt(sum(np.sum(g**2) for g in gradients)))
    norm = utils.clip_grad_norm_(ours, bound, order)
    expected = torch.nn.utils.clip_grad_norm_(theirs, bound, order)
    assert close("norm", norm, expected.numpy(), c=64).passed
    for p, q in zip(ours, theirs, strict=True):
        assert close("gradient", p.grad, q.grad.numpy(), c=64).passed


@DTYPES
def test_given_arrays_stay_as_they_are(dtype: Any) -> None:
    """Two parameters, one array, which neither function writes to."""
    gradient = np.asarray([3.0, -4.0], dtype)
    gradient.flags.writeable = False
    ours, _ = pair(gradient, gradient)
    assert utils.clip_grad_norm_(ours, 0.5) == pytest.approx(math.sqrt(50))
    utils.clip_grad_value_(ours, 0.1)
    assert gradient.tolist() == [3.0, -4.0]
    for p in ours:
        assert p.grad.dtype == dtype and np.max(np.abs(p.grad)) <= dtype(0.1)
    assert ours[0].grad is not ours[1].grad


def test_norm_that_overflows_overflows_as_torchs() -> None:
    ours, theirs = pair(np.full(4, 1e30, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norm = utils.clip_grad_norm_(ours, 1.0)
    assert np.isinf(norm) and torch.isinf(torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    assert np.array_equal(ours[0].grad, theirs[0].grad.numpy(), equal_nan=True)


def test_mixed_dtypes_have_a_norm_in_the_wider() -> None:
    wide, narrow = np.array([3.0]), np.array([4.0], np.float32)
    ours, theirs = pair(wide, narrow)
    norm = utils.clip_grad_norm_(ours, 1.0)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    assert norm.dtype == np.float64 and norm == expected.item()
    for p, q in zip(ours, theirs, strict=True):
        assert close("gradient", p.grad, q.grad.numpy(), c=4).passed


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_error_if_nonfinite_comes_before_any_change(spoiled: float) -> None:
    gradient = np.array([spoiled, 1.0])
    ours, theirs = pair(np.ones(2), gradient)
    sides: tuple[Any, ...] = ((ours, utils), (theirs, torch.nn.utils))
    for p, clip in sides:
        with pytest.raises(RuntimeError, match="finite"):
            clip.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert ours[1].grad is gradient and np.array_equal(ours[0].grad, np.ones(2))
    with pytest.raises(RuntimeError, match=r"^get_total_norm: expected .*, got "):
        utils.get_total_norm([gradient], error_if_nonfinite=True)


def test_read_up_generator_is_noticed() -> None:
    """As torch does: `model.parameters()` that was walked before."""
    parameters = (p for p in [Parameter(np.ones(2))])
    list(parameters)
    with pytest.warns(UserWarning, match="empty generator"):
        assert utils.clip_grad_norm_(parameters, 1.0) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert utils.clip_grad_norm_([], 1.0).dtype == np.float32
        utils.clip_grad_norm_(scratch.nn.Linear(2, 3).parameters(), 1.0)


def test_sparse_gradients_are_refused_as_torch_refuses_them() -> None:
    p = Parameter(np.ones((5, 2)))
    p.grad = scratch.nn.sparse.SparseGradient(np.array([1, 3]), np.ones((2, 2)), (5, 2))
    for function, arguments in ((utils.clip_grad_norm_, (1.0,)), (utils.clip_grad_value_, (1.0,))):
        with pytest.raises(TypeError, match="every gradient"):
            function([p], *arguments)
    q = torch.nn.Parameter(torch.ones(5, 2))
    q.grad = torch.sparse_coo_tensor(
        torch.tensor([[1, 3]]), torch.ones(2, 2), (5, 2), check_invariants=True
    )
    for clip in (torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_):
        with pytest.raises(NotImplementedError):
            clip([q], 1.0)


# Averages


def shift(model: scratch.nn.Module, by: float) -> None:
    for parameter in model.parameters():
        parameter.data = parameter.data + by


def test_mean_is_the_mean() -> None:
    """Against NumPy's, which knows nothing of running averages."""
    rng = np.random.default_rng(0)
    model = scratch.nn.Linear(3, 2).to(np.float64)
    exact: Any = AveragedModel(model)
    rounded: Any = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn())
    shown = []
    for _ in range(20):
        model.weight.data = rng.standard_normal((2, 3))
        shown.append(model.weight.data)
        exact.update_parameters(model)
        rounded.update_parameters(model)
    mean = np.mean(shown, axis=0)
    assert np.max(np.abs(exact.module.weight.data - mean)) < 1e-15
    assert 1e-12 < np.max(np.abs(rounded.module.weight.data - mean)) < 1e-7


def test_swa_share_is_exact_for_a_plain_number() -> None:
    """As in torch, where the share is a tensor of float32 only if n is a tensor."""
    for n, found in ((2, 1 / 3), (np.asarray(2), float(np.float32(1 / 3)))):
        averages = [np.zeros(1)]
        get_swa_multi_avg_fn()(averages, [np.ones(1)], n)
        assert averages[0][0] == pytest.approx(found, rel=1e-15)


def test_average_is_a_module() -> None:
    """Its call runs the average, its backward reaches the parameters of that, names are torch's."""
    model, twin = Counting(), TorchCounting()
    average: Any = AveragedModel(model)
    expected = repr(torch.optim.swa_utils.AveragedModel(twin))
    assert repr(average) == expected.replace("TorchCounting", "Counting")
    assert list(average.state_dict()) == list(
        torch.optim.swa_utils.AveragedModel(twin).state_dict()
    )
    y, backward = average(np.ones((4, 3), np.float32))
    backward(np.ones_like(y))
    assert model.layer.weight.grad is None and average.module.layer.weight.grad is not None
    assert average.training and not average.eval().module.training
    copied = copy.deepcopy(average)
    copied.update_parameters(model)
    assert copied.n_averaged == 1 and average.n_averaged == 0


def test_backward_refuses_an_average_that_moved_on() -> None:
    model = scratch.nn.Linear(3, 2)
    average = AveragedModel(model)
    y, backward = average(np.ones((4, 3), np.float32))
    average.update_parameters(model)
    with pytest.raises(RuntimeError, match="run the forward again"):
        backward(np.ones_like(y))


@pytest.mark.parametrize("other", [scratch.nn.Linear(3, 4), scratch.nn.Linear(3, 2).to(np.float64)])
def test_another_model_changes_nothing(other: scratch.nn.Module) -> None:
    model = scratch.nn.Linear(3, 2)
    average = AveragedModel(model)
    average.update_parameters(model)
    before = average.state_dict()
    with pytest.raises(ValueError, match=r"^AveragedModel\.update_parameters"):
        average.update_parameters(other)
    for name, value in average.state_dict().items():
        assert np.array_equal(value, before[name])


def test_refused_buffers_leave_the_average_alone() -> None:
    model: Any = Counting()
    average: Any = AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn(), use_buffers=True)
    average.update_parameters(model)
    before = average.state_dict()
    shift(model, 1.0)
    with pytest.raises(TypeError, match=r"^get_swa_multi_avg_fn"):  # the count is an integer
        average.update_parameters(model)
    for name, value in average.state_dict().items():
        assert np.array_equal(value, before[name])


def test_average_is_a_copy() -> None:
    model: Any = Counting()
    average: Any = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    average.update_parameters(model)
    held = average.module.layer.weight.data.copy()
    shift(model, 1.0)
    model.mean += 1
    assert np.array_equal(average.module.layer.weight.data, held)
    assert np.array_equal(average.module.mean, np.zeros(2))


@DTYPES
def test_state_of_an_average_moves_across_mid_run(dtype: Any) -> None:
    """torch, then scratch, then torch: an EMA that changes sides, beside one that does not."""
    rng = np.random.default_rng(0)
    ours, theirs = Counting().to(dtype), TorchCounting().to(TORCH[dtype])
    make: Any = torch.optim.swa_utils  # without annotations
    decay = 0.9
    stays = make.AveragedModel(theirs, multi_avg_fn=make.get_ema_multi_avg_fn(decay))
    moves: Any = make.AveragedModel(theirs, multi_avg_fn=make.get_ema_multi_avg_fn(decay))
    for step in range(30):
        values = {
            "layer.weight": rng.standard_normal((2, 3)).astype(dtype),
            "layer.bias": rng.standard_normal(2).astype(dtype),
            "mean": rng.standard_normal(2).astype(dtype),
            "count": np.asarray(step),
        }
        ours.load_state_dict(values)
        theirs.load_state_dict({name: torch.from_numpy(v.copy()) for name, v in values.items()})
        if step == 10:
            state = {name: value.numpy() for name, value in moves.state_dict().items()}
            moves = AveragedModel(ours, multi_avg_fn=get_ema_multi_avg_fn(decay))
            moves.load_state_dict(state)
        if step == 20:
            state = {name: torch.from_numpy(v) for name, v in moves.state_dict().items()}
            moves = make.AveragedModel(theirs, multi_avg_fn=make.get_ema_multi_avg_fn(decay))
            moves.load_state_dict(state)
        stays.update_parameters(theirs)
        moves.update_parameters(ours if 10 <= step < 20 else theirs)
    for name, value in stays.state_dict().items():
        assert close(name, moves.state_dict()[name].numpy(), value.numpy(), c=64).passed
