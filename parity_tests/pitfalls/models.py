"""Conventions of whole networks."""

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import Perceptron
from scratch.nn.op import Backward


class FiresAtThreshold(Perceptron):
    """y = 1 where z >= 0."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As Perceptron's, but for z = 0."""
        z, linear_back = nn.Linear.forward(self, input)
        return (z >= 0).astype(z.dtype), lambda dy: linear_back(np.zeros_like(dy))


PITFALLS = [
    Pitfall(
        "step_at_threshold",
        entry="Perceptron",
        difference="here: the step is 0 at z = 0; others: 1 (or 1/2)",
        mutant=FiresAtThreshold,
    ),
]
