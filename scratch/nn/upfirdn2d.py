"""Zeros between the pixels, a filter, every so many pixels kept: `upfirdn` in two dimensions.

forward    u[i] = x[i / up] where up divides i, else 0, within pads of zeros
           y[p] = g sum_k f[k] u[s p + K - 1 - k]            s = down: a convolution, f is flipped
backward   dx[i] = g sum_{k, p: s p + K - 1 - k = up i} f[k] dy[p]
shapes     x (N, C, H, W)   f (KH, KW), of all channels, not learned   y (N, C, H', W')
           H' = (up H + top + bottom - KH) // down + 1
upsample   pads so that H' = up H, and g = up^2, for only one of up^2 entries of u is not zero
sums       up: a transposed convolution of stride up, which meets no zeros. Each channel of each
           image is a group of its own, so that an image of one channel costs no more.
torch      has none; written with conv2d. The filter of Karras et al. is [1, 3, 3, 1] along both
           axes, its sum 1.
Sources    Karras et al. 2020, arXiv:1912.04958, appendix B; why filter: Zhang 2019,
           arXiv:1904.11486
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.correlate import Window, correlate, spread
from scratch.nn.op import Backward, op

TAPS = (1, 3, 3, 1)


def setup_filter(taps: Sequence[float] = TAPS, *, dtype: DTypeLike = np.float32) -> Array:
    """The filter of these taps along both axes, its sum 1.

    Args:
        taps: along an axis (K,).
        dtype: float32 or float64.

    Returns:
        f (K, K).

    Raises:
        TypeError, ValueError: if the taps are not numbers, or none, or their sum is 0.
    """
    if not isinstance(taps, Sequence) or not taps:
        check.refuse("setup_filter", "taps to be a sequence of numbers", check.describe(taps))
    t = np.array([check.number("setup_filter", "every tap", tap) for tap in taps])
    if t.sum() == 0:
        check.refuse("setup_filter", "taps whose sum is not 0", taps)
    f: Array = np.outer(t, t).astype(dtype)
    f /= f.sum()
    return f


@op
def upfirdn2d(
    input: Array,
    filter: Array,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = 1.0,
) -> tuple[Array, Backward]:
    """Upsample by zeros, pad, convolve each channel, downsample.

    Args:
        input: x (N, C, H, W).
        filter: f (KH, KW), not differentiated.
        up: one pixel becomes up x up.
        down: of down x down pixels one is kept.
        padding: of the upsampled image: (left, right, top, bottom) or one for all; negative crops.
        gain: g.

    Returns:
        y (N, C, H', W'), and its backward: dy -> dx.

    Raises:
        TypeError: if an array is not floating, the dtypes differ or an option is not a number.
        ValueError: if a shape does not fit or the filter is larger than the padded image.

    Source: Karras et al. 2020, arXiv:1912.04958, appendix B.
    """
    return _upfirdn2d("upfirdn2d", input, filter, up, down, padding, gain)


@op
def upsample2d(input: Array, filter: Array, up: int = 2) -> tuple[Array, Backward]:
    """Twice as large, or `up` times, as bright as before.

    Args:
        input: x (N, C, H, W).
        filter: f (KH, KW), its sum 1; not differentiated.
        up: how many times.

    Returns:
        y (N, C, H up, W up), and its backward: dy -> dx.

    Raises:
        TypeError, ValueError: as `upfirdn2d`.

    Source: Karras et al. 2020, arXiv:1912.04958.
    """
    around = sides("upsample2d", filter, up, 1)
    return _upfirdn2d("upsample2d", input, filter, up, 1, around, up * up)


@op
def downsample2d(input: Array, filter: Array, down: int = 2) -> tuple[Array, Backward]:
    """Half as large, or a `down`-th.

    Args:
        input: x (N, C, H, W).
        filter: f (KH, KW), its sum 1; not differentiated.
        down: by how much.

    Returns:
        y (N, C, H / down, W / down), and its backward: dy -> dx.

    Raises:
        TypeError, ValueError: as `upfirdn2d`.

    Source: Karras et al. 2020, arXiv:1912.04958.
    """
    around = sides("downsample2d", filter, 1, down)
    return _upfirdn2d("downsample2d", input, filter, 1, down, around, 1)


def _upfirdn2d(
    name: str,
    input: Array,
    filter: Array,
    up: int,
    down: int,
    padding: int | Sequence[int],
    gain: float,
) -> tuple[Array, Backward]:
    x = check.floating(name, "input", input)
    f = check.floating(name, "filter", filter, like=x)
    check.shape(name, "input", x, ("N", "C", "H", "W"))
    check.shape(name, "filter", f, ("KH", "KW"))
    up, down = check.size(name, "up", up, low=1), check.size(name, "down", down, low=1)
    left, right, top, bottom = check.sizes(name, "padding", padding, 4, low=-(2**62))
    f = check.number(name, "gain", gain) * f
    around = ((top, bottom), (left, right))
    if 0 in (*x.shape, *f.shape):
        check.refuse(name, "input and filter without an empty axis", f"{x.shape}, {f.shape}")
    axes = list(zip(x.shape[2:], f.shape, around, strict=True))
    whole = [n * up + a + b - k + 1 for n, k, (a, b) in axes]
    if min(whole) < 1:
        got = f"sizes {x.shape[2:]} under a filter {f.shape}"
        check.refuse(name, "a filter that fits into the padded image", got)

    rows = x.reshape(1, -1, *x.shape[2:])
    channels, size = rows.shape[1], x.shape[2:]
    kernel = np.broadcast_to(f, (channels, 1, *f.shape))
    if up == 1:
        flipped = kernel[..., ::-1, ::-1]
        window = Window((down, down), (1, 1), (top, left), channels)
        out = tuple((n - 1) // down + 1 for n in whole)
        y = correlate(rows, flipped, window, out)
    else:
        before = f.shape[0] - 1 - top, f.shape[1] - 1 - left
        window = Window((up, up), (1, 1), before, channels)
        y = spread(rows, kernel, window, tuple(whole))[..., ::down, ::down]

    def backward(dy: Array) -> Array:
        drows = dy.reshape(1, channels, *dy.shape[2:])
        if up == 1:
            return spread(drows, flipped, window, size).reshape(x.shape)
        du = drows
        if down > 1:
            du = np.zeros((1, channels, *whole), dy.dtype)
            du[..., ::down, ::down] = drows
        return correlate(du, kernel, window, size).reshape(x.shape)

    return y.reshape(*x.shape[:2], *y.shape[2:]), backward


def sides(function: str, filter: Array, up: int, down: int) -> list[int]:
    """Padding (left, right, top, bottom) with which an image of n becomes one of n up / down.

    Args:
        function: name for messages.
        filter: f (KH, KW).
        up: factor.
        down: factor; one of the two is 1.
    """
    f = check.floating(function, "filter", filter)
    check.shape(function, "filter", f, ("KH", "KW"))
    check.size(function, "up", up, low=1)
    check.size(function, "down", down, low=1)
    found = []
    for k in reversed(f.shape):
        found += [(k + up - 1) // 2, (k - up) // 2] if up > 1 else [(k - down + 1) // 2]
        found += [] if up > 1 else [(k - down) // 2]
    return found
