"""The training loop: forward, loss, backward, step, on batches that are given.

    for step, loss in train(model, optimizer, "cross_entropy", x, t, batches):
        ...  # print, schedule, stop: whatever a step calls for
    evaluate(model, x_test, t_test, {"accuracy": metrics.accuracy})

Given the same start, data and batches, the twin in `torch_ref.training` takes the same steps.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from scratch import check
from scratch.check import Array
from scratch.nn import functional
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.optim import Optimizer

Loss = Callable[[Array, Array], tuple[Array, Backward]]
Metric = Callable[[Array, Array], float]
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
    model: Module,
    optimizer: Optimizer,
    loss: str | Loss,
    x: Array,
    t: Array,
    batches: Iterable[Array],
) -> Iterator[Record]:
    """Take one step for each batch, whenever the next record is asked for.

    Args:
        model: maps rows of x to outputs; it is in training mode during a step.
        optimizer: of the model's parameters.
        loss: name in `scratch.nn.functional`, or a function (output, target) -> value, backward.
        x: inputs (n, ...).
        t: targets (n, ...), as `loss` takes them.
        batches: arrays of indices, the rows of each step.

    Returns:
        The records of the steps, one by one.

    Raises:
        TypeError, ValueError: if there is no such loss, or x and t differ in length.
    """
    compute = getattr(functional, loss, None) if isinstance(loss, str) else loss
    if not callable(compute):
        check.refuse("train", "loss to be a function or its name", check.describe(loss), TypeError)
    if len(x) != len(t):
        check.refuse("train", "as many targets as inputs", f"{len(t)} for {len(x)}")
    return _steps(model, optimizer, compute, x, t, batches)


def _steps(
    model: Module, optimizer: Optimizer, loss: Loss, x: Array, t: Array, batches: Iterable[Array]
) -> Iterator[Record]:
    for step, rows in enumerate(batches, 1):
        model.train()
        output, model_back = model(x[rows])
        value, loss_back = loss(output, t[rows])
        optimizer.zero_grad()
        gradients = loss_back()  # a floating target has one too
        doutput = gradients[0] if isinstance(gradients, tuple) else gradients
        model_back(doutput, needs_input_grad=False)
        optimizer.step()
        yield Record(step, float(value))


def evaluate(
    model: Module, x: Array, t: Array, metrics: Mapping[Name, Metric]
) -> dict[Name, float]:
    """Apply metrics to the model's output in evaluation mode; the mode it was in comes back.

    Args:
        model: maps x to outputs.
        x: inputs (n, ...).
        t: targets, as the metrics take them.
        metrics: functions (output, target) -> number, by name.

    Returns:
        The numbers, by the same names.
    """
    modes = [(module, module.training) for module in model.modules()]
    output, _ = model.eval()(x)
    for module, mode in modes:
        module.training = mode
    return {name: metric(output, t) for name, metric in metrics.items()}
