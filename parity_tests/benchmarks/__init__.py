"""Speed and memory, scratch against torch in one run."""

from collections.abc import Callable

from parity_tests.benchmarks import (
    attention,
    convolution,
    dense,
    generative,
    norm,
    recurrent,
    training,
)
from parity_tests.benchmarks.timing import Timing

BENCHMARKS: dict[str, Callable[[], Timing]] = {
    **dense.BENCHMARKS,
    **convolution.BENCHMARKS,
    **norm.BENCHMARKS,
    **attention.BENCHMARKS,
    **recurrent.BENCHMARKS,
    **generative.BENCHMARKS,
    **training.BENCHMARKS,
}
