"""Gated feed-forward layer, SwiGLU and its kin.                     Shazeer 2020, arXiv:2002.05202

y = (f(x W_g^T) x W_u^T) W_d^T
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _identity(x: Tensor) -> Tensor:
    return x


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "identity": _identity,
}


class GatedFeedForward(nn.Module):
    """SwiGLU and its kin.

    Args:
        d_model: size of the input and of the output.
        d_ff: size in between.
        activation: 'silu', 'gelu', 'gelu_tanh', 'relu', 'sigmoid' or 'identity'.
        bias: whether the projections have biases, which the paper leaves out.
        dropout: probability of dropping a value in between.
        dtype: of the parameters.

    Shape:
        (..., d_model) to the same.
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        activation: str = "silu",
        bias: bool = False,
        dropout: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.gate_proj = nn.Linear(d_model, d_ff, bias, dtype=dtype)
        self.up_proj = nn.Linear(d_model, d_ff, bias, dtype=dtype)
        self.down_proj = nn.Linear(d_ff, d_model, bias, dtype=dtype)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor) -> Tensor:
        """y = (f(x W_g^T) x W_u^T) W_d^T."""
        gate = GATES[self.activation](self.gate_proj(input))
        y: Tensor = self.down_proj(self.dropout(gate * self.up_proj(input)))
        return y

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"
