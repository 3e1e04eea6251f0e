"""VGG.                                       Simonyan & Zisserman 2014, arXiv:1409.1556, table 1

x - five stages of 3x3 convolutions, each pooled /2 - average to 7x7 - three dense layers
"""

import torch
from torch import nn

# By depth: number of convolutions in each stage.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)  # of the stages, in units of the first


class VGG(nn.Module):
    """Deep and plain: small filters only, with torchvision's names.

    Args:
        depth: layers with weights: 11, 13, 16 or 19 (the paper's A, B, D, E).
        batch_norm: normalise after each convolution, which the paper did not know yet.
        num_classes: number of outputs.
        dropout: probability of dropping an output of the first two dense layers.
        width: filters of the first stage, 64; all others are in proportion.
        dtype: of the parameters.

    Shape:
        (N, 3, H, W), 32x32 or larger (224x224 in the paper), to logits (N, num_classes).
    """

    def __init__(
        self,
        depth: int,
        batch_norm: bool = False,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        width: int = 64,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in, dense = 3, 64 * width
        for n, factor in zip(STAGES[depth], WIDTHS, strict=True):
            for _ in range(n):
                c_out = factor * width
                layers.append(nn.Conv2d(c_in, c_out, 3, padding=1, dtype=dtype))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(c_out, dtype=dtype))
                layers.append(nn.ReLU())
                c_in = c_out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * 7 * 7, dense, dtype=dtype),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, dense, dtype=dtype),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, num_classes, dtype=dtype),
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.01)
            if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits."""
        a = self.avgpool(self.features(input))
        y: torch.Tensor = self.classifier(a.flatten(1))
        return y
