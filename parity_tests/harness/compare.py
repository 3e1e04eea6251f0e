"""How far apart two tensors are, in units of what rounding allows.

float64    |ours - torch| <= C eps scale          scale = the largest magnitude of the tensor
float32    |ours - truth| <= (4 r + 4) eps scale  truth = torch in float64, r = its error in float32

One run of torch is one draw of r, and in a deep network, which has hundreds of tensors, torch is
lucky in some. There, where ours misses, torch runs again from starts that are one rounding away,
and r is its largest error in all of them.

So a tolerance belongs to the dtype and the kind of operation, and a loss of accuracy in float32
shows even where both sides agree loosely. A NaN or an infinity must stand at the same place on both
sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_tests.harness.draw import Array


@dataclass(frozen=True)
class Comparison:
    """One tensor compared.

    Attributes:
        what: which tensor, of which case.
        error: largest difference in eps of the tensor's largest magnitude.
        limit: the largest error that rounding allows, in the same unit.
        absolute: largest difference as it is.
        note: why a comparison that has no number failed.
    """

    what: str
    error: float
    limit: float
    absolute: float = 0.0
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether rounding explains the difference."""
        return not self.note and self.error <= self.limit

    def __str__(self) -> str:
        verdict = self.note or f"{self.error:.3g} eps, allowed {self.limit:.3g}"
        return f"{self.what}: {verdict} (absolute {self.absolute:.3g})"


def same(what: str, ours: object, theirs: object) -> Comparison:
    """Anything that must be equal: keys, shapes, dtypes, text."""
    return Comparison(what, 0, 0, note="" if ours == theirs else f"{ours!r} instead of {theirs!r}")


def close(
    what: str,
    ours: Any,
    theirs: Array,
    *,
    c: float,
    truth: Array | None = None,
    shadows: Sequence[Array] = (),
    at_least: float = 0.0,
) -> Comparison:
    """Compare `ours` with torch's result in the same dtype; `truth` switches to the float32 rule.

    Args:
        what: label of the tensor.
        ours: the scratch side's array.
        theirs: torch's array.
        c: the float64 tolerance in eps.
        truth: torch's result in float64 where the run is in float32.
        shadows: torch's results from starts that are one rounding away.
        at_least: magnitude of accumulated terms that cancel; the scale where the tensor is smaller.
    """
    if not isinstance(ours, np.ndarray | np.generic):
        return Comparison(what, np.inf, c, note=f"{type(ours).__name__} instead of an array")
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        got, expected = f"{ours.dtype} {ours.shape}", f"{theirs.dtype} {theirs.shape}"
        return Comparison(what, np.inf, c, note=f"{got}, not {expected}")
    if theirs.dtype.kind != "f":
        differ = int(np.count_nonzero(ours != theirs))
        note = f"{differ} of {theirs.size} differ" if differ else ""
        return Comparison(what, np.inf if differ else 0, c, note=note)
    mine = np.asarray(ours)
    finite = np.isfinite(theirs)
    if not np.array_equal(mine[~finite], theirs[~finite], equal_nan=True) or not np.all(
        np.isfinite(mine[finite])
    ):
        return Comparison(what, np.inf, c, note="NaN or infinity on one side only")
    eps = float(np.finfo(theirs.dtype).eps)
    reference = theirs if truth is None else truth
    a, b, t = (x.astype(np.float64)[finite] for x in (mine, theirs, reference))
    if not a.size:
        return Comparison(what, 0, c)
    scale = max(float(np.max(np.abs(b))), at_least)
    # Below the smallest normal number eps no longer describes the spacing of floats.
    unit = eps * max(scale, float(np.finfo(theirs.dtype).tiny) / eps)
    # Where float32 lands on the other side of a kink than float64 does, torch itself is far from
    # the truth; there (and where float64 does not overflow) ours must do as torch does.
    with np.errstate(invalid="ignore"):
        flipped = ~(np.abs(b - t) <= 1e-3 * scale)
    t = np.where(flipped, b, t)
    absolute = float(np.max(np.abs(a - t)))
    runs = [b, *(shadow.astype(np.float64)[finite] for shadow in shadows)]
    torch_error = max(float(np.max(np.abs(run - t))) for run in runs) / unit
    limit = c if truth is None else 4 * torch_error + 4
    return Comparison(what, absolute / unit, limit, absolute)


def nonzero(what: str, theirs: Array, declared: bool) -> Comparison:
    """A gradient that is zero everywhere proves nothing, unless the case declares that it is."""
    zero = theirs.size > 0 and not np.any(theirs)
    if zero == declared or theirs.size == 0:
        return Comparison(what, 0, 0)
    note = (
        "zero on torch's side, so the case proves nothing" if zero else "declared zero, but is not"
    )
    return Comparison(what, 0, 0, note=note)
