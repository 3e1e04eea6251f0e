"""Decoders that predict the next token: which keys a query sees, and what decoding remembers.

The twin of `scratch.models.causal_lm`, which says what a cache holds and where positions begin.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from torch_ref.models.pretrained import Pretrained

Layer = tuple[Tensor, Tensor]


class Cache(NamedTuple):
    """What a decoder remembers of the tokens so far.

    Attributes:
        layers: keys and values (B, H, S, E) of each layer; none before the first token.
        tokens: bool (B, n), False where there is padding; None where there is none.
    """

    layers: tuple[Layer, ...] = ()
    tokens: Tensor | None = None


class CausalLM(Pretrained):
    """Base class of decoders: one token after the other, with keys and values kept."""

    @torch.no_grad()
    def step(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Scores of the token that follows, in evaluation mode: a step of `torch_ref.generation`.

        Args:
            ids: (B, T), the tokens that are not in the cache yet.
            cache: what the last call returned, or `padded`; None before the first token.

        Returns:
            Logits (B, V) of the last position, and the cache with these tokens.
        """
        cache = Cache() if cache is None else cache
        past = cache.layers[0][0].shape[2] if cache.layers else 0
        total, tokens = past + ids.shape[1], cache.tokens
        if tokens is None:
            alone = past == 0 or ids.shape[1] == 1
            seen = None if alone else lower_triangle(ids.shape[1], total, ids.device)
            positions = torch.arange(past, total, device=ids.device)[None]
        else:
            more = tokens.new_ones(len(ids), total - tokens.shape[1])
            tokens = torch.cat([tokens, more], 1)
            seen = lower_triangle(ids.shape[1], total, ids.device) & tokens[:, None, None]
            positions = (tokens.cumsum(1)[:, past:] - 1).clamp(min=0)
        logits, layers = self._advance(ids, positions, seen, cache.layers)
        return logits, Cache(layers, tokens)

    def padded(self, attention_mask: Tensor) -> Cache:
        """The cache to begin with, where prompts are filled up on the left to one length.

        Args:
            attention_mask: (B, T), 1 where a token is, 0 where padding is.

        Returns:
            A cache without keys.
        """
        return Cache((), attention_mask.bool())

    def _advance(
        self, ids: Tensor, positions: Tensor, seen: Tensor | None, past: tuple[Layer, ...]
    ) -> tuple[Tensor, tuple[Layer, ...]]:
        """The last position's logits, and keys and values of each layer, those of the past too."""
        raise NotImplementedError


def lower_triangle(queries: int, keys: int, device: torch.device) -> Tensor:
    """True where the last queries see a key that is not behind them (1, 1, T, S)."""
    ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return ones.tril(keys - queries)[None, None]


def seen_by(attention_mask: Tensor | None, ids: Tensor) -> Tensor | None:
    """What each query of a forward sees (B, 1, T, T); None: no more and no less than the past."""
    if attention_mask is None:
        return None
    length = ids.shape[1]
    return lower_triangle(length, length, ids.device) & attention_mask.bool()[:, None, None]


def remembered(past: Layer | None, k: Tensor, v: Tensor) -> Layer:
    """Keys and values, those of the past first."""
    if past is None:
        return k, v
    return torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
