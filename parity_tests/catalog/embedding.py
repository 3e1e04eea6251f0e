"""Embeddings and bags of embeddings."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.random import Generator

EMBEDDING = "Bengio, Ducharme, Vincent & Jauvin 2003, JMLR 3, section 2 (the matrix C)"
BAG = "Joulin, Grave, Bojanowski & Mikolov 2016, arXiv:1607.01759 (averaged word vectors)"
PADDING = "the padding row has gradient 0 although it is read"
LIMITED = "rows are scaled to max_norm outside of the graph"
FREQUENCY = "gradients are divided by the number of times that a row was read"

IDS = np.array([[3, 1, 3, 0], [2, 3, 1, 3]])  # 3 four times, 1 twice; 4 never
FLAT = IDS.ravel()
OFFSETS = np.array([0, 3, 3, 7])  # bags of 3, 0, 4 and 1


def torch_embedding_bag(
    input: torch.Tensor,
    weight: torch.Tensor,
    offsets: torch.Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: torch.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> torch.Tensor:
    """torch's function; scale_grad_by_freq by way of F.embedding, and without max_norm or padding.

    On the CPU torch 2.13 divides by the number of times that another row was read (pytorch issue
    190063), except where all were read equally often.
    """
    arguments: dict[str, Any] = {
        "max_norm": max_norm,
        "norm_type": norm_type,
        "mode": mode,
        "sparse": sparse,
        "per_sample_weights": per_sample_weights,
        "include_last_offset": include_last_offset,
        "padding_idx": padding_idx,
    }
    if not scale_grad_by_freq:
        return torch.nn.functional.embedding_bag(input, weight, offsets, **arguments)
    rows = torch.nn.functional.embedding(input, weight, scale_grad_by_freq=True)
    one_each = torch.arange(input.numel(), device=input.device).reshape(input.shape)
    return torch.nn.functional.embedding_bag(
        one_each, rows.reshape(input.numel(), -1), offsets, **arguments
    )


def embedding_start(scale: Array) -> tuple[Array, Backward]:
    """A fresh Embedding, read and scaled."""
    layer = nn.Embedding(5, 4, padding_idx=-2, dtype=scale.dtype, generator=Generator(0))
    y: Array = layer(IDS)[0]
    return y * scale, lambda dy: dy * y


def torch_embedding_start(scale: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    torch.manual_seed(0)
    layer = torch.nn.Embedding(5, 4, padding_idx=-2, dtype=scale.dtype).to(scale.device)
    y: torch.Tensor = layer(torch.from_numpy(IDS).to(scale.device)) * scale
    return y


def lookup(ids: Array, *args: Any, **kwargs: Any) -> Callable[[Draw], Call]:
    """Reads `ids` from a table of 5 rows."""
    return lambda d: Call(ids.copy(), d.normal(5, 6), *args, **kwargs)


ENTRIES = [
    Op(
        "embedding",
        F.embedding,
        torch.nn.functional.embedding,
        source=EMBEDDING,
        cases=(
            Case("repeated", lambda d: Call(IDS.copy(), d.normal(5, 6))),
            Case("32-bit indices", lambda d: Call(IDS.astype(np.int32), d.normal(5, 6))),
            Case("one index", lambda d: Call(np.array(2), d.normal(5, 6))),
            Case("one index only", lambda d: Call(np.full(100, 1), d.normal(2, 3))),
            Case("no index", lambda d: Call(IDS[:0].copy(), d.normal(5, 6)), zero=("weight",)),
            Case("many", lambda d: Call(d.integers(0, 9, 7, 300), d.normal(9, 2))),
            Case("no columns", lambda d: Call(IDS.copy(), d.normal(5, 0))),
            Case(
                "padding",
                lambda d: Call(IDS.copy(), d.normal(5, 6), padding_idx=3),
                surrogate=PADDING,
            ),
            Case(
                "padding from the end",
                lambda d: Call(IDS.copy(), d.normal(5, 6), -4),
                surrogate=PADDING,
            ),
            Case("padding unread", lambda d: Call(IDS.copy(), d.normal(5, 6), 4)),
            Case(
                "max_norm",
                lambda d: Call(IDS.copy(), d.normal(5, 6), max_norm=2.0),
                surrogate=LIMITED,
            ),
            *(
                Case(
                    f"max_norm of the {p}-norm",
                    lookup(IDS, max_norm=1.0, norm_type=p),
                    surrogate=LIMITED,
                )
                for p in (1, 0.5, 3.0, np.inf, 0)
            ),
            Case(
                "max_norm 0",
                lambda d: Call(IDS.copy(), d.normal(5, 6), max_norm=0.0),
                surrogate=LIMITED,
            ),
            Case(
                "max_norm out of reach",
                lambda d: Call(IDS.copy(), d.normal(5, 6), max_norm=100.0),
            ),
            Case(
                "by frequency",
                lambda d: Call(IDS.copy(), d.normal(5, 6), scale_grad_by_freq=True),
                surrogate=FREQUENCY,
            ),
            Case(
                "by frequency, padding",
                lambda d: Call(IDS.copy(), d.normal(5, 6), 1, scale_grad_by_freq=True),
                surrogate=FREQUENCY,
            ),
            Case("sparse", lambda d: Call(IDS.copy(), d.normal(5, 6), sparse=True)),
            Case(
                "not finite",
                lambda d: Call(IDS.copy(), d.array([[0, np.nan], [1, 2], [np.inf, 1], [3, 4]])),
                surrogate="differences of infinities do not exist",
            ),
        ),
    ),
    Layer(
        "Embedding",
        nn.Embedding,
        torch.nn.Embedding,
        source=EMBEDDING,
        cases=(
            Case("plain", lambda d: Call(IDS.copy()), init=Call(5, 6)),
            Case(
                "padding",
                lambda d: Call(IDS.copy()),
                init=Call(5, 6, padding_idx=-2),
                surrogate=PADDING,
            ),
            Case(
                "max_norm",
                lambda d: Call(IDS.copy()),
                init=Call(5, 6, max_norm=1.5),
                surrogate=LIMITED,
            ),
            Case(
                "max_norm of the 1-norm, padding",
                lambda d: Call(IDS.copy()),
                init=Call(5, 6, 1, 2, 1.0),
                surrogate=LIMITED,
            ),
            Case(
                "by frequency",
                lambda d: Call(IDS.copy()),
                init=Call(5, 6, scale_grad_by_freq=True),
                surrogate=FREQUENCY,
            ),
            # torch's Adam, and SGD with weight decay, refuse sparse gradients: no steps
            Case(
                "sparse", lambda d: Call(IDS.copy()), init=Call(5, 6, sparse=True), modes=("eval",)
            ),
        ),
    ),
    Op(
        "Embedding from its start",
        embedding_start,
        torch_embedding_start,
        source="torch.nn.Embedding.reset_parameters",
        cases=(Case("seed 0", lambda d: Call(d.normal(2, 4, 4))),),
    ),
    Op(
        "embedding_bag",
        F.embedding_bag,
        torch_embedding_bag,
        source=BAG,
        cases=(
            *(
                Case(f"{mode}, {name}", lookup(ids, **kwargs))
                for mode in ("sum", "mean", "max")
                for name, ids, kwargs in (
                    ("matrix", IDS, {"mode": mode}),
                    ("offsets", FLAT, {"mode": mode, "offsets": OFFSETS}),
                    ("one bag", FLAT, {"mode": mode, "offsets": OFFSETS[:1]}),
                    (
                        "last offset",
                        FLAT,
                        {
                            "mode": mode,
                            "offsets": np.array([0, 2, 2, 8]),
                            "include_last_offset": True,
                        },
                    ),
                    (
                        "32 bits",
                        FLAT.astype(np.int32),
                        {"mode": mode, "offsets": OFFSETS.astype(np.int32)},
                    ),
                    ("padding", IDS, {"mode": mode, "padding_idx": 1}),
                    ("padding from the end", IDS, {"mode": mode, "padding_idx": -2}),
                    (
                        "bags of padding only",
                        FLAT,
                        {"mode": mode, "offsets": np.array([0, 1, 2, 5]), "padding_idx": 3},
                    ),
                )
            ),
            *(
                Case(
                    f"{mode}, no index",
                    lookup(FLAT[:0], np.array([0, 0]), mode=mode),
                    zero=("weight",),
                )
                for mode in ("sum", "mean", "max")
            ),
            *(
                Case(
                    f"{mode}, max_norm",
                    lookup(IDS, None, 2.0, mode=mode),
                    surrogate=LIMITED,
                )
                for mode in ("sum", "mean", "max")
            ),
            *(
                Case(
                    f"{mode}, by frequency",
                    lookup(FLAT, OFFSETS, mode=mode, scale_grad_by_freq=True),
                    surrogate=FREQUENCY,
                )
                for mode in ("sum", "mean")
            ),
            Case(
                "weighted",
                lambda d: Call(
                    IDS.copy(), d.normal(5, 6), mode="sum", per_sample_weights=d.normal(2, 4)
                ),
            ),
            Case(
                "weighted, offsets",
                lambda d: Call(
                    FLAT.copy(),
                    d.normal(5, 6),
                    OFFSETS,
                    mode="sum",
                    per_sample_weights=d.normal(8),
                ),
            ),
            Case(
                "weighted, padding",
                lambda d: Call(
                    IDS.copy(),
                    d.normal(5, 6),
                    mode="sum",
                    per_sample_weights=d.normal(2, 4),
                    padding_idx=3,
                ),
            ),
            Case(
                "weighted, by frequency",
                lambda d: Call(
                    IDS.copy(),
                    d.normal(5, 6),
                    mode="sum",
                    scale_grad_by_freq=True,
                    per_sample_weights=d.normal(2, 4),
                ),
                surrogate=FREQUENCY,
            ),
            Case(
                "weighted, max_norm 1 of the 1-norm",
                lambda d: Call(
                    IDS.copy(), d.normal(5, 6), None, 1, 1.0, False, "sum", False, d.normal(2, 4)
                ),
                surrogate=LIMITED,
            ),
            Case(
                "max, ties",
                lambda d: Call(IDS.copy(), d.signs(5, 6), mode="max"),
                surrogate="a row that ties in two bags has two kinks in one place",
            ),
            Case(
                "max, not finite",
                lambda d: Call(
                    np.array([[0, 1, 2], [1, 0, 2], [2, 3, 0], [3, 3, 0]]),
                    d.array([[np.nan, 1], [2, np.inf], [-np.inf, np.nan], [-np.inf, -np.inf]]),
                    mode="max",
                ),
                surrogate="differences of infinities do not exist",
            ),
            Case("sparse", lambda d: Call(IDS.copy(), d.normal(5, 6), mode="sum", sparse=True)),
        ),
    ),
    Layer(
        "EmbeddingBag",
        nn.EmbeddingBag,
        torch.nn.EmbeddingBag,
        source=BAG,
        cases=(
            Case("mean", lambda d: Call(IDS.copy()), init=Call(5, 6)),
            Case("max", lambda d: Call(FLAT.copy(), OFFSETS), init=Call(5, 6, mode="max")),
            Case(
                "weighted",
                lambda d: Call(FLAT.copy(), OFFSETS, d.normal(8)),
                init=Call(5, 6, mode="sum", padding_idx=0),
            ),
            Case(
                "max_norm",
                lambda d: Call(IDS.copy(), None, d.normal(2, 4)),
                init=Call(5, 6, 1.5, 3.0, mode="sum"),
                surrogate=LIMITED,
            ),
            Case(
                "last offset",
                lambda d: Call(FLAT.copy(), np.array([0, 2, 2, 8])),
                init=Call(5, 6, include_last_offset=True, padding_idx=-2),
            ),
            # every row is read twice: there torch's own division by frequency is right
            Case(
                "by frequency",
                lambda d: Call(np.array([[3, 1, 0], [0, 3, 1]])),
                init=Call(5, 6, scale_grad_by_freq=True),
                surrogate=FREQUENCY,
            ),
        ),
    ),
]


def _embedding(**kwargs: Any) -> Any:
    arguments = {"input": IDS, "weight": np.zeros((5, 6)), **kwargs}
    return F.embedding(**arguments)


def _bag(**kwargs: Any) -> Any:
    arguments = {"input": FLAT, "weight": np.zeros((5, 6)), "offsets": OFFSETS, **kwargs}
    return F.embedding_bag(**arguments)


Bad = list[tuple[str, dict[str, Any]]]
BAD_TABLES: Bad = [
    ("floating indices", {"input": np.zeros(8)}),
    ("index too large", {"input": FLAT + 2}),
    ("negative index", {"input": FLAT - 1}),
    ("integer weight", {"weight": np.zeros((5, 6), int)}),
    ("1-d weight", {"weight": np.zeros(5)}),
    ("padding_idx too large", {"padding_idx": 5}),
    ("padding_idx too small", {"padding_idx": -6}),
    ("half a padding_idx", {"padding_idx": 0.5}),
    ("negative max_norm", {"max_norm": -1.0}),
    ("max_norm in words", {"max_norm": "1"}),
    ("norm_type not a number", {"max_norm": 1.0, "norm_type": np.nan}),
    ("sparse in words", {"sparse": "yes"}),
    ("scale_grad_by_freq in words", {"scale_grad_by_freq": "yes"}),
]
BAD_BAGS: Bad = [
    ("no offsets", {"offsets": None}),
    ("offsets beside a matrix", {"input": IDS}),
    ("3-d input", {"input": IDS[None]}),
    ("floating offsets", {"offsets": np.zeros(3)}),
    ("2-d offsets", {"offsets": OFFSETS[None]}),
    ("offsets not from 0", {"offsets": OFFSETS[1:]}),
    ("no bag for the indices", {"offsets": OFFSETS[:0]}),
    ("offsets that decrease", {"offsets": OFFSETS[[0, 3, 1]]}),
    ("offset behind the end", {"offsets": OFFSETS + 2}),
    ("last offset before the end", {"include_last_offset": True}),
    ("no last offset", {"offsets": OFFSETS[:0], "include_last_offset": True}),
    ("include_last_offset in words", {"include_last_offset": "yes"}),
    ("unknown mode", {"mode": "median"}),
    ("max by frequency", {"mode": "max", "scale_grad_by_freq": True}),
    ("sparse max", {"mode": "max", "sparse": True}),
    ("weighted mean", {"per_sample_weights": np.zeros(8)}),
    ("too few weights", {"mode": "sum", "per_sample_weights": np.zeros(7)}),
    ("integer weights", {"mode": "sum", "per_sample_weights": FLAT}),
    ("weights of another dtype", {"mode": "sum", "per_sample_weights": np.zeros(8, "f")}),
]
BAD_MODULES: Bad = [
    ("negative num_embeddings", {"num_embeddings": -1}),
    ("half an embedding_dim", {"embedding_dim": 0.5}),
    ("padding_idx too large", {"padding_idx": 5}),
    ("negative max_norm", {"max_norm": -1.0}),
    ("norm_type in words", {"norm_type": "two"}),
    ("sparse in words", {"sparse": "yes"}),
    ("scale_grad_by_freq in words", {"scale_grad_by_freq": "yes"}),
    ("shape of _weight", {"_weight": np.zeros((6, 5))}),
    ("integer _weight", {"_weight": np.zeros((5, 6), int)}),
]


def _module(cls: Any, **kwargs: Any) -> Any:
    arguments = {"num_embeddings": 5, "embedding_dim": 6, **kwargs}
    return cls(**arguments)


REFUSALS = [
    *(
        Refusal(f"embedding: {what}", partial(_embedding, **k), "embedding")
        for what, k in BAD_TABLES
    ),
    *(
        Refusal(f"embedding_bag: {what}", partial(_bag, **k), "embedding_bag")
        for what, k in BAD_TABLES + BAD_BAGS
    ),
    *(
        Refusal(f"{cls.__name__}: {what}", partial(_module, cls, **k), cls.__name__)
        for cls in (nn.Embedding, nn.EmbeddingBag)
        for what, k in BAD_MODULES
    ),
    *(
        Refusal(
            f"{cls.__name__}.from_pretrained: {what}",
            partial(cls.from_pretrained, table),
            f"{cls.__name__}.from_pretrained",
        )
        for cls in (nn.Embedding, nn.EmbeddingBag)
        for what, table in (("1-d", np.zeros(5)), ("integers", np.zeros((5, 6), int)))
    ),
    Refusal("EmbeddingBag: mode", lambda: nn.EmbeddingBag(5, 6, mode="median"), "EmbeddingBag"),
    Refusal(
        "EmbeddingBag: max by frequency",
        lambda: nn.EmbeddingBag(5, 6, mode="max", scale_grad_by_freq=True),
        "EmbeddingBag",
    ),
    Refusal("Embedding: floating indices", lambda: nn.Embedding(5, 6)(np.zeros(2)), "embedding"),
    Refusal(
        "EmbeddingBag: no offsets", lambda: nn.EmbeddingBag(5, 6)(FLAT.copy()), "embedding_bag"
    ),
]
