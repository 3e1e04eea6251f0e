"""EfficientNet.                                    Tan & Le 2019, arXiv:1905.11946, table 1

block      f = bn(conv1x1(se(silu(bn(depthwise_stride(silu(bn(conv1x1(x)))))))))
           y = x + drop(f) where the shapes agree, else f      dx = dy + f'(drop'(dy)), else f'(dy)
se         y = x s     s = sigmoid(W2 silu(W1 mean(x)))
           ds = sum dy x     dx = dy s + mean'(W1' silu'(W2' sigmoid'(ds)))
           means and sums over the image
drop       y = x m / (1 - p)   m: 0 with probability p, one for each sample    dx = dy m / (1 - p)
shapes     x (N, C, H, W)   inside (N, t C, H, W)   s (N, t C, 1, 1)   m (N, 1, 1, 1)
start      convolutions from N(0, 2 / fan_out), the dense weight from U(+-1 / sqrt(out)), biases 0
paper      its own code normalises with eps 1e-3 and momentum 0.01; torchvision with the usual 1e-5
           and 0.1 for B0 to B4, as here
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.mobilenet_v2 import Conv2dNormActivation, check_rows, make_divisible
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.random import Generator

# Expansion, kernel, stride of the first block, input and output channels, blocks.
SETTING = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


class SqueezeExcitation(Module):
    """Scale each channel by a number in (0, 1) that depends on the means of all channels.

    Args:
        input_channels: C.
        squeeze_channels: channels in between.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, C, H, W) or (C, H, W) to the same.

    Raises:
        TypeError, ValueError: if a size is not a positive integer.

    Source:
        Hu, Shen & Sun 2018, arXiv:1709.01507; SiLU in place of its ReLU, as in EfficientNet.
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("SqueezeExcitation", "input_channels", input_channels, low=1)
        check.size("SqueezeExcitation", "squeeze_channels", squeeze_channels, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1, **options)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1, **options)
        self.activation = nn.SiLU()
        self.scale_activation = nn.Sigmoid()

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x s."""
        ends = self.fc2, self.scale_activation
        s, scale_back = nn.Sequential(self.avgpool, self.fc1, self.activation, *ends)(input)
        y, times_back = _times(input, s)

        def backward(dy: Array) -> Array:
            dx, ds = times_back(dy)
            total: Array = dx + scale_back(ds)
            return total

        return y, backward


@op
def _times(x: Array, s: Array) -> tuple[Array, Backward]:
    """Images (..., H, W) times factors (..., 1, 1)."""

    def backward(dy: Array) -> tuple[Array, Array]:
        return dy * s, np.einsum("...hw,...hw->...", dy, x)[..., None, None]

    return x * s, backward


@op
def stochastic_depth(
    input: Array,
    p: float,
    mode: str,
    training: bool = True,
    *,
    generator: Generator | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """y = x m / (1 - p) in training, x in evaluation.

    Args:
        input: x (N, ...).
        p: probability of leaving out, in [0, 1].
        mode: 'row' draws for each sample, 'batch' once for all.
        training: whether to leave out at all.
        generator: where the mask comes from; None draws a fresh one.
        mask: m (N, 1, ...), or (1, 1, ...) of the batch, in place of a draw.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
        ValueError: if a shape does not fit, p is out of range or `mode` unknown.

    Source:
        Huang, Sun, Liu, Sedra & Weinberger 2016, arXiv:1603.09382, which scales in evaluation
        instead.
    """
    x = check.floating("stochastic_depth", "input", input)
    check.number("stochastic_depth", "p", p, 0, 1)
    check.option("stochastic_depth", "mode", mode, ("row", "batch"))
    if not training or p == 0:
        return x, lambda dy: dy
    if x.ndim == 0:
        check.refuse("stochastic_depth", "input of shape (N, ...)", x.shape)
    drawn = (len(x) if mode == "row" else 1, *(1,) * (x.ndim - 1))
    if mask is None:
        mask = (generator or Generator()).bernoulli(1 - p, drawn, x.dtype)
    if not isinstance(mask, np.ndarray) or mask.shape != drawn:
        expected = f"mask to be an array of shape {drawn}"
        check.refuse("stochastic_depth", expected, check.describe(mask))
    scale = mask.astype(x.dtype) / ((1 - p) or 1)
    return x * scale, lambda dy: dy * scale


class StochasticDepth(Module):
    """`stochastic_depth` in training mode, the identity in evaluation mode.

    Args:
        p: probability of leaving out, in [0, 1].
        mode: 'row' draws for each sample, 'batch' once for all.
        generator: where the masks come from, call after call; None takes a fresh one.

    Shape:
        (N, ...) to the same.

    Raises:
        TypeError, ValueError: if `p` is no probability or `mode` unknown.
    """

    def __init__(self, p: float, mode: str, *, generator: Generator | None = None) -> None:
        check.number("StochasticDepth", "p", p, 0, 1)
        check.option("StochasticDepth", "mode", mode, ("row", "batch"))
        self.p, self.mode = p, mode
        self.generator = generator or Generator()

    def forward(self, input: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
        """Leave out in training mode; `mask` replaces the draw."""
        options: dict[str, Any] = {"generator": self.generator, "mask": mask}
        return stochastic_depth(input, self.p, self.mode, self.training, **options)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"


class MBConv(Module):
    """Widen, filter each channel by itself, weigh the channels, narrow; a shortcut.

    Args:
        expand_ratio: how many times wider it is inside; 1 leaves the widening out.
        kernel: size of the depthwise convolution, odd.
        stride: 1 or 2, of the depthwise convolution.
        input_channels: of the input.
        out_channels: of the output.
        stochastic_depth_prob: probability of leaving the branch out.
        dtype: float32 or float64.
        generator: where the start and the masks come from; None draws a fresh one.

    Shape:
        (N, input_channels, H, W) to (N, out_channels, H / stride, W / stride), rounded up.

    Raises:
        TypeError, ValueError: if a size is not a positive integer, `stride` not 1 or 2, or
            `stochastic_depth_prob` no probability.
    """

    def __init__(
        self,
        expand_ratio: int,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        stochastic_depth_prob: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("MBConv", "stride", stride, (1, 2))
        check.size("MBConv", "expand_ratio", expand_ratio, low=1)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        c = make_divisible(input_channels * expand_ratio, 8)
        layers: list[Module] = []
        if c != input_channels:
            layers.append(Conv2dNormActivation(input_channels, c, 1, 1, 1, nn.SiLU, **options))
        layers += [
            Conv2dNormActivation(c, c, kernel, stride, c, nn.SiLU, **options),
            SqueezeExcitation(c, max(1, input_channels // 4), **options),
            Conv2dNormActivation(c, out_channels, 1, 1, 1, None, **options),
        ]
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row", generator=generator)
        self.use_res_connect = stride == 1 and input_channels == out_channels

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x + drop(f(x)), or f(x)."""
        f, block_back = self.block(input)
        if not self.use_res_connect:
            return f, block_back
        dropped, drop_back = self.stochastic_depth(f)
        return input + dropped, lambda dy: dy + block_back(drop_back(dy))


