"""The network of a task, with torch's start at a seed."""

import torch
from torch import nn

from datasets.tasks import Task
from torch_ref import models
from torch_ref.models.diffusion import linear_betas


def build(task: Task, model: str, seed: int, dropout: float = 0.0) -> nn.Module:
    """A task's model with torch's start at `seed`.

    Args:
        task: gives the sizes and the activation, or the arguments of its own model.
        model: the task's; or 'MLP', or 'Neuron' with one output, where x has columns.
        seed: torch.manual_seed before the model is made.
        dropout: of an MLP's hidden units.

    Returns:
        The model, float32 on the CPU.

    Raises:
        ValueError: if the model is unknown or does not fit the task.
    """
    torch.manual_seed(seed)
    if model == "DDPM" == task.model:
        arguments = dict(task.model_args)
        t = arguments.pop("noising")
        denoiser = models.DenoisingUNet(task.input_size, **arguments)
        # As Ho et al.'s noise, which grows from 1e-4 to 0.02 in 1000 steps, in fewer.
        return models.DDPM(denoiser, linear_betas(t, 0.1 / t, 20 / t))
    if model == task.model != "MLP":
        network: nn.Module = getattr(models, model)(**task.model_args)
        return network
    if model == "MLP" == task.model:
        sizes = [task.input_size, *task.hidden, task.output_size]
        return models.MLP(sizes, task.activation, dropout)
    if model == "Neuron" and task.model == "MLP" and task.output_size == 1:
        return models.Neuron(task.input_size, "Identity")
    expected = task.model if task.model != "MLP" else "MLP, or Neuron for a task with one output"
    raise ValueError(f"build: expected model {expected}, got {model!r} for {task.name}")
