"""Conventions of attention and of the translator around it."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.models import Seq2Seq, seq2seq
from scratch.nn import functional as F
from scratch.nn.op import Backward

Parts = tuple[Any, Backward]


@mutant(F.additive_attention)
def sees_padding(**a: Any) -> Parts:
    return F.additive_attention(**{**a, "key_padding_mask": None})


@mutant(F.additive_attention)
def masks_what_counts(**a: Any) -> Parts:
    """True where a key may be seen."""
    mask = a["key_padding_mask"]
    return F.additive_attention(**{**a, "key_padding_mask": None if mask is None else ~mask})


@mutant(F.additive_attention)
def weights_without_sum(**a: Any) -> Parts:
    """Softmax over all keys, then those of the padding are taken out: what is left is below 1."""
    mask = a["key_padding_mask"]
    (_, p), back = F.additive_attention(**{**a, "key_padding_mask": None})
    value = a["value"]
    kept = np.ones(p.shape, bool) if mask is None else np.repeat(~mask[:, None], p.shape[1], 1)
    p = p * kept

    def backward(dc: Array, dp: Array) -> tuple[Array, ...]:
        dquery, dkey, _, dweight = back(None, (dp + dc @ value.swapaxes(1, 2)) * kept)
        return dquery, dkey, p.swapaxes(1, 2) @ dc, dweight

    return (p @ value, p), backward


@mutant(F.multiplicative_attention)
def scaled(**a: Any) -> Parts:
    """Scores over sqrt(A), as in the Transformer."""
    root = np.sqrt(a["query"].shape[2]).astype(a["query"].dtype)
    outputs, back = F.multiplicative_attention(**{**a, "query": a["query"] / root})

    def backward(dc: Array, dp: Array) -> tuple[Array, ...]:
        dquery, dkey, dvalue = back(dc, dp)
        return dquery / root, dkey, dvalue

    return outputs, backward


@mutant(F.multiplicative_attention)
def large_negative(**a: Any) -> Parts:
    """Padding gets the score -30, which is not -inf: some weight stays on it."""
    mask = a["key_padding_mask"]
    if mask is None:
        return F.multiplicative_attention(**a)
    scores = np.where(mask[:, None], -30.0, a["query"] @ a["key"].swapaxes(1, 2))
    p, softmax_back = F.softmax(scores, -1)
    key, query, value = a["key"], a["query"], a["value"]

    def backward(dc: Array, dp: Array) -> tuple[Array, ...]:
        de = softmax_back(dp + dc @ value.swapaxes(1, 2)) * ~mask[:, None]
        return de @ key, de.swapaxes(1, 2) @ query, p.swapaxes(1, 2) @ dc

    return (p @ value, p), backward


class Transposed(nn.MultiplicativeAttention):
    """k W q: where both have as many features, the other product."""

    def keys(self, memory: Array) -> tuple[Array, Backward]:
        """W^T k."""
        if self.key is None:
            return memory, lambda dkeys: dkeys
        weight = self.key.weight
        if weight.shape[0] != weight.shape[1]:
            return super().keys(memory)
        keys, back = F.linear(memory, np.ascontiguousarray(weight.data.T))

        def backward(dkeys: Array) -> Array:
            dmemory: Array
            dmemory, dtransposed = back(dkeys)
            weight.accumulate(dtransposed.T)
            return dmemory

        return keys, backward


class AttendsPadding(Seq2Seq):
    """The decoder looks behind the ends of the sources too."""

    def _encode(self, source: Array, source_lengths: Array) -> Any:
        (memory, padding, states), back = super()._encode(source, source_lengths)
        return (memory, np.zeros_like(padding), states), back


class ReadsPadding(Seq2Seq):
    """The encoder runs over the padding: nothing is packed."""

    def _encode(self, source: Array, source_lengths: Array) -> Any:
        whole = np.full(len(source), source.shape[1])
        (memory, padding, states), back = super()._encode(source, whole)
        if self.decoder.attention is not None:
            padding = np.arange(source.shape[1]) >= source_lengths[:, None]
        return (memory, padding, states), back


class StartsAtZero(Seq2Seq):
    """No bridge: the decoder's first state is 0."""

    def _encode(self, source: Array, source_lengths: Array) -> Any:
        (memory, padding, states), back = super()._encode(source, source_lengths)
        zeros = tuple(np.zeros_like(state) for state in states)

        def backward(dmemory: Array, *dstates: Array) -> None:
            back(dmemory, *zeros)

        return (memory, padding, zeros), backward


class LinearBridge(seq2seq.Encoder):
    """The bridge without tanh."""

    def forward(self, source: Array, lengths: Array) -> Any:
        """As Encoder's, with artanh of the states: what tanh was given."""
        (outputs, last, *starts), back = super().forward(source, lengths)

        def backward(doutputs: Array, dlast: Array, *dstarts: Array) -> None:
            undone = [d / (1 - s**2) for d, s in zip(dstarts, starts, strict=True)]
            back(doutputs, dlast, *undone)

        return (outputs, last, *map(np.arctanh, starts)), backward


