"""Conventions of convolutional networks."""

from functools import partial
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import (
    DeepLabV3,
    EfficientNet,
    LeNet5,
    ResNet,
    SimpleCNN,
    UNet,
    deeplabv3,
    lenet,
    unet,
)
from scratch.models.efficientnet import MBConv, SqueezeExcitation, StochasticDepth
from scratch.models.mobilenet_v2 import InvertedResidual
from scratch.models.resnet import BasicBlock, Bottleneck
from scratch.nn import functional as F
from scratch.nn.op import Backward


class StridesFirst(Bottleneck):
    """The paper's: the first 1x1 convolution strides, the 3x3 does not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class ActivatesBranch(BasicBlock):
    """y = relu(f(x)) + s(x)."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As BasicBlock's, but the sum has no activation."""
        first = self.conv1, self.bn1, self.relu
        f, branch_back = nn.Sequential(*first, self.conv2, self.bn2, self.relu)(input)
        s, skip_back = (self.downsample or nn.Identity())(input)
        return f + s, lambda dy: branch_back(dy) + skip_back(dy)


class SpreadsAtOnce(ResNet):
    """The first block of an atrous stage spreads its filters as the others do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for stage in (self.layer2, self.layer3, self.layer4):
            blocks: list[Any] = list(stage)
            first = blocks[0]
            for block in blocks[1:]:
                first.conv2.dilation = block.conv2.dilation
                first.conv2.padding = block.conv2.padding


class FlattensChannelsLast(SimpleCNN):
    """The order of NHWC."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As SimpleCNN's, but the dense layer reads a pixel's channels side by side."""
        p, conv_back = nn.Sequential(self.conv, self.relu, self.pool)(input)
        last = p.transpose(0, 2, 3, 1)
        y, fc_back = self.fc(last.reshape(len(p), -1))
        return y, lambda dy: conv_back(fc_back(dy).reshape(last.shape).transpose(0, 3, 1, 2))


class AlwaysScaledTanh(LeNet5):
    """The paper's activation under the name of the plain one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, layer in list(self.layers._own(nn.Module)):
            if isinstance(layer, nn.Tanh):
                setattr(self.layers, name, lenet.ScaledTanh())


class NeverCapped(InvertedResidual):
    """ReLU in place of ReLU6."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for part in self.modules():
            for name, child in list(part.named_children()):
                if isinstance(child, nn.ReLU6):
                    setattr(part, name, nn.ReLU())


class ActivatesBottleneck(InvertedResidual):
    """An activation after the narrow end too."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As InvertedResidual's, with relu6(f)."""
        f, conv_back = nn.Sequential(self.conv, nn.ReLU6())(input)
        if not self.use_res_connect:
            return f, conv_back
        return input + f, lambda dy: dy + conv_back(dy)


