"""Conventions of sequence tagging: what padding does, what a loss is a mean of, what is best."""

from functools import partial
from typing import Any

import numpy as np

from parity_tests.catalog.models_tagging import TaggerLoss
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import BiLSTMCRF
from scratch.nn.op import Backward
from scratch.nn.utils.rnn import PackedSequence, pack_padded_sequence


def inside(ids: Array, vocabulary: int) -> Array:
    """Words for padding too, for those who read it: the first of all."""
    first: Array = np.where((ids >= 0) & (ids < vocabulary), ids, 0)
    return first


class ReadsPadding(BiLSTMCRF):
    """The LSTM runs over the padded batch, so that backwards it begins in the padding."""

    def forward(self, input: Array, lengths: Array | None = None) -> tuple[Array, Backward]:
        """As BiLSTMCRF's with every sentence as long as the longest; 0 behind the ends."""
        x, backward = super().forward(inside(input, self.vocabulary))
        on = np.ones(input.shape, bool)
        if lengths is not None:
            on = np.arange(input.shape[1]) < lengths[:, None]
        return x * on[..., None], lambda dx: backward(dx * on[..., None])


class BiasBehindEnds(BiLSTMCRF):
    """Padding is put back before the linear layer, whose bias then stands behind the ends."""

    def forward(self, input: Array, lengths: Array | None = None) -> tuple[Array, Backward]:
        """As BiLSTMCRF's, and b in the padding."""
        x, backward = super().forward(input, lengths)
        bias: Any = self.out.bias
        off = np.zeros(input.shape, bool)
        if lengths is not None:
            off = np.arange(input.shape[1]) >= lengths[:, None]

        def biased(dx: Array) -> None:
            bias.accumulate(dx[off].sum(0))
            backward(dx)

        return np.where(off[..., None], bias.data, x), biased


class KeepsSorted(BiLSTMCRF):
    """Sentences come back in the order in which they were packed, the longest first."""

    def forward(self, input: Array, lengths: Array | None = None) -> tuple[Array, Backward]:
        """As BiLSTMCRF's, in another order."""
        x, backward = super().forward(input, lengths)
        if lengths is None:
            return x, backward
        packed: PackedSequence
        packed, _ = pack_padded_sequence(input, lengths, batch_first=True, enforce_sorted=False)
        order: Any = packed.sorted_indices
        return x[order], lambda dx: backward(dx[np.argsort(order)])


class OneDirection(BiLSTMCRF):
    """What the second direction found is not read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.drop.__class__ = Half

    __repr__ = BiLSTMCRF.__repr__


class Half(nn.Dropout):
    """Dropout that drops the second half."""

    def forward(self, input: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
        """y = [x, 0]."""
        keep = np.arange(input.shape[-1]) < input.shape[-1] // 2
        return input * keep, lambda dy: dy * keep


class CountsPadding(BiLSTMCRF):
    """Padding is a word like all others, its tag the first."""

    def loss(
        self,
        input: Array,
        target: Array,
        lengths: Array | None = None,
        reduction: str = "mean",
    ) -> tuple[Array, Backward]:
        """As BiLSTMCRF's of sentences that all are as long as the longest."""
        return super().loss(inside(input, self.vocabulary), np.maximum(target, 0), None, reduction)


class OfWhat(BiLSTMCRF):
    """The mean is one over words, where a mean over sentences is asked for."""

    def loss(
        self,
        input: Array,
        target: Array,
        lengths: Array | None = None,
        reduction: str = "mean",
    ) -> tuple[Array, Backward]:
        """As BiLSTMCRF's with 'token_mean' for 'mean'."""
        reduction = "token_mean" if reduction == "mean" else reduction
        return super().loss(input, target, lengths, reduction)


class OfAllPlaces(BiLSTMCRF):
    """A mean over words has padding in its denominator."""

    def loss(
        self,
        input: Array,
        target: Array,
        lengths: Array | None = None,
        reduction: str = "mean",
    ) -> tuple[Array, Backward]:
        """As BiLSTMCRF's, divided by N T."""
        if reduction != "token_mean":
            return super().loss(input, target, lengths, reduction)
        total, back = super().loss(input, target, lengths, "sum")
        return np.asarray(total / input.size), lambda dy: back(dy / input.size)


