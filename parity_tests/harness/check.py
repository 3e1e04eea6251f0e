"""The checks of one catalog entry: what parity means.

For each case, in the dtype of the run, in training and in evaluation mode:

1. state_dict keys, shapes, dtypes and `repr`
2. outputs, and buffers afterwards
3. gradients of the inputs under a random cotangent
4. gradients of the parameters, by name
5. ten steps with SGD, Adam and AdamW (float64)
6. purity: inputs and cotangents are read-only, a backward run again gives the same, also with
   another forward between
7. finite differences (float64)
8. non-contiguous inputs
"""

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.harness import twin
from parity_tests.harness.compare import Comparison, close, nonzero, same
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Optim, Routine, Schedule
from parity_tests.harness.routine import check_routine
from parity_tests.harness.schedule import check_schedule, run_label
from scratch.gradcheck import gradcheck
from scratch.nn.sparse import SparseGradient
from scratch.random import Generator

DEEP = 1000  # c of networks of many layers
SINGLY = 2  # entries of each array of an op that finite differences look at by themselves
SHADOWS = 8  # further runs of torch where float32 misses in one of these
TORCH_DTYPE = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


def check(entry: Entry, dtype: Any = np.float64, device: str = "cpu") -> list[Comparison]:
    """Run every comparison of an entry; an exception on either side is a failed comparison.

    Args:
        entry: from the catalog.
        dtype: float64 or float32.
        device: where the torch side runs.
    """
    return [c for run in _runs(entry, np.dtype(dtype), device) for c in run()]


def first_difference(entry: Entry) -> Comparison | None:
    """The first number in float64 that is not torch's; None if all are.

    For mutants: an exception is no difference, for a mutant that does not run proves nothing. The
    quick comparisons of all cases come first, most mutants fall there.
    """
    for thorough in (False, True):
        for run in _runs(entry, np.dtype(np.float64), "cpu", thorough):
            for c in run():
                if not c.passed and "Error:" not in c.note and "instead of" not in c.note:
                    return c
    return None


def _runs(
    entry: Entry, dtype: np.dtype[Any], device: str, thorough: bool = True
) -> Iterator[Callable[[], list[Comparison]]]:
    """What there is to run of an entry, each part with its label; errors become comparisons."""
    parts: list[tuple[str, Callable[[], list[Comparison]]]] = []
    if isinstance(entry, Optim):
        for options in entry.options:
            text = ", ".join(f"{k}={v}" for k, v in options.items()) or "defaults"
            parts.append((text, partial(check_optimizer, entry, dict(options), dtype, device)))
    elif isinstance(entry, Schedule):
        for drive in entry.runs:
            label = run_label(drive)
            parts.append((label, partial(check_schedule, entry, drive, dtype, device)))
    elif isinstance(entry, Routine):
        for name, script in entry.scripts.items():
            parts.append((name, partial(check_routine, entry, name, script, dtype, device)))
    elif isinstance(entry, Layer):
        for case in entry.cases:
            if case.seeded and device != "cpu":  # other devices draw from other generators
                continue
            for mode in case.modes:
                label = f"{case.name}, {mode}"
                part = partial(check_layer, entry, case, mode, dtype, device, thorough)
                parts.append((label, part))
    else:
        for case in entry.cases:
            parts.append((case.name, partial(check_op, entry, case, dtype, device, thorough)))

    def labelled(label: str, part: Callable[[], list[Comparison]]) -> list[Comparison]:
        try:
            with strict_warnings():
                found = part()
        except Exception as error:
            found = [Comparison("run", np.inf, 0, note=f"{type(error).__name__}: {error}")]
        return [dataclasses.replace(c, what=f"[{label}] {c.what}") for c in found]

    return (partial(labelled, *part) for part in parts)


