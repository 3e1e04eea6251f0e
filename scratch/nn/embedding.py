"""Embeddings: rows of a table by index, one at a time or reduced over bags of indices.

embedding       y_i = W[id_i]                             dW[k] = sum of dy_i over i with id_i = k
embedding_bag   y_b = sum of s_i W[id_i] over i in b      dW[k] = sum of s_i dy_b, id_i = k, i in b
                                                          ds_i = dy_b . W[id_i]
                or mean (dy_b / |b|), or max by column (dy_b goes to the first of the maxima)
shapes          id any   W (V, D)   y (*id, D)
                bags: id (B, n), or id (n,) with offsets (B,)   s as id   y (B, D)
torch           starts W from N(0, 1), the row of padding_idx from 0. That row gets gradient 0;
                embedding reads it like any other, embedding_bag leaves it out. An empty bag is 0.
                scale_grad_by_freq divides dW[k] by the number of times that k was read (torch
                2.13 takes another row's number in bags on the CPU: pytorch issue 190063).
                max_norm scales the rows that are read down to that norm, unseen by the gradient.
                torch does so in the table that F.embedding is given; here a function changes no
                argument: it reads scaled copies, and the modules write theirs back.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.nn.sparse import SparseGradient, coalesced
from scratch.random import Generator


@op
def embedding(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> tuple[Array, Backward]:
    """y_i = W[id_i].

    Args:
        input: id, integers of any shape in [0, V).
        weight: W (V, D).
        padding_idx: index whose row gets gradient 0; negative ones count from the end.
        max_norm: rows that are read are scaled down to this norm first; `weight` stays as it is.
        norm_type: p of that p-norm.
        scale_grad_by_freq: divide the gradient of a row by how often it was read.
        sparse: make dW a SparseGradient; not with `scale_grad_by_freq`.

    Returns:
        y (*id, D), and its backward: dy -> dW.

    Raises:
        TypeError: if `input` is not integer or `weight` not floating.
        ValueError: if an index or an option is out of range, or `weight` not 2-d.
    """
    ids, weight, padding = _checked("embedding", input, weight, padding_idx)
    _check_switches("embedding", scale_grad_by_freq, sparse)
    table = _limited("embedding", ids, weight, max_norm, norm_type)

    def backward(dy: Array) -> Array | SparseGradient:
        flat, drows = ids.ravel(), dy.reshape(ids.size, weight.shape[1])
        if padding is not None:
            flat, drows = flat[flat != padding], drows[flat != padding]
        if sparse:
            return SparseGradient(flat, drows, weight.shape)
        return _scatter(flat, drows, len(weight), scale_grad_by_freq)

    return np.take(table, ids, 0), backward


@op
def embedding_bag(
    input: Array,
    weight: Array,
    offsets: Array | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Array, Backward]:
    """The sum, mean or maximum of the rows of each bag of indices; an empty bag gives 0.

    Args:
        input: id, integers in [0, V): (B, n), one bag a row, or (n,) cut into bags by `offsets`.
        weight: W (V, D).
        offsets: (B,), where each bag of a 1-d `input` begins, not decreasing from 0.
        max_norm: rows that are read are scaled down to this norm first; `weight` stays as it is.
        norm_type: p of that p-norm.
        scale_grad_by_freq: divide the gradient of a row by how often it was read; not with 'max'.
        mode: 'sum', 'mean' or 'max'.
        sparse: make dW a SparseGradient; not with 'max' or `scale_grad_by_freq`.
        per_sample_weights: s, of the shape of `input`; with 'sum' only.
        include_last_offset: whether `offsets` (B + 1,) ends with the length of `input`.
        padding_idx: index that is left out of every bag; negative ones count from the end.

    Returns:
        y (B, D), and its backward: dy -> dW[, ds].

    Raises:
        TypeError: if `input` or `offsets` is not integer or an array not floating.
        ValueError: if an index, an offset or an option is out of range, or a shape does not fit.
    """
    name = "embedding_bag"
    ids, weight, padding = _checked(name, input, weight, padding_idx)
    _check_mode(name, mode, scale_grad_by_freq, sparse)
    bags, n_bags = _bags(ids, offsets, include_last_offset)
    s = None
    if per_sample_weights is not None:
        s = check.floating(name, "per_sample_weights", per_sample_weights, like=weight)
        check.shape(name, "per_sample_weights", s, ids.shape)
        if mode != "sum":
            check.refuse(name, "mode 'sum' beside per_sample_weights", repr(mode))
    table = _limited(name, ids, weight, max_norm, norm_type)

    read = np.arange(ids.size) if padding is None else np.flatnonzero(ids != padding)
    ids, bags = ids.ravel()[read], bags[read]
    rows = table[ids]
    scaled = rows if s is None else s.ravel()[read, None] * rows
    if mode == "max":
        winners, filled = _first_maxima(rows, bags)
        y = np.zeros((n_bags, rows.shape[1]), rows.dtype)
        y[filled] = np.take_along_axis(rows, winners, 0)
    else:
        y = _scatter(bags, scaled, n_bags, mode == "mean")
    factors = None if s is None else (s, rows)  # only their product needs the rows again

    def gathered(drows: Array) -> Array | SparseGradient:
        if sparse:
            return SparseGradient(ids, drows, weight.shape)
        return _scatter(ids, drows, len(weight), scale_grad_by_freq)

    def backward(dy: Array) -> Any:
        if mode == "max":
            drows = np.zeros((len(ids), dy.shape[1]), dy.dtype)
            np.put_along_axis(drows, winners, dy[filled], 0)
        elif mode == "mean":
            size = np.bincount(bags, minlength=n_bags)[bags, None]
            drows = dy[bags] / size.astype(dy.dtype)
        else:
            drows = dy[bags]
        if factors is None:
            return gathered(drows)
        s, rows = factors
        ds = np.zeros(s.size, s.dtype)
        ds[read] = np.einsum("nd,nd->n", drows, rows)
        drows *= s.ravel()[read, None]
        return gathered(drows), ds.reshape(s.shape)

    return y, backward


def _scatter(ids: Array, rows: Array, n: int, mean: bool = False) -> Array:
    """out[k] = the sum (or mean) of the rows i with ids[i] = k, for k < n."""
    count = np.bincount(ids, minlength=n).astype(rows.dtype)
    ids, rows = coalesced(ids, rows)
    if mean:
        rows /= count[ids, None]
    out = np.zeros((n, rows.shape[1]), rows.dtype)
    out[ids] = rows
    return out


def _first_maxima(rows: Array, bags: Array) -> tuple[Array, Array]:
    """The row that holds each column's maximum of each bag that is not empty, and those bags.

    The first of equal ones, as in torch, whose loop asks `new > best`, so that a NaN wins only as
    the bag's first row.
    """
    start = np.flatnonzero(np.diff(bags, prepend=-1))
    if not start.size:
        return np.zeros((0, rows.shape[1]), np.intp), start
    candidates = np.where(np.isnan(rows), -np.inf, rows)
    best = np.repeat(
        np.maximum.reduceat(candidates, start), np.diff(start, append=len(bags)), axis=0
    )
    place = np.where(candidates == best, np.arange(len(bags))[:, None], len(bags))
    winners = np.minimum.reduceat(place, start)
    return np.where(np.isnan(rows[start]), start[:, None], winners), bags[start]


def _bags(ids: Array, offsets: Array | None, include_last_offset: bool) -> tuple[Array, int]:
    """Which bag each index is in, and the number of bags."""
    name = "embedding_bag"
    check.option(name, "include_last_offset", include_last_offset, (True, False))
    if ids.ndim == 2:
        if offsets is not None:
            check.refuse(name, "no offsets beside a 2-d input", check.describe(offsets))
        return np.repeat(np.arange(len(ids)), ids.shape[1]), len(ids)
    check.shape(name, "input", ids, ("n",))
    begin = check.integer(name, "offsets", offsets, 0, ids.size + 1)
    check.shape(name, "offsets", begin, ("B",))
    if include_last_offset and (not begin.size or begin[-1] != ids.size):
        expected = f"offsets that end with the length of input, {ids.size}"
        check.refuse(name, expected, begin[-1:])
    begin = begin[:-1] if include_last_offset else begin
    size: Array = np.diff(begin.astype(np.intp), append=ids.size)
    if (begin[0] if begin.size else ids.size) != 0 or (size < 0).any():
        check.refuse(name, "offsets that begin with 0 and do not decrease", offsets)
    return np.repeat(np.arange(len(begin)), size), len(begin)


def _checked(
    function: str, input: Array, weight: Array, padding_idx: int | None
) -> tuple[Array, Array, int | None]:
    weight = check.floating(function, "weight", weight)
    check.shape(function, "weight", weight, ("V", "D"))
    ids = check.integer(function, "input", input, 0, len(weight)).astype(np.intp, copy=False)
    padding = None
    if padding_idx is not None:
        padding = check.axis(function, "padding_idx", padding_idx, len(weight))
    return ids, weight, padding


def _check_switches(function: str, scale_grad_by_freq: bool, sparse: bool) -> None:
    check.option(function, "scale_grad_by_freq", scale_grad_by_freq, (True, False))
    check.option(function, "sparse", sparse, (True, False))
    if sparse and scale_grad_by_freq:
        check.refuse(function, "scale_grad_by_freq=False with sparse", scale_grad_by_freq)


def _check_mode(function: str, mode: str, scale_grad_by_freq: bool, sparse: bool) -> None:
    check.option(function, "mode", mode, ("sum", "mean", "max"))
    _check_switches(function, scale_grad_by_freq, sparse)
    if mode == "max" and scale_grad_by_freq:
        check.refuse(function, "scale_grad_by_freq=False with mode 'max'", scale_grad_by_freq)
    if mode == "max" and sparse:
        check.refuse(function, "sparse=False with mode 'max'", sparse)


def _limited(
    function: str, ids: Array, weight: Array, max_norm: float | None, norm_type: float
) -> Array:
    """The table in which the rows that are read have at most `max_norm`; a copy if any had more."""
    norm_type = check.number(function, "norm_type", norm_type)
    if max_norm is None:
        return weight
    max_norm = check.number(function, "max_norm", max_norm, 0)
    read = np.unique(ids)
    if not weight.shape[1]:  # NumPy, as torch, has no infinity norm of nothing
        return weight
    norm = np.linalg.norm(weight[read], norm_type, axis=1).astype(np.float64)
    large = norm > max_norm
    if not large.any():
        return weight
    table = weight.copy()
    scale = max_norm / (norm[large] + 1e-7)
    table[read[large]] *= scale[:, None].astype(weight.dtype)
    return table


class _Table(Module):
    """What both modules share: a learned table, whose values no backward reads."""

    _unread = frozenset({"weight"})

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Array | None,
        freeze: bool,
        dtype: DTypeLike,
        generator: Generator | None,
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = check.size(name, "num_embeddings", num_embeddings)
        self.embedding_dim = check.size(name, "embedding_dim", embedding_dim)
        if padding_idx is not None:
            padding_idx = check.axis(name, "padding_idx", padding_idx, num_embeddings)
        if max_norm is not None:
            check.number(name, "max_norm", max_norm, 0)
        check.number(name, "norm_type", norm_type)
        _check_switches(name, scale_grad_by_freq, sparse)
        check.option(name, "freeze", freeze, (True, False))
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self.frozen = freeze
        if weight is None:
            self.weight = Parameter(np.empty((num_embeddings, embedding_dim), dtype))
            self.reset_parameters(generator)
        else:
            weight = check.floating(name, "_weight", weight)
            check.shape(name, "_weight", weight, (num_embeddings, embedding_dim))
            self.weight = Parameter(weight)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start from N(0, 1); the padding row is zero."""
        init.normal_(self.weight, generator=generator or Generator())
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def _limit(self, input: Array) -> None:
        """Write the rows that were scaled to `max_norm` back into the table."""
        weight = self.weight.data
        table = _limited(type(self).__name__, input, weight, self.max_norm, self.norm_type)
        if table is not weight:
            weight[...] = table
            self.weight.version += 1

    def _learn(self, dweight: Array | SparseGradient) -> None:
        if not self.frozen:
            self.weight.accumulate(dweight)


