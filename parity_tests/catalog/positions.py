"""Positions in a sequence: sinusoidal, learned, rotary, linear biases, relative buckets; gates."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, Routine, unchecked
from scratch import nn
from scratch.nn import alibi, positional_encoding, relative_position
from scratch.nn import functional as F
from scratch.optim.lr_scheduler import noam
from torch_ref.nn import alibi as torch_alibi
from torch_ref.nn import gated_feed_forward as torch_gated
from torch_ref.nn import positional_encoding as torch_positions
from torch_ref.nn import relative_position as torch_relative
from torch_ref.nn import rotary as torch_rotary
from torch_ref.optim.noam import noam as torch_noam

SINUSOIDAL = "Vaswani et al. 2017, arXiv:1706.03762, section 3.5"
NOAM = "Vaswani et al. 2017, arXiv:1706.03762, equation 3"
LEARNED = "Gehring et al. 2017, arXiv:1705.03122, section 3.1"
ROTARY = "Su et al. 2021, arXiv:2104.09864, equations 15 and 34"
ALIBI = "Press, Smith & Lewis 2022, arXiv:2108.12409, section 3"
BUCKETS = "Raffel et al. 2020, arXiv:1910.10683, section 2.1"
GATED = "Shazeer 2020, arXiv:2002.05202, equations 5 and 6"
FAR = "an angle near {} is rounded to {} eps"


def at(*shape: int, **kwargs: Any) -> Callable[[Draw], Call]:
    """One floating array of this shape."""
    return lambda d: Call(d.normal(*shape), **kwargs)


def tables(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Sinusoids of odd and even width, far out, of another base; none."""
    dtype = side.array(d.normal(1)).dtype
    return {
        "even": make(7, 6, dtype=dtype),
        "odd": make(7, 5, dtype=dtype),
        "one": make(3, 1, dtype=dtype),
        "base, offset": make(4, 8, 500.0, 90, dtype=dtype),
        "none": make(0, 3, dtype=dtype),
    }


