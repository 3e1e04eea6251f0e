"""The perceptron.                        Rosenblatt 1958, Psychological Review 65(6), 386-408

forward    z = x W^T + b        y = 1 where z > 0, else 0
backward   dx = 0    dW = 0    db = 0           a step has no slope, so gradients cannot teach it
rule       e = t - y            W <- W + lr e x            b <- b + lr e
           for one sample at a time; where a line separates the classes it ends without mistakes
shapes     x (..., in)   W (1, in)   b (1,)   z, y (..., 1)   t (n,)
"""

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.nn.module import value
from scratch.nn.op import Backward
from scratch.random import Generator


class Perceptron(nn.Linear):
    """A weighted sum through a step, taught by the perceptron rule.

    Args:
        in_features: number of inputs.
        bias: whether to add b.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (..., in_features) to (..., 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer.

    Source:
        Rosenblatt 1958; convergence: Novikoff 1962; its limits: Minsky & Papert 1969.
    """

    def __init__(
        self,
        in_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("Perceptron", "in_features", in_features, low=1)
        super().__init__(in_features, 1, bias, dtype=dtype, generator=generator)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """y = 1 where x W^T + b > 0, else 0."""
        z, linear_back = super().forward(input)
        y, step_back = nn.functional.step(z)
        return y, lambda dy, **options: linear_back(step_back(dy), **options)

    def learn(self, x: Array, t: Array, lr: float = 1.0, epochs: int = 100) -> list[int]:
        """Apply the rule to each sample in turn, until an epoch passes without a mistake.

        Args:
            x: samples (n, in).
            t: targets (n,), each 0 or 1.
            lr: how much of the sample a mistake adds, > 0.
            epochs: at most so many passes.

        Returns:
            The number of mistakes in each epoch; it ends with 0 if and only if the rule converged.

        Raises:
            TypeError, ValueError: if a shape, a dtype, a target or a number does not fit.
        """
        x = check.floating("Perceptron.learn", "x", x, like=self.weight.data)
        check.shape("Perceptron.learn", "x", x, ("n", self.in_features))
        if not isinstance(t, np.ndarray) or t.shape != x.shape[:1] or np.any((t != 0) & (t != 1)):
            expected = f"t of shape ({len(x)},) with entries 0 or 1"
            check.refuse("Perceptron.learn", expected, check.describe(t))
        lr = check.number("Perceptron.learn", "lr", lr, low=0, open_low=True)
        epochs = check.size("Perceptron.learn", "epochs", epochs)

        w, b = self.weight.data[0], value(self.bias)
        mistakes: list[int] = []
        while len(mistakes) < epochs and (not mistakes or mistakes[-1] > 0):
            mistakes.append(0)
            for sample, target in zip(x, t.tolist(), strict=True):
                z = sample @ w if b is None else sample @ w + b[0]
                error = target - (1 if z > 0 else 0)
                if error:
                    mistakes[-1] += 1
                    w += lr * error * sample
                    if b is not None:
                        b += lr * error
        for parameter in self.parameters():
            parameter.version += 1
        return mistakes
