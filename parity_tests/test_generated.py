"""Shapes, options and values that nobody chose: hypothesis draws them, the harness compares.

Each example is a case of a catalog entry, so the rules are those of `parity_tests.harness.compare`.
Where terms cancel, their magnitude is computed from the example.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scratch
from parity_tests.catalog import ENTRIES
from parity_tests.catalog.loss import manhattan
from parity_tests.harness import twin
from parity_tests.harness.check import build_twins, check_layer, check_op, strict_warnings
from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, const
from scratch import nn
from scratch.nn import functional as F
from scratch.nn.reduction import REDUCTIONS, resolve

OPS = {entry.name: entry for entry in ENTRIES if isinstance(entry, Op)}
LAYERS = {entry.name: entry for entry in ENTRIES if isinstance(entry, Layer)}
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
INF, NAN = float("inf"), float("nan")
Shape = tuple[int, ...]
Strategy = st.SearchStrategy[Any]


def examples(number: int) -> settings:
    """The same examples in every run."""
    return settings(max_examples=number, deadline=None)


@dataclass(frozen=True)
class Values:
    """An array that is drawn in the dtype of the run: a method of `Draw`, and what it is given."""

    kind: str
    shape: Shape
    bounds: tuple[float, ...] = ()
    floating: bool = True
    scale: float = 1.0
    constant: bool = False

    def __call__(self, d: Draw) -> Any:
        """The array, marked where it is not differentiated."""
        array = np.asarray(getattr(d, self.kind)(*self.bounds, *self.shape))
        array = d.array(self.scale * array) if self.floating else array
        return const(array) if self.constant else array


@dataclass(frozen=True)
class Classes:
    """Class indices, some of them the ignored one."""

    shape: Shape
    number: int
    ignored: int
    first_counts: bool = False

    def __call__(self, d: Draw) -> Array:
        """The indices."""
        classes = d.integers(0, self.number, *self.shape)
        left_out = np.asarray(d.mask(0.3, *self.shape))
        if self.first_counts:
            left_out.flat[0] = False
        return np.where(left_out, self.ignored, classes)


def normal(shape: Shape, **options: Any) -> Values:
    return Values("normal", shape, **options)


def uniform(low: float, high: float, shape: Shape, **options: Any) -> Values:
    return Values("uniform", shape, (low, high), **options)


def integers(low: int, high: int, shape: Shape, floating: bool = False) -> Values:
    return Values("integers", shape, (low, high), floating)


def numbers(shape: Shape) -> Strategy:
    """Normals of several scales, and whole numbers, which tie and stand on kinks."""
    scaled = [normal(shape, scale=scale) for scale in (1.0, 1e-7, 30.0)]
    return st.sampled_from([integers(-2, 3, shape, True), *scaled])


class Terms(TypedDict, total=False):
    """Magnitudes of terms that cancel, as `Case` takes them."""

    cancels: float
    output_cancels: float


def agree(
    name: str,
    arguments: Mapping[str, Any],
    dtype: Any,
    seed: int,
    wrap: Callable[..., Any] | None = None,
    **cancels: Unpack[Terms],
) -> None:
    """Output and gradients are torch's.

    Args:
        name: of the entry.
        arguments: by name; `Values` among them are drawn.
        dtype: of the run.
        seed: of the draws, the cotangent's too.
        wrap: applied to the torch side.
        cancels: magnitudes of terms that cancel, as `Case` takes them.
    """
    entry = (
        OPS[name] if wrap is None else dataclasses.replace(OPS[name], torch=wrap(OPS[name].torch))
    )
    case = Case(f"drawn from {seed}", functools.partial(call_of, arguments), **cancels)
    with strict_warnings():
        found = check_op(entry, case, np.dtype(dtype), "cpu", thorough=False)
    failed = [str(c) for c in found if not c.passed]
    assert not failed, "\n".join(failed)


def call_of(arguments: Mapping[str, Any], d: Draw) -> Call:
    """The call, its `Values` drawn."""
    return Call(**{k: v(d) if isinstance(v, Values | Classes) else v for k, v in arguments.items()})


def drawn(name: str, arguments: Mapping[str, Any], dtype: Any, seed: int) -> dict[str, Any]:
    """The arguments that `agree` draws."""
    return twin.plain(call_of(arguments, Draw(f"{name}/drawn from {seed}", dtype))).kwargs


SEEDS = st.integers(0, 999)
SHAPES = st.one_of(
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=4),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
BOOLS = st.booleans()


# Functions of single entries

FACTORS = st.floats(-3, 3, width=32)
NONZERO = FACTORS.filter(lambda factor: abs(factor) > 1e-3)
ELEMENTWISE: dict[str, dict[str, Strategy]] = {
    "relu": {},
    "leaky_relu": {"negative_slope": FACTORS},
    "rrelu": {"lower": st.floats(-1, 0.125, width=32), "upper": st.floats(0.125, 2, width=32)},
    "threshold": {"threshold": FACTORS, "value": FACTORS},
    "step": {"at_zero": FACTORS},
    "relu6": {},
    "hardtanh": {"min_val": st.floats(-3, 0, width=32), "max_val": st.floats(0, 3, width=32)},
    "hardsigmoid": {},
    "hardswish": {},
    "hardshrink": {"lambd": FACTORS},
    "softshrink": {"lambd": st.floats(0, 3, width=32)},
    "sigmoid": {},
    "tanh": {},
    "logsigmoid": {},
    "softplus": {"beta": NONZERO, "threshold": st.floats(-5, 30, width=32)},
    "softsign": {},
    "tanhshrink": {},
    "elu": {"alpha": FACTORS},
    "selu": {},
    "celu": {"alpha": NONZERO},
    "silu": {},
    "mish": {},
    "gelu": {"approximate": st.sampled_from(["none", "tanh"])},
}
BOUNDS = {"relu6": 6.0, "hardtanh": 1.0, "hardsigmoid": 3.0, "hardswish": 3.0}
# Beyond this share of the largest number torch's own intermediate products overflow.
LARGEST = {"hardswish": 1 / 8, "gelu": 1 / 4}


def entries(name: str, dtype: Any, options: Mapping[str, Any]) -> Strategy:
    """Any number, preferably special or at a kink."""
    info = np.finfo(dtype)
    points = [v for v in options.values() if isinstance(v, float)] + [BOUNDS.get(name, 0.0)]
    kinks = [dtype(sign * point) for point in points for sign in (-1, 1)]
    near = [np.nextafter(kink, dtype(to)) for kink in kinks for to in (-INF, INF)]
    sizes = [info.smallest_subnormal, info.tiny, 1e-30, 1e-7, 1e-3, 1.0, 30.0, 1e4]
    largest = float(info.max) * LARGEST.get(name, 1.0)
    # One kernel of torch gives NaN for gelu(inf) in float32, another inf.
    far = [NAN, largest, -largest] + ([] if name == "gelu" else [INF, -INF])
    width = 8 * dtype().itemsize
    return st.one_of(
        st.floats(-8, 8, width=width),
        st.sampled_from([float(value) for value in (*kinks, *near)]),
        st.sampled_from([float(dtype(sign * size)) for size in sizes for sign in (-1, 1)]),
        st.sampled_from(far),
        st.floats(-largest, largest, width=width),
    )


def in_vectors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Every entry goes through torch's vector code: its scalar code, for the rest of an array that
    does not fill a vector, treats NaN otherwise, and scratch follows the former."""

    def padded(input: torch.Tensor, **options: Any) -> torch.Tensor:
        flat = torch.cat([input.flatten(), input.new_ones(-input.numel() % 64)])
        return function(flat, **options)[: input.numel()].reshape(input.shape)

    return padded


