"""LR range test: one short run whose learning rate rises at each step.

    found = lr_range_test(model, optimizer, "cross_entropy", x, t, batches, low=1e-5, high=10)
    found.suggestion

exponential  r_i = low (high / low)^(i / (steps - 1))
linear       r_i = low + (high - low) i / (steps - 1)
smoothed     m_i = b m_i-1 + (1 - b) loss_i      s_i = m_i / (1 - b^(i + 1))
stops        at a loss that is not finite, or at s_i > diverge * min s (losses being 0 or more)
suggestion   the rate in the middle of the w steps over which s falls fastest along log r
             (exponential) or r (linear), before its lowest point; w = 1 / (1 - b), and the first
             w - 1 steps are left out, for there s is as noisy as the losses

A copy of model and optimizer is trained, which at the end is forgotten: neither changes, nor
do torch's generators, from which dropout draws.

Source: Smith 2017, arXiv:1506.01186, section 3.3, which raises the rate linearly and looks at the
accuracy. Smoothing, the exponential rise and the end at a multiple of the lowest loss are later
practice.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from torch_ref.training.loop import Data, Loss, train
from torch_ref.training.trial import trial

MODES = ("exponential", "linear")


@dataclass
class RangeTest:
    """What the run showed.

    Attributes:
        mode: how the rate rose.
        rates: of each step.
        losses: of each step's batch, before the step.
        smoothed: s, of each step.
        window: w.
        diverged: whether the run was stopped; the loss that was not finite is left out.
    """

    mode: str
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    window: int = 1
    diverged: bool = False

    @property
    def lowest(self) -> float | None:
        """The rate at the lowest smoothed loss; None where there is no loss."""
        return self.rates[self.smoothed.index(min(self.smoothed))] if self.rates else None

    @property
    def suggestion(self) -> float | None:
        """The rate where the smoothed loss falls fastest; None where it falls over no window."""
        if not self.rates:
            return None
        end = self.smoothed.index(min(self.smoothed))
        falls = {}
        for i in range(self.window - 1, end - self.window + 1):
            a, b = self.rates[i], self.rates[i + self.window]
            along = math.log(b / a) if self.mode == "exponential" else b - a
            falls[i] = (self.smoothed[i + self.window] - self.smoothed[i]) / along
        steepest = min(falls, key=falls.__getitem__, default=None)
        if steepest is None or falls[steepest] >= 0:
            return None
        return self.rates[steepest + self.window // 2]


def lr_range_test(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: str | Loss,
    x: Data,
    t: Data,
    batches: Iterable[Data],
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    mode: str = "exponential",
    smoothing: float = 0.9,
    diverge: float = 4.0,
    device: str | torch.device = "cpu",
) -> RangeTest:
    """Train a copy while the learning rate of all groups rises from `low` to `high`.

    Args:
        model: maps rows of x to outputs; stays as it is.
        optimizer: of the model's parameters; stays as it is.
        loss: name in `torch.nn.functional`, or a function (output, target) -> value.
        x: inputs (n, ...).
        t: targets (n, ...), as `loss` takes them.
        batches: indices, the rows of each step; `steps` or more.
        low: the first rate.
        high: the last rate.
        steps: how many, 2 or more.
        mode: "exponential" or "linear".
        smoothing: b, in [0, 1).
        diverge: by what factor above its lowest the smoothed loss ends the run, above 1.
        device: 'auto', 'cpu', 'cuda' or a torch.device, for the copy.

    Returns:
        Rates and losses, to where it ran away.

    Raises:
        ValueError: if an argument is out of range or the batches end early.
    """
    if not (0 < low < high and steps >= 2 and mode in MODES and 0 <= smoothing < 1 < diverge):
        raise ValueError(
            "lr_range_test: expected 0 < low < high, steps >= 2, mode 'exponential' or 'linear' "
            f"and smoothing in [0, 1) < diverge, got {low}, {high}, {steps}, {mode!r}, "
            f"{smoothing} and {diverge}"
        )
    found = RangeTest(mode, window=round(1 / (1 - smoothing)))
    mean = 0.0
    with trial(model, optimizer, device=device) as (copied, stepper):
        records = train(copied, stepper, loss, x, t, batches, device=device)
        for i in range(steps):
            share = i / (steps - 1)
            linear = low + (high - low) * share
            rate = linear if mode == "linear" else low * (high / low) ** share
            for group in stepper.param_groups:
                group["lr"] = rate
            record = next(records, None)
            if record is None:
                raise ValueError(f"lr_range_test: expected {steps} batches or more, got {i}")
            if not math.isfinite(record.loss):
                found.diverged = True
                break
            mean = smoothing * mean + (1 - smoothing) * record.loss
            found.rates.append(rate)
            found.losses.append(record.loss)
            found.smoothed.append(mean / (1 - smoothing ** (i + 1)))
            if found.smoothed[-1] > diverge * min(found.smoothed):
                found.diverged = True
                break
    return found
