"""Numbers of whole graphs, such as the boiling point of a molecule.

forward    h = W x      h = relu(conv(h)), L times, without relu after message passing, which has
           an update of its own      g = sum, mean or maximum of h over each graph's nodes
           y = U relu(V g)
backward   dh of each node from its graph's dg, then through the convolutions in reverse
readout    A sum grows with the graph, as a boiling point does; a mean and a maximum do not, and
           cannot count.
shapes     x (N, in)   edge_index (2, E)   batch (N,) graph of each node   g (G, H)   y (G, out)
Sources    GCN: Kipf & Welling 2017, arXiv:1609.02907; GAT: Velickovic et al. 2018,
           arXiv:1710.10903; MPNN: Gilmer et al. 2017, arXiv:1704.01212; readouts: Xu et al. 2019,
           arXiv:1810.00826, section 5
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.edges import edges_of, nodes_of
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator

CONVS = ("gcn", "gat", "mpnn")
READOUTS = {"sum": F.segment_sum, "mean": F.segment_mean, "max": F.segment_max}


class GraphRegressor(Module):
    """Convolutions over a graph's nodes, their sum, and a network of one hidden layer.

    Args:
        in_channels: features of a node.
        hidden_channels: H, in all layers.
        num_layers: L, convolutions.
        conv: 'gcn', 'gat' or 'mpnn'.
        readout: 'sum', 'mean' or 'max', over the nodes of each graph.
        heads: of 'gat', each with H / heads features.
        out_features: numbers of each graph.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        x (N, in_channels), edge_index (2, E) and batch (N,) to (G, out_features).

    Raises:
        TypeError, ValueError: if an option is out of range or the heads do not part H; in a
            forward, if an array does not fit or an edge leads to no node.

    Source: Gilmer et al. 2017, section 2.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 32,
        num_layers: int = 3,
        conv: str = "gcn",
        readout: str = "sum",
        heads: int = 1,
        out_features: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "GraphRegressor"
        self.in_channels = check.size(name, "in_channels", in_channels, low=1)
        h = check.size(name, "hidden_channels", hidden_channels, low=1)
        check.size(name, "num_layers", num_layers, low=1)
        check.option(name, "conv", conv, CONVS)
        check.option(name, "readout", readout, tuple(READOUTS))
        check.size(name, "heads", heads, low=1)
        if h % heads:
            check.refuse(name, f"heads that part hidden_channels = {h}", heads)
        check.size(name, "out_features", out_features, low=1)
        self.readout = readout
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.embed = nn.Linear(in_channels, h, **options)
        convs: list[Module] = []
        for _ in range(num_layers):
            if conv == "gcn":
                convs.append(nn.GCNConv(h, h, **options))
            elif conv == "gat":
                convs.append(nn.GATConv(h, h // heads, heads, **options))
            else:
                convs.append(nn.MPNNConv(h, **options))
        self.convs = nn.ModuleList(convs)
        self.head = nn.Sequential(
            nn.Linear(h, h, **options), nn.ReLU(), nn.Linear(h, out_features, **options)
        )

    def forward(
        self,
        x: Array,
        edge_index: Array,
        batch: Array | None = None,
        num_graphs: int | None = None,
    ) -> tuple[Array, Backward]:
        """The numbers of each graph.

        Args:
            x: (N, in_channels).
            edge_index: (2, E), sources above targets, integers in [0, N).
            batch: graph of each node (N,); None where all are of one.
            num_graphs: G; None for the largest of `batch` and one.

        Returns:
            y (G, out_features), and its backward: dy -> dx.
        """
        x = nodes_of("GraphRegressor", x, self.in_channels, self.embed.weight.data)
        edges_of("GraphRegressor", edge_index, len(x))
        graphs, g = self._graphs(batch, num_graphs, len(x))
        h, embed_back = self.embed(x)
        backs = []
        for conv in self.convs:
            h, conv_back = conv(h, edge_index)
            backs.append(conv_back)
            if not isinstance(conv, nn.MPNNConv):
                h, relu_back = F.relu(h)
                backs.append(relu_back)
        pooled, readout_back = READOUTS[self.readout](h, graphs, g)
        y, head_back = self.head(pooled)

        def backward(dy: Array) -> Array:
            dh = readout_back(head_back(dy))
            for back in reversed(backs):
                dh = back(dh)
            dx: Array = embed_back(dh)
            return dx

        return y, backward

    def _graphs(
        self, batch: Array | None, num_graphs: int | None, nodes: int
    ) -> tuple[Array, int | None]:
        """The graph of each node, and how many there are."""
        name = "GraphRegressor"
        high = int(np.iinfo(np.int64).max)
        if num_graphs is not None:
            high = check.size(name, "num_graphs", num_graphs)
        if batch is None:
            if not high:
                check.refuse(name, "num_graphs >= 1 without batch", num_graphs)
            return np.zeros(nodes, np.intp), num_graphs or 1
        graphs = check.integer(name, "batch", batch, 0, high)
        check.shape(name, "batch", graphs, (nodes,))
        return graphs, num_graphs
