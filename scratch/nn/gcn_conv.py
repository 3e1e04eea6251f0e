"""Graph convolution.                                    Kipf & Welling 2017, arXiv:1609.02907

forward    h = x W^T     d_t = sum of w_e over edges e into t, self loops of weight 1 included
           a_e = w_e / sqrt(d_s d_t)              y_t = sum over e: s -> t of a_e h_s + b
backward   dh_s = sum over e: s -> t of a_e dy_t          da_e = dy_t . h_s          db = sum dy
           dw_e = da_e / sqrt(d_s d_t) + dd_t             r = 1 / sqrt(d)
           dr_n = sum over e out of n of da_e w_e r_t + sum over e into n of da_e w_e r_s
           dd_n = -1/2 r_n^3 dr_n
shapes     x (N, in)   edge_index (2, E), sources above targets   w (E,)   W (out, in)   y (N, out)
loops      A loop that is there keeps its weight; the others get 1, or 2 if `improved`. A node that
           nothing reaches has r = 0.
torch      has none; names and start are PyTorch Geometric's: W from Glorot's uniform distribution,
           b from 0. The bias stands behind the sum, so that it does not depend on the degree.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.edges import Edges, edges_of, nodes_of, plus_bias
from scratch.nn.linear import Linear
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward
from scratch.random import Generator


def gcn_norm(edges: Edges, weight: Array) -> tuple[Array, Backward]:
    """a_e = w_e / sqrt(d_s d_t), d the sum of the weights into a node.

    Args:
        edges: with their loops.
        weight: w (E,), not negative.

    Returns:
        a (E,), and its backward: da -> dw.

    Source: Kipf & Welling 2017, equation 2.
    """
    degree = edges.into.sum(weight)
    r = np.zeros_like(degree)
    np.divide(1, np.sqrt(degree), out=r, where=degree > 0)
    r_source, r_target = r[edges.source], r[edges.target]

    def backward(da: Array) -> Array:
        shared = da * weight
        dr = edges.out_of.sum(shared * r_target) + edges.into.sum(shared * r_source)
        ddegree = -0.5 * r**3 * dr
        dweight: Array = da * r_source * r_target + ddegree[edges.target]
        return dweight

    return weight * r_source * r_target, backward


class GCNConv(Module):
    """Each node's neighbours and itself, weighed by the degrees at both ends of an edge.

    Args:
        in_channels: features of a node.
        out_channels: features of the result.
        improved: whether the loops that are added weigh 2 and not 1.
        add_self_loops: whether each node without a loop gets one.
        bias: whether to add b.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        x (N, in_channels), edge_index (2, E) and edge_weight (E,) to (N, out_channels).

    Raises:
        TypeError, ValueError: if an option is out of range; in a forward, if an array does not fit
            or an edge leads to no node.

    Source: Kipf & Welling 2017, equation 2.
    """

    _unread = frozenset({"bias"})

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        improved: bool = False,
        add_self_loops: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "GCNConv"
        self.in_channels = check.size(name, "in_channels", in_channels, low=1)
        self.out_channels = check.size(name, "out_channels", out_channels, low=1)
        flags = {"improved": improved, "add_self_loops": add_self_loops, "bias": bias}
        for flag, given in flags.items():
            check.option(name, flag, given, (True, False))
        self.improved, self.add_self_loops = improved, add_self_loops
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.lin = Linear(in_channels, out_channels, bias=False, **options)
        init.xavier_uniform_(self.lin.weight, generator=generator)
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None

    def forward(
        self, x: Array, edge_index: Array, edge_weight: Array | None = None
    ) -> tuple[Array, Backward]:
        """The weighed sums.

        Args:
            x: (N, in_channels).
            edge_index: (2, E), sources above targets, integers in [0, N).
            edge_weight: w (E,), not negative; None stands for ones.

        Returns:
            y (N, out_channels), and its backward: dy -> dx[, dedge_weight].
        """
        x = nodes_of("GCNConv", x, self.in_channels, self.lin.weight.data)
        edges = edges_of("GCNConv", edge_index, len(x))
        edges, w, weight_back = self._weights(edges, edge_weight, x)
        a, norm_back = gcn_norm(edges, w)
        h, lin_back = self.lin(x)
        h_source = h[edges.source]
        y = edges.into.sum(a[:, None] * h_source)
        y, bias_back = plus_bias(y, value(self.bias))

        def backward(dy: Array) -> Array | tuple[Array, Array]:
            dy, dbias = bias_back(dy)
            if self.bias is not None:
                self.bias.accumulate(dbias)
            dy_target = dy[edges.target]  # of each edge's message
            dx: Array = lin_back(edges.out_of.sum(a[:, None] * dy_target))
            if edge_weight is None:
                return dx
            return dx, weight_back(norm_back(np.einsum("ef,ef->e", dy_target, h_source)))

        return y, backward

    def _weights(
        self, edges: Edges, edge_weight: Array | None, x: Array
    ) -> tuple[Edges, Array, Backward]:
        """The edges with their loops, and a weight of each; backward: dw -> dedge_weight."""
        given = np.ones(len(edges.source), x.dtype)
        if edge_weight is not None:
            given = check.floating("GCNConv", "edge_weight", edge_weight, like=x)
            check.shape("GCNConv", "edge_weight", given, (len(edges.source),))
            if (given < 0).any():
                check.refuse("GCNConv", "edge_weight not negative", given.min())
        if not self.add_self_loops:
            return edges, given, lambda dw: dw
        loops = edges.loops
        at = edges.source[loops]
        if edge_weight is not None and len(np.unique(at)) < len(at):
            check.refuse("GCNConv", "at most one weighed loop at each node", np.sort(at))
        own = np.full(edges.nodes, 2 if self.improved else 1, x.dtype)
        own[at] = given[loops]

        def backward(dw: Array) -> Array:
            dgiven = np.empty_like(given)
            dgiven[~loops], dgiven[loops] = dw[: -edges.nodes or None], dw[-edges.nodes :][at]
            return dgiven

        return edges.with_loops(), np.concatenate([given[~loops], own]), backward

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"
