"""Padding: make the last axes longer at either end, or shorter.

forward    y_i = x_(i - l) inside; outside, along one axis of n entries with l before and r after:
           constant    value
           reflect     x_1 .. x_l in reverse | x | x_(n-2) .. x_(n-1-r)     the edge is not repeated
           replicate   x_0 .. x_0            | x | x_(n-1) .. x_(n-1)
           circular    x_(n-l) .. x_(n-1)    | x | x_0 .. x_(r-1)
backward   each copy's gradient is added to that of the entry that it copies; axes in reverse
shapes     x (..., n_k, ..., n_1)   y (..., l_k + n_k + r_k, ..., l_1 + n_1 + r_1)
           pad = (l_1, r_1, l_2, r_2, ..., l_k, r_k): the last axis comes first
torch      A negative pad crops: after the padding in reflect and replicate, whose copies may come
           from what is cropped, and before it in constant and circular. (A circular pad of more
           than the crop leaves is refused here; torch then reads what it did not write.)
NumPy      np.pad gives the axes in order, calls replicate 'edge' and circular 'wrap', and its
           'symmetric' repeats the edge.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op, unbroadcast

MODES = ("constant", "reflect", "replicate", "circular")
Sides = tuple[tuple[int, int], ...]  # entries before and after, of each axis in order


@op
def pad(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    """Pad, or crop, the last axes.

    Args:
        input: x of any shape; (C, n_k, ..., n_1) or (N, C, n_k, ..., n_1) with k up to 3 in the
            modes other than constant.
        pad: (l_1, r_1, ..., l_k, r_k), the last axis first; negative numbers crop.
        mode: 'constant', 'reflect', 'replicate' or 'circular'.
        value: what constant pads with; None is 0.

    Returns:
        y, and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or `pad` not a sequence of integers.
        ValueError: if there are too many or too few pads for the input; if more is cropped than
            there is, a reflection reaches beyond the far edge or a circle goes around more than
            once; if a mode other than constant is given a value.
    """
    x = check.floating("pad", "input", input)
    check.option("pad", "mode", mode, MODES)
    sides = _sides(x, pad, mode)
    fill = _fill(value, x.dtype)
    if mode != "constant" and fill != 0:
        check.refuse("pad", f"no value in mode {mode!r}", value)
    _check_sizes(x, sides, mode, len(pad) // 2)
    grown = tuple((max(left, 0), max(right, 0)) for left, right in sides)
    cropped = tuple((max(-left, 0), max(-right, 0)) for left, right in sides)
    if mode in ("reflect", "replicate"):
        y, grow_back = _grow(x, grown, mode, fill)
        y, crop_back = _crop(y, cropped)
        return y, lambda dy: grow_back(crop_back(dy))
    y, crop_back = _crop(x, cropped)
    y, grow_back = _grow(y, grown, mode, fill)
    return y, lambda dy: crop_back(grow_back(dy))


def _sides(x: Array, pad: Sequence[int], mode: str) -> Sides:
    """`pad` in pairs for all axes of x in order."""
    if not isinstance(pad, tuple | list):
        check.refuse("pad", "pad to be a tuple of integers", check.describe(pad), TypeError)
    sizes = [check.size("pad", "every pad", n, low=-(2**62)) for n in pad]
    axes = len(sizes) // 2
    if len(sizes) % 2 or axes > x.ndim:
        check.refuse("pad", f"two pads for each of up to {x.ndim} axes", f"{len(sizes)} pads")
    if mode != "constant" and (axes not in (1, 2, 3) or x.ndim - axes not in (1, 2)):
        got = f"{len(sizes)} pads and an input of shape {x.shape}"
        check.refuse("pad", "pads for all axes behind (N, C) or (C,), of which there are 1-3", got)
    pairs = list(zip(sizes[::2], sizes[1::2], strict=True))[::-1]
    return ((0, 0),) * (x.ndim - axes) + tuple(pairs)


def _fill(value: float | None, dtype: np.dtype[Any], function: str = "pad") -> float:
    """The value to pad with, as a Python float that the dtype holds."""
    if value is None:
        return 0.0
    if isinstance(value, float | np.floating) and math.isnan(value):
        return math.nan
    fill = check.number(function, "value", value)
    if math.isfinite(fill) and abs(fill) > float(np.finfo(dtype).max):
        check.refuse(function, f"a value that {dtype} holds", value)
    return fill


def _check_sizes(x: Array, sides: Sides, mode: str, axes: int) -> None:
    """Refuse pads that do not fit the sizes."""
    if mode in ("reflect", "replicate"):
        if 0 in x.shape[-axes - 1 :]:
            check.refuse("pad", "no axis but that of N to be empty", x.shape)
        lengths = [n + a + b for n, (a, b) in zip(x.shape[-axes:], sides[-axes:], strict=True)]
        if min(lengths) < 0 or max(lengths) == 0:  # one empty axis beside another is torch's too
            check.refuse("pad", "a result that is not empty", lengths)
    for axis, (n, (left, right)) in enumerate(zip(x.shape, sides, strict=True)):
        got = f"{(left, right)} at axis {axis} of size {n}"
        rest = n + min(left, 0) + min(right, 0)
        if mode in ("constant", "circular") and rest < 0:
            check.refuse("pad", "no more to be cropped than there is", got)
        if mode == "reflect" and max(left, right, 0) >= max(n, 1):
            check.refuse("pad", "reflecting pads smaller than the axis", got)
        if mode == "circular" and max(left, right) > rest:
            check.refuse("pad", "circular pads of at most what the axis has", got)


def _crop(x: Array, sides: Sides) -> tuple[Array, Backward]:
    """x without entries at the ends of its axes."""
    if not any(left or right for left, right in sides):
        return x, lambda dy: dy
    shape = x.shape
    kept = tuple(slice(a, n - b) for n, (a, b) in zip(shape, sides, strict=True))

    def backward(dy: Array) -> Array:
        dx = np.zeros(shape, dy.dtype)
        dx[kept] = dy
        return dx

    return x[kept], backward


def _grow(x: Array, sides: Sides, mode: str, fill: float) -> tuple[Array, Backward]:
    """A new array with x inside and pads around it, axis after axis."""
    body = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, sides, strict=True))
    copies = [
        ((*(slice(None),) * axis, strip), (*(slice(None),) * axis, source))
        for axis, (n, (left, right)) in enumerate(zip(x.shape, sides, strict=True))
        for strip, source in _copies(mode, left, n, right)
    ]
    y = np.empty(
        [left + n + right for n, (left, right) in zip(x.shape, sides, strict=True)], x.dtype
    )
    y[body] = x
    for strip, source in copies:  # corners are copies of copies
        y[strip] = fill if mode == "constant" else y[source]

    def backward(dy: Array) -> Array:
        if mode != "constant" and copies:
            dy = dy.copy()
            for strip, source in reversed(copies):
                dy[source] += unbroadcast(dy[strip], dy[source].shape)
        return dy[body]

    return y, backward


def _copies(mode: str, left: int, n: int, right: int) -> list[tuple[slice, slice]]:
    """Along an axis of the result: each strip of padding, and what it is a copy of."""
    end = left + n
    before, after = slice(0, left), slice(end, end + right)
    if mode == "reflect":
        before, after = slice(left - 1, None, -1), slice(end + right - 1, end - 1, -1)
        sources = slice(left + 1, 2 * left + 1), slice(end - 1 - right, end - 1)
    elif mode == "replicate":
        sources = slice(left, left + 1), slice(end - 1, end)
    else:
        sources = slice(n, end), slice(left, left + right)
    pairs = (left, before, sources[0]), (right, after, sources[1])
    return [(strip, source) for size, strip, source in pairs if size]


class _Padding(Module):
    """`pad` of a fixed number of axes in a fixed mode: base of the classes below."""

    _axes: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        name, count = type(self).__name__, 2 * self._axes
        if not isinstance(padding, tuple | list):
            padding = (check.size(name, "padding", padding, low=-(2**62)),) * count
        if len(padding) != count:
            check.refuse(name, f"an integer or {count} integers as padding", padding)
        self.padding = tuple(check.size(name, "every pad", n, low=-(2**62)) for n in padding)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """x with its pads."""
        return pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The pads."""
        return f"{self.padding}"


