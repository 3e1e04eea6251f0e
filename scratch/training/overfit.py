"""One batch learned by heart: the first test of a network and its training step.

A network that cannot bring the loss of a few rows near 0 will not learn many: its gradient, its
loss or its wiring is wrong. A copy is trained; model and optimizer stay as they are.
"""

import copy
from itertools import repeat
from typing import NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.optim import Optimizer
from scratch.training.loop import Loss, train


class OneBatch(NamedTuple):
    """How it went.

    Attributes:
        losses: before each step, to the first that is not above the bound or not finite.
        step: the number of steps that reached the bound; None if none did.
    """

    losses: list[float]
    step: int | None


def overfit_one_batch(
    model: Module,
    optimizer: Optimizer,
    loss: str | Loss,
    x: Array,
    t: Array,
    *,
    steps: int = 500,
    bound: float = 0.01,
) -> OneBatch:
    """Train a copy on the same rows until their loss is at the bound.

    Args:
        model: maps rows of x to outputs; stays as it is.
        optimizer: of the model's parameters; stays as it is.
        loss: name in `scratch.nn.functional`, or a function (output, target) -> value, backward.
        x: inputs of the batch (n, ...).
        t: targets (n, ...), as `loss` takes them.
        steps: the most to take, 1 or more.
        bound: of the loss in training mode, 0 or more.

    Returns:
        The curve, and when it reached the bound.

    Raises:
        TypeError, ValueError: if an argument is of another type or out of range.
    """
    steps = check.size("overfit_one_batch", "steps", steps, low=1)
    bound = check.number("overfit_one_batch", "bound", bound, low=0)
    if not isinstance(model, Module):
        check.refuse("overfit_one_batch", "model to be a Module", check.describe(model), TypeError)
    trial, stepper = copy.deepcopy((model, optimizer))
    losses: list[float] = []
    with np.errstate(all="ignore"):  # to fail is a result
        batches = repeat(np.arange(len(x)), steps + 1)
        for record in train(trial, stepper, loss, x, t, batches):
            losses.append(record.loss)
            if record.loss <= bound:
                return OneBatch(losses, record.step - 1)
            if not np.isfinite(record.loss):
                break
    return OneBatch(losses, None)