def largest(x: Array) -> float:
    """The largest finite magnitude."""
    sizes = np.abs(x[np.isfinite(x)].astype(np.float64))
    return float(sizes.max(initial=0.0))


def terms(name: str, x: Array) -> Terms:
    """What cancels in an elementwise function, or in its derivative."""
    if name == "tanh":  # 1 - y^2
        return {"cancels": 1.0}
    if name == "tanhshrink":  # x - tanh x; torch differentiates it term by term
        return {"cancels": 1.0, "output_cancels": largest(x)}
    if name == "gelu":  # 1 + erf, or 1 + tanh, far left
        return {"cancels": 1.0, "output_cancels": largest(x)}
    if name == "softsign":  # torch differentiates the quotient term by term
        return {"cancels": largest(1 / (1 + np.abs(x)))}
    return {}


@DTYPES
@pytest.mark.parametrize("name", ELEMENTWISE)
@examples(60)
@given(data=st.data())
def test_elementwise(name: str, dtype: Any, data: st.DataObject) -> None:
    options = data.draw(st.fixed_dictionaries(ELEMENTWISE[name]))
    x = data.draw(hnp.arrays(dtype, SHAPES, elements=entries(name, dtype, options)))
    agree(name, {"input": x, **options}, dtype, data.draw(SEEDS), in_vectors, **terms(name, x))


# Functions along axes

ALONG_AN_AXIS = ("softmax", "log_softmax", "softmin", "glu")


@st.composite
def along_an_axis(draw: Any, name: str, dtype: Any) -> dict[str, Any]:
    least = 1 if name == "glu" else 0
    shape = list(draw(hnp.array_shapes(min_dims=least, max_dims=4, min_side=1, max_side=4)))
    if draw(st.integers(0, 9)) == 0 and shape:
        shape[0] = 0
    axis = draw(st.integers(-max(len(shape), 1), max(len(shape), 1) - 1))
    if name == "glu":
        shape[axis] *= 2
        return {"input": draw(arrays(shape, dtype)), "dim": axis}
    to = draw(st.sampled_from([None, np.float32, np.float64])) if dtype == np.float32 else None
    return {
        "input": draw(arrays(shape, dtype)),
        "dim": draw(st.sampled_from([axis, None])),
        "dtype": to,
    }


def arrays(shape: Any, dtype: Any) -> Strategy:
    """Ordinary numbers, ties, masked and far away ones."""
    special = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 100.0, 1e4, -1e4, -INF, INF, NAN])
    ordinary = st.floats(-4, 4, width=32)
    finite = st.one_of(ordinary, ordinary, st.sampled_from([0.0, 1.0, 100.0, -1e4]))
    return st.sampled_from([finite, st.one_of(ordinary, special)]).flatmap(
        lambda elements: hnp.arrays(dtype, tuple(shape), elements=elements)
    )


@DTYPES
@pytest.mark.parametrize("name", ALONG_AN_AXIS)
@examples(100)
@given(data=st.data())
def test_along_an_axis(name: str, dtype: Any, data: st.DataObject) -> None:
    arguments = data.draw(along_an_axis(name, dtype))
    # y (dy - sum dy y), dy - e^y sum dy: the terms are dy's, as many as the axis is long
    longest = float(max((1, *arguments["input"].shape)))
    cancels: Terms = {} if name == "glu" else {"cancels": longest}
    agree(name, arguments, dtype, data.draw(SEEDS), **cancels)


