"""Layers of the Transformer.                       Vaswani et al. 2017, arXiv:1706.03762, section 3

encoder    u = norm1(x + A(x))               y = norm2(u + F(u))
decoder    u = norm1(x + A(x))               w = norm2(u + C(u, m))           y = norm3(w + F(w))
norm_first u = x + A(norm1 x)                y = u + F(norm2 u)               so too the decoder's
A, C, F    attention to x itself; to the memory m; F(u) = W_2 f(W_1 u + b_1) + b_2
dropout    behind each of the three, behind f, and of attention's weights
backward   a sum sends its gradient both ways: dx = ds + A'(ds), ds = norm1'(du)
shapes     x, y (L, B, D)   m (S, B, D), or (B, L, D) and (B, S, D) if batch_first; without B too
torch      norm_first=False, as in the paper; no final norm. Attention's weights are not returned:
           a query that sees nothing gets 0. In evaluation mode and where no gradients are asked
           for, torch's encoder runs fused code that gives zeros at padded positions; this does
           there what both do in training.
masks      floating ones are constants here; nn.MultiheadAttention differentiates them.
Source     norm_first: Xiong et al. 2020, arXiv:2002.04745, figure 1
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.dropout import Dropout
from scratch.nn.gelu import gelu
from scratch.nn.layer_norm import LayerNorm
from scratch.nn.linear import Linear
from scratch.nn.module import Module
from scratch.nn.multihead_attention import MultiheadAttention
from scratch.nn.op import Backward
from scratch.nn.rectifier import relu
from scratch.random import Generator, check_generator

Activation = Callable[[Array], tuple[Array, Backward]]
ACTIVATIONS: dict[str, Activation] = {"relu": relu, "gelu": gelu}


class _TransformerLayer(Module):
    """What both layers share: the three branches."""

    self_attn: MultiheadAttention
    linear1: Linear
    dropout: Dropout
    linear2: Linear
    activation: Activation

    def _attend(
        self,
        attention: MultiheadAttention,
        dropout: Dropout,
        x: Array,
        memory: Array,
        attn_mask: Array | None,
        key_padding_mask: Array | None,
        is_causal: bool,
    ) -> tuple[Array, Backward]:
        """What x finds in a memory; backward: dy -> dx, dmemory."""
        (a, _), attention_back = attention(
            x,
            memory,
            memory,
            key_padding_mask,
            need_weights=False,
            attn_mask=attn_mask,
            is_causal=is_causal,
        )
        y, dropout_back = dropout(a)

        def backward(dy: Array) -> tuple[Array, Array]:
            dquery, dkey, dvalue, *_ = attention_back(dropout_back(dy), None)
            return dquery, dkey + dvalue

        return y, backward

    def _attend_to_itself(self, dropout: Dropout, x: Array, *masks: Any) -> tuple[Array, Backward]:
        """What x finds in itself; backward: dy -> dx."""
        y, attend_back = self._attend(self.self_attn, dropout, x, x, *masks)

        def backward(dy: Array) -> Array:
            dquery, dmemory = attend_back(dy)
            dx: Array = dquery + dmemory
            return dx

        return y, backward

    def _feed_forward(self, x: Array, dropout: Dropout) -> tuple[Array, Backward]:
        """W_2 f(W_1 x + b_1) + b_2."""
        h, linear1_back = self.linear1(x)
        f, activation_back = self.activation(h)
        f, inner_back = self.dropout(f)
        y, linear2_back = self.linear2(f)
        y, dropout_back = dropout(y)

        def backward(dy: Array) -> Array:
            df = inner_back(linear2_back(dropout_back(dy)))
            dx: Array = linear1_back(activation_back(df))
            return dx

        return y, backward


class TransformerEncoderLayer(_TransformerLayer):
    """Attention to itself and a feed-forward network, each with a residual and a norm.

    Args:
        d_model: D, features of the input and the output.
        nhead: heads, which divide D.
        dim_feedforward: features of W_1's output.
        dropout: probability of dropping.
        activation: f: 'relu', 'gelu', or an op or module of one argument.
        layer_norm_eps: of the norms.
        batch_first: whether the batch is the first axis.
        norm_first: whether the norms stand in front of the branches.
        bias: whether projections and norms have biases.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        (L, B, D), (B, L, D) or (L, D) to the same.

    Raises:
        TypeError, ValueError: if a size is no positive integer, or an option is unknown.

    Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "TransformerEncoderLayer"
        generator = _checked(name, dim_feedforward, norm_first, generator)
        draws: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **draws
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **draws)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **draws)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, generator=generator)
        self.dropout2 = Dropout(dropout, generator=generator)
        self.activation = _activation(name, activation)

    def forward(
        self,
        src: Array,
        src_mask: Array | None = None,
        src_key_padding_mask: Array | None = None,
        is_causal: bool = False,
    ) -> tuple[Array, Backward]:
        """The masks are those of MultiheadAttention; backward: dy -> dx."""
        masks = src_mask, src_key_padding_mask, is_causal
        return self._norm_first(src, *masks) if self.norm_first else self._norm_last(src, *masks)

    def _norm_last(self, x: Array, *masks: Any) -> tuple[Array, Backward]:
        a, attend_back = self._attend_to_itself(self.dropout1, x, *masks)
        u, norm1_back = self.norm1(x + a)
        f, feed_forward_back = self._feed_forward(u, self.dropout2)
        y, norm2_back = self.norm2(u + f)

        def backward(dy: Array) -> Array:
            dr = norm2_back(dy)  # into the residual and into the branch
            ds = norm1_back(dr + feed_forward_back(dr))
            dx: Array = ds + attend_back(ds)
            return dx

        return y, backward

    def _norm_first(self, x: Array, *masks: Any) -> tuple[Array, Backward]:
        n, norm1_back = self.norm1(x)
        a, attend_back = self._attend_to_itself(self.dropout1, n, *masks)
        u = x + a
        n, norm2_back = self.norm2(u)
        f, feed_forward_back = self._feed_forward(n, self.dropout2)

        def backward(dy: Array) -> Array:
            du = dy + norm2_back(feed_forward_back(dy))
            dx: Array = du + norm1_back(attend_back(du))
            return dx

        return u + f, backward


