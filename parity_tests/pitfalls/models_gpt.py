"""Conventions of decoders: which weights go where, where norms stand, what is shared."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import scratch
from parity_tests.catalog.models_gpt import GPT2, LLAMA, built
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import gpt2, llama
from scratch.models.causal_lm import Cache, CausalLM
from scratch.nn import functional as F
from scratch.nn.op import Backward

Parts = tuple[Any, Backward]
Make = Callable[..., Any]


def with_options(name: str, **other: Any) -> Make:
    """The model whose configuration says something else."""
    return lambda **options: built(scratch, name, **{**options, **other})


def with_parts(name: str, kind: type[Any], other: type[Any], **options: Any) -> Make:
    """The model, all of whose modules of one class are of another."""

    def make(**given: Any) -> Any:
        model = built(scratch, name, **{**options, **given})
        for module in model.modules():
            if type(module) is kind:
                module.__class__ = other
        return model

    return make


# GPT-2


class OutIn(gpt2.Conv1D):
    """y = x W^T + b, where that can be: the weight is square."""

    def forward(self, input: Array) -> Parts:
        """As a linear layer."""
        if self.nf != self.nx:
            return super().forward(input)
        y, linear_back = F.linear(input, self.weight.data, self.bias.data)

        def backward(dy: Array) -> Array:
            dx: Array
            dx, dweight, dbias = linear_back(dy)
            self.weight.accumulate(dweight)
            self.bias.accumulate(dbias)
            return dx

        return y, backward


class HeadsFirst(gpt2.GPT2Attention):
    """c_attn's features are q, k, v of each head in turn."""

    def _heads(self, x: Array) -> Parts:
        qkv, project_back = self.c_attn(x)
        parts = qkv.reshape(*x.shape[:2], self.n_head, 3, -1).transpose(3, 0, 2, 1, 4)

        def backward(*dqkv: Array) -> Array:
            dparts = np.stack([d.swapaxes(1, 2) for d in dqkv], 3)
            dx: Array = project_back(dparts.reshape(*x.shape[:2], -1))
            return dx

        return parts, backward


class PostNorm(gpt2.GPT2Block):
    """Norms behind the sums, as in the Transformer and GPT-1."""

    def forward(self, input: Array, seen: Array | None = None) -> Parts:
        """u = ln_1(x + attn x); ln_2(u + mlp u)."""
        a, attention_back = self.attn(input, seen)
        u, norm1_back = self.ln_1(input + a)
        f, mlp_back = self.mlp(u)
        y, norm2_back = self.ln_2(u + f)

        def backward(dy: Array) -> Array:
            ds = norm2_back(dy)
            dr = norm1_back(ds + mlp_back(ds))
            dx: Array = dr + attention_back(dr)
            return dx

        return y, backward


class HeadWithoutGradient(nn.Linear):
    """The tied weight learns from what it embeds only."""

    def forward(self, input: Array) -> Parts:
        """y = x W^T."""
        y, linear_back = F.linear(input, self.weight.data)
        return y, lambda dy: linear_back(dy)[0]


class MaskedPositions(gpt2.GPT2Model):
    """Positions count the tokens that are no padding."""

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> Parts:
        """As in decoding."""
        if attention_mask is not None and position_ids is None:
            position_ids = np.maximum(attention_mask.cumsum(1) - 1, 0)
        return super().forward(input_ids, attention_mask, token_type_ids, position_ids)


class MaskedTokens(gpt2.GPT2Model):
    """1 stands for padding."""

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> Parts:
        """With the mask the other way round."""
        if attention_mask is not None:
            attention_mask = 1 - attention_mask
        return super().forward(input_ids, attention_mask, token_type_ids, position_ids)


class Restarting(gpt2.GPT2Model):
    """Each call's positions begin with 0."""

    def step(self, ids: Array, positions: Array, seen: Any, past: Any) -> Any:
        """Without the number of tokens before."""
        return super().step(ids, np.arange(ids.shape[1])[None], seen, past)


class RestartingLlama(llama.LlamaModel):
    """Each call's positions begin with 0."""

    def step(self, ids: Array, positions: Array, seen: Any, past: Any) -> Any:
        """Without the number of tokens before."""
        return super().step(ids, np.arange(ids.shape[1])[None], seen, past)


