"""Matrix factorisation of ratings.            Koren, Bell & Volinsky 2009, IEEE Computer 42(8)

forward    r_ui = m + b_u + c_i + p_u . q_i                              equation 4, predicted
loss       L = mean (r_ui - t_ui)^2 + lambda (|p_u|^2 + |q_i|^2 + b_u^2 + c_i^2)     equation 5
backward   db_u = dc_i = dr     dp_u = dr q_i     dq_i = dr p_u     summed over the rows of an id
           of the loss: dr = 2 (r - t) / n, and 2 lambda / n times each row that was read
hybrid     q_i + A x_i for q_i, and c_i + w . x_i for c_i: what the item is like, beside who it is
           dA = sum (dr p_u) x_i^T     dw = sum dr x_i     dx_i = A^T (dr p_u) + dr w
shapes     user, item, r (...)   P (users, K)   Q (items, K)   b (users, 1)   c (items, 1)
           x (..., F)   A (K, F)   w (1, F)
m          is a constant, the mean of the ratings; b and c say what is left of them, so that it
           stands in the sum once
lambda     is paid for each rating, so that whoever rates much pays often: that is equation 5;
           weight_decay of an optimizer pulls every row alike, read or not
start      P and Q from N(0, 0.1), b and c from 0. Of the hybrid Q and c from 0, A and w from
           N(0, 0.1): an item without ratings stays what its features say
Source     hybrid: Kula 2015, arXiv:1507.08439, equation 1 without the link, the features real
           numbers and the item's own row one of them
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.random import Generator

STD = 0.1


class Tables(Module):
    """The four tables: what is known of each user and of each item.

    Args:
        name: for messages.
        num_users: rows of P and b.
        num_items: rows of Q and c.
        embedding_dim: K.
        mean: m.
        dtype: float32 or float64.
        generator: where the start comes from.
    """

    mean: Array

    def __init__(
        self,
        name: str,
        num_users: int,
        num_items: int,
        embedding_dim: int,
        mean: float,
        dtype: DTypeLike,
        generator: Generator,
    ) -> None:
        self.num_users = check.size(name, "num_users", num_users, low=1)
        self.num_items = check.size(name, "num_items", num_items, low=1)
        size = check.size(name, "embedding_dim", embedding_dim, low=1)
        mean = check.number(name, "mean", mean)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.user_factors = nn.Embedding(num_users, size, **options)
        self.item_factors = nn.Embedding(num_items, size, **options)
        self.user_bias = nn.Embedding(num_users, 1, **options)
        self.item_bias = nn.Embedding(num_items, 1, **options)
        for factors in (self.user_factors, self.item_factors):
            init.normal_(factors.weight, std=STD, generator=generator)
        for bias in (self.user_bias, self.item_bias):
            init.zeros_(bias.weight)
        self.register_buffer("mean", np.asarray(mean, dtype))

    def _rows(self, user: Array, item: Array) -> tuple[tuple[Array, ...], Backward]:
        """p (..., K), q (..., K), b (..., 1) and c (..., 1), and their backward."""
        user, item = _pairs(type(self).__name__, user, item, self.num_users, self.num_items)
        p, p_back = self.user_factors(user)
        q, q_back = self.item_factors(item)
        b, b_back = self.user_bias(user)
        c, c_back = self.item_bias(item)

        def backward(dp: Array, dq: Array, db: Array, dc: Array) -> None:
            c_back(dc)
            b_back(db)
            q_back(dq)
            p_back(dp)

        return (p, q, b, c), backward


class MatrixFactorization(Tables):
    """Ratings as a mean, what the user and the item add to it, and how well the two match.

    Args:
        num_users: number of users.
        num_items: number of items.
        embedding_dim: K, number of factors.
        mean: m, of the ratings; a buffer, not learned.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        ids of users (...) and of items (...) to ratings (...).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `mean` no number; in a
            forward, if the ids do not exist or differ in shape.

    Source: Koren, Bell & Volinsky 2009, equations 4 and 5.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 32,
        mean: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name, generator = "MatrixFactorization", generator or Generator()
        super().__init__(name, num_users, num_items, embedding_dim, mean, dtype, generator)

    def forward(self, user: Array, item: Array) -> tuple[Array, Backward]:
        """What each user is expected to say of the item beside it.

        Args:
            user: ids (...), integers in [0, num_users).
            item: ids (...), integers in [0, num_items), of the same shape.

        Returns:
            r (...), and its backward: dr -> None.
        """
        r, _, backward = self._rated(user, item)
        return r, backward

    def loss(
        self, user: Array, item: Array, rating: Array, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """Mean over the ratings of the squared error, and of what the rows that it read cost.

        Args:
            user: ids (...).
            item: ids (...).
            rating: t (...).
            regularization: lambda, not negative.

        Returns:
            The loss, (), and its backward: dloss -> dt.

        Raises:
            TypeError, ValueError: if an array or the number does not fit.
        """
        a = _loss_arguments("MatrixFactorization", user, rating, self.mean, regularization)
        r, rows, rated_back = self._rated(user, item)
        loss, loss_back = _penalised(r, rows, rating, a)

        def backward(dloss: Array | float = 1.0, needs_input_grad: bool = True) -> Array | None:
            dr, drows, drating = loss_back(dloss)
            rated_back(dr, drows)
            return drating if needs_input_grad else None

        return loss, backward

    def _rated(self, user: Array, item: Array) -> tuple[Array, tuple[Array, ...], Backward]:
        """r, the rows that it was made of, and their backward."""
        rows, rows_back = self._rows(user, item)
        p, q, b, c = rows
        match, dot_back = _dot(p, q)
        r = self.mean + b[..., 0] + c[..., 0] + match

        def backward(dr: Array, drows: tuple[Array | float, ...] = (0, 0, 0, 0)) -> None:
            dp, dq = dot_back(dr)
            parts = dp, dq, dr[..., None], dr[..., None]
            rows_back(*(part + more for part, more in zip(parts, drows, strict=True)))

        return r, rows, backward


class HybridMatrixFactorization(Tables):
    """Matrix factorisation that also sees what the items are like, so that new ones are not blank.

    Args:
        num_users: number of users.
        num_items: number of items.
        num_features: F, of an item.
        embedding_dim: K, number of factors.
        mean: m, of the ratings; a buffer, not learned.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        ids of users (...) and of items (...), features (..., F), to ratings (...).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `mean` no number; in a
            forward, if an array does not fit.

    Source: Kula 2015, arXiv:1507.08439.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_features: int,
        embedding_dim: int = 32,
        mean: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name, generator = "HybridMatrixFactorization", generator or Generator()
        check.size(name, "num_features", num_features, low=1)
        super().__init__(name, num_users, num_items, embedding_dim, mean, dtype, generator)
        options: dict[str, Any] = {"bias": False, "dtype": dtype, "generator": generator}
        self.feature_factors = nn.Linear(num_features, embedding_dim, **options)
        self.feature_bias = nn.Linear(num_features, 1, **options)
        init.zeros_(self.item_factors.weight)
        for linear in (self.feature_factors, self.feature_bias):
            init.normal_(linear.weight, std=STD, generator=generator)

    def forward(self, user: Array, item: Array, features: Array) -> tuple[Array, Backward]:
        """What each user is expected to say of the item beside it.

        Args:
            user: ids (...), integers in [0, num_users).
            item: ids (...), integers in [0, num_items), of the same shape.
            features: x (..., F), of each of these items.

        Returns:
            r (...), and its backward: dr -> dx.
        """
        r, _, backward = self._rated(user, item, features)
        return r, backward

    def loss(
        self,
        user: Array,
        item: Array,
        features: Array,
        rating: Array,
        regularization: float = 0.0,
    ) -> tuple[Array, Backward]:
        """As MatrixFactorization's; A and w are not among what costs.

        Args:
            user: ids (...).
            item: ids (...).
            features: x (..., F).
            rating: t (...).
            regularization: lambda, not negative.

        Returns:
            The loss, (), and its backward: dloss -> dx, dt.

        Raises:
            TypeError, ValueError: if an array or the number does not fit.
        """
        a = _loss_arguments("HybridMatrixFactorization", user, rating, self.mean, regularization)
        r, rows, rated_back = self._rated(user, item, features)
        loss, loss_back = _penalised(r, rows, rating, a)

        def backward(
            dloss: Array | float = 1.0, needs_input_grad: bool = True
        ) -> tuple[Array, Array] | None:
            dr, drows, drating = loss_back(dloss)
            dx = rated_back(dr, drows)
            return (dx, drating) if needs_input_grad else None

        return loss, backward

    def _rated(
        self, user: Array, item: Array, features: Array
    ) -> tuple[Array, tuple[Array, ...], Backward]:
        """r, the rows that it was made of, and their backward: dr -> dx."""
        name = "HybridMatrixFactorization"
        x = check.floating(name, "features", features, like=self.mean)
        user, item = _pairs(name, user, item, self.num_users, self.num_items)
        check.shape(name, "features", x, (*user.shape, self.feature_bias.in_features))
        rows, rows_back = self._rows(user, item)
        p, q, b, c = rows
        v, v_back = self.feature_factors(x)
        d, d_back = self.feature_bias(x)
        match, dot_back = _dot(p, q + v)
        r = self.mean + b[..., 0] + c[..., 0] + d[..., 0] + match

        def backward(dr: Array, drows: tuple[Array | float, ...] = (0, 0, 0, 0)) -> Array:
            dp, dv = dot_back(dr)
            dr = dr[..., None]
            parts = dp, dv, dr, dr
            rows_back(*(part + more for part, more in zip(parts, drows, strict=True)))
            dx: Array = v_back(dv) + d_back(dr)
            return dx

        return r, rows, backward


@op
def _dot(p: Array, q: Array) -> tuple[Array, Backward]:
    """p . q (...)."""
    return np.einsum("...k,...k->...", p, q), lambda dy: (dy[..., None] * q, dy[..., None] * p)


def _pairs(
    function: str, user: Array, item: Array, num_users: int, num_items: int
) -> tuple[Array, Array]:
    """Ids that exist, as many of items as of users."""
    user = check.integer(function, "user", user, 0, num_users)
    item = check.integer(function, "item", item, 0, num_items)
    check.shape(function, "item", item, user.shape)
    return user, item


def _loss_arguments(
    function: str, user: Array, rating: Array, like: Array, regularization: float
) -> float:
    """lambda, once ratings and it have been found to fit."""
    t = check.floating(function, "rating", rating)
    if t.dtype != like.dtype:
        expected = f"rating of dtype {like.dtype} as the weights have"
        check.refuse(function, expected, check.describe(rating), TypeError)
    check.shape(function, "rating", t, np.shape(user))
    return check.number(function, "regularization", regularization, 0, np.inf, open_high=True)


def _penalised(
    r: Array, rows: tuple[Array, ...], rating: Array, a: float
) -> tuple[Array, Backward]:
    """The loss of equation 5, and its backward: dloss -> dr, the rows' own part, dt."""
    error, error_back = F.mse_loss(r, rating)
    n = max(r.size, 1)
    loss = np.asarray(error + (a / n * sum(np.vdot(row, row) for row in rows)), r.dtype)

    def backward(dloss: Array | float = 1.0) -> tuple[Array, tuple[Array, ...], Array]:
        dr, drating = error_back(dloss)
        scale = np.asarray(2 * a / n * dloss, r.dtype)
        return dr, tuple(scale * row for row in rows), drating

    return loss, backward
