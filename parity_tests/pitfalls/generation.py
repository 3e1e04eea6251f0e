"""Conventions of decoding: edges of the filters, order of the filters, what beams are scored by."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import generation
from scratch.check import Array
from scratch.generation import Beams, beam_search, multinomial, temper, top_k, top_p
from scratch.nn.softmax import softmax
from scratch.random import Generator


def exactly_k(logits: Array, k: int, min_tokens_to_keep: int = 1) -> Array:
    """Of equals at the edge only the first."""
    order = np.argsort(-logits, -1, kind="stable")
    out = np.ones(logits.shape, bool)
    np.put_along_axis(out, order[..., : max(k, min_tokens_to_keep)], False, -1)
    return np.where(out, -np.inf, logits)


def descending(shifted: bool) -> Callable[..., Array]:
    """top_p over probabilities in falling order; the token that crosses p stays, or goes."""

    def other(logits: Array, p: float, min_tokens_to_keep: int = 1) -> Array:
        order = np.argsort(-logits, -1, kind="stable")
        q, _ = softmax(np.take_along_axis(logits, order, -1), -1)
        before = np.cumsum(q, -1) - (q if shifted else 0)
        dropped = before > p
        dropped[..., :min_tokens_to_keep] = False
        out = np.empty_like(dropped)
        np.put_along_axis(out, order, dropped, -1)
        return np.where(out, -np.inf, logits)

    return other


def inverse_temperature(logits: Array, temperature: float) -> Array:
    return temper(logits, 1 / temperature)


def by_inversion(probabilities: Array, generator: Generator | None = None) -> Array:
    """One uniform number for each row, and where the cumulative sum exceeds it."""
    p = probabilities.reshape(-1, probabilities.shape[-1])
    total = np.cumsum(p, 1)
    u = (generator or Generator()).rand(len(p), dtype=np.float64) * total[:, -1]
    found: Array = (total <= u[:, None]).sum(1)
    return found.reshape(probabilities.shape[:-1])


def tempered_last(
    logits: Array,
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    generator: Generator | None = None,
) -> Array:
    z = logits if k is None else top_k(logits, k)
    z = z if p is None else top_p(z, p)
    return multinomial(softmax(temper(z, temperature), -1)[0], generator)


def last_of_equals(logits: Array) -> Array:
    return np.asarray(logits.shape[-1] - 1 - logits[..., ::-1].argmax(-1))


def goes_on_behind_the_end(step: Any, ids: Array, max_new_tokens: int, **options: Any) -> Array:
    """A row that has ended is not filled up."""
    return generation.generate(step, ids, max_new_tokens, **{**options, "eos": None})


def searched(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Beams]:
    """beam_search with other options."""

    def other(step: Any, ids: Array, beams: int, steps: int, eos: Any = None, **a: Any) -> Beams:
        a = {"length_penalty": 1.0, "early_stopping": False, "eos": eos, **a}
        return beam_search(step, ids, beams, steps, **change(a))

    return other


def wu(a: dict[str, Any]) -> dict[str, Any]:
    return {**a, "length_penalty": generation.wu_penalty(a["length_penalty"])}


def end_not_counted(a: dict[str, Any]) -> dict[str, Any]:
    power = a["length_penalty"]
    return {**a, "length_penalty": lambda n: max(n - 1, 1) ** power}


def always(a: dict[str, Any]) -> dict[str, Any]:
    return {**a, "early_stopping": True}


def never(a: dict[str, Any]) -> dict[str, Any]:
    return {**a, "early_stopping": "never"}


def without_length(a: dict[str, Any]) -> dict[str, Any]:
    return {**a, "length_penalty": 0.0}


def fixed_cache(a: dict[str, Any]) -> dict[str, Any]:
    """Hypotheses move, their caches do not."""

    def reorder(cache: Any, rows: Array) -> Any:
        held = len(cache[0]["h"])
        return generation.select(cache, np.arange(len(rows)) % max(held, 1))

    return {**a, "reorder": reorder}


def wu_from_zero(alpha: float = 0.6) -> Callable[[int], float]:
    return lambda n: float(((5 + n - 1) / 6) ** alpha)


PITFALLS = [
    Pitfall(
        "top_k: equals at the edge",
        entry="top_k",
        difference="Hugging Face: all that equal the k-th stay; others keep k",
        mutant=exactly_k,
    ),
    Pitfall(
        "top_p: the token that crosses p",
        entry="top_p",
        difference="Holtzman et al., Hugging Face: it stays; others: it goes",
        mutant=descending(shifted=False),
    ),
    Pitfall(
        "top_p: a sum that is p",
        entry="top_p",
        difference="Hugging Face: p reached is enough; others want more than p",
        mutant=descending(shifted=True),
    ),
    Pitfall(
        "temperature: its inverse",
        entry="temper",
        difference="divides; physicists' beta multiplies",
        mutant=inverse_temperature,
    ),
    Pitfall(
        "multinomial: by inversion",
        entry="multinomial",
        difference="torch, one draw: a race of exponential clocks; others invert the cumulative "
        "sum: another token from the same seed",
        mutant=by_inversion,
    ),
    Pitfall(
        "sample: temperature last",
        entry="sample",
        difference="Hugging Face: temperature, top k, top p; others cut first, so that top p does "
        "not see the temperature",
        mutant=tempered_last,
    ),
    Pitfall(
        "greedy: the last of equals",
        entry="greedy",
        difference="NumPy and torch on the CPU: the first",
        mutant=last_of_equals,
    ),
    Pitfall(
        "generate: goes on behind the end",
        entry="generate",
        difference="Hugging Face: pad tokens follow the end",
        mutant=goes_on_behind_the_end,
    ),
    Pitfall(
        "beam search: length penalty of Wu et al.",
        entry="beam_search",
        difference="Hugging Face: n^a; Wu et al.: ((5 + n) / 6)^a",
        mutant=searched(wu),
    ),
    Pitfall(
        "beam search: the end is not counted",
        entry="beam_search",
        difference="Hugging Face: n includes the end",
        mutant=searched(end_not_counted),
    ),
    Pitfall(
        "beam search: stops at K finished ones",
        entry="beam_search",
        difference="Hugging Face: early_stopping is False by default; fairseq stops",
        mutant=searched(always),
    ),
    Pitfall(
        "beam search: stops when nothing could be better",
        entry="beam_search",
        difference="Hugging Face: compares at the present length; the exact search at the most "
        "favourable one",
        mutant=searched(never),
    ),
    Pitfall(
        "beam search: sum of log probabilities",
        entry="beam_search",
        difference="Hugging Face: divided by the length; Sutskever et al.: the sum",
        mutant=searched(without_length),
    ),
    Pitfall(
        "beam search: caches stay where they are",
        entry="beam_search",
        difference="each hypothesis takes its parent's cache along",
        mutant=searched(fixed_cache),
    ),
    Pitfall(
        "wu_penalty: length without the end",
        entry="wu_penalty",
        difference="equation 14: (5 + |Y|) / 6, |Y| with the end",
        mutant=wu_from_zero,
    ),
]
