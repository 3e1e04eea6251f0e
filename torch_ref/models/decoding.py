"""Text from a model that predicts one token at a time: greedy and beam search.

step     logits (R, V), state = step(tokens (R,), state)         a row for each hypothesis
state    a tuple of tensors with R as their first axis
"""

from collections.abc import Callable

import torch
from torch import Tensor

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], tuple[Tensor, State]]


@torch.no_grad()
def greedy(
    step: Step, state: State, rows: int, bos: int, eos: int, max_length: int
) -> list[list[int]]:
    """The most probable token at each step.

    Args:
        step: of the model.
        state: before the first step.
        rows: R, number of texts.
        bos: token that stands before the first.
        eos: token that ends a text.
        max_length: of a text, without <eos>.

    Returns:
        The tokens of each text, without <bos> and <eos>.
    """
    tokens = torch.full((rows,), bos, device=state[0].device)
    done = torch.zeros_like(tokens, dtype=torch.bool)
    texts = []
    for _ in range(max_length):
        logits, state = step(tokens, state)
        tokens = logits.argmax(1)
        texts.append(tokens)
        done |= tokens == eos
        if done.all():
            break
    return [cut(text, eos) for text in torch.stack(texts, 1).tolist()]


@torch.no_grad()
def beam_search(
    step: Step,
    state: State,
    rows: int,
    bos: int,
    eos: int,
    max_length: int,
    width: int = 5,
    length_penalty: float = 0.0,
) -> tuple[list[list[int]], Tensor]:
    """The best of `width` hypotheses, kept at each step.

    Args:
        step: of the model.
        state: before the first step.
        rows: number of texts; `step` then gets rows * width tokens.
        bos: token that stands before the first.
        eos: token that ends a text.
        max_length: of a text, without <eos>.
        width: hypotheses of each text; 1 is greedy.
        length_penalty: 0 compares log p as it is, which favours short texts; Wu et al. have 0.2.

    Returns:
        The tokens of each text, without <bos> and <eos>, and log p of each (rows,).
    """
    state = tuple(tensor.repeat_interleave(width, 0) for tensor in state)
    device = state[0].device
    tokens = torch.full((rows, width), bos, device=device)
    lengths, done = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    texts = tokens.new_empty(rows, width, 0)
    scores = torch.full((rows, width), -torch.inf, device=device)
    scores[:, 0] = 0  # all hypotheses are the same: only the first counts
    for _ in range(max_length):
        logits, state = step(tokens.flatten(), state)
        vocabulary = logits.shape[1]
        log_p = logits.log_softmax(-1).view(rows, width, vocabulary)
        stay = torch.full_like(log_p[0, 0], -torch.inf)
        stay[eos] = 0
        log_p = torch.where(done[:, :, None], stay, log_p)
        lengths = lengths + ~done
        totals = (scores.to(log_p)[:, :, None] + log_p).flatten(1)
        penalty = ((5 + lengths.to(log_p)) / 6) ** length_penalty
        ranked = totals / penalty.repeat_interleave(vocabulary, 1)
        best = ranked.sort(dim=1, descending=True, stable=True).indices[:, :width]
        origin, tokens = best // vocabulary, best % vocabulary
        scores = totals.gather(1, best)
        texts = texts.gather(1, origin[:, :, None].expand(-1, -1, texts.shape[2]))
        texts = torch.cat([texts, tokens[:, :, None]], 2)
        lengths = lengths.gather(1, origin)
        done = done.gather(1, origin) | (tokens == eos)
        flat = (origin + width * torch.arange(rows, device=device)[:, None]).flatten()
        state = tuple(tensor[flat] for tensor in state)
        if done.all():
            break
    return [cut(text, eos) for text in texts[:, 0].tolist()], scores[:, 0]


def cut(tokens: list[int], eos: int) -> list[int]:
    """What stands before the first <eos>."""
    return tokens[: tokens.index(eos)] if eos in tokens else tokens