# Losses

OLDER = st.sampled_from([None, True, False])
MARGINS = st.sampled_from([1.0, 2, 0.3])


@st.composite
def reduction(draw: Any, more: tuple[str, ...] = (), older: bool = True) -> dict[str, Any]:
    """The reduction, or now and then the older arguments."""
    chosen = {"reduction": draw(st.sampled_from([*REDUCTIONS, *more]))}
    if older and draw(st.integers(0, 3)) == 0:
        chosen |= {"size_average": draw(OLDER), "reduce": draw(OLDER)}
    return chosen


@st.composite
def pairs(draw: Any, low: int = 0) -> tuple[Shape, Shape]:
    """Two shapes, equal or to be broadcast."""
    if draw(BOOLS):
        shape = draw(SHAPES if low == 0 else hnp.array_shapes(max_dims=3, max_side=4))
        return shape, shape
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=3, max_side=4)
    shapes: tuple[Shape, Shape] = draw(drawn).input_shapes
    return shapes


@st.composite
def regression(draw: Any, name: str) -> dict[str, Any]:
    x, t = draw(pairs())
    arguments = {"input": draw(numbers(x)), "target": draw(numbers(t))}
    arguments |= draw(reduction(older=name != "huber_loss"))
    if name == "smooth_l1_loss":
        arguments["beta"] = draw(st.sampled_from([0, 0.3, 1.0, 2.0]))
    if name == "huber_loss":
        arguments["delta"] = draw(st.sampled_from([0.3, 1.0, 2.0]))
    if name != "smooth_l1_loss" and draw(BOOLS):
        arguments["weight"] = uniform(0.1, 2, x)
    return arguments


@st.composite
def poisson(draw: Any) -> dict[str, Any]:
    x, t = draw(pairs())
    log_input, full = draw(BOOLS), draw(BOOLS)
    counts = [] if full else [integers(0, 5, t)]  # torch takes their logarithm in float32
    return {
        "input": draw(numbers(x)) if log_input else uniform(0, 3, x),
        "target": draw(st.sampled_from([uniform(0, 5, t), *counts])),
        "log_input": log_input,
        "full": full,
        "eps": draw(st.sampled_from([1e-8, 0.5])),
        **draw(reduction()),
    }


@st.composite
def gaussian(draw: Any) -> dict[str, Any]:
    x = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    axis = draw(st.integers(0, len(x) - 1))
    shapes = [x, x[:-1], (*x[:axis], 1, *x[axis + 1 :])]
    variances = [uniform(0, 2, shape) for shape in shapes if shape != x or shape is x]
    return {
        "input": draw(numbers(x)),
        "target": draw(numbers(x)),
        "var": draw(st.sampled_from([*variances, 0.7])),
        "full": draw(BOOLS),
        "eps": draw(st.sampled_from([1e-6, 0.4])),
        **draw(reduction(older=False)),
    }


@st.composite
def divergence(draw: Any) -> dict[str, Any]:
    x, t = draw(pairs())
    log_target = draw(BOOLS)
    positive = [uniform(0.01, 1, t), integers(0, 3, t, True)]
    return {
        "input": draw(numbers(x)),
        "target": draw(numbers(t)) if log_target else draw(st.sampled_from(positive)),
        "log_target": log_target,
        **draw(reduction(("batchmean",))),
    }


