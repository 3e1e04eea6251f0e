"""Positions added to a sequence of vectors, without which attention sees a set.

sinusoidal  P[t, 2 i] = sin(t w_i)    P[t, 2 i + 1] = cos(t w_i)    w_i = base^(-2 i / D)
            y = x + P                 dx = dy
learned     y = x + W[t]              dx = dy       dW[t] = sum dy[t] over all leading axes
shapes      x, y (..., T, D)   P, W[t] (T, D)       t = offset ... offset + T - 1
odd D       the last column is a sine that has no cosine beside it
rounding    angles, sines and cosines in float64, then x's dtype: a float32 angle of 10^4 is off by
            up to 5e-4
torch       has neither. Tensor2tensor has all sines, then all cosines: the columns in another
            order, and frequencies from 1 to 1 / base, both included: w_i = base^(-i / (D / 2 - 1)).
            BERT, GPT-2 and ViT learn W, in the first two as an Embedding of t.
Sources     Vaswani et al. 2017, arXiv:1706.03762, section 3.5; learned: Gehring et al. 2017,
            arXiv:1705.03122, section 3.1
"""

import functools

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.dropout import Dropout
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward, op
from scratch.random import Generator


def angles(positions: Array, dim: int, base: float) -> Array:
    """t base^(-2 i / dim) for each pair i of features, the last of which may be alone.

    Args:
        positions: t, of any shape.
        dim: number of features.
        base: the longest wave is almost 2 pi base positions long.

    Returns:
        float64 array (*t, ceil(dim / 2)).
    """
    frequencies = np.array([base ** (-i / dim) for i in range(0, dim, 2)])
    turns: Array = positions[..., None] * frequencies
    return turns


