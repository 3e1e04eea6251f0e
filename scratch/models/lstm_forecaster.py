"""Recurrent forecaster: the state after the context says all that comes.

forward    h_T = LSTM(x_1, ..., x_T), its last layer's last state     y = W drop(h_T) + b
backward   dh_T = drop'(W^T dy), and from there back through time
shapes     x (B, T, input_size)   h_T (B, H)   y (B, horizon, output_size)
horizon    all its steps at once, from one state: no forecast is fed back as an input
Sources    Hochreiter & Schmidhuber 1997, Neural Computation 9(8); GRU: Cho et al. 2014,
           arXiv:1406.1078; several steps at once: Ben Taieb et al. 2011, arXiv:1108.3259
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn.container import unflatten
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class LSTMForecaster(Module):
    """Several series in, some of them several steps ahead out.

    Args:
        input_size: features of a step.
        hidden_size: H, of the state.
        num_layers: layers above each other.
        horizon: steps ahead.
        dropout: probability of dropping between the layers and before the last product.
        output_size: series that are forecast.
        cell: 'LSTM' or 'GRU'.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (B, T, input_size), unbatched (T, input_size), or a PackedSequence of B contexts of
        different lengths, to (B, horizon, output_size), unbatched (horizon, output_size).

    Raises:
        TypeError, ValueError: if a size is not a positive integer, `dropout` is no probability or
            `cell` unknown.
    """

    _skips_input_grad = True

    def __init__(
        self,
        input_size: int = 1,
        hidden_size: int = 64,
        num_layers: int = 1,
        horizon: int = 1,
        dropout: float = 0.0,
        output_size: int = 1,
        cell: str = "LSTM",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "LSTMForecaster"
        check.size(name, "input_size", input_size, low=1)
        check.size(name, "hidden_size", hidden_size, low=1)
        check.size(name, "num_layers", num_layers, low=1)
        self.horizon = check.size(name, "horizon", horizon, low=1)
        check.number(name, "dropout", dropout, 0, 1)
        self.output_size = check.size(name, "output_size", output_size, low=1)
        check.option(name, "cell", cell, ("LSTM", "GRU"))
        generator = generator or Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        between = dropout if num_layers > 1 else 0.0  # with one layer there is no between
        layer: type[nn.LSTM] | type[nn.GRU] = nn.LSTM if cell == "LSTM" else nn.GRU
        self.rnn = layer(
            input_size, hidden_size, num_layers, batch_first=True, dropout=between, **options
        )
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.head = nn.Linear(hidden_size, horizon * output_size, **options)

    def forward(self, input: Any) -> tuple[Array, Backward]:
        """The steps after the context."""
        (_, states), rnn_back = self.rnn(input)
        long = isinstance(states, tuple)  # an LSTM's (h_n, c_n)
        h_n = states[0] if long else states  # (num_layers, B, H)
        h, dropout_back = self.dropout(h_n[-1])
        rows, head_back = self.head(h)
        y, unflatten_back = unflatten(rows, -1, (self.horizon, self.output_size))

        def backward(dy: Array, needs_input_grad: bool = True) -> Any:
            dh_n = np.zeros_like(h_n)
            dh_n[-1] = dropout_back(head_back(unflatten_back(dy)))
            dstates = (dh_n, None) if long else dh_n
            return rnn_back(None, dstates, needs_input_grad=needs_input_grad)

        return y, backward
