"""Pooling: maxima, means and norms of windows that slide, adapt or are drawn, and unpooling."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Const, Layer, Op, Refusal, const, unchecked
from scratch import nn
from scratch.nn import functional as F

MAX = "Ranzato, Huang, Boureau & LeCun 2007, CVPR"
AVG = "LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11)"
LP = "Sermanet, Chintala & LeCun 2012, arXiv:1204.3968"
ADAPTIVE = "He, Zhang, Ren & Sun 2014, arXiv:1406.4729 (bins whose number is given)"
UNPOOL = "Zeiler, Taylor & Fergus 2011, ICCV"
FRACTIONAL = "Graham 2014, arXiv:1412.6071"

DIMS = (1, 2, 3)
# An odd and an even size, all distinct; N and C are 2 and 3.
SIZES = {1: (7,), 2: (6, 7), 3: (4, 5, 6)}
TIES = "ties and infinities have no differences"
INF, NAN = float("inf"), float("nan")


def maps(d: Draw, dims: int, *lead: int) -> Array:
    """Normal feature maps (2, 3, ...), or with another N and C."""
    return d.normal(*(lead or (2, 3)), *SIZES[dims])


def ties(d: Draw, dims: int) -> Array:
    """Maps of few distinct numbers."""
    return d.array(d.integers(-1, 2, 2, 3, *SIZES[dims]))


def special(d: Draw, dims: int, *values: float) -> Array:
    """Maps of few distinct numbers, among them the given ones."""
    x = ties(d, dims)
    for value in values:
        x = np.where(d.mask(0.15, *x.shape), d.array(value), x)
    return x


def per_axis(dims: int, *values: int) -> tuple[int, ...]:
    """A tuple with an entry for each axis, all distinct."""
    return values[:dims]


Make = Callable[..., Call]


def case(name: str, dims: int, *args: Any, make: Any = maps, **kwargs: Any) -> Case:
    """A case over the maps that `make` draws, with these arguments."""
    surrogate = "" if make is maps else TIES
    return Case(name, lambda d: Call(make(d, dims), *args, **kwargs), surrogate=surrogate)


def shapes(dims: int, *args: Any, **kwargs: Any) -> tuple[Case, ...]:
    """Without N, of one sample, of one channel, of none."""

    def make(lead: tuple[int, ...], d: Draw) -> Call:
        return Call(maps(d, dims, *lead), *args, **kwargs)

    return tuple(
        Case(name, partial(make, lead))
        for name, lead in (
            ("no batch axis", (3,)),
            ("one sample, one channel", (1, 1)),
            ("no samples", (0, 3)),
        )
    )


def max_cases(dims: int) -> tuple[Case, ...]:
    several = per_axis(dims, 2, 3, 1)
    inf = partial(special_of, INF, -INF)
    only = partial(special_of, -INF)
    return (
        case("kernel 2", dims, 2),
        case("kernel 1", dims, 1),
        case("ties", dims, 2, return_indices=True, make=ties),
        case("overlapping ties", dims, 3, 1, make=ties, return_indices=True),
        case("stride above the kernel", dims, 2, 3),
        case("stride below the kernel, padding", dims, 3, 2, 1),
        case("each axis its own", dims, several, per_axis(dims, 3, 1, 2), per_axis(dims, 1, 1, 0)),
        case("tuples of one", dims, (2,), (1,), (1,), (2,)),
        case("empty stride", dims, 2, ()),
        case("dilation", dims, 2, 1, 1, 2),
        case("dilation, apart", dims, 2, 4, 0, 2, True),
        case("each axis dilated its own", dims, 2, 1, 0, per_axis(dims, 2, 1, 3)),
        case("ceil", dims, 2, 2, 0, 1, True),
        case("ceil and padding", dims, 3, 2, 1, 1, True, make=ties, return_indices=True),
        case("ceil, last window dropped", dims, 2, 3, 1, ceil_mode=True, return_indices=True),
        case("indices", dims, 3, 2, 1, return_indices=True),
        case("indices, dilation", dims, 2, 1, 1, 2, return_indices=True),
        case("the whole map", dims, SIZES[dims], return_indices=True),
        case("NaN", dims, 3, 1, 1, make=partial(special_of, NAN), return_indices=True),
        case("infinities", dims, 2, 1, 1, make=inf, return_indices=True),
        case("only -inf in windows", dims, 2, 1, 1, make=only, return_indices=True),
        *shapes(dims, 2, return_indices=True),
    )


def special_of(*values: Any) -> Array:
    """`special` with the values first, so that they can be bound."""
    *given, d, dims = values
    return special(d, dims, *given)


def avg_cases(dims: int) -> tuple[Case, ...]:
    several = per_axis(dims, 2, 3, 1)
    cases = (
        case("kernel 2", dims, 2),
        case("kernel 1", dims, 1),
        case("stride above the kernel", dims, 2, 3),
        case("padding counts", dims, 3, 1, 1),
        case("padding does not count", dims, 3, 1, 1, count_include_pad=False),
        case("each axis its own", dims, several, per_axis(dims, 3, 1, 2), per_axis(dims, 1, 1, 0)),
        case("tuples of one", dims, (2,), (1,), (1,)),
        case("empty stride", dims, 2, ()),
        case("ceil", dims, 2, 2, 0, True),
        case("ceil, overhang does not count", dims, 4, 3, 1, True),
        case("ceil, nothing but the input counts", dims, 4, 3, 1, True, False),
        case("ceil, last window dropped", dims, 2, 3, 1, True),
        case("the whole map", dims, SIZES[dims]),
        case("infinities", dims, 2, 1, make=partial(special_of, INF)),
        case("NaN", dims, 2, 1, make=partial(special_of, NAN)),
        *shapes(dims, 2, 2, 1),
    )
    if dims == 1:
        return cases
    return (
        *cases,
        case("divisor", dims, 2, 1, 1, divisor_override=3),
        case("negative divisor", dims, 2, divisor_override=-2),
        case("divisor, ceil", dims, 4, 3, 1, True, False, 5),
    )


def signed_kinks(d: Draw, dims: int) -> Array:
    """Maps with a window of zeros, so that a norm has its kink."""
    x = maps(d, dims)
    x[..., :3] = 0.0
    return x


def whole_numbers(d: Draw, dims: int) -> Array:
    """Small whole numbers, the sums of whose cubes may be 0 or negative."""
    return special(d, dims)


def positive(d: Draw, dims: int) -> Array:
    """Maps above 0."""
    return np.abs(maps(d, dims)) + d.array(0.1)


def lp_cases(dims: int) -> tuple[Case, ...]:
    several: Any = 3 if dims == 1 else per_axis(dims, 2, 3, 1)
    return (
        case("p 2", dims, 2, 2),
        case("p 2.0, stride", dims, 2.0, 3, 2),
        case("p 1", dims, 1, 2),
        case("p 1, windows of sum 0", dims, 1, 2, 1, make=whole_numbers),
        Case("p 3", lambda d: Call(positive(d, dims), 3, 2, 1)),
        case("p 3, NaN of negatives", dims, 3, 2, 1, make=whole_numbers),
        case("p 2.5, NaN of negatives", dims, 2.5, 2, make=partial(special_of, NAN)),
        Case("p 2.5", lambda d: Call(positive(d, dims), 2.5, 2)),
        Case("p 0.5", lambda d: Call(positive(d, dims), 0.5, 2)),
        Case("p -1", lambda d: Call(positive(d, dims), -1.0, 3, 2)),
        case("p inf", dims, INF, 2),
        case("p -inf", dims, -INF, 3, 2),
        case("p inf, ties", dims, INF, 2, make=ties),
        case("p -inf, ties", dims, -INF, 2, make=ties),
        case("p 2, windows of zeros", dims, 2, 2, make=signed_kinks),
        case("each axis its own", dims, 2, several, per_axis(dims, 3, 1, 2)),
        case("ceil", dims, 2, 2, 2, True),
        case("ceil, p 4", dims, 4, 3, 2, ceil_mode=True),
        case("ceil, p inf", dims, INF, 2, 2, True),
        *shapes(dims, 2, 2),
    )


def adaptive_cases(dims: int, *more: Any) -> tuple[Case, ...]:
    several = per_axis(dims, 3, 2, 5)
    cases = (
        case("one bin", dims, 1, *more),
        case("three bins", dims, 3, *more),
        case("five bins, overlapping", dims, 5, *more),
        case("each axis its own", dims, several, *more),
        case("a list", dims, list(several), *more),
        case("the input's size", dims, SIZES[dims], *more),
        case("more bins than inputs", dims, 9, *more),
        case("twice the inputs", dims, tuple(2 * n for n in SIZES[dims]), *more),
        case("half the inputs", dims, tuple(max(n // 2, 1) for n in SIZES[dims]), *more),
        case("NaN", dims, 4, *more, make=partial(special_of, NAN)),
        case("infinities", dims, 4, *more, make=partial(special_of, INF)),
        case("NaN, one bin", dims, 1, *more, make=partial(special_of, NAN)),
        *shapes(dims, 3, *more),
    )
    if dims == 1:
        return cases
    kept = per_axis(dims, 2, unchecked(None), 3)
    return (
        *cases,
        case("one axis as it is", dims, kept, *more),
        case("one bin on one axis", dims, per_axis(dims, 1, 3, 2), *more),
        case("all axes as they are", dims, (None,) * dims, *more),
    )


def adaptive_max_cases(dims: int) -> tuple[Case, ...]:
    both = partial(special_of, -INF, NAN)
    return (
        case("maxima alone", dims, 3),
        *adaptive_cases(dims, True),
        case("ties", dims, 4, True, make=ties),
        case("ties, one bin", dims, 1, True, make=ties),
        case("ties, overlapping", dims, 5, return_indices=True, make=ties),
        case("-inf and NaN", dims, 3, True, make=both),
    )


def pooled(d: Draw, dims: int, *lead: int, size: Any = None, **options: Any) -> tuple[Array, Array]:
    """Values, and positions that max pooling of a map gives."""
    x = torch.from_numpy(d.normal(*(lead or (2, 3)), *(size or SIZES[dims])))
    pool = getattr(torch.nn.functional, f"max_pool{dims}d")
    y, indices = pool(x, options.pop("kernel", 2), return_indices=True, **options)
    return d.normal(*y.shape), indices.numpy()


SHARED = "of values for one place the last stays, but torch gives all of them its gradient"


def even(dims: int) -> tuple[int, ...]:
    """Sizes that windows of 2 fill."""
    return tuple(n - n % 2 for n in SIZES[dims])


def odd(dims: int) -> tuple[int, ...]:
    """Sizes that windows of 3 at every second place fill, with padding 1."""
    return tuple(n + 1 - n % 2 for n in SIZES[dims])


def unpool_cases(dims: int) -> tuple[Case, ...]:
    sizes = SIZES[dims]
    larger = [n + 1 for n in even(dims)]

    def make(*args: Any, lead: tuple[int, ...] = (2, 3), **options: Any) -> Make:
        options = {"size": even(dims), **options}
        return lambda d: Call(*pooled(d, dims, *lead, **options), *args)

    def repeated(d: Draw) -> Call:
        x, indices = pooled(d, dims, size=even(dims))
        return Call(x, np.minimum(indices, 2), 2)

    padded = make(3, 2, 1, size=odd(dims), kernel=3, stride=2, padding=1)
    return (
        Case("kernel 2", make(2)),
        Case("stride above the kernel", make(1, 2, size=odd(dims), kernel=1, stride=2)),
        Case("stride below the kernel", make(2, 1, kernel=2, stride=1), surrogate=SHARED),
        Case("padding", padded, surrogate=SHARED),
        Case("output size", make(2, None, 0, sizes, size=sizes)),
        Case("whole output size", make(2, None, 0, (2, 3, *sizes), size=sizes)),
        Case("larger output", make(2, 2, 0, larger)),
        Case("places many times", repeated, surrogate=SHARED),
        Case("no batch axis", make(2, lead=(3,))),
        Case("one sample, one channel", make(2, lead=(1, 1))),
        Case("no samples", make(2, lead=(0, 3))),
    )


def fractional_cases(dims: int) -> tuple[Case, ...]:
    def make(*args: Any, lead: tuple[int, ...] = (2, 3), values: Any = None, **kwargs: Any) -> Make:
        def call(d: Draw) -> Call:
            x = values(d, dims) if values else maps(d, dims, *lead)
            n = lead[0] if len(lead) == 2 else 1
            return Call(x, *args, _random_samples=samples(d, n, lead[-1], dims), **kwargs)

        return call

    o = 3 if dims == 2 else 2
    ratios, outputs = (0.5, 0.6, 0.7)[-dims:], (2, 4) if dims == 2 else (2, 1, 5)
    nan, inf = partial(special_of, NAN), partial(special_of, -INF)

    def more(d: Draw) -> Call:
        return Call(maps(d, dims), 2, o, _random_samples=samples(d, 4, 3, dims))

    return (
        Case("output size", make(2, o)),
        Case("indices", make(2, o, return_indices=True)),
        Case("each axis its own", make(per_axis(dims, 2, 3, 1), outputs, None, True)),
        Case("ratios", make(2, output_ratio=ratios, return_indices=True)),
        Case("kernel 1", make(1, o, return_indices=True)),
        Case("one output", make(2, 1, return_indices=True)),
        Case("kernel 3", make(3, per_axis(dims, 1, 2, 3), None, True)),
        Case("ties", make(2, o, None, True, values=ties), surrogate=TIES),
        Case("NaN", make(2, o, None, True, values=nan), surrogate=TIES),
        Case("-inf", make(2, o, None, True, values=inf), surrogate=TIES),
        Case("samples for more inputs", more),
        Case("no batch axis", make(2, o, lead=(3,), return_indices=True)),
        Case("one sample, one channel", make(2, 2, lead=(1, 1), return_indices=True)),
        Case("no samples", make(2, 2, lead=(0, 3), return_indices=True)),
    )


def samples(d: Draw, n: int, channels: int, dims: int) -> Const:
    """Numbers in [0, 1) far from where the places of windows jump."""
    steps = d.integers(0, 16, n, channels, dims)
    return const(d.array((steps + 0.37) / 16))


def op(name: str, cases: tuple[Case, ...], source: str) -> Op:
    return Op(name, getattr(F, name), getattr(torch.nn.functional, name), cases, source)


def layer(name: str, dims: int, source: str, *inits: Call, make: Any = maps) -> Layer:
    """A module under several constructor calls."""
    cases = tuple(
        Case(str(i), lambda d: Call(make(d, dims)), init=init) for i, init in enumerate(inits)
    )
    return Layer(name, getattr(nn, name), getattr(torch.nn, name), cases, source)


def unpool_layer(dims: int) -> Layer:
    name = f"MaxUnpool{dims}d"
    options = {"kernel": 3, "stride": 2, "padding": 1}
    cases = (
        Case("kernel", lambda d: Call(*pooled(d, dims, size=even(dims))), init=Call(2)),
        Case(
            "all arguments",
            lambda d: Call(*pooled(d, dims, size=odd(dims), **options)),
            init=Call(3, stride=2, padding=1),
            surrogate=SHARED,
        ),
        Case(
            "output size",
            lambda d: Call(*pooled(d, dims), output_size=(2, 3, *SIZES[dims])),
            init=Call(2, 2),
        ),
    )
    return Layer(name, getattr(nn, name), getattr(torch.nn, name), cases, UNPOOL)


def fractional_layer(dims: int) -> Layer:
    name = f"FractionalMaxPool{dims}d"
    u = samples(Draw(name, np.float32), 2, 3, dims)

    def forward(d: Draw) -> Call:
        return Call(maps(d, dims))

    inits = {
        "given samples": Call(2, 2, _random_samples=u),
        "size": Call(2, output_size=2),
        "ratio": Call(2, output_ratio=0.6),
        "each axis": Call(per_axis(dims, 2, 3, 1), output_size=per_axis(dims, 2, 1, 4)),
        "indices": Call(2, output_size=2, return_indices=True),
    }
    cases = tuple(Case(what, forward, init=init, seeded=True) for what, init in inits.items())
    return Layer(name, getattr(nn, name), getattr(torch.nn, name), cases, FRACTIONAL)


ENTRIES = [
    *(op(f"max_pool{n}d", max_cases(n), MAX) for n in DIMS),
    *(op(f"avg_pool{n}d", avg_cases(n), AVG) for n in DIMS),
    *(op(f"lp_pool{n}d", lp_cases(n), LP) for n in DIMS),
    *(op(f"adaptive_avg_pool{n}d", adaptive_cases(n), ADAPTIVE) for n in DIMS),
    *(op(f"adaptive_max_pool{n}d", adaptive_max_cases(n), ADAPTIVE) for n in DIMS),
    *(op(f"max_unpool{n}d", unpool_cases(n), UNPOOL) for n in DIMS),
    *(op(f"fractional_max_pool{n}d", fractional_cases(n), FRACTIONAL) for n in DIMS[1:]),
    *(
        layer(
            f"MaxPool{n}d",
            n,
            MAX,
            Call(2),
            Call(3, stride=2, padding=1),
            Call(per_axis(n, 2, 3, 1), per_axis(n, 1, 2, 3), padding=per_axis(n, 1, 1, 0)),
            Call(2, 1, 1, 2, True, True),
            Call(2, dilation=2, ceil_mode=True),
        )
        for n in DIMS
    ),
    *(
        layer(
            f"AvgPool{n}d",
            n,
            AVG,
            Call(2),
            Call(3, stride=2, padding=1),
            Call(per_axis(n, 2, 3, 1), per_axis(n, 1, 2, 3), padding=per_axis(n, 1, 1, 0)),
            Call(3, 2, 1, ceil_mode=True, count_include_pad=False),
            *([Call(2, divisor_override=3)] if n > 1 else []),
        )
        for n in DIMS
    ),
    *(
        layer(
            f"LPPool{n}d",
            n,
            LP,
            Call(2, 2),
            Call(2.0, 3, stride=2),
            Call(4, 2, ceil_mode=True),
            Call(INF, 2),
        )
        for n in DIMS
    ),
    *(
        layer(
            f"AdaptiveAvgPool{n}d",
            n,
            ADAPTIVE,
            Call(1),
            Call(4),
            *([Call((None, *per_axis(n - 1, 3, 2)))] if n > 1 else []),
        )
        for n in DIMS
    ),
    *(
        layer(
            f"AdaptiveMaxPool{n}d",
            n,
            ADAPTIVE,
            Call(1),
            Call(4, return_indices=True),
            *([Call((None, *per_axis(n - 1, 3, 2)))] if n > 1 else []),
        )
        for n in DIMS
    ),
    *(unpool_layer(n) for n in DIMS),
    *(fractional_layer(n) for n in DIMS[1:]),
]

# Refusals


def zeros(dims: int, *lead: int) -> Array:
    """Maps of zeros."""
    return np.zeros((*lead, *SIZES[dims]))


WINDOWED = {  # what a call needs besides the input, and after the kernel's size
    **{f"max_pool{n}d": (n, ()) for n in DIMS},
    **{f"avg_pool{n}d": (n, ()) for n in DIMS},
    **{f"lp_pool{n}d": (n, (2,)) for n in DIMS},
}
ADAPTING = {f"adaptive_{kind}_pool{n}d": n for kind in ("avg", "max") for n in DIMS}
LAYERS = {
    **{f"MaxPool{n}d": ((), n) for n in DIMS},
    **{f"AvgPool{n}d": ((), n) for n in DIMS},
    **{f"LPPool{n}d": ((2,), n) for n in DIMS},
    **{f"MaxUnpool{n}d": ((), n) for n in DIMS},
}


def refused(name: str, what: str, *args: Any, **kwargs: Any) -> Refusal:
    """A call of the function or class `name`."""
    target = getattr(F, name, None) or getattr(nn, name)
    return Refusal(f"{name}: {what}", lambda: target(*args, **kwargs), name)


def unpooling(dims: int) -> list[Refusal]:
    name = f"max_unpool{dims}d"
    x = np.zeros((2, 3) + (2,) * dims)
    i = np.zeros(x.shape, int)
    wrong = np.full(x.shape, 4**dims)
    return [
        refused(name, "position after the end", x, wrong, 2),
        refused(name, "negative position", x, i - 1, 2),
        refused(name, "floating positions", x, x, 2),
        refused(name, "positions of another shape", x, i[:1], 2),
        refused(name, "integer input", i, i, 2),
        refused(name, "axes of input", x[0, 0], i[0, 0], 2),
        refused(name, "kernel 0", x, i, 0),
        refused(name, "output too large", x, i, 2, None, 0, (6,) * dims),
        refused(name, "output too small", x, i, 2, None, 0, (2,) * dims),
        refused(name, "output of other axes", x, i, 2, None, 0, (4,) * (dims + 1)),
        refused(name, "an int as output", x, i, 2, None, 0, 4),
        refused(name, "output below 0", np.zeros((1, 3) + (1,) * dims), i[:1], 2, 1, 2),
    ]


def fractional(dims: int) -> list[Refusal]:
    name, cls = f"fractional_max_pool{dims}d", f"FractionalMaxPool{dims}d"
    x, u = zeros(dims, 2, 3), np.zeros((2, 3, dims))
    return [
        refused(name, "integer input", x.astype(int), 2, 2),
        refused(name, "axes of input", x[0, 0], 2, 2),
        refused(name, "no size", x, 2),
        refused(name, "too large an output", x, 2, 7),
        refused(name, "negative output", x, 2, -1),
        refused(name, "kernel 0", x, 0, 2),
        refused(name, "ratio 1", x, 2, None, 1.0),
        refused(name, "ratio 0", x, 2, None, 0.0),
        refused(name, "ratio in words", x, 2, None, "half"),
        refused(name, "too many ratios", x, 2, None, (0.5,) * (dims + 1)),
        refused(name, "return_indices in words", x, 2, 2, None, "yes"),
        refused(name, "samples of another dtype", x, 2, 2, _random_samples=u.astype("f")),
        refused(name, "samples of another shape", x, 2, 2, _random_samples=u[..., :1]),
        refused(name, "samples for fewer inputs", x, 2, 2, _random_samples=u[:1]),
        refused(name, "samples not finite", x, 2, 2, _random_samples=u + NAN),
        refused(name, "a seed as generator", x, 2, 2, generator=0),
        refused(cls, "no size", 2),
        refused(cls, "both sizes", 2, 2, 0.5),
        refused(cls, "ratio above 1", 2, None, 1.5),
        refused(cls, "kernel 0", 0, 2),
        refused(cls, "return_indices in words", 2, 2, return_indices="yes"),
        refused(cls, "a seed as generator", 2, 2, generator=0),
    ]


REFUSALS = [
    *(
        refused(name, what, x, *extra, *args)
        for name, (n, extra) in WINDOWED.items()
        for what, x, *args in (
            ("integer input", zeros(n, 2, 3).astype(int), 2),
            ("a list", [[1.0]], 2),
            ("axes of input", zeros(n, 2, 3, 4), 2),
            ("an axis of size 0", zeros(n, 2, 3)[..., :0], 1),
            ("no channels", zeros(n, 2, 0), 2),
            ("kernel 0", zeros(n, 2, 3), 0),
            ("kernel 1.5", zeros(n, 2, 3), 1.5),
            ("kernel in words", zeros(n, 2, 3), "2"),
            ("too many kernels", zeros(n, 2, 3), (2,) * (n + 1)),
            ("kernel larger than the input", zeros(n, 2, 3), 8),
            ("stride 0", zeros(n, 2, 3), 2, 0),
            ("too many strides", zeros(n, 2, 3), 2, (1,) * (n + 1)),
        )
    ),
    *(
        refused(f"{kind}_pool{n}d", what, zeros(n, 2, 3), 3, 1, padding)
        for kind in ("max", "avg")
        for n in DIMS
        for what, padding in (
            ("padding above half the kernel", 2),
            ("negative padding", -1),
            ("too many paddings", (1,) * (n + 1)),
        )
    ),
    *(
        refused(f"max_pool{n}d", what, zeros(n, 2, 3), 2, **kwargs)
        for n in DIMS
        for what, kwargs in (
            ("dilation 0", {"dilation": 0}),
            ("dilation beyond the input", {"dilation": 7}),
            ("ceil_mode in words", {"ceil_mode": "yes"}),
            ("return_indices in words", {"return_indices": "yes"}),
        )
    ),
    *(
        refused(f"avg_pool{n}d", what, zeros(n, 2, 3), 2, **kwargs)
        for n in DIMS
        for what, kwargs in (
            ("ceil_mode in words", {"ceil_mode": "yes"}),
            ("count_include_pad in words", {"count_include_pad": "yes"}),
            *((("divisor 0", {"divisor_override": 0}),) if n > 1 else ()),
            *((("divisor 1.5", {"divisor_override": 1.5}),) if n > 1 else ()),
        )
    ),
    refused("avg_pool3d", "kernel above the input, in spite of padding", zeros(3, 2, 3), 6, 1, 3),
    *(
        refused(f"lp_pool{n}d", what, zeros(n, 2, 3), p, 2)
        for n in DIMS
        for what, p in (("p 0", 0), ("p in words", "inf"), ("p not a number", NAN))
    ),
    *(
        refused(name, what, x, o)
        for name, n in ADAPTING.items()
        for what, x, o in (
            ("integer input", zeros(n, 2, 3).astype(int), 2),
            ("axes of input", zeros(n, 2, 3, 4), 2),
            ("an axis of size 0", zeros(n, 2, 3)[..., :0], 2),
            ("negative size", zeros(n, 2, 3), -1),
            ("size 1.5", zeros(n, 2, 3), 1.5),
            ("too many sizes", zeros(n, 2, 3), (2,) * (n + 1)),
        )
    ),
    *(
        refused(f"adaptive_max_pool{n}d", "return_indices in words", zeros(n, 2, 3), 2, "yes")
        for n in DIMS
    ),
    *(
        refused(name, what, *extra, *args)
        for name, (extra, n) in LAYERS.items()
        for what, *args in (
            ("kernel 0", 0),
            ("kernel in words", "2"),
            ("too many kernels", (2,) * (n + 1)),
            ("stride 0", 2, 0),
        )
    ),
    *(
        refused(f"{kind}{n}d", "padding above half the kernel", 3, 2, 2)
        for kind in ("MaxPool", "AvgPool", "MaxUnpool")
        for n in DIMS
    ),
    *(refused(f"MaxPool{n}d", "dilation 0", 2, dilation=0) for n in DIMS),
    *(refused(f"AvgPool{n}d", "divisor 0", 2, divisor_override=0) for n in DIMS[1:]),
    *(refused(f"LPPool{n}d", "p 0", 0, 2) for n in DIMS),
    *(
        refused(f"{kind}{n}d", "ceil_mode in words", *extra, 2, ceil_mode="yes")
        for kind, extra in (("MaxPool", ()), ("AvgPool", ()), ("LPPool", (2,)))
        for n in DIMS
    ),
    *(
        refused(f"{kind}{n}d", what, size)
        for kind in ("AdaptiveAvgPool", "AdaptiveMaxPool")
        for n in DIMS
        for what, size in (("negative size", -1), ("too many sizes", (2,) * (n + 1)))
    ),
    *(refusal for n in DIMS for refusal in unpooling(n)),
    *(refusal for n in DIMS[1:] for refusal in fractional(n)),
]
