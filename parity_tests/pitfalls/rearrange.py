"""Conventions of rearrangements: which index varies fastest, sums or means, what undoes what."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward


def pair(value: Any) -> tuple[int, int]:
    """Two numbers, of one or two."""
    return (value, value) if isinstance(value, int) else tuple(value)


def channel_fastest(input: Array, kernel_size: Any, *args: Any, **kwargs: Any) -> Any:
    """Rows of a block in the order (i, j, c)."""
    y, back = F.unfold(input, kernel_size, *args, **kwargs)
    taps, shape = int(np.prod(pair(kernel_size))), y.shape
    channels = shape[-2] // taps
    apart = (*shape[:-2], channels, taps, shape[-1])
    turned = (*shape[:-2], taps, channels, shape[-1])

    def backward(dy: Array) -> Any:
        return back(dy.reshape(turned).swapaxes(-2, -3).reshape(shape))

    return y.reshape(apart).swapaxes(-2, -3).reshape(shape), backward


def columns_of_blocks_first(
    input: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> tuple[Array, Backward]:
    """Blocks from top to bottom, then from left to right."""
    options = kernel_size, dilation, padding, stride
    y, back = F.unfold(input, *options)
    p, q = (
        (n + 2 * a - d * (k - 1) - 1) // s + 1
        for n, k, d, a, s in zip(input.shape[-2:], *map(pair, options), strict=True)
    )
    order = np.arange(p * q).reshape(p, q).T.ravel()
    return y[..., order], lambda dy: back(dy[..., np.argsort(order)])


def options_as_in_convolution(
    input: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> tuple[Array, Backward]:
    return F.unfold(input, kernel_size, dilation=stride, padding=padding, stride=dilation)


def overlaps_are_averaged(
    input: Array, output_size: Any, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    x, back = F.fold(input, output_size, *args, **kwargs)
    count = np.maximum(F.fold(np.ones_like(input), output_size, *args, **kwargs)[0], 1.0)
    return x / count, lambda dx: back(dx / count)


def depth_column_row(input: Array, upscale_factor: int) -> tuple[Array, Backward]:
    """Channels of x in the order (i, j, c)."""
    *lead, c, h, w = input.shape
    r2 = upscale_factor**2

    def regroup(x: Array, slow: int, fast: int) -> Array:
        return x.reshape(*lead, slow, fast, h, w).swapaxes(-3, -4).reshape(*lead, c, h, w)

    y, back = F.pixel_shuffle(regroup(input, r2, c // r2), upscale_factor)
    return y, lambda dy: regroup(back(dy), c // r2, r2)


def rows_and_columns_swapped(input: Array, upscale_factor: int) -> tuple[Array, Backward]:
    """Channels of x in the order (c, j, i)."""
    *lead, c, h, w = input.shape
    r = upscale_factor

    def turn(x: Array) -> Array:
        return x.reshape(*lead, c // r**2, r, r, h, w).swapaxes(-3, -4).reshape(*lead, c, h, w)

    y, back = F.pixel_shuffle(turn(input), r)
    return y, lambda dy: turn(back(dy))


def space_to_depth(input: Array, downscale_factor: int) -> tuple[Array, Backward]:
    """Channels of y in the order (i, j, c)."""
    y, back = F.pixel_unshuffle(input, downscale_factor)
    *lead, c, h, w = y.shape
    r2 = downscale_factor**2

    def regroup(x: Array, slow: int, fast: int) -> Array:
        return x.reshape(*lead, slow, fast, h, w).swapaxes(-3, -4).reshape(*lead, c, h, w)

    return regroup(y, c // r2, r2), lambda dy: back(regroup(dy, r2, c // r2))


def channels_per_group(input: Array, groups: int) -> tuple[Array, Backward]:
    return F.channel_shuffle(input, input.shape[1] // groups or 1)


def shuffled_gradient(input: Array, groups: int) -> tuple[Array, Backward]:
    y, _ = F.channel_shuffle(input, groups)
    return y, lambda dy: F.channel_shuffle(dy, groups)[0]


def one_image(input: Array, groups: int) -> tuple[Array, Backward]:
    """(C, H, W) where torch sees (N, C, L)."""
    if input.ndim != 3 or input.shape[0] % groups:
        return F.channel_shuffle(input, groups)
    y, back = F.channel_shuffle(input[None], groups)
    return y[0], lambda dy: back(dy[None])[0]


PITFALLS = [
    Pitfall(
        "channels vary fastest in a block",
        entry="unfold",
        difference="torch: (c, i, j); TensorFlow's extract_patches: (i, j, c)",
        mutant=channel_fastest,
    ),
    Pitfall(
        "blocks go down before they go right",
        entry="unfold",
        difference="torch: row by row; MATLAB's im2col: column by column",
        mutant=columns_of_blocks_first,
    ),
    Pitfall(
        "unfold's options as convolution's",
        entry="unfold",
        difference="torch: unfold(kernel, dilation, padding, stride); conv: stride comes first",
        mutant=options_as_in_convolution,
    ),
    Pitfall(
        "fold averages overlaps",
        entry="fold",
        difference="torch: sums, so that fold(unfold(x)) = x fold(unfold(1)); others: means",
        mutant=overlaps_are_averaged,
    ),
    Pitfall(
        "pixels of one channel lie apart",
        entry="pixel_shuffle",
        difference="torch, ONNX CRD: (c, i, j); the paper, TensorFlow, ONNX DCR: (i, j, c)",
        mutant=depth_column_row,
    ),
    Pitfall(
        "pixels go down before they go right",
        entry="pixel_shuffle",
        difference="torch: (c, i, j), rows of pixels; other derivations: (c, j, i)",
        mutant=rows_and_columns_swapped,
    ),
    Pitfall(
        "space_to_depth",
        entry="pixel_unshuffle",
        difference="torch: (c, i, j); TensorFlow, ONNX: (i, j, c)",
        mutant=space_to_depth,
    ),
    Pitfall(
        "groups is the size of a group",
        entry="channel_shuffle",
        difference="torch: how many groups there are; others: how many channels a group has",
        mutant=channels_per_group,
    ),
    Pitfall(
        "channel shuffle undoes itself",
        entry="channel_shuffle",
        difference="torch: the inverse of g groups is C / g groups, and so is the backward",
        mutant=shuffled_gradient,
    ),
    Pitfall(
        "channel shuffle of one image",
        entry="channel_shuffle",
        difference="torch: axis 1 holds the channels, in (C, H, W) too; others: axis -3",
        mutant=one_image,
    ),
]
