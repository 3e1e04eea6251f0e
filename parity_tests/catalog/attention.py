"""Attention."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from parity_tests.catalog.recurrent import scales, start_of, torch_start_of
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Op, Refusal, const
from scratch import nn
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


def torch_in_tiles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    block_size: int = 128,
) -> torch.Tensor:
    """Torch's, whose tiles are its own affair."""
    return torch_attention(query, key, value, attn_mask, 0.0, is_causal, scale)


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


def additive_keys(d: Draw, *shape: int) -> Array:
    """A floating mask of the keys alone."""
    return d.array(np.where(bool_mask(d, *shape), d.normal(*shape), -np.inf))


def many(d: Draw) -> Call:
    """More scores than are worked on at once."""
    return Call(d.normal(5, 2, 300, 4), d.normal(5, 1, 260, 4), d.normal(2, 260, 4))


def dropped(d: Draw, rate: float, kind: Any) -> Call:
    """A third of the weights dropped."""
    mask = d.mask(1 - rate, 2, 3, 4, 6)
    given = mask if kind is bool else const(d.array(mask))
    return Call(*three(d, 2, 3), dropout_p=rate, dropout_mask=given)


def tiled(make: Callable[[Draw], Call], block_size: int = 2) -> Callable[[Draw], Call]:
    """The same call in small tiles."""

    def call(d: Draw) -> Call:
        given = make(d)
        return Call(*given.args, **given.kwargs, block_size=block_size)

    return call


def masked(mask: Callable[..., Array], *shape: int, **options: Any) -> Callable[[Draw], Call]:
    """Two batches of three heads under a mask of such a shape."""
    return lambda d: Call(*three(d, 2, 3), mask(d, *shape), **options)


def torch_heads(
    query: torch.Tensor,
    *args: Any,
    batch_first: bool = False,
    dropout_mask: torch.Tensor | None = None,
    **kwargs: Any,
) -> Any:
    """Torch's, which has the batch in the second axis and takes no mask: one of ones, for p = 0."""
    swap = batch_first and query.ndim == 3
    inputs = [x.transpose(0, 1) if swap else x for x in (query, *args[:2])]
    y, weights = torch.nn.functional.multi_head_attention_forward(*inputs, *args[2:], **kwargs)
    return (y.transpose(0, 1) if swap else y), weights


EMBED, HEADS, BATCH, QUERIES, KEYS = 6, 2, 3, 4, 5


def projected(
    d: Draw,
    *,
    heads: int = HEADS,
    bias: bool = True,
    kv: bool = False,
    zeros: bool = False,
    sizes: tuple[int, int] | None = None,
    batched: bool = True,
    batch_first: bool = False,
    rate: float = 0.0,
    lengths: tuple[int, int, int] = (BATCH, QUERIES, KEYS),
    **options: Any,
) -> Call:
    """All the arguments of the function; `sizes`: of keys and values, where they differ."""
    e, (ek, ev), (batch, queries, keys) = EMBED, sizes or (EMBED, EMBED), lengths

    def sequence(length: int, size: int) -> Array:
        axes = (batch, length) if batch_first else (length, batch)
        return d.normal(*axes, size) if batched else d.normal(length, size)

    inputs = sequence(queries, e), sequence(keys, ek), sequence(keys, ev)
    weight = None if sizes else d.normal(3 * e, e, scale=0.5)
    if sizes:
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        options |= {n: d.normal(e, m) for n, m in zip(names, (e, ek, ev), strict=True)}
        options["use_separate_proj_weight"] = True
    if batch_first:
        options["batch_first"] = True
    extra = [d.normal(1, 1, e) if kv else None for _ in "kv"]
    out = d.normal(e + 1, e), d.normal(e + 1) if bias else None
    return Call(
        *inputs,
        e,
        heads,
        weight,
        d.normal(3 * e) if bias else None,
        *extra,
        zeros,
        rate,
        *out,
        **{k: v(d) if callable(v) else v for k, v in options.items()},
    )


def heads_case(name: str, zero: tuple[str, ...] = (), surrogate: str = "", **options: Any) -> Case:
    """One way to call multi_head_attention_forward."""
    return Case(name, partial(projected, **options), zero=zero, surrogate=surrogate)


def blocked(*shape: int) -> Callable[[Draw], Array]:
    """A bool mask, True where a key is not seen; each row sees one at least."""
    return lambda d: ~bool_mask(d, *shape)


def empty_row(*shape: int) -> Callable[[Draw], Array]:
    """The same with a row that sees nothing."""
    return lambda d: ~blocked_rows(d, *shape)


