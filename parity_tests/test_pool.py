"""Pooling under arguments that nobody chose, also those that torch refuses.

Values are small whole numbers, so that most windows have ties; now and then NaN and -inf.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_tests.catalog.pool import ENTRIES
from parity_tests.harness import twin
from parity_tests.harness.check import check_op, strict_warnings
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import Call, Case, Op, const
from scratch import nn
from scratch.nn import functional as F

OPS = {entry.name: entry for entry in ENTRIES if isinstance(entry, Op)}
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
DIMS = pytest.mark.parametrize("dims", [1, 2, 3])
BOOLS = st.booleans()
NAN, INF = float("nan"), float("inf")
Drawn = st.DataObject


def examples(number: int) -> settings:
    """The same examples in every run."""
    return settings(max_examples=number, deadline=None)


def values(
    data: Drawn, shape: Sequence[int], dtype: Any, *rare: float, whole: bool = True
) -> Array:
    """Small whole numbers, or normal ones, in one array out of four some of the rare ones."""
    source = np.random.default_rng(data.draw(st.integers(0, 999), "values"))
    x = source.integers(-2, 3, shape) if whole else source.normal(size=shape)
    x = x.astype(dtype)
    for value in rare:
        if data.draw(st.integers(0, 3)) == 0:
            x = np.where(source.random(shape) < 0.3, dtype(value), x)
    return x


def shape(data: Drawn, dims: int) -> tuple[int, ...]:
    """(N, C, ...), sometimes without N or without samples."""
    lead = data.draw(st.sampled_from([(2, 3), (2, 3), (3,), (1, 1), (0, 2)]))
    return (*lead, *data.draw(st.tuples(*[st.integers(1, 7)] * dims)))


def per_axis(data: Drawn, dims: int, low: int, high: int, name: str) -> Any:
    """A number for all axes, or one for each."""
    one = st.integers(low, high)
    return data.draw(st.one_of(one, st.tuples(*[one] * dims)), name)


def agree(name: str, dtype: Any, call: Call) -> None:
    """Outputs, positions and gradients are torch's; what it refuses is refused."""
    entry = OPS[name]
    tensors = twin.to_torch(call, "cpu", None, [])
    plain = twin.plain(call)
    try:
        entry.torch(*tensors.args, **tensors.kwargs)
    except (RuntimeError, ValueError):
        with pytest.raises((ValueError, TypeError), match=f"^{name}: expected "):
            entry.scratch(*plain.args, **plain.kwargs)
        return
    case = Case("drawn", lambda _: call)
    with strict_warnings():
        found = check_op(entry, case, np.dtype(dtype), "cpu", thorough=False)
    failed = [str(c) for c in found if not c.passed]
    assert not failed, "\n".join(failed)


