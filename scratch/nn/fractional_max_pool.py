"""Fractional max pooling: windows of one size at places that are drawn.

places     start[i] = floor((i + u) a) - floor(u a)      a = (n - k) / (o - 1)     i = 0 ... o - 2
           the last window ends with the input: start[o - 1] = n - k
           u in [0, 1) is drawn once for each map and axis
forward    y = maximum over the k^n taps of the window
backward   dx[a] = sum of dy over the windows whose maximum is at a
shapes     x (N, C, H, W), (N, C, D, H, W), or one sample without N   y, indices (N, C, o...)
           u (N, C, 2) or (N, C, 3), of which the first samples' are used
torch      u is ordered (W, H) in two dimensions, but (D, H, W) in three; o is at most n - k + 1 in
           two, but n - k in three. Of the paper's forms this is the pseudorandom, overlapping one.
           Ties and NaN as in max_pool.
Source     Graham 2014, arXiv:1412.6071
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.max_pool import largest_in
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.window import Sizes, maps, scatter
from scratch.random import Generator, check_generator

Ratios = float | Sequence[float]


@op
def fractional_max_pool2d(
    input: Array,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Ratios | None = None,
    return_indices: bool = False,
    _random_samples: Array | None = None,
    *,
    generator: Generator | None = None,
) -> tuple[Any, Backward]:
    """Maxima of windows at random places in (H, W).

    Args:
        input: x (N, C, H, W) or (C, H, W).
        kernel_size: k, one or two.
        output_size: o, one or two.
        output_ratio: o / n instead, one or two numbers in (0, 1).
        return_indices: whether the flat positions of the maxima come too.
        _random_samples: u (N or more, C, 2) in place of a draw.
        generator: where u comes from; None draws a fresh one.

    Returns:
        y (N, C, o, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if an array is not floating, or a size not an integer.
        ValueError: if a shape, size or ratio does not fit.

    Source: Graham 2014.
    """
    args = kernel_size, output_size, output_ratio, return_indices, _random_samples
    return _fractional("fractional_max_pool2d", 2, input, *args, generator)


@op
def fractional_max_pool3d(
    input: Array,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Ratios | None = None,
    return_indices: bool = False,
    _random_samples: Array | None = None,
    *,
    generator: Generator | None = None,
) -> tuple[Any, Backward]:
    """Maxima of windows at random places in (D, H, W).

    Args:
        input: x (N, C, D, H, W) or (C, D, H, W).
        kernel_size: k, one or three.
        output_size: o, one or three.
        output_ratio: o / n instead, one or three numbers in (0, 1).
        return_indices: whether the flat positions of the maxima come too.
        _random_samples: u (N or more, C, 3) in place of a draw.
        generator: where u comes from; None draws a fresh one.

    Returns:
        y (N, C, o, o, o), or (y, indices), and its backward: dy -> dx, or (dy, None) -> dx.

    Raises:
        TypeError: if an array is not floating, or a size not an integer.
        ValueError: if a shape, size or ratio does not fit.

    Source: Graham 2014.
    """
    args = kernel_size, output_size, output_ratio, return_indices, _random_samples
    return _fractional("fractional_max_pool3d", 3, input, *args, generator)


def _fractional(
    function: str,
    dims: int,
    input: Array,
    kernel_size: Sizes,
    output_size: Sizes | None,
    output_ratio: Ratios | None,
    return_indices: bool,
    samples: Array | None,
    generator: Generator | None,
) -> tuple[Any, Backward]:
    x = maps(function, input, dims)
    shape, size, dtype = x.shape, x.shape[-dims:], x.dtype
    kernels = check.sizes(function, "kernel_size", kernel_size, dims, 1)
    outputs, ratios = _target(function, dims, output_size, output_ratio)
    if outputs is None:
        outputs = tuple(int(n * ratio) for n, ratio in zip(size, ratios, strict=True))
    most = [n - k + (1 if dims == 2 else 0) for n, k in zip(size, kernels, strict=True)]
    if any(o > m for o, m in zip(outputs, most, strict=True)):
        check.refuse(function, f"an output of at most {tuple(most)} here", tuple(outputs))
    check.option(function, "return_indices", return_indices, (True, False))
    u = _samples(function, dims, x, samples, generator)
    if dims == 2:
        u = u[..., ::-1]  # torch gives the first number to the width
    places = []
    for axis, (n, k, o) in enumerate(zip(size, kernels, outputs, strict=True)):
        start = _starts(u[..., axis], n, k, o)
        places.append(start + np.arange(k).reshape(k, *(1,) * start.ndim))
    y, indices = largest_in(x, places)

    def backward(dy: Array | None, dindices: None = None) -> Array:
        return np.zeros(shape, dtype) if dy is None else scatter(dy, indices, shape, dims)

    return ((y, indices) if return_indices else y), backward


def _target(
    function: str, dims: int, output_size: Any, output_ratio: Any
) -> tuple[tuple[int, ...] | None, tuple[float, ...]]:
    """The output's sizes if they are given, else its ratios."""
    if output_size is not None:
        return check.sizes(function, "output_size", output_size, dims, 0), ()
    if output_ratio is None:
        check.refuse(function, "output_size or output_ratio", "neither")
    each = output_ratio if isinstance(output_ratio, tuple | list) else (output_ratio,) * dims
    if len(each) != dims:
        check.refuse(function, f"output_ratio to be one or {dims}", output_ratio)
    bounds = {"open_low": True, "open_high": True}
    return None, tuple(check.number(function, "output_ratio", r, 0, 1, **bounds) for r in each)


def _samples(
    function: str, dims: int, x: Array, samples: Array | None, generator: Generator | None
) -> Array:
    """u for each map and axis: given, or drawn."""
    check_generator(function, generator)
    lead = x.shape[:-dims]
    if samples is None:
        return (generator or Generator()).rand(*lead, dims, dtype=x.dtype)
    u = check.floating(function, "_random_samples", samples, like=x)
    n = lead[0] if len(lead) == 2 else 1
    if u.ndim != 3 or u.shape[0] < n or u.shape[1:] != (lead[-1], dims):
        expected = f"_random_samples of shape (N >= {n}, {lead[-1]}, {dims})"
        check.refuse(function, expected, u.shape)
    u = u[:n].reshape(*lead, dims)
    if not np.isfinite(u).all():
        check.refuse(function, "every entry of _random_samples to be finite", check.describe(u))
    return u


def _starts(u: Array, n: int, k: int, o: int) -> Array:
    """Where the o windows of each map start, (..., o)."""
    alpha = u.dtype.type((n - k) / max(o - 1, 1))
    i = np.arange(o, dtype=u.dtype)
    u = u[..., None]
    start: Array = ((i + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)
    start[..., o - 1 :] = n - k
    return start


class _FractionalMaxPool(Module):
    """What the two modules share."""

    _function: ClassVar[Callable[..., tuple[Any, Backward]]]
    _dims: ClassVar[int]
    _random_samples: Array | None

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: Ratios | None = None,
        return_indices: bool = False,
        _random_samples: Array | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        name, dims = type(self).__name__, self._dims
        self.kernel_size = check.sizes(name, "kernel_size", kernel_size, dims, 1)
        if output_size is not None and output_ratio is not None:
            check.refuse(name, "one of output_size and output_ratio", "both")
        self.output_size, ratios = _target(name, dims, output_size, output_ratio)
        self.output_ratio = ratios or None
        check.option(name, "return_indices", return_indices, (True, False))
        check_generator(name, generator)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.generator = generator or Generator()

    def forward(self, input: Array) -> tuple[Any, Backward]:
        """The maxima, and their positions with `return_indices`."""
        return type(self)._function(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
            generator=self.generator,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """`fractional_max_pool2d`.

    Args:
        kernel_size: k, one or two.
        output_size: o, one or two.
        output_ratio: o / n instead, one or two numbers in (0, 1).
        return_indices: whether the flat positions of the maxima come too.
        _random_samples: u (N, C, 2) for every call, in place of draws.
        generator: where u comes from, call after call; None takes a fresh one.

    Shape:
        (N, C, H, W) to (N, C, o, o), or both without N.
    """

    _function = staticmethod(fractional_max_pool2d)
    _dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """`fractional_max_pool3d`.

    Args:
        kernel_size: k, one or three.
        output_size: o, one or three.
        output_ratio: o / n instead, one or three numbers in (0, 1).
        return_indices: whether the flat positions of the maxima come too.
        _random_samples: u (N, C, 3) for every call, in place of draws.
        generator: where u comes from, call after call; None takes a fresh one.

    Shape:
        (N, C, D, H, W) to (N, C, o, o, o), or both without N.
    """

    _function = staticmethod(fractional_max_pool3d)
    _dims = 3
