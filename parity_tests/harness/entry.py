"""What the catalog is made of: an entry names a twin, its cases the arguments to compare it on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from parity_tests.harness.draw import Array, Draw


class Call:
    """Positional and keyword arguments of one call."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


@dataclass(frozen=True)
class Const:
    """A floating array that neither side differentiates (class weights, running statistics)."""

    array: Array


def const(array: Array) -> Const:
    """Mark a floating argument as not differentiated."""
    return Const(array)


@dataclass(frozen=True)
class Case:
    """One way to call a twin.

    Attributes:
        name: what this case is about.
        make: draws the arguments of the op, or of the module's forward.
        init: arguments of the constructor (modules and models).
        zero: names of gradients that are exactly zero here; any other zero gradient fails as
            vacuous.
        c: float64 tolerance in eps of the tensor's largest magnitude; None takes the entry's. A
            case that sets it says why.
        reason: why `c` differs from the entry's.
        cancels: magnitude of the terms that cancel in the sums of which gradients are made; a
            gradient smaller than this is measured against it.
        output_cancels: the same of the outputs.
        surrogate: why the gradient is by definition not the derivative (padding rows), so that
            finite differences are left out; empty if it is.
        modes: which of 'train' and 'eval' are compared (modules and models).
        seeded: both sides draw (dropout masks): they are given the same seed before each forward.
    """

    name: str
    make: Callable[[Draw], Call]
    init: Call = field(default_factory=Call)
    zero: tuple[str, ...] = ()
    c: float | None = None
    reason: str = ""
    cancels: float = 0.0
    output_cancels: float = 0.0
    surrogate: str = ""
    modes: tuple[str, ...] = ("train", "eval")
    seeded: bool = False

    def __post_init__(self) -> None:
        if (self.c is None) != (not self.reason):
            raise ValueError(f"Case {self.name!r}: expected c and reason together, got only one")


@dataclass(frozen=True)
class Op:
    """A function twin: `scratch` returns (y, backward), `torch` returns y."""

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., Any]
    cases: Sequence[Case]
    source: str
    c: float = 64
    kind: str = "op"


@dataclass(frozen=True)
class Layer:
    """A module twin: two classes with the same constructor arguments and state_dict."""

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., torch.nn.Module]
    cases: Sequence[Case]
    source: str
    c: float = 64
    kind: str = "module"
    steps: bool = True


@dataclass(frozen=True)
class Optim:
    """An optimizer twin: two classes with the same arguments, and the options to try."""

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., torch.optim.Optimizer]
    options: Sequence[Mapping[str, Any]]
    source: str
    c: float = 64
    kind: str = "optimizer"


Entry = Op | Layer | Optim


def unchecked(value: object) -> Any:
    """`value` unseen by the type checker: for calls that its annotations forbid."""
    return value


@dataclass(frozen=True)
class Refusal:
    """A call that must raise ValueError or TypeError: '<name>...: expected ..., got ...'."""

    what: str
    call: Callable[[], Any]
    name: str
