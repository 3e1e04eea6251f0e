"""Embeddings of faces: angular margins, triplets found in the batch, a small FaceNet."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, Routine, unchecked
from scratch import nn
from scratch.nn import functional as F
from scratch.nn import triplet_mining
from torch_ref.nn import angular_margin
from torch_ref.nn import triplet_mining as torch_mining

DENG = "Deng, Guo, Xue & Zafeiriou 2019, arXiv:1801.07698, equation 3"
WANG = "Wang et al. 2018, arXiv:1801.09414, equation 4"
SCHROFF = "Schroff, Kalenichenko & Philbin 2015, arXiv:1503.03832, section 3"
HERMANS = "Hermans, Beyer & Leibe 2017, arXiv:1703.07737, equation 5"
JUMP = "the logit jumps, or its slope is infinite: what stands there is agreed on"
CHOICE = "among equal distances the first is chosen"


def cosines(low: float, high: float, **options: Any) -> Callable[[Draw], Call]:
    """Five rows of four cosines in that range, any targets."""

    def call(d: Draw) -> Call:
        return Call(d.uniform(low, high, 5, 4), d.integers(0, 4, 5), **options)

    return call


def ends(margin: float, **options: Any) -> Callable[[Draw], Call]:
    """The target's cosine at and beside 1, -1, 0 and where angle and margin make pi."""

    def call(d: Draw) -> Call:
        eps = float(np.finfo(d.dtype).eps)
        edge = -math.cos(margin)
        own = [1, 1 - eps, 1 - 1e-5, 1 + eps, 0.9999, -1, -1 - eps, -1 + eps, -0.9999]
        own += [0.0, -0.0, edge - 1e-4, edge + 1e-4]
        c = d.uniform(-0.9, 0.9, len(own), 3)
        t = d.integers(0, 3, len(own))
        c[np.arange(len(own)), t] = own
        return Call(c, t, margin, **options)

    return call


def head(*shape: int, classes: int, scale: float = 1.0) -> Callable[[Draw], Call]:
    """Embeddings of any length, any targets."""
    return lambda d: Call(d.normal(*shape, scale=scale), d.integers(0, classes, shape[0]))


LABELS = [0, 1, 0, 1, 2, 0, 1, 1]  # of class 2 there is one row alone


def batch(labels: list[int], size: int, unit: bool = False, **options: Any) -> Any:
    """Embeddings of rows with these labels."""

    def call(d: Draw) -> Call:
        x = d.normal(len(labels), size)
        if unit:
            x = x / np.sqrt((x * x).sum(1, keepdims=True))
        return Call(x, np.array(labels), **options)

    return call


def given(labels: list[int], rows: Any, **options: Any) -> Callable[[Draw], Call]:
    """These embeddings."""
    return lambda d: Call(d.array(rows), np.array(labels), **options)


GRID = [[0, 0], [0, 2], [2, 0], [0, 0], [1, 1], [2, 2], [0, 2], [4, 0]]
CROWDED = [[0, 0], [4, 0], [1, 0.5], [2, 0.25], [0, 3]]  # negatives between anchor and positive


def triplets(squared: bool) -> list[Case]:
    """What either loss is compared on; `squared`: what is not its default."""
    return [
        Case("on the sphere", batch(LABELS, 3, unit=True)),
        Case("none", batch(LABELS, 3, margin=1.0, reduction="none")),
        Case("sum", batch(LABELS, 4, margin=0.7, reduction="sum")),
        Case("the other distance", batch(LABELS, 3, unit=True, squared=squared)),
        Case("no farther negative", given([0, 0, 1, 1, 2], CROWDED, margin=2.0)),
        Case("ties", given([0, 1, 0, 1, 0, 1, 0, 2], GRID), surrogate=CHOICE),
        Case(
            "ties, roots", given([0, 1, 0, 1, 0, 1, 0, 2], GRID, squared=squared), surrogate=CHOICE
        ),
        Case("labels below 0", batch([-5, 900, -5, 900, 7, -5], 2, margin=0.5)),
        Case(
            "beyond the margin",
            given([0, 0, 1, 1], [[0, 0], [0, 1], [9, 0], [9, 1]]),
            zero=("input",),
        ),
        Case("one class", batch([3, 3, 3], 2), zero=("input",)),
        Case("each alone", batch([0, 1, 2], 2, reduction="sum"), zero=("input",)),
    ]


