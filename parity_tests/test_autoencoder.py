"""Autoencoders: what is drawn, what the bound is a bound of, and how long the twins stay one.

The KL divergence is held against torch's distributions (test_derivations.py derives it), the bound
against log p(x) of a linear decoder, which is known.
"""

from typing import Any

import numpy as np
import pytest
import torch

import scratch.models
import torch_ref.models
from datasets.manifold import manifold
from datasets.patterns import patterns
from datasets.split import batch_stream
from datasets.tabular import digits
from parity_tests.experiments.twins import alike
from parity_tests.harness import twin
from parity_tests.harness.trajectory import largest, parameter_drift
from parity_tests.test_trajectory import DRIFT
from scratch.check import Array
from scratch.nn import functional as F
from scratch.random import Generator

# What a VAE is made of


def test_the_divergence_is_that_of_torchs_distributions() -> None:
    rng = np.random.default_rng(2)
    mu, logvar = rng.normal(size=(4, 3)), 3 * rng.normal(size=(4, 3))
    normal: Any = torch.distributions.Normal
    q = normal(torch.from_numpy(mu), torch.from_numpy(logvar).div(2).exp())
    expected = torch.distributions.kl_divergence(q, normal(0.0, 1.0)).sum(-1)
    k, _ = F.gaussian_kl(mu, logvar, "none")
    np.testing.assert_allclose(k, expected.numpy(), rtol=1e-13)


def linear_vae(exact: bool) -> tuple[Any, Array, Array]:
    """A linear Gaussian VAE, rows, and log p of each; its encoder gives the exact posterior."""
    rng = np.random.default_rng(3)
    d, latent, v = 6, 3, 0.4
    w = np.linalg.qr(rng.normal(size=(d, latent)))[0] * [2.0, 1.0, 0.5]  # orthogonal columns: the
    b = rng.normal(size=d)  # posterior's covariance is diagonal
    model = scratch.models.VAE((d, latent), likelihood="gaussian", variance=v, dtype=np.float64)
    precision = 1 + (w**2).sum(0) / v
    to_mean = w.T / v / precision[:, None]
    off = 0.0 if exact else 0.3
    model.load_state_dict(
        {
            "encoder.layers.0.weight": np.concatenate([to_mean, np.zeros((latent, d))]),
            "encoder.layers.0.bias": np.concatenate([-to_mean @ b + off, -np.log(precision)]),
            "decoder.layers.0.weight": w,
            "decoder.layers.0.bias": b,
        }
    )
    x = b + rng.normal(size=(5, d)) * 1.5
    covariance = w @ w.T + v * np.eye(d)
    squares = ((x - b) @ np.linalg.inv(covariance) * (x - b)).sum(1)
    return model, x, -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.mark.parametrize("exact", [True, False])
def test_the_bound_is_log_p_where_the_posterior_is_exact(exact: bool) -> None:
    """-(R + K) of a linear decoder; of another posterior it is less by the KL between the two.

    R is quadratic in the noise, so its mean is that over +-sqrt(latent) along each axis.
    """
    model, x, log_p = linear_vae(exact)
    latent = model.latent_size
    axes = np.concatenate([np.eye(latent), -np.eye(latent)]) * np.sqrt(latent)
    each = [model.loss(x, np.tile(e, (len(x), 1)))[0] for e in axes]
    bound = -np.mean([r + k for _, r, k in each])
    (_, r), _ = model.encode(x)
    missing = 0.0 if exact else 0.5 * float(np.mean((0.3**2 / np.exp(r)).sum(1)))
    assert bound + missing == pytest.approx(log_p.mean(), rel=1e-13)


def test_beta_weighs_the_divergence() -> None:
    """L = R + beta K, and its gradient is that of R and beta times that of K, by either way."""
    rng = np.random.default_rng(4)
    model = scratch.models.VAE((6, 5, 2), dtype=np.float64, generator=Generator(0))
    x, e = rng.uniform(size=(4, 6)), rng.normal(size=(4, 2))
    (loss, r, k), back = model.loss(x, e, 3.0)
    assert loss == pytest.approx(r + 3 * k, rel=1e-15)
    dx = back()
    first: list[Any] = [p.grad for p in model.parameters()]
    model.zero_grad()
    (loss, _, _), back = model.loss(x, e, 0.0)
    assert loss == r
    np.testing.assert_allclose(back(0.0, np.array(1.0), np.array(3.0)), dx, rtol=1e-13)
    for p, g in zip(model.parameters(), first, strict=True):
        grad: Any = p.grad
        np.testing.assert_allclose(grad, g, rtol=1e-12, atol=1e-15)
    assert back(needs_input_grad=False) is None


# What is drawn


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_the_noise_is_torchs(corruption: str, dtype: Any) -> None:
    """From the same seed; the share of masked entries and the noise's size are as announced."""
    args: Any = (20, 3), "ReLU", "Identity", corruption, 0.3
    ours = scratch.models.DenoisingAutoencoder(*args, dtype=dtype)
    theirs = torch_ref.models.DenoisingAutoencoder(*args)
    x = np.ones((500, 20), dtype)
    ours.generator = Generator(5)
    found, _ = ours.corrupt(x)
    torch.manual_seed(5)
    np.testing.assert_allclose(found, theirs.corrupt(torch.from_numpy(x)).numpy(), atol=1e-6)
    if corruption == "masking":
        assert set(np.unique(found)) == {0.0, 1.0}
        assert abs(found.mean() - 0.7) < 0.02
    else:
        assert abs(found.std() - 0.3) < 0.01


