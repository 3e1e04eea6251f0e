"""Pixel shuffle: channels become pixels, r x r of them.           Shi et al. 2016, arXiv:1609.05158

pixel_shuffle     y[c, r h + i, r w + j] = x[(c r + i) r + j, h, w]
pixel_unshuffle   the other way round; each is the inverse of the other, and its backward too
shapes            x (..., C r r, H, W)   y (..., C, r H, r W)
torch             The channel of the result varies slowest in the channels of x: 'CRD' of ONNX's
                  DepthToSpace. The paper's equation 4 and TensorFlow's depth_to_space ('DCR') let
                  it vary fastest: x[(i r + j) C + c, h, w]. Empty images keep their shape in
                  torch's pixel_unshuffle, and have no gradients; here they do as others.
"""

import itertools
import math

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op


def _shuffle(x: Array, r: int) -> Array:
    *lead, c, h, w = x.shape
    c //= r * r
    planes = x.reshape(math.prod(lead) * c, r, r, h, w)
    y = np.empty((len(planes), h, r, w, r), x.dtype)
    for i, j in itertools.product(range(r), range(r)):
        y[:, :, i, :, j] = planes[:, i, j]
    return y.reshape(*lead, c, h * r, w * r)


def _unshuffle(y: Array, r: int) -> Array:
    *lead, c, h, w = y.shape
    h, w = h // r, w // r
    pixels = y.reshape(math.prod(lead) * c, h, r, w, r)
    x = np.empty((len(pixels), r, r, h, w), y.dtype)
    for i, j in itertools.product(range(r), range(r)):
        x[:, i, j] = pixels[:, :, i, :, j]
    return x.reshape(*lead, c * r * r, h, w)


@op
def pixel_shuffle(input: Array, upscale_factor: int) -> tuple[Array, Backward]:
    """Make an image r times larger, of pixels that lie in its channels.

    Args:
        input: x (..., C r r, H, W).
        upscale_factor: r.

    Returns:
        y (..., C, r H, r W), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or r not an integer.
        ValueError: if r is not positive or the channels are no multiple of r r.

    Source: Shi et al. 2016, equation 4, with the channels in torch's order.
    """
    x = check.floating("pixel_shuffle", "input", input)
    r = check.size("pixel_shuffle", "upscale_factor", upscale_factor, low=1)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        check.refuse("pixel_shuffle", f"input of shape (..., {r * r} C, H, W)", x.shape)
    return _shuffle(x, r), lambda dy: _unshuffle(dy, r)


@op
def pixel_unshuffle(input: Array, downscale_factor: int) -> tuple[Array, Backward]:
    """Make an image r times smaller and put its pixels into channels: undoes `pixel_shuffle`.

    Args:
        input: x (..., C, r H, r W).
        downscale_factor: r.

    Returns:
        y (..., C r r, H, W), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or r not an integer.
        ValueError: if r is not positive or the height or width no multiple of it.
    """
    x = check.floating("pixel_unshuffle", "input", input)
    r = check.size("pixel_unshuffle", "downscale_factor", downscale_factor, low=1)
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        check.refuse("pixel_unshuffle", f"input of shape (..., C, {r} H, {r} W)", x.shape)
    return _unshuffle(x, r), lambda dy: _shuffle(dy, r)


class PixelShuffle(Module):
    """`pixel_shuffle` as a module.

    Args:
        upscale_factor: by which the image becomes larger.
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = check.size("PixelShuffle", "upscale_factor", upscale_factor, low=1)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The larger image."""
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """`pixel_unshuffle` as a module.

    Args:
        downscale_factor: by which the image becomes smaller.
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = check.size(
            "PixelUnshuffle", "downscale_factor", downscale_factor, low=1
        )

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The smaller image."""
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"
