"""One step of a recurrent layer: a sequence of length one, which `Recurrent` describes."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.nn.op import Backward
from scratch.nn.recurrent import RecurrentBase, check_flag, gradient_of, steps_of
from scratch.random import Generator


class Cell(RecurrentBase):
    """What `RNNCell`, `LSTMCell` and `GRUCell` share."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        name = type(self).__name__
        check_flag(name, "bias", bias)
        self.input_size = check.size(name, "input_size", input_size)
        self.hidden_size = check.size(name, "hidden_size", hidden_size)
        self.bias = bias
        gates = self._gates * hidden_size
        self.weight_ih = Parameter(np.empty((gates, input_size), dtype))
        self.weight_hh = Parameter(np.empty((gates, hidden_size), dtype))
        self.bias_ih = Parameter(np.empty(gates, dtype)) if bias else None
        self.bias_hh = Parameter(np.empty(gates, dtype)) if bias else None
        self.reset_parameters(generator)

    def forward(self, input: Array, hx: Any = None) -> tuple[Any, Backward]:
        """The states after one step."""
        name = type(self).__name__
        x = check.floating(name, "input", input, like=self.weight_ih.data)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            check.refuse(
                name, f"input of shape (B, {self.input_size}) or ({self.input_size},)", x.shape
            )
        shape = (*x.shape[:-1], self.hidden_size)
        given = self._given_states(hx)
        starts = [np.zeros(shape, x.dtype)] * len(self._states) if given is None else []
        for what, state in zip(self._states, given or (), strict=False):
            start = check.floating(name, f"{what} of hx", state, like=x)
            check.shape(name, f"{what} of hx", start, shape)
            starts.append(start)
        rows = x.reshape(-1, self.input_size) if x.ndim == 2 else x[None]
        own = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        parameters = [p for p in own if p is not None]
        (_, *ends), back = self._sequence(
            rows,
            steps_of([len(rows)]),
            *(start.reshape(len(rows), -1) for start in starts),
            *(p.data for p in parameters),
        )
        like = np.zeros((len(rows), self.hidden_size), x.dtype)
        states = tuple(end.reshape(shape) for end in ends)

        def backward(*dstates: Any) -> Any:
            if len(dstates) == 1 and dstates[0] is None:  # of several it stands for zero
                check.refuse(f"{name} backward", "the output's gradient", "None", TypeError)
            dends = [gradient_of(name, d, shape, x.dtype).reshape(like.shape) for d in dstates]
            dx, *rest = back(like, *dends)
            for p, dp in zip(parameters, rest[len(starts) :], strict=True):
                p.accumulate(dp)
            dx = dx.reshape(x.shape)
            if given is None:
                return dx
            return (dx, *(d.reshape(shape) for d in rest[: len(starts)]))

        return self._nested(states), backward

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias=False"
