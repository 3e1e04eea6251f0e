"""Convolution and its transpose over one to three axes: every option, odd sizes, what misfits."""

from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.random import Generator

LECUN = "LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11), section II.A"
ZEILER = "Zeiler, Krishnan, Taylor & Fergus 2010, Deconvolutional Networks, CVPR"
DUMOULIN = "Dumoulin & Visin 2016, arXiv:1603.07285, chapters 2 and 4"
START = "LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.6 (the 1/sqrt(in))"
INFINITE = "differences of infinities do not exist"


def zeros(*shape: int) -> Array:
    """What a refused call is given."""
    return np.zeros(shape)


def case(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    bias: bool = True,
    zero: tuple[str, ...] = (),
    **options: Any,
) -> Case:
    """A convolution of normal values: shapes of x and W, and the options."""
    return Case(
        name,
        lambda d: Call(d.normal(*x), d.normal(*w), d.normal(w[0]) if bias else None, **options),
        zero=zero,
    )


def transposed(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    bias: bool = True,
    zero: tuple[str, ...] = (),
    **options: Any,
) -> Case:
    """The same of a transposed one, whose bias is as long as W's second axis times the groups."""
    out = w[1] * int(options.get("groups", 1))
    return Case(
        name,
        lambda d: Call(d.normal(*x), d.normal(*w), d.normal(out) if bias else None, **options),
        zero=zero,
    )


def layer(name: str, x: tuple[int, ...], *args: Any, **options: Any) -> Case:
    """A module on normal values."""
    return Case(name, lambda d: Call(d.normal(*x)), init=Call(*args, **options))


def not_finite(d: Draw) -> Call:
    """One NaN and one infinity, which only the windows that see them may pass on."""
    x = d.normal(2, 3, 7, 6)
    x[0, 1, 2, 3], x[1, 2, 0, 0] = np.nan, np.inf
    return Call(x, d.normal(4, 3, 3, 2), d.normal(4), padding=1)


def not_finite_depthwise(d: Draw) -> Call:
    """The same, of a kernel for each channel."""
    x = d.normal(2, 3, 7, 6)
    x[0, 1, 2, 3], x[1, 2, 0, 0] = np.nan, np.inf
    return Call(x, d.normal(3, 1, 3, 2), d.normal(3), padding=1, groups=3)


def conv_start(input: Array) -> tuple[Array, Backward]:
    """A fresh Conv2d, applied."""
    layer = nn.Conv2d(4, 6, (3, 2), groups=2, dtype=input.dtype, generator=Generator(0))
    return layer(input)


def torch_conv_start(input: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 6, (3, 2), groups=2, dtype=input.dtype).to(input.device)
    y: torch.Tensor = layer(input)
    return y


def transpose_start(input: Array) -> tuple[Array, Backward]:
    """A fresh ConvTranspose2d, applied."""
    layer = nn.ConvTranspose2d(4, 6, (3, 2), groups=2, dtype=input.dtype, generator=Generator(0))
    return layer(input)


