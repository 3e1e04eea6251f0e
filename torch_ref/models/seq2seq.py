"""Sequence to sequence with attention.             Bahdanau, Cho & Bengio 2015, arXiv:1409.0473

encoder    m_1 ... m_S, last = rnn(E_x x_1 ... x_S)      in both directions, over the true lengths
bridge     s_0 = tanh(W_b last + b_b)                    LSTM: so is its second state
decoder    c_t, p_t = attention(s_{t-1}, m)              s_t = cell([e_t, c_t], s_{t-1})
           logits_t = W_o [s_t, c_t, e_t] + b_o          without attention c_t = last
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torch_ref.generation import beam_search, generate
from torch_ref.nn.additive_attention import AdditiveAttention
from torch_ref.nn.multiplicative_attention import MultiplicativeAttention

State = tuple[Tensor, ...]


class Encoder(nn.Module):
    """A recurrent layer over token sequences of different lengths, and the decoder's start.

    Args:
        vocabulary: number of tokens.
        embedding_size: features of a token.
        hidden_size: H, of the states of all directions together.
        cell: 'gru' or 'lstm'.
        bidirectional: whether the layer also runs from the end.
        dtype: of the parameters.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding_size: int,
        hidden_size: int,
        cell: str = "gru",
        bidirectional: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding_size, dtype=dtype)
        self.rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(
            embedding_size,
            hidden_size // (2 if bidirectional else 1),
            batch_first=True,
            bidirectional=bidirectional,
            dtype=dtype,
        )
        self.bridge = nn.ModuleList(
            nn.Linear(hidden_size, hidden_size, dtype=dtype)
            for _ in range(2 if cell == "lstm" else 1)
        )

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Outputs (B, S, H), last state (B, H) and the decoder's first states (B, H)."""
        packed = pack_padded_sequence(
            self.embedding(source), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        run, ends = self.rnn(packed)
        outputs, _ = pad_packed_sequence(run, batch_first=True, total_length=source.shape[1])
        ends = ends if isinstance(ends, tuple) else (ends,)
        lasts = [end.transpose(0, 1).flatten(1) for end in ends]
        starts = [torch.tanh(f(last)) for f, last in zip(self.bridge, lasts, strict=True)]
        return outputs, lasts[0], *starts


class Decoder(nn.Module):
    """A recurrent cell that reads the last token and looks at the source, step after step.

    Args:
        vocabulary: V, number of tokens.
        embedding_size: features of a token.
        hidden_size: H, of the state and of the memory.
        cell: 'gru' or 'lstm'.
        attention: 'additive', 'general', 'dot', or None for a memory of one place.
        attention_size: A of 'additive'; None for H.
        dtype: of the parameters.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding_size: int,
        hidden_size: int,
        cell: str = "gru",
        attention: str | None = "additive",
        attention_size: int | None = None,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding_size, dtype=dtype)
        self.attention: Any = None
        if attention == "additive":
            size = attention_size or hidden_size
            self.attention = AdditiveAttention(hidden_size, hidden_size, size, dtype=dtype)
        elif attention is not None:
            self.attention = MultiplicativeAttention(
                hidden_size, hidden_size, attention, dtype=dtype
            )
        self.cell = (nn.LSTMCell if cell == "lstm" else nn.GRUCell)(
            embedding_size + hidden_size, hidden_size, dtype=dtype
        )
        self.output = nn.Linear(2 * hidden_size + embedding_size, vocabulary, dtype=dtype)

    def forward(
        self, target_in: Tensor, memory: Tensor, padding: Tensor, *states: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) of the next token after each, and the weights (B, T, S)."""
        embedded, keys = self.embedding(target_in), self.keys(memory)
        hs, contexts, weights = [], [], []
        for e in embedded.unbind(1):
            context, p = self._ask(states[0], keys, memory, padding)
            states = self._advance(torch.cat([e, context], 1), states)
            hs.append(states[0])
            contexts.append(context)
            weights.append(p)
        read = torch.cat([torch.stack(hs, 1), torch.stack(contexts, 1), embedded], 2)
        return self.output(read), torch.stack(weights, 1)

    def keys(self, memory: Tensor) -> Tensor:
        """What attention computes of the memory, once for all steps."""
        keys: Tensor = memory if self.attention is None else self.attention.keys(memory)
        return keys

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (R, V) after one more token (R,); the state is memory, keys, padding, states."""
        memory, keys, padding, *states = state
        e = self.embedding(tokens)
        context, _ = self._ask(states[0], keys, memory, padding)
        new = self._advance(torch.cat([e, context], 1), tuple(states))
        logits = self.output(torch.cat([new[0], context, e], 1))
        return logits, (memory, keys, padding, *new)

    def _ask(
        self, h: Tensor, keys: Tensor, memory: Tensor, padding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The context (B, H) and the weights (B, S) of one step."""
        if self.attention is None:
            return memory[:, 0], torch.ones_like(memory[:, :, 0])
        context, p = self.attention.ask(h[:, None], keys, memory, padding)
        return context[:, 0], p[:, 0]

    def _advance(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The cell, its states always in a tuple."""
        if isinstance(self.cell, nn.LSTMCell):
            both: tuple[Tensor, ...] = self.cell(x, states)
            return both
        return (self.cell(x, states[0]),)


class Seq2Seq(nn.Module):
    """From a sequence of tokens to another, of another length.

    Args:
        source_vocabulary: number of source tokens.
        target_vocabulary: V, number of target tokens.
        embedding_size: features of a token.
        hidden_size: H, of the decoder's state and of the encoder's, all directions together.
        cell: 'gru' or 'lstm', in both.
        attention: 'additive' (Bahdanau), 'general' or 'dot' (Luong), or None: the decoder then
            sees the encoder's last state only.
        attention_size: A of 'additive'; None for H.
        bidirectional: whether the encoder also runs from the end.
        dtype: of the parameters.

    Shape:
        source (B, S) with lengths (B,), target_in (B, T), which begins with <bos>, to logits
        (B, T, V). What is behind a source's end is not read.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        embedding_size: int = 620,
        hidden_size: int = 1000,
        cell: str = "gru",
        attention: str | None = "additive",
        attention_size: int | None = None,
        bidirectional: bool = True,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = embedding_size, hidden_size, cell
        self.encoder = Encoder(source_vocabulary, *sizes, bidirectional, dtype=dtype)
        self.decoder = Decoder(target_vocabulary, *sizes, attention, attention_size, dtype=dtype)

    def forward(self, source: Tensor, source_lengths: Tensor, target_in: Tensor) -> Tensor:
        """Logits of the token after each of `target_in`, which are given (teacher forcing)."""
        memory, padding, states = self._encode(source, source_lengths)
        logits: Tensor = self.decoder(target_in, memory, padding, *states)[0]
        return logits

    def alignment(self, source: Tensor, source_lengths: Tensor, target_in: Tensor) -> Tensor:
        """The weights p (B, T, S): where the decoder looked for the token after each."""
        memory, padding, states = self._encode(source, source_lengths)
        weights: Tensor = self.decoder(target_in, memory, padding, *states)[1]
        return weights

    @torch.no_grad()
    def greedy(
        self, source: Tensor, source_lengths: Tensor, bos: int, eos: int, max_length: int
    ) -> list[list[int]]:
        """The target by the most probable token at each step, without <bos> and <eos>."""
        state, first = self.start(source, source_lengths), torch.full_like(source[:, :1], bos)
        ids = generate(self.step, first, max_length, eos=eos, cache=state)
        return [_cut(row, eos) for row in ids[:, 1:].tolist()]

    @torch.no_grad()
    def beam_search(
        self,
        source: Tensor,
        source_lengths: Tensor,
        bos: int,
        eos: int,
        max_length: int,
        width: int = 5,
        length_penalty: float = 0.0,
    ) -> tuple[list[list[int]], Tensor]:
        """The target by beam search, without <bos> and <eos>, and log p / n^length_penalty (B,)."""
        state, first = self.start(source, source_lengths), torch.full_like(source[:, :1], bos)
        beams = beam_search(
            self.step, first, width, max_length, eos, length_penalty=length_penalty, cache=state
        )
        texts = beams.sequences[:, 0, 1:].tolist()
        return [_cut(row, eos) for row in texts], beams.scores[:, 0]

    def start(self, source: Tensor, source_lengths: Tensor) -> State:
        """The state before the first step: memory, keys, padding and the decoder's states."""
        memory, padding, states = self._encode(source, source_lengths)
        return memory, self.decoder.keys(memory), padding, *states

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (R, V) after one more token (R, 1), as `torch_ref.generation` asks for them."""
        return self.decoder.step(ids[:, 0], state)

    def _encode(
        self, source: Tensor, source_lengths: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Memory, padding and first states."""
        outputs, last, *starts = self.encoder(source, source_lengths)
        places = torch.arange(source.shape[1], device=source.device)
        if self.decoder.attention is None:
            outputs, places = last[:, None], places[:1]
        return outputs, places >= source_lengths.to(source.device)[:, None], tuple(starts)


def _cut(tokens: list[int], eos: int) -> list[int]:
    """What stands before the first <eos>."""
    return tokens[: tokens.index(eos)] if eos in tokens else tokens