@contextmanager
def strict_warnings() -> Iterator[None]:
    """NumPy's warnings (overflow, invalid) are errors, for torch is silent; its advice is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        yield


def check_op(
    entry: Op, case: Case, dtype: np.dtype[Any], device: str, thorough: bool = True
) -> list[Comparison]:
    """Checks 2 and 3 of a function; if `thorough`, 6 to 8 and that no gradient is vacuous."""
    draw = Draw(f"{entry.name}/{case.name}", dtype)
    call = twin.in_signature_order(entry.scratch, case.make(draw))
    names = twin.leaf_names(entry.scratch, call)
    inputs = twin.plain(call)
    output, backward = entry.scratch(*inputs.args, **inputs.kwargs)
    dys = twin.cotangents(draw, twin.as_tuple(output))
    gradients = twin.as_tuple(twin.scratch_backward(output, backward, dys))

    def on_torch(wanted: torch.dtype | None) -> tuple[list[Array], list[Array]]:
        leaves: list[torch.Tensor] = []
        tensors = twin.to_torch(call, device, wanted, leaves)
        ys = twin.as_tuple(entry.torch(*tensors.args, **tensors.kwargs))
        return [twin.numpy(y) for y in ys if y is not None], twin.torch_gradients(ys, leaves, dys)

    c = case.c or entry.c
    zero = case.zero if thorough else None
    results = _compare_sides(output, gradients, names, on_torch, case, zero, c, dtype)
    if not thorough:
        return results

    again = twin.as_tuple(twin.scratch_backward(output, backward, dys))
    results.append(_equal("backward twice", again, gradients))
    other = case.make(Draw(f"{entry.name}/{case.name}/other", dtype))
    other = twin.plain(twin.in_signature_order(entry.scratch, other))
    other_output, other_backward = entry.scratch(*other.args, **other.kwargs)
    twin.scratch_backward(
        other_output, other_backward, twin.cotangents(draw, twin.as_tuple(other_output))
    )
    late = twin.as_tuple(twin.scratch_backward(output, backward, dys))
    results.append(_equal("backward after another call", late, gradients))

    views = twin.map_call(
        lambda v: twin.strided(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v,
        inputs,
    )
    view_output, view_backward = entry.scratch(*views.args, **views.kwargs)
    view_gradients = twin.as_tuple(twin.scratch_backward(view_output, view_backward, dys))
    results += _compare_arrays("non-contiguous: output", view_output, output, c)
    results += _compare_arrays("non-contiguous: gradients", view_gradients, gradients, c)
    if dtype == np.float64 and not case.surrogate:
        constant = _constants(entry.scratch, inputs, names)
        results.append(_finite_differences(entry.scratch, inputs, constant, SINGLY))
    return results


def check_layer(
    entry: Layer,
    case: Case,
    mode: str,
    dtype: np.dtype[Any],
    device: str,
    thorough: bool = True,
) -> list[Comparison]:
    """Checks 1 to 4 of a module in one mode; if `thorough`, all and that no gradient is vacuous."""
    draw = Draw(f"{entry.name}/{case.name}/{mode}", dtype)
    ours, theirs = build_twins(entry, case, dtype, device, draw)
    ours.train(mode == "train")
    theirs.train(mode == "train")
    results = [
        same("state_dict keys", list(ours.state_dict()), list(theirs.state_dict())),
        same("repr", repr(ours), repr(theirs)),
        *(
            same(f"dtype of {name}", ours.state_dict()[name].dtype, twin.numpy(value).dtype)
            for name, value in theirs.state_dict().items()
        ),
    ]
    call = twin.in_signature_order(ours.forward, case.make(draw))
    names = twin.leaf_names(ours.forward, call)
    inputs = twin.plain(call)
    start = theirs.state_dict()
    start = {name: value.clone() for name, value in start.items()}

    _seed(ours, case)
    output, backward = ours(*inputs.args, **inputs.kwargs)
    dys = twin.cotangents(draw, twin.as_tuple(output))
    gradients = list(twin.as_tuple(twin.scratch_backward(output, backward, dys)))
    if not names:  # a module over indices has no input gradient to return
        gradients = [g for g in gradients if g is not None]
    parameters = dict(ours.named_parameters())
    first = [twin.dense(p.grad) for p in parameters.values()]
    for g in first:
        if g is not None:
            g.flags.writeable = False
    gradients += first
    names = [*names, *parameters]

    truth: dict[str, Array] = {}  # buffers after the run in float64

    def on_torch(wanted: torch.dtype | None, shadow: int = 0) -> tuple[list[Array], list[Array]]:
        theirs.to(wanted or TORCH_DTYPE[dtype])
        theirs.load_state_dict(start)
        leaves: list[torch.Tensor] = []
        tensors = twin.to_torch(call, device, wanted, leaves)
        if shadow:
            twin.nudge([*leaves, *theirs.parameters()], shadow)
        torch.manual_seed(0)
        ys = twin.as_tuple(theirs(*tensors.args, **tensors.kwargs))
        found = twin.torch_gradients(ys, [*leaves, *theirs.parameters()], dys)
        if wanted:
            truth.update((name, twin.numpy(b).copy()) for name, b in theirs.named_buffers())
        return [twin.numpy(y) for y in ys if y is not None], found

    c = case.c or entry.c
    zero = case.zero if thorough else None
    shadows = SHADOWS if c >= DEEP else 0
    results += _compare_sides(
        output, tuple(gradients), names, on_torch, case, zero, c, dtype, shadows
    )
    for name, buffer in theirs.to(TORCH_DTYPE[dtype]).named_buffers():
        limit = c if dtype == np.float64 else 8
        mine, what = dict(ours.named_buffers())[name], f"buffer {name}"
        compared = close(what, mine, twin.numpy(buffer), c=limit)
        if not compared.passed:  # deep in a network float32 is held against the truth
            compared = close(what, mine, twin.numpy(buffer), c=limit, truth=truth.get(name))
        results.append(compared)
    if not thorough:
        return results

    twin.scratch_backward(output, backward, dys)
    for p, g in zip(parameters.values(), first, strict=True):
        if g is not None:  # not exact: a parameter that is used twice adds up in another order
            results.append(close("second backward accumulates", twin.dense(p.grad), g + g, c=4))
    ours.zero_grad()
    if dtype == np.float64:
        alone = mode == "train" or "train" not in case.modes
        wanted = entry.differences and not case.surrogate
        if wanted and (alone or _mode_counts(ours, inputs)):
            constant = _constants(ours.forward, inputs, names)
            results.append(_finite_differences(ours, inputs, constant, 0))
        if mode == "train" and entry.steps and parameters:
            results += _ten_steps(entry, case, dtype, device)
    return results


def _mode_counts(module: scratch.nn.Module, inputs: Call) -> bool:
    """Whether evaluation differs from training here, where finite differences were taken."""
    state = {name: value.copy() for name, value in module.state_dict().items()}
    evaluated, trained = (
        twin.as_tuple(module.train(mode)(*inputs.args, **inputs.kwargs)[0])
        for mode in (False, True)
    )
    moved = any(not np.array_equal(v, state[n]) for n, v in module.state_dict().items())
    module.load_state_dict(state)
    module.eval()
    return moved or not all(map(np.array_equal, evaluated, trained))


def build_twins(
    entry: Layer, case: Case, dtype: np.dtype[Any], device: str, draw: Draw
) -> tuple[scratch.nn.Module, torch.nn.Module]:
    """Both modules with the same values, moved off their start."""
    init = twin.map_call(
        lambda v: v.detach() if isinstance(v, torch.Tensor) else v,
        twin.to_torch(case.init, device, None, []),
    )
    torch.manual_seed(0)  # the same start in every run
    theirs = entry.torch(*init.args, **init.kwargs).to(TORCH_DTYPE[dtype]).to(device)
    with torch.no_grad():
        twin.move_off_start(theirs, draw)
    arguments = twin.plain(case.init)
    ours = entry.scratch(*arguments.args, **arguments.kwargs).to(dtype)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    return ours, theirs


def _ten_steps(entry: Layer, case: Case, dtype: np.dtype[Any], device: str) -> list[Comparison]:
    """Ten steps down sum(dy * y) with each optimizer, weight decay on, the rate cut in between."""
    results = []
    for name, options in (
        ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
        ("Adam", {"lr": 0.02, "weight_decay": 0.01}),
        ("AdamW", {"lr": 0.02, "weight_decay": 0.1}),
    ):
        draw = Draw(f"{entry.name}/{case.name}/steps", dtype)
        ours, theirs = build_twins(entry, case, dtype, device, draw)
        optimizer = getattr(scratch.optim, name)(ours.parameters(), **options)
        reference = getattr(torch.optim, name)(theirs.parameters(), **options)
        call = case.make(draw)
        inputs, tensors = twin.plain(call), twin.to_torch(call, device, None, [])
        for step in range(10):
            if step == 5:
                optimizer.param_groups[0]["lr"] *= 0.1
                reference.param_groups[0]["lr"] *= 0.1
            _seed(ours, case)
            torch.manual_seed(0)
            output, backward = ours(*inputs.args, **inputs.kwargs)
            dys = twin.cotangents(draw, twin.as_tuple(output))
            ours.zero_grad()
            twin.scratch_backward(output, backward, dys)
            optimizer.step()
            ys = twin.as_tuple(theirs(*tensors.args, **tensors.kwargs))
            reference.zero_grad()
            total = sum(
                (y * torch.from_numpy(np.array(dy)).to(y)).sum()
                for y, dy in zip(ys, dys, strict=True)
                if dy is not None
            )
            total.backward()
            reference.step()
        for key, parameter in ours.named_parameters():
            expected = twin.numpy(dict(theirs.named_parameters())[key])
            results.append(
                close(f"{key} after 10 steps of {name}", parameter.data, expected, c=1000)
            )
    return results


GRADIENT_SCALES = (1.0, 1e-7, 1e6, 0.0, 1e-3)


def check_optimizer(
    entry: Optim, options: dict[str, Any], dtype: np.dtype[Any], device: str
) -> list[Comparison]:
    """Fifty steps on the same random gradients: tiny, huge, zero and missing ones, the rate cut.

    Parameters on the way, and in the end also what torch keeps in its state.
    """
    draw = Draw(f"{entry.name}/{sorted(options)}", dtype)
    start = [draw.normal(*shape) for shape in entry.shapes]
    ours = [scratch.nn.Parameter(p.copy()) for p in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(np.array(p)).to(device)) for p in start]
    optimizer = entry.scratch(ours, **options)
    # On a GPU torch's default is foreach; the single-tensor loop is what is specified.
    single = device != "cpu" and "foreach" in inspect.signature(entry.torch).parameters
    reference = entry.torch(theirs, **options, **({"foreach": False} if single else {}))
    if entry.gradients == "closure":
        return _minimize(ours, optimizer, theirs, reference, entry.c)
    results = []
    for step in range(50):
        if step == 25:
            for group in (optimizer.param_groups[0], reference.param_groups[0]):
                group["lr"] = 0.1 * group["lr"]  # a new one: torch may hold a tensor elsewhere
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            missing = i == 1 and 10 <= step < 15
            gradient = draw.normal(*p.shape, scale=GRADIENT_SCALES[(step // 3) % 5])
            p.grad, q.grad = gradient, torch.from_numpy(gradient.copy()).to(device)
            if entry.gradients == "sparse":
                ids = draw.integers(0, len(gradient), 4 if gradient.size else 0)  # some twice
                p.grad = SparseGradient(ids, gradient[ids], p.shape)
                q.grad = torch.sparse_coo_tensor(
                    torch.from_numpy(ids[None]), q.grad[ids], q.shape, check_invariants=True
                )
            if missing:
                p.grad = q.grad = None
        optimizer.step()
        reference.step()
        if step in (0, 1, 9, 24, 49):
            for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
                what = f"parameter {i} after {step + 1} steps"
                # In float32 both sides round at every step: no truth to compare with, so the bound
                # is wider.
                limit = entry.c if dtype == np.float64 else 4 * (step + 1)
                results.append(close(what, p.data, twin.numpy(q), c=limit))
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        for name, value in reference.state[q].items():
            if isinstance(value, torch.Tensor):
                what, found = f"state {name} of parameter {i}", optimizer.state[p].get(name)
                results.append(close(what, found, twin.numpy(value), c=limit))
    return results


def _minimize(
    ours: list[scratch.nn.Parameter],
    optimizer: Any,
    theirs: list[torch.nn.Parameter],
    reference: Any,
    c: float,
) -> list[Comparison]:
    """Eight steps down a quartic with a minimum at 1, with the same function on both sides."""
    dtype = ours[0].dtype
    calls = [0, 0]

    def quartic(values: list[Array]) -> tuple[float, list[Array]]:
        x = [np.asarray(v) - np.asarray(1, dtype) for v in values]
        k = [np.arange(1, v.size + 1, dtype=dtype).reshape(v.shape) for v in x]
        loss = sum(float(np.sum(kv * v**2 / 2 + v**4 / 4)) for kv, v in zip(k, x, strict=True))
        return loss, [np.asarray(kv * v + v**3) for kv, v in zip(k, x, strict=True)]

    def closure() -> float:
        calls[0] += 1
        loss, gradients = quartic([p.data for p in ours])
        for p, g in zip(ours, gradients, strict=True):
            p.grad = g
        return loss

    def torch_closure() -> float:
        calls[1] += 1
        loss, gradients = quartic([twin.numpy(q) for q in theirs])
        for q, g in zip(theirs, gradients, strict=True):
            q.grad = torch.from_numpy(g.copy()).to(q)
        return loss

    results: list[Comparison] = []
    first = 0.0  # loss: in its units the later ones are compared
    for step in range(1, 9):
        if step == 3:
            for group in (optimizer.param_groups[0], reference.param_groups[0]):
                group["lr"] = 0.5 * group["lr"]  # a new one: torch's state may hold the tensor
        loss, expected = (
            np.asarray(value, dtype)
            for value in (optimizer.step(closure), reference.step(torch_closure))
        )
        first = first if results else float(expected)
        limit = c if dtype == np.float64 else 4 * calls[1]
        results.append(close(f"loss {step}", loss, expected, c=limit, at_least=first))
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            what = f"parameter {i} after {step} steps"
            results.append(close(what, p.data, twin.numpy(q), c=limit))
    if dtype == np.float64:
        results.append(same("evaluations", *calls))
    return results


def _seed(module: scratch.nn.Module, case: Case) -> None:
    """Give every part that draws one common generator at the seed that torch's global one gets."""
    if case.seeded:
        generator = Generator(0)
        for part in module.modules():
            if hasattr(part, "generator"):
                part.generator = generator