def torch_transpose_start(input: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    torch.manual_seed(0)
    layer = torch.nn.ConvTranspose2d(4, 6, (3, 2), groups=2, dtype=input.dtype).to(input.device)
    y: torch.Tensor = layer(input)
    return y


NO_DATA = ("weight", "bias")
ENTRIES = [
    Op(
        "conv1d",
        F.conv1d,
        torch.nn.functional.conv1d,
        source=LECUN,
        cases=(
            case("plain", (2, 3, 7), (4, 3, 3)),
            case("without bias", (2, 3, 7), (4, 3, 2), bias=False),
            case("no batch", (3, 7), (4, 3, 3), padding=1),
            case("stride 3, an end that no window sees", (2, 3, 10), (4, 3, 2), stride=3),
            case("all", (2, 4, 9), (6, 2, 3), stride=2, padding=4, dilation=3, groups=2),
            case("stride 4, dilation 6", (2, 3, 17), (4, 3, 3), stride=4, padding=5, dilation=6),
            case("same, even kernel", (2, 3, 7), (4, 3, 4), padding="same"),
            case("valid, stride 2", (2, 3, 8), (4, 3, 4), padding="valid", stride=2),
            case("depthwise, two each", (2, 3, 8), (6, 1, 3), groups=3, padding=1),
            case("depthwise, stride 3", (2, 3, 11), (3, 1, 2), groups=3, padding=2, stride=3),
            case("many channels", (2, 11, 8), (9, 11, 3), padding=1),
            case("many channels, stride 2", (2, 11, 8), (9, 11, 3), padding=1, stride=2),
            case("sizes 1", (1, 1, 1), (1, 1, 1)),
            case("kernel of 1, stride 2", (2, 9, 7), (4, 9, 1), stride=2),
            case("no images", (0, 3, 7), (4, 3, 3), zero=NO_DATA),
        ),
    ),
    Op(
        "conv2d",
        F.conv2d,
        torch.nn.functional.conv2d,
        source=LECUN,
        cases=(
            case("plain", (2, 3, 7, 6), (4, 3, 3, 2)),
            case("without bias", (2, 3, 7, 6), (4, 3, 3, 2), bias=False, padding=1),
            case("no batch", (3, 7, 6), (4, 3, 3, 2), padding=(1, 2)),
            case("one image", (1, 3, 7, 6), (4, 3, 3, 2), padding=[2, 0]),
            case("one size for both", (2, 3, 7, 6), (4, 3, 3, 2), stride=(2,), padding=(1,)),
            case("stride", (2, 3, 8, 9), (4, 3, 3, 2), stride=(2, 3)),
            case("stride in rows only", (2, 9, 8, 9), (4, 9, 3, 2), stride=(2, 1), padding=1),
            case("stride in columns only", (2, 9, 8, 9), (4, 9, 3, 2), stride=(1, 3), padding=1),
            case("stride beyond the kernel", (2, 9, 8, 9), (4, 9, 2, 1), stride=(3, 4)),
            case("padding beyond the kernel", (2, 3, 4, 3), (4, 3, 2, 3), padding=(5, 4)),
            case(
                "nothing but padding seen",
                (2, 9, 1, 1),
                (4, 9, 2, 1),
                padding=(2, 1),
                stride=3,
                zero=("input", "weight"),
            ),
            case("dilation", (2, 3, 9, 8), (4, 3, 3, 2), dilation=(2, 3)),
            case("dilation, narrow", (2, 9, 9, 8), (4, 9, 3, 2), dilation=(2, 3), padding=3),
            case(
                "stride 2, dilation 4", (2, 9, 9, 8), (4, 9, 3, 2), dilation=4, padding=5, stride=2
            ),
            case(
                "stride 4, dilation 6", (2, 9, 9, 8), (4, 9, 3, 2), dilation=6, padding=7, stride=4
            ),
            case("groups", (2, 6, 7, 6), (4, 3, 3, 2), groups=2, padding=1),
            case("wide groups", (2, 18, 5, 6), (4, 9, 3, 2), groups=2, padding=1, stride=(1, 2)),
            case("depthwise", (2, 3, 7, 6), (3, 1, 3, 2), groups=3, padding=1),
            case("depthwise, two each", (2, 3, 7, 6), (6, 1, 3, 3), groups=3, padding=(2, 0)),
            case(
                "depthwise, stride", (2, 3, 8, 7), (3, 1, 3, 2), groups=3, padding=1, stride=(2, 3)
            ),
            case(
                "depthwise, all",
                (2, 3, 11, 9),
                (6, 1, 3, 2),
                groups=3,
                padding=(4, 1),
                stride=(3, 2),
                dilation=(2, 4),
            ),
            case("depthwise, no batch", (3, 7, 6), (3, 1, 3, 3), groups=3, padding=2),
            case("same, even and odd", (2, 3, 7, 6), (4, 3, 4, 3), padding="same", dilation=(1, 2)),
            case(
                "same, even, dilated", (2, 9, 7, 6), (4, 9, 2, 4), padding="same", dilation=(3, 1)
            ),
            case("same, depthwise", (2, 3, 7, 6), (3, 1, 2, 4), padding="same", groups=3),
            case("valid", (2, 3, 7, 6), (4, 3, 3, 2), padding="valid", stride=2),
            case("1 x 1", (2, 9, 5, 6), (4, 9, 1, 1)),
            case("1 x 1, groups", (2, 6, 5, 7), (4, 3, 1, 1), groups=2),
            case("1 x 1, padded", (2, 9, 5, 7), (4, 9, 1, 1), padding=(1, 2)),
            case("1 x 1, stride 2", (2, 9, 5, 6), (4, 9, 1, 1), stride=2),
            case("1 x 3", (2, 9, 5, 6), (4, 9, 1, 3), padding=(0, 1)),
            case("3 x 1", (2, 9, 5, 6), (4, 9, 3, 1), padding=(1, 0)),
            case("kernel as large as the image", (2, 3, 5, 4), (4, 3, 5, 4)),
            case("one channel in", (2, 1, 7, 6), (4, 1, 3, 3), padding=1),
            case("one channel out", (2, 3, 7, 6), (1, 3, 3, 3), padding=1),
            case("sizes 1", (1, 1, 1, 1), (1, 1, 1, 1)),
            case("no images", (0, 3, 7, 6), (4, 3, 3, 2), zero=NO_DATA),
            case("no images, depthwise", (0, 3, 7, 6), (3, 1, 3, 2), groups=3, zero=NO_DATA),
            Case("large", lambda d: Call(d.normal(2, 3, 5, 4, scale=1e12), d.normal(4, 3, 2, 3))),
            Case("small", lambda d: Call(d.normal(2, 3, 5, 4, scale=1e-12), d.normal(4, 3, 2, 3))),
            Case("NaN and infinity", not_finite, surrogate=INFINITE),
            Case("NaN and infinity, depthwise", not_finite_depthwise, surrogate=INFINITE),
        ),
    ),
    Op(
        "conv3d",
        F.conv3d,
        torch.nn.functional.conv3d,
        source="Tran, Bourdev, Fergus, Torresani & Paluri 2015, arXiv:1412.0767",
        cases=(
            case("plain", (2, 3, 4, 6, 5), (4, 3, 2, 3, 1)),
            case("no batch", (3, 4, 6, 5), (4, 3, 2, 3, 1), bias=False, padding=(1, 2, 0)),
            case("many channels", (2, 9, 4, 3, 5), (3, 9, 2, 3, 2), padding=1),
            case("same", (2, 3, 4, 3, 5), (4, 3, 2, 3, 4), padding="same"),
            case(
                "all",
                (2, 4, 5, 6, 7),
                (6, 2, 2, 3, 2),
                stride=(1, 2, 3),
                padding=(0, 2, 1),
                dilation=(2, 1, 3),
                groups=2,
            ),
            case(
                "depthwise", (2, 3, 4, 5, 6), (3, 1, 2, 3, 2), groups=3, stride=(2, 1, 2), padding=1
            ),
            case("sizes 1", (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
        ),
    ),
    Op(
        "conv_transpose1d",
        F.conv_transpose1d,
        torch.nn.functional.conv_transpose1d,
        source=ZEILER,
        cases=(
            transposed("plain", (2, 3, 5), (3, 4, 3)),
            transposed("no batch", (3, 5), (3, 4, 3), bias=False, stride=2),
            transposed(
                "all",
                (2, 4, 5),
                (4, 3, 3),
                stride=3,
                padding=2,
                output_padding=2,
                groups=2,
                dilation=2,
            ),
            transposed("many channels", (2, 9, 5), (9, 10, 4), stride=2, padding=1),
            transposed("depthwise", (2, 3, 5), (3, 1, 4), stride=2, padding=1, groups=3),
            transposed("sizes 1", (1, 1, 1), (1, 1, 1)),
            transposed("no images", (0, 3, 5), (3, 4, 3), zero=NO_DATA),
        ),
    ),
    Op(
        "conv_transpose2d",
        F.conv_transpose2d,
        torch.nn.functional.conv_transpose2d,
        source=ZEILER,
        cases=(
            transposed("plain", (2, 3, 5, 4), (3, 4, 3, 2)),
            transposed("without bias", (2, 3, 5, 4), (3, 4, 3, 2), bias=False),
            transposed("no batch", (3, 5, 4), (3, 4, 3, 2), padding=(1, 0)),
            transposed("as many out as in", (2, 3, 5, 4), (3, 3, 3, 2), stride=(2, 1)),
            transposed("stride", (2, 3, 5, 4), (3, 4, 3, 2), stride=(2, 3)),
            transposed("many channels", (2, 9, 5, 4), (9, 10, 4, 3), stride=(2, 3), padding=1),
            transposed(
                "output_padding", (2, 3, 4, 3), (3, 9, 2, 3), stride=3, output_padding=(1, 2)
            ),
            transposed(
                "output_padding of dilation",
                (2, 3, 4, 3),
                (3, 4, 2, 3),
                dilation=(3, 2),
                output_padding=(2, 1),
                padding=(1, 2),
            ),
            transposed("dilation", (2, 3, 4, 3), (3, 4, 2, 3), dilation=(3, 2)),
            transposed("padding beyond the kernel", (2, 3, 6, 7), (3, 9, 2, 3), padding=(2, 3)),
            transposed("groups", (2, 6, 4, 3), (6, 4, 2, 3), groups=2, stride=2, padding=1),
            transposed("depthwise", (2, 3, 4, 5), (3, 1, 4, 4), groups=3, stride=2, padding=1),
            transposed("depthwise, two each", (2, 3, 4, 5), (3, 2, 4, 3), groups=3, stride=2),
            transposed(
                "all",
                (2, 4, 4, 3),
                (4, 3, 2, 3),
                stride=(2, 3),
                padding=(1, 2),
                output_padding=(1, 0),
                groups=2,
                dilation=(3, 2),
            ),
            transposed("1 x 1", (2, 9, 4, 3), (9, 10, 1, 1)),
            transposed("1 x 1, stride 2", (2, 9, 4, 3), (9, 10, 1, 1), stride=2),
            transposed("one channel out", (2, 9, 4, 3), (9, 1, 4, 4), stride=2, padding=1),
            transposed("sizes 1", (1, 1, 1, 1), (1, 1, 1, 1)),
            transposed("no images", (0, 3, 5, 4), (3, 4, 3, 2), zero=NO_DATA),
        ),
    ),
    Op(
        "conv_transpose3d",
        F.conv_transpose3d,
        torch.nn.functional.conv_transpose3d,
        source=DUMOULIN,
        cases=(
            transposed("plain", (2, 3, 2, 4, 3), (3, 4, 3, 2, 1)),
            transposed("no batch", (3, 2, 4, 3), (3, 4, 3, 2, 1), bias=False, stride=2),
            transposed(
                "all",
                (2, 4, 2, 4, 3),
                (4, 3, 2, 3, 1),
                stride=(1, 2, 3),
                padding=(1, 2, 0),
                output_padding=(1, 1, 2),
                groups=2,
                dilation=(2, 3, 1),
            ),
        ),
    ),
    Layer(
        "Conv1d",
        nn.Conv1d,
        torch.nn.Conv1d,
        source=LECUN,
        cases=(
            layer("plain", (2, 3, 7), 3, 4, 3),
            layer("no batch", (3, 7), 3, 4, 3, bias=False, padding="same"),
            layer("all", (2, 4, 9), 4, 6, 3, stride=2, padding=3, dilation=2, groups=2),
            layer("reflect", (2, 3, 7), 3, 4, 3, padding=2, padding_mode="reflect"),
            layer("circular", (2, 3, 7), 3, 4, (4,), padding="same", padding_mode="circular"),
        ),
    ),
    Layer(
        "Conv2d",
        nn.Conv2d,
        torch.nn.Conv2d,
        source=LECUN,
        cases=(
            layer("plain", (2, 3, 7, 6), 3, 4, 3),
            layer("without bias", (2, 3, 7, 6), 3, 4, (3, 2), bias=False),
            layer("no batch", (3, 7, 6), 3, 4, (3, 2), padding=(1, 0)),
            layer("all", (2, 4, 9, 8), 4, 6, (3, 2), (2, 3), (1, 2), (3, 2), 2, True, "zeros"),
            layer("depthwise", (2, 3, 7, 6), 3, 6, 3, padding=1, groups=3, stride=2),
            layer("same", (2, 3, 7, 6), 3, 4, (4, 3), padding="same", dilation=(1, 2)),
            layer("valid", (2, 3, 7, 6), 3, 4, (4, 3), padding="valid", stride=2),
            layer("reflect", (2, 3, 7, 6), 3, 4, 3, padding=(2, 1), padding_mode="reflect"),
            layer("replicate", (2, 3, 7, 6), 3, 4, 3, padding=(2, 4), padding_mode="replicate"),
            layer("circular", (2, 3, 7, 6), 3, 4, 3, 2, (2, 1), padding_mode="circular"),
            layer(
                "reflect, same", (2, 3, 7, 6), 3, 4, (4, 3), padding="same", padding_mode="reflect"
            ),
            layer("replicate, none", (2, 3, 7, 6), 3, 4, 3, padding_mode="replicate"),
            layer("circular, no batch", (3, 7, 6), 3, 4, 2, padding=1, padding_mode="circular"),
        ),
    ),
    Layer(
        "Conv3d",
        nn.Conv3d,
        torch.nn.Conv3d,
        source="Tran, Bourdev, Fergus, Torresani & Paluri 2015, arXiv:1412.0767",
        cases=(
            layer("plain", (2, 3, 4, 6, 5), 3, 4, (2, 3, 1)),
            layer("no batch", (3, 4, 6, 5), 3, 4, 2, bias=False, padding="same"),
            layer("all", (2, 4, 5, 6, 7), 4, 6, 2, (1, 2, 3), (1, 0, 2), (2, 1, 3), groups=2),
            layer(
                "replicate", (2, 3, 4, 3, 5), 3, 4, 3, padding=(1, 2, 0), padding_mode="replicate"
            ),
        ),
    ),
    Layer(
        "ConvTranspose1d",
        nn.ConvTranspose1d,
        torch.nn.ConvTranspose1d,
        source=ZEILER,
        cases=(
            layer("plain", (2, 3, 5), 3, 4, 3),
            layer("all", (2, 4, 5), 4, 6, 3, 3, 2, 1, 2, False, 2),
        ),
    ),
    Layer(
        "ConvTranspose2d",
        nn.ConvTranspose2d,
        torch.nn.ConvTranspose2d,
        source=ZEILER,
        cases=(
            layer("plain", (2, 3, 5, 4), 3, 4, 3),
            layer("no batch", (3, 5, 4), 3, 4, (3, 2), bias=False, stride=2),
            layer("all", (2, 4, 5, 4), 4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, True, (2, 1)),
            layer("4 x 4, stride 2", (2, 9, 5, 4), 9, 10, 4, stride=2, padding=1),
            Case(
                "output_size",
                lambda d: Call(d.normal(2, 3, 4, 5), output_size=(10, 15)),
                init=Call(3, 4, (3, 2), stride=(2, 3), dilation=(1, 2), output_padding=1),
            ),
            Case(
                "output_size with the leading axes",
                lambda d: Call(d.normal(2, 3, 4, 5), [2, 4, 9, 16]),
                init=Call(3, 4, (3, 2), stride=(2, 3), dilation=(1, 2)),
            ),
            Case(
                "output_size without a batch",
                lambda d: Call(d.normal(3, 4, 5), (4, 10, 17)),
                init=Call(3, 4, (3, 2), stride=(2, 3), dilation=(1, 2)),
            ),
        ),
    ),
    Layer(
        "ConvTranspose3d",
        nn.ConvTranspose3d,
        torch.nn.ConvTranspose3d,
        source=DUMOULIN,
        cases=(
            layer("plain", (2, 3, 2, 4, 3), 3, 4, (3, 2, 1)),
            layer("all", (2, 4, 2, 4, 3), 4, 6, 2, (1, 2, 3), 1, (0, 1, 2), 2, False, (1, 1, 2)),
        ),
    ),
    Op(
        "Conv2d from its start",
        conv_start,
        torch_conv_start,
        source=START,
        cases=(Case("seed 0", lambda d: Call(d.normal(2, 4, 5, 6))),),
    ),
    Op(
        "ConvTranspose2d from its start",
        transpose_start,
        torch_transpose_start,
        source=START,
        cases=(Case("seed 0", lambda d: Call(d.normal(2, 4, 5, 6))),),
    ),
]

X, W, WT = zeros(2, 3, 7, 6), zeros(4, 3, 3, 2), zeros(3, 4, 3, 2)


def conv(what: str, *args: Any, **options: Any) -> Refusal:
    """A `conv2d` that must be refused."""
    return Refusal(f"conv2d: {what}", lambda: F.conv2d(*args, **options), "conv2d")


def transpose(what: str, *args: Any, **options: Any) -> Refusal:
    """A `conv_transpose2d` that must be refused."""
    name = "conv_transpose2d"
    return Refusal(f"{name}: {what}", lambda: F.conv_transpose2d(*args, **options), name)


def output_size(*wanted: Any) -> Any:
    """A transposed convolution of (2, 3, 4, 5) asked for a size."""
    return nn.ConvTranspose2d(3, 4, 3, stride=2, dtype=np.float64)(zeros(2, 3, 4, 5), *wanted)


REFUSALS = [
    conv("integer input", np.zeros((2, 3, 7, 6), int), W),
    conv("a list", [0.0], W),
    conv("two dtypes", X, W.astype("f")),
    conv("dtype of bias", X, W, np.zeros(4, "f")),
    conv("2-d input", zeros(7, 6), W),
    conv("5-d input", zeros(1, 2, 3, 7, 6), W),
    conv("3-d weight", X, zeros(4, 3, 3)),
    conv("channels", zeros(2, 4, 7, 6), W),
    conv("channels under groups", X, W, groups=2),
    conv("outputs under groups", zeros(2, 9, 7, 6), W, groups=3),
    conv("length of bias", X, W, zeros(3)),
    conv("kernel larger than the image", zeros(2, 3, 2, 6), W),
    conv("dilated kernel larger than the padded image", X, W, dilation=5, padding=1),
    conv("no rows", zeros(2, 3, 0, 6), W, padding=3),
    conv("no channels", zeros(2, 0, 7, 6), zeros(4, 0, 3, 2)),
    conv("no outputs", X, zeros(0, 3, 3, 2)),
    conv("stride 0", X, W, stride=0),
    conv("half a stride", X, W, stride=1.5),
    conv("three strides", X, W, stride=(1, 1, 1)),
    conv("negative padding", X, W, padding=(1, -1)),
    conv("dilation 0", X, W, dilation=(0, 1)),
    conv("groups 0", X, W, groups=0),
    conv("groups as a pair", X, W, groups=(1, 1)),
    conv("unknown padding", X, W, padding="full"),
    conv("same with a stride", X, W, padding="same", stride=(1, 2)),
    conv("a string for a stride", X, W, stride="same"),
    Refusal("conv1d: channels", lambda: F.conv1d(zeros(2, 4, 7), zeros(4, 3, 3)), "conv1d"),
    Refusal("conv1d: images", lambda: F.conv1d(X, W), "conv1d"),
    Refusal("conv1d: dtype", lambda: F.conv1d(zeros(3, 7), np.zeros((4, 3, 3), "f")), "conv1d"),
    Refusal("conv1d: stride", lambda: F.conv1d(zeros(3, 7), zeros(4, 3, 3), None, -1), "conv1d"),
    Refusal(
        "conv1d: padding",
        lambda: F.conv1d(zeros(3, 7), zeros(4, 3, 3), padding="zeros"),
        "conv1d",
    ),
    Refusal("conv3d: images", lambda: F.conv3d(X, W), "conv3d"),
    Refusal("conv3d: kernel", lambda: F.conv3d(zeros(3, 2, 7, 6), zeros(4, 3, 3, 3, 2)), "conv3d"),
    Refusal(
        "conv3d: two strides",
        lambda: F.conv3d(zeros(3, 4, 7, 6), zeros(4, 3, 3, 3, 2), stride=(1, 2)),
        "conv3d",
    ),
    Refusal(
        "conv3d: dtype",
        lambda: F.conv3d(zeros(3, 4, 7, 6).astype(int), zeros(4, 3, 3, 3, 2)),
        "conv3d",
    ),
    Refusal(
        "conv2d: shape of dy",
        lambda: F.conv2d(X, W)[1](zeros(2, 4, 5, 4)),
        "conv2d backward",
    ),
    transpose("integer input", np.zeros((2, 3, 7, 6), int), WT),
    transpose("two dtypes", X, WT.astype("f")),
    transpose("2-d input", zeros(7, 6), WT),
    transpose("3-d weight", X, zeros(3, 4, 3)),
    transpose("channels", X, W),
    transpose("channels under groups", X, WT, groups=2),
    transpose("length of bias", X, WT, zeros(3)),
    transpose("length of bias under groups", X, WT, zeros(4), groups=3),
    transpose("nothing left", X, WT, padding=5),
    transpose("no columns", zeros(2, 3, 7, 0), WT),
    transpose("no outputs", X, zeros(3, 0, 3, 2)),
    transpose("output_padding as large as the stride", X, WT, stride=2, output_padding=(1, 2)),
    transpose("negative output_padding", X, WT, stride=2, output_padding=-1),
    transpose("padding as a word", X, WT, padding="same"),
    transpose("negative padding", X, WT, padding=-1),
    transpose("stride 0", X, WT, stride=0),
    transpose("dilation 0", X, WT, dilation=0),
    transpose("groups 0", X, WT, groups=0),
    Refusal(
        "conv_transpose1d: channels",
        lambda: F.conv_transpose1d(zeros(2, 4, 7), zeros(3, 4, 3)),
        "conv_transpose1d",
    ),
    Refusal(
        "conv_transpose1d: dtype",
        lambda: F.conv_transpose1d(zeros(2, 3, 7), np.zeros((3, 4, 3), "f")),
        "conv_transpose1d",
    ),
    Refusal(
        "conv_transpose1d: stride",
        lambda: F.conv_transpose1d(zeros(2, 3, 7), zeros(3, 4, 3), stride=0),
        "conv_transpose1d",
    ),
    Refusal("conv_transpose3d: images", lambda: F.conv_transpose3d(X, WT), "conv_transpose3d"),
    Refusal(
        "conv_transpose3d: dtype",
        lambda: F.conv_transpose3d(zeros(3, 2, 7, 6).astype(int), zeros(3, 4, 3, 3, 2)),
        "conv_transpose3d",
    ),
    Refusal(
        "conv_transpose3d: output_padding",
        lambda: F.conv_transpose3d(zeros(3, 2, 7, 6), zeros(3, 4, 3, 3, 2), output_padding=1),
        "conv_transpose3d",
    ),
    Refusal("Conv1d: half a size", lambda: nn.Conv1d(3, 4, unchecked(2.5)), "Conv1d"),
    Refusal("Conv1d: groups", lambda: nn.Conv1d(3, 4, 3, groups=2), "Conv1d"),
    Refusal("Conv2d: negative size", lambda: nn.Conv2d(-3, 4, 3), "Conv2d"),
    Refusal("Conv2d: kernel of 0", lambda: nn.Conv2d(3, 4, 0), "Conv2d"),
    Refusal("Conv2d: three sizes", lambda: nn.Conv2d(3, 4, (3, 3, 3)), "Conv2d"),
    Refusal("Conv2d: inputs under groups", lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d"),
    Refusal("Conv2d: outputs under groups", lambda: nn.Conv2d(6, 4, 3, groups=3), "Conv2d"),
    Refusal("Conv2d: groups 0", lambda: nn.Conv2d(3, 4, 3, groups=0), "Conv2d"),
    Refusal("Conv2d: unknown padding", lambda: nn.Conv2d(3, 4, 3, padding="full"), "Conv2d"),
    Refusal("Conv2d: same with a stride", lambda: nn.Conv2d(3, 4, 3, 2, padding="same"), "Conv2d"),
    Refusal("Conv2d: padding_mode", lambda: nn.Conv2d(3, 4, 3, padding_mode="constant"), "Conv2d"),
    Refusal("Conv2d: integer dtype", lambda: nn.Conv2d(3, 4, 3, dtype=np.int64), "Parameter"),
    Refusal("Conv2d: dtype of input", lambda: nn.Conv2d(3, 4, 3)(zeros(2, 3, 7, 6)), "conv2d"),
    Refusal("Conv3d: two sizes", lambda: nn.Conv3d(3, 4, (3, 3)), "Conv3d"),
    Refusal("Conv3d: stride 0", lambda: nn.Conv3d(3, 4, 3, 0), "Conv3d"),
    Refusal(
        "ConvTranspose1d: padding_mode",
        lambda: nn.ConvTranspose1d(3, 4, 3, padding_mode="reflect"),
        "ConvTranspose1d",
    ),
    Refusal(
        "ConvTranspose2d: padding as a word",
        lambda: nn.ConvTranspose2d(3, 4, 3, padding=unchecked("same")),
        "ConvTranspose2d",
    ),
    Refusal(
        "ConvTranspose2d: output_padding",
        lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=-1),
        "ConvTranspose2d",
    ),
    Refusal("ConvTranspose2d: output_size too small", lambda: output_size((8, 11)), "ConvTr"),
    Refusal("ConvTranspose2d: output_size too large", lambda: output_size((9, 13)), "ConvTr"),
    Refusal("ConvTranspose2d: three sizes", lambda: output_size((9, 11, 1)), "ConvTr"),
    Refusal("ConvTranspose2d: output_size a number", lambda: output_size(9), "ConvTr"),
    Refusal("ConvTranspose3d: groups", lambda: nn.ConvTranspose3d(3, 4, 3, groups=2), "ConvTr"),
]
