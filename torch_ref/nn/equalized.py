"""Layers whose weights start from N(0, 1) and are scaled when they are used.

    y = g a(x * (W c) + b m)      c = m / sqrt(fan_in)     m a multiplier of the learning rate

Karras et al. 2018, arXiv:1710.10196, section 4.1; the multiplier: Karras et al. 2019,
arXiv:1812.04948, appendix C.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torch_ref.nn.bias_act import GAINS, bias_act
from torch_ref.nn.conv2d_resample import conv2d_resample
from torch_ref.nn.upfirdn2d import TAPS, setup_filter


class EqualizedLinear(nn.Module):
    """Affine map and activation.

    Args:
        in_features: size of the input's last axis.
        out_features: of the output's.
        bias: whether to add b.
        activation: 'linear' or 'lrelu'.
        lr_multiplier: m.
        bias_init: where b starts, all of it.
        dtype: of the parameters.

    Shape:
        (N, in_features) to (N, out_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.lr_multiplier = activation, lr_multiplier
        weight = torch.randn(out_features, in_features, dtype=dtype) / lr_multiplier
        self.weight = nn.Parameter(weight)
        start = torch.full((out_features,), bias_init, dtype=dtype or weight.dtype)
        self.bias = nn.Parameter(start) if bias else None
        self.weight_gain = lr_multiplier / math.sqrt(in_features)

    def forward(self, input: Tensor) -> Tensor:
        """y = g a(x (W c)^T + b m)."""
        bias = None if self.bias is None else self.bias * self.lr_multiplier
        return bias_act(input @ (self.weight * self.weight_gain).T, bias, self.activation)

    def extra_repr(self) -> str:
        """The arguments."""
        out, of = self.weight.shape
        return f"{of}, {out}, activation={self.activation}, lr_multiplier={self.lr_multiplier}"


class EqualizedConv2d(nn.Module):
    """Convolution, to a larger or smaller image where asked for, and activation.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K.
        bias: whether to add b.
        activation: 'linear' or 'lrelu'.
        up: factor of the size.
        down: divisor of the size; one of the two is 1.
        resample_filter: taps of the filter against aliases.
        dtype: of the parameters.

    Shape:
        (N, C, H, W) to (N, O, H up / down, W up / down).
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_filter: Sequence[float] = TAPS,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.up, self.down = activation, up, down
        self.padding = kernel_size // 2
        self.weight = nn.Parameter(
            torch.randn(out_channels, in_channels, kernel_size, kernel_size, dtype=dtype)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels, dtype=dtype)) if bias else None
        self.register_buffer("resample_filter", setup_filter(resample_filter, dtype=dtype))
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)

    def forward(self, input: Tensor, gain: float = 1.0) -> Tensor:
        """y = gain g a(x * (W c) + b)."""
        weight = self.weight * self.weight_gain
        how = self.resample_filter, self.up, self.down, self.padding
        y = conv2d_resample(input, weight, *how)
        return bias_act(y, self.bias, self.activation, GAINS[self.activation] * gain)

    def extra_repr(self) -> str:
        """The arguments."""
        out, of, kernel, _ = self.weight.shape
        size = f"kernel_size={kernel}, up={self.up}, down={self.down}"
        return f"{of}, {out}, {size}, activation={self.activation}"
