"""Activations: on every kink and bound, far out, at infinities, and on ordinary numbers."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import torch_ref.nn.step
from parity_tests.harness.check import TORCH_DTYPE
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, const
from scratch import nn
from scratch.nn import functional as F

RELU = "Nair & Hinton 2010, ICML"
RELU6 = "Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10"
LEAKY = "Maas, Hannun & Ng 2013, ICML"
PRELU = "He, Zhang, Ren & Sun 2015, arXiv:1502.01852"
RRELU = "Xu, Wang, Chen & Li 2015, arXiv:1505.00853"
THRESHOLD = "Hahnloser et al. 2000, Nature 405"
STEP = "McCulloch & Pitts 1943, Bulletin of Mathematical Biophysics 5"
HARDTANH = "Collobert 2004, Large scale machine learning"
MOBILENET = "Howard et al. 2019, arXiv:1905.02244"
SHRINK = "Donoho & Johnstone 1994, Biometrika 81(3)"
LOGISTIC = "Rumelhart, Hinton & Williams 1986, Nature 323"
SOFTPLUS = "Dugas, Bengio, Belisle, Nadeau & Garcia 2001, NIPS 13"
SOFTSIGN = "Turian, Bergstra & Bengio 2009, NAACL"
TORCH = "torch.nn (Paszke et al. 2019, arXiv:1912.01703)"
ELU = "Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289"
SELU = "Klambauer, Unterthiner, Mayr & Hochreiter 2017, arXiv:1706.02515"
CELU = "Barron 2017, arXiv:1704.07483"
SILU = "Elfwing, Uchibe & Doya 2018, arXiv:1702.03118"
MISH = "Misra 2019, arXiv:1908.08681"
GELU = "Hendrycks & Gimpel 2016, arXiv:1606.08415"
GLU = "Dauphin, Fan, Auli & Grangier 2017, arXiv:1612.08083"
SOFTMAX = "Bridle 1990, NIPS 2"

SHORT = "vectors shorter than the steps of differences"
NO_INTERVAL = "the identity, but at 0 torch has slope 0"
FAR = "differences of infinities do not exist"
ROUNDED = "torch's kernel has a constant rounded to float32 in float64 too, and so has this one"
INF = float("inf")
NAN = float("nan")


def beyond(d: Draw, *values: float) -> Array:
    """Normals, and values that no kink has: infinities, NaN."""
    return np.concatenate([d.normal(11), d.array([*values, 0.0, -0.0])])


def rrelu(
    input: torch.Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    noise: torch.Tensor | None = None,
) -> torch.Tensor:
    """torch's function, and with given slopes its formula, since torch has no such argument."""
    if noise is None or not training:
        return torch.nn.functional.rrelu(input, lower, upper, training, inplace)
    return torch.where(input > 0, input, input * noise)


