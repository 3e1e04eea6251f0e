"""RoIAlign: a box's part of a feature map, averaged into a few bins.     He et al. 2017, section 3

forward    y[k, c, p, q] = sum_ij Y[k, p, i] X[k, q, j] x[n_k, c, i, j]
           Y[k, p, i] = mean over samples s of v(u) max(0, 1 - |u' - i|)     the hat of pixel i
           u = r1 scale - o + (p + (s + 1/2) / S) b      u' = u held in [0, H - 1]
           b = (r2 - r1) scale / P, the height of a bin; v(u) = 1 for -1 <= u <= H, else 0
           X is the same of columns. Bilinear interpolation at points of a grid is one matrix for
           rows and one for columns.
backward   dx[n] = sum over the boxes k of picture n of Y[k]^T dy[k, c] X[k]
shapes     x (N, C, H, W)   boxes (K, 5) of n, x1, y1, x2, y2   Y (K, P, H)   X (K, Q, W)
           y (K, C, P, Q)
samples    S = sampling_ratio, or the height of a bin in pixels rounded up, which differs by box
aligned    o = 1/2: a pixel's centre lies at i + 1/2 of the box's coordinates, and the map has it at
           i. Without it all is half a pixel off, and no side is taken for shorter than 1.
torch      none; torchvision's roi_align, `aligned=False` unless said. As there the boxes get no
           gradient.
Source     He, Gkioxari, Dollar & Girshick 2017, arXiv:1703.06870; aligned: Detectron2
"""

from collections.abc import Iterator, Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op

BLOCK = 2**22  # entries of the maps that are copied at a time, one for each box


@op
def roi_align(
    input: Array,
    boxes: Array | Sequence[Array],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> tuple[Array, Backward]:
    """The mean of the features in each of P x Q bins of each box.

    Args:
        input: x (N, C, H, W).
        boxes: (K, 5) of picture, x1, y1, x2, y2, or for each picture its (L, 4); in the input's
            dtype; not differentiated.
        output_size: (P, Q), or one number for both.
        spatial_scale: pixels of the map for a unit of the boxes.
        sampling_ratio: points along each side of a bin; 0 or less for one a pixel, at least.
        aligned: whether coordinates are shifted by half a pixel, so that bins and pixels align.

    Returns:
        y (K, C, P, Q), and its backward: dy -> dinput.

    Raises:
        TypeError: if an array is not floating or the dtypes differ.
        ValueError: if a shape does not fit, there is no such picture or a number is out of range.

    Source: He et al. 2017, section 3.
    """
    name = "roi_align"
    x = check.floating(name, "input", input)
    check.shape(name, "input", x, ("N", "C", "H", "W"))
    batch, channels, height, width = x.shape
    picture, corners = _boxes(boxes, x)
    bins = check.sizes(name, "output_size", output_size, 2, low=1)
    scale = check.number(name, "spatial_scale", spatial_scale, 0, open_low=True)
    ratio = check.size(name, "sampling_ratio", sampling_ratio, low=-(2**31))
    check.option(name, "aligned", aligned, (True, False))
    if not np.isfinite(corners).all():
        check.refuse(name, "finite boxes", "NaN or infinity")
    placed = corners * scale - (0.5 if aligned else 0.0)
    least = 0.0 if aligned else 1.0
    rows = _weights(placed[:, 1], placed[:, 3], bins[0], height, ratio, least)  # (K, P, H)
    columns = _weights(placed[:, 0], placed[:, 2], bins[1], width, ratio, least)  # (K, Q, W)

    def parts() -> Iterator[slice]:
        """A few boxes at a time."""
        few = max(1, BLOCK // max(1, channels * height * width))
        return (slice(k, k + few) for k in range(0, len(picture), few))

    y = np.empty((len(picture), channels, *bins), x.dtype)
    for k in parts():
        across = x[picture[k]] @ columns[k, None].swapaxes(2, 3)  # (k, C, H, Q)
        y[k] = rows[k, None] @ across

    def backward(dy: Array) -> Array:
        dx = np.zeros((batch, channels * height * width), x.dtype)
        for k in parts():
            dacross = rows[k, None].swapaxes(2, 3) @ dy[k]
            dmaps = dacross @ columns[k, None]  # (k, C, H, W)
            of_picture = (picture[k] == np.arange(batch)[:, None]).astype(x.dtype)
            dx += of_picture @ dmaps.reshape(len(dmaps), -1)
        return dx.reshape(x.shape)

    return y, backward


def _boxes(boxes: Array | Sequence[Array], x: Array) -> tuple[Array, Array]:
    """The picture of each box (K,), and its corners (K, 4)."""
    name, batch = "roi_align", len(x)
    if isinstance(boxes, list | tuple):
        each = [check.floating(name, "boxes", b, like=x) for b in boxes]
        for b in each:
            check.shape(name, "boxes", b, ("L", 4))
        if len(each) != batch:
            check.refuse(name, f"boxes of {batch} pictures", len(each))
        picture = np.repeat(np.arange(batch), [len(b) for b in each])
        return picture, np.concatenate(each) if each else np.zeros((0, 4), x.dtype)
    found = check.floating(name, "boxes", boxes, like=x)
    check.shape(name, "boxes", found, ("K", 5))
    first = found[:, 0]
    wrong = first[~((first >= 0) & (first < batch) & (first == np.floor(first)))]
    if wrong.size:
        expected = f"the first column of boxes to name a picture in [0, {batch})"
        check.refuse(name, expected, wrong[0])
    return first.astype(np.intp), found[:, 1:]


def _weights(start: Array, stop: Array, bins: int, pixels: int, ratio: int, least: float) -> Array:
    """How much each pixel of one axis counts in each bin of each box (K, bins, pixels)."""
    length = np.maximum(stop - start, least) if least else stop - start
    side = length[:, None] / bins  # (K, 1)
    number = np.full_like(side, ratio) if ratio > 0 else np.ceil(side)
    sample = np.arange(int(number.max(initial=0)), dtype=start.dtype)
    taken, number = sample < number, np.maximum(number, 1)
    within = (sample + 0.5) * side / number  # (K, S)
    place = start[:, None] + np.arange(bins, dtype=start.dtype) * side  # (K, bins)
    u = place[..., None] + within[:, None]
    valid = (u >= -1) & (u <= pixels) & taken[:, None]
    away = np.abs(np.clip(u, 0, pixels - 1)[..., None] - np.arange(pixels, dtype=u.dtype))
    hat = np.maximum(1 - away, 0) * valid[..., None]  # (K, bins, S, pixels)
    weights: Array = hat.sum(2) / number[..., None]
    return weights
