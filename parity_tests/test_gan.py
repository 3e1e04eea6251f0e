"""Adversarial networks: 200 alternating steps side by side, and what losses and penalties mean.

Both packages start alike and are given the same batches, noise and points between real and fake;
all parameters of both players are compared after every step.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scratch.models
import scratch.optim
import torch_ref.models
from datasets import plane
from parity_tests.catalog import models_gan
from parity_tests.experiments.twins import alike
from parity_tests.harness import twin
from parity_tests.harness.check import check_op
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import Call, Case, Op
from scratch import nn, training
from scratch.models import wgan
from scratch.nn import functional as F
from scratch.nn.tangent import input_gradient, tangent
from torch_ref import training as torch_training

OPS = {entry.name: entry for entry in models_gan.ENTRIES if isinstance(entry, Op)}
# Relative to a tensor's largest value: some hundred eps, after 200 steps of either player.
DRIFT = 1e-13
# BatchNorm divides by the spread of eight samples, which in the first layers is 0.05: there errors
# grow smoothly by a tenth a step, in either package as much.
NORMALISED = 1e-10


# 200 steps


def ring(rng: np.random.Generator, n: int) -> Array:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def images(rng: np.random.Generator, n: int) -> Array:
    """Bright bars at any height."""
    rows = np.arange(8) == rng.integers(0, 8, (n, 1))
    return np.where(rows[:, None, :, None], 0.9, -0.9) * np.ones((n, 1, 8, 8))


def rounds(
    kind: str, steps: int, n: int, latent: int, seed: int
) -> Iterator[tuple[training.Round, torch_training.Round]]:
    """The same for both."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        real = images(rng, n) if kind == "images" else ring(rng, n)
        label = rng.integers(0, 3, n) if kind == "labels" else None
        if label is not None:
            real = real * (1 + label[:, None])
        z, again = rng.standard_normal((2, n, latent))
        ours = training.Round(real, z, again, rng.random(n), label)
        theirs = [None if a is None else torch.from_numpy(a) for a in ours]
        yield ours, torch_training.Round(*theirs)  # type: ignore[arg-type]


def dense(models: Any) -> tuple[Any, Any]:
    return models.Generator(4, [16, 16], 2), models.Discriminator(2, [16, 16])


def with_kernels(models: Any) -> tuple[Any, Any]:
    return models.Generator(4, [16], 2), models.Discriminator(2, [16], "LeakyReLU", 4, 3)


def critic(models: Any) -> tuple[Any, Any]:
    return models.Generator(4, [16, 16], 2), models.Critic(2, [16, 16])


def smooth_critic(models: Any) -> tuple[Any, Any]:
    return models.Generator(4, [16, 16], 2), models.Critic(2, [16, 16], "Tanh")


def conditional(models: Any) -> tuple[Any, Any]:
    return (
        models.ConditionalGenerator(4, [16, 16], 2, 3, 2),
        models.ConditionalDiscriminator(2, [16, 16], 3),
    )


def dcgan(models: Any) -> tuple[Any, Any]:
    return models.DCGANGenerator(4, 4, 8, 1), models.DCGANDiscriminator(4, 8, 1)


def conv_critic(models: Any) -> tuple[Any, Any]:
    return models.DCGANGenerator(4, 4, 8, 1), models.ConvCritic(4, 8, 1)


ADAM = ("Adam", {"lr": 0.002, "betas": (0.5, 0.999)})
GAMES: dict[str, tuple[Any, str, tuple[str, dict[str, Any]], dict[str, Any]]] = {
    "minimax": (dense, "ring", ADAM, {"loss": "minimax"}),
    "non-saturating": (dense, "ring", ADAM, {}),
    "smoothing, minibatch discrimination": (with_kernels, "ring", ADAM, {"smoothing": 0.1}),
    "feature matching": (dense, "ring", ADAM, {"loss": "feature_matching"}),
    "WGAN": (critic, "ring", ("RMSprop", {"lr": 0.002}), {"loss": "wasserstein", "clip": 0.1}),
    "WGAN-GP": (
        critic,
        "ring",
        ("Adam", {"lr": 0.002, "betas": (0.0, 0.9)}),
        {"loss": "wasserstein", "penalty": 10.0, "critic_steps": 2},
    ),
    "WGAN-GP, smooth": (smooth_critic, "ring", ADAM, {"loss": "wasserstein", "penalty": 10.0}),
    "cGAN": (conditional, "labels", ADAM, {}),
    "DCGAN": (dcgan, "images", ADAM, {}),
    "WGAN-GP, convolutional": (
        conv_critic,
        "images",
        ADAM,
        {"loss": "wasserstein", "penalty": 10.0},
    ),
}


