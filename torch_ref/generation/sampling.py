"""One token after the other: the most probable, or one that is drawn."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torch_ref.generation.filters import temper, top_k, top_p

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
Choose = Callable[[Tensor], Tensor]


def greedy(logits: Tensor) -> Tensor:
    """The most probable token (...) of logits (..., V)."""
    return logits.argmax(-1)


def multinomial(probabilities: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One index (...) for each row of probabilities (..., V)."""
    rows = probabilities.reshape(-1, probabilities.shape[-1])
    drawn = torch.multinomial(rows, 1, generator=generator)
    return drawn.reshape(probabilities.shape[:-1])


def sample(
    logits: Tensor,
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A token drawn with the softmax's probabilities, the logits tempered and cut.

    Args:
        logits: (..., V).
        temperature: by which they are divided.
        k: how many of the largest may be drawn; None for all.
        p: then, of how much probability the most probable may be drawn; None for all.
        generator: where the draw comes from; None for the global one.

    Returns:
        Integers (...).
    """
    z = temper(logits, temperature)
    z = z if k is None else top_k(z, k)
    z = z if p is None else top_p(z, p)
    return multinomial(z.softmax(-1), generator)


@torch.no_grad()
def generate(
    step: Step,
    ids: Tensor,
    max_new_tokens: int,
    choose: Choose = greedy,
    *,
    eos: int | Sequence[int] | None = None,
    pad: int | None = None,
    cache: Any = None,
) -> Tensor:
    """Go on from a prompt.

    Args:
        step: of the model: (ids (B, t), cache) -> logits (B, V), cache.
        ids: the prompts (B, T).
        max_new_tokens: how many follow at most.
        choose: the next token of each row from its logits.
        eos: the token, or tokens, that end a sequence; None: nothing does.
        pad: what follows them; `eos`, or its first, if None.
        cache: what the first step is given.

    Returns:
        Integers (B, T + n), prompts included.
    """
    ends, filler = end_tokens(eos, pad, ids)
    new, done = ids, torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for _ in range(max_new_tokens):
        logits, cache = step(new, cache)
        new = choose(logits).masked_fill(done, filler)[:, None]
        ids = torch.cat([ids, new], 1)
        done = done | torch.isin(new[:, 0], ends)
        if len(done) and done.all():
            break
    return ids


def without_cache(model: Callable[[Tensor], Tensor]) -> Step:
    """A step that gives the model, from ids (B, T) to logits (B, T, V), all ids anew each time."""

    def step(ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        whole = ids if cache is None else torch.cat([cache, ids], 1)
        return model(whole)[:, -1], whole

    return step


def end_tokens(eos: int | Sequence[int] | None, pad: int | None, ids: Tensor) -> tuple[Tensor, int]:
    """The tokens that end a sequence, and what follows them."""
    several = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    filler = pad if pad is not None else several[0] if several else 0
    return torch.tensor(several, dtype=ids.dtype, device=ids.device), filler