class Embedding(_Table):
    """`embedding` with a learned table.

    Args:
        num_embeddings: V, the number of rows.
        embedding_dim: D, their size.
        padding_idx: index whose row starts at zero and gets gradient 0; -1 is the last.
        max_norm: rows with a larger norm are scaled down to it, in the table, when they are read.
        norm_type: p of that p-norm.
        scale_grad_by_freq: divide the gradient of a row by how often it was read.
        sparse: make dW a SparseGradient; not with `scale_grad_by_freq`.
        _weight: the table (V, D) to start from; it is held, not copied.
        _freeze: whether the table stays without a gradient, so that optimizers skip it.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        integers (...) to (..., embedding_dim). The backward returns None: indices have no gradient.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Array | None = None,
        _freeze: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            _freeze,
            dtype,
            generator,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Array,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A module over a given table.

        Args:
            embeddings: the table (V, D); it is held, not copied.
            freeze: whether it stays without a gradient, so that optimizers skip it.
            padding_idx: as in the constructor; the row keeps its values.
            max_norm: as in the constructor.
            norm_type: as in the constructor.
            scale_grad_by_freq: as in the constructor.
            sparse: as in the constructor.

        Returns:
            The module.

        Raises:
            TypeError: if `embeddings` is not floating.
            ValueError: if it is not 2-d or an option is out of range.
        """
        table = check.floating(f"{cls.__name__}.from_pretrained", "embeddings", embeddings)
        check.shape(f"{cls.__name__}.from_pretrained", "embeddings", table, ("V", "D"))
        rows, columns = table.shape
        return cls(
            rows,
            columns,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=table,
            _freeze=freeze,
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y_i = W[id_i]."""
        y, embedding_back = embedding(
            input,
            self.weight.data,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )
        self._limit(input)

        def backward(dy: Array) -> None:
            self._learn(embedding_back(dy))

        return y, backward

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        if self.sparse:
            text += ", sparse=True"
        return text


class EmbeddingBag(_Table):
    """`embedding_bag` with a learned table.

    Args:
        num_embeddings: V, the number of rows.
        embedding_dim: D, their size.
        max_norm: rows with a larger norm are scaled down to it, in the table, when they are read.
        norm_type: p of that p-norm.
        scale_grad_by_freq: divide the gradient of a row by how often it was read; not with 'max'.
        mode: 'sum', 'mean' or 'max'.
        sparse: make dW a SparseGradient; not with 'max' or `scale_grad_by_freq`.
        _weight: the table (V, D) to start from; it is held, not copied.
        include_last_offset: whether the offsets end with the number of indices.
        padding_idx: index that is left out of every bag, and whose row starts at zero.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        integers (B, n), or (n,) with offsets (B,), to (B, embedding_dim). The backward returns the
        gradient of per_sample_weights where they were given, else None.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Array | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        _check_mode("EmbeddingBag", mode, scale_grad_by_freq, sparse)
        check.option("EmbeddingBag", "include_last_offset", include_last_offset, (True, False))
        self.mode = mode
        self.include_last_offset = include_last_offset
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            False,
            dtype,
            generator,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Array,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A module over a given table.

        Args:
            embeddings: the table (V, D); it is held, not copied.
            freeze: whether it stays without a gradient, so that optimizers skip it.
            max_norm: as in the constructor.
            norm_type: as in the constructor.
            scale_grad_by_freq: as in the constructor.
            mode: as in the constructor.
            sparse: as in the constructor.
            include_last_offset: as in the constructor.
            padding_idx: as in the constructor; the row keeps its values.

        Returns:
            The module.

        Raises:
            TypeError: if `embeddings` is not floating.
            ValueError: if it is not 2-d or an option is out of range.
        """
        function = f"{cls.__name__}.from_pretrained"
        table = check.floating(function, "embeddings", embeddings)
        check.shape(function, "embeddings", table, ("V", "D"))
        check.option(function, "freeze", freeze, (True, False))
        rows, columns = table.shape
        bag = cls(
            rows,
            columns,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            _weight=table,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        bag.frozen = freeze
        return bag

    def forward(
        self,
        input: Array,
        offsets: Array | None = None,
        per_sample_weights: Array | None = None,
    ) -> tuple[Array, Backward]:
        """The sum, mean or maximum of the rows of each bag."""
        y, bag_back = embedding_bag(
            input,
            self.weight.data,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
        self._limit(input)

        def backward(dy: Array) -> Array | None:
            if per_sample_weights is None:
                self._learn(bag_back(dy))
                return None
            dweight, dscale = bag_back(dy)
            self._learn(dweight)
            scale_gradient: Array = dscale
            return scale_gradient

        return y, backward

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm!r}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type!r}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq!r}"
        text += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx!r}"
        return text