@functools.lru_cache(maxsize=64)
def _sinusoids(
    length: int, dim: int, base: float, offset: int, dtype: np.dtype[np.generic]
) -> Array:
    """The table, which every call of a training run needs again."""
    turns = angles(np.arange(offset, offset + length), dim, base)
    table = np.empty((length, dim), dtype)
    table[:, 0::2] = np.sin(turns)
    table[:, 1::2] = np.cos(turns[:, : dim // 2])
    table.flags.writeable = False
    return table


def sinusoidal_table(
    length: int,
    dim: int,
    base: float = 10000.0,
    offset: int = 0,
    dtype: DTypeLike = np.float32,
) -> Array:
    """P[t, 2 i] = sin(t w_i), P[t, 2 i + 1] = cos(t w_i), w_i = base^(-2 i / dim).

    Args:
        length: T, number of positions.
        dim: D, number of features, odd or even.
        base: > 0.
        offset: the first position.
        dtype: float32 or float64.

    Returns:
        P (T, D), read-only, as it is kept for the next call.

    Raises:
        TypeError: if a size is no integer or `base` no number.
        ValueError: if one is out of range, or the dtype is another one.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    name = "sinusoidal_table"
    check.size(name, "length", length)
    check.size(name, "dim", dim)
    check.size(name, "offset", offset)
    base = check.number(name, "base", base, low=0, open_low=True)
    check.option(name, "dtype", np.dtype(dtype), (np.dtype(np.float32), np.dtype(np.float64)))
    return _sinusoids(int(length), int(dim), base, int(offset), np.dtype(dtype))


@op
def sinusoidal_encoding(
    input: Array, base: float = 10000.0, offset: int = 0
) -> tuple[Array, Backward]:
    """y = x + P.

    Args:
        input: x (..., T, D).
        base: of the wavelengths, > 0.
        offset: the first position, >= 0.

    Returns:
        y (..., T, D), and its backward: dy -> dx.

    Raises:
        TypeError: if `input` is not floating or an argument not a number.
        ValueError: if `input` has fewer than two axes or an argument is out of range.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    name = "sinusoidal_encoding"
    x = sequence(name, input)
    offset = check.size(name, "offset", offset)
    base = check.number(name, "base", base, low=0, open_low=True)
    y = x + _sinusoids(x.shape[-2], x.shape[-1], base, offset, x.dtype)
    return y, lambda dy: dy.copy()


@op
def learned_encoding(input: Array, weight: Array, offset: int = 0) -> tuple[Array, Backward]:
    """y = x + W[t].

    Args:
        input: x (..., T, D).
        weight: W (P, D), a row for each position.
        offset: the first position, >= 0.

    Returns:
        y (..., T, D), and its backward: dy -> dx, dW.

    Raises:
        TypeError: if the arrays are not floating or their dtypes differ.
        ValueError: if a shape does not fit, or a position has no row.

    Source: Gehring et al. 2017, arXiv:1705.03122, section 3.1.
    """
    name = "learned_encoding"
    x = sequence(name, input)
    weight = check.floating(name, "weight", weight, like=x)
    check.shape(name, "weight", weight, ("P", x.shape[-1]))
    first = check.size(name, "offset", offset)
    end = first + x.shape[-2]
    if end > len(weight):
        check.refuse(name, f"at most {len(weight)} positions", f"positions up to {end - 1}")
    shape = weight.shape

    def backward(dy: Array) -> tuple[Array, Array]:
        dweight = np.zeros(shape, dy.dtype)
        dweight[first:end] = dy.reshape(-1, *dy.shape[-2:]).sum(0)
        return dy.copy(), dweight

    return x + weight[first:end], backward


def sequence(function: str, input: object) -> Array:
    """A floating array (..., T, D)."""
    x = check.floating(function, "input", input)
    if x.ndim < 2:
        check.refuse(function, "input of shape (..., T, D)", x.shape)
    return x


class SinusoidalPositionalEncoding(Module):
    """`sinusoidal_encoding`, then dropout.

    Args:
        d_model: D, odd or even.
        dropout: probability of dropping a value of the sum.
        base: of the wavelengths, > 0.
        generator: where the dropout masks come from; None draws a fresh one.

    Shape:
        (..., T, d_model) to the same; T has no limit.

    Source: Vaswani et al. 2017, arXiv:1706.03762, sections 3.5 and 5.4.
    """

    def __init__(
        self,
        d_model: int,
        dropout: float = 0.0,
        base: float = 10000.0,
        *,
        generator: Generator | None = None,
    ) -> None:
        name = "SinusoidalPositionalEncoding"
        self.d_model = check.size(name, "d_model", d_model, low=1)
        check.number(name, "dropout", dropout, 0, 1)
        self.base = check.number(name, "base", base, low=0, open_low=True)
        self.dropout = Dropout(dropout, generator=generator)

    def forward(self, input: Array, offset: int = 0) -> tuple[Array, Backward]:
        """y = dropout(x + P)."""
        _check_width("SinusoidalPositionalEncoding", input, self.d_model)
        a, encoding_back = sinusoidal_encoding(input, self.base, offset)
        y, dropout_back = self.dropout(a)
        return y, lambda dy: encoding_back(dropout_back(dy))

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, base={self.base}"


class LearnedPositionalEncoding(Module):
    """`learned_encoding` with a learned row for each position, then dropout.

    Args:
        num_positions: P, the longest sequence.
        d_model: D.
        dropout: probability of dropping a value of the sum.
        dtype: float32 or float64.
        generator: where the start, N(0, 0.02^2), and the dropout masks come from; None draws a
            fresh one.

    Shape:
        (..., T, d_model) to the same, offset + T <= num_positions.

    Source: Gehring et al. 2017, arXiv:1705.03122, section 3.1; the start is BERT's and GPT-2's.
    """

    def __init__(
        self,
        num_positions: int,
        d_model: int,
        dropout: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "LearnedPositionalEncoding"
        self.num_positions = check.size(name, "num_positions", num_positions, low=1)
        self.d_model = check.size(name, "d_model", d_model, low=1)
        check.number(name, "dropout", dropout, 0, 1)
        self.weight = Parameter(np.empty((num_positions, d_model), dtype))
        self.dropout = Dropout(dropout, generator=generator)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start from N(0, 0.02^2)."""
        init.normal_(self.weight, std=0.02, generator=generator)

    def forward(self, input: Array, offset: int = 0) -> tuple[Array, Backward]:
        """y = dropout(x + W[t])."""
        a, encoding_back = learned_encoding(input, self.weight.data, offset)
        y, dropout_back = self.dropout(a)

        def backward(dy: Array) -> Array:
            dx: Array
            dx, dweight = encoding_back(dropout_back(dy))
            self.weight.accumulate(dweight)
            return dx

        return y, backward

    def extra_repr(self) -> str:
        return f"num_positions={self.num_positions}, d_model={self.d_model}"


def _check_width(function: str, input: object, width: int) -> None:
    x = sequence(function, input)
    if x.shape[-1] != width:
        check.refuse(function, f"input of shape (..., T, {width})", x.shape)
