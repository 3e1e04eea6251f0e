"""Reductions over segments: rows that share an index, such as the messages that reach one node.

segment_sum      y_k = sum x_i over i with index_i = k       dx_i = dy_k
segment_mean     y_k = 1/n_k sum x_i                         dx_i = dy_k / n_k
segment_max      y_k = max x_i, each column by itself        dx_i = dy_k / t_k where x_i = y_k
segment_softmax  p_i = e^(x_i - m_k) / sum_j e^(x_j - m_k)   dx_i = p_i (dp_i - sum_j p_j dp_j)
                 over j of i's own segment, m_k its maximum
shapes           x, p (E, ...)   index (E,) in [0, N)   y (N, ...)   n_k rows in k, t_k ties in k
empty            A segment without rows is 0, its maximum too, as in PyTorch Geometric.
cost             Rows are sorted by segment once, unless they are already. Then neighbours of one
                 segment are added in pairs, the sums again in pairs, and so on: as many steps as
                 the longest segment has binary digits. np.add.reduceat walks from segment to
                 segment, np.add.at from row to row: with rows of some features both take
                 twice as long and more.
torch            index_add and scatter_reduce; its maximum parts the gradient among ties as here,
                 torch_scatter's gives all of it to one of them.
"""

from functools import cached_property

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet


class Segments:
    """Which rows belong together, sorted once for all that is reduced over them.

    Args:
        index: segment of each row (E,), integers in [0, n).
        n: number of segments.
    """

    def __init__(self, index: Array, n: int) -> None:
        self.index, self.n = index, n
        self.order: Array | None = None
        if (index[1:] < index[:-1]).any():
            short = index.astype(np.uint16) if n <= 2**16 else index  # sorted digit by digit
            self.order = np.argsort(short, kind="stable")
            index = index[self.order]
        self.starts = np.flatnonzero(np.diff(index, prepend=-1))
        self.filled = index[self.starts]
        lengths = np.diff(self.starts, append=len(index))
        place = np.arange(len(index)) - np.repeat(self.starts, lengths)
        left = np.repeat(lengths, lengths) - place  # rows from here to the segment's end
        self.pairs: list[tuple[Array, int]] = []  # rows, and how far behind their partners stand
        distance, longest = 1, int(lengths.max(initial=0))
        while distance < longest:
            at = np.flatnonzero((place % (2 * distance) == 0) & (left > distance))
            self.pairs.append((at, distance))
            distance *= 2

    @cached_property
    def counts(self) -> Array:
        """Rows in each segment (n,)."""
        return np.bincount(self.index, minlength=self.n)

    def sum(self, x: Array) -> Array:
        """Of the rows of each segment: (E, ...) to (n, ...)."""
        return self._reduced(np.add, x)

    def max(self, x: Array) -> Array:
        """The largest in each segment, 0 where there is none: (E, ...) to (n, ...)."""
        return self._reduced(np.maximum, x)

    def _reduced(self, ufunc: np.ufunc, x: Array) -> Array:
        rows = x.copy() if self.order is None else np.take(x, self.order, 0)
        for at, distance in self.pairs:
            rows[at] = ufunc(np.take(rows, at, 0), np.take(rows, at + distance, 0))
        y = np.zeros((self.n, *x.shape[1:]), x.dtype)
        y[self.filled] = rows[self.starts]
        return y

    def softmax(self, x: Array) -> tuple[Array, Backward]:
        """Over each segment, column by column; backward: dp -> dx."""
        p = x - self.max(x)[self.index]
        np.exp(p, out=p)
        p /= self.sum(p)[self.index]

        def backward(dp: Array) -> Array:
            dx: Array = dp - self.sum(dp * p)[self.index]
            dx *= p
            return dx

        return p, backward


