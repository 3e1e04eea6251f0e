"""Conventions of pooling: what pads, who wins a tie, what counts, where windows and bins end."""

import itertools
import math
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.nn.window import Window, crop, pad, taps, windows


def gathered(x: Array, axes: list[Window], fill: float) -> Array:
    """All taps of all windows, (k^n, N, C, o...)."""
    padded = pad(x, axes, fill)
    return np.stack([padded[place] for place in taps(axes)])


def spread(dtaps: Array, axes: list[Window], lead: tuple[int, ...]) -> Array:
    """The gradients of the taps added up in the input."""
    margins = [sum(w.margins) + w.size for w in axes]
    dpadded = np.zeros((*lead, *margins), dtaps.dtype)
    for dtap, place in zip(dtaps, taps(axes), strict=True):
        dpadded[place] += dtap
    return crop(dpadded, axes)


def every_window(w: Window) -> Window:
    """The windows of ceil_mode with those that start beyond the input."""
    reach = (w.kernel - 1) * w.dilation + 1
    return w._replace(outputs=math.ceil((w.size + 2 * w.padding - reach) / w.stride) + 1)


def positions_in_rows(*args: Any, **kwargs: Any) -> tuple[Any, Backward]:
    """`max_pool2d` whose indices count within the row."""
    y, backward = F.max_pool2d(*args, **kwargs)
    if not isinstance(y, tuple):
        return y, backward
    values, indices = y
    return (values, indices % args[0].shape[-1]), backward


def max_pool(
    fill: float = -np.inf, winner: str = "first", nan: str = "largest", last: str = "dropped"
) -> Any:
    """`max_pool2d` with another padding, or another rule for ties, NaN or the last window."""

    def mutant(
        input: Array,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Any, Backward]:
        args = kernel_size, stride, padding, dilation, ceil_mode
        axes = windows("max_pool2d", input.shape[-2:], *args)
        if ceil_mode and last == "kept":
            axes = [every_window(w) for w in axes]
        all_taps = gathered(input, axes, fill)
        seen = np.where(np.isnan(all_taps), -np.inf, all_taps) if nan == "ignored" else all_taps
        y = seen.max(axis=0)
        share: Array = ((seen == y) | np.isnan(seen)).astype(input.dtype)
        if winner == "shared":
            share /= np.maximum(share.sum(axis=0), 1)
        elif winner == "last":
            share *= np.cumsum(share[::-1], axis=0)[::-1] == 1
        else:
            share *= np.cumsum(share, axis=0) == 1
        indices = F.max_pool2d(input, *args, True)[0][1]

        def backward(dy: Array, dindices: None = None) -> Array:
            return spread(share * dy, axes, input.shape[:-2])

        return ((y, indices) if return_indices else y), backward

    return mutant


