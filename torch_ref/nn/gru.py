"""The gated recurrent unit of the paper, which torch lacks.       Cho et al. 2014, arXiv:1406.1078

    r, z = s(W_i x + b_i + W_h h + b_h)                 s the logistic function, rows r, z, n
    n = tanh(W_in x + b_in + W_hn (r h) + b_hn)         the reset gate before the product
    h_t = (1 - z) n + z h

torch.nn.GRU has n = tanh(W_in x + b_in + r (W_hn h + b_hn)), and no weights make it the other.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def reset_before_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step.

    Args:
        input: x (B, in).
        hx: h (B, H).
        w_ih: (3 H, in).
        w_hh: (3 H, H).
        b_ih: (3 H,).
        b_hh: (3 H,).

    Returns:
        The next state (B, H).
    """
    hidden = hx.shape[-1]
    sizes = [2 * hidden, hidden]
    x_rz, x_n = torch.split(F.linear(input, w_ih, b_ih), sizes, -1)
    w_rz, w_n = torch.split(w_hh, sizes)
    b_rz, b_n = (None, None) if b_hh is None else torch.split(b_hh, sizes)
    r, z = (x_rz + F.linear(hx, w_rz, b_rz)).sigmoid().chunk(2, -1)
    n = (x_n + F.linear(r * hx, w_n, b_n)).tanh()
    h: Tensor = (1 - z) * n + z * hx
    return h


class GRUCell(torch.nn.GRUCell):
    """torch.nn.GRUCell, and with reset_after=False the paper's."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, reset_after: bool = True
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.reset_after = reset_after

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The state after one step."""
        if self.reset_after:
            return super().forward(input, hx)
        if hx is None:
            hx = input.new_zeros(*input.shape[:-1], self.hidden_size)
        weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        return reset_before_cell(input, hx, *weights)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.reset_after else f"{text}, reset_after=False"


class GRU(torch.nn.GRU):
    """torch.nn.GRU, and with reset_after=False the paper's."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
        self.reset_after = reset_after

    def forward(self, input, hx=None):  # type: ignore[no-untyped-def]
        """The output of the last layer at each step, and the last states of all layers."""
        if self.reset_after:
            return super().forward(input, hx)
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.dim() == 2:
            output, last = self._padded(input[:, None], None if hx is None else hx[:, None])
            return output[:, 0], last[:, 0]
        output, last = self._padded(input.transpose(0, 1) if self.batch_first else input, hx)
        return output.transpose(0, 1) if self.batch_first else output, last

    def _packed(self, input: PackedSequence, hx: Tensor | None) -> tuple[PackedSequence, Tensor]:
        data, batch_sizes, order, back = input
        padded, lengths = pad_packed_sequence(PackedSequence(data, batch_sizes))
        sorted_hx = hx if hx is None or order is None else hx[:, order]
        output, last = self._padded(padded, sorted_hx, lengths)
        data = pack_padded_sequence(output, lengths).data
        return PackedSequence(data, batch_sizes, order, back), last if back is None else last[
            :, back
        ]

    def _padded(
        self, x: Tensor, hx: Tensor | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(T, B, in) to (T, B, D H); a state rests beyond its sequence's end."""
        steps, batch = x.shape[:2]
        directions = 2 if self.bidirectional else 1
        if hx is None:
            hx = x.new_zeros(self.num_layers * directions, batch, self.hidden_size)
        if lengths is None:
            lengths = torch.full((batch,), steps)
        runs = (torch.arange(steps)[:, None] < lengths).to(x.device)  # (T, B)
        lasts = []
        for layer in range(self.num_layers):
            if layer:
                kept = F.dropout(x[runs], self.dropout, self.training)
                x = torch.zeros_like(x).index_put((runs,), kept)
            outputs = []
            for direction in range(directions):
                weights = self.all_weights[layer * directions + direction]
                h = hx[layer * directions + direction]
                states: list[Tensor] = []
                for t in range(steps)[:: -1 if direction else 1]:
                    h = torch.where(runs[t, :, None], reset_before_cell(x[t], h, *weights), h)
                    states.append(h)
                lasts.append(h)
                outputs.append(torch.stack(states[:: -1 if direction else 1]))
            x = torch.cat(outputs, -1)
        return x, torch.stack(lasts)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.reset_after else f"{text}, reset_after=False"
