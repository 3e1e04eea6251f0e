"""Conventions of positions: which features pair, which way distances count, where steps begin."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.alibi import alibi_bias, alibi_slopes
from scratch.nn.op import Backward
from scratch.nn.positional_encoding import sinusoidal_table
from scratch.nn.relative_position import relative_position_bucket

Parts = tuple[Any, Backward]


def added(x: Array, table: Array) -> Parts:
    """x + a table of its dtype."""
    return x + table.astype(x.dtype), lambda dy: dy


def table_of(a: dict[str, Any], **changes: Any) -> Array:
    """The table that a call of sinusoidal_encoding adds, with other options."""
    length, dim = a["input"].shape[-2:]
    given = {"length": length, "dim": dim, "base": a["base"], "offset": a["offset"]}
    return sinusoidal_table(**{**given, "dtype": np.float64, **changes})


@mutant(F.sinusoidal_encoding)
def sines_then_cosines(**a: Any) -> Parts:
    table = table_of(a)
    return added(a["input"], np.concatenate([table[:, 0::2], table[:, 1::2]], 1))


@mutant(F.sinusoidal_encoding)
def positions_from_one(**a: Any) -> Parts:
    return added(a["input"], table_of(a, offset=a["offset"] + 1))


@mutant(F.sinusoidal_encoding)
def exponent_of_each_column(**a: Any) -> Parts:
    """base^(-j / D) in column j: cosines have frequencies of their own."""
    length, dim = a["input"].shape[-2:]
    t = np.arange(a["offset"], a["offset"] + length)[:, None]
    turns = t * a["base"] ** (-np.arange(dim) / dim)
    return added(a["input"], np.where(np.arange(dim) % 2, np.cos(turns), np.sin(turns)))


@mutant(F.sinusoidal_encoding)
def both_ends(**a: Any) -> Parts:
    """Tensor2tensor's frequencies, from 1 to 1 / base."""
    length, dim = a["input"].shape[-2:]
    t = np.arange(a["offset"], a["offset"] + length)[:, None]
    pairs = (dim + 1) // 2
    turns = t * a["base"] ** (-np.arange(pairs) / max(pairs - 1, 1))
    table = np.stack([np.sin(turns), np.cos(turns)], -1).reshape(length, 2 * pairs)
    return added(a["input"], table[:, :dim])


@mutant(F.sinusoidal_encoding)
def padded_width(**a: Any) -> Parts:
    """An odd width cut from the next even one, whose frequencies are others."""
    dim = a["input"].shape[-1]
    return added(a["input"], table_of(a, dim=dim + dim % 2)[:, :dim])


@mutant(F.sinusoidal_encoding)
def scaled_input(**a: Any) -> Parts:
    """sqrt(D) x + P: the paper's embeddings, which stand before the encoding, are so scaled."""
    x = a["input"]
    c = x.dtype.type(x.shape[-1] ** 0.5)
    y, _ = added(x * c, table_of(a))
    return y, lambda dy: dy * c


@mutant(F.rotary_embedding)
def other_pairs(**a: Any) -> Parts:
    return F.rotary_embedding(**{**a, "interleaved": not a["interleaved"]})


@mutant(F.rotary_embedding)
def other_way_round(**a: Any) -> Parts:
    """Turned by -t: queries and keys agree among themselves, other weights do not."""
    _, back = F.rotary_embedding(**a)
    return back(a["input"]), lambda dy: F.rotary_embedding(**{**a, "input": dy})[0]


@mutant(F.rotary_embedding)
def base_of_all_features(**a: Any) -> Parts:
    """base^(-2 i / D) where d < D features are turned."""
    d, width = a["dim"], a["input"].shape[-1]
    if not d:
        return F.rotary_embedding(**a)
    return F.rotary_embedding(**{**a, "base": a["base"] ** (d / width)})


