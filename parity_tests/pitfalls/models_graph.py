"""Conventions of graph networks: which way an edge leads, loops, degrees, what is shared."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.models import GraphRegressor
from scratch.nn import functional as F
from scratch.nn import gcn_conv
from scratch.nn.edges import Edges, edges_of
from scratch.nn.op import Backward
from scratch.nn.segment import Segments

Parts = tuple[Any, Backward]


@mutant(F.segment_max)
def first_of_ties(**a: Any) -> Parts:
    """All of the gradient to the first maximum."""
    y, _ = F.segment_max(**a)
    x, index = a["input"], a["index"].astype(np.intp)

    def backward(dy: Array) -> Array:
        largest = x == y[index]
        place = np.where(largest, np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)), len(x))
        first = np.full(y.shape, len(x))
        np.minimum.at(first, index, place)
        dx: Array = np.where(place == first[index], dy[index], 0) * largest
        return dx

    return y, backward


@mutant(F.segment_max)
def least_number(**a: Any) -> Parts:
    """A segment without rows has the maximum of nothing."""
    y, backward = F.segment_max(**a)
    full = np.bincount(a["index"].astype(np.intp), minlength=len(y)) > 0
    return np.where(full.reshape(-1, *[1] * (y.ndim - 1)), y, np.finfo(y.dtype).min), backward


@mutant(F.segment_mean)
def over_all_rows(**a: Any) -> Parts:
    """Divided by the number of rows, not of those in the segment."""
    y, backward = F.segment_sum(**a)
    n = max(len(a["input"]), 1)
    return y / n, lambda dy: backward(dy / n)


@mutant(F.segment_softmax)
def over_all_segments(**a: Any) -> Parts:
    """One softmax of all rows."""
    x = a["input"]
    return F.segment_softmax(x, np.zeros(len(x), np.intp))


class NoLoops(nn.GCNConv):
    """A node does not hear itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "add_self_loops": False})


class AnotherLoop(nn.GCNConv):
    """Each node gets a loop, also one that has one."""

    def _weights(self, edges: Edges, edge_weight: Array | None, x: Array) -> Any:
        e, nodes = len(edges.source), np.arange(len(x))
        given = np.ones(e, x.dtype) if edge_weight is None else edge_weight
        if not self.add_self_loops:
            return edges, given, lambda dw: dw
        source, target = (np.concatenate([a, nodes]) for a in (edges.source, edges.target))
        own = np.full(len(x), 2 if self.improved else 1, x.dtype)
        return Edges(source, target, len(x)), np.concatenate([given, own]), lambda dw: dw[:e]


class Normed(nn.GCNConv):
    """Weights of the edges made in another way."""

    def forward(self, x: Array, edge_index: Array, edge_weight: Array | None = None) -> Parts:
        """As GCNConv's."""
        with mock.patch.object(gcn_conv, "gcn_norm", self.norm):
            return super().forward(x, edge_index, edge_weight)

    @staticmethod
    def norm(edges: Edges, weight: Array) -> Parts:
        """w_e / d_t: a mean over the neighbours."""
        degree = edges.into.sum(weight)[edges.target]
        a = np.divide(weight, degree, out=np.zeros_like(weight), where=degree > 0)
        share = np.divide(1, degree, out=np.zeros_like(degree), where=degree > 0)
        return a, lambda da: (da - edges.into.sum(da * a)[edges.target]) * share


class BySource(Normed):
    """The degree of a node is that of the edges that leave it."""

    @staticmethod
    def norm(edges: Edges, weight: Array) -> Parts:
        """As gcn_norm, of the edges turned round."""
        return gcn_norm(Edges(edges.target, edges.source, edges.nodes), weight)


class Counted(Normed):
    """Degrees count edges, whatever they weigh."""

    @staticmethod
    def norm(edges: Edges, weight: Array) -> Parts:
        """As gcn_norm, of ones, times the weights."""
        a, _ = gcn_norm(edges, np.ones_like(weight))
        return a * weight, lambda da: da * a


gcn_norm = gcn_conv.gcn_norm


class BiasFirst(nn.GCNConv):
    """The bias belongs to the linear map, and is summed along with the neighbours."""

    def forward(self, x: Array, edge_index: Array, edge_weight: Array | None = None) -> Parts:
        """As GCNConv's, its bias times what a node's edges weigh together."""
        y, back = super().forward(x, edge_index, edge_weight)
        edges, w, _ = self._weights(edges_of("GCNConv", edge_index, len(x)), edge_weight, x)
        bias, more = self.bias, edges.into.sum(gcn_norm(edges, w)[0])[:, None] - 1
        if bias is None:
            return y, back

        def backward(dy: Array) -> Any:
            bias.accumulate((more * dy).sum(0))
            return back(dy)

        return y + more * bias.data, backward