class TransformerDecoderLayer(_TransformerLayer):
    """Attention to itself, attention to a memory and a feed-forward network.

    Args:
        d_model: D, features of the input, the memory and the output.
        nhead: heads, which divide D.
        dim_feedforward: features of W_1's output.
        dropout: probability of dropping.
        activation: f: 'relu', 'gelu', or an op or module of one argument.
        layer_norm_eps: of the norms.
        batch_first: whether the batch is the first axis.
        norm_first: whether the norms stand in front of the branches.
        bias: whether projections and norms have biases.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        tgt (L, B, D) and memory (S, B, D), (B, L, D) and (B, S, D), or both without B, to tgt's.

    Raises:
        TypeError, ValueError: if a size is no positive integer, or an option is unknown.

    Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "TransformerDecoderLayer"
        generator = _checked(name, dim_feedforward, norm_first, generator)
        draws: dict[str, Any] = {"dtype": dtype, "generator": generator}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **draws
        )
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **draws
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **draws)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **draws)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, generator=generator)
        self.dropout2 = Dropout(dropout, generator=generator)
        self.dropout3 = Dropout(dropout, generator=generator)
        self.activation = _activation(name, activation)

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array | None = None,
        memory_mask: Array | None = None,
        tgt_key_padding_mask: Array | None = None,
        memory_key_padding_mask: Array | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> tuple[Array, Backward]:
        """The masks are those of MultiheadAttention; backward: dy -> dx, dm."""
        own = tgt_mask, tgt_key_padding_mask, tgt_is_causal
        theirs = memory_mask, memory_key_padding_mask, memory_is_causal
        run = self._norm_first if self.norm_first else self._norm_last
        return run(tgt, memory, own, theirs)

    def _norm_last(self, x: Array, m: Array, own: Any, theirs: Any) -> tuple[Array, Backward]:
        a, attend_back = self._attend_to_itself(self.dropout1, x, *own)
        u, norm1_back = self.norm1(x + a)
        c, look_back = self._attend(self.multihead_attn, self.dropout2, u, m, *theirs)
        w, norm2_back = self.norm2(u + c)
        f, feed_forward_back = self._feed_forward(w, self.dropout3)
        y, norm3_back = self.norm3(w + f)

        def backward(dy: Array) -> tuple[Array, Array]:
            dt = norm3_back(dy)  # into the residual and into the branch
            ds = norm2_back(dt + feed_forward_back(dt))
            du, dm = look_back(ds)
            dr = norm1_back(ds + du)
            return dr + attend_back(dr), dm

        return y, backward

    def _norm_first(self, x: Array, m: Array, own: Any, theirs: Any) -> tuple[Array, Backward]:
        n, norm1_back = self.norm1(x)
        a, attend_back = self._attend_to_itself(self.dropout1, n, *own)
        u = x + a
        n, norm2_back = self.norm2(u)
        c, look_back = self._attend(self.multihead_attn, self.dropout2, n, m, *theirs)
        w = u + c
        n, norm3_back = self.norm3(w)
        f, feed_forward_back = self._feed_forward(n, self.dropout3)

        def backward(dy: Array) -> tuple[Array, Array]:
            dw = dy + norm3_back(feed_forward_back(dy))
            dn, dm = look_back(dw)
            du = dw + norm2_back(dn)
            return du + norm1_back(attend_back(du)), dm

        return w + f, backward


def _checked(
    name: str, dim_feedforward: int, norm_first: bool, generator: Generator | None
) -> Generator:
    """The generator that all parts draw from; the parts check the rest."""
    check.size(name, "dim_feedforward", dim_feedforward, low=1)
    check.option(name, "norm_first", norm_first, (True, False))
    check_generator(name, generator)
    return generator or Generator()


def _activation(name: str, activation: object) -> Any:
    """The op or module, or the one that a string names."""
    if callable(activation):
        return activation
    check.option(name, "activation", activation, tuple(ACTIVATIONS))
    return ACTIVATIONS[str(activation)]
