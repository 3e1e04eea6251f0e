"""Early stopping: training ends when validation has not improved for a while.

    stop = EarlyStopping(patience=10)
    for record in train(...):
        if record.step % every == 0 and stop(record.step, validation_loss, model):
            break
    stop.restore(model)

improves   value < best - min_delta   (mode "max": value > best + min_delta); a NaN never does
bad        values since the last that improved
stops      bad >= patience

The weights at the best value are kept as copies, buffers among them. `ReduceLROnPlateau` acts one
value later, at bad > patience, as torch's does.

Source: Prechelt 1998, Early Stopping - But When? (criterion UP).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module


class EarlyStopping:
    """Watches a value, keeps the weights at its best, and says when to stop.

    Args:
        patience: values without improvement after which to stop, 1 or more.
        min_delta: by how much a value must be better than the best to count, 0 or more.
        mode: "min" for a loss, "max" for an accuracy.

    Attributes:
        best: the best value, None before the first.
        best_step: the step it was at.
        bad: values since then.
        weights: copies of the module's arrays at that step, by name.

    Raises:
        TypeError, ValueError: if an argument is of another type or out of range.
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0, mode: str = "min") -> None:
        self.patience = check.size("EarlyStopping", "patience", patience, low=1)
        self.min_delta = check.number("EarlyStopping", "min_delta", min_delta, low=0)
        check.option("EarlyStopping", "mode", mode, ("min", "max"))
        self.mode = mode
        self.best: float | None = None
        self.best_step: int | None = None
        self.bad = 0
        self.weights: dict[str, Array] | None = None

    @property
    def stopped(self) -> bool:
        """Whether the patience is used up."""
        return self.bad >= self.patience

    def __call__(self, step: int, value: float, module: Module) -> bool:
        """Take the value at a step into account.

        Args:
            step: its number.
            value: of the loss or metric on rows that are not trained on.
            module: whose weights are copied if the value is the best.

        Returns:
            Whether to stop.

        Raises:
            TypeError: if the value is no number, the step no integer or the module none.
        """
        step = check.size("EarlyStopping", "step", step)
        if not isinstance(value, float | np.floating) or not np.isnan(value):
            value = check.number("EarlyStopping", "value", value)
        if not isinstance(module, Module):
            check.refuse(
                "EarlyStopping", "module to be a Module", check.describe(module), TypeError
            )
        if self._improves(float(value)):
            self.best, self.best_step, self.bad = float(value), step, 0
            self.weights = module.state_dict()
        else:
            self.bad += 1
        return self.stopped

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return value == value
        if self.mode == "min":
            return value < self.best - self.min_delta
        return value > self.best + self.min_delta

    def restore(self, module: Module) -> None:
        """Copy the best weights back.

        Args:
            module: whose weights they were.

        Raises:
            ValueError: if no value has been seen, or they are not this module's; it is as it was.
            TypeError: if it is no module.
        """
        if not isinstance(module, Module):
            check.refuse(
                "EarlyStopping.restore", "module to be a Module", check.describe(module), TypeError
            )
        if self.weights is None:
            check.refuse("EarlyStopping.restore", "a best value, whose weights to restore", "none")
        module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on later needs: numbers fit for JSON, and "weights"."""
        weights = None if self.weights is None else {k: v.copy() for k, v in self.weights.items()}
        return {
            "best": self.best,
            "best_step": self.best_step,
            "bad": self.bad,
            "weights": weights,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, here or in torch with arrays for its tensors.

        Args:
            state_dict: the numbers and weights.

        Raises:
            TypeError: if it is no mapping, or one of its entries is of another type.
            ValueError: if its keys are others; nothing has changed.
        """
        function = "EarlyStopping.load_state_dict"
        keys = ("best", "best_step", "bad", "weights")
        if not isinstance(state_dict, Mapping):
            check.refuse(function, "a mapping", check.describe(state_dict), TypeError)
        if set(state_dict) != set(keys):
            check.refuse(function, f"the keys {', '.join(keys)}", ", ".join(map(str, state_dict)))
        best, step, weights = (state_dict[key] for key in ("best", "best_step", "weights"))
        bad = check.size(function, "bad", state_dict["bad"])
        if len({value is None for value in (best, step, weights)}) > 1:
            check.refuse(function, "best, best_step and weights together or not at all", "some")
        if best is not None:
            best = check.number(function, "best", best)
            step = check.size(function, "best_step", step)
            if not isinstance(weights, Mapping) or not all(
                isinstance(array, np.ndarray) for array in weights.values()
            ):
                expected = "weights to be arrays by name"
                check.refuse(function, expected, check.describe(weights), TypeError)
            weights = {name: array.copy() for name, array in weights.items()}
        self.best, self.best_step, self.bad, self.weights = best, step, bad, weights
