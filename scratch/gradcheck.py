"""Finite differences against a backward, in float64.

backward    a = (J^T u) . v for a random cotangent u, along a direction v: one entry, or many
against     the derivative of u . y(x + t v) at t = 0; `scratch.slopes` tells it, and how exactly
steps       2^-6 max(1, |x|), a quarter of that, ..., down to 2^-40 times the entry's scale: |x|,
            or where that is less the largest of its array, at most 1 (powers of two, so that
            x + t v is exact)
accepted    the differences of a function that is smooth at x; at a kink all between the slopes
            on its two sides (subgradients), at a jump the slope of either side
"""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.sparse import SparseGradient
from scratch.random import Generator
from scratch.slopes import TOLERANCE, Slopes, Verdict, measure


@dataclass(frozen=True)
class Entry:
    """One entry of one array: what backward says and what the differences say.

    Attributes:
        array: name of the argument (`hx[1]` in a tuple), or dotted name of the parameter.
        index: where in the array.
        analytic: the gradient from backward.
        numeric: the derivative from differences; of several admissible ones the nearest.
        error: |analytic - numeric| relative to the largest gradient of the array.
        kind: 'smooth', 'kink', 'jump', 'not finite', or 'unresolved': no step gives a stable slope.
        one_sided: the derivatives of the pieces on the left and on the right.
        passed: whether the two agree.
    """

    array: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float
    kind: str
    one_sided: tuple[float, float]
    passed: bool

    def __str__(self) -> str:
        place = f"{self.array}[{', '.join(map(str, self.index))}]" if self.index else self.array
        values = f"analytic {self.analytic:.10g}, numeric {self.numeric:.10g}"
        left, right = self.one_sided
        sides = "" if self.kind == "smooth" else f" ({self.kind}: {left:.6g} | {right:.6g})"
        return f"{place}: {values}, error {self.error:.1e}{sides}"


@dataclass(frozen=True)
class GradcheckReport:
    """What `gradcheck` found: how many entries of each kind, and the one that disagrees most."""

    name: str
    arrays: tuple[str, ...]
    worst: Entry | None
    checked: int
    failed: int
    kinks: int
    jumps: int
    not_finite: int

    @property
    def passed(self) -> bool:
        """Whether every entry agrees."""
        return self.failed == 0

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "passed" if self.passed else f"{self.failed} FAILED"
        counts = f"{self.kinks} kinks, {self.jumps} jumps, {self.not_finite} not finite"
        entries = f"{self.checked} entries of {', '.join(self.arrays)} ({counts})"
        worst = f"\n  worst {self.worst}" if self.worst else ""
        return f"gradcheck {self.name}: {verdict}, {entries}{worst}"


def gradcheck(
    function: Callable[..., Any],
    *args: Any,
    seed: int = 0,
    entries: int | str = "auto",
    h: float | None = None,
    tolerance: float = TOLERANCE,
    constant: Sequence[str] = (),
    **kwargs: Any,
) -> GradcheckReport:
    """Compare the backward of an op, a module or a loss with finite differences.

    Every floating array among the arguments (in tuples too) and every parameter of a module is
    perturbed; the rest is passed on. Generators and buffers are put back before each evaluation, so
    that all see the same draw and the same statistics. In the end, also after an error, a module
    holds what it held before, gradients included.

    Args:
        function: anything called as `y, backward = function(*args, **kwargs)`.
        args: its arguments; arrays in float64.
        seed: seed of the cotangent, the directions and the sample.
        entries: how many entries of each array to check singly: 'all', a number (a random sample),
            or 'auto': all up to 200, else 64. The rest is checked along a random direction; if
            that disagrees it is halved until the entry is found.
        h: the largest step, relative to max(1, |x|); None is 2^-6.
        tolerance: error relative to the array's largest gradient, beside measured rounding.
        constant: names of arguments and parameters that have no gradient.
        kwargs: more arguments of `function`.

    Returns:
        A report; `str(report)` is made for reading.

    Raises:
        TypeError: if a floating array or parameter is not float64.
        ValueError: if an option or a name is unknown, if there is nothing to differentiate, if
            backward returns other gradients than there are arrays, if two evaluations differ.
    """
    if isinstance(entries, str):
        check.option("gradcheck", "entries", entries, ("auto", "all"))
    else:
        check.size("gradcheck", "entries", entries)
    largest = 2.0**-6 if h is None else check.number("gradcheck", "h", h, 0, 1, open_low=True)
    check.number("gradcheck", "tolerance", tolerance, 0)
    subject = _Subject(function, args, kwargs, constant)
    rng = np.random.default_rng(seed)
    found: list[Entry] = []
    with subject.borrowed(), np.errstate(all="ignore"):  # steps may leave the domain
        probe = _Probe(subject, rng, largest, tolerance)
        for k, array in enumerate(subject.arrays):
            order = rng.permutation(array.size)
            singly = 64 if entries == "auto" and array.size > 200 else array.size
            singly = singly if isinstance(entries, str) else entries
            judged = [probe.judge(k, i) for i in np.sort(order[:singly])]
            if all(entry.passed for entry in judged):
                judged += probe.search(k, order[singly:])
            found += judged
    kinds = [entry.kind for entry in found]
    return GradcheckReport(
        name=subject.name,
        arrays=tuple(subject.names),
        worst=max(found, key=lambda entry: (not entry.passed, entry.error), default=None),
        checked=len(found),
        failed=sum(not entry.passed for entry in found),
        kinks=kinds.count("kink"),
        jumps=kinds.count("jump"),
        not_finite=kinds.count("not finite"),
    )


