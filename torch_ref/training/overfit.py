"""One batch learned by heart: the first test of a network and its training step.

A network that cannot bring the loss of a few rows near 0 will not learn many: its gradient, its
loss or its wiring is wrong. A copy is trained; model and optimizer stay as they are.
"""

import math
from itertools import repeat
from typing import NamedTuple

import torch
from torch import nn

from torch_ref.training.loop import Data, Loss, train
from torch_ref.training.trial import trial


class OneBatch(NamedTuple):
    """How it went.

    Attributes:
        losses: before each step, to the first that is not above the bound or not finite.
        step: the number of steps that reached the bound; None if none did.
    """

    losses: list[float]
    step: int | None


def overfit_one_batch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: str | Loss,
    x: Data,
    t: Data,
    *,
    steps: int = 500,
    bound: float = 0.01,
    device: str | torch.device = "cpu",
) -> OneBatch:
    """Train a copy on the same rows until their loss is at the bound.

    Args:
        model: maps rows of x to outputs; stays as it is.
        optimizer: of the model's parameters; stays as it is.
        loss: name in `torch.nn.functional`, or a function (output, target) -> value.
        x: inputs of the batch (n, ...).
        t: targets (n, ...), as `loss` takes them.
        steps: the most to take, 1 or more.
        bound: of the loss in training mode, 0 or more.
        device: 'auto', 'cpu', 'cuda' or a torch.device, for the copy.

    Returns:
        The curve, and when it reached the bound.

    Raises:
        ValueError: if `steps` or `bound` is out of range.
    """
    if steps < 1 or bound < 0:
        raise ValueError(
            f"overfit_one_batch: expected steps >= 1 and bound >= 0, got {steps} and {bound}"
        )
    losses: list[float] = []
    batches = repeat(torch.arange(len(x)), steps + 1)
    with trial(model, optimizer, device=device) as (copied, stepper):
        for record in train(copied, stepper, loss, x, t, batches, device=device):
            losses.append(record.loss)
            if record.loss <= bound:
                return OneBatch(losses, record.step - 1)
            if not math.isfinite(record.loss):
                break
    return OneBatch(losses, None)
