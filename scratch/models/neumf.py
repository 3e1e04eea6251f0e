"""Neural collaborative filtering: NeuMF, and GMF and MLP alone.   He et al. 2017, arXiv:1708.05031

GMF        g = p_u * q_i                                           entry by entry; section 3.2
MLP        z_1 = [s_u, t_i]     z_k = relu(W_k z_{k-1} + a_k)      section 3.3
NeuMF      x = h . [g, z_L] + b, or of one of the two alone       section 3.4
backward   dh = sum dx [g, z_L]     db = sum dx     [dg, dz_L] = dx h
           dp_u = dg q_i     dq_i = dg p_u     [ds_u, dt_i] = dz_1     summed over the rows of an id
shapes     user, item, x (...)   p, q, g (..., mf_dim)   z_k (..., layers[k - 1])
           s, t (..., layers[0] / 2)
order      the user before the item, GMF before the MLP, as in the paper and its code
x          is a logit: the paper's prediction is its sigmoid, trained by binary cross entropy
           on what was seen and on sampled items that were not
start      as the authors' code: tables from N(0, 0.01), hidden layers Glorot's uniform, h LeCun's,
           biases 0
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.random import Generator


class NeuMF(Module):
    """How likely a user takes an item: a generalised product of factors, and a network, fused.

    Args:
        num_users: number of users.
        num_items: number of items.
        mf_dim: factors of the product; None leaves that branch out.
        layers: width of the two embeddings together, and of each hidden layer of the network; None
            leaves that branch out.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        ids of users (...) and of items (...) to logits (...).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, layers[0] is odd, or both
            branches are left out; in a forward, if the ids do not exist or differ in shape.

    Source: He, Liao, Zhang, Nie, Hu & Chua 2017, sections 3.2 to 3.4.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        mf_dim: int | None = 8,
        layers: Sequence[int] | None = (64, 32, 16, 8),
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "NeuMF"
        self.num_users = check.size(name, "num_users", num_users, low=1)
        self.num_items = check.size(name, "num_items", num_items, low=1)
        if mf_dim is None and layers is None:
            check.refuse(name, "mf_dim or layers, or both", "neither")
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}

        def table(rows: int, width: int) -> nn.Embedding:
            made = nn.Embedding(rows, width, **options)
            init.normal_(made.weight, std=0.01, generator=options["generator"])
            return made

        def linear(n: int, m: int) -> nn.Linear:
            made = nn.Linear(n, m, **options)
            if made.bias is not None:
                init.zeros_(made.bias)
            return made

        self.mf_user: nn.Embedding | None = None
        self.mf_item: nn.Embedding | None = None
        self.mlp_user: nn.Embedding | None = None
        self.mlp_item: nn.Embedding | None = None
        self.mlp: nn.Sequential | None = None
        fused = 0
        if mf_dim is not None:
            fused = check.size(name, "mf_dim", mf_dim, low=1)
            self.mf_user = table(num_users, mf_dim)
            self.mf_item = table(num_items, mf_dim)
        if layers is not None:
            widths = _widths(layers)
            self.mlp_user = table(num_users, widths[0] // 2)
            self.mlp_item = table(num_items, widths[0] // 2)
            hidden: list[Module] = []
            for n, m in pairwise(widths):
                layer = linear(n, m)
                init.xavier_uniform_(layer.weight, generator=options["generator"])
                hidden += [layer, nn.ReLU()]
            self.mlp = nn.Sequential(*hidden)
            fused += widths[-1]
        self.out = linear(fused, 1)
        init.kaiming_uniform_(
            self.out.weight, nonlinearity="linear", generator=options["generator"]
        )

    def forward(self, user: Array, item: Array) -> tuple[Array, Backward]:
        """The logit of each user and the item beside it.

        Args:
            user: ids (...), integers in [0, num_users).
            item: ids (...), integers in [0, num_items), of the same shape.

        Returns:
            x (...), and its backward: dx -> None.
        """
        user = check.integer("NeuMF", "user", user, 0, self.num_users)
        item = check.integer("NeuMF", "item", item, 0, self.num_items)
        check.shape("NeuMF", "item", item, user.shape)
        branches = [self._product(user, item), self._network(user, item)]
        parts, backs = zip(*[branch for branch in branches if branch is not None], strict=True)
        edges = np.cumsum([part.shape[-1] for part in parts])[:-1]
        column, out_back = self.out(np.concatenate(parts, -1))
        x, single_back = _single(column)

        def backward(dx: Array) -> None:
            dparts = np.split(out_back(single_back(dx)), edges, -1)
            for back, dpart in zip(backs, dparts, strict=True):
                back(dpart)

        return x, backward

    def _product(self, user: Array, item: Array) -> tuple[Array, Backward] | None:
        """g (..., mf_dim)."""
        if self.mf_user is None or self.mf_item is None:
            return None
        p, p_back = self.mf_user(user)
        q, q_back = self.mf_item(item)

        def backward(dg: Array) -> None:
            q_back(dg * p)
            p_back(dg * q)

        return p * q, backward

    def _network(self, user: Array, item: Array) -> tuple[Array, Backward] | None:
        """z_L (..., layers[-1])."""
        if self.mlp_user is None or self.mlp_item is None or self.mlp is None:
            return None
        s, s_back = self.mlp_user(user)
        t, t_back = self.mlp_item(item)
        z, mlp_back = self.mlp(np.concatenate([s, t], -1))

        def backward(dz: Array) -> None:
            ds, dt = np.split(mlp_back(dz), 2, -1)
            t_back(np.ascontiguousarray(dt))
            s_back(np.ascontiguousarray(ds))

        return z, backward


@op
def _single(column: Array) -> tuple[Array, Backward]:
    """(..., 1) to (...)."""
    return column[..., 0], lambda dx: dx[..., None]


def _widths(layers: Sequence[int]) -> list[int]:
    if not isinstance(layers, Sequence) or not layers:
        check.refuse("NeuMF", "layers to be one or more integers", check.describe(layers))
    widths = [check.size("NeuMF", "every layer", n, low=1) for n in layers]
    if widths[0] % 2:
        check.refuse("NeuMF", "layers[0] to be even, half of it for each embedding", widths[0])
    return widths
