"""Refusals: one sentence that names the function, what it expected and what it got."""

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def refuse(
    function: str, expected: str, got: object, error: type[Exception] = ValueError
) -> NoReturn:
    """Raise `error` with the one form of message that all of `scratch` uses."""
    raise error(f"{function}: expected {expected}, got {got}")


def describe(value: object) -> str:
    """An array by dtype and shape, anything else by its value."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} array of shape {value.shape}"
    return f"{_line(value)} ({type(value).__name__})"


def _line(value: object) -> str:
    """`repr` on one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def floating(function: str, name: str, value: object, like: Array | None = None) -> Array:
    """`value` as an array if it is float32 or float64 (and of `like`'s dtype, if given).

    NumPy's reductions return scalars where a 0-d array is meant, so those are accepted.
    """
    if not isinstance(value, np.ndarray | np.generic) or value.dtype not in (
        np.float32,
        np.float64,
    ):
        refuse(function, f"{name} to be a float32 or float64 array", describe(value), TypeError)
    if like is not None and value.dtype != like.dtype:
        refuse(
            function, f"{name} of dtype {like.dtype} as the input has", describe(value), TypeError
        )
    return np.asarray(value)


def integer(function: str, name: str, value: object, low: int, high: int) -> Array:
    """`value` as an array of indices if it is integer and each entry lies in [low, high)."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "iu":
        refuse(function, f"{name} to be an integer array", describe(value), TypeError)
    index = np.asarray(value)
    if index.size and (index.min() < low or index.max() >= high):
        bad = int(index.max() if index.max() >= high else index.min())
        refuse(function, f"every entry of {name} in [{low}, {high})", bad, ValueError)
    return index


def shape(function: str, name: str, array: Array, expected: Sequence[int | str]) -> None:
    """Refuse unless the shape matches; a string stands for any size and names it."""
    if array.ndim != len(expected) or any(
        isinstance(size, int) and size != actual
        for size, actual in zip(expected, array.shape, strict=True)
    ):
        sizes = ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "")
        refuse(function, f"{name} of shape ({sizes})", array.shape)


def broadcastable(function: str, **arrays: Array) -> tuple[int, ...]:
    """The shape to which the arrays broadcast together."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        got = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        refuse(function, f"{' and '.join(arrays)} to have shapes that broadcast", got)


def option(function: str, name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse unless `value` is one of `choices`."""
    if not any(value is choice or _equal(value, choice) for choice in choices):
        got = describe(value) if isinstance(value, np.ndarray) else _line(value)
        refuse(function, f"{name} to be one of {', '.join(map(repr, choices))}", got)


def _equal(value: object, choice: object) -> bool:
    """Whether they are equal; an array, which compares entry by entry, never is."""
    equal = not isinstance(value, np.ndarray) and value == choice
    return isinstance(equal, bool | np.bool_) and bool(equal)


def number(
    function: str,
    name: str,
    value: object,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """`value` as a Python float if it is a number within the bounds (NaN never is).

    A Python float, because a NumPy float64 scalar would turn a float32 computation into float64.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        refuse(function, f"{name} to be a number", describe(value), TypeError)
    if not low <= value <= high or (open_low and value == low) or (open_high and value == high):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        refuse(function, f"{name} in {left}{low}, {high}{right}", value)
    return float(value)


def pair(function: str, name: str, value: object) -> tuple[Any, Any]:
    """The two parts of `value`, which a range may follow."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        refuse(function, f"{name} to be a pair of numbers", describe(value), TypeError)
    return value[0], value[1]


def nonzero(function: str, name: str, value: object) -> float:
    """`value` as a Python float if it is a number other than 0."""
    x = number(function, name, value)
    if x == 0:
        refuse(function, f"{name} other than 0", value)
    return x


def size(function: str, name: str, value: Any, low: int = 0) -> int:
    """`value` as an int if it is an integer not below `low`."""
    try:
        n = operator.index(value)
    except TypeError:
        refuse(function, f"{name} to be an integer", describe(value), TypeError)
    if n < low:
        refuse(function, f"{name} >= {low}", n)
    return n


def sizes(function: str, name: str, value: Any, axes: int, low: int = 0) -> tuple[int, ...]:
    """One integer, not below `low`, for each of so many axes; a single one serves all."""
    if not isinstance(value, tuple | list):
        return (size(function, name, value, low),) * axes
    if len(value) not in (1, axes):
        refuse(function, f"{name} to be an integer or {axes} of them", describe(value))
    each = tuple(size(function, name, n, low) for n in value)
    return each if len(each) == axes else each * axes


def axis(function: str, name: str, value: object, ndim: int) -> int:
    """`value` as a non-negative axis of an array of `ndim` dimensions; 0-d counts as one."""
    n = size(function, name, value, low=-max(ndim, 1))
    if n >= max(ndim, 1):
        refuse(function, f"{name} in [{-max(ndim, 1)}, {max(ndim, 1)})", n)
    return n % max(ndim, 1)