def _compare_sides(
    output: Any,
    gradients: tuple[Any, ...],
    names: list[str],
    on_torch: Callable[..., tuple[list[Array], list[Array]]],
    case: Case,
    zero: tuple[str, ...] | None,
    c: float,
    dtype: np.dtype[Any],
    shadows: int = 0,
) -> list[Comparison]:
    """Outputs and gradients against torch's; in float32 torch also runs in float64 for the truth.

    `zero` names the gradients that are zero; every other one must not be. None leaves that question
    out.
    """
    truth_outputs: list[Array | None] = []
    truth_gradients: list[Array | None] = []
    if dtype == np.float32:
        ys, gs = on_torch(torch.float64)
        truth_outputs, truth_gradients = list(ys), list(gs)
    outputs, expected = on_torch(None)
    ours = [y for y in twin.as_tuple(output) if y is not None]
    results = [
        same("number of outputs", len(ours), len(outputs)),
        same("number of gradients", len(gradients), len(names)),
    ]
    if not all(r.passed for r in results):
        return results
    truth_outputs = truth_outputs or [None] * len(outputs)
    truth_gradients = truth_gradients or [None] * len(expected)
    others: list[tuple[list[Array], list[Array]]] = []

    def judged(
        what: str, mine: Any, theirs: Array, truth: Array | None, side: int, i: int
    ) -> Comparison:
        at_least = case.cancels if side else case.output_cancels
        options: dict[str, Any] = {"c": c, "truth": truth, "at_least": at_least}
        found = close(what, mine, theirs, **options)
        if found.passed or truth is None or not shadows:
            return found
        if not others:
            others.extend(on_torch(None, k) for k in range(1, shadows + 1))
            on_torch(None)  # leave the module as its own run left it
        return close(what, mine, theirs, **options, shadows=[run[side][i] for run in others])

    for i, (y, t, truth) in enumerate(zip(ours, outputs, truth_outputs, strict=True)):
        results.append(judged(f"output {i}" if i else "output", y, t, truth, 0, i))
    pairs = zip(names, gradients, expected, truth_gradients, strict=True)
    for i, (name, g, t, truth) in enumerate(pairs):
        results.append(judged(f"gradient of {name}", g, t, truth, 1, i))
        if zero is not None:
            results.append(nonzero(f"gradient of {name}", t, name in zero))
    return results