def mined(function: Any, side: Any, d: Draw) -> Mapping[str, Any]:
    """The triplets of several batches."""
    found: dict[str, Any] = {}
    for name, labels, x in (
        ("drawn", LABELS, d.normal(8, 3)),
        ("grid", [0, 1, 0, 1, 0, 1, 0, 2], d.array(GRID)),
        ("crowded", [0, 0, 1, 1, 2], d.array(CROWDED)),
        ("alone", [0, 1, 2], d.normal(3, 2)),
    ):
        rows = function(side.array(x), side.array(np.array(labels)))
        found |= {f"{name}: {part}": r for part, r in zip(("a", "p", "n"), rows, strict=True)}
    return found


ENTRIES: list[Entry] = [
    Op(
        "arc_face",
        F.arc_face,
        angular_margin.arc_face,
        source=DENG,
        cases=(
            Case("default", cosines(-0.95, 0.95)),
            Case("near", cosines(0.5, 0.99, scale=1.0)),
            Case("beyond pi", cosines(-0.99, -0.9, margin=0.6)),
            Case("easy", cosines(-0.95, 0.95, margin=0.3, easy_margin=True, scale=30.0)),
            Case("no margin", cosines(-0.95, 0.95, margin=0.0)),
            Case("half a turn", cosines(0.1, 0.9, margin=math.pi, scale=2.0)),
            Case("ends", ends(0.5), surrogate=JUMP),
            Case("ends, easy", ends(0.4, scale=0.5, easy_margin=True), surrogate=JUMP),
            Case("ends, no margin", ends(0.0), surrogate=JUMP),
        ),
    ),
    Op(
        "cos_face",
        F.cos_face,
        angular_margin.cos_face,
        source=WANG,
        cases=(
            Case("default", cosines(-1, 1)),
            Case("small", cosines(-1, 1, margin=0.1, scale=2.0)),
            Case("no margin", cosines(-1, 1, margin=0.0, scale=0.5)),
        ),
    ),
    Layer(
        "ArcFace",
        nn.ArcFace,
        angular_margin.ArcFace,
        source=DENG,
        cases=(
            Case("default", head(5, 3, classes=4), init=Call(3, 4)),
            Case("easy", head(6, 4, classes=3), init=Call(4, 3, 0.3, 2.0, True), modes=("train",)),
            Case(
                "long embeddings",
                head(4, 3, classes=5, scale=50.0),
                init=Call(3, 5, 0.4, 8.0),
                modes=("train",),
            ),
            Case("to predict", lambda d: Call(d.normal(4, 3)), init=Call(3, 5), modes=("eval",)),
        ),
    ),
    Layer(
        "CosFace",
        nn.CosFace,
        angular_margin.CosFace,
        source=WANG,
        cases=(
            Case("default", head(5, 3, classes=4), init=Call(3, 4)),
            Case(
                "small",
                head(4, 2, classes=3, scale=0.01),
                init=Call(2, 3, 0.1, 3.0),
                modes=("train",),
            ),
            Case("to predict", lambda d: Call(d.normal(4, 3)), init=Call(3, 5), modes=("eval",)),
        ),
    ),
    Op(
        "squared_distance",
        F.squared_distance,
        torch_mining.squared_distance,
        source=SCHROFF,
        cases=(
            Case("rows", lambda d: Call(d.normal(4, 3), d.normal(4, 3))),
            Case("all pairs", lambda d: Call(d.normal(4, 1, 3), d.normal(5, 3))),
            Case("one", lambda d: Call(d.normal(3), d.normal(3))),
            Case("equal", lambda d: Call(d.array([[1, 2]]), d.array([[1, 2]])), zero=("x1", "x2")),
            Case("nearly equal", lambda d: Call(d.array([[1, 2]]), d.array([[1, 2 + 1e-3]]))),
        ),
    ),
    Op(
        "semi_hard_triplet_loss",
        F.semi_hard_triplet_loss,
        torch_mining.semi_hard_triplet_loss,
        source=SCHROFF,
        cases=triplets(squared=False),
    ),
    Op(
        "batch_hard_triplet_loss",
        F.batch_hard_triplet_loss,
        torch_mining.batch_hard_triplet_loss,
        source=HERMANS,
        cases=triplets(squared=True),
    ),
    Routine(
        "semi_hard_triplets",
        triplet_mining.semi_hard_triplets,
        torch_mining.semi_hard_triplets,
        {"rows": mined},
        source=SCHROFF,
    ),
    Routine(
        "batch_hard_triplets",
        triplet_mining.batch_hard_triplets,
        torch_mining.batch_hard_triplets,
        {"rows": mined},
        source=HERMANS,
    ),
    Layer(
        "EmbeddingNet",
        scratch.models.EmbeddingNet,
        torch_ref.models.EmbeddingNet,
        source="Schroff, Kalenichenko & Philbin 2015, arXiv:1503.03832, figure 2",
        c=1000,
        cases=(
            Case(
                "digits",
                lambda d: Call(d.normal(3, 1, 8, 8)),
                init=Call(1, 8, 3, 2),
                modes=("train",),
            ),
            Case(
                "in colour, odd",
                lambda d: Call(d.normal(2, 3, 7, 7)),
                init=Call(3, 7, 4, 2),
                modes=("eval",),
            ),
            Case(
                "not normalised", lambda d: Call(d.normal(2, 1, 5, 5)), init=Call(1, 5, 2, 3, False)
            ),
        ),
    ),
]

