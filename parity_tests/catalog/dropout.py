"""Dropout: both sides get the same mask, and where this torch draws as documented the same seed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Draw, same_draws
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, const
from scratch import nn
from scratch.nn import functional as F

DROPOUT = "Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, JMLR 15(56)"
SPATIAL = "Tompson, Goroshin, Jain, LeCun & Bregler 2015, arXiv:1411.4280, section 3.2"
ALPHA = "Klambauer, Unterthiner, Mayr & Hochreiter 2017, arXiv:1706.02515"


def masked(name: str) -> Callable[..., torch.Tensor]:
    """torch's function `name`; with a mask its formula, since torch has no such argument."""

    def with_mask(
        input: torch.Tensor,
        p: float = 0.5,
        training: bool = not name.endswith("alpha_dropout"),
        inplace: bool = False,
        *,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if mask is None or not training or p in (0, 1):
            y: torch.Tensor = getattr(torch.nn.functional, name)(input, p, training, inplace)
            return y
        keep = mask.to(input)
        if not name.endswith("alpha_dropout"):
            return input * keep / (1 - p)
        saturated = torch.nn.functional.selu(torch.tensor(-1e4).to(input))  # -alpha
        a = ((1 - p) * (1 + p * saturated**2)) ** -0.5
        b = -a * p * saturated
        return a * (input * keep + saturated * (1 - keep)) + b

    return with_mask


def cases(full: tuple[int, ...], drawn: tuple[int, ...]) -> tuple[Case, ...]:
    """Cases over inputs of shape `full` with masks of shape `drawn`."""

    def call(d: Draw, *args: Any, **kwargs: Any) -> Call:
        return Call(d.normal(*full), *args, mask=d.mask(0.6, *drawn), **kwargs)

    def floating(d: Draw) -> Call:
        return Call(d.normal(*full), 0.25, True, mask=const(d.array(d.mask(0.6, *drawn))))

    def not_finite(d: Draw) -> Call:
        x = d.normal(*full)
        x.flat[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30]
        return Call(x, 0.4, True, mask=d.mask(0.5, *drawn))

    return (
        Case("defaults", call),
        Case("p 0.5", lambda d: call(d, training=True)),
        Case("p 0.1", lambda d: call(d, 0.1, True)),
        Case("p 0.9, in place", lambda d: call(d, 0.9, True, True)),
        Case("p 0", lambda d: call(d, p=0, training=True)),
        Case("p 1", lambda d: call(d, 1.0, True), zero=("input",)),
        Case("p 0, no mask", lambda d: Call(d.normal(*full), 0.0, True)),
        Case("p 1, no mask", lambda d: Call(d.normal(*full), 1, True), zero=("input",)),
        Case("evaluation", lambda d: call(d, 0.5, False)),
        Case("evaluation, p 1", lambda d: call(d, 1.0, False)),
        Case("floating mask", floating),
        Case(
            "nothing kept",
            lambda d: Call(d.normal(*full), 0.5, True, mask=np.zeros(drawn, bool)),
            zero=("input",),
        ),
        Case("all kept", lambda d: Call(d.normal(*full), 0.5, True, mask=np.ones(drawn, bool))),
        Case("not finite", not_finite, surrogate="differences of infinities do not exist"),
        Case(
            "no samples",
            lambda d: Call(d.normal(0, *full[1:]), 0.5, True, mask=np.ones((0, *drawn[1:]), bool)),
        ),
        Case(
            "sizes 1",
            lambda d: Call(
                d.normal(*(1 for _ in full)), 0.5, True, mask=np.ones([1] * len(full), bool)
            ),
        ),
    )


def layer(cls: Any, other: Any, source: str, *shapes: tuple[int, ...]) -> Layer:
    """A module: first with nothing to draw, then with the draws of one seed on both sides."""

    def normal(*shape: int) -> Callable[[Draw], Call]:
        return lambda d: Call(d.normal(*shape))

    first = normal(*shapes[0])
    fixed = (
        Case("p 0", first, init=Call(0)),
        Case("p 1", first, init=Call(1.0), modes=("train",), zero=("input",)),
        Case("p 1, in evaluation", first, init=Call(1.0), modes=("eval",)),
        Case("defaults in evaluation", first, modes=("eval",)),
        Case("no samples", normal(0, *shapes[0][1:])),
    )
    drawn = tuple(
        Case(f"p {p} of {shape}", normal(*shape), init=Call(p), seeded=True)
        for p in (0.5, 0.3)
        for shape in shapes
    )
    return Layer(cls.__name__, cls, other, (*fixed, *(drawn if same_draws() else ())), source)


ENTRIES = [
    Op(
        "dropout",
        F.dropout,
        masked("dropout"),
        source=DROPOUT,
        cases=(
            *cases((5, 7), (5, 7)),
            Case("scalar", lambda d: Call(d.normal(), mask=np.array(True))),
        ),
    ),
    Op(
        "dropout1d",
        F.dropout1d,
        masked("dropout1d"),
        source=SPATIAL,
        cases=(
            *cases((4, 5, 3), (4, 5, 1)),
            Case("one sample", lambda d: Call(d.normal(5, 3), mask=d.mask(0.6, 5, 1))),
        ),
    ),
    Op(
        "dropout2d",
        F.dropout2d,
        masked("dropout2d"),
        source=SPATIAL,
        cases=(
            *cases((4, 5, 3, 2), (4, 5, 1, 1)),
            Case("batch of 1-d maps", lambda d: Call(d.normal(4, 5, 3), mask=d.mask(0.6, 4, 5, 1))),
        ),
    ),
    Op(
        "dropout3d",
        F.dropout3d,
        masked("dropout3d"),
        source=SPATIAL,
        cases=(
            *cases((4, 5, 3, 2, 3), (4, 5, 1, 1, 1)),
            Case(
                "one sample",
                lambda d: Call(d.normal(7, 3, 2, 3), mask=d.mask(0.6, 7, 1, 1, 1)),
            ),
        ),
    ),
    Op(
        "alpha_dropout",
        F.alpha_dropout,
        masked("alpha_dropout"),
        source=ALPHA,
        cases=(
            *cases((5, 7), (5, 7)),
            Case("scalar", lambda d: Call(d.normal(), 0.3, True, mask=np.array(True))),
        ),
    ),
    Op(
        "feature_alpha_dropout",
        F.feature_alpha_dropout,
        masked("feature_alpha_dropout"),
        source=ALPHA,
        cases=(
            *cases((4, 5, 3, 2), (4, 5, 1, 1)),
            Case(
                "no spatial axes",
                lambda d: Call(d.normal(4, 5), 0.3, True, mask=d.mask(0.6, 4, 5)),
            ),
            Case("vector in evaluation", lambda d: Call(d.normal(4), 0.3)),
        ),
    ),
    layer(nn.Dropout, torch.nn.Dropout, DROPOUT, (5, 7), (3, 4, 2)),
    layer(nn.Dropout1d, torch.nn.Dropout1d, SPATIAL, (4, 5, 3), (7, 3)),
    layer(nn.Dropout2d, torch.nn.Dropout2d, SPATIAL, (4, 5, 3, 2), (4, 5, 3)),
    layer(nn.Dropout3d, torch.nn.Dropout3d, SPATIAL, (4, 5, 3, 2, 2), (7, 3, 2, 2)),
    layer(nn.AlphaDropout, torch.nn.AlphaDropout, ALPHA, (5, 7), (3, 4, 2)),
    layer(
        nn.FeatureAlphaDropout, torch.nn.FeatureAlphaDropout, ALPHA, (4, 5, 3, 2), (4, 5, 3), (4, 5)
    ),
]

BAD_SHAPES = {"dropout1d": (3,), "dropout2d": (3, 4), "dropout3d": (3, 4, 5)}
NAMES = {
    "dropout": (3, 4),
    "dropout1d": (3, 4, 2),
    "dropout2d": (3, 4, 2, 2),
    "dropout3d": (3, 4, 2, 2, 2),
    "alpha_dropout": (3, 4),
    "feature_alpha_dropout": (3, 4, 2),
}


def _call(name: str, *args: Any, shape: tuple[int, ...] | None = None, **kwargs: Any) -> Any:
    return getattr(F, name)(np.zeros(NAMES[name] if shape is None else shape), *args, **kwargs)


def _make(cls: Callable[..., nn.Module], **kwargs: Any) -> nn.Module:
    return cls(**kwargs)


BAD_ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("p above 1", {"p": 1.1}),
    ("negative p", {"p": -0.1}),
    ("p not a number", {"p": np.nan}),
    ("p in words", {"p": "half"}),
    ("training in words", {"training": "yes"}),
    ("a seed as generator", {"training": True, "generator": 0}),
    ("shape of the mask", {"training": True, "mask": np.ones((3, 1), bool)}),
    ("shape of the mask, evaluation", {"training": False, "mask": np.ones((3, 1), bool)}),
    ("integer mask", {"training": True, "mask": np.ones((3, 4), int)}),
    ("mask of another dtype", {"training": True, "mask": np.ones((3, 4), "f")}),
    ("a list as mask", {"training": True, "mask": [True]}),
]

