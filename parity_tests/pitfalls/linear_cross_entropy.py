"""Conventions of linear_cross_entropy: how chunks average, which axis the classes are."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward


@mutant(F.linear_cross_entropy)
def mean_of_the_chunks_means(**a: Any) -> tuple[Any, Backward]:
    x, w, t, options = a["input"], a["linear_weight"], a["target"], a["options"]
    if options is None or a["reduction"] != "mean" or x.ndim == 1 or len(x) == 0:
        return F.linear_cross_entropy(**a)
    size = options.rows(len(x), x.shape[1], w[..., 0].size)
    starts = range(0, len(x), size)
    arguments = {**a, "options": None}
    parts = [
        F.linear_cross_entropy(**{**arguments, "input": x[i : i + size], "target": t[i : i + size]})
        for i in starts
    ]
    n = len(parts)

    def backward(dy: Array) -> tuple[Array, ...]:
        found = zip(*(back(dy / n) for _, back in parts), strict=True)
        rows = (0, 2) if t.dtype.kind == "f" else (0,)  # the gradients with one entry for each row
        return tuple(
            np.concatenate(g) if i in rows else np.sum(g, axis=0) for i, g in enumerate(found)
        )

    return np.asarray(sum(loss for loss, _ in parts) / n), backward


@mutant(F.linear_cross_entropy)
def classes_behind_the_heads(**a: Any) -> tuple[Any, Backward]:
    w = a["linear_weight"]
    c, *places, features = w.shape
    moved = np.moveaxis(w.reshape(*places, c, features), -2, 0)
    loss, loss_back = F.linear_cross_entropy(**{**a, "linear_weight": moved})

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dmoved, *others = loss_back(dy)
        return dx, np.moveaxis(dmoved, 0, -2).reshape(w.shape), *others

    return loss, backward


PITFALLS = [
    Pitfall(
        "chunks average their means",
        entry="linear_cross_entropy",
        difference="torch: the sum over all chunks by the weight of all that counts; a loop over "
        "chunks that adds up means: a short, ignored or light chunk counts as much as a full one",
        mutant=mean_of_the_chunks_means,
    ),
    Pitfall(
        "classes behind the heads",
        entry="linear_cross_entropy",
        difference="torch: rows of the linear weight are ordered class first, (C, d1, ...); "
        "heads side by side: (d1, ..., C)",
        mutant=classes_behind_the_heads,
    ),
]
