"""A copy to try things on, and one pass through it: the model stays as it is."""

import copy

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn import functional
from scratch.nn.module import Module
from scratch.training.loop import Loss


def copied(function: str, model: Module) -> Module:
    """A copy of a model, with its buffers and generators; refuses what is none."""
    if not isinstance(model, Module):
        check.refuse(function, "model to be a Module", check.describe(model), TypeError)
    return copy.deepcopy(model)


def loss_function(function: str, loss: str | Loss) -> Loss:
    """The loss of that name, or the function itself."""
    compute = getattr(functional, loss, None) if isinstance(loss, str) else loss
    if not callable(compute):
        check.refuse(function, "loss to be a function or its name", check.describe(loss), TypeError)
    return compute


def one_pass(model: Module, loss: Loss, x: Array, t: Array) -> float:
    """Forward, loss and backward down to the inputs; overflow and NaN pass without a warning."""
    with np.errstate(all="ignore"):
        output, model_back = model(x)
        value, loss_back = loss(output, t)
        gradients = loss_back()  # a floating target has one too
        model_back(gradients[0] if isinstance(gradients, tuple) else gradients)
    return float(value)


def floating(value: object) -> list[Array]:
    """The floating arrays in an output, which may be nested."""
    if isinstance(value, tuple | list):
        return [array for part in value for array in floating(part)]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f":
        return [np.asarray(value)]
    return []
