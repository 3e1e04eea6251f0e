"""EfficientNet.                                    Tan & Le 2019, arXiv:1905.11946, table 1

block   f = bn(conv1x1(se(silu(bn(depthwise_stride(silu(bn(conv1x1(x)))))))))
        y = x + drop(f) where the shapes agree, else f
se      y = x s(W2 silu(W1 mean(x)))      s: sigmoid; the mean is over the image
drop    whole samples of f are left out in training, more often the deeper the block
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from torch_ref.models.mobilenet_v2 import Conv2dNormActivation, make_divisible

# Expansion, kernel, stride of the first block, input and output channels, blocks.
SETTING = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a number in (0, 1) that depends on the means of all channels.

    Args:
        input_channels: C.
        squeeze_channels: channels in between.
        dtype: of the parameters.

    Shape:
        (N, C, H, W) or (C, H, W) to the same.

    Source:
        Hu, Shen & Sun 2018, arXiv:1709.01507; SiLU in place of its ReLU, as in EfficientNet.
    """

    def __init__(
        self, input_channels: int, squeeze_channels: int, *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1, dtype=dtype)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1, dtype=dtype)
        self.activation = nn.SiLU()
        self.scale_activation = nn.Sigmoid()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = x s."""
        s = self.activation(self.fc1(self.avgpool(input)))
        s = self.scale_activation(self.fc2(s))
        y: torch.Tensor = input * s
        return y


class StochasticDepth(nn.Module):
    """Leave samples out in training with probability p, and divide the others by 1 - p.

    Args:
        p: the probability, in [0, 1].
        mode: 'row' draws for each sample, 'batch' once for all.

    Shape:
        (N, ...) to the same.

    Source:
        Huang, Sun, Liu, Sedra & Weinberger 2016, arXiv:1603.09382, which scales in evaluation
        instead.
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: torch.Tensor, *, mask: torch.Tensor | None = None) -> torch.Tensor:
        """y = x m / (1 - p); `mask` (N or 1, 1, ...) replaces the draw."""
        if not self.training or self.p == 0:
            return input
        if mask is None:
            n = len(input) if self.mode == "row" else 1
            mask = input.new_empty((n, *(1,) * (input.ndim - 1))).bernoulli_(1 - self.p)
        return input * (mask.to(input) / ((1 - self.p) or 1))

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"


class MBConv(nn.Module):
    """Widen, filter each channel by itself, weigh the channels, narrow; a shortcut.

    Args:
        expand_ratio: how many times wider it is inside; 1 leaves the widening out.
        kernel: size of the depthwise convolution.
        stride: 1 or 2, of the depthwise convolution.
        input_channels: of the input.
        out_channels: of the output.
        stochastic_depth_prob: probability of leaving the branch out.
        dtype: of the parameters.
    """

    def __init__(
        self,
        expand_ratio: int,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        stochastic_depth_prob: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        c = make_divisible(input_channels * expand_ratio, 8)
        layers: list[nn.Module] = []
        if c != input_channels:
            layers.append(Conv2dNormActivation(input_channels, c, 1, 1, 1, nn.SiLU, dtype=dtype))
        layers += [
            Conv2dNormActivation(c, c, kernel, stride, c, nn.SiLU, dtype=dtype),
            SqueezeExcitation(c, max(1, input_channels // 4), dtype=dtype),
            Conv2dNormActivation(c, out_channels, 1, 1, 1, None, dtype=dtype),
        ]
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.use_res_connect = stride == 1 and input_channels == out_channels

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = x + drop(f(x)), or f(x)."""
        f: torch.Tensor = self.block(input)
        return input + self.stochastic_depth(f) if self.use_res_connect else f


class EfficientNet(nn.Module):
    """B0, and by its three factors B1 to B4, with torchvision's names.

    Args:
        width_mult: factor of all widths, rounded to multiples of 8.
        depth_mult: factor of the numbers of blocks, rounded up.
        dropout: probability of dropping an input of the dense layer.
        stochastic_depth_prob: probability that the last block's branch would be left out one block
            later; it grows from 0 in proportion to the depth.
        num_classes: number of outputs.
        inverted_residual_setting: rows of expansion, kernel, stride, input and output channels,
            number of blocks.
        dtype: of the parameters.

    Shape:
        (N, 3, H, W) to logits (N, num_classes).
    """

    def __init__(
        self,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        dropout: float = 0.2,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        inverted_residual_setting: Sequence[Sequence[int]] = SETTING,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        depths = [math.ceil(n * depth_mult) for *_, n in inverted_residual_setting]
        c_in = make_divisible(inverted_residual_setting[0][3] * width_mult, 8)
        features: list[nn.Module] = [
            Conv2dNormActivation(3, c_in, 3, 2, 1, nn.SiLU, dtype=dtype),
        ]
        block = 0
        for (t, kernel, stride, _, out, _), n in zip(
            inverted_residual_setting, depths, strict=True
        ):
            c_out, stage = make_divisible(out * width_mult, 8), []
            for i in range(n):
                p = stochastic_depth_prob * block / sum(depths)
                step = stride if i == 0 else 1
                stage.append(MBConv(t, kernel, step, c_in, c_out, p, dtype=dtype))
                c_in, block = c_out, block + 1
            features.append(nn.Sequential(*stage))
        features.append(Conv2dNormActivation(c_in, 4 * c_in, 1, 1, 1, nn.SiLU, dtype=dtype))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(4 * c_in, num_classes, dtype=dtype)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, nn.Linear):
                bound = 1 / math.sqrt(m.out_features)
                nn.init.uniform_(m.weight, -bound, bound)
            if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits."""
        a = self.avgpool(self.features(input))
        y: torch.Tensor = self.classifier(a.flatten(1))
        return y
