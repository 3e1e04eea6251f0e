"""AutoRec: ratings through an autoencoder.                       Sedhain et al. 2015, WWW, AutoRec

x = r where observed, else 0     h = g(V x + mu)     y = W h + b
loss = mean over what is observed of (y - x)^2 + lambda / 2 (|V|^2 + |W|^2)
"""

import torch
from torch import Tensor, nn


class AutoRec(nn.Module):
    """A row of ratings with gaps, to a row without.

    Args:
        num_inputs: n, width of a row: number of users, where rows are items.
        hidden_size: k.
        activation: g, a class of `torch.nn` that needs no arguments.
        dtype: of the parameters.

    Shape:
        (B, num_inputs) to the same.
    """

    def __init__(
        self,
        num_inputs: int,
        hidden_size: int = 500,
        activation: str = "Sigmoid",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.encoder = nn.Linear(num_inputs, hidden_size, dtype=dtype)
        self.activation = getattr(nn, activation)()
        self.decoder = nn.Linear(hidden_size, num_inputs, dtype=dtype)

    def forward(self, input: Tensor, observed: Tensor | None = None) -> Tensor:
        """What every entry is expected to be.

        Args:
            input: r (B, num_inputs); what stands where nothing was observed does not matter.
            observed: bool (B, num_inputs), where there is a rating; None for everywhere.

        Returns:
            y (B, num_inputs).
        """
        x = input if observed is None else input.where(observed, 0)
        y: Tensor = self.decoder(self.activation(self.encoder(x)))
        return y

    def loss(
        self, input: Tensor, observed: Tensor | None = None, regularization: float = 0.0
    ) -> Tensor:
        """Mean squared error over what was observed, and what the weights cost.

        Args:
            input: r (B, num_inputs).
            observed: bool (B, num_inputs); None for everywhere.
            regularization: lambda; the biases are free.

        Returns:
            The loss, ().
        """
        on = torch.ones_like(input, dtype=torch.bool) if observed is None else observed
        error = (self(input, on) - input).where(on, 0).square().sum() / on.sum()
        weights = self.encoder.weight, self.decoder.weight
        squares = weights[0].square().sum() + weights[1].square().sum()
        loss: Tensor = error + regularization / 2 * squares
        return loss
