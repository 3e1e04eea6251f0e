"""The training loop: forward, loss, backward, step, on batches that are given.

    for step, loss in train(model, optimizer, "cross_entropy", x, t, batches, device="cuda"):
        ...  # print, schedule, stop: whatever a step calls for
    evaluate(model, x_test, t_test, {"accuracy": metrics.accuracy}, device="cuda")

Given the same start, data and batches, the twin in `scratch.training` takes the same steps.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from torch_ref.training.device import resolve_device

Data = Tensor | NDArray[Any]
Loss = Callable[[Tensor, Tensor], Tensor]
Metric = Callable[[Tensor, Tensor], float]
Name = TypeVar("Name", bound=str)


class Record(NamedTuple):
    """One step of training.

    Attributes:
        step: its number, from 1.
        loss: that of its batch, before the step.
    """

    step: int
    loss: float


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: str | Loss,
    x: Data,
    t: Data,
    batches: Iterable[Data],
    *,
    device: str | torch.device = "cpu",
) -> Iterator[Record]:
    """Take one step for each batch, whenever the next record is asked for.

    Args:
        model: maps rows of x to outputs; it is in training mode during a step. It is moved to
            `device`.
        optimizer: of the model's parameters.
        loss: name in `torch.nn.functional`, or a function (output, target) -> value.
        x: inputs (n, ...); moved to `device` once.
        t: targets (n, ...), as `loss` takes them; moved likewise.
        batches: indices, the rows of each step.
        device: 'auto', 'cpu', 'cuda' or a torch.device.

    Yields:
        The records of the steps, one by one.
    """
    compute: Loss = getattr(functional, loss) if isinstance(loss, str) else loss
    device = resolve_device(device)
    model.to(device)
    inputs, targets = torch.as_tensor(x, device=device), torch.as_tensor(t, device=device)
    for step, batch in enumerate(batches, 1):
        model.train()
        rows = torch.as_tensor(batch, device=device)
        value = compute(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        optimizer.step()
        yield Record(step, value.item())


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    x: Data,
    t: Data,
    metrics: Mapping[Name, Metric],
    *,
    device: str | torch.device = "cpu",
) -> dict[Name, float]:
    """Apply metrics to the model's output in evaluation mode; the mode it was in comes back.

    Args:
        model: maps x to outputs; it is moved to `device`.
        x: inputs (n, ...).
        t: targets, as the metrics take them.
        metrics: functions (output, target) -> number, by name.
        device: 'auto', 'cpu', 'cuda' or a torch.device.

    Returns:
        The numbers, by the same names.
    """
    device = resolve_device(device)
    modes = [(module, module.training) for module in model.modules()]
    output = model.to(device).eval()(torch.as_tensor(x, device=device))
    for module, mode in modes:
        module.training = mode
    target = torch.as_tensor(t, device=device)
    return {name: metric(output, target) for name, metric in metrics.items()}
