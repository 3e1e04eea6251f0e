"""Conventions of affine maps: how they start, and what a batch does to the gradient."""

import math
from collections.abc import Sequence

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.random import Generator


def _started(input: Array, bound: float, bias_bound: float) -> tuple[Array, Backward]:
    """Linear(3, 5) from uniform values within the bounds, drawn as torch draws its own."""
    generator, layer = Generator(0), nn.Linear(3, 5, dtype=input.dtype)
    for parameter, limit in ((layer.weight, bound), (layer.bias, bias_bound)):
        assert parameter is not None
        parameter.data = generator.uniform(-limit, limit, parameter.shape, input.dtype)
    return layer(input)


def he_start(input: Array) -> tuple[Array, Backward]:
    return _started(input, math.sqrt(6 / 3), 0.0)


def glorot_start(input: Array) -> tuple[Array, Backward]:
    return _started(input, math.sqrt(6 / (3 + 5)), 0.0)


def zero_bias_start(input: Array) -> tuple[Array, Backward]:
    return _started(input, 1 / math.sqrt(3), 0.0)


def bilinear_fan_in_start(input1: Array, input2: Array) -> tuple[Array, Backward]:
    layer = nn.Bilinear(2, 3, 5, dtype=input1.dtype)
    generator, bound = Generator(0), 1 / math.sqrt(2 * 3)
    for parameter in layer.parameters():
        parameter.data = generator.uniform(-bound, bound, parameter.shape, input1.dtype)
    return layer(input1, input2)


def mean_gradients(
    input: Array, weight: Array, bias: Array | None = None
) -> tuple[Array, Backward]:
    y, back = F.linear(input, weight, bias)
    rows = max(math.prod(input.shape[:-1]), 1)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, *rest = back(dy)
        return dx, *(d / rows for d in rest)

    return y, backward


def channels_last_flatten(
    input: Array, start_dim: int = 0, end_dim: int = -1
) -> tuple[Array, Backward]:
    y, back = F.flatten(input, start_dim, end_dim)
    return input.reshape(y.shape, order="F"), lambda dy: back(dy).reshape(input.shape, order="F")


def fastest_first_unflatten(input: Array, dim: int, sizes: Sequence[int]) -> tuple[Array, Backward]:
    y, back = F.unflatten(input, dim, sizes)
    return np.reshape(input, y.shape, order="F"), back


PITFALLS = [
    Pitfall(
        "Linear starts as He's",
        entry="Linear from its start",
        difference="torch: U(+-1/sqrt(in)) for weight and bias; He: U(+-sqrt(6/in)), bias 0",
        mutant=he_start,
    ),
    Pitfall(
        "Linear starts as Glorot's",
        entry="Linear from its start",
        difference="torch: U(+-1/sqrt(in)) for weight and bias; Glorot: sqrt(6/(in+out)), bias 0",
        mutant=glorot_start,
    ),
    Pitfall(
        "Linear's bias starts at zero",
        entry="Linear from its start",
        difference="torch: the bias starts as the weight does; Keras and many others: at 0",
        mutant=zero_bias_start,
    ),
    Pitfall(
        "Bilinear's fan-in is the product",
        entry="Bilinear from its start",
        difference="torch: 1/sqrt(in1); counting the terms of the sum: 1/sqrt(in1 in2)",
        mutant=bilinear_fan_in_start,
    ),
    Pitfall(
        "layers divide by the batch",
        entry="linear",
        difference="torch: gradients of parameters are sums, the loss alone divides; many NumPy "
        "tutorials: the layer's own backward divides by the batch",
        mutant=mean_gradients,
    ),
    Pitfall(
        "Flatten with channels last",
        entry="flatten",
        difference="torch: row-major over C, H, W; channels-last frameworks: another order, "
        "which permutes the columns of the next Linear",
        mutant=channels_last_flatten,
    ),
    Pitfall(
        "Unflatten with the first axis fastest",
        entry="unflatten",
        difference="torch: row-major; Fortran, MATLAB and R: the first axis varies fastest",
        mutant=fastest_first_unflatten,
    ),
]
