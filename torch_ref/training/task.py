"""Train the reference on a task of `datasets.tasks`: data, model, optimizer and loop."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.split import batch_stream
from datasets.tasks import Task
from torch_ref import models
from torch_ref.training import metrics
from torch_ref.training.checkpoint import save_weights
from torch_ref.training.loop import evaluate, train


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        setting: what was trained, and how.
        model: the trained model.
        loss: of each step's batch, before the step.
        metric: the task's metric on the test set.
        seconds: of the steps.
    """

    setting: dict[str, Any]
    model: nn.Module
    loss: list[float]
    metric: float
    seconds: float

    def save(self, folder: Path, stem: str, flags: dict[str, str]) -> tuple[Path, Path]:
        """Write weights (safetensors) and numbers (JSON), each beside its target and renamed.

        Args:
            folder: where to; it is made if need be.
            stem: of both file names.
            flags: precision flags of the run, for the record.

        Returns:
            The two paths.
        """
        folder.mkdir(parents=True, exist_ok=True)
        numbers = {
            **self.setting,
            "precision": flags,
            "torch": torch.__version__,
            "seconds": self.seconds,
            "metric": self.metric,
            "loss": self.loss,
        }
        written = folder / f"{stem}.json"
        beside = written.with_name(f".{written.name}.new")
        beside.write_text(json.dumps(numbers, indent=1), encoding="utf-8")
        beside.replace(written)
        return save_weights(self.model, folder / f"{stem}.safetensors"), written


def build(task: Task, model: str, seed: int) -> nn.Module:
    """A task's model with torch's start at `seed`.

    Args:
        task: gives the sizes and the activation, or the arguments of its own model.
        model: the task's; or 'MLP', or 'Neuron' with one output, where x has columns.
        seed: torch.manual_seed before the model is made.

    Raises:
        ValueError: if the model is unknown or does not fit the task.
    """
    torch.manual_seed(seed)
    if model == task.model != "MLP":
        network: nn.Module = getattr(models, model)(**task.model_args)
        return network
    if model == "MLP" == task.model:
        return models.MLP([task.input_size, *task.hidden, task.output_size], task.activation)
    if model == "Neuron" and task.model == "MLP" and task.output_size == 1:
        return models.Neuron(task.input_size, "Identity")
    expected = task.model if task.model != "MLP" else "MLP, or Neuron for a task with one output"
    raise ValueError(f"build: expected model {expected}, got {model!r} for {task.name}")


def train_task(
    task: Task,
    *,
    model: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    optimizer: str | None = None,
    optimizer_args: dict[str, Any] | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, float], None] | None = None,
) -> Run:
    """Train in float32 by the task's recipe, or what is given in its place.

    Args:
        task: data and recipe.
        model: see `build`; None takes the task's.
        steps: number of steps.
        seed: of the data, the start and the batches.
        optimizer: class name in torch.optim.
        optimizer_args: its keyword arguments.
        device: where to train.
        progress: called with the step and the loss.

    Returns:
        The finished run.

    Raises:
        ValueError: if the model does not fit the task or an argument is out of range.
    """
    model, name = model or task.model, optimizer or task.optimizer
    options = dict(task.optimizer_args) if optimizer_args is None else optimizer_args
    steps = task.steps if steps is None else steps
    split = task.load(seed)
    network = build(task, model, seed).to(device)
    arrays = (split.train_x, split.train_y, split.test_x, split.test_y)
    tensors = [torch.from_numpy(array).to(device) for array in arrays]
    train_x, train_y, test_x, test_y = (t.float() if t.is_floating_point() else t for t in tensors)
    loss = []
    started = time.perf_counter()
    stream = batch_stream(len(train_x), task.batch_size, steps, seed)
    rows = (torch.from_numpy(batch) for batch in stream)
    stepper = getattr(torch.optim, name)(network.parameters(), **options)
    for record in train(network, stepper, task.loss, train_x, train_y, rows, device=device):
        loss.append(record.loss)
        if progress is not None:
            progress(record.step, record.loss)
    seconds = time.perf_counter() - started
    measure = {task.metric: getattr(metrics, task.metric)}
    found = evaluate(network, test_x, test_y, measure, device=device)
    setting = {
        "task": task.name,
        "model": model,
        "hidden": list(task.hidden) if model == "MLP" else [],
        "optimizer": name,
        "optimizer_args": options,
        "steps": steps,
        "seed": seed,
        "device": str(device),
        "target": task.target,
    }
    return Run(setting, network, loss, found[task.metric], seconds)
