"""Autoencoders: through a narrow code and back.            Hinton & Salakhutdinov 2006, Science 313

forward      z = f(encoder(x))      y = decoder(z)               f the code's activation, if any
backward     the decoder's, the code's, the encoder's
denoising    z = f(encoder(x~))     x~ = x + level e, or x with entries set to 0; clipped or not
shapes       x, y (..., sizes[0])   z (..., sizes[-1]);  pictures (N, C, S, S)   z (N, code_size)
dense        the decoder has the encoder's widths in reverse, weights of its own, a linear output
pictures     S is halved, rounding up, by each 3x3 convolution of stride 2, and doubled on the way
             back by a transposed one, whose output_padding is 1 where S was even
target       is x, never x~: of a denoising autoencoder the loss compares y with what was clean
masking      entries are set to 0 and the others stay as they are; dropout would scale them up
Sources      denoising: Vincent, Larochelle, Bengio & Manzagol 2008, ICML; pictures: Masci, Meier,
             Ciresan & Schmidhuber 2011, ICANN, with strides and transposed convolutions (Dumoulin
             & Visin 2016, arXiv:1603.07285) in place of pooling
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.mlp import MLP
from scratch.models.neuron import make_activation
from scratch.nn import functional as F
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class EncoderDecoder(Module):
    """An encoder, the code's activation, and a decoder.

    Args:
        encoder: x to what the code is made of.
        code: its activation.
        decoder: the code to y.
    """

    _skips_input_grad = True

    def __init__(self, encoder: Module, code: Module, decoder: Module) -> None:
        self.encoder = encoder
        self.code = code
        self.decoder = decoder

    def encode(self, input: Array) -> tuple[Array, Backward]:
        """The code of x, and its backward: dz -> dx."""
        h, encoder_back = self.encoder(input)
        z, code_back = self.code(h)

        def backward(dz: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None = encoder_back(code_back(dz), needs_input_grad=needs_input_grad)
            return dx

        return z, backward

    def decode(self, code: Array) -> tuple[Array, Backward]:
        """What a code stands for, and its backward: dy -> dz."""
        return self.decoder(code)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The reconstruction of x."""
        z, encode_back = self.encode(input)
        y, decode_back = self.decode(z)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None = encode_back(decode_back(dy), needs_input_grad=needs_input_grad)
            return dx

        return y, backward

    def loss(self, input: Array, *args: Array | None) -> tuple[Array, Backward]:
        """Mean squared error of the reconstruction against x, over every entry.

        Args:
            input: x.
            args: what else the forward takes: noise, of a denoising autoencoder.

        Returns:
            The loss, (), and its backward: dloss -> dx.

        Raises:
            TypeError, ValueError: if an array has the wrong dtype or shape.
        """
        y, model_back = self(input, *args)
        loss, loss_back = F.mse_loss(y, input)

        def backward(dloss: Array | float = 1.0, needs_input_grad: bool = True) -> Array | None:
            dy, dtarget = loss_back(dloss)
            dx = model_back(dy, needs_input_grad=needs_input_grad)
            return dx + dtarget if needs_input_grad else None

        return loss, backward