class WithoutTanh(Seq2Seq):
    """Its encoder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.encoder.__class__ = LinearBridge


class AsksAfter(seq2seq.Decoder):
    """The state of the step asks for the context that the logits, and the next cell, get."""

    def forward(self, target_in: Array, memory: Array, padding: Array, *states: Array) -> Any:
        """Luong's order, without input feeding at the first step; forward only."""
        _, back = super().forward(target_in, memory, padding, *states)
        embedded, _ = self.embedding(target_in)
        keys, _ = self.keys(memory)
        hs, contexts, weights = [], [], []
        context = np.zeros_like(states[0])
        for e in embedded.swapaxes(0, 1):
            states, _ = self._advance(np.concatenate([e, context], 1), states)
            (context, p), _ = self._ask(states[0], keys, memory, padding)
            hs.append(states[0])
            contexts.append(context)
            weights.append(p)
        read = np.concatenate([np.stack(hs, 1), np.stack(contexts, 1), embedded], 2)
        logits, _ = self.output(read)
        return (logits, np.stack(weights, 1)), back


class AsksWithNewState(Seq2Seq):
    """Its decoder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decoder.__class__ = AsksAfter


class Averages(Seq2Seq):
    """log p over the number of tokens, unless told otherwise: a fair length."""

    def beam_search(self, *args: Any, **kwargs: Any) -> Any:
        """As Seq2Seq's; a penalty of 0 becomes 1."""
        search: Any = super().beam_search
        return search(*args, **{**kwargs, "length_penalty": kwargs["length_penalty"] or 1.0})


class NeverStops(Seq2Seq):
    """Goes on behind <eos>."""

    def greedy(self, source: Array, source_lengths: Array, bos: int, eos: int, n: int) -> Any:
        """As Seq2Seq's, with an end that does not exist; <eos> itself is left out."""
        never = self.decoder.output.out_features
        texts = super().greedy(source, source_lengths, bos, never, n)
        return [[token for token in text if token != eos] for text in texts]


class LooksOneLater(Seq2Seq):
    """The row of a token says where the decoder looked after having written it."""

    def alignment(self, source: Array, source_lengths: Array, target_in: Array) -> Array:
        """As Seq2Seq's, one step on."""
        return np.roll(super().alignment(source, source_lengths, target_in), -1, 1)


PITFALLS = [
    Pitfall(
        "attention: padding is seen",
        entry="additive_attention",
        difference="here and in torch's MultiheadAttention: padding gets no weight",
        mutant=sees_padding,
    ),
    Pitfall(
        "attention: True is seen",
        entry="additive_attention",
        difference="torch's key_padding_mask: True is padding; others: True is what counts",
        mutant=masks_what_counts,
    ),
    Pitfall(
        "attention: masked after the softmax",
        entry="additive_attention",
        difference="here: the weights that are left sum to 1; others: they are not divided again",
        mutant=weights_without_sum,
    ),
    Pitfall(
        "attention: scaled",
        entry="multiplicative_attention",
        difference="Luong: q k; the Transformer: q k / sqrt(A)",
        mutant=scaled,
    ),
    Pitfall(
        "attention: a large negative number",
        entry="multiplicative_attention",
        difference="here: -inf, padding's weight is 0; others: a large negative number",
        mutant=large_negative,
    ),
    Pitfall(
        "attention: the transposed product",
        entry="MultiplicativeAttention",
        difference="Luong: q W k; others: k W q",
        mutant=Transposed,
    ),
    Pitfall(
        "seq2seq: attends padding",
        entry="Seq2Seq",
        difference="here: places behind a source's end get no weight; the paper has no batches",
        mutant=AttendsPadding,
    ),
    Pitfall(
        "seq2seq: reads padding",
        entry="Seq2Seq",
        difference="here: packed, states at each true end; tutorials: run over the padding",
        mutant=ReadsPadding,
    ),
    Pitfall(
        "seq2seq: the decoder's start",
        entry="Seq2Seq",
        difference="Bahdanau: tanh(W last); others: 0",
        mutant=StartsAtZero,
    ),
    Pitfall(
        "seq2seq: a bridge without tanh",
        entry="Seq2Seq",
        difference="Bahdanau: tanh(W last); others: W last, or last",
        mutant=WithoutTanh,
    ),
    Pitfall(
        "seq2seq: which state asks",
        entry="Seq2Seq",
        difference="Bahdanau: the state before the step; Luong: the one after it",
        mutant=AsksWithNewState,
    ),
    Pitfall(
        "seq2seq: beam scores are means",
        entry="Seq2Seq.beam_search",
        difference="here: log p, unless told otherwise; Hugging Face: log p / n",
        mutant=Averages,
    ),
    Pitfall(
        "seq2seq: goes on behind the end",
        entry="Seq2Seq.greedy",
        difference="here: a text ends at its first <eos>; others: at the last step, <eos> left out",
        mutant=NeverStops,
    ),
    Pitfall(
        "seq2seq: alignment is one later",
        entry="Seq2Seq.alignment",
        difference="Bahdanau: row t is where it looked to write token t; Luong's order: one later",
        mutant=LooksOneLater,
    ),
]
