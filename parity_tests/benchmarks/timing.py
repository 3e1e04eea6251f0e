"""Paired timing: both sides in one run, interleaved, at equal numbers of threads.

Times on a shared machine move by a factor of two from minute to minute, and both sides move
together; so what is reported is the median of the paired ratios, with its quartiles.
"""

import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Run = Callable[[], object]
Peak = Callable[[Run], float]
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Timing:
    """One benchmark's result.

    Attributes:
        name: the work.
        ratio: median of scratch's time over torch's.
        quartiles: of the same ratios.
        ours_ms: median time of scratch in milliseconds.
        theirs_ms: median time of torch in milliseconds.
        ours_mb: peak of what scratch allocates in one run, in megabytes.
        theirs_mb: the same of torch.
        target: the ratio to stay under.
        twins: whether the sides are the two packages, and not two ways within one.
    """

    name: str
    ratio: float
    quartiles: tuple[float, float]
    ours_ms: float
    theirs_ms: float
    ours_mb: float
    theirs_mb: float
    target: float
    twins: bool = True


def peak_of_numpy(run: Run) -> float:
    """Peak of the memory that a run allocates, in MB; NumPy reports its buffers to tracemalloc."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return (tracemalloc.get_traced_memory()[1] - before) / 1e6
    finally:
        tracemalloc.stop()


def peak_of_torch(run: Run) -> float:
    """Peak of the memory that a run allocates, in MB, from the profiler's allocation events."""
    with (
        _without_stderr(),
        torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as profile,
    ):
        run()
    # The events that `profile.events()` gives leave out what is allocated inside an op.
    results: Any = profile.profiler
    memory = [e for e in results.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(memory, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 1e6


@contextmanager
def _without_stderr() -> Iterator[None]:
    """The profiler's C++ side greets on stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def pair(
    name: str,
    ours: Run,
    theirs: Run,
    target: float,
    seconds: float = 2.0,
    within: Peak | None = None,
) -> Timing:
    """Time both sides alternately for about `seconds` in all.

    Args:
        name: label.
        ours: one run of the scratch side.
        theirs: one run of the torch side, on the same numbers.
        target: the ratio to stay under.
        seconds: how long to measure; at least 15 pairs are taken.
        within: where both sides are of one package, how its memory is measured.
    """

    def once(run: Run, repeats: int) -> float:
        time.sleep(0.01)  # the other side's threads wait by spinning, and soon fall asleep
        run()  # and its arrays are in the caches: both sides are timed warm
        started = time.perf_counter()
        for _ in range(repeats):
            run()
        return (time.perf_counter() - started) / repeats

    for run in (ours, theirs) * 3:
        run()
    rough = once(ours, 1) + once(theirs, 1)
    repeats = max(2, int(0.02 / rough))
    pairs = max(15, int(seconds / (rough * (repeats + 1))))
    times = [(once(ours, repeats), once(theirs, repeats)) for _ in range(min(pairs, 200))]
    ratios = [a / b for a, b in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Timing(
        name,
        middle,
        (low, high),
        1e3 * statistics.median(a for a, _ in times),
        1e3 * statistics.median(b for _, b in times),
        (within or peak_of_numpy)(ours),
        (within or peak_of_torch)(theirs),
        target,
        within is None,
    )


def normal(*shape: int) -> Any:
    """Float32 normal values."""
    return RNG.standard_normal(shape, np.float32)


def ids(high: int, *shape: int) -> Any:
    """Random class or row indices."""
    return RNG.integers(0, high, shape)


def op(
    name: str,
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    inputs: Sequence[Any],
    target: float,
    needs_input_grad: bool = True,
) -> Timing:
    """Forward and backward of one op on the same arrays; floating ones are differentiated.

    With `needs_input_grad=False` all but the first: the input of a first layer is data.
    """
    tensors = [torch.from_numpy(a) for a in inputs]
    wanted = tensors if needs_input_grad else tensors[1:]
    leaves = [t.requires_grad_() for t in wanted if t.is_floating_point()]
    options = {} if needs_input_grad else {"needs_input_grad": False}
    dy = np.asarray(normal(*np.shape(ours(*inputs)[0])))
    tensor_dy = torch.from_numpy(dy)

    def scratch_run() -> None:
        _, backward = ours(*inputs)
        backward(dy, **options)

    def torch_run() -> None:
        torch.autograd.grad(theirs(*tensors), leaves, tensor_dy)

    return pair(name, scratch_run, torch_run, target)
