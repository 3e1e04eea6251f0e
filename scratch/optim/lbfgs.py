"""L-BFGS, with a line search.                           Liu & Nocedal 1989; Nocedal & Wright 2006

    the last history_size pairs    s = t d of a step, y = the change of g that it made
                                   (left out if y.s <= 1e-10)
    d = -H g                       q = -g
                                   newest pair first:  a_i = s_i.q / y_i.s_i    q <- q - a_i y_i
                                   of the newest pair:                          q <- (y.s / y.y) q
                                   oldest pair first:  q <- q + (a_i - y_i.q / y_i.s_i) s_i
    p <- p + t d                   t = lr, in the first iteration of all min(1, 1 / sum |g|) lr
    strong_wolfe                   from there to a t that the slope f' along d and f allow:
                                   f(t) <= f(0) + 1e-4 t f'(0)    |f'(t)| <= 0.9 |f'(0)|

shapes     all parameters are one vector: d, g, s, y (P,)
state      of the first parameter: n_iter, func_evals, d, t, prev_flat_grad, prev_loss, al (a),
           old_dirs (y), old_stps (s), ro (1 / y.s), H_diag (y.s / y.y)
torch      calls the y "dirs" and the s "stps". A step is up to max_iter iterations, each with one
           or more evaluations of the closure. The line search narrows down to 1e-9 whatever
           tolerance_change is. A parameter without gradient counts as one whose gradient is zero.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.nn.sparse import SparseGradient
from scratch.optim.optimizer import Group, Optimizer, Params, State

VECTORS = ("d", "prev_flat_grad", "old_dirs", "old_stps")


class LBFGS(Optimizer):
    """Newton's steps with a curvature that is gathered from the last gradients.

    Args:
        params: parameters, or pairs with names: one group.
        lr: length of a step, and where the line search begins, >= 0.
        max_iter: most iterations of a call of `step`.
        max_eval: most evaluations of the closure in it; None is 5/4 of max_iter.
        tolerance_grad: the largest entry of g at which it is done.
        tolerance_change: the change of the loss, or of p's entries, at which it is done.
        history_size: number of pairs that are kept.
        line_search_fn: None or 'strong_wolfe'.

    Raises:
        TypeError, ValueError: as `Optimizer`, for a second group, and for options that are no such
            numbers.

    Source:
        Liu & Nocedal 1989, "On the limited memory BFGS method for large scale optimization".
    """

    _state_names: ClassVar = dict.fromkeys(
        ("n_iter", "func_evals", "t", "prev_loss", "ro", "H_diag", "al", *VECTORS), False
    )
    _sparse: ClassVar = None

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        iterations = check.size("LBFGS", "max_iter", max_iter, low=1)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max(1, iterations * 5 // 4) if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _add_group(self, function: str, given: Mapping[str, Any]) -> None:
        if self.param_groups:
            check.refuse(function, "one group: its step is one of all parameters", "another")
        super()._add_group(function, given)

    def _check_options(self, function: str, group: Group) -> None:
        for name in ("max_iter", "max_eval", "history_size"):
            check.size(function, name, group[name], low=1)
        for name in ("tolerance_grad", "tolerance_change"):
            check.number(function, name, group[name])
        check.option(function, "line_search_fn", group["line_search_fn"], (None, "strong_wolfe"))
        if group["line_search_fn"] is not None and group["lr"] == 0:
            check.refuse(function, "lr other than 0 with a line search", group["lr"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterate until a tolerance is met or a limit is reached.

        Args:
            closure: computes the loss and the gradients anew; it is called once for each
                evaluation.

        Returns:
            What `closure` returned first: the loss before the step.

        Raises:
            TypeError: if there is no closure, or a gradient is none of its parameter's dtype.
            ValueError: if a shape differs, a parameter is read-only, or an option is out of range.
        """
        function, group = f"{type(self).__name__}.step", self.param_groups[0]
        if closure is None:
            check.refuse(function, "a closure that computes the loss anew", closure, TypeError)
        lr = check.number(function, "lr", group["lr"])
        self._check_options(function, group)

        first_loss = closure()
        f, g = float(first_loss), self._gradient(function)
        state = self.state[group["params"][0]]
        state["func_evals"] = state.get("func_evals", 0) + 1
        state.setdefault("n_iter", 0)
        evaluations = 1
        if np.max(np.abs(g), initial=0) <= group["tolerance_grad"]:
            return first_loss

        for left in range(group["max_iter"] - 1, -1, -1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                state.update(d=-g, old_dirs=[], old_stps=[], ro=[], H_diag=1)
                t: Any = min(1.0, 1.0 / np.sum(np.abs(g))) * lr
            else:
                state["d"] = _direction(g, state, group["history_size"])
                t = lr
            d, old_f = state["d"], f
            state.update(t=_kept(t), prev_flat_grad=g, prev_loss=f)
            slope = g @ d
            if slope > -group["tolerance_change"]:
                break

            calls = 0
            if group["line_search_fn"] is not None:
                start = _Point(0, f, g, slope)
                along = self._along(function, closure, d)
                found, calls = _strong_wolfe(
                    along, start, t, np.max(np.abs(d)), group["max_eval"] - evaluations
                )
                t, f, g = found.t, found.f, found.g
                state["t"] = _kept(t)
                self._move(t, d)
            else:
                self._move(t, d)
                if left:  # after the last step nobody asks
                    f, g = float(closure()), self._gradient(function)
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                evaluations >= group["max_eval"]
                or np.max(np.abs(g)) <= group["tolerance_grad"]
                or np.max(np.abs(d * t)) <= group["tolerance_change"]
                or abs(f - old_f) < group["tolerance_change"]
            ):
                break
        return first_loss

    def _gradient(self, function: str) -> Array:
        """All gradients as one vector."""
        pieces = []
        for parameter in self.param_groups[0]["params"]:
            gradient = parameter.grad
            if gradient is None:
                pieces.append(np.zeros(parameter.size, parameter.dtype))
                continue
            self._check_ready(function, parameter.data, gradient, {})
            dense = gradient.dense() if isinstance(gradient, SparseGradient) else gradient
            pieces.append(np.ravel(dense))
        return np.concatenate(pieces)

    def _move(self, t: Any, d: Array) -> None:
        """p <- p + t d."""
        offset = 0
        for parameter in self.param_groups[0]["params"]:
            values, piece = parameter.data, d[offset : offset + parameter.size]
            values += piece.reshape(values.shape) * t
            parameter.version += 1
            offset += parameter.size

    def _along(
        self, function: str, closure: Callable[[], Any], d: Array
    ) -> Callable[[Any], "_Point"]:
        """What the closure gives at p + t d; p itself is left as it is."""
        parameters = self.param_groups[0]["params"]
        start = [parameter.data.copy() for parameter in parameters]

        def at(t: Any) -> _Point:
            self._move(t, d)
            f, g = float(closure()), self._gradient(function)
            for parameter, values in zip(parameters, start, strict=True):
                parameter.data[...] = values
                parameter.version += 1
            return _Point(t, f, g, g @ d)

        return at

    def _loaded_state(self, function: str, parameter: Parameter, saved: Mapping[str, Any]) -> State:
        size = sum(p.size for p in self.param_groups[0]["params"])

        def loaded(name: str, value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [loaded(name, part) for part in value]
            if value is None or isinstance(value, int | float):
                return value
            shape = (size,) if name in VECTORS else ()
            array = np.asarray(value)
            if name not in self._state_names or array.dtype.kind != "f" or array.shape != shape:
                expected = f"state {name!r} of L-BFGS for {size} numbers"
                check.refuse(function, expected, check.describe(value))
            return array.astype(parameter.dtype)

        return {name: loaded(name, value) for name, value in saved.items() if value is not None}


def _kept(x: Any) -> Any:
    """A scalar of a parameter's dtype as an array, which torch has a tensor for."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def _direction(g: Array, state: State, history_size: int) -> Array:
    """-H g, once the last step has joined the history."""
    ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
    y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = y @ s
    if curvature > 1e-10:
        if len(ys) == history_size:
            for oldest in (ys, ss, ro):
                oldest.pop(0)
        ys.append(y)
        ss.append(s)
        ro.append(_kept(1.0 / curvature))
        state["H_diag"] = _kept(curvature / (y @ y))
    al = state.setdefault("al", [])
    al += [None] * (history_size - len(al))
    q = -g
    for i in reversed(range(len(ys))):
        al[i] = _kept(ss[i] @ q * ro[i])
        q -= ys[i] * al[i]
    q *= state["H_diag"]
    for i in range(len(ys)):
        q += ss[i] * (al[i] - ys[i] @ q * ro[i])
    return q


class _Point(NamedTuple):
    """A step along d: its length, and there the loss, the gradient and the slope along d."""

    t: Any
    f: float
    g: Array
    slope: Any


def _strong_wolfe(
    at: Callable[[Any], _Point], start: _Point, t: Any, width: Any, limit: int
) -> tuple[_Point, int]:
    """A point that fulfils both conditions, or the best after `limit` more; and the evaluations."""

    def too_high(point: _Point) -> bool:
        return bool(point.f > start.f + 1e-4 * point.t * start.slope)

    def flat(point: _Point) -> bool:
        return bool(abs(point.slope) <= -0.9 * start.slope)

    last, new = start, at(t)
    count = 0
    while count < limit:  # go on until a minimum lies between the last two
        if too_high(new) or (count > 1 and new.f >= last.f):
            pair = [last, new]
            break
        if flat(new):
            return new, count + 1
        if new.slope >= 0:
            pair = [last, new]
            break
        t = _cubic(last, new, (new.t + 0.01 * (new.t - last.t), new.t * 10))
        last, new = new, at(t)
        count += 1
    else:
        pair = [start, new]

    low = int(not pair[0].f <= pair[1].f)
    stuck = False
    while count < limit and abs(pair[1].t - pair[0].t) * width >= 1e-9:  # narrow it down
        left, right = min(pair[0].t, pair[1].t), max(pair[0].t, pair[1].t)
        t = _cubic(pair[0], pair[1], (left, right))
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stuck = near
        new = at(t)
        count += 1
        if too_high(new) or new.f >= pair[low].f:
            pair[1 - low] = new
            low = int(not pair[0].f <= pair[1].f)
            continue
        if flat(new):
            return new, count + 1
        if new.slope * (pair[1 - low].t - pair[low].t) >= 0:
            pair[1 - low] = pair[low]
        pair[low] = new
    return pair[low], count + 1


def _cubic(a: _Point, b: _Point, bounds: tuple[Any, Any]) -> Any:
    """Where the cubic through two values and slopes has its minimum, within bounds."""
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (bounds[0] + bounds[1]) / 2.0
    d2 = np.sqrt(square)
    left, right = (a, b) if a.t <= b.t else (b, a)
    with np.errstate(divide="ignore", invalid="ignore"):  # of a line: out of bounds or NaN
        step = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2)
    return min(max(right.t - (right.t - left.t) * step, bounds[0]), bounds[1])
