"""The Transformer, from a sequence to another.            Vaswani et al. 2017, arXiv:1706.03762

embedding  e = sqrt(D) E[id] + P      P: sinusoids of the positions; then dropout
encoder    m = layer_N(... layer_1(e_source))                    padding is not seen
decoder    y = layer_N(... layer_1(e_target, m) ..., m)          nor, in the target, what comes
output     logits = W y               shared: both E and W are one matrix (section 3.4)
layer      x = norm(x + dropout(branch(x))): attention to itself, to m, W_2 relu(W_1 x)
backward   dm adds up over the decoder's layers, then the encoder's backward runs once; a shared
           matrix gets three gradients, those of the embeddings times sqrt(D)
shapes     source (B, S)   target_in (B, T)   e, y (B, T, D)   m (B, S, D)   logits (B, T, V)
step       one token after the other, from the keys and values of those before, which are kept, and
           of the memory, which are computed once
start      E from N(0, 1 / D), so that e begins with variance 1, as in tensor2tensor; matrices in
           the layers Xavier's, as in nn.Transformer
differs    The layers are torch's: eps 1e-5, biases, dropout also of attention's weights and behind
           the relu, which the paper does not mention; its code drops there too. nn.Transformer has
           one more norm behind each stack. Padding of the target stands behind its end, where the
           causal mask hides it.
training   the paper: Adam (0.9, 0.98, 1e-9), Noam's schedule, labels smoothed by 0.1
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.generation import beam_search, generate, wu_penalty
from scratch.nn import functional as F
from scratch.nn import init
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.scaled_dot_product_attention import together
from scratch.random import Generator

# Padding (B, S) and, of each layer, k and v of the target so far and those of the memory.
Cache = tuple[Array | None, list[tuple[Array, ...]]]


class Transformer(Module):
    """Encoder and decoder with embeddings, positions and the output layer.

    Args:
        source_vocabulary: number of source tokens.
        target_vocabulary: V, number of target tokens.
        d_model: D, features of a token.
        nhead: heads of attention, which divide D.
        num_encoder_layers: N of the encoder.
        num_decoder_layers: N of the decoder.
        dim_feedforward: features inside a feed-forward layer.
        dropout: probability of dropping.
        shared: whether both embeddings and the output layer are one matrix, as in the paper, for
            which the vocabularies must be one.
        pad: the source token that is padding where no lengths are given.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        source (B, S) with lengths (B,), or None, and target_in (B, T), which begins with <bos>, to
        logits (B, T, V).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or an option does not fit; in a
            forward, if tokens or lengths are no integers in their range.

    Source: Vaswani et al. 2017, section 3.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        shared: bool = False,
        pad: int = 0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "Transformer"
        check.size(name, "source_vocabulary", source_vocabulary, low=1)
        check.size(name, "target_vocabulary", target_vocabulary, low=1)
        check.size(name, "d_model", d_model, low=1)
        check.size(name, "num_encoder_layers", num_encoder_layers, low=1)
        check.size(name, "num_decoder_layers", num_decoder_layers, low=1)
        check.option(name, "shared", shared, (True, False))
        self.pad = check.size(name, "pad", pad)
        if shared and source_vocabulary != target_vocabulary:
            got = f"{source_vocabulary} and {target_vocabulary}"
            check.refuse(name, "vocabularies of one size to be shared", got)
        draws: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        sizes = d_model, nhead, dim_feedforward, dropout
        self.source_embedding = nn.Embedding(source_vocabulary, d_model, **draws)
        self.target_embedding = nn.Embedding(target_vocabulary, d_model, **draws)
        self.positions = nn.SinusoidalPositionalEncoding(
            d_model, dropout, generator=draws["generator"]
        )
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(*sizes, batch_first=True, **draws)
            for _ in range(num_encoder_layers)
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(*sizes, batch_first=True, **draws)
            for _ in range(num_decoder_layers)
        )
        self.output = nn.Linear(d_model, target_vocabulary, bias=False, **draws)
        if shared:
            self.source_embedding.weight = self.output.weight
            self.target_embedding.weight = self.output.weight
        self.scale = d_model**0.5
        for stack in (self.encoder, self.decoder):
            for weight in stack.parameters():
                if len(weight.shape) > 1:
                    init.xavier_uniform_(weight, generator=draws["generator"])
        ends = self.source_embedding, self.target_embedding, self.output
        for weight in dict.fromkeys(end.weight for end in ends):
            init.normal_(weight, std=1 / self.scale, generator=draws["generator"])

    def forward(
        self, source: Array, source_lengths: Array | None, target_in: Array
    ) -> tuple[Array, Backward]:
        """Logits of the token after each of `target_in`, which are given (teacher forcing)."""
        target = _tokens("target_in", target_in)
        (memory, padding), encoder_back = self._encode(source, source_lengths)
        check.shape("Transformer", "target_in", target, (len(source), "T"))
        y, embedding_back = self._embedded(self.target_embedding, target)
        hidden = np.triu(np.ones((target.shape[1], target.shape[1]), bool), 1)
        backs = []
        for layer in self.decoder:
            y, layer_back = layer(
                y, memory, hidden, memory_key_padding_mask=padding, tgt_is_causal=True
            )
            backs.append(layer_back)
        logits, output_back = self.output(y)

        def backward(dlogits: Array) -> None:
            dy = output_back(dlogits)
            dmemory = np.zeros_like(memory)
            for layer_back in reversed(backs):
                dy, dm = layer_back(dy)
                dmemory += dm
            embedding_back(dy)
            encoder_back(dmemory)

        return logits, backward

    def encode(self, source: Array, source_lengths: Array | None = None) -> tuple[Array, Backward]:
        """The encoder alone.

        Args:
            source: (B, S) integers.
            source_lengths: (B,), each in [1, S]; None: up to the padding.

        Returns:
            The memory m (B, S, D), and its backward, which returns None.

        Raises:
            TypeError, ValueError: if tokens or lengths do not fit.
        """
        (memory, _), encoder_back = self._encode(source, source_lengths)
        return memory, encoder_back

    def greedy(
        self,
        source: Array,
        source_lengths: Array | None,
        bos: int,
        eos: int,
        max_length: int,
    ) -> list[list[int]]:
        """The target by the most probable token at each step; `eval()` comes first.

        Args:
            source: (B, S) integers.
            source_lengths: (B,), each in [1, S]; None: up to the padding.
            bos: token that stands before the first.
            eos: token that ends a target.
            max_length: tokens of a target at most, <eos> among them.

        Returns:
            The tokens of each target, without <bos> and <eos>.

        Raises:
            TypeError, ValueError: if tokens, lengths or a number do not fit.
        """
        cache, first = self.start(source, source_lengths), np.full((len(source), 1), bos)
        ids = generate(self.step, first, max_length, eos=eos, cache=cache)
        return [_cut(row, eos) for row in ids[:, 1:].tolist()]

    def beam_search(
        self,
        source: Array,
        source_lengths: Array | None,
        bos: int,
        eos: int,
        max_length: int,
        width: int = 4,
        alpha: float = 0.6,
    ) -> tuple[list[list[int]], Array]:
        """The target by beam search; `eval()` comes first.

        Args:
            source: (B, S) integers.
            source_lengths: (B,), each in [1, S]; None: up to the padding.
            bos: token that stands before the first.
            eos: token that ends a target.
            max_length: tokens of a target at most, <eos> among them.
            width: hypotheses that are kept.
            alpha: of Wu's length penalty; 0 for none, which favours short targets.

        Returns:
            The tokens of each target, without <bos> and <eos>, and log p / penalty of each (B,).

        Raises:
            TypeError, ValueError: if tokens, lengths or a number do not fit.

        Source: section 6.1.
        """
        cache, first = self.start(source, source_lengths), np.full((len(source), 1), bos)
        penalty = wu_penalty(alpha)
        beams = beam_search(
            self.step, first, width, max_length, eos, length_penalty=penalty, cache=cache
        )
        texts = beams.sequences[:, 0, 1:].tolist()
        return [_cut(row, eos) for row in texts], beams.scores[:, 0]

    def attention_maps(
        self, source: Array, source_lengths: Array | None, target_in: Array
    ) -> Array:
        """Where each head of the decoder looks in the source, without dropout.

        Args:
            source: (B, S) integers.
            source_lengths: (B,), each in [1, S]; None: up to the padding.
            target_in: (B, T) integers.

        Returns:
            The weights (N, B, H, T, S), which sum to 1 over the last axis.

        Raises:
            TypeError, ValueError: if tokens or lengths do not fit.
        """
        cache = self.start(source, source_lengths)
        _, (padding, layers), queries = self._decode(target_in, cache)
        maps = [_weights(q, layer[2], padding) for q, layer in zip(queries, layers, strict=True)]
        return np.stack(maps)

    def start(self, source: Array, source_lengths: Array | None = None) -> Cache:
        """The cache before the first step: of each layer no k and v yet, and the memory's."""
        (memory, padding), _ = self._encode(source, source_lengths)
        layers: list[tuple[Array, ...]] = []
        layer: Any
        for layer in self.decoder:
            k, v = _projected(layer.multihead_attn, memory, 1, 3)
            layers.append((k[:, :, :0], v[:, :, :0], k, v))
        return padding, layers

    def step(self, ids: Array, cache: Cache) -> tuple[Array, Cache]:
        """Logits (R, V) after some more tokens (R, t), as `scratch.generation` asks for them."""
        y, cache, _ = self._decode(ids, cache)
        return self.output(y[:, -1])[0], cache

    def _decode(self, ids: Array, cache: Cache) -> tuple[Array, Cache, list[Array]]:
        """y (R, t, D) of some more tokens, the cache behind them, queries to the memory."""
        padding, layers = cache
        check.shape("Transformer", "ids", _tokens("ids", ids), (len(layers[0][0]), "t"))
        t, past = ids.shape[1], layers[0][0].shape[2]
        e, _ = self.target_embedding(ids)
        y, _ = F.sinusoidal_encoding(e * self.scale, offset=past)
        earlier = np.tri(t, past + t, past, dtype=bool) if t > 1 else None
        seen = None if padding is None else ~padding[:, None, None]
        held: list[tuple[Array, ...]] = []
        queries = []
        layer: Any
        for layer, (k, v, memory_k, memory_v) in zip(self.decoder, layers, strict=True):
            q, new_k, new_v = _projected(layer.self_attn, y, 0, 3)
            k, v = np.concatenate([k, new_k], 2), np.concatenate([v, new_v], 2)
            u, _ = layer.norm1(y + _attended(layer.self_attn, q, k, v, earlier))
            (q,) = _projected(layer.multihead_attn, u, 0, 1)
            w, _ = layer.norm2(u + _attended(layer.multihead_attn, q, memory_k, memory_v, seen))
            h, _ = layer.linear1(w)
            f, _ = layer.linear2(F.relu(h)[0])
            y, _ = layer.norm3(w + f)
            held.append((k, v, memory_k, memory_v))
            queries.append(q)
        return y, (padding, held), queries

    def _encode(
        self, source: Array, source_lengths: Array | None
    ) -> tuple[tuple[Array, Array | None], Backward]:
        """Memory and padding; backward: dmemory."""
        padding = self._padding(_tokens("source", source), source_lengths)
        x, embedding_back = self._embedded(self.source_embedding, source)
        backs = []
        for layer in self.encoder:
            x, layer_back = layer(x, src_key_padding_mask=padding)
            backs.append(layer_back)

        def backward(dx: Array) -> None:
            for layer_back in reversed(backs):
                dx = layer_back(dx)
            embedding_back(dx)

        return (x, padding), backward

    def _embedded(self, embedding: nn.Embedding, ids: Array) -> tuple[Array, Backward]:
        """dropout(sqrt(D) E[id] + P)."""
        e, embedding_back = embedding(ids)
        y, positions_back = self.positions(e * self.scale)
        return y, lambda dy: embedding_back(positions_back(dy) * self.scale)

    def _padding(self, source: Array, source_lengths: Array | None) -> Array | None:
        """True (B, S) behind the ends, None if there is nothing."""
        if source_lengths is None:
            padding: Array = source == self.pad
            if padding.all(1).any():
                check.refuse("Transformer", "sources with a token in each", "one of padding only")
        else:
            steps = source.shape[1]
            lengths = check.integer("Transformer", "source_lengths", source_lengths, 1, steps + 1)
            check.shape("Transformer", "source_lengths", lengths, (len(source),))
            padding = np.arange(steps) >= lengths[:, None]
        return padding if padding.any() else None


