"""Edges of a graph, and the nodes at their two ends.

edge_index (2, E): edge e leads from node s = edge_index[0, e] to node t = edge_index[1, e], so a
node is reached by the messages of the edges whose row 1 holds it. This is PyTorch Geometric's
"source_to_target". A bond without direction stands there twice.

gather     x_s, (E, F)                  dx = the sum of d(x_s) over the edges that leave each node
collect    sum over the edges into t    d(message_e) = dy_t
loops      N edges from each node to itself behind all others; a loop that is there already is
           not there twice
"""

from functools import cached_property

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.segment import Segments


class Edges:
    """Sources and targets, sorted once for all that is gathered and collected along them.

    Args:
        source: s (E,).
        target: t (E,).
        nodes: N.
    """

    def __init__(self, source: Array, target: Array, nodes: int) -> None:
        self.source, self.target, self.nodes = source, target, nodes

    @cached_property
    def out_of(self) -> Segments:
        """The edges that leave each node."""
        return Segments(self.source, self.nodes)

    @cached_property
    def into(self) -> Segments:
        """The edges that reach each node."""
        return Segments(self.target, self.nodes)

    @cached_property
    def loops(self) -> Array:
        """Whether an edge leads from a node to itself (E,)."""
        same: Array = self.source == self.target
        return same

    def with_loops(self) -> "Edges":
        """One loop at each node, behind the edges between different nodes."""
        kept, nodes = ~self.loops, np.arange(self.nodes)
        source, target = (np.concatenate([a[kept], nodes]) for a in (self.source, self.target))
        return Edges(source, target, self.nodes)


def edges_of(name: str, edge_index: object, nodes: int) -> Edges:
    """The edges among so many nodes, or a refusal that names the caller."""
    index = check.integer(name, "edge_index", edge_index, 0, nodes)
    check.shape(name, "edge_index", index, (2, "E"))
    source, target = index.astype(np.intp, copy=False)
    return Edges(source, target, nodes)


def nodes_of(name: str, x: object, features: int, like: Array) -> Array:
    """The nodes' features (N, features) in the weights' dtype, or a refusal."""
    rows = check.floating(name, "x", x)
    if rows.dtype != like.dtype:
        expected = f"x of dtype {like.dtype} as the weights have"
        check.refuse(name, expected, check.describe(rows), TypeError)
    check.shape(name, "x", rows, ("N", features))
    return rows


@op
def plus_bias(y: Array, bias: Array | None) -> tuple[Array, Backward]:
    """y + b, if there is a b: behind the sums, so that it does not depend on the neighbours.

    Args:
        y: (N, F).
        bias: b (F,), or None.

    Returns:
        (N, F), and its backward: dy -> dy, db, which is None where there is no b.
    """
    shifted = y if bias is None else y + bias
    return shifted, lambda dy: (dy, None if bias is None else dy.sum(0))
