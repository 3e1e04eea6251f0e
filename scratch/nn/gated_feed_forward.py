"""Gated feed-forward layer: one projection decides how much of another passes.

forward    u = x W_g^T (+ b_g)     g = f(u)     v = x W_u^T (+ b_u)     y = (g v) W_d^T (+ b_d)
backward   da = dy W_d     dv = da g     du = f_back(da v)     dx = du W_g + dv W_u
f          silu: SwiGLU; gelu: GEGLU, with 'gelu_tanh' that of T5 1.1; relu: ReGLU; sigmoid: the GLU
           of Dauphin et al. 2017; identity: Bilinear
shapes     x, y (..., D)   W_g, W_u (F, D)   W_d (D, F)
size       three matrices in place of two: F = 2/3 of the width of a plain layer costs the same
torch      has none; F.glu gates one projection's first half by its second, and knows the sigmoid
           only. The names are those of Llama's weights; T5 calls them wi_0, wi_1 and wo.
Source     Shazeer 2020, arXiv:2002.05202, equations 5 and 6
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.dropout import Dropout
from scratch.nn.gelu import gelu
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.rectifier import relu
from scratch.nn.sigmoid import sigmoid, silu
from scratch.random import Generator


def _identity(x: Array) -> tuple[Array, Backward]:
    return x, lambda dy: dy


GATES: dict[str, Callable[[Array], tuple[Array, Backward]]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": functools.partial(gelu, approximate="tanh"),
    "relu": relu,
    "sigmoid": sigmoid,
    "identity": _identity,
}


class GatedFeedForward(Module):
    """SwiGLU and its kin.

    Args:
        d_model: D, size of the input and of the output.
        d_ff: F, size in between.
        activation: f: 'silu', 'gelu', 'gelu_tanh', 'relu', 'sigmoid' or 'identity'.
        bias: whether the projections have biases, which the paper leaves out.
        dropout: probability of dropping a value in between.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (..., d_model) to the same.

    Raises:
        TypeError, ValueError: if a size is no positive integer, the activation is unknown or
            `dropout` no probability.

    Source: Shazeer 2020, arXiv:2002.05202.
    """

    _skips_input_grad = True

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        activation: str = "silu",
        bias: bool = False,
        dropout: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("GatedFeedForward", "d_model", d_model, low=1)
        check.size("GatedFeedForward", "d_ff", d_ff, low=1)
        check.option("GatedFeedForward", "activation", activation, tuple(GATES))
        check.option("GatedFeedForward", "bias", bias, (True, False))
        check.number("GatedFeedForward", "dropout", dropout, 0, 1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.activation = activation
        self.gate_proj = Linear(d_model, d_ff, bias, **options)
        self.up_proj = Linear(d_model, d_ff, bias, **options)
        self.down_proj = Linear(d_ff, d_model, bias, **options)
        self.dropout = Dropout(dropout, generator=options["generator"])

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = (f(x W_g^T) x W_u^T) W_d^T."""
        u, gate_back = self.gate_proj(input)
        g, activation_back = GATES[self.activation](u)
        v, up_back = self.up_proj(input)
        a, dropout_back = self.dropout(g * v)
        y, down_back = self.down_proj(a)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            da = dropout_back(down_back(dy))
            needs = {"needs_input_grad": needs_input_grad}
            dx_up = up_back(da * g, **needs)
            dx_gate = gate_back(activation_back(da * v), **needs)
            return dx_gate + dx_up if needs_input_grad else None

        return y, backward

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"
