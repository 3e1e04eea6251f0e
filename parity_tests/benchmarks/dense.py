"""Benchmarks of the dense networks: a whole training step, and the ops it is made of."""

from collections.abc import Callable
from typing import Any

import torch

import scratch
import torch_ref.models
from parity_tests.benchmarks.timing import RNG, Timing, ids, normal, op, pair
from parity_tests.harness.twin import arrays
from scratch.models import MLP
from scratch.nn import functional as F


def mlp_step() -> Timing:
    """784-256-128-10, batch 128: forward, cross entropy, backward, Adam."""
    torch.manual_seed(0)
    theirs = torch_ref.models.MLP([784, 256, 128, 10])
    ours = MLP([784, 256, 128, 10])
    ours.load_state_dict(arrays(theirs.state_dict()))
    optimizer = scratch.optim.Adam(ours.parameters())
    reference = torch.optim.Adam(theirs.parameters())
    x, t = normal(128, 784), ids(10, 128)
    tensor_x, tensor_t = torch.from_numpy(x), torch.from_numpy(t)

    def scratch_step() -> None:
        logits, model_back = ours(x)
        _, loss_back = F.cross_entropy(logits, t)
        optimizer.zero_grad()
        model_back(loss_back(), needs_input_grad=False)  # as torch's, which x does not require
        optimizer.step()

    def torch_step() -> None:
        loss = torch.nn.functional.cross_entropy(theirs(tensor_x), tensor_t)
        reference.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        reference.step()

    return pair("MLP 784-256-128-10, batch 128, step with Adam", scratch_step, torch_step, 0.9, 4)


def optimizer(name: str, target: float, **options: Any) -> Timing:
    """A step over 50 tensors of 100,000 values; torch's default (foreach) implementation."""
    ours = [scratch.nn.Parameter(normal(100_000)) for _ in range(50)]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.data.copy())) for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        p.grad = normal(100_000)
        q.grad = torch.from_numpy(p.grad.copy())
    step = getattr(scratch.optim, name)(ours, **options).step
    reference = getattr(torch.optim, name)(theirs, **options).step
    label = ", ".join([name, *(f"{k} {v}" for k, v in options.items())])
    return pair(f"{label}: a step, 50 x 100,000", step, reference, target)


T = torch.nn.functional
MASK = RNG.random((1000, 1000)) < 0.5
TENSOR_MASK = torch.from_numpy(MASK)
BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "mlp_step": mlp_step,
    "linear": lambda: op(
        "linear, 128 x 784 to 256",
        F.linear,
        T.linear,
        (normal(128, 784), normal(256, 784), normal(256)),
        1.2,
    ),
    "relu": lambda: op("relu, one million", F.relu, T.relu, (normal(1000, 1000),), 2.5),
    "sigmoid": lambda: op(
        "sigmoid, 16 x 128 x 1024", F.sigmoid, torch.sigmoid, (normal(16, 128, 1024),), 3
    ),
    "gelu": lambda: op("gelu, exact, 16 x 128 x 1024", F.gelu, T.gelu, (normal(16, 128, 1024),), 3),
    "gelu_tanh": lambda: op(
        "gelu, tanh, 16 x 128 x 1024",
        lambda x: F.gelu(x, "tanh"),
        lambda x: T.gelu(x, approximate="tanh"),
        (normal(16, 128, 1024),),
        1.2,
    ),
    "softmax": lambda: op(
        "softmax, 1024 x 1000",
        lambda x: F.softmax(x, 1),
        lambda x: T.softmax(x, 1),
        (normal(1024, 1000),),
        2,
    ),
    "cross_entropy": lambda: op(
        "cross_entropy, 4096 x 1000",
        F.cross_entropy,
        T.cross_entropy,
        (normal(4096, 1000), ids(1000, 4096)),
        2,
    ),
    "embedding": lambda: op(
        "embedding, 32 x 128 of 10,000 x 128",
        F.embedding,
        T.embedding,
        (ids(10_000, 32, 128), normal(10_000, 128)),
        2,
    ),
    "dropout": lambda: op(
        "dropout 0.5, 1000 x 1000, mask given",
        lambda x: F.dropout(x, 0.5, mask=MASK),
        lambda x: x * TENSOR_MASK * 2,
        (normal(1000, 1000),),
        2,
    ),
    "sgd": lambda: optimizer("SGD", 1.2, lr=0.01, momentum=0.9),
    "adam": lambda: optimizer("Adam", 1.2),
    "adamw": lambda: optimizer("AdamW", 1.2),
}
