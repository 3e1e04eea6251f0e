"""GPT-2: a decoder that predicts the next token.                              Radford et al. 2019

x_0 = drop(E[id] + P[t])     u = x + attention(ln_1 x)     y = u + mlp(ln_2 u)
logits = ln_f(x_L) E^T       names: Hugging Face's GPT2LMHeadModel
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.models.causal_lm import CausalLM, Layer, remembered, seen_by
from torch_ref.models.pretrained import Config


def _linear(x: Tensor) -> Tensor:
    return x


# Hugging Face's names
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
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
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": _linear,
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
        activation_function: 'gelu_new' is the tanh form, 'gelu' the exact one.
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
        if self.n_embd % self.n_head:
            raise ValueError(
                f"GPT2Config: expected n_head to divide n_embd = {self.n_embd}, got {self.n_head}"
            )
        if self.activation_function not in ACTIVATIONS:
            raise ValueError(
                f"GPT2Config: expected activation_function to be one of {', '.join(ACTIVATIONS)}, "
                f"got {self.activation_function!r}"
            )
        if self.add_cross_attention is not False:
            raise ValueError(
                f"GPT2Config: expected add_cross_attention=False: no encoder, got "
                f"{self.add_cross_attention}"
            )


class Conv1D(nn.Module):
    """y = x W + b, a linear layer whose weight is the other way round.

    Args:
        nf: features of y.
        nx: features of x.
        std: of the start of W; b starts at 0.
        dtype: of the parameters.

    Shape:
        (..., nx) to (..., nf).
    """

    def __init__(
        self, nf: int, nx: int, std: float = 0.02, *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.empty(nx, nf, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(nf, dtype=dtype))
        nn.init.normal_(self.weight, 0.0, std)

    def forward(self, input: Tensor) -> Tensor:
        """y = x W + b."""
        y = torch.addmm(self.bias, input.reshape(-1, self.nx), self.weight)
        return y.view(*input.shape[:-1], self.nf)

    def extra_repr(self) -> str:
        return f"nf={self.nf}, nx={self.nx}"


class GPT2Attention(nn.Module):
    """Causal attention of H heads over the positions so far.

    Shape:
        x (B, T, D) and what is seen (B, 1, T, T), None for all that is not behind, to (B, T, D).
    """

    def __init__(self, config: GPT2Config, layer: int, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        size, std = config.n_embd, config.initializer_range
        self.n_head = config.n_head
        self.scale = (size // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer + 1
        self.attn_pdrop = config.attn_pdrop
        self.c_attn = Conv1D(3 * size, size, std, dtype=dtype)
        self.c_proj = Conv1D(size, size, std / math.sqrt(2 * config.n_layer), dtype=dtype)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, input: Tensor, seen: Tensor | None = None) -> Tensor:
        """drop(c_proj attention(q, k, v))."""
        return self.step(input, seen, None)[0]

    def step(self, x: Tensor, seen: Tensor | None, past: Layer | None) -> tuple[Tensor, Layer]:
        """The same of a few more positions; keys and values, those of the past too."""
        parts = self.c_attn(x).unflatten(-1, (3, self.n_head, -1))  # (B, T, 3, H, D / H)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        k, v = remembered(past, k, v)
        a = F.scaled_dot_product_attention(
            q,
            k,
            v,
            seen,
            self.attn_pdrop if self.training else 0.0,
            is_causal=seen is None and q.shape == k.shape,  # a single new query sees all keys
            scale=self.scale,
        )
        return self.resid_dropout(self.c_proj(a.transpose(1, 2).flatten(2))), (k, v)


class GPT2MLP(nn.Module):
    """drop(c_proj f(c_fc x)), (..., D) to the same."""

    def __init__(self, config: GPT2Config, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        size, std = config.n_embd, config.initializer_range
        inner = 4 * size if config.n_inner is None else config.n_inner
        self.activation = config.activation_function
        self.c_fc = Conv1D(inner, size, std, dtype=dtype)
        self.c_proj = Conv1D(size, inner, std / math.sqrt(2 * config.n_layer), dtype=dtype)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, input: Tensor) -> Tensor:
        """drop(c_proj f(c_fc x))."""
        y: Tensor = self.dropout(self.c_proj(ACTIVATIONS[self.activation](self.c_fc(input))))
        return y

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"


class GPT2Block(nn.Module):
    """Attention and a network, each of what is normalised, each added to what came in."""

    def __init__(self, config: GPT2Config, layer: int, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, config.n_embd, config.layer_norm_epsilon, dtype=dtype)
        self.ln_1 = norm()
        self.attn = GPT2Attention(config, layer, dtype=dtype)
        self.ln_2 = norm()
        self.mlp = GPT2MLP(config, dtype=dtype)

    def forward(self, input: Tensor, seen: Tensor | None = None) -> Tensor:
        """u = x + attn(ln_1 x); u + mlp(ln_2 u)."""
        u = input + self.attn(self.ln_1(input), seen)
        y: Tensor = u + self.mlp(self.ln_2(u))
        return y

    def step(self, x: Tensor, seen: Tensor | None, past: Layer | None) -> tuple[Tensor, Layer]:
        """The same of a few more positions, with keys and values."""
        a, past = self.attn.step(self.ln_1(x), seen, past)
        u = x + a
        return u + self.mlp(self.ln_2(u)), past


class GPT2Model(nn.Module):
    """The decoder without a head: ids (B, T) to ln_f(x_L) (B, T, D)."""

    def __init__(self, config: GPT2Config, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        size, std = config.n_embd, config.initializer_range
        self.wte = nn.Embedding(config.vocab_size, size, dtype=dtype)
        nn.init.normal_(self.wte.weight, 0.0, std)
        self.wpe = nn.Embedding(config.n_positions, size, dtype=dtype)
        nn.init.normal_(self.wpe.weight, 0.0, std)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(
            GPT2Block(config, layer, dtype=dtype) for layer in range(config.n_layer)
        )
        self.ln_f = nn.LayerNorm(size, config.layer_norm_epsilon, dtype=dtype)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """ln_f(x_L)."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.wte(input_ids) + self.wpe(position_ids)
        if token_type_ids is not None:
            x = x + self.wte(token_type_ids)
        x, seen = self.drop(x), seen_by(attention_mask, input_ids)
        for block in self.h:
            x = block(x, seen)
        y: Tensor = self.ln_f(x)
        return y

    def step(
        self, ids: Tensor, positions: Tensor, seen: Tensor | None, past: tuple[Layer, ...]
    ) -> tuple[Tensor, tuple[Layer, ...]]:
        """ln_f(x_L) of the last position (B, D); keys and values of each layer."""
        x = self.drop(self.wte(ids) + self.wpe(positions))
        layers = []
        block: Any
        for i, block in enumerate(self.h):
            x, layer = block.step(x, seen, past[i] if past else None)
            layers.append(layer)
        return self.ln_f(x[:, -1]), tuple(layers)


