"""Series changed in ways that leave their kind alone, a whole batch at a time.

    jitter           y_t = x_t + s e_t                  e ~ N(0, 1), of each value
    scaling          y_t = (1 + s e) x_t                e of each series and channel
    magnitude_warp   y_t = (1 + s g(t)) x_t             g a smooth curve of each series and channel
    time_warp        y_t = x(w(t))                      w' proportional to exp(s g(t))
    window_slice     y = x[a : a + length]              a of each series
    g                the natural cubic spline through N(0, 1) at evenly spaced knots
    shapes           x (n, T) or (n, T, C); in x's dtype; a new array, x stays as it is

w rises from 0 to T - 1: time runs faster and slower, never back, and both ends stay. (The paper's
speed is 1 + s g, which can turn negative.) Each draws from the generator that it is given.

Sources: Um et al. 2017, arXiv:1706.00527, section 3; Le Guennec et al. 2016, Data augmentation for
time series classification using convolutional neural networks (window slicing).
"""

import numpy as np

from datasets import check
from datasets.check import Array

FORM = "(n, time) or (n, time, channels)"


def jitter(x: Array, rng: np.random.Generator, *, std: float = 0.05) -> Array:
    """Add Gaussian noise to each value.

    Args:
        x: series (n, T) or (n, T, C), floating.
        rng: what the noise is drawn from.
        std: of the noise, in the unit of x.

    Returns:
        The series, of x's shape.

    Raises:
        ValueError: if x has another shape or `std` is negative.
        TypeError: if an argument is of another type.
    """
    x, std = _series("jitter", x, rng, std)
    y: Array = x + std * rng.standard_normal(x.shape).astype(x.dtype)
    return y


def scaling(x: Array, rng: np.random.Generator, *, std: float = 0.1) -> Array:
    """Multiply each series by a factor near 1, each channel by its own.

    Args:
        x: series (n, T) or (n, T, C), floating.
        rng: what the factors are drawn from.
        std: of the factors.

    Returns:
        The series, of x's shape.

    Raises:
        ValueError: if x has another shape or `std` is negative.
        TypeError: if an argument is of another type.
    """
    x, std = _series("scaling", x, rng, std)
    factor = 1 + std * rng.standard_normal((len(x), 1, *x.shape[2:]))
    y: Array = x * factor.astype(x.dtype)
    return y


def magnitude_warp(
    x: Array, rng: np.random.Generator, *, std: float = 0.2, knots: int = 4
) -> Array:
    """Multiply each series by a smooth curve near 1, each channel by its own.

    Args:
        x: series (n, T) or (n, T, C), floating.
        rng: what the curves are drawn from.
        std: of the curves at their knots.
        knots: how many between the ends, which are knots too.

    Returns:
        The series, of x's shape.

    Raises:
        ValueError: if x has another shape, `std` is negative or `knots` below 0.
        TypeError: if an argument is of another type.
    """
    x, std = _series("magnitude_warp", x, rng, std)
    knots = check.size("magnitude_warp", "knots", knots)
    values = rng.standard_normal((len(x), knots + 2, *x.shape[2:]))
    curve = np.einsum("tk,nk...->nt...", spline_basis(x.shape[1], knots + 2), values)
    y: Array = x * (1 + std * curve).astype(x.dtype)
    return y


def time_warp(x: Array, rng: np.random.Generator, *, std: float = 0.2, knots: int = 4) -> Array:
    """Let time run faster here and slower there; interpolated between neighbours.

    Args:
        x: series (n, T) or (n, T, C), floating.
        rng: what the speeds are drawn from.
        std: of the logarithm of the speed at its knots.
        knots: how many between the ends, which are knots too.

    Returns:
        The series, of x's shape; the first and last values stay, all channels move together.

    Raises:
        ValueError: if x has another shape, `std` is negative or `knots` below 0.
        TypeError: if an argument is of another type.
    """
    x, std = _series("time_warp", x, rng, std)
    knots = check.size("time_warp", "knots", knots)
    n, length = x.shape[:2]
    values = rng.standard_normal((n, knots + 2))
    speed = np.exp(std * values @ spline_basis(length, knots + 2).T)
    travelled = np.zeros((n, length))
    np.cumsum((speed[:, 1:] + speed[:, :-1]) / 2, axis=1, out=travelled[:, 1:])
    at = travelled * (length - 1) / np.maximum(travelled[:, -1:], np.finfo(float).tiny)
    before = np.minimum(at.astype(int), max(length - 2, 0))
    wide = (n, length, *(1,) * (x.ndim - 2))
    share = (at - before).reshape(wide).astype(x.dtype)
    i = np.arange(n)[:, None]
    y: Array = (1 - share) * x[i, before] + share * x[i, np.minimum(before + 1, length - 1)]
    return y


def window_slice(x: Array, length: int, rng: np.random.Generator) -> Array:
    """Cut a window out of each series, where it starts drawn uniformly for each.

    Args:
        x: series (n, T) or (n, T, C), floating.
        length: of the windows, from 1 to T.
        rng: what the starts are drawn from.

    Returns:
        The windows (n, length) or (n, length, C).

    Raises:
        ValueError: if x has another shape or `length` is out of range.
        TypeError: if an argument is of another type.
    """
    x, _ = _series("window_slice", x, rng, 0.0)
    length = check.size("window_slice", "length", length, 1, x.shape[1])
    start = rng.integers(0, x.shape[1] - length + 1, len(x))
    windows: Array = x[np.arange(len(x))[:, None], start[:, None] + np.arange(length)]
    return windows


def spline_basis(length: int, knots: int) -> Array:
    """Natural cubic splines as a matrix: values at evenly spaced knots -> values at all times.

    Between the knots i and i + 1, h apart, with the second derivatives M and u = (t - t_i) / h:

        g = (1 - u) v_i + u v_i+1 + h^2 / 6 (((1 - u)^3 - (1 - u)) M_i + (u^3 - u) M_i+1)
        M_i-1 + 4 M_i + M_i+1 = 6 / h^2 (v_i-1 - 2 v_i + v_i+1)     M = 0 at both ends

    Args:
        length: number of times, evenly spaced from the first knot to the last.
        knots: how many, 2 or more.

    Returns:
        (length, knots).
    """
    inner = knots - 2
    left, right = np.eye(knots)[:-1], np.eye(knots)[1:]
    curvature = np.zeros((knots, knots))  # h^2 / 6 M of each unit vector of values
    if inner:
        system = 4 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
        bend = np.diff(np.eye(knots), 2, axis=0)
        curvature[1:-1] = np.linalg.solve(system, bend)
    t = np.linspace(0, knots - 1, length)
    i = np.minimum(t.astype(int), knots - 2)
    u = (t - i)[:, None]
    line = (1 - u) * left[i] + u * right[i]
    y: Array = line + ((1 - u) ** 3 - (1 - u)) * curvature[i] + (u**3 - u) * curvature[i + 1]
    return y


def _series(function: str, x: Array, rng: np.random.Generator, std: float) -> tuple[Array, float]:
    x = check.floating(function, "x", x, (2, 3), FORM)
    check.generator(function, rng)
    return x, check.number(function, "std", std)
