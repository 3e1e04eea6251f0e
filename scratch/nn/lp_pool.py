"""Power-average pooling: a norm of each sliding window.

forward    y = (sum_j x[o s + j]^p)^(1/p)                j runs over the k^n taps of the window
           p = inf: the largest |x|                      p = -inf: minus the largest -|x|
backward   dx[a] = sum_o dy[o] y[o]^(1 - p) x[a]^(p - 1)     over the windows that a is in
shapes     x (N, C, L), (N, C, H, W), (N, C, D, H, W), or one sample without N   y (N, C, o...)
torch      x^p and not |x|^p, so an odd p keeps signs and a root of a negative sum is NaN. The sum
           is the window's mean times k^n: one that ceil_mode lets reach beyond the input is
           scaled up to a whole window. A window whose sum is 0 has gradient 0.
Source     Sermanet, Chintala & LeCun 2012, arXiv:1204.3968
"""

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.avg_pool import averages
from scratch.nn.max_pool import maxima
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.window import Sizes, check_sizes


@op
def lp_pool1d(
    input: Array,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> tuple[Array, Backward]:
    """p-norms of sliding windows over (L).

    Args:
        input: x (N, C, L) or (C, L).
        norm_type: p, a number other than 0, or an infinity.
        kernel_size: k.
        stride: s; None takes k.
        ceil_mode: whether a last window may reach beyond the input.

    Returns:
        y (N, C, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit or p is 0.

    Source: Sermanet et al. 2012.
    """
    return _norms("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@op
def lp_pool2d(
    input: Array,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> tuple[Array, Backward]:
    """p-norms of sliding windows over (H, W).

    Args:
        input: x (N, C, H, W) or (C, H, W).
        norm_type: p, a number other than 0, or an infinity.
        kernel_size: k, one or two.
        stride: s, one or two; None takes k.
        ceil_mode: whether a last window may reach beyond the input.

    Returns:
        y (N, C, o, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit or p is 0.

    Source: Sermanet et al. 2012.
    """
    return _norms("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


@op
def lp_pool3d(
    input: Array,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> tuple[Array, Backward]:
    """p-norms of sliding windows over (D, H, W).

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        norm_type: p, a number other than 0, or an infinity.
        kernel_size: k, one or three.
        stride: s, one or three; None takes k.
        ceil_mode: whether a last window may reach beyond the input.

    Returns:
        y (N, C, o, o, o), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if a shape or size does not fit or p is 0.

    Source: Sermanet et al. 2012.
    """
    return _norms("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def _norms(
    function: str,
    dims: int,
    input: Array,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None,
    ceil_mode: bool,
) -> tuple[Array, Backward]:
    x = check.floating(function, "input", input)
    p = check.nonzero(function, "norm_type", norm_type)
    if math.isinf(p):
        sign = math.copysign(1.0, p)
        signed = sign * np.abs(x)
        y, max_back = maxima(function, dims, signed, kernel_size, stride, 0, 1, ceil_mode, False)
        return sign * y, lambda dy: max_back(dy) * np.sign(x)

    taps = float(math.prod(check.sizes(function, "kernel_size", kernel_size, dims, 1)))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        power = x**p
        mean, mean_back = averages(
            function, dims, power, kernel_size, stride, 0, ceil_mode, True, None
        )
        y = (mean * taps) ** (1 / p)

    def backward(dy: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            dmean = dy * (taps / p) * (mean * taps) ** (1 / p - 1)
            dpower = mean_back(np.where(mean == 0, 0.0, dmean))
            dx: Array = dpower * (p * x ** (p - 1))
        return dx

    return y, backward


class _LPPool(Module):
    """What the three modules share."""

    _function: ClassVar[Callable[..., tuple[Array, Backward]]]
    _dims: ClassVar[int]

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        name = type(self).__name__
        check.nonzero(name, "norm_type", norm_type)
        check_sizes(name, self._dims, kernel_size, stride)
        check.option(name, "ceil_mode", ceil_mode, (True, False))
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The norms."""
        sizes = self.kernel_size, self.stride
        return type(self)._function(input, self.norm_type, *sizes, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """`lp_pool1d`.

    Args:
        norm_type: p, a number other than 0, or an infinity.
        kernel_size: k.
        stride: s; None takes k.
        ceil_mode: whether a last window may reach beyond the input.

    Shape:
        (N, C, L) to (N, C, o), or both without N.
    """

    _function = staticmethod(lp_pool1d)
    _dims = 1


class LPPool2d(_LPPool):
    """`lp_pool2d`.

    Args:
        norm_type: p, a number other than 0, or an infinity.
        kernel_size: k, one or two.
        stride: s, one or two; None takes k.
        ceil_mode: whether a last window may reach beyond the input.

    Shape:
        (N, C, H, W) to (N, C, o, o), or both without N.
    """

    _function = staticmethod(lp_pool2d)
    _dims = 2


class LPPool3d(_LPPool):
    """`lp_pool3d`.

    Args:
        norm_type: p, a number other than 0, or an infinity.
        kernel_size: k, one or three.
        stride: s, one or three; None takes k.
        ceil_mode: whether a last window may reach beyond the input.

    Shape:
        (N, C, D, H, W) to (N, C, o, o, o), or both without N.
    """

    _function = staticmethod(lp_pool3d)
    _dims = 3
