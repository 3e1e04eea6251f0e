"""Sequence to sequence with attention.             Bahdanau, Cho & Bengio 2015, arXiv:1409.0473

encoder    m_1 ... m_S, last = rnn(E_x x_1 ... x_S)      in both directions, over the true lengths
bridge     s_0 = tanh(W_b last + b_b)                    LSTM: so is its second state
decoder    c_t, p_t = attention(s_{t-1}, m)              the query is the state *before* the step
           s_t = cell([e_t, c_t], s_{t-1})               e_t = E_y y_{t-1}, y_0 = <bos>
           logits_t = W_o [s_t, c_t, e_t] + b_o
without    attention: c_t = last at each step            Cho et al. 2014, arXiv:1406.1078
backward   t = T ... 1: ds_t is what logits_t, the cell of t + 1 and the query of t + 1 send back;
           dc_t comes from logits_t and cell_t; dm and d(U m) add up over t, and the encoder's
           backward runs once, at the end
shapes     x (B, S)   y (B, T)   m (B, S, H)   p (B, T, S)   logits (B, T, V)
differs    The paper has an encoder of H units in each direction, here H in both together, so that
           'dot' fits; the bridge there reads the second direction only; a maxout layer stands
           before the logits there; its scores' start is near 0. Luong et al. 2015 ask with the
           state *after* the step.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.generation import beam_search, generate
from scratch.nn.additive_attention import AdditiveAttention
from scratch.nn.module import Module
from scratch.nn.multiplicative_attention import MultiplicativeAttention
from scratch.nn.op import Backward
from scratch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from scratch.random import Generator

CELLS = ("gru", "lstm")
ATTENTIONS = ("additive", "general", "dot", None)
State = tuple[Array, ...]


class Encoder(Module):
    """A recurrent layer over token sequences of different lengths, and the decoder's start.

    Args:
        vocabulary: number of tokens.
        embedding_size: features of a token.
        hidden_size: H, of the states of all directions together.
        cell: 'gru' or 'lstm'.
        bidirectional: whether the layer also runs from the end.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        tokens (B, S) and lengths (B,) to outputs (B, S, H), 0 behind the ends, the last state
        (B, H) and the decoder's first states, each (B, H).
    """

    def __init__(
        self,
        vocabulary: int,
        embedding_size: int,
        hidden_size: int,
        cell: str = "gru",
        bidirectional: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        _checked("Encoder", vocabulary, embedding_size, hidden_size, cell)
        check.option("Encoder", "bidirectional", bidirectional, (True, False))
        directions = 2 if bidirectional else 1
        if hidden_size % directions:
            check.refuse("Encoder", "an even hidden_size for two directions", hidden_size)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.embedding = nn.Embedding(vocabulary, embedding_size, **options)
        self.rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(
            embedding_size,
            hidden_size // directions,
            batch_first=True,
            bidirectional=bidirectional,
            **options,
        )
        self.bridge = nn.ModuleList(
            nn.Linear(hidden_size, hidden_size, **options) for _ in range(_states(cell))
        )

    def forward(self, source: Array, lengths: Array) -> tuple[tuple[Array, ...], Backward]:
        """Outputs, last state and the decoder's first states."""
        embedded, embedding_back = self.embedding(source)
        packed, pack_back = pack_padded_sequence(
            embedded, lengths, batch_first=True, enforce_sorted=False
        )
        (run, ends), rnn_back = self.rnn(packed)
        (outputs, _), pad_back = pad_packed_sequence(
            run, batch_first=True, total_length=source.shape[1]
        )
        ends = ends if isinstance(ends, tuple) else (ends,)
        lasts = [_joined(end) for end in ends]
        bridged = [linear(last) for linear, last in zip(self.bridge, lasts, strict=True)]
        starts = [np.tanh(a) for a, _ in bridged]

        def backward(doutputs: Array, dlast: Array, *dstarts: Array) -> None:
            dends = []
            for (_, bridge_back), start, dstart in zip(bridged, starts, dstarts, strict=True):
                dends.append(bridge_back(dstart * (1 - start) * (1 + start)))
            dends[0] = dends[0] + dlast
            directions = len(ends[0])
            dhidden = tuple(_parted(dend, directions) for dend in dends)
            drun = pad_back(doutputs, None)
            dpacked = rnn_back(drun, dhidden if len(dhidden) > 1 else dhidden[0])
            embedding_back(pack_back(dpacked))

        return (outputs, lasts[0], *starts), backward


