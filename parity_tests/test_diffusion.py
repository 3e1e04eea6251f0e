"""Diffusion: what the schedules are, that all ways of adding and taking noise agree, and training.

A network that knows the data's distribution is what samplers are held against: of a single point,
and of a Gaussian, what they give is known.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch

import scratch.models
import torch_ref.models
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.trajectory import largest, parameter_drift
from parity_tests.test_trajectory import DRIFT
from scratch.check import Array
from scratch.models import DDPM, NoiseSchedule
from scratch.models.diffusion import cosine_betas, linear_betas
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.random import Generator
from torch_ref.models import diffusion as torch_diffusion

SCHEDULES = {"linear": linear_betas(50, 0.002, 0.3), "cosine": cosine_betas(50)}
schedules = pytest.mark.parametrize("betas", SCHEDULES.values(), ids=SCHEDULES)


class Knowing(Module):
    """The best e^ where x_0 ~ N(m, s^2), each entry by itself."""

    def __init__(self, betas: Array, mean: float, deviation: float) -> None:
        self.schedule = NoiseSchedule(betas)
        self.mean, self.deviation = mean, deviation
        self.weight = Parameter(np.zeros(1))  # so that there is a dtype

    def forward(self, input: Array, t: Array) -> tuple[Array, Backward]:
        """E[e | x_t] = sqrt(1 - A) (x_t - sqrt(A) m) / (A s^2 + 1 - A)."""
        A = self.schedule.cumulative[t][:, None]
        factor = np.sqrt(1 - A) / (A * self.deviation**2 + 1 - A)
        return factor * (input - np.sqrt(A) * self.mean), lambda dy: factor * dy


# Schedules


def test_betas_have_their_closed_forms() -> None:
    betas = linear_betas(1000)
    np.testing.assert_allclose(betas, [1e-4 + (0.02 - 1e-4) * t / 999 for t in range(1000)], 1e-13)
    cosine = NoiseSchedule(cosine_betas(1000))

    def f(t: int) -> float:
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [f(t + 1) / f(0) for t in range(999)]
    np.testing.assert_allclose(cosine.cumulative[:-1], expected, rtol=1e-9)
    assert cosine.betas[-1] == 0.999 and (cosine.betas[:-1] < 0.999).all()
    assert cosine.cumulative[-1] > 0


@schedules
def test_a_schedule_is_a_chain_of_steps(betas: Array) -> None:
    """q(x_t | x_0) has the mean and the variance of t + 1 single steps one after the other."""
    s = NoiseSchedule(betas)
    mean, variance = 1.0, 0.0
    for t in range(len(s)):
        mean, variance = math.sqrt(1 - betas[t]) * mean, (1 - betas[t]) * variance + betas[t]
        x, _ = s.add_noise(np.ones((1, 1)), np.array([t]), np.zeros((1, 1)))
        spread, _ = s.add_noise(np.zeros((1, 1)), np.array([t]), np.ones((1, 1)))
        assert x[0, 0] == pytest.approx(mean, rel=1e-12)
        assert spread[0, 0] ** 2 == pytest.approx(variance, rel=1e-12)


@schedules
def test_the_posterior_is_bayes_rule(betas: Array) -> None:
    """q(x_{t-1} | x_t, x_0): precisions add up, and there is nothing left to know at t = 0."""
    s = NoiseSchedule(betas)
    precision = s.alphas[1:] / betas[1:] + 1 / (1 - s.previous[1:])
    np.testing.assert_allclose(s.posterior_variance[1:], 1 / precision, rtol=1e-10)
    assert s.posterior_variance[0] == 0
    assert (s.posterior_variance < betas).all()


# Sampling


@schedules
@pytest.mark.parametrize("variance", ["beta", "posterior"])
def test_a_single_point_is_found(betas: Array, variance: str) -> None:
    """Whatever the noise: at the last step e^ is all that is not data, and no noise is added."""
    model = DDPM(Knowing(betas, 1.5, 0.0), betas, generator=Generator(0))
    np.testing.assert_allclose(model.sample((4, 3), variance), 1.5, rtol=1e-9)
    np.testing.assert_allclose(model.ddim((4, 3), (0, 7, 20, 49), eta=0.5), 1.5, rtol=1e-9)


@schedules
@pytest.mark.parametrize("point", [1.5, -2.0])
def test_clipped_samples_end_within_the_bound(betas: Array, point: float) -> None:
    """A point inside is found as without, of one outside the nearest of the bound's."""
    model = DDPM(Knowing(betas, point, 0.0), betas, generator=Generator(0))
    for bound in (1.0, 1.8, 2.5):
        for made in (
            model.sample((4, 3), clip=bound),
            model.ddim((4, 3), (0, 7, 20, 49), eta=0.5, clip=bound),
        ):
            np.testing.assert_allclose(made, np.clip(point, -bound, bound), rtol=1e-9)


