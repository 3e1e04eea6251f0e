"""Deep residual networks.                            He, Zhang, Ren & Sun 2015, arXiv:1512.03385

block      y = relu(f(x) + s(x))    s: the identity, or a 1x1 convolution where the shape changes
           r = relu'(f + s) dy      dx = f'(r) + s'(r)
basic      f = bn(conv3x3(relu(bn(conv3x3_stride(x)))))
bottleneck f = bn(conv1x1(relu(bn(conv3x3_stride(relu(bn(conv1x1(x))))))))
shapes     x (N, C, H, W)   f, s, r, y (N, C', H', W')
paper      strides in the first 1x1 of a bottleneck; this is the later "v1.5", as torchvision's
start      convolutions from N(0, 2 / fan_out)
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


class BasicBlock(Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: of the first convolution and the shortcut.
        dilation: must be 1.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, inplanes, H, W) to (N, planes, H / stride, W / stride), rounded up.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `dilation` not 1.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("BasicBlock", "dilation", dilation, (1,))
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False, **options)
        self.bn1 = nn.BatchNorm2d(planes, dtype=dtype)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False, **options)
        self.bn2 = nn.BatchNorm2d(planes, dtype=dtype)
        self.downsample = shortcut(inplanes, planes, stride, **options)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = relu(f(x) + s(x))."""
        branch = nn.Sequential(self.conv1, self.bn1, self.relu, self.conv2, self.bn2)
        return residual(branch, self.downsample, self.relu, input)


class Bottleneck(Module):
    """A 3x3 convolution between two 1x1, which narrow and widen, and a shortcut.

    Args:
        inplanes: channels of the input.
        planes: channels inside; the output has four times as many.
        stride: of the 3x3 convolution and the shortcut.
        dilation: of the 3x3 convolution.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, inplanes, H, W) to (N, 4 planes, H / stride, W / stride), rounded up.

    Raises:
        TypeError, ValueError: if a size is not a positive integer.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        out = planes * self.expansion
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False, **options)
        self.bn1 = nn.BatchNorm2d(planes, dtype=dtype)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, dilation, dilation, bias=False, **options)
        self.bn2 = nn.BatchNorm2d(planes, dtype=dtype)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False, **options)
        self.bn3 = nn.BatchNorm2d(out, dtype=dtype)
        self.relu = nn.ReLU()
        self.downsample = shortcut(inplanes, out, stride, **options)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = relu(f(x) + s(x))."""
        narrow = self.conv1, self.bn1, self.relu
        filtered = self.conv2, self.bn2, self.relu
        branch = nn.Sequential(*narrow, *filtered, self.conv3, self.bn3)
        return residual(branch, self.downsample, self.relu, input)


def residual(
    branch: Module, downsample: Module | None, relu: Module, x: Array
) -> tuple[Array, Backward]:
    """y = relu(f(x) + s(x))."""
    f, branch_back = branch(x)
    s, skip_back = (downsample or nn.Identity())(x)
    y, relu_back = relu(f + s)

    def backward(dy: Array) -> Array:
        dr = relu_back(dy)  # into both the branch and the shortcut
        dx: Array = branch_back(dr) + skip_back(dr)
        return dx

    return y, backward


def shortcut(
    inplanes: int, out: int, stride: int, *, dtype: DTypeLike, generator: Generator
) -> nn.Sequential | None:
    """A 1x1 convolution where the shape changes, None where the identity will do."""
    if stride == 1 and inplanes == out:
        return None
    conv = nn.Conv2d(inplanes, out, 1, stride, bias=False, dtype=dtype, generator=generator)
    return nn.Sequential(conv, nn.BatchNorm2d(out, dtype=dtype))


class ResNet(Module):
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
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, there are not four stages, or
            an option is unknown.
    """

    _skips_input_grad = True
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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        kind: object = block
        if not isinstance(kind, type) or not issubclass(kind, BasicBlock | Bottleneck):
            expected = "block to be BasicBlock or Bottleneck"
            check.refuse("ResNet", expected, check.describe(block), TypeError)
        if not isinstance(layers, Sequence) or len(layers) != 4:
            check.refuse("ResNet", "layers to be four integers", check.describe(layers))
        for n in layers:
            check.size("ResNet", "every number of layers", n, low=1)
        dilate = replace_stride_with_dilation
        if not isinstance(dilate, Sequence) or len(dilate) != 3:
            expected = "replace_stride_with_dilation to be three bools"
            check.refuse("ResNet", expected, check.describe(dilate))
        check.size("ResNet", "num_classes", num_classes, low=1)
        check.size("ResNet", "width", width, low=1)
        check.size("ResNet", "in_channels", in_channels, low=1)
        check.option("ResNet", "stem", stem, ("7x7", "3x3"))
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        kernel, stride = (7, 2) if stem == "7x7" else (3, 1)
        self.conv1 = nn.Conv2d(
            in_channels, width, kernel, stride, kernel // 2, bias=False, **options
        )
        self.bn1 = nn.BatchNorm2d(width, dtype=dtype)
        self.relu = nn.ReLU()
        pool: Module = nn.MaxPool2d(3, stride=2, padding=1) if stem == "7x7" else nn.Identity()
        self.maxpool = pool
        inplanes, dilation = width, 1
        for i, n in enumerate(layers):
            stride, first = (1 if i == 0 else 2), dilation
            if i > 0 and dilate[i - 1]:
                stride, dilation = 1, 2 * dilation
            planes = width * 2**i
            blocks = [block(inplanes, planes, stride, first, **options)]
            inplanes = planes * block.expansion
            blocks += [block(inplanes, planes, 1, dilation, **options) for _ in range(n - 1)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inplanes, num_classes, **options)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", generator=generator)
            elif zero_init_residual and isinstance(m, BasicBlock | Bottleneck):
                last = m.bn2 if isinstance(m, BasicBlock) else m.bn3
                assert last.weight is not None
                init.zeros_(last.weight)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        stem = self.conv1, self.bn1, self.relu, self.maxpool
        stages = self.layer1, self.layer2, self.layer3, self.layer4
        chain = nn.Sequential(*stem, *stages, self.avgpool, nn.Flatten(), self.fc)
        return chain(input)


def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """18 layers with weights; `options` are those of `ResNet`."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """34 layers with weights; `options` are those of `ResNet`."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """50 layers with weights; `options` are those of `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)