@st.composite
def classification(draw: Any, name: str) -> dict[str, Any]:
    n, c = draw(st.sampled_from([4, 3, 2, 1, 0])), draw(st.sampled_from([3, 4, 2, 5, 1]))
    rest = draw(st.sampled_from([(), (3,), (2, 3), (1, 1)]))
    batched = draw(st.sampled_from([True, True, True, False]))
    x, t = ((n, c, *rest), (n, *rest)) if batched else ((c,), ())
    arguments: dict[str, Any] = {"input": draw(numbers(x)), **draw(reduction())}
    if name == "cross_entropy":
        arguments["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 1.0]))
    if name == "cross_entropy" and draw(BOOLS):
        arguments["target"] = draw(st.sampled_from([uniform(0, 1, x), normal(x)]))
        weight = uniform(0.2, 2, (c,))
    else:
        ignored = draw(st.sampled_from([-100, -1, 0, c - 1, c + 3]))
        arguments |= {"target": Classes(t, c, ignored), "ignore_index": ignored}
        weight = draw(
            st.sampled_from([uniform(0.2, 2, (c,), constant=True), integers(0, 3, (c,), True)])
        )
        weight = dataclasses.replace(weight, constant=True)
    return {**arguments, "weight": draw(st.sampled_from([None, weight]))}


@st.composite
def factor(draw: Any, shape: Shape) -> Values | None:
    """A constant factor that broadcasts to a shape, or none."""
    kept = draw(st.integers(0, len(shape)))
    part = tuple(n if draw(BOOLS) else 1 for n in shape[kept:])
    chosen: Values | None = draw(st.sampled_from([None, uniform(0.2, 2, part, constant=True)]))
    return chosen


@st.composite
def binary(draw: Any, name: str) -> dict[str, Any]:
    x = draw(SHAPES)
    arguments = {"target": uniform(0, 1, x), "weight": draw(factor(x)), **draw(reduction())}
    if name == "binary_cross_entropy":
        certain = integers(0, 2, x, True)
        return {**arguments, "input": draw(st.sampled_from([uniform(0, 1, x), certain]))}
    return {"input": draw(numbers(x)), **arguments, "pos_weight": draw(factor(x))}


@st.composite
def multilabel(draw: Any) -> dict[str, Any]:
    x = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    return {
        "input": draw(numbers(x)),
        "target": draw(st.sampled_from([uniform(0, 1, x), integers(0, 2, x)])),
        "weight": draw(st.sampled_from([None, uniform(0.2, 2, x[-1:])])),
        **draw(reduction()),
    }


def labels(shape: Shape) -> Strategy:
    """-1 and 1, floating or not; 0 at times, which is neither."""
    floating = Values("signs", shape, constant=True)
    return st.sampled_from([floating, integers(-1, 2, shape), integers(1, 2, shape)])


@st.composite
def soft_margin(draw: Any) -> dict[str, Any]:
    x = draw(SHAPES)  # torch overflows further out
    return {"input": normal(x, scale=10), "target": draw(labels(x)), **draw(reduction())}


@st.composite
def hinge(draw: Any) -> dict[str, Any]:
    x, t = draw(pairs())
    margin = draw(MARGINS)
    return {
        "input": draw(numbers(x)),
        "target": draw(labels(t)),
        "margin": margin,
        **draw(reduction()),
    }


@st.composite
def cosine_embedding(draw: Any) -> dict[str, Any]:
    x = draw(st.sampled_from([(4, 3), (6, 2), (1, 2), (5, 1), (3,), (1,)]))
    return {
        "input1": draw(numbers(x)),
        "input2": draw(numbers(x)),
        "target": draw(labels(x[:-1])),
        "margin": draw(st.sampled_from([0, 0.3, -0.5])),  # at 0 orthogonal vectors stand
        **draw(reduction()),
    }


@st.composite
def ranking(draw: Any) -> dict[str, Any]:
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=3, min_dims=2, max_dims=2, max_side=4)
    a, b, t = draw(drawn).input_shapes
    a, b, t = ((1,) * (2 - len(shape)) + shape for shape in (a, b, t))
    return {
        "input1": draw(numbers(a)),
        "input2": draw(numbers(b)),
        "target": draw(st.sampled_from([Values("signs", t), integers(-1, 2, t)])),
        "margin": draw(st.sampled_from([0, 0.5, 1.0])),
        **draw(reduction()),
    }


@st.composite
def margins(draw: Any, name: str) -> dict[str, Any]:
    c = draw(st.sampled_from([4, 3, 5, 2, 1]))
    rows = draw(st.sampled_from([(4,), (1,), ()]))
    arguments = {"input": draw(numbers((*rows, c))), **draw(reduction())}
    if name == "multilabel_margin_loss":
        return {**arguments, "target": integers(-1, c, (*rows, c))}
    weight = uniform(0.2, 2, (c,), constant=True)
    options = {
        "p": st.sampled_from([1, 2]),
        "margin": MARGINS,
        "weight": st.sampled_from([None, weight]),
    }
    return {**arguments, "target": integers(0, c, rows), **draw(st.fixed_dictionaries(options))}


@st.composite
def triplet(draw: Any, name: str) -> dict[str, Any]:
    x = draw(st.sampled_from([(5, 3), (4, 1), (1, 2), (3,), (1,)]))
    arguments = {k: draw(numbers(x)) for k in ("anchor", "positive", "negative")}
    arguments |= {"margin": draw(MARGINS), "swap": draw(BOOLS)}
    if name == "triplet_margin_loss":
        options = {"p": st.sampled_from([1, 2, 3, INF]), "eps": st.sampled_from([0, 1e-6])}
        return {**arguments, **draw(st.fixed_dictionaries(options)), **draw(reduction())}
    distance = draw(st.sampled_from([None, F.pairwise_distance, manhattan]))
    return {**arguments, "distance_function": distance, **draw(reduction(older=False))}


@st.composite
def linear_classification(draw: Any) -> dict[str, Any]:
    n, k, c = (draw(st.sampled_from([4, 3, 5, 2, 1])) for _ in range(3))
    heads = draw(st.sampled_from([(), (), (2,)]))
    rows = draw(st.sampled_from([(n,), (n,), ()])) if not heads else (n,)
    arguments: dict[str, Any] = {
        "input": normal((*rows, k)),
        "linear_weight": normal((c, *heads, k)),
        "linear_bias": draw(st.sampled_from([None, normal((c, *heads))])),
        **draw(reduction(older=False)),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1])),
    }
    size = draw(st.sampled_from([None, 1, 2, 7]))
    chunks = nn.LinearCrossEntropyOptions(True, size, draw(st.sampled_from(["auto", None])))
    arguments["options"] = draw(st.sampled_from([None, chunks]))
    # In chunks torch's gradient of a mean is NaN where nothing counts, otherwise 0, as here.
    ignored = draw(st.sampled_from([-100, c]))
    target = Classes((*rows, *heads), c, ignored, first_counts=True)
    arguments |= {"target": target, "ignore_index": ignored}
    weight = draw(st.sampled_from([None, uniform(0.2, 2, (c,), constant=True)]))
    return {**arguments, "weight": weight}


