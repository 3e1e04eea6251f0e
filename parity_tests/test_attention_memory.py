"""What attention keeps: a square for each head, or none."""

import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from scratch.nn import functional as F

HEADS, FEATURES = 2, 16


def measured(attend: Callable[..., Any], length: int, **options: Any) -> tuple[int, int]:
    """Bytes that lie between forward and backward, and the most there ever were."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((1, HEADS, length, FEATURES), np.float32) for _ in "qkv"]
    dy = np.ones_like(inputs[0])
    tracemalloc.start()
    try:
        y, backward = attend(*inputs, **options)
        held, _ = tracemalloc.get_traced_memory()
        backward(dy)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert y.shape == dy.shape
    return held, peak


@pytest.mark.parametrize("causal", [False, True])
def test_tiles_grow_with_the_length(causal: bool) -> None:
    """As much again for twice the length, and no square of either kind."""
    options = {"is_causal": causal, "block_size": 64}
    peaks = [measured(F.memory_efficient_attention, n, **options)[1] for n in (512, 1024, 2048)]
    assert all(2 * a * 1.1 > b for a, b in pairwise(peaks))
    assert peaks[-1] < 2048 * 2048  # a single bool one


def test_plain_grows_with_the_square() -> None:
    held, peaks = zip(
        *(measured(F.scaled_dot_product_attention, n) for n in (512, 1024)), strict=True
    )
    assert peaks[1] > 3.3 * peaks[0]
    square = HEADS * 1024 * 1024 * np.dtype(np.float32).itemsize
    assert held[1] < 1.5 * square and peaks[1] < 3 * square
