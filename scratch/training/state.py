"""The state of a run as arrays and plain values, in the form in which both packages read it.

optimizer    state.<index of the parameter>.<name> -> array       and groups as plain dicts
generator    `Generator.get_state`, the Mersenne twister's
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datasets.checkpoints import like
from scratch import check
from scratch.check import Array
from scratch.optim import Optimizer

# What picks an engine of torch's: a run that goes on picks its own.
ENGINE = frozenset({"foreach", "fused", "capturable", "differentiable"})


def optimizer_arrays(optimizer: Optimizer) -> dict[str, Array]:
    """The arrays of an optimizer's state by name."""
    return {
        f"state.{index}.{name}": np.asarray(value)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def optimizer_groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The options of an optimizer's groups, the parameters by their indices."""
    groups = optimizer.state_dict()["param_groups"]
    return [{key: v for key, v in group.items() if key not in ENGINE} for group in groups]


def load_optimizer(
    optimizer: Optimizer, arrays: Mapping[str, Array], groups: Sequence[Mapping[str, Any]]
) -> None:
    """Go on with an optimizer's state, once everything is checked.

    Args:
        optimizer: new, of the same class and parameters.
        arrays: as `optimizer_arrays` gave them.
        groups: as `optimizer_groups` gave them, or read from JSON.

    Raises:
        ValueError: if they belong to another optimizer, or to other groups or shapes.
    """
    held = optimizer.state_dict()["param_groups"]
    if len(groups) != len(held):
        check.refuse("load_optimizer", f"{len(held)} groups", len(groups))
    for mine, saved in zip(held, groups, strict=True):
        if lacking := sorted(alone(mine, saved)):
            got = f"{lacking} in one only"
            check.refuse("load_optimizer", "groups of the same options", got)
    state: dict[int, dict[str, Array]] = {}
    for name, array in arrays.items():
        _, number, key = name.split(".", 2)
        state.setdefault(int(number), {})[key] = array
    merged = [
        {**mine, **{k: v for k, v in like(mine, saved).items() if k in mine}}
        for mine, saved in zip(held, groups, strict=True)
    ]
    optimizer.load_state_dict({"state": state, "param_groups": merged})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in state.items():
        loaded = optimizer.state[parameters[index]]
        for name, array in values.items():
            if loaded[name].dtype != array.dtype:  # load_state_dict casts scalars too, as torch's
                loaded[name] = array.copy()


def alone(mine: Mapping[str, Any], saved: Mapping[str, Any]) -> set[str]:
    """Options that one of two groups lacks; a switch that is off may be lacking."""
    both = {**mine, **saved}
    lacking = (mine.keys() ^ saved.keys()) - ENGINE
    return {name for name in lacking if both[name] is not False}
