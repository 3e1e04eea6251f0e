"""Someone else's implementation in the place of a twin, and which convention it follows.

function       f(arrays) -> y, backward     the protocol of `scratch`
               f(arrays) -> y               NumPy alone: outputs are compared, gradients are not
               f(tensors) -> y              torch, whose autograd gives the gradients
class          a scratch.nn.Module or scratch.optim.Optimizer in the place of the NumPy side, a
               torch.nn.Module or torch.optim.Optimizer in that of torch's

A function whose names for the arguments differ is called by position; a case that gives it an
option which it lacks is left out, and said to be.
"""

import dataclasses
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import scratch
from parity_tests.harness import twin
from parity_tests.harness.check import check, strict_warnings
from parity_tests.harness.compare import Comparison, close
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Const, Entry, Layer, Op, Optim
from parity_tests.pitfalls.entry import Pitfall

Kind = Literal["protocol", "forward", "tensors"]
Numbers = list[Any] | type[Exception]
CLASSES = {
    Layer: (scratch.nn.Module, torch.nn.Module),
    Optim: (scratch.optim.Optimizer, torch.optim.Optimizer),
}
OF_GRADIENTS = ("gradient", "backward", "finite differences")
KINDS: dict[Kind, str] = {
    "protocol": "NumPy with a backward",
    "forward": "NumPy without a backward, so outputs alone",
    "tensors": "torch with its autograd",
}


@dataclass(frozen=True)
class Finding:
    """What an implementation does.

    Attributes:
        kind: how it was called, in words.
        comparisons: with torch, or with `scratch` where it stands in torch's place.
        left_out: cases that were not compared, each with what the function does not take.
        follows: the conventions whose mutants give its numbers where torch does not.
        where: in how many cases they do.
    """

    kind: str
    comparisons: Sequence[Comparison]
    left_out: Sequence[tuple[str, str]] = ()
    follows: Sequence[Pitfall] = ()
    where: str = ""

    @property
    def failed(self) -> list[Comparison]:
        """The comparisons that rounding does not explain."""
        return [c for c in self.comparisons if not c.passed]


