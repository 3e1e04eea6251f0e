"""Local response normalisation: each channel divided by the energy of its neighbours.

forward    s = sum of x^2 over a window of size channels     d = k + alpha s / size
           y = x / d^beta
backward   dx = dy / d^beta - (2 alpha beta / size) x sum of dy y / d over the reversed window
shapes     x, y (N, C, ...)
torch      s is divided by size, which the paper does not do, also at the edges, where channels
           are missing. Windows of even size have one channel more below than above.
           CrossMapLRN2d, its predecessor from Lua, keeps channel 0 in all windows of size > 1, and
           its backward is not the derivative: it sums over channels c - h to c - h + size - 1, with
           h = ceil(size / 2). Both are followed.
Source     Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks"
"""

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet


@op
@quiet
def local_response_norm(
    input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array, Backward]:
    """y = x / (k + alpha mean x^2)^beta, with the mean over neighbouring channels.

    Args:
        input: x (N, C, L, ...).
        size: channels in a window.
        alpha: weight of the mean square.
        beta: exponent.
        k: added to it.

    Returns:
        y of x's shape, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument has another type.
        ValueError: if it has fewer than three axes or the size is below 1.

    Source: Krizhevsky et al. 2012.
    """
    x, alpha, beta, k = _checked("local_response_norm", input, size, alpha, beta, k)
    if x.ndim < 3:
        check.refuse("local_response_norm", "input of shape (N, C, L, ...)", x.shape)
    below, above = size // 2, (size - 1) // 2
    d = k + alpha / size * _window(x * x, below, above)
    y = x * d**-beta

    @quiet
    def backward(dy: Array) -> Array:
        dx: Array = dy * d**-beta
        dx -= 2 * alpha * beta / size * x * _window(dy * y / d, above, below)
        return dx

    return y, backward


def _checked(
    function: str, input: object, size: object, alpha: object, beta: object, k: object
) -> tuple[Array, float, float, float]:
    x = check.floating(function, "input", input)
    check.size(function, "size", size, 1)
    numbers = (("alpha", alpha), ("beta", beta), ("k", k))
    a, b, c = (check.number(function, name, number) for name, number in numbers)
    return x, a, b, c


def _window(x: Array, below: int, above: int) -> Array:
    """Sums over channels c - below to c + above of x (N, C, ...)."""
    total = np.zeros_like(x)
    channels = x.shape[1]
    for offset in range(-min(below, channels), min(above, channels) + 1):
        low, high = max(0, -offset), min(channels, channels - offset)
        total[:, low:high] += x[:, low + offset : high + offset]
    return total


class LocalResponseNorm(Module):
    """`local_response_norm`.

    Args:
        size: channels in a window.
        alpha: weight of the mean square.
        beta: exponent.
        k: added to it.

    Shape:
        (N, C, L, ...) to the same.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = check.size(type(self).__name__, "size", size, 1)
        for name, number in (("alpha", alpha), ("beta", beta), ("k", k)):
            check.number(type(self).__name__, name, number)
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x / (k + alpha mean x^2)^beta."""
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """`local_response_norm` of images as Lua Torch had it, whose windows and gradient differ.

    Args:
        size: channels in a window.
        alpha: weight of the mean square.
        beta: exponent.
        k: added to it.

    Shape:
        (N, C, H, W) to the same.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x / (k + alpha mean x^2)^beta."""
        return _cross_map_lrn2d(input, self.size, self.alpha, self.beta, self.k)


@op
@quiet
def _cross_map_lrn2d(
    input: Array, size: int, alpha: float, beta: float, k: float
) -> tuple[Array, Backward]:
    """`CrossMapLRN2d`, whose backward is not the derivative."""
    x, alpha, beta, k = _checked("CrossMapLRN2d", input, size, alpha, beta, k)
    if x.ndim != 4:
        check.refuse("CrossMapLRN2d", "input of shape (N, C, H, W)", x.shape)
    reach, below = (size - 1) // 2, (size + 1) // 2
    squares = x * x
    sums = _window(squares, reach, reach)
    sums[:, reach + 1 :] += squares[:, :1]
    d = k + alpha / size * sums
    y = x * d**-beta

    @quiet
    def backward(dy: Array) -> Array:
        dx: Array = dy * d**-beta
        dx -= 2 * alpha * beta / size * x * _window(dy * y / d, below, size - 1 - below)
        return dx

    return y, backward
