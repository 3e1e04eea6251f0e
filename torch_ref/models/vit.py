"""Vision Transformer.                         Dosovitskiy et al. 2021, arXiv:2010.11929, section 3

patches     x_i = W vec(i-th P x Q patch) + b, a convolution whose stride is its kernel
embeddings  h = drop([cls, x_1, ..., x_N] + E)        E one learned row for each place, cls's too
layer       a = h + drop(attention(norm h) W_o^T + b_o)   y = a + drop(g(norm(a) W_1^T) W_2^T)
head        W_c norm(h_cls) + b_c
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.models.encoder_parts import EncoderConfig, Intermediate, SelfAttention, start
from torch_ref.models.pretrained import Pretrained

Size = int | tuple[int, int] | list[int]


@dataclass(frozen=True, kw_only=True)
class ViTConfig(EncoderConfig):
    """Configuration of the Vision Transformer, as `transformers.ViTConfig`: ViT-B/16's.

    Attributes:
        image_size: height and width of a picture, or one number for both.
        patch_size: P and Q likewise.
        num_channels: C.
        qkv_bias: whether q, k and v have biases.
        others: see `EncoderConfig`.

    Raises:
        ValueError: as `EncoderConfig`.
    """

    model_type: ClassVar[str] = "vit"

    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    image_size: Size = 224
    patch_size: Size = 16
    num_channels: int = 3
    qkv_bias: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """R and S: how many patches there are below and beside each other."""
        return self.grid_of(*pair(self.image_size))

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """The same of a picture of another size."""
        p, q = pair(self.patch_size)
        return height // p, width // q


def pair(size: Size) -> tuple[int, int]:
    """Both sides."""
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


class PatchEmbeddings(nn.Module):
    """The projection of each patch."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        patch = pair(config.patch_size)
        self.projection = nn.Conv2d(config.num_channels, config.hidden_size, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, R P, S Q) to (B, R S, D)."""
        y: Tensor = self.projection(x)
        return y.flatten(2).transpose(1, 2)


class Embeddings(nn.Module):
    """The class token and the patches, each with the embedding of its place."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        size, (rows, columns) = config.hidden_size, config.grid
        self.config = config
        self.cls_token = nn.Parameter(torch.empty(1, 1, size))
        self.position_embeddings = nn.Parameter(torch.empty(1, 1 + rows * columns, size))
        self.patch_embeddings = PatchEmbeddings(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        for parameter in (self.position_embeddings, self.cls_token):
            nn.init.trunc_normal_(parameter, std=config.initializer_range)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """h (B, 1 + N, D)."""
        patches = self.patch_embeddings(pixel_values)
        cls = self.cls_token.expand(len(patches), -1, -1)
        places = self._places(pixel_values.shape[2], pixel_values.shape[3])
        h: Tensor = self.dropout(torch.cat([cls, patches], 1) + places)
        return h

    def _places(self, height: int, width: int) -> Tensor:
        """E for pictures of that size (1, 1 + N, D)."""
        e, grid = self.position_embeddings, self.config.grid
        other = self.config.grid_of(height, width)
        if other == grid:
            return e
        picture = e[:, 1:].transpose(1, 2).reshape(1, -1, *grid)
        rest = F.interpolate(picture, other, mode="bicubic").flatten(2).transpose(1, 2)
        return torch.cat([e[:, :1], rest], 1)


class Output(nn.Module):
    """The end of a sublayer: drop(h W^T + b)."""

    def __init__(self, features: int, config: ViTConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(features, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, h: Tensor) -> Tensor:
        """(B, 1 + N, features) to (B, 1 + N, D)."""
        f: Tensor = self.dropout(self.dense(h))
        return f


class Attention(nn.Module):
    """The first sublayer, without what goes around it."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config, config.qkv_bias)
        self.output = Output(config.hidden_size, config)

    def forward(self, h: Tensor) -> Tensor:
        """drop(attention(h) W^T + b)."""
        f: Tensor = self.output(self.attention(h))
        return f


class Layer(nn.Module):
    """Attention, then the feed-forward network, each added to what it read."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Output(config.intermediate_size, config)
        self.layernorm_before = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, h: Tensor) -> Tensor:
        """a = h + attention(norm h), y = a + feed_forward(norm a)."""
        a = h + self.attention(self.layernorm_before(h))
        y: Tensor = a + self.output(self.intermediate(self.layernorm_after(a)))
        return y


class Encoder(nn.Module):
    """The layers above each other."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, h: Tensor) -> Tensor:
        """h of the last layer."""
        for layer in self.layer:
            h = layer(h)
        return h


class ViTModel(nn.Module):
    """All but the head, `transformers.ViTModel`; of the last norm only what the head reads."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The class token's (B, D)."""
        h = self.encoder(self.embeddings(pixel_values))
        y: Tensor = self.layernorm(h[:, 0])
        return y


class ViT(Pretrained):
    """The class of a picture, by a Transformer over its patches: `ViTForImageClassification`.

    Args:
        config: sizes and options; `num_labels` classes.

    Shape:
        (B, C, *image_size) to (B, num_labels).
    """

    config_class = ViTConfig
    architecture = "ViTForImageClassification"
    base_model_prefix = "vit"
    _ignored = r"(^|\.)pooler\.|embeddings\.mask_token$"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vit = ViTModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        start(self, config.initializer_range)

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        """Scores of the classes.

        Args:
            pixel_values: (B, C, height, width).
            interpolate_pos_encoding: whether pictures may be of another size than `image_size`,
                for which the embeddings of the places are resized.

        Returns:
            (B, num_labels).

        Raises:
            ValueError: if the pictures are of another size and that is not allowed.
        """
        size, found = pair(self.config.image_size), tuple(pixel_values.shape[2:])
        if not interpolate_pos_encoding and found != size:
            raise ValueError(f"ViT: expected pictures of {size}, got {found}")
        logits: Tensor = self.classifier(self.vit(pixel_values))
        return logits
