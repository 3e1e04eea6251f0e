"""Adaptive softmax: log p of very many classes, of which few are frequent.

Classes are numbered from the most frequent on. The first ones, the shortlist, are in the head
themselves; the rest are in K clusters, of which the head has one entry each.

forward    a = log_softmax(W x + b)                                of the head: shortlist, clusters
           log p(c) = a[c]                                         c in the shortlist
           log p(c) = a[cluster k] + log_softmax(V_k U_k x)[c]     c in cluster k
           L = -mean log p(t)
backward   log_softmax's and the linear maps', of the head in every row and of a cluster in those
           rows alone whose target is in it; elsewhere the cluster is not even computed
shapes     x (N, in)   t (N,)   W (shortlist + K, in)   U_k (m, in)   V_k (size, m)   m = in / div^k
torch      a cluster that no target is in gets no gradient at all (None), so that its weights rest
           under momentum and decay too. The head has no bias unless told to, clusters never do.
Source     Grave, Joulin, Cisse, Grangier & Jegou 2017, arXiv:1609.04309
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.container import ModuleList, Sequential
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.recurrent import gradient_of
from scratch.nn.reduction import reduced
from scratch.nn.softmax import log_softmax
from scratch.random import Generator


class AdaptiveOutput(NamedTuple):
    """log p of the targets (N,), and the loss ()."""

    output: Array
    loss: Array


class AdaptiveLogSoftmaxWithLoss(Module):
    """log p of each row's target, and its negative mean.

    Args:
        in_features: size of a row.
        n_classes: C, number of classes, the most frequent first.
        cutoffs: the first class of each cluster, rising, in [1, C - 1].
        div_value: cluster k = 1 ... K has in_features / div_value^k inner features, rounded down.
        head_bias: whether the head has a bias.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        input_ (N, in_features) and target_ (N,), or (in_features,) and (); the output has
        target_'s shape, the loss ().

    Source: Grave et al. 2017, arXiv:1609.04309, section 4.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "AdaptiveLogSoftmaxWithLoss"
        self.in_features = check.size(name, "in_features", in_features, low=1)
        self.n_classes = check.size(name, "n_classes", n_classes, low=1)
        if not isinstance(cutoffs, Sequence) or not cutoffs:
            check.refuse(name, "cutoffs to be one or more integers", check.describe(cutoffs))
        ends = [check.size(name, "every cutoff", c, low=1) for c in cutoffs]
        if sorted(set(ends)) != ends or ends[-1] >= self.n_classes:
            check.refuse(name, f"cutoffs that rise, below n_classes = {n_classes}", list(cutoffs))
        self.cutoffs = [*ends, self.n_classes]
        self.div_value = check.number(name, "div_value", div_value, 0, open_low=True)
        check.option(name, "head_bias", head_bias, (True, False))
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.head = Linear(self.in_features, self.head_size, head_bias, **options)
        self.tail = ModuleList()
        for k, (start, end) in enumerate(zip(ends, self.cutoffs[1:], strict=True)):
            inner = int(self.in_features // self.div_value ** (k + 1))
            self.tail.append(
                Sequential(
                    Linear(self.in_features, inner, False, **options),
                    Linear(inner, end - start, False, **options),
                )
            )

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start anew: head, then clusters, as torch does."""
        generator = generator or Generator()
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters(generator)

    def forward(self, input_: Array, target_: Array) -> tuple[AdaptiveOutput, Backward]:
        """log p(target) of each row, and the loss.

        Returns:
            output and loss, and their backward: doutput, dloss -> dinput.
        """
        name = type(self).__name__
        t = check.integer(name, "target_", target_, 0, self.n_classes)
        if t.ndim > 1:
            check.refuse(name, "target_ of shape (N,) or ()", t.shape)
        x = check.floating(name, "input_", input_)
        check.shape(name, "input_", x, (*t.shape, self.in_features))
        rows, targets = x.reshape(-1, self.in_features), t.reshape(-1)
        n = np.arange(len(rows))

        cluster = np.searchsorted(self.cutoffs, targets, side="right")  # 0 is the shortlist
        place = np.where(cluster == 0, targets, self.shortlist_size + cluster - 1)
        head, head_back = self.head(rows)
        a, a_back = log_softmax(head, 1)
        output = a[n, place]
        parts = []
        for k in np.unique(cluster[cluster > 0]):
            members = np.flatnonzero(cluster == k)
            scores, tail_back = self.tail[k - 1](rows[members])
            b, b_back = log_softmax(scores, 1)
            at = np.arange(len(members)), targets[members] - self.cutoffs[k - 1]
            output[members] += b[at]
            parts.append((members, at, b.shape, b_back, tail_back))
        with np.errstate(invalid="ignore"):  # the mean of no rows
            loss, mean_back = reduced(-output, "mean")

        def backward(doutput: Array | None, dloss: Array | float | None = 1.0) -> Array:
            dloss = np.asarray(dloss, x.dtype) if isinstance(dloss, int | float) else dloss
            dlog_p = gradient_of(name, doutput, t.shape, x.dtype).reshape(-1)
            with np.errstate(invalid="ignore"):
                dlog_p = dlog_p - mean_back(gradient_of(name, dloss, (), x.dtype))
            da = np.zeros_like(a)
            da[n, place] = dlog_p
            dx: Array = head_back(a_back(da))
            for members, at, shape, b_back, tail_back in parts:
                db = np.zeros(shape, x.dtype)
                db[at] = dlog_p[members]
                dx[members] += tail_back(b_back(db))
            return dx.reshape(x.shape)

        return AdaptiveOutput(output.reshape(t.shape), loss), backward

    def log_prob(self, input: Array) -> tuple[Array, Backward]:
        """log p of every class.

        Args:
            input: x (N, in_features).

        Returns:
            (N, C), and its backward: dy -> dx.
        """
        name = f"{type(self).__name__}.log_prob"
        x = check.floating(name, "input", input)
        check.shape(name, "input", x, ("N", self.in_features))
        head, head_back = self.head(x)
        a, a_back = log_softmax(head, 1)
        short = self.shortlist_size
        y = np.empty((len(x), self.n_classes), x.dtype)
        y[:, :short] = a[:, :short]
        backs = []
        for k, tail in enumerate(self.tail):
            scores, tail_back = tail(x)
            b, b_back = log_softmax(scores, 1)
            own = slice(self.cutoffs[k], self.cutoffs[k + 1])
            np.add(b, a[:, short + k, None], out=y[:, own])
            backs.append((own, b_back, tail_back))
        shape, dtype = y.shape, y.dtype

        def backward(dy: Array) -> Array:
            dy = gradient_of(name, dy, shape, dtype)
            da = np.empty_like(a)
            da[:, :short] = dy[:, :short]
            for k, (own, _, _) in enumerate(backs):
                da[:, short + k] = dy[:, own].sum(1)
            dx: Array = head_back(a_back(da))
            for own, b_back, tail_back in backs:
                dx += tail_back(b_back(dy[:, own]))
            return dx

        return y, backward

    def predict(self, input: Array) -> Array:
        """The likeliest class of each row (N,); clusters only where the head's best is one."""
        name = f"{type(self).__name__}.predict"
        x = check.floating(name, "input", input)
        check.shape(name, "input", x, ("N", self.in_features))
        head, _ = self.head(x)
        best: Array = head.argmax(1)
        open_rows = np.flatnonzero(best >= self.shortlist_size)
        if open_rows.size:
            log_p, _ = self.log_prob(x[open_rows])
            best[open_rows] = log_p.argmax(1)
        return best