def turned(layer: type[Any]) -> Callable[..., Any]:
    """Row 0 of edge_index is taken for the targets."""

    class Turned(layer):  # type: ignore[misc]
        def forward(self, x: Array, edge_index: Array, *more: Any, **named: Any) -> Any:
            return super().forward(x, edge_index[::-1], *more, **named)

    return Turned


class SoftmaxElsewhere(Segments):
    """Sums over the edges into a node, but the softmax over those out of it."""

    def __init__(self, edges: Edges) -> None:
        super().__init__(edges.target, edges.nodes)
        self.others = edges.out_of

    def softmax(self, x: Array) -> Parts:
        """Over the other end's edges."""
        return self.others.softmax(x)


class OverSources(nn.GATConv):
    """Each node parts its attention among those that hear it."""

    def forward(self, x: Array, edge_index: Array) -> Parts:
        """As GATConv's."""
        with mock.patch.object(Edges, "into", property(SoftmaxElsewhere)):
            return super().forward(x, edge_index)


class Exchanged(nn.GATConv):
    """a_src is for the node that hears, as the first half of the paper's a is."""

    def forward(self, x: Array, edge_index: Array) -> Parts:
        """As GATConv's, with the vectors exchanged."""
        held = self.att_src, self.att_dst
        self.att_dst, self.att_src = held
        y, back = super().forward(x, edge_index)
        self.att_src, self.att_dst = held

        def backward(dy: Array) -> Any:
            self.att_dst, self.att_src = held
            dx = back(dy)
            self.att_src, self.att_dst = held
            return dx

        return y, backward


class Steeper(nn.GATConv):
    """The slope that LeakyReLU has elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "negative_slope": 0.01})


class LoopsAnyway(nn.GATConv):
    """Each node gets a loop, also one that has one."""

    def forward(self, x: Array, edge_index: Array) -> Parts:
        """As GATConv's, of edges to which the loops are added as they are."""
        with mock.patch.object(Edges, "loops", property(lambda e: np.zeros(len(e.source), bool))):
            return super().forward(x, edge_index)


class MeanOfMessages(nn.MPNNConv):
    """Messages are averaged."""

    def forward(self, x: Array, edge_index: Array, edge_attr: Array | None = None) -> Parts:
        """As MPNNConv's."""
        with mock.patch.object(Edges, "into", property(Averaged)):
            return super().forward(x, edge_index, edge_attr)


class Averaged(Segments):
    """The mean in place of the sum."""

    def __init__(self, edges: Edges) -> None:
        super().__init__(edges.target, edges.nodes)

    def sum(self, x: Array) -> Array:
        """Divided by the number of edges."""
        n = np.maximum(self.counts, 1).astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        mean: Array = super().sum(x) / n
        return mean


class TargetFirst(nn.MPNNConv):
    """The message is made of [x_t || x_s], as PyTorch Geometric writes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.message[0].__class__ = Rolled


class Rolled(nn.Linear):
    """A map that takes the first two parts of its input in the other order."""

    def forward(self, input: Array) -> Parts:
        """As Linear's."""
        c = self.out_features
        order = np.arange(input.shape[1])
        order[:c], order[c : 2 * c] = np.arange(c, 2 * c), np.arange(c)
        y, back = super().forward(input[:, order])
        return y, lambda dy: back(dy)[:, order]


class StateIsInput(nn.MPNNConv):
    """The GRU takes the node's features for its input and the message for its state."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.update, nn.GRUCell):
            self.update.__class__ = TurnedCell


class TurnedCell(nn.GRUCell):
    """A cell whose arguments are exchanged."""

    def forward(self, input: Array, hx: Any = None) -> Parts:
        """As GRUCell's."""
        y, back = super().forward(hx, input)
        return y, lambda dy: back(dy)[::-1]


class MeanReadout(GraphRegressor):
    """The mean over a graph's nodes, whatever is asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.readout = "mean"


class AllGraphsInOne(GraphRegressor):
    """What stands in the batch is one graph."""

    def forward(
        self, x: Array, edge_index: Array, batch: Any = None, num_graphs: Any = None
    ) -> Parts:
        """As GraphRegressor's, the same for each graph."""
        y, back = super().forward(x, edge_index)
        graphs = 1 if batch is None else num_graphs or int(batch.max()) + 1
        return y.repeat(graphs, 0), lambda dy: back(dy.sum(0, keepdims=True))


