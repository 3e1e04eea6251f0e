"""One artificial neuron.                             McCulloch & Pitts 1943; Rosenblatt 1958

forward    z = x W^T + b        y = f(z)                     f: the activation, by default sigmoid
backward   dz = f'(z) dy        dx = dz W     dW = dz^T x     db = sum dz
shapes     x (..., in)   W (1, in)   b (1,)   z, y (..., 1)   sums over all leading axes
"""

import inspect

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward
from scratch.random import Generator


class Neuron(nn.Linear):
    """A weighted sum of the inputs, through an activation.

    Args:
        in_features: number of inputs.
        activation: name of a class of `scratch.nn` that needs no arguments.
        bias: whether to add b.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., in_features) to (..., 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation.
    """

    def __init__(
        self,
        in_features: int,
        activation: str = "Sigmoid",
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("Neuron", "in_features", in_features, low=1)
        super().__init__(in_features, 1, bias, dtype=dtype, generator=generator)
        self.activation = make_activation("Neuron", activation, dtype, generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = f(x W^T + b)."""
        z, linear_back = super().forward(input)
        y, activation_back = self.activation(z)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            dx: Array | None = linear_back(activation_back(dy), needs_input_grad)
            return dx

        return y, backward


def make_activation(
    function: str, name: str, dtype: DTypeLike, generator: Generator | None
) -> Module:
    """An activation by its class's name; PReLU learns in `dtype`, RReLU draws from `generator`."""
    kind = getattr(nn, name, None) if isinstance(name, str) else None
    options = {"dtype": dtype, "generator": generator}
    parameters = inspect.signature(kind).parameters if isinstance(kind, type) else {}
    if (
        not isinstance(kind, type)
        or not issubclass(kind, Module)
        or any(
            p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values()
        )
    ):
        expected = "activation to be the name of an activation class of scratch.nn"
        check.refuse(function, expected, check.describe(name))
    module: Module = kind(**{k: v for k, v in options.items() if k in parameters})
    return module
