"""LeNet-5.                      LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11), fig. 2

forward    x - C1 6@5x5 - S2 /2 - C3 16@5x5 - S4 /2 - C5 120@ the rest - F6 84 - output 10
           f after C1, C3, C5 and F6: tanh, the paper's 1.7159 tanh(2x / 3), or relu
backward   the layers' own, last to first
shapes     x (N, 1, 32, 32)   C1 (N, 6, 28, 28)   C3 (N, 16, 10, 10)   C5 (N, 120, 1, 1)
table      map i of C3 reads the maps TABLE[i] of S2: y = (T W) * x + b, dW = T d(T W)
paper      S2 and S4 also scale and shift each map, and the output measures distances to drawings
           of the ten digits; as nearly everywhere they are means here, and it is linear
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.module import Module, value
from scratch.nn.op import Backward, op
from scratch.random import Generator

# Row: map of C3; the maps of S2 that it reads (table I of the paper).
TABLE = (
    *((i, (i + 1) % 6, (i + 2) % 6) for i in range(6)),
    *((i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6) for i in range(6)),
    *((i, (i + 1) % 6, (i + 3) % 6, (i + 4) % 6) for i in range(3)),
    tuple(range(6)),
)


@op
def scaled_tanh(input: Array) -> tuple[Array, Backward]:
    """y = 1.7159 tanh(2x / 3), with which 1 gives 1 and -1 gives -1.

    Args:
        input: x of any shape.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.

    Source:
        LeCun, Bottou, Bengio & Haffner 1998, appendix A.
    """
    x = check.floating("scaled_tanh", "input", input)
    t, tanh_back = F.tanh(x * (2 / 3))
    return 1.7159 * t, lambda dy: tanh_back(1.7159 * dy) * (2 / 3)


class ScaledTanh(Module):
    """`scaled_tanh` as a module."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = 1.7159 tanh(2x / 3)."""
        return scaled_tanh(input)


class TableConv2d(nn.Conv2d):
    """A convolution from 6 maps to 16 that `TABLE` makes sparse; arguments as of `nn.Conv2d`."""

    table: Array

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        table = np.zeros((16, 6, 1, 1), bool)
        for i, maps in enumerate(TABLE):
            table[i, list(maps)] = True
        self.register_buffer("table", table, persistent=False)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = (T W) * x + b."""
        table = self.table
        weight = table * self.weight.data
        y, conv_back = F.conv2d(input, weight, value(self.bias), padding=self.padding)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None
            dx, dweight, *dbias = conv_back(dy, needs_input_grad=needs_input_grad)
            self.weight.accumulate(table * dweight)
            if self.bias is not None:
                self.bias.accumulate(*dbias)
            return dx

        return y, backward


ACTIVATIONS: dict[str, type[Module]] = {
    "tanh": nn.Tanh,
    "scaled_tanh": ScaledTanh,
    "relu": nn.ReLU,
}
POOLS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


class LeNet5(Module):
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
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, img_size, img_size) to logits (N, num_classes).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, S4 leaves nothing of an image,
            or an option is unknown.
    """

    _skips_input_grad = True

    def __init__(
        self,
        num_classes: int = 10,
        img_size: int = 32,
        padding: Sequence[int] = (0, 0),
        activation: str = "tanh",
        pool: str = "avg",
        connections: str = "full",
        in_channels: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("LeNet5", "num_classes", num_classes, low=1)
        check.size("LeNet5", "in_channels", in_channels, low=1)
        check.option("LeNet5", "activation", activation, tuple(ACTIVATIONS))
        check.option("LeNet5", "pool", pool, tuple(POOLS))
        check.option("LeNet5", "connections", connections, ("full", "table"))
        first, second = (
            check.size("LeNet5", "padding", p) for p in check.pair("LeNet5", "padding", padding)
        )
        after_c1 = check.size("LeNet5", "img_size", img_size) + 2 * first - 4
        after_c3 = after_c1 // 2 + 2 * second - 4
        if after_c1 < 2 or after_c3 < 2:
            expected = "img_size and padding that leave 2x2 or more to S2 and to S4"
            check.refuse("LeNet5", expected, f"{img_size} and {tuple(padding)}")
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        f, subsample = ACTIVATIONS[activation], POOLS[pool]
        c3 = nn.Conv2d if connections == "full" else TableConv2d
        self.layers = nn.Sequential(
            {
                "c1": nn.Conv2d(in_channels, 6, 5, padding=first, **options),
                "f1": f(),
                "s2": subsample(2),
                "c3": c3(6, 16, 5, padding=second, **options),
                "f3": f(),
                "s4": subsample(2),
                "c5": nn.Conv2d(16, 120, after_c3 // 2, **options),
                "f5": f(),
                "flatten": nn.Flatten(),
                "f6": nn.Linear(120, 84, **options),
                "squash": f(),
                "output": nn.Linear(84, num_classes, **options),
            }
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        return self.layers(input)
