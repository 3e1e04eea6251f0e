"""Scaled dot-product attention.              Vaswani et al. 2017, arXiv:1706.03762, equation 1

forward    s_ij = a q_i . k_j (+ mask_ij)      a = 1 / sqrt(E), or as given
           e_ij = e^(s_ij - c_i)     z_i = sum_j e_ij     p_ij = e_ij / z_i     y_i = sum_j p_ij v_j
backward   g_i = dy_i / z_i          dv_j = sum_i e_ij g_i              dp_ij / z_i = g_i . v_j
           ds_ij = e_ij (g_i . v_j - sum_j e_ij (g_i . v_j) / z_i)      dmask_ij = ds_ij
           dq_i = a sum_j ds_ij k_j            dk_j = a sum_i ds_ij q_i
dropout    p_ij m_ij / (1 - rate) in y in place of p_ij; (g_i . v_j) m_ij / (1 - rate) in ds and dv
shapes     q (..., L, E)   k (..., S, E)   v (..., S, Ev)   y (..., L, Ev)   mask (..., L, S)
c_i        any number: the largest s_ij, so that e^s does not overflow, or 0 where no s can be large
memory     e is all that is kept of size (..., L, S), and m where there is dropout. It is not
           divided by z, a pass over it less: y and g, which are smaller, are.
torch      a bool mask is True where a key is seen; nn.MultiheadAttention's is True where not.
           is_causal sees j <= i, counted from the first key also where L differs from S (top left);
           a decoder with a cache wants the other corner. A row that sees nothing gives 0, not NaN.
"""

import math
from collections.abc import Callable

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op, unbroadcast
from scratch.random import Generator, check_generator
from scratch.threads import for_each

BLOCK = 2**18  # scores that are worked on at once: a megabyte of float32
SAFE = 30.0  # e^30 is far from overflow, and e^-30 from 0, in float32 too

Heads = Callable[[slice], Array]


