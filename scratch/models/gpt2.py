"""GPT-2: a decoder that predicts the next token.                              Radford et al. 2019

forward    x_0 = drop(E[id] + P[t])          E[type] is added to that where types are given
           block: q, k, v = c_attn(ln_1 x)   a = attention(q, k, v), causal
                  u = x + drop(c_proj a)     y = u + drop(c_proj f(c_fc(ln_2 u)))
           logits = ln_f(x_L) E^T
backward   du = dy + ln_2_back(mlp_back dy)        dx = du + ln_1_back(attention_back du)
           dE = dlogits^T ln_f(x_L), and at each id dx_0: both, as the head is tied
           dP[t] = dx_0, summed over the batch
Conv1D     y = x W + b     dx = dy W^T    dW = x^T dy     db = sum dy     W (in, out), not (out, in)
f          gelu_new: the tanh form
shapes     id (B, T)   E (V, D)   P (n_positions, D)   x (B, T, D)   heads (B, H, T, D / H)
start      N(0, 0.02^2), what adds to the residual N(0, 0.02^2 / (2 L)); biases 0, gains 1
names      Hugging Face's GPT2LMHeadModel
Source     Radford et al. 2019, Language Models are Unsupervised Multitask Learners
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.causal_lm import (
    CausalLM,
    Layer,
    check_ids,
    check_positions,
    remembered,
    seen_by,
)
from scratch.models.pretrained import Config
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.gated_feed_forward import GATES
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, unbroadcast
from scratch.nn.scaled_dot_product_attention import apart, together
from scratch.random import Generator

# Hugging Face's names
ACTIVATIONS: dict[str, Callable[[Array], tuple[Array, Backward]]] = {
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "tanh": F.tanh,
    "sigmoid": F.sigmoid,
    "linear": GATES["identity"],
}


@dataclass(frozen=True, kw_only=True)
class GPT2Config(Config):
    """Sizes and options of `GPT2`, with the names and defaults of Hugging Face's GPT2Config.

    Args:
        vocab_size: V, number of tokens.
        n_positions: how many tokens a sequence may have.
        n_embd: D, features of a token.
        n_layer: L, number of blocks.
        n_head: H, number of heads, which divides D.
        n_inner: features between the two layers of a block's network; None for 4 D.
        activation_function: f; 'gelu_new' is the tanh form, 'gelu' the exact one.
        resid_pdrop: probability of dropping what a block adds.
        embd_pdrop: that of dropping an embedding's entry.
        attn_pdrop: that of dropping an attention weight.
        layer_norm_epsilon: added to variances.
        initializer_range: standard deviation of the start.
        scale_attn_weights: whether scores are divided by sqrt(D / H).
        scale_attn_by_inverse_layer_idx: whether those of the l-th block are, by l too.
        reorder_and_upcast_attn: how half precision is rounded; changes nothing here.
        add_cross_attention: must be False: there is no encoder to look at.
        tie_word_embeddings: whether the head's weight is the embedding's.

    Raises:
        TypeError, ValueError: if a value is out of range.

    Source: Radford et al. 2019.
    """

    model_type: ClassVar[str] = "gpt2"

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        name = "GPT2Config"
        for size in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"):
            check.size(name, size, getattr(self, size), low=1)
        if self.n_embd % self.n_head:
            check.refuse(name, f"n_head to divide n_embd = {self.n_embd}", self.n_head)
        if self.n_inner is not None:
            check.size(name, "n_inner", self.n_inner, low=1)
        check.option(name, "activation_function", self.activation_function, tuple(ACTIVATIONS))
        for rate in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
            check.number(name, rate, getattr(self, rate), 0, 1)
        for width in ("layer_norm_epsilon", "initializer_range"):
            check.number(name, width, getattr(self, width), 0, open_low=True, open_high=True)
        for switch in (
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "reorder_and_upcast_attn",
            "tie_word_embeddings",
        ):
            check.option(name, switch, getattr(self, switch), (True, False))
        if self.add_cross_attention is not False:
            check.refuse(name, "add_cross_attention=False: no encoder", self.add_cross_attention)


class Conv1D(Module):
    """y = x W + b, a linear layer whose weight is the other way round.

    Args:
        nf: features of y.
        nx: features of x.
        std: of the start of W; b starts at 0.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., nx) to (..., nf).
    """

    def __init__(
        self,
        nf: int,
        nx: int,
        std: float = 0.02,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.nf, self.nx = nf, nx
        self.weight = Parameter(np.empty((nx, nf), dtype))
        self.bias = Parameter(np.zeros(nf, dtype))
        init.normal_(self.weight, 0.0, std, generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x W + b."""
        x, weight = input.reshape(-1, self.nx), self.weight.data
        y = x @ weight
        y += self.bias.data

        def backward(dy: Array) -> Array:
            drows = dy.reshape(-1, self.nf)
            self.weight.accumulate(x.T @ drows)
            self.bias.accumulate(drows.sum(0))
            dx: Array = (drows @ weight.T).reshape(input.shape)
            return dx

        return y.reshape(*input.shape[:-1], self.nf), backward

    def extra_repr(self) -> str:
        return f"nf={self.nf}, nx={self.nx}"


