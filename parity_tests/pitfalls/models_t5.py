"""Conventions of T5."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.catalog.models_t5 import built
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import T5, t5
from scratch.nn import functional as F
from scratch.nn.op import Backward


def with_part(part: type[nn.Module], mutant: type[nn.Module]) -> Callable[..., T5]:
    """A T5 in which each part of a class behaves as the mutant."""

    def make(**options: Any) -> T5:
        model: T5 = built(T5)(**options)
        for module in model.modules():
            if type(module) is part:
                module.__class__ = mutant
        return model

    return make


class DividedScores(t5.Attention):
    """Scores over sqrt(d_kv)."""

    def forward(self, x: Array, k: Array, v: Array, mask: Array | None = None) -> Any:
        """As Attention's, of smaller keys."""
        scale = k.shape[3] ** -0.5
        y, back = super().forward(x, k * scale, v, mask)

        def backward(dy: Array) -> tuple[Array, ...]:
            dx, dk, *others = back(dy)
            return dx, dk * scale, *others

        return y, backward


class SureWeights(t5.Attention):
    """No dropout on the weights of attention."""

    def forward(self, x: Array, k: Array, v: Array, mask: Array | None = None) -> Any:
        """As Attention's, with p = 0."""
        self.p = 0.0
        return super().forward(x, k, v, mask)


def holds_bias(block: t5.Block) -> bool:
    first: Any = block.layer[0]
    return hasattr(first.SelfAttention, "relative_attention_bias")


class BiasOfTheFirstOnly(t5.Block):
    """Positions are seen by the first block alone."""

    def forward(self, x: Array, mask: Array, *others: Any) -> Any:
        """As Block's, with the mask only."""
        if holds_bias(self):
            return super().forward(x, mask, *others)
        y, back = super().forward(x, np.minimum(mask, 0) * (mask == -np.inf), *others)

        def backward(dy: Array) -> tuple[Array, Array, Array | None]:
            dx, dmask, dmemory = back(dy)
            return dx, 0 * dmask, dmemory

        return y, backward


class GradientOfTheFirstOnly(t5.Block):
    """The shared bias learns from the block that holds it alone."""

    def forward(self, x: Array, mask: Array, *others: Any) -> Any:
        """As Block's."""
        y, back = super().forward(x, mask, *others)

        def backward(dy: Array) -> tuple[Array, Array, Array | None]:
            dx, dmask, dmemory = back(dy)
            return dx, dmask if holds_bias(self) else 0 * dmask, dmemory

        return y, backward


def both_directions(**options: Any) -> T5:
    """The decoder's buckets are divided between keys before and behind the query."""
    model: T5 = built(T5)(**options)
    for module in model.modules():
        if isinstance(module, nn.RelativePositionBias):
            module.bidirectional = True
    return model


class Centred(nn.RMSNorm):
    """LayerNorm without a bias: the mean is subtracted first."""

    def forward(self, input: Array) -> Any:
        """As RMSNorm's, of x - mean x."""
        y, back = super().forward(input - input.mean(-1, keepdims=True))

        def backward(dy: Array) -> Array:
            dx: Array = back(dy)
            centred: Array = dx - dx.mean(-1, keepdims=True)
            return centred

        return y, backward


class OutsideEps(nn.RMSNorm):
    """x / (sqrt(mean x^2) + eps)."""

    def forward(self, input: Array) -> Any:
        """As RMSNorm's without eps, times r / (r + eps); its backward leaves that factor alone."""
        eps, self.eps = self.eps, 0.0
        y, back = super().forward(input)
        self.eps = eps
        r = np.sqrt((input**2).mean(-1, keepdims=True))
        share = r / (r + (eps or 0.0))
        return y * share, lambda dy: back(dy * share)


class NotScaled(T5):
    """The tied head's input is not divided."""

    def _head(self, x: Array) -> tuple[Array, Backward]:
        return self.lm_head(x)


class AlwaysScaled(T5):
    """T5 1.1's too."""

    def _head(self, x: Array) -> tuple[Array, Backward]:
        scale = self.config.d_model**-0.5
        logits, head_back = self.lm_head(x * scale)
        return logits, lambda dlogits: head_back(dlogits) * scale