def softened(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A torch function of softmax's kind without its warning, `dtype` as NumPy names it."""

    def quiet(
        input: torch.Tensor, dim: int | None = None, dtype: Any | None = None
    ) -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(
                input, dim, dtype=None if dtype is None else TORCH_DTYPE[np.dtype(dtype)]
            )

    return quiet


def elementwise(
    *points: float, far: tuple[float, ...] = (INF, -INF, NAN), without: str = "", **kwargs: Any
) -> tuple[Case, ...]:
    """Cases of a function of single entries: on its kinks, at every scale, of every shape.

    `without` names the one whose gradients would all be zero.
    """
    cases = (
        Case("kinks", lambda d: Call(d.kinks(*points), **kwargs)),
        Case("ordinary", lambda d: Call(d.normal(3, 4, 5), **kwargs)),
        Case("tiny", lambda d: Call(d.normal(3, 5, scale=1e-7), **kwargs)),
        Case("huge", lambda d: Call(d.normal(3, 5, scale=1e4), **kwargs)),
        Case("0-d", lambda d: Call(d.array(0.7), **kwargs)),
        Case("empty", lambda d: Call(d.normal(2, 0, 3), **kwargs)),
        Case("not finite", lambda d: Call(beyond(d, *far), **kwargs), surrogate=FAR),
    )
    return tuple(case for case in cases if case.name != without)


def variant(
    name: str, *points: float, surrogate: str = "", zero: bool = False, **kwargs: Any
) -> Case:
    """The kinks again, under other options."""
    return Case(
        name,
        lambda d: Call(d.kinks(*points), **kwargs),
        surrogate=surrogate,
        zero=("input",) if zero else (),
    )


def beyond_range(power: float = 1.0, **kwargs: Any) -> Case:
    """Where a product of the numbers themselves, or a power of them, overflows."""

    def call(d: Draw) -> Call:
        x = 8.0 * (float(np.finfo(d.dtype).max) / 8.0) ** power
        return Call(d.array([x, -x, 1.0, -1.0] * 16), **kwargs)

    return Case(f"x^{1 / power:.0f} overflows", call, surrogate=FAR)


def tail(low: float, high: float, **kwargs: Any) -> Case:
    """Where the result is small, so that only a small relative error passes."""
    return Case("tail", lambda d: Call(d.uniform(low, high, 3, 5), **kwargs))


def layer(cls: Any, torchs: Any, source: str, *points: float, **options: Call) -> Layer:
    """A module on the kinks, for each of its constructors' calls."""
    cases = tuple(
        Case(name, lambda d: Call(d.kinks(*points)), init=init)
        for name, init in {"defaults": Call(), **options}.items()
    )
    return Layer(cls.__name__, cls, torchs, cases, source)


def softmax_cases() -> tuple[Case, ...]:
    """Cases of softmax, log_softmax and softmin."""

    def masked(d: Draw) -> Array:
        x = d.normal(3, 5)
        x[0, 1] = x[1, :4] = -INF
        return x

    def rows(d: Draw) -> Array:
        return np.stack([d.normal(5), d.array([-INF] * 5), d.array([0, INF, 1, -INF, 2])])

    def ties(d: Draw) -> Array:
        return d.array([[2.0, 2, 2, -1], [0, 0, -0.0, 0], [1e4, 1e4, -1e4, 0]])

    def close_together(d: Draw) -> Array:
        return 2e4 + d.uniform(0, 0.01, 3, 4)

    def no_axis(*shape: int) -> Callable[[Draw], Call]:
        return lambda d: Call(d.normal(*shape))

    return (
        Case("last axis", lambda d: Call(d.normal(3, 5), -1)),
        Case("first axis", lambda d: Call(d.normal(3, 5), dim=0)),
        Case("middle axis", lambda d: Call(d.normal(2, 4, 3), 1)),
        Case("axis from the end", lambda d: Call(d.normal(2, 4, 3, 5), -3)),
        *(Case(f"no axis, {n}-d", no_axis(*(3, 4, 5, 2)[:n])) for n in range(1, 5)),
        Case("scale 100", lambda d: Call(d.normal(3, 5, scale=100), 1)),
        Case("tiny", lambda d: Call(d.normal(3, 5, scale=1e-7), 1)),
        Case("far from 0", lambda d: Call(1e4 + d.normal(3, 5), 1)),
        Case("ties", lambda d: Call(ties(d), 1)),
        Case("one entry", lambda d: Call(d.normal(3, 1), 1), zero=("input",)),
        Case("0-d", lambda d: Call(d.array(0.7), 0), zero=("input",)),
        Case("0-d, no axis", lambda d: Call(d.array(-0.7)), zero=("input",)),
        Case("no rows", lambda d: Call(d.normal(0, 5), 1)),
        Case("no entries", lambda d: Call(d.normal(3, 0), 1)),
        Case("masked entries", lambda d: Call(masked(d), 1), surrogate=FAR),
        Case("rows that are NaN", lambda d: Call(rows(d), 1), surrogate=FAR),
        Case("NaN", lambda d: Call(np.stack([beyond(d, NAN), d.normal(14)]), 1), surrogate=FAR),
        Case("to float64", lambda d: Call(d.normal(3, 5), 1, dtype=np.float64)),
        Case(
            "to float32",
            lambda d: Call(close_together(d), 1, dtype=np.float32),
            c=64 * 2.0**29,
            reason="both sides compute in float32",
            surrogate="the cast to float32 is a staircase",
        ),
    )


def normalize_cases() -> tuple[Case, ...]:
    """Cases of normalize."""

    def short(d: Draw) -> Array:
        x = d.normal(4, 3)
        x[0] = 0
        x[1] *= 1e-13
        x[2, 1] = 0
        return x

    def exactly_eps(d: Draw) -> Array:
        return d.array([[0.5, 0.0, 0.0], [0.0, -0.5, 0.0], [3.0, 4.0, 0.0]])

    def of_norm(p: float) -> Callable[[Draw], Call]:
        return lambda d: Call(d.normal(3, 5), p=p)

    def short_of_norm(p: float) -> Callable[[Draw], Call]:
        return lambda d: Call(short(d), p)

    cases = [
        Case("defaults", lambda d: Call(d.normal(3, 5))),
        Case("channels", lambda d: Call(d.normal(2, 3, 4, 5))),
        Case("last axis", lambda d: Call(d.normal(2, 3, 4), dim=-1)),
        Case("two axes", lambda d: Call(d.normal(2, 3, 4), dim=(1, 2))),
        Case("one vector", lambda d: Call(d.normal(5), dim=0)),
        Case("large eps", lambda d: Call(d.normal(4, 5), eps=2.0)),
        Case("norm equals eps", lambda d: Call(exactly_eps(d), eps=0.5)),
        Case("huge", lambda d: Call(d.normal(3, 5, scale=1e4))),
        Case("empty", lambda d: Call(d.normal(0, 5))),
        Case("ties", lambda d: Call(d.array([[2.0, -2, 1], [1, 1, 1]]), p=INF)),
        Case("ties below", lambda d: Call(d.array([[2.0, -1, 1], [1, 1, 3]]), p=-INF)),
    ]
    for p in (0.0, 0.5, 1.0, 1.5, 3.0, INF):
        cases.append(Case(f"p {p}", of_norm(p)))
    for p in (1.0, 1.5, 2.0, 3.0, INF):
        cases.append(Case(f"short vectors, p {p}", short_of_norm(p), surrogate=SHORT))
    return tuple(cases)


ENTRIES: list[Op | Layer] = [
    Op(
        "relu",
        F.relu,
        torch.nn.functional.relu,
        elementwise(0.0),
        source=RELU,
    ),
    Op(
        "leaky_relu",
        F.leaky_relu,
        torch.nn.functional.leaky_relu,
        (
            *elementwise(0.0),
            variant("slope 0.2", 0.0, negative_slope=0.2),
            variant("slope 0", 0.0, negative_slope=0.0),
            variant("falling", 0.0, negative_slope=-0.5),
            variant("steep", 0.0, negative_slope=2),
            beyond_range(negative_slope=2),
            Case("slope 0 at -inf", lambda d: Call(beyond(d, INF, -INF), 0.0), surrogate=FAR),
        ),
        source=LEAKY,
    ),
    Op(
        "prelu",
        F.prelu,
        torch.nn.functional.prelu,
        (
            Case("kinks", lambda d: Call(d.kinks(0.0), d.normal(7))),
            Case("shared, kinks", lambda d: Call(d.kinks(0.0), d.normal(1))),
            Case("channels", lambda d: Call(d.normal(2, 3, 4, 5), d.normal(3))),
            Case("as many rows as channels", lambda d: Call(d.normal(3, 3, 3), d.normal(3))),
            Case("shared", lambda d: Call(d.normal(2, 3, 4), d.normal(1))),
            Case("0-d weight", lambda d: Call(d.normal(3, 4), d.array(0.3))),
            Case("slope 0", lambda d: Call(d.normal(3, 4), d.array([0.0, 1.0, -1.0, 0.5]))),
            Case("1-d input", lambda d: Call(d.normal(6), d.normal(1))),
            Case("0-d input", lambda d: Call(d.array(-0.7), d.normal(1))),
            Case("one channel", lambda d: Call(d.normal(3, 1, 2), d.normal(1))),
            Case("empty", lambda d: Call(d.normal(0, 3), d.normal(3)), zero=("weight",)),
            Case("tiny", lambda d: Call(d.normal(4, 3, scale=1e-7), d.normal(3))),
            Case("huge", lambda d: Call(d.normal(4, 3, scale=1e4), d.normal(3))),
            Case(
                "not finite",
                lambda d: Call(beyond(d, INF, -INF)[:, None] * d.array([1.0, 1.0]), d.normal(2)),
                surrogate=FAR,
            ),
        ),
        source=PRELU,
    ),
    Op(
        "rrelu",
        F.rrelu,
        rrelu,
        (
            *elementwise(0.0),
            variant("other bounds", 0.0, lower=-0.2, upper=0.7),
            Case(
                "given slopes, kinks",
                lambda d: Call(d.kinks(0.0), training=True, noise=const(d.uniform(0.1, 0.5, 4, 7))),
            ),
            Case(
                "given slopes",
                lambda d: Call(
                    d.normal(3, 4), 0.1, 0.5, True, noise=const(d.uniform(0.1, 0.5, 3, 4))
                ),
            ),
            Case(
                "given slopes in evaluation",
                lambda d: Call(d.normal(3, 4), noise=const(d.uniform(0.1, 0.5, 3, 4))),
            ),
        ),
        source=RRELU,
    ),
    Op(
        "threshold",
        F.threshold,
        torch.nn.functional.threshold,
        (
            *elementwise(0.1, without="tiny", threshold=0.1, value=-3.0),
            variant("value above the threshold", 0.5, 20.0, threshold=0.5, value=20.0),
            variant("in between", -1.0, 0.0, threshold=-1.0, value=0.0),
        ),
        source=THRESHOLD,
    ),
    Op(
        "step",
        F.step,
        torch_ref.nn.step.step,
        (
            variant("kinks", 0.0, zero=True),
            variant("one at 0", 0.0, at_zero=1.0, zero=True),
            variant("one half at 0", 0.0, at_zero=0.5, zero=True),
            Case("0-d", lambda d: Call(d.array(0.0), 0.25), zero=("input",)),
            Case("empty", lambda d: Call(d.normal(2, 0))),
            Case(
                "not finite",
                lambda d: Call(beyond(d, INF, -INF, NAN), 0.5),
                zero=("input",),
                surrogate=FAR,
            ),
        ),
        source=STEP,
    ),
    Op(
        "relu6",
        F.relu6,
        torch.nn.functional.relu6,
        elementwise(0.0, 6.0, far=(INF, -INF), without="huge"),
        source=RELU6,
    ),
    Op(
        "hardtanh",
        F.hardtanh,
        torch.nn.functional.hardtanh,
        (
            *elementwise(-1.0, 1.0, far=(INF, -INF), without="huge"),
            variant("other bounds", -0.1, 0.7, min_val=-0.1, max_val=0.7),
            variant("both positive", 2, 3, min_val=2, max_val=3),
            variant("half open", 1.0, min_val=-INF, max_val=1.0),
            variant("a point", 1.0, min_val=1.0, max_val=1.0, zero=True),
        ),
        source=HARDTANH,
    ),
    Op(
        "hardsigmoid",
        F.hardsigmoid,
        torch.nn.functional.hardsigmoid,
        tuple(
            Case(c.name, c.make, surrogate=c.surrogate or ROUNDED)
            for c in elementwise(-3.0, 3.0, without="huge")
        ),
        source=MOBILENET,
    ),
    Op(
        "hardswish",
        F.hardswish,
        torch.nn.functional.hardswish,
        elementwise(-3.0, 0.0, 3.0, far=(INF, -INF)),
        source=MOBILENET,
    ),
    Op(
        "hardshrink",
        F.hardshrink,
        torch.nn.functional.hardshrink,
        (
            variant("kinks", -0.5, 0.5),
            variant("a third", -1 / 3, 1 / 3, lambd=1 / 3),
            variant("zero", 0.0, lambd=0.0, surrogate=NO_INTERVAL),
            variant("negative", 0.0, lambd=-1.0),
            Case("ordinary", lambda d: Call(d.normal(3, 4, 5))),
            Case("0-d", lambda d: Call(d.array(-0.7))),
            Case("empty", lambda d: Call(d.normal(2, 0))),
            Case("infinite", lambda d: Call(beyond(d, INF, -INF)), surrogate=FAR),
        ),
        source=SHRINK,
    ),
    Op(
        "softshrink",
        F.softshrink,
        torch.nn.functional.softshrink,
        (
            variant("kinks", -0.5, 0.5),
            variant("a third", -1 / 3, 1 / 3, lambd=1 / 3),
            variant("zero", 0.0, lambd=0, surrogate=NO_INTERVAL),
            Case("ordinary", lambda d: Call(d.normal(3, 4, 5))),
            Case("0-d", lambda d: Call(d.array(-0.7))),
            Case("empty", lambda d: Call(d.normal(2, 0))),
            Case("infinite", lambda d: Call(beyond(d, INF, -INF)), surrogate=FAR),
        ),
        source=SHRINK,
    ),
    Op(
        "sigmoid",
        F.sigmoid,
        torch.sigmoid,
        (
            *elementwise(0.0, without="huge"),
            variant("far out", -700.0, -100.0, -88.0, 40.0, 88.0),
            tail(-40, -15),
        ),
        source=LOGISTIC,
    ),
    Op(
        "tanh",
        F.tanh,
        torch.tanh,
        elementwise(0.0, without="huge"),
        source=LOGISTIC,
    ),
    Op(
        "logsigmoid",
        F.logsigmoid,
        torch.nn.functional.logsigmoid,
        (
            *elementwise(0.0),
            variant("far out", -700.0, -100.0, -40.0, 17.0, 40.0, 88.0),
            tail(15, 40),
        ),
        source=LOGISTIC,
    ),
    Op(
        "softplus",
        F.softplus,
        torch.nn.functional.softplus,
        (
            *elementwise(0.0, 20.0),
            variant("beta and threshold", 0.0, 5.0, beta=2, threshold=10),
            variant("an early jump", 0.0, 5.0, beta=0.1, threshold=0.5),
            variant("negative beta", 0.0, -5.0, beta=-2.0, threshold=10.0),
            variant("negative threshold", -1.0, threshold=-1.0),
            beyond_range(beta=2),
            tail(-40, -15),
        ),
        source=SOFTPLUS,
    ),
    Op(
        "softsign",
        F.softsign,
        torch.nn.functional.softsign,
        elementwise(0.0, without="huge"),
        source=SOFTSIGN,
    ),
    Op(
        "tanhshrink",
        F.tanhshrink,
        torch.nn.functional.tanhshrink,
        elementwise(0.0, without="tiny"),
        source=TORCH,
    ),
    Op(
        "elu",
        F.elu,
        torch.nn.functional.elu,
        (
            *elementwise(0.0, far=(INF, -INF)),
            variant("alpha 0.7", 0.0, alpha=0.7),
            variant("alpha 2", 0.0, alpha=2),
            variant("alpha 0", 0.0, alpha=0.0),
            variant("negative alpha", 0.0, alpha=-0.7),
        ),
        source=ELU,
    ),
    Op(
        "selu",
        F.selu,
        torch.nn.functional.selu,
        (*elementwise(0.0, far=(INF, -INF)), beyond_range()),
        source=SELU,
    ),
    Op(
        "celu",
        F.celu,
        torch.nn.functional.celu,
        (
            *elementwise(0.0, far=(INF, -INF)),
            variant("alpha 2", 0.0, alpha=2),
            variant("alpha 0.5", 0.0, alpha=0.5),
            variant("alpha 0.7", 0.0, alpha=0.7, surrogate=ROUNDED),
            Case("negative alpha", lambda d: Call(d.normal(3, 5), alpha=-1.5)),
        ),
        source=CELU,
    ),
    Op(
        "silu",
        F.silu,
        torch.nn.functional.silu,
        (
            *elementwise(0.0),
            variant("far out", -700.0, -100.0, -88.0, 40.0, 88.0),
            tail(-40, -15),
        ),
        source=SILU,
    ),
    Op(
        "mish",
        F.mish,
        torch.nn.functional.mish,
        (
            *elementwise(0.0),
            variant("far out", -700.0, -100.0, -88.0, 18.0, 40.0, 88.0),
            tail(-40, -15),
        ),
        source=MISH,
    ),
    Op(
        "gelu",
        F.gelu,
        torch.nn.functional.gelu,
        (
            *elementwise(0.0, -4.0, 4.0, far=(NAN,)),
            *(
                Case(f"{c.name}, tanh", c.make, surrogate=c.surrogate)
                for c in elementwise(0.0, -4.0, 4.0, approximate="tanh")
            ),
            Case("where the two differ", lambda d: Call(d.uniform(-4, 4, 5, 9))),
            beyond_range(approximate="tanh"),
            beyond_range(1 / 3, approximate="tanh"),
            variant("far out", -40.0, -10.0, -6.0, 6.0, 10.0, 40.0),
        ),
        source=GELU,
    ),
    Op(
        "glu",
        F.glu,
        torch.nn.functional.glu,
        (
            Case("last axis", lambda d: Call(d.normal(3, 8))),
            Case("first axis", lambda d: Call(d.normal(4, 5), 0)),
            Case("middle axis", lambda d: Call(d.normal(2, 6, 3), dim=1)),
            Case("from the end", lambda d: Call(d.normal(2, 6, 3, 5), -3)),
            Case("kinks", lambda d: Call(d.kinks(0.0), 0)),
            Case("one pair", lambda d: Call(d.normal(2))),
            Case("empty", lambda d: Call(d.normal(0, 4))),
            Case("no pairs", lambda d: Call(d.normal(3, 0))),
            Case("tiny", lambda d: Call(d.normal(3, 4, scale=1e-7))),
            Case(
                "not finite",
                lambda d: Call(np.stack([beyond(d, INF, NAN), d.normal(15)], -1)),
                surrogate=FAR,
            ),
            Case(
                "infinite gates",
                lambda d: Call(d.array([[-INF, -INF], [INF, INF], [1.0, -INF], [-INF, 0.5]])),
                surrogate=FAR,
            ),
        ),
        source=GLU,
    ),
    Op(
        "softmax",
        F.softmax,
        softened(torch.nn.functional.softmax),
        softmax_cases(),
        source=SOFTMAX,
    ),
    Op(
        "log_softmax",
        F.log_softmax,
        softened(torch.nn.functional.log_softmax),
        softmax_cases(),
        source=SOFTMAX,
    ),
    Op(
        "softmin",
        F.softmin,
        softened(torch.nn.functional.softmin),
        softmax_cases(),
        source=SOFTMAX,
    ),
    Op(
        "normalize",
        F.normalize,
        torch.nn.functional.normalize,
        normalize_cases(),
        source=TORCH,
    ),
    layer(nn.ReLU, torch.nn.ReLU, RELU, 0.0),
    layer(nn.ReLU6, torch.nn.ReLU6, RELU6, 0.0, 6.0),
    layer(nn.LeakyReLU, torch.nn.LeakyReLU, LEAKY, 0.0, slope=Call(0.2), falling=Call(-1)),
    Layer(
        "PReLU",
        nn.PReLU,
        torch.nn.PReLU,
        (
            Case("one slope", lambda d: Call(d.kinks(0.0))),
            Case("a slope each", lambda d: Call(d.kinks(0.0)), init=Call(7)),
            Case("channels", lambda d: Call(d.normal(2, 3, 4, 5)), init=Call(3, 0.1)),
            Case("1-d input", lambda d: Call(d.normal(6)), init=Call(init=-0.5)),
        ),
        PRELU,
    ),
    Layer(
        "RReLU",
        nn.RReLU,
        torch.nn.RReLU,
        (
            Case("kinks", lambda d: Call(d.kinks(0.0)), seeded=True),
            Case("bounds", lambda d: Call(d.normal(3, 4, 5)), init=Call(-0.1, 0.7), seeded=True),
            Case("one point", lambda d: Call(d.normal(3, 4)), init=Call(0.2, 0.2), seeded=True),
        ),
        RRELU,
    ),
    Layer(
        "Threshold",
        nn.Threshold,
        torch.nn.Threshold,
        (
            Case("above", lambda d: Call(d.kinks(0.1)), init=Call(0.1, 20)),
            Case("below", lambda d: Call(d.kinks(-1.0)), init=Call(-1.0, -2.0)),
        ),
        THRESHOLD,
    ),
    Layer(
        "Step",
        nn.Step,
        torch_ref.nn.step.Step,
        (
            Case("defaults", lambda d: Call(d.kinks(0.0)), zero=("input",)),
            Case("half", lambda d: Call(d.kinks(0.0)), Call(0.5), zero=("input",)),
        ),
        STEP,
    ),
    layer(nn.Hardtanh, torch.nn.Hardtanh, HARDTANH, -2.0, -1.0, 1.0, 0.5, other=Call(-2, 0.5)),
    Layer(
        "Hardsigmoid",
        nn.Hardsigmoid,
        torch.nn.Hardsigmoid,
        (Case("kinks", lambda d: Call(d.kinks(-3.0, 3.0)), surrogate=ROUNDED),),
        MOBILENET,
    ),
    layer(nn.Hardswish, torch.nn.Hardswish, MOBILENET, -3.0, 3.0),
    layer(nn.Hardshrink, torch.nn.Hardshrink, SHRINK, -0.5, 0.5, 0.2, other=Call(0.2)),
    layer(nn.Softshrink, torch.nn.Softshrink, SHRINK, -0.5, 0.5, 0.2, other=Call(lambd=0.2)),
    layer(nn.Sigmoid, torch.nn.Sigmoid, LOGISTIC, 0.0),
    layer(nn.Tanh, torch.nn.Tanh, LOGISTIC, 0.0),
    layer(nn.LogSigmoid, torch.nn.LogSigmoid, LOGISTIC, 0.0),
    layer(nn.Softplus, torch.nn.Softplus, SOFTPLUS, 20.0, 5.0, other=Call(2, 10)),
    layer(nn.Softsign, torch.nn.Softsign, SOFTSIGN, 0.0),
    layer(nn.Tanhshrink, torch.nn.Tanhshrink, TORCH, 0.0),
    layer(nn.ELU, torch.nn.ELU, ELU, 0.0, alpha=Call(0.7)),
    layer(nn.SELU, torch.nn.SELU, SELU, 0.0),
    layer(nn.CELU, torch.nn.CELU, CELU, 0.0, alpha=Call(alpha=2.0)),
    layer(nn.SiLU, torch.nn.SiLU, SILU, 0.0),
    layer(nn.Mish, torch.nn.Mish, MISH, 0.0),
    layer(nn.GELU, torch.nn.GELU, GELU, 0.0, tanh=Call("tanh"), exact=Call(approximate="none")),
    Layer(
        "GLU",
        nn.GLU,
        torch.nn.GLU,
        (
            Case("defaults", lambda d: Call(d.normal(3, 6))),
            Case("channels", lambda d: Call(d.normal(2, 4, 3)), init=Call(1)),
        ),
        GLU,
    ),
    *(
        Layer(
            name,
            getattr(nn, name),
            getattr(torch.nn, name),
            (
                Case("last axis", lambda d: Call(d.normal(3, 5)), init=Call(-1)),
                Case("channels", lambda d: Call(d.normal(2, 4, 3)), init=Call(dim=1)),
            ),
            SOFTMAX,
        )
        for name in ("Softmax", "LogSoftmax", "Softmin")
    ),
    Layer(
        "Softmax2d",
        nn.Softmax2d,
        torch.nn.Softmax2d,
        (
            Case("a batch", lambda d: Call(d.normal(2, 4, 3, 5))),
            Case("one image", lambda d: Call(d.normal(4, 3, 5))),
        ),
        SOFTMAX,
    ),
]

UNARY = [e.name for e in ENTRIES if isinstance(e, Op) and e.name not in ("prelu", "threshold")]
X = np.zeros((2, 3))
INPLACE = (
    *("ReLU", "ReLU6", "LeakyReLU", "RReLU", "Hardtanh", "Hardsigmoid", "Hardswish"),
    *("ELU", "SELU", "CELU", "SiLU", "Mish"),
)


def refusal(what: str, name: str, *args: Any, **kwargs: Any) -> Refusal:
    """A call of the function or the class of that name."""
    return Refusal(
        f"{name}: {what}",
        lambda: (getattr(F, name, None) or getattr(nn, name))(*args, **kwargs),
        name,
    )


REFUSALS = [
    *(refusal("integer input", name, np.arange(4)) for name in UNARY),
    *(refusal("a list", name, [1.0, 2.0]) for name in UNARY),
    *(refusal("half precision", name, np.zeros(4, np.float16)) for name in UNARY),
    *(refusal("inplace in words", name, inplace="yes") for name in INPLACE),
    refusal("slope in words", "leaky_relu", X, "steep"),
    refusal("NaN as slope", "leaky_relu", X, NAN),
    refusal("integer input", "prelu", np.arange(4), np.ones(1)),
    refusal("two dtypes", "prelu", X, np.ones(1, np.float32)),
    refusal("number as weight", "prelu", X, 0.25),
    refusal("number of slopes", "prelu", X, np.ones(2)),
    refusal("2-d weight", "prelu", X, np.ones((1, 3))),
    refusal("slopes for a 1-d input", "prelu", np.ones(3), np.ones(3)),
    refusal("bounds in disorder", "rrelu", X, 0.5, 0.1),
    refusal("an infinite bound", "rrelu", X, 0.5, INF),
    refusal("training in words", "rrelu", X, training="yes"),
    refusal("a seed as generator", "rrelu", X, training=True, generator=0),
    refusal("shape of noise", "rrelu", X, training=True, noise=np.ones(3)),
    refusal("dtype of noise", "rrelu", X, training=True, noise=np.ones((2, 3), np.float32)),
    refusal("integer input", "threshold", np.arange(3), 0.5, 1.0),
    refusal("threshold in words", "threshold", X, "low", 1.0),
    refusal("NaN as value", "threshold", X, 0.5, NAN),
    refusal("value in words", "step", X, "half"),
    refusal("bounds in disorder", "hardtanh", X, 1.0, -1.0),
    refusal("bound in words", "hardtanh", X, "low"),
    refusal("lambd in words", "hardshrink", X, "small"),
    refusal("negative lambd", "softshrink", X, -0.1),
    refusal("infinite lambd", "softshrink", X, INF),
    refusal("beta 0", "softplus", X, 0),
    refusal("threshold in words", "softplus", X, 1.0, "late"),
    refusal("alpha in words", "elu", X, "one"),
    refusal("alpha 0", "celu", X, 0.0),
    refusal("approximate", "gelu", X, "sigmoid"),
    refusal("odd size", "glu", X),
    refusal("0-d input", "glu", np.array(1.0)),
    refusal("axis", "glu", X, 2),
    *(refusal("axis", name, X, 2) for name in ("softmax", "log_softmax", "softmin")),
    *(refusal("half an axis", name, X, 0.5) for name in ("softmax", "log_softmax", "softmin")),
    *(
        refusal("half precision", name, X, 1, dtype=np.float16)
        for name in ("softmax", "log_softmax", "softmin")
    ),
    refusal("dtype in words", "softmax", X, 1, dtype="large"),
    refusal("axis", "normalize", np.ones(3)),
    refusal("an axis twice", "normalize", X, dim=(1, -1)),
    refusal("p in words", "normalize", X, "two"),
    refusal("eps in words", "normalize", X, eps="small"),
    refusal("shape of out", "normalize", X, out=np.ones(3)),
    refusal("slope in words", "LeakyReLU", "steep"),
    refusal("negative number of slopes", "PReLU", -1),
    refusal("half a slope", "PReLU", 0.5),
    refusal("start in words", "PReLU", 1, "quarter"),
    refusal("bounds in disorder", "RReLU", 0.5, 0.1),
    refusal("a seed as generator", "RReLU", generator=0),
    refusal("threshold in words", "Threshold", "low", 1.0),
    refusal("value in words", "Threshold", 1.0, "low"),
    refusal("value in words", "Step", "half"),
    refusal("equal bounds", "Hardtanh", 1.0, 1.0),
    refusal("older names in disorder", "Hardtanh", min_value=2.0),
    refusal("lambd in words", "Hardshrink", "small"),
    refusal("negative lambd", "Softshrink", -0.1),
    refusal("beta 0", "Softplus", 0),
    refusal("threshold in words", "Softplus", 1.0, "late"),
    refusal("alpha in words", "ELU", "one"),
    refusal("alpha 0", "CELU", 0),
    refusal("approximate", "GELU", "sigmoid"),
    refusal("half an axis", "GLU", 0.5),
    *(refusal("half an axis", name, 0.5) for name in ("Softmax", "LogSoftmax", "Softmin")),
    Refusal("Softmax2d: axes of input", lambda: nn.Softmax2d()(X), "Softmax2d"),
    Refusal("Softmax2d: integer input", lambda: nn.Softmax2d()(np.arange(3)), "Softmax2d"),
    Refusal("gelu backward: shape", lambda: F.gelu(X)[1](np.ones(3)), "gelu backward"),
    Refusal(
        "softmax backward: dtype", lambda: F.softmax(X, 1)[1](np.ones((2, 3), "f")), "softmax back"
    ),
]
