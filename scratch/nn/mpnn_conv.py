"""Message passing: learned messages, a recurrent update. Gilmer et al. 2017, arXiv:1704.01212

forward    m_e = M [x_s || x_t || a_e] for e: s -> t, M a network of one hidden layer
           m_t = sum of m_e over e into t
           y_t = GRU(m_t, x_t), or U [m_t || x_t], U another such network
backward   dm_e = dm_t; of M's inputs dx_s is summed over the edges out of s, dx_t over those into
           t, beside what x_t gets from the update itself
shapes     x, m, y (N, C)   edge_index (2, E), sources above targets   a (E, D)
paper      equations 1 and 2, with the "pair message" of section 5, a network of both ends and the
           edge, and the update of gated graph networks (Li et al. 2016, arXiv:1511.05493).
torch      has none, and PyTorch Geometric only its NNConv, whose message is a matrix made of a_e.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.container import Sequential
from scratch.nn.edges import edges_of, nodes_of
from scratch.nn.gru import GRUCell
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.rectifier import ReLU
from scratch.random import Generator

UPDATES = ("gru", "mlp")


class MPNNConv(Module):
    """Messages that both ends and the edge make together, summed, and an update of each node.

    Args:
        channels: C, features of a node, before and after.
        edge_dim: D, features of an edge; 0 for none.
        update: 'gru', of the message into the node's features, or 'mlp', of both.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        x (N, C), edge_index (2, E) and edge_attr (E, D) to (N, C).

    Raises:
        TypeError, ValueError: if an option is out of range; in a forward, if an array does not fit
            or an edge leads to no node.

    Source: Gilmer et al. 2017, equations 1 and 2.
    """

    def __init__(
        self,
        channels: int,
        edge_dim: int = 0,
        update: str = "gru",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "MPNNConv"
        self.channels = check.size(name, "channels", channels, low=1)
        self.edge_dim = check.size(name, "edge_dim", edge_dim)
        check.option(name, "update", update, UPDATES)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.message = Sequential(
            Linear(2 * channels + edge_dim, channels, **options),
            ReLU(),
            Linear(channels, channels, **options),
        )
        self.update: GRUCell | Sequential
        if update == "gru":
            self.update = GRUCell(channels, channels, **options)
        else:
            self.update = Sequential(
                Linear(2 * channels, channels, **options),
                ReLU(),
                Linear(channels, channels, **options),
            )

    def forward(
        self, x: Array, edge_index: Array, edge_attr: Array | None = None
    ) -> tuple[Array, Backward]:
        """The nodes after one round of messages.

        Args:
            x: (N, C).
            edge_index: (2, E), sources above targets, integers in [0, N).
            edge_attr: a (E, D); None where D is 0.

        Returns:
            y (N, C), and its backward: dy -> dx[, dedge_attr].
        """
        weight = next(self.message.parameters()).data
        x = nodes_of("MPNNConv", x, self.channels, weight)
        edges = edges_of("MPNNConv", edge_index, len(x))
        ends = [x[edges.source], x[edges.target]]
        if edge_attr is not None or self.edge_dim:
            given = check.floating("MPNNConv", "edge_attr", edge_attr, like=x)
            check.shape("MPNNConv", "edge_attr", given, (len(edges.source), self.edge_dim))
            ends.append(given)
        m_edge, message_back = self.message(np.concatenate(ends, axis=1))
        m = edges.into.sum(m_edge)
        if isinstance(self.update, GRUCell):
            y, update_back = self.update(m, x)
        else:
            y, update_back = self.update(np.concatenate([m, x], axis=1))
        c = self.channels

        def backward(dy: Array) -> Array | tuple[Array, Array]:
            dupdate = update_back(dy)
            dm, dx = dupdate if isinstance(dupdate, tuple) else np.split(dupdate, 2, axis=1)
            dends = message_back(dm[edges.target])
            dx = dx + edges.out_of.sum(dends[:, :c]) + edges.into.sum(dends[:, c : 2 * c])
            return dx if edge_attr is None else (dx, dends[:, 2 * c :])

        return y, backward
