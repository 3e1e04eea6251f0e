"""Long short-term memory.      Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000

forward    z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh         s(z) = 1 / (1 + e^-z)
           i, f, o = s(z_i), s(z_f), s(z_o)    g = tanh(z_g)
           c_t = f c_{t-1} + i g               h_t = o tanh(c_t), or W_hr (o tanh(c_t))
backward   m = o tanh(c_t)      dm = dy_t + dh_t, or W_hr^T (dy_t + dh_t)
           dc = dc_t + dm o (1 - tanh(c_t)^2)                  c_t feeds h_t and c_{t+1}
           dz_i = dc g i (1 - i)               dz_f = dc c_{t-1} f (1 - f)
           dz_g = dc i (1 - g^2)               dz_o = dm tanh(c_t) o (1 - o)
           dc_{t-1} = dc f      dh_{t-1} = W_hh^T dz_t         dx_t = W_ih^T dz_t
           dW_ih = sum dz_t x_t^T   dW_hh = sum dz_t h_{t-1}^T   dW_hr = sum dh m^T   db = sum dz_t
shapes     x (N, in) in rows step after step   y = h (N, P)   c (N, H)   P = H without projection
           W_ih (4 H, in)   W_hh (4 H, P)   W_hr (P, H)
torch      rows of the weights in the order i, f, g, o; two biases, both get db; the forget gate's
           starts as all others do, not at 1
Sources    Neural Computation 9(8) and 12(10); projection: Sak et al. 2014, arXiv:1402.1128
"""

from typing import Any

import numpy as np

from scratch.check import Array
from scratch.nn.op import Backward
from scratch.nn.recurrent import Recurrent, Steps, bias_gradients, previous
from scratch.nn.recurrent_cell import Cell


def lstm(
    x: Array,
    steps: Steps,
    h_0: Array,
    c_0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    w_hr: Array | None = None,
) -> tuple[tuple[Array, Array, Array], Backward]:
    """Run one layer in one direction over all steps.

    Args:
        x: (N, in), rows step after step.
        steps: rows of each step in the order of the run.
        h_0: first state (B, P).
        c_0: first cell state (B, H).
        w_ih: (4 H, in).
        w_hh: (4 H, P).
        b_ih: (4 H,), with b_hh.
        b_hh: (4 H,), with b_ih.
        w_hr: (P, H), the projection; None for none.

    Returns:
        y (N, P), h_n (B, P) and c_n (B, H), and their backward: dy, dh_n, dc_n -> dx, dh_0, dc_0,
        dW_ih, dW_hh[, db_ih, db_hh][, dW_hr].
    """
    hidden = c_0.shape[1]
    gates = x @ _negated(w_ih).T  # (N, 4 H): z of all inputs, then the gates, step by step
    if b_ih is not None and b_hh is not None:
        gates += _negated(b_ih + b_hh)
    y, cs = (np.empty((len(x), state.shape[1]), x.dtype) for state in (h_0, c_0))
    h, c, to_z = h_0.copy(), c_0.copy(), _negated(w_hh).T.copy()
    buffer = np.empty((len(h), 4 * hidden), x.dtype)
    for rows, n in steps:
        z = np.matmul(h[:n], to_z, out=buffer[:n])
        z += gates[rows]
        c_t, blocks = c[:n], _blocks(gates[rows])
        _activate(z, blocks)
        i, f, o, g = blocks
        c_t *= f
        c_t += i * g
        cs[rows] = c_t
        m = np.tanh(c_t)
        m *= o
        h[:n] = y[rows] = m if w_hr is None else m @ w_hr.T

    def backward(
        dy: Array, dh_n: Array, dc_n: Array, needs_input_grad: bool = True
    ) -> tuple[Any, ...]:
        dh, dc_t = dh_n.copy(), dc_n.copy()
        dz, before = np.empty_like(gates), previous(cs, c_0, steps)
        dhs, ms = (np.empty_like(a) for a in (y, cs)) if w_hr is not None else (None, None)
        buffer, from_z = np.empty((len(dh), 4 * hidden), x.dtype), _reordered(w_hh)
        for rows, n in reversed(steps):
            blocks, dblocks = _blocks(gates[rows]), _blocks(buffer[:n])
            _, f, o, _ = blocks
            dm, dc = dh[:n], dc_t[:n]
            dm += dy[rows]
            tanh_c = np.tanh(cs[rows])
            if w_hr is not None and dhs is not None and ms is not None:
                dhs[rows] = dm
                np.multiply(o, tanh_c, out=ms[rows])
                dm = dm @ w_hr
            np.multiply(dm, tanh_c, out=dblocks[2])
            dtanh_c = dm * o
            dtanh_c *= 1 - tanh_c  # 1 - tanh_c^2 in two factors, which are exact near 1
            dtanh_c *= 1 + tanh_c
            dc += dtanh_c
            np.multiply(dc, blocks[::-3], out=dblocks[::3])  # di = dc g and dg = dc i
            np.multiply(dc, before[rows], out=dblocks[1])
            dc *= f
            _through_activations(blocks, dblocks, dz[rows])
            np.matmul(dz[rows], from_z, out=dh[:n])
        dx = dz @ _reordered(w_ih) if needs_input_grad else None
        dweights = dz.T @ x, dz.T @ previous(y, h_0, steps), *bias_gradients(dz, b_ih)
        last = () if dhs is None or ms is None else (dhs.T @ ms,)
        return dx, dh, dc_t, *map(_reordered, dweights), *last

    return (y, h, c), backward


