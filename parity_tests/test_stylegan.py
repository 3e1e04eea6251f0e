"""StyleGAN: alternating steps with R1 side by side, drawn shapes, and what its parts mean."""

import functools
import itertools
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
from parity_tests.catalog import models_stylegan
from parity_tests.experiments.twins import alike
from parity_tests.harness import twin
from parity_tests.harness.check import check_op
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import Call, Case, Op, const
from scratch import training
from scratch.models.stylegan_discriminator import r1_penalty
from scratch.nn import functional as F
from scratch.nn.upfirdn2d import setup_filter
from scratch.optim import swa_utils
from scratch.random import Generator
from torch_ref import training as torch_training

OPS = {entry.name: entry for entry in models_stylegan.ENTRIES if isinstance(entry, Op)}
# Relative to a tensor's largest value: some hundred eps, after 200 steps of either player.
DRIFT = 1e-13
SIZES = (4, 8, 8)
SMALL = models_stylegan.SMALL


# Alternating steps


def networks(models: Any) -> tuple[Any, Any]:
    return (
        models.StyleGANGenerator(6, 8, 8, 1, 64, 8, 2),
        models.StyleGANDiscriminator(8, 1, 64, 8),
    )


def rounds(steps: int, n: int) -> Iterator[tuple[training.Round, torch_training.Round]]:
    """The same for both: bars at any height; noise, its images, and styles mixed at any layer."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        rows = np.arange(8) == rng.integers(0, 8, (n, 1))
        real = np.where(rows[:, None, :, None], 0.9, -0.9) * np.ones((n, 1, 8, 8))
        drawn = []
        for _ in range(2):
            z, other = rng.standard_normal((2, n, 6))
            images = tuple(rng.standard_normal((n, 1, r, r)) for r in SIZES)
            drawn.append((z, other, int(rng.integers(1, 5)), images))
        theirs = [
            (torch.from_numpy(z), torch.from_numpy(o), k, tuple(map(torch.from_numpy, images)))
            for z, o, k, images in drawn
        ]
        yield (
            training.Round(real, drawn[0], drawn[1]),
            torch_training.Round(torch.from_numpy(real), theirs[0], theirs[1]),
        )


def drift_of(steps: int, **game: Any) -> tuple[Array, Array]:
    """After each round: the largest relative difference of a tensor, G's average among them; and
    D's losses (steps, 2), scratch's and torch's."""
    torch.manual_seed(0)
    pairs = [
        alike(mine, yours)
        for mine, yours in zip(networks(scratch.models), networks(torch_ref.models), strict=True)
    ]
    ours, theirs = [p.ours for p in pairs], [p.theirs for p in pairs]
    options: dict[str, Any] = {"lr": 0.001, "betas": (0.0, 0.99), "eps": 1e-8}
    mine: Any = tuple(scratch.optim.Adam(net.parameters(), **options) for net in ours)
    yours: Any = tuple(torch.optim.Adam(net.parameters(), **options) for net in theirs)
    averages: Any = torch.optim.swa_utils
    decay = 0.99
    average = swa_utils.AveragedModel(ours[0], multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    torch_average = averages.AveragedModel(
        theirs[0], multi_avg_fn=averages.get_ema_multi_avg_fn(decay)
    )
    kept = list(rounds(steps, 8))
    played = zip(
        training.train_adversarial(
            *(ours[0], ours[1], mine, training.Game(**game), (a for a, _ in kept))
        ),
        torch_training.train_adversarial(
            *(theirs[0], theirs[1], yours, torch_training.Game(**game), (b for _, b in kept))
        ),
        strict=True,
    )
    drift, losses = [], []
    scales: dict[str, float] = {}  # the largest so far: what passes through 0 keeps older roundings
    for a, b in played:
        average.update_parameters(ours[0])
        torch_average.update_parameters(theirs[0])
        worst = 0.0
        three = zip("gda", (*ours, average.module), (*theirs, torch_average.module), strict=True)
        for which, net, other in three:
            now = twin.arrays(other.state_dict())
            for key, value in net.state_dict().items():
                name, largest = which + key, float(np.abs(now[key]).max())
                scales[name] = max(largest, scales.get(name, 1e-300))
                worst = max(worst, float(np.abs(value - now[key]).max()) / scales[name])
        drift.append(worst)
        losses.append((a.discriminator, b.discriminator))
    return np.array(drift), np.array(losses)


def alike_for(steps: int, **game: Any) -> None:
    drift, losses = drift_of(steps, **game)
    assert drift.shape == (steps,)
    assert drift.max() < DRIFT, drift.max()
    assert np.abs(np.diff(losses)).max() < DRIFT
    assert np.ptp(losses[:, 0]) > 0.01  # somebody learns


def test_20_steps_alike() -> None:
    alike_for(20, r1=1.0, r1_interval=2)


@pytest.mark.slow
@pytest.mark.parametrize("interval", [1, 4])
def test_200_steps_alike(interval: int) -> None:
    alike_for(200, r1=1.0, r1_interval=interval)


def test_the_average_is_of_weights_and_has_the_last_buffers() -> None:
    """a <- 0.9 a + 0.1 p, the first as it is; the mean of w, a buffer, is the network's own."""
    net, _ = networks(scratch.models)
    average = swa_utils.AveragedModel(net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    first = net.synthesis.b4.const.data.copy()
    average.update_parameters(net)
    net.synthesis.b4.const.data = first + 1
    net(np.ones((2, 6), np.float32))
    average.update_parameters(net)
    held: Any = average.module
    np.testing.assert_allclose(held.synthesis.b4.const.data, first + 0.1, rtol=1e-5)
    np.testing.assert_array_equal(held.mapping.w_avg, net.mapping.w_avg)
    assert np.abs(held.mapping.w_avg).max() > 0


# Shapes and options that nobody chose

SIZE = st.integers(1, 4)
TWO = st.sampled_from([(1, 1), (2, 1), (1, 2), (3, 1)])


def resampled(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, int], Any]:
    """An image, a kernel, how the size changes, and a filter or none."""
    n, i, o = draw(SIZE), draw(SIZE), draw(SIZE)
    h, w = draw(st.integers(3, 6)), draw(st.integers(3, 6))
    k = draw(st.sampled_from([1, 3, 5]))
    up, down = draw(TWO)
    taps = draw(st.sampled_from([None, (4, 4), (3, 3), (4, 2), (1, 1)]))
    if taps and down > 1 and min(h, w) + k // 2 * 2 < max(taps):
        taps = None
    how = {"up": up, "down": down, "padding": k // 2}
    return (n, i, h, w), (o, i, k, k), how, taps


def drawn(draw: Any, name: str) -> Any:
    """A call of the op."""
    if name in ("modulated_conv2d", "conv2d_resample"):
        image, kernel, how, taps = resampled(draw)
        if name == "modulated_conv2d":
            how["demodulate"] = draw(st.booleans())

        def call(d: Any) -> Call:
            styles = [d.normal(*image[:2])] if name == "modulated_conv2d" else []
            f = None if taps is None else const(d.normal(*taps))
            return Call(d.normal(*image), d.normal(*kernel), *styles, f, **how)

        return call
    n, c, h, w = draw(SIZE), draw(SIZE), draw(SIZE), draw(SIZE)
    if name in ("upfirdn2d", "upsample2d", "downsample2d"):
        taps = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        options: dict[str, Any] = {}
        if name == "upfirdn2d":
            pads = draw(st.lists(st.integers(-1, 4), min_size=4, max_size=4))
            options = {"up": draw(SIZE), "down": draw(SIZE), "padding": pads, "gain": 0.7}
        else:
            options = {name.removesuffix("sample2d"): draw(st.integers(1, 3))}
        size = h + 6, w + 6  # a filter of 5 fits, cropped or not
        return lambda d: Call(d.normal(n, c, *size), const(d.normal(*taps)), **options)
    if name == "bias_act":
        bias, act = draw(st.booleans()), draw(st.sampled_from(["linear", "lrelu"]))
        gain = draw(st.sampled_from([None, 0.5, -1.0]))
        return lambda d: Call(
            d.normal(n, c, h, w), d.normal(c) if bias else None, act=act, gain=gain
        )
    if name == "inject_noise":
        noise = (h, w) if draw(st.booleans()) else (n, 1, h, w)
        return lambda d: Call(d.normal(n, c, h, w), d.normal(*noise), d.normal())
    if name == "minibatch_std":
        g, f = draw(SIZE), draw(st.integers(1, 3))
        scale = draw(st.sampled_from([1e-4, 1.0, 20.0]))
        return lambda d: Call(d.normal(g * n, c * f, h, w, scale=scale), g, f)
    return lambda d: Call(d.normal(n, c, h))


@pytest.mark.parametrize("name", OPS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_equals_torch(name: str, data: Any) -> None:
    # Sums of products of normal numbers, some hundred of them.
    terms = 1.0 if name in ("bias_act", "zero_gradient_loss") else 10.0
    case = Case("drawn", drawn(data.draw, name), output_cancels=terms, cancels=terms)
    for comparison in check_op(OPS[name], case, np.dtype(np.float64), "cpu", thorough=False):
        assert comparison.passed, str(comparison)


# What the parts mean


def test_modulation_by_loops() -> None:
    """Equations 1 to 3 of the paper, sample by sample: each has weights of its own."""
    rng = np.random.default_rng(1)
    x, w, s = rng.normal(size=(3, 4, 5, 5)), rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(3, 4))
    y, _ = F.modulated_conv2d(x, w, s, padding=1)
    for n in range(3):
        own = np.empty_like(w)
        for o in range(2):
            scaled = np.stack([w[o, i] * s[n, i] for i in range(4)])
            own[o] = scaled / np.sqrt(np.sum(scaled**2) + 1e-8)
        np.testing.assert_allclose(np.sum(own**2, (1, 2, 3)), 1, rtol=1e-8)
        np.testing.assert_allclose(y[n], F.conv2d(x[n], own, None, 1, 1)[0], atol=1e-13)


def test_the_scale_of_a_style_has_no_effect() -> None:
    """Demodulation takes it back, up to eps; so the gradient of s along s is zero."""
    rng = np.random.default_rng(2)
    x, w, s = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(5, 3, 3, 3)), rng.normal(size=(2, 3))
    y, backward = F.modulated_conv2d(x, w, s, padding=1)
    np.testing.assert_allclose(F.modulated_conv2d(x, w, 7 * s, padding=1)[0], y, rtol=1e-7)
    _, dw, ds = backward(rng.normal(size=y.shape))
    np.testing.assert_allclose((s * ds).sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(np.sum(w * dw, (1, 2, 3)), 0, atol=1e-6)


@pytest.mark.parametrize("up", [2, 3])
def test_resampling_keeps_the_light(up: int) -> None:
    """A flat image stays flat and as bright, away from its edges; twice as large, then half."""
    f = setup_filter(dtype=np.float64)
    flat = np.full((1, 2, 8, 8), 0.7)
    large, _ = F.upsample2d(flat, setup_filter((1,) * up, dtype=np.float64), up)
    assert large.shape == (1, 2, 8 * up, 8 * up)
    np.testing.assert_allclose(large[..., up:-up, up:-up], 0.7, rtol=1e-14)
    twice, _ = F.upsample2d(flat, f)
    np.testing.assert_allclose(twice[..., 2:-2, 2:-2], 0.7, rtol=1e-14)
    again, _ = F.downsample2d(twice, f)
    np.testing.assert_allclose(again[..., 2:-2, 2:-2], 0.7, rtol=1e-14)


def test_one_pixel_up() -> None:
    """[1, 3, 3, 1] / 4 along both axes, from the pixel's own corner on."""
    x = np.zeros((1, 1, 3, 3))
    x[..., 1, 1] = 1
    y, _ = F.upsample2d(x, setup_filter(dtype=np.float64))
    row = np.array([0, 1, 3, 3, 1, 0]) / 4
    np.testing.assert_allclose(y[0, 0], np.outer(row, row), rtol=1e-15)


def test_noise_modes() -> None:
    """Drawn anew for each call and sample, or always the same, or none at all."""
    net = scratch.models.SynthesisLayer(2, 3, 4, 4, generator=Generator(0))
    net.noise_strength.data = np.asarray(0.5, np.float32)
    x, w = np.ones((2, 2, 4, 4), np.float32), np.ones((2, 4), np.float32)
    random, again = net(x, w)[0], net(x, w)[0]
    assert np.abs(random - again).max() > 0.1 and np.abs(random[0] - random[1]).max() > 0.1
    const, once_more = (net(x, w, noise_mode="const")[0] for _ in range(2))
    np.testing.assert_array_equal(const, once_more)
    np.testing.assert_array_equal(const[0], const[1])
    none, backward = net(x, w, noise_mode="none")
    backward(np.ones_like(none))
    assert net.noise_strength.grad is None  # as torch's, which an optimizer then skips
    net.noise_strength.data = np.zeros((), np.float32)
    np.testing.assert_array_equal(none, net(x, w)[0])


def test_no_noise_equals_torch() -> None:
    torch.manual_seed(3)
    theirs = torch_ref.models.StyleGANGenerator(3, 4, 8, 1, 32, 3, 2)
    pair = alike(scratch.models.StyleGANGenerator(3, 4, 8, 1, 32, 3, 2), theirs)
    z = np.random.default_rng(3).normal(size=(2, 3))
    y, _ = pair.ours(z, noise_mode="none")
    with torch.no_grad():
        reference = theirs(torch.from_numpy(z), noise_mode="none").numpy()
    np.testing.assert_allclose(y, reference, rtol=0, atol=1e-13 * np.abs(reference).max())


def test_truncation() -> None:
    """psi 0 gives all samples the mean; psi below 1 lies between; the cutoff keeps the rest."""
    net = scratch.models.MappingNetwork(3, 4, 5, 2, dtype=np.float64)
    z = np.random.default_rng(4).normal(size=(6, 3))
    for _ in range(3):
        net(z)
    net.eval()
    whole, none, half = (net(z, psi)[0] for psi in (1.0, 0.0, 0.5))
    np.testing.assert_allclose(none, np.broadcast_to(net.w_avg, none.shape), atol=1e-15)
    np.testing.assert_allclose(half, (whole + none) / 2, atol=1e-15)
    cut, _ = net(z, 0.0, 2)
    np.testing.assert_array_equal(cut[:, 2:], whole[:, 2:])
    np.testing.assert_allclose(cut[:, :2], none[:, :2], atol=1e-15)


def test_the_mean_of_w() -> None:
    """In training it moves by 1 - beta of the way to the batch's mean; else it stays."""
    net = scratch.models.MappingNetwork(3, 4, 1, 1, w_avg_beta=0.75, dtype=np.float64)
    z = np.random.default_rng(5).normal(size=(6, 3))
    w = net.eval()(z)[0][:, 0]
    assert not net.w_avg.any()
    net.train()(z)
    np.testing.assert_allclose(net.w_avg, w.mean(0) / 4, rtol=1e-14)
    net(z, skip_w_avg_update=True)
    np.testing.assert_allclose(net.w_avg, w.mean(0) / 4, rtol=1e-14)


def test_the_scale_of_z_has_no_effect() -> None:
    net = scratch.models.MappingNetwork(3, 4, 1, 2, dtype=np.float64).eval()
    z = np.random.default_rng(6).normal(size=(2, 3))
    np.testing.assert_allclose(net(9 * z)[0], net(z)[0], rtol=1e-6)


def test_style_mixing() -> None:
    """From the crossover on the other z decides: none or all of the layers at either end."""
    net = scratch.models.StyleGANGenerator(3, 4, 8, 1, 32, 3, 2, dtype=np.float64).eval()
    z, other = np.random.default_rng(7).normal(size=(2, 2, 3))
    make = functools.partial(net, noise_mode="const")
    first, second = make(z)[0], make(other)[0]
    levels = [make(z, other, k)[0] for k in range(5)]
    np.testing.assert_array_equal(levels[0], second)
    np.testing.assert_array_equal(levels[4], first)
    steps = [float(np.abs(a - b).max()) for a, b in itertools.pairwise(levels)]
    assert min(steps) > 1e-6  # each layer's style counts


def test_a_refusal_changes_nothing() -> None:
    net = scratch.models.StyleGANGenerator(3, 4, 8, 1, 32, 3, 2, dtype=np.float64)
    z = np.ones((2, 3))
    for wrong in ({"noise": (z,) * 3}, {"mixing": z[:1], "crossover": 1}, {"noise_mode": "all"}):
        with pytest.raises(ValueError, match="StyleGANGenerator"):
            net(z, **wrong)
        assert not net.mapping.w_avg.any()


def test_r1_is_the_slope_of_the_sum() -> None:
    """Differences of D along each pixel of one row, and of R1 along a direction of all weights."""
    net = scratch.models.StyleGANDiscriminator(8, 1, *SMALL, generator=Generator(1)).to(np.float64)
    rng = np.random.default_rng(8)
    x = rng.normal(size=(4, 1, 8, 8))
    h, g = 1e-6, np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        g[i] = (net(x + step)[0] - net(x - step)[0]).sum() / (2 * h)
    penalty, backward = r1_penalty(net, x)
    assert float(penalty) == pytest.approx(np.square(g).sum() / 4, rel=1e-7)
    backward()
    parameters = [p for p in net.parameters() if p.data.ndim > 1]
    way = [rng.normal(size=p.shape) for p in parameters]
    slope = sum(float(np.sum(np.asarray(p.grad) * v)) for p, v in zip(parameters, way, strict=True))
    values = []
    for sign in (1, -1):
        for p, v in zip(parameters, way, strict=True):
            p.data = p.data + sign * h * v
        values.append(float(r1_penalty(net, x)[0]))
        for p, v in zip(parameters, way, strict=True):
            p.data = p.data - sign * h * v
    assert slope == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6)


# Starts and names


def test_starts_are_of_unit_scale() -> None:
    """What a layer puts out has the variance of what it takes, whatever its width or rate."""
    rng = np.random.default_rng(9)
    x = rng.standard_normal((512, 256)).astype(np.float32)
    for multiplier in (1.0, 0.01):
        layer = scratch.nn.EqualizedLinear(
            256, 256, True, "linear", multiplier, generator=Generator(2)
        )
        assert abs(layer.weight.data.std() * multiplier - 1) < 0.02
        assert abs(layer(x)[0].std() - 1) < 0.03
    net = scratch.models.SynthesisLayer(16, 8, 4, 8, generator=Generator(3))
    assert (net.affine.bias is not None) and (net.affine.bias.data == 1).all()
    assert net.noise_strength.data == 0 and abs(net.noise_const.std() - 1) < 0.3


@pytest.mark.parametrize("package", [scratch.models, torch_ref.models], ids=["scratch", "torch"])
def test_names_are_the_authors(package: Any) -> None:
    g = package.StyleGANGenerator(6, 8, 32, 3, 512, 32)
    d = package.StyleGANDiscriminator(32, 3, 512, 32)
    shapes = {k: tuple(v.shape) for net in (g, d) for k, v in net.state_dict().items()}
    expected = {
        "mapping.fc0.weight": (8, 6),
        "mapping.fc7.bias": (8,),
        "mapping.w_avg": (8,),
        "synthesis.b4.const": (32, 4, 4),
        "synthesis.b8.conv0.affine.weight": (32, 8),
        "synthesis.b32.conv1.weight": (16, 16, 3, 3),
        "synthesis.b32.conv1.noise_strength": (),
        "synthesis.b16.conv0.noise_const": (16, 16),
        "synthesis.b16.conv0.resample_filter": (4, 4),
        "synthesis.b32.torgb.weight": (3, 16, 1, 1),
        "b32.fromrgb.weight": (16, 3, 1, 1),
        "b32.conv0.weight": (16, 16, 3, 3),
        "b16.skip.weight": (32, 32, 1, 1),
        "b4.conv.weight": (32, 33, 3, 3),
        "b4.fc.weight": (32, 512),
        "b4.out.bias": (1,),
    }
    assert {key: shapes.get(key) for key in expected} == expected
    assert g.synthesis.num_ws == 8
    assert "synthesis.b4.conv0.weight" not in shapes and "b16.fromrgb.weight" not in shapes
