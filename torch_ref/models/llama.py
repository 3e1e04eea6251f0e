"""Llama: a decoder that predicts the next token.       Touvron et al. 2023, arXiv:2302.13971

x_0 = E[id]     u = x + attention(input_layernorm x)     y = u + mlp(post_attention_layernorm u)
logits = norm(x_L) W^T     names: Hugging Face's LlamaForCausalLM
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.models.causal_lm import CausalLM, Layer, remembered, seen_by
from torch_ref.models.pretrained import Config
from torch_ref.nn.gated_feed_forward import GatedFeedForward
from torch_ref.nn.rotary import rotary_embedding

# Hugging Face's names, and those of GatedFeedForward
ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "linear": "identity",
}


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(Config):
    """Sizes and options of `Llama`, with the names and defaults of Hugging Face's LlamaConfig.

    Args:
        vocab_size: V, number of tokens.
        hidden_size: D, features of a token.
        intermediate_size: features inside the network of a block.
        num_hidden_layers: number of blocks.
        num_attention_heads: H, number of heads of queries, which divides D.
        num_key_value_heads: G, number of heads of keys and values, which divides H; None for H.
        head_dim: E, features of a head, even; None for D / H.
        hidden_act: of the network's gate.
        max_position_embeddings: how many tokens it was trained on; no limit.
        initializer_range: standard deviation of the start.
        rms_norm_eps: added to mean squares.
        rope_theta: base of the angles' frequencies; None for that of the parameters, or 10000.
        rope_scaling: None, or {'rope_type': 'linear', 'factor': s}: older files have it.
        rope_parameters: {'rope_type': 'default' or 'linear', 'rope_theta': ..., 'factor': s}.
        attention_bias: whether the projections of attention have biases.
        attention_dropout: probability of dropping an attention weight.
        mlp_bias: whether those of the network have.
        pad_token_id: token whose embedding starts at 0 and is not learned; None for none.
        tie_word_embeddings: whether the head's weight is the embedding's.
    """

    model_type: ClassVar[str] = "llama"

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        heads = self.num_attention_heads
        if self.head_dim is None:
            object.__setattr__(self, "head_dim", self.hidden_size // heads)
        if self.num_key_value_heads is None:
            object.__setattr__(self, "num_key_value_heads", heads)
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"LlamaConfig: expected hidden_act to be one of {', '.join(ACTIVATIONS)}, got "
                f"{self.hidden_act!r}"
            )
        given = self.rope_scaling or self.rope_parameters or {}
        kind = given.get("rope_type", given.get("type", "default"))
        if kind not in ("default", "linear"):
            raise ValueError(
                f"LlamaConfig: expected the rope_type to be 'default' or 'linear', got {kind!r}"
            )
        theta = given.get("rope_theta", 1e4 if self.rope_theta is None else self.rope_theta)
        factor = {"factor": given["factor"]} if kind == "linear" else {}
        scaling = {"rope_type": kind, **factor} if factor else None
        object.__setattr__(self, "rope_theta", theta)
        object.__setattr__(self, "rope_scaling", scaling)
        object.__setattr__(
            self, "rope_parameters", {"rope_type": kind, "rope_theta": theta, **factor}
        )


class LlamaAttention(nn.Module):
    """Causal attention of H heads that share G of keys and values.

    Shape:
        x (B, T, D), positions (B or 1, T) and what is seen (B, 1, T, T), None for all that is not
        behind, to (B, T, D).
    """

    def __init__(self, config: Any, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        size, head = config.hidden_size, config.head_dim
        linear = partial(_linear, config, bias=config.attention_bias, dtype=dtype)
        self.head_dim = head
        self.attention_dropout = config.attention_dropout
        self.base = config.rope_parameters["rope_theta"]
        self.factor = config.rope_parameters.get("factor", 1.0)
        self.q_proj = linear(size, config.num_attention_heads * head)
        self.k_proj = linear(size, config.num_key_value_heads * head)
        self.v_proj = linear(size, config.num_key_value_heads * head)
        self.o_proj = linear(config.num_attention_heads * head, size)

    def forward(self, input: Tensor, positions: Tensor, seen: Tensor | None = None) -> Tensor:
        """attention(turn q, turn k, v) W_o^T."""
        return self.step(input, positions, seen, None)[0]

    def step(
        self, x: Tensor, positions: Tensor, seen: Tensor | None, past: Layer | None
    ) -> tuple[Tensor, Layer]:
        """The same of a few more positions; keys and values, those of the past too."""
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        k, v = remembered(past, self._turn(k, positions), v)
        a = F.scaled_dot_product_attention(
            self._turn(q, positions),
            k,
            v,
            seen,
            self.attention_dropout if self.training else 0.0,
            is_causal=seen is None and q.shape[2] == k.shape[2],  # a single new query sees all keys
            enable_gqa=True,
        )
        return self.o_proj(a.transpose(1, 2).flatten(2)), (k, v)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        return rotary_embedding(
            x,
            self.base,
            interleaved=False,
            scaling_factor=self.factor,
            positions=positions[:, None],
        )


class LlamaDecoderLayer(nn.Module):
    """Attention and a network, each of what is normalised, each added to what came in."""

    def __init__(self, config: Any, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        size = config.hidden_size
        self.self_attn = LlamaAttention(config, dtype=dtype)
        self.mlp = GatedFeedForward(
            size,
            config.intermediate_size,
            ACTIVATIONS[config.hidden_act],
            config.mlp_bias,
            dtype=dtype,
        )
        for layer in (self.mlp.gate_proj, self.mlp.up_proj, self.mlp.down_proj):
            _start(layer, config)
        self.input_layernorm = nn.RMSNorm(size, config.rms_norm_eps, dtype=dtype)
        self.post_attention_layernorm = nn.RMSNorm(size, config.rms_norm_eps, dtype=dtype)

    def forward(self, input: Tensor, positions: Tensor, seen: Tensor | None = None) -> Tensor:
        """u = x + attn(norm x); u + mlp(norm u)."""
        return self.step(input, positions, seen, None)[0]

    def step(
        self, x: Tensor, positions: Tensor, seen: Tensor | None, past: Layer | None
    ) -> tuple[Tensor, Layer]:
        """The same of a few more positions, with keys and values."""
        a, past = self.self_attn.step(self.input_layernorm(x), positions, seen, past)
        u = x + a
        return u + self.mlp(self.post_attention_layernorm(u)), past


class LlamaModel(nn.Module):
    """The decoder without a head: ids (B, T) to norm(x_L) (B, T, D)."""

    def __init__(self, config: Any, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        padding = config.pad_token_id
        self.embed_tokens = nn.Embedding(
            config.vocab_size, config.hidden_size, padding, dtype=dtype
        )
        nn.init.normal_(self.embed_tokens.weight, 0.0, config.initializer_range)
        if padding is not None:
            nn.init.zeros_(self.embed_tokens.weight.data[padding])
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, dtype=dtype) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps, dtype=dtype)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """norm(x_L)."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        x, seen = self.embed_tokens(input_ids), seen_by(attention_mask, input_ids)
        for layer in self.layers:
            x = layer(x, position_ids, seen)
        y: Tensor = self.norm(x)
        return y

    def step(
        self, ids: Tensor, positions: Tensor, seen: Tensor | None, past: tuple[Layer, ...]
    ) -> tuple[Tensor, tuple[Layer, ...]]:
        """norm(x_L) of the last position (B, D); keys and values of each layer."""
        x, kept = self.embed_tokens(ids), []
        layer: Any
        for i, layer in enumerate(self.layers):
            x, pair = layer.step(x, positions, seen, past[i] if past else None)
            kept.append(pair)
        return self.norm(x[:, -1]), tuple(kept)


