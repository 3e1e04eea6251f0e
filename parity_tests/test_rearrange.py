"""Beside the catalog of rearrangements: empty arrays, round trips, convolution by columns."""

from typing import Any

import numpy as np
import pytest
import torch

from scratch.nn import functional as F


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