@pytest.mark.parametrize("name", ["VAE", "ConvVAE"])
def test_the_codes_are_torchs(name: str) -> None:
    """Forward, loss and samples from the same seed."""
    args: Any = ((16, 8, 4),) if name == "VAE" else (4, 1, (3,), 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pair = alike(getattr(scratch.models, name)(*args), getattr(torch_ref.models, name)(*args))
        ours: Any = pair.ours
        theirs: Any = pair.theirs
        x = np.random.default_rng(6).uniform(size=(6, 16) if name == "VAE" else (6, 1, 4, 4))
        tensor = torch.from_numpy(x)
        ours.generator = Generator(7)
        found = [*ours(x)[0], *ours.loss(x)[0], ours.sample(5), ours.reconstruct(x)]
        torch.manual_seed(7)
        with torch.no_grad():
            expected = [*theirs(tensor), *theirs.loss(tensor), theirs.sample(5)]
            expected.append(theirs.reconstruct(tensor))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-12, atol=1e-13)
    assert not np.array_equal(ours.sample(5), ours.sample(5))


@pytest.mark.parametrize("size", [8, 16, 28, 5, 1])
def test_pictures_come_back_in_their_size(size: int) -> None:
    model = scratch.models.ConvAutoencoder(size, 2, (3, 4, 3), 5)
    x = np.zeros((2, 2, size, size), np.float32)
    y, back = model(x)
    assert y.shape == x.shape
    assert back(y).shape == x.shape
    z, _ = model.encode(x)
    assert z.shape == (2, 5)
    np.testing.assert_array_equal(model.decode(z)[0], y)


# The synthetic data


def test_a_flat_surface_has_its_dimensions_and_a_curved_one_more() -> None:
    """In the singular values; and rows and coordinates depend on the seed alone."""
    x, u = manifold(500, 20, 3, noise=0.0, seed=1)
    assert x.shape == (500, 20) and u.shape == (500, 3)
    values = np.linalg.svd(x, compute_uv=False)
    assert values[3] < 1e-10 * values[0]
    bent, same = manifold(500, 20, 3, curved=True, noise=0.0, seed=1)
    np.testing.assert_array_equal(u, same)
    assert np.linalg.svd(bent, compute_uv=False)[10] > 0.05 * values[0]
    assert np.abs(bent).max() <= np.sqrt(2)
    noisy, _ = manifold(500, 20, 3, seed=1)
    assert abs((noisy - x).std() - 0.1) < 0.005
    assert not np.array_equal(noisy, manifold(500, 20, 3, seed=2)[0])


def test_patterns_repeat_as_their_kind_does() -> None:
    x, y = patterns(400, 16, seed=1)
    assert x.shape == (400, 1, 16, 16) and x.min() == 0 and x.max() == 1
    pictures = [x[y == k, 0] for k in range(4)]
    assert min(map(len, pictures)) > 60
    vertical, horizontal, checkered, gradient = pictures
    assert (vertical == vertical[:, :1]).all() and (horizontal == horizontal[..., :1]).all()
    signs = 1 - 2 * checkered  # of rank one
    np.testing.assert_array_equal(signs, signs[:, :, :1] * signs[:, :1] * signs[:, :1, :1])
    assert set(np.unique(np.concatenate([vertical, horizontal, checkered]))) == {0, 1}
    assert {tuple(g[[0, -1], [0, -1]]) for g in gradient} == {(0.0, 1.0), (1.0, 0.0)}
    for kind, least in zip(pictures, (10, 10, 30, 4), strict=True):
        assert len(np.unique(kind.reshape(len(kind), -1), axis=0)) >= least
    np.testing.assert_array_equal(x, patterns(400, 16, seed=1)[0])


# Trained


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_300_steps_on_digits(likelihood: str) -> None:
    """Both terms and all parameters stay at the rounding level, from the same noise."""
    args: Any = (64, 32, 4), "ReLU", likelihood, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torch_ref.models.VAE(*args)
    pair = alike(scratch.models.VAE(*args), theirs)
    start = largest(pair.theirs)
    x, rng = digits().x, np.random.default_rng(0)
    steps = (
        (x[rows], rng.normal(size=(len(rows), 4))) for rows in batch_stream(len(x), 32, 300, 0)
    )
    terms = np.array(list(pair.descend("Adam", {"lr": 0.003}, steps)))  # (steps, sides, terms)
    drift = np.abs(terms[:, 0] - terms[:, 1]) / np.abs(terms[:, 1]).max(0)
    assert drift.max() < DRIFT
    assert parameter_drift(pair.ours, pair.theirs, start) < DRIFT
    assert terms[-20:, 0, 0].mean() < terms[:20, 0, 0].mean()
    assert twin.numpy(theirs.sample(2)).shape == (2, 64)