LOSSES: dict[str, Strategy] = {
    **{name: regression(name) for name in ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss")},
    "poisson_nll_loss": poisson(),
    "gaussian_nll_loss": gaussian(),
    "kl_div": divergence(),
    "nll_loss": classification("nll_loss"),
    "cross_entropy": classification("cross_entropy"),
    "linear_cross_entropy": linear_classification(),
    "binary_cross_entropy": binary("binary_cross_entropy"),
    "binary_cross_entropy_with_logits": binary("binary_cross_entropy_with_logits"),
    "multilabel_soft_margin_loss": multilabel(),
    "soft_margin_loss": soft_margin(),
    "hinge_embedding_loss": hinge(),
    "cosine_embedding_loss": cosine_embedding(),
    "margin_ranking_loss": ranking(),
    "multilabel_margin_loss": margins("multilabel_margin_loss"),
    "multi_margin_loss": margins("multi_margin_loss"),
    "triplet_margin_loss": triplet("triplet_margin_loss"),
    "triplet_margin_with_distance_loss": triplet("triplet_margin_with_distance_loss"),
}


# Of these a loss or a gradient is one product, unless they are broadcast or averaged by weights.
ONE_PRODUCT = (
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
    "huber_loss",
    "nll_loss",
    "soft_margin_loss",
)


def steepness(name: str, inputs: Mapping[str, Any]) -> float:
    """The largest value of a function of single entries that a loss or its gradient adds up."""
    if name == "poisson_nll_loss":
        x = inputs["input"].astype(np.float64)
        return largest(np.exp(x) if inputs["log_input"] else 1 / (x + inputs["eps"]))
    if name == "gaussian_nll_loss":
        return (
            1 + largest(1 / np.maximum(np.asarray(inputs["var"], np.float64), inputs["eps"])) ** 2
        )
    if name == "kl_div":
        t = inputs["target"].astype(np.float64)
        return 1 + largest(np.exp(t) if inputs["log_target"] else np.log(t))
    if name == "binary_cross_entropy":
        p = inputs["input"].astype(np.float64)
        return largest(np.log(p)) + largest(np.log1p(-p))
    if name == "cosine_embedding_loss":
        return max(largest(1 / np.linalg.norm(inputs[k], axis=-1)) for k in ("input1", "input2"))
    return 1.0


def loss_terms(name: str, arguments: Mapping[str, Any], dtype: Any, seed: int) -> Terms:
    """A bound of the terms that are added up to the loss, and to a gradient."""
    inputs = drawn(name, arguments, dtype, seed)
    older = inputs.pop("size_average", None), inputs.pop("reduce", None)
    choices = (*REDUCTIONS, "batchmean")
    reduction = resolve(name, inputs.pop("reduction"), *older, choices)
    with strict_warnings():
        each, total, reduced = (
            np.asarray(getattr(F, name)(**inputs, reduction=r)[0], np.float64)
            for r in ("none", "sum", reduction)
        )
    shapes = {np.shape(v) for v in inputs.values() if isinstance(v, np.ndarray)}
    alike = len(shapes) == 1 and "weight" not in inputs
    if name in ONE_PRODUCT and (name == "nll_loss" or alike):
        size = 0.0
    else:
        floating = (v for v in inputs.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f")
        size = (1 + sum(map(largest, floating))) ** 2
    with np.errstate(all="ignore"):
        size *= steepness(name, inputs)
        share = 1.0 if reduction == "none" else float(np.nan_to_num(reduced / total, nan=1.0))
        loss = size if reduction == "none" else share * float((np.abs(each) + size).sum())
    finite = np.isfinite([loss, size]).all()
    return {"output_cancels": loss, "cancels": share * each.size * size} if finite else {}


@DTYPES
@pytest.mark.parametrize("name", LOSSES)
@examples(60)
@given(data=st.data())
def test_losses(name: str, dtype: Any, data: st.DataObject) -> None:
    arguments, seed = data.draw(LOSSES[name]), data.draw(SEEDS)
    agree(name, arguments, dtype, seed, **loss_terms(name, arguments, dtype, seed))


# Linear maps, tables, masks and distances

SIZES = st.integers(0, 5)


@st.composite
def linear(draw: Any) -> dict[str, Any]:
    lead = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    k, out = draw(SIZES), draw(st.sampled_from([(), (0,), (1,), (4,)]))
    bias = draw(st.sampled_from([None, normal(out)])) if out else None  # torch has it of rows only
    return {"input": normal((*lead, k)), "weight": normal((*out, k)), "bias": bias}


@st.composite
def bilinear(draw: Any) -> dict[str, Any]:
    lead = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4))
    n, m, out = (draw(st.integers(1, 4)) for _ in range(3))
    return {
        "input1": normal((*lead, n)),
        "input2": normal((*lead, m)),
        "weight": normal((out, n, m)),
        "bias": draw(st.sampled_from([None, normal((out,))])),
    }


@st.composite
def table(draw: Any, rows: int) -> dict[str, Any]:
    """Options that both functions of a table have."""
    shape = rows, draw(st.integers(1, 4))
    arguments: dict[str, Any] = {"weight": draw(numbers(shape))}
    if draw(BOOLS):
        arguments["padding_idx"] = draw(st.integers(-rows, rows - 1))
    if draw(BOOLS):
        arguments["max_norm"] = draw(st.sampled_from([0.5, 2.0]))
        arguments["norm_type"] = draw(st.sampled_from([1.0, 2.0, 3.0, INF]))
    return arguments