def load(where: str) -> Any:
    """What `file.py:name` or `package.module:name` names.

    Args:
        where: a Python file or module, a colon, and a name in it.

    Returns:
        The object. Its file is run, as an import does.

    Raises:
        ValueError: if there is no such file, module or name.
    """
    place, _, name = where.rpartition(":")
    if not place or not name:
        raise ValueError(f"check: expected file.py:name or module:name, got {where!r}")
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise ValueError(f"check: expected a Python file, got {place!r}, which is none")
        # Not under its own name, which may be that of a module which something else imports.
        spec = importlib.util.spec_from_file_location(f"_checked_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(path.parent.resolve()))  # for what it imports beside it
        spec.loader.exec_module(module)
    else:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise ValueError(f"check: expected a module, got {place!r}: {error}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        known = ", ".join(n for n in vars(module) if not n.startswith("_"))
        raise ValueError(
            f"check: expected a name in {place}, got {name!r}; it has {known}"
        ) from None


def judge(
    entry: Op | Layer | Optim, theirs: Any, pitfalls: Sequence[Pitfall], dtypes: Sequence[Any]
) -> Finding:
    """Hold an implementation against a twin.

    Args:
        entry: of the catalog.
        theirs: a function for an op, a class for a layer or an optimizer.
        pitfalls: the conventions that others follow in this entry.
        dtypes: float64, float32 or both.

    Returns:
        What was found.

    Raises:
        TypeError: if it is no function, or no class of the kind that the entry is.
    """
    if isinstance(entry, Op):
        return _judge_function(entry, theirs, pitfalls, dtypes)
    ours, torchs = CLASSES[type(entry)]
    if not inspect.isclass(theirs) or not issubclass(theirs, (ours, torchs)):
        expected = " or ".join(
            f"{c.__module__.split('.')[0]}'s {c.__name__}" for c in (ours, torchs)
        )
        raise TypeError(f"check: expected {entry.name} as a subclass of {expected}, got {theirs!r}")
    side = "scratch" if issubclass(theirs, ours) else "torch"
    if side == "torch":
        # In float32 the judge is torch in float64, and here that would be the implementation.
        dtypes = [dtype for dtype in dtypes if np.dtype(dtype) == np.float64] or [np.float64]
    place: dict[str, Any] = {side: theirs}
    placed = dataclasses.replace(entry, **place)
    found = [c for dtype in dtypes for c in _without_repr(placed, dtype)]
    follows: list[Pitfall] = []
    if side == "torch" and not all(c.passed for c in found):
        mutants = ((p, dataclasses.replace(placed, scratch=p.mutant)) for p in pitfalls)
        follows = [p for p, m in mutants if all(c.passed for c in _without_repr(m, np.float64))]
    kind = "a class of NumPy" if side == "scratch" else "a class of torch, in float64"
    return Finding(kind, found, (), follows, "all cases")


def _without_repr(entry: Entry, dtype: Any) -> list[Comparison]:
    """All comparisons but that of the text that a module shows of itself."""
    return [c for c in check(entry, dtype) if "] repr" not in c.what]


def _judge_function(
    entry: Op, theirs: Any, pitfalls: Sequence[Pitfall], dtypes: Sequence[Any]
) -> Finding:
    if not callable(theirs):
        raise TypeError(f"check: expected {entry.name} as a function, got {theirs!r}")
    kinds: dict[Kind, None] = {}
    found: list[Comparison] = []
    left_out: list[tuple[str, str]] = []
    failing: list[tuple[Case, Kind, Numbers]] = []  # with their numbers
    for case in entry.cases:
        call = case.make(Draw(f"{entry.name}/{case.name}", np.float64))
        if _arguments(entry, theirs, call) is None:
            given = [f"{k}={v!r}" for k, v in call.kwargs.items() if not _holds_arrays(v)]
            left_out.append((case.name, ", ".join(given) or f"{len(call.args)} arguments"))
            continue
        kind = _kind(entry, theirs, call)
        kinds[kind] = None
        function = _in_protocol(entry, theirs, kind, call)
        one = dataclasses.replace(entry, scratch=function, cases=[case])
        about_it = [
            c
            for dtype in dtypes
            for c in check(one, dtype)
            if kind != "forward" or not any(word in c.what for word in OF_GRADIENTS)
        ]
        found += about_it
        if not all(c.passed for c in about_it):
            failing.append((case, kind, _numbers(entry, case, kind, function)))
    explained = {
        p.name: sum(
            _alike(numbers, _numbers(entry, case, kind, p.mutant), case.c or entry.c)
            for case, kind, numbers in failing
        )
        for p in pitfalls
    }
    most = max(explained.values(), default=0)
    follows = [p for p in pitfalls if most and explained[p.name] == most]
    text = " and ".join(KINDS[kind] for kind in kinds)
    return Finding(text, found, left_out, follows, f"{most} of {len(failing)} cases")


def _arguments(entry: Op, theirs: Any, call: Call) -> Call | None:
    """The call in a form that their function can take; None if it can take none."""
    bound = inspect.signature(entry.scratch).bind(*call.args, **call.kwargs)
    given = dict(bound.arguments)
    arrays = [v for v in given.values() if _holds_arrays(v)]
    options = {k: v for k, v in given.items() if not _holds_arrays(v)}
    bound.apply_defaults()
    last = max(list(bound.arguments).index(name) for name in given) + 1 if given else 0
    try:
        signature = inspect.signature(theirs)
    except (TypeError, ValueError):  # of a builtin
        return Call(*arrays, **options)
    for form in (call, Call(*list(bound.arguments.values())[:last]), Call(*arrays, **options)):
        try:
            signature.bind(*form.args, **form.kwargs)
        except TypeError:
            continue
        return form
    return None


def _holds_arrays(value: Any) -> bool:
    return any(isinstance(part, np.ndarray | Const | torch.Tensor) for part in twin.as_tuple(value))


def _kind(entry: Op, theirs: Any, call: Call) -> Kind:
    """What it takes and returns: arrays are tried first."""
    form = _arguments(entry, theirs, twin.plain(call))
    assert form is not None
    try:
        with np.errstate(all="ignore"):
            result = theirs(*form.args, **form.kwargs)
    except Exception:
        result = None
    if isinstance(result, tuple) and len(result) == 2 and callable(result[1]):
        return "protocol"
    if result is not None and not any(isinstance(y, torch.Tensor) for y in twin.as_tuple(result)):
        return "forward"
    tensors = twin.to_torch(form, "cpu", None, [])
    try:
        result = theirs(*tensors.args, **tensors.kwargs)
    except Exception:
        return "protocol"  # its own error is what the comparison then reports
    return "tensors" if isinstance(twin.as_tuple(result)[0], torch.Tensor) else "protocol"


def _in_protocol(entry: Op, theirs: Any, kind: Kind, example: Call) -> Callable[..., Any]:
    """Their function under our signature, returning its value and its backward."""
    wanted = twin.leaf_names(entry.scratch, twin.in_signature_order(entry.scratch, example))

    def function(*args: Any, **kwargs: Any) -> Any:
        form = _arguments(entry, theirs, Call(*args, **kwargs))
        assert form is not None
        if kind == "tensors":
            return _on_tensors(entry, theirs, Call(*args, **kwargs), wanted)
        with np.errstate(all="ignore"):  # NumPy's warnings are no numbers
            result = theirs(*form.args, **form.kwargs)
        if kind == "forward":
            return result, entry.scratch(*args, **kwargs)[1]
        value, backward = result

        def quiet(*dys: Any) -> Any:
            with np.errstate(all="ignore"):
                return backward(*dys)

        return value, quiet

    function.__signature__ = inspect.signature(entry.scratch)  # type: ignore[attr-defined]
    return function


def _on_tensors(entry: Op, theirs: Any, call: Call, wanted: Sequence[str]) -> Any:
    """Value and backward of a function of tensors; each backward runs it anew."""

    def run() -> tuple[Any, list[torch.Tensor]]:
        leaves: list[torch.Tensor] = []
        form = _arguments(entry, theirs, twin.to_torch(call, "cpu", None, leaves))
        assert form is not None
        names = twin.leaf_names(entry.scratch, call)
        chosen = [leaf for name, leaf in zip(names, leaves, strict=True) if name in wanted]
        return theirs(*form.args, **form.kwargs), chosen

    def backward(*dys: Any) -> Any:
        ys, leaves = run()
        found = twin.torch_gradients(twin.as_tuple(ys), leaves, twin.as_tuple(dys))
        return found[0] if len(found) == 1 else tuple(found)

    return twin.to_arrays(run()[0]), backward


def _numbers(entry: Op, case: Case, kind: Kind, function: Callable[..., Any]) -> Numbers:
    """Outputs, and gradients unless it has none of its own; or the kind of error that it raises."""
    draw = Draw(f"{entry.name}/{case.name}", np.float64)
    inputs = twin.plain(twin.in_signature_order(entry.scratch, case.make(draw)))
    try:
        with strict_warnings():
            y, backward = function(*inputs.args, **inputs.kwargs)
            parts = list(twin.as_tuple(y))
            if kind != "forward":
                dys = twin.cotangents(draw, twin.as_tuple(y))
                parts += twin.as_tuple(twin.scratch_backward(y, backward, dys))
    except Exception as error:
        return type(error)
    return parts


def _alike(mine: Numbers, other: Numbers, c: float) -> bool:
    """Whether one array after the other is the same up to rounding, or both raise the same."""
    if isinstance(mine, type) or isinstance(other, type):
        return mine == other
    if len(mine) != len(other):
        return False
    pairs = [(a, b) for a, b in zip(mine, other, strict=True) if a is not None and b is not None]
    return all(close("", a, np.asarray(b), c=c).passed for a, b in pairs)
