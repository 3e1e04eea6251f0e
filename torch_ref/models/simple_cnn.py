"""The guide's SimpleCNN: convolution, ReLU, pooling, dense.       after LeCun et al. 1989

a = relu(W * x + b)      p = maxpool_2(a)      y = flatten(p) V^T + c
"""

import torch
from torch import nn


class SimpleCNN(nn.Module):
    """One convolution and one dense layer that tell two kinds of grey images apart.

    Args:
        img_size: height and width of an image.
        num_filters: number of filters.
        filter_size: height and width of a filter.
        dtype: of the parameters.

    Shape:
        (N, 1, img_size, img_size) to logits (N, 1): their sigmoid is the probability of class 1.
    """

    def __init__(
        self,
        img_size: int = 16,
        num_filters: int = 8,
        filter_size: int = 3,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        pooled = (img_size - filter_size + 1) // 2
        self.conv = nn.Conv2d(1, num_filters, filter_size, dtype=dtype)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(num_filters * pooled**2, 1, dtype=dtype)
        nn.init.normal_(self.conv.weight, std=0.1)
        nn.init.normal_(self.fc.weight, std=0.01)
        for layer in (self.conv, self.fc):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits of class 1."""
        p = self.pool(self.relu(self.conv(input)))
        y: torch.Tensor = self.fc(p.flatten(1))
        return y
