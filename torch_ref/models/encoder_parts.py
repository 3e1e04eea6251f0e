"""What BERT and ViT are made of.                  Vaswani et al. 2017, arXiv:1706.03762, section 3

attention    q, k, v = x W^T + b each, in H heads of D / H features     y = the heads side by side
feed forward y = g(x W^T + b), its first half
start        weights N(0, initializer_range^2), biases 0, the row of a padding index 0
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.models.pretrained import Config

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
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
        ValueError: if the heads do not divide D, or the activation is unknown.
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
        if self.id2label is not None:
            names = {int(i): label for i, label in self.id2label.items()}  # JSON's keys are text
            object.__setattr__(self, "id2label", names)
            object.__setattr__(self, "num_labels", len(names))
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"{type(self).__name__}: expected num_attention_heads that divide hidden_size = "
                f"{self.hidden_size}, got {self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"{type(self).__name__}: expected hidden_act to be one of "
                f"{', '.join(ACTIVATIONS)}, got {self.hidden_act!r}"
            )


class SelfAttention(nn.Module):
    """Scaled dot-product attention of a sequence to itself, in several heads.

    Args:
        config: sizes and dropout.
        bias: whether q, k and v have one.

    Shape:
        (B, T, D) to (B, T, D).
    """

    def __init__(self, config: EncoderConfig, bias: bool = True) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(size, size, bias)
        self.key = nn.Linear(size, size, bias)
        self.value = nn.Linear(size, size, bias)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """The heads' outputs side by side; `mask` broadcasts to (B, H, T, T), True is seen."""
        q, k, v = (
            f(hidden).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        rate = self.dropout.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, rate)
        return y.transpose(1, 2).flatten(2)


class Intermediate(nn.Module):
    """The first half of the feed-forward network.

    Args:
        config: sizes and activation.

    Shape:
        (..., D) to (..., intermediate_size).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATIONS[config.hidden_act]()

    def forward(self, hidden: Tensor) -> Tensor:
        """y = g(x W^T + b)."""
        y: Tensor = self.activation(self.dense(hidden))
        return y


def start(model: nn.Module, std: float) -> None:
    """Draw the weights of all dense and convolutional layers and embeddings from N(0, std^2)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0.0, std)
            if module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx].detach())
