"""A small FaceNet: a convolutional network whose output lies on the unit sphere.

forward    a = pool(relu(conv_1 x))     b = pool(relu(conv_2 a))     z = V flatten(b) + c
           f = z / max(|z|, 1e-12): two pictures are as far apart as |f_1 - f_2|^2 = 2 - 2 f_1 . f_2
backward   the sphere's first: dz = (df - f (f . df)) / |z|, then back through the layers
shapes     x (N, in, S, S)   a (N, F, S/2, S/2)   b (N, 2F, S/4, S/4)   z, f (N, D)
layers     convolutions 3 x 3 with padding 1, max-pooling 2 x 2: far smaller than the paper's
Source     Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv:1503.03832, section 3 and figure 2
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class EmbeddingNet(Module):
    """Embeddings of small pictures, near each other where the pictures show the same.

    Args:
        in_channels: of a picture.
        img_size: S, its height and width, at least 4.
        embedding_dim: D.
        num_filters: F, of the first convolution; the second has twice as many.
        normalize: whether embeddings have length 1; a softmax classifier is trained on z.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, img_size, img_size) to (N, embedding_dim).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or nothing is left to pool.
    """

    _skips_input_grad = True

    def __init__(
        self,
        in_channels: int = 1,
        img_size: int = 8,
        embedding_dim: int = 16,
        num_filters: int = 16,
        normalize: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "EmbeddingNet"
        check.size(name, "in_channels", in_channels, low=1)
        check.size(name, "img_size", img_size, low=4)
        check.size(name, "embedding_dim", embedding_dim, low=1)
        check.size(name, "num_filters", num_filters, low=1)
        check.option(name, "normalize", normalize, (True, False))
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.normalize = normalize
        self.conv1 = nn.Conv2d(in_channels, num_filters, 3, padding=1, **options)
        self.conv2 = nn.Conv2d(num_filters, 2 * num_filters, 3, padding=1, **options)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(2 * num_filters * (img_size // 4) ** 2, embedding_dim, **options)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """f, or z where it is not normalised."""
        h, conv1_back = self.conv1(input)
        h, relu1_back = F.relu(h)
        a, pool1_back = self.pool(h)
        h, conv2_back = self.conv2(a)
        h, relu2_back = F.relu(h)
        b, pool2_back = self.pool(h)
        flat, flatten_back = F.flatten(b, 1)
        f, fc_back = self.fc(flat)
        sphere_back = None
        if self.normalize:
            f, sphere_back = F.normalize(f)

        def backward(df: Array, needs_input_grad: bool = True) -> Array | None:
            dz = df if sphere_back is None else sphere_back(df)
            db = flatten_back(fc_back(dz))
            da = conv2_back(relu2_back(pool2_back(db)))
            dx: Array | None = conv1_back(
                relu1_back(pool1_back(da)), needs_input_grad=needs_input_grad
            )
            return dx

        return f, backward