@st.composite
def embedding(draw: Any) -> dict[str, Any]:
    rows, shape = draw(st.integers(1, 6)), draw(SHAPES)
    frequency = draw(BOOLS)
    sparse = draw(BOOLS) and not frequency and shape != ()  # which torch refuses, some late
    options = {"scale_grad_by_freq": frequency, "sparse": sparse}
    return {"input": integers(0, rows, shape), **draw(table(rows)), **options}


@st.composite
def embedding_bag(draw: Any) -> dict[str, Any]:
    rows = draw(st.integers(1, 6))
    mode = draw(st.sampled_from(["max", "mean", "sum"]))
    arguments = {**draw(table(rows)), "mode": mode}
    if mode == "max":  # rows of one column, scaled to one norm, tie but for rounding
        arguments.pop("max_norm", None)
    if draw(BOOLS):
        shape: Shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    else:
        shape = (draw(st.integers(0, 8)),)
        inner = st.lists(st.integers(0, shape[0]), min_size=0, max_size=4)
        last = draw(BOOLS)
        arguments["offsets"] = np.array([0, *sorted(draw(inner)), *([shape[0]] if last else [])])
        arguments["include_last_offset"] = last
    if mode == "sum" and draw(BOOLS):
        arguments["per_sample_weights"] = normal(shape)
    return {"input": integers(0, rows, shape), **arguments}


DROPOUTS = {"dropout": 0, "dropout1d": 2, "dropout2d": 3, "dropout3d": 4, "alpha_dropout": 0}


@st.composite
def dropout(draw: Any, name: str) -> dict[str, Any]:
    """With its mask: of single entries, or of channels, which are axis 1, or 0 of one sample."""
    if name == "feature_alpha_dropout":
        shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=4))
        masked = (*shape[:2], *(1 for _ in shape[2:]))
    elif least := DROPOUTS[name]:
        batched = draw(BOOLS)
        axes = least + batched
        shape = draw(hnp.array_shapes(min_dims=axes, max_dims=axes, max_side=4))
        # F.dropout2d takes three axes for a batch of 1-d maps
        kept = 2 if batched or name == "dropout2d" else 1
        masked = (*shape[:kept], *(1 for _ in shape[kept:]))
    else:
        shape = masked = draw(SHAPES)
    return {
        "input": draw(numbers(shape)),
        "p": draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])),
        "training": draw(BOOLS),
        "mask": Values("mask", masked, (0.6,), floating=False),
    }


@st.composite
def rrelu(draw: Any) -> dict[str, Any]:
    shape = draw(SHAPES)
    noise = uniform(-1, 2, shape, constant=True)
    return {"input": draw(numbers(shape)), "training": draw(BOOLS), "noise": noise}


@st.composite
def prelu(draw: Any) -> dict[str, Any]:
    shape = draw(SHAPES)
    channels = shape[1] if len(shape) > 1 else 1
    slopes = draw(st.sampled_from([(1,), (), (channels,)]))
    slopes = slopes if channels else (1,)
    return {"input": draw(numbers(shape)), "weight": normal(slopes)}


@st.composite
def distance(draw: Any, name: str) -> dict[str, Any]:
    exponents = [1.0, 1.5, 2.0, 3.0, INF, 0.0, 0.5]
    p = st.sampled_from(exponents)
    if name == "pdist":
        rows = (
            draw(st.sampled_from([4, 3, 2, 1])),
            draw(st.integers(1, 4)),
        )  # of no rows torch crashes
        return {"input": draw(numbers(rows)), "p": draw(p)}
    a, b = draw(pairs(low=1))
    arguments: dict[str, Any] = {"x1": draw(numbers(a)), "x2": draw(numbers(b))}
    if name == "cosine_similarity":
        axes = max(len(a), len(b), 1)
        arguments |= {"dim": draw(st.integers(-axes, axes - 1))}
        return {**arguments, "eps": draw(st.sampled_from([1e-8, 0.5]))}
    p = p if a == b else st.sampled_from(exponents[:5])  # sums of slopes of at most 1
    arguments |= {"p": draw(p), "keepdim": draw(BOOLS)}
    return {**arguments, "eps": draw(st.sampled_from([0.0, 1e-6]))}


@st.composite
def normalize(draw: Any) -> dict[str, Any]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    return {
        "input": draw(numbers(shape)),
        "p": draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, INF])),
        "dim": draw(st.integers(-len(shape), len(shape) - 1)),
        "eps": draw(st.sampled_from([1e-12, 0.5])),
    }


@st.composite
def reshape(draw: Any, name: str) -> dict[str, Any]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3))
    start = draw(st.integers(0, len(shape) - 1))
    if name == "unflatten":
        sizes = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
        whole = (*shape[:start], int(np.prod(sizes)), *shape[start + 1 :])
        return {"input": normal(whole), "dim": start, "sizes": sizes}
    end = draw(st.integers(start, len(shape) - 1)) - draw(st.sampled_from([0, len(shape)]))
    return {"input": normal(shape), "start_dim": start, "end_dim": end}


@st.composite
def response_norm(draw: Any) -> dict[str, Any]:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=5, min_side=1, max_side=4))
    return {
        "input": normal(shape),
        "size": draw(st.integers(1, 6)),
        "alpha": draw(st.sampled_from([1e-4, 0.5])),
        "beta": draw(st.sampled_from([0.75, 1.0, 2.0])),
        "k": draw(st.sampled_from([1.0, 2.0])),
    }


