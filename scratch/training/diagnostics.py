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

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.sparse import SparseGradient
from scratch.nn.trace import Trace, trace
from scratch.training.loop import Loss
from scratch.training.trial import copied, floating, loss_function, one_pass


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


def activation_statistics(model: Module, x: Array) -> dict[str, Statistics]:
    """Look at what each module returns, in the mode the model is in.

    Args:
        model: runs as a copy.
        x: inputs (n, ...).

    Returns:
        Statistics by module, in the order in which they first return.

    Raises:
        TypeError: if the model is none; TypeError, ValueError: if it refuses x.
    """
    network = copied("activation_statistics", model)
    with trace(network) as seen, np.errstate(all="ignore"):
        network(x)
    return _by_name(seen.outputs, seen)


def gradient_statistics(
    model: Module, loss: str | Loss, x: Array, t: Array
) -> dict[str, Statistics]:
    """Look at the gradient of the loss for each module's output, in the mode the model is in.

    Args:
        model: runs as a copy.
        loss: name in `scratch.nn.functional`, or a function (output, target) -> value, backward.
        x: inputs (n, ...).
        t: targets (n, ...), as `loss` takes them.

    Returns:
        Statistics by module, in the order in which they first return in the forward, so that the
        first is the farthest from the loss.

    Raises:
        TypeError: if the model or loss is none; TypeError, ValueError: if they refuse x or t.
    """
    compute = loss_function("gradient_statistics", loss)
    network = copied("gradient_statistics", model)
    with trace(network) as seen:
        one_pass(network, compute, x, t)
    return _by_name(seen.gradients, seen)


def dead_units(
    model: Module, x: Array, *, batch_size: int = 256, axis: int = 1
) -> dict[str, Array]:
    """Find the units that are 0 for every row, in evaluation mode.

    Args:
        model: runs as a copy.
        x: inputs (n, ...), all that matter: a unit is dead only as far as they go.
        batch_size: rows at a time.
        axis: of the units in each output: 1 for features and channels, 2 of sequences.

    Returns:
        True where a unit is dead, (units,), by module; of those that return one floating array
        with such an axis.

    Raises:
        TypeError, ValueError: if an argument is of another type or out of range, x has no rows, or
            the model refuses it.
    """
    name = "dead_units"
    network = copied(name, model).eval()
    batch_size = check.size(name, "batch_size", batch_size, low=1)
    axis = check.size(name, "axis", axis, low=1)
    if not isinstance(x, np.ndarray) or not x.shape or not len(x):
        check.refuse(name, "x to be an array with rows", check.describe(x))
    alive: dict[str, Array] = {}

    def look(name: str, module: Module, args: Any, output: Any) -> None:
        if isinstance(output, np.ndarray) and output.dtype.kind == "f" and output.ndim > axis:
            others = tuple(a for a in range(output.ndim) if a != axis)
            alive[name] = alive.get(name, False) | (output != 0).any(others)

    for path, module in network.named_modules():
        module.register_forward_hook(partial(look, path))
    for start in range(0, len(x), batch_size):
        network(x[start : start + batch_size])
    return {path: ~units for path, units in alive.items()}


def gradient_norms(model: Module) -> dict[str, float]:
    """Euclidean norm of each parameter's gradient, as the last backward left it.

    Args:
        model: whose gradients they are.

    Returns:
        Norms by parameter; of those that have a gradient.

    Raises:
        TypeError: if the model is none.
    """
    if not isinstance(model, Module):
        check.refuse("gradient_norms", "model to be a Module", check.describe(model), TypeError)
    gradients = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    return {name: _norm(g.dense() if isinstance(g, SparseGradient) else g) for name, g in gradients}


def update_ratios(model: Module, before: Mapping[str, Array]) -> dict[str, float]:
    """How far each parameter has gone, relative to its size; a step of 1e-3 is usual.

    Args:
        model: as it is now.
        before: its `state_dict()` from before the step or steps.

    Returns:
        |w - w_before| / |w_before| by parameter; infinite where that was 0 and has moved.

    Raises:
        TypeError: if the model is none.
        ValueError: if a parameter is not among `before`, or had another shape.
    """
    if not isinstance(model, Module):
        check.refuse("update_ratios", "model to be a Module", check.describe(model), TypeError)
    ratios = {}
    for name, parameter in model.named_parameters():
        if name not in before or before[name].shape != parameter.shape:
            got = before[name].shape if name in before else "none"
            check.refuse("update_ratios", f"{name} of shape {parameter.shape} in before", got)
        moved = _norm(parameter.data - before[name])
        size = _norm(before[name])
        ratios[name] = moved / size if size else (float("inf") if moved else 0.0)
    return ratios


def _norm(values: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(values.astype(np.float64).ravel()))


def _by_name(recorded: list[tuple[str, Any]], seen: Trace) -> dict[str, Statistics]:
    """In the order of the forward; the calls of one module together."""
    held: dict[str, list[Array]] = {name: [] for name, _ in seen.outputs}
    for name, value in recorded:
        held[name] += floating(value)
    return {name: _statistics(arrays) for name, arrays in held.items() if arrays}


def _statistics(arrays: list[Array]) -> Statistics:
    v = np.concatenate([array.ravel() for array in arrays]).astype(np.float64)
    if not v.size:
        return Statistics(*(float("nan"),) * 3, 0.0, 0.0)
    with np.errstate(all="ignore"):  # a NaN or an overflow is a finding
        return Statistics(
            float(v.mean()),
            float(v.std()),
            float((v == 0).mean()),
            float(np.linalg.norm(v)),
            float(np.abs(v).max()),
        )