@op
def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    generator: Generator | None = None,
    dropout_mask: Array | None = None,
) -> tuple[Array, Backward]:
    """y = softmax(a q k^T + mask) v.

    Args:
        query: q (..., L, E).
        key: k (..., S, E); leading axes broadcast.
        value: v (..., S, Ev).
        attn_mask: broadcasts to (..., L, S): bool, True where a key is seen, or of q's dtype and
            added to the scores; None for all keys.
        dropout_p: probability of dropping a weight; beware, there is no training mode here.
        is_causal: query i sees the keys j <= i; then without `attn_mask`.
        scale: a; None for 1 / sqrt(E).
        enable_gqa: grouped queries: k and v have fewer heads (axis -3), each of which serves as
            many consecutive heads of q.
        generator: where the dropout mask comes from; None draws a fresh one.
        dropout_mask: m (..., L, S), bool or of q's dtype, in place of a draw (of which
            dropout_p = 0 and 1 have none).

    Returns:
        y (..., L, Ev), and its backward: dy -> dq, dk, dv[, dmask], dmask of a floating mask.

    Raises:
        TypeError: if an array has the wrong dtype or `generator` is no Generator.
        ValueError: if shapes do not fit, an option is out of range, or a mask is given beside
            `is_causal`.

    Source: Vaswani et al. 2017, equation 1; grouped queries: Ainslie et al. 2023, arXiv:2305.13245.
    """
    name = "scaled_dot_product_attention"
    q, k, v, lead = checked(name, query, key, value, enable_gqa)
    length, keys = q.shape[-2], k.shape[-2]
    mask = checked_mask(name, attn_mask, is_causal, (*lead, length, keys), q)
    a = factor(name, scale, q)
    rate = check.number(name, "dropout_p", dropout_p, 0, 1)
    noise = dropout_noise(name, rate, generator, dropout_mask, (*lead, length, keys), q)

    qs, ks, vs = (heads(x, lead) for x in (q, k, v))
    ms, ns = (None if x is None else heads(x, lead) for x in (mask, noise))
    n = math.prod(lead)
    e, z, y = (np.empty((n, length, size), q.dtype) for size in (keys, 1, v.shape[-1]))
    step = max(1, BLOCK // max(1, length * keys))
    pieces = [slice(start, start + step) for start in range(0, n, step)]

    def attend(piece: slice) -> None:
        mask_ = ms(piece) if ms else None
        p = exponentials(qs(piece), ks(piece), a, mask_, out=e[piece])
        total = p.sum(-1, keepdims=True, out=z[piece])
        total += total == 0  # where nothing is seen
        if ns:
            p = p * ns(piece)
        np.matmul(p, vs(piece), out=y[piece])
        y[piece] /= total

    def backward(dy: Array) -> tuple[Array, ...]:
        g = dy.reshape(y.shape) / z
        dq, dk, dv = (np.empty((n, *x.shape[-2:]), x.dtype) for x in (q, k, v))
        dmask = np.empty_like(e) if mask is not None and mask.dtype != bool else None

        def differentiate(piece: slice) -> None:
            p, dp = e[piece], g[piece] @ transposed(vs(piece))
            np.matmul((p * ns(piece) if ns else p).swapaxes(1, 2), g[piece], out=dv[piece])
            if ns:
                dp *= ns(piece)
            ds = np.subtract(dp, np.einsum("nij,nij->ni", p, dp)[..., None] / z[piece], out=dp)
            ds *= p
            np.matmul(ds, a * ks(piece), out=dq[piece])
            np.matmul(ds.swapaxes(1, 2), a * qs(piece), out=dk[piece])
            if dmask is not None:
                dmask[piece] = ds

        for_each(differentiate, pieces)
        whole = [(dq, q), (dk, k), (dv, v)]
        if dmask is not None and mask is not None:
            whole.append((dmask, mask))
        return tuple(summed(d, lead, x.shape) for d, x in whole)

    for_each(attend, pieces)
    return y.reshape(*lead, *y.shape[1:]), backward


def exponentials(q: Array, k: Array, a: float, mask: Array | None, out: Array) -> Array:
    """e^(s - c) of a few heads, s the masked scores: c their maxima, or 0 if none can be large.

    Args:
        q: (n, L, E).
        k: (n, S, E).
        a: factor of the scores.
        mask: broadcasts to (n, L, S), bool or floating; None for none.
        out: (n, L, S).

    Returns:
        `out`.
    """
    np.matmul(q, transposed(k, a), out=out)
    additive = mask is not None and mask.dtype != bool
    if additive:
        out += mask
    elif mask is not None:
        np.copyto(out, -np.inf, where=~mask)
    longest = [np.einsum("nie,nie->ni", x, x).max(initial=0) for x in (q, k)]
    if additive or not abs(a) * math.sqrt(longest[0]) * math.sqrt(longest[1]) < SAFE:
        c = out.max(-1, keepdims=True, initial=-np.inf)
        c[c == -np.inf] = 0  # nothing is seen
        with np.errstate(invalid="ignore"):  # inf - inf is NaN, as in torch
            out -= c
    return np.exp(out, out=out)


def transposed(x: Array, a: float = 1.0) -> Array:
    """a x^T in a new array: BLAS multiplies small matrices faster where neither is transposed."""
    return np.multiply(x.swapaxes(1, 2), a, order="C")


def heads(x: Array, lead: tuple[int, ...]) -> Heads:
    """Of an array (..., M, N), the matrices that a piece of all the heads (of shape `lead`) reads.

    One matrix may serve several heads: where an axis is broadcast, and in grouped queries, where
    the last axis of `lead` is a multiple of x's.
    """
    own = x.shape[:-2]
    rows = x.reshape(math.prod(own), *x.shape[-2:])
    if own == lead:
        return rows.__getitem__
    if len(rows) == 1:  # serves all, by broadcasting
        return lambda piece: rows
    index: Array = np.arange(len(rows)).reshape(own)
    if own and own[-1] not in (1, lead[-1]):
        index = index.repeat(lead[-1] // own[-1], -1)
    index = np.broadcast_to(index, lead).ravel()
    return lambda piece: rows[index[piece]]


def summed(d: Array, lead: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """The gradient of an array of `shape` from those that its matrices have in each head."""
    if len(shape) > 2 and shape[-3] not in (1, lead[-1]):
        group = lead[-1] // shape[-3]
        d = d.reshape(*lead[:-1], shape[-3], group, *d.shape[1:]).sum(-3)
    else:
        d = d.reshape(*lead, *d.shape[1:])
    return unbroadcast(d, shape)


def apart(x: Array, size: int) -> Array:
    """From (B, T, H E) to heads (B, H, T, E) of that size."""
    batch, length, width = x.shape
    return x.reshape(batch, length, width // size, size).swapaxes(1, 2)


def together(heads: Array) -> Array:
    """From heads (B, H, T, E) to (B, T, H E)."""
    batch, number, length, size = heads.shape
    return heads.swapaxes(1, 2).reshape(batch, length, number * size)


def checked(
    name: str, query: object, key: object, value: object, enable_gqa: object
) -> tuple[Array, Array, Array, tuple[int, ...]]:
    """q, k, v in shapes that fit, and the leading axes of the result."""
    q = check.floating(name, "query", query)
    k = check.floating(name, "key", key, like=q)
    v = check.floating(name, "value", value, like=q)
    check.option(name, "enable_gqa", enable_gqa, (True, False))
    for what, x in (("query", q), ("key", k), ("value", v)):
        if x.ndim < (3 if enable_gqa else 2):
            axes = "(..., H, L, E)" if enable_gqa else "(..., L, E)"
            check.refuse(name, f"{what} of shape {axes}", x.shape)
    if k.shape[-1] != q.shape[-1]:
        check.refuse(name, f"key of shape (..., S, {q.shape[-1]})", k.shape)
    if v.shape[-2] != k.shape[-2]:
        check.refuse(name, f"value of shape (..., {k.shape[-2]}, Ev)", v.shape)
    lead = [x.shape[:-2] for x in (q, k, v)]
    if enable_gqa:
        for what, x in (("key", k), ("value", v)):
            if not x.shape[-3] or q.shape[-3] % x.shape[-3]:
                expected = f"a number of heads in {what} that divides the query's {q.shape[-3]}"
                check.refuse(name, expected, x.shape[-3])
        lead[1:] = [(*x.shape[:-3], q.shape[-3]) for x in (k, v)]
    try:
        return q, k, v, np.broadcast_shapes(*lead)
    except ValueError:
        got = f"query {q.shape}, key {k.shape} and value {v.shape}"
        check.refuse(name, "leading axes that broadcast", got)


def checked_mask(
    name: str, attn_mask: object, is_causal: object, shape: tuple[int, ...], q: Array
) -> Array | None:
    """The mask (..., L, S), a causal one included, that broadcasts to `shape`."""
    check.option(name, "is_causal", is_causal, (True, False))
    if attn_mask is None:
        return np.tri(*shape[-2:], dtype=bool) if is_causal else None
    if is_causal:
        check.refuse(name, "no attn_mask beside is_causal", check.describe(attn_mask))
    if not isinstance(attn_mask, np.ndarray) or attn_mask.dtype not in (bool, q.dtype):
        expected = f"attn_mask to be a bool or {q.dtype} array"
        check.refuse(name, expected, check.describe(attn_mask), TypeError)
    try:
        if attn_mask.ndim >= 2 and np.broadcast_shapes(attn_mask.shape, shape) == shape:
            return attn_mask
    except ValueError:
        pass
    check.refuse(name, f"attn_mask that broadcasts to {shape}", attn_mask.shape)


def factor(name: str, scale: float | None, q: Array) -> float:
    """a: `scale`, or 1 / sqrt(E)."""
    if scale is None:
        return 1 / math.sqrt(max(1, q.shape[-1]))
    return check.number(name, "scale", scale)


def dropout_noise(
    name: str,
    rate: float,
    generator: Generator | None,
    given: Array | None,
    shape: tuple[int, ...],
    q: Array,
) -> Array | None:
    """m / (1 - rate), or None where nothing is dropped."""
    check_generator(name, generator)
    if given is not None:
        if not isinstance(given, np.ndarray) or given.dtype not in (bool, q.dtype):
            expected = f"dropout_mask to be a bool or {q.dtype} array"
            check.refuse(name, expected, check.describe(given), TypeError)
        check.shape(name, "dropout_mask", given, shape)
    if rate == 0:
        return None
    if rate == 1:
        return np.zeros(shape, q.dtype)
    if given is None:
        given = (generator or Generator()).bernoulli(1 - rate, shape, q.dtype)
    return np.divide(given, 1 - rate, dtype=q.dtype)
