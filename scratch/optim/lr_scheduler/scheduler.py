"""What every schedule is: a rate for each group at each epoch, set for the optimizer's next step.

    step       e <- e + 1      group["lr"] <- get_lr()      one rate for each group
    recursion  most rates follow from the last, lr <- f(e) lr, so that schedules compose and a lr
               that the user edits stays edited; step(epoch) jumps, by the closed form if there is
               one: lr <- F(epoch) base_lr
    start      the constructor takes step 0; base_lr is what stood in the group, where it stays as
               "initial_lr". A run goes on after epoch e with last_epoch = e, or by load_state_dict.

torch     attributes have the same names and meaning, so a `state_dict` moves both ways. Here it
          holds copies, a foreign one is refused, and a step that fails changes nothing.

An epoch is whatever lies between two calls of `step`; they follow those of `optimizer.step`.
"""

import copy
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.optim.optimizer import Group, Optimizer

EPOCH_WARNING = (
    "The epoch parameter of `step` is deprecated: call `step()`. Given an epoch, a schedule jumps "
    "to its closed form where it has one, and forgets what else has changed lr."
)
ORDER_WARNING = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite "
    "order, or the first rate of the schedule is skipped."
)
GET_LR_WARNING = "To get the last learning rate computed by the scheduler, use `get_last_lr()`."

# What a state may lack or have beside the attributes of its class: marks of a step that is under
# way, the count of a schedule that stands in another one, and a switch of earlier torch releases.
OPTIONAL = frozenset({"_is_initial", "_get_lr_called_within_step", "_step_count", "verbose"})