class GreedyDecode(BiLSTMCRF):
    """The best tag of each word by itself, though there is a CRF."""

    def decode(self, input: Array, lengths: Array | None = None) -> list[list[int]]:
        """Without transitions."""
        x, _ = self(input, lengths)
        ends = [input.shape[1]] * len(input) if lengths is None else lengths
        return [row[:n].tolist() for row, n in zip(x.argmax(2), ends, strict=True)]


class PosteriorDecode(BiLSTMCRF):
    """The tags whose marginals are largest: most words right, not the likeliest sentence."""

    def decode(self, input: Array, lengths: Array | None = None) -> list[list[int]]:
        """By marginals."""
        p = self.marginals(input, lengths)
        ends = [input.shape[1]] * len(input) if lengths is None else lengths
        return [row[:n].tolist() for row, n in zip(p.argmax(2), ends, strict=True)]


class DecodesPadding(BiLSTMCRF):
    """Viterbi runs through the padding, whose scores of 0 choose where a sentence ends."""

    def decode(self, input: Array, lengths: Array | None = None) -> list[list[int]]:
        """Without the mask, cut afterwards."""
        x, _ = self(input, lengths)
        ends = [input.shape[1]] * len(input) if lengths is None else lengths
        rows = x.argmax(2).tolist() if self.crf is None else self.crf.decode(x)
        return [row[:n] for row, n in zip(rows, ends, strict=True)]


class SoftmaxMarginals(BiLSTMCRF):
    """Probabilities of each word's tags by softmax, though there is a CRF."""

    def marginals(self, input: Array, lengths: Array | None = None) -> Array:
        """Without transitions."""
        x, _ = self(input, lengths)
        p = np.exp(x - x.max(2, keepdims=True))
        p /= p.sum(2, keepdims=True)
        if lengths is not None:
            p *= (np.arange(input.shape[1]) < lengths[:, None])[..., None]
        q: Array = p
        return q


PITFALLS = [
    Pitfall(
        "tagger: backwards from the padding",
        entry="BiLSTMCRF",
        difference="packed: the backward direction begins at each sentence's end; others: at the "
        "longest's, and reads padding",
        mutant=ReadsPadding,
    ),
    Pitfall(
        "tagger: bias behind the ends",
        entry="BiLSTMCRF",
        difference="here: emissions are 0 behind the ends; others: the linear layer's bias",
        mutant=BiasBehindEnds,
    ),
    Pitfall(
        "tagger: order of the batch",
        entry="BiLSTMCRF",
        difference="here: as given; others: sorted by length, as packed",
        mutant=KeepsSorted,
    ),
    Pitfall(
        "tagger: one direction",
        entry="BiLSTMCRF",
        difference="both directions are read; others forget the second half",
        mutant=OneDirection,
    ),
    Pitfall(
        "tagger: padding in the loss",
        entry="BiLSTMCRF.loss",
        difference="here: masked; others: padding is learned as tag 0",
        mutant=partial(TaggerLoss, make=CountsPadding),
    ),
    Pitfall(
        "tagger: mean of what",
        entry="BiLSTMCRF.loss",
        difference="'mean' is over sentences, as the CRF's; others: over words",
        mutant=partial(TaggerLoss, make=OfWhat),
    ),
    Pitfall(
        "tagger: mean over padding",
        entry="BiLSTMCRF.loss",
        difference="'token_mean' divides by the words; others: by N T",
        mutant=partial(TaggerLoss, make=OfAllPlaces),
    ),
    Pitfall(
        "tagger: viterbi",
        entry="BiLSTMCRF.decode",
        difference="the likeliest sentence of tags; others: the best tag of each word's emissions",
        mutant=GreedyDecode,
    ),
    Pitfall(
        "tagger: viterbi or marginals",
        entry="BiLSTMCRF.decode",
        difference="the likeliest sentence of tags; others: each word's likeliest tag",
        mutant=PosteriorDecode,
    ),
    Pitfall(
        "tagger: decoding through padding",
        entry="BiLSTMCRF.decode",
        difference="masked; others: decoded to the longest's end and cut",
        mutant=DecodesPadding,
    ),
    Pitfall(
        "tagger: marginals of emissions",
        entry="BiLSTMCRF.marginals",
        difference="forward-backward over the sentence; others: softmax of the emissions",
        mutant=SoftmaxMarginals,
    ),
]
