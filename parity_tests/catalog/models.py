"""Whole networks."""

from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.entry import Call, Case, Layer, Refusal

ENTRIES = [
    Layer(
        "Neuron",
        scratch.models.Neuron,
        torch_ref.models.Neuron,
        source="McCulloch & Pitts 1943; Rosenblatt 1958, Psychological Review 65(6)",
        c=1000,
        cases=(
            Case("sigmoid", lambda d: Call(d.normal(5, 3)), init=Call(3)),
            Case("one row", lambda d: Call(d.normal(4)), init=Call(4, "Tanh")),
            Case(
                "no bias", lambda d: Call(d.normal(2, 4, 3)), init=Call(3, "Softplus", bias=False)
            ),
            Case("linear", lambda d: Call(d.normal(6, 2)), init=Call(2, "Identity")),
            Case("slope that learns", lambda d: Call(d.normal(7, 3)), init=Call(3, "PReLU")),
            Case("far out", lambda d: Call(d.normal(9, 3, scale=30)), init=Call(3, "LeakyReLU")),
        ),
    ),
    Layer(
        "Perceptron",
        scratch.models.Perceptron,
        torch_ref.models.Perceptron,
        source="Rosenblatt 1958, Psychological Review 65(6)",
        c=1000,
        steps=False,  # no gradient, nothing to step along
        cases=(
            Case(
                "batch",
                lambda d: Call(d.normal(6, 3)),
                init=Call(3),
                zero=("input", "weight", "bias"),
            ),
            Case(
                "no bias, the threshold itself",
                lambda d: Call(np.concatenate([d.normal(4, 2), np.zeros((1, 2), d.dtype)])),
                init=Call(2, bias=False),
                zero=("input", "weight"),
            ),
        ),
    ),
    Layer(
        "MLP",
        scratch.models.MLP,
        torch_ref.models.MLP,
        source="Rumelhart, Hinton & Williams 1986, Nature 323",
        c=1000,
        cases=(
            Case("no hidden layer", lambda d: Call(d.normal(5, 4)), init=Call([4, 3])),
            Case("2-3-1", lambda d: Call(d.normal(4, 2)), init=Call([2, 3, 1], "Sigmoid")),
            Case("ReLU", lambda d: Call(d.normal(6, 5)), init=Call([5, 7, 3])),
            Case(
                "tanh, deep", lambda d: Call(d.normal(7, 3)), init=Call([3, 8, 6, 5, 4, 2], "Tanh")
            ),
            Case("GELU", lambda d: Call(d.normal(4, 3)), init=Call([3, 9, 5, 2], "GELU")),
            Case(
                "ELU, no bias",
                lambda d: Call(d.normal(4, 3)),
                init=Call([3, 6, 2], "ELU", 0.0, False),
            ),
            Case(
                "PReLU, two slopes",
                lambda d: Call(d.normal(5, 3)),
                init=Call([3, 6, 4, 2], "PReLU"),
            ),
            Case("batch axes", lambda d: Call(d.normal(2, 3, 4)), init=Call([4, 5, 2], "SiLU")),
            Case("one row", lambda d: Call(d.normal(1, 3)), init=Call([3, 1, 2], "Softsign")),
            Case(
                "no rows",
                lambda d: Call(d.normal(0, 3)),
                init=Call([3, 4, 2]),
                zero=("layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"),
            ),
            Case(
                "dropout",
                lambda d: Call(d.normal(6, 5)),
                init=Call([5, 16, 12, 3], "ReLU", 0.4),
                seeded=True,
            ),
        ),
    ),
]


# Without their annotations, which the refused calls do not keep to.
Neuron: Any = scratch.models.Neuron
Perceptron: Any = scratch.models.Perceptron
MLP: Any = scratch.models.MLP


def _learn(x: Any, t: Any, **options: Any) -> None:
    Perceptron(2, dtype=np.float64).learn(x, t, **options)


X, T = np.ones((4, 2)), np.ones(4)
REFUSALS = [
    Refusal("Neuron: no inputs", lambda: Neuron(0), "Neuron"),
    Refusal("Neuron: a fraction", lambda: Neuron(2.5), "Neuron"),
    Refusal("Neuron: activation", lambda: Neuron(2, "Relu"), "Neuron"),
    Refusal("Neuron: a module of another kind", lambda: Neuron(2, "Linear"), "Neuron"),
    Refusal("Neuron: input", lambda: Neuron(2)(np.ones((3, 4), np.float32)), "linear"),
    Refusal("Perceptron: no inputs", lambda: Perceptron(0), "Perceptron"),
    Refusal("Perceptron: input", lambda: Perceptron(2)(np.ones(2)), "linear"),
    Refusal("learn: inputs", lambda: _learn(np.ones((4, 3)), T), "Perceptron.learn"),
    Refusal("learn: dtype", lambda: _learn(X.astype(np.float32), T), "Perceptron.learn"),
    Refusal("learn: number of targets", lambda: _learn(X, np.ones(3)), "Perceptron.learn"),
    Refusal("learn: targets -1 and 1", lambda: _learn(X, -T), "Perceptron.learn"),
    Refusal("learn: lr", lambda: _learn(X, T, lr=0.0), "Perceptron.learn"),
    Refusal("learn: epochs", lambda: _learn(X, T, epochs=-1), "Perceptron.learn"),
    Refusal("MLP: one size", lambda: MLP([3]), "MLP"),
    Refusal("MLP: no sequence", lambda: MLP(3), "MLP"),
    Refusal("MLP: an empty layer", lambda: MLP([3, 0, 1]), "MLP"),
    Refusal("MLP: activation", lambda: MLP([3, 2, 1], "relu"), "MLP"),
    Refusal("MLP: dropout", lambda: MLP([3, 2, 1], dropout=1.5), "MLP"),
    Refusal("MLP: input", lambda: MLP([3, 2])(np.ones((2, 2), np.float32)), "linear"),
]