C, T = np.full((3, 4), 0.25), np.array([0, 3, 1])
RIGHT: dict[str, Any] = {"input": C, "target": T}
BOTH: dict[str, dict[str, Any]] = {
    "integer input": {"input": np.ones((3, 4), int)},
    "one axis": {"input": C[0]},
    "floating target": {"target": T.astype(np.float64)},
    "number of targets": {"target": T[:2]},
}
MARGINS: dict[str, dict[str, Any]] = {
    **BOTH,
    "target too high": {"target": T + 1},
    "negative target": {"target": T - 1},
    "no cosines": {"input": 8 * C},
    "a word for a margin": {"margin": unchecked("wide")},
    "negative margin": {"margin": -0.1},
    "no scale": {"scale": 0.0},
}
TRIPLETS: dict[str, dict[str, Any]] = {
    **BOTH,
    "no margin": {"margin": 0.0},
    "squared a word": {"squared": unchecked("yes")},
    "unknown reduction": {"reduction": "max"},
}
WRONG: dict[str, dict[str, dict[str, Any]]] = {
    "arc_face": {
        **MARGINS,
        "margin beyond pi": {"margin": 3.2},
        "easy_margin a word": {"easy_margin": unchecked("yes")},
    },
    "cos_face": MARGINS,
    "semi_hard_triplet_loss": TRIPLETS,
    "batch_hard_triplet_loss": TRIPLETS,
}
REFUSALS = [
    Refusal(f"{name}: {what}", functools.partial(getattr(F, name), **{**RIGHT, **wrong}), name)
    for name, cases in WRONG.items()
    for what, wrong in cases.items()
]
REFUSALS += [
    Refusal(
        f"{name}: {what}",
        functools.partial(getattr(triplet_mining, name), **{**RIGHT, **wrong}),
        name,
    )
    for name in ("semi_hard_triplets", "batch_hard_triplets")
    for what, wrong in BOTH.items()
]

Net: Any = scratch.models.EmbeddingNet
HEADS: dict[str, tuple[dict[str, Any], ...]] = {
    "ArcFace": ({"margin": 3.2}, {"margin": -0.1}, {"easy_margin": "yes"}, {"scale": 0.0}),
    "CosFace": ({"margin": -0.1}, {"scale": -1.0}, {"in_features": 0}, {"num_classes": 0}),
}
NETS: tuple[dict[str, Any], ...] = (
    {"in_channels": 0},
    {"img_size": 3},
    {"embedding_dim": 0},
    {"num_filters": 1.5},
    {"normalize": "yes"},
)
ARC = nn.ArcFace(4, 3, dtype=np.float64)
PICTURES = np.zeros((2, 1, 8, 8), np.float32)
REFUSALS += [
    *(
        Refusal(
            f"{name}: {wrong}",
            functools.partial(getattr(nn, name), **{"in_features": 3, "num_classes": 4, **wrong}),
            name,
        )
        for name, cases in HEADS.items()
        for wrong in cases
    ),
    Refusal("ArcFace: target too high", lambda: ARC(C, T), "arc_face"),
    Refusal("ArcFace: width", lambda: ARC(C[:, :3], T), "linear"),
    *(
        Refusal(f"EmbeddingNet: {wrong}", functools.partial(Net, **wrong), "EmbeddingNet")
        for wrong in NETS
    ),
    Refusal("EmbeddingNet: size of a picture", lambda: Net(1, 12)(PICTURES), "linear"),
    Refusal(
        "squared_distance: shapes", lambda: F.squared_distance(C, C[:, :3]), "squared_distance"
    ),
    Refusal(
        "squared_distance: numbers",
        lambda: F.squared_distance(C[0, 0], C[0, 0]),
        "squared_distance",
    ),
]
