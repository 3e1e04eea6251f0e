"""Graph attention, Velickovic et al. 2018, arXiv:1710.10903, differentiated by autograd.

y_t = sum over edges s -> t of p_e h_s + b, h = W x, p = softmax over the edges into t of
LeakyReLU(a_src . h_s + a_dst . h_t).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.nn.gcn_conv import with_loops
from torch_ref.nn.segment import segment_softmax, segment_sum


class GATConv(nn.Module):
    """The mean of each node's neighbours and itself, weighed by learned attention.

    Args:
        in_channels: features of a node.
        out_channels: C, features of a head.
        heads: H.
        concat: whether the heads stand side by side; False takes their mean.
        negative_slope: of the leaky ReLU.
        dropout: probability of dropping a weight of the attention.
        add_self_loops: whether each node hears itself, once.
        bias: whether to add b.
        dtype: of the parameters.

    Shape:
        x (N, in_channels) and edge_index (2, E) to (N, H C), or (N, C) without concat.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
        add_self_loops: bool = True,
        bias: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.heads = in_channels, out_channels, heads
        self.concat, self.negative_slope = concat, negative_slope
        self.add_self_loops = add_self_loops
        self.lin = nn.Linear(in_channels, heads * out_channels, bias=False, dtype=dtype)
        nn.init.xavier_uniform_(self.lin.weight)
        self.att_src = nn.Parameter(torch.empty(1, heads, out_channels, dtype=dtype))
        self.att_dst = nn.Parameter(torch.empty(1, heads, out_channels, dtype=dtype))
        bound = math.sqrt(6 / (heads + out_channels))
        for attention in (self.att_src, self.att_dst):
            nn.init.uniform_(attention, -bound, bound)
        width = heads * out_channels if concat else out_channels
        self.bias = nn.Parameter(torch.zeros(width, dtype=dtype)) if bias else None
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """The weighed means.

        Args:
            x: (N, in_channels).
            edge_index: (2, E), sources above targets.

        Returns:
            y (N, H C), or (N, C) without concat.
        """
        nodes = len(x)
        if self.add_self_loops:
            edge_index = with_loops(edge_index, nodes)
        source, target = edge_index
        h = self.lin(x).view(nodes, self.heads, self.out_channels)
        score = (h * self.att_src).sum(-1)[source] + (h * self.att_dst).sum(-1)[target]
        z = F.leaky_relu(score, self.negative_slope)
        p = self.drop(segment_softmax(z, target, nodes))
        y = segment_sum(p[..., None] * h[source], target, nodes)
        y = y.flatten(1) if self.concat else y.mean(1)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