class HeadLearnsNothing(T5):
    """The embedding's gradient comes from the stacks alone."""

    def _head(self, x: Array) -> tuple[Array, Backward]:
        scale = self.config.d_model**-0.5 if self.config.scale_decoder_outputs else 1.0
        logits, head_back = F.linear(x * scale, self.lm_head.weight.data)
        return logits, lambda dlogits: head_back(dlogits)[0] * scale


class SwappedGate(t5.Dense):
    """wi_1 is the gate."""

    def forward(self, x: Array) -> Any:
        """As Dense's, with the two exchanged while it looks."""
        if not self.gated:
            return super().forward(x)
        self.wi_0, self.wi_1 = self.wi_1, self.wi_0
        found = super().forward(x)
        self.wi_0, self.wi_1 = self.wi_1, self.wi_0
        return found


def exact_gelu(**options: Any) -> T5:
    """'gated-gelu' is gelu."""
    model: T5 = built(T5)(**options)
    for module in model.modules():
        if isinstance(module, t5.Dense) and module.activation == "gelu_tanh":
            module.activation = "gelu"
    return model


class Placed(t5.CrossAttention):
    """Cross-attention has a position bias too, here one that falls with the distance."""

    def attend(self, x: Array, k: Array, v: Array, seen: Array | None) -> Any:
        """As CrossAttention's, with a floating mask."""
        n, norm_back = self.layer_norm(x)
        i, j = np.arange(x.shape[1])[:, None], np.arange(k.shape[2])
        bias = (-0.1 * np.abs(i - j)).astype(x.dtype)
        mask = bias if seen is None else np.where(seen, bias, np.array(-np.inf, x.dtype))
        a, attention_back = self.EncDecAttention(n, k, v, mask)
        d, dropout_back = self.dropout(a)

        def backward(dy: Array) -> tuple[Array, Array, Array]:
            dn, dk, dv, _ = attention_back(dropout_back(dy))
            return dy + norm_back(dn), dk, dv

        return x + d, backward


