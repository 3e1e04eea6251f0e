"""The linear-chain conditional random field."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import torch_ref.nn.crf
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, Routine, unchecked
from scratch import nn
from scratch.nn import functional as F

LAFFERTY = "Lafferty, McCallum & Pereira 2001, Conditional random fields, ICML"
VITERBI = "Viterbi 1967; Rabiner 1989, A tutorial on hidden Markov models (forward-backward)"
FAR = "torch's own rounding, of path scores up to 1000, against test_crf's more digits"
LENGTHS = np.array([5, 1, 3])


def prefix(lengths: Array, steps: int) -> Array:
    """True for the first tokens of each sequence."""
    return np.arange(steps) < lengths[:, None]


def scores(d: Draw, tags: int, scale: float = 1.0) -> tuple[Array, Array, Array]:
    """Of starts, ends and transitions."""
    return (
        d.normal(tags, scale=scale),
        d.normal(tags, scale=scale),
        d.normal(tags, tags, scale=scale),
    )


def whole(d: Draw, scale: float = 1.0, **kwargs: Any) -> Call:
    """Three sequences of five tokens, four tags."""
    x = d.normal(3, 5, 4, scale=scale)
    return Call(x, d.integers(0, 4, 3, 5), *scores(d, 4, scale), **kwargs)


def masked(d: Draw, **kwargs: Any) -> Call:
    """Sequences of five, one and three tokens; behind them stand tags that do not exist."""
    mask = prefix(LENGTHS, 5)
    tags = np.where(mask, d.integers(0, 4, 3, 5), -100)
    return Call(d.normal(3, 5, 4), tags, *scores(d, 4), mask, **kwargs)


def time_first(d: Draw, **kwargs: Any) -> Call:
    """The same with time before batch, int32 tags."""
    tags = d.integers(0, 4, 5, 3).astype(np.int32)
    mask = prefix(LENGTHS, 5).T
    return Call(d.normal(5, 3, 4), tags, *scores(d, 4), mask, batch_first=False, **kwargs)


def forbidden(d: Draw, **kwargs: Any) -> Call:
    """A start, an end and a transition at -inf, none of them in the tags."""
    start, end, between = scores(d, 4)
    start[3] = end[0] = between[1, 2] = between[3, 3] = -np.inf
    tags = np.array([[0, 1, 3, 2, 1], [2, 2, 0, 1, 3]])
    return Call(d.normal(2, 5, 4), tags, start, end, between, **kwargs)


def each(name: str, make: Callable[..., Call], **kwargs: Any) -> list[Case]:
    """A case for each reduction."""
    return [
        Case(f"{name}, {r}", functools.partial(make, reduction=r, **kwargs))
        for r in ("none", "sum", "mean", "token_mean")
    ]


def drive(make: Any, side: Any, d: Draw, **options: Any) -> tuple[Any, Callable[..., Any]]:
    """A field with scores of its own, and a way to give it arrays."""
    start, end, between = scores(d, 4)
    state = {"start_transitions": start, "end_transitions": end, "transitions": between}
    return side.set(make(4, **options), state), side.array


def decoded(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Whole and masked, time second and first; sequences one after the other."""
    found = {}
    for batch_first in (True, False):
        field, array = drive(make, side, d, batch_first=batch_first)
        x, mask = d.normal(3, 5, 4), prefix(LENGTHS, 5)
        if not batch_first:
            x, mask = x.swapaxes(0, 1), mask.T
        for name, arguments in {"whole": (x,), "masked": (x, mask)}.items():
            paths = field.decode(*map(array, arguments))
            found[f"{name}, {batch_first}"] = np.array([tag for path in paths for tag in path])
            found[f"{name}, {batch_first}, lengths"] = np.array([len(path) for path in paths])
    return found


