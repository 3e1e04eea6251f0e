"""Affine maps.

Linear     y = x W^T + b        dx = dy W        dW = dy^T x        db = sum dy
shapes     x (..., in)   W (out, in)   b (out,)   y (..., out)      sums over all leading axes
torch      starts W and b from U(-1/sqrt(in), 1/sqrt(in)), written as kaiming_uniform(a=sqrt(5));
           not He, not Glorot
"""

import math

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module, Parameter, value
from scratch.nn.op import Backward, op
from scratch.random import Generator


@op
def linear(input: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Backward]:
    """y = x W^T + b.

    Args:
        input: x (..., in).
        weight: W (out, in), or (in,) for a single output without its axis.
        bias: b (out,), or () beside a 1-d weight.

    Returns:
        y (..., out), and its backward: dy -> dx, dW[, db]; with needs_input_grad=False dx is None.

    Raises:
        TypeError: if the arrays are not floating or their dtypes differ.
        ValueError: if a shape does not fit.
    """
    x = check.floating("linear", "input", input)
    weight = check.floating("linear", "weight", weight, like=x)
    if weight.ndim not in (1, 2):
        check.refuse("linear", "weight of shape (out, in) or (in,)", weight.shape)
    if x.ndim == 0 or x.shape[-1] != weight.shape[-1]:
        check.refuse("linear", f"input of shape (..., {weight.shape[-1]})", x.shape)
    if bias is not None:
        bias = check.floating("linear", "bias", bias, like=x)
        check.shape("linear", "bias", bias, weight.shape[:-1])
    lead, out = x.shape[:-1], weight.shape[:-1]
    n = math.prod(lead)
    rows = x.reshape(n, x.shape[-1])
    y = rows @ weight.T
    if bias is not None:
        y += bias

    def backward(dy: Array, needs_input_grad: bool = True) -> tuple[Array | None, ...]:
        drows = dy.reshape(n, *out)
        dx = None
        if needs_input_grad:
            dx = (drows @ weight if out else drows[:, None] * weight).reshape(x.shape)
        grads = dx, drows.T @ rows
        return grads if bias is None else (*grads, np.asarray(drows.sum(0)))

    return y.reshape((*lead, *out)), backward


class Linear(Module):
    """`linear` with a learned weight and bias.

    Args:
        in_features: size of the last input axis.
        out_features: size of the last output axis.
        bias: whether to add b.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., in_features) to (..., out_features).
    """

    _skips_input_grad = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.in_features = check.size("Linear", "in_features", in_features)
        self.out_features = check.size("Linear", "out_features", out_features)
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start: weight, then bias, as torch does."""
        generator = generator or Generator()
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = x W^T + b."""
        y, linear_back = linear(input, self.weight.data, value(self.bias))

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None
            dx, dweight, *dbias = linear_back(dy, needs_input_grad=needs_input_grad)
            self.weight.accumulate(dweight)
            if self.bias is not None:
                self.bias.accumulate(*dbias)
            return dx

        return y, backward

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
