"""Linear-chain conditional random field.                                     Lafferty et al. 2001

forward    score(z) = start(z_1) + sum_t x_t(z_t) + sum_t>1 A(z_t-1, z_t) + end(z_T)
           l = log sum_z e^score(z) - score(tags)         the sum runs over all tag sequences:
           a_1(j) = start(j) + x_1(j)      a_t(j) = x_t(j) + log sum_i e^(a_t-1(i) + A(i, j))
           log sum_z e^score(z) = log sum_j e^(a_T(j) + end(j))
backward   w_t(i, j) ~ e^(a_t-1(i) + A(i, j))        sums to 1 over i: which tag came before j
           p_T(i) ~ e^(a_T(i) + end(i))              sums to 1 over i
           q_t(i, j) = w_t(i, j) p_t(j)              p_t-1(i) = sum_j q_t(i, j)
           dx_t = dl (p_t - [z_t])         dA = sum_t>1 dl (q_t - [z_t-1, z_t])
           dstart = dl (p_1 - [z_1])       dend = dl (p_T - [z_T])      [z] is 1 at z, else 0
           p and q are the probabilities of a tag and of a pair of tags, given x
decode     Viterbi 1967: the same recursion with max for log sum, and which i it was
shapes     x (N, T, K)   A (K, K), from row to column   start, end (K,)   a, p (T, N, K)
rounding   the largest of a_t is taken off at each step and added up apart
torch      has none. Names, layout of A, reductions ('token_mean' too), default 'sum' and the start
           U(-0.1, 0.1) are those of the package pytorch-crf, whose forward returns -l. The mask
           holds for the first tokens of each sequence; one with holes is refused. Scores may be
           -inf; a tag that nothing leads to has gradient 0, of which autograd makes NaN.
"""

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet, reduced, resolve
from scratch.random import Generator

REDUCTIONS = ("none", "sum", "mean", "token_mean")


@op
@quiet
def linear_chain_crf(
    emissions: Array,
    tags: Array,
    start_transitions: Array,
    end_transitions: Array,
    transitions: Array,
    mask: Array | None = None,
    reduction: str = "sum",
    batch_first: bool = True,
) -> tuple[Array, Backward]:
    """Negative log likelihood of tag sequences.

    Args:
        emissions: x (N, T, K), the score of each tag at each token.
        tags: z (N, T) integers in [0, K); what the mask leaves out is not read.
        start_transitions: (K,), the score to start with a tag.
        end_transitions: (K,), the score to end with it.
        transitions: A (K, K), the score to go from the row's tag to the column's.
        mask: bool (N, T), True for the first tokens of each sequence, at least one; None for all.
        reduction: 'none', 'sum', 'mean' (over sequences) or 'token_mean'.
        batch_first: False if the first two axes are T, N.

    Returns:
        The loss, () or (N,), and its backward: dy -> demissions, dstart_transitions,
        dend_transitions, dtransitions.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, a tag or the mask is wrong or an option unknown.

    Source: Lafferty, McCallum & Pereira 2001, "Conditional random fields".
    """
    name = "linear_chain_crf"
    x, keep = _tokens(name, emissions, mask, batch_first)
    start, end, between = _scores(name, x, start_transitions, end_transitions, transitions)
    reduction = resolve(name, reduction, choices=REDUCTIONS)
    z = _tags(name, tags, keep, len(start), batch_first)
    a, tops = _prefixes(x, keep, start, between)
    steps, rows = np.arange(len(x))[:, None], np.arange(x.shape[1])
    ends = z[keep.sum(0) - 1, rows]
    score = np.where(keep, x[steps, rows, z], 0.0).sum(0, dtype=np.float64)
    score += np.where(keep[1:], between[z[:-1], z[1:]], 0.0).sum(0, dtype=np.float64)
    score += start[z[0]].astype(np.float64) + end[ends]
    total = tops.sum(0, dtype=np.float64) + _log_sum(a[-1] + end, 1)
    loss = (total - score).astype(x.dtype)
    count = int(keep.sum()) if reduction == "token_mean" else None
    y, reduced_back = reduced(loss, "mean" if reduction == "token_mean" else reduction, count)

    @quiet
    def backward(dy: Array) -> tuple[Array, ...]:
        dloss = reduced_back(dy)
        p, dbetween = _marginals(a, keep, end, between, dloss)
        dx = p * dloss[:, None]
        dstart = dx[0].sum(0) - _totals(z[0], dloss, start)
        dend = dx[-1].sum(0) - _totals(ends, dloss, end)
        pairs = (z[:-1] * len(start) + z[1:])[keep[1:]]
        weights = np.broadcast_to(dloss, z[1:].shape)[keep[1:]]
        dbetween -= _totals(pairs, weights, between)
        dx[steps, rows, z] -= dloss
        dx *= keep[:, :, None]
        return _swapped(dx, batch_first), dstart, dend, dbetween

    return y, backward


