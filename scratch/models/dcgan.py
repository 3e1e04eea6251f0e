"""DCGAN: images by convolutions that double and halve.    Radford, Metz & Chintala 2016, 1511.06434

    generator       z (N, Z, 1, 1)   4 x 4 by a transposed convolution, BatchNorm, ReLU;  then size
                    and width are doubled and halved by a 4 x 4 transposed convolution of stride 2,
                    BatchNorm, ReLU, until the last, which ends in tanh
    discriminator   the mirror image: 4 x 4 convolutions of stride 2, BatchNorm but in the first,
                    LeakyReLU of slope 0.2;  a last one from 4 x 4 to a logit

widths     of a generator for S x S: width S / 8 at 4 x 4, then half of that, ..., width before the
           last layer; the discriminator's in reverse
backward   the layers' own, last to first
shapes     z (N, Z)   x (N, channels, S, S) in [-1, 1]   D (N, 1)
start      weights from N(0, 0.02^2); BatchNorm's gains from N(1, 0.02^2), its shifts 0 (the gains
           as in torch's example); no biases where BatchNorm follows or would, as there
batches    BatchNorm sees real and generated images in batches of their own: together, the batch
           itself would tell how many of it are real
torch      the layers of its DCGAN example, the last shape (N, 1); LeakyReLU's default slope is 0.01
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn, random
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward

SLOPE = 0.2


class DCGANGenerator(Module):
    """Noise to images.

    Args:
        latent_size: Z, of the noise.
        width: channels before the last layer.
        img_size: S, a power of two, at least 8.
        channels: of an image.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, latent_size) to (N, channels, img_size, img_size).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, or `img_size` no such power.

    Source: Radford, Metz & Chintala 2016, arXiv:1511.06434, figure 1.
    """

    def __init__(
        self,
        latent_size: int = 100,
        width: int = 64,
        img_size: int = 64,
        channels: int = 3,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        generator = generator or random.Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.latent_size = check.size("DCGANGenerator", "latent_size", latent_size, low=1)
        stages = widths("DCGANGenerator", width, img_size, channels)[::-1]
        layers: list[Module] = []
        inputs, how = latent_size, (4, 1, 0)
        for n in stages:
            layers += [
                nn.ConvTranspose2d(inputs, n, *how, bias=False, **options),
                nn.BatchNorm2d(n, dtype=dtype),
                nn.ReLU(),
            ]
            inputs, how = n, (4, 2, 1)
        layers += [nn.ConvTranspose2d(inputs, channels, *how, bias=False, **options), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        start(self, generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """G(z)."""
        z = check.floating("DCGANGenerator", "input", input)
        check.shape("DCGANGenerator", "input", z, ("N", self.latent_size))
        y, layers_back = self.layers(z[:, :, None, None])

        def backward(dy: Array) -> Array:
            dz: Array = layers_back(dy)[:, :, 0, 0]
            return dz

        return y, backward


class DCGANDiscriminator(Module):
    """Images to logits: real, or made by the generator.

    Args:
        width: channels after the first layer.
        img_size: S, a power of two, at least 8.
        channels: of an image.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, channels, img_size, img_size) to (N, 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, or `img_size` no such power.

    Source: Radford, Metz & Chintala 2016, arXiv:1511.06434, section 3.
    """

    def __init__(
        self,
        width: int = 64,
        img_size: int = 64,
        channels: int = 3,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        generator = generator or random.Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        stages = widths("DCGANDiscriminator", width, img_size, channels)
        layers: list[Module] = []
        inputs = channels
        for n in stages:
            layers.append(nn.Conv2d(inputs, n, 4, 2, 1, bias=False, **options))
            if layers[1:]:
                layers.append(nn.BatchNorm2d(n, dtype=dtype))
            layers.append(nn.LeakyReLU(SLOPE))
            inputs = n
        layers += [nn.Conv2d(inputs, 1, 4, bias=False, **options), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        start(self, generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """D(x)."""
        return self.layers(input)


def widths(function: str, width: int, img_size: int, channels: int) -> list[int]:
    """Channels after each halving, down to 4 x 4.

    Args:
        function: name for messages.
        width: after the first.
        img_size: S, a power of two, at least 8.
        channels: of an image.

    Returns:
        width, 2 width, ...
    """
    check.size(function, "width", width, low=1)
    check.size(function, "channels", channels, low=1)
    size = check.size(function, "img_size", img_size, low=8)
    if size & (size - 1):
        check.refuse(function, "img_size to be a power of two", img_size)
    return [width * 2**k for k in range(size.bit_length() - 3)]


def start(model: Module, generator: random.Generator) -> None:
    """Draw the paper's start, layer by layer.

    Args:
        model: whose convolutions and BatchNorms begin anew.
        generator: where from.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            init.normal_(layer.weight, std=0.02, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d) and layer.weight is not None:
            init.normal_(layer.weight, 1.0, 0.02, generator=generator)