def _projected(attention: Any, x: Array, first: int, last: int) -> list[Array]:
    """Of queries (0), keys (1) and values (2) those from first to last, each (B, H, T, d)."""
    heads, size = attention.num_heads, attention.embed_dim
    rows = slice(first * size, last * size)
    y, _ = F.linear(x, attention.in_proj_weight.data[rows], attention.in_proj_bias.data[rows])
    parts = y.reshape(*x.shape[:2], last - first, heads, size // heads)
    return list(parts.transpose(2, 0, 3, 1, 4))


def _attended(attention: Any, q: Array, k: Array, v: Array, seen: Array | None) -> Array:
    """What q finds, (B, T, D)."""
    a, _ = F.scaled_dot_product_attention(q, k, v, seen)
    y: Array = attention.out_proj(together(a))[0]
    return y


def _weights(q: Array, k: Array, padding: Array | None) -> Array:
    """softmax(q k^T / sqrt(d)) (B, H, T, S)."""
    scores = q @ k.swapaxes(2, 3) * q.shape[3] ** -0.5
    if padding is not None:
        scores = np.where(padding[:, None, None], np.array(-np.inf, q.dtype), scores)
    return F.softmax(scores, -1)[0]


def _tokens(what: str, ids: object) -> Array:
    """Integers (B, T), at least one; the embedding looks at their range."""
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu":
        check.refuse(
            "Transformer", f"{what} to be an integer array", check.describe(ids), TypeError
        )
    if ids.ndim != 2 or not ids.shape[1]:
        check.refuse("Transformer", f"{what} of shape (B, T), T >= 1", ids.shape)
    return ids


def _cut(tokens: list[int], eos: int) -> list[int]:
    """What stands before the first <eos>."""
    return tokens[: tokens.index(eos)] if eos in tokens else tokens