@op
def segment_sum(
    input: Array, index: Array, num_segments: int | None = None
) -> tuple[Array, Backward]:
    """y_k = sum of x_i over i with index_i = k.

    Args:
        input: x (E, ...).
        index: (E,), integers in [0, num_segments), in any order.
        num_segments: N; None for the largest index and one.

    Returns:
        y (N, ...), 0 where a segment is empty, and its backward: dy -> dinput.

    Raises:
        TypeError: if `input` is not floating or `index` not integer.
        ValueError: if a shape does not fit or an index is out of range.

    Source: Gilmer et al. 2017, arXiv:1704.01212, equation 1.
    """
    x, segments = checked("segment_sum", input, index, num_segments)
    return segments.sum(x), lambda dy: dy[segments.index]


@op
def segment_mean(
    input: Array, index: Array, num_segments: int | None = None
) -> tuple[Array, Backward]:
    """y_k = mean of x_i over i with index_i = k.

    Args:
        input: x (E, ...).
        index: (E,), integers in [0, num_segments), in any order.
        num_segments: N; None for the largest index and one.

    Returns:
        y (N, ...), 0 where a segment is empty, and its backward: dy -> dinput.

    Raises:
        TypeError: if `input` is not floating or `index` not integer.
        ValueError: if a shape does not fit or an index is out of range.

    Source: Hamilton, Ying & Leskovec 2017, arXiv:1706.02216, section 3.3.
    """
    x, segments = checked("segment_mean", input, index, num_segments)
    n = np.maximum(segments.counts, 1).astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    y = segments.sum(x)
    y /= n
    return y, lambda dy: (dy / n)[segments.index]


@op
def segment_max(
    input: Array, index: Array, num_segments: int | None = None
) -> tuple[Array, Backward]:
    """y_k = maximum of x_i over i with index_i = k, each column by itself.

    Args:
        input: x (E, ...).
        index: (E,), integers in [0, num_segments), in any order.
        num_segments: N; None for the largest index and one.

    Returns:
        y (N, ...), 0 where a segment is empty, and its backward: dy -> dinput, in equal parts to
        all that are the maximum.

    Raises:
        TypeError: if `input` is not floating or `index` not integer.
        ValueError: if a shape does not fit or an index is out of range.

    Source: Hamilton, Ying & Leskovec 2017, arXiv:1706.02216, section 3.3.
    """
    x, segments = checked("segment_max", input, index, num_segments)
    y = segments.max(x)

    def backward(dy: Array) -> Array:
        largest = (x == y[segments.index]).astype(x.dtype)
        ties = np.maximum(segments.sum(largest), 1)
        dx: Array = largest * (dy / ties)[segments.index]
        return dx

    return y, backward


@op
@quiet
def segment_softmax(
    input: Array, index: Array, num_segments: int | None = None
) -> tuple[Array, Backward]:
    """The softmax over the rows that share an index, each column by itself.

    Args:
        input: x (E, ...).
        index: (E,), integers in [0, num_segments), in any order.
        num_segments: N; None for the largest index and one.

    Returns:
        p (E, ...), and its backward: dp -> dinput.

    Raises:
        TypeError: if `input` is not floating or `index` not integer.
        ValueError: if a shape does not fit or an index is out of range.

    Source: Velickovic et al. 2018, arXiv:1710.10903, equation 2.
    """
    x, segments = checked("segment_softmax", input, index, num_segments)
    return segments.softmax(x)


def checked(
    name: str, input: object, index: object, num_segments: int | None
) -> tuple[Array, Segments]:
    """The rows, and what they belong to."""
    x = check.floating(name, "input", input)
    if x.ndim == 0:
        check.refuse(name, "input of shape (E, ...)", x.shape)
    high = int(np.iinfo(np.int64).max)
    if num_segments is not None:
        high = check.size(name, "num_segments", num_segments)
    rows = check.integer(name, "index", index, 0, high)
    check.shape(name, "index", rows, (len(x),))
    n = int(rows.max(initial=-1)) + 1 if num_segments is None else num_segments
    return x, Segments(rows.astype(np.intp, copy=False), n)
