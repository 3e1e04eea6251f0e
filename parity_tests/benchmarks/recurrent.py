"""Benchmarks of the recurrent layers, float32, forward and backward."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity_tests.benchmarks.timing import Timing, normal, pair
from scratch import nn


def layer(name: str, target: float, steps: int = 100, **options: Any) -> Timing:
    """A batch of 32, 128 features to 128, all gradients."""
    ours = getattr(nn, name)(128, 128, **options)
    theirs = getattr(torch.nn, name)(128, 128, **options)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    x = normal(steps, 32, 128)
    dy = normal(*ours(x)[0][0].shape)
    none = (None, None) if name == "LSTM" else None
    tensor, tensor_dy = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
    leaves = [tensor, *theirs.parameters()]

    def scratch_run() -> None:
        ours.zero_grad()
        _, backward = ours(x)
        backward(dy, none)

    def torch_run() -> None:
        torch.autograd.grad(theirs(tensor)[0], leaves, tensor_dy)

    text = "".join(f", {key} {value}" for key, value in options.items())
    return pair(f"{name} {steps} x 32 x 128 to 128{text}", scratch_run, torch_run, target)


BENCHMARKS: dict[str, Callable[[], Timing]] = {
    "lstm": partial(layer, "LSTM", 1.0),
    "gru": partial(layer, "GRU", 0.5),
    "rnn": partial(layer, "RNN", 1.0),
    "lstm_deep": partial(layer, "LSTM", 1.0, num_layers=2, bidirectional=True),
}
