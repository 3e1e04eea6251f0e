"""Layer normalisation: the features of each sample to mean 0 and variance 1.

forward    mu = mean x     v = mean (x - mu)^2     n = (x - mu) / sqrt(v + eps)     y = g n + b
backward   dn = dy g       db = sum dy             dg = sum dy n
           dx = (dn - mean dn - n mean(dn n)) / sqrt(v + eps)
shapes     x, y (..., *normalized_shape)   g, b normalized_shape    means over the last axes, sums
           over the others
torch      v is the biased one and eps stands under the root
Source     Ba et al. 2016, arXiv:1607.06450
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.blocks import each_rows, outer
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward, op
from scratch.nn.reduction import quiet


@op
@quiet
def layer_norm(
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """y = g (x - mu) / sqrt(v + eps) + b over the last axes.

    Args:
        input: x (..., *normalized_shape).
        normalized_shape: sizes of the axes that are normalised.
        weight: g of that shape, or None for 1.
        bias: b of that shape, or None for 0.
        eps: added to the variance.

    Returns:
        y of x's shape, and its backward: dy -> dx, dg, db.

    Raises:
        TypeError: if an array is not of the input's floating dtype.
        ValueError: if a shape does not match.

    Source: Ba et al. 2016.
    """
    x, shape = last_axes("layer_norm", input, normalized_shape)
    g = of_shape("layer_norm", "weight", weight, x, shape)
    b = of_shape("layer_norm", "bias", bias, x, shape)
    eps = check.number("layer_norm", "eps", eps)

    rows = as_rows(x, shape)
    d = max(rows.shape[1], 1)
    one = np.ones(rows.shape[1], x.dtype)
    gain = one if g is None else g.reshape(-1)
    tiny = float(np.finfo(x.dtype).eps) ** 2
    centred, y = (np.empty(rows.shape, x.dtype) for _ in range(2))
    inverse = np.empty(len(rows), x.dtype)  # 1 / sqrt(v + eps)

    def forward(x: Array, centred: Array, y: Array, inverse: Array) -> None:
        np.subtract(x, outer(x @ one / d, one, out=y), out=centred)
        rest = centred @ one / d  # what float32 leaves of x - mu where mu is large
        var = np.vecdot(centred, centred) / d
        far = rest**2 > tiny * var
        if far.any():
            centred[far] -= rest[far, None]
            var[far] = np.vecdot(centred[far], centred[far]) / d
        inverse[...] = 1 / np.sqrt(var + eps)
        outer(inverse, gain, out=y)
        y *= centred
        if b is not None:
            y += b.reshape(-1)

    def input_gradient(dy: Array, centred: Array, inverse: Array, dots: Array, dx: Array) -> None:
        np.multiply(dy, centred, out=dots)
        outer(inverse, gain, out=dx)
        dx *= dy
        term = outer(inverse * (dots @ gain) / d * inverse**2, one)
        term *= centred
        dx -= term
        dx -= outer(inverse * (dy @ gain) / d, one, out=term)

    @quiet
    def backward(dy: Array) -> Any:
        drows = dy.reshape(rows.shape)
        dots, dx = np.empty(rows.shape, x.dtype), np.empty(rows.shape, x.dtype)
        each_rows(input_gradient, drows, centred, inverse, dots, dx)
        grads = [dx.reshape(x.shape)]
        if g is not None:
            grads.append((inverse @ dots).reshape(g.shape))
        if b is not None:
            grads.append((np.ones(len(drows), x.dtype) @ drows).reshape(b.shape))
        return tuple(grads) if len(grads) > 1 else grads[0]

    each_rows(forward, rows, centred, y, inverse)
    return y.reshape(x.shape), backward


def last_axes(
    function: str, input: object, normalized_shape: Sequence[int]
) -> tuple[Array, tuple[int, ...]]:
    """The input and the shape that it must end in, checked."""
    x = check.floating(function, "input", input)
    if not isinstance(normalized_shape, Sequence) or not normalized_shape:
        got = check.describe(normalized_shape)
        check.refuse(function, "normalized_shape to be at least one size", got, TypeError)
    shape = tuple(check.size(function, "normalized_shape", size) for size in normalized_shape)
    if x.shape[-len(shape) :] != shape:
        check.refuse(function, f"input of shape (..., {', '.join(map(str, shape))})", x.shape)
    return x, shape


def of_shape(
    function: str, name: str, array: Array | None, like: Array, shape: tuple[int, ...]
) -> Array | None:
    """An optional argument of the input's dtype and of a shape, checked."""
    if array is not None:
        array = check.floating(function, name, array, like=like)
        check.shape(function, name, array, shape)
    return array


def as_rows(x: Array, shape: tuple[int, ...]) -> Array:
    """x (..., *shape) as (R, D)."""
    return x.reshape(math.prod(x.shape[: x.ndim - len(shape)]), math.prod(shape))


@quiet
def with_learned(dx: Array, dy: Array, n: Array, g: Array | None, b: Array | None) -> Any:
    """The gradients in order: dx, dg = sum dy n and db = sum dy over the rows, of those given."""
    grads = [dx]
    if g is not None:
        grads.append(np.einsum("rd,rd->d", dy, n).reshape(g.shape))
    if b is not None:
        grads.append((np.ones(len(dy), dy.dtype) @ dy).reshape(b.shape))
    return tuple(grads) if len(grads) > 1 else dx


class LayerNorm(Module):
    """`layer_norm`.

    Args:
        normalized_shape: sizes of the last axes, or the size of the last one.
        eps: added to the variance.
        elementwise_affine: learn g and b.
        bias: learn b, if `elementwise_affine`.
        dtype: float32 or float64.

    Shape:
        (..., *normalized_shape) to the same.
    """

    # b is not in its own derivative nor in any other.
    _unread = frozenset({"bias"})

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = sizes("LayerNorm", normalized_shape)
        self.eps = eps
        check.number("LayerNorm", "eps", eps)
        self.elementwise_affine = elementwise_affine
        shape, biased = self.normalized_shape, elementwise_affine and bias
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if biased else None

    def reset_parameters(self) -> None:
        """Back to the start: g = 1, b = 0."""
        restart(self.weight, self.bias)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = g (x - mu) / sqrt(v + eps) + b."""
        y, norm_back = layer_norm(
            input, self.normalized_shape, value(self.weight), value(self.bias), self.eps
        )
        return y, lambda *dy: accumulate(norm_back(*dy), self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


def sizes(function: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """`normalized_shape` as a tuple of sizes."""
    shape = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    if not shape:
        check.refuse(function, "normalized_shape to be at least one size", normalized_shape)
    return tuple(check.size(function, "normalized_shape", size) for size in shape)


def accumulate(gradients: Any, *parameters: Parameter | None) -> Array:
    """Add all gradients but the first to the parameters that there are; returns the first."""
    learned = [p for p in parameters if p is not None]
    dx: Array
    dx, *dlearned = gradients if learned else (gradients,)
    for parameter, gradient in zip(learned, dlearned, strict=True):
        parameter.accumulate(gradient)
    return dx


def restart(weight: Parameter | None, bias: Parameter | None = None) -> None:
    """g = 1 and b = 0."""
    if weight is not None:
        weight.data = np.ones_like(weight.data)
    if bias is not None:
        bias.data = np.zeros_like(bias.data)
