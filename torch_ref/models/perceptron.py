"""The perceptron: y = 1 where x W^T + b > 0, else 0.             Rosenblatt 1958

rule       e = t - y            W <- W + lr e x            b <- b + lr e
           for one sample at a time, until an epoch passes without a mistake
"""

import torch
from torch import nn


class Perceptron(nn.Linear):
    """A weighted sum through a step, taught by the perceptron rule.

    Args:
        in_features: number of inputs.
        bias: whether to add b.
        dtype: of the parameters.

    Shape:
        (..., in_features) to (..., 1).
    """

    def __init__(
        self, in_features: int, bias: bool = True, *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(in_features, 1, bias, dtype=dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = 1 where x W^T + b > 0, else 0; no gradient flows through a step."""
        z = super().forward(input)
        return (z > 0).to(z.dtype)

    @torch.no_grad()
    def learn(
        self, x: torch.Tensor, t: torch.Tensor, lr: float = 1.0, epochs: int = 100
    ) -> list[int]:
        """Apply the rule to each sample in turn, until an epoch passes without a mistake.

        Args:
            x: samples (n, in).
            t: targets (n,), each 0 or 1.
            lr: how much of the sample a mistake adds.
            epochs: at most so many passes.

        Returns:
            The number of mistakes in each epoch; it ends with 0 if and only if the rule converged.
        """
        mistakes: list[int] = []
        while len(mistakes) < epochs and (not mistakes or mistakes[-1] > 0):
            mistakes.append(0)
            for sample, target in zip(x, t.to(x), strict=True):
                error = target - self(sample)
                mistakes[-1] += int(error != 0)
                self.weight.add_(lr * error * sample)
                if self.bias is not None:
                    self.bias.add_(lr * error)
        return mistakes
