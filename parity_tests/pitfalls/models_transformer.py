"""Conventions of the Transformer that stand around its layers."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import Transformer
from scratch.nn import functional as F
from scratch.nn.op import Backward


class NotScaled(Transformer):
    """The embedding is not multiplied by sqrt(D): positions outweigh it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = 1.0


class ScaledSum(Transformer):
    """sqrt(D) (E[id] + P)."""

    def _embedded(self, embedding: nn.Embedding, ids: Array) -> tuple[Array, Backward]:
        e, embedding_back = embedding(ids)
        y, positions_back = self.positions(e)
        return y * self.scale, lambda dy: embedding_back(positions_back(dy * self.scale))


class SeesWhatComes(Transformer):
    """Without the causal mask: of a target that is given, each place sees its answer."""

    def forward(self, source: Array, source_lengths: Array | None, target_in: Array) -> Any:
        """As Transformer's, with layers that forget their mask."""
        for layer in self.decoder:
            layer.__class__ = Unmasked
        return super().forward(source, source_lengths, target_in)


class Unmasked(nn.TransformerDecoderLayer):
    """A decoder layer without a mask of its own."""

    def forward(self, tgt: Array, memory: Array, *args: Any, **kwargs: Any) -> Any:
        """As TransformerDecoderLayer's."""
        padding = kwargs["memory_key_padding_mask"]
        return super().forward(tgt, memory, memory_key_padding_mask=padding)


class CrossSeesPadding(Transformer):
    """The source's padding is hidden from the encoder only."""

    def forward(self, source: Array, source_lengths: Array | None, target_in: Array) -> Any:
        """As Transformer's, with layers that forget the memory's mask."""
        for layer in self.decoder:
            layer.__class__ = LooksEverywhere
        return super().forward(source, source_lengths, target_in)


class LooksEverywhere(nn.TransformerDecoderLayer):
    """A decoder layer that looks at all of the memory."""

    def forward(self, tgt: Array, memory: Array, *args: Any, **kwargs: Any) -> Any:
        """As TransformerDecoderLayer's."""
        return super().forward(tgt, memory, *args, **{**kwargs, "memory_key_padding_mask": None})


class EncoderSeesPadding(Transformer):
    """The source's padding is hidden from the decoder only."""

    def _encode(self, source: Array, source_lengths: Array | None) -> Any:
        padding = self._padding(source, source_lengths)
        (memory, _), back = super()._encode(source, np.full(len(source), source.shape[1]))
        return (memory, padding), back


class Constant(nn.Linear):
    """A matrix that is read and does not learn."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x W^T."""
        y, back = F.linear(input, self.weight.data)
        return y, lambda dy: back(dy)[0]


class EmbeddingsLearnAlone(Transformer):
    """The output layer reads the embedding as a constant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.output.weight is self.target_embedding.weight:
            self.output.__class__ = Constant


class CountsAnew(Transformer):
    """The tokens of each step stand at the first positions."""

    def step(self, ids: Array, cache: Any) -> Any:
        """As Transformer's, of embeddings from which the right positions are taken."""
        past, held = cache[1][0][0].shape[2], self.target_embedding.weight
        rows = np.zeros((past + 1, held.shape[1]), held.dtype)
        p, _ = F.sinusoidal_encoding(rows)
        self.target_embedding.weight = nn.Parameter(held.data + (p[0] - p[-1]) / self.scale)
        found = super().step(ids, cache)
        self.target_embedding.weight = held
        return found


class ForgetsPadding(Transformer):
    """Each step looks at the source's padding."""

    def step(self, ids: Array, cache: Any) -> Any:
        """As Transformer's, without the mask."""
        return super().step(ids, (None, cache[1]))


class PlainPower(Transformer):
    """n^alpha in place of ((5 + n) / 6)^alpha."""

    def beam_search(self, source: Array, source_lengths: Any, *args: Any, **kwargs: Any) -> Any:
        """As Transformer's, its scores divided by another penalty."""
        texts, scores = super().beam_search(source, source_lengths, *args, **kwargs)
        n = np.array([len(text) + 1.0 for text in texts])
        alpha = kwargs.get("alpha", 0.6)
        return texts, scores * ((5 + n) / 6) ** alpha / n**alpha


class MeanOfHeads(Transformer):
    """The mean of the heads, as nn.MultiheadAttention returns it, for each of them."""

    def attention_maps(self, source: Array, source_lengths: Any, target_in: Array) -> Array:
        """As Transformer's."""
        maps = super().attention_maps(source, source_lengths, target_in)
        return np.broadcast_to(maps.mean(2, keepdims=True), maps.shape)


PITFALLS = [
    Pitfall(
        "Transformer: embeddings are not scaled",
        entry="models.Transformer",
        difference="the paper: sqrt(D) E[id] + P; others: E[id] + P",
        mutant=NotScaled,
    ),
    Pitfall(
        "Transformer: positions are scaled too",
        entry="models.Transformer",
        difference="the paper: sqrt(D) E[id] + P; others: sqrt(D) (E[id] + P)",
        mutant=ScaledSum,
    ),
    Pitfall(
        "Transformer: the target sees what comes",
        entry="models.Transformer",
        difference="a causal mask; without one the loss falls to 0 and nothing is learned",
        mutant=SeesWhatComes,
    ),
    Pitfall(
        "Transformer: cross-attention sees padding",
        entry="models.Transformer",
        difference="the source's padding is hidden from both stacks; others: from the encoder",
        mutant=CrossSeesPadding,
    ),
    Pitfall(
        "Transformer: the encoder sees padding",
        entry="models.Transformer",
        difference="the source's padding is hidden from both stacks; others: from the decoder",
        mutant=EncoderSeesPadding,
    ),
    Pitfall(
        "Transformer: gradients of a shared matrix",
        entry="models.Transformer",
        difference="three gradients add up; others: those of the embeddings",
        mutant=EmbeddingsLearnAlone,
    ),
    Pitfall(
        "Transformer: positions of a step",
        entry="models.Transformer.step",
        difference="with a cache a token stands behind those before; others: at 0",
        mutant=CountsAnew,
    ),
    Pitfall(
        "Transformer: padding of the source in a step",
        entry="models.Transformer.step",
        difference="the source's padding is part of the cache; others: of the first pass only",
        mutant=ForgetsPadding,
    ),
    Pitfall(
        "Transformer: the length penalty",
        entry="models.Transformer.beam_search",
        difference="the paper: Wu's ((5 + n) / 6)^alpha; Hugging Face: n^alpha",
        mutant=PlainPower,
    ),
    Pitfall(
        "Transformer: the mean of the heads",
        entry="models.Transformer.attention_maps",
        difference="here: each head; nn.MultiheadAttention, unless told otherwise: their mean",
        mutant=MeanOfHeads,
    ),
]
