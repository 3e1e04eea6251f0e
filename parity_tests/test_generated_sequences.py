"""Shapes and options that nobody chose, for what sequences are positioned, searched and scored by.

hypothesis draws sizes, options and masks; the catalog's own comparison with torch does the rest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_tests.catalog import attention as attentions
from parity_tests.catalog import models_seq2seq, models_sessions, positions
from parity_tests.harness.check import check_op
from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Op, const
from scratch.nn import functional as F

Drawn = Callable[[Any], Callable[[Draw], Call]]  # sizes and options first, the numbers after

FAMILIES = (attentions, positions, models_seq2seq, models_sessions)
OPS = {
    e.name: e
    for family in FAMILIES
    for e in family.ENTRIES
    if isinstance(e, Op) and hasattr(F, e.name)
}
SIZE = st.integers(1, 5)
FLAG = st.booleans()
REDUCTION = st.sampled_from(["none", "mean", "sum"])


def some(draw: Any, *shape: int) -> Any:
    """Whether, at random; False in the first place of every row."""
    mask = np.array(
        draw(st.lists(FLAG, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    )
    mask = mask.reshape(shape)
    mask[..., 0] = False
    return mask


def attention(additive: bool) -> Drawn:
    def make(draw: Any) -> Callable[[Draw], Call]:
        b, t, s, a, m = (draw(SIZE) for _ in range(5))
        mask = some(draw, b, s) if draw(FLAG) else None
        return lambda d: Call(
            *(d.normal(b, t, a), d.normal(b, s, a), d.normal(b, s, m)),
            *([d.normal(a)] if additive else []),
            key_padding_mask=mask,
        )

    return make


def dot_product(draw: Any) -> Callable[[Draw], Call]:
    """Heads that are shared in groups or broadcast, and every kind of mask."""
    b, own, group, t, s, e, m = (draw(SIZE) for _ in range(7))
    gqa, shared = draw(FLAG), draw(FLAG)
    heads, rows = own * group if gqa else own, 1 if shared else b
    options: dict[str, Any] = {"enable_gqa": gqa, "scale": draw(st.sampled_from([None, 0.3]))}
    kind = draw(st.sampled_from(["none", "causal", "bool", "float", "empty rows"]))
    options["is_causal"] = kind == "causal"
    kept = ~some(draw, draw(st.sampled_from([1, heads])), t, s)
    if kind == "empty rows":
        kept[:, -1] = False

    def numbers(d: Draw) -> Call:
        if kind in ("bool", "empty rows"):
            options["attn_mask"] = kept
        if kind == "float":
            options["attn_mask"] = d.array(np.where(kept, d.normal(*kept.shape), -np.inf))
        keys = d.normal(rows, own, s, e), d.normal(b, own, s, m)
        return Call(d.normal(b, heads, t, e), *keys, **options)

    return numbers


def in_tiles(draw: Any) -> Callable[[Draw], Call]:
    """Tiles of every size, causal or masked."""
    b, t, s, e = draw(SIZE), draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(SIZE)
    size = draw(st.integers(1, 10))
    causal = draw(FLAG)
    mask = None if causal else ~some(draw, *draw(st.sampled_from([(t, s), (b, t, s), (1, s)])))
    return lambda d: Call(
        *(d.normal(b, n, e) for n in (t, s, s)), mask, is_causal=causal, block_size=size
    )


def several_heads(draw: Any) -> Callable[[Draw], Call]:
    """Every option at once."""
    batch, queries, keys = lengths = draw(SIZE), draw(SIZE), draw(SIZE)
    heads, batched = draw(st.sampled_from([1, 2, 3, 6])), draw(FLAG)
    rows = batch if batched else 1
    names = ("bias", "kv", "zeros", "batch_first", "need_weights", "average_attn_weights")
    options: dict[str, Any] = {name: draw(FLAG) for name in names}
    options["sizes"] = draw(st.sampled_from([None, (4, 3)]))
    if draw(FLAG):
        options["key_padding_mask"] = some(draw, *([batch] if batched else []), keys)
    kind = draw(st.sampled_from(["none", "bool", "float"]))
    blocked = some(draw, *draw(st.sampled_from([(), (rows * heads,)])), queries, keys)

    def numbers(d: Draw) -> Call:
        mask = {
            "none": None,
            "bool": blocked,
            "float": d.array(np.where(blocked, -np.inf, d.normal(*blocked.shape))),
        }[kind]
        more = {"lengths": lengths, "heads": heads, "batched": batched, "attn_mask": mask}
        return attentions.projected(d, **more, **options)

    return numbers


def session_loss(name: str) -> Drawn:
    def make(draw: Any) -> Callable[[Draw], Call]:
        rows, items = draw(SIZE), draw(st.integers(2, 6))
        target = np.array(draw(st.lists(st.integers(0, items - 1), min_size=rows, max_size=rows)))
        options: dict[str, Any] = {"reduction": draw(REDUCTION)}
        if draw(FLAG):
            options["negatives"] = ~some(draw, rows, items)
        if name == "bpr_max_loss":
            options["regularization"] = draw(st.sampled_from([0.0, 0.5, 2.0]))
        with_log_q = name == "sampled_cross_entropy" and draw(FLAG)
        # Where a sigmoid saturates, torch's s (1 - s) has no digit left of TOP1's gradient.
        scales = [1e-3, 1.0] if name.startswith("top1") else [1e-3, 1.0, 30.0]
        scale = draw(st.sampled_from(scales))

        def numbers(d: Draw) -> Call:
            more = {"log_q": const(np.log(d.probabilities(items)))} if with_log_q else {}
            return Call(d.normal(rows, items, scale=scale), target, **more, **options)

        return numbers

    return make


def positioned(*, rotary: bool) -> Drawn:
    def make(draw: Any) -> Callable[[Draw], Call]:
        shape = (*draw(st.lists(SIZE, max_size=2)), draw(SIZE))
        size = 2 * draw(SIZE) if rotary else draw(SIZE)
        options = {"offset": draw(st.integers(0, 50)), "base": draw(st.sampled_from([2.0, 1e4]))}
        if rotary:
            options["interleaved"] = draw(FLAG)
            options["dim"] = draw(st.sampled_from([None, *range(2, size + 1, 2)]))
        return lambda d: Call(d.normal(*shape, size), **options)

    return make


def learned(draw: Any) -> Callable[[Draw], Call]:
    b, t, size, offset, spare = draw(SIZE), draw(SIZE), draw(SIZE), draw(SIZE), draw(SIZE)
    return lambda d: Call(d.normal(b, t, size), d.normal(offset + t + spare, size), offset=offset)


def alibi(draw: Any) -> Callable[[Draw], Call]:
    b, heads, t, s = draw(SIZE), draw(st.integers(1, 13)), draw(SIZE), draw(SIZE)
    offset = draw(st.integers(0, 4))
    return lambda d: Call(d.normal(b, heads, t, s), offset=offset)


def buckets(draw: Any) -> Callable[[Draw], Call]:
    n, heads, t, s = 4 * draw(SIZE), draw(SIZE), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    options = {"bidirectional": draw(FLAG), "max_distance": draw(st.integers(n, 128))}
    offset = draw(st.integers(0, 20))
    return lambda d: Call(d.normal(n, heads), t, s, offset=offset, **options)


DRAWN: dict[str, Drawn] = {
    "scaled_dot_product_attention": dot_product,
    "memory_efficient_attention": in_tiles,
    "multi_head_attention_forward": several_heads,
    "additive_attention": attention(additive=True),
    "multiplicative_attention": attention(additive=False),
    **{
        name: session_loss(name)
        for name in (
            "sampled_cross_entropy",
            "bpr_loss",
            "bpr_max_loss",
            "top1_loss",
            "top1_max_loss",
        )
    },
    "sinusoidal_encoding": positioned(rotary=False),
    "rotary_embedding": positioned(rotary=True),
    "learned_encoding": learned,
    "alibi": alibi,
    "relative_position_bias": buckets,
}
# p (dp - sum p dp) of a single key is 0, or what rounding leaves of it; so is p - 1 of a sure
# target, and the difference of BPR-max's two softmaxes.
CANCELS = {"scaled_dot_product_attention": 1.0, "memory_efficient_attention": 1.0}
CANCELS |= {"multi_head_attention_forward": 10.0, "additive_attention": 1.0}
CANCELS |= {"sampled_cross_entropy": 1.0, "bpr_max_loss": 1.0}


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_equals_torch(name: str, data: Any) -> None:
    case = Case("drawn", DRAWN[name](data.draw), cancels=CANCELS.get(name, 0.0))
    for comparison in check_op(OPS[name], case, np.dtype(np.float64), "cpu", thorough=False):
        assert comparison.passed, str(comparison)


def test_every_function_is_here() -> None:
    assert DRAWN.keys() == OPS.keys()
