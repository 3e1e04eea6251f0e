"""Weights of Keras, ONNX and tutorials: their equations, written out, against layers they load."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scratch import nn
from scratch.check import Array
from scratch.nn.utils.gate_order import joined_weights, keras_weights, onnx_weights

RNG = np.random.default_rng(0)
STEPS, BATCH, IN, H = 5, 2, 3, 4


def s(a: Array) -> Array:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-a)))


def keras_lstm(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Keras' LSTMCell.call, implementation 2."""
    h = c = np.zeros((BATCH, H))
    for x_t in x:
        z0, z1, z2, z3 = np.split(x_t @ kernel + h @ recurrent + bias, 4, axis=1)
        c = s(z1) * c + s(z0) * np.tanh(z2)
        h = s(z3) * np.tanh(c)
    return h


def keras_gru(x: Array, kernel: Array, recurrent: Array, bias: Array, reset_after: bool) -> Array:
    """Keras' GRUCell.call, implementation 2."""
    h = np.zeros((BATCH, H))
    for x_t in x:
        input_bias, recurrent_bias = bias if reset_after else (bias, 0.0)
        x_z, x_r, x_h = np.split(x_t @ kernel + input_bias, 3, axis=1)
        if reset_after:
            h_z, h_r, h_h = np.split(h @ recurrent + recurrent_bias, 3, axis=1)
            z, r = s(x_z + h_z), s(x_r + h_r)
            new = np.tanh(x_h + r * h_h)
        else:
            h_z, h_r = np.split(h @ recurrent[:, : 2 * H], 2, axis=1)
            z, r = s(x_z + h_z), s(x_r + h_r)
            new = np.tanh(x_h + (r * h) @ recurrent[:, 2 * H :])
        h = z * h + (1 - z) * new
    return h


def onnx_lstm(x: Array, W: Array, R: Array, B: Array) -> Array:
    """ONNX' equations of LSTM, one direction."""
    (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc) = np.split(W, 4), np.split(R, 4)
    Wbi, Wbo, Wbf, Wbc, Rbi, Rbo, Rbf, Rbc = np.split(B, 8)
    h = c = np.zeros((BATCH, H))
    for x_t in x:
        i = s(x_t @ Wi.T + h @ Ri.T + Wbi + Rbi)
        f = s(x_t @ Wf.T + h @ Rf.T + Wbf + Rbf)
        new = np.tanh(x_t @ Wc.T + h @ Rc.T + Wbc + Rbc)
        c = f * c + i * new
        o = s(x_t @ Wo.T + h @ Ro.T + Wbo + Rbo)
        h = o * np.tanh(c)
    return h


def onnx_gru(x: Array, W: Array, R: Array, B: Array, linear_before_reset: int) -> Array:
    """ONNX' equations of GRU, one direction."""
    (Wz, Wr, Wh), (Rz, Rr, Rh) = np.split(W, 3), np.split(R, 3)
    Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = np.split(B, 6)
    h = np.zeros((BATCH, H))
    for x_t in x:
        z = s(x_t @ Wz.T + h @ Rz.T + Wbz + Rbz)
        r = s(x_t @ Wr.T + h @ Rr.T + Wbr + Rbr)
        if linear_before_reset:
            new = np.tanh(x_t @ Wh.T + r * (h @ Rh.T + Rbh) + Wbh)
        else:
            new = np.tanh(x_t @ Wh.T + (r * h) @ Rh.T + Rbh + Wbh)
        h = (1 - z) * new + z * h
    return h


