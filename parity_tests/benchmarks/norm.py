"""Benchmarks of normalisation, float32, forward and backward."""

from collections.abc import Callable
from typing import Any

import torch

from parity_tests.benchmarks.timing import Timing, normal, op
from scratch.nn import functional as F

T = torch.nn.functional


def batch_norm(side: Any) -> Callable[..., Any]:
    """By the statistics of the batch."""
    return lambda x, g, b: side.batch_norm(x, None, None, g, b, training=True)


def group_norm(side: Any) -> Callable[..., Any]:
    """By eight groups."""
    return lambda x, g, b: side.group_norm(x, 8, g, b)


def of_features(name: str, side: Any) -> Callable[..., Any]:
    """By the last axis."""
    return lambda x, *learned: getattr(side, name)(x, (256,), *learned)


def of_images(name: str, make: Callable[[Any], Callable[..., Any]], target: float) -> Timing:
    """Images of 64 channels, with g and b."""
    inputs = (normal(32, 64, 14, 14), normal(64), normal(64))
    return op(f"{name} 32 x 64 x 14 x 14", make(F), make(T), inputs, target)


def of_sequences(name: str, learned: int, target: float) -> Timing:
    """Sequences of 256 features, with so many learned vectors."""
    inputs = (normal(16, 128, 256), *(normal(256) for _ in range(learned)))
    ours, theirs = of_features(name, F), of_features(name, T)
    return op(f"{name} 16 x 128 x 256", ours, theirs, inputs, target)


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "batch_norm": lambda: of_images("batch_norm", batch_norm, 1.3),
    # torch's kernels are one pass over memory each way; NumPy's are several.
    "group_norm": lambda: of_images("group_norm", group_norm, 3.0),
    "layer_norm": lambda: of_sequences("layer_norm", 2, 2.6),
    "rms_norm": lambda: of_sequences("rms_norm", 1, 0.8),
}
