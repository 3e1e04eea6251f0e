"""Multilayer perceptron.                             Rumelhart, Hinton & Williams 1986, Nature 323

h_0 = x      h_k = dropout(f(h_{k-1} W_k^T + b_k))      y = h_{K-1} W_K^T + b_K
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


class MLP(nn.Module):
    """Linear layers with an activation, and dropout if wanted, between them.

    Args:
        sizes: width of the input, of each hidden layer, and of the output.
        activation: name of a class of `torch.nn` that needs no arguments.
        dropout: probability of dropping a hidden unit; 0 adds no such layers.
        bias: whether the layers add b.
        dtype: of the parameters.

    Shape:
        (..., sizes[0]) to (..., sizes[-1]).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "ReLU",
        dropout: float = 0.0,
        bias: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n, m in pairwise(sizes):
            if layers:
                layers.append(getattr(nn, activation)())
                if dropout > 0:
                    layers.append(nn.Dropout(dropout))
            layers.append(nn.Linear(n, m, bias, dtype=dtype))
        self.layers = nn.Sequential(*layers)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The layers in turn."""
        y: torch.Tensor = self.layers(input)
        return y
