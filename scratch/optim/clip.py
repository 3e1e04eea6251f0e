"""Bounds on gradients, between the backward and the step.      Pascanu et al. 2013, arXiv:1211.5063

    norm     n = |(|g_1|_p, ..., |g_k|_p)|_p      over all gradients, as of one long vector (p > 0)
             |g|_p = (sum |g|^p)^(1/p)            p = inf: max |g|     -inf: min |g|     0: g != 0
    by norm  g <- min(1, max_norm / (n + 1e-6)) g
    by value g <- min(max(g, -clip_value), clip_value)

torch     because of the 1e-6 a clipped norm ends a little below max_norm, and much below a tiny one
          (1 % at 1e-4). What is returned is the norm from before. Here a clipped gradient is a
          new array in `parameter.grad`: the old one may be shared.
"""

import types
import warnings
from collections.abc import Iterable
from typing import Literal

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter

Order = float | Literal["inf", "-inf"]


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: Order = 2.0,
    error_if_nonfinite: bool = False,
) -> Array:
    """Scale the gradients down together if their common norm is above `max_norm`.

    Args:
        parameters: those without a gradient are left out.
        max_norm: the largest norm that is kept, >= 0.
        norm_type: order p of the norm; "inf" is a number too.
        error_if_nonfinite: raise if the norm is NaN or infinite, instead of making gradients so.

    Returns:
        The norm before clipping, 0-d.

    Raises:
        TypeError, ValueError: if an argument is none of these, or a gradient is empty where the
            norm of nothing is not defined. No gradient has changed then.
        RuntimeError: see `error_if_nonfinite`.

    Source:
        Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1.
    """
    name = "clip_grad_norm_"
    held = _parameters(name, parameters)
    check.number(name, "max_norm", max_norm, low=0)
    gradients = [p.grad for p in held if p.grad is not None]
    norm = _total_norm(name, gradients, norm_type, error_if_nonfinite)
    _scale(name, held, max_norm, norm)
    return norm


def clip_grads_with_norm_(
    parameters: Parameter | Iterable[Parameter], max_norm: float, total_norm: Array
) -> None:
    """Scale the gradients down together as `clip_grad_norm_` does, by a norm that is given.

    Args:
        parameters: those without a gradient are left out.
        max_norm: the largest norm that is kept, >= 0.
        total_norm: of the gradients, from `get_total_norm`.

    Raises:
        TypeError, ValueError: if an argument is none of these.
    """
    name = "clip_grads_with_norm_"
    held = _parameters(name, parameters)
    check.number(name, "max_norm", max_norm, low=0)
    norm = check.floating(name, "total_norm", total_norm)
    check.shape(name, "total_norm", norm, ())
    _scale(name, held, max_norm, norm)


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Limit every entry of the gradients to [-clip_value, clip_value].

    Args:
        parameters: those without a gradient are left out.
        clip_value: bound, >= 0.

    Raises:
        TypeError, ValueError: if an argument is none of these.
    """
    name = "clip_grad_value_"
    held = _parameters(name, parameters)
    bound = check.number(name, "clip_value", clip_value, low=0)
    for parameter in held:
        if parameter.grad is not None:
            parameter.grad = np.asarray(np.clip(parameter.grad, -bound, bound))


def get_total_norm(
    tensors: Array | Iterable[Array],
    norm_type: Order = 2.0,
    error_if_nonfinite: bool = False,
) -> Array:
    """The norm of arrays, as of one long vector: gradients, usually.

    Args:
        tensors: an array or several, of any shapes.
        norm_type: order p of the norm; "inf" is a number too.
        error_if_nonfinite: raise if the norm is NaN or infinite.

    Returns:
        The norm, 0-d; of nothing float32 0.

    Raises:
        TypeError, ValueError: if an argument is none of these, or an array is empty where the norm
            of nothing is not defined.
        RuntimeError: see `error_if_nonfinite`.
    """
    name = "get_total_norm"
    if not isinstance(tensors, Iterable):
        check.refuse(name, "an array or several", check.describe(tensors), TypeError)
    arrays = [tensors] if isinstance(tensors, np.ndarray) else list(tensors)
    return _total_norm(name, arrays, norm_type, error_if_nonfinite)


def _parameters(name: str, parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    """All of them, each with a floating gradient or none."""
    if not isinstance(parameters, Parameter | Iterable):
        check.refuse(name, "a Parameter or several", check.describe(parameters), TypeError)
    held = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    if not held and isinstance(parameters, types.GeneratorType):
        # What was there to read may have been read before.
        warnings.warn(f"{name}: `parameters` is an empty generator", UserWarning, stacklevel=3)
    for parameter in held:
        if not isinstance(parameter, Parameter):
            check.refuse(name, "Parameters", check.describe(parameter), TypeError)
        if parameter.grad is not None:
            check.floating(name, "every gradient", parameter.grad)
    return held


def _total_norm(name: str, arrays: list[Array], order: Order, error_if_nonfinite: bool) -> Array:
    p = float(order) if order in ("inf", "-inf") else check.number(name, "norm_type", order)
    check.option(name, "error_if_nonfinite", error_if_nonfinite, (False, True))
    for array in arrays:
        if not check.floating(name, "every array", array).size and (p < 0 or p == np.inf):
            check.refuse(name, f"arrays that are not empty for norm_type {p}", array.shape)
    if not arrays:
        return np.zeros((), np.float32)
    with np.errstate(all="ignore"):  # infinity and NaN are results
        norm = np.asarray(_norm(np.stack([_norm(array, p) for array in arrays]), p))
    if error_if_nonfinite and not np.isfinite(norm):
        expected = f"gradients whose norm of order {p} is finite, as error_if_nonfinite says"
        check.refuse(name, expected, norm, RuntimeError)
    return norm


def _norm(x: Array, p: float) -> Array:
    """|x|_p, 0-d and in the dtype of x."""
    if p == 2:
        norm = np.sqrt(np.vdot(x, x))
    elif p == 0:
        norm = np.count_nonzero(x)
    elif np.isinf(p):
        norm = np.abs(x).max() if p > 0 else np.abs(x).min()
    else:
        norm = (np.abs(x) ** p).sum() ** (1 / p)
    return np.asarray(norm, x.dtype)


def _scale(name: str, parameters: list[Parameter], max_norm: float, norm: Array) -> None:
    with np.errstate(all="ignore"):
        factor = float(np.minimum(max_norm / (norm + 1e-6), 1.0))  # NaN stays
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = np.asarray(parameter.grad * factor)
