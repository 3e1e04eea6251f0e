"""Conventions of recurrent networks: the order of gates, where r acts, biases, ends."""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.catalog.recurrent import Packed
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn import init
from scratch.nn.gru import gru, gru_reset_before
from scratch.nn.module import Parameter
from scratch.nn.op import Backward
from scratch.nn.recurrent import Steps
from scratch.random import Generator


def reordered(rows: Array, order: tuple[int, ...]) -> Array:
    """Blocks of rows in another order; what is no gate's (a projection) stays."""
    if len(rows) % len(order):
        return rows
    blocks = np.split(rows, len(order))
    return np.concatenate([blocks[k] for k in order])


class _Weights:
    """A layer that reads its weights, and hands back their gradients, changed."""

    def _read(self, weight: Array) -> Array:
        raise RuntimeError("expected a subclass, got the base class")

    def _written(self, gradient: Array) -> Array:
        raise RuntimeError("expected a subclass, got the base class")

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        me: Any = self
        n = len(me._states)
        weights = [self._read(w) for w in arrays[n:]]
        parent: Any = super()
        output, back = parent._sequence(x, steps, *arrays[:n], *weights)

        def backward(*gradients: Array, **options: bool) -> tuple[Any, ...]:
            found = back(*gradients, **options)
            return (*found[: n + 1], *map(self._written, found[n + 1 :]))

        return output, backward


class _Order(_Weights):
    """Blocks in the order of someone else."""

    _order: tuple[int, ...]

    def _read(self, weight: Array) -> Array:
        return reordered(weight, self._order)

    def _written(self, gradient: Array) -> Array:
        return reordered(gradient, tuple(np.argsort(self._order)))


class OrderIFOG(_Order, nn.LSTM):
    _order = (0, 1, 3, 2)


class OrderFICO(_Order, nn.LSTM):
    _order = (1, 0, 2, 3)


class OrderIGFO(_Order, nn.LSTM):
    """TF v1: i, c, f, o."""

    _order = (0, 2, 1, 3)


class OrderIOFC(_Order, nn.LSTM):
    """ONNX: i, o, f, c."""

    _order = (0, 2, 3, 1)


class OrderZRN(_Order, nn.GRU):
    """Keras and ONNX: z, r, h."""

    _order = (1, 0, 2)


class UpdateWeighsNew(_Weights, nn.GRU):
    """h = (1 - z) h + z n, as tutorials have it: the rows of z negated."""

    def _read(self, weight: Array) -> Array:
        n = len(weight) // 3
        return np.concatenate([weight[:n], -weight[n : 2 * n], weight[2 * n :]])

    def _written(self, gradient: Array) -> Array:
        return self._read(gradient)


class ResetBefore(nn.GRU):
    """tanh(W x + U (r h) + b)."""

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return gru_reset_before(x, steps, *arrays)


class ResetAfter(nn.GRU):
    """torch's form where the paper's was asked for."""

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        return gru(x, steps, *arrays)


class HiddenBiasOutside(nn.GRU):
    """tanh(W x + b + r U h + b'): b' does not stand behind r."""

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        if not self.bias:
            return gru(x, steps, *arrays)
        h_0, w_ih, w_hh, b_ih, b_hh = arrays
        output, back = gru(x, steps, h_0, w_ih, w_hh, b_ih + b_hh, np.zeros_like(b_hh))

        def backward(*gradients: Array, **options: bool) -> tuple[Any, ...]:
            *found, db, _ = back(*gradients, **options)
            return (*found, db, db.copy())

        return output, backward


def one_bias(layer: str) -> Callable[..., nn.Module]:
    """A layer whose second bias never learns: forward and the other gradients are right."""

    def make(*args: Any, **kwargs: Any) -> nn.Module:
        module: nn.Module = getattr(nn, layer)(*args, **kwargs)
        for name, parameter in module.named_parameters():
            if name.startswith("bias_hh"):
                vars(module)[name] = _Frozen(parameter.data)
        return module

    return make


class _Frozen(Parameter):
    """A parameter whose gradient is zero."""

    def accumulate(self, gradient: Any) -> None:
        super().accumulate(np.zeros_like(gradient))


class LastOutputIsState(nn.LSTM):
    """h_n of the second direction is taken at the last step and not where that direction ends."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Backward]:
        (output, (h_n, c_n)), back = super().forward(input, hx)
        if self.bidirectional and input.ndim == 3:
            last = output[:, -1] if self.batch_first else output[-1]
            h_n = h_n.copy()
            h_n[-1] = last[:, last.shape[1] // 2 :]
        return (output, (h_n, c_n)), back


class DirectionMajor(nn.GRU):
    """h_n holds all layers of the first direction, then all of the second."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Backward]:
        (output, h_n), back = super().forward(input, hx)
        if self.bidirectional:
            h_n = np.concatenate([h_n[0::2], h_n[1::2]])
        return (output, h_n), back


class DropsAfterLast(nn.RNN):
    """Dropout also after the last layer."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Backward]:
        (output, h_n), back = super().forward(input, hx)
        if self.dropout and self.training:
            drop = nn.functional.dropout
            output, drop_back = drop(output, self.dropout, generator=self.generator)
            return (output, h_n), lambda dy, *d, **o: back(drop_back(dy), *d, **o)
        return (output, h_n), back


class ForgetGateOpen(nn.LSTM):
    """Zeros for the biases, one for the forget gate's."""

    def reset_parameters(self, generator: Generator | None = None) -> None:
        super().reset_parameters(generator)
        for name, parameter in self.named_parameters():
            if name.startswith("bias"):
                init.zeros_(parameter)
            if name.startswith("bias_ih"):
                parameter.data[self.hidden_size : 2 * self.hidden_size] = 1


