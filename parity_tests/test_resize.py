"""Resizing over generated sizes, scales and options; where torch disagrees with itself."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parity_tests.harness.draw import Array
from scratch.nn import functional as F

SIZES = st.integers(1, 11)
MODES = {
    3: ("nearest", "nearest-exact", "area", "linear"),
    4: ("nearest", "nearest-exact", "area", "bilinear", "bicubic", "lanczos"),
    5: ("nearest", "nearest-exact", "area", "trilinear"),
}


@st.composite
def resizes(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape, and options that go with it."""
    ndim = draw(st.sampled_from((3, 4, 5)))
    mode = draw(st.sampled_from(MODES[ndim]))
    sizes = draw(st.lists(SIZES, min_size=ndim - 2, max_size=ndim - 2))
    options: dict[str, Any] = {"mode": mode}
    if mode in ("bilinear", "bicubic"):
        options["antialias"] = draw(st.booleans())
    if mode == "lanczos":
        options["antialias"] = True
    elif "linear" in mode or mode == "bicubic":
        options["align_corners"] = draw(st.sampled_from((None, True, False)))
    if draw(st.booleans()):
        options["size"] = [draw(SIZES) for _ in sizes]
    else:
        scales = [draw(st.floats(1 / n + 1e-6, 3.5)) for n in sizes]
        options["scale_factor"] = scales
        options["recompute_scale_factor"] = draw(st.sampled_from((None, True, False)))
    return (
        1,
        2,
        *sizes,
    ), options  # of 1 channel torch reads as it does of channels last, see below


def torchs(x: Array, dy: Array | None = None, **options: Any) -> tuple[Array, Array | None]:
    """torch's output, and its gradient for `dy`."""
    leaf = torch.tensor(x, requires_grad=True)
    y = torch.nn.functional.interpolate(leaf, **options)
    if dy is None:
        return y.detach().numpy(), None
    (dx,) = torch.autograd.grad(y, leaf, torch.tensor(dy))
    return y.detach().numpy(), dx.numpy()


@given(resizes(), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_generated_resizes(case: tuple[tuple[int, ...], dict[str, Any]], seed: int) -> None:
    """Values and gradients in both precisions."""
    shape, options = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    y, back = F.interpolate(x, **options)
    dy = rng.standard_normal(y.shape)
    expected, gradient = torchs(x, dy, **options)
    assert gradient is not None
    same_size = options.get("antialias") and any(
        n == m for n, m in zip(x.shape[2:], y.shape[2:], strict=True)
    )
    assume(not same_size or "size" in options or options["recompute_scale_factor"])  # see below
    if not (options.get("antialias") and y.shape[-1] == 1):  # see test_antialias_to_one_column
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)
    if options["mode"].startswith("nearest"):  # see test_torchs_nearest_gradient
        gradient = nearest_gradient(x, dy, **options)
    np.testing.assert_allclose(back(dy), gradient, rtol=0, atol=1e-13 * max(1, abs(dy).sum()))
    y32, back32 = F.interpolate(x.astype(np.float32), **options)
    assert y32.dtype == back32(dy.astype(np.float32)).dtype == np.float32
    if options["mode"].startswith("nearest"):
        expected, _ = torchs(x.astype(np.float32), **options)
        np.testing.assert_array_equal(y32, expected)


def nearest_gradient(x: Array, dy: Array, **options: Any) -> Array:
    """The gradient by torch's forward: dy summed over the outputs that took each pixel."""
    pixels = np.arange(float(x[0, 0].size)).reshape(1, 1, *x.shape[2:])
    source = torchs(pixels, **options)[0].reshape(-1).astype(int)
    rows = dy.reshape(-1, source.size)
    sums = [np.bincount(source, row, minlength=pixels.size) for row in rows]
    return np.stack(sums).reshape(x.shape)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_pixel_of_large_sizes(mode: str, dtype: Any) -> None:
    """Rounding decides which pixel is the nearest at some of these; torch's rounding is ours."""
    rng = np.random.default_rng(0)
    cases: list[tuple[int, dict[str, Any]]] = [(24, {"size": 996}), (2, {"size": 691})]
    cases += [(int(n), {"size": int(m)}) for n, m in rng.integers(1, 900, (150, 2))]
    cases += [(int(n), {"scale_factor": a / b}) for n, a, b in rng.integers(9, 90, (150, 3))]
    for n, options in cases:
        x = np.arange(n, dtype=dtype).reshape(1, 1, n)
        expected, _ = torchs(x, mode=mode, **options)
        np.testing.assert_array_equal(F.interpolate(x, mode=mode, **options)[0], expected)


