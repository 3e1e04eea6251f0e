"""Beside the catalog of padding and rearranging: any arguments, empty arrays, round trips."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_tests.harness.compare import close
from scratch.nn import functional as F

SIZES = st.integers(1, 3)
PADDING = st.fixed_dictionaries(
    {
        "pad": st.integers(0, 3).flatmap(
            lambda axes: st.lists(st.integers(-2, 4), min_size=2 * axes, max_size=2 * axes)
        ),
        "mode": st.sampled_from(["constant", "reflect", "replicate", "circular"]),
    }
)
WINDOWS = st.fixed_dictionaries(
    {
        "kernel_size": st.tuples(SIZES, SIZES),
        "dilation": st.tuples(SIZES, SIZES),
        "padding": st.integers(0, 2),
        "stride": st.tuples(SIZES, SIZES),
    }
)


@settings(max_examples=800, deadline=None)
@given(
    drawn=st.one_of(
        st.tuples(st.just("pad"), PADDING),
        st.tuples(st.just("unfold"), WINDOWS),
        st.tuples(
            st.sampled_from(["pixel_shuffle", "pixel_unshuffle"]),
            st.fixed_dictionaries({"factor": SIZES}),
        ),
        st.tuples(st.just("channel_shuffle"), st.fixed_dictionaries({"groups": SIZES})),
    ),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_any_arguments(drawn: tuple[str, dict[str, Any]], shape: list[int], seed: int) -> None:
    """Numbers and gradients are torch's, and both refuse the same (two exceptions)."""
    name, options = drawn
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    arguments = list(options.values()) if "shuffle" in name else []
    keywords = {} if "shuffle" in name else options
    try:
        expected = getattr(torch.nn.functional, name)(tensor, *arguments, **keywords)
    except (RuntimeError, ValueError, IndexError):
        with pytest.raises((ValueError, TypeError), match=f"^{name}: expected .*, got "):
            getattr(F, name)(x, *arguments, **keywords)
        return
    if keywords.get("mode") == "circular" and min(keywords["pad"], default=0) < 0:
        return  # torch crops first, and then may read what it did not write
    if not expected.numel():
        return  # torch does not differentiate all of these
    y, backward = getattr(F, name)(x, *arguments, **keywords)
    dy = rng.standard_normal(y.shape)
    torch.autograd.backward(expected, torch.from_numpy(dy.copy()))
    assert tensor.grad is not None
    for what, ours, theirs in (("y", y, expected.detach()), ("dx", backward(dy), tensor.grad)):
        assert (comparison := close(what, ours, theirs.numpy(), c=64)).passed, str(comparison)


@settings(max_examples=200, deadline=None)
@given(
    options=WINDOWS,
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    channels=SIZES,
    seed=st.integers(0, 99),
)
def test_any_fold(options: dict[str, Any], size: tuple[int, int], channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = torch.zeros(2, channels, *size, dtype=torch.float64)
    try:
        blocks = torch.nn.functional.unfold(image, **options)
    except RuntimeError:
        with pytest.raises(ValueError, match=r"^fold: expected .*, got "):
            F.fold(np.zeros((2, channels, 1)), size, **options)
        return
    y = rng.standard_normal(tuple(blocks.shape))
    tensor = torch.from_numpy(y.copy()).requires_grad_()
    expected = torch.nn.functional.fold(tensor, size, **options)
    x, backward = F.fold(y, size, **options)
    dx = rng.standard_normal(x.shape)
    torch.autograd.backward(expected, torch.from_numpy(dx.copy()))
    assert tensor.grad is not None
    for what, ours, theirs in (("x", x, expected.detach()), ("dy", backward(dx), tensor.grad)):
        assert (comparison := close(what, ours, theirs.numpy(), c=64)).passed, str(comparison)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("pixel_shuffle", (0, 8, 3, 2), (0, 2, 6, 4)),
        ("pixel_shuffle", (2, 8, 0, 3), (2, 2, 0, 6)),
        ("pixel_shuffle", (2, 0, 2, 3), (2, 0, 4, 6)),
        ("pixel_unshuffle", (0, 3, 6, 4), (0, 12, 3, 2)),
        ("pixel_unshuffle", (2, 3, 0, 4), (2, 12, 0, 2)),
        ("pixel_unshuffle", (2, 0, 2, 4), (2, 0, 1, 2)),
        ("channel_shuffle", (2, 0, 3), (2, 0, 3)),
    ],
)
def test_empty_arrays(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """torch 2.13 raises errors in their backward, and its pixel_unshuffle keeps their shape."""
    y, backward = getattr(F, name)(np.ones(shape), 2)
    assert y.shape == expected
    assert backward(y).shape == shape


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shuffles_undo_each_other(dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 12, 4, 6)).astype(dtype)
    there, there_back = F.pixel_shuffle(x, 2)
    back, back_back = F.pixel_unshuffle(there, 2)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(there_back(back_back(x)), x)
    for groups in (1, 2, 3, 4, 6, 12):
        mixed, _ = F.channel_shuffle(x, groups)
        np.testing.assert_array_equal(F.channel_shuffle(mixed, 12 // groups)[0], x)


OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1, "dilation": (2, 1)},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_fold_counts_the_blocks_of_each_entry(options: dict[str, Any]) -> None:
    """fold(unfold(x)) = x fold(unfold(1)), and each is the other's adjoint, in any dtype."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 5, 6))
    columns, unfold_back = F.unfold(x, **options)
    image, fold_back = F.fold(columns, (5, 6), **options)
    count, _ = F.fold(F.unfold(np.ones_like(x), **options)[0], (5, 6), **options)
    np.testing.assert_allclose(image, x * count, rtol=1e-14)
    dy = rng.standard_normal(columns.shape)
    np.testing.assert_array_equal(unfold_back(dy), F.fold(dy, (5, 6), **options)[0])
    np.testing.assert_array_equal(fold_back(x), columns)


@pytest.mark.parametrize("options", OPTIONS)
def test_convolution_is_a_product_with_the_columns(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 5, 6))
    kernel = np.broadcast_to(options["kernel_size"], 2)
    w = rng.standard_normal((4, 3, *kernel))
    y = w.reshape(4, -1) @ F.unfold(x, **options)[0]
    rest = {name: value for name, value in options.items() if name != "kernel_size"}
    expected = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), **rest)
    np.testing.assert_allclose(y, expected.numpy().reshape(y.shape), rtol=1e-12, atol=1e-13)
