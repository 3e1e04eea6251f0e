"""The schedule of a run, with the rise before it.

step k      k / (W + 1) of the rate at steps 1 ... W, then the schedule from its first rate on
plateau     `ReduceLROnPlateau` is stepped where the run is evaluated, the others after each step
"""

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from datasets.settings import Settings


def make_schedule(settings: Settings, optimizer: Optimizer) -> LRScheduler | None:
    """What sets the rates of a run.

    Args:
        settings: schedule, schedule_args and warmup count.
        optimizer: whose rates they are.

    Returns:
        The schedule, or None where the rate stays as it is.

    Raises:
        TypeError, ValueError: if an argument of the schedule is unknown or out of range.
    """
    given: LRScheduler | None = None
    rise = settings.warmup
    if settings.schedule is not None:
        make = getattr(lr_scheduler, settings.schedule)
        given = make(optimizer, **(settings.schedule_args or {}))
    if not rise:
        return given
    linear = lr_scheduler.LinearLR(optimizer, 1 / (rise + 1), total_iters=rise)
    if given is None:
        return linear
    return lr_scheduler.SequentialLR(optimizer, [linear, given], [rise])