def test_torchs_nearest_gradient() -> None:
    """torch's forward reads by the given scale; its backward writes as if it were exactly 2.

    So does its forward of an image whose channels are last, or are one, which is the same to it.
    Ours is the derivative of the forward. Once torch's is, this fails and the exception goes.
    """
    x = np.zeros((1, 1, 3))
    y, back = F.interpolate(np.arange(3.0).reshape(1, 1, 3), scale_factor=2.3)
    np.testing.assert_array_equal(y.reshape(-1), [0, 0, 0, 1, 1, 2])
    dy = np.ones((1, 1, 6))
    np.testing.assert_array_equal(back(dy).reshape(-1), [3, 2, 1])
    np.testing.assert_array_equal(nearest_gradient(x, dy, scale_factor=2.3).reshape(-1), [3, 2, 1])
    _, gradient = torchs(x, dy, scale_factor=2.3)
    assert gradient is not None
    np.testing.assert_array_equal(gradient.reshape(-1), [2, 2, 2])
    one_channel, _ = torchs(np.arange(3.0).reshape(1, 1, 1, 3), scale_factor=(1.0, 2.3))
    np.testing.assert_array_equal(one_channel.reshape(-1), [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_antialias_to_one_column(mode: str) -> None:
    """torch repeats the first row of an antialiased image one pixel wide; its gradient is right.

    Ours is what torch computes of the transposed image. Once torch's is right, this fails.
    """
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 6))
    options: dict[str, Any] = {"mode": mode, "antialias": True}
    y, _ = F.interpolate(x, (6, 1), **options)
    turned, _ = torchs(np.ascontiguousarray(x.swapaxes(2, 3)), size=(1, 6), **options)
    np.testing.assert_allclose(y, turned.swapaxes(2, 3), rtol=0, atol=1e-14)
    expected, _ = torchs(x, size=(6, 1), **options)
    np.testing.assert_allclose(expected, np.broadcast_to(y[:, :, :1], y.shape), atol=1e-14)


def test_antialias_of_an_axis_that_keeps_its_size() -> None:
    """torch copies the axis in the forward, but not in the backward if a scale was given.

    Ours is the derivative of the forward. Once torch's is, this fails and the exception goes.
    """
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 3))
    options: dict[str, Any] = {"scale_factor": 1.25, "mode": "bilinear", "antialias": True}
    y, back = F.interpolate(x, **options)
    expected, gradient = torchs(x, x, **options)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(back(x), x)
    np.testing.assert_array_equal(expected, x)
    assert gradient is not None and abs(gradient - x).max() > 0.1


@given(
    st.sampled_from(("bilinear", "nearest", "bicubic")),
    st.sampled_from(("zeros", "border", "reflection")),
    st.booleans(),
    st.lists(st.integers(1, 5), min_size=4, max_size=6),
    st.sampled_from((2, 4, None)),
    st.integers(0, 2**31),
)
@settings(max_examples=200, deadline=None)
def test_generated_grids(
    mode: str, padding: str, align: bool, sizes: list[int], lattice: int | None, seed: int
) -> None:
    """Images and volumes, at random points and at those where the interpolation has kinks."""
    axes = 3 if len(sizes) == 6 and mode != "bicubic" else 2
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 2, *sizes[:axes]))
    grid = 1.3 * rng.standard_normal((2, *sizes[-axes:], axes))
    if lattice is not None:
        grid = np.round(grid * lattice) / lattice
    y, back = F.grid_sample(x, grid, mode, padding, align)
    dy = rng.standard_normal(y.shape)
    leaves = torch.tensor(x, requires_grad=True), torch.tensor(grid, requires_grad=True)
    expected = torch.nn.functional.grid_sample(*leaves, mode, padding, align)
    np.testing.assert_allclose(y, expected.detach(), rtol=0, atol=1e-12)
    gradients = torch.autograd.grad(expected, leaves, torch.tensor(dy))
    for ours, theirs in zip(back(dy), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, abs(dy).sum()))


def test_no_channels_leave_the_grid_alone() -> None:
    """torch's gradient of the grid is memory that it did not write, now and then not finite."""
    rng = np.random.default_rng(0)
    y, backward = F.grid_sample(np.zeros((2, 0, 3, 4)), rng.uniform(-1, 1, (2, 2, 3, 2)))
    assert y.shape == (2, 0, 2, 3)
    dx, dgrid = backward(np.zeros_like(y))
    assert dx.shape == (2, 0, 3, 4) and np.array_equal(dgrid, np.zeros((2, 2, 3, 2)))