class GPT2Attention(Module):
    """Causal attention of H heads over the positions so far.

    Shape:
        x (B, T, D) and what is seen (B, 1, T, T), None for all that is not behind, to (B, T, D).
    """

    def __init__(
        self, config: GPT2Config, layer: int, generator: Generator, **options: Any
    ) -> None:
        size, std = config.n_embd, config.initializer_range
        options = {"generator": generator, **options}
        self.n_head = config.n_head
        self.scale = (size // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer + 1
        self.attn_pdrop = config.attn_pdrop
        self.generator = generator
        self.c_attn = Conv1D(3 * size, size, std, **options)
        self.c_proj = Conv1D(size, size, std / math.sqrt(2 * config.n_layer), **options)
        self.resid_dropout = nn.Dropout(config.resid_pdrop, generator=generator)

    def forward(self, input: Array, seen: Array | None = None) -> tuple[Array, Backward]:
        """drop(c_proj attention(q, k, v))."""
        (q, k, v), heads_back = self._heads(input)
        a, attention_back = self._attend(q, k, v, seen)
        y, merge_back = self._merge(a)
        return y, lambda dy: heads_back(*attention_back(merge_back(dy)))

    def step(self, x: Array, seen: Array | None, past: Layer | None) -> tuple[Array, Layer]:
        """The same of a few more positions; keys and values, those of the past too."""
        (q, k, v), _ = self._heads(x)
        k, v = remembered(past, k, v)
        a, _ = self._attend(q, k, v, seen)
        return self._merge(a)[0], (k, v)

    def _heads(self, x: Array) -> tuple[Array, Backward]:
        """q, k, v (3, B, H, T, D / H)."""
        qkv, project_back = self.c_attn(x)
        batch, length, size = x.shape
        parts = qkv.reshape(batch, length, 3, self.n_head, size // self.n_head)

        def backward(*dqkv: Array) -> Array:
            dparts = np.stack([d.swapaxes(1, 2) for d in dqkv], 2)
            dx: Array = project_back(dparts.reshape(batch, length, 3 * size))
            return dx

        return parts.transpose(2, 0, 3, 1, 4), backward

    def _attend(self, q: Array, k: Array, v: Array, seen: Array | None) -> tuple[Array, Backward]:
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            seen,
            self.attn_pdrop if self.training else 0.0,
            is_causal=seen is None and q.shape == k.shape,  # a single new query sees all keys
            scale=self.scale,
            generator=self.generator,
        )

    def _merge(self, a: Array) -> tuple[Array, Backward]:
        """From heads (B, H, T, D / H) to what is added to the residual."""
        y, project_back = self.c_proj(together(a))
        y, drop_back = self.resid_dropout(y)
        return y, lambda dy: apart(project_back(drop_back(dy)), a.shape[3])


class GPT2MLP(Module):
    """drop(c_proj f(c_fc x)), (..., D) to the same."""

    def __init__(self, config: GPT2Config, generator: Generator, **options: Any) -> None:
        size, std = config.n_embd, config.initializer_range
        inner = 4 * size if config.n_inner is None else config.n_inner
        options = {"generator": generator, **options}
        self.activation = config.activation_function
        self.c_fc = Conv1D(inner, size, std, **options)
        self.c_proj = Conv1D(size, inner, std / math.sqrt(2 * config.n_layer), **options)
        self.dropout = nn.Dropout(config.resid_pdrop, generator=generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """drop(c_proj f(c_fc x))."""
        u, fc_back = self.c_fc(input)
        g, activation_back = ACTIVATIONS[self.activation](u)
        y, project_back = self.c_proj(g)
        y, drop_back = self.dropout(y)
        return y, lambda dy: fc_back(activation_back(project_back(drop_back(dy))))

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"


class GPT2Block(Module):
    """Attention and a network, each of what is normalised, each added to what came in."""

    def __init__(
        self, config: GPT2Config, layer: int, generator: Generator, **options: Any
    ) -> None:
        norm = partial(nn.LayerNorm, config.n_embd, config.layer_norm_epsilon, **options)
        self.ln_1 = norm()
        self.attn = GPT2Attention(config, layer, generator, **options)
        self.ln_2 = norm()
        self.mlp = GPT2MLP(config, generator, **options)

    def forward(self, input: Array, seen: Array | None = None) -> tuple[Array, Backward]:
        """u = x + attn(ln_1 x); u + mlp(ln_2 u)."""
        n, norm1_back = self.ln_1(input)
        a, attention_back = self.attn(n, seen)
        u = input + a
        m, norm2_back = self.ln_2(u)
        f, mlp_back = self.mlp(m)

        def backward(dy: Array) -> Array:
            du = dy + norm2_back(mlp_back(dy))
            dx: Array = du + norm1_back(attention_back(du))
            return dx

        return u + f, backward

    def step(self, x: Array, seen: Array | None, past: Layer | None) -> tuple[Array, Layer]:
        """The same of a few more positions, with keys and values."""
        a, past = self.attn.step(self.ln_1(x)[0], seen, past)
        u = x + a
        return u + self.mlp(self.ln_2(u)[0])[0], past


class GPT2Model(Module):
    """The decoder without a head: ids (B, T) to ln_f(x_L) (B, T, D)."""

    def __init__(self, config: GPT2Config, generator: Generator, **options: Any) -> None:
        size, std = config.n_embd, config.initializer_range
        self.wte = nn.Embedding(config.vocab_size, size, generator=generator, **options)
        init.normal_(self.wte.weight, 0.0, std, generator)
        self.wpe = nn.Embedding(config.n_positions, size, generator=generator, **options)
        init.normal_(self.wpe.weight, 0.0, std, generator)
        self.drop = nn.Dropout(config.embd_pdrop, generator=generator)
        self.h = nn.ModuleList(
            GPT2Block(config, layer, generator, **options) for layer in range(config.n_layer)
        )
        self.ln_f = nn.LayerNorm(size, config.layer_norm_epsilon, **options)

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[Array, Backward]:
        """ln_f(x_L)."""
        name, tokens = "GPT2", self.wte.num_embeddings
        ids = check_ids(name, input_ids, tokens)
        positions = check_positions(name, position_ids, ids, self.wpe.num_embeddings)
        types = token_type_ids
        if types is not None:
            types = check.integer(name, "token_type_ids", types, 0, tokens)
            check.shape(name, "token_type_ids", types, ids.shape)
        seen = seen_by(name, attention_mask, ids)

        x, embed_back = self._embed(ids, positions, types)
        backs = []
        for block in self.h:
            x, back = block(x, seen)
            backs.append(back)
        y, norm_back = self.ln_f(x)

        def backward(dy: Array) -> None:
            dx = norm_back(dy)
            for back in reversed(backs):
                dx = back(dx)
            embed_back(dx)

        return y, backward

    def step(
        self, ids: Array, positions: Array, seen: Array | None, past: tuple[Layer, ...]
    ) -> tuple[Array, tuple[Layer, ...]]:
        """ln_f(x_L) of the last position (B, D); keys and values of each layer."""
        x, _ = self._embed(ids, positions, None)
        layers = []
        block: Any
        for i, block in enumerate(self.h):
            x, layer = block.step(x, seen, past[i] if past else None)
            layers.append(layer)
        return self.ln_f(x[:, -1])[0], tuple(layers)

    def _embed(self, ids: Array, positions: Array, types: Array | None) -> tuple[Array, Backward]:
        """x_0 (B, T, D)."""
        e, token_back = self.wte(ids)
        p, position_back = self.wpe(positions)
        x = e + p
        if types is not None:
            s, type_back = self.wte(types)
            x += s
        x, drop_back = self.drop(x)

        def backward(dx: Array) -> None:
            dx = drop_back(dx)
            if types is not None:
                type_back(dx)
            position_back(unbroadcast(dx, p.shape))
            token_back(dx)

        return x, backward


class GPT2(CausalLM):
    """Scores of the token that follows each.

    Args:
        config: sizes and options.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        ids (B, T) to logits (B, T, V). Their loss is the cross entropy of logits[:, :-1] and
        ids[:, 1:]. The backward returns None: ids have no gradient.

    Raises:
        TypeError, ValueError: in a forward, if an array is no integers in their range or its shape
            does not fit.

    Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners.
    """

    config_class = GPT2Config
    architecture = "GPT2LMHeadModel"
    base_model_prefix = "transformer"
    _ignored = r"(^|\.)attn\.(masked_)?bias$"

    def __init__(
        self,
        config: GPT2Config,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(config)
        generator = generator or Generator()
        self.transformer = GPT2Model(config, generator, dtype=dtype)
        self.lm_head = nn.Linear(
            config.n_embd, config.vocab_size, bias=False, dtype=dtype, generator=generator
        )
        if config.tie_word_embeddings:
            self.lm_head.weight = self.transformer.wte.weight
        else:
            init.normal_(self.lm_head.weight, 0.0, config.initializer_range, generator)

    def tied(self) -> dict[str, str]:
        """The head's weight, if it is the embedding's."""
        tied = self.config.tie_word_embeddings
        return {"lm_head.weight": "transformer.wte.weight"} if tied else {}

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[Array, Backward]:
        """Logits (B, T, V).

        Args:
            input_ids: (B, T), integers in [0, V), T up to n_positions.
            attention_mask: (B, T), 1 where a token is, 0 where padding is, which is not looked at;
                None for no padding.
            token_type_ids: (B, T), whose embeddings, of the same table, are added.
            position_ids: (B, T) or (1, T); None for 0 ... T - 1, also where padding is on the left.

        Returns:
            Logits, and their backward: dlogits -> None.
        """
        h, model_back = self.transformer(input_ids, attention_mask, token_type_ids, position_ids)
        logits, head_back = self.lm_head(h)
        return logits, lambda dlogits: model_back(head_back(dlogits))

    def _advance(
        self, ids: Array, positions: Array, seen: Array | None, past: tuple[Layer, ...]
    ) -> tuple[Array, tuple[Layer, ...]]:
        most = self.config.n_positions
        if positions.max() >= most:
            check.refuse("GPT2", f"at most {most} tokens", int(positions.max()) + 1)
        h, layers = self.transformer.step(ids, positions, seen, past)
        return self.lm_head(h)[0], layers
