"""Recurrent network of one state.                                Elman 1990, Cognitive Science 14

forward    z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh      h_t = tanh(z_t), or relu(z_t)
backward   dz_t = (dy_t + dh_t) h'     h' = 1 - h_t^2, or 1 where h_t > 0
           dh_{t-1} = W_hh^T dz_t      dx_t = W_ih^T dz_t
           dW_ih = sum dz_t x_t^T      dW_hh = sum dz_t h_{t-1}^T      db_ih = db_hh = sum dz_t
shapes     x (N, in) in rows step after step   y = h (N, H)   W_ih (H, in)   W_hh (H, H)
torch      has two biases, of which the sum counts: under an optimizer it moves twice as far as one
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward
from scratch.nn.recurrent import Recurrent, Steps, add_biases, bias_gradients, previous
from scratch.nn.recurrent_cell import Cell
from scratch.random import Generator

NONLINEARITIES = ("tanh", "relu")


def rnn(
    nonlinearity: str,
    x: Array,
    steps: Steps,
    h_0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> tuple[tuple[Array, Array], Backward]:
    """Run one layer in one direction over all steps.

    Args:
        nonlinearity: 'tanh' or 'relu'.
        x: (N, in), rows step after step.
        steps: rows of each step in the order of the run.
        h_0: first state (B, H).
        w_ih: (H, in).
        w_hh: (H, H).
        b_ih: (H,), with b_hh.
        b_hh: (H,), with b_ih.

    Returns:
        y (N, H) and h_n (B, H), and their backward: dy, dh_n -> dx, dh_0, dW_ih, dW_hh[, db_ih,
        db_hh].
    """
    y, h, buffer = x @ w_ih.T, h_0.copy(), np.empty_like(h_0)
    to_z = np.ascontiguousarray(w_hh.T)  # small products are faster so
    add_biases(y, b_ih, b_hh)
    for rows, n in steps:
        z = y[rows]
        z += np.matmul(h[:n], to_z, out=buffer[:n])
        if nonlinearity == "tanh":
            np.tanh(z, out=z)
        else:
            np.maximum(z, 0, out=z)
        h[:n] = z

    def backward(dy: Array, dh_n: Array, needs_input_grad: bool = True) -> tuple[Any, ...]:
        dh, dz, slope = dh_n.copy(), np.empty_like(y), np.empty_like(dh_n)
        for rows, n in reversed(steps):
            dh[:n] += dy[rows]
            s, h = slope[:n], y[rows]
            if nonlinearity == "tanh":
                np.subtract(1, h, out=s)  # 1 - h^2 = (1 - h) (1 + h), exact near 1
                s *= 1 + h
                np.multiply(dh[:n], s, out=dz[rows])
            else:
                np.multiply(dh[:n], h > 0, out=dz[rows])
            np.matmul(dz[rows], w_hh, out=dh[:n])
        dx = dz @ w_ih if needs_input_grad else None
        grads = dx, dh, dz.T @ x, dz.T @ previous(y, h_0, steps)
        return *grads, *bias_gradients(dz, b_ih)

    return (y, h), backward


class RNN(Recurrent):
    """`rnn` in layers and directions, over whole sequences.

    Args:
        input_size: features of the input.
        hidden_size: H, features of the state.
        num_layers: layers above each other.
        nonlinearity: 'tanh' or 'relu'.
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (B, T, ...) and not (T, B, ...).
        dropout: probability of dropping outputs of all layers but the last, in training.
        bidirectional: whether each layer also runs from the end.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        input (T, B, input_size), unbatched (T, input_size) or a PackedSequence; hx (L D, B, H) or
        unbatched (L D, H), zeros where it is left out; output (T, B, D H), laid out as the input;
        h_n like hx.

    Source: Elman 1990, "Finding structure in time".
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("RNN", "nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            generator=generator,
        )

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return rnn(self.nonlinearity, x, steps, *arrays)


class RNNCell(Cell):
    """One step of an RNN.

    Args:
        input_size: features of the input.
        hidden_size: H, features of the state.
        bias: whether to add b_ih and b_hh.
        nonlinearity: 'tanh' or 'relu'.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        input (B, input_size) or (input_size,); hx and h' (B, H) or (H,).
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("RNNCell", "nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype=dtype, generator=generator)

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return rnn(self.nonlinearity, x, steps, *arrays)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        relu = self.nonlinearity != "tanh"
        return f"{text}, nonlinearity={self.nonlinearity}" if relu else text
