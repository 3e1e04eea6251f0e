"""What curves and norms say, by rules that are stated.

diagnose_curves     of the means m over the last tenth of a run, and s the first loss:
    diverging       a loss is not finite, or the training loss ends above s
    no learning     the training loss ends above 0.99 s
    overfitting     the validation loss ends above 1.1 times its lowest running mean, while the
                    training loss has fallen on since then
    underfitting    the training loss ends above 0.5 s: it learns, and not enough
    good            none of these
diagnose_gradients  of the norms front to back, the last being next to the loss:
    exploding       one is not finite, or the first is above 1000 times the last
    vanishing       the first is below 1/1000 of the last
    good            neither

The numbers are arguments. Half of s is high for classes, whose loss can go to 0; noisy values have
a floor of their own.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array


class Verdict(NamedTuple):
    """A name and why.

    Attributes:
        call: the name.
        reason: the numbers that it was called by.
    """

    call: str
    reason: str


def diagnose_curves(
    train: Sequence[float],
    validation: Sequence[float],
    *,
    least: float = 0.01,
    rise: float = 0.1,
    high: float = 0.5,
) -> Verdict:
    """Call a run by its losses.

    Args:
        train: losses over training rows, 3 or more, the first before any step.
        validation: losses over other rows at the same steps.
        least: share of the first loss by which the training loss must fall to have learned.
        rise: share by which the validation loss must end above its lowest to have over-fitted.
        high: share of the first loss above which the training loss ends too high.

    Returns:
        "diverging", "no learning", "overfitting", "underfitting" or "good".

    Raises:
        TypeError, ValueError: if the curves are none, too short, or of different lengths.
    """
    name = "diagnose_curves"
    least = check.number(name, "least", least, 0, 1)
    rise = check.number(name, "rise", rise, 0)
    high = check.number(name, "high", high, 0, 1)
    ours, theirs = _curve(name, "train", train), _curve(name, "validation", validation)
    if len(ours) != len(theirs):
        check.refuse(name, "curves of one length", f"{len(ours)} and {len(theirs)}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        bad = int(np.argmin(np.isfinite(ours) & np.isfinite(theirs)))
        return Verdict("diverging", f"not finite at {bad}")
    window = max(1, len(ours) // 10)
    start, means, held = ours[0], _running(ours, window), _running(theirs, window)
    end, lowest = means[-1], int(held.argmin())
    if end > start:
        return Verdict("diverging", f"training loss {start:.4g} to {end:.4g}")
    if end > (1 - least) * start:
        return Verdict("no learning", f"training loss {start:.4g} to {end:.4g}")
    if held[-1] > (1 + rise) * held[lowest] and end < means[lowest]:
        return Verdict(
            "overfitting",
            f"validation loss {held[lowest]:.4g} at {lowest}, {held[-1]:.4g} at the end; "
            f"training loss {means[lowest]:.4g} to {end:.4g}",
        )
    if end > high * start:
        return Verdict("underfitting", f"training loss {start:.4g} to {end:.4g}")
    return Verdict(
        "good", f"training loss {start:.4g} to {end:.4g}, validation loss {held[-1]:.4g} at the end"
    )


def diagnose_gradients(norms: Mapping[str, float], *, ratio: float = 1000.0) -> Verdict:
    """Call a network by the gradient norms of its layers.

    Args:
        norms: by name, front to back, 2 or more: of like tensors, such as the weights or the
            outputs of the hidden layers.
        ratio: between the first and the last from which they explode, or vanish the other way.

    Returns:
        "exploding", "vanishing" or "good".

    Raises:
        TypeError, ValueError: if there are fewer than 2, or the ratio is not above 1.
    """
    name = "diagnose_gradients"
    ratio = check.number(name, "ratio", ratio, 1, open_low=True)
    if not isinstance(norms, Mapping) or len(norms) < 2:
        check.refuse(name, "2 norms by name or more", check.describe(norms))
    values = {key: float(value) for key, value in norms.items()}
    for key, value in values.items():
        if not np.isfinite(value):
            return Verdict("exploding", f"{key} {value}")
    (first, a), (last, b) = (list(values.items())[i] for i in (0, -1))
    reason = f"{first} {a:.3g}, {last} {b:.3g}"
    if a > ratio * b:
        return Verdict("exploding", reason)
    return Verdict("vanishing" if a * ratio < b else "good", reason)


def _running(values: Array, window: int) -> Array:
    """Means over each `window` values in a row; the first of those that begin at 0."""
    means: Array = np.lib.stride_tricks.sliding_window_view(values, window).mean(1)
    return means


def _curve(function: str, name: str, values: Sequence[float]) -> Array:
    if not isinstance(values, list | tuple | np.ndarray):
        check.refuse(function, f"{name} to be a list of losses", check.describe(values), TypeError)
    curve = np.asarray(values)
    if curve.ndim != 1 or len(curve) < 3 or curve.dtype.kind not in "fiu":
        check.refuse(function, f"{name} to be 3 losses or more", check.describe(values))
    return curve.astype(np.float64)
