"""GRU4Rec: what comes next in a session.        Hidasi et al. 2016, arXiv:1511.06939, section 3.1

forward    e_t = drop(E[id_t]), or one-hot     h_t = GRU(e_t, h_{t-1}), h_{t-1} = 0 where a session
           starts     o_t = drop(h_t)          x_tj = o_t . W[j] + b_j for each candidate j
backward   do_t = sum_j dx_tj W[j]     dW[j] = sum_t dx_tj o_t     db_j = sum_t dx_tj
           dh_{t-1} is 0 where a session starts, and goes on through time elsewhere
slots      T steps of B slots run side by side, and the state is carried from one call to the next.
           Where `start` holds, a slot's session is over and another one takes its place. What
           the caller does not hand to the backward as dh_n is cut off there: with T = 1, as in the
           paper and its code, no gradient goes back in time at all.
shapes     id, start (T, B)   h (L, B, H)   candidates (C,) or (T, C)   x (T, B, C)
tied       W is E, as the authors' "constrained embedding": E then has rows of size H
start      E and W from Glorot's uniform distribution, as the authors' code; b from 0; the GRU is
           torch's, with two biases and the reset gate after the product (theirs has it before)
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.recurrent import gradient_of
from scratch.random import Generator


class GRU4Rec(Module):
    """Scores of all items, or of a few candidates, after each event of a session.

    Args:
        num_items: V.
        embedding_dim: size of the items' embeddings; None feeds one-hot vectors, as the paper does.
        hidden_size: H, of the state.
        num_layers: L, layers above each other.
        tied: whether embeddings and output weights are one; needs embedding_dim = hidden_size.
        dropout_embedding: probability of dropping an embedding's entry.
        dropout_hidden: probability of dropping an output of each layer, but not of the state.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        ids (T, B) to scores (T, B, V), or (T, B, C) of C candidates, and the state (L, B, H).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, a dropout no probability, or
            what is to be tied differs in size; in a forward, if an array does not fit.

    Source: Hidasi et al. 2016; tied, dropout_embedding: Hidasi & Karatzoglou 2018,
        arXiv:1706.03847.
    """

    def __init__(
        self,
        num_items: int,
        embedding_dim: int | None = None,
        hidden_size: int = 100,
        num_layers: int = 1,
        tied: bool = False,
        dropout_embedding: float = 0.0,
        dropout_hidden: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "GRU4Rec"
        self.num_items = check.size(name, "num_items", num_items, low=1)
        if embedding_dim is not None:
            check.size(name, "embedding_dim", embedding_dim, low=1)
        check.size(name, "hidden_size", hidden_size, low=1)
        check.size(name, "num_layers", num_layers, low=1)
        check.option(name, "tied", tied, (True, False))
        if tied and embedding_dim != hidden_size:
            expected = f"embedding_dim = hidden_size = {hidden_size}, to be tied"
            check.refuse(name, expected, embedding_dim)
        check.number(name, "dropout_embedding", dropout_embedding, 0, 1)
        check.number(name, "dropout_hidden", dropout_hidden, 0, 1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.embedding = None
        if embedding_dim is not None:
            self.embedding = nn.Embedding(num_items, embedding_dim, **options)
            init.xavier_uniform_(self.embedding.weight, generator=generator)
        self.drop_embedding = nn.Dropout(dropout_embedding, generator=generator)
        between = dropout_hidden if num_layers > 1 else 0.0
        inputs = num_items if embedding_dim is None else embedding_dim
        self.gru = nn.GRU(inputs, hidden_size, num_layers, dropout=between, **options)
        self.drop_hidden = nn.Dropout(dropout_hidden, generator=generator)
        self.out = nn.Linear(hidden_size, num_items, **options)
        init.xavier_uniform_(self.out.weight, generator=generator)
        if self.out.bias is not None:
            init.zeros_(self.out.bias)
        if tied and self.embedding is not None:
            self.out.weight = self.embedding.weight

    def forward(
        self,
        input: Array,
        hx: Array | None = None,
        start: Array | None = None,
        candidates: Array | None = None,
    ) -> tuple[tuple[Array, Array], Backward]:
        """Scores of the candidates after each event, and the state to carry on.

        Args:
            input: ids (T, B), integers in [0, V).
            hx: state (L, B, H) that the slots come with; None stands for zeros.
            start: bool (T, B), True where a session starts, whose state is 0; None for nowhere.
            candidates: ids (C,), or (T, C) of each step; None stands for all items.

        Returns:
            x (T, B, C) and h_n (L, B, H), and their backward: dx, dh_n -> dhx, if hx was given.
        """
        ids, starts = self._checked(input, start)
        e, input_back = self._embedded(ids)
        h = self._carried(hx, ids.shape[1], e)
        outputs, backs = [], []
        for steps in segments(starts):
            fresh = starts[steps.start][:, None]  # (B, 1)
            (output, h), back = self.gru(e[steps], np.where(fresh, 0, h) if fresh.any() else h)
            outputs.append(output)
            backs.append((steps, fresh, back))
        o, drop_back = self.drop_hidden(np.concatenate(outputs))
        scores, scores_back = self._scored(o, candidates)
        shapes, dtype = (scores.shape, h.shape), scores.dtype

        def backward(dscores: Array | None, dh: Array | None = None) -> Array | None:
            dscores, dh = (
                gradient_of("GRU4Rec", d, shape, dtype)
                for d, shape in zip((dscores, dh), shapes, strict=True)
            )
            do, de = drop_back(scores_back(dscores)), np.empty_like(e)
            for steps, fresh, back in reversed(backs):
                de[steps], dh = back(do[steps], dh)
                dh = np.where(fresh, 0, dh)
            input_back(de)
            return None if hx is None else dh

        return (scores, h), backward

    def _embedded(self, ids: Array) -> tuple[Array, Backward]:
        """(T, B, embedding_dim or V)."""
        if self.embedding is None:
            one_hot = ids[..., None] == np.arange(self.num_items)
            return one_hot.astype(self.out.weight.dtype), lambda de: None
        rows, rows_back = self.embedding(ids)
        e, drop_back = self.drop_embedding(rows)
        return e, lambda de: rows_back(drop_back(de))

    def _scored(self, o: Array, candidates: Array | None) -> tuple[Array, Backward]:
        """Scores of all items, or of the candidates, whose rows of W alone are read."""
        bias = self.out.bias
        if candidates is None or bias is None:
            return self.out(o)
        steps = o.shape[0]
        ids = check.integer("GRU4Rec", "candidates", candidates, 0, self.num_items)
        if ids.ndim != 1 and (ids.ndim != 2 or len(ids) != steps):
            check.refuse("GRU4Rec", f"candidates of shape (C,) or ({steps}, C)", ids.shape)
        rows, rows_back = F.embedding(ids, self.out.weight.data)  # (C, H) or (T, C, H)
        b, b_back = F.embedding(ids, bias.data[:, None])
        scores = o @ rows.swapaxes(-1, -2)
        scores += b.swapaxes(-1, -2)

        def backward(dscores: Array) -> Array:
            drows = dscores.swapaxes(1, 2) @ o  # (T, C, H)
            db = dscores.sum(1)[..., None]
            if ids.ndim == 1:
                drows, db = drows.sum(0), db.sum(0)
            self.out.weight.accumulate(rows_back(drows))
            bias.accumulate(b_back(db)[:, 0])
            do: Array = dscores @ rows
            return do

        return scores, backward

    def _checked(self, input: Array, start: Array | None) -> tuple[Array, Array]:
        ids = check.integer("GRU4Rec", "input", input, 0, self.num_items)
        check.shape("GRU4Rec", "input", ids, ("T", "B"))
        if not len(ids):
            check.refuse("GRU4Rec", "at least one step", ids.shape)
        if start is None:
            return ids, np.zeros(ids.shape, bool)
        if not isinstance(start, np.ndarray) or start.dtype != bool:
            check.refuse("GRU4Rec", "start to be a bool array", check.describe(start), TypeError)
        check.shape("GRU4Rec", "start", start, ids.shape)
        return ids, start

    def _carried(self, hx: Array | None, slots: int, like: Array) -> Array:
        shape = (self.gru.num_layers, slots, self.gru.hidden_size)
        if hx is None:
            return np.zeros(shape, like.dtype)
        h = check.floating("GRU4Rec", "hx", hx)
        if h.dtype != like.dtype:
            expected = f"hx of dtype {like.dtype} as the weights have"
            check.refuse("GRU4Rec", expected, check.describe(hx), TypeError)
        check.shape("GRU4Rec", "hx", h, shape)
        return h

    def _reads(self) -> list[tuple[str, Parameter]]:
        return [("out.weight", self.out.weight)]


def segments(start: Array) -> Iterator[slice]:
    """The steps of (T, B) in runs at whose first step alone sessions start."""
    cuts = [0, *(np.flatnonzero(start[1:].any(1)) + 1).tolist(), len(start)]
    return (slice(a, b) for a, b in pairwise(cuts))