class TrueIsPadding(T5):
    """A mask marks what is not seen, as torch's key_padding_mask."""

    def forward(
        self, input_ids: Array, attention_mask: Array | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """As T5's, of the opposite."""
        if attention_mask is not None:
            attention_mask = attention_mask == 0
        return super().forward(input_ids, attention_mask, *args, **kwargs)


class CrossSeesPadding(t5.Stack):
    """The decoder looks at the source's padding."""

    def forward(self, ids: Array, seen: Any, memory: Any = None, memory_seen: Any = None) -> Any:
        """As Stack's, without the memory's mask."""
        return super().forward(ids, seen, memory)


class NotCausal(t5.Stack):
    """The decoder sees what comes."""

    def _mask(self, length: int, past: int, seen: Array | None) -> Any:
        decoder, self.decoder = self.decoder, False
        found = super()._mask(length, past, seen)
        self.decoder = decoder
        return found


class AtTheStart(t5.Stack):
    """The bias of the first places."""

    def _mask(self, length: int, past: int, seen: Array | None) -> Any:
        first: Any = self.block[0]
        relative = first.layer[0].SelfAttention.relative_attention_bias
        mask, bias_back = relative(length, past + length)
        return (mask, mask), bias_back


class StartsAnew(T5):
    """Each step is position 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decoder.__class__ = AtTheStart


class NotShifted(T5):
    """The decoder reads what it is to write."""

    def shift_right(self, labels: Array) -> Array:
        """The labels."""
        return np.where(labels == -100, self.config.pad_token_id, labels)


class ForgetsPadding(T5):
    """Each step looks at the source's padding."""

    def step(self, ids: Array, cache: t5.Cache) -> tuple[Array, t5.Cache]:
        """As T5's, without the mask."""
        return super().step(ids, (None, cache[1]))


PITFALLS = [
    Pitfall(
        "T5: scores are divided",
        entry="T5",
        difference="T5: q k, its start makes up for it; others: q k / sqrt(d_kv)",
        mutant=with_part(t5.Attention, DividedScores),
    ),
    Pitfall(
        "T5: dropout of the weights",
        entry="T5",
        difference="T5 drops weights of attention too; others: outputs only",
        mutant=with_part(t5.Attention, SureWeights),
    ),
    Pitfall(
        "T5: the bias of the first block",
        entry="T5",
        difference="T5: all blocks of a stack add it; its file has it in the first",
        mutant=with_part(t5.Block, BiasOfTheFirstOnly),
    ),
    Pitfall(
        "T5: the gradient of the bias",
        entry="T5",
        difference="T5: summed over the blocks that add it; a bias handed on as a constant: not",
        mutant=with_part(t5.Block, GradientOfTheFirstOnly),
    ),
    Pitfall(
        "T5: the decoder's buckets",
        entry="T5",
        difference="T5: all of them for keys before the query; the encoder's: half of them",
        mutant=both_directions,
    ),
    Pitfall(
        "T5: a mean is subtracted",
        entry="T5",
        difference="T5: RMSNorm, though the file calls it layer_norm; LayerNorm: centred",
        mutant=with_part(nn.RMSNorm, Centred),
    ),
    Pitfall(
        "T5: eps outside the root",
        entry="T5",
        difference="T5: x / sqrt(mean x^2 + eps); others: x / (sqrt(mean x^2) + eps)",
        mutant=with_part(nn.RMSNorm, OutsideEps),
    ),
    Pitfall(
        "T5: the tied head is not scaled",
        entry="T5",
        difference="T5: W x / sqrt(d_model) where W is the embedding; others: W x",
        mutant=built(NotScaled),
    ),
    Pitfall(
        "T5: every head is scaled",
        entry="T5",
        difference="T5 1.1, whose head is its own: W x; T5: W x / sqrt(d_model)",
        mutant=built(AlwaysScaled),
    ),
    Pitfall(
        "T5: the tied head's gradient",
        entry="T5",
        difference="tied: encoder, decoder and head add up; a copy of the embedding: without it",
        mutant=built(HeadLearnsNothing),
    ),
    Pitfall(
        "T5: gate and up are exchanged",
        entry="T5",
        difference="T5 1.1: f(wi_0 x) wi_1 x; others: wi_0 x f(wi_1 x)",
        mutant=with_part(t5.Dense, SwappedGate),
    ),
    Pitfall(
        "T5: which gelu",
        entry="T5",
        difference="Hugging Face: 'gated-gelu' is the tanh form; 'gelu': the exact one",
        mutant=exact_gelu,
    ),
    Pitfall(
        "T5: cross-attention knows distances",
        entry="T5",
        difference="T5: no bias between the texts, though old files hold one; others: a bias",
        mutant=with_part(t5.CrossAttention, Placed),
    ),
    Pitfall(
        "T5: polarity of the mask",
        entry="T5",
        difference="Hugging Face: 1 is a token; torch's key_padding_mask: True is padding",
        mutant=built(TrueIsPadding),
    ),
    Pitfall(
        "T5: cross-attention sees padding",
        entry="T5",
        difference="the source's mask holds in both stacks; others: in the encoder only",
        mutant=with_part(t5.Stack, CrossSeesPadding),
    ),
    Pitfall(
        "T5: the decoder sees what comes",
        entry="T5",
        difference="a causal mask, beside the padding's; others: the padding's only",
        mutant=with_part(t5.Stack, NotCausal),
    ),
    Pitfall(
        "T5: positions of a step",
        entry="T5.step",
        difference="with a cache the query stands behind what came before; others: at 0",
        mutant=StartsAnew,
    ),
    Pitfall(
        "T5: padding of the source in a step",
        entry="T5.step",
        difference="the source's mask is part of the cache; others: of the first pass only",
        mutant=ForgetsPadding,
    ),
    Pitfall(
        "T5: targets are not shifted",
        entry="T5.shift_right",
        difference="the decoder reads the start and all but the last; others: the labels",
        mutant=NotShifted,
    ),
]
