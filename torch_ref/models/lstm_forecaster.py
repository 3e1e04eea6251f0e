"""Recurrent forecaster: the state after the context says all that comes.

    h_T = LSTM(x_1, ..., x_T), its last layer's last state     y = W drop(h_T) + b

All steps of the horizon come at once, from one state: no forecast is fed back as an input.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence


class LSTMForecaster(nn.Module):
    """Several series in, some of them several steps ahead out.

    Args:
        input_size: features of a step.
        hidden_size: H, of the state.
        num_layers: layers above each other.
        horizon: steps ahead.
        dropout: probability of dropping between the layers and before the last product.
        output_size: series that are forecast.
        cell: 'LSTM' or 'GRU'.
        dtype: of the parameters.

    Shape:
        (B, T, input_size), unbatched (T, input_size), or a PackedSequence of B contexts of
        different lengths, to (B, horizon, output_size), unbatched (horizon, output_size).
    """

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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.horizon, self.output_size = horizon, output_size
        layer: type[nn.LSTM] | type[nn.GRU] = nn.LSTM if cell == "LSTM" else nn.GRU
        self.rnn = layer(
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,
            dtype=dtype,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, horizon * output_size, dtype=dtype)

    def forward(self, input: torch.Tensor | PackedSequence) -> torch.Tensor:
        """The steps after the context."""
        _, states = self.rnn(input)
        h_n = states[0] if isinstance(states, tuple) else states
        y: torch.Tensor = self.head(self.dropout(h_n[-1]))
        return y.reshape(*y.shape[:-1], self.horizon, self.output_size)
