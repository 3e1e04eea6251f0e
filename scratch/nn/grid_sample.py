"""Sampling images and volumes at the points of a grid.          Jaderberg et al. 2015, equation 3

forward    y_p = sum_k w_k x[i_k]              over the taps k around u, a product of axes
           u = (g + 1) n / 2 - 1/2             g in [-1, 1] spans the image from edge to edge, or
           u = (g + 1) (n - 1) / 2             with align_corners from centre to centre of pixels
nearest    i = u rounded, half to even
bilinear   i = floor u, floor u + 1            w = 1 - t, t with t = u - floor u
bicubic    i = floor u - 1 .. floor u + 2      w = Keys' kernel of the distances, a = -0.75
padding    zeros: taps outside are 0           border: u clamped to [0, n - 1]
           reflection: u reflected at the edges (align_corners: at the outer centres), then clamped
           bicubic pads the taps i in place of u
backward   dx[i_k] += w_k dy_p     dg = du/dg sum_k dw_k/du (dy_p . x[i_k])     . sums over channels
           du/dg = n / 2 or (n - 1) / 2, negative where reflected an odd number of times, 0 where
           clamped, on the bound too
shapes     x (N, C, H, W)      g (N, H', W', 2) of (x, y), columns first      y (N, C, H', W')
           x (N, C, D, H, W)   g (N, D', H', W', 3) of (x, y, z)              y (N, C, D', H', W')
torch      align_corners=False unless said (it warns, this does not); dg of 'nearest' is 0
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.resize_taps import keys, keys_slope

CUBIC = -0.75


class Tap(NamedTuple):
    """One of the pixels that a point reads along one axis; every array is (N, P)."""

    place: Array  # in the frame of zeros
    weight: Array
    slope: Array  # dweight / dg


@op
def grid_sample(
    input: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> tuple[Array, Backward]:
    """y = x at the points of the grid.

    Args:
        input: x (N, C, H, W) or (N, C, D, H, W).
        grid: points (N, H', W', 2) of (x, y), or (N, D', H', W', 3) of (x, y, z), in [-1, 1].
        mode: 'bilinear' (of a volume too), 'nearest', or 'bicubic' (images only).
        padding_mode: what lies outside: 'zeros', 'border' or 'reflection'.
        align_corners: whether -1 and 1 are the centres of the corner pixels, instead of the edges
            of the image; None is False.

    Returns:
        y (N, C, H', W') or (N, C, D', H', W'), and its backward: dy -> dx, dgrid.

    Raises:
        TypeError: if the arrays are not floating or their dtypes differ.
        ValueError: if a shape does not fit or an option is unknown.

    Source: Jaderberg et al. 2015, arXiv:1506.02025, section 3.3; Keys 1981 (bicubic).
    """
    x = check.floating("grid_sample", "input", input)
    grid = check.floating("grid_sample", "grid", grid, like=x)
    _check(x, grid, mode, padding_mode, align_corners)
    batch, channels, *sizes = x.shape
    points = grid.reshape(batch, math.prod(grid.shape[1:-1]), grid.shape[-1])
    axes = [  # the last coordinate belongs to the first axis
        _taps(points[..., -1 - a], n, mode, padding_mode, bool(align_corners))
        for a, n in enumerate(sizes)
    ]

    def corners() -> Iterator[tuple[Array, Array, tuple[Tap, ...]]]:
        """For each combination of taps the rows that the points read, and with what weight."""
        for taps in itertools.product(*axes):
            row = np.arange(batch)[:, None]
            for n, tap in zip(sizes, taps, strict=True):
                row = row * (n + 2) + tap.place
            weight = np.multiply.reduce([tap.weight for tap in taps])
            yield row.reshape(-1), weight.reshape(-1, 1), taps

    rows = _rows(_framed(x))
    y = np.zeros((batch * points.shape[1], channels), x.dtype)
    for row, weight, _ in corners():
        y += rows.take(row, axis=0) * weight

    def backward(dy: Array) -> tuple[Array, Array]:
        framed = _framed(x)
        rows, dy = _rows(framed), _rows(np.moveaxis(dy, 1, -1))
        drows, dpoints = np.zeros(rows.size, x.dtype), np.zeros_like(points)
        for row, weight, taps in corners():
            # Rows repeat. Of NumPy's ways to add them up this one is the fastest if 1-d.
            cell = row[:, None] * channels + np.arange(channels)
            np.add.at(drows, cell.reshape(-1), (dy * weight).reshape(-1))
            if mode == "nearest":
                continue
            dweight = np.einsum("pc,pc->p", dy, rows.take(row, axis=0)).reshape(points.shape[:2])
            for a, tap in enumerate(taps):
                others = (other.weight for other in taps[:a] + taps[a + 1 :])
                dpoints[..., -1 - a] += math.prod(others, start=dweight * tap.slope)
        inner = (slice(None), *[slice(1, -1)] * len(sizes))
        dx = np.moveaxis(drows.reshape(framed.shape)[inner], -1, 1)
        return np.ascontiguousarray(dx), dpoints.reshape(grid.shape)

    y = np.moveaxis(y.reshape(*grid.shape[:-1], channels), -1, 1)
    return np.ascontiguousarray(y), backward


def _check(x: Array, grid: Array, mode: str, padding_mode: str, align_corners: bool | None) -> None:
    name = "grid_sample"
    check.option(name, "mode", mode, ("bilinear", "nearest", "bicubic"))
    check.option(name, "padding_mode", padding_mode, ("zeros", "border", "reflection"))
    check.option(name, "align_corners", align_corners, (None, True, False))
    if x.ndim not in (4, 5):
        check.refuse(name, "input (N, C, H, W) or (N, C, D, H, W)", x.shape)
    if mode == "bicubic" and x.ndim != 4:
        check.refuse(name, "input (N, C, H, W) for mode 'bicubic'", x.shape)
    if min(x.shape[2:]) == 0:
        check.refuse(name, "an input whose spatial sizes are not 0", x.shape)
    outer = ["H'", "W'"] if x.ndim == 4 else ["D'", "H'", "W'"]
    check.shape(name, "grid", grid, (x.shape[0], *outer, x.ndim - 2))


def _framed(x: Array) -> Array:
    """Channels last, in a frame of zeros one pixel wide: the outside that taps may read."""
    framed = np.zeros((x.shape[0], *(n + 2 for n in x.shape[2:]), x.shape[1]), x.dtype)
    framed[(slice(None), *[slice(1, -1)] * (x.ndim - 2))] = np.moveaxis(x, 1, -1)
    return framed


def _rows(x: Array) -> Array:
    """(..., C) as a matrix of C columns."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _taps(g: Array, n: int, mode: str, padding: str, align: bool) -> list[Tap]:
    """The taps of one axis of n pixels for the coordinates g (N, P)."""
    with np.errstate(invalid="ignore"):  # of NaN and infinite coordinates
        dscale = (n - 1) / 2 if align else n / 2
        u = (g + 1) * dscale if align else (g + 1) * dscale - 0.5
        du = np.full_like(u, dscale)
        if mode == "bicubic":
            floor = np.floor(u)
            t = u - floor
            taps = []
            for k in range(-1, 3):
                i, _ = _padded(floor + k, np.ones_like(u), n, padding, align)
                away = abs(k - t)
                side = np.where(t > k, 1.0, -1.0).astype(u.dtype)
                slope = keys_slope(away, CUBIC) * side * du
                taps.append(_tap(i, n, keys(away, CUBIC), slope))
            return taps
        u, du = _padded(u, du, n, padding, align)
        if mode == "nearest":
            return [_tap(np.rint(u), n, np.ones_like(u), np.zeros_like(u))]
        floor = np.floor(u)
        t = u - floor
        return [_tap(floor, n, 1 - t, -du), _tap(floor + 1, n, t, du)]


def _tap(i: Array, n: int, weight: Array, slope: Array) -> Tap:
    """The tap at the whole number i: its place in the frame."""
    place = np.fmin(np.fmax(i, -1.0), n) + 1  # fmax takes the number where i is NaN
    return Tap(place.astype(np.intp), weight, slope)


def _padded(u: Array, du: Array, n: int, padding: str, align: bool) -> tuple[Array, Array]:
    """u where the padding finds it, and du times its derivative."""
    if padding == "zeros":
        return u, du
    if padding == "reflection":
        low, span = (0.0, n - 1.0) if align else (-0.5, float(n))
        way = abs(u - low)
        way = way - 2 * span * np.trunc(way / (2 * span)) if span else np.zeros_like(u)
        back = way > span
        du = np.where(back ^ (u < low), -du, du)
        u = np.where(back, 2 * span - way, way) + low
    du = np.where((u > 0) & (u < n - 1), du, 0.0).astype(u.dtype)
    return np.fmin(np.fmax(u, 0.0), n - 1.0), du  # fmax takes the number where u is NaN
