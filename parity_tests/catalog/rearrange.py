"""Rearrangements: blocks to columns and back, pixels to channels and back, channels of groups."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal
from scratch import nn
from scratch.nn import functional as F

IM2COL = "Chellapilla, Puri & Simard 2006, IWFHR: High Performance CNNs, section 3.1"
SUB_PIXEL = "Shi, Caballero, Huszar, Totz, Aitken, Bishop, Rueckert & Wang 2016, arXiv:1609.05158"
SHUFFLENET = "Zhang, Zhou, Lin & Sun 2017, arXiv:1707.01083, section 3.1"

# name, shape of the image, options by name
GRIDS: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("square", (2, 3, 4, 5), {"kernel_size": 2}),
    ("oblong", (2, 3, 5, 6), {"kernel_size": (3, 2)}),
    ("stride", (2, 3, 5, 6), {"kernel_size": (2, 3), "stride": (3, 2)}),
    ("stride that leaves a rest", (2, 3, 6, 7), {"kernel_size": 2, "stride": 3}),
    ("stride as the kernel", (2, 3, 4, 6), {"kernel_size": (2, 3), "stride": (2, 3)}),
    ("padding", (2, 3, 3, 4), {"kernel_size": 3, "padding": (1, 2)}),
    ("padding wider than the kernel", (1, 2, 2, 3), {"kernel_size": 2, "padding": 3}),
    ("dilation", (2, 3, 6, 7), {"kernel_size": (2, 3), "dilation": (3, 2)}),
    (
        "everything",
        (2, 3, 7, 8),
        {"kernel_size": [3, 2], "dilation": [2, 3], "padding": [2, 1], "stride": [1, 2]},
    ),
    ("one block", (2, 3, 4, 5), {"kernel_size": (4, 5)}),
    ("kernel 1", (2, 3, 2, 4), {"kernel_size": 1}),
    ("kernel 1, stride 2", (2, 3, 3, 4), {"kernel_size": 1, "stride": 2}),
    ("no batch", (3, 4, 5), {"kernel_size": (2, 3), "padding": 1, "stride": (2, 1)}),
    ("no samples", (0, 3, 4, 5), {"kernel_size": 2}),
    ("sizes 1", (1, 1, 1, 1), {"kernel_size": 1}),
    ("only padding sees", (1, 1, 1, 1), {"kernel_size": 2, "padding": 2, "stride": 2}),
)


def columns(shape: tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """Shape of the unfolded image, by torch."""
    return tuple(torch.nn.functional.unfold(torch.zeros(shape), **options).shape)


def unfold_case(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> Case:
    return Case(name, lambda d: Call(d.normal(*shape), **options))


def fold_case(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> Case:
    blocks = columns(shape, options)
    return Case(name, lambda d: Call(d.normal(*blocks), shape[-2:], **options))


def unfold_layer(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> Case:
    return Case(name, lambda d: Call(d.normal(*shape)), init=Call(**options))


def fold_layer(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> Case:
    blocks = columns(shape, options)
    return Case(name, lambda d: Call(d.normal(*blocks)), init=Call(shape[-2:], **options))


# name, shape, factor; torch's gradients fail on empty arrays: see test_rearrange
SHUFFLES = (
    ("batch", (2, 12, 3, 4), 2),
    ("no batch", (8, 3, 2), 2),
    ("factor 3", (2, 18, 2, 3), 3),
    ("factor 1", (2, 3, 4, 5), 1),
    ("two axes in front", (2, 3, 8, 1, 2), 2),
    ("sizes 1", (1, 4, 1, 1), 2),
)
UNSHUFFLES = (
    ("batch", (2, 3, 6, 4), 2),
    ("no batch", (3, 4, 2), 2),
    ("factor 3", (2, 2, 3, 6), 3),
    ("factor 1", (2, 3, 4, 5), 1),
    ("two axes in front", (2, 3, 2, 2, 4), 2),
    ("sizes 1", (1, 1, 2, 2), 2),
)
GROUPS = (
    ("two groups", (2, 6, 3, 4), 2),
    ("three groups", (2, 6, 3, 4), 3),
    ("one group", (2, 6, 3), 1),
    ("a group a channel", (2, 6, 3), 6),
    ("one spatial axis", (3, 8, 5), 4),
    ("axes that groups divide", (4, 8, 6), 2),
    ("three spatial axes", (2, 6, 2, 3, 2), 2),
    ("no samples", (0, 6, 3), 2),
    ("nothing behind", (2, 6, 0), 3),
    ("sizes 1", (1, 1, 1), 1),
)


def op_case(name: str, shape: tuple[int, ...], number: int) -> Case:
    return Case(name, lambda d: Call(d.normal(*shape), number))


def layer_case(name: str, shape: tuple[int, ...], number: int) -> Case:
    return Case(name, lambda d: Call(d.normal(*shape)), init=Call(number))


ENTRIES = [
    Op(
        "unfold",
        F.unfold,
        torch.nn.functional.unfold,
        source=IM2COL,
        cases=(
            *(unfold_case(*grid) for grid in GRIDS),
            Case("by position", lambda d: Call(d.normal(2, 3, 7, 8), (3, 2), 2, (1, 0), (1, 3))),
            Case("dilation before stride", lambda d: Call(d.normal(2, 3, 4, 7), (2, 3), 2)),
            Case("transposed", lambda d: Call(d.normal(5, 4, 3, 2).T, 2, padding=1)),
        ),
    ),
    Op(
        "fold",
        F.fold,
        torch.nn.functional.fold,
        source=IM2COL,
        cases=(
            *(fold_case(*grid) for grid in GRIDS),
            Case("by position", lambda d: Call(d.normal(2, 18, 6), (7, 8), (3, 2), 2, 0, (1, 3))),
            Case("a square image", lambda d: Call(d.normal(2, 12, 9), 4, 2)),
            Case("transposed", lambda d: Call(d.normal(12, 8, 2).T, (3, 7), 2)),
        ),
    ),
    Op(
        "pixel_shuffle",
        F.pixel_shuffle,
        torch.nn.functional.pixel_shuffle,
        source=SUB_PIXEL,
        cases=tuple(op_case(*case) for case in SHUFFLES),
    ),
    Op(
        "pixel_unshuffle",
        F.pixel_unshuffle,
        torch.nn.functional.pixel_unshuffle,
        source=SUB_PIXEL,
        cases=tuple(op_case(*case) for case in UNSHUFFLES),
    ),
    Op(
        "channel_shuffle",
        F.channel_shuffle,
        torch.nn.functional.channel_shuffle,
        source=SHUFFLENET,
        cases=tuple(op_case(*case) for case in GROUPS),
    ),
    Layer(
        "Unfold",
        nn.Unfold,
        torch.nn.Unfold,
        source=IM2COL,
        cases=(
            *(unfold_layer(*grid) for grid in GRIDS),
            Case("by position", lambda d: Call(d.normal(2, 3, 7, 8)), init=Call(3, 2, 1, (1, 3))),
        ),
    ),
    Layer(
        "Fold",
        nn.Fold,
        torch.nn.Fold,
        source=IM2COL,
        cases=(
            *(fold_layer(*grid) for grid in GRIDS),
            Case("a square image", lambda d: Call(d.normal(2, 12, 4)), init=Call(4, 2, 1, 0, 2)),
        ),
    ),
    Layer(
        "PixelShuffle",
        nn.PixelShuffle,
        torch.nn.PixelShuffle,
        source=SUB_PIXEL,
        cases=tuple(layer_case(*case) for case in SHUFFLES),
    ),
    Layer(
        "PixelUnshuffle",
        nn.PixelUnshuffle,
        torch.nn.PixelUnshuffle,
        source=SUB_PIXEL,
        cases=tuple(layer_case(*case) for case in UNSHUFFLES),
    ),
    Layer(
        "ChannelShuffle",
        nn.ChannelShuffle,
        torch.nn.ChannelShuffle,
        source=SHUFFLENET,
        cases=tuple(layer_case(*case) for case in GROUPS),
    ),
]

BAD_GRIDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("kernel 0", {"kernel_size": 0}),
    ("a kernel of floats", {"kernel_size": 2.0}),
    ("a kernel of three sizes", {"kernel_size": (2, 2, 2)}),
    ("a kernel of one size", {"kernel_size": (2,)}),
    ("kernel as an array", {"kernel_size": np.ones(2, int)}),
    ("dilation 0", {"kernel_size": 2, "dilation": 0}),
    ("negative padding", {"kernel_size": 2, "padding": (0, -1)}),
    ("padding in words", {"kernel_size": 2, "padding": "same"}),
    ("stride 0", {"kernel_size": 2, "stride": (1, 0)}),
    ("stride of one size", {"kernel_size": 2, "stride": [1]}),
)
TOO_LARGE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("no block fits", {"kernel_size": (2, 6)}),
    ("no dilated block fits", {"kernel_size": 2, "dilation": 4}),
)


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def _unfold(shape: tuple[int, ...], **options: Any) -> Any:
    return F.unfold(np.ones(shape), **options)


def _fold(shape: tuple[int, ...], size: Any, **options: Any) -> Any:
    return F.fold(np.ones(shape), size, **options)


def _numbers(
    function: Callable[..., Any], module: type[nn.Module], good: tuple[int, ...], bad: Any
) -> list[Refusal]:
    """Refusals of the functions that take one positive integer."""
    name, cls = function.__name__, module.__name__
    wrong = (("zero", 0), ("negative", -2), ("a float", 2.0), ("a pair", (2, 2)), ("none", None))
    return [
        Refusal(f"{name}: integer input", partial(function, np.ones(good, int), 2), name),
        *(
            Refusal(f"{name}: shape {shape}", partial(function, np.ones(shape), 2), name)
            for shape in bad
        ),
        *(Refusal(f"{name}: {w}", partial(function, np.ones(good), n), name) for w, n in wrong),
        *(Refusal(f"{cls}: {w}", partial(_call, module, n), cls) for w, n in wrong),
    ]


REFUSALS = [
    Refusal("unfold: integer input", lambda: F.unfold(np.ones((2, 3, 4), int), 2), "unfold"),
    Refusal("fold: integer input", lambda: F.fold(np.ones((4, 9), int), 4, 2), "fold"),
    *(
        Refusal(f"unfold: {what}", partial(_unfold, (2, 3, 4, 5), **options), "unfold")
        for what, options in (*BAD_GRIDS, *TOO_LARGE)
    ),
    *(
        Refusal(f"fold: {what}", partial(_fold, (2, 12, 12), (4, 5), **options), "fold")
        for what, options in (*BAD_GRIDS, *TOO_LARGE)
    ),
    *(
        Refusal(f"Unfold: {what}", partial(_call, nn.Unfold, **options), "Unfold")
        for what, options in BAD_GRIDS
    ),
    *(
        Refusal(f"Fold: {what}", partial(_call, nn.Fold, (4, 5), **options), "Fold")
        for what, options in (*BAD_GRIDS, *TOO_LARGE)
    ),
    *(
        Refusal(f"unfold: input {shape}", partial(_unfold, shape, kernel_size=1), "unfold")
        for shape in ((4, 5), (1, 2, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (3, 4, 0), (0, 4, 5))
    ),
    *(
        Refusal(f"fold: input {shape}", partial(_fold, shape, (4, 5), kernel_size=2), "fold")
        for shape in ((12,), (2, 2, 12, 12), (2, 13, 12), (2, 12, 11), (2, 0, 12), (0, 12))
    ),
    *(
        Refusal(f"fold: output {size}", partial(_fold, (2, 12, 12), size, kernel_size=2), "fold")
        for size in ((4,), (4, 5, 1), (0, 5), (-4, 5), 4.0, None)
    ),
    Refusal("Fold: output of one size", lambda: nn.Fold((4,), 2), "Fold"),
    *_numbers(
        F.pixel_shuffle, nn.PixelShuffle, (2, 4, 3, 2), ((4, 3), (3, 3, 2), (2, 6, 3, 2), ())
    ),
    *_numbers(
        F.pixel_unshuffle, nn.PixelUnshuffle, (2, 3, 4, 2), ((4, 4), (3, 3, 2), (2, 3, 4, 5), ())
    ),
    *_numbers(
        F.channel_shuffle, nn.ChannelShuffle, (2, 4, 3), ((2, 4), (4,), (2, 5, 3), (4, 3, 2))
    ),
]