def gains(model: DDPM, way: str, **options: Any) -> tuple[float, Array]:
    """Of a sampler that is linear in its noises: what it gives of none, and by what each counts."""
    count = len(model.schedule)
    noises = np.concatenate([np.zeros((count, 1)), np.eye(count)], axis=1)[..., None]
    x = getattr(model, way)((count + 1, 1), noises=noises, **options)[:, 0]
    return float(x[0]), x[1:] - x[0]


@schedules
def test_variances_are_right_for_the_data_that_they_are_right_for(betas: Array) -> None:
    """'beta' for x_0 ~ N(0, 1): what is made has variance 1, but for the last step's noise."""
    mean, each = gains(DDPM(Knowing(betas, 0.0, 1.0), betas), "sample")
    assert mean == 0
    assert np.square(each).sum() == pytest.approx(1 - betas[0], rel=1e-9)


@schedules
def test_ddim_with_eta_1_is_ddpm_with_the_posterior_variance(betas: Array) -> None:
    """Over all steps, for any network: the same numbers of the same noises."""
    network = scratch.models.DenoisingMLP(2, 8, 1, 4, dtype=np.float64, generator=Generator(1))
    model = DDPM(network, betas)
    z = np.random.default_rng(0).normal(size=(len(betas), 6, 2))
    for clip in (None, 0.7):
        ddpm = model.sample((6, 2), "posterior", z, clip)
        ddim = model.ddim((6, 2), eta=1.0, noises=z, clip=clip)
        np.testing.assert_allclose(ddim, ddpm, rtol=1e-8, atol=1e-8 * np.abs(ddpm).max())


def test_ddim_follows_the_flow_of_a_gaussian() -> None:
    """eta = 0 and many small steps: a start z ends at m + s z."""
    betas = linear_betas(2000, 1e-5, 0.01)
    model = DDPM(Knowing(betas, 0.7, 0.4), betas)
    x = model.ddim((3, 1), noises=np.broadcast_to([[-1.0], [0.5], [2.0]], (2000, 3, 1)))
    np.testing.assert_allclose(x[:, 0], 0.7 + 0.4 * np.array([-1.0, 0.5, 2.0]), atol=0.01)


def test_ddim_without_noise_is_a_function_of_its_start() -> None:
    """And with it is not; nor does eta = 0 draw more than the start."""
    network = scratch.models.DenoisingMLP(2, 8, 1, 4, dtype=np.float64, generator=Generator(1))
    made = []
    for seed, eta in ((2, 0.0), (2, 0.0), (3, 0.0), (2, 0.5)):
        model = DDPM(network, SCHEDULES["linear"], generator=Generator(seed))
        made.append(model.ddim((4, 2), range(0, 50, 7), eta))
        if eta == 0:
            rest = Generator(seed)
            rest.randn(4, 2, dtype=np.float64)
            np.testing.assert_array_equal(rest.rand(3), model.generator.rand(3))
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert not np.array_equal(made[0], made[3])


# Both packages


