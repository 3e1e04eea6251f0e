"""Finite differences against a backward, in float64.

    checked     a = (J^T u) . v: what backward returns for a random cotangent u, along a direction v (an entry, or many)
    against     the derivative of f(t) = u . y(x + t v) at 0, from
                D(t) = (f(t) - f(-t)) / 2t = f' + c t^2 + d t^4 + ...       central difference
                R(t) = (16 D(t) - D(4t)) / 15 = f' - 16 d t^4 + ...         without the t^2
    steps       t = 2^-6, 2^-8, ..., 2^-40 times the scale of the entry: |x|, or if that is less the largest of its
                array, but at most 1; powers of two, so that x + t is (almost) exact
    truncation  |R(t) - R(4t)|, the error of R(4t), 256 times that of R(t)
    rounding    eps |u y| / t over the outputs that moved; a 2-norm, as the signs of u are random
    accepted    |a - R| <= SAFETY (truncation + rounding) + tolerance * largest gradient of the array,
                at the t where that sum is least

Where y varies over a length l its gradient is about y / l, so relative to the gradient the two errors are (t/l)^4 and
eps l/t. The best t leaves eps^(4/5) = 3e-13 whatever l is: that is why a ladder of steps and not one step. The default
tolerance, eps^(2/3) = 4e-11, is what a plain central difference leaves at its best. SAFETY is the 64 eps that
rounding inside one op may reach.

Kinks: at the smallest steps that rounding does not blur, the slopes of the pieces left and right of x are compared.
If they differ, every value between them is a derivative. If f(t) - f(-t) does not shrink with t there is a jump, and
the derivative is that of one piece. A kink nearby is no excuse: small steps stay on this side of it.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module

EPS = 2.0**-52
SAFETY = 64.0


@dataclass(frozen=True)
class Entry:
    """One entry of one array: what backward says and what the differences say.

    Attributes:
        array: name of the argument (`hx[1]` in a tuple), or dotted name of the parameter.
        index: where in the array.
        analytic: the gradient from backward.
        numeric: the derivative from differences; of those that a kink or a jump admits, the one nearest to `analytic`.
        error: |analytic - numeric| relative to the largest gradient of the array.
        kind: 'smooth', 'kink', 'jump', 'unresolved' (no step gives a stable difference) or 'not finite'.
        one_sided: the derivatives of the pieces on the left and on the right.
        passed: whether the two agree as far as rounding allows.
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
        where = f"{self.array}[{', '.join(map(str, self.index))}]" if self.index else self.array
        text = f"{where}: analytic {self.analytic:.10g}, numeric {self.numeric:.10g}, error {self.error:.1e}"
        left, right = self.one_sided
        return text if self.kind == "smooth" else f"{text} ({self.kind}, {left:.6g} | {right:.6g})"


@dataclass(frozen=True)
class GradcheckReport:
    """What `gradcheck` found: counts of entries, and the one that disagrees most."""

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

    def __str__(self) -> str:
        text = (
            f"gradcheck {self.name}: {'passed' if self.passed else f'{self.failed} FAILED'}, "
            f"{self.checked} entries of {', '.join(self.arrays)} "
            f"({self.kinks} kinks, {self.jumps} jumps, {self.not_finite} not finite)"
        )
        return f"{text}\n  worst {self.worst}" if self.worst else text


