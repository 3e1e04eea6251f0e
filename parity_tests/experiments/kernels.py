"""Well-known kernels, and both packages' and SciPy's answers to them on a single channel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import signal

from datasets.check import Array
from scratch.nn import functional as F

SOBEL_X = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
SOBEL_Y = SOBEL_X.T
DIAGONAL = np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
SHARPEN = np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]])
EMBOSS = np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])
LAPLACIAN = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
LETTER = np.array(
    [[1.0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
)  # an F: no rotation or reflection of it looks the same


def gaussian(size: int, sigma: float) -> Array:
    """A bell of `size` x `size` that sums to 1."""
    at = np.arange(size) - (size - 1) / 2
    bell = np.exp(-(at**2) / (2 * sigma**2))
    bell /= bell.sum()
    return np.outer(bell, bell)


@dataclass(frozen=True, eq=False)
class Filter:
    """A kernel and how it moves.

    Attributes:
        label: what it is called here.
        kernel: (h, w).
        signed: whether its answer is drawn around zero.
        stride: s.
        dilation: d.
    """

    label: str
    kernel: Array
    signed: bool = False
    stride: int = 1
    dilation: int = 1

    @property
    def whole(self) -> bool:
        """Whether the kernel is of whole numbers."""
        return bool(np.all(self.kernel == np.rint(self.kernel)))


FILTERS = (
    Filter("Sobel, x", SOBEL_X, signed=True),
    Filter("Sobel, y", SOBEL_Y, signed=True),
    Filter("diagonal", DIAGONAL, signed=True),
    Filter("Laplacian", LAPLACIAN, signed=True),
    Filter("emboss", EMBOSS),
    Filter("sharpen", SHARPEN),
    Filter("box 7 x 7", np.full((7, 7), 1 / 49)),
    Filter("Gaussian 13 x 13", gaussian(13, 2.5)),
    Filter("Sobel, x, dilation 5", SOBEL_X, signed=True, dilation=5),
    Filter("Gaussian, stride 8", gaussian(13, 2.5), stride=8),
)


def both(x: Array, kernel: Array, **options: Any) -> tuple[Array, Array]:
    """What scratch and torch make of one picture and one kernel.

    Args:
        x: (H, W).
        kernel: (h, w).
        options: of conv2d.
    """
    kernel = kernel.astype(x.dtype)
    ours, _ = F.conv2d(x[None, None], kernel[None, None], **options)
    tensors = torch.tensor(x)[None, None], torch.tensor(kernel)[None, None]
    return ours[0, 0], torch.nn.functional.conv2d(*tensors, **options)[0, 0].numpy()


def third(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    """The same by SciPy: zeros between the taps, and every so many of the answers."""
    h, w = kernel.shape
    spread = np.zeros((dilation * (h - 1) + 1, dilation * (w - 1) + 1), x.dtype)
    spread[::dilation, ::dilation] = kernel
    answer: Array = signal.correlate2d(x, spread, "valid")[::stride, ::stride]
    return answer