def avg_pool(counts: str) -> Any:
    """`avg_pool2d` whose divisor counts otherwise."""

    def mutant(
        input: Array,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> tuple[Array, Backward]:
        args = kernel_size, stride, padding, ceil_mode
        axes = windows("avg_pool2d", input.shape[-2:], *args[:3], 1, ceil_mode)
        if counts == "the input" and count_include_pad:
            return F.avg_pool2d(input, *args, False, divisor_override)
        whole = math.prod(w.kernel for w in axes)
        if counts == "the window" and count_include_pad and divisor_override is None:
            return F.avg_pool2d(input, *args, True, whole)
        if counts == "the override times the share" and divisor_override is not None:
            ones = F.avg_pool2d(np.ones_like(input), *args, True, whole)[0]
            y, back = F.avg_pool2d(input, *args, True, divisor_override)
            return y * ones, lambda dy: back(dy * ones)
        return F.avg_pool2d(input, *args, count_include_pad, divisor_override)

    return mutant


def bins_of_one_size(input: Array, output_size: Any) -> tuple[Array, Backward]:
    """n // o inputs each, and a rest that is left out."""
    given = output_size if isinstance(output_size, tuple | list) else (output_size,) * 2
    sizes = [n if o is None else o for n, o in zip(input.shape[-2:], given, strict=True)]
    if any(o > n for n, o in zip(input.shape[-2:], sizes, strict=True)):
        return F.adaptive_avg_pool2d(input, output_size)
    kernel = tuple(n // o for n, o in zip(input.shape[-2:], sizes, strict=True))
    kept = tuple(k * o for k, o in zip(kernel, sizes, strict=True))
    y, back = F.avg_pool2d(np.ascontiguousarray(input[..., : kept[0], : kept[1]]), kernel)

    def backward(dy: Array) -> Array:
        dx = np.zeros_like(input)
        dx[..., : kept[0], : kept[1]] = back(dy)
        return dx

    return y, backward


def bins_without_overlap(input: Array, output_size: Any) -> tuple[Array, Backward]:
    """Bin i ends where bin i + 1 starts."""
    given = output_size if isinstance(output_size, tuple | list) else (output_size,) * 2
    sizes = [n if o is None else o for n, o in zip(input.shape[-2:], given, strict=True)]
    mix = []
    for n, o in zip(input.shape[-2:], sizes, strict=True):
        edges = [i * n // o for i in range(o + 1)]
        m = np.zeros((o, n), input.dtype)
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            m[i, a : max(b, a + 1)] = 1 / max(b - a, 1)
        mix.append(m)
    if not np.isfinite(input).all():
        return F.adaptive_avg_pool2d(input, output_size)
    y = mix[0] @ input @ mix[1].T
    return y, lambda dy: mix[0].T @ dy @ mix[1]


def norm_of_magnitudes(
    input: Array, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> tuple[Array, Backward]:
    y, back = F.lp_pool2d(np.abs(input), norm_type, kernel_size, stride, ceil_mode)
    return y, lambda dy: back(dy) * np.sign(input)


def norm_of_what_is_there(
    input: Array, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> tuple[Array, Backward]:
    y, back = F.lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode)
    if not ceil_mode or math.isinf(norm_type):
        return y, back
    ones = F.avg_pool2d(np.ones_like(input), kernel_size, stride, 0, True, True, 1)[0]
    whole = F.lp_pool2d(np.ones_like(input), 1, kernel_size, stride, True)[0]
    scale = (ones / whole) ** (1 / norm_type)
    return y * scale, lambda dy: back(dy * scale)


def mean_of_powers(
    input: Array, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> tuple[Array, Backward]:
    y, back = F.lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode)
    taps = math.prod(kernel_size) if isinstance(kernel_size, tuple) else kernel_size**2
    scale = 1.0 if math.isinf(norm_type) else float(taps ** (-1 / norm_type))
    return y * scale, lambda dy: back(dy * scale)


def positions_down_the_columns(
    input: Array, indices: Array, kernel_size: Any, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    h, w = F.max_unpool2d(input, indices, kernel_size, *args, **kwargs)[0].shape[-2:]
    return F.max_unpool2d(input, indices % h * w + indices // h, kernel_size, *args, **kwargs)


def unpooled_values_add_up(
    input: Array, indices: Array, kernel_size: Any, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    y, back = F.max_unpool2d(input, indices, kernel_size, *args, **kwargs)
    total = np.zeros_like(y).reshape(*input.shape[:-2], y.shape[-2] * y.shape[-1])
    flat = indices.reshape(*input.shape[:-2], -1)
    for place in np.ndindex(flat.shape):
        total[(*place[:-1], flat[place])] += input.reshape(flat.shape)[place]
    return total.reshape(y.shape), back


def only_the_last_has_a_gradient(
    input: Array, indices: Array, kernel_size: Any, *args: Any, **kwargs: Any
) -> tuple[Array, Backward]:
    y, back = F.max_unpool2d(input, indices, kernel_size, *args, **kwargs)
    order = np.arange(1.0, math.prod(input.shape[-2:]) + 1, dtype=input.dtype)
    numbers = np.broadcast_to(order.reshape(input.shape[-2:]), input.shape)
    stays, gather = F.max_unpool2d(
        np.ascontiguousarray(numbers), indices, kernel_size, *args, **kwargs
    )
    return y, lambda dy: back(dy) * (gather(stays) == numbers)


def samples_height_first(
    input: Array,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Array | None = None,
) -> tuple[Any, Backward]:
    swapped = None if _random_samples is None else np.ascontiguousarray(_random_samples[..., ::-1])
    args = kernel_size, output_size, output_ratio, return_indices, swapped
    return F.fractional_max_pool2d(input, *args)


PITFALLS = [
    Pitfall(
        "max pooling pads with zeros",
        entry="max_pool2d",
        difference="torch: -inf, so the padding never wins; padding the input with zeros: it does",
        mutant=max_pool(fill=0.0),
    ),
    Pitfall(
        "max pooling shares ties",
        entry="max_pool2d",
        difference="torch: the first maximum takes the gradient; amax and others: an even share",
        mutant=max_pool(winner="shared"),
    ),
    Pitfall(
        "max pooling takes the last of ties",
        entry="max_pool2d",
        difference="torch: the first in row-major order, by a strict comparison; >= takes the last",
        mutant=max_pool(winner="last"),
    ),
    Pitfall(
        "max pooling keeps the last window of ceil_mode",
        entry="max_pool2d",
        difference="torch: one that starts in the right padding is dropped; others: ceil alone",
        mutant=max_pool(last="kept"),
    ),
    Pitfall(
        "max pooling's indices count within a row",
        entry="max_pool2d",
        difference="torch: positions in the flat map of a channel; others: in the row or window",
        mutant=positions_in_rows,
    ),
    Pitfall(
        "max pooling ignores NaN",
        entry="max_pool2d",
        difference="torch: a NaN is larger than any number; comparisons alone skip it",
        mutant=max_pool(nan="ignored"),
    ),
    Pitfall(
        "average pooling leaves out the padding",
        entry="avg_pool2d",
        difference="torch: count_include_pad=True; TensorFlow: only the input counts",
        mutant=avg_pool("the input"),
    ),
    Pitfall(
        "average pooling counts the overhang",
        entry="avg_pool2d",
        difference="torch: what ceil_mode has beyond the padding never counts; others: k k",
        mutant=avg_pool("the window"),
    ),
    Pitfall(
        "a given divisor is scaled at the edge",
        entry="avg_pool2d",
        difference="torch: divisor_override replaces the divisor everywhere",
        mutant=avg_pool("the override times the share"),
    ),
    Pitfall(
        "adaptive bins are of one size",
        entry="adaptive_avg_pool2d",
        difference="torch: floor(i n / o) to ceil((i + 1) n / o); ONNX exports: n // o each",
        mutant=bins_of_one_size,
    ),
    Pitfall(
        "adaptive bins do not overlap",
        entry="adaptive_avg_pool2d",
        difference="torch: a bin ends at ceil((i + 1) n / o); others: where the next one starts",
        mutant=bins_without_overlap,
    ),
    Pitfall(
        "power-average pooling of magnitudes",
        entry="lp_pool2d",
        difference="torch: x^p, so odd powers keep signs; a norm: |x|^p",
        mutant=norm_of_magnitudes,
    ),
    Pitfall(
        "power-average pooling of what is there",
        entry="lp_pool2d",
        difference="torch: a window that reaches beyond the input is scaled up to a whole one",
        mutant=norm_of_what_is_there,
    ),
    Pitfall(
        "power-average pooling of means",
        entry="lp_pool2d",
        difference="torch: the sum of the powers, despite its name; others: their mean",
        mutant=mean_of_powers,
    ),
    Pitfall(
        "positions count down the columns",
        entry="max_unpool2d",
        difference="torch: flat positions in row-major order of one map; MATLAB: column-major",
        mutant=positions_down_the_columns,
    ),
    Pitfall(
        "unpooled values add up",
        entry="max_unpool2d",
        difference="torch: of values for one place the last stays; a transposed pooling adds them",
        mutant=unpooled_values_add_up,
    ),
    Pitfall(
        "only the value that stays has a gradient",
        entry="max_unpool2d",
        difference="torch: all values for one place take its gradient, also those overwritten",
        mutant=only_the_last_has_a_gradient,
    ),
    Pitfall(
        "fractional pooling's samples are ordered as the axes",
        entry="fractional_max_pool2d",
        difference="torch in two dimensions: the width's first; in three: as the axes",
        mutant=samples_height_first,
    ),
]
