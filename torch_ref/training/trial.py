"""A copy to try things on; the model, its belongings and torch's generators stay as they are."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from torch_ref.training.device import resolve_device


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
