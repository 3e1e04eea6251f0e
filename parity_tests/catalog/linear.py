"""Affine and bilinear maps, and the containers that networks are put together with."""

from typing import Any

import numpy as np
import torch

from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.random import Generator

LINEAR = "Rumelhart, Hinton & Williams 1986, Nature 323, eq. 1"
BILINEAR = "Tenenbaum & Freeman 2000, Neural Computation 12(6), eq. 1"
TORCH = "torch.nn (Paszke et al. 2019, arXiv:1912.01703)"


def zeros(*shape: int) -> Array:
    """What a refused call is given."""
    return np.zeros(shape)


def sequential() -> nn.Sequential:
    """Nested, and with a shape of its own in the middle."""
    inner = nn.Sequential(nn.Identity(), nn.Linear(6, 5, bias=False))
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), inner, nn.Unflatten(1, (5, 1)))


def torch_sequential() -> torch.nn.Sequential:
    """The same in torch."""
    inner = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(6, 5, bias=False))
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 6), inner, torch.nn.Unflatten(1, (5, 1))
    )


class Chain(nn.Module):
    """A list of layers, the middle one run twice."""

    def __init__(self) -> None:
        self.layers = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 4)])
        self.layers.append(nn.Linear(4, 2))

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """In turn."""
        first, middle, last = self.layers
        x, backs = input, []
        for layer in (first, middle, middle, last):
            x, back = layer(x)
            backs.append(back)

        def backward(dy: Array) -> Array:
            for back in reversed(backs):
                dy = back(dy)
            return dy

        return x, backward


class TorchChain(torch.nn.Module):
    """The same in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 4), torch.nn.Linear(4, 4)])
        self.layers.append(torch.nn.Linear(4, 2))

    def _get_name(self) -> str:
        return "Chain"

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """In turn."""
        first, middle, last = self.layers
        y: torch.Tensor = last(middle(middle(first(input))))
        return y


class Branches(nn.Module):
    """Layers by name, whose outputs are added."""

    def __init__(self) -> None:
        self.branches = nn.ModuleDict({"wide": nn.Linear(3, 2), "plain": nn.Linear(3, 2)})
        self.branches["added"] = nn.Linear(3, 2, bias=False)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Their sum."""
        pairs = [branch(input) for branch in self.branches.values()]

        def backward(dy: Array) -> Array:
            dx: Array = np.sum([back(dy) for _, back in pairs], axis=0)
            return dx

        return np.sum([y for y, _ in pairs], axis=0), backward


