"""One token after the other: the most probable, or one that is drawn.

greedy        argmax z, of equals the first
multinomial   argmax p_j / e_j, e_j drawn with density e^-e: j wins with probability p_j
sample        z, tempered, cut to the top k and the top p; p = softmax z; multinomial
generate      y_t = choose(step(y_<t)), until all have ended
shapes        z, p (B, V)   tokens (B,)   ids (B, T)
torch         the same seed draws the same tokens as torch.multinomial(p, 1): its exponential race
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.generation.filters import scores, temper, top_k, top_p
from scratch.nn.softmax import softmax
from scratch.random import Generator, check_generator

Step = Callable[[Array, Any], tuple[Array, Any]]
Choose = Callable[[Array], Array]


def greedy(logits: Array) -> Array:
    """The most probable token, of equals the first.

    Args:
        logits: z (..., V).

    Returns:
        int64 array (...).

    Raises:
        TypeError: if `logits` is not floating.
        ValueError: if there are none.
    """
    return np.asarray(scores("greedy", logits).argmax(-1), np.int64)


def multinomial(probabilities: Array, generator: Generator | None = None) -> Array:
    """One index for each row, drawn with its probabilities.

    Args:
        probabilities: p (..., V), not negative; they need not add up to 1.
        generator: where the draw comes from; None draws a fresh one.

    Returns:
        int64 array (...).

    Raises:
        TypeError: if `probabilities` is not floating or `generator` no Generator.
        ValueError: if one is negative or not finite, or a row has none above 0.

    Source: torch.multinomial; the race of exponential clocks is in Feller 1971, section I.3.
    """
    name = "multinomial"
    p = check.floating(name, "probabilities", probabilities)
    check_generator(name, generator)
    if not p.ndim or not p.shape[-1]:
        check.refuse(name, "probabilities of shape (..., V), V > 0", p.shape)
    if not (np.isfinite(p) & (p >= 0)).all() or not p.any(-1).all():
        expected = "finite probabilities >= 0, one of them above 0 in each row"
        check.refuse(name, expected, check.describe(p))
    waits = (generator or Generator()).exponential(p.shape, dtype=p.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):  # a wait may be 0
        return np.asarray(np.argmax(p / waits, -1), np.int64)


def sample(
    logits: Array,
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    generator: Generator | None = None,
) -> Array:
    """A token drawn with softmax z's probabilities, z tempered and cut.

    Args:
        logits: z (..., V).
        temperature: by which they are divided, > 0.
        k: how many of the largest may be drawn; None for all.
        p: then, of how much probability the most probable may be drawn; None for all.
        generator: where the draw comes from; None draws a fresh one.

    Returns:
        int64 array (...).

    Raises:
        TypeError: if `logits` is not floating or an argument has the wrong type.
        ValueError: if an argument is out of range, or there are no logits.

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    check_generator("sample", generator)
    z = temper(logits, temperature)
    z = z if k is None else top_k(z, k)
    z = z if p is None else top_p(z, p)
    probabilities, _ = softmax(z, -1)
    return multinomial(probabilities, generator)


def generate(
    step: Step,
    ids: Array,
    max_new_tokens: int,
    choose: Choose = greedy,
    *,
    eos: int | Sequence[int] | None = None,
    pad: int | None = None,
    cache: Any = None,
) -> Array:
    """Go on from a prompt.

    Args:
        step: of the model: (ids (B, t), cache) -> logits (B, V), cache.
        ids: the prompts (B, T), T >= 1.
        max_new_tokens: how many follow at most.
        choose: the next token of each row from its logits: `greedy`, or `sample` with its options
            filled in by functools.partial.
        eos: the token, or tokens, that end a sequence; None: nothing does.
        pad: what follows them; `eos`, or its first, if None.
        cache: what the first step is given.

    Returns:
        int64 array (B, T + n), prompts included; n <= max_new_tokens, less if all have ended.

    Raises:
        TypeError: if `ids` is not integer or an argument has the wrong type.
        ValueError: if `ids` is not 2-d, or the step's logits are not (B, V).
    """
    tokens = prompt("generate", ids)
    check.size("generate", "max_new_tokens", max_new_tokens)
    ends = end_tokens("generate", eos)
    filler = filling("generate", pad, ends)
    new, done = tokens, np.zeros(len(tokens), bool)
    for _ in range(max_new_tokens):
        logits, cache = step(new, cache)
        chosen = np.where(done, filler, choose(predicted("generate", logits, len(tokens))))
        new = chosen.astype(np.int64)[:, None]
        tokens = np.concatenate([tokens, new], 1)
        done |= np.isin(chosen, ends)
        if len(done) and done.all():
            break
    return tokens


def without_cache(model: Callable[[Array], Array]) -> Step:
    """A step that gives the model all ids anew each time.

    Args:
        model: from ids (B, T) to logits (B, T, V).

    Returns:
        Step whose cache is the ids so far.
    """

    def step(ids: Array, cache: Any) -> tuple[Array, Any]:
        whole = ids if cache is None else np.concatenate([cache, ids], 1)
        return model(whole)[:, -1], whole

    return step


def prompt(function: str, ids: object) -> Array:
    """Integers (B, T), T >= 1, as int64."""
    tokens = check.integer(function, "ids", ids, 0, 2**62)
    check.shape(function, "ids", tokens, ("B", "T"))
    if not tokens.shape[1]:
        check.refuse(function, "ids of at least one token", tokens.shape)
    return tokens.astype(np.int64)


def end_tokens(function: str, eos: object) -> list[int]:
    """The tokens that end a sequence."""
    if eos is None:
        return []
    several = list(eos) if isinstance(eos, Sequence) and not isinstance(eos, str) else [eos]
    return [check.size(function, "eos", token) for token in several]


def filling(function: str, pad: object, ends: list[int]) -> int:
    """What follows them."""
    if pad is None:
        return ends[0] if ends else 0
    return check.size(function, "pad", pad)


def predicted(function: str, logits: object, rows: int) -> Array:
    """A step's logits (rows, V)."""
    z = check.floating(function, "the step's logits", logits)
    check.shape(function, "the step's logits", z, (rows, "V"))
    return z