class LRScheduler:
    """Base class: a subclass sets its options and gives the next rates, as `get_lr` or `_get_lr`.

    Args:
        optimizer: whose groups it sets.
        last_epoch: the epoch after which a run goes on; -1 starts one.

    Raises:
        TypeError: if `optimizer` is none, or an option is no number.
        ValueError: if an option is out of range, or a run is to go on with groups that have no
            "initial_lr".
    """

    optimizer: Optimizer
    base_lrs: list[float]
    last_epoch: int
    _last_lr: list[float]
    _step_count: int
    _is_initial = False
    _get_lr_called_within_step = False
    # Attributes with a number for each group, and those that a state may lack.
    _by_group: ClassVar[tuple[str, ...]] = ("base_lrs",)
    _optional: ClassVar[frozenset[str]] = OPTIONAL

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        self._attach(optimizer)
        last_epoch = check.size(name, "last_epoch", last_epoch, low=-1)
        groups = optimizer.param_groups
        for i, group in enumerate(groups):
            if last_epoch >= 0 and "initial_lr" not in group:
                expected = f"groups with initial_lr, to go on after epoch {last_epoch}"
                check.refuse(name, expected, f"none in group {i}")
        with all_or_nothing(*groups):
            for group in groups:
                group.setdefault("initial_lr", group["lr"])
            self.base_lrs = [check.number(name, "initial_lr", g["initial_lr"]) for g in groups]
            self.last_epoch = last_epoch
            self._initial_step()

    def _attach(self, optimizer: Optimizer) -> None:
        """Hold the optimizer, once the options that the subclass has set are checked."""
        name = type(self).__name__
        check_optimizer(name, optimizer)
        vars(self).update({key: plain(value) for key, value in vars(self).items()})
        self.optimizer = optimizer
        self._check_options(name, vars(self))
        if optimizer._opt_called is None:
            optimizer._opt_called = False

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    # What a subclass defines

    def _check_options(self, function: str, options: Mapping[str, Any]) -> None:
        """Refuse options that are out of range."""

    def _get_lr(self) -> list[float]:
        """The rates at `last_epoch`, which may follow from the current ones."""
        raise TypeError(f"{type(self).__name__}: expected a class that defines get_lr, got none")

    def _get_closed_form_lr(self) -> list[float]:
        """The rates at `last_epoch` from `base_lrs` alone; the recursion where there is no form."""
        return self.get_lr()

    # Stepping

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch, or of the given one.

        Args:
            epoch: deprecated, as in torch: jump there.

        Raises:
            TypeError, ValueError: if a rate is no number, or groups have been added of which the
                schedule knows nothing. Nothing has changed then.
        """
        with all_or_nothing(*self._held()):
            # An optimizer with a step of its own does not tell.
            told = getattr(self.optimizer.step, "__func__", None) is Optimizer.step
            if self._step_count == 1 and told and not self.optimizer._opt_called:
                warnings.warn(ORDER_WARNING, UserWarning, stacklevel=2)
            self._step_count += 1
            if epoch is not None:
                check.number(self._step_name, "epoch", epoch)
                warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
            self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else plain(epoch)
        self._get_lr_called_within_step = True
        rates = self.get_lr() if epoch is None else self._get_closed_form_lr()
        self._get_lr_called_within_step = False
        self._set_lr(rates)

    def _set_lr(self, rates: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            expected = f"a rate for each of {len(groups)} groups"
            check.refuse(self._step_name, expected, f"{len(rates)}, as when the schedule began")
        for group, lr in zip(groups, rates, strict=True):
            group["lr"] = check.number(self._step_name, "each rate", plain(lr))
        self._last_lr = [group["lr"] for group in groups]

    def get_lr(self) -> list[float]:
        """The rates that `step` is about to set; those that hold come from `get_last_lr`."""
        if not self._get_lr_called_within_step:
            warnings.warn(GET_LR_WARNING, UserWarning, stacklevel=2)
        return self._get_lr()

    def get_last_lr(self) -> list[float]:
        """The rates that this schedule set last, one for each group."""
        return list(self._last_lr)

    @property
    def _step_name(self) -> str:
        return f"{type(self).__name__}.step"

    def _lrs(self) -> list[float]:
        """The current rates, whoever set them."""
        groups = self.optimizer.param_groups
        return [check.number(self._step_name, "lr", plain(group["lr"])) for group in groups]

    def _held(self) -> list[dict[str, Any]]:
        """Everything that a step changes."""
        return [vars(self), *self.optimizer.param_groups]

    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """A copy of all attributes but the optimizer, whose own state is to be saved too."""
        return copy.deepcopy(self._saved())

    def _saved(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, of this class or of torch's, once everything is checked.

        Args:
            state_dict: options are taken from it too. The optimizer's state is to be loaded as
                well: the rates stand there.

        Raises:
            TypeError: if it is no mapping, or an option is no number.
            ValueError: if it belongs to another class or to another number of groups, or an option
                is out of range.
        """
        function = f"{type(self).__name__}.load_state_dict"
        for held, new in self._loaded(function, state_dict):
            held.update(new)

    def _loaded(
        self, function: str, state_dict: Mapping[str, Any]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The dicts to update and what with, checked."""
        if not isinstance(state_dict, Mapping):
            check.refuse(function, "a mapping", check.describe(state_dict), TypeError)
        own = vars(self).keys() - {"optimizer"}
        missing = sorted(own - state_dict.keys() - self._optional)
        unexpected = sorted(map(str, state_dict.keys() - own - self._optional))
        if missing or unexpected:
            got = f"one without {', '.join(missing)}" if missing else "one"
            got += f" with {', '.join(unexpected)}" if unexpected else ""
            check.refuse(function, f"the state of a {type(self).__name__}", got)
        new = {name: plain(copy.deepcopy(value)) for name, value in state_dict.items()}
        for name in ("last_epoch", "_step_count"):
            if name in new:
                check.number(function, name, new[name])
        for name in self._by_group:
            if name in new and name in own:
                check_numbers(function, name, new[name], len(vars(self)[name]))
        if "_last_lr" in new:
            check_numbers(function, "_last_lr", new["_last_lr"])
        self._check_options(function, {**vars(self), **new})
        return [(vars(self), new)]


@contextmanager
def all_or_nothing(*held: dict[str, Any]) -> Iterator[None]:
    """Give the dicts their items back if what runs inside fails."""
    before = [dict(items) for items in held]
    try:
        yield
    except BaseException:
        for items, old in zip(held, before, strict=True):
            items.clear()
            items.update(old)
        raise


def plain(value: Any) -> Any:
    """NumPy's scalars and 0-d arrays as Python's: a float32 rate would round all that follow."""
    if type(value) in (tuple, list):  # not what is derived from them, and made in other ways
        return type(value)(plain(part) for part in value)
    return value.item() if isinstance(value, np.ndarray | np.generic) and not value.ndim else value


def attributes(function: object) -> dict[str, Any] | None:
    """What is saved of a user's function: the attributes if it is an object, else nothing."""
    if isinstance(function, types.FunctionType) or not hasattr(function, "__dict__"):
        return None
    return dict(vars(function))


def check_optimizer(function: str, optimizer: object) -> list[Group]:
    """The groups of `optimizer` if it is one."""
    if not isinstance(optimizer, Optimizer):
        check.refuse(function, "an Optimizer", check.describe(optimizer), TypeError)
    return optimizer.param_groups


def check_numbers(function: str, name: str, values: object, length: int | None = None) -> None:
    """Refuse unless `values` is a list of numbers, as many as given."""
    if not isinstance(values, tuple | list) or length not in (None, len(values)):
        expected = f"{name} to be a list of {'numbers' if length is None else f'{length} numbers'}"
        check.refuse(function, expected, check.describe(values))
    for i, value in enumerate(values):
        check.number(function, f"{name}[{i}]", value)


def whole(function: str, name: str, value: object, low: int = 0) -> None:
    """Refuse unless `value` is a whole number not below `low`, be it written as 10 or 10.0."""
    if check.number(function, name, value, low) % 1:
        check.refuse(function, f"{name} to be a whole number", value)


def by_group(function: str, name: str, value: object, groups: list[Group]) -> list[float]:
    """One number for each group: `value` for all of them, or each its own from a list."""
    value = plain(value)
    values = list(value) if isinstance(value, tuple | list) else [value] * len(groups)
    if len(values) != len(groups):
        expected = f"{name} to be a number or a list of {len(groups)}, one for each group"
        check.refuse(function, expected, f"{len(values)} values")
    return [check.number(function, name, part) for part in values]
