"""DCGAN: images by convolutions that double and halve.    Radford, Metz & Chintala 2016, 1511.06434

generator       z (N, Z, 1, 1)   4 x 4 by a transposed convolution, BatchNorm, ReLU;  then size
                and width are doubled and halved by a 4 x 4 transposed convolution of stride 2,
                BatchNorm, ReLU, until the last, which ends in tanh
discriminator   the mirror image: 4 x 4 convolutions of stride 2, BatchNorm but in the first,
                LeakyReLU of slope 0.2;  a last one from 4 x 4 to a logit
"""

import torch
from torch import Tensor, nn

SLOPE = 0.2


class DCGANGenerator(nn.Module):
    """Noise to images.

    Args:
        latent_size: Z, of the noise.
        width: channels before the last layer.
        img_size: S, a power of two, at least 8.
        channels: of an image.
        dtype: of the parameters.

    Shape:
        (N, latent_size) to (N, channels, img_size, img_size).
    """

    def __init__(
        self,
        latent_size: int = 100,
        width: int = 64,
        img_size: int = 64,
        channels: int = 3,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, how = latent_size, (4, 1, 0)
        for n in reversed(widths(width, img_size)):
            layers += [
                nn.ConvTranspose2d(inputs, n, *how, bias=False, dtype=dtype),
                nn.BatchNorm2d(n, dtype=dtype),
                nn.ReLU(),
            ]
            inputs, how = n, (4, 2, 1)
        layers += [nn.ConvTranspose2d(inputs, channels, *how, bias=False, dtype=dtype), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        start(self)

    def forward(self, input: Tensor) -> Tensor:
        """G(z)."""
        y: Tensor = self.layers(input[:, :, None, None])
        return y


class DCGANDiscriminator(nn.Module):
    """Images to logits: real, or made by the generator.

    Args:
        width: channels after the first layer.
        img_size: S, a power of two, at least 8.
        channels: of an image.
        dtype: of the parameters.

    Shape:
        (N, channels, img_size, img_size) to (N, 1).
    """

    def __init__(
        self,
        width: int = 64,
        img_size: int = 64,
        channels: int = 3,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for n in widths(width, img_size):
            layers.append(nn.Conv2d(inputs, n, 4, 2, 1, bias=False, dtype=dtype))
            if layers[1:]:
                layers.append(nn.BatchNorm2d(n, dtype=dtype))
            layers.append(nn.LeakyReLU(SLOPE))
            inputs = n
        layers += [nn.Conv2d(inputs, 1, 4, bias=False, dtype=dtype), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        start(self)

    def forward(self, input: Tensor) -> Tensor:
        """D(x)."""
        y: Tensor = self.layers(input)
        return y


def widths(width: int, img_size: int) -> list[int]:
    """Channels after each halving, down to 4 x 4.

    Args:
        width: after the first.
        img_size: S, a power of two.

    Returns:
        width, 2 width, ...
    """
    return [width * 2**k for k in range(img_size.bit_length() - 3)]


def start(model: nn.Module) -> None:
    """Draw the paper's start, layer by layer.

    Args:
        model: whose convolutions and BatchNorms begin anew.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
