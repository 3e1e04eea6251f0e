"""Character models.             Elman 1990; Graves 2013, arXiv:1308.0850 (text, truncated, sampled)

SimpleRNN  step by step, one bias    h_t = tanh(W_xh x_t + b_h + W_hh h_{t-1})  y_t = W_hy h_t + b_y
   back    da_t = (W_hy^T dy_t + dh_t) (1 - h_t^2)      dh_{t-1} = W_hh^T da_t    dx_t = W_xh^T da_t
CharRNN    layers of nn.RNN, LSTM or GRU over one-hot characters or an embedding
           x_t = onehot(id_t) or E[id_t]        h = cell(x, state)       logits_t = W drop(h_t) + b
   back    the layers' own, last to first; characters have no gradient
truncated  a chunk of text at a time: the state that a chunk returns starts the next one, and the
           gradient that arrives there is left out (Williams & Peng 1990)
sampling   p = softmax(logits / temperature); the first character whose p_0 + ... + p_c exceeds a
           uniform number; temperature 0 takes the likeliest
shapes     id (T, B) or (T,)   x_t (B, V) or (B, D)   h_t (B, H)   logits (T, B, V) or (T, V)
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.recurrent import gradient_of
from scratch.random import Generator, check_generator

CELLS = ("RNN", "LSTM", "GRU")


class SimpleRNN(Module):
    """A recurrent network of one state, unrolled step by step, with an output at each step.

    The function of an `nn.RNN` with a linear layer on it. It has one bias where that has two, so
    that an optimizer moves it half as far.

    Args:
        input_size: features of an input.
        hidden_size: H, features of the state.
        output_size: features of an output.
        std: of the weights' start; the biases start at 0.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        input (T, B, input_size) or (T, input_size); state (B, H) or (H,), zeros where it is left
        out; outputs (T, B, output_size) or (T, output_size) and the last state.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or `std` is negative.

    Source: Elman 1990, "Finding structure in time".
    """

    _skips_input_grad = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        std: float = 0.01,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("SimpleRNN", "input_size", input_size, low=1)
        check.size("SimpleRNN", "hidden_size", hidden_size, low=1)
        check.size("SimpleRNN", "output_size", output_size, low=1)
        check.number("SimpleRNN", "std", std, 0)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.input = nn.Linear(input_size, hidden_size, **options)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False, **options)
        self.output = nn.Linear(hidden_size, output_size, **options)
        for layer in (self.input, self.recurrent, self.output):
            init.normal_(layer.weight, 0.0, std, generator=options["generator"])
            if layer.bias is not None:
                init.zeros_(layer.bias)

    def forward(self, input: Array, state: Array | None = None) -> tuple[Any, Backward]:
        """The outputs of all steps and the last state."""
        a, input_back = self.input(input)
        if a.ndim not in (2, 3) or not len(a):
            check.refuse("SimpleRNN", "input (T >= 1, B, features) or (T, features)", input.shape)
        h = np.zeros_like(a[0]) if state is None else check.floating("SimpleRNN", "state", state, a)
        check.shape("SimpleRNN", "state", h, a[0].shape)
        hs, backs = np.empty_like(a), []
        for t in range(len(a)):
            z, back = self.recurrent(h)
            h = hs[t] = np.tanh(a[t] + z)
            backs.append(back)
        y, output_back = self.output(hs)
        shape = h.shape

        def backward(
            dy: Array | None, dstate: Array | None = None, needs_input_grad: bool = True
        ) -> Any:
            dh = gradient_of("SimpleRNN", dstate, shape, hs.dtype)
            dhs = np.zeros_like(hs) if dy is None else output_back(dy)
            da = np.empty_like(hs)
            for t in reversed(range(len(hs))):
                dh = dh + dhs[t]
                da[t] = dh * (1 - hs[t]) * (1 + hs[t])
                dh = backs[t](da[t])
            dinput = input_back(da, needs_input_grad=needs_input_grad)
            if not needs_input_grad:
                return None
            return dinput if state is None else (dinput, dh)

        return (y, h), backward


class CharRNN(Module):
    """The next character's logits at each step of a text, and the state to go on from.

    Args:
        vocab_size: V, how many characters there are.
        hidden_size: H, features of a state.
        num_layers: layers above each other.
        cell: 'RNN', 'LSTM' or 'GRU'.
        embedding_dim: D, features of a learned embedding; None for one-hot characters.
        dropout: probability of dropping outputs of a layer, also before the linear layer.
        batch_first: whether ids are (B, T) and logits (B, T, V).
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        id (T, B) or (T,), integers; state as the cell's, zeros where it is left out; logits
        (T, B, V) or (T, V), and the last state. The backward takes the gradients of both, either
        may be None, and returns that of a state that was given, else None.

    Raises:
        TypeError, ValueError: if a size is not a positive integer, there is no such cell, or
            `dropout` is no probability; in a forward, if an id is no integer from 0 to V - 1.

    Source: Graves 2013, arXiv:1308.0850; dropout: Zaremba et al. 2014, arXiv:1409.2329.
    """

    _skips_input_grad = True

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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        self.vocab_size = check.size("CharRNN", "vocab_size", vocab_size, low=1)
        check.size("CharRNN", "hidden_size", hidden_size, low=1)
        check.size("CharRNN", "num_layers", num_layers, low=1)
        check.option("CharRNN", "cell", cell, CELLS)
        check.number("CharRNN", "dropout", dropout, 0, 1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.embedding: nn.Embedding | None = None
        if embedding_dim is not None:
            check.size("CharRNN", "embedding_dim", embedding_dim, low=1)
            self.embedding = nn.Embedding(vocab_size, embedding_dim, **options)
        self.rnn = getattr(nn, cell)(
            embedding_dim or vocab_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            dropout=dropout if num_layers > 1 else 0.0,  # there is nothing between one layer
            **options,
        )
        self.dropout = nn.Dropout(dropout, generator=options["generator"])
        self.head = nn.Linear(hidden_size, vocab_size, **options)

    def forward(self, input: Array, state: Any = None) -> tuple[Any, Backward]:
        """Logits of the character after each, and the last state."""
        if self.embedding is None:
            x = self._one_hot(input)
        else:
            x, embedding_back = self.embedding(input)
        (h, last), rnn_back = self.rnn(x, state)
        h, dropout_back = self.dropout(h)
        logits, head_back = self.head(h)
        shapes = [a.shape for a in (logits, *(last if isinstance(last, tuple) else (last,)))]
        dtype = logits.dtype

        def backward(
            dlogits: Array | None, dlast: Any = None, needs_input_grad: bool = True
        ) -> Any:
            checked = self.rnn._given_states(dlast) or ()  # all before any is used
            for d, shape in zip((dlogits, *checked), shapes, strict=False):
                gradient_of("CharRNN", d, shape, dtype)
            dh = None if dlogits is None else dropout_back(head_back(dlogits))
            wanted = needs_input_grad and state is not None
            dx = rnn_back(dh, dlast, needs_input_grad=wanted or self.embedding is not None)
            dx, *dstate = dx if isinstance(dx, tuple) else (dx,)
            if self.embedding is not None:
                embedding_back(dx)
            if not wanted:
                return None
            return dstate[0] if len(dstate) == 1 else tuple(dstate)

        return (logits, last), backward

    def _one_hot(self, input: Array) -> Array:
        ids = check.integer("CharRNN", "input", input, 0, self.vocab_size)
        return np.eye(self.vocab_size, dtype=self.head.weight.dtype)[ids]


def generate(
    model: CharRNN,
    prompt: Array,
    length: int,
    temperature: float = 1.0,
    generator: Generator | None = None,
) -> Array:
    """Go on with a text, a character at a time, each drawn from the model's probabilities.

    Args:
        model: put into evaluation mode.
        prompt: ids (n,) to read first, one or more.
        length: how many to draw.
        temperature: what the logits are divided by; 0 takes the likeliest each time.
        generator: draws one float64 for each character; None takes a fresh one.

    Returns:
        ids (length,), int64.

    Raises:
        TypeError, ValueError: if the prompt is no row of integers from 0 to V - 1, or a number is
            out of range.
    """
    ids = check.integer("generate", "prompt", prompt, 0, model.vocab_size)
    check.shape("generate", "prompt", ids, ("n",))
    if not len(ids):
        check.refuse("generate", "a prompt of one character or more", ids.shape)
    check.size("generate", "length", length)
    check.number("generate", "temperature", temperature, 0, np.finfo(np.float64).max)
    check_generator("generate", generator)
    generator = generator or Generator()
    model.eval()
    state, drawn = None, np.empty(length, np.int64)
    for i in range(length):
        (logits, state), _ = model(ids, state)
        drawn[i] = draw(logits[-1], temperature, generator)
        ids = drawn[i : i + 1]
    return drawn


def draw(logits: Array, temperature: float, generator: Generator) -> int:
    """A class by its probability softmax(logits / temperature), or the likeliest at 0."""
    z = logits.astype(np.float64)
    z -= z.max()
    if temperature == 0:
        return int(z.argmax())
    with np.errstate(over="ignore"):  # exp(-inf) is the limit, 0
        ends = np.exp(z / temperature).cumsum()
    u = generator.rand(1, dtype=np.float64)[0]
    return int(np.searchsorted(ends, u * ends[-1], side="right"))