def slopes(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Of every number of heads up to 20, and of 96."""
    dtype = side.array(d.normal(1)).dtype
    return {str(n): make(n, dtype) for n in (*range(1, 21), 96)}


def biases(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """More keys than queries and the other way round, with a cache, empty."""
    dtype = side.array(d.normal(1)).dtype
    sizes = ((4, 3, 5, 0), (6, 5, 2, 0), (3, 2, 7, 5), (2, 0, 3, 0))
    return {str(size): make(*size, dtype=dtype) for size in sizes}


# E = 2 and M = 3, whose ranges cannot all be filled; powers that a logarithm may round down.
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"bidirectional": False},
    {"num_buckets": 8, "max_distance": 3},
    {"bidirectional": False, "num_buckets": 48, "max_distance": 81},
    {"num_buckets": 64, "max_distance": 256},
    {"bidirectional": False, "num_buckets": 2, "max_distance": 2},
)


def buckets(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Every distance up to 300 on both sides."""
    relative = side.array(np.arange(-300, 301))
    found = {", ".join(map(str, way.values())): make(relative, **way) for way in WAYS}
    found["2-d, int32"] = make(side.array(np.arange(-6, 6, dtype=np.int32).reshape(3, 4)))
    return found


def rates(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Around the top and far behind it."""
    epochs = (0, 1, 2, 98, 99, 100, 101, 5000)
    ways = {"": (64, 100), "factor": (512, 100, 0.5), "at once": (8, 1), "default": (512,)}
    return {
        name: np.array([make(*arguments)(e) for e in epochs]) for name, arguments in ways.items()
    }


ENTRIES = [
    Op(
        "sinusoidal_encoding",
        F.sinusoidal_encoding,
        torch_positions.sinusoidal_encoding,
        source=SINUSOIDAL,
        cases=(
            Case("even", at(2, 7, 6)),
            Case("odd", at(2, 7, 5)),
            Case("one feature", at(3, 5, 1)),
            Case("two axes", at(4, 8)),
            Case("four axes, base", at(2, 3, 4, 6, base=50.0)),
            Case("offset", at(2, 3, 10, offset=40)),
            Case("far out", at(3, 7, offset=20000), c=4e4, reason=FAR.format("2e4", "2e4")),
            Case("one position", at(2, 1, 4)),
            Case("no position", at(2, 0, 4)),
            Case("no sample", at(0, 3, 4)),
        ),
    ),
    Op(
        "learned_encoding",
        F.learned_encoding,
        torch_positions.learned_encoding,
        source=LEARNED,
        cases=(
            Case("whole", lambda d: Call(d.normal(3, 5, 4), d.normal(5, 4))),
            Case("shorter", lambda d: Call(d.normal(3, 2, 4), d.normal(5, 4))),
            Case("offset", lambda d: Call(d.normal(3, 2, 4), d.normal(7, 4), offset=3)),
            Case("two axes", lambda d: Call(d.normal(5, 4), d.normal(6, 4), 1)),
            Case("four axes", lambda d: Call(d.normal(2, 3, 2, 4), d.normal(3, 4))),
            Case(
                "no sample",
                lambda d: Call(d.normal(0, 2, 4), d.normal(3, 4)),
                zero=("weight",),
            ),
        ),
    ),
    Op(
        "rotary_embedding",
        F.rotary_embedding,
        torch_rotary.rotary_embedding,
        source=ROTARY,
        cases=(
            Case("interleaved", at(2, 3, 5, 8)),
            Case("halves", at(2, 3, 5, 8, interleaved=False)),
            Case("offset", at(2, 1, 6, offset=9)),
            Case("halves, offset, base", at(2, 3, 6, base=500000.0, offset=9, interleaved=False)),
            Case("some features", at(3, 5, 10, dim=4)),
            Case("some features, halves", at(3, 5, 10, dim=6, interleaved=False)),
            Case("no features", at(3, 5, 4, dim=0)),
            Case("interpolated", at(2, 5, 6, scaling_factor=4.0, offset=3)),
            Case("interpolated, halves", at(2, 5, 6, interleaved=False, scaling_factor=2.5)),
            Case(
                "positions",
                lambda d: Call(d.normal(2, 3, 4, 6), positions=d.integers(0, 30, 4)),
            ),
            Case(
                "positions of each sample",
                lambda d: Call(
                    d.normal(2, 3, 4, 6),
                    interleaved=False,
                    positions=np.array([[[0, 0, 0, 1]], [[0, 1, 2, 3]]]),
                ),
            ),
            Case("far out", at(3, 6, offset=20000), c=4e4, reason=FAR.format("2e4", "2e4")),
            Case("one position", at(1, 2)),
            Case("no sample", at(0, 3, 4)),
        ),
    ),
    Op(
        "alibi",
        F.alibi,
        torch_alibi.alibi,
        source=ALIBI,
        cases=(
            Case("four heads", at(2, 4, 3, 5)),
            Case("six heads", at(2, 6, 3, 3)),
            Case("twelve heads, without a batch", at(12, 2, 4)),
            Case("more queries", at(1, 3, 5, 2)),
            Case("with a cache", at(2, 8, 2, 7, offset=5)),
            Case("one head", at(1, 4, 4)),
            Case("no keys", at(2, 4, 3, 0)),
        ),
    ),
    Op(
        "relative_position_bias",
        F.relative_position_bias,
        torch_relative.relative_position_bias,
        source=BUCKETS,
        cases=(
            Case("both directions", lambda d: Call(d.normal(8, 3), 6, 5, max_distance=4)),
            Case("causal", lambda d: Call(d.normal(8, 3), 6, 5, False, 16)),
            Case("with a cache", lambda d: Call(d.normal(8, 2), 2, 9, False, 16, offset=7)),
            Case("T5", lambda d: Call(d.normal(32, 2), 150, 150)),
            Case("T5, causal", lambda d: Call(d.normal(32, 2), 150, 140, bidirectional=False)),
            Case("powers", lambda d: Call(d.normal(48, 1), 70, 70, False, 81)),
            Case("one query", lambda d: Call(d.normal(4, 3), 1, 3, max_distance=2)),
            Case("no keys", lambda d: Call(d.normal(8, 2), 3, 0), zero=("weight",)),
        ),
    ),
    Layer(
        "SinusoidalPositionalEncoding",
        nn.SinusoidalPositionalEncoding,
        torch_positions.SinusoidalPositionalEncoding,
        source=SINUSOIDAL,
        cases=(
            Case("even", at(2, 5, 6), init=Call(6)),
            Case("odd, offset", at(2, 5, 7, offset=3), init=Call(7)),
            Case("base", at(4, 6), init=Call(6, base=100.0)),
            Case("dropout", at(2, 5, 6), init=Call(6, 0.3), seeded=True),
        ),
    ),
    Layer(
        "LearnedPositionalEncoding",
        nn.LearnedPositionalEncoding,
        torch_positions.LearnedPositionalEncoding,
        source=LEARNED,
        cases=(
            Case("shorter", at(2, 3, 6), init=Call(5, 6)),
            Case("offset", at(2, 3, 4, offset=2), init=Call(5, 4)),
            Case("dropout", at(3, 5, 4), init=Call(5, 4, 0.3), seeded=True),
        ),
    ),
    Layer(
        "RotaryEmbedding",
        nn.RotaryEmbedding,
        torch_rotary.RotaryEmbedding,
        source=ROTARY,
        cases=(
            Case("defaults", at(2, 3, 4, 6)),
            Case("halves", at(2, 4, 6, offset=2), init=Call(4, 100.0, False)),
            Case("interpolated", at(2, 4, 6), init=Call(scaling_factor=2.0)),
            Case(
                "positions",
                lambda d: Call(d.normal(2, 4, 6), positions=d.integers(0, 9, 2, 4)),
                init=Call(6),
            ),
        ),
    ),
    Layer(
        "ALiBi",
        nn.ALiBi,
        torch_alibi.ALiBi,
        source=ALIBI,
        cases=(Case("six heads", at(2, 6, 3, 4)), Case("with a cache", at(3, 2, 5, offset=3))),
    ),
    Layer(
        "RelativePositionBias",
        nn.RelativePositionBias,
        torch_relative.RelativePositionBias,
        source=BUCKETS,
        cases=(
            Case("T5", lambda d: Call(70, 70), init=Call(2)),
            Case("causal", lambda d: Call(9, 9), init=Call(3, 8, 6, False)),
            Case("with a cache", lambda d: Call(1, 30, offset=29), init=Call(2, 8, 20, False)),
        ),
    ),
    Layer(
        "GatedFeedForward",
        nn.GatedFeedForward,
        torch_gated.GatedFeedForward,
        source=GATED,
        cases=(
            Case("SwiGLU", at(2, 3, 4), init=Call(4, 6)),
            Case("GEGLU, biases", at(2, 3, 4), init=Call(4, 6, "gelu", True)),
            Case("GEGLU of T5 1.1", at(3, 4), init=Call(4, 5, "gelu_tanh")),
            Case("ReGLU", at(3, 4), init=Call(4, 5, "relu", bias=True)),
            Case("GLU", at(4), init=Call(4, 5, "sigmoid")),
            Case("Bilinear", at(2, 4), init=Call(4, 5, "identity")),
            Case("dropout", at(2, 3, 4), init=Call(4, 6, dropout=0.4), seeded=True),
        ),
    ),
    Routine(
        "sinusoidal_table",
        positional_encoding.sinusoidal_table,
        torch_positions.sinusoidal_table,
        {"tables": tables},
        source=SINUSOIDAL,
    ),
    Routine(
        "alibi_slopes",
        alibi.alibi_slopes,
        torch_alibi.alibi_slopes,
        {"slopes": slopes},
        source=ALIBI,
    ),
    Routine(
        "alibi_bias",
        alibi.alibi_bias,
        torch_alibi.alibi_bias,
        {"biases": biases},
        source=ALIBI,
    ),
    Routine(
        "relative_position_bucket",
        relative_position.relative_position_bucket,
        torch_relative.relative_position_bucket,
        {"buckets": buckets},
        source=BUCKETS,
    ),
    Routine("noam", noam, torch_noam, {"rates": rates}, source=NOAM),
]


# Refusals

X, W = np.ones((2, 3, 4)), np.ones((5, 4))
SCORES, BIAS = np.ones((2, 4, 3, 5)), np.ones((8, 3))
T = np.arange(3)


def refused(function: Any, what: str, *args: Any, **kwargs: Any) -> Refusal:
    """A call of a function or a class that is not taken."""
    name = function.__name__
    return Refusal(f"{name}: {what}", partial(function, *args, **kwargs), name)


# Without their annotations, which the refused calls do not keep to.
f: Any = F
n: Any = nn
table: Any = positional_encoding.sinusoidal_table
bucket: Any = relative_position.relative_position_bucket
bias: Any = alibi.alibi_bias
anything: Any = unchecked

REFUSALS = [
    refused(f.sinusoidal_encoding, "integers", X.astype(int)),
    refused(f.sinusoidal_encoding, "one axis", X[0, 0]),
    refused(f.sinusoidal_encoding, "base 0", X, base=0),
    refused(f.sinusoidal_encoding, "offset below 0", X, offset=-1),
    refused(f.sinusoidal_encoding, "half an offset", X, offset=0.5),
    refused(f.learned_encoding, "list", X.tolist(), W),
    refused(f.learned_encoding, "one axis", X[0, 0], W),
    refused(f.learned_encoding, "width of weight", X, W[:, :3]),
    refused(f.learned_encoding, "three axes of weight", X, X),
    refused(f.learned_encoding, "dtype of weight", X, W.astype(np.float32)),
    refused(f.learned_encoding, "too many positions", X, W[:2]),
    refused(f.learned_encoding, "offset beyond the rows", X, W, offset=3),
    refused(f.learned_encoding, "offset below 0", X, W, offset=-1),
    refused(f.rotary_embedding, "integers", X.astype(int)),
    refused(f.rotary_embedding, "one axis", X[0, 0]),
    refused(f.rotary_embedding, "odd number of features", X[..., :3]),
    refused(f.rotary_embedding, "odd dim", X, dim=3),
    refused(f.rotary_embedding, "dim too large", X, dim=6),
    refused(f.rotary_embedding, "dim below 0", X, dim=-2),
    refused(f.rotary_embedding, "base 0", X, 0.0),
    refused(f.rotary_embedding, "scaling_factor 0", X, scaling_factor=0.0),
    refused(f.rotary_embedding, "interleaved a word", X, interleaved="halves"),
    refused(f.rotary_embedding, "offset below 0", X, offset=-1),
    refused(f.rotary_embedding, "positions below 0", X, positions=T - 1),
    refused(f.rotary_embedding, "floating positions", X, positions=T * 1.0),
    refused(f.rotary_embedding, "number of positions", X, positions=T[:2]),
    refused(f.rotary_embedding, "axes of positions", X, positions=T[None, None]),
    refused(f.rotary_embedding, "positions and offset", X, offset=2, positions=T),
    refused(f.alibi, "integers", SCORES.astype(int)),
    refused(f.alibi, "two axes", SCORES[0, 0]),
    refused(f.alibi, "no heads", SCORES[:, :0]),
    refused(f.alibi, "offset below 0", SCORES, offset=-1),
    refused(f.relative_position_bias, "integers", BIAS.astype(int), 2, 3),
    refused(f.relative_position_bias, "one axis", BIAS[0], 2, 3),
    refused(f.relative_position_bias, "length below 0", BIAS, -1, 3),
    refused(f.relative_position_bias, "half a key", BIAS, 1, 2.5),
    refused(f.relative_position_bias, "offset below 0", BIAS, 1, 2, offset=-1),
    refused(f.relative_position_bias, "six buckets", BIAS[:6], 1, 2),
    refused(f.relative_position_bias, "seven buckets", BIAS[:7], 1, 2, False),
    refused(f.relative_position_bias, "nothing to widen", BIAS, 1, 2, max_distance=2),
    refused(f.relative_position_bias, "bidirectional a word", BIAS, 1, 2, "yes"),
    refused(n.SinusoidalPositionalEncoding, "no features", 0),
    refused(n.SinusoidalPositionalEncoding, "dropout", 4, 1.5),
    refused(n.SinusoidalPositionalEncoding, "base", 4, base=-1),
    Refusal(
        "SinusoidalPositionalEncoding: width",
        partial(n.SinusoidalPositionalEncoding(6), X),
        "SinusoidalPositionalEncoding",
    ),
    refused(n.LearnedPositionalEncoding, "no positions", 0, 4),
    refused(n.LearnedPositionalEncoding, "half a feature", 3, 4.5),
    refused(n.LearnedPositionalEncoding, "dropout", 3, 4, -0.1),
    refused(n.RotaryEmbedding, "odd", 3),
    refused(n.RotaryEmbedding, "base", 4, 0.0),
    refused(n.RotaryEmbedding, "interleaved", 4, interleaved=2),
    refused(n.RotaryEmbedding, "scaling_factor", 4, scaling_factor=-2.0),
    Refusal("ALiBi: two axes", partial(n.ALiBi(), X[0]), "alibi"),
    refused(n.RelativePositionBias, "no heads", 0),
    refused(n.RelativePositionBias, "buckets", 2, 30),
    refused(n.RelativePositionBias, "max_distance", 2, 32, 8),
    refused(n.RelativePositionBias, "bidirectional", 2, bidirectional=None),
    refused(n.GatedFeedForward, "no features", 0, 3),
    refused(n.GatedFeedForward, "half a feature", 2, 2.5),
    refused(n.GatedFeedForward, "unknown activation", 2, 3, "swish"),
    refused(n.GatedFeedForward, "bias", 2, 3, bias="no"),
    refused(n.GatedFeedForward, "dropout", 2, 3, dropout=2),
    refused(table, "length below 0", -1, 4),
    refused(table, "half a feature", 3, 4.5),
    refused(table, "base", 3, 4, 0),
    refused(table, "dtype", 3, 4, dtype=np.int64),
    refused(alibi.alibi_slopes, "no heads", 0),
    refused(alibi.alibi_slopes, "dtype", 2, anything(np.float16)),
    refused(bias, "length below 0", 2, -1, 3),
    refused(bias, "offset below 0", 2, 1, 3, -1),
    refused(bucket, "floating", np.ones(3)),
    refused(bucket, "buckets", T, True, 6),
    refused(bucket, "max_distance", T, False, 32, 16),
    refused(noam, "no features", 0),
    refused(noam, "half a step", 512, anything(0.5)),
    refused(noam, "factor", 512, factor=0),
]
