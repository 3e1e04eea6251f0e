"""The Transformer.                                  Vaswani et al. 2017, arXiv:1706.03762, figure 1

encoder    m = norm(layer_N(... layer_1(x)))
decoder    y = norm(layer_N(... layer_1(t, m) ..., m))
backward   from the last layer to the first; dm adds up over the decoder's layers, and with it the
           encoder's backward runs once
shapes     x, m (S, B, D)   t, y (L, B, D), or (B, S, D) and (B, L, D) if batch_first
torch      The layers are copies of one, so all start alike, until Transformer draws all matrices
           anew (Xavier's). The final norm is none of the paper's, which has its norms last. There
           are no embeddings and no output layer. Where is_causal is None a causal mask, floating
           or bool, is recognised.
"""

import copy
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.container import ModuleList
from scratch.nn.layer_norm import LayerNorm
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.nn.rectifier import relu
from scratch.nn.transformer_layer import (
    Activation,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from scratch.random import Generator


class TransformerEncoder(Module):
    """Encoder layers one after the other.

    Args:
        encoder_layer: what the layers are copies of.
        num_layers: N.
        norm: behind the last one, or None.
        enable_nested_tensor: kept from torch's signature, an engine's option.
        mask_check: likewise.

    Shape:
        (S, B, D), (B, S, D) or (S, D) to the same, as of the layer.

    Raises:
        TypeError, ValueError: if the layer is no Module or their number no integer >= 0.

    Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = _optional("TransformerEncoder", norm)
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Array,
        mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        is_causal: bool | None = None,
    ) -> tuple[Array, Backward]:
        """m; the masks are those of MultiheadAttention; backward: dm -> dx."""
        is_causal = _is_causal("TransformerEncoder", mask, is_causal)
        y, backs = src, []
        for layer in self.layers:
            y, layer_back = layer(y, mask, src_key_padding_mask, is_causal)
            backs.append(layer_back)
        y, norm_back = _normed(self.norm, y)

        def backward(dy: Array) -> Array:
            dy = norm_back(dy)
            for layer_back in reversed(backs):
                dy = layer_back(dy)
            return dy

        return y, backward


class TransformerDecoder(Module):
    """Decoder layers one after the other, which all look at the memory.

    Args:
        decoder_layer: what the layers are copies of.
        num_layers: N.
        norm: behind the last one, or None.

    Shape:
        tgt (L, B, D) and memory (S, B, D), as of the layer, to tgt's.

    Raises:
        TypeError, ValueError: if the layer is no Module or their number no integer >= 0.

    Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = _optional("TransformerDecoder", norm)

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> tuple[Array, Backward]:
        """y; the masks are those of MultiheadAttention; backward: dy -> dt, dm."""
        tgt_is_causal = _is_causal("TransformerDecoder", tgt_mask, tgt_is_causal)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        y, backs = tgt, []
        for layer in self.layers:
            y, layer_back = layer(y, memory, *masks, tgt_is_causal, memory_is_causal)
            backs.append(layer_back)
        y, norm_back = _normed(self.norm, y)

        def backward(dy: Array) -> tuple[Array, Array]:
            dy, dmemory = norm_back(dy), np.zeros_like(memory)
            for layer_back in reversed(backs):
                dy, dm = layer_back(dy)
                dmemory += dm
            return dy, dmemory

        return y, backward


class Transformer(Module):
    """Encoder and decoder.

    Args:
        d_model: D, features of the inputs and the output.
        nhead: heads, which divide D.
        num_encoder_layers: of the encoder.
        num_decoder_layers: of the decoder.
        dim_feedforward: features in between of the feed-forward networks.
        dropout: probability of dropping.
        activation: 'relu', 'gelu', or an op or module of one argument.
        custom_encoder: in place of the encoder.
        custom_decoder: in place of the decoder.
        layer_norm_eps: of the norms.
        batch_first: whether the batch is the first axis.
        norm_first: whether the norms stand in front of the branches.
        bias: whether projections and norms have biases.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        src (S, B, D) and tgt (L, B, D), with batch_first (B, S, D) and (B, L, D), or without B, to
        tgt's.

    Raises:
        TypeError, ValueError: if a size is no positive integer, or an option is unknown.

    Source: Vaswani et al. 2017, figure 1.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        generator = generator or Generator()
        sizes = d_model, nhead, dim_feedforward, dropout, activation
        options = layer_norm_eps, batch_first, norm_first, bias
        draws: dict[str, Any] = {"dtype": dtype, "generator": generator}
        norm: dict[str, Any] = {"eps": layer_norm_eps, "bias": bias, "dtype": dtype}
        self.encoder = _optional("Transformer", custom_encoder)
        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(*sizes, *options, **draws)
            self.encoder = TransformerEncoder(
                encoder_layer, num_encoder_layers, LayerNorm(d_model, **norm)
            )
        self.decoder = _optional("Transformer", custom_decoder)
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(*sizes, *options, **draws)
            self.decoder = TransformerDecoder(
                decoder_layer, num_decoder_layers, LayerNorm(d_model, **norm)
            )
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self._reset_parameters(generator)

    def _reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw all matrices from Xavier's uniform distribution."""
        generator = generator or Generator()
        for parameter in self.parameters():
            if parameter.data.ndim > 1:
                init.xavier_uniform_(parameter, generator=generator)

    def forward(
        self,
        src: Array,
        tgt: Array,
        src_mask: Array | None = None,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> tuple[Array, Backward]:
        """y; the masks are those of MultiheadAttention; backward: dy -> dx, dt."""
        _check_inputs(src, tgt, self.d_model, self.batch_first)
        memory, encoder_back = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        y, decoder_back = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

        def backward(dy: Array) -> tuple[Array, Array]:
            dtgt, dmemory = decoder_back(dy)
            return encoder_back(dmemory), dtgt

        return y, backward

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: DTypeLike = np.float32) -> Array:
        """A floating mask (sz, sz): 0 where j <= i, otherwise -inf.

        Args:
            sz: length of the sequence.
            dtype: float32 or float64.
        """
        name = "Transformer.generate_square_subsequent_mask"
        n = check.size(name, "sz", sz)
        check.option(name, "dtype", np.dtype(dtype), [np.dtype(t) for t in ("f4", "f8")])
        return np.triu(np.full((n, n), -np.inf, dtype), 1)


def _copies(name: str, layer: object, number: int) -> ModuleList:
    """So many copies of a layer, parameters and all; they draw from one generator, as in torch."""
    if not isinstance(layer, Module):
        check.refuse(name, "a Module as layer", check.describe(layer), TypeError)
    shared = {
        id(part.generator): part.generator for part in layer.modules() if hasattr(part, "generator")
    }
    number = check.size(name, "num_layers", number)
    return ModuleList(copy.deepcopy(layer, dict(shared)) for _ in range(number))


def _optional(name: str, module: Any) -> Any:
    if module is not None and not isinstance(module, Module):
        check.refuse(name, "a Module or None", check.describe(module), TypeError)
    return module


def _normed(norm: Module | None, x: Array) -> tuple[Array, Backward]:
    return (x, lambda dy: dy) if norm is None else norm(x)


def _is_causal(name: str, mask: Array | None, is_causal: bool | None) -> bool:
    """Whether a mask is said to be the causal one, or where nothing is said, is it."""
    check.option(name, "is_causal", is_causal, (True, False, None))
    if is_causal is not None or not isinstance(mask, np.ndarray) or mask.ndim != 2:
        return bool(is_causal)
    seen = np.tri(*mask.shape, dtype=np.bool_)
    blocked = ~seen if mask.dtype == bool else np.where(seen, 0, -np.inf)
    return np.array_equal(mask, blocked)


def _check_inputs(src: object, tgt: object, d_model: int, batch_first: bool) -> None:
    """Both sequences of D features, and of one batch."""
    arrays = [check.floating("Transformer", what, x) for what, x in (("src", src), ("tgt", tgt))]
    for what, x in zip(("src", "tgt"), arrays, strict=True):
        if x.ndim not in (2, 3) or x.shape[-1] != d_model:
            check.refuse(
                "Transformer", f"{what} of shape (L, B, {d_model}) or (L, {d_model})", x.shape
            )
    batches = {x.shape[0 if batch_first else 1] if x.ndim == 3 else None for x in arrays}
    if len(batches) > 1:
        got = " and ".join(str(x.shape) for x in arrays)
        check.refuse("Transformer", "src and tgt of one batch", got)
