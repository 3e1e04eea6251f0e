"""Bilinear maps: every output is a quadratic form in two inputs.

forward    y_o = x1^T A_o x2 + b_o
backward   dx1 = sum_o dy_o A_o x2     dA_o = sum dy_o x1 x2^T      sums without index run over all
           dx2 = sum_o dy_o A_o^T x1   db = sum dy                  leading axes
shapes     x1 (..., in1)   x2 (..., in2)   A (out, in1, in2)   b (out,)   y (..., out)
torch      starts A and b from U(-1/sqrt(in1), 1/sqrt(in1))
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
def bilinear(
    input1: Array, input2: Array, weight: Array, bias: Array | None = None
) -> tuple[Array, Backward]:
    """y_o = x1^T A_o x2 + b_o.

    Args:
        input1: x1 (..., in1).
        input2: x2 (..., in2), with the leading axes of x1.
        weight: A (out, in1, in2).
        bias: b (out,).

    Returns:
        y (..., out), and its backward: dy -> dx1, dx2, dA[, db].

    Raises:
        TypeError: if the arrays are not floating or their dtypes differ.
        ValueError: if a shape does not fit.
    """
    x1 = check.floating("bilinear", "input1", input1)
    x2 = check.floating("bilinear", "input2", input2, like=x1)
    weight = check.floating("bilinear", "weight", weight, like=x1)
    check.shape("bilinear", "weight", weight, ("out", "in1", "in2"))
    out, in1, in2 = weight.shape
    lead = x1.shape[:-1]
    if x1.ndim == 0 or x1.shape[-1] != in1:
        check.refuse("bilinear", f"input1 of shape (..., {in1})", x1.shape)
    check.shape("bilinear", "input2", x2, (*lead, in2))
    if bias is not None:
        bias = check.floating("bilinear", "bias", bias, like=x1)
        check.shape("bilinear", "bias", bias, (out,))
    n = math.prod(lead)
    rows1, rows2 = x1.reshape(n, in1), x2.reshape(n, in2)
    x1_a = (rows1 @ weight.transpose(1, 0, 2).reshape(in1, out * in2)).reshape(n, out, in2)
    y = np.einsum("noj,nj->no", x1_a, rows2)
    if bias is not None:
        y += bias

    def backward(dy: Array) -> tuple[Array, ...]:
        drows = dy.reshape(n, out)
        dy_x1 = (drows[:, :, None] * rows1[:, None, :]).reshape(n, out * in1)
        dy_x2 = (drows[:, :, None] * rows2[:, None, :]).reshape(n, out * in2)
        dx1 = dy_x2 @ weight.transpose(0, 2, 1).reshape(out * in2, in1)
        dx2 = dy_x1 @ weight.reshape(out * in1, in2)
        dweight = (dy_x1.T @ rows2).reshape(weight.shape)
        grads = dx1.reshape(x1.shape), dx2.reshape(x2.shape), dweight
        return grads if bias is None else (*grads, drows.sum(0))

    return y.reshape((*lead, out)), backward


class Bilinear(Module):
    """`bilinear` with a learned weight and bias.

    Args:
        in1_features: size of the last axis of the first input.
        in2_features: size of the last axis of the second input.
        out_features: size of the last output axis.
        bias: whether to add b.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., in1_features) and (..., in2_features) to (..., out_features).
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.in1_features = check.size("Bilinear", "in1_features", in1_features, low=1)
        self.in2_features = check.size("Bilinear", "in2_features", in2_features)
        self.out_features = check.size("Bilinear", "out_features", out_features)
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start: weight, then bias, as torch does."""
        generator = generator or Generator()
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound, generator=generator)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, input1: Array, input2: Array) -> tuple[Array, Backward]:
        """y_o = x1^T A_o x2 + b_o."""
        y, bilinear_back = bilinear(input1, input2, self.weight.data, value(self.bias))

        def backward(dy: Array) -> tuple[Array, Array]:
            dx1, dx2, dweight, *dbias = bilinear_back(dy)
            self.weight.accumulate(dweight)
            if self.bias is not None:
                self.bias.accumulate(*dbias)
            return dx1, dx2

        return y, backward

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
