"""A small FaceNet: a convolutional network whose output lies on the unit sphere.

a = pool(relu(conv_1 x))     b = pool(relu(conv_2 a))     z = V flatten(b) + c     f = z / |z|

Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv:1503.03832.
"""

import torch
from torch import nn
from torch.nn import functional as F


class EmbeddingNet(nn.Module):
    """Embeddings of small pictures, near each other where the pictures show the same.

    Args:
        in_channels: of a picture.
        img_size: S, its height and width, at least 4.
        embedding_dim: D.
        num_filters: F, of the first convolution; the second has twice as many.
        normalize: whether embeddings have length 1; a softmax classifier is trained on z.
        dtype: of the parameters.

    Shape:
        (N, in_channels, img_size, img_size) to (N, embedding_dim).
    """

    def __init__(
        self,
        in_channels: int = 1,
        img_size: int = 8,
        embedding_dim: int = 16,
        num_filters: int = 16,
        normalize: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.conv1 = nn.Conv2d(in_channels, num_filters, 3, padding=1, dtype=dtype)
        self.conv2 = nn.Conv2d(num_filters, 2 * num_filters, 3, padding=1, dtype=dtype)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(2 * num_filters * (img_size // 4) ** 2, embedding_dim, dtype=dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """f, or z where it is not normalised."""
        a = self.pool(F.relu(self.conv1(input)))
        b = self.pool(F.relu(self.conv2(a)))
        z: torch.Tensor = self.fc(b.flatten(1))
        return F.normalize(z) if self.normalize else z
