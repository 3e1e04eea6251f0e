"""Text from a model that predicts one token at a time: greedy and beam search.

step       logits (R, V), state = step(tokens (R,), state)       a row for each hypothesis
state      a tuple of arrays with R as their first axis
greedy     y_t = argmax logits_t, until <eos>
beam       of all continuations of `width` hypotheses keep the best by log p(y) / penalty(|y|),
           penalty(n) = ((5 + n) / 6)^length_penalty; one that has ended stays as it is
Sources    Sutskever, Vinyals & Le 2014, arXiv:1409.3215, section 3.2 (beam)
           Wu et al. 2016, arXiv:1609.08144, equation 14 (penalty)
"""

from collections.abc import Callable

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.softmax import log_softmax

State = tuple[Array, ...]
Step = Callable[[Array, State], tuple[Array, State]]


def greedy(
    step: Step, state: State, rows: int, bos: int, eos: int, max_length: int
) -> list[list[int]]:
    """The most probable token at each step; of equals the first.

    Args:
        step: of the model.
        state: before the first step.
        rows: R, number of texts.
        bos: token that stands before the first.
        eos: token that ends a text.
        max_length: of a text, without <eos>.

    Returns:
        The tokens of each text, without <bos> and <eos>.

    Raises:
        TypeError, ValueError: if a number is no integer or too small.
    """
    _check("greedy", bos, eos, max_length)
    tokens, done = np.full(rows, bos), np.zeros(rows, bool)
    texts = []
    for _ in range(max_length):
        logits, state = step(tokens, state)
        tokens = logits.argmax(1)
        texts.append(tokens)
        done |= tokens == eos
        if done.all():
            break
    return [cut(text, eos) for text in np.stack(texts, 1).tolist()]


def beam_search(
    step: Step,
    state: State,
    rows: int,
    bos: int,
    eos: int,
    max_length: int,
    width: int = 5,
    length_penalty: float = 0.0,
) -> tuple[list[list[int]], Array]:
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

    Raises:
        TypeError, ValueError: if a number is none, or out of range.

    Source: Sutskever et al. 2014, section 3.2; Wu et al. 2016, section 7.
    """
    _check("beam_search", bos, eos, max_length)
    width = check.size("beam_search", "width", width, low=1)
    power = check.number("beam_search", "length_penalty", length_penalty, 0)
    state = tuple(np.repeat(array, width, 0) for array in state)
    tokens = np.full((rows, width), bos)
    lengths, done = np.zeros((rows, width), int), np.zeros((rows, width), bool)
    texts = np.empty((rows, width, 0), int)
    scores: Array | None = None  # log p (rows, width)
    for _ in range(max_length):
        logits, state = step(tokens.ravel(), state)
        log_p, _ = log_softmax(logits, -1)
        vocabulary = log_p.shape[1]
        log_p = log_p.reshape(rows, width, vocabulary)
        if scores is None:  # all hypotheses are the same: only the first counts
            scores = np.full((rows, width), -np.inf, log_p.dtype)
            scores[:, 0] = 0
        log_p[done] = -np.inf
        log_p[done, eos] = 0
        lengths += ~done
        totals = scores[:, :, None] + log_p
        penalty = ((5 + lengths.astype(log_p.dtype)) / 6) ** power
        ranked = (totals / penalty[:, :, None]).reshape(rows, -1)
        best = np.argsort(-ranked, axis=1, kind="stable")[:, :width]
        origin, tokens = np.divmod(best, vocabulary)
        scores = np.take_along_axis(totals.reshape(rows, -1), best, 1)
        texts = np.take_along_axis(texts, origin[:, :, None], 1)
        texts = np.concatenate([texts, tokens[:, :, None]], 2)
        lengths = np.take_along_axis(lengths, origin, 1)
        done = np.take_along_axis(done, origin, 1) | (tokens == eos)
        flat = (origin + width * np.arange(rows)[:, None]).ravel()
        state = tuple(array[flat] for array in state)
        if done.all():
            break
    assert scores is not None
    return [cut(text, eos) for text in texts[:, 0].tolist()], scores[:, 0]


def cut(tokens: list[int], eos: int) -> list[int]:
    """What stands before the first <eos>."""
    return tokens[: tokens.index(eos)] if eos in tokens else tokens


def _check(name: str, bos: int, eos: int, max_length: int) -> None:
    check.size(name, "bos", bos)
    check.size(name, "eos", eos)
    check.size(name, "max_length", max_length, low=1)
