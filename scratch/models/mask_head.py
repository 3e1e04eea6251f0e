"""Mask head of Mask R-CNN.                              He et al. 2017, arXiv:1703.06870, fig. 4

mask_head        four times a 3x3 convolution and ReLU
mask_predictor   a transposed convolution that doubles the size, ReLU, a 1x1 convolution
shapes           features of R boxes (R, C, 14, 14)   logits (R, K, 28, 28), a mask of each class
start            weights from N(0, 2 / fan_out); biases 0 in the head, torch's in the predictor

Trained by `mask_loss`, which looks at the mask of the box's own class; what class a box has is
another head's to say.
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


class MaskHead(Module):
    """For each box a mask of every class, with torchvision's names below `roi_heads`.

    Args:
        in_channels: of the features, 256 in a feature pyramid.
        num_classes: K, the background included, as torchvision counts them.
        layers: channels of the 3x3 convolutions.
        dilation: of them; their padding, too.
        dim_reduced: channels after the transposed convolution.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (R, in_channels, H, W) to logits (R, num_classes, 2 H, 2 W); H = W = 14 in the paper.

    Raises:
        TypeError, ValueError: if a size is not a positive integer.
    """

    _skips_input_grad = True

    def __init__(
        self,
        in_channels: int = 256,
        num_classes: int = 91,
        layers: Sequence[int] = (256, 256, 256, 256),
        dilation: int = 1,
        dim_reduced: int = 256,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("MaskHead", "in_channels", in_channels, low=1)
        check.size("MaskHead", "num_classes", num_classes, low=1)
        if not isinstance(layers, list | tuple) or not layers:
            check.refuse("MaskHead", "layers to be a list of channels", check.describe(layers))
        check.sizes("MaskHead", "layers", layers, len(layers), low=1)
        check.size("MaskHead", "dilation", dilation, low=1)
        check.size("MaskHead", "dim_reduced", dim_reduced, low=1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        spread: dict[str, Any] = {"padding": dilation, "dilation": dilation, **options}
        ends = zip([in_channels, *layers[:-1]], layers, strict=True)
        self.mask_head = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(n, m, 3, **spread), nn.ReLU()) for n, m in ends)
        )
        self.mask_predictor = nn.Sequential(
            {
                "conv5_mask": nn.ConvTranspose2d(layers[-1], dim_reduced, 2, 2, **options),
                "relu": nn.ReLU(),
                "mask_fcn_logits": nn.Conv2d(dim_reduced, num_classes, 1, **options),
            }
        )
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                init.kaiming_normal_(parameter, mode="fan_out", generator=generator)
            elif name.startswith("mask_head"):
                init.zeros_(parameter)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits of each class's mask."""
        a, head_back = self.mask_head(input)
        y, predictor_back = self.mask_predictor(a)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None = head_back(predictor_back(dy), needs_input_grad=needs_input_grad)
            return dx

        return y, backward