def gradcheck(
    function: Callable[..., Any],
    *args: Any,
    seed: int = 0,
    entries: int | str = "auto",
    h: float | None = None,
    tolerance: float = EPS ** (2 / 3),
    constant: Sequence[str] = (),
    **kwargs: Any,
) -> GradcheckReport:
    """Compare the backward of an op, a module or a loss with finite differences.

    Every floating array among the arguments (in tuples too) and every parameter of a module is perturbed; the rest is
    passed on. Generators and buffers are put back before each evaluation, so that all see the same draw and the same
    statistics. In the end, also after an error, a module holds what it held before, gradients included.

    Args:
        function: anything called as `y, backward = function(*args, **kwargs)`.
        args: its arguments; arrays in float64, away from where `function` refuses them.
        seed: seed of the cotangent, the directions and the sample.
        entries: how many entries of each array to check singly: 'all', a number (a random sample), or 'auto': all
            up to 200, else 64. The rest is checked along random directions; one that disagrees is halved until
            the entry is found.
        h: the largest step relative to the entry's scale; None is 2^-6.
        tolerance: error relative to the array's largest gradient that is accepted beside measured rounding.
        constant: names of arguments and parameters that have no gradient.
        kwargs: more of its arguments.

    Returns:
        A report; `str(report)` is made for reading.

    Raises:
        TypeError: if a floating array or parameter is not float64.
        ValueError: if an option or name is unknown, there is nothing to differentiate, backward returns other
            gradients than there are arrays, or two evaluations differ.
    """
    if isinstance(entries, str):
        check.option("gradcheck", "entries", entries, ("auto", "all"))
    else:
        check.size("gradcheck", "entries", entries)
    first = 2.0**-6 if h is None else check.number("gradcheck", "h", h, 0, 1, open_low=True)
    check.number("gradcheck", "tolerance", tolerance, 0)
    subject = _Subject(function, args, kwargs, constant)
    rng = np.random.default_rng(seed)
    found: list[Entry] = []
    with subject.borrowed():
        probe = _Probe(subject, rng, first * 4.0 ** -np.arange(18), tolerance)
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


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What stands in nested tuples, lists and dicts, by name."""
    if isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from _leaves(part, f"{name}[{i}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{name}[{key}]" if name else key)
    else:
        yield name, value


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """`value` with `function` applied to each leaf, in the order of `_leaves`."""
    if isinstance(value, tuple | list):
        parts = [_map(function, part) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, dict):
        return {key: _map(function, part) for key, part in value.items()}
    return function(value)


def _floating(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"


def _flat(output: Any) -> Array:
    """All floating arrays of an output in one vector."""
    parts = [np.ravel(leaf) for _, leaf in _leaves(output) if _floating(leaf)]
    return np.concatenate([np.empty(0), *parts])


def _scale(array: Array) -> Array:
    """For each entry the power of two that steps are relative to."""
    size = np.abs(array)
    least = min(1.0, size[np.isfinite(size)].max(initial=0.0))
    scale = np.maximum(size, least)
    scale = np.where(np.isfinite(scale) & (scale > 1e-150), scale, 1.0)  # where squares underflow
    return np.asarray(np.ldexp(1.0, np.frexp(scale)[1] - 1))


class _Subject:
    """The function as a map from one vector x, all that is perturbed, to one vector y, all outputs."""

    def __init__(self, function: Any, args: Any, kwargs: Any, constant: Sequence[str]) -> None:
        module = function if isinstance(function, Module) else None
        self.name = type(module).__name__ if module else getattr(function, "__name__", "function")
        signature = inspect.signature(module.forward if module else function)
        bound = signature.bind(*args, **kwargs)
        modules = list(module.modules()) if module else []
        self.parameters = dict(module.named_parameters()) if module else {}
        leaves = list(_leaves(dict(bound.arguments)))
        known = {*signature.parameters, *self.parameters, *(name for name, _ in leaves)}
        if unknown := set(constant) - known:
            check.refuse("gradcheck", f"constant among {sorted(known)}", sorted(unknown))

        def differentiable(name: str, value: Any) -> bool:
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                return False
            if value.dtype != np.float64:
                check.refuse("gradcheck", f"{name} in float64", check.describe(value), TypeError)
            return name not in constant and name.partition("[")[0] not in constant

        free = [differentiable(name, leaf) for name, leaf in leaves]
        copies = [leaf.copy() if f else leaf for f, (_, leaf) in zip(free, leaves, strict=True)]
        passed_on = iter(copies)
        for name, value in bound.arguments.items():
            bound.arguments[name] = _map(lambda _: next(passed_on), value)
        self.call = lambda: function(*bound.args, **bound.kwargs)
        self.inputs = [name for f, (name, _) in zip(free, leaves, strict=True) if f]
        self.learned = [n for n, p in self.parameters.items() if differentiable(n, p.data)]
        self.arrays = [leaf for f, leaf in zip(free, copies, strict=True) if f]
        self.arrays += [self.parameters[name].data.copy() for name in self.learned]
        self.names = [*self.inputs, *self.learned]
        if not self.arrays:
            check.refuse("gradcheck", "a floating array to differentiate", "none")
        self.x = np.concatenate([array.ravel() for array in self.arrays])
        self.ends = np.cumsum([array.size for array in self.arrays])
        self.starts = [0, *self.ends[:-1]]
        self.buffers = [(m, n, getattr(m, n)) for m in modules for n in m._buffer_names]
        held = [*copies, *(value for m in modules for value in vars(m).values())]
        self.generators = [(g, g.get_state()) for g in held if hasattr(g, "get_state")]

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Let the module work on copies of its parameters, and give it back as it was."""
        held = [(p, p.data, p.grad) for p in self.parameters.values()]
        try:
            for name, array in zip(self.learned, self.arrays[len(self.inputs) :], strict=True):
                self.parameters[name].data = array
            yield
        finally:
            for parameter, data, grad in held:
                parameter.data, parameter.grad = data, grad
            for module, name, buffer in self.buffers:
                setattr(module, name, buffer)
            for generator, state in self.generators:
                generator.set_state(state)

    def run(self, x: Array) -> tuple[Any, Any]:
        """Output and backward at x, from the buffers and generators of the start."""
        for array, part in zip(self.arrays, np.split(x, self.starts[1:]), strict=True):
            array[...] = part.reshape(array.shape)
        for parameter in self.parameters.values():
            parameter.version += 1
        for module, name, buffer in self.buffers:
            setattr(module, name, copy.copy(buffer))
        for generator, state in self.generators:
            generator.set_state(state)
        with np.errstate(all="ignore"):
            return self.call()

    def gradients(self, backward: Callable[..., Any], dy: tuple[Any, ...]) -> list[Array]:
        """What backward gives for each array."""
        for parameter in self.parameters.values():
            parameter.grad = None
        returned = backward(*dy)
        grads = [] if returned is None and not self.inputs else [g for _, g in _leaves(returned)]
        if len(grads) != len(self.inputs):
            names = ", ".join(self.inputs)
            expected = f"{len(self.inputs)} gradients ({names}) from backward of {self.name}"
            check.refuse("gradcheck", expected, len(grads))
        grads += [self.parameters[name].grad for name in self.learned]
        for i, (name, array) in enumerate(zip(self.names, self.arrays, strict=True)):
            grads[i] = np.zeros(array.shape) if grads[i] is None else np.asarray(grads[i])
            if grads[i].shape != array.shape or grads[i].dtype != np.float64:
                expected = f"a float64 gradient of {name} of shape {array.shape}"
                check.refuse("gradcheck", expected, check.describe(grads[i]))
        return grads