def marginals(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Whole and masked, time second and first."""
    found = {}
    for batch_first in (True, False):
        field, array = drive(make, side, d, batch_first=batch_first)
        x, mask = d.normal(3, 5, 4), prefix(LENGTHS, 5)
        if not batch_first:
            x, mask = x.swapaxes(0, 1), mask.T
        found[f"whole, {batch_first}"] = field.marginals(array(x))
        found[f"masked, {batch_first}"] = field.marginals(array(x), array(mask))
    return found


ENTRIES: list[Entry] = [
    Op(
        "linear_chain_crf",
        F.linear_chain_crf,
        torch_ref.nn.crf.linear_chain_crf,
        source=LAFFERTY,
        cases=(
            *each("whole", whole),
            *each("masked", masked),
            *each("time first", time_first),
            *each("forbidden", forbidden),
            Case("far apart", lambda d: whole(d, scale=100.0), c=2000.0, reason=FAR),
            Case("nearly uniform", lambda d: whole(d, scale=1e-7)),
            Case(
                "one token",
                lambda d: Call(d.normal(2, 1, 3), np.array([[2], [0]]), *scores(d, 3)),
                zero=("transitions",),
            ),
            Case(
                "one sequence",
                lambda d: Call(d.normal(1, 4, 3), np.eye(4, 4, 1, int)[:1], *scores(d, 3)),
            ),
            Case(
                "one tag",
                lambda d: Call(d.normal(2, 3, 1), np.zeros((2, 3), int), *scores(d, 1)),
                zero=("emissions", "start_transitions", "end_transitions", "transitions"),
                output_cancels=10.0,
            ),
        ),
    ),
    Layer(
        "LinearChainCRF",
        nn.LinearChainCRF,
        torch_ref.nn.crf.LinearChainCRF,
        source=LAFFERTY,
        cases=(
            Case(
                "batch first",
                lambda d: Call(d.normal(3, 5, 4), d.integers(0, 4, 3, 5), prefix(LENGTHS, 5)),
                init=Call(4),
            ),
            Case(
                "time first, token_mean",
                lambda d: Call(
                    d.normal(5, 3, 4),
                    d.integers(0, 4, 5, 3),
                    prefix(LENGTHS, 5).T,
                    reduction="token_mean",
                ),
                init=Call(4, batch_first=False),
            ),
            Case(
                "none",
                lambda d: Call(d.normal(2, 3, 5), d.integers(0, 5, 2, 3), reduction="none"),
                init=Call(5, True),
            ),
        ),
    ),
    Routine(
        "LinearChainCRF.decode",
        nn.LinearChainCRF,
        torch_ref.nn.crf.LinearChainCRF,
        {"decode": decoded},
        source=VITERBI,
    ),
    Routine(
        "LinearChainCRF.marginals",
        nn.LinearChainCRF,
        torch_ref.nn.crf.LinearChainCRF,
        {"marginals": marginals},
        source=VITERBI,
    ),
]

X, Z = np.full((2, 4, 3), 0.5), np.array([[0, 1, 2, 0], [2, 1, 0, 0]])
S, A, MASK = np.full(3, 0.1), np.full((3, 3), 0.2), prefix(np.array([4, 2]), 4)
GAP = MASK ^ (np.arange(4) == 1)
RIGHT: dict[str, Any] = {
    "emissions": X,
    "tags": Z,
    "start_transitions": S,
    "end_transitions": S,
    "transitions": A,
}
WRONG: dict[str, dict[str, Any]] = {
    "integer emissions": {"emissions": np.ones((2, 4, 3), int)},
    "list of emissions": {"emissions": [[[0.0]]]},
    "two axes": {"emissions": X[0]},
    "no tokens": {"emissions": X[:, :0], "tags": Z[:, :0]},
    "no tags": {"emissions": X[:, :, :0]},
    "floating tags": {"tags": Z.astype(np.float64)},
    "list of tags": {"tags": Z.tolist()},
    "shape of tags": {"tags": Z[:, :3]},
    "tag too high": {"tags": Z + 1},
    "negative tag": {"tags": Z - 1},
    "shape of start_transitions": {"start_transitions": S[:2]},
    "shape of end_transitions": {"end_transitions": A},
    "shape of transitions": {"transitions": A[:2]},
    "dtype of start_transitions": {"start_transitions": S.astype(np.float32)},
    "dtype of end_transitions": {"end_transitions": S.astype(np.float32)},
    "dtype of transitions": {"transitions": A.astype(np.float32)},
    "integer mask": {"mask": MASK.astype(int)},
    "shape of mask": {"mask": MASK.T},
    "mask with a gap": {"mask": GAP | (np.arange(4) == 0)},
    "mask without the first": {"mask": MASK & (np.arange(4) > 0)},
    "unknown reduction": {"reduction": "max"},
    "batch_first a word": {"batch_first": "yes"},
}
REFUSALS = [
    Refusal(
        f"linear_chain_crf: {what}",
        functools.partial(F.linear_chain_crf, **{**RIGHT, **wrong}),
        "linear_chain_crf",
    )
    for what, wrong in WRONG.items()
]
REFUSALS += [
    Refusal("LinearChainCRF: no tags", lambda: nn.LinearChainCRF(0), "LinearChainCRF"),
    Refusal(
        "LinearChainCRF: half a tag", lambda: nn.LinearChainCRF(unchecked(2.5)), "LinearChainCRF"
    ),
    Refusal(
        "LinearChainCRF: batch_first",
        lambda: nn.LinearChainCRF(3, batch_first=unchecked("no")),
        "LinearChainCRF",
    ),
    Refusal(
        "LinearChainCRF: number of tags",
        lambda: nn.LinearChainCRF(4, dtype=np.float64)(X, Z),
        "linear_chain_crf",
    ),
    Refusal(
        "LinearChainCRF: decode in another dtype",
        lambda: nn.LinearChainCRF(3).decode(X),
        "LinearChainCRF.decode",
    ),
    Refusal(
        "LinearChainCRF: marginals with a gap",
        lambda: nn.LinearChainCRF(3, dtype=np.float64).marginals(X, GAP),
        "LinearChainCRF.marginals",
    ),
]
