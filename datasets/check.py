"""Refusals: one sentence that names the function, what it expected and what it got."""

import importlib
import operator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def refuse(
    function: str, expected: str, got: object, error: type[Exception] = ValueError
) -> NoReturn:
    """Raise `error` with the one form of message that all of `datasets` uses."""
    raise error(f"{function}: expected {expected}, got {got}")


def describe(value: object) -> str:
    """An array by dtype and shape, anything else by its value."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} array of shape {value.shape}"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def size(function: str, name: str, value: Any, low: int = 0, high: int | None = None) -> int:
    """`value` as an int if it is an integer, not below `low` and not above `high`."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        n = operator.index(value)
    except TypeError:
        refuse(function, f"{name} to be an integer", describe(value), TypeError)
    if n < low or (high is not None and n > high):
        refuse(function, f"{name} >= {low}" if high is None else f"{name} in [{low}, {high}]", n)
    return n


def seed(function: str, value: object) -> int:
    """`value` as a seed that NumPy and scikit-learn both take."""
    return size(function, "seed", value, 0, 2**32 - 1)


def number(
    function: str,
    name: str,
    value: object,
    low: float = 0.0,
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """`value` as a float if it is a finite number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        refuse(function, f"{name} to be a number", describe(value), TypeError)
    inside = low <= value <= high and np.isfinite(value)
    if not inside or (open_low and value == low) or (open_high and value == high):
        left = "(" if open_low else "["
        right = ")" if open_high or high == float("inf") else "]"
        refuse(function, f"{name} in {left}{low:g}, {high:g}{right}", value)
    return float(value)


def matrix(function: str, name: str, value: object) -> Array:
    """`value` if it is finite, floating, and has at least one row of features or picture."""
    if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64):
        refuse(function, f"{name} to be a float32 or float64 array", describe(value), TypeError)
    if value.ndim not in (2, 4) or len(value) == 0:
        expected = f"{name} of shape (rows >= 1, features) or (rows >= 1, channels, height, width)"
        refuse(function, expected, value.shape)
    if not np.isfinite(value).all():
        refuse(function, f"{name} to be finite", "NaN or infinity in it")
    return value


def columns(function: str, name: str, value: object, fitted: Array) -> Array:
    """`value` if `matrix` takes it and its columns are those of what was `fitted` to (F, ...)."""
    x = matrix(function, name, value)
    if x.ndim != fitted.ndim + 1 or x.shape[1] != len(fitted):
        more = ", height, width" if fitted.ndim == 3 else ""
        refuse(function, f"{name} of shape (n, {len(fitted)}{more})", x.shape)
    return x


def floating(function: str, name: str, value: object, ndims: tuple[int, ...], form: str) -> Array:
    """`value` if it is float32 or float64, of so many dimensions, none but the first empty."""
    if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64):
        refuse(function, f"{name} to be a float32 or float64 array", describe(value), TypeError)
    if value.ndim not in ndims or 0 in value.shape[1:]:
        refuse(function, f"{name} of shape {form}", value.shape)
    return value


def generator(function: str, value: object) -> np.random.Generator:
    """`value` if random numbers can be drawn from it."""
    if not isinstance(value, np.random.Generator):
        refuse(function, "rng to be a numpy.random.Generator", describe(value), TypeError)
    return value


def ids(function: str, name: str, value: object, size: int | None = None, least: int = 0) -> Array:
    """`value` if it is a row of integers, `least` or more, each below `size` if that is given."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
        refuse(function, f"{name} to be an array of integers", describe(value), TypeError)
    if value.ndim != 1 or len(value) < least:
        refuse(function, f"{name} of shape (n >= {least},)", value.shape)
    if size is not None and value.size and not 0 <= value.min() <= value.max() < size:
        bad = int(value.max() if value.max() >= size else value.min())
        refuse(function, f"every one of {name} in [0, {size})", bad)
    return value


def sklearn(function: str, module: str) -> Any:
    """`sklearn.<module>`, or one sentence that says how to get it."""
    try:
        importlib.import_module("sklearn")
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise  # scikit-learn is there, and what it misses is another matter
        raise ModuleNotFoundError(
            f"{function}: needs scikit-learn; in the project's folder: pip install '.[data]'",
            name="sklearn",
        ) from None
    return importlib.import_module(f"sklearn.{module}")
