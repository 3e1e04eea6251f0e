"""Graph networks: reductions over segments, convolutions along edges, numbers of whole graphs."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw, same_draws
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.nn import functional as F
from torch_ref.nn import gat_conv, gcn_conv, mpnn_conv, segment

GILMER = "Gilmer, Schoenholz, Riley, Vinyals & Dahl 2017, arXiv:1704.01212"
KIPF = "Kipf & Welling 2017, arXiv:1609.02907, equation 2"
VELICKOVIC = "Velickovic et al. 2018, arXiv:1710.10903"
HAMILTON = "Hamilton, Ying & Leskovec 2017, arXiv:1706.02216, section 3.3"

# Row 0 leads to row 1. Nodes of every kind: 3 is reached only, 4 leaves only, 5 is alone.
DIRECTED = np.array([[0, 1, 2, 4, 4, 1, 2], [1, 2, 0, 3, 0, 0, 1]])
# A loop at 2, and the edge 0 -> 1 twice.
LOOPED = np.array([[0, 2, 1, 0, 3, 2], [1, 2, 0, 1, 1, 3]])
# All pairs of five nodes but two, so that the scores into a node have both signs: where they have
# one, the softmax does not see what the target adds to each of them.
DENSE = np.array([(s, t) for s in range(5) for t in range(5) if s != t and (s, t) != (4, 0)]).T
# 2-methylbutane and propane, each bond in both directions.
BONDS = np.array([[0, 1, 2, 1, 5, 6], [1, 2, 3, 4, 6, 7]])
MOLECULES = np.concatenate([BONDS, BONDS[::-1]], axis=1)
GRAPHS = np.repeat([0, 1], [5, 3])
NO_EDGES = np.zeros((2, 0), np.int64)


def rows(*shape: int, index: list[int], **options: Any) -> Callable[[Draw], Call]:
    """Rows of this shape and the segments they belong to."""
    return lambda d: Call(d.normal(*shape), np.array(index, np.int64), **options)


def ties(d: Draw) -> Call:
    """Two and three equal maxima, in columns of their own, and a segment of one row."""
    x = d.array([[1, 2], [1, 0], [0, 2], [-3, 2], [5, -1], [-3, -4]])
    return Call(x, np.array([1, 1, 1, 0, 2, 0]))


def far(d: Draw) -> Call:
    """Values of which the exponentials over- and underflow, and all equal."""
    x = d.array([[900, -900], [901, 0], [-800, 800], [-800, 799.5], [3, 3], [3, 3]])
    return Call(x, np.array([0, 0, 2, 2, 1, 1]))


def segments(*more: Case) -> list[Case]:
    """What every reduction is compared on."""
    return [
        Case("in any order", rows(7, 3, index=[2, 0, 2, 1, 0, 2, 2])),
        Case("sorted, empty ones", rows(5, 2, index=[1, 1, 3, 3, 3], num_segments=6)),
        Case("one axis", rows(6, index=[3, 1, 1, 0, 3, 3])),
        Case("three axes", rows(5, 2, 3, index=[0, 2, 0, 2, 2])),
        Case("int32", lambda d: Call(d.normal(4, 2), np.array([1, 0, 1, 1], np.int32))),
        *more,
    ]


def graph(edges: Array, nodes: int, features: int, **more: Any) -> Callable[[Draw], Call]:
    """Nodes with features, and edges."""

    def call(d: Draw) -> Call:
        return Call(
            d.normal(nodes, features), edges, **{name: make(d) for name, make in more.items()}
        )

    return call


def weights(n: int) -> Callable[[Draw], Array]:
    """Positive weights of so many edges."""
    return lambda d: d.uniform(0.2, 2.0, n)


def some_weights(d: Draw) -> Array:
    """Into node 1 and out of it nothing weighs; 1 weighs nothing itself."""
    return d.array([0.0, 0.7, 0.0, 0.0, 0.0, 1.3])


def molecules(d: Draw, **options: Any) -> Call:
    """Two molecules."""
    return Call(d.normal(8, 3), MOLECULES, GRAPHS, **options)


def two_dense(d: Draw) -> Call:
    """Two graphs of five nodes."""
    return Call(d.normal(10, 3), np.concatenate([DENSE, DENSE + 5], axis=1), np.arange(10) // 5)


TRAIN = ("train",)  # nothing here but dropout asks for the mode

ENTRIES: list[Entry] = [
    Op(
        "segment_sum",
        F.segment_sum,
        segment.segment_sum,
        source=f"{GILMER}, equation 1",
        cases=segments(),
    ),
    Op(
        "segment_mean",
        F.segment_mean,
        segment.segment_mean,
        source=HAMILTON,
        cases=segments(),
    ),
    Op(
        "segment_max",
        F.segment_max,
        segment.segment_max,
        source=HAMILTON,
        cases=segments(Case("ties", ties, surrogate="parted among ties")),
    ),
    Op(
        "segment_softmax",
        F.segment_softmax,
        segment.segment_softmax,
        source=f"{VELICKOVIC}, equation 2",
        cases=segments(Case("far apart", far)),
    ),
    Layer(
        "GCNConv",
        nn.GCNConv,
        gcn_conv.GCNConv,
        source=KIPF,
        cases=(
            Case("directed", graph(DIRECTED, 6, 3), init=Call(3, 4)),
            Case("a loop, an edge twice", graph(LOOPED, 4, 3), init=Call(3, 2), modes=TRAIN),
            Case(
                "weighed, a loop",
                graph(LOOPED, 4, 2, edge_weight=weights(6)),
                init=Call(2, 3, improved=True),
                modes=TRAIN,
            ),
            Case(
                "no loops, weights of 0",
                graph(LOOPED, 4, 2, edge_weight=some_weights),
                init=Call(2, 3, add_self_loops=False, bias=False),
                surrogate="beside a weight of 0 there are negative ones",
                modes=TRAIN,
            ),
            Case(
                "no loops",
                graph(DIRECTED, 6, 3),
                init=Call(3, 2, add_self_loops=False),
                modes=TRAIN,
            ),
            Case("no edges", graph(NO_EDGES, 3, 2), init=Call(2, 3), modes=TRAIN),
        ),
    ),
    Layer(
        "GATConv",
        nn.GATConv,
        gat_conv.GATConv,
        source=f"{VELICKOVIC}, equations 1 to 6",
        cases=(
            Case("directed", graph(DIRECTED, 6, 3), init=Call(3, 4), cancels=1.0),
            Case(
                "heads side by side",
                graph(DENSE, 5, 3),
                init=Call(3, 2, 3),
                cancels=1.0,
                modes=TRAIN,
            ),
            Case(
                "mean of heads, loops",
                graph(np.concatenate([DENSE, LOOPED], axis=1), 5, 2),
                init=Call(2, 3, 2, concat=False, negative_slope=0.5),
                cancels=1.0,
                modes=TRAIN,
            ),
            Case(
                "no loops, a node alone",
                graph(DENSE, 6, 2),
                init=Call(2, 3, 2, add_self_loops=False, bias=False),
                cancels=1.0,
                modes=TRAIN,
            ),
            *(
                Case(
                    "dropout",
                    graph(MOLECULES, 8, 3),
                    init=Call(3, 2, 2, dropout=0.4),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "MPNNConv",
        nn.MPNNConv,
        mpnn_conv.MPNNConv,
        source=f"{GILMER}, equations 1 and 2",
        c=1000,
        cases=(
            Case("gru", graph(DIRECTED, 6, 3), init=Call(3)),
            Case("mlp", graph(LOOPED, 4, 5), init=Call(5, update="mlp"), modes=TRAIN),
            Case(
                "features of edges",
                graph(LOOPED, 4, 3, edge_attr=lambda d: d.normal(6, 2)),
                init=Call(3, 2),
                modes=TRAIN,
            ),
        ),
    ),
    Layer(
        "GraphRegressor",
        scratch.models.GraphRegressor,
        torch_ref.models.GraphRegressor,
        source=f"{GILMER}, section 2",
        c=1000,
        steps=False,  # its parts take theirs, and `molecules` trains it
        cases=(
            Case("gcn", molecules, init=Call(3, 4, 2)),
            Case(
                "gat, mean",
                two_dense,
                init=Call(3, 4, 1, "gat", "mean", 2),
                cancels=1.0,
                modes=TRAIN,
            ),
            Case(
                "mpnn, maximum",
                molecules,
                init=Call(3, 4, 1, "mpnn", "max", out_features=2),
                modes=TRAIN,
            ),
            Case("one graph", graph(MOLECULES, 8, 3), init=Call(3, 7, 1, "mpnn"), modes=TRAIN),
            Case(
                "an empty graph",
                functools.partial(molecules, num_graphs=3),
                init=Call(3, 4, 1, readout="mean"),
                modes=TRAIN,
            ),
        ),
    ),
]

X, INDEX = np.full((4, 2), 0.5), np.array([0, 2, 1, 2])
WRONG: dict[str, dict[str, Any]] = {
    "integer input": {"input": np.ones((4, 2), int)},
    "list": {"input": X.tolist()},
    "no axis": {"input": np.float64(1.0), "index": INDEX[:0]},
    "floating index": {"index": INDEX.astype(np.float64)},
    "negative index": {"index": INDEX - 1},
    "index too high": {"index": INDEX, "num_segments": 2},
    "number of rows": {"index": INDEX[:3]},
    "two axes of index": {"index": INDEX[:, None]},
    "negative number": {"num_segments": -1},
    "half a segment": {"num_segments": 3.5},
}
REFUSALS = [
    Refusal(
        f"{name}: {what}",
        functools.partial(getattr(F, name), **{"input": X, "index": INDEX, **wrong}),
        name,
    )
    for name in ("segment_sum", "segment_mean", "segment_max", "segment_softmax")
    for what, wrong in WRONG.items()
]

NODES = np.full((6, 3), 0.5, np.float32)
GCN, GAT, MPNN = nn.GCNConv(3, 2), nn.GATConv(3, 2), nn.MPNNConv(3, 2)
MODEL = scratch.models.GraphRegressor(3, 4, 1)
EDGE = np.ones((7, 2), np.float32)
CALLS: dict[str, Callable[..., Any]] = {
    "GCNConv": GCN,
    "GATConv": GAT,
    "MPNNConv": functools.partial(MPNN, edge_attr=EDGE),
    "GraphRegressor": MODEL,
}
GIVEN: dict[str, tuple[Any, Any]] = {
    "features": (NODES[:, :2], DIRECTED),
    "dtype": (NODES.astype(np.float64), DIRECTED),
    "integer nodes": (NODES.astype(int), DIRECTED),
    "one axis of nodes": (NODES[0], DIRECTED),
    "node too high": (NODES[:4], DIRECTED),
    "negative node": (NODES, DIRECTED - 1),
    "floating edges": (NODES, DIRECTED.astype(np.float64)),
    "edges by rows": (NODES, DIRECTED.T),
    "one axis of edges": (NODES, DIRECTED[0]),
}
REFUSALS += [
    Refusal(f"{name}: {what}", functools.partial(call, *given), name)
    for name, call in CALLS.items()
    for what, given in GIVEN.items()
]
ONES = np.ones(7, np.float32)
TWO_LOOPS = np.array([[1, 1], [1, 1]])
REFUSALS += [
    Refusal("GCNConv: number of weights", lambda: GCN(NODES, DIRECTED, ONES[:6]), "GCNConv"),
    Refusal("GCNConv: negative weight", lambda: GCN(NODES, DIRECTED, -ONES), "GCNConv"),
    Refusal("GCNConv: integer weights", lambda: GCN(NODES, DIRECTED, DIRECTED[0]), "GCNConv"),
    Refusal("GCNConv: two weighed loops", lambda: GCN(NODES, TWO_LOOPS, ONES[:2]), "GCNConv"),
    Refusal("GCNConv: no features", lambda: nn.GCNConv(0, 2), "GCNConv"),
    Refusal("GCNConv: no results", lambda: nn.GCNConv(2, 0), "GCNConv"),
    Refusal("GCNConv: improved", lambda: nn.GCNConv(2, 2, improved=unchecked(2)), "GCNConv"),
    Refusal(
        "GCNConv: loops a word",
        lambda: nn.GCNConv(2, 2, add_self_loops=unchecked("yes")),
        "GCNConv",
    ),
    Refusal("GATConv: no features", lambda: nn.GATConv(0, 2), "GATConv"),
    Refusal("GATConv: no results", lambda: nn.GATConv(2, 0), "GATConv"),
    Refusal("GATConv: no heads", lambda: nn.GATConv(2, 2, 0), "GATConv"),
    Refusal("GATConv: concat a word", lambda: nn.GATConv(2, 2, concat=unchecked("no")), "GATConv"),
    Refusal("GATConv: dropout", lambda: nn.GATConv(2, 2, dropout=1.5), "GATConv"),
    Refusal(
        "GATConv: slope a word",
        lambda: nn.GATConv(2, 2, negative_slope=unchecked("flat")),
        "GATConv",
    ),
    Refusal("MPNNConv: no features", lambda: nn.MPNNConv(0), "MPNNConv"),
    Refusal("MPNNConv: edge_dim", lambda: nn.MPNNConv(2, -1), "MPNNConv"),
    Refusal("MPNNConv: update", lambda: nn.MPNNConv(2, update="lstm"), "MPNNConv"),
    Refusal("MPNNConv: no edge features", lambda: MPNN(NODES, DIRECTED), "MPNNConv"),
    Refusal("MPNNConv: their number", lambda: MPNN(NODES, DIRECTED, EDGE[:6]), "MPNNConv"),
    Refusal("MPNNConv: their size", lambda: MPNN(NODES, DIRECTED, EDGE[:, :1]), "MPNNConv"),
    Refusal(
        "MPNNConv: edge features unasked", lambda: nn.MPNNConv(3)(NODES, DIRECTED, EDGE), "MPNNConv"
    ),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "no features": {"in_channels": 0},
    "no width": {"hidden_channels": 0},
    "no layers": {"num_layers": 0},
    "convolution": {"conv": "cnn"},
    "readout": {"readout": "median"},
    "no heads": {"heads": 0},
    "heads that do not part": {"conv": "gat", "heads": 3},
    "no results": {"out_features": 0},
}
REFUSALS += [
    Refusal(
        f"GraphRegressor: {what}",
        functools.partial(
            scratch.models.GraphRegressor, **{"in_channels": 3, "hidden_channels": 4, **options}
        ),
        "GraphRegressor",
    )
    for what, options in OPTIONS.items()
]
OF = np.array([0, 0, 0, 1, 1, 1])
REFUSALS += [
    Refusal(
        "GraphRegressor: batch too short", lambda: MODEL(NODES, DIRECTED, OF[1:]), "GraphRegressor"
    ),
    Refusal(
        "GraphRegressor: negative graph", lambda: MODEL(NODES, DIRECTED, OF - 1), "GraphRegressor"
    ),
    Refusal(
        "GraphRegressor: graph too high", lambda: MODEL(NODES, DIRECTED, OF, 1), "GraphRegressor"
    ),
    Refusal("GraphRegressor: no graphs", lambda: MODEL(NODES, DIRECTED, None, 0), "GraphRegressor"),
    Refusal(
        "GraphRegressor: half a graph",
        lambda: MODEL(NODES, DIRECTED, OF, unchecked(1.5)),
        "GraphRegressor",
    ),
    Refusal(
        "GraphRegressor: floating graphs",
        lambda: MODEL(NODES, DIRECTED, OF + 0.0),
        "GraphRegressor",
    ),
]