class TopLeft(CausalLM):
    """Several new tokens see the first keys, as torch's is_causal counts."""

    def step(self, ids: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """With the triangle in the other corner."""
        if cache is None or not cache.layers or ids.shape[1] == 1:
            return super().step(ids, cache)
        total = cache.layers[0][0].shape[2] + ids.shape[1]
        positions = np.arange(total - ids.shape[1], total)[None]
        corner = np.tri(ids.shape[1], total, dtype=bool)[None, None]
        logits, layers = self._advance(ids, positions, corner, cache.layers)
        return logits, Cache(layers, None)


class TopLeftGPT2(TopLeft, gpt2.GPT2):
    """Several new tokens see the first keys."""


# Llama


class Interleaved(llama.LlamaAttention):
    """Pairs of features (2 i, 2 i + 1), as in the paper and Meta's own files."""

    def _turn(self, x: Array, places: llama.Places) -> Parts:
        start, positions = places
        return F.rotary_embedding(x, self.base, start, None, True, self.factor, positions)


class Tiled(llama.LlamaAttention):
    """Head h has the keys of h % G."""

    def _attend(self, q: Array, k: Array, v: Array, seen: Array | None) -> Parts:
        shape, times = k.shape, q.shape[1] // k.shape[1]
        k, v = (np.tile(x, (1, times, 1, 1)) for x in (k, v))
        y, attention_back = super()._attend(q, k, v, seen)

        def backward(dy: Array) -> tuple[Array, ...]:
            dq, *dtiled = attention_back(dy)
            parts = (d.reshape(shape[0], times, *shape[1:]).sum(1) for d in dtiled)
            return dq, *parts

        return y, backward


class ScaledByWidth(llama.LlamaAttention):
    """Scores over sqrt(D) instead of sqrt(E)."""

    def _attend(self, q: Array, k: Array, v: Array, seen: Array | None) -> Parts:
        a = float(np.sqrt(q.shape[3] / self.q_proj.in_features))
        y, attention_back = super()._attend(a * q, k, v, seen)

        def backward(dy: Array) -> tuple[Array, ...]:
            dq, dk, dv = attention_back(dy)
            return a * dq, dk, dv

        return y, backward


class UpIsGate(nn.GatedFeedForward):
    """f(x W_u^T) gates x W_g^T."""

    def forward(self, input: Array) -> Parts:
        """The other one through f."""
        gate, up = self.gate_proj, self.up_proj
        try:
            self.gate_proj, self.up_proj = up, gate
            return super().forward(input)
        finally:
            self.gate_proj, self.up_proj = gate, up


class OnePlus(nn.RMSNorm):
    """Gains are 1 + g, as in Gemma."""

    def forward(self, input: Array) -> Parts:
        """y = n + g n."""
        y, norm_back = super().forward(input)
        n, plain_back = F.rms_norm(input, self.normalized_shape, None, self.eps)
        return y + n, lambda dy: norm_back(dy) + plain_back(dy)


def attention(other: type[Any]) -> Make:
    """Llama with another attention."""
    return with_parts("Llama", llama.LlamaAttention, other)


def typed(name: str, other: type[Any], **options: Any) -> Any:
    """The model, of another class."""
    model = built(scratch, name, **options)
    model.__class__ = other
    return model


PITFALLS = [
    Pitfall(
        "gpt2: gelu",
        entry="GPT2",
        difference="GPT-2: the tanh form (gelu_new); torch's default: the exact one",
        mutant=with_options("GPT2", activation_function="gelu"),
    ),
    Pitfall(
        "gpt2: Conv1D",
        entry="GPT2",
        difference="GPT-2's files: (in, out); torch's Linear: (out, in), not to be seen by the "
        "shape where both are equal",
        mutant=with_parts("GPT2", gpt2.Conv1D, OutIn),
    ),
    Pitfall(
        "gpt2: order in c_attn",
        entry="GPT2",
        difference="GPT-2: q of all heads, then k, then v; BLOOM, GPT-NeoX: q, k, v of each head",
        mutant=with_parts("GPT2", gpt2.GPT2Attention, HeadsFirst),
    ),
    Pitfall(
        "gpt2: norm",
        entry="GPT2",
        difference="GPT-2: before attention and network, and once at the end; GPT-1: behind sums",
        mutant=with_parts("GPT2", gpt2.GPT2Block, PostNorm),
    ),
    Pitfall(
        "gpt2: tied head",
        entry="GPT2",
        difference="the shared weight gets both gradients; cut off: the embedding's only",
        mutant=with_parts("GPT2", nn.Linear, HeadWithoutGradient),
    ),
    Pitfall(
        "gpt2: epsilon",
        entry="GPT2",
        difference="GPT-2: 1e-5; BERT: 1e-12",
        mutant=with_options("GPT2", layer_norm_epsilon=1e-12),
    ),
    Pitfall(
        "gpt2: scale",
        entry="GPT2",
        difference="GPT-2: scores over the root of a head's size; T5: as they are",
        mutant=with_options("GPT2", scale_attn_weights=False),
    ),
    Pitfall(
        "gpt2: positions of padding",
        entry="GPT2",
        difference="Hugging Face's forward: padding on the left has positions too; its generate: "
        "it has none",
        mutant=with_parts("GPT2", gpt2.GPT2Model, MaskedPositions),
    ),
    Pitfall(
        "gpt2: mask",
        entry="GPT2",
        difference="Hugging Face: 1 where a token is; torch's key_padding_mask: where padding is",
        mutant=with_parts("GPT2", gpt2.GPT2Model, MaskedTokens),
    ),
    Pitfall(
        "gpt2: position in decoding",
        entry="GPT2.step",
        difference="the cache's length is the first position; forgotten: 0 in each call",
        mutant=with_parts("GPT2", gpt2.GPT2Model, Restarting, **GPT2),
    ),
    Pitfall(
        "gpt2: corner of the triangle",
        entry="GPT2.step",
        difference="with a cache the last query sees all keys; torch's is_causal: the first query "
        "sees the first key only",
        mutant=functools.partial(typed, "GPT2", TopLeftGPT2, **GPT2),
    ),
    Pitfall(
        "llama: position in decoding",
        entry="Llama.step",
        difference="keys are turned by their place in the text; forgotten: in the call",
        mutant=with_parts("Llama", llama.LlamaModel, RestartingLlama, **LLAMA),
    ),
    Pitfall(
        "llama: pairs",
        entry="Llama",
        difference="Hugging Face's files: (i, i + E/2); Meta's own: (2 i, 2 i + 1)",
        mutant=attention(Interleaved),
    ),
    Pitfall(
        "llama: groups",
        entry="Llama",
        difference="head h has the keys of h // (H / G), repeat_interleave; tiled: of h % G",
        mutant=attention(Tiled),
    ),
    Pitfall(
        "llama: scale",
        entry="Llama",
        difference="scores over the root of a head's size; mistaken: of the model's",
        mutant=attention(ScaledByWidth),
    ),
    Pitfall(
        "llama: gate and up",
        entry="Llama",
        difference="Llama: f(gate) up; where one matrix holds both, some files have up first",
        mutant=with_parts("Llama", nn.GatedFeedForward, UpIsGate),
    ),
    Pitfall(
        "llama: epsilon",
        entry="Llama",
        difference="Llama 1: 1e-6, Llama 2 and 3: 1e-5; torch's RMSNorm: the machine epsilon",
        mutant=with_options("Llama", rms_norm_eps=1e-5),
    ),
    Pitfall(
        "llama: gain",
        entry="Llama",
        difference="Llama: g; Gemma: 1 + g",
        mutant=with_parts("Llama", nn.RMSNorm, OnePlus),
    ),
    Pitfall(
        "llama: row of the padding token",
        entry="Llama options",
        difference="Hugging Face: not learned where the configuration names one; others: learned",
        mutant=with_options("Llama", pad_token_id=None),
    ),
    Pitfall(
        "llama: stretched",
        entry="Llama options",
        difference="'linear': positions are divided by the factor; forgotten: as they are",
        mutant=with_options("Llama", rope_scaling=None, rope_parameters=None),
    ),
]
