"""DeepLabV3 on a ResNet.               Chen, Papandreou, Schroff & Adam 2017, arXiv:1706.05587

backbone   ResNet whose last two stages spread their filters instead of halving the image
aspp       concat(conv1x1(x), conv3x3 at each rate, mean over the image) - conv1x1
           its gradient is split among the branches, and what they return is added up
y          upsampled from 1/8 of the size to that of the image, bilinearly
shapes     x (N, 3, H, W)   backbone (N, 2048, H / 8, W / 8)   y (N, num_classes, H, W)
torch      a convolution that keeps the size pads by its dilation; corners are not aligned
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.resnet import Bottleneck, ResNet
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class SegmentationOutputs(NamedTuple):
    """Logits (N, num_classes, H, W) of the network, and of the classifier that helps to train."""

    out: Array
    aux: Array


class IntermediateLayerGetter(nn.ModuleDict):
    """The first children of a module, in turn, and what some of them return.

    Args:
        model: the module.
        return_layers: names of children, in order; those after the last are left out.

    Shape:
        as the first child's to a tuple of outputs.

    Raises:
        ValueError: if there is no child of a name.
    """

    _skips_input_grad = True

    def __init__(self, model: Module, return_layers: Sequence[str]) -> None:
        children = dict(model.named_children())
        for name in return_layers:
            check.option("IntermediateLayerGetter", "every name", name, tuple(children))
        last = list(children).index(return_layers[-1])
        super().__init__(dict(list(children.items())[: last + 1]))
        self.return_layers = tuple(return_layers)

    def forward(self, input: Array) -> tuple[tuple[Array, ...], Backward]:
        """The outputs of `return_layers`."""
        outputs, backs = [], []
        for name, module in self.items():
            input, back = module(input)
            backs.append((name, back))
            if name in self.return_layers:
                outputs.append(input)

        def backward(*doutputs: Array | None, needs_input_grad: bool = True) -> Array | None:
            given = dict(zip(self.return_layers, doutputs, strict=True))
            dy: Array | None = None
            for i, (name, back) in reversed([*enumerate(backs)]):
                dout = given.get(name)
                if dout is not None:
                    dy = dout if dy is None else dy + dout
                if dy is not None:
                    dy = back(dy, needs_input_grad=needs_input_grad or i > 0)
            return dy

        return tuple(outputs), backward


def _conv(c_in: int, c_out: int, kernel: int, dilation: int, options: Any) -> list[Module]:
    """A convolution that keeps the size, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(c_in, c_out, kernel, padding=padding, dilation=dilation, bias=False, **options)
    return [conv, nn.BatchNorm2d(c_out, dtype=options["dtype"]), nn.ReLU()]


class ASPPPooling(nn.Sequential):
    """The mean over the image, through a 1x1 convolution, at every pixel."""

    _skips_input_grad = False

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The same at every pixel."""
        a, layers_back = super().forward(input)
        y, interpolate_back = F.interpolate(a, size=input.shape[-2:], mode="bilinear")
        return y, lambda dy: layers_back(interpolate_back(dy))


class ASPP(Module):
    """Atrous spatial pyramid pooling: the same features at several scales, side by side.

    Args:
        in_channels: of the input.
        atrous_rates: dilations of the 3x3 convolutions.
        out_channels: of each branch and of the output.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, H, W).

    Raises:
        TypeError, ValueError: if a size or a rate is not a positive integer.
    """

    def __init__(
        self,
        in_channels: int,
        atrous_rates: Sequence[int],
        out_channels: int = 256,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        n = check.size("ASPP", "in_channels", in_channels, low=1)
        c = check.size("ASPP", "out_channels", out_channels, low=1)
        if not isinstance(atrous_rates, Sequence):
            check.refuse("ASPP", "atrous_rates to be integers", check.describe(atrous_rates))
        rates = [check.size("ASPP", "every atrous_rate", rate, low=1) for rate in atrous_rates]
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_conv(n, c, 1, 1, options)),
                *(nn.Sequential(*_conv(n, c, 3, rate, options)) for rate in rates),
                ASPPPooling(nn.AdaptiveAvgPool2d(1), *_conv(n, c, 1, 1, options)),
            ]
        )
        self.project = nn.Sequential(
            *_conv(len(self.convs) * c, c, 1, 1, options), nn.Dropout(0.5, generator=generator)
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The branches side by side, then a 1x1 convolution."""
        branches, backs = zip(*(conv(input) for conv in self.convs), strict=True)
        y, project_back = self.project(np.concatenate(branches, axis=1))

        def backward(dy: Array) -> Array:
            dbranches = np.split(project_back(dy), len(backs), axis=1)
            dx: Array = sum(back(d) for back, d in zip(backs, dbranches, strict=True))
            return dx

        return y, backward