def added(*shape: int) -> Callable[[Draw], Array]:
    """A floating mask; each row sees something."""
    return lambda d: d.array(np.where(bool_mask(d, *shape), d.normal(*shape), -np.inf))


def upper(d: Draw) -> Array:
    """What a causal mask blocks."""
    return ~np.tri(QUERIES, KEYS, dtype=bool)


EVERY_HEAD = (BATCH * HEADS, QUERIES, KEYS)
FORWARD_CASES = (
    heads_case("packed"),
    heads_case("packed, no weights", need_weights=False),
    heads_case("no bias", bias=False),
    heads_case("no bias, no weights", bias=False, need_weights=False),
    heads_case("one head", heads=1, need_weights=False),
    heads_case("each head's weights", average_attn_weights=False),
    heads_case("separate", sizes=(5, 7)),
    heads_case("separate, no weights", sizes=(5, 7), need_weights=False),
    heads_case("separate, no bias", sizes=(EMBED, 7), bias=False),
    heads_case("batch first", batch_first=True),
    heads_case("batch first, no weights", batch_first=True, need_weights=False),
    heads_case("batch first, separate", batch_first=True, sizes=(5, 7), kv=True),
    heads_case("no batch", batched=False, key_padding_mask=blocked(KEYS)),
    heads_case("no batch, no weights", batched=False, need_weights=False),
    heads_case(
        "no batch, batch first", batched=False, batch_first=True, average_attn_weights=False
    ),
    heads_case(
        "no batch, each head's mask", batched=False, attn_mask=blocked(HEADS, QUERIES, KEYS)
    ),
    heads_case("learned key", kv=True),
    heads_case("learned key, no weights", kv=True, need_weights=False),
    heads_case("zero key", zeros=True),
    heads_case("both further keys", kv=True, zeros=True),
    heads_case(
        "both, masked",
        kv=True,
        zeros=True,
        attn_mask=added(QUERIES, KEYS),
        key_padding_mask=blocked(BATCH, KEYS),
    ),
    heads_case(
        "both, masked, no weights",
        kv=True,
        zeros=True,
        need_weights=False,
        attn_mask=blocked(QUERIES, KEYS),
        key_padding_mask=blocked(BATCH, KEYS),
    ),
    heads_case("bool mask", attn_mask=blocked(QUERIES, KEYS)),
    heads_case("bool mask, no weights", attn_mask=blocked(QUERIES, KEYS), need_weights=False),
    heads_case("each head's bool mask", attn_mask=blocked(*EVERY_HEAD)),
    heads_case(
        "each head's bool mask, no weights", attn_mask=blocked(*EVERY_HEAD), need_weights=False
    ),
    heads_case("float mask", attn_mask=added(QUERIES, KEYS)),
    heads_case("float mask, no weights", attn_mask=added(QUERIES, KEYS), need_weights=False),
    heads_case("each head's float mask", attn_mask=added(*EVERY_HEAD)),
    heads_case(
        "each head's float mask, no weights", attn_mask=added(*EVERY_HEAD), need_weights=False
    ),
    heads_case("padding", key_padding_mask=blocked(BATCH, KEYS)),
    heads_case("padding, no weights", key_padding_mask=blocked(BATCH, KEYS), need_weights=False),
    heads_case("float padding", key_padding_mask=added(BATCH, KEYS)),
    heads_case(
        "padding and each head's mask",
        key_padding_mask=added(BATCH, KEYS),
        attn_mask=added(*EVERY_HEAD),
        need_weights=False,
    ),
    heads_case("nothing seen", surrogate="NaN, as in torch", attn_mask=empty_row(QUERIES, KEYS)),
    heads_case("nothing seen, no weights", attn_mask=empty_row(QUERIES, KEYS), need_weights=False),
    heads_case("causal", attn_mask=upper, is_causal=True),
    heads_case("causal, no weights", attn_mask=upper, is_causal=True, need_weights=False),
    heads_case(
        "causal float, no weights",
        zero=("attn_mask",),
        attn_mask=added(QUERIES, KEYS),
        is_causal=True,
        need_weights=False,
    ),
    heads_case(
        "causal and padding",
        attn_mask=upper,
        is_causal=True,
        need_weights=False,
        key_padding_mask=blocked(BATCH, KEYS),
    ),
    heads_case("not training", rate=0.5, training=False),
    heads_case(
        "static key",
        zero=("key",),
        static_k=lambda d: d.normal(BATCH * HEADS, KEYS, EMBED // HEADS),
    ),
    heads_case(
        "static value",
        zero=("value",),
        static_v=lambda d: d.normal(BATCH * HEADS, KEYS, EMBED // HEADS),
        need_weights=False,
    ),
)


class ScratchSelfAttention(nn.MultiheadAttention):
    """All three arguments are the one array."""

    def forward(self, input: Array, **options: Any) -> Any:  # type: ignore[override]
        """One gradient, as torch has it."""
        outputs, back = super().forward(input, input, input, **options)

        def backward(*dy: Array | None) -> tuple[Array, ...]:
            dquery, dkey, dvalue, *dmasks = back(*dy)
            return (dquery + dkey + dvalue, *dmasks)

        return outputs, backward


class TorchSelfAttention(torch.nn.MultiheadAttention):
    """Torch's likewise."""

    def forward(self, input: torch.Tensor, **options: Any) -> Any:  # type: ignore[override]
        """As above."""
        return super().forward(input, input, input, **options)


class ScratchMemoryAttention(nn.MultiheadAttention):
    """Keys and values are one array."""

    def forward(self, input: Array, memory: Array, **options: Any) -> Any:  # type: ignore[override]
        """Two gradients."""
        outputs, back = super().forward(input, memory, memory, **options)

        def backward(*dy: Array | None) -> tuple[Array, ...]:
            dquery, dkey, dvalue, *dmasks = back(*dy)
            return (dquery, dkey + dvalue, *dmasks)

        return outputs, backward


class TorchMemoryAttention(torch.nn.MultiheadAttention):
    """Torch's likewise."""

    def forward(  # type: ignore[override]
        self, input: torch.Tensor, memory: torch.Tensor, **options: Any
    ) -> Any:
        """As above."""
        return super().forward(input, memory, memory, **options)


ScratchSelfAttention.__name__ = TorchSelfAttention.__name__ = "SelfAttention"  # as repr shows it
ScratchMemoryAttention.__name__ = TorchMemoryAttention.__name__ = "MemoryAttention"


def asked(
    *,
    batched: bool = True,
    batch_first: bool = False,
    sizes: tuple[int, int] = (EMBED, EMBED),
    arguments: int = 3,
    **options: Any,
) -> Callable[[Draw], Call]:
    """Queries, keys and values, or the first of them."""

    def make(d: Draw) -> Call:
        wanted = ((QUERIES, EMBED), (KEYS, sizes[0]), (KEYS, sizes[1]))[:arguments]
        inputs = []
        for length, size in wanted:
            axes = (BATCH, length) if batch_first else (length, BATCH)
            inputs.append(d.normal(*axes, size) if batched else d.normal(length, size))
        return Call(*inputs, **{k: v(d) if callable(v) else v for k, v in options.items()})

    return make


STARTS: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("MultiheadAttention", (6, 2), {"add_bias_kv": True}, "torch's Xavier start"),
]

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
            Case(
                "heads of values alone",
                lambda d: Call(*(d.normal(1, n, 4) for n in (3, 5)), d.normal(2, 5, 3)),
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
    Op(
        "memory_efficient_attention",
        F.memory_efficient_attention,
        torch_in_tiles,
        source="Rabe & Staats 2021, arXiv:2112.05682, section 3",
        cases=(
            Case("one tile", lambda d: Call(*three(d, 2, 3))),
            *(
                Case(f"{name}, tiles of {size}", tiled(make, size), cancels=cancels)
                for size in (2, 5)
                for name, cancels, make in (
                    ("heads", 0.0, lambda d: Call(*three(d, 2, 3))),
                    ("one sequence", 0.0, lambda d: Call(*three(d))),
                    ("bool mask", 0.0, masked(bool_mask, 2, 1, 4, 6)),
                    ("bool mask of all rows", 0.0, masked(bool_mask, 3, 1, 6)),
                    ("rows that see nothing", 0.0, masked(blocked_rows, 4, 6)),
                    ("float mask", 0.0, masked(additive, 4, 6)),
                    ("float mask of each head", 0.0, masked(additive, 1, 3, 4, 6)),
                    ("float mask of keys", 0.0, masked(additive_keys, 2, 1, 1, 6)),
                    ("causal", 0.0, lambda d: Call(*square(d, 2, 3), is_causal=True)),
                    ("causal, more keys", 0.0, lambda d: Call(*three(d, 2), is_causal=True)),
                    ("scale", 0.0, lambda d: Call(*three(d, 2, 3), scale=-0.3)),
                    ("large", 8.0, lambda d: Call(*three(d, 2, 3, scale=8.0))),
                )
            ),
            Case(
                "causal, more queries",
                tiled(
                    lambda d: Call(
                        d.normal(2, 7, 4), *(d.normal(2, 3, 4) for _ in "kv"), None, True
                    )
                ),
            ),
            Case(
                "broadcast",
                tiled(lambda d: Call(d.normal(2, 1, 4, 5), d.normal(3, 6, 5), d.normal(6, 5))),
            ),
            Case(
                "no keys",
                lambda d: Call(*(d.normal(2, n, 4) for n in (3, 0, 0))),
                zero=("query", "key", "value"),
            ),
            Case("no rows", lambda d: Call(*three(d, 0, 3)), zero=("query", "key", "value")),
        ),
    ),
    Op(
        "multi_head_attention_forward",
        F.multi_head_attention_forward,
        torch_heads,
        source=VASWANI + ", section 3.2.2",
        cases=FORWARD_CASES,
    ),
    Layer(
        "MultiheadAttention",
        nn.MultiheadAttention,
        torch.nn.MultiheadAttention,
        source=VASWANI + ", section 3.2.2",
        steps=False,  # softmax does not see b_k: Adam makes steps of rounding
        cases=(
            Case("defaults", asked(), Call(EMBED, HEADS)),
            Case("no weights", asked(need_weights=False), Call(EMBED, HEADS)),
            Case(
                "batch first",
                asked(batch_first=True, average_attn_weights=False),
                Call(EMBED, 3, batch_first=True),
            ),
            Case(
                "other sizes",
                asked(sizes=(5, 7), key_padding_mask=added(BATCH, KEYS)),
                Call(EMBED, HEADS, kdim=5, vdim=7),
            ),
            Case(
                "everything",
                asked(
                    sizes=(EMBED, 7),
                    attn_mask=added(QUERIES, KEYS),
                    key_padding_mask=blocked(BATCH, KEYS),
                ),
                Call(EMBED, HEADS, 0.0, True, True, True, EMBED, 7),
            ),
            Case("no bias", asked(batched=False), Call(EMBED, 1, bias=False)),
            Case("dropout", asked(), Call(EMBED, HEADS, 0.4), seeded=True),
            Case(
                "dropout, no weights",
                asked(batch_first=True, need_weights=False, attn_mask=upper, is_causal=True),
                Call(EMBED, HEADS, 0.4, batch_first=True),
                seeded=True,
            ),
        ),
    ),
    Layer(
        "MultiheadAttention of one sequence",
        ScratchSelfAttention,
        TorchSelfAttention,
        source=VASWANI + ", section 3.2.3",
        cases=(
            Case("weights", asked(arguments=1), Call(EMBED, HEADS, bias=False)),
            Case(
                "no weights, batch first",
                asked(arguments=1, batch_first=True, need_weights=False),
                Call(EMBED, HEADS, bias=False, batch_first=True),
            ),
            Case("no batch", asked(arguments=1, batched=False), Call(EMBED, 3, bias=False)),
        ),
    ),
    Layer(
        "MultiheadAttention of a memory",
        ScratchMemoryAttention,
        TorchMemoryAttention,
        source=VASWANI + ", section 3.2.3",
        cases=(
            Case("weights", asked(arguments=2), Call(EMBED, HEADS, bias=False)),
            Case(
                "no weights",
                asked(arguments=2, key_padding_mask=blocked(BATCH, KEYS), need_weights=False),
                Call(EMBED, HEADS, bias=False, add_bias_kv=True),
            ),
        ),
    ),
]
ENTRIES += [
    Op(
        f"{layer} start",
        start_of(layer, *sizes, **options),
        torch_start_of(layer, *sizes, **options),
        (Case("seed 0", partial(scales, layer, sizes, options)),),
        source,
    )
    for layer, sizes, options, source in STARTS
]

Q, K, V = np.full((2, 6, 4, 5), 0.1), np.full((2, 2, 3, 5), 0.2), np.full((2, 2, 3, 7), 0.3)
DROPS = ("dropout_p", "dropout_mask", "generator")
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
REFUSALS += [
    Refusal(
        f"memory_efficient_attention: {what}",
        partial(F.memory_efficient_attention, **{**ONE, **wrong}),
        "memory_efficient_attention",
    )
    for what, wrong in (
        *((k, w) for k, w in WRONG.items() if not {"enable_gqa", *DROPS} & w.keys()),
        ("block_size", {"block_size": 0}),
    )
]
FORWARD = F.multi_head_attention_forward
X, MEMORY = np.full((4, 3, 6), 0.1), np.full((5, 3, 6), 0.2)
RIGHT: dict[str, Any] = {
    "query": X,
    "key": MEMORY,
    "value": MEMORY,
    "embed_dim_to_check": 6,
    "num_heads": 2,
    "in_proj_weight": np.full((18, 6), 0.3),
    "in_proj_bias": np.full(18, 0.4),
    "bias_k": np.full((1, 1, 6), 0.5),
    "bias_v": np.full((1, 1, 6), 0.6),
    "add_zero_attn": False,
    "dropout_p": 0.0,
    "out_proj_weight": np.full((6, 6), 0.7),
    "out_proj_bias": np.full(6, 0.8),
}
SQUARE, UNKNOWN = np.full((6, 6), 0.3), np.full((6, 3, 5), 0.1)
APART: dict[str, Any] = {"use_separate_proj_weight": True, "in_proj_weight": None}
APART |= {f"{name}_proj_weight": SQUARE for name in "qkv"}
NO_KV: dict[str, Any] = {"bias_k": None, "bias_v": None}
WRONG_HEADS: dict[str, dict[str, Any]] = {
    "query of four axes": {"query": X[None]},
    "features of the query": {"query": X[..., :4]},
    "embed_dim_to_check": {"embed_dim_to_check": 4},
    "no embed_dim_to_check": {"embed_dim_to_check": 0},
    "num_heads": {"num_heads": 0},
    "num_heads that do not divide": {"num_heads": 4},
    "axes of the key": {"key": MEMORY[:, 0]},
    "batch of the key": {"key": MEMORY[:, :2]},
    "features of the key": {"key": MEMORY[..., :4]},
    "length of the value": {"value": MEMORY[:4]},
    "no value": {"value": None},
    "no weight": {"in_proj_weight": None},
    "shape of the weight": {"in_proj_weight": SQUARE},
    "shape of the bias": {"in_proj_bias": np.ones(6)},
    "no separate weight": {**APART, "k_proj_weight": None},
    "shape of a separate weight": {**APART, "v_proj_weight": SQUARE[:, :5]},
    "one learned key": {"bias_v": None},
    "shape of a learned key": {"bias_k": np.ones((1, 2, 6))},
    "learned beside static": {"static_k": np.ones((6, 5, 3))},
    "shape of static_k": {**NO_KV, "static_k": UNKNOWN},
    "shape of static_v": {**NO_KV, "static_v": UNKNOWN},
    "no out_proj_weight": {"out_proj_weight": None},
    "shape of out_proj_weight": {"out_proj_weight": SQUARE[:, :4]},
    "shape of out_proj_bias": {"out_proj_bias": np.ones(5)},
    "dtype of a weight": {"out_proj_weight": SQUARE.astype(np.float32)},
    "dropout_p": {"dropout_p": -0.1},
    "training": {"training": None},
    "need_weights": {"need_weights": "no"},
    "shape of key_padding_mask": {"key_padding_mask": np.ones((5, 3), bool)},
    "integer key_padding_mask": {"key_padding_mask": np.ones((3, 5), int)},
    "shape of attn_mask": {"attn_mask": np.ones((5, 4), bool)},
    "attn_mask of too many heads": {"attn_mask": np.ones((7, 4, 5), bool)},
    "attn_mask of four axes": {"attn_mask": np.ones((3, 2, 4, 5), bool)},
    "list as attn_mask": {"attn_mask": [[True] * 5] * 4},
    "dtype of attn_mask": {"attn_mask": np.ones((4, 5), np.float32)},
    "is_causal without a mask": {"is_causal": True},
    "generator": {"generator": 0},
    "shape of dropout_mask": {"dropout_p": 0.5, "dropout_mask": np.ones((3, 2, 4, 5), bool)},
}
Attention: Any = nn.MultiheadAttention
WRONG_LAYER: dict[str, Callable[[], Any]] = {
    "embed_dim": lambda: Attention(0, 2),
    "num_heads": lambda: Attention(6, 0),
    "num_heads that do not divide": lambda: Attention(6, 4),
    "dropout": lambda: Attention(6, 2, 1.5),
    "bias": lambda: Attention(6, 2, bias=None),
    "kdim": lambda: Attention(6, 2, kdim=0),
    "vdim": lambda: Attention(6, 2, vdim=2.5),
    "batch_first": lambda: Attention(6, 2, batch_first="yes"),
    "generator": lambda: Attention(6, 2, generator=3),
}
REFUSALS += [
    Refusal(f"MultiheadAttention: {what}", call, "MultiheadAttention")
    for what, call in WRONG_LAYER.items()
]
REFUSALS += [
    Refusal(
        f"multi_head_attention_forward: {what}",
        partial(FORWARD, **{**RIGHT, **wrong}),
        "multi_head_attention_forward",
    )
    for what, wrong in WRONG_HEADS.items()
]
