"""Resizing of signals, images and volumes.

forward    y = x resized along each spatial axis in turn: a resize is linear and separable
backward   dx = the transposed resize of each axis, in the opposite order
shapes     x (N, C, L), (N, C, H, W) or (N, C, D, H, W)     y (N, C) with the sizes asked for
sizes      `size`, or floor(n scale_factor)
torch      align_corners is False unless said, antialias off; 'nearest' takes the pixel under the
           output's corner, 'nearest-exact' that under its centre; a given scale_factor is the
           scale itself, not the ratio of the sizes that it led to. Its backward is not always the
           derivative of its forward, as ours is: of 'nearest' where a size doubles or stays under
           another scale_factor, of antialiasing where a size stays; and antialiasing to a single
           column repeats the first row. See parity_tests/test_resize.py.
"""

from collections.abc import Sequence
from typing import Any

from scratch import check
from scratch.check import Array
from scratch.nn import resize_taps
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.resize_taps import Slot, spread, transposed

Size = int | Sequence[int] | None
Scale = float | Sequence[float] | None
# The dimensions that a mode takes; the others take all three.
NDIM = {"linear": 3, "bilinear": 4, "bicubic": 4, "lanczos": 4, "trilinear": 5}
MODES = (
    "nearest",
    "linear",
    "bilinear",
    "bicubic",
    "trilinear",
    "lanczos",
    "area",
    "nearest-exact",
)
KERNELS = {
    "bilinear": (resize_taps.triangle, 1),
    "bicubic": (resize_taps.keys, 2),
    "lanczos": (resize_taps.lanczos, 3),
}


