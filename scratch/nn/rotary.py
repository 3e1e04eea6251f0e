"""Rotary position embedding: pairs of features turned by an angle that grows with the position.

forward    y_a = x_a cos(t w_i) - x_b sin(t w_i)         w_i = base^(-2 i / d) / s,  i = 0 ... d/2-1
           y_b = x_b cos(t w_i) + x_a sin(t w_i)         (a, b): the i-th pair of features
backward   dx_a = dy_a cos + dy_b sin        dx_b = dy_b cos - dy_a sin            turned back
pairs      (2 i, 2 i + 1) interleaved, as in the paper and GPT-J; (i, i + d/2), as in GPT-NeoX and
           Llama. One is the other with the features in another order, so that weights trained for
           one are wrong in the other.
why        the inner product of a query at t and a key at s depends on t - s alone
shapes     x, y (..., T, D)   t (T,), or anything that broadcasts to (..., T)    the first d <= D
           features are turned, the others handed on
rounding   angles, sines and cosines in float64, then x's dtype. Hugging Face's angles are float32:
           at position 10^4 they are off by up to 5e-4.
torch      has none
Sources    Su et al. 2021, arXiv:2104.09864, equations 15 and 34; s: Chen et al. 2023,
           arXiv:2306.15595 (position interpolation)
"""

import functools

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op
from scratch.nn.positional_encoding import angles, sequence


@op
def rotary_embedding(
    input: Array,
    base: float = 10000.0,
    offset: int = 0,
    dim: int | None = None,
    interleaved: bool = True,
    scaling_factor: float = 1.0,
    positions: Array | None = None,
) -> tuple[Array, Backward]:
    """Each pair of features, turned by its position's angle.

    Args:
        input: x (..., T, D), queries or keys.
        base: of the frequencies, > 0.
        offset: the first position: how many keys a cache holds already.
        dim: d, how many of the features are turned, even; None for all.
        interleaved: whether (2 i, 2 i + 1) are pairs; if not, (i, i + d/2) are.
        scaling_factor: s, by which positions are divided, > 0.
        positions: t, integers >= 0 that broadcast to (..., T), in place of offset + 0 ... T - 1.

    Returns:
        y (..., T, D), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument has the wrong type.
        ValueError: if `dim` is odd or above D, or an argument is out of range.

    Source: Su et al. 2021, arXiv:2104.09864.
    """
    name = "rotary_embedding"
    x = sequence(name, input)
    base, scale = check_frequencies(name, base, scaling_factor)
    check.option(name, "interleaved", interleaved, (True, False))
    d = _turned(name, x, dim)
    if positions is None:
        start = check.size(name, "offset", offset)
        cos, sin = _table(x.shape[-2], start, d, base, scale, x.dtype)
    else:
        cos, sin = _circle(_checked(name, positions, offset, x), d, base, scale, x.dtype)
    first, second = (slice(0, d, 2), slice(1, d, 2)) if interleaved else _halves(d)
    a, b = (..., first), (..., second)

    def turn(x: Array, sin: Array) -> Array:
        y = np.empty(x.shape, x.dtype)
        np.multiply(x[a], cos, out=y[a])
        y[a] -= x[b] * sin
        np.multiply(x[b], cos, out=y[b])
        y[b] += x[a] * sin
        y[..., d:] = x[..., d:]
        return y

    return turn(x, sin), lambda dy: turn(dy, -sin)


def _halves(d: int) -> tuple[slice, slice]:
    return slice(0, d // 2), slice(d // 2, d)


def _circle(
    positions: Array, d: int, base: float, scale: float, dtype: np.dtype[np.generic]
) -> tuple[Array, Array]:
    """Cosine and sine of each angle, (*positions, d/2)."""
    turns = angles(positions / scale, d, base)
    return np.cos(turns).astype(dtype), np.sin(turns).astype(dtype)


@functools.lru_cache(maxsize=64)
def _table(
    length: int, first: int, d: int, base: float, scale: float, dtype: np.dtype[np.generic]
) -> tuple[Array, Array]:
    """Those of a range of positions, which every layer needs again."""
    return _circle(np.arange(first, first + length), d, base, scale, dtype)


def _turned(function: str, x: Array, dim: int | None) -> int:
    """How many features are turned."""
    d = x.shape[-1] if dim is None else check.size(function, "dim", dim)
    if d % 2 or d > x.shape[-1]:
        check.refuse(function, f"an even number of features to turn, up to {x.shape[-1]}", d)
    return d


def check_frequencies(function: str, base: object, scaling_factor: object) -> tuple[float, float]:
    """Both as positive numbers."""
    return (
        check.number(function, "base", base, low=0, open_low=True),
        check.number(function, "scaling_factor", scaling_factor, low=0, open_low=True),
    )


def _checked(function: str, positions: object, offset: int, x: Array) -> Array:
    t = check.integer(function, "positions", positions, 0, 2**53)
    if offset != 0:
        check.refuse(function, "no offset beside positions", offset)
    lead = x.shape[:-1]
    if t.ndim > len(lead) or any(
        n not in (1, m) for n, m in zip(t.shape[::-1], lead[::-1], strict=False)
    ):
        check.refuse(function, f"positions that broadcast to {lead}", t.shape)
    return t


class RotaryEmbedding(Module):
    """`rotary_embedding`.

    Args:
        dim: d, how many of the features are turned, even; None for all.
        base: of the frequencies, > 0.
        interleaved: whether (2 i, 2 i + 1) are pairs; if not, (i, i + d/2) are.
        scaling_factor: by which positions are divided, > 0.

    Shape:
        (..., T, D) to the same.

    Source: Su et al. 2021, arXiv:2104.09864.
    """

    def __init__(
        self,
        dim: int | None = None,
        base: float = 10000.0,
        interleaved: bool = True,
        scaling_factor: float = 1.0,
    ) -> None:
        name = "RotaryEmbedding"
        if dim is not None and check.size(name, "dim", dim) % 2:
            check.refuse(name, "dim to be even", dim)
        check.option(name, "interleaved", interleaved, (True, False))
        self.base, self.scaling_factor = check_frequencies(name, base, scaling_factor)
        self.dim = dim
        self.interleaved = interleaved

    def forward(
        self, input: Array, offset: int = 0, positions: Array | None = None
    ) -> tuple[Array, Backward]:
        """Each pair of features, turned by its position's angle."""
        options = self.dim, self.interleaved, self.scaling_factor
        return rotary_embedding(input, self.base, offset, *options, positions)

    def extra_repr(self) -> str:
        text = f"dim={self.dim}, base={self.base}, interleaved={self.interleaved}"
        return text if self.scaling_factor == 1 else f"{text}, scaling_factor={self.scaling_factor}"
