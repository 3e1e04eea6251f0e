"""T5: from text to text, with relative positions.      Raffel et al. 2020, arXiv:1910.10683

attention  a = softmax(q k^T + bias) v W_o^T         scores are not divided by sqrt(d_kv)
           bias[h, i, j] = W[b(j - i), h] in self-attention, one W for all blocks of a stack, which
           the first block holds; none in cross-attention
block      x = x + attention(norm x)     decoder: x = x + cross(norm x, memory)
           x = x + wo f(wi (norm x))     gated (Shazeer 2020): wo (f(wi_0 n) wi_1 n), n = norm x
stack      x = E ids, blocks, norm; no biases; norm is RMSNorm
head       logits = W x / sqrt(d_model), W = E; T5 1.1: a W of its own, not divided
backward   each block sends back dx and, in the decoder, dmemory, which adds up over its blocks;
           dbias adds up over the batch and over the blocks of a stack
dropout    after the embedding, on the weights of attention, inside the feed-forward layer, on each
           branch, after the last norm
shapes     ids (B, S), (B, T)   x, memory (B, S, D)   q (B, H, T, d)   bias (H, T, S)
names      Hugging Face's T5ForConditionalGeneration. It ties the head from 5.0 on also where
           tie_word_embeddings is false, unless the file holds another: here the file decides too.
rounding   its norm is float32 inside in every dtype; here it is of x's dtype. Buckets: see
           `scratch.nn.relative_position`.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.causal_lm import check_mask
from scratch.models.pretrained import Config, Pretrained
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.gated_feed_forward import GATES
from scratch.nn.module import Module
from scratch.nn.op import Backward, unbroadcast
from scratch.nn.relative_position import check_buckets
from scratch.nn.scaled_dot_product_attention import apart, together
from scratch.random import Generator

# Hugging Face's names of activations; 'gated-gelu' is an old name of 'gated-gelu_new'.
ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "linear": "identity",
}
Cache = tuple[Array | None, list[tuple[Array, ...]]]


@dataclass(frozen=True, kw_only=True)
class T5Config(Config):
    """Sizes and options of a T5, with Hugging Face's names and defaults.

    Attributes:
        vocab_size: V.
        d_model: D, features of a token.
        d_kv: features of a head; d_kv num_heads need not be d_model.
        d_ff: features inside a feed-forward layer.
        num_layers: blocks of the encoder.
        num_decoder_layers: blocks of the decoder; None for as many.
        num_heads: H.
        relative_attention_num_buckets: a multiple of 4.
        relative_attention_max_distance: from which on all distances share a bucket.
        dropout_rate: probability of dropping a value.
        layer_norm_epsilon: added to the mean square.
        initializer_factor: of the standard deviations of the start.
        feed_forward_proj: 'relu', 'gelu', 'gelu_new', 'silu', 'sigmoid' or 'linear', or one of them
            behind 'gated-'; 'gated-gelu' is 'gated-gelu_new'.
        tie_word_embeddings: whether the head is the embedding.
        scale_decoder_outputs: whether the head's input is divided by sqrt(d_model); None: if tied.
        pad_token_id: what fills up short sequences.
        eos_token_id: what ends a sequence, or several.
        decoder_start_token_id: what the decoder reads first; None for pad_token_id.

    Raises:
        TypeError, ValueError: if a size is no positive integer or an option unknown.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1; T5 1.1: Shazeer 2020.
    """

    model_type: ClassVar[str] = "t5"
    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: str = "relu"
    tie_word_embeddings: bool = True
    scale_decoder_outputs: bool | None = None
    pad_token_id: int = 0
    eos_token_id: int | list[int] = 1
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        name = "T5Config"
        for size in ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"):
            check.size(name, size, getattr(self, size), low=1)
        check.number(name, "dropout_rate", self.dropout_rate, 0, 1)
        check.number(name, "layer_norm_epsilon", self.layer_norm_epsilon, 0)
        check.number(name, "initializer_factor", self.initializer_factor, 0)
        known = (*ACTIVATIONS, *(f"gated-{activation}" for activation in ACTIVATIONS))
        check.option(name, "feed_forward_proj", self.feed_forward_proj, known)
        check.option(name, "tie_word_embeddings", self.tie_word_embeddings, (True, False))
        check.option(name, "scale_decoder_outputs", self.scale_decoder_outputs, (True, False, None))
        buckets = self.relative_attention_num_buckets, self.relative_attention_max_distance
        for bidirectional in (True, False):  # both stacks
            check_buckets(name, bidirectional, *buckets)
        self._fill("num_decoder_layers", self.num_layers)
        self._fill("scale_decoder_outputs", self.tie_word_embeddings)
        self._fill("decoder_start_token_id", self.pad_token_id)
        check.size(name, "num_decoder_layers", self.num_decoder_layers, low=1)
        for token in ("pad_token_id", "decoder_start_token_id"):
            check.size(name, token, getattr(self, token))

    def _fill(self, field: str, default: object) -> None:
        """What stands for None."""
        if getattr(self, field) is None:
            object.__setattr__(self, field, default)

    @property
    def activation(self) -> str:
        """The key in `GATES` of f."""
        proj = self.feed_forward_proj
        return ACTIVATIONS["gelu_new" if proj == "gated-gelu" else proj.removeprefix("gated-")]


class Attention(Module):
    """Attention of several heads without biases and without a scale.

    Args:
        config: sizes.
        bidirectional: of the relative positions that this block holds for its stack; None: it
            holds none.
        options: dtype and generator.

    Shape:
        x (B, T, D), k and v (B, H, S, d) and a mask (..., T, S) to (B, T, D).
    """

    def __init__(self, config: T5Config, bidirectional: bool | None, options: Any) -> None:
        self.size, self.p = config.d_kv, config.dropout_rate
        self.generator = options["generator"]
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, False, **options)
        self.k = nn.Linear(config.d_model, inner, False, **options)
        self.v = nn.Linear(config.d_model, inner, False, **options)
        self.o = nn.Linear(inner, config.d_model, False, **options)
        if bidirectional is not None:
            self.relative_attention_bias = nn.RelativePositionBias(
                config.num_heads,
                config.relative_attention_num_buckets,
                config.relative_attention_max_distance,
                bidirectional,
                **options,
            )
        factor, outside = config.initializer_factor, config.d_model**-0.5
        deviations = [
            (config.d_model * config.d_kv) ** -0.5,
            outside,
            outside,
            inner**-0.5,
            outside,
        ]
        for weight, std in zip(self.parameters(), deviations, strict=False):
            init.normal_(weight, std=factor * std, generator=self.generator)

    def keys(self, source: Array) -> tuple[tuple[Array, Array], Backward]:
        """k and v (B, H, S, d) of what is looked at; backward: dk, dv -> dsource."""
        k, k_back = self.k(source)
        v, v_back = self.v(source)

        def backward(dk: Array, dv: Array) -> Array:
            dsource: Array = k_back(together(dk))
            dsource += v_back(together(dv))
            return dsource

        return (apart(k, self.size), apart(v, self.size)), backward

    def forward(
        self, x: Array, k: Array, v: Array, mask: Array | None = None
    ) -> tuple[Array, Backward]:
        """o of softmax(q k^T + mask) v; backward: dy -> dx, dk, dv, and dmask of a floating one."""
        q, q_back = self.q(x)
        a, attention_back = F.scaled_dot_product_attention(
            apart(q, self.size),
            k,
            v,
            mask,
            self.p if self.training else 0.0,
            scale=1.0,
            generator=self.generator,
        )
        y, o_back = self.o(together(a))

        def backward(dy: Array) -> tuple[Array, ...]:
            dq, *others = attention_back(apart(o_back(dy), self.size))
            return q_back(together(dq)), *others

        return y, backward


class SelfAttention(Module):
    """x + attention(norm x) over the sequence itself."""

    def __init__(self, config: T5Config, bidirectional: bool | None, options: Any) -> None:
        self.SelfAttention = Attention(config, bidirectional, options)
        self.layer_norm, self.dropout = _around(config, options)

    def forward(self, x: Array, mask: Array) -> tuple[Array, Backward]:
        """Backward: dy -> dx, dmask."""
        n, norm_back = self.layer_norm(x)
        (k, v), keys_back = self.SelfAttention.keys(n)
        a, attention_back = self.SelfAttention(n, k, v, mask)
        d, dropout_back = self.dropout(a)

        def backward(dy: Array) -> tuple[Array, Array]:
            dn, dk, dv, dmask = attention_back(dropout_back(dy))
            return dy + norm_back(dn + keys_back(dk, dv)), dmask

        return x + d, backward

    def step(self, x: Array, mask: Array, k: Array, v: Array) -> tuple[Array, Array, Array]:
        """y of some more places, which also see what came before; all k and v so far."""
        n, _ = self.layer_norm(x)
        (new_k, new_v), _ = self.SelfAttention.keys(n)
        k, v = np.concatenate([k, new_k], 2), np.concatenate([v, new_v], 2)
        a, _ = self.SelfAttention(n, k, v, mask)
        return x + self.dropout(a)[0], k, v


class CrossAttention(Module):
    """x + attention(norm x, memory)."""

    def __init__(self, config: T5Config, options: Any) -> None:
        self.EncDecAttention = Attention(config, None, options)
        self.layer_norm, self.dropout = _around(config, options)

    def forward(self, x: Array, memory: Array, seen: Array | None) -> tuple[Array, Backward]:
        """Backward: dy -> dx, dmemory."""
        (k, v), keys_back = self.EncDecAttention.keys(memory)
        y, attend_back = self.attend(x, k, v, seen)

        def backward(dy: Array) -> tuple[Array, Array]:
            dx, dk, dv = attend_back(dy)
            return dx, keys_back(dk, dv)

        return y, backward

    def attend(self, x: Array, k: Array, v: Array, seen: Array | None) -> tuple[Array, Backward]:
        """To keys that are there already; backward: dy -> dx, dk, dv."""
        n, norm_back = self.layer_norm(x)
        a, attention_back = self.EncDecAttention(n, k, v, seen)
        d, dropout_back = self.dropout(a)

        def backward(dy: Array) -> tuple[Array, Array, Array]:
            dn, dk, dv = attention_back(dropout_back(dy))
            return dy + norm_back(dn), dk, dv

        return x + d, backward


class Dense(Module):
    """wo f(wi x), or gated: wo (f(wi_0 x) wi_1 x)."""

    def __init__(self, config: T5Config, options: Any) -> None:
        sizes = config.d_model, config.d_ff
        self.activation = config.activation
        self.gated = config.feed_forward_proj.startswith("gated-")
        if self.gated:
            self.wi_0 = nn.Linear(*sizes, False, **options)
            self.wi_1 = nn.Linear(*sizes, False, **options)
        else:
            self.wi = nn.Linear(*sizes, False, **options)
        self.wo = nn.Linear(*sizes[::-1], False, **options)
        self.dropout = nn.Dropout(config.dropout_rate, generator=options["generator"])
        for weight in self.parameters():
            std = config.initializer_factor * weight.shape[1] ** -0.5
            init.normal_(weight, std=std, generator=options["generator"])

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Backward: dy -> dx."""
        u, wi_back = (self.wi_0 if self.gated else self.wi)(x)
        f, activation_back = GATES[self.activation](u)
        if self.gated:
            v, up_back = self.wi_1(x)
        h, dropout_back = self.dropout(f * v if self.gated else f)
        y, wo_back = self.wo(h)

        def backward(dy: Array) -> Array:
            dh = dropout_back(wo_back(dy))
            dx: Array = wi_back(activation_back(dh * v if self.gated else dh))
            if self.gated:
                dx += up_back(dh * f)
            return dx

        return y, backward


