"""Session recommendation: losses over sampled items, and GRU4Rec."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw, same_draws
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, const, unchecked
from scratch.nn import functional as F
from torch_ref.nn import session_loss

HIDASI = "Hidasi, Karatzoglou, Baltrunas & Tikk 2016, arXiv:1511.06939, section 3.2.1"
GAINS = "Hidasi & Karatzoglou 2018, arXiv:1706.03847, sections 3 and 4"
RENDLE = "Rendle, Freudenthaler, Gantner & Schmidt-Thieme 2009, UAI; Hidasi et al. 2016"
BENGIO = "Bengio & Senecal 2008, IEEE Trans. Neural Networks 19(4); Hidasi et al. 2018"

LOSSES = ("sampled_cross_entropy", "bpr_loss", "top1_loss", "top1_max_loss", "bpr_max_loss")


def scores(*shape: int, scale: float = 1.0, **options: Any) -> Callable[[Draw], Call]:
    """Scores of this shape, any targets."""

    def call(d: Draw) -> Call:
        return Call(d.normal(*shape, scale=scale), d.integers(0, shape[1], shape[0]), **options)

    return call


def in_batch(d: Draw) -> Call:
    """Row i's target is column i, and two rows that have the same item are no negatives."""
    items = np.array([3, 0, 3, 1, 3])
    apart = items[:, None] != items
    return Call(d.normal(5, 5), np.arange(5), apart)


def ties(d: Draw) -> Call:
    """Scores that are all 0, all equal, or equal to the target's."""
    x = d.array([[0, 0, 0, 0], [2, 2, 2, 2], [1, -1, 1, 1], [-3, 4, 4, 0]])
    return Call(x, np.array([1, 3, 2, 2]))


def far(d: Draw) -> Call:
    """Targets thousands below or above the others, and scores whose exponentials overflow."""
    x = d.array(
        [[3000, -3000, 0, 1], [-3000, 3000, 2, 5], [900, 901, 899.5, 900], [-700, -800, -701, 90]]
    )
    return Call(x, np.array([0, 0, 2, 3]))


def some(d: Draw) -> Call:
    """A row without negatives, one with a single one, one whose mask marks the target."""
    on = np.array([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0]], bool)
    return Call(d.normal(4, 5), np.array([2, 0, 1, 1]), on)


def each(square: float = 1.0) -> list[Case]:
    """What every loss is compared on; `square`: of the scores 900, where it subtracts such."""
    return [
        Case("mean", scores(4, 6)),
        Case("none", scores(4, 6, reduction="none")),
        Case("sum", scores(3, 5, scale=4.0, reduction="sum")),
        Case("in the batch", in_batch),
        Case("ties", ties),
        Case("far apart", far, output_cancels=1.0, cancels=square),
        Case("some negatives", some),
        Case("nearly equal", scores(3, 4, scale=1e-7)),
        Case("one negative", scores(3, 2)),
        Case("none to rank", scores(2, 1), zero=("input",)),
    ]


def session(*shape: int, carried: int = 0, hidden: int = 4, **more: Any) -> Callable[[Draw], Call]:
    """Events among seven items, and a state of `carried` layers."""

    def call(d: Draw) -> Call:
        ids = d.integers(0, 7, *shape)
        h = d.normal(carried, shape[1], hidden) if carried else None
        return Call(ids, h, **{name: make(d) for name, make in more.items()})

    return call


def starts(*rows: list[int]) -> Callable[[Draw], Array]:
    """True where sessions start."""
    return lambda d: np.array(rows, bool)


TWO = starts([1, 0], [0, 0], [0, 1], [0, 0], [1, 1])

