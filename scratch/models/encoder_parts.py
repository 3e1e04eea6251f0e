"""What BERT and ViT are made of.                  Vaswani et al. 2017, arXiv:1706.03762, section 3

attention    q, k, v = x W^T + b each, in H heads of D / H features     y = the heads side by side
             dx = dq W_q + dk W_k + dv W_v
feed forward y = g(x W^T + b), its first half
shapes       x, y (B, T, D)   heads (B, H, T, D / H)
start        weights N(0, initializer_range^2), biases 0, the row of a padding index 0
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.pretrained import Config
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.scaled_dot_product_attention import apart, together
from scratch.random import Generator

ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "gelu": nn.GELU,
    "gelu_new": partial(nn.GELU, "tanh"),
    "gelu_pytorch_tanh": partial(nn.GELU, "tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Config):
    """The fields that both have, under their public names.

    Attributes:
        hidden_size: D.
        num_hidden_layers: how many layers.
        num_attention_heads: H, which divides D.
        intermediate_size: width of the feed-forward network.
        hidden_act: g, a key of `ACTIVATIONS`.
        hidden_dropout_prob: probability of dropping what a sublayer adds, and of the embeddings.
        attention_probs_dropout_prob: probability of dropping an attention weight.
        initializer_range: standard deviation of the start.
        layer_norm_eps: added to the variance.
        num_labels: classes; where there is an `id2label`, as many as it has.
        id2label: the names of the classes.

    Raises:
        TypeError, ValueError: if a field is out of range.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    num_labels: int = 2
    id2label: Mapping[int, str] | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.id2label is not None:
            labels: object = self.id2label
            if not isinstance(labels, Mapping):
                got = check.describe(labels)
                check.refuse(name, "id2label to be a mapping or None", got, TypeError)
            names = {int(i): label for i, label in labels.items()}  # JSON's keys are text
            object.__setattr__(self, "id2label", names)
            object.__setattr__(self, "num_labels", len(names))
        for field in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
            check.size(name, field, getattr(self, field), low=1)
        check.size(name, "intermediate_size", self.intermediate_size, low=1)
        check.size(name, "num_labels", self.num_labels, low=1)
        if self.hidden_size % self.num_attention_heads:
            expected = f"num_attention_heads that divide hidden_size = {self.hidden_size}"
            check.refuse(name, expected, self.num_attention_heads)
        check.option(name, "hidden_act", self.hidden_act, tuple(ACTIVATIONS))
        check.number(name, "hidden_dropout_prob", self.hidden_dropout_prob, 0, 1)
        rate = self.attention_probs_dropout_prob
        check.number(name, "attention_probs_dropout_prob", rate, 0, 1)
        check.number(name, "initializer_range", self.initializer_range, 0, open_low=True)
        check.number(name, "layer_norm_eps", self.layer_norm_eps, 0)


class SelfAttention(Module):
    """Scaled dot-product attention of a sequence to itself, in several heads.

    Args:
        config: sizes and dropout.
        bias: whether q, k and v have one.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, T, D) to (B, T, D).
    """

    def __init__(
        self,
        config: EncoderConfig,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        size = config.hidden_size
        self.head_size = size // config.num_attention_heads
        self.query = nn.Linear(size, size, bias, dtype=dtype, generator=generator)
        self.key = nn.Linear(size, size, bias, dtype=dtype, generator=generator)
        self.value = nn.Linear(size, size, bias, dtype=dtype, generator=generator)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob, generator=generator)

    def forward(self, hidden: Array, mask: Array | None = None) -> tuple[Array, Backward]:
        """The heads' outputs side by side; `mask` broadcasts to (B, H, T, T), True is seen."""
        q, query_back = self.query(hidden)
        k, key_back = self.key(hidden)
        v, value_back = self.value(hidden)
        q, k, v = (apart(x, self.head_size) for x in (q, k, v))
        rate, draws = self.dropout.p if self.training else 0.0, self.dropout.generator
        y, attention_back = F.scaled_dot_product_attention(q, k, v, mask, rate, generator=draws)

        def backward(dy: Array) -> Array:
            dq, dk, dv = map(together, attention_back(apart(dy, self.head_size)))
            dhidden: Array = query_back(dq) + key_back(dk)
            dhidden += value_back(dv)
            return dhidden

        return together(y), backward


class Intermediate(Module):
    """The first half of the feed-forward network.

    Args:
        config: sizes and activation.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., D) to (..., intermediate_size).
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        sizes = config.hidden_size, config.intermediate_size
        self.dense = nn.Linear(*sizes, dtype=dtype, generator=generator)
        self.activation = ACTIVATIONS[config.hidden_act]()

    def forward(self, hidden: Array) -> tuple[Array, Backward]:
        """y = g(x W^T + b)."""
        z, dense_back = self.dense(hidden)
        y, activation_back = self.activation(z)
        return y, lambda dy: dense_back(activation_back(dy))


def start(model: Module, std: float, generator: Generator) -> None:
    """Draw the weights of all dense and convolutional layers and embeddings from N(0, std^2)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            init.normal_(module.weight, 0.0, std, generator)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, 0.0, std, generator)
            if module.padding_idx is not None:
                module.weight.data[module.padding_idx] = 0
