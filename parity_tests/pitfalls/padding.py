"""Conventions of padding: which axis comes first, whether the edge repeats, what a crop means."""

from collections.abc import Sequence

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward


def last_axes_first(pad: Sequence[int], ndim: int) -> list[tuple[int, int]]:
    """torch's pads as NumPy takes them."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return [(0, 0)] * (ndim - len(pairs)) + pairs


def gather(x: Array, index: Array) -> tuple[Array, Backward]:
    """The entries of x at flat indices, which may repeat."""

    def backward(dy: Array) -> Array:
        dx = np.zeros(x.size, dy.dtype)
        np.add.at(dx, index, dy)
        return dx.reshape(x.shape)

    return x.ravel()[index], backward


def edge_repeats(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    if mode != "reflect" or min(pad) < 0:
        return F.pad(input, pad, mode, value)
    index = np.arange(input.size).reshape(input.shape)
    return gather(input, np.pad(index, last_axes_first(pad, input.ndim), "symmetric"))


def first_axis_first(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return F.pad(input, tuple(n for pair in pairs for n in pair), mode, value)


def all_befores_first(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    half = len(pad) // 2
    pairs = zip(pad[:half], pad[half:], strict=True)
    return F.pad(input, tuple(n for pair in pairs for n in pair), mode, value)


def behind_comes_first(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    pairs = zip(pad[1::2], pad[::2], strict=True)
    return F.pad(input, tuple(n for pair in pairs for n in pair), mode, value)


def copies_are_constants(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    y, _ = F.pad(input, pad, mode, value)
    _, constant_back = F.pad(input, pad)
    return y, constant_back


def corners_are_zero(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    y, back = F.pad(input, pad, mode, value)
    if mode == "constant" or min(pad) < 0:
        return y, back
    outside = np.zeros(y.shape, int)  # along how many axes an entry is padding
    for axis, (left, right) in enumerate(last_axes_first(pad, input.ndim)):
        along = np.moveaxis(outside, axis, 0)
        along[:left] += 1
        along[len(along) - right :] += 1
    kept = outside <= 1
    return np.where(kept, y, 0.0), lambda dy: back(dy * kept)


def pad_then_crop(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    padded, back = F.pad(input, tuple(max(n, 0) for n in pad), mode, value)
    y, crop_back = F.pad(padded, tuple(min(n, 0) for n in pad))
    return y, lambda dy: back(crop_back(dy))


def circle_the_other_way(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    if mode != "circular" or min(pad) < 0:
        return F.pad(input, pad, mode, value)
    index = np.arange(input.size).reshape(input.shape)
    for axis, (left, right) in enumerate(last_axes_first(pad, input.ndim)):
        n = input.shape[axis]
        places = [*range(left), *range(n), *range(n - right, n)]
        index = index.take(places, axis)
    return gather(input, index)


def value_is_zero(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    return F.pad(input, pad, mode)


def mean_of_copies(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> tuple[Array, Backward]:
    y, back = F.pad(input, pad, mode, value)
    count = np.maximum(back(np.ones_like(y)), 1.0)
    return y, lambda dy: back(dy) / count


PITFALLS = [
    Pitfall(
        "reflection repeats the edge",
        entry="pad",
        difference="torch: reflect leaves it out; np.pad's and scipy's 'symmetric' repeats it",
        mutant=edge_repeats,
    ),
    Pitfall(
        "pads of the first axis come first",
        entry="pad",
        difference="torch: the last axis first; NumPy, TensorFlow: axes in order",
        mutant=first_axis_first,
    ),
    Pitfall(
        "all pads before, then all pads behind",
        entry="pad",
        difference="torch: (before, behind) axis by axis; ONNX: all befores, then all behinds",
        mutant=all_befores_first,
    ),
    Pitfall(
        "the pad behind comes first",
        entry="pad",
        difference="torch: (left, right, top, bottom); others: (right, left), (bottom, top)",
        mutant=behind_comes_first,
    ),
    Pitfall(
        "padding has no gradient",
        entry="pad",
        difference="torch: copies give theirs to what they copy; often only the inside is cut out",
        mutant=copies_are_constants,
    ),
    Pitfall(
        "gradients of copies are averaged",
        entry="pad",
        difference="torch: the gradients of copies add up",
        mutant=mean_of_copies,
    ),
    Pitfall(
        "corners stay zero",
        entry="pad",
        difference="torch: axes one after the other, corners are copies of copies",
        mutant=corners_are_zero,
    ),
    Pitfall(
        "a circle goes through what is cropped",
        entry="pad",
        difference="torch: circular crops first; reflect and replicate pad first",
        mutant=pad_then_crop,
    ),
    Pitfall(
        "the circle turns the other way",
        entry="pad",
        difference="torch: the end of the axis comes before its start",
        mutant=circle_the_other_way,
    ),
    Pitfall(
        "the value is ignored",
        entry="pad",
        difference="torch: pads with `value`; only None is 0",
        mutant=value_is_zero,
    ),
]
