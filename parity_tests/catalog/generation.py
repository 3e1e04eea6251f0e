"""Decoding: what is done to logits, draws, greedy and beam search over a small recurrent model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Refusal, Routine, unchecked
from scratch import generation
from scratch.check import Array
from scratch.random import Generator
from torch_ref import generation as torch_generation

TEMPERATURE = "Ackley, Hinton & Sejnowski 1985, Cognitive Science 9"
TOP_K = "Fan, Lewis & Dauphin 2018, arXiv:1805.04833, section 5.1"
TOP_P = "Holtzman et al. 2020, arXiv:1904.09751, section 3.1"
BEAM = "Sutskever, Vinyals & Le 2014, arXiv:1409.3215, section 3.2"
WU = "Wu et al. 2016, arXiv:1609.08144, equation 14"
SHANNON = "Shannon 1948, section 3 (series of approximations to English)"

# Equals at the edge of the top 2 and 3; a row of equals only; minus infinity.
TIES = np.array(
    [
        [1.0, 3.0, 2.0, 2.0, 0.0, 2.0],
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
        [-np.inf, 1.0, -np.inf, 0.0, 2.0, 1.0],
    ]
)
# Their sums hit 1/4, 1/2 and 3/4.
DYADIC = np.log(np.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]))


def logits(d: Draw) -> dict[str, Array]:
    """Random ones, one row and one token, equals."""
    return {
        "normal": d.normal(4, 9, scale=2.0),
        "one row": d.normal(7),
        "one token": d.normal(3, 1),
        "three axes": d.normal(2, 3, 5),
        "ties": d.array(TIES),
        "dyadic": d.array(DYADIC),
    }


def with_each(*numbers: Any, **options: Any) -> Callable[..., dict[str, Any]]:
    """A script that calls a filter on all logits with each of the numbers."""

    def script(make: Any, side: Any, d: Draw) -> dict[str, Any]:
        return {
            f"{name}, {number}": make(side.array(z), number, **options)
            for name, z in logits(d).items()
            for number in numbers
        }

    return script


def source_of(side: Any, seed: int) -> Any:
    """A generator of the package, which draws the same numbers on both sides."""
    return torch.Generator().manual_seed(seed) if side.is_torch else Generator(seed)


def draws(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Rows that do not add up to 1, zeros, a certain one; several draws after each other."""
    p = d.uniform(0.0, 1.0, 40, 6)
    p[0] = d.array([0, 0, 3, 0, 0, 0])
    p[1, ::2] = 0
    if not same_waits():
        return {}
    source = source_of(side, 3)
    found = {str(i): make(side.array(p), source) for i in range(20)}
    found["three axes"] = make(side.array(p.reshape(2, 20, 6)), source)
    found["one row"] = make(side.array(p[5]), source)
    return found


def samples(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """With each option and all of them."""
    z = side.array(d.normal(30, 9))
    if not same_waits():
        return {}
    source = source_of(side, 4)
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "tempered": {"temperature": 0.5},
        "top k": {"k": 3},
        "top p": {"p": 0.6},
        "all": {"temperature": 1.5, "k": 5, "p": 0.9},
    }
    return {name: make(z, **way, generator=source) for name, way in ways.items()}


def same_waits() -> bool:
    """Whether this torch draws exponential numbers from the stream that scratch follows.

    Builds with MKL on Intel processors do not.
    """
    theirs = torch.empty(8, dtype=torch.float64)
    theirs.exponential_(generator=torch.Generator().manual_seed(0))
    return bool(np.allclose(theirs, Generator(0).exponential(8, dtype=np.float64)))


class Recurrent:
    """A recurrent network whose next token depends on all before, on either side.

    Its cache is a tuple and a dict of arrays.
    """

    def __init__(self, side: Any, d: Draw, vocabulary: int = 7, hidden: int = 5) -> None:
        self.embed = side.array(d.normal(vocabulary, hidden))
        self.recur = side.array(d.normal(hidden, hidden, scale=0.7))
        self.head = side.array(d.normal(hidden, vocabulary, scale=2.0))

    def __call__(self, ids: Any, cache: Any) -> tuple[Any, Any]:
        h = self.embed[ids[:, 0]] * 0 if cache is None else cache[0]["h"]
        for t in range(ids.shape[1]):
            a = self.embed[ids[:, t]] + h @ self.recur
            h = a / (1 + abs(a))
        return h @ self.head, ({"h": h}, None)


PROMPTS = np.array([[3, 4], [5, 6], [4, 4], [6, 2]])


def continuations(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """To the end, ended early, with another filling, not at all, without prompts."""
    ids, model = side.array(PROMPTS), Recurrent(side, d)
    return {
        "long": make(model, ids, 9),
        **{f"ends with {token}": make(model, ids, 9, eos=token) for token in range(7)},
        "two ends": make(model, ids, 9, eos=[1, 4], pad=0),
        "none": make(model, ids, 0),
        "no prompts": make(model, ids[:0], 3, eos=1),
    }


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no end": {"eos": None},
    "two ends": {"eos": [1, 4]},
    "sum": {"length_penalty": 0.0},
    "long": {"length_penalty": 3.0},
    "short": {"length_penalty": -1.0},
    "first found": {"early_stopping": True},
    "never": {"early_stopping": "never", "length_penalty": 2.0},
    "pad": {"pad": 0, "early_stopping": True},
}