def last(layer: Any, x: Array) -> Array:
    """The last state of every direction, side by side."""
    (_, state), _ = layer(x)
    h_n = state[0] if isinstance(state, tuple) else state
    return np.concatenate(list(h_n), axis=1)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def test_keras_lstm() -> None:
    x, kernel, recurrent, bias = normal(STEPS, BATCH, IN), normal(IN, 16), normal(H, 16), normal(16)
    layer = nn.LSTM(IN, H, dtype=np.float64)
    layer.load_state_dict(keras_weights(layer, kernel, recurrent, bias))
    np.testing.assert_allclose(last(layer, x), keras_lstm(x, kernel, recurrent, bias), rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_keras_gru(reset_after: bool) -> None:
    x, kernel, recurrent = normal(STEPS, BATCH, IN), normal(IN, 12), normal(H, 12)
    bias = normal(2, 12) if reset_after else normal(12)
    layer = nn.GRU(IN, H, reset_after=reset_after, dtype=np.float64)
    layer.load_state_dict(keras_weights(layer, kernel, recurrent, bias, reset_after=reset_after))
    expected = keras_gru(x, kernel, recurrent, bias, reset_after)
    np.testing.assert_allclose(last(layer, x), expected, rtol=1e-12)


def test_onnx_lstm_in_both_directions() -> None:
    x, W, R, B = normal(STEPS, BATCH, IN), normal(2, 16, IN), normal(2, 16, H), normal(2, 32)
    layer = nn.LSTM(IN, H, bidirectional=True, dtype=np.float64)
    layer.load_state_dict(onnx_weights(layer, W, R, B))
    both = [onnx_lstm(x[::step], W[d], R[d], B[d]) for d, step in enumerate((1, -1))]
    np.testing.assert_allclose(last(layer, x), np.concatenate(both, axis=1), rtol=1e-12)


@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_onnx_gru(linear_before_reset: int) -> None:
    x, W, R, B = normal(STEPS, BATCH, IN), normal(1, 12, IN), normal(1, 12, H), normal(1, 24)
    layer = nn.GRU(IN, H, reset_after=bool(linear_before_reset), dtype=np.float64)
    found = onnx_weights(layer, W, R, B, linear_before_reset=linear_before_reset)
    layer.load_state_dict(found)
    expected = onnx_gru(x, W[0], R[0], B[0], linear_before_reset)
    np.testing.assert_allclose(last(layer, x), expected, rtol=1e-12)


def test_onnx_rnn() -> None:
    x, W, R, B = normal(STEPS, BATCH, IN), normal(1, H, IN), normal(1, H, H), normal(1, 2 * H)
    layer = nn.RNN(IN, H, nonlinearity="relu", dtype=np.float64)
    layer.load_state_dict(onnx_weights(layer, W, R, B, activations=["Relu"]))
    h = np.zeros((BATCH, H))
    for x_t in x:
        h = np.maximum(x_t @ W[0].T + h @ R[0].T + B[0, :H] + B[0, H:], 0)
    np.testing.assert_allclose(last(layer, x), h, rtol=1e-12)


def separate(gates: str) -> tuple[dict[str, Array], dict[str, Array]]:
    """A matrix and a bias for each gate."""
    return {gate: normal(IN + H, H) for gate in gates}, {gate: normal(H) for gate in gates}


@pytest.mark.parametrize("update_weighs_new", [True, False])
def test_a_tutorials_gru(update_weighs_new: bool) -> None:
    """The guide's: r before the product, and z the share of the new state. torch's z keeps."""
    x, (W, b) = normal(STEPS, BATCH, IN), separate("rzn")
    layer = nn.GRU(IN, H, reset_after=False, dtype=np.float64)
    layer.load_state_dict(joined_weights(layer, W, b, update_weighs_new=update_weighs_new))
    h = np.zeros((BATCH, H))
    for x_t in x:
        both = np.concatenate([x_t, h], axis=1)
        r, z = s(both @ W["r"] + b["r"]), s(both @ W["z"] + b["z"])
        new = np.tanh(np.concatenate([x_t, r * h], axis=1) @ W["n"] + b["n"])
        h = (1 - z) * h + z * new if update_weighs_new else z * h + (1 - z) * new
    np.testing.assert_allclose(last(layer, x), h, rtol=1e-12)


def test_a_tutorials_lstm_and_rnn() -> None:
    x, (W, b) = normal(STEPS, BATCH, IN), separate("ogfi")
    layer = nn.LSTM(IN, H, dtype=np.float64)
    layer.load_state_dict(joined_weights(layer, W, b))
    h = c = np.zeros((BATCH, H))
    for x_t in x:
        both = np.concatenate([x_t, h], axis=1)
        i, f, o = (s(both @ W[gate] + b[gate]) for gate in "ifo")
        c = f * c + i * np.tanh(both @ W["g"] + b["g"])
        h = o * np.tanh(c)
    np.testing.assert_allclose(last(layer, x), h, rtol=1e-12)

    plain = nn.RNN(IN, H, bias=False, dtype=np.float64)
    W, _ = separate("h")
    plain.load_state_dict(joined_weights(plain, W))
    h = np.zeros((BATCH, H))
    for x_t in x:
        h = np.tanh(np.concatenate([x_t, h], axis=1) @ W["h"])
    np.testing.assert_allclose(last(plain, x), h, rtol=1e-12)


def keras(layer: Any, *shapes: tuple[int, ...], **options: Any) -> Callable[[], Any]:
    return lambda: keras_weights(layer, *(normal(*shape) for shape in shapes), **options)


def onnx(layer: Any, *shapes: tuple[int, ...], **options: Any) -> Callable[[], Any]:
    return lambda: onnx_weights(layer, *(normal(*shape) for shape in shapes), **options)


GRU, LSTM, RNN = nn.GRU(IN, H), nn.LSTM(IN, H), nn.RNN(IN, H, nonlinearity="relu")
P_GRU = nn.GRU(IN, H, reset_after=False)
K_GRU, K_LSTM = ((IN, 12), (H, 12), (2, 12)), ((IN, 16), (H, 16), (16,))
O_GRU, O_LSTM = ((1, 12, IN), (1, 12, H), (1, 24)), ((1, 16, IN), (1, 16, H), (1, 32))


@pytest.mark.parametrize(
    "call",
    [
        keras(nn.Linear(3, 4), *K_GRU),
        keras(GRU, *K_GRU, reset_after=False),
        keras(nn.GRU(IN, H, reset_after=False), *K_GRU),
        keras(GRU, (IN, 12), (H, 12), (12,)),
        keras(GRU, (IN, 12), (H, 12)),
        keras(GRU, *K_LSTM),
        keras(LSTM, *K_LSTM, recurrent_activation="hard_sigmoid"),
        keras(LSTM, *K_LSTM, activation="relu"),
        keras(RNN, (IN, H), (H, H), (H,), activation="tanh"),
        lambda: joined_weights(GRU, *separate("rzn")),
        lambda: joined_weights(P_GRU, *separate("rzh")),
        lambda: joined_weights(P_GRU, separate("rzn")[0]),
        lambda: joined_weights(P_GRU, separate("rzn")[0], {gate: normal(1, H) for gate in "rzn"}),
        lambda: joined_weights(P_GRU, {gate: normal(H, H) for gate in "rzn"}, separate("rzn")[1]),
        lambda: joined_weights(LSTM, *separate("ifgo"), update_weighs_new=True),
        lambda: joined_weights(nn.LSTM(IN, H, proj_size=2), *separate("ifgo")),
        onnx(GRU, *O_GRU),
        onnx(nn.GRU(IN, H, reset_after=False), *O_GRU, linear_before_reset=1),
        onnx(LSTM, *O_LSTM, clip=3.0),
        onnx(LSTM, *O_LSTM, input_forget=1),
        onnx(LSTM, *O_LSTM, (1, 12)),
        onnx(LSTM, *O_LSTM, activations=["HardSigmoid", "Tanh", "Tanh"]),
        onnx(LSTM, *O_GRU),
        onnx(LSTM, *O_LSTM[:2]),
        onnx(nn.LSTM(IN, H, proj_size=2), *O_LSTM),
        onnx(nn.LSTM(IN, H, bidirectional=True), *O_LSTM),
        onnx(RNN, (1, H, IN), (1, H, H), (1, 2 * H)),
    ],
)
def test_what_no_weights_express_is_refused(call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"_weights: expected .*, got "):
        call()
