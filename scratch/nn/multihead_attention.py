"""Multi-head attention.                  Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2

forward    q = x_q W_q^T + b_q     k = x_k W_k^T + b_k     v = x_v W_v^T + b_v
           o_h = attention(q_h, k_h, v_h)     q_h: features h D ... (h + 1) D - 1 of q
           y = [o_0 ... o_(H-1)] W_o^T + b_o
backward   [do_0 ... do_(H-1)] = dy W_o       dq, dk, dv: attention's, head by head, side by side
           dx_q = dq W_q     dx_k = dk W_k    dx_v = dv W_v     W and b as in `linear`
options    bias_kv: one more key and value, learned; zero_attn: behind it one of zeros.
           Padding and masks say nothing of these two.
weights    with them P = softmax(S) m / (1 - rate) is returned, m the dropout mask, and dP adds to
           what y sends back; the mean over the heads, or each
shapes     x_q, y (L, B, E)   x_k (S, B, Ek)   x_v (S, B, Ev)   (B, L, E) ... if batch_first;
           W_q, W_k, W_v in one matrix (3E, E) where E = Ek = Ev; q_h (B, H, L, D), E = H D
torch      A bool mask is True where a key is *not* seen, other than
           F.scaled_dot_product_attention's. A query that sees nothing gives NaN with
           need_weights and 0 without. is_causal only says what attn_mask is.
start      Xavier's of W_q, W_k, W_v taken as one matrix (3E, E), so sqrt(6 / 4E) and not
           sqrt(6 / 2E); biases 0
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.linear import Linear, linear
from scratch.nn.module import Module, Parameter
from scratch.nn.module import value as held
from scratch.nn.op import Backward, op, unbroadcast
from scratch.nn.scaled_dot_product_attention import (
    dropout_noise,
    exponentials,
    heads,
    scaled_dot_product_attention,
)
from scratch.random import Generator, check_generator

NAME = "multi_head_attention_forward"
PACKED = ("in_proj_weight",)
SEPARATE = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
MASKS = ("key_padding_mask", "attn_mask")


@op
def multi_head_attention_forward(
    query: Array,
    key: Array,
    value: Array,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Array | None,
    in_proj_bias: Array | None,
    bias_k: Array | None,
    bias_v: Array | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Array,
    out_proj_bias: Array | None,
    training: bool = True,
    key_padding_mask: Array | None = None,
    need_weights: bool = True,
    attn_mask: Array | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Array | None = None,
    k_proj_weight: Array | None = None,
    v_proj_weight: Array | None = None,
    static_k: Array | None = None,
    static_v: Array | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
    generator: Generator | None = None,
    dropout_mask: Array | None = None,
) -> tuple[tuple[Array, Array | None], Backward]:
    """y = [attention of each head] W_o^T + b_o.

    Where arguments are the same array (self-attention: all three) they are projected at once.

    Args:
        query: x_q (L, B, E), or (L, E) without a batch.
        key: x_k (S, B, Ek), or (S, Ek).
        value: x_v (S, B, Ev), or (S, Ev).
        embed_dim_to_check: E.
        num_heads: H, which divides E.
        in_proj_weight: W_q, W_k and W_v one below the other (3E, E); None if they are separate.
        in_proj_bias: b_q, b_k and b_v (3E,); None for 0.
        bias_k: one more key (1, 1, E), beside bias_v; None for none.
        bias_v: its value.
        add_zero_attn: one more key and value of zeros.
        dropout_p: probability of dropping a weight, in training.
        out_proj_weight: W_o (O, E).
        out_proj_bias: b_o (O,); None for 0.
        training: whether to drop.
        key_padding_mask: (B, S) or (S,): bool, True where a key is padding, or floating, added to
            the scores.
        need_weights: whether the weights are returned.
        attn_mask: (L, S) or (B H, L, S): bool, True where a key is not seen, or floating.
        use_separate_proj_weight: whether W_q, W_k, W_v are the next three.
        q_proj_weight: W_q (E, E).
        k_proj_weight: W_k (E, Ek).
        v_proj_weight: W_v (E, Ev).
        static_k: keys (B H, S, D) in place of the projected ones.
        static_v: values (B H, S, D) likewise.
        average_attn_weights: whether the weights are the mean over the heads.
        is_causal: promises that attn_mask is the causal one, which is then not looked at if there
            is no padding and no need for weights.
        batch_first: whether the batch is the first axis of query, key, value and y.
        generator: where the dropout mask comes from; None draws a fresh one.
        dropout_mask: m (B, H, L, S, and the further keys), bool or of the query's dtype, in place
            of a draw.

    Returns:
        y as the query (but O features) and the weights (B, L, S) or (B, H, L, S), or None; and
        their backward: dy, dweights -> the gradients of all floating arrays that were given, in
        order; of query, key and value each its own where they are the same array.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape does not fit, or arguments that belong together do not come together.

    Source: Vaswani et al. 2017, section 3.2.2.
    """
    arrays: dict[str, Array | None] = {
        "query": query,
        "key": key,
        "value": value,
        "in_proj_weight": in_proj_weight,
        "in_proj_bias": in_proj_bias,
        "bias_k": bias_k,
        "bias_v": bias_v,
        "out_proj_weight": out_proj_weight,
        "out_proj_bias": out_proj_bias,
        "key_padding_mask": key_padding_mask,
        "attn_mask": attn_mask,
        "q_proj_weight": q_proj_weight,
        "k_proj_weight": k_proj_weight,
        "v_proj_weight": v_proj_weight,
        "static_k": static_k,
        "static_v": static_v,
    }
    flags = {
        "add_zero_attn": add_zero_attn,
        "training": training,
        "need_weights": need_weights,
        "use_separate_proj_weight": use_separate_proj_weight,
        "average_attn_weights": average_attn_weights,
        "is_causal": is_causal,
        "batch_first": batch_first,
    }
    for what, flag in flags.items():
        check.option(NAME, what, flag, (True, False))
    rate = check.number(NAME, "dropout_p", dropout_p, 0, 1) if training else 0.0
    layout = _checked(arrays, embed_dim_to_check, num_heads, use_separate_proj_weight, batch_first)
    if is_causal and attn_mask is None:
        check.refuse(NAME, "attn_mask beside is_causal", attn_mask)
    causal = is_causal and key_padding_mask is None and not need_weights

    packed = [] if in_proj_weight is None or use_separate_proj_weight else [in_proj_weight]
    separate = [w for w in (q_proj_weight, k_proj_weight, v_proj_weight) if w is not None]
    projected, project_back = _project(
        (query, key, value), packed or separate, in_proj_bias, layout
    )
    q, k, v = projected
    keys = k.shape[2]
    k = _extended(k if static_k is None else static_k.reshape(k.shape), bias_k, add_zero_attn)
    v = _extended(v if static_v is None else static_v.reshape(v.shape), bias_v, add_zero_attn)
    masks: dict[str, Array] = {}
    if key_padding_mask is not None:
        masks["key_padding_mask"] = key_padding_mask.reshape(-1, 1, 1, keys)
    if attn_mask is not None and not causal:
        masks["attn_mask"] = attn_mask.reshape(
            -1, num_heads if attn_mask.ndim == 3 else 1, *attn_mask.shape[-2:]
        )
    mask = _merged(list(masks.values()), k.shape[2] - keys, q)
    shape = (*q.shape[:3], k.shape[2])
    p: Array | None = None
    if need_weights:
        noise = dropout_noise(NAME, rate, generator, dropout_mask, shape, q)
        (o, p), attend_back = _attend(q, k, v, mask, noise)
    else:
        o, attend_back = scaled_dot_product_attention(
            q, k, v, mask, rate, causal, generator=generator, dropout_mask=dropout_mask
        )
    y, out_back = linear(layout.join(o), out_proj_weight, out_proj_bias)
    if p is not None:
        p = p.mean(1) if average_attn_weights else p
        p = p if layout.batched else p[0]

    def backward(dy: Array | None, dweights: Array | None) -> tuple[Array, ...]:
        grads: dict[str, Array] = {}
        dy = np.zeros(y.shape, y.dtype) if dy is None else dy
        djoined, grads["out_proj_weight"], *db = out_back(dy)
        grads |= zip(["out_proj_bias"], db, strict=False)
        dp = None
        if dweights is not None:
            dp = dweights if layout.batched else dweights[None]
            dp = dp[:, None] / num_heads if average_attn_weights else dp
        do = layout.split(djoined)
        dq, dk, dv, *dmask = attend_back(do, dp) if need_weights else attend_back(do)

        for name, given in masks.items():
            if given.dtype != bool:
                grads[name] = unbroadcast(dmask[0][..., :keys], given.shape)
        if bias_k is not None:
            grads["bias_k"], grads["bias_v"] = (d[:, :, keys].sum(0) for d in (dk, dv))
        dk, dv = dk[:, :, :keys], dv[:, :, :keys]
        if static_k is not None:
            grads["static_k"], dk = dk, np.zeros_like(dk)
        if static_v is not None:
            grads["static_v"], dv = dv, np.zeros_like(dv)
        dinputs, dweight, dbias = project_back(dq, dk, dv)
        grads |= zip(("query", "key", "value"), dinputs, strict=True)
        grads |= zip(PACKED if packed else SEPARATE, dweight, strict=True)
        if in_proj_bias is not None:
            grads["in_proj_bias"] = dbias
        return tuple(
            grads[name].reshape(x.shape) if name in grads else np.zeros_like(x)
            for name, x in arrays.items()
            if x is not None and x.dtype != bool
        )

    return (y, p), backward


class _Layout(NamedTuple):
    """How the features of a sequence are the heads': (L, B, H D) and (B, H, L, D)."""

    heads: int
    batch_first: bool
    batched: bool

    def split(self, x: Array) -> Array:
        """(L, B, E), (B, L, E) or (L, E) to (B, H, L, D), contiguous."""
        x = x.reshape(*(x.shape[:-1] if self.batched else (len(x), 1)), self.heads, -1)
        return np.ascontiguousarray(x.transpose((0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3)))

    def join(self, *parts: Array) -> Array:
        """The way back, several side by side: each (B, H, L, D) to (L, B, their number times E)."""
        axes = (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)
        x = np.stack([part.transpose(axes) for part in parts], 2)
        return x.reshape(*(x.shape[:2] if self.batched else (len(x),)), -1)


