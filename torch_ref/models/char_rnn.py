"""Character models.             Elman 1990; Graves 2013, arXiv:1308.0850 (text, truncated, sampled)

SimpleRNN  h_t = tanh(W_xh x_t + b_h + W_hh h_{t-1})        y_t = W_hy h_t + b_y
CharRNN    x_t = onehot(id_t) or E[id_t]        h = cell(x, state)       logits_t = W drop(h_t) + b
sampling   the first character whose p_0 + ... + p_c exceeds a uniform number,
           p = softmax(logits / temperature); temperature 0 takes the likeliest
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class SimpleRNN(nn.Module):
    """A recurrent network of one state, unrolled step by step, with an output at each step.

    Args:
        input_size: features of an input.
        hidden_size: H, features of the state.
        output_size: features of an output.
        std: of the weights' start; the biases start at 0.
        dtype: of the parameters.

    Shape:
        input (T, B, input_size) or (T, input_size); state (B, H) or (H,), zeros where it is left
        out; outputs (T, B, output_size) or (T, output_size) and the last state.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        std: float = 0.01,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, hidden_size, dtype=dtype)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False, dtype=dtype)
        self.output = nn.Linear(hidden_size, output_size, dtype=dtype)
        for layer in (self.input, self.recurrent, self.output):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(
        self, input: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs of all steps and the last state."""
        a = self.input(input)
        h, hs = torch.zeros_like(a[0]) if state is None else state, []
        for a_t in a:
            h = torch.tanh(a_t + self.recurrent(h))
            hs.append(h)
        return self.output(torch.stack(hs)), h


class CharRNN(nn.Module):
    """The next character's logits at each step of a text, and the state to go on from.

    Args:
        vocab_size: V, how many characters there are.
        hidden_size: H, features of a state.
        num_layers: layers above each other.
        cell: 'RNN', 'LSTM' or 'GRU'.
        embedding_dim: D, features of a learned embedding; None for one-hot characters.
        dropout: probability of dropping outputs of a layer, also before the linear layer.
        batch_first: whether ids are (B, T) and logits (B, T, V).
        dtype: of the parameters.

    Shape:
        id (T, B) or (T,), integers; state as the cell's, zeros where it is left out; logits
        (T, B, V) or (T, V), and the last state.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_layers: int = 1,
        cell: str = "RNN",
        embedding_dim: int | None = None,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.embedding = None
        if embedding_dim is not None:
            self.embedding = nn.Embedding(vocab_size, embedding_dim, dtype=dtype)
        self.rnn = getattr(nn, cell)(
            embedding_dim or vocab_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            dropout=dropout if num_layers > 1 else 0.0,
            dtype=dtype,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, vocab_size, dtype=dtype)

    def forward(self, input: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Logits of the character after each, and the last state."""
        if self.embedding is None:
            x = F.one_hot(input, self.vocab_size).to(self.head.weight.dtype)
        else:
            x = self.embedding(input)
        h, last = self.rnn(x, state)
        return self.head(self.dropout(h)), last


@torch.no_grad()
def generate(
    model: CharRNN,
    prompt: torch.Tensor,
    length: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Go on with a text, a character at a time, each drawn from the model's probabilities.

    Args:
        model: put into evaluation mode.
        prompt: ids (n,) to read first, one or more.
        length: how many to draw.
        temperature: what the logits are divided by; 0 takes the likeliest each time.
        generator: on the CPU; draws one float64 for each character. None takes the global one.

    Returns:
        ids (length,), int64.
    """
    model.eval()
    ids, state, drawn = prompt, None, torch.empty(length, dtype=torch.int64)
    for i in range(length):
        logits, state = model(ids, state)
        drawn[i] = draw(logits[-1], temperature, generator)
        ids = drawn[i : i + 1].to(prompt.device)
    return drawn


def draw(logits: torch.Tensor, temperature: float, generator: torch.Generator | None) -> int:
    """A class by its probability softmax(logits / temperature), or the likeliest at 0."""
    z = logits.double().cpu()
    if temperature == 0:
        return int(z.argmax())
    ends = torch.exp((z - z.max()) / temperature).cumsum(0)
    u = torch.rand(1, dtype=torch.float64, generator=generator)
    return int(torch.searchsorted(ends, u * ends[-1], right=True))
