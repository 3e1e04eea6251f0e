"""Weights of recurrent layers from Keras, ONNX and tutorials, which lay out gates otherwise.

torch      weight_ih (G H, in), weight_hh (G H, H), bias_ih and bias_hh (G H,) by name
           LSTM i f g o    GRU r z n
Keras      kernel (in, G H), recurrent_kernel (H, G H), bias (G H,); LSTM i f c o    GRU z r h
           GRU(reset_after=True) has bias (2, G H), of the input and of the state
ONNX       W (D, G H, in), R (D, G H, H), B (D, 2 G H), D directions; LSTM i o f c    GRU z r h
the same   z keeps the old state in all three
tutorials  a matrix (in + H, H) and a bias (H,) for each gate, which read input and state side by
           side; in a GRU r then comes before the product, and z often weighs the new state:
           h' = (1 - z) h + z n (Chung et al. 2014), so that z's weights are torch's times -1
refused    what no weights express: other activations, peepholes, clipping, coupled gates, and a
           reset gate on the other side of the product than the layer's
"""

from collections.abc import Mapping, Sequence

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.gru import GRU
from scratch.nn.lstm import LSTM
from scratch.nn.rnn import RNN

# For each of torch's gates its place in the other order.
KERAS = {"RNN": (0,), "LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2)}
ONNX = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
GATES = {"RNN": "h", "LSTM": "ifgo", "GRU": "rzn"}
Layer = RNN | LSTM | GRU


def _kind(function: str, layer: object) -> str:
    for kind, cls in (("RNN", RNN), ("LSTM", LSTM), ("GRU", GRU)):
        if isinstance(layer, cls):
            return kind
    check.refuse(function, "layer to be an RNN, LSTM or GRU", check.describe(layer), TypeError)


def _same_reset(function: str, layer: Layer, name: str, after: object) -> None:
    """The reset gate must stand where the layer has it."""
    if isinstance(layer, GRU) and bool(after) != layer.reset_after:
        check.refuse(function, f"a GRU with reset_after={bool(after)}, as {name}", layer)


def _blocks(rows: Array, order: Sequence[int]) -> Array:
    """Blocks of rows in torch's order, in a new array."""
    blocks = np.split(rows, len(order))
    return np.concatenate([blocks[k] for k in order])


def keras_weights(
    layer: Layer,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    *,
    suffix: str = "_l0",
    reset_after: bool = True,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
) -> dict[str, Array]:
    """One layer and direction of Keras under torch's names.

    Args:
        layer: what is to be loaded.
        kernel: (in, G H).
        recurrent_kernel: (H, G H).
        bias: (G H,), or (2, G H) of a GRU with `reset_after`; None for none.
        suffix: of the names: '_l0', '_l0_reverse', '_l1', ...
        reset_after: of Keras' GRU.
        activation: of Keras' layer.
        recurrent_activation: of Keras' layer.

    Returns:
        Arrays by name, for `load_state_dict`.

    Raises:
        TypeError: if the layer or an array is of another kind.
        ValueError: if a shape does not fit, or no weights express it.
    """
    name = "keras_weights"
    kind = _kind(name, layer)
    nonlinearity = layer.nonlinearity if isinstance(layer, RNN) else "tanh"
    check.option(name, "activation", activation, (nonlinearity,))
    check.option(name, "recurrent_activation", recurrent_activation, ("sigmoid",))
    _same_reset(name, layer, "Keras' reset_after", reset_after)
    order, gates = KERAS[kind], len(KERAS[kind]) * layer.hidden_size
    kernel = check.floating(name, "kernel", kernel)
    check.shape(name, "kernel", kernel, ("in", gates))
    recurrent_kernel = check.floating(name, "recurrent_kernel", recurrent_kernel, like=kernel)
    check.shape(name, "recurrent_kernel", recurrent_kernel, (layer.hidden_size, gates))
    found = {
        f"weight_ih{suffix}": _blocks(kernel.T, order),
        f"weight_hh{suffix}": _blocks(recurrent_kernel.T, order),
    }
    if (bias is not None) != layer.bias:
        check.refuse(name, f"a bias only if the layer has one ({layer.bias})", bias is not None)
    if bias is not None:
        two = kind == "GRU" and reset_after
        bias = check.floating(name, "bias", bias, like=kernel)
        check.shape(name, "bias", bias, (2, gates) if two else (gates,))
        b_ih, b_hh = bias if two else (bias, np.zeros_like(bias))
        found |= {
            f"bias_ih{suffix}": _blocks(b_ih, order),
            f"bias_hh{suffix}": _blocks(b_hh, order),
        }
    return found


def joined_weights(
    layer: Layer,
    weights: Mapping[str, Array],
    biases: Mapping[str, Array] | None = None,
    *,
    suffix: str = "_l0",
    update_weighs_new: bool = False,
) -> dict[str, Array]:
    """One layer and direction whose gates each have one matrix, under torch's names.

    Args:
        layer: what is to be loaded.
        weights: (in + H, H) of each gate: 'i', 'f', 'g', 'o' of an LSTM, 'r', 'z', 'n' of a GRU,
            'h' of an RNN. The rows of the input come first.
        biases: (H,) of each gate; None for none.
        suffix: of the names: '_l0', '_l0_reverse', '_l1', ...
        update_weighs_new: a GRU's z is the share of the new state, h' = (1 - z) h + z n.

    Returns:
        Arrays by name, for `load_state_dict`.

    Raises:
        TypeError: if the layer or an array is of another kind.
        ValueError: if a shape or a gate does not fit, or no weights express it.

    Source: Chung et al. 2014, arXiv:1412.3555, equations 5-8, for `update_weighs_new`.
    """
    name = "joined_weights"
    kind, hidden = _kind(name, layer), layer.hidden_size
    _same_reset(name, layer, "what joins input and state", False)
    if isinstance(layer, LSTM) and layer.proj_size:
        check.refuse(name, "an LSTM without projection, whose state has H entries", layer)
    if update_weighs_new and kind != "GRU":
        check.refuse(name, "update_weighs_new of a GRU only", kind)
    if (biases is not None) != layer.bias:
        check.refuse(name, f"biases only if the layer has them ({layer.bias})", biases is not None)
    for what, given in (("weights", weights), ("biases", biases)):
        if given is not None and set(given) != set(GATES[kind]):
            check.refuse(name, f"{what} of {', '.join(GATES[kind])}", sorted(given))
    found: dict[str, list[Array]] = {}
    for gate in GATES[kind]:
        sign = -1 if gate == "z" and update_weighs_new else 1
        joined = check.floating(name, f"weights['{gate}']", weights[gate])
        check.shape(name, f"weights['{gate}']", joined, (layer.input_size + hidden, hidden))
        w_ih, w_hh = np.split(sign * joined.T, [layer.input_size], axis=1)
        found.setdefault("weight_ih", []).append(w_ih)
        found.setdefault("weight_hh", []).append(w_hh)
        if biases is not None:
            b = check.floating(name, f"biases['{gate}']", biases[gate], like=joined)
            check.shape(name, f"biases['{gate}']", b, (hidden,))
            found.setdefault("bias_ih", []).append(sign * b)
            found.setdefault("bias_hh", []).append(np.zeros_like(b))
    return {f"{key}{suffix}": np.concatenate(blocks) for key, blocks in found.items()}


def onnx_weights(
    layer: Layer,
    W: Array,
    R: Array,
    B: Array | None = None,
    P: Array | None = None,
    *,
    index: int = 0,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    input_forget: int = 0,
    linear_before_reset: int = 0,
) -> dict[str, Array]:
    """One layer of ONNX, in all its directions, under torch's names.

    Args:
        layer: what is to be loaded.
        W: (D, G H, in).
        R: (D, G H, H).
        B: (D, 2 G H); None for none.
        P: peepholes (D, 3 H), which must be zero; None for none.
        index: which of torch's layers it is.
        activations: ONNX' names; None for its defaults.
        clip: ONNX' bound of the activations; must be None.
        input_forget: whether ONNX couples the two gates; must be 0.
        linear_before_reset: of ONNX' GRU; not 0 means after the product.

    Returns:
        Arrays by name, for `load_state_dict`.

    Raises:
        TypeError: if the layer or an array is of another kind.
        ValueError: if a shape does not fit, or no weights express it.
    """
    name = "onnx_weights"
    kind = _kind(name, layer)
    rnn = layer.nonlinearity.capitalize() if isinstance(layer, RNN) else "Tanh"
    usual = {"RNN": [rnn], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}[kind]
    directions = 2 if layer.bidirectional else 1
    default = ["Tanh"] if kind == "RNN" else usual
    given = default * directions if activations is None else list(activations)
    if [a.lower() for a in given] != [a.lower() for a in usual * directions]:
        check.refuse(name, f"activations {usual * directions}", given)
    if clip is not None:
        check.refuse(name, "no clip", clip)
    if input_forget:
        check.refuse(name, "input_forget = 0", input_forget)
    if P is not None and np.any(P):
        check.refuse(name, "no peepholes P", check.describe(P))
    if isinstance(layer, LSTM) and layer.proj_size:
        check.refuse(name, "an LSTM without projection, which ONNX lacks", layer)
    _same_reset(name, layer, "ONNX' linear_before_reset", linear_before_reset)
    order, gates = ONNX[kind], len(ONNX[kind]) * layer.hidden_size
    W = check.floating(name, "W", W)
    check.shape(name, "W", W, (directions, gates, "in"))
    R = check.floating(name, "R", R, like=W)
    check.shape(name, "R", R, (directions, gates, layer.hidden_size))
    if (B is not None) != layer.bias:
        check.refuse(name, f"B only if the layer has a bias ({layer.bias})", B is not None)
    found: dict[str, Array] = {}
    for d in range(directions):
        suffix = f"_l{index}" + ("_reverse" if d else "")
        found[f"weight_ih{suffix}"] = _blocks(W[d], order)
        found[f"weight_hh{suffix}"] = _blocks(R[d], order)
        if B is not None:
            B = check.floating(name, "B", B, like=W)
            check.shape(name, "B", B, (directions, 2 * gates))
            found[f"bias_ih{suffix}"] = _blocks(B[d, :gates], order)
            found[f"bias_hh{suffix}"] = _blocks(B[d, gates:], order)
    return found
