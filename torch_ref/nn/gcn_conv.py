"""Graph convolution, Kipf & Welling 2017, arXiv:1609.02907, differentiated by autograd.

y_t = sum over edges s -> t of w_e / sqrt(d_s d_t) (W x_s) + b, d_t the weights into t with loops.
"""

import torch
from torch import Tensor, nn

from torch_ref.nn.segment import segment_sum


def gcn_norm(edge_index: Tensor, weight: Tensor, nodes: int) -> Tensor:
    """w_e / sqrt(d_s d_t) (E,), d the sum of the weights into a node."""
    source, target = edge_index
    degree = segment_sum(weight, target, nodes)
    reached = degree > 0
    r = degree.where(reached, 1).rsqrt().where(reached, 0)
    return weight * r[source] * r[target]


class GCNConv(nn.Module):
    """Each node's neighbours and itself, weighed by the degrees at both ends of an edge.

    Args:
        in_channels: features of a node.
        out_channels: features of the result.
        improved: whether the loops that are added weigh 2 and not 1.
        add_self_loops: whether each node without a loop gets one.
        bias: whether to add b.
        dtype: of the parameters.

    Shape:
        x (N, in_channels), edge_index (2, E) and edge_weight (E,) to (N, out_channels).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        improved: bool = False,
        add_self_loops: bool = True,
        bias: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.improved, self.add_self_loops = improved, add_self_loops
        self.lin = nn.Linear(in_channels, out_channels, bias=False, dtype=dtype)
        nn.init.xavier_uniform_(self.lin.weight)
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=dtype)) if bias else None

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The weighed sums.

        Args:
            x: (N, in_channels).
            edge_index: (2, E), sources above targets.
            edge_weight: w (E,), not negative; None stands for ones.

        Returns:
            y (N, out_channels).
        """
        nodes = len(x)
        weight = x.new_ones(edge_index.shape[1]) if edge_weight is None else edge_weight
        if self.add_self_loops:
            loops = edge_index[0] == edge_index[1]
            own = x.new_full((nodes,), 2 if self.improved else 1)
            own = own.index_put((edge_index[0, loops],), weight[loops])
            weight = torch.cat([weight[~loops], own])
            edge_index = with_loops(edge_index, nodes)
        source, target = edge_index
        a = gcn_norm(edge_index, weight, nodes)
        y = segment_sum(a[:, None] * self.lin(x)[source], target, nodes)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"


def with_loops(edge_index: Tensor, nodes: int) -> Tensor:
    """One loop at each node, behind the edges between different nodes."""
    between = edge_index[:, edge_index[0] != edge_index[1]]
    return torch.cat([between, torch.arange(nodes, device=between.device).expand(2, -1)], 1)
