"""MobileNetV2.               Sandler, Howard, Zhu, Zhmoginov & Chen 2018, arXiv:1801.04381, table 2

block      f = bn(conv1x1(relu6(bn(depthwise3x3_stride(relu6(bn(conv1x1(x))))))))
           y = x + f where the shapes agree, else f: no activation after the narrow ends
           dx = dy + f'(dy), else f'(dy)
shapes     x (N, C, H, W)   inside (N, t C, H, W)   y (N, C', H / stride, W / stride), rounded up
start      convolutions from N(0, 2 / fan_out), the dense weight from N(0, 0.01^2), its bias 0
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator

# t: expansion; c: channels; n: blocks; s: stride of the first of them.
SETTING = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def make_divisible(v: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to `v` that is not below 0.9 v, at least `divisor`."""
    n = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return n + divisor if n < 0.9 * v else n


class Conv2dNormActivation(nn.Sequential):
    """A convolution that keeps the size (but for its stride), batch norm, and an activation.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: odd.
        stride: of the convolution.
        groups: of the convolution.
        activation: its class, or None for none.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride), rounded up.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `kernel_size` is even.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: type[Module] | None = nn.ReLU6,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        if not check.size("Conv2dNormActivation", "kernel_size", kernel_size, low=1) % 2:
            check.refuse("Conv2dNormActivation", "an odd kernel_size", kernel_size)
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
            dtype=dtype,
            generator=generator,
        )
        ends = [] if activation is None else [activation()]
        super().__init__(conv, nn.BatchNorm2d(out_channels, dtype=dtype), *ends)


class InvertedResidual(Module):
    """Widen, filter each channel by itself, narrow; a shortcut between the narrow ends.

    Args:
        inp: channels of the input.
        oup: channels of the output.
        stride: 1 or 2, of the depthwise convolution.
        expand_ratio: how many times wider it is inside; 1 leaves the widening out.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, inp, H, W) to (N, oup, H / stride, W / stride), rounded up.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `stride` not 1 or 2.
    """

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("InvertedResidual", "stride", stride, (1, 2))
        hidden = inp * check.size("InvertedResidual", "expand_ratio", expand_ratio, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        layers: list[Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, 1, **options))
        layers += [
            Conv2dNormActivation(hidden, hidden, 3, stride, groups=hidden, **options),
            nn.Conv2d(hidden, oup, 1, bias=False, **options),
            nn.BatchNorm2d(oup, dtype=dtype),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inp == oup

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x + f(x), or f(x)."""
        f, conv_back = self.conv(input)
        if not self.use_res_connect:
            return f, conv_back
        return input + f, lambda dy: dy + conv_back(dy)


class MobileNetV2(Module):
    """Inverted residual blocks for small devices, with torchvision's names.

    Args:
        num_classes: number of outputs.
        width_mult: factor of all widths, rounded to multiples of `round_nearest`.
        inverted_residual_setting: rows of t, c, n, s.
        round_nearest: see `width_mult`.
        dropout: probability of dropping an input of the dense layer.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, 3, H, W) to logits (N, num_classes).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, a row has not four entries, or
            `dropout` is no probability.
    """

    _skips_input_grad = True

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] = SETTING,
        round_nearest: int = 8,
        dropout: float = 0.2,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("MobileNetV2", "num_classes", num_classes, low=1)
        check.number("MobileNetV2", "width_mult", width_mult, 0, open_low=True)
        check.size("MobileNetV2", "round_nearest", round_nearest, low=1)
        check.number("MobileNetV2", "dropout", dropout, 0, 1)
        setting = check_rows("MobileNetV2", inverted_residual_setting, 4)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        inp = make_divisible(32 * width_mult, round_nearest)
        last = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[Module] = [Conv2dNormActivation(3, inp, stride=2, **options)]
        for t, c, n, s in setting:
            oup = make_divisible(c * width_mult, round_nearest)
            for i in range(n):
                features.append(InvertedResidual(inp, oup, s if i == 0 else 1, t, **options))
                inp = oup
        features.append(Conv2dNormActivation(inp, last, 1, **options))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout, generator=generator), nn.Linear(last, num_classes, **options)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", generator=generator)
            elif isinstance(m, nn.Linear):
                init.normal_(m.weight, std=0.01, generator=generator)
                assert m.bias is not None
                init.zeros_(m.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        mean = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(self.features, *mean, self.classifier)(input)


def check_rows(function: str, setting: object, entries: int) -> list[list[int]]:
    """The rows of a network's table, each of so many positive integers."""
    if not isinstance(setting, Sequence) or not setting:
        expected = "inverted_residual_setting to have rows"
        check.refuse(function, expected, check.describe(setting))
    for row in setting:
        if not isinstance(row, Sequence) or len(row) != entries:
            expected = f"every row of inverted_residual_setting to have {entries} entries"
            check.refuse(function, expected, check.describe(row))
    return [
        [check.size(function, "every entry of inverted_residual_setting", n, low=1) for n in row]
        for row in setting
    ]