class Decoder(Module):
    """A recurrent cell that reads the last token and looks at the source, step after step.

    Args:
        vocabulary: V, number of tokens.
        embedding_size: features of a token.
        hidden_size: H, of the state and of the memory.
        cell: 'gru' or 'lstm'.
        attention: 'additive', 'general', 'dot', or None for a memory of one place.
        attention_size: A of 'additive'; None for H.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        tokens (B, T), memory (B, S, H), padding (B, S) and first states (B, H) to logits (B, T, V)
        and weights (B, T, S).
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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        _checked("Decoder", vocabulary, embedding_size, hidden_size, cell)
        check.option("Decoder", "attention", attention, ATTENTIONS)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.embedding = nn.Embedding(vocabulary, embedding_size, **options)
        self.attention: Any = None
        if attention == "additive":
            size = hidden_size if attention_size is None else attention_size
            self.attention = AdditiveAttention(hidden_size, hidden_size, size, **options)
        elif attention is not None:
            self.attention = MultiplicativeAttention(hidden_size, hidden_size, attention, **options)
        self.cell = (nn.LSTMCell if cell == "lstm" else nn.GRUCell)(
            embedding_size + hidden_size, hidden_size, **options
        )
        self.output = nn.Linear(2 * hidden_size + embedding_size, vocabulary, **options)

    def forward(
        self, target_in: Array, memory: Array, padding: Array, *states: Array
    ) -> tuple[tuple[Array, Array], Backward]:
        """Logits of the next token after each, and where each step looked."""
        embedded, embedding_back = self.embedding(target_in)
        keys, keys_back = self.keys(memory)
        hs, contexts, weights, backs = [], [], [], []
        for e in embedded.swapaxes(0, 1):
            (context, p), ask_back = self._ask(states[0], keys, memory, padding)
            states, cell_back = self._advance(np.concatenate([e, context], 1), states)
            hs.append(states[0])
            contexts.append(context)
            weights.append(p)
            backs.append((ask_back, cell_back))
        read = np.concatenate([np.stack(hs, 1), np.stack(contexts, 1), embedded], 2)
        logits, output_back = self.output(read)
        hidden = states[0].shape[1]

        def backward(dlogits: Array, dweights: Array | None = None) -> tuple[Array | None, ...]:
            dread = output_back(dlogits)
            dhs, dcontexts = dread[:, :, :hidden], dread[:, :, hidden : 2 * hidden]
            dembedded = dread[:, :, 2 * hidden :].copy()
            dkeys, dmemory = np.zeros_like(keys), np.zeros_like(memory)
            dstates = [np.zeros_like(state) for state in states]
            for t in reversed(range(len(backs))):
                ask_back, cell_back = backs[t]
                dstates[0] = dstates[0] + dhs[:, t]
                dx, *dstates = cell_back(*dstates)
                de, dcontext = np.split(dx, [dembedded.shape[2]], 1)
                dembedded[:, t] += de
                dp = None if dweights is None else dweights[:, t]
                dquery, dkeys_t, dmemory_t = ask_back(dcontexts[:, t] + dcontext, dp)
                dstates[0] = dstates[0] + dquery
                dkeys += dkeys_t
                dmemory += dmemory_t
            embedding_back(dembedded)
            return dmemory + keys_back(dkeys), *dstates

        return (logits, np.stack(weights, 1)), backward

    def keys(self, memory: Array) -> tuple[Array, Backward]:
        """What attention computes of the memory, once for all steps."""
        if self.attention is None:
            return memory, lambda dkeys: dkeys
        keys: tuple[Array, Backward] = self.attention.keys(memory)
        return keys

    def step(self, tokens: Array, state: State) -> tuple[Array, State]:
        """Logits (R, V) after one more token (R,); the state is memory, keys, padding, states."""
        memory, keys, padding, *states = state
        e, _ = self.embedding(tokens)
        (context, _), _ = self._ask(states[0], keys, memory, padding)
        new, _ = self._advance(np.concatenate([e, context], 1), tuple(states))
        logits, _ = self.output(np.concatenate([new[0], context, e], 1))
        return logits, (memory, keys, padding, *new)

    def _ask(
        self, h: Array, keys: Array, memory: Array, padding: Array
    ) -> tuple[tuple[Array, Array], Backward]:
        """The context (B, H) and the weights (B, S) of one step."""
        if self.attention is None:  # a memory of one place
            ones = np.ones(memory.shape[:2], memory.dtype)
            zeros = np.zeros_like(h), np.zeros_like(memory)
            return (memory[:, 0], ones), lambda dcontext, dp: (*zeros, dcontext[:, None])
        (context, p), ask_back = self.attention.ask(h[:, None], keys, memory, padding)

        def backward(dcontext: Array, dp: Array | None) -> tuple[Array, Array, Array]:
            dp = None if dp is None else dp[:, None]
            dquery, dkeys, dmemory = ask_back(dcontext[:, None], dp)
            return dquery[:, 0], dkeys, dmemory

        return (context[:, 0], p[:, 0]), backward

    def _advance(self, x: Array, states: tuple[Array, ...]) -> tuple[tuple[Array, ...], Backward]:
        """The cell, its states always in a tuple."""
        if isinstance(self.cell, nn.LSTMCell):
            return self.cell(x, states)
        h, cell_back = self.cell(x, states[0])
        return (h,), cell_back

    def _reads(self) -> list[tuple[str, Any]]:
        """v of additive attention too: `ask` is no call that guards it."""
        return [] if self.attention is None else self.attention._own(nn.Parameter)


class Seq2Seq(Module):
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
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        source (B, S) with lengths (B,), target_in (B, T), which begins with <bos>, to logits
        (B, T, V). What is behind a source's end is not read.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or an option unknown; in a
            forward, if tokens or lengths are no integers in their range.

    Source: Bahdanau, Cho & Bengio 2015, arXiv:1409.0473.
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
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "Seq2Seq"
        check.size(name, "source_vocabulary", source_vocabulary, low=1)
        check.size(name, "target_vocabulary", target_vocabulary, low=1)
        check.size(name, "embedding_size", embedding_size, low=1)
        check.size(name, "hidden_size", hidden_size, low=1)
        check.option(name, "cell", cell, CELLS)
        check.option(name, "attention", attention, ATTENTIONS)
        if attention_size is not None:
            check.size(name, "attention_size", attention_size, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        sizes = embedding_size, hidden_size, cell
        self.encoder = Encoder(source_vocabulary, *sizes, bidirectional, **options)
        self.decoder = Decoder(target_vocabulary, *sizes, attention, attention_size, **options)

    def forward(
        self, source: Array, source_lengths: Array, target_in: Array
    ) -> tuple[Array, Backward]:
        """Logits of the token after each of `target_in`, which are given (teacher forcing)."""
        (logits, _), run_back = self._run(source, source_lengths, target_in)
        return logits, run_back

    def alignment(self, source: Array, source_lengths: Array, target_in: Array) -> Array:
        """The weights p (B, T, S): where the decoder looked for the token after each."""
        (_, weights), _ = self._run(source, source_lengths, target_in)
        return weights

    def _run(
        self, source: Array, source_lengths: Array, target_in: Array
    ) -> tuple[tuple[Array, Array], Backward]:
        """Logits and weights; backward: dlogits."""
        _check_tokens("Seq2Seq", "target_in", target_in)
        (memory, padding, states), encoder_back = self._encode(source, source_lengths)
        if len(target_in) != len(source):
            check.refuse("Seq2Seq", f"target_in of {len(source)} rows", len(target_in))
        outputs, decoder_back = self.decoder(target_in, memory, padding, *states)

        def backward(dlogits: Array) -> None:
            encoder_back(*decoder_back(dlogits, None))

        return outputs, backward

    def greedy(
        self, source: Array, source_lengths: Array, bos: int, eos: int, max_length: int
    ) -> list[list[int]]:
        """The target by the most probable token at each step.

        Args:
            source: (B, S) integers.
            source_lengths: (B,), each in [1, S].
            bos: token that stands before the first.
            eos: token that ends a target.
            max_length: tokens of a target at most, <eos> among them.

        Returns:
            The tokens of each target, without <bos> and <eos>.

        Raises:
            TypeError, ValueError: if tokens, lengths or a number do not fit.
        """
        state, first = self.start(source, source_lengths), np.full((len(source), 1), bos)
        ids = generate(self.step, first, max_length, eos=eos, cache=state)
        return [_cut(row, eos) for row in ids[:, 1:].tolist()]

    def beam_search(
        self,
        source: Array,
        source_lengths: Array,
        bos: int,
        eos: int,
        max_length: int,
        width: int = 5,
        length_penalty: float = 0.0,
    ) -> tuple[list[list[int]], Array]:
        """The target by beam search.

        Args:
            source: (B, S) integers.
            source_lengths: (B,), each in [1, S].
            bos: token that stands before the first.
            eos: token that ends a target.
            max_length: tokens of a target at most, <eos> among them.
            width: hypotheses that are kept; 1 without a penalty is greedy.
            length_penalty: a, log p is divided by n^a; 0 favours short targets.

        Returns:
            The tokens of each target, without <bos> and <eos>, and log p / n^a of each (B,).

        Raises:
            TypeError, ValueError: if tokens, lengths or a number do not fit.
        """
        state, first = self.start(source, source_lengths), np.full((len(source), 1), bos)
        beams = beam_search(
            self.step, first, width, max_length, eos, length_penalty=length_penalty, cache=state
        )
        texts = beams.sequences[:, 0, 1:].tolist()
        return [_cut(row, eos) for row in texts], beams.scores[:, 0]

    def start(self, source: Array, source_lengths: Array) -> State:
        """The state before the first step: memory, keys, padding and the decoder's states."""
        (memory, padding, states), _ = self._encode(source, source_lengths)
        keys, _ = self.decoder.keys(memory)
        return memory, keys, padding, *states

    def step(self, ids: Array, state: State) -> tuple[Array, State]:
        """Logits (R, V) after one more token (R, 1), as `scratch.generation` asks for them."""
        return self.decoder.step(ids[:, 0], state)

    def _encode(
        self, source: Array, source_lengths: Array
    ) -> tuple[tuple[Array, Array, tuple[Array, ...]], Backward]:
        """Memory, padding and first states; backward: dmemory, dstates."""
        _check_tokens("Seq2Seq", "source", source)
        lengths = check.integer("Seq2Seq", "source_lengths", source_lengths, 1, source.shape[1] + 1)
        check.shape("Seq2Seq", "source_lengths", lengths, (len(source),))
        (outputs, last, *starts), encoder_back = self.encoder(source, lengths)
        if self.decoder.attention is None:
            padding = np.zeros((len(source), 1), bool)

            def without(dmemory: Array, *dstarts: Array) -> None:
                encoder_back(np.zeros_like(outputs), dmemory[:, 0], *dstarts)

            return (last[:, None], padding, tuple(starts)), without
        padding = np.arange(source.shape[1]) >= lengths[:, None]

        def backward(dmemory: Array, *dstarts: Array) -> None:
            encoder_back(dmemory, np.zeros_like(last), *dstarts)

        return (outputs, padding, tuple(starts)), backward


