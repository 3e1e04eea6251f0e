"""Benchmarks of attention, float32, forward and backward."""

from collections.abc import Callable
from typing import Any

import torch

from parity_tests.benchmarks.timing import Timing, normal, op, pair
from scratch import nn
from scratch.nn import functional as F
from scratch.nn.op import Backward

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


def self_attention(target: float) -> Timing:
    """nn.MultiheadAttention of one sequence, without the weights; all gradients."""
    ours = nn.MultiheadAttention(256, 8, batch_first=True)
    theirs = torch.nn.MultiheadAttention(256, 8, batch_first=True)

    def scratch_call(x: Any) -> tuple[Any, Backward]:
        (y, _), backward = ours(x, x, x, need_weights=False)

        def summed(dy: Any) -> Any:
            dquery, dkey, dvalue = backward(dy, None)
            return dquery + dkey + dvalue

        return y, summed

    def torch_call(x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = theirs(x, x, x, need_weights=False)[0]
        return y

    name = "MultiheadAttention 256, 8 heads, 16 x 128"
    return module(name, ours, theirs, scratch_call, torch_call, target)


def encoder_layer(target: float) -> Timing:
    """In training mode; all gradients."""
    options: dict[str, Any] = {"dropout": 0.0, "batch_first": True}
    ours = nn.TransformerEncoderLayer(256, 8, 1024, **options)
    theirs = torch.nn.TransformerEncoderLayer(256, 8, 1024, **options)
    name = "TransformerEncoderLayer 256, 8 heads, 1024, 16 x 128"
    return module(name, ours, theirs, ours, theirs, target)


def module(
    name: str,
    ours: nn.Module,
    theirs: torch.nn.Module,
    scratch_call: Callable[..., Any],
    torch_call: Callable[..., Any],
    target: float,
) -> Timing:
    """A batch of 16 sequences of 128 steps, 256 features."""
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    x, dy = normal(16, 128, 256), normal(16, 128, 256)
    tensor, tensor_dy = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
    leaves = [tensor, *theirs.parameters()]

    def scratch_run() -> None:
        ours.zero_grad()
        _, backward = scratch_call(x)
        backward(dy)

    def torch_run() -> None:
        torch.autograd.grad(torch_call(tensor), leaves, tensor_dy)

    return pair(name, scratch_run, torch_run, target)


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "attention": lambda: attention(1.0, (16, 8), 128, 32),
    "attention_long": lambda: attention(1.5, (2, 8), 512, 64),
    "self_attention": lambda: self_attention(1.2),
    "encoder_layer": lambda: encoder_layer(1.2),
    "memory_efficient": lambda: op(
        "memory-efficient attention 1 x 4 x 2048 x 64",
        F.memory_efficient_attention,
        T.scaled_dot_product_attention,
        [normal(1, 4, 2048, 64) for _ in range(3)],
        2.0,
    ),
}
