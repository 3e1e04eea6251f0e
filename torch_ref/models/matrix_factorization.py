"""Matrix factorisation of ratings.            Koren, Bell & Volinsky 2009, IEEE Computer 42(8)

r_ui = m + b_u + c_i + p_u . q_i                                         equation 4, predicted
loss = mean (r_ui - t_ui)^2 + lambda (|p_u|^2 + |q_i|^2 + b_u^2 + c_i^2)             equation 5
hybrid: q_i + A x_i for q_i, and c_i + w . x_i for c_i            Kula 2015, arXiv:1507.08439
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STD = 0.1


class Tables(nn.Module):
    """The four tables: what is known of each user and of each item."""

    mean: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int,
        mean: float,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.user_factors = nn.Embedding(num_users, embedding_dim, dtype=dtype)
        self.item_factors = nn.Embedding(num_items, embedding_dim, dtype=dtype)
        self.user_bias = nn.Embedding(num_users, 1, dtype=dtype)
        self.item_bias = nn.Embedding(num_items, 1, dtype=dtype)
        nn.init.normal_(self.user_factors.weight, std=STD)
        nn.init.normal_(self.item_factors.weight, std=STD)
        nn.init.zeros_(self.user_bias.weight)
        nn.init.zeros_(self.item_bias.weight)
        self.register_buffer("mean", torch.tensor(float(mean), dtype=dtype))

    def _rows(self, user: Tensor, item: Tensor) -> tuple[Tensor, ...]:
        """p (..., K), q (..., K), b (..., 1) and c (..., 1)."""
        return (
            self.user_factors(user),
            self.item_factors(item),
            self.user_bias(user),
            self.item_bias(item),
        )


class MatrixFactorization(Tables):
    """Ratings as a mean, what the user and the item add to it, and how well the two match.

    Args:
        num_users: number of users.
        num_items: number of items.
        embedding_dim: K, number of factors.
        mean: m, of the ratings; a buffer, not learned.
        dtype: of the parameters.

    Shape:
        ids of users (...) and of items (...) to ratings (...).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 32,
        mean: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_users, num_items, embedding_dim, mean, dtype)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """What each user is expected to say of the item beside it.

        Args:
            user: ids (...).
            item: ids (...), of the same shape.

        Returns:
            r (...).
        """
        return self._rated(*self._rows(user, item))

    def loss(
        self, user: Tensor, item: Tensor, rating: Tensor, regularization: float = 0.0
    ) -> Tensor:
        """Mean over the ratings of the squared error, and of what the rows that it read cost.

        Args:
            user: ids (...).
            item: ids (...).
            rating: t (...).
            regularization: lambda.

        Returns:
            The loss, ().
        """
        rows = self._rows(user, item)
        return F.mse_loss(self._rated(*rows), rating) + penalty(rows, regularization)

    def _rated(self, p: Tensor, q: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return self.mean + (b + c).squeeze(-1) + (p * q).sum(-1)


class HybridMatrixFactorization(Tables):
    """Matrix factorisation that also sees what the items are like, so that new ones are not blank.

    Args:
        num_users: number of users.
        num_items: number of items.
        num_features: F, of an item.
        embedding_dim: K, number of factors.
        mean: m, of the ratings; a buffer, not learned.
        dtype: of the parameters.

    Shape:
        ids of users (...) and of items (...), features (..., F), to ratings (...).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_features: int,
        embedding_dim: int = 32,
        mean: float = 0.0,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_users, num_items, embedding_dim, mean, dtype)
        self.feature_factors = nn.Linear(num_features, embedding_dim, bias=False, dtype=dtype)
        self.feature_bias = nn.Linear(num_features, 1, bias=False, dtype=dtype)
        nn.init.zeros_(self.item_factors.weight)
        nn.init.normal_(self.feature_factors.weight, std=STD)
        nn.init.normal_(self.feature_bias.weight, std=STD)

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        """What each user is expected to say of the item beside it.

        Args:
            user: ids (...).
            item: ids (...), of the same shape.
            features: x (..., F), of each of these items.

        Returns:
            r (...).
        """
        return self._rated(features, *self._rows(user, item))

    def loss(
        self,
        user: Tensor,
        item: Tensor,
        features: Tensor,
        rating: Tensor,
        regularization: float = 0.0,
    ) -> Tensor:
        """As MatrixFactorization's; A and w are not among what costs.

        Args:
            user: ids (...).
            item: ids (...).
            features: x (..., F).
            rating: t (...).
            regularization: lambda.

        Returns:
            The loss, ().
        """
        rows = self._rows(user, item)
        return F.mse_loss(self._rated(features, *rows), rating) + penalty(rows, regularization)

    def _rated(self, x: Tensor, p: Tensor, q: Tensor, b: Tensor, c: Tensor) -> Tensor:
        v = q + self.feature_factors(x)
        r: Tensor = self.mean + (b + c + self.feature_bias(x)).squeeze(-1) + (p * v).sum(-1)
        return r


def penalty(rows: tuple[Tensor, ...], regularization: float) -> Tensor:
    """lambda times the mean over the ratings of the squares of the rows that each of them read."""
    return regularization * torch.cat(rows, -1).square().sum(-1).mean()
