"""One axis of a resize: which inputs each output reads, and with what weight.

forward    y_o = sum_k w_ko x_{i_ko}                 taps (i_ko, w_ko) of output o, k = 0 .. K-1
backward   dx_i = sum over the o, k with i_ko = i of w_ko dy_o: again taps, those of the transpose
scale      s = n_in / n_out, or 1 / scale_factor where that is what was given
centre     half pixel c_o = s (o + 1/2) - 1/2; align_corners: c_o = o (n_in - 1) / (n_out - 1)
nearest    i = floor(s o)         nearest-exact    i = floor(s (o + 1/2))
linear     i = floor c, i + 1     w = 1 - t, t     t = c - floor c, with c >= 0
cubic      i = floor c - 1 .. floor c + 2          w = kernel(|distance|), a = -0.75, i clamped
filtered   i within r max(s, 1) of c               w = kernel(distance / max(s, 1)) / (their sum)
           r = 1 linear, 2 cubic with a = -0.5, 3 lanczos
area       i = floor(o s) .. ceil((o + 1) s) - 1   w = 1 / (their number)
torch      rounds s and c to the array's dtype, and what it floors to float32: in float32 the
           nearest pixel is at times another one than in exact arithmetic
Sources    Keys 1981, IEEE TASSP 29(6) (cubic); Duchon 1979, J. Appl. Meteorology 18 (lanczos)
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scratch.check import Array


class Slot(NamedTuple):
    """The k-th tap of every output."""

    source: Array  # the input that each output reads
    weight: Array | None  # and its weight; None if 1
    dead: Array | None  # the outputs that have no k-th tap; None if all have


def spread(x: Array, axis: int, slots: list[Slot]) -> Array:
    """y (..., outputs, ...): the taps of every output along `axis`, weighted and summed."""
    lead, tail = x.shape[:axis], x.shape[axis + 1 :]
    x = x.reshape(math.prod(lead), x.shape[axis], math.prod(tail))
    y = _taken(x, slots[0])
    for slot in slots[1:]:
        y += _taken(x, slot)
    return y.reshape(*lead, y.shape[1], *tail)


def _taken(x: Array, slot: Slot) -> Array:
    part: Array = x.take(slot.source, axis=1)
    if slot.weight is not None:
        with np.errstate(invalid="ignore"):  # of infinities under a weight of 0: NaN, as in torch
            part *= slot.weight[:, None]
    if slot.dead is not None:
        part[:, slot.dead] = 0.0  # and not a weight of 0, which would make an infinity NaN
    return part


def slots_of(index: Array, weight: Array | None, live: Array | None = None) -> list[Slot]:
    """Slots from tables (K, outputs); `live` is false where an output has fewer taps."""
    slots = []
    for k in range(len(index)):
        dead = None if live is None or live[k].all() else np.flatnonzero(~live[k])
        slots.append(Slot(index[k], None if weight is None else weight[k], dead))
    return slots


def transposed(slots: list[Slot], size: int) -> list[Slot]:
    """The taps by which each of `size` inputs gathers the gradients of the outputs it went to."""
    live = np.ones((len(slots), slots[0].source.size), bool)
    for k, slot in enumerate(slots):
        live[k, slice(0) if slot.dead is None else slot.dead] = False
    source = np.stack([slot.source for slot in slots])[live]
    order = np.argsort(source, kind="stable")
    source = source[order]
    rank = np.arange(source.size) - np.searchsorted(source, source)  # among taps of one input
    shape = (int(rank.max()) + 1, size)

    def table(values: Array) -> Array:
        result = np.zeros(shape, values.dtype)
        result[rank, source] = values[live][order]
        return result

    index = table(np.broadcast_to(np.arange(live.shape[1]), live.shape))
    weights = [slot.weight for slot in slots if slot.weight is not None]
    return slots_of(index, table(np.stack(weights)) if weights else None, table(live))


def nearest(n: int, size: int, scale: float | None, dtype: Any, exact: bool) -> list[Slot]:
    """One tap: the pixel under the output's corner, or (exact) under its centre."""
    if exact:
        place = (_centres(n, size, scale, dtype, False) + 0.5).astype(np.float32)
    else:
        place = (_step(n, size, scale, dtype) * np.arange(size).astype(dtype)).astype(np.float32)
    return slots_of(np.minimum(np.floor(place).astype(np.intp), n - 1)[None], None)


