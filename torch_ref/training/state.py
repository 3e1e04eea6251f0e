"""The state of a run as tensors and plain values, in the form in which both packages read it.

optimizer    state.<index of the parameter>.<name> -> tensor      and groups as plain dicts
generator    the Mersenne twister's {"seed", "key", "position", "next_normal"}, as
             scratch.random.Generator has it
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from datasets.checkpoints import like
from torch_ref.training.distributed import shard_like

# What picks an engine and changes no result beyond rounding: a run that goes on picks its own.
ENGINE = frozenset({"foreach", "fused", "capturable", "differentiable"})
# torch's CPU generator, as `get_state` lays it out.
_GENERATOR = np.dtype(
    [
        *[
            ("seed", "<u8"),
            ("left", "<i4"),
            ("seeded", "<i4"),
            ("next", "<u8"),
            ("key", "<u8", 624),
        ],
        *[("normal_x", "<f8"), ("normal_y", "<f8"), ("normal_rho", "<f8"), ("normal_valid", "<i8")],
        *[("next_float", "<f4"), ("float_valid", "<i4")],
    ]
)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state by name."""
    return {
        f"state.{index}.{name}": value
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }


def optimizer_groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The options of an optimizer's groups, the parameters by their indices."""
    groups = optimizer.state_dict()["param_groups"]
    return [{key: v for key, v in group.items() if key not in ENGINE} for group in groups]


def load_optimizer(
    optimizer: Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Go on with an optimizer's state, once everything is checked.

    Args:
        optimizer: new, of the same class and parameters.
        tensors: as `optimizer_tensors` gave them.
        groups: as `optimizer_groups` gave them, or read from JSON.

    Raises:
        ValueError: if they belong to another optimizer, or to other groups or shapes.
    """
    held = optimizer.state_dict()["param_groups"]
    _refuse_unless(len(groups) == len(held), f"{len(held)} groups", str(len(groups)))
    for mine, saved in zip(held, groups, strict=True):
        lacking = sorted(alone(mine, saved))
        _refuse_unless(not lacking, "groups of the same options", f"{lacking} in one only")
        same = mine["params"] == saved["params"]
        _refuse_unless(same, f"a group of {len(mine['params'])} parameters", "another")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        _, number, key = name.split(".", 2)
        state.setdefault(int(number), {})[key] = tensor
    expected = _layout(optimizer)
    for index, values in state.items():
        found = {name: (tuple(t.shape), t.dtype) for name, t in values.items()}
        wanted = expected.get(index, {})
        _refuse_unless(found == wanted, f"the state {wanted} of parameter {index}", str(found))
    merged = [
        {**mine, **{k: v for k, v in like(mine, saved).items() if k in mine.keys() - ENGINE}}
        for mine, saved in zip(held, groups, strict=True)
    ]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in state.items():
        for name, tensor in values.items():
            if tensor.shape == parameters[index].shape:
                values[name] = shard_like(parameters[index], tensor)
    optimizer.load_state_dict({"state": state, "param_groups": merged})
    for index, values in state.items():
        loaded = optimizer.state[parameters[index]]
        for name, tensor in values.items():
            if loaded[name].dtype != tensor.dtype:  # load_state_dict casts scalars too
                loaded[name] = tensor.to(loaded[name].device)
            elif tensor.ndim > 1 and tensor.shape == parameters[index].shape:
                loaded[name] = torch.empty_like(parameters[index]).copy_(tensor)  # such as NHWC


def alone(mine: Mapping[str, Any], saved: Mapping[str, Any]) -> set[str]:
    """Options that one of two groups lacks; a switch that is off may be lacking."""
    both = {**mine, **saved}
    lacking = (mine.keys() ^ saved.keys()) - ENGINE
    return {name for name in lacking if both[name] is not False}


def _layout(optimizer: Optimizer) -> dict[int, dict[str, tuple[tuple[int, ...], torch.dtype]]]:
    """Shapes and dtypes of the state after a step, from one of zeros on the side."""
    groups: list[dict[str, Any]] = []
    copies: list[torch.nn.Parameter] = []
    for group in optimizer.param_groups:
        params = [torch.nn.Parameter(torch.zeros_like(p)) for p in group["params"]]
        copies += params
        for p in params:
            p.grad = torch.zeros_like(p)
        groups.append({**group, "params": params})
    trial = type(optimizer)(groups)  # type: ignore[call-arg]  # the groups have all options
    trial.step()
    return {
        index: {
            name: (tuple(value.shape), value.dtype)
            for name, value in trial.state[p].items()
            if value is not None
        }
        for index, p in enumerate(copies)
    }


def _refuse_unless(condition: bool, expected: str, got: str) -> None:
    if not condition:
        raise ValueError(f"load_optimizer: expected {expected}, got {got}")


def generator_state() -> dict[str, Any]:
    """The state of torch's default CPU generator, as `scratch.random.Generator` has it."""
    state = torch.get_rng_state().numpy().view(_GENERATOR)[0]
    return {
        "seed": int(state["seed"]),
        "key": state["key"].tolist(),
        "position": int(state["next"]) if state["next"] else 624,
        "next_normal": float(state["normal_y"]) if state["normal_valid"] else None,
    }


def set_generator_state(state: Mapping[str, Any]) -> None:
    """Let torch's default CPU generator go on from what `generator_state` returned.

    Raises:
        ValueError: if a name is missing or unknown, or an entry is out of range.
    """
    names = {"seed", "key", "position", "next_normal"}
    key = state.get("key")
    if (
        set(state) != names
        or not isinstance(key, list)
        or len(key) != 624
        or not all(isinstance(word, int) and 0 <= word < 2**32 for word in key)
        or not isinstance(state["position"], int)
        or not 0 <= state["position"] <= 624
    ):
        raise ValueError(
            f"set_generator_state: expected {', '.join(sorted(names))} of a Mersenne twister with "
            f"624 words, got another state"
        )
    made = np.zeros(1, _GENERATOR)
    made["seed"], made["key"], made["seeded"] = state["seed"], key, 1
    made["next"], made["left"] = state["position"], 625 - state["position"]
    if state["next_normal"] is not None:
        made["normal_y"], made["normal_valid"] = state["next_normal"], 1
    torch.set_rng_state(torch.from_numpy(made.view(np.uint8).copy()))


def cuda_generator_state(device: torch.device) -> str:
    """The state of a GPU's generator, which no CPU has, in hexadecimal digits."""
    return torch.cuda.get_rng_state(device).numpy().tobytes().hex()


def set_cuda_generator_state(device: torch.device, state: str) -> None:
    """Let a GPU's generator go on from what `cuda_generator_state` returned."""
    words = np.frombuffer(bytes.fromhex(state), np.uint8).copy()
    torch.cuda.set_rng_state(torch.from_numpy(words), device)
