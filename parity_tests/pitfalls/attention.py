"""Conventions of attention: what a mask means, what is scaled, how heads are cut and shared."""

import math
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import mutant
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward

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
]
