"""Numbers of whole graphs, such as the boiling point of a molecule.

h = W x, h = relu(conv(h)) L times, without relu after message passing; g the sum, mean or maximum
of h over each graph's nodes; y = U relu(V g). Gilmer et al. 2017, arXiv:1704.01212.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.nn.gat_conv import GATConv
from torch_ref.nn.gcn_conv import GCNConv
from torch_ref.nn.mpnn_conv import MPNNConv
from torch_ref.nn.segment import segment_max, segment_mean, segment_sum

READOUTS = {"sum": segment_sum, "mean": segment_mean, "max": segment_max}


class GraphRegressor(nn.Module):
    """Convolutions over a graph's nodes, their sum, and a network of one hidden layer.

    Args:
        in_channels: features of a node.
        hidden_channels: H, in all layers.
        num_layers: L, convolutions.
        conv: 'gcn', 'gat' or 'mpnn'.
        readout: 'sum', 'mean' or 'max', over the nodes of each graph.
        heads: of 'gat', each with H / heads features.
        out_features: numbers of each graph.
        dtype: of the parameters.

    Shape:
        x (N, in_channels), edge_index (2, E) and batch (N,) to (G, out_features).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.readout = in_channels, readout
        h = hidden_channels
        self.embed = nn.Linear(in_channels, h, dtype=dtype)
        convs: list[nn.Module] = []
        for _ in range(num_layers):
            if conv == "gcn":
                convs.append(GCNConv(h, h, dtype=dtype))
            elif conv == "gat":
                convs.append(GATConv(h, h // heads, heads, dtype=dtype))
            else:
                convs.append(MPNNConv(h, dtype=dtype))
        self.convs = nn.ModuleList(convs)
        self.head = nn.Sequential(
            nn.Linear(h, h, dtype=dtype), nn.ReLU(), nn.Linear(h, out_features, dtype=dtype)
        )

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
    ) -> Tensor:
        """The numbers of each graph.

        Args:
            x: (N, in_channels).
            edge_index: (2, E), sources above targets.
            batch: graph of each node (N,); None where all are of one.
            num_graphs: G; None for the largest of `batch` and one.

        Returns:
            y (G, out_features).
        """
        if batch is None:
            batch, num_graphs = edge_index.new_zeros(len(x)), num_graphs or 1
        h = self.embed(x)
        for conv in self.convs:
            h = conv(h, edge_index)
            if not isinstance(conv, MPNNConv):
                h = F.relu(h)
        y: Tensor = self.head(READOUTS[self.readout](h, batch, num_graphs))
        return y