def _project(
    inputs: tuple[Array, Array, Array], weights: list[Array], bias: Array | None, layout: _Layout
) -> tuple[list[Array], Backward]:
    """Queries, keys and values (B, H, L, D); one product for neighbours that are one array.

    Backward: dq, dk, dv -> the gradients of the inputs, of the weights, and of the bias.
    """
    packed = len(weights) == 1
    size = len(weights[0]) // 3 if packed else len(weights[0])
    cuts = [0, 1, 2, 3]
    if packed:
        cuts = [i for i in cuts if i in (0, 3) or inputs[i] is not inputs[i - 1]]
    projected: list[Array] = []
    runs = []
    for i, j in pairwise(cuts):
        rows = slice(i * size, j * size)
        weight = weights[0][rows] if packed else weights[i]
        y, linear_back = linear(inputs[i], weight, None if bias is None else bias[rows])
        projected += map(layout.split, np.split(y, j - i, -1))
        runs.append((i, j, weight, linear_back))

    def backward(*dprojected: Array) -> tuple[list[Array], list[Array], Array | None]:
        dinputs: list[Array] = []
        dweights: list[Array] = []
        dbiases: list[Array] = []
        for i, j, weight, linear_back in runs:
            dy = layout.join(*dprojected[i:j])
            dx, dweight, *dbias = linear_back(dy, needs_input_grad=j - i == 1)
            dinputs += _each(dy, weight, j - i) if dx is None else [dx]
            dweights.append(dweight)
            dbiases += dbias
        if packed and len(dweights) > 1:
            dweights = [np.concatenate(dweights)]
        return dinputs, dweights, np.concatenate(dbiases) if dbiases else None

    return projected, backward


