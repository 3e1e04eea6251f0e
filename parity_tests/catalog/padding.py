"""Padding: every mode, at either end, of one to three axes; crops; what does not fit."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.nn import functional as F

SOURCE = "Dumoulin & Visin 2016, arXiv:1603.07285, section 2"
EDGES = "Alsallakh, Kokhlikyan, Miglani, Yuan & Reblitz-Richardson 2021, arXiv:2010.02178"


INFINITE = "differences of infinities do not exist"


def case(
    name: str,
    shape: tuple[int, ...],
    *args: Any,
    zero: tuple[str, ...] = (),
    surrogate: str = "",
    **kwargs: Any,
) -> Case:
    """A call with normal values of the shape."""
    return Case(
        name, lambda d: Call(d.normal(*shape), *args, **kwargs), zero=zero, surrogate=surrogate
    )


def not_finite(d: Draw, mode: str) -> Call:
    x = d.normal(2, 3, 5)
    x[0, :, 0], x[1, 0, -1], x[1, 1, 2] = [np.nan, np.inf, -np.inf], np.nan, np.inf
    return Call(x, (2, 1), mode)


def transposed(d: Draw, mode: str) -> Call:
    return Call(d.normal(5, 4, 3, 2).T, (1, 2, 2, 0), mode)


def of_mode(mode: str) -> tuple[Case, ...]:
    """Cases for each of the modes."""
    return (
        case(f"{mode}, last axis", (2, 3, 5), (1, 2), mode),
        case(f"{mode}, last axis, no batch", (3, 5), (3, 1), mode),
        case(f"{mode}, two axes", (2, 3, 4, 5), (1, 2, 3, 0), mode),
        case(f"{mode}, two axes, no batch", (3, 4, 5), [2, 0, 1, 3], mode),
        case(f"{mode}, three axes", (2, 3, 4, 5, 6), (1, 2, 3, 0, 2, 1), mode),
        case(f"{mode}, three axes, no batch", (3, 4, 5, 6), (5, 4, 0, 3, 1, 0), mode),
        case(f"{mode}, equal sums", (2, 3, 4, 5, 6), (1, 2, 0, 2, 0, 1), mode),
        case(f"{mode}, one end", (2, 3, 4, 5), (0, 0, 0, 2), mode),
        case(f"{mode}, nothing", (2, 3, 4), (0, 0), mode),
        case(f"{mode}, as far as it goes", (2, 3, 4), (3, 3), mode),
        case(f"{mode}, value 0", (2, 3, 4), (1, 2), mode, 0.0),
        case(f"{mode}, by name", (2, 3, 4), pad=(1, 2), mode=mode, value=None),
        case(f"{mode}, crop before", (2, 3, 5), (-2, 0), mode),
        case(f"{mode}, crop behind", (2, 3, 5), (0, -1), mode),
        case(f"{mode}, crop before, pad behind", (2, 3, 5), (-1, 3), mode),
        case(f"{mode}, pad before, crop behind", (2, 3, 5), (2, -2), mode),
        case(f"{mode}, crop one axis, pad another", (2, 3, 4, 5), (-1, -2, 1, 2), mode),
        case(f"{mode}, crop and pad three axes", (2, 3, 4, 5, 6), (-1, 2, 1, -3, 2, -1), mode),
        case(f"{mode}, no samples", (0, 3, 4, 5), (1, 2, 3, 1), mode),
        Case(
            f"{mode}, not finite",
            lambda d: not_finite(d, mode),
            surrogate=INFINITE,
        ),
        Case(f"{mode}, transposed", lambda d: transposed(d, mode)),
    )


def layers(title: str, source: str, least: int, *value: float) -> list[Layer]:
    """The modules over one, two and three axes; `least` is the smallest size that takes pads."""
    sizes, pads = (5, 4, 6), (1, 2, 3, 0, 2, 1)
    found = []
    for axes in (1, 2, 3):
        name = f"{title}{axes}d"
        shape = (2, 3, *sizes[:axes])

        def layer_case(
            name: str, shape: tuple[int, ...], padding: Any, value: tuple[float, ...] = value
        ) -> Case:
            surrogate = "" if all(map(math.isfinite, value)) else INFINITE
            init = Call(padding, *value)
            return Case(name, lambda d: Call(d.normal(*shape)), init=init, surrogate=surrogate)

        cases = [
            layer_case("each its own", shape, pads[: 2 * axes]),
            layer_case("a list", shape, [*pads[1 : 2 * axes], 1]),
            layer_case("one for all", shape, 2),
            layer_case("none", shape, 0),
            layer_case("no batch", shape[1:], pads[: 2 * axes]),
            layer_case("no samples", (0, *shape[1:]), pads[: 2 * axes]),
            layer_case("crop", shape, (-1, 2, 1, -2, -1, -1)[: 2 * axes]),
            layer_case("smallest", (1, 1, *(least,) * axes), 1),
        ]
        if value:
            cases += [
                layer_case("an integer", shape, 1, (2,)),
                layer_case("not a number", shape, 1, (math.nan,)),
                layer_case("other axes too", (2, *shape, 2), pads[: 2 * axes]),
            ]
        ours, theirs = getattr(nn, name), getattr(torch.nn, name)
        found.append(Layer(name, ours, theirs, tuple(cases), source))
    return found


ENTRIES = [
    Op(
        "pad",
        F.pad,
        torch.nn.functional.pad,
        source=SOURCE,
        cases=(
            case("defaults", (2, 3), (1, 2)),
            *of_mode("constant"),
            *of_mode("reflect"),
            *of_mode("replicate"),
            *of_mode("circular"),
            case("value", (2, 3, 4), (1, 2, 0, 3), "constant", 0.1),
            case("an integer as value", (2, 3, 4), (1, 2), "constant", -7),
            case("infinity as value", (2, 3, 4), (1, 2), value=-math.inf, surrogate=INFINITE),
            case("not a number as value", (2, 3, 4), (1, 2), value=math.nan, surrogate=INFINITE),
            case("crop and value", (2, 3, 4), (-1, 2, 1, -1), value=2.5),
            case("all axes", (2, 3, 4), (1, 0, 0, 2, 3, 1)),
            case("all axes of five", (1, 2, 3, 2, 1), (1, 0, 0, 2, 3, 1, 1, 1, 0, 2)),
            case("a vector", (4,), (2, 1)),
            case("no pads", (2, 3), ()),
            case("no pads of a scalar", (), ()),
            case("an empty axis", (2, 0, 3), (1, 2, 2, 1)),
            case("crop everything", (2, 3), (-1, -2), zero=("input",)),
            case("crop everything and pad", (2, 3), (-3, 2), zero=("input",)),
            case("replicate further than the axis", (2, 3, 4), (7, 6), "replicate"),
            case("replicate what is cropped", (2, 3, 4), (-6, 5), "replicate"),
            case("replicate size 1", (2, 1, 1, 1), (2, 3, 1, 0), "replicate"),
            case("reflect from what is cropped", (2, 3, 4), (-4, 3), "reflect"),
            case("reflect, then crop the edge", (2, 3, 4), (3, -5), "reflect"),
            case("reflect size 1 by nothing", (2, 3, 1), (0, 0), "reflect"),
            case("circular, a whole turn", (2, 3, 4), (4, 4), "circular"),
            case("circular, size 1", (2, 3, 1, 1), (1, 1, 1, 0), "circular"),
            case("circular, what the crop leaves", (2, 3, 5), (-2, 3), "circular"),
            case("circular, no channels", (2, 0, 4), (1, 2), "circular"),
            case("circular, nothing left", (2, 3, 4), (-1, -3), "circular", zero=("input",)),
        ),
    ),
    *layers("ZeroPad", SOURCE, 1),
    *layers("ConstantPad", SOURCE, 1, 0.5),
    *layers("ReflectionPad", EDGES, 2),
    *layers("ReplicationPad", EDGES, 1),
    *layers("CircularPad", EDGES, 1),
]

X = np.ones((2, 3, 4))


def _make(cls: Callable[..., nn.Module], *args: Any) -> nn.Module:
    return cls(*args)


def _refusals(cls: Callable[..., nn.Module], axes: int, *value: float) -> list[Refusal]:
    name = cls.__name__
    bad: list[tuple[str, Any]] = [
        ("a float", 1.0),
        ("floats", (1.0,) * (2 * axes)),
        ("one pad too many", (1,) * (2 * axes + 1)),
        ("pads for fewer axes", (1,) * (2 * axes - 2)),
        ("a word", "same"),
        ("an array", np.ones(2 * axes, int)),
    ]
    return [Refusal(f"{name}: {what}", partial(_make, cls, p, *value), name) for what, p in bad]


REFUSALS = [
    *(
        Refusal(f"pad: {what}", partial(F.pad, unchecked(x), *unchecked(args)), "pad")
        for what, x, *args in (
            ("integer input", np.arange(3), (1, 1)),
            ("pad is an integer", X, 1),
            ("pad is an array", X, np.array([1, 1])),
            ("a float among the pads", X, (1.0, 1)),
            ("an odd number", X, (1, 1, 1)),
            ("an odd number, reflect", X, (1, 1, 1), "reflect"),
            ("more pairs than axes", X, (1,) * 8),
            ("a pair for a scalar", np.ones(()), (0, 0)),
            ("NumPy's name of a mode", X, (1, 1), "edge"),
            ("no mode", X, (1, 1), None),
            ("value in words", X, (1, 1), "constant", "zero"),
            ("complex value", X, (1, 1), "constant", 1j),
            ("value beyond float32", X.astype("f"), (1, 1), "constant", 1e39),
            ("crop too much", X, (-5, 0)),
            ("crop too much and pad more", X, (-5, 7)),
            ("crop too much at both ends", X, (-2, -3)),
            *(
                (f"{what}, {mode}", np.ones(shape), pads, mode, *value)
                for mode in ("reflect", "replicate", "circular")
                for what, shape, pads, *value in (
                    ("value", (2, 3, 4), (1, 1), 1.0),
                    ("value not a number", (2, 3, 4), (1, 1), math.nan),
                    ("no pads", (2, 3), ()),
                    ("a vector", (4,), (1, 1)),
                    ("one axis of an image", (2, 3, 4, 5), (1, 1)),
                    ("two axes of a volume", (2, 3, 4, 5, 6), (1, 1, 1, 1)),
                    ("all axes", (3, 4), (1, 1, 1, 1)),
                    ("four axes", (2, 3, 4, 4, 4, 4), (1,) * 8),
                    ("crop too much", (2, 3, 4), (-2, -3)),
                    ("an empty axis", (2, 3, 0), (1, 1)),
                )
            ),
            *(
                (f"{what}, {mode}", np.ones(shape), pads, mode)
                for mode in ("reflect", "replicate")
                for what, shape, pads in (
                    ("nothing left", (2, 3, 4), (-2, -2)),
                    ("nothing left on two axes", (2, 3, 4, 3), (-2, -1, -2, -2)),
                    ("no channels", (2, 0, 4), (1, 1)),
                    ("an empty axis beside one that is padded", (2, 3, 0, 4), (1, 1, 0, 0)),
                )
            ),
            ("reflect the whole axis", X, (4, 0), "reflect"),
            ("reflect more behind", X, (0, 5), "reflect"),
            ("reflect size 1", np.ones((2, 3, 1)), (1, 0), "reflect"),
            ("more than a turn", X, (5, 0), "circular"),
            ("more than a turn behind", X, (0, 5), "circular"),
            ("more than a turn of what is left", X, (-3, 2), "circular"),
            ("a turn of nothing", X, (-4, 1), "circular"),
        )
    ),
    *(
        refusal
        for axes in (1, 2, 3)
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for refusal in _refusals(getattr(nn, f"{kind}Pad{axes}d"), axes)
    ),
    *(
        refusal
        for cls, axes in ((nn.ConstantPad1d, 1), (nn.ConstantPad2d, 2), (nn.ConstantPad3d, 3))
        for refusal in (
            *_refusals(cls, axes, 0.5),
            Refusal(f"{cls.__name__}: value in words", partial(_make, cls, 1, "one"), cls.__name__),
        )
    ),
]
