"""Benchmarks of attention, float32, forward and backward."""

from collections.abc import Callable

import torch

from parity_tests.benchmarks.timing import Timing, normal, op
from scratch.nn import functional as F

T = torch.nn.functional


def attention(target: float, lead: tuple[int, ...], length: int, size: int) -> Timing:
    """Self-attention, all gradients."""
    name = " x ".join(map(str, (*lead, length, size)))
    return op(
        f"attention {name}",
        F.scaled_dot_product_attention,
        T.scaled_dot_product_attention,
        [normal(*lead, length, size) for _ in range(3)],
        target,
    )


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "attention": lambda: attention(1.0, (16, 8), 128, 32),
    "attention_long": lambda: attention(1.5, (2, 8), 512, 64),
}
