"""U-Net.                         Ronneberger, Fischer & Brox 2015, arXiv:1505.04597, fig. 1

down    d_0 = f_0(x)      d_k = f_k(maxpool_2(d_{k-1}))            f: twice conv3x3 and relu
up      u_K = d_K         u_k = g_k(concat(crop(d_k), up(u_{k+1})))
        y = conv1x1(u_0)
"""

import torch
from torch import nn


class DoubleConv(nn.Sequential):
    """Twice: a 3x3 convolution, batch norm if wanted, ReLU.

    Args:
        in_channels: of the input.
        out_channels: of both outputs.
        padding: 1 keeps the size, 0 takes 2 off it twice.
        batch_norm: whether to normalise, which the paper does not; it takes the mean off, so that
            the convolutions have no bias then.
        dtype: of the parameters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        padding: int = 0,
        batch_norm: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        layers: list[nn.Module] = []
        for c_in in (in_channels, out_channels):
            layers.append(
                nn.Conv2d(c_in, out_channels, 3, padding=padding, bias=not batch_norm, dtype=dtype)
            )
            if batch_norm:
                layers.append(nn.BatchNorm2d(out_channels, dtype=dtype))
            layers.append(nn.ReLU())
        super().__init__(*layers)


class UNet(nn.Module):
    """A label for each pixel: a path down that sees more and more, and one up that says where.

    Args:
        in_channels: of an image.
        num_classes: number of outputs for each pixel.
        depth: K, how often the size is halved.
        padding: 0 as in the paper: the output is smaller than the input; 1: of the same size.
        up: 'transposed' convolution, or 'bilinear' upsampling and a 1x1 convolution.
        batch_norm: whether to normalise after each 3x3 convolution, which has no bias then.
        dropout: probability of dropping at the end of the path down.
        width: channels at the top, 64; each level down doubles them.
        dtype: of the parameters.

    Shape:
        (N, in_channels, H, W), even before each pooling (572x572 in the paper), to logits
        (N, num_classes, h, w) (388x388).
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        depth: int = 4,
        padding: int = 0,
        up: str = "transposed",
        batch_norm: bool = False,
        dropout: float = 0.0,
        *,
        width: int = 64,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(depth + 1)]
        ends = zip([in_channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList(
            DoubleConv(n, m, padding, batch_norm, dtype=dtype) for n, m in ends
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList(_up(c, up, dtype) for c in reversed(widths[:-1]))
        self.merge = nn.ModuleList(
            DoubleConv(2 * c, c, padding, batch_norm, dtype=dtype) for c in reversed(widths[:-1])
        )
        self.head = nn.Conv2d(width, num_classes, 1, dtype=dtype)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits of each pixel."""
        a, skips = self.down[0](input), []
        for down in list(self.down)[1:]:
            skips.append(a)
            a = down(self.pool(a))
        a = self.dropout(a)
        for up, merge in zip(self.up, self.merge, strict=True):
            a = up(a)
            a = merge(torch.cat([crop(skips.pop(), a), a], 1))
        y: torch.Tensor = self.head(a)
        return y


def _up(channels: int, up: str, dtype: torch.dtype | None) -> nn.Module:
    """From twice the channels to `channels`, and twice the size."""
    if up == "transposed":
        return nn.ConvTranspose2d(2 * channels, channels, 2, stride=2, dtype=dtype)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(2 * channels, channels, 1, dtype=dtype),
    )


def crop(skip: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The middle of `skip`, of the size of `like`."""
    (h, w), (height, width) = like.shape[-2:], skip.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    return skip[..., top : top + h, left : left + w]
