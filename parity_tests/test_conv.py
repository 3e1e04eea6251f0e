"""Convolution by other routes: SciPy, the adjoint, generated options, blocks of images."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import signal

from parity_tests.catalog import conv
from parity_tests.harness.check import check
from parity_tests.harness.entry import Entry
from scratch import nn
from scratch.check import Array
from scratch.nn import correlate, images_last
from scratch.nn import functional as F

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
T = torch.nn.functional
TORCH_CONV: dict[int, Callable[..., Any]] = {1: T.conv1d, 2: T.conv2d, 3: T.conv3d}
TORCH_CONV_TRANSPOSE: dict[int, Callable[..., Any]] = {
    1: T.conv_transpose1d,
    2: T.conv_transpose2d,
    3: T.conv_transpose3d,
}
SIZES = {1: (9,), 2: (8, 7), 3: (5, 6, 4)}
KERNELS = {1: (4,), 2: (3, 2), 3: (2, 3, 2)}


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def close(ours: Array, theirs: Array, c: float = 64) -> None:
    """Within `c` eps of the largest magnitude."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    eps = float(np.finfo(ours.dtype).eps)
    scale = float(np.abs(theirs).max(initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=c * eps * scale)


# SciPy


def scipy_correlation(x: Array, w: Array, mode: str) -> Array:
    """Each output's correlation, summed over the channels."""

    def one(image: Array, kernel: Array) -> Array:
        pairs = zip(image, kernel, strict=True)
        total: Array = np.sum([signal.correlate(c, k, mode, "direct") for c, k in pairs], axis=0)
        return total

    return np.stack([[one(image, kernel) for kernel in w] for image in x])


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_stride_1_is_scipys_valid_correlation(nd: int) -> None:
    x, w = normal(2, 3, *SIZES[nd]), normal(4, 3, *KERNELS[nd])
    close(CONV[nd](x, w)[0], scipy_correlation(x, w, "valid"))


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_is_every_so_manyth_value(nd: int, stride: int) -> None:
    x, w = normal(2, 3, *SIZES[nd]), normal(4, 3, *KERNELS[nd])
    whole = scipy_correlation(x, w, "valid")
    every: Any = (..., *[slice(None, None, stride)] * nd)
    close(CONV[nd](x, w, stride=stride)[0], whole[every])


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_padding_of_the_kernel_less_one_is_scipys_full_correlation(nd: int) -> None:
    x, w = normal(2, 3, *SIZES[nd]), normal(4, 3, *KERNELS[nd])
    y, _ = CONV[nd](x, w, padding=[k - 1 for k in KERNELS[nd]])
    close(y, scipy_correlation(x, w, "full"))


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_same_is_scipys_same_for_odd_kernels(nd: int) -> None:
    x, w = normal(2, 3, *SIZES[nd]), normal(4, 3, *[3] * nd)
    close(CONV[nd](x, w, padding="same")[0], scipy_correlation(x, w, "same"))


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_circular_padding_wraps_as_scipys_does(nd: int) -> None:
    layer: Any = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[nd](
        3, 4, 3, padding=1, padding_mode="circular", bias=False, dtype=np.float64
    )
    x = normal(2, 3, *SIZES[nd])
    padded = np.pad(x, [(0, 0), (0, 0), *[(1, 1)] * nd], "wrap")
    close(layer(x)[0], scipy_correlation(padded, layer.weight.data, "valid"))


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_transposed_convolution_is_scipys_full_convolution(nd: int) -> None:
    """At stride 1 the kernel is written around each input: this one is flipped."""
    x, w = normal(2, 3, *SIZES[nd]), normal(3, 4, *KERNELS[nd])
    flipped = np.ascontiguousarray(np.flip(w.swapaxes(0, 1), tuple(range(2, 2 + nd))))
    close(CONV_TRANSPOSE[nd](x, w)[0], scipy_correlation(x, flipped, "full"))


# The adjoint


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (3, 2, 2)])
def test_transposed_is_the_adjoint(
    nd: int, groups: int, stride: int, padding: int, dilation: int
) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>; output_padding restores what a stride cut."""
    x, w = normal(2, 4, *SIZES[nd]), normal(8, 4 // groups, *[2] * nd)
    y, _ = CONV[nd](x, w, None, stride, padding, dilation, groups)
    dy = normal(*y.shape)
    extra = [
        n - ((m - 1) * stride - 2 * padding + dilation + 1)
        for n, m in zip(x.shape[2:], y.shape[2:], strict=True)
    ]
    back, _ = CONV_TRANSPOSE[nd](dy, w, None, stride, padding, extra, groups, dilation)
    assert back.shape == x.shape
    magnitude = float(np.vdot(np.abs(y), np.abs(dy)))
    assert abs(np.vdot(y, dy) - np.vdot(x, back)) <= 64 * np.finfo(float).eps * magnitude


def test_convolution_is_a_matrix_and_its_transpose() -> None:
    """Column by column from unit images, and row by row from the transposed one."""
    w = normal(2, 3, 2, 3)
    size, out = (3, 4, 5), (2, 2, 3)
    images = np.eye(60).reshape(60, *size)
    maps = np.eye(12).reshape(12, *out)
    matrix = F.conv2d(images, w, stride=2, padding=1, dilation=(2, 1))[0].reshape(60, 12)
    back, _ = F.conv_transpose2d(
        maps, w, stride=2, padding=1, dilation=(2, 1), output_padding=(1, 0)
    )
    np.testing.assert_array_equal(back.reshape(12, 60), matrix.T)


# Generated shapes and options


def outcome(run: Callable[[], Any]) -> Any:
    """What a call gives, or None where it is refused."""
    try:
        return run()
    except (ValueError, TypeError, RuntimeError):
        return None


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))
GENERATED = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@GENERATED
@given(
    n=st.sampled_from((1, 2, 9)),  # without images torch checks next to nothing
    channels=st.sampled_from([1, 2, 3, 4, 9]),
    outputs=st.sampled_from([1, 2, 4, 6]),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(0, 4) | PAIR,
    padding=st.integers(-1, 3) | PAIR | st.sampled_from(["same", "valid", "full"]),
    dilation=st.integers(0, 4) | PAIR,
    groups=st.sampled_from([0, 1, 1, 2, 2, 3, 4]),
    fits=st.booleans(),
)
def test_conv2d_over_generated_options(
    n: int,
    channels: int,
    outputs: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    fits: bool,
) -> None:
    """The same shape, values and gradients, or refused by both."""
    inner = max(1, channels // max(groups, 1)) if fits else channels
    x, w = normal(n, channels, *size), normal(outputs, inner, *kernel)
    agree(F.conv2d, T.conv2d, x, w, outputs, (stride, padding, dilation, groups))


@GENERATED
@given(
    n=st.sampled_from((1, 2, 9)),  # without images torch checks next to nothing
    channels=st.sampled_from([1, 2, 4, 6]),
    inner=st.sampled_from([1, 2, 3, 9]),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(0, 4) | PAIR,
    padding=st.integers(-1, 2) | PAIR,
    output_padding=st.integers(-1, 2) | PAIR,
    groups=st.sampled_from([0, 1, 1, 2, 2, 3]),
    dilation=st.integers(0, 4) | PAIR,
)
def test_conv_transpose2d_over_generated_options(
    n: int,
    channels: int,
    inner: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> None:
    """The same shape, values and gradients, or refused by both."""
    x, w = normal(n, channels, *size), normal(channels, inner, *kernel)
    options = stride, padding, output_padding, groups, dilation
    ours, theirs = F.conv_transpose2d, T.conv_transpose2d
    agree(ours, theirs, x, w, inner * groups, options)


def agree(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    x: Array,
    w: Array,
    outputs: int,
    options: tuple[Any, ...],
) -> None:
    """Values and gradients of a convolution with a bias, or both refuse."""
    b = normal(outputs, seed=1)
    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, w, b)]
    expected = outcome(lambda: theirs(*tensors, *options))
    found = outcome(lambda: ours(x, w, b, *options))
    assert (found is None) == (expected is None)
    if found is None:
        return
    y, backward = found
    close(y, expected.detach().numpy())
    dy = normal(*y.shape, seed=2)
    gradients = torch.autograd.grad(expected, tensors, torch.from_numpy(dy))
    for mine, other in zip(backward(dy), gradients, strict=True):
        close(mine, other.numpy())


# What a network relies on


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("groups", [1, 2, 12])
@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_of_images_change_nothing(
    n: int, groups: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The products are an image's own: only sums over images are in another order."""
    x, w = normal(n, 12, 8, 7), normal(24, 12 // groups, 3, 2)

    def run() -> tuple[Array, ...]:
        y, backward = F.conv2d(x, w, None, stride, 1, 1, groups)
        z, _ = F.conv_transpose2d(x, w.reshape(12, -1, 3, 2), None, stride, 1)
        return y, z, *backward(normal(*y.shape))

    whole = run()
    for maps in correlate, images_last:
        monkeypatch.setattr(maps, "BLOCK", 1)
    for mine, other in zip(run(), whole, strict=True):
        close(mine, other)


@pytest.mark.parametrize("entry", conv.ENTRIES, ids=lambda entry: entry.name)
def test_images_last(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout for small images is right for all."""
    monkeypatch.setattr(images_last, "fits", lambda n, out: n > 0)
    assert all(comparison.passed for comparison in check(entry))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_input_gradient_can_be_left_out(groups: int, transposed: bool) -> None:
    kind: Any = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(4, 8, 3, stride=2, groups=groups, dtype=np.float64)
    y, backward = layer(normal(2, 4, 7, 6))
    dy = normal(*y.shape)
    assert backward(dy, needs_input_grad=False) is None
    gradients = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    assert backward(dy) is not None
    for first, parameter in zip(gradients, layer.parameters(), strict=True):
        np.testing.assert_array_equal(first, parameter.grad)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_the_input_gradient_can_be_left_out_of_a_padding_mode(mode: str) -> None:
    layer = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode, dtype=np.float64)
    y, backward = layer(normal(2, 3, 7, 6))
    assert backward(normal(*y.shape), needs_input_grad=False) is None
    assert layer.weight.grad is not None


def test_what_is_not_seen_does_not_spread() -> None:
    """A NaN reaches the outputs whose windows see it, whatever the layout of the product."""
    for n, channels, groups, kernel in itertools.product((2, 20), (3, 12), (1, 3), (1, 3)):
        x, w = normal(n, channels, 7, 7), normal(6, channels // groups, kernel, kernel)
        x[1, 0, 3, 4] = np.nan
        y, _ = F.conv2d(x, w, padding=kernel // 2, groups=groups)
        seen = np.zeros(y.shape, bool)
        r = kernel // 2
        seen[1, : 6 // groups, 3 - r : 4 + r, 4 - r : 5 + r] = True
        np.testing.assert_array_equal(np.isnan(y), seen)


def test_memory_of_columns_is_bounded() -> None:
    """A 5 x 5 kernel at stride 2 has 25 columns to a value: they come in blocks of images."""
    import tracemalloc

    x, w = np.ones((64, 8, 64, 64), np.float32), np.ones((8, 8, 5, 5), np.float32)
    tracemalloc.start()
    try:
        y, _ = F.conv2d(x, w, stride=2, padding=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    columns = x.nbytes // 4 * 25
    assert columns > correlate.BLOCK * 3 // 4
    assert peak <= y.nbytes + correlate.BLOCK * 1.25
