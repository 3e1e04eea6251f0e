"""What recurrent layers share: layers above each other, two directions, batches, packed sequences.

rows       every batch becomes rows (N, features), step after step, N = sum of the batch sizes: the
           form of a PackedSequence, of which an ordinary batch is one with B rows in each step.
           So all input projections of a layer and direction are one product over N rows.
forward    each direction d of layer l runs over the rows: y_d, state_d = sequence(x, state0_d);
           x of the next layer is (y_0, y_1), with dropout between layers and not after the last
state      of a sequence is that of its own last step; the second direction ends at t = 0.
           h_n (L D, B, H), all directions of layer 0 first
backward   the mirror image; gradients enter through the output and through the last states
torch      all weights and biases start from U(-1/sqrt(H), 1/sqrt(H)); two biases, which get the
           same gradient but in the GRU; dropout of the same seed drops the same
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn import init
from scratch.nn.dropout import dropout
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.utils.rnn import PackedSequence
from scratch.random import Generator, check_generator

Steps = list[tuple[slice, int]]


def steps_of(batch_sizes: Sequence[int], reverse: bool = False) -> Steps:
    """The rows of each step, and how many they are, in the order in which they are run."""
    steps, start = [], 0
    for n in map(int, batch_sizes):
        steps.append((slice(start, start + n), n))
        start += n
    return steps[::-1] if reverse else steps


def previous(states: Array, start: Array, steps: Steps) -> Array:
    """The state before each step (N, H), of the states after each step (N, H) and the start."""
    if all(n == len(start) for _, n in steps):  # all states in one shift
        forward = steps[0][0].start == 0
        parts = (start, states[: len(states) - len(start)], states[len(start) :], start)
        return np.concatenate(parts[:2] if forward else parts[2:])
    before, state = np.empty_like(states), start.copy()
    for rows, n in steps:
        before[rows] = state[:n]
        state[:n] = states[rows]
    return before


def add_biases(z: Array, b_ih: Array | None, b_hh: Array | None) -> None:
    """z += b_ih + b_hh, where there are any."""
    if b_ih is not None and b_hh is not None:
        z += b_ih + b_hh


def bias_gradients(dz: Array, b_ih: Array | None) -> tuple[Array, ...]:
    """Those of both biases, which are the same in two arrays."""
    if b_ih is None:
        return ()
    db = dz.sum(0)
    return db, db.copy()


def gradient_of(name: str, dy: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """An output's gradient, zeros for None, or an error."""
    if dy is None:
        return np.zeros(shape, dtype)
    function = f"{name} backward"
    if not isinstance(dy, np.ndarray) or dy.dtype != dtype:
        expected = f"the output's gradient to be a {dtype} array of shape {shape}"
        check.refuse(function, expected, check.describe(dy), TypeError)
    if dy.shape != shape:
        expected = f"the output's gradient to be a {dtype} array of shape {shape}"
        check.refuse(function, expected, check.describe(dy))
    return dy


def check_flag(name: str, argument: str, value: object) -> None:
    if not isinstance(value, bool):
        check.refuse(name, f"{argument} to be a bool", check.describe(value), TypeError)


