"""Temporal convolutional network.        Bai, Kolter & Koltun 2018, arXiv:1803.01271, section 3

block      a = drop(relu(chomp(W_1 * x + b_1)))     f = drop(relu(chomp(W_2 * a + b_2)))
           y = relu(f + s(x))          W_j = g_j v_j / |v_j|      s: identity, or a 1x1 convolution
network    blocks above each other, the k-th with its taps 2^k steps apart
causal     (K - 1) 2^k zeros on both sides, of which chomp takes off what the right ones gave:
           y_t sees x_t, x_{t-1}, ..., x_{t-R+1},     R = 1 + 2 (K - 1) (2^levels - 1)
backward   dr = dy [f + s > 0]         dx = s'(dr) + the first half's(the second half's(dr))
           chomp': zeros where it took off
shapes     x (N, C, L)   y (N, channels of the last block, L)
start      the 1x1 convolutions N(0, 0.01^2); the others as any convolution. (The authors' code
           sets these to N(0, 0.01^2) too, after weight norm has taken g and v from them, so to no
           effect.)
dropout    whole channels, as the paper says, of all steps; the authors' code drops single values
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.utils.parametrizations import weight_norm
from scratch.random import Generator


@op
def chomp1d(input: Array, chomp_size: int) -> tuple[Array, Backward]:
    """Take the last steps off.

    Args:
        input: x (..., L).
        chomp_size: how many, 1 or more.

    Returns:
        y (..., L - chomp_size), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating.
        ValueError: if it has fewer steps.

    Source: Bai, Kolter & Koltun 2018, section 3.1: causal convolutions.
    """
    x = check.floating("chomp1d", "input", input)
    if x.ndim == 0 or x.shape[-1] < chomp_size:
        check.refuse("chomp1d", f"input of shape (..., L >= {chomp_size})", x.shape)
    kept = np.s_[..., : x.shape[-1] - chomp_size]

    def backward(dy: Array) -> Array:
        dx = np.zeros(x.shape, x.dtype)
        dx[kept] = dy
        return dx

    return x[kept], backward


class Chomp1d(Module):
    """`chomp1d` as a module.

    Args:
        chomp_size: how many steps, 1 or more.

    Shape:
        (..., L) to (..., L - chomp_size).
    """

    def __init__(self, chomp_size: int) -> None:
        self.chomp_size = check.size("Chomp1d", "chomp_size", chomp_size, low=1)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """All but the last steps."""
        return chomp1d(input, self.chomp_size)


class TemporalBlock(Module):
    """Two weight-normalised causal convolutions and a way around them.

    Args:
        n_inputs: channels of the input.
        n_outputs: channels of both convolutions.
        kernel_size: K, taps of a convolution, 2 or more.
        stride: 1, for what goes around to fit; kept from the authors' signature.
        dilation: steps from tap to tap.
        padding: zeros on both sides, (K - 1) dilation.
        dropout: probability of dropping a channel.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, n_inputs, L) or (n_inputs, L) to (N, n_outputs, L) or (n_outputs, L).

    Raises:
        TypeError, ValueError: if a size is no positive integer, the stride not 1, the padding does
            not match or `dropout` is no probability.
    """

    _skips_input_grad = True

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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "TemporalBlock"
        check.size(name, "n_inputs", n_inputs, low=1)
        check.size(name, "n_outputs", n_outputs, low=1)
        check.size(name, "kernel_size", kernel_size, low=2)
        check.option(name, "stride", stride, (1,))
        check.size(name, "dilation", dilation, low=1)
        check.option(name, "padding", padding, ((kernel_size - 1) * dilation,))
        check.number(name, "dropout", dropout, 0, 1)
        generator = generator or Generator()
        made: dict[str, Any] = {"dtype": dtype, "generator": generator}
        options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        self.conv1 = weight_norm(nn.Conv1d(n_inputs, n_outputs, kernel_size, **options, **made))
        self.chomp1 = Chomp1d(padding)
        self.relu1 = nn.ReLU()
        self.dropout1 = nn.Dropout1d(dropout, generator=generator)
        self.conv2 = weight_norm(nn.Conv1d(n_outputs, n_outputs, kernel_size, **options, **made))
        self.chomp2 = Chomp1d(padding)
        self.relu2 = nn.ReLU()
        self.dropout2 = nn.Dropout1d(dropout, generator=generator)
        self.downsample = (
            nn.Conv1d(n_inputs, n_outputs, 1, **made) if n_inputs != n_outputs else None
        )
        self.relu = nn.ReLU()
        if self.downsample is not None:
            init.normal_(self.downsample.weight, 0.0, 0.01, generator=generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = relu(f + s(x))."""
        a, conv1_back = self.conv1(input)
        a, chomp1_back = self.chomp1(a)
        a, relu1_back = self.relu1(a)
        a, dropout1_back = self.dropout1(a)

        f, conv2_back = self.conv2(a)
        f, chomp2_back = self.chomp2(f)
        f, relu2_back = self.relu2(f)
        f, dropout2_back = self.dropout2(f)

        s, skip_back = (input, None) if self.downsample is None else self.downsample(input)
        y, relu_back = self.relu(f + s)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dr = relu_back(dy)
            da = conv2_back(chomp2_back(relu2_back(dropout2_back(dr))))
            da = chomp1_back(relu1_back(dropout1_back(da)))
            dx = conv1_back(da, needs_input_grad=needs_input_grad)
            dskip = skip_back(dr, needs_input_grad=needs_input_grad) if skip_back else dr
            return dx + dskip if needs_input_grad else None

        return y, backward


