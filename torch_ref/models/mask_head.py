"""Mask head of Mask R-CNN.                              He et al. 2017, arXiv:1703.06870, fig. 4

mask_head        four times a 3x3 convolution and ReLU
mask_predictor   a transposed convolution that doubles the size, ReLU, a 1x1 convolution
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn


class MaskHead(nn.Module):
    """For each box a mask of every class, with torchvision's names below `roi_heads`.

    Args:
        in_channels: of the features, 256 in a feature pyramid.
        num_classes: K, the background included, as torchvision counts them.
        layers: channels of the 3x3 convolutions.
        dilation: of them; their padding, too.
        dim_reduced: channels after the transposed convolution.
        dtype: of the parameters.

    Shape:
        (R, in_channels, H, W) to logits (R, num_classes, 2 H, 2 W); H = W = 14 in the paper.
    """

    def __init__(
        self,
        in_channels: int = 256,
        num_classes: int = 91,
        layers: Sequence[int] = (256, 256, 256, 256),
        dilation: int = 1,
        dim_reduced: int = 256,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        ends = zip([in_channels, *layers[:-1]], layers, strict=True)
        self.mask_head = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(n, m, 3, padding=dilation, dilation=dilation, dtype=dtype),
                    nn.ReLU(),
                )
                for n, m in ends
            )
        )
        self.mask_predictor = nn.Sequential(
            OrderedDict(
                conv5_mask=nn.ConvTranspose2d(layers[-1], dim_reduced, 2, 2, dtype=dtype),
                relu=nn.ReLU(),
                mask_fcn_logits=nn.Conv2d(dim_reduced, num_classes, 1, dtype=dtype),
            )
        )
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")
            elif name.startswith("mask_head"):
                nn.init.zeros_(parameter)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits of each class's mask."""
        logits: torch.Tensor = self.mask_predictor(self.mask_head(input))
        return logits
