"""Shapes, options and values that nobody chose: hypothesis draws them, the harness compares.

Each example is a case of a catalog entry, so the rules are those of `parity_tests.harness.compare`.
Where terms cancel, `cancels` names their magnitude, computed from the example.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scratch
from parity_tests.catalog import ENTRIES
from parity_tests.catalog.loss import manhattan
from parity_tests.harness import twin
from parity_tests.harness.check import build_twins, check_layer, check_op, strict_warnings
from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Const, Layer, Op, const
from scratch import nn
from scratch.nn import functional as F

OPS = {entry.name: entry for entry in ENTRIES if isinstance(entry, Op)}
LAYERS = {entry.name: entry for entry in ENTRIES if isinstance(entry, Layer)}
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
INF = float("inf")
Options = st.SearchStrategy[dict[str, Any]]


def examples(number: int) -> settings:
    """The same examples in every run."""
    return settings(max_examples=number, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True)
class Values:
    """An array to be drawn in the dtype of the run: a method of `Draw` and what it is given."""

    kind: str
    shape: tuple[int, ...]
    bounds: tuple[float, ...] = ()
    scale: float = 1.0
    constant: bool = False

    def __call__(self, d: Draw) -> Any:
        array = getattr(d, self.kind)(*self.bounds, *self.shape)
        array = d.array(array * self.scale) if self.scale != 1 else array
        return const(array) if self.constant else array


def agree(
    name: str,
    arguments: Mapping[str, Any],
    dtype: Any,
    seed: int,
    *,
    wrap: Callable[..., Any] = lambda function: function,
    terms: Callable[[Call], dict[str, float]] = lambda call: {},
) -> None:
    """Both sides of a function under these arguments give the same output and gradients.

    Args:
        name: of the entry.
        arguments: by name; `Values` among them are drawn.
        dtype: of the run.
        seed: of the draws, the cotangent's too.
        wrap: applied to the torch side.
        terms: from the drawn call to the magnitude of terms that cancel, as `Case` takes them.
    """
    entry = dataclasses.replace(OPS[name], torch=wrap(OPS[name].torch))

    def make(d: Draw) -> Call:
        return Call(**{k: v(d) if isinstance(v, Values) else v for k, v in arguments.items()})

    d = Draw(f"{name}/{seed}", dtype)
    case = Case(str(seed), make, **terms(make(Draw(f"{name}/{seed}", dtype))))
    with strict_warnings():
        found = check_op(entry, case, np.dtype(dtype), "cpu", thorough=False)
    failed = [str(c) for c in found if not c.passed]
    assert not failed, "\n".join(failed)


SEEDS = st.integers(0, 999)