@mutant(F.rotary_embedding)
def scaled_up(**a: Any) -> Parts:
    """Positions times the factor."""
    return F.rotary_embedding(**{**a, "scaling_factor": 1 / a["scaling_factor"]})


@mutant(F.rotary_embedding)
def without_the_cache(**a: Any) -> Parts:
    return F.rotary_embedding(**{**a, "offset": 0})


@mutant(F.rotary_embedding)
def base_ten_thousand(**a: Any) -> Parts:
    return F.rotary_embedding(**{**a, "base": 10000.0})


def with_slopes(slopes: Callable[[int], Array]) -> Callable[..., Parts]:
    """alibi with other slopes."""

    @mutant(F.alibi)
    def other(**a: Any) -> Parts:
        heads, queries, keys = a["input"].shape[-3:]
        i = a["offset"] + np.arange(queries)[:, None]
        distances = np.abs(i - np.arange(keys))
        return added(a["input"], -slopes(heads)[:, None, None] * distances)

    return other


def in_order(heads: int) -> Array:
    return np.sort(alibi_slopes(heads, np.float64))[::-1]


def geometric(heads: int) -> Array:
    return np.exp2(-8 * np.arange(1, heads + 1) / heads)


def steepest_last(heads: int) -> Array:
    return alibi_slopes(heads, np.float64)[::-1]


def first_of_twice(heads: int) -> Array:
    power = 2 ** (heads.bit_length() - 1)
    more = np.exp2(-4 * np.arange(1, heads - power + 1) / power)
    return np.concatenate([np.exp2(-8 * np.arange(1, power + 1) / power), more])


@mutant(F.alibi)
def queries_from_zero(**a: Any) -> Parts:
    return F.alibi(a["input"])


@mutant(F.alibi)
def of_keys_alone(**a: Any) -> Parts:
    """Bloom's m_h j, which a causal softmax cannot tell from -m_h (i - j)."""
    x = a["input"]
    heads, _, keys = x.shape[-3:]
    return added(x, -alibi_bias(heads, 1, keys, 0, np.float64))


def with_buckets(bucket: Callable[..., Array]) -> Callable[..., Parts]:
    """relative_position_bias with another bucket for each distance."""

    @mutant(F.relative_position_bias)
    def other(**a: Any) -> Parts:
        weight: Array = a["weight"]
        i = a["offset"] + np.arange(a["query_length"])[:, None]
        relative = np.arange(a["key_length"]) - i
        k = bucket(relative, a["bidirectional"], len(weight), a["max_distance"])

        def backward(dy: Array) -> Array:
            dweight = np.zeros_like(weight)
            np.add.at(dweight, k, np.moveaxis(dy, 0, -1))
            return dweight

        y: Array = np.moveaxis(weight[k], -1, 0).copy()
        return y, backward

    return other


def query_less_key(relative: Array, *options: Any) -> Array:
    return relative_position_bucket(-relative, *options)


def of_one_direction(relative: Array, bidirectional: bool, *options: Any) -> Array:
    return relative_position_bucket(relative, False, *options)


def rounded_to_float32(
    relative: Array, bidirectional: bool, num_buckets: int, max_distance: int
) -> Array:
    """The logarithm's quotient in float32, a little below a whole number."""
    exact = relative_position_bucket(relative, bidirectional, num_buckets, max_distance)
    if bidirectional:
        return exact
    small = num_buckets // 2
    n = np.maximum(-relative, small).astype(np.float32)
    quotient = np.log(n / small) / np.float32(np.log(max_distance / small)) * (num_buckets - small)
    far = np.minimum(small + np.nextafter(quotient, np.float32(0)).astype(int), num_buckets - 1)
    return np.where(-relative < small, exact, far)


