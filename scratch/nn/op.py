"""The one protocol: an op returns its value and its backward.

    y, backward = F.op(x, ...)
    dx = backward(dy)

`backward` maps the gradient of the output to the gradients of the inputs: one for each
differentiable array that was given, in signature order, bare when there is only one. An op with
several outputs takes one gradient for each, nested as they are, None standing for zero. The
gradient of a scalar output is one where it is left out.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from scratch.check import Array, describe, refuse

Backward = Callable[..., Any]
P = ParamSpec("P")
T = TypeVar("T")


def op(function: Callable[P, tuple[T, Backward]]) -> Callable[P, tuple[T, Backward]]:
    """Make an op's backward refuse a gradient that does not have the output's shape and dtype.

    Without this NumPy would broadcast a wrong gradient into a silently wrong result.
    """
    name = function.__name__

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> tuple[T, Backward]:
        y, backward = function(*args, **kwargs)
        spec = _spec(y)  # shapes only: holding y itself would keep its memory alive
        several = isinstance(y, tuple)

        def checked_backward(*dy: Any, **options: Any) -> Any:
            if not dy and spec == ((), spec[1]):
                dy = (1.0,)
            if (not several and len(dy) != 1) or (several and len(dy) != len(spec)):
                expected = len(spec) if several else 1
                refuse(f"{name} backward", f"{expected} gradient(s)", len(dy), TypeError)
            matched = _match(name, spec, dy) if several else [_match(name, spec, dy[0])]
            return backward(*matched, **options)

        return y, checked_backward

    return checked


def _spec(y: Any) -> Any:
    if isinstance(y, tuple):
        return [_spec(part) for part in y]
    return None if y is None else (y.shape, y.dtype)


def _match(name: str, spec: Any, dy: Any) -> Any:
    """`dy` as an array of the output's shape and dtype, or an error."""
    if spec is None:
        refuse(f"{name} backward", "None for an output that is None", describe(dy), TypeError)
    if isinstance(spec, list):
        if dy is None:
            return None
        if not isinstance(dy, tuple | list) or len(dy) != len(spec):
            refuse(f"{name} backward", f"{len(spec)} gradients here", describe(dy), TypeError)
        return tuple(
            None if d is None else _match(name, s, d) for s, d in zip(spec, dy, strict=True)
        )
    shape, dtype = spec
    if shape == () and isinstance(dy, int | float):
        return np.asarray(dy, dtype)
    if not isinstance(dy, np.ndarray | np.generic) or dy.dtype != dtype or dy.shape != shape:
        error = ValueError if isinstance(dy, np.ndarray) and dy.dtype == dtype else TypeError
        expected = f"the output's gradient to be a {dtype} array of shape {shape}"
        refuse(f"{name} backward", expected, describe(dy), error)
    return np.asarray(dy)


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum `gradient` over the axes along which an operand of `shape` was broadcast."""
    if gradient.shape == shape:
        return gradient
    lead = gradient.ndim - len(shape)
    stretched = tuple(
        lead + i for i, n in enumerate(shape) if n == 1 and gradient.shape[lead + i] != 1
    )
    summed: Array = gradient.sum(axis=(*range(lead), *stretched))
    return summed.reshape(shape)