REFUSALS = [
    *(
        Refusal(f"{name}: {what}", partial(_call, name, **kwargs), name)
        for name in NAMES
        for what, kwargs in BAD_ARGUMENTS
    ),
    *(
        Refusal(f"{name}: integer input", partial(getattr(F, name), np.arange(3)), name)
        for name in NAMES
    ),
    *(
        Refusal(f"{name}: axes of input", partial(_call, name, shape=shape), name)
        for name, shape in BAD_SHAPES.items()
    ),
    Refusal(
        "feature_alpha_dropout: axes of input",
        lambda: _call("feature_alpha_dropout", training=True, shape=(3,)),
        "feature_alpha_dropout",
    ),
    *(
        Refusal(f"{cls.__name__}: {what}", partial(_make, cls, **kwargs), cls.__name__)
        for cls in (
            nn.Dropout,
            nn.Dropout1d,
            nn.Dropout2d,
            nn.Dropout3d,
            nn.AlphaDropout,
            nn.FeatureAlphaDropout,
        )
        for what, kwargs in (
            ("p above 1", {"p": 1.1}),
            ("negative p", {"p": -0.1}),
            ("p in words", {"p": "half"}),
            ("inplace in words", {"inplace": "yes"}),
            ("a seed as generator", {"generator": 0}),
        )
    ),
]
