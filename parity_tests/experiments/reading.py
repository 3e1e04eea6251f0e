"""Character models that read a text chunk by chunk, both twins side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import scratch.optim.clip
import torch_ref.models
from datasets.text import streams
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from scratch import models
from scratch.models.char_rnn import generate
from scratch.nn import functional as F
from scratch.optim.lr_scheduler import OneCycleLR
from scratch.random import Generator
from torch_ref.models import char_rnn as torch_char_rnn


@dataclass(frozen=True)
class Recipe:
    """How a text is read.

    Attributes:
        passes: how often.
        columns: texts side by side.
        steps: of a chunk, through which gradients flow.
        optimizer: class name in both packages.
        options: its arguments.
        clip: name of the function in both packages that bounds the gradients, and the bound.
        reduction: of the loss of a chunk.
        cycle: the highest rate, if it goes through one cycle.
        limit: chunks to stop after.
    """

    passes: int
    columns: int
    steps: int
    optimizer: str
    options: dict[str, float]
    clip: tuple[str, float]
    reduction: str = "mean"
    cycle: float | None = None
    limit: int | None = None


def char_rnns(seed: int, dtype: type, *args: Any, **kwargs: Any) -> Twins:
    """Two CharRNNs with torch's start at `seed`, in float64 or float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.CharRNN(*args, **kwargs)
    twins = alike(models.CharRNN(*args, **kwargs), theirs)
    if dtype == np.float32:
        twins.ours.to(np.float32)
        twins.theirs.float()
    return twins


def read(twins: Twins, ids: Array, recipe: Recipe) -> Iterator[tuple[float, float]]:
    """Take one step in each for a chunk, whenever the next pair of losses is asked for.

    The state is carried from chunk to chunk, its gradient is not; each pass starts from zeros.
    """
    ours = getattr(scratch.optim, recipe.optimizer)(twins.ours.parameters(), **recipe.options)
    theirs = getattr(torch.optim, recipe.optimizer)(twins.theirs.parameters(), **recipe.options)
    clip, bound = recipe.clip
    total = recipe.passes * sum(1 for _ in streams(ids, recipe.columns, recipe.steps))
    total = min(total, recipe.limit or total)
    cycles: list[Any] = []
    if recipe.cycle is not None:
        cycles.append(OneCycleLR(ours, recipe.cycle, total, pct_start=0.15))
        torch_cycle = torch.optim.lr_scheduler.OneCycleLR
        cycles.append(torch_cycle(theirs, recipe.cycle, total, pct_start=0.15))
    state = torch_state = None
    for x, t, first in _chunks(ids, recipe, total):
        if first:
            state = torch_state = None
        (logits, state), back = twins.ours.train()(x, state)
        loss, loss_back = F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), t.ravel(), reduction=recipe.reduction
        )
        ours.zero_grad()
        back(loss_back().reshape(logits.shape), None, needs_input_grad=False)
        getattr(scratch.optim.clip, clip)(twins.ours.parameters(), bound)
        ours.step()

        torch_logits, torch_state = twins.theirs.train()(torch.from_numpy(x), torch_state)
        torch_state = detached(torch_state)
        torch_loss = torch.nn.functional.cross_entropy(
            torch_logits.flatten(0, 1), torch.from_numpy(t).flatten(), reduction=recipe.reduction
        )
        theirs.zero_grad()
        torch.autograd.backward(torch_loss)
        getattr(torch.nn.utils, clip)(twins.theirs.parameters(), bound)
        theirs.step()
        for cycle in cycles:
            cycle.step()
        yield float(loss), float(torch_loss.detach())


def _chunks(ids: Array, recipe: Recipe, total: int) -> Iterator[tuple[Array, Array, bool]]:
    """Inputs, targets and whether a pass begins."""
    taken = 0
    for _ in range(recipe.passes):
        for i, (x, t) in enumerate(streams(ids, recipe.columns, recipe.steps)):
            if taken == total:
                return
            taken += 1
            yield np.ascontiguousarray(x), np.ascontiguousarray(t), i == 0


def write(
    twins: Twins, prompt: Array, length: int, temperature: float, seed: int = 0
) -> tuple[Array, Array]:
    """What both go on with after the prompt, with the same draws."""
    ours: Any = twins.ours
    theirs: Any = twins.theirs
    source = torch.Generator().manual_seed(seed)
    text = torch_char_rnn.generate(theirs, torch.from_numpy(prompt), length, temperature, source)
    return generate(ours, prompt, length, temperature, Generator(seed)), text.numpy()


def detached(state: Any) -> Any:
    """A state of torch without its history."""
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def bits(twins: Twins, ids: Array, chunk: int = 2000) -> tuple[float, float]:
    """Bits per character of a text for both, all but the first, the state carried throughout."""

    def ours(x: Array, t: Array, state: Any) -> tuple[float, Any]:
        (logits, state), _ = twins.ours(x, state)
        return float(F.cross_entropy(logits, t, reduction="sum")[0]), state

    def theirs(x: Array, t: Array, state: Any) -> tuple[float, Any]:
        logits, state = twins.theirs(torch.from_numpy(x), state)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(t), reduction="sum")
        return float(loss), state

    def total(side: Callable[..., tuple[float, Any]]) -> float:
        nats, state = 0.0, None
        for start in range(0, len(ids) - 1, chunk):
            t = ids[start + 1 : start + 1 + chunk]
            more, state = side(ids[start : start + len(t)], t, state)
            nats += more
        return nats / (len(ids) - 1) / float(np.log(2))

    twins.ours.eval()
    twins.theirs.eval()
    with torch.no_grad():
        return total(ours), total(theirs)
