"""Message passing, Gilmer et al. 2017, arXiv:1704.01212, differentiated by autograd.

m_t = sum over edges s -> t of M [x_s || x_t || a_e], y_t = GRU(m_t, x_t) or U [m_t || x_t].
"""

import torch
from torch import Tensor, nn

from torch_ref.nn.segment import segment_sum


class MPNNConv(nn.Module):
    """Messages that both ends and the edge make together, summed, and an update of each node.

    Args:
        channels: C, features of a node, before and after.
        edge_dim: D, features of an edge; 0 for none.
        update: 'gru', of the message into the node's features, or 'mlp', of both.
        dtype: of the parameters.

    Shape:
        x (N, C), edge_index (2, E) and edge_attr (E, D) to (N, C).
    """

    def __init__(
        self,
        channels: int,
        edge_dim: int = 0,
        update: str = "gru",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.edge_dim = channels, edge_dim
        self.message = nn.Sequential(
            nn.Linear(2 * channels + edge_dim, channels, dtype=dtype),
            nn.ReLU(),
            nn.Linear(channels, channels, dtype=dtype),
        )
        self.update: nn.Module
        if update == "gru":
            self.update = nn.GRUCell(channels, channels, dtype=dtype)
        else:
            self.update = nn.Sequential(
                nn.Linear(2 * channels, channels, dtype=dtype),
                nn.ReLU(),
                nn.Linear(channels, channels, dtype=dtype),
            )

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """The nodes after one round of messages.

        Args:
            x: (N, C).
            edge_index: (2, E), sources above targets.
            edge_attr: a (E, D); None where D is 0.

        Returns:
            y (N, C).
        """
        source, target = edge_index
        ends = [x[source], x[target], *([] if edge_attr is None else [edge_attr])]
        m = segment_sum(self.message(torch.cat(ends, 1)), target, len(x))
        if isinstance(self.update, nn.GRUCell):
            updated: Tensor = self.update(m, x)
        else:
            updated = self.update(torch.cat([m, x], 1))
        return updated
