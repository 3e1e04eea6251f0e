"""Multilayer perceptron.                             Rumelhart, Hinton & Williams 1986, Nature 323

    forward    h_0 = x      h_k = dropout(f(h_{k-1} W_k^T + b_k))      y = h_{K-1} W_K^T + b_K
    backward   the layers' own, last to first
    shapes     h_k (..., sizes[k])   W_k (sizes[k], sizes[k-1])   b_k (sizes[k],)

The output is linear: logits for a classifier, a value for a regression.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.neuron import make_activation
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class MLP(Module):
    """Linear layers with an activation, and dropout if wanted, between them.

    Args:
        sizes: width of the input, of each hidden layer, and of the output.
        activation: name of a class of `scratch.nn` that needs no arguments.
        dropout: probability of dropping a hidden unit; 0 adds no such layers.
        bias: whether the layers add b.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (..., sizes[0]) to (..., sizes[-1]).

    Raises:
        TypeError, ValueError: if there are fewer than two sizes, one is not a positive integer,
            there is no such activation, or `dropout` is no probability.
    """

    _skips_input_grad = True

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        dropout: float = 0.0,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(sizes, Sequence) or len(sizes) < 2:
            check.refuse("MLP", "sizes to be two or more integers", check.describe(sizes))
        widths = [check.size("MLP", "every size", n, low=1) for n in sizes]
        check.number("MLP", "dropout", dropout, 0, 1)
        generator = generator or Generator()
        layers: list[Module] = []
        for n, m in pairwise(widths):
            if layers:
                layers.append(make_activation("MLP", activation, dtype, generator))
                if dropout > 0:
                    layers.append(nn.Dropout(dropout, generator=generator))
            layers.append(nn.Linear(n, m, bias, dtype=dtype, generator=generator))
        self.layers = nn.Sequential(*layers)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The layers in turn."""
        return self.layers(input)
