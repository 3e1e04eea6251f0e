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

import math
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from torch_ref.training.loop import Data, Loss
from torch_ref.training.trial import floating, one_pass, trial


class Origin(NamedTuple):
    """Where it is.

    Attributes:
        where: "input", "parameter", "forward", "loss", "backward" or "gradient".
        name: of the module or parameter; '' is the whole network.
    """

    where: str
    name: str


def nan_origin(model: nn.Module, loss: str | Loss, x: Data, t: Data) -> Origin | None:
    """Take a step's forward and backward and name what is first not finite.

    Args:
        model: runs as a copy, in the mode it is in.
        loss: name in `torch.nn.functional`, or a function (output, target) -> value.
        x: inputs (n, ...).
        t: targets (n, ...), as `loss` takes them.

    Returns:
        The origin, or None where all is finite.
    """
    forward: list[str] = []
    backward: list[str] = []

    def returned(name: str, module: nn.Module, args: Any, output: Any) -> None:
        if not _finite(output):
            forward.append(name)

    def went_back(name: str, module: nn.Module, dinputs: Any, doutput: Any) -> None:
        if not _finite(dinputs) and _finite(doutput):
            backward.append(name)
        if name == "" and not _finite(doutput):
            backward.insert(0, name)

    if not _finite(torch.as_tensor(x)):
        return Origin("input", "")
    for name, tensor in model.state_dict().items():
        if not _finite(tensor):
            return Origin("parameter", name)
    with trial(model) as (network,):
        network.zero_grad()
        for name, module in network.named_modules():
            module.register_forward_hook(partial(returned, name))
            module.register_full_backward_hook(partial(went_back, name))
        value = one_pass(network, loss, x, t)
    if forward:
        return Origin("forward", forward[0])
    if not math.isfinite(value):
        return Origin("loss", "")
    if backward:
        return Origin("backward", backward[0])
    for name, parameter in network.named_parameters():
        if not _finite(parameter.grad):
            return Origin("gradient", name)
    return None


def _finite(value: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in floating(value))