def _prefixes(x: Array, keep: Array, start: Array, between: Array) -> tuple[Array, Array]:
    """a (T, N, K) less what was taken off on the way, and that (T, N)."""
    a = np.empty(x.shape, x.dtype)
    tops = np.zeros(x.shape[:2], x.dtype)
    a[0] = start + x[0]
    for t in range(1, len(x)):
        top = _largest(a[t - 1], 1)
        lowered = a[t - 1] - top
        now = x[t] + _log_sum(lowered[:, :, None] + between, 1)  # (N, K, K) over i
        a[t] = np.where(keep[t, :, None], now, a[t - 1])
        tops[t] = np.where(keep[t], top[:, 0], 0.0)
    return a, tops


def _marginals(
    a: Array, keep: Array, end: Array, between: Array, weights: Array
) -> tuple[Array, Array]:
    """p (T, N, K), and the sum over steps and sequences of q (K, K) times a weight each."""
    p = np.empty(a.shape, a.dtype)
    pairs = np.zeros(between.shape, a.dtype)
    p[-1] = _softmax(a[-1] + end)
    for t in reversed(range(1, len(a))):
        q = _softmax(a[t - 1][:, :, None] + between) * p[t][:, None]  # (N, K, K)
        pairs += np.tensordot(keep[t] * weights, q, 1)
        p[t - 1] = np.where(keep[t, :, None], q.sum(2), p[t])
    return p, pairs


def _largest(z: Array, axis: int) -> Array:
    """The largest along an axis, kept; a large number for -inf, as -inf - -inf would be NaN."""
    top: Array = np.maximum(z.max(axis, keepdims=True), np.finfo(z.dtype).min)
    return top


def _log_sum(z: Array, axis: int) -> Array:
    top = _largest(z, axis)
    summed: Array = np.log(np.exp(z - top).sum(axis)) + top.squeeze(axis)
    return summed


def _softmax(z: Array) -> Array:
    """Along axis 1; 0 where all are -inf."""
    p: Array = np.exp(z - _largest(z, 1))
    p /= np.maximum(p.sum(1, keepdims=True), 1.0)  # the largest alone makes it 1
    return p


def _totals(index: Array, weights: Array, like: Array) -> Array:
    """The sum of the weights at each index."""
    sums = np.bincount(index, weights, minlength=like.size)
    return sums.astype(like.dtype).reshape(like.shape)


def _swapped(z: Array, batch_first: bool) -> Array:
    """Time before batch, or back; itself if it stands so already."""
    return z.swapaxes(0, 1) if batch_first else z


def _tokens(name: str, emissions: object, mask: object, batch_first: object) -> tuple[Array, Array]:
    """The emissions (T, N, K) and which of them count (T, N)."""
    check.option(name, "batch_first", batch_first, (True, False))
    x = check.floating(name, "emissions", emissions)
    check.shape(name, "emissions", x, ("N", "T", "K") if batch_first else ("T", "N", "K"))
    x = _swapped(x, bool(batch_first))
    if not len(x) or not x.shape[2]:
        check.refuse(name, "emissions of at least one token and one tag", x.shape)
    if mask is None:
        return x, np.ones(x.shape[:2], bool)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        check.refuse(name, "mask to be a bool array", check.describe(mask), TypeError)
    check.shape(name, "mask", mask, _swapped(x, bool(batch_first)).shape[:2])
    keep = _swapped(mask, bool(batch_first))
    if not keep[0].all() or np.any(keep[1:] > keep[:-1]):
        got = "a gap" if keep[0].all() else "a sequence whose first is left out"
        check.refuse(name, "mask to hold for the first tokens of each sequence", got)
    return x, keep


def _scores(name: str, x: Array, start: object, end: object, between: object) -> list[Array]:
    """The three parameters, checked."""
    tags = x.shape[2]
    given = {"start_transitions": start, "end_transitions": end, "transitions": between}
    found = [check.floating(name, key, value, like=x) for key, value in given.items()]
    for key, array in zip(given, found, strict=True):
        check.shape(name, key, array, (tags, tags) if key == "transitions" else (tags,))
    return found


