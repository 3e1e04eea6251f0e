"""Conventions of embeddings: padding, repeated indices, norms, empty bags, ties, unread rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward


def last_of_repeated(
    input: Array, weight: Array, padding_idx: int | None = None, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    y, _ = F.embedding(input, weight, padding_idx, *args, **kwargs)

    def backward(dy: Array) -> Array:
        dweight = np.zeros_like(weight)
        dweight[input] = dy
        return dweight

    return y, backward


def padding_learns(
    input: Array, weight: Array, padding_idx: int | None = None, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    return F.embedding(input, weight, None, *args, **kwargs)


def padding_reads_zero(
    input: Array, weight: Array, padding_idx: int | None = None, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    y, back = F.embedding(input, weight, padding_idx, *args, **kwargs)
    if padding_idx is not None:
        y = np.where((input == padding_idx % len(weight))[..., None], 0.0, y)
    return y, back


def norm_in_the_graph(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    *args: Any,
    **kwargs: Any,
) -> tuple[Array, Backward]:
    y, back = F.embedding(input, weight, padding_idx, max_norm, *args, **kwargs)
    scale = np.linalg.norm(y, axis=-1, keepdims=True) / np.linalg.norm(
        weight[input], axis=-1, keepdims=True
    )
    return y, lambda dy: back(dy * scale if max_norm else dy)


def norm_without_margin(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    *args: Any,
    **kwargs: Any,
) -> tuple[Array, Backward]:
    if max_norm is not None:
        norm = np.linalg.norm(weight, norm_type, axis=1, keepdims=True)
        weight = np.where(norm > max_norm, weight * (max_norm / norm), weight)
    return F.embedding(input, weight, padding_idx, None, norm_type, *args, **kwargs)


def root_of_frequency(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> tuple[Array, Backward]:
    y, back = F.embedding(input, weight, padding_idx, max_norm, norm_type, False, sparse)
    count = np.maximum(np.bincount(input.ravel(), minlength=len(weight)), 1)[:, None]
    return y, lambda dy: back(dy) / (np.sqrt(count) if scale_grad_by_freq else 1)


def named_embedding(cls: type[nn.Embedding]) -> type[nn.Embedding]:
    """Under the name of what it stands in for, so that numbers and not `repr` tell them apart."""
    cls.__name__ = "Embedding"
    return cls


@named_embedding
class LazyEmbedding(nn.Embedding):
    """Rows that were not read keep their values, whatever the optimizer did to them."""

    kept: Array | None = None

    def forward(self, input: Array) -> tuple[Array, Backward]:
        if self.kept is not None:
            unread = np.setdiff1d(np.arange(self.num_embeddings), input)
            self.weight.data[unread] = self.kept[unread]
        self.kept = self.weight.data.copy()
        return super().forward(input)


@named_embedding
class EveryRowLimited(nn.Embedding):
    """max_norm over the whole table and not the rows that are read."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        y, back = super().forward(input)
        self._limit(np.arange(self.num_embeddings))
        return y, back


@named_embedding
class NeverWrittenBack(nn.Embedding):
    """max_norm scales what is read, and the table stays as it is."""

    def _limit(self, input: Array) -> None:
        pass


