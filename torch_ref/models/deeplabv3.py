"""DeepLabV3 on a ResNet.               Chen, Papandreou, Schroff & Adam 2017, arXiv:1706.05587

backbone    ResNet whose last two stages spread their filters instead of halving the image
aspp        concat(conv1x1(x), conv3x3 at each rate, mean over the image) - conv1x1
y           upsampled from 1/8 of the size to that of the image, bilinearly
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.models.resnet import Bottleneck, ResNet


class SegmentationOutputs(NamedTuple):
    """Logits (N, num_classes, H, W) of the network, and of the classifier that helps to train."""

    out: torch.Tensor
    aux: torch.Tensor


class IntermediateLayerGetter(nn.ModuleDict):
    """The first children of a module, in turn, and what some of them return.

    Args:
        model: the module.
        return_layers: names of children, in order; those after the last are left out.

    Shape:
        as the first child's to a tuple of outputs.
    """

    def __init__(self, model: nn.Module, return_layers: Sequence[str]) -> None:
        children = dict(model.named_children())
        last = list(children).index(return_layers[-1])
        super().__init__(dict(list(children.items())[: last + 1]))
        self.return_layers = tuple(return_layers)

    def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs of `return_layers`."""
        outputs = []
        for name, module in self.items():
            input = module(input)
            if name in self.return_layers:
                outputs.append(input)
        return tuple(outputs)


def _conv(
    c_in: int, c_out: int, kernel: int, dilation: int = 1, dtype: torch.dtype | None = None
) -> list[nn.Module]:
    """A convolution that keeps the size, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(
        c_in, c_out, kernel, padding=padding, dilation=dilation, bias=False, dtype=dtype
    )
    return [conv, nn.BatchNorm2d(c_out, dtype=dtype), nn.ReLU()]


class ASPPPooling(nn.Sequential):
    """The mean over the image, through a 1x1 convolution, at every pixel."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The same at every pixel."""
        y = input
        for layer in self:
            y = layer(y)
        return F.interpolate(y, size=input.shape[-2:], mode="bilinear")


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: the same features at several scales, side by side.

    Args:
        in_channels: of the input.
        atrous_rates: dilations of the 3x3 convolutions.
        out_channels: of each branch and of the output.
        dtype: of the parameters.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        atrous_rates: Sequence[int],
        out_channels: int = 256,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        n, c = in_channels, out_channels
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_conv(n, c, 1, dtype=dtype)),
                *(nn.Sequential(*_conv(n, c, 3, rate, dtype)) for rate in atrous_rates),
                ASPPPooling(nn.AdaptiveAvgPool2d(1), *_conv(n, c, 1, dtype=dtype)),
            ]
        )
        self.project = nn.Sequential(
            *_conv(len(self.convs) * c, c, 1, dtype=dtype), nn.Dropout(0.5)
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The branches side by side, then a 1x1 convolution."""
        branches = [conv(input) for conv in self.convs]
        y: torch.Tensor = self.project(torch.cat(branches, 1))
        return y


class DeepLabV3(nn.Module):
    """A label for each pixel, with torchvision's names.

    Args:
        num_classes: number of outputs for each pixel.
        aux_loss: whether a second classifier looks at the third stage, to help to train.
        layers: blocks in each stage of the backbone; (3, 4, 6, 3) is ResNet-50.
        atrous_rates: dilations of the pyramid; the paper's for 1/8 of the size.
        width: channels of the backbone's first stage, 64; all others are in proportion.
        dtype: of the parameters.

    Shape:
        (N, 3, H, W) to logits (N, num_classes, H, W), with `aux_loss` to two of them.
    """

    def __init__(
        self,
        num_classes: int = 21,
        aux_loss: bool = False,
        layers: Sequence[int] = (3, 4, 6, 3),
        atrous_rates: Sequence[int] = (12, 24, 36),
        *,
        width: int = 64,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        resnet = ResNet(
            Bottleneck,
            layers,
            replace_stride_with_dilation=(False, True, True),
            width=width,
            dtype=dtype,
        )
        returned = ("layer3", "layer4") if aux_loss else ("layer4",)
        self.backbone = IntermediateLayerGetter(resnet, returned)
        auxiliary = None
        if aux_loss:
            auxiliary = nn.Sequential(
                *_conv(16 * width, 4 * width, 3, dtype=dtype),
                nn.Dropout(0.1),
                nn.Conv2d(4 * width, num_classes, 1, dtype=dtype),
            )
        self.classifier = nn.Sequential(
            ASPP(32 * width, atrous_rates, 4 * width, dtype=dtype),
            *_conv(4 * width, 4 * width, 3, dtype=dtype),
            nn.Conv2d(4 * width, num_classes, 1, dtype=dtype),
        )
        self.aux_classifier = auxiliary

    def forward(self, input: torch.Tensor) -> torch.Tensor | SegmentationOutputs:
        """Logits of each pixel."""
        *middle, last = self.backbone(input)
        size = input.shape[-2:]
        out = F.interpolate(self.classifier(last), size=size, mode="bilinear")
        if self.aux_classifier is None:
            return out
        aux = F.interpolate(self.aux_classifier(*middle), size=size, mode="bilinear")
        return SegmentationOutputs(out, aux)