def _each(dy: Array, weight: Array, parts: int) -> list[Array]:
    """What each of several projections of one array sends back to it."""
    drows = np.split(dy.reshape(-1, dy.shape[-1]), parts, -1)
    each = zip(drows, np.split(weight, parts), strict=True)
    return [(d @ w).reshape(*dy.shape[:-1], -1) for d, w in each]


def _extended(x: Array, bias: Array | None, zero: bool) -> Array:
    """Keys or values (B, H, S, D), a learned one and one of zeros behind them."""
    one = (*x.shape[:2], 1, x.shape[3])
    parts = [x]
    if bias is not None:
        parts.append(np.broadcast_to(bias.reshape(one[1:]), one))
    if zero:
        parts.append(np.zeros(one, x.dtype))
    return np.concatenate(parts, 2) if len(parts) > 1 else x


def _merged(masks: list[Array], more: int, q: Array) -> Array | None:
    """One mask of all, as scaled_dot_product_attention takes it, that lets `more` keys be seen."""
    if not masks:
        return None
    mask: Array
    if all(m.dtype == bool for m in masks):
        mask = ~np.logical_or.reduce(np.broadcast_arrays(*masks))
    else:
        infinite = q.dtype.type(-np.inf)
        terms = [np.where(m, infinite, q.dtype.type(0)) if m.dtype == bool else m for m in masks]
        mask = terms[0] + terms[1] if len(terms) > 1 else terms[0]
    if more:
        seen = np.full((*mask.shape[:-1], more), mask.dtype == bool, mask.dtype)
        mask = np.concatenate([mask, seen], -1)
    return mask