class TemporalConvNet(Module):
    """Blocks above each other, each looking twice as far back as the one below.

    Args:
        num_inputs: channels of the input.
        num_channels: channels of each block.
        kernel_size: K, taps of a convolution.
        dropout: probability of dropping a channel.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, num_inputs, L) or (num_inputs, L) to (N, num_channels[-1], L) or (num_channels[-1], L).

    Raises:
        TypeError, ValueError: if a size is no positive integer, there is no block, or `dropout` is
            no probability.
    """

    _skips_input_grad = True

    def __init__(
        self,
        num_inputs: int,
        num_channels: Sequence[int],
        kernel_size: int = 2,
        dropout: float = 0.2,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "TemporalConvNet"
        check.size(name, "num_inputs", num_inputs, low=1)
        if not isinstance(num_channels, tuple | list) or not num_channels:
            expected = "num_channels to be a sequence of one or more sizes"
            check.refuse(name, expected, check.describe(num_channels), TypeError)
        self.kernel_size = check.size(name, "kernel_size", kernel_size, low=2)
        generator = generator or Generator()
        ends = zip([num_inputs, *num_channels[:-1]], num_channels, strict=True)
        self.network = nn.Sequential(
            *(
                TemporalBlock(
                    n,
                    m,
                    kernel_size,
                    1,
                    2**k,
                    (kernel_size - 1) * 2**k,
                    dropout,
                    dtype=dtype,
                    generator=generator,
                )
                for k, (n, m) in enumerate(ends)
            )
        )

    @property
    def receptive_field(self) -> int:
        """R: how many steps, its own included, an output step sees."""
        return 1 + 2 * (self.kernel_size - 1) * ((1 << len(self.network)) - 1)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The last block's output at every step."""
        return self.network(input)


class TCN(Module):
    """A temporal convolutional network and a dense layer on its last step, or on each.

    Args:
        input_size: channels of the input.
        output_size: numbers for each sequence, or for each step.
        num_channels: channels of each block.
        kernel_size: K, taps of a convolution.
        dropout: probability of dropping a channel.
        every_step: whether there is an output at each step and not at the last only.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (N, input_size, L) to (N, output_size), or (N, L, output_size) where `every_step`; without
        N likewise.

    Raises:
        TypeError, ValueError: if a size is no positive integer, there is no block, `every_step`
            no bool or `dropout` no probability.
    """

    _skips_input_grad = True

    def __init__(
        self,
        input_size: int = 1,
        output_size: int = 1,
        num_channels: Sequence[int] = (30, 30, 30, 30, 30, 30, 30, 30),
        kernel_size: int = 7,
        dropout: float = 0.0,
        every_step: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("TCN", "output_size", output_size, low=1)
        check.option("TCN", "every_step", every_step, (True, False))
        generator = generator or Generator()
        self.every_step = every_step
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.tcn = TemporalConvNet(input_size, num_channels, kernel_size, dropout, **options)
        self.linear = nn.Linear(num_channels[-1], output_size, **options)
        init.normal_(self.linear.weight, 0.0, 0.01, generator=generator)

    @property
    def receptive_field(self) -> int:
        """R: how many steps, its own included, an output step sees."""
        return self.tcn.receptive_field

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The outputs of the last step, or of each."""
        a, tcn_back = self.tcn(input)
        h = a.swapaxes(-1, -2)  # (N, L, C)
        y, linear_back = self.linear(h if self.every_step else h[..., -1, :])

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dh = linear_back(dy)
            if self.every_step:
                da = dh.swapaxes(-1, -2)
            else:
                da = np.zeros_like(a)
                da[..., -1] = dh
            dx: Array | None = tcn_back(da, needs_input_grad=needs_input_grad)
            return dx

        return y, backward
