"""What happens inside a network: of activations, gradients, units and updates.

activation_statistics  of what each named module returns
gradient_statistics    of the gradient that reaches each named module's output
    mean   std = sqrt(mean (v - mean)^2)   zeros = share of v = 0   norm = sqrt(sum v^2)   max |v|
dead_units             units that are 0 for every row that is given
gradient_norms         sqrt(sum g^2) of each parameter
update_ratios          |w - w_before| / |w_before| of each parameter

Names are those of `named_modules`, '' the whole; a module that runs several times counts as one.
All but the last two run a copy of the model: parameters, gradients, buffers and generators stay.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torch_ref.training.loop import Data, Loss
from torch_ref.training.trial import floating, on_device, one_pass, trial


class Statistics(NamedTuple):
    """Of all values of a tensor.

    Attributes:
        mean: their mean.
        std: their standard deviation (over their number, not less one).
        zeros: the share that is exactly 0.
        norm: their Euclidean norm.
        largest: the largest magnitude.
    """

    mean: float
    std: float
    zeros: float
    norm: float
    largest: float


@torch.no_grad()
def activation_statistics(model: nn.Module, x: Data) -> dict[str, Statistics]:
    """Look at what each module returns, in the mode the model is in.

    Args:
        model: runs as a copy.
        x: inputs (n, ...); moved to where the model is.

    Returns:
        Statistics by module, in the order in which they first return.
    """
    outputs: dict[str, list[Tensor]] = {}
    with trial(model) as (network,):
        _record_outputs(network, outputs)
        network(on_device(network, x))
    return {name: _statistics(tensors) for name, tensors in outputs.items() if tensors}


def gradient_statistics(
    model: nn.Module, loss: str | Loss, x: Data, t: Data
) -> dict[str, Statistics]:
    """Look at the gradient of the loss for each module's output, in the mode the model is in.

    Args:
        model: runs as a copy.
        loss: name in `torch.nn.functional`, or a function (output, target) -> value.
        x: inputs (n, ...); moved to where the model is.
        t: targets (n, ...), as `loss` takes them.

    Returns:
        Statistics by module, in the order in which they first return in the forward, so that the
        first is the farthest from the loss.
    """
    outputs: dict[str, list[Tensor]] = {}
    gradients: dict[str, list[Tensor]] = {}

    def look(name: str, module: nn.Module, dinputs: Any, doutput: Any) -> None:
        gradients.setdefault(name, []).extend(g.detach().clone() for g in floating(doutput))

    with trial(model) as (network,):
        _record_outputs(network, outputs)
        for name, module in network.named_modules():
            module.register_full_backward_hook(partial(look, name))
        one_pass(network, loss, x, t)
    return {name: _statistics(gradients[name]) for name in outputs if gradients.get(name)}


@torch.inference_mode()
def dead_units(
    model: nn.Module, x: Data, *, batch_size: int = 256, axis: int = 1
) -> dict[str, Tensor]:
    """Find the units that are 0 for every row, in evaluation mode.

    Args:
        model: runs as a copy.
        x: inputs (n, ...), all that matter: a unit is dead only as far as they go.
        batch_size: rows at a time.
        axis: of the units in each output: 1 for features and channels, 2 of sequences.

    Returns:
        True where a unit is dead, (units,), by module; of those that return one floating tensor
        with such an axis.
    """
    alive: dict[str, Tensor] = {}

    def look(name: str, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and output.dim() > axis:
            some = (output != 0).movedim(axis, 0).flatten(1).any(1)
            alive[name] = alive[name] | some if name in alive else some

    with trial(model) as (network,):
        network.eval()
        for path, module in network.named_modules():
            module.register_forward_hook(partial(look, path))
        for rows in torch.split(on_device(network, x), batch_size):
            network(rows)
    return {path: ~units for path, units in alive.items()}


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Euclidean norm of each parameter's gradient, as the last backward left it.

    Args:
        model: whose gradients they are.

    Returns:
        Norms by parameter; of those that have a gradient.
    """
    gradients = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    return {name: g.to_dense().double().norm().item() for name, g in gradients}


@torch.no_grad()
def update_ratios(model: nn.Module, before: Mapping[str, Tensor]) -> dict[str, float]:
    """How far each parameter has gone, relative to its size; a step of 1e-3 is usual.

    Args:
        model: as it is now.
        before: copies of its `state_dict()` tensors from before the step or steps; torch's
            state_dict itself holds the parameters, which move.

    Returns:
        |w - w_before| / |w_before| by parameter; infinite where that was 0 and has moved.
    """
    ratios = {}
    for name, parameter in model.named_parameters():
        moved = (parameter - before[name]).double().norm().item()
        size = before[name].double().norm().item()
        ratios[name] = moved / size if size else (math.inf if moved else 0.0)
    return ratios


def _record_outputs(network: nn.Module, outputs: dict[str, list[Tensor]]) -> None:
    """Copies of what each module returns; the calls of one module together."""

    def look(name: str, module: nn.Module, args: Any, output: Any) -> None:
        outputs.setdefault(name, []).extend(y.detach().clone() for y in floating(output))

    for name, module in network.named_modules():
        module.register_forward_hook(partial(look, name))


def _statistics(tensors: list[Tensor]) -> Statistics:
    v = torch.cat([tensor.flatten() for tensor in tensors]).double()
    if not v.numel():
        return Statistics(*(math.nan,) * 3, 0.0, 0.0)
    return Statistics(
        v.mean().item(),
        v.std(correction=0).item(),
        (v == 0).double().mean().item(),
        v.norm().item(),
        v.abs().max().item(),
    )