class DeepLabV3(Module):
    """A label for each pixel, with torchvision's names.

    Args:
        num_classes: number of outputs for each pixel.
        aux_loss: whether a second classifier looks at the third stage, to help to train.
        layers: blocks in each stage of the backbone; (3, 4, 6, 3) is ResNet-50.
        atrous_rates: dilations of the pyramid; the paper's for 1/8 of the size.
        width: channels of the backbone's first stage, 64; all others are in proportion.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, 3, H, W) to logits (N, num_classes, H, W), with `aux_loss` to two of them.

    Raises:
        TypeError, ValueError: if a size or a rate is not a positive integer.
    """

    _skips_input_grad = True

    def __init__(
        self,
        num_classes: int = 21,
        aux_loss: bool = False,
        layers: Sequence[int] = (3, 4, 6, 3),
        atrous_rates: Sequence[int] = (12, 24, 36),
        *,
        width: int = 64,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("DeepLabV3", "num_classes", num_classes, low=1)
        check.size("DeepLabV3", "width", width, low=1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        dilate = (False, True, True)
        resnet = ResNet(
            Bottleneck, layers, replace_stride_with_dilation=dilate, width=width, **options
        )
        returned = ("layer3", "layer4") if aux_loss else ("layer4",)
        self.backbone = IntermediateLayerGetter(resnet, returned)
        auxiliary = None
        if aux_loss:
            auxiliary = nn.Sequential(
                *_conv(16 * width, 4 * width, 3, 1, options),
                nn.Dropout(0.1, generator=generator),
                nn.Conv2d(4 * width, num_classes, 1, **options),
            )
        self.classifier = nn.Sequential(
            ASPP(32 * width, atrous_rates, 4 * width, **options),
            *_conv(4 * width, 4 * width, 3, 1, options),
            nn.Conv2d(4 * width, num_classes, 1, **options),
        )
        self.aux_classifier = auxiliary

    def forward(self, input: Array) -> tuple[Array | SegmentationOutputs, Backward]:
        """Logits of each pixel."""
        (*middle, last), backbone_back = self.backbone(input)
        size = input.shape[-2:]
        small, classifier_back = self.classifier(last)
        out, out_back = F.interpolate(small, size=size, mode="bilinear")
        if self.aux_classifier is None:
            return out, lambda dout, needs_input_grad=True: backbone_back(
                classifier_back(out_back(dout)), needs_input_grad=needs_input_grad
            )
        small_aux, aux_classifier_back = self.aux_classifier(*middle)
        aux, aux_back = F.interpolate(small_aux, size=size, mode="bilinear")

        def backward(*douts: Array | None, needs_input_grad: bool = True) -> Array | None:
            dsmall, dsmall_aux = (
                None if d is None else back(d)
                for d, back in zip(douts, (out_back, aux_back), strict=True)
            )
            dlast = None if dsmall is None else classifier_back(dsmall)
            dmiddle = None if dsmall_aux is None else aux_classifier_back(dsmall_aux)
            dx: Array | None = backbone_back(dmiddle, dlast, needs_input_grad=needs_input_grad)
            return dx

        return SegmentationOutputs(out, aux), backward