def _cut(tokens: list[int], eos: int) -> list[int]:
    """What stands before the first <eos>."""
    return tokens[: tokens.index(eos)] if eos in tokens else tokens


def _states(cell: str) -> int:
    return 2 if cell == "lstm" else 1


def _joined(end: Array) -> Array:
    """The last states of all directions (D, B, h) side by side (B, D h)."""
    return np.concatenate(list(end), 1)


def _parted(dend: Array, directions: int) -> Array:
    """The way back."""
    return np.stack(np.split(dend, directions, 1))


def _checked(name: str, vocabulary: int, embedding_size: int, hidden_size: int, cell: str) -> None:
    check.size(name, "vocabulary", vocabulary, low=1)
    check.size(name, "embedding_size", embedding_size, low=1)
    check.size(name, "hidden_size", hidden_size, low=1)
    check.option(name, "cell", cell, CELLS)


def _check_tokens(name: str, what: str, tokens: object) -> None:
    """Integers (B, T), at least one step; the embedding looks at their range."""
    if not isinstance(tokens, np.ndarray) or tokens.dtype.kind not in "iu":
        check.refuse(name, f"{what} to be an integer array", check.describe(tokens), TypeError)
    if tokens.ndim != 2 or not tokens.shape[1]:
        check.refuse(name, f"{what} of shape (B, T), T >= 1", tokens.shape)