def bag(change: Callable[..., Any]) -> Callable[..., Any]:
    """embedding_bag with torch's arguments by name, changed by `change(arguments, input, ...)`."""

    def mutant(
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
        y, back = F.embedding_bag(
            input,
            weight,
            offsets,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            per_sample_weights,
            include_last_offset,
            padding_idx,
        )
        if input.ndim == 1 or max_norm is not None:
            return y, back
        changed: tuple[Array, Backward] = change(y, back, input, weight, mode, padding_idx)
        return changed

    return mutant


def mean_counts_padding(
    y: Array, back: Backward, input: Array, weight: Array, mode: str, padding_idx: int | None
) -> tuple[Array, Backward]:
    if mode != "mean" or padding_idx is None:
        return y, back
    share = (input != padding_idx % len(weight)).mean(1, keepdims=True)
    return y * share, lambda dy: back(dy * share)


def padding_in_bags(
    y: Array, back: Backward, input: Array, weight: Array, mode: str, padding_idx: int | None
) -> tuple[Array, Backward]:
    if padding_idx is None or mode == "sum":
        return y, back
    return F.embedding_bag(input, weight, mode=mode)


def ties_share(
    y: Array, back: Backward, input: Array, weight: Array, mode: str, padding_idx: int | None
) -> tuple[Array, Backward]:
    if mode != "max" or np.isnan(weight).any() or padding_idx is not None:
        return y, back
    hit = weight[input] == y[:, None]
    share = hit / hit.sum(1, keepdims=True)
    return y, lambda dy: F.embedding(input, weight)[1](share * dy[:, None])


def maximum_spreads_nan(
    y: Array, back: Backward, input: Array, weight: Array, mode: str, padding_idx: int | None
) -> tuple[Array, Backward]:
    return (weight[input].max(1) if mode == "max" and padding_idx is None else y), back


def empty_mean_is_nan(*args: Any, **kwargs: Any) -> tuple[Array, Backward]:
    y, back = F.embedding_bag(*args, **kwargs)
    if kwargs.get("mode") != "mean":
        return y, back
    return np.where((y == 0).all(1, keepdims=True), np.nan, y), back


PITFALLS = [
    Pitfall(
        "repeated indices overwrite",
        entry="embedding",
        difference="torch: their gradients add up; `dW[ids] = dy` and `dW[ids] += dy` in NumPy: "
        "the last one stays",
        mutant=last_of_repeated,
    ),
    Pitfall(
        "the padding row learns",
        entry="embedding",
        difference="torch: its gradient is 0; elsewhere only the loss is masked",
        mutant=padding_learns,
    ),
    Pitfall(
        "the padding row reads as zero",
        entry="embedding",
        difference="torch: it starts at zero and is read as it is; others force zeros",
        mutant=padding_reads_zero,
    ),
    Pitfall(
        "max_norm inside the graph",
        entry="embedding",
        difference="torch: the gradient does not see the scaling; TensorFlow's max_norm: it does",
        mutant=norm_in_the_graph,
    ),
    Pitfall(
        "max_norm to the point",
        entry="embedding",
        difference="torch: rows shrink by max_norm / (norm + 1e-7); others by max_norm / norm",
        mutant=norm_without_margin,
    ),
    Pitfall(
        "max_norm over the whole table",
        entry="Embedding",
        difference="torch: only rows that are read shrink; others constrain the whole table",
        mutant=EveryRowLimited,
    ),
    Pitfall(
        "max_norm leaves the table alone",
        entry="Embedding",
        difference="torch: shrunken rows are written back; a pure function forgets them",
        mutant=NeverWrittenBack,
    ),
    Pitfall(
        "root of the frequency",
        entry="embedding",
        difference="torch: scale_grad_by_freq divides by the count; others by its root",
        mutant=root_of_frequency,
    ),
    Pitfall(
        "unread rows stay put",
        entry="Embedding",
        difference="torch's dense gradients: momentum and weight decay move rows that were not "
        "read; lazy and sparse optimizers leave them",
        mutant=LazyEmbedding,
    ),
    Pitfall(
        "padding counts in a bag's mean",
        entry="embedding_bag",
        difference="torch: the mean is over what is not padding; others divide by the length",
        mutant=bag(mean_counts_padding),
    ),
    Pitfall(
        "padding is part of a bag",
        entry="embedding_bag",
        difference="torch: padding_idx leaves the bag; as in embedding it would only not learn",
        mutant=bag(padding_in_bags),
    ),
    Pitfall(
        "equal maxima of a bag share",
        entry="embedding_bag",
        difference="torch: the first takes the gradient; amax and JAX: they share it",
        mutant=bag(ties_share),
    ),
    Pitfall(
        "NaN in a bag's maximum",
        entry="embedding_bag",
        difference="torch: NaN wins only where it comes first; np.max: everywhere",
        mutant=bag(maximum_spreads_nan),
    ),
    Pitfall(
        "the mean of an empty bag",
        entry="embedding_bag",
        difference="torch: 0; NumPy's mean of nothing: NaN",
        mutant=empty_mean_is_nan,
    ),
]
