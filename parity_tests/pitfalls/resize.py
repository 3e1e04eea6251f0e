"""Conventions of resizing and sampling: where pixels are, what is outside, how much is averaged."""

from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import grid_sample, interpolate, resize_taps
from scratch.nn.op import Backward
from scratch.nn.resize_taps import Slot

Result = tuple[Array, Backward]
LINEAR = ("linear", "bilinear", "bicubic", "trilinear")


def swapped(module: Any, name: str, stand_in: Any, function: Any) -> Any:
    """`function` while `module.name` is `stand_in`, in its backward too."""

    def under(call: Any, *args: Any, **kwargs: Any) -> Any:
        own = getattr(module, name)
        setattr(module, name, stand_in)
        try:
            return call(*args, **kwargs)
        finally:
            setattr(module, name, own)

    def mutant(*args: Any, **kwargs: Any) -> Result:
        y, back = under(function, *args, **kwargs)
        return y, lambda dy: under(back, dy)

    return mutant


def corners_aligned(
    input: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    *args: Any,
    **kwargs: Any,
) -> Result:
    if align_corners is None and mode in LINEAR:
        align_corners = True
    return F.interpolate(input, size, scale_factor, mode, align_corners, *args, **kwargs)


def always_antialiased(
    input: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Result:
    antialias = antialias or (mode in ("bilinear", "bicubic") and input.ndim == 4)
    options = mode, align_corners, recompute_scale_factor, antialias
    return F.interpolate(input, size, scale_factor, *options)


def always_recomputed(
    input: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Result:
    recompute = scale_factor is not None
    return F.interpolate(input, size, scale_factor, mode, align_corners, recompute, antialias)


def nearest_is_exact(
    input: Array, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **kwargs: Any
) -> Result:
    mode = "nearest-exact" if mode == "nearest" else mode
    return F.interpolate(input, size, scale_factor, mode, **kwargs)


def area_is_bilinear(
    input: Array, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **kwargs: Any
) -> Result:
    if mode == "area" and input.ndim == 4:
        mode, kwargs["antialias"] = "bilinear", True
    return F.interpolate(input, size, scale_factor, mode, **kwargs)


def no_half_pixel(n: int, size: int, scale: float | None, dtype: Any, align_corners: bool) -> Array:
    step = float(resize_taps._step(n, size, scale, dtype, align_corners))
    return np.asarray(step * np.arange(size), dtype)


def below_zero(
    n: int, size: int, scale: float | None, dtype: Any, align_corners: bool
) -> list[Slot]:
    centre = np.asarray(resize_taps._centres(n, size, scale, dtype, align_corners))
    left = np.floor(centre).astype(int)
    t = centre - left
    index = np.stack([left, left + 1])
    weight = np.stack([1 - t, t])
    return resize_taps.slots_of(np.clip(index, 0, n - 1), np.where((index < 0), 0.0, weight))


def keys_half(x: Array, a: float = -0.5) -> Array:
    return KEYS(x, -0.5)


def keys_three_quarters(x: Array, a: float = -0.5) -> Array:
    return KEYS(x, -0.75)


KEYS = resize_taps.keys


def not_widened(
    n: int, size: int, scale: float | None, dtype: Any, align: bool, kernel: Any, radius: int
) -> list[Slot]:
    along = resize_taps.linear if radius == 1 else resize_taps.cubic
    return along(n, size, scale, dtype, align)


def not_normalised(
    n: int, size: int, scale: float | None, dtype: Any, align: bool, kernel: Any, radius: int
) -> list[Slot]:
    step = float(resize_taps._step(n, size, scale, dtype, align))
    stretch = max(step, 1.0)
    distance = abs(step * (np.arange(size) + 0.5) - np.arange(n)[:, None] - 0.5) / stretch
    index = np.broadcast_to(np.arange(n)[:, None], distance.shape)
    return resize_taps.slots_of(index, (kernel(distance) / stretch).astype(dtype))


def gradient_to_first_tap(slots: list[Slot], size: int) -> list[Slot]:
    return TRANSPOSED(slots[:1], size)


TRANSPOSED = resize_taps.transposed


def rows_first(input: Array, grid: Array, *args: Any, **kwargs: Any) -> Result:
    y, back = F.grid_sample(input, np.ascontiguousarray(grid[..., ::-1]), *args, **kwargs)

    def backward(dy: Array) -> tuple[Array, Array]:
        dx, dgrid = back(dy)
        return dx, np.ascontiguousarray(dgrid[..., ::-1])

    return y, backward


def centres_at_one(
    input: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Result:
    return F.grid_sample(input, grid, mode, padding_mode, align_corners is not False)


def unit_range(input: Array, grid: Array, *args: Any, **kwargs: Any) -> Result:
    y, back = F.grid_sample(input, 2 * grid - 1, *args, **kwargs)

    def backward(dy: Array) -> tuple[Array, Array]:
        dx, dgrid = back(dy)
        return dx, 2 * dgrid

    return y, backward


def border_outside(
    input: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Result:
    padding_mode = "border" if padding_mode == "zeros" else padding_mode
    return F.grid_sample(input, grid, mode, padding_mode, align_corners)


def border_gradient(u: Array, du: Array, n: int, padding: str, align: bool) -> tuple[Array, Array]:
    padded, own = PADDED(u, du, n, padding, align)
    return padded, du if padding == "border" else own


def reflected_gradient(
    u: Array, du: Array, n: int, padding: str, align: bool
) -> tuple[Array, Array]:
    padded, own = PADDED(u, du, n, padding, align)
    return padded, abs(own)


def reflected_at_centres(
    u: Array, du: Array, n: int, padding: str, align: bool
) -> tuple[Array, Array]:
    return PADDED(u, du, n, padding, True)


PADDED = grid_sample._padded


def half_up(g: Array, n: int, mode: str, padding: str, align: bool) -> list[grid_sample.Tap]:
    if mode == "nearest":
        g = g + 1e-9  # beyond the half
    return TAPS(g, n, mode, padding, align)


TAPS = grid_sample._taps


def grid_centres(theta: Array, size: Any, align_corners: bool | None = None) -> Result:
    return F.affine_grid(theta, size, align_corners is not False)


def grid_rows_first(theta: Array, size: Any, align_corners: bool | None = None) -> Result:
    y, back = F.affine_grid(theta, size, align_corners)
    return np.ascontiguousarray(y[..., ::-1]), lambda dy: back(np.ascontiguousarray(dy[..., ::-1]))


def forward_map(theta: Array, size: Any, align_corners: bool | None = None) -> Result:
    mirrored = theta.copy()
    mirrored[..., -1] *= -1
    y, back = F.affine_grid(mirrored, size, align_corners)

    def backward(dy: Array) -> Array:
        dtheta: Array = back(dy)
        dtheta[..., -1] *= -1
        return dtheta

    return y, backward


PITFALLS = [
    Pitfall(
        "corners are aligned unless told",
        entry="interpolate",
        difference="torch: align_corners=False; before 0.4, and in Caffe: True",
        mutant=corners_aligned,
    ),
    Pitfall(
        "resizing antialiases by itself",
        entry="interpolate",
        difference="torch: antialias=False; Pillow, and JAX's resize: always when shrinking",
        mutant=always_antialiased,
    ),
    Pitfall(
        "the scale is the ratio of the sizes",
        entry="interpolate",
        difference="torch: 1 / scale_factor where it was given; others: n_in / n_out",
        mutant=always_recomputed,
    ),
    Pitfall(
        "nearest takes the pixel under the centre",
        entry="interpolate",
        difference="torch: 'nearest' floors o s as OpenCV; Pillow, 'nearest-exact': (o + 1/2) s",
        mutant=nearest_is_exact,
    ),
    Pitfall(
        "area weighs by overlap",
        entry="interpolate",
        difference="torch: every pixel that a cell touches weighs the same; OpenCV: by overlap",
        mutant=area_is_bilinear,
    ),
    Pitfall(
        "no half pixel",
        entry="upsample",
        difference="torch: c = s (o + 1/2) - 1/2; TensorFlow 1: c = s o",
        mutant=swapped(resize_taps, "_centres", no_half_pixel, F.upsample),
    ),
    Pitfall(
        "outside of the image is black",
        entry="upsample",
        difference="torch: border pixels repeat; zero padding darkens the border",
        mutant=swapped(resize_taps, "linear", below_zero, F.upsample),
    ),
    Pitfall(
        "bicubic with a = -1/2",
        entry="interpolate",
        difference="torch without antialias: a = -0.75 as OpenCV; Keys, Pillow: -0.5",
        mutant=swapped(resize_taps, "keys", keys_half, F.interpolate),
    ),
    Pitfall(
        "antialiased bicubic with a = -3/4",
        entry="interpolate",
        difference="torch with antialias: a = -0.5 as Pillow; without: -0.75",
        mutant=swapped(
            interpolate,
            "KERNELS",
            {**interpolate.KERNELS, "bicubic": (keys_three_quarters, 2)},
            F.interpolate,
        ),
    ),
    Pitfall(
        "the kernel keeps its width",
        entry="interpolate",
        difference="torch with antialias: widened by the scale; OpenCV: never",
        mutant=swapped(resize_taps, "filtered", not_widened, F.interpolate),
    ),
    Pitfall(
        "weights at the border do not sum to 1",
        entry="interpolate",
        difference="torch with antialias: divides by their sum; a plain convolution does not",
        mutant=swapped(resize_taps, "filtered", not_normalised, F.interpolate),
    ),
    Pitfall(
        "the gradient goes to the first tap",
        entry="upsample_bilinear",
        difference="torch: every tap gets its share; straight-through shortcuts: one",
        mutant=swapped(interpolate, "transposed", gradient_to_first_tap, F.upsample_bilinear),
    ),
    Pitfall(
        "grids are rows first",
        entry="grid_sample",
        difference="torch: (x, y), columns first; scipy's map_coordinates: rows first",
        mutant=rows_first,
    ),
    Pitfall(
        "grids end at the centres",
        entry="grid_sample",
        difference="torch: align_corners=False since 1.3; before: True",
        mutant=centres_at_one,
    ),
    Pitfall(
        "grids span 0 to 1",
        entry="grid_sample",
        difference="torch: -1 to 1; textures on GPUs: 0 to 1",
        mutant=unit_range,
    ),
    Pitfall(
        "outside of the grid is the border",
        entry="grid_sample",
        difference="torch: padding_mode='zeros'; map_coordinates and OpenCV's remap differ",
        mutant=border_outside,
    ),
    Pitfall(
        "clamped points have a gradient",
        entry="grid_sample",
        difference="torch: border clamps, also the gradient of the grid, to 0",
        mutant=swapped(grid_sample, "_padded", border_gradient, F.grid_sample),
    ),
    Pitfall(
        "reflection keeps the gradient's sign",
        entry="grid_sample",
        difference="torch: a reflected coordinate runs backwards",
        mutant=swapped(grid_sample, "_padded", reflected_gradient, F.grid_sample),
    ),
    Pitfall(
        "reflection at the outer centres",
        entry="grid_sample",
        difference="torch: there only with align_corners, else at the edges of the image",
        mutant=swapped(grid_sample, "_padded", reflected_at_centres, F.grid_sample),
    ),
    Pitfall(
        "nearest rounds half up",
        entry="grid_sample",
        difference="torch: half to even",
        mutant=swapped(grid_sample, "_taps", half_up, F.grid_sample),
    ),
    Pitfall(
        "affine grids end at the centres",
        entry="affine_grid",
        difference="torch: align_corners=False since 1.3; before: True",
        mutant=grid_centres,
    ),
    Pitfall(
        "affine grids are rows first",
        entry="affine_grid",
        difference="torch: (x, y), columns first",
        mutant=grid_rows_first,
    ),
    Pitfall(
        "theta moves the image",
        entry="affine_grid",
        difference="torch: theta maps output to input, so +1 shifts the image to the left",
        mutant=forward_map,
    ),
]
