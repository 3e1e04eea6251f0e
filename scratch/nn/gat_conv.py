"""Graph attention.                                  Velickovic et al. 2018, arXiv:1710.10903

forward    h = x W^T, in H heads      z_e = LeakyReLU(a_src . h_s + a_dst . h_t) for e: s -> t
           p_e = e^z_e / sum of e^z over all edges into t          q = drop(p)
           y_t = sum over e: s -> t of q_e h_s, heads side by side or their mean, + b
backward   dq_e = dy_t . h_s              dz_e = p_e (dp_e - sum over edges e' into t of p_e' dp_e')
           dsrc_n = sum of dLeakyReLU over e out of n              ddst_n = the same over e into n
           dh_n = sum over e: n -> t of q_e dy_t + a_src dsrc_n + a_dst ddst_n
           da_src = sum_n dsrc_n h_n      da_dst = sum_n ddst_n h_n
shapes     x (N, in)   edge_index (2, E), sources above targets   W (H C, in)   h (N, H, C)
           a_src, a_dst (1, H, C)   z, p, q (E, H)   y (N, H C), or (N, C) of the mean
paper      a . [h_t || h_s] is parted into a_dst . h_t + a_src . h_s, once a node and not once an
           edge. A node is among its own neighbours; dropout thins the normalised weights.
torch      has none; names and start are PyTorch Geometric's: W, a_src and a_dst from Glorot's
           uniform distribution, b from 0. Edge features and its residual are left out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.dropout import Dropout
from scratch.nn.edges import edges_of, nodes_of, plus_bias
from scratch.nn.linear import Linear
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward
from scratch.nn.rectifier import leaky_relu
from scratch.random import Generator


class GATConv(Module):
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
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        x (N, in_channels) and edge_index (2, E) to (N, H C), or (N, C) without concat.

    Raises:
        TypeError, ValueError: if an option is out of range; in a forward, if an array does not fit
            or an edge leads to no node.

    Source: Velickovic et al. 2018, equations 1 to 6.
    """

    _unread = frozenset({"bias"})

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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "GATConv"
        self.in_channels = check.size(name, "in_channels", in_channels, low=1)
        self.out_channels = check.size(name, "out_channels", out_channels, low=1)
        self.heads = check.size(name, "heads", heads, low=1)
        self.negative_slope = check.number(name, "negative_slope", negative_slope)
        check.number(name, "dropout", dropout, 0, 1)
        flags = {"concat": concat, "add_self_loops": add_self_loops, "bias": bias}
        for flag, given in flags.items():
            check.option(name, flag, given, (True, False))
        self.concat, self.add_self_loops = concat, add_self_loops
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.lin = Linear(in_channels, heads * out_channels, bias=False, **options)
        init.xavier_uniform_(self.lin.weight, generator=generator)
        self.att_src = Parameter(np.empty((1, heads, out_channels), dtype))
        self.att_dst = Parameter(np.empty((1, heads, out_channels), dtype))
        bound = math.sqrt(6 / (heads + out_channels))
        for attention in (self.att_src, self.att_dst):
            init.uniform_(attention, -bound, bound, generator=generator)
        width = heads * out_channels if concat else out_channels
        self.bias = Parameter(np.zeros(width, dtype)) if bias else None
        self.drop = Dropout(dropout, generator=generator)

    def forward(self, x: Array, edge_index: Array) -> tuple[Array, Backward]:
        """The weighed means.

        Args:
            x: (N, in_channels).
            edge_index: (2, E), sources above targets, integers in [0, N).

        Returns:
            y (N, H C), or (N, C) without concat, and its backward: dy -> dx.
        """
        x = nodes_of("GATConv", x, self.in_channels, self.lin.weight.data)
        edges = edges_of("GATConv", edge_index, len(x))
        if self.add_self_loops:
            edges = edges.with_loops()
        s, t, heads = edges.source, edges.target, (len(x), self.heads, self.out_channels)
        a_src, a_dst = self.att_src.data, self.att_dst.data
        flat, lin_back = self.lin(x)
        h = flat.reshape(heads)
        score = (h * a_src).sum(-1)[s] + (h * a_dst).sum(-1)[t]  # (E, H)
        z, leaky_back = leaky_relu(score, self.negative_slope)
        p, softmax_back = edges.into.softmax(z)
        q, drop_back = self.drop(p)
        h_source = h[s]
        y = edges.into.sum(q[..., None] * h_source)  # (N, H, C)
        y = y.reshape(len(x), -1) if self.concat else y.mean(1)
        y, bias_back = plus_bias(y, value(self.bias))

        def backward(dy: Array) -> Array:
            dy, dbias = bias_back(dy)
            if self.bias is not None:
                self.bias.accumulate(dbias)
            by_head = dy.reshape(heads) if self.concat else (dy / self.heads)[:, None]
            dy_target = np.broadcast_to(by_head, heads)[t]  # (E, H, C)
            dh = edges.out_of.sum(q[..., None] * dy_target)
            dq = np.einsum("ehc,ehc->eh", dy_target, h_source)
            dscore = leaky_back(softmax_back(drop_back(dq)))
            dsrc, ddst = (ends.sum(dscore)[..., None] for ends in (edges.out_of, edges.into))
            dh += dsrc * a_src
            dh += ddst * a_dst
            self.att_src.accumulate((dsrc * h).sum(0, keepdims=True))
            self.att_dst.accumulate((ddst * h).sum(0, keepdims=True))
            dx: Array = lin_back(dh.reshape(flat.shape))
            return dx

        return y, backward

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
