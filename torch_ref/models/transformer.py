"""The Transformer, from a sequence to another.            Vaswani et al. 2017, arXiv:1706.03762

embedding  e = sqrt(D) E[id] + P      P: sinusoids of the positions; then dropout
encoder    m = layer_N(... layer_1(e_source))
decoder    y = layer_N(... layer_1(e_target, m) ..., m)
output     logits = W y               shared: both E and W are one matrix
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.generation import beam_search, generate, wu_penalty
from torch_ref.nn.positional_encoding import SinusoidalPositionalEncoding, sinusoidal_encoding

Cache = tuple[Tensor, list[tuple[Tensor, ...]]]


class Transformer(nn.Module):
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
        shared: whether both embeddings and the output layer are one matrix, as in the paper.
        pad: the source token that is padding where no lengths are given.
        dtype: of the parameters.

    Shape:
        source (B, S) with lengths (B,), or None, and target_in (B, T), which begins with <bos>, to
        logits (B, T, V).
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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.pad = pad
        options: dict[str, Any] = {"batch_first": True, "dtype": dtype}
        sizes = d_model, nhead, dim_feedforward, dropout
        self.source_embedding = nn.Embedding(source_vocabulary, d_model, dtype=dtype)
        self.target_embedding = nn.Embedding(target_vocabulary, d_model, dtype=dtype)
        self.positions = SinusoidalPositionalEncoding(d_model, dropout)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(*sizes, **options) for _ in range(num_encoder_layers)
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(*sizes, **options) for _ in range(num_decoder_layers)
        )
        self.output = nn.Linear(d_model, target_vocabulary, bias=False, dtype=dtype)
        if shared:
            self.source_embedding.weight = self.output.weight
            self.target_embedding.weight = self.output.weight
        self.scale = d_model**0.5
        for stack in (self.encoder, self.decoder):
            for weight in stack.parameters():
                if weight.dim() > 1:
                    nn.init.xavier_uniform_(weight)
        for end in (self.source_embedding, self.target_embedding, self.output):
            nn.init.normal_(end.weight, std=1 / self.scale)

    def forward(self, source: Tensor, source_lengths: Tensor | None, target_in: Tensor) -> Tensor:
        """Logits of the token after each of `target_in`, which are given (teacher forcing)."""
        padding = self._padding(source, source_lengths)
        memory = self._encode(source, padding)
        y = self.positions(self.target_embedding(target_in) * self.scale)
        hidden = padding.new_ones(target_in.shape[1], target_in.shape[1]).triu(1)
        for layer in self.decoder:
            y = layer(y, memory, hidden, memory_key_padding_mask=padding, tgt_is_causal=True)
        logits: Tensor = self.output(y)
        return logits

    def encode(self, source: Tensor, source_lengths: Tensor | None = None) -> Tensor:
        """The encoder alone: memory (B, S, D)."""
        return self._encode(source, self._padding(source, source_lengths))

    @torch.no_grad()
    def greedy(
        self, source: Tensor, source_lengths: Tensor | None, bos: int, eos: int, max_length: int
    ) -> list[list[int]]:
        """The target by the most probable token at each step, without <bos> and <eos>."""
        cache, first = self.start(source, source_lengths), torch.full_like(source[:, :1], bos)
        ids = generate(self.step, first, max_length, eos=eos, cache=cache)
        return [_cut(row, eos) for row in ids[:, 1:].tolist()]

    @torch.no_grad()
    def beam_search(
        self,
        source: Tensor,
        source_lengths: Tensor | None,
        bos: int,
        eos: int,
        max_length: int,
        width: int = 4,
        alpha: float = 0.6,
    ) -> tuple[list[list[int]], Tensor]:
        """The target by beam search, without <bos> and <eos>, and log p / Wu's penalty (B,)."""
        cache, first = self.start(source, source_lengths), torch.full_like(source[:, :1], bos)
        penalty = wu_penalty(alpha)
        beams = beam_search(
            self.step, first, width, max_length, eos, length_penalty=penalty, cache=cache
        )
        texts = beams.sequences[:, 0, 1:].tolist()
        return [_cut(row, eos) for row in texts], beams.scores[:, 0]

    @torch.no_grad()
    def attention_maps(
        self, source: Tensor, source_lengths: Tensor | None, target_in: Tensor
    ) -> Tensor:
        """Where each head of the decoder looks in the source: weights (N, B, H, T, S)."""
        cache = self.start(source, source_lengths)
        _, (padding, layers), queries = self._decode(target_in, cache)
        maps = []
        for q, (_, _, k, _) in zip(queries, layers, strict=True):
            scores = q @ k.mT * q.shape[3] ** -0.5
            maps.append(scores.masked_fill(padding[:, None, None], -torch.inf).softmax(-1))
        return torch.stack(maps)

    def start(self, source: Tensor, source_lengths: Tensor | None = None) -> Cache:
        """The cache before the first step: of each layer no k and v yet, and the memory's."""
        padding = self._padding(source, source_lengths)
        memory = self._encode(source, padding)
        layers: list[tuple[Tensor, ...]] = []
        layer: Any
        for layer in self.decoder:
            k, v = _projected(layer.multihead_attn, memory, 1, 3)
            layers.append((k[:, :, :0], v[:, :, :0], k, v))
        return padding, layers

    def step(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Logits (R, V) after some more tokens (R, t), as `torch_ref.generation` asks for them."""
        y, cache, _ = self._decode(ids, cache)
        return self.output(y[:, -1]), cache

    def _decode(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache, list[Tensor]]:
        """y (R, t, D) of some more tokens, the cache behind them, queries to the memory."""
        padding, layers = cache
        t, past = ids.shape[1], layers[0][0].shape[2]
        y = sinusoidal_encoding(self.target_embedding(ids) * self.scale, offset=past)
        earlier = padding.new_ones(t, past + t).tril(past)
        seen = ~padding[:, None, None]
        held: list[tuple[Tensor, ...]] = []
        queries = []
        layer: Any
        for layer, (k, v, memory_k, memory_v) in zip(self.decoder, layers, strict=True):
            q, new_k, new_v = _projected(layer.self_attn, y, 0, 3)
            k, v = torch.cat([k, new_k], 2), torch.cat([v, new_v], 2)
            u = layer.norm1(y + _attended(layer.self_attn, q, k, v, earlier))
            (q,) = _projected(layer.multihead_attn, u, 0, 1)
            w = layer.norm2(u + _attended(layer.multihead_attn, q, memory_k, memory_v, seen))
            y = layer.norm3(w + layer.linear2(F.relu(layer.linear1(w))))
            held.append((k, v, memory_k, memory_v))
            queries.append(q)
        return y, (padding, held), queries

    def _encode(self, source: Tensor, padding: Tensor) -> Tensor:
        """The memory."""
        x: Tensor = self.positions(self.source_embedding(source) * self.scale)
        for layer in self.encoder:
            x = layer(x, src_key_padding_mask=padding)
        return x

    def _padding(self, source: Tensor, source_lengths: Tensor | None) -> Tensor:
        """True (B, S) behind the ends."""
        if source_lengths is None:
            return source == self.pad
        places = torch.arange(source.shape[1], device=source.device)
        return places >= source_lengths.to(source.device)[:, None]


def _projected(attention: Any, x: Tensor, first: int, last: int) -> list[Tensor]:
    """Of queries (0), keys (1) and values (2) those from first to last, each (B, H, T, d)."""
    rows = slice(first * attention.embed_dim, last * attention.embed_dim)
    y = F.linear(x, attention.in_proj_weight[rows], attention.in_proj_bias[rows])
    parts = y.view(*x.shape[:2], last - first, attention.num_heads, -1)
    return list(parts.permute(2, 0, 3, 1, 4))


def _attended(attention: Any, q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """What q finds, (B, T, D)."""
    a = F.scaled_dot_product_attention(q, k, v, seen)
    y: Tensor = attention.out_proj(a.transpose(1, 2).flatten(2))
    return y


def _cut(tokens: list[int], eos: int) -> list[int]:
    """What stands before the first <eos>."""
    return tokens[: tokens.index(eos)] if eos in tokens else tokens