class EfficientNet(Module):
    """B0, and by its three factors B1 to B4, with torchvision's names.

    Args:
        width_mult: factor of all widths, rounded to multiples of 8.
        depth_mult: factor of the numbers of blocks, rounded up.
        dropout: probability of dropping an input of the dense layer.
        stochastic_depth_prob: probability that the last block's branch would be left out one block
            later; it grows from 0 in proportion to the depth.
        num_classes: number of outputs.
        inverted_residual_setting: rows of expansion, kernel, stride, input and output channels,
            number of blocks.
        dtype: float32 or float64.
        generator: where the start and the masks come from; None draws a fresh one.

    Shape:
        (N, 3, H, W) to logits (N, num_classes).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, a row has not six entries, or
            a probability is none.
    """

    _skips_input_grad = True

    def __init__(
        self,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        dropout: float = 0.2,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        inverted_residual_setting: Sequence[Sequence[int]] = SETTING,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.number("EfficientNet", "width_mult", width_mult, 0, open_low=True)
        check.number("EfficientNet", "depth_mult", depth_mult, 0, open_low=True)
        check.number("EfficientNet", "dropout", dropout, 0, 1)
        check.number("EfficientNet", "stochastic_depth_prob", stochastic_depth_prob, 0, 1)
        check.size("EfficientNet", "num_classes", num_classes, low=1)
        setting = check_rows("EfficientNet", inverted_residual_setting, 6)
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        depths = [math.ceil(n * depth_mult) for *_, n in setting]
        c_in = make_divisible(setting[0][3] * width_mult, 8)
        features: list[Module] = [Conv2dNormActivation(3, c_in, 3, 2, 1, nn.SiLU, **options)]
        block = 0
        for (t, kernel, stride, _, out, _), n in zip(setting, depths, strict=True):
            c_out, stage = make_divisible(out * width_mult, 8), []
            for i in range(n):
                p = stochastic_depth_prob * block / sum(depths)
                step = stride if i == 0 else 1
                stage.append(MBConv(t, kernel, step, c_in, c_out, p, **options))
                c_in, block = c_out, block + 1
            features.append(nn.Sequential(*stage))
        features.append(Conv2dNormActivation(c_in, 4 * c_in, 1, 1, 1, nn.SiLU, **options))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout, generator=generator), nn.Linear(4 * c_in, num_classes, **options)
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", generator=generator)
            elif isinstance(m, nn.Linear):
                bound = 1 / math.sqrt(m.out_features)
                init.uniform_(m.weight, -bound, bound, generator=generator)
            if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None:
                init.zeros_(m.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Logits."""
        chain = nn.Sequential(self.features, self.avgpool, nn.Flatten(), self.classifier)
        return chain(input)
