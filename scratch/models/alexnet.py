"""AlexNet, the later one with a single column.      Krizhevsky 2014, arXiv:1404.5997; 2012, NeurIPS

forward    x - five convolutions, pooled after the 1st, 2nd and 5th - average to 6x6 - three dense
           layers, the first two behind a dropout
backward   the layers' own, last to first
shapes     x (N, 3, 224, 224)   before the average (N, 256, 6, 6)   y (N, num_classes)
paper      2012: two columns on two GPUs and local response normalisation; both are gone here
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class AlexNet(Module):
    """The network that won ImageNet 2012, with torchvision's names.

    Args:
        num_classes: number of outputs.
        dropout: probability of dropping an input of the first two dense layers.
        width: filters of the first layer, 64; all others are in proportion.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, 3, H, W), 63x63 or larger (224x224 in the paper), to logits (N, num_classes).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `dropout` no probability.
    """

    _skips_input_grad = True

    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        width: int = 64,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("AlexNet", "num_classes", num_classes, low=1)
        check.number("AlexNet", "dropout", dropout, 0, 1)
        w = check.size("AlexNet", "width", width, low=1)
        dense = 64 * w
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.features = nn.Sequential(
            nn.Conv2d(3, w, 11, stride=4, padding=2, **options),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(w, 3 * w, 5, padding=2, **options),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(3 * w, 6 * w, 3, padding=1, **options),
            nn.ReLU(),
            nn.Conv2d(6 * w, 4 * w, 3, padding=1, **options),
            nn.ReLU(),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1, **options),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout, generator=generator),
            nn.Linear(4 * w * 6 * 6, dense, **options),
            nn.ReLU(),
            nn.Dropout(dropout, generator=generator),
            nn.Linear(dense, dense, **options),
            nn.ReLU(),
            nn.Linear(dense, num_classes, **options),
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        chain = nn.Sequential(self.features, self.avgpool, nn.Flatten(), self.classifier)
        return chain(input)