@st.composite
def code(draw: Any, name: str) -> dict[str, Any]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    moments = {"mu": draw(numbers(shape)), "logvar": draw(numbers(shape))}
    if name == "gaussian_kl":
        return {**moments, "reduction": draw(st.sampled_from(["none", "mean", "sum"]))}
    return {**moments, "noise": normal(shape, constant=True)}


OTHERS: dict[str, Strategy] = {
    "linear": linear(),
    "bilinear": bilinear(),
    "embedding": embedding(),
    "embedding_bag": embedding_bag(),
    **{name: dropout(name) for name in (*DROPOUTS, "feature_alpha_dropout")},
    "rrelu": rrelu(),
    "prelu": prelu(),
    **{name: distance(name) for name in ("pairwise_distance", "pdist", "cosine_similarity")},
    "normalize": normalize(),
    "local_response_norm": response_norm(),
    **{name: reshape(name) for name in ("flatten", "unflatten")},
    **{name: code(name) for name in ("reparameterize", "gaussian_kl")},
}


def other_terms(name: str, inputs: Mapping[str, Any]) -> Terms:
    """A bound of the terms that are added up to an entry of an output, and of a gradient."""
    floating = [v for v in inputs.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    if name in ("linear", "bilinear", "embedding_bag", "prelu"):  # of products
        product = float(np.prod([1 + largest(x) for x in floating]))
        count = max(x.size for x in floating)
        return {"output_cancels": product * count, "cancels": product * count}
    if name == "gaussian_kl":  # exp(r) - 1, and that less r
        return {"cancels": 1.0, "output_cancels": largest(inputs["logvar"])}
    if name == "pairwise_distance" and inputs["x1"].shape != inputs["x2"].shape:
        return {"cancels": float(max(x.size for x in floating))}
    if name in ("cosine_similarity", "normalize"):  # across x, of unit vectors over a length
        length = min(np.min(np.abs(x[x != 0]), initial=1.0) for x in floating)
        return {
            "cancels": max(x.size for x in floating) / max(length, inputs["eps"]),
            "output_cancels": 1.0,
        }
    return {}


@DTYPES
@pytest.mark.parametrize("name", OTHERS)
@examples(60)
@given(data=st.data())
def test_others(name: str, dtype: Any, data: st.DataObject) -> None:
    arguments, seed = data.draw(OTHERS[name]), data.draw(SEEDS)
    agree(name, arguments, dtype, seed, **other_terms(name, drawn(name, arguments, dtype, seed)))


# Files of scratch.nn whose functions have generated or exhaustive tests of their own, and where.
ELSEWHERE = {
    "test_conv": ("conv", "conv_transpose"),
    "test_pool": (
        *("max_pool", "avg_pool", "lp_pool", "adaptive_pool"),
        *("max_unpool", "fractional_max_pool"),
    ),
    "test_norm": ("batch_norm", "instance_norm", "layer_norm", "rms_norm", "group_norm"),
    "test_resize": ("interpolate", "grid_sample", "affine_grid"),
    "test_ctc": ("ctc_loss",),
    "test_crf": ("crf",),
    "test_gan": ("adversarial_loss", "minibatch_discrimination"),
    "test_stylegan": (
        *("upfirdn2d", "conv2d_resample", "bias_act", "modulated_conv2d", "noise_injection"),
        *("minibatch_std",),
    ),
    "test_graph": ("segment",),
    "test_generated_applications": (
        *("focal_loss", "box_loss", "roi_align", "grid_loss", "dice_loss", "mask_loss"),
        *("angular_margin", "triplet_mining", "gumbel_softmax"),
    ),
    "test_rearrange": ("padding", "fold", "pixel_shuffle", "channel_shuffle"),
    "test_generated_sequences": (
        *("scaled_dot_product_attention", "additive_attention", "multiplicative_attention"),
        *("multihead_attention", "memory_efficient_attention", "session_loss"),
        *("positional_encoding", "rotary", "alibi", "relative_position"),
    ),
}


def test_every_function_is_here() -> None:
    functions = {name for name, entry in OPS.items() if getattr(F, name, None) is entry.scratch}
    elsewhere = {f"scratch.nn.{file}" for files in ELSEWHERE.values() for file in files}
    here = {name for name in functions if getattr(F, name).__module__ not in elsewhere}
    assert here == {*ELEMENTWISE, *ALONG_AN_AXIS, *LOSSES, *OTHERS}


# Networks, trained


ACTIVATIONS = ("ReLU", "LeakyReLU", "Sigmoid", "Tanh", "ELU", "GELU", "SiLU", "Softplus", "PReLU")


@st.composite
def optimizer(draw: Any, climbs: bool = False) -> tuple[str, dict[str, Any]]:
    """A class that both packages have, and options."""
    name = draw(st.sampled_from(["SGD", "Adam", "AdamW"]))
    shared = {
        "lr": st.sampled_from([1e-3, 0.05, 0.3]),
        "weight_decay": st.sampled_from([0.0, 0.01, 0.3]),
        "maximize": BOOLS if climbs else st.just(False),
    }
    if name == "SGD":
        options = draw(st.fixed_dictionaries({**shared, "momentum": st.sampled_from([0.0, 0.9])}))
        if options["momentum"] and draw(BOOLS):
            options["nesterov"] = True
        elif options["momentum"]:
            options["dampening"] = draw(st.sampled_from([0.0, 0.5]))
        return name, options
    # A mean square of the last gradient alone makes each step a sign, which rounding may turn.
    betas = st.tuples(st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from([0.5, 0.9, 0.999]))
    more = {"betas": betas, "eps": st.sampled_from([1e-8, 1e-3]), "amsgrad": BOOLS}
    return name, draw(st.fixed_dictionaries({**shared, **more}))


class Path:
    """How large torch's parameters have been: one that passes through 0 keeps older roundings."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.largest = [0.0 for _ in self.parameters]
        self.extend()

    def extend(self) -> None:
        """Take note of where they are."""
        now = [largest(twin.numpy(p)) for p in self.parameters]
        self.largest = [max(pair) for pair in zip(self.largest, now, strict=True)]

    def far_off(self, ours: Iterable[nn.Parameter], c: float) -> list[str]:
        """Which of ours are further away than `c` eps."""
        found = [
            close(str(p.shape), p.data, twin.numpy(q), c=c, at_least=scale)
            for p, q, scale in zip(ours, self.parameters, self.largest, strict=True)
        ]
        return [str(comparison) for comparison in found if not comparison.passed]


@DTYPES
@examples(60)
@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=6),
    activation=st.sampled_from(ACTIVATIONS),
    bias=BOOLS,
    lead=st.sampled_from([(5,), (1,), (2, 3), ()]),
    mode=st.sampled_from(["train", "eval"]),
    seed=SEEDS,
)
def test_networks(
    sizes: list[int],
    activation: str,
    bias: bool,
    lead: Shape,
    mode: str,
    seed: int,
    dtype: Any,
) -> None:
    """Output and all gradients of networks of any depth and width."""
    init = Call(sizes, activation, 0.0, bias)
    # What is smaller is left of such terms: narrow layers cancel much of what they are given.
    left: Terms = {"cancels": 0.01, "output_cancels": 0.01}
    case = Case(str(seed), lambda d: Call(d.normal(*lead, sizes[0])), init, **left)
    with strict_warnings():
        found = check_layer(LAYERS["MLP"], case, mode, np.dtype(dtype), "cpu", thorough=False)
    # In float32 how much of the little that is left is right is luck, on both sides.
    failed = [str(c) for c in found if c.note or (dtype == np.float64 and not c.passed)]
    assert not failed, "\n".join(failed)


@examples(60)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    activation=st.sampled_from(ACTIVATIONS),
    chosen=optimizer(),
    loss=st.sampled_from(["cross_entropy", "mse_loss"]),
    seed=SEEDS,
)
def test_training(
    sizes: list[int], activation: str, chosen: tuple[str, dict[str, Any]], loss: str, seed: int
) -> None:
    """Five steps of any network with any optimizer."""
    name, options = chosen
    d = Draw(str(seed), np.float64)
    case = Case(str(seed), lambda d: Call(), Call(sizes, activation))
    ours, theirs = build_twins(LAYERS["MLP"], case, np.dtype(np.float64), "cpu", d)
    optimizer = getattr(scratch.optim, name)(ours.parameters(), **options)
    reference = getattr(torch.optim, name)(theirs.parameters(), **options)
    x = d.normal(8, sizes[0])
    t = d.integers(0, sizes[-1], 8) if loss == "cross_entropy" else d.normal(8, sizes[-1])
    path = Path(theirs.parameters())
    for _ in range(5):
        y, backward = ours(x)
        _, loss_back = getattr(F, loss)(y, t)
        ours.zero_grad()
        backward(loss_back() if loss == "cross_entropy" else loss_back()[0])
        optimizer.step()
        reference.zero_grad()
        value = getattr(torch.nn.functional, loss)(theirs(torch.from_numpy(x)), torch.from_numpy(t))
        value.backward()
        reference.step()
        path.extend()
    assert not path.far_off(ours.parameters(), c=1000)


@DTYPES
@examples(100)
@given(
    chosen=optimizer(climbs=True),
    other=st.sampled_from([None, {"lr": 0.01}, {"lr": 0.1, "weight_decay": 0.1}]),
    shapes=st.lists(SHAPES, min_size=2, max_size=3),
    plan=st.lists(
        st.lists(st.sampled_from([None, 0.0, 1e-7, 1.0, 1e4]), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    ),
    seed=SEEDS,
)
def test_optimizers(
    chosen: tuple[str, dict[str, Any]],
    other: dict[str, Any] | None,
    shapes: list[Shape],
    plan: list[list[float | None]],
    seed: int,
    dtype: Any,
) -> None:
    """Gradients of any scale, missing ones, groups with options of their own."""
    name, options = chosen
    d = Draw(str(seed), dtype)
    starts = [d.normal(*shape) for shape in shapes]
    ours = [nn.Parameter(p.copy()) for p in starts]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in starts]

    def groups(parameters: list[Any]) -> list[Any]:
        if other is None:
            return parameters
        return [{"params": parameters[:1], **other}, {"params": parameters[1:]}]

    optimizer = getattr(scratch.optim, name)(groups(ours), **options)
    reference = getattr(torch.optim, name)(groups(theirs), **options)
    path = Path(theirs)
    for scales in plan:
        for p, q, scale in zip(ours, theirs, scales, strict=False):
            gradient = None if scale is None else d.normal(*p.shape, scale=scale)
            p.grad = gradient
            q.grad = None if gradient is None else torch.from_numpy(gradient.copy())
        with strict_warnings():
            optimizer.step()
        reference.step()
        path.extend()
    assert not path.far_off(ours, c=64 if dtype == np.float64 else 4 * len(plan) + 4)
