"""Clipping of gradients."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Refusal, Routine
from parity_tests.harness.routine import Script, Side
from scratch.nn import Parameter, utils


def clip(
    *shapes: tuple[int, ...],
    scale: float = 1.0,
    spoiled: float | None = None,
    single: bool = False,
    **options: Any,
) -> Script:
    """Clip gradients of these shapes and of a parameter that has none."""

    def script(function: Callable[..., Any], side: Side, d: Draw) -> Mapping[str, Any]:
        gradients = [d.normal(*shape, scale=scale) for shape in shapes]
        if spoiled is not None:
            gradients[0][0] = spoiled
        parameters = [side.parameter(d.normal(*g.shape), g) for g in gradients]
        without = side.parameter(d.normal(2))
        result = function(parameters[0] if single else [*parameters, without], **options)
        assert without.grad is None
        found = {f"gradient {i}": p.grad for i, p in enumerate(parameters)}
        return found if result is None else {"norm": result, **found}

    return script


def clip_shared(**options: Any) -> Script:
    """Two parameters whose gradient is one array, as a backward may hand it out."""

    def script(function: Callable[..., Any], side: Side, d: Draw) -> Mapping[str, Any]:
        gradient = d.normal(4)
        a, b = (side.parameter(d.normal(4), gradient) for _ in range(2))
        function([a, b], **options)
        return {"first": a.grad, "second": b.grad}

    return script


def given_norm(norm: float, **options: Any) -> Script:
    """Scale by a norm that is given."""

    def script(function: Callable[..., Any], side: Side, d: Draw) -> Mapping[str, Any]:
        p = side.parameter(d.normal(3), d.normal(3))
        function([p], total_norm=side.array(d.array(norm)), **options)
        return {"gradient": p.grad}

    return script


def total_norm(*shapes: tuple[int, ...], single: bool = False, **options: Any) -> Script:
    """The norm of arrays of these shapes."""

    def script(function: Callable[..., Any], side: Side, d: Draw) -> Mapping[str, Any]:
        arrays = [side.array(d.normal(*shape)) for shape in shapes]
        return {"norm": function(arrays[0] if single else arrays, **options)}

    return script


SOME = ((3, 4), (5,), ())
NORMS: tuple[Any, ...] = (1, 2.0, 3, 0.5, 0, -1.0, -math.inf, math.inf, "inf")
ENTRIES = [
    Routine(
        "clip_grad_norm_",
        utils.clip_grad_norm_,
        torch.nn.utils.clip_grad_norm_,
        {
            **{f"norm {p}": clip(*SOME, max_norm=0.7, norm_type=p) for p in NORMS},
            "left alone": clip(*SOME, max_norm=1e3),
            "without bound": clip(*SOME, max_norm=math.inf),
            "to zero": clip(*SOME, max_norm=0),
            "a tiny norm": clip(*SOME, max_norm=1e-6, scale=1e-5),
            "at the bound of 1e-6": clip(*SOME, max_norm=1e-6, scale=1e-7),
            "huge": clip(*SOME, max_norm=2.0, scale=1e12),
            "zeros": clip(*SOME, max_norm=2.0, scale=0.0),
            "with an empty one": clip((3,), (0, 2), max_norm=0.5),
            "one parameter": clip((3, 4), max_norm=0.5, single=True),
            "none": clip(max_norm=0.5),
            "NaN": clip((3,), (2,), max_norm=0.5, spoiled=math.nan),
            "infinite": clip((3,), (2,), max_norm=0.5, spoiled=math.inf),
            "a shared gradient": clip_shared(max_norm=0.5),
        },
        source="Pascanu et al. 2013, arXiv:1211.5063",
    ),
    Routine(
        "clip_grads_with_norm_",
        utils.clip_grads_with_norm_,
        torch.nn.utils.clip_grads_with_norm_,
        {
            "clipped": given_norm(3.0, max_norm=0.5),
            "left alone": given_norm(3.0, max_norm=5),
            "NaN": given_norm(math.nan, max_norm=5),
        },
        source="Pascanu et al. 2013, arXiv:1211.5063",
    ),
    Routine(
        "clip_grad_value_",
        utils.clip_grad_value_,
        torch.nn.utils.clip_grad_value_,
        {
            "clipped": clip(*SOME, clip_value=0.5),
            "to zero": clip(*SOME, clip_value=0),
            "left alone": clip((3,), (0, 2), clip_value=1e3),
            "one parameter": clip((3, 4), clip_value=0.5, single=True),
            "NaN": clip((3,), clip_value=0.5, spoiled=math.nan),
            "infinite": clip((3,), clip_value=0.5, spoiled=-math.inf),
            "a shared gradient": clip_shared(clip_value=0.5),
        },
        source="torch.nn.utils' documentation",
    ),
    Routine(
        "get_total_norm",
        utils.get_total_norm,
        torch.nn.utils.get_total_norm,
        {
            **{f"norm {p}": total_norm(*SOME, norm_type=p) for p in NORMS},
            "one array": total_norm((3, 4), single=True),
            "none": total_norm(),
            **{f"empty, norm {p}": total_norm((0,), (2,), norm_type=p) for p in (2, 1, 0.5, 0)},
        },
        source="torch.nn.utils' documentation",
    ),
]


def clipped(function: Callable[..., Any], gradient: Any, *args: Any, **options: Any) -> Any:
    """Clip a gradient."""
    parameter = Parameter(np.ones(3))
    parameter.grad = gradient
    return function([parameter], *args, **options)


# Without its annotations, which the refused calls do not keep to.
U: Any = utils
GRADIENT = np.ones(3)

REFUSALS = [
    Refusal("clip_grad_norm_: numbers", lambda: U.clip_grad_norm_(3, 1.0), "clip_grad_norm_"),
    Refusal("clip_grad_norm_: arrays", lambda: U.clip_grad_norm_([GRADIENT], 1), "clip_grad_norm_"),
    Refusal(
        "clip_grad_norm_: max_norm below 0",
        lambda: clipped(U.clip_grad_norm_, GRADIENT, -1.0),
        "clip_grad_norm_",
    ),
    Refusal(
        "clip_grad_norm_: max_norm NaN",
        lambda: clipped(U.clip_grad_norm_, GRADIENT, math.nan),
        "clip_grad_norm_",
    ),
    Refusal(
        "clip_grad_norm_: norm_type",
        lambda: clipped(U.clip_grad_norm_, GRADIENT, 1.0, "two"),
        "clip_grad_norm_",
    ),
    Refusal(
        "clip_grad_norm_: error_if_nonfinite",
        lambda: clipped(U.clip_grad_norm_, GRADIENT, 1.0, error_if_nonfinite="no"),
        "clip_grad_norm_",
    ),
    Refusal(
        "clip_grad_norm_: the largest of nothing",
        lambda: clipped(U.clip_grad_norm_, np.ones(0), 1.0, math.inf),
        "clip_grad_norm_",
    ),
    Refusal(
        "clip_grad_norm_: a gradient of integers",
        lambda: clipped(U.clip_grad_norm_, np.arange(3), 1.0),
        "clip_grad_norm_",
    ),
    Refusal(
        "clip_grads_with_norm_: total_norm",
        lambda: clipped(U.clip_grads_with_norm_, GRADIENT, 1.0, np.ones(2)),
        "clip_grads_with_norm_",
    ),
    Refusal(
        "clip_grads_with_norm_: max_norm",
        lambda: clipped(U.clip_grads_with_norm_, GRADIENT, -1.0, np.float64(3)),
        "clip_grads_with_norm_",
    ),
    Refusal(
        "clip_grad_value_: clip_value below 0",
        lambda: clipped(U.clip_grad_value_, GRADIENT, -1.0),
        "clip_grad_value_",
    ),
    Refusal(
        "clip_grad_value_: a gradient of integers",
        lambda: clipped(U.clip_grad_value_, np.arange(3), 1.0),
        "clip_grad_value_",
    ),
    Refusal("get_total_norm: a number", lambda: U.get_total_norm(3), "get_total_norm"),
    Refusal("get_total_norm: integers", lambda: U.get_total_norm([np.arange(3)]), "get_total_norm"),
    Refusal(
        "get_total_norm: the least of nothing",
        lambda: U.get_total_norm([np.ones(0)], -math.inf),
        "get_total_norm",
    ),
]