def _compare_arrays(what: str, ours: Any, theirs: Any, c: float) -> list[Comparison]:
    pairs = zip(twin.as_tuple(ours), twin.as_tuple(theirs), strict=True)
    return [close(what, a, np.asarray(b), c=c) for a, b in pairs if b is not None]


def _equal(what: str, ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> Comparison:
    equal = all(
        (a is None) == (b is None) and (a is None or np.array_equal(a, b, equal_nan=True))
        for a, b in zip(ours, theirs, strict=True)
    )
    return Comparison(what, 0, 0, note="" if equal else "not the same numbers")


def _constants(function: Callable[..., Any], inputs: Call, names: list[str]) -> list[str]:
    """The floating arguments, or tuples of such, that are not differentiated."""
    found = []
    for name, value in twin.named_arguments(function, inputs).items():
        parts = value if isinstance(value, tuple | list) else ()
        whole = twin.is_floating(value) and name not in names
        if whole or (any(map(twin.is_floating, parts)) and f"{name}0" not in names):
            found.append(name)
    return found


def _finite_differences(
    function: Any, inputs: Call, constant: list[str], singly: int
) -> Comparison:
    """Along a random direction of each array, and of so many entries singly."""
    options: Any = {"constant": tuple(constant), "entries": singly}
    report = gradcheck(function, *inputs.args, **options, **inputs.kwargs)
    return Comparison("finite differences", 0, 0, note="" if report.passed else str(report))
