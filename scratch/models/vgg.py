"""VGG.                                       Simonyan & Zisserman 2014, arXiv:1409.1556, table 1

forward    x - five stages of 3x3 convolutions, each pooled /2 - average to 7x7 - three dense
           layers, the first two before a dropout
backward   the layers' own, last to first
shapes     x (N, 3, 224, 224)   before the average (N, 512, 7, 7)   y (N, num_classes)
start      convolutions from N(0, 2 / fan_out), dense weights from N(0, 0.01^2), biases 0
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator

# By depth: number of convolutions in each stage.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)  # of the stages, in units of the first


class VGG(Module):
    """Deep and plain: small filters only, with torchvision's names.

    Args:
        depth: layers with weights: 11, 13, 16 or 19 (the paper's A, B, D, E).
        batch_norm: normalise after each convolution, which the paper did not know yet.
        num_classes: number of outputs.
        dropout: probability of dropping an output of the first two dense layers.
        width: filters of the first stage, 64; all others are in proportion.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, 3, H, W), 32x32 or larger (224x224 in the paper), to logits (N, num_classes).

    Raises:
        TypeError, ValueError: if there is no such depth, a size is not a positive integer, or
            `dropout` is no probability.
    """

    _skips_input_grad = True

    def __init__(
        self,
        depth: int,
        batch_norm: bool = False,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        width: int = 64,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("VGG", "depth", depth, tuple(STAGES))
        check.size("VGG", "num_classes", num_classes, low=1)
        check.number("VGG", "dropout", dropout, 0, 1)
        dense = 64 * check.size("VGG", "width", width, low=1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        layers: list[Module] = []
        c_in = 3
        for n, factor in zip(STAGES[depth], WIDTHS, strict=True):
            for _ in range(n):
                c_out = factor * width
                layers.append(nn.Conv2d(c_in, c_out, 3, padding=1, **options))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(c_out, dtype=dtype))
                layers.append(nn.ReLU())
                c_in = c_out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * 7 * 7, dense, **options),
            nn.ReLU(),
            nn.Dropout(dropout, generator=generator),
            nn.Linear(dense, dense, **options),
            nn.ReLU(),
            nn.Dropout(dropout, generator=generator),
            nn.Linear(dense, num_classes, **options),
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", generator=generator)
            elif isinstance(m, nn.Linear):
                init.normal_(m.weight, std=0.01, generator=generator)
            if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None:
                init.zeros_(m.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        chain = nn.Sequential(self.features, self.avgpool, nn.Flatten(), self.classifier)
        return chain(input)
