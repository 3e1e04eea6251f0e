"""Conventions of attention: what a mask means, what is scaled, how heads are cut and shared."""

import math
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.random import Generator

Parts = tuple[Any, Backward]
attend = F.scaled_dot_product_attention


@mutant(attend)
def true_is_blocked(**a: Any) -> Parts:
    mask = a["attn_mask"]
    if mask is not None and mask.dtype == bool:
        a["attn_mask"] = ~mask
    return attend(**a)


def empty_rows(a: dict[str, Any]) -> Array | None:
    """Which rows see nothing under a given mask, (..., L, 1)."""
    mask = a["attn_mask"]
    if mask is None:
        return None
    seen: Array = mask if mask.dtype == bool else mask > -np.inf
    return np.asarray(~seen.any(-1, keepdims=True))


@mutant(attend)
def empty_rows_are_nan(**a: Any) -> Parts:
    y, back = attend(**a)
    empty = empty_rows(a)
    return (y if empty is None else np.where(empty, y.dtype.type(np.nan), y)), back


@mutant(attend)
def empty_rows_are_means(**a: Any) -> Parts:
    """-1e9 where others have -inf: where nothing is seen everything is, equally."""
    mask = a["attn_mask"]
    if mask is not None and mask.dtype == bool:
        a["attn_mask"] = np.where(mask, 0, -1e9).astype(a["query"].dtype)
        y, back = attend(**a)
        return y, lambda dy: back(dy)[:3]
    return attend(**a)


@mutant(attend)
def causal_from_the_last_key(**a: Any) -> Parts:
    """Bottom right: the last query sees all the keys."""
    length, keys = a["query"].shape[-2], a["key"].shape[-2]
    if a["is_causal"]:
        a["is_causal"] = False
        a["attn_mask"] = np.tri(length, keys, keys - length, dtype=bool)
    return attend(**a)


@mutant(attend)
def unscaled(**a: Any) -> Parts:
    return attend(**{**a, "scale": 1.0 if a["scale"] is None else a["scale"]})


@mutant(attend)
def scaled_by_the_width(**a: Any) -> Parts:
    """1 / E, as where the root is forgotten."""
    scale = 1 / a["query"].shape[-1] if a["scale"] is None else a["scale"]
    return attend(**{**a, "scale": scale})


def plain(a: dict[str, Any]) -> tuple[Array, Array, Array, float] | None:
    """q, k, v and the factor of a call that has no options; None if it has."""
    options = ("attn_mask", "is_causal", "scale", "enable_gqa", "dropout_p")
    q, k, v = a["query"], a["key"], a["value"]
    if any(a[name] for name in options if name != "attn_mask") or a["attn_mask"] is not None:
        return None
    if q.shape[:-2] != k.shape[:-2] or v.shape[:-2] != k.shape[:-2]:
        return None
    return q, k, v, 1 / math.sqrt(q.shape[-1])


@mutant(attend)
def softmax_without_its_sum(**a: Any) -> Parts:
    """ds = p dp."""
    given = plain(a)
    if given is None or not a["key"].size:
        return attend(**a)
    q, k, v, scale = given
    p, _ = F.softmax(scale * q @ k.swapaxes(-1, -2), -1)

    def backward(dy: Array) -> tuple[Array, ...]:
        ds = scale * p * (dy @ v.swapaxes(-1, -2))
        return ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ dy

    return p @ v, backward


@mutant(attend)
def dropped_before_the_softmax(**a: Any) -> Parts:
    """What is dropped has the score -inf, and the others share the whole."""
    mask = a["dropout_mask"]
    if mask is None:
        return attend(**a)
    return attend(**{**a, "attn_mask": mask.astype(bool), "dropout_p": 0.0, "dropout_mask": None})


@mutant(attend)
def dropped_without_rescaling(**a: Any) -> Parts:
    y, back = attend(**a)
    if a["dropout_mask"] is None:
        return y, back
    keep = 1 - a["dropout_p"]
    return y * keep, lambda dy: back(dy * keep)


