"""Autoencoders: through a narrow code and back.            Hinton & Salakhutdinov 2006, Science 313

z = f(encoder(x))      y = decoder(z)                       f the code's activation, if any
denoising              z = f(encoder(x~))                   x~ is x with noise; the target is x

Denoising: Vincent et al. 2008, ICML; convolutions: Masci et al. 2011, ICANN.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.models.mlp import MLP


class EncoderDecoder(nn.Module):
    """An encoder, the code's activation, and a decoder."""

    def __init__(self, encoder: nn.Module, code: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.code = code
        self.decoder = decoder

    def encode(self, input: Tensor) -> Tensor:
        """The code of x."""
        z: Tensor = self.code(self.encoder(input))
        return z

    def decode(self, code: Tensor) -> Tensor:
        """What a code stands for."""
        y: Tensor = self.decoder(code)
        return y

    def forward(self, input: Tensor) -> Tensor:
        """The reconstruction of x."""
        return self.decode(self.encode(input))

    def loss(self, input: Tensor, *args: Tensor | None) -> Tensor:
        """Mean squared error of the reconstruction against x, over every entry.

        Args:
            input: x.
            args: what else the forward takes: noise, of a denoising autoencoder.

        Returns:
            The loss, ().
        """
        return F.mse_loss(self(input, *args), input)


class Autoencoder(EncoderDecoder):
    """Two multilayer perceptrons: one narrows, the other widens again.

    Args:
        sizes: width of the input, of each hidden layer, and of the code.
        activation: of the hidden layers, a class of `torch.nn` that needs no arguments.
        code_activation: of the code; 'Identity' leaves it linear.
        dtype: of the parameters.

    Shape:
        (..., sizes[0]) to the same; codes (..., sizes[-1]).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        code_activation: str = "Identity",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            MLP(sizes, activation, dtype=dtype),
            getattr(nn, code_activation)(),
            MLP(sizes[::-1], activation, dtype=dtype),
        )


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that, in training mode, sees its input corrupted.

    Args:
        sizes: width of the input, of each hidden layer, and of the code.
        activation: of the hidden layers, a class of `torch.nn` that needs no arguments.
        code_activation: of the code; 'Identity' leaves it linear.
        corruption: 'gaussian' adds noise, 'masking' sets entries to 0.
        level: standard deviation of the noise, or share of the entries that are set to 0.
        clip: lowest and highest value of a corrupted entry; None does not clip.
        dtype: of the parameters.

    Shape:
        (..., sizes[0]) to the same; codes (..., sizes[-1]).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(sizes, activation, code_activation, dtype=dtype)
        self.corruption = corruption
        self.level = float(level)
        self.clip = None if clip is None else (float(clip[0]), float(clip[1]))

    def corrupt(self, input: Tensor, noise: Tensor | None = None) -> Tensor:
        """Make x~ of x.

        Args:
            input: x (..., features).
            noise: of the same shape: standard normal, or, for masking, bool, True where an entry
                stays; None draws it.

        Returns:
            x~, of the same shape.
        """
        if self.corruption == "gaussian":
            v = input + self.level * (torch.randn_like(input) if noise is None else noise)
        else:
            kept = torch.rand_like(input) >= self.level if noise is None else noise
            v = input.masked_fill(~kept, 0)
        return v if self.clip is None else v.clamp(*self.clip)

    def forward(self, input: Tensor, noise: Tensor | None = None) -> Tensor:
        """The reconstruction of x~; in evaluation mode, if no noise is given, that of x itself."""
        if self.training or noise is not None:
            input = self.corrupt(input, noise)
        return super().forward(input)

    def extra_repr(self) -> str:
        return f"corruption={self.corruption!r}, level={self.level}, clip={self.clip}"


class ConvAutoencoder(EncoderDecoder):
    """Convolutions of stride 2 down to a code, transposed ones up again.

    Args:
        img_size: S, height and width of a picture.
        in_channels: of a picture.
        channels: of each convolution on the way down.
        code_size: features of the code.
        activation: between the layers, a class of `torch.nn` that needs no arguments.
        code_activation: of the code; 'Identity' leaves it linear.
        dtype: of the parameters.

    Shape:
        (N, in_channels, S, S) to the same; codes (N, code_size).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = img_size, in_channels, channels
        super().__init__(
            narrowing(*shape, code_size, activation, dtype=dtype),
            getattr(nn, code_activation)(),
            widening(*shape, code_size, activation, dtype=dtype),
        )


def narrowing(
    img_size: int,
    in_channels: int,
    channels: Sequence[int],
    code_size: int,
    activation: str,
    **options: Any,
) -> nn.Sequential:
    """Pictures to codes: convolutions that halve the size, and a linear layer."""
    layers: list[nn.Module] = []
    for c, d in pairwise((in_channels, *channels)):
        layers.append(nn.Conv2d(c, d, 3, stride=2, padding=1, **options))
        layers.append(getattr(nn, activation)())
    flat = channels[-1] * _sides(img_size, len(channels))[-1] ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, code_size, **options))


def widening(
    img_size: int,
    in_channels: int,
    channels: Sequence[int],
    code_size: int,
    activation: str,
    **options: Any,
) -> nn.Sequential:
    """Codes to pictures: a linear layer, and transposed convolutions that double the size."""
    *sides, side = _sides(img_size, len(channels))
    top = channels[-1]
    layers: list[nn.Module] = [
        nn.Linear(code_size, top * side**2, **options),
        nn.Unflatten(1, (top, side, side)),
    ]
    ends = pairwise((in_channels, *channels))
    for (d, c), size in reversed(list(zip(ends, sides, strict=True))):
        layers.append(getattr(nn, activation)())
        even = 1 - size % 2
        layers.append(nn.ConvTranspose2d(c, d, 3, 2, 1, output_padding=even, **options))
    return nn.Sequential(*layers)


def _sides(img_size: int, halvings: int) -> list[int]:
    """S before each convolution, and after the last."""
    sides = [img_size]
    for _ in range(halvings):
        sides.append((sides[-1] + 1) // 2)
    return sides
