"""Gated recurrent unit.                                     Cho et al. 2014, arXiv:1406.1078

forward    s(a) = 1 / (1 + e^-a)
           r = s(W_ir x_t + b_ir + W_hr h + b_hr)       z likewise       h = h_{t-1}
           q = W_hn h + b_hn           n = tanh(W_in x_t + b_in + r q)                reset after
           q = W_hn (r h) + b_hn       n = tanh(W_in x_t + b_in + q)                  reset before
           h_t = (1 - z) n + z h
backward   dh = dy_t + dh_t     da_n = dh (1 - z) (1 - n^2)     da_z = dh (h - n) z (1 - z)
           dq = da_n r          da_r = da_n q r (1 - r)                               reset after
           dq = da_n            da_r = (W_hn^T dq) h r (1 - r)                        reset before
           dh_{t-1} = dh z + W_hr^T da_r + W_hz^T da_z + W_hn^T dq         (r W_hn^T dq before)
           dW_i = sum (da_r, da_z, da_n) x^T     db_i = sum (da_r, da_z, da_n)
           dW_h = sum (da_r, da_z, dq) h^T       db_h = sum (da_r, da_z, dq)   (r h for h in dW_hn)
shapes     x (N, in) in rows step after step   y = h (N, H)   W_i (3 H, in)   W_h (3 H, H)
torch      resets after the product and cannot before, as the paper does: no weights turn one into
           the other. Rows in the order r, z, n; z keeps the old state (where it weighs the new one,
           negate the rows of z). b_hn stands behind r, so the two biases do not get the same.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward
from scratch.nn.recurrent import Recurrent, Steps, add_biases, bias_gradients, previous
from scratch.nn.recurrent_cell import Cell
from scratch.nn.sigmoid import logistic
from scratch.random import Generator


def gru(
    x: Array,
    steps: Steps,
    h_0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> tuple[tuple[Array, Array], Backward]:
    """Run one layer in one direction over all steps, the reset gate after the product.

    Args:
        x: (N, in), rows step after step.
        steps: rows of each step in the order of the run.
        h_0: first state (B, H).
        w_ih: (3 H, in).
        w_hh: (3 H, H).
        b_ih: (3 H,), with b_hh.
        b_hh: (3 H,), with b_ih.

    Returns:
        y (N, H) and h_n (B, H), and their backward: dy, dh_n -> dx, dh_0, dW_ih, dW_hh[, db_ih,
        db_hh].
    """
    hidden = h_0.shape[1]
    gates = x @ w_ih.T  # (N, 3 H): of all inputs, then in its place r z n, step by step
    if b_ih is not None:
        gates += b_ih
    y, qs = (np.empty((len(x), hidden), x.dtype) for _ in range(2))
    h, to_a = h_0.copy(), np.ascontiguousarray(w_hh.T)
    buffer = np.empty((len(h), 3 * hidden), x.dtype)
    for rows, n_rows in steps:
        h_t = h[:n_rows]
        a = np.matmul(h_t, to_a, out=buffer[:n_rows])
        if b_hh is not None:
            a += b_hh
        q = qs[rows]
        q[...] = a[:, 2 * hidden :]
        a[:, : 2 * hidden] += gates[rows, : 2 * hidden]
        a[:, 2 * hidden :] = gates[rows, 2 * hidden :]
        r, z, n = blocks = _blocks(gates[rows], 3)
        blocks[:2] = logistic(_columns(a, 3)[:2])
        np.multiply(r, q, out=n)
        n += a[:, 2 * hidden :]
        np.tanh(n, out=n)
        h_t -= n  # h_t = n + z (h - n)
        h_t *= z
        h_t += n
        y[rows] = h_t

    def backward(dy: Array, dh_n: Array, needs_input_grad: bool = True) -> tuple[Any, ...]:
        dh_t, before = dh_n.copy(), previous(y, h_0, steps)
        d = np.empty((len(x), 4 * hidden), x.dtype)  # n r z q: the first three meet x, the last h
        buffer = np.empty((len(dh_t), 4 * hidden), x.dtype)
        for rows, n_rows in reversed(steps):
            dh = dh_t[:n_rows]
            dh += dy[rows]
            r, z, n = _blocks(gates[rows], 3)
            dn, dr, dz, dq = dblocks = _blocks(buffer[:n_rows], 4)
            keep, new = dh * z, 1 - z  # keep goes straight to the state before
            np.subtract(before[rows], n, out=dz)
            dz *= keep
            dz *= new
            np.multiply(dh, new, out=dn)
            dn *= 1 - n
            dn *= 1 + n
            np.multiply(dn, r, out=dq)
            np.multiply(dq, qs[rows], out=dr)
            dr *= 1 - r
            _columns(d[rows], 4)[...] = dblocks
            np.matmul(d[rows, hidden:], w_hh, out=dh)
            dh += keep
        to_x, to_h = d[:, : 3 * hidden], d[:, hidden:]
        dx = to_x @ np.roll(w_ih, hidden, axis=0) if needs_input_grad else None
        grads = dx, dh_t, np.roll(to_x.T @ x, -hidden, axis=0), to_h.T @ before
        if b_ih is None:
            return grads
        return *grads, np.roll(to_x.sum(0), -hidden), to_h.sum(0)

    return (y, h), backward


def gru_reset_before(
    x: Array,
    steps: Steps,
    h_0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
) -> tuple[tuple[Array, Array], Backward]:
    """`gru` with the reset gate before the product.

    Args:
        x: (N, in), rows step after step.
        steps: rows of each step in the order of the run.
        h_0: first state (B, H).
        w_ih: (3 H, in).
        w_hh: (3 H, H).
        b_ih: (3 H,), with b_hh.
        b_hh: (3 H,), with b_ih.

    Returns:
        y (N, H) and h_n (B, H), and their backward: dy, dh_n -> dx, dh_0, dW_ih, dW_hh[, db_ih,
        db_hh].
    """
    hidden = h_0.shape[1]
    w_rz, w_n = w_hh[: 2 * hidden], w_hh[2 * hidden :]
    gates = x @ w_ih.T  # (N, 3 H), in place: a, then r z n
    add_biases(gates, b_ih, b_hh)
    y, h = np.empty((len(x), hidden), x.dtype), h_0.copy()
    for rows, n_rows in steps:
        h_t, rz, n = h[:n_rows], gates[rows, : 2 * hidden], gates[rows, 2 * hidden :]
        rz += h_t @ w_rz.T
        rz[...] = logistic(rz)
        r, z = rz[:, :hidden], rz[:, hidden:]
        n += (r * h_t) @ w_n.T
        np.tanh(n, out=n)
        h_t -= n  # h_t = n + z (h - n)
        h_t *= z
        h_t += n
        y[rows] = h_t

    def backward(dy: Array, dh_n: Array, needs_input_grad: bool = True) -> tuple[Any, ...]:
        dh_t, before = dh_n.copy(), previous(y, h_0, steps)
        d = np.empty_like(gates)
        for rows, n_rows in reversed(steps):
            dh, h = dh_t[:n_rows], before[rows]
            dh += dy[rows]
            r, z, n = _split(gates[rows])
            dr, dz, dn = _split(d[rows])
            keep, new = dh * z, 1 - z  # keep goes straight to the state before
            np.subtract(h, n, out=dz)
            dz *= keep
            dz *= new
            np.multiply(dh, new, out=dn)
            dn *= 1 - n
            dn *= 1 + n
            drh = dn @ w_n
            drh *= r
            np.multiply(drh, h, out=dr)
            dr *= 1 - r
            np.matmul(d[rows, : 2 * hidden], w_rz, out=dh)
            dh += keep
            dh += drh
        dx = d @ w_ih if needs_input_grad else None
        d_rz, d_n = d[:, : 2 * hidden], d[:, 2 * hidden :]
        dw_hh = np.concatenate([d_rz.T @ before, d_n.T @ (gates[:, :hidden] * before)])
        return dx, dh_t, d.T @ x, dw_hh, *bias_gradients(d, b_ih)

    return (y, h), backward


def _split(a: Array) -> tuple[Array, Array, Array]:
    """The blocks r, z, n."""
    n = a.shape[1] // 3
    return a[:, :n], a[:, n : 2 * n], a[:, 2 * n :]


# In memory the gates of a step are blocks (3, n, H), each of which is contiguous.


def _blocks(rows: Array, count: int) -> Array:
    """(n, count H) as blocks (count, n, H) in the same memory."""
    return rows.reshape(count, len(rows), rows.shape[1] // count)


def _columns(a: Array, count: int) -> Array:
    """(n, count H) as (count, n, H), the columns side by side."""
    return a.reshape(len(a), count, a.shape[1] // count).swapaxes(0, 1)


class GRU(Recurrent):
    """`gru` in layers and directions, over whole sequences.

    Args:
        input_size: features of the input.
        hidden_size: H, features of the state.
        num_layers: layers above each other.
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (B, T, ...) and not (T, B, ...).
        dropout: probability of dropping outputs of all layers but the last, in training.
        bidirectional: whether each layer also runs from the end.
        reset_after: whether the reset gate comes after the product, as in torch, or before it, as
            in the paper.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        input (T, B, input_size), unbatched (T, input_size) or a PackedSequence; hx (L D, B, H) or
        unbatched (L D, H), zeros where it is left out; output (T, B, D H), laid out as the input;
        h_n like hx.

    Source: Cho et al. 2014, arXiv:1406.1078, equations 5 to 8.
    """

    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("GRU", "reset_after", reset_after, (True, False))
        self.reset_after = reset_after
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            generator=generator,
        )

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return (gru if self.reset_after else gru_reset_before)(x, steps, *arrays)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.reset_after else f"{text}, reset_after=False"


class GRUCell(Cell):
    """One step of a GRU.

    Args:
        input_size: features of the input.
        hidden_size: H, features of the state.
        bias: whether to add b_ih and b_hh.
        reset_after: whether the reset gate comes after the product, as in torch, or before it.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        input (B, input_size) or (input_size,); hx and h' (B, H) or (H,).
    """

    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        reset_after: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.option("GRUCell", "reset_after", reset_after, (True, False))
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, bias, dtype=dtype, generator=generator)

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return (gru if self.reset_after else gru_reset_before)(x, steps, *arrays)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.reset_after else f"{text}, reset_after=False"