# In here the gates come in the order i, f, o, g, so that the three that are logistic lie together.
# In memory those of a step are blocks (4, n, H), each contiguous; z and dz are rows (n, 4 H).


def _reordered(w: Array) -> Array:
    """The rows of all four gates, i, f, g, o as i, f, o, g; and back."""
    i, f, g, o = w.reshape(4, len(w) // 4, *w.shape[1:])
    return np.concatenate([i, f, o, g])


def _negated(w: Array) -> Array:
    """The same with i, f, o negated, for e^-z."""
    reordered = _reordered(w)
    reordered[: len(w) // 4 * 3] *= -1
    return reordered


def _blocks(rows: Array) -> Array:
    """(n, 4 H) as blocks (4, n, H) in the same memory."""
    return rows.reshape(4, len(rows), rows.shape[1] // 4)


def _columns(z: Array) -> Array:
    """(n, 4 H) as (4, n, H), views of the columns."""
    return z.reshape(len(z), 4, z.shape[1] // 4).swapaxes(0, 1)


def _activate(z: Array, blocks: Array) -> None:
    """The gates of -z_i, -z_f, -z_o, z_g."""
    columns, s = _columns(z), blocks[:3]
    with np.errstate(over="ignore"):  # 1 / inf is the limit, 0
        np.exp(columns[:3], out=s)
    s += 1
    np.divide(1, s, out=s)
    np.tanh(columns[3], out=blocks[3])


def _through_activations(blocks: Array, dblocks: Array, dz: Array) -> None:
    """dz of the gates' gradients: times (1 - s) s, or (1 - g) (1 + g)."""
    slope = 1 - blocks
    slope[:3] *= blocks[:3]
    slope[3] *= 1 + blocks[3]
    np.multiply(dblocks, slope, out=_columns(dz))


class LSTM(Recurrent):
    """`lstm` in layers and directions, over whole sequences.

    Args:
        input_size: features of the input.
        hidden_size: H, features of the cell state.
        num_layers: layers above each other.
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (B, T, ...) and not (T, B, ...).
        dropout: probability of dropping outputs of all layers but the last, in training.
        bidirectional: whether each layer also runs from the end.
        proj_size: P, features of the state and the output; 0 for H without projection.
        dtype: float32 or float64.
        generator: where the start and the dropout masks come from; None draws a fresh one.

    Shape:
        input (T, B, input_size), unbatched (T, input_size) or a PackedSequence; hx = (h_0, c_0) of
        shapes (L D, B, P) and (L D, B, H), unbatched without B, zeros where it is left out; output
        (T, B, D P), laid out as the input; (h_n, c_n) like hx.

    Source: Hochreiter & Schmidhuber 1997, "Long short-term memory".
    """

    _gates = 4
    _states = ("h", "c")

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        h_0, c_0, w_ih, w_hh, *others = arrays
        b_ih, b_hh = (others[0], others[1]) if self.bias else (None, None)
        w_hr = others[-1] if self.proj_size else None
        return lstm(x, steps, h_0, c_0, w_ih, w_hh, b_ih, b_hh, w_hr)


class LSTMCell(Cell):
    """One step of an LSTM.

    Args:
        input_size: features of the input.
        hidden_size: H, features of the states.
        bias: whether to add b_ih and b_hh.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        input (B, input_size) or (input_size,); hx = (h, c) and (h', c') of shape (B, H) or (H,).
    """

    _gates = 4
    _states = ("h", "c")

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return lstm(x, steps, *arrays)
