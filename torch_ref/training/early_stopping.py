"""Early stopping: training ends when validation has not improved for a while.

    stop = EarlyStopping(patience=10)
    for record in train(...):
        if record.step % every == 0 and stop(record.step, validation_loss, model):
            break
    stop.restore(model)

improves   value < best - min_delta   (mode "max": value > best + min_delta); a NaN never does
bad        values since the last that improved
stops      bad >= patience

The weights at the best value are kept as copies, buffers among them, on their device.
`ReduceLROnPlateau` acts one value later, at bad > patience.

Source: Prechelt 1998, Early Stopping - But When? (criterion UP).
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


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
        weights: copies of the module's tensors at that step, by name.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0, mode: str = "min") -> None:
        if patience < 1 or min_delta < 0 or mode not in ("min", "max"):
            raise ValueError(
                "EarlyStopping: expected patience >= 1, min_delta >= 0 and mode 'min' or 'max', "
                f"got {patience}, {min_delta} and {mode!r}"
            )
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.best: float | None = None
        self.best_step: int | None = None
        self.bad = 0
        self.weights: dict[str, Tensor] | None = None

    @property
    def stopped(self) -> bool:
        """Whether the patience is used up."""
        return self.bad >= self.patience

    def __call__(self, step: int, value: float, module: nn.Module) -> bool:
        """Take the value at a step into account.

        Args:
            step: its number.
            value: of the loss or metric on rows that are not trained on.
            module: whose weights are copied if the value is the best.

        Returns:
            Whether to stop.
        """
        sign = 1 if self.mode == "min" else -1
        best = math.inf if self.best is None else sign * self.best - self.min_delta
        if sign * value < best or (self.best is None and value == value):
            self.best, self.best_step, self.bad = float(value), step, 0
            self.weights = _copies(module.state_dict())
        else:
            self.bad += 1
        return self.stopped

    def restore(self, module: nn.Module) -> None:
        """Copy the best weights back.

        Args:
            module: whose weights they were.

        Raises:
            ValueError: if no value has been seen.
        """
        if self.weights is None:
            raise ValueError(
                "EarlyStopping.restore: expected a best value, whose weights to restore, got none"
            )
        module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on later needs: numbers fit for JSON, and "weights"."""
        weights = None if self.weights is None else _copies(self.weights)
        return {
            "best": self.best,
            "best_step": self.best_step,
            "bad": self.bad,
            "weights": weights,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, here or in NumPy with tensors for its arrays.

        Args:
            state_dict: the numbers and weights.
        """
        best, step, bad, weights = (state_dict[k] for k in ("best", "best_step", "bad", "weights"))
        weights = None if weights is None else _copies(weights)
        self.best, self.best_step, self.bad, self.weights = best, step, bad, weights


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
