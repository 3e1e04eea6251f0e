"""The check of a function or class without a derivative: one script drives either side."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.harness import twin
from parity_tests.harness.compare import Comparison, close, same
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Routine

Script = Callable[..., Mapping[str, Any]]


class Side:
    """One package as a script sees it.

    Attributes:
        is_torch: which one.
        nn: its modules.
        optim: its optimizers, schedules and averages.
    """

    def __init__(self, is_torch: bool, dtype: torch.dtype | None = None, device: str = "cpu"):
        self.is_torch = is_torch
        self.nn: Any = torch.nn if is_torch else scratch.nn
        self.optim: Any = torch.optim if is_torch else scratch.optim
        self._dtype, self._device = dtype, device

    def array(self, values: Array) -> Any:
        """The array as it is, or a tensor with a copy of its values."""
        if not self.is_torch:
            return values
        tensor = torch.from_numpy(np.array(values)).to(self._device)
        return tensor.to(self._dtype) if self._dtype and tensor.is_floating_point() else tensor

    def parameter(self, values: Array, gradient: Array | None = None) -> Any:
        """A parameter with a gradient: on the scratch side that very array, shared or not."""
        parameter = self.nn.Parameter(self.array(values))
        parameter.grad = None if gradient is None else self.array(gradient)
        return parameter

    def set(self, module: Any, values: Mapping[str, Array]) -> Any:
        """The module, with these values in its state."""
        if self.is_torch:
            dtype = self._dtype or next(self.array(v) for v in values.values()).dtype
            module = module.to(self._device).to(dtype)
        else:
            module = module.to(next(v for v in values.values() if v.dtype.kind == "f").dtype)
        module.load_state_dict({name: self.array(value) for name, value in values.items()})
        return module

    def numpy(self, value: Any) -> Array:
        """The values of an array, parameter or tensor."""
        if isinstance(value, torch.Tensor):
            return twin.numpy(value).copy()
        return np.array(value.data if isinstance(value, scratch.nn.Parameter) else value)


def check_routine(
    entry: Routine, name: str, script: Script, dtype: np.dtype[Any], device: str
) -> list[Comparison]:
    """Everything that the script names, by the rules of the dtype."""
    seed = f"{entry.name}/{name}"

    def run(function: Callable[..., Any], side: Side) -> dict[str, Array]:
        found = script(function, side, Draw(seed, dtype))
        return {what: side.numpy(value) for what, value in found.items()}

    ours = run(entry.scratch, Side(False))
    theirs = run(entry.torch, Side(True, None, device))
    truth: dict[str, Array] = {}
    if dtype == np.float32:
        truth = run(entry.torch, Side(True, torch.float64, device))
    results = [same("names", list(ours), list(theirs))]
    for what in ours.keys() & theirs.keys():
        floating = theirs[what].dtype.kind == "f"
        exact = truth.get(what) if floating else None
        results.append(close(what, ours[what], theirs[what], c=entry.c, truth=exact))
    return results
