"""Convolutional networks, narrow: their blocks in full, the networks around them once more."""

from functools import partial
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import same_draws
from parity_tests.harness.entry import Call, Case, Layer, Refusal
from scratch.models import deeplabv3, efficientnet, lenet, mobilenet_v2, resnet, unet
from torch_ref.models import deeplabv3 as torch_deeplabv3
from torch_ref.models import efficientnet as torch_efficientnet
from torch_ref.models import lenet as torch_lenet
from torch_ref.models import mobilenet_v2 as torch_mobilenet_v2
from torch_ref.models import resnet as torch_resnet
from torch_ref.models import unet as torch_unet

HE = "He, Zhang, Ren & Sun 2015, arXiv:1512.03385"
SANDLER = "Sandler, Howard, Zhu, Zhmoginov & Chen 2018, arXiv:1801.04381"
TAN = "Tan & Le 2019, arXiv:1905.11946"
HU = "Hu, Shen & Sun 2018, arXiv:1709.01507"
HUANG = "Huang, Sun, Liu, Sedra & Weinberger 2016, arXiv:1603.09382"
RONNEBERGER = "Ronneberger, Fischer & Brox 2015, arXiv:1505.04597"
CHEN = "Chen, Papandreou, Schroff & Adam 2017, arXiv:1706.05587"
LECUN = "LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11)"

STAGES = ((1, 3, 1, 16, 16, 1), (2, 5, 2, 16, 24, 1), (2, 3, 1, 24, 24, 1))

