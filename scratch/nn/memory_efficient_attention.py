"""Attention without the matrix of weights.    Rabe & Staats 2021, arXiv:2112.05682, section 3

forward    tile after tile of the keys, with c' = max(c, max_j s_ij) and r = e^(c - c'):
           e_ij = e^(s_ij - c')     z' = r z + sum_j e_ij     o' = r o + sum_j e_ij v_j
           y_i = o_i / z_i behind the last tile                  (Milakov & Gimelshein 2018)
backward   once more tile after tile, e_ij = e^(s_ij - c_i) anew:      g_i = dy_i / z_i
           ds_ij = e_ij (g_i . v_j - g_i . y_i)    for sum_j p_ij (dy_i . v_j) = dy_i . y_i
           dq_i = a sum_j ds_ij k_j     dk_j = a sum_i ds_ij q_i     dv_j = sum_i e_ij g_i
shapes     as in `scaled_dot_product_attention`, whose result this is, with tiles (block, block)
memory     y, c and z are kept: L numbers for each head and feature, where that keeps L S. (Others
           keep c + log z, in one number and with less of its digits.)
causal     tiles that nothing sees are left out, half of all
Source     Dao et al. 2022, FlashAttention, arXiv:2205.14135, algorithms 1 and 4; Milakov &
           Gimelshein 2018, arXiv:1805.02867, algorithm 3
"""

import math
from collections.abc import Iterator

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward, op
from scratch.nn.scaled_dot_product_attention import (
    BLOCK,
    checked,
    checked_mask,
    factor,
    heads,
    summed,
    transposed,
)
from scratch.threads import for_each, get_num_threads