@mutant(attend)
def groups_tiled(**a: Any) -> Parts:
    """Head h of the query asks head h mod H of the keys."""
    if not a["enable_gqa"]:
        return attend(**a)
    heads = a["query"].shape[-3]
    own = {name: a[name].shape[-3] for name in ("key", "value")}
    tiled = {name: np.concatenate([a[name]] * (heads // count), -3) for name, count in own.items()}
    y, back = attend(**{**a, **tiled, "enable_gqa": False})

    def backward(dy: Array) -> tuple[Array, ...]:
        dq, dk, dv, *dmask = back(dy)
        parts = zip((dk, dv), own.values(), strict=True)
        shared = [sum(np.split(d, heads // count, -3)) for d, count in parts]
        return dq, *shared, *dmask

    return y, backward


several = F.multi_head_attention_forward


def inverted(a: dict[str, Any]) -> dict[str, Any]:
    """The call with its bool masks turned round."""
    masks = {name: a[name] for name in ("attn_mask", "key_padding_mask")}
    return a | {k: ~m for k, m in masks.items() if m is not None and m.dtype == bool}


@mutant(several)
def true_is_seen(**a: Any) -> Parts:
    return several(**inverted(a))


@mutant(several)
def padding_alone_is_seen(**a: Any) -> Parts:
    """key_padding_mask as Hugging Face's attention_mask, attn_mask as torch's."""
    return several(**inverted({**a, "attn_mask": None}) | {"attn_mask": a["attn_mask"]})


@mutant(several)
def zeros_before_the_learned_key(**a: Any) -> Parts:
    """Of which the weights tell."""
    (y, p), back = several(**a)
    if p is None or not a["add_zero_attn"] or a["bias_k"] is None:
        return (y, p), back

    def swapped(x: Array) -> Array:
        return np.concatenate([x[..., :-2], x[..., :-3:-1]], -1)

    return (y, swapped(p)), lambda dy, dp: back(dy, swapped(dp))


@mutant(several)
def further_keys_masked(**a: Any) -> Parts:
    """A masked query does not see the learned key nor that of zeros either."""
    mask = a["attn_mask"]
    if mask is None or mask.dtype != bool or not a["add_zero_attn"] or a["need_weights"]:
        return several(**a)
    return several(**{**a, "add_zero_attn": False})


@mutant(several)
def further_keys_first(**a: Any) -> Parts:
    """As of a sink token: in front of all other keys."""
    (y, p), back = several(**a)
    more = bool(a["add_zero_attn"]) + (a["bias_k"] is not None)
    if p is None or not more:
        return (y, p), back

    def turned(x: Array, by: int) -> Array:
        return np.roll(x, by, -1)

    return (y, turned(p, more)), lambda dy, dp: back(dy, turned(dp, -more))


@mutant(several)
def weights_summed(**a: Any) -> Parts:
    """Over the heads."""
    (y, p), back = several(**a)
    heads = a["num_heads"]
    if p is None or not a["average_attn_weights"]:
        return (y, p), back
    return (y, p * heads), lambda dy, dp: back(dy, dp * heads)


@mutant(several)
def weights_of_the_first_head(**a: Any) -> Parts:
    if not a["need_weights"] or not a["average_attn_weights"]:
        return several(**a)
    (y, given), back = several(**{**a, "average_attn_weights": False})
    p = np.asarray(given)
    axis = p.ndim - 3

    def backward(dy: Array, dp: Array) -> tuple[Array, ...]:
        dall = np.zeros_like(p)
        np.moveaxis(dall, axis, 0)[0] = dp
        return tuple(back(dy, dall))

    return (y, p.take(0, axis)), backward


@mutant(several)
def heads_interleaved(**a: Any) -> Parts:
    """Head h has the features h, h + H, h + 2 H, ... of the projections."""
    if a["in_proj_weight"] is None:
        return several(**a)
    size, heads = a["embed_dim_to_check"], a["num_heads"]
    order = np.arange(size).reshape(-1, heads).T.ravel()
    rows = (size * np.arange(3)[:, None] + order).ravel()
    given: dict[str, Any] = {"in_proj_weight": rows, "in_proj_bias": rows}
    moved = {name: a[name][rows] for name in given if a[name] is not None}
    moved |= {k: a[k][..., order] for k in ("bias_k", "bias_v") if a[k] is not None}
    moved["out_proj_weight"] = a["out_proj_weight"][:, order]
    (y, p), back = several(**{**a, **moved})
    names = ("query", "key", "value", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v")
    present = [name for name in (*names, "out_proj_weight") if a[name] is not None]

    def backward(dy: Array, dp: Array | None) -> tuple[Array, ...]:
        dgiven = list(back(dy, dp))
        for i, name in enumerate(present):
            if name in given:
                dgiven[i] = dgiven[i][np.argsort(rows)]
            elif name in moved:
                dgiven[i] = dgiven[i][..., np.argsort(order)]
        return tuple(dgiven)

    return (y, p), backward


@mutant(several)
def empty_queries_are_zero(**a: Any) -> Parts:
    """As with need_weights=False."""
    (y, p), back = several(**a)
    return (np.nan_to_num(y), None if p is None else np.nan_to_num(p)), back


@mutant(several)
def weights_before_dropout(**a: Any) -> Parts:
    if not a["need_weights"] or not a["training"] or not a["dropout_p"]:
        return several(**a)
    (_, p), _ = several(**{**a, "dropout_p": 0.0})
    (y, _), back = several(**a)
    return (y, p), back


def three_starts(scale: Array) -> Parts:
    """Xavier's bound of W_q, W_k, W_v each."""
    module = nn.MultiheadAttention(
        6, 2, add_bias_kv=True, dtype=scale.dtype, generator=Generator(0)
    )
    packed = module.in_proj_weight
    flat = [p.data.ravel() * (2**0.5 if p is packed else 1) for p in module.parameters()]
    start = np.concatenate(flat)
    return start * scale, lambda dy: dy * start


tiles = F.memory_efficient_attention


@mutant(tiles)
def tiles_without_rescaling(**a: Any) -> Parts:
    """The mean of the tiles' results, each by its own sum."""
    keys, size = a["key"].shape[-2], a["block_size"]
    if a["attn_mask"] is not None or a["is_causal"] or not keys:
        return tiles(**a)
    cuts = list(range(size, keys, size))
    parts = zip(*(np.split(a[name], cuts, -2) for name in ("key", "value")), strict=True)
    runs = [tiles(**{**a, "key": k, "value": v}) for k, v in parts]

    def backward(dy: Array) -> tuple[Array, ...]:
        each = [back(dy / len(runs)) for _, back in runs]
        dk, dv = (np.concatenate([g[i] for g in each], -2) for i in (1, 2))
        return sum(g[0] for g in each), dk, dv

    return sum(y for y, _ in runs) / len(runs), backward


PITFALLS = [
    Pitfall(
        "attention: True is blocked",
        entry="scaled_dot_product_attention",
        difference="F.scaled_dot_product_attention, Keras, Hugging Face: a key at True is seen; "
        "nn.MultiheadAttention, Fairseq: it is not",
        mutant=true_is_blocked,
    ),
    Pitfall(
        "attention: a row that sees nothing is NaN",
        entry="scaled_dot_product_attention",
        difference="F.scaled_dot_product_attention: 0; softmax of -inf alone, and "
        "nn.MultiheadAttention with its weights: NaN",
        mutant=empty_rows_are_nan,
    ),
    Pitfall(
        "attention: a row that sees nothing is the mean",
        entry="scaled_dot_product_attention",
        difference="-inf; the Annotated Transformer, Keras: -1e9, with which all keys count alike",
        mutant=empty_rows_are_means,
    ),
    Pitfall(
        "attention: causal from the last key",
        entry="scaled_dot_product_attention",
        difference="is_causal: query i sees keys up to i (top left); FlashAttention since 2.1, "
        "decoders with a cache: the last query sees all (bottom right)",
        mutant=causal_from_the_last_key,
    ),
    Pitfall(
        "attention: no scale",
        entry="scaled_dot_product_attention",
        difference="1 / sqrt(E); T5 and Luong et al.: 1",
        mutant=unscaled,
    ),
    Pitfall(
        "attention: scale 1 / E",
        entry="scaled_dot_product_attention",
        difference="1 / sqrt(E); muP: 1 / E",
        mutant=scaled_by_the_width,
    ),
    Pitfall(
        "attention: backward without the sum",
        entry="scaled_dot_product_attention",
        difference="ds = p (dp - sum p dp), for a weight that grows takes from all others",
        mutant=softmax_without_its_sum,
    ),
    Pitfall(
        "attention: dropout before the softmax",
        entry="scaled_dot_product_attention",
        difference="the weights are dropped, whose sum is then not 1; DropKey: the scores are",
        mutant=dropped_before_the_softmax,
    ),
    Pitfall(
        "attention: dropout without rescaling",
        entry="scaled_dot_product_attention",
        difference="what stays is divided by 1 - p",
        mutant=dropped_without_rescaling,
    ),
    Pitfall(
        "attention: groups tiled",
        entry="scaled_dot_product_attention",
        difference="consecutive heads of the query share a key (repeat_interleave); others: every "
        "H-th (repeat)",
        mutant=groups_tiled,
    ),
    Pitfall(
        "multi-head attention: True is seen",
        entry="multi_head_attention_forward",
        difference="nn.MultiheadAttention: at True a key is not seen; "
        "F.scaled_dot_product_attention and Keras: it is",
        mutant=true_is_seen,
    ),
    Pitfall(
        "multi-head attention: padding is False",
        entry="multi_head_attention_forward",
        difference="key_padding_mask: True is padding; Hugging Face's attention_mask: 1 is none",
        mutant=padding_alone_is_seen,
    ),
    Pitfall(
        "multi-head attention: zeros before the learned key",
        entry="multi_head_attention_forward",
        difference="behind the keys first bias_k, then the zeros",
        mutant=zeros_before_the_learned_key,
    ),
    Pitfall(
        "multi-head attention: further keys in front",
        entry="multi_head_attention_forward",
        difference="bias_k and the zeros stand behind the keys; attention sinks in front",
        mutant=further_keys_first,
    ),
    Pitfall(
        "multi-head attention: further keys masked",
        entry="multi_head_attention_forward",
        difference="masks are lengthened with False: bias_k and the zeros are always seen",
        mutant=further_keys_masked,
    ),
    Pitfall(
        "multi-head attention: weights summed",
        entry="multi_head_attention_forward",
        difference="the mean over the heads; torch before 1.1 and some papers: the sum",
        mutant=weights_summed,
    ),
    Pitfall(
        "multi-head attention: weights of one head",
        entry="multi_head_attention_forward",
        difference="the mean over the heads; figures often show the first alone",
        mutant=weights_of_the_first_head,
    ),
    Pitfall(
        "multi-head attention: heads interleaved",
        entry="multi_head_attention_forward",
        difference="head h has the features h D ... (h + 1) D - 1; with .view(..., D, H) every "
        "H-th",
        mutant=heads_interleaved,
    ),
    Pitfall(
        "multi-head attention: 0 for a query that sees nothing",
        entry="multi_head_attention_forward",
        difference="need_weights=True: NaN; need_weights=False: 0",
        mutant=empty_queries_are_zero,
    ),
    Pitfall(
        "multi-head attention: Xavier of three matrices",
        entry="MultiheadAttention start",
        difference="the packed (3E, E) is one matrix: sqrt(6 / 4E); Vaswani et al., Keras: three "
        "(E, E), sqrt(6 / 2E)",
        mutant=three_starts,
    ),
    Pitfall(
        "memory-efficient attention: tiles without rescaling",
        entry="memory_efficient_attention",
        difference="maximum and sum are carried from tile to tile; local attention takes each tile "
        "for itself",
        mutant=tiles_without_rescaling,
    ),
]