class RecurrentBase(Module):
    """Parameters and their start, in cells and layers alike.

    A subclass says how many gates it has, which states it carries and how a sequence runs.
    """

    _gates: ClassVar[int]
    _states: ClassVar[tuple[str, ...]] = ("h",)
    hidden_size: int

    def _sequence(self, x: Array, steps: Steps, *arrays: Array) -> tuple[Any, Backward]:
        """Run the rows x (N, in) from the states, by the weights: both follow, in this order.

        Returns:
            y (N, out) and the last states, and the backward: their gradients -> dx, dstates,
            dweights; with needs_input_grad=False dx is None.
        """
        raise TypeError(f"{type(self).__name__}: expected a subclass with `_sequence`, got none")

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the start, parameter after parameter, as torch does."""
        generator = generator or Generator()
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator=generator)

    def _reads(self) -> list[tuple[str, Parameter]]:
        """No backward reads the value of a bias."""
        return [(name, p) for name, p in super()._reads() if not name.startswith("bias")]

    def _given_states(self, hx: Any) -> tuple[Array, ...] | None:
        """hx as a tuple of states."""
        if hx is None:
            return None
        name = type(self).__name__
        if len(self._states) == 1:
            return (hx,)
        if not isinstance(hx, tuple | list) or len(hx) != len(self._states):
            expected = f"hx to be ({', '.join(f'{s}_0' for s in self._states)})"
            check.refuse(name, expected, check.describe(hx), TypeError)
        return tuple(hx)

    def _nested(self, states: Sequence[Array]) -> Any:
        """States as torch returns them: one alone, more in a tuple."""
        return states[0] if len(self._states) == 1 else tuple(states)


class Recurrent(RecurrentBase):
    """Layers that run over whole sequences; see `RNN`, `LSTM` and `GRU`."""

    _skips_input_grad = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = type(self).__name__
        self.input_size = check.size(name, "input_size", input_size, low=1)
        self.hidden_size = check.size(name, "hidden_size", hidden_size, low=1)
        self.num_layers = check.size(name, "num_layers", num_layers, low=1)
        check_flag(name, "bias", bias)
        check_flag(name, "batch_first", batch_first)
        check_flag(name, "bidirectional", bidirectional)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = check.number(name, "dropout", dropout, 0, 1)
        self.bidirectional = bidirectional
        self.proj_size = check.size(name, "proj_size", proj_size)
        if proj_size >= hidden_size:
            check.refuse(name, f"proj_size < hidden_size = {hidden_size}", proj_size)
        check_generator(name, generator)
        if self.dropout and num_layers == 1:
            text = f"{name}: dropout acts between layers, and there is one only"
            warnings.warn(text, UserWarning, stacklevel=3)
        gates, out = self._gates * hidden_size, self.proj_size or hidden_size
        self._directions = 2 if bidirectional else 1
        self._names: list[list[str]] = []  # of the parameters, by layer and direction
        for k in range(num_layers * self._directions):
            layer, direction = divmod(k, self._directions)
            inputs = self._directions * out if layer else input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (gates, inputs),
                "weight_hh": (gates, out),
            }
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            self._names.append([kind + suffix for kind in shapes])
            for kind, shape in shapes.items():
                setattr(self, kind + suffix, Parameter(np.empty(shape, dtype)))
        self.generator = generator or Generator()
        self.reset_parameters(self.generator)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Backward]:
        """The output of the last layer at each step, and the last states of all layers."""
        name = type(self).__name__
        parameters = [[getattr(self, n) for n in names] for names in self._names]
        layout = self._layout(input, parameters[0][0])
        x = layout.rows(layout.array)
        starts = self._starts(layout, hx, x.dtype)
        lasts = [np.empty_like(start) for start in starts]
        runs = [steps_of(layout.sizes, reverse) for reverse in (False, True)]
        backs: list[list[Backward]] = []
        drops: list[Backward] = []
        for layer in range(self.num_layers):
            if layer and self.training and self.dropout:
                x, drop_back = dropout(x, self.dropout, generator=self.generator)
                drops.append(drop_back)
            ys, layer_backs = [], []
            for d in range(self._directions):
                k = layer * self._directions + d
                weights = [p.data for p in parameters[k]]
                states = [start[k] for start in starts]
                (y, *ends), back = self._sequence(x, runs[d], *states, *weights)
                for last, end in zip(lasts, ends, strict=True):
                    last[k] = end
                ys.append(y)
                layer_backs.append(back)
            backs.append(layer_backs)
            x = np.concatenate(ys, axis=1) if len(ys) > 1 else ys[0]
        rows_shape, dtype = x.shape, x.dtype
        output = layout.shaped(x)
        output_shape = (output.data if layout.packed else output).shape
        states_out = [layout.unsorted(last) for last in lasts]
        shapes = [state.shape for state in states_out]

        def backward(doutput: Any, dhidden: Any = None, needs_input_grad: bool = True) -> Any:
            dy = layout.rows(gradient_of(name, doutput, output_shape, dtype))
            given = self._given_states(dhidden) or (None,) * len(shapes)
            dlasts = [
                layout.sorted(gradient_of(name, d, shape, dtype))
                for d, shape in zip(given, shapes, strict=True)
            ]
            dstarts = [np.empty_like(dlast) for dlast in dlasts]
            width = rows_shape[1] // self._directions
            for layer in reversed(range(self.num_layers)):
                dx: Any = None
                needs = needs_input_grad or layer > 0
                for d in range(self._directions):
                    k = layer * self._directions + d
                    part = dy[:, d * width : (d + 1) * width]
                    ends = [dlast[k] for dlast in dlasts]
                    dpart, *rest = backs[layer][d](part, *ends, needs_input_grad=needs)
                    for dstart, dstate in zip(dstarts, rest, strict=False):
                        dstart[k] = dstate
                    for p, dp in zip(parameters[k], rest[len(dstarts) :], strict=True):
                        p.accumulate(dp)
                    dx = dpart if dx is None else dx + dpart
                dy = drops[layer - 1](dx) if layer and drops else dx
            if not needs_input_grad:
                return None
            dinput = layout.shaped(dy)
            dinput = dinput.data if layout.packed else dinput
            if hx is None:
                return dinput
            return (dinput, *(layout.unsorted(dstart) for dstart in dstarts))

        return (output, self._nested(states_out)), backward

    def _layout(self, input: Any, weight: Parameter) -> "_Layout":
        """How the input lies, once it is checked."""
        name = type(self).__name__
        packed = input if isinstance(input, PackedSequence) else None
        x = input.data if packed else input
        if not isinstance(x, np.ndarray) or x.dtype != weight.dtype:
            expected = f"input to be a {weight.dtype} array, as the weights are"
            check.refuse(name, expected, check.describe(x), TypeError)
        if packed:
            check.shape(name, "packed data", x, ("N", self.input_size))
            sizes = packed.batch_sizes.tolist()
            return _Layout(x, sizes, False, self.batch_first, packed)
        axes = "(B, T, {})" if self.batch_first else "(T, B, {})"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            expected = f"input of shape {axes} or (T, {{}})".replace("{}", str(self.input_size))
            check.refuse(name, expected, x.shape)
        batched = x.ndim == 3
        length = x.shape[1] if batched and self.batch_first else x.shape[0]
        batch = x.shape[0 if self.batch_first else 1] if batched else 1
        if length == 0:
            check.refuse(name, "a sequence of at least one step", x.shape)
        return _Layout(x, [batch] * length, not batched, self.batch_first, None)

    def _starts(self, layout: "_Layout", hx: Any, dtype: Any) -> list[Array]:
        """The first states (L D, B, size) in the order of the rows."""
        name, count = type(self).__name__, self.num_layers * self._directions
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: len(self._states)]
        given = self._given_states(hx)
        if given is None:
            return [np.zeros((count, layout.sizes[0], size), dtype) for size in sizes]
        starts = []
        for what, state, size in zip(self._states, given, sizes, strict=True):
            array = check.floating(name, f"{what}_0", state)
            if array.dtype != dtype:
                expected = f"{what}_0 of dtype {dtype} as the input has"
                check.refuse(name, expected, check.describe(state), TypeError)
            batch = () if layout.unbatched else (layout.sizes[0],)
            check.shape(name, f"{what}_0", array, (count, *batch, size))
            starts.append(layout.sorted(array))
        return starts

    def extra_repr(self) -> str:
        shown = {
            "proj_size": (self.proj_size, 0),
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0.0),
            "bidirectional": (self.bidirectional, False),
        }
        others = [f"{n}={value}" for n, (value, default) in shown.items() if value != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *others])


@dataclass(frozen=True)
class _Layout:
    """How an input lies in memory, against rows step after step."""

    array: Array
    sizes: list[int]
    unbatched: bool
    batch_first: bool
    packed: PackedSequence | None

    def rows(self, x: Array) -> Array:
        """(N, features)."""
        if self.unbatched or self.packed:
            return x
        x = x.swapaxes(0, 1) if self.batch_first else x
        return x.reshape(len(self.sizes) * self.sizes[0], x.shape[-1])

    def shaped(self, rows: Array) -> Any:
        """The way back."""
        if self.packed:
            p = self.packed
            return PackedSequence(rows, p.batch_sizes, p.sorted_indices, p.unsorted_indices)
        if self.unbatched:
            return rows
        y = rows.reshape(len(self.sizes), self.sizes[0], rows.shape[-1])
        return y.swapaxes(0, 1) if self.batch_first else y

    def sorted(self, state: Array) -> Array:
        """(L D, B, H), longest sequence first."""
        if self.unbatched:
            return state[:, None]
        order = self.packed.sorted_indices if self.packed else None
        return state if order is None else state[:, order]

    def unsorted(self, state: Array) -> Array:
        """The way back."""
        if self.unbatched:
            return state[:, 0]
        order = self.packed.unsorted_indices if self.packed else None
        return state if order is None else state[:, order]
