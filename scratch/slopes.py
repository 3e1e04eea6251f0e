"""The derivative of f(t) = u . y(t) at t = 0 from differences, with its error, its kinks and jumps.

    central     D(t) = (f(t) - f(-t)) / 2t = f' + c t^2 + d t^4 + ...
                R(t) = (16 D(t) - D(4t)) / 15 = f' - 16 d t^4 + ...
    one-sided   C(t) = (f(4t) - f(t)) / 3t = f' + c t + ...     the piece on that side, without f(0)
                S(t) = (4 C(t) - C(4t)) / 3 = f' + d t^2 + ...
    truncation  |R(t) - R(4t)|: the error of R(4t), which is 256 times that of R(t)
    rounding    eps |u y| / t of the outputs that moved (a 2-norm, for the signs of u are random);
                where none do, of all at the largest t over SAFETY: what is compared is rounded.
                eps |a x| / t where that is more: f need not be exact for x but for an x that is
                rounded (a mean taken off large numbers)
    accepted    |a - R| <= SAFETY (truncation + rounding) + tolerance (size of the derivative),
                at the t where truncation + rounding is least

Where y varies over a length l its derivative is about y / l, and relative to it the two errors are
(t/l)^4 and eps l/t: the best t leaves eps^(4/5) = 3e-13 whatever l is. Hence many steps and not
one. The default tolerance, eps^(2/3) = 4e-11, is what a plain central difference leaves at its
best. SAFETY is the 64 eps to which rounding may add up inside one op.

Kinks: the finest step that rounding does not blur tells the slopes of the pieces left and right. If
they differ, any value between them is a derivative. If f(t) - f(-t) does not shrink with t there is
a jump, and the derivative is that of one piece. A kink that is merely near excuses nothing: small
steps stay on this side of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scratch.check import Array

EPS = 2.0**-52
SAFETY = 64.0
TOLERANCE = EPS ** (2 / 3)


class Verdict(NamedTuple):
    """What f is at 0, its derivative, those of its pieces, and whether the given one is right."""

    kind: str
    derivative: float
    left: float
    right: float
    passed: bool


def measure(
    change: Callable[[float], Array],
    y: Array,
    u: Array,
    largest: float,
    size: float,
    tolerance: float = TOLERANCE,
    every: bool = False,
    conditioning: float = 0.0,
) -> "Slopes | None":
    """Slopes by steps that fall from `largest` until they are good enough, or to 2^-40.

    Args:
        change: t -> y(t) - y(0).
        y: y(0) (n,).
        u: cotangent (n,).
        largest: the first step, where y may vary as a whole.
        size: magnitude that errors are relative to.
        tolerance: relative error that is granted beside the measured one.
        every: whether to go on to the last step in any case.
        conditioning: |a x|, what f changes by, in units of eps, where its arguments are rounded.

    Returns:
        The slopes; None if f is not finite at small steps.
    """
    rows: list[Any] = []
    slopes = None
    moved = np.zeros(y.shape, bool)
    least = np.linalg.norm(u * y) / (SAFETY * largest)
    for t in largest * 4.0 ** -np.arange(1 + np.log2(largest * 2.0**40) // 2):
        plus, minus = change(t), change(-t)
        moved |= (plus != 0) | (minus != 0)
        rounding = max(np.linalg.norm((u * y)[moved]) / t, conditioning / t, least)
        rows.append((t, u @ plus, u @ minus, EPS * rounding))
        if not np.isfinite(rows[-1]).all():
            rows, slopes = [], None  # outside of the domain; smaller steps may stay inside
        if len(rows) >= 4:
            slopes = Slopes(np.array(rows).T, size, tolerance)
            if slopes.done() and not every:
                break
    return slopes


class Slopes:
    """Central slopes (0), those of the left (1) and of the right piece (2), each by several steps.

    Args:
        rows: steps t, f(t) - f(0), f(-t) - f(0), rounding of a slope (4, steps), t falling by 4.
        size: magnitude that errors are relative to.
        tolerance: relative error that is granted beside the measured one.
    """

    def __init__(self, rows: Array, size: float, tolerance: float) -> None:
        t, plus, minus, rounding = rows
        central = ((plus - minus) / (2 * t))[1:]
        chords = [(c[:-1] - c[1:]) / (t[:-1] - t[1:]) for c in (-minus, plus)]
        sides = [(4 * chord[1:] - chord[:-1]) / 3 for chord in chords]
        slopes = np.stack([(16 * central[1:] - central[:-1]) / 15, *sides])
        self.slopes, self.truncation = slopes[:, 1:], np.abs(np.diff(slopes))
        self.rounding, self.size, self.tolerance = rounding[3:], size, tolerance
        self.t, self.width = t[3:], np.abs(plus - minus)[2:]

    def best(self, side: int) -> tuple[float, float, bool]:
        """Slope at its best step, the error to accept, and whether the steps leave it in place."""
        truncation = self.truncation[side]
        j = np.argmin(truncation + self.rounding)
        slope, rounding = self.slopes[side, j], SAFETY * self.rounding[j]
        size = max(self.size, abs(slope))
        stable = truncation[j] <= max(rounding, EPS ** (1 / 3) * size)
        return slope, SAFETY * truncation[j] + rounding + self.tolerance * size, bool(stable)

    def done(self) -> bool:
        """Whether smaller steps are not needed, or would drown in rounding."""
        error = self.truncation[0] + self.rounding
        enough = self.tolerance * max(self.size, abs(self.slopes[0, -1]))
        return bool(error[-1] <= enough or self.rounding[-1] > error.min())

    def agree(self, a: float) -> bool:
        """Whether `a` is the central slope."""
        slope, slack, stable = self.best(0)
        return stable and bool(abs(a - slope) <= slack)

    def verdict(self, a: float) -> Verdict:
        """Compare `a` with every derivative that f may be said to have."""
        error = SAFETY * (self.truncation.sum(0) + self.rounding)
        agreed = self.agree(a)
        if agreed:
            j = np.argmin(self.truncation[0] + self.rounding)
        elif self._jump():
            return self._beside_jump(a)
        else:
            # The finest step whose error explains no more than a quarter of the gap decides; steps
            # that say the same may say it more sharply.
            central, _, stable = self.best(0)
            fine = np.flatnonzero(4 * error <= abs(a - central))
            if not fine.size:
                kind = "smooth" if stable else "unresolved"
                return Verdict(kind, central, self.best(1)[0], self.best(2)[0], False)
            apart = np.abs(self.slopes - self.slopes[:, fine[-1:]])
            same = (apart <= error + error[fine[-1]]).all(0)
            j = np.argmin(np.where(same, error, np.inf))
        nearest, left, right = self.slopes[:, j]
        slack = error[j] + self.tolerance * max(self.size, abs(nearest))
        kinked = abs(right - left) > slack
        if kinked and not agreed:
            nearest = np.clip(a, min(left, right), max(left, right))
        passed = agreed or bool(abs(a - nearest) <= slack)
        return Verdict("kink" if kinked else "smooth", nearest, left, right, passed)

    def _jump(self) -> bool:
        """Whether f(t) - f(-t) keeps its size over small steps, beyond what slopes explain."""
        explained = abs(self.best(1)[0]) + abs(self.best(2)[0]) + SAFETY * self.rounding
        kept = self.width[1:] > np.maximum(self.width[:-1] / 2, 2 * self.t * explained)
        return bool(kept[-4:].any())

    def _beside_jump(self, a: float) -> Verdict:
        sides = self.best(1), self.best(2)
        nearest, slack, stable = min(sides, key=lambda side: abs(a - side[0]))
        kind = "jump" if stable else "unresolved"
        passed = stable and bool(abs(a - nearest) <= slack)
        return Verdict(kind, nearest, sides[0][0], sides[1][0], passed)