BLOCKS = [
    Layer(
        "ScaledTanh",
        lenet.ScaledTanh,
        torch_lenet.ScaledTanh,
        source=LECUN,
        cases=(Case("image", lambda d: Call(d.normal(2, 3, 4, 5, scale=2.0))),),
    ),
    Layer(
        "TableConv2d",
        lenet.TableConv2d,
        torch_lenet.TableConv2d,
        source=LECUN + ", table I",
        c=1000,
        cases=(
            Case(
                "image",
                lambda d: Call(d.normal(2, 6, 6, 7)),
                init=Call(6, 16, 5, padding=1),
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "BasicBlock",
        resnet.BasicBlock,
        torch_resnet.BasicBlock,
        source=HE,
        c=1000,
        cases=(
            Case("identity", lambda d: Call(d.normal(3, 4, 5, 6)), init=Call(4, 4)),
            Case("wider", lambda d: Call(d.normal(3, 2, 5, 4)), init=Call(2, 4)),
            Case("stride, odd size", lambda d: Call(d.normal(4, 3, 7, 5)), init=Call(3, 5, 2)),
        ),
    ),
    Layer(
        "Bottleneck",
        resnet.Bottleneck,
        torch_resnet.Bottleneck,
        source=HE,
        c=1000,
        cases=(
            Case("identity", lambda d: Call(d.normal(3, 8, 5, 4)), init=Call(8, 2)),
            Case("stride, odd size", lambda d: Call(d.normal(4, 3, 7, 5)), init=Call(3, 2, 2)),
            Case("dilation", lambda d: Call(d.normal(3, 8, 6, 5)), init=Call(8, 2, 1, 2)),
        ),
    ),
    Layer(
        "InvertedResidual",
        mobilenet_v2.InvertedResidual,
        torch_mobilenet_v2.InvertedResidual,
        source=SANDLER,
        c=1000,
        cases=(
            Case("shortcut", lambda d: Call(d.normal(3, 3, 5, 4)), init=Call(3, 3, 1, 6)),
            Case("no widening", lambda d: Call(d.normal(3, 4, 5, 4)), init=Call(4, 2, 1, 1)),
            Case(
                "beyond 6",
                lambda d: Call(d.normal(3, 3, 5, 4, scale=10.0)),
                init=Call(3, 3, 1, 2),
                modes=("eval",),
            ),
            Case("stride", lambda d: Call(d.normal(4, 3, 7, 6)), init=Call(3, 3, 2, 2)),
        ),
    ),
    Layer(
        "SqueezeExcitation",
        efficientnet.SqueezeExcitation,
        torch_efficientnet.SqueezeExcitation,
        source=HU,
        c=1000,
        cases=(
            Case("image", lambda d: Call(d.normal(2, 5, 4, 3)), init=Call(5, 2)),
            Case("one pixel", lambda d: Call(d.normal(3, 4, 1, 1)), init=Call(4, 1)),
            Case("no batch axis", lambda d: Call(d.normal(5, 4, 3)), init=Call(5, 2)),
        ),
    ),
    Layer(
        "StochasticDepth",
        efficientnet.StochasticDepth,
        torch_efficientnet.StochasticDepth,
        source=HUANG,
        cases=(
            Case("p = 0", lambda d: Call(d.normal(3, 2)), init=Call(0.0, "row")),
            Case(
                "p = 1",
                lambda d: Call(d.normal(3, 2)),
                Call(1.0, "row"),
                ("input",),
                modes=("train",),
            ),
            Case("p = 1", lambda d: Call(d.normal(3, 2)), Call(1.0, "row"), modes=("eval",)),
            Case(
                "mask of rows",
                lambda d: Call(d.normal(4, 2, 3), mask=d.mask(0.6, 4, 1, 1)),
                init=Call(0.3, "row"),
            ),
            Case(
                "mask of the batch",
                lambda d: Call(d.normal(4, 2, 3), mask=np.ones((1, 1, 1), bool)),
                init=Call(0.3, "batch"),
            ),
            *(
                Case("draws", lambda d: Call(d.normal(9, 2)), Call(p, mode), seeded=True)
                for p, mode in ((0.4, "row"), (0.02, "batch"))  # neither all nor none
                if same_draws()
            ),
        ),
    ),
    Layer(
        "MBConv",
        efficientnet.MBConv,
        torch_efficientnet.MBConv,
        source=TAN,
        c=1000,
        cases=(
            Case("shortcut", lambda d: Call(d.normal(3, 8, 4, 5)), init=Call(2, 3, 1, 8, 8)),
            Case("no widening", lambda d: Call(d.normal(3, 8, 5, 4)), init=Call(1, 3, 1, 8, 4)),
            Case("stride, 5x5", lambda d: Call(d.normal(4, 4, 7, 6)), init=Call(6, 5, 2, 4, 4)),
            *(
                Case(
                    "samples are dropped",
                    lambda d: Call(d.normal(6, 8, 4, 3)),
                    init=Call(1, 3, 1, 8, 8, 0.4),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "DoubleConv",
        unet.DoubleConv,
        torch_unet.DoubleConv,
        source=RONNEBERGER,
        c=1000,
        cases=(
            Case("valid", lambda d: Call(d.normal(2, 2, 7, 6)), Call(2, 3), modes=("train",)),
            Case("padded", lambda d: Call(d.normal(2, 2, 4, 3)), Call(2, 3, 1), modes=("train",)),
        ),
    ),
    Layer(
        "ASPP",
        deeplabv3.ASPP,
        torch_deeplabv3.ASPP,
        source=CHEN,
        c=1000,
        cases=(
            Case("eval", lambda d: Call(d.normal(3, 4, 7, 6)), Call(4, (2, 3), 5), modes=("eval",)),
            *(
                Case(
                    "train",
                    lambda d: Call(d.normal(6, 4, 7, 6)),
                    init=Call(4, (2, 3), 5),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
]

# Ten steps from a real start, and finite differences of all of them: test_models_conv.py. Here
# the start is moved by noise that does not shrink with the width, and the loss has no minimum.
NETWORKS = [
    Layer(
        "SimpleCNN",
        scratch.models.SimpleCNN,
        torch_ref.models.SimpleCNN,
        source="LeCun et al. 1989, Neural Computation 1(4)",
        c=1000,
        cases=(
            Case("batch", lambda d: Call(d.normal(4, 1, 16, 16)), modes=("train",)),
            Case("a row is left over", lambda d: Call(d.normal(3, 1, 9, 9)), Call(9, 3, 3)),
            Case("one image", lambda d: Call(d.normal(1, 1, 8, 8)), Call(8, 2, 5)),
        ),
    ),
    Layer(
        "LeNet5",
        scratch.models.LeNet5,
        torch_ref.models.LeNet5,
        source=LECUN,
        c=1000,
        steps=False,
        cases=(
            Case("8x8", lambda d: Call(d.normal(3, 1, 8, 8)), init=Call(10, 8, (2, 2))),
            Case(
                "28x28, ReLU and maxima",
                lambda d: Call(d.normal(2, 1, 28, 28)),
                init=Call(10, 28, (2, 0), "relu", "max"),
                modes=("train",),
            ),
            Case(
                "32x32, as in the paper",
                lambda d: Call(d.normal(1, 1, 32, 32)),
                init=Call(activation="scaled_tanh", connections="table"),
                modes=("train",),
            ),
            Case(
                "colour, odd size",
                lambda d: Call(d.normal(2, 3, 9, 9)),
                init=Call(4, 9, (1, 2), in_channels=3),
                modes=("train",),
            ),
        ),
    ),
    Layer(
        "AlexNet",
        scratch.models.AlexNet,
        torch_ref.models.AlexNet,
        source="Krizhevsky 2014, arXiv:1404.5997",
        c=1000,
        steps=False,
        cases=(
            Case("63x67", lambda d: Call(d.normal(2, 3, 63, 67)), Call(5, 0.0, width=2)),
            *(
                Case(
                    "dropout",
                    lambda d: Call(d.normal(3, 3, 64, 64)),
                    init=Call(5, 0.5, width=2),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "VGG",
        scratch.models.VGG,
        torch_ref.models.VGG,
        source="Simonyan & Zisserman 2014, arXiv:1409.1556",
        c=1000,
        steps=False,
        differences=False,
        cases=(
            Case("11", lambda d: Call(d.normal(2, 3, 32, 33)), Call(11, False, 5, 0.0, width=2)),
            Case(
                "11, batch norm",
                lambda d: Call(d.normal(2, 3, 32, 32)),
                init=Call(11, True, 5, 0.0, width=2),
                modes=("eval",),
            ),
            *(
                Case(
                    f"{depth}",
                    lambda d: Call(d.normal(1, 3, 32, 32)),
                    init=Call(depth, False, 3, 0.0, width=2),
                    modes=("eval",),
                )
                for depth in (13, 16, 19)
            ),
        ),
    ),
    Layer(
        "ResNet",
        partial(scratch.models.ResNet, resnet.Bottleneck),
        partial(torch_ref.models.ResNet, torch_resnet.Bottleneck),
        source=HE,
        c=1000,
        steps=False,
        differences=False,
        cases=(
            Case("1 1 1 1", lambda d: Call(d.normal(4, 3, 33, 31)), Call((1, 1, 1, 1), 5, width=4)),
            Case(
                "atrous, 3x3 stem",
                lambda d: Call(d.normal(5, 1, 9, 8)),
                init=Call(
                    (1, 2, 1, 2), 5, False, (True, False, True), width=3, stem="3x3", in_channels=1
                ),
            ),
        ),
    ),
    Layer(
        "resnet18",
        scratch.models.resnet18,
        torch_ref.models.resnet18,
        source=HE,
        c=1000,
        differences=False,
        cases=(
            Case(
                "small stem",
                lambda d: Call(d.normal(3, 1, 16, 16)),
                init=Call(10, zero_init_residual=True, width=4, stem="3x3", in_channels=1),
            ),
        ),
    ),
    *(
        Layer(
            name,
            getattr(scratch.models, name),
            getattr(torch_ref.models, name),
            source=HE,
            c=1000,
            steps=False,
            differences=False,
            cases=(
                Case(
                    "evaluation",
                    lambda d: Call(d.normal(2, 3, 17, 16)),
                    init=Call(7, width=6),
                    modes=("eval",),
                ),
            ),
        )
        for name in ("resnet34", "resnet50")
    ),
    Layer(
        "MobileNetV2",
        scratch.models.MobileNetV2,
        torch_ref.models.MobileNetV2,
        source=SANDLER,
        c=1000,
        steps=False,
        differences=False,
        cases=(
            Case(
                "four stages",
                lambda d: Call(d.normal(4, 3, 16, 15)),
                init=Call(5, 1.0, ((1, 8, 1, 1), (2, 8, 2, 2), (3, 12, 1, 1)), 4, 0.0),
                cancels=10.0,  # a batch norm takes out shifts: terms of 3 to 110 sum to 0 or so
            ),
        ),
    ),
    Layer(
        "EfficientNet",
        scratch.models.EfficientNet,
        torch_ref.models.EfficientNet,
        source=TAN,
        c=1000,
        steps=False,
        differences=False,
        cases=(
            Case(
                "three stages",
                lambda d: Call(d.normal(6, 3, 24, 23)),
                init=Call(0.5, 1.2, 0.0, 0.0, 5, STAGES),
                cancels=10.0,  # as in MobileNetV2; terms of 5 to 50 here
            ),
            Case(
                "probabilities",
                lambda d: Call(d.normal(2, 3, 16, 15)),
                init=Call(0.25, 1.0, 0.1, 0.3, 5, STAGES),
                modes=("eval",),
            ),
            *(
                Case(
                    "samples are dropped",
                    lambda d: Call(d.normal(6, 3, 16, 15)),
                    init=Call(0.5, 1.2, 0.4, 0.6, 5, STAGES),
                    cancels=10.0,  # 2 to 170 here
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "UNet",
        scratch.models.UNet,
        torch_ref.models.UNet,
        source=RONNEBERGER,
        c=1000,
        cases=(
            Case(
                "valid, as in the paper",
                lambda d: Call(d.normal(1, 1, 44, 48)),
                init=Call(depth=2, width=2),
                modes=("train",),
            ),
            Case(
                "padded, bilinear",
                lambda d: Call(d.normal(2, 2, 8, 12)),
                init=Call(2, 3, 2, 1, "bilinear", width=3),
                modes=("train",),
            ),
            Case(
                "batch norm",
                lambda d: Call(d.normal(2, 1, 8, 8)),
                init=Call(1, 2, 2, 1, batch_norm=True, width=2),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "DeepLabV3",
        scratch.models.DeepLabV3,
        torch_ref.models.DeepLabV3,
        source=CHEN,
        c=1000,
        steps=False,
        differences=False,
        cases=(
            Case(
                "with the second classifier",
                lambda d: Call(d.normal(2, 3, 25, 22)),
                init=Call(3, True, (1, 1, 1, 2), (2, 3), width=3),
                modes=("eval",),
            ),
            Case(
                "alone",
                lambda d: Call(d.normal(2, 3, 24, 25)),
                init=Call(3, False, (1, 1, 1, 1), (2, 3), width=3),
                modes=("eval",),
            ),
        ),
    ),
]
ENTRIES = BLOCKS + NETWORKS

# Without their annotations, which the refused calls do not keep to.
SimpleCNN: Any = scratch.models.SimpleCNN
LeNet5: Any = scratch.models.LeNet5
AlexNet: Any = scratch.models.AlexNet
VGG: Any = scratch.models.VGG
ResNet: Any = scratch.models.ResNet
Basic: Any = resnet.BasicBlock
Inverted: Any = mobilenet_v2.InvertedResidual
MobileNetV2: Any = scratch.models.MobileNetV2
EfficientNet: Any = scratch.models.EfficientNet
MBConv: Any = efficientnet.MBConv
Squeeze: Any = efficientnet.SqueezeExcitation
Depth: Any = efficientnet.StochasticDepth
UNet: Any = scratch.models.UNet
ASPP: Any = deeplabv3.ASPP
DeepLabV3: Any = scratch.models.DeepLabV3


def images(*shape: int) -> Any:
    """Float32 images of ones."""
    return np.ones(shape, np.float32)


REFUSALS = [
    Refusal("SimpleCNN: no filters", lambda: SimpleCNN(16, 0), "SimpleCNN"),
    Refusal("SimpleCNN: a fraction", lambda: SimpleCNN(16, 8, 2.5), "SimpleCNN"),
    Refusal("SimpleCNN: nothing to pool", lambda: SimpleCNN(3, 8, 3), "SimpleCNN"),
    Refusal("SimpleCNN: channels", lambda: SimpleCNN()(images(2, 3, 16, 16)), "conv2d"),
    Refusal("SimpleCNN: size", lambda: SimpleCNN()(images(2, 1, 12, 12)), "linear"),
    Refusal("LeNet5: no classes", lambda: LeNet5(0), "LeNet5"),
    Refusal("LeNet5: too small", lambda: LeNet5(10, 8), "LeNet5"),
    Refusal("LeNet5: padding", lambda: LeNet5(10, 32, 2), "LeNet5"),
    Refusal("LeNet5: negative padding", lambda: LeNet5(10, 32, (-1, 0)), "LeNet5"),
    Refusal("LeNet5: activation", lambda: LeNet5(activation="Tanh"), "LeNet5"),
    Refusal("LeNet5: pool", lambda: LeNet5(pool="mean"), "LeNet5"),
    Refusal("LeNet5: connections", lambda: LeNet5(connections="sparse"), "LeNet5"),
    Refusal("LeNet5: channels", lambda: LeNet5()(images(1, 3, 32, 32)), "conv2d"),
    Refusal("LeNet5: an image of another size", lambda: LeNet5()(images(1, 1, 28, 28)), "conv2d"),
    Refusal("ScaledTanh: integers", lambda: lenet.ScaledTanh()(np.arange(3)), "scaled_tanh"),
    Refusal("AlexNet: no classes", lambda: AlexNet(0), "AlexNet"),
    Refusal("AlexNet: dropout", lambda: AlexNet(dropout=1.5), "AlexNet"),
    Refusal("AlexNet: width", lambda: AlexNet(width=0), "AlexNet"),
    Refusal("AlexNet: too small", lambda: AlexNet(2, width=1)(images(1, 3, 62, 62)), "max_pool2d"),
    Refusal("VGG: depth", lambda: VGG(12), "VGG"),
    Refusal("VGG: no classes", lambda: VGG(11, num_classes=0), "VGG"),
    Refusal("VGG: dropout", lambda: VGG(11, dropout=-0.1), "VGG"),
    Refusal("VGG: width", lambda: VGG(11, width=1.5), "VGG"),
    Refusal(
        "VGG: too small", lambda: VGG(11, False, 2, width=1)(images(1, 3, 31, 32)), "max_pool2d"
    ),
    Refusal("BasicBlock: dilation", lambda: Basic(2, 2, 1, 2), "BasicBlock"),
    Refusal("ResNet: block", lambda: ResNet("basic", (1, 1, 1, 1)), "ResNet"),
    *(
        Refusal(f"{name}: no classes", partial(getattr(scratch.models, name), 0), "ResNet")
        for name in ("resnet18", "resnet34", "resnet50")
    ),
    Refusal("ResNet: three stages", lambda: ResNet(Basic, (1, 1, 1)), "ResNet"),
    Refusal("ResNet: an empty stage", lambda: ResNet(Basic, (1, 0, 1, 1)), "ResNet"),
    Refusal("ResNet: dilation", lambda: ResNet(Basic, (1,) * 4, 5, False, (True,)), "ResNet"),
    Refusal("ResNet: no classes", lambda: ResNet(Basic, (1,) * 4, 0), "ResNet"),
    Refusal("ResNet: width", lambda: ResNet(Basic, (1,) * 4, width=0), "ResNet"),
    Refusal("ResNet: stem", lambda: ResNet(Basic, (1,) * 4, stem="5x5"), "ResNet"),
    Refusal("ResNet: in_channels", lambda: ResNet(Basic, (1,) * 4, in_channels=0), "ResNet"),
    Refusal(
        "ResNet: no batch axis",
        lambda: ResNet(Basic, (1,) * 4, 2, width=1)(images(3, 32, 32)),
        "BatchNorm2d",
    ),
    Refusal(
        "ResNet: dtype",
        lambda: ResNet(Basic, (1,) * 4, 2, width=1)(np.ones((1, 3, 8, 8))),
        "conv2d",
    ),
    Refusal(
        "Conv2dNormActivation: even",
        lambda: mobilenet_v2.Conv2dNormActivation(3, 4, 2),
        "Conv2dNormActivation",
    ),
    Refusal("InvertedResidual: stride", lambda: Inverted(2, 2, 3, 1), "InvertedResidual"),
    Refusal("InvertedResidual: ratio", lambda: Inverted(2, 2, 1, 0), "InvertedResidual"),
    Refusal("MobileNetV2: no classes", lambda: MobileNetV2(0), "MobileNetV2"),
    Refusal("MobileNetV2: width_mult", lambda: MobileNetV2(5, 0.0), "MobileNetV2"),
    Refusal("MobileNetV2: no rows", lambda: MobileNetV2(5, 1.0, ()), "MobileNetV2"),
    Refusal("MobileNetV2: a row of 3", lambda: MobileNetV2(5, 1.0, ((1, 8, 1),)), "MobileNetV2"),
    Refusal("MobileNetV2: a zero", lambda: MobileNetV2(5, 1.0, ((1, 8, 0, 1),)), "MobileNetV2"),
    Refusal("MobileNetV2: rounding", lambda: MobileNetV2(5, round_nearest=0), "MobileNetV2"),
    Refusal("MobileNetV2: dropout", lambda: MobileNetV2(5, dropout=2), "MobileNetV2"),
    Refusal("SqueezeExcitation: no channels", lambda: Squeeze(0, 1), "SqueezeExcitation"),
    Refusal("SqueezeExcitation: nothing inside", lambda: Squeeze(4, 0), "SqueezeExcitation"),
    Refusal("StochasticDepth: p", lambda: Depth(1.5, "row"), "StochasticDepth"),
    Refusal("StochasticDepth: mode", lambda: Depth(0.5, "column"), "StochasticDepth"),
    Refusal("StochasticDepth: 0-d", lambda: Depth(0.5, "row")(np.ones(())), "stochastic_depth"),
    Refusal("StochasticDepth: int", lambda: Depth(0.5, "row")(np.arange(3)), "stochastic_depth"),
    Refusal(
        "StochasticDepth: mask",
        lambda: Depth(0.5, "row")(images(3, 2), mask=np.ones((2, 1), bool)),
        "stochastic_depth",
    ),
    Refusal(
        "StochasticDepth: mask of text",
        lambda: Depth(0.5, "batch")(images(3, 2), mask="none"),
        "stochastic_depth",
    ),
    Refusal("MBConv: stride", lambda: MBConv(1, 3, 3, 8, 8), "MBConv"),
    Refusal("MBConv: ratio", lambda: MBConv(0, 3, 1, 8, 8), "MBConv"),
    Refusal("MBConv: p", lambda: MBConv(1, 3, 1, 8, 8, -0.1), "StochasticDepth"),
    Refusal("EfficientNet: width_mult", lambda: EfficientNet(-1.0), "EfficientNet"),
    Refusal("EfficientNet: depth_mult", lambda: EfficientNet(1.0, 0), "EfficientNet"),
    Refusal("EfficientNet: dropout", lambda: EfficientNet(dropout=2.0), "EfficientNet"),
    Refusal("EfficientNet: p", lambda: EfficientNet(stochastic_depth_prob=2.0), "EfficientNet"),
    Refusal("EfficientNet: no classes", lambda: EfficientNet(num_classes=0), "EfficientNet"),
    Refusal(
        "EfficientNet: rows of four",
        lambda: EfficientNet(inverted_residual_setting=((1, 8, 1, 1),)),
        "EfficientNet",
    ),
    Refusal("UNet: no channels", lambda: UNet(0), "UNet"),
    Refusal("UNet: no classes", lambda: UNet(1, 0), "UNet"),
    Refusal("UNet: no levels", lambda: UNet(depth=0), "UNet"),
    Refusal("UNet: padding", lambda: UNet(padding=2), "UNet"),
    Refusal("UNet: up", lambda: UNet(up="nearest"), "UNet"),
    Refusal("UNet: dropout", lambda: UNet(dropout=-1), "UNet"),
    Refusal("UNet: width", lambda: UNet(width=0), "UNet"),
    Refusal(
        "UNet: odd before a pooling",
        lambda: UNet(1, 2, 2, 1, width=1)(images(1, 1, 10, 12)),
        "UNet",
    ),
    Refusal("UNet: too small", lambda: UNet(1, 2, 1, width=1)(images(1, 1, 8, 8)), "conv2d"),
    Refusal(
        "IntermediateLayerGetter: a name",
        lambda: deeplabv3.IntermediateLayerGetter(ResNet(Basic, (1,) * 4, width=1), ["layer5"]),
        "IntermediateLayerGetter",
    ),
    Refusal("ASPP: no channels", lambda: ASPP(0, (1,)), "ASPP"),
    Refusal("ASPP: rates", lambda: ASPP(4, 12), "ASPP"),
    Refusal("ASPP: a rate", lambda: ASPP(4, (12, 0)), "ASPP"),
    Refusal("ASPP: out_channels", lambda: ASPP(4, (1,), 0), "ASPP"),
    Refusal("DeepLabV3: no classes", lambda: DeepLabV3(0), "DeepLabV3"),
    Refusal("DeepLabV3: width", lambda: DeepLabV3(width=0), "DeepLabV3"),
    Refusal("DeepLabV3: layers", lambda: DeepLabV3(layers=(1, 1, 1), width=1), "ResNet"),
    Refusal(
        "DeepLabV3: a single image in training, whose mean has nothing to be normalised by",
        lambda: DeepLabV3(2, False, (1,) * 4, (1,), width=1)(images(1, 3, 16, 16)),
        "batch_norm",
    ),
]
