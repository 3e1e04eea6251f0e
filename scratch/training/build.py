"""The network of a task, with the start that torch has at the same seed."""

from datasets.tasks import Task
from scratch import check, models
from scratch.models.diffusion import linear_betas
from scratch.nn.module import Module
from scratch.random import Generator


def build(task: Task, model: str, generator: Generator, dropout: float = 0.0) -> Module:
    """A task's model.

    Args:
        task: gives the sizes and the activation, or the arguments of its own model.
        model: the task's; or 'MLP', or 'Neuron' with one output, where x has columns.
        generator: where its start and its dropout masks come from.
        dropout: of an MLP's hidden units.

    Returns:
        The model in float32.

    Raises:
        ValueError: if the model is unknown or does not fit the task.
    """
    if model == "DDPM" == task.model:
        arguments = dict(task.model_args)
        t = arguments.pop("noising")
        denoiser = models.DenoisingUNet(task.input_size, **arguments, generator=generator)
        # As Ho et al.'s noise, which grows from 1e-4 to 0.02 in 1000 steps, in fewer.
        return models.DDPM(denoiser, linear_betas(t, 0.1 / t, 20 / t), generator=generator)
    if model == task.model != "MLP":
        network: Module = getattr(models, model)(**task.model_args, generator=generator)
        return network
    if model == "MLP" == task.model:
        sizes = [task.input_size, *task.hidden, task.output_size]
        return models.MLP(sizes, task.activation, dropout, generator=generator)
    if model == "Neuron" and task.model == "MLP" and task.output_size == 1:
        return models.Neuron(task.input_size, "Identity", generator=generator)
    expected = task.model if task.model != "MLP" else "MLP, or Neuron for a task with one output"
    check.refuse("build", f"model {expected}", f"{model!r} for {task.name}")