def rounded_to_the_nearest(
    relative: Array, bidirectional: bool, num_buckets: int, max_distance: int
) -> Array:
    exact = relative_position_bucket(relative, bidirectional, num_buckets, max_distance)
    if bidirectional:
        return exact
    small = num_buckets // 2
    n = np.maximum(-relative, small)
    share = np.log(n / small) / np.log(max_distance / small)
    steps = np.rint(share * (num_buckets - small)).astype(int)
    far = np.minimum(small + steps, num_buckets - 1)
    return np.where(-relative < small, exact, far)


@mutant(F.relative_position_bias)
def bias_without_the_cache(**a: Any) -> Parts:
    return F.relative_position_bias(**{**a, "offset": 0})


@mutant(F.learned_encoding)
def rows_from_zero(**a: Any) -> Parts:
    return F.learned_encoding(a["input"], a["weight"])


class GateAndValueSwapped(nn.GatedFeedForward):
    """f of the other projection, as F.glu has it: a s(g)."""

    def forward(self, input: Array) -> Parts:
        gate, up = self.gate_proj, self.up_proj
        self.gate_proj, self.up_proj = up, gate
        try:
            return super().forward(input)
        finally:
            self.gate_proj, self.up_proj = gate, up


class PlainGelu(nn.GatedFeedForward):
    """The exact GELU for T5 1.1's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.activation = {"gelu_tanh": "gelu"}.get(self.activation, self.activation)

    def extra_repr(self) -> str:
        return "activation='gelu_tanh'" if self.activation == "gelu" else super().extra_repr()


def noam_from_zero(
    d_model: int, warmup_steps: int = 4000, factor: float = 1.0
) -> Callable[[int], float]:
    """n = max(e, 1)."""

    def rate(epoch: int) -> float:
        n = max(epoch, 1)
        return factor * float(d_model**-0.5 * min(n**-0.5, n * warmup_steps**-1.5))

    return rate


PITFALLS = [
    Pitfall(
        "positions: all sines, then all cosines",
        entry="sinusoidal_encoding",
        difference="Vaswani et al.: sines in even columns, cosines in odd ones; tensor2tensor and "
        "GPT-J's table: halves",
        mutant=sines_then_cosines,
    ),
    Pitfall(
        "positions: from one",
        entry="sinusoidal_encoding",
        difference="the first position is 0; fairseq's are padding_idx + 1 and up",
        mutant=positions_from_one,
    ),
    Pitfall(
        "positions: an exponent for each column",
        entry="sinusoidal_encoding",
        difference="Vaswani et al.: 2 i / D, the same for sine and cosine of a pair; others: j / D "
        "in column j",
        mutant=exponent_of_each_column,
    ),
    Pitfall(
        "positions: frequencies up to both ends",
        entry="sinusoidal_encoding",
        difference="Vaswani et al.: base^(-2 i / D); tensor2tensor: base^(-i / (D / 2 - 1))",
        mutant=both_ends,
    ),
    Pitfall(
        "positions: an odd width as the next even one",
        entry="sinusoidal_encoding",
        difference="here D of the formula is the width itself, as in torch.arange(0, D, 2) / D",
        mutant=padded_width,
    ),
    Pitfall(
        "positions: the input is scaled",
        entry="sinusoidal_encoding",
        difference="here x + P; the embedding before it has the factor sqrt(D), and in some code "
        "the encoding has it",
        mutant=scaled_input,
    ),
    Pitfall(
        "positions: learned rows without the cache",
        entry="learned_encoding",
        difference="with a cache the first position is its length",
        mutant=rows_from_zero,
    ),
    Pitfall(
        "rotary: pairing",
        entry="rotary_embedding",
        difference="Su et al., GPT-J: (2 i, 2 i + 1); GPT-NeoX, Llama: (i, i + d/2)",
        mutant=other_pairs,
    ),
    Pitfall(
        "rotary: direction",
        entry="rotary_embedding",
        difference="counterclockwise, y_a = x_a cos - x_b sin; others turn by -t",
        mutant=other_way_round,
    ),
    Pitfall(
        "rotary: base of some features",
        entry="rotary_embedding",
        difference="GPT-J, GPT-NeoX: the exponent is 2 i / d of the d features that are turned; "
        "others: 2 i / D",
        mutant=base_of_all_features,
    ),
    Pitfall(
        "rotary: base",
        entry="rotary_embedding",
        difference="10,000; Llama 3 has 500,000",
        mutant=base_ten_thousand,
    ),
    Pitfall(
        "rotary: scaling",
        entry="rotary_embedding",
        difference="Chen et al., Hugging Face's 'linear': t / s; others multiply",
        mutant=scaled_up,
    ),
    Pitfall(
        "rotary: without the cache",
        entry="rotary_embedding",
        difference="with a cache the first position is its length",
        mutant=without_the_cache,
    ),
    Pitfall(
        "alibi: slopes in order",
        entry="alibi",
        difference="the authors: those of a power of 2, then every other one of twice as many; "
        "sorted elsewhere",
        mutant=with_slopes(in_order),
    ),
    Pitfall(
        "alibi: one geometric sequence for any number of heads",
        entry="alibi",
        difference="the paper's text: 2^(-8 h / H); the authors' code where H is no power of 2: "
        "two sequences",
        mutant=with_slopes(geometric),
    ),
    Pitfall(
        "alibi: slopes from the flattest",
        entry="alibi",
        difference="the first head has the steepest slope",
        mutant=with_slopes(steepest_last),
    ),
    Pitfall(
        "alibi: further slopes one after the other",
        entry="alibi",
        difference="the first, third, fifth ... of twice as many, for the others are there already",
        mutant=with_slopes(first_of_twice),
    ),
    Pitfall(
        "alibi: bias of the key alone",
        entry="alibi",
        difference="the paper: -m |i - j|; Bloom: m j, the same only to a causal softmax",
        mutant=of_keys_alone,
    ),
    Pitfall(
        "alibi: without the cache",
        entry="alibi",
        difference="with a cache the first query's position is its length; others align the last "
        "query with the last key",
        mutant=queries_from_zero,
    ),
    Pitfall(
        "relative buckets: direction",
        entry="relative_position_bias",
        difference="T5: key less query, so that the second half is for keys behind it",
        mutant=with_buckets(query_less_key),
    ),
    Pitfall(
        "relative buckets: one direction in an encoder",
        entry="relative_position_bias",
        difference="T5's encoder: half of the buckets for each direction; the decoder: all for the "
        "past",
        mutant=with_buckets(of_one_direction),
    ),
    Pitfall(
        "relative buckets: logarithm in float32",
        entry="relative_position_bias",
        difference="here float64; Hugging Face: float32, which may fall below a whole number",
        mutant=with_buckets(rounded_to_float32),
    ),
    Pitfall(
        "relative buckets: rounded",
        entry="relative_position_bias",
        difference="T5: the logarithm's quotient is cut; others round",
        mutant=with_buckets(rounded_to_the_nearest),
    ),
    Pitfall(
        "relative buckets: without the cache",
        entry="relative_position_bias",
        difference="with a cache the first query's position is its length",
        mutant=bias_without_the_cache,
    ),
    Pitfall(
        "gated feed-forward: which projection is the gate",
        entry="GatedFeedForward",
        difference="Llama, T5: f(x W_gate) (x W_up); F.glu: the second half is the gate",
        mutant=GateAndValueSwapped,
    ),
    Pitfall(
        "gated feed-forward: exact GELU",
        entry="GatedFeedForward",
        difference="Shazeer's text: x P(x); T5 1.1: the tanh form",
        mutant=PlainGelu,
    ),
    Pitfall(
        "noam: step 0",
        entry="noam",
        difference="Vaswani et al.: the first step is 1; with LambdaLR, which asks for 0 first, "
        "others lag by a step",
        mutant=noam_from_zero,
    ),
]
