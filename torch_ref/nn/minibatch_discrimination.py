"""Minibatch discrimination: how close each sample is to the rest of its batch.

M_i = x_i T      o_ib = sum_{j != i} exp(-sum_c |M_ibc - M_jbc|)      y_i = (x_i, o_i)

Salimans et al. 2016, arXiv:1606.03498, section 3.2.
"""

import math

import torch
from torch import Tensor, nn


def minibatch_discrimination(input: Tensor, weight: Tensor) -> Tensor:
    """Append to each sample its closeness to the others.

    Args:
        input: x (N, in).
        weight: T (in, B, C).

    Returns:
        y (N, in + B).
    """
    m = torch.einsum("ni,ibc->nbc", input, weight)
    e = torch.exp(-(m[:, None] - m).abs().sum(-1))  # (N, N, B)
    others = ~torch.eye(len(input), dtype=torch.bool, device=input.device)
    return torch.cat([input, (e * others[..., None]).sum(1)], dim=1)


class MinibatchDiscrimination(nn.Module):
    """`minibatch_discrimination` with learned kernels.

    Args:
        in_features: size of a sample's features.
        num_kernels: B, how many numbers each sample gets.
        kernel_dim: C, in how many dimensions a kernel compares.
        dtype: of the parameters.

    Shape:
        (N, in_features) to (N, in_features + num_kernels).
    """

    def __init__(
        self,
        in_features: int,
        num_kernels: int,
        kernel_dim: int,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.num_kernels = in_features, num_kernels
        self.kernel_dim = kernel_dim
        self.weight = nn.Parameter(torch.empty(in_features, num_kernels, kernel_dim, dtype=dtype))
        nn.init.normal_(self.weight, std=1 / math.sqrt(in_features))

    def forward(self, input: Tensor) -> Tensor:
        """y = (x, o)."""
        return minibatch_discrimination(input, self.weight)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_kernels={self.num_kernels}, "
            f"kernel_dim={self.kernel_dim}"
        )
