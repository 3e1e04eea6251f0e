"""LeNet-5.                      LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11), fig. 2

x - C1 6@5x5 - S2 /2 - C3 16@5x5 - S4 /2 - C5 120@ the rest - F6 84 - output 10

f after C1, C3, C5 and F6: tanh, the paper's 1.7159 tanh(2x / 3), or relu. C5 covers all that S4
leaves, 5x5 of a 32x32 image. `TABLE` is the paper's table I: which maps of S2 a map of C3 reads.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

# Row: map of C3; the maps of S2 that it reads.
TABLE = (
    *((i, (i + 1) % 6, (i + 2) % 6) for i in range(6)),
    *((i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6) for i in range(6)),
    *((i, (i + 1) % 6, (i + 3) % 6, (i + 4) % 6) for i in range(3)),
    tuple(range(6)),
)


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x / 3), which has f(1) = 1 and f(-1) = -1."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """f(x)."""
        return 1.7159 * torch.tanh(input * (2 / 3))


class TableConv2d(nn.Conv2d):
    """A convolution from 6 maps to 16 that `TABLE` makes sparse; arguments as of `nn.Conv2d`."""

    table: torch.Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        table = torch.zeros(16, 6, 1, 1, dtype=torch.bool)
        for i, maps in enumerate(TABLE):
            table[i, list(maps)] = True
        self.register_buffer("table", table, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = (T W) * x + b."""
        return F.conv2d(input, self.table * self.weight, self.bias, padding=self.padding)


ACTIVATIONS = {"tanh": nn.Tanh, "scaled_tanh": ScaledTanh, "relu": nn.ReLU}
POOLS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


class LeNet5(nn.Module):
    """Two convolutions with subsampling, and three layers that see all.

    Args:
        num_classes: number of outputs.
        img_size: height and width of an image.
        padding: zeros around the inputs of C1 and of C3: (0, 0) for 32x32 as in the paper, (2, 0)
            for 28x28, (2, 2) for 8x8.
        activation: 'tanh', 'scaled_tanh' as in the paper, or 'relu'.
        pool: 'avg' or 'max'.
        connections: 'full', or 'table' for the paper's.
        in_channels: of an image.
        dtype: of the parameters.

    Shape:
        (N, in_channels, img_size, img_size) to logits (N, num_classes).
    """

    def __init__(
        self,
        num_classes: int = 10,
        img_size: int = 32,
        padding: tuple[int, int] = (0, 0),
        activation: str = "tanh",
        pool: str = "avg",
        connections: str = "full",
        in_channels: int = 1,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        f, subsample = ACTIVATIONS[activation], POOLS[pool]
        after_c1 = img_size + 2 * padding[0] - 4
        after_c3 = after_c1 // 2 + 2 * padding[1] - 4
        c3 = nn.Conv2d if connections == "full" else TableConv2d
        self.layers = nn.Sequential(
            OrderedDict(
                c1=nn.Conv2d(in_channels, 6, 5, padding=padding[0], dtype=dtype),
                f1=f(),
                s2=subsample(2),
                c3=c3(6, 16, 5, padding=padding[1], dtype=dtype),
                f3=f(),
                s4=subsample(2),
                c5=nn.Conv2d(16, 120, after_c3 // 2, dtype=dtype),
                f5=f(),
                flatten=nn.Flatten(),
                f6=nn.Linear(120, 84, dtype=dtype),
                squash=f(),
                output=nn.Linear(84, num_classes, dtype=dtype),
            )
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits."""
        y: torch.Tensor = self.layers(input)
        return y
