"""Decoders that predict the next token: which keys a query sees, and what decoding remembers.

seen       query i of T new tokens sees key j of S = P + T, P of them from the cache, if j <= P + i
           and token j is no padding
cache      of each layer the keys and values so far; which of the tokens are padding
positions  0 ... T - 1 in a forward, of padding too, as Hugging Face's models have them; in decoding
           a token's number among those that are no padding, as its generate has them
shapes     ids, attention_mask (B, T)   keys, values (B, H, S, E)   seen (B or 1, 1, T, S)
"""

from typing import Any, NamedTuple

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.models.pretrained import Pretrained

Layer = tuple[Array, Array]


class Cache(NamedTuple):
    """What a decoder remembers of the tokens so far.

    Attributes:
        layers: keys and values (B, H, S, E) of each layer; none before the first token.
        tokens: bool (B, n), False where there is padding; None where there is none.
    """

    layers: tuple[Layer, ...] = ()
    tokens: Array | None = None


class CausalLM(Pretrained):
    """Base class of decoders: one token after the other, with keys and values kept."""

    def step(self, ids: Array, cache: Cache | None = None) -> tuple[Array, Cache]:
        """Scores of the token that follows, in evaluation mode: a step of `scratch.generation`.

        Args:
            ids: (B, T), the tokens that are not in the cache yet, T >= 1.
            cache: what the last call returned, or `padded`; None before the first token.

        Returns:
            Logits (B, V) of the last position, and the cache with these tokens.

        Raises:
            TypeError, ValueError: if ids or cache do not fit.
        """
        name = type(self).__name__
        cache = Cache() if cache is None else cache
        past = cache.layers[0][0].shape[2] if cache.layers else 0
        check_ids(name, ids, self.config.vocab_size)
        total, tokens = past + ids.shape[1], cache.tokens
        rows = cache.layers[0][0].shape[0] if cache.layers else len(ids)
        if len(ids) != rows or (tokens is not None and len(tokens) != rows):
            check.refuse(name, f"ids of {rows} rows, as the cache has", ids.shape)
        if tokens is None:
            seen = None if past == 0 or ids.shape[1] == 1 else lower_triangle(ids.shape[1], total)
            positions = np.arange(past, total)[None]
        else:
            more = total - tokens.shape[1]
            if more < 0:
                check.refuse(name, f"all {tokens.shape[1]} tokens of the mask", ids.shape)
            tokens = np.concatenate([tokens, np.ones((rows, more), bool)], 1)
            seen = lower_triangle(ids.shape[1], total) & tokens[:, None, None]
            positions = np.maximum(np.cumsum(tokens, 1)[:, past:] - 1, 0)
        logits, layers = self._advance(ids, positions, seen, cache.layers)
        return logits, Cache(layers, tokens)

    def padded(self, attention_mask: Array) -> Cache:
        """The cache to begin with, where prompts are filled up on the left to one length.

        Args:
            attention_mask: (B, T), 1 where a token is, 0 where padding is.

        Returns:
            A cache without keys.

        Raises:
            TypeError, ValueError: if it is no such mask, or padding is on the right.
        """
        name = f"{type(self).__name__}.padded"
        tokens = check_mask(name, attention_mask)
        if not tokens.shape[1] or not tokens[:, -1].all():
            check.refuse(name, "attention_mask to end with tokens", tokens[:, -1:].tolist())
        return Cache((), tokens)

    def _advance(
        self, ids: Array, positions: Array, seen: Array | None, past: tuple[Layer, ...]
    ) -> tuple[Array, tuple[Layer, ...]]:
        """The last position's logits, and keys and values of each layer, those of the past too."""
        raise NotImplementedError


def lower_triangle(queries: int, keys: int) -> Array:
    """True where the last queries see a key that is not behind them (1, 1, T, S)."""
    return np.tri(queries, keys, keys - queries, dtype=bool)[None, None]


def check_ids(function: str, ids: object, size: int) -> Array:
    """Integers (B, T) in [0, size), T >= 1."""
    found = check.integer(function, "input_ids", ids, 0, size)
    check.shape(function, "input_ids", found, ("B", "T"))
    if not found.shape[1]:
        check.refuse(function, "input_ids of at least one token", found.shape)
    return found


def check_mask(
    function: str,
    mask: object,
    shape: tuple[int, ...] | None = None,
    name: str = "attention_mask",
) -> Array:
    """A mask (B, T) of 0 and 1 as bool."""
    found = mask
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        found = check.integer(function, name, mask, 0, 2) == 1
    tokens: Any = found
    check.shape(function, name, tokens, shape or ("B", "T"))
    return np.asarray(tokens)


def seen_by(function: str, attention_mask: Array | None, ids: Array) -> Array | None:
    """What each query of a forward sees (B, 1, T, T); None: no more and no less than the past."""
    if attention_mask is None:
        return None
    length = ids.shape[1]
    tokens = check_mask(function, attention_mask, ids.shape)
    return lower_triangle(length, length) & tokens[:, None, None]


def check_positions(function: str, position_ids: object, ids: Array, size: int) -> Array:
    """Integers (B, T) or (1, T) in [0, size); 0 ... T - 1 if None."""
    rows, length = ids.shape
    if position_ids is None:
        if length > size:
            check.refuse(function, f"at most {size} tokens", length)
        return np.arange(length)[None]
    found = check.integer(function, "position_ids", position_ids, 0, size)
    if found.shape not in ((rows, length), (1, length)):
        check.refuse(function, f"position_ids of shape ({rows}, {length})", found.shape)
    return found


def remembered(past: Layer | None, k: Array, v: Array) -> Layer:
    """Keys and values, those of the past first."""
    if past is None:
        return k, v
    return np.concatenate([past[0], k], 2), np.concatenate([past[1], v], 2)
