"""Temporal convolutional network.        Bai, Kolter & Koltun 2018, arXiv:1803.01271, section 3

block      a = drop(relu(chomp(W_1 * x + b_1)))     f = drop(relu(chomp(W_2 * a + b_2)))
           y = relu(f + s(x))          W_j = g_j v_j / |v_j|      s: identity, or a 1x1 convolution
network    blocks above each other, the k-th with its taps 2^k steps apart
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class Chomp1d(nn.Module):
    """Take the last steps off.

    Args:
        chomp_size: how many, 1 or more.

    Shape:
        (..., L) to (..., L - chomp_size).
    """

    def __init__(self, chomp_size: int) -> None:
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """All but the last steps."""
        return input[..., : -self.chomp_size]


class TemporalBlock(nn.Module):
    """Two weight-normalised causal convolutions and a way around them.

    Args:
        n_inputs: channels of the input.
        n_outputs: channels of both convolutions.
        kernel_size: K, taps of a convolution, 2 or more.
        stride: 1, for what goes around to fit; kept from the authors' signature.
        dilation: steps from tap to tap.
        padding: zeros on both sides, (K - 1) dilation.
        dropout: probability of dropping a channel.
        dtype: of the parameters.

    Shape:
        (N, n_inputs, L) or (n_inputs, L) to (N, n_outputs, L) or (n_outputs, L).
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        padding: int,
        dropout: float = 0.2,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()

        def conv(channels: int) -> nn.Conv1d:
            return nn.Conv1d(
                channels, n_outputs, kernel_size, stride, padding, dilation, dtype=dtype
            )

        self.conv1 = weight_norm(conv(n_inputs))
        self.chomp1 = Chomp1d(padding)
        self.relu1 = nn.ReLU()
        self.dropout1 = nn.Dropout1d(dropout)
        self.conv2 = weight_norm(conv(n_outputs))
        self.chomp2 = Chomp1d(padding)
        self.relu2 = nn.ReLU()
        self.dropout2 = nn.Dropout1d(dropout)
        same = n_inputs == n_outputs
        self.downsample = None if same else nn.Conv1d(n_inputs, n_outputs, 1, dtype=dtype)
        self.relu = nn.ReLU()
        if self.downsample is not None:
            nn.init.normal_(self.downsample.weight, 0.0, 0.01)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = relu(f + s(x))."""
        a = self.dropout1(self.relu1(self.chomp1(self.conv1(input))))
        f = self.dropout2(self.relu2(self.chomp2(self.conv2(a))))
        s = input if self.downsample is None else self.downsample(input)
        y: torch.Tensor = self.relu(f + s)
        return y


class TemporalConvNet(nn.Module):
    """Blocks above each other, each looking twice as far back as the one below.

    Args:
        num_inputs: channels of the input.
        num_channels: channels of each block.
        kernel_size: K, taps of a convolution.
        dropout: probability of dropping a channel.
        dtype: of the parameters.

    Shape:
        (N, num_inputs, L) or (num_inputs, L) to (N, num_channels[-1], L) or (num_channels[-1], L).
    """

    def __init__(
        self,
        num_inputs: int,
        num_channels: Sequence[int],
        kernel_size: int = 2,
        dropout: float = 0.2,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        ends = zip([num_inputs, *num_channels[:-1]], num_channels, strict=True)
        self.network = nn.Sequential(
            *(
                TemporalBlock(
                    n, m, kernel_size, 1, 2**k, (kernel_size - 1) * 2**k, dropout, dtype=dtype
                )
                for k, (n, m) in enumerate(ends)
            )
        )

    @property
    def receptive_field(self) -> int:
        """R: how many steps, its own included, an output step sees."""
        return 1 + 2 * (self.kernel_size - 1) * ((1 << len(self.network)) - 1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The last block's output at every step."""
        y: torch.Tensor = self.network(input)
        return y


class TCN(nn.Module):
    """A temporal convolutional network and a dense layer on its last step, or on each.

    Args:
        input_size: channels of the input.
        output_size: numbers for each sequence, or for each step.
        num_channels: channels of each block.
        kernel_size: K, taps of a convolution.
        dropout: probability of dropping a channel.
        every_step: whether there is an output at each step and not at the last only.
        dtype: of the parameters.

    Shape:
        (N, input_size, L) to (N, output_size), or (N, L, output_size) where `every_step`; without
        N likewise.
    """

    def __init__(
        self,
        input_size: int = 1,
        output_size: int = 1,
        num_channels: Sequence[int] = (30, 30, 30, 30, 30, 30, 30, 30),
        kernel_size: int = 7,
        dropout: float = 0.0,
        every_step: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.every_step = every_step
        self.tcn = TemporalConvNet(input_size, num_channels, kernel_size, dropout, dtype=dtype)
        self.linear = nn.Linear(num_channels[-1], output_size, dtype=dtype)
        nn.init.normal_(self.linear.weight, 0.0, 0.01)

    @property
    def receptive_field(self) -> int:
        """R: how many steps, its own included, an output step sees."""
        return self.tcn.receptive_field

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The outputs of the last step, or of each."""
        h = self.tcn(input).transpose(-1, -2)
        y: torch.Tensor = self.linear(h if self.every_step else h[..., -1, :])
        return y