def drift_of(name: str, steps: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """After each round: the largest relative difference of a tensor, and that of D's losses."""
    make, kind, (optimizer, options), game = GAMES[name]
    torch.manual_seed(seed)
    pairs = [
        alike(mine, yours)
        for mine, yours in zip(make(scratch.models), make(torch_ref.models), strict=True)
    ]
    ours, theirs = [p.ours for p in pairs], [p.theirs for p in pairs]
    given = list(rounds(kind, steps, 8, 4, seed))
    mine: Any = [getattr(scratch.optim, optimizer)(net.parameters(), **options) for net in ours]
    yours: Any = [getattr(torch.optim, optimizer)(net.parameters(), **options) for net in theirs]
    game_of = training.Game(**game), torch_training.Game(**game)
    mine_played = training.train_adversarial(
        ours[0], ours[1], mine, game_of[0], (a for a, _ in given)
    )
    torch_played = torch_training.train_adversarial(
        theirs[0], theirs[1], yours, game_of[1], (b for _, b in given)
    )
    start = [twin.arrays(net.state_dict()) for net in theirs]
    drift, losses = [], []
    for a, b in zip(mine_played, torch_played, strict=True):
        worst = 0.0
        for net, other, first in zip(ours, theirs, start, strict=True):
            now = twin.arrays(other.state_dict())
            for key, value in net.state_dict().items():
                scale = max(np.abs(now[key]).max(), np.abs(first[key]).max(), 1e-300)
                worst = max(worst, float(np.abs(value - now[key]).max() / scale))
        drift.append(worst)
        assert (a.generator is None) == (b.generator is None)
        losses.append(abs(a.discriminator - b.discriminator))
    return drift, losses


@pytest.mark.parametrize("name", GAMES)
def test_200_steps_alike(name: str) -> None:
    drift, losses = drift_of(name, 200)
    assert len(drift) == 200
    limit = NORMALISED if name == "DCGAN" else DRIFT
    assert max(drift) < limit, max(drift)
    assert max(losses) < limit, max(losses)


# Shapes and options that nobody chose

SIZE = st.integers(1, 5)


def drawn(draw: Any, name: str) -> Any:
    """A call of the op."""
    n, m, k = draw(SIZE), draw(SIZE), draw(SIZE)
    scale = draw(st.sampled_from([1e-3, 1.0, 20.0]))
    if name == "minibatch_discrimination":
        b, c = draw(SIZE), draw(SIZE)
        return lambda d: Call(d.normal(n, k), d.normal(k, b, c, scale=0.3))
    if name.endswith("generator_loss"):
        return lambda d: Call(d.normal(n, k, scale=scale))
    if name == "unit_gradient_loss":
        return lambda d: Call(d.normal(n, k, m, scale=scale))
    options = {"smoothing": draw(st.floats(0, 1))} if name == "discriminator_loss" else {}
    return lambda d: Call(d.normal(n, k, scale=scale), d.normal(m, k, scale=scale), **options)


@pytest.mark.parametrize("name", OPS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_equals_torch(name: str, data: Any) -> None:
    large = 20.0 if name.startswith("wasserstein") else 0.0  # scores of both signs cancel
    case = Case("drawn", drawn(data.draw, name), output_cancels=large, cancels=1e-3)
    for comparison in check_op(OPS[name], case, np.dtype(np.float64), "cpu", thorough=False):
        assert comparison.passed, str(comparison)


# What the losses mean


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_best_discriminator(smoothing: float) -> None:
    """Where D = (1 - a) p / (p + q), as the game's theory has it, the loss has no gradient."""
    p, q = np.array([1, 2, 3, 4]), np.array([4, 1, 3, 2])  # of ten samples each
    best = (1 - smoothing) * p / (p + q)
    logits = np.log(best / (1 - best))
    _, backward = F.discriminator_loss(np.repeat(logits, p), np.repeat(logits, q), smoothing)
    dreal, dfake = backward()
    at = np.bincount(np.repeat(np.arange(4), p), dreal) + np.bincount(
        np.repeat(np.arange(4), q), dfake
    )
    np.testing.assert_allclose(at, 0, atol=1e-16)


def test_best_discriminator_of_equals_is_undecided() -> None:
    """With D = 1/2 everywhere the loss is 2 log 2: the game's value where p = q."""
    loss, _ = F.discriminator_loss(np.zeros(3), np.zeros(5))
    assert float(loss) == pytest.approx(2 * np.log(2))


def test_who_saturates() -> None:
    """D sure that a sample is fake: one loss has lost its slope, the other has its steepest."""
    x = np.array([-30.0])
    assert abs(F.minimax_generator_loss(x)[1]()[0]) < 1e-12
    assert F.non_saturating_generator_loss(x)[1]()[0] == pytest.approx(-1)


def test_feature_matching_sees_means_only() -> None:
    """Rows in any order, and any spread about the same mean."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(6, 3))
    loss, _ = F.feature_matching_loss(h, 3 * h[::-1] - 2 * h.mean(0))
    assert float(loss) < 1e-30


def test_minibatch_discrimination_by_loops() -> None:
    """The paper's sums, and rows in another order."""
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(4, 3)), rng.normal(size=(3, 5, 2))
    y, _ = F.minibatch_discrimination(x, t)
    for i in range(4):
        for b in range(5):
            apart = [np.abs(x[i] @ t[:, b] - x[j] @ t[:, b]).sum() for j in range(4) if j != i]
            assert y[i, 3 + b] == pytest.approx(np.exp(-np.array(apart)).sum(), rel=1e-14)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(F.minibatch_discrimination(x[order], t)[0], y[order], rtol=1e-14)


# Second order


def test_tangent_is_the_slope_along_a_line() -> None:
    """Differences along v of a chain of all activations, and of x -> jv again for f''."""
    net = nn.Sequential(
        *(nn.Linear(3, 4, dtype=np.float64), nn.Tanh(), nn.Linear(4, 4, dtype=np.float64)),
        *(nn.Softplus(), nn.Linear(4, 5, dtype=np.float64), nn.Sigmoid()),
    )
    rng = np.random.default_rng(2)
    x, v, w = rng.normal(size=(3, 2, 3))
    (y, jv), backward = tangent(net, x, v)
    np.testing.assert_array_equal(y, net(x)[0])
    h = 1e-5
    ahead, behind = (net(x + s * v)[0] for s in (h, -h))
    np.testing.assert_allclose(jv, (ahead - behind) / (2 * h), rtol=1e-8, atol=1e-11)
    djv = rng.normal(size=jv.shape)
    dx, dv = backward(None, djv)
    (_, ahead), _ = tangent(net, x + h * w, v)
    (_, behind), _ = tangent(net, x - h * w, v)
    slope = np.sum(djv * (ahead - behind)) / (2 * h)
    assert np.sum(dx * w) == pytest.approx(slope, rel=1e-6)
    np.testing.assert_allclose(np.sum(dv * v), np.sum(djv * jv), rtol=1e-12)


def test_a_penalty_leaves_other_gradients_alone() -> None:
    """Taking g adds nothing; the penalty's backward adds to what is there, as often as it runs."""
    critic = scratch.models.Critic(3, [5], "Tanh", dtype=np.float64)
    x = np.random.default_rng(3).normal(size=(4, 3))
    y, back = critic(x)
    back(np.ones_like(y))
    before = [p.grad for p in critic.parameters()]
    input_gradient(critic, x)
    _, penalty_back = wgan.gradient_penalty(critic, x)
    assert all(p.grad is g for p, g in zip(critic.parameters(), before, strict=True))
    penalty_back()
    penalty_back(2.0)
    added: list[Any] = [
        np.asarray(p.grad) - np.asarray(g) for p, g in zip(critic.parameters(), before, strict=True)
    ]
    critic.zero_grad()
    wgan.gradient_penalty(critic, x)[1]()
    for p, g in zip(critic.parameters(), added, strict=True):
        np.testing.assert_allclose(3 * np.asarray(p.grad), g, atol=1e-14)
    scratch.optim.SGD(critic.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="as it was in"):
        penalty_back()


def test_a_critic_of_slope_1_has_no_penalty() -> None:
    critic = scratch.models.Critic(2, [], dtype=np.float64)
    weight = next(critic.parameters())
    weight.data = np.array([[0.6, -0.8]])
    penalty, backward = wgan.gradient_penalty(critic, np.ones((3, 2)))
    backward()
    assert float(penalty) < 1e-30
    np.testing.assert_allclose(np.asarray(weight.grad), 0, atol=1e-15)


def test_clipped_weights_end_at_the_bound() -> None:
    """After a round no weight of the critic is beyond it, and some are on it."""
    generator, net = critic(scratch.models)
    steppers: Any = [scratch.optim.SGD(m.parameters(), lr=0.1) for m in (generator, net)]
    z = np.random.default_rng(4).normal(size=(8, 4)).astype(np.float32)
    given = training.Round(5 * z[:, :2], z, z)
    game = training.Game("wasserstein", clip=0.05)
    list(training.train_adversarial(generator, net, steppers, game, [given] * 3))
    largest = max(float(np.abs(p.data).max()) for p in net.parameters())
    assert largest == np.float32(0.05)


# The nets


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_dcgan_sizes(size: int) -> None:
    """What the generator makes is what the discriminator takes; it starts as the paper says."""
    generator = scratch.models.DCGANGenerator(5, 8, size, 1)
    image, _ = generator(np.ones((2, 5), np.float32))
    assert image.shape == (2, 1, size, size)
    assert np.abs(image).max() <= 1
    y, _ = scratch.models.DCGANDiscriminator(8, size, 1)(image)
    assert y.shape == (2, 1)
    weights = np.concatenate([p.data.ravel() for p in generator.parameters() if p.data.ndim == 4])
    error = 0.02 / math.sqrt(weights.size)  # one standard error of the mean
    assert abs(weights.mean()) < 4 * error
    assert abs(weights.std() - 0.02) < 4 * error / math.sqrt(2)


def test_a_label_is_what_is_asked_for() -> None:
    """The same noise under another label is another sample; one-hot labels have no parameters."""
    net = scratch.models.ConditionalGenerator(3, [6], 2, 4)
    z = np.ones((2, 3), np.float32)
    y, _ = net(z, np.array([0, 3]))
    assert not np.allclose(y[0], y[1])
    assert len(list(net.parameters())) == 4


# The data


def test_distributions_are_as_announced() -> None:
    """Radius, angle and modes of many points, within five standard deviations."""
    n = 40_000
    x = plane.ring(n, radius=2.0, noise=0.1, seed=1)
    r, a = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    assert abs(r.mean() - 2) < 5 * 0.1 / np.sqrt(n) and abs(r.std() - 0.1) < 0.002
    counts = np.histogram(a, 8, (-np.pi, np.pi))[0]
    assert np.abs(counts - n / 8).max() < 5 * np.sqrt(n * 7 / 64)
    points, middle = plane.modes(n, 4, spread=0.05, seed=1), plane.centres(4)
    np.testing.assert_allclose(np.hypot(*middle.T), 2)
    far = np.linalg.norm(points[:, None] - middle, axis=2)
    counts = np.bincount(far.argmin(1), minlength=4)
    assert np.abs(counts - n / 4).max() < 5 * np.sqrt(n * 3 / 16)
    assert np.sqrt(np.mean(far.min(1) ** 2) / 2) == pytest.approx(0.05, rel=0.02)
    np.testing.assert_array_equal(plane.ring(5, seed=3), plane.ring(5, seed=3))
    with pytest.raises(ValueError, match="centres: expected k >= 1, got 0"):
        plane.centres(0)