def twins(kind: str, *args: Any, steps: int = 50) -> Twins:
    """Two DDPMs of one start, with linear betas."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(torch_ref.models, kind)(*args)
    betas = steps, 0.002, 0.3
    theirs = torch_ref.models.DDPM(network, torch_diffusion.linear_betas(*betas))
    ours = DDPM(getattr(scratch.models, kind)(*args), linear_betas(*betas))
    return alike(ours, theirs)


MLP: Any = ("DenoisingMLP", 2, 16, 2, 8)
UNET: Any = ("DenoisingUNet", 1, 4, (1, 2), 1, 2, 2)


@pytest.mark.parametrize(("args", "shape"), [(MLP, (20, 2)), (UNET, (2, 1, 8, 8))])
def test_what_is_drawn_is_torchs(args: Any, shape: tuple[int, ...]) -> None:
    """The loss and the samples of the same seed."""
    pair = twins(*args, steps=10)
    ours: Any = pair.ours
    theirs: Any = pair.theirs
    x = np.random.default_rng(1).normal(size=shape)
    ours.generator = Generator(5)
    found = [ours.loss(x)[0], ours.sample(shape), ours.sample(shape, "posterior")]
    found.append(ours.ddim(shape, (0, 3, 9), 0.5))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = [theirs.loss(torch.from_numpy(x)), theirs.sample(shape)]
        expected += [theirs.sample(shape, "posterior"), theirs.ddim(shape, (0, 3, 9), 0.5)]
    for a, b in zip(found, expected, strict=True):
        b = b.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_have_the_networks_dtype(dtype: Any) -> None:
    """And the loss the data's; steps are integers of any size."""
    network = scratch.models.DenoisingUNet(1, 4, (1, 1), 1, 2, dtype=dtype)
    model = DDPM(network, cosine_betas(3))
    assert model.sample((2, 1, 4, 4)).dtype == dtype
    assert model.ddim((2, 1, 4, 4), eta=1.0).dtype == dtype
    loss, back = model.loss(np.zeros((2, 1, 4, 4), dtype), np.array([0, 2], np.int32))
    assert loss.dtype == dtype
    dx: Any = back()
    assert dx.dtype == dtype and back(needs_input_grad=False) is None
    assert all(p.grad is None or p.grad.dtype == dtype for p in model.parameters())


@pytest.mark.parametrize("size", [8, 16, 32])
def test_images_keep_their_size(size: int) -> None:
    """An untrained U-Net tells no noise: it ends in zeros."""
    network = scratch.models.DenoisingUNet(3, 4, (1, 1, 2), 1, 2, 1)
    y, back = network(np.ones((1, 3, size, size), np.float32), np.array([7]))
    assert y.shape == (1, 3, size, size) and not y.any()
    assert back(y).shape == y.shape


def test_the_unet_by_a_difference() -> None:
    """Of all parameters and the input at once, along one random direction."""
    generator = Generator(0)
    network = scratch.models.DenoisingUNet(1, 4, (1, 2), 2, 2, 1, dtype=np.float64)
    x: Array = generator.randn(2, 1, 4, 4, dtype=np.float64)
    parameters = list(network.parameters())
    for p in parameters:
        p.data = generator.normal(0.0, 0.3, p.shape, dtype=np.float64)
    shapes = [x.shape, *(p.shape for p in parameters)]
    ways = [generator.randn(*shape, dtype=np.float64) for shape in shapes]
    dy = generator.randn(*x.shape, dtype=np.float64)

    def along(h: float) -> float:
        for p, way in zip(parameters, ways[1:], strict=True):
            p.data = p.data + h * way
        y, _ = network(x + h * ways[0], np.array([0, 9]))
        for p, way in zip(parameters, ways[1:], strict=True):
            p.data = p.data - h * way
        return float((dy * y).sum())

    difference = (along(1e-5) - along(-1e-5)) / 2e-5
    _, back = network(x, np.array([0, 9]))
    gradients: list[Any] = [back(dy), *(p.grad for p in parameters)]
    expected = sum(float((d * way).sum()) for d, way in zip(gradients, ways, strict=True))
    assert difference == pytest.approx(expected, rel=1e-6)


# Trained


def points(steps: int) -> Any:
    """A ring, in batches of 32, with steps and noise."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        turn = rng.uniform(0, 2 * np.pi, 32)
        x = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        yield x, rng.integers(0, 50, 32), rng.normal(size=x.shape)


def images(steps: int) -> Any:
    """Bars, in batches of 4, with steps and noise."""
    rng = np.random.default_rng(1)
    for _ in range(steps):
        x = np.full((4, 1, 8, 8), -1.0)
        for picture in x:
            picture[:, :, rng.integers(8)] = 1
        yield x, rng.integers(0, 50, 4), rng.normal(size=x.shape)


@pytest.mark.parametrize(("args", "data"), [(MLP, points), (UNET, images)], ids=["MLP", "UNet"])
def test_200_steps(args: Any, data: Any) -> None:
    """Losses and all parameters stay at the rounding level, and the loss falls."""
    pair = twins(*args)
    start = largest(pair.theirs)
    losses = np.array(list(pair.descend("Adam", {"lr": 0.003}, data(200))))[..., 0]
    drift = np.abs(losses[:, 0] - losses[:, 1]) / np.abs(losses[:, 1]).max()
    assert drift.max() < DRIFT
    assert parameter_drift(pair.ours, pair.theirs, start) < DRIFT
    assert losses[-40:, 0].mean() < 0.9 * losses[:40, 0].mean()
