"""Neural collaborative filtering: NeuMF, and GMF and MLP alone.   He et al. 2017, arXiv:1708.05031

GMF    g = p_u * q_i
MLP    z_1 = [s_u, t_i]     z_k = relu(W_k z_{k-1} + a_k)
NeuMF  x = h . [g, z_L] + b, a logit, or of one of the two alone
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class NeuMF(nn.Module):
    """How likely a user takes an item: a generalised product of factors, and a network, fused.

    Args:
        num_users: number of users.
        num_items: number of items.
        mf_dim: factors of the product; None leaves that branch out.
        layers: width of the two embeddings together, and of each hidden layer of the network; None
            leaves that branch out.
        dtype: of the parameters.

    Shape:
        ids of users (...) and of items (...) to logits (...).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        mf_dim: int | None = 8,
        layers: Sequence[int] | None = (64, 32, 16, 8),
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.mf_user: nn.Embedding | None = None
        self.mf_item: nn.Embedding | None = None
        self.mlp_user: nn.Embedding | None = None
        self.mlp_item: nn.Embedding | None = None
        self.mlp: nn.Sequential | None = None
        fused = 0
        if mf_dim is not None:
            self.mf_user = nn.Embedding(num_users, mf_dim, dtype=dtype)
            self.mf_item = nn.Embedding(num_items, mf_dim, dtype=dtype)
            fused = mf_dim
        if layers is not None:
            self.mlp_user = nn.Embedding(num_users, layers[0] // 2, dtype=dtype)
            self.mlp_item = nn.Embedding(num_items, layers[0] // 2, dtype=dtype)
            hidden: list[nn.Module] = []
            for n, m in pairwise(layers):
                hidden += [nn.Linear(n, m, dtype=dtype), nn.ReLU()]
            self.mlp = nn.Sequential(*hidden)
            fused += layers[-1]
        self.out = nn.Linear(fused, 1, dtype=dtype)
        self.apply(_start)
        nn.init.kaiming_uniform_(self.out.weight, nonlinearity="linear")

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """The logit of each user and the item beside it.

        Args:
            user: ids (...).
            item: ids (...), of the same shape.

        Returns:
            x (...).
        """
        parts = []
        if self.mf_user is not None and self.mf_item is not None:
            parts.append(self.mf_user(user) * self.mf_item(item))
        if self.mlp_user is not None and self.mlp_item is not None and self.mlp is not None:
            parts.append(self.mlp(torch.cat([self.mlp_user(user), self.mlp_item(item)], -1)))
        x: Tensor = self.out(torch.cat(parts, -1))
        return x.squeeze(-1)


def _start(module: nn.Module) -> None:
    """As the authors' code."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
