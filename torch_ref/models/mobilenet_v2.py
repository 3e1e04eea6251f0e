"""MobileNetV2.               Sandler, Howard, Zhu, Zhmoginov & Chen 2018, arXiv:1801.04381, table 2

block   f = bn(conv1x1(relu6(bn(depthwise3x3_stride(relu6(bn(conv1x1(x))))))))
        y = x + f where the shapes agree, else f: no activation after the narrow ends
"""

from collections.abc import Sequence

import torch
from torch import nn

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
        dtype: of the parameters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU6,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
            dtype=dtype,
        )
        ends = [] if activation is None else [activation()]
        super().__init__(conv, nn.BatchNorm2d(out_channels, dtype=dtype), *ends)


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; a shortcut between the narrow ends.

    Args:
        inp: channels of the input.
        oup: channels of the output.
        stride: 1 or 2, of the depthwise convolution.
        expand_ratio: how many times wider it is inside; 1 leaves the widening out.
        dtype: of the parameters.
    """

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        hidden = inp * expand_ratio
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, 1, dtype=dtype))
        layers += [
            Conv2dNormActivation(hidden, hidden, 3, stride, groups=hidden, dtype=dtype),
            nn.Conv2d(hidden, oup, 1, bias=False, dtype=dtype),
            nn.BatchNorm2d(oup, dtype=dtype),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inp == oup

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = x + f(x), or f(x)."""
        f: torch.Tensor = self.conv(input)
        return input + f if self.use_res_connect else f


class MobileNetV2(nn.Module):
    """Inverted residual blocks for small devices, with torchvision's names.

    Args:
        num_classes: number of outputs.
        width_mult: factor of all widths, rounded to multiples of `round_nearest`.
        inverted_residual_setting: rows of t, c, n, s.
        round_nearest: see `width_mult`.
        dropout: probability of dropping an input of the dense layer.
        dtype: of the parameters.

    Shape:
        (N, 3, H, W) to logits (N, num_classes).
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] = SETTING,
        round_nearest: int = 8,
        dropout: float = 0.2,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        inp = make_divisible(32 * width_mult, round_nearest)
        last = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [Conv2dNormActivation(3, inp, stride=2, dtype=dtype)]
        for t, c, n, s in inverted_residual_setting:
            oup = make_divisible(c * width_mult, round_nearest)
            for i in range(n):
                features.append(InvertedResidual(inp, oup, s if i == 0 else 1, t, dtype=dtype))
                inp = oup
        features.append(Conv2dNormActivation(inp, last, 1, dtype=dtype))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(last, num_classes, dtype=dtype)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.01)
                nn.init.zeros_(m.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits."""
        a = self.features(input).mean((2, 3))
        y: torch.Tensor = self.classifier(a)
        return y
