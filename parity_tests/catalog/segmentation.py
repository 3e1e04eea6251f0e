"""Segmentation: Dice loss, the mask head of Mask R-CNN with its loss, metrics of pixels."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import scratch.models
import scratch.training
import torch_ref.models
import torch_ref.nn.dice_loss
import torch_ref.nn.mask_loss
import torch_ref.training
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import (
    Call,
    Case,
    Entry,
    Layer,
    Op,
    Refusal,
    Routine,
    const,
    unchecked,
)
from scratch import nn
from scratch.nn import functional as F

MILLETARI = "Milletari, Navab & Ahmadi 2016, arXiv:1606.04797, section 3"
HE = "He, Gkioxari, Dollar & Girshick 2017, arXiv:1703.06870, section 3 and fig. 4"
EVERINGHAM = "Everingham et al. 2010, IJCV 88(2), section 4.2"
DICE = "Dice 1945, Ecology 26(3)"


def classes(*shape: int, scale: float = 1.0, **options: Any) -> Callable[[Draw], Call]:
    """Logits of this shape, and a class for each pixel."""

    def call(d: Draw) -> Call:
        t = d.integers(0, shape[1], shape[0], *shape[2:])
        return Call(d.normal(*shape, scale=scale), t, **options)

    return call


def masks(*shape: int, integer: bool = False, **options: Any) -> Callable[[Draw], Call]:
    """Logits of this shape, and masks that may overlap."""

    def call(d: Draw) -> Call:
        t = d.mask(0.4, *shape)
        return Call(d.normal(*shape), t.astype(int) if integer else t, "sigmoid", **options)

    return call


def absent(d: Draw, **options: Any) -> Call:
    """Classes that are nowhere in an image, and one that is in none."""
    t = np.array([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0], [2, 1, 2, 1, 0, 0]])
    return Call(d.normal(3, 4, 6), t, **options)


def sure(d: Draw) -> Call:
    """Logits whose softmax is nearly 0 or 1: right, and wrong in one image."""
    t = d.integers(0, 3, 2, 5)
    x = 12.0 * (np.arange(3)[:, None] == np.stack([t[0], (t[1] + 1) % 3])[:, None])
    return Call(d.array(x + d.normal(2, 3, 5)), t)


def dice_cases() -> list[Case]:
    """Options and shapes of the Dice loss."""
    return [
        Case("images", classes(2, 3, 4, 5)),
        Case("plain", classes(2, 3, 4, 5, squared=False)),
        Case("none", classes(3, 4, 7, reduction="none", smooth=0.5)),
        Case("sum", classes(3, 2, 7, reduction="sum", squared=False, smooth=0.0)),
        Case("batch", classes(3, 4, 3, 2, batch=True)),
        Case("batch, none", classes(3, 4, 5, batch=True, reduction="none")),
        Case("no background", classes(2, 3, 6, background=False)),
        Case(
            "no background, none",
            classes(2, 4, 6, background=False, reduction="none", squared=False),
        ),
        Case("batch, no background", classes(2, 3, 6, batch=True, background=False)),
        Case("absent classes", absent),
        Case(
            "absent classes, no smoothing",
            functools.partial(absent, smooth=0.0, batch=True, reduction="none"),
        ),
        Case("nearly uniform", classes(2, 3, 5, scale=1e-7)),
        Case("one pixel", classes(3, 2)),
        Case("volumes", classes(1, 2, 2, 3, 2)),
        Case("masks", masks(2, 3, 5)),
        Case("masks, integers", masks(2, 3, 5, integer=True, squared=False, smooth=3.0)),
        Case("masks, batch", masks(3, 2, 4, batch=True, reduction="none")),
        Case("one mask", masks(2, 1, 3, 3)),
        Case("masks, the first does not count", masks(2, 3, 5, background=False)),
        Case("sure of all", sure, output_cancels=1.0, cancels=1.0),
    ]


def boxes(*shape: int, scale: float = 1.0, **options: Any) -> Callable[[Draw], Call]:
    """Logits of this shape, classes of the boxes, and fractional masks."""

    def call(d: Draw) -> Call:
        r, k, h, w = shape
        t = np.clip(d.uniform(-0.5, 1.5, r, h, w), 0, 1)
        return Call(d.normal(*shape, scale=scale), d.integers(0, k, r), const(t), **options)

    return call


Made = dict[str, Any]


def measured(*names: str, make: Callable[[Draw], tuple[Array, Array]], **options: Any) -> Any:
    """A script: the metric of arrays, as an array."""

    def script(function: Any, side: Any, d: Draw) -> Made:
        y, t = make(d)
        return {"value": np.asarray(function(side.array(y), side.array(t), **options))}

    return script


def scores(d: Draw) -> tuple[Array, Array]:
    """Five classes: 3 is there and never named, 4 the other way, 2 neither."""
    y, t = d.normal(3, 5, 4, 6), d.integers(0, 4, 3, 4, 6)
    y[:, 2:4] = -9
    return y, np.where(t == 2, 3, t)


def uneven(d: Draw) -> tuple[Array, Array]:
    """Images in which the classes have very different shares."""
    y, t = d.normal(4, 3, 8, 8), d.integers(0, 3, 4, 8, 8)
    t[0], t[1, :2] = 0, 1
    y[np.arange(4)[:, None, None], t, np.arange(8)[:, None], np.arange(8)] += 1
    return y, t


def holes(d: Draw) -> tuple[Array, Array]:
    """Pixels that do not count."""
    y, t = uneven(d)
    return y, np.where(d.mask(0.3, *t.shape), 255, t)


def single(d: Draw) -> tuple[Array, Array]:
    """One logit for each pixel, 0 among them."""
    y = d.normal(3, 1, 5, 4)
    y[0, 0, 0] = 0
    return y, d.mask(0.5, 3, 1, 5, 4).astype(np.int64)


def nothing(d: Draw) -> tuple[Array, Array]:
    """No image."""
    return d.normal(0, 3, 4, 4), np.zeros((0, 4, 4), np.int64)


SCRIPTS = {
    "classes that are not there": measured(make=scores),
    "uneven images": measured(make=uneven),
    "ignored pixels": measured(make=holes, ignore_index=255),
    "single logits": measured(make=single),
    "no image": measured(make=nothing),
}

ENTRIES: list[Entry] = [
    Op(
        "dice_loss",
        F.dice_loss,
        torch_ref.nn.dice_loss.dice_loss,
        source=MILLETARI,
        cases=dice_cases(),
    ),
    Layer(
        "DiceLoss",
        nn.DiceLoss,
        torch_ref.nn.dice_loss.DiceLoss,
        source=MILLETARI,
        cases=(
            Case("defaults", classes(2, 3, 4, 5)),
            Case(
                "all other options",
                lambda d: Call(d.normal(2, 3, 6), d.mask(0.5, 2, 3, 6)),
                init=Call("sigmoid", False, 0.25, True, False, "none"),
            ),
        ),
    ),
    Op(
        "mask_loss",
        F.mask_loss,
        torch_ref.nn.mask_loss.mask_loss,
        source=HE,
        cases=(
            Case("mean", boxes(4, 3, 5, 2)),
            Case("none", boxes(3, 2, 2, 4, reduction="none")),
            Case("sum", boxes(2, 4, 3, 3, reduction="sum", scale=5.0)),
            Case("far apart", boxes(3, 2, 4, 3, scale=300.0)),
            Case("one class", boxes(2, 1, 3, 2)),
            Case("one class for all boxes", lambda d: Call(*boxes(3, 4, 2, 2)(d).args)),
            Case("no boxes", boxes(0, 3, 4, 4), zero=("input",)),
            Case(
                "bool masks",
                lambda d: Call(d.normal(3, 2, 4, 4), np.array([1, 1, 0]), d.mask(0.5, 3, 4, 4)),
            ),
            Case(
                "integer masks, kinks",
                lambda d: Call(
                    d.array(d.integers(-1, 2, 3, 2, 4, 4)),
                    np.array([0, 1, 0], np.int32),
                    d.integers(0, 2, 3, 4, 4),
                ),
            ),
        ),
    ),
    Layer(
        "MaskHead",
        scratch.models.MaskHead,
        torch_ref.models.MaskHead,
        source=HE,
        c=1000,
        cases=(
            Case(
                "four convolutions",
                lambda d: Call(d.normal(3, 2, 5, 4)),
                init=Call(2, 3, (4, 3, 4, 5), dim_reduced=3),
                modes=("eval",),
            ),
            Case(
                "spread",
                lambda d: Call(d.normal(2, 3, 6, 5)),
                init=Call(3, 2, [4, 2], 2, 3),
                modes=("train",),
            ),
        ),
    ),
    *(
        Routine(
            name,
            getattr(scratch.training.metrics, name),
            getattr(torch_ref.training.metrics, name),
            SCRIPTS,
            source=source,
        )
        for name, source in (
            ("pixel_accuracy", EVERINGHAM),
            ("class_iou", EVERINGHAM),
            ("class_dice", DICE),
            ("mean_iou", EVERINGHAM),
        )
    ),
]

X, T, M = np.full((2, 3, 4), 0.5), np.array([[0, 1, 2, 0], [1, 1, 0, 2]]), np.ones((2, 3, 4), bool)
WRONG: dict[str, dict[str, Any]] = {
    "integer input": {"input": np.ones((2, 3, 4), int)},
    "list": {"input": X.tolist()},
    "one axis": {"input": X[0, 0], "target": T[0]},
    "no classes": {"input": X[:, :0]},
    "nothing but background": {"input": X[:, :1], "target": 0 * T, "background": False},
    "floating target": {"target": T.astype(np.float64)},
    "target too high": {"target": T + 1},
    "negative target": {"target": T - 1},
    "shape of target": {"target": T[:, :3]},
    "masks for softmax": {"target": M},
    "classes for sigmoid": {"activation": "sigmoid"},
    "masks of 2": {"activation": "sigmoid", "target": 2 * M.astype(int)},
    "floating masks": {"activation": "sigmoid", "target": M.astype(np.float64)},
    "unknown activation": {"activation": "tanh"},
    "squared a number": {"squared": 2},
    "negative smooth": {"smooth": -1.0},
    "infinite smooth": {"smooth": np.inf},
    "smooth a word": {"smooth": "no"},
    "batch a word": {"batch": "yes"},
    "background None": {"background": None},
    "unknown reduction": {"reduction": "max"},
}
L, C, B = np.full((3, 2, 4, 5), 0.5), np.array([0, 1, 1]), np.full((3, 4, 5), 0.5)
WRONG_MASKS: dict[str, dict[str, Any]] = {
    "integer input": {"input": L.astype(int)},
    "three axes": {"input": L[:, 0]},
    "floating labels": {"labels": C.astype(np.float64)},
    "label too high": {"labels": C + 1},
    "negative label": {"labels": C - 1},
    "number of labels": {"labels": C[:2]},
    "shape of target": {"target": B[:, :3]},
    "target above 1": {"target": 3 * B},
    "target NaN": {"target": np.nan * B},
    "dtype of target": {"target": B.astype(np.float32)},
    "unknown reduction": {"reduction": "max"},
}
SIZES: dict[str, dict[str, Any]] = {
    "no channels": {"in_channels": 0},
    "no classes": {"num_classes": 0},
    "no layers": {"layers": ()},
    "an empty layer": {"layers": (2, 0)},
    "layers a number": {"layers": 4},
    "no dilation": {"dilation": 0},
    "half a channel": {"dim_reduced": 2.5},
}
REFUSALS = [
    *(
        Refusal(
            f"dice_loss: {what}",
            functools.partial(F.dice_loss, **{"input": X, "target": T, **wrong}),
            "dice_loss",
        )
        for what, wrong in WRONG.items()
    ),
    Refusal("DiceLoss: activation", lambda: nn.DiceLoss("relu"), "DiceLoss"),
    Refusal("DiceLoss: smooth", lambda: nn.DiceLoss(smooth=-0.5), "DiceLoss"),
    Refusal("DiceLoss: squared", lambda: nn.DiceLoss(squared=unchecked("yes")), "DiceLoss"),
    Refusal("DiceLoss: reduction", lambda: nn.DiceLoss(reduction="all"), "DiceLoss"),
    *(
        Refusal(
            f"mask_loss: {what}",
            functools.partial(F.mask_loss, **{"input": L, "labels": C, "target": B, **wrong}),
            "mask_loss",
        )
        for what, wrong in WRONG_MASKS.items()
    ),
    *(
        Refusal(
            f"MaskHead: {what}", functools.partial(scratch.models.MaskHead, **wrong), "MaskHead"
        )
        for what, wrong in SIZES.items()
    ),
]
