"""Deep residual networks.                            He, Zhang, Ren & Sun 2015, arXiv:1512.03385

block      y = relu(f(x) + s(x))    s: the identity, or a 1x1 convolution where the shape changes
basic      f = bn(conv3x3(relu(bn(conv3x3_stride(x)))))
bottleneck f = bn(conv1x1(relu(bn(conv3x3_stride(relu(bn(conv1x1(x))))))))
           The paper strides in the first 1x1; this is the later "v1.5", which torchvision has.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: of the first convolution and the shortcut.
        dilation: must be 1.
        dtype: of the parameters.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if dilation != 1:
            raise ValueError(f"BasicBlock: expected dilation 1, got {dilation}")
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False, dtype=dtype)
        self.bn1 = nn.BatchNorm2d(planes, dtype=dtype)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False, dtype=dtype)
        self.bn2 = nn.BatchNorm2d(planes, dtype=dtype)
        self.downsample = shortcut(inplanes, planes, stride, dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = relu(f(x) + s(x))."""
        f = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(input)))))
        skip = input if self.downsample is None else self.downsample(input)
        y: torch.Tensor = self.relu(f + skip)
        return y


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, which narrow and widen, and a shortcut.

    Args:
        inplanes: channels of the input.
        planes: channels inside; the output has four times as many.
        stride: of the 3x3 convolution and the shortcut.
        dilation: of the 3x3 convolution.
        dtype: of the parameters.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        out = planes * self.expansion
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False, dtype=dtype)
        self.bn1 = nn.BatchNorm2d(planes, dtype=dtype)
        self.conv2 = nn.Conv2d(
            planes, planes, 3, stride, dilation, dilation, bias=False, dtype=dtype
        )
        self.bn2 = nn.BatchNorm2d(planes, dtype=dtype)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False, dtype=dtype)
        self.bn3 = nn.BatchNorm2d(out, dtype=dtype)
        self.relu = nn.ReLU()
        self.downsample = shortcut(inplanes, out, stride, dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = relu(f(x) + s(x))."""
        a = self.relu(self.bn1(self.conv1(input)))
        a = self.relu(self.bn2(self.conv2(a)))
        f = self.bn3(self.conv3(a))
        skip = input if self.downsample is None else self.downsample(input)
        y: torch.Tensor = self.relu(f + skip)
        return y


def shortcut(
    inplanes: int, out: int, stride: int, dtype: torch.dtype | None = None
) -> nn.Sequential | None:
    """A 1x1 convolution where the shape changes, None where the identity will do."""
    if stride == 1 and inplanes == out:
        return None
    return nn.Sequential(
        nn.Conv2d(inplanes, out, 1, stride, bias=False, dtype=dtype),
        nn.BatchNorm2d(out, dtype=dtype),
    )


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, the mean over the image, a dense layer.

    Args:
        block: BasicBlock or Bottleneck.
        layers: number of blocks in each of the four stages.
        num_classes: number of outputs.
        zero_init_residual: start each block as the identity: 0 in its last normalisation.
        replace_stride_with_dilation: for stages 2 to 4, whether to keep the size and spread the
            filters instead (atrous convolution).
        width: channels of the first stage, 64; each further stage doubles them.
        stem: '7x7' with stride 2 and pooling, for photographs; '3x3' with neither, for small
            images, as the paper does for CIFAR-10.
        in_channels: of an image.
        dtype: of the parameters.

    Shape:
        (N, in_channels, H, W) to logits (N, num_classes).
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        replace_stride_with_dilation: Sequence[bool] = (False, False, False),
        *,
        width: int = 64,
        stem: str = "7x7",
        in_channels: int = 3,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        kernel, stride = {"7x7": (7, 2), "3x3": (3, 1)}[stem]
        self.conv1 = nn.Conv2d(
            in_channels, width, kernel, stride, kernel // 2, bias=False, dtype=dtype
        )
        self.bn1 = nn.BatchNorm2d(width, dtype=dtype)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "7x7" else nn.Identity()
        inplanes, dilation = width, 1
        for i, n in enumerate(layers):
            stride, first = (1 if i == 0 else 2), dilation
            if i > 0 and replace_stride_with_dilation[i - 1]:
                stride, dilation = 1, 2 * dilation
            planes = width * 2**i
            blocks = [block(inplanes, planes, stride, first, dtype=dtype)]
            inplanes = planes * block.expansion
            blocks += [block(inplanes, planes, 1, dilation, dtype=dtype) for _ in range(n - 1)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inplanes, num_classes, dtype=dtype)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(m, BasicBlock | Bottleneck):
                nn.init.zeros_((m.bn2 if isinstance(m, BasicBlock) else m.bn3).weight)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits."""
        a = self.maxpool(self.relu(self.bn1(self.conv1(input))))
        a = self.layer4(self.layer3(self.layer2(self.layer1(a))))
        y: torch.Tensor = self.fc(self.avgpool(a).flatten(1))
        return y


def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """18 layers with weights; `options` are those of `ResNet`."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """34 layers with weights; `options` are those of `ResNet`."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """50 layers with weights; `options` are those of `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)