class SqueezesWithReLU(SqueezeExcitation):
    """The activation of the paper that introduced it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.activation = nn.ReLU()  # type: ignore[assignment]


class DropsTheBatch(StochasticDepth):
    """The first sample's lot is that of all."""

    def forward(self, input: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
        """As StochasticDepth's in the mode 'batch'."""
        if mask is None:
            mask = self.generator.bernoulli(1 - self.p, (len(input), *(1,) * (input.ndim - 1)))
        return super().forward(input, mask=np.broadcast_to(mask[:1], mask.shape))


class ScalesInEvaluation(StochasticDepth):
    """The paper's: m x in training, (1 - p) x in evaluation."""

    def forward(self, input: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
        """As StochasticDepth's, multiplied by 1 - p in both modes."""
        y, back = super().forward(input, mask=mask)
        keep = 1 - self.p
        return keep * y, lambda dy: keep * back(dy)


class DropsTheSum(MBConv):
    """The shortcut is dropped with the branch."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = drop(x + f)."""
        f, block_back = self.block(input)
        if not self.use_res_connect:
            return f, block_back
        y, drop_back = self.stochastic_depth(input + f)

        def backward(dy: Array) -> Array:
            ds = drop_back(dy)
            dx: Array = ds + block_back(ds)
            return dx

        return y, backward


class LargeEps(EfficientNet):
    """The batch norm of the paper's own code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps, part.momentum = 1e-3, 0.01


class CropsTheCorner(UNet):
    """The upper left part of what waits, not its middle."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As UNet's."""

        def crop(skip: Array, like: Array) -> tuple[Array, Backward]:
            h, w = like.shape[-2:]

            def backward(dy: Array) -> Array:
                dskip = np.zeros_like(skip)
                dskip[..., :h, :w] = dy
                return dskip

            return skip[..., :h, :w], backward

        held, unet.crop = unet.crop, crop
        try:
            return super().forward(input)
        finally:
            unet.crop = held


class Swapped(unet.DoubleConv):
    """A DoubleConv that reads the second half of the channels first."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As DoubleConv's."""
        half = input.shape[1] // 2
        y, back = super().forward(np.roll(input, half, axis=1))
        return y, lambda dy: np.roll(back(dy), half, axis=1)


class SkipComesSecond(UNet):
    """What comes up stands before what waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for merge in self.merge:
            merge.__class__ = Swapped


class AlignsCorners(DeepLabV3):
    """The last upsampling maps corner pixels to corner pixels."""

    def forward(self, input: Array) -> tuple[Array | deeplabv3.SegmentationOutputs, Backward]:
        """As DeepLabV3's, of the first classifier only."""
        if self.aux_classifier is not None:
            return super().forward(input)
        (last,), backbone_back = self.backbone(input)
        small, classifier_back = self.classifier(last)
        y, back = F.interpolate(small, size=input.shape[-2:], mode="bilinear", align_corners=True)
        return y, lambda dy: backbone_back(classifier_back(back(dy)))


PITFALLS = [
    Pitfall(
        "bottleneck_stride",
        entry="Bottleneck",
        difference="torchvision: the 3x3 convolution strides (v1.5); the paper, Caffe: the first",
        mutant=StridesFirst,
    ),
    Pitfall(
        "residual_activation",
        entry="BasicBlock",
        difference="the paper: relu(f + s); others: relu(f) + s",
        mutant=ActivatesBranch,
    ),
    Pitfall(
        "first_block_of_an_atrous_stage",
        entry="ResNet",
        difference="torchvision: it keeps the dilation before; others: the new one in all blocks",
        mutant=partial(SpreadsAtOnce, Bottleneck),
    ),
    Pitfall(
        "flatten_order",
        entry="SimpleCNN",
        difference="torch: channel, row, column (NCHW); Keras: row, column, channel (NHWC)",
        mutant=FlattensChannelsLast,
    ),
    Pitfall(
        "lenet_activation",
        entry="LeNet5",
        difference="here and nearly everywhere: tanh(x); the paper: 1.7159 tanh(2x / 3)",
        mutant=AlwaysScaledTanh,
    ),
    Pitfall(
        "relu6",
        entry="InvertedResidual",
        difference="the paper: ReLU6; others: ReLU",
        mutant=NeverCapped,
    ),
    Pitfall(
        "linear_bottleneck",
        entry="InvertedResidual",
        difference="the paper: no activation after the narrow end; others: one everywhere",
        mutant=ActivatesBottleneck,
    ),
    Pitfall(
        "squeeze_activation",
        entry="SqueezeExcitation",
        difference="EfficientNet: SiLU; the paper that introduced it: ReLU",
        mutant=SqueezesWithReLU,
    ),
    Pitfall(
        "stochastic_depth_mode",
        entry="StochasticDepth",
        difference="EfficientNet: a draw for each sample; others: one for the batch",
        mutant=DropsTheBatch,
    ),
    Pitfall(
        "stochastic_depth_scale",
        entry="StochasticDepth",
        difference="torchvision: / (1 - p) in training; the paper: * (1 - p) in evaluation",
        mutant=ScalesInEvaluation,
    ),
    Pitfall(
        "stochastic_depth_place",
        entry="MBConv",
        difference="torchvision: x + drop(f); others: drop(x + f)",
        mutant=DropsTheSum,
    ),
    Pitfall(
        "efficientnet_eps",
        entry="EfficientNet",
        difference="torchvision, B0 to B4: eps 1e-5, momentum 0.1; the paper's code: 1e-3, 0.01",
        mutant=LargeEps,
    ),
    Pitfall(
        "unet_crop",
        entry="UNet",
        difference="the paper: the middle of what waits; others: its upper left corner",
        mutant=CropsTheCorner,
    ),
    Pitfall(
        "unet_concatenation",
        entry="UNet",
        difference="here: what waits, then what comes up; others: the other way round",
        mutant=SkipComesSecond,
    ),
    Pitfall(
        "segmentation_corners",
        entry="DeepLabV3",
        difference="torchvision: align_corners=False; TensorFlow's code: True",
        mutant=AlignsCorners,
    ),
]