class Autoencoder(EncoderDecoder):
    """Two multilayer perceptrons: one narrows, the other widens again.

    Args:
        sizes: width of the input, of each hidden layer, and of the code.
        activation: of the hidden layers, a class of `scratch.nn` that needs no arguments.
        code_activation: of the code; 'Identity' leaves it linear.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., sizes[0]) to the same; codes (..., sizes[-1]).

    Raises:
        TypeError, ValueError: if there are fewer than two sizes, one is not a positive integer, or
            there is no such activation.

    Source: Hinton & Salakhutdinov 2006, trained from a random start and not layer by layer.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        code_activation: str = "Identity",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(sizes, Sequence) or len(sizes) < 2:
            expected = "sizes to be two or more integers"
            check.refuse("Autoencoder", expected, check.describe(sizes))
        for n in sizes:
            check.size("Autoencoder", "every size", n, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        super().__init__(
            MLP(sizes, activation, **options),
            make_activation("Autoencoder", code_activation, **options),
            MLP(sizes[::-1], activation, **options),
        )


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that, in training mode, sees its input corrupted.

    Args:
        sizes: width of the input, of each hidden layer, and of the code.
        activation: of the hidden layers, a class of `scratch.nn` that needs no arguments.
        code_activation: of the code; 'Identity' leaves it linear.
        corruption: 'gaussian' adds noise, 'masking' sets entries to 0.
        level: standard deviation of the noise, or share of the entries that are set to 0.
        clip: lowest and highest value of a corrupted entry; None does not clip.
        dtype: float32 or float64.
        generator: where the start and the noise come from; None draws a fresh one.

    Shape:
        (..., sizes[0]) to the same; codes (..., sizes[-1]).

    Raises:
        TypeError, ValueError: as `Autoencoder`; if there is no such corruption, `level` is
            negative or no share, or `clip` is not two numbers in order.

    Source: Vincent et al. 2008 (masking); 2010, JMLR 11, section 3.3 (Gaussian).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        code_activation: str = "Identity",
        corruption: str = "gaussian",
        level: float = 0.3,
        clip: tuple[float, float] | None = None,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "DenoisingAutoencoder"
        check.option(name, "corruption", corruption, ("gaussian", "masking"))
        self.corruption = corruption
        self.level = check.number(name, "level", level, 0, 1 if corruption == "masking" else np.inf)
        if clip is not None:
            low, high = (
                check.number(name, "clip", bound) for bound in check.pair(name, "clip", clip)
            )
            if low >= high:
                check.refuse(name, "clip to be a lower and a higher number", clip)
            clip = low, high
        self.clip = clip
        self.generator = generator or Generator()
        super().__init__(sizes, activation, code_activation, dtype=dtype, generator=self.generator)

    def corrupt(self, input: Array, noise: Array | None = None) -> tuple[Array, Backward]:
        """Make x~ of x.

        Args:
            input: x (..., features).
            noise: of the same shape: standard normal e, or, for masking, bool, True where an entry
                stays; None draws it.

        Returns:
            x~, of the same shape, and its backward: dx~ -> dx.

        Raises:
            TypeError, ValueError: if an array has the wrong dtype or shape.
        """
        name = "DenoisingAutoencoder"
        x = check.floating(name, "input", input)
        if self.corruption == "gaussian":
            if noise is None:
                noise = self.generator.randn(*x.shape, dtype=x.dtype)
            e = check.floating(name, "noise", noise, like=x)
            check.shape(name, "noise", e, x.shape)
            v, kept = x + self.level * e, np.ones(x.shape, bool)
        else:
            if noise is None:
                noise = self.generator.rand(*x.shape, dtype=x.dtype) >= self.level
            if not isinstance(noise, np.ndarray) or noise.dtype != bool:
                check.refuse(name, "noise to be a bool array", check.describe(noise), TypeError)
            check.shape(name, "noise", noise, x.shape)
            v, kept = np.where(noise, x, 0).astype(x.dtype, copy=False), noise
        if self.clip is not None:
            low, high = self.clip
            kept = kept & (v >= low) & (v <= high)
            v = v.clip(low, high)
        return v, lambda dv: dv * kept

    def forward(self, input: Array, noise: Array | None = None) -> tuple[Array, Backward]:
        """The reconstruction of x~; in evaluation mode, if no noise is given, that of x itself."""
        if noise is None and not self.training:
            return super().forward(input)
        corrupted, corrupt_back = self.corrupt(input, noise)
        y, network_back = super().forward(corrupted)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dcorrupted = network_back(dy, needs_input_grad=needs_input_grad)
            dx: Array | None = corrupt_back(dcorrupted) if needs_input_grad else None
            return dx

        return y, backward

    def extra_repr(self) -> str:
        return f"corruption={self.corruption!r}, level={self.level}, clip={self.clip}"


class ConvAutoencoder(EncoderDecoder):
    """Convolutions of stride 2 down to a code, transposed ones up again.

    Args:
        img_size: S, height and width of a picture.
        in_channels: of a picture.
        channels: of each convolution on the way down.
        code_size: features of the code.
        activation: between the layers, a class of `scratch.nn` that needs no arguments.
        code_activation: of the code; 'Identity' leaves it linear.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_channels, S, S) to the same; codes (N, code_size).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, there are no channels or no such
            activation; in a forward, if the picture does not fit.
    """

    def __init__(
        self,
        img_size: int = 28,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32),
        code_size: int = 16,
        activation: str = "ReLU",
        code_activation: str = "Identity",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "ConvAutoencoder"
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        shape = img_size, in_channels, channels
        super().__init__(
            narrowing(name, *shape, code_size, activation, **options),
            make_activation(name, code_activation, **options),
            widening(name, *shape, code_size, activation, **options),
        )


def narrowing(
    function: str,
    img_size: int,
    in_channels: int,
    channels: Sequence[int],
    code_size: int,
    activation: str,
    **options: Any,
) -> nn.Sequential:
    """Pictures to codes: convolutions that halve the size, and a linear layer."""
    sides = _sides(function, img_size, in_channels, channels)
    check.size(function, "code_size", code_size, low=1)
    layers: list[Module] = []
    for c, d in pairwise((in_channels, *channels)):
        layers.append(nn.Conv2d(c, d, 3, stride=2, padding=1, **options))
        layers.append(make_activation(function, activation, **options))
    flat = channels[-1] * sides[-1] ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, code_size, **options))


def widening(
    function: str,
    img_size: int,
    in_channels: int,
    channels: Sequence[int],
    code_size: int,
    activation: str,
    **options: Any,
) -> nn.Sequential:
    """Codes to pictures: a linear layer, and transposed convolutions that double the size."""
    sides = _sides(function, img_size, in_channels, channels)
    top, side = channels[-1], sides[-1]
    layers: list[Module] = [
        nn.Linear(code_size, top * side**2, **options),
        nn.Unflatten(1, (top, side, side)),
    ]
    ends = pairwise((in_channels, *channels))
    for (d, c), size in reversed(list(zip(ends, sides[:-1], strict=True))):
        layers.append(make_activation(function, activation, **options))
        even = 1 - size % 2
        layers.append(nn.ConvTranspose2d(c, d, 3, 2, 1, output_padding=even, **options))
    return nn.Sequential(*layers)


def _sides(
    function: str, img_size: int, in_channels: int, channels: Sequence[int]
) -> tuple[int, ...]:
    """S before each convolution, and after the last."""
    check.size(function, "img_size", img_size, low=1)
    check.size(function, "in_channels", in_channels, low=1)
    if not isinstance(channels, Sequence) or not channels:
        expected = "channels to be one or more integers"
        check.refuse(function, expected, check.describe(channels))
    sides = [img_size]
    for c in channels:
        check.size(function, "every number of channels", c, low=1)
        sides.append((sides[-1] + 1) // 2)
    return tuple(sides)
