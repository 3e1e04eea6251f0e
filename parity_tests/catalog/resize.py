"""Resizing and sampling: every mode and option, up and down, sizes that do not divide, size 1."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.nn import functional as F

KEYS = "Keys 1981, Cubic convolution interpolation, IEEE TASSP 29(6)"
TRANSFORMER = "Jaderberg, Simonyan, Zisserman & Kavukcuoglu 2015, arXiv:1506.02025"
PADDINGS = ("zeros", "border", "reflection")
PILLOW = f"{KEYS}; antialias as Pillow's resize, a kernel widened by the scale"


def resize(name: str, shape: tuple[int, ...], *args: Any, **kwargs: Any) -> Case:
    """A case of a normal input."""
    return Case(name, lambda d: Call(d.normal(*shape), *args, **kwargs))


def not_finite(mode: str, **kwargs: Any) -> Case:
    """Infinities and NaN reach the outputs that read them and no other."""

    def make(d: Draw) -> Call:
        x = d.normal(2, 3, 5, 6)
        x[0, 0, 1, 2], x[0, 1, 4, 0], x[1, 2, 2, 2] = np.inf, np.nan, -np.inf
        return Call(x, 4, mode=mode, **kwargs)

    surrogate = "differences of infinities do not exist"
    return Case(f"{mode}{' antialiased' if kwargs else ''}, not finite", make, surrogate=surrogate)


def sizes_of(mode: str, **kwargs: Any) -> tuple[Case, ...]:
    """An image in one mode, up and down, by sizes and by factors."""
    image = (1, 2, 4, 5)
    name = " ".join([mode, *(f"{key}={value}" for key, value in kwargs.items())])
    cases = [
        resize(f"{name}, up", image, (7, 11), None, mode, **kwargs),
        resize(f"{name}, down", image, (3, 2), None, mode, **kwargs),
        resize(f"{name}, up and down", image, (9, 3), None, mode, **kwargs),
        resize(f"{name}, one size", image, 6, mode=mode, **kwargs),
        resize(f"{name}, same size", image, (4, 5), mode=mode, **kwargs),
        resize(f"{name}, from 1", (1, 2, 1, 1), (3, 4), mode=mode, **kwargs),
        resize(f"{name}, to 1", image, 1, mode=mode, **kwargs),
        resize(f"{name}, twice", image, scale_factor=2, mode=mode, **kwargs),
        resize(f"{name}, factors", image, None, (1.7, 0.6), mode, **kwargs),
        resize(
            f"{name}, recomputed factors",
            image,
            scale_factor=(1.7, 0.6),
            mode=mode,
            recompute_scale_factor=True,
            **kwargs,
        ),
        resize(
            f"{name}, given factors",
            image,
            scale_factor=(2.6, 3.3),
            mode=mode,
            recompute_scale_factor=False,
            **kwargs,
        ),
        resize(f"{name}, no samples", (0, 3, 4, 5), (6, 3), mode=mode, **kwargs),
    ]
    return tuple(cases)


OLD = (
    resize("size", (2, 3, 5, 4), (7, 6)),
    resize("one size", (2, 3, 5, 4), 3),
    resize("factor", (2, 3, 5, 4), None, 2),
    resize("factors", (2, 3, 5, 4), scale_factor=(3, 2)),
    resize("sizes 1", (1, 1, 1, 1), (2, 3)),
    resize("no samples", (0, 2, 3, 4), 2),
)


def points(d: Draw, n: int, sizes: tuple[int, ...]) -> Array:
    """Random points, most of them inside, away from the kinks of the interpolation."""
    return d.uniform(-1.3, 1.3, n, *sizes, len(sizes))


def lattice(d: Draw, n: int, sizes: tuple[int, ...]) -> Array:
    """Points on pixels, between them, on the border and outside it: every tie and kink."""
    return d.array(d.integers(-12, 13, n, *sizes, len(sizes)) / 4)


def odd(mode: str, padding: str) -> Case:
    """Points that are infinite or no numbers."""

    def make(d: Draw) -> Call:
        grid = points(d, 2, (3, 2))
        grid[0, 0, 0, 0], grid[0, 1, 1, 1], grid[1, 2, 0, 0] = np.nan, np.inf, -np.inf
        return Call(d.normal(2, 3, 4, 5), grid, mode, padding, False)

    return Case(
        f"points not finite, {mode}, {padding}",
        make,
        zero=("grid",) if mode == "nearest" else (),
        surrogate="differences of infinities do not exist",
    )


def sampled(mode: str, padding: str) -> list[Case]:
    """Images, and volumes where the mode takes them, under one padding."""
    zero = ("grid",) if mode == "nearest" else ()
    kinks = "the lattice is where the interpolation has its kinks"
    cases = []
    for align in (False, True):
        name = f"{mode}, {padding}, align_corners={align}"
        options = (mode, padding, align)

        def image(d: Draw, options: Any = options) -> Call:
            return Call(d.normal(2, 2, 3, 4), points(d, 2, (2, 3)), *options)

        def on_lattice(d: Draw, options: Any = options) -> Call:
            return Call(d.normal(2, 2, 3, 4), lattice(d, 2, (5, 6)), *options)

        def one_pixel(d: Draw, options: Any = options) -> Call:
            return Call(d.normal(1, 2, 1, 3), points(d, 1, (3, 2)), *options)

        def volume(d: Draw, options: Any = options) -> Call:
            return Call(d.normal(1, 2, 2, 3, 2), points(d, 1, (2, 1, 3)), *options)

        def volume_on_lattice(d: Draw, options: Any = options) -> Call:
            return Call(d.normal(1, 2, 2, 3, 4), lattice(d, 1, (3, 3, 4)), *options)

        cases.append(Case(name, image, zero=zero))
        cases.append(Case(f"{name}, lattice", on_lattice, zero=zero, surrogate=kinks))
        cases.append(Case(f"{name}, one pixel", one_pixel, zero=zero))
        if mode != "bicubic":
            cases.append(Case(f"{name}, volume", volume, zero=zero))
            cases.append(
                Case(f"{name}, volume, lattice", volume_on_lattice, zero=zero, surrogate=kinks)
            )
    return cases


def identity(d: Draw) -> Call:
    """The grid that reads every pixel where it is."""
    grid = F.affine_grid(np.eye(2, 3, dtype=d.dtype)[None], (1, 2, 4, 4), False)[0]
    return Call(d.normal(1, 2, 4, 4), grid, align_corners=False)


def upsample_case(name: str, shape: tuple[int, ...], **init: Any) -> Case:
    return Case(name, lambda d: Call(d.normal(*shape)), init=Call(**init))


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of torch that warns that it is deprecated, or of a default that once changed."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return run


ENTRIES = [
    Op(
        "interpolate",
        F.interpolate,
        torch.nn.functional.interpolate,
        source=PILLOW,
        cases=(
            resize("defaults", (2, 3, 4, 5), 7),
            *sizes_of("nearest"),
            *sizes_of("nearest-exact"),
            *sizes_of("area"),
            *sizes_of("bilinear"),
            *sizes_of("bilinear", align_corners=True),
            *sizes_of("bilinear", align_corners=False),
            *sizes_of("bicubic"),
            *sizes_of("bicubic", align_corners=True),
            *sizes_of("bilinear", antialias=True),
            *sizes_of("bilinear", align_corners=True, antialias=True),
            *sizes_of("bicubic", antialias=True),
            *sizes_of("bicubic", align_corners=True, antialias=True),
            *sizes_of("lanczos", antialias=True),
            resize("nearest, signal", (2, 3, 7), 10),
            resize("nearest, volume", (1, 2, 2, 3, 4), (3, 2, 5)),
            resize("nearest-exact, signal", (2, 3, 7), 10, mode="nearest-exact"),
            resize("nearest-exact, volume", (1, 2, 2, 3, 4), (3, 2, 5), mode="nearest-exact"),
            resize("area, signal", (2, 3, 7), 4, mode="area"),
            resize("area, volume", (1, 2, 2, 3, 4), (2, 1, 5), mode="area"),
            resize("linear", (2, 3, 7), 10, mode="linear"),
            resize("linear, corners", (2, 3, 7), 4, mode="linear", align_corners=True),
            resize("linear, list", (2, 3, 7), [12], mode="linear"),
            resize("trilinear", (1, 2, 2, 3, 4), (3, 2, 5), mode="trilinear"),
            resize("trilinear, corners", (1, 2, 2, 3, 4), 4, mode="trilinear", align_corners=True),
            resize("trilinear, factor", (1, 2, 3, 2, 3), scale_factor=1.5, mode="trilinear"),
            resize("nearest, rounding", (1, 1, 41), 123),
            resize("far down", (1, 1, 14, 11), (4, 3), mode="bicubic", antialias=True),
            not_finite("nearest"),
            not_finite("area"),
            not_finite("bilinear"),
            not_finite("bicubic"),
            not_finite("bilinear", antialias=True),
            not_finite("bicubic", antialias=True),
        ),
    ),
    Op(
        "upsample",
        F.upsample,
        quiet(torch.nn.functional.upsample),
        source=KEYS,
        cases=(
            *OLD,
            resize("bilinear", (2, 3, 5, 4), (7, 6), None, "bilinear"),
            resize("bilinear, corners", (2, 3, 5, 4), (7, 6), None, "bilinear", True),
            resize("linear", (2, 3, 5), 8, mode="linear", align_corners=False),
        ),
    ),
    Op(
        "upsample_nearest",
        F.upsample_nearest,
        quiet(torch.nn.functional.upsample_nearest),
        source=KEYS,
        cases=(*OLD, resize("volume", (1, 2, 2, 3, 4), (3, 2, 5))),
    ),
    Op(
        "upsample_bilinear",
        F.upsample_bilinear,
        quiet(torch.nn.functional.upsample_bilinear),
        source=KEYS,
        cases=OLD,
    ),
    Op(
        "grid_sample",
        F.grid_sample,
        quiet(torch.nn.functional.grid_sample),
        source=f"{TRANSFORMER}, section 3.3; {KEYS}",
        cases=(
            Case("defaults", lambda d: Call(d.normal(2, 3, 4, 5), points(d, 2, (3, 6)))),
            *(
                case
                for mode in ("bilinear", "nearest", "bicubic")
                for padding in PADDINGS
                for case in sampled(mode, padding)
            ),
            Case("identity", identity, surrogate="every point is on a pixel, a kink"),
            Case(
                "far outside",
                lambda d: Call(d.normal(1, 2, 3, 4), points(d, 1, (3, 4)) + d.array(1e4)),
                zero=("input", "grid"),
            ),
            Case(
                "far outside, reflected",
                lambda d: Call(
                    d.normal(1, 2, 3, 4), 8 * points(d, 1, (3, 4)), padding_mode="reflection"
                ),
            ),
            *(odd(mode, padding) for mode in ("bilinear", "nearest") for padding in PADDINGS[:1]),
            odd("bicubic", "zeros"),
            Case("no samples", lambda d: Call(d.normal(0, 2, 3, 4), points(d, 0, (2, 3)))),
            Case(
                "no points",
                lambda d: Call(d.normal(2, 2, 3, 4), points(d, 2, (0, 3))),
                zero=("input",),
            ),
        ),
    ),
    Op(
        "affine_grid",
        F.affine_grid,
        quiet(torch.nn.functional.affine_grid),
        source=f"{TRANSFORMER}, equation 1",
        cases=(
            Case("defaults", lambda d: Call(d.normal(2, 2, 3), (2, 3, 4, 5))),
            Case("corners", lambda d: Call(d.normal(2, 2, 3), (2, 3, 4, 5), True)),
            Case("edges", lambda d: Call(d.normal(2, 2, 3), [2, 1, 3, 6], align_corners=False)),
            Case("volume", lambda d: Call(d.normal(2, 3, 4), (2, 3, 4, 5, 2), False)),
            Case("volume, corners", lambda d: Call(d.normal(2, 3, 4), (2, 3, 4, 5, 2), True)),
            Case("sizes 1", lambda d: Call(d.normal(1, 2, 3), (1, 1, 1, 1), False)),
            Case("sizes 1, corners", lambda d: Call(d.normal(1, 2, 3), (1, 1, 1, 4), True)),
        ),
    ),
    Layer(
        "Upsample",
        nn.Upsample,
        torch.nn.Upsample,
        source=KEYS,
        cases=(
            upsample_case("size", (2, 3, 4, 5), size=7),
            upsample_case("sizes", (2, 3, 4, 5), size=(7, 3)),
            upsample_case("factor", (2, 3, 4, 5), scale_factor=2),
            upsample_case("factors", (2, 3, 4, 5), scale_factor=(1.5, 3)),
            upsample_case("nearest-exact", (2, 3, 4), size=7, mode="nearest-exact"),
            upsample_case("area", (2, 3, 4, 5), size=3, mode="area"),
            upsample_case("linear", (2, 3, 4), scale_factor=2.5, mode="linear"),
            upsample_case("bilinear", (2, 3, 4, 5), scale_factor=2, mode="bilinear"),
            upsample_case(
                "bilinear, corners",
                (2, 3, 4, 5),
                scale_factor=2,
                mode="bilinear",
                align_corners=True,
            ),
            upsample_case("bicubic", (2, 3, 4, 5), size=(6, 3), mode="bicubic"),
            upsample_case("trilinear", (2, 2, 3, 4, 2), scale_factor=2, mode="trilinear"),
            upsample_case(
                "recomputed",
                (2, 3, 4, 5),
                scale_factor=1.7,
                mode="bilinear",
                recompute_scale_factor=True,
            ),
            upsample_case("no samples", (0, 3, 4, 5), scale_factor=2),
        ),
    ),
    Layer(
        "UpsamplingNearest2d",
        nn.UpsamplingNearest2d,
        torch.nn.UpsamplingNearest2d,
        source=KEYS,
        cases=(
            upsample_case("size", (2, 3, 4, 5), size=(7, 3)),
            upsample_case("factor", (2, 3, 4, 5), scale_factor=3),
        ),
    ),
    Layer(
        "UpsamplingBilinear2d",
        nn.UpsamplingBilinear2d,
        torch.nn.UpsamplingBilinear2d,
        source=KEYS,
        cases=(
            upsample_case("size", (2, 3, 4, 5), size=(7, 3)),
            upsample_case("factor", (2, 3, 4, 5), scale_factor=3),
            upsample_case("factors", (2, 3, 4, 5), scale_factor=(1.5, 2)),
        ),
    ),
]

X3, X4, X5 = np.ones((1, 2, 3)), np.ones((1, 2, 3, 4)), np.ones((1, 2, 3, 4, 5))
GRID = np.zeros((1, 2, 2, 2))
THETA = np.ones((1, 2, 3))

REFUSALS = [
    Refusal("integer input", lambda: F.interpolate(X4.astype(int), 2), "interpolate"),
    Refusal("no size", lambda: F.interpolate(X4), "interpolate"),
    Refusal("size and factor", lambda: F.interpolate(X4, 2, 2.0), "interpolate"),
    Refusal("too many sizes", lambda: F.interpolate(X4, (2, 2, 2)), "interpolate"),
    Refusal("too few factors", lambda: F.interpolate(X4, scale_factor=(2.0,)), "interpolate"),
    Refusal("size 0", lambda: F.interpolate(X4, 0), "interpolate"),
    Refusal("float size", lambda: F.interpolate(X4, unchecked(2.0)), "interpolate"),
    Refusal("negative factor", lambda: F.interpolate(X4, scale_factor=-1), "interpolate"),
    Refusal("NaN factor", lambda: F.interpolate(X4, scale_factor=np.nan), "interpolate"),
    Refusal("factor to nothing", lambda: F.interpolate(X4, scale_factor=0.1), "interpolate"),
    Refusal("unknown mode", lambda: F.interpolate(X4, 2, mode="cubic"), "interpolate"),
    Refusal("linear image", lambda: F.interpolate(X4, 2, mode="linear"), "interpolate"),
    Refusal("bilinear signal", lambda: F.interpolate(X3, 2, mode="bilinear"), "interpolate"),
    Refusal("bicubic volume", lambda: F.interpolate(X5, 2, mode="bicubic"), "interpolate"),
    Refusal("trilinear image", lambda: F.interpolate(X4, 2, mode="trilinear"), "interpolate"),
    Refusal("2-d input", lambda: F.interpolate(np.ones((2, 3)), 2), "interpolate"),
    Refusal("no pixels", lambda: F.interpolate(np.ones((1, 2, 0, 4)), 2), "interpolate"),
    Refusal("no channels", lambda: F.interpolate(np.ones((1, 0, 3, 4)), 2), "interpolate"),
    Refusal("nearest corners", lambda: F.interpolate(X4, 2, align_corners=False), "interpolate"),
    Refusal(
        "area corners",
        lambda: F.interpolate(X4, 2, mode="area", align_corners=True),
        "interpolate",
    ),
    Refusal(
        "lanczos corners",
        lambda: F.interpolate(X4, 2, mode="lanczos", align_corners=True, antialias=True),
        "interpolate",
    ),
    Refusal("lanczos, plain", lambda: F.interpolate(X4, 2, mode="lanczos"), "interpolate"),
    Refusal("nearest antialias", lambda: F.interpolate(X4, 2, antialias=True), "interpolate"),
    Refusal(
        "recomputed size",
        lambda: F.interpolate(X4, 2, recompute_scale_factor=True),
        "interpolate",
    ),
    Refusal("upsample: no size", lambda: F.upsample(X4), "upsample"),
    Refusal("upsample_nearest: size 0", lambda: F.upsample_nearest(X4, 0), "upsample_nearest"),
    Refusal("upsample_bilinear: signal", lambda: F.upsample_bilinear(X3, 2), "upsample_bilinear"),
    Refusal(
        "grid_sample: integer input", lambda: F.grid_sample(X4.astype(int), GRID), "grid_sample"
    ),
    Refusal(
        "grid_sample: other dtype",
        lambda: F.grid_sample(X4, GRID.astype(np.float32)),
        "grid_sample",
    ),
    Refusal("grid_sample: signal", lambda: F.grid_sample(X3, GRID), "grid_sample"),
    Refusal(
        "grid_sample: 3 coordinates",
        lambda: F.grid_sample(X4, np.zeros((1, 2, 2, 3))),
        "grid_sample",
    ),
    Refusal("grid_sample: batch", lambda: F.grid_sample(X4, np.zeros((2, 2, 2, 2))), "grid_sample"),
    Refusal("grid_sample: image grid of a volume", lambda: F.grid_sample(X5, GRID), "grid_sample"),
    Refusal("grid_sample: mode", lambda: F.grid_sample(X4, GRID, "linear"), "grid_sample"),
    Refusal(
        "grid_sample: padding",
        lambda: F.grid_sample(X4, GRID, padding_mode="circular"),
        "grid_sample",
    ),
    Refusal(
        "grid_sample: align_corners",
        lambda: F.grid_sample(X4, GRID, align_corners=unchecked("yes")),
        "grid_sample",
    ),
    Refusal(
        "grid_sample: bicubic volume",
        lambda: F.grid_sample(X5, np.zeros((1, 2, 2, 2, 3)), "bicubic"),
        "grid_sample",
    ),
    Refusal(
        "grid_sample: no pixels", lambda: F.grid_sample(np.ones((1, 2, 0, 4)), GRID), "grid_sample"
    ),
    Refusal(
        "affine_grid: integers",
        lambda: F.affine_grid(THETA.astype(int), (1, 1, 2, 2)),
        "affine_grid",
    ),
    Refusal("affine_grid: batch", lambda: F.affine_grid(THETA, (2, 1, 2, 2)), "affine_grid"),
    Refusal("affine_grid: volume", lambda: F.affine_grid(THETA, (1, 1, 2, 2, 2)), "affine_grid"),
    Refusal("affine_grid: size of 3", lambda: F.affine_grid(THETA, (1, 2, 2)), "affine_grid"),
    Refusal("affine_grid: size 0", lambda: F.affine_grid(THETA, (1, 1, 0, 2)), "affine_grid"),
    Refusal(
        "affine_grid: align_corners",
        lambda: F.affine_grid(THETA, (1, 1, 2, 2), unchecked(2)),
        "affine_grid",
    ),
    Refusal("Upsample: no size", lambda: nn.Upsample(), "Upsample"),
    Refusal("Upsample: size and factor", lambda: nn.Upsample(2, 2.0), "Upsample"),
    Refusal("Upsample: mode", lambda: nn.Upsample(2, mode="cubic"), "Upsample"),
    Refusal("Upsample: corners", lambda: nn.Upsample(2, align_corners=True), "Upsample"),
    Refusal("Upsample: lanczos", lambda: nn.Upsample(2, mode="lanczos"), "Upsample"),
    Refusal(
        "Upsample: recomputed size",
        lambda: nn.Upsample(2, recompute_scale_factor=True),
        "Upsample",
    ),
    Refusal("Upsample: signal", lambda: nn.Upsample(2, mode="bilinear")(X3), "interpolate"),
    Refusal(
        "UpsamplingNearest2d: no size", lambda: nn.UpsamplingNearest2d(), "UpsamplingNearest2d"
    ),
    Refusal(
        "UpsamplingBilinear2d: factor 0",
        lambda: nn.UpsamplingBilinear2d(scale_factor=0),
        "UpsamplingBilinear2d",
    ),
]
