"""Vision Transformer.                         Dosovitskiy et al. 2021, arXiv:2010.11929, section 3

patches     x_i = W vec(i-th P x Q patch) + b, a convolution whose stride is its kernel
embeddings  h = drop([cls, x_1, ..., x_N] + E)        E one learned row for each place, cls's too
layer       a = h + drop(attention(norm h) W_o^T + b_o)   y = a + drop(g(norm(a) W_1^T) W_2^T)
            pre-norm: what goes around a sublayer is not normalised
head        W_c norm(h_cls) + b_c
backward    of a = h + f(norm h): dh = da + norm'(f'(da))   dcls = dh_cls over the batch, summed
shapes      pixels (B, C, R P, S Q)   N = R S places, row by row   h (B, 1 + N, D)
            W (D, C, P, Q): a patch is read channel by channel, each row by row
sizes       pixels that make no whole patch, on the right and below, are left out. For pictures of
            another size E is resized, bicubically, as a picture of R x S pixels.
start       weights N(0, 0.02^2), biases 0; cls and E from N(0, 0.02^2) cut off at +-2 (not at two
            deviations: the bounds of trunc_normal_ are values)
names       Hugging Face's, which are the published checkpoints'; the norms' epsilon is 1e-12
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.encoder_parts import EncoderConfig, Intermediate, SelfAttention, start
from scratch.models.pretrained import Pretrained
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward
from scratch.random import Generator

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
        TypeError, ValueError: if a field is out of range.
    """

    model_type: ClassVar[str] = "vit"

    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    image_size: Size = 224
    patch_size: Size = 16
    num_channels: int = 3
    qkv_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check.size("ViTConfig", "num_channels", self.num_channels, low=1)
        check.option("ViTConfig", "qkv_bias", self.qkv_bias, (True, False))
        image = check.sizes("ViTConfig", "image_size", self.image_size, 2, low=1)
        patch = check.sizes("ViTConfig", "patch_size", self.patch_size, 2, low=1)
        if image[0] < patch[0] or image[1] < patch[1]:
            check.refuse("ViTConfig", f"patch_size within image_size = {image}", patch)

    @property
    def grid(self) -> tuple[int, int]:
        """R and S: how many patches there are below and beside each other."""
        return self.grid_of(*check.sizes("ViTConfig", "image_size", self.image_size, 2))

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """The same of a picture of another size."""
        patch = check.sizes("ViTConfig", "patch_size", self.patch_size, 2)
        return height // patch[0], width // patch[1]


class PatchEmbeddings(Module):
    """The projection of each patch; its weight is a convolution's, the product a dense layer's."""

    _skips_input_grad = True

    def __init__(self, config: ViTConfig, **made: Any) -> None:
        patch = check.sizes("ViTConfig", "patch_size", config.patch_size, 2)
        self.patch = patch
        channels = config.num_channels
        self.projection = nn.Conv2d(channels, config.hidden_size, patch, patch, **made)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """(B, C, R P, S Q) to (B, R S, D)."""
        w = self.projection.weight
        (n, c, height, width), (p, q) = x.shape, self.patch
        rows, columns = height // p, width // q
        whole = np.s_[:, :, : rows * p, : columns * q]
        grid = x[whole].reshape(n, c, rows, p, columns, q).transpose(0, 2, 4, 1, 3, 5)
        patches = grid.reshape(n, rows * columns, c * p * q)
        weight = w.data.reshape(len(w.data), -1)
        y, linear_back = F.linear(patches, weight, value(self.projection.bias))

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dpatches, dw, *db = linear_back(dy, needs_input_grad=needs_input_grad)
            w.accumulate(dw.reshape(w.shape))
            if self.projection.bias is not None:
                self.projection.bias.accumulate(*db)
            if not needs_input_grad:
                return None
            dgrid = dpatches.reshape(n, rows, columns, c, p, q).transpose(0, 3, 1, 4, 2, 5)
            dx = np.zeros(x.shape, x.dtype)
            dx[whole] = dgrid.reshape(n, c, rows * p, columns * q)
            return dx

        return y, backward

    def _reads(self) -> list[tuple[str, Parameter]]:
        return [("projection.weight", self.projection.weight)]