class Llama(CausalLM):
    """Scores of the token that follows each.

    Args:
        config: sizes and options.
        dtype: of the parameters.

    Shape:
        ids (B, T) to logits (B, T, V). Their loss is the cross entropy of logits[:, :-1] and
        ids[:, 1:].
    """

    config_class = LlamaConfig
    architecture = "LlamaForCausalLM"
    base_model_prefix = "model"
    _ignored = r"rotary_emb\.inv_freq$"

    def __init__(self, config: LlamaConfig, *, dtype: torch.dtype | None = None) -> None:
        super().__init__(config)
        self.model = LlamaModel(config, dtype=dtype)
        self.lm_head = _linear(config, config.hidden_size, config.vocab_size, dtype=dtype)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def tied(self) -> dict[str, str]:
        """The head's weight, if it is the embedding's."""
        tied = self.config.tie_word_embeddings
        return {"lm_head.weight": "model.embed_tokens.weight"} if tied else {}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V).

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 where a token is, 0 where padding is, which is not looked at;
                None for no padding.
            position_ids: (B, T) or (1, T); None for 0 ... T - 1, also where padding is on the left.

        Returns:
            Logits.
        """
        logits: Tensor = self.lm_head(self.model(input_ids, attention_mask, position_ids))
        return logits

    def _advance(
        self, ids: Tensor, positions: Tensor, seen: Tensor | None, past: tuple[Layer, ...]
    ) -> tuple[Tensor, tuple[Layer, ...]]:
        h, layers = self.model.step(ids, positions, seen, past)
        return self.lm_head(h), layers


def _linear(
    config: Any, inputs: int, outputs: int, bias: bool = False, dtype: torch.dtype | None = None
) -> nn.Linear:
    """A linear layer from its start here."""
    layer = nn.Linear(inputs, outputs, bias, dtype=dtype)
    _start(layer, config)
    return layer


def _start(layer: nn.Linear, config: Any) -> None:
    nn.init.normal_(layer.weight, 0.0, config.initializer_range)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