class FeedForward(Module):
    """x + dense(norm x)."""

    def __init__(self, config: T5Config, options: Any) -> None:
        self.DenseReluDense = Dense(config, options)
        self.layer_norm, self.dropout = _around(config, options)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Backward: dy -> dx."""
        n, norm_back = self.layer_norm(x)
        f, dense_back = self.DenseReluDense(n)
        d, dropout_back = self.dropout(f)

        def backward(dy: Array) -> Array:
            dx: Array = dy + norm_back(dense_back(dropout_back(dy)))
            return dx

        return x + d, backward


def _around(config: T5Config, options: Any) -> tuple[nn.RMSNorm, nn.Dropout]:
    """The norm before a branch, and the dropout after it."""
    norm = _norm(config, options)
    return norm, nn.Dropout(config.dropout_rate, generator=options["generator"])


def _norm(config: T5Config, options: Any) -> nn.RMSNorm:
    norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon, dtype=options["dtype"])
    for weight in norm.parameters():
        weight.data[...] = config.initializer_factor
    return norm


class Block(Module):
    """Self-attention, in the decoder cross-attention, and a feed-forward layer."""

    def __init__(self, config: T5Config, decoder: bool, first: bool, options: Any) -> None:
        self.layer = nn.ModuleList([SelfAttention(config, not decoder if first else None, options)])
        if decoder:
            self.layer.append(CrossAttention(config, options))
        self.layer.append(FeedForward(config, options))

    def forward(
        self, x: Array, mask: Array, memory: Array | None = None, seen: Array | None = None
    ) -> tuple[Array, Backward]:
        """Backward: dy -> dx, dmask, dmemory."""
        attend, *cross, dense = self.layer
        x, attend_back = attend(x, mask)
        crossed = [layer(x, memory, seen) for layer in cross]
        x, cross_back = crossed[0] if crossed else (x, None)
        y, dense_back = dense(x)

        def backward(dy: Array) -> tuple[Array, Array, Array | None]:
            dx, dmemory = dense_back(dy), None
            if cross_back is not None:
                dx, dmemory = cross_back(dx)
            return *attend_back(dx), dmemory

        return y, backward

    def step(
        self, x: Array, mask: Array, seen: Array | None, cache: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """y of some more places; k and v of the sequence so far, and those of the memory."""
        attend: Any
        cross: Any
        attend, cross, dense = self.layer
        k, v, memory_k, memory_v = cache
        x, k, v = attend.step(x, mask, k, v)
        x, _ = cross.attend(x, memory_k, memory_v, seen)
        return dense(x)[0], (k, v, memory_k, memory_v)


class Stack(Module):
    """Encoder or decoder."""

    def __init__(
        self, config: T5Config, decoder: bool, embed_tokens: nn.Embedding, options: Any
    ) -> None:
        self.decoder = decoder
        self.embed_tokens = embed_tokens
        layers = config.num_decoder_layers if decoder else config.num_layers
        self.block = nn.ModuleList(
            Block(config, decoder, i == 0, options) for i in range(layers or 0)
        )
        self.final_layer_norm, self.dropout = _around(config, options)

    def forward(
        self,
        ids: Array,
        seen: Array | None,
        memory: Array | None = None,
        memory_seen: Array | None = None,
    ) -> tuple[Array, Backward]:
        """x (B, T, D) after the last norm; backward: dx -> dmemory of a decoder, else None."""
        embedded, embedding_back = self.embed_tokens(ids)
        x, dropout_back = self.dropout(embedded)
        (mask, bias), bias_back = self._mask(ids.shape[1], 0, seen)
        backs = []
        for block in self.block:
            x, back = block(x, mask, memory, memory_seen)
            backs.append(back)
        n, norm_back = self.final_layer_norm(x)
        y, last_dropout_back = self.dropout(n)

        def backward(dy: Array) -> Array | None:
            dx = norm_back(last_dropout_back(dy))
            dbias, dmemory = np.zeros_like(bias), None
            for back in reversed(backs):
                dx, dmask, dmemory_block = back(dx)
                dbias += unbroadcast(dmask, bias.shape)
                dmemory = dmemory_block if dmemory is None else dmemory + dmemory_block
            bias_back(dbias)
            embedding_back(dropout_back(dx))
            return dmemory

        return y, backward

    def step(self, ids: Array, cache: Cache) -> tuple[Array, Cache]:
        """x (B, t, D) of t more tokens."""
        seen, blocks = cache
        x, _ = self.embed_tokens(ids)
        x, _ = self.dropout(x)
        (mask, _), _ = self._mask(ids.shape[1], blocks[0][0].shape[2], None)
        new = []
        block: Any
        for block, held in zip(self.block, blocks, strict=True):
            x, held = block.step(x, mask, seen, held)
            new.append(held)
        n, _ = self.final_layer_norm(x)
        return self.dropout(n)[0], (seen, new)

    def _mask(
        self, length: int, past: int, seen: Array | None
    ) -> tuple[tuple[Array, Array], Backward]:
        """The bias (H, t, past + t) with -inf where nothing is seen, and without."""
        first: Any = self.block[0]
        relative = first.layer[0].SelfAttention.relative_attention_bias
        bias, bias_back = relative(length, past + length, past)
        mask = bias
        if self.decoder and length > 1:
            mask = np.where(np.tri(length, past + length, past, dtype=bool), mask, _hidden(bias))
        if seen is not None:
            mask = np.where(seen, mask, _hidden(bias))
        return (mask, bias), bias_back


def _hidden(bias: Array) -> Array:
    return np.array(-np.inf, bias.dtype)


class T5(Pretrained):
    """T5ForConditionalGeneration: an encoder, a decoder, and scores of the next token.

    Args:
        config: sizes and options.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        input_ids (B, S) and decoder_input_ids (B, T), masks of the same shapes, to logits
        (B, T, V).

    Raises:
        TypeError, ValueError: in a forward, if tokens or masks do not fit.

    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.
    """

    config_class = T5Config
    architecture = "T5ForConditionalGeneration"
    base_model_prefix = ""
    # Of the first T5s, whose cross-attention did not use it either.
    _ignored = r"^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$"

    def __init__(
        self,
        config: T5Config,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(config)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.shared = nn.Embedding(config.vocab_size, config.d_model, **options)
        self.encoder = Stack(config, False, self.shared, options)
        self.decoder = Stack(config, True, self.shared, options)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, False, **options)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.shared.weight
        for weight in dict.fromkeys((self.shared.weight, self.lm_head.weight)):
            init.normal_(weight, std=config.initializer_factor, generator=options["generator"])

    def tied(self) -> dict[str, str]:
        """Both stacks read `shared`; the head is it too, if the configuration says so."""
        names = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        if self.config.tie_word_embeddings:
            names.append("lm_head.weight")
        return dict.fromkeys(names, "shared.weight")

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        decoder_input_ids: Array | None = None,
        decoder_attention_mask: Array | None = None,
    ) -> tuple[Array, Backward]:
        """Logits of the token after each of `decoder_input_ids`; its backward returns None."""
        seen = _seen("attention_mask", attention_mask, _tokens("input_ids", input_ids))
        ids = _tokens("decoder_input_ids", decoder_input_ids)
        check.shape("T5", "decoder_input_ids", ids, (len(input_ids), "T"))
        decoder_seen = _seen("decoder_attention_mask", decoder_attention_mask, ids)
        memory, encoder_back = self.encoder(input_ids, seen)
        x, decoder_back = self.decoder(ids, decoder_seen, memory, seen)
        logits, head_back = self._head(x)

        def backward(dlogits: Array) -> None:
            encoder_back(decoder_back(head_back(dlogits)))

        return logits, backward

    def encode(
        self, input_ids: Array, attention_mask: Array | None = None
    ) -> tuple[Array, Backward]:
        """The encoder alone.

        Args:
            input_ids: (B, S) integers.
            attention_mask: (B, S), 1 or True where there is a token; None for everywhere.

        Returns:
            The memory (B, S, D), and its backward, which returns None.

        Raises:
            TypeError, ValueError: if tokens or mask do not fit.
        """
        seen = _seen("attention_mask", attention_mask, _tokens("input_ids", input_ids))
        memory: tuple[Array, Backward] = self.encoder(input_ids, seen)
        return memory

    def start(self, input_ids: Array, attention_mask: Array | None = None) -> Cache:
        """The cache before the first step: of each block no k and v yet, and the memory's.

        Args:
            input_ids: (B, S) integers.
            attention_mask: (B, S), 1 or True where there is a token; None for everywhere.

        Returns:
            What `step` is given first.

        Raises:
            TypeError, ValueError: if tokens or mask do not fit.
        """
        memory, _ = self.encode(input_ids, attention_mask)
        blocks: list[tuple[Array, ...]] = []
        block: Any
        for block in self.decoder.block:
            (k, v), _ = block.layer[1].EncDecAttention.keys(memory)
            blocks.append((k[:, :, :0], v[:, :, :0], k, v))
        return _seen("attention_mask", attention_mask, input_ids), blocks

    def step(self, ids: Array, cache: Cache) -> tuple[Array, Cache]:
        """Logits (R, V) after some more tokens (R, t), as `scratch.generation` asks for them.

        In training mode it drops as a forward does: `eval()` comes first.
        """
        check.shape("T5.step", "ids", _tokens("ids", ids), (len(cache[1][0][0]), "t"))
        x, cache = self.decoder.step(ids, cache)
        return self._head(x[:, -1])[0], cache

    def shift_right(self, labels: Array) -> Array:
        """What the decoder reads where it is to write `labels`.

        Args:
            labels: (B, T) integers; -100, which a loss leaves out, counts as padding.

        Returns:
            (B, T): the start token, then all labels but the last.

        Raises:
            TypeError, ValueError: if they are no integers of that shape.
        """
        ids = np.empty_like(_tokens("labels", labels))
        ids[:, 0] = self.config.decoder_start_token_id
        ids[:, 1:] = np.where(labels[:, :-1] == -100, self.config.pad_token_id, labels[:, :-1])
        return ids

    def _head(self, x: Array) -> tuple[Array, Backward]:
        """logits = W x, x divided by sqrt(d_model) if the configuration says so."""
        if not self.config.scale_decoder_outputs:
            return self.lm_head(x)
        scale = self.config.d_model**-0.5
        logits, head_back = self.lm_head(x * scale)
        return logits, lambda dlogits: head_back(dlogits) * scale

    def _renamed(self, arrays: Any, strict: bool) -> dict[str, Array]:
        """The head is one with the embedding or not as in the file, whatever its config says."""
        found = super()._renamed(arrays, strict)
        shared = found.get("shared.weight")
        if shared is None:
            return found
        tied = np.array_equal(found.setdefault("lm_head.weight", shared), shared)
        if tied and not self.config.tie_word_embeddings:
            self.lm_head.weight = self.shared.weight
        elif not tied and self.config.tie_word_embeddings:
            self.lm_head.weight = nn.Parameter(np.empty_like(self.shared.weight.data))
        self.config = replace(self.config, tie_word_embeddings=tied)
        return found


def _tokens(what: str, ids: object) -> Array:
    """Integers (B, T), at least one; the embedding looks at their range."""
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu":
        check.refuse("T5", f"{what} to be an integer array", check.describe(ids), TypeError)
    if ids.ndim != 2 or not ids.shape[1]:
        check.refuse("T5", f"{what} of shape (B, T), T >= 1", ids.shape)
    return ids


def _seen(what: str, mask: object, ids: Array) -> Array | None:
    """True (B, 1, 1, S) where there is a token, None if there is one everywhere."""
    if mask is None:
        return None
    seen = check_mask("T5", mask, ids.shape, what)
    return None if seen.all() else seen[:, None, None]