class Embeddings(Module):
    """The class token and the patches, each with the embedding of its place."""

    _skips_input_grad = True
    _unread = frozenset({"cls_token", "position_embeddings"})

    def __init__(self, config: ViTConfig, **made: Any) -> None:
        size, (rows, columns) = config.hidden_size, config.grid
        self.config = config
        self.cls_token = Parameter(np.empty((1, 1, size), made["dtype"]))
        places = 1 + rows * columns
        self.position_embeddings = Parameter(np.empty((1, places, size), made["dtype"]))
        self.patch_embeddings = PatchEmbeddings(config, **made)
        self.dropout = nn.Dropout(config.hidden_dropout_prob, generator=made["generator"])
        for parameter in (self.position_embeddings, self.cls_token):
            std = config.initializer_range
            init.trunc_normal_(parameter, std=std, generator=made["generator"])

    def forward(self, pixel_values: Array) -> tuple[Array, Backward]:
        """h (B, 1 + N, D)."""
        patches, patches_back = self.patch_embeddings(pixel_values)
        places, places_back = self._places(pixel_values.shape[2:])
        h = np.empty((len(patches), *places.shape[1:]), patches.dtype)
        np.add(self.cls_token.data, places[:, :1], out=h[:, :1])
        np.add(patches, places[:, 1:], out=h[:, 1:])
        h, dropout_back = self.dropout(h)

        def backward(dh: Array, needs_input_grad: bool = True) -> Array | None:
            d = dropout_back(dh)
            dplaces = d.sum(0, keepdims=True)
            self.position_embeddings.accumulate(places_back(dplaces))
            self.cls_token.accumulate(dplaces[:, :1].copy())
            dx: Array | None = patches_back(d[:, 1:], needs_input_grad=needs_input_grad)
            return dx

        return h, backward

    def _places(self, size: tuple[int, ...]) -> tuple[Array, Backward]:
        """E for pictures of that size (1, 1 + N, D)."""
        e, grid = self.position_embeddings.data, self.config.grid
        other = self.config.grid_of(*size)
        if other == grid:
            return e, lambda de: de
        picture = e[:, 1:].swapaxes(1, 2).reshape(1, -1, *grid)
        resized, interpolate_back = F.interpolate(picture, other, mode="bicubic")
        rest = resized.reshape(*resized.shape[:2], -1).swapaxes(1, 2)

        def backward(de: Array) -> Array:
            dresized = de[:, 1:].swapaxes(1, 2).reshape(resized.shape)
            dpicture = interpolate_back(dresized)
            drest = dpicture.reshape(*dpicture.shape[:2], -1).swapaxes(1, 2)
            return np.concatenate([de[:, :1], drest], axis=1)

        return np.concatenate([e[:, :1], rest], axis=1), backward


class Output(Module):
    """The end of a sublayer: drop(h W^T + b)."""

    def __init__(self, features: int, config: ViTConfig, **made: Any) -> None:
        self.dense = nn.Linear(features, config.hidden_size, **made)
        self.dropout = nn.Dropout(config.hidden_dropout_prob, generator=made["generator"])

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """(B, 1 + N, features) to (B, 1 + N, D)."""
        f, dense_back = self.dense(h)
        f, dropout_back = self.dropout(f)
        return f, lambda df: dense_back(dropout_back(df))


class Attention(Module):
    """The first sublayer, without what goes around it."""

    def __init__(self, config: ViTConfig, **made: Any) -> None:
        self.attention = SelfAttention(config, config.qkv_bias, **made)
        self.output = Output(config.hidden_size, config, **made)

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """drop(attention(h) W^T + b)."""
        y, attention_back = self.attention(h)
        f, output_back = self.output(y)
        return f, lambda df: attention_back(output_back(df))


class Layer(Module):
    """Attention, then the feed-forward network, each added to what it read."""

    def __init__(self, config: ViTConfig, **made: Any) -> None:
        size, eps, dtype = config.hidden_size, config.layer_norm_eps, made["dtype"]
        self.attention = Attention(config, **made)
        self.intermediate = Intermediate(config, **made)
        self.output = Output(config.intermediate_size, config, **made)
        self.layernorm_before = nn.LayerNorm(size, eps, dtype=dtype)
        self.layernorm_after = nn.LayerNorm(size, eps, dtype=dtype)

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """a = h + attention(norm h), y = a + feed_forward(norm a)."""
        n, before_back = self.layernorm_before(h)
        f, attention_back = self.attention(n)
        a = h + f

        n, after_back = self.layernorm_after(a)
        z, intermediate_back = self.intermediate(n)
        f, output_back = self.output(z)
        y = a + f

        def backward(dy: Array) -> Array:
            da = dy + after_back(intermediate_back(output_back(dy)))
            dh: Array = da + before_back(attention_back(da))
            return dh

        return y, backward