class ConstantPad1d(_Padding):
    """`pad` of the last axis with a constant.

    Args:
        padding: (left, right), or one integer for both; negative numbers crop.
        value: the constant.
    """

    _axes, _mode = 1, "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        _fill(value, np.dtype(np.float64), type(self).__name__)
        self.value = value

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """x with its pads."""
        return pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        """The pads and the constant."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """`pad` of the last two axes with a constant.

    Args:
        padding: (left, right, top, bottom), or one integer for all; negative numbers crop.
        value: the constant.
    """

    _axes = 2


class ConstantPad3d(ConstantPad1d):
    """`pad` of the last three axes with a constant.

    Args:
        padding: (left, right, top, bottom, front, back), or one integer for all; negative
            numbers crop.
        value: the constant.
    """

    _axes = 3


class ZeroPad1d(_Padding):
    """`pad` of the last axis with zeros.

    Args:
        padding: (left, right), or one integer for both; negative numbers crop.
    """

    _axes, _mode = 1, "constant"


class ZeroPad2d(_Padding):
    """`pad` of the last two axes with zeros.

    Args:
        padding: (left, right, top, bottom), or one integer for all; negative numbers crop.
    """

    _axes, _mode = 2, "constant"


class ZeroPad3d(_Padding):
    """`pad` of the last three axes with zeros.

    Args:
        padding: (left, right, top, bottom, front, back), or one integer for all; negative
            numbers crop.
    """

    _axes, _mode = 3, "constant"


class ReflectionPad1d(_Padding):
    """`pad` of the last axis with its reflection, without the edge.

    Args:
        padding: (left, right), or one integer for both; negative numbers crop.
    """

    _axes, _mode = 1, "reflect"


class ReflectionPad2d(_Padding):
    """`pad` of the last two axes with their reflection, without the edge.

    Args:
        padding: (left, right, top, bottom), or one integer for all; negative numbers crop.
    """

    _axes, _mode = 2, "reflect"


class ReflectionPad3d(_Padding):
    """`pad` of the last three axes with their reflection, without the edge.

    Args:
        padding: (left, right, top, bottom, front, back), or one integer for all; negative
            numbers crop.
    """

    _axes, _mode = 3, "reflect"


class ReplicationPad1d(_Padding):
    """`pad` of the last axis with copies of its edge.

    Args:
        padding: (left, right), or one integer for both; negative numbers crop.
    """

    _axes, _mode = 1, "replicate"


class ReplicationPad2d(_Padding):
    """`pad` of the last two axes with copies of their edge.

    Args:
        padding: (left, right, top, bottom), or one integer for all; negative numbers crop.
    """

    _axes, _mode = 2, "replicate"


class ReplicationPad3d(_Padding):
    """`pad` of the last three axes with copies of their edge.

    Args:
        padding: (left, right, top, bottom, front, back), or one integer for all; negative
            numbers crop.
    """

    _axes, _mode = 3, "replicate"


class CircularPad1d(_Padding):
    """`pad` of the last axis with what lies at the other end.

    Args:
        padding: (left, right), or one integer for both; negative numbers crop.
    """

    _axes, _mode = 1, "circular"


class CircularPad2d(_Padding):
    """`pad` of the last two axes with what lies at the other end.

    Args:
        padding: (left, right, top, bottom), or one integer for all; negative numbers crop.
    """

    _axes, _mode = 2, "circular"


class CircularPad3d(_Padding):
    """`pad` of the last three axes with what lies at the other end.

    Args:
        padding: (left, right, top, bottom, front, back), or one integer for all; negative
            numbers crop.
    """

    _axes, _mode = 3, "circular"
