"""Speed and memory, scratch against torch in one run."""

from parity_tests.benchmarks.dense import BENCHMARKS as BENCHMARKS