class Encoder(Module):
    """The layers above each other."""

    def __init__(self, config: ViTConfig, **made: Any) -> None:
        self.layer = nn.ModuleList(Layer(config, **made) for _ in range(config.num_hidden_layers))

    def forward(self, h: Array) -> tuple[Array, Backward]:
        """h of the last layer."""
        backs = []
        for layer in self.layer:
            h, back = layer(h)
            backs.append(back)

        def backward(dh: Array) -> Array:
            for back in reversed(backs):
                dh = back(dh)
            return dh

        return h, backward


class ViTModel(Module):
    """All but the head, `transformers.ViTModel`; of the last norm only what the head reads."""

    _skips_input_grad = True

    def __init__(self, config: ViTConfig, **made: Any) -> None:
        self.embeddings = Embeddings(config, **made)
        self.encoder = Encoder(config, **made)
        eps = config.layer_norm_eps
        self.layernorm = nn.LayerNorm(config.hidden_size, eps, dtype=made["dtype"])

    def forward(self, pixel_values: Array) -> tuple[Array, Backward]:
        """The class token's (B, D)."""
        h, embeddings_back = self.embeddings(pixel_values)
        h, encoder_back = self.encoder(h)
        y, norm_back = self.layernorm(h[:, 0])
        shape = h.shape

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dh = np.zeros(shape, dy.dtype)
            dh[:, 0] = norm_back(dy)
            dx: Array | None = embeddings_back(encoder_back(dh), needs_input_grad=needs_input_grad)
            return dx

        return y, backward


class ViT(Pretrained):
    """The class of a picture, by a Transformer over its patches: `ViTForImageClassification`.

    Args:
        config: sizes and options; `num_labels` classes.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, C, *image_size) to (B, num_labels).

    Raises:
        TypeError, ValueError: in a forward, if the pictures are of another dtype or size.

    Source: Dosovitskiy et al. 2021, section 3.1; other sizes: section 3.2.
    """

    config_class = ViTConfig
    architecture = "ViTForImageClassification"
    base_model_prefix = "vit"
    _ignored = r"(^|\.)pooler\.|embeddings\.mask_token$"
    _skips_input_grad = True

    def __init__(
        self,
        config: ViTConfig,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(config, ViTConfig):
            check.refuse("ViT", "a ViTConfig", check.describe(config), TypeError)
        generator = generator or Generator()
        super().__init__(config, dtype=dtype, generator=generator)
        self.vit = ViTModel(config, dtype=dtype, generator=generator)
        self.classifier = nn.Linear(
            config.hidden_size, config.num_labels, dtype=dtype, generator=generator
        )
        start(self, config.initializer_range, generator)

    def forward(
        self, pixel_values: Array, interpolate_pos_encoding: bool = False
    ) -> tuple[Array, Backward]:
        """Scores of the classes.

        Args:
            pixel_values: (B, C, height, width).
            interpolate_pos_encoding: whether pictures may be of another size than `image_size`,
                for which the embeddings of the places are resized.

        Returns:
            (B, num_labels), and its backward: dlogits -> dpixel_values.
        """
        check.option("ViT", "interpolate_pos_encoding", interpolate_pos_encoding, (True, False))
        config = self.config
        x = check.floating("ViT", "pixel_values", pixel_values, like=self.classifier.weight.data)
        size: tuple[int | str, ...] = ("height", "width")
        if not interpolate_pos_encoding:
            size = check.sizes("ViT", "image_size", config.image_size, 2)
        check.shape("ViT", "pixel_values", x, ("B", config.num_channels, *size))
        if 0 in config.grid_of(*x.shape[2:]):
            check.refuse("ViT", f"pictures of a patch of {config.patch_size} or more", x.shape)
        y, vit_back = self.vit(x)
        logits, classifier_back = self.classifier(y)

        def backward(dlogits: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None = vit_back(classifier_back(dlogits), needs_input_grad=needs_input_grad)
            return dx

        return logits, backward
