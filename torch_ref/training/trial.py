"""A copy to try things on; the model, its belongings and torch's generators stay as they are."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from torch_ref.training.device import resolve_device
from torch_ref.training.loop import Data, Loss


@contextmanager
def trial(
    model: nn.Module, *belongings: Any, device: str | torch.device | None = None
) -> Iterator[tuple[Any, ...]]:
    """Copies for the block; what the block draws from torch's generators is drawn again after it.

    Args:
        model: to copy.
        belongings: copied with it, such as the optimizer of its parameters.
        device: where the copy will run, if not where the model is.

    Yields:
        The copies, in order.
    """
    used = {p.device for p in model.parameters()}
    used |= {resolve_device(device)} if device is not None else set()
    indices = {d.index or 0 for d in used if d.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(indices)):
        yield copy.deepcopy((model, *belongings))


def one_pass(model: nn.Module, loss: str | Loss, x: Data, t: Data) -> float:
    """Forward, loss and backward down to the inputs.

    Modules are told not to work in place: what they change could not be looked at.
    """
    for module in model.modules():
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False
    inputs, targets = on_device(model, x), on_device(model, t)
    if inputs.is_floating_point():
        inputs = inputs.detach().requires_grad_()
    compute: Loss = getattr(functional, loss) if isinstance(loss, str) else loss
    value = compute(model(inputs), targets)
    with warnings.catch_warnings():  # of integer inputs, which have no gradient to wait for
        warnings.filterwarnings("ignore", "Full backward hook is firing")
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
    return value.item()


def on_device(model: nn.Module, values: Data) -> Tensor:
    """As a tensor, where the model is."""
    device = next((p.device for p in model.parameters()), None)
    return torch.as_tensor(values, device=device)


def floating(value: object) -> list[Tensor]:
    """The floating tensors in an output, which may be nested."""
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in floating(part)]
    return [value] if isinstance(value, Tensor) and value.is_floating_point() else []
