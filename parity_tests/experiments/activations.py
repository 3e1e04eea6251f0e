"""Every activation with its derivative.                              guide 441-535

Values and derivatives of all activation modules, those of `scratch` from its own backward, beside
torch's from autograd, at ordinary inputs, exactly at the kinks and far out. Where an activation takes
a vector (softmax, GLU) the input moves along a line and the derivative is that of the first output.

Why they are needed: layers without them collapse into one affine map, with them they do not.

The guide takes derivatives by finite differences; these are exact. It calls ReLU free of vanishing
gradients and its training much faster: what can be shown here is its slope of 1, and of 0 for z < 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.check import Array
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, TORCH, figure
from parity_tests.experiments.twins import alike, apart
from parity_tests.harness.twin import numpy
from scratch import nn

EPS = float(np.finfo(np.float64).eps)
KINKS = (-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 20.0)


class TorchStep(torch.nn.Module):
    """1 where z > 0, else 0: torch has no module for it; `heaviside` has a derivative of 0."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """1 where z > 0, else 0."""
        return torch.heaviside(input.detach(), torch.zeros(1).to(input)) + 0 * input


@dataclass(frozen=True)
class Curve:
    """One activation and the line along which its input moves.

    Attributes:
        label: title of its panel.
        name: its class in both nn packages.
        arguments: of the constructor.
        start: the input where z is 0.
        along: how the input moves with z.
    """

    label: str
    name: str
    arguments: tuple[Any, ...] = ()
    start: tuple[float, ...] = (0.0,)
    along: tuple[float, ...] = (1.0,)
    shape: tuple[int, ...] = field(default=(-1, 1))

    def inputs(self, z: Array) -> Array:
        """The inputs for each z, (n, k)."""
        return np.array(self.start) + np.outer(z, self.along)
