"""Where the first NaN or infinity of a step comes from.

In the order of the step, the first of these that is not finite while what it was made of was:

input      x
parameter  a parameter or buffer, by its name
forward    the output of a module, the innermost that returned it
loss       the loss
backward   the gradient of a module's inputs, the innermost that returned it; of '' also that of
           the network's output, which comes from the loss
gradient   a parameter's gradient, by its name

A product that overflows to infinity is where NaN begins, and so it is what is reported.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.sparse import SparseGradient
from scratch.training.loop import Loss
from scratch.training.trial import copied, floating, loss_function, one_pass


class Origin(NamedTuple):
    """Where it is.

    Attributes:
        where: "input", "parameter", "forward", "loss", "backward" or "gradient".
        name: of the module or parameter; '' is the whole network.
    """

    where: str
    name: str


def nan_origin(model: Module, loss: str | Loss, x: Array, t: Array) -> Origin | None:
    """Take a step's forward and backward and name what is first not finite.

    Args:
        model: runs as a copy, in the mode it is in.
        loss: name in `scratch.nn.functional`, or a function (output, target) -> value, backward.
        x: inputs (n, ...).
        t: targets (n, ...), as `loss` takes them.

    Returns:
        The origin, or None where all is finite.

    Raises:
        TypeError: if the model or loss is none; TypeError, ValueError: if they refuse x or t.
    """
    compute = loss_function("nan_origin", loss)
    network = copied("nan_origin", model)
    if not _finite(x):
        return Origin("input", "")
    for name, array in network._state().items():
        if not _finite(array):
            return Origin("parameter", name)
    network.zero_grad()
    forward: list[str] = []
    backward: list[str] = []

    def returned(name: str, module: Module, args: Any, output: Any) -> None:
        if not _finite(output):
            forward.append(name)

    def went_back(name: str, module: Module, dinputs: Any, doutput: Any) -> None:
        if not _finite(dinputs) and _finite(doutput):
            backward.append(name)
        if name == "" and not _finite(doutput):
            backward.insert(0, name)

    for name, module in network.named_modules():
        module.register_forward_hook(partial(returned, name))
        module.register_full_backward_hook(partial(went_back, name))
    value = one_pass(network, compute, x, t)
    if forward:
        return Origin("forward", forward[0])
    if not np.isfinite(value):
        return Origin("loss", "")
    if backward:
        return Origin("backward", backward[0])
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        dense = gradient.values if isinstance(gradient, SparseGradient) else gradient
        if not _finite(dense):
            return Origin("gradient", name)
    return None


def _finite(value: Any) -> bool:
    return all(np.isfinite(array).all() for array in floating(value))
