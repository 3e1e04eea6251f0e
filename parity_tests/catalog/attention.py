"""Attention."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Op, Refusal, const
from scratch.nn import functional as F

VASWANI = "Vaswani et al. 2017, arXiv:1706.03762"


def torch_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Torch's, and with a given dropout mask the definition, as torch's has no such argument."""
    if dropout_mask is None:
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    weights: torch.Tensor = scores.softmax(-1) * dropout_mask / (1 - dropout_p)
    return weights @ value


def three(d: Draw, *lead: int, scale: float = 1.0) -> list[Array]:
    """Four queries and six keys of five features, six values of three."""
    sizes = ((4, 5, scale), (6, 5, scale), (6, 3, 1.0))
    return [d.normal(*lead, length, size, scale=by) for length, size, by in sizes]


def square(d: Draw, *lead: int) -> list[Array]:
    """As many queries as keys."""
    return [d.normal(*lead, 5, 4) for _ in range(3)]


def grouped(d: Draw, queries: int, keys: int, values: int) -> list[Array]:
    """Heads in groups: so many of each."""
    return [d.normal(2, h, n, 4) for h, n in ((queries, 3), (keys, 5), (values, 5))]


def bool_mask(d: Draw, *shape: int) -> Array:
    """Half of the keys, in each row one at least."""
    mask = d.mask(0.5, *shape)
    mask[..., 0] |= ~mask.any(-1)
    return mask


def blocked_rows(d: Draw, *shape: int) -> Array:
    """A bool mask with a row that sees nothing."""
    mask = bool_mask(d, *shape)
    mask[..., 1, :] = False
    return mask


def additive(d: Draw, *shape: int) -> Array:
    """A floating mask with -inf in it, and a row of nothing else."""
    mask = np.where(blocked_rows(d, *shape), d.normal(*shape), -np.inf)
    return d.array(mask)


def many(d: Draw) -> Call:
    """More scores than are worked on at once."""
    return Call(d.normal(5, 2, 300, 4), d.normal(5, 1, 260, 4), d.normal(2, 260, 4))


def dropped(d: Draw, rate: float, kind: Any) -> Call:
    """A third of the weights dropped."""
    mask = d.mask(1 - rate, 2, 3, 4, 6)
    given = mask if kind is bool else const(d.array(mask))
    return Call(*three(d, 2, 3), dropout_p=rate, dropout_mask=given)


def masked(mask: Callable[..., Array], *shape: int, **options: Any) -> Callable[[Draw], Call]:
    """Two batches of three heads under a mask of such a shape."""
    return lambda d: Call(*three(d, 2, 3), mask(d, *shape), **options)


ENTRIES: list[Entry] = [
    Op(
        "scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        torch_attention,
        source=VASWANI + ", equation 1",
        cases=(
            Case("heads", lambda d: Call(*three(d, 2, 3))),
            Case("one sequence", lambda d: Call(*three(d))),
            Case("three axes", lambda d: Call(*three(d, 2))),
            Case("five axes", lambda d: Call(*three(d, 2, 1, 3))),
            Case("bool mask", masked(bool_mask, 4, 6)),
            Case("bool mask of a batch", masked(bool_mask, 2, 1, 1, 6)),
            Case("bool mask of each head", masked(bool_mask, 3, 4, 6)),
            Case("rows that see nothing", masked(blocked_rows, 2, 1, 4, 6)),
            Case("float mask", masked(additive, 4, 6)),
            Case("float mask of each head", masked(additive, 1, 3, 4, 6)),
            Case("float mask, all axes", masked(additive, 2, 3, 4, 6)),
            Case("causal", lambda d: Call(*square(d, 2, 3), is_causal=True)),
            Case("causal, more keys", lambda d: Call(*three(d, 2, 3), is_causal=True)),
            Case(
                "causal, more queries",
                lambda d: Call(
                    d.normal(2, 6, 4), *(d.normal(2, 3, 4) for _ in "kv"), is_causal=True
                ),
            ),
            Case("scale", lambda d: Call(*three(d, 2, 3), scale=0.3)),
            Case("negative scale", lambda d: Call(*three(d, 2, 3), scale=-0.7)),
            Case(
                "broadcast", lambda d: Call(d.normal(2, 1, 4, 5), d.normal(3, 6, 5), d.normal(6, 5))
            ),
            Case("grouped queries", lambda d: Call(*grouped(d, 6, 2, 2), enable_gqa=True)),
            Case("groups of two sizes", lambda d: Call(*grouped(d, 6, 3, 2), enable_gqa=True)),
            Case(
                "grouped, masked",
                lambda d: Call(*grouped(d, 4, 1, 2), additive(d, 4, 3, 5), enable_gqa=True),
            ),
            Case(
                "one key",
                lambda d: Call(*(d.normal(2, n, 4) for n in (3, 1, 1))),
                zero=("query", "key"),
                cancels=1.0,
            ),
            Case("one query", lambda d: Call(*(d.normal(2, n, 4) for n in (1, 5, 5)))),
            Case("large", lambda d: Call(*three(d, 2, 3, scale=8.0)), cancels=8.0),
            Case("small", lambda d: Call(*three(d, 2, 3, scale=1e-3)), cancels=1e-3),
            Case("many", many),
            Case(
                "no keys",
                lambda d: Call(*(d.normal(2, n, 4) for n in (3, 0, 0))),
                zero=("query", "key", "value"),
            ),
            Case("no rows", lambda d: Call(*three(d, 0, 3)), zero=("query", "key", "value")),
            Case("bool dropout mask", lambda d: dropped(d, 0.3, bool)),
            Case("float dropout mask", lambda d: dropped(d, 0.3, float)),
            Case(
                "all dropped",
                lambda d: Call(*three(d, 2), dropout_p=1.0),
                zero=("query", "key", "value"),
            ),
        ),
    ),
]