class _Probe:
    """One cotangent, its gradient from backward, and the differences to hold against it."""

    def __init__(
        self, subject: _Subject, rng: np.random.Generator, steps: Array, tolerance: float
    ) -> None:
        self.subject, self.rng, self.steps, self.tolerance = subject, rng, steps, tolerance
        output, backward = subject.run(subject.x)
        cotangent = _map(lambda y: self.random(np.shape(y)) if _floating(y) else None, output)
        dy = cotangent if isinstance(output, tuple) else (cotangent,)
        grads = subject.gradients(backward, dy)
        self.y, self.u = _flat(output), _flat(cotangent)
        self.grad = np.concatenate([grad.ravel() for grad in grads])
        self.peaks = [np.abs(grad[np.isfinite(grad)]).max(initial=0.0) for grad in grads]
        if not np.array_equal(self.y, _flat(subject.run(subject.x)[0]), equal_nan=True):
            expected = "a function that returns the same twice (pass the Generator or the mask)"
            check.refuse("gradcheck", expected, f"two different outputs of {subject.name}")
        self.scale = np.concatenate([_scale(array).ravel() for array in subject.arrays])

    def random(self, shape: tuple[int, ...]) -> Array:
        """Random signs and sizes, none near zero: that would hide an entry."""
        return np.asarray(self.rng.choice([-1.0, 1.0], shape) * self.rng.uniform(0.5, 1.5, shape))

    def change(self, step: Array) -> Array:
        """y(x + step) - y(x); NaN where the function refuses x + step as outside of its domain."""
        try:
            return _flat(self.subject.run(self.subject.x + step)[0]) - self.y
        except ValueError:
            return np.full_like(self.y, np.nan)

    def measure(self, v: Array, peak: float, every: bool = False) -> "_Slopes | None":
        """Slopes along v, at steps that fall until they are good enough, or at every step."""
        rows: list[tuple[float, ...]] = []
        slopes = None
        for t in self.steps:
            plus, minus = self.change(t * v), self.change(-t * v)
            moved = (plus != 0) | (minus != 0)
            rounding = EPS * np.linalg.norm((self.u * self.y)[moved]) / t
            row = t, self.u @ plus, self.u @ minus, rounding
            if not np.isfinite(row).all():
                rows, slopes = [], None  # outside of the domain: smaller steps may stay inside
                continue
            rows.append(row)
            if len(rows) >= 4:
                slopes = _Slopes(np.array(rows).T, peak, self.tolerance)
                if slopes.done() and not every:
                    break
        return slopes

    def judge(self, k: int, i: int) -> Entry:
        """Compare entry i of array k."""
        at = self.subject.starts[k] + i
        s, analytic, peak = self.scale[at], float(self.grad[at]), self.peaks[k]
        v = np.zeros_like(self.grad)
        v[at] = s
        slopes = self.measure(v, peak * s)
        if slopes and not slopes.agree(analytic * s):
            slopes = self.measure(v, peak * s, every=True) or slopes
        if slopes:
            kind, *values, passed = slopes.verdict(analytic * s)
            numeric, left, right = (float(value / s) for value in values)
            error = abs(analytic - numeric) / (max(peak, abs(numeric)) or 1.0)
        else:
            kind, passed, numeric, left, right = "not finite", np.isnan(analytic), *[np.nan] * 3
            error = 0.0 if passed else np.inf
        index = np.unravel_index(i, self.subject.arrays[k].shape)
        return Entry(
            array=self.subject.names[k],
            index=tuple(map(int, index)),
            analytic=analytic,
            numeric=numeric,
            error=float(np.nan_to_num(error, nan=np.inf)),
            kind=kind,
            one_sided=(left, right),
            passed=bool(passed),
        )

    def search(self, k: int, indices: Array) -> list[Entry]:
        """Halve until the entries that make a random direction disagree are found; stop at one that fails."""
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
        return found if any(not e.passed for e in found) else found + self.search(k, indices[half:])