def _tags(name: str, tags: object, keep: Array, high: int, batch_first: bool) -> Array:
    """The tags (T, N), 0 where they do not count."""
    if not isinstance(tags, np.ndarray) or tags.dtype.kind not in "iu":
        check.refuse(name, "tags to be an integer array", check.describe(tags), TypeError)
    check.shape(name, "tags", tags, _swapped(keep, batch_first).shape)
    z = _swapped(tags, batch_first)
    check.integer(name, "tags", z[keep], 0, high)
    return np.where(keep, z, 0)


class LinearChainCRF(Module):
    """A conditional random field over tag sequences: `linear_chain_crf` with learned transitions.

    Args:
        num_tags: K.
        batch_first: whether emissions are (N, T, K) rather than (T, N, K); tags and mask likewise.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        Emissions (N, T, K) and tags (N, T) to () or (N,).
    """

    def __init__(
        self,
        num_tags: int,
        batch_first: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.num_tags = check.size("LinearChainCRF", "num_tags", num_tags, low=1)
        check.option("LinearChainCRF", "batch_first", batch_first, (True, False))
        self.batch_first = batch_first
        self.start_transitions = Parameter(np.empty(num_tags, dtype))
        self.end_transitions = Parameter(np.empty(num_tags, dtype))
        self.transitions = Parameter(np.empty((num_tags, num_tags), dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start from U(-0.1, 0.1)."""
        generator = generator or Generator()
        for parameter in self.parameters():
            init.uniform_(parameter, -0.1, 0.1, generator=generator)

    def forward(
        self, emissions: Array, tags: Array, mask: Array | None = None, reduction: str = "sum"
    ) -> tuple[Array, Backward]:
        """Negative log likelihood of the tags."""
        loss, loss_back = linear_chain_crf(
            emissions, tags, *self._data(), mask, reduction, self.batch_first
        )

        def backward(dy: Array | float = 1.0) -> Array:
            dx: Array
            dx, *dscores = loss_back(dy)
            for parameter, gradient in zip(self.parameters(), dscores, strict=True):
                parameter.accumulate(gradient)
            return dx

        return loss, backward

    def _data(self) -> tuple[Array, Array, Array]:
        return self.start_transitions.data, self.end_transitions.data, self.transitions.data

    @quiet
    def marginals(self, emissions: Array, mask: Array | None = None) -> Array:
        """The probability of each tag at each token.

        Args:
            emissions: x (N, T, K), or (T, N, K) without `batch_first`.
            mask: as in `forward`.

        Returns:
            p of the emissions' shape, 0 where the mask does not hold.

        Raises:
            TypeError: if an array has the wrong dtype.
            ValueError: if a shape or the mask is wrong.
        """
        name = "LinearChainCRF.marginals"
        x, keep = _tokens(name, emissions, mask, self.batch_first)
        start, end, between = _scores(name, x, *self._data())
        a, _ = _prefixes(x, keep, start, between)
        p, _ = _marginals(a, keep, end, between, np.zeros(x.shape[1], x.dtype))
        return _swapped(p * keep[:, :, None], self.batch_first)

    def decode(self, emissions: Array, mask: Array | None = None) -> list[list[int]]:
        """The most probable tags of each sequence; of several the first tag counts, from the end.

        Args:
            emissions: x (N, T, K), or (T, N, K) without `batch_first`.
            mask: as in `forward`.

        Returns:
            A list of tags for each sequence, as long as that is.

        Raises:
            TypeError: if an array has the wrong dtype.
            ValueError: if a shape or the mask is wrong.

        Source: Viterbi 1967, "Error bounds for convolutional codes".
        """
        name = "LinearChainCRF.decode"
        x, keep = _tokens(name, emissions, mask, self.batch_first)
        start, end, between = _scores(name, x, *self._data())
        best = start + x[0]  # (N, K): of the sequences that end in each tag
        origins = []
        for t in range(1, len(x)):
            ways = best[:, :, None] + between
            on = keep[t, :, None]
            origins.append(np.where(on, ways.argmax(1), np.arange(len(start))))
            best = np.where(on, x[t] + ways.max(1), best)
        path = [(best + end).argmax(1)]
        rows = np.arange(x.shape[1])
        for origin in reversed(origins):
            path.append(origin[rows, path[-1]])
        tags = np.stack(path[::-1], 1)
        lengths = keep.sum(0)
        return [row[:n].tolist() for row, n in zip(tags, lengths, strict=True)]

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}, batch_first={self.batch_first}"
