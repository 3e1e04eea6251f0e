"""What the catalog is made of: an entry names a twin, its cases the arguments to compare it on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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
    """A module twin: two classes with the same constructor arguments and state_dict.

    Attributes:
        name: of the class, or what sets this entry apart.
        scratch: the NumPy class.
        torch: the torch class.
        cases: arguments to compare it on.
        source: paper.
        c: float64 tolerance in eps of a tensor's largest magnitude.
        steps: whether ten steps with each optimizer are compared.
        differences: whether finite differences are taken here, along a random direction of each
            array; in a deep network they take seconds.
    """

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., torch.nn.Module]
    cases: Sequence[Case]
    source: str
    c: float = 64
    kind: str = "module"
    steps: bool = True
    differences: bool = True


@dataclass(frozen=True)
class Optim:
    """An optimizer twin: two classes with the same arguments, and the options to try.

    Attributes:
        name: of the class, or what sets this entry apart.
        scratch: the NumPy class.
        torch: the torch class.
        options: arguments of the runs.
        source: paper.
        c: float64 tolerance in eps of a tensor's largest magnitude.
        shapes: of the parameters.
        gradients: 'dense' or 'sparse' (drawn, of some rows only), or 'closure': those of a
            function, which `step` evaluates as often as it needs.
    """

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., torch.optim.Optimizer]
    options: Sequence[Mapping[str, Any]]
    source: str
    c: float = 64
    kind: str = "optimizer"
    shapes: Sequence[tuple[int, ...]] = ((3, 4), (5,), (), (0, 2))
    gradients: Literal["dense", "sparse", "closure"] = "dense"


@dataclass(frozen=True)
class Part:
    """A schedule inside or beside another one, built on either side: its class and arguments."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One way to drive a schedule.

    Attributes:
        options: its arguments; a `Part` among them, or in a list, becomes a schedule.
        optimizer: class of the optimizer.
        before: schedules that are built on the same optimizer first, and step after it.
        edits: by step, the factor by which the user multiplies the first group's rate before it.
        epochs: by step, the epoch that `step` is given.
        metrics: what `step` is given in turn, where it wants a metric.
        steps: how many.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    optimizer: str = "SGD"
    before: Sequence[Part] = ()
    edits: Mapping[int, float] = field(default_factory=dict)
    epochs: Mapping[int, float] = field(default_factory=dict)
    metrics: Sequence[float] = ()
    steps: int = 60


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule twin: two classes with the same arguments, and runs to drive."""

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., Any]
    runs: Sequence[Run]
    source: str
    c: float = 64
    kind: str = "schedule"


@dataclass(frozen=True)
class Routine:
    """A twin without a derivative: a script drives it and names the arrays to compare.

    Attributes:
        name: of the function or class.
        scratch: the NumPy one.
        torch: the torch one.
        scripts: by name, script(function, side, draw) -> arrays by name; `side` makes arrays,
            parameters and modules of the package that `function` belongs to.
        source: paper.
        c: float64 tolerance in eps of a tensor's largest magnitude.
    """

    name: str
    scratch: Callable[..., Any]
    torch: Callable[..., Any]
    scripts: Mapping[str, Callable[..., Mapping[str, Any]]]
    source: str
    c: float = 64
    kind: str = "routine"


Entry = Op | Layer | Optim | Schedule | Routine


def unchecked(value: object) -> Any:
    """`value` unseen by the type checker: for calls that its annotations forbid."""
    return value


@dataclass(frozen=True)
class Refusal:
    """A call that must raise ValueError or TypeError: '<name>...: expected ..., got ...'."""

    what: str
    call: Callable[[], Any]
    name: str