ENTRIES: list[Entry] = [
    Op(
        "sampled_cross_entropy",
        F.sampled_cross_entropy,
        session_loss.sampled_cross_entropy,
        source=BENGIO,
        cases=(
            *each(),
            Case(
                "how often each is sampled",
                lambda d: Call(
                    d.normal(3, 4),
                    d.integers(0, 4, 3),
                    d.mask(0.6, 3, 4),
                    const(np.log(d.probabilities(4))),
                    "none",
                ),
            ),
            Case(
                "the same for each row",
                lambda d: Call(
                    d.normal(3, 4),
                    d.integers(0, 4, 3),
                    log_q=const(np.log(d.probabilities(3, 4))),
                ),
            ),
        ),
    ),
    Op(
        "bpr_loss",
        F.bpr_loss,
        session_loss.bpr_loss,
        source=RENDLE,
        cases=each(),
    ),
    Op(
        "top1_loss",
        F.top1_loss,
        session_loss.top1_loss,
        source=HIDASI,
        cases=each(),
    ),
    Op(
        "top1_max_loss",
        F.top1_max_loss,
        session_loss.top1_max_loss,
        source=GAINS,
        cases=each(),
    ),
    Op(
        "bpr_max_loss",
        F.bpr_max_loss,
        session_loss.bpr_max_loss,
        source=GAINS,
        cases=(
            *each(900.0**2),
            Case("no regularisation", scores(3, 5, regularization=0.0)),
            Case("half of it", scores(3, 5, regularization=0.5, reduction="none")),
        ),
    ),
    Layer(
        "GRU4Rec",
        scratch.models.GRU4Rec,
        torch_ref.models.GRU4Rec,
        source="Hidasi, Karatzoglou, Baltrunas & Tikk 2016, arXiv:1511.06939",
        c=1000,
        cases=(
            Case("one-hot, all items", session(4, 3), init=Call(7, None, 4)),
            Case("one step", session(1, 3, carried=1), init=Call(7, 5, 4)),
            Case(
                "sessions end",
                session(5, 2, carried=2, start=TWO),
                init=Call(7, 3, 4, num_layers=2),
            ),
            Case(
                "candidates of each step",
                session(5, 2, carried=1, start=TWO, candidates=lambda d: d.integers(0, 7, 5, 6)),
                init=Call(7, 3, 4),
            ),
            Case(
                "candidates, one twice",
                session(3, 2, candidates=lambda d: np.array([6, 2, 2])),
                init=Call(7, 3, 4),
            ),
            Case(
                "tied",
                session(3, 2, carried=1, start=starts([0, 1], [0, 0], [1, 0])),
                init=Call(7, 4, 4, tied=True),
            ),
            Case(
                "tied, candidates",
                session(2, 3, carried=1, candidates=lambda d: d.integers(0, 7, 2, 3)),
                init=Call(7, 4, 4, tied=True),
            ),
            *(
                Case(
                    "dropout",
                    session(5, 2, carried=2, start=TWO),
                    init=Call(7, 6, 4, 2, False, 0.3, 0.4),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
]

X, T, ON = np.full((3, 4), 0.5), np.array([0, 3, 1]), np.ones((3, 4), bool)
RIGHT: dict[str, Any] = {"input": X, "target": T}
WRONG: dict[str, dict[str, Any]] = {
    "integer input": {"input": np.ones((3, 4), int)},
    "list": {"input": X.tolist()},
    "one axis": {"input": X[0]},
    "floating target": {"target": T.astype(np.float64)},
    "target too high": {"target": T + 1},
    "negative target": {"target": T - 1},
    "number of targets": {"target": T[:2]},
    "integer negatives": {"negatives": ON.astype(int)},
    "shape of negatives": {"negatives": ON.T},
    "unknown reduction": {"reduction": "max"},
}
MORE: dict[str, dict[str, dict[str, Any]]] = {
    "sampled_cross_entropy": {
        "shape of log_q": {"log_q": X[:, :3]},
        "dtype of log_q": {"log_q": np.zeros(4, np.float32)},
    },
    "bpr_max_loss": {
        "negative regularisation": {"regularization": -0.5},
        "regularisation a word": {"regularization": "much"},
    },
}
REFUSALS = [
    Refusal(
        f"{name}: {what}",
        functools.partial(getattr(F, name), **{**RIGHT, **wrong}),
        name,
    )
    for name in LOSSES
    for what, wrong in {**WRONG, **MORE.get(name, {})}.items()
]

MODEL = scratch.models.GRU4Rec(5, 3, 4)
IDS = np.array([[0, 4], [3, 1], [2, 2]])
REFUSALS += [
    Refusal("GRU4Rec: no items", lambda: scratch.models.GRU4Rec(0), "GRU4Rec"),
    Refusal("GRU4Rec: no state", lambda: scratch.models.GRU4Rec(5, None, 0), "GRU4Rec"),
    Refusal("GRU4Rec: no embedding", lambda: scratch.models.GRU4Rec(5, 0), "GRU4Rec"),
    Refusal("GRU4Rec: no layers", lambda: scratch.models.GRU4Rec(5, num_layers=0), "GRU4Rec"),
    Refusal("GRU4Rec: tied sizes", lambda: scratch.models.GRU4Rec(5, 3, 4, tied=True), "GRU4Rec"),
    Refusal("GRU4Rec: tied to one-hot", lambda: scratch.models.GRU4Rec(5, tied=True), "GRU4Rec"),
    Refusal(
        "GRU4Rec: tied a word",
        lambda: scratch.models.GRU4Rec(5, 3, 3, tied=unchecked("yes")),
        "GRU4Rec",
    ),
    Refusal(
        "GRU4Rec: dropout_embedding",
        lambda: scratch.models.GRU4Rec(5, 3, 3, dropout_embedding=1.5),
        "GRU4Rec",
    ),
    Refusal(
        "GRU4Rec: dropout_hidden",
        lambda: scratch.models.GRU4Rec(5, 3, 3, dropout_hidden=-0.5),
        "GRU4Rec",
    ),
    Refusal("GRU4Rec: item too high", lambda: MODEL(IDS + 1), "GRU4Rec"),
    Refusal("GRU4Rec: floating items", lambda: MODEL(IDS.astype(np.float32)), "GRU4Rec"),
    Refusal("GRU4Rec: one axis", lambda: MODEL(IDS[0]), "GRU4Rec"),
    Refusal("GRU4Rec: no steps", lambda: MODEL(IDS[:0]), "GRU4Rec"),
    Refusal("GRU4Rec: integer start", lambda: MODEL(IDS, start=IDS), "GRU4Rec"),
    Refusal("GRU4Rec: shape of start", lambda: MODEL(IDS, start=IDS[:2] > 0), "GRU4Rec"),
    Refusal("GRU4Rec: dtype of the state", lambda: MODEL(IDS, np.zeros((1, 3, 4))), "GRU4Rec"),
    Refusal(
        "GRU4Rec: shape of the state",
        lambda: MODEL(IDS, np.zeros((1, 3, 4), np.float32)),
        "GRU4Rec",
    ),
    Refusal("GRU4Rec: candidate", lambda: MODEL(IDS, candidates=np.array([5])), "GRU4Rec"),
    Refusal("GRU4Rec: steps of candidates", lambda: MODEL(IDS, candidates=IDS[:2]), "GRU4Rec"),
]
