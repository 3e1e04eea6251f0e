"""Train both twins from the same weights on the same batches and watch how far apart they drift.

A rounding difference grows smoothly from eps; a convention that differs jumps. Recorded at every
step:

    loss drift         |L - L'| / |L'|
    parameter drift    max over tensors of  max |w - w'| / max(|w'|, |w' at the start|)
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim
from datasets.split import batch_stream
from datasets.tasks import TASKS, Task
from parity_tests.harness import twin
from parity_tests.harness.check import TORCH_DTYPE
from scratch.training import loop as scratch_loop
from scratch.training import metrics as scratch_metrics
from torch_ref.training import loop as torch_loop
from torch_ref.training import metrics as torch_metrics
from torch_ref.training.build import build as build_torch

MODELS = tuple(dict.fromkeys(("MLP", "Neuron", *(task.model for task in TASKS.values()))))


@dataclass
class Trajectory:
    """What a compared run recorded.

    Attributes:
        setting: what was trained, and how.
        loss: scratch's loss at each step, before it.
        reference_loss: torch's.
        parameter_drift: largest relative parameter difference after each step that `watched` names.
        watched: steps at which parameters and metrics were compared.
        metric: the task's metric on the test set at those steps, scratch.
        reference_metric: the same, torch.
        seconds: time in scratch's steps.
        reference_seconds: time in torch's.
    """

    setting: dict[str, Any]
    loss: list[float] = field(default_factory=list)
    reference_loss: list[float] = field(default_factory=list)
    watched: list[int] = field(default_factory=list)
    parameter_drift: list[float] = field(default_factory=list)
    metric: list[float] = field(default_factory=list)
    reference_metric: list[float] = field(default_factory=list)
    seconds: float = 0.0
    reference_seconds: float = 0.0

    @property
    def loss_drift(self) -> list[float]:
        """Relative difference of the losses at each step."""
        a, b = np.array(self.loss), np.array(self.reference_loss)
        scale = np.maximum(np.abs(b), np.finfo(np.float64).tiny)
        drift: list[float] = (np.abs(a - b) / scale).tolist()
        return drift

    def worst_loss_drift(self, step: int) -> float:
        """The largest relative difference of the losses up to a step."""
        return max(self.loss_drift[:step], default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "loss_drift": self.loss_drift}


def build(
    task: Task, model: str, seed: int, dtype: Any, device: str = "cpu"
) -> tuple[scratch.nn.Module, torch.nn.Module]:
    """Both models of a task with torch's start at `seed`.

    Args:
        task: gives the sizes and the activation, or the arguments of its own model.
        model: the task's; or 'MLP', or 'Neuron' with one output, where x has columns.
        seed: torch.manual_seed before the torch model is made.
        dtype: float64 or float32.
        device: where the torch model lives.

    Raises:
        ValueError: if the model is unknown or does not fit the task.
    """
    theirs = build_torch(task, model, seed)
    ours: scratch.nn.Module
    if model == "MLP":
        sizes = [task.input_size, *task.hidden, task.output_size]
        ours = scratch.models.MLP(sizes, task.activation)
    elif model == "Neuron":
        ours = scratch.models.Neuron(task.input_size, "Identity")
    else:
        ours = getattr(scratch.models, model)(**task.model_args)
    theirs = theirs.to(TORCH_DTYPE[np.dtype(dtype)])
    ours.to(dtype).load_state_dict(twin.arrays(theirs.state_dict()))
    return ours, theirs.to(device)


def watch_points(steps: int, every: int) -> set[int]:
    """Steps at which parameters are compared: 1, 2, 5, 10, ..., each `every`-th, and the last."""
    decades = {b * 10**k for k in range(9) for b in (1, 2, 5)}
    return {s for s in decades if s <= steps} | set(range(every, steps + 1, every)) | {steps}


def compare(
    task: Task,
    *,
    model: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    optimizer: str | None = None,
    optimizer_args: dict[str, Any] | None = None,
    dtype: Any = np.float64,
    device: str = "cpu",
    progress: Callable[[int, Trajectory], None] | None = None,
) -> Trajectory:
    """Train both twins on a task, alternating step by step.

    Args:
        task: data and recipe.
        model: see `build`; None takes the task's.
        steps: number of steps; None takes the task's.
        seed: of the data, the start and the batches.
        optimizer: class name in both optim packages; None takes the task's with its arguments.
        optimizer_args: keyword arguments for both; None takes the task's, or its learning rate only
            where another optimizer is named.
        dtype: float64 or float32.
        device: where torch runs.
        progress: called with the step and what is recorded so far.

    Returns:
        The recorded trajectory.

    Raises:
        ValueError: if a model or optimizer is unknown or an argument is out of range.
    """
    dtype = np.dtype(dtype)
    if task.kind == "generative":
        raise ValueError(
            f"compare: expected a task with a loss of outputs and targets, got {task.name}, "
            f"whose model has its own; `parity train` takes either package"
        )
    steps = task.steps if steps is None else steps
    if steps < 1:
        raise ValueError(f"compare: expected steps >= 1, got {steps}")
    model, name = model or task.model, optimizer or task.optimizer
    if not hasattr(scratch.optim, name) or not hasattr(torch.optim, name):
        raise ValueError(f"compare: expected an optimizer that both packages have, got {name!r}")
    if optimizer_args is None:
        optimizer_args = dict(task.optimizer_args)
        if name != task.optimizer:
            optimizer_args = {"lr": optimizer_args.get("lr", 1e-3)}
    split = task.load(seed)
    ours, theirs = build(task, model, seed, dtype, device)
    classes = split.train_y.dtype.kind == "i"
    train_x, test_x = split.train_x.astype(dtype), split.test_x.astype(dtype)
    train_y, test_y = (y if classes else y.astype(dtype) for y in (split.train_y, split.test_y))
    tensors = [torch.from_numpy(a).to(device) for a in (train_x, train_y, test_x, test_y)]

    def stream() -> Iterator[Any]:
        return batch_stream(len(train_x), task.batch_size, steps, seed)

    mine = scratch_loop.train(
        ours,
        getattr(scratch.optim, name)(ours.parameters(), **optimizer_args),
        task.loss,
        train_x,
        train_y,
        stream(),
    )
    reference = torch_loop.train(
        theirs,
        getattr(torch.optim, name)(theirs.parameters(), **optimizer_args),
        task.loss,
        tensors[0],
        tensors[1],
        stream(),
    )
    measure = {task.metric: getattr(scratch_metrics, task.metric)}
    torch_measure = {task.metric: getattr(torch_metrics, task.metric)}
    result = Trajectory(
        {
            "task": task.name,
            "model": model,
            "hidden": list(task.hidden) if model == "MLP" else [],
            "optimizer": name,
            "optimizer_args": optimizer_args,
            "steps": steps,
            "seed": seed,
            "dtype": dtype.name,
            "device": device,
            "metric": task.metric,
            "target": task.target,
        }
    )
    start = largest(theirs)
    points = watch_points(steps, max(1, steps // 100))
    for step in range(1, steps + 1):
        started = time.perf_counter()
        record = next(mine)
        middle = time.perf_counter()
        reference_record = next(reference)
        result.seconds += middle - started
        result.reference_seconds += time.perf_counter() - middle
        result.loss.append(record.loss)
        result.reference_loss.append(reference_record.loss)
        if step in points:
            result.watched.append(step)
            result.parameter_drift.append(parameter_drift(ours, theirs, start))
            found = scratch_loop.evaluate(ours, test_x, test_y, measure)
            expected = torch_loop.evaluate(theirs, tensors[2], tensors[3], torch_measure)
            result.metric.append(float(found[task.metric]))
            result.reference_metric.append(float(expected[task.metric]))
        if progress is not None:
            progress(step, result)
    return result


def largest(module: torch.nn.Module) -> dict[str, float]:
    """The largest magnitude in each parameter."""
    return {name: float(p.detach().abs().max()) for name, p in module.named_parameters()}


def parameter_drift(
    ours: scratch.nn.Module, theirs: torch.nn.Module, start: dict[str, float]
) -> float:
    """The largest difference of a parameter tensor relative to its largest value, now or at first.

    A tensor that is driven to zero keeps the rounding of what it was made of.
    """
    worst = 0.0
    now = largest(theirs)
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        difference = float(np.max(np.abs(parameter.data - twin.numpy(expected[name]))))
        worst = max(worst, difference / max(now[name], start[name], 1e-300))
    return worst