def beams(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Of one to more beams than the vocabulary has tokens, with each option."""
    found = {}
    for i in range(3):  # models
        ids, model = side.array(PROMPTS), Recurrent(side, d)
        for width in (1, 2, 5, 12):
            for name, way in WAYS.items():
                options = {"eos": 1, **way}
                sequences, scores = make(model, ids, width, 6, **options)
                found[f"{i}, {width}, {name}"] = sequences
                found[f"{i}, {width}, {name}, scores"] = scores
    found["one token"] = make(model, ids, 3, 1)[0]
    return found


def penalties(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Over lengths and exponents."""
    return {str(a): np.array([make(a)(n) for n in range(1, 20)]) for a in (0.6, 0.0, 1.0, -2.0)}


def routine(
    name: str, source: str, script: Callable[..., dict[str, Any]], **more: Callable[..., Any]
) -> Routine:
    ours, theirs = getattr(generation, name), getattr(torch_generation, name)
    return Routine(name, ours, theirs, {"options": script, **more}, source=source)


ENTRIES = [
    routine("temper", TEMPERATURE, with_each(1.0, 0.3, 4)),
    routine(
        "top_k", TOP_K, with_each(1, 2, 3, 5, 100), at_least=with_each(1, 4, min_tokens_to_keep=3)
    ),
    routine(
        "top_p",
        TOP_P,
        with_each(0.0, 0.25, 0.5, 0.75, 0.9, 1.0),
        at_least=with_each(0.1, 0.5, min_tokens_to_keep=3),
    ),
    routine("greedy", SHANNON, lambda make, side, d: {"ties": make(side.array(d.array(TIES)))}),
    routine("multinomial", SHANNON, draws),
    routine("sample", TOP_P, samples),
    routine("generate", SHANNON, continuations),
    routine("beam_search", BEAM, beams),
    routine("wu_penalty", WU, penalties),
]


# Refusals

Z, P = np.zeros((2, 3)), np.full((2, 3), 0.5)
ANYTHING: Any = generation


def step(ids: Array, cache: Any) -> tuple[Array, Any]:
    """The same logits for any ids."""
    return np.zeros((len(ids), 4)), cache


def too_few(ids: Array, cache: Any) -> tuple[Array, Any]:
    """Logits of one row."""
    return np.zeros((1, 4)), cache


def refused(name: str, what: str, *args: Any, **kwargs: Any) -> Refusal:
    return Refusal(f"{name}: {what}", partial(getattr(ANYTHING, name), *args, **kwargs), name)


REFUSALS = [
    refused("temper", "integers", Z.astype(int), 1.0),
    refused("temper", "0", Z, 0.0),
    refused("temper", "infinity", Z, np.inf),
    refused("temper", "no logits", Z[:, :0], 1.0),
    refused("top_k", "list", Z.tolist(), 1),
    refused("top_k", "0", Z, 0),
    refused("top_k", "half", Z, 1.5),
    refused("top_k", "min_tokens_to_keep", Z, 1, 0),
    refused("top_p", "integers", Z.astype(int), 0.5),
    refused("top_p", "above 1", Z, 1.1),
    refused("top_p", "below 0", Z, -0.1),
    refused("top_p", "min_tokens_to_keep", Z, 0.5, 0),
    refused("top_p", "no axis", np.array(0.0), 0.5),
    refused("greedy", "integers", Z.astype(int)),
    refused("greedy", "no logits", Z[:, :0]),
    refused("multinomial", "integers", P.astype(int)),
    refused("multinomial", "negative", P - 1),
    refused("multinomial", "zeros", P * 0),
    refused("multinomial", "NaN", P * np.nan),
    refused("multinomial", "no choice", P[:, :0]),
    refused("multinomial", "generator", P, 3),
    refused("sample", "generator", Z, generator=3),
    Refusal("sample: temperature", lambda: generation.sample(Z, 0.0), "temper"),
    Refusal("sample: k", lambda: generation.sample(Z, k=0), "top_k"),
    Refusal("sample: p", lambda: generation.sample(Z, p=2.0), "top_p"),
    refused("generate", "floating ids", step, PROMPTS * 1.0, 3),
    refused("generate", "one axis", step, PROMPTS[0], 3),
    refused("generate", "no tokens", step, PROMPTS[:, :0], 3),
    refused("generate", "negative length", step, PROMPTS, -1),
    refused("generate", "eos", step, PROMPTS, 3, eos=0.5),
    refused("generate", "pad", step, PROMPTS, 3, eos=1, pad=-1),
    refused("generate", "logits", too_few, PROMPTS, 3),
    refused("beam_search", "floating ids", step, PROMPTS * 1.0, 2, 3),
    refused("beam_search", "no beams", step, PROMPTS, 0, 3),
    refused("beam_search", "no length", step, PROMPTS, 2, 0),
    refused("beam_search", "eos", step, PROMPTS, 2, 3, "end"),
    refused("beam_search", "early_stopping", step, PROMPTS, 2, 3, early_stopping="always"),
    refused("beam_search", "length_penalty", step, PROMPTS, 2, 3, length_penalty="long"),
    refused("beam_search", "pad", step, PROMPTS, 2, 3, 1, pad=0.5),
    refused("beam_search", "logits", too_few, PROMPTS, 2, 3),
    refused("select", "a number", {"h": 3}, np.arange(2)),
    refused("wu_penalty", "a word", unchecked("long")),
]
