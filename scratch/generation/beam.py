"""Beam search: the most probable sequence that keeping a few at a time finds.

score     s(y) = log p(y) / penalty(n)          n: tokens that follow the prompt, the end included
step      of all continuations of K hypotheses the 2 K best by log p: those among the first K that
          end are finished, with their score; the K best that do not end go on
stop      no row can improve on its K finished ones: best log p / penalty is below the worst of them
penalty   n^a (Hugging Face's), or any function of n; Wu et al. 2016, equation 14: ((5 + n) / 6)^a
shapes    ids (B, T)   sequences (B, K, T + n)   scores (B, K)    the model is run on B K rows
torch     has none. The rules are those of Hugging Face's generate. Its default stops when the best
          hypothesis at its present length is below the worst finished one, which may be too early
          if penalty rises: 'never' takes the most favourable length instead.
Sources   Lowerre 1976; Sutskever, Vinyals & Le 2014, arXiv:1409.3215, section 3.2
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.generation.sampling import Step, end_tokens, filling, predicted, prompt
from scratch.nn.softmax import log_softmax

Penalty = Callable[[int], float]


class Beams(NamedTuple):
    """The finished hypotheses of each prompt, best first.

    Attributes:
        sequences: int64 (B, K, T + n), prompts included, filled up with `pad`.
        scores: float64 (B, K); -inf where fewer than K have been found.
    """

    sequences: Array
    scores: Array


def wu_penalty(alpha: float = 0.6) -> Penalty:
    """((5 + n) / 6)^alpha.

    Args:
        alpha: the Transformer of 2017 has 0.6.

    Returns:
        Function of n.

    Raises:
        TypeError: if alpha is no number.

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14.
    """
    a = check.number("wu_penalty", "alpha", alpha)
    return lambda n: float(((5 + n) / 6) ** a)


def select(cache: Any, rows: Array) -> Any:
    """The cache of other rows, some perhaps several times.

    Args:
        cache: arrays with the rows as their first axis, in tuples, lists and dicts; None.
        rows: (n,) indices.

    Returns:
        The same of n rows.

    Raises:
        TypeError: if something else is in it.
    """
    if cache is None:
        return None
    if isinstance(cache, dict):
        return {key: select(part, rows) for key, part in cache.items()}
    if isinstance(cache, tuple | list):
        parts = [select(part, rows) for part in cache]
        return type(cache)(*parts) if hasattr(cache, "_fields") else type(cache)(parts)
    if not isinstance(cache, np.ndarray):
        expected = "a cache of arrays, tuples, lists, dicts and None"
        check.refuse("select", expected, check.describe(cache), TypeError)
    return cache[rows]


def beam_search(
    step: Step,
    ids: Array,
    num_beams: int,
    max_new_tokens: int,
    eos: int | Sequence[int] | None = None,
    *,
    length_penalty: float | Penalty = 1.0,
    early_stopping: bool | str = False,
    pad: int | None = None,
    cache: Any = None,
    reorder: Callable[[Any, Array], Any] = select,
) -> Beams:
    """The K best sequences that a search of width K finds.

    Args:
        step: of the model: (ids (R, t), cache) -> logits (R, V), cache.
        ids: the prompts (B, T), T >= 1.
        num_beams: K.
        max_new_tokens: at which length every sequence ends, >= 1.
        eos: the token, or tokens, that end one; None: nothing else does.
        length_penalty: a of n^a, or a function from n to a number > 0.
        early_stopping: whether a row is done once K are finished; 'never' only when no length
            could bring one that is better.
        pad: what fills up the shorter ones; `eos`, or its first, if None.
        cache: what the first step is given, of B rows.
        reorder: the cache of other rows.

    Returns:
        Sequences and their scores, best first.

    Raises:
        TypeError: if `ids` is not integer or an argument has the wrong type.
        ValueError: if a shape does not fit, or an argument is out of range.

    Source: Sutskever, Vinyals & Le 2014, arXiv:1409.3215, section 3.2.
    """
    name = "beam_search"
    prompts = prompt(name, ids)
    beams = check.size(name, "num_beams", num_beams, low=1)
    longest = check.size(name, "max_new_tokens", max_new_tokens, low=1)
    check.option(name, "early_stopping", early_stopping, (True, False, "never"))
    ends = end_tokens(name, eos)
    filler = filling(name, pad, ends)
    penalty = _penalty(name, length_penalty)
    rows, start = prompts.shape
    candidates = max(2, 1 + len(ends)) * beams
    each = np.arange(rows)[:, None]

    running, going = prompts[:, None], np.zeros((rows, 1))  # (B, k, T + n), k = 1 at first; log p
    found = np.full((rows, beams, start + longest), filler, np.int64)
    found[:, :, :start] = running
    found_scores = np.full((rows, beams), -np.inf)
    lengths = np.zeros((rows, beams), int)
    open_ = np.ones(rows, bool)

    for n in range(1, longest + 1):
        new = prompts if n == 1 else running[:, :, -1].reshape(-1, 1)
        logits, cache = step(new, cache)
        log_p, _ = log_softmax(predicted(name, logits, len(new)), -1)
        width, vocabulary = running.shape[1], log_p.shape[1]
        total = log_p.reshape(rows, width * vocabulary) + np.repeat(going, vocabulary, 1)

        # Continuations, best first
        best = _best(total, candidates)
        origin, token = best // vocabulary, best % vocabulary
        scores = total[each, best]
        sequences = np.concatenate([running[each, origin], token[:, :, None]], 2)
        ended = np.isin(token, ends) | (n == longest)

        # Those that end
        counts = ended & (np.arange(best.shape[1]) < beams) & open_[:, None]
        if early_stopping is True:
            counts &= np.isinf(found_scores).any(1, keepdims=True)
        padded = np.full((*best.shape, start + longest), filler, np.int64)
        padded[:, :, : start + n] = sequences
        merged = np.concatenate([found_scores, np.where(counts, scores / penalty(n), -np.inf)], 1)
        kept = _best(merged, beams)
        found = np.concatenate([found, padded], 1)[each, kept]
        lengths = np.concatenate([lengths, np.full(best.shape, n)], 1)[each, kept]
        found_scores = merged[each, kept]

        # Those that go on
        alive = np.where(ended, -np.inf, scores)
        kept = _best(alive, beams)
        running, going = sequences[each, kept], alive[each, kept]
        cache = reorder(cache, (each * width + origin[each, kept]).ravel())
        possible = range(n, longest + 1) if early_stopping == "never" else (n,)
        open_ &= going[:, 0] / max(map(penalty, possible)) > found_scores.min(1)
        if not open_.any() or (early_stopping is True and np.isfinite(found_scores).all()):
            break

    used = int(lengths[np.isfinite(found_scores)].max(initial=0))
    return Beams(found[:, :, : start + used], found_scores)


def _best(scores: Array, count: int) -> Array:
    """Where the largest of each row are, in falling order."""
    count = min(count, scores.shape[1])
    some = np.argpartition(-scores, count - 1, 1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, some, 1), 1, kind="stable")
    return np.take_along_axis(some, order, 1)


def _penalty(function: str, length_penalty: object) -> Penalty:
    if callable(length_penalty):
        given: Penalty = length_penalty
        return given
    a = check.number(function, "length_penalty", length_penalty)
    return lambda n: float(n**a)