class _Slopes:
    """The derivative of f at 0 from its changes at falling steps: central, of the left and of the right piece."""

    def __init__(self, rows: Array, peak: float, tolerance: float) -> None:
        t, plus, minus, rounding = rows
        central = (plus - minus) / (2 * t)
        pieces = [(c[:-1] - c[1:]) / (t[:-1] - t[1:]) for c in (-minus, plus)]
        slopes = np.stack(
            [
                (16 * central[2:] - central[1:-1]) / 15,
                *((4 * piece[1:] - piece[:-1]) / 3 for piece in pieces),
            ]
        )
        self.slopes, self.truncation = slopes[:, 1:], np.abs(np.diff(slopes))
        self.rounding = rounding[3:]
        self.tolerance, self.peak = tolerance, peak
        width = np.abs(plus - minus)
        self.jumps = width[-1] > max(width[-2] / 2, SAFETY * t[-1] * rounding[-1])

    def allowed(self, value: float) -> float:
        """The error that is accepted beside the measured one."""
        return float(self.tolerance * max(self.peak, abs(value)))

    def done(self) -> bool:
        """Whether smaller steps are not needed, or would drown in rounding."""
        error = self.truncation[0] + self.rounding
        return bool(
            error[-1] <= self.allowed(self.slopes[0, -1]) or self.rounding[-1] > error.min()
        )

    def best(self, side: int) -> tuple[float, float, bool]:
        """Slope at its best step, the error to accept, and whether smaller steps left it where it is."""
        truncation = self.truncation[side]
        j = np.argmin(truncation + self.rounding)
        slope, rounding = self.slopes[side, j], SAFETY * self.rounding[j]
        stable = truncation[j] <= max(rounding, EPS ** (1 / 3) * max(self.peak, abs(slope)))
        return slope, SAFETY * truncation[j] + rounding + self.allowed(slope), bool(stable)

    def agree(self, a: float) -> bool:
        """Whether `a` is the central slope."""
        slope, slack, stable = self.best(0)
        return stable and bool(abs(a - slope) <= slack)

    def verdict(self, a: float) -> tuple[str, float, float, float, bool]:
        """What x is, the derivative, those of the left and right pieces, and whether `a` is admissible."""
        central, _, stable = self.best(0)
        (left, left_slack, _), (right, right_slack, _) = self.best(1), self.best(2)
        if self.jumps:
            nearest, slack = min(
                (left, left_slack), (right, right_slack), key=lambda p: abs(a - p[0])
            )
            return "jump", nearest, left, right, abs(a - nearest) <= slack
        error = SAFETY * (self.truncation.sum(0) + self.rounding)
        gap, agreed = abs(a - central), self.agree(a)
        if agreed:
            j = np.argmin(self.truncation[0] + self.rounding)
        else:
            # The finest step where errors hide at most a SAFETY-th of the gap decides; coarser steps that say the
            # same say it more sharply.
            fine = np.flatnonzero(SAFETY * error <= gap)
            if not fine.size:
                return "smooth" if stable else "unresolved", central, left, right, False
            same = np.abs(self.slopes - self.slopes[:, fine[-1:]]) <= error + error[fine[-1]]
            j = np.argmin(np.where(same.all(0), error, np.inf))
        central, left, right = self.slopes[:, j]
        slack = error[j] + self.allowed(central)
        kind = "kink" if abs(right - left) > slack else "smooth"
        if kind == "kink" and not agreed:
            central = min(max(a, min(left, right)), max(left, right))
        return kind, central, left, right, agreed or bool(abs(a - central) <= slack)