def _attend(
    q: Array, k: Array, v: Array, mask: Array | None, noise: Array | None
) -> tuple[tuple[Array, Array], Backward]:
    """o = w v and w = softmax(a q k^T + mask) m / (1 - rate); NaN where nothing is seen.

    Backward: do, dw -> dq, dk, dv[, dmask], dmask of a floating mask.
    """
    a = 1 / math.sqrt(q.shape[-1])
    lead, n = q.shape[:2], math.prod(q.shape[:2])
    p = np.empty((n, q.shape[2], k.shape[2]), q.dtype)
    rows, columns = (x.reshape(n, *x.shape[2:]) for x in (q, k))
    exponentials(rows, columns, a, None if mask is None else heads(mask, lead)(slice(n)), out=p)
    p = p.reshape(*lead, *p.shape[1:])
    with np.errstate(invalid="ignore"):
        p /= p.sum(-1, keepdims=True)
    w = p if noise is None else p * noise
    learned = None if mask is None or mask.dtype == bool else mask.shape

    def backward(do: Array, dw: Array | None) -> tuple[Array, ...]:
        dp = do @ v.swapaxes(2, 3)
        if dw is not None:
            dp += dw
        if noise is not None:
            dp *= noise
        ds = p * (dp - np.vecdot(p, dp)[..., None])
        grads = a * (ds @ k), a * (ds.swapaxes(2, 3) @ q), w.swapaxes(2, 3) @ do
        return grads if learned is None else (*grads, unbroadcast(ds, learned))

    return (w @ v, w), backward