def _map(function: Callable[[str, Any], Any], value: Any, name: str = "") -> Any:
    """`value` with `function(name, leaf)` for every leaf of its nested tuples, lists and dicts."""
    if isinstance(value, tuple | list):
        parts = [_map(function, part, f"{name}[{i}]") for i, part in enumerate(value)]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, dict):
        return {n: _map(function, part, f"{name}.{n}" if name else n) for n, part in value.items()}
    return function(name, value)


def _leaves(value: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    _map(lambda name, leaf: found.append((name, leaf)), value)
    return found


def _floating(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"


def _flat(output: Any) -> Array:
    """All floating arrays of an output as one vector."""
    return np.concatenate(
        [np.empty(0), *(np.ravel(leaf) for _, leaf in _leaves(output) if _floating(leaf))]
    )


def _scale(array: Array) -> Array:
    """Each entry's scale, a power of two: |x|, or where less the array's largest, at most 1."""
    size = np.abs(array)
    scale = np.maximum(size, min(1.0, size[np.isfinite(size)].max(initial=0.0)))
    scale = np.where(np.isfinite(scale) & (scale > 1e-150), scale, 1.0)  # squares would underflow
    return np.asarray(np.ldexp(1.0, np.frexp(scale)[1] - 1))


class _Subject:
    """The function as a map from one vector x (all that is perturbed) to y (all outputs)."""

    def __init__(self, function: Any, args: Any, kwargs: Any, constant: Sequence[str]) -> None:
        module = function if isinstance(function, Module) else None
        self.name = getattr(function, "__name__", type(function).__name__)
        signature = inspect.signature(module.forward if module else function)
        bound = signature.bind(*args, **kwargs)
        self.parameters = dict(module.named_parameters()) if module else {}
        leaves = _leaves(dict(bound.arguments))
        known = {*signature.parameters, *self.parameters, *(name for name, _ in leaves)}
        if unknown := set(constant) - known:
            check.refuse("gradcheck", f"constant among {sorted(known)}", sorted(unknown))
        self.names: list[str] = []
        self.arrays: list[Array] = []

        def copied(name: str, value: Any) -> Any:
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                return value
            if value.dtype != np.float64:
                check.refuse("gradcheck", f"{name} in float64", check.describe(value), TypeError)
            if not {name, name.partition("[")[0]}.isdisjoint(constant):
                return value
            self.names.append(name)
            self.arrays.append(value.copy())
            return self.arrays[-1]

        bound.arguments.update(_map(copied, dict(bound.arguments)))
        self.call: Callable[[], Any] = functools.partial(function, *bound.args, **bound.kwargs)
        self.inputs = len(self.names)
        for name, parameter in self.parameters.items():
            copied(name, parameter.data)
        if not self.names:
            check.refuse("gradcheck", "a floating array to differentiate", "none")
        self.x = np.concatenate([array.ravel() for array in self.arrays])
        self.starts = np.cumsum([0, *(array.size for array in self.arrays[:-1])])
        modules = list(module.modules()) if module else []
        self.buffers = [(m, n, getattr(m, n)) for m in modules for n in m._buffer_names]
        held = [leaf for _, leaf in leaves] + [v for m in modules for v in vars(m).values()]
        shared = {id(g): g for g in held if isinstance(g, Generator)}
        self.generators = [(g, g.get_state()) for g in shared.values()]

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Let the module work on copies of its parameters, and leave it as it was."""
        held = [(p, p.data, p.grad) for p in self.parameters.values()]
        try:
            for name, array in list(zip(self.names, self.arrays, strict=True))[self.inputs :]:
                self.parameters[name].data = array
            yield
        finally:
            for parameter, data, grad in held:
                parameter.data, parameter.grad = data, grad
            for module, name, buffer in self.buffers:
                setattr(module, name, buffer)
            for generator, state in self.generators:
                generator.set_state(state)

    def run(self, x: Array) -> Any:
        """Output and backward at x, from the buffers and generators of the start."""
        for array, start in zip(self.arrays, self.starts, strict=True):
            array[...] = x[start : start + array.size].reshape(array.shape)
        for parameter in self.parameters.values():
            parameter.version += 1
        for module, name, buffer in self.buffers:
            setattr(module, name, copy.copy(buffer))
        for generator, state in self.generators:
            generator.set_state(state)
        return self.call()

    def gradients(self, backward: Callable[..., Any], dy: tuple[Any, ...]) -> list[Array]:
        """What backward gives for each array; None counts as zeros."""
        for parameter in self.parameters.values():
            parameter.grad = None
        grads = [gradient for _, gradient in _leaves(backward(*dy))]
        if not self.inputs:  # None for want of an input that has a gradient
            grads = [gradient for gradient in grads if gradient is not None]
        if len(grads) != self.inputs:
            names = ", ".join(self.names[: self.inputs])
            expected = f"{self.inputs} gradients ({names}) from the backward of {self.name}"
            check.refuse("gradcheck", expected, len(grads))
        grads += [self.parameters[name].grad for name in self.names[self.inputs :]]
        for i, (name, array) in enumerate(zip(self.names, self.arrays, strict=True)):
            if isinstance(grads[i], SparseGradient):
                grads[i] = grads[i].dense()
            grads[i] = np.zeros(array.shape) if grads[i] is None else np.asarray(grads[i])
            if grads[i].shape != array.shape or grads[i].dtype != np.float64:
                expected = f"a float64 gradient of {name} of shape {array.shape}"
                check.refuse("gradcheck", expected, check.describe(grads[i]))
        return grads


class _Probe:
    """One cotangent, its gradient from backward, and the differences to hold against it."""

    def __init__(
        self, subject: _Subject, rng: np.random.Generator, largest: float, tolerance: float
    ) -> None:
        self.subject, self.rng, self.largest, self.tolerance = subject, rng, largest, tolerance
        output, backward = subject.run(subject.x)
        dy = _map(lambda _, y: self.random(np.shape(y)) if _floating(y) else None, output)
        grads = subject.gradients(backward, dy if isinstance(output, tuple) else (dy,))
        self.y, self.u = _flat(output), _flat(dy)
        self.grad = np.concatenate([grad.ravel() for grad in grads])
        self.peaks = [np.abs(grad[np.isfinite(grad)]).max(initial=0.0) for grad in grads]
        products = self.grad * subject.x
        self.conditioning = float(np.linalg.norm(products[np.isfinite(products)]))
        self.scale = np.concatenate([_scale(array).ravel() for array in subject.arrays])
        if not np.array_equal(self.y, _flat(subject.run(subject.x)[0]), equal_nan=True):
            expected = "a function that gives the same twice (pass a Generator, or its draw)"
            check.refuse("gradcheck", expected, f"two outputs of {subject.name}")

    def random(self, shape: tuple[int, ...]) -> Array:
        """Random signs and sizes, none near zero: that would hide an entry."""
        return np.asarray(self.rng.choice([-1.0, 1.0], shape) * self.rng.uniform(0.5, 1.5, shape))

    def change(self, step: Array) -> Array:
        """y(x + step) - y(x); NaN where the function refuses x + step as outside of its domain."""
        try:
            return _flat(self.subject.run(self.subject.x + step)[0]) - self.y
        except ValueError:
            return np.full_like(self.y, np.nan)

    def measure(self, v: Array, size: float, every: bool = False) -> Slopes | None:
        """Slopes of u . y along v."""
        largest = self.largest / min(1.0, self.scale[v != 0].max())
        return measure(
            lambda t: self.change(t * v),
            *(self.y, self.u, largest, size, self.tolerance, every, self.conditioning),
        )

    def judge(self, k: int, i: int) -> Entry:
        """Compare entry i of array k."""
        at = self.subject.starts[k] + i
        s, analytic, peak = self.scale[at], self.grad[at], self.peaks[k]
        v = np.zeros_like(self.grad)
        v[at] = s
        slopes = self.measure(v, peak * s)
        if slopes and not slopes.agree(analytic * s):
            slopes = self.measure(v, peak * s, every=True)
        if slopes:
            verdict = slopes.verdict(analytic * s)
        else:
            verdict = Verdict("not finite", np.nan, np.nan, np.nan, bool(np.isnan(analytic)))
        numeric = verdict.derivative / s
        error = abs(analytic - numeric) / (max(peak, abs(numeric)) or 1.0)
        if np.isnan(error):
            error = 0.0 if verdict.passed else np.inf
        return Entry(
            array=self.subject.names[k],
            index=tuple(map(int, np.unravel_index(i, self.subject.arrays[k].shape))),
            analytic=float(analytic),
            numeric=float(numeric),
            error=float(error),
            kind=verdict.kind,
            one_sided=(float(verdict.left / s), float(verdict.right / s)),
            passed=verdict.passed,
        )

    def search(self, k: int, indices: Array) -> list[Entry]:
        """Halve until the entries for which a direction disagrees are found; stop at a failure."""
        if not indices.size:
            return []
        v = np.zeros_like(self.grad)
        at = self.subject.starts[k] + indices
        v[at] = self.scale[at] * self.random(at.shape)
        slopes = self.measure(v, float(np.linalg.norm(self.grad * v)))
        if slopes and slopes.agree(self.grad @ v):
            return []
        if indices.size == 1:
            return [self.judge(k, indices[0])]
        half = indices.size // 2
        found = self.search(k, indices[:half])
        failed = any(not entry.passed for entry in found)
        return found if failed else found + self.search(k, indices[half:])
