"""A section of the guide each: train both twins, check the outcome, draw the figures."""

from collections.abc import Callable

from parity_tests.experiments.outcome import Outcome

EXPERIMENTS: dict[str, Callable[..., Outcome]] = {}