@op
def memory_efficient_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    block_size: int = 128,
) -> tuple[Array, Backward]:
    """y = softmax(a q k^T + mask) v, in memory that grows with L and S and not with L S.

    Args:
        query: q (..., L, E).
        key: k (..., S, E); leading axes broadcast.
        value: v (..., S, Ev).
        attn_mask: broadcasts to (..., L, S): bool, True where a key is seen, or of q's dtype and
            added to the scores; None for all keys.
        is_causal: query i sees the keys j <= i; then without `attn_mask`.
        scale: a; None for 1 / sqrt(E).
        block_size: queries and keys of a tile.

    Returns:
        y (..., L, Ev), and its backward: dy -> dq, dk, dv[, dmask], dmask of a floating mask.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if shapes do not fit, an option is out of range, or a mask is given beside
            `is_causal`.

    Source: Rabe & Staats 2021, section 3; Dao et al. 2022, algorithms 1 and 4.
    """
    name = "memory_efficient_attention"
    q, k, v, lead = checked(name, query, key, value, False)
    length, keys = q.shape[-2], k.shape[-2]
    check.option(name, "is_causal", is_causal, (True, False))
    mask = None
    if attn_mask is not None:  # a causal one is never made as a whole
        mask = checked_mask(name, attn_mask, is_causal, (*lead, length, keys), q)
    a = factor(name, scale, q)
    size = check.size(name, "block_size", block_size, low=1)

    n = math.prod(lead)
    qs, ks, vs = (heads(x, lead) for x in (q, k, v))
    masks = _Masks(mask, lead, is_causal)
    step = max(1, min(BLOCK // size**2, n // get_num_threads()))
    pieces = [slice(start, start + step) for start in range(0, n, step)]
    y = np.zeros((n, length, v.shape[-1]), q.dtype)
    c, z = np.zeros((n, length, 1), q.dtype), np.zeros((n, length, 1), q.dtype)

    def attend(piece: slice) -> None:
        qp, kp, vp = qs(piece), ks(piece), vs(piece)
        for rows in _tiles(length, size):
            o, total = y[piece, rows], z[piece, rows]
            top = np.full_like(total, -np.inf)
            for columns in masks.tiles(rows, keys, size):
                s = masks.apply(qp[:, rows] @ transposed(kp[:, columns], a), piece, rows, columns)
                higher = np.maximum(top, s.max(-1, keepdims=True))
                finite = np.where(higher == -np.inf, 0, higher)  # nothing is seen so far
                s -= finite
                e, r = np.exp(s, out=s), np.exp(top - finite)
                total *= r
                total += e.sum(-1, keepdims=True)
                o *= r
                o += e @ vp[:, columns]
                top = higher
            c[piece, rows] = np.where(top == -np.inf, 0, top)
            total += total == 0
            o /= total

    def backward(dy: Array) -> tuple[Array, ...]:
        g = dy.reshape(y.shape) / z
        dots = np.vecdot(g, y)[..., None]
        dq, dk, dv = (np.zeros((n, *x.shape[-2:]), x.dtype) for x in (q, k, v))
        dmask = (
            np.zeros(mask.shape, mask.dtype) if mask is not None and mask.dtype != bool else None
        )

        def differentiate(piece: slice) -> None:
            qp, kp, vp = qs(piece), ks(piece), vs(piece)
            for rows in _tiles(length, size):
                gp = g[piece, rows]
                for columns in masks.tiles(rows, keys, size):
                    s = qp[:, rows] @ transposed(kp[:, columns], a)
                    s = masks.apply(s, piece, rows, columns)
                    s = s - c[piece, rows]
                    e = np.exp(s, out=s)
                    dv[piece, columns] += e.swapaxes(1, 2) @ gp
                    ds = gp @ transposed(vp[:, columns])
                    ds -= dots[piece, rows]
                    ds *= e
                    dq[piece, rows] += ds @ (a * kp[:, columns])
                    dk[piece, columns] += ds.swapaxes(1, 2) @ (a * qp[:, rows])
                    if dmask is not None:
                        masks.add(dmask, ds, piece, rows, columns)

        with np.errstate(invalid="ignore"):
            if dmask is None:
                for_each(differentiate, pieces)
            else:  # which pieces may share: in order, so that its sums are always the same
                for piece in pieces:
                    differentiate(piece)
        grads = [summed(d, lead, x.shape) for d, x in ((dq, q), (dk, k), (dv, v))]
        return tuple(grads) if dmask is None else (*grads, dmask)

    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as in torch
        for_each(attend, pieces)
    return y.reshape(*lead, *y.shape[1:]), backward


def _tiles(length: int, size: int) -> Iterator[slice]:
    """Pieces of an axis."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


class _Masks:
    """The part of a mask that a tile needs: of the given one, or of a causal one."""

    def __init__(self, mask: Array | None, lead: tuple[int, ...], is_causal: bool) -> None:
        self.is_causal = is_causal
        self.mask = mask
        if mask is not None:
            self.rows = mask.reshape(-1, *mask.shape[-2:])
            index = np.arange(len(self.rows)).reshape(mask.shape[:-2])
            self.index = np.broadcast_to(index, lead).ravel()

    def tiles(self, rows: slice, keys: int, size: int) -> Iterator[slice]:
        """The columns of the tiles that some of these rows see."""
        return _tiles(min(rows.stop, keys) if self.is_causal else keys, size)

    def apply(self, s: Array, piece: slice, rows: slice, columns: slice) -> Array:
        """The scores of a tile under the mask."""
        if self.is_causal and columns.stop > rows.start + 1:
            seen = np.tri(s.shape[1], s.shape[2], rows.start - columns.start, dtype=np.bool_)
            np.copyto(s, -np.inf, where=~seen)
        if self.mask is None:
            return s
        part = self.rows[self.index[piece], *self._within(rows, columns)]
        if part.dtype == bool:
            return np.where(part, s, s.dtype.type(-np.inf))
        return s + part

    def add(self, dmask: Array, ds: Array, piece: slice, rows: slice, columns: slice) -> None:
        """Add a tile's gradient to that of the whole mask."""
        for axis, length in ((1, self.rows.shape[1]), (2, self.rows.shape[2])):
            if length == 1:
                ds = ds.sum(axis, keepdims=True)
        within = self._within(rows, columns)
        for row, d in zip(self.index[piece], ds, strict=True):
            dmask.reshape(self.rows.shape)[row, *within] += d

    def _within(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        _, length, keys = self.rows.shape
        every = slice(None)
        return rows if length > 1 else every, columns if keys > 1 else every