@op
def interpolate(
    input: Array,
    size: Size = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> tuple[Array, Backward]:
    """y = x at other sizes.

    Args:
        input: x (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the spatial sizes of y, one or one an axis.
        scale_factor: in place of `size`, by how much to stretch, one or one an axis.
        mode: 'nearest', 'nearest-exact', 'area'; 'linear' (3-d), 'bilinear', 'bicubic', 'lanczos'
            (4-d), 'trilinear' (5-d).
        align_corners: whether the centres of the corner pixels map to each other, instead of the
            corners of the image; None is False. Not of the first three modes, nor of 'lanczos'.
        recompute_scale_factor: whether the scale is the ratio of the sizes also where
            `scale_factor` was given.
        antialias: whether to average over the pixels that one output covers; 'bilinear', 'bicubic'
            and 'lanczos', which needs it.

    Returns:
        y (N, C, ...), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or a size not an integer.
        ValueError: if the options do not fit each other or the input, or a size would be 0.
    """
    options = mode, align_corners, recompute_scale_factor, antialias
    return _resized("interpolate", input, size, scale_factor, *options)


def _resized(
    name: str,
    input: Array,
    size: Size,
    scale_factor: Scale,
    mode: str,
    align_corners: bool | None = None,
    recompute: bool | None = None,
    antialias: bool = False,
) -> tuple[Array, Backward]:
    """`interpolate` on behalf of the function `name`."""
    x = check.floating(name, "input", input)
    _check_mode(name, mode, align_corners, antialias)
    _check_size(name, size, scale_factor, recompute)
    sizes, scales = _sizes(name, x, size, scale_factor, mode, recompute)
    plan = [
        (axis, taps(mode, x.shape[axis], n, scale, x.dtype, bool(align_corners), antialias))
        for axis, n, scale in zip(range(2, x.ndim), sizes, scales, strict=True)
    ][::-1]  # the last axis first: where it grows, its scattered reads are still few
    y, shape = x, x.shape
    for axis, slots in plan:
        y = spread(y, axis, slots)

    def backward(dy: Array) -> Array:
        dx = dy
        for axis, slots in reversed(plan):
            dx = spread(dx, axis, transposed(slots, shape[axis]))
        return dx

    return y, backward


def taps(
    mode: str,
    n: int,
    size: int,
    scale: float | None,
    dtype: Any,
    align_corners: bool,
    antialias: bool,
) -> list[Slot]:
    """The taps of one axis from `n` to `size`."""
    if mode.startswith("nearest"):
        return resize_taps.nearest(n, size, scale, dtype, exact=mode == "nearest-exact")
    if mode == "area":
        return resize_taps.area(n, size, dtype)
    if antialias:
        return resize_taps.filtered(n, size, scale, dtype, align_corners, *KERNELS[mode])
    along = resize_taps.cubic if mode == "bicubic" else resize_taps.linear
    return along(n, size, scale, dtype, align_corners)


def _check_mode(name: str, mode: str, align_corners: bool | None, antialias: bool) -> None:
    """Refuse options that do not go together."""
    check.option(name, "mode", mode, MODES)
    check.option(name, "align_corners", align_corners, (None, True, False))
    check.option(name, "antialias", antialias, (True, False))
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        check.refuse(name, f"align_corners=None for mode {mode!r}", align_corners)
    if align_corners and mode == "lanczos":
        check.refuse(name, "align_corners=False for mode 'lanczos'", align_corners)
    if antialias and mode not in KERNELS:
        check.refuse(name, f"mode to be one of {', '.join(KERNELS)} for antialias", mode)
    if mode == "lanczos" and not antialias:
        check.refuse(name, "antialias=True for mode 'lanczos'", antialias)


def _check_size(name: str, size: Size, scale_factor: Scale, recompute: bool | None) -> None:
    """Refuse unless one of them is given, in positive numbers."""
    check.option(name, "recompute_scale_factor", recompute, (None, True, False))
    if (size is None) == (scale_factor is None):
        got = "neither" if size is None else f"size={size!r} and scale_factor={scale_factor!r}"
        check.refuse(name, "one of size and scale_factor", got)
    if size is not None and recompute:
        check.refuse(name, "recompute_scale_factor only beside scale_factor", recompute)
    for n in [] if size is None else size if isinstance(size, list | tuple) else [size]:
        check.size(name, "size", n, 1)
    factors = scale_factor if isinstance(scale_factor, list | tuple) else [scale_factor]
    for factor in [] if scale_factor is None else factors:
        check.number(name, "scale_factor", factor, 0, open_low=True, open_high=True)


def _sizes(
    name: str, x: Array, size: Size, scale_factor: Scale, mode: str, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """The spatial sizes of the output, and each axis's scale where the ratio is not it."""
    if x.ndim not in ((NDIM[mode],) if mode in NDIM else (3, 4, 5)):
        expected = NDIM.get(mode, "3, 4 or 5")
        check.refuse(name, f"input of {expected} dimensions for mode {mode!r}", x.shape)
    if min(x.shape[1:]) == 0:
        check.refuse(name, "input with channels and pixels", x.shape)
    what, given = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    axes = x.ndim - 2
    each: list[Any] = list(given) if isinstance(given, list | tuple) else [given] * axes
    if len(each) != axes:
        check.refuse(name, f"{what} with one entry for each of {axes} axes", given)
    if scale_factor is None:
        return each, [None] * axes
    sizes = [int(n * factor) for n, factor in zip(x.shape[2:], each, strict=True)]
    if min(sizes) == 0:
        check.refuse(name, f"scale_factor to leave a pixel of {x.shape[2:]}", given)
    return sizes, [None] * axes if recompute or mode == "area" else each


@op
def upsample(
    input: Array,
    size: Size = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> tuple[Array, Backward]:
    """`interpolate` under its old name.

    Args:
        input: x (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: as in `interpolate`.
        scale_factor: as in `interpolate`.
        mode: as in `interpolate`.
        align_corners: as in `interpolate`.

    Returns:
        y (N, C, ...), and its backward: dy -> dx.

    Raises:
        TypeError: as `interpolate` does.
        ValueError: as `interpolate` does.
    """
    return _resized("upsample", input, size, scale_factor, mode, align_corners)


@op
def upsample_nearest(
    input: Array, size: Size = None, scale_factor: Scale = None
) -> tuple[Array, Backward]:
    """`interpolate` in mode 'nearest'.

    Args:
        input: x (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: as in `interpolate`.
        scale_factor: as in `interpolate`.

    Returns:
        y (N, C, ...), and its backward: dy -> dx.

    Raises:
        TypeError: as `interpolate` does.
        ValueError: as `interpolate` does.
    """
    return _resized("upsample_nearest", input, size, scale_factor, "nearest")


@op
def upsample_bilinear(
    input: Array, size: Size = None, scale_factor: Scale = None
) -> tuple[Array, Backward]:
    """`interpolate` in mode 'bilinear' with align_corners=True.

    Args:
        input: x (N, C, H, W).
        size: as in `interpolate`.
        scale_factor: as in `interpolate`.

    Returns:
        y (N, C, H', W'), and its backward: dy -> dx.

    Raises:
        TypeError: as `interpolate` does.
        ValueError: as `interpolate` does.
    """
    return _resized("upsample_bilinear", input, size, scale_factor, "bilinear", True)


class Upsample(Module):
    """`interpolate` with fixed options.

    Args:
        size: the spatial sizes of y, one or one an axis.
        scale_factor: in place of `size`, by how much to stretch, one or one an axis.
        mode: as in `interpolate`.
        align_corners: as in `interpolate`.
        recompute_scale_factor: as in `interpolate`.

    Shape:
        (N, C, L), (N, C, H, W) or (N, C, D, H, W) to (N, C) with the sizes asked for.
    """

    def __init__(
        self,
        size: Size = None,
        scale_factor: Scale = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        name = type(self).__name__
        _check_mode(name, mode, align_corners, False)
        _check_size(name, size, scale_factor, recompute_scale_factor)
        self.size = size
        self.scale_factor: float | tuple[float, ...] | None = None
        if isinstance(scale_factor, list | tuple):
            self.scale_factor = tuple(map(float, scale_factor))
        elif scale_factor is not None:
            self.scale_factor = float(scale_factor)  # type: ignore[arg-type]
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x at other sizes."""
        return interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        given = f"size={self.size!r}"
        if self.scale_factor is not None:
            given = f"scale_factor={self.scale_factor!r}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` in mode 'nearest'.

    Args:
        size: the spatial sizes of y, one or (H, W).
        scale_factor: in place of `size`, by how much to stretch.

    Shape:
        (N, C, H, W) to (N, C, H', W').
    """

    def __init__(self, size: Size = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` in mode 'bilinear' with align_corners=True.

    Args:
        size: the spatial sizes of y, one or (H, W).
        scale_factor: in place of `size`, by how much to stretch.

    Shape:
        (N, C, H, W) to (N, C, H', W').
    """

    def __init__(self, size: Size = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)