def _checked(
    arrays: dict[str, Array | None],
    embed_dim: int,
    num_heads: int,
    separate: bool,
    batch_first: bool,
) -> _Layout:
    """The layout of arrays whose shapes fit."""
    size = check.size(NAME, "embed_dim_to_check", embed_dim, low=1)
    number = check.size(NAME, "num_heads", num_heads, low=1)
    if size % number:
        check.refuse(NAME, f"a num_heads that divides {size}", number)
    q, k, v, out = (
        check.floating(NAME, what, arrays[what])
        for what in ("query", "key", "value", "out_proj_weight")
    )
    if q.ndim not in (2, 3):
        check.refuse(NAME, "query of shape (L, B, E), or (L, E) without a batch", q.shape)
    needed = SEPARATE if separate else PACKED
    for what, x in arrays.items():
        if what in MASKS and x is not None:
            if not isinstance(x, np.ndarray) or x.dtype not in (bool, q.dtype):
                expected = f"{what} to be a bool or {q.dtype} array"
                check.refuse(NAME, expected, check.describe(x), TypeError)
        elif x is not None or what in needed:
            check.floating(NAME, what, x, like=q)

    layout = _Layout(number, batch_first and q.ndim == 3, q.ndim == 3)
    batch = 1 if q.ndim == 2 else q.shape[0 if layout.batch_first else 1]

    def sequence(length: int | str, features: int | str) -> tuple[int | str, ...]:
        axes = (batch, length) if layout.batch_first else (length, batch)
        return (*axes, features) if layout.batched else (length, features)

    own: int | str = "E" if separate else size
    axis = 1 if layout.batch_first else 0
    length, keys = q.shape[axis], k.shape[axis] if k.ndim == q.ndim else 0
    shapes: dict[str, tuple[int | str, ...]] = {
        "query": sequence("L", size),
        "key": sequence("S", own),
        "value": sequence(keys, own),
    }
    for what, shape in shapes.items():
        _check_shape(arrays, what, shape)
    all_heads = (batch * number, keys, size // number)
    more = {
        "in_proj_weight": (3 * size, size),
        "in_proj_bias": (3 * size,),
        "q_proj_weight": (size, size),
        "k_proj_weight": (size, k.shape[-1]),
        "v_proj_weight": (size, v.shape[-1]),
        "out_proj_weight": ("O", size),
        "out_proj_bias": out.shape[:1],
        "static_k": all_heads,
        "static_v": all_heads,
        "key_padding_mask": (batch, keys) if layout.batched else (keys,),
    }
    for what, shape in more.items():
        _check_shape(arrays, what, shape)
    for what in ("bias_k", "bias_v"):
        x = arrays[what]
        if x is not None and (x.size != size or x.shape[-1:] != (size,) or x.ndim > 3):
            check.refuse(NAME, f"{what} of shape (1, 1, {size})", x.shape)
    mask = arrays["attn_mask"]
    if mask is not None and mask.shape not in ((length, keys), (batch * number, length, keys)):
        expected = f"attn_mask of shape {(length, keys)} or {(batch * number, length, keys)}"
        check.refuse(NAME, expected, mask.shape)
    if (arrays["bias_k"] is None) != (arrays["bias_v"] is None):
        check.refuse(NAME, "bias_k and bias_v together", "one of them")
    static = arrays["static_k"] is not None or arrays["static_v"] is not None
    if arrays["bias_k"] is not None and static:
        check.refuse(NAME, "no static_k or static_v beside bias_k", "both")
    return layout


def _check_shape(arrays: dict[str, Array | None], what: str, shape: Sequence[int | str]) -> None:
    array = arrays[what]
    if array is not None:
        check.shape(NAME, what, array, shape)


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that it has in torch's MultiheadAttention."""


class MultiheadAttention(Module):
    """`multi_head_attention_forward` with learned projections.

    Args:
        embed_dim: E, features of the queries, of the heads together, and of the result.
        num_heads: H, which divides E.
        dropout: probability of dropping a weight, in training mode.
        bias: whether the projections have biases.
        add_bias_kv: whether one more key and value are learned.
        add_zero_attn: whether one more key and value are zeros.
        kdim: features of the keys; None for E.
        vdim: features of the values; None for E.
        batch_first: whether the batch is the first axis.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        query (L, B, E), key (S, B, kdim) and value (S, B, vdim) to (L, B, E) and the weights
        (B, L, S), or None; without a batch or with batch_first as in the function.

    Raises:
        TypeError, ValueError: if a size is no positive integer, num_heads does not divide
            embed_dim, or `dropout` is no probability.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = "MultiheadAttention"
        self.embed_dim = check.size(name, "embed_dim", embed_dim, low=1)
        self.num_heads = check.size(name, "num_heads", num_heads, low=1)
        if embed_dim % num_heads:
            check.refuse(name, f"a num_heads that divides {embed_dim}", num_heads)
        self.kdim = embed_dim if kdim is None else check.size(name, "kdim", kdim, low=1)
        self.vdim = embed_dim if vdim is None else check.size(name, "vdim", vdim, low=1)
        self.dropout = check.number(name, "dropout", dropout, 0, 1)
        flags = {"bias": bias, "add_bias_kv": add_bias_kv, "add_zero_attn": add_zero_attn}
        for what, flag in {**flags, "batch_first": batch_first}.items():
            check.option(name, what, flag, (True, False))
        check_generator(name, generator)
        self.add_zero_attn = add_zero_attn
        self.batch_first = batch_first
        self.generator = generator or Generator()

        def learned(*shape: int) -> Parameter:
            return Parameter(np.zeros(shape, dtype))

        packed = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = learned(3 * embed_dim, embed_dim) if packed else None
        self.q_proj_weight = None if packed else learned(embed_dim, embed_dim)
        self.k_proj_weight = None if packed else learned(embed_dim, self.kdim)
        self.v_proj_weight = None if packed else learned(embed_dim, self.vdim)
        self.in_proj_bias = learned(3 * embed_dim) if bias else None
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias, dtype=dtype, generator=self.generator
        )
        self.bias_k = learned(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = learned(1, 1, embed_dim) if add_bias_kv else None
        self._reset_parameters(self.generator)

    def _reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start of all but out_proj.weight, as torch does."""
        generator = generator or Generator()
        matrices = self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        for matrix in matrices:
            if matrix is not None:
                init.xavier_uniform_(matrix, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias, generator=generator)

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Array | None = None,
        need_weights: bool = True,
        attn_mask: Array | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        dropout_mask: Array | None = None,
    ) -> tuple[tuple[Array, Array | None], Backward]:
        """y and the weights; the arguments are those of the function.

        Backward: dy, dweights -> dquery, dkey, dvalue, and of floating masks.
        """
        (y, weights), attend_back = multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            held(self.in_proj_weight),
            held(self.in_proj_bias),
            held(self.bias_k),
            held(self.bias_v),
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight.data,
            held(self.out_proj.bias),
            self.training,
            key_padding_mask,
            need_weights,
            attn_mask,
            self.in_proj_weight is None,
            held(self.q_proj_weight),
            held(self.k_proj_weight),
            held(self.v_proj_weight),
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
            generator=self.generator,
            dropout_mask=dropout_mask,
        )
        inputs, out = (query, key, value), (self.out_proj.weight, self.out_proj.bias)
        biases = self.in_proj_bias, self.bias_k, self.bias_v
        separate = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        masks = key_padding_mask, attn_mask
        given = [
            x
            for x in (*inputs, self.in_proj_weight, *biases, *out, *masks, *separate)
            if x is not None and x.dtype != bool
        ]

        def backward(dy: Array | None, dweights: Array | None) -> tuple[Array, ...]:
            dinputs = []
            for x, dx in zip(given, attend_back(dy, dweights), strict=True):
                if isinstance(x, Parameter):
                    x.accumulate(dx)
                else:
                    dinputs.append(dx)
            return tuple(dinputs)

        return (y, weights), backward

    def _reads(self) -> list[tuple[str, Parameter]]:
        return [*super()._reads(), ("out_proj.weight", self.out_proj.weight)]