def linear(n: int, size: int, scale: float | None, dtype: Any, align_corners: bool) -> list[Slot]:
    """Two taps: the pixels left and right of the centre; equal sizes copy."""
    centre = np.maximum(_centres(n, size, scale, dtype, align_corners), 0.0)
    left, t = _floor(np.arange(n).astype(dtype) if n == size else centre, n)
    right = left if n == size else np.minimum(left + 1, n - 1)
    return slots_of(np.stack([left, right]), np.stack([1 - t, t]))


def cubic(n: int, size: int, scale: float | None, dtype: Any, align_corners: bool) -> list[Slot]:
    """Four taps: two pixels on either side of the centre; beyond the border those on it."""
    left, t = _floor(_centres(n, size, scale, dtype, align_corners), n)
    weight = np.stack([keys(distance, -0.75) for distance in (1 + t, t, 1 - t, 2 - t)])
    index = left + np.arange(-1, 3)[:, None]
    return slots_of(np.clip(index, 0, n - 1), weight)


def filtered(
    n: int,
    size: int,
    scale: float | None,
    dtype: Any,
    align_corners: bool,
    kernel: Callable[[Array], Array],
    radius: int,
) -> list[Slot]:
    """All taps under a kernel that is widened where the resize shrinks; equal sizes copy."""
    if n == size:
        return slots_of(np.arange(n)[None], None)
    step = _step(n, size, scale, dtype, align_corners)
    stretch = np.maximum(step, 1.0)
    reach = radius * stretch
    centre = step * (np.arange(size) + 0.5).astype(dtype)
    low = np.maximum((centre - reach + 0.5).astype(np.intp), 0)
    high = np.minimum((centre + reach + 0.5).astype(np.intp), n)
    index = low + np.arange(int((high - low).max()))[:, None]
    live = index < high
    shrink = 1 / stretch  # multiplied, as in torch: where the kernel is 0, rounding tells
    weight = np.where(live, kernel(abs((index.astype(dtype) - centre + 0.5) * shrink)), 0.0)
    return slots_of(np.minimum(index, n - 1), weight / weight.sum(0), live)


def area(n: int, size: int, dtype: Any) -> list[Slot]:
    """Every pixel that the output's cell touches, all with the same weight."""
    out = np.arange(size)
    low, high = out * n // size, -(-(out + 1) * n // size)
    index = low + np.arange(int((high - low).max()))[:, None]
    weight = np.broadcast_to((1 / (high - low)).astype(dtype), index.shape)
    return slots_of(np.minimum(index, n - 1), weight, index < high)


def triangle(x: Array) -> Array:
    """1 - x up to 1."""
    return np.asarray(np.maximum(1 - x, 0.0))


def keys(x: Array, a: float = -0.5) -> Array:
    """Keys' piecewise cubic of the distance x >= 0, whose slope at 1 is a."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x >= 2, 0.0, far)).astype(x.dtype)


def keys_slope(x: Array, a: float = -0.5) -> Array:
    """The derivative of `keys`."""
    near = (3 * (a + 2) * x - 2 * (a + 3)) * x
    far = (3 * a * x - 10 * a) * x + 8 * a
    return np.where(x < 1, near, np.where(x >= 2, 0.0, far)).astype(x.dtype)


def lanczos(x: Array) -> Array:
    """sinc(x) sinc(x / 3) up to 3."""
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0.0).astype(x.dtype)


def _step(n: int, size: int, scale: float | None, dtype: Any, align_corners: bool = False) -> Any:
    """How far the source moves from one output to the next, a scalar of `dtype`."""
    real = np.dtype(dtype).type
    if align_corners:
        return real(n - 1) / real(size - 1) if size > 1 else real(0)
    return real(n) / real(size) if scale is None else real(1 / scale)


def _centres(n: int, size: int, scale: float | None, dtype: Any, align_corners: bool) -> Array:
    """Where the centre of each output lies among the inputs, with a single rounding."""
    step, out = float(_step(n, size, scale, dtype, align_corners)), np.arange(size)
    centre = step * out if align_corners else step * (out + 0.5) - 0.5
    return np.asarray(centre, dtype)


def _floor(centre: Array, n: int) -> tuple[Array, Array]:
    """The pixel to the left and the way from there, in [0, 1]."""
    left = np.minimum(np.floor(centre.astype(np.float32)).astype(np.intp), n - 1)
    return left, np.clip(centre - left.astype(centre.dtype), 0.0, 1.0)
