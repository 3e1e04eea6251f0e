"""One artificial neuron: y = f(x W^T + b).           McCulloch & Pitts 1943; Rosenblatt 1958"""

import torch
from torch import nn


class Neuron(nn.Linear):
    """A weighted sum of the inputs, through an activation.

    Args:
        in_features: number of inputs.
        activation: name of a class of `torch.nn` that needs no arguments.
        bias: whether to add b.
        dtype: of the parameters.

    Shape:
        (..., in_features) to (..., 1).
    """

    def __init__(
        self,
        in_features: int,
        activation: str = "Sigmoid",
        bias: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, 1, bias, dtype=dtype)
        self.activation: nn.Module = getattr(nn, activation)()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = f(x W^T + b)."""
        y: torch.Tensor = self.activation(super().forward(input))
        return y
