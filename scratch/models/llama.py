"""Llama: a decoder that predicts the next token.       Touvron et al. 2023, arXiv:2302.13971

forward    x_0 = E[id]
           block: n = input_layernorm x    q, k, v = n W_q^T, n W_k^T, n W_v^T
                  u = x + attention(turn q, turn k, v) W_o^T, causal
                  y = u + mlp(post_attention_layernorm u)      mlp n = (f(n W_g^T) n W_u^T) W_d^T
           logits = norm(x_L) W^T
backward   du = dy + norm_back(mlp_back dy)
           dx = du + norm_back(dq W_q + dk W_k + dv W_v), dq and dk turned back
turn       pairs of features (i, i + E/2) by the angle t theta^(-2 i / E) / s
groups     H queries' heads share G heads of keys and values: head h has those of h // (H / G)
norms      RMS, before each half of a block
shapes     id (B, T)   E (V, D)   x (B, T, D)   q (B, H, T, E)   k, v (B, G, T, E)
start      N(0, 0.02^2); biases 0, gains 1
names      Hugging Face's LlamaForCausalLM
Sources    Touvron et al. 2023; norms: Zhang & Sennrich 2019, arXiv:1910.07467; mlp: Shazeer 2020,
           arXiv:2002.05202; turn: Su et al. 2021, arXiv:2104.09864; s: Chen et al. 2023,
           arXiv:2306.15595; groups: Ainslie et al. 2023, arXiv:2305.13245
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.scaled_dot_product_attention import apart, together
from scratch.random import Generator

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
FAR = 2**31  # no position is beyond
Places = tuple[int, Array | None]  # the first position; all of them, where they are no run


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
        hidden_act: f of the network's gate.
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

    Raises:
        TypeError, ValueError: if a value is out of range, or angles of another type are asked for.

    Source: Touvron et al. 2023, arXiv:2302.13971.
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
        name = "LlamaConfig"
        for size in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
        ):
            check.size(name, size, getattr(self, size), low=1)
        heads = self.num_attention_heads
        if self.hidden_size % heads:
            expected = f"num_attention_heads to divide hidden_size = {self.hidden_size}"
            check.refuse(name, expected, heads)
        if self.head_dim is None:
            object.__setattr__(self, "head_dim", self.hidden_size // heads)
        if check.size(name, "head_dim", self.head_dim, low=1) % 2:
            check.refuse(
                name, "an even head_dim, whose features are turned in pairs", self.head_dim
            )
        if self.num_key_value_heads is None:
            object.__setattr__(self, "num_key_value_heads", heads)
        groups = check.size(name, "num_key_value_heads", self.num_key_value_heads, low=1)
        if heads % groups:
            check.refuse(name, f"num_key_value_heads to divide {heads}", groups)
        check.option(name, "hidden_act", self.hidden_act, tuple(ACTIVATIONS))
        for width in ("initializer_range", "rms_norm_eps"):
            check.number(name, width, getattr(self, width), 0, open_low=True, open_high=True)
        check.number(name, "attention_dropout", self.attention_dropout, 0, 1)
        for switch in ("attention_bias", "mlp_bias", "tie_word_embeddings"):
            check.option(name, switch, getattr(self, switch), (True, False))
        if self.pad_token_id is not None:
            check.axis(name, "pad_token_id", self.pad_token_id, self.vocab_size)
        self._settle_rope(name)

    def _settle_rope(self, name: str) -> None:
        """Both ways to say it say the same."""
        given = self.rope_scaling or self.rope_parameters or {}
        if not isinstance(given, Mapping):
            check.refuse(name, "rope_parameters to be a dict", check.describe(given), TypeError)
        kind = given.get("rope_type", given.get("type", "default"))
        check.option(name, "the rope_type", kind, ("default", "linear"))
        theta = given.get("rope_theta", 1e4 if self.rope_theta is None else self.rope_theta)
        check.number(name, "rope_theta", theta, 0, open_low=True, open_high=True)
        parameters = {"rope_type": kind, "rope_theta": theta}
        scaling = None
        if kind == "linear":
            factor = given.get("factor")
            check.number(name, "the rope's factor", factor, 0, open_low=True, open_high=True)
            scaling = {"rope_type": kind, "factor": factor}
            parameters["factor"] = factor
        object.__setattr__(self, "rope_theta", theta)
        object.__setattr__(self, "rope_scaling", scaling)
        object.__setattr__(self, "rope_parameters", parameters)


class LlamaAttention(Module):
    """Causal attention of H heads that share G of keys and values.

    Shape:
        x (B, T, D), its places and what is seen (B, 1, T, T), None for all that is not behind, to
        (B, T, D).
    """

    def __init__(self, config: Any, generator: Generator, **options: Any) -> None:
        size, head = config.hidden_size, config.head_dim

        def linear(inputs: int, outputs: int) -> nn.Linear:
            return _linear(config, generator, inputs, outputs, config.attention_bias, **options)

        self.head_dim = head
        self.attention_dropout = config.attention_dropout
        self.generator = generator
        self.base = config.rope_parameters["rope_theta"]
        self.factor = config.rope_parameters.get("factor", 1.0)
        self.q_proj = linear(size, config.num_attention_heads * head)
        self.k_proj = linear(size, config.num_key_value_heads * head)
        self.v_proj = linear(size, config.num_key_value_heads * head)
        self.o_proj = linear(config.num_attention_heads * head, size)

    def forward(
        self, input: Array, places: Places, seen: Array | None = None
    ) -> tuple[Array, Backward]:
        """attention(turn q, turn k, v) W_o^T."""
        (q, k, v), heads_back = self._heads(input, places)
        a, attention_back = self._attend(q, k, v, seen)
        y, merge_back = self._merge(a)
        return y, lambda dy: heads_back(*attention_back(merge_back(dy)))

    def step(
        self, x: Array, places: Places, seen: Array | None, past: Layer | None
    ) -> tuple[Array, Layer]:
        """The same of a few more positions; keys and values, those of the past too."""
        (q, k, v), _ = self._heads(x, places)
        k, v = remembered(past, k, v)
        a, _ = self._attend(q, k, v, seen)
        return self._merge(a)[0], (k, v)

    def _heads(self, x: Array, places: Places) -> tuple[tuple[Array, Array, Array], Backward]:
        """q (B, H, T, E) and k (B, G, T, E), turned; v (B, G, T, E)."""
        q, q_back = self.q_proj(x)
        k, k_back = self.k_proj(x)
        v, v_back = self.v_proj(x)
        q, k, v = (apart(part, self.head_dim) for part in (q, k, v))
        q, turn_q_back = self._turn(q, places)
        k, turn_k_back = self._turn(k, places)

        def backward(dq: Array, dk: Array, dv: Array) -> Array:
            dn_q, dn_k = q_back(together(turn_q_back(dq))), k_back(together(turn_k_back(dk)))
            dn: Array = dn_q + dn_k + v_back(together(dv))
            return dn

        return (q, k, v), backward

    def _turn(self, x: Array, places: Places) -> tuple[Array, Backward]:
        start, positions = places
        return F.rotary_embedding(x, self.base, start, None, False, self.factor, positions)

    def _attend(self, q: Array, k: Array, v: Array, seen: Array | None) -> tuple[Array, Backward]:
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            seen,
            self.attention_dropout if self.training else 0.0,
            is_causal=seen is None and q.shape[2] == k.shape[2],  # a single new query sees all keys
            enable_gqa=True,
            generator=self.generator,
        )

    def _merge(self, a: Array) -> tuple[Array, Backward]:
        """From heads (B, H, T, E) to what is added to the residual."""
        y, project_back = self.o_proj(together(a))
        return y, lambda dy: apart(project_back(dy), self.head_dim)


class LlamaDecoderLayer(Module):
    """Attention and a network, each of what is normalised, each added to what came in."""

    def __init__(self, config: Any, generator: Generator, **options: Any) -> None:
        size = config.hidden_size
        self.self_attn = LlamaAttention(config, generator, **options)
        self.mlp = nn.GatedFeedForward(
            size,
            config.intermediate_size,
            ACTIVATIONS[config.hidden_act],
            config.mlp_bias,
            generator=generator,
            **options,
        )
        for layer in (self.mlp.gate_proj, self.mlp.up_proj, self.mlp.down_proj):
            _start(layer, config, generator)
        self.input_layernorm = nn.RMSNorm(size, config.rms_norm_eps, **options)
        self.post_attention_layernorm = nn.RMSNorm(size, config.rms_norm_eps, **options)

    def forward(
        self, input: Array, places: Places, seen: Array | None = None
    ) -> tuple[Array, Backward]:
        """u = x + attn(norm x); u + mlp(norm u)."""
        n, norm1_back = self.input_layernorm(input)
        a, attention_back = self.self_attn(n, places, seen)
        u = input + a
        m, norm2_back = self.post_attention_layernorm(u)
        f, mlp_back = self.mlp(m)

        def backward(dy: Array) -> Array:
            du = dy + norm2_back(mlp_back(dy))
            dx: Array = du + norm1_back(attention_back(du))
            return dx

        return u + f, backward

    def step(
        self, x: Array, places: Places, seen: Array | None, past: Layer | None
    ) -> tuple[Array, Layer]:
        """The same of a few more positions, with keys and values."""
        a, past = self.self_attn.step(self.input_layernorm(x)[0], places, seen, past)
        u = x + a
        return u + self.mlp(self.post_attention_layernorm(u)[0])[0], past


class LlamaModel(Module):
    """The decoder without a head: ids (B, T) to norm(x_L) (B, T, D)."""

    def __init__(self, config: Any, generator: Generator, **options: Any) -> None:
        padding = config.pad_token_id
        self.embed_tokens = nn.Embedding(
            config.vocab_size, config.hidden_size, padding, generator=generator, **options
        )
        weight = self.embed_tokens.weight
        init.normal_(weight, 0.0, config.initializer_range, generator)
        if padding is not None:
            weight.data[padding] = 0
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, generator, **options) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps, **options)

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[Array, Backward]:
        """norm(x_L)."""
        ids = check_ids("Llama", input_ids, self.embed_tokens.num_embeddings)
        places = _places(check_positions("Llama", position_ids, ids, FAR))
        seen = seen_by("Llama", attention_mask, ids)

        x, embedding_back = self.embed_tokens(ids)
        backs = []
        for layer in self.layers:
            x, back = layer(x, places, seen)
            backs.append(back)
        y, norm_back = self.norm(x)

        def backward(dy: Array) -> None:
            dx = norm_back(dy)
            for back in reversed(backs):
                dx = back(dx)
            embedding_back(dx)

        return y, backward

    def step(
        self, ids: Array, positions: Array, seen: Array | None, past: tuple[Layer, ...]
    ) -> tuple[Array, tuple[Layer, ...]]:
        """norm(x_L) of the last position (B, D); keys and values of each layer."""
        x, _ = self.embed_tokens(ids)
        places, kept = _places(positions), []
        layer: Any
        for i, layer in enumerate(self.layers):
            x, pair = layer.step(x, places, seen, past[i] if past else None)
            kept.append(pair)
        return self.norm(x[:, -1])[0], tuple(kept)


class Llama(CausalLM):
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

    Source: Touvron et al. 2023, arXiv:2302.13971.
    """

    config_class = LlamaConfig
    architecture = "LlamaForCausalLM"
    base_model_prefix = "model"
    _ignored = r"rotary_emb\.inv_freq$"

    def __init__(
        self,
        config: LlamaConfig,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(config)
        generator = generator or Generator()
        self.model = LlamaModel(config, generator, dtype=dtype)
        self.lm_head = _linear(
            config, generator, config.hidden_size, config.vocab_size, dtype=dtype
        )
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def tied(self) -> dict[str, str]:
        """The head's weight, if it is the embedding's."""
        tied = self.config.tie_word_embeddings
        return {"lm_head.weight": "model.embed_tokens.weight"} if tied else {}

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        position_ids: Array | None = None,
    ) -> tuple[Array, Backward]:
        """Logits (B, T, V).

        Args:
            input_ids: (B, T), integers in [0, V).
            attention_mask: (B, T), 1 where a token is, 0 where padding is, which is not looked at;
                None for no padding.
            position_ids: (B, T) or (1, T); None for 0 ... T - 1, also where padding is on the left.

        Returns:
            Logits, and their backward: dlogits -> None.
        """
        h, model_back = self.model(input_ids, attention_mask, position_ids)
        logits, head_back = self.lm_head(h)
        return logits, lambda dlogits: model_back(head_back(dlogits))

    def _advance(
        self, ids: Array, positions: Array, seen: Array | None, past: tuple[Layer, ...]
    ) -> tuple[Array, tuple[Layer, ...]]:
        h, layers = self.model.step(ids, positions, seen, past)
        return self.lm_head(h)[0], layers


def _places(positions: Array) -> Places:
    """Of a run its start, whose angles are found again; (B or 1, 1, T) of others."""
    run = len(positions) == 1 and (np.diff(positions[0]) == 1).all()
    return (int(positions[0, 0]), None) if run else (0, positions[:, None])


def _linear(
    config: Any, generator: Generator, inputs: int, outputs: int, bias: bool = False, **options: Any
) -> nn.Linear:
    """A linear layer from its start here."""
    layer = nn.Linear(inputs, outputs, bias, generator=generator, **options)
    _start(layer, config, generator)
    return layer


def _start(layer: nn.Linear, config: Any, generator: Generator) -> None:
    init.normal_(layer.weight, 0.0, config.initializer_range, generator)
    if layer.bias is not None:
        init.zeros_(layer.bias)