class GPT2(CausalLM):
    """Scores of the token that follows each.

    Args:
        config: sizes and options.
        dtype: of the parameters.

    Shape:
        ids (B, T) to logits (B, T, V). Their loss is the cross entropy of logits[:, :-1] and
        ids[:, 1:].
    """

    config_class = GPT2Config
    architecture = "GPT2LMHeadModel"
    base_model_prefix = "transformer"
    _ignored = r"(^|\.)attn\.(masked_)?bias$"

    def __init__(self, config: GPT2Config, *, dtype: torch.dtype | None = None) -> None:
        super().__init__(config)
        self.transformer = GPT2Model(config, dtype=dtype)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False, dtype=dtype)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.transformer.wte.weight
        else:
            nn.init.normal_(self.lm_head.weight, 0.0, config.initializer_range)

    def tied(self) -> dict[str, str]:
        """The head's weight, if it is the embedding's."""
        tied = self.config.tie_word_embeddings
        return {"lm_head.weight": "transformer.wte.weight"} if tied else {}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V).

        Args:
            input_ids: (B, T), T up to n_positions.
            attention_mask: (B, T), 1 where a token is, 0 where padding is, which is not looked at;
                None for no padding.
            token_type_ids: (B, T), whose embeddings, of the same table, are added.
            position_ids: (B, T) or (1, T); None for 0 ... T - 1, also where padding is on the left.

        Returns:
            Logits.
        """
        h = self.transformer(input_ids, attention_mask, token_type_ids, position_ids)
        logits: Tensor = self.lm_head(h)
        return logits

    def _advance(
        self, ids: Tensor, positions: Tensor, seen: Tensor | None, past: tuple[Layer, ...]
    ) -> tuple[Tensor, tuple[Layer, ...]]:
        h, layers = self.transformer.step(ids, positions, seen, past)
        return self.lm_head(h), layers
