"""Activations beyond the catalog: erf, NaN, infinities, warnings, torch's random slopes."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from scratch import nn
from scratch.nn import functional as F
from scratch.nn.erf import erf
from scratch.nn.select import keep, pick
from scratch.random import Generator

INF, NAN = math.inf, math.nan
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])

# Functions of single entries, with their kinks away from 0 and options that torch agrees on.
SINGLE: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("relu", "relu6", "hardtanh", "hardshrink", "softshrink")),
    *((name, {}) for name in ("leaky_relu", "rrelu", "hardsigmoid", "hardswish", "sigmoid")),
    *((name, {}) for name in ("tanh", "logsigmoid", "softplus", "softsign", "tanhshrink")),
    *((name, {}) for name in ("elu", "selu", "celu", "silu", "mish", "gelu")),
    ("threshold", {"threshold": 0.1, "value": 20.0}),
    ("leaky_relu", {"negative_slope": 0.0}),
    ("softplus", {"beta": -2.0, "threshold": 10.0}),
    ("elu", {"alpha": -0.7}),
    ("celu", {"alpha": 0.7}),
    ("gelu", {"approximate": "tanh"}),
]
EACH = pytest.mark.parametrize(("name", "options"), SINGLE, ids=lambda v: str(v))


@DTYPES
def test_erf(dtype: Any) -> None:
    """Within 2 eps (2.1 in float32) of the truth, of which math.erf is less than one eps off."""
    x = np.concatenate([10.0 ** np.arange(-30, 1), np.linspace(1e-4, 7, 20_000)]).astype(dtype)
    truth = np.array([math.erf(v) for v in x])
    eps = float(np.finfo(dtype).eps)
    error = np.abs(erf(x).astype(np.float64) - truth) / truth / eps
    assert error.max() < (2.0 if dtype is np.float64 else 2.1)
    assert np.array_equal(erf(-x), -erf(x))
    assert erf(x).dtype == dtype and erf(np.asarray(x[3])).shape == ()
    special = erf(np.array([0.0, -0.0, INF, -INF, NAN, 50.0, -50.0], dtype))
    assert np.array_equal(special, [0, 0, 1, -1, NAN, 1, -1], equal_nan=True)


@EACH
@DTYPES
def test_nan_stays_nan(name: str, options: dict[str, Any], dtype: Any) -> None:
    x = np.array([NAN, 1.0, -1.0, 30.0, -30.0], dtype)
    y, backward = getattr(F, name)(x, **options)
    assert np.isnan(y[0]) and np.isfinite(y[1:]).all()
    assert np.isfinite(backward(np.ones_like(y))[1:]).all()


@EACH
@DTYPES
def test_nothing_warns(name: str, options: dict[str, Any], dtype: Any) -> None:
    x = np.array([1e4, -1e4, 88.8, -88.8, 0.0, 1e-30, -1e-30, INF, -INF, NAN], dtype)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        y, backward = getattr(F, name)(x, **options)
        backward(np.ones_like(y))


@EACH
@DTYPES
def test_infinities_are_torchs(name: str, options: dict[str, Any], dtype: Any) -> None:
    """64 entries, so that torch uses its vector code, whose NaNs differ from those of the rest."""
    x = np.full(64, 0.5, dtype)
    x[:6] = [INF, -INF, 1e4, -1e4, 1e30, -1e30]
    y, backward = getattr(F, name)(x, **options)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    theirs = getattr(torch.nn.functional, name)(tensor, **options)
    (gradient,) = torch.autograd.grad(theirs, tensor, torch.ones_like(theirs))
    expected = theirs.detach().numpy()
    if name == "gelu" and dtype is np.float32 and not options:
        expected = np.where(x == INF, INF, expected)  # NaN in torch's vector code, inf in the other
    eps = 64 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y, expected, rtol=eps, atol=eps)
    if name != "gelu" or options != {"approximate": "tanh"}:  # overflows to NaN at 1e30 in torch
        np.testing.assert_allclose(backward(np.ones_like(y)), gradient.numpy(), rtol=eps, atol=eps)


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh", "hardshrink", "softshrink"])
@pytest.mark.parametrize("bad", [INF, NAN])
def test_dead_entries_stop_any_gradient(name: str, bad: float) -> None:
    """0 inf is NaN, but where the slope is 0 torch passes 0 on, whatever comes."""
    x = np.array([-0.25 if "shrink" in name else -2.0, 0.75])
    _, backward = getattr(F, name)(x)
    assert np.array_equal(backward(np.array([bad, bad])), [0.0, bad], equal_nan=True)


@DTYPES
@pytest.mark.parametrize("bounds", [(1 / 8, 1 / 3), (-0.3, 0.9), (0.2, 0.2)])
def test_rrelu_draws_as_torch(dtype: Any, bounds: tuple[float, float]) -> None:
    """One number for each x <= 0 in index order, bit for bit, also where memory is transposed."""
    torch.manual_seed(1)
    for x in (torch.randn(7, 11).round(), torch.randn(11, 7).t(), torch.tensor(-0.5)):
        x = x.to(torch.float64 if dtype is np.float64 else torch.float32)
        torch.manual_seed(2)
        expected = torch.nn.functional.rrelu(x, *bounds, training=True)
        after = torch.rand(3)
        generator = Generator(2)
        y, _ = F.rrelu(x.numpy(), *bounds, training=True, generator=generator)
        assert np.array_equal(y, expected.numpy())
        assert np.array_equal(generator.rand(3), after.numpy())


def test_rrelu_module_takes_slopes() -> None:
    module = nn.RReLU(generator=Generator(0))
    x = np.array([-1.0, 2.0, -3.0])
    y, backward = module(x, noise=np.array([0.1, NAN, 0.5]))
    assert np.array_equal(y, [-0.1, 2.0, -1.5])
    assert np.array_equal(backward(np.ones(3)), [0.1, 1.0, 0.5])
    drawn = [module(x)[0] for _ in range(2)]
    assert not np.array_equal(*drawn)
    module.eval()
    assert np.array_equal(module(x)[0], module(x)[0])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, ()) for name in ("ReLU", "ReLU6", "Hardsigmoid", "Hardswish", "SELU", "SiLU")),
        *((name, ()) for name in ("Mish", "ELU", "CELU", "LeakyReLU", "Hardtanh", "RReLU")),
        ("Threshold", (1, 2)),
    ],
)
def test_repr_of_inplace_modules(name: str, arguments: tuple[int, ...]) -> None:
    theirs = getattr(torch.nn, name)(*arguments, inplace=True)
    assert repr(getattr(nn, name)(*arguments, inplace=True)) == repr(theirs)


def test_inplace_leaves_the_input() -> None:
    x = np.array([-1.0, 2.0])
    F.relu(x, inplace=True)
    nn.ReLU(inplace=True)(x)
    assert np.array_equal(x, [-1.0, 2.0])


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Softmin"])
@pytest.mark.parametrize("ndim", [0, 1, 2, 3, 4])
def test_softmax_modules_choose_torchs_axis(name: str, ndim: int) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 2)[:ndim])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the choice deprecated
        expected = getattr(torch.nn, name)()(torch.from_numpy(np.asarray(x))).numpy()
    y, _ = getattr(nn, name)()(np.asarray(x))
    np.testing.assert_allclose(y, expected, rtol=1e-14)


def test_normalize_writes_where_it_is_told() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    out = np.full_like(x, NAN)
    y, backward = F.normalize(x, out=out)
    assert y is out and np.array_equal(out, [[0.6, 0.8], [0.0, 0.0]])
    assert np.isfinite(backward(np.ones_like(x))).all()


def test_hardtanh_takes_older_names() -> None:
    assert repr(nn.Hardtanh(min_value=-2, max_value=3)) == "Hardtanh(min_val=-2, max_val=3)"


@DTYPES
def test_selection_is_where(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 6)).astype(dtype)
    a[0, 0], b[0, 1], a[1, 0], b[1, 1] = INF, NAN, -0.0, -INF
    mask = rng.random((5, 6)) < 0.5
    for m in (mask, ~mask):
        assert np.array_equal(pick(m, a, b), np.where(m, a, b), equal_nan=True)
        assert np.array_equal(pick(m, a, 0.25), np.where(m, a, dtype(0.25)), equal_nan=True)
        assert np.array_equal(pick(m, dtype(2), b[0]), np.where(m, dtype(2), b[0]), equal_nan=True)
        assert np.array_equal(keep(m, a), np.where(m, a, dtype(0)), equal_nan=True)
    assert keep(mask, a).dtype == pick(mask, 1.0, a).dtype == dtype
    assert keep(mask[1:, 1:2].T, a[1:, 1:2].T).shape == (1, 4)
