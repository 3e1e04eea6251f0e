"""The rate goes up and down between two bounds.                   Smith 2017, arXiv:1506.01186

    cycle    = floor(1 + e / T)          T = step_size_up + step_size_down
    height   = share of the way up: 0 at the start of a cycle, 1 after step_size_up, 0 at its end
    lr       = base_lr + height (max_lr - base_lr) s          s = scale_fn(cycle), or of e
    momentum = max_momentum - height (max_momentum - base_momentum) s

    triangular  s = 1        triangular2  s = 2^(1 - cycle)        exp_range  s = gamma^e

torch     momentum is cycled against the rate unless told otherwise: "momentum", or the first of
          "betas" where the optimizer has those. At epoch 0, where a schedule that came first has
          set "initial_lr", that stands in the place of base_lr.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from scratch import check
from scratch.optim.lr_scheduler.scheduler import (
    OPTIONAL,
    LRScheduler,
    all_or_nothing,
    attributes,
    by_group,
    check_numbers,
    check_optimizer,
)
from scratch.optim.optimizer import Group, Optimizer

MODES = ("triangular", "triangular2", "exp_range")
MOMENTUM_NAMES = ("use_beta1", "base_momentums", "max_momentums")


class CyclicLR(LRScheduler):
    """Between `base_lr` and `max_lr` along straight lines, again and again.

    Args:
        optimizer: whose groups it sets.
        base_lr: lower bound, or one for each group.
        max_lr: upper bound, or one for each group.
        step_size_up: epochs up, > 0; here an epoch is usually a batch.
        step_size_down: epochs down, >= 0; as many as up if None.
        mode: "triangular", "triangular2" (half as high each cycle) or "exp_range".
        gamma: of "exp_range".
        scale_fn: s above, in place of `mode`'s.
        scale_mode: whether `scale_fn` is asked by "cycle" or by "iterations", e above.
        cycle_momentum: move momentum too.
        base_momentum: its lower bound, reached with `max_lr`, or one for each group.
        max_momentum: its upper bound, or one for each group.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError, ValueError: as `LRScheduler`, and if there is no momentum to cycle.

    Source:
        Smith 2017, arXiv:1506.01186.
    """

    max_lrs: list[float]
    total_size: float
    step_ratio: float
    mode: str
    gamma: float
    scale_mode: str
    cycle_momentum: bool
    use_beta1: bool
    base_momentums: list[float]
    max_momentums: list[float]
    _by_group: ClassVar = ("base_lrs", "max_lrs", "base_momentums", "max_momentums")
    _optional: ClassVar = OPTIONAL | set(MOMENTUM_NAMES)

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        name = type(self).__name__
        groups = check_optimizer(name, optimizer)
        base_lrs = by_group(name, "base_lr", base_lr, groups)
        self.max_lrs = by_group(name, "max_lr", max_lr, groups)
        up = check.number(name, "step_size_up", step_size_up, low=0, open_low=True)
        down = (
            up
            if step_size_down is None
            else check.number(name, "step_size_down", step_size_down, low=0)
        )
        self.total_size, self.step_ratio = up + down, up / (up + down)
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        by_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = by_mode if scale_fn is None else scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = has_betas(name, optimizer)
            self.base_momentums = by_group(name, "base_momentum", base_momentum, groups)
            self.max_momentums = by_group(name, "max_momentum", max_momentum, groups)
        with all_or_nothing(*groups):
            if last_epoch == -1:
                for group, lr in zip(groups, base_lrs, strict=True):
                    group["lr"] = lr
                if cycle_momentum:
                    set_bounds(groups, self.base_momentums, self.max_momentums, self.use_beta1)
            # The first step still starts from "initial_lr", which an earlier schedule may have set.
            super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        custom = self._scale_fn_custom
        if custom is None:
            check.option(function, "mode", options["mode"], MODES)
        elif not callable(custom):
            check.refuse(function, "scale_fn to be a function", check.describe(custom), TypeError)
        check.option(function, "scale_mode", options["scale_mode"], ("cycle", "iterations"))
        check.number(function, "gamma", options["gamma"])
        check.number(function, "total_size", options["total_size"], low=0, open_low=True)
        check.number(function, "step_ratio", options["step_ratio"], 0, 1, open_low=True)
        check_numbers(function, "max_lrs", options["max_lrs"])
        check_momentum(function, self.optimizer, options, MOMENTUM_NAMES)

    def scale_fn(self, x: float) -> float:
        """The share of the height that is climbed: in cycle x, or at epoch x."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else float(self.gamma**x)

    def _way_up(self) -> tuple[float, float]:
        """Height and s."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        s = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        return (x / ratio if x <= ratio else (x - 1) / (ratio - 1)), s

    def _get_lr(self) -> list[float]:
        height, s = self._way_up()
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * s for low, high in pairs]

    def _update_lr(self, epoch: int | None = None) -> None:
        super()._update_lr(epoch)
        if self.cycle_momentum:
            height, s = self._way_up()
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            momenta = [high - (high - low) * height * s for low, high in bounds]
            for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
                set_momentum(group, momentum, self.use_beta1)

    def _saved(self) -> dict[str, Any]:
        return {**super()._saved(), "_scale_fn_custom": attributes(self._scale_fn_custom)}

    def _loaded(
        self, function: str, state_dict: Mapping[str, Any]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        (held, new), *_ = super()._loaded(function, state_dict)
        saved = new.pop("_scale_fn_custom")
        if saved is None:
            return [(held, new)]
        if not isinstance(saved, Mapping) or self._scale_fn_custom is None:
            expected = "_scale_fn_custom to be None, or the attributes of the scale_fn that is held"
            check.refuse(function, expected, check.describe(saved))
        return [(held, new), (vars(self._scale_fn_custom), dict(saved))]


# Momentum, which CyclicLR and OneCycleLR move


def has_betas(function: str, optimizer: Optimizer) -> bool:
    """Whether momentum is the first of "betas"; refuse where there is no momentum at all."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        expected = "an optimizer with momentum or betas, since cycle_momentum is on"
        check.refuse(function, expected, type(optimizer).__name__)
    return "betas" in optimizer.defaults


def set_momentum(group: Group, momentum: float, use_beta1: bool) -> None:
    """Set it where the optimizer has it."""
    if use_beta1:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def set_bounds(
    groups: list[Group], base_momentums: list[float], max_momentums: list[float], use_beta1: bool
) -> None:
    """Start at the upper bound, and leave both in the groups."""
    for group, low, high in zip(groups, base_momentums, max_momentums, strict=True):
        set_momentum(group, high, use_beta1)
        group["max_momentum"], group["base_momentum"] = high, low


def check_momentum(
    function: str, optimizer: Optimizer, options: Mapping[str, Any], names: tuple[str, ...]
) -> None:
    """Refuse a cycle of momentum that is not complete, or not for this optimizer."""
    check.option(function, "cycle_momentum", options["cycle_momentum"], (False, True))
    if not options["cycle_momentum"]:
        return
    missing = [name for name in names if name not in options]
    if missing:
        check.refuse(function, "bounds of the momentum", f"none of {', '.join(missing)}")
    use_beta1 = has_betas(function, optimizer)
    check.option(function, "use_beta1", options["use_beta1"], (use_beta1,))
