"""T5: from text to text, with relative positions.      Raffel et al. 2020, arXiv:1910.10683

attention  a = softmax(q k^T + bias) v W_o^T         scores are not divided by sqrt(d_kv)
block      x = x + attention(norm x)     decoder: x = x + cross(norm x, memory)
           x = x + wo f(wi (norm x))     gated (Shazeer 2020): wo (f(wi_0 n) wi_1 n), n = norm x
head       logits = W x / sqrt(d_model), W = E; T5 1.1: a W of its own, not divided
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.models.pretrained import Config, Pretrained
from torch_ref.nn.gated_feed_forward import GATES
from torch_ref.nn.relative_position import RelativePositionBias

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "linear": "identity",
}
Cache = tuple[Tensor | None, list[tuple[Tensor, ...]]]


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
        if self.feed_forward_proj.removeprefix("gated-") not in ACTIVATIONS:
            raise ValueError(
                f"T5Config: expected feed_forward_proj to be one of {', '.join(ACTIVATIONS)}, "
                f"or of them behind 'gated-', got {self.feed_forward_proj!r}"
            )
        self._fill("num_decoder_layers", self.num_layers)
        self._fill("scale_decoder_outputs", self.tie_word_embeddings)
        self._fill("decoder_start_token_id", self.pad_token_id)

    def _fill(self, field: str, default: object) -> None:
        """What stands for None."""
        if getattr(self, field) is None:
            object.__setattr__(self, field, default)

    @property
    def activation(self) -> str:
        """The key in `GATES` of f."""
        proj = self.feed_forward_proj
        return ACTIVATIONS["gelu_new" if proj == "gated-gelu" else proj.removeprefix("gated-")]


class Attention(nn.Module):
    """Attention of several heads without biases and without a scale.

    Args:
        config: sizes.
        bidirectional: of the relative positions that this block holds for its stack; None: it
            holds none.

    Shape:
        x (B, T, D), k and v (B, H, S, d) and a mask (..., T, S) to (B, T, D).
    """

    def __init__(self, config: T5Config, bidirectional: bool | None) -> None:
        super().__init__()
        self.heads, self.p = config.num_heads, config.dropout_rate
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        factor, outside = config.initializer_factor, config.d_model**-0.5
        nn.init.normal_(self.q.weight, std=factor * (config.d_model * config.d_kv) ** -0.5)
        nn.init.normal_(self.k.weight, std=factor * outside)
        nn.init.normal_(self.v.weight, std=factor * outside)
        nn.init.normal_(self.o.weight, std=factor * inner**-0.5)
        if bidirectional is not None:
            self.relative_attention_bias = RelativePositionBias(
                config.num_heads,
                config.relative_attention_num_buckets,
                config.relative_attention_max_distance,
                bidirectional,
            )
            nn.init.normal_(self.relative_attention_bias.weight, std=factor * outside)

    def keys(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """k and v (B, H, S, d) of what is looked at."""
        return self._parted(self.k(source)), self._parted(self.v(source))

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """o of softmax(q k^T + mask) v."""
        p = self.p if self.training else 0.0
        a = F.scaled_dot_product_attention(self._parted(self.q(x)), k, v, mask, p, scale=1.0)
        y: Tensor = self.o(a.transpose(1, 2).flatten(2))
        return y

    def _parted(self, x: Tensor) -> Tensor:
        """The features (B, T, H d) by head (B, H, T, d)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class SelfAttention(nn.Module):
    """x + attention(norm x) over the sequence itself."""

    def __init__(self, config: T5Config, bidirectional: bool | None) -> None:
        super().__init__()
        self.SelfAttention = Attention(config, bidirectional)
        self.layer_norm, self.dropout = _around(config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """y (B, T, D)."""
        n = self.layer_norm(x)
        y: Tensor = x + self.dropout(self.SelfAttention(n, *self.SelfAttention.keys(n), mask))
        return y

    def step(self, x: Tensor, mask: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y of some more places, which also see what came before; all k and v so far."""
        n = self.layer_norm(x)
        new_k, new_v = self.SelfAttention.keys(n)
        k, v = torch.cat([k, new_k], 2), torch.cat([v, new_v], 2)
        return x + self.dropout(self.SelfAttention(n, k, v, mask)), k, v


class CrossAttention(nn.Module):
    """x + attention(norm x, memory)."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.EncDecAttention = Attention(config, None)
        self.layer_norm, self.dropout = _around(config)

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor | None) -> Tensor:
        """y (B, T, D)."""
        return self.attend(x, *self.EncDecAttention.keys(memory), seen)

    def attend(self, x: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
        """To keys that are there already."""
        y: Tensor = x + self.dropout(self.EncDecAttention(self.layer_norm(x), k, v, seen))
        return y


class Dense(nn.Module):
    """wo f(wi x), or gated: wo (f(wi_0 x) wi_1 x)."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        sizes = config.d_model, config.d_ff
        self.activation = config.activation
        self.gated = config.feed_forward_proj.startswith("gated-")
        if self.gated:
            self.wi_0 = nn.Linear(*sizes, bias=False)
            self.wi_1 = nn.Linear(*sizes, bias=False)
        else:
            self.wi = nn.Linear(*sizes, bias=False)
        self.wo = nn.Linear(*sizes[::-1], bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        for weight in self.parameters():
            nn.init.normal_(weight, std=config.initializer_factor * weight.shape[1] ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """y (B, T, D)."""
        f = GATES[self.activation]
        h = f(self.wi_0(x)) * self.wi_1(x) if self.gated else f(self.wi(x))
        y: Tensor = self.wo(self.dropout(h))
        return y


class FeedForward(nn.Module):
    """x + dense(norm x)."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = Dense(config)
        self.layer_norm, self.dropout = _around(config)

    def forward(self, x: Tensor) -> Tensor:
        """y (B, T, D)."""
        y: Tensor = x + self.dropout(self.DenseReluDense(self.layer_norm(x)))
        return y


def _around(config: T5Config) -> tuple[nn.RMSNorm, nn.Dropout]:
    """The norm before a branch, and the dropout after it."""
    norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
    nn.init.constant_(norm.weight, config.initializer_factor)
    return norm, nn.Dropout(config.dropout_rate)


class Block(nn.Module):
    """Self-attention, in the decoder cross-attention, and a feed-forward layer."""

    def __init__(self, config: T5Config, decoder: bool, first: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([SelfAttention(config, not decoder if first else None)])
        if decoder:
            self.layer.append(CrossAttention(config))
        self.layer.append(FeedForward(config))

    def forward(
        self, x: Tensor, mask: Tensor, memory: Tensor | None = None, seen: Tensor | None = None
    ) -> Tensor:
        """y (B, T, D)."""
        attend, *cross, dense = self.layer
        x = attend(x, mask)
        for layer in cross:
            x = layer(x, memory, seen)
        y: Tensor = dense(x)
        return y

    def step(
        self, x: Tensor, mask: Tensor, seen: Tensor | None, cache: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """y of some more places; k and v of the sequence so far, and those of the memory."""
        attend: Any
        cross: Any
        attend, cross, dense = self.layer
        k, v, memory_k, memory_v = cache
        x, k, v = attend.step(x, mask, k, v)
        x = cross.attend(x, memory_k, memory_v, seen)
        return dense(x), (k, v, memory_k, memory_v)


class Stack(nn.Module):
    """Encoder or decoder."""

    def __init__(self, config: T5Config, decoder: bool, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        self.decoder = decoder
        self.embed_tokens = embed_tokens
        layers = config.num_decoder_layers if decoder else config.num_layers
        self.block = nn.ModuleList(Block(config, decoder, i == 0) for i in range(layers or 0))
        self.final_layer_norm, self.dropout = _around(config)

    def forward(
        self,
        ids: Tensor,
        seen: Tensor | None,
        memory: Tensor | None = None,
        memory_seen: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, D) after the last norm."""
        x = self.dropout(self.embed_tokens(ids))
        mask = self._mask(ids.shape[1], 0, seen)
        for block in self.block:
            x = block(x, mask, memory, memory_seen)
        y: Tensor = self.dropout(self.final_layer_norm(x))
        return y

    def step(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """x (B, t, D) of t more tokens."""
        seen, blocks = cache
        x = self.dropout(self.embed_tokens(ids))
        mask = self._mask(ids.shape[1], blocks[0][0].shape[2], None)
        new = []
        block: Any
        for block, held in zip(self.block, blocks, strict=True):
            x, held = block.step(x, mask, seen, held)
            new.append(held)
        return self.dropout(self.final_layer_norm(x)), (seen, new)

    def _mask(self, length: int, past: int, seen: Tensor | None) -> Tensor:
        """The bias (1 or B, H, t, past + t) with -inf where nothing is seen."""
        first: Any = self.block[0]
        mask: Tensor = first.layer[0].SelfAttention.relative_attention_bias(
            length, past + length, past
        )[None]
        if self.decoder:
            earlier = mask.new_ones(length, past + length, dtype=torch.bool).tril(past)
            mask = mask.masked_fill(~earlier, -torch.inf)
        return mask if seen is None else mask.masked_fill(~seen, -torch.inf)


class T5(Pretrained):
    """T5ForConditionalGeneration: an encoder, a decoder, and scores of the next token.

    Args:
        config: sizes and options.

    Shape:
        input_ids (B, S) and decoder_input_ids (B, T), masks of the same shapes, to logits
        (B, T, V).
    """

    config_class = T5Config
    architecture = "T5ForConditionalGeneration"
    base_model_prefix = ""
    _ignored = r"^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$"

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, False, self.shared)
        self.decoder = Stack(config, True, self.shared)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.shared.weight
        for weight in {self.shared.weight, self.lm_head.weight}:
            nn.init.normal_(weight, std=config.initializer_factor)

    def tied(self) -> dict[str, str]:
        """Both stacks read `shared`; the head is it too, if the configuration says so."""
        names = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
        if self.config.tie_word_embeddings:
            names.append("lm_head.weight")
        return dict.fromkeys(names, "shared.weight")

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits of the token after each of `decoder_input_ids`."""
        seen = _seen(attention_mask)
        memory = self.encoder(input_ids, seen)
        return self._head(
            self.decoder(decoder_input_ids, _seen(decoder_attention_mask), memory, seen)
        )

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The encoder alone: memory (B, S, D)."""
        memory: Tensor = self.encoder(input_ids, _seen(attention_mask))
        return memory

    def start(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Cache:
        """The cache before the first step: of each block no k and v yet, and the memory's."""
        memory = self.encode(input_ids, attention_mask)
        blocks: list[tuple[Tensor, ...]] = []
        block: Any
        for block in self.decoder.block:
            k, v = block.layer[1].EncDecAttention.keys(memory)
            blocks.append((k[:, :, :0], v[:, :, :0], k, v))
        return _seen(attention_mask), blocks

    def step(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Logits (R, V) after some more tokens (R, t), as `torch_ref.generation` asks for them."""
        x, cache = self.decoder.step(ids, cache)
        return self._head(x[:, -1]), cache

    def shift_right(self, labels: Tensor) -> Tensor:
        """What the decoder reads where it is to write `labels`; -100 counts as padding."""
        first = torch.full_like(labels[:, :1], self.config.decoder_start_token_id)
        before = labels[:, :-1]
        return torch.cat([first, before.masked_fill(before == -100, self.config.pad_token_id)], 1)

    def _head(self, x: Tensor) -> Tensor:
        """logits = W x, x divided by sqrt(d_model) if the configuration says so."""
        if self.config.scale_decoder_outputs:
            x = x * self.config.d_model**-0.5
        logits: Tensor = self.lm_head(x)
        return logits

    def _renamed(self, tensors: Mapping[str, Tensor], strict: bool) -> dict[str, Tensor]:
        """The head is one with the embedding or not as in the file, whatever its config says."""
        found = super()._renamed(tensors, strict)
        shared = found.get("shared.weight")
        if shared is None:
            return found
        tied = torch.equal(found.setdefault("lm_head.weight", shared), shared)
        if tied and not self.config.tie_word_embeddings:
            self.lm_head.weight = self.shared.weight
        elif not tied and self.config.tie_word_embeddings:
            self.lm_head.weight = nn.Parameter(torch.empty_like(self.shared.weight))
        self.config = replace(self.config, tie_word_embeddings=tied)
        return found


def _seen(mask: Tensor | None) -> Tensor | None:
    """True (B, 1, 1, S) where there is a token."""
    return None if mask is None else mask.bool()[:, None, None]