def spread(value: Any, dims: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * dims


def misses(n: int, k: int, s: int, p: int, d: int, outputs: int) -> bool:
    """Whether the taps of a window all miss the input, so that torch has no place for a maximum."""
    places = np.arange(outputs)[:, None] * s - p + np.arange(k) * d
    return bool(outputs) and not ((places >= 0) & (places < n)).any(axis=1).all()


@DTYPES
@DIMS
@examples(120)
@given(data=st.data())
def test_max_pool(dims: int, dtype: Any, data: Drawn) -> None:
    x = values(data, shape(data, dims), dtype, NAN, -INF)
    k, s, p, d = (
        per_axis(data, dims, *bounds)
        for bounds in ((1, 4, "k"), (1, 4, "s"), (0, 2, "p"), (1, 3, "d"))
    )
    s = data.draw(st.sampled_from([s, None]))
    ceil, indices = data.draw(BOOLS, "ceil"), data.draw(BOOLS, "indices")
    name = f"max_pool{dims}d"
    try:
        y, _ = getattr(F, name)(x, k, s, p, d, ceil)
    except ValueError:
        y = None
    each = [spread(v, dims) for v in (k, k if s is None else s, p, d)]
    if y is not None and any(map(misses, x.shape[-dims:], *each, y.shape[-dims:])):
        return  # torch writes its gradient somewhere else: test_window_beside_the_input
    agree(name, dtype, Call(x, k, s, p, d, ceil, indices))


@DTYPES
@DIMS
@examples(120)
@given(data=st.data())
def test_avg_pool(dims: int, dtype: Any, data: Drawn) -> None:
    x = values(data, shape(data, dims), dtype, NAN, INF, whole=data.draw(BOOLS))
    k, s, p = (per_axis(data, dims, *bounds) for bounds in ((1, 4, "k"), (1, 4, "s"), (0, 2, "p")))
    s = data.draw(st.sampled_from([s, ()]))
    more: list[Any] = [data.draw(BOOLS, "ceil"), data.draw(BOOLS, "count")]
    if dims > 1:
        more.append(data.draw(st.sampled_from([None, None, 1, 3, -2, 0]), "divisor"))
    agree(f"avg_pool{dims}d", dtype, Call(x, k, s, p, *more))


@DTYPES
@DIMS
@examples(100)
@given(data=st.data())
def test_lp_pool(dims: int, dtype: Any, data: Drawn) -> None:
    p = data.draw(st.sampled_from([1, 2, 2.0, 3, 4.0, 2.5, 0.5, -1.0, INF, -INF]), "p")
    x = values(data, shape(data, dims), dtype, whole=p in (1, 2, 4, INF, -INF))
    if p not in (1, 2, 4, INF, -INF):
        x = np.abs(x) + dtype(0.5)
    k: Any = st.integers(1, 4)
    k = data.draw(k if dims == 1 else st.one_of(k, st.tuples(*[k] * dims)), "k")
    s = data.draw(st.sampled_from([None, per_axis(data, dims, 1, 3, "s")]))
    agree(f"lp_pool{dims}d", dtype, Call(x, p, k, s, data.draw(BOOLS, "ceil")))


@DTYPES
@DIMS
@examples(120)
@given(data=st.data())
def test_adaptive_pool(dims: int, dtype: Any, data: Drawn) -> None:
    size = per_axis(data, dims, 1, 9, "size")
    x = values(data, shape(data, dims), dtype, NAN, -INF)
    if dims > 1 and isinstance(size, tuple) and data.draw(BOOLS):
        size = (None, *size[1:])
    agree(f"adaptive_max_pool{dims}d", dtype, Call(x, size, data.draw(BOOLS, "indices")))
    agree(f"adaptive_avg_pool{dims}d", dtype, Call(x, size))


@DTYPES
@DIMS
@examples(100)
@given(data=st.data())
def test_max_unpool(dims: int, dtype: Any, data: Drawn) -> None:
    full = shape(data, dims)
    x = values(data, full, dtype, whole=False)
    k, s = (per_axis(data, dims, 1, 3, name) for name in "ks")
    s = data.draw(st.sampled_from([s, None]))
    p = data.draw(st.integers(0, min(spread(k, dims)) // 2), "p")  # no pooling has more
    kernels, strides = spread(k, dims), spread(k if s is None else s, dims)
    default = [
        (n - 1) * a - 2 * p + b for n, a, b in zip(full[-dims:], strides, kernels, strict=True)
    ]
    shift = data.draw(st.tuples(*[st.integers(-2, 2)] * dims), "shift")
    size = tuple(n + m for n, m in zip(default, shift, strict=True))
    size = data.draw(st.sampled_from([None, size, (*full[:-dims], *size)]), "size")
    room = math.prod(default if size is None else size[-dims:])
    source = np.random.default_rng(data.draw(st.integers(0, 999)))
    indices = source.integers(0, max(room, 1) + data.draw(st.sampled_from([0, 0, 0, 2])), full)
    if min(default if size is None else size[-dims:]) < 1:
        return  # torch takes positions in an output that has none
    agree(f"max_unpool{dims}d", dtype, Call(x, indices, k, s, p, size))


@DTYPES
@pytest.mark.parametrize("dims", [2, 3])
@examples(100)
@given(data=st.data())
def test_fractional_max_pool(dims: int, dtype: Any, data: Drawn) -> None:
    full = shape(data, dims)
    x = values(data, full, dtype, NAN, -INF)
    k = per_axis(data, dims, 1, 3, "k")
    size = per_axis(data, dims, 1, 5, "size")
    ratio = data.draw(st.tuples(*[st.floats(0.2, 0.95)] * dims), "ratio")
    size, ratio = data.draw(st.sampled_from([(size, None), (None, ratio)]))
    n = full[0] if len(full) == dims + 2 else 1
    # Places in the middle of 1/16, so that float32 and float64 choose the same windows.
    steps = np.random.default_rng(data.draw(st.integers(0, 999))).integers(
        0, 16, (n, full[-dims - 1], dims)
    )
    u = ((steps + 0.37) / 16).astype(dtype)
    indices = data.draw(BOOLS, "indices")
    agree(
        f"fractional_max_pool{dims}d",
        dtype,
        Call(x, k, size, ratio, return_indices=indices, _random_samples=const(u)),
    )


@DIMS
def test_window_beside_the_input(dims: int) -> None:
    """Dilated taps that all miss: torch gives -inf, and a position that need not exist."""
    name = f"max_pool{dims}d"
    x = np.arange(2.0).reshape(1, 2, *(1,) * dims)
    args = 2, 1, 1, 2
    (y, indices), backward = getattr(F, name)(x, *args, return_indices=True)
    theirs, places = getattr(torch.nn.functional, name)(torch.tensor(x), *args, return_indices=True)
    np.testing.assert_array_equal(y, theirs.numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    assert (y == -INF).all() and (indices > 0).all()
    assert not backward(np.ones_like(y), None).any()


@DIMS
def test_a_last_window_in_the_padding_is_left_out(dims: int) -> None:
    """Kernel 2, stride 2 and padding 1 over 3 inputs: 2 outputs, where plain ceil gives 3."""
    x = np.full((1, 1, *(3,) * dims), -2.0)
    for name in (f"max_pool{dims}d", f"avg_pool{dims}d"):
        options: dict[str, Any] = {"count_include_pad": False} if name.startswith("avg") else {}
        y, backward = getattr(F, name)(x, 2, 2, 1, ceil_mode=True, **options)
        np.testing.assert_array_equal(y, np.full((1, 1, *(2,) * dims), -2.0))
        assert backward(np.ones_like(y)).sum() == pytest.approx(2**dims)


@DIMS
def test_unpooling_undoes_pooling(dims: int) -> None:
    source = np.random.default_rng(0)
    x = source.normal(size=(2, 3, 6, 4, 8)[: 2 + dims])
    pool, unpool = getattr(nn, f"MaxPool{dims}d"), getattr(nn, f"MaxUnpool{dims}d")
    (y, indices), pool_back = pool(2, return_indices=True)(x)
    z, unpool_back = unpool(2)(y, indices)
    np.testing.assert_array_equal(z, np.where(z != 0, x, 0))
    np.testing.assert_array_equal(pool(2)(z * (z > 0))[0], np.maximum(y, 0))
    dy = source.normal(size=y.shape)
    np.testing.assert_array_equal(unpool_back(pool_back(dy, None)), dy)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda x: F.adaptive_max_pool2d(x, 2, True),
        lambda x: F.fractional_max_pool2d(x, 2, 3, return_indices=True),
    ],
)
def test_no_gradient_of_the_maxima_is_a_gradient_of_zero(call: Any) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 7)).astype(np.float32)
    _, backward = call(x)
    dx = backward(None, None)
    assert dx.shape == x.shape and dx.dtype == x.dtype and not dx.any()