class BoundByInputs(nn.RNN):
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as Linear starts."""

    def reset_parameters(self, generator: Generator | None = None) -> None:
        generator = generator or Generator()
        for parameter in self.parameters():
            bound = 1 / float(np.sqrt(parameter.shape[-1]))
            init.uniform_(parameter, -bound, bound, generator=generator)


def starting(layer: type, **options: Any) -> Callable[[Array], tuple[Array, Backward]]:
    """What the catalog's start entries do, with another class."""

    def start(scale: Array) -> tuple[Array, Backward]:
        module = layer(3, 4, **options, dtype=scale.dtype, generator=Generator(0))
        flat = np.concatenate([p.data.ravel() for p in module.parameters()])
        return flat * scale, lambda dy: dy * flat

    return start


class StateOfThePadding(Packed):
    """Runs over the padding as well: the last states are those after it."""

    def forward(self, input: Array, hx: Any = None) -> tuple[Any, Backward]:
        (_, last), _ = self.layer(input, hx)
        (output, _), back = super().forward(input, hx)
        return (output, last), back


class StatesInOrderOfLength(Packed):
    """The last states stay in the order of the lengths."""

    def forward(self, input: Array, hx: Any = None) -> tuple[Any, Backward]:
        (output, last), back = super().forward(input, hx)
        order = np.argsort(-np.asarray(self.lengths), kind="stable")
        cell = isinstance(last, tuple)
        last = tuple(s[:, order] for s in last) if cell else last[:, order]
        return (output, last), back


class PaddedFlip(Packed):
    """The second direction of a padded batch starts at the common end, in the padding."""

    def forward(self, input: Array, hx: Any = None) -> tuple[Any, Backward]:
        (output, last), back = super().forward(input, hx)
        (padded, _), _ = self.layer(input, hx)
        half = padded.shape[-1] // 2
        output = output.copy()
        first = self.layer.batch_first
        for b, n in enumerate(self.lengths):
            place = (b, slice(0, n)) if first else (slice(0, n), b)
            output[place][..., half:] = padded[place][..., half:]
        return (output, last), back


class CarriesGradient(nn.Module):
    """Two chunks whose carried state is not detached."""

    def __init__(self, layer: str, *args: Any) -> None:
        self.layer = getattr(nn, layer)(*args)

    def forward(self, input: Array, hx: Any) -> tuple[Any, Backward]:
        return self.layer(input, hx)  # type: ignore[no-any-return]


CarriesGradient.__name__ = "Truncated"
DEEP = {"num_layers": 2, "bidirectional": True}

PITFALLS = [
    Pitfall("lstm_order_ifog", "LSTM", "torch i f g o; Karpathy i f o g", OrderIFOG),
    Pitfall("lstm_order_fico", "LSTM", "torch i f g o; tutorials f i c o", OrderFICO),
    Pitfall("lstm_order_icfo", "LSTM", "torch i f g o; TF v1 i c f o", OrderIGFO),
    Pitfall("lstm_order_iofc", "LSTM", "torch i f g o; ONNX i o f c", OrderIOFC),
    Pitfall("gru_order_zrh", "GRU", "torch r z n; Keras and ONNX z r h", OrderZRN),
    Pitfall(
        "gru_update_weighs_new",
        "GRU",
        "torch z keeps the old state; tutorials the new",
        UpdateWeighsNew,
    ),
    Pitfall(
        "gru_reset_before", "GRU", "torch resets after the product; the paper before", ResetBefore
    ),
    Pitfall(
        "gru_reset_after",
        "GRU with the reset gate before",
        "reset_after=False resets before the product",
        ResetAfter,
    ),
    Pitfall(
        "gru_hidden_bias_outside", "GRU", "torch has b_hn behind the reset gate", HiddenBiasOutside
    ),
    Pitfall(
        "lstm_one_bias",
        "LSTM",
        "two biases get the same gradient: their sum moves twice as far as one bias would",
        one_bias("LSTM"),
    ),
    Pitfall("rnn_one_bias", "RNN", "the same", one_bias("RNN")),
    Pitfall(
        "bidirectional_last_state",
        "LSTM",
        "the second direction ends at t = 0, not at the last step",
        LastOutputIsState,
    ),
    Pitfall(
        "direction_major_states", "GRU", "h_n is layer after layer, then direction", DirectionMajor
    ),
    Pitfall("dropout_after_last", "RNN", "dropout between layers only", DropsAfterLast),
    Pitfall(
        "lstm_forget_gate_start",
        "LSTM start",
        "all of U(-1/sqrt(H), 1/sqrt(H)); others forget bias 1",
        starting(ForgetGateOpen, **DEEP, proj_size=2),
    ),
    Pitfall(
        "rnn_start_by_inputs",
        "RNN start",
        "all of U(-1/sqrt(H), 1/sqrt(H)); others by fan in",
        starting(BoundByInputs, **DEEP),
    ),
    Pitfall(
        "packed_state_of_padding",
        "LSTM packed",
        "the last state is that of the last true step",
        StateOfThePadding,
    ),
    Pitfall(
        "packed_state_order",
        "GRU packed",
        "states come back in the order of the batch",
        StatesInOrderOfLength,
    ),
    Pitfall(
        "packed_reverse_from_padding",
        "RNN packed",
        "the second direction starts at each true end",
        PaddedFlip,
    ),
    Pitfall(
        "carried_state_not_detached",
        "LSTM over two chunks",
        "truncated: no gradient flows through the carried state",
        CarriesGradient,
    ),
]