Q, K, V = np.full((2, 6, 4, 5), 0.1), np.full((2, 2, 3, 5), 0.2), np.full((2, 2, 3, 7), 0.3)
ONE = {"query": Q[:, :2], "key": K, "value": V}
WRONG: dict[str, dict[str, Any]] = {
    "query of one axis": {"query": Q[0, 0, 0]},
    "integer query": {"query": np.ones((2, 2, 4, 5), int)},
    "list as key": {"key": K.tolist()},
    "dtype of key": {"key": K.astype(np.float32)},
    "dtype of value": {"value": V.astype(np.float32)},
    "features of keys": {"key": K[..., :4]},
    "number of values": {"value": V[..., :2, :]},
    "heads that do not broadcast": {"query": Q},
    "heads that do not divide": {"query": Q[:, :3], "enable_gqa": True},
    "no heads to divide by": {"key": K[:, :0], "value": V[:, :0], "enable_gqa": True},
    "batches of grouped queries": {"query": Q.repeat(2, 0)[:3], "enable_gqa": True},
    "grouped queries without heads": {
        "query": Q[0, 0],
        "key": K[0, 0],
        "value": V[0, 0],
        "enable_gqa": True,
    },
    "enable_gqa": {"enable_gqa": "yes"},
    "list as mask": {"attn_mask": [[True] * 3] * 4},
    "integer mask": {"attn_mask": np.ones((4, 3), int)},
    "dtype of mask": {"attn_mask": np.ones((4, 3), np.float32)},
    "shape of mask": {"attn_mask": np.ones((4, 4), bool)},
    "mask of one axis": {"attn_mask": np.ones(3, bool)},
    "mask that is larger": {"attn_mask": np.ones((5, 2, 2, 4, 3), bool)},
    "mask beside is_causal": {"attn_mask": np.ones((4, 3), bool), "is_causal": True},
    "is_causal": {"is_causal": 2},
    "dropout_p": {"dropout_p": 1.5},
    "dropout_p of another kind": {"dropout_p": True},
    "scale": {"scale": "sqrt"},
    "generator": {"generator": 3},
    "list as dropout mask": {"dropout_p": 0.5, "dropout_mask": [True]},
    "dtype of dropout mask": {"dropout_mask": np.ones((2, 2, 4, 3), np.float32)},
    "shape of dropout mask": {"dropout_mask": np.ones((4, 3), bool)},
}
REFUSALS = [
    Refusal(
        f"scaled_dot_product_attention: {what}",
        partial(F.scaled_dot_product_attention, **{**ONE, **wrong}),
        "scaled_dot_product_attention",
    )
    for what, wrong in WRONG.items()
]
