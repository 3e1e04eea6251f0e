"""Cross entropy of a linear map's outputs, all at once and in chunks of every size."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_tests.catalog.loss import distributions, each, ignoring, with_value
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, const
from scratch import nn
from scratch.nn import functional as F

LIGER = "Hsu et al. 2024, Liger Kernel, arXiv:2410.10989 (FusedLinearCrossEntropy)"
UNDEFINED = "the loss is NaN, its gradient a convention"
Options = nn.LinearCrossEntropyOptions
PAIRS = Options(allow_retain_graph=True, batch_chunk_size=2)


def head(d: Draw, n: int = 5, **kwargs: Any) -> Call:
    """Rows of 3, a map to 4 classes with its bias, and the class of each row."""
    bias = {"linear_bias": d.normal(4)}
    return Call(d.normal(n, 3), d.normal(4, 3), d.integers(0, 4, n), **bias, **kwargs)


def heads(d: Draw, **kwargs: Any) -> Call:
    """Two by three predictions of each row."""
    bias = {"linear_bias": d.normal(4, 2, 3)}
    classes = d.integers(0, 4, 5, 2, 3)
    return Call(d.normal(5, 2), d.normal(4, 2, 3, 2), classes, **bias, **kwargs)


def soft(d: Draw, **kwargs: Any) -> Call:
    """A distribution for each row, and class weights, which torch differentiates there."""
    q, weight = distributions(d, 5, 4), d.uniform(0.2, 2, 4)
    return Call(d.normal(5, 3), d.normal(4, 3), q, linear_bias=d.normal(4), weight=weight, **kwargs)


def soft_heads(d: Draw, **kwargs: Any) -> Call:
    """A distribution for each of several predictions of each row."""
    return Call(d.normal(5, 3), d.normal(4, 2, 3), distributions(d, 5, 4, 2), **kwargs)


def single(d: Draw, **kwargs: Any) -> Call:
    """One row without the axis of rows."""
    return Call(d.normal(3), d.normal(4, 3), d.integers(0, 4), linear_bias=d.normal(4), **kwargs)


def ignored(make: Callable[..., Call], index: int) -> Callable[..., Call]:
    """The same with every class, every third target ignored, and class weights, one of them 0."""

    def call(d: Draw, **kwargs: Any) -> Call:
        made = make(d)
        x, w, t = made.args
        classes = ignoring(np.resize([3, 0, 2, 1], t.shape), index)
        weight = const(with_value(d.uniform(0.2, 2, 4), 0.0, 2))
        return Call(x, w, classes, **made.kwargs, weight=weight, ignore_index=index, **kwargs)

    return call


def without_bias(d: Draw, **kwargs: Any) -> Call:
    """No bias, which leaves out its gradient."""
    return Call(d.normal(5, 3), d.normal(4, 3), d.integers(0, 4, 5), **kwargs)


def masked(d: Draw, **kwargs: Any) -> Call:
    """A class that its bias rules out."""
    bias = with_value(d.normal(4), -np.inf, 3)
    return Call(d.normal(5, 3), d.normal(4, 3), np.arange(5) % 3, linear_bias=bias, **kwargs)


def scaled(scale: float) -> Callable[..., Call]:
    """Logits that are tiny, or far apart."""

    def call(d: Draw, **kwargs: Any) -> Call:
        return Call(d.normal(5, 3, scale=scale), d.normal(4, 3), d.integers(0, 4, 5), **kwargs)

    return call


def at_once_and_in_chunks(
    name: str, make: Callable[..., Call], options: Options = PAIRS, **kwargs: Any
) -> tuple[Case, ...]:
    """The mean without options, and every reduction with them."""
    return (
        *each(name, lambda d: make(d, **kwargs), ("mean",)),
        *each(f"{name}, chunks", lambda d: make(d, **kwargs, options=options)),
    )


CHUNKS = {
    "default": Options(),
    "single rows": Options(batch_chunk_size=1),
    "three rows and two": Options(batch_chunk_size=3),
    "more rows than there are": Options(batch_chunk_size=50),
    "as large as the input": Options(chunking_method="aspect_ratio"),
    "a quarter of it": Options(chunking_method="aspect_ratio:4", acc_policy="accurate"),
    "one chunk": Options(chunking_method=None, acc_policy="balanced"),
    "size and method agree": Options(
        batch_chunk_size=4, chunking_method="aspect_ratio", acc_policy="compact"
    ),
}

ENTRIES: list[Entry] = [
    Op(
        "linear_cross_entropy",
        F.linear_cross_entropy,
        torch.nn.functional.linear_cross_entropy,
        source=LIGER,
        cases=(
            *at_once_and_in_chunks("classes", head),
            *each("classes, at once", head, ("none", "sum")),
            *at_once_and_in_chunks("without bias", without_bias),
            *at_once_and_in_chunks("unbatched", single),
            *at_once_and_in_chunks("ignored, weight", ignored(head, -100)),
            *at_once_and_in_chunks("ignored class 1, weight", ignored(head, 1)),
            *at_once_and_in_chunks("ignored class beyond the last", ignored(head, 9)),
            *at_once_and_in_chunks("smoothed", head, label_smoothing=0.3),
            *at_once_and_in_chunks(
                "smoothed, ignored, weight", ignored(head, -1), label_smoothing=0.1
            ),
            *at_once_and_in_chunks("heads", heads),
            *at_once_and_in_chunks(
                "heads, smoothed, ignored, weight", ignored(heads, 2), label_smoothing=0.1
            ),
            *at_once_and_in_chunks("distributions, weight", soft),
            *at_once_and_in_chunks("distributions, smoothed", soft, label_smoothing=0.2),
            *at_once_and_in_chunks("distributions, heads", soft_heads),
            *at_once_and_in_chunks("class ruled out", masked),
            *at_once_and_in_chunks("tiny", scaled(1e-7)),
            *at_once_and_in_chunks("far apart", scaled(1e3)),
            *(
                Case(f"chunks: {name}", functools.partial(head, options=options))
                for name, options in CHUNKS.items()
            ),
            Case("as many rows as a chunk", lambda d: head(d, n=2, options=PAIRS)),
            Case(
                "distribution, unbatched",
                lambda d: Call(d.normal(3), d.normal(4, 3), d.probabilities(4)),
            ),
            Case(
                "one class",
                lambda d: Call(d.normal(5, 3), d.normal(1, 3), np.zeros(5, int)),
                zero=("input", "linear_weight"),
            ),
            Case(
                "no rows",
                lambda d: head(d, n=0),
                zero=("linear_weight", "linear_bias"),
                surrogate=UNDEFINED,
            ),
            Case(
                "no rows, chunks",
                lambda d: head(d, n=0, reduction="sum", options=PAIRS),
                zero=("linear_weight", "linear_bias"),
            ),
            Case("no features", lambda d: Call(d.normal(5, 0), d.normal(4, 0), np.arange(5) % 4)),
            *each(
                "all ignored",
                lambda d: Call(d.normal(3, 3), d.normal(4, 3), np.full(3, -100)),
                zero=("input", "linear_weight"),
                surrogate=UNDEFINED,
            ),
            *each(
                "all ignored, chunks",
                lambda d: Call(d.normal(3, 3), d.normal(4, 3), np.full(3, -100), options=PAIRS),
                ("none", "sum"),
                zero=("input", "linear_weight"),
            ),
        ),
    ),
    Layer(
        "LinearCrossEntropyLoss",
        nn.LinearCrossEntropyLoss,
        torch.nn.LinearCrossEntropyLoss,
        source=LIGER,
        cases=(
            Case(
                "classes",
                lambda d: Call(d.normal(5, 3), d.integers(0, 4, 5)),
                init=Call(3, 4),
            ),
            Case(
                "bias, chunks, ignored",
                lambda d: Call(d.normal(5, 3), ignoring(d.integers(0, 4, 5), -1)),
                init=Call(3, 4, bias=True, reduction="sum", ignore_index=-1, options=PAIRS),
            ),
            Case(
                "weight, smoothed, none",
                lambda d: Call(d.normal(5, 3), d.integers(0, 4, 5)),
                init=Call(
                    3,
                    4,
                    reduction="none",
                    weight=const(np.array([0.5, 2.0, 0.0, 1.0])),
                    label_smoothing=0.1,
                ),
            ),
            Case(
                "heads",
                lambda d: Call(d.normal(7, 3), d.integers(0, 4, 7, 2, 5)),
                init=Call(3, 4, out_features=(2, 5), bias=True),
            ),
            Case(
                "distributions, weight",
                lambda d: Call(d.normal(5, 3), distributions(d, 5, 4)),
                init=Call(3, 4, bias=True, weight=const(np.array([0.5, 2.0, 0.3, 1.0]))),
            ),
            Case(
                "unbatched, chunks",
                lambda d: Call(d.normal(3), d.integers(0, 4)),
                init=Call(3, 4, bias=True, options=Options(True)),
            ),
        ),
    ),
]

X, W, T = np.full((4, 3), 0.5), np.ones((2, 3)), np.array([0, 1, 1, 0])
RIGHT = {"input": X, "linear_weight": W, "target": T}
WRONG: dict[str, dict[str, Any]] = {
    "integer input": {"input": np.ones((4, 3), int)},
    "list for an input": {"input": [[1.0, 2.0, 3.0]]},
    "three axes": {"input": np.ones((2, 4, 3))},
    "0-d input": {"input": np.ones(())},
    "width of input": {"input": np.ones((4, 2))},
    "one row for several heads": {"input": np.ones(3), "linear_weight": np.ones((2, 5, 3))},
    "linear_weight in another dtype": {"linear_weight": np.ones((2, 3), np.float32)},
    "linear_weight of one axis": {"linear_weight": np.ones(3)},
    "no classes": {"linear_weight": np.ones((0, 3))},
    "shape of linear_bias": {"linear_bias": np.ones(3)},
    "linear_bias of one head": {
        "linear_weight": np.ones((2, 5, 3)),
        "linear_bias": np.ones(2),
        "target": np.zeros((4, 5), int),
    },
    "integer linear_bias": {"linear_bias": T[:2]},
    "number of targets": {"target": T[:3]},
    "integers for probabilities": {"target": np.ones((4, 2), int)},
    "probabilities in another dtype": {"target": np.ones((4, 2), np.float32)},
    "shape of probabilities": {"target": np.ones((5, 2))},
    "list for a target": {"target": [0, 1, 1, 0]},
    "class too high": {"target": T + 1},
    "negative class": {"target": T - 1},
    "length of weight": {"weight": np.ones(3)},
    "integer weight": {"weight": T[:2]},
    "unknown reduction": {"reduction": "batchmean"},
    "half an ignore_index": {"ignore_index": 0.5},
    "ignored class beside probabilities": {"target": np.ones((4, 2)), "ignore_index": -100},
    "label_smoothing 1.1": {"label_smoothing": 1.1},
    "options a number": {"options": 2},
    "options in another dtype": {"options": Options(acc_dtype=np.float32)},
}
WRONG_OPTIONS: dict[str, dict[str, Any]] = {
    "batch_chunk_size 0": {"batch_chunk_size": 0},
    "half a batch_chunk_size": {"batch_chunk_size": 0.5},
    "chunking_method": {"chunking_method": "rows"},
    "chunking_method by 0": {"chunking_method": "aspect_ratio:0"},
    "chunking_method by nothing": {"chunking_method": "aspect_ratio:"},
    "acc_policy": {"acc_policy": "fast"},
    "acc_dtype": {"acc_dtype": np.int64},
    "allow_retain_graph": {"allow_retain_graph": "yes"},
}
WRONG_MODULE: dict[str, dict[str, Any]] = {
    "negative in_features": {"in_features": -1},
    "no classes": {"num_classes": 0},
    "out_features a number": {"out_features": 2},
    "half of out_features": {"out_features": (2, 0.5)},
    "length of weight": {"weight": np.ones(4)},
    "integer weight": {"weight": T[:2]},
    "reduction": {"reduction": "max"},
    "ignore_index": {"ignore_index": "none"},
    "label_smoothing": {"label_smoothing": 2.0},
    "options": {"options": {"batch_chunk_size": 2}},
}

REFUSALS = [
    Refusal(f"{name}: {what}", functools.partial(function, **{**right, **wrong}), name)
    for name, function, right, wrongs in (
        ("linear_cross_entropy", F.linear_cross_entropy, RIGHT, WRONG),
        ("LinearCrossEntropyOptions", Options, {}, WRONG_OPTIONS),
        (
            "LinearCrossEntropyLoss",
            nn.LinearCrossEntropyLoss,
            {"in_features": 3, "num_classes": 2},
            WRONG_MODULE,
        ),
    )
    for what, wrong in wrongs.items()
]
REFUSALS += [
    Refusal(
        "LinearCrossEntropyOptions: size and method disagree",
        lambda: F.linear_cross_entropy(X, W, T, options=Options(False, 3, "aspect_ratio")),
        "LinearCrossEntropyOptions",
    ),
    Refusal(
        "linear_cross_entropy: no dy for several losses",
        lambda: F.linear_cross_entropy(X, W, T, reduction="none")[1](),
        "linear_cross_entropy backward",
    ),
    Refusal(
        "LinearCrossEntropyLoss: dtype of input",
        lambda: nn.LinearCrossEntropyLoss(3, 2)(X, T),
        "linear_cross_entropy",
    ),
]
