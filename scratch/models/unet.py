"""U-Net.                         Ronneberger, Fischer & Brox 2015, arXiv:1505.04597, fig. 1

forward    d_0 = f_0(x)     d_k = f_k(maxpool_2(d_{k-1}))         f, g: twice conv3x3 and relu
           u_K = d_K        u_k = g_k(concat(crop(d_k), up_k(u_{k+1})))          y = conv1x1(u_0)
backward   the way up, last to first: each concat's gradient is split, its first half, padded with
           zeros, waits for the way down and is added there to what comes through the pooling
shapes     x (N, C, H, W)   d_k (N, 2^k width, ...)   y (N, num_classes, h, w)
start      convolutions from N(0, 2 / fan_in), biases 0
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class DoubleConv(nn.Sequential):
    """Twice: a 3x3 convolution, batch norm if wanted, ReLU.

    Args:
        in_channels: of the input.
        out_channels: of both outputs.
        padding: 1 keeps the size, 0 takes 2 off it twice.
        batch_norm: whether to normalise, which the paper does not; it takes the mean off, so that
            the convolutions have no bias then.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W) to (N, out_channels, h, w).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        padding: int = 0,
        batch_norm: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        layers: list[Module] = []
        for c_in in (in_channels, out_channels):
            layers.append(
                nn.Conv2d(c_in, out_channels, 3, padding=padding, bias=not batch_norm, **options)
            )
            if batch_norm:
                layers.append(nn.BatchNorm2d(out_channels, dtype=dtype))
            layers.append(nn.ReLU())
        super().__init__(*layers)


class UNet(Module):
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
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, in_channels, H, W), even before each pooling (572x572 in the paper), to logits
        (N, num_classes, h, w) (388x388).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, an option is unknown, or
            `dropout` is no probability; in a forward, if a size is odd before a pooling.
    """

    _skips_input_grad = True

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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("UNet", "in_channels", in_channels, low=1)
        check.size("UNet", "num_classes", num_classes, low=1)
        check.size("UNet", "depth", depth, low=1)
        check.option("UNet", "padding", padding, (0, 1))
        check.option("UNet", "up", up, ("transposed", "bilinear"))
        check.number("UNet", "dropout", dropout, 0, 1)
        check.size("UNet", "width", width, low=1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        widths = [width * 2**k for k in range(depth + 1)]
        ends = zip([in_channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList(DoubleConv(n, m, padding, batch_norm, **options) for n, m in ends)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.up = nn.ModuleList(_up(c, up, options) for c in reversed(widths[:-1]))
        self.merge = nn.ModuleList(
            DoubleConv(2 * c, c, padding, batch_norm, **options) for c in reversed(widths[:-1])
        )
        self.head = nn.Conv2d(width, num_classes, 1, **options)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, generator=generator)
                if m.bias is not None:
                    init.zeros_(m.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits of each pixel."""
        a, first_back = self.down[0](input)
        skips: list[Array] = []
        down_backs: list[tuple[Backward, Backward]] = []
        for down in self.down[1:]:
            if a.shape[-1] % 2 or a.shape[-2] % 2:
                got = f"{a.shape[-2:]} of {input.shape[-2:]}"
                check.refuse("UNet", "an even height and width before each pooling", got)
            skips.append(a)
            pooled, pool_back = self.pool(a)
            a, conv_back = down(pooled)
            down_backs.append((pool_back, conv_back))
        a, dropout_back = self.dropout(a)
        up_backs: list[tuple[Backward, Backward, Backward]] = []
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            a, up_back = up(a)
            cropped, crop_back = crop(skip, a)
            a, merge_back = merge(np.concatenate([cropped, a], axis=1))
            up_backs.append((up_back, crop_back, merge_back))
        y, head_back = self.head(a)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            da = head_back(dy)
            dskips = []
            for up_back, crop_back, merge_back in reversed(up_backs):
                dcropped, da = np.split(merge_back(da), 2, axis=1)
                dskips.append(crop_back(dcropped))
                da = up_back(da)
            da = dropout_back(da)
            for (pool_back, conv_back), dskip in zip(
                reversed(down_backs), reversed(dskips), strict=True
            ):
                da = dskip + pool_back(conv_back(da))
            dx: Array | None = first_back(da, needs_input_grad=needs_input_grad)
            return dx

        return y, backward


def _up(channels: int, up: str, options: dict[str, Any]) -> Module:
    """From twice the channels to `channels`, and twice the size."""
    if up == "transposed":
        return nn.ConvTranspose2d(2 * channels, channels, 2, stride=2, **options)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(2 * channels, channels, 1, **options),
    )


def crop(skip: Array, like: Array) -> tuple[Array, Backward]:
    """The middle of `skip`, of the size of `like`."""
    (h, w), (height, width) = like.shape[-2:], skip.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    shape, middle = skip.shape, np.s_[..., top : top + h, left : left + w]

    def backward(dy: Array) -> Array:
        dskip = np.zeros(shape, dy.dtype)
        dskip[middle] = dy
        return dskip

    return skip[middle], backward
