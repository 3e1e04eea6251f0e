"""Beam search by the rules of Hugging Face's generate.                   Sutskever et al. 2014

Of all continuations of K hypotheses the 2 K best by log p: those among the first K that end are
finished, with log p / penalty(n), n tokens long; the K best that do not end go on.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torch_ref.generation.sampling import Step, end_tokens

Penalty = Callable[[int], float]


class Beams(NamedTuple):
    """The finished hypotheses of each prompt, best first.

    Attributes:
        sequences: (B, K, T + n), prompts included, filled up with `pad`.
        scores: float64 (B, K); -inf where fewer than K have been found.
    """

    sequences: Tensor
    scores: Tensor


def wu_penalty(alpha: float = 0.6) -> Penalty:
    """((5 + n) / 6)^alpha, Wu et al. 2016, arXiv:1609.08144, equation 14."""
    return lambda n: float(((5 + n) / 6) ** alpha)


def select(cache: Any, rows: Tensor) -> Any:
    """The cache of other rows: tensors with rows as first axis, in tuples, lists and dicts."""
    if cache is None:
        return None
    if isinstance(cache, dict):
        return {key: select(part, rows) for key, part in cache.items()}
    if isinstance(cache, tuple | list):
        parts = [select(part, rows) for part in cache]
        return type(cache)(*parts) if hasattr(cache, "_fields") else type(cache)(parts)
    return cache[rows]


@torch.no_grad()
def beam_search(
    step: Step,
    ids: Tensor,
    num_beams: int,
    max_new_tokens: int,
    eos: int | Sequence[int] | None = None,
    *,
    length_penalty: float | Penalty = 1.0,
    early_stopping: bool | str = False,
    pad: int | None = None,
    cache: Any = None,
    reorder: Callable[[Any, Tensor], Any] = select,
) -> Beams:
    """The K best sequences that a search of width K finds.

    Args:
        step: of the model: (ids (R, t), cache) -> logits (R, V), cache.
        ids: the prompts (B, T).
        num_beams: K.
        max_new_tokens: at which length every sequence ends.
        eos: the token, or tokens, that end one; None: nothing else does.
        length_penalty: a of n^a, or a function from n to a number.
        early_stopping: whether a row is done once K are finished; 'never' only when no length
            could bring one that is better.
        pad: what fills up the shorter ones; `eos`, or its first, if None.
        cache: what the first step is given, of B rows.
        reorder: the cache of other rows.

    Returns:
        Sequences and their scores, best first.
    """
    ends, filler = end_tokens(eos, pad, ids)
    penalty = length_penalty if callable(length_penalty) else power(length_penalty)
    rows, start = ids.shape
    device = ids.device
    each = torch.arange(rows, device=device)[:, None]

    running = ids[:, None]  # (B, k, T + n), k = 1 at first
    going = torch.zeros(rows, 1, dtype=torch.float64, device=device)
    found = torch.nn.functional.pad(running, (0, max_new_tokens), value=filler)
    found = found.repeat(1, num_beams, 1)
    found_scores = torch.full_like(going, -torch.inf).repeat(1, num_beams)
    lengths = torch.zeros(rows, num_beams, dtype=torch.long, device=device)
    open_ = torch.ones(rows, dtype=torch.bool, device=device)

    for n in range(1, max_new_tokens + 1):
        logits, cache = step(ids if n == 1 else running[:, :, -1].reshape(-1, 1), cache)
        log_p = logits.log_softmax(-1).view(rows, running.shape[1], -1)
        width, vocabulary = log_p.shape[1:]
        total = (going[:, :, None] + log_p).view(rows, -1)

        # Continuations, best first
        scores, best = best_of(total, max(2, 1 + len(ends)) * num_beams)
        origin, token = best // vocabulary, best % vocabulary
        sequences = torch.cat([running[each, origin], token[:, :, None]], 2)
        ended = torch.isin(token, ends) | (n == max_new_tokens)

        # Those that end
        counts = ended & open_[:, None]
        counts[:, num_beams:] = False
        if early_stopping is True:
            counts &= found_scores.isinf().any(1, keepdim=True)
        finished = (scores / penalty(n)).masked_fill(~counts, -torch.inf)
        found_scores, kept = best_of(torch.cat([found_scores, finished], 1), num_beams)
        padded = torch.nn.functional.pad(sequences, (0, max_new_tokens - n), value=filler)
        found = torch.cat([found, padded], 1)[each, kept]
        lengths = torch.cat([lengths, torch.full_like(token, n)], 1)[each, kept]

        # Those that go on
        going, kept = best_of(scores.masked_fill(ended, -torch.inf), num_beams)
        running = sequences[each, kept]
        cache = reorder(cache, (each * width + origin[each, kept]).ravel())
        possible = range(n, max_new_tokens + 1) if early_stopping == "never" else (n,)
        open_ = open_ & (going[:, 0] / max(map(penalty, possible)) > found_scores.amin(1))
        if not open_.any() or (early_stopping is True and found_scores.isfinite().all()):
            break

    real = lengths[found_scores.isfinite()]
    used = int(real.max()) if len(real) else 0
    return Beams(found[:, :, : start + used], found_scores)


def best_of(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of each row and where they are, in falling order."""
    values, places = scores.topk(min(count, scores.shape[1]), 1)
    return values, places


def power(a: float) -> Penalty:
    """n^a."""
    return lambda n: float(n**a)