PITFALLS = [
    Pitfall(
        "segment_max: ties",
        entry="segment_max",
        difference="torch: equal parts to all maxima; torch_scatter: all to one of them",
        mutant=first_of_ties,
    ),
    Pitfall(
        "segment_max: empty",
        entry="segment_max",
        difference="PyTorch Geometric: 0; jax.ops.segment_max: the least number there is",
        mutant=least_number,
    ),
    Pitfall(
        "segment_mean: of what",
        entry="segment_mean",
        difference="here: by the rows of the segment; others: by all rows",
        mutant=over_all_rows,
    ),
    Pitfall(
        "segment_softmax: over what",
        entry="segment_softmax",
        difference="here: each segment sums to 1; others: all rows together",
        mutant=over_all_segments,
    ),
    Pitfall(
        "gcn: no loops",
        entry="GCNConv",
        difference="Kipf & Welling: A + I, a node hears itself; others: A",
        mutant=NoLoops,
    ),
    Pitfall(
        "gcn: loops twice",
        entry="GCNConv",
        difference="here: a loop that is there is kept and no other added; others: A + I anyway",
        mutant=AnotherLoop,
    ),
    Pitfall(
        "gcn: one degree",
        entry="GCNConv",
        difference="Kipf & Welling: 1 / sqrt(d_s d_t); others: 1 / d_t, the mean of the neighbours",
        mutant=Normed,
    ),
    Pitfall(
        "gcn: degree of what leaves",
        entry="GCNConv",
        difference="here: d of the edges into a node; others: of those out of it",
        mutant=BySource,
    ),
    Pitfall(
        "gcn: degree without weights",
        entry="GCNConv",
        difference="here: d sums the weights; others: it counts the edges",
        mutant=Counted,
    ),
    Pitfall(
        "gcn: bias",
        entry="GCNConv",
        difference="here: behind the sum over neighbours; others: in the linear map before it",
        mutant=BiasFirst,
    ),
    *(
        Pitfall(
            f"{entry.removesuffix('Conv').lower()}: direction",
            entry=entry,
            difference="PyTorch Geometric: from row 0 to row 1; others: row 0 gathers from row 1",
            mutant=turned(layer),
        )
        for entry, layer in (
            ("GCNConv", nn.GCNConv),
            ("GATConv", nn.GATConv),
            ("MPNNConv", nn.MPNNConv),
        )
    ),
    Pitfall(
        "gat: softmax over sources",
        entry="GATConv",
        difference="Velickovic et al.: over the edges into a node; others: over those out of it",
        mutant=OverSources,
    ),
    Pitfall(
        "gat: which half of a",
        entry="GATConv",
        difference="PyTorch Geometric: att_src for the neighbour; the paper's a begins with the "
        "half of the node that hears",
        mutant=Exchanged,
    ),
    Pitfall(
        "gat: slope",
        entry="GATConv",
        difference="Velickovic et al.: 0.2; LeakyReLU's own: 0.01",
        mutant=Steeper,
    ),
    Pitfall(
        "gat: loops twice",
        entry="GATConv",
        difference="here: one loop at each node; others: another one where there is one",
        mutant=LoopsAnyway,
    ),
    Pitfall(
        "mpnn: mean of messages",
        entry="MPNNConv",
        difference="Gilmer et al.: their sum, which counts neighbours; others: their mean",
        mutant=MeanOfMessages,
    ),
    Pitfall(
        "mpnn: which end first",
        entry="MPNNConv",
        difference="here: [x_s || x_t]; PyTorch Geometric's examples: [x_t || x_s]",
        mutant=TargetFirst,
    ),
    Pitfall(
        "mpnn: state and input",
        entry="MPNNConv",
        difference="Li et al.: GRU(message, features); others: GRU(features, message)",
        mutant=StateIsInput,
    ),
    Pitfall(
        "graph regressor: readout",
        entry="GraphRegressor",
        difference="here: the sum over a graph's nodes unless asked; others: their mean",
        mutant=MeanReadout,
    ),
    Pitfall(
        "graph regressor: graphs",
        entry="GraphRegressor",
        difference="here: nodes of each graph by themselves; others: all of the batch in one",
        mutant=AllGraphsInOne,
    ),
]
