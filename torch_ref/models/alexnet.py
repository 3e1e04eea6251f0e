"""AlexNet, the later one with a single column.      Krizhevsky 2014, arXiv:1404.5997; 2012, NeurIPS

x - five convolutions, pooled after the 1st, 2nd and 5th - average to 6x6 - three dense layers
"""

import torch
from torch import nn


class AlexNet(nn.Module):
    """The network that won ImageNet 2012, with torchvision's names.

    Args:
        num_classes: number of outputs.
        dropout: probability of dropping an input of the first two dense layers.
        width: filters of the first layer, 64; all others are in proportion.
        dtype: of the parameters.

    Shape:
        (N, 3, H, W), 63x63 or larger (224x224 in the paper), to logits (N, num_classes).
    """

    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        width: int = 64,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        w, dense = width, 64 * width
        self.features = nn.Sequential(
            nn.Conv2d(3, w, 11, stride=4, padding=2, dtype=dtype),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(w, 3 * w, 5, padding=2, dtype=dtype),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(3 * w, 6 * w, 3, padding=1, dtype=dtype),
            nn.ReLU(),
            nn.Conv2d(6 * w, 4 * w, 3, padding=1, dtype=dtype),
            nn.ReLU(),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1, dtype=dtype),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(4 * w * 6 * 6, dense, dtype=dtype),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, dense, dtype=dtype),
            nn.ReLU(),
            nn.Linear(dense, num_classes, dtype=dtype),
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits."""
        a = self.avgpool(self.features(input))
        y: torch.Tensor = self.classifier(a.flatten(1))
        return y