class TorchBranches(torch.nn.Module):
    """The same in torch."""

    def __init__(self) -> None:
        super().__init__()
        layers = {"wide": torch.nn.Linear(3, 2), "plain": torch.nn.Linear(3, 2)}
        self.branches = torch.nn.ModuleDict(layers)
        self.branches["added"] = torch.nn.Linear(3, 2, bias=False)

    def _get_name(self) -> str:
        return "Branches"

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Their sum."""
        return torch.stack([branch(input) for branch in self.branches.values()]).sum(0)


def linear_start(input: Array) -> tuple[Array, Backward]:
    """A fresh Linear, applied."""
    return nn.Linear(3, 5, dtype=input.dtype, generator=Generator(0))(input)


def torch_linear_start(input: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    torch.manual_seed(0)
    y: torch.Tensor = torch.nn.Linear(3, 5, dtype=input.dtype).to(input.device)(input)
    return y


def bilinear_start(input1: Array, input2: Array) -> tuple[Array, Backward]:
    """A fresh Bilinear, applied."""
    layer = nn.Bilinear(2, 3, 5, dtype=input1.dtype, generator=Generator(0))
    return layer(input1, input2)


def torch_bilinear_start(input1: torch.Tensor, input2: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    torch.manual_seed(0)
    layer = torch.nn.Bilinear(2, 3, 5, dtype=input1.dtype).to(input1.device)
    y: torch.Tensor = layer(input1, input2)
    return y


ENTRIES = [
    Op(
        "linear",
        F.linear,
        torch.nn.functional.linear,
        source=LINEAR,
        cases=(
            Case("matrix", lambda d: Call(d.normal(4, 3), d.normal(5, 3), d.normal(5))),
            Case("without bias", lambda d: Call(d.normal(4, 3), d.normal(5, 3))),
            Case("vector", lambda d: Call(d.normal(3), d.normal(5, 3), d.normal(5))),
            Case("leading axes", lambda d: Call(d.normal(2, 4, 7, 3), d.normal(5, 3), d.normal(5))),
            Case("weight of one output", lambda d: Call(d.normal(2, 4, 3), d.normal(3))),
            Case("weight of one output, vector", lambda d: Call(d.normal(3), d.normal(3))),
            Case("sizes 1", lambda d: Call(d.normal(1, 1), d.normal(1, 1), d.normal(1))),
            Case(
                "no rows",
                lambda d: Call(d.normal(0, 3), d.normal(5, 3), d.normal(5)),
                zero=("weight", "bias"),
            ),
            Case("no inputs", lambda d: Call(d.normal(4, 0), d.normal(5, 0), d.normal(5))),
            Case(
                "no outputs",
                lambda d: Call(d.normal(4, 3), d.normal(0, 3), d.normal(0)),
                zero=("input",),
            ),
            Case(
                "large",
                lambda d: Call(d.normal(4, 3, scale=1e12), d.normal(5, 3), d.normal(5, scale=1e12)),
            ),
            Case("small", lambda d: Call(d.normal(4, 3, scale=1e-12), d.normal(5, 3))),
        ),
    ),
    Layer(
        "Linear",
        nn.Linear,
        torch.nn.Linear,
        source=LINEAR,
        cases=(
            Case("matrix", lambda d: Call(d.normal(4, 3)), init=Call(3, 5)),
            Case("without bias", lambda d: Call(d.normal(4, 3)), init=Call(3, 5, bias=False)),
            Case("vector", lambda d: Call(d.normal(3)), init=Call(3, 5)),
            Case("leading axes", lambda d: Call(d.normal(2, 4, 3)), init=Call(3, 1)),
        ),
    ),
    Op(
        "Linear from its start",
        linear_start,
        torch_linear_start,
        source="LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.6 (the 1/sqrt(in))",
        cases=(Case("seed 0", lambda d: Call(d.normal(4, 3))),),
    ),
    Op(
        "bilinear",
        F.bilinear,
        torch.nn.functional.bilinear,
        source=BILINEAR,
        cases=(
            Case(
                "matrices",
                lambda d: Call(d.normal(4, 2), d.normal(4, 3), d.normal(5, 2, 3), d.normal(5)),
            ),
            Case("without bias", lambda d: Call(d.normal(4, 2), d.normal(4, 3), d.normal(5, 2, 3))),
            Case(
                "vectors", lambda d: Call(d.normal(2), d.normal(3), d.normal(5, 2, 3), d.normal(5))
            ),
            Case(
                "leading axes",
                lambda d: Call(
                    d.normal(2, 4, 2), d.normal(2, 4, 3), d.normal(5, 2, 3), d.normal(5)
                ),
            ),
            Case("sizes 1", lambda d: Call(d.normal(1, 1), d.normal(1, 1), d.normal(1, 1, 1))),
            Case(
                "no rows",
                lambda d: Call(d.normal(0, 2), d.normal(0, 3), d.normal(5, 2, 3), d.normal(5)),
                zero=("weight", "bias"),
            ),
        ),
    ),
    Layer(
        "Bilinear",
        nn.Bilinear,
        torch.nn.Bilinear,
        source=BILINEAR,
        cases=(
            Case("matrices", lambda d: Call(d.normal(4, 2), d.normal(4, 3)), init=Call(2, 3, 5)),
            Case(
                "without bias",
                lambda d: Call(d.normal(2, 4, 2), d.normal(2, 4, 3)),
                init=Call(2, 3, 5, bias=False),
            ),
        ),
    ),
    Op(
        "Bilinear from its start",
        bilinear_start,
        torch_bilinear_start,
        source=TORCH,
        cases=(Case("seed 0", lambda d: Call(d.normal(4, 2), d.normal(4, 3))),),
    ),
    Op(
        "flatten",
        F.flatten,
        torch.flatten,
        source=TORCH,
        cases=(
            Case("all", lambda d: Call(d.normal(2, 3, 4))),
            Case("from 1", lambda d: Call(d.normal(2, 3, 4), 1)),
            Case("between", lambda d: Call(d.normal(2, 3, 4, 5), 1, -2)),
            Case("one axis", lambda d: Call(d.normal(2, 3, 4), start_dim=-1)),
            Case("scalar", lambda d: Call(d.normal())),
            Case("empty", lambda d: Call(d.normal(2, 0, 4), 1)),
        ),
    ),
    Op(
        "unflatten",
        F.unflatten,
        torch.unflatten,
        source=TORCH,
        cases=(
            Case("given", lambda d: Call(d.normal(2, 12), 1, (3, 4))),
            Case("inferred", lambda d: Call(d.normal(12, 2), -2, (3, -1, 2))),
            Case("one size", lambda d: Call(d.normal(2, 3), 1, (3,))),
            Case("empty", lambda d: Call(d.normal(2, 0), 1, (0, 3))),
        ),
    ),
    Layer(
        "Flatten",
        nn.Flatten,
        torch.nn.Flatten,
        source=TORCH,
        cases=(
            Case("all but the batch", lambda d: Call(d.normal(2, 3, 4))),
            Case("between", lambda d: Call(d.normal(2, 3, 4, 5)), init=Call(0, end_dim=-2)),
            Case("empty batch", lambda d: Call(d.normal(0, 3, 4))),
        ),
    ),
    Layer(
        "Unflatten",
        nn.Unflatten,
        torch.nn.Unflatten,
        source=TORCH,
        cases=(
            Case("given", lambda d: Call(d.normal(2, 12)), init=Call(1, (3, 4))),
            Case("inferred", lambda d: Call(d.normal(2, 12, 5)), init=Call(-2, (-1, 6))),
        ),
    ),
    Layer(
        "Identity",
        nn.Identity,
        torch.nn.Identity,
        source=TORCH,
        cases=(
            Case("plain", lambda d: Call(d.normal(2, 3))),
            Case("ignored arguments", lambda d: Call(d.normal(2, 3)), init=Call(54, unused=0.1)),
        ),
    ),
    Layer(
        "Sequential",
        sequential,
        torch_sequential,
        source=TORCH,
        cases=(Case("nested", lambda d: Call(d.normal(2, 3, 4))),),
    ),
    Layer(
        "ModuleList",
        Chain,
        TorchChain,
        source=TORCH,
        cases=(Case("one layer twice", lambda d: Call(d.normal(5, 3))),),
    ),
    Layer(
        "ModuleDict",
        Branches,
        TorchBranches,
        source=TORCH,
        cases=(Case("three branches", lambda d: Call(d.normal(5, 3))),),
    ),
]


def _linear_backward(dy: Any) -> Any:
    return F.linear(zeros(2, 3), zeros(4, 3))[1](dy)


REFUSALS = [
    Refusal("linear: integer input", lambda: F.linear(np.arange(3), zeros(4, 3)), "linear"),
    Refusal("linear: a list", lambda: F.linear(unchecked([0.0]), zeros(4, 1)), "linear"),
    Refusal("linear: two dtypes", lambda: F.linear(zeros(3), np.zeros((4, 3), "f")), "linear"),
    Refusal("linear: width of input", lambda: F.linear(zeros(2, 4), zeros(4, 3)), "linear"),
    Refusal("linear: 0-d input", lambda: F.linear(zeros(), zeros(4, 3)), "linear"),
    Refusal("linear: 3-d weight", lambda: F.linear(zeros(2, 3), zeros(1, 4, 3)), "linear"),
    Refusal("linear: length of bias", lambda: F.linear(zeros(3), zeros(4, 3), zeros(3)), "linear"),
    Refusal("linear: shape of dy", lambda: _linear_backward(zeros(4)), "linear backward"),
    Refusal("linear: dtype of dy", lambda: _linear_backward(np.zeros((2, 4), "f")), "linear back"),
    Refusal("linear: no dy", lambda: F.linear(zeros(2, 3), zeros(4, 3))[1](), "linear backward"),
    Refusal("Linear: negative size", lambda: nn.Linear(-1, 2), "Linear"),
    Refusal("Linear: half a size", lambda: nn.Linear(3, unchecked(2.5)), "Linear"),
    Refusal("Linear: integer dtype", lambda: nn.Linear(3, 2, dtype=np.int64), "Parameter"),
    Refusal("Linear: dtype of input", lambda: nn.Linear(3, 2)(zeros(4, 3)), "linear"),
    Refusal(
        "bilinear: integer input",
        lambda: F.bilinear(np.arange(2), zeros(3), zeros(5, 2, 3)),
        "bilinear",
    ),
    Refusal(
        "bilinear: leading axes",
        lambda: F.bilinear(zeros(4, 2), zeros(1, 3), zeros(5, 2, 3)),
        "bilinear",
    ),
    Refusal(
        "bilinear: width of input1",
        lambda: F.bilinear(zeros(4, 3), zeros(4, 3), zeros(5, 2, 3)),
        "bilinear",
    ),
    Refusal(
        "bilinear: width of input2",
        lambda: F.bilinear(zeros(4, 2), zeros(4, 2), zeros(5, 2, 3)),
        "bilinear",
    ),
    Refusal(
        "bilinear: 2-d weight",
        lambda: F.bilinear(zeros(4, 2), zeros(4, 3), zeros(2, 3)),
        "bilinear",
    ),
    Refusal(
        "bilinear: length of bias",
        lambda: F.bilinear(zeros(2), zeros(3), zeros(5, 2, 3), zeros(2)),
        "bilinear",
    ),
    Refusal(
        "bilinear: two dtypes",
        lambda: F.bilinear(zeros(2), np.zeros(3, "f"), zeros(5, 2, 3)),
        "bilinear",
    ),
    Refusal("Bilinear: size 0", lambda: nn.Bilinear(0, 3, 5), "Bilinear"),
    Refusal("flatten: integer input", lambda: F.flatten(np.arange(3)), "flatten"),
    Refusal("flatten: axis", lambda: F.flatten(zeros(2, 3), 2), "flatten"),
    Refusal("flatten: order", lambda: F.flatten(zeros(2, 3), 1, 0), "flatten"),
    Refusal("unflatten: integer input", lambda: F.unflatten(np.arange(6), 0, (2, 3)), "unflatten"),
    Refusal("unflatten: axis", lambda: F.unflatten(zeros(6), 1, (2, 3)), "unflatten"),
    Refusal("unflatten: product", lambda: F.unflatten(zeros(6), 0, (2, 4)), "unflatten"),
    Refusal("unflatten: two to infer", lambda: F.unflatten(zeros(6), 0, (-1, -1)), "unflatten"),
    Refusal("unflatten: does not divide", lambda: F.unflatten(zeros(6), 0, (-1, 4)), "unflatten"),
    Refusal("unflatten: no sizes", lambda: F.unflatten(zeros(6), 0, ()), "unflatten"),
    Refusal("unflatten: one integer", lambda: F.unflatten(zeros(6), 0, unchecked(6)), "unflatten"),
    Refusal("Flatten: axis", lambda: nn.Flatten(unchecked(1.5)), "Flatten"),
    Refusal("Flatten: 1-d input", lambda: nn.Flatten()(zeros(3)), "flatten"),
    Refusal("Unflatten: sizes", lambda: nn.Unflatten(1, unchecked("23")), "Unflatten"),
    Refusal("Unflatten: product", lambda: nn.Unflatten(1, (2, 4))(zeros(2, 6)), "unflatten"),
    Refusal("Sequential: a function", lambda: nn.Sequential(unchecked(np.tanh)), "Sequential"),
    Refusal("ModuleList: a number", lambda: nn.ModuleList([unchecked(1)]), "ModuleList"),
    Refusal("ModuleDict: a number", lambda: nn.ModuleDict({"a": unchecked(1)}), "ModuleDict"),
    Refusal("ModuleDict: a dot", lambda: nn.ModuleDict({"a.b": nn.Identity()}), "ModuleDict"),
    Refusal("ModuleDict: a method", lambda: nn.ModuleDict({"train": nn.Identity()}), "ModuleDict"),
]
